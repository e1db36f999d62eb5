//! Savepoints: transactions write, go back to savepoints, write on, and commit what is left.
//!
//! - The rows of a committed transaction are those it would have if it had never done what it went back over; those of an aborted one are not there.
//! - Within the transaction, reads show the same.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "savepoints";
/// Rows of a transaction are spread over this many places of the table.
const STRIPES: i64 = 3;
const STEPS_MAX: u64 = 12;
/// A check looks at the rows of this many of the newest transactions.
const CHECKED: usize = 400;

/// Rows of one transaction: values by number.
type Rows = BTreeMap<i64, i64>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Attempt {
    Running,
    Committed(Rows),
    Aborted,
    Unknown(Rows),
}

impl Attempt {
    /// Whether these may be its rows.
    fn allows(&self, rows: &Rows) -> bool {
        match self {
            Attempt::Running => true,
            Attempt::Committed(expected) => rows == expected,
            Attempt::Aborted => rows.is_empty(),
            Attempt::Unknown(expected) => rows.is_empty() || rows == expected,
        }
    }
}

#[derive(Default)]
pub struct Savepoints {
    /// A transaction is its position in this.
    attempts: Mutex<Vec<Attempt>>,
}

/// A transaction in progress, and what it should have.
struct Progress {
    attempt: i64,
    rows: Rows,
    /// What there was at each savepoint.
    savepoints: Vec<Rows>,
    next_row: i64,
}

impl Progress {
    async fn step(&mut self, client: &mut dyn Client, prng: &mut Prng) -> Result<(), Failure> {
        let attempt = self.attempt;
        let known: Vec<i64> = self.rows.keys().copied().collect();
        let value = prng.below(1_000_000) as i64;
        match prng.below(8) {
            0 | 1 => {
                client.execute(&format!("SAVEPOINT s{}", self.savepoints.len()), &[]).await?;
                self.savepoints.push(self.rows.clone());
            }
            2 if !self.savepoints.is_empty() => {
                let back = prng.index(self.savepoints.len());
                client.execute(&format!("ROLLBACK TO s{back}"), &[]).await?;
                self.savepoints.truncate(back + 1);
                self.rows = self.savepoints[back].clone();
            }
            3 if !known.is_empty() => {
                let row = known[prng.index(known.len())];
                let sql =
                    "UPDATE savepoint_rows SET value = $1 WHERE stripe = $2 AND attempt = $3 AND number = $4";
                let parameters = [value.into(), (row % STRIPES).into(), attempt.into(), row.into()];
                client.execute(sql, &parameters).await?;
                self.rows.insert(row, value);
            }
            4 if !known.is_empty() => {
                let row = known[prng.index(known.len())];
                let sql = "DELETE FROM savepoint_rows WHERE stripe = $1 AND attempt = $2 AND number = $3";
                client.execute(sql, &[(row % STRIPES).into(), attempt.into(), row.into()]).await?;
                self.rows.remove(&row);
            }
            _ => {
                let row = self.next_row;
                self.next_row += 1;
                let sql =
                    "INSERT INTO savepoint_rows (stripe, attempt, number, value) VALUES ($1, $2, $3, $4)";
                let parameters = [(row % STRIPES).into(), attempt.into(), row.into(), value.into()];
                client.execute(sql, &parameters).await?;
                self.rows.insert(row, value);
            }
        }
        Ok(())
    }
}

impl Savepoints {
    pub fn new() -> Savepoints {
        Savepoints::default()
    }

    fn judge(&self, first: usize, found: &BTreeMap<i64, Rows>) -> Result<(), String> {
        let attempts = self.attempts.lock();
        let none = Rows::new();
        for (number, attempt) in attempts.iter().enumerate().skip(first) {
            let rows = found.get(&(number as i64)).unwrap_or(&none);
            if !attempt.allows(rows) {
                return Err(format!("transaction {number}: {attempt:?}, and its rows are {rows:?}"));
            }
        }
        Ok(())
    }
}

