//! SIMILAR TO: its patterns rewritten as regular expressions (PostgreSQL's similar_escape_internal).

use super::super::kernel::{evaluators, too_few};
use super::super::string::texts;
use super::super::text::{row_of, text_at};
use crate::EvalContext;
use types::{PgError, PgResult, SqlState, Vector};

/// The regular expression of a SIMILAR pattern. `escape`: `None` for the default backslash, empty for none.
pub(super) fn to_regexp(pattern: &str, escape: Option<&str>) -> PgResult<String> {
    let escape = match escape {
        None => Some('\\'),
        Some(escape) => {
            let mut characters = escape.chars();
            let first = characters.next();
            if characters.next().is_some() {
                return Err(PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                    .hint("Escape string must be empty or one character."));
            }
            first
        }
    };
    let mut out = String::with_capacity(pattern.len() + 8);
    out.push_str("^(?:");
    let (mut after_escape, mut in_class, mut quotes) = (false, false, 0);
    for c in pattern.chars() {
        if after_escape {
            after_escape = false;
            if c == '"' && !in_class {
                match quotes {
                    0 => out.push_str("){1,1}?("),
                    1 => out.push_str("){1,1}(?:"),
                    _ => {
                        return Err(PgError::new(
                            SqlState(*b"2200C"),
                            "SQL regular expression may not contain more than two escape-double-quote separators",
                        ));
                    }
                }
                quotes += 1;
            } else {
                // Letters and digits would mean something else after a backslash: PostgreSQL passes them on alike.
                out.push('\\');
                out.push(c);
            }
        } else if Some(c) == escape {
            after_escape = true;
        } else if in_class {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            in_class = c != ']';
        } else {
            match c {
                '[' => {
                    out.push(c);
                    in_class = true;
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}

evaluators! {
    fn similar_to_escape_1(pattern: text) -> try text { to_regexp(pattern, None) }
    fn similar_to_escape_2(pattern: text, escape: text) -> try text { to_regexp(pattern, Some(escape)) }
}

/// The older form: a NULL escape means the default one.
pub fn similar_escape(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let [patterns, escapes] = arguments else { return Err(too_few()) };
    texts(context, rows, |row| {
        let escape = text_at(escapes, row_of(escapes, row, rows), context)?;
        let pattern = text_at(patterns, row_of(patterns, row, rows), context)?;
        pattern.map(|pattern| to_regexp(&pattern, escape.as_deref())).transpose()
    })
}
