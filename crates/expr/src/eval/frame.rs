//! What a node is evaluated over, and what it evaluates to.

use crate::context::EvalContext;
use std::borrow::Cow;
use types::{Batch, Vector};

/// The rows to evaluate.
///
/// - `rows` is the length of `selection`, or the batch's.
/// - `operand`, the operand of the enclosing simple CASE, has exactly these rows (or is constant).
pub(super) struct Frame<'a> {
    pub(super) context: &'a EvalContext<'a>,
    pub(super) batch: &'a Batch,
    /// Absolute row numbers of the batch; `None`: all of them.
    pub(super) selection: Option<&'a [u32]>,
    pub(super) rows: usize,
    pub(super) operand: Option<&'a Value<'a>>,
}

impl<'a> Frame<'a> {
    pub(super) fn whole(context: &'a EvalContext<'a>, batch: &'a Batch) -> Frame<'a> {
        Frame { context, batch, selection: None, rows: batch.rows, operand: None }
    }

    /// The column's rows.
    pub(super) fn column(&self, index: usize) -> Value<'a> {
        let column = &self.batch.columns[index];
        match self.selection {
            None => Value::borrowed(column),
            Some(selection) => Value::owned(column.gather(selection)),
        }
    }

    /// Runs `work` on the frame narrowed to `chosen`, row numbers within this frame.
    pub(super) fn narrowed<T>(&self, chosen: &[u32], work: impl FnOnce(&Frame<'_>) -> T) -> T {
        let absolute: Cow<'_, [u32]> = match self.selection {
            None => Cow::Borrowed(chosen),
            Some(selection) => chosen.iter().map(|row| selection[*row as usize]).collect::<Vec<u32>>().into(),
        };
        let operand = self.operand.map(|operand| match operand.constant {
            true => Value { vector: Cow::Borrowed(&*operand.vector), constant: true },
            false => Value::owned(operand.vector.gather(chosen)),
        });
        work(&Frame {
            context: self.context,
            batch: self.batch,
            selection: Some(&absolute),
            rows: chosen.len(),
            operand: operand.as_ref(),
        })
    }
}

/// The values of a node for the rows of a frame.
///
/// - `constant`: one row that stands for all; otherwise exactly the frame's rows.
pub(super) struct Value<'a> {
    pub(super) vector: Cow<'a, Vector>,
    pub(super) constant: bool,
}

impl<'a> Value<'a> {
    pub(super) fn borrowed(vector: &'a Vector) -> Value<'a> {
        Value { vector: Cow::Borrowed(vector), constant: false }
    }

    pub(super) fn owned(vector: Vector) -> Value<'a> {
        Value { vector: Cow::Owned(vector), constant: false }
    }

    pub(super) fn constant(vector: &'a Vector) -> Value<'a> {
        Value { vector: Cow::Borrowed(vector), constant: true }
    }

    pub(super) fn owned_constant(vector: Vector) -> Value<'a> {
        Value { vector: Cow::Owned(vector), constant: true }
    }

    /// The row of the vector that holds the value of `row`.
    #[inline]
    pub(super) fn index(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.vector.is_null(self.index(row))
    }

    pub(super) fn has_nulls(&self) -> bool {
        self.vector.nulls.any()
    }

    /// All `rows` rows, a constant repeated.
    pub(super) fn into_full(self, rows: usize) -> Cow<'a, Vector> {
        if self.constant && rows != 1 {
            return Cow::Owned(repeat(&self.vector, rows));
        }
        self.vector
    }
}

/// `rows` times the only row of `vector`.
pub(super) fn repeat(vector: &Vector, rows: usize) -> Vector {
    Vector::constant(&vector.datum(0), vector.data_type, rows)
}
