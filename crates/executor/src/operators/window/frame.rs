//! Frames: which rows of its partition each row's window holds.
//!
//! | unit | an edge with offset n |
//! | --- | --- |
//! | ROWS | n rows away |
//! | GROUPS | n groups of peers away |
//! | RANGE | where the order key is n less or more; found by binary search among the rows whose key is not NULL |
//!
//! A row whose order key is NULL has its peers where RANGE has an offset.

use std::cmp::Ordering;

use expr::{EvalContext, Expr, FunctionRef, Program};
use planner::ast::FrameUnit;
use planner::plan::{FrameEdge, SortKey, Window};
use types::compare::compare_values;
use types::{Batch, DataType, Datum, PgError, PgResult, SqlState, Vector};

use crate::program::Scalar;

/// The prepared frame clause.
pub(super) struct FrameFinder {
    unit: FrameUnit,
    start: PreparedEdge,
    end: PreparedEdge,
    order: Option<SortKey>,
}

enum PreparedEdge {
    UnboundedPreceding,
    CurrentRow,
    UnboundedFollowing,
    Preceding(Offset),
    Following(Offset),
}

/// `shift` computes `key - offset` or `key + offset` from the two columns of a batch: RANGE only.
struct Offset {
    value: Scalar,
    data_type: DataType,
    shift: Option<Program>,
}

/// The offsets of one execution; NULL for edges without.
pub(super) struct Edges {
    start: Datum,
    end: Datum,
}

impl FrameFinder {
    pub fn new(window: &Window, types: &[DataType]) -> PgResult<FrameFinder> {
        let order = window.order_by.first().copied();
        let range = window.frame.range.as_ref();
        let edge = |edge: &FrameEdge| -> PgResult<PreparedEdge> {
            let (expr, preceding) = match edge {
                FrameEdge::UnboundedPreceding => return Ok(PreparedEdge::UnboundedPreceding),
                FrameEdge::CurrentRow => return Ok(PreparedEdge::CurrentRow),
                FrameEdge::UnboundedFollowing => return Ok(PreparedEdge::UnboundedFollowing),
                FrameEdge::Preceding(expr) => (expr, true),
                FrameEdge::Following(expr) => (expr, false),
            };
            // Where the order descends, what precedes is larger.
            let subtracts = preceding != order.is_some_and(|key| key.descending);
            let shift = match (window.frame.unit, range, order) {
                (FrameUnit::Range, Some(range), Some(key)) => {
                    let function = if subtracts { range.subtract } else { range.add };
                    Some(shift(function, types[key.column as usize], expr.data_type())?)
                }
                (FrameUnit::Range, ..) => {
                    return Err(PgError::internal("RANGE with an offset without its arithmetic"));
                }
                _ => None,
            };
            let offset = Offset { value: Scalar::new(expr)?, data_type: expr.data_type(), shift };
            Ok(if preceding { PreparedEdge::Preceding(offset) } else { PreparedEdge::Following(offset) })
        };
        Ok(FrameFinder {
            unit: window.frame.unit,
            start: edge(&window.frame.start)?,
            end: edge(&window.frame.end)?,
            order,
        })
    }

    /// Evaluates the offsets. 22013 / 22004 when one is negative or NULL.
    pub fn edges(&self, context: &EvalContext<'_>) -> PgResult<Edges> {
        let value = |edge: &PreparedEdge, which: &str| match edge {
            PreparedEdge::Preceding(offset) | PreparedEdge::Following(offset) => {
                let value = offset.value.value(context)?;
                check_offset(&value, which)?;
                Ok(value)
            }
            _ => Ok(Datum::Null),
        };
        Ok(Edges { start: value(&self.start, "starting")?, end: value(&self.end, "ending")? })
    }

    /// The frame of every row of a partition.
    pub fn frames(
        &self,
        edges: &Edges,
        context: &EvalContext<'_>,
        partition: &Batch,
        peers: &[(u32, u32)],
    ) -> PgResult<Vec<(u32, u32)>> {
        let starts = self.positions(&self.start, &edges.start, true, context, partition, peers)?;
        let ends = self.positions(&self.end, &edges.end, false, context, partition, peers)?;
        Ok(starts.into_iter().zip(ends).collect())
    }

    /// Where frames begin, or end (the first row after).
    fn positions(
        &self,
        edge: &PreparedEdge,
        value: &Datum,
        starts: bool,
        context: &EvalContext<'_>,
        partition: &Batch,
        peers: &[(u32, u32)],
    ) -> PgResult<Vec<u32>> {
        let rows = partition.rows as u32;
        let (offset, preceding) = match edge {
            PreparedEdge::UnboundedPreceding => return Ok(vec![0; rows as usize]),
            PreparedEdge::UnboundedFollowing => return Ok(vec![rows; rows as usize]),
            PreparedEdge::CurrentRow => {
                let by_row = self.unit == FrameUnit::Rows;
                let position = |(row, (first, last)): (usize, &(u32, u32))| match (by_row, starts) {
                    (true, true) => row as u32,
                    (true, false) => row as u32 + 1,
                    (false, true) => *first,
                    (false, false) => *last,
                };
                return Ok(peers.iter().enumerate().map(position).collect());
            }
            PreparedEdge::Preceding(offset) => (offset, true),
            PreparedEdge::Following(offset) => (offset, false),
        };
        match self.unit {
            FrameUnit::Rows => Ok(by_rows(rows, count(value)?, preceding, starts)),
            FrameUnit::Groups => Ok(by_groups(peers, count(value)?, preceding, starts)),
            FrameUnit::Range => self.by_range(offset, value, starts, context, partition, peers),
        }
    }

