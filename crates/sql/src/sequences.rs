//! Sequences: nextval, setval, currval.
//!
//! A sequence's state is one record, changed by small transactions of their own: a number once given is not given again,
//! whatever becomes of the transaction that asked. As PostgreSQL logs 32 values ahead, a node takes [`AHEAD`] values at a
//! time and serves them from memory: a crash leaves a gap, never a duplicate. Sessions of one node draw from the same block, so
//! that values ascend across them.
//!
//! Each block costs a commit, which waits for the disk. So blocks grow while they are used up quickly, as by an INSERT of many rows, and
//! are small again when they last: a gap is about as long as what is drawn in the time of a block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use executor::{ExecError, ExecResult};
use futures::lock::Mutex as AsyncMutex;
use kvclient::{Db, Locking};
use parking_lot::Mutex;
use types::descriptor::SequenceDescriptor;
use types::{PgError, SqlState};

use crate::catalog::store::sequence_key;
use crate::small_transaction::in_own_transaction;

/// Values taken at a time (PostgreSQL's SEQ_LOG_VALS), at least and at most.
const AHEAD: i64 = 32;
const AHEAD_MAX: i64 = 8_192;

/// A block that lasted no longer than the one is followed by one of twice its size; longer than the other, by a small one.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(1);

/// The stored state: `last_value` was (or may have been) given if `is_called`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceState {
    pub last_value: i64,
    pub is_called: bool,
}

impl SequenceState {
    pub fn encode(self) -> [u8; 9] {
        let mut out = [0; 9];
        out[..8].copy_from_slice(&self.last_value.to_be_bytes());
        out[8] = u8::from(self.is_called);
        out
    }

    pub fn decode(bytes: &[u8]) -> ExecResult<Self> {
        let parts = bytes.split_first_chunk::<8>();
        match parts {
            Some((value, [called @ (0 | 1)])) => {
                Ok(SequenceState { last_value: i64::from_be_bytes(*value), is_called: *called == 1 })
            }
            _ => Err(PgError::new(SqlState::DATA_CORRUPTED, "a sequence's state cannot be read").into()),
        }
    }
}

/// Values in memory: the next to give, and how many are left.
#[derive(Clone, Copy, Debug)]
struct Block {
    next: i64,
    left: i64,
    /// How many values were asked for, and when.
    size: i64,
    taken_at: Duration,
}

/// How many values to take after this block, which is used up.
fn size_after(block: Option<Block>, now: Duration) -> i64 {
    let Some(block) = block else { return AHEAD };
    match now.saturating_sub(block.taken_at) {
        soon if soon <= SOON => (2 * block.size).min(AHEAD_MAX),
        late if late > LATE => AHEAD,
        _ => block.size,
    }
}

type Slot = Arc<AsyncMutex<Option<Block>>>;

/// All sequences of a node.
pub struct Sequences {
    env: Arc<dyn Env>,
    db: Db,
    /// By storage id. A slot is held locked while its block is renewed: others wait rather than take blocks too.
    blocks: Mutex<BTreeMap<u32, Slot>>,
}

impl Sequences {
    pub fn new(env: Arc<dyn Env>, db: Db) -> Self {
        Sequences { env, db, blocks: Mutex::default() }
    }

    fn slot(&self, storage_id: u32) -> Slot {
        self.blocks.lock().entry(storage_id).or_default().clone()
    }

    /// The next value. Errors: 2200H at the end of a sequence that does not cycle.
    pub async fn next_value(&self, sequence: &SequenceDescriptor) -> ExecResult<i64> {
        let slot = self.slot(sequence.storage_id);
        let mut block = slot.lock().await;
        if block.is_none_or(|block| block.left == 0) {
            let size = size_after(*block, self.env.monotonic());
            *block = Some(self.take_block(sequence, size).await?);
        }
        let current = block.as_mut().expect("just filled");
        let value = current.next;
        current.left -= 1;
        if current.left > 0 {
            current.next = value + sequence.increment;
        }
        Ok(value)
    }

    async fn take_block(&self, sequence: &SequenceDescriptor, size: i64) -> ExecResult<Block> {
        let key = sequence_key(sequence.storage_id);
        let taken = in_own_transaction!(self.db, |txn| take(&txn, &key, sequence, size).await);
        let (next, left) = taken?;
        Ok(Block { next, left, size, taken_at: self.env.monotonic() })
    }

    /// setval. The bounds have been checked.
    pub async fn set(&self, sequence: &SequenceDescriptor, state: SequenceState) -> ExecResult<()> {
        let slot = self.slot(sequence.storage_id);
        let mut block = slot.lock().await;
        let key = sequence_key(sequence.storage_id);
        in_own_transaction!(self.db, |txn| match read(&txn, &key, sequence).await {
            Ok(_) => txn.put(&key, &state.encode()).map_err(ExecError::from),
            Err(error) => Err(error),
        })?;
        *block = None;
        Ok(())
    }

    /// last_value and is_called as SELECT ... FROM the sequence shows them.
    pub async fn state(&self, sequence: &SequenceDescriptor) -> ExecResult<SequenceState> {
        let slot = self.slot(sequence.storage_id);
        let block = slot.lock().await;
        if let Some(Block { next, left, .. }) = *block
            && left > 0
        {
            let before = next - sequence.increment;
            let inside = before >= sequence.minimum && before <= sequence.maximum;
            let last_value = if inside { before } else { next };
            return Ok(SequenceState { last_value, is_called: inside });
        }
        let key = sequence_key(sequence.storage_id);
        in_own_transaction!(self.db, |txn| read(&txn, &key, sequence).await)
    }

