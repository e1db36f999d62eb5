//! Background work of a store. Every kind is bounded; what a bound drops is found again by the sweep. The kinds that are told of by
//! events have tasks of their own, so that none waits for another: see `events`.
//!
//! | work | comes from | bound |
//! | --- | --- | --- |
//! | addressing records | a split, or a change of replicas; the beginning of a lease | its event queue |
//! | ending removed replicas | messages for a later replica, a snapshot that finds its place taken | its event queue |
//! | splits by size | a command made a range too large | one mark per range |
//! | splits by load: see `hot` | the clock | one look at a time |
//! | merges: see `merge` | the clock | one at a time |
//! | finishing transactions | a record ended with intents left | tasks at once |
//! | garbage, abandoned locks, old records | the clock | one sweep at a time |
//! | comparing replicas: see `check` | the clock | one range at a time |

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::Timestamp;
use env::{BoxFuture, TaskHandle};
use keys::{Key, RangeId, addressing, local};
use kvapi::{
    BatchRequest, ForgetTxnRequest, Header, IntentUpdate, KvError, Priority, PushKind, RangeDescriptor, Span,
    TxnRecord, TxnStatus,
};
use kvclient::{Locking, ScanOptions, Txn, TxnOptions};
use parking_lot::Mutex;
use storage::mvcc::{self, SplitPoint};
use storage::{CursorOptions, Keyspace};

use crate::conflict::anchor_of;
use crate::events::{EventQueue, Events};
use crate::placing::is_system;
use crate::replica::Replica;
use crate::splits::SplitReason;
use crate::store::{Inner, next_round, storage_error};
use crate::{check, hot, merge};

/// Transactions being finished at once.
const FINISHING_MAX: usize = 256;
/// After this an ended transaction's record without known intents is forgotten, and a silent one's coordinator is asked after.
const RECORD_AGE: Duration = Duration::from_secs(3600);
/// Locks older than this are looked after by the sweep even if nobody waits for them.
const LOCK_AGE: Duration = Duration::from_secs(30);
/// Records that one sweep of a range looks at.
const RECORDS_PER_SWEEP: usize = 1_024;
/// Addressing records of ranges without any written at once: where one of them goes may not be reached for a while.
const PUBLISHING_MAX: usize = 4;
/// Addressing records that are read at once where one is to be written: mostly there is one within, and one behind.
const RECORDS_PER_PAGE: u64 = 4;
/// Before a failed piece of work is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The tasks of a store.
pub(crate) struct Tasks {
    handles: Mutex<Vec<TaskHandle>>,
    stopped: AtomicBool,
    finishing: AtomicUsize,
}

impl Tasks {
    pub fn new() -> Tasks {
        Tasks {
            handles: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            finishing: AtomicUsize::new(0),
        }
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        for handle in self.handles.lock().drain(..) {
            handle.abort();
        }
    }

    pub fn keep(&self, handles: impl IntoIterator<Item = TaskHandle>) {
        self.handles.lock().extend(handles);
    }

    /// Transactions being finished.
    pub fn finishing(&self) -> usize {
        self.finishing.load(Ordering::Relaxed)
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts background work.
pub(crate) fn start(inner: &Arc<Inner>) {
    let publish = |queue: fn(&Events) -> &EventQueue<RangeDescriptor>| {
        let work = run_events(Arc::downgrade(inner), queue, |inner, (_, descriptor)| {
            Box::pin(inner.publish(descriptor))
        });
        inner.env.spawn("range-addressing", Box::pin(work))
    };
    inner.tasks.keep([publish(|events| &events.addressing_described)]);
    inner.tasks.keep((0..PUBLISHING_MAX).map(|_| publish(|events| &events.described)));
    let too_large = run_events(
        Arc::downgrade(inner),
        |events| &events.too_large,
        |inner, (range, ())| Box::pin(inner.split_by_size(*range)),
    );
    let replaced = run_events(
        Arc::downgrade(inner),
        |events| &events.replaced,
        |inner, (range, ())| Box::pin(inner.collect_replica(*range)),
    );
    let splits = inner.env.spawn("range-splits", Box::pin(too_large));
    let collection = inner.env.spawn("range-collection", Box::pin(replaced));
    let sweep = inner.env.spawn("range-sweep", Box::pin(run_sweeps(Arc::downgrade(inner))));
    let checks = inner.env.spawn("range-checks", Box::pin(check::run(Arc::downgrade(inner))));
    let heat = inner.env.spawn("range-heat", Box::pin(hot::run(Arc::downgrade(inner))));
    let merges = inner.env.spawn("range-merges", Box::pin(merge::run(Arc::downgrade(inner))));
    inner.tasks.keep([splits, collection, sweep, checks, heat, merges]);
}

/// The record of a range, in the place of all that are older: a range that has absorbed others has theirs within its own span. Nothing if a newer
/// one has a part of the span: then this one is late.
fn put_in_place(txn: &Txn, key: Key, descriptor: RangeDescriptor) -> BoxFuture<'_, Result<(), KvError>> {
    Box::pin(async move {
        let start = addressing::descriptor_key(&descriptor.span.start);
        let start = start.ok_or_else(|| KvError::invalid("the first range has no addressing record"))?;
        let span = Span { start: start.next(), end: addressing::META2_SPAN.end };
        let mut scan = txn.scan(ScanOptions { page_rows: RECORDS_PER_PAGE, ..ScanOptions::forward(span) });
        let mut within = Vec::new();
        'scan: while let Some(page) = scan.next_page(txn).await? {
            for row in page.iter() {
                let found = RangeDescriptor::decode(row.value.unwrap_or_default());
                let found =
                    found.map_err(|error| KvError::corruption(format!("an addressing record: {error}")))?;
                if found.span.overlaps(&descriptor.span) && found.generation >= descriptor.generation {
                    return Ok(());
                }
                match row.key.cmp(&key[..]) {
                    std::cmp::Ordering::Less => within.push(Key::copy_from(row.key)),
                    std::cmp::Ordering::Equal => {}
                    // The one behind tells whether this one is late, all others begin later.
                    std::cmp::Ordering::Greater => break 'scan,
                }
            }
        }
        within.iter().try_for_each(|stale| txn.delete(stale))?;
        txn.put(&key, &descriptor.encode())
    })
}

