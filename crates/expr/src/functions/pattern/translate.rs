//! PostgreSQL's advanced regular expressions (9.7.3) as expressions of the `regex` crate.
//!
//! The two agree in most of their syntax; what differs is rewritten here: escapes (`\m \M \y \A \Z \uXXXX` ...), bracket expressions
//! (a `]` first, a lone `[`, `\d` inside), embedded options, newline modes, octal and hexadecimal escapes.
//!
//! Not supported, answered with 0A000: back references, look-ahead and look-behind, basic regular expressions, collating elements of
//! several characters. Differs: a pattern that mixes greedy and non-greedy quantifiers matches by each quantifier's own
//! preference, not by that of the first; that changes what is extracted or replaced, never whether something matches.

use types::{PgError, PgResult, SqlState};

/// Options, from a flags argument and embedded at the start of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) ignore_case: bool,
    /// `.` and negated brackets stop at newlines.
    pub(super) newline_stops: bool,
    /// `^` and `$` match at newlines.
    pub(super) newline_anchors: bool,
    pub(super) expanded: bool,
    pub(super) literal: bool,
    pub(super) global: bool,
}

impl Options {
    /// Reads a flags argument. 22023 on an unknown one.
    pub(super) fn parse(flags: &str) -> PgResult<Options> {
        let mut options = Options::default();
        for flag in flags.chars() {
            if !options.set(flag)? {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("invalid regular expression option: \"{flag}\""),
                ));
            }
        }
        Ok(options)
    }

    fn set(&mut self, flag: char) -> PgResult<bool> {
        match flag {
            'g' => self.global = true,
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'm' | 'n' => (self.newline_stops, self.newline_anchors) = (true, true),
            'p' => (self.newline_stops, self.newline_anchors) = (true, false),
            's' => (self.newline_stops, self.newline_anchors) = (false, false),
            'w' => (self.newline_stops, self.newline_anchors) = (false, true),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'e' => {}
            'b' => return Err(PgError::unsupported("basic regular expressions (option b)")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

pub(super) fn invalid(reason: &str) -> PgError {
    PgError::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {reason}"))
}

fn unsupported(what: &str) -> PgError {
    PgError::unsupported(format!("{what} in regular expressions"))
}

/// A pattern for the `regex` crate, and the options it is to be built with.
///
/// - `choices`: it can match in several lengths from one place, and always prefers the longest.
pub(super) struct Translated {
    pub(super) pattern: String,
    pub(super) options: Options,
    pub(super) choices: bool,
}

pub(super) fn translate(pattern: &str, options: Options) -> PgResult<Translated> {
    let mut options = options;
    let mut pattern = pattern;
    if let Some(rest) = pattern.strip_prefix("***=") {
        options.literal = true;
        pattern = rest;
    } else if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest;
    } else if pattern.starts_with("***") {
        return Err(invalid("invalid regexp (reg version 0.8)"));
    }
    if options.literal {
        return Ok(Translated { pattern: regex::escape(pattern), options, choices: false });
    }
    pattern = embedded_options(pattern, &mut options)?;
    let mut translator = Translator {
        rest: pattern,
        options,
        out: String::with_capacity(pattern.len() + 8),
        choices: false,
        lazy: false,
    };
    translator.run()?;
    let choices = translator.choices && !translator.lazy;
    Ok(Translated { pattern: translator.out, options, choices })
}

/// `(?flags)` at the very start.
fn embedded_options<'a>(pattern: &'a str, options: &mut Options) -> PgResult<&'a str> {
    let Some(rest) = pattern.strip_prefix("(?") else { return Ok(pattern) };
    let letters = rest.chars().take_while(char::is_ascii_alphabetic).count();
    if letters == 0 || !rest[letters..].starts_with(')') {
        return Ok(pattern);
    }
    for flag in rest[..letters].chars() {
        if flag == 'g' || !options.set(flag)? {
            return Err(invalid("invalid embedded option"));
        }
    }
    Ok(&rest[letters + 1..])
}

struct Translator<'a> {
    rest: &'a str,
    options: Options,
    out: String,
    /// An alternation or a quantifier has been met; a non-greedy quantifier has.
    choices: bool,
    lazy: bool,
}

