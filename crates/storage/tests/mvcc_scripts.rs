//! Runs `scripts/mvcc/*` on every engine. After every command the statistics kept by deltas are compared with what is there.
//!
//! Timestamps are small numbers (`5`, `5.1` with a logical part), transactions one letter (`txn=A`, or `txn=A/2` in epoch 2), writes
//! `key=value`, with `nil` as value for a deletion; `check=new` or `check=<timestamp>` says what all writes of the command expect.

mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use clock::Timestamp;
use goldenscript::{ArgumentConsumer, Command, Context};
use keys::{Key, Span};
use kvapi::{KeyBlock, KvBlock, TxnStatus, WriteBlock, WriteCheck, WriteEntry};
use storage::mvcc::{
    self, GarbageBudget, MvccError, ReadView, Resolution, Scan, SplitPoint, Statistics, Version,
};
use storage::{Cursor, CursorOptions, Durability, Engine, Keyspace, WriteBatch};

use support::{Disk, InMemory, parse_timestamp, show};

type Output = Result<String, Box<dyn Error>>;

/// Dropped in this order: an engine is closed before its folder is removed.
struct Runner {
    engine: Arc<dyn Engine>,
    statistics: Statistics,
    _disk: Box<dyn Disk>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn all() -> Span {
    Span::new("", "\u{7f}")
}

/// `A` or `A/2`: name and epoch.
fn take_txn<'a>(args: &mut ArgumentConsumer<'a>) -> Option<(&'a str, u32)> {
    args.take_key("txn").map(|text| match text.split_once('/') {
        Some((name, epoch)) => (name, epoch.parse().expect("an epoch is a number")),
        None => (text, 0),
    })
}

fn take_view(args: &mut ArgumentConsumer<'_>) -> Result<ReadView, Box<dyn Error>> {
    let mut view = ReadView::at(parse_timestamp(args.take_key("t").ok_or("t= is missing")?)?);
    if let Some(limit) = args.take_key("limit") {
        view.uncertainty_limit = parse_timestamp(limit)?;
    }
    view.own = take_txn(args).map(|(name, epoch)| (support::txn_id(name), epoch));
    match args.take_key("on") {
        Some("skip") => view = view.skipping_conflicts(),
        Some("refuse") => view = view.refusing_newer(),
        Some("absent") => view = view.without_intents(),
        Some(other) => return Err(format!("no option {other}").into()),
        None => {}
    }
    Ok(view)
}

fn take_writes(args: &mut ArgumentConsumer<'_>) -> Result<WriteBlock, Box<dyn Error>> {
    let check = match args.take_key("check") {
        None => WriteCheck::None,
        Some("new") => WriteCheck::MustNotExist,
        Some(since) => WriteCheck::UnchangedSince(parse_timestamp(since)?),
    };
    let sequence = args.take_key("seq").unwrap_or("1").parse()?;
    let mut block = WriteBlock::new();
    while let Some((key, value)) = args.next_key() {
        let value = (value != "nil").then_some(value.as_bytes());
        block.push(WriteEntry { key: key.as_bytes(), value, check, sequence });
    }
    Ok(block)
}

fn show_error(error: &MvccError) -> String {
    match error {
        MvccError::Conflicts(conflicts) => {
            let list = conflicts.iter().map(|conflict| {
                let timestamp = show(conflict.txn.write_timestamp);
                format!("{} of {} at {timestamp}", text(&conflict.key), support::txn_name(conflict.txn.id))
            });
            format!("conflict: {}", list.collect::<Vec<_>>().join(", "))
        }
        MvccError::Uncertain { key, timestamp } => {
            format!("uncertain: {} at {}", text(key), show(*timestamp))
        }
        MvccError::Newer { key, timestamp } => format!("newer: {} at {}", text(key), show(*timestamp)),
        MvccError::Exists { key, value } => format!("exists: {}={}", text(key), text(value)),
        MvccError::Storage(error) => format!("error: {error}"),
    }
}

