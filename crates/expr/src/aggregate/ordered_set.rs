//! Ordered-set and hypothetical-set aggregates: mode, percentile_cont, percentile_disc, rank, dense_rank, percent_rank, cume_dist
//! WITHIN GROUP. All values of a group are kept and sorted at the end.

use super::GroupedAccumulator;
use super::codec::{Reader, put_datum};
use super::grouped::{Accumulate, Grouped};
use crate::expr::{Aggregate, Expr};
use crate::functions::array;
use std::cmp::Ordering;
use types::{DataType, Datum, Interval, PgError, PgResult, SqlState, Vector, compare};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Mode,
    Continuous,
    Discrete,
    Rank,
    DenseRank,
    PercentRank,
    CumulativeDistribution,
}

pub(super) fn accumulator(call: &Aggregate) -> Option<Box<dyn GroupedAccumulator>> {
    let kind = match call.function.0.name {
        "mode" => Kind::Mode,
        "percentile_cont" => Kind::Continuous,
        "percentile_disc" => Kind::Discrete,
        "rank" => Kind::Rank,
        "dense_rank" => Kind::DenseRank,
        "percent_rank" => Kind::PercentRank,
        "cume_dist" => Kind::CumulativeDistribution,
        _ => return None,
    };
    Some(Grouped::boxed(
        OrderedSet {
            kind,
            direct: call.arguments.iter().map(|argument| argument.data_type()).collect(),
            sorted: call.order_by.iter().map(|(expr, ..)| expr.data_type()).collect(),
            order: call.order_by.iter().map(|(_, descending, first)| (*descending, *first)).collect(),
            result: call.data_type,
            constants: call
                .arguments
                .iter()
                .map(|argument| match argument {
                    Expr::Constant { value, .. } => Some(value.clone()),
                    _ => None,
                })
                .collect(),
        },
        call.data_type,
    ))
}

struct OrderedSet {
    kind: Kind,
    direct: Vec<DataType>,
    sorted: Vec<DataType>,
    /// (descending, nulls first) of each sort expression.
    order: Vec<(bool, bool)>,
    result: DataType,
    /// The direct arguments where they are constants: known even when no row comes.
    constants: Option<Vec<Datum>>,
}

/// The direct arguments (those of the first row: they are the same in all) and the rows to sort.
#[derive(Clone, Default)]
pub(super) struct Collected {
    direct: Option<Vec<Datum>>,
    rows: Vec<Vec<Datum>>,
}

impl OrderedSet {
    fn hypothetical(&self) -> bool {
        !matches!(self.kind, Kind::Mode | Kind::Continuous | Kind::Discrete)
    }

    fn compare(&self, a: &[Datum], b: &[Datum]) -> Ordering {
        for ((a, b), (descending, nulls_first)) in a.iter().zip(b).zip(&self.order) {
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if *nulls_first => Ordering::Less,
                (true, false) => Ordering::Greater,
                (false, true) if *nulls_first => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) if *descending => compare::compare_datums(b, a),
                (false, false) => compare::compare_datums(a, b),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }

    fn sorted(&self, state: &Collected) -> Vec<Vec<Datum>> {
        let mut rows = state.rows.clone();
        rows.sort_by(|a, b| self.compare(a, b));
        rows
    }

    /// The value most often met, the first such in order.
    fn mode(&self, rows: &[Vec<Datum>]) -> Datum {
        let runs = rows.chunk_by(|a, b| self.compare(a, b).is_eq());
        let best = runs.fold(&[][..], |best, run| if run.len() > best.len() { run } else { best });
        best.first().map_or(Datum::Null, |row| row[0].clone())
    }

    /// One percentile of sorted values.
    fn percentile(&self, rows: &[Vec<Datum>], fraction: f64) -> PgResult<Datum> {
        check_fraction(fraction)?;
        let count = rows.len() as f64;
        if self.kind == Kind::Discrete {
            let place = ((fraction * count).ceil() as usize).max(1);
            return Ok(rows[place - 1][0].clone());
        }
        let place = fraction * (count - 1.0);
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        if low == high {
            return Ok(rows[low][0].clone());
        }
        interpolate(&rows[low][0], &rows[high][0], place - place.floor())
    }

    fn percentiles(&self, state: &Collected) -> PgResult<Datum> {
        let rows = self.sorted(state);
        let direct = state.direct.as_ref().or(self.constants.as_ref());
        let fraction = direct.and_then(|direct| direct.first());
        if let Some(Datum::Float8(fraction)) = fraction {
            check_fraction(*fraction)?;
        }
        match fraction {
            None | Some(Datum::Null) => Ok(Datum::Null),
            _ if rows.is_empty() => Ok(Datum::Null),
            Some(Datum::Float8(fraction)) => self.percentile(&rows, *fraction),
            Some(Datum::Array(fractions)) => {
                let mut out = (**fractions).clone();
                for element in &mut out.elements {
                    if let Datum::Float8(fraction) = *element {
                        *element = self.percentile(&rows, fraction)?;
                    }
                }
                out.element_oid = self.result.element().map_or(0, DataType::oid);
                if out.elements.is_empty() {
                    return Ok(array::one_dimensional(self.result, Vec::new()));
                }
                Ok(Datum::Array(Box::new(out)))
            }
            Some(_) => Err(PgError::internal("a percentile is a double precision")),
        }
    }

