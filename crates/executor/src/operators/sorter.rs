//! Sorting any number of rows: in memory while they fit, in sorted files that are merged beyond.
//!
//! In memory a row is a pair of its first key's prefix (64 bits) and its number; rows themselves move once, when they are
//! given out. Stable: equal rows come in the order in which they were given.

use planner::plan::SortKey;
use types::{BATCH_ROWS_MAX, Batch, DataType, PgError, PgResult, SqlState, Vector};

use super::order::{Prefixes, compare_keys};
use crate::memory::{MemoryAccount, Reservation};
use crate::spill::{SpillReader, SpillWriter};

/// Bytes that one vector must stay below.
const HELD_BYTES_MAX: u64 = 2 << 30;
/// What a row costs besides its values.
const ROW_BYTES: u64 = 16;

/// Takes rows.
pub(crate) struct Sorter {
    keys: Vec<SortKey>,
    types: Vec<DataType>,
    account: MemoryAccount,
    reservation: Reservation,
    held: Batch,
    runs: Vec<SpillReader>,
}

/// An empty batch with columns of these types.
pub(crate) fn empty_batch(types: &[DataType]) -> Batch {
    Batch { columns: types.iter().map(|data_type| Vector::with_capacity(*data_type, 0)).collect(), rows: 0 }
}

/// The order of rows by keys.
pub(crate) fn sorted_rows(keys: &[SortKey], batch: &Batch) -> Vec<u32> {
    let Some(first) = keys.first() else { return (0..batch.rows as u32).collect() };
    let prefixes = Prefixes::new(*first, &batch.columns[first.column as usize]);
    let rest = if prefixes.exact { &keys[1..] } else { keys };
    let mut rows: Vec<(u64, u32)> =
        prefixes.numbers.iter().enumerate().map(|(row, number)| (*number, row as u32)).collect();
    if rest.is_empty() {
        rows.sort_unstable();
    } else {
        rows.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0)
                .then_with(|| compare_keys(rest, batch, a.1 as usize, batch, b.1 as usize))
                .then(a.1.cmp(&b.1))
        });
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

impl Sorter {
    pub fn new(account: &MemoryAccount, keys: Vec<SortKey>, types: Vec<DataType>) -> Sorter {
        Sorter {
            held: empty_batch(&types),
            keys,
            types,
            reservation: account.reservation(),
            account: account.clone(),
            runs: Vec::new(),
        }
    }

    pub fn push(&mut self, batch: Batch) -> PgResult<()> {
        let bytes = batch.memory_size() as u64 + ROW_BYTES * batch.rows as u64;
        let after = self.reservation.bytes() + bytes;
        let can_spill = self.account.spill_store().is_some();
        if (can_spill && after > self.account.work_bytes()) || after > HELD_BYTES_MAX {
            self.spill()?;
        }
        if let Err(error) = self.reservation.grow(bytes) {
            if !can_spill {
                return Err(error);
            }
            self.spill()?;
            self.reservation.grow(bytes)?;
        }
        self.held.append(&batch);
        Ok(())
    }

    /// Moves what is held to a file of its own, sorted.
    fn spill(&mut self) -> PgResult<()> {
        let Some(store) = self.account.spill_store() else {
            return Err(PgError::new(SqlState::OUT_OF_MEMORY, "out of memory")
                .detail("There is no place for temporary files."));
        };
        if self.held.rows == 0 {
            return Ok(());
        }
        let order = sorted_rows(&self.keys, &self.held);
        let mut writer = SpillWriter::new(&**store)?;
        for rows in order.chunks(BATCH_ROWS_MAX) {
            writer.write(&self.held.gather(rows))?;
        }
        self.runs.push(writer.finish(self.types.clone())?);
        self.held = empty_batch(&self.types);
        self.reservation.resize(0)
    }

    /// Ends taking.
    pub fn finish(mut self) -> PgResult<SortedRows> {
        if self.runs.is_empty() {
            let order = sorted_rows(&self.keys, &self.held);
            let _reservation = self.reservation;
            return Ok(SortedRows::Held { rows: self.held, order, next: 0, _reservation });
        }
        self.spill()?;
        Ok(SortedRows::Merging(Merge::new(self.keys, self.types, self.runs)?))
    }
}

