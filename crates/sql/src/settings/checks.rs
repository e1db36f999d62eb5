//! Checking and normalising the value of a setting.

use types::{PgError, PgResult, SqlState};

use super::Kind;
use super::definitions::{Check, Definition};

/// (suffix, how many of the base unit), largest first. The base unit of times is the millisecond.
pub const TIME_UNITS: &[(&str, i64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];
/// The base unit of sizes is the kilobyte.
pub const SIZE_UNITS: &[(&str, i64)] = &[("TB", 1 << 30), ("GB", 1 << 20), ("MB", 1 << 10), ("kB", 1)];

const TIME_HINT: &str =
    "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\".";
const SIZE_HINT: &str = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".";

/// A number with an optional unit, in base units.
pub fn parse_with_unit(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let factor = match unit {
        "" => 1,
        // Of these a unit is many.
        "B" if units == SIZE_UNITS => return Some(rounded(number.parse().ok()?, 1024.0)),
        "us" if units == TIME_UNITS => return Some(rounded(number.parse().ok()?, 1000.0)),
        unit => units.iter().find(|(suffix, _)| *suffix == unit)?.1,
    };
    if let Ok(number) = number.parse::<i64>() {
        return number.checked_mul(factor);
    }
    let number: f64 = number.parse().ok()?;
    let scaled = (number * factor as f64).round();
    (scaled.abs() < i64::MAX as f64).then_some(scaled as i64)
}

fn rounded(value: f64, divisor: f64) -> i64 {
    (value / divisor).round_ties_even() as i64
}

/// The largest unit that divides the value, as SHOW prints it; zero has no unit.
pub fn print_with_unit(value: i64, units: &[(&str, i64)]) -> String {
    if value <= 0 {
        return value.to_string();
    }
    let unit = units.iter().find(|(_, factor)| value % factor == 0);
    unit.map_or_else(|| value.to_string(), |(suffix, factor)| format!("{}{suffix}", value / factor))
}

fn invalid(definition: &Definition, value: &str) -> PgError {
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{}\": \"{value}\"", definition.name),
    )
}

fn out_of_range(definition: &Definition, value: i64, low: i64, high: i64) -> PgError {
    let unit = definition.kind.unit().map_or(String::new(), |unit| format!(" {unit}"));
    PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!(
            "{value}{unit} is outside the valid range for parameter \"{}\" ({low} .. {high})",
            definition.name
        ),
    )
}

fn parse_bool(value: &str) -> Option<bool> {
    let lower = value.trim().to_ascii_lowercase();
    let is = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    match () {
        _ if lower == "1" || is("true", 1) || is("yes", 1) || is("on", 2) => Some(true),
        _ if lower == "0" || is("false", 1) || is("no", 1) || is("off", 2) => Some(false),
        _ => None,
    }
}

/// The value in canonical form, or why it is none.
pub fn check(definition: &Definition, values: &[&str]) -> PgResult<String> {
    let single = || match values {
        [value] => Ok(*value),
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("SET {} takes only one argument", definition.name),
        )),
    };
    let value = match definition.check {
        Check::SearchPath => return Ok(search_path(values)),
        Check::DateStyle => return date_style(definition, &values.join(", ")),
        Check::TimeZone => return time_zone(definition, single()?),
        Check::ClientEncoding => return client_encoding(definition, single()?),
        Check::ApplicationName => {
            let printable = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
            return Ok(single()?.chars().take(63).map(printable).collect());
        }
        Check::Any | Check::Only(_) => canonical(definition, single()?)?,
    };
    match definition.check {
        Check::Only(allowed) if !allowed.contains(&value.as_str()) => {
            Err(PgError::unsupported(format!("setting \"{}\" to \"{value}\"", definition.name))
                .hint(format!("Available values: {}.", allowed.join(", "))))
        }
        _ => Ok(value),
    }
}

