//! to_number: reading a number by a pattern.
//!
//! Digit positions take digits where there are some, a group separator takes a comma, signs are taken where they stand; other
//! characters of the pattern take one character of the text.

use super::number_pattern::{Key, Node, NumberPattern, parse};
use types::{Numeric, PgError, PgResult, SqlState};

/// `None` for an empty pattern.
pub(super) fn number(text: &str, pattern: &str) -> PgResult<Option<Numeric>> {
    if pattern.is_empty() {
        return Ok(None);
    }
    let parsed = parse(pattern)?;
    if parsed.exponent {
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input"));
    }
    if parsed.roman {
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "\"RN\" not supported for input"));
    }
    let mut reader = Reader {
        rest: text,
        pattern: &parsed,
        digits: String::new(),
        negative: false,
        point: false,
        taken_after: 0,
        taken_before: 0,
    };
    for node in &parsed.nodes {
        if reader.rest.is_empty() {
            break;
        }
        reader.node(*node);
    }
    reader.finish()
}

struct Reader<'a> {
    rest: &'a str,
    pattern: &'a NumberPattern,
    digits: String,
    negative: bool,
    point: bool,
    taken_before: usize,
    taken_after: usize,
}

impl Reader<'_> {
    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_char(&mut self) {
        if let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
        }
    }

    /// A sign in front of the first digit.
    fn leading_sign(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
        if !self.digits.is_empty() {
            return;
        }
        if self.eat('-') || (self.pattern.brackets && self.eat('<')) {
            self.negative = true;
        } else {
            self.eat('+');
        }
    }

    fn node(&mut self, node: Node) {
        match node {
            Node::Key(Key::Nine | Key::Zero) => {
                self.leading_sign();
                let digit = self.rest.chars().next().filter(char::is_ascii_digit);
                if let Some(digit) = digit {
                    if self.point {
                        if self.taken_after == self.pattern.after {
                            return;
                        }
                        self.taken_after += 1;
                    } else {
                        self.taken_before += 1;
                    }
                    self.digits.push(digit);
                    self.rest = &self.rest[1..];
                } else if self.pattern.decimal && !self.point && self.rest.starts_with('.') {
                    self.take_point();
                }
                self.trailing_sign();
            }
            Node::Key(Key::Point | Key::LocalePoint) => {
                self.leading_sign();
                if !self.point && self.rest.starts_with('.') {
                    self.take_point();
                }
            }
            Node::Key(Key::Comma | Key::LocaleGroup) => {
                if !self.digits.is_empty() || !self.pattern.fill {
                    self.eat(',');
                }
            }
            Node::Key(Key::Minus) => {
                if self.eat('-') {
                    self.negative = true;
                } else {
                    self.eat(' ');
                }
            }
            Node::Key(Key::Plus) => {
                self.eat('+');
            }
            Node::Key(Key::PlusMinus | Key::Sign) => {
                if self.eat('-') {
                    self.negative = true;
                } else {
                    self.eat('+');
                }
            }
            Node::Key(Key::Currency) => {
                if !self.rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ','))
                {
                    self.skip_char();
                }
            }
            Node::Key(Key::Ordinal { .. }) => {
                self.skip_char();
                self.skip_char();
            }
            Node::Key(_) => {}
            Node::Text(_) => {
                // Characters that may belong to the number stay for the positions that follow.
                if !self.rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | ','))
                {
                    self.skip_char();
                }
            }
        }
    }

    fn take_point(&mut self) {
        self.digits.push('.');
        self.point = true;
        self.rest = &self.rest[1..];
    }

    /// A sign behind the last digit, where the pattern allows one.
    fn trailing_sign(&mut self) {
        if self.digits.is_empty() || !(self.pattern.sign || self.pattern.minus || self.pattern.brackets) {
            return;
        }
        let last = self.taken_before + self.taken_after >= self.pattern.before + self.pattern.after;
        if last && self.pattern.sign && self.rest.starts_with(['-', '+']) {
            self.negative |= self.eat('-');
            self.eat('+');
        } else if self.pattern.brackets {
            self.eat('>');
        }
    }

    fn finish(self) -> PgResult<Option<Numeric>> {
        let digits = self.digits.trim_end_matches('.');
        let text = match (self.negative, digits.starts_with('.')) {
            (true, true) => format!("-0{digits}"),
            (true, false) => format!("-{digits}"),
            (false, true) => format!("0{digits}"),
            (false, false) => digits.to_owned(),
        };
        if digits.is_empty() {
            return Err(PgError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                "invalid input syntax for type numeric: \" \"",
            ));
        }
        let value = Numeric::parse(&text)?;
        if self.pattern.multiplied {
            let factor = Numeric::from_i64(10).power(&Numeric::from_i64(self.pattern.shift as i64))?;
            return value.div(&factor).map(Some);
        }
        Ok(Some(value))
    }
}
