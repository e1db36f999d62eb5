//! Advisory locks of the whole cluster.
//!
//! # Why records
//!
//! Row locks are memory of a range's leaseholder: they are lost when the lease moves, and the commit finds out. An advisory lock protects
//! what no commit sees, so that losing it silently is what must never happen. Therefore each one that is held is a record of the keyspace,
//! replicated and transactional as any row, with its holders and with those who wait, in order (`record`). Taking, giving back and giving up are
//! small transactions on it, one consensus round each.
//!
//! ```text
//!   request ─▶ { lock the record; take out the dead; grant, refuse or queue } ─▶ held ─▶ { take out the claim; grant to the next } ─▶ tell its node
//!                                     │ queued                                                                                          │
//!                                     └─▶ wait: told, or look again every POLL; after DEADLOCK_AFTER look for a cycle ◀─────────────────┘
//! ```
//!
//! # Whose session lives
//!
//! A session's locks go with its node. A node whose sessions hold or want anything keeps a *lease*: a record that says up to when it is believed to live. Who
//! finds a claim of a node whose lease is over takes the claim away and the lease record with it, in one transaction: the node
//! finds that out when it prolongs. It does not wait for that: when it has not been able to prolong until [`MARGIN`] before the end (which is more
//! than clocks may differ), it ends the sessions that hold locks (57P01), and begins a new *run*, which no old claim belongs to. A transaction of such a session
//! cannot commit at or above the end of the lease: what the next holder reads, it cannot change, not even by
//! a node that was stopped in the middle of a commit. So a lock is free within [`LEASE`] after its node has died, and with the session at once.
//!
//! # A node that is alone
//!
//! It grants from its memory ([`TableLocks`]), without a word to the keyspace but one: before its first lock it records that it does. A node that joins finds that record and
//! waits; the first one, as soon as it knows of another, *publishes*: it closes its memory and, in one transaction, writes all locks held as records and that records
//! count from now on. Requests that were waiting in memory are asked again there. A cluster that has had several nodes does not go back.
//!
//! Deadlocks: see `deadlock`. A cycle that passes through locks of tables or rows as well is not found: `lock_timeout` ends it.

mod deadlock;
mod lease;
pub mod record;
mod requests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use env::Env;
use executor::{ExecError, ExecResult};
use futures::channel::oneshot;
use kvapi::{NodeId, ReportRow, Standing as Membership};
use kvclient::{Db, Locking, Timestamp, Txn};
use parking_lot::Mutex;
use types::{PgError, PgResult, SqlState};

use crate::catalog::lease::Others;
use crate::server::SqlServer;
use crate::small_transaction::in_own_transaction;
use crate::table_locks::{AdvisoryKey, LockMode, LockOwner, LockRow, LockTag, TableLocks};
use record::{Claim, LockRecord, NodeLease, Run, Standing};

/// How long a node is believed to live after it has said so.
const LEASE: Duration = Duration::from_secs(9);
/// How often it says so, while it must.
const RENEWAL: Duration = Duration::from_millis(1_500);
/// How long before the end of its lease a node takes it for lost.
const MARGIN: Duration = Duration::from_millis(1_500);
/// What must be left of a lease for a request.
const LEFT_MIN: Duration = Duration::from_secs(5);
/// How often the node looks at its lease, and whether it is alone.
const TICK: Duration = Duration::from_millis(100);
/// How often a request that waits looks whether it was granted, in case nobody told it so; and whether holders live.
const POLL: Duration = Duration::from_millis(500);
/// How long a request waits before it looks for a deadlock (PostgreSQL's deadlock_timeout), and between looks.
const DEADLOCK_AFTER: Duration = Duration::from_secs(1);
/// How long to wait for a node that grants from its memory.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a session of this node holds in records.
#[derive(Default)]
struct Holdings {
    process_id: u32,
    /// With the tickets under which they were granted.
    locks: BTreeMap<(AdvisoryKey, LockMode), i64>,
}

/// A request of this node that waits in a record.
struct Waiting {
    owner: LockOwner,
    lock: AdvisoryKey,
    mode: LockMode,
    wake: Option<oneshot::Sender<()>>,
}

