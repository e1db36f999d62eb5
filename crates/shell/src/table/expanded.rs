//! A record per block, a line per column.

use super::cell::{Line, lines};
use super::{Style, Table, shown};

pub fn text(table: &Table, style: &Style) -> String {
    let mut text = String::new();
    if table.rows.is_empty() || table.columns.is_empty() {
        if !style.tuples_only {
            for line in table.footer_lines() {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text.push('\n');
        return text;
    }
    let names: Vec<Vec<Line>> = table.columns.iter().map(|column| lines(&column.name)).collect();
    let rows: Vec<Vec<Vec<Line>>> =
        table.rows.iter().map(|row| row.iter().map(|value| lines(shown(value, style))).collect()).collect();
    let widest = |cells: &mut dyn Iterator<Item = &Vec<Line>>| {
        cells.flatten().map(|line| line.width).max().unwrap_or(0)
    };
    let widths = Widths { name: widest(&mut names.iter()), value: widest(&mut rows.iter().flatten()) };
    if !style.tuples_only
        && let Some(title) = &table.title
    {
        text.push_str(title);
        text.push('\n');
    }
    for (index, row) in rows.iter().enumerate() {
        if !style.tuples_only {
            widths.push_head(&mut text, &format!("-[ RECORD {} ]", index + 1));
        } else if index > 0 {
            widths.push_head(&mut text, "-");
        }
        for (name, cell) in names.iter().zip(row) {
            widths.push_entry(&mut text, name, cell);
        }
    }
    if let (super::Footer::Lines(footer), false) = (&table.footer, style.tuples_only) {
        for line in footer {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

struct Widths {
    name: usize,
    value: usize,
}

impl Widths {
    /// The line above a record: its number, then dashes as far as the block is wide, with a `+` above the `|`.
    fn push_head(&self, text: &mut String, label: &str) {
        let bar = self.name + 1;
        let end = bar + 2 + self.value;
        text.push_str(label);
        for position in label.len()..end {
            text.push(if position == bar { '+' } else { '-' });
        }
        text.push('\n');
    }

    fn push_entry(&self, text: &mut String, name: &[Line], cell: &[Line]) {
        for index in 0..name.len().max(cell.len()) {
            let blank = Line { text: String::new(), width: 0 };
            let name_line = name.get(index).unwrap_or(&blank);
            text.push_str(&name_line.text);
            text.extend(std::iter::repeat_n(' ', self.name - name_line.width));
            text.push(if index + 1 < name.len() { '+' } else { ' ' });
            text.push('|');
            if let Some(line) = cell.get(index) {
                text.push(' ');
                text.push_str(&line.text);
                if index + 1 < cell.len() {
                    text.extend(std::iter::repeat_n(' ', self.value - line.width));
                    text.push('+');
                }
            }
            text.push('\n');
        }
    }
}
