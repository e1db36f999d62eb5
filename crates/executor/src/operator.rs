//! What runs: operators that pull batches from one another.
//!
//! A plan is prepared once into a tree of [`Node`]s (compiled expressions, encoders, decoders: [`crate::prepare`]), kept beside
//! the plan. Each execution opens the tree into [`Operator`]s, which hold positions and rows. Opening is cheap, so that an
//! operator that must run an input anew (Apply, the step of a recursion) simply opens it again.
//!
//! A call of [`Operator::next`] costs one boxed future: nothing beside a batch of 1,024 rows, some 50 ns beside a single row.
//! The point read, where that would count, does not go this way ([`crate::point`]).

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use types::{Batch, Datum};

use crate::context::ExecContext;
use crate::error::ExecResult;
use crate::operators::{CommonTable, WorkTable};
use crate::write::AfterStatement;

/// A prepared operator: immutable, shared by all executions of the plan.
pub(crate) trait Node: Send + Sync {
    fn open(self: Arc<Self>) -> BoxedOperator;
}

pub(crate) type NodeRef = Arc<dyn Node>;
pub(crate) type BoxedOperator = Box<dyn Operator>;

/// An operator at work.
///
/// - A batch that is returned has at least one row and exactly the columns of the plan node.
/// - After the end or an error it is not asked again.
#[async_trait]
pub(crate) trait Operator: Send {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>>;

    /// Says that no more than `rows` rows, at least one, are of use from now on: until the next such call. Whoever does something
    /// to the rows that it gives (locks them) gives no more; to others it means nothing.
    fn bound(&mut self, _rows: u64) {}
}

/// Rows that come from outside a statement while it runs (COPY FROM).
pub trait BatchSource: Send {
    /// The next rows, of the columns of the plan's Feed; `None` at the end. Batches may be of any size up to
    /// [`types::BATCH_ROWS_MAX`].
    fn next(&mut self) -> futures::future::BoxFuture<'_, ExecResult<Option<Batch>>>;
}

/// What the operators of one execution share.
pub(crate) struct Run {
    pub context: ExecContext,
    pub slots: Vec<Datum>,
    /// In mutexes that are never locked, for what is in them may be sent to another thread but not be shared.
    pub common_tables: Mutex<Vec<CommonTable>>,
    pub work_tables: Mutex<Vec<WorkTable>>,
    pub feed: Mutex<Option<Box<dyn BatchSource>>>,
    pub after: AfterStatement,
    /// Rows that the statement's own command wrote.
    pub affected: u64,
}

impl Run {
    pub fn new(context: ExecContext, slots: Vec<Datum>) -> Run {
        let after = AfterStatement::new(context.memory.reservation());
        let (common_tables, work_tables, feed) = Default::default();
        Run { context, slots, common_tables, work_tables, feed, after, affected: 0 }
    }

    /// What a task needs that reads for this execution.
    pub fn worker(&self) -> Run {
        Run::new(self.context.clone(), self.slots.clone())
    }

    pub fn eval(&self) -> expr::EvalContext<'_> {
        self.context.eval(&self.slots)
    }

    pub fn check_cancelled(&self) -> ExecResult<()> {
        Ok(self.context.cancel.check()?)
    }
}
