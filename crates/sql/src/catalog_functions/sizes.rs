//! Sizes. The KV layer keeps no count of bytes per table that could be asked for without waiting, so that relation sizes are
//! what the statistics say: rows times average width (0 before ANALYZE); an index counts its own columns.

use types::descriptor::Oid;
use types::{Datum, Numeric, PgError, PgResult, SqlState};

use super::Answer::{self, Strict};
use super::{mismatch, oid_argument, text_argument};
use crate::virtual_tables::pg_catalog::class::estimated_size;
use crate::virtual_tables::pg_catalog::schema::TABLESPACES;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Index, Relation};

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_database_size", Strict(pg_database_size)),
    ("pg_indexes_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::Indexes))),
    ("pg_relation_size", Strict(pg_relation_size)),
    ("pg_size_bytes", Strict(pg_size_bytes)),
    ("pg_size_pretty", Strict(pg_size_pretty)),
    ("pg_table_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::Table))),
    ("pg_tablespace_size", Strict(pg_tablespace_size)),
    ("pg_total_relation_size", Strict(|picture, arguments| of_table(picture, arguments, Parts::All))),
];

/// What of a table is counted.
#[derive(Clone, Copy)]
enum Parts {
    Table,
    Indexes,
    All,
}

fn bytes(value: f64) -> Datum {
    Datum::Int8(value as i64)
}

fn index_size(picture: &Picture<'_>, index: &Index<'_>) -> f64 {
    // The primary index is the table.
    if index.is_primary() {
        return 0.0;
    }
    let Some(statistics) = picture.statistics.get(index.table.id) else { return 0.0 };
    let width = |column| statistics.columns.get(&column).map_or(0.0, |column| column.average_width);
    statistics.row_count * index.columns().map(width).sum::<f64>()
}

fn relation_size(picture: &Picture<'_>, relation: &Relation<'_>) -> f64 {
    match relation {
        Relation::Table(table) => estimated_size(picture, table.id).1,
        Relation::Index(index) => index_size(picture, index),
        _ => 0.0,
    }
}

fn pg_relation_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    if arguments.len() > 1 {
        match text_argument(arguments, 1)? {
            "main" => {}
            "fsm" | "vm" | "init" => return Ok(Datum::Int8(0)),
            _ => {
                return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid fork name")
                    .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\"."));
            }
        }
    }
    Ok(relation.map_or(Datum::Null, |relation| bytes(relation_size(picture, &relation))))
}

fn table_parts(picture: &Picture<'_>, relation: &Relation<'_>, parts: Parts) -> f64 {
    let own = relation_size(picture, relation);
    let Relation::Table(table) = relation else {
        return if matches!(parts, Parts::Indexes) { 0.0 } else { own };
    };
    let indexes: f64 = Index::all(table).map(|index| index_size(picture, &index)).sum();
    match parts {
        Parts::Table => own,
        Parts::Indexes => indexes,
        Parts::All => own + indexes,
    }
}

fn of_table(picture: &Picture<'_>, arguments: &[Datum], parts: Parts) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(relation.map_or(Datum::Null, |relation| bytes(table_parts(picture, &relation, parts))))
}

fn database_size(picture: &Picture<'_>, database: Oid) -> f64 {
    let picture = Picture { database, ..*picture };
    let tables = picture.snapshot.tables(database);
    tables.map(|table| table_parts(&picture, &Relation::Table(table), Parts::All)).sum()
}

fn pg_database_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let database = match arguments.first() {
        Some(Datum::Oid(id)) => picture.snapshot.database_by_id(Oid(*id)).map(|database| database.id),
        Some(Datum::Text(name)) => {
            let found = picture.snapshot.database(name).ok_or_else(|| {
                PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
            })?;
            Some(found.id)
        }
        _ => return Err(mismatch(arguments)),
    };
    Ok(database.map_or(Datum::Null, |id| bytes(database_size(picture, id))))
}

/// Everything is in pg_default.
fn pg_tablespace_size(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let name = match arguments.first() {
        Some(Datum::Oid(id)) => TABLESPACES.iter().find(|(other, _)| other == id).map(|(_, name)| *name),
        Some(Datum::Text(name)) => {
            let found = TABLESPACES.iter().find(|(_, other)| **other == **name);
            Some(found.map(|(_, name)| *name).ok_or_else(|| {
                PgError::new(SqlState::UNDEFINED_OBJECT, format!("tablespace \"{name}\" does not exist"))
            })?)
        }
        _ => return Err(mismatch(arguments)),
    };
    let databases = picture.snapshot.objects().filter_map(|object| match object {
        crate::catalog::Object::Database(database) => Some(database.id),
        _ => None,
    });
    Ok(match name {
        None => Datum::Null,
        Some("pg_default") => bytes(databases.map(|id| database_size(picture, id)).sum()),
        Some(_) => Datum::Int8(0),
    })
}

// Sizes for people.

/// (name, the size below which it is used, whether it is rounded to, its power of two).
const UNITS: [(&str, i128, bool, u32); 6] = [
    ("bytes", 10 * 1024, false, 0),
    ("kB", 20 * 1024 - 1, true, 10),
    ("MB", 20 * 1024 - 1, true, 20),
    ("GB", 20 * 1024 - 1, true, 30),
    ("TB", 20 * 1024 - 1, true, 40),
    ("PB", 20 * 1024 - 1, true, 50),
];

