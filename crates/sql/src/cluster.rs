//! The other nodes as the views of the schema `meridian` see them: what each tells of itself, put together where it is asked.
//!
//! ```text
//!   SELECT ... FROM meridian.sessions ──▶ everywhere("sessions") ──▶ this node's rows
//!                                                └─▶ every other node, at once, within cluster_view_timeout
//!                                                       no answer: a WARNING, and the rows of the others
//! ```
//!
//! A topic is a word and the meaning of the values in its rows, position by position: the constants below. Values are only ever added at
//! the end. Who may see what is decided where it is shown: nodes trust each other.

use std::sync::Arc;
use std::time::Duration;

use env::timeout;
use futures::future::{BoxFuture, join_all};
use kvapi::{ClusterVersion, KnownVersions, NodeId, NodeInfo, Report, ReportRow, Standing, report_row};
use types::{PgError, PgResult, SqlState};

use crate::server::SqlServer;
use crate::session::Services;
use crate::table_locks::LockTag;

/// Topics. Positions of values:
///
/// | topic | values |
/// | --- | --- |
/// | sessions | 0 process id, 1 user, 2 database, 3 application, 4 client, 5 started, 6 state, 7 statement, 8 statement began, 9 state since, 10 transaction (16 bytes), 11 transaction began, 12 isolation, 13 read only |
/// | table_locks | 0 process id, 1 table (oid), 2 advisory key, 3 mode, 4 granted |
/// | jobs | 0 process id, 1 kind, 2 table (oid), 3 indexes, 4 began, 5 rows done |
/// | ranges | 0 range, 1 generation, 2 leased, 3 term, 4 lease start, 5 lease until (nanoseconds since 1970), 6 live keys, 7 live bytes, 8 bytes, 9 intents, 10 locks, 11 waiters, 12 requests per second |
/// | locks | 0 range, 1 key, 2 transaction, 3 strength, 4 granted, 5 transactions waited for (16 bytes each) |
/// | metrics | 0 name, 1 labels, 2 value (text), 3 what it is |
/// | replica_checks | 0 range, 1 ended (nanoseconds since 1970), 2 log index, 3 outcome, 4 replicas, 5 of them with the most common checksum, 6 checksum of most, 7 node and checksum of each (text) |
/// | notifications (told) | 0 the teller's run, 1 number, 2 database (oid), 3 process id, 4 channel, 5 payload |
/// | granted_locks (told) | 0 the request's ticket |
/// | contention | 0 range, 1 key, 2 waiter, 3 blocker, 4 began (nanoseconds since 1970), 5 microseconds, 6 end |
///
/// Times are microseconds since 2000-01-01 UTC unless it says otherwise.
pub mod topics {
    pub const SESSIONS: &str = "sessions";
    pub const TABLE_LOCKS: &str = "table_locks";
    pub const JOBS: &str = "jobs";
    pub const RANGES: &str = "ranges";
    pub const LOCKS: &str = "locks";
    pub const METRICS: &str = "metrics";
    pub const CONTENTION: &str = "contention";
    pub const REPLICA_CHECKS: &str = "replica_checks";
    pub const NOTIFICATIONS: &str = "notifications";
    pub const GRANTED_LOCKS: &str = "granted_locks";
}

/// The statement of a session is told up to here, in bytes.
const STATEMENT_BYTES_MAX: usize = 16 << 10;

/// A node as this one knows it.
#[derive(Clone, Debug)]
pub struct KnownNode {
    pub info: NodeInfo,
    /// How far its clock is ahead of the own one, in nanoseconds, and how far that may be off; `None`: not measured.
    pub clock_offset: Option<(i64, Duration)>,
    /// Why it cannot be reached, if it cannot.
    pub unreachable: Option<String>,
}

/// What version the cluster is at, and what the program of this node knows.
#[derive(Clone, Debug)]
pub struct VersionStanding {
    /// `None`: the node stands alone.
    pub cluster_id: Option<String>,
    pub cluster: ClusterVersion,
    pub known: KnownVersions,
    /// Why the cluster is not at the newest version that is known here, if it is not.
    pub waits_for: Option<String>,
}

/// What lies around and beneath the SQL layer of a node.
pub trait Surroundings: Send + Sync {
    /// All nodes, the own one included, by id.
    fn nodes(&self) -> Vec<KnownNode>;

    /// What the cluster is at.
    fn version(&self) -> VersionStanding;

    /// What the layers beneath know here of a topic.
    fn report(&self, topic: &str) -> Option<Vec<ReportRow>>;

    /// What another node knows of a topic, or why it does not tell.
    fn ask<'a>(&'a self, node: NodeId, topic: &'a str) -> BoxFuture<'a, Result<Report, String>>;

    /// Tells another node something. After an error it may have heard it all the same.
    fn tell<'a>(
        &'a self,
        node: NodeId,
        topic: &'a str,
        rows: Vec<ReportRow>,
    ) -> BoxFuture<'a, Result<(), String>>;
}

