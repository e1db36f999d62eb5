//! Domains: their constraints, checked on values of what they are over.

use super::frame::{Frame, Value};
use super::node::Node;
use crate::expr::{DomainConstraints, DomainPart, Expr};
use std::borrow::Cow;
use std::sync::Arc;
use types::{Batch, Datum, PgError, PgResult, SqlState, Values, Vector};

/// A prepared [`Expr::CoerceToDomain`].
pub(super) struct DomainNode {
    input: Box<Node>,
    domain: Arc<DomainConstraints>,
    /// In the order of the domain's checks, each over a batch of one column.
    checks: Vec<Node>,
}

impl DomainNode {
    pub(super) fn new(input: &Expr, domain: &Arc<DomainConstraints>) -> PgResult<DomainNode> {
        Ok(DomainNode {
            input: Box::new(Node::new(input)?),
            checks: domain.checks.iter().map(|(_, check)| Node::new(check)).collect::<PgResult<_>>()?,
            domain: domain.clone(),
        })
    }

    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        let value = self.input.run(frame)?;
        match self.domain.part {
            DomainPart::Value => self.check(Cow::Borrowed(&*value.vector), frame)?,
            DomainPart::Elements | DomainPart::Field(_) => self.check_parts(&value.vector, frame)?,
        }
        Ok(value)
    }

    /// Elements or fields of all rows, as one column.
    fn check_parts(&self, values: &Vector, frame: &Frame<'_>) -> PgResult<()> {
        let mut parts: Vec<Datum> = Vec::new();
        for row in 0..values.len() {
            match (values.datum(row), self.domain.part) {
                (Datum::Array(array), _) => parts.extend(array.elements),
                (Datum::Record(record), DomainPart::Field(field)) => {
                    parts.extend(record.fields.get(field as usize).cloned());
                }
                _ => {}
            }
        }
        self.check(Cow::Owned(Vector::from_datums(self.domain.over, &parts)), frame)
    }

    fn check(&self, column: Cow<'_, Vector>, frame: &Frame<'_>) -> PgResult<()> {
        let rows = column.len();
        if rows == 0 {
            return Ok(());
        }
        let domain = &self.domain.domain;
        if self.domain.not_null && (0..rows).any(|row| column.is_null(row)) {
            return Err(PgError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!("domain {domain} does not allow null values"),
            ));
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let mut column = column.into_owned();
        column.data_type = self.domain.over;
        let batch = Batch::new(vec![column], rows);
        let inner = Frame::whole(frame.context, &batch);
        for (check, (name, _)) in self.checks.iter().zip(&self.domain.checks) {
            let answer = check.run(&inner)?;
            // NULL passes.
            let fails = |row: usize| {
                let row = answer.index(row);
                !answer.vector.is_null(row)
                    && matches!(&answer.vector.values, Values::Bool(values) if !values[row])
            };
            if (0..rows).any(fails) {
                return Err(PgError::new(
                    SqlState::CHECK_VIOLATION,
                    format!("value for domain {domain} violates check constraint \"{name}\""),
                ));
            }
        }
        Ok(())
    }
}