fn show_rows(rows: &KvBlock) -> String {
    let list = rows.iter().map(|row| match row.value {
        Some(value) => format!("{}={}", text(row.key), text(value)),
        None => format!("{}=<none>", text(row.key)),
    });
    let list: Vec<String> = list.collect();
    if list.is_empty() { "<nothing>".to_string() } else { list.join(" ") }
}

fn show_resume(resume: &Option<Span>) -> String {
    match resume {
        None => String::new(),
        Some(span) => {
            format!(", left [{}, {})", text(&span.start).escape_debug(), text(&span.end).escape_debug())
        }
    }
}

impl Runner {
    fn new(mut disk: Box<dyn Disk>) -> Runner {
        let engine = disk.open().expect("a new disk opens");
        Runner { engine, statistics: Statistics::default(), _disk: disk }
    }

    fn apply(&mut self, batch: &WriteBatch, delta: &Statistics) -> Result<(), Box<dyn Error>> {
        // What is replicated is bytes.
        let batch = WriteBatch::decode(batch.as_bytes())?;
        self.engine.write(&batch, Durability::Buffered)?;
        self.statistics.add(delta);
        Ok(())
    }

    fn write(&mut self, mut args: ArgumentConsumer<'_>, as_intents: bool) -> Output {
        let timestamp = parse_timestamp(args.take_key("t").ok_or("t= is missing")?)?;
        let txn = take_txn(&mut args);
        let absent = args.take_key("on") == Some("absent");
        let writes = take_writes(&mut args)?;
        let own = txn.map(|(name, _)| support::txn_id(name));
        let prepared = match mvcc::prepare(&*self.engine, &writes, own, absent) {
            Ok(prepared) => prepared,
            Err(error) => return Ok(show_error(&error)),
        };
        if prepared.newest() >= timestamp {
            return Ok(format!("too old: newest is {}", show(prepared.newest())));
        }
        let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
        if as_intents {
            let (name, epoch) = txn.ok_or("txn= is missing")?;
            prepared.place_intents(&support::txn(name, epoch, timestamp), &mut batch, &mut delta);
        } else {
            prepared.commit(timestamp, &mut batch, &mut delta);
        }
        let count = batch.len();
        self.apply(&batch, &delta)?;
        Ok(format!("{count} operations"))
    }

    fn scan(&self, mut args: ArgumentConsumer<'_>, reverse: bool) -> Output {
        let view = take_view(&mut args)?;
        let what = Scan {
            reverse,
            rows_max: args.take_key("rows").unwrap_or("0").parse()?,
            bytes_max: args.take_key("bytes").unwrap_or("0").parse()?,
            bulk: args.take_key("bulk").is_some(),
        };
        let span = match args.next_pos() {
            Some(start) => Span::new(start, args.next_pos().ok_or("the end is missing")?),
            None => all(),
        };
        args.reject_next()?;
        match mvcc::scan(&*self.engine, &span, &view, what) {
            Err(error) => Ok(show_error(&error)),
            Ok(result) => Ok(show_rows(&result.rows) + &show_resume(&result.resume)),
        }
    }

    fn get_many(&self, mut args: ArgumentConsumer<'_>) -> Output {
        let view = take_view(&mut args)?;
        let mut keys = KeyBlock::new();
        while let Some(key) = args.next_pos() {
            keys.push(key.as_bytes());
        }
        match mvcc::get_many(&*self.engine, &keys, &view) {
            Err(error) => Ok(show_error(&error)),
            Ok(rows) => Ok(show_rows(&rows)),
        }
    }

    fn get(&self, mut args: ArgumentConsumer<'_>) -> Output {
        let view = take_view(&mut args)?;
        let mut out = Vec::new();
        while let Some(key) = args.next_pos() {
            out.push(match mvcc::get(&*self.engine, key.as_bytes(), &view) {
                Err(error) => show_error(&error),
                Ok(None) => format!("{key}=<none>"),
                Ok(Some(value)) => format!("{key}={}", text(&value)),
            });
        }
        Ok(out.join("\n"))
    }

