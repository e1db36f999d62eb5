//! count, sum, avg.
//!
//! Integers are summed in 64 or 128 bits, which 2^63 rows cannot overflow for smallint and integer; sum(bigint) is numeric. A
//! numeric sum keeps the largest scale seen. float sums are plain left-to-right additions with PostgreSQL's overflow check; avg
//! of floats is the mean of [`super::moments`].

use super::codec::{Reader, put_numeric};
use super::grouped::{Accumulate, Grouped};
use super::{GroupedAccumulator, moments};
use crate::functions::arithmetic::{out_of_range, overflow};
use types::{DataType, Datum, Interval, Numeric, PgResult, Values, Vector};

pub(super) fn accumulator(
    name: &str,
    argument: DataType,
    result: DataType,
) -> Option<Box<dyn GroupedAccumulator>> {
    let average = name == "avg";
    Some(match (average, argument) {
        (false, DataType::Int2 | DataType::Int4) => Grouped::boxed(SumIntegers, result),
        (false, DataType::Int8) => Grouped::boxed(SumWide { average }, result),
        (true, DataType::Int2 | DataType::Int4 | DataType::Int8) => {
            Grouped::boxed(SumWide { average }, result)
        }
        (_, DataType::Numeric) => Grouped::boxed(SumNumeric { average }, result),
        (_, DataType::Interval) => Grouped::boxed(SumInterval { average }, result),
        (false, DataType::Float4) => Grouped::boxed(SumFloat4, result),
        (false, DataType::Float8) => Grouped::boxed(SumFloat8, result),
        (true, DataType::Float4 | DataType::Float8) => return moments::spread("avg", argument, result),
        _ => return None,
    })
}

/// count(*).
pub(super) struct CountRows;

impl Accumulate for CountRows {
    type State = i64;

    fn initial(&self) -> i64 {
        0
    }

    fn add(&self, state: &mut i64, _arguments: &[&Vector], _row: usize) -> PgResult<()> {
        *state += 1;
        Ok(())
    }

    fn add_batch(&self, states: &mut [i64], groups: &[u32], _arguments: &[&Vector]) -> PgResult<bool> {
        if let [only] = states {
            *only += groups.len() as i64;
        } else {
            groups.iter().for_each(|group| states[*group as usize] += 1);
        }
        Ok(true)
    }

    fn encode(&self, state: &i64, out: &mut Vec<u8>) {
        out.extend_from_slice(&state.to_le_bytes());
    }

    fn merge(&self, state: &mut i64, bytes: &mut Reader<'_>) -> PgResult<()> {
        *state += bytes.i64()?;
        Ok(())
    }

    fn result(&self, state: &i64) -> PgResult<Datum> {
        Ok(Datum::Int8(*state))
    }
}

/// count(x).
pub(super) struct CountValues;

impl Accumulate for CountValues {
    type State = i64;

    fn initial(&self) -> i64 {
        0
    }

    fn add(&self, state: &mut i64, _arguments: &[&Vector], _row: usize) -> PgResult<()> {
        *state += 1;
        Ok(())
    }

    fn add_batch(&self, states: &mut [i64], groups: &[u32], arguments: &[&Vector]) -> PgResult<bool> {
        if arguments.iter().any(|argument| argument.nulls.any()) {
            return Ok(false);
        }
        CountRows.add_batch(states, groups, arguments)
    }

    fn encode(&self, state: &i64, out: &mut Vec<u8>) {
        CountRows.encode(state, out);
    }

    fn merge(&self, state: &mut i64, bytes: &mut Reader<'_>) -> PgResult<()> {
        CountRows.merge(state, bytes)
    }

    fn result(&self, state: &i64) -> PgResult<Datum> {
        Ok(Datum::Int8(*state))
    }
}

/// The integer at `row`.
#[inline]
fn integer(vector: &Vector, row: usize) -> i64 {
    match &vector.values {
        Values::Int2(values) => i64::from(values[row]),
        Values::Int4(values) => i64::from(values[row]),
        Values::Int8(values) => values[row],
        _ => unreachable!("an integer aggregate is chosen for integer arguments"),
    }
}

/// Runs `add(group, value)` for a whole batch of integers without NULLs.
#[inline]
fn each_integer(groups: &[u32], vector: &Vector, mut add: impl FnMut(usize, i64)) {
    match &vector.values {
        Values::Int2(values) => {
            groups.iter().zip(values).for_each(|(group, value)| add(*group as usize, i64::from(*value)));
        }
        Values::Int4(values) => {
            groups.iter().zip(values).for_each(|(group, value)| add(*group as usize, i64::from(*value)));
        }
        Values::Int8(values) => {
            groups.iter().zip(values).for_each(|(group, value)| add(*group as usize, *value));
        }
        _ => unreachable!("an integer aggregate is chosen for integer arguments"),
    }
}

