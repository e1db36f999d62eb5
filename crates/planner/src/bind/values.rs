//! VALUES as a query.

use super::Binder;
use super::level::{Clause, Level};
use super::select::{Context, OutputTarget, QueryOutput};
use crate::ast::{Expression, Query};
use crate::logical::{ColumnNumber, Limit, Relational, SetOperation, Sort, SortKey, Values};
use crate::plan::SetOperator;
use expr::Expr;
use types::{DataType, PgError, PgResult, SqlState};

/// A row of expressions with what has to go below it.
pub(super) struct BoundRow {
    pub fields: Vec<(Expr, u32)>,
    pub pending: Vec<super::level::Pending>,
    pub deferred: Vec<(ColumnNumber, crate::plan::DeferredCall)>,
}

impl BoundRow {
    pub(super) fn is_plain(&self) -> bool {
        self.pending.is_empty() && self.deferred.is_empty()
    }
}

impl Binder<'_> {
    pub(super) fn bind_values_query(
        &mut self,
        query: &Query,
        rows: &[Vec<Expression>],
        context: Context,
    ) -> PgResult<QueryOutput> {
        self.levels.push(Level::new(Clause::Values));
        let output = self.bind_values(query, rows, context);
        self.levels.pop();
        output
    }

    fn bind_values(
        &mut self,
        query: &Query,
        rows: &[Vec<Expression>],
        context: Context,
    ) -> PgResult<QueryOutput> {
        if let Some(locking) = query.locking.first() {
            let message =
                format!("{} cannot be applied to VALUES", super::locking::strength_name(locking.strength));
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let width = rows.first().map_or(0, Vec::len);
        let mut bound = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                let message = "VALUES lists must all be the same length";
                let position = row.first().map_or(query.position, |field| field.position);
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
            bound.push(self.bind_row(row)?);
        }
        let types = self.unify_rows(&mut bound, context)?;
        let columns: Vec<ColumnNumber> = types
            .iter()
            .enumerate()
            .map(|(index, data_type)| self.columns.computed(&format!("column{}", index + 1), *data_type))
            .collect();
        let mut plan = self.rows_plan(bound, &columns);
        let targets: Vec<OutputTarget> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| OutputTarget {
                name: format!("column{}", index + 1).into(),
                column: *column,
                untyped: None,
            })
            .collect();
        self.level().clause = Clause::OrderBy;
        let keys = self.order_output(query, &targets)?;
        if !keys.is_empty() {
            plan = Relational::Sort(Box::new(Sort { input: plan, keys: keys.clone() }));
        }
        let (count, offset) = self.bind_limit(query)?;
        plan = limited(plan, query, count, offset, keys);
        Ok(QueryOutput { plan, targets })
    }

    /// One row of VALUES.
    pub(super) fn bind_row(&mut self, row: &[Expression]) -> PgResult<BoundRow> {
        let mut fields = Vec::with_capacity(row.len());
        for field in row {
            fields.push((self.bind(field)?, field.position));
        }
        let level = self.level();
        Ok(BoundRow {
            fields,
            pending: std::mem::take(&mut level.pending),
            deferred: std::mem::take(&mut level.deferred),
        })
    }

    /// Brings each column to one type.
    fn unify_rows(&mut self, rows: &mut [BoundRow], context: Context) -> PgResult<Vec<DataType>> {
        let width = rows.first().map_or(0, |row| row.fields.len());
        let mut types = Vec::with_capacity(width);
        for index in 0..width {
            let null = || (Expr::constant(types::Datum::Null, DataType::Unknown), 0);
            let column: Vec<(Expr, u32)> =
                rows.iter_mut().map(|row| std::mem::replace(&mut row.fields[index], null())).collect();
            let untyped = column.iter().all(|(field, _)| field.data_type() == DataType::Unknown);
            if untyped && !context.resolve_unknown && rows.len() > 1 {
                // The other side of the set operation, or the table, decides.
                rows.iter_mut().zip(column).for_each(|(row, field)| row.fields[index] = field);
                types.push(DataType::Unknown);
                continue;
            }
            let positions: Vec<u32> = column.iter().map(|(_, position)| *position).collect();
            let (converted, data_type) = self.to_common(column, "VALUES")?;
            for ((row, field), position) in rows.iter_mut().zip(converted).zip(positions) {
                row.fields[index] = (field, position);
            }
            types.push(data_type);
        }
        Ok(types)
    }

    /// Rows as a plan: constant ones together, those that need something below them one by one.
    pub(super) fn rows_plan(&mut self, rows: Vec<BoundRow>, columns: &[ColumnNumber]) -> Relational {
        if rows.iter().all(BoundRow::is_plain) {
            let rows = rows
                .into_iter()
                .map(|row| row.fields.into_iter().map(|(field, _)| field).collect())
                .collect();
            return Relational::Values(Box::new(Values { rows, columns: columns.to_vec() }));
        }
        let mut inputs = Vec::with_capacity(rows.len());
        for row in rows {
            let mut plan = Relational::unit();
            for pending in row.pending {
                plan = pending.attach(plan);
            }
            plan = plan.deferred(row.deferred);
            let mut computed = Vec::new();
            for (field, _) in &row.fields {
                computed.push((self.columns.computed("column", field.data_type()), field.clone()));
            }
            let numbers = computed.iter().map(|(column, _)| *column).collect();
            inputs.push((plan.extend(computed), numbers));
        }
        let union =
            SetOperation { operator: SetOperator::Union, all: true, inputs, columns: columns.to_vec() };
        Relational::SetOperation(Box::new(union))
    }
}

/// LIMIT over a plan whose sort keys are columns already.
pub(super) fn limited(
    plan: Relational,
    query: &Query,
    count: Option<Expr>,
    offset: Option<Expr>,
    keys: Vec<SortKey>,
) -> Relational {
    if count.is_none() && offset.is_none() {
        return plan;
    }
    let ties = if query.with_ties { keys } else { Vec::new() };
    Relational::Limit(Box::new(Limit { input: plan, count, offset, ties }))
}
