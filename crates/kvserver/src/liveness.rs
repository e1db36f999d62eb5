//! Whether other stores live, as far as leases need to know: promises of support from store to store.
//!
//! The leader of a range is its leaseholder as long as it may be sure that nobody else can be elected. It relies on promises: each store
//! asks the others for *support* up to a time, and a store that gives it keeps its replicas from deposing leaders on the
//! supported store until its own clock has passed that time. A range adds nothing to this traffic: one exchange per pair of stores carries the leases
//! of all their ranges, awake or asleep.
//!
//! ```text
//!   store S                                              store T
//!     "my clock says 100; support me in epoch 7           supports S in epoch 7 up to 1600:
//!      up to 1600"               -------------------->    until its clock has passed 1600 no replica on T campaigns
//!                                                         against, or votes against, a leader on S that it follows
//!     may count on T up to 1600  <--------------------   "my clock says 103; I support you in epoch 7 up to 1600"
//! ```
//!
//! When T's clock passes the promised time without another request, T *withdraws*: epoch 7 is over for good, the replicas that followed
//! leaders on S are let go and elect others. S learns of that by asking again, and begins the next epoch: what its leaders
//! were promised before counts for nothing, followers must promise anew (see `replication::peers`).
//!
//! # Why a lease is safe
//!
//! A leader serves while `now + offset_max < until`, where `until` is what a quorum of its range (itself included) has promised, each in the epoch in which
//! that follower has acknowledged this leader in this term. To elect another, a quorum is needed, so one of the promisers
//! must have withdrawn, or the leader has stepped down by itself. In the first case that promiser's clock is above `until`; clocks travel with every batch of messages, so the
//! new leader's clock is too, and its lease starts above every timestamp at which the old one served. The margin of `offset_max` is for
//! real time: the old leader stops serving before any clock says `until`.
//!
//! # A leader that is removed
//!
//! Its store goes on being promised support, for other ranges; so followers are also let go by the removal: once they have applied it, or have
//! heard that the replica has ended. That is safe because *no leader applies its own removal while it has a lease*: a leaseholder refuses
//! to propose that (`changes`), so the entry is an earlier leader's, and a lease begins only with an entry of the leader's
//! own term applied, which lies above it.
//!
//! # Restarts
//!
//! A store that restarts has forgotten its promises. It votes for nobody until its clock has passed everything that it can have promised
//! ([`Liveness::is_forgetful`]), and gives its incarnation with every message: requests must name it, and whoever sees a new one
//! begins a new epoch. The incarnation is a clock reading, and the first epoch of a process is its incarnation: both rise with every restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clock::{Clock, Timestamp};
use concurrency::wait_graph::{Edge, Rank};
use futures::channel::oneshot;
use keys::StoreId;
use kvapi::wire::{Malformed, Reader, Writer};
use kvapi::{Priority, TxnId};
use parking_lot::Mutex;
use replication::SendError;

use crate::closed;

/// How far ahead support is asked for. What a range waits for at most, besides an election, when its leaseholder dies.
pub(crate) const SUPPORT: Duration = Duration::from_millis(1_600);
/// How often it is asked for.
pub(crate) const RENEWAL: Duration = Duration::from_millis(250);

const VERSION: u8 = 2;

/// Something that the ranges must react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Support for the store is over: those who followed a leader there elect another.
    Withdrawn(StoreId),
    /// The store supports this one in a new epoch: leaders here ask their followers there to promise anew.
    Supported(StoreId),
    /// The store should be told at once what has changed.
    Answer(StoreId),
}

/// What is promised to another store.
///
/// - An epoch that was withdrawn is never supported again.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    epoch: u64,
    /// A wall time, of hybrid timestamps.
    until: u64,
    is_valid: bool,
}

/// What another store has promised.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    epoch: u64,
    until: u64,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    given: Given,
    received: Received,
    /// The epoch in which support is asked for.
    asked_epoch: u64,
    /// Of the other store's process; zero: not known.
    incarnation: u64,
}

/// The promises of a store, in both directions.
///
/// Lock order: the mutex inside is a leaf, but for the clock's.
pub(crate) struct Liveness {
    clock: Arc<Clock>,
    incarnation: u64,
    /// No votes before the clock has passed this.
    forgetful_until: u64,
    is_forgetful: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    peers: BTreeMap<StoreId, Peer>,
    changes: Vec<Change>,
    waker: Option<oneshot::Sender<()>>,
}

/// What travels with every batch of messages between two stores, and alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    now: Timestamp,
    incarnation: u64,
    /// The request: support in this epoch, up to then, of this incarnation of the receiver.
    asked_epoch: u64,
    asked_until: u64,
    of_incarnation: u64,
    /// The promise; `given_until` is zero if that epoch was withdrawn.
    given_epoch: u64,
    given_until: u64,
}

