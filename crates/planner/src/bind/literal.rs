//! Constants, and untyped literals becoming typed ones.
//!
//! PostgreSQL reads an untyped literal as soon as its type is known, so that `'abc'::int` fails with the literal's position even
//! if no row is ever read. We do the same where the text means one thing in every session; what depends on settings (a
//! date that is not ISO, anything in a time zone, `'now'`) stays a conversion for the executor.

use super::Binder;
use crate::ast::Literal;
use expr::{CastContext, Expr};
use types::{BitString, ColumnType, DataType, Datum, FormatContext, PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_literal(&mut self, literal: &Literal, position: u32) -> PgResult<Expr> {
        Ok(match literal {
            Literal::Null => Expr::constant(Datum::Null, DataType::Unknown),
            Literal::Boolean(value) => Expr::constant(Datum::Bool(*value), DataType::Bool),
            Literal::Integer(value) => Expr::constant(Datum::Int4(*value), DataType::Int4),
            Literal::Number(text) => number(text, position)?,
            Literal::String(text) => Expr::constant(Datum::text(text.clone()), DataType::Unknown),
            Literal::Bits(digits) => bits(digits, 1, position)?,
            Literal::HexBits(digits) => bits(digits, 4, position)?,
        })
    }
}

/// make_const: int4, int8 or numeric, whichever holds it.
fn number(text: &str, position: u32) -> PgResult<Expr> {
    if let Ok(value) = text.parse::<i64>() {
        return Ok(match i32::try_from(value) {
            Ok(value) => Expr::constant(Datum::Int4(value), DataType::Int4),
            Err(_) => Expr::constant(Datum::Int8(value), DataType::Int8),
        });
    }
    let value = types::format::parse_text(
        DataType::Numeric,
        ColumnType::NO_MODIFIER,
        text,
        &FormatContext::default(),
    )
    .map_err(|error| error.or_at(position))?;
    Ok(Expr::constant(value, DataType::Numeric))
}

fn bits(digits: &str, width: u32, position: u32) -> PgResult<Expr> {
    let mut value = BitString { length: 0, bytes: Vec::new() };
    for character in digits.chars() {
        let radix = if width == 1 { 2 } else { 16 };
        let digit = character.to_digit(radix).ok_or_else(|| {
            let kind = if width == 1 { "binary" } else { "hexadecimal" };
            let message = format!("\"{character}\" is not a valid {kind} digit");
            PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message).at(position)
        })?;
        for bit in (0..width).rev() {
            if value.length % 8 == 0 {
                value.bytes.push(0);
            }
            let last = value.bytes.len() - 1;
            value.bytes[last] |= ((digit >> bit & 1) as u8) << (7 - value.length % 8);
            value.length += 1;
        }
    }
    Ok(Expr::constant(Datum::Bits(Box::new(value)), DataType::Bit))
}

/// Reads an untyped literal as a value of `to`; `None` when that depends on the session.
pub(super) fn read_literal(
    text: &str,
    to: ColumnType,
    context: CastContext,
    position: u32,
) -> PgResult<Option<Datum>> {
    if !means_the_same_everywhere(text, to.data_type) {
        return Ok(None);
    }
    // Length limits of string types belong to the cast: it truncates when explicit.
    let string = to.data_type.is_string() || matches!(to.data_type, DataType::Bit | DataType::Varbit);
    if string && to.typmod != ColumnType::NO_MODIFIER {
        return Ok(None);
    }
    let _ = context;
    types::format::parse_text(to.data_type, to.typmod, text, &FormatContext::default())
        .map(Some)
        .map_err(|error| error.or_at(position))
}

fn means_the_same_everywhere(text: &str, data_type: DataType) -> bool {
    use DataType::*;
    match data_type {
        Bool | Int2 | Int4 | Int8 | Oid | Float4 | Float8 | Numeric | Text | Varchar | Name
        | InternalChar | Bytea | Uuid | Bit | Varbit | Xid | Cid => true,
        Bpchar => true,
        Date | Timestamp => is_iso_date(text),
        Time => text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')),
        Interval => text.bytes().all(|byte| byte != b'-') && !text.is_empty(),
        Array(element) => match element.data_type() {
            Some(Int2 | Int4 | Int8 | Text | Bool | Numeric | Float8 | Varchar | Uuid | Oid) => true,
            _ => false,
        },
        _ => false,
    }
}

/// `2020-01-31`, with a time behind it perhaps, no words.
fn is_iso_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    (0..4).all(digit)
        && bytes.get(4) == Some(&b'-')
        && bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b' ' | b'T'))
}