/// A sum and how many values are in it.
#[derive(Clone, Copy, Default)]
pub(super) struct CountedSum {
    count: i64,
    sum: i128,
}

/// The sum of a batch in one register, when there is one group.
fn batch_sum(vector: &Vector) -> i128 {
    match &vector.values {
        // At most 1,024 rows of 32 bits fit 64.
        Values::Int2(values) => i128::from(values.iter().map(|value| i64::from(*value)).sum::<i64>()),
        Values::Int4(values) => i128::from(values.iter().map(|value| i64::from(*value)).sum::<i64>()),
        Values::Int8(values) => values.iter().map(|value| i128::from(*value)).sum(),
        _ => unreachable!("an integer aggregate is chosen for integer arguments"),
    }
}

fn add_integers(states: &mut [CountedSum], groups: &[u32], vector: &Vector) -> bool {
    if vector.nulls.any() {
        return false;
    }
    if let [only] = states {
        only.count += groups.len() as i64;
        only.sum += batch_sum(vector);
    } else {
        each_integer(groups, vector, |group, value| {
            let state = &mut states[group];
            state.count += 1;
            state.sum += i128::from(value);
        });
    }
    true
}

fn encode_counted(state: &CountedSum, out: &mut Vec<u8>) {
    out.extend_from_slice(&state.count.to_le_bytes());
    out.extend_from_slice(&state.sum.to_le_bytes());
}

fn merge_counted(state: &mut CountedSum, bytes: &mut Reader<'_>) -> PgResult<()> {
    state.count += bytes.i64()?;
    state.sum += bytes.i128()?;
    Ok(())
}

/// sum of smallint and integer: bigint.
struct SumIntegers;

impl Accumulate for SumIntegers {
    type State = CountedSum;

    fn initial(&self) -> CountedSum {
        CountedSum::default()
    }

    fn add(&self, state: &mut CountedSum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        state.count += 1;
        state.sum += i128::from(integer(arguments[0], row));
        Ok(())
    }

    fn add_batch(&self, states: &mut [CountedSum], groups: &[u32], arguments: &[&Vector]) -> PgResult<bool> {
        Ok(add_integers(states, groups, arguments[0]))
    }

    fn encode(&self, state: &CountedSum, out: &mut Vec<u8>) {
        encode_counted(state, out);
    }

    fn merge(&self, state: &mut CountedSum, bytes: &mut Reader<'_>) -> PgResult<()> {
        merge_counted(state, bytes)
    }

    fn result(&self, state: &CountedSum) -> PgResult<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        i64::try_from(state.sum).map(Datum::Int8).map_err(|_| out_of_range("bigint"))
    }
}

/// sum of bigint and avg of all integers: numeric.
struct SumWide {
    average: bool,
}

impl Accumulate for SumWide {
    type State = CountedSum;

    fn initial(&self) -> CountedSum {
        CountedSum::default()
    }

    fn add(&self, state: &mut CountedSum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        SumIntegers.add(state, arguments, row)
    }

    fn add_batch(&self, states: &mut [CountedSum], groups: &[u32], arguments: &[&Vector]) -> PgResult<bool> {
        Ok(add_integers(states, groups, arguments[0]))
    }

    fn encode(&self, state: &CountedSum, out: &mut Vec<u8>) {
        encode_counted(state, out);
    }

    fn merge(&self, state: &mut CountedSum, bytes: &mut Reader<'_>) -> PgResult<()> {
        merge_counted(state, bytes)
    }

    fn result(&self, state: &CountedSum) -> PgResult<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        let sum = Numeric::from_i128(state.sum, 0);
        if !self.average {
            return Ok(Datum::Numeric(sum));
        }
        sum.div(&Numeric::from_i64(state.count)).map(Datum::Numeric)
    }
}

#[derive(Clone)]
pub(super) struct NumericSum {
    count: i64,
    sum: Numeric,
}

struct SumNumeric {
    average: bool,
}

impl Accumulate for SumNumeric {
    type State = NumericSum;

    fn initial(&self) -> NumericSum {
        NumericSum { count: 0, sum: Numeric::ZERO }
    }

    fn add(&self, state: &mut NumericSum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let Values::Numeric(values) = &arguments[0].values else {
            unreachable!("a numeric aggregate is chosen for numeric arguments")
        };
        state.count += 1;
        state.sum = state.sum.add(&values[row])?;
        Ok(())
    }

    fn encode(&self, state: &NumericSum, out: &mut Vec<u8>) {
        out.extend_from_slice(&state.count.to_le_bytes());
        put_numeric(out, &state.sum);
    }