/// PostgreSQL's DUPMAX.
const REPETITIONS_MAX: u32 = 255;

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn run(&mut self) -> PgResult<()> {
        let mut depth = 0usize;
        // Whether something stands before that a quantifier can apply to.
        let mut operand = false;
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.escape()?;
                    operand = true;
                }
                '[' => {
                    self.bracket()?;
                    operand = true;
                }
                '(' => {
                    self.group()?;
                    depth += 1;
                    operand = false;
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or_else(|| invalid("parentheses () not balanced"))?;
                    self.out.push(')');
                    operand = true;
                }
                '|' => {
                    self.choices = true;
                    self.out.push('|');
                    operand = false;
                }
                '*' | '+' | '?' => {
                    self.quantifier(operand, &c.to_string())?;
                    operand = false;
                }
                '{' if self.rest.starts_with(|next: char| next.is_ascii_digit()) => {
                    let bound = self.bound()?;
                    self.quantifier(operand, &bound)?;
                    operand = false;
                }
                '.' => {
                    self.out.push_str(if self.options.newline_stops { "[^\\n]" } else { "." });
                    operand = true;
                }
                '^' | '$' => {
                    self.out.push(c);
                    operand = false;
                }
                c if self.options.expanded && c.is_whitespace() => {}
                '#' if self.options.expanded => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                c => {
                    self.literal(c);
                    operand = true;
                }
            }
        }
        if depth > 0 { Err(invalid("parentheses () not balanced")) } else { Ok(()) }
    }

    fn literal(&mut self, c: char) {
        if matches!(c, '{' | '}' | ']' | '&' | '~' | '-' | '#') || c.is_whitespace() {
            let mut buffer = [0; 4];
            self.out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
        } else {
            self.out.push(c);
        }
    }

    fn group(&mut self) -> PgResult<()> {
        if self.eat("?:") {
            self.out.push_str("(?:");
        } else if self.eat("?=") || self.eat("?!") {
            return Err(unsupported("look-ahead"));
        } else if self.eat("?<") {
            return Err(unsupported("look-behind"));
        } else if self.eat("?#") {
            // A comment.
            let end = self.rest.find(')').ok_or_else(|| invalid("parentheses () not balanced"))?;
            self.rest = &self.rest[end..];
            self.out.push_str("(?:");
        } else if self.rest.starts_with('?') {
            return Err(invalid("quantifier operand invalid"));
        } else {
            self.out.push('(');
        }
        Ok(())
    }

    /// The rest of `{m,n}`.
    fn bound(&mut self) -> PgResult<String> {
        let end = self.rest.find('}').ok_or_else(|| invalid("braces {} not balanced"))?;
        let body = &self.rest[..end];
        let bad = || invalid("invalid repetition count(s)");
        let number = |digits: &str| digits.parse::<u32>().ok().filter(|count| *count <= REPETITIONS_MAX);
        match body.split_once(',') {
            None => {
                number(body).ok_or_else(bad)?;
            }
            Some((low, "")) => {
                number(low).ok_or_else(bad)?;
            }
            Some((low, high)) => {
                let (low, high) = (number(low).ok_or_else(bad)?, number(high).ok_or_else(bad)?);
                if low > high {
                    return Err(bad());
                }
            }
        }
        let bound = format!("{{{body}}}");
        self.rest = &self.rest[end + 1..];
        Ok(bound)
    }

    fn quantifier(&mut self, operand: bool, text: &str) -> PgResult<()> {
        if !operand {
            return Err(invalid("quantifier operand invalid"));
        }
        self.choices = true;
        self.out.push_str(text);
        if self.eat("?") {
            self.lazy = true;
            self.out.push('?');
        }
        Ok(())
    }

    /// What follows a backslash outside brackets.
    fn escape(&mut self) -> PgResult<()> {
        let c = self.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        let same = match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => {
                self.out.push('\\');
                self.out.push(c);
                return Ok(());
            }
            'A' => "\\A",
            'Z' => "\\z",
            'm' | '<' => "\\b{start}",
            'M' | '>' => "\\b{end}",
            'y' => "\\b",
            'Y' => "\\B",
            '1'..='9' => return Err(unsupported("back references")),
            _ => {
                let c = self.character(c)?;
                let mut buffer = [0; 4];
                self.out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
                return Ok(());
            }
        };
        self.out.push_str(same);
        Ok(())
    }

    /// The character that an escape stands for, its first character taken.
    fn character(&mut self, c: char) -> PgResult<char> {
        let bad = || invalid("invalid escape \\ sequence");
        Ok(match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'B' => '\\',
            'e' => '\u{1b}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '0' => {
                let digits =
                    self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
                let code = u32::from_str_radix(&self.rest[..digits], 8).unwrap_or(0);
                self.rest = &self.rest[digits..];
                char::from_u32(code).ok_or_else(bad)?
            }
            'c' => {
                let control = self.next().ok_or_else(bad)?;
                char::from_u32(control as u32 & 0x1f).ok_or_else(bad)?
            }
            'u' => self.hexadecimal(4, 4)?,
            'U' => self.hexadecimal(8, 8)?,
            'x' => self.hexadecimal(1, usize::MAX)?,
            c if c.is_ascii_alphanumeric() => return Err(bad()),
            c => c,
        })
    }

    fn hexadecimal(&mut self, least: usize, most: usize) -> PgResult<char> {
        let bad = || invalid("invalid escape \\ sequence");
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        if digits < least {
            return Err(bad());
        }
        let code = u32::from_str_radix(&self.rest[..digits], 16).map_err(|_| bad())?;
        self.rest = &self.rest[digits..];
        char::from_u32(code).ok_or_else(bad)
    }

    /// The rest of a bracket expression.
    fn bracket(&mut self) -> PgResult<()> {
        let unbalanced = || invalid("brackets [] not balanced");
        // Word boundaries in the old style.
        if self.eat("[:<:]]") {
            self.out.push_str("\\b{start}");
            return Ok(());
        }
        if self.eat("[:>:]]") {
            self.out.push_str("\\b{end}");
            return Ok(());
        }
        self.out.push('[');
        let negated = self.eat("^");
        if negated {
            self.out.push('^');
            if self.options.newline_stops {
                self.out.push_str("\\n");
            }
        }
        let mut first = true;
        loop {
            let c = self.next().ok_or_else(unbalanced)?;
            match c {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') => self.named_class()?,
                '[' if self.rest.starts_with(['.', '=']) => self.collating_element()?,
                '\\' => {
                    let c = self.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                    match c {
                        'd' | 's' | 'w' | 'D' | 'S' | 'W' => {
                            self.out.push('\\');
                            self.out.push(c);
                        }
                        c => {
                            let c = self.character(c)?;
                            self.class_character(c);
                        }
                    }
                }
                // A range, unless it stands first or last.
                '-' if !first && !self.rest.starts_with(']') => self.out.push('-'),
                c => self.class_character(c),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// The rest of `[:name:]`.
    fn named_class(&mut self) -> PgResult<()> {
        let end = self.rest.find(":]").ok_or_else(|| invalid("brackets [] not balanced"))?;
        let class = &self.rest[1..end];
        match class {
            "alnum" => self.out.push_str("\\p{Alphabetic}\\p{Nd}"),
            "alpha" => self.out.push_str("\\p{Alphabetic}"),
            "upper" => self.out.push_str("\\p{Uppercase}"),
            "lower" => self.out.push_str("\\p{Lowercase}"),
            "digit" => self.out.push_str("\\d"),
            "space" => self.out.push_str("\\s"),
            "word" => self.out.push_str("\\w"),
            "blank" | "cntrl" | "graph" | "print" | "punct" | "xdigit" | "ascii" => {
                self.out.push_str(&format!("[:{class}:]"));
            }
            _ => return Err(invalid("invalid character class")),
        }
        self.rest = &self.rest[end + 2..];
        Ok(())
    }

    /// The rest of `[.x.]` or `[=x=]`.
    fn collating_element(&mut self) -> PgResult<()> {
        let close = if self.rest.starts_with('.') { ".]" } else { "=]" };
        let end = self.rest[1..].find(close).ok_or_else(|| invalid("brackets [] not balanced"))? + 1;
        let mut characters = self.rest[1..end].chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => self.class_character(c),
            _ => return Err(unsupported("collating elements")),
        }
        self.rest = &self.rest[end + 2..];
        Ok(())
    }

    /// A character that stands for itself in a class.
    fn class_character(&mut self, c: char) {
        if c.is_ascii_punctuation() {
            self.out.push('\\');
        }
        if c.is_whitespace() && self.options.expanded {
            self.out.push_str(&format!("\\x{{{:x}}}", c as u32));
        } else {
            self.out.push(c);
        }
    }
}
