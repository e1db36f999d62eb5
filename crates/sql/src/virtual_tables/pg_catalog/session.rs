//! pg_prepared_statements and pg_cursors: what the asking session keeps.

use std::sync::atomic::Ordering;

use types::{DataType, Datum};

use crate::session::Services;
use crate::session::prepared::Kept;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    PgPreparedStatements: 12095 pg_catalog.pg_prepared_statements {
        name: TEXT, statement: TEXT, prepare_time: TIMESTAMPTZ, parameter_types: REGTYPES, from_sql: BOOL,
        generic_plans: INT8, custom_plans: INT8,
    }
}

view! {
    PgCursors: 12077 pg_catalog.pg_cursors {
        name: TEXT, statement: TEXT, is_holdable: BOOL, is_binary: BOOL, is_scrollable: BOOL,
        creation_time: TIMESTAMPTZ,
    }
}

pub static TABLES: &[Definition] = &[
    PgPreparedStatements::definition(Rows::Session(|services| values(statements(services)))),
    PgCursors::definition(Rows::Session(|services| values(cursors(services)))),
];

/// A plan is made for all values of the parameters: every one is generic.
fn statements(services: &Services) -> Vec<PgPreparedStatements> {
    let row = |name: &str, kept: &Kept| {
        let known = kept.prepared.parameters.lock().clone();
        let types = known.iter().flat_map(|types| types.iter()).map(|data_type| Datum::Oid(data_type.oid()));
        let uses = kept.prepared.uses.load(Ordering::Relaxed);
        PgPreparedStatements {
            name: text(name),
            statement: text(&kept.source),
            prepare_time: Datum::TimestampTz(kept.made_at),
            parameter_types: array_of(DataType::Regtype, types.collect()),
            from_sql: boolean(kept.from_sql),
            // Planned once when it was made.
            generic_plans: Datum::Int8(uses.saturating_sub(1) as i64),
            custom_plans: Datum::Int8(0),
        }
    };
    services.statements.named(row)
}

fn cursors(services: &Services) -> Vec<PgCursors> {
    let rows = services.cursors.iter().map(|cursor| PgCursors {
        name: text(&cursor.name),
        statement: text(&cursor.source),
        is_holdable: boolean(cursor.hold),
        is_binary: boolean(cursor.binary),
        is_scrollable: boolean(cursor.scrollable),
        creation_time: Datum::TimestampTz(cursor.made_at),
    });
    rows.collect()
}
