//! Values of another type than a key column's, as places among the column's values.
//!
//! A value that the column can have stands at it. Any other stands between two neighbours, or outside of all:
//!
//! ```text
//!   integer column       ... 4      5      6 ...      2147483647
//!   = 5::bigint                     ^
//!   < 3000000000::bigint                                        ^   below it: 2147483647, above it: nothing
//!
//!   date column          ... 2024-02-28      2024-02-29 ...
//!   < timestamp 12:00                  ^                            below it: the 28th, above it: the 29th
//! ```
//!
//! So an equality is one value or none, and a bound is a bound at the value, or one that includes the neighbour on the side that is
//! wanted. Instants among local times are [`planner::plan::KeyFit::Approximate`]: where the zone's offset changes near by,
//! days around are read as well.

use expr::EvalContext;
use planner::plan::KeyFit;
use types::datetime::{
    DATE_INFINITY, MICROSECONDS_PER_DAY, TIMESTAMP_INFINITY, TIMESTAMP_NEGATIVE_INFINITY, date_to_timestamp,
    date_to_timestamptz, is_finite_timestamp, timestamp_to_date, timestamp_to_timestamptz,
    timestamptz_to_timestamp,
};
use types::timezone::TimeZone;
use types::{DataType, Datum, PgError, PgResult};

/// How far from an instant a change of the zone's offset makes local times around it uncertain.
const UNCERTAIN_DAYS: i64 = 2;
/// Local times are repeated or left out for at most a day (where the date line was moved).
const SHIFT_MAX: i64 = MICROSECONDS_PER_DAY;

/// Where a value stands among those of a column.
#[derive(Debug, PartialEq)]
enum Place {
    At(Datum),
    /// Between neighbours; `None`: there is nothing on that side.
    Between(Option<Datum>, Option<Datum>),
    /// Somewhere from here to there.
    Within(Datum, Datum),
}

/// An evaluated bound.
#[derive(Debug, PartialEq)]
pub(crate) enum Bound {
    None,
    Inclusive(Datum),
    Exclusive(Datum),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Side {
    Lower,
    Upper,
}

/// The conversion of values to a key column's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    column: DataType,
}

impl Conversion {
    /// `None`: values are encoded as they are.
    pub fn new(given: DataType, column: DataType) -> Option<Conversion> {
        KeyFit::of(given, column).map(|_| Conversion { column })
    }

    /// The value of the column that equals this one (not NULL), if it can have it.
    pub fn equal(self, value: &Datum, context: &EvalContext<'_>) -> PgResult<Option<Datum>> {
        match self.place(value, context)? {
            Place::At(value) => Ok(Some(value)),
            Place::Between(..) => Ok(None),
            Place::Within(..) => {
                Err(PgError::internal("an equality of an instant with local times is no key"))
            }
        }
    }

    /// The bound among the column's values; `None`: nothing lies within it. The value is not NULL.
    pub fn bound(
        self,
        side: Side,
        value: &Datum,
        inclusive: bool,
        context: &EvalContext<'_>,
    ) -> PgResult<Option<Bound>> {
        Ok(match (self.place(value, context)?, side) {
            (Place::At(value), _) if inclusive => Some(Bound::Inclusive(value)),
            (Place::At(value), _) => Some(Bound::Exclusive(value)),
            (Place::Between(_, next), Side::Lower) => next.map(Bound::Inclusive),
            (Place::Between(last, _), Side::Upper) => last.map(Bound::Inclusive),
            (Place::Within(from, _), Side::Lower) => Some(Bound::Inclusive(from)),
            (Place::Within(_, to), Side::Upper) => Some(Bound::Inclusive(to)),
        })
    }