/// What goes with stamps that are sent alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Who waits for whom: see `wait`.
    pub edges: Vec<Edge>,
    pub closed: closed::Message,
}

fn put_edges(writer: &mut Writer<'_>, edges: &[Edge]) {
    writer.count(edges.len());
    for edge in edges {
        writer.0.extend_from_slice(&edge.waiter.to_bytes());
        writer.u8(edge.rank.priority.0);
        writer.timestamp(edge.rank.start);
        writer.0.extend_from_slice(&edge.blocker.to_bytes());
    }
}

fn get_edges(reader: &mut Reader<'_>) -> Result<Vec<Edge>, Malformed> {
    let txn = |reader: &mut Reader<'_>| -> Result<TxnId, Malformed> {
        let bytes = reader.take(16)?.try_into().map_err(|_| Malformed("transaction id"))?;
        Ok(TxnId::from_bytes(bytes))
    };
    let mut edges = Vec::new();
    for _ in 0..reader.count()? {
        let waiter = txn(reader)?;
        let rank = Rank { priority: Priority(reader.u8()?), start: reader.timestamp()? };
        edges.push(Edge { waiter, rank, blocker: txn(reader)? });
    }
    Ok(edges)
}

impl Stamp {
    fn encode(&self, rest: Option<&Rest>) -> Bytes {
        let mut bytes = Vec::with_capacity(64);
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        writer.timestamp(self.now);
        for number in [
            self.incarnation,
            self.asked_epoch,
            self.asked_until,
            self.of_incarnation,
            self.given_epoch,
            self.given_until,
        ] {
            writer.u64(number);
        }
        match rest {
            None => writer.u8(0),
            Some(rest) => {
                writer.u8(1);
                put_edges(&mut writer, &rest.edges);
                rest.closed.put(&mut writer);
            }
        }
        Bytes::from(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<(Stamp, Option<Rest>), Malformed> {
        let mut reader = Reader(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed("unknown version of a stamp"));
        }
        let stamp = Stamp {
            now: reader.timestamp()?,
            incarnation: reader.u64()?,
            asked_epoch: reader.u64()?,
            asked_until: reader.u64()?,
            of_incarnation: reader.u64()?,
            given_epoch: reader.u64()?,
            given_until: reader.u64()?,
        };
        let rest = if reader.u8()? == 0 {
            None
        } else {
            Some(Rest { edges: get_edges(&mut reader)?, closed: closed::Message::get(&mut reader)? })
        };
        reader.finish()?;
        Ok((stamp, rest))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Liveness {
    /// `may_have_promised`: the store has been in use before.
    pub fn new(clock: Arc<Clock>, may_have_promised: bool) -> Liveness {
        let incarnation = clock.now().wall;
        let longest = nanos(SUPPORT + clock.offset_max());
        let forgetful_until = if may_have_promised { incarnation.saturating_add(longest) } else { 0 };
        Liveness {
            clock,
            incarnation,
            forgetful_until,
            is_forgetful: AtomicBool::new(may_have_promised),
            state: Mutex::new(State::default()),
        }
    }

    /// Names this process: above every earlier one of this store.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether an earlier process on this store may have promised something that still counts.
    pub fn is_forgetful(&self) -> bool {
        if !self.is_forgetful.load(Ordering::Acquire) {
            return false;
        }
        if self.clock.now().wall <= self.forgetful_until {
            return true;
        }
        self.is_forgetful.store(false, Ordering::Release);
        false
    }

    /// The epoch in which the store is supported; zero: it is not.
    pub fn supports(&self, store: StoreId) -> u64 {
        let state = self.state.lock();
        state.peers.get(&store).filter(|peer| peer.given.is_valid).map_or(0, |peer| peer.given.epoch)
    }

    /// Up to which wall time the store has promised support in this epoch; zero: it has not.
    pub fn supported_until(&self, store: StoreId, epoch: u64) -> u64 {
        let state = self.state.lock();
        let received = state.peers.get(&store).map(|peer| peer.received);
        received.filter(|received| received.epoch == epoch).map_or(0, |received| received.until)
    }

    /// Whether the store supports this one now, in whatever epoch.
    pub fn is_supported_by(&self, store: StoreId) -> bool {
        let now = self.clock.now().wall;
        self.state.lock().peers.get(&store).is_some_and(|peer| peer.received.until > now)
    }

    /// What to say to a store, `rest` included.
    pub fn stamp(&self, to: StoreId, rest: Option<&Rest>) -> Bytes {
        let now = self.clock.now();
        let mut state = self.state.lock();
        self.withdraw_if_due(&mut state, to, now);
        let peer = self.peer(&mut state, to);
        let stamp = Stamp {
            now,
            incarnation: self.incarnation,
            asked_epoch: peer.asked_epoch,
            asked_until: now.wall.saturating_add(nanos(SUPPORT)),
            of_incarnation: peer.incarnation,
            given_epoch: peer.given.epoch,
            given_until: if peer.given.is_valid { peer.given.until } else { 0 },
        };
        stamp.encode(rest)
    }

    /// Takes in what a store has said. Gives what is not about promises.
    pub fn stamped(&self, from: StoreId, bytes: &[u8]) -> Result<Option<Rest>, SendError> {
        let (stamp, rest) = Stamp::decode(bytes).map_err(|error| SendError(error.to_string()))?;
        self.clock.observe(stamp.now).map_err(|error| SendError(error.to_string()))?;
        let now = self.clock.now();
        let mut state = self.state.lock();
        self.withdraw_if_due(&mut state, from, now);
        let incarnation = self.incarnation;
        let latest = now.wall.saturating_add(nanos(SUPPORT + self.clock.offset_max()));
        let peer = self.peer(&mut state, from);
        let mut changes = Vec::new();
        if stamp.incarnation > peer.incarnation {
            if peer.incarnation != 0 {
                peer.asked_epoch += 1;
            }
            peer.incarnation = stamp.incarnation;
            peer.received = Received::default();
            changes.push(Change::Answer(from));
        }
        if stamp.incarnation == peer.incarnation {
            changes.extend(take_request(&mut peer.given, &stamp, incarnation, latest, from));
            changes.extend(take_promise(peer, &stamp, from, now.wall));
        }
        state.tell(changes);
        Ok(rest)
    }

    /// Withdraws what has run out.
    pub fn audit(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let stores: Vec<StoreId> = state.peers.keys().copied().collect();
        for store in stores {
            self.withdraw_if_due(&mut state, store, now);
        }
    }

    fn withdraw_if_due(&self, state: &mut State, store: StoreId, now: Timestamp) {
        let Some(peer) = state.peers.get_mut(&store) else { return };
        if peer.given.is_valid && now.wall > peer.given.until {
            peer.given.is_valid = false;
            state.tell(vec![Change::Withdrawn(store)]);
        }
    }

    fn peer<'s>(&self, state: &'s mut State, store: StoreId) -> &'s mut Peer {
        state.peers.entry(store).or_insert_with(|| Peer {
            given: Given::default(),
            received: Received::default(),
            asked_epoch: self.incarnation,
            incarnation: 0,
        })
    }

    /// What has changed since it was last asked for; waits until something has.
    pub async fn changes(&self) -> Vec<Change> {
        loop {
            let receiver = {
                let mut state = self.state.lock();
                if !state.changes.is_empty() {
                    return std::mem::take(&mut state.changes);
                }
                let (sender, receiver) = oneshot::channel();
                state.waker = Some(sender);
                receiver
            };
            // A dropped sender means that there is another waiter: look again.
            let _ = receiver.await;
        }
    }
}

impl State {
    fn tell(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        for change in changes {
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        if let Some(waker) = self.waker.take() {
            // Who waited may have been dropped.
            let _ = waker.send(());
        }
    }
}

/// The other store asks for support.
fn take_request(given: &mut Given, stamp: &Stamp, own: u64, latest: u64, from: StoreId) -> Option<Change> {
    if stamp.of_incarnation != own || stamp.asked_epoch < given.epoch {
        return None;
    }
    let until = stamp.asked_until.min(latest);
    if stamp.asked_epoch == given.epoch {
        if given.is_valid {
            given.until = given.until.max(until);
        }
        return None;
    }
    // In a new epoch nobody relies on the one before any more.
    let was_valid = given.is_valid;
    *given = Given { epoch: stamp.asked_epoch, until, is_valid: true };
    Some(if was_valid { Change::Withdrawn(from) } else { Change::Answer(from) })
}

/// The other store says what it promises.
fn take_promise(peer: &mut Peer, stamp: &Stamp, from: StoreId, now: u64) -> Option<Change> {
    if stamp.given_epoch != peer.asked_epoch {
        return None;
    }
    if stamp.given_until == 0 {
        // It has withdrawn.
        peer.asked_epoch += 1;
        peer.received = Received::default();
        return Some(Change::Answer(from));
    }
    let is_new = peer.received.epoch != stamp.given_epoch;
    let until = if is_new { stamp.given_until } else { peer.received.until.max(stamp.given_until) };
    // It may have seemed to be away although it had not withdrawn: who went to sleep without it is to wake.
    let was_over = peer.received.until <= now && until > now;
    peer.received = Received { epoch: stamp.given_epoch, until };
    (is_new || was_over).then_some(Change::Supported(from))
}

#[cfg(test)]
mod tests {
    use clock::{ClockConfig, WallSource};
    use std::sync::atomic::AtomicU64;
    use stdx::WallTime;

