//! The groups of one grouping set.

use expr::TextContext;
use types::{Batch, DataType, Datum, Nulls, PgResult, Values, Vector};

use super::super::row_set::{RowSet, hash_rows};
use super::calls::{CallState, PreparedCall};
use crate::memory::{MemoryAccount, Reservation};
use crate::spill::{Partitions, SpillReader};

/// - Groups are numbered as they are met; without keys there is one, number 0, from the beginning.
/// - With `overflow` no group is new any more.
pub(super) struct Groups {
    /// Positions of the set's keys in an evaluated row.
    keys: Vec<usize>,
    rows: RowSet,
    states: Vec<CallState>,
    numbers: Vec<u32>,
    account: MemoryAccount,
    reservation: Reservation,
    overflow: Option<Partitions>,
    level: u32,
    /// Rows until memory is looked at again: measuring it costs as much as there are groups.
    unmeasured: usize,
    measured_groups: usize,
    /// Bytes of what calls were given since, and bytes held then.
    unmeasured_bytes: usize,
    measured_bytes: usize,
}

/// What rows that are added look like.
#[derive(Clone, Copy)]
pub(super) struct Absorbed<'a> {
    pub types: &'a [DataType],
    /// Behind the keys are partial states, one a call.
    pub is_partial: bool,
}

/// Rows between two measurements while groups do not grow.
const UNMEASURED_ROWS_MAX: usize = 1 << 16;
/// Bytes of rows between two measurements, at least: calls may keep all that they are given.
const UNMEASURED_BYTES_MIN: usize = 1 << 20;

impl Groups {
    pub fn new(
        (account, text): (&MemoryAccount, &TextContext),
        calls: &[PreparedCall],
        key_types: &[DataType],
        set: &[u32],
        level: u32,
    ) -> PgResult<Groups> {
        let keys: Vec<usize> = set.iter().map(|key| *key as usize).collect();
        let types = keys.iter().map(|key| key_types[*key]).collect();
        Ok(Groups {
            rows: RowSet::new(account, types),
            keys,
            states: calls.iter().map(|call| CallState::new(call, account, text)).collect::<PgResult<_>>()?,
            numbers: Vec::new(),
            account: account.clone(),
            reservation: account.reservation(),
            overflow: None,
            level,
            unmeasured: 0,
            measured_groups: 0,
            unmeasured_bytes: 0,
            measured_bytes: 0,
        })
    }

    pub fn len(&self) -> usize {
        if self.keys.is_empty() { 1 } else { self.rows.len() }
    }

    pub fn level(&self) -> u32 {
        self.level
    }

    /// Adds evaluated rows: with a call's arguments, or partial states, behind the keys.
    pub fn absorb(
        &mut self,
        calls: &[PreparedCall],
        what: Absorbed<'_>,
        columns: &[&Vector],
        rows: usize,
    ) -> PgResult<()> {
        let mut numbers = std::mem::take(&mut self.numbers);
        let mut chosen = None;
        if self.keys.is_empty() {
            numbers.clear();
            numbers.resize(rows, 0);
        } else {
            let keys: Vec<&Vector> = self.keys.iter().map(|key| columns[*key]).collect();
            if self.overflow.is_some() {
                chosen = Some(self.number_known(&keys, columns, rows, &mut numbers)?);
            } else {
                self.rows.number(&keys, rows, &mut numbers);
            }
        }
        let groups = self.len();
        for (at, (state, call)) in self.states.iter_mut().zip(calls).enumerate() {
            if what.is_partial {
                let states = columns[columns.len() - calls.len() + at];
                state.merge(&numbers, groups, states, chosen.as_deref())?;
            } else {
                state.update(call, &numbers, groups, columns, chosen.as_deref())?;
            }
        }
        self.numbers = numbers;
        let given = columns.iter().map(|column| column.memory_size()).sum();
        self.measure(what.types, rows, given)
    }

