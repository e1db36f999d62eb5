//! Write skew: transactions that read what the other writes, and would each be right alone.
//!
//! - *Pairs* (Adya's G2): two transactions each look for any row of their pair, and insert one if there is none. At most one row of
//!   a pair may come to be. The read is of a predicate: a phantom breaks it.
//! - *Shifts*: somebody goes off call if at least one other is on call. Somebody is on call in every shift at every moment.
//!
//! Only SERIALIZABLE keeps either.

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;
use crate::transaction::{Isolation, begin, finish};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "write-skew";
const SHIFTS: i64 = 3;
const DOCTORS: i64 = 3;
/// Clients draw their pair from the latest of this many.
const PAIRS_OPEN: u64 = 3;

pub struct WriteSkew {
    isolation: Isolation,
    /// Transactions that were given a pair so far.
    given: Mutex<i64>,
}

impl WriteSkew {
    /// At any other level than SERIALIZABLE the invariants break: which shows that the check can fail.
    pub fn new(isolation: Isolation) -> WriteSkew {
        WriteSkew { isolation, given: Mutex::new(0) }
    }

    async fn pair(&self, seat: &mut Seat) -> Result<(), Violation> {
        let number = {
            let mut given = self.given.lock();
            *given += 1;
            *given
        };
        let pair = number / 2 + seat.prng.below(PAIRS_OPEN) as i64;
        let table = if seat.prng.chance(0.5) { "skew_left" } else { "skew_right" };
        let client = &mut *seat.client;
        let body = async {
            begin(client, self.isolation).await?;
            for table in ["skew_left", "skew_right"] {
                let sql = format!("SELECT count(*) FROM {table} WHERE pair = $1");
                if client.execute(&sql, &[pair.into()]).await?.integer(0, 0)? > 0 {
                    return Ok(());
                }
            }
            let sql = format!("INSERT INTO {table} (pair, number) VALUES ($1, $2)");
            client.execute(&sql, &[pair.into(), number.into()]).await.map(drop)
        };
        let body = body.await;
        let fate = finish(client, body).await;
        seat.ended(NAME, format_args!("pair {pair}, number {number}, {table}"), &fate)
    }

    async fn shift(&self, seat: &mut Seat) -> Result<(), Violation> {
        let shift = seat.prng.below(SHIFTS as u64) as i64;
        let doctor = seat.prng.below(DOCTORS as u64) as i64;
        let leaves = seat.prng.chance(0.6);
        let client = &mut *seat.client;
        let body = async {
            begin(client, self.isolation).await?;
            if leaves {
                let others =
                    "SELECT count(*) FROM skew_shifts WHERE shift = $1 AND doctor <> $2 AND on_call = 1";
                if client.execute(others, &[shift.into(), doctor.into()]).await?.integer(0, 0)? == 0 {
                    return Ok(());
                }
            }
            let sql = "UPDATE skew_shifts SET on_call = $1 WHERE shift = $2 AND doctor = $3";
            let on_call = i64::from(!leaves);
            client.execute(sql, &[on_call.into(), shift.into(), doctor.into()]).await.map(drop)
        };
        let body = body.await;
        let fate = finish(client, body).await;
        let what = if leaves { "leaves" } else { "comes" };
        seat.ended(NAME, format_args!("shift {shift}: doctor {doctor} {what}"), &fate)
    }
}

impl Workload for WriteSkew {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for table in ["skew_left", "skew_right"] {
                let columns = "pair int8, number int8, PRIMARY KEY (pair, number)";
                client.execute(&format!("CREATE TABLE {table} ({columns})"), &[]).await?;
            }
            let columns = "shift int8, doctor int8, on_call int8 NOT NULL, PRIMARY KEY (shift, doctor)";
            client.execute(&format!("CREATE TABLE skew_shifts ({columns})"), &[]).await?;
            for shift in 0..SHIFTS {
                for doctor in 0..DOCTORS {
                    let sql = "INSERT INTO skew_shifts (shift, doctor, on_call) VALUES ($1, $2, 1)";
                    client.execute(sql, &[shift.into(), doctor.into()]).await?;
                }
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(
            async move { if seat.prng.chance(0.5) { self.pair(seat).await } else { self.shift(seat).await } },
        )
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let crowded = "SELECT pair, count(*) FROM \
                (SELECT pair FROM skew_left UNION ALL SELECT pair FROM skew_right) AS rows \
                GROUP BY pair HAVING count(*) > 1 ORDER BY pair";
            let answer = client.execute(crowded, &[]).await?;
            if !answer.rows.is_empty() {
                let what = format!("pair {} has {} rows", answer.integer(0, 0)?, answer.integer(0, 1)?);
                return Err(Violation::new(NAME, what).into());
            }
            let staffed = "SELECT shift, sum(on_call) FROM skew_shifts GROUP BY shift ORDER BY shift";
            let answer = client.execute(staffed, &[]).await?;
            let on_call = answer.integers(1)?;
            if on_call.len() as i64 != SHIFTS || on_call.contains(&0) {
                return Err(Violation::new(NAME, format!("on call in the shifts: {on_call:?}")).into());
            }
            Ok(())
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let pair = prng.below(*self.given.lock() as u64 / 2 + 5);
        match prng.below(3) {
            0 => format!("ALTER TABLE skew_left SPLIT AT VALUES ({pair})"),
            1 => format!("ALTER TABLE skew_right SPLIT AT VALUES ({pair})"),
            _ => {
                let (shift, doctor) = (prng.below(SHIFTS as u64), prng.below(DOCTORS as u64));
                format!("ALTER TABLE skew_shifts SPLIT AT VALUES ({shift}, {doctor})")
            }
        }
    }
}
