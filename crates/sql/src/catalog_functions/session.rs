//! What functions tell of the session, the connection and the server.

use types::{DataType, Datum, PgResult};

use super::Answer::{self, Null, Session, Strict};
use super::{integer_argument, oid_argument, optional, text_argument};
use crate::session::Services;
use crate::settings::SERVER_VERSION;
use crate::virtual_tables::pg_catalog::schema::UTF8;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::Relation;
use crate::virtual_tables::shape::array_of;

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("current_database", Strict(|picture, _| Ok(Datum::text(picture.database_name())))),
    ("current_query", Session(current_query)),
    ("current_schema", Strict(|picture, _| Ok(optional(schemas(picture).first().copied())))),
    ("current_schemas", Strict(current_schemas)),
    ("current_setting", Session(current_setting)),
    ("current_user", Strict(|picture, _| Ok(Datum::text(picture.user)))),
    ("getdatabaseencoding", Strict(|_, _| Ok(Datum::text("UTF8")))),
    ("getpgusername", Strict(|picture, _| Ok(Datum::text(picture.user)))),
    // Addresses are told by pg_stat_activity.client_addr.
    ("inet_client_addr", Null),
    ("inet_client_port", Null),
    ("inet_server_addr", Null),
    ("inet_server_port", Null),
    ("pg_backend_pid", Session(|services, _| Ok(Datum::Int4(services.process_id as i32)))),
    ("pg_blocking_pids", Session(pg_blocking_pids)),
    ("pg_char_to_encoding", Strict(pg_char_to_encoding)),
    ("pg_client_encoding", Strict(|_, _| Ok(Datum::text("UTF8")))),
    ("pg_collation_actual_version", Null),
    ("pg_current_logfile", Null),
    ("pg_database_collation_actual_version", Null),
    ("pg_encoding_max_length", Strict(pg_encoding_max_length)),
    ("pg_encoding_to_char", Strict(pg_encoding_to_char)),
    ("pg_is_in_recovery", Strict(|_, _| Ok(Datum::Bool(false)))),
    ("pg_is_other_temp_schema", Strict(|_, _| Ok(Datum::Bool(false)))),
    ("pg_jit_available", Strict(|_, _| Ok(Datum::Bool(false)))),
    ("pg_my_temp_schema", Strict(|_, _| Ok(Datum::Oid(0)))),
    ("pg_postmaster_start_time", Session(started_at)),
    // Settings are read when the server starts.
    ("pg_conf_load_time", Session(started_at)),
    ("pg_relation_is_publishable", Strict(pg_relation_is_publishable)),
    ("pg_relation_is_updatable", Strict(pg_relation_is_updatable)),
    ("pg_tablespace_location", Strict(|_, _| Ok(Datum::text("")))),
    ("pg_trigger_depth", Strict(|_, _| Ok(Datum::Int4(0)))),
    ("pg_xact_commit_timestamp", Null),
    ("session_user", Strict(|picture, _| Ok(Datum::text(picture.user)))),
    ("version", Strict(|_, _| Ok(Datum::text(version())))),
];

/// version(): clients take the number behind "PostgreSQL".
pub fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} (Meridian {})", env!("CARGO_PKG_VERSION"))
}

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
    Ok(array_of(DataType::Name, names.into_iter().map(Datum::text).collect()))
}

fn current_query(services: &Services, _: &[Datum]) -> PgResult<Datum> {
    let session = services.catalog.server.session(services.process_id);
    Ok(session.map_or(Datum::Null, |session| Datum::text(&*session.row.lock().query)))
}

/// current_setting(name [, missing_ok]).
fn current_setting(services: &Services, arguments: &[Datum]) -> PgResult<Datum> {
    match services.settings.get(text_argument(arguments, 0)?) {
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
    let rows = services.catalog.server.table_locks.rows();
    let process_of = |owner| {
        let session = sessions.iter().find(|session| session.lock_owner == owner);
        session.map(|session| session.key.process_id() as i32)
    };
    let waiting =
        rows.iter().filter(|row| !row.granted && process_of(row.owner).map(i64::from) == Some(process_id));
    let blockers = waiting.flat_map(|wanted| {
        let conflicting = rows.iter().filter(move |row| {
            row.granted
                && row.table == wanted.table
                && row.owner != wanted.owner
                && row.mode.conflicts_with(wanted.mode)
        });
        conflicting.filter_map(|row| process_of(row.owner))
    });
    let blockers: std::collections::BTreeSet<i32> = blockers.collect();
    Ok(array_of(DataType::Int4, blockers.into_iter().map(Datum::Int4).collect()))
}

// Encodings.

/// Names by number: pg_encoding_to_char.
const ENCODINGS: [&str; 42] = [
    "SQL_ASCII",
    "EUC_JP",
    "EUC_CN",
    "EUC_KR",
    "EUC_TW",
    "EUC_JIS_2004",
    "UTF8",
    "MULE_INTERNAL",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "WIN1256",
    "WIN1258",
    "WIN866",
    "WIN874",
    "KOI8R",
    "WIN1251",
    "WIN1252",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "WIN1250",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1257",
    "KOI8U",
    "SJIS",
    "BIG5",
    "GBK",
    "UHC",
    "GB18030",
    "JOHAB",
    "SHIFT_JIS_2004",
];

fn pg_encoding_to_char(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let number = usize::try_from(integer_argument(arguments, 0)?).unwrap_or(usize::MAX);
    Ok(Datum::text(ENCODINGS.get(number).copied().unwrap_or("")))
}

/// The number of an encoding; letters and digits of its name count alone. -1: unknown.
fn pg_char_to_encoding(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let plain = |name: &str| {
        let kept = name.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let wanted = plain(text_argument(arguments, 0)?);
    let wanted = if wanted == "unicode" { "utf8".to_string() } else { wanted };
    let found = ENCODINGS.iter().position(|name| plain(name) == wanted);
    Ok(Datum::Int4(found.map_or(-1, |number| number as i32)))
}

fn pg_encoding_max_length(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    // Only UTF8 can be used here; others are not asked for by anything.
    let number = integer_argument(arguments, 0)?;
    Ok(if number == i64::from(UTF8) { Datum::Int4(4) } else { Datum::Null })
}

// Relations.

/// Events that a relation takes, as a bit mask of UPDATE 4, INSERT 8, DELETE 16.
fn pg_relation_is_updatable(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(Datum::Int4(if matches!(relation, Some(Relation::Table(_))) { 4 | 8 | 16 } else { 0 }))
}

fn pg_relation_is_publishable(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let relation = picture.relation(oid_argument(arguments, 0)?);
    Ok(relation.map_or(Datum::Null, |relation| Datum::Bool(matches!(relation, Relation::Table(_)))))
}
