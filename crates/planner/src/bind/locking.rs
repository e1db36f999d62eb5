//! FOR UPDATE and its relatives: which scans they lock, and where.
//!
//! A query that reads one table without sorting or limiting locks rows as the scan finds them. Otherwise rows are
//! locked after they have been chosen ([`crate::logical::LockRows`]), so that `ORDER BY ... LIMIT 1 FOR UPDATE SKIP LOCKED` locks
//! one row.

use super::Binder;
use crate::ast::{LockStrength, LockWait, Locking};
use crate::logical::{JoinKind, LockTarget, Relational};
use crate::plan::RowLock;
use types::{PgError, PgResult, SqlState};

pub(super) fn strength_name(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::Update => "FOR UPDATE",
        LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        LockStrength::Share => "FOR SHARE",
        LockStrength::KeyShare => "FOR KEY SHARE",
    }
}

impl Binder<'_> {
    /// Marks the scans of FROM that a locking clause means.
    pub(super) fn lock_scans(
        &mut self,
        plan: &mut Relational,
        locking: &Locking,
        in_scan: bool,
        targets: &mut Vec<LockTarget>,
    ) -> PgResult<()> {
        self.writes = true;
        let lock = RowLock { strength: locking.strength, wait: locking.wait };
        let mut work =
            Work { lock, in_scan, targets, found: Vec::new(), name: strength_name(locking.strength) };
        if locking.tables.is_empty() {
            work.visit(plan, None, false)?;
            return Ok(());
        }
        for table in &locking.tables {
            if table.parts.len() > 1 {
                let message = format!("{} must specify unqualified relation names", work.name);
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(table.position()));
            }
            work.found.clear();
            work.visit(plan, Some(table.name()), false)?;
            if work.found.is_empty() {
                let known = self.levels.last().is_some_and(|level| {
                    level.namespace.iter().any(|item| item.name.as_deref() == Some(table.name()))
                });
                if !known {
                    let message = format!(
                        "relation \"{}\" in {} clause not found in FROM clause",
                        table.name(),
                        work.name
                    );
                    return Err(PgError::new(SqlState::UNDEFINED_TABLE, message).at(table.position()));
                }
            }
        }
        Ok(())
    }
}

struct Work<'w> {
    lock: RowLock,
    in_scan: bool,
    targets: &'w mut Vec<LockTarget>,
    found: Vec<Box<str>>,
    name: &'static str,
}

impl Work<'_> {
    fn visit(&mut self, plan: &mut Relational, wanted: Option<&str>, nullable: bool) -> PgResult<()> {
        match plan {
            Relational::Scan(scan) if wanted.is_none_or(|wanted| *scan.alias == *wanted) => {
                self.found.push(scan.alias.clone());
                if nullable {
                    let message =
                        format!("{} cannot be applied to the nullable side of an outer join", self.name);
                    return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
                }
                if self.in_scan {
                    scan.lock = Some(stronger(scan.lock, self.lock));
                    return Ok(());
                }
                let known = self.targets.iter_mut().find(|target| target.columns == scan.columns);
                match known {
                    Some(target) => target.lock = stronger(Some(target.lock), self.lock),
                    None => self.targets.push(LockTarget {
                        table: scan.table.clone(),
                        columns: scan.columns.clone(),
                        lock: self.lock,
                    }),
                }
                Ok(())
            }
            Relational::Filter(node) => self.visit(&mut node.input, wanted, nullable),
            Relational::Extend(node) => self.visit(&mut node.input, wanted, nullable),
            Relational::Join(node) => {
                let (left, right) = match node.kind {
                    JoinKind::Left => (nullable, true),
                    JoinKind::Right => (true, nullable),
                    JoinKind::Full => (true, true),
                    _ => (nullable, nullable),
                };
                self.visit(&mut node.left, wanted, left)?;
                if node.kind.has_right_columns() {
                    self.visit(&mut node.right, wanted, right)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Two clauses on one table: the stronger lock; NOWAIT beats SKIP LOCKED beats waiting.
fn stronger(first: Option<RowLock>, second: RowLock) -> RowLock {
    let Some(first) = first else { return second };
    let wait = match (first.wait, second.wait) {
        (LockWait::Error, _) | (_, LockWait::Error) => LockWait::Error,
        (LockWait::Skip, _) | (_, LockWait::Skip) => LockWait::Skip,
        _ => LockWait::Block,
    };
    RowLock { strength: first.strength.max(second.strength), wait }
}
