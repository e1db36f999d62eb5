//! Character strings. Positions and lengths count characters; case follows Unicode one character to one (C.UTF-8).

use super::conversion::split_chars;
use super::kernel::evaluators;
use super::keywords::needs_quotes;
use super::text::{append_text, row_of, text_at};
use crate::EvalContext;
use crate::bounds::{self, VALUE_BYTES_MAX as TEXT_BYTES_MAX, Watch};
use md5::{Digest, Md5};
use std::borrow::Cow;
use types::{DataType, Datum, PgError, PgResult, SqlState, Values, Vector};

fn too_long() -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

fn negative_substring() -> PgError {
    PgError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

fn char_count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn upper_char(c: char) -> char {
    match c {
        // Small letters with iota subscript, whose capitals in one character are title case.
        '\u{1f80}'..='\u{1faf}' => char::from_u32(c as u32 | 8).unwrap_or(c),
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(c as u32 + 9).unwrap_or(c),
        _ => one_to_one(c, c.to_uppercase()),
    }
}

fn lower_char(c: char) -> char {
    // In full its small letter is two characters: i and a dot.
    if c == '\u{130}' { 'i' } else { one_to_one(c, c.to_lowercase()) }
}

/// The mapped character when the mapping is to exactly one.
fn one_to_one(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => c,
    }
}

pub(crate) fn to_lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
}

pub(crate) fn to_upper(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(upper_char).collect() }
}

pub(crate) fn capitalized(text: &str) -> String {
    let mut in_word = false;
    text.chars()
        .map(|c| {
            let mapped = if in_word { lower_char(c) } else { upper_char(c) };
            in_word = c.is_alphanumeric();
            mapped
        })
        .collect()
}

/// SQL's substring: characters `start..start + length` counted from 1, whatever lies outside cut off.
pub(crate) fn substring(text: &str, start: i32, length: Option<i32>) -> PgResult<&str> {
    let start = i64::from(start);
    let from = start.max(1);
    let (_, tail) = split_chars(text, (from - 1) as usize);
    let Some(length) = length else { return Ok(tail) };
    if length < 0 {
        return Err(negative_substring());
    }
    let end = start + i64::from(length);
    if end <= from {
        return Ok("");
    }
    Ok(split_chars(tail, (end - from) as usize).0)
}

fn overlay(text: &str, with: &str, start: i32, length: i32) -> PgResult<String> {
    if start <= 0 {
        return Err(negative_substring());
    }
    let after = start.checked_add(length).ok_or_else(|| super::arithmetic::out_of_range("integer"))?;
    let head = substring(text, 1, Some(start - 1))?;
    let tail = substring(text, after, None)?;
    Ok([head, with, tail].concat())
}

/// The position of `needle` in characters from 1; 0 for none.
fn position(text: &str, needle: &str) -> i32 {
    text.find(needle).map_or(0, |at| char_count(&text[..at]) as i32 + 1)
}

fn trim_start<'a>(text: &'a str, set: &str) -> &'a str {
    text.trim_start_matches(|c| set.contains(c))
}

fn trim_end<'a>(text: &'a str, set: &str) -> &'a str {
    text.trim_end_matches(|c| set.contains(c))
}

/// `count` characters of `fill` over and over.
fn fill_with(fill: &str, count: usize) -> PgResult<String> {
    if count.saturating_mul(4) > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    Ok(fill.chars().cycle().take(count).collect())
}

fn pad(text: &str, length: i32, fill: &str, left: bool) -> PgResult<String> {
    let length = length.max(0) as usize;
    let have = char_count(text);
    if have >= length || fill.is_empty() {
        return Ok(split_chars(text, length).0.to_owned());
    }
    let filling = fill_with(fill, length - have)?;
    Ok(if left { filling + text } else { text.to_owned() + &filling })
}

fn repeated(text: &str, count: i32) -> PgResult<String> {
    let count = count.max(0) as usize;
    match text.len().checked_mul(count) {
        Some(bytes) if bytes <= TEXT_BYTES_MAX => Ok(text.repeat(count)),
        _ => Err(too_long()),
    }
}

