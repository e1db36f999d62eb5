//! Rows to lines.

use md5::{Digest, Md5};

use crate::client::Answer;
use crate::record::{Format, Sort};

/// The lines that stand for an answer.
pub fn lines(answer: &Answer, types: &str, format: Format, sort: Sort) -> Vec<String> {
    let letters: Vec<char> = types.chars().collect();
    let mut rows: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| {
            row.iter().zip(&letters).map(|(value, letter)| shown(value.as_deref(), *letter, format)).collect()
        })
        .collect();
    if sort == Sort::Rows {
        rows.sort();
    }
    let mut lines: Vec<String> = match format {
        Format::Rows => rows.into_iter().map(|row| row.join(" ")).collect(),
        Format::Values | Format::SqliteValues => rows.into_iter().flatten().collect(),
    };
    if sort == Sort::Values {
        lines.sort();
    }
    lines
}

/// `N values hashing to MD5`: of the values, each followed by a line break.
pub fn hash_line(values: &[String]) -> String {
    let mut hash = Md5::new();
    for value in values {
        hash.update(value.as_bytes());
        hash.update(b"\n");
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} values hashing to {digest}", values.len())
}

fn shown(value: Option<&str>, letter: char, format: Format) -> String {
    let Some(value) = value else { return "NULL".to_string() };
    if value.is_empty() {
        return "(empty)".to_string();
    }
    match format {
        Format::Rows | Format::Values => value.replace('\\', "\\\\").replace('\n', "\\n"),
        Format::SqliteValues => sqlite_value(value, letter),
    }
}

/// As SQLite's own test program prints a value under the column's letter.
fn sqlite_value(value: &str, letter: char) -> String {
    match letter {
        'I' => match (value.parse::<i64>(), value.parse::<f64>(), value) {
            (Ok(number), ..) => number.to_string(),
            (_, Ok(number), _) => (number as i64).to_string(),
            (.., "t") => "1".to_string(),
            // Text that begins with a number counts as that number; other text as zero.
            (.., text) => leading_integer(text).to_string(),
        },
        'R' => format!("{:.3}", value.parse::<f64>().unwrap_or(0.0)),
        _ => value.chars().map(|c| if matches!(c, ' '..='~') { c } else { '@' }).collect(),
    }
}

fn leading_integer(text: &str) -> i64 {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    text[..length + text.len() - digits.len()].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[&[Option<&str>]]) -> Answer {
        let rows: Vec<Vec<Option<String>>> =
            rows.iter().map(|row| row.iter().map(|value| value.map(str::to_string)).collect()).collect();
        Answer { columns: rows.first().map_or(0, Vec::len), count: rows.len() as u64, rows }
    }

    #[test]
    fn sqlite_values_print_by_their_letter() {
        let cases = [
            ("12", 'I', "12"),
            ("0.6666", 'I', "0"),
            ("-2.9", 'I', "-2"),
            ("t", 'I', "1"),
            ("f", 'I', "0"),
            ("7up", 'I', "7"),
            ("2", 'R', "2.000"),
            ("a\u{e9}\n", 'T', "a@@"),
        ];
        for (value, letter, expected) in cases {
            assert_eq!(sqlite_value(value, letter), expected, "{value} {letter}");
        }
    }

    #[test]
    fn rows_and_values_sort_and_hash() {
        let answer = answer(&[&[Some("2"), Some("b c")], &[Some("10"), None], &[Some("1"), Some("")]]);
        assert_eq!(lines(&answer, "IT", Format::Rows, Sort::Rows), ["1 (empty)", "10 NULL", "2 b c"]);
        let values = lines(&answer, "IT", Format::SqliteValues, Sort::Values);
        assert_eq!(values, ["(empty)", "1", "10", "2", "NULL", "b c"]);
        assert_eq!(hash_line(&["a".to_string()]), "1 values hashing to 60b725f10c9c85c70d97880dfe8191b3");
    }
}
