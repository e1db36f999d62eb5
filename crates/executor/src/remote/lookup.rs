//! Lookup joins: a batch of left rows is looked up where the right rows lie.
//!
//! What the join's condition says of the right rows alone is evaluated there, so that only rows that can match come back, with the columns that
//! the join has need of. Through an index that does not hold these columns it takes two steps: entries to primary keys, those to rows.
//! The rest is as without other nodes: pairs come in the order of the left rows, and within one in that of the index.

use std::sync::{Arc, OnceLock};

use expr::{Expr, Program};
use keys::Span;
use planner::Table;
use planner::plan::LookupJoin;
use types::descriptor::ColumnId;
use types::row::KeyPrefixEncoder;
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::fetch::{RowFetch, in_order, key_fragment, row_fragment};
use super::fragment::{Fragment, Relation, Step};
use super::probe::{Found, Prober};
use super::sendable::is_sendable;
use super::source::lies_elsewhere;
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::Run;
use crate::operators::split_condition;
use crate::program::conjunction;

/// What a lookup join could send, kept to be prepared once it is known that there is somebody to send it to.
pub(crate) struct LookupSource {
    table: Arc<Table>,
    index: u32,
    whole_key: bool,
    fetch_row: bool,
    columns: Vec<ColumnId>,
    /// Conditions over the right columns alone, in their order.
    conditions: Vec<Expr>,
    prepared: OnceLock<PgResult<Prepared>>,
}

struct Prepared {
    /// Of the index: rows, or primary keys of rows.
    entries: Fragment,
    rows: Option<Fragment>,
    /// Conditions that cannot be sent, and all behind the first of them.
    rest: Option<Program>,
    /// All that may be read.
    spans: Vec<Span>,
}

impl LookupSource {
    /// `conditions`: over the right columns alone, counted from 0. `None`: locked rows are read by who locks them.
    pub fn new(join: &LookupJoin, whole_key: bool, conditions: &[Expr]) -> Option<LookupSource> {
        join.lock.is_none().then(|| LookupSource {
            table: join.table.clone(),
            index: join.index,
            whole_key,
            fetch_row: join.fetch_row,
            columns: join.columns.clone(),
            conditions: conditions.to_vec(),
            prepared: OnceLock::new(),
        })
    }

    /// What a plan node could send.
    pub(super) fn of(join: &LookupJoin) -> PgResult<Option<LookupSource>> {
        let encoder = KeyPrefixEncoder::new(&join.table.descriptor, join.index_descriptor())?;
        let whole_key = join.keys.len() >= encoder.whole_key_columns();
        Ok(LookupSource::new(join, whole_key, &split_condition(join).0))
    }

    fn prepared(&self) -> PgResult<&Prepared> {
        self.prepared.get_or_init(|| self.prepare()).as_ref().map_err(Clone::clone)
    }

    fn prepare(&self) -> PgResult<Prepared> {
        let table = &*self.table;
        let sent = self.conditions.iter().take_while(|condition| is_sendable(condition)).count();
        let (sent, rest) = self.conditions.split_at(sent);
        let steps: Vec<Step> = conjunction(sent).map(Step::Filter).into_iter().collect();
        let rows = row_fragment(table, &self.columns, steps);
        let (entries, rows) = match (self.fetch_row, self.index) {
            (true, index) => (key_fragment(table, index), Some(rows)),
            (false, 0) => (rows, None),
            (false, index) => {
                let relation = Relation::of(table, index, &self.columns);
                (Fragment { relation, ..rows }, None)
            }
        };
        let mut spans = vec![whole_index(table, self.index)?];
        if self.fetch_row {
            spans.push(whole_index(table, 0)?);
        }
        let rest = conjunction(rest).as_ref().map(Program::new).transpose()?;
        Ok(Prepared { entries, rows, rest, spans })
    }

