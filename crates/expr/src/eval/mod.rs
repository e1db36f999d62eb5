//! Vectorised evaluation of expressions.
//!
//! An [`Expr`] is first turned into a [`Program`]: the same tree with what can be prepared prepared (constants as
//! one-row vectors, conversions looked up, constant IN lists hashed). A plan that runs many times keeps its programs. A program
//! evaluates over a batch into a vector:
//!
//! - A column reference costs nothing: it is borrowed. A constant is a vector of one row that stands for all rows; functions
//!   take such arguments beside full ones ([`crate::function::Evaluator`]).
//! - `AND`, `OR`, `CASE` and `COALESCE` evaluate later arms only for the rows that earlier arms left undecided: the frame then
//!   carries a selection and column references gather those rows. An arm that can neither fail nor cost much (a
//!   comparison) is evaluated for all rows instead, when most of them are undecided.
//! - A strict function is not asked about rows with a NULL argument: their nulls are united here.

mod assign;
mod boolean;
mod cast;
mod conditional;
mod domain;
mod fold;
mod frame;
mod list;
mod node;
mod scalar;

pub(crate) use cast::catalog_output;
pub(crate) use cast::parse as parse_value;
pub use cast::{needs_catalog, parse_text};
pub use fold::{cast_is_immutable, fold, is_volatile};
pub use scalar::eval_scalar;

use crate::bounds::check_column;
use crate::context::EvalContext;
use crate::expr::Expr;
use frame::Frame;
use node::Node;
use std::borrow::Cow;
use types::{Batch, DataType, PgResult, Values, Vector};

/// An expression ready to run. Immutable: may be kept with a plan and used by several executions.
pub struct Program {
    node: Node,
    data_type: DataType,
}

impl Program {
    /// 0A000 when the expression needs something that is not built.
    pub fn new(expr: &Expr) -> PgResult<Program> {
        Ok(Program { node: Node::new(expr)?, data_type: expr.data_type() })
    }

    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// The position in the batch when the program is a mere column reference.
    pub fn as_column(&self) -> Option<usize> {
        match self.node {
            Node::Column { index, .. } => Some(index),
            _ => None,
        }
    }

    /// One value for each row of `batch`.
    pub fn evaluate<'a>(
        &'a self,
        context: &'a EvalContext<'a>,
        batch: &'a Batch,
    ) -> PgResult<Cow<'a, Vector>> {
        if batch.rows == 0 {
            return Ok(Cow::Owned(Vector::with_capacity(self.data_type, 0)));
        }
        let frame = Frame::whole(context, batch);
        let value = self.node.run(&frame)?;
        if value.constant {
            check_column(context.bounds, value.vector.memory_size().saturating_mul(batch.rows))?;
        }
        let mut vector = value.into_full(batch.rows);
        if vector.data_type != self.data_type {
            vector.to_mut().data_type = self.data_type;
        }
        Ok(vector)
    }

    /// The numbers of the rows for which a boolean program answers true, ascending.
    pub fn filter(&self, context: &EvalContext<'_>, batch: &Batch) -> PgResult<Vec<u32>> {
        if batch.rows == 0 {
            return Ok(Vec::new());
        }
        self.node.select(&Frame::whole(context, batch))
    }
}

/// [`Program::evaluate`] for an expression that is used once.
pub fn eval(expr: &Expr, context: &EvalContext<'_>, batch: &Batch) -> PgResult<Vector> {
    let program = Program::new(expr)?;
    let vector = program.evaluate(context, batch)?;
    Ok(vector.into_owned())
}

/// [`Program::filter`] for an expression that is used once.
pub fn eval_filter(expr: &Expr, context: &EvalContext<'_>, batch: &Batch) -> PgResult<Vec<u32>> {
    Program::new(expr)?.filter(context, batch)
}

/// The rows of a boolean vector that are true.
fn true_rows(vector: &Vector) -> Vec<u32> {
    let Values::Bool(values) = &vector.values else {
        unreachable!("a condition is boolean: the binder typed it")
    };
    let mut rows = Vec::with_capacity(values.len());
    if vector.nulls.any() {
        rows.extend(
            (0..values.len()).filter(|row| values[*row] && !vector.is_null(*row)).map(|row| row as u32),
        );
    } else {
        rows.extend((0..values.len()).filter(|row| values[*row]).map(|row| row as u32));
    }
    rows
}
