//! Changing jsonb: `||`, `-`, `#-`, jsonb_set, jsonb_insert, strip_nulls, pretty printing.

use super::super::kernel::evaluators;
use super::super::text::row_of;
use super::access::{element_number, path};
use super::{invalid, jsonb, text, value_of};
use crate::EvalContext;
use types::json::Value;
use types::{ArrayValue, DataType, Datum, PgError, PgResult, SqlState, Vector};

fn path_of(steps: &ArrayValue) -> PgResult<Vec<&str>> {
    if steps.dimensions.len() > 1 {
        return Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
    }
    if let Some(null) = steps.elements.iter().position(Datum::is_null) {
        return Err(PgError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            format!("path element at position {} is null", null + 1),
        ));
    }
    Ok(path(steps).unwrap_or_default())
}

fn not_scalar(value: &Value, what: &str) -> PgResult<()> {
    match value {
        Value::Array(_) | Value::Object(_) => Ok(()),
        _ => Err(invalid(what)),
    }
}

/// `a || b`: objects merge, anything else becomes elements of one array.
fn concatenated(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            a.extend(b);
            Value::object(a)
        }
        (Value::Array(mut a), Value::Array(b)) => {
            a.extend(b);
            Value::Array(a)
        }
        (Value::Array(mut a), b) => {
            a.push(b);
            Value::Array(a)
        }
        (a, Value::Array(b)) => Value::Array(std::iter::once(a).chain(b).collect()),
        (a, b) => Value::Array(vec![a, b]),
    }
}

/// The index that a number means in an array of `length`; `None` when it is outside.
fn inside(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

fn without_key(value: Value, key: &str) -> Value {
    match value {
        Value::Object(mut pairs) => {
            pairs.retain(|(name, _)| name != key);
            Value::Object(pairs)
        }
        Value::Array(mut elements) => {
            elements.retain(|element| !matches!(element, Value::String(text) if text == key));
            Value::Array(elements)
        }
        other => other,
    }
}

fn without_path(value: &mut Value, steps: &[&str], position: usize) -> PgResult<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    match value {
        Value::Object(pairs) => {
            let Some(index) = pairs.iter().position(|(name, _)| name == step) else { return Ok(()) };
            if rest.is_empty() {
                pairs.remove(index);
                return Ok(());
            }
            without_path(&mut pairs[index].1, rest, position + 1)
        }
        Value::Array(elements) => {
            let index = element_number(step, position)?;
            let Some(index) = inside(index, elements.len()) else { return Ok(()) };
            if rest.is_empty() {
                elements.remove(index);
                return Ok(());
            }
            without_path(&mut elements[index], rest, position + 1)
        }
        _ => Ok(()),
    }
}

/// What to do where a path ends.
#[derive(Clone, Copy, PartialEq)]
enum Change {
    /// Replace what is there, and (if so asked) create what is not.
    Set { create: bool },
    /// Insert before or after an element; a new member only.
    Insert { after: bool },
}

fn changed(value: &mut Value, steps: &[&str], position: usize, new: &Value, change: Change) -> PgResult<()> {
    let Some((step, rest)) = steps.split_first() else { return Ok(()) };
    match value {
        Value::Object(pairs) => {
            let found = pairs.iter().position(|(name, _)| name == step);
            match (found, rest.is_empty(), change) {
                (Some(index), false, _) => {
                    return changed(&mut pairs[index].1, rest, position + 1, new, change);
                }
                (None, false, _) | (None, true, Change::Set { create: false }) => {}
                (Some(index), true, Change::Set { .. }) => pairs[index].1 = new.clone(),
                (Some(_), true, Change::Insert { .. }) => {
                    return Err(invalid("cannot replace existing key")
                        .hint("Try using the function jsonb_set to replace key value."));
                }
                (None, true, _) => {
                    let mut pairs = std::mem::take(pairs);
                    pairs.push(((*step).to_owned(), new.clone()));
                    *value = Value::object(pairs);
                }
            }
        }
        Value::Array(elements) => {
            let index = element_number(step, position)?;
            let length = elements.len();
            match (inside(index, length), rest.is_empty(), change) {
                (Some(index), false, _) => {
                    return changed(&mut elements[index], rest, position + 1, new, change);
                }
                (None, false, _) | (None, true, Change::Set { create: false }) => {}
                (Some(index), true, Change::Set { .. }) => elements[index] = new.clone(),
                (Some(index), true, Change::Insert { after }) => {
                    elements.insert(index + usize::from(after), new.clone());
                }
                // Beyond an end: at that end.
                (None, true, _) if index < 0 => elements.insert(0, new.clone()),
                (None, true, _) => elements.push(new.clone()),
            }
        }
        _ => {}
    }
    Ok(())
}

