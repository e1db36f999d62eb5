//! Aggregation up to partial states: what one node makes of its rows for another one to merge.
//!
//! States may be given away at any time and begun anew: whoever merges does not mind a group that comes twice.

use std::borrow::Cow;

use expr::aggregate::merges_exactly;
use expr::{Aggregate, EvalContext, Expr, Program, TextContext};
use types::{Batch, DataType, PgError, PgResult, Vector};

use super::calls::PreparedCall;
use super::groups::{Absorbed, Groups};
use crate::memory::MemoryAccount;
use crate::program::programs;

/// Keys and calls, prepared. Of calls for which [`merges_exactly`] holds.
pub(crate) struct PartialAggregate {
    keys: Vec<Program>,
    set: Vec<u32>,
    calls: Vec<PreparedCall>,
    evaluated_types: Vec<DataType>,
}

impl PartialAggregate {
    pub fn new(keys: &[Expr], aggregates: &[Aggregate]) -> PgResult<PartialAggregate> {
        let keys = programs(keys)?;
        let mut evaluated_types: Vec<DataType> = keys.iter().map(Program::data_type).collect();
        let mut calls = Vec::with_capacity(aggregates.len());
        for aggregate in aggregates {
            if !merges_exactly(aggregate) {
                return Err(PgError::internal("an aggregate without partial states"));
            }
            let call = PreparedCall::new(aggregate, evaluated_types.len())?;
            evaluated_types.extend(call.types());
            calls.push(call);
        }
        Ok(PartialAggregate { set: (0..keys.len() as u32).collect(), keys, calls, evaluated_types })
    }

    /// Of the keys, then the states.
    pub fn types(&self) -> Vec<DataType> {
        let keys = self.keys.iter().map(Program::data_type);
        keys.chain(self.calls.iter().map(|_| DataType::Bytea)).collect()
    }
}

/// Groups with states.
pub(crate) struct PartialGroups(Groups);

impl PartialGroups {
    pub fn new(of: &PartialAggregate, memory: &MemoryAccount) -> PgResult<PartialGroups> {
        let types = &of.evaluated_types[..of.keys.len()];
        let text = TextContext::default();
        Ok(PartialGroups(Groups::new((memory, &text), &of.calls, types, &of.set, 0)?))
    }

    pub fn absorb(
        &mut self,
        of: &PartialAggregate,
        context: &EvalContext<'_>,
        batch: &Batch,
    ) -> PgResult<()> {
        let programs = of.keys.iter().chain(of.calls.iter().flat_map(PreparedCall::programs));
        let evaluated: Vec<Cow<'_, Vector>> =
            programs.map(|program| program.evaluate(context, batch)).collect::<PgResult<_>>()?;
        let columns: Vec<&Vector> = evaluated.iter().map(|column| &**column).collect();
        let what = Absorbed { types: &of.evaluated_types, is_partial: false };
        self.0.absorb(&of.calls, what, &columns, batch.rows)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn memory_size(&self) -> usize {
        self.0.memory_size()
    }

    /// One row a group.
    pub fn finish(self) -> PgResult<Batch> {
        self.0.finish_partial()
    }
}
