//! Resolving intents: what was intended becomes true, or goes away, or moves.

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::{TxnId, TxnStatus};

use super::error::MvccError;
use super::intent::Intent;
use super::statistics::Statistics;
use super::write::put_version;
use crate::{CursorOptions, Keyspace, Reader, StorageError, WriteBatch};

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolution {
    /// The transaction.
    pub id: TxnId,
    /// Its last epoch: intents of earlier ones are not committed, whatever the status.
    pub epoch: u32,
    /// `Committed` or `Aborted`: the intents end. `Pending` or `Staging`: they move to `timestamp` if that is later.
    pub status: TxnStatus,
    /// The commit timestamp, or where a pushed transaction stands now.
    pub timestamp: Timestamp,
}

/// What resolving did to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolved {
    /// There was no intent of the transaction: resolved before, or never made.
    Nothing,
    /// The intent has become a version.
    Committed,
    /// The intent is gone.
    Removed,
    /// The intent stands at a later timestamp.
    Moved,
    /// The intent stays as it is: it stands late enough already.
    Unchanged,
}

/// What resolving a span did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvedSpan {
    /// Intents that ended or moved.
    pub count: usize,
    /// What a bound has left undone.
    pub resume: Option<Span>,
}

/// Appends what resolving the intent on a key changes. Repeating it is harmless.
pub fn resolve_key(
    reader: &dyn Reader,
    key: &[u8],
    resolution: &Resolution,
    batch: &mut WriteBatch,
    delta: &mut Statistics,
) -> Result<Resolved, MvccError> {
    match reader.get(Keyspace::Intents, key)? {
        None => Ok(Resolved::Nothing),
        Some(stored) => resolve_stored(reader, key, &stored, resolution, batch, delta),
    }
}

/// Appends what resolving a transaction's intents in a span changes, up to a number of intents.
pub fn resolve_span(
    reader: &dyn Reader,
    span: &Span,
    resolution: &Resolution,
    count_max: usize,
    batch: &mut WriteBatch,
    delta: &mut Statistics,
) -> Result<ResolvedSpan, MvccError> {
    let mut result = ResolvedSpan::default();
    if span.is_empty() {
        return Ok(result);
    }
    let mut cursor = reader.cursor(Keyspace::Intents, CursorOptions::span(span))?;
    let mut valid = cursor.seek_first()?;
    while valid {
        if result.count >= count_max {
            result.resume = Some(Span { start: Key::copy_from(cursor.key()), end: span.end.clone() });
            break;
        }
        match resolve_stored(reader, cursor.key(), cursor.value(), resolution, batch, delta)? {
            Resolved::Nothing | Resolved::Unchanged => {}
            Resolved::Committed | Resolved::Removed | Resolved::Moved => result.count += 1,
        }
        valid = cursor.next()?;
    }
    Ok(result)
}

fn resolve_stored(
    reader: &dyn Reader,
    key: &[u8],
    stored: &[u8],
    resolution: &Resolution,
    batch: &mut WriteBatch,
    delta: &mut Statistics,
) -> Result<Resolved, MvccError> {
    let mut intent = Intent::decode(stored)?;
    if intent.txn.id != resolution.id {
        return Ok(Resolved::Nothing);
    }
    let size = key.len() + stored.len();
    match resolution.status {
        TxnStatus::Committed if intent.belongs_to(resolution.id, resolution.epoch) => {
            let replaced = reader.get(Keyspace::Current, key)?;
            if let Some(stored) = &replaced
                && super::Version::decode(stored)?.timestamp >= resolution.timestamp
            {
                // A commit is not below what it commits: this write came again, late, when it was committed already.
                if intent.txn.write_timestamp <= resolution.timestamp {
                    return Err(overtaken(key).into());
                }
                remove(batch, delta, key, size);
                return Ok(Resolved::Removed);
            }
            let mut scratch = Vec::new();
            let value = intent.value.as_deref();
            put_version(batch, delta, &mut scratch, key, resolution.timestamp, value, replaced.as_deref());
            remove(batch, delta, key, size);
            Ok(Resolved::Committed)
        }
        TxnStatus::Committed | TxnStatus::Aborted => {
            remove(batch, delta, key, size);
            Ok(Resolved::Removed)
        }
        TxnStatus::Pending | TxnStatus::Staging if intent.txn.epoch < resolution.epoch => {
            remove(batch, delta, key, size);
            Ok(Resolved::Removed)
        }
        TxnStatus::Pending | TxnStatus::Staging if intent.txn.write_timestamp < resolution.timestamp => {
            intent.txn.write_timestamp = resolution.timestamp;
            delta.count_intent(size, -1);
            let size = Intent::put(batch, key, &intent.txn, intent.value.as_deref());
            delta.count_intent(size, 1);
            Ok(Resolved::Moved)
        }
        TxnStatus::Pending | TxnStatus::Staging => Ok(Resolved::Unchanged),
    }
}

fn remove(batch: &mut WriteBatch, delta: &mut Statistics, key: &[u8], size: usize) {
    batch.delete(Keyspace::Intents, key);
    delta.count_intent(size, -1);
}

fn overtaken(key: &[u8]) -> StorageError {
    StorageError::corruption(format!("{} has a committed version above an intent", Key::copy_from(key)))
}
