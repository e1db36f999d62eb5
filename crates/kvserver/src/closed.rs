//! Closed timestamps: up to where a range is finished, so that every replica can read there without its leaseholder.
//!
//! A leaseholder *closes* a timestamp: from then on it makes no write at or below it. A replica that has everything up to there, and
//! knows that nothing more comes, answers reads at or below it by itself: on the nearest node, and while the leaseholder is away.
//!
//! ```text
//!   leaseholder, four times a second                              another replica
//!     target = now - 3 s
//!     no write in flight at or below target?
//!     floor of the timestamp cache >= target
//!     "range 7 is closed up to target,      ---- stamp ---->      remembers both; once it has applied entry 812:
//!      from entry 812 of its log on"                              serves reads up to target
//! ```
//!
//! # Why what is closed stays closed
//!
//! - *Writes of this lease.* A write fixes its timestamp under the range's mutex, above the timestamp cache's floor, after its latches were
//!   granted, and keeps the latches until it is applied. So what is fixed later lies above the target, what was fixed before and is still
//!   under way is seen in the latch table (then nothing is closed this time), and everything else has been applied here: it is
//!   in the log at or below the index that is told. The split's latch lies below every timestamp: nothing is closed while a split is
//!   under way, so that what is closed is closed for a whole descriptor.
//! - *Writes of later leases.* A timestamp is closed only while the lease stands. It lies below now, that below the end of the lease, and the next
//!   lease starts above that (see `liveness`). Nobody can write below the start of his lease: it is the floor of his timestamp cache.
//!   A right half begins with what its left half had closed where the split stands in the log, and with the same floor.
//! - *Intents.* One that was placed above what was closed then, and below what is closed now, is in the replica's state. A reader that meets
//!   it does not wait or push: it is sent to the leaseholder. When it is resolved, the version lies at or above the intent.
//!
//! A pair of index and timestamp is true for ever once it was true, and for every replica of the range: what is applied at an index is
//! the same everywhere. So nothing of this is stored, pairs may be lost, repeated and overtaken, and a replica takes the best of
//! all that it has heard, from whichever store.
//!
//! # What is sent
//!
//! Nothing goes with a command: the write path does not know of any of this. What is closed goes with the stamps that stores exchange anyway,
//! as a stream of *differences*: one timestamp for all ranges told, and of ranges alone those whose index has changed since the last message
//! that the other store has acknowledged. A range that rests costs nothing; a busy one 16 bytes four times a second, however many writes it
//! has. A range with a write in flight below the target is taken out of the stream until next time. A message says from which one
//! on it counts: whoever has that one or a later one may take it; whoever has lost all (a restart) acknowledges
//! nothing, and is told everything.
//!
//! # Reading at a replica
//!
//! A replica reads without latch. What could change under the reader at or below its timestamp is not a write but the state as such: a
//! snapshot that replaces it, the end of the replica, garbage collection. Each announces itself *before* it touches the engine
//! ([`RangeState::freeze`], the threshold), and the reader looks after it has read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clock::Timestamp;
use keys::{RangeId, StoreId};
use kvapi::wire::{Malformed, Reader, Writer};
use kvapi::{Header, KvError, RangeDescriptor};
use parking_lot::Mutex;
use storage::mvcc::{MvccError, ReadView};

use crate::read::Access;
use crate::replica::{RangeState, Replica};
use crate::store::{Inner, read_timestamp_and_limit};

/// Ranges of which one other store is told, at most: one message has them all after a restart, 16 bytes each. Those beyond are read at their
/// leaseholders.
const TOLD_MAX: usize = 65_536;

/// What one store says to another. `base` zero: it is all there is to say; else what has changed since that message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// Which process of the sender this is a stream of: rises with every restart.
    pub stream: u64,
    pub base: u64,
    pub sequence: u64,
    /// Of every range in the stream.
    pub closed: Timestamp,
    /// Ranges, and the index that their replicas must have applied.
    pub changed: Vec<(RangeId, u64)>,
    pub gone: Vec<RangeId>,
    /// The last message taken of the receiver's own stream, by stream and sequence.
    pub acknowledged: (u64, u64),
}

