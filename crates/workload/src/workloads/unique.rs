//! Unique: many clients insert the same values at the same time; a primary key and a unique index each let one through.
//!
//! - No value is there twice, by the table and by the index, and both tell the same rows.
//! - An acknowledged insert is there; one that was refused is not.
//! - When an insert was refused as a duplicate (23505), the value is there, by somebody who tried to insert it.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish, single};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "unique";
/// Clients draw from this many values beyond the ones already used up: the fewer, the more they collide.
const WINDOW: u64 = 6;
/// A value stays in the window for about this many attempts.
const ATTEMPTS_PER_VALUE: i64 = 3;

/// Where a value is unique by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    /// `value` is the primary key.
    Primary,
    /// `value` has a unique index; the primary key is the owner.
    Index,
}

impl Table {
    const BOTH: [Table; 2] = [Table::Primary, Table::Index];

    fn name(self) -> &'static str {
        match self {
            Table::Primary => "unique_primary",
            Table::Index => "unique_index",
        }
    }
}

#[derive(Default)]
struct Told {
    /// The value that an owner tried to insert, and where. Owners are numbered from 0 and never come back.
    attempted: Vec<(Table, i64)>,
    acknowledged: BTreeSet<i64>,
    refused: BTreeSet<i64>,
    duplicates: BTreeSet<(Table, i64)>,
}

#[derive(Default)]
pub struct Unique {
    told: Mutex<Told>,
}

/// A row as read: owner and value.
type Row = (i64, i64);

impl Unique {
    pub fn new() -> Unique {
        Unique::default()
    }

    /// How many inserts were acknowledged.
    pub fn acknowledged_count(&self) -> usize {
        self.told.lock().acknowledged.len()
    }

    fn draw(&self, prng: &mut Prng) -> (i64, Table, i64) {
        let table = Table::BOTH[prng.index(2)];
        let mut told = self.told.lock();
        let owner = told.attempted.len() as i64;
        let value = owner / ATTEMPTS_PER_VALUE + prng.below(WINDOW) as i64;
        told.attempted.push((table, value));
        (owner, table, value)
    }

    fn remember(&self, table: Table, owner: i64, value: i64, fate: &Fate<bool>) {
        let mut told = self.told.lock();
        match fate {
            Fate::Committed(true) => drop(told.acknowledged.insert(owner)),
            Fate::Committed(false) => {
                told.refused.insert(owner);
                told.duplicates.insert((table, value));
            }
            Fate::Aborted(failure) => {
                told.refused.insert(owner);
                if failure.is_unique_violation() {
                    told.duplicates.insert((table, value));
                }
            }
            Fate::Unknown(_) => {}
        }
    }

    /// Reads a table twice, the second time in the order of its values, and compares.
    async fn read(&self, client: &mut dyn Client, table: Table) -> Result<Result<Vec<Row>, String>, Failure> {
        let name = table.name();
        let scan = client.execute(&format!("SELECT owner, value FROM {name}"), &[]).await?;
        let ordered = format!("SELECT owner, value FROM {name} WHERE value >= 0 ORDER BY value");
        let ordered = client.execute(&ordered, &[]).await?;
        let rows = |answer: &crate::Answer| -> Result<Vec<Row>, Failure> {
            Ok(answer.integers(0)?.into_iter().zip(answer.integers(1)?).collect())
        };
        let (mut scanned, mut by_value) = (rows(&scan)?, rows(&ordered)?);
        let in_order = by_value.is_sorted_by_key(|row| row.1);
        scanned.sort_unstable();
        by_value.sort_unstable();
        if scanned != by_value || !in_order {
            let count = (scanned.len(), by_value.len());
            let first = scanned.iter().zip(&by_value).find(|(left, right)| left != right);
            return Ok(Err(format!("{name} and its order by value differ: {count:?} rows, first {first:?}")));
        }
        Ok(Ok(scanned))
    }

    fn judge(
        &self,
        acknowledged: &BTreeSet<i64>,
        rejected: &BTreeSet<(Table, i64)>,
        read: &[(Table, Vec<Row>)],
    ) -> Result<(), String> {
        let told = self.told.lock();
        let mut owners = BTreeSet::new();
        for (table, rows) in read {
            let mut by_value: BTreeMap<i64, i64> = BTreeMap::new();
            for &(owner, value) in rows {
                if let Some(other) = by_value.insert(value, owner) {
                    return Err(format!("{table:?}: value {value} is there twice, by {other} and {owner}"));
                }
                if told.attempted.get(owner as usize) != Some(&(*table, value)) {
                    return Err(format!("{table:?}: {owner} never tried to insert {value}"));
                }
                if told.refused.contains(&owner) {
                    return Err(format!(
                        "{table:?}: the insert of {value} by {owner} was refused, and is there"
                    ));
                }
                owners.insert(owner);
            }
            let mut rejected = rejected.iter().filter(|(at, _)| at == table);
            if let Some((_, value)) = rejected.find(|(_, value)| !by_value.contains_key(value)) {
                return Err(format!("{table:?}: {value} was refused as a duplicate, and is not there"));
            }
        }
        match acknowledged.difference(&owners).next() {
            Some(lost) => Err(format!("the insert {:?} by {lost} is lost", told.attempted[*lost as usize])),
            None => Ok(()),
        }
    }
}

