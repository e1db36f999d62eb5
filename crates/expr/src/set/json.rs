//! json_array_elements, json_each, json_object_keys and their jsonb kin.

use super::{Listed, RowSet};
use crate::functions::json::{jsonb, shown, text, value_of};
use types::json::Value;
use types::{DataType, Datum, PgError, PgResult, SqlState, Vector};

fn invalid(message: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn optional(text: Option<String>) -> Datum {
    text.map_or(Datum::Null, Datum::text)
}

fn json_text(datum: &Datum) -> &str {
    match datum {
        Datum::Text(text) => text,
        _ => "null",
    }
}

fn listed(columns: Vec<(DataType, Vec<Datum>)>) -> Box<dyn RowSet> {
    let vectors = columns.iter().map(|(data_type, values)| Vector::from_datums(*data_type, values));
    Box::new(Listed::new(vectors.collect()))
}

/// json_array_elements and jsonb_array_elements, with `_text`.
pub(super) fn elements(argument: &Datum, name: &str) -> PgResult<Box<dyn RowSet>> {
    let as_text = name.ends_with("_text");
    let scalar = || invalid("cannot extract elements from a scalar");
    let object = || invalid("cannot extract elements from an object");
    let (data_type, values) = if let Datum::Jsonb(_) = argument {
        let elements = match value_of(argument)? {
            Value::Array(elements) => elements,
            Value::Object(_) => return Err(object()),
            _ => return Err(scalar()),
        };
        let value = |element: &Value| if as_text { optional(shown(element)) } else { jsonb(element) };
        (DataType::Jsonb, elements.iter().map(value).collect())
    } else {
        let json = json_text(argument);
        match text::kind(json) {
            text::Kind::Array => {}
            text::Kind::Object => {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("cannot call {name} on a non-array"),
                ));
            }
            _ => {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("cannot call {name} on a scalar"),
                ));
            }
        }
        let value =
            |element: &str| if as_text { optional(text::shown(element)) } else { Datum::text(element) };
        (DataType::Json, text::elements(json).map(value).collect())
    };
    Ok(listed(vec![(if as_text { DataType::Text } else { data_type }, values)]))
}

/// json_each and jsonb_each, with `_text`: (key, value).
pub(super) fn each(argument: &Datum, name: &str) -> PgResult<Box<dyn RowSet>> {
    let as_text = name.ends_with("_text");
    let (data_type, pairs): (DataType, Vec<(Datum, Datum)>) = if let Datum::Jsonb(_) = argument {
        let Value::Object(pairs) = value_of(argument)? else {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("cannot call {name} on a non-object"),
            ));
        };
        let value = |element: &Value| if as_text { optional(shown(element)) } else { jsonb(element) };
        (
            DataType::Jsonb,
            pairs.iter().map(|(key, element)| (Datum::text(key.as_str()), value(element))).collect(),
        )
    } else {
        let json = json_text(argument);
        match text::kind(json) {
            text::Kind::Object => {}
            text::Kind::Array => return Err(invalid("cannot deconstruct an array as an object")),
            _ => return Err(invalid("cannot deconstruct a scalar")),
        }
        let value =
            |element: &str| if as_text { optional(text::shown(element)) } else { Datum::text(element) };
        (
            DataType::Json,
            text::members(json).map(|(key, element)| (Datum::text(key), value(element))).collect(),
        )
    };
    let (keys, values) = pairs.into_iter().unzip();
    let value_type = if as_text { DataType::Text } else { data_type };
    Ok(listed(vec![(DataType::Text, keys), (value_type, values)]))
}

/// json_object_keys and jsonb_object_keys.
pub(super) fn keys(argument: &Datum, name: &str) -> PgResult<Box<dyn RowSet>> {
    let wrong =
        |what: &str| PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("cannot call {name} on {what}"));
    let keys = if let Datum::Jsonb(_) = argument {
        match value_of(argument)? {
            Value::Object(pairs) => pairs.into_iter().map(|(key, _)| Datum::text(key)).collect(),
            Value::Array(_) => return Err(wrong("an array")),
            _ => return Err(wrong("a scalar")),
        }
    } else {
        let json = json_text(argument);
        match text::kind(json) {
            text::Kind::Object => text::members(json).map(|(key, _)| Datum::text(key)).collect(),
            text::Kind::Array => return Err(wrong("an array")),
            _ => return Err(wrong("a scalar")),
        }
    };
    Ok(listed(vec![(DataType::Text, keys)]))
}
