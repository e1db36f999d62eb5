//! What execution may use of the world: given by the session for each statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use env::Env;
use expr::{Bounds, CatalogLookup, EvalContext, FunctionRef, SessionInfo, TextContext};
use futures::future::BoxFuture;
use kvclient::{Db, Txn};
use planner::Table;
use planner::catalog::VirtualTable;
use types::descriptor::{Oid, TableDescriptor};
use types::{Batch, Datum, PgError, PgResult, SqlState};

use crate::error::ExecResult;
use crate::memory::MemoryAccount;
use crate::parallel::Parallelism;
use crate::remote::{Distribution, Flows};

/// Rows that `sql` makes up: pg_catalog, information_schema, the schema `meridian`.
pub trait VirtualTables: Send + Sync {
    /// All rows of a table, in any order, with all of its columns. `equalities` are (column position, value) pairs that
    /// every wanted row satisfies: a table may use them to make up fewer rows, and need not.
    fn rows<'a>(
        &'a self,
        table: &'a VirtualTable,
        equalities: &'a [(u32, Datum)],
    ) -> BoxFuture<'a, ExecResult<Vec<Batch>>>;
}

/// Functions that wait for something outside the statement: `nextval`, `pg_sleep`, advisory locks ...
pub trait DeferredFunctions: Send + Sync {
    fn call<'a>(&'a self, function: FunctionRef, arguments: &'a [Datum]) -> BoxFuture<'a, ExecResult<Datum>>;
}

/// Other tables that a statement touches through foreign keys.
pub trait TableLookup: Send + Sync {
    /// The table as the statement's catalog has it, with its bound defaults. XX000 when there is none.
    fn table(&self, id: Oid) -> PgResult<Arc<Table>>;

    /// Sees to it that [`Table::expressions`] are there (by [`Table::bind_expressions`]): asked of a table that a foreign
    /// key's action writes and that has defaults, checks, generated columns or partial indexes. Doing nothing makes such an
    /// action answer 0A000.
    fn bind(&self, table: &Table) -> PgResult<()> {
        let _ = table;
        Ok(())
    }
}

/// A cancel request's flag and the running statement's deadline, shared by the session and whoever cancels it.
#[derive(Clone, Default, Debug)]
pub struct CancelFlag(Arc<Cancelling>);

/// - `deadline`: nanoseconds of [`Env::monotonic`]; 0: none.
#[derive(Default, Debug)]
struct Cancelling {
    requested: AtomicBool,
    deadline: AtomicU64,
}

impl CancelFlag {
    pub fn new() -> Self {
        CancelFlag::default()
    }

    pub fn set(&self) {
        self.0.requested.store(true, Ordering::Release);
    }

    pub fn clear(&self) {
        self.0.requested.store(false, Ordering::Release);
    }

    /// 57014 once it is set. Operators that compute for long ask between batches; waits are ended by dropping them.
    pub fn check(&self) -> PgResult<()> {
        if self.0.requested.load(Ordering::Acquire) {
            return Err(PgError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
        }
        Ok(())
    }

    /// When the running statement is to end, on [`Env::monotonic`]; `None`: it has no limit, or nothing runs.
    pub fn set_deadline(&self, deadline: Option<Duration>) {
        let nanos = |at: Duration| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).max(1);
        self.0.deadline.store(deadline.map_or(0, nanos), Ordering::Release);
    }

    /// 57014 once it is set or the deadline has passed: for what computes for long without giving way, where no timer can end it.
    pub fn check_at(&self, env: &dyn Env) -> PgResult<()> {
        self.check()?;
        let deadline = self.0.deadline.load(Ordering::Acquire);
        if deadline != 0 && env.monotonic() >= Duration::from_nanos(deadline) {
            return Err(CancelFlag::timed_out());
        }
        Ok(())
    }

    /// What a statement ends with whose time is up.
    pub fn timed_out() -> PgError {
        PgError::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
    }
}

/// Deferred constraint checks of a transaction, kept by the session until COMMIT or SET CONSTRAINTS ... IMMEDIATE.
pub trait DeferredChecks: Send + Sync {
    /// Is this constraint (its oid; deferrable, initially deferred or not) to be checked at the end of the transaction?
    fn is_deferred(&self, constraint: Oid, initially_deferred: bool) -> bool;

    /// Remembers that these rows (encoded primary keys of `table`) must be checked against the constraint.
    fn defer(&self, table: &Arc<TableDescriptor>, constraint: Oid, primary_key: Vec<u8>);
}

/// What one statement runs with. Cheap to clone: everything is shared.
#[derive(Clone)]
pub struct ExecContext {
    pub env: Arc<dyn Env>,
    pub db: Db,
    pub txn: Arc<Txn>,
    /// The statement commits by itself right after: uniqueness may be checked with the commit.
    pub implicit: bool,
    pub parameters: Arc<[Datum]>,
    pub session: Arc<SessionInfo>,
    /// Microseconds since 2000-01-01 UTC.
    pub transaction_timestamp: i64,
    pub statement_timestamp: i64,
    pub random: Arc<AtomicU64>,
    pub catalog: Arc<dyn CatalogLookup + Send + Sync>,
    pub tables: Arc<dyn TableLookup>,
    pub virtual_tables: Arc<dyn VirtualTables>,
    pub deferred_functions: Arc<dyn DeferredFunctions>,
    pub deferred_checks: Arc<dyn DeferredChecks>,
    pub memory: MemoryAccount,
    pub parallelism: Parallelism,
    pub distribution: Distribution,
    /// What other nodes do for the statement is counted here.
    pub flows: Flows,
    pub cancel: CancelFlag,
}

impl ExecContext {
    /// The context for evaluating expressions with the given slots.
    pub fn eval<'a>(&'a self, slots: &'a [Datum]) -> EvalContext<'a> {
        EvalContext {
            parameters: &self.parameters,
            slots,
            transaction_timestamp: self.transaction_timestamp,
            statement_timestamp: self.statement_timestamp,
            clock_timestamp: self.clock_timestamp(),
            random: &self.random,
            session: &self.session,
            catalog: &*self.catalog,
            bounds: self,
        }
    }

    /// What accumulators write values as text by.
    pub fn text(&self) -> TextContext {
        TextContext { session: self.session.clone(), catalog: self.catalog.clone() }
    }

    /// The wall clock in SQL's terms, as far as this statement can tell: its start plus the time since.
    fn clock_timestamp(&self) -> i64 {
        wall_to_timestamp(self.env.wall())
    }
}

impl Bounds for ExecContext {
    fn check(&self, bytes: usize) -> PgResult<()> {
        self.cancel.check_at(&*self.env)?;
        self.memory.check_room(bytes as u64)
    }
}

/// Microseconds from the Unix epoch to 2000-01-01.
const EPOCH_2000_MICROSECONDS: i64 = 946_684_800_000_000;

/// A wall clock reading as a `timestamptz`.
pub fn wall_to_timestamp(wall: env::WallTime) -> i64 {
    let microseconds = i64::try_from(wall.unix_micros()).unwrap_or(i64::MAX);
    microseconds.saturating_sub(EPOCH_2000_MICROSECONDS)
}