fn replaced<'a>(text: &'a str, from: &str, to: &str) -> PgResult<Cow<'a, str>> {
    if from.is_empty() || !text.contains(from) {
        return Ok(text.into());
    }
    Ok(bounds::join(text.split(from), to)?.into())
}

fn translated(text: &str, from: &str, to: &str) -> String {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    text.chars()
        .filter_map(|c| match from.iter().position(|candidate| *candidate == c) {
            Some(index) => to.get(index).copied(),
            None => Some(c),
        })
        .collect()
}

fn part<'a>(text: &'a str, separator: &str, number: i32) -> PgResult<&'a str> {
    if number == 0 {
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "field position must not be zero"));
    }
    if text.is_empty() {
        return Ok("");
    }
    if separator.is_empty() {
        return Ok(if number == 1 || number == -1 { text } else { "" });
    }
    let index = number.unsigned_abs() as usize - 1;
    let part = if number > 0 {
        text.split(separator).nth(index)
    } else {
        let parts: Vec<&str> = text.split(separator).collect();
        parts.len().checked_sub(index + 1).map(|at| parts[at])
    };
    Ok(part.unwrap_or(""))
}

/// left(text, n): the first n characters, or all but the last -n.
fn left(text: &str, count: i32) -> &str {
    let keep = match usize::try_from(count) {
        Ok(count) => count,
        Err(_) => char_count(text).saturating_sub(count.unsigned_abs() as usize),
    };
    split_chars(text, keep).0
}

/// right(text, n): the last n characters, or all but the first -n.
fn right(text: &str, count: i32) -> &str {
    let skip = match usize::try_from(count) {
        Ok(count) => char_count(text).saturating_sub(count),
        Err(_) => count.unsigned_abs() as usize,
    };
    split_chars(text, skip).1
}

fn character(code: i32) -> PgResult<String> {
    if code < 0 {
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "character number must be positive"));
    }
    if code == 0 {
        return Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "null character not permitted"));
    }
    if code > 0x10_ffff {
        return Err(PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character too large for encoding: {code}"),
        ));
    }
    char::from_u32(code as u32).map(String::from).ok_or_else(|| {
        PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("requested character not valid for encoding: {code}"),
        )
    })
}

/// quote_ident: quoted unless it is a plain lower-case name and no keyword that a name may not be.
pub(crate) fn quoted_identifier(name: &str) -> Cow<'_, str> {
    if needs_quotes(name) { format!("\"{}\"", name.replace('"', "\"\"")).into() } else { name.into() }
}

