//! `\d` and its family: questions to pg_catalog, printed as psql prints them.

mod indexes;
mod lists;
mod pattern;
mod relation;

use crate::session::{Outcome, Session};
use crate::table::{Column, Footer, Table};

/// Runs a command of this family; `None` if it is none.
pub fn run(session: &mut Session, name: &str, argument: Option<&str>) -> Option<Outcome> {
    // A trailing S adds system objects; + would add columns that are not made here.
    let (name, with_system) = match name.strip_suffix('S') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let done = match name {
        "d" => match argument {
            Some(pattern) => relation::describe(session, pattern),
            None => lists::relations(session, "tvmsE", None, with_system),
        },
        "dn" => lists::schemas(session, argument, with_system),
        "du" | "dg" => lists::roles(session, argument),
        "l" | "list" => lists::databases(session, argument),
        other => {
            let kinds = other.strip_prefix('d').filter(|kinds| !kinds.is_empty())?;
            if !kinds.chars().all(|kind| "tivms".contains(kind)) {
                return None;
            }
            lists::relations(session, kinds, argument, with_system)
        }
    };
    Some(if done.is_some() { Outcome::Done } else { Outcome::Failed })
}

/// A table of text columns with `(N rows)` below.
fn list(title: &str, columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Table {
    Table {
        title: Some(title.to_string()),
        columns: columns.iter().map(|name| Column::left(*name)).collect(),
        rows,
        footer: Footer::RowCount,
    }
}

/// The text of a value, NULL as nothing.
fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn is_true(value: &Option<String>) -> bool {
    value.as_deref() == Some("t")
}