impl SqlServer {
    /// Fails unless the cluster is at a version: what it brings would be met by older programs.
    ///
    /// Errors: 55000, naming what was asked for.
    pub(crate) fn require(&self, version: ClusterVersion, what: &str) -> PgResult<()> {
        let at = self.surroundings().map_or(ClusterVersion::FIRST, |around| around.version().cluster);
        if at >= version {
            return Ok(());
        }
        let message = format!("{what} cannot be used before the cluster is at version {version}");
        let error = PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message);
        let hint = "The version is raised once the program of every node knows it: see meridian.cluster.";
        Err(error.detail(format!("It is at version {at}.")).hint(hint))
    }

    /// What this node knows of a topic; `None`: it does not know the topic.
    pub fn report(&self, topic: &str) -> Option<Report> {
        let rows = match topic {
            topics::SESSIONS => self.session_rows(),
            topics::TABLE_LOCKS => self.table_lock_rows(),
            topics::JOBS => self.jobs.rows(),
            _ => self.surroundings()?.report(topic)?,
        };
        Some(Report::of(rows))
    }

    /// Hears another node.
    pub fn hear(&self, from: NodeId, topic: &str, rows: Vec<ReportRow>) -> Result<(), String> {
        match topic {
            topics::GRANTED_LOCKS => rows.iter().try_for_each(|row| self.cluster_locks.hear(row)),
            topics::NOTIFICATIONS => rows.iter().try_for_each(|row| self.notifications.hear(from, row)),
            _ => Err(format!("nothing is known here about \"{topic}\"")),
        }
    }

    fn session_rows(&self) -> Vec<ReportRow> {
        let row = |entry: &Arc<crate::server::SessionEntry>| {
            let row = entry.row.lock().clone();
            let end = row.query.floor_char_boundary(STATEMENT_BYTES_MAX);
            // One whose transaction is gone has none.
            let txn = row.transaction.as_ref().and_then(|running| running.txn.upgrade());
            let began = row.transaction.as_ref().map(|running| running.started_at).filter(|_| txn.is_some());
            report_row![
                i64::from(row.process_id),
                row.user,
                row.database,
                row.application_name,
                row.client,
                row.started_at,
                row.state,
                &row.query[..end],
                row.query_started_at,
                row.state_changed_at,
                txn.as_ref().map(|txn| txn.id().to_bytes().to_vec()),
                began,
                txn.as_ref().map(|txn| crate::session::transaction::kv_isolation_name(txn.isolation())),
                txn.as_ref().map(|txn| txn.is_read_only()),
            ]
        };
        self.sessions().iter().map(row).collect()
    }

    fn table_lock_rows(&self) -> Vec<ReportRow> {
        let sessions = self.sessions();
        let row = |lock: crate::table_locks::LockRow| {
            let session = sessions.iter().find(|session| session.lock_owner == lock.owner);
            let process_id = session.map(|session| i64::from(session.key.process_id()));
            let (table, advisory) = match lock.tag {
                LockTag::Table(table) => (Some(i64::from(table.0)), None),
                LockTag::Advisory(key) => {
                    (None, Some(format!("{}/{}/{}", key.database.0, key.class, key.object)))
                }
            };
            report_row![process_id, table, advisory, lock.mode.name(), lock.granted]
        };
        self.table_locks.rows().into_iter().chain(self.cluster_locks.rows()).map(row).collect()
    }
}

/// What all nodes know of a topic. Of one that does not answer in time there are no rows, and the client is warned.
pub async fn everywhere(services: &Services, topic: &'static str) -> Vec<(NodeId, ReportRow)> {
    let server = &services.catalog.server;
    let own = NodeId(server.options.node_id);
    let mut answers = vec![(own, Ok(server.report(topic).unwrap_or_default()))];
    let surroundings = server.surroundings();
    let nodes = surroundings
        .map(|surroundings| surroundings.nodes())
        .unwrap_or_default()
        .into_iter()
        .map(|known| known.info);
    let others = nodes.filter(|info| info.node != own && info.standing != Standing::Decommissioned);
    let limit = server.limits.view_timeout();
    let asked = others.map(|info| async move {
        let Some(surroundings) = surroundings else { return (info.node, Err("it is not known".to_string())) };
        let answer = timeout(&*server.env, limit, surroundings.ask(info.node, topic)).await;
        let late = |_| Err(format!("it has not answered within {} ms", limit.as_millis()));
        (info.node, answer.unwrap_or_else(late))
    });
    answers.extend(join_all(asked).await);
    let mut rows = Vec::new();
    for (node, answer) in answers {
        let problem = match answer {
            Ok(told) => {
                let is_complete = told.is_complete;
                rows.extend(told.rows.into_iter().map(|row| (node, row)));
                (!is_complete)
                    .then(|| format!("node {node} tells only a part of what it knows: it is too much"))
            }
            Err(reason) => Some(format!("node {node} does not tell what it knows: {reason}")),
        };
        if let Some(problem) = problem {
            services.warn(PgError::warning(SqlState::CONNECTION_FAILURE, problem));
        }
    }
    rows
}