fn put_if_newer(txn: &Txn, key: Key, descriptor: RangeDescriptor) -> BoxFuture<'_, Result<(), KvError>> {
    Box::pin(async move {
        let stored = txn.get(&key, Locking::NONE).await?;
        let is_newer = |stored: RangeDescriptor| stored.generation >= descriptor.generation;
        if stored.is_some_and(|stored| RangeDescriptor::decode(&stored).is_ok_and(is_newer)) {
            return Ok(());
        }
        txn.put(&key, &descriptor.encode())
    })
}

/// Does what the events of one kind ask for, one after the other.
async fn run_events<T: Debug>(
    store: Weak<Inner>,
    queue: fn(&Events) -> &EventQueue<T>,
    work: for<'a> fn(&'a Arc<Inner>, &'a (RangeId, T)) -> BoxFuture<'a, Result<(), KvError>>,
) {
    loop {
        let Some(ranges) = store.upgrade().map(|inner| inner.ranges.clone()) else { return };
        let event = queue(&ranges.events).next().await;
        drop(ranges);
        let Some(inner) = store.upgrade() else { return };
        if inner.tasks.is_stopped() {
            return;
        }
        if let Err(error) = work(&inner, &event).await {
            tracing::debug!(%error, ?event, "background work failed and is tried again");
            inner.env.sleep(RETRY_PAUSE).await;
            let (range, event) = event;
            queue(&inner.ranges.events).tell_again(range, event);
        }
    }
}

async fn run_sweeps(store: Weak<Inner>) {
    loop {
        let Some(inner) = next_round(&store, |_, tuning| tuning.sweep_interval).await else { return };
        for replica in inner.ranges.all() {
            if inner.tasks.is_stopped() {
                return;
            }
            if replica.state.lock().lease.is_none() {
                continue;
            }
            if let Err(error) = inner.sweep(&replica).await {
                tracing::debug!(%error, range = %replica.id, "a sweep of a range was cut short");
            }
        }
    }
}

impl Inner {
    /// Writes an addressing record, unless a newer one is there.
    async fn publish(&self, descriptor: &RangeDescriptor) -> Result<(), KvError> {
        if descriptor.id == RangeId::FIRST
            && let Some(membership) = self.membership()
        {
            membership.publish_first_range(descriptor);
        }
        let Some(key) = addressing::descriptor_key(&descriptor.span.end) else { return Ok(()) };
        let db = self.db()?;
        if is_system(descriptor) {
            // These are never merged.
            db.transact(TxnOptions::default(), |txn| put_if_newer(txn, key.clone(), descriptor.clone())).await
        } else {
            db.transact(TxnOptions::default(), |txn| put_in_place(txn, key.clone(), descriptor.clone())).await
        }
    }

    /// Splits a range in halves if it still is too large.
    async fn split_by_size(self: &Arc<Self>, range: RangeId) -> Result<(), KvError> {
        let Ok(replica) = self.ranges.get(range) else { return Ok(()) };
        let size = replica.size_bytes.load(Ordering::Relaxed);
        if size <= self.ranges.tuning.get().range_bytes_max || replica.state.lock().lease.is_none() {
            replica.split_queued.store(false, Ordering::Release);
            return Ok(());
        }
        let result = self.split_in_halves(&replica).await;
        replica.split_queued.store(false, Ordering::Release);
        if result? {
            // What is left of it may still be too large.
            self.ranges.watch_size(&replica);
        }
        Ok(())
    }

