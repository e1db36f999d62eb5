//! Identifiers as text: read, quoted, qualified.

use planner::parser::keywords::quote_identifier;
use types::{PgError, PgResult, SqlState};

use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;

/// Parts of a dotted name: unquoted ones folded to lower case. Errors: 42602.
pub fn split_name(text: &str) -> PgResult<Vec<String>> {
    let invalid = || PgError::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted).ok_or_else(invalid)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let part = rest[..end].trim().to_lowercase();
                if part.contains(|c: char| c.is_whitespace() || c == '"') {
                    return Err(invalid());
                }
                (part, &rest[end..])
            }
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

/// What stands before the closing quote, doubled quotes made single, and what follows.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c != '"' {
            part.push(c);
        } else if characters.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            return Some((part, &text[at + 1..]));
        }
    }
    None
}

/// `schema.name`, both quoted where they must be.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", quote_identifier(schema), quote_identifier(name))
}

/// The name by which a query can call a relation: qualified unless the search path leads to it.
pub fn relation_text(picture: &Picture<'_>, relation: &Relation<'_>) -> String {
    if picture.is_visible(relation) {
        quote_identifier(relation.name())
    } else {
        qualified_relation(picture, relation)
    }
}

pub fn qualified_relation(picture: &Picture<'_>, relation: &Relation<'_>) -> String {
    qualified(picture.schema_name(relation.schema()).unwrap_or(""), relation.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_identifiers() {
        assert_eq!(split_name("Public.T").expect("valid"), ["public", "t"]);
        assert_eq!(split_name("\"A.b\" . \"c\"\"d\"").expect("valid"), ["A.b", "c\"d"]);
        for invalid in ["a.", "\"a", "a..b", "", "a b", "\"a\"b"] {
            assert!(split_name(invalid).is_err(), "{invalid}");
        }
    }
}
