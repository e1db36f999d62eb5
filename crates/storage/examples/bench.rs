//! Small measurements of the engine and of MVCC on it: `cargo run --release -p storage --example bench [rows] [folder]`.
//!
//! Prints one line per measurement, the best of several rounds. Where it says "textbook", the same rows were written a second time
//! in the layout that `mvcc` decided against: every version in one keyspace, under key and timestamp.
//!
//! Seen on two cores shared with other work, 1 M rows of 100 bytes, all in the cache (figures vary by half with the neighbours):
//!
//! ```text
//!                                                  mvcc            textbook
//! point read                                       2.5 us          3.6 us      from a snapshot: 0.3 us more
//! point read of a key that is not there            0.34 us         3.6 us
//! scan                                             6.5 M rows/s
//! scan of 10 rows                                  7.3 us          of which 5 are for making and placing the cursor
//! scan of 10 rows with 20,000 versions each        0.019 ms        27 ms
//! 1000 keys at once                                0.21 us each when dense, 2.6 us when sparse
//! insert, batches of 1000                          0.31 us a row, the search for existing keys included
//! update of one row                                7.2 us, of which 2.5 are for reading it
//! synced log write of 600 bytes                    0.15 ms
//! ```

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clock::Timestamp;
use keys::{Key, Span};
use kvapi::{KeyBlock, WriteBlock, WriteCheck, WriteEntry};
use storage::mvcc::{self, ReadView, Scan, Statistics};
use storage::{CursorOptions, Durability, Engine, Keyspace, Reader, RocksEngine, RocksOptions, WriteBatch};

const ROUNDS: usize = 5;

fn key(number: u64) -> Vec<u8> {
    let mut key = keys::table::start_key(keys::TableId(104), keys::IndexId(1));
    keys::encoding::put_int(&mut key, number as i64, keys::Direction::Ascending);
    key
}

/// The fastest of several rounds, divided by the number of operations in each.
fn measure(name: &str, count: u64, mut round: impl FnMut(usize)) {
    let mut best = Duration::MAX;
    for number in 0..ROUNDS {
        let start = Instant::now();
        round(number);
        best = best.min(start.elapsed());
    }
    let nanos = best.as_nanos() as f64 / count as f64;
    println!("{name:44} {:>10.0} ns each {:>12.0} /s", nanos, 1e9 / nanos);
}

fn load(engine: &dyn Engine, rows: u64) {
    let start = Instant::now();
    for chunk in (0..rows).collect::<Vec<_>>().chunks(1000) {
        write(engine, chunk.iter().copied(), Timestamp::new(10, 0), WriteCheck::MustNotExist);
    }
    let took = start.elapsed();
    println!(
        "{:44} {:>10.0} ns each {:>12.0} /s",
        "insert in batches of 1000",
        took.as_nanos() as f64 / rows as f64,
        rows as f64 / took.as_secs_f64()
    );
}

fn write(engine: &dyn Engine, numbers: impl Iterator<Item = u64>, timestamp: Timestamp, check: WriteCheck) {
    let mut block = WriteBlock::new();
    let mut value = [7u8; 100];
    for number in numbers {
        value[..8].copy_from_slice(&number.to_be_bytes());
        block.push(WriteEntry { key: &key(number), value: Some(&value), check, sequence: 0 });
    }
    let prepared = mvcc::prepare(engine, &block, None, true).expect("prepares");
    let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
    prepared.commit(timestamp, &mut batch, &mut delta);
    engine.write(&batch, Durability::Buffered).expect("writes");
}

