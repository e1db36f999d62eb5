//! Values of tokens: names folded and truncated, strings unescaped.

use super::lexer::{Token, TokenKind, continuation};
use types::{PgError, PgResult, SqlState};

/// Bytes of a name at most (NAMEDATALEN - 1); longer ones are truncated, as in PostgreSQL.
pub const NAME_BYTES_MAX: usize = 63;

/// Truncates to [`NAME_BYTES_MAX`] without splitting a character.
pub fn truncate_name(name: &mut String) {
    if name.len() > NAME_BYTES_MAX {
        let mut end = NAME_BYTES_MAX;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
}

/// The name of a word token: folded to lower case (ASCII only, as PostgreSQL does in UTF-8) and truncated.
pub fn word(text: &str, token: Token) -> Box<str> {
    let mut name = text[token.start as usize..token.end as usize].to_ascii_lowercase();
    truncate_name(&mut name);
    name.into()
}

/// The name of a quoted word token (not `U&`).
pub fn quoted_word(text: &str, token: Token) -> Box<str> {
    let mut name = text[token.start as usize + 1..token.end as usize - 1].replace("\"\"", "\"");
    truncate_name(&mut name);
    name.into()
}

/// The content of a `U&"..."` or `U&'...'` token with the escape character given.
pub fn unicode(text: &str, token: Token, escape: char) -> PgResult<String> {
    let content = &text[token.start as usize + 2..token.end as usize];
    let raw = if token.kind == TokenKind::UnicodeWord {
        content[1..content.len() - 1].replace("\"\"", "\"")
    } else {
        plain(content.as_bytes(), content)
    };
    unescape_unicode(&raw, escape, token.start)
}

/// The content of any other string token.
pub fn string(text: &str, token: Token) -> PgResult<String> {
    let source = &text[token.start as usize..token.end as usize];
    match token.kind {
        TokenKind::String => Ok(plain(source.as_bytes(), source)),
        TokenKind::BitString | TokenKind::HexString => Ok(plain(&source.as_bytes()[1..], &source[1..])),
        TokenKind::DollarString => {
            let delimiter = source[1..].find('$').expect("the lexer found both delimiters") + 2;
            Ok(source[delimiter..source.len() - delimiter].to_string())
        }
        TokenKind::EscapeString => escaped(source, token.start),
        _ => Err(PgError::internal("not a string token")),
    }
}

/// Undoubles quotes and joins continuations. `source` begins at the opening quote.
fn plain(bytes: &[u8], source: &str) -> String {
    let mut value = String::with_capacity(source.len());
    let mut position = 1;
    let mut run = position;
    while position < bytes.len() {
        if bytes[position] != b'\'' {
            position += 1;
            continue;
        }
        value.push_str(&source[run..position]);
        if bytes.get(position + 1) == Some(&b'\'') {
            run = position + 1;
            position += 2;
        } else {
            match continuation(bytes, position + 1) {
                Some(next) => {
                    position = next;
                    run = next;
                }
                None => return value,
            }
        }
    }
    value
}

/// `E'...'`: backslash escapes. The result is bytes first, because `\xC3\xA9` makes one character of two escapes.
fn escaped(source: &str, start: u32) -> PgResult<String> {
    let bytes = source.as_bytes();
    let mut value: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut position = 2;
    let mut high_surrogate: Option<u32> = None;
    while position < bytes.len() {
        let byte = bytes[position];
        if byte == b'\'' {
            if high_surrogate.is_some() {
                return Err(near(surrogate_error(start + position as u32), "'"));
            }
            if bytes.get(position + 1) == Some(&b'\'') {
                value.push(b'\'');
                position += 2;
                continue;
            }
            match continuation(bytes, position + 1) {
                Some(next) => position = next,
                None => break,
            }
            continue;
        }
        if byte != b'\\' {
            if high_surrogate.is_some() {
                let character = source[position..].chars().next().map(String::from).unwrap_or_default();
                return Err(near(surrogate_error(start + position as u32), &character));
            }
            value.push(byte);
            position += 1;
            continue;
        }
        position = escape_sequence(bytes, position, start, &mut value, &mut high_surrogate)?;
    }
    valid_text(value)
}

fn valid_text(value: Vec<u8>) -> PgResult<String> {
    if value.contains(&0) {
        let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
        return Err(PgError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message));
    }
    String::from_utf8(value).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bad = &error.as_bytes()[valid..];
        let length = utf8_length(bad[0]).min(bad.len());
        let digits: Vec<String> = bad[..length].iter().map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", digits.join(" "));
        PgError::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
    })
}

