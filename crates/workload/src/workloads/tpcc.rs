//! TPC-C, small: the five transactions of the benchmark's order entry, and its consistency conditions (TPC-C 5.11, 3.3.2) in the place of
//! its figures. Amounts are whole cents.
//!
//! | condition | says |
//! | --- | --- |
//! | 1 | a warehouse's takings are the sum of its districts' |
//! | 2 | a district's next order is the one after its highest order, and after its highest new order |
//! | 3 | the new orders of a district have no gap |
//! | 4 | orders have as many lines as they say |
//! | 5 | an order has no carrier exactly as long as it is a new order |
//! | 8, 9 | takings are the sum of the payments in the history |
//! | 10 | a customer's balance is what was delivered less what was paid |
//! | stock | what was ordered of an item is what its stock says |
//!
//! And every order that was acknowledged is there.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use stdx::Prng;

use crate::client::{Client, Failure, Parameter};
use crate::journal::Journal;
use crate::transaction::{Fate, Isolation, begin, finish};
use crate::workload::{Seat, Trouble, Violation, Workload};

const NAME: &str = "tpcc";
const WAREHOUSES: u64 = 2;
/// Of a warehouse.
const DISTRICTS: u64 = 2;
/// Of a district.
const CUSTOMERS: u64 = 4;
const ITEMS: u64 = 8;
const LINES_MAX: u64 = 4;

const TABLES: [&str; 9] = [
    "warehouse (w int8 PRIMARY KEY, ytd int8 NOT NULL)",
    "district (w int8, d int8, ytd int8 NOT NULL, next_order int8 NOT NULL, PRIMARY KEY (w, d))",
    "customer (w int8, d int8, c int8, balance int8 NOT NULL, PRIMARY KEY (w, d, c))",
    "history (w int8 NOT NULL, d int8 NOT NULL, c int8 NOT NULL, amount int8 NOT NULL)",
    "item (i int8 PRIMARY KEY, price int8 NOT NULL)",
    "stock (w int8, i int8, quantity int8 NOT NULL, ytd int8 NOT NULL, PRIMARY KEY (w, i))",
    "orders (w int8, d int8, o int8, c int8 NOT NULL, carrier int8, lines int8 NOT NULL, PRIMARY KEY (w, d, o))",
    "new_order (w int8, d int8, o int8, PRIMARY KEY (w, d, o))",
    "order_line (w int8, d int8, o int8, n int8, i int8 NOT NULL, supply int8 NOT NULL, quantity int8 NOT NULL, \
     amount int8 NOT NULL, delivered bool NOT NULL, PRIMARY KEY (w, d, o, n))",
];

/// Each gives a row for every place where the condition does not hold.
const CONDITIONS: [(&str, &str); 9] = [
    (
        "1",
        "SELECT w.w FROM tpcc_warehouse w WHERE w.ytd <> (SELECT sum(d.ytd) FROM tpcc_district d WHERE d.w = w.w)",
    ),
    (
        "2",
        "SELECT d.w, d.d FROM tpcc_district d WHERE d.next_order - 1 <> \
         (SELECT coalesce(max(o.o), 0) FROM tpcc_orders o WHERE o.w = d.w AND o.d = d.d)",
    ),
    (
        "3",
        "SELECT n.w, n.d FROM tpcc_new_order n JOIN tpcc_district d ON d.w = n.w AND d.d = n.d \
         GROUP BY n.w, n.d, d.next_order \
         HAVING max(n.o) - min(n.o) + 1 <> count(*) OR max(n.o) <> d.next_order - 1",
    ),
    (
        "4",
        "SELECT o.w, o.d, o.o FROM tpcc_orders o LEFT JOIN tpcc_order_line l ON l.w = o.w AND l.d = o.d AND l.o = o.o \
         GROUP BY o.w, o.d, o.o, o.lines HAVING count(l.n) <> o.lines",
    ),
    (
        "5",
        "SELECT o.w, o.d, o.o FROM tpcc_orders o LEFT JOIN tpcc_new_order n ON n.w = o.w AND n.d = o.d AND n.o = o.o \
         WHERE (o.carrier IS NULL) <> (n.o IS NOT NULL)",
    ),
    (
        "8",
        "SELECT w.w FROM tpcc_warehouse w WHERE w.ytd <> \
         (SELECT coalesce(sum(h.amount), 0) FROM tpcc_history h WHERE h.w = w.w)",
    ),
    (
        "9",
        "SELECT d.w, d.d FROM tpcc_district d WHERE d.ytd <> \
         (SELECT coalesce(sum(h.amount), 0) FROM tpcc_history h WHERE h.w = d.w AND h.d = d.d)",
    ),
    (
        "10",
        "SELECT c.w, c.d, c.c FROM tpcc_customer c WHERE c.balance <> \
         (SELECT coalesce(sum(l.amount), 0) FROM tpcc_orders o JOIN tpcc_order_line l \
          ON l.w = o.w AND l.d = o.d AND l.o = o.o \
          WHERE o.w = c.w AND o.d = c.d AND o.c = c.c AND l.delivered) - \
         (SELECT coalesce(sum(h.amount), 0) FROM tpcc_history h WHERE h.w = c.w AND h.d = c.d AND h.c = c.c)",
    ),
    (
        "stock",
        "SELECT s.w, s.i FROM tpcc_stock s WHERE s.ytd <> \
         (SELECT coalesce(sum(l.quantity), 0) FROM tpcc_order_line l WHERE l.supply = s.w AND l.i = s.i)",
    ),
];