    use super::*;

    const A: StoreId = StoreId(1);
    const B: StoreId = StoreId(2);

    /// A clock that is moved by hand, in milliseconds.
    #[derive(Clone)]
    struct Hand(Arc<AtomicU64>);

    impl WallSource for Hand {
        fn wall(&self) -> WallTime {
            WallTime::from_unix_nanos(self.0.load(Ordering::Relaxed) * 1_000_000)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    struct Pair {
        time: Hand,
        a: Liveness,
        b: Liveness,
    }

    impl Pair {
        fn new() -> Pair {
            let time = Hand(Arc::new(AtomicU64::new(1_000_000)));
            let (a, b) = (Pair::store(&time, false), Pair::store(&time, false));
            Pair { time, a, b }
        }

        fn store(time: &Hand, was_used: bool) -> Liveness {
            Liveness::new(Arc::new(Clock::unbounded(time.clone(), ClockConfig::default())), was_used)
        }

        fn pass(&self, millis: u64) {
            self.time.0.fetch_add(millis, Ordering::Relaxed);
        }

        fn exchange(&self) {
            self.b.stamped(A, &self.a.stamp(B, None)).expect("well-formed");
            self.a.stamped(B, &self.b.stamp(A, Some(&Rest::default()))).expect("well-formed");
        }

        fn drain(liveness: &Liveness) -> Vec<Change> {
            std::mem::take(&mut liveness.state.lock().changes)
        }
    }

    #[test]
    fn support_is_promised_prolonged_and_withdrawn_for_good() {
        let pair = Pair::new();
        pair.exchange();
        pair.exchange();
        let epoch = pair.b.supports(A);
        assert!(epoch != 0);
        let until = pair.a.supported_until(B, epoch);
        assert!(Pair::drain(&pair.a).contains(&Change::Supported(B)));
        pair.pass(500);
        pair.exchange();
        assert!(pair.a.supported_until(B, epoch) > until, "prolonged");
        // B hears nothing for too long.
        pair.pass(2_000);
        Pair::drain(&pair.b);
        pair.b.audit();
        assert_eq!(pair.b.supports(A), 0);
        assert_eq!(Pair::drain(&pair.b), [Change::Withdrawn(A)]);
        // A request in the old epoch changes nothing; A learns of it and begins a new one.
        pair.exchange();
        pair.exchange();
        pair.exchange();
        let next = pair.b.supports(A);
        assert!(next > epoch);
        assert_eq!(pair.a.supported_until(B, epoch), 0);
        assert!(pair.a.supported_until(B, next) > 0);
    }

    #[test]
    fn a_promise_that_was_forgotten_is_not_relied_upon() {
        let mut pair = Pair::new();
        pair.exchange();
        pair.exchange();
        let epoch = pair.b.supports(A);
        let stale = pair.a.stamp(B, None);
        // B restarts.
        pair.pass(100);
        pair.b = Pair::store(&pair.time, true);
        assert!(pair.b.is_forgetful());
        pair.b.stamped(A, &stale).expect("well-formed");
        assert_eq!(pair.b.supports(A), 0, "the request was made of another process");
        pair.exchange();
        assert_eq!(pair.a.supported_until(B, epoch), 0, "what the earlier process promised is over");
        pair.exchange();
        pair.exchange();
        assert!(pair.b.supports(A) > epoch);
        pair.pass(2_200);
        assert!(!pair.b.is_forgetful());
    }

    #[test]
    fn a_restarted_store_lets_its_followers_go_at_once() {
        let mut pair = Pair::new();
        pair.exchange();
        pair.exchange();
        let epoch = pair.b.supports(A);
        pair.pass(100);
        pair.a = Pair::store(&pair.time, true);
        Pair::drain(&pair.b);
        pair.exchange();
        pair.exchange();
        pair.exchange();
        assert!(Pair::drain(&pair.b).contains(&Change::Withdrawn(A)));
        assert!(pair.b.supports(A) > epoch);
    }

    #[test]
    fn damage_is_refused() {
        let pair = Pair::new();
        let stamp = pair.a.stamp(B, None);
        for end in 0..stamp.len() {
            assert!(pair.b.stamped(A, &stamp[..end]).is_err(), "truncated at {end}");
        }
    }
}
