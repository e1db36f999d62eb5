//! Variance, standard deviation, covariance, regression.
//!
//! Floats use the Youngs-Cramer updates that PostgreSQL uses (sum, and sum of squared deviations, corrected with every value), so
//! that results agree to the last digit where rows come in the same order. Integers and numerics keep exact sums of values and
//! squares and divide once at the end.

use super::GroupedAccumulator;
use super::codec::{Reader, put_numeric};
use super::grouped::{Accumulate, Grouped};
use crate::functions::arithmetic::overflow;
use types::{DataType, Datum, Numeric, PgResult, Values, Vector};

#[derive(Clone, Copy, PartialEq)]
enum Spread {
    Average,
    VarianceSample,
    VariancePopulation,
    DeviationSample,
    DeviationPopulation,
}

/// variance, stddev and their variants; avg of floats.
pub(super) fn spread(
    name: &str,
    argument: DataType,
    result: DataType,
) -> Option<Box<dyn GroupedAccumulator>> {
    let spread = match name {
        "avg" => Spread::Average,
        "variance" | "var_samp" => Spread::VarianceSample,
        "var_pop" => Spread::VariancePopulation,
        "stddev" | "stddev_samp" => Spread::DeviationSample,
        "stddev_pop" => Spread::DeviationPopulation,
        _ => return None,
    };
    match argument {
        DataType::Float4 | DataType::Float8 => Some(Grouped::boxed(FloatSpread { spread }, result)),
        DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Numeric => {
            Some(Grouped::boxed(ExactSpread { spread }, result))
        }
        _ => None,
    }
}

/// Count, sum, and sum of squared deviations from the mean.
#[derive(Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

/// A float argument at `row`.
fn float(vector: &Vector, row: usize) -> f64 {
    match &vector.values {
        Values::Float4(values) => f64::from(values[row]),
        Values::Float8(values) => values[row],
        _ => unreachable!("a float aggregate is chosen for float arguments"),
    }
}

