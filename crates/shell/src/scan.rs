//! Lines of input into statements and backslash commands, as psql's lexer does it.
//!
//! A statement ends at a semicolon outside of quotes, comments and parentheses. A backslash outside of these begins a
//! command, which ends with the line or at `\\`; what stands before it stays in the buffer as a query to be continued.

use crate::variables::Variables;

/// What the scanner has come upon.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole statement, with its semicolon.
    Statement(String),
    /// A backslash command, without its backslash, and the rest of its line.
    Command { name: String, arguments: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// `'...'`; in `E'...'` a backslash escapes.
    Quotes {
        escapes: bool,
    },
    DoubleQuotes,
    /// `$tag$...$tag$`, with the closing tag.
    Dollars(String),
    /// `/*...*/`, which nest.
    Comment(usize),
}

/// - `buffer` holds what has been read of a statement that is not at its end; it never begins with a blank.
/// - `line[at..]` is input that has not been looked at.
/// - `previous` is the last statement that was run: what `\p` shows and `\g` repeats when the buffer is empty.
#[derive(Debug)]
pub struct Scanner {
    buffer: String,
    line: String,
    at: usize,
    inside: Inside,
    parentheses: usize,
    previous: String,
    /// The length of the buffer with the line break of the last `feed`.
    fed_length: usize,
}

impl Scanner {
    pub fn new() -> Scanner {
        Scanner {
            buffer: String::new(),
            line: String::new(),
            at: 0,
            inside: Inside::Nothing,
            parentheses: 0,
            previous: String::new(),
            fed_length: 0,
        }
    }

    /// Gives the next line, without its line break. The pieces of the line before must have been taken.
    pub fn feed(&mut self, line: &str) {
        if !self.buffer.is_empty() {
            self.buffer.push('\n');
        }
        self.fed_length = self.buffer.len();
        self.line = line.to_string();
        self.at = 0;
    }

    /// The statement so far.
    pub fn buffer(&self) -> &str {
        &self.buffer
    }

    /// The statement so far, or the one before if nothing of the next has come.
    pub fn current(&self) -> &str {
        if self.buffer.is_empty() { &self.previous } else { &self.buffer }
    }

    /// Takes the statement so far and forgets where in it we were.
    pub fn take_buffer(&mut self) -> String {
        self.inside = Inside::Nothing;
        self.parentheses = 0;
        std::mem::take(&mut self.buffer)
    }

    /// Takes what [`Scanner::current`] gives, to run it.
    pub fn take_current(&mut self) -> String {
        let buffer = self.take_buffer();
        if !buffer.is_empty() {
            self.previous = buffer;
        }
        self.previous.clone()
    }

    /// Forgets everything, the rest of the line included.
    pub fn reset(&mut self) {
        self.take_buffer();
        self.at = self.line.len();
    }

    /// The character before the `#` or `>` of the prompt: what the scanner is in the middle of.
    pub fn prompt_mark(&self) -> char {
        match &self.inside {
            Inside::Quotes { .. } => '\'',
            Inside::DoubleQuotes => '"',
            Inside::Dollars(_) => '$',
            Inside::Comment(_) => '*',
            Inside::Nothing if self.parentheses > 0 => '(',
            Inside::Nothing if self.buffer.is_empty() => '=',
            Inside::Nothing => '-',
        }
    }

    /// The next piece of the lines so far; `None` when more input is needed.
    pub fn next_piece(&mut self, variables: &Variables) -> Option<Piece> {
        while self.at < self.line.len() {
            match self.inside {
                Inside::Nothing => {
                    if let Some(piece) = self.scan_code(variables) {
                        return Some(piece);
                    }
                }
                _ => self.scan_inside(),
            }
        }
        None
    }

    fn rest(&self) -> &str {
        &self.line[self.at..]
    }

    /// Moves `length` bytes from the input to the buffer.
    fn take(&mut self, length: usize) {
        let taken = &self.line[self.at..self.at + length];
        self.buffer.push_str(taken);
        self.at += length;
    }

