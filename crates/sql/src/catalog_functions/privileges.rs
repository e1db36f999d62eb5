//! has_table_privilege and its relatives, pg_has_role, acldefault.
//!
//! There is no GRANT: who owns an object, and a superuser, may do everything with it; everybody may do with it what PostgreSQL
//! grants to PUBLIC by default (use schemas' names, connect, call functions, read system catalogs).
//!
//! All of them take `[role,] object, privilege`: role and object by name or oid, several privileges with commas between, one
//! of which suffices. An object given by an oid that does not exist is NULL, one given by a name an error.

use types::descriptor::Oid;
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Strict};
use super::names::{find_procedure_id, relation_named};
use super::{mismatch, oid_argument, text_argument};
use crate::virtual_tables::pg_catalog::builtin_types::builtin_type;
use crate::virtual_tables::pg_catalog::functions::runnable;
use crate::virtual_tables::pg_catalog::internal_functions::internal_function;
use crate::virtual_tables::pg_catalog::schema::{INTERNAL_LANGUAGE, TABLESPACES};
use crate::virtual_tables::picture::{DATABASE_OWNER_ROLE, Picture};
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::array_of;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("acldefault", Strict(acldefault)),
    ("has_any_column_privilege", Strict(has_any_column_privilege)),
    ("has_column_privilege", Strict(has_column_privilege)),
    ("has_database_privilege", Strict(has_database_privilege)),
    ("has_foreign_data_wrapper_privilege", Null),
    ("has_function_privilege", Strict(has_function_privilege)),
    ("has_language_privilege", Strict(has_language_privilege)),
    ("has_parameter_privilege", Strict(has_parameter_privilege)),
    ("has_schema_privilege", Strict(has_schema_privilege)),
    ("has_sequence_privilege", Strict(has_sequence_privilege)),
    ("has_server_privilege", Null),
    ("has_table_privilege", Strict(has_table_privilege)),
    ("has_tablespace_privilege", Strict(has_tablespace_privilege)),
    ("has_type_privilege", Strict(has_type_privilege)),
    ("pg_has_role", Strict(pg_has_role)),
];

const TABLE_PRIVILEGES: &[&str] =
    &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "RULE"];
const COLUMN_PRIVILEGES: &[&str] = &["SELECT", "INSERT", "UPDATE", "REFERENCES"];
const SEQUENCE_PRIVILEGES: &[&str] = &["USAGE", "SELECT", "UPDATE"];

/// The role that is asked about: the first of `count` arguments, or the session's own where it was left out.
fn role<'a>(picture: &Picture<'a>, arguments: &'a [Datum], count: usize) -> PgResult<(&'a str, &'a [Datum])> {
    if arguments.len() < count {
        return Ok((picture.user, arguments));
    }
    let (first, rest) = arguments.split_first().ok_or_else(|| mismatch(arguments))?;
    Ok((role_of(picture, first)?, rest))
}

fn role_of<'a>(picture: &Picture<'a>, argument: &'a Datum) -> PgResult<&'a str> {
    match argument {
        Datum::Text(name) if **name == *"public" => Ok("public"),
        Datum::Text(name) if picture.role_id(name).0 != 0 => Ok(name),
        Datum::Text(name) => {
            Err(PgError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist")))
        }
        Datum::Oid(id) => Ok(picture.role_name(Oid(*id)).unwrap_or("")),
        other => Err(mismatch(std::slice::from_ref(other))),
    }
}

fn is_superuser(picture: &Picture<'_>, role: &str) -> bool {
    picture.snapshot.role(role).is_some_and(|role| role.superuser)
}

/// The privileges of a list, upper case and without WITH GRANT OPTION (owners may always grant). Errors: 22023.
fn privileges(arguments: &[Datum], position: usize, known: &[&'static str]) -> PgResult<Vec<&'static str>> {
    let one = |text: &str| {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_suffix(" WITH GRANT OPTION").map_or(upper.as_str(), str::trim_end);
        known.iter().copied().find(|privilege| *privilege == name).ok_or_else(|| {
            let message = format!("unrecognized privilege type: \"{}\"", text.trim());
            PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })
    };
    text_argument(arguments, position)?.split(',').map(one).collect()
}

// Relations.

/// A relation given by name or oid; `None` for an oid that stands for none.
fn relation_argument<'a>(picture: &Picture<'a>, arguments: &[Datum]) -> PgResult<Option<Relation<'a>>> {
    match arguments.first() {
        Some(Datum::Text(name)) => Ok(picture.relation(relation_named(picture, name)?)),
        _ => Ok(picture.relation(oid_argument(arguments, 0)?)),
    }
}

/// Tables of the system that not everybody may read.
const SECRET_TABLES: [&str; 4] = ["pg_authid", "pg_shadow", "pg_statistic", "pg_subscription"];

fn may(picture: &Picture<'_>, role: &str, relation: &Relation<'_>, wanted: &[&str]) -> bool {
    let read_by_all = match relation {
        Relation::System(definition) => !SECRET_TABLES.contains(&definition.name),
        _ => false,
    };
    relation.is_owned_by(role, picture) || (read_by_all && wanted.contains(&"SELECT"))
}

fn has_table_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let wanted = privileges(rest, 1, TABLE_PRIVILEGES)?;
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(may(picture, role, &relation, &wanted))))
}

