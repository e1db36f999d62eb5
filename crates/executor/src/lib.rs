//! Executes physical plans: operators exchanging column batches, DML, constraint checks.
//!
//! A statement's life here: the session makes an [`ExecContext`] and calls [`Execution::new`] with a plan from `planner`; it then
//! pulls batches until there are none ([`Execution::next`]) and reads how many rows the command affected. Dropping an
//! execution at any point is its cancellation. Retrying a statement is making a new one.
//!
//! | module | holds |
//! | --- | --- |
//! | [`context`], [`memory`], [`spill`] | what the session gives: transaction, parameters, bounds, where to spill |
//! | `prepare`, `program`, `operator` | plans prepared once; expressions; the trait of all operators |
//! | [`Parallelism`] | how many tasks a statement may have |
//! | `point` | the point read, which needs no operator |
//! | `operators` | one file per operator that reads or computes |
//! | [`remote`] | parts of a statement that run where its rows lie, on other nodes |
//! | `write` | INSERT, UPDATE, DELETE, constraints, foreign keys |

pub mod context;
pub mod error;
pub mod memory;
mod operator;
mod operators;
mod parallel;
mod point;
mod prepare;
mod program;
pub mod remote;
pub mod spill;
mod write;

pub use context::{
    CancelFlag, DeferredChecks, DeferredFunctions, ExecContext, TableLookup, VirtualTables, wall_to_timestamp,
};
pub use error::{ExecError, ExecResult, kv_error};
pub use memory::{MemoryAccount, Reservation};
pub use operator::BatchSource;
pub use parallel::{Parallelism, Workers};
pub use write::check_deferred;

use std::iter::repeat_with;
use std::sync::Arc;

use parking_lot::Mutex;
use planner::Plan;
use types::{Batch, Datum};

use operator::{BoxedOperator, Run};
use operators::{CommonTable, WorkTable};
use point::PointRead;
use prepare::{PreparedPlan, PreparedRoot};
use program::Projection;

/// A statement being executed.
pub struct Execution {
    run: Run,
    state: State,
}

enum State {
    Point { read: Arc<PointRead>, projection: Option<Arc<Projection>> },
    Tree(BoxedOperator),
    Ended,
}

impl Execution {
    /// Prepares execution; nothing is read or written before the first [`Self::next`].
    pub fn new(plan: Arc<Plan>, context: ExecContext) -> ExecResult<Execution> {
        Execution::begin(&plan, context, None)
    }

    /// Executes a plan with a [`planner::plan::Feed`]: rows come from `feed` as the plan asks for them.
    pub fn new_with_feed(
        plan: Arc<Plan>,
        context: ExecContext,
        feed: Box<dyn BatchSource>,
    ) -> ExecResult<Execution> {
        Execution::begin(&plan, context, Some(feed))
    }

    fn begin(plan: &Plan, context: ExecContext, feed: Option<Box<dyn BatchSource>>) -> ExecResult<Execution> {
        let prepared = PreparedPlan::of(plan)?;
        let mut run = Run::new(context, vec![Datum::Null; prepared.slot_count]);
        run.common_tables = Mutex::new(repeat_with(CommonTable::default).take(prepared.cte_count).collect());
        run.work_tables = Mutex::new(repeat_with(WorkTable::default).take(prepared.cte_count).collect());
        run.feed = Mutex::new(feed);
        let state = match &prepared.root {
            PreparedRoot::Point { read, projection } => {
                State::Point { read: read.clone(), projection: projection.clone() }
            }
            PreparedRoot::Tree(node) => State::Tree(node.clone().open()),
        };
        Ok(Execution { run, state })
    }

    /// The next rows; `None` at the end. A data-modifying statement without RETURNING has done its work when this
    /// returns `None` the first time; one with it, too: what is owed to foreign keys is done at the end.
    pub async fn next(&mut self) -> ExecResult<Option<Batch>> {
        match &mut self.state {
            State::Ended => Ok(None),
            State::Point { read, projection } => {
                let (read, projection) = (read.clone(), projection.clone());
                self.state = State::Ended;
                let Some(batch) = read.read(&self.run).await? else { return Ok(None) };
                Ok(Some(match projection {
                    None => batch,
                    Some(projection) => projection.apply(&self.run.eval(), batch)?,
                }))
            }
            State::Tree(root) => {
                if let Some(batch) = root.next(&mut self.run).await? {
                    return Ok(Some(batch));
                }
                self.state = State::Ended;
                if !self.run.after.is_empty() {
                    Box::pin(write::run_after(&mut self.run)).await?;
                }
                Ok(None)
            }
        }
    }

    /// What other nodes have done so far.
    pub fn flows(&self) -> Vec<(keys::NodeId, remote::Flow)> {
        self.run.context.flows.all()
    }

    /// Rows inserted, updated or deleted (the number in the command tag); for SELECT the caller counts rows.
    pub fn rows_affected(&self) -> u64 {
        self.run.affected
    }
}
