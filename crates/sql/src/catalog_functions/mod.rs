//! Functions that look into the catalog: pg_get_indexdef, to_regclass, has_table_privilege ...
//!
//! One file per family. A function is a row of its family's table: pg_proc.proname and what answers it. Overloads share a
//! row: arguments tell themselves apart by number and kind (a name is text, an oid an oid). Most functions need the catalog
//! alone ([`Picture`]); those of `session` ask the session's services.
//!
//! Input and output of the types whose text is a name (regclass, regtype ...) are functions of this kind too: `regclassin`,
//! `regclassout`.

pub mod comments;
pub mod definitions;
pub mod functions;
pub mod identifiers;
pub mod names;
pub mod privileges;
pub mod session;
pub mod sizes;
#[cfg(test)]
mod tests;
pub mod visibility;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use expr::CatalogLookup;
use types::descriptor::Oid;
use types::{Datum, PgError, PgResult};

use crate::session::Services;
use crate::virtual_tables::picture::Picture;

/// What answers a function.
#[derive(Clone, Copy)]
pub enum Answer {
    /// NULL if an argument is.
    Strict(fn(&Picture<'_>, &[Datum]) -> PgResult<Datum>),
    /// Called on NULL as well.
    OnNull(fn(&Picture<'_>, &[Datum]) -> PgResult<Datum>),
    /// From the session; NULL if an argument is.
    Session(fn(&Services, &[Datum]) -> PgResult<Datum>),
    /// There is nothing of the kind here: NULL for whatever it is asked of.
    Null,
}

/// A family's functions.
pub type Family = &'static [(&'static str, Answer)];

const FAMILIES: &[Family] = &[
    comments::FUNCTIONS,
    definitions::FUNCTIONS,
    functions::FUNCTIONS,
    names::FUNCTIONS,
    privileges::FUNCTIONS,
    session::FUNCTIONS,
    visibility::FUNCTIONS,
];

fn answer(name: &str) -> Option<Answer> {
    static ANSWERS: OnceLock<BTreeMap<&'static str, Answer>> = OnceLock::new();
    ANSWERS.get_or_init(|| FAMILIES.iter().copied().flatten().copied().collect()).get(name).copied()
}

/// Evaluates a catalogue function for one row. Errors: 0A000 for one that is not known here.
pub fn call(services: &Services, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
    match answer(name) {
        Some(Answer::Session(_)) if arguments.iter().any(Datum::is_null) => Ok(Datum::Null),
        Some(Answer::Session(function)) => function(services, arguments),
        _ => call_on_picture(&Picture::of(services), name, arguments),
    }
}

impl CatalogLookup for Picture<'_> {
    fn call(&self, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
        call_on_picture(self, name, arguments)
    }
}

/// The same for a function that needs the catalog alone.
pub fn call_on_picture(picture: &Picture<'_>, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
    match answer(name) {
        Some(Answer::OnNull(function)) => function(picture, arguments),
        Some(Answer::Strict(_)) if arguments.iter().any(Datum::is_null) => Ok(Datum::Null),
        Some(Answer::Strict(function)) => function(picture, arguments),
        Some(Answer::Null) => Ok(Datum::Null),
        Some(Answer::Session(_)) | None => Err(PgError::unsupported(format!("function {name}"))),
    }
}

/// The relation of a possibly qualified and quoted name, along the search path. Errors: 42P01, 42602, 3F000.
pub fn resolve_relation(services: &Services, text: &str) -> PgResult<Oid> {
    names::relation_named(&Picture::of(services), text)
}

// Arguments.

/// A call with arguments that pg_proc does not have: the binder's mistake.
fn mismatch(arguments: &[Datum]) -> PgError {
    PgError::internal(format!("a catalog function was called with {arguments:?}"))
}

fn oid_argument(arguments: &[Datum], position: usize) -> PgResult<Oid> {
    match arguments.get(position) {
        Some(Datum::Oid(value)) => Ok(Oid(*value)),
        _ => Err(mismatch(arguments)),
    }
}

fn text_argument(arguments: &[Datum], position: usize) -> PgResult<&str> {
    match arguments.get(position) {
        Some(Datum::Text(value)) => Ok(value),
        _ => Err(mismatch(arguments)),
    }
}

fn integer_argument(arguments: &[Datum], position: usize) -> PgResult<i64> {
    match arguments.get(position) {
        Some(Datum::Int2(value)) => Ok(i64::from(*value)),
        Some(Datum::Int4(value)) => Ok(i64::from(*value)),
        Some(Datum::Int8(value)) => Ok(*value),
        _ => Err(mismatch(arguments)),
    }
}

/// A trailing flag; false when it was left out.
fn flag_argument(arguments: &[Datum], position: usize) -> bool {
    matches!(arguments.get(position), Some(Datum::Bool(true)))
}

fn optional(value: Option<impl Into<Box<str>>>) -> Datum {
    value.map_or(Datum::Null, Datum::text)
}