/// quote_literal.
pub(crate) fn quoted_literal(text: &str) -> String {
    let prefix = if text.contains('\\') { "E" } else { "" };
    format!("{prefix}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

evaluators! {
    fn textlen(a: text) -> i32 { char_count(a) as i32 }
    fn bpcharlen(a: text) -> i32 { char_count(a.trim_end_matches(' ')) as i32 }
    fn textoctetlen(a: text) -> i32 { a.len() as i32 }
    fn bpcharoctetlen(a: text) -> i32 { a.len() as i32 }
    fn sql_bit_length_text(a: text) -> i32 { a.len() as i32 * 8 }
    fn upper(a: text) -> text { to_upper(a) }
    fn lower(a: text) -> text { to_lower(a) }
    fn initcap(a: text) -> text { capitalized(a) }
    fn text_substr(a: text, start: i32, length: i32) -> try text { substring(a, start, Some(length)) }
    fn text_substr_no_len(a: text, start: i32) -> try text { substring(a, start, None) }
    fn textoverlay(a: text, b: text, start: i32, length: i32) -> try text { overlay(a, b, start, length) }
    fn textoverlay_no_len(a: text, b: text, start: i32) -> try text {
        overlay(a, b, start, char_count(b) as i32)
    }
    fn textpos(a: text, b: text) -> i32 { position(a, b) }
    fn btrim(a: text, set: text) -> text { trim_end(trim_start(a, set), set) }
    fn btrim1(a: text) -> text { a.trim_matches(' ') }
    fn ltrim(a: text, set: text) -> text { trim_start(a, set) }
    fn ltrim1(a: text) -> text { a.trim_start_matches(' ') }
    fn rtrim(a: text, set: text) -> text { trim_end(a, set) }
    fn rtrim1(a: text) -> text { a.trim_end_matches(' ') }
    fn lpad(a: text, length: i32, fill: text) -> try text { pad(a, length, fill, true) }
    fn rpad(a: text, length: i32, fill: text) -> try text { pad(a, length, fill, false) }
    fn sql_lpad_text_int4(a: text, length: i32) -> try text { pad(a, length, " ", true) }
    fn sql_rpad_text_int4(a: text, length: i32) -> try text { pad(a, length, " ", false) }
    fn repeat(a: text, count: i32) -> try text { repeated(a, count) }
    fn replace_text(a: text, from: text, to: text) -> try text { replaced(a, from, to) }
    fn translate(a: text, from: text, to: text) -> text { translated(a, from, to) }
    fn split_part(a: text, separator: text, number: i32) -> try text { part(a, separator, number) }
    fn text_left(a: text, count: i32) -> text { left(a, count) }
    fn text_right(a: text, count: i32) -> text { right(a, count) }
    fn text_reverse(a: text) -> text { a.chars().rev().collect::<String>() }
    fn textcat(a: text, b: text) -> try text {
        bounds::enlarge(a.len(), b.len())?;
        Ok([a, b].concat())
    }
    fn ascii(a: text) -> i32 { a.chars().next().map_or(0, |c| c as i32) }
    fn chr(code: i32) -> try text { character(code) }
    fn to_hex32(a: i32) -> text { format!("{a:x}") }
    fn to_hex64(a: i64) -> text { format!("{a:x}") }
    fn md5_text(a: text) -> text { hexadecimal(&Md5::digest(a.as_bytes())) }
    fn md5_bytea(a: bytes) -> text { hexadecimal(&Md5::digest(a)) }
    fn quote_ident(a: text) -> text { quoted_identifier(a) }
    fn quote_literal(a: text) -> text { quoted_literal(a) }
    fn unistr(a: text) -> try text { unescaped(a) }
    fn nameconcatoid(name: text, oid: u32) -> text {
        let suffix = format!("_{oid}");
        let kept = super::conversion::byte_prefix(name, 63 - suffix.len());
        format!("{kept}{suffix}")
    }
}

/// unistr: `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`, `\\`.
fn unescaped(text: &str) -> PgResult<String> {
    let invalid = || {
        PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let pair = || PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        if c != '\\' || rest[1..].starts_with('\\') {
            if high.is_some() {
                return Err(pair());
            }
            out.push(c);
            rest = &rest[if c == '\\' { 2 } else { c.len_utf8() }..];
            continue;
        }
        let body = &rest[1..];
        let (skip, digits) = match body.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let digits = body.get(skip..skip + digits).ok_or_else(invalid)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let code = u32::from_str_radix(digits, 16).map_err(|_| invalid())?;
        rest = &body[skip + digits.len()..];
        match (high.take(), code) {
            (None, 0xd800..=0xdbff) => high = Some(code),
            (Some(first), 0xdc00..=0xdfff) => {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (code - 0xdc00);
                out.push(char::from_u32(code).ok_or_else(pair)?);
            }
            (Some(_), _) | (None, 0xdc00..=0xdfff) => return Err(pair()),
            (None, code) => out.push(char::from_u32(code).filter(|c| *c != '\0').ok_or_else(|| {
                PgError::new(SqlState::SYNTAX_ERROR, format!("invalid Unicode code point: {code:04X}"))
            })?),
        }
    }
    if high.is_some() { Err(pair()) } else { Ok(out) }
}

/// Builds a text for each row; `make` answers `None` for NULL.
pub(crate) fn texts(
    context: &EvalContext<'_>,
    rows: usize,
    mut make: impl FnMut(usize) -> PgResult<Option<String>>,
) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Text, rows);
    let (mut watch, mut bytes) = (Watch::new(context), 0);
    for row in 0..rows {
        match (make(row)?, &mut result.values) {
            (Some(text), Values::Text(values)) => {
                bytes += text.len();
                values.push(&text);
            }
            _ => result.push_null(),
        }
        watch.row(bytes)?;
    }
    Ok(result)
}

