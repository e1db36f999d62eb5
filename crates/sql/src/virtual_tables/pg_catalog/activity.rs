//! What goes on: sessions, locks, and what is counted of tables and databases.
//!
//! Counters that nobody keeps here are NULL, not 0.

use executor::ExecResult;
use futures::future::BoxFuture;
use types::descriptor::{ColumnDescriptor, TableDescriptor};
use types::{DataType, Datum};

use super::class::estimated_size;
use crate::catalog::Object;
use crate::session::Services;
use crate::table_locks::{LockOwner, LockRow, LockTag};
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Index, visible_columns};
use crate::virtual_tables::shape::*;

view! {
    PgLocks: 12073 pg_catalog.pg_locks {
        locktype: TEXT, database: OID, relation: OID, page: INT4, tuple: INT2, virtualxid: TEXT,
        transactionid: XID, classid: OID, objid: OID, objsubid: INT2, virtualtransaction: TEXT, pid: INT4,
        mode: TEXT, granted: BOOL, fastpath: BOOL, waitstart: TIMESTAMPTZ,
    }
}

view! {
    PgStatActivity: 12222 pg_catalog.pg_stat_activity {
        datid: OID, datname: NAME, pid: INT4, leader_pid: INT4, usesysid: OID, usename: NAME,
        application_name: TEXT, client_addr: INET, client_hostname: TEXT, client_port: INT4,
        backend_start: TIMESTAMPTZ, xact_start: TIMESTAMPTZ, query_start: TIMESTAMPTZ,
        state_change: TIMESTAMPTZ, wait_event_type: TEXT, wait_event: TEXT, state: TEXT, backend_xid: XID,
        backend_xmin: XID, query_id: INT8, query: TEXT, backend_type: TEXT,
    }
}

view! {
    PgStatDatabase: 12266 pg_catalog.pg_stat_database {
        datid: OID, datname: NAME, numbackends: INT4, xact_commit: INT8, xact_rollback: INT8,
        blks_read: INT8, blks_hit: INT8, tup_returned: INT8, tup_fetched: INT8, tup_inserted: INT8,
        tup_updated: INT8, tup_deleted: INT8, conflicts: INT8, temp_files: INT8, temp_bytes: INT8,
        deadlocks: INT8, checksum_failures: INT8, checksum_last_failure: TIMESTAMPTZ, blk_read_time: FLOAT8,
        blk_write_time: FLOAT8, session_time: FLOAT8, active_time: FLOAT8, idle_in_transaction_time: FLOAT8,
        sessions: INT8, sessions_abandoned: INT8, sessions_fatal: INT8, sessions_killed: INT8,
        stats_reset: TIMESTAMPTZ,
    }
}

view! {
    PgStatAllTables: 12142 pg_catalog.pg_stat_all_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
        n_live_tup: INT8, n_dead_tup: INT8, n_mod_since_analyze: INT8, n_ins_since_vacuum: INT8,
        last_vacuum: TIMESTAMPTZ, last_autovacuum: TIMESTAMPTZ, last_analyze: TIMESTAMPTZ,
        last_autoanalyze: TIMESTAMPTZ, vacuum_count: INT8, autovacuum_count: INT8, analyze_count: INT8,
        autoanalyze_count: INT8,
    }
}

view! {
    PgStatUserTables: 12161 pg_catalog.pg_stat_user_tables {
        relid: OID, schemaname: NAME, relname: NAME, seq_scan: INT8, seq_tup_read: INT8, idx_scan: INT8,
        idx_tup_fetch: INT8, n_tup_ins: INT8, n_tup_upd: INT8, n_tup_del: INT8, n_tup_hot_upd: INT8,
        n_live_tup: INT8, n_dead_tup: INT8, n_mod_since_analyze: INT8, n_ins_since_vacuum: INT8,
        last_vacuum: TIMESTAMPTZ, last_autovacuum: TIMESTAMPTZ, last_analyze: TIMESTAMPTZ,
        last_autoanalyze: TIMESTAMPTZ, vacuum_count: INT8, autovacuum_count: INT8, analyze_count: INT8,
        autoanalyze_count: INT8,
    }
}

