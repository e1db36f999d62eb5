//! Ranges and leases: descriptors from the keyspace, the rest from the nodes that hold the leases.

use std::collections::BTreeMap;

use executor::ExecResult;
use futures::future::BoxFuture;
use keys::Span;
use kvapi::{NodeId, RangeDescriptor, ReplicaKind, ReportRow};
use types::Datum;

use super::places::Places;
use super::{int4, int8, node_id, wall};
use crate::cluster::{everywhere, topics};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Ranges: 15901 meridian.ranges {
        range_id: INT8, start_key: TEXT, end_key: TEXT, generation: INT8, replicas: INT4S, table_id: OID,
        table_name: TEXT, index_name: TEXT, schema_name: TEXT, database_name: TEXT, replica_kinds: TEXTS,
        leaseholder: INT4, size_bytes: INT8, live_bytes: INT8, live_keys: INT8, intents: INT8, locks: INT8,
        lock_waiters: INT8, start_key_raw: BYTEA, end_key_raw: BYTEA, requests_per_second: INT8,
    }
}

view! {
    Leases: 15906 meridian.leases {
        range_id: INT8, node_id: INT4, term: INT8, started_at: TIMESTAMPTZ, valid_until: TIMESTAMPTZ,
        start_key: TEXT, database_name: TEXT, schema_name: TEXT, table_name: TEXT, index_name: TEXT,
    }
}

view! {
    ReplicaChecks: 15914 meridian.replica_checks {
        range_id: INT8, node_id: INT4, checked_at: TIMESTAMPTZ, outcome: TEXT, replicas: INT4, agreeing: INT4,
        log_index: INT8, checksum: TEXT, checksums: TEXT,
    }
}

pub static TABLES: &[Definition] = &[
    Ranges::definition(Rows::Waiting(ranges)),
    Leases::definition(Rows::Waiting(leases)),
    ReplicaChecks::definition(Rows::Waiting(replica_checks)),
];

/// The last comparison of each range's replicas that some node has made as its leaseholder, and not forgotten by a restart.
fn replica_checks(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let mut last: BTreeMap<i64, (NodeId, ReportRow)> = BTreeMap::new();
        for (node, row) in everywhere(services, topics::REPLICA_CHECKS).await {
            let Some(range) = row.integer(0) else { continue };
            if last.get(&range).is_none_or(|(_, known)| known.integer(1) < row.integer(1)) {
                last.insert(range, (node, row));
            }
        }
        let told = |row: &ReportRow, position| row.text(position).map_or(Datum::Null, text);
        let rows = last.iter().map(|(range, (node, row))| ReplicaChecks {
            range_id: Datum::Int8(*range),
            node_id: node_id(*node),
            checked_at: wall(row.integer(1)),
            outcome: told(row, 3),
            replicas: int4(row.integer(4)),
            agreeing: int4(row.integer(5)),
            log_index: int8(row.integer(2)),
            checksum: told(row, 6),
            checksums: told(row, 7),
        });
        Ok(values(rows))
    })
}

/// What the leaseholder of each range says, with who that is. Of two that say so the later term counts.
async fn by_leaseholder(services: &Services) -> BTreeMap<i64, (NodeId, ReportRow)> {
    let mut leased: BTreeMap<i64, (NodeId, ReportRow)> = BTreeMap::new();
    for (node, row) in everywhere(services, topics::RANGES).await {
        let (Some(range), Some(1)) = (row.integer(0), row.integer(2)) else { continue };
        let is_later = leased.get(&range).is_none_or(|(_, known)| known.integer(3) < row.integer(3));
        if is_later {
            leased.insert(range, (node, row));
        }
    }
    leased
}

/// All ranges of the keyspace.
async fn descriptors(services: &Services) -> ExecResult<Vec<RangeDescriptor>> {
    Ok(services.catalog.server.db.ranges(&Span::ALL).await?)
}

fn kind(kind: ReplicaKind) -> &'static str {
    match kind {
        ReplicaKind::Voter => "voter",
        ReplicaKind::Learner => "learner",
        ReplicaKind::VoterIncoming => "incoming voter",
        ReplicaKind::VoterOutgoing => "outgoing voter",
    }
}

/// The table is the one in which the range begins; a range can hold several.
fn ranges(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let (found, leased) = (descriptors(services).await?, by_leaseholder(services).await);
        let places = Places::of(services);
        let rows = found.iter().map(|range| {
            let place = places.of_key(&range.span.start);
            let leased = leased.get(&(range.id.0 as i64));
            let told = |position| int8(leased.and_then(|(_, row)| row.integer(position)));
            Ranges {
                range_id: Datum::Int8(range.id.0 as i64),
                start_key: places.key(&range.span.start),
                end_key: places.key(&range.span.end),
                generation: Datum::Int8(range.generation as i64),
                replicas: int4s(range.replicas.iter().map(|replica| replica.node.0 as i32)),
                table_id: place.table_id,
                table_name: place.table,
                index_name: place.index,
                schema_name: place.schema,
                database_name: place.database,
                replica_kinds: texts(range.replicas.iter().map(|replica| kind(replica.kind))),
                leaseholder: leased.map_or(Datum::Null, |(node, _)| node_id(*node)),
                live_keys: told(6),
                live_bytes: told(7),
                size_bytes: told(8),
                intents: told(9),
                locks: told(10),
                lock_waiters: told(11),
                start_key_raw: places.raw_key(&range.span.start),
                end_key_raw: places.raw_key(&range.span.end),
                requests_per_second: told(12),
            }
        });
        Ok(values(rows))
    })
}

fn leases(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let (found, leased) = (descriptors(services).await?, by_leaseholder(services).await);
        let places = Places::of(services);
        let starts: BTreeMap<i64, &RangeDescriptor> =
            found.iter().map(|range| (range.id.0 as i64, range)).collect();
        let rows = leased.iter().map(|(range, (node, row))| {
            let start = starts.get(range).map(|range| &range.span.start);
            let place = start.map_or(super::places::Place::NOWHERE, |start| places.of_key(start));
            Leases {
                range_id: Datum::Int8(*range),
                node_id: node_id(*node),
                term: int8(row.integer(3)),
                started_at: wall(row.integer(4)),
                valid_until: wall(row.integer(5)),
                start_key: start.map_or(Datum::Null, |start| places.key(start)),
                database_name: place.database,
                schema_name: place.schema,
                table_name: place.table,
                index_name: place.index,
            }
        });
        Ok(values(rows))
    })
}