fn has_any_column_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let wanted = privileges(rest, 1, COLUMN_PRIVILEGES)?;
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(may(picture, role, &relation, &wanted))))
}

fn has_column_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 4)?;
    let relation = relation_argument(picture, rest)?;
    let wanted = privileges(rest, 2, COLUMN_PRIVILEGES)?;
    let Some(relation) = relation else { return Ok(Datum::Null) };
    let attributes = relation.attributes();
    match rest.get(1) {
        Some(Datum::Text(name)) => {
            if !attributes.iter().any(|attribute| *attribute.name == **name) {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name());
                return Err(PgError::new(SqlState::UNDEFINED_COLUMN, message));
            }
        }
        Some(Datum::Int2(number)) => {
            if !attributes.iter().any(|attribute| i32::from(attribute.number) == i32::from(*number)) {
                return Ok(Datum::Null);
            }
        }
        _ => return Err(mismatch(arguments)),
    }
    Ok(Datum::Bool(may(picture, role, &relation, &wanted)))
}

fn has_sequence_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let wanted = privileges(rest, 1, SEQUENCE_PRIVILEGES)?;
    match relation {
        None => Ok(Datum::Null),
        Some(relation @ Relation::Sequence(_)) => Ok(Datum::Bool(may(picture, role, &relation, &wanted))),
        Some(other) => {
            let message = format!("\"{}\" is not a sequence", other.name());
            Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message))
        }
    }
}

// Schemas and databases.

fn has_schema_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let id = match rest.first() {
        Some(Datum::Text(name)) => Some(picture.schema_id(name).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
        })?),
        _ => Some(oid_argument(rest, 0)?),
    };
    let wanted = privileges(rest, 1, &["CREATE", "USAGE"])?;
    let schema = picture.schemas().into_iter().find(|schema| Some(schema.id) == id);
    Ok(schema.map_or(Datum::Null, |schema| {
        let owner = is_superuser(picture, role) || acts_as(picture, role, schema.owner);
        Datum::Bool(owner || wanted.contains(&"USAGE"))
    }))
}

fn has_database_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let database = match rest.first() {
        Some(Datum::Text(name)) => Some(picture.snapshot.database(name).ok_or_else(|| {
            PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
        })?),
        _ => picture.snapshot.database_by_id(oid_argument(rest, 0)?),
    };
    let wanted = privileges(rest, 1, &["CREATE", "CONNECT", "TEMPORARY", "TEMP"])?;
    Ok(database.map_or(Datum::Null, |database| {
        let owner = is_superuser(picture, role) || acts_as(picture, role, &database.owner);
        Datum::Bool(owner || wanted.iter().any(|privilege| *privilege != "CREATE"))
    }))
}

// What only the system has: superusers may do everything, others what is granted to PUBLIC.

fn has_function_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (_, rest) = role(picture, arguments, 3)?;
    let id = match rest.first() {
        Some(Datum::Text(name)) => find_procedure_id(picture, name)?.ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{name}\" does not exist"))
        })?,
        _ => oid_argument(rest, 0)?,
    };
    privileges(rest, 1, &["EXECUTE"])?;
    let exists = runnable(id).is_some() || internal_function(id.0).is_some();
    Ok(if exists { Datum::Bool(true) } else { Datum::Null })
}

