//! What runs: operators that pull batches from one another.
//!
//! A plan is prepared once into a tree of [`Node`]s (compiled expressions, encoders, decoders: [`crate::prepare`]), kept beside
//! the plan. Each execution opens the tree into [`Operator`]s, which hold positions and rows. Opening is cheap, so that an
//! operator that must run an input anew (Apply, the step of a recursion) simply opens it again.
//!
//! A call of [`Operator::next`] costs one boxed future: nothing beside a batch of 1,024 rows, some 50 ns beside a single row.
//! The point read, where that would count, does not go this way ([`crate::point`]).
//!
//! A statement that computes without ever waiting would keep its thread from everybody else, and its own timeout from ending it.
//! So every call of an operator, and every round of a loop that calls none, is a place to give way ([`Run::pause`]): at most once in
//! [`TURN`], so that it costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use env::{Env, yield_now};
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

/// An opened operator, as whoever pulls from it has it.
pub(crate) struct BoxedOperator(Box<dyn Operator>);

impl BoxedOperator {
    pub fn new(operator: impl Operator + 'static) -> BoxedOperator {
        BoxedOperator(Box::new(operator))
    }

    /// [`Operator::next`], giving way first where it is time.
    pub async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        run.pause().await?;
        let batch = self.0.next(run).await?;
        run.turn.count(batch.as_ref().map_or(0, |batch| batch.rows));
        Ok(batch)
    }

    /// See [`Operator::bound`].
    pub fn bound(&mut self, rows: u64) {
        self.0.bound(rows);
    }
}

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

/// How long a statement computes before it lets others run. Short, because a runtime looks at its sockets and timers only every few
/// dozen such turns while no thread of it is idle.
const TURN: Duration = Duration::from_millis(1);
/// Work (rows, and some for each call) between two looks at the clock.
const UNTIMED_WORK_MAX: u64 = 512;
/// What a call counts besides its rows.
const CALL_WORK: u64 = 32;
/// Work after which a statement gives way whatever the clock says: simulated time stands still while something computes.
const TURN_WORK_MAX: u64 = 1 << 16;

/// What an execution has done since it last gave way. Only its own task counts here: atomics because a [`Run`] is shared while it
/// evaluates.
#[derive(Default)]
struct Turn {
    /// Nanoseconds of [`Env::monotonic`]; 0: not begun.
    began: AtomicU64,
    untimed: AtomicU64,
    work: AtomicU64,
}

impl Turn {
    fn count(&self, rows: usize) {
        let more = rows as u64 + CALL_WORK;
        self.untimed.store(self.untimed.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// Whether it is time to give way; if so, the next turn begins.
    fn ends(&self, env: &dyn Env) -> bool {
        let untimed = self.untimed.load(Ordering::Relaxed);
        if untimed < UNTIMED_WORK_MAX {
            return false;
        }
        self.untimed.store(0, Ordering::Relaxed);
        let work = self.work.load(Ordering::Relaxed) + untimed;
        self.work.store(work, Ordering::Relaxed);
        let now = u64::try_from(env.monotonic().as_nanos()).unwrap_or(u64::MAX).max(1);
        let began = self.began.load(Ordering::Relaxed);
        if began == 0 {
            self.began.store(now, Ordering::Relaxed);
        }
        let over = began != 0 && now.saturating_sub(began) >= TURN.as_nanos() as u64;
        if over || work >= TURN_WORK_MAX {
            self.work.store(0, Ordering::Relaxed);
            return true;
        }
        false
    }

    fn begin(&self, env: &dyn Env) {
        let now = u64::try_from(env.monotonic().as_nanos()).unwrap_or(u64::MAX).max(1);
        self.began.store(now, Ordering::Relaxed);
    }
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
    turn: Turn,
}

impl Run {
    pub fn new(context: ExecContext, slots: Vec<Datum>) -> Run {
        let after = AfterStatement::new(context.memory.reservation());
        let (common_tables, work_tables, feed) = Default::default();
        Run { context, slots, common_tables, work_tables, feed, after, affected: 0, turn: Turn::default() }
    }

    /// What a task needs that reads for this execution.
    pub fn worker(&self) -> Run {
        Run::new(self.context.clone(), self.slots.clone())
    }

    pub fn eval(&self) -> expr::EvalContext<'_> {
        self.context.eval(&self.slots)
    }

    /// A place where a statement may be ended, and where it gives way to others when its turn is over. Errors: 57014.
    pub async fn pause(&self) -> ExecResult<()> {
        self.context.cancel.check()?;
        self.turn.count(0);
        if self.turn.ends(&*self.context.env) {
            yield_now().await;
            self.turn.begin(&*self.context.env);
            self.check_cancelled()?;
        }
        Ok(())
    }

    /// The same for what cannot give way. Errors: 57014.
    pub fn check_cancelled(&self) -> ExecResult<()> {
        Ok(self.context.cancel.check_at(&*self.context.env)?)
    }
}
