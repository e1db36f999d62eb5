//! Reads of the past: AS OF SYSTEM TIME, of one query or of a transaction.
//!
//! ```text
//!   SELECT ... FROM t AS OF SYSTEM TIME '-10s'           a query that stands alone
//!   BEGIN AS OF SYSTEM TIME follower_read_timestamp()    a transaction; SET TRANSACTION likewise, as its first statement
//! ```
//!
//! The time is a `timestamptz` (or text that is one), an interval from now backwards, or the decimal of a hybrid timestamp:
//! nanoseconds since 1970, and behind the point the counter with ten digits. It is evaluated before the statement is planned, because the statement is
//! planned with *the catalog as of that time*: tables have the columns, indexes and rows that they had, dropped ones are there, and those that
//! were made since are not. That is possible because the catalog lies in the keyspace like any other data, and because what a definition
//! has left behind is kept as long as old versions are. Privileges are those of now, for everything that still exists.
//!
//! A transaction of the past is read-only, takes no table locks, waits for no catalog lease and restarts never: nothing that it sees changes. Where
//! it lies far enough back, the nearest replica answers it, see `kvclient` (module `nearest`).

use std::sync::Arc;
use std::time::Duration;

use executor::ExecResult;
use kvclient::{Timestamp, TxnOptions};
use planner::ast::{Expression, TransactionMode};
use types::{DataType, Datum, PgError, PgResult, SqlState};

use super::Session;
use super::prepared::Prepared;
use super::transaction::kv_isolation;
use crate::catalog::{CatalogSnapshot, TransactionCatalog};
use crate::planning::StatementCatalog;

/// Seconds from the epoch of Unix to that of PostgreSQL, in microseconds.
const EPOCH_2000_MICROSECONDS: i64 = 946_684_800_000_000;

/// A time in the past, and the catalog as of then.
pub struct Past {
    at: Timestamp,
    catalog: Arc<CatalogSnapshot>,
}