    /// The definition has changed or the sequence is gone: what is in memory no longer counts.
    pub fn forget(&self, storage_id: u32) {
        self.blocks.lock().remove(&storage_id);
    }
}

/// Takes the next values: the first, and how many.
async fn take(
    txn: &kvclient::Txn,
    key: &[u8],
    sequence: &SequenceDescriptor,
    size: i64,
) -> ExecResult<(i64, i64)> {
    let first = match read(txn, key, sequence).await? {
        SequenceState { last_value, is_called: false } => last_value,
        SequenceState { last_value, .. } => advance(sequence, last_value)?,
    };
    let left = values_from(sequence, first).min(size.max(sequence.cache));
    let last = first + sequence.increment * (left - 1);
    txn.put(key, &SequenceState { last_value: last, is_called: true }.encode())?;
    Ok((first, left))
}

async fn read(txn: &kvclient::Txn, key: &[u8], sequence: &SequenceDescriptor) -> ExecResult<SequenceState> {
    match txn.get(key, Locking { absent: true, ..Locking::UPDATE }).await? {
        Some(bytes) => SequenceState::decode(&bytes),
        None => Ok(SequenceState { last_value: sequence.start, is_called: false }),
    }
}

/// The value after `last`. Errors: 2200H.
fn advance(sequence: &SequenceDescriptor, last: i64) -> ExecResult<i64> {
    let next = last.checked_add(sequence.increment);
    let next = next.filter(|next| (sequence.minimum..=sequence.maximum).contains(next));
    match next {
        Some(next) => Ok(next),
        None if sequence.cycle && sequence.increment > 0 => Ok(sequence.minimum),
        None if sequence.cycle => Ok(sequence.maximum),
        None => {
            let (end, bound) = if sequence.increment > 0 {
                ("maximum", sequence.maximum)
            } else {
                ("minimum", sequence.minimum)
            };
            Err(PgError::new(
                SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED,
                format!("nextval: reached {end} value of sequence \"{}\" ({bound})", sequence.name),
            )
            .into())
        }
    }
}

/// How many values there are from `first` on before the bound: at least one.
fn values_from(sequence: &SequenceDescriptor, first: i64) -> i64 {
    let room = if sequence.increment > 0 {
        i128::from(sequence.maximum) - i128::from(first)
    } else {
        i128::from(first) - i128::from(sequence.minimum)
    };
    let steps = room / i128::from(sequence.increment.unsigned_abs());
    i64::try_from(steps + 1).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::descriptor::{DescriptorVersion, Oid};

    fn sequence(increment: i64, minimum: i64, maximum: i64, cycle: bool) -> SequenceDescriptor {
        SequenceDescriptor {
            id: Oid(1),
            database: Oid(5),
            schema: Oid(2200),
            name: "s".into(),
            version: DescriptorVersion(1),
            owner: "postgres".into(),
            type_oid: 20,
            start: minimum,
            increment,
            minimum,
            maximum,
            cache: 1,
            cycle,
            owned_by: None,
            storage_id: 100,
            comment: None,
            acl: Default::default(),
        }
    }

    #[test]
    fn blocks_end_at_the_bound() {
        assert_eq!(values_from(&sequence(1, 1, 10, false), 8), 3);
        assert_eq!(values_from(&sequence(3, 1, 10, false), 8), 1);
        assert_eq!(values_from(&sequence(-2, 1, 10, false), 6), 3);
        assert_eq!(values_from(&sequence(1, i64::MIN, i64::MAX, false), i64::MIN), i64::MAX);
    }

    #[test]
    fn the_end_is_an_error_or_the_beginning() {
        assert_eq!(advance(&sequence(1, 1, 10, true), 10).expect("cycles"), 1);
        let error = advance(&sequence(1, 1, 10, false), 10).expect_err("ends").into_pg_error();
        assert_eq!(error.message(), "nextval: reached maximum value of sequence \"s\" (10)");
        assert!(advance(&sequence(1, 1, i64::MAX, false), i64::MAX).is_err());
    }

    #[test]
    fn blocks_grow_while_they_are_used_up_quickly() {
        let at = Duration::from_millis;
        let block = |size, taken_at| Some(Block { next: 1, left: 0, size, taken_at });
        assert_eq!(size_after(None, at(5)), AHEAD);
        assert_eq!(size_after(block(AHEAD, at(0)), at(5)), 2 * AHEAD);
        assert_eq!(size_after(block(AHEAD_MAX, at(0)), at(5)), AHEAD_MAX);
        assert_eq!(size_after(block(512, at(0)), at(500)), 512);
        assert_eq!(size_after(block(512, at(0)), at(5_000)), AHEAD);
    }

    #[test]
    fn the_state_is_nine_bytes_for_ever() {
        let state = SequenceState { last_value: 258, is_called: true };
        assert_eq!(state.encode(), [0, 0, 0, 0, 0, 0, 1, 2, 1]);
        assert_eq!(SequenceState::decode(&state.encode()).expect("reads"), state);
        assert!(SequenceState::decode(&[1, 2]).is_err());
    }
}
