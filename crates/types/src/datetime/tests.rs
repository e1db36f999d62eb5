//! Against PostgreSQL 15: a table of its answers to date/time functions and operators.

use super::*;
use crate::data_type::DataType;
use crate::datum::Datum;
use crate::format::{FormatContext, datum_text, parse_text};
use crate::interval::Interval;
use crate::timezone::TimeZone;

struct Case<'a> {
    context: FormatContext,
    a: &'a str,
    b: &'a str,
}

/// `None` is NULL.
type Answer = PgResult<Option<String>>;

impl Case<'_> {
    fn datum(&self, data_type: DataType, text: &str) -> PgResult<Datum> {
        parse_text(data_type, -1, text, &self.context)
    }

    fn timestamp(&self, text: &str) -> PgResult<i64> {
        parse_timestamp(text, -1, &self.context)
    }

    fn timestamptz(&self, text: &str) -> PgResult<i64> {
        parse_timestamptz(text, -1, &self.context)
    }

    fn interval(&self, text: &str) -> PgResult<Interval> {
        parse_interval(text, -1, &self.context)
    }

    fn date(&self, text: &str) -> PgResult<i32> {
        parse_date(text, &self.context)
    }

    fn time(&self, text: &str) -> PgResult<i64> {
        parse_time(text, -1, &self.context)
    }

    fn show(&self, datum: Datum, data_type: DataType) -> Answer {
        Ok(Some(datum_text(&datum, data_type, -1, &self.context)))
    }

    fn span(&self, value: Interval) -> Answer {
        self.show(Datum::Interval(value), DataType::Interval)
    }

    fn instant(&self, value: i64) -> Answer {
        self.show(Datum::Timestamp(value), DataType::Timestamp)
    }

    fn zoned(&self, value: i64) -> Answer {
        self.show(Datum::TimestampTz(value), DataType::TimestampTz)
    }

    fn zone(&self) -> &TimeZone {
        &self.context.time_zone
    }

    fn numbers(&self) -> Vec<f64> {
        self.a.split(',').map(|number| number.parse().expect("a number")).collect()
    }

    fn field(&self, data_type: DataType, float: bool) -> Answer {
        let value = self.datum(data_type, self.b)?;
        if float {
            let part = date_part(self.a, &value, data_type, self.zone())?;
            return Ok(part.map(|part| datum_text(&Datum::Float8(part), DataType::Float8, -1, &self.context)));
        }
        Ok(extract(self.a, &value, data_type, self.zone())?.map(|number| number.to_string()))
    }

    fn answer(&self, operation: &str) -> Answer {
        let (a, b, zone) = (self.a, self.b, self.zone());
        let float = || b.parse::<f64>().expect("a float");
        match operation {
            "ext_ts" => self.field(DataType::Timestamp, false),
            "ext_tz" => self.field(DataType::TimestampTz, false),
            "ext_d" => self.field(DataType::Date, false),
            "ext_t" => self.field(DataType::Time, false),
            "ext_i" => self.field(DataType::Interval, false),
            "dp_ts" => self.field(DataType::Timestamp, true),
            "dp_tz" => self.field(DataType::TimestampTz, true),
            "dp_t" => self.field(DataType::Time, true),
            "dp_i" => self.field(DataType::Interval, true),
            "tr_ts" => self.instant(truncate_timestamp(a, self.timestamp(b)?)?),
            "tr_tz" => self.zoned(truncate_timestamptz(a, self.timestamptz(b)?, zone)?),
            "tr_i" => self.span(truncate_interval(a, self.interval(b)?)?),
            "age" => self.span(age(self.timestamp(a)?, self.timestamp(b)?, None)?),
            "agez" => self.span(age(self.timestamptz(a)?, self.timestamptz(b)?, Some(zone))?),
            "ts+i" => self.instant(timestamp_plus_interval(self.timestamp(a)?, self.interval(b)?)?),
            "ts-i" => self.instant(timestamp_minus_interval(self.timestamp(a)?, self.interval(b)?)?),
            "tz+i" => self.zoned(timestamptz_plus_interval(self.timestamptz(a)?, self.interval(b)?, zone)?),
            "tz-i" => self.zoned(timestamptz_minus_interval(self.timestamptz(a)?, self.interval(b)?, zone)?),
            "ts-ts" => self.span(timestamp_difference(self.timestamp(a)?, self.timestamp(b)?)?),
            "i*f" => self.span(self.interval(a)?.multiply(float())?),
            "i/f" => self.span(self.interval(a)?.divide(float())?),
            "i+i" => self.span(self.interval(a)?.checked_add(self.interval(b)?)?),
            "i-i" => self.span(self.interval(a)?.checked_sub(self.interval(b)?)?),
            "-i" => self.span(self.interval(a)?.checked_neg()?),
            "jh" => self.span(self.interval(a)?.justify_hours()?),
            "jd" => self.span(self.interval(a)?.justify_days()?),
            "ji" => self.span(self.interval(a)?.justify_interval()?),
            "icmp" => {
                let order = self.interval(a)?.comparison_value().cmp(&self.interval(b)?.comparison_value());
                Ok(Some((order as i32).to_string()))
            }
            "d+n" => {
                let date = date_plus_days(self.date(a)?, b.parse().expect("days"))?;
                self.show(Datum::Date(date), DataType::Date)
            }
            "t+i" => {
                self.show(Datum::Time(time_plus_interval(self.time(a)?, self.interval(b)?)), DataType::Time)
            }
            "t-i" => {
                self.show(Datum::Time(time_minus_interval(self.time(a)?, self.interval(b)?)), DataType::Time)
            }
            "ts2tz" => self.zoned(timestamp_to_timestamptz(self.timestamp(a)?, zone)?),
            "tz2ts" => self.instant(timestamptz_to_timestamp(self.timestamptz(a)?, zone)?),
            "tz2d" => {
                self.show(Datum::Date(timestamptz_to_date(self.timestamptz(a)?, zone)?), DataType::Date)
            }
            "d2tz" => self.zoned(date_to_timestamptz(self.date(a)?, zone)?),
            "ts2t" => match timestamp_to_time(self.timestamp(a)?) {
                Some(time) => self.show(Datum::Time(time), DataType::Time),
                None => Ok(None),
            },
            "bin" => {
                let origin = self.timestamp("2001-02-16 20:38:40")?;
                self.instant(bin_timestamp(self.interval(a)?, self.timestamp(b)?, origin)?)
            }
            "mkd" => {
                let [year, month, day] = self.numbers()[..] else { panic!("three numbers") };
                self.show(Datum::Date(make_date(year as i32, month as i32, day as i32)?), DataType::Date)
            }
            "mkt" => {
                let [hour, minute, second] = self.numbers()[..] else { panic!("three numbers") };
                self.show(Datum::Time(make_time(hour as i32, minute as i32, second)?), DataType::Time)
            }
            "mkts" => {
                let [year, month, day, hour, minute, second] = self.numbers()[..] else {
                    panic!("six numbers")
                };
                let whole = |number: f64| number as i32;
                let (year, month, day) = (whole(year), whole(month), whole(day));
                self.instant(make_timestamp(year, month, day, whole(hour), whole(minute), second)?)
            }
            "totz" => self.zoned(timestamptz_from_unix_seconds(a.parse().expect("a float"))?),
            "atz" => self.zoned(timestamp_to_timestamptz(self.timestamp(b)?, &zone_argument(a)?)?),
            other => panic!("no operation {other}"),
        }
    }
}

