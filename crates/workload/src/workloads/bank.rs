//! Bank: transfers between accounts, each with a line in a ledger, over one table or several.
//!
//! What must hold at every moment, in every snapshot:
//!
//! - The sum of all balances is what it was at the start, and no balance is negative.
//! - Every balance is the initial one plus what the ledger says: a transfer is there as a whole or not at all.
//! - The ledger has every acknowledged transfer, and none that was refused.
//!
//! - A moment of the past (AS OF SYSTEM TIME) shows all of this as well, always the same, and everything that an earlier one shows.
//!
//! A transfer is made in one of three styles, because each takes another way through the database: arithmetic inside UPDATE, reading
//! and then writing what was computed (which only snapshot isolation and above keep right), and reading FOR UPDATE.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use super::bank_past::{Past, Picture};
use crate::client::{Answer, Client, Failure, Parameter};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "bank";
/// A transfer that meets a conflict is tried again this often.
const ATTEMPTS_MAX: u32 = 4;

#[derive(Clone, Debug)]
pub struct BankOptions {
    pub accounts: u32,
    /// Account `i` lives in table `i` modulo this.
    pub tables: u32,
    pub initial_balance: i64,
    pub isolation: Isolation,
    /// Clients also read AS OF SYSTEM TIME.
    pub reads_past: bool,
}

