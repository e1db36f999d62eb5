//! The write buffer: what a transaction has written and not yet sent, and how its own reads see it.
//!
//! Each write has a sequence number. A key keeps several versions only where somebody may still need an older
//! one: the statement in progress, which does not see what it writes itself (its *read sequence* lies
//! below), and savepoints. Otherwise a new write replaces the last.
//!
//! # Early flush
//!
//! A large buffer is written out as intents and forgotten, down to a few spans ([`FlushedSpans`]) that say where own intents
//! may be; the server overlays them on reads. Only versions below the flushed one that somebody may still need stay
//! here, under the mark of the flushed sequence: above that mark the server knows better.
//!
//! ```text
//!   key   versions (sequence: value)        flushed     a read at sequence 5 sees
//!   a     3: x   7: y                       -           x
//!   b     3: x                              7           x          (the server has y at 7)
//!   c     -                                 4           ask the server
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;
use std::ops::Bound;

use bytes::Bytes;
use keys::{Key, Span};
use kvapi::{KvBlock, WriteBlock, WriteCheck, WriteEntry};
use smallvec::SmallVec;

/// Bytes counted for a write beside its key and value.
const ENTRY_OVERHEAD_BYTES: usize = 160;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    sequence: u32,
    /// `None`: deleted.
    value: Option<Bytes>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// What must hold of the committed row beneath.
    check: WriteCheck,
    /// Ascending by sequence.
    versions: SmallVec<[Version; 1]>,
    /// The sequence last flushed as an intent.
    flushed: Option<u32>,
}

impl Entry {
    fn visible(&self, sequence: u32) -> Option<&Version> {
        let version = self.versions.iter().rev().find(|version| version.sequence <= sequence)?;
        match self.flushed {
            Some(flushed) if flushed <= sequence && flushed > version.sequence => None,
            _ => Some(version),
        }
    }

    /// The version to be sent, unless the server has it.
    fn pending(&self) -> Option<&Version> {
        let last = self.versions.last()?;
        if self.flushed.is_some_and(|flushed| flushed >= last.sequence) { None } else { Some(last) }
    }
}

/// What the buffer says about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Buffered {
    /// Nothing: the server knows.
    Unknown,
    Deleted,
    Value(Bytes),
}

/// Buffered writes by key.
///
/// - Versions of a key ascend by sequence.
/// - `bytes` counts what [`WriteBuffer::pending`] would send, roughly; `pending` counts how many.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    pending: usize,
}

