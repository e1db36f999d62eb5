//! generate_series over integers, numerics and timestamps.

use super::RowSet;
use crate::context::EvalContext;
use types::{
    Batch, DataType, Datum, Interval, Numeric, PgError, PgResult, SqlState, TimeZone, Vector, datetime,
};

fn zero_step() -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

pub(super) fn open(arguments: &[Datum], context: &EvalContext<'_>) -> PgResult<Box<dyn RowSet>> {
    let step = arguments.get(2);
    match (&arguments[0], &arguments[1]) {
        (Datum::Int4(start), Datum::Int4(stop)) => {
            let step = match step {
                Some(Datum::Int4(step)) => i64::from(*step),
                _ => 1,
            };
            integers(DataType::Int4, i64::from(*start), i64::from(*stop), step)
        }
        (Datum::Int8(start), Datum::Int8(stop)) => {
            let step = match step {
                Some(Datum::Int8(step)) => *step,
                _ => 1,
            };
            integers(DataType::Int8, *start, *stop, step)
        }
        (Datum::Numeric(start), Datum::Numeric(stop)) => {
            let step = match step {
                Some(Datum::Numeric(step)) => step.clone(),
                _ => Numeric::ONE,
            };
            numerics(start, stop, step)
        }
        (Datum::Timestamp(start), Datum::Timestamp(stop)) => instants(*start, *stop, step, None),
        (Datum::TimestampTz(start), Datum::TimestampTz(stop)) => {
            instants(*start, *stop, step, Some(context.session.format.time_zone.clone()))
        }
        _ => Err(PgError::internal("generate_series over other types than it takes")),
    }
}

struct Integers {
    data_type: DataType,
    next: Option<i64>,
    stop: i64,
    step: i64,
}

fn integers(data_type: DataType, start: i64, stop: i64, step: i64) -> PgResult<Box<dyn RowSet>> {
    if step == 0 {
        return Err(zero_step());
    }
    Ok(Box::new(Integers { data_type, next: Some(start), stop, step }))
}

impl RowSet for Integers {
    fn next(&mut self, rows_max: usize) -> PgResult<Batch> {
        let mut column = Vector::with_capacity(self.data_type, rows_max.min(1024));
        while column.len() < rows_max {
            let Some(value) = self.next else { break };
            if if self.step > 0 { value > self.stop } else { value < self.stop } {
                self.next = None;
                break;
            }
            column.push(&match self.data_type {
                DataType::Int4 => Datum::Int4(value as i32),
                _ => Datum::Int8(value),
            });
            // Past the end of the type there is nothing more.
            self.next = value.checked_add(self.step);
        }
        let rows = column.len();
        Ok(Batch::new(vec![column], rows))
    }
}

struct Numerics {
    next: Numeric,
    stop: Numeric,
    step: Numeric,
}

fn numerics(start: &Numeric, stop: &Numeric, step: Numeric) -> PgResult<Box<dyn RowSet>> {
    for (value, name) in [(start, "start"), (stop, "stop"), (&step, "step size")] {
        let kind = match value {
            Numeric::NaN => "NaN",
            value if !value.is_finite() => "infinity",
            _ => continue,
        };
        let what = if name == "step size" { name.to_owned() } else { format!("{name} value") };
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("{what} cannot be {kind}")));
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    Ok(Box::new(Numerics { next: start.clone(), stop: stop.clone(), step }))
}

impl RowSet for Numerics {
    fn next(&mut self, rows_max: usize) -> PgResult<Batch> {
        let mut column = Vector::with_capacity(DataType::Numeric, rows_max.min(1024));
        while column.len() < rows_max {
            let past = self.next.compare(&self.stop);
            if if self.step.signum() > 0 { past.is_gt() } else { past.is_lt() } {
                break;
            }
            column.push(&Datum::Numeric(self.next.clone()));
            self.next = self.next.add(&self.step)?;
        }
        let rows = column.len();
        Ok(Batch::new(vec![column], rows))
    }
}

struct Instants {
    next: i64,
    stop: i64,
    step: Interval,
    /// Of timestamptz: days and months are added on this zone's clock.
    zone: Option<TimeZone>,
    forward: bool,
}

fn instants(
    start: i64,
    stop: i64,
    step: Option<&Datum>,
    zone: Option<TimeZone>,
) -> PgResult<Box<dyn RowSet>> {
    let Some(Datum::Interval(step)) = step else {
        return Err(PgError::internal("generate_series over timestamps without a step"));
    };
    let length = step.comparison_value();
    if length == 0 {
        return Err(zero_step());
    }
    Ok(Box::new(Instants { next: start, stop, step: *step, zone, forward: length > 0 }))
}

impl RowSet for Instants {
    fn next(&mut self, rows_max: usize) -> PgResult<Batch> {
        let data_type = if self.zone.is_some() { DataType::TimestampTz } else { DataType::Timestamp };
        let mut column = Vector::with_capacity(data_type, rows_max.min(1024));
        while column.len() < rows_max {
            if if self.forward { self.next > self.stop } else { self.next < self.stop } {
                break;
            }
            column.push(&match &self.zone {
                Some(_) => Datum::TimestampTz(self.next),
                None => Datum::Timestamp(self.next),
            });
            self.next = match &self.zone {
                Some(zone) => datetime::timestamptz_plus_interval(self.next, self.step, zone)?,
                None => datetime::timestamp_plus_interval(self.next, self.step)?,
            };
        }
        let rows = column.len();
        Ok(Batch::new(vec![column], rows))
    }
}