/// operation, time zone, operands, result (`!` and SQLSTATE, message, detail for an error).
#[test]
fn agrees_with_postgresql() {
    let more =
        std::env::var("TYPES_DATETIME_CASES").map(|path| std::fs::read_to_string(path).expect("a table"));
    let table = more.unwrap_or_else(|_| include_str!("../../testdata/datetime.tsv").to_owned());
    let (mut wrong, mut count) = (Vec::new(), 0);
    for line in table.lines() {
        let [operation, zone, a, b, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("bad line {line}")
        };
        let time_zone = TimeZone::named(zone).expect("a zone");
        let case = Case { context: FormatContext { time_zone, ..FormatContext::default() }, a, b };
        let got = match case.answer(operation) {
            Ok(text) => text.unwrap_or("NULL".into()),
            Err(error) => {
                let detail =
                    error.fields().detail.as_ref().map_or(String::new(), |detail| format!(" D:{detail}"));
                format!("!{} {}{detail}", error.code(), error.message())
            }
        };
        count += 1;
        if got != expected {
            wrong.push(format!("{line}\n      got: {got}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5000)].join("\n")
    );
}

#[test]
fn days_and_dates_are_inverse() {
    for days in (-2_451_545i64..2_000_000).step_by(997).chain([0, -1, 58, 59, 60, 365, 366]) {
        let date = CivilDate::from_days(days);
        assert_eq!(date.days(), days);
        assert!((1..=12).contains(&date.month) && (1..=date.days_in_month()).contains(&date.day));
    }
    assert_eq!(CivilDate { year: 2000, month: 1, day: 1 }.days(), 0);
    assert_eq!(CivilDate { year: -4713, month: 11, day: 24 }.julian_day(), 0);
}