impl WriteBuffer {
    /// Whether the buffer has nothing to say about any key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing waits to be sent.
    pub fn has_nothing_pending(&self) -> bool {
        self.pending == 0
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes a key. `protected`: versions up to this sequence may still be needed and are kept.
    /// `check` counts for the first write of the key alone.
    pub fn write(
        &mut self,
        key: Key,
        value: Option<Bytes>,
        sequence: u32,
        protected: u32,
        check: impl FnOnce(&Key) -> WriteCheck,
    ) {
        let size = key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES;
        self.bytes += size;
        let version = Version { sequence, value };
        match self.entries.entry(key) {
            MapEntry::Vacant(vacant) => {
                let check = check(vacant.key());
                vacant.insert(Entry { check, versions: SmallVec::from_iter([version]), flushed: None });
                self.pending += 1;
            }
            MapEntry::Occupied(mut occupied) => {
                let entry = occupied.get_mut();
                if entry.pending().is_none() {
                    self.pending += 1;
                }
                match entry.versions.last_mut() {
                    Some(last) if last.sequence > protected => {
                        let replaced = ENTRY_OVERHEAD_BYTES + last.value.as_ref().map_or(0, Bytes::len);
                        self.bytes = self.bytes.saturating_sub(replaced);
                        *last = version;
                    }
                    _ => entry.versions.push(version),
                }
            }
        }
    }

    /// What a read at `sequence` sees of a key.
    pub fn get(&self, key: &[u8], sequence: u32) -> Buffered {
        if self.entries.is_empty() {
            return Buffered::Unknown;
        }
        match self.entries.get(key).and_then(|entry| entry.visible(sequence)) {
            None => Buffered::Unknown,
            Some(Version { value: None, .. }) => Buffered::Deleted,
            Some(Version { value: Some(value), .. }) => Buffered::Value(value.clone()),
        }
    }

    /// Whether a read of `span` at `sequence` sees anything of the buffer.
    pub fn touches(&self, span: &Span) -> bool {
        !self.entries.is_empty() && self.range(span).next().is_some()
    }

    /// The first key of `span` of which the buffer has something to say.
    pub fn first_in(&self, span: &Span) -> Option<&Key> {
        if self.entries.is_empty() {
            return None;
        }
        self.range(span).next().map(|(key, _)| key)
    }

    /// The last one.
    pub fn last_in(&self, span: &Span) -> Option<&Key> {
        if self.entries.is_empty() {
            return None;
        }
        self.range(span).next_back().map(|(key, _)| key)
    }

    fn range(&self, span: &Span) -> impl DoubleEndedIterator<Item = (&Key, &Entry)> {
        let end = if span.is_empty() { &span.start } else { &span.end };
        let bounds = (Bound::Included(&span.start), Bound::Excluded(end));
        self.entries.range::<Key, _>(bounds)
    }

    /// Lays the buffer over the rows read from `span` (all there are in it, in scan order).
    pub fn overlay(&self, span: &Span, reverse: bool, sequence: u32, rows: KvBlock) -> KvBlock {
        if !self.touches(span) {
            return rows;
        }
        let mut merged = KvBlock::with_capacity(rows.len(), rows.byte_size());
        let own = self.range(span).filter_map(|(key, entry)| Some((key, entry.visible(sequence)?)));
        if reverse {
            merge(&mut merged, &rows, own.rev(), true)
        } else {
            merge(&mut merged, &rows, own, false)
        }
        merged
    }

    /// Undoes every write above `sequence`. Flushed versions must be reverted by the caller.
    pub fn rollback_to(&mut self, sequence: u32) {
        self.entries.retain(|_, entry| {
            entry.versions.retain(|version| version.sequence <= sequence);
            if entry.flushed.is_some_and(|flushed| flushed > sequence) {
                // The server forgets its intent; what was under it here must be sent again.
                entry.flushed = None;
            }
            !entry.versions.is_empty()
        });
        self.recount();
    }

    fn recount(&mut self) {
        let pending = self.entries.iter().filter_map(|(key, entry)| Some((key, entry.pending()?)));
        (self.pending, self.bytes) = pending.fold((0, 0), |(count, bytes), (key, version)| {
            (
                count + 1,
                bytes + key.len() + version.value.as_ref().map_or(0, Bytes::len) + ENTRY_OVERHEAD_BYTES,
            )
        });
    }

    pub fn clear(&mut self) {
        *self = WriteBuffer::default();
    }

    /// What must be sent: the last version of each key, in key order.
    pub fn pending(&self) -> WriteBlock {
        let mut block = WriteBlock::with_capacity(
            self.pending,
            self.bytes.saturating_sub(self.pending * ENTRY_OVERHEAD_BYTES),
        );
        for (key, entry) in &self.entries {
            if let Some(version) = entry.pending() {
                let check = if entry.flushed.is_some() { WriteCheck::None } else { entry.check };
                block.push(WriteEntry {
                    key,
                    value: version.value.as_deref(),
                    check,
                    sequence: version.sequence,
                });
            }
        }
        block
    }

    /// The lowest key that must be sent.
    pub fn first_pending(&self) -> Option<Key> {
        let mut pending = self.entries.iter().filter(|(_, entry)| entry.pending().is_some());
        pending.next().map(|(key, _)| key.clone())
    }

    /// `block`, taken from [`WriteBuffer::pending`], is on the servers. Versions up to `protected` stay.
    pub fn flushed(&mut self, block: &WriteBlock, protected: u32) {
        for write in block.iter() {
            let Some(entry) = self.entries.get_mut(write.key) else { continue };
            entry.flushed = Some(write.sequence);
            entry
                .versions
                .retain(|version| version.sequence > write.sequence || version.sequence <= protected);
            let only_flushed = entry.versions.iter().all(|version| version.sequence == write.sequence);
            if only_flushed {
                self.entries.remove(write.key);
            }
        }
        self.recount();
    }

    /// A key that is about to be written over on the servers was flushed before with `value` at `sequence`, and
    /// may have to come back: keep that version.
    pub fn keep_displaced(&mut self, key: &[u8], sequence: u32, value: Option<Bytes>) {
        if let Some(entry) = self.entries.get_mut(key) {
            let position = entry.versions.partition_point(|version| version.sequence < sequence);
            debug_assert!(entry.versions.get(position).is_none_or(|next| next.sequence > sequence));
            entry.versions.insert(position, Version { sequence, value });
        }
    }

    /// Keys waiting to be sent over own intents that may have to come back as of `protected`. Flushes up to `last_flush` have gone to
    /// `spans`, and nothing later.
    ///
    /// What an entry knows to be flushed is displaced if it is not here as well. Of keys whose entries are gone since, or are
    /// new, nothing is known: there may be an intent of a flush then. An entry with a version of before the last
    /// flush has come back by a rollback, which has removed its intent.
    pub fn displacing(&self, spans: &FlushedSpans, protected: u32, last_flush: u32) -> Vec<Displaced> {
        if spans.is_empty() {
            return Vec::new();
        }
        let until = protected.min(last_flush);
        let displaces = |(key, entry): (&Key, &Entry)| {
            entry.pending()?;
            let (sequence, is_exact) = match entry.flushed {
                Some(flushed) if flushed > protected => return None,
                Some(flushed) => (flushed, true),
                None if entry.versions.first()?.sequence <= until => return None,
                None => (until, false),
            };
            let is_here = entry.versions.iter().any(|version| version.sequence == sequence);
            (!is_here && spans.contains(key)).then(|| Displaced { key: key.clone(), sequence, is_exact })
        };
        self.entries.iter().filter_map(displaces).collect()
    }
}

/// An own intent that is about to be written over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Displaced {
    pub key: Key,
    /// When it was flushed; an upper bound unless `is_exact`.
    pub sequence: u32,
    /// The intent is known to be there. Else there may be none.
    pub is_exact: bool,
}

