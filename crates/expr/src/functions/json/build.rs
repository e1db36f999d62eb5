//! Making JSON out of SQL values: to_json, json_build_object, json_object and their kin.

use super::super::kernel::evaluators;
use super::super::string::texts;
use super::super::text::{row_of, text_of};
use super::{invalid, jsonb};
use crate::EvalContext;
use types::json::{self, Value};
use types::{ArrayValue, DataType, Datum, Numeric, PgError, PgResult, SqlState, Vector};

/// The JSON text of a value, as to_json writes it.
pub(crate) fn json_text(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> PgResult<String> {
    let mut out = String::new();
    write(datum, data_type, context, &mut out)?;
    Ok(out)
}

fn quoted(text: String) -> String {
    Value::String(text).to_string()
}

fn write(datum: &Datum, data_type: DataType, context: &EvalContext<'_>, out: &mut String) -> PgResult<()> {
    let data_type = data_type.base();
    match datum {
        Datum::Null => out.push_str("null"),
        Datum::Int8(_) if matches!(data_type, DataType::Enum(_)) => {
            out.push_str(&quoted(text_of(datum, data_type, context)?));
        }
        Datum::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => {
            out.push_str(&text_of(datum, data_type, context)?);
        }
        Datum::Float4(_) | Datum::Float8(_) | Datum::Numeric(_) => {
            let text = text_of(datum, data_type, context)?;
            // NaN and the infinities are no JSON numbers.
            if text.ends_with(|c: char| c.is_ascii_digit()) {
                out.push_str(&text)
            } else {
                out.push_str(&quoted(text))
            }
        }
        Datum::Text(text) if data_type == DataType::Json => out.push_str(text),
        Datum::Jsonb(text) => out.push_str(text),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => {
            out.push_str(&quoted(iso_8601(datum, data_type, context)));
        }
        Datum::Array(array) => {
            let element = data_type.element().unwrap_or(DataType::Text);
            write_array(array, element, ",", context, out)?;
        }
        Datum::Record(record) => write_record(record, data_type, ",", context, out)?,
        _ => out.push_str(&quoted(text_of(datum, data_type, context)?)),
    }
    Ok(())
}

/// A row value as an object: fields by their names, `f1`, `f2` ... where they have none.
fn write_record(
    record: &types::RecordValue,
    data_type: DataType,
    separator: &str,
    context: &EvalContext<'_>,
    out: &mut String,
) -> PgResult<()> {
    let named = context.session.format.types.row_type(data_type);
    let row_type = named.as_deref().or(record.row_type.as_deref());
    out.push('{');
    for (position, field) in record.padded(named.as_deref()).enumerate() {
        if position > 0 {
            out.push_str(separator);
        }
        match row_type.and_then(|row| row.columns.get(position)) {
            Some((name, _)) => out.push_str(&quoted(name.to_string())),
            None => out.push_str(&quoted(format!("f{}", position + 1))),
        }
        out.push(':');
        write(field, record.field_type(position, named.as_deref()).data_type, context, out)?;
    }
    out.push('}');
    Ok(())
}

/// A date or timestamp as ISO 8601 has it, whatever DateStyle says.
fn iso_8601(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> String {
    let format = types::FormatContext {
        date_format: types::format::DateFormat::Iso,
        ..context.session.format.clone()
    };
    let text = types::format::datum_text(datum, data_type, types::ColumnType::NO_MODIFIER, &format);
    let (main, era) = match text.strip_suffix(" BC") {
        Some(main) => (main, " BC"),
        None => (text.as_str(), ""),
    };
    let Some((date, time)) = main.split_once(' ') else { return text };
    // A zone of whole hours is written without minutes by SQL, with them here.
    let zone_at = time.find(['+', '-']);
    let minutes = if zone_at.is_some_and(|at| !time[at..].contains(':')) { ":00" } else { "" };
    format!("{date}T{time}{minutes}{era}")
}

fn write_array(
    array: &ArrayValue,
    element: DataType,
    separator: &str,
    context: &EvalContext<'_>,
    out: &mut String,
) -> PgResult<()> {
    if array.dimensions.is_empty() {
        out.push_str("[]");
        return Ok(());
    }
    let lengths: Vec<usize> = array.dimensions.iter().map(|(length, _)| *length as usize).collect();
    let mut rest = array.elements.iter();
    write_dimension(&lengths, &mut rest, element, separator, context, out)
}

fn write_dimension(
    lengths: &[usize],
    rest: &mut std::slice::Iter<'_, Datum>,
    element: DataType,
    separator: &str,
    context: &EvalContext<'_>,
    out: &mut String,
) -> PgResult<()> {
    out.push('[');
    for index in 0..lengths[0] {
        if index > 0 {
            out.push_str(separator);
        }
        match &lengths[1..] {
            [] => write(rest.next().unwrap_or(&Datum::Null), element, context, out)?,
            // Only the outermost dimension is broken into lines.
            inner => write_dimension(inner, rest, element, ",", context, out)?,
        }
    }
    out.push(']');
    Ok(())
}

/// The value as jsonb.
pub(crate) fn json_value(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> PgResult<Value> {
    let data_type = data_type.base();
    Ok(match datum {
        Datum::Null => Value::Null,
        Datum::Bool(value) => Value::Bool(*value),
        Datum::Numeric(number) if number.is_finite() => Value::Number(number.clone()),
        Datum::Int2(value) => Value::Number(Numeric::from_i64(i64::from(*value))),
        Datum::Int4(value) => Value::Number(Numeric::from_i64(i64::from(*value))),
        Datum::Int8(value) if !matches!(data_type, DataType::Enum(_)) => {
            Value::Number(Numeric::from_i64(*value))
        }
        Datum::Text(text) if data_type != DataType::Json => Value::String(text.to_string()),
        _ => json::parse(&json_text(datum, data_type, context)?)?,
    })
}

fn at(arguments: &[&Vector], index: usize, row: usize, rows: usize) -> (Datum, DataType) {
    let argument = arguments[index];
    (argument.datum(row_of(argument, row, rows)), argument.data_type)
}

/// Builds a jsonb for each row.
fn values(rows: usize, mut make: impl FnMut(usize) -> PgResult<Option<Value>>) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Jsonb, rows);
    for row in 0..rows {
        result.push(&make(row)?.map_or(Datum::Null, |value| jsonb(&value)));
    }
    Ok(result)
}

pub fn to_json(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let (datum, data_type) = at(arguments, 0, row, rows);
        if datum.is_null() { Ok(None) } else { json_text(&datum, data_type, context).map(Some) }
    })
}

