//! Outcomes: transactions ask for their ids, and others ask what became of them, while they run and after.
//!
//! - Nobody is told "aborted" of a transaction whose commit was acknowledged, nor "committed" of one that was refused.
//! - A status that is final stays.
//! - The rows of a transaction are there, all of them, if anybody was told that it has committed; none if that it is aborted.
//!
//! So a client that does not know whether its commit went through can find out, and rely on it.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure, Parameter};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish, single};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "outcomes";
/// Rows of a transaction; rows of different stripes lie in different ranges once the table is split.
const STRIPES: i64 = 3;
/// Those asked about are among this many of the last transactions.
const RECENT: usize = 12;

/// A transaction that has an id.
struct Attempt {
    id: String,
    /// Whether it has committed: as its client was told, or as others were told who asked.
    known: Option<bool>,
}

#[derive(Default)]
pub struct Outcomes {
    /// Whoever inserts is the position in this.
    attempts: Mutex<Vec<Attempt>>,
}

impl Outcomes {
    pub fn new() -> Outcomes {
        Outcomes::default()
    }

    async fn write(&self, seat: &mut Seat) -> Result<(), Violation> {
        let isolation = Isolation::ALL[seat.prng.index(Isolation::ALL.len())];
        let (goes_back, asks_late) = (seat.prng.chance(0.3), seat.prng.chance(0.3));
        let ends_read_only = seat.prng.chance(0.2);
        let client = &mut *seat.client;
        let mut attempt = None;
        let body = async {
            begin(client, isolation).await?;
            if goes_back {
                client.execute("SAVEPOINT s", &[]).await?;
            }
            let asked = if asks_late { None } else { Some(self.ask_own(client).await?) };
            attempt = asked;
            if goes_back {
                client.execute("ROLLBACK TO s", &[]).await?;
            }
            let number = match asked {
                Some(number) => number,
                None => self.ask_own(client).await?,
            };
            attempt = Some(number);
            for stripe in 0..STRIPES {
                let sql = "INSERT INTO outcome_rows (stripe, attempt) VALUES ($1, $2)";
                client.execute(sql, &[stripe.into(), (number as i64).into()]).await?;
            }
            if ends_read_only {
                client.execute("SET TRANSACTION READ ONLY", &[]).await?;
            }
            Ok(())
        };
        let body = body.await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("transaction {attempt:?}"), &fate)?;
        match (attempt, &fate) {
            (Some(attempt), Fate::Committed(())) => self.learn(attempt, true),
            (Some(attempt), Fate::Aborted(_)) => self.learn(attempt, false),
            _ => Ok(()),
        }
    }

    /// Asks for the id of the transaction in progress, and enters it.
    async fn ask_own(&self, client: &mut dyn Client) -> Result<usize, Failure> {
        let answer = client.execute("SELECT pg_current_xact_id()", &[]).await?;
        let id =
            answer.first_text().ok_or_else(|| Failure::nonsense("a transaction without id"))?.to_string();
        let mut attempts = self.attempts.lock();
        attempts.push(Attempt { id, known: None });
        Ok(attempts.len() - 1)
    }

    /// Somebody is told what became of a transaction.
    fn learn(&self, attempt: usize, committed: bool) -> Result<(), Violation> {
        let mut attempts = self.attempts.lock();
        let Attempt { id, known } = &mut attempts[attempt];
        match known.replace(committed) {
            Some(before) if before != committed => {
                let word = |committed| if committed { "committed" } else { "aborted" };
                let what = format!("transaction {id} was {}, and is {}", word(before), word(committed));
                Err(Violation::new(NAME, what))
            }
            _ => Ok(()),
        }
    }

    async fn ask(&self, seat: &mut Seat) -> Result<(), Violation> {
        let asked = {
            let attempts = self.attempts.lock();
            let back = seat.prng.index(RECENT);
            attempts.len().checked_sub(1 + back).map(|number| (number, attempts[number].id.clone()))
        };
        let Some((number, id)) = asked else { return Ok(()) };
        let parameters = [Parameter::Text(id.clone())];
        let fate = single(&mut *seat.client, "SELECT pg_xact_status($1::xid8)", &parameters).await;
        seat.ended(NAME, format_args!("status of {id}"), &fate)?;
        let Fate::Committed(answer) = fate else { return Ok(()) };
        match answer.first_text() {
            Some("committed") => self.learn(number, true),
            Some("aborted") => self.learn(number, false),
            Some("in progress") => Ok(()),
            other => Err(Violation::new(NAME, format!("the status of transaction {id} is {other:?}"))),
        }
    }

    fn judge(&self, known: &[(usize, bool)], rows: &BTreeMap<i64, i64>) -> Result<(), String> {
        if let Some((attempt, count)) = rows.iter().find(|(_, count)| **count != STRIPES) {
            return Err(format!("attempt {attempt} has {count} rows"));
        }
        for &(attempt, committed) in known {
            if committed != rows.contains_key(&(attempt as i64)) {
                return Err(format!("attempt {attempt} has committed: {committed}; its rows tell otherwise"));
            }
        }
        Ok(())
    }
}

impl Workload for Outcomes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let table =
                "CREATE TABLE outcome_rows (stripe int8, attempt int8, PRIMARY KEY (stripe, attempt))";
            client.execute(table, &[]).await.map(drop)
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(
            async move { if seat.prng.chance(0.5) { self.write(seat).await } else { self.ask(seat).await } },
        )
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let known: Vec<(usize, bool)> = {
                let attempts = self.attempts.lock();
                attempts.iter().enumerate().filter_map(|(number, it)| Some((number, it.known?))).collect()
            };
            let sql = "SELECT attempt, count(*) FROM outcome_rows GROUP BY attempt";
            let answer = client.execute(sql, &[]).await?;
            let rows = answer.integers(0)?.into_iter().zip(answer.integers(1)?).collect();
            Ok(self.judge(&known, &rows).map_err(|what| Violation::new(NAME, what))?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let attempts = self.attempts.lock().len() as u64;
        let (stripe, attempt) = (prng.below(STRIPES as u64), prng.below(attempts + 10));
        format!("ALTER TABLE outcome_rows SPLIT AT VALUES ({stripe}, {attempt})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_is_found() {
        let outcomes = Outcomes::new();
        for id in ["7", "8"] {
            outcomes.attempts.lock().push(Attempt { id: id.to_string(), known: None });
        }
        assert_eq!(outcomes.learn(0, true), Ok(()));
        assert_eq!(outcomes.learn(0, true), Ok(()));
        assert_eq!(outcomes.learn(1, false), Ok(()));
        assert!(outcomes.learn(1, true).is_err());
    }

    #[test]
    fn rows_are_as_was_told() {
        let outcomes = Outcomes::new();
        let judge = |known: &[(usize, bool)], rows: &[(i64, i64)]| {
            outcomes.judge(known, &rows.iter().copied().collect())
        };
        assert_eq!(judge(&[(0, true), (1, false)], &[(0, STRIPES), (2, STRIPES)]), Ok(()));
        assert!(judge(&[], &[(0, STRIPES - 1)]).is_err());
        assert!(judge(&[(0, true)], &[]).is_err());
        assert!(judge(&[(0, false)], &[(0, STRIPES)]).is_err());
    }
}
