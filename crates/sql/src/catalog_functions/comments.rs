//! obj_description and its relatives.

use types::descriptor::{FIRST_USER_OID, Oid};
use types::{Datum, PgResult};

use super::Answer::{self, Strict};
use super::{integer_argument, oid_argument, optional, text_argument};
use crate::catalog::Object;
use crate::virtual_tables::pg_catalog::depend::comment;
use crate::virtual_tables::pg_catalog::descriptions::{description, description_in_any};
use crate::virtual_tables::picture::Picture;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("col_description", Strict(col_description)),
    ("obj_description", Strict(obj_description)),
    ("shobj_description", Strict(shobj_description)),
];

/// The comment on an object that a catalog lists. Without a catalog the object may be in any.
fn comment_in(picture: &Picture<'_>, id: Oid, catalog: Option<&str>) -> Option<String> {
    let asked = |name: &str| catalog.is_none_or(|catalog| catalog == name);
    if asked("pg_class")
        && let Some(relation) = picture.relation(id)
    {
        return comment(&relation, 0);
    }
    if asked("pg_constraint")
        && let Some(constraint) = picture.constraint(id)
    {
        return constraint.table().constraint_comments.get(&id.0).cloned();
    }
    if id.0 < FIRST_USER_OID {
        let class = catalog.map(|catalog| crate::virtual_tables::find("pg_catalog", catalog));
        let built_in = match class {
            Some(class) => class.and_then(|class| description(class.id.0, id.0)),
            None => description_in_any(id.0),
        };
        if let Some(text) = built_in {
            return Some(text.to_string());
        }
    }
    match picture.snapshot.object(id)? {
        Object::Function(function) if asked("pg_proc") => function.comment.clone(),
        Object::Schema(schema) if asked("pg_namespace") => schema.comment.clone(),
        Object::Type(found) if asked("pg_type") => found.comment.clone(),
        _ => None,
    }
}

fn obj_description(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let catalog = if arguments.len() > 1 { Some(text_argument(arguments, 1)?) } else { None };
    Ok(optional(comment_in(picture, id, catalog)))
}

/// Objects that all databases share.
fn shobj_description(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let comment = match (text_argument(arguments, 1)?, picture.snapshot.object(id)) {
        ("pg_database", Some(Object::Database(database))) => database.comment.clone(),
        ("pg_authid", Some(Object::Role(role))) => role.comment.clone(),
        _ => None,
    };
    Ok(optional(comment))
}

fn col_description(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let column = u16::try_from(integer_argument(arguments, 1)?).unwrap_or(0);
    if column == 0 {
        return Ok(Datum::Null);
    }
    Ok(optional(picture.relation(id).and_then(|relation| comment(&relation, column))))
}
