//! Rows held to be read again: in memory while they fit, in a temporary file beyond.

use std::sync::Arc;

use types::{Batch, DataType, PgResult, Vector};

use super::{SpillReader, SpillWriter};
use crate::memory::{MemoryAccount, Reservation};
use crate::operators::Coalesce;

/// What a batch that is held costs besides its values.
const BATCH_BYTES: u64 = 64;

/// An append-only sequence of batches that can be read many times.
///
/// - The first batches are in `held`, all later ones in the file, after those in `pending`.
/// - The reservation is for `held` alone, and for the file's index.
pub struct RowBuffer {
    account: MemoryAccount,
    reservation: Reservation,
    types: Vec<DataType>,
    held: Vec<Arc<Batch>>,
    held_bytes: u64,
    /// Small batches on their way to the file: what comes a row at a time takes no more room than the same rows at once.
    pending: Coalesce,
    writer: Option<SpillWriter>,
    reader: Option<SpillReader>,
    rows: u64,
}

/// A position in a [`RowBuffer`].
#[derive(Clone, Copy, Default, Debug)]
pub struct BufferCursor(usize);

impl RowBuffer {
    pub fn new(account: &MemoryAccount, types: Vec<DataType>) -> RowBuffer {
        RowBuffer {
            account: account.clone(),
            reservation: account.reservation(),
            types,
            held: Vec::new(),
            held_bytes: 0,
            pending: Coalesce::default(),
            writer: None,
            reader: None,
            rows: 0,
        }
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends a batch. Errors: 53200 when it fits neither memory nor a file. Nothing may be appended after a part in
    /// the file has been read.
    pub fn push(&mut self, batch: Batch) -> PgResult<()> {
        self.rows += batch.rows as u64;
        if self.writer.is_none() {
            let columns = batch.columns.len() * size_of::<Vector>();
            let bytes = (batch.memory_size() + columns) as u64 + BATCH_BYTES;
            let over = self.reservation.bytes() + bytes > self.account.work_bytes();
            let spill = self.account.spill_store().cloned();
            let refused = if over && spill.is_some() { None } else { Some(self.reservation.grow(bytes)) };
            match (refused, spill) {
                (Some(Ok(())), _) => {
                    self.held_bytes += bytes;
                    self.held.push(Arc::new(batch));
                    return Ok(());
                }
                (Some(Err(error)), None) => return Err(error),
                (_, Some(store)) => self.writer = Some(SpillWriter::new(&*store)?),
                (None, None) => unreachable!("memory is asked unless there is a place to spill"),
            }
        }
        if let Some(batch) = self.pending.push(batch) {
            self.write(&batch)?;
        }
        Ok(())
    }

    fn write(&mut self, batch: &Batch) -> PgResult<()> {
        let writer = self.writer.as_mut().expect("made before anything is written");
        writer.write(batch)?;
        self.reservation.resize(self.held_bytes + writer.memory_size())
    }

    /// Whether the batch at the cursor is there and in memory.
    pub fn holds(&self, cursor: BufferCursor) -> bool {
        cursor.0 < self.held.len()
    }

    /// Whether a part is in a file: to be read once all has been appended.
    pub fn has_spilled(&self) -> bool {
        self.writer.is_some() || self.reader.is_some()
    }

    /// The batch at the cursor, which moves on; `None` at the end.
    pub fn read(&mut self, cursor: &mut BufferCursor) -> PgResult<Option<Arc<Batch>>> {
        let position = cursor.0;
        if let Some(batch) = self.held.get(position) {
            cursor.0 += 1;
            return Ok(Some(batch.clone()));
        }
        if self.writer.is_some()
            && let Some(last) = self.pending.take()
        {
            self.write(&last)?;
        }
        if let Some(writer) = self.writer.take() {
            self.reader = Some(writer.finish(self.types.clone())?);
        }
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let position = position - self.held.len();
        if position >= reader.batches() {
            return Ok(None);
        }
        cursor.0 += 1;
        reader.read_at(position).map(|batch| Some(Arc::new(batch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::MemorySpill;
    use types::{Datum, Vector};

    #[test]
    fn rows_beyond_the_work_memory_come_back_from_the_file_in_order() {
        let node = MemoryAccount::with_spill("node", 1 << 20, Arc::new(MemorySpill::default()));
        let account = node.with_work_memory("query", 1 << 20, 2000);
        let mut buffer = RowBuffer::new(&account, vec![DataType::Int4]);
        for value in 0..50 {
            let vector = Vector::from_datums(DataType::Int4, &[Datum::Int4(value)]);
            buffer.push(Batch::new(vec![vector], 1)).expect("fits");
        }
        assert!(account.used() <= 2000, "the rest is in the file");
        for _ in 0..2 {
            let mut cursor = BufferCursor::default();
            let mut seen = Vec::new();
            while let Some(batch) = buffer.read(&mut cursor).expect("reads") {
                seen.extend((0..batch.rows).map(|row| batch.columns[0].datum(row)));
            }
            assert_eq!(seen, (0..50).map(Datum::Int4).collect::<Vec<_>>());
        }
    }

    #[test]
    fn without_a_place_to_spill_the_bound_is_an_error() {
        let account = MemoryAccount::root("query", 300);
        let mut buffer = RowBuffer::new(&account, vec![DataType::Int4]);
        let batch = || Batch::new(vec![Vector::from_datums(DataType::Int4, &[Datum::Int4(1)])], 1);
        let error = (0..10).find_map(|_| buffer.push(batch()).err()).expect("does not fit");
        assert_eq!(error.code(), types::SqlState::OUT_OF_MEMORY);
    }
}