    fn merge(&self, state: &mut NumericSum, bytes: &mut Reader<'_>) -> PgResult<()> {
        state.count += bytes.i64()?;
        state.sum = state.sum.add(&bytes.numeric()?)?;
        Ok(())
    }

    fn result(&self, state: &NumericSum) -> PgResult<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        if self.average {
            return state.sum.div(&Numeric::from_i64(state.count)).map(Datum::Numeric);
        }
        Ok(Datum::Numeric(state.sum.clone()))
    }

    const HAS_HEAP: bool = true;

    fn heap_size(&self, state: &NumericSum) -> usize {
        state.sum.heap_size()
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct IntervalSum {
    count: i64,
    sum: Interval,
}

struct SumInterval {
    average: bool,
}

impl Accumulate for SumInterval {
    type State = IntervalSum;

    fn initial(&self) -> IntervalSum {
        IntervalSum::default()
    }

    fn add(&self, state: &mut IntervalSum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let Values::Interval(values) = &arguments[0].values else {
            unreachable!("an interval aggregate is chosen for interval arguments")
        };
        state.count += 1;
        state.sum = state.sum.checked_add(values[row])?;
        Ok(())
    }

    fn encode(&self, state: &IntervalSum, out: &mut Vec<u8>) {
        out.extend_from_slice(&state.count.to_le_bytes());
        out.extend_from_slice(&i64::from(state.sum.months).to_le_bytes());
        out.extend_from_slice(&i64::from(state.sum.days).to_le_bytes());
        out.extend_from_slice(&state.sum.microseconds.to_le_bytes());
    }

    fn merge(&self, state: &mut IntervalSum, bytes: &mut Reader<'_>) -> PgResult<()> {
        state.count += bytes.i64()?;
        let (months, days) = (bytes.i64()? as i32, bytes.i64()? as i32);
        state.sum = state.sum.checked_add(Interval { months, days, microseconds: bytes.i64()? })?;
        Ok(())
    }

    fn result(&self, state: &IntervalSum) -> PgResult<Datum> {
        if state.count == 0 {
            return Ok(Datum::Null);
        }
        if self.average {
            return state.sum.divide(state.count as f64).map(Datum::Interval);
        }
        Ok(Datum::Interval(state.sum))
    }
}

/// sum(real): added up as real.
struct SumFloat4;

impl Accumulate for SumFloat4 {
    type State = Option<f32>;

    fn initial(&self) -> Option<f32> {
        None
    }

    fn add(&self, state: &mut Option<f32>, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let Values::Float4(values) = &arguments[0].values else {
            unreachable!("a real aggregate is chosen for real arguments")
        };
        let value = values[row];
        *state = Some(match *state {
            None => value,
            Some(sum) => {
                let next = sum + value;
                if next.is_infinite() && sum.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                next
            }
        });
        Ok(())
    }

    fn encode(&self, state: &Option<f32>, out: &mut Vec<u8>) {
        SumFloat8.encode(&state.map(f64::from), out);
    }

    fn merge(&self, state: &mut Option<f32>, bytes: &mut Reader<'_>) -> PgResult<()> {
        let mut sum = state.map(f64::from);
        SumFloat8.merge(&mut sum, bytes)?;
        *state = sum.map(|sum| sum as f32);
        Ok(())
    }

    fn result(&self, state: &Option<f32>) -> PgResult<Datum> {
        Ok(state.map_or(Datum::Null, Datum::Float4))
    }
}

struct SumFloat8;

impl SumFloat8 {
    fn add_value(state: &mut Option<f64>, value: f64) -> PgResult<()> {
        *state = Some(match *state {
            None => value,
            Some(sum) => {
                let next = sum + value;
                if next.is_infinite() && sum.is_finite() && value.is_finite() {
                    return Err(overflow());
                }
                next
            }
        });
        Ok(())
    }
}

impl Accumulate for SumFloat8 {
    type State = Option<f64>;

    fn initial(&self) -> Option<f64> {
        None
    }

    fn add(&self, state: &mut Option<f64>, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let Values::Float8(values) = &arguments[0].values else {
            unreachable!("a double aggregate is chosen for double arguments")
        };
        SumFloat8::add_value(state, values[row])
    }

    fn encode(&self, state: &Option<f64>, out: &mut Vec<u8>) {
        out.push(u8::from(state.is_some()));
        out.extend_from_slice(&state.unwrap_or(0.0).to_le_bytes());
    }

    fn merge(&self, state: &mut Option<f64>, bytes: &mut Reader<'_>) -> PgResult<()> {
        let present = bytes.flag()?;
        let value = bytes.f64()?;
        if present { SumFloat8::add_value(state, value) } else { Ok(()) }
    }

    fn result(&self, state: &Option<f64>) -> PgResult<Datum> {
        Ok(state.map_or(Datum::Null, Datum::Float8))
    }
}