    fn place(self, value: &Datum, context: &EvalContext<'_>) -> PgResult<Place> {
        let zone = &context.session.format.time_zone;
        Ok(match (value, self.column) {
            (Datum::Int2(number), column) => integer(i64::from(*number), column)?,
            (Datum::Int4(number), column) => integer(i64::from(*number), column)?,
            (Datum::Int8(number), column) => integer(*number, column)?,
            (Datum::Float4(number), DataType::Float8) => Place::At(Datum::Float8(f64::from(*number))),
            (Datum::Float8(number), DataType::Float4) => float(*number),
            (Datum::Date(date), DataType::Timestamp) => {
                timestamp(date_to_timestamp(*date), *date > 0, Datum::Timestamp)
            }
            (Datum::Date(date), DataType::TimestampTz) => {
                timestamp(date_to_timestamptz(*date, zone), *date > 0, Datum::TimestampTz)
            }
            (Datum::Timestamp(local), DataType::TimestampTz) => {
                timestamp(timestamp_to_timestamptz(*local, zone), *local > 0, Datum::TimestampTz)
            }
            (Datum::Timestamp(local), DataType::Date) => day(*local)?,
            (Datum::TimestampTz(instant), DataType::Timestamp) => {
                let (from, to) = local_times(*instant, zone);
                Place::Within(Datum::Timestamp(from), Datum::Timestamp(to))
            }
            (Datum::TimestampTz(instant), DataType::Date) => {
                let (from, to) = local_times(*instant, zone);
                Place::Within(Datum::Date(timestamp_to_date(from)?), Datum::Date(timestamp_to_date(to)?))
            }
            _ => return Err(PgError::internal("a key value of a type that has no place among the column's")),
        })
    }
}

fn integer(number: i64, column: DataType) -> PgResult<Place> {
    let (min, max, make): (i64, i64, fn(i64) -> Datum) = match column {
        DataType::Int2 => (i16::MIN.into(), i16::MAX.into(), |number| Datum::Int2(number as i16)),
        DataType::Int4 => (i32::MIN.into(), i32::MAX.into(), |number| Datum::Int4(number as i32)),
        DataType::Int8 => (i64::MIN, i64::MAX, Datum::Int8),
        _ => return Err(PgError::internal("an integer as a key that is none")),
    };
    Ok(match number {
        small if small < min => Place::Between(None, Some(make(min))),
        large if large > max => Place::Between(Some(make(max)), None),
        fitting => Place::At(make(fitting)),
    })
}

fn float(number: f64) -> Place {
    let nearest = number as f32;
    let (below, above) = match f64::from(nearest).partial_cmp(&number) {
        // NaN is NaN; it is the greatest.
        None | Some(std::cmp::Ordering::Equal) => return Place::At(Datum::Float4(nearest)),
        Some(std::cmp::Ordering::Greater) => (nearest.next_down(), nearest),
        Some(std::cmp::Ordering::Less) => (nearest, nearest.next_up()),
    };
    Place::Between(Some(Datum::Float4(below)), Some(Datum::Float4(above)))
}

/// A time as a timestamp, which may be out of its range: only the infinities are beyond.
fn timestamp(converted: PgResult<i64>, is_late: bool, make: fn(i64) -> Datum) -> Place {
    match converted {
        Ok(value) => Place::At(make(value)),
        Err(_) if is_late => {
            Place::Between(Some(make(TIMESTAMP_INFINITY - 1)), Some(make(TIMESTAMP_INFINITY)))
        }
        Err(_) => Place::Between(
            Some(make(TIMESTAMP_NEGATIVE_INFINITY)),
            Some(make(TIMESTAMP_NEGATIVE_INFINITY + 1)),
        ),
    }
}

fn day(local: i64) -> PgResult<Place> {
    let date = timestamp_to_date(local)?;
    let is_midnight =
        !is_finite_timestamp(local) || date_to_timestamp(date).is_ok_and(|begin| begin == local);
    let next = date.checked_add(1).unwrap_or(DATE_INFINITY);
    Ok(match is_midnight {
        true => Place::At(Datum::Date(date)),
        false => Place::Between(Some(Datum::Date(date)), Some(Datum::Date(next))),
    })
}

