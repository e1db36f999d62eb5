//! Functions that look into the catalog: pg_get_indexdef, to_regclass, has_table_privilege ...

use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, SqlState};

use crate::session::Services;
use crate::virtual_tables;

/// Evaluates a catalogue function for one row. Errors: 0A000 for one that is not known here.
pub fn call(_services: &Services, name: &str, _arguments: &[Datum]) -> PgResult<Datum> {
    Err(PgError::unsupported(format!("function {name}")))
}

/// The relation of a possibly qualified and quoted name, along the search path. Errors: 42P01, 42602.
pub fn resolve_relation(services: &Services, text: &str) -> PgResult<Oid> {
    let parts = split_name(text)?;
    let undefined =
        || PgError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{text}\" does not exist"));
    let catalog = &services.catalog;
    let in_schema = |schema: &str, name: &str| -> Option<Oid> {
        if virtual_tables::is_system_schema(schema) {
            return virtual_tables::find(schema, name).map(|table| table.id);
        }
        let schema = catalog.snapshot.schema(catalog.database, schema)?;
        match catalog.snapshot.relation(schema.id, name)? {
            crate::catalog::NameTarget::Object(id) => Some(id),
            crate::catalog::NameTarget::Index { index, .. } => Some(index),
        }
    };
    match parts.as_slice() {
        [name] => std::iter::once("pg_catalog")
            .chain(services.search_path.iter().map(String::as_str))
            .find_map(|schema| in_schema(schema, name))
            .ok_or_else(undefined),
        [schema, name] | [_, schema, name] => in_schema(schema, name).ok_or_else(undefined),
        _ => Err(PgError::new(SqlState::INVALID_NAME, "invalid name syntax")),
    }
}

/// Parts of a dotted name: unquoted ones folded to lower case.
fn split_name(text: &str) -> PgResult<Vec<String>> {
    let invalid = || PgError::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut characters = quoted.char_indices().peekable();
            let end = loop {
                let (at, c) = characters.next().ok_or_else(invalid)?;
                match c {
                    '"' if characters.peek().is_some_and(|(_, next)| *next == '"') => {
                        characters.next();
                        part.push('"');
                    }
                    '"' => break at + 1,
                    c => part.push(c),
                }
            };
            (part, &quoted[end..])
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            (rest[..end].trim().to_lowercase(), &rest[end..])
        };
        if part.is_empty() {
            return Err(invalid());
        }
        parts.push(part);
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(next) => rest = next.trim_start(),
            None if after.is_empty() => return Ok(parts),
            None => return Err(invalid()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_identifiers() {
        assert_eq!(split_name("Public.T").expect("valid"), ["public", "t"]);
        assert_eq!(split_name("\"A.b\" . \"c\"\"d\"").expect("valid"), ["A.b", "c\"d"]);
        assert!(split_name("a.").is_err());
        assert!(split_name("\"a").is_err());
    }
}
