//! json and jsonb: validation, jsonb's normal form, its order.
//!
//! json keeps its text and only has to be valid. jsonb keeps a *normal form*, which for us is text too: keys sorted (shorter ones first,
//! then by bytes), the last of equal ones kept, numbers as numeric prints them, one blank after `,` and `:`. Values are parsed
//! from it when something looks inside.
//!
//! Nesting is bounded ([`DEPTH_MAX`]), because a parser that recurses must not be led to overflow its stack.

mod lexer;
mod parser;
#[cfg(test)]
mod tests;
mod value;

pub use value::{Value, write_string};

use crate::error::PgResult;
use std::cmp::Ordering;

/// Arrays and objects within one another at most; 54001 beyond.
pub const DEPTH_MAX: usize = 1024;

/// Checks that `text` is JSON (22P02 with PostgreSQL's detail otherwise).
pub fn validate(text: &str) -> PgResult<()> {
    parser::Parser::new(text, parser::Purpose::Check).document().map(drop)
}

/// Parses JSON as jsonb does: keys sorted and unique, escapes resolved. 22P05 on `\u0000`.
pub fn parse(text: &str) -> PgResult<Value> {
    parser::Parser::new(text, parser::Purpose::Build).document()
}

/// jsonb's input: keys sorted (shorter first, then by bytes), last duplicate wins, `", "` and `": "` as separators.
pub fn normalize(text: &str) -> PgResult<Box<str>> {
    Ok(parse(text)?.to_string().into())
}

/// jsonb's btree order of two normalised texts.
pub fn compare(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    match (parse(a), parse(b)) {
        (Ok(a), Ok(b)) => a.compare(&b),
        // Normalised text always parses.
        _ => a.cmp(b),
    }
}

/// A text that is the same for equal jsonb values: normalised, with numbers without trailing zeros.
pub fn canonical(text: &str) -> String {
    match parse(text) {
        Ok(mut value) => {
            value.trim_numbers();
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}
