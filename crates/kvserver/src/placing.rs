//! What a store keeps for deciding where replicas and leases should be: loads, what is wanted, what was decided. The decisions are
//! `placement`'s; what is done about them is `replicate`'s.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use keys::{Key, Span};
use kvapi::membership::{Capacity, Membership};
use kvapi::{KvError, RangeDescriptor};
use kvclient::{Locking, ScanOptions, Txn, TxnOptions};
use parking_lot::Mutex;
use placement::load::coarse;
use placement::{
    Amounts, Budget, Decision, Ledger, Limits, Overview, Policy, RangeConfig, RangeLoad, RangeView,
    RateMeter, SpanConfig, SpanConfigs,
};

use crate::moves::Receivers;
use crate::replica::Replica;
use crate::store::{Inner, StoreConfig};
use crate::tuning::StoreTuning;

/// A node that was silent for this long gets nothing new.
pub(crate) const SUSPECT_AFTER: Duration = Duration::from_secs(5);
/// Decisions are made on news that were taken up at most so long ago.
const OVERVIEW_AGE_MAX: Duration = Duration::from_secs(5);
/// Rounds between two looks at the keyspace, whether something else is wanted of ranges.
const CONFIGS_EVERY: u32 = 5;
/// How often the disk is asked how much is free.
const FREE_BYTES_EVERY: Duration = Duration::from_secs(10);
/// Replicas moved for balance by a store, per minute.
const MOVES_PER_MINUTE: u32 = 60;
/// Replicas moved for balance by a store in one round: a round looks at every range, and others wait for their repair.
const MOVES_PER_ROUND: u32 = 1;
/// How often it is said that ranges wait for a node.
const WAITING_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Leases handed over for balance by a store, per minute.
const TRANSFERS_PER_MINUTE: u32 = 120;

/// Counts what is asked of a replica. Counting reads no clock; see `placement::load`.
#[derive(Default)]
pub(crate) struct LoadCounter {
    /// Since the replica is here.
    requests: AtomicU64,
    written_bytes: AtomicU64,
    meters: Mutex<Meters>,
}

#[derive(Default)]
struct Meters {
    /// How many requests there had been at the last look.
    seen: u64,
    /// Of the lease with this term.
    requests: RateMeter,
    term: Option<u64>,
    written_bytes: RateMeter,
}

impl LoadCounter {
    #[inline]
    pub fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// So many requests since the replica is here.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn written(&self, bytes: usize) {
        self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Folds in what was counted since the last call, under a lease with this term or none.
    fn look(&self, now: Duration, term: Option<u64>) -> RangeLoad {
        let mut meters = self.meters.lock();
        if meters.term != term {
            (meters.requests, meters.term) = (RateMeter::default(), term);
        }
        let requests = self.requests();
        let before = std::mem::replace(&mut meters.seen, requests);
        meters.requests.look(now, requests.saturating_sub(before));
        meters.written_bytes.look(now, self.written_bytes.swap(0, Ordering::Relaxed));
        let requests = if term.is_some() { meters.requests.estimate() } else { 0.0 };
        RangeLoad { requests, written_bytes: meters.written_bytes.estimate() }
    }

    /// The load, once it was measured for long enough under one lease.
    fn known(&self) -> Option<RangeLoad> {
        let meters = self.meters.lock();
        let written_bytes = meters.written_bytes.rate()?;
        meters.term.and(meters.requests.rate()).map(|requests| RangeLoad { requests, written_bytes })
    }
}

/// What a store's rounds remember for placing.
pub(crate) struct Placing {
    ledger: Ledger,
    moves: Budget,
    transfers: Budget,
    /// Replicas moved for balance in this round.
    moved: u32,
    free: (Option<Duration>, u64),
    /// Rounds: another sample of the stores in each.
    salt: u64,
    /// Ranges that wait for a node which could take a replica, in this round; and when that was said last.
    waiting: u32,
    waiting_told: Option<Duration>,
}

/// The stores as they are known in a round, and what is wanted of ranges there.
pub(crate) struct Picture {
    made: Duration,
    pub stores: Overview,
    policies: BTreeMap<(RangeConfig, usize), Policy>,
}

/// What a look at a range has come to.
pub(crate) enum Decided {
    Nothing,
    Do(Decision),
    /// Something is to be done, and the stores that would get something have enough to do already.
    NoRoom,
}

/// The stores that get a replica or a lease.
pub(crate) fn receivers(decision: &Decision) -> Receivers {
    match decision {
        Decision::LeaveJoint => Receivers::new(),
        Decision::TransferLease { to, .. } => Receivers::from_iter([*to]),
        Decision::Change { add, .. } => add.iter().map(|(_, store)| *store).collect(),
    }
}