/// Gives rows in order.
pub(crate) enum SortedRows {
    Held { rows: Batch, order: Vec<u32>, next: usize, _reservation: Reservation },
    Merging(Merge),
}

impl SortedRows {
    pub fn next(&mut self) -> PgResult<Option<Batch>> {
        match self {
            SortedRows::Held { rows, order, next, .. } => {
                let rest = &order[*next..];
                let chosen = &rest[..rest.len().min(BATCH_ROWS_MAX)];
                *next += chosen.len();
                Ok(if chosen.is_empty() { None } else { Some(rows.gather(chosen)) })
            }
            SortedRows::Merging(merge) => merge.next(),
        }
    }
}

/// Merges sorted files.
///
/// - `heap` holds the numbers of the runs that have rows, as a binary heap: the run with the smallest row first, the earlier
///   run where rows are equal.
pub(crate) struct Merge {
    keys: Vec<SortKey>,
    types: Vec<DataType>,
    runs: Vec<Run>,
    heap: Vec<usize>,
}

struct Run {
    reader: SpillReader,
    batch: Batch,
    row: usize,
}

impl Merge {
    fn new(keys: Vec<SortKey>, types: Vec<DataType>, readers: Vec<SpillReader>) -> PgResult<Merge> {
        let mut merge = Merge { keys, types, runs: Vec::new(), heap: Vec::new() };
        for mut reader in readers {
            if let Some(batch) = reader.read()? {
                merge.heap.push(merge.runs.len());
                merge.runs.push(Run { reader, batch, row: 0 });
            }
        }
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at);
        }
        Ok(merge)
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let (left, right) = (&self.runs[a], &self.runs[b]);
        let order = compare_keys(&self.keys, &left.batch, left.row, &right.batch, right.row);
        order.then(a.cmp(&b)).is_lt()
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.is_before(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    fn next(&mut self) -> PgResult<Option<Batch>> {
        let mut out = empty_batch(&self.types);
        while out.rows < BATCH_ROWS_MAX {
            let Some(first) = self.heap.first().copied() else { break };
            let run = &mut self.runs[first];
            for (to, from) in out.columns.iter_mut().zip(&run.batch.columns) {
                to.push_from(from, run.row);
            }
            out.rows += 1;
            run.row += 1;
            if run.row == run.batch.rows {
                run.row = 0;
                match run.reader.read()? {
                    Some(batch) => run.batch = batch,
                    None => {
                        self.heap.swap_remove(0);
                    }
                }
            }
            self.sift_down(0);
        }
        Ok(if out.rows == 0 { None } else { Some(out) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::MemorySpill;
    use std::sync::Arc;
    use types::Datum;

    fn sort(work_bytes: u64, batches: i32) -> Vec<(i32, i32)> {
        let node = MemoryAccount::with_spill("node", 1 << 30, Arc::new(MemorySpill::default()));
        let account = node.with_work_memory("query", 1 << 30, work_bytes);
        let keys = vec![SortKey { column: 0, descending: true, nulls_first: false }];
        let mut sorter = Sorter::new(&account, keys, vec![DataType::Int4; 2]);
        for number in 0..batches {
            let values: Vec<Datum> = (0..100).map(|row| Datum::Int4((row * 7 + number) % 10)).collect();
            let order: Vec<Datum> = (0..100).map(|row| Datum::Int4(number * 100 + row)).collect();
            let columns = [values, order].map(|datums| Vector::from_datums(DataType::Int4, &datums));
            sorter.push(Batch::new(columns.to_vec(), 100)).expect("sorts");
        }
        let mut sorted = sorter.finish().expect("sorts");
        let mut rows = Vec::new();
        while let Some(batch) = sorted.next().expect("sorts") {
            for row in 0..batch.rows {
                match batch.row(row).as_slice() {
                    [Datum::Int4(value), Datum::Int4(order)] => rows.push((*value, *order)),
                    other => panic!("{other:?}"),
                }
            }
        }
        rows
    }

    #[test]
    fn sorting_is_stable_in_memory_and_through_files() {
        let in_memory = sort(1 << 20, 30);
        assert_eq!(in_memory.len(), 3000);
        assert!(in_memory.is_sorted_by_key(|(value, order)| (-value, *order)));
        assert_eq!(sort(10_000, 30), in_memory);
    }
}
