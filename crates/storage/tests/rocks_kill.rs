//! A real process, killed by SIGKILL while it writes; then the rules of `storage::Engine` are checked on what it left.
//!
//! `STORAGE_KILL_ROUNDS` sets the number of rounds (default 5). Each round goes on in the folder of the round before.

#![cfg(feature = "rocks")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use storage::{
    Cursor, CursorOptions, Durability, Engine, Keyspace, Reader, RocksEngine, RocksOptions, WriteBatch,
};

const FOLDER: &str = "STORAGE_KILL_FOLDER";

/// Memory for a few hundred writes, so that a round flushes several times.
fn options() -> RocksOptions {
    RocksOptions {
        memtable_bytes: 512 << 10,
        log_memtable_bytes: 512 << 10,
        ..support::rocks::small_options()
    }
}

/// Every state batch writes this to all four keyspaces.
const APPLIED: &[u8] = b"applied";

fn entry(number: u64) -> Vec<u8> {
    let mut prng = stdx::Prng::new(number);
    let mut bytes = vec![0; prng.range(10..2000) as usize];
    prng.fill_bytes(&mut bytes);
    bytes
}

fn apply(engine: &RocksEngine, number: u64) {
    let mut batch = WriteBatch::new();
    for keyspace in Keyspace::STATE {
        batch.put(keyspace, APPLIED, &number.to_be_bytes());
    }
    batch.put(Keyspace::Current, &number.to_be_bytes(), &entry(number));
    if number.is_multiple_of(3) {
        batch.put(Keyspace::History, &number.to_be_bytes(), &entry(number + 1));
    }
    engine.write(&batch, Durability::Buffered).expect("writes");
}

fn last_logged(engine: &RocksEngine) -> u64 {
    let mut cursor = engine.cursor(Keyspace::RaftLog, CursorOptions::default()).expect("reads");
    if cursor.seek_last().expect("reads") { number_at(&*cursor) } else { 0 }
}

fn number_at(cursor: &dyn Cursor) -> u64 {
    u64::from_be_bytes(cursor.key().try_into().expect("eight bytes"))
}

fn applied_in(engine: &RocksEngine, keyspace: Keyspace) -> u64 {
    let value = engine.get(keyspace, APPLIED).expect("reads");
    value.map_or(0, |value| u64::from_be_bytes((&value[..]).try_into().expect("eight bytes")))
}

/// What the killed process does: log, acknowledge, apply, now and then cut the log off, for ever.
#[test]
#[ignore = "started by `killed_at_any_moment`"]
fn writer() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let engine = RocksEngine::open(Path::new(&folder), &options()).expect("opens");
    let last = last_logged(&engine);
    for number in applied_in(&engine, Keyspace::RangeLocal) + 1..=last {
        apply(&engine, number);
    }
    let mut out = std::io::stdout().lock();
    let mut cut = 0u64;
    for number in last + 1.. {
        let mut batch = WriteBatch::new();
        batch.put(Keyspace::RaftLog, &number.to_be_bytes(), &entry(number));
        engine.write(&batch, Durability::Synced).expect("writes");
        writeln!(out, "acknowledged {number}").and_then(|()| out.flush()).expect("the parent listens");
        apply(&engine, number);
        if number.is_multiple_of(150) {
            let flushed = engine.flushed(Keyspace::RangeLocal, APPLIED).expect("reads");
            let upto =
                flushed.map_or(0, |value| u64::from_be_bytes((&value[..]).try_into().expect("eight bytes")));
            // The last flushed entry itself stays, as the log's anchor.
            let mut batch = WriteBatch::new();
            for gone in cut..upto {
                batch.delete(Keyspace::RaftLog, &gone.to_be_bytes());
            }
            cut = upto;
            engine.write(&batch, Durability::Buffered).expect("writes");
        }
    }
}

/// Returns up to where there is a log, and up to where a state.
fn check(folder: &Path, acknowledged: u64) -> (u64, u64) {
    let engine = RocksEngine::open(folder, &options()).expect("opens after a kill");
    let applied = Keyspace::STATE.map(|keyspace| applied_in(&engine, keyspace));
    assert!(applied.iter().all(|number| *number == applied[0]), "one point in all keyspaces: {applied:?}");
    let applied = applied[0];
    let last = last_logged(&engine);
    assert!(last >= acknowledged, "logged up to {last}, acknowledged {acknowledged}");
    assert!(applied <= last, "the log is ahead: applied {applied}, logged {last}");

    // The log has no gap from where the state ends, and holds what was written.
    let mut cursor = engine.cursor(Keyspace::RaftLog, CursorOptions::default()).expect("reads");
    let mut found = cursor.seek_first().expect("reads");
    let mut previous = None;
    while found {
        let number = number_at(&*cursor);
        assert!(previous.is_none_or(|previous: u64| previous + 1 == number), "a gap before {number}");
        assert!(previous.is_some() || number <= applied + 1, "entries from {} are missing", applied + 1);
        assert_eq!(cursor.value(), entry(number));
        previous = Some(number);
        found = cursor.next().expect("reads");
    }

    // The state is exactly what entries up to the applied one made.
    let mut cursor = engine.cursor(Keyspace::Current, CursorOptions::default()).expect("reads");
    let mut found = cursor.seek_first().expect("reads");
    for number in 1..=applied {
        assert!(found && number_at(&*cursor) == number, "entry {number} of {applied} is missing");
        assert_eq!(cursor.value(), entry(number));
        found = cursor.next().expect("reads");
    }
    assert!(applied == 0 || (found && cursor.key() == APPLIED), "nothing above the applied entry");
    (last, applied)
}

#[test]
fn killed_at_any_moment() {
    let rounds = std::env::var("STORAGE_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let root = tempfile::tempdir().expect("a temporary folder");
    let folder = root.path().join("store");
    let mut flushed = 0;
    let mut prng = stdx::Prng::new(1);
    let mut total = 0;
    for round in 0..rounds {
        let program = std::env::current_exe().expect("this test is a program");
        let mut child = Command::new(program)
            .args(["--ignored", "--exact", "writer", "--nocapture"])
            .env(FOLDER, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("starts the writer");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        // Some rounds are killed after a few writes, some after enough to flush several times.
        let count = prng.range(1..if round % 2 == 0 { 60 } else { 1500 });
        let mut acknowledged = 0;
        for line in lines.by_ref() {
            let line = line.expect("reads what the writer says");
            if let Some(number) = line.strip_prefix("acknowledged ") {
                acknowledged = number.parse().expect("a number");
                if acknowledged >= total + count {
                    break;
                }
            }
        }
        assert!(acknowledged >= total + count, "the writer stopped by itself");
        std::thread::sleep(Duration::from_micros(prng.range(0..3000)));
        child.kill().expect("kills the writer");
        child.wait().expect("waits for the writer");
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("acknowledged ") {
                // The last line may have been cut off in the middle: a shorter number, which proves less.
                acknowledged = acknowledged.max(number.parse().unwrap_or(0));
            }
        }
        let applied;
        (total, applied) = check(&folder, acknowledged);
        flushed = flushed.max(applied);
    }
    assert!(rounds < 4 || flushed > 0, "some round was killed between flushes");
}
