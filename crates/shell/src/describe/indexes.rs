//! Indexes: below their table, and by themselves.

use super::relation::Relation;
use super::{is_true, text};
use crate::session::Session;
use crate::table::{Column, Footer, Table};

/// The lines `Indexes:` below a table; none without an index.
pub fn of_table(session: &mut Session, relation: &Relation) -> Option<Vec<String>> {
    let sql = format!(
        "SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid, \
         pg_catalog.pg_get_indexdef(i.indexrelid, 0, true), pg_catalog.pg_get_constraintdef(con.oid, true), \
         con.contype, con.condeferrable, con.condeferred, i.indisreplident \
         FROM pg_catalog.pg_class c2 JOIN pg_catalog.pg_index i ON i.indexrelid = c2.oid \
         LEFT JOIN pg_catalog.pg_constraint con ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid \
         AND con.contype IN ('p', 'u', 'x') WHERE i.indrelid = {} ORDER BY i.indisprimary DESC, c2.relname",
        relation.oid
    );
    let rows = session.rows(&sql)?;
    let mut lines: Vec<String> = rows.iter().map(|row| index_line(row)).collect();
    if !lines.is_empty() {
        lines.insert(0, "Indexes:".to_string());
    }
    Some(lines)
}

fn index_line(index: &[Option<String>]) -> String {
    let mut line = format!("    \"{}\"", text(&index[0]));
    if text(&index[7]) == "x" {
        line.push_str(&format!(" {}", text(&index[6])));
    } else {
        if is_true(&index[1]) {
            line.push_str(" PRIMARY KEY,");
        } else if is_true(&index[2]) {
            line.push_str(if text(&index[7]) == "u" { " UNIQUE CONSTRAINT," } else { " UNIQUE," });
        }
        let definition = text(&index[5]);
        let after_using = definition.split_once(" USING ").map_or(definition, |(_, rest)| rest);
        line.push_str(&format!(" {after_using}"));
        if is_true(&index[8]) {
            line.push_str(" DEFERRABLE");
        }
        if is_true(&index[9]) {
            line.push_str(" INITIALLY DEFERRED");
        }
    }
    for (is_set, mark) in [
        (is_true(&index[3]), " CLUSTER"),
        (!is_true(&index[4]), " INVALID"),
        (is_true(&index[10]), " REPLICA IDENTITY"),
    ] {
        if is_set {
            line.push_str(mark);
        }
    }
    line
}

/// `\d INDEX`.
pub fn describe(session: &mut Session, relation: &Relation) -> Option<()> {
    let oid = &relation.oid;
    let sql = format!(
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
         CASE WHEN a.attnum <= (SELECT i.indnkeyatts FROM pg_catalog.pg_index i WHERE i.indexrelid = {oid}) THEN 'yes' ELSE 'no' END, \
         pg_catalog.pg_get_indexdef(a.attrelid, a.attnum, true) FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    let rows = session.rows(&sql)?;
    let sql = format!(
        "SELECT i.indisunique, i.indisprimary, i.indisclustered, i.indisvalid, a.amname, n.nspname, c2.relname, \
         pg_catalog.pg_get_expr(i.indpred, i.indrelid, true) FROM pg_catalog.pg_index i \
         JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_class c2 ON c2.oid = i.indrelid \
         JOIN pg_catalog.pg_am a ON a.oid = c.relam JOIN pg_catalog.pg_namespace n ON n.oid = c2.relnamespace \
         WHERE i.indexrelid = {oid}"
    );
    let about = session.rows(&sql)?;
    let footer = about.first().map(|row| vec![about_index(row)]).unwrap_or_default();
    session.print_table(&Table {
        title: Some(relation.title()),
        columns: ["Column", "Type", "Key?", "Definition"].into_iter().map(Column::left).collect(),
        rows,
        footer: Footer::Lines(footer),
    });
    Some(())
}

fn about_index(index: &[Option<String>]) -> String {
    let mut line = String::new();
    if is_true(&index[1]) {
        line.push_str("primary key, ");
    } else if is_true(&index[0]) {
        line.push_str("unique, ");
    }
    line.push_str(&format!("{}, for table \"{}.{}\"", text(&index[4]), text(&index[5]), text(&index[6])));
    if let Some(predicate) = &index[7] {
        line.push_str(&format!(", predicate ({predicate})"));
    }
    for (is_set, mark) in [(is_true(&index[2]), ", clustered"), (!is_true(&index[3]), ", invalid")] {
        if is_set {
            line.push_str(mark);
        }
    }
    line
}
