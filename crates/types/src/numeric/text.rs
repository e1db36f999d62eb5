//! numeric_in, numeric_out and numeric's type modifier.

use super::*;

/// A decimal as read: `0.d1 d2 d3 ... * 10^point`, with `scale` digits shown after the point.
///
/// - `digits` has neither leading nor trailing zeros; it is empty for zero.
struct Literal {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
    scale: i64,
}

fn syntax_error(text: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type numeric: \"{text}\""),
    )
}

/// Strips a prefix, ignoring case.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    head.eq_ignore_ascii_case(word).then(|| &text[word.len()..])
}

fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn trim_c_spaces(text: &str) -> &str {
    text.trim_matches(|character: char| character.is_ascii() && is_c_space(character as u8))
}

fn parse_special(text: &str) -> Option<Numeric> {
    let (negative, signed, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, true, &text[1..]),
        Some(b'+') => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let value = if !signed && strip_word(text, "nan").is_some_and(str::is_empty) {
        Numeric::NaN
    } else if ["infinity", "inf"].iter().any(|word| strip_word(rest, word).is_some_and(str::is_empty)) {
        if negative { Numeric::NegativeInfinity } else { Numeric::Infinity }
    } else {
        return None;
    };
    Some(value)
}

/// Exponents beyond this are an overflow before anything else is looked at (PostgreSQL: INT_MAX / 2).
const EXPONENT_LIMIT: i64 = i32::MAX as i64 / 2;

fn parse_literal(text: &str, original: &str) -> PgResult<Literal> {
    let bytes = text.as_bytes();
    let mut position = 0;
    let negative = bytes.first() == Some(&b'-');
    if matches!(bytes.first(), Some(b'-' | b'+')) {
        position += 1;
    }
    let mut digits = Vec::with_capacity(bytes.len());
    let mut point: Option<usize> = None;
    let mut digit_seen = 0usize;
    while let Some(&byte) = bytes.get(position) {
        match byte {
            b'0'..=b'9' => {
                digits.push(byte);
                digit_seen += 1;
            }
            b'.' if point.is_none() => point = Some(digit_seen),
            _ => break,
        }
        position += 1;
    }
    if digit_seen == 0 {
        return Err(syntax_error(original));
    }
    let before_point = point.unwrap_or(digit_seen) as i64;
    let mut scale = digit_seen as i64 - before_point;
    let mut exponent = 0i64;
    if matches!(bytes.get(position), Some(b'e' | b'E')) {
        let digits_at = position + 1 + usize::from(matches!(bytes.get(position + 1), Some(b'+' | b'-')));
        let exponent_digits = bytes[digits_at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if exponent_digits == 0 {
            return Err(syntax_error(original));
        }
        let written = &text[digits_at..digits_at + exponent_digits];
        let size = written.parse::<i64>().unwrap_or(i64::MAX);
        position = digits_at + exponent_digits;
        if position != bytes.len() {
            return Err(syntax_error(original));
        }
        if size >= EXPONENT_LIMIT {
            return Err(overflow());
        }
        exponent = if bytes[digits_at - 1] == b'-' { -size } else { size };
        scale = (scale - exponent).max(0);
    }
    if position != bytes.len() {
        return Err(syntax_error(original));
    }
    let leading_zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
    digits.drain(..leading_zeros);
    digits.truncate(digits.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1));
    let point = before_point + exponent - leading_zeros as i64;
    Ok(Literal { negative: negative && !digits.is_empty(), digits, point, scale })
}

impl Literal {
    /// Rounds half away from zero to `scale` digits after the point (before it when negative).
    fn round(&mut self, scale: i64) {
        self.scale = scale.max(0);
        let keep = self.point + scale;
        if keep < 0 || self.digits.is_empty() {
            self.digits.clear();
            self.negative = false;
            return;
        }
        let keep = keep as usize;
        if keep >= self.digits.len() {
            return;
        }
        let up = self.digits[keep] >= b'5';
        self.digits.truncate(keep);
        if up {
            while let Some(last) = self.digits.last_mut() {
                if *last < b'9' {
                    *last += 1;
                    return;
                }
                self.digits.pop();
            }
            self.digits.push(b'1');
            self.point += 1;
        }
        while self.digits.last() == Some(&b'0') {
            self.digits.pop();
        }
        self.negative &= !self.digits.is_empty();
    }

    fn into_numeric(self) -> PgResult<Numeric> {
        if self.scale > i64::from(SCALE_MAX)
            || (!self.digits.is_empty() && self.point > INTEGER_DIGITS_MAX as i64)
        {
            return Err(overflow());
        }
        let scale = self.scale as u16;
        if self.digits.is_empty() {
            return Ok(Numeric::from_i128(0, scale));
        }
        // The coefficient is the digits with (point + scale - digits) zeros after them: never negative.
        let zeros = (self.point + self.scale - self.digits.len() as i64) as usize;
        let text = std::str::from_utf8(&self.digits).expect("only ASCII digits were kept");
        if self.digits.len() + zeros <= 38 {
            let digits: i128 = text.parse().expect("at most 38 digits");
            let coefficient = digits * POWERS_OF_TEN[zeros];
            return Ok(Numeric::from_i128(if self.negative { -coefficient } else { coefficient }, scale));
        }
        let digits = UBig::from_str_radix(text, 10).expect("only ASCII digits were kept");
        let coefficient = IBig::from(digits * big_power_of_ten(zeros));
        Numeric::from_big(if self.negative { -coefficient } else { coefficient }, scale)
    }
}

/// p of a typmod made by numeric(p,s).
pub fn numeric_typmod_precision(typmod: i32) -> i32 {
    ((typmod - 4) >> 16) & 0xffff
}