    /// rank(args) WITHIN GROUP: where a row of the direct arguments would stand.
    fn hypothetical_value(&self, state: &Collected) -> Datum {
        let Some(direct) = &state.direct else {
            // No rows: the hypothetical one stands alone.
            return match self.kind {
                Kind::PercentRank => Datum::Float8(0.0),
                Kind::CumulativeDistribution => Datum::Float8(1.0),
                _ => Datum::Int8(1),
            };
        };
        let rows = self.sorted(state);
        let before = rows.iter().take_while(|row| self.compare(row, direct).is_lt()).count();
        let upto = rows.iter().take_while(|row| self.compare(row, direct).is_le()).count();
        let count = rows.len() as f64;
        match self.kind {
            Kind::Rank => Datum::Int8(before as i64 + 1),
            Kind::DenseRank => {
                let runs = rows[..before].chunk_by(|a, b| self.compare(a, b).is_eq()).count();
                Datum::Int8(runs as i64 + 1)
            }
            Kind::PercentRank => Datum::Float8(before as f64 / count),
            _ => Datum::Float8((upto as f64 + 1.0) / (count + 1.0)),
        }
    }
}

fn check_fraction(fraction: f64) -> PgResult<()> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("percentile value {fraction} is not between 0 and 1"),
    ))
}

/// The value a share of the way between two.
fn interpolate(low: &Datum, high: &Datum, share: f64) -> PgResult<Datum> {
    match (low, high) {
        (Datum::Float8(low), Datum::Float8(high)) => Ok(Datum::Float8(low + share * (high - low))),
        (Datum::Interval(low), Datum::Interval(high)) => {
            let way: Interval = high.checked_sub(*low)?.multiply(share)?;
            Ok(Datum::Interval(low.checked_add(way)?))
        }
        _ => Err(PgError::internal("percentile_cont interpolates doubles and intervals alone")),
    }
}

impl Accumulate for OrderedSet {
    type State = Collected;

    fn initial(&self) -> Collected {
        Collected::default()
    }

    const SKIPS_NULLS: bool = false;

    fn add(&self, state: &mut Collected, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let (direct, sorted) = arguments.split_at(self.direct.len());
        if state.direct.is_none() {
            state.direct = Some(direct.iter().map(|vector| vector.datum(row)).collect());
        }
        // The ordered-set aggregates pass NULLs over; the hypothetical-set ones rank them.
        if self.hypothetical() || !sorted.iter().any(|vector| vector.is_null(row)) {
            state.rows.push(sorted.iter().map(|vector| vector.datum(row)).collect());
        }
        Ok(())
    }

    fn encode(&self, state: &Collected, out: &mut Vec<u8>) {
        out.push(u8::from(state.direct.is_some()));
        for (value, data_type) in state.direct.iter().flatten().zip(&self.direct) {
            put_datum(out, value, *data_type);
        }
        out.extend_from_slice(&(state.rows.len() as i64).to_le_bytes());
        for row in &state.rows {
            row.iter().zip(&self.sorted).for_each(|(value, data_type)| put_datum(out, value, *data_type));
        }
    }

    fn merge(&self, state: &mut Collected, bytes: &mut Reader<'_>) -> PgResult<()> {
        if bytes.flag()? {
            let direct =
                self.direct.iter().map(|data_type| bytes.datum(*data_type)).collect::<PgResult<Vec<_>>>()?;
            state.direct.get_or_insert(direct);
        }
        for _ in 0..bytes.i64()? {
            let row =
                self.sorted.iter().map(|data_type| bytes.datum(*data_type)).collect::<PgResult<Vec<_>>>()?;
            state.rows.push(row);
        }
        Ok(())
    }

    fn result(&self, state: &Collected) -> PgResult<Datum> {
        match self.kind {
            Kind::Mode => Ok(self.mode(&self.sorted(state))),
            Kind::Continuous | Kind::Discrete => self.percentiles(state),
            _ => Ok(self.hypothetical_value(state)),
        }
    }

    const HAS_HEAP: bool = true;

    fn heap_size(&self, state: &Collected) -> usize {
        state.rows.iter().flatten().map(Datum::memory_size).sum::<usize>() + state.rows.capacity() * 24
    }
}
