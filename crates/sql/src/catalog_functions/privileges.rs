//! has_table_privilege and its relatives, pg_has_role, acldefault.
//!
//! All of them take `[role,] object, privilege`: role and object by name or oid, several privileges with commas between, one
//! of which suffices. An object given by an oid that does not exist is NULL, one given by a name an error. What belongs to the
//! system has the privileges that PostgreSQL's initdb grants.

use types::acl::{AclKind, Rights};
use types::descriptor::{FunctionDescriptor, Oid, TypeDescriptor};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Strict};
use super::names::{find_procedure_id, relation_named};
use super::{mismatch, oid_argument, text_argument};
use crate::catalog::{Object, Securable};
use crate::privileges::{SECRET_TABLES, column_acls, column_securable};
use crate::virtual_tables::pg_catalog::builtin_types::builtin_type;
use crate::virtual_tables::pg_catalog::functions::runnable;
use crate::virtual_tables::pg_catalog::internal_functions::internal_function;
use crate::virtual_tables::pg_catalog::schema::{INTERNAL_LANGUAGE, SQL_LANGUAGE, TABLESPACES};
use crate::virtual_tables::picture::Picture;
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
    picture.snapshot.is_superuser(role)
}

/// One privilege asked about, and whether it is the right to grant it.
#[derive(Clone, Copy)]
struct Asked {
    right: Rights,
    grantable: bool,
}

/// The privileges of a list. Errors: 22023.
fn asked(arguments: &[Datum], position: usize, known: Rights) -> PgResult<Vec<Asked>> {
    let one = |text: &str| {
        let upper = text.trim().to_ascii_uppercase();
        let (name, grantable) = match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(name) => (name.trim_end(), true),
            None => (upper.as_str(), false),
        };
        let right = match name {
            "TEMP" => Some(Rights::TEMPORARY),
            // Accepted for what it once was; nobody has it.
            "RULE" if known.contains(Rights::DELETE) => Some(Rights::NONE),
            name => Rights::named(name).filter(|right| known.contains(*right)),
        };
        right.map(|right| Asked { right, grantable }).ok_or_else(|| {
            let message = format!("unrecognized privilege type: \"{}\"", text.trim());
            PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })
    };
    text_argument(arguments, position)?.split(',').map(one).collect()
}

/// Has the role one of the privileges on an object?
fn has_any(picture: &Picture<'_>, role: &str, object: Securable<'_>, asked: &[Asked]) -> bool {
    asked.iter().any(|asked| {
        !picture.snapshot.rights(picture.database, role, object, asked.right, asked.grantable).is_empty()
    })
}

// Relations.

/// A relation given by name or oid; `None` for an oid that stands for none.
fn relation_argument<'a>(picture: &Picture<'a>, arguments: &[Datum]) -> PgResult<Option<Relation<'a>>> {
    match arguments.first() {
        Some(Datum::Text(name)) => Ok(picture.relation(relation_named(picture, name)?)),
        _ => Ok(picture.relation(oid_argument(arguments, 0)?)),
    }
}

/// The catalog's object behind a relation; `None` for what the system makes up.
fn object_of<'a>(picture: &Picture<'a>, relation: &Relation<'a>) -> Option<&'a Object> {
    picture.snapshot.object(match relation {
        Relation::Index(index) => index.table.id,
        other => other.id(),
    })
}

/// Of the system's tables everybody may read most, superusers may do everything.
fn may_system(picture: &Picture<'_>, role: &str, relation: &Relation<'_>, asked: &[Asked]) -> bool {
    let read_by_all =
        matches!(relation, Relation::System(definition) if !SECRET_TABLES.contains(&definition.name));
    is_superuser(picture, role)
        || (read_by_all && asked.iter().any(|asked| asked.right == Rights::SELECT && !asked.grantable))
}

fn may(picture: &Picture<'_>, role: &str, relation: &Relation<'_>, asked: &[Asked]) -> bool {
    match object_of(picture, relation).and_then(Securable::of) {
        Some(object) => has_any(picture, role, object, asked),
        None => may_system(picture, role, relation, asked),
    }
}

