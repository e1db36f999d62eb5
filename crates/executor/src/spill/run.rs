//! A sequence of batches in one temporary file.

use types::{Batch, DataType, PgResult};

use super::{SpillFile, SpillStore, codec};

/// Bytes gathered before they are handed to the file.
const WRITE_BYTES: usize = 64 << 10;

/// Writes batches.
///
/// - `ends[i]` is where batch `i` ends.
pub struct SpillWriter {
    file: Box<dyn SpillFile>,
    pending: Vec<u8>,
    written: u64,
    ends: Vec<u64>,
    rows: u64,
}

impl SpillWriter {
    pub fn new(store: &dyn SpillStore) -> PgResult<SpillWriter> {
        Ok(SpillWriter { file: store.create()?, pending: Vec::new(), written: 0, ends: Vec::new(), rows: 0 })
    }

    pub fn write(&mut self, batch: &Batch) -> PgResult<()> {
        codec::encode(batch, &mut self.pending);
        self.ends.push(self.written + self.pending.len() as u64);
        self.rows += batch.rows as u64;
        if self.pending.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> PgResult<()> {
        self.file.append(&self.pending)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of memory held: the index of the file.
    pub fn memory_size(&self) -> u64 {
        (self.ends.capacity() * size_of::<u64>()) as u64
    }

    /// Ends writing. `types` are those of the columns.
    pub fn finish(mut self, types: Vec<DataType>) -> PgResult<SpillReader> {
        self.flush()?;
        Ok(SpillReader { file: self.file, ends: self.ends, types, next: 0, rows: self.rows })
    }
}

/// Reads the batches back in order.
pub struct SpillReader {
    file: Box<dyn SpillFile>,
    ends: Vec<u64>,
    types: Vec<DataType>,
    next: usize,
    rows: u64,
}

impl SpillReader {
    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn batches(&self) -> usize {
        self.ends.len()
    }

    pub fn read(&mut self) -> PgResult<Option<Batch>> {
        if self.next >= self.ends.len() {
            return Ok(None);
        }
        let batch = self.read_at(self.next)?;
        self.next += 1;
        Ok(Some(batch))
    }

    /// The batch at a position of the sequence.
    pub fn read_at(&mut self, position: usize) -> PgResult<Batch> {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        let mut bytes = vec![0; (self.ends[position] - start) as usize];
        self.file.read(start, &mut bytes)?;
        codec::decode(&bytes, &self.types)
    }

    pub fn rewind(&mut self) {
        self.next = 0;
    }
}