impl Default for BankOptions {
    fn default() -> BankOptions {
        let isolation = Isolation::Serializable;
        BankOptions { accounts: 16, tables: 1, initial_balance: 100, isolation, reads_past: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    pub source: i64,
    pub target: i64,
    pub amount: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `SET balance = balance - $1`.
    Arithmetic,
    /// SELECT, then `SET balance = $1`.
    ReadThenWrite,
    /// SELECT ... FOR UPDATE, then `SET balance = $1`.
    Locking,
}

#[derive(Default)]
struct Told {
    attempted: BTreeMap<i64, Transfer>,
    acknowledged: BTreeSet<i64>,
    refused: BTreeSet<i64>,
}

pub struct Bank {
    options: BankOptions,
    told: Mutex<Told>,
    past: Mutex<Past>,
}

impl Bank {
    /// Panics if there are fewer than two accounts, or no table.
    pub fn new(options: BankOptions) -> Bank {
        assert!(options.accounts >= 2 && options.tables >= 1, "money needs somewhere to go");
        Bank { options, told: Mutex::default(), past: Mutex::default() }
    }

    /// How many transfers were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.told.lock().acknowledged.len()
    }

    fn table(&self, account: i64) -> String {
        format!("bank_{}", account % i64::from(self.options.tables))
    }

    /// One statement that reads every account, whatever the number of tables.
    fn all_balances(&self) -> String {
        let parts: Vec<String> =
            (0..self.options.tables).map(|n| format!("SELECT id, balance FROM bank_{n}")).collect();
        parts.join(" UNION ALL ")
    }

    fn draw(&self, prng: &mut Prng) -> (i64, Transfer, Style) {
        let accounts = u64::from(self.options.accounts);
        let source = prng.below(accounts);
        let target = (source + 1 + prng.below(accounts - 1)) % accounts;
        let amount = prng.range(1..10) as i64;
        let transfer = Transfer { source: source as i64, target: target as i64, amount };
        let styles: &[Style] = match self.options.isolation {
            Isolation::ReadCommitted => &[Style::Arithmetic, Style::Locking],
            _ => &[Style::Arithmetic, Style::ReadThenWrite, Style::Locking],
        };
        let style = styles[prng.index(styles.len())];
        let mut told = self.told.lock();
        let id = told.attempted.len() as i64;
        told.attempted.insert(id, transfer);
        (id, transfer, style)
    }

    async fn transfer(&self, seat: &mut Seat) -> Result<(), Violation> {
        let (id, transfer, style) = self.draw(&mut seat.prng);
        for attempt in 1..=ATTEMPTS_MAX {
            let client = &mut *seat.client;
            let body = self.move_money(client, id, transfer, style).await;
            let fate = match body {
                Ok(true) => finish(client, Ok(())).await,
                // Not enough there: whatever was done is taken back.
                Ok(false) => finish(client, Err(Failure::server("40000", "not enough money"))).await,
                Err(failure) => finish(client, Err(failure)).await,
            };
            let broke = fate.failure().is_some_and(|failure| failure.code.as_deref() == Some("40000"));
            let what = format_args!("transfer {id} {transfer:?} {style:?}");
            let again =
                matches!(&fate, Fate::Aborted(failure) if failure.is_retryable()) && attempt < ATTEMPTS_MAX;
            {
                let mut told = self.told.lock();
                match &fate {
                    Fate::Committed(()) => drop(told.acknowledged.insert(id)),
                    Fate::Aborted(_) if !again => drop(told.refused.insert(id)),
                    Fate::Aborted(_) | Fate::Unknown(_) => {}
                }
            }
            if broke {
                seat.journal.note(format_args!("{what}: not enough money"));
                return Ok(());
            }
            seat.ended(NAME, what, &fate)?;
            if !again {
                break;
            }
        }
        Ok(())
    }

    /// The statements of a transfer, without its end; false if the source has not enough.
    async fn move_money(
        &self,
        client: &mut dyn Client,
        id: i64,
        transfer: Transfer,
        style: Style,
    ) -> Result<bool, Failure> {
        let Transfer { source, target, amount } = transfer;
        begin(client, self.options.isolation).await?;
        if style == Style::Arithmetic {
            let debit = format!(
                "UPDATE {} SET balance = balance - $1 WHERE id = $2 AND balance >= $1",
                self.table(source)
            );
            if client.execute(&debit, &[amount.into(), source.into()]).await?.count == 0 {
                return Ok(false);
            }
            let credit = format!("UPDATE {} SET balance = balance + $1 WHERE id = $2", self.table(target));
            client.execute(&credit, &[amount.into(), target.into()]).await?;
        } else {
            let lock = if style == Style::Locking { " FOR UPDATE" } else { "" };
            let source_balance = self.balance(client, source, lock).await?;
            let target_balance = self.balance(client, target, lock).await?;
            if source_balance < amount {
                return Ok(false);
            }
            self.set_balance(client, source, source_balance - amount).await?;
            self.set_balance(client, target, target_balance + amount).await?;
        }
        let line = [id, source, target, amount].map(Parameter::Integer);
        let ledger = "INSERT INTO bank_ledger (id, source, target, amount) VALUES ($1, $2, $3, $4)";
        client.execute(ledger, &line).await?;
        Ok(true)
    }

    async fn balance(&self, client: &mut dyn Client, account: i64, lock: &str) -> Result<i64, Failure> {
        let sql = format!("SELECT balance FROM {} WHERE id = $1{lock}", self.table(account));
        client.execute(&sql, &[account.into()]).await?.integer(0, 0)
    }

    async fn set_balance(&self, client: &mut dyn Client, account: i64, balance: i64) -> Result<(), Failure> {
        let sql = format!("UPDATE {} SET balance = $1 WHERE id = $2", self.table(account));
        client.execute(&sql, &[balance.into(), account.into()]).await.map(drop)
    }

    /// Reads the total as a client would: in one statement, or table by table in one transaction.
    async fn read_total(&self, seat: &mut Seat) -> Result<(), Violation> {
        let in_one = self.options.isolation == Isolation::ReadCommitted || seat.prng.chance(0.5);
        let client = &mut *seat.client;
        let body = self.balances(client, in_one).await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("read of the total"), &fate)?;
        match fate {
            Fate::Committed(balances) => self.judge_total(&balances),
            _ => Ok(()),
        }
    }

    async fn balances(&self, client: &mut dyn Client, in_one: bool) -> Result<BTreeMap<i64, i64>, Failure> {
        begin(client, self.options.isolation).await?;
        if in_one {
            return pairs(&client.execute(&self.all_balances(), &[]).await?);
        }
        let mut balances = BTreeMap::new();
        for table in 0..self.options.tables {
            let sql = format!("SELECT id, balance FROM bank_{table} ORDER BY id");
            balances.append(&mut pairs(&client.execute(&sql, &[]).await?)?);
        }
        Ok(balances)
    }

