//! What a statement owes when its own work is done: foreign keys that must see all of it.
//!
//! See [the module](super) for the order. Each round begins a new part of the statement, so that reads see what the rounds
//! before have written; under READ COMMITTED it also takes a new snapshot, as PostgreSQL's checks do.

use std::collections::VecDeque;
use std::sync::Arc;

use planner::Table;
use types::compare::compare_rows;
use types::descriptor::{ForeignKey, ForeignKeyAction, Oid};
use types::{Batch, Vector};

use super::children::{act_on_children, defer_children, refuse_children};
use super::foreign_key::{VerifiedParents, find_parents};
use super::stored_table::StoredTable;
use crate::error::ExecResult;
use crate::memory::Reservation;
use crate::operator::Run;

/// The queue of one execution.
pub(crate) struct AfterStatement {
    restricts: VecDeque<Event>,
    actions: VecDeque<Event>,
    checks: VecDeque<Event>,
    reservation: Reservation,
    pub verified: VerifiedParents,
}

/// Something to be looked at.
pub(crate) enum Event {
    /// Rows (their referencing columns, no NULL among them) that must have a parent.
    Child { table: Arc<StoredTable>, foreign_key: Oid, rows: Batch },
    /// Rows that were deleted or whose referenced key was changed.
    Parent(ParentEvent),
}

/// - `old` and `new` hold the referenced columns, in the foreign key's order; no NULL in `old`.
pub(crate) struct ParentEvent {
    pub parent: Arc<StoredTable>,
    pub child: Arc<Table>,
    pub foreign_key: ForeignKey,
    pub old: Batch,
    /// `None`: deleted.
    pub new: Option<Batch>,
}

impl ParentEvent {
    pub fn action(&self) -> ForeignKeyAction {
        if self.new.is_some() { self.foreign_key.on_update } else { self.foreign_key.on_delete }
    }
}

impl AfterStatement {
    pub fn new(reservation: Reservation) -> AfterStatement {
        AfterStatement {
            restricts: VecDeque::new(),
            actions: VecDeque::new(),
            checks: VecDeque::new(),
            reservation,
            verified: VerifiedParents::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.restricts.is_empty() && self.actions.is_empty() && self.checks.is_empty()
    }

    pub fn push(&mut self, event: Event) -> ExecResult<()> {
        let bytes = match &event {
            Event::Child { rows, .. } => rows.memory_size(),
            Event::Parent(parent) => {
                parent.old.memory_size() + parent.new.as_ref().map_or(0, Batch::memory_size)
            }
        };
        self.reservation.grow(bytes as u64)?;
        let queue = match &event {
            Event::Child { .. } => &mut self.checks,
            Event::Parent(parent) => match parent.action() {
                ForeignKeyAction::Restrict => &mut self.restricts,
                ForeignKeyAction::NoAction => &mut self.checks,
                _ => &mut self.actions,
            },
        };
        queue.push_back(event);
        Ok(())
    }

    fn pop(&mut self) -> Option<Event> {
        let event = self.restricts.pop_front();
        event.or_else(|| self.actions.pop_front()).or_else(|| self.checks.pop_front())
    }
}

/// Rows with where a table's columns stand in them.
type Located<'a> = (&'a Batch, &'a [usize]);

impl Event {
    /// Queues what other tables' foreign keys owe because rows were deleted, or updated in the columns `changed`.
    pub fn queue_parents(
        run: &mut Run,
        parent: &Arc<StoredTable>,
        old: Located<'_>,
        new: Option<Located<'_>>,
        changed: Option<&[usize]>,
    ) -> ExecResult<()> {
        for (child, constraint) in &parent.descriptor.referenced_by {
            let child = run.context.tables.table(*child)?;
            let foreign_key = child.descriptor.foreign_keys.iter().find(|key| key.id == *constraint);
            // Another transaction may have dropped the constraint, or not yet have published it.
            let Some(foreign_key) = foreign_key.cloned() else { continue };
            let columns = parent.positions(&foreign_key.referenced_columns)?;
            if changed.is_some_and(|changed| columns.iter().all(|column| !changed.contains(column))) {
                continue;
            }
            let rows = affected_rows(&columns, old, new);
            if rows.is_empty() {
                continue;
            }
            let take = |(batch, positions): Located<'_>| Batch {
                columns: columns.iter().map(|at| batch.columns[positions[*at]].gather(&rows)).collect(),
                rows: rows.len(),
            };
            run.after.push(Event::Parent(ParentEvent {
                parent: parent.clone(),
                child,
                foreign_key,
                old: take(old),
                new: new.map(take),
            }))?;
        }
        Ok(())
    }
}

/// Rows whose key could be referenced and is no longer there.
fn affected_rows(columns: &[usize], old: Located<'_>, new: Option<Located<'_>>) -> Vec<u32> {
    let old_vectors: Vec<&Vector> = columns.iter().map(|at| &old.0.columns[old.1[*at]]).collect();
    let new_vectors: Option<Vec<&Vector>> =
        new.map(|(batch, positions)| columns.iter().map(|at| &batch.columns[positions[*at]]).collect());
    let changed = |row: usize| match &new_vectors {
        None => true,
        Some(new) => old_vectors
            .iter()
            .zip(new)
            .any(|(old, new)| compare_rows(old, row, new, row, false, false).is_ne()),
    };
    (0..old.0.rows)
        .filter(|row| old_vectors.iter().all(|vector| !vector.is_null(*row)) && changed(*row))
        .map(|row| row as u32)
        .collect()
}

/// Does everything that is owed.
pub(crate) async fn run_after(run: &mut Run) -> ExecResult<()> {
    run.after.verified.forget();
    run.context.txn.begin_part();
    while let Some(event) = run.after.pop() {
        run.pause().await?;
        match event {
            Event::Child { table, foreign_key, rows } => {
                let keys = &table.descriptor.foreign_keys;
                let Some(foreign_key) = keys.iter().find(|key| key.id == foreign_key) else { continue };
                let vectors: Vec<&Vector> = rows.columns.iter().collect();
                let all: Vec<u32> = (0..rows.rows as u32).collect();
                find_parents(run, &table, foreign_key, &vectors, &all).await?;
            }
            Event::Parent(event) => match event.action() {
                ForeignKeyAction::NoAction if is_deferred(run, &event.foreign_key) => {
                    defer_children(run, &event).await?;
                }
                ForeignKeyAction::NoAction | ForeignKeyAction::Restrict => {
                    refuse_children(run, &event).await?;
                }
                _ => {
                    act_on_children(run, &event).await?;
                    run.context.txn.begin_part();
                }
            },
        }
    }
    Ok(())
}

pub(super) fn is_deferred(run: &Run, foreign_key: &ForeignKey) -> bool {
    let checks = &run.context.deferred_checks;
    foreign_key.deferrable && checks.is_deferred(foreign_key.id, foreign_key.initially_deferred)
}
