//! Errors and notices as libpq prints them: severity, message, the line of the query with a mark, detail, hint, context.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

use crate::client::ServerMessage;

/// Widest piece of the query's line that is shown, in screen columns.
const LINE_COLUMNS_MAX: usize = 60;
/// How many columns right of the mark are kept when a line is cut.
const RIGHT_COLUMNS_MIN: usize = 10;

/// The message with a line break at its end.
pub fn text(message: &ServerMessage, query: &str) -> String {
    let mut text = format!("{}:  {}\n", message.severity(), message.message());
    if let Some(position) = message.position() {
        text.push_str(&marked_line(query, position));
    } else if let (Some(query), Some(position)) = (message.internal_query(), message.internal_position()) {
        text.push_str(&marked_line(query, position));
    }
    let context = message.context().filter(|_| message.is_error());
    let query = message.internal_query();
    for (name, part) in
        [("DETAIL", message.detail()), ("HINT", message.hint()), ("QUERY", query), ("CONTEXT", context)]
    {
        if let Some(part) = part {
            writeln!(text, "{name}:  {part}").expect("a string takes all that is written");
        }
    }
    text
}

/// `LINE n: ...` with a mark under the character at `position` (from 1); nothing if that is outside of the query.
fn marked_line(query: &str, position: usize) -> String {
    let characters: Vec<char> = query.chars().collect();
    let Some(at) = position.checked_sub(1).filter(|at| *at <= characters.len()) else { return String::new() };
    let is_break = |c: &char| *c == '\n' || *c == '\r';
    let before = &characters[..at];
    let start = before.iter().rposition(is_break).map_or(0, |index| index + 1);
    let end = characters[at..].iter().position(is_break).map_or(characters.len(), |index| at + index);
    let breaks = before
        .iter()
        .enumerate()
        .filter(|(index, c)| is_break(c) && !(**c == '\n' && *index > 0 && before[index - 1] == '\r'));
    let line_number = 1 + breaks.count();
    let columns = |range: &[char]| range.iter().map(|c| c.width().unwrap_or(1).max(1)).sum::<usize>();
    let (mut from, mut to) = (start, end);
    if columns(&characters[from..to]) > LINE_COLUMNS_MAX {
        if LINE_COLUMNS_MAX >= columns(&characters[from..at]) + RIGHT_COLUMNS_MIN {
            while columns(&characters[from..to]) > LINE_COLUMNS_MAX {
                to -= 1;
            }
        } else {
            while columns(&characters[at..to]) > RIGHT_COLUMNS_MIN {
                to -= 1;
            }
            while columns(&characters[from..to]) > LINE_COLUMNS_MAX {
                from += 1;
            }
        }
    }
    let shown: String = characters[from..to].iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
    let cut_left = if from > start { "..." } else { "" };
    let cut_right = if to < end { "..." } else { "" };
    let prefix = format!("LINE {line_number}: {cut_left}");
    let indent = prefix.chars().count() + columns(&characters[from..at]);
    format!("{prefix}{shown}{cut_right}\n{}^\n", " ".repeat(indent))
}

/// An operating-system error without the number that Rust adds.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_the_character() {
        assert_eq!(marked_line("SELECT x", 8), "LINE 1: SELECT x\n               ^\n");
        assert_eq!(marked_line("SELECT\n\tx;", 9), "LINE 2:  x;\n         ^\n");
        assert_eq!(marked_line("a\r\nb\r\nc", 7), "LINE 3: c\n        ^\n");
        assert_eq!(marked_line("x", 5), "");
        assert_eq!(marked_line("x", 0), "");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let query = format!("SELECT {} bad, {}", "1, ".repeat(40), "2, ".repeat(40));
        let position = query.find("bad").expect("it is there") + 1;
        let shown = marked_line(&query, position);
        let (line, mark) = shown.split_once('\n').expect("two lines");
        assert!(line.starts_with("LINE 1: ...") && line.ends_with("..."), "{line}");
        assert_eq!(&line[mark.find('^').expect("a mark")..][..3], "bad");
    }
}
