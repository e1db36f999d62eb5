//! UNION, INTERSECT, EXCEPT.

use super::Binder;
use super::level::{Clause, Level};
use super::select::{Context, OutputTarget, QueryOutput};
use super::values::limited;
use crate::ast::{self, ExpressionKind, Query};
use crate::logical::{ColumnNumber, Relational, SetOperation, Sort, SortKey};
use crate::plan::SetOperator;
use expr::resolve;
use expr::{CastContext, Expr};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_set_operation(
        &mut self,
        query: &Query,
        operation: &ast::SetOperation,
        context: Context,
    ) -> PgResult<QueryOutput> {
        if let Some(locking) = query.locking.first() {
            let name = super::locking::strength_name(locking.strength);
            let message = format!("{name} is not allowed with UNION/INTERSECT/EXCEPT");
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let operand = Context { resolve_unknown: false };
        let left = self.bind_query(&operation.left, operand)?;
        let right = self.bind_query(&operation.right, operand)?;
        let mut output = self.combine(operation, left, right, context)?;
        self.levels.push(Level::new(Clause::OrderBy));
        let plan = self.order_set_operation(query, output.plan, &output.targets);
        self.levels.pop();
        output.plan = plan?;
        Ok(output)
    }

    fn order_set_operation(
        &mut self,
        query: &Query,
        mut plan: Relational,
        targets: &[OutputTarget],
    ) -> PgResult<Relational> {
        let keys = self.order_output(query, targets)?;
        if !keys.is_empty() {
            plan = Relational::Sort(Box::new(Sort { input: plan, keys: keys.clone() }));
        }
        let (count, offset) = self.bind_limit(query)?;
        Ok(limited(plan, query, count, offset, keys))
    }

    /// ORDER BY of something that has output columns only.
    pub(super) fn order_output(&mut self, query: &Query, targets: &[OutputTarget]) -> PgResult<Vec<SortKey>> {
        let mut keys: Vec<SortKey> = Vec::with_capacity(query.order_by.len());
        for item in &query.order_by {
            let position = item.expression.position;
            let column = match &item.expression.kind {
                ExpressionKind::Column(names) if names.len() == 1 => {
                    let mut named = targets.iter().filter(|target| target.name == names[0].name);
                    match (named.next(), named.next()) {
                        (Some(target), None) => target.column,
                        (Some(first), Some(second)) if first.column == second.column => first.column,
                        (Some(_), Some(_)) => {
                            let message = format!("ORDER BY \"{}\" is ambiguous", names[0].name);
                            return Err(PgError::new(SqlState::AMBIGUOUS_COLUMN, message).at(position));
                        }
                        (None, _) => {
                            let message = format!("column \"{}\" does not exist", names[0].name);
                            return Err(PgError::new(SqlState::UNDEFINED_COLUMN, message).at(position));
                        }
                    }
                }
                ExpressionKind::Literal(ast::Literal::Integer(number)) => {
                    let index = usize::try_from(*number).ok().and_then(|number| number.checked_sub(1));
                    match index.and_then(|index| targets.get(index)) {
                        Some(target) => target.column,
                        None => {
                            let message = format!("ORDER BY position {number} is not in select list");
                            return Err(
                                PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(position)
                            );
                        }
                    }
                }
                ExpressionKind::Literal(_) => {
                    let message = "non-integer constant in ORDER BY";
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
                }
                _ => {
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                    )
                    .detail("Only result column names can be used, not expressions or functions.")
                    .hint(
                        "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                    )
                    .at(position));
                }
            };
            let (descending, nulls_first) = self.sort_direction(item)?;
            resolve::ordering(self.columns.data_type(column)).map_err(|error| error.or_at(position))?;
            if !keys.iter().any(|known| known.column == column) {
                keys.push(SortKey { column, descending, nulls_first });
            }
        }
        Ok(keys)
    }

    /// Unifies the columns of both sides.
    fn combine(
        &mut self,
        operation: &ast::SetOperation,
        mut left: QueryOutput,
        mut right: QueryOutput,
        context: Context,
    ) -> PgResult<QueryOutput> {
        let (operator, construct) = match operation.operator {
            ast::SetOperator::Union => (SetOperator::Union, "UNION"),
            ast::SetOperator::Intersect => (SetOperator::Intersect, "INTERSECT"),
            ast::SetOperator::Except => (SetOperator::Except, "EXCEPT"),
        };
        if left.targets.len() != right.targets.len() {
            let message = format!("each {construct} query must have the same number of columns");
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(operation.right.position));
        }
        let mut types = Vec::with_capacity(left.targets.len());
        for (one, other) in left.targets.iter().zip(&right.targets) {
            let pair = [self.columns.data_type(one.column), self.columns.data_type(other.column)];
            let undecided = pair == [DataType::Unknown; 2] && !context.resolve_unknown && operation.all;
            let common = if undecided {
                DataType::Unknown
            } else {
                resolve::common_type(&pair, construct)
                    .map_err(|(error, _)| error.or_at(operation.right.position))?
            };
            let needs_equality = !(operation.all && operator == SetOperator::Union);
            if needs_equality {
                resolve::equality(common).map_err(|error| error.or_at(operation.position))?;
            }
            let same = self.columns.get(one.column).column_type == self.columns.get(other.column).column_type;
            let typmod =
                if same { self.columns.get(one.column).column_type.typmod } else { ColumnType::NO_MODIFIER };
            types.push(ColumnType::new(common, typmod));
        }
        let left_columns = self.convert_output(&mut left, &types, construct, operation.left.position)?;
        let right_columns = self.convert_output(&mut right, &types, construct, operation.right.position)?;
        let mut columns = Vec::with_capacity(types.len());
        for (target, column_type) in left.targets.iter().zip(&types) {
            columns.push(self.columns.computed(&target.name, *column_type));
        }
        let targets = left
            .targets
            .iter()
            .zip(&columns)
            .map(|(target, column)| OutputTarget {
                name: target.name.clone(),
                column: *column,
                untyped: None,
            })
            .collect();
        let mut inputs = Vec::with_capacity(2);
        for (plan, numbers) in [(left.plan, left_columns), (right.plan, right_columns)] {
            // A chain of UNION ALL is one operator.
            match plan {
                Relational::SetOperation(inner)
                    if operator == SetOperator::Union
                        && operation.all
                        && inner.all
                        && inner.operator == SetOperator::Union
                        && inner.columns == numbers =>
                {
                    inputs.extend(inner.inputs);
                }
                plan => inputs.push((plan, numbers)),
            }
        }
        let plan = SetOperation { operator, all: operation.all, inputs, columns };
        Ok(QueryOutput { plan: Relational::SetOperation(Box::new(plan)), targets })
    }

    /// Converts a query's columns to the types given; answers their numbers.
    pub(super) fn convert_output(
        &mut self,
        output: &mut QueryOutput,
        types: &[ColumnType],
        construct: &str,
        position: u32,
    ) -> PgResult<Vec<ColumnNumber>> {
        let mut computed = Vec::new();
        let mut numbers = Vec::with_capacity(types.len());
        for (target, to) in output.targets.iter().zip(types) {
            let from = self.columns.data_type(target.column);
            if from == to.data_type {
                numbers.push(target.column);
                continue;
            }
            let input: Expr = match &target.untyped {
                Some((literal, _)) => literal.clone(),
                None => self.columns.expr(target.column),
            };
            let at = target.untyped.as_ref().map_or(position, |(_, at)| *at);
            let cast = self.coerce(input, to.data_type.into(), CastContext::Implicit, at)?;
            let cast = cast.ok_or_else(|| {
                let (from, to) = (self.type_label(from), self.type_label(to.data_type));
                let message = format!("{construct} could not convert type {from} to {to}");
                PgError::new(SqlState::CANNOT_COERCE, message).at(at)
            })?;
            let number = self.columns.computed(&target.name, to.data_type);
            computed.push((number, cast));
            numbers.push(number);
        }
        output.plan = output.plan.take().extend(computed);
        Ok(numbers)
    }
}
