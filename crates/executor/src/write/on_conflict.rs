//! INSERT ... ON CONFLICT.
//!
//! A batch is inserted as a whole where it can be, for conflicts are mostly few or all:
//!
//! 1. Look all arbiter keys up with one plain multi-get, which sees what this statement has written so far. Rows that find an entry
//!    have a conflict.
//! 2. Insert the others under a check. The check meets what the plain read could not see (rows committed since the snapshot, rows
//!    of the same batch): the row that collides has a conflict as well, the rest is tried again.
//! 3. DO UPDATE: lock the existing rows and read them. One that is gone, or no longer has the key, sends its row back to 1.
//!    Update the others; hitting a row that this statement has written is 21000.

use expr::Program;
use kvclient::{InsertCheck, KeyBlock, KvError, Locking, RestartReason};
use planner::plan::{Assignment, ConflictAction, Insert, OnConflict};
use rustc_hash::FxHashSet;
use types::descriptor::ColumnId;
use types::{Batch, PgError, PgResult, SqlState};

use super::WriteScope;
use super::constraint::unique_violation;
use super::entries::insert_rows;
use super::insert::{NewRows, empty_like};
use super::partial::Membership;
use super::row_update::RowUpdate;
use crate::error::ExecResult;
use crate::operator::Run;
use crate::operators::{Fetch, decode_block};

/// Times that a row may go round before the statement gives up: each time another transaction has come in between.
const ROUNDS_MAX: usize = 100;

/// The prepared clause.
pub(crate) struct ConflictSteps {
    arbiters: Vec<Arbiter>,
    update: Option<UpdateSteps>,
}

struct Arbiter {
    /// Position in `all_indexes()`.
    index: usize,
    /// From an entry to the row's key; `None` for the primary index.
    fetch: Option<Fetch>,
}

/// DO UPDATE. Its batches hold the existing row, then the proposed one.
struct UpdateSteps {
    filter: Option<Program>,
    update: RowUpdate,
    locking: Locking,
}

/// What one execution remembers.
#[derive(Default)]
pub(crate) struct ConflictState {
    /// Primary keys of the rows that the statement has inserted or updated.
    written: FxHashSet<Vec<u8>>,
}

/// A proposed row whose key is taken by the row with this primary key.
struct Taken {
    row: u32,
    arbiter: usize,
    primary_key: Vec<u8>,
}

/// What became of a batch: rows to return by the proposed row they come from.
struct Outcome {
    /// Proposed rows that were inserted.
    inserted: Vec<u32>,
    /// Proposed rows in whose place an existing one was updated, and those as updated.
    updated_for: Vec<u32>,
    updated: Batch,
}

impl ConflictSteps {
    pub fn new(insert: &Insert, conflict: &OnConflict, rows: &NewRows) -> PgResult<ConflictSteps> {
        let table = &rows.table;
        let wanted: Vec<usize> = match &conflict.arbiters {
            Some(list) => list.iter().map(|index| *index as usize).collect(),
            None => (0..table.indexes.len()).filter(|at| *at == 0 || table.indexes[*at].unique).collect(),
        };
        let mut arbiters = Vec::new();
        for index in wanted {
            let descriptor = table.index_descriptor(index);
            let no_columns: &[ColumnId] = &[];
            let fetch = match index {
                0 => None,
                _ => Some(Fetch::new(&table.descriptor, descriptor, no_columns)?),
            };
            arbiters.push(Arbiter { index, fetch });
        }
        let update = match &conflict.action {
            ConflictAction::Nothing => None,
            ConflictAction::Update { assignments, filter } => {
                Some(UpdateSteps::new(insert, assignments, filter.as_ref(), rows)?)
            }
        };
        Ok(ConflictSteps { arbiters, update })
    }