pub fn to_jsonb(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    values(rows, |row| {
        let (datum, data_type) = at(arguments, 0, row, rows);
        if datum.is_null() { Ok(None) } else { json_value(&datum, data_type, context).map(Some) }
    })
}

pub fn array_to_json(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    to_json(context, arguments, rows)
}

pub fn array_to_json_pretty(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let (datum, data_type) = at(arguments, 0, row, rows);
        let (Datum::Array(array), (Datum::Bool(pretty), _)) = (datum, at(arguments, 1, row, rows)) else {
            return Ok(None);
        };
        let mut out = String::new();
        let element = data_type.element().unwrap_or(DataType::Text);
        write_array(&array, element, if pretty { ",\n " } else { "," }, context, &mut out)?;
        Ok(Some(out))
    })
}

pub fn row_to_json(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    to_json(context, arguments, rows)
}

pub fn row_to_json_pretty(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let (datum, data_type) = at(arguments, 0, row, rows);
        let (Datum::Record(record), (Datum::Bool(pretty), _)) = (datum, at(arguments, 1, row, rows)) else {
            return Ok(None);
        };
        let mut out = String::new();
        write_record(&record, data_type, if pretty { ",\n " } else { "," }, context, &mut out)?;
        Ok(Some(out))
    })
}

pub fn json_build_array(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    texts(context, rows, |row| {
        let mut pieces = Vec::with_capacity(arguments.len());
        for index in 0..arguments.len() {
            let (datum, data_type) = at(arguments, index, row, rows);
            pieces.push(json_text(&datum, data_type, context)?);
        }
        Ok(Some(format!("[{}]", pieces.join(", "))))
    })
}

pub fn json_build_array_noargs(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    json_build_array(context, arguments, rows)
}

pub fn jsonb_build_array(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    values(rows, |row| {
        let mut elements = Vec::with_capacity(arguments.len());
        for index in 0..arguments.len() {
            let (datum, data_type) = at(arguments, index, row, rows);
            elements.push(json_value(&datum, data_type, context)?);
        }
        Ok(Some(Value::Array(elements)))
    })
}

pub fn jsonb_build_array_noargs(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    jsonb_build_array(context, arguments, rows)
}

fn even(arguments: &[&Vector], name: &str) -> PgResult<()> {
    if arguments.len() % 2 == 0 {
        return Ok(());
    }
    Err(invalid("argument list must have even number of elements")
        .hint(format!("The arguments of {name}() must consist of alternating keys and values.")))
}

