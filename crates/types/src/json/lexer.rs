//! Cutting JSON into tokens, with PostgreSQL's ideas of where a bad one ends (its error messages quote it).

use crate::error::{PgError, SqlState};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    String,
    Number,
    True,
    False,
    Null,
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Comma,
    Colon,
    End,
}

/// Stands at a token.
///
/// - `start..end` is the current token; `text` is its content when it is a string and strings are built.
pub(super) struct Lexer<'a> {
    pub input: &'a str,
    pub start: usize,
    pub end: usize,
    pub token: Token,
    pub text: String,
    builds_strings: bool,
    line: usize,
    line_start: usize,
}

/// Characters that belong to a word when it is quoted in an error.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Bytes of the line that an error shows at most.
const CONTEXT_BYTES_MAX: usize = 50;

impl<'a> Lexer<'a> {
    pub fn new(input: &'a str, builds_strings: bool) -> Lexer<'a> {
        let text = String::new();
        Lexer { input, start: 0, end: 0, token: Token::End, text, builds_strings, line: 1, line_start: 0 }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.input.as_bytes().get(at).copied()
    }

    /// The current token as it is written.
    pub fn quoted(&self) -> &'a str {
        &self.input[self.start..self.end]
    }

    /// Goes to the next token.
    pub fn advance(&mut self) -> Result<(), PgError> {
        let mut at = self.end;
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.byte(at) {
            at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = at;
            }
        }
        self.start = at;
        self.end = at + 1;
        self.token = match self.byte(at) {
            None => {
                self.end = at;
                Token::End
            }
            Some(b'{') => Token::ObjectStart,
            Some(b'}') => Token::ObjectEnd,
            Some(b'[') => Token::ArrayStart,
            Some(b']') => Token::ArrayEnd,
            Some(b',') => Token::Comma,
            Some(b':') => Token::Colon,
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => return self.number(),
            Some(_) => return self.word(),
        };
        Ok(())
    }

    fn invalid_token(&self) -> PgError {
        self.error(format!("Token \"{}\" is invalid.", self.quoted()))
    }

    fn word(&mut self) -> Result<(), PgError> {
        let bytes = &self.input.as_bytes()[self.start..];
        let length = bytes.iter().take_while(|byte| is_word(**byte)).count();
        self.end = self.start + length.max(1);
        self.token = match self.quoted() {
            "true" => Token::True,
            "false" => Token::False,
            "null" => Token::Null,
            _ => return Err(self.invalid_token()),
        };
        Ok(())
    }

    fn digits(&self, from: usize) -> usize {
        self.input.as_bytes()[from.min(self.input.len())..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    fn number(&mut self) -> Result<(), PgError> {
        let mut at = self.start + usize::from(self.byte(self.start) == Some(b'-'));
        let mut valid = true;
        // All parts are gone through whether those before were valid or not: the error quotes them.
        if self.byte(at) == Some(b'0') {
            at += 1;
        } else {
            let digits = self.digits(at);
            valid &= digits > 0;
            at += digits;
        }
        if self.byte(at) == Some(b'.') {
            let digits = self.digits(at + 1);
            valid &= digits > 0;
            at += 1 + digits;
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            at += 1 + usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            let digits = self.digits(at);
            valid &= digits > 0;
            at += digits;
        }
        while self.byte(at).is_some_and(is_word) {
            at += 1;
            valid = false;
        }
        self.end = at;
        self.token = Token::Number;
        if valid { Ok(()) } else { Err(self.invalid_token()) }
    }

    /// The end of the character that begins at a byte.
    fn after_character(&self, at: usize) -> usize {
        at + self.input.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
    }

    fn string(&mut self) -> Result<(), PgError> {
        self.token = Token::String;
        self.text.clear();
        let mut at = self.start + 1;
        let mut high_surrogate: Option<u32> = None;
        loop {
            let Some(byte) = self.byte(at) else {
                self.end = at;
                return Err(self.invalid_token());
            };
            if byte == b'\\' {
                at = self.escape(at + 1, &mut high_surrogate)?;
                continue;
            }
            if high_surrogate.is_some() {
                self.end = if byte == b'"' { at } else { self.after_character(at) };
                return Err(self.low_surrogate_error());
            }
            match byte {
                b'"' => {
                    self.end = at + 1;
                    return Ok(());
                }
                0..=0x1f => {
                    self.end = at;
                    return Err(self.error(format!("Character with value 0x{byte:02x} must be escaped.")));
                }
                _ => {
                    let rest = &self.input.as_bytes()[at..];
                    let plain =
                        rest.iter().take_while(|byte| !matches!(byte, 0..=0x1f | b'"' | b'\\')).count();
                    if self.builds_strings {
                        self.text.push_str(&self.input[at..at + plain]);
                    }
                    at += plain;
                }
            }
        }
    }

    fn low_surrogate_error(&self) -> PgError {
        self.error("Unicode low surrogate must follow a high surrogate.")
    }

    /// An escape, from the character after the backslash. Returns where it ends.
    fn escape(&mut self, at: usize, high_surrogate: &mut Option<u32>) -> Result<usize, PgError> {
        let Some(byte) = self.byte(at) else {
            self.end = at;
            return Err(self.invalid_token());
        };
        if byte == b'u' {
            return self.unicode_escape(at + 1, high_surrogate);
        }
        if high_surrogate.is_some() {
            self.end = self.after_character(at);
            return Err(self.low_surrogate_error());
        }
        let character = match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => {
                (self.start, self.end) = (at, self.after_character(at));
                return Err(self.error(format!("Escape sequence \"\\{}\" is invalid.", self.quoted())));
            }
        };
        if self.builds_strings {
            self.text.push(character);
        }
        Ok(at + 1)
    }

    fn unicode_escape(&mut self, at: usize, high_surrogate: &mut Option<u32>) -> Result<usize, PgError> {
        let mut code = 0;
        for place in at..at + 4 {
            let Some(byte) = self.byte(place) else {
                self.end = place;
                return Err(self.invalid_token());
            };
            let Some(digit) = (byte as char).to_digit(16) else {
                self.end = self.after_character(place);
                return Err(self.error("\"\\u\" must be followed by four hexadecimal digits."));
            };
            code = code * 16 + digit;
        }
        if !self.builds_strings {
            return Ok(at + 4);
        }
        self.end = at + 4;
        match (code, high_surrogate.take()) {
            (0xd800..=0xdbff, Some(_)) => {
                return Err(self.error("Unicode high surrogate must not follow a high surrogate."));
            }
            (0xd800..=0xdbff, None) => *high_surrogate = Some(code),
            (0xdc00..=0xdfff, Some(high)) => {
                let combined = 0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff);
                self.text.extend(char::from_u32(combined));
            }
            (0xdc00..=0xdfff, None) | (_, Some(_)) => return Err(self.low_surrogate_error()),
            (0, None) => {
                let error =
                    PgError::new(SqlState::UNTRANSLATABLE_CHARACTER, "unsupported Unicode escape sequence");
                return Err(error.detail("\\u0000 cannot be converted to text.").context(self.context()));
            }
            (code, None) => self.text.extend(char::from_u32(code)),
        }
        Ok(at + 4)
    }

    /// 22P02 with a detail, and the line up to the current token.
    pub fn error(&self, detail: impl Into<String>) -> PgError {
        PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(detail)
            .context(self.context())
    }

    fn context(&self) -> String {
        let mut from = self.line_start;
        while self.end - from >= CONTEXT_BYTES_MAX {
            from = self.after_character(from);
        }
        if from - self.line_start <= 3 {
            from = self.line_start;
        }
        let prefix = if from > self.line_start { "..." } else { "" };
        let goes_on = self.token != Token::End && !matches!(self.byte(self.end), None | Some(b'\n' | b'\r'));
        let suffix = if goes_on { "..." } else { "" };
        format!("JSON data, line {}: {prefix}{}{suffix}", self.line, &self.input[from..self.end])
    }
}