    fn scan_code(&mut self, variables: &Variables) -> Option<Piece> {
        let rest = self.rest();
        let first = rest.chars().next().expect("there is input left");
        if rest.starts_with("--") {
            return self.take_or_skip(rest.len());
        }
        if first.is_whitespace() {
            return self.take_or_skip(first.len_utf8());
        }
        let mut length = first.len_utf8();
        match first {
            ';' => {
                self.take(1);
                return (self.parentheses == 0).then(|| Piece::Statement(self.take_current()));
            }
            '\\' => return Some(self.scan_command()),
            '(' => self.parentheses += 1,
            ')' => self.parentheses = self.parentheses.saturating_sub(1),
            '\'' => self.inside = Inside::Quotes { escapes: self.ends_in_escape_prefix() },
            '"' => self.inside = Inside::DoubleQuotes,
            '/' if rest.starts_with("/*") => {
                self.inside = Inside::Comment(1);
                length = 2;
            }
            '$' => {
                if let Some(tag) = dollar_tag(rest).filter(|_| !self.ends_in_word()) {
                    length = tag.len();
                    self.inside = Inside::Dollars(tag.to_string());
                }
            }
            ':' if rest.starts_with("::") => length = 2,
            ':' => {
                if let Some((value, consumed)) = variables.reference(rest) {
                    self.buffer.push_str(&value);
                    self.at += consumed;
                    return None;
                }
            }
            _ => {}
        }
        self.take(length);
        None
    }

    /// Blanks and line comments before a statement are dropped, those inside of it are kept.
    fn take_or_skip(&mut self, length: usize) -> Option<Piece> {
        if self.buffer.is_empty() {
            self.at += length;
        } else {
            self.take(length);
        }
        None
    }

    fn ends_in_word(&self) -> bool {
        self.buffer.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    /// Whether the buffer ends with the E of `E'...'`.
    fn ends_in_escape_prefix(&self) -> bool {
        self.buffer
            .strip_suffix(['e', 'E'])
            .is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$'))
    }

    fn scan_inside(&mut self) {
        let rest = &self.line[self.at..];
        let first = rest.chars().next().expect("there is input left").len_utf8();
        let (length, inside) = match &self.inside {
            Inside::Quotes { escapes: true } if rest.starts_with('\\') => {
                (1 + rest[1..].chars().next().map_or(0, char::len_utf8), None)
            }
            Inside::Quotes { .. } if rest.starts_with("''") => (2, None),
            Inside::Quotes { .. } if rest.starts_with('\'') => (1, Some(Inside::Nothing)),
            Inside::DoubleQuotes if rest.starts_with('"') => (1, Some(Inside::Nothing)),
            Inside::Dollars(tag) if rest.starts_with(tag.as_str()) => (tag.len(), Some(Inside::Nothing)),
            Inside::Comment(depth) if rest.starts_with("/*") => (2, Some(Inside::Comment(depth + 1))),
            Inside::Comment(1) if rest.starts_with("*/") => (2, Some(Inside::Nothing)),
            Inside::Comment(depth) if rest.starts_with("*/") => (2, Some(Inside::Comment(depth - 1))),
            _ => (first, None),
        };
        self.take(length);
        if let Some(inside) = inside {
            self.inside = inside;
        }
    }

    fn scan_command(&mut self) -> Piece {
        // A line with a command alone adds nothing to the statement, not even its line break.
        if self.buffer.len() == self.fed_length && self.buffer.ends_with('\n') {
            self.buffer.pop();
        }
        let rest = &self.line[self.at + 1..];
        let name_length = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| c.is_whitespace() || *c == '\\')
            .map_or(rest.len(), |(index, _)| index);
        let (name, after) = rest.split_at(name_length);
        let end = after.find("\\\\").unwrap_or(after.len());
        let piece = Piece::Command { name: name.to_string(), arguments: after[..end].trim().to_string() };
        self.at += 1 + name_length + (end + 2).min(after.len());
        piece
    }
}

/// The opening `$tag$` that the text begins with.
fn dollar_tag(text: &str) -> Option<&str> {
    let rest = &text[1..];
    let length = rest.find('$')?;
    let tag = &rest[..length];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    is_tag.then(|| &text[..length + 2])
}