    /// Reads all of the bank as of a time, new or read before.
    async fn read_past(&self, seat: &mut Seat) -> Result<(), Violation> {
        let again = seat.prng.chance(0.3).then(|| self.past.lock().remembered(seat.prng.index(1 << 20)));
        let (ago, is_block) = (seat.prng.below(1_500_000), seat.prng.chance(0.5));
        let new = if seat.prng.chance(0.5) { "follower_read_timestamp()" } else { "clock_timestamp()" };
        let back = if new == "clock_timestamp()" { ago } else { 0 };
        let client = &mut *seat.client;
        let body = async {
            let time = match again.flatten() {
                Some(time) => time,
                None => {
                    let now = format!("SELECT (extract(epoch FROM {new}) * 1000000)::int8 - {back}");
                    client.execute(&now, &[]).await?.integer(0, 0)?
                }
            };
            Ok((time, self.picture_at(client, time, is_block).await))
        };
        let body: Result<(i64, Result<Picture, Failure>), Failure> = body.await;
        let (time, picture) = match body {
            Ok(read) => read,
            Err(failure) => return seat.ended(NAME, format_args!("a time"), &Fate::<()>::Aborted(failure)),
        };
        let fate = match picture {
            Ok(picture) if is_block => finish(&mut *seat.client, Ok(picture)).await,
            Ok(picture) => Fate::Committed(picture),
            Err(failure) => finish::<Picture>(&mut *seat.client, Err(failure)).await,
        };
        let complain = |what: String| Violation::new(NAME, format!("as of {time}: {what}"));
        let code = fate.failure().and_then(|failure| failure.code.as_deref());
        match code {
            // No table yet.
            Some("42P01") => return self.past.lock().was_not_there(time).map_err(complain),
            // In the future of the node that was asked: its clock is behind.
            Some("22023") => return Ok(()),
            _ => seat.ended(NAME, format_args!("read as of {time}"), &fate)?,
        }
        let Fate::Committed(picture) = fate else { return Ok(()) };
        if picture.balances.len() < self.options.accounts as usize {
            return self.past.lock().was_not_there(time).map_err(complain);
        }
        self.judge_total(&picture.balances)?;
        self.judge_ledger(&BTreeSet::new(), &picture.balances, &picture.ledger)?;
        self.past.lock().judge(time, picture).map_err(complain)
    }

    async fn picture_at(
        &self,
        client: &mut dyn Client,
        time: i64,
        is_block: bool,
    ) -> Result<Picture, Failure> {
        let mut as_of = format!(" AS OF SYSTEM TIME {time}000");
        if is_block {
            client.execute(&format!("BEGIN{as_of}"), &[]).await?;
            as_of.clear();
        }
        let balances = pairs(&client.execute(&format!("{}{as_of}", self.all_balances()), &[]).await?)?;
        let ledger = format!("SELECT id, source, target, amount FROM bank_ledger{as_of}");
        Ok(Picture { balances, ledger: ledger_lines(&client.execute(&ledger, &[]).await?)? })
    }

    fn judge_total(&self, balances: &BTreeMap<i64, i64>) -> Result<(), Violation> {
        let expected = i64::from(self.options.accounts) * self.options.initial_balance;
        let total: i64 = balances.values().sum();
        let is_right = total == expected
            && balances.len() == self.options.accounts as usize
            && balances.values().all(|balance| *balance >= 0);
        if is_right {
            return Ok(());
        }
        Err(Violation::new(NAME, format!("the total is {total}, not {expected}; balances {balances:?}")))
    }

    fn judge_ledger(
        &self,
        acknowledged: &BTreeSet<i64>,
        balances: &BTreeMap<i64, i64>,
        ledger: &BTreeMap<i64, Transfer>,
    ) -> Result<(), Violation> {
        let told = self.told.lock();
        let complain = |what: String| Err(Violation::new(NAME, what));
        if let Some(lost) = acknowledged.iter().find(|id| !ledger.contains_key(id)) {
            return complain(format!("transfer {lost} was acknowledged, and is not in the ledger"));
        }
        if let Some(risen) = told.refused.iter().find(|id| ledger.contains_key(id)) {
            return complain(format!("transfer {risen} was refused, and is in the ledger"));
        }
        if let Some((id, line)) = ledger.iter().find(|(id, line)| told.attempted.get(id) != Some(line)) {
            return complain(format!("the ledger has {line:?} as transfer {id}, which nobody made"));
        }
        let mut expected: BTreeMap<i64, i64> = (0..i64::from(self.options.accounts))
            .map(|account| (account, self.options.initial_balance))
            .collect();
        for line in ledger.values() {
            *expected.entry(line.source).or_default() -= line.amount;
            *expected.entry(line.target).or_default() += line.amount;
        }
        if expected != *balances {
            return complain(format!("by the ledger the balances are {expected:?}, read were {balances:?}"));
        }
        Ok(())
    }
}

fn pairs(answer: &Answer) -> Result<BTreeMap<i64, i64>, Failure> {
    (0..answer.rows.len()).map(|row| Ok((answer.integer(row, 0)?, answer.integer(row, 1)?))).collect()
}