    /// Inserts a batch. Answers with the rows for RETURNING, in the order proposed, and how many count.
    pub async fn insert(
        &self,
        run: &mut Run,
        rows: &NewRows,
        state: &mut ConflictState,
        batch: Batch,
    ) -> ExecResult<(Batch, u64)> {
        let mut outcome =
            Outcome { inserted: Vec::new(), updated_for: Vec::new(), updated: empty_like(&batch) };
        let mut pending: Vec<u32> = (0..batch.rows as u32).collect();
        let membership = rows.partial.membership(&run.eval(), &batch)?;
        for _ in 0..ROUNDS_MAX {
            if pending.is_empty() {
                break;
            }
            run.pause().await?;
            let mut taken = self.find_taken(run, rows, &batch, &membership, &pending).await?;
            pending.retain(|row| taken.iter().all(|taken| taken.row != *row));
            self.insert_free(run, rows, state, (&batch, &membership), &mut pending, &mut taken).await?;
            outcome.inserted.append(&mut pending);
            if let Some(update) = &self.update {
                pending = self.update_taken(run, rows, state, update, &batch, taken, &mut outcome).await?;
            }
        }
        if !pending.is_empty() {
            return Err(PgError::new(
                SqlState::SERIALIZATION_FAILURE,
                "could not insert a row because of concurrent updates of its key",
            )
            .into());
        }
        outcome.inserted.sort_unstable();
        rows.check_parents(run, &batch, Some(&outcome.inserted)).await?;
        let affected = (outcome.inserted.len() + outcome.updated_for.len()) as u64;
        Ok((outcome.into_batch(batch), affected))
    }

    /// The rows among `pending` whose key in an arbiter is seen to be taken.
    async fn find_taken(
        &self,
        run: &Run,
        rows: &NewRows,
        batch: &Batch,
        membership: &Membership,
        pending: &[u32],
    ) -> ExecResult<Vec<Taken>> {
        let mut keys = KeyBlock::new();
        let mut owners: Vec<(u32, usize)> = Vec::new();
        let mut key = Vec::with_capacity(48);
        for row in pending {
            for (at, arbiter) in self.arbiters.iter().enumerate() {
                let index = &rows.table.indexes[arbiter.index];
                let unique = arbiter.index == 0 || index.encoder.is_unique_batch_entry(batch, *row as usize);
                if !unique || !membership.has(arbiter.index, *row as usize) {
                    continue;
                }
                key.clear();
                index.encoder.encode_batch_key(batch, *row as usize, &mut key)?;
                keys.push(&key);
                owners.push((*row, at));
            }
        }
        let found = run.context.txn.multi_get_latest(&keys).await?;
        let mut taken: Vec<Taken> = Vec::new();
        for (at, (row, arbiter)) in owners.iter().enumerate() {
            let entry = found.row(at);
            let Some(value) = entry.value else { continue };
            if taken.last().is_none_or(|last| last.row != *row) {
                taken.push(self.taken(*row, *arbiter, entry.key, value)?);
            }
        }
        Ok(taken)
    }

    fn taken(&self, row: u32, arbiter: usize, key: &[u8], value: &[u8]) -> PgResult<Taken> {
        let primary_key = match &self.arbiters[arbiter].fetch {
            None => key.to_vec(),
            Some(fetch) => fetch.row_key(key, value)?,
        };
        Ok(Taken { row, arbiter, primary_key })
    }

    /// Inserts the rows of `pending` and moves those that collide to `taken`.
    async fn insert_free(
        &self,
        run: &Run,
        rows: &NewRows,
        state: &mut ConflictState,
        (batch, membership): (&Batch, &Membership),
        pending: &mut Vec<u32>,
        taken: &mut Vec<Taken>,
    ) -> ExecResult<()> {
        while !pending.is_empty() {
            let collision =
                insert_rows(run, &rows.table, batch, membership, Some(pending), InsertCheck::Now).await?;
            let Some(collision) = collision else { break };
            let arbiter = self.arbiters.iter().position(|arbiter| arbiter.index == collision.index);
            let Some(arbiter) = arbiter else {
                let format = &run.context.session.format;
                let (row, index) = (collision.row, collision.index);
                return Err(unique_violation(&rows.table, index, batch, &rows.identity, row, format).into());
            };
            if collision.is_newer {
                // Neither can it be left alone for a row that is not seen, nor be changed.
                let (reason, timestamp) = (RestartReason::WriteTooOld, run.context.txn.read_timestamp());
                return Err(
                    KvError::Restart { reason, timestamp, key: Some(collision.key[..].into()) }.into()
                );
            }
            pending.retain(|row| *row as usize != collision.row);
            taken.push(self.taken(collision.row as u32, arbiter, &collision.key, &collision.value)?);
        }
        if self.update.is_some() {
            for row in pending.iter() {
                let mut key = Vec::with_capacity(32);
                rows.table.primary().encoder.encode_batch_key(batch, *row as usize, &mut key)?;
                state.written.insert(key);
            }
        }
        Ok(())
    }