impl Placing {
    pub fn new() -> Placing {
        Placing {
            ledger: Ledger::default(),
            moves: Budget::per_minute(MOVES_PER_MINUTE),
            transfers: Budget::per_minute(TRANSFERS_PER_MINUTE),
            moved: 0,
            free: (None, 0),
            salt: 0,
            waiting: 0,
            waiting_told: None,
        }
    }

    /// A new round begins.
    pub fn begin_round(&mut self) {
        self.salt = self.salt.wrapping_add(1);
        (self.moved, self.waiting) = (0, 0);
    }

    /// A round has ended: says now and then that ranges wait for a node.
    pub fn end_round(&mut self, now: Duration) {
        if self.waiting == 0 {
            self.waiting_told = None;
        } else if self.waiting_told.is_none_or(|told| now >= told + WAITING_TOLD_EVERY) {
            self.waiting_told = Some(now);
            tracing::warn!(
                ranges = self.waiting,
                "replicas on nodes that are to be emptied stay there: no other node can take them. Add a node, or give up copies with \
                 meridian node decommission --force"
            );
        }
    }

    /// What this store has, to be told to others. Looks at every replica once.
    pub fn capacity(&mut self, inner: &Inner, replicas: &[Arc<Replica>]) -> Capacity {
        let now = inner.env.monotonic();
        if self.free.0.is_none_or(|asked| now >= asked + FREE_BYTES_EVERY) {
            self.free = (Some(now), inner.ranges.engine.free_bytes().unwrap_or(0));
        }
        let mut load = RangeLoad::default();
        let (mut leases, mut used_bytes) = (0, 0);
        for replica in replicas {
            let term = replica.state.lock().lease.map(|lease| lease.term);
            let of_replica = replica.load.look(now, term);
            load.requests += of_replica.requests;
            load.written_bytes += of_replica.written_bytes;
            used_bytes += replica.size_bytes.load(Ordering::Relaxed);
            leases += u64::from(term.is_some());
        }
        Capacity {
            ranges: replicas.len() as u64,
            leases,
            used_bytes,
            available_bytes: self.free.1,
            requests_per_second: coarse(load.requests),
            written_bytes_per_second: coarse(load.written_bytes),
        }
    }

    /// The stores as they are known now.
    pub fn picture(&mut self, inner: &Inner, membership: &dyn Membership) -> Picture {
        let limits = Limits {
            dead_after: inner.ranges.tuning.get().dead_after,
            suspect_after: SUSPECT_AFTER,
            ..Limits::default()
        };
        let made = inner.env.monotonic();
        let mut stores = Overview::new(&membership.nodes(), &limits);
        self.ledger.apply(made, &mut stores);
        Picture { made, stores, policies: BTreeMap::new() }
    }

    pub fn is_old(&self, inner: &Inner, picture: &Picture) -> bool {
        inner.env.monotonic() >= picture.made + OVERVIEW_AGE_MAX
    }

    /// What should be done about a range whose lease is here.
    pub fn decide(
        &mut self,
        inner: &Inner,
        picture: &mut Picture,
        replica: &Replica,
        descriptor: &RangeDescriptor,
    ) -> Decided {
        let wanted = inner.configs.known().of(&descriptor.span.start).cloned().unwrap_or_default();
        let (config, tuning) = (&inner.ranges.config, inner.ranges.tuning.get());
        let is_system = is_system(descriptor) || descriptor.span.end <= config.system_end;
        let default = if is_system { tuning.system_replicas } else { tuning.replicas };
        let replicas = wanted.replicas.map_or(default, usize::from);
        // Of what nobody has asked for fewer are enough, if there are fewer nodes.
        let kept = if wanted.replicas.is_some() { replicas } else { tuning.replicas };
        let stores = &picture.stores;
        let policy = picture
            .policies
            .entry((wanted, replicas))
            .or_insert_with_key(|(wanted, replicas)| stores.resolve(wanted, *replicas));
        let now = inner.env.monotonic();
        let range = RangeView {
            descriptor,
            own: config.store,
            policy,
            kept,
            size_bytes: replica.size_bytes.load(Ordering::Relaxed),
            load: replica.load.known(),
            may_move: self.moved < MOVES_PER_ROUND && self.moves.has(now),
            may_transfer: self.transfers.has(now),
            salt: self.salt,
        };
        let Some(decision) = placement::decide(&range, stores) else {
            self.waiting += u32::from(placement::waits_for_place(&range, stores));
            return Decided::Nothing;
        };
        if !inner.moves.has_room(&receivers(&decision)) {
            return Decided::NoRoom;
        }
        let load = range.load.unwrap_or_default();
        if decision.is_for_balance() {
            let budget = match &decision {
                Decision::Change { .. } => &mut self.moves,
                _ => &mut self.transfers,
            };
            if !budget.take(now) {
                return Decided::Nothing;
            }
            self.moved += u32::from(matches!(&decision, Decision::Change { .. }));
        }
        let size = range.size_bytes as f64;
        match &decision {
            Decision::TransferLease { to, .. } => {
                let amounts = Amounts::of_range(false, true, 0.0, load);
                picture.stores.shift(Some(config.store), Some(*to), &amounts);
                // What this store has itself is news at once.
                self.ledger.note(now, None, Some(*to), amounts);
            }
            Decision::Change { add, remove, .. } => {
                let amounts = Amounts::of_range(true, false, size, load);
                let moved = remove.iter().map(|store| (Some(*store), None));
                for (from, to) in moved.chain(add.iter().map(|(_, store)| (None, Some(*store)))) {
                    picture.stores.shift(from, to, &amounts);
                    self.ledger.note(now, from, to, amounts);
                }
            }
            Decision::LeaveJoint => {}
        }
        Decided::Do(decision)
    }
}

