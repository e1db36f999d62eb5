//! A fragment at work: entries in, batches out. The same code runs on the node that holds the lease and, for its own ranges, on
//! the gateway.

use std::sync::Arc;

use expr::{EvalContext, Program};
use kvapi::KvBlock;
use planner::plan::SortKey;
use types::row::RowDecoder;
use types::{BATCH_ROWS_MAX, Batch, DataType, Nulls, PgError, PgResult, Values, Vector};

use super::fragment::{Fragment, Output, Step};
use crate::memory::MemoryAccount;
use crate::operators::{Best, PartialAggregate, PartialGroups};
use crate::program::{self, Projection, programs};

/// What a fragment holds for its answer, at most: then the page ends.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Groups held, at most.
const GROUPS_MAX: usize = 32 * 1024;
/// Rows looked at at once when only some are wanted.
const FEW_ROWS: usize = 64;

/// Of positions of keys.
const POSITION: DataType = DataType::Int4;

/// A fragment, prepared.
pub(super) struct Prepared {
    decoder: RowDecoder,
    steps: Vec<PreparedStep>,
    output: PreparedOutput,
    types: Vec<DataType>,
    /// Rows decoded and filtered at once.
    chunk_rows: usize,
}

enum PreparedStep {
    Filter(Program),
    Project(Projection),
}

enum PreparedOutput {
    Rows { limit: u64 },
    Groups(PartialAggregate),
    Top { keys: Vec<SortKey>, count: usize },
}

impl Prepared {
    pub fn new(fragment: &Fragment) -> PgResult<Prepared> {
        let decoder = fragment.relation.decoder()?;
        let mut types: Vec<DataType> = decoder.vectors(0).iter().map(|vector| vector.data_type).collect();
        let mut steps = Vec::with_capacity(fragment.steps.len());
        for step in &fragment.steps {
            steps.push(match step {
                Step::Filter(condition) => PreparedStep::Filter(Program::new(condition)?),
                Step::Project(expressions) => {
                    types = programs(expressions)?.iter().map(Program::data_type).collect();
                    PreparedStep::Project(Projection::new(expressions)?)
                }
            });
        }
        let mut chunk_rows = BATCH_ROWS_MAX;
        let output = match &fragment.output {
            Output::Rows { limit } => {
                if *limit > 0 {
                    let wanted = usize::try_from(*limit).unwrap_or(BATCH_ROWS_MAX);
                    chunk_rows = wanted.clamp(FEW_ROWS, BATCH_ROWS_MAX);
                }
                PreparedOutput::Rows { limit: *limit }
            }
            Output::Groups { keys, calls } => {
                let aggregate = PartialAggregate::new(keys, calls)?;
                types = aggregate.types();
                PreparedOutput::Groups(aggregate)
            }
            Output::Top { keys, count } => PreparedOutput::Top {
                keys: keys.clone(),
                count: usize::try_from(*count).unwrap_or(usize::MAX),
            },
        };
        Ok(Prepared { decoder, steps, output, types, chunk_rows })
    }

    /// Of the columns of what comes out.
    pub fn types(&self) -> &[DataType] {
        &self.types
    }

    /// The same, and one column more: the position of the key that a row was found for.
    pub fn found_types(&self) -> Vec<DataType> {
        self.types.iter().copied().chain([POSITION]).collect()
    }

    /// The rows from `from` on, as far as they are looked at at once: decoded, and through all steps. With `asked`, those positions come
    /// along as one column more.
    fn chunk(
        &self,
        rows: &KvBlock,
        from: usize,
        asked: Option<&[u32]>,
        context: &EvalContext<'_>,
    ) -> PgResult<Option<Batch>> {
        let to = (from + self.chunk_rows).min(rows.len());
        let mut columns = self.decoder.vectors(to - from);
        let mut positions = Vec::with_capacity(if asked.is_some() { to - from } else { 0 });
        let mut count = 0;
        for index in from..to {
            let row = rows.row(index);
            let Some(value) = row.value else { continue };
            if !columns.is_empty() {
                self.decoder.decode(row.key, value, &mut columns)?;
            }
            if let Some(asked) = asked {
                positions.push(asked[index] as i32);
            }
            count += 1;
        }
        if asked.is_some() {
            columns.push(Vector {
                data_type: POSITION,
                nulls: Nulls::none(),
                values: Values::Int4(positions),
            });
        }
        let mut batch = Batch { columns, rows: count };
        for step in &self.steps {
            if batch.rows == 0 {
                return Ok(None);
            }
            batch = match step {
                PreparedStep::Project(projection) => {
                    let positions = if asked.is_some() { batch.columns.pop() } else { None };
                    let mut batch = projection.apply(context, batch)?;
                    batch.columns.extend(positions);
                    batch
                }
                PreparedStep::Filter(condition) => match program::filter(condition, context, batch)? {
                    Some(batch) => batch,
                    None => return Ok(None),
                },
            };
        }
        Ok((batch.rows > 0).then_some(batch))
    }
}