    fn resolve(&mut self, mut args: ArgumentConsumer<'_>) -> Output {
        let (name, epoch) = take_txn(&mut args).ok_or("txn= is missing")?;
        let timestamp = parse_timestamp(args.take_key("t").unwrap_or("0"))?;
        let status = match args.next_pos() {
            Some("committed") => TxnStatus::Committed,
            Some("aborted") => TxnStatus::Aborted,
            Some("pushed") => TxnStatus::Pending,
            other => return Err(format!("no status {other:?}").into()),
        };
        let resolution = Resolution { id: support::txn_id(name), epoch, status, timestamp };
        let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
        let out = if let Some(end) = args.take_key("end") {
            let span = Span::new(args.next_pos().unwrap_or_default(), end);
            let count_max = args.take_key("max").unwrap_or("100").parse()?;
            let done =
                mvcc::resolve_span(&*self.engine, &span, &resolution, count_max, &mut batch, &mut delta)?;
            format!("{} resolved{}", done.count, show_resume(&done.resume))
        } else {
            let key = args.next_pos().ok_or("the key is missing")?;
            match mvcc::resolve_key(&*self.engine, key.as_bytes(), &resolution, &mut batch, &mut delta) {
                Ok(resolved) => format!("{resolved:?}"),
                Err(error) => show_error(&error),
            }
        };
        self.apply(&batch, &delta)?;
        Ok(out)
    }

    fn changed(&self, mut args: ArgumentConsumer<'_>) -> Output {
        let from = parse_timestamp(args.take_key("from").ok_or("from= is missing")?)?;
        let to = parse_timestamp(args.take_key("to").ok_or("to= is missing")?)?;
        let own = take_txn(&mut args).map(|(name, _)| support::txn_id(name));
        let start = args.next_pos().ok_or("the key is missing")?;
        let span = match args.next_pos() {
            Some(end) => Span::new(start, end),
            None => Span::point(Key::from(start)),
        };
        Ok(match mvcc::find_change(&*self.engine, &span, from, to, own, false)? {
            None => "unchanged".to_string(),
            Some(mvcc::Changed::Version { key, timestamp }) => {
                format!("{} at {}", text(&key), show(timestamp))
            }
            Some(mvcc::Changed::Intent(conflict)) => show_error(&MvccError::Conflicts(vec![conflict])),
        })
    }

    fn garbage(&mut self, mut args: ArgumentConsumer<'_>, remove: bool) -> Output {
        let threshold = parse_timestamp(args.take_key("threshold").ok_or("threshold= is missing")?)?;
        let budget = GarbageBudget {
            keys_max: args.take_key("keys").unwrap_or("100").parse()?,
            versions_max: args.take_key("versions").unwrap_or("1000").parse()?,
        };
        let found = mvcc::find_garbage(&*self.engine, &all(), threshold, budget)?;
        let (mut batch, mut delta) = (WriteBatch::new(), Statistics::default());
        let mut out = String::new();
        for (key, upto) in &found.keys {
            write!(out, "{} up to {}", text(key), show(*upto))?;
            if remove {
                let count =
                    mvcc::remove_garbage(&*self.engine, key, *upto, threshold, &mut batch, &mut delta)?;
                write!(out, " ({count} removed)")?;
            }
            out.push('\n');
        }
        if remove {
            let freed = -(delta.total_bytes_signed());
            assert_eq!(freed, found.bytes as i64, "what was announced is what is freed");
            self.apply(&batch, &delta)?;
        }
        write!(out, "{} bytes{}", found.bytes, show_resume(&found.resume))?;
        Ok(out)
    }

