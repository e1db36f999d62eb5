//! CASE, COALESCE, NULLIF, GREATEST, LEAST.
//!
//! CASE and COALESCE collect pieces: for each arm the rows it decided and their values; at the end the pieces are woven into one
//! vector in row order. When one piece decided every row it is the result as it stands.

use super::boolean::split;
use super::frame::{Frame, Value, repeat};
use super::node::{Node, call};
use crate::function::Evaluator;
use std::borrow::Cow;
use std::cmp::Ordering;
use types::{DataType, PgError, PgResult, Values, Vector, compare};

pub(super) struct CaseNode {
    pub(super) operand: Option<Box<Node>>,
    pub(super) arms: Vec<ArmNode>,
    pub(super) otherwise: Option<Box<Node>>,
    pub(super) data_type: DataType,
}

pub(super) struct ArmNode {
    pub(super) condition: Node,
    pub(super) result: Node,
}

/// Values for some rows of a frame.
struct Piece {
    /// Ascending row numbers of the frame.
    rows: Vec<u32>,
    /// One value for each of `rows`, or one for all.
    vector: Vector,
    constant: bool,
}

/// Weaves pieces that together cover each of `rows` rows at most once; uncovered rows are NULL.
fn weave(pieces: &[Piece], data_type: DataType, rows: usize) -> Vector {
    const UNCOVERED: u32 = u32::MAX;
    let mut place: Vec<(u32, u32)> = vec![(UNCOVERED, 0); rows];
    for (number, piece) in pieces.iter().enumerate() {
        for (index, row) in piece.rows.iter().enumerate() {
            place[*row as usize] = (number as u32, if piece.constant { 0 } else { index as u32 });
        }
    }
    let mut result = Vector::with_capacity(data_type, rows);
    for (piece, index) in place {
        match piece {
            UNCOVERED => result.push_null(),
            piece => result.push_from(&pieces[piece as usize].vector, index as usize),
        }
    }
    result
}

impl CaseNode {
    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        match &self.operand {
            None => self.run_arms(frame),
            Some(operand) => {
                let value = operand.run(frame)?;
                let inner = Frame {
                    context: frame.context,
                    batch: frame.batch,
                    selection: frame.selection,
                    rows: frame.rows,
                    operand: Some(&value),
                };
                let result = self.run_arms(&inner)?;
                Ok(Value { constant: result.constant, vector: Cow::Owned(result.vector.into_owned()) })
            }
        }
    }

    fn run_arms<'a>(&self, frame: &Frame<'_>) -> PgResult<Value<'a>> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut rest: Option<Vec<u32>> = None;
        for arm in &self.arms {
            if rest.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
            let (holding, open) = match &rest {
                None => split(&arm.condition, frame)?,
                Some(rows) => {
                    let absolute = |chosen: Vec<u32>| -> Vec<u32> {
                        chosen.into_iter().map(|row| rows[row as usize]).collect()
                    };
                    let (holding, open) = frame.narrowed(rows, |narrow| split(&arm.condition, narrow))?;
                    (absolute(holding), absolute(open))
                }
            };
            if !holding.is_empty() {
                pieces.push(piece(&arm.result, holding, frame)?);
            }
            rest = Some(open);
        }
        let rest = rest.unwrap_or_else(|| (0..frame.rows as u32).collect());
        if let Some(otherwise) = &self.otherwise
            && !rest.is_empty()
        {
            pieces.push(piece(otherwise, rest, frame)?);
        }
        Ok(finish(pieces, self.data_type, frame.rows))
    }
}

/// Evaluates `node` for some rows of the frame, of which there is at least one.
fn piece(node: &Node, rows: Vec<u32>, frame: &Frame<'_>) -> PgResult<Piece> {
    let (vector, constant) = if rows.len() == frame.rows {
        let value = node.run(frame)?;
        (value.vector.into_owned(), value.constant)
    } else {
        frame.narrowed(&rows, |narrow| {
            let value = node.run(narrow)?;
            Ok::<_, PgError>((value.vector.into_owned(), value.constant))
        })?
    };
    Ok(Piece { rows, vector, constant })
}