/// - `batches` have at most [`BATCH_ROWS_MAX`] rows each; all but the last are not looked at again.
pub(super) struct FragmentRun {
    fragment: Arc<Prepared>,
    memory: MemoryAccount,
    batches: Vec<Batch>,
    rows: u64,
    bytes: usize,
    groups: Option<PartialGroups>,
    best: Option<Best>,
}

impl FragmentRun {
    pub fn new(fragment: Arc<Prepared>, memory: &MemoryAccount) -> FragmentRun {
        let memory = memory.clone();
        FragmentRun { fragment, memory, batches: Vec::new(), rows: 0, bytes: 0, groups: None, best: None }
    }

    /// Takes entries. After an error what came before it is there.
    pub fn feed(&mut self, rows: &KvBlock, context: &EvalContext<'_>) -> PgResult<()> {
        let fragment = self.fragment.clone();
        let mut from = 0;
        while from < rows.len() && !self.is_satisfied() {
            if let Some(batch) = fragment.chunk(rows, from, None, context)? {
                self.take(&fragment, batch, context)?;
            }
            from += fragment.chunk_rows;
        }
        Ok(())
    }

    /// Takes entries that were found for keys: `asked[i]` says for which. What comes out has that as one column more.
    pub fn feed_found(&mut self, rows: &KvBlock, asked: &[u32], context: &EvalContext<'_>) -> PgResult<()> {
        let fragment = self.fragment.clone();
        if !matches!(fragment.output, PreparedOutput::Rows { limit: 0 }) {
            return Err(PgError::internal(
                "rows that were looked up are neither grouped nor sorted nor counted",
            ));
        }
        for from in (0..rows.len()).step_by(fragment.chunk_rows) {
            if let Some(batch) = fragment.chunk(rows, from, Some(asked), context)? {
                self.take(&fragment, batch, context)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, fragment: &Prepared, batch: Batch, context: &EvalContext<'_>) -> PgResult<()> {
        match &fragment.output {
            PreparedOutput::Rows { .. } => {
                self.rows += batch.rows as u64;
                self.bytes += batch.memory_size();
                match self.batches.last_mut() {
                    Some(last) if last.rows + batch.rows <= BATCH_ROWS_MAX => last.append(&batch),
                    _ => self.batches.push(batch),
                }
                Ok(())
            }
            PreparedOutput::Groups(aggregate) => {
                let groups = match &mut self.groups {
                    Some(groups) => groups,
                    none => none.insert(PartialGroups::new(aggregate, &self.memory)?),
                };
                groups.absorb(aggregate, context, &batch)
            }
            PreparedOutput::Top { keys, count } => {
                let memory = &self.memory;
                let new = || Best::new(keys, &fragment.types, *count, memory.reservation());
                self.best.get_or_insert_with(new).push(batch)
            }
        }
    }

    /// All rows that are wanted are there.
    fn is_satisfied(&self) -> bool {
        matches!(self.fragment.output, PreparedOutput::Rows { limit } if limit > 0 && self.rows >= limit)
    }

    /// Whether what is held should be given away before more comes.
    pub fn is_full(&self) -> bool {
        let (groups, group_bytes) =
            self.groups.as_ref().map_or((0, 0), |groups| (groups.len(), groups.memory_size()));
        self.is_satisfied() || self.bytes.max(group_bytes) >= HELD_BYTES_MAX || groups >= GROUPS_MAX
    }

    /// What has come out. Begins anew.
    pub fn finish(&mut self) -> PgResult<Vec<Batch>> {
        let mut batches = std::mem::take(&mut self.batches);
        (self.rows, self.bytes) = (0, 0);
        let whole = match (self.groups.take(), self.best.take()) {
            (Some(groups), _) => groups.finish()?,
            (None, Some(best)) => best.into_batch(),
            (None, None) => return Ok(batches),
        };
        let mut start = 0;
        while start < whole.rows {
            let end = (start + BATCH_ROWS_MAX).min(whole.rows);
            batches.push(whole.slice(start..end));
            start = end;
        }
        Ok(batches)
    }
}
