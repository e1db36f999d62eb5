//! Columns side by side.

use super::cell::{Line, lines};
use super::{Alignment, Style, Table, shown};

pub fn text(table: &Table, style: &Style) -> String {
    let layout = Layout::new(table, style);
    let mut text = String::new();
    if !style.tuples_only {
        if let Some(title) = &table.title {
            layout.push_title(&mut text, title);
        }
        layout.push_header(&mut text);
        layout.push_rule(&mut text);
    }
    for row in &layout.rows {
        layout.push_row(&mut text, row);
    }
    if !style.tuples_only {
        for line in table.footer_lines() {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text.push('\n');
    text
}

type Cell = Vec<Line>;

/// Cells cut into lines, and the width of each column.
struct Layout {
    headers: Vec<Cell>,
    rows: Vec<Vec<Cell>>,
    alignments: Vec<Alignment>,
    widths: Vec<usize>,
}

fn push_blanks(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

impl Layout {
    fn new(table: &Table, style: &Style) -> Layout {
        let headers: Vec<Cell> = table.columns.iter().map(|column| lines(&column.name)).collect();
        let rows: Vec<Vec<Cell>> = table
            .rows
            .iter()
            .map(|row| row.iter().map(|value| lines(shown(value, style))).collect())
            .collect();
        let widest = |cell: &Cell| cell.iter().map(|line| line.width).max().unwrap_or(0);
        let widths = (0..headers.len())
            .map(|column| {
                let cells = rows.iter().map(|row| &row[column]).chain(std::iter::once(&headers[column]));
                cells.map(widest).max().unwrap_or(0)
            })
            .collect();
        Layout {
            headers,
            rows,
            alignments: table.columns.iter().map(|column| column.alignment).collect(),
            widths,
        }
    }

    fn push_title(&self, text: &mut String, title: &str) {
        let total = (self.widths.iter().sum::<usize>() + 3 * self.widths.len()).saturating_sub(1);
        push_blanks(text, total.saturating_sub(super::cell::width(title)) / 2);
        text.push_str(title);
        text.push('\n');
    }

    fn push_header(&self, text: &mut String) {
        let height = self.headers.iter().map(Vec::len).max().unwrap_or(0);
        for line_index in 0..height {
            for (column, header) in self.headers.iter().enumerate() {
                if column > 0 {
                    text.push('|');
                }
                text.push(' ');
                match header.get(line_index) {
                    Some(line) => {
                        let blanks = self.widths[column] - line.width;
                        push_blanks(text, blanks / 2);
                        text.push_str(&line.text);
                        push_blanks(text, blanks.div_ceil(2));
                    }
                    None => push_blanks(text, self.widths[column]),
                }
                text.push(if line_index + 1 < header.len() { '+' } else { ' ' });
            }
            text.push('\n');
        }
    }

    fn push_rule(&self, text: &mut String) {
        let dashes: Vec<String> = self.widths.iter().map(|width| "-".repeat(*width)).collect();
        text.push('-');
        text.push_str(&dashes.join("-+-"));
        text.push_str("-\n");
    }

    /// A row is as high as its highest cell; `+` at a line's end says that the cell goes on.
    fn push_row(&self, text: &mut String, row: &[Cell]) {
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        for line_index in 0..height {
            for (column, cell) in row.iter().enumerate() {
                let is_last = column + 1 == row.len();
                let goes_on = line_index + 1 < cell.len();
                if column > 0 {
                    text.push('|');
                }
                text.push(' ');
                let width = self.widths[column];
                match cell.get(line_index) {
                    Some(line) if self.alignments[column] == Alignment::Right => {
                        push_blanks(text, width - line.width);
                        text.push_str(&line.text);
                    }
                    Some(line) => {
                        text.push_str(&line.text);
                        if !is_last || goes_on {
                            push_blanks(text, width - line.width);
                        }
                    }
                    None if !is_last => push_blanks(text, width),
                    None => {}
                }
                if goes_on {
                    text.push('+');
                } else if !is_last {
                    text.push(' ');
                }
            }
            text.push('\n');
        }
    }
}