    /// Whether it, or what is thought of its size, is another now.
    async fn split_in_halves(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<bool, KvError> {
        let span = replica.state.lock().descriptor.span.clone();
        let statistics = replica.apply.lock().statistics;
        let sizes = [
            (Keyspace::Current, statistics.live_bytes + statistics.deletion_bytes),
            (Keyspace::History, statistics.history_bytes),
            (Keyspace::Intents, statistics.intent_bytes),
        ];
        // By what makes it large; of equal ones the first.
        let largest = sizes.into_iter().rev().max_by_key(|(_, bytes)| *bytes);
        let (keyspace, bytes) =
            largest.map(|(keyspace, bytes)| (keyspace, bytes.max(0) as u64)).expect("three");
        let found = mvcc::find_split_key(&*self.ranges.engine, &span, keyspace, bytes / 2);
        let at = match found.map_err(storage_error)? {
            SplitPoint::At(key) => key,
            SplitPoint::Nowhere => return Ok(false),
            SplitPoint::Smaller => return self.correct_statistics(replica).await.map(|()| true),
        };
        if keys::split::check_split_key(&at).is_err() {
            return Ok(false);
        }
        // Not by way of the addressing records: the range is here.
        self.split_for(replica.clone(), at, SplitReason::Size).await.map(|_| true)
    }

    /// Resolves the intents that an ended transaction has left, and forgets its record.
    pub(crate) fn finish_later(self: &Arc<Self>, record: &TxnRecord, anchor: &Key) {
        if self.tasks.is_stopped() {
            return;
        }
        if self.tasks.finishing.fetch_add(1, Ordering::AcqRel) >= FINISHING_MAX {
            self.tasks.finishing.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let (record, anchor, store) = (record.clone(), anchor.clone(), Arc::downgrade(self));
        let finish = async move {
            let Some(inner) = store.upgrade() else { return };
            if let Err(error) = inner.finish(&record, &anchor).await {
                tracing::debug!(%error, txn = %record.meta.id, "a transaction was left to be finished by others");
            }
            inner.tasks.finishing.fetch_sub(1, Ordering::AcqRel);
        };
        drop(self.env.spawn("finish-transaction", Box::pin(finish)));
    }

    async fn finish(&self, record: &TxnRecord, anchor: &Key) -> Result<(), KvError> {
        let db = self.db()?;
        let update = IntentUpdate { span: Span::default(), txn: record.meta.clone(), status: record.status };
        db.resolve(&record.intents, &update).await?;
        let forget = ForgetTxnRequest { txn: record.meta.clone() };
        db.send(anchor, &mut BatchRequest::new(Header::default(), forget)).await?;
        Ok(())
    }

    async fn sweep(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<(), KvError> {
        self.sweep_locks(replica).await?;
        self.sweep_records(replica).await?;
        if replica.garbage_bytes.load(Ordering::Relaxed) > 0 {
            self.sweep_garbage(replica).await?;
        }
        Ok(())
    }

    /// Releases locks of transactions whose coordinator is gone.
    async fn sweep_locks(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<(), KvError> {
        let holders = replica.state.lock().manager.locks.holders();
        let old = holders.into_iter().filter(|txn| txn.anchor.is_some() && self.silence(txn) > LOCK_AGE);
        for holder in old {
            let asked =
                self.push_for(&holder, None, Priority::NORMAL, PushKind::Inquire, Timestamp::ZERO).await;
            let status = asked?.status;
            if status.is_final() {
                replica.release_locks_of(&holder, status);
            }
        }
        Ok(())
    }

    /// Finishes transactions that ended and were left, recovers or aborts those whose coordinator is long gone.
    async fn sweep_records(self: &Arc<Self>, replica: &Arc<Replica>) -> Result<(), KvError> {
        let now = self.ranges.clock.now();
        for record in self.records_of(replica)? {
            let age = now.wall_since(record.heartbeat);
            let anchor = anchor_of(&record.meta)?;
            match record.status {
                TxnStatus::Committed | TxnStatus::Aborted if !record.intents.is_empty() => {
                    self.finish_later(&record, &anchor);
                }
                TxnStatus::Aborted if age > RECORD_AGE => self.finish(&record, &anchor).await?,
                TxnStatus::Committed => self.finish(&record, &anchor).await?,
                TxnStatus::Pending | TxnStatus::Staging if self.silence_of_record(&record) > LOCK_AGE => {
                    let meta = &record.meta;
                    self.push_for(meta, None, Priority::NORMAL, PushKind::Inquire, Timestamp::ZERO).await?;
                }
                TxnStatus::Aborted | TxnStatus::Pending | TxnStatus::Staging => {}
            }
        }
        Ok(())
    }

    fn records_of(&self, replica: &Replica) -> Result<Vec<TxnRecord>, KvError> {
        let span = local::anchored_span(&replica.state.lock().descriptor.span);
        let engine = &*self.ranges.engine;
        let cursor = engine.cursor(Keyspace::RangeLocal, CursorOptions::span(&span));
        let mut cursor = cursor.map_err(storage_error)?;
        let mut valid = cursor.seek_first().map_err(storage_error)?;
        let mut records = Vec::new();
        while valid && records.len() < RECORDS_PER_SWEEP {
            if local::parse_transaction_record(cursor.key()).is_ok() {
                let record = TxnRecord::decode(cursor.value());
                records.push(
                    record.map_err(|error| KvError::corruption(format!("a transaction record: {error}")))?,
                );
            }
            valid = cursor.next().map_err(storage_error)?;
        }
        Ok(records)
    }
}
