//! Sizes and durations for human eyes, and sizes back from what a human types.

use std::fmt;
use std::time::Duration;

/// Displays a count of bytes with a binary unit: `512 B`, `1.5 KiB`, `128 MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanSize(pub u64);

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for HumanSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 0;
        while unit + 1 < UNITS.len() && self.0 >> (10 * (unit + 1)) > 0 {
            unit += 1;
        }
        let scaled = self.0 as f64 / (1u64 << (10 * unit)) as f64;
        let text = format!("{scaled:.1}");
        write!(f, "{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
    }
}

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeParseError(String);

impl fmt::Display for SizeParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" is not a size: expected a whole number with an optional unit, such as 65536, 64KiB or 128MiB",
            self.0
        )
    }
}

impl std::error::Error for SizeParseError {}

impl std::str::FromStr for HumanSize {
    type Err = SizeParseError;

    /// A whole number with an optional unit (`B K KB KiB M MB MiB ...`, any case; all units are binary).
    fn from_str(text: &str) -> Result<HumanSize, SizeParseError> {
        let error = || SizeParseError(text.to_string());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let number: u64 = trimmed[..digits].parse().map_err(|_| error())?;
        let unit = trimmed[digits..].trim().to_ascii_lowercase();
        let letter = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
        let power = match letter {
            "" if unit != "ib" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            _ => return Err(error()),
        };
        number.checked_mul(1 << (10 * power)).map(HumanSize).ok_or_else(error)
    }
}

/// Displays a duration with the largest unit that keeps a digit before the point: `850 ns`, `12.5 us`,
/// `1.20 s`, `3 min 5 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0..1_000 => write!(f, "{nanos} ns"),
            1_000..1_000_000 => write!(f, "{:.1} us", nanos as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} ms", nanos as f64 / 1e6),
            1_000_000_000..60_000_000_000 => write!(f, "{:.2} s", nanos as f64 / 1e9),
            _ => {
                let seconds = self.0.as_secs();
                let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
                if hours > 0 {
                    write!(f, "{hours} h {minutes} min")
                } else {
                    write!(f, "{minutes} min {seconds} s")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_with_their_unit() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (128 << 20, "128 MiB"),
            (u64::MAX, "16 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(HumanSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn sizes_parse() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("64KiB", 65536),
            ("64 kb", 65536),
            ("2k", 2048),
            ("128MiB", 128 << 20),
            ("7B", 7),
        ] {
            assert_eq!(text.parse(), Ok(HumanSize(bytes)), "{text}");
        }
        for text in ["", "KiB", "-1", "1.5MiB", "12x", "1ib", "99999999999PiB"] {
            assert!(text.parse::<HumanSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_with_their_unit() {
        let cases = [
            (850, "850 ns"),
            (12_500, "12.5 us"),
            (3_200_000, "3.2 ms"),
            (1_200_000_000, "1.20 s"),
            (185_000_000_000, "3 min 5 s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(HumanDuration(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
