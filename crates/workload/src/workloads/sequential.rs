//! Sequential: a writer inserts a chain of rows, one transaction after the other, each row in another table; readers look for them
//! in the opposite order.
//!
//! - Whoever sees a row sees, in a later read, every row that came before it in its chain.
//! - A read that begins after an insert was acknowledged sees it.
//! - One transaction that reads all tables sees a beginning of every chain: no later row without the earlier ones.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish, single};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "sequential";
/// Rows of a chain, and tables.
const CHAIN: usize = 4;
/// Readers look at one of this many latest chains.
const CHAINS_OPEN: i64 = 6;

#[derive(Default)]
struct Told {
    next_chain: i64,
    /// By chain: how many of its rows, from the first on, are acknowledged.
    acknowledged: BTreeMap<i64, usize>,
}

#[derive(Default)]
pub struct Sequential {
    told: Mutex<Told>,
}

impl Sequential {
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Writes a chain row by row, until one fails.
    async fn write(&self, seat: &mut Seat) -> Result<(), Violation> {
        let chain = {
            let mut told = self.told.lock();
            told.next_chain += 1;
            told.next_chain - 1
        };
        for link in 0..CHAIN {
            let sql = format!("INSERT INTO chain_{link} (chain) VALUES ($1)");
            let fate = single(&mut *seat.client, &sql, &[chain.into()]).await;
            if fate.is_committed() {
                self.told.lock().acknowledged.insert(chain, link + 1);
            }
            seat.ended(NAME, format_args!("chain {chain}, link {link}"), &fate)?;
            if !fate.is_committed() {
                break;
            }
        }
        Ok(())
    }

    fn draw_chain(&self, prng: &mut Prng) -> i64 {
        let latest = self.told.lock().next_chain;
        (latest - 1 - prng.below(CHAINS_OPEN as u64) as i64).max(0)
    }

    fn acknowledged(&self, chain: i64) -> usize {
        self.told.lock().acknowledged.get(&chain).copied().unwrap_or_default()
    }

    /// Reads a chain from its end, each row in a transaction of its own.
    async fn read_backwards(&self, seat: &mut Seat) -> Result<(), Violation> {
        let chain = self.draw_chain(&mut seat.prng);
        let mut seen = 0;
        for link in (0..CHAIN).rev() {
            seen = seen.max(self.acknowledged(chain));
            let fate = single(&mut *seat.client, &count(link), &[chain.into()]).await;
            seat.ended(NAME, format_args!("read of chain {chain}, link {link}"), &fate)?;
            let Fate::Committed(answer) = fate else { return Ok(()) };
            let present =
                answer.integer(0, 0).map_err(|failure| Violation::new(NAME, failure.to_string()))? > 0;
            if !present && link < seen {
                let what = format!("chain {chain}: link {link} is not seen after {seen} links were there");
                return Err(Violation::new(NAME, what));
            }
            if present {
                seen = seen.max(link + 1);
            }
        }
        Ok(())
    }

    /// Reads all rows of a chain in one transaction.
    async fn read_at_once(&self, seat: &mut Seat) -> Result<(), Violation> {
        let chain = self.draw_chain(&mut seat.prng);
        let acknowledged = self.acknowledged(chain);
        let client = &mut *seat.client;
        let body = async {
            begin(client, Isolation::Serializable).await?;
            let mut present = [false; CHAIN];
            for link in (0..CHAIN).rev() {
                let answer = client.execute(&count(link), &[chain.into()]).await?;
                present[link] = answer.integer(0, 0)? > 0;
            }
            Ok(present)
        };
        let body = body.await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("read of chain {chain}"), &fate)?;
        match fate {
            Fate::Committed(present) => judge(chain, acknowledged, present),
            _ => Ok(()),
        }
    }
}

fn count(link: usize) -> String {
    format!("SELECT count(*) FROM chain_{link} WHERE chain = $1")
}

/// What one snapshot shows of a chain must be a beginning of it, and all that was acknowledged.
fn judge(chain: i64, acknowledged: usize, present: [bool; CHAIN]) -> Result<(), Violation> {
    let beginning = present.iter().take_while(|there| **there).count();
    if present[beginning..].contains(&true) || beginning < acknowledged {
        let what = format!("chain {chain}: {acknowledged} links acknowledged, seen {present:?}");
        return Err(Violation::new(NAME, what));
    }
    Ok(())
}

impl Workload for Sequential {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for link in 0..CHAIN {
                client.execute(&format!("CREATE TABLE chain_{link} (chain int8 PRIMARY KEY)"), &[]).await?;
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            match seat.prng.below(4) {
                0 => self.write(seat).await,
                1 => self.read_at_once(seat).await,
                _ => self.read_backwards(seat).await,
            }
        })
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let acknowledged = self.told.lock().acknowledged.clone();
            let body = async {
                begin(client, Isolation::RepeatableRead).await?;
                let mut present: BTreeMap<i64, [bool; CHAIN]> = BTreeMap::new();
                for link in (0..CHAIN).rev() {
                    let answer = client.execute(&format!("SELECT chain FROM chain_{link}"), &[]).await?;
                    for chain in answer.integers(0)? {
                        present.entry(chain).or_default()[link] = true;
                    }
                }
                Ok(present)
            };
            let body = body.await;
            let present = finish(client, body).await.committed()?;
            for chain in present.keys().chain(acknowledged.keys()) {
                let told = acknowledged.get(chain).copied().unwrap_or_default();
                judge(*chain, told, present.get(chain).copied().unwrap_or_default())?;
            }
            Ok(())
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let chains = self.told.lock().next_chain as u64;
        let (link, chain) = (prng.index(CHAIN), prng.below(chains + 5));
        format!("ALTER TABLE chain_{link} SPLIT AT VALUES ({chain})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_with_all_that_was_acknowledged_is_accepted() {
        assert!(judge(1, 0, [false; 4]).is_ok());
        assert!(judge(1, 1, [true, true, false, false]).is_ok());
        assert!(judge(1, 4, [true; 4]).is_ok());
    }

    #[test]
    fn a_hole_and_a_lost_row_are_found() {
        assert!(judge(1, 0, [false, true, false, false]).is_err());
        assert!(judge(1, 0, [true, false, true, false]).is_err());
        assert!(judge(1, 2, [true, false, false, false]).is_err());
    }
}