pub fn text_concat(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let mut out = Vec::new();
        for argument in arguments {
            let datum = argument.datum(row_of(argument, row, rows));
            if !datum.is_null() {
                let have = out.len();
                append_text(&datum, argument.data_type, context, &mut out)?;
                bounds::enlarge(have, out.len() - have)?;
            }
        }
        Ok(Some(utf8(out)?))
    })
}

fn utf8(bytes: Vec<u8>) -> PgResult<String> {
    String::from_utf8(bytes).map_err(|_| PgError::internal("text output is not UTF-8"))
}

pub fn text_concat_ws(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let Some((separator, values)) = arguments.split_first() else {
        return Err(PgError::internal("concat_ws without a separator"));
    };
    texts(context, rows, |row| {
        let Some(separator) = text_at(separator, row_of(separator, row, rows), context)? else {
            return Ok(None);
        };
        let mut pieces = Vec::with_capacity(values.len());
        for value in values {
            pieces.extend(text_at(value, row_of(value, row, rows), context)?);
        }
        bounds::join(pieces.iter().map(String::as_str), &separator).map(Some)
    })
}

/// `text || anything`: strict, so NULL rows are the caller's.
pub fn sql_textanycat_text_anynonarray(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    concatenated(context, arguments, rows)
}

pub fn sql_anytextcat_anynonarray_text(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    concatenated(context, arguments, rows)
}

/// `||` converts its other operand by a cast, which writes a boolean out in full; concat() uses the output function.
fn concatenated(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let mut out = Vec::new();
        for argument in arguments {
            match argument.datum(row_of(argument, row, rows)) {
                Datum::Null => return Ok(None),
                Datum::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
                datum => {
                    let have = out.len();
                    append_text(&datum, argument.data_type, context, &mut out)?;
                    bounds::enlarge(have, out.len() - have)?;
                }
            }
        }
        utf8(out).map(Some)
    })
}

pub fn sql_quote_literal_anyelement(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let text = text_at(arguments[0], row_of(arguments[0], row, rows), context)?;
        Ok(text.map(|text| quoted_literal(&text)))
    })
}

pub fn sql_quote_nullable_anyelement(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let text = text_at(arguments[0], row_of(arguments[0], row, rows), context)?;
        Ok(Some(text.map_or_else(|| "NULL".to_owned(), |text| quoted_literal(&text))))
    })
}

pub fn quote_nullable(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    sql_quote_nullable_anyelement(context, arguments, rows)
}

pub fn text_format(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let Some(template) = text_at(arguments[0], row_of(arguments[0], row, rows), context)? else {
            return Ok(None);
        };
        format_template(&template, &arguments[1..], row, rows, context).map(Some)
    })
}

pub fn text_format_nv(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    text_format(context, arguments, rows)
}

/// One `%[position][flags][width]type` of format().
struct Specifier {
    position: Option<usize>,
    left: bool,
    width: Width,
    kind: char,
}

enum Width {
    Fixed(i32),
    /// Taken from an argument: the next one, or the one at a position.
    Argument(Option<usize>),
}

fn unterminated() -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, "unterminated format() type specifier")
        .hint("For a single \"%\" use \"%%\".")
}

/// Decimal digits at the front, `None` when there are none.
fn leading_number(text: &str) -> PgResult<Option<(usize, &str)>> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok(None);
    }
    let number = text[..digits]
        .parse::<i32>()
        .map_err(|_| PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))?;
    Ok(Some((number as usize, &text[digits..])))
}

fn position_zero() -> PgError {
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        "format specifies argument 0, but arguments are numbered from 1",
    )
}

