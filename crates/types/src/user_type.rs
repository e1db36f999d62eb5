//! Types that users made, as the text formats need them.
//!
//! A [`crate::DataType`] names such a type by its oid alone. What it is made of (labels, columns, what a domain is over) is in the
//! catalog; [`crate::FormatContext`] carries a way to ask it, so that reading and writing values of these types, alone or
//! within arrays and records, is this crate's business like that of all others.
//!
//! # Values of an enum
//!
//! A value is held and stored as its label's *place*: a number that grows in the type's order, not the label's text and not its
//! position among the labels. So values compare, group, and go into keys as integers do, without the catalog; renaming a label
//! touches no row; and a label added between two others takes a place between theirs. Places start [`PLACE_STEP`] apart:
//! room for 40 insertions that halve the same gap, one after the other.

use crate::data_type::{ColumnType, DataType};
use crate::datum::Datum;
use std::fmt;
use std::sync::Arc;

/// The distance between the places of labels that follow one another when the type is made.
pub const PLACE_STEP: i64 = 1 << 40;

/// A type made by CREATE TYPE or CREATE DOMAIN, or a relation's row type.
#[derive(Clone, Debug, PartialEq)]
pub struct UserType {
    pub oid: u32,
    pub name: Box<str>,
    pub kind: UserTypeKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum UserTypeKind {
    /// In order of place.
    Enum(Vec<EnumLabel>),
    Composite(Arc<RowType>),
    Domain(Arc<DomainType>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct EnumLabel {
    /// pg_enum.oid.
    pub oid: u32,
    pub place: i64,
    pub label: Box<str>,
}

/// The columns of a row value.
#[derive(Clone, Debug, PartialEq)]
pub struct RowType {
    pub columns: Vec<(Box<str>, ColumnType)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DomainType {
    /// The type that the domain was made over: perhaps a domain itself. Its modifier is the domain's.
    pub parent: ColumnType,
    pub not_null: bool,
    /// SQL text.
    pub default: Option<Box<str>>,
    /// (name, SQL text over VALUE).
    pub checks: Vec<(Box<str>, Box<str>)>,
}

impl UserType {
    /// The type itself.
    pub fn data_type(&self) -> DataType {
        match &self.kind {
            UserTypeKind::Enum(_) => DataType::Enum(self.oid),
            UserTypeKind::Composite(_) => DataType::Composite(self.oid),
            UserTypeKind::Domain(domain) => match crate::BaseType::of(domain.parent.data_type.base()) {
                Some(base) => DataType::Domain(crate::DomainRef { oid: self.oid, base }),
                None => domain.parent.data_type,
            },
        }
    }

    pub fn row_type(&self) -> Option<&Arc<RowType>> {
        match &self.kind {
            UserTypeKind::Composite(row) => Some(row),
            _ => None,
        }
    }

    pub fn labels(&self) -> &[EnumLabel] {
        match &self.kind {
            UserTypeKind::Enum(labels) => labels,
            _ => &[],
        }
    }
}

/// Answers what a user's type is made of.
pub trait TypeDirectory: Send + Sync {
    fn user_type(&self, oid: u32) -> Option<Arc<UserType>>;
}

/// A directory, or none: then no user type is known.
#[derive(Clone, Default)]
pub struct Directory(Option<Arc<dyn TypeDirectory>>);

impl Directory {
    pub fn new(directory: Arc<dyn TypeDirectory>) -> Directory {
        Directory(Some(directory))
    }

    pub fn user_type(&self, oid: u32) -> Option<Arc<UserType>> {
        self.0.as_ref()?.user_type(oid)
    }

    /// The columns of a row type.
    pub fn row_type(&self, data_type: DataType) -> Option<Arc<RowType>> {
        match data_type.base() {
            DataType::Composite(oid) => self.user_type(oid)?.row_type().cloned(),
            _ => None,
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Directory" } else { "no directory" })
    }
}

/// A row value: its fields, and what they are called and typed where nobody else knows (a row that has no named type).
///
/// Two row values are equal when their fields are.
#[derive(Clone, Debug, Default)]
pub struct RecordValue {
    pub fields: Vec<Datum>,
    pub row_type: Option<Arc<RowType>>,
}

impl PartialEq for RecordValue {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

impl std::ops::Deref for RecordValue {
    type Target = [Datum];

    fn deref(&self) -> &[Datum] {
        &self.fields
    }
}

impl RecordValue {
    /// The fields as a row type has them now: a column added since the value was stored is NULL in it.
    pub fn padded<'a>(&'a self, named: Option<&RowType>) -> impl Iterator<Item = &'a Datum> {
        let missing = named.map_or(0, |row| row.columns.len().saturating_sub(self.fields.len()));
        self.fields.iter().chain(std::iter::repeat_n(&Datum::Null, missing))
    }

    /// The type of a field: as the row type has it, or as the value shows.
    pub fn field_type(&self, field: usize, named: Option<&RowType>) -> ColumnType {
        named.or(self.row_type.as_deref()).and_then(|row| row.columns.get(field)).map_or_else(
            || self.fields.get(field).map_or(DataType::Text, crate::cell::apparent_type).into(),
            |(_, found)| *found,
        )
    }
}