/// Reads the rows of transactions from one on.
async fn read_from(client: &mut dyn Client, first: i64) -> Result<BTreeMap<i64, Rows>, Failure> {
    let sql = "SELECT attempt, number, value FROM savepoint_rows WHERE attempt >= $1";
    let answer = client.execute(sql, &[first.into()]).await?;
    let mut found: BTreeMap<i64, Rows> = BTreeMap::new();
    for row in 0..answer.rows.len() {
        let attempt = found.entry(answer.integer(row, 0)?).or_default();
        attempt.insert(answer.integer(row, 1)?, answer.integer(row, 2)?);
    }
    Ok(found)
}

impl Workload for Savepoints {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let table = "CREATE TABLE savepoint_rows (stripe int8, attempt int8, number int8, value int8 NOT NULL, \
                         PRIMARY KEY (stripe, attempt, number))";
            client.execute(table, &[]).await.map(drop)
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let attempt = {
                let mut attempts = self.attempts.lock();
                attempts.push(Attempt::Running);
                attempts.len() - 1
            };
            let isolation = Isolation::ALL[seat.prng.index(Isolation::ALL.len())];
            let (client, prng) = (&mut *seat.client, &mut seat.prng);
            let (rows, savepoints) = (Rows::new(), Vec::new());
            let mut progress = Progress { attempt: attempt as i64, rows, savepoints, next_row: 0 };
            let mut contradiction = None;
            let body = async {
                begin(client, isolation).await?;
                for _ in 0..prng.range(3..STEPS_MAX) {
                    progress.step(client, prng).await?;
                }
                if prng.chance(0.3) {
                    let found = read_from(client, attempt as i64).await?.remove(&(attempt as i64));
                    let found = found.unwrap_or_default();
                    if found != progress.rows {
                        contradiction = Some(format!("it reads {found:?} of its {:?}", progress.rows));
                    }
                }
                Ok(())
            };
            let body = body.await;
            let fate = finish(client, body).await;
            let rows = progress.rows;
            self.attempts.lock()[attempt] = match &fate {
                Fate::Committed(()) => Attempt::Committed(rows),
                Fate::Aborted(_) => Attempt::Aborted,
                Fate::Unknown(_) => Attempt::Unknown(rows),
            };
            seat.ended(NAME, format_args!("transaction {attempt}"), &fate)?;
            // What an aborted transaction has read does not have to be true.
            match contradiction {
                Some(what) if fate.is_committed() => {
                    Err(Violation::new(NAME, format!("transaction {attempt}: {what}")))
                }
                _ => Ok(()),
            }
        })
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let before = self.attempts.lock().clone();
            let first = before.len().saturating_sub(CHECKED);
            let found = read_from(client, first as i64).await?;
            // What had ended before the read began is as it was told; the others may be either way.
            let settled = Savepoints { attempts: Mutex::new(before) };
            Ok(settled.judge(first, &found).map_err(|what| Violation::new(NAME, what))?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let attempts = self.attempts.lock().len() as u64;
        let (stripe, attempt) = (prng.below(STRIPES as u64), prng.below(attempts + 10));
        format!("ALTER TABLE savepoint_rows SPLIT AT VALUES ({stripe}, {attempt})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_that_are_left() {
        let savepoints = Savepoints::new();
        let rows = |pairs: &[(i64, i64)]| pairs.iter().copied().collect::<Rows>();
        *savepoints.attempts.lock() = vec![
            Attempt::Committed(rows(&[(0, 7)])),
            Attempt::Aborted,
            Attempt::Unknown(rows(&[(1, 8)])),
            Attempt::Running,
        ];
        let judge = |found: &[(i64, &[(i64, i64)])]| {
            savepoints.judge(0, &found.iter().map(|(number, pairs)| (*number, rows(pairs))).collect())
        };
        assert_eq!(judge(&[(0, &[(0, 7)])]), Ok(()));
        assert_eq!(judge(&[(0, &[(0, 7)]), (2, &[(1, 8)]), (3, &[(5, 5)])]), Ok(()));
        assert!(judge(&[]).is_err(), "lost");
        assert!(judge(&[(0, &[(0, 7), (1, 1)])]).is_err(), "one was undone");
        assert!(judge(&[(0, &[(0, 6)])]).is_err(), "an older value");
        assert!(judge(&[(0, &[(0, 7)]), (1, &[(0, 1)])]).is_err(), "aborted");
        assert!(judge(&[(0, &[(0, 7)]), (2, &[(1, 9)])]).is_err(), "neither all nor nothing");
    }
}