    fn by_range(
        &self,
        offset: &Offset,
        value: &Datum,
        starts: bool,
        context: &EvalContext<'_>,
        partition: &Batch,
        peers: &[(u32, u32)],
    ) -> PgResult<Vec<u32>> {
        let (Some(key), Some(shift)) = (self.order, &offset.shift) else {
            return Err(PgError::internal("RANGE with an offset has one order key"));
        };
        let keys = &partition.columns[key.column as usize];
        let offsets = Vector::constant(value, offset.data_type, partition.rows);
        let batch = Batch { columns: vec![keys.clone(), offsets], rows: partition.rows };
        let bounds = shift.evaluate(context, &batch)?;
        // NULLs are together, at either end.
        let nulls = (0..partition.rows).filter(|row| keys.is_null(*row)).count();
        let (first, end) = if partition.rows > 0 && nulls > 0 && keys.is_null(0) {
            (nulls, partition.rows)
        } else {
            (0, partition.rows - nulls)
        };
        let position = |row: usize| {
            if keys.is_null(row) {
                let (first, last) = peers[row];
                return if starts { first } else { last };
            }
            let before = |other: usize| {
                let order = compare_values(keys, other, &bounds, row);
                let order = if key.descending { order.reverse() } else { order };
                order == Ordering::Less || (!starts && order == Ordering::Equal)
            };
            partition_point(first, end, before) as u32
        };
        Ok((0..partition.rows).map(position).collect())
    }
}

/// The first of `first..end` for which `before` does not hold.
fn partition_point(first: usize, end: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (first, end);
    while low < high {
        let middle = (low + high) / 2;
        if before(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

fn shift(function: FunctionRef, key: DataType, offset: DataType) -> PgResult<Program> {
    let arguments = vec![Expr::column(0, key), Expr::column(1, offset)];
    Program::new(&Expr::Call { function, arguments, data_type: key, position: 0 })
}

fn check_offset(value: &Datum, which: &str) -> PgResult<()> {
    let negative = match value {
        Datum::Null => {
            let message = format!("frame {which} offset must not be null");
            return Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        Datum::Int2(value) => *value < 0,
        Datum::Int4(value) => *value < 0,
        Datum::Int8(value) => *value < 0,
        Datum::Float4(value) => *value < 0.0 || value.is_nan(),
        Datum::Float8(value) => *value < 0.0 || value.is_nan(),
        Datum::Numeric(value) => value.signum() < 0 || value.is_nan(),
        Datum::Interval(value) => value.comparison_value() < 0,
        _ => false,
    };
    if negative {
        let message = match value {
            Datum::Interval(_) | Datum::Float4(_) | Datum::Float8(_) | Datum::Numeric(_) => {
                "invalid preceding or following size in window function".to_string()
            }
            _ => format!("frame {which} offset must not be negative"),
        };
        return Err(PgError::new(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, message));
    }
    Ok(())
}

fn count(value: &Datum) -> PgResult<u64> {
    match value {
        Datum::Int8(count) => Ok(u64::try_from(*count).unwrap_or(0)),
        _ => Err(PgError::internal("a frame offset in rows is of type bigint")),
    }
}

fn by_rows(rows: u32, count: u64, preceding: bool, starts: bool) -> Vec<u32> {
    let rows = u64::from(rows);
    let position = |row: u64| {
        let at = if preceding { row.checked_sub(count) } else { Some(row.saturating_add(count)) };
        let position = match (at, starts) {
            (None, _) => 0,
            (Some(at), true) => at,
            (Some(at), false) => at.saturating_add(1),
        };
        position.min(rows) as u32
    };
    (0..rows).map(position).collect()
}

fn by_groups(peers: &[(u32, u32)], count: u64, preceding: bool, starts: bool) -> Vec<u32> {
    let mut groups: Vec<(u32, u32)> = Vec::new();
    let mut group_of = Vec::with_capacity(peers.len());
    for range in peers {
        if groups.last() != Some(range) {
            groups.push(*range);
        }
        group_of.push(groups.len() as u64 - 1);
    }
    let rows = peers.len() as u32;
    let position = |group: u64| {
        let at = if preceding { group.checked_sub(count) } else { Some(group.saturating_add(count)) };
        match at.map(|at| groups.get(usize::try_from(at).unwrap_or(usize::MAX))) {
            None => 0,
            Some(None) => rows,
            Some(Some((first, last))) => {
                if starts {
                    *first
                } else {
                    *last
                }
            }
        }
    };
    group_of.into_iter().map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_before_the_partition_make_an_empty_frame() {
        // ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING
        let starts = by_rows(4, 2, true, true);
        let ends = by_rows(4, 1, true, false);
        let frames: Vec<(u32, u32)> = starts.into_iter().zip(ends).collect();
        assert_eq!(frames, [(0, 0), (0, 1), (0, 2), (1, 3)]);
        // ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING: the first two rows see nothing.
        let ends = by_rows(4, 2, true, false);
        assert_eq!(ends, [0, 0, 1, 2]);
    }

    #[test]
    fn groups_are_counted_by_peers() {
        let peers = [(0, 2), (0, 2), (2, 3), (3, 5), (3, 5)];
        assert_eq!(by_groups(&peers, 1, true, true), [0, 0, 0, 2, 2]);
        assert_eq!(by_groups(&peers, 1, false, false), [3, 3, 5, 5, 5]);
        assert_eq!(by_groups(&peers, 9, false, true), [5; 5]);
    }
}
