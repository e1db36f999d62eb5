//! What functions tell of the session, the connection and the server.

use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Session, Strict};
use super::{integer_argument, oid_argument, optional, text_argument};
use crate::session::Services;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::array_of;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("current_query", Session(current_query)),
    ("current_schema", Strict(|picture, _| Ok(optional(schemas(picture).first().copied())))),
    ("current_schemas", Strict(current_schemas)),
    ("current_setting", Session(current_setting)),
    ("follower_read_timestamp", Session(follower_read_timestamp)),
    ("pg_blocking_pids", Session(pg_blocking_pids)),
    ("pg_collation_actual_version", Null),
    ("pg_database_collation_actual_version", Null),
    ("pg_postmaster_start_time", Session(started_at)),
    // Settings are read when the server starts.
    ("pg_conf_load_time", Session(started_at)),
    ("pg_reload_conf", Session(pg_reload_conf)),
    ("pg_relation_is_publishable", Strict(pg_relation_is_publishable)),
    ("pg_column_is_updatable", Strict(|picture, arguments| Ok(Datum::Bool(is_table(picture, arguments)?)))),
    ("pg_partition_root", Null),
    ("pg_relation_filenode", Strict(pg_relation_filenode)),
    ("pg_relation_is_updatable", Strict(pg_relation_is_updatable)),
    ("row_security_active", Strict(row_security_active)),
    ("pg_tablespace_location", Strict(|_, _| Ok(Datum::text("")))),
];

/// Schemas of the search path that exist.
fn schemas<'a>(picture: &Picture<'a>) -> Vec<&'a str> {
    let path = picture.search_path.iter().map(String::as_str);
    path.filter(|name| picture.schema_id(name).is_some()).collect()
}

fn current_schemas(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let mut names = schemas(picture);
    if super::flag_argument(arguments, 0) && !names.contains(&"pg_catalog") {
        names.insert(0, "pg_catalog");
    }
    let temporary = picture.temporary_schema;
    if super::flag_argument(arguments, 0)
        && !names.contains(&temporary)
        && picture.schema_id(temporary).is_some()
    {
        names.insert(0, temporary);
    }
    Ok(array_of(DataType::Name, names.into_iter().map(Datum::text).collect()))
}

/// ALTER SYSTEM is in force once it has committed: there is nothing to load.
fn pg_reload_conf(services: &Services, _: &[Datum]) -> PgResult<Datum> {
    if !Picture::of(services).is_superuser() {
        let message = "permission denied for function pg_reload_conf";
        return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
    }
    Ok(Datum::Bool(true))
}

/// The newest time that every replica of a table can be expected to answer for: for AS OF SYSTEM TIME.
fn follower_read_timestamp(services: &Services, _: &[Datum]) -> PgResult<Datum> {
    let timestamp = services.catalog.server.db.follower_read_timestamp();
    Ok(Datum::TimestampTz(executor::wall_to_timestamp(timestamp.wall_time())))
}

fn current_query(services: &Services, _: &[Datum]) -> PgResult<Datum> {
    let session = services.catalog.server.session(services.info.backend_pid as u32);
    Ok(session.map_or(Datum::Null, |session| Datum::text(&*session.row.lock().query)))
}

/// current_setting(name [, missing_ok]).
fn current_setting(services: &Services, arguments: &[Datum]) -> PgResult<Datum> {
    match services.setting(text_argument(arguments, 0)?) {
        Ok(value) => Ok(Datum::text(&*value)),
        Err(_) if super::flag_argument(arguments, 1) => Ok(Datum::Null),
        Err(error) => Err(error),
    }
}

fn started_at(services: &Services, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::TimestampTz(services.catalog.server.started_at))
}

/// Sessions that hold or want earlier what a waiting session's table lock conflicts with.
fn pg_blocking_pids(services: &Services, arguments: &[Datum]) -> PgResult<Datum> {
    let process_id = integer_argument(arguments, 0)?;
    let sessions = services.catalog.server.sessions();
    let server = &services.catalog.server;
    let rows: Vec<_> = server.table_locks.rows().into_iter().chain(server.cluster_locks.rows()).collect();
    let process_of = |owner| {
        let session = sessions.iter().find(|session| session.lock_owner == owner);
        session.map(|session| session.key.process_id() as i32)
    };
    let waiting =
        rows.iter().filter(|row| !row.granted && process_of(row.owner).map(i64::from) == Some(process_id));
    let blockers = waiting.flat_map(|wanted| {
        let conflicting = rows.iter().filter(move |row| {
            row.granted
                && row.tag == wanted.tag
                && row.owner != wanted.owner
                && row.mode.conflicts_with(wanted.mode)
        });
        conflicting.filter_map(|row| process_of(row.owner))
    });
    let blockers: std::collections::BTreeSet<i32> = blockers.collect();
    Ok(array_of(DataType::Int4, blockers.into_iter().map(Datum::Int4).collect()))
}

// Relations.

fn is_table(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<bool> {
    Ok(matches!(picture.relation(oid_argument(arguments, 0)?), Some(Relation::Table(_))))
}

/// What a relation is stored as: pg_class.relfilenode.
fn pg_relation_filenode(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    Ok(match picture.relation(oid_argument(arguments, 0)?) {
        Some(Relation::Table(table)) => Datum::Oid(table.storage_id),
        Some(Relation::Sequence(sequence)) => Datum::Oid(sequence.storage_id),
        Some(Relation::Index(index)) => Datum::Oid(index.index.id.0),
        _ => Datum::Null,
    })
}

/// No table has policies.
fn row_security_active(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    if let Some(Datum::Text(name)) = arguments.first() {
        super::names::relation_named(picture, name)?;
    }
    Ok(Datum::Bool(false))
}

/// Events that a relation takes, as a bit mask of UPDATE 4, INSERT 8, DELETE 16.
fn pg_relation_is_updatable(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(if is_table(picture, arguments)? { 4 | 8 | 16 } else { 0 }))
}

fn pg_relation_is_publishable(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(matches!(relation, Relation::Table(_)))))
}