/// The same of a column, or of any column if none is named.
fn may_column(
    picture: &Picture<'_>,
    role: &str,
    relation: &Relation<'_>,
    column: Option<u16>,
    asked: &[Asked],
) -> bool {
    let Some(object) = object_of(picture, relation) else {
        return may_system(picture, role, relation, asked);
    };
    column_acls(object).into_iter().filter(|(id, _, _)| column.is_none_or(|column| id.0 == column)).any(
        |(_, name, acl)| {
            column_securable(object, name, acl).is_some_and(|column| has_any(picture, role, column, asked))
        },
    )
}

fn has_table_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let asked = asked(rest, 1, AclKind::Table.all())?;
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(may(picture, role, &relation, &asked))))
}

fn has_any_column_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let asked = asked(rest, 1, AclKind::Column.all())?;
    Ok(relation.map_or(Datum::Null, |relation| {
        let any = may(picture, role, &relation, &asked) || may_column(picture, role, &relation, None, &asked);
        Datum::Bool(any)
    }))
}

fn has_column_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 4)?;
    let relation = relation_argument(picture, rest)?;
    let asked = asked(rest, 2, AclKind::Column.all())?;
    let Some(relation) = relation else { return Ok(Datum::Null) };
    let attributes = relation.attributes();
    let number = match rest.get(1) {
        Some(Datum::Text(name)) => attributes
            .iter()
            .find(|attribute| *attribute.name == **name)
            .map(|attribute| attribute.number)
            .ok_or_else(|| {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name());
                PgError::new(SqlState::UNDEFINED_COLUMN, message)
            })?,
        Some(Datum::Int2(number)) => {
            let known = attributes.iter().find(|a| i32::from(a.number) == i32::from(*number));
            let Some(known) = known else { return Ok(Datum::Null) };
            known.number
        }
        _ => return Err(mismatch(arguments)),
    };
    let has =
        may(picture, role, &relation, &asked) || may_column(picture, role, &relation, Some(number), &asked);
    Ok(Datum::Bool(has))
}

fn has_sequence_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let relation = relation_argument(picture, rest)?;
    let asked = asked(rest, 1, AclKind::Sequence.all())?;
    match relation {
        None => Ok(Datum::Null),
        Some(relation @ Relation::Sequence(_)) => Ok(Datum::Bool(may(picture, role, &relation, &asked))),
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
    let asked = asked(rest, 1, AclKind::Schema.all())?;
    let schema = picture.schemas().into_iter().find(|schema| Some(schema.id) == id);
    Ok(schema.map_or(Datum::Null, |schema| {
        Datum::Bool(match picture.snapshot.schema_by_id(schema.id) {
            Some(schema) => has_any(picture, role, (&**schema).into(), &asked),
            // Everybody may use the system's schemas.
            None => {
                is_superuser(picture, role)
                    || asked.iter().any(|asked| asked.right == Rights::USAGE && !asked.grantable)
            }
        })
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
    let asked = asked(rest, 1, AclKind::Database.all())?;
    Ok(database
        .map_or(Datum::Null, |database| Datum::Bool(has_any(picture, role, (&**database).into(), &asked))))
}

// What only the system has: superusers may do everything, others what is granted to PUBLIC.

fn has_function_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let id = match rest.first() {
        Some(Datum::Text(name)) => find_procedure_id(picture, name)?.ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_FUNCTION, format!("function \"{name}\" does not exist"))
        })?,
        _ => oid_argument(rest, 0)?,
    };
    let asked = asked(rest, 1, Rights::EXECUTE)?;
    if let Some(function) = picture.function(id) {
        return Ok(Datum::Bool(has_any(picture, role, (&**function).into(), &asked)));
    }
    let exists = runnable(id).is_some() || internal_function(id.0).is_some();
    Ok(if exists { Datum::Bool(true) } else { Datum::Null })
}

fn has_language_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let trusted = match rest.first() {
        Some(Datum::Text(name)) if !matches!(&**name, "internal" | "sql") => {
            let message = format!("language \"{name}\" does not exist");
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        Some(Datum::Text(name)) => Some(&**name == "sql"),
        _ => match oid_argument(rest, 0)?.0 {
            INTERNAL_LANGUAGE => Some(false),
            SQL_LANGUAGE => Some(true),
            _ => None,
        },
    };
    let asked = asked(rest, 1, Rights::USAGE)?;
    Ok(trusted.map_or(Datum::Null, |trusted| {
        // Everybody may write functions in a trusted language.
        Datum::Bool(is_superuser(picture, role) || (trusted && asked.iter().any(|asked| !asked.grantable)))
    }))
}

