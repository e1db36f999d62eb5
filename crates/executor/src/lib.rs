//! Executes physical plans: operators exchanging column batches, DML, constraint checks.
//!
//! A statement's life here: the session makes an [`ExecContext`] and calls [`Execution::new`] with a plan from `planner`; it then
//! pulls batches until there are none ([`Execution::next`]) and reads how many rows the command affected. Dropping an
//! execution at any point is its cancellation. Retrying a statement is making a new one.

pub mod context;
pub mod error;
pub mod memory;

pub use context::{
    CancelFlag, DeferredChecks, DeferredFunctions, ExecContext, TableLookup, VirtualTables, wall_to_timestamp,
};
pub use error::{ExecError, ExecResult, kv_error};
pub use memory::{MemoryAccount, Reservation};

use std::sync::Arc;

use planner::Plan;
use types::Batch;

/// A statement being executed.
pub struct Execution {
    plan: Arc<Plan>,
    context: ExecContext,
}

impl Execution {
    /// Prepares execution; nothing is read or written before the first [`Self::next`].
    pub fn new(plan: Arc<Plan>, context: ExecContext) -> ExecResult<Execution> {
        Ok(Execution { plan, context })
    }

    /// The next rows; `None` at the end. A data-modifying statement without RETURNING has done its work when this
    /// returns `None` the first time.
    pub async fn next(&mut self) -> ExecResult<Option<Batch>> {
        let _ = (&self.plan, &self.context);
        Err(types::PgError::unsupported("executing plans").into())
    }

    /// Rows inserted, updated or deleted (the number in the command tag); for SELECT the caller counts rows.
    pub fn rows_affected(&self) -> u64 {
        0
    }
}