impl Message {
    pub fn put(&self, writer: &mut Writer<'_>) {
        for number in [self.stream, self.base, self.sequence, self.acknowledged.0, self.acknowledged.1] {
            writer.u64(number);
        }
        writer.timestamp(self.closed);
        writer.count(self.changed.len());
        for (range, index) in &self.changed {
            writer.u64(range.get());
            writer.u64(*index);
        }
        writer.count(self.gone.len());
        self.gone.iter().for_each(|range| writer.u64(range.get()));
    }

    pub fn get(reader: &mut Reader<'_>) -> Result<Message, Malformed> {
        let (stream, base, sequence) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let acknowledged = (reader.u64()?, reader.u64()?);
        let closed = reader.timestamp()?;
        let mut changed = Vec::new();
        for _ in 0..reader.count()? {
            changed.push((RangeId(reader.u64()?), reader.u64()?));
        }
        let mut gone = Vec::new();
        for _ in 0..reader.count()? {
            gone.push(RangeId(reader.u64()?));
        }
        Ok(Message { stream, base, sequence, closed, changed, gone, acknowledged })
    }
}

#[derive(Clone, Copy)]
struct Told {
    index: u64,
    /// The message with which that was new.
    since: u64,
}

/// What another store is told.
///
/// - A range is in one of `ranges` and `gone` at most.
/// - `gone` has every range that was taken out after message `forgotten`.
#[derive(Default)]
struct Sent {
    sequence: u64,
    acknowledged: u64,
    closed: Timestamp,
    ranges: BTreeMap<RangeId, Told>,
    gone: BTreeMap<RangeId, u64>,
    forgotten: u64,
}

impl Sent {
    /// Begins the next message. `ranges` ascend.
    fn advance(&mut self, closed: Timestamp, ranges: Vec<(RangeId, u64)>) {
        self.sequence += 1;
        self.closed = closed;
        let sequence = self.sequence;
        let mut rest = std::mem::take(&mut self.ranges);
        for (range, index) in ranges {
            let before = rest.remove(&range).filter(|told| told.index == index);
            self.ranges.insert(range, before.unwrap_or(Told { index, since: sequence }));
            self.gone.remove(&range);
        }
        self.gone.extend(rest.into_keys().map(|range| (range, sequence)));
    }

    fn acknowledge(&mut self, sequence: u64) {
        self.acknowledged = sequence;
        if sequence > self.forgotten && sequence <= self.sequence {
            self.gone.retain(|_, since| *since > sequence);
            self.forgotten = sequence;
        }
    }

    fn message(&self) -> Message {
        let has = self.acknowledged;
        let base = if has >= self.forgotten && has <= self.sequence { has } else { 0 };
        let changed = self.ranges.iter().filter(|(_, told)| told.since > base);
        let gone = self.gone.iter().filter(|(_, since)| base > 0 && **since > base);
        Message {
            base,
            sequence: self.sequence,
            closed: self.closed,
            changed: changed.map(|(range, told)| (*range, told.index)).collect(),
            gone: gone.map(|(range, _)| *range).collect(),
            ..Message::default()
        }
    }
}

/// What another store has said.
#[derive(Default)]
struct Heard {
    stream: u64,
    sequence: u64,
    closed: Timestamp,
    ranges: BTreeMap<RangeId, u64>,
}

impl Heard {
    fn take(&mut self, message: Message) {
        if message.stream > self.stream {
            *self = Heard { stream: message.stream, ..Heard::default() };
        }
        let is_new = message.stream == self.stream && message.sequence > self.sequence;
        if !is_new || message.base > self.sequence {
            return;
        }
        if message.base == 0 {
            self.ranges.clear();
        }
        (self.sequence, self.closed) = (message.sequence, message.closed);
        for range in &message.gone {
            self.ranges.remove(range);
        }
        self.ranges.extend(message.changed);
    }
}