fn canonical(definition: &Definition, value: &str) -> PgResult<String> {
    let with_unit = |units: &[(&str, i64)]| {
        let (low, high) = definition.kind.range().unwrap_or((i64::MIN, i64::MAX));
        let parsed = parse_with_unit(value, units).ok_or_else(|| {
            let error = invalid(definition, value);
            match value.trim().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
                true if units == SIZE_UNITS => error.hint(SIZE_HINT),
                true => error.hint(TIME_HINT),
                false => error,
            }
        })?;
        if parsed < low || parsed > high {
            return Err(out_of_range(definition, parsed, low, high));
        }
        Ok(print_with_unit(parsed, units))
    };
    match definition.kind {
        Kind::Text => Ok(value.to_string()),
        Kind::Bool => match parse_bool(value) {
            Some(true) => Ok("on".into()),
            Some(false) => Ok("off".into()),
            None => Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("parameter \"{}\" requires a Boolean value", definition.name),
            )),
        },
        Kind::Integer(low, high) => {
            let parsed = parse_with_unit(value, &[]).ok_or_else(|| invalid(definition, value))?;
            if parsed < low || parsed > high {
                return Err(out_of_range(definition, parsed, low, high));
            }
            Ok(parsed.to_string())
        }
        Kind::Milliseconds(_) | Kind::Kilobytes(_) | Kind::MillisecondsIn(..) | Kind::KilobytesIn(..) => {
            with_unit(definition.kind.units())
        }
        Kind::Enum(words) => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(value.trim()));
            word.map(ToString::to_string).ok_or_else(|| {
                invalid(definition, value).hint(format!("Available values: {}.", words.join(", ")))
            })
        }
    }
}

/// A list of schema names, quoted where needed.
fn search_path(values: &[&str]) -> String {
    let quote = |name: &&str| {
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if plain { name.to_string() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    };
    // One string with commas in it (SET search_path = 'a, b' or a startup option) is one name in PostgreSQL's SET, but
    // a list in a startup option; the latter comes with its commas split.
    values.iter().map(quote).collect::<Vec<_>>().join(", ")
}

/// The values that one text gives to a setting (a startup parameter, set_config): several for a list.
pub fn split_values(name: &str, text: &str) -> Vec<String> {
    match name.eq_ignore_ascii_case("search_path") {
        true => split_search_path(text),
        false => vec![text.to_string()],
    }
}

/// The names of a search path value, unquoted.
pub fn split_search_path(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = value.trim_start();
    while !rest.is_empty() {
        let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut characters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((at, c)) = characters.next() {
                if c != '"' {
                    name.push(c);
                } else if characters.peek().is_some_and(|(_, next)| *next == '"') {
                    characters.next();
                    name.push('"');
                } else {
                    end = at + 1;
                    break;
                }
            }
            (name, &quoted[end..])
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim().to_ascii_lowercase(), &rest[end..])
        };
        if !name.is_empty() {
            names.push(name);
        }
        rest = after.trim_start().strip_prefix(',').unwrap_or("").trim_start();
    }
    names
}

/// DateStyle: an output style and a field order, each optional.
fn date_style(definition: &Definition, value: &str) -> PgResult<String> {
    let (mut style, mut order) = ("ISO", "MDY");
    for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "iso" => style = "ISO",
            "sql" => style = "SQL",
            "german" => {
                style = "German";
                order = "DMY";
            }
            "postgres" => style = "Postgres",
            "mdy" | "us" | "noneuro" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            "default" => (style, order) = ("ISO", "MDY"),
            _ => return Err(invalid(definition, value).detail(format!("Unrecognized key word: \"{word}\"."))),
        }
    }
    Ok(format!("{style}, {order}"))
}

fn time_zone(definition: &Definition, value: &str) -> PgResult<String> {
    let zone = types::timezone::TimeZone::from_setting(value).map_err(|_| invalid(definition, value))?;
    Ok(zone.name().to_string())
}

/// Only UTF8 is spoken; SQL_ASCII and other names are refused.
fn client_encoding(definition: &Definition, value: &str) -> PgResult<String> {
    let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_ascii_lowercase().as_str() {
        "utf8" | "unicode" => Ok("UTF8".into()),
        _ => Err(PgError::unsupported(format!("{} \"{value}\"", definition.name))
            .hint("The only client encoding is UTF8.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_printed() {
        assert_eq!(parse_with_unit("1.5 s", TIME_UNITS), Some(1500));
        assert_eq!(parse_with_unit("2 parsecs", TIME_UNITS), None);
        assert_eq!(parse_with_unit("2500us", TIME_UNITS), Some(2));
        assert_eq!(parse_with_unit("4096 B", SIZE_UNITS), Some(4));
        assert_eq!(parse_with_unit("4096 us", SIZE_UNITS), None);
        assert_eq!(print_with_unit(7_200_000, TIME_UNITS), "2h");
        assert_eq!(print_with_unit(1500, TIME_UNITS), "1500ms");
        assert_eq!(print_with_unit(4096, SIZE_UNITS), "4MB");
    }

    #[test]
    fn search_paths_round_trip() {
        let printed = search_path(&["$user", "public", "Odd \"one\""]);
        assert_eq!(printed, "\"$user\", public, \"Odd \"\"one\"\"\"");
        assert_eq!(split_search_path(&printed), ["$user", "public", "Odd \"one\""]);
        assert_eq!(split_search_path(" A , b "), ["a", "b"]);
        assert!(split_search_path("").is_empty());
    }
}
