//! Scans: the keys of a span that have a value, in either direction, packed into one block.
//!
//! ```text
//! Intents:         b*          d*               (* mostly none: then only Current is walked)
//! Current:    a    b     c           e
//! History:               c'          e'         (asked only for versions too new for the view)
//! ```
//!
//! Intents and current versions are merged by key. A row whose current version is visible costs a key, a value and a step of one
//! cursor; nothing is compared with the row before, because no key comes twice.

use keys::{Key, Span};
use kvapi::KvBlock;

use super::error::{Conflict, MvccError};
use super::get::{CONFLICT_COUNT_MAX, superseded};
use super::history::HistoryReader;
use super::intent::{IntentCursor, Meaning};
use super::version::Version;
use super::view::ReadView;
use crate::{Cursor, CursorOptions, Keyspace, Reader};

/// A block never grows much above this, whatever is asked for.
const BLOCK_BYTES_MAX: usize = 64 << 20;
/// Memory taken ahead for a block.
const BLOCK_BYTES_INITIAL: usize = 4 << 10;

/// What to scan and when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    /// From the end of the span to its start.
    pub reverse: bool,
    /// Stop after this many rows; 0: no bound.
    pub rows_max: usize,
    /// Stop once the block holds this many bytes of keys and values, after at least one row; 0: no bound but an internal one (64 MiB).
    pub bytes_max: usize,
    /// The scan reads much that will not be read again soon: leave the cache alone.
    pub bulk: bool,
}

/// What a scan found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanResult {
    /// The rows, in the order of the scan.
    pub rows: KvBlock,
    /// What a bound has left unread; `None` if the span was read to its end.
    pub resume: Option<Span>,
}

/// The keys of a span that have a value, as the view sees them.
pub fn scan(reader: &dyn Reader, span: &Span, view: &ReadView, what: Scan) -> Result<ScanResult, MvccError> {
    if span.is_empty() {
        return Ok(ScanResult::default());
    }
    // The order of opening is the order in which versions move; see the module documentation of `mvcc`.
    let intents = IntentCursor::open(reader, span, view, what.reverse)?;
    let options = CursorOptions { bulk: what.bulk, ..CursorOptions::span(span) };
    let mut current = reader.cursor(Keyspace::Current, options)?;
    let valid = if what.reverse { current.seek_last()? } else { current.seek_first()? };
    let mut scanner = Scanner {
        view,
        reverse: what.reverse,
        rows_max: if what.rows_max == 0 { usize::MAX } else { what.rows_max },
        bytes_max: if what.bytes_max == 0 { BLOCK_BYTES_MAX } else { what.bytes_max.min(BLOCK_BYTES_MAX) },
        history: HistoryReader::of_span(reader, span),
        current,
        valid,
        intents,
        rows: KvBlock::with_capacity(
            what.rows_max.min(128),
            BLOCK_BYTES_INITIAL.min(what.bytes_max.max(256)),
        ),
        conflicts: Vec::new(),
    };
    scanner.run()?;
    scanner.finish(span)
}

struct Scanner<'a> {
    view: &'a ReadView,
    reverse: bool,
    rows_max: usize,
    bytes_max: usize,
    intents: IntentCursor<'a>,
    current: Box<dyn Cursor + 'a>,
    /// Whether `current` is at an entry.
    valid: bool,
    history: HistoryReader<'a>,
    rows: KvBlock,
    conflicts: Vec<Conflict>,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), MvccError> {
        while self.valid || !self.intents.is_exhausted() {
            if self.is_full() {
                return Ok(());
            }
            if !self.intents.is_exhausted() && self.intent_is_next() {
                self.take_intent()?;
            } else {
                self.take_current()?;
            }
        }
        Ok(())
    }

    /// Whether a bound is reached.
    #[inline]
    fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max
            || self.rows.byte_size() >= self.bytes_max && !self.rows.is_empty()
            || self.conflicts.len() >= CONFLICT_COUNT_MAX
    }

    /// Whether the next key in the direction of the scan has an intent.
    fn intent_is_next(&self) -> bool {
        match self.intents.key() {
            None => false,
            Some(_) if !self.valid => true,
            Some(key) if self.reverse => key >= self.current.key(),
            Some(key) => key <= self.current.key(),
        }
    }

    /// Deals with a key that has an intent, and with its current version too if the intent does not answer for it.
    fn take_intent(&mut self) -> Result<(), MvccError> {
        let (key, intent) = self.intents.take()?;
        let same = self.valid && self.current.key() == &key[..];
        match intent.meaning(&key, self.view) {
            Meaning::Invisible => {
                return if same { self.take_current() } else { Ok(()) };
            }
            Meaning::Skip => {}
            Meaning::Conflict(conflict) => self.conflicts.push(conflict),
            Meaning::Own(Some(value)) => self.rows.push(&key, &value),
            Meaning::Own(None) => {}
        }
        if same { self.step() } else { Ok(()) }
    }

    #[inline]
    fn step(&mut self) -> Result<(), MvccError> {
        self.valid = if self.reverse { self.current.previous()? } else { self.current.next()? };
        Ok(())
    }

    #[inline]
    fn take_current(&mut self) -> Result<(), MvccError> {
        let version = Version::decode(self.current.value())?;
        if version.timestamp <= self.view.timestamp {
            if let Some(value) = version.value {
                self.rows.push(self.current.key(), value);
            }
        } else {
            match superseded(&mut self.history, self.current.key(), version, self.view) {
                Ok(None) => {}
                Ok(Some(value)) => self.rows.push(self.current.key(), value),
                // Conflicts found before come first: they are nearer to the beginning.
                Err(_) if !self.conflicts.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        self.step()
    }

    fn finish(mut self, span: &Span) -> Result<ScanResult, MvccError> {
        if !self.conflicts.is_empty() {
            return Err(MvccError::Conflicts(self.conflicts));
        }
        let current = self.valid.then(|| self.current.key());
        let unread = match (current, self.intents.key()) {
            (Some(a), Some(b)) => Some(if self.reverse { a.max(b) } else { a.min(b) }),
            (a, b) => a.or(b),
        };
        let resume = unread.map(|key| {
            let key = Key::copy_from(key);
            if self.reverse {
                Span { start: span.start.clone(), end: key.next() }
            } else {
                Span { start: key, end: span.end.clone() }
            }
        });
        Ok(ScanResult { rows: std::mem::take(&mut self.rows), resume })
    }
}