/// Splits the arguments of a command at blanks. `'...'` keeps blanks and understands `''` and `\n`; `"..."` keeps them and
/// itself, for names. `:name` is put in.
pub fn split_arguments(text: &str, variables: &Variables) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut argument = String::new();
        while let Some(first) = rest.chars().next().filter(|c| !c.is_whitespace()) {
            if let Some((value, length)) = variables.reference(rest) {
                argument.push_str(&value);
                rest = &rest[length..];
            } else if first == '\'' {
                rest = unquote(&rest[1..], &mut argument);
            } else if first == '"' {
                let length = rest[1..].find('"').map_or(rest.len(), |close| close + 2);
                argument.push_str(&rest[..length]);
                rest = &rest[length..];
            } else {
                argument.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        arguments.push(argument);
        rest = rest.trim_start();
    }
    arguments
}

/// Reads up to the closing quote; gives what comes after it.
fn unquote<'a>(text: &'a str, into: &mut String) -> &'a str {
    let mut characters = text.char_indices().peekable();
    while let Some((index, c)) = characters.next() {
        match c {
            '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
                into.push('\'');
            }
            '\'' => return &text[index + 1..],
            '\\' => match characters.next() {
                Some((_, 'n')) => into.push('\n'),
                Some((_, 't')) => into.push('\t'),
                Some((_, other)) => into.push(other),
                None => into.push('\\'),
            },
            other => into.push(other),
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(lines: &[&str]) -> (Vec<Piece>, Scanner) {
        let (mut scanner, mut pieces) = (Scanner::new(), Vec::new());
        let mut variables = Variables::default();
        variables.set("v", "5");
        for line in lines {
            scanner.feed(line);
            while let Some(piece) = scanner.next_piece(&variables) {
                pieces.push(piece);
            }
        }
        (pieces, scanner)
    }

    fn statements(lines: &[&str]) -> Vec<String> {
        let (pieces, scanner) = scan(lines);
        assert_eq!(scanner.buffer(), "");
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Statement(text) => text,
                Piece::Command { name, .. } => panic!("no command is expected: {name}"),
            })
            .collect()
    }

    #[test]
    fn semicolons_count_outside_of_quotes_comments_and_parentheses_alone() {
        let texts = [
            "SELECT ';', \";\", $$;$$, $a$;$$;$a$;",
            "SELECT E'\\';';",
            "SELECT 'it''s;' /* ; /* ; */ ; */;",
            "CREATE RULE r AS (a; b);",
            "SELECT a$b$c;",
            "SELECT 1 -- ;",
        ];
        for text in &texts[..5] {
            assert_eq!(statements(&[text]), [*text]);
        }
        assert_eq!(statements(&[texts[5], ";"]), ["SELECT 1 -- ;\n;"]);
    }

    #[test]
    fn a_statement_spans_lines_and_a_line_holds_several() {
        assert_eq!(
            statements(&["  -- first", "", " SELECT 1", "  ;  SELECT", "2;"]),
            ["SELECT 1\n  ;", "SELECT\n2;"]
        );
    }

    #[test]
    fn commands_end_with_the_line_or_at_two_backslashes() {
        let (pieces, scanner) = scan(&["SELECT 1 \\g \\\\ SELECT 2;", "\\d  \"my table\" ", "\\x\\timing"]);
        let command =
            |name: &str, arguments: &str| Piece::Command { name: name.into(), arguments: arguments.into() };
        assert_eq!(pieces[0], command("g", ""));
        assert_eq!(pieces[1], Piece::Statement("SELECT 1  SELECT 2;".to_string()));
        assert_eq!(pieces[2..], [command("d", "\"my table\""), command("x", "\\timing")]);
        assert_eq!(scanner.buffer(), "");
    }

    #[test]
    fn variables_are_put_in_where_they_are_set() {
        assert_eq!(statements(&["SELECT :v, ':v', a::v, :w;"]), ["SELECT 5, ':v', a::v, :w;"]);
        let mut variables = Variables::default();
        variables.set("v", "5");
        assert_eq!(split_arguments("a 'b ''c\\n' \"d e\"f :v", &variables), ["a", "b 'c\n", "\"d e\"f", "5"]);
    }

    #[test]
    fn the_prompt_tells_what_is_open() {
        for (line, mark) in [
            ("", '='),
            ("SELECT", '-'),
            ("SELECT '", '\''),
            ("(", '('),
            ("/*", '*'),
            ("$x$", '$'),
            ("\"", '"'),
        ] {
            assert_eq!(scan(&[line]).1.prompt_mark(), mark, "{line}");
        }
    }
}