/// The unit of a size and the size in it, as PostgreSQL's pg_size_pretty rounds: kept at twice the unit until the end, so that
/// halves round away from zero.
fn pretty(mut size: i128) -> (i128, &'static str) {
    for (position, (name, limit, round, power)) in UNITS.into_iter().enumerate() {
        let next = UNITS.get(position + 1);
        let Some((_, _, next_round, next_power)) = next.filter(|_| size.abs() >= limit) else {
            let rounded = if round { (size + if size < 0 { -1 } else { 1 }) / 2 } else { size };
            return (rounded, name);
        };
        let shift = next_power - power - u32::from(*next_round) + u32::from(round);
        size /= 1 << shift;
    }
    (size, UNITS[UNITS.len() - 1].0)
}

fn pg_size_pretty(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let text = match arguments.first() {
        Some(Datum::Int8(size)) => {
            let (size, unit) = pretty(i128::from(*size));
            format!("{size} {unit}")
        }
        Some(Datum::Numeric(size)) => pretty_numeric(size),
        _ => return Err(mismatch(arguments)),
    };
    Ok(Datum::text(text))
}

/// Below 10 kB a fraction is shown; beyond 2^127 bytes, where i128 ends, digits are kept as petabytes by PostgreSQL's arithmetic
/// as well, which here takes the float nearest to them.
fn pretty_numeric(size: &Numeric) -> String {
    let text = size.to_string();
    let whole = text.split('.').next().unwrap_or("");
    match whole.parse::<i128>() {
        Ok(value) if value.abs() < UNITS[0].1 => format!("{text} bytes"),
        Ok(value) => {
            let (size, unit) = pretty(value);
            format!("{size} {unit}")
        }
        Err(_) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => format!("{:.0} PB", value / f64::powi(2.0, 50)),
            _ => format!("{text} PB"),
        },
    }
}

fn invalid_size(text: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{text}\""))
}

/// A number and a unit: `1.5 GB`.
fn pg_size_bytes(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let text = text_argument(arguments, 0)?;
    let trimmed = text.trim();
    let number = number_length(trimmed).ok_or_else(|| invalid_size(text))?;
    let (digits, unit) = (&trimmed[..number], trimmed[number..].trim());
    let power = match unit {
        "" => 0,
        unit => {
            UNITS.iter().find(|row| row.0.eq_ignore_ascii_case(unit)).map(|row| row.3).ok_or_else(|| {
                invalid_size(text)
                    .detail(format!("Invalid size unit: \"{unit}\"."))
                    .hint("Valid units are \"bytes\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
            })?
        }
    };
    let size = scaled(digits, power)
        .ok_or_else(|| PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))?;
    Ok(Datum::Int8(size))
}

/// The length of a number at the start of a text: sign, digits with a point, exponent.
fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits_from = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at, at - start)
    };
    let start = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let (mut end, whole) = digits_from(start);
    let mut count = whole;
    if bytes.get(end) == Some(&b'.') {
        let (after, fraction) = digits_from(end + 1);
        end = after;
        count += fraction;
    }
    if count == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let (after, digits) = digits_from(end + 1 + sign);
        if digits > 0 {
            end = after;
        }
    }
    Some(end)
}

/// `number * 2^power`, rounded half away from zero; `None` beyond 64 bits.
fn scaled(number: &str, power: u32) -> Option<i64> {
    let (mantissa, exponent) = match number.find(['e', 'E']) {
        Some(at) => (&number[..at], number[at + 1..].parse::<i32>().ok()?),
        None => (number, 0),
    };
    let negative = mantissa.starts_with('-');
    let mantissa = mantissa.trim_start_matches(['+', '-']);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let mut value: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    value = value.checked_mul(1 << power)?;
    while scale < 0 && value != 0 {
        value = value.checked_mul(10)?;
        scale += 1;
    }
    if scale > 0 {
        // Beyond 38 digits of fraction nothing is left.
        let divisor = 10i128.checked_pow(scale as u32);
        value = divisor.map_or(0, |divisor| (value + divisor / 2) / divisor);
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_as_postgresql_does() {
        let cases: [(i64, &str); 10] = [
            (0, "0 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (10752, "11 kB"),
            (-10752, "-11 kB"),
            (20_969_983, "20 MB"),
            (1_048_576, "1024 kB"),
            (10_737_418_240, "10 GB"),
            (i64::MAX, "8192 PB"),
            (i64::MIN, "-8192 PB"),
        ];
        for (size, text) in cases {
            let (value, unit) = pretty(i128::from(size));
            assert_eq!(format!("{value} {unit}"), text, "{size}");
        }
    }

    #[test]
    fn sizes_are_read_with_units() {
        let cases = [
            ("1", 0, 1),
            ("1", 10, 1024),
            ("1.5", 30, 1_610_612_736),
            ("-2", 20, -2_097_152),
            ("1e3", 10, 1_024_000),
            (".5", 40, 549_755_813_888),
            ("0.4", 0, 0),
            ("0.5", 0, 1),
        ];
        for (number, power, size) in cases {
            assert_eq!(number_length(number), Some(number.len()), "{number}");
            assert_eq!(scaled(number, power), Some(size), "{number} {power}");
        }
        assert_eq!(scaled("9999999", 50), None);
        assert_eq!(number_length("abc"), None);
    }
}