fn merge<'a>(
    merged: &mut KvBlock,
    rows: &KvBlock,
    own: impl Iterator<Item = (&'a Key, &'a Version)>,
    reverse: bool,
) {
    let mut rows = rows.iter().peekable();
    for (key, version) in own {
        while let Some(row) =
            rows.next_if(|row| if reverse { row.key > &key[..] } else { row.key < &key[..] })
        {
            merged.push_row(row);
        }
        rows.next_if(|row| row.key == &key[..]);
        if let Some(value) = &version.value {
            merged.push(key, value);
        }
    }
    for row in rows {
        merged.push_row(row);
    }
}

/// Where own intents may be: a bounded number of spans that cover everything flushed.
///
/// - Spans ascend and do not overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlushedSpans {
    spans: Vec<Span>,
}

/// Spans up to which flushed keys are told apart.
const FLUSHED_SPANS_MAX: usize = 64;

impl FlushedSpans {
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        self.spans.iter().any(|span| span.contains(key))
    }

    pub fn to_vec(&self) -> Vec<Span> {
        self.spans.clone()
    }

    pub fn add(&mut self, span: Span) {
        self.spans.push(span);
        self.spans.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(self.spans.len());
        for span in self.spans.drain(..) {
            match merged.last_mut() {
                Some(last) if last.end >= span.start => *last = last.cover(&span),
                _ => merged.push(span),
            }
        }
        while merged.len() > FLUSHED_SPANS_MAX {
            let halved: Vec<Span> =
                merged.chunks(2).map(|pair| pair[0].cover(&pair[pair.len() - 1])).collect();
            merged = halved;
        }
        self.spans = merged;
    }

    pub fn clear(&mut self) {
        self.spans.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn write(buffer: &mut WriteBuffer, key: &str, text: Option<&str>, sequence: u32, protected: u32) {
        buffer.write(Key::from(key), text.and_then(value), sequence, protected, |_| WriteCheck::None);
    }

    fn read(buffer: &WriteBuffer, key: &str, sequence: u32) -> String {
        match buffer.get(key.as_bytes(), sequence) {
            Buffered::Unknown => "?".to_string(),
            Buffered::Deleted => "-".to_string(),
            Buffered::Value(value) => String::from_utf8_lossy(&value).into_owned(),
        }
    }

    #[test]
    fn a_statement_sees_earlier_writes_and_not_its_own() {
        let mut buffer = WriteBuffer::default();
        write(&mut buffer, "a", Some("1"), 1, 0);
        write(&mut buffer, "a", Some("2"), 2, 1);
        write(&mut buffer, "b", None, 3, 1);
        assert_eq!((read(&buffer, "a", 1), read(&buffer, "b", 1)), ("1".into(), "?".into()));
        assert_eq!((read(&buffer, "a", 3), read(&buffer, "b", 3)), ("2".into(), "-".into()));
        // Written twice by one statement: nobody can see the first.
        write(&mut buffer, "a", Some("4"), 4, 1);
        assert_eq!(read(&buffer, "a", 2), "1");
        assert_eq!(buffer.pending().entry(0).value, Some(&b"4"[..]));
        buffer.rollback_to(1);
        assert_eq!((read(&buffer, "a", 9), read(&buffer, "b", 9)), ("1".into(), "?".into()));
        assert_eq!(buffer.pending().len(), 1);
    }

    #[test]
    fn the_overlay_merges_in_both_directions() {
        let mut buffer = WriteBuffer::default();
        write(&mut buffer, "b", Some("own"), 1, 0);
        write(&mut buffer, "c", None, 2, 0);
        write(&mut buffer, "e", Some("own"), 3, 0);
        let span = Span::new("a", "z");
        let mut rows = KvBlock::new();
        for key in ["a", "b", "c", "d"] {
            rows.push(key.as_bytes(), b"db");
        }
        let merged = buffer.overlay(&span, false, 3, rows.clone());
        assert_eq!(format!("{merged:?}"), "[a=db, b=own, d=db, e=own]");
        let mut reversed = KvBlock::new();
        for row in rows.iter().rev() {
            reversed.push_row(row);
        }
        let merged = buffer.overlay(&span, true, 2, reversed);
        assert_eq!(format!("{merged:?}"), "[d=db, b=own, a=db]");
    }

    #[test]
    fn a_flush_keeps_what_a_savepoint_may_bring_back() {
        let mut buffer = WriteBuffer::default();
        write(&mut buffer, "a", Some("1"), 1, 0);
        write(&mut buffer, "a", Some("2"), 2, 1);
        write(&mut buffer, "b", Some("2"), 3, 1);
        let block = buffer.pending();
        buffer.flushed(&block, 1);
        assert!(buffer.has_nothing_pending());
        assert_eq!((read(&buffer, "a", 1), read(&buffer, "a", 3)), ("1".into(), "?".into()));
        buffer.rollback_to(1);
        assert_eq!(format!("{:?}", buffer.pending()), "[(a=1, None, 1)]");
    }

    #[test]
    fn flushed_spans_stay_few_and_cover_all() {
        let mut spans = FlushedSpans::default();
        for number in 0..1000u32 {
            let key = Key::from(number.to_be_bytes().to_vec());
            spans.add(Span::point(key));
        }
        assert!(spans.to_vec().len() <= FLUSHED_SPANS_MAX);
        assert!((0..1000u32).all(|number| spans.contains(&number.to_be_bytes())));
    }
}