/// - `run` has a record while `is_recorded`, and then lives until `until` at least as far as others know.
/// - `held` is of this run.
struct State {
    run: Run,
    /// Before that the next run must not begin: sessions of the last one may still commit.
    begins: Timestamp,
    is_recorded: bool,
    held: BTreeMap<LockOwner, Holdings>,
    /// By ticket.
    waiting: BTreeMap<i64, Waiting>,
    /// Requests between their first word and their end.
    requests: usize,
}

/// The advisory locks of a node's sessions.
///
/// Lock order: `state` is a leaf, and so is the table of locks.
pub struct ClusterLocks {
    env: Arc<dyn Env>,
    db: Db,
    others: Option<Others>,
    memory: TableLocks,
    server: OnceLock<Weak<SqlServer>>,
    /// Whether it is known who grants locks.
    is_settled: AtomicBool,
    settling: futures::lock::Mutex<()>,
    /// Locks are records, and those of this node's memory are among them.
    is_shared: AtomicBool,
    renewing: futures::lock::Mutex<()>,
    /// The end of the lease, as wall time.
    until: AtomicU64,
    state: Mutex<State>,
}

impl ClusterLocks {
    pub fn new(
        env: Arc<dyn Env>,
        db: Db,
        node: NodeId,
        others: Option<Others>,
        memory: TableLocks,
    ) -> Arc<ClusterLocks> {
        // Numbered when the first lock is asked for.
        let run = Run { node, number: 0 };
        let (held, waiting) = (BTreeMap::new(), BTreeMap::new());
        Arc::new(ClusterLocks {
            env,
            db,
            others,
            memory,
            server: OnceLock::new(),
            is_settled: AtomicBool::new(false),
            settling: futures::lock::Mutex::new(()),
            is_shared: AtomicBool::new(false),
            renewing: futures::lock::Mutex::new(()),
            until: AtomicU64::new(0),
            state: Mutex::new(State {
                run,
                begins: Timestamp::ZERO,
                is_recorded: false,
                held,
                waiting,
                requests: 0,
            }),
        })
    }

    /// Whose sessions these are; told once.
    pub fn set_server(&self, server: &Arc<SqlServer>) {
        assert!(self.server.set(Arc::downgrade(server)).is_ok(), "a node has one server");
    }

    /// There may be others from now on: they need not wait for what an earlier process of this node has granted from its memory.
    pub fn connect(self: &Arc<Self>) {
        let task = lease::settle_if_recorded(self.env.clone(), Arc::downgrade(self));
        drop(self.env.spawn("advisory-standing", Box::pin(task)));
    }

    fn has_others(&self) -> bool {
        self.others.as_ref().is_some_and(|others| others())
    }

    /// Takes a lock; `false`: it is not free, and the request would not wait. Cancel-safe: a dropped future gives the request up.
    ///
    /// Errors: 40P01; 54000 when too many wait; whatever keeps the keyspace from answering.
    pub async fn acquire(
        self: &Arc<Self>,
        (owner, process_id): (LockOwner, u32),
        lock: AdvisoryKey,
        mode: LockMode,
        waits: bool,
    ) -> ExecResult<bool> {
        if !self.is_settled.load(Ordering::Acquire) {
            self.settle().await?;
        }
        if !self.memory.is_closed() {
            let tag = LockTag::Advisory(lock);
            if self.memory.try_acquire(owner, tag, mode) {
                return Ok(true);
            }
            if !self.memory.is_closed() {
                if !waits {
                    return Ok(false);
                }
                match self.memory.acquire(owner, tag, mode).await {
                    Ok(()) => return Ok(true),
                    Err(error) if !self.memory.is_closed() => return Err(error.into()),
                    // It was published meanwhile.
                    Err(_) => {}
                }
            }
        }
        self.published().await?;
        self.acquire_shared((owner, process_id), lock, mode, waits).await
    }

