//! Reading: cursors and snapshots.

use rocksdb::{DB, DBRawIterator, ReadOptions, Snapshot};

use super::{Databases, storage_error};
use crate::engine::Pinned;
use crate::{Cursor, CursorOptions, Keyspace, PinnedValue, Reader, Side, StorageError};

/// Read ahead of bulk scans.
const BULK_READAHEAD_BYTES: usize = 1 << 20;

pub(super) fn cursor_options(options: CursorOptions<'_>) -> ReadOptions {
    let mut read = ReadOptions::default();
    if let Some(lower) = options.lower {
        read.set_iterate_lower_bound(lower);
    }
    if let Some(upper) = options.upper {
        read.set_iterate_upper_bound(upper);
    }
    if options.bulk {
        read.fill_cache(false);
        read.set_readahead_size(BULK_READAHEAD_BYTES);
    }
    read
}

/// A RocksDB iterator.
///
/// - `valid` is what the iterator said after its last movement.
pub(super) struct RocksCursor<'a> {
    iterator: DBRawIterator<'a>,
    valid: bool,
}

impl<'a> RocksCursor<'a> {
    pub(super) fn new(iterator: DBRawIterator<'a>) -> RocksCursor<'a> {
        RocksCursor { iterator, valid: false }
    }

    /// Whether there is an entry now; at the end, whether it is one, or an error.
    #[inline]
    fn moved(&mut self) -> Result<bool, StorageError> {
        self.valid = self.iterator.valid();
        if !self.valid {
            self.iterator.status().map_err(|error| storage_error(&error))?;
        }
        Ok(self.valid)
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        self.iterator.seek(key);
        self.moved()
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<bool, StorageError> {
        self.iterator.seek_for_prev(key);
        if self.moved()? && self.key() == key {
            self.iterator.prev();
            return self.moved();
        }
        Ok(self.valid)
    }

    fn seek_first(&mut self) -> Result<bool, StorageError> {
        self.iterator.seek_to_first();
        self.moved()
    }

    fn seek_last(&mut self) -> Result<bool, StorageError> {
        self.iterator.seek_to_last();
        self.moved()
    }

    fn next(&mut self) -> Result<bool, StorageError> {
        self.iterator.next();
        self.moved()
    }

    fn previous(&mut self) -> Result<bool, StorageError> {
        self.iterator.prev();
        self.moved()
    }

    fn is_valid(&self) -> bool {
        self.valid
    }

    fn key(&self) -> &[u8] {
        self.iterator.key().expect("the cursor is at an entry")
    }

    fn value(&self) -> &[u8] {
        self.iterator.value().expect("the cursor is at an entry")
    }
}

/// One state of both instances. Each side is one state of its own; nothing relates the two.
pub(super) struct RocksSnapshot<'a> {
    databases: &'a Databases,
    log: Snapshot<'a>,
    state: Snapshot<'a>,
    read_log: ReadOptions,
    read_state: ReadOptions,
}

impl<'a> RocksSnapshot<'a> {
    pub(super) fn new(databases: &'a Databases) -> RocksSnapshot<'a> {
        let (state, log) = (databases.state.snapshot(), databases.log.snapshot());
        let (mut read_state, mut read_log) = (ReadOptions::default(), ReadOptions::default());
        read_state.set_snapshot(&state);
        read_log.set_snapshot(&log);
        RocksSnapshot { databases, log, state, read_log, read_state }
    }

    fn of(&self, keyspace: Keyspace) -> (&'a DB, &Snapshot<'a>, &ReadOptions) {
        match keyspace.side() {
            Side::Log => (&self.databases.log, &self.log, &self.read_log),
            Side::State => (&self.databases.state, &self.state, &self.read_state),
        }
    }
}

impl Reader for RocksSnapshot<'_> {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<PinnedValue<'_>>, StorageError> {
        let (db, _, options) = self.of(keyspace);
        let found = db.get_pinned_cf_opt(self.databases.handle(keyspace), key, options);
        found
            .map(|value| value.map(|value| PinnedValue(Pinned::Rocks(value))))
            .map_err(|error| storage_error(&error))
    }

    fn cursor(
        &self,
        keyspace: Keyspace,
        options: CursorOptions<'_>,
    ) -> Result<Box<dyn Cursor + '_>, StorageError> {
        let (_, snapshot, _) = self.of(keyspace);
        let handle = self.databases.handle(keyspace);
        Ok(Box::new(RocksCursor::new(snapshot.raw_iterator_cf_opt(handle, cursor_options(options)))))
    }
}
