//! COPY's text and CSV lines as rows.
//!
//! Input comes in pieces cut anywhere. Lines are cut first (in CSV a line ends at a newline outside quotes), then
//! fields, then values; what is left of an unfinished line waits for the next piece. Errors carry PostgreSQL's context: `COPY t, line
//! 3, column b: "x"`.

use std::sync::Arc;

use expr::{CatalogLookup, SessionInfo, parse_text};
use memchr::{memchr, memchr2};
use types::{Batch, ColumnType, PgError, PgResult, SqlState};

use super::batches::Batches;
use super::options::CopyOptions;

/// Longest line, in bytes (PostgreSQL: 1 GB; bounded here by memory).
const LINE_BYTES_MAX: usize = 256 << 20;
/// Longest value shown in an error's context.
const CONTEXT_VALUE_MAX: usize = 100;

/// The field being read: its text in `text`, and whether it was quoted (a quoted field is never NULL, unless
/// FORCE_NULL says so).
#[derive(Default)]
struct Field {
    text: Vec<u8>,
    quoted: bool,
    null: bool,
}

/// Reads rows of given columns.
pub struct RowReader {
    options: CopyOptions,
    table: String,
    names: Vec<String>,
    force_not_null: Vec<bool>,
    force_null: Vec<bool>,
    info: Arc<SessionInfo>,
    /// For types whose text is a name.
    catalog: Arc<dyn CatalogLookup + Send + Sync>,
    pending: Vec<u8>,
    /// How much of `pending` has been looked at, and whether that ended inside quotes (CSV).
    scanned: usize,
    in_quotes: bool,
    line: u64,
    header_seen: bool,
    /// `\.` was met: the rest of the input is ignored.
    ended: bool,
    batches: Batches,
    field: Field,
}

impl RowReader {
    pub fn new(
        options: CopyOptions,
        table: String,
        names: Vec<String>,
        types: Vec<ColumnType>,
        info: Arc<SessionInfo>,
        catalog: Arc<dyn CatalogLookup + Send + Sync>,
    ) -> Self {
        let mark = |list: &[String]| names.iter().map(|name| list.contains(name)).collect();
        let (force_not_null, force_null) = (mark(&options.force_not_null), mark(&options.force_null));
        RowReader {
            options,
            table,
            names,
            force_not_null,
            force_null,
            info,
            catalog,
            pending: Vec::new(),
            scanned: 0,
            in_quotes: false,
            line: 0,
            header_seen: false,
            ended: false,
            batches: Batches::new(types),
            field: Field::default(),
        }
    }

