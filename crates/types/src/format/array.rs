//! Arrays as text: `{1,2,NULL,"a b"}`, nested for more dimensions, with `[2:3]=` in front when bounds do not begin at 1.

use super::integer::is_space;
use super::{FormatContext, parse_text, write_cell};
use crate::cell::Cell;
use crate::data_type::DataType;
use crate::datum::{ArrayValue, Datum};
use crate::error::{PgError, PgResult, SqlState};

/// Dimensions at most (PostgreSQL's MAXDIM).
pub const ARRAY_DIMENSIONS_MAX: usize = 6;
/// Elements at most (PostgreSQL's MaxArraySize).
pub const ARRAY_ELEMENTS_MAX: usize = (1 << 30) / 8 - 1;

pub(super) fn write_array(
    array: &ArrayValue,
    element_type: DataType,
    typmod: i32,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    if array.elements.is_empty() {
        return out.extend_from_slice(b"{}");
    }
    if array.dimensions.iter().any(|(_, lower_bound)| *lower_bound != 1) {
        for (length, lower_bound) in &array.dimensions {
            out.push(b'[');
            super::write_integer(i64::from(*lower_bound), out);
            out.push(b':');
            super::write_integer(i64::from(*lower_bound) + i64::from(*length) - 1, out);
            out.push(b']');
        }
        out.push(b'=');
    }
    // Braces open and close where the running index is a multiple of a dimension's size.
    let mut sizes: Vec<usize> = Vec::with_capacity(array.dimensions.len());
    let mut size = 1;
    for (length, _) in array.dimensions.iter().rev() {
        size *= *length as usize;
        sizes.push(size);
    }
    for (position, element) in array.elements.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        for _ in sizes.iter().filter(|size| position % **size == 0) {
            out.push(b'{');
        }
        match Cell::of_datum(element) {
            Cell::Null => out.extend_from_slice(b"NULL"),
            cell => write_quoted(out, |out| write_cell(cell, element_type, typmod, context, out)),
        }
        for _ in sizes.iter().filter(|size| (position + 1) % **size == 0) {
            out.push(b'}');
        }
    }
}

/// Appends an element, in quotes when it could be taken for something else.
fn write_quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    write(out);
    let text = &out[start..];
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') || is_space(*byte);
    if !text.is_empty() && !text.iter().any(special) && !text.eq_ignore_ascii_case(b"null") {
        return;
    }
    quote_in_place(out, start, |byte| matches!(byte, b'"' | b'\\'), |_| b'\\');
}

/// Puts quotes around `out[start..]`, and in front of every byte that needs one its escape. From the end, within the buffer.
pub(super) fn quote_in_place(
    out: &mut Vec<u8>,
    start: usize,
    needs_escape: impl Fn(u8) -> bool,
    escape: impl Fn(u8) -> u8,
) {
    let end = out.len();
    let escapes = out[start..].iter().filter(|byte| needs_escape(**byte)).count();
    out.resize(end + escapes + 2, b'"');
    let mut to = out.len() - 1;
    for from in (start..end).rev() {
        let byte = out[from];
        to -= 1;
        out[to] = byte;
        if needs_escape(byte) {
            to -= 1;
            out[to] = escape(byte);
        }
    }
    out[start] = b'"';
}

/// Cuts an array's text into the texts of its elements: the shape is checked before any of them is read.
struct Parser<'a> {
    text: &'a str,
    position: usize,
    /// Where the braces begin: what errors quote.
    braces_at: usize,
    /// Lengths per dimension; -1 where not yet known.
    lengths: Vec<i64>,
    /// `None` is NULL.
    elements: Vec<Option<String>>,
}

fn malformed(text: &str, detail: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{text}\""))
        .detail(detail)
}

