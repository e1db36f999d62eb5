//! Rows dealt out to files by hash, so that each file can be worked on in memory by itself.

use types::{Batch, DataType, PgResult};

use super::{SpillReader, SpillStore, SpillWriter};

const BITS: u32 = 4;
const COUNT: usize = 1 << BITS;
/// Rounds of dealing out what was dealt out before: rows that still do not fit are mostly equal, and are worked on together
/// beyond the operator's share of memory, within the query's.
const LEVELS_MAX: u32 = 6;

/// The files of one round.
pub struct Partitions {
    writers: Vec<SpillWriter>,
    selections: Vec<Vec<u32>>,
    types: Vec<DataType>,
    level: u32,
}

impl Partitions {
    /// Whether rows that have been dealt out `level` times may be dealt out once more.
    pub fn can_deal(level: u32) -> bool {
        level < LEVELS_MAX
    }

    /// `level` is 0 for the first round and one more for each round within: [`Partitions::can_deal`].
    pub fn new(store: &dyn SpillStore, types: Vec<DataType>, level: u32) -> PgResult<Partitions> {
        debug_assert!(Partitions::can_deal(level));
        let writers = (0..COUNT).map(|_| SpillWriter::new(store)).collect::<PgResult<_>>()?;
        Ok(Partitions { writers, selections: vec![Vec::new(); COUNT], types, level })
    }

    /// Deals out some rows of a batch (all without a selection); `hashes` are those of all its rows.
    pub fn write(&mut self, batch: &Batch, rows: Option<&[u32]>, hashes: &[u64]) -> PgResult<()> {
        self.selections.iter_mut().for_each(Vec::clear);
        let shift = 64 - BITS * (self.level + 1);
        let mut deal = |row: u32| {
            // The hash tables use the hash as it is.
            let mixed = hashes[row as usize].wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.selections[(mixed >> shift) as usize & (COUNT - 1)].push(row);
        };
        match rows {
            Some(rows) => rows.iter().copied().for_each(&mut deal),
            None => (0..batch.rows as u32).for_each(&mut deal),
        }
        for (writer, selection) in self.writers.iter_mut().zip(&self.selections) {
            if !selection.is_empty() {
                writer.write(&batch.gather(selection))?;
            }
        }
        Ok(())
    }

    /// The files, empty ones included: two sides of a join dealt out alike match file by file.
    pub fn finish(self) -> PgResult<Vec<SpillReader>> {
        self.writers.into_iter().map(|writer| writer.finish(self.types.clone())).collect()
    }
}