    /// DO UPDATE of the rows in the way. Answers with the rows that must be tried again.
    #[allow(clippy::too_many_arguments)]
    async fn update_taken(
        &self,
        run: &mut Run,
        rows: &NewRows,
        state: &mut ConflictState,
        update: &UpdateSteps,
        batch: &Batch,
        mut taken: Vec<Taken>,
        outcome: &mut Outcome,
    ) -> ExecResult<Vec<u32>> {
        taken.sort_unstable_by_key(|taken| taken.row);
        let mut first = FxHashSet::default();
        for taken in &taken {
            if state.written.contains(&taken.primary_key) || !first.insert(&taken.primary_key) {
                return Err(hit_twice().into());
            }
        }
        let keys: KeyBlock = taken.iter().map(|taken| taken.primary_key.as_slice()).collect();
        let locked = run.context.txn.multi_get(&keys, update.locking).await?;
        let existing = decode_block(&rows.table.decoder, &locked)?;
        let (mut again, mut chosen, mut chosen_existing) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = 0;
        for (at, taken) in taken.iter().enumerate() {
            if locked.value(at).is_none() {
                again.push(taken.row);
                continue;
            }
            if self.still_has_key(rows, batch, taken, &existing, next)? {
                chosen.push(taken.row);
                chosen_existing.push(next as u32);
            } else {
                again.push(taken.row);
            }
            next += 1;
        }
        let mut both = existing.gather(&chosen_existing);
        both.columns.extend(batch.gather(&chosen).columns);
        if let Some(filter) = &update.filter {
            let passing = filter.filter(&run.eval(), &both)?;
            if passing.len() < both.rows {
                both = both.gather(&passing);
                chosen = passing.iter().map(|row| chosen[*row as usize]).collect();
            }
        }
        if both.rows > 0 {
            for row in 0..both.rows {
                let mut key = Vec::with_capacity(32);
                rows.table.primary().encoder.encode_batch_key(&both, row, &mut key)?;
                state.written.insert(key);
            }
            let mut written = update.update.update_checked(run, both, InsertCheck::Now).await?;
            let columns = update.update.positions.iter().map(|at| written.columns[*at].clone()).collect();
            written.columns = columns;
            outcome.updated.append(&written);
            outcome.updated_for.extend(chosen);
        }
        Ok(again)
    }

    /// Whether the existing row, as locked, has the key for which the proposed row met it.
    fn still_has_key(
        &self,
        rows: &NewRows,
        batch: &Batch,
        taken: &Taken,
        existing: &Batch,
        row: usize,
    ) -> PgResult<bool> {
        let arbiter = &self.arbiters[taken.arbiter];
        if arbiter.index == 0 {
            return Ok(true);
        }
        let encoder = &rows.table.indexes[arbiter.index].encoder;
        let (mut proposed, mut present) = (Vec::new(), Vec::new());
        encoder.encode_batch_key(batch, taken.row as usize, &mut proposed)?;
        encoder.encode_batch_key(existing, row, &mut present)?;
        Ok(proposed == present)
    }
}

impl UpdateSteps {
    fn new(
        insert: &Insert,
        assignments: &[Assignment],
        filter: Option<&expr::Expr>,
        rows: &NewRows,
    ) -> PgResult<UpdateSteps> {
        let scope = WriteScope {
            table: &insert.table,
            generated: &insert.generated,
            checks: &insert.checks,
            partial_indexes: &insert.partial_indexes,
        };
        let update = RowUpdate::new(&scope, assignments, rows.table.columns.len() * 2, &rows.written)?;
        let locking = if update.changes_keys() { Locking::UPDATE } else { Locking::NO_KEY_UPDATE };
        Ok(UpdateSteps { filter: filter.map(Program::new).transpose()?, update, locking })
    }
}

impl Outcome {
    /// The rows inserted and updated, in the order in which they were proposed.
    fn into_batch(self, mut proposed: Batch) -> Batch {
        if self.updated.rows == 0 && self.inserted.len() == proposed.rows {
            return proposed;
        }
        let first_updated = proposed.rows as u32;
        proposed.append(&self.updated);
        let inserted = self.inserted.iter().map(|row| (*row, *row));
        let updated = self.updated_for.iter().enumerate().map(|(at, row)| (*row, first_updated + at as u32));
        let mut order: Vec<(u32, u32)> = inserted.chain(updated).collect();
        order.sort_unstable();
        let selection: Vec<u32> = order.into_iter().map(|(_, row)| row).collect();
        proposed.gather(&selection)
    }
}

fn hit_twice() -> PgError {
    PgError::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint("Ensure that no rows proposed for insertion within the same command have duplicate constrained values.")
}