fn too_many_dimensions(count: usize) -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({ARRAY_DIMENSIONS_MAX})"),
    )
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.position += 1;
        }
    }

    fn malformed(&self, detail: impl Into<String>) -> PgError {
        malformed(&self.text[self.braces_at..], detail)
    }

    fn unexpected(&self, byte: Option<u8>) -> PgError {
        match byte {
            Some(byte) => self.malformed(format!("Unexpected \"{}\" character.", byte as char)),
            None => self.malformed("Unexpected end of input."),
        }
    }

    /// An integer of a bound; `None` when there is none.
    fn bound(&mut self) -> PgResult<Option<i32>> {
        let start = self.position;
        if matches!(self.peek(), Some(b'-' | b'+')) {
            self.position += 1;
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.position += 1;
        }
        let number = &self.text[start..self.position];
        if number.is_empty() {
            return Ok(None);
        }
        number.parse().map(Some).map_err(|_| {
            PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array bound is out of integer range")
        })
    }

    /// `[1:2][0:1]=`: length and lower bound of each dimension.
    fn dimensions(&mut self) -> PgResult<Vec<(i32, i32)>> {
        let mut dimensions = Vec::new();
        loop {
            self.skip_spaces();
            if self.peek() != Some(b'[') {
                return Ok(dimensions);
            }
            self.position += 1;
            if dimensions.len() == ARRAY_DIMENSIONS_MAX {
                return Err(too_many_dimensions(dimensions.len() + 1));
            }
            let introduce = "\"[\" must introduce explicitly-specified array dimensions.";
            let first = self.bound()?.ok_or_else(|| self.malformed(introduce))?;
            let (lower, upper) = if self.peek() == Some(b':') {
                self.position += 1;
                (first, self.bound()?.ok_or_else(|| self.malformed("Missing array dimension value."))?)
            } else {
                (1, first)
            };
            if self.peek() != Some(b']') {
                return Err(self.malformed("Missing \"]\" after array dimensions."));
            }
            self.position += 1;
            let length = i64::from(upper) - i64::from(lower) + 1;
            if length < 1 {
                return Err(PgError::new(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "upper bound cannot be less than lower bound",
                ));
            }
            let length = i32::try_from(length).map_err(|_| too_large())?;
            dimensions.push((length, lower));
        }
    }

    /// A braced list at a depth (from 0).
    fn list(&mut self, depth: usize) -> PgResult<()> {
        self.position += 1;
        if depth == ARRAY_DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth + 1));
        }
        let mut count = 0;
        loop {
            self.skip_spaces();
            let is_list = match self.peek() {
                None => return Err(self.unexpected(None)),
                Some(b'}') if count == 0 && depth == 0 => {
                    self.position += 1;
                    return Ok(());
                }
                Some(byte @ (b'}' | b',')) => return Err(self.unexpected(Some(byte))),
                Some(byte) => byte == b'{',
            };
            self.check_kind(depth, is_list)?;
            if is_list {
                self.list(depth + 1)?;
            } else {
                self.element()?;
            }
            count += 1;
            self.skip_spaces();
            let next = self.peek();
            self.position += 1;
            match next {
                Some(b',') => {}
                Some(b'}') => return self.check_length(depth, count),
                Some(byte @ (b'{' | b'\\')) => return Err(self.unexpected(Some(byte))),
                Some(_) => return Err(self.malformed("Unexpected array element.")),
                None => return Err(self.unexpected(None)),
            }
        }
    }

    /// Lists stand at every depth but the last, elements there alone.
    fn check_kind(&mut self, depth: usize, is_list: bool) -> PgResult<()> {
        let deepest = self.lengths.len().saturating_sub(1);
        if self.lengths.len() <= depth {
            // The first path down decides how deep elements are.
            self.lengths.push(-1);
            return Ok(());
        }
        let elements_here = depth == deepest && !self.elements.is_empty();
        if elements_here && is_list {
            return Err(self.unexpected(Some(b'{')));
        }
        if depth < deepest && !is_list {
            return Err(self.malformed("Unexpected array element."));
        }
        Ok(())
    }

    fn check_length(&mut self, depth: usize, count: i64) -> PgResult<()> {
        if self.lengths[depth] == -1 {
            self.lengths[depth] = count;
        } else if self.lengths[depth] != count {
            return Err(
                self.malformed("Multidimensional arrays must have sub-arrays with matching dimensions.")
            );
        }
        Ok(())
    }

    fn element(&mut self) -> PgResult<()> {
        let mut raw: Vec<u8> = Vec::new();
        let (mut quoted, mut escaped) = (false, false);
        // Blanks at the end of what is not quoted do not count.
        let mut significant = 0;
        if self.peek() == Some(b'"') {
            quoted = true;
            self.position += 1;
        }
        loop {
            let byte = self.peek().ok_or_else(|| self.unexpected(None))?;
            match byte {
                b'\\' => {
                    self.position += 1;
                    raw.push(self.peek().ok_or_else(|| self.unexpected(None))?);
                    escaped = true;
                    significant = raw.len();
                }
                b'"' if quoted => {
                    self.position += 1;
                    break;
                }
                b'"' => return Err(self.malformed("Unexpected array element.")),
                b',' | b'{' | b'}' if !quoted => break,
                byte => {
                    raw.push(byte);
                    if quoted || !is_space(byte) {
                        significant = raw.len();
                    }
                }
            }
            self.position += 1;
        }
        if !quoted {
            raw.truncate(significant);
        }
        // Cut only at ASCII bytes.
        let text = String::from_utf8(raw).map_err(|_| self.malformed("Unexpected array element."))?;
        let is_null = !quoted && !escaped && text.eq_ignore_ascii_case("null");
        if self.elements.len() == ARRAY_ELEMENTS_MAX {
            return Err(too_large());
        }
        self.elements.push((!is_null).then_some(text));
        Ok(())
    }
}

fn too_large() -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({ARRAY_ELEMENTS_MAX})"),
    )
}

/// array_in.
pub(super) fn parse_array(
    element_type: DataType,
    typmod: i32,
    text: &str,
    context: &FormatContext,
) -> PgResult<ArrayValue> {
    let mut parser = Parser { text, position: 0, braces_at: 0, lengths: Vec::new(), elements: Vec::new() };
    let given = parser.dimensions()?;
    if given.is_empty() {
        if parser.peek() != Some(b'{') {
            return Err(malformed(text, "Array value must start with \"{\" or dimension information."));
        }
    } else {
        if parser.peek() != Some(b'=') {
            return Err(malformed(text, "Missing \"=\" after array dimensions."));
        }
        parser.position += 1;
        parser.skip_spaces();
        if parser.peek() != Some(b'{') {
            return Err(malformed(text, "Array contents must start with \"{\"."));
        }
    }
    parser.braces_at = parser.position;
    parser.list(0)?;
    parser.skip_spaces();
    if parser.peek().is_some() {
        return Err(parser.malformed("Junk after closing right brace."));
    }
    let found: &[i64] = if parser.elements.is_empty() { &[] } else { &parser.lengths };
    let dimensions: Vec<(i32, i32)> = if given.is_empty() {
        found.iter().map(|length| (*length as i32, 1)).collect()
    } else {
        let lengths = given.iter().map(|(length, _)| i64::from(*length));
        if !lengths.eq(found.iter().copied()) {
            return Err(malformed(text, "Specified array dimensions do not match array contents."));
        }
        given
    };
    let elements = parser
        .elements
        .iter()
        .map(|element| match element {
            Some(text) => parse_text(element_type, typmod, text, context),
            None => Ok(Datum::Null),
        })
        .collect::<PgResult<Vec<Datum>>>()?;
    Ok(ArrayValue { element_oid: element_type.oid(), dimensions, elements })
}