impl Moments {
    fn add(&mut self, value: f64) -> PgResult<()> {
        let (count, sum) = (self.count, self.sum);
        self.count += 1.0;
        self.sum += value;
        if count > 0.0 {
            let deviation = value * self.count - self.sum;
            self.squares += deviation * deviation / (self.count * count);
            // Infinite input makes NaN, finite input an overflow.
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if !sum.is_infinite() && !value.is_infinite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn combine(&mut self, other: Moments) -> PgResult<()> {
        if self.count == 0.0 {
            *self = other;
        } else if other.count > 0.0 {
            let count = self.count + other.count;
            let sum = self.sum + other.sum;
            if sum.is_infinite() && !self.sum.is_infinite() && !other.sum.is_infinite() {
                return Err(overflow());
            }
            let difference = self.sum / self.count - other.sum / other.count;
            let squares =
                self.squares + other.squares + self.count * other.count * difference * difference / count;
            if squares.is_infinite() && !self.squares.is_infinite() && !other.squares.is_infinite() {
                return Err(overflow());
            }
            *self = Moments { count, sum, squares };
        }
        Ok(())
    }
}

struct FloatSpread {
    spread: Spread,
}

impl Accumulate for FloatSpread {
    type State = Moments;

    fn initial(&self) -> Moments {
        Moments::default()
    }

    fn add(&self, state: &mut Moments, arguments: &[&Vector], row: usize) -> PgResult<()> {
        state.add(float(arguments[0], row))
    }

    fn encode(&self, state: &Moments, out: &mut Vec<u8>) {
        [state.count, state.sum, state.squares]
            .iter()
            .for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
    }

    fn merge(&self, state: &mut Moments, bytes: &mut Reader<'_>) -> PgResult<()> {
        state.combine(Moments { count: bytes.f64()?, sum: bytes.f64()?, squares: bytes.f64()? })
    }

    fn result(&self, state: &Moments) -> PgResult<Datum> {
        let sample = matches!(self.spread, Spread::VarianceSample | Spread::DeviationSample);
        if state.count == 0.0 || (sample && state.count <= 1.0) {
            return Ok(Datum::Null);
        }
        let divisor = if sample { state.count - 1.0 } else { state.count };
        Ok(Datum::Float8(match self.spread {
            Spread::Average => state.sum / state.count,
            Spread::VarianceSample | Spread::VariancePopulation => state.squares / divisor,
            Spread::DeviationSample | Spread::DeviationPopulation => (state.squares / divisor).sqrt(),
        }))
    }
}

#[derive(Clone)]
pub(super) struct ExactSums {
    count: i64,
    sum: Numeric,
    squares: Numeric,
}

struct ExactSpread {
    spread: Spread,
}

impl Accumulate for ExactSpread {
    type State = ExactSums;

    fn initial(&self) -> ExactSums {
        ExactSums { count: 0, sum: Numeric::ZERO, squares: Numeric::ZERO }
    }

    fn add(&self, state: &mut ExactSums, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let value = match &arguments[0].values {
            Values::Int2(values) => Numeric::from_i64(i64::from(values[row])),
            Values::Int4(values) => Numeric::from_i64(i64::from(values[row])),
            Values::Int8(values) => Numeric::from_i64(values[row]),
            Values::Numeric(values) => values[row].clone(),
            _ => unreachable!("an exact aggregate is chosen for exact arguments"),
        };
        state.count += 1;
        state.sum = state.sum.add(&value)?;
        state.squares = state.squares.add(&value.mul(&value)?)?;
        Ok(())
    }

    fn encode(&self, state: &ExactSums, out: &mut Vec<u8>) {
        out.extend_from_slice(&state.count.to_le_bytes());
        put_numeric(out, &state.sum);
        put_numeric(out, &state.squares);
    }

    fn merge(&self, state: &mut ExactSums, bytes: &mut Reader<'_>) -> PgResult<()> {
        state.count += bytes.i64()?;
        state.sum = state.sum.add(&bytes.numeric()?)?;
        state.squares = state.squares.add(&bytes.numeric()?)?;
        Ok(())
    }

    fn result(&self, state: &ExactSums) -> PgResult<Datum> {
        let sample = matches!(self.spread, Spread::VarianceSample | Spread::DeviationSample);
        let result = match self.spread {
            Spread::VarianceSample | Spread::VariancePopulation => {
                Numeric::variance(state.count, &state.sum, &state.squares, sample)?
            }
            _ => Numeric::standard_deviation(state.count, &state.sum, &state.squares, sample)?,
        };
        Ok(result.map_or(Datum::Null, Datum::Numeric))
    }
}

/// Two-variable statistics of (y, x) pairs.
#[derive(Clone, Copy)]
enum PairStatistic {
    Count,
    SumXX,
    SumYY,
    SumXY,
    AverageX,
    AverageY,
    Slope,
    Intercept,
    RSquared,
    Correlation,
    CovarianceSample,
    CovariancePopulation,
}

pub(super) fn of_pairs(name: &str, result: DataType) -> Option<Box<dyn GroupedAccumulator>> {
    let statistic = match name {
        "regr_count" => PairStatistic::Count,
        "regr_sxx" => PairStatistic::SumXX,
        "regr_syy" => PairStatistic::SumYY,
        "regr_sxy" => PairStatistic::SumXY,
        "regr_avgx" => PairStatistic::AverageX,
        "regr_avgy" => PairStatistic::AverageY,
        "regr_slope" => PairStatistic::Slope,
        "regr_intercept" => PairStatistic::Intercept,
        "regr_r2" => PairStatistic::RSquared,
        "corr" => PairStatistic::Correlation,
        "covar_samp" => PairStatistic::CovarianceSample,
        "covar_pop" => PairStatistic::CovariancePopulation,
        _ => return None,
    };
    Some(Grouped::boxed(OfPairs { statistic }, result))
}

#[derive(Clone, Copy, Default)]
pub(super) struct PairMoments {
    count: f64,
    sum_x: f64,
    xx: f64,
    sum_y: f64,
    yy: f64,
    xy: f64,
}

impl PairMoments {
    fn add(&mut self, y: f64, x: f64) -> PgResult<()> {
        let before = *self;
        self.count += 1.0;
        self.sum_x += x;
        self.sum_y += y;
        if before.count > 0.0 {
            let dx = x * self.count - self.sum_x;
            let dy = y * self.count - self.sum_y;
            let scale = 1.0 / (self.count * before.count);
            self.xx += dx * dx * scale;
            self.yy += dy * dy * scale;
            self.xy += dx * dy * scale;
            if [self.sum_x, self.xx, self.sum_y, self.yy, self.xy].iter().any(|part| part.is_infinite()) {
                let finite = |a: f64, b: f64| !a.is_infinite() && !b.is_infinite();
                let (finite_x, finite_y) = (finite(before.sum_x, x), finite(before.sum_y, y));
                if ((self.sum_x.is_infinite() || self.xx.is_infinite()) && finite_x)
                    || ((self.sum_y.is_infinite() || self.yy.is_infinite()) && finite_y)
                    || (self.xy.is_infinite() && finite_x && finite_y)
                {
                    return Err(overflow());
                }
                for part in [&mut self.xx, &mut self.yy, &mut self.xy] {
                    if part.is_infinite() {
                        *part = f64::NAN;
                    }
                }
            }
        } else {
            if !x.is_finite() {
                (self.xx, self.xy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.yy, self.xy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    fn combine(&mut self, other: PairMoments) {
        if self.count == 0.0 {
            *self = other;
        } else if other.count > 0.0 {
            let count = self.count + other.count;
            let dx = self.sum_x / self.count - other.sum_x / other.count;
            let dy = self.sum_y / self.count - other.sum_y / other.count;
            let weight = self.count * other.count;
            *self = PairMoments {
                count,
                sum_x: self.sum_x + other.sum_x,
                xx: self.xx + other.xx + weight * dx * dx / count,
                sum_y: self.sum_y + other.sum_y,
                yy: self.yy + other.yy + weight * dy * dy / count,
                xy: self.xy + other.xy + weight * dx * dy / count,
            };
        }
    }
}

struct OfPairs {
    statistic: PairStatistic,
}

impl Accumulate for OfPairs {
    type State = PairMoments;

    fn initial(&self) -> PairMoments {
        PairMoments::default()
    }

    fn add(&self, state: &mut PairMoments, arguments: &[&Vector], row: usize) -> PgResult<()> {
        if matches!(self.statistic, PairStatistic::Count) {
            // Counting cannot overflow.
            state.count += 1.0;
            return Ok(());
        }
        state.add(float(arguments[0], row), float(arguments[1], row))
    }

    fn encode(&self, state: &PairMoments, out: &mut Vec<u8>) {
        [state.count, state.sum_x, state.xx, state.sum_y, state.yy, state.xy]
            .iter()
            .for_each(|part| out.extend_from_slice(&part.to_le_bytes()));
    }

    fn merge(&self, state: &mut PairMoments, bytes: &mut Reader<'_>) -> PgResult<()> {
        state.combine(PairMoments {
            count: bytes.f64()?,
            sum_x: bytes.f64()?,
            xx: bytes.f64()?,
            sum_y: bytes.f64()?,
            yy: bytes.f64()?,
            xy: bytes.f64()?,
        });
        Ok(())
    }

    fn result(&self, state: &PairMoments) -> PgResult<Datum> {
        let PairMoments { count, sum_x, xx, sum_y, yy, xy } = *state;
        let some = |value: f64| Some(value);
        let value = match self.statistic {
            PairStatistic::Count => return Ok(Datum::Int8(count as i64)),
            PairStatistic::CovarianceSample => (count >= 2.0).then(|| xy / (count - 1.0)),
            _ if count < 1.0 => None,
            PairStatistic::SumXX => some(xx),
            PairStatistic::SumYY => some(yy),
            PairStatistic::SumXY => some(xy),
            PairStatistic::AverageX => some(sum_x / count),
            PairStatistic::AverageY => some(sum_y / count),
            PairStatistic::CovariancePopulation => some(xy / count),
            // NaN passes these tests on zero, and the result is NaN.
            PairStatistic::Correlation => (xx != 0.0 && yy != 0.0).then(|| xy / (xx * yy).sqrt()),
            PairStatistic::RSquared if xx == 0.0 => None,
            PairStatistic::RSquared if yy == 0.0 => some(1.0),
            PairStatistic::RSquared => some((xy * xy) / (xx * yy)),
            PairStatistic::Slope => (xx != 0.0).then(|| xy / xx),
            PairStatistic::Intercept => (xx != 0.0).then(|| (sum_y - sum_x * xy / xx) / count),
        };
        Ok(value.map_or(Datum::Null, Datum::Float8))
    }
}