impl Specifier {
    /// Reads what follows a `%`; answers the rest too.
    fn parse(text: &str) -> PgResult<(Specifier, &str)> {
        let mut rest = text;
        let mut position = None;
        let mut width = Width::Fixed(0);
        let mut width_seen = false;
        if let Some((number, after)) = leading_number(rest)? {
            if let Some(after) = after.strip_prefix('$') {
                if number == 0 {
                    return Err(position_zero());
                }
                position = Some(number);
                rest = after;
            } else {
                width = Width::Fixed(number as i32);
                width_seen = true;
                rest = after;
            }
        }
        let mut left = false;
        if !width_seen {
            while let Some(after) = rest.strip_prefix('-') {
                left = true;
                rest = after;
            }
            if let Some(after) = rest.strip_prefix('*') {
                rest = after;
                width = Width::Argument(None);
                if let Some((number, after)) = leading_number(rest)? {
                    rest = after.strip_prefix('$').ok_or_else(|| {
                        PgError::new(
                            SqlState::INVALID_PARAMETER_VALUE,
                            "width argument position must be ended by \"$\"",
                        )
                    })?;
                    if number == 0 {
                        return Err(position_zero());
                    }
                    width = Width::Argument(Some(number));
                }
            } else if let Some((number, after)) = leading_number(rest)? {
                width = Width::Fixed(number as i32);
                rest = after;
            }
        }
        let kind = rest.chars().next().ok_or_else(unterminated)?;
        Ok((Specifier { position, left, width, kind }, &rest[kind.len_utf8()..]))
    }
}

fn number_out_of_range() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range")
}

/// A value under `%s`, `%I` or `%L`.
fn formatted(value: Option<String>, kind: char) -> PgResult<String> {
    match (value, kind) {
        (Some(text), 'I') => Ok(quoted_identifier(&text).into_owned()),
        (Some(text), 'L') => Ok(quoted_literal(&text)),
        (Some(text), _) => Ok(text),
        (None, 'I') => Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "null values cannot be formatted as an SQL identifier",
        )),
        (None, 'L') => Ok("NULL".to_owned()),
        (None, _) => Ok(String::new()),
    }
}

fn format_template(
    template: &str,
    arguments: &[&Vector],
    row: usize,
    rows: usize,
    context: &EvalContext<'_>,
) -> PgResult<String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    // The argument last used, from 1.
    let mut last = 0;
    let argument = |number: usize| {
        arguments
            .get(number - 1)
            .copied()
            .ok_or_else(|| PgError::new(SqlState::INVALID_PARAMETER_VALUE, "too few arguments for format()"))
    };
    while let Some(at) = rest.find('%') {
        bounds::append(&mut out, &rest[..at])?;
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (specifier, after) = Specifier::parse(rest)?;
        rest = after;
        if !matches!(specifier.kind, 's' | 'I' | 'L') {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized format() type specifier \"{}\"", specifier.kind),
            )
            .hint("For a single \"%\" use \"%%\"."));
        }
        let mut left = specifier.left;
        let mut width = match specifier.width {
            Width::Fixed(width) => width,
            Width::Argument(position) => {
                last = position.unwrap_or(last + 1);
                let source = argument(last)?;
                let text = text_at(source, row_of(source, row, rows), context)?;
                text.map_or(Ok(0), |text| text.trim().parse()).map_err(|_| number_out_of_range())?
            }
        };
        if width < 0 {
            left = true;
            width = width.checked_neg().ok_or_else(number_out_of_range)?;
        }
        last = specifier.position.unwrap_or(last + 1);
        let source = argument(last)?;
        let text = text_at(source, row_of(source, row, rows), context)?;
        let piece = formatted(text, specifier.kind)?;
        let missing = (width as usize).saturating_sub(char_count(&piece));
        let blanks = fill_with(" ", missing)?;
        if left {
            bounds::append(&mut out, &piece)?;
            bounds::append(&mut out, &blanks)?;
        } else {
            bounds::append(&mut out, &blanks)?;
            bounds::append(&mut out, &piece)?;
        }
    }
    bounds::append(&mut out, rest)?;
    Ok(out)
}