    /// Gives locks back.
    pub async fn release(self: &Arc<Self>, owner: LockOwner, locks: Vec<(AdvisoryKey, LockMode)>) {
        for (lock, mode) in &locks {
            self.memory.release(owner, LockTag::Advisory(*lock), *mode);
        }
        self.release_shared(owner, locks).await;
    }

    /// Gives back what a session holds in records. Completes when that is done, or will be as soon as the keyspace answers again.
    pub async fn release_shared(self: &Arc<Self>, owner: LockOwner, locks: Vec<(AdvisoryKey, LockMode)>) {
        // A task of its own: whoever waits for it may be cancelled.
        if let Some(ended) = self.begin_release(owner, locks) {
            let _ = env::timeout(&*self.env, RENEWAL, ended).await;
        }
    }

    /// Begins to give back what a session holds in records, if there is anything to do; the receiver is told when it is done.
    pub fn begin_release(
        self: &Arc<Self>,
        owner: LockOwner,
        locks: Vec<(AdvisoryKey, LockMode)>,
    ) -> Option<oneshot::Receiver<()>> {
        if locks.is_empty() || !self.memory.is_closed() {
            return None;
        }
        let (done, ended) = oneshot::channel();
        let locks = self.clone().give_back(owner, locks);
        let task = async move {
            locks.await;
            // Nobody may be waiting.
            let _ = done.send(());
        };
        drop(self.env.spawn("advisory-release", Box::pin(task)));
        Some(ended)
    }

    /// Below this a transaction of a session must commit. Errors: 57P01 when the session's locks are lost.
    pub fn commit_limit(&self, owner: LockOwner) -> PgResult<Option<Timestamp>> {
        if !self.memory.is_closed() {
            return Ok(None);
        }
        let holds = self.state.lock().held.contains_key(&owner);
        // Locks given up because the node was taken for dead are no longer among those held, but the session believes in them.
        if !holds && self.is_shared.load(Ordering::Acquire) {
            return Err(lost());
        }
        Ok(holds
            .then(|| Timestamp::new(self.until.load(Ordering::Acquire), 0))
            .filter(|limit| !limit.is_zero()))
    }

    /// What the sessions of this node hold and want in records, as rows of pg_locks.
    pub fn rows(&self) -> Vec<LockRow> {
        let state = self.state.lock();
        let row = |owner, lock, mode, granted| LockRow { tag: LockTag::Advisory(lock), owner, mode, granted };
        let held = state.held.iter();
        let held =
            held.flat_map(|(owner, held)| held.locks.keys().map(move |(lock, mode)| (*owner, *lock, *mode)));
        let mut rows: Vec<LockRow> = held.map(|(owner, lock, mode)| row(owner, lock, mode, true)).collect();
        rows.extend(state.waiting.values().map(|wait| row(wait.owner, wait.lock, wait.mode, false)));
        rows
    }

    /// All locks of the cluster that are records, with whose they are: `(lock, claim, granted)`.
    pub async fn all(&self) -> ExecResult<Vec<(AdvisoryKey, Claim, bool)>> {
        if !self.memory.is_closed() {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for (lock, record) in self.read_all().await? {
            all.extend(record.held.into_iter().map(|claim| (lock, claim, true)));
            all.extend(record.waiting.into_iter().map(|claim| (lock, claim, false)));
        }
        Ok(all)
    }

    /// Another node says that requests of this one were granted.
    pub fn hear(&self, row: &ReportRow) -> Result<(), String> {
        let ticket = row.integer(0).ok_or("a grant cannot be read")?;
        self.wake(ticket);
        Ok(())
    }

    fn wake(&self, ticket: i64) {
        let wake = self.state.lock().waiting.get_mut(&ticket).and_then(|waiting| waiting.wake.take());
        if let Some(wake) = wake {
            // One that has gone looks for itself.
            let _ = wake.send(());
        }
    }
}

/// The session's locks are not its own any more.
fn lost() -> PgError {
    PgError::fatal(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection because its advisory locks are lost: the node could not reach the cluster in time",
    )
}

fn malformed(error: kvapi::wire::Malformed) -> ExecError {
    PgError::new(SqlState::DATA_CORRUPTED, format!("a record of advisory locks: {error}")).into()
}
