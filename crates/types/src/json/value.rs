//! A JSON value in memory.

use crate::numeric::Numeric;
use std::cmp::Ordering;
use std::fmt;

/// A JSON value as jsonb has it.
///
/// - The keys of an object are unique and sorted by length, then by bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// The order of keys within an object.
pub(super) fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.as_bytes().cmp(b.as_bytes()))
}

impl Value {
    /// An object of pairs in any order; the last of equal keys stays.
    pub fn object(mut pairs: Vec<(String, Value)>) -> Value {
        // A stable sort keeps equal keys in the order in which they came.
        pairs.sort_by(|a, b| compare_keys(&a.0, &b.0));
        let mut unique: Vec<(String, Value)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match unique.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => unique.push(pair),
            }
        }
        Value::Object(unique)
    }

    /// The value of a key; `None` when this is no object or has no such key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Object(pairs) = self else { return None };
        let position = pairs.binary_search_by(|(name, _)| compare_keys(name, key)).ok()?;
        Some(&pairs[position].1)
    }

    /// An element; a negative index counts from the end.
    pub fn element(&self, index: i64) -> Option<&Value> {
        let Value::Array(elements) = self else { return None };
        let index = if index < 0 { index + elements.len() as i64 } else { index };
        elements.get(usize::try_from(index).ok()?)
    }

    /// json_typeof.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }

    fn is_container(&self) -> bool {
        matches!(self, Value::Array(_) | Value::Object(_))
    }

    /// The order of kinds: objects above arrays above booleans above numbers above strings above null.
    fn kind(&self) -> u8 {
        match self {
            Value::Null => 0,
            Value::String(_) => 1,
            Value::Number(_) => 2,
            Value::Bool(_) => 3,
            Value::Array(_) => 4,
            Value::Object(_) => 5,
        }
    }

    /// jsonb's btree order. At the top a scalar counts as an array of one, so that an empty array is below it (as PostgreSQL's
    /// documentation regrets).
    pub fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Array(elements), scalar) if !scalar.is_container() => {
                elements.len().cmp(&1).then(Ordering::Greater)
            }
            (scalar, Value::Array(elements)) if !scalar.is_container() => {
                1.cmp(&elements.len()).then(Ordering::Less)
            }
            _ => self.compare_inside(other),
        }
    }

    fn compare_inside(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Number(a), Value::Number(b)) => a.compare(b),
            (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Array(a), Value::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| a.compare_inside(b))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            (Value::Object(a), Value::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| a.0.as_bytes().cmp(b.0.as_bytes()).then_with(|| a.1.compare_inside(&b.1)))
                    .find(|order| order.is_ne())
                    .unwrap_or(Ordering::Equal)
            }),
            (a, b) => a.kind().cmp(&b.kind()),
        }
    }

    /// Drops trailing zeros of all numbers.
    pub(super) fn trim_numbers(&mut self) {
        match self {
            Value::Number(number) => *number = number.trim_scale(),
            Value::Array(elements) => elements.iter_mut().for_each(Value::trim_numbers),
            Value::Object(pairs) => pairs.iter_mut().for_each(|(_, value)| value.trim_numbers()),
            _ => {}
        }
    }
}

/// Writes a string as JSON: in quotes, with what must be escaped escaped.
pub fn write_string(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            control if control < ' ' => write!(out, "\\u{:04x}", control as u32)?,
            other => out.write_char(other)?,
        }
    }
    out.write_char('"')
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Number(number) => write!(f, "{number}"),
            Value::String(text) => write_string(text, f),
            Value::Array(elements) => {
                f.write_str("[")?;
                for (position, element) in elements.iter().enumerate() {
                    f.write_str(if position > 0 { ", " } else { "" })?;
                    write!(f, "{element}")?;
                }
                f.write_str("]")
            }
            Value::Object(pairs) => {
                f.write_str("{")?;
                for (position, (key, value)) in pairs.iter().enumerate() {
                    f.write_str(if position > 0 { ", " } else { "" })?;
                    write_string(key, f)?;
                    write!(f, ": {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}
