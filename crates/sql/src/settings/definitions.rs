//! Which settings exist: names, types, defaults, bounds, as PostgreSQL 15's pg_settings describes them.
//!
//! A setting that exists here has the effect that PostgreSQL's documentation gives it, or admits only the value that describes what
//! this server does anyway ([`Check::Only`]): none is accepted and ignored.

use super::Kind::{self, *};

/// Who may change a setting, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Shown only.
    Internal,
    /// Any user, any time.
    User,
    /// A superuser, for the whole cluster: see `cluster_settings`.
    System,
}

impl Context {
    pub fn name(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::User => "user",
            Context::System => "sighup",
        }
    }
}

/// What a new value must pass beyond its type.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    Any,
    /// Values that describe what the server does; others are not supported (0A000).
    Only(&'static [&'static str]),
    /// Checked and normalised by the function of this name in `super::checks`.
    DateStyle,
    TimeZone,
    SearchPath,
    ClientEncoding,
    ApplicationName,
}

/// One setting.
#[derive(Debug)]
pub struct Definition {
    /// As SHOW prints it; looked up without regard to case.
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub context: Context,
    /// Reported to the client when it changes (ParameterStatus).
    pub reported: bool,
    pub check: Check,
    pub description: &'static str,
}

const fn user(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        context: Context::User,
        reported: false,
        check: Check::Any,
        description,
    }
}

const fn internal(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    description: &'static str,
) -> Definition {
    Definition {
        name,
        kind,
        default,
        context: Context::Internal,
        reported: false,
        check: Check::Any,
        description,
    }
}

impl Definition {
    const fn reported(mut self) -> Definition {
        self.reported = true;
        self
    }

    const fn check(mut self, check: Check) -> Definition {
        self.check = check;
        self
    }
}

const ON: Check = Check::Only(&["on"]);
const OFF: Check = Check::Only(&["off"]);

/// What `server_version` says: the PostgreSQL release whose behaviour is followed.
pub const SERVER_VERSION: &str = "15.18";

