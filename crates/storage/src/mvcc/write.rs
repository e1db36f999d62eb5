//! Evaluating writes: first all that has to be read and checked, then the batch.
//!
//! ```text
//! prepare   reads what is under every key, once; finds conflicts; checks conditions; tells `newest`
//!    |      (the caller chooses the commit timestamp above `newest`, or gives up)
//!    |---> commit          the versions, at a timestamp: one-phase commit, or a write without transaction
//!    `---> place_intents   the intents of a transaction that commits later
//! ```
//!
//! The split exists because the timestamp of a commit depends on what is found, and finding is the expensive part: nothing is
//! read twice when a write is pushed above a newer version.

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::{KvBlock, Row, TxnId, TxnMeta, WriteBlock, WriteCheck, WriteEntry};

use super::error::MvccError;
use super::get::CONFLICT_COUNT_MAX;
use super::intent::{Intent, IntentCursor};
use super::lookup::SortedLookup;
use super::statistics::Statistics;
use super::version::{Header, Version, put_history_key};
use super::view::ReadView;
use crate::{Keyspace, Reader, WriteBatch};

/// Writes that have been checked against what is there.
///
/// - Holds, for every write, the stored current version of its key as it was when checked; the caller's latches keep it so until
///   the batch is applied.
pub struct Prepared<'w> {
    writes: &'w WriteBlock,
    /// A row for each write: the key's stored current version, absent if there is none.
    current: KvBlock,
    /// The transaction's own intents on keys of `writes`: index of the write, epoch, sequence, stored size.
    own: Vec<OwnIntent>,
    newest: Timestamp,
}

struct OwnIntent {
    write: usize,
    epoch: u32,
    sequence: u32,
    size: usize,
}

/// Reads what is under the keys of `writes` and checks every write's condition.
///
/// Fails with `Conflicts` if another transaction has an intent on one of the keys, with `Exists` or `Newer` if a condition
/// does not hold. `own` is the transaction that writes; `intents_absent` as in [`ReadView::without_intents`].
pub fn prepare<'w>(
    reader: &dyn Reader,
    writes: &'w WriteBlock,
    own: Option<TxnId>,
    intents_absent: bool,
) -> Result<Prepared<'w>, MvccError> {
    let mut prepared = Prepared {
        writes,
        current: KvBlock::with_capacity(writes.len(), writes.byte_size()),
        own: Vec::new(),
        newest: Timestamp::ZERO,
    };
    if writes.is_empty() {
        return Ok(prepared);
    }
    let span = Span::new(writes.key(0), Key::copy_from(writes.key(writes.len() - 1)).next());
    if !intents_absent {
        prepared.own = find_own_intents(reader, writes, &span, own)?;
    }
    let mut lookup = SortedLookup::new(reader, &span, writes.len())?;
    for write in writes.iter() {
        match lookup.stored(write.key)? {
            None => prepared.current.push_absent(write.key),
            Some(stored) => {
                let version = Version::decode(stored)?;
                check(&write, &version)?;
                prepared.newest = prepared.newest.max(version.timestamp);
                prepared.current.push(write.key, stored);
            }
        }
    }
    Ok(prepared)
}

/// The writer's own intents on the keys it writes; fails if there are others'.
fn find_own_intents(
    reader: &dyn Reader,
    writes: &WriteBlock,
    span: &Span,
    own: Option<TxnId>,
) -> Result<Vec<OwnIntent>, MvccError> {
    let mut found = Vec::new();
    let mut conflicts = Vec::new();
    if writes.len() == 1 {
        if let Some(stored) = reader.get(Keyspace::Intents, writes.key(0))? {
            let intent = Intent::decode(&stored)?;
            sort_out(intent, 0, writes.key(0), stored.len(), own, &mut found, &mut conflicts);
        }
    } else {
        let view = ReadView::at(Timestamp::MAX);
        let mut intents = IntentCursor::open(reader, span, &view, false)?;
        for (index, key) in writes.keys().enumerate() {
            if intents.is_exhausted() || conflicts.len() >= CONFLICT_COUNT_MAX {
                break;
            }
            intents.advance_to(key)?;
            if intents.key() == Some(key) {
                let size = intents.value_size();
                let (_, intent) = intents.take()?;
                sort_out(intent, index, key, size, own, &mut found, &mut conflicts);
            }
        }
    }
    if conflicts.is_empty() { Ok(found) } else { Err(MvccError::Conflicts(conflicts)) }
}

fn sort_out(
    intent: Intent,
    write: usize,
    key: &[u8],
    value_size: usize,
    own: Option<TxnId>,
    found: &mut Vec<OwnIntent>,
    conflicts: &mut Vec<super::Conflict>,
) {
    if own == Some(intent.txn.id) {
        let size = key.len() + value_size;
        found.push(OwnIntent { write, epoch: intent.txn.epoch, sequence: intent.txn.sequence, size });
    } else {
        conflicts.push(super::Conflict { key: Key::copy_from(key), txn: intent.txn });
    }
}