impl Session {
    /// Whether the running transaction reads the past.
    pub(crate) fn is_in_past(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.as_of.is_some())
    }

    /// Before a query with AS OF SYSTEM TIME is planned: makes its transaction one of the past, if it is that query's alone.
    pub(super) async fn enter_past(&mut self, expression: &Expression) -> ExecResult<()> {
        let past = self.past(expression).await?;
        match &self.active {
            Some(active) if active.as_of == Some(past.at) => return Ok(()),
            Some(active) if active.block || active.statements > 0 || active.queried => {
                let message = "AS OF SYSTEM TIME must be the same for the whole transaction";
                let error = PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message);
                return Err(error.hint("Use BEGIN AS OF SYSTEM TIME.").at(expression.position).into());
            }
            _ => self.move_to_past(past),
        }
        Ok(())
    }

    /// The past that the modes of BEGIN or SET TRANSACTION ask for.
    pub(super) async fn past_of(&mut self, modes: &[TransactionMode]) -> ExecResult<Option<Past>> {
        let as_of = modes.iter().find_map(|mode| match mode {
            TransactionMode::AsOf(expression) => Some(expression),
            _ => None,
        });
        let Some(expression) = as_of else { return Ok(None) };
        if modes.contains(&TransactionMode::ReadOnly(false)) {
            let message = "a transaction AS OF SYSTEM TIME cannot be READ WRITE";
            return Err(PgError::new(SqlState::READ_ONLY_SQL_TRANSACTION, message).into());
        }
        if self.active.as_ref().is_some_and(|active| active.queried || active.statements > 0) {
            let message = "AS OF SYSTEM TIME must be set before any query";
            return Err(PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message)
                .at(expression.position)
                .into());
        }
        Ok(Some(self.past(expression).await?))
    }

    /// Turns the running transaction, begun if there is none, into one of the past.
    pub(super) fn move_to_past(&mut self, past: Past) {
        let (shared, db) = (self.server.catalog.clone(), self.server.db.clone());
        let active = self.ensure_transaction();
        let isolation = kv_isolation(active.isolation);
        let options = TxnOptions { isolation, as_of: Some(past.at), ..TxnOptions::default() };
        active.txn = Arc::new(db.begin(options));
        active.catalog = TransactionCatalog::of_the_past(shared, past.catalog);
        active.as_of = Some(past.at);
        active.read_only = true;
    }

    /// A prepared query of the past is analysed under the catalog of then.
    pub(super) async fn keep_past(&mut self, prepared: &Prepared) -> ExecResult<()> {
        if let Some(expression) = prepared.as_of().filter(|_| !self.is_in_past()) {
            let past = self.past(expression).await?;
            prepared.keep_past(past.catalog);
        }
        Ok(())
    }

    /// The catalog that a statement is analysed under.
    pub(super) fn catalog_for(&mut self, prepared: &Prepared) -> StatementCatalog {
        match prepared.past().filter(|_| !self.is_in_past()) {
            Some(snapshot) => StatementCatalog { snapshot, ..self.statement_catalog() },
            None => self.statement_catalog(),
        }
    }

    async fn past(&mut self, expression: &Expression) -> ExecResult<Past> {
        let at = self.instant(expression)?;
        let now = self.server.db.now();
        let invalid = |message: &str| PgError::new(SqlState::INVALID_PARAMETER_VALUE, message);
        if at > now {
            return Err(invalid("AS OF SYSTEM TIME cannot lie in the future").at(expression.position).into());
        }
        let kept = self.server.garbage.time_to_live();
        if at < now.saturating_sub(kept) {
            return Err(too_old(kept).at(expression.position).into());
        }
        let txn = self.server.db.begin(TxnOptions { as_of: Some(at), ..TxnOptions::default() });
        let catalog = self.server.past.as_of(&txn).await?;
        Ok(Past { at, catalog })
    }

    fn instant(&mut self, expression: &Expression) -> PgResult<Timestamp> {
        let is_running = self.active.is_some();
        self.ensure_transaction();
        let value = self.evaluate(expression);
        if !is_running {
            // It was begun for the functions' sake and has done nothing.
            self.active = None;
        }
        let invalid = |message: &str| PgError::new(SqlState::INVALID_PARAMETER_VALUE, message);
        let read = self.instant_of(value?);
        read.map_err(|error| match error {
            Some(error) => error,
            None => invalid("AS OF SYSTEM TIME must be a timestamp, an interval or a decimal"),
        })
        .map_err(|error| error.at(expression.position))
    }

    fn evaluate(&mut self, expression: &Expression) -> PgResult<Datum> {
        let catalog = self.statement_catalog();
        let bound = planner::bind_instant(expression, &catalog, self.plan_options())?;
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        expr::eval_scalar(&bound, &context.eval(&[]))
    }

    /// `Err(None)`: it is no instant.
    fn instant_of(&self, value: Datum) -> Result<Timestamp, Option<PgError>> {
        let format = &self.info().format;
        let datum = match value {
            Datum::Text(text) => {
                if let Some(timestamp) = decimal(&text) {
                    return Ok(timestamp);
                }
                let parse = |data_type| types::format::parse_text(data_type, -1, &text, format);
                parse(DataType::TimestampTz).or_else(|_| parse(DataType::Interval)).map_err(|_| None)?
            }
            other => other,
        };
        let microseconds = match datum {
            Datum::TimestampTz(microseconds) => microseconds,
            Datum::Timestamp(local) => types::datetime::timestamp_to_timestamptz(local, &format.time_zone)?,
            Datum::Interval(span) => {
                types::datetime::timestamptz_plus_interval(self.now(), span, &format.time_zone)?
            }
            Datum::Numeric(number) => return decimal(&number.to_string()).ok_or(None),
            Datum::Int4(number) => return decimal(&number.to_string()).ok_or(None),
            Datum::Int8(number) => return decimal(&number.to_string()).ok_or(None),
            _ => return Err(None),
        };
        let since_1970 = i128::from(microseconds) + i128::from(EPOCH_2000_MICROSECONDS);
        // What is infinite, or before 1970, is out of bounds whatever it is cut to.
        let nanoseconds = (since_1970 * 1_000).clamp(0, i128::from(u64::MAX));
        Ok(Timestamp::new(nanoseconds as u64, 0))
    }
}

/// Nanoseconds since 1970 and, behind the point, the counter with ten digits (fewer: of the first ones).
fn decimal(text: &str) -> Option<Timestamp> {
    let (wall, counter) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(wall) || !is_number(counter) || counter.len() > 10 {
        return None;
    }
    let counter = format!("{counter:0<10}");
    Some(Timestamp::new(wall.parse().ok()?, counter.parse().ok()?))
}

/// What lies before everything that is kept.
pub fn too_old(kept: Duration) -> PgError {
    let message = "AS OF SYSTEM TIME lies further back than old versions of rows are kept";
    let detail = format!("They are kept for {} seconds.", kept.as_secs());
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_nanoseconds_and_a_counter_of_ten_digits() {
        assert_eq!(decimal("1700000000000000000"), Some(Timestamp::new(1_700_000_000_000_000_000, 0)));
        assert_eq!(decimal("1700.0000000007"), Some(Timestamp::new(1700, 7)));
        assert_eq!(decimal("1700.1"), Some(Timestamp::new(1700, 1_000_000_000)));
        for wrong in ["", "-1", "1.", ".1", "1.00000000000", "1.9999999999", "99999999999999999999", "1s"] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
    }
}