/// The first and the last local time that may stand for the instant, or for one that is its neighbour in order.
fn local_times(instant: i64, zone: &TimeZone) -> (i64, i64) {
    let Ok(local) = timestamptz_to_timestamp(instant, zone) else { return out_of_range(instant) };
    if !is_finite_timestamp(local) {
        return (local, local);
    }
    let offset = zone.east_seconds_at(instant);
    let is_steady = (-4 * UNCERTAIN_DAYS..=4 * UNCERTAIN_DAYS)
        .map(|quarter| instant.saturating_add(quarter * (MICROSECONDS_PER_DAY / 4)))
        .all(|near| zone.east_seconds_at(near) == offset);
    match is_steady {
        true => (local, local),
        false => (local.saturating_sub(SHIFT_MAX), local.saturating_add(SHIFT_MAX)),
    }
}

/// Local times near an end of the calendar.
fn out_of_range(instant: i64) -> (i64, i64) {
    match instant > 0 {
        true => (instant - SHIFT_MAX, TIMESTAMP_INFINITY - 1),
        false => (TIMESTAMP_NEGATIVE_INFINITY + 1, instant + SHIFT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = MICROSECONDS_PER_DAY / 2;

    #[test]
    fn integers_have_places_among_narrower_ones() {
        let at = |number| integer(number, DataType::Int2).expect("an integer");
        assert_eq!(at(7), Place::At(Datum::Int2(7)));
        assert_eq!(at(32_768), Place::Between(Some(Datum::Int2(i16::MAX)), None));
        assert_eq!(at(i64::MIN), Place::Between(None, Some(Datum::Int2(i16::MIN))));
        assert_eq!(integer(-1, DataType::Int8), Ok(Place::At(Datum::Int8(-1))));
    }

    #[test]
    fn floats_stand_between_their_neighbours() {
        assert_eq!(float(0.5), Place::At(Datum::Float4(0.5)));
        for number in [0.1, -0.1, 1e300, -1e300, 1e-300] {
            let Place::Between(Some(Datum::Float4(below)), Some(Datum::Float4(above))) = float(number) else {
                panic!("{number} is no float4")
            };
            assert!(f64::from(below) < number && number < f64::from(above), "{number}");
            assert_eq!(below.next_up(), above);
        }
        assert!(matches!(float(f64::NAN), Place::At(Datum::Float4(nan)) if nan.is_nan()));
        assert_eq!(float(f64::INFINITY), Place::At(Datum::Float4(f32::INFINITY)));
    }

    #[test]
    fn times_stand_among_days() {
        assert_eq!(day(0), Ok(Place::At(Datum::Date(0))));
        assert_eq!(day(NOON), Ok(Place::Between(Some(Datum::Date(0)), Some(Datum::Date(1)))));
        assert_eq!(day(-1), Ok(Place::Between(Some(Datum::Date(-1)), Some(Datum::Date(0)))));
        assert_eq!(day(TIMESTAMP_INFINITY), Ok(Place::At(Datum::Date(DATE_INFINITY))));
    }

    #[test]
    fn days_beyond_the_calendar_of_timestamps_are_before_infinity() {
        let late = timestamp(date_to_timestamp(200_000_000), true, Datum::Timestamp);
        let (last, infinity) = (Datum::Timestamp(i64::MAX - 1), Datum::Timestamp(i64::MAX));
        assert_eq!(late, Place::Between(Some(last), Some(infinity)));
    }

    #[test]
    fn local_times_are_certain_where_the_offset_is_steady() {
        let zone = TimeZone::named("Europe/Berlin").expect("a zone");
        let utc = TimeZone::named("UTC").expect("a zone");
        assert_eq!(local_times(NOON, &utc), (NOON, NOON));
        let hour = 3_600_000_000;
        assert_eq!(local_times(NOON, &zone), (NOON + hour, NOON + hour));
        // 2000-03-26 01:00 UTC: clocks go forward.
        let change = 85 * MICROSECONDS_PER_DAY + hour;
        assert_eq!(local_times(change, &zone).1 - local_times(change, &zone).0, 2 * SHIFT_MAX);
        assert_eq!(local_times(TIMESTAMP_INFINITY, &zone), (TIMESTAMP_INFINITY, TIMESTAMP_INFINITY));
    }
}
