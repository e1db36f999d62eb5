//! to_char of numbers: digits laid into the positions of a pattern (after PostgreSQL's NUM_processor).

use super::number_pattern::{Key, Node, NumberPattern, SignPlace, parse};
use super::ordinal;
use types::{Numeric, PgResult};

/// An exact number.
pub(super) fn exact(value: &Numeric, pattern: &str) -> PgResult<String> {
    let mut pattern = parse(pattern)?;
    if pattern.roman {
        let number = value.round(0)?.to_i32()?;
        return Ok(Writer::new(pattern, false, roman(Some(number)), 0).run());
    }
    if pattern.exponent {
        return Ok(exponent_of_numeric(value, pattern.after, pattern.before));
    }
    let value = if pattern.multiplied {
        pattern.before += pattern.shift;
        value.mul(&Numeric::from_i128(10, 0).power(&Numeric::from_i64(pattern.shift as i64))?)?
    } else {
        value.clone()
    };
    let text = value.round(pattern.after as i32)?.to_string();
    Ok(lay_out(pattern, &text))
}

/// A float of which `digits` decimal digits mean something.
pub(super) fn float(value: f64, digits: usize, pattern: &str) -> PgResult<String> {
    let mut pattern = parse(pattern)?;
    if pattern.roman {
        let rounded = value.round_ties_even();
        let number = (rounded.abs() <= f64::from(i32::MAX)).then_some(rounded as i32);
        return Ok(Writer::new(pattern, false, roman(number), 0).run());
    }
    if pattern.exponent {
        return Ok(match value.is_finite() {
            true => signed_exponent(format!("{value:.*e}", pattern.after)),
            // Allow 6 characters for the leading sign, the decimal point, "e", the exponent's sign and two digits.
            false => {
                let mut text = "#".repeat(pattern.before + pattern.after + 6);
                text.replace_range(0..1, " ");
                text.replace_range(pattern.before + 1..pattern.before + 2, ".");
                text
            }
        });
    }
    let value = if pattern.multiplied {
        pattern.before += pattern.shift;
        value * 10f64.powi(pattern.shift as i32)
    } else {
        value
    };
    let integer_digits = plain(value.abs(), 0).len();
    if integer_digits >= digits {
        pattern.after = 0;
    } else {
        pattern.after = pattern.after.min(digits - integer_digits);
    }
    let text = plain(value, pattern.after);
    Ok(lay_out(pattern, &text))
}

fn plain(value: f64, places: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value < 0.0 { "-Infinity" } else { "Infinity" }.to_owned();
    }
    format!("{value:.places$}")
}

/// "1.5e3" as C prints it with a blank for a plus: " 1.5e+03".
fn signed_exponent(text: String) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    let lead = if mantissa.starts_with('-') { "" } else { " " };
    format!("{lead}{mantissa}e{sign}{digits:0>2}")
}

fn exponent_of_numeric(value: &Numeric, places: usize, before: usize) -> String {
    if !value.is_finite() {
        let mut text = "#".repeat(before + places + 6);
        text.replace_range(0..1, " ");
        text.replace_range(before + 1..before + 2, ".");
        return text;
    }
    // The digits, rounded half away from zero to one before the point and `places` after it.
    let text = value.abs().to_string();
    let point = text.find('.').unwrap_or(text.len()) as i64;
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let first = digits.iter().position(|digit| *digit != 0);
    let mut exponent = first.map_or(0, |first| point - 1 - first as i64);
    let mut kept: Vec<u8> =
        digits[first.unwrap_or(0)..].iter().copied().chain(std::iter::repeat(0)).take(places + 2).collect();
    let up = kept.pop().is_some_and(|digit| digit >= 5);
    if up {
        let mut at = kept.len();
        loop {
            if at == 0 {
                kept.insert(0, 1);
                kept.pop();
                exponent += 1;
                break;
            }
            at -= 1;
            if kept[at] < 9 {
                kept[at] += 1;
                break;
            }
            kept[at] = 0;
        }
    }
    let digit = |value: &u8| char::from(b'0' + value);
    let mut out = String::from(if value.signum() < 0 { "-" } else { " " });
    out.push(digit(&kept[0]));
    if places > 0 {
        out.push('.');
        out.extend(kept[1..].iter().map(digit));
    }
    out.push_str(&format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()));
    out
}

