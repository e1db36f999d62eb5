//! Rows as COPY's text and CSV lines.

use std::sync::Arc;

use expr::SessionInfo;
use planner::plan::OutputColumn;
use types::format::write_text;
use types::{Batch, ColumnType};

use super::options::{CopyOptions, Forced};
use crate::session::output::Names;

/// Writes rows of given types.
pub struct RowText {
    options: CopyOptions,
    types: Vec<ColumnType>,
    /// Which columns FORCE_QUOTE names.
    forced: Vec<bool>,
    info: Arc<SessionInfo>,
    names: Option<Names>,
}

impl RowText {
    /// `names`: for columns whose text is a name, if there are any.
    pub fn new(
        options: CopyOptions,
        columns: &[OutputColumn],
        info: Arc<SessionInfo>,
        names: Option<Names>,
    ) -> Self {
        let types = columns.iter().map(|column| column.column_type).collect();
        let is_forced = |column: &OutputColumn| match &options.force_quote {
            None => false,
            Some(Forced::All) => true,
            Some(Forced::Columns(names)) => names.iter().any(|name| **name == *column.name),
        };
        let forced = columns.iter().map(is_forced).collect();
        RowText { options, types, forced, info, names }
    }

    /// The header line.
    pub fn header<'a>(&self, names: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
        for (position, name) in names.enumerate() {
            if position > 0 {
                out.push(self.options.delimiter);
            }
            self.field(name.as_bytes(), false, out);
        }
        out.push(b'\n');
    }

    pub fn row(&self, batch: &Batch, row: usize, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        for (position, vector) in batch.columns.iter().enumerate() {
            if position > 0 {
                out.push(self.options.delimiter);
            }
            if vector.is_null(row) {
                out.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            value.clear();
            let column_type = self.types[position];
            match self.names.as_ref().and_then(|names| names.text(column_type, vector, row)) {
                Some(name) => value.extend_from_slice(name.as_bytes()),
                None => write_text(vector, column_type.typmod, row, &self.info.format, &mut value),
            }
            self.field(&value, self.forced[position], out);
        }
        out.push(b'\n');
    }

    fn field(&self, value: &[u8], forced: bool, out: &mut Vec<u8>) {
        if self.options.csv { self.csv_field(value, forced, out) } else { self.text_field(value, out) }
    }

    /// Control characters, backslash and the delimiter are written as backslash sequences.
    fn text_field(&self, value: &[u8], out: &mut Vec<u8>) {
        for byte in value {
            let escaped = match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                b'\\' => b'\\',
                byte if *byte == self.options.delimiter => *byte,
                byte => {
                    out.push(*byte);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', escaped]);
        }
    }

    fn csv_field(&self, value: &[u8], forced: bool, out: &mut Vec<u8>) {
        let options = &self.options;
        let special =
            |byte: &u8| *byte == options.delimiter || *byte == options.quote || matches!(byte, b'\n' | b'\r');
        let needs_quotes =
            forced || value == options.null.as_bytes() || value == b"\\." || value.iter().any(special);
        if !needs_quotes {
            out.extend_from_slice(value);
            return;
        }
        out.push(options.quote);
        for byte in value {
            if *byte == options.quote || *byte == options.escape {
                out.push(options.escape);
            }
            out.push(*byte);
        }
        out.push(options.quote);
    }
}
