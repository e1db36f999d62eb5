//! Random queries give what PostgreSQL gives: conditions that indexes serve in part, over values of several types; orders with limits
//! over joins; extremes. Which plan is chosen must not show, so that each seed is run with statistics and without.
//!
//! MERIDIAN_QUERY_SEEDS=A..B runs other seeds, MERIDIAN_QUERIES that many queries of each.

mod support;

use env::{Env, RealEnv};
use sqltests::server::Postgres;
use stdx::Prng;
use support::node;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const QUERIES: u64 = 150;

const TABLES: &str = "
    DROP TABLE IF EXISTS fa, fb, fc;
    SET TIME ZONE 'Europe/Berlin';
    CREATE TABLE fa (id int PRIMARY KEY, i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, d date, t timestamp, z timestamptz, s text);
    CREATE TABLE fb (id bigint PRIMARY KEY, a_id int, k smallint, v numeric);
    CREATE TABLE fc (k1 int, k2 text, w int, PRIMARY KEY (k1, k2));
    CREATE INDEX ON fa (i2); CREATE INDEX ON fa (i4, i2); CREATE INDEX ON fa (i8 DESC); CREATE INDEX ON fa (f4); CREATE INDEX ON fa (d);
    CREATE INDEX ON fa (t); CREATE INDEX ON fa (z DESC NULLS LAST); CREATE INDEX ON fa (s, i4); CREATE INDEX ON fb (a_id);
    CREATE INDEX ON fb (k, v); CREATE INDEX ON fc (w);";

/// Draws texts of SQL.
struct Draw(Prng);

