//! Looking inside: `-> ->> #> #>>`, containment, existence, kinds and lengths, conversion to numbers and booleans.

use super::super::arithmetic::out_of_range;
use super::super::kernel::evaluators;
use super::{invalid, jsonb, shown, text, value_of};
use types::json::Value;
use types::{ArrayValue, Datum, Numeric, PgError, PgResult, SqlState};

/// The steps of a path; `None` when one is NULL.
pub(super) fn path(array: &ArrayValue) -> Option<Vec<&str>> {
    array
        .elements
        .iter()
        .map(|element| match element {
            Datum::Text(step) => Some(&**step),
            _ => None,
        })
        .collect()
}

fn walk_text<'a>(json: &'a str, steps: &ArrayValue) -> Option<&'a str> {
    path(steps)?.into_iter().try_fold(json, text::step)
}

fn walk<'a>(value: &'a Value, steps: &ArrayValue) -> Option<&'a Value> {
    path(steps)?.into_iter().try_fold(value, |value, step| match value {
        Value::Object(_) => value.get(step),
        Value::Array(_) => value.element(step.trim().parse().ok()?),
        _ => None,
    })
}

evaluators! {
    fn json_object_field(json: text, key: text) -> maybe text { Ok(text::member(json, key)) }
    fn json_object_field_text(json: text, key: text) -> maybe text {
        Ok(text::member(json, key).and_then(text::shown))
    }
    fn json_array_element(json: text, index: i32) -> maybe text { Ok(text::element(json, i64::from(index))) }
    fn json_array_element_text(json: text, index: i32) -> maybe text {
        Ok(text::element(json, i64::from(index)).and_then(text::shown))
    }
    fn json_extract_path(json: text, steps: array) -> maybe text { Ok(walk_text(json, steps).map(str::trim)) }
    fn json_extract_path_text(json: text, steps: array) -> maybe text {
        Ok(walk_text(json, steps).and_then(text::shown))
    }
    fn json_typeof(json: text) -> text { text::kind_name(text::kind(json)) }
    fn json_array_length(json: text) -> try i32 {
        match text::kind(json) {
            text::Kind::Array => Ok(text::elements(json).count() as i32),
            text::Kind::Object => Err(invalid("cannot get array length of a non-array")),
            _ => Err(invalid("cannot get array length of a scalar")),
        }
    }
    fn jsonb_object_field(json: datum, key: text) -> maybe datum {
        Ok(value_of(json)?.get(key).map(jsonb))
    }
    fn jsonb_object_field_text(json: datum, key: text) -> maybe text {
        Ok(value_of(json)?.get(key).and_then(shown))
    }
    fn jsonb_array_element(json: datum, index: i32) -> maybe datum {
        Ok(element(&value_of(json)?, index).map(jsonb))
    }
    fn jsonb_array_element_text(json: datum, index: i32) -> maybe text {
        Ok(element(&value_of(json)?, index).and_then(shown))
    }
    fn jsonb_extract_path(json: datum, steps: array) -> maybe datum {
        Ok(walk(&value_of(json)?, steps).map(jsonb))
    }
    fn jsonb_extract_path_text(json: datum, steps: array) -> maybe text {
        Ok(walk(&value_of(json)?, steps).and_then(shown))
    }
    fn jsonb_typeof(json: datum) -> try text { Ok(value_of(json)?.type_name()) }
    fn jsonb_array_length(json: datum) -> try i32 {
        match value_of(json)? {
            Value::Array(elements) => Ok(elements.len() as i32),
            Value::Object(_) => Err(invalid("cannot get array length of a non-array")),
            _ => Err(invalid("cannot get array length of a scalar")),
        }
    }
    fn jsonb_contains(a: datum, b: datum) -> try bool { Ok(contains_document(&value_of(a)?, &value_of(b)?)) }
    fn jsonb_contained(a: datum, b: datum) -> try bool { Ok(contains_document(&value_of(b)?, &value_of(a)?)) }
    fn jsonb_exists(json: datum, key: text) -> try bool { Ok(exists(&value_of(json)?, key)) }
    fn jsonb_exists_any(json: datum, keys: array) -> try bool {
        let value = value_of(json)?;
        Ok(keys.elements.iter().any(|key| matches!(key, Datum::Text(key) if exists(&value, key))))
    }
    fn jsonb_exists_all(json: datum, keys: array) -> try bool {
        let value = value_of(json)?;
        let holds = |key: &Datum| !matches!(key, Datum::Text(key) if !exists(&value, key));
        Ok(keys.elements.iter().all(holds))
    }
}

/// An element; a scalar counts as an array of one.
fn element(value: &Value, index: i32) -> Option<&Value> {
    match value {
        Value::Array(_) => value.element(i64::from(index)),
        Value::Object(_) => None,
        scalar => (index == 0 || index == -1).then_some(scalar),
    }
}

/// Whether a string is a key, an element, or the value itself.
fn exists(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(_) => value.get(key).is_some(),
        Value::Array(elements) => {
            elements.iter().any(|element| matches!(element, Value::String(text) if text == key))
        }
        Value::String(text) => text == key,
        _ => false,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    a.compare(b).is_eq()
}

/// `@>` at the top: an array also contains a bare scalar that is one of its elements.
fn contains_document(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(elements), scalar) if !matches!(scalar, Value::Array(_) | Value::Object(_)) => {
            elements.iter().any(|element| equal(element, scalar))
        }
        _ => contains(a, b),
    }
}

fn contains(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(_), Value::Object(pairs)) => {
            pairs.iter().all(|(key, wanted)| a.get(key).is_some_and(|have| contains(have, wanted)))
        }
        (Value::Array(have), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| have.iter().any(|have| contains(have, wanted)))
        }
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => false,
        _ => equal(a, b),
    }
}

fn cannot_cast(value: &Value, to: &str) -> PgError {
    let article = match value {
        Value::Null => "jsonb null",
        Value::Bool(_) => "jsonb boolean",
        Value::Number(_) => "jsonb numeric",
        Value::String(_) => "jsonb string",
        Value::Array(_) => "jsonb array",
        Value::Object(_) => "jsonb object",
    };
    invalid(format!("cannot cast {article} to type {to}"))
}

fn number(json: &Datum, to: &str) -> PgResult<Numeric> {
    match value_of(json)? {
        Value::Number(number) => Ok(number),
        other => Err(cannot_cast(&other, to)),
    }
}

evaluators! {
    fn jsonb_bool(json: datum) -> try bool {
        match value_of(json)? {
            Value::Bool(value) => Ok(value),
            other => Err(cannot_cast(&other, "boolean")),
        }
    }
    fn jsonb_numeric(json: datum) -> try numeric { number(json, "numeric") }
    fn jsonb_int2(json: datum) -> try i16 { number(json, "smallint")?.to_i16() }
    fn jsonb_int4(json: datum) -> try i32 { number(json, "integer")?.to_i32() }
    fn jsonb_int8(json: datum) -> try i64 { number(json, "bigint")?.to_i64() }
    fn jsonb_float4(json: datum) -> try f32 { number(json, "real")?.to_f32() }
    fn jsonb_float8(json: datum) -> try f64 { number(json, "double precision")?.to_f64() }
}

/// The number of an element that a path's step names.
pub(super) fn element_number(step: &str, position: usize) -> PgResult<i64> {
    step.trim().parse::<i32>().map(i64::from).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => out_of_range("integer"),
        _ => PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("path element at position {} is not an integer: \"{step}\"", position + 1),
        ),
    })
}
