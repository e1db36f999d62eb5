//! Assignment to a part of a column: an element or a slice of an array, a field of a row value, a place within a jsonb.
//!
//! The new value of the column is an expression over the old one ([`Expr::AssignPart`]): `a[1] = 5` is `a` with its first
//! element replaced. Parts of parts nest from the outside in.

use super::Binder;
use crate::ast::{Identifier, Indirection, Subscript};
use expr::expr::{AssignedPart, Subscript as BoundSubscript};
use expr::{CastContext, Expr};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// The subscripts that a path begins with, and what comes after them.
fn leading_subscripts(path: &[Indirection]) -> (Vec<&Subscript>, &[Indirection]) {
    let count = path.iter().take_while(|step| matches!(step, Indirection::Subscript(_))).count();
    let subscripts = path[..count].iter().filter_map(|step| match step {
        Indirection::Subscript(subscript) => Some(subscript),
        Indirection::Field(_) => None,
    });
    (subscripts.collect(), &path[count..])
}

fn is_slice(subscripts: &[&Subscript]) -> bool {
    subscripts.iter().any(|subscript| matches!(subscript, Subscript::Slice(..)))
}

impl Binder<'_> {
    /// The type of the part that a path leads to.
    pub(super) fn part_type(
        &self,
        whole: ColumnType,
        path: &[Indirection],
        column: &Identifier,
    ) -> PgResult<ColumnType> {
        match path.first() {
            None => Ok(whole),
            Some(Indirection::Field(field)) => {
                let (_, part) = self.field_in(whole.data_type, field, column)?;
                self.part_type(part, &path[1..], column)
            }
            Some(Indirection::Subscript(_)) => {
                let (subscripts, rest) = leading_subscripts(path);
                let part = self.subscripted(whole, is_slice(&subscripts), column)?;
                self.part_type(part, rest, column)
            }
        }
    }

    fn field_in(
        &self,
        data_type: DataType,
        field: &Identifier,
        column: &Identifier,
    ) -> PgResult<(usize, ColumnType)> {
        let DataType::Composite(oid) = data_type.base() else {
            let message = format!(
                "cannot assign to field \"{}\" of column \"{}\" because its type {} is not a composite type",
                field.name,
                column.name,
                self.type_label(data_type)
            );
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(field.position));
        };
        let row = self.row_type(oid)?;
        let found = row.columns.iter().position(|(name, _)| *name == field.name);
        let index = found.ok_or_else(|| {
            let message = format!(
                "cannot assign to field \"{}\" of column \"{}\" because there is no such column in data type {}",
                field.name,
                column.name,
                self.type_label(data_type)
            );
            PgError::new(SqlState::UNDEFINED_COLUMN, message).at(field.position)
        })?;
        Ok((index, row.columns[index].1))
    }

    fn subscripted(&self, whole: ColumnType, slice: bool, column: &Identifier) -> PgResult<ColumnType> {
        let base = whole.data_type.base();
        match base.element() {
            _ if base == DataType::Jsonb => Ok(DataType::Jsonb.into()),
            Some(_) if slice => Ok(ColumnType::new(base, whole.typmod)),
            Some(element) => Ok(ColumnType::new(element, whole.typmod)),
            None => {
                let message = format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.type_label(whole.data_type)
                );
                Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(column.position))
            }
        }
    }

    /// The whole with the part that the path leads to replaced by `value`, which has the part's type.
    pub(super) fn assign_part(
        &mut self,
        whole: Expr,
        whole_type: ColumnType,
        path: &[Indirection],
        value: Expr,
        column: &Identifier,
    ) -> PgResult<Expr> {
        let Some(first) = path.first() else { return Ok(value) };
        let base = whole_type.data_type.base();
        let (part, data_type) = match first {
            Indirection::Field(field) => {
                let (index, part) = self.field_in(whole_type.data_type, field, column)?;
                let DataType::Composite(oid) = base else {
                    return Err(PgError::internal("a field of what is no row"));
                };
                let width = self.row_type(oid)?.columns.len() as u32;
                let inner = Expr::Field {
                    input: Box::new(whole.clone()),
                    field: index as u32,
                    data_type: part.data_type,
                };
                let value = self.assign_part(inner, part, &path[1..], value, column)?;
                (AssignedPart::Field { field: index as u32, width, value: Box::new(value) }, base)
            }
            Indirection::Subscript(_) => {
                let (subscripts, rest) = leading_subscripts(path);
                let slice = is_slice(&subscripts);
                let part = self.subscripted(whole_type, slice, column)?;
                let bound = self.bind_assigned_subscripts(base, &subscripts, slice, column)?;
                let inner = if rest.is_empty() {
                    value
                } else {
                    let current = Expr::Subscript {
                        array: Box::new(whole.clone()),
                        subscripts: bound.clone(),
                        data_type: part.data_type,
                    };
                    self.assign_part(current, part, rest, value, column)?
                };
                (AssignedPart::Subscripts { subscripts: bound, value: Box::new(inner) }, base)
            }
        };
        let assigned = Expr::AssignPart { whole: Box::new(whole), part, data_type };
        let wanted = ColumnType::new(whole_type.data_type, ColumnType::NO_MODIFIER);
        let converted = self.coerce(assigned, wanted, CastContext::Assignment, column.position)?;
        converted.ok_or_else(|| PgError::internal("a base type does not convert to its domain"))
    }

    fn bind_assigned_subscripts(
        &mut self,
        base: DataType,
        subscripts: &[&Subscript],
        slice: bool,
        column: &Identifier,
    ) -> PgResult<Vec<BoundSubscript>> {
        if base == DataType::Jsonb {
            return self.bind_json_subscripts(subscripts.iter().copied(), column.position);
        }
        let mut bound = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            bound.push(match subscript {
                // Beside a slice, an index is a slice from 1.
                Subscript::Index(index) if slice => BoundSubscript::Slice {
                    lower: Some(Expr::constant(types::Datum::Int4(1), DataType::Int4)),
                    upper: Some(self.bind_index(index)?),
                },
                Subscript::Index(index) => BoundSubscript::Index(self.bind_index(index)?),
                Subscript::Slice(lower, upper) => BoundSubscript::Slice {
                    lower: lower.as_ref().map(|lower| self.bind_index(lower)).transpose()?,
                    upper: upper.as_ref().map(|upper| self.bind_index(upper)).transpose()?,
                },
            });
        }
        Ok(bound)
    }

    /// Subscripts of a jsonb: each an integer or text.
    pub(super) fn bind_json_subscripts<'s>(
        &mut self,
        subscripts: impl Iterator<Item = &'s Subscript>,
        position: u32,
    ) -> PgResult<Vec<BoundSubscript>> {
        let mut bound = Vec::new();
        for subscript in subscripts {
            let Subscript::Index(index) = subscript else {
                let message = "jsonb subscript does not support slices";
                return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(position));
            };
            let value = self.bind(index)?;
            let from = value.data_type();
            let can = |to| expr::resolve::can_coerce(from, to, CastContext::Implicit);
            let to = match from {
                DataType::Unknown => DataType::Text,
                _ => match (can(DataType::Int4), can(DataType::Text)) {
                    (true, true) if from.base() != DataType::Int4 => {
                        let message = format!("subscript type {} is not supported", self.type_label(from));
                        return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message)
                            .hint("jsonb subscript must be coercible to only one type, integer or text.")
                            .at(index.position));
                    }
                    (true, _) => DataType::Int4,
                    (false, true) => DataType::Text,
                    (false, false) => {
                        let message = format!("subscript type {} is not supported", self.type_label(from));
                        return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message)
                            .hint("jsonb subscript must be coercible to either integer or text.")
                            .at(index.position));
                    }
                },
            };
            let cast = self.coerce(value, to.into(), CastContext::Implicit, index.position)?;
            let cast = cast.ok_or_else(|| PgError::internal("a subscript does not convert"))?;
            bound.push(BoundSubscript::Index(cast));
        }
        Ok(bound)
    }
}