/// How long a character is that begins with this byte (pg_utf_mblen).
fn utf8_length(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

/// One escape at `position` (the backslash); answers where it ends.
fn escape_sequence(
    bytes: &[u8],
    position: usize,
    start: u32,
    value: &mut Vec<u8>,
    high_surrogate: &mut Option<u32>,
) -> PgResult<usize> {
    let Some(&next) = bytes.get(position + 1) else { return Ok(position + 1) };
    let at = start + position as u32;
    if matches!(next, b'u' | b'U') {
        let length = if next == b'u' { 4 } else { 8 };
        let code = bytes
            .get(position + 2..position + 2 + length)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape")
                    .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
                    .at(at)
            })?;
        let escape = String::from_utf8_lossy(&bytes[position..position + 2 + length]);
        push_code(code, at, value, high_surrogate).map_err(|error| near(error, &escape))?;
        return Ok(position + 2 + length);
    }
    if high_surrogate.is_some() {
        return Err(near(surrogate_error(at), "\\"));
    }
    let digits_of = |from: usize, most: usize, radix: u32| {
        let digits =
            bytes[from..].iter().take(most).take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let text = std::str::from_utf8(&bytes[from..from + digits]).unwrap_or("");
        (digits, u32::from_str_radix(text, radix).unwrap_or(0) as u8)
    };
    match next {
        b'0'..=b'7' => {
            let (digits, byte) = digits_of(position + 1, 3, 8);
            value.push(byte);
            return Ok(position + 1 + digits);
        }
        b'x' if bytes.get(position + 2).is_some_and(u8::is_ascii_hexdigit) => {
            let (digits, byte) = digits_of(position + 2, 2, 16);
            value.push(byte);
            return Ok(position + 2 + digits);
        }
        b'b' => value.push(0x08),
        b'f' => value.push(0x0c),
        b'n' => value.push(b'\n'),
        b'r' => value.push(b'\r'),
        b't' => value.push(b'\t'),
        b'v' => value.push(0x0b),
        other => value.push(other),
    }
    Ok(position + 2)
}

/// What the lexer complains about it quotes; the grammar (for `U&`) does not.
fn near(mut error: PgError, text: &str) -> PgError {
    let fields = error.fields_mut();
    fields.message = format!("{} at or near \"{text}\"", fields.message);
    error
}

fn surrogate_error(position: u32) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair").at(position)
}

/// Appends a code point; surrogates come in pairs.
fn push_code(code: u32, at: u32, value: &mut Vec<u8>, high_surrogate: &mut Option<u32>) -> PgResult<()> {
    let code = match (high_surrogate.take(), code) {
        (None, 0xd800..=0xdbff) => {
            *high_surrogate = Some(code);
            return Ok(());
        }
        (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00),
        (None, code) if !(0xdc00..=0xdfff).contains(&code) => code,
        _ => return Err(surrogate_error(at)),
    };
    match char::from_u32(code) {
        Some(character) if code != 0 => {
            let mut buffer = [0; 4];
            value.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            Ok(())
        }
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value").at(at)),
    }
}

/// `\XXXX` and `\+XXXXXX` with any escape character; doubled it stands for itself.
fn unescape_unicode(raw: &str, escape: char, start: u32) -> PgResult<String> {
    let mut value: Vec<u8> = Vec::with_capacity(raw.len());
    let mut high_surrogate = None;
    let mut rest = raw;
    while let Some(character) = rest.chars().next() {
        // Position within the token; exact as long as nothing was undoubled before.
        let at = start + 3 + (raw.len() - rest.len()) as u32;
        if character != escape {
            if high_surrogate.is_some() {
                return Err(surrogate_error(at));
            }
            let length = character.len_utf8();
            value.extend_from_slice(&rest.as_bytes()[..length]);
            rest = &rest[length..];
            continue;
        }
        let after = &rest[escape.len_utf8()..];
        if after.starts_with(escape) {
            if high_surrogate.is_some() {
                return Err(surrogate_error(at));
            }
            let mut buffer = [0; 4];
            value.extend_from_slice(escape.encode_utf8(&mut buffer).as_bytes());
            rest = &after[escape.len_utf8()..];
            continue;
        }
        let (skip, length) = if after.starts_with('+') { (1, 6) } else { (0, 4) };
        let code = after
            .get(skip..skip + length)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| {
                PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
                    .hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
                    .at(at)
            })?;
        push_code(code, at, &mut value, &mut high_surrogate)?;
        rest = &after[skip + length..];
    }
    if high_surrogate.is_some() {
        return Err(surrogate_error(start + 3 + raw.len() as u32));
    }
    valid_text(value)
}