view! {
    PgStatioAllTables: 12170 pg_catalog.pg_statio_all_tables {
        relid: OID, schemaname: NAME, relname: NAME, heap_blks_read: INT8, heap_blks_hit: INT8,
        idx_blks_read: INT8, idx_blks_hit: INT8, toast_blks_read: INT8, toast_blks_hit: INT8,
        tidx_blks_read: INT8, tidx_blks_hit: INT8,
    }
}

view! {
    PgStatioUserTables: 12179 pg_catalog.pg_statio_user_tables {
        relid: OID, schemaname: NAME, relname: NAME, heap_blks_read: INT8, heap_blks_hit: INT8,
        idx_blks_read: INT8, idx_blks_hit: INT8, toast_blks_read: INT8, toast_blks_hit: INT8,
        tidx_blks_read: INT8, tidx_blks_hit: INT8,
    }
}

view! {
    PgStatAllIndexes: 12183 pg_catalog.pg_stat_all_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME, idx_scan: INT8,
        idx_tup_read: INT8, idx_tup_fetch: INT8,
    }
}

view! {
    PgStatUserIndexes: 12192 pg_catalog.pg_stat_user_indexes {
        relid: OID, indexrelid: OID, schemaname: NAME, relname: NAME, indexrelname: NAME, idx_scan: INT8,
        idx_tup_read: INT8, idx_tup_fetch: INT8,
    }
}

view! {
    PgStats: 12053 pg_catalog.pg_stats {
        schemaname: NAME, tablename: NAME, attname: NAME, inherited: BOOL, null_frac: FLOAT4,
        avg_width: INT4, n_distinct: FLOAT4, most_common_vals: ANYARRAY, most_common_freqs: FLOAT4S,
        histogram_bounds: ANYARRAY, correlation: FLOAT4, most_common_elems: ANYARRAY,
        most_common_elem_freqs: FLOAT4S, elem_count_histogram: FLOAT4S,
    }
}

pub static TABLES: &[Definition] = &[
    PgLocks::definition(Rows::Waiting(locks)),
    PgStatActivity::definition(Rows::Session(|services| values(activity(services)))),
    PgStatDatabase::definition(Rows::Session(|services| values(databases(services)))),
    PgStatAllTables::definition(Rows::Catalog(|picture, _| values(all_tables(picture)))),
    PgStatUserTables::definition(Rows::Catalog(|picture, _| values(user_tables(picture)))),
    PgStatioAllTables::definition(Rows::Catalog(|picture, _| {
        values(all_tables(picture).into_iter().map(|table| PgStatioAllTables {
            relid: table.relid,
            schemaname: table.schemaname,
            relname: table.relname,
            ..PgStatioAllTables::default()
        }))
    })),
    PgStatioUserTables::definition(Rows::Catalog(|picture, _| {
        values(user_tables(picture).into_iter().map(|table| PgStatioUserTables {
            relid: table.relid,
            schemaname: table.schemaname,
            relname: table.relname,
            ..PgStatioUserTables::default()
        }))
    })),
    PgStatAllIndexes::definition(Rows::Catalog(|picture, _| values(all_indexes(picture)))),
    PgStatUserIndexes::definition(Rows::Catalog(|picture, _| values(user_indexes(picture)))),
    PgStats::definition(Rows::Catalog(|picture, _| values(column_statistics(picture)))),
];