fn ledger_lines(answer: &Answer) -> Result<BTreeMap<i64, Transfer>, Failure> {
    let line = |row| {
        let [source, target, amount] = [1, 2, 3].map(|column| answer.integer(row, column));
        Ok((answer.integer(row, 0)?, Transfer { source: source?, target: target?, amount: amount? }))
    };
    (0..answer.rows.len()).map(line).collect()
}

impl Workload for Bank {
    fn name(&self) -> &'static str {
        NAME
    }

    fn description(&self) -> String {
        format!("{NAME}, {:?}", self.options)
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for table in 0..self.options.tables {
                let columns = "id int8 PRIMARY KEY, balance int8 NOT NULL CHECK (balance >= 0)";
                client.execute(&format!("CREATE TABLE bank_{table} ({columns})"), &[]).await?;
            }
            let columns =
                "id int8 PRIMARY KEY, source int8 NOT NULL, target int8 NOT NULL, amount int8 NOT NULL";
            client.execute(&format!("CREATE TABLE bank_ledger ({columns})"), &[]).await?;
            for account in 0..i64::from(self.options.accounts) {
                let sql = format!("INSERT INTO {} (id, balance) VALUES ($1, $2)", self.table(account));
                client.execute(&sql, &[account.into(), self.options.initial_balance.into()]).await?;
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            if self.options.reads_past && seat.prng.chance(0.3) {
                return self.read_past(seat).await;
            }
            if seat.prng.chance(0.8) { self.transfer(seat).await } else { self.read_total(seat).await }
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
                let balances = pairs(&client.execute(&self.all_balances(), &[]).await?)?;
                let ledger = "SELECT id, source, target, amount FROM bank_ledger";
                Ok((balances, ledger_lines(&client.execute(ledger, &[]).await?)?))
            };
            let body = body.await;
            let (balances, ledger) = finish(client, body).await.committed()?;
            self.judge_total(&balances)?;
            Ok(self.judge_ledger(&acknowledged, &balances, &ledger)?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        if prng.chance(0.3) {
            let last = self.told.lock().attempted.len() as u64;
            return format!("ALTER TABLE bank_ledger SPLIT AT VALUES ({})", prng.below(last + 10));
        }
        let account = prng.below(u64::from(self.options.accounts)) as i64;
        format!("ALTER TABLE {} SPLIT AT VALUES ({account})", self.table(account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> Bank {
        let bank = Bank::new(BankOptions { accounts: 2, ..BankOptions::default() });
        let transfer = Transfer { source: 0, target: 1, amount: 5 };
        let mut told = bank.told.lock();
        told.attempted.extend([(0, transfer), (1, transfer), (2, transfer)]);
        told.acknowledged.insert(0);
        told.refused.insert(1);
        drop(told);
        bank
    }

    fn judge(balances: [(i64, i64); 2], ledger: &[i64]) -> Result<(), String> {
        let bank = bank();
        let transfer = Transfer { source: 0, target: 1, amount: 5 };
        let ledger = ledger.iter().map(|id| (*id, transfer)).collect();
        let acknowledged = bank.told.lock().acknowledged.clone();
        let balances = BTreeMap::from(balances);
        bank.judge_total(&balances)
            .and_then(|()| bank.judge_ledger(&acknowledged, &balances, &ledger))
            .map_err(|violation| violation.what)
    }

    #[test]
    fn a_right_bank_is_accepted_with_or_without_the_unknown_transfer() {
        assert_eq!(judge([(0, 95), (1, 105)], &[0]), Ok(()));
        assert_eq!(judge([(0, 90), (1, 110)], &[0, 2]), Ok(()));
    }

    #[test]
    fn each_way_to_lose_money_is_found() {
        let found = |balances, ledger: &[i64]| judge(balances, ledger).expect_err("it is wrong");
        assert!(found([(0, 95), (1, 100)], &[0]).contains("the total is 195"));
        assert!(found([(0, 205), (1, -5)], &[0]).contains("the total is 200"));
        assert!(found([(0, 100), (1, 100)], &[]).contains("acknowledged"));
        assert!(found([(0, 90), (1, 110)], &[0, 1]).contains("refused"));
        assert!(found([(0, 100), (1, 100)], &[0]).contains("by the ledger"));
        assert!(found([(0, 90), (1, 110)], &[0, 7]).contains("nobody made"));
    }
}