fn set(json: &Datum, steps: &ArrayValue, new: &Datum, create: bool) -> PgResult<Datum> {
    let mut value = value_of(json)?;
    not_scalar(&value, "cannot set path in scalar")?;
    if matches!(&value, Value::Array(elements) if elements.is_empty() && !create)
        || matches!(&value, Value::Object(pairs) if pairs.is_empty() && !create)
    {
        return Ok(json.clone());
    }
    changed(&mut value, &path_of(steps)?, 0, &value_of(new)?, Change::Set { create })?;
    Ok(jsonb(&value))
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(pairs) => {
            pairs.retain(|(_, value)| !matches!(value, Value::Null));
            pairs.iter_mut().for_each(|(_, value)| strip_nulls(value));
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// The same on text, whose spacing goes.
fn strip_nulls_text(json: &str, out: &mut String) {
    match text::kind(json) {
        text::Kind::Object => {
            out.push('{');
            let mut first = true;
            for (key, value) in text::members(json).filter(|(_, value)| text::kind(value) != text::Kind::Null)
            {
                if !first {
                    out.push(',');
                }
                first = false;
                out.push_str(&Value::String(key).to_string());
                out.push(':');
                strip_nulls_text(value, out);
            }
            out.push('}');
        }
        text::Kind::Array => {
            out.push('[');
            for (index, element) in text::elements(json).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                strip_nulls_text(element, out);
            }
            out.push(']');
        }
        _ => out.push_str(json.trim()),
    }
}

fn pretty(value: &Value, indent: usize, out: &mut String) {
    let line = |out: &mut String, indent: usize| {
        out.push('\n');
        (0..indent * 4).for_each(|_| out.push(' '));
    };
    let (open, close, count) = match value {
        Value::Object(pairs) => ('{', '}', pairs.len()),
        Value::Array(elements) => ('[', ']', elements.len()),
        scalar => {
            out.push_str(&scalar.to_string());
            return;
        }
    };
    out.push(open);
    for index in 0..count {
        if index > 0 {
            out.push(',');
        }
        line(out, indent + 1);
        match value {
            Value::Object(pairs) => {
                out.push_str(&Value::String(pairs[index].0.clone()).to_string());
                out.push_str(": ");
                pretty(&pairs[index].1, indent + 1, out);
            }
            Value::Array(elements) => pretty(&elements[index], indent + 1, out),
            _ => {}
        }
    }
    line(out, indent);
    out.push(close);
}

evaluators! {
    fn jsonb_concat(a: datum, b: datum) -> try datum { Ok(jsonb(&concatenated(value_of(a)?, value_of(b)?))) }
    fn jsonb_delete(json: datum, key: text) -> try datum {
        let value = value_of(json)?;
        not_scalar(&value, "cannot delete from scalar")?;
        Ok(jsonb(&without_key(value, key)))
    }
    fn jsonb_delete_array(json: datum, keys: array) -> try datum {
        let value = value_of(json)?;
        if keys.dimensions.len() > 1 {
            return Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts"));
        }
        not_scalar(&value, "cannot delete from scalar")?;
        let keys = keys.elements.iter();
        Ok(jsonb(&keys.fold(value, |value, key| match key {
            Datum::Text(key) => without_key(value, key),
            _ => value,
        })))
    }
    fn jsonb_delete_idx(json: datum, index: i32) -> try datum {
        match value_of(json)? {
            Value::Array(mut elements) => {
                if let Some(index) = inside(i64::from(index), elements.len()) {
                    elements.remove(index);
                }
                Ok(jsonb(&Value::Array(elements)))
            }
            Value::Object(_) => Err(invalid("cannot delete from object using integer index")),
            _ => Err(invalid("cannot delete from scalar")),
        }
    }
    fn jsonb_delete_path(json: datum, steps: array) -> try datum {
        let mut value = value_of(json)?;
        not_scalar(&value, "cannot delete path in scalar")?;
        without_path(&mut value, &path_of(steps)?, 0)?;
        Ok(jsonb(&value))
    }
    fn jsonb_set(json: datum, steps: array, new: datum, create: bool) -> try datum { set(json, steps, new, create) }
    fn jsonb_insert(json: datum, steps: array, new: datum, after: bool) -> try datum {
        let mut value = value_of(json)?;
        not_scalar(&value, "cannot set path in scalar")?;
        changed(&mut value, &path_of(steps)?, 0, &value_of(new)?, Change::Insert { after })?;
        Ok(jsonb(&value))
    }
    fn jsonb_strip_nulls(json: datum) -> try datum {
        let mut value = value_of(json)?;
        strip_nulls(&mut value);
        Ok(jsonb(&value))
    }
    fn json_strip_nulls(json: text) -> text {
        let mut out = String::with_capacity(json.len());
        strip_nulls_text(json, &mut out);
        out
    }
    fn jsonb_pretty(json: datum) -> try text {
        let mut out = String::new();
        pretty(&value_of(json)?, 0, &mut out);
        Ok(out)
    }
}

/// jsonb_set_lax: what a NULL new value does is the last argument's to say.
pub fn jsonb_set_lax(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    let mut result = Vector::with_capacity(DataType::Jsonb, rows);
    for row in 0..rows {
        let at = |index: usize| arguments[index].datum(row_of(arguments[index], row, rows));
        let (json, Datum::Array(steps), Datum::Bool(create)) = (at(0), at(1), at(3)) else {
            result.push_null();
            continue;
        };
        let Datum::Text(treatment) = at(4) else {
            return Err(invalid(
                "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
            ));
        };
        if json.is_null() {
            result.push_null();
            continue;
        }
        let new = at(2);
        let changed = match (new.is_null(), &*treatment) {
            (false, _) => set(&json, &steps, &new, create)?,
            (true, "raise_exception") => {
                return Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "JSON value must not be null")
                    .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
                    .hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed."));
            }
            (true, "use_json_null") => set(&json, &steps, &Datum::Jsonb("null".into()), create)?,
            (true, "delete_key") => {
                let mut value = value_of(&json)?;
                not_scalar(&value, "cannot delete path in scalar")?;
                without_path(&mut value, &path_of(&steps)?, 0)?;
                jsonb(&value)
            }
            (true, "return_target") => json,
            _ => {
                return Err(invalid(
                    "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
                ));
            }
        };
        result.push(&changed);
    }
    Ok(result)
}

