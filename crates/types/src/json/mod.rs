//! json and jsonb: validation, jsonb's normal form and order.

use crate::error::PgResult;
use std::cmp::Ordering;

/// Checks that `text` is JSON (22P02 with PostgreSQL's detail otherwise).
pub fn validate(text: &str) -> PgResult<()> {
    let _ = text;
    crate::pending()
}

/// jsonb's input: keys sorted (shorter first, then by bytes), last duplicate wins, `", "` and `": "` as separators.
pub fn normalize(text: &str) -> PgResult<Box<str>> {
    let _ = text;
    crate::pending()
}

/// jsonb's btree order of two normalised texts.
pub fn compare(a: &str, b: &str) -> Ordering {
    let _ = (a, b);
    crate::pending()
}

/// A text that is the same for equal jsonb values: normalised, with numbers without trailing zeros.
pub fn canonical(text: &str) -> String {
    let _ = text;
    crate::pending()
}