/// What the stores have told one another of what is closed. Lock order: leaf.
pub(crate) struct Closed {
    /// Names this process's streams.
    stream: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: BTreeMap<StoreId, Sent>,
    heard: BTreeMap<StoreId, Heard>,
}

impl Closed {
    /// `stream`: above that of every earlier process of this store.
    pub fn new(stream: u64) -> Closed {
        Closed { stream, state: Mutex::default() }
    }

    /// What is closed now, for each other store: ranges and indexes, ascending.
    fn advance(&self, closed: Timestamp, mut told: BTreeMap<StoreId, Vec<(RangeId, u64)>>) {
        let mut state = self.state.lock();
        for (store, sent) in &mut state.sent {
            sent.advance(closed, told.remove(store).unwrap_or_default());
        }
        for (store, ranges) in told {
            state.sent.entry(store).or_default().advance(closed, ranges);
        }
    }

    /// What there is to say to a store.
    pub fn message(&self, to: StoreId) -> Message {
        let state = self.state.lock();
        let message = state.sent.get(&to).map(Sent::message).unwrap_or_default();
        let acknowledged = state.heard.get(&to).map_or((0, 0), |heard| (heard.stream, heard.sequence));
        Message { stream: self.stream, acknowledged, ..message }
    }

    /// Takes in what a store has said.
    pub fn hear(&self, from: StoreId, message: Message) {
        let mut state = self.state.lock();
        let (stream, sequence) = message.acknowledged;
        if let Some(sent) = state.sent.get_mut(&from) {
            sent.acknowledge(if stream == self.stream { sequence } else { 0 });
        }
        state.heard.entry(from).or_default().take(message);
    }

    /// The best that was heard of a range whose replica here has applied its log up to an index.
    pub fn heard_of(&self, range: RangeId, applied: u64) -> Timestamp {
        let state = self.state.lock();
        let heard =
            state.heard.values().filter(|heard| heard.ranges.get(&range).is_some_and(|at| *at <= applied));
        heard.map(|heard| heard.closed).max().unwrap_or(Timestamp::ZERO)
    }
}

impl RangeState {
    /// What readers without lease see is about to be replaced, or to end.
    pub fn freeze(&mut self) {
        self.is_frozen = true;
        self.freezes += 1;
    }

    /// It stands again, as it was or replaced.
    pub fn thaw(&mut self) {
        self.is_frozen = false;
    }
}

impl Replica {
    /// As leaseholder: closes a timestamp, if no write in flight is in the way. Gives from which index on that holds.
    fn close(&self, target: Timestamp) -> Option<(u64, Arc<RangeDescriptor>)> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let lease = state.check_lease(&self.ranges).ok()?;
        if lease.is_alone || state.manager.latches.holds_at_or_below(target) {
            return None;
        }
        debug_assert!(target.wall < lease.until, "the next lease starts above what is closed");
        state.closed = state.closed.max(target);
        if !self.ranges.config.planted.has(kvapi::planted::Bug::WriteBelowClosed) {
            state.manager.reads.raise_floor(target);
        }
        Some((self.applied_index.load(Ordering::Acquire), state.descriptor.clone()))
    }

    /// Up to where the range is finished, as far as is known here.
    pub fn closed_at(&self, state: &mut RangeState) -> Timestamp {
        let applied = self.applied_index.load(Ordering::Acquire);
        let ignores = self.ranges.config.planted.has(kvapi::planted::Bug::FollowUnapplied);
        let applied = if ignores { u64::MAX } else { applied };
        state.closed = state.closed.max(self.ranges.closed.heard_of(self.id, applied));
        state.closed
    }
}

