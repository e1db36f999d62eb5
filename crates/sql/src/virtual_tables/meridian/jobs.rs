//! Long work: what statements have under way on their nodes, and keyspaces that are on record to be cleared.

use executor::ExecResult;
use futures::future::BoxFuture;
use kvapi::{NodeId, ReportRow};
use types::Datum;
use types::descriptor::Oid;

use super::places::{Place, Places};
use super::{int4, int8, node_id, time, wall};
use crate::cluster::{everywhere, topics};
use crate::garbage::GarbageStanding;
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Jobs: 15910 meridian.jobs {
        kind: TEXT, state: TEXT, node_id: INT4, process_id: INT4, database_name: TEXT, schema_name: TEXT,
        table_name: TEXT, index_names: TEXT, storage_id: INT8, started_at: TIMESTAMPTZ, due_at: TIMESTAMPTZ,
        rows_done: INT8,
    }
}

pub static TABLES: &[Definition] = &[Jobs::definition(Rows::Waiting(jobs))];

fn jobs(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let running = everywhere(services, topics::JOBS).await;
        let recorded = services.catalog.server.garbage.standings().await?;
        let places = Places::of(services);
        let running = running.iter().map(|(node, row)| running_job(&places, *node, row));
        let recorded = recorded.iter().map(|standing| recorded_job(&places, standing));
        Ok(values(running.chain(recorded)))
    })
}

fn running_job(places: &Places<'_>, node: NodeId, row: &ReportRow) -> Jobs {
    let table = row.integer(2).and_then(|table| u32::try_from(table).ok());
    let place = table.map_or(Place::NOWHERE, |table| places.of_table_id(Oid(table)));
    Jobs {
        kind: optional_text(row.text(1)),
        state: text("running"),
        node_id: node_id(node),
        process_id: int4(row.integer(0)),
        database_name: place.database,
        schema_name: place.schema,
        table_name: place.table,
        index_names: optional_text(row.text(3)),
        started_at: time(row.integer(4)),
        rows_done: int8(row.integer(5)),
        ..Jobs::default()
    }
}

/// Of what was dropped nobody knows the name any more.
fn recorded_job(places: &Places<'_>, standing: &GarbageStanding) -> Jobs {
    let place = places.of_storage(standing.storage_id, standing.storage_index);
    let nanos =
        |stamp: Option<clock::Timestamp>| wall(stamp.and_then(|stamp| i64::try_from(stamp.wall).ok()));
    let (kind, state) = match (standing.is_being_filled, standing.due) {
        (true, _) => ("fill keyspace", "running"),
        (false, None) => ("clear keyspace", "new"),
        (false, Some(due)) if due.is_zero() => ("clear keyspace", "due"),
        (false, Some(_)) => ("clear keyspace", "waiting"),
    };
    Jobs {
        kind: text(kind),
        state: text(state),
        database_name: place.database,
        schema_name: place.schema,
        table_name: place.table,
        index_names: place.index,
        storage_id: Datum::Int8(i64::from(standing.storage_id)),
        started_at: nanos(standing.stamp),
        due_at: nanos(standing.due.filter(|due| !due.is_zero())),
        ..Jobs::default()
    }
}
