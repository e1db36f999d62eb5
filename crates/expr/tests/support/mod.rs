//! A context to evaluate in, without a server around it.

use expr::{CatalogLookup, EvalContext, SessionInfo};
use std::sync::atomic::AtomicU64;
use types::{DataType, Datum, FormatContext, PgError, PgResult, TimeZone};

pub struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn call(&self, name: &str, _: &[Datum]) -> PgResult<Datum> {
        Err(PgError::unsupported(format!("catalog function {name}")))
    }
}

/// 2026-11-22 12:00:00 UTC.
pub const NOW: i64 = 848_664_000_000_000;

pub fn session() -> SessionInfo {
    SessionInfo {
        database: "postgres".into(),
        user: "postgres".into(),
        session_user: "postgres".into(),
        search_path: vec!["public".into()],
        application_name: String::new(),
        backend_pid: 4242,
        server_version: "15.0".into(),
        format: FormatContext {
            time_zone: TimeZone::from_setting("America/New_York").expect("a known zone"),
            now: NOW,
            ..FormatContext::default()
        },
    }
}

pub struct World {
    pub session: SessionInfo,
    pub random: AtomicU64,
}

impl World {
    pub fn new() -> World {
        World { session: session(), random: AtomicU64::new(1) }
    }

    pub fn context<'a>(&'a self, parameters: &'a [Datum]) -> EvalContext<'a> {
        EvalContext {
            parameters,
            slots: &[],
            transaction_timestamp: NOW,
            statement_timestamp: NOW,
            clock_timestamp: NOW,
            random: &self.random,
            session: &self.session,
            catalog: &NoCatalog,
            bounds: &expr::Unbounded,
        }
    }
}

/// A type by the name of its variant, `...Array` for arrays.
#[allow(dead_code)]
pub fn variant(name: &str) -> DataType {
    if let Some(found) = types::BUILTIN_TYPES.iter().find(|data_type| format!("{data_type:?}") == name) {
        return *found;
    }
    DataType::array_of(variant(name.strip_suffix("Array").expect("a known type")))
}

/// Undoes the escapes of golden files.
#[allow(dead_code)]
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('t') => out.push('\t'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}