/// All settings, by name.
pub static DEFINITIONS: &[Definition] = &[
    user("application_name", Text, "", "Sets the application name to be reported in statistics and logs.")
        .reported()
        .check(Check::ApplicationName),
    user("array_nulls", Bool, "on", "Enable input of NULL elements in arrays.").check(ON),
    user("backslash_quote", Text, "safe_encoding", "Sets whether \"\\'\" is allowed in string literals.")
        .check(Check::Only(&["safe_encoding"])),
    internal("block_size", Integer(0, i32::MAX as i64), "8192", "Shows the size of a disk block."),
    user("bytea_output", Enum(&["escape", "hex"]), "hex", "Sets the output format for bytea."),
    user(
        "check_function_bodies",
        Bool,
        "on",
        "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE.",
    ),
    user("client_encoding", Text, "UTF8", "Sets the client's character set encoding.")
        .reported()
        .check(Check::ClientEncoding),
    user(
        "client_min_messages",
        Enum(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"]),
        "notice",
        "Sets the message levels that are sent to the client.",
    ),
    user("DateStyle", Text, "ISO, MDY", "Sets the display format for date and time values.")
        .reported()
        .check(Check::DateStyle),
    user(
        "deadlock_timeout",
        Milliseconds(1),
        "1s",
        "Sets the time to wait on a lock before checking for deadlock.",
    )
    .check(Check::Only(&["1s"])),
    // Bounds of a column are what ANALYZE keeps: fewer entries than any target allows.
    user("default_statistics_target", Integer(1, 10_000), "100", "Sets the default statistics target."),
    user("default_table_access_method", Text, "heap", "Sets the default table access method for new tables.")
        .check(Check::Only(&["heap"])),
    user("default_tablespace", Text, "", "Sets the default tablespace to create tables and indexes in.")
        .check(Check::Only(&[""])),
    user(
        "default_toast_compression",
        Text,
        "pglz",
        "Sets the default compression method for compressible values.",
    )
    .check(Check::Only(&["pglz"])),
    user(
        "default_transaction_deferrable",
        Bool,
        "off",
        "Sets the default deferrable status of new transactions.",
    ),
    user(
        "default_transaction_isolation",
        Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]),
        "serializable",
        "Sets the transaction isolation level of each new transaction.",
    ),
    user(
        "default_transaction_read_only",
        Bool,
        "off",
        "Sets the default read-only status of new transactions.",
    )
    .reported(),
    // An own setting. `always` sends parts to this node's own ranges too, for tests.
    user(
        "distributed_execution",
        Enum(&["off", "on", "always"]),
        "on",
        "Sets whether parts of statements run on the nodes that hold the leases of their rows.",
    ),
    // A method of execution that is off is used only where there is no other; those that do not exist here are never used.
    user("enable_bitmapscan", Bool, "on", "Enables the planner's use of bitmap-scan plans."),
    user("enable_gathermerge", Bool, "on", "Enables the planner's use of gather merge plans."),
    user("enable_hashagg", Bool, "on", "Enables the planner's use of hashed aggregation plans."),
    user("enable_hashjoin", Bool, "on", "Enables the planner's use of hash join plans."),
    user("enable_incremental_sort", Bool, "on", "Enables the planner's use of incremental sort steps."),
    user("enable_indexonlyscan", Bool, "on", "Enables the planner's use of index-only-scan plans."),
    user("enable_indexscan", Bool, "on", "Enables the planner's use of index-scan plans."),
    user("enable_material", Bool, "on", "Enables the planner's use of materialization."),
    user("enable_memoize", Bool, "on", "Enables the planner's use of memoization."),
    user("enable_mergejoin", Bool, "on", "Enables the planner's use of merge join plans."),
    user("enable_nestloop", Bool, "on", "Enables the planner's use of nested-loop join plans."),
    user("enable_parallel_append", Bool, "on", "Enables the planner's use of parallel append plans."),
    user("enable_parallel_hash", Bool, "on", "Enables the planner's use of parallel hash plans."),
    user(
        "enable_partitionwise_aggregate",
        Bool,
        "off",
        "Enables the planner's use of partitionwise aggregation and grouping.",
    ),
    user("enable_partitionwise_join", Bool, "off", "Enables the planner's use of partitionwise join."),
    user("enable_seqscan", Bool, "on", "Enables the planner's use of sequential-scan plans."),
    user("enable_sort", Bool, "on", "Enables the planner's use of explicit sort steps."),
    user("enable_tidscan", Bool, "on", "Enables the planner's use of TID scan plans."),
    user("escape_string_warning", Bool, "on", "Warn about backslash escapes in ordinary string literals."),
    user(
        "extra_float_digits",
        Integer(-15, 3),
        "1",
        "Sets the number of digits displayed for floating-point values.",
    ),
    user(
        "force_parallel_mode",
        Enum(&["off", "on", "regress"]),
        "off",
        "Forces use of parallel query facilities.",
    )
    .check(Check::Only(&["off"])),
    user(
        "idle_in_transaction_session_timeout",
        Milliseconds(0),
        "0",
        "Sets the maximum allowed idle time between queries, when in a transaction.",
    ),
    user(
        "idle_session_timeout",
        Milliseconds(0),
        "0",
        "Sets the maximum allowed idle time between queries, when not in a transaction.",
    ),
    internal("in_hot_standby", Bool, "off", "Shows whether hot standby is currently active.").reported(),
    internal("integer_datetimes", Bool, "on", "Shows whether datetimes are integer based.").reported(),
    user(
        "IntervalStyle",
        Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "postgres",
        "Sets the display format for interval values.",
    )
    .reported(),
    user("is_superuser", Bool, "on", "Shows whether the current user is a superuser.").reported(),
    // As where PostgreSQL is built without a compiler: allowed, and never there.
    user("jit", Bool, "off", "Allow JIT compilation."),
    internal("lc_collate", Text, "C.UTF-8", "Shows the collation order locale."),
    internal("lc_ctype", Text, "C.UTF-8", "Shows the character classification and case conversion locale."),
    user("lc_messages", Text, "C.UTF-8", "Sets the language in which messages are displayed.")
        .check(Check::Only(&["C.UTF-8", "C", "en_US.UTF-8", ""])),
    user("lc_monetary", Text, "C.UTF-8", "Sets the locale for formatting monetary amounts.")
        .check(Check::Only(&["C.UTF-8", "C"])),
    user("lc_numeric", Text, "C.UTF-8", "Sets the locale for formatting numbers.")
        .check(Check::Only(&["C.UTF-8", "C"])),
    user("lc_time", Text, "C.UTF-8", "Sets the locale for formatting date and time values.")
        .check(Check::Only(&["C.UTF-8", "C"])),
    user("lock_timeout", Milliseconds(0), "0", "Sets the maximum allowed duration of any wait for a lock."),
    internal("max_identifier_length", Integer(0, 63), "63", "Shows the maximum identifier length."),
    internal("max_index_keys", Integer(0, 32), "32", "Shows the maximum number of index keys."),
    internal(
        "max_connections",
        Integer(1, 262_143),
        "1000",
        "Shows the maximum number of concurrent connections.",
    ),
    user(
        "max_parallel_workers",
        Integer(0, 1024),
        "8",
        "Sets the maximum number of parallel workers that can be active at one time.",
    ),
    user(
        "max_parallel_workers_per_gather",
        Integer(0, 1024),
        "2",
        "Sets the maximum number of parallel processes per executor node.",
    ),
    user(
        "min_parallel_table_scan_size",
        Kilobytes(0),
        "8MB",
        "Sets the minimum amount of table data for a parallel scan.",
    ),
    user("row_security", Bool, "on", "Enable row security."),
    user(
        "search_path",
        Text,
        "\"$user\", public",
        "Sets the schema search order for names that are not schema-qualified.",
    )
    .check(Check::SearchPath),
    internal("server_encoding", Text, "UTF8", "Shows the server (database) character set encoding.")
        .reported(),
    internal("server_version", Text, SERVER_VERSION, "Shows the server version.").reported(),
    internal(
        "server_version_num",
        Integer(0, i32::MAX as i64),
        "150018",
        "Shows the server version as an integer.",
    ),
    user("role", Text, "none", "Sets the current role."),
    user("session_authorization", Text, "postgres", "Sets the session user name.").reported(),
    user(
        "session_replication_role",
        Text,
        "origin",
        "Sets the session's behavior for triggers and rewrite rules.",
    )
    .check(Check::Only(&["origin"])),
    user("standard_conforming_strings", Bool, "on", "Causes '...' strings to treat backslashes literally.")
        .reported()
        .check(ON),
    user("statement_timeout", Milliseconds(0), "0", "Sets the maximum allowed duration of any statement."),
    user("synchronize_seqscans", Bool, "off", "Enable synchronized sequential scans.").check(OFF),
    user("synchronous_commit", Text, "on", "Sets the current transaction's synchronization level.")
        .check(Check::Only(&["on", "remote_apply", "remote_write", "local"])),
    user(
        "temp_file_limit",
        Kilobytes(-1),
        "-1",
        "Limits the total size of all temporary files used by each process.",
    ),
    user("TimeZone", Text, "UTC", "Sets the time zone for displaying and interpreting time stamps.")
        .reported()
        .check(Check::TimeZone),
    user(
        "trace",
        Bool,
        "off",
        "Keeps where the time of each statement goes, on all nodes: see meridian.session_trace.",
    ),
    user(
        "transaction_deferrable",
        Bool,
        "off",
        "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures.",
    ),
    user(
        "transaction_isolation",
        Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]),
        "serializable",
        "Sets the current transaction's isolation level.",
    ),
    user("transaction_read_only", Bool, "off", "Sets the current transaction's read-only status."),
    user("vacuum_cost_delay", Milliseconds(0), "0", "Vacuum cost delay in milliseconds.")
        .check(Check::Only(&["0"])),
    user("work_mem", Kilobytes(64), "32MB", "Sets the maximum memory to be used for query workspaces."),
    user(
        "xmloption",
        Text,
        "content",
        "Sets whether XML data is to be considered as documents or content fragments.",
    )
    .check(Check::Only(&["content"])),
];
