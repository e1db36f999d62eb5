//! Records as text: `(1,"a b",)`.

use super::array::quote_in_place;
use super::integer::is_space;
use super::{FormatContext, write_cell};
use crate::cell::Cell;
use crate::data_type::DataType;
use crate::error::{PgError, PgResult, SqlState};
use crate::user_type::RecordValue;

pub(super) fn write_record(
    record: &RecordValue,
    data_type: DataType,
    context: &FormatContext,
    out: &mut Vec<u8>,
) {
    let named = context.types.row_type(data_type);
    out.push(b'(');
    for (position, field) in record.padded(named.as_deref()).enumerate() {
        if position > 0 {
            out.push(b',');
        }
        let start = out.len();
        match Cell::of_datum(field) {
            Cell::Null => continue,
            cell => {
                let column = record.field_type(position, named.as_deref());
                write_cell(cell, column.data_type, column.typmod, context, out);
            }
        }
        let text = &out[start..];
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'(' | b')' | b',') || is_space(*byte);
        if text.is_empty() || text.iter().any(special) {
            // Doubled, not escaped.
            quote_in_place(out, start, |byte| matches!(byte, b'"' | b'\\'), |byte| byte);
        }
    }
    out.push(b')');
}

fn malformed(text: &str, detail: &str) -> PgError {
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed record literal: \"{text}\""))
        .detail(detail)
}

/// Cuts a record's text into its fields, `None` being NULL. The caller knows their types and how many there are.
pub fn split_record(text: &str) -> PgResult<Vec<Option<String>>> {
    let inner = text
        .trim_start_matches(|character: char| character.is_ascii() && is_space(character as u8))
        .strip_prefix('(')
        .ok_or_else(|| malformed(text, "Missing left parenthesis."))?;
    let ended = || malformed(text, "Unexpected end of input.");
    let mut characters = inner.char_indices().peekable();
    let mut fields = Vec::new();
    loop {
        let (mut field, mut is_null, mut quoted) = (String::new(), true, false);
        let last = loop {
            let (_, character) = characters.next().ok_or_else(ended)?;
            match character {
                ',' | ')' if !quoted => break character,
                '\\' => field.push(characters.next().ok_or_else(ended)?.1),
                '"' if quoted && characters.peek().is_some_and(|(_, next)| *next == '"') => {
                    characters.next();
                    field.push('"');
                }
                '"' => quoted = !quoted,
                other => field.push(other),
            }
            is_null = false;
        };
        fields.push((!is_null).then_some(field));
        if last == ')' {
            break;
        }
    }
    match characters.find(|(_, character)| !(character.is_ascii() && is_space(*character as u8))) {
        Some(_) => Err(malformed(text, "Junk after right parenthesis.")),
        None => Ok(fields),
    }
}