/// `j['a'][1] = value`: what the path does not lead to is made, arrays filled up with nulls.
pub(crate) fn assign_subscripts(whole: &Datum, path: &[&Datum], value: &Datum) -> PgResult<Datum> {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Datum::Int4(index) => index.to_string(),
            Datum::Text(key) => key.to_string(),
            _ => String::new(),
        })
        .collect();
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    let mut root = match (whole, path.first()) {
        (Datum::Null, Some(Datum::Int4(_))) => Value::Array(Vec::new()),
        (Datum::Null, _) => Value::Object(Vec::new()),
        (whole, _) => value_of(whole)?,
    };
    fill_path(&mut root, &steps, 0, value_of(value)?)?;
    Ok(jsonb(&root))
}

fn fill_path(value: &mut Value, steps: &[&str], position: usize, new: Value) -> PgResult<()> {
    let Some((step, rest)) = steps.split_first() else {
        *value = new;
        return Ok(());
    };
    match value {
        Value::Object(pairs) => {
            if let Some((_, inner)) = pairs.iter_mut().find(|(name, _)| name == step) {
                return fill_path(inner, rest, position + 1, new);
            }
            let mut pairs = std::mem::take(pairs);
            pairs.push(((*step).to_owned(), made(rest, new)?));
            *value = Value::object(pairs);
            Ok(())
        }
        Value::Array(elements) => {
            let index = element_number(step, position)?;
            let length = elements.len() as i64;
            let index = if index < 0 { index + length } else { index };
            let index = usize::try_from(index).map_err(|_| {
                invalid(format!("path element at position {} is out of range: {step}", position + 1))
            })?;
            if let Some(inner) = elements.get_mut(index) {
                return fill_path(inner, rest, position + 1, new);
            }
            check_length(index)?;
            elements.resize(index, Value::Null);
            elements.push(made(rest, new)?);
            Ok(())
        }
        _ => Err(invalid("cannot replace existing key")
            .detail("The path assumes key is a composite object, but it is a scalar value.")),
    }
}

/// Elements of an array that an assignment may make at most.
const MADE_ELEMENTS_MAX: usize = (1 << 28) - 1;

fn check_length(length: usize) -> PgResult<()> {
    if length >= MADE_ELEMENTS_MAX {
        return Err(PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("number of jsonb array elements exceeds the maximum allowed ({MADE_ELEMENTS_MAX})"),
        ));
    }
    Ok(())
}

/// What the rest of a path makes where there is nothing: numbers make arrays, anything else objects.
fn made(steps: &[&str], new: Value) -> PgResult<Value> {
    let Some((step, rest)) = steps.split_first() else { return Ok(new) };
    let inner = made(rest, new)?;
    match step.parse::<i32>() {
        Ok(index) => {
            let index = usize::try_from(index).unwrap_or(0);
            check_length(index)?;
            let mut elements = vec![Value::Null; index];
            elements.push(inner);
            Ok(Value::Array(elements))
        }
        Err(_) => Ok(Value::object(vec![((*step).to_owned(), inner)])),
    }
}
