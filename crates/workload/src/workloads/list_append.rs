//! List-append: transactions that append to lists and read them. The history must have no cycle of dependencies
//! ([`crate::check::list_append`]).
//!
//! A list is a row whose text grows. Appends are upserts, or reads followed by a write of the whole; reads are of one key, or of a
//! span of keys in one statement, in which an absent row is an empty list (so that phantoms count).

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::check::list_append::{Claim, End, Item, Key, Operation, Transaction, check};
use crate::client::{Client, Failure, Parameter};
use crate::journal::{Journal, Tick};
use crate::transaction::{Fate, Isolation, begin, finish};
use crate::workload::{ClientNumber, Seat, Trouble, Violation, Workload};

const NAME: &str = "list-append";
/// Lists in use at one time.
const KEYS_OPEN: u64 = 6;
/// Items appended before the window of keys moves on by one.
const ITEMS_PER_KEY: u64 = 16;
const OPERATIONS_MAX: u64 = 5;
/// Keys that a read of a span covers.
const SPAN: u64 = 4;

#[derive(Clone, Debug)]
pub struct ListAppendOptions {
    /// A key lives in the table of its number modulo this.
    pub tables: u64,
    pub isolation: Isolation,
    pub claim: Claim,
}

impl Default for ListAppendOptions {
    fn default() -> ListAppendOptions {
        ListAppendOptions { tables: 2, isolation: Isolation::Serializable, claim: Claim::StrictSerializable }
    }
}

#[derive(Default)]
struct Recorded {
    next_item: u64,
    history: Vec<Transaction>,
}

pub struct ListAppend {
    options: ListAppendOptions,
    recorded: Mutex<Recorded>,
}

/// What a transaction is going to do.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// An upsert.
    Append(Key, Item),
    /// A read, and a write of what was read with the item.
    Rewrite(Key, Item),
    Read(Key),
    ReadSpan(Key),
}

impl ListAppend {
    /// Panics if there is no table.
    pub fn new(options: ListAppendOptions) -> ListAppend {
        assert!(options.tables > 0, "lists live in tables");
        ListAppend { options, recorded: Mutex::default() }
    }

    /// The transactions so far.
    pub fn history(&self) -> Vec<Transaction> {
        self.recorded.lock().history.clone()
    }

    fn table(&self, key: Key) -> String {
        format!("lists_{}", key.0 % self.options.tables)
    }

    fn draw(&self, prng: &mut Prng) -> Vec<Plan> {
        let mut recorded = self.recorded.lock();
        // READ COMMITTED lets others write between the read and the write: their items would be gone.
        let rewrites = self.options.isolation != Isolation::ReadCommitted;
        let count = prng.range(1..OPERATIONS_MAX + 1);
        (0..count)
            .map(|_| {
                let oldest = recorded.next_item / ITEMS_PER_KEY;
                let key = Key(oldest + prng.below(KEYS_OPEN));
                let mut item = || {
                    recorded.next_item += 1;
                    Item(recorded.next_item)
                };
                match prng.below(10) {
                    0..4 => Plan::Append(key, item()),
                    4..6 if rewrites => Plan::Rewrite(key, item()),
                    4..6 => Plan::Append(key, item()),
                    6..9 => Plan::Read(key),
                    _ => Plan::ReadSpan(key),
                }
            })
            .collect()
    }

    /// Runs the planned operations; what was done so far is in `done` even if it fails.
    async fn run(
        &self,
        client: &mut dyn Client,
        plans: &[Plan],
        done: &mut Vec<Operation>,
    ) -> Result<(), Failure> {
        begin(client, self.options.isolation).await?;
        for plan in plans {
            match *plan {
                Plan::Append(key, item) => {
                    done.push(Operation::Append(key, item));
                    self.append(client, key, item).await?;
                }
                Plan::Rewrite(key, item) => {
                    let items = self.read(client, key).await?;
                    let is_new = items.is_none();
                    let mut items = items.unwrap_or_default();
                    done.push(Operation::Read(key, items.clone()));
                    done.push(Operation::Append(key, item));
                    items.push(item);
                    self.write(client, key, &items, is_new).await?;
                }
                Plan::Read(key) => {
                    let items = self.read(client, key).await?.unwrap_or_default();
                    done.push(Operation::Read(key, items));
                }
                Plan::ReadSpan(key) => {
                    let lists = self.read_span(client, key).await?;
                    done.extend(lists.into_iter().map(|(key, items)| Operation::Read(key, items)));
                }
            }
        }
        Ok(())
    }

    async fn append(&self, client: &mut dyn Client, key: Key, item: Item) -> Result<(), Failure> {
        let table = self.table(key);
        let sql = format!(
            "INSERT INTO {table} (key, items) VALUES ($1, $2) \
             ON CONFLICT (key) DO UPDATE SET items = {table}.items || ',' || excluded.items"
        );
        client.execute(&sql, &[number(key.0), Parameter::Text(item.0.to_string())]).await.map(drop)
    }

    async fn write(
        &self,
        client: &mut dyn Client,
        key: Key,
        items: &[Item],
        is_new: bool,
    ) -> Result<(), Failure> {
        let table = self.table(key);
        let sql = match is_new {
            true => format!("INSERT INTO {table} (key, items) VALUES ($1, $2)"),
            false => format!("UPDATE {table} SET items = $2 WHERE key = $1"),
        };
        client.execute(&sql, &[number(key.0), Parameter::Text(print(items))]).await.map(drop)
    }

