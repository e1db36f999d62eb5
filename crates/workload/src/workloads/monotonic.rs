//! Monotonic: every transaction looks for the highest number in any table and inserts the next one, in a drawn table.
//!
//! - No number is there twice, and none is missing below the highest.
//! - Who begins after a number was acknowledged inserts, or reads as the highest, nothing below it.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "monotonic";
const TABLES: usize = 3;

#[derive(Default)]
pub struct Monotonic {
    /// The highest number that was acknowledged.
    highest: Mutex<i64>,
}

impl Monotonic {
    pub fn new() -> Monotonic {
        Monotonic::default()
    }

    async fn insert(&self, seat: &mut Seat) -> Result<(), Violation> {
        let before = *self.highest.lock();
        let table = seat.prng.index(TABLES);
        let client = &mut *seat.client;
        let body = async {
            begin(client, Isolation::Serializable).await?;
            let next = highest(client).await? + 1;
            let sql = format!("INSERT INTO monotonic_{table} (number) VALUES ($1)");
            client.execute(&sql, &[next.into()]).await?;
            Ok(next)
        };
        let body = body.await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("a number after {before}"), &fate)?;
        let Fate::Committed(number) = fate else { return Ok(()) };
        let mut acknowledged = self.highest.lock();
        *acknowledged = number.max(*acknowledged);
        not_below(before + 1, number)
    }

    async fn read(&self, seat: &mut Seat) -> Result<(), Violation> {
        let before = *self.highest.lock();
        let client = &mut *seat.client;
        let body = async {
            begin(client, Isolation::Serializable).await?;
            highest(client).await
        };
        let body = body.await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("a read after {before}"), &fate)?;
        match fate {
            Fate::Committed(number) => not_below(before, number),
            _ => Ok(()),
        }
    }
}

/// The highest number in any table, zero without one.
async fn highest(client: &mut dyn Client) -> Result<i64, Failure> {
    let mut highest = 0;
    for table in 0..TABLES {
        let sql = format!("SELECT coalesce(max(number), 0) FROM monotonic_{table}");
        highest = client.execute(&sql, &[]).await?.integer(0, 0)?.max(highest);
    }
    Ok(highest)
}

fn not_below(expected: i64, number: i64) -> Result<(), Violation> {
    if number >= expected {
        return Ok(());
    }
    Err(Violation::new(NAME, format!("{number}, after {expected} or more was to be expected")))
}

/// Numbers in any order: each once, from 1 on without a gap, up to the highest acknowledged at least.
fn judge(acknowledged: i64, numbers: &[i64]) -> Result<(), Violation> {
    let mut times: BTreeMap<i64, u64> = BTreeMap::new();
    for number in numbers {
        *times.entry(*number).or_default() += 1;
    }
    if let Some((number, times)) = times.iter().find(|(_, times)| **times > 1) {
        return Err(Violation::new(NAME, format!("{number} is there {times} times")));
    }
    let highest = times.last_key_value().map_or(0, |(number, _)| *number);
    if let Some(missing) = (1..=highest).find(|number| !times.contains_key(number)) {
        return Err(Violation::new(NAME, format!("{missing} is missing, and {highest} is there")));
    }
    not_below(acknowledged, highest)
}

impl Workload for Monotonic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for table in 0..TABLES {
                let sql = format!("CREATE TABLE monotonic_{table} (number int8 PRIMARY KEY)");
                client.execute(&sql, &[]).await?;
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            if seat.prng.chance(0.7) { self.insert(seat).await } else { self.read(seat).await }
        })
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let acknowledged = *self.highest.lock();
            let parts: Vec<String> =
                (0..TABLES).map(|n| format!("SELECT number FROM monotonic_{n}")).collect();
            let answer = client.execute(&parts.join(" UNION ALL "), &[]).await?;
            Ok(judge(acknowledged, &answer.integers(0)?)?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let numbers = *self.highest.lock() as u64;
        let (table, number) = (prng.index(TABLES), prng.below(numbers + 5));
        format!("ALTER TABLE monotonic_{table} SPLIT AT VALUES ({number})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_numbers_is_accepted() {
        assert!(judge(0, &[]).is_ok());
        assert!(judge(3, &[2, 4, 1, 3]).is_ok());
    }

    #[test]
    fn a_number_twice_a_gap_and_a_lost_number_are_found() {
        assert!(judge(0, &[1, 2, 2]).is_err());
        assert!(judge(0, &[1, 3]).is_err());
        assert!(judge(3, &[1, 2]).is_err());
        assert!(not_below(3, 2).is_err());
    }
}
