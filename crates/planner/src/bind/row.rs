//! Rows: comparisons field by field (PostgreSQL's `make_row_comparison_op`).

use super::Binder;
use crate::ast::{Expression, ExpressionKind, Operator};
use expr::Expr;
use types::{DataType, Datum, PgError, PgResult, SqlState};

/// Fields with where they stand.
pub(super) type Fields = Vec<(Expr, u32)>;

impl Binder<'_> {
    /// The fields of ROW(...), `t.*` expanded, untyped ones taken as text.
    pub(super) fn bind_row_fields(&mut self, fields: &[Expression]) -> PgResult<Vec<Expr>> {
        let bound = self.bind_fields(fields)?;
        let settled = |(field, position)| {
            let field = self.settle_unknown(field, position)?;
            self.with_padding(field)
        };
        bound.into_iter().map(settled).collect()
    }

    /// The same, untyped ones as they are.
    pub(super) fn bind_fields(&mut self, fields: &[Expression]) -> PgResult<Fields> {
        let mut bound = Vec::with_capacity(fields.len());
        for field in fields {
            if let ExpressionKind::Wildcard(qualifier) = &field.kind {
                for column in self.expand_wildcard(qualifier, field.position)? {
                    bound.push((column.expr, field.position));
                }
                continue;
            }
            bound.push((self.bind(field)?, field.position));
        }
        Ok(bound)
    }

    pub(super) fn row_comparison(
        &mut self,
        operator: &Operator,
        left: Fields,
        right: Fields,
        position: u32,
    ) -> PgResult<Expr> {
        if left.len() != right.len() {
            let message = "unequal number of entries in row expressions";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        if left.is_empty() {
            let message = "cannot compare rows of zero length";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
        }
        if left.len() == 1 {
            let (left, right) = (left.into_iter().next(), right.into_iter().next());
            return self.operator(operator, left, right.expect("one field"), position);
        }
        match &*operator.name {
            "=" | "<>" | "!=" => {
                let mut tests = Vec::with_capacity(left.len());
                for (left, right) in left.into_iter().zip(right) {
                    tests.push(self.operator(operator, Some(left), right, position)?);
                }
                Ok(if &*operator.name == "=" { Expr::And(tests) } else { Expr::Or(tests) })
            }
            "<" => self.row_order("<", "<", left, right, position),
            "<=" => self.row_order("<", "<=", left, right, position),
            ">" => self.row_order(">", ">", left, right, position),
            ">=" => self.row_order(">", ">=", left, right, position),
            other => {
                let message =
                    format!("could not determine interpretation of row comparison operator {other}");
                Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                    .hint("Row comparison operators must be associated with btree operator families.")
                    .at(position))
            }
        }
    }

    /// `a < x OR (a = x AND (b < y OR ...))`, the last field by `last`.
    fn row_order(
        &mut self,
        strict: &'static str,
        last: &'static str,
        left: Fields,
        right: Fields,
        position: u32,
    ) -> PgResult<Expr> {
        let mut result: Option<Expr> = None;
        for (left, right) in left.into_iter().zip(right).rev() {
            result = Some(match result {
                None => self.operator(&Operator::plain(last), Some(left), right, position)?,
                Some(rest) => {
                    let less =
                        self.operator(&Operator::plain(strict), Some(left.clone()), right.clone(), position)?;
                    let equal = self.operator(&Operator::plain("="), Some(left), right, position)?;
                    Expr::Or(vec![less, Expr::And(vec![equal, rest])])
                }
            });
        }
        result.ok_or_else(|| PgError::internal("a row without fields"))
    }

    pub(super) fn row_distinct(
        &mut self,
        left: Fields,
        right: Fields,
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        if left.len() != right.len() {
            let message = "unequal number of entries in row expressions";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        let mut tests = Vec::with_capacity(left.len());
        for (left, right) in left.into_iter().zip(right) {
            tests.push(self.distinct_bound(left, right, negated, position)?);
        }
        Ok(match tests.len() {
            0 => Expr::constant(Datum::Bool(negated), DataType::Bool),
            1 => tests.remove(0),
            _ if negated => Expr::And(tests),
            _ => Expr::Or(tests),
        })
    }

    /// `(a, b) IN ((1, 2), (3, 4))`.
    pub(super) fn bind_row_in_list(
        &mut self,
        fields: &[Expression],
        list: &[Expression],
        negated: bool,
        position: u32,
    ) -> PgResult<Expr> {
        let left = self.bind_fields(fields)?;
        let operator = Operator::plain(if negated { "<>" } else { "=" });
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            let ExpressionKind::Row { fields, .. } = &item.kind else {
                let right = (self.bind(item)?, item.position);
                let message = format!("operator does not exist: record = {}", right.0.data_type());
                return Err(PgError::new(SqlState::UNDEFINED_FUNCTION, message).at(position));
            };
            let right = self.bind_fields(fields)?;
            tests.push(self.row_comparison(&operator, left.clone(), right, position)?);
        }
        Ok(match tests.len() {
            1 => tests.remove(0),
            _ if negated => Expr::And(tests),
            _ => Expr::Or(tests),
        })
    }
}