fn has_parameter_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let asked = asked(rest, 1, Rights::SET.with(Rights::ALTER_SYSTEM))?;
    let set = asked.iter().any(|asked| asked.right == Rights::SET && !asked.grantable);
    Ok(Datum::Bool(is_superuser(picture, role) || set))
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
    asked(rest, 1, Rights::CREATE)?;
    Ok(if exists { Datum::Bool(is_superuser(picture, role)) } else { Datum::Null })
}

/// Whether a role may make columns of a type.
pub fn may_use_type(picture: &Picture<'_>, role: &str, found: &TypeDescriptor) -> bool {
    !picture.snapshot.rights(picture.database, role, found.into(), Rights::USAGE, false).is_empty()
}

/// Whether a role may call a function.
pub fn may_execute(picture: &Picture<'_>, role: &str, function: &FunctionDescriptor) -> bool {
    !picture.snapshot.rights(picture.database, role, function.into(), Rights::EXECUTE, false).is_empty()
}

fn has_type_privilege(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let asked = asked(rest, 1, Rights::USAGE)?;
    let id = match rest.first() {
        Some(Datum::Text(_)) => {
            let found = super::call_on_picture(picture, "regtypein", &rest[..1])?;
            oid_argument(&[found], 0)?
        }
        _ => oid_argument(rest, 0)?,
    };
    if builtin_type(id.0).is_some() {
        return Ok(Datum::Bool(true));
    }
    // An array goes by its elements; everybody may name a relation's rows.
    Ok(match picture.snapshot.object(Oid(id.0 & !types::USER_ARRAY_BIT)) {
        Some(Object::Type(found)) => Datum::Bool(has_any(picture, role, (&**found).into(), &asked)),
        Some(Object::Table(_) | Object::View(_)) => Datum::Bool(true),
        _ => Datum::Null,
    })
}

// Roles.

/// Whether a role has the privileges of another one.
pub fn acts_as(picture: &Picture<'_>, role: &str, other: &str) -> bool {
    picture.snapshot.acts_as(picture.database, role, other)
}

fn pg_has_role(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (role, rest) = role(picture, arguments, 3)?;
    let other = role_of(picture, rest.first().ok_or_else(|| mismatch(arguments))?)?;
    let text = text_argument(rest, 1)?;
    let (snapshot, database) = (picture.snapshot, picture.database);
    let mut has = false;
    for name in text.split(',') {
        let upper = name.trim().to_ascii_uppercase();
        let (word, admin) =
            match upper.strip_suffix(" WITH GRANT OPTION").or(upper.strip_suffix(" WITH ADMIN OPTION")) {
                Some(word) => (word, true),
                None => (upper.as_str(), false),
            };
        has |= match word {
            "MEMBER" | "USAGE" if admin => snapshot.is_admin(database, role, other),
            "MEMBER" => snapshot.is_member(database, role, other),
            "USAGE" => snapshot.acts_as(database, role, other),
            _ => {
                let message = format!("unrecognized privilege type: \"{}\"", name.trim());
                return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
        };
    }
    Ok(Datum::Bool(has))
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

/// An object's list as aclitem[]; NULL when it has none.
pub fn acl_items(picture: &Picture<'_>, acl: &types::acl::Acl) -> Datum {
    let Some(items) = &acl.0 else { return Datum::Null };
    let name = |id: Oid| match id {
        types::acl::PUBLIC => String::new(),
        id => {
            let name = picture.role_name(id).map_or_else(|| id.0.to_string(), str::to_string);
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if plain { name } else { format!("\"{}\"", name.replace('"', "\"\"")) }
        }
    };
    let texts = items
        .iter()
        .map(|item| Datum::text(format!("{}={}/{}", name(item.grantee), item.letters(), name(item.grantor))));
    array_of(DataType::Aclitem, texts.collect())
}