impl Inner {
    /// Closes what can be closed of the ranges whose leases are here, for the next stamps to tell.
    pub(crate) fn close_ranges(&self) {
        let own = self.ranges.config.store;
        let target = self.ranges.clock.now().saturating_sub(self.ranges.tuning.get().closed_lag);
        let mut told: BTreeMap<StoreId, Vec<(RangeId, u64)>> = BTreeMap::new();
        for replica in self.ranges.all() {
            let Some((index, descriptor)) = replica.close(target) else { continue };
            for other in descriptor.replicas.iter().filter(|other| other.store != own) {
                let ranges = told.entry(other.store).or_default();
                if ranges.len() < TOLD_MAX {
                    ranges.push((replica.id, index));
                }
            }
        }
        self.ranges.closed.advance(target, told);
    }

    /// Reads without the lease, if everything up to where is read is closed and here. Else the answer is `refusal`: where to ask.
    #[cold]
    pub(crate) fn follow<T>(
        &self,
        replica: &Replica,
        header: &Header,
        access: &Access<'_>,
        evaluate: impl Fn(&ReadView) -> Result<T, MvccError>,
        refusal: KvError,
    ) -> Result<(T, Timestamp), KvError> {
        let (timestamp, limit) = read_timestamp_and_limit(header, &self.ranges.clock);
        let found = self.follow_at(replica, header, access, evaluate, timestamp, limit);
        let counts = &self.ranges.follower_reads;
        match found {
            Some(found) => {
                counts.served.fetch_add(1, Ordering::Relaxed);
                Ok((found, timestamp))
            }
            None => {
                // Of what is younger nobody expects that a follower serves it.
                let due = self.ranges.clock.last().saturating_sub(self.ranges.tuning.get().closed_lag);
                if limit <= due {
                    counts.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(refusal)
            }
        }
    }

    fn follow_at<T>(
        &self,
        replica: &Replica,
        header: &Header,
        access: &Access<'_>,
        evaluate: impl Fn(&ReadView) -> Result<T, MvccError>,
        timestamp: Timestamp,
        limit: Timestamp,
    ) -> Option<T> {
        // What a transaction has written or locked itself may not have come here yet.
        if header.txn.as_ref().is_some_and(|txn| txn.meta.anchor.is_some()) {
            return None;
        }
        let (view, freezes) = {
            let mut state = replica.state.lock();
            if state.is_frozen || !access.lies_within(&state.descriptor) {
                return None;
            }
            state.check_threshold(timestamp).ok()?;
            if limit > replica.closed_at(&mut state) {
                return None;
            }
            // Nothing that was observed counts: values were placed by other nodes' clocks.
            let view = match &header.txn {
                Some(txn) => ReadView { timestamp, ..ReadView::of(txn, limit) },
                None => ReadView::at(timestamp),
            };
            // Read after what is closed: every intent at or below that is counted.
            (ReadView { intents_absent: replica.has_no_intents(), ..view }, state.freezes)
        };
        // An intent, or a value within the uncertainty interval: the leaseholder knows what to do.
        let found = evaluate(&view).ok()?;
        let is_kept = timestamp.wall > replica.gc_threshold_wall.load(Ordering::Acquire);
        let state = replica.state.lock();
        (is_kept && !state.is_frozen && state.freezes == freezes).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stdx::Prng;

    const A: StoreId = StoreId(1);
    const B: StoreId = StoreId(2);

    fn at(wall: u64) -> Timestamp {
        Timestamp::new(wall, 0)
    }

    fn told(ranges: &[(u64, u64)]) -> BTreeMap<StoreId, Vec<(RangeId, u64)>> {
        BTreeMap::from([(B, ranges.iter().map(|(range, index)| (RangeId(*range), *index)).collect())])
    }

    /// Both directions, so that what was taken is acknowledged.
    fn exchange(a: &Closed, b: &Closed) {
        b.hear(A, a.message(B));
        a.hear(B, b.message(A));
    }

    #[test]
    fn a_range_that_rests_is_told_once_and_what_is_closed_counts_for_it_on() {
        let (a, b) = (Closed::new(1), Closed::new(1));
        a.advance(at(10), told(&[(7, 100), (8, 5)]));
        assert_eq!(a.message(B).changed.len(), 2);
        exchange(&a, &b);
        a.advance(at(20), told(&[(7, 100), (8, 6)]));
        assert_eq!(a.message(B).changed, [(RangeId(8), 6)]);
        exchange(&a, &b);
        assert_eq!(b.heard_of(RangeId(7), 100), at(20));
        assert_eq!(b.heard_of(RangeId(7), 99), Timestamp::ZERO, "not applied yet");
        assert_eq!(b.heard_of(RangeId(8), 5), Timestamp::ZERO, "not applied yet");
        a.advance(at(30), told(&[(8, 6)]));
        assert_eq!(a.message(B).gone, [RangeId(7)]);
        exchange(&a, &b);
        assert_eq!(b.heard_of(RangeId(7), 100), Timestamp::ZERO, "it is told no more");
        assert_eq!(b.heard_of(RangeId(8), 6), at(30));
    }

    #[test]
    fn whoever_restarts_tells_and_is_told_everything() {
        let (a, mut b) = (Closed::new(1), Closed::new(1));
        a.advance(at(10), told(&[(7, 100)]));
        exchange(&a, &b);
        b = Closed::new(2);
        a.advance(at(20), told(&[(7, 100)]));
        exchange(&a, &b);
        assert_eq!(b.heard_of(RangeId(7), 100), Timestamp::ZERO, "a difference to what it has lost");
        exchange(&a, &b);
        assert_eq!(b.heard_of(RangeId(7), 100), at(20));
        let late = a.message(B);
        let a = Closed::new(2);
        a.advance(at(30), told(&[(9, 1)]));
        exchange(&a, &b);
        b.hear(A, late);
        assert_eq!(b.heard_of(RangeId(7), 100), Timestamp::ZERO, "what an earlier process says late");
        assert_eq!(b.heard_of(RangeId(9), 1), at(30));
    }

    #[test]
    fn messages_survive_and_damage_is_refused() {
        let message = Message {
            stream: 1,
            base: 2,
            sequence: 3,
            closed: at(4),
            changed: vec![(RangeId(5), 6)],
            gone: vec![RangeId(7)],
            acknowledged: (8, 9),
        };
        let mut bytes = Vec::new();
        message.put(&mut Writer(&mut bytes));
        let mut reader = Reader(&bytes);
        assert_eq!(Message::get(&mut reader), Ok(message));
        reader.finish().expect("nothing is left");
        for end in 0..bytes.len() {
            assert!(Message::get(&mut Reader(&bytes[..end])).is_err(), "truncated at {end}");
        }
    }

    /// Whatever is lost, doubled, overtaken or forgotten: what is believed was told, as one.
    #[test]
    fn what_is_heard_was_said_whatever_becomes_of_the_messages() {
        let mut prng = Prng::new(17);
        for _ in 0..200 {
            let (mut stream, mut said) = (1, BTreeMap::new());
            let (mut a, mut b) = (Closed::new(stream), Closed::new(1));
            let (mut to_b, mut to_a) = (Vec::new(), Vec::new());
            for step in 1..150_u64 {
                let ranges: Vec<(u64, u64)> =
                    (0..6).filter(|_| prng.index(3) > 0).map(|range| (range, step / 20)).collect();
                a.advance(at(step), told(&ranges));
                said.insert(at(step), ranges);
                to_b.push(a.message(B));
                to_a.push(b.message(A));
                for _ in 0..prng.index(3) {
                    let (one, other) = (prng.index(to_b.len()), prng.index(to_a.len()));
                    b.hear(A, to_b[one].clone());
                    a.hear(B, to_a[other].clone());
                }
                if prng.index(40) == 0 {
                    b = Closed::new(step + 1);
                }
                if prng.index(40) == 0 {
                    stream += 1;
                    a = Closed::new(stream);
                }
                let state = b.state.lock();
                let Some(heard) = state.heard.get(&A).filter(|heard| heard.sequence > 0) else { continue };
                let believed: Vec<(u64, u64)> =
                    heard.ranges.iter().map(|(range, index)| (range.get(), *index)).collect();
                assert_eq!(believed, said[&heard.closed], "closed at {}", heard.closed);
            }
        }
    }
}
