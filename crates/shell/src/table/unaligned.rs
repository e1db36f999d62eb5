//! Values separated by `|`, for programs that read them.

use super::{Footer, Style, Table, shown};

const SEPARATOR: &str = "|";

pub fn text(table: &Table, style: &Style) -> String {
    let mut lines: Vec<String> = Vec::new();
    if !style.tuples_only {
        lines.extend(table.title.clone());
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        lines.push(names.join(SEPARATOR));
    }
    for row in &table.rows {
        let values: Vec<&str> = row.iter().map(|value| shown(value, style)).collect();
        lines.push(values.join(SEPARATOR));
    }
    if !style.tuples_only {
        lines.extend(table.footer_lines().into_iter().map(|line| line.into_owned()));
    }
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// A line per value, a blank line between records.
pub fn expanded_text(table: &Table, style: &Style) -> String {
    let mut blocks: Vec<String> = Vec::new();
    if !style.tuples_only {
        blocks.extend(table.title.as_ref().map(|title| format!("{title}\n")));
    }
    for row in &table.rows {
        let pairs = table.columns.iter().zip(row);
        blocks.push(
            pairs
                .map(|(column, value)| format!("{}{SEPARATOR}{}\n", column.name, shown(value, style)))
                .collect(),
        );
    }
    if let (Footer::Lines(lines), false) = (&table.footer, style.tuples_only) {
        blocks.push(lines.iter().map(|line| format!("{line}\n")).collect());
    }
    blocks.join("\n")
}
