//! Partial indexes: which rows have an entry.

use expr::{EvalContext, Expr, Program};
use planner::plan::PartialIndex;
use types::{Batch, PgError, PgResult};

use super::stored_table::StoredTable;

/// The prepared predicates of a table's partial indexes, by position in `all_indexes()`.
#[derive(Default)]
pub(crate) struct PartialIndexes(Vec<(usize, Program)>);

/// Which rows of a batch have an entry, for every partial index. Other indexes have all.
#[derive(Default)]
pub(crate) struct Membership(Vec<(usize, Vec<bool>)>);

impl PartialIndexes {
    /// `place` moves a predicate (over the row) to where the row stands in a batch.
    pub fn new(
        table: &StoredTable,
        predicates: &[PartialIndex],
        place: &dyn Fn(&Expr) -> Expr,
    ) -> PgResult<PartialIndexes> {
        let mut prepared = Vec::with_capacity(predicates.len());
        for (position, index) in table.indexes.iter().enumerate().filter(|(_, index)| index.partial) {
            let given = predicates.iter().find(|predicate| predicate.index as usize == position);
            let given = given.ok_or_else(|| {
                let name = &table.descriptor.name;
                let state = index.state;
                PgError::internal(format!(
                    "a plan writes {name} without a partial index's predicate ({state:?})"
                ))
            })?;
            prepared.push((position, Program::new(&place(&given.predicate))?));
        }
        Ok(PartialIndexes(prepared))
    }

    pub fn membership(&self, context: &EvalContext<'_>, batch: &Batch) -> PgResult<Membership> {
        let rows = self.0.iter().map(|(index, predicate)| {
            let mut has = vec![false; batch.rows];
            predicate.filter(context, batch)?.into_iter().for_each(|row| has[row as usize] = true);
            Ok((*index, has))
        });
        Ok(Membership(rows.collect::<PgResult<_>>()?))
    }
}

impl Membership {
    #[inline]
    pub fn has(&self, index: usize, row: usize) -> bool {
        match self.0.iter().find(|(position, _)| *position == index) {
            None => true,
            Some((_, rows)) => rows[row],
        }
    }
}
