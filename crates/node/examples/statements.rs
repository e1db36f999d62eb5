//! Runs statements as pgbench sends them against a node in memory, one client: for counting instructions and allocations of everything
//! above the storage engine and the sockets.
//!
//! ```text
//! cargo build --release -p node --no-default-features --example statements
//! valgrind --tool=callgrind .../statements tpcb prepared 2000
//! ```
//!
//! Workloads: `point` (`pgbench -S`), `tpcb`, `aggregate`, `group`, `copy` (one COPY of so many thousand rows). Prints the time of one
//! transaction, which in memory is all computing.

#![allow(clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::Instant;

use env::{Env, RealEnv};
use node::{Node, NodeConfig, World};
use pgserver::{Peer, Server, ServerOptions};
use sql::SqlBackend;
use stdx::Prng;
use storage::{MemoryDisk, MemoryOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const ACCOUNTS: u64 = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workload, mode, count] = arguments.as_slice() else {
        eprintln!("statements point|tpcb|aggregate|group|copy prepared|simple COUNT");
        std::process::exit(2);
    };
    let count: u64 = count.parse().expect("COUNT is a number");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (workload, mode) = (workload.clone(), mode.clone());
    let work = runtime.spawn(async move { run(&workload, mode == "prepared", count).await });
    runtime.block_on(work).expect("no panic");
}

async fn run(workload: &str, prepared: bool, count: u64) {
    let env = RealEnv::new();
    let engine = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
    let world = World::alone(env.clone(), engine);
    let node = Arc::new(Node::start(&NodeConfig::default(), world).await.expect("a new node starts"));
    let backend = Arc::new(SqlBackend(node.sql.clone()));
    let server = Server::new(env.clone(), backend.clone(), backend, ServerOptions::default());
    let (near, far) = tokio::io::duplex(1 << 20);
    drop(env.spawn("connection", server.handle(far, Peer::Local)));
    let mut client = Client::start(near).await;
    for statement in SCHEMA {
        client.query(statement).await;
    }
    let began = Instant::now();
    match workload {
        "point" => point(&mut client, prepared, count).await,
        "tpcb" => tpcb(&mut client, prepared, count).await,
        "copy" => copy(&mut client, count).await,
        "aggregate" | "group" => {
            copy(&mut client, 100).await;
            let began = Instant::now();
            let text = if workload == "group" { GROUP } else { AGGREGATE };
            for _ in 0..count {
                client.query(text).await;
            }
            println!("{:?} per query of 100,000 rows", began.elapsed() / count as u32);
        }
        other => panic!("no workload {other}"),
    }
    println!("{:?} per transaction", began.elapsed() / count as u32);
    client.send(b'X', &[]).await;
}

const SCHEMA: [&str; 8] = [
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88))",
    "INSERT INTO pgbench_branches VALUES (1, 0)",
    "INSERT INTO pgbench_tellers SELECT i, 1, 0 FROM generate_series(1, 10) i",
    "INSERT INTO pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, 10000) i",
    "CREATE TABLE bench_rows (id int PRIMARY KEY, kind int, amount float8, label text)",
];
const AGGREGATE: &str = "SELECT count(*), sum(kind), avg(amount), min(id), max(amount) FROM bench_rows";
const GROUP: &str = "SELECT kind, count(*), sum(amount) FROM bench_rows GROUP BY kind";
const POINT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
/// Each with the values that it takes of (aid, tid, bid, delta).
const TPCB: [(&str, &[usize]); 7] = [
    ("BEGIN", &[]),
    ("UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2", &[3, 0]),
    (POINT, &[0]),
    ("UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2", &[3, 1]),
    ("UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2", &[3, 2]),
    (
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)",
        &[1, 2, 0, 3],
    ),
    ("END", &[]),
];

async fn point(client: &mut Client, prepared: bool, count: u64) {
    let mut prng = Prng::new(1);
    client.parse("P0", POINT).await;
    for _ in 0..count {
        let aid = (prng.below(ACCOUNTS) + 1).to_string();
        client.run("P0", POINT, &[&aid], prepared).await;
    }
}

