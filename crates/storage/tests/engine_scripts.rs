//! Runs `scripts/engine/*`: every engine must print the same.

mod support;

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use goldenscript::{Command, Context};
use keys::Span;
use storage::{Cursor, CursorOptions, Durability, Engine, Ingest, Keyspace, WriteBatch};

use support::{Disk, InMemory};

/// Dropped in this order: an engine is closed before its folder is removed.
struct Runner {
    engine: Option<Arc<dyn Engine>>,
    disk: Box<dyn Disk>,
    /// Given by `checkpoint`, taken by `ingest`.
    chunks: Vec<WriteBatch>,
}

impl Runner {
    fn new(mut disk: Box<dyn Disk>) -> Runner {
        let engine = disk.open().expect("a new disk opens");
        Runner { engine: Some(engine), disk, chunks: Vec::new() }
    }

    fn engine(&self) -> Arc<dyn Engine> {
        self.engine.clone().expect("the engine is open")
    }
}

fn keyspace(text: &str) -> Result<Keyspace, Box<dyn Error>> {
    Keyspace::from_name(text).ok_or_else(|| format!("no keyspace {text}").into())
}

/// `put <keyspace> <key> <value>`, `delete <keyspace> <key>`, `clear <keyspace> <start> <end>`, separated by commas.
fn parse_batch(text: &str) -> Result<WriteBatch, Box<dyn Error>> {
    let mut batch = WriteBatch::new();
    for operation in text.split(',').map(str::trim).filter(|operation| !operation.is_empty()) {
        let words: Vec<&str> = operation.split_whitespace().collect();
        match words[..] {
            ["put", space, key, value] => batch.put(keyspace(space)?, key.as_bytes(), value.as_bytes()),
            ["put", space, key] => batch.put(keyspace(space)?, key.as_bytes(), b""),
            ["delete", space, key] => batch.delete(keyspace(space)?, key.as_bytes()),
            ["clear", space, start, end] => batch.delete_range(keyspace(space)?, &Span::new(start, end)),
            _ => return Err(format!("no operation {operation:?}").into()),
        }
    }
    Ok(batch)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn walk(cursor: &mut dyn Cursor, reverse: bool) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    let mut found = if reverse { cursor.seek_last()? } else { cursor.seek_first()? };
    while found {
        writeln!(out, "{}={}", text(cursor.key()), text(cursor.value()))?;
        found = if reverse { cursor.previous()? } else { cursor.next()? };
    }
    Ok(out)
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let mut out = String::new();
        match command.name.as_str() {
            "write" => {
                let durability = match args.next_pos() {
                    Some("synced") => Durability::Synced,
                    Some("buffered") => Durability::Buffered,
                    other => return Err(format!("no durability {other:?}").into()),
                };
                let batch = parse_batch(args.next_pos().unwrap_or_default())?;
                if let Err(error) = self.engine().write(&batch, durability) {
                    writeln!(out, "error: {error}")?;
                }
            }
            "get" | "flushed" => {
                let space = keyspace(args.next_pos().unwrap_or_default())?;
                let engine = self.engine();
                while let Some(key) = args.next_pos() {
                    let value = if command.name == "get" {
                        engine.get(space, key.as_bytes())?
                    } else {
                        engine.flushed(space, key.as_bytes())?
                    };
                    writeln!(out, "{key}={}", value.map_or("<none>".to_string(), |value| text(&value)))?;
                }
            }
            "scan" => {
                let space = keyspace(args.next_pos().unwrap_or_default())?;
                let options = CursorOptions {
                    lower: args.take_key("lower").map(str::as_bytes),
                    upper: args.take_key("upper").map(str::as_bytes),
                    bulk: args.take_key("bulk").is_some(),
                };
                let reverse = args.next_pos() == Some("reverse");
                let engine = self.engine();
                out += &walk(&mut *engine.cursor(space, options)?, reverse)?;
            }
            "seek" => {
                let space = keyspace(args.next_pos().unwrap_or_default())?;
                let (lower, upper) = (args.take_key("lower"), args.take_key("upper"));
                let options = CursorOptions {
                    lower: lower.map(str::as_bytes),
                    upper: upper.map(str::as_bytes),
                    bulk: false,
                };
                let engine = self.engine();
                let mut cursor = engine.cursor(space, options)?;
                while let Some(key) = args.next_pos() {
                    let up =
                        if cursor.seek(key.as_bytes())? { text(cursor.key()) } else { "<end>".to_string() };
                    let down = if cursor.seek_before(key.as_bytes())? {
                        text(cursor.key())
                    } else {
                        "<end>".to_string()
                    };
                    writeln!(out, "{key}: at or above {up}, below {down}")?;
                }
            }
            "isolation" => {
                // A snapshot and a cursor do not see the write that is given.
                let batch = parse_batch(args.next_pos().unwrap_or_default())?;
                let engine = self.engine();
                let snapshot = engine.snapshot();
                let mut cursor = engine.cursor(Keyspace::Current, CursorOptions::default())?;
                engine.write(&batch, Durability::Buffered)?;
                let seen = |text: String| text.replace('\n', " ").trim_end().to_string();
                writeln!(out, "cursor: {}", seen(walk(&mut *cursor, false)?))?;
                let mut in_snapshot = snapshot.cursor(Keyspace::Current, CursorOptions::default())?;
                writeln!(out, "snapshot: {}", seen(walk(&mut *in_snapshot, false)?))?;
                let mut after = engine.cursor(Keyspace::Current, CursorOptions::default())?;
                writeln!(out, "engine: {}", seen(walk(&mut *after, false)?))?;
            }
            "flush" => self.engine().flush()?,
            "kill" => {
                self.disk.kill();
                self.engine = None;
                self.engine = Some(self.disk.open()?);
            }
            "reopen" => {
                self.engine = None;
                self.engine = Some(self.disk.open()?);
            }
            "open-twice" => match self.disk.open() {
                Ok(_) => writeln!(out, "opened")?,
                Err(storage::StorageError::Locked { .. }) => writeln!(out, "locked")?,
                Err(error) => return Err(error.into()),
            },
            "checkpoint" => {
                let space = keyspace(args.next_pos().unwrap_or_default())?;
                let span =
                    Span::new(args.next_pos().unwrap_or_default(), args.next_pos().unwrap_or("\u{ff}"));
                match self.engine().checkpoint(&[(space, span), (Keyspace::RangeLocal, Span::new("a", "z"))])
                {
                    Err(error) => writeln!(out, "error: {error}")?,
                    Ok(mut checkpoint) => {
                        self.engine()
                            .write(&parse_batch("put current b written-later")?, Durability::Buffered)?;
                        self.chunks.clear();
                        while let Some(chunk) = checkpoint.next_chunk(20)? {
                            writeln!(out, "{chunk:?}").map(|()| self.chunks.push(chunk))?;
                        }
                        checkpoint.rewind();
                        for chunk in &self.chunks {
                            let again = checkpoint.next_chunk(20)?.map(|again| format!("{again:?}"));
                            assert_eq!(again, Some(format!("{chunk:?}")), "the same comes again");
                        }
                    }
                }
            }
            "ingest" => {
                let last = parse_batch(args.next_pos().unwrap_or_default())?;
                let replaced = vec![(Keyspace::Current, Span::new("a", "z"))];
                let ingest = Ingest { replaced, chunks: std::mem::take(&mut self.chunks), last };
                if let Err(error) = self.engine().ingest(ingest) {
                    writeln!(out, "error: {error}")?;
                }
            }
            other => return Err(format!("no command {other}").into()),
        }
        args.reject_next()?;
        Ok(out)
    }
}

fn run_all(new_disk: impl Fn() -> Box<dyn Disk>) {
    let mut count = 0;
    for entry in std::fs::read_dir("tests/scripts/engine").expect("lists the scripts") {
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