    /// Everything there is, decoded.
    fn dump(&self) -> Output {
        let mut out = String::new();
        self.for_each(Keyspace::Current, |key, value| {
            let version = Version::decode(value)?;
            let value = version.value.map_or("-".to_string(), text);
            Ok(writeln!(out, "current  {} at {}: {value}", text(key), show(version.timestamp))?)
        })?;
        self.for_each(Keyspace::History, |key, value| {
            let version = Version::decode(value)?;
            let (key, timestamp) = mvcc::parse_history_key(key)?;
            assert_eq!(timestamp, version.timestamp);
            let value = version.value.map_or("-".to_string(), text);
            Ok(writeln!(out, "history  {} at {}: {value}", text(&key), show(timestamp))?)
        })?;
        self.for_each(Keyspace::Intents, |key, value| {
            let intent = mvcc::Intent::decode(value)?;
            let (name, at) = (support::txn_name(intent.txn.id), show(intent.txn.write_timestamp));
            let (epoch, sequence) = (intent.txn.epoch, intent.txn.sequence);
            let value = intent.value.as_deref().map_or("-".to_string(), text);
            Ok(writeln!(out, "intent   {} of {name}/{epoch}#{sequence} at {at}: {value}", text(key))?)
        })?;
        Ok(out)
    }

    fn for_each(
        &self,
        keyspace: Keyspace,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut cursor: Box<dyn Cursor + '_> = self.engine.cursor(keyspace, CursorOptions::default())?;
        let mut found = cursor.seek_first()?;
        while found {
            visit(cursor.key(), cursor.value())?;
            found = cursor.next()?;
        }
        Ok(())
    }

    fn show_statistics(&self) -> String {
        let s = &self.statistics;
        format!(
            "live {} ({} bytes), deletions {} ({}), history {} ({}), intents {} ({})",
            s.live_count,
            s.live_bytes,
            s.deletion_count,
            s.deletion_bytes,
            s.history_count,
            s.history_bytes,
            s.intent_count,
            s.intent_bytes
        )
    }
}

/// A difference in total bytes, for comparisons.
trait Signed {
    fn total_bytes_signed(&self) -> i64;
}

impl Signed for Statistics {
    fn total_bytes_signed(&self) -> i64 {
        self.live_bytes + self.deletion_bytes + self.history_bytes + self.intent_bytes
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Output {
        let mut args = command.consume_args();
        let mut out = match command.name.as_str() {
            "put" => self.write(args, false)?,
            "intend" => self.write(args, true)?,
            "get" => self.get(args)?,
            "get-many" => self.get_many(args)?,
            "scan" => self.scan(args, false)?,
            "scan-back" => self.scan(args, true)?,
            "resolve" => self.resolve(args)?,
            "changed" => self.changed(args)?,
            "garbage" => self.garbage(args, false)?,
            "collect" => self.garbage(args, true)?,
            "dump" => self.dump()?,
            "statistics" => self.show_statistics(),
            "split" => {
                let of =
                    Keyspace::from_name(args.next_pos().unwrap_or_default()).ok_or("no such keyspace")?;
                let left = args.next_pos().unwrap_or("0").parse()?;
                match mvcc::find_split_key(&*self.engine, &all(), of, left)? {
                    SplitPoint::At(key) => text(&key),
                    SplitPoint::Nowhere => "<none>".to_string(),
                    SplitPoint::Smaller => "<smaller>".to_string(),
                }
            }
            other => return Err(format!("no command {other}").into()),
        };
        assert_eq!(mvcc::compute_statistics(&*self.engine, &all())?, self.statistics, "statistics are exact");
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        Ok(out)
    }
}

fn run_all(new_disk: impl Fn() -> Box<dyn Disk>) {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/scripts/mvcc").expect("lists the scripts") {
        let path = entry.expect("lists the scripts").path();
        goldenscript::run(&mut Runner::new(new_disk()), &path).expect("the script runs");
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn memory() {
    run_all(|| Box::new(InMemory::new()));
}

#[cfg(feature = "rocks")]
#[test]
fn rocks() {
    run_all(|| Box::new(support::rocks::InFolder::new()));
}

#[test]
fn small_numbers_print_as_such() {
    assert_eq!(show(Timestamp::new(5, 0)), "5");
    assert_eq!(show(Timestamp::new(5, 1)), "5.1");
}
