//! obj_description and its relatives.

use types::{Datum, PgResult};

use super::Answer::{self, Null, Strict};
use super::{integer_argument, oid_argument, optional, text_argument};
use crate::virtual_tables::pg_catalog::depend::comment;
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("col_description", Strict(col_description)),
    ("obj_description", Strict(obj_description)),
    // Databases, roles and tablespaces take no comments.
    ("shobj_description", Null),
];

fn obj_description(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    if arguments.len() > 1 && text_argument(arguments, 1)? != "pg_class" {
        return Ok(Datum::Null);
    }
    Ok(optional(picture.relation(id).and_then(|relation| comment(&relation, 0))))
}

fn col_description(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let column = u16::try_from(integer_argument(arguments, 1)?).unwrap_or(0);
    if column == 0 {
        return Ok(Datum::Null);
    }
    Ok(optional(picture.relation(id).and_then(|relation| comment(&relation, column))))
}
