//! The first ranges of a cluster, and finding the ranges of a store that is opened again.
//!
//! A cluster begins with four ranges, cut at the boundaries that addressing relies on: `/meta1`, `/meta2`, `/system`, `/table`. All
//! tables share one range until they grow: small databases commit in one phase.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use clock::Timestamp;
use keys::local::{self, RangeItem, range_item};
use keys::{Key, NodeId, RangeId, ReplicaId, Span, StoreId, addressing, split, system};
use kvapi::{RangeDescriptor, ReplicaDescriptor, ReplicaKind, WriteBlock, WriteCheck, WriteEntry};
use replication::{NewRange, configuration_of};
use storage::mvcc::{self, MvccError, Statistics};
use storage::{CursorOptions, Engine, Keyspace, MemoryEngine, StorageError, WriteBatch};

use crate::merge::Merging;
use crate::ranges::Ranges;
use crate::replica::Replica;
use crate::split::RANGE_ALLOCATOR;
use crate::store::StoreConfig;

/// The ranges of a new cluster and the state they begin with: for `replication::Store::create`.
pub struct FirstRanges {
    pub ranges: Vec<NewRange>,
    pub contents: WriteBatch,
}

/// The ranges of a new cluster, with their addressing records placed at `now`.
pub fn first_ranges(config: &StoreConfig, now: Timestamp) -> FirstRanges {
    let made = make_first_ranges(config, now);
    made.expect("an empty engine in memory refuses nothing")
}

fn make_first_ranges(config: &StoreConfig, now: Timestamp) -> Result<FirstRanges, MvccError> {
    // What is written is written on nothing.
    let nothing = MemoryEngine::new();
    let descriptors = first_descriptors(config.node, config.store);
    let next_id = descriptors.len() as u64 + 1;
    let mut records = vec![(system::allocator(RANGE_ALLOCATOR), next_id.to_be_bytes().to_vec())];
    for descriptor in &descriptors {
        if let Some(key) = addressing::descriptor_key(&descriptor.span.end) {
            records.push((key, descriptor.encode()));
        }
    }
    records.sort_unstable();
    let mut batch = WriteBatch::new();
    for descriptor in &descriptors {
        batch.put(
            Keyspace::RangeLocal,
            &local::range_descriptor(&descriptor.span.start),
            &descriptor.encode(),
        );
        let mut writes = WriteBlock::new();
        let own = records.iter().filter(|(key, _)| descriptor.contains(key));
        for (index, (key, value)) in own.enumerate() {
            let check = WriteCheck::MustNotExist;
            writes.push(WriteEntry { key, value: Some(value), check, sequence: index as u32 });
        }
        let mut statistics = Statistics::default();
        let prepared = mvcc::prepare(&*nothing, &writes, None, true)?;
        prepared.commit(now, &mut batch, &mut statistics);
        let item = range_item(descriptor.id, RangeItem::Statistics);
        batch.put(Keyspace::RangeLocal, &item, &statistics.encode());
    }
    let new_ranges = descriptors.iter().map(|descriptor| NewRange {
        range: descriptor.id,
        replica: ReplicaId(1),
        configuration: configuration_of([ReplicaId(1)]),
    });
    Ok(FirstRanges { ranges: new_ranges.collect(), contents: batch })
}

fn first_descriptors(node: NodeId, store: StoreId) -> Vec<RangeDescriptor> {
    let replica = ReplicaDescriptor { node, store, replica: ReplicaId(1), kind: ReplicaKind::Voter };
    let mut bounds = vec![Key::MIN];
    bounds.extend(split::static_split_keys());
    bounds.push(Key::MAX);
    let spans = bounds.windows(2).map(|pair| Span::new(pair[0].clone(), pair[1].clone()));
    let numbered = spans.zip(RangeId::FIRST.0..);
    let descriptors = numbered.map(|(span, id)| RangeDescriptor {
        id: RangeId(id),
        span,
        generation: 1,
        replicas: vec![replica],
        next_replica: ReplicaId(2),
    });
    descriptors.collect()
}

/// Whether the store has, or has had, ranges.
pub(crate) fn has_ranges(engine: &dyn Engine) -> Result<bool, StorageError> {
    let span = local::all_ranges_span();
    let mut cursor = engine.cursor(Keyspace::RangeLocal, CursorOptions::span(&span))?;
    cursor.seek_first()
}