/// Whether what is there is what the write was told to expect.
fn check(write: &WriteEntry<'_>, current: &Version<'_>) -> Result<(), MvccError> {
    match (write.check, current.value) {
        (WriteCheck::MustNotExist, Some(value)) => {
            Err(MvccError::Exists { key: Key::copy_from(write.key), value: value.to_vec() })
        }
        (WriteCheck::UnchangedSince(seen), _) if current.timestamp > seen => {
            Err(MvccError::Newer { key: Key::copy_from(write.key), timestamp: current.timestamp })
        }
        _ => Ok(()),
    }
}

impl Prepared<'_> {
    /// The newest version under any of the keys; [`Timestamp::ZERO`] if there is none. Writes have to be placed above it.
    pub fn newest(&self) -> Timestamp {
        self.newest
    }

    /// The number of writes.
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Appends the writes as committed versions at `timestamp`, which must be above [`Prepared::newest`].
    /// Intents of the same transaction on these keys, left from an earlier epoch, are removed.
    pub fn commit(&self, timestamp: Timestamp, batch: &mut WriteBatch, delta: &mut Statistics) {
        assert!(timestamp > self.newest, "a version is placed above all versions of its key");
        let mut scratch = Vec::new();
        for (index, write) in self.writes.iter().enumerate() {
            let replaced = self.current.row(index).value;
            put_version(batch, delta, &mut scratch, write.key, timestamp, write.value, replaced);
        }
        for intent in &self.own {
            batch.delete(Keyspace::Intents, self.writes.key(intent.write));
            delta.count_intent(intent.size, -1);
        }
    }

    /// Appends the writes as intents of a transaction at its write timestamp, which must be above [`Prepared::newest`].
    ///
    /// A write that finds an intent of its own transaction, epoch and an equal or higher sequence is a repetition, or
    /// overtaken: it is left out.
    pub fn place_intents(&self, txn: &TxnMeta, batch: &mut WriteBatch, delta: &mut Statistics) {
        assert!(txn.write_timestamp > self.newest, "an intent is placed above all versions of its key");
        let mut own = self.own.iter().peekable();
        let mut meta = txn.clone();
        for (index, write) in self.writes.iter().enumerate() {
            if let Some(existing) = own.next_if(|intent| intent.write == index) {
                if (existing.epoch, existing.sequence) >= (txn.epoch, write.sequence) {
                    continue;
                }
                delta.count_intent(existing.size, -1);
            }
            meta.sequence = write.sequence;
            let size = Intent::put(batch, write.key, &meta, write.value);
            delta.count_intent(size, 1);
        }
    }
}

/// Appends one committed version, and moves the one it replaces (as stored) to the history.
pub(super) fn put_version(
    batch: &mut WriteBatch,
    delta: &mut Statistics,
    scratch: &mut Vec<u8>,
    key: &[u8],
    timestamp: Timestamp,
    value: Option<&[u8]>,
    replaced: Option<&[u8]>,
) {
    match replaced {
        Some(stored) => {
            let old = Version::decode(stored).expect("it was decoded when it was read");
            debug_assert!(old.timestamp < timestamp);
            delta.count_current(old.value.is_none(), key.len() + stored.len(), -1);
            put_history(batch, delta, scratch, key, old.timestamp, stored);
        }
        None if value.is_none() => {
            // A deletion always has something below it, by which garbage collection finds it.
            let nothing = Header::new(Timestamp::ZERO, true);
            put_history(batch, delta, scratch, key, Timestamp::ZERO, nothing.as_slice());
        }
        None => {}
    }
    let header = Header::new(timestamp, value.is_none());
    let payload = value.unwrap_or_default();
    batch.put_parts(Keyspace::Current, &[key], &[header.as_slice(), payload]);
    delta.count_current(value.is_none(), key.len() + header.as_slice().len() + payload.len(), 1);
}

fn put_history(
    batch: &mut WriteBatch,
    delta: &mut Statistics,
    scratch: &mut Vec<u8>,
    key: &[u8],
    timestamp: Timestamp,
    stored: &[u8],
) {
    scratch.clear();
    put_history_key(scratch, key, timestamp);
    batch.put(Keyspace::History, scratch, stored);
    delta.count_history(scratch.len() + stored.len(), 1);
}

/// A row, for tests and traces: the write and what it replaces.
impl std::fmt::Debug for Prepared<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: Vec<Row<'_>> = self.current.iter().collect();
        f.debug_struct("Prepared").field("newest", &self.newest).field("current", &rows).finish()
    }
}
