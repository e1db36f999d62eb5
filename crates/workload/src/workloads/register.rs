//! Register: reads, writes and compare-and-set of single rows, each a transaction of its own. What the clients saw must be
//! linearizable, key by key ([`crate::check::linearizable`]).

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::check::linearizable::{self, Action, Operation};
use crate::client::{Answer, Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Fate, single};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "register";
/// Keys in use at one time.
const KEYS_OPEN: u64 = 3;
/// A key is used for about this many operations: the search grows with those of unknown fate.
const OPERATIONS_PER_KEY: i64 = 80;
/// Values written are below this: few, so that compare-and-set often meets what it expects.
const VALUES: u64 = 5;

#[derive(Default)]
struct Histories {
    operations_begun: i64,
    by_key: BTreeMap<i64, Vec<Operation>>,
}

#[derive(Default)]
pub struct Register {
    histories: Mutex<Histories>,
}

impl Register {
    pub fn new() -> Register {
        Register::default()
    }

    fn draw_key(&self, prng: &mut Prng) -> i64 {
        let mut histories = self.histories.lock();
        histories.operations_begun += 1;
        histories.operations_begun / OPERATIONS_PER_KEY + prng.below(KEYS_OPEN) as i64
    }

    fn remember(&self, key: i64, operation: Operation) {
        self.histories.lock().by_key.entry(key).or_default().push(operation);
    }
}

/// What the end of the statement says about the action; `None` if it certainly had no effect and gave nothing.
fn observed(action: Action, fate: &Fate<Answer>) -> Result<Option<Action>, Failure> {
    Ok(match (action, fate) {
        (_, Fate::Aborted(_)) | (Action::Read(_), Fate::Unknown(_)) => None,
        (Action::Read(_), Fate::Committed(answer)) => {
            let seen = if answer.rows.is_empty() { None } else { Some(answer.integer(0, 0)?) };
            Some(Action::Read(seen))
        }
        (Action::CompareAndSet { expected, new, .. }, Fate::Committed(answer)) => {
            Some(Action::CompareAndSet { expected, new, applied: Some(answer.count == 1) })
        }
        (action, _) => Some(action),
    })
}

impl Workload for Register {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let columns = "key int8 PRIMARY KEY, value int8 NOT NULL";
            client.execute(&format!("CREATE TABLE registers ({columns})"), &[]).await.map(drop)
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let key = self.draw_key(&mut seat.prng);
            let [expected, new] = [0, 1].map(|_| seat.prng.below(VALUES) as i64);
            let (sql, parameters, action) = match seat.prng.below(4) {
                0 | 1 => ("SELECT value FROM registers WHERE key = $1", vec![key], Action::Read(None)),
                2 => (
                    "INSERT INTO registers (key, value) VALUES ($1, $2) \
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    vec![key, new],
                    Action::Write(new),
                ),
                _ => (
                    "UPDATE registers SET value = $2 WHERE key = $1 AND value = $3",
                    vec![key, new, expected],
                    Action::CompareAndSet { expected, new, applied: None },
                ),
            };
            let parameters: Vec<_> = parameters.into_iter().map(Into::into).collect();
            let called = seat.journal.tick();
            let fate = single(&mut *seat.client, sql, &parameters).await;
            let returned = (!matches!(fate, Fate::Unknown(_))).then(|| seat.journal.tick());
            let seen =
                observed(action, &fate).map_err(|failure| Violation::new(NAME, failure.to_string()))?;
            if let Some(action) = seen {
                self.remember(key, Operation { called, returned, action });
            }
            let action = seen.unwrap_or(action);
            seat.ended(NAME, format_args!("key {key}, {action:?}"), &fate)
        })
    }

    /// Adds a read of every key to the histories.
    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let newest = self.histories.lock().operations_begun / OPERATIONS_PER_KEY + KEYS_OPEN as i64;
            let called = journal.tick();
            let answer = client.execute("SELECT key, value FROM registers", &[]).await?;
            let returned = Some(journal.tick());
            let values: BTreeMap<i64, i64> =
                answer.integers(0)?.into_iter().zip(answer.integers(1)?).collect();
            for key in 0..=newest {
                let action = Action::Read(values.get(&key).copied());
                self.remember(key, Operation { called, returned, action });
            }
            Ok(())
        })
    }

    fn verify(&self) -> Result<(), Violation> {
        for (key, operations) in &self.histories.lock().by_key {
            linearizable::check(operations)
                .map_err(|what| Violation::new(NAME, format!("key {key} is not linearizable: {what}")))?;
        }
        Ok(())
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let newest = self.histories.lock().operations_begun / OPERATIONS_PER_KEY;
        format!("ALTER TABLE registers SPLIT AT VALUES ({})", prng.below(newest as u64 + 5))
    }
}
