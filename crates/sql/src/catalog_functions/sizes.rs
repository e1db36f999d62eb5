//! Sizes of relations, databases and tablespaces, as the KV layer has them.
//!
//! - A range that lies within a table has its size counted. What a table has of a range that it shares with others is read and
//!   counted, up to [`COUNTED_BYTES_MAX`]; beyond that, or where a lock is in the way, the range's size stands for it: too
//!   much, but of the right order.
//! - Answers are whole pages of 8 KiB, PostgreSQL's unit. A sequence is one page. A table's primary index is the table, so that
//!   by itself it has no size; what the system makes up has none either.
//! - The functions wait, so that they are called by the operator for such functions, not within expressions.

use executor::ExecResult;
use keys::{IndexId, Span, TableId, table};
use kvapi::{BatchRequest, Header, Response, ScanRequest, WaitPolicy};
use kvclient::Db;
use types::descriptor::Oid;
use types::{Datum, PgError, PgResult, SqlState};

use super::{mismatch, resolve_relation, text_argument};
use crate::session::Services;
use crate::virtual_tables::pg_catalog::schema::TABLESPACES;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Index, Relation};

/// What is read of a range shared with others, at most.
const COUNTED_BYTES_MAX: u64 = 8 << 20;
/// What is read at a time.
const COUNTED_BYTES_PER_READ: u64 = 1 << 20;
const PAGE_BYTES: u64 = 8192;

/// What of a table is counted.
#[derive(Clone, Copy)]
enum Parts {
    Table,
    Indexes,
    All,
}

/// Answers one of the size functions; `None` for another function.
pub async fn call(services: &Services, name: &str, arguments: &[Datum]) -> Option<ExecResult<Datum>> {
    Some(match name {
        "pg_relation_size" => pg_relation_size(services, arguments).await,
        "pg_table_size" => of_relation(services, arguments, Parts::Table).await,
        "pg_indexes_size" => of_relation(services, arguments, Parts::Indexes).await,
        "pg_total_relation_size" => of_relation(services, arguments, Parts::All).await,
        "pg_database_size" => pg_database_size(services, arguments).await,
        "pg_tablespace_size" => pg_tablespace_size(services, arguments).await,
        _ => return None,
    })
}

fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE_BYTES) * PAGE_BYTES
}

fn answer(bytes: Option<u64>) -> Datum {
    bytes.map_or(Datum::Null, |bytes| Datum::Int8(i64::try_from(bytes).unwrap_or(i64::MAX)))
}

/// A regclass: an oid, or a name where it is a constant.
fn relation_argument(services: &Services, arguments: &[Datum]) -> PgResult<Oid> {
    match arguments.first() {
        Some(Datum::Oid(id)) => Ok(Oid(*id)),
        Some(Datum::Text(name)) => resolve_relation(services, name),
        _ => Err(mismatch(arguments)),
    }
}

async fn pg_relation_size(services: &Services, arguments: &[Datum]) -> ExecResult<Datum> {
    if arguments.len() > 1 {
        match text_argument(arguments, 1)? {
            "main" => {}
            "fsm" | "vm" | "init" => return Ok(Datum::Int8(0)),
            _ => {
                return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid fork name")
                    .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")
                    .into());
            }
        }
    }
    of_relation(services, arguments, Parts::Table).await
}

async fn of_relation(services: &Services, arguments: &[Datum], parts: Parts) -> ExecResult<Datum> {
    let id = relation_argument(services, arguments)?;
    let picture = Picture::of(services);
    let Some(relation) = picture.relation(id) else { return Ok(Datum::Null) };
    Ok(answer(Some(relation_size(&services.catalog.server.db, &relation, parts).await?)))
}

async fn relation_size(db: &Db, relation: &Relation<'_>, parts: Parts) -> ExecResult<u64> {
    match (relation, parts) {
        (Relation::Table(table), _) => {
            let storage = TableId(table.storage_id);
            let mut bytes = 0;
            if !matches!(parts, Parts::Indexes) {
                bytes += pages(span_bytes(db, &table::index_span(storage, IndexId::PRIMARY)).await?);
            }
            if !matches!(parts, Parts::Table) {
                for index in Index::all(table) {
                    bytes += index_size(db, &index).await?;
                }
            }
            Ok(bytes)
        }
        (_, Parts::Indexes) => Ok(0),
        (Relation::Index(index), _) => index_size(db, index).await,
        (Relation::Sequence(_), _) => Ok(PAGE_BYTES),
        (Relation::View(_) | Relation::RowType(_) | Relation::System(_), _) => Ok(0),
    }
}