type Order = (i64, i64, i64);

#[derive(Default)]
pub struct Tpcc {
    acknowledged: Mutex<BTreeSet<Order>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    warehouse: i64,
    district: i64,
}

impl Place {
    fn draw(prng: &mut Prng) -> Place {
        Place { warehouse: prng.below(WAREHOUSES) as i64, district: prng.below(DISTRICTS) as i64 }
    }

    fn parameters<const N: usize>(self, more: [i64; N]) -> Vec<Parameter> {
        let place = [self.warehouse, self.district];
        place.into_iter().chain(more).map(Parameter::Integer).collect()
    }
}

async fn run(client: &mut dyn Client, sql: &str, parameters: &[Parameter]) -> Result<crate::Answer, Failure> {
    client.execute(sql, parameters).await
}

async fn new_order(client: &mut dyn Client, place: Place, prng: &mut Prng) -> Result<Order, Failure> {
    let customer = prng.below(CUSTOMERS) as i64;
    let lines = prng.range(1..LINES_MAX + 1) as i64;
    begin(client, Isolation::Serializable).await?;
    let next = "UPDATE tpcc_district SET next_order = next_order + 1 WHERE w = $1 AND d = $2 RETURNING next_order - 1";
    let order = run(client, next, &place.parameters([])).await?.integer(0, 0)?;
    let insert = "INSERT INTO tpcc_orders (w, d, o, c, carrier, lines) VALUES ($1, $2, $3, $4, NULL, $5)";
    run(client, insert, &place.parameters([order, customer, lines])).await?;
    run(client, "INSERT INTO tpcc_new_order (w, d, o) VALUES ($1, $2, $3)", &place.parameters([order]))
        .await?;
    for line in 1..=lines {
        let item = prng.below(ITEMS) as i64;
        // One line in ten comes from another warehouse.
        let far = prng.chance(0.1);
        let supply = if far { (place.warehouse + 1) % WAREHOUSES as i64 } else { place.warehouse };
        let quantity = prng.range(1..11) as i64;
        let price = run(client, "SELECT price FROM tpcc_item WHERE i = $1", &[item.into()]).await?;
        let amount = price.integer(0, 0)? * quantity;
        let stock = "UPDATE tpcc_stock SET ytd = ytd + $3, quantity = CASE WHEN quantity >= $3 + 10 \
                     THEN quantity - $3 ELSE quantity - $3 + 91 END WHERE w = $1 AND i = $2";
        run(client, stock, &[supply.into(), item.into(), quantity.into()]).await?;
        let insert = "INSERT INTO tpcc_order_line (w, d, o, n, i, supply, quantity, amount, delivered) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, false)";
        run(client, insert, &place.parameters([order, line, item, supply, quantity, amount])).await?;
    }
    Ok((place.warehouse, place.district, order))
}