async fn tpcb(client: &mut Client, prepared: bool, count: u64) {
    let mut prng = Prng::new(1);
    let names: Vec<String> = (0..TPCB.len()).map(|number| format!("P0_{number}")).collect();
    for (name, (text, _)) in names.iter().zip(TPCB) {
        client.parse(name, text).await;
    }
    for _ in 0..count {
        let delta = prng.below(10_001) as i64 - 5_000;
        let values = [
            (prng.below(ACCOUNTS) + 1).to_string(),
            (prng.below(10) + 1).to_string(),
            "1".to_string(),
            delta.to_string(),
        ];
        for (name, (text, takes)) in names.iter().zip(TPCB) {
            let values: Vec<&str> = takes.iter().map(|at| values[*at].as_str()).collect();
            client.run(name, text, &values, prepared).await;
        }
    }
}

async fn copy(client: &mut Client, thousands: u64) {
    let mut prng = Prng::new(1);
    let mut body = b"COPY bench_rows FROM STDIN".to_vec();
    body.push(0);
    client.send(b'Q', &body).await;
    for block in 0..thousands {
        let mut rows = String::new();
        for number in block * 1000..block * 1000 + 1000 {
            let (kind, cents, label) = (prng.below(1000), prng.below(1_000_000), prng.below(1_000_000));
            rows += &format!("{number}\t{kind}\t{}.{:03}\ttext {label}\n", cents / 1000, cents % 1000);
        }
        client.send(b'd', rows.as_bytes()).await;
    }
    client.send(b'c', &[]).await;
    client.until_ready().await;
}

/// As little of a client as will do.
struct Client {
    stream: DuplexStream,
    unread: Vec<u8>,
}

impl Client {
    async fn start(stream: DuplexStream) -> Client {
        let mut client = Client { stream, unread: Vec::new() };
        let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
        message.extend_from_slice(body);
        client.stream.write_all(&message).await.expect("the server listens");
        client.until_ready().await;
        client
    }

    async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut bytes = Vec::with_capacity(body.len() + 5);
        push(&mut bytes, kind, body);
        self.stream.write_all(&bytes).await.expect("the server listens");
    }

    /// Takes answers in up to ReadyForQuery.
    async fn until_ready(&mut self) {
        loop {
            let mut at = 0;
            while let Some(header) = self.unread.get(at..at + 5) {
                let length = u32::from_be_bytes(header[1..].try_into().expect("four bytes")) as usize;
                let kind = header[0];
                if self.unread.len() < at + 1 + length {
                    break;
                }
                assert!(kind != b'E', "{}", String::from_utf8_lossy(&self.unread[at..at + 1 + length]));
                at += 1 + length;
                if kind == b'Z' {
                    self.unread.drain(..at);
                    return;
                }
            }
            self.unread.drain(..at);
            let count = self.stream.read_buf(&mut self.unread).await.expect("the server answers");
            assert!(count > 0, "the server has hung up");
        }
    }

    async fn query(&mut self, text: &str) {
        let mut body = text.as_bytes().to_vec();
        body.push(0);
        self.send(b'Q', &body).await;
        self.until_ready().await;
    }

    async fn parse(&mut self, name: &str, text: &str) {
        let mut bytes = Vec::new();
        push(&mut bytes, b'P', format!("{name}\0{text}\0\0\0").as_bytes());
        push(&mut bytes, b'S', &[]);
        self.stream.write_all(&bytes).await.expect("the server listens");
        self.until_ready().await;
    }

    /// A statement with its values, as libpq's PQsendQueryPrepared and PQsendQuery send it.
    async fn run(&mut self, name: &str, text: &str, values: &[&str], prepared: bool) {
        if !prepared {
            let mut text = text.to_string();
            for (number, value) in values.iter().enumerate() {
                text = text.replace(&format!("${}", number + 1), value);
            }
            return self.query(&text).await;
        }
        let mut bind = format!("\0{name}\0\0\0").into_bytes();
        bind.extend_from_slice(&(values.len() as u16).to_be_bytes());
        for value in values {
            bind.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bind.extend_from_slice(value.as_bytes());
        }
        bind.extend_from_slice(&[0, 1, 0, 0]);
        let mut bytes = Vec::with_capacity(128);
        push(&mut bytes, b'B', &bind);
        push(&mut bytes, b'D', b"P\0");
        push(&mut bytes, b'E', &[0, 0, 0, 0, 0]);
        push(&mut bytes, b'S', &[]);
        self.stream.write_all(&bytes).await.expect("the server listens");
        self.until_ready().await;
    }
}

fn push(bytes: &mut Vec<u8>, kind: u8, body: &[u8]) {
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
}
