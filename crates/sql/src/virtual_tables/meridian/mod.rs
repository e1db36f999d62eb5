//! The schema `meridian`: what PostgreSQL has no tables for, mostly because it has no other nodes.
//!
//! | file | tables |
//! | --- | --- |
//! | `settings` | settings of the session and of the cluster |
//! | `nodes` | the cluster's version and its nodes, as this one knows them |
//! | `ranges` | ranges and leases; comparisons of replicas |
//! | `sessions` | sessions and transactions |
//! | `locks` | locks and who waits for them; waits that have ended |
//! | `jobs` | long work of statements, and what is still to be cleared |
//! | `metrics` | what nodes measure of themselves |
//! | `trace` | traces of the session's statements |
//! | `placement` | where replicas and leases are to be |
//! | `places` | what keys mean |
//!
//! All but the settings, traces, the placement and the nodes ask every node (see `cluster`): a node that does not answer in time is missing from the
//! rows, and the client is warned of it. Who does not have the privileges of pg_read_all_stats sees neither statements of others nor keys, which
//! are made of values of rows.

mod jobs;
mod locks;
mod metrics;
mod nodes;
mod placement;
mod places;
mod ranges;
mod sessions;
mod settings;
mod trace;

use types::Datum;

use super::Definition;

pub static GROUPS: &[&[Definition]] = &[
    jobs::TABLES,
    locks::TABLES,
    metrics::TABLES,
    nodes::TABLES,
    placement::TABLES,
    ranges::TABLES,
    sessions::TABLES,
    settings::TABLES,
    trace::TABLES,
];

/// Microseconds between 1970 and 2000.
const EPOCH_2000: i64 = 946_684_800_000_000;

/// A time in nanoseconds since 1970, as a time stamp.
fn wall(nanos: Option<i64>) -> Datum {
    nanos.map_or(Datum::Null, |nanos| Datum::TimestampTz(nanos / 1_000 - EPOCH_2000))
}

/// A time in microseconds since 2000.
fn time(microseconds: Option<i64>) -> Datum {
    microseconds.map_or(Datum::Null, Datum::TimestampTz)
}

fn interval(microseconds: i64) -> Datum {
    Datum::Interval(types::Interval { months: 0, days: 0, microseconds })
}

fn int8(value: Option<i64>) -> Datum {
    value.map_or(Datum::Null, Datum::Int8)
}

fn int4(value: Option<i64>) -> Datum {
    value.and_then(|value| i32::try_from(value).ok()).map_or(Datum::Null, Datum::Int4)
}

fn node_id(node: kvapi::NodeId) -> Datum {
    Datum::Int4(node.0 as i32)
}

/// A transaction's id, as 32 hex digits.
fn transaction(bytes: Option<&[u8]>) -> Datum {
    bytes.map_or(Datum::Null, |bytes| super::shape::text(hex(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