/// Table locks of this node and advisory locks of the cluster. (Rows are locked in the KV layer: see meridian.locks.)
fn locks(services: &Services) -> BoxFuture<'_, ExecResult<Vec<Values>>> {
    Box::pin(async move {
        let server = &services.catalog.server;
        let sessions = server.sessions();
        let here = server.table_locks.rows().into_iter().map(|lock| {
            let session = sessions.iter().find(|session| session.lock_owner == lock.owner);
            (lock, session.map(|session| session.key.process_id()))
        });
        let shared = server.cluster_locks.all().await?.into_iter().map(|(lock, claim, granted)| {
            let (tag, owner) = (LockTag::Advisory(lock), LockOwner(claim.owner));
            (LockRow { tag, owner, mode: claim.mode, granted }, Some(claim.process_id))
        });
        Ok(values(here.chain(shared).map(|(lock, process_id)| lock_row(services, lock, process_id))))
    })
}

fn lock_row(services: &Services, lock: LockRow, process_id: Option<u32>) -> PgLocks {
    let named = match lock.tag {
        LockTag::Table(table) => PgLocks {
            locktype: text("relation"),
            database: services.catalog.snapshot.table(table).map_or(Datum::Null, |t| oid(t.database)),
            relation: oid(table),
            ..PgLocks::default()
        },
        LockTag::Advisory(key) => PgLocks {
            locktype: text("advisory"),
            database: oid(key.database),
            classid: number(key.class),
            objid: number(key.object),
            objsubid: Datum::Int2(if key.is_pair { 2 } else { 1 }),
            ..PgLocks::default()
        },
    };
    PgLocks {
        virtualtransaction: text(format!("{}/0", lock.owner.0)),
        pid: process_id.map_or(Datum::Null, |process_id| Datum::Int4(process_id as i32)),
        mode: text(lock.mode.name()),
        granted: boolean(lock.granted),
        fastpath: boolean(false),
        ..named
    }
}

fn activity(services: &Services) -> Vec<PgStatActivity> {
    let picture = Picture::of(services);
    let sessions = services.catalog.server.sessions();
    let row = |session: &std::sync::Arc<crate::server::SessionEntry>| {
        let row = session.row.lock().clone();
        let common = PgStatActivity {
            datid: oid(row.database_id),
            datname: text(&row.database),
            pid: Datum::Int4(row.process_id as i32),
            usesysid: oid(picture.role_id(&row.user)),
            usename: text(&row.user),
            application_name: text(&row.application_name),
            ..PgStatActivity::default()
        };
        if !services.sees_sessions_of(&row.user) {
            return PgStatActivity { query: text("<insufficient privilege>"), ..common };
        }
        let transaction = row.transaction.as_ref().filter(|transaction| transaction.is_running());
        PgStatActivity {
            backend_start: Datum::TimestampTz(row.started_at),
            xact_start: transaction.map_or(Datum::Null, |running| Datum::TimestampTz(running.started_at)),
            query_start: Datum::TimestampTz(row.query_started_at),
            state_change: Datum::TimestampTz(row.state_changed_at),
            state: text(row.state),
            query: text(&row.query),
            backend_type: text("client backend"),
            ..common
        }
    };
    sessions.iter().map(row).collect()
}

fn databases(services: &Services) -> Vec<PgStatDatabase> {
    let sessions = services.catalog.server.sessions();
    let row = |object: &Object| match object {
        Object::Database(database) => {
            let count =
                sessions.iter().filter(|session| session.row.lock().database_id == database.id).count();
            Some(PgStatDatabase {
                datid: oid(database.id),
                datname: text(&database.name),
                numbackends: int4(count),
                ..PgStatDatabase::default()
            })
        }
        _ => None,
    };
    services.catalog.snapshot.objects().filter_map(row).collect()
}

fn schema_text(picture: &Picture<'_>, table: &TableDescriptor) -> Datum {
    optional_text(picture.schema_name(table.schema))
}

fn live_rows(picture: &Picture<'_>, table: &TableDescriptor) -> Datum {
    match estimated_size(picture, table.id).0 {
        rows if rows < 0.0 => Datum::Null,
        rows => Datum::Int8(rows as i64),
    }
}