impl Draw {
    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.0.index(texts.len())]
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + self.0.below((to - from) as u64) as i64
    }

    /// The value, or sometimes NULL.
    fn value(&mut self, value: impl ToString) -> String {
        if self.0.chance(0.1) { "NULL".to_string() } else { value.to_string() }
    }

    /// A time in the days around a change of clocks; `zone` stands behind it.
    fn clock(&mut self, zone: &str) -> String {
        let hour = self.of(&["00", "01", "02", "03", "12"]);
        format!("'2024-03-{:02} {hour}:30{zone}'", self.number(28, 32))
    }

    fn rows_of_a(&mut self) -> String {
        let rows = (0..400).map(|id| {
            let (i2, i4, i8) = (self.number(-5, 15), self.number(-5, 40), self.number(-5, 20));
            let (i2, i4, i8) = (self.value(i2), self.value(i4), self.value(i8));
            let (f4, f8) = (self.number(0, 9) as f64 / 4.0, self.number(0, 9) as f64 / 8.0);
            let (f4, f8) = (self.value(f4), self.value(f8));
            let day = format!("'2024-03-{:02}'", self.number(28, 32));
            let (local, instant) = (self.clock(""), self.clock("+00"));
            let (day, local, instant) = (self.value(day), self.value(local), self.value(instant));
            let letter = self.of(&["'a'", "'b'", "'c'", "'d'", "'e'"]);
            let letter = self.value(letter);
            format!("({id},{i2},{i4},{i8},{f4},{f8},{day},{local},{instant},{letter})")
        });
        rows.collect::<Vec<_>>().join(",")
    }

    fn rows_of_b(&mut self) -> String {
        let rows = (0..900).map(|id| {
            let (a, k, v) = (self.number(0, 420), self.number(0, 9), self.number(0, 99));
            format!("({id},{},{},{})", self.value(a), self.value(k), self.value(v))
        });
        rows.collect::<Vec<_>>().join(",")
    }

    fn any_number(&mut self) -> String {
        match self.0.below(7) {
            0 | 1 => self.number(-6, 42).to_string(),
            2 => format!("{}::bigint", self.number(-6, 42)),
            3 => format!("{}::smallint", self.number(0, 42)),
            4 => self.of(&["5000000000", "-5000000000", "40000"]).to_string(),
            5 => format!("{}::float8", self.number(0, 9) as f64 / 4.0),
            _ => "NULL::bigint".to_string(),
        }
    }

    fn any_time(&mut self) -> String {
        match self.0.below(4) {
            0 => format!("'2024-03-{:02}'::date", self.number(28, 32)),
            1 => format!("{}::timestamp", self.clock("")),
            2 => format!("{}::timestamptz", self.clock("+00")),
            _ => self.of(&["'infinity'::timestamp", "'-infinity'::date"]).to_string(),
        }
    }

    fn atom(&mut self) -> String {
        let comparison = self.of(&["=", "=", "<", "<=", ">", ">="]);
        match self.0.below(10) {
            0..=2 => {
                let column = self.of(&["i2", "i4", "i8", "f4", "f8", "id"]);
                format!("x.{column} {comparison} {}", self.any_number())
            }
            3 => {
                let column = self.of(&["i2", "i4", "i8", "id"]);
                format!("x.{column} IN ({}, {}, {})", self.any_number(), self.any_number(), self.any_number())
            }
            4 => {
                let column = self.of(&["i2", "i4", "i8", "id"]);
                format!("x.{column} = ANY (ARRAY[{}, {}, 5000000000])", self.number(0, 9), self.number(0, 99))
            }
            5..=7 => {
                let column = self.of(&["d", "t", "z"]);
                format!("x.{column} {comparison} {}", self.any_time())
            }
            8 => format!("x.s = '{}'", self.of(&["a", "b", "f"])),
            _ => format!("x.{} IS {}NULL", self.of(&["i4", "s", "t"]), self.of(&["", "NOT "])),
        }
    }

    fn condition(&mut self) -> String {
        match self.0.below(3) {
            0 => self.atom(),
            1 => {
                let arms = (0..self.number(2, 4)).map(|_| match self.0.chance(0.5) {
                    true => self.atom(),
                    false => format!("({} AND {})", self.atom(), self.atom()),
                });
                format!("({})", arms.collect::<Vec<_>>().join(" OR "))
            }
            _ => format!("({}) AND ({})", self.condition(), self.condition()),
        }
    }

    /// A query, and whether the order of its rows is certain.
    fn query(&mut self) -> (String, bool) {
        let filter =
            if self.0.chance(0.8) { format!("WHERE {}", self.condition()) } else { "WHERE true".to_string() };
        let order = self.of(&[
            "x.id",
            "x.i4, x.i2, x.id",
            "x.i8 DESC, x.id",
            "x.t, x.id",
            "x.s, x.i4, x.id",
            "x.z DESC, x.id",
            "x.z DESC NULLS LAST, x.id",
            "x.i4 DESC, x.i2 DESC, x.id DESC",
            "x.d DESC, x.id DESC",
        ]);
        let mut limit = format!("LIMIT {}", self.number(1, 30));
        if self.0.chance(0.3) {
            limit += &format!(" OFFSET {}", self.number(0, 9));
        }
        let k = self.number(0, 9);
        match self.0.below(10) {
            0..=2 => (format!("SELECT * FROM fa x {filter}"), false),
            3 => {
                let (least, most) = (
                    self.of(&["i2", "i4", "i8", "d", "t", "z", "s"]),
                    self.of(&["i2", "i4", "i8", "d", "t"]),
                );
                let columns = format!("min(x.{least}), max(x.{most}), max(x.id)");
                (format!("SELECT {columns} FROM fa x {filter}"), true)
            }
            4 => (format!("SELECT x.* FROM fa x {filter} ORDER BY {order} {limit}"), true),
            5 | 6 => {
                let (join, last) = [
                    ("JOIN fb y ON y.a_id = x.id", ", y.id"),
                    ("LEFT JOIN fb y ON y.a_id = x.id", ", y.id"),
                    ("JOIN fb y ON y.id = x.i4", ""),
                    ("LEFT JOIN fb y ON y.id = x.i8", ""),
                    ("JOIN fb y ON y.id = x.i4 LEFT JOIN fc ON fc.k1 = x.i4 AND fc.k2 = x.s", ""),
                    ("JOIN fc y ON y.k1 = x.i2 AND y.k2 = x.s", ""),
                    ("JOIN fb y ON y.a_id = x.i8", ", y.id"),
                    ("JOIN fb y ON y.k = x.i4", ", y.id"),
                ][self.0.index(8)];
                (format!("SELECT x.id, y.* FROM fa x {join} {filter} ORDER BY {order}{last} {limit}"), true)
            }
            7 => {
                let not = self.of(&["", "NOT "]);
                let exists = format!("{not}EXISTS (SELECT 1 FROM fb y WHERE y.a_id = x.id AND y.k = {k})");
                (format!("SELECT x.* FROM fa x {filter} AND {exists} ORDER BY {order} {limit}"), true)
            }
            8 => {
                let within = format!("x.i4 IN (SELECT a_id FROM fb WHERE k = {k})");
                (format!("SELECT x.* FROM fa x {filter} AND {within} ORDER BY {order} {limit}"), true)
            }
            _ => {
                let counted = "(SELECT count(*) FROM fb y WHERE y.a_id = x.id)";
                let most = "(SELECT max(v) FROM fb y WHERE y.a_id = x.i8)";
                (format!("SELECT x.id, {counted}, {most} FROM fa x {filter} ORDER BY {order} {limit}"), true)
            }
        }
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server lets in");
    let task = async move { drop(connection.await) };
    drop(RealEnv::new().spawn("connection", Box::pin(task)));
    client
}