impl Workload for Unique {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let primary = "CREATE TABLE unique_primary (value int8 PRIMARY KEY, owner int8 NOT NULL)";
            client.execute(primary, &[]).await?;
            let index = "CREATE TABLE unique_index (owner int8 PRIMARY KEY, value int8 NOT NULL UNIQUE)";
            client.execute(index, &[]).await.map(drop)
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let (owner, table, value) = self.draw(&mut seat.prng);
            let insert = format!("INSERT INTO {} (owner, value) VALUES ($1, $2)", table.name());
            let parameters = [owner.into(), value.into()];
            let client = &mut *seat.client;
            let fate = match seat.prng.below(3) {
                0 => inserted(single(client, &insert, &parameters).await),
                1 => {
                    let quiet = format!("{insert} ON CONFLICT DO NOTHING");
                    inserted(single(client, &quiet, &parameters).await)
                }
                _ => {
                    let body = async {
                        begin(client, Isolation::Serializable).await?;
                        client.execute(&insert, &parameters).await
                    };
                    let body = body.await;
                    inserted(finish(client, body).await)
                }
            };
            self.remember(table, owner, value, &fate);
            let what = format_args!("insert of {value} by {owner} into {}", table.name());
            match &fate {
                Fate::Aborted(failure) if failure.is_unique_violation() => {
                    seat.journal.note(format_args!("{what}: duplicate"));
                    Ok(())
                }
                fate => seat.ended(NAME, what, fate),
            }
        })
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let (acknowledged, rejected) = {
                let told = self.told.lock();
                (told.acknowledged.clone(), told.duplicates.clone())
            };
            let body = async {
                begin(client, Isolation::RepeatableRead).await?;
                let mut read = Vec::new();
                for table in Table::BOTH {
                    read.push((table, self.read(client, table).await?));
                }
                Ok(read)
            };
            let body = body.await;
            let read = finish(client, body).await.committed()?;
            let rows: Result<Vec<(Table, Vec<Row>)>, String> =
                read.into_iter().map(|(table, rows)| Ok((table, rows?))).collect();
            let judged = rows.and_then(|rows| self.judge(&acknowledged, &rejected, &rows));
            Ok(judged.map_err(|what| Violation::new(NAME, what))?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let attempts = self.told.lock().attempted.len() as u64;
        match prng.below(2) {
            0 => format!("ALTER TABLE unique_index SPLIT AT VALUES ({})", prng.below(attempts + 20)),
            _ => format!("ALTER TABLE unique_primary SPLIT AT VALUES ({})", prng.below(attempts / 3 + 8)),
        }
    }
}

/// Whether the row went in, of a statement that affects one row or (ON CONFLICT) none.
fn inserted(fate: Fate<crate::Answer>) -> Fate<bool> {
    match fate {
        Fate::Committed(answer) => Fate::Committed(answer.count == 1),
        Fate::Aborted(failure) => Fate::Aborted(failure),
        Fate::Unknown(failure) => Fate::Unknown(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Owner 0 was acknowledged, 1 refused as a duplicate of it, 2 unknown.
    fn judge(primary: &[Row], index: &[Row]) -> Result<(), String> {
        let unique = Unique::new();
        let mut told = unique.told.lock();
        told.attempted = vec![(Table::Primary, 7), (Table::Primary, 7), (Table::Index, 7)];
        told.acknowledged.insert(0);
        told.refused.insert(1);
        told.duplicates.insert((Table::Primary, 7));
        let (acknowledged, rejected) = (told.acknowledged.clone(), told.duplicates.clone());
        drop(told);
        let read = [(Table::Primary, primary.to_vec()), (Table::Index, index.to_vec())];
        unique.judge(&acknowledged, &rejected, &read)
    }

    #[test]
    fn what_was_told_is_accepted() {
        assert_eq!(judge(&[(0, 7)], &[]), Ok(()));
        assert_eq!(judge(&[(0, 7)], &[(2, 7)]), Ok(()));
    }

    #[test]
    fn each_wrong_row_is_found() {
        let found = |primary: &[Row], index: &[Row]| judge(primary, index).expect_err("it is wrong");
        assert!(found(&[], &[]).contains("not there"));
        assert!(found(&[(0, 7), (1, 7)], &[]).contains("twice"));
        assert!(found(&[(1, 7)], &[]).contains("was refused"));
        assert!(found(&[(0, 7)], &[(2, 8)]).contains("never tried"));
        assert!(found(&[(0, 7)], &[(0, 7)]).contains("never tried"));
        assert!(found(&[(2, 7)], &[]).contains("never tried"));
    }
}
