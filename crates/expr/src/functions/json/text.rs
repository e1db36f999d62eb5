//! Pieces of valid JSON text: values, members and elements as slices.

use types::json;

/// The kind of the value that a (trimmed) text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

pub(crate) fn kind(text: &str) -> Kind {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Number => "number",
        Kind::Bool => "boolean",
        Kind::Null => "null",
    }
}

/// The end of the value that begins `text`, which must begin with one.
fn value_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                if depth == 0 {
                    return at.min(bytes.len());
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Walks over the values of a container, keys included, in order.
struct Values<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',', ':']);
        if rest.is_empty() || rest.starts_with(['}', ']']) {
            return None;
        }
        let (value, rest) = rest.split_at(value_end(rest));
        self.rest = rest;
        Some(value)
    }
}

fn inside(text: &str) -> Values<'_> {
    let text = text.trim_start();
    Values { rest: text.get(1..).unwrap_or("") }
}

/// The elements of an array.
pub(crate) fn elements(text: &str) -> impl Iterator<Item = &str> {
    inside(text)
}

/// The members of an object: keys unescaped, values as they stand.
pub(crate) fn members(text: &str) -> impl Iterator<Item = (String, &str)> {
    let mut values = inside(text);
    std::iter::from_fn(move || {
        let key = values.next()?;
        Some((string(key), values.next()?))
    })
}

/// The characters of a JSON string.
pub(crate) fn string(text: &str) -> String {
    match json::parse(text) {
        Ok(json::Value::String(text)) => text,
        _ => text.to_owned(),
    }
}

/// A member; the last of equal keys.
pub(crate) fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    (kind(text) == Kind::Object)
        .then(|| members(text).filter(|(name, _)| name == key).last())?
        .map(|(_, value)| value)
}

/// An element; a negative index counts from the end.
pub(crate) fn element(text: &str, index: i64) -> Option<&str> {
    if kind(text) != Kind::Array {
        return None;
    }
    let index = if index < 0 { index + elements(text).count() as i64 } else { index };
    elements(text).nth(usize::try_from(index).ok()?)
}

/// What a step of a path names: a member, or an element by its number.
pub(crate) fn step<'a>(text: &'a str, step: &str) -> Option<&'a str> {
    match kind(text) {
        Kind::Object => member(text, step),
        Kind::Array => element(text, step.trim().parse().ok()?),
        _ => None,
    }
}

/// What `->>` shows: a string's characters, any other value's text; `None` for null.
pub(crate) fn shown(text: &str) -> Option<String> {
    match kind(text) {
        Kind::Null => None,
        Kind::String => Some(string(text.trim())),
        _ => Some(text.trim().to_owned()),
    }
}