fn reads(engine: &dyn Engine, rows: u64, label: &str) {
    let view = ReadView::at(Timestamp::new(1 << 40, 0));
    let absent = view.without_intents();
    let mut prng = stdx::Prng::new(7);
    let count = 100_000;
    let targets: Vec<Vec<u8>> = (0..count).map(|_| key(prng.below(rows))).collect();
    let mut out = Vec::new();
    measure(&format!("{label}: get, intents known absent"), count, |_| {
        for target in &targets {
            out.clear();
            assert!(mvcc::get_into(engine, target, &absent, &mut out).expect("reads"));
        }
    });
    measure(&format!("{label}: get"), count, |_| {
        for target in &targets {
            out.clear();
            assert!(mvcc::get_into(engine, target, &view, &mut out).expect("reads"));
        }
    });
    measure(&format!("{label}: get from a snapshot"), count, |_| {
        for target in &targets {
            out.clear();
            let snapshot = engine.snapshot();
            assert!(mvcc::get_into(&*snapshot, target, &absent, &mut out).expect("reads"));
        }
    });
    measure(&format!("{label}: get of a missing key"), count, |_| {
        for target in &targets {
            let mut target = target.clone();
            target.push(1);
            out.clear();
            assert!(!mvcc::get_into(engine, &target, &absent, &mut out).expect("reads"));
        }
    });
    measure(&format!("{label}: textbook get"), count, |_| {
        for target in &targets {
            let found = textbook_get(engine, target, Timestamp::new(1000, 0));
            assert!(found.is_some());
            black_box(found);
        }
    });
    let span = keys::table::table_span(keys::TableId(104));
    measure(&format!("{label}: scan in blocks of 1024"), rows, |_| {
        let mut rest = Some(span.clone());
        let mut total = 0;
        while let Some(span) = rest {
            let what = Scan { rows_max: 1024, ..Scan::default() };
            let result = mvcc::scan(engine, &span, &absent, what).expect("reads");
            total += result.rows.len() as u64;
            rest = result.resume;
        }
        assert!(total >= rows);
    });
    measure(&format!("{label}: scan in blocks of 1 MiB"), rows, |_| {
        let mut rest = Some(span.clone());
        while let Some(span) = rest {
            let what = Scan { bytes_max: 1 << 20, ..Scan::default() };
            rest = black_box(mvcc::scan(engine, &span, &absent, what).expect("reads")).resume;
        }
    });
    measure(&format!("{label}: scan backwards"), rows, |_| {
        let mut rest = Some(span.clone());
        while let Some(span) = rest {
            let what = Scan { reverse: true, bytes_max: 1 << 20, ..Scan::default() };
            rest = black_box(mvcc::scan(engine, &span, &absent, what).expect("reads")).resume;
        }
    });
    measure(&format!("{label}: scan of 10 rows"), 20_000, |_| {
        for target in &targets[..20_000] {
            let what = Scan { rows_max: 10, ..Scan::default() };
            let span = Span { start: Key::copy_from(target), end: span.end.clone() };
            black_box(mvcc::scan(engine, &span, &absent, what).expect("reads"));
        }
    });
    for (name, stride) in [("dense", 1), ("sparse", 97)] {
        measure(&format!("{label}: get 1000 keys at once, {name}"), 100_000, |round| {
            for batch in 0..100u64 {
                let first = (batch * 1000 * stride + round as u64) % (rows - 1000 * stride);
                let block: Vec<Vec<u8>> = (0..1000).map(|number| key(first + number * stride)).collect();
                let block: KeyBlock = block.iter().map(|key| &key[..]).collect();
                black_box(mvcc::get_many(engine, &block, &absent).expect("reads"));
            }
        });
    }
}

/// A point read of the textbook layout: the first entry at or after key and timestamp, if it is of this key.
fn textbook_get(engine: &dyn Engine, key: &[u8], timestamp: Timestamp) -> Option<Vec<u8>> {
    let (from, to) = (mvcc::history_key(key, timestamp), mvcc::history_key(key, Timestamp::ZERO));
    let options = CursorOptions { lower: None, upper: Some(&to), bulk: false };
    let mut cursor = engine.cursor(Keyspace::History, options).expect("reads");
    cursor.seek(&from).expect("reads").then(|| cursor.value().to_vec())
}

fn load_textbook(engine: &dyn Engine, rows: u64) {
    let mut batch = WriteBatch::new();
    for number in 0..rows {
        let mut value = [7u8; 109];
        value[9..17].copy_from_slice(&number.to_be_bytes());
        batch.put(Keyspace::History, &mvcc::history_key(&key(number), Timestamp::new(10, 0)), &value);
        if number % 1000 == 999 {
            engine.write(&batch, Durability::Buffered).expect("writes");
            batch.clear();
        }
    }
    engine.write(&batch, Durability::Buffered).expect("writes");
}

