//! The cluster and its nodes, as this one knows them.

use std::time::Duration;

use kvapi::ClusterVersion;
use types::Datum;

use super::{int4, int8, interval, node_id};
use crate::cluster::VersionStanding;
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Nodes: 15905 meridian.nodes {
        node_id: INT4, store_id: INT4, rpc_address: TEXT, sql_address: TEXT, http_address: TEXT, locality: TEXT,
        version: TEXT, starts: INT8, standing: TEXT, draining: BOOL, is_live: BOOL, silence: INTERVAL,
        unreachable: TEXT, clock_offset: INTERVAL, clock_uncertainty: INTERVAL, ranges: INT8, leases: INT8,
        used_bytes: INT8, available_bytes: INT8, cluster_version_min: INT4, cluster_version_max: INT4,
    }
}

view! {
    Cluster: 15915 meridian.cluster {
        cluster_id: TEXT, cluster_version: INT4, newest_known_version: INT4, waits_for: TEXT,
    }
}

pub static TABLES: &[Definition] = &[
    Nodes::definition(Rows::Session(|services| values(nodes(services)))),
    Cluster::definition(Rows::Session(|services| values(cluster(services)))),
];

/// Silence after which a node does not count as live: it gets nothing new either.
const SILENCE_MAX: Duration = Duration::from_secs(5);

fn microseconds(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn version(version: ClusterVersion) -> Datum {
    int4(Some(i64::from(version.0)))
}

/// One row. Without other nodes and a network there is no id.
fn cluster(services: &Services) -> Vec<Cluster> {
    let standing = services.catalog.server.surroundings().map(|surroundings| surroundings.version());
    let row = |standing: VersionStanding| Cluster {
        cluster_id: optional_text(standing.cluster_id),
        cluster_version: version(standing.cluster),
        newest_known_version: version(standing.known.newest),
        waits_for: optional_text(standing.waits_for),
    };
    standing.into_iter().map(row).collect()
}

fn nodes(services: &Services) -> Vec<Nodes> {
    let server = &services.catalog.server;
    let known = server.surroundings().map(|surroundings| surroundings.nodes()).unwrap_or_default();
    let count = |value: u64| int8(i64::try_from(value).ok());
    let row = |known: crate::cluster::KnownNode| {
        let info = known.info;
        let is_own = info.node.0 == server.options.node_id;
        Nodes {
            node_id: node_id(info.node),
            store_id: Datum::Int4(info.store.0 as i32),
            rpc_address: text(&info.rpc_address),
            sql_address: text(&info.sql_address),
            http_address: text(&info.http_address),
            locality: text(info.locality.to_string()),
            version: text(&info.version),
            starts: count(info.incarnation),
            standing: text(info.standing.name()),
            draining: boolean(info.draining),
            is_live: boolean(is_own || (info.silence < SILENCE_MAX && known.unreachable.is_none())),
            silence: interval(microseconds(info.silence)),
            unreachable: optional_text(known.unreachable),
            clock_offset: known.clock_offset.map_or(Datum::Null, |(nanos, _)| interval(nanos / 1_000)),
            clock_uncertainty: known
                .clock_offset
                .map_or(Datum::Null, |(_, uncertainty)| interval(microseconds(uncertainty))),
            ranges: count(info.capacity.ranges),
            leases: count(info.capacity.leases),
            used_bytes: count(info.capacity.used_bytes),
            available_bytes: match info.capacity.available_bytes {
                0 => Datum::Null,
                bytes => count(bytes),
            },
            cluster_version_min: version(info.versions.oldest),
            cluster_version_max: version(info.versions.newest),
        }
    };
    known.into_iter().map(row).collect()
}
