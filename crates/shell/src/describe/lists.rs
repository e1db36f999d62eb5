//! Lists of relations, schemas, roles and databases.

use super::pattern::Pattern;
use super::{is_true, list, text};
use crate::session::Session;
use crate::table::{Footer, Table};

/// `\d`, `\dt`, `\di` ...: `kinds` are the letters after `\d`.
pub fn relations(session: &mut Session, kinds: &str, pattern: Option<&str>, with_system: bool) -> Option<()> {
    let relkinds: Vec<&str> = [('t', "'r','p'"), ('v', "'v'"), ('m', "'m'"), ('i', "'i','I'"), ('s', "'S'")]
        .into_iter()
        .filter(|(letter, _)| kinds.contains(*letter))
        .map(|(_, relkinds)| relkinds)
        .collect();
    let shows_table = kinds.contains('i');
    let table = if shows_table { ", c2.relname" } else { "" };
    let table_join = if shows_table {
        " LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class c2 ON c2.oid = i.indrelid"
    } else {
        ""
    };
    let system = if with_system || pattern.is_some() {
        ""
    } else {
        " AND n.nspname <> 'pg_catalog' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_toast'"
    };
    let visible = "pg_catalog.pg_table_is_visible(c.oid)";
    let wanted = match pattern {
        Some(pattern) => Pattern::parse(pattern).conditions("n.nspname", "c.relname", visible),
        None => format!(" AND {visible}"),
    };
    let sql = format!(
        "SELECT n.nspname, c.relname, CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' \
         WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' \
         WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END, \
         pg_catalog.pg_get_userbyid(c.relowner){table} \
         FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace{table_join} \
         WHERE c.relkind IN ({}){system}{wanted} ORDER BY 1, 2",
        relkinds.join(",")
    );
    let rows = session.rows(&sql)?;
    if rows.is_empty() && !session.quiet {
        match pattern {
            Some(pattern) => session.complain(&format!("Did not find any relation named \"{pattern}\".")),
            None => session.complain("Did not find any relations."),
        }
        return Some(());
    }
    let mut columns = vec!["Schema", "Name", "Type", "Owner"];
    if shows_table {
        columns.push("Table");
    }
    session.print_table(&list("List of relations", &columns, rows));
    Some(())
}

pub fn schemas(session: &mut Session, pattern: Option<&str>, with_system: bool) -> Option<()> {
    let wanted = match pattern {
        Some(pattern) => Pattern::parse(pattern).name_condition("n.nspname"),
        None if with_system => String::new(),
        None => " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'".to_string(),
    };
    let sql = format!(
        "SELECT n.nspname, pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n WHERE true{wanted} ORDER BY 1"
    );
    let rows = session.rows(&sql)?;
    session.print_table(&list("List of schemas", &["Name", "Owner"], rows));
    Some(())
}

pub fn databases(session: &mut Session, pattern: Option<&str>) -> Option<()> {
    let wanted =
        pattern.map(|pattern| Pattern::parse(pattern).name_condition("d.datname")).unwrap_or_default();
    let sql = format!(
        "SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, \
         d.datctype, d.daticulocale, CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' END, \
         pg_catalog.array_to_string(d.datacl, E'\\n') FROM pg_catalog.pg_database d WHERE true{wanted} ORDER BY 1"
    );
    let rows = session.rows(&sql)?;
    let columns = [
        "Name",
        "Owner",
        "Encoding",
        "Collate",
        "Ctype",
        "ICU Locale",
        "Locale Provider",
        "Access privileges",
    ];
    session.print_table(&list("List of databases", &columns, rows));
    Some(())
}

pub fn roles(session: &mut Session, pattern: Option<&str>) -> Option<()> {
    let wanted = match pattern {
        Some(pattern) => Pattern::parse(pattern).name_condition("r.rolname"),
        None => " AND r.rolname !~ '^pg_'".to_string(),
    };
    let sql = format!(
        "SELECT r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolconnlimit, \
         r.rolvaliduntil, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m \
         JOIN pg_catalog.pg_roles b ON m.roleid = b.oid WHERE m.member = r.oid), r.rolreplication, r.rolbypassrls \
         FROM pg_catalog.pg_roles r WHERE true{wanted} ORDER BY 1"
    );
    let rows = session.rows(&sql)?;
    let rows =
        rows.iter().map(|row| vec![row[0].clone(), Some(role_attributes(row)), row[8].clone()]).collect();
    let table = list("List of roles", &["Role name", "Attributes", "Member of"], rows);
    session.print_table(&Table { footer: Footer::Lines(Vec::new()), ..table });
    Some(())
}

fn role_attributes(role: &[Option<String>]) -> String {
    let attributes = [
        (is_true(&role[1]), "Superuser"),
        (!is_true(&role[2]), "No inheritance"),
        (is_true(&role[3]), "Create role"),
        (is_true(&role[4]), "Create DB"),
        (!is_true(&role[5]), "Cannot login"),
        (is_true(&role[9]), "Replication"),
        (is_true(&role[10]), "Bypass RLS"),
    ];
    let named: Vec<&str> = attributes.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect();
    let mut lines = vec![named.join(", ")];
    match text(&role[6]) {
        "-1" | "" => {}
        "0" => lines.push("No connections".to_string()),
        "1" => lines.push("1 connection".to_string()),
        limit => lines.push(format!("{limit} connections")),
    }
    if let Some(until) = &role[7] {
        lines.push(format!("Password valid until {until}"));
    }
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}