/// Ten rows, each updated many times: how a table of counters looks before its garbage is collected.
fn hot_rows(engine: &dyn Engine, rows: u64) {
    let first = rows + 1000;
    for number in 0..200_000u64 {
        write(engine, std::iter::once(first + number % 10), Timestamp::new(10 + number, 0), WriteCheck::None);
    }
    let view = ReadView::at(Timestamp::new(1 << 40, 0)).without_intents();
    let span = Span::new(key(first), key(first + 10));
    measure("hot: scan of 10 rows with 20000 versions each", 1000, |_| {
        for _ in 0..1000 {
            let result = mvcc::scan(engine, &span, &view, Scan::default()).expect("reads");
            assert_eq!(result.rows.len(), 10);
        }
    });
    let bounds = Span::new(
        mvcc::history_key(&span.start, Timestamp::MAX),
        mvcc::history_key(&span.end, Timestamp::MAX),
    );
    measure("hot: textbook scan of these", 1, |_| {
        let mut cursor = engine.cursor(Keyspace::History, CursorOptions::span(&bounds)).expect("reads");
        let mut found = cursor.seek_first().expect("reads");
        let mut count = 0;
        while found {
            count += 1;
            found = cursor.next().expect("reads");
        }
        assert!(count > 190_000);
    });
}

fn updates(engine: &dyn Engine, rows: u64) {
    let mut prng = stdx::Prng::new(9);
    let count = 50_000;
    measure("update one row per batch", count, |round| {
        for number in 0..count {
            let timestamp = Timestamp::new(1000 + round as u64 * count + number, 0);
            write(engine, std::iter::once(prng.below(rows)), timestamp, WriteCheck::None);
        }
    });
}

fn log_writes(engine: &dyn Engine) {
    let mut index = 0;
    let count = 500;
    measure("synced log write of 600 bytes", count, |_| {
        for _ in 0..count {
            index += 1;
            let mut batch = WriteBatch::new();
            batch.put(Keyspace::RaftLog, &keys::local::raft_log_entry(keys::RangeId(1), index), &[5; 600]);
            engine.write(&batch, Durability::Synced).expect("writes");
        }
    });
}

fn resident_mebibytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0 / 1048576.0
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rows: u64 = args.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = args.next().map_or(temporary.path().join("store"), PathBuf::from);
    // Everything fits: what is measured is the way through the code, not decompression.
    let options = RocksOptions { cache_bytes: 1 << 30, ..RocksOptions::default() };

    let start = Instant::now();
    let engine = RocksEngine::open(&folder, &options).expect("opens");
    println!(
        "{:44} {:>10.1} ms, {:.0} MiB resident",
        "open an empty folder",
        start.elapsed().as_secs_f64() * 1e3,
        resident_mebibytes()
    );
    log_writes(&engine);
    load(&engine, rows);
    load_textbook(&engine, rows);
    reads(&engine, rows, "fresh");
    updates(&engine, rows);
    hot_rows(&engine, rows);
    let start = Instant::now();
    engine.flush().expect("flushes");
    println!("{:44} {:>10.1} ms", "flush", start.elapsed().as_secs_f64() * 1e3);
    for keyspace in Keyspace::STATE {
        engine.compact(keyspace);
    }
    reads(&engine, rows, "compacted");
    println!("{:?}, {:.0} MiB resident", engine.statistics(), resident_mebibytes());
    let start = Instant::now();
    drop(engine);
    println!("{:44} {:>10.1} ms", "close", start.elapsed().as_secs_f64() * 1e3);
    let start = Instant::now();
    let engine = RocksEngine::open(&folder, &options).expect("opens");
    println!("{:44} {:>10.1} ms", "open again", start.elapsed().as_secs_f64() * 1e3);
    assert!(engine.get(Keyspace::Current, &key(1)).expect("reads").is_some());
}
