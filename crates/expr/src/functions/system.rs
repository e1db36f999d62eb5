//! What the session and the server say of themselves, and type names.

use super::kernel::{evaluators, too_few, vector};
use super::string::texts;
use super::text::row_of;
use crate::EvalContext;
use crate::type_name::format_type as type_name;
use types::{DataType, Datum, Nulls, Numeric, PgError, PgResult, SqlState, Values, Vector};

/// The encoding, by PostgreSQL's number and name.
const UTF8: i32 = 6;

evaluators! {
    fn pgsql_version(; context) -> text {
        format!("PostgreSQL {} (Meridian {})", context.session.server_version, env!("CARGO_PKG_VERSION"))
    }
    fn current_database(; context) -> text { &context.session.database }
    fn current_user(; context) -> text { &context.session.user }
    fn session_user(; context) -> text { &context.session.session_user }
    fn pg_backend_pid(; context) -> i32 { context.session.backend_pid }
    fn getdatabaseencoding() -> text { "UTF8" }
    fn pg_client_encoding() -> text { "UTF8" }
    fn pg_encoding_to_char(encoding: i32) -> text { if encoding == UTF8 { "UTF8" } else { "" } }
    fn pg_char_to_encoding(name: text) -> i32 {
        let plain = name.replace(['-', '_'], "").to_ascii_lowercase();
        if plain == "utf8" || plain == "unicode" { UTF8 } else { -1 }
    }
    fn pg_encoding_max_length_sql(encoding: i32) -> maybe i32 { Ok((encoding == UTF8).then_some(4)) }
    fn pg_is_in_recovery() -> bool { false }
    fn pg_jit_available() -> bool { false }
    fn pg_trigger_depth() -> i32 { 0 }
    fn pg_my_temp_schema() -> u32 { 0 }
    fn pg_is_other_temp_schema(_oid: u32) -> bool { false }
    fn pg_current_logfile() -> maybe text { Ok(None::<&str>) }
    fn pg_current_logfile_1arg(_format: text) -> maybe text { Ok(None::<&str>) }
    fn pg_stat_clear_snapshot() -> datum { Datum::text("") }
    fn pg_stat_force_next_flush() -> datum { Datum::text("") }
    fn pg_size_pretty(size: i64) -> text { pretty(i128::from(size)) }
    fn pg_size_pretty_numeric(size: numeric) -> try text { pretty_numeric(size) }
    fn pg_size_bytes(size: text) -> try i64 { size_bytes(size) }
}

/// pg_typeof of a vector that knows its type. (An expression's type is known before it is evaluated: see [`crate::eval`].)
pub fn pg_typeof(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    let [argument] = arguments else { return Err(too_few()) };
    Ok(vector(Values::Oid(vec![argument.data_type.oid(); rows]), Nulls::none()))
}

pub fn format_type(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let [oids, modifiers] = arguments else { return Err(too_few()) };
    texts(context, rows, |row| {
        let Datum::Oid(oid) = oids.datum(row_of(oids, row, rows)) else { return Ok(None) };
        let typmod = match modifiers.datum(row_of(modifiers, row, rows)) {
            Datum::Int4(typmod) => Some(typmod),
            _ => None,
        };
        if oid == 0 {
            return Ok(Some("-".to_owned()));
        }
        match DataType::from_oid(oid) {
            Some(data_type) => Ok(Some(type_name(data_type, typmod))),
            // A user's type.
            None => match context
                .catalog
                .call("format_type", &[Datum::Oid(oid), Datum::Int4(typmod.unwrap_or(-1))])?
            {
                Datum::Text(name) => Ok(Some(name.into())),
                _ => Ok(Some("???".to_owned())),
            },
        }
    })
}

const SIZE_UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/// The largest unit in which a size has at most four or five digits, rounded half away from zero.
fn pretty(size: i128) -> String {
    let limit = 10 * 1024;
    if size.abs() < limit {
        return format!("{size} bytes");
    }
    // One bit more than the unit is kept, for rounding.
    let mut value = size / (1 << 9);
    let mut unit = 1;
    while value.abs() >= limit * 2 - 1 && unit + 1 < SIZE_UNITS.len() {
        value /= 1 << 10;
        unit += 1;
    }
    let rounded = (value + value.signum()) / 2;
    format!("{rounded} {}", SIZE_UNITS[unit])
}

fn pretty_numeric(size: &Numeric) -> PgResult<String> {
    if !size.is_finite() {
        return Ok(format!("{size} PB"));
    }
    let limit = Numeric::from_i64(10 * 1024);
    if size.abs().compare(&limit).is_lt() {
        return Ok(format!("{size} bytes"));
    }
    let whole = size.truncate(0)?.to_string();
    match whole.parse::<i128>() {
        Ok(size) => Ok(pretty(size)),
        Err(_) => Err(PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range")),
    }
}

fn size_bytes(text: &str) -> PgResult<i64> {
    let invalid = || PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{text}\""));
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    let unit_at = trimmed
        .char_indices()
        .find(|(at, c)| {
            let exponent = matches!(c, 'e' | 'E')
                && trimmed[at + 1..]
                    .starts_with(|next: char| next.is_ascii_digit() || matches!(next, '+' | '-'));
            let in_exponent = matches!(c, '+' | '-');
            !(c.is_ascii_digit() || *c == '.' || exponent || in_exponent)
        })
        .map_or(trimmed.len(), |(at, _)| at);
    let (number, unit) = trimmed.split_at(unit_at);
    let number = Numeric::parse(number.trim()).map_err(|_| invalid())?;
    let unit = unit.trim();
    let known = |name: &&str| name.eq_ignore_ascii_case(unit);
    let power = match unit {
        "" => 0,
        _ if unit.eq_ignore_ascii_case("B") => 0,
        _ => SIZE_UNITS.iter().position(|name| known(&name)).ok_or_else(|| {
            invalid()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
        })?,
    };
    number.mul(&Numeric::from_i64(1 << (10 * power)))?.to_i64()
}
