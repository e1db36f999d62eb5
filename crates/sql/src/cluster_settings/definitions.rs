//! Which cluster settings exist.
//!
//! Each has an effect on running nodes, and a test of it. A value that is given on a node's command line is that node's default.

use crate::settings::Kind::{Integer, KilobytesIn, MillisecondsIn};
use crate::settings::{Check, Context, Definition, Kind};

pub const CLOSED_TIMESTAMP_LAG: &str = "closed_timestamp_lag";
pub const CLUSTER_VIEW_TIMEOUT: &str = "cluster_view_timeout";
pub const CONTENTION_EVENTS_MAX: &str = "contention_events_max";
pub const GC_TTL: &str = "gc_ttl";
pub const LOG_MIN_DURATION_STATEMENT: &str = "log_min_duration_statement";
pub const NODE_DEAD_AFTER: &str = "node_dead_after";
pub const RANGE_RATE_MAX: &str = "range_rate_max";
pub const RANGE_SIZE_MAX: &str = "range_size_max";
pub const RANGE_SIZE_MIN: &str = "range_size_min";
pub const REPLICA_CHECK_INTERVAL: &str = "replica_check_interval";
pub const REPLICAS: &str = "replicas";
pub const REPLICATE_INTERVAL: &str = "replicate_interval";
pub const SNAPSHOT_RATE_MAX: &str = "snapshot_rate_max";
pub const SQL_MEMORY_MAX: &str = "sql_memory_max";
pub const STATEMENT_MEMORY_MAX: &str = "statement_memory_max";
pub const STATEMENT_SIZE_MAX: &str = "statement_size_max";
pub const SWEEP_INTERVAL: &str = "sweep_interval";
pub const SYSTEM_REPLICAS: &str = "system_replicas";
pub const TRANSACTION_BUFFER_SIZE: &str = "transaction_buffer_size";
pub const UPGRADE_AUTOMATICALLY: &str = "upgrade_automatically";

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// The largest number that PostgreSQL's settings take.
const MOST: i64 = i32::MAX as i64;
const MIB: i64 = 1 << 10;
const GIB: i64 = 1 << 20;

const fn setting(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        context: Context::System,
        reported: false,
        check: Check::Any,
        description,
    }
}

/// All cluster settings, by name.
pub static DEFINITIONS: &[Definition] = &[
    setting(
        CLOSED_TIMESTAMP_LAG,
        MillisecondsIn(500, HOUR),
        "3s",
        "Age from which on reads of the past are answered by every replica; writes of older transactions start over.",
    ),
    setting(
        CLUSTER_VIEW_TIMEOUT,
        MillisecondsIn(10, 600 * SECOND),
        "2s",
        "Time that other nodes have to answer a query of the cluster's views.",
    ),
    setting(
        CONTENTION_EVENTS_MAX,
        Integer(0, 100_000),
        "1000",
        "Waits for locks that each node remembers after they have ended.",
    ),
    setting(
        GC_TTL,
        MillisecondsIn(SECOND, 20 * DAY),
        "4h",
        "Time that old versions of rows and dropped tables are kept for older snapshots.",
    ),
    setting(
        LOG_MIN_DURATION_STATEMENT,
        MillisecondsIn(-1, MOST),
        "-1",
        "Logs statements that have run at least this long; 0 logs all, -1 none.",
    ),
    setting(
        NODE_DEAD_AFTER,
        MillisecondsIn(5 * SECOND, 20 * DAY),
        "5min",
        "Silence after which a node is taken for dead and its replicas are made anew elsewhere.",
    ),
    setting(
        RANGE_RATE_MAX,
        Integer(0, MOST),
        "10000",
        "Requests per second above which a range is split where its load is halved, if there are several nodes; 0 splits none.",
    ),
    setting(RANGE_SIZE_MAX, KilobytesIn(64, 64 * GIB), "128MB", "Size above which a range is split."),
    setting(
        RANGE_SIZE_MIN,
        KilobytesIn(0, 64 * GIB),
        "16MB",
        "Size below which a range is merged with its neighbour, if both together have at most half of range_size_max; 0 merges none.",
    ),
    setting(
        REPLICA_CHECK_INTERVAL,
        MillisecondsIn(0, 20 * DAY),
        "1d",
        "Time in which all replicas of every range are compared once; 0 compares none.",
    ),
    setting(REPLICAS, Integer(1, 9), "3", "Replicas of each range, when there are as many nodes."),
    setting(
        REPLICATE_INTERVAL,
        MillisecondsIn(50, HOUR),
        "1s",
        "Time between looks at whether ranges are replicated and balanced as they should be.",
    ),
    setting(
        SNAPSHOT_RATE_MAX,
        KilobytesIn(MIB, 64 * GIB),
        "64MB",
        "Bytes of range snapshots that a node sends per second, all together.",
    ),
    setting(
        SQL_MEMORY_MAX,
        KilobytesIn(MIB, MOST),
        "2GB",
        "Memory that all statements of a node together may hold.",
    ),
    setting(
        STATEMENT_MEMORY_MAX,
        KilobytesIn(64, MOST),
        "512MB",
        "Memory that one statement may hold; beyond it the statement fails.",
    ),
    setting(STATEMENT_SIZE_MAX, KilobytesIn(1, GIB), "16MB", "Longest text of a statement."),
    setting(
        SWEEP_INTERVAL,
        MillisecondsIn(100, DAY),
        "30s",
        "Time between looks through ranges for old versions, abandoned locks and the like.",
    ),
    setting(
        SYSTEM_REPLICAS,
        Integer(1, 9),
        "5",
        "Replicas of addressing and system ranges, when there are as many nodes.",
    ),
    setting(
        TRANSACTION_BUFFER_SIZE,
        KilobytesIn(1, GIB),
        "4MB",
        "Writes that a transaction holds back before it sends them ahead of its commit.",
    ),
    setting(
        UPGRADE_AUTOMATICALLY,
        Kind::Bool,
        "on",
        "Whether the cluster's version is raised as soon as every node's program knows a newer one; older programs are refused from then on.",
    ),
];
