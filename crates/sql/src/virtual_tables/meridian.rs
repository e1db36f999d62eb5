//! The schema `meridian`: what PostgreSQL has no tables for.

use executor::ExecResult;
use futures::future::BoxFuture;
use keys::{Key, Span};
use types::Datum;

use super::Definition;
use super::shape::*;
use crate::cluster_settings::InForce;
use crate::session::Services;

view! {
    Ranges: 15901 meridian.ranges {
        range_id: INT8, start_key: TEXT, end_key: TEXT, generation: INT8, replicas: INT4S, table_id: OID,
        table_name: TEXT,
    }
}

view! {
    Sessions: 15902 meridian.sessions {
        process_id: INT4, user_name: NAME, database_name: NAME, application_name: TEXT, client: TEXT,
        started_at: TIMESTAMPTZ, state: TEXT, query: TEXT,
    }
}

view! {
    Settings: 15903 meridian.settings {
        name: TEXT, value: TEXT, description: TEXT,
    }
}

view! {
    ClusterSettings: 15904 meridian.cluster_settings {
        name: TEXT, value: TEXT, default_value: TEXT, vartype: TEXT, unit: TEXT, min_val: TEXT, max_val: TEXT,
        description: TEXT,
    }
}

pub static TABLES: &[Definition] = &[
    Ranges::definition(Rows::Waiting(ranges)),
    Sessions::definition(Rows::Session(|services| values(sessions(services)))),
    Settings::definition(Rows::Session(|services| values(settings(services)))),
    ClusterSettings::definition(Rows::Session(cluster_settings)),
];

fn cluster_settings(services: &Services) -> Vec<Values> {
    let in_force = InForce::of(&services.catalog.snapshot, &services.catalog.server.options);
    in_force.rows().into_iter().map(|row| row.into_iter().map(optional_text).collect()).collect()
}

/// All ranges of the keyspace. `table_id` and `table_name` are of the table in which the range begins, if that is one of the
/// current database; a range can hold several.
fn ranges(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let found = services.catalog.server.db.ranges(&Span::ALL).await?;
        let tables = || services.catalog.snapshot.tables(services.catalog.database);
        let table_at = |key: &Key| {
            let (storage, _, _) = keys::table::parse(key).ok()?;
            tables().find(|table| table.storage_id == storage.0)
        };
        let rows = found.iter().map(|range| {
            let table = table_at(&range.span.start);
            Ranges {
                range_id: Datum::Int8(range.id.0 as i64),
                start_key: text(range.span.start.to_string()),
                end_key: text(range.span.end.to_string()),
                generation: Datum::Int8(range.generation as i64),
                replicas: int4s(range.replicas.iter().map(|replica| replica.node.0 as i32)),
                table_id: table.map_or(Datum::Null, |table| oid(table.id)),
                table_name: optional_text(table.map(|table| &table.name)),
            }
        });
        Ok(values(rows))
    })
}

/// Sessions of this node.
fn sessions(services: &Services) -> Vec<Sessions> {
    let superuser = super::picture::Picture::of(services).is_superuser();
    let row = |session: &std::sync::Arc<crate::server::SessionEntry>| {
        let row = session.row.lock().clone();
        let visible = superuser || row.user == services.info.user;
        Sessions {
            process_id: Datum::Int4(row.process_id as i32),
            user_name: text(&row.user),
            database_name: text(&row.database),
            application_name: text(&row.application_name),
            client: text(&row.client),
            started_at: Datum::TimestampTz(row.started_at),
            state: text(row.state),
            query: if visible { text(&row.query) } else { Datum::Null },
        }
    };
    services.catalog.server.sessions().iter().map(row).collect()
}

fn settings(services: &Services) -> Vec<Settings> {
    let all = services.settings.lock().all().into_iter();
    all.map(|(name, value, definition)| Settings {
        name: text(name),
        value: text(value),
        description: optional_text(definition.map(|definition| definition.description)),
    })
    .collect()
}
