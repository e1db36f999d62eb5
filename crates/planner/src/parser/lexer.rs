//! Text to tokens, by the rules of PostgreSQL's `scan.l`.
//!
//! A token is twelve bytes: kind, key word, byte span. Values (unescaped strings, folded names) are made only when the parser
//! takes the token (module `literal`). An error ends the token list with [`TokenKind::Error`]: it is reported when the parser gets
//! there, so that an earlier syntax error comes first, as in PostgreSQL.
//!
//! `standard_conforming_strings` is always on.

use super::keywords::{KEYWORD_BYTES_MAX, Keyword};
use types::{PgError, SqlState};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    /// A word without quotes; `Token::keyword` says which key word, if one.
    Word,
    /// `"name"`.
    QuotedWord,
    /// `U&"name"`.
    UnicodeWord,
    /// Digits only.
    Integer,
    /// Digits with a point or an exponent.
    Decimal,
    /// `'...'`.
    String,
    /// `E'...'`.
    EscapeString,
    /// `U&'...'`.
    UnicodeString,
    /// `$tag$...$tag$`.
    DollarString,
    /// `B'...'`.
    BitString,
    /// `X'...'`.
    HexString,
    /// `$n`.
    Parameter,
    /// An operator that is none of the symbols below.
    Operator,
    /// A single character that the grammar knows by itself, or one that nothing knows.
    Symbol(u8),
    /// `::`
    DoubleColon,
    /// `:=`
    ColonEquals,
    /// `..`
    DotDot,
    /// `=>`
    Arrow,
    /// `<=`
    LessEquals,
    /// `>=`
    GreaterEquals,
    /// `<>` or `!=`
    NotEquals,
    /// The lexer stopped here: see [`Tokens::error`].
    Error,
    End,
}

/// A token with its byte span.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Token {
    pub kind: TokenKind,
    pub keyword: Keyword,
    pub start: u32,
    pub end: u32,
}

const _: () = assert!(std::mem::size_of::<Token>() <= 12);

/// All tokens of a text; the last one is `End` or `Error`.
pub struct Tokens {
    pub list: Vec<Token>,
    pub error: Option<PgError>,
}

/// Longest operator (NAMEDATALEN - 1).
const OPERATOR_BYTES_MAX: usize = 63;

pub fn tokenize(text: &str) -> Tokens {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), position: 0 };
    let mut list = Vec::with_capacity(text.len() / 5 + 4);
    loop {
        match lexer.next(&mut list) {
            Ok(true) => {}
            Ok(false) => {
                let end = text.len() as u32;
                list.push(Token { kind: TokenKind::End, keyword: Keyword::None, start: end, end });
                return Tokens { list, error: None };
            }
            Err(error) => {
                let start = error.fields().position.unwrap_or(0);
                list.push(Token { kind: TokenKind::Error, keyword: Keyword::None, start, end: start });
                return Tokens { list, error: Some(error) };
            }
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    position: usize,
}

pub(super) fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_identifier_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

/// Characters that stand for themselves.
fn is_self(byte: u8) -> bool {
    matches!(
        byte,
        b',' | b'('
            | b')'
            | b'['
            | b']'
            | b'.'
            | b';'
            | b':'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'^'
            | b'<'
            | b'>'
            | b'='
    )
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b)
}

