//! Locks of all kinds on all nodes, with who waits for whom; and the waits that have ended.

use std::collections::BTreeMap;

use executor::ExecResult;
use futures::future::BoxFuture;
use futures::join;
use kvapi::{NodeId, ReportRow};
use types::Datum;
use types::descriptor::Oid;

use super::places::{Place, Places};
use super::{hex, int4, int8, interval, node_id, transaction, wall};
use crate::cluster::{everywhere, topics};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Locks: 15908 meridian.locks {
        node_id: INT4, locktype: TEXT, range_id: INT8, database_name: TEXT, schema_name: TEXT, table_name: TEXT,
        index_name: TEXT, key: TEXT, mode: TEXT, granted: BOOL, transaction_id: TEXT, session_node_id: INT4,
        process_id: INT4, waits_for: TEXTS,
    }
}

view! {
    Contention: 15909 meridian.contention {
        node_id: INT4, range_id: INT8, database_name: TEXT, schema_name: TEXT, table_name: TEXT,
        index_name: TEXT, key: TEXT, waiting_transaction_id: TEXT, blocking_transaction_id: TEXT,
        started_at: TIMESTAMPTZ, duration: INTERVAL, outcome: TEXT,
    }
}

pub static TABLES: &[Definition] =
    &[Locks::definition(Rows::Waiting(locks)), Contention::definition(Rows::Waiting(contention))];

/// Row locks lie where the range's lease is, table and advisory locks where their session is.
fn locks(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let (rows, tables, sessions) = join!(
            everywhere(services, topics::LOCKS),
            everywhere(services, topics::TABLE_LOCKS),
            everywhere(services, topics::SESSIONS),
        );
        let owners: BTreeMap<&[u8], (NodeId, Option<i64>)> = sessions
            .iter()
            .filter_map(|(node, row)| Some((row.bytes(10)?, (*node, row.integer(0)))))
            .collect();
        let places = Places::of(services);
        let of_rows = rows.iter().map(|(node, row)| row_lock(&places, &owners, *node, row));
        let of_tables = tables.iter().map(|(node, row)| table_lock(&places, *node, row));
        Ok(values(of_rows.chain(of_tables)))
    })
}

fn row_lock(
    places: &Places<'_>,
    owners: &BTreeMap<&[u8], (NodeId, Option<i64>)>,
    node: NodeId,
    row: &ReportRow,
) -> Locks {
    let key = row.bytes(1).unwrap_or_default();
    let place = places.of_key(key);
    let owner = row.bytes(2).and_then(|txn| owners.get(txn));
    let waits_for: Vec<String> = row.bytes(5).unwrap_or_default().chunks(16).map(hex).collect();
    Locks {
        node_id: node_id(node),
        locktype: text("row"),
        range_id: int8(row.integer(0)),
        database_name: place.database,
        schema_name: place.schema,
        table_name: place.table,
        index_name: place.index,
        key: places.key(key),
        mode: optional_text(row.text(3)),
        granted: boolean(row.integer(4) == Some(1)),
        transaction_id: transaction(row.bytes(2)),
        session_node_id: owner.map_or(Datum::Null, |(node, _)| node_id(*node)),
        process_id: owner.map_or(Datum::Null, |(_, process_id)| int4(*process_id)),
        waits_for: texts(waits_for.iter().map(String::as_str)),
    }
}

fn table_lock(places: &Places<'_>, node: NodeId, row: &ReportRow) -> Locks {
    let table = row.integer(1).and_then(|table| u32::try_from(table).ok());
    let place = table.map_or(Place::NOWHERE, |table| places.of_table_id(Oid(table)));
    Locks {
        node_id: node_id(node),
        locktype: text(if table.is_some() { "relation" } else { "advisory" }),
        database_name: place.database,
        schema_name: place.schema,
        table_name: place.table,
        key: optional_text(row.text(2)),
        mode: optional_text(row.text(3)),
        granted: boolean(row.integer(4) == Some(1)),
        session_node_id: node_id(node),
        process_id: int4(row.integer(0)),
        waits_for: texts([]),
        ..Locks::default()
    }
}

fn contention(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let rows = everywhere(services, topics::CONTENTION).await;
        let places = Places::of(services);
        let row = |(node, row): &(NodeId, ReportRow)| {
            let key = row.bytes(1).unwrap_or_default();
            let place = places.of_key(key);
            Contention {
                node_id: node_id(*node),
                range_id: int8(row.integer(0)),
                database_name: place.database,
                schema_name: place.schema,
                table_name: place.table,
                index_name: place.index,
                key: places.key(key),
                waiting_transaction_id: transaction(row.bytes(2)),
                blocking_transaction_id: transaction(row.bytes(3)),
                started_at: wall(row.integer(4)),
                duration: row.integer(5).map_or(Datum::Null, interval),
                outcome: optional_text(row.text(6)),
            }
        };
        Ok(values(rows.iter().map(row)))
    })
}