/// s of a typmod made by numeric(p,s): -1000 to 1000.
pub fn numeric_typmod_scale(typmod: i32) -> i32 {
    (((typmod - 4) & 0x7ff) ^ 1024) - 1024
}

fn field_overflow(precision: i32, scale: i32) -> PgError {
    let digits = precision - scale;
    let limit = if digits == 0 { "1".to_owned() } else { format!("10^{digits}") };
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(format!(
        "A field with precision {precision}, scale {scale} must round to an absolute value less than {limit}."
    ))
}

impl Numeric {
    /// numeric_in without a modifier. 22P02 on bad syntax, 22003 on overflow.
    pub fn parse(text: &str) -> PgResult<Numeric> {
        Numeric::parse_with_typmod(text, -1)
    }

    /// numeric_in. The modifier is applied before the limits of the format are: `1e-20000` is a good `numeric(5,2)`.
    pub fn parse_with_typmod(text: &str, typmod: i32) -> PgResult<Numeric> {
        if let Some(value) = parse_plain(text.as_bytes()) {
            return if typmod < 4 { Ok(value) } else { value.apply_typmod(typmod) };
        }
        let trimmed = trim_c_spaces(text);
        if let Some(special) = parse_special(trimmed) {
            return special.apply_typmod(typmod);
        }
        let mut literal = parse_literal(trimmed, text)?;
        if typmod >= 4 {
            let (precision, scale) = (numeric_typmod_precision(typmod), numeric_typmod_scale(typmod));
            literal.round(i64::from(scale));
            if !literal.digits.is_empty() && literal.point > i64::from(precision - scale) {
                return Err(field_overflow(precision, scale));
            }
        }
        literal.into_numeric()
    }

    /// numeric(p,s): rounds to the scale; 22003 `numeric field overflow` when too many digits are left before the point.
    pub fn apply_typmod(&self, typmod: i32) -> PgResult<Numeric> {
        if typmod < 4 {
            return Ok(self.clone());
        }
        let (precision, scale) = (numeric_typmod_precision(typmod), numeric_typmod_scale(typmod));
        match self {
            Numeric::NaN => return Ok(Numeric::NaN),
            Numeric::Infinity | Numeric::NegativeInfinity => {
                return Err(PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
                    .detail(format!(
                        "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                    )));
            }
            _ => {}
        }
        let rounded = self.round_unbounded(scale)?;
        if rounded.decimal_point() > i64::from(precision - scale) {
            return Err(field_overflow(precision, scale));
        }
        Ok(rounded)
    }

    /// Position of the point relative to the first digit: 123.4 gives 3, 0.001 gives -2; very small for zero.
    pub(super) fn decimal_point(&self) -> i64 {
        match self {
            Numeric::Small(small) if small.coefficient() == 0 => i64::MIN / 2,
            Numeric::Small(small) => {
                i64::from(small_digit_count(small.coefficient().unsigned_abs())) - i64::from(small.scale())
            }
            Numeric::Big(big) => digit_count(&magnitude(&big.coefficient)) as i64 - i64::from(big.scale),
            _ => i64::MIN / 2,
        }
    }

    /// numeric_out: appends.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        match self {
            Numeric::NaN => out.extend_from_slice(b"NaN"),
            Numeric::Infinity => out.extend_from_slice(b"Infinity"),
            Numeric::NegativeInfinity => out.extend_from_slice(b"-Infinity"),
            Numeric::Small(small) => {
                let mut buffer = [0u8; 40];
                let digits = write_digits(small.coefficient().unsigned_abs(), &mut buffer);
                place_point(small.coefficient() < 0, digits, usize::from(small.scale()), out);
            }
            Numeric::Big(big) => {
                let digits = magnitude(&big.coefficient).to_string();
                place_point(is_negative(&big.coefficient), digits.as_bytes(), usize::from(big.scale), out);
            }
        }
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = Vec::new();
        self.write_text(&mut out);
        f.write_str(std::str::from_utf8(&out).expect("numeric text is ASCII"))
    }
}

/// The common case: an optional minus, at most 18 digits, an optional point among them, nothing else.
fn parse_plain(bytes: &[u8]) -> Option<Numeric> {
    let (negative, digits) = match bytes.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, bytes),
    };
    if digits.len() > 19 {
        return None;
    }
    let (mut value, mut scale, mut count, mut in_fraction) = (0i64, 0u16, 0, false);
    for &byte in digits {
        match byte {
            b'0'..=b'9' if count < 18 => {
                value = value * 10 + i64::from(byte - b'0');
                count += 1;
                scale += u16::from(in_fraction);
            }
            b'.' if !in_fraction => in_fraction = true,
            _ => return None,
        }
    }
    (count > 0).then(|| Numeric::from_i128(i128::from(if negative { -value } else { value }), scale))
}

/// Decimal digits of a number, "0" for zero.
pub(crate) fn write_digits(mut value: u128, buffer: &mut [u8; 40]) -> &[u8] {
    let mut start = buffer.len();
    // 64-bit division is several times cheaper than 128-bit: peel off 18 digits at a time.
    while value > u128::from(u64::MAX) {
        let mut low = (value % 1_000_000_000_000_000_000) as u64;
        value /= 1_000_000_000_000_000_000;
        for _ in 0..18 {
            start -= 1;
            buffer[start] = b'0' + (low % 10) as u8;
            low /= 10;
        }
    }
    let mut low = value as u64;
    loop {
        start -= 1;
        buffer[start] = b'0' + (low % 10) as u8;
        low /= 10;
        if low == 0 {
            return &buffer[start..];
        }
    }
}

fn place_point(negative: bool, digits: &[u8], scale: usize, out: &mut Vec<u8>) {
    if negative {
        out.push(b'-');
    }
    if digits.len() > scale {
        let (integer, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(integer);
        if scale > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + scale - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}
