//! What evaluation may know of the world around it.

use crate::bounds::Bounds;
use std::sync::Arc;
use types::{Datum, PgError, PgResult};

/// Session facts that functions show or depend on. Plain data, fixed while one statement runs.
#[derive(Clone, Default)]
pub struct SessionInfo {
    pub database: String,
    pub user: String,
    pub session_user: String,
    /// Schemas of the search path that exist, `pg_catalog` not counted.
    pub search_path: Vec<String>,
    pub application_name: String,
    pub backend_pid: i32,
    pub server_version: String,
    /// Text and date formats, time zone.
    pub format: types::format::FormatContext,
}

/// Catalog questions that scalar functions ask (pg_get_indexdef, to_regclass, has_table_privilege ...), answered by `sql`
/// from its cached catalog without waiting.
pub trait CatalogLookup: Sync {
    /// Evaluates the catalogue function `name` for one row of arguments. 0A000 when unknown.
    fn call(&self, name: &str, arguments: &[Datum]) -> PgResult<Datum>;
}

/// What values are written as text by where no [`EvalContext`] is at hand: accumulators outlive the call that made them.
#[derive(Clone)]
pub struct TextContext {
    pub session: Arc<SessionInfo>,
    pub catalog: Arc<dyn CatalogLookup + Send + Sync>,
}

impl Default for TextContext {
    /// PostgreSQL's default formats, in UTC, without a catalog.
    fn default() -> Self {
        TextContext { session: Arc::default(), catalog: Arc::new(NoCatalog) }
    }
}

struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn call(&self, name: &str, _: &[Datum]) -> PgResult<Datum> {
        Err(PgError::unsupported(format!("the function {name} without a catalog")))
    }
}

/// Everything an evaluator may use besides its arguments.
pub struct EvalContext<'a> {
    /// Values of `$n`, already of the types that the plan expects.
    pub parameters: &'a [Datum],
    /// Values of [`crate::Expr::Slot`].
    pub slots: &'a [Datum],
    /// Start of the transaction, of the statement, and the wall clock when evaluation began: microseconds since
    /// 2000-01-01 UTC.
    pub transaction_timestamp: i64,
    pub statement_timestamp: i64,
    pub clock_timestamp: i64,
    /// State of random(): drawn from the session's seed, advanced by use.
    pub random: &'a std::sync::atomic::AtomicU64,
    pub session: &'a SessionInfo,
    pub catalog: &'a dyn CatalogLookup,
    /// The statement's time and memory.
    pub bounds: &'a dyn Bounds,
}