/// Finds the ranges that have a replica on the store and are not known yet.
pub(crate) fn load_ranges(ranges: &Arc<Ranges>) -> Result<(), StorageError> {
    let engine = &*ranges.engine;
    let span = local::all_anchored_span();
    let mut cursor = engine.cursor(Keyspace::RangeLocal, CursorOptions::span(&span))?;
    let mut valid = cursor.seek_first()?;
    let mut found = Vec::new();
    while valid {
        // Transaction records lie in between; a descriptor is known by lying where it says it does.
        if let Ok(descriptor) = RangeDescriptor::decode(cursor.value())
            && *cursor.key() == local::range_descriptor(&descriptor.span.start)[..]
        {
            found.push(descriptor);
        }
        valid = cursor.next()?;
    }
    drop(cursor);
    for descriptor in found {
        if !ranges.contains(descriptor.id) {
            load_range(ranges, descriptor)?;
        }
    }
    Ok(())
}

/// What is stored of a range beside its keys.
struct Loaded {
    statistics: Statistics,
    threshold: Timestamp,
    intents: i64,
    merging: Option<Merging>,
}

fn load(ranges: &Ranges, descriptor: &RangeDescriptor) -> Result<Loaded, StorageError> {
    let engine = &*ranges.engine;
    let item = |item| engine.get(Keyspace::RangeLocal, &range_item(descriptor.id, item));
    let statistics = match item(RangeItem::Statistics)? {
        Some(stored) => Statistics::decode(&stored)?,
        None => Statistics::default(),
    };
    let threshold = match item(RangeItem::GcThreshold)? {
        Some(stored) => {
            let bytes = <[u8; Timestamp::ENCODED_SIZE]>::try_from(&stored[..]);
            let malformed = |_| StorageError::corruption("a stored GC threshold is malformed");
            Timestamp::from_bytes(bytes.map_err(malformed)?)
        }
        None => Timestamp::ZERO,
    };
    let intents = mvcc::find_intents(engine, &descriptor.span, usize::MAX)?.len() as i64;
    let merging = match item(RangeItem::Merging)? {
        Some(stored) => {
            let malformed = |_| StorageError::corruption("for whom a range is frozen is malformed");
            Some(Merging::decode(&stored, ranges.env.monotonic()).map_err(malformed)?)
        }
        None => None,
    };
    Ok(Loaded { statistics, threshold, intents, merging })
}

fn load_range(ranges: &Arc<Ranges>, descriptor: RangeDescriptor) -> Result<(), StorageError> {
    let Loaded { statistics, threshold, intents, merging } = load(ranges, &descriptor)?;
    let replica = Replica::new(ranges.clone(), descriptor, statistics, intents);
    replica.state.lock().gc_threshold = threshold;
    replica.set_merging(merging);
    replica.gc_threshold_wall.store(threshold.wall, Ordering::Release);
    ranges.add(replica);
    Ok(())
}

/// A snapshot has replaced everything that is stored of a range: so is what is known of it in memory.
pub(crate) fn load_snapshot(ranges: &Arc<Ranges>, range: RangeId, span: &Span) -> Result<(), StorageError> {
    let stored = ranges.engine.get(Keyspace::RangeLocal, &local::range_descriptor(&span.start))?;
    let stored = stored.ok_or_else(|| StorageError::corruption("a snapshot without descriptor"))?;
    let descriptor =
        RangeDescriptor::decode(&stored).map_err(|error| StorageError::corruption(error.to_string()))?;
    if descriptor.id != range {
        return Err(StorageError::corruption("a snapshot with the descriptor of another range"));
    }
    let Ok(replica) = ranges.get(range) else { return load_range(ranges, descriptor) };
    let Loaded { statistics, threshold, intents, merging } = load(ranges, &descriptor)?;
    replica.set_merging(merging);
    {
        let mut side = replica.apply.lock();
        side.statistics = statistics;
        side.pending.clear();
    }
    replica.set_sizes(&statistics);
    replica.intents.store(intents, Ordering::Release);
    replica.gc_threshold_wall.store(threshold.wall, Ordering::Release);
    let mut state = replica.state.lock();
    state.gc_threshold = threshold;
    state.descriptor = Arc::new(descriptor);
    state.thaw();
    Ok(())
}