    /// Numbers the rows of groups that are there; the others go to a file.
    fn number_known(
        &mut self,
        keys: &[&Vector],
        columns: &[&Vector],
        rows: usize,
        numbers: &mut Vec<u32>,
    ) -> PgResult<Vec<u32>> {
        let mut hashes = Vec::new();
        hash_rows(keys, rows, &mut hashes);
        numbers.clear();
        numbers.resize(rows, 0);
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (row, hash) in hashes.iter().enumerate() {
            match self.rows.find(keys, row, *hash) {
                Some(number) => {
                    numbers[row] = number;
                    known.push(row as u32);
                }
                None => unknown.push(row as u32),
            }
        }
        if let Some(overflow) = &mut self.overflow
            && !unknown.is_empty()
        {
            let batch = Batch { columns: columns.iter().map(|column| (*column).clone()).collect(), rows };
            overflow.write(&batch, Some(&unknown), &hashes)?;
        }
        Ok(known)
    }

    /// Accounts for what is held; begins to overflow when it is too much.
    fn measure(&mut self, types: &[DataType], rows: usize, given: usize) -> PgResult<()> {
        self.unmeasured += rows;
        self.unmeasured_bytes += given;
        let grown = self.len() > self.measured_groups + self.measured_groups / 8 + 256;
        let fed = self.unmeasured_bytes > UNMEASURED_BYTES_MIN + self.measured_bytes / 8;
        if !grown && !fed && self.unmeasured < UNMEASURED_ROWS_MAX {
            return Ok(());
        }
        self.unmeasured = 0;
        self.unmeasured_bytes = 0;
        self.measured_groups = self.len();
        self.measured_bytes = self.memory_size();
        let bytes = self.measured_bytes as u64;
        let grouped = self.overflow.is_none() && !self.keys.is_empty();
        let can_spill = grouped && Partitions::can_deal(self.level);
        let store = if can_spill { self.account.spill_store() } else { None };
        let Some(store) = store else { return self.reservation.resize(bytes) };
        if bytes > self.account.work_bytes() || self.reservation.resize(bytes).is_err() {
            self.overflow = Some(Partitions::new(&**store, types.to_vec(), self.level)?);
        }
        Ok(())
    }

    /// Bytes held, roughly.
    pub fn memory_size(&self) -> usize {
        self.rows.memory_size() + self.states.iter().map(CallState::memory_size).sum::<usize>()
    }

    /// One row a group: its keys, and the states of its calls.
    pub fn finish_partial(mut self) -> PgResult<Batch> {
        let rows = self.len();
        let states: Vec<Vector> =
            self.states.iter_mut().map(|state| state.partial(rows)).collect::<PgResult<_>>()?;
        let mut columns = self.rows.into_columns();
        columns.extend(states);
        Ok(Batch { columns, rows })
    }

    /// One row a group, and the files of what was put off. `marker` is a last column, if asked for.
    pub fn finish(
        self,
        calls: &[PreparedCall],
        key_types: &[DataType],
        marker: Option<i32>,
    ) -> PgResult<(Batch, Vec<SpillReader>)> {
        let rows = self.len();
        let mut columns: Vec<Vector> = Vec::with_capacity(key_types.len() + calls.len() + 1);
        let mut held: Vec<Option<Vector>> = self.rows.into_columns().into_iter().map(Some).collect();
        for (key, data_type) in key_types.iter().enumerate() {
            let at = self.keys.iter().position(|other| *other == key);
            let vector = at.and_then(|at| held[at].take());
            columns.push(vector.unwrap_or_else(|| Vector::constant(&Datum::Null, *data_type, rows)));
        }
        for (state, call) in self.states.into_iter().zip(calls) {
            columns.push(state.finish(call, rows)?);
        }
        if let Some(marker) = marker {
            let values = Values::Int4(vec![marker; rows]);
            columns.push(Vector { data_type: DataType::Int4, nulls: Nulls::none(), values });
        }
        let files = match self.overflow {
            None => Vec::new(),
            Some(overflow) => overflow.finish()?.into_iter().filter(|file| file.rows() > 0).collect(),
        };
        Ok((Batch { columns, rows }, files))
    }
}
