//! Locks rows after sorting or joining has chosen them.
//!
//! LIMIT stands above: it says how many rows it still wants ([`Operator::bound`]), and no more are locked at once, so that what is not
//! given out stays free for others (`LIMIT 1 FOR UPDATE SKIP LOCKED`). What is left of a batch waits.

use std::sync::Arc;

use async_trait::async_trait;
use expr::Program;
use kvclient::{KeyBlock, Locking};
use planner::plan::{LockRows, LockTarget};
use types::descriptor::ColumnId;
use types::row::{KeyPrefixEncoder, RowDecoder};
use types::{Batch, PgResult, Vector};

use super::locking::{lock_rows, row_locking};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program;

pub(crate) struct LockRowsNode {
    input: NodeRef,
    targets: Vec<Target>,
    recheck: Option<Program>,
}

struct Target {
    relation: Box<str>,
    locking: Locking,
    encoder: KeyPrefixEncoder,
    key: Vec<usize>,
    /// Gives the columns that replace those at `positions`.
    decoder: RowDecoder,
    positions: Vec<usize>,
}

impl Target {
    fn new(target: &LockTarget) -> PgResult<Target> {
        let table = &target.table.descriptor;
        let wanted: Vec<ColumnId> = target.refresh.iter().map(|(column, _)| *column).collect();
        Ok(Target {
            relation: table.name.as_str().into(),
            locking: row_locking(Some(target.lock)),
            encoder: KeyPrefixEncoder::new(table, &table.primary)?,
            key: target.key.iter().map(|column| *column as usize).collect(),
            decoder: RowDecoder::new(table, &table.primary, &wanted)?,
            positions: target.refresh.iter().map(|(_, position)| *position as usize).collect(),
        })
    }

    /// Locks the target's rows of a batch and replaces their columns. Rows that are gone or skipped are left out.
    async fn lock(&self, run: &Run, batch: Batch) -> ExecResult<Batch> {
        let mut keys = KeyBlock::new();
        let mut asked = vec![false; batch.rows];
        let mut key = Vec::with_capacity(32);
        for (row, asked) in asked.iter_mut().enumerate() {
            if self.key.iter().any(|column| batch.columns[*column].is_null(row)) {
                continue;
            }
            key.clear();
            self.encoder.start(&mut key);
            for (position, column) in self.key.iter().enumerate() {
                self.encoder.append_from(position, &batch.columns[*column], row, &mut key)?;
            }
            keys.push(&key);
            *asked = true;
        }
        let locked = lock_rows(run, &keys, self.locking, &self.relation).await?;
        let mut fresh = self.decoder.vectors(batch.rows);
        let (mut kept, mut next, mut next_key) = (Vec::with_capacity(batch.rows), 0, 0);
        for (row, asked) in asked.into_iter().enumerate() {
            if asked {
                let at = next_key;
                next_key += 1;
                if next >= locked.len() || locked.key(next) != keys.key(at) {
                    continue;
                }
                let value = locked.value(next);
                next += 1;
                let Some(value) = value else { continue };
                self.decoder.decode(keys.key(at), value, &mut fresh)?;
            } else {
                for (to, position) in fresh.iter_mut().zip(&self.positions) {
                    to.push_from(&batch.columns[*position], row);
                }
            }
            kept.push(row as u32);
        }
        let mut batch = if kept.len() == batch.rows { batch } else { batch.gather(&kept) };
        for (vector, position) in fresh.into_iter().zip(&self.positions) {
            batch.columns[*position] = Vector { data_type: batch.columns[*position].data_type, ..vector };
        }
        Ok(batch)
    }
}

impl LockRowsNode {
    pub fn new(plan: &LockRows, input: NodeRef) -> PgResult<LockRowsNode> {
        let targets = plan.targets.iter().map(Target::new).collect::<PgResult<_>>()?;
        let recheck = plan.recheck.as_ref().map(Program::new).transpose()?;
        Ok(LockRowsNode { input, targets, recheck })
    }
}

impl Node for LockRowsNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(LockRowsOperator {
            input: self.input.clone().open(),
            node: self,
            wanted: usize::MAX,
            rest: None,
        })
    }
}

struct LockRowsOperator {
    node: Arc<LockRowsNode>,
    input: BoxedOperator,
    /// Rows that may be given, and so locked, at once.
    wanted: usize,
    /// A batch of the input and how many of its rows are through.
    rest: Option<(Batch, usize)>,
}

impl LockRowsOperator {
    /// The next rows to be locked.
    async fn next_part(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let (batch, from) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.input.next(run).await? {
                Some(batch) => (batch, 0),
                None => return Ok(None),
            },
        };
        let to = from.saturating_add(self.wanted).min(batch.rows);
        if (from, to) == (0, batch.rows) {
            return Ok(Some(batch));
        }
        let part = batch.slice(from..to);
        if to < batch.rows {
            self.rest = Some((batch, to));
        }
        Ok(Some(part))
    }
}

#[async_trait]
impl Operator for LockRowsOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        while let Some(mut batch) = self.next_part(run).await? {
            run.pause().await?;
            for target in &self.node.targets {
                if batch.rows > 0 {
                    batch = target.lock(run, batch).await?;
                }
            }
            if batch.rows == 0 {
                continue;
            }
            match &self.node.recheck {
                None => return Ok(Some(batch)),
                Some(recheck) => {
                    if let Some(kept) = program::filter(recheck, &run.eval(), batch)? {
                        return Ok(Some(kept));
                    }
                }
            }
        }
        Ok(None)
    }

    fn bound(&mut self, rows: u64) {
        self.wanted = usize::try_from(rows).unwrap_or(usize::MAX).max(1);
    }
}