async fn payment(client: &mut dyn Client, place: Place, prng: &mut Prng) -> Result<(), Failure> {
    let (customer, amount) = (prng.below(CUSTOMERS) as i64, prng.range(1..500) as i64);
    let warehouse = [Parameter::Integer(place.warehouse), amount.into()];
    begin(client, Isolation::Serializable).await?;
    run(client, "UPDATE tpcc_warehouse SET ytd = ytd + $2 WHERE w = $1", &warehouse).await?;
    let district = "UPDATE tpcc_district SET ytd = ytd + $3 WHERE w = $1 AND d = $2";
    run(client, district, &place.parameters([amount])).await?;
    let balance = "UPDATE tpcc_customer SET balance = balance - $4 WHERE w = $1 AND d = $2 AND c = $3";
    run(client, balance, &place.parameters([customer, amount])).await?;
    let history = "INSERT INTO tpcc_history (w, d, c, amount) VALUES ($1, $2, $3, $4)";
    run(client, history, &place.parameters([customer, amount])).await?;
    Ok(())
}

/// Delivers the oldest new order of a district, if it has one.
async fn delivery(client: &mut dyn Client, place: Place, prng: &mut Prng) -> Result<(), Failure> {
    let carrier = prng.range(1..11) as i64;
    begin(client, Isolation::Serializable).await?;
    let oldest = "SELECT o FROM tpcc_new_order WHERE w = $1 AND d = $2 ORDER BY o LIMIT 1";
    let answer = run(client, oldest, &place.parameters([])).await?;
    if answer.rows.is_empty() {
        return Ok(());
    }
    let order = answer.integer(0, 0)?;
    let gone = "DELETE FROM tpcc_new_order WHERE w = $1 AND d = $2 AND o = $3";
    run(client, gone, &place.parameters([order])).await?;
    let taken = "UPDATE tpcc_orders SET carrier = $4 WHERE w = $1 AND d = $2 AND o = $3 RETURNING c";
    let customer = run(client, taken, &place.parameters([order, carrier])).await?.integer(0, 0)?;
    let lines =
        "UPDATE tpcc_order_line SET delivered = true WHERE w = $1 AND d = $2 AND o = $3 RETURNING amount";
    let amount: i64 = run(client, lines, &place.parameters([order])).await?.integers(0)?.into_iter().sum();
    let balance = "UPDATE tpcc_customer SET balance = balance + $4 WHERE w = $1 AND d = $2 AND c = $3";
    run(client, balance, &place.parameters([customer, amount])).await?;
    Ok(())
}

/// What a customer's last order consists of; the lines must be as many as the order says.
async fn order_status(client: &mut dyn Client, place: Place, prng: &mut Prng) -> Result<bool, Failure> {
    let customer = prng.below(CUSTOMERS) as i64;
    begin(client, Isolation::Serializable).await?;
    let last = "SELECT o, lines FROM tpcc_orders WHERE w = $1 AND d = $2 AND c = $3 ORDER BY o DESC LIMIT 1";
    let answer = run(client, last, &place.parameters([customer])).await?;
    if answer.rows.is_empty() {
        return Ok(true);
    }
    let (order, expected) = (answer.integer(0, 0)?, answer.integer(0, 1)?);
    let lines = "SELECT count(*) FROM tpcc_order_line WHERE w = $1 AND d = $2 AND o = $3";
    Ok(run(client, lines, &place.parameters([order])).await?.integer(0, 0)? == expected)
}

/// How many items of the last orders are short in stock.
async fn stock_level(client: &mut dyn Client, place: Place, prng: &mut Prng) -> Result<(), Failure> {
    let threshold = prng.range(10..21) as i64;
    begin(client, Isolation::Serializable).await?;
    let sql = "SELECT count(DISTINCT s.i) FROM tpcc_district d \
               JOIN tpcc_order_line l ON l.w = d.w AND l.d = d.d AND l.o >= d.next_order - 20 \
               JOIN tpcc_stock s ON s.w = d.w AND s.i = l.i \
               WHERE d.w = $1 AND d.d = $2 AND s.quantity < $3";
    run(client, sql, &place.parameters([threshold])).await?;
    Ok(())
}

impl Tpcc {
    pub fn new() -> Tpcc {
        Tpcc::default()
    }

    fn judge(&self, acknowledged: &BTreeSet<Order>, present: &BTreeSet<Order>) -> Result<(), Violation> {
        match acknowledged.difference(present).next() {
            None => Ok(()),
            Some(lost) => {
                Err(Violation::new(NAME, format!("order {lost:?} was acknowledged and is not there")))
            }
        }
    }
}