    /// `None` if the list does not exist yet.
    async fn read(&self, client: &mut dyn Client, key: Key) -> Result<Option<Vec<Item>>, Failure> {
        let sql = format!("SELECT items FROM {} WHERE key = $1", self.table(key));
        let answer = client.execute(&sql, &[number(key.0)]).await?;
        answer.first_text().map(parse).transpose()
    }

    /// Reads the lists of one table from `key` on, absent ones as empty.
    async fn read_span(
        &self,
        client: &mut dyn Client,
        key: Key,
    ) -> Result<BTreeMap<Key, Vec<Item>>, Failure> {
        let sql = format!("SELECT key, items FROM {} WHERE key BETWEEN $1 AND $2", self.table(key));
        let last = key.0 + (SPAN - 1) * self.options.tables;
        let answer = client.execute(&sql, &[number(key.0), number(last)]).await?;
        let mut lists: BTreeMap<Key, Vec<Item>> =
            (0..SPAN).map(|step| (Key(key.0 + step * self.options.tables), Vec::new())).collect();
        for row in 0..answer.rows.len() {
            let key = Key(answer.integer(row, 0)? as u64);
            let items = parse(answer.rows[row][1].as_deref().unwrap_or_default())?;
            if lists.insert(key, items).is_none() {
                return Err(Failure::nonsense(format!("{key:?} is outside of what was asked for")));
            }
        }
        Ok(lists)
    }

    /// Reads every list up to `newest`.
    async fn read_all(
        &self,
        client: &mut dyn Client,
        newest: Key,
        done: &mut Vec<Operation>,
    ) -> Result<(), Failure> {
        begin(client, self.options.isolation).await?;
        let mut lists: BTreeMap<Key, Vec<Item>> = (0..=newest.0).map(|key| (Key(key), Vec::new())).collect();
        for table in 0..self.options.tables {
            let answer = client.execute(&format!("SELECT key, items FROM lists_{table}"), &[]).await?;
            for row in 0..answer.rows.len() {
                let items = parse(answer.rows[row][1].as_deref().unwrap_or_default())?;
                lists.insert(Key(answer.integer(row, 0)? as u64), items);
            }
        }
        done.extend(lists.into_iter().map(|(key, items)| Operation::Read(key, items)));
        Ok(())
    }

    fn record(
        &self,
        client: ClientNumber,
        journal: &Journal,
        began: Tick,
        operations: Vec<Operation>,
        fate: &Fate<()>,
    ) {
        let end = match fate {
            Fate::Committed(()) => End::Committed,
            Fate::Aborted(_) => End::Aborted,
            Fate::Unknown(_) => End::Unknown,
        };
        let ended = journal.tick();
        let transaction = Transaction { client, began, ended, end, operations };
        self.recorded.lock().history.push(transaction);
    }
}

fn number(number: u64) -> Parameter {
    Parameter::Integer(number as i64)
}

fn print(items: &[Item]) -> String {
    let items: Vec<String> = items.iter().map(|item| item.0.to_string()).collect();
    items.join(",")
}

fn parse(text: &str) -> Result<Vec<Item>, Failure> {
    let item = |text: &str| text.parse().map(Item);
    let items: Result<Vec<Item>, _> = text.split(',').map(item).collect();
    items.map_err(|_| Failure::nonsense(format!("{text:?} is no list of items")))
}

impl Workload for ListAppend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for table in 0..self.options.tables {
                let columns = "key int8 PRIMARY KEY, items text NOT NULL";
                client.execute(&format!("CREATE TABLE lists_{table} ({columns})"), &[]).await?;
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let plans = self.draw(&mut seat.prng);
            let began = seat.journal.tick();
            let mut operations = Vec::new();
            let body = self.run(&mut *seat.client, &plans, &mut operations).await;
            let fate = finish(&mut *seat.client, body).await;
            self.record(seat.number, &seat.journal, began, operations.clone(), &fate);
            let fate = match fate {
                // Below SERIALIZABLE two may find a list absent and both insert it.
                Fate::Aborted(failure) if failure.is_unique_violation() => {
                    Fate::Aborted(Failure::server("40001", failure.message))
                }
                fate => fate,
            };
            seat.ended(NAME, format_args!("{operations:?}"), &fate)
        })
    }

    /// Reads every list in one transaction, which becomes part of the history.
    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let began = journal.tick();
            let newest = self.recorded.lock().next_item / ITEMS_PER_KEY + KEYS_OPEN;
            let mut operations = Vec::new();
            let body = self.read_all(client, Key(newest), &mut operations).await;
            let fate = finish(client, body).await;
            self.record(ClientNumber::CHECKER, journal, began, operations, &fate);
            match fate {
                Fate::Committed(()) => Ok(()),
                Fate::Aborted(failure) | Fate::Unknown(failure) => Err(failure.into()),
            }
        })
    }

    fn verify(&self) -> Result<(), Violation> {
        let history = self.history();
        let findings = check(&history, self.options.claim);
        match findings.first() {
            None => Ok(()),
            Some(first) => {
                let what = format!("{} findings in {} transactions; {first}", findings.len(), history.len());
                Err(Violation::new(NAME, what))
            }
        }
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let oldest = self.recorded.lock().next_item / ITEMS_PER_KEY;
        let key = Key(oldest.saturating_sub(2) + prng.below(KEYS_OPEN + 4));
        format!("ALTER TABLE {} SPLIT AT VALUES ({})", self.table(key), key.0)
    }
}