async fn index_size(db: &Db, index: &Index<'_>) -> ExecResult<u64> {
    if index.is_primary() {
        return Ok(0);
    }
    let span = table::index_span(TableId(index.table.storage_id), IndexId(index.index.storage_index));
    Ok(pages(span_bytes(db, &span).await?))
}

/// Bytes of keys and values of a span. Each range says in one answer where it ends and how large it is: one that splits meanwhile
/// is neither left out nor counted twice.
async fn span_bytes(db: &Db, span: &Span) -> ExecResult<u64> {
    let (mut bytes, mut rest) = (0, span.clone());
    while !rest.is_empty() {
        let status = db.range_status(&rest.start).await?;
        let range = status.descriptor.span;
        let piece = Span { start: rest.start, end: range.end.clone().min(rest.end.clone()) };
        let counted = if piece == range { None } else { count(db, &piece).await };
        bytes += counted.unwrap_or(status.size_bytes);
        rest.start = piece.end;
    }
    Ok(bytes)
}

/// Of the range that holds a key.
/// Reads and counts a part of a range; `None` if that is too much, or somebody's lock or an unfinished split is in the way.
async fn count(db: &Db, piece: &Span) -> Option<u64> {
    let (mut bytes, mut rest) = (0, piece.clone());
    loop {
        let header = Header { wait_policy: WaitPolicy::NoWait, ..Header::default() };
        let scan =
            ScanRequest { span: rest.clone(), bytes_max: COUNTED_BYTES_PER_READ, ..ScanRequest::default() };
        let mut response = db.send(&rest.start, &mut BatchRequest::new(header, scan)).await.ok()?;
        let Some(Response::Rows(page)) = response.responses.pop() else { return None };
        bytes += page.rows.byte_size() as u64;
        match page.resume {
            None => return Some(bytes),
            Some(_) if bytes > COUNTED_BYTES_MAX => return None,
            Some(resume) => rest = resume,
        }
    }
}

async fn database_size(services: &Services, database: Oid) -> ExecResult<u64> {
    let mut bytes = 0;
    for table in services.catalog.snapshot.tables(database) {
        bytes += relation_size(&services.catalog.server.db, &Relation::Table(table), Parts::All).await?;
    }
    Ok(bytes)
}

async fn pg_database_size(services: &Services, arguments: &[Datum]) -> ExecResult<Datum> {
    let snapshot = &services.catalog.snapshot;
    let database = match arguments.first() {
        Some(Datum::Oid(id)) => snapshot.database_by_id(Oid(*id)).map(|database| database.id),
        Some(Datum::Text(name)) => {
            let found = snapshot.database(name).ok_or_else(|| {
                PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
            })?;
            Some(found.id)
        }
        _ => return Err(mismatch(arguments).into()),
    };
    Ok(match database {
        None => Datum::Null,
        Some(id) => answer(Some(database_size(services, id).await?)),
    })
}

/// Everything is in pg_default.
async fn pg_tablespace_size(services: &Services, arguments: &[Datum]) -> ExecResult<Datum> {
    let name = match arguments.first() {
        Some(Datum::Oid(id)) => TABLESPACES.iter().find(|(other, _)| other == id).map(|(_, name)| *name),
        Some(Datum::Text(name)) => {
            let found = TABLESPACES.iter().find(|(_, other)| **other == **name);
            Some(found.map(|(_, name)| *name).ok_or_else(|| {
                PgError::new(SqlState::UNDEFINED_OBJECT, format!("tablespace \"{name}\" does not exist"))
            })?)
        }
        _ => return Err(mismatch(arguments).into()),
    };
    match name {
        None => return Ok(Datum::Null),
        Some("pg_default") => {}
        Some(_) => return Ok(Datum::Int8(0)),
    }
    let mut bytes = 0;
    for object in services.catalog.snapshot.objects() {
        if let crate::catalog::Object::Database(database) = object {
            bytes += database_size(services, database.id).await?;
        }
    }
    Ok(answer(Some(bytes)))
}
