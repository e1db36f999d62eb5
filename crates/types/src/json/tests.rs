//! What the table of PostgreSQL's answers does not hold: order, contexts of errors, bounds.

use super::*;
use crate::SqlState;

fn order(a: &str, b: &str) -> Ordering {
    compare(&normalize(a).unwrap(), &normalize(b).unwrap())
}

/// `order by` over these values in PostgreSQL 15.
#[test]
fn kinds_and_sizes_order_as_in_postgresql() {
    let ascending = [
        "[]",
        "null",
        "\"\"",
        "\"a\"",
        "\"b\"",
        "-1",
        "0",
        "1.5",
        "2",
        "false",
        "true",
        "[null]",
        "[\"a\"]",
        "[1]",
        "[2]",
        "[1, 1]",
        "{}",
        "{\"a\": 1}",
        "{\"a\": 2}",
        "{\"b\": 1}",
        "{\"a\": 1, \"b\": 1}",
    ];
    for (position, a) in ascending.iter().enumerate() {
        for (other, b) in ascending.iter().enumerate() {
            assert_eq!(order(a, b), position.cmp(&other), "{a} and {b}");
        }
    }
}

#[test]
fn numbers_are_equal_by_value() {
    assert_eq!(order("[1.0]", "[1.00]"), Ordering::Equal);
    assert_eq!(canonical("{\"a\": 1.50}"), canonical("{\"a\": 1.5}"));
    assert_ne!(canonical("[1]"), canonical("[\"1\"]"));
}

#[test]
fn errors_quote_the_line() {
    let context = |text: &str| validate(text).unwrap_err().fields().context.clone().unwrap();
    assert_eq!(context("{\"a\" 1}"), "JSON data, line 1: {\"a\" 1...");
    assert_eq!(context("{\n \"a\": 1,\n \"b\": x\n}"), "JSON data, line 3:  \"b\": x");
    let long = format!("[{} x]", "1,".repeat(60));
    let long = context(&long);
    assert!(
        long.starts_with("JSON data, line 1: ...") && long.ends_with(",1, x...") && long.len() < 80,
        "{long}"
    );
    assert_eq!(context("[1] 2"), "JSON data, line 1: [1] 2");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(validate(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(validate(&nested(DEPTH_MAX + 1)).unwrap_err().code(), SqlState::STATEMENT_TOO_COMPLEX);
    assert_eq!(normalize(&"[".repeat(1_000_000)).unwrap_err().code(), SqlState::STATEMENT_TOO_COMPLEX);
}

#[test]
fn keys_are_found() {
    let value = parse("{\"bb\": [1, 2], \"a\": {\"c\": null}, \"a\": 5}").unwrap();
    assert_eq!(value.get("a"), Some(&Value::Number(crate::Numeric::from_i64(5))));
    assert_eq!(value.get("bb").and_then(|list| list.element(-1)).map(Value::to_string), Some("2".into()));
    assert_eq!(value.get("c"), None);
    assert_eq!(value.to_string(), "{\"a\": 5, \"bb\": [1, 2]}");
}