    /// Begins to look up, if other nodes, which may take part, are to.
    pub async fn open(&self, run: &Run) -> ExecResult<Option<LookupFlow>> {
        let prepared = self.prepared()?;
        if !lies_elsewhere(&prepared.spans, run).await? {
            return Ok(None);
        }
        let Some(entries) = Prober::new(&prepared.entries, !self.whole_key, run)? else { return Ok(None) };
        let rows = match &prepared.rows {
            None => None,
            Some(fragment) => match RowFetch::new(&self.table, fragment, run)? {
                None => return Ok(None),
                rows => rows,
            },
        };
        Ok(Some(LookupFlow { entries, rows }))
    }

    /// Conditions that are still to be looked at: a program over the right rows.
    pub fn rest(&self) -> Option<&Program> {
        self.prepared().ok()?.rest.as_ref()
    }

    /// All that may be read of the index, and of the primary one if rows are fetched from there; whether something is sifted there.
    pub(super) fn outline(&self) -> PgResult<(&[Span], bool)> {
        let prepared = self.prepared()?;
        let fragment = prepared.rows.as_ref().unwrap_or(&prepared.entries);
        Ok((&prepared.spans, fragment.is_sifted()))
    }
}

/// All entries of an index.
pub(super) fn whole_index(table: &Table, index: u32) -> PgResult<Span> {
    let mut start = Vec::new();
    KeyPrefixEncoder::new(&table.descriptor, table.index_at(index))?.start(&mut start);
    Ok(Span::prefix(start))
}

/// Lookups of one execution.
pub(crate) struct LookupFlow {
    entries: Prober,
    rows: Option<RowFetch>,
}

/// Pairs: left row `left_rows[i]` with right row `right_rows[i]` of `rows`, in the order of the left rows.
pub(crate) struct LookedUp {
    pub rows: Batch,
    pub left_rows: Vec<u32>,
    pub right_rows: Vec<u32>,
    /// What they hold of the statement's memory.
    pub memory: Vec<Reservation>,
}

impl LookupFlow {
    /// The rows with the prefixes of a batch of left rows. `None`: it is better done, or must be done, the usual way.
    pub async fn find(&self, prefixes: &[Option<Vec<u8>>]) -> ExecResult<Option<LookedUp>> {
        let (keys, position_of) = in_order(prefixes.iter().map(Option::as_ref));
        if self.rows.is_none() && !self.entries.asks_others(&keys).await? {
            return Ok(None);
        }
        let Some(Found { mut rows, places, mut memory, .. }) = self.entries.probe(&keys).await? else {
            return Ok(None);
        };
        let mut row_of: Option<Vec<Option<u32>>> = None;
        if let Some(fetch) = &self.rows {
            let Some(fetched) = fetch_all(fetch, &rows, &mut memory).await? else { return Ok(None) };
            rows = fetched.0;
            row_of = Some(fetched.1);
        }
        let (mut left_rows, mut right_rows) = (Vec::new(), Vec::new());
        for (left, position) in (0..).zip(&position_of) {
            let Some(position) = position else { continue };
            for entry in places[*position as usize].clone() {
                let row = row_of.as_ref().map_or(Some(entry), |row_of| row_of[entry as usize]);
                if let Some(row) = row {
                    left_rows.push(left);
                    right_rows.push(row);
                }
            }
        }
        Ok(Some(LookedUp { rows, left_rows, right_rows, memory }))
    }
}

/// The rows of entries, and for each entry which it is. `None`: the fragment has met an error.
async fn fetch_all(
    fetch: &RowFetch,
    entries: &Batch,
    memory: &mut Vec<Reservation>,
) -> ExecResult<Option<(Batch, Vec<Option<u32>>)>> {
    let (mut rows, mut row_of) = (fetch.no_rows(), Vec::with_capacity(entries.rows));
    for start in (0..entries.rows).step_by(BATCH_ROWS_MAX) {
        let some = entries.slice(start..(start + BATCH_ROWS_MAX).min(entries.rows));
        let Some(fetched) = fetch.fetch(&some).await? else { return Ok(None) };
        let before = rows.rows as u32;
        row_of.extend(fetched.row_of.into_iter().map(|row| row.map(|row| row + before)));
        rows.append(&fetched.found.rows);
        memory.extend(fetched.found.memory);
    }
    Ok(Some((rows, row_of)))
}