/// Tables of the system are made up when they are read: nothing is counted of them.
fn all_tables(picture: &Picture<'_>) -> Vec<PgStatAllTables> {
    let system = crate::virtual_tables::definitions().map(|definition| PgStatAllTables {
        relid: number(definition.oid),
        schemaname: text(definition.schema),
        relname: text(definition.name),
        ..PgStatAllTables::default()
    });
    let user = picture.snapshot.tables(picture.database).map(|table| PgStatAllTables {
        relid: oid(table.id),
        schemaname: schema_text(picture, table),
        relname: text(&table.name),
        n_live_tup: live_rows(picture, table),
        ..PgStatAllTables::default()
    });
    system.chain(user).collect()
}

fn user_tables(picture: &Picture<'_>) -> Vec<PgStatUserTables> {
    let row = |table: &std::sync::Arc<TableDescriptor>| PgStatUserTables {
        relid: oid(table.id),
        schemaname: schema_text(picture, table),
        relname: text(&table.name),
        n_live_tup: live_rows(picture, table),
        ..PgStatUserTables::default()
    };
    picture.snapshot.tables(picture.database).map(row).collect()
}

fn all_indexes(picture: &Picture<'_>) -> Vec<PgStatAllIndexes> {
    let row = |index: Index<'_>| PgStatAllIndexes {
        relid: oid(index.table.id),
        indexrelid: oid(index.index.id),
        schemaname: schema_text(picture, index.table),
        relname: text(&index.table.name),
        indexrelname: text(&index.index.name),
        ..PgStatAllIndexes::default()
    };
    picture.indexes().map(row).collect()
}

fn user_indexes(picture: &Picture<'_>) -> Vec<PgStatUserIndexes> {
    let row = |index: Index<'_>| PgStatUserIndexes {
        relid: oid(index.table.id),
        indexrelid: oid(index.index.id),
        schemaname: schema_text(picture, index.table),
        relname: text(&index.table.name),
        indexrelname: text(&index.index.name),
        ..PgStatUserIndexes::default()
    };
    picture.indexes().map(row).collect()
}

/// What ANALYZE found, for tables that the user owns.
fn column_statistics(picture: &Picture<'_>) -> Vec<PgStats> {
    let superuser = picture.is_superuser();
    let mut rows = Vec::new();
    for table in picture.snapshot.tables(picture.database) {
        let Some(statistics) = picture.statistics.get(table.id) else { continue };
        if !superuser && table.owner != picture.user {
            continue;
        }
        for column in visible_columns(table) {
            if let Some(known) = statistics.columns.get(&column.id) {
                rows.push(PgStats {
                    schemaname: schema_text(picture, table),
                    tablename: text(&table.name),
                    ..statistics_row(column, known, statistics.row_count)
                });
            }
        }
    }
    rows
}

fn statistics_row(
    column: &ColumnDescriptor,
    known: &planner::catalog::ColumnStatistics,
    row_count: f64,
) -> PgStats {
    let element = column.column_type.data_type;
    // Arrays of arrays are no type: such values are left out.
    let array = |elements: Vec<Datum>| match element {
        _ if elements.is_empty() || element.array_oid() == 0 => Datum::Null,
        _ => array_of(element, elements),
    };
    let frequencies: Vec<Datum> =
        known.most_common.iter().map(|(_, fraction)| Datum::Float4(*fraction as f32)).collect();
    // Like PostgreSQL: a share of the rows, negative, where the count grows with the table.
    let distinct = match known.distinct_count {
        count if row_count > 0.0 && count > row_count / 10.0 => -count / row_count,
        count => count,
    };
    PgStats {
        attname: text(&column.name),
        inherited: boolean(false),
        null_frac: Datum::Float4(known.null_fraction as f32),
        avg_width: Datum::Int4(known.average_width as i32),
        n_distinct: Datum::Float4(distinct as f32),
        most_common_vals: array(known.most_common.iter().map(|(value, _)| value.clone()).collect()),
        most_common_freqs: match frequencies.is_empty() {
            true => Datum::Null,
            false => array_of(DataType::Float4, frequencies),
        },
        histogram_bounds: array(known.histogram.clone()),
        ..PgStats::default()
    }
}