impl Lexer<'_> {
    fn byte(&self, offset: usize) -> u8 {
        self.bytes.get(self.position + offset).copied().unwrap_or(0)
    }

    /// A lexical error, worded as `scanner_yyerror` does: at the token, with the text consumed so far.
    fn error(&self, message: &str, start: usize, end: usize) -> PgError {
        if start >= self.bytes.len() {
            return PgError::new(SqlState::SYNTAX_ERROR, format!("{message} at end of input"))
                .at(start as u32);
        }
        let mut end = end.clamp(start, self.bytes.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        let near = &self.text[start..end];
        PgError::new(SqlState::SYNTAX_ERROR, format!("{message} at or near \"{near}\"")).at(start as u32)
    }

    /// Skips blanks and comments.
    fn skip(&mut self) -> Result<(), PgError> {
        loop {
            match self.byte(0) {
                byte if is_space(byte) => self.position += 1,
                b'-' if self.byte(1) == b'-' => {
                    while self.position < self.bytes.len() && !matches!(self.byte(0), b'\n' | b'\r') {
                        self.position += 1;
                    }
                }
                b'/' if self.byte(1) == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    /// Comments nest.
    fn skip_comment(&mut self) -> Result<(), PgError> {
        let start = self.position;
        let mut depth = 0u32;
        loop {
            if self.position >= self.bytes.len() {
                return Err(self.error("unterminated /* comment", start, self.bytes.len()));
            }
            match (self.byte(0), self.byte(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.position += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.position += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.position += 1,
            }
        }
    }

    /// Pushes the next token; false at the end.
    fn next(&mut self, list: &mut Vec<Token>) -> Result<bool, PgError> {
        self.skip()?;
        if self.position >= self.bytes.len() {
            return Ok(false);
        }
        let start = self.position;
        let mut keyword = Keyword::None;
        let kind = match self.byte(0) {
            b'\'' => self.string(start, 0, TokenKind::String, false)?,
            b'e' | b'E' if self.byte(1) == b'\'' => self.string(start, 1, TokenKind::EscapeString, true)?,
            b'b' | b'B' if self.byte(1) == b'\'' => self.string(start, 1, TokenKind::BitString, false)?,
            b'x' | b'X' if self.byte(1) == b'\'' => self.string(start, 1, TokenKind::HexString, false)?,
            b'n' | b'N' if self.byte(1) == b'\'' => {
                // A national string is `nchar '...'`.
                self.position += 1;
                keyword = Keyword::Nchar;
                TokenKind::Word
            }
            b'u' | b'U' if self.byte(1) == b'&' && self.byte(2) == b'\'' => {
                self.string(start, 2, TokenKind::UnicodeString, false)?
            }
            b'u' | b'U' if self.byte(1) == b'&' && self.byte(2) == b'"' => {
                self.position += 2;
                self.quoted_word(start)?;
                TokenKind::UnicodeWord
            }
            b'"' => {
                self.quoted_word(start)?;
                TokenKind::QuotedWord
            }
            byte if is_identifier_start(byte) => {
                while is_identifier_part(self.byte(0)) && self.position < self.bytes.len() {
                    self.position += 1;
                }
                keyword = self.keyword(start);
                TokenKind::Word
            }
            byte if byte.is_ascii_digit() || (byte == b'.' && self.byte(1).is_ascii_digit()) => {
                self.number(start)?
            }
            b'$' => self.dollar(start)?,
            b':' if self.byte(1) == b':' => self.advance(2, TokenKind::DoubleColon),
            b':' if self.byte(1) == b'=' => self.advance(2, TokenKind::ColonEquals),
            b'.' if self.byte(1) == b'.' => self.advance(2, TokenKind::DotDot),
            byte if is_operator(byte) => self.operator(start)?,
            byte => self.advance(1, TokenKind::Symbol(byte)),
        };
        list.push(Token { kind, keyword, start: start as u32, end: self.position as u32 });
        Ok(true)
    }

    fn advance(&mut self, bytes: usize, kind: TokenKind) -> TokenKind {
        self.position += bytes;
        kind
    }

    fn keyword(&self, start: usize) -> Keyword {
        let word = &self.bytes[start..self.position];
        if word.len() > KEYWORD_BYTES_MAX {
            return Keyword::None;
        }
        let mut folded = [0u8; KEYWORD_BYTES_MAX];
        for (target, byte) in folded.iter_mut().zip(word) {
            *target = byte.to_ascii_lowercase();
        }
        std::str::from_utf8(&folded[..word.len()]).map_or(Keyword::None, Keyword::lookup)
    }

    /// Scans `'...'` whose quote is `prefix` bytes on, with its continuations (a blank with a newline, then a quote).
    fn string(
        &mut self,
        start: usize,
        prefix: usize,
        kind: TokenKind,
        escapes: bool,
    ) -> Result<TokenKind, PgError> {
        self.position += prefix + 1;
        loop {
            if self.position >= self.bytes.len() {
                let what = match kind {
                    TokenKind::BitString => "unterminated bit string literal",
                    TokenKind::HexString => "unterminated hexadecimal string literal",
                    _ => "unterminated quoted string",
                };
                return Err(self.error(what, start, self.bytes.len()));
            }
            match self.byte(0) {
                b'\'' if self.byte(1) == b'\'' => self.position += 2,
                b'\'' => {
                    self.position += 1;
                    match continuation(self.bytes, self.position) {
                        Some(next) => self.position = next,
                        None => return Ok(kind),
                    }
                }
                b'\\' if escapes => self.position += 2,
                _ => self.position += 1,
            }
        }
    }

    fn quoted_word(&mut self, start: usize) -> Result<(), PgError> {
        self.position += 1;
        let content = self.position;
        loop {
            if self.position >= self.bytes.len() {
                return Err(self.error("unterminated quoted identifier", start, self.bytes.len()));
            }
            match self.byte(0) {
                b'"' if self.byte(1) == b'"' => self.position += 2,
                b'"' => break,
                _ => self.position += 1,
            }
        }
        let empty = self.position == content;
        self.position += 1;
        if empty {
            return Err(self.error("zero-length delimited identifier", start, self.position));
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.byte(0).is_ascii_digit() {
            self.position += 1;
        }
    }

    fn number(&mut self, start: usize) -> Result<TokenKind, PgError> {
        self.digits();
        let mut kind = TokenKind::Integer;
        // `1..2` is an integer, then `..`.
        if self.byte(0) == b'.' && self.byte(1) != b'.' {
            kind = TokenKind::Decimal;
            self.position += 1;
            self.digits();
        }
        if matches!(self.byte(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(1), b'+' | b'-'));
            if self.byte(1 + sign).is_ascii_digit() {
                kind = TokenKind::Decimal;
                self.position += 1 + sign;
                self.digits();
            }
        }
        if is_identifier_start(self.byte(0)) {
            return Err(self.error("trailing junk after numeric literal", start, self.position + 1));
        }
        Ok(kind)
    }

    /// `$1`, `$tag$...$tag$`, or a dollar sign that nothing knows.
    fn dollar(&mut self, start: usize) -> Result<TokenKind, PgError> {
        if self.byte(1).is_ascii_digit() {
            self.position += 1;
            self.digits();
            if is_identifier_start(self.byte(0)) {
                return Err(self.error("trailing junk after parameter", start, self.position + 1));
            }
            return Ok(TokenKind::Parameter);
        }
        let mut length = 1;
        if is_identifier_start(self.byte(1)) {
            while is_identifier_part(self.byte(length)) && self.byte(length) != b'$' {
                length += 1;
            }
        }
        if self.byte(length) != b'$' {
            return Ok(self.advance(1, TokenKind::Symbol(b'$')));
        }
        let delimiter = &self.text[start..=start + length];
        let content = start + delimiter.len();
        match self.text[content..].find(delimiter) {
            Some(offset) => {
                self.position = content + offset + delimiter.len();
                Ok(TokenKind::DollarString)
            }
            None => Err(self.error("unterminated dollar-quoted string", start, self.bytes.len())),
        }
    }

    fn operator(&mut self, start: usize) -> Result<TokenKind, PgError> {
        let mut end = start;
        while end < self.bytes.len() && is_operator(self.bytes[end]) {
            // A comment begins inside a run of operator characters, too.
            if end > start
                && matches!(
                    (self.bytes[end], self.bytes.get(end + 1)),
                    (b'/', Some(b'*')) | (b'-', Some(b'-'))
                )
            {
                break;
            }
            end += 1;
        }
        // SQL's `=-1` must be two operators; `@-` may be one.
        let special =
            |byte: &u8| matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
        if !self.bytes[start..end].iter().any(special) {
            while end > start + 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
                end -= 1;
            }
        }
        self.position = end;
        let kind = match &self.bytes[start..end] {
            [byte] if is_self(*byte) => TokenKind::Symbol(*byte),
            b"=>" => TokenKind::Arrow,
            b"<=" => TokenKind::LessEquals,
            b">=" => TokenKind::GreaterEquals,
            b"<>" | b"!=" => TokenKind::NotEquals,
            run if run.len() > OPERATOR_BYTES_MAX => return Err(self.error("operator too long", start, end)),
            _ => TokenKind::Operator,
        };
        Ok(kind)
    }
}

/// After a closing quote: where the content goes on if a continuation follows (blanks with at least one newline, comments to
/// the end of a line among them, then a quote).
pub(super) fn continuation(bytes: &[u8], mut position: usize) -> Option<usize> {
    let mut newline = false;
    loop {
        match bytes.get(position)? {
            b'\n' | b'\r' => {
                newline = true;
                position += 1;
            }
            byte if is_space(*byte) => position += 1,
            b'-' if newline && bytes.get(position + 1) == Some(&b'-') => {
                while !matches!(bytes.get(position)?, b'\n' | b'\r') {
                    position += 1;
                }
            }
            b'\'' if newline => return Some(position + 1),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens' texts, joined by a blank; a lexical error in brackets.
    fn split(text: &str) -> String {
        let tokens = tokenize(text);
        let mut words: Vec<String> = tokens
            .list
            .iter()
            .filter(|token| !matches!(token.kind, TokenKind::End | TokenKind::Error))
            .map(|token| text[token.start as usize..token.end as usize].to_string())
            .collect();
        if let Some(error) = tokens.error {
            words.push(format!("[{}]", error.message()));
        }
        words.join(" ")
    }

    #[test]
    fn operators_split_as_in_postgresql() {
        assert_eq!(split("a>-1"), "a > - 1");
        assert_eq!(split("a>=-1"), "a >= - 1");
        assert_eq!(split("a<>-1"), "a <> - 1");
        assert_eq!(split("a->-1"), "a -> - 1");
        assert_eq!(split("a||-1"), "a ||- 1");
        assert_eq!(split("a@-1"), "a @- 1");
        assert_eq!(split("a*-1--c"), "a * - 1");
        assert_eq!(split("a</*c*/b"), "a < b");
        assert_eq!(split("a/*/*b*/*/+c"), "a + c");
        assert_eq!(split("(x)._f"), "( x ) . _f");
        assert_eq!(split("1..2"), "1 .. 2");
    }

    #[test]
    fn strings_and_numbers() {
        assert_eq!(split("'it''s' 'a'\n 'b' 'c'"), "'it''s' 'a'\n 'b' 'c'");
        assert_eq!(split("E'a\\'b' $$x$$ $t$ $$ $t$ $1"), "E'a\\'b' $$x$$ $t$ $$ $t$ $1");
        assert_eq!(split("1.5e-3 .5 5."), "1.5e-3 .5 5.");
        assert_eq!(split("123abc"), "[trailing junk after numeric literal at or near \"123a\"]");
        assert_eq!(split("1e"), "[trailing junk after numeric literal at or near \"1e\"]");
        assert_eq!(split("$1a"), "[trailing junk after parameter at or near \"$1a\"]");
        assert_eq!(split("select 'abc"), "select [unterminated quoted string at or near \"'abc\"]");
        assert_eq!(split("select \"\""), "select [zero-length delimited identifier at or near \"\"\"\"]");
        assert_eq!(split("/* a"), "[unterminated /* comment at or near \"/* a\"]");
        assert_eq!(split("$a$ x"), "[unterminated dollar-quoted string at or near \"$a$ x\"]");
    }
}
