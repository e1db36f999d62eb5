//! Results as text, to the blank as psql prints them (border 1, ASCII).

mod aligned;
mod cell;
mod expanded;
mod unaligned;

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    Left,
    Right,
}

impl Alignment {
    /// Numbers stand right: int2, int4, int8, float4, float8, numeric, oid, xid, xid8, cid, money.
    pub fn of_type(oid: u32) -> Alignment {
        match oid {
            20 | 21 | 23 | 26 | 28 | 29 | 700 | 701 | 790 | 1700 | 5069 => Alignment::Right,
            _ => Alignment::Left,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub alignment: Alignment,
}

impl Column {
    pub fn left(name: impl Into<String>) -> Column {
        Column { name: name.into(), alignment: Alignment::Left }
    }
}

/// What stands below the rows.
#[derive(Clone, Debug)]
pub enum Footer {
    /// `(N rows)`.
    RowCount,
    Lines(Vec<String>),
}

/// A result, ready to be printed. Every row has a value per column; `None` is NULL.
#[derive(Clone, Debug)]
pub struct Table {
    pub title: Option<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<String>>>,
    pub footer: Footer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expanded {
    Off,
    On,
    /// When the table is wider than the terminal.
    Auto,
}

#[derive(Clone, Debug)]
pub struct Style {
    pub expanded: Expanded,
    pub unaligned: bool,
    pub tuples_only: bool,
    /// What stands for NULL.
    pub null: String,
    /// The terminal's width, if there is a terminal.
    pub terminal_columns: Option<usize>,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            expanded: Expanded::Off,
            unaligned: false,
            tuples_only: false,
            null: String::new(),
            terminal_columns: None,
        }
    }
}

impl Table {
    /// The whole table, with its last line break.
    pub fn text(&self, style: &Style) -> String {
        match (style.unaligned, style.expanded) {
            (true, Expanded::On) => unaligned::expanded_text(self, style),
            (true, _) => unaligned::text(self, style),
            (false, Expanded::On) => expanded::text(self, style),
            (false, Expanded::Off) => aligned::text(self, style),
            (false, Expanded::Auto) => {
                let text = aligned::text(self, style);
                let wide = style
                    .terminal_columns
                    .is_some_and(|columns| text.lines().any(|l| cell::width(l) > columns));
                if wide { expanded::text(self, style) } else { text }
            }
        }
    }

    fn footer_lines(&self) -> Vec<Cow<'_, str>> {
        match &self.footer {
            Footer::RowCount if self.rows.len() == 1 => vec![Cow::Borrowed("(1 row)")],
            Footer::RowCount => vec![Cow::Owned(format!("({} rows)", self.rows.len()))],
            Footer::Lines(lines) => lines.iter().map(|line| Cow::Borrowed(line.as_str())).collect(),
        }
    }
}

fn shown<'a>(value: &'a Option<String>, style: &'a Style) -> &'a str {
    value.as_deref().unwrap_or(&style.null)
}