/// So many replicas some range keeps, whatever is to be emptied: see [`placement::RangeView::kept`].
pub(crate) fn kept_max(inner: &Inner) -> usize {
    let wanted = inner.configs.known().replicas_max().map_or(0, usize::from);
    inner.ranges.tuning.get().replicas.max(wanted)
}

/// Ranges without which no other is found, or no node works.
pub(crate) fn is_system(descriptor: &RangeDescriptor) -> bool {
    descriptor.span.start.first().is_none_or(|first| *first < keys::prefix::TABLE)
}

/// Where system tables end within a range, if they are to have other replicas than the rest and there are nodes for them.
fn system_border(config: &StoreConfig, tuning: &StoreTuning, nodes: usize, span: &Span) -> Option<Key> {
    let end = &config.system_end;
    let differs = tuning.system_replicas > tuning.replicas && nodes >= tuning.system_replicas;
    (differs && span.start < *end && *end < span.end).then(|| end.clone())
}

/// A store's picture of what is wanted of ranges.
#[derive(Default)]
pub(crate) struct Configs(Mutex<Arc<SpanConfigs>>);

impl Configs {
    pub fn known(&self) -> Arc<SpanConfigs> {
        self.0.lock().clone()
    }
}

impl Inner {
    /// Where a range must end because something else is wanted from there on. `nodes`: how many there are.
    pub(crate) fn border_in(&self, descriptor: &RangeDescriptor, nodes: usize) -> Option<Key> {
        let span = &descriptor.span;
        let system = system_border(&self.ranges.config, &self.ranges.tuning.get(), nodes, span);
        let border = self.configs.known().border_in(span).cloned().or(system)?;
        keys::split::check_split_key(&border).is_ok().then_some(border)
    }
}

/// Keeps the picture. A task of its own: what it reads may have to be repaired first.
pub(crate) async fn run_configs(store: Weak<Inner>) {
    let mut version = None;
    loop {
        let Some(inner) = store.upgrade() else { return };
        let pause = inner.ranges.tuning.pause(&inner.env, |tuning| tuning.replicate_interval * CONFIGS_EVERY);
        match read_configs(&inner, version).await {
            Ok(None) => {}
            Ok(Some((newer, configs))) => {
                version = Some(newer);
                *inner.configs.0.lock() = Arc::new(configs);
            }
            Err(error) => tracing::debug!(%error, "what is wanted of ranges is not known anew"),
        }
        drop(inner);
        pause.is_over().await;
    }
}

/// What is wanted of ranges, if another version of it is known.
async fn read_configs(inner: &Inner, known: Option<u64>) -> Result<Option<(u64, SpanConfigs)>, KvError> {
    let options = TxnOptions { read_only: true, ..TxnOptions::default() };
    inner.db()?.transact(options, |txn| Box::pin(read_configs_in(txn, known))).await
}

async fn read_configs_in(txn: &Txn, known: Option<u64>) -> Result<Option<(u64, SpanConfigs)>, KvError> {
    let stored = txn.get(&keys::system::config_version(), Locking::NONE).await?;
    let version = match stored.as_deref().map(<[u8; 8]>::try_from) {
        None => 0,
        Some(Ok(bytes)) => u64::from_be_bytes(bytes),
        Some(Err(_)) => return Err(KvError::corruption("the version of configurations is malformed")),
    };
    if known == Some(version) {
        return Ok(None);
    }
    let mut configs = Vec::new();
    let mut scan = txn.scan(ScanOptions::forward(keys::system::config_span()));
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let malformed =
                |what: String| KvError::corruption(format!("the configuration of a span: {what}"));
            let start = keys::system::parse_config(row.key).map_err(|error| malformed(error.to_string()))?;
            let config = SpanConfig::decode(start, row.value.unwrap_or_default());
            configs.push(config.map_err(|error| malformed(error.to_string()))?);
        }
    }
    Ok(Some((version, SpanConfigs::new(configs))))
}