/// The rows as text, or the SQLSTATE.
async fn answer(client: &Client, query: &str, is_ordered: bool) -> Vec<String> {
    let messages = match client.simple_query(query).await {
        Ok(messages) => messages,
        Err(error) => {
            return vec![error.code().map_or_else(|| error.to_string(), |code| code.code().to_string())];
        }
    };
    let row = |row: &tokio_postgres::SimpleQueryRow| {
        let values: Vec<&str> = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect();
        values.join("|")
    };
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(found) => Some(row(found)),
        _ => None,
    });
    let mut rows: Vec<String> = rows.collect();
    if !is_ordered {
        rows.sort();
    }
    rows
}

async fn check_seed(seed: u64, queries: u64, both: &[Client; 2]) {
    let mut draw = Draw(Prng::new(seed));
    let mut keys: Vec<(i64, &str)> =
        (0..150).map(|_| (draw.number(0, 40), draw.of(&["a", "b", "c", "d"]))).collect();
    keys.sort_unstable();
    keys.dedup();
    let rows_of_c = keys.iter().map(|(k1, k2)| format!("({k1},'{k2}',{})", draw.number(0, 9)));
    let rows_of_c = rows_of_c.collect::<Vec<_>>().join(",");
    let (rows_of_a, rows_of_b) = (draw.rows_of_a(), draw.rows_of_b());
    let filled = format!(
        "INSERT INTO fa VALUES {rows_of_a}; INSERT INTO fb VALUES {rows_of_b}; INSERT INTO fc VALUES {rows_of_c}"
    );
    for client in both {
        client.batch_execute(TABLES).await.expect("the tables are made");
        client.batch_execute(&filled).await.expect("they are filled");
    }
    for number in 0..queries {
        if number == queries / 2 {
            both[1].batch_execute("ANALYZE").await.expect("it is analysed");
        }
        let (query, is_ordered) = draw.query();
        let (wanted, found) =
            (answer(&both[0], &query, is_ordered).await, answer(&both[1], &query, is_ordered).await);
        assert_eq!(found, wanted, "seed {seed}, query {number}: {query}");
    }
}

#[tokio::test]
async fn random_queries_give_what_postgresql_gives() {
    let variable = |name| std::env::var(name).ok();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let seeds = variable("MERIDIAN_QUERY_SEEDS").map_or(0..3, |text| {
        let (first, end) = text.split_once("..").expect("MERIDIAN_QUERY_SEEDS is A..B");
        number(first)..number(end)
    });
    let queries = variable("MERIDIAN_QUERIES").map_or(QUERIES, |text| number(&text));
    let postgres = Postgres::start().expect("PostgreSQL is on the machine");
    let meridian = node();
    let both = [connect(&postgres.url()).await, connect(&meridian.url()).await];
    for seed in seeds {
        check_seed(seed, queries, &both).await;
    }
}