    /// Takes a piece of input.
    pub fn feed(&mut self, data: &[u8]) -> PgResult<()> {
        if self.ended {
            return Ok(());
        }
        self.pending.extend_from_slice(data);
        let mut start = 0;
        while let Some(end) = self.next_line_end() {
            let line = std::mem::take(&mut self.pending);
            let result = self.read_line(trim_carriage_return(&line[start..end]));
            self.pending = line;
            result?;
            start = end + 1;
            if self.ended {
                self.pending.clear();
                self.scanned = 0;
                return Ok(());
            }
        }
        self.pending.drain(..start);
        self.scanned -= start;
        if self.pending.len() > LINE_BYTES_MAX {
            return Err(PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("line {} of COPY is longer than {LINE_BYTES_MAX} bytes", self.line + 1),
            ));
        }
        Ok(())
    }

    /// The end of the input: a last line may lack its newline.
    pub fn finish(&mut self) -> PgResult<()> {
        if self.ended || self.pending.is_empty() {
            return Ok(());
        }
        if self.in_quotes {
            self.line += 1;
            return Err(
                self.at_line(PgError::new(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field"))
            );
        }
        let line = std::mem::take(&mut self.pending);
        self.scanned = 0;
        self.read_line(trim_carriage_return(&line))
    }

    /// A full batch, or what there is if `last`.
    pub fn take_batch(&mut self, last: bool) -> Option<Batch> {
        self.batches.take(last)
    }

    /// Where the next complete line ends (its newline), looking on from `scanned`.
    fn next_line_end(&mut self) -> Option<usize> {
        if !self.options.csv {
            // A newline after a backslash is data.
            while let Some(found) = memchr(b'\n', &self.pending[self.scanned..]) {
                let at = self.scanned + found;
                self.scanned = at + 1;
                let backslashes = self.pending[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                if backslashes % 2 == 0 {
                    return Some(at);
                }
            }
            self.scanned = self.pending.len();
            return None;
        }
        let (quote, escape) = (self.options.quote, self.options.escape);
        while self.scanned < self.pending.len() {
            let byte = self.pending[self.scanned];
            if self.in_quotes && byte == escape && escape != quote {
                // The escaped character is data, whichever it is; it may be in the next piece.
                if self.scanned + 1 == self.pending.len() {
                    return None;
                }
                self.scanned += 2;
                continue;
            }
            self.scanned += 1;
            if byte == quote {
                self.in_quotes = !self.in_quotes;
            } else if byte == b'\n' && !self.in_quotes {
                return Some(self.scanned - 1);
            }
        }
        None
    }

    fn read_line(&mut self, line: &[u8]) -> PgResult<()> {
        self.line += 1;
        if line == b"\\." {
            self.ended = true;
            return Ok(());
        }
        if self.options.header && !self.header_seen {
            self.header_seen = true;
            return if self.options.header_match { self.match_header(line) } else { Ok(()) };
        }
        let mut position = 0;
        let mut at = Some(0);
        if self.names.is_empty() && line.is_empty() {
            at = None;
        }
        while let Some(start) = at {
            at = self.read_field(line, start)?;
            if position >= self.names.len() {
                let error =
                    PgError::new(SqlState::BAD_COPY_FILE_FORMAT, "extra data after last expected column");
                return Err(self.at_whole_line(error, line));
            }
            self.store_field(position)?;
            position += 1;
        }
        if position < self.names.len() {
            let message = format!("missing data for column \"{}\"", self.names[position]);
            return Err(self.at_whole_line(PgError::new(SqlState::BAD_COPY_FILE_FORMAT, message), line));
        }
        self.batches.end_row();
        Ok(())
    }

    fn match_header(&mut self, line: &[u8]) -> PgResult<()> {
        let mut at = Some(0);
        let mut position = 0;
        while let Some(start) = at {
            at = self.read_field(line, start)?;
            let name = String::from_utf8_lossy(&self.field.text).into_owned();
            if self.names.get(position) != Some(&name) {
                let expected = self.names.get(position).cloned().unwrap_or_default();
                return Err(self.at_line(PgError::new(
                    SqlState::BAD_COPY_FILE_FORMAT,
                    format!("column name mismatch in header line field {}: got \"{name}\", expected \"{expected}\"", position + 1),
                )));
            }
            position += 1;
        }
        if position < self.names.len() {
            return Err(self.at_line(PgError::new(
                SqlState::BAD_COPY_FILE_FORMAT,
                format!(
                    "wrong number of fields in header line: got {position}, expected {}",
                    self.names.len()
                ),
            )));
        }
        Ok(())
    }

    /// Reads the field that begins at `start`; answers where the next one begins, `None` after the last.
    fn read_field(&mut self, line: &[u8], start: usize) -> PgResult<Option<usize>> {
        self.field.text.clear();
        self.field.quoted = false;
        let next = if self.options.csv {
            self.read_csv_field(line, start)?
        } else {
            self.read_text_field(line, start)
        };
        Ok(next)
    }

    fn read_text_field(&mut self, line: &[u8], start: usize) -> Option<usize> {
        let delimiter = self.options.delimiter;
        let rest = &line[start..];
        let end = memchr2(delimiter, b'\\', rest);
        match end {
            // The common case: nothing to unescape.
            None => self.field.text.extend_from_slice(rest),
            Some(end) if rest[end] == delimiter => self.field.text.extend_from_slice(&rest[..end]),
            Some(_) => return self.read_escaped_field(line, start),
        }
        self.field.null = self.field.text == self.options.null.as_bytes();
        end.map(|end| start + end + 1)
    }

    fn read_escaped_field(&mut self, line: &[u8], start: usize) -> Option<usize> {
        let mut at = start;
        let mut next = None;
        while at < line.len() {
            let byte = line[at];
            at += 1;
            if byte == self.options.delimiter {
                next = Some(at);
                break;
            }
            if byte != b'\\' || at == line.len() {
                self.field.text.push(byte);
                continue;
            }
            let escaped = line[at];
            at += 1;
            let value = match escaped {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                b'0'..=b'7' => take_number(line, &mut at, u32::from(escaped - b'0'), 8, 2),
                b'x' if line.get(at).is_some_and(u8::is_ascii_hexdigit) => {
                    take_number(line, &mut at, 0, 16, 2)
                }
                other => other,
            };
            self.field.text.push(value);
        }
        // NULL is recognised before unescaping: `\\N` is the text `\N`.
        let end = next.map_or(line.len(), |next| next - 1);
        self.field.null = &line[start..end] == self.options.null.as_bytes();
        next
    }

    fn read_csv_field(&mut self, line: &[u8], start: usize) -> PgResult<Option<usize>> {
        let (delimiter, quote, escape) = (self.options.delimiter, self.options.quote, self.options.escape);
        let mut at = start;
        let mut in_quotes = false;
        let mut next = None;
        while at < line.len() {
            let byte = line[at];
            at += 1;
            if !in_quotes {
                if byte == delimiter {
                    next = Some(at);
                    break;
                }
                if byte == quote {
                    in_quotes = true;
                    self.field.quoted = true;
                    continue;
                }
                self.field.text.push(byte);
                continue;
            }
            let following = line.get(at).copied();
            if byte == escape && following.is_some_and(|following| following == quote || following == escape)
            {
                self.field.text.push(following.expect("just looked at"));
                at += 1;
            } else if byte == quote {
                in_quotes = false;
            } else {
                self.field.text.push(byte);
            }
        }
        if in_quotes {
            return Err(
                self.at_line(PgError::new(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field"))
            );
        }
        self.field.null = self.field.text == self.options.null.as_bytes();
        Ok(next)
    }

    fn store_field(&mut self, position: usize) -> PgResult<()> {
        let null = self.field.null
            && if self.field.quoted { self.force_null[position] } else { !self.force_not_null[position] };
        if null {
            self.batches.push_null(position);
            return Ok(());
        }
        let column_type = self.batches.column_type(position);
        let parsed = match std::str::from_utf8(&self.field.text) {
            Ok(text) if text.contains('\0') => Err(bad_encoding("0x00")),
            Ok(text) => {
                let ColumnType { data_type, typmod } = column_type;
                parse_text(data_type, typmod, text, &self.info.format, &*self.catalog)
            }
            Err(error) => {
                let byte = self.field.text[error.valid_up_to()];
                Err(bad_encoding(&format!("0x{byte:02x}")))
            }
        };
        match parsed {
            Ok(datum) => {
                self.batches.push(position, &datum);
                Ok(())
            }
            Err(error) => {
                let shown: String =
                    String::from_utf8_lossy(&self.field.text).chars().take(CONTEXT_VALUE_MAX).collect();
                let context = format!(
                    "COPY {}, line {}, column {}: \"{shown}\"",
                    self.table, self.line, self.names[position]
                );
                Err(error.context(context))
            }
        }
    }

    fn at_line(&self, error: PgError) -> PgError {
        error.context(format!("COPY {}, line {}", self.table, self.line))
    }

    fn at_whole_line(&self, error: PgError, line: &[u8]) -> PgError {
        let shown: String = String::from_utf8_lossy(line).chars().take(CONTEXT_VALUE_MAX).collect();
        error.context(format!("COPY {}, line {}: \"{shown}\"", self.table, self.line))
    }
}

fn bad_encoding(bytes: &str) -> PgError {
    PgError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {bytes}"),
    )
}

fn trim_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Up to `digits` further digits of a number in the given base, as a byte.
fn take_number(line: &[u8], at: &mut usize, mut value: u32, base: u32, digits: usize) -> u8 {
    for _ in 0..digits {
        let Some(digit) = line.get(*at).and_then(|byte| char::from(*byte).to_digit(base)) else { break };
        value = value * base + digit;
        *at += 1;
    }
    value as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::{DataType, Datum};

    fn options(csv: bool) -> CopyOptions {
        CopyOptions {
            csv,
            binary: false,
            freeze: false,
            delimiter: if csv { b',' } else { b'\t' },
            null: if csv { String::new() } else { "\\N".into() },
            header: false,
            header_match: false,
            quote: b'"',
            escape: b'"',
            force_quote: None,
            force_not_null: Vec::new(),
            force_null: Vec::new(),
        }
    }

    /// Reads the input whole, and again cut at every place: both must agree.
    fn read(options: &CopyOptions, input: &str) -> PgResult<Vec<Vec<Datum>>> {
        let once = |pieces: &[&[u8]]| {
            let types = vec![ColumnType::from(DataType::Text), ColumnType::from(DataType::Text)];
            let names = vec!["a".to_string(), "b".to_string()];
            let mut reader = RowReader::new(
                options.clone(),
                "t".into(),
                names,
                types,
                Arc::default(),
                Arc::new(OneRelation),
            );
            for piece in pieces {
                reader.feed(piece)?;
            }
            reader.finish()?;
            let batch = reader.take_batch(true).unwrap_or_default();
            Ok((0..batch.rows).map(|row| batch.row(row)).collect::<Vec<_>>())
        };
        let whole: PgResult<_> = once(&[input.as_bytes()]);
        for cut in 0..=input.len() {
            let (first, second) = input.as_bytes().split_at(cut);
            assert_eq!(once(&[first, second]), whole, "cut at {cut}");
        }
        whole
    }

    fn text(value: &str) -> Datum {
        Datum::text(value)
    }

    /// A catalog with the relation `t`, whose oid is 7.
    struct OneRelation;

    impl CatalogLookup for OneRelation {
        fn call(&self, name: &str, arguments: &[Datum]) -> PgResult<Datum> {
            match (name, arguments) {
                ("regclassin", [Datum::Text(text)]) if &**text == "t" => Ok(Datum::Oid(7)),
                _ => Err(PgError::new(SqlState::UNDEFINED_TABLE, "there is no such relation")),
            }
        }
    }

    #[test]
    fn names_are_looked_up_in_the_catalog() {
        let types = vec![DataType::Regclass.into(), DataType::array_of(DataType::Regclass).into()];
        let names = vec!["a".to_string(), "b".to_string()];
        let mut reader =
            RowReader::new(options(false), "t".into(), names, types, Arc::default(), Arc::new(OneRelation));
        reader.feed(b"t\t{t,NULL,t}\n").expect("reads");
        let row = reader.take_batch(true).expect("a batch").row(0);
        assert_eq!(row[0], Datum::Oid(7));
        let Datum::Array(array) = &row[1] else { panic!("not an array: {:?}", row[1]) };
        assert_eq!(array.elements, [Datum::Oid(7), Datum::Null, Datum::Oid(7)]);
        assert_eq!(array.element_oid, DataType::Regclass.oid());
        let error = reader.feed(b"u\t{}\n").expect_err("there is no u");
        assert_eq!(error.code(), SqlState::UNDEFINED_TABLE);
    }

    #[test]
    fn text_lines_with_escapes_and_nulls() {
        let rows = read(&options(false), "1\tx\\ty\n\\N\t\\\\N\n\\x41\\102\t\\\n!\n").expect("reads");
        let expected =
            [vec![text("1"), text("x\ty")], vec![Datum::Null, text("\\N")], vec![text("AB"), text("\n!")]];
        assert_eq!(rows, expected);
    }

    #[test]
    fn csv_with_quotes_newlines_and_nulls() {
        let rows = read(&options(true), "1,\"a\"\"b\nc\"\r\n,\"\"\nx,y").expect("reads");
        let expected =
            [vec![text("1"), text("a\"b\nc")], vec![Datum::Null, text("")], vec![text("x"), text("y")]];
        assert_eq!(rows, expected);
    }

    #[test]
    fn the_end_mark_ends_the_input() {
        assert_eq!(read(&options(false), "1\t2\n\\.\ngarbage").expect("reads").len(), 1);
    }

    #[test]
    fn errors_name_the_line() {
        let error = read(&options(false), "1\t2\n3\n").expect_err("too short");
        assert_eq!(error.message(), "missing data for column \"b\"");
        assert_eq!(error.fields().context.as_deref(), Some("COPY t, line 2: \"3\""));
        let error = read(&options(false), "1\t2\t3\n").expect_err("too long");
        assert_eq!(error.message(), "extra data after last expected column");
        let error = read(&options(true), "1,\"2\n").expect_err("open quote");
        assert_eq!(error.message(), "unterminated CSV quoted field");
    }
}