fn finish<'a>(mut pieces: Vec<Piece>, data_type: DataType, rows: usize) -> Value<'a> {
    if pieces.len() == 1 && pieces[0].rows.len() == rows {
        let piece = pieces.remove(0);
        return Value { vector: Cow::Owned(piece.vector), constant: piece.constant };
    }
    if pieces.is_empty() {
        let mut null = Vector::with_capacity(data_type, 1);
        null.push_null();
        return Value::owned_constant(null);
    }
    Value::owned(weave(&pieces, data_type, rows))
}

pub(super) fn coalesce<'a>(
    arguments: &'a [Node],
    data_type: DataType,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let Some((first, others)) = arguments.split_first() else {
        return Err(PgError::internal("COALESCE without arguments"));
    };
    let value = first.run(frame)?;
    if !value.has_nulls() {
        return Ok(value);
    }
    let rows = frame.rows as u32;
    let (mut rest, filled): (Vec<u32>, Vec<u32>) = (0..rows).partition(|row| value.is_null(*row as usize));
    if rest.is_empty() {
        return Ok(value);
    }
    let mut pieces = Vec::new();
    if !filled.is_empty() {
        pieces.push(Piece { vector: value.vector.gather(&filled), rows: filled, constant: false });
    }
    for argument in others {
        if rest.is_empty() {
            break;
        }
        let Piece { rows, vector, constant } = piece(argument, rest, frame)?;
        let null_at = |index: usize| vector.is_null(if constant { 0 } else { index });
        if !vector.nulls.any() || (0..rows.len()).all(|index| !null_at(index)) {
            pieces.push(Piece { rows, vector, constant });
            rest = Vec::new();
            break;
        }
        let kept: Vec<u32> = (0..rows.len() as u32).filter(|index| !null_at(*index as usize)).collect();
        rest = (0..rows.len()).filter(|index| null_at(*index)).map(|index| rows[index]).collect();
        if !kept.is_empty() {
            let kept_rows = kept.iter().map(|index| rows[*index as usize]).collect();
            pieces.push(Piece { rows: kept_rows, vector: vector.gather(&kept), constant: false });
        }
    }
    let _ = rest;
    Ok(finish(pieces, data_type, frame.rows))
}

pub(super) fn null_if<'a>(
    left: Value<'a>,
    right: Value<'_>,
    equal: Evaluator,
    frame: &Frame<'_>,
) -> PgResult<Value<'a>> {
    let constant = left.constant && right.constant;
    let rows = if constant { 1 } else { frame.rows };
    let values = [left, right];
    let equality = call(equal, &values, DataType::Bool, true, false, frame)?;
    let [left, _] = values;
    let Values::Bool(equals) = &equality.vector.values else {
        return Err(PgError::internal("an equality operator did not answer a boolean"));
    };
    let mut vector =
        if left.constant && !constant { repeat(&left.vector, rows) } else { left.vector.into_owned() };
    for row in 0..rows {
        let index = equality.index(row);
        if equals[index] && !equality.vector.is_null(index) {
            vector.nulls.set_null(row);
        }
    }
    Ok(Value { vector: Cow::Owned(vector), constant })
}

/// GREATEST and LEAST: NULLs are passed over.
pub(super) fn extreme<'a>(
    arguments: &'a [Node],
    data_type: DataType,
    greatest: bool,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let values = arguments.iter().map(|node| node.run(frame)).collect::<PgResult<Vec<_>>>()?;
    let constant = values.iter().all(|value| value.constant);
    let rows = if constant { 1 } else { frame.rows };
    let mut result = Vector::with_capacity(data_type, rows);
    for row in 0..rows {
        let mut best: Option<&Value<'_>> = None;
        for value in values.iter().filter(|value| !value.is_null(row)) {
            let better = best.is_none_or(|best| {
                let (a, b) = (value.index(row), best.index(row));
                let ordering = compare::compare_rows(&value.vector, a, &best.vector, b, false, false);
                ordering == if greatest { Ordering::Greater } else { Ordering::Less }
            });
            if better {
                best = Some(value);
            }
        }
        match best {
            Some(value) => result.push_from(&value.vector, value.index(row)),
            None => result.push_null(),
        }
    }
    Ok(Value { vector: Cow::Owned(result), constant })
}
