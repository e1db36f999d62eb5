//! Sets: every element is inserted as several rows that lie far apart, in one statement or one transaction, and read back.
//!
//! - An element is there with all of its rows or with none.
//! - A read shows every element that was acknowledged before the read began, and none that was refused or never inserted.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Answer, Client, Failure, Parameter};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish, single};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "sets";
/// Rows of an element; rows of different stripes lie in different ranges once the table is split.
const STRIPES: i64 = 4;
/// A read looks at about this many elements.
const READ_WINDOW: u64 = 40;

#[derive(Default)]
struct Told {
    next_element: i64,
    acknowledged: BTreeSet<i64>,
    refused: BTreeSet<i64>,
}

#[derive(Default)]
pub struct Sets {
    told: Mutex<Told>,
}

impl Sets {
    pub fn new() -> Sets {
        Sets::default()
    }

    async fn add(&self, seat: &mut Seat) -> Result<(), Violation> {
        let element = {
            let mut told = self.told.lock();
            told.next_element += 1;
            told.next_element - 1
        };
        let in_one = seat.prng.chance(0.5);
        let client = &mut *seat.client;
        let fate = if in_one {
            let rows: Vec<String> = (0..STRIPES).map(|stripe| format!("({stripe}, $1)")).collect();
            let sql = format!("INSERT INTO set_elements (stripe, element) VALUES {}", rows.join(", "));
            forget(single(client, &sql, &[element.into()]).await)
        } else {
            let body = async {
                begin(client, Isolation::Serializable).await?;
                for stripe in 0..STRIPES {
                    let sql = "INSERT INTO set_elements (stripe, element) VALUES ($1, $2)";
                    client.execute(sql, &[stripe.into(), element.into()]).await?;
                }
                Ok(())
            };
            let body = body.await;
            finish(client, body).await
        };
        {
            let mut told = self.told.lock();
            match &fate {
                Fate::Committed(()) => drop(told.acknowledged.insert(element)),
                Fate::Aborted(_) => drop(told.refused.insert(element)),
                Fate::Unknown(_) => {}
            }
        }
        seat.ended(NAME, format_args!("insert of {element}"), &fate)
    }

    async fn read(&self, seat: &mut Seat) -> Result<(), Violation> {
        let first = seat.prng.below(self.told.lock().next_element as u64 + 1) as i64;
        let window = first..first + READ_WINDOW as i64;
        let acknowledged = self.acknowledged_in(&window);
        let (sql, parameters) = read_of(&window);
        let fate = single(&mut *seat.client, sql, &parameters).await;
        seat.ended(NAME, format_args!("read of {window:?}"), &fate)?;
        match fate {
            Fate::Committed(answer) => self.judge(&acknowledged, &window, &answer),
            _ => Ok(()),
        }
    }

    fn acknowledged_in(&self, window: &std::ops::Range<i64>) -> BTreeSet<i64> {
        self.told.lock().acknowledged.range(window.clone()).copied().collect()
    }

    fn judge(
        &self,
        acknowledged: &BTreeSet<i64>,
        window: &std::ops::Range<i64>,
        answer: &Answer,
    ) -> Result<(), Violation> {
        let nonsense = |failure: Failure| Violation::new(NAME, failure.to_string());
        let stripes = answer.integers(0).map_err(nonsense)?;
        let elements = answer.integers(1).map_err(nonsense)?;
        let mut rows: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (stripe, element) in stripes.into_iter().zip(elements) {
            rows.entry(element).or_default().push(stripe);
        }
        let told = self.told.lock();
        for (element, stripes) in &mut rows {
            stripes.sort_unstable();
            let complain = |what: &str| {
                Err(Violation::new(NAME, format!("element {element}, rows {stripes:?}: {what}")))
            };
            if !window.contains(element) || *element >= told.next_element {
                return complain("nobody inserted it");
            }
            if told.refused.contains(element) {
                return complain("its insert was refused");
            }
            if !stripes.iter().copied().eq(0..STRIPES) {
                return complain("not all of its rows, each once");
            }
        }
        match acknowledged.iter().find(|element| !rows.contains_key(element)) {
            Some(lost) => {
                Err(Violation::new(NAME, format!("element {lost} was acknowledged and is not read")))
            }
            None => Ok(()),
        }
    }
}

fn read_of(window: &std::ops::Range<i64>) -> (&'static str, [Parameter; 2]) {
    let sql = "SELECT stripe, element FROM set_elements WHERE element >= $1 AND element < $2";
    (sql, [window.start.into(), window.end.into()])
}

fn forget<T>(fate: Fate<T>) -> Fate<()> {
    match fate {
        Fate::Committed(_) => Fate::Committed(()),
        Fate::Aborted(failure) => Fate::Aborted(failure),
        Fate::Unknown(failure) => Fate::Unknown(failure),
    }
}

impl Workload for Sets {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let columns = "stripe int8, element int8, PRIMARY KEY (stripe, element)";
            client.execute(&format!("CREATE TABLE set_elements ({columns})"), &[]).await.map(drop)
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(
            async move { if seat.prng.chance(0.7) { self.add(seat).await } else { self.read(seat).await } },
        )
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let everything = 0..i64::from(u32::MAX);
            let acknowledged = self.acknowledged_in(&everything);
            let (sql, parameters) = read_of(&everything);
            let answer = client.execute(sql, &parameters).await?;
            Ok(self.judge(&acknowledged, &everything, &answer)?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let elements = self.told.lock().next_element as u64;
        let (stripe, element) = (prng.below(STRIPES as u64), prng.below(elements + 10));
        format!("ALTER TABLE set_elements SPLIT AT VALUES ({stripe}, {element})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element 0 was acknowledged, 1 refused, 2 is unknown, 3 was never inserted.
    fn judge(rows: &[(i64, i64)]) -> Result<(), String> {
        let sets = Sets::new();
        let mut told = sets.told.lock();
        told.next_element = 3;
        told.acknowledged.insert(0);
        told.refused.insert(1);
        drop(told);
        let row = |(stripe, element): &(i64, i64)| vec![Some(stripe.to_string()), Some(element.to_string())];
        let answer = Answer { rows: rows.iter().map(row).collect(), count: rows.len() as u64 };
        sets.judge(&BTreeSet::from([0]), &(0..100), &answer).map_err(|violation| violation.what)
    }

    fn whole(element: i64) -> Vec<(i64, i64)> {
        (0..STRIPES).map(|stripe| (stripe, element)).collect()
    }

    #[test]
    fn what_was_told_is_accepted() {
        assert_eq!(judge(&whole(0)), Ok(()));
        assert_eq!(judge(&[whole(2), whole(0)].concat()), Ok(()));
    }

    #[test]
    fn each_wrong_read_is_found() {
        let found = |rows: &[Vec<(i64, i64)>]| judge(&rows.concat()).expect_err("it is wrong");
        assert!(found(&[]).contains("is not read"));
        assert!(found(&[whole(0), whole(1)]).contains("refused"));
        assert!(found(&[whole(0), whole(3)]).contains("nobody"));
        assert!(found(&[whole(0), whole(2)[1..].to_vec()]).contains("not all"));
        assert!(found(&[whole(0), whole(0)]).contains("not all"));
    }
}
