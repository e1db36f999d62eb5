//! Words of a path.

use crate::error::{PgError, PgResult, SqlState};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A bare word: a keyword where one may stand, else a key.
    Word(String),
    String(String),
    Variable(String),
    /// Digits, with a point or an exponent perhaps.
    Number(String),
    Symbol(&'static str),
    End,
}

pub(super) fn syntax_error(near: &str) -> PgError {
    let message = if near.is_empty() {
        "syntax error at end of jsonpath input".to_string()
    } else {
        format!("syntax error at or near \"{near}\" of jsonpath input")
    };
    PgError::new(SqlState::SYNTAX_ERROR, message)
}

/// Longer ones first.
const SYMBOLS: [&str; 29] = [
    "**", "&&", "||", "==", "<>", "!=", "<=", ">=", "?", "(", ")", "[", "]", "{", "}", ".", ",", "*", "/",
    "%", "+", "-", "!", "<", ">", "@", "$", ":", "=",
];

const SPECIAL: &str = "?%$.[]{}()|&!=<>@#,*:-+/\\\" \t\n\r\u{c}";

struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    fn skip_blanks(&mut self) -> PgResult<()> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            let Some(comment) = self.rest.strip_prefix("/*") else { return Ok(()) };
            let end = comment.find("*/").ok_or_else(|| {
                PgError::new(SqlState::SYNTAX_ERROR, "unexpected end of comment at end of jsonpath input")
            })?;
            self.rest = &comment[end + 2..];
        }
    }

    fn next(&mut self) -> PgResult<Token> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else { return Ok(Token::End) };
        if first == '"' {
            return self.quoted().map(Token::String);
        }
        let second = self.rest.chars().nth(1);
        if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
            return self.number();
        }
        if first == '$' {
            if second == Some('"') {
                self.rest = &self.rest[1..];
                return self.quoted().map(Token::Variable);
            }
            if second.is_some_and(|c| !SPECIAL.contains(c)) {
                self.rest = &self.rest[1..];
                return self.word().map(Token::Variable);
            }
        }
        for symbol in SYMBOLS {
            if let Some(rest) = self.rest.strip_prefix(symbol) {
                self.rest = rest;
                return Ok(Token::Symbol(if symbol == "!=" {
                    "<>"
                } else if symbol == "=" {
                    "=="
                } else {
                    symbol
                }));
            }
        }
        if SPECIAL.contains(first) && first != '\\' {
            return Err(syntax_error(&first.to_string()));
        }
        self.word().map(Token::Word)
    }

    fn number(&mut self) -> PgResult<Token> {
        let bytes = self.rest.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let whole = digits(0);
        let mut end = whole;
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent == end + 1 + sign {
                return Err(invalid_number(&self.rest[..end + 1 + sign], "invalid numeric literal"));
            }
            end = exponent;
        }
        let text = &self.rest[..end];
        let junk = self.rest[end..].chars().next();
        if junk.is_some_and(|c| !SPECIAL.contains(c)) {
            return Err(invalid_number(text, "trailing junk after numeric literal"));
        }
        if whole > 1 && text.starts_with('0') {
            return Err(invalid_number(&text[..1], "trailing junk after numeric literal"));
        }
        self.rest = &self.rest[end..];
        Ok(Token::Number(text.to_owned()))
    }

    fn quoted(&mut self) -> PgResult<String> {
        let mut out = String::new();
        self.rest = &self.rest[1..];
        loop {
            let Some(character) = self.rest.chars().next() else {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "unterminated quoted string at end of jsonpath input",
                ));
            };
            match character {
                '"' => {
                    self.rest = &self.rest[1..];
                    return Ok(out);
                }
                '\\' => self.escape(&mut out)?,
                other => {
                    self.rest = &self.rest[other.len_utf8()..];
                    out.push(other);
                }
            }
        }
    }

    fn word(&mut self) -> PgResult<String> {
        let mut out = String::new();
        while let Some(character) = self.rest.chars().next() {
            match character {
                '\\' => self.escape(&mut out)?,
                other if SPECIAL.contains(other) => break,
                other => {
                    self.rest = &self.rest[other.len_utf8()..];
                    out.push(other);
                }
            }
        }
        Ok(out)
    }

    /// What stands at a backslash.
    fn escape(&mut self, out: &mut String) -> PgResult<()> {
        let mut characters = self.rest.chars();
        characters.next();
        let Some(escaped) = characters.next() else {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "unexpected end after backslash at end of jsonpath input",
            ));
        };
        self.rest = characters.as_str();
        match escaped {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            'x' => {
                let code = self.hex(2, 2)?;
                push_code(code, out)?;
            }
            'u' => {
                let code = self.unicode()?;
                let code = match code {
                    0xd800..0xdc00 => self.low_half(code)?,
                    0xdc00..0xe000 => return Err(unpaired()),
                    other => other,
                };
                push_code(code, out)?;
            }
            other => out.push(other),
        }
        Ok(())
    }

    fn unicode(&mut self) -> PgResult<u32> {
        if let Some(rest) = self.rest.strip_prefix('{') {
            self.rest = rest;
            let code = self.hex(1, 6)?;
            self.rest = self.rest.strip_prefix('}').ok_or_else(invalid_escape)?;
            return Ok(code);
        }
        self.hex(4, 4)
    }

    fn low_half(&mut self, high: u32) -> PgResult<u32> {
        self.rest = self.rest.strip_prefix("\\u").ok_or_else(unpaired)?;
        match self.unicode()? {
            low @ 0xdc00..0xe000 => Ok(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
            _ => Err(unpaired()),
        }
    }

    fn hex(&mut self, least: usize, most: usize) -> PgResult<u32> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        if digits < least {
            return Err(invalid_escape());
        }
        let code = u32::from_str_radix(&self.rest[..digits], 16).map_err(|_| invalid_escape())?;
        self.rest = &self.rest[digits..];
        Ok(code)
    }
}

fn invalid_escape() -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, "invalid unicode sequence at or near \"\\u\" of jsonpath input")
}

fn unpaired() -> PgError {
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type jsonpath")
        .detail("Unicode low surrogate must follow a high surrogate.")
}

fn push_code(code: u32, out: &mut String) -> PgResult<()> {
    if code == 0 {
        return Err(PgError::new(SqlState::UNTRANSLATABLE_CHARACTER, "unsupported Unicode escape sequence")
            .detail("\\u0000 cannot be converted to text."));
    }
    out.push(char::from_u32(code).ok_or_else(unpaired)?);
    Ok(())
}

fn invalid_number(near: &str, what: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, format!("{what} at or near \"{near}\" of jsonpath input"))
}

/// All tokens, an end behind them.
pub(super) fn tokens(text: &str) -> PgResult<Vec<Token>> {
    let mut lexer = Lexer { rest: text };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token == Token::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}