/// 1 to 3999 in Roman numerals, anything else as hashes.
fn roman(value: Option<i32>) -> String {
    const NUMERALS: [(i32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let Some(mut rest) = value.filter(|value| (1..=3999).contains(value)) else {
        return "#".repeat(15);
    };
    let mut out = String::new();
    for (value, numeral) in NUMERALS {
        while rest >= value {
            out.push_str(numeral);
            rest -= value;
        }
    }
    out
}

/// Lays a number's text into the pattern; hashes when it has too many digits before the point.
fn lay_out(pattern: NumberPattern, text: &str) -> String {
    let negative = text.starts_with('-');
    let digits = text.trim_start_matches('-');
    let integer_digits = digits.find('.').unwrap_or(digits.len());
    let blanks = pattern.before.saturating_sub(integer_digits);
    let number = if integer_digits > pattern.before {
        let mut hashes = "#".repeat(pattern.before);
        hashes.push('.');
        hashes.push_str(&"#".repeat(pattern.after));
        hashes
    } else {
        digits.to_owned()
    };
    Writer::new(pattern, negative, number, blanks).run()
}

/// The state of laying out.
///
/// - `at` is the next character of `number`; `position` counts digit positions of the pattern; the first `blanks` of them
///   have no digit. `last_relevant`: with FM and a point, the last character of `number` that is not a trailing zero.
struct Writer {
    pattern: NumberPattern,
    negative: bool,
    number: Vec<u8>,
    blanks: usize,
    at: usize,
    position: usize,
    sign_written: bool,
    positions: usize,
    last_relevant: Option<usize>,
    in_number: bool,
    out: String,
}

impl Writer {
    fn new(mut pattern: NumberPattern, negative: bool, number: String, blanks: usize) -> Writer {
        let number = number.into_bytes();
        pattern.zero_start = pattern.zero_start.saturating_sub(1);
        let sign_written = if pattern.plus || pattern.minus {
            // MI, SG: the sign is written where they stand.
            pattern.minus
        } else {
            if !negative && pattern.brackets && pattern.fill {
                pattern.brackets = false;
            }
            if pattern.sign_place == SignPlace::Before && pattern.before == pattern.digits_before_sign {
                pattern.sign_place = SignPlace::After;
            }
            !negative && pattern.fill && !pattern.sign
        };
        let mut positions = (pattern.after + pattern.before).saturating_sub(1);
        let mut last_relevant = None;
        if pattern.fill && pattern.decimal {
            let point = number.iter().position(|byte| *byte == b'.');
            last_relevant = point.map(|point| {
                number.iter().rposition(|byte| *byte != b'0').map_or(point, |last| last.max(point))
            });
            if let Some(last) = last_relevant
                && pattern.zero_end > blanks
            {
                let zero = (number.len() - 1).min(pattern.zero_end - blanks);
                last_relevant = Some(last.max(zero));
            }
        }
        if !sign_written && blanks == 0 {
            positions += 1;
        }
        Writer {
            pattern,
            negative,
            number,
            blanks,
            at: 0,
            position: 0,
            sign_written,
            positions,
            last_relevant,
            in_number: false,
            out: String::new(),
        }
    }

    fn run(mut self) -> String {
        for index in 0..self.pattern.nodes.len() {
            match self.pattern.nodes[index] {
                Node::Text(c) => self.out.push(c),
                Node::Key(key) => self.key(key),
            }
        }
        self.out
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Nine | Key::Zero | Key::Point | Key::LocalePoint => self.digit(key),
            Key::Comma | Key::LocaleGroup => {
                if self.in_number {
                    self.out.push(',');
                } else if !self.pattern.fill {
                    self.out.push(' ');
                }
            }
            Key::Currency => self.out.push(' '),
            Key::Roman { upper } => {
                let text = String::from_utf8_lossy(&self.number).into_owned();
                let text = if upper { text } else { text.to_lowercase() };
                if self.pattern.fill {
                    self.out.push_str(&text);
                } else {
                    self.out.push_str(&format!("{text:>15}"));
                }
            }
            Key::Ordinal { upper } => {
                let hashes = self.number.first() == Some(&b'#');
                if !self.pattern.roman && !hashes && !self.negative && !self.pattern.decimal {
                    let digits = String::from_utf8_lossy(&self.number).into_owned();
                    self.out.push_str(ordinal(&digits, upper));
                }
            }
            Key::Minus => self.conditional('-', self.negative),
            Key::Plus => self.conditional('+', !self.negative),
            Key::PlusMinus => self.out.push(if self.negative { '-' } else { '+' }),
            Key::Blank | Key::Exponent | Key::Fill | Key::Brackets | Key::Sign | Key::Shift | Key::Spell => {}
        }
    }

    fn conditional(&mut self, sign: char, shown: bool) {
        if shown {
            self.out.push(sign);
        } else if !self.pattern.fill {
            self.out.push(' ');
        }
    }

    /// "0.1" under 9.9 has a blank for its zero.
    fn hides_zero(&self) -> bool {
        !self.pattern.zero && self.at == 0 && self.number.first() == Some(&b'0') && self.pattern.after != 0
    }

    fn last_is_point(&self) -> bool {
        self.last_relevant.is_some_and(|last| self.number[last] == b'.')
    }

    fn write_sign(&mut self) {
        let reached =
            self.position >= self.blanks || (self.pattern.zero && self.pattern.zero_start == self.position);
        if self.sign_written || !reached || (self.hides_zero() && !self.last_is_point()) {
            return;
        }
        if self.pattern.sign {
            if self.pattern.sign_place == SignPlace::Before {
                self.out.push(if self.negative { '-' } else { '+' });
                self.sign_written = true;
            }
        } else if self.pattern.brackets {
            self.out.push(if self.negative { '<' } else { ' ' });
            self.sign_written = true;
        } else if self.negative {
            self.out.push('-');
            self.sign_written = true;
        } else {
            if !self.pattern.fill {
                self.out.push(' ');
            }
            self.sign_written = true;
        }
    }

    fn digit(&mut self, key: Key) {
        if self.pattern.roman {
            return;
        }
        self.in_number = false;
        self.write_sign();
        let zeros = self.pattern.zero && self.pattern.zero_start <= self.position;
        if self.position < self.blanks && !zeros {
            if !self.pattern.fill {
                self.out.push(' ');
            }
        } else if self.position < self.blanks {
            self.out.push('0');
            self.in_number = true;
        } else {
            self.digit_of_number(key);
        }
        self.finish_position();
    }

    fn digit_of_number(&mut self, key: Key) {
        match self.number.get(self.at) {
            Some(b'.') => {
                if !self.last_is_point() || self.pattern.fill {
                    self.out.push('.');
                }
            }
            character => {
                let irrelevant = self.last_relevant.is_some_and(|last| self.at > last) && key != Key::Zero;
                if irrelevant {
                } else if self.hides_zero() {
                    if !self.pattern.fill {
                        self.out.push(' ');
                    } else if self.last_is_point() {
                        self.out.push('0');
                    }
                } else if let Some(character) = character {
                    self.out.push(char::from(*character));
                    self.in_number = true;
                }
            }
        }
        if self.at < self.number.len() {
            self.at += 1;
        }
    }

    fn finish_position(&mut self) {
        let mut end = self.positions + usize::from(self.blanks > 0) + usize::from(self.pattern.decimal);
        if self.last_relevant == Some(self.at) {
            end = self.position;
        }
        if self.position + 1 == end {
            if self.sign_written && self.pattern.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.pattern.sign && self.pattern.sign_place == SignPlace::After {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.position += 1;
    }
}