fn has_language_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let exists = match rest.first() {
        Some(Datum::Text(name)) if **name != *"internal" => {
            let message = format!("language \"{name}\" does not exist");
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        Some(Datum::Text(_)) => true,
        _ => oid_argument(rest, 0)?.0 == INTERNAL_LANGUAGE,
    };
    privileges(rest, 1, &["USAGE"])?;
    Ok(if exists { Datum::Bool(is_superuser(picture, role)) } else { Datum::Null })
}

fn has_parameter_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let wanted = privileges(rest, 1, &["SET", "ALTER SYSTEM"])?;
    Ok(Datum::Bool(is_superuser(picture, role) || wanted.contains(&"SET")))
}

fn has_tablespace_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let exists = match rest.first() {
        Some(Datum::Text(name)) => {
            if !TABLESPACES.iter().any(|(_, other)| **other == **name) {
                let message = format!("tablespace \"{name}\" does not exist");
                return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message));
            }
            true
        }
        _ => {
            let id = oid_argument(rest, 0)?;
            TABLESPACES.iter().any(|(other, _)| *other == id.0)
        }
    };
    privileges(rest, 1, &["CREATE"])?;
    Ok(if exists { Datum::Bool(is_superuser(picture, role)) } else { Datum::Null })
}

fn has_type_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (_, rest) = role(picture, arguments, 3)?;
    privileges(rest, 1, &["USAGE"])?;
    let id = match rest.first() {
        Some(Datum::Text(_)) => {
            let found = super::call_on_picture(picture, "regtypein", &rest[..1])?;
            oid_argument(&[found], 0)?
        }
        _ => oid_argument(rest, 0)?,
    };
    Ok(builtin_type(id.0).map_or(Datum::Null, |_| Datum::Bool(true)))
}

// Roles.

/// Whether a role is another one or, directly or through others, a member of it.
pub fn acts_as(picture: &Picture<'_>, role: &str, other: &str) -> bool {
    if role == other {
        return true;
    }
    if other == DATABASE_OWNER_ROLE.1 {
        let owner = picture.snapshot.database_by_id(picture.database).map(|database| database.owner.as_str());
        return owner.is_some_and(|owner| owner != other && acts_as(picture, role, owner));
    }
    let target = picture.role_id(other);
    let mut seen = std::collections::BTreeSet::new();
    let mut pending: Vec<Oid> = vec![picture.role_id(role)];
    while let Some(id) = pending.pop() {
        if id == target {
            return true;
        }
        if seen.insert(id)
            && let Some(crate::catalog::Object::Role(role)) = picture.snapshot.object(id)
        {
            pending.extend(&role.member_of);
        }
    }
    false
}

fn pg_has_role(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let other = role_of(picture, rest.first().ok_or_else(|| mismatch(arguments))?)?;
    let text = text_argument(rest, 1)?;
    let known = |name: &str| {
        let upper = name.trim().to_ascii_uppercase();
        let name = upper.strip_suffix(" WITH GRANT OPTION").or(upper.strip_suffix(" WITH ADMIN OPTION"));
        matches!(name.unwrap_or(&upper), "MEMBER" | "USAGE")
    };
    if let Some(unknown) = text.split(',').find(|name| !known(name)) {
        let message = format!("unrecognized privilege type: \"{}\"", unknown.trim());
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    }
    Ok(Datum::Bool(is_superuser(picture, role) || acts_as(picture, role, other)))
}

/// acldefault(kind, owner): what an object without an ACL grants.
fn acldefault(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let kind = text_argument(arguments, 0)?;
    let owner = oid_argument(arguments, 1)?;
    let owner = picture.role_name(owner).map_or_else(|| owner.0.to_string(), str::to_string);
    let (public, own) = match kind {
        "c" => ("", ""),
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "p" => ("", "sA"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        _ => {
            let message = format!("unrecognized object type abbreviation: {kind}");
            return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    };
    let mut items = Vec::new();
    if !public.is_empty() {
        items.push(Datum::text(format!("={public}/{owner}")));
    }
    if !own.is_empty() {
        items.push(Datum::text(format!("{owner}={own}/{owner}")));
    }
    Ok(array_of(DataType::Aclitem, items))
}