/// The text of an object key.
pub(crate) fn key(datum: &Datum, data_type: DataType, context: &EvalContext<'_>) -> PgResult<String> {
    if matches!(datum, Datum::Array(_) | Datum::Record(_) | Datum::Jsonb(_)) || data_type == DataType::Json {
        return Err(invalid("key value must be scalar, not array, composite, or json"));
    }
    match datum {
        Datum::Bool(value) => Ok(if *value { "true" } else { "false" }.to_owned()),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => {
            Ok(iso_8601(datum, data_type, context))
        }
        _ => text_of(datum, data_type, context),
    }
}

pub fn json_build_object(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    even(arguments, "json_build_object")?;
    texts(context, rows, |row| {
        let mut pieces = Vec::with_capacity(arguments.len() / 2);
        for index in (0..arguments.len()).step_by(2) {
            let (name, name_type) = at(arguments, index, row, rows);
            if name.is_null() {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("argument {} cannot be null", index + 1),
                )
                .hint("Object keys should be text."));
            }
            let (datum, data_type) = at(arguments, index + 1, row, rows);
            let name = quoted(key(&name, name_type, context)?);
            pieces.push(format!("{name} : {}", json_text(&datum, data_type, context)?));
        }
        Ok(Some(format!("{{{}}}", pieces.join(", "))))
    })
}

pub fn json_build_object_noargs(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    json_build_object(context, arguments, rows)
}

pub fn jsonb_build_object(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    even(arguments, "jsonb_build_object")?;
    values(rows, |row| {
        let mut pairs = Vec::with_capacity(arguments.len() / 2);
        for index in (0..arguments.len()).step_by(2) {
            let (name, name_type) = at(arguments, index, row, rows);
            if name.is_null() {
                return Err(invalid(format!("argument {}: key must not be null", index + 1)));
            }
            let (datum, data_type) = at(arguments, index + 1, row, rows);
            pairs.push((key(&name, name_type, context)?, json_value(&datum, data_type, context)?));
        }
        Ok(Some(Value::object(pairs)))
    })
}

pub fn jsonb_build_object_noargs(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    jsonb_build_object(context, arguments, rows)
}

/// The pairs of json_object's one array: alternating, or two columns.
fn alternating(array: &ArrayValue) -> PgResult<Vec<(String, Option<String>)>> {
    let error = |message: &str| Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    match array.dimensions.as_slice() {
        [] => return Ok(Vec::new()),
        [(length, _)] if length % 2 != 0 => return error("array must have even number of elements"),
        [_] => {}
        [_, (2, _)] => {}
        [_, _] => return error("array must have two columns"),
        _ => return error("wrong number of array subscripts"),
    }
    array.elements.chunks(2).map(|pair| named(&pair[0], &pair[1])).collect()
}

fn named(name: &Datum, value: &Datum) -> PgResult<(String, Option<String>)> {
    let text = |datum: &Datum| match datum {
        Datum::Text(text) => Some(text.to_string()),
        _ => None,
    };
    let name = text(name).ok_or_else(|| {
        PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null value not allowed for object key")
    })?;
    Ok((name, text(value)))
}

fn zipped(keys: &ArrayValue, values: &ArrayValue) -> PgResult<Vec<(String, Option<String>)>> {
    let error = |message: &str| Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
    if keys.dimensions.len() > 1 || keys.dimensions.len() != values.dimensions.len() {
        return error("wrong number of array subscripts");
    }
    if keys.elements.len() != values.elements.len() {
        return error("mismatched array dimensions");
    }
    keys.elements.iter().zip(&values.elements).map(|(key, value)| named(key, value)).collect()
}

fn object_text(pairs: Vec<(String, Option<String>)>) -> String {
    let pair = |(name, value): (String, Option<String>)| {
        format!("{} : {}", quoted(name), value.map_or("null".to_owned(), quoted))
    };
    format!("{{{}}}", pairs.into_iter().map(pair).collect::<Vec<_>>().join(", "))
}

fn object_value(pairs: Vec<(String, Option<String>)>) -> Datum {
    let pair = |(name, value): (String, Option<String>)| (name, value.map_or(Value::Null, Value::String));
    jsonb(&Value::object(pairs.into_iter().map(pair).collect()))
}

evaluators! {
    fn json_object(array: array) -> try text { alternating(array).map(object_text) }
    fn json_object_two_arg(keys: array, values: array) -> try text { zipped(keys, values).map(object_text) }
    fn jsonb_object(array: array) -> try datum { alternating(array).map(object_value) }
    fn jsonb_object_two_arg(keys: array, values: array) -> try datum { zipped(keys, values).map(object_value) }
}
