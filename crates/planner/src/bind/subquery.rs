//! Subqueries in expressions.
//!
//! One that uses no outer columns is evaluated once: it becomes an [`InitSubquery`] and leaves a slot behind, which scans can use
//! as a key. A correlated one becomes a lateral join that adds a column to the row; the rewrite passes turn
//! what they can into ordinary joins.

use super::Binder;
use super::level::Pending;
use super::row::Fields;
use super::select::{Context, QueryOutput};
use crate::ast::{Expression, ExpressionKind, Operator, Query};
use crate::logical::{InitSubquery, JoinKind};
use crate::plan::SubqueryResult;
use expr::Expr;
use types::{DataType, PgError, PgResult, SqlState};

impl Binder<'_> {
    fn bind_subquery(&mut self, query: &Query) -> PgResult<QueryOutput> {
        if let super::level::Clause::Scalar(purpose) = self.level().clause {
            let message = format!("cannot use subquery in {}", purpose.trim_end_matches('s'));
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(query.position));
        }
        self.bind_query(query, Context::default())
    }

    /// Leaves a slot or a column behind for the result of a subquery.
    fn place(&mut self, output: QueryOutput, result: SubqueryResult, data_type: DataType) -> Expr {
        let value = output.targets.first().map(|target| target.column);
        if output.plan.free_columns().is_empty() {
            let slot = self.new_slot();
            self.init.push(InitSubquery { slot, result, input: output.plan, value });
            return Expr::Slot { index: slot, data_type };
        }
        let column = self.columns.computed("?column?", data_type);
        let kind = match (result, value) {
            (SubqueryResult::Exists, _) | (_, None) => JoinKind::Mark { column, null_aware: false },
            (result, Some(value)) => JoinKind::Subquery { column, value, result },
        };
        self.level().pending.push(Pending {
            kind,
            right: output.plan,
            conditions: Vec::new(),
            in_conditions: 0,
        });
        Expr::column(column, data_type)
    }

    pub(super) fn bind_exists(&mut self, query: &Query, _: u32) -> PgResult<Expr> {
        let output = self.bind_subquery(query)?;
        Ok(self.place(output, SubqueryResult::Exists, DataType::Bool))
    }

    pub(super) fn bind_scalar_subquery(&mut self, query: &Query, position: u32) -> PgResult<Expr> {
        let output = self.bind_subquery(query)?;
        let data_type = self.only_column(&output, position)?;
        Ok(self.place(output, SubqueryResult::Scalar, data_type))
    }

    pub(super) fn bind_array_subquery(&mut self, query: &Query, position: u32) -> PgResult<Expr> {
        let output = self.bind_subquery(query)?;
        let element = self.only_column(&output, position)?;
        let data_type = match element {
            DataType::Array(_) => element,
            other if other.array_oid() == 0 && !matches!(other, DataType::Array(_)) => {
                let message = format!("could not find array type for data type {}", self.type_label(other));
                return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).at(position));
            }
            other => DataType::array_of(other),
        };
        Ok(self.place(output, SubqueryResult::Array, data_type))
    }

    fn only_column(&self, output: &QueryOutput, position: u32) -> PgResult<DataType> {
        match output.targets.as_slice() {
            [target] => Ok(self.columns.data_type(target.column)),
            _ => {
                let message = "subquery must return only one column";
                Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position))
            }
        }
    }

    // --- IN, ANY, ALL.

    pub(super) fn bind_in_query(
        &mut self,
        operand: &Expression,
        query: &Query,
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        let test = self.bind_any_query(operand, &Operator::plain("="), query, position)?;
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    pub(super) fn bind_quantified_query(
        &mut self,
        left: &Expression,
        operator: &Operator,
        query: &Query,
        all: bool,
        position: u32,
    ) -> PgResult<Expr> {
        if !all {
            return self.bind_any_query(left, operator, query, position);
        }
        // x < ALL (q) is NOT (NOT (x < y) for some y of q).
        let (left, output) = self.bind_sides(left, query, position)?;
        let right = self.target_fields(&output, position);
        let condition = self.row_comparison(operator, left, right, position)?;
        check_boolean(&condition, position)?;
        let mark = self.mark(output, vec![Expr::Not(Box::new(condition))]);
        Ok(Expr::Not(Box::new(mark)))
    }

    fn bind_any_query(
        &mut self,
        left: &Expression,
        operator: &Operator,
        query: &Query,
        position: u32,
    ) -> PgResult<Expr> {
        let (left, output) = self.bind_sides(left, query, position)?;
        let right = self.target_fields(&output, position);
        let condition = self.row_comparison(operator, left, right, position)?;
        check_boolean(&condition, position)?;
        let conditions = match condition {
            Expr::And(list) if &*operator.name == "=" => list,
            other => vec![other],
        };
        Ok(self.mark(output, conditions))
    }

    fn bind_sides(
        &mut self,
        left: &Expression,
        query: &Query,
        position: u32,
    ) -> PgResult<(Fields, QueryOutput)> {
        let fields = match &left.kind {
            ExpressionKind::Row { fields, .. } => self.bind_fields(fields)?,
            _ => vec![(self.bind(left)?, left.position)],
        };
        let output = self.bind_subquery(query)?;
        let refuse = |message: &str| Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        match fields.len().cmp(&output.targets.len()) {
            std::cmp::Ordering::Less => refuse("subquery has too many columns"),
            std::cmp::Ordering::Greater => refuse("subquery has too few columns"),
            std::cmp::Ordering::Equal => Ok((fields, output)),
        }
    }

    fn target_fields(&self, output: &QueryOutput, position: u32) -> Fields {
        output.targets.iter().map(|target| (self.columns.expr(target.column), position)).collect()
    }

    fn mark(&mut self, output: QueryOutput, conditions: Vec<Expr>) -> Expr {
        let column = self.columns.computed("?column?", DataType::Bool);
        let in_conditions = conditions.len();
        let kind = JoinKind::Mark { column, null_aware: true };
        self.level().pending.push(Pending { kind, right: output.plan, conditions, in_conditions });
        Expr::column(column, DataType::Bool)
    }

    /// `(a, b) = (SELECT x, y ...)`: the subquery gives one row value, compared field by field.
    pub(super) fn bind_row_subquery(
        &mut self,
        operator: &Operator,
        fields: &[Expression],
        query: &Query,
        position: u32,
    ) -> PgResult<Expr> {
        let left = self.bind_fields(fields)?;
        let (row, types) = self.bind_row_value(query)?;
        let refuse = |message: &str| Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        match left.len().cmp(&types.len()) {
            std::cmp::Ordering::Less => return refuse("subquery has too many columns"),
            std::cmp::Ordering::Greater => return refuse("subquery has too few columns"),
            std::cmp::Ordering::Equal => {}
        }
        let right = row_fields(&row, &types).into_iter().map(|field| (field, position)).collect();
        self.row_comparison(operator, left, right, position)
    }

    /// A subquery whose only row is a value of type record; with the types of its fields.
    pub(super) fn bind_row_value(&mut self, query: &Query) -> PgResult<(Expr, Vec<DataType>)> {
        let mut output = self.bind_subquery(query)?;
        let fields: Vec<Expr> =
            output.targets.iter().map(|target| self.columns.expr(target.column)).collect();
        let types = fields.iter().map(Expr::data_type).collect();
        let column = self.columns.computed("row", DataType::Record);
        let names = output.targets.iter().map(|target| target.name.clone()).collect();
        let row = Expr::Row { fields, names, data_type: DataType::Record };
        output.plan = output.plan.extend(vec![(column, row)]);
        output.targets.truncate(1);
        output.targets[0].column = column;
        Ok((self.place(output, SubqueryResult::Scalar, DataType::Record), types))
    }
}

/// The fields of a row value.
pub(super) fn row_fields(row: &Expr, types: &[DataType]) -> Vec<Expr> {
    let field = |(index, data_type): (usize, &DataType)| Expr::Field {
        input: Box::new(row.clone()),
        field: index as u32,
        data_type: *data_type,
    };
    types.iter().enumerate().map(field).collect()
}

fn check_boolean(condition: &Expr, position: u32) -> PgResult<()> {
    if condition.data_type() == DataType::Bool {
        return Ok(());
    }
    let message = "row comparison operator must yield type boolean";
    Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(position))
}