impl Workload for Tpcc {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            for table in TABLES {
                client.execute(&format!("CREATE TABLE tpcc_{table}"), &[]).await?;
            }
            let numbers = |column: &str, count: u64| format!("generate_series(0, {}) {column}", count - 1);
            let (w, d) = (numbers("w", WAREHOUSES), numbers("d", DISTRICTS));
            let (c, i) = (numbers("c", CUSTOMERS), numbers("i", ITEMS));
            for sql in [
                format!("INSERT INTO tpcc_warehouse SELECT w, 0 FROM {w}"),
                format!("INSERT INTO tpcc_district SELECT w, d, 0, 1 FROM {w}, {d}"),
                format!("INSERT INTO tpcc_customer SELECT w, d, c, 0 FROM {w}, {d}, {c}"),
                format!("INSERT INTO tpcc_item SELECT i, 10 * i + 5 FROM {i}"),
                format!("INSERT INTO tpcc_stock SELECT w, i, 50, 0 FROM {w}, {i}"),
            ] {
                client.execute(&sql, &[]).await?;
            }
            Ok(())
        })
    }

    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>> {
        Box::pin(async move {
            let place = Place::draw(&mut seat.prng);
            let mut prng = seat.prng.fork();
            let client = &mut *seat.client;
            // By the benchmark's mix, with more deliveries and reads, since the tables are small.
            match prng.below(10) {
                0..=3 => {
                    let body = new_order(client, place, &mut prng).await;
                    let fate = finish(client, body).await;
                    seat.ended(NAME, format_args!("new order at {place:?}"), &fate)?;
                    if let Fate::Committed(order) = fate {
                        self.acknowledged.lock().insert(order);
                    }
                }
                8 => {
                    let body = order_status(client, place, &mut prng).await;
                    let fate = finish(client, body).await;
                    seat.ended(NAME, format_args!("order status at {place:?}"), &fate)?;
                    if matches!(fate, Fate::Committed(false)) {
                        return Err(Violation::new(NAME, format!("{place:?}: an order lacks lines")));
                    }
                }
                other => {
                    let (what, body) = match other {
                        4..=6 => ("payment", payment(client, place, &mut prng).await),
                        7 => ("delivery", delivery(client, place, &mut prng).await),
                        _ => ("stock level", stock_level(client, place, &mut prng).await),
                    };
                    let fate = finish(client, body).await;
                    seat.ended(NAME, format_args!("{what} at {place:?}"), &fate)?;
                }
            }
            Ok(())
        })
    }

    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        _journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(async move {
            let acknowledged = self.acknowledged.lock().clone();
            let body = async {
                // One snapshot for all conditions.
                begin(client, Isolation::RepeatableRead).await?;
                let mut broken = Vec::new();
                for (name, sql) in CONDITIONS {
                    let answer = client.execute(sql, &[]).await?;
                    if !answer.rows.is_empty() {
                        broken.push(format!("condition {name} at {:?}", answer.rows));
                    }
                }
                let answer = client.execute("SELECT w, d, o FROM tpcc_orders", &[]).await?;
                let order =
                    |row| Ok((answer.integer(row, 0)?, answer.integer(row, 1)?, answer.integer(row, 2)?));
                let orders: Result<BTreeSet<Order>, Failure> = (0..answer.rows.len()).map(order).collect();
                Ok((broken, orders?))
            };
            let body = body.await;
            let (broken, orders) = finish(client, body).await.committed()?;
            if !broken.is_empty() {
                return Err(Violation::new(NAME, broken.join("; ")).into());
            }
            Ok(self.judge(&acknowledged, &orders)?)
        })
    }

    fn split_statement(&self, prng: &mut Prng) -> String {
        let orders = self.acknowledged.lock().len() as u64;
        let (w, d) = (prng.below(WAREHOUSES), prng.below(DISTRICTS));
        match prng.below(3) {
            0 => format!("ALTER TABLE tpcc_orders SPLIT AT VALUES ({w}, {d}, {})", prng.below(orders + 5)),
            1 => format!("ALTER TABLE tpcc_stock SPLIT AT VALUES ({w}, {})", prng.below(ITEMS)),
            _ => format!("ALTER TABLE tpcc_district SPLIT AT VALUES ({w}, {d})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_order_is_found() {
        let tpcc = Tpcc::new();
        let (told, there) = (BTreeSet::from([(0, 0, 1)]), BTreeSet::from([(0, 0, 1), (0, 1, 1)]));
        assert!(tpcc.judge(&told, &there).is_ok());
        assert!(tpcc.judge(&there, &told).is_err());
    }
}
