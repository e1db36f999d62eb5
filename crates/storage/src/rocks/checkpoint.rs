//! A snapshot that owns what it reads from, to be sent over some time.

use std::collections::VecDeque;
use std::sync::Arc;

use keys::Span;

use super::Databases;
use super::read::RocksSnapshot;
use crate::engine::fill_chunk;
use crate::{Checkpoint, Keyspace, StorageError, WriteBatch};

/// One state of some parts, held until it is dropped.
///
/// - `snapshot` borrows from `databases`, which the `Arc` keeps in place and alive: it is declared, and so dropped, before.
pub(super) struct RocksCheckpoint {
    snapshot: RocksSnapshot<'static>,
    whole: VecDeque<(Keyspace, Span)>,
    /// What is left of it.
    parts: VecDeque<(Keyspace, Span)>,
    _databases: Arc<Databases>,
}

impl RocksCheckpoint {
    pub(super) fn new(databases: Arc<Databases>, parts: &[(Keyspace, Span)]) -> RocksCheckpoint {
        // SAFETY: the reference is to the heap, which does not move, and is used only inside this value, whose last field keeps
        // the target alive until after `snapshot` is dropped. Nothing with the lifetime leaves this module.
        let extended: &'static Databases = unsafe { &*Arc::as_ptr(&databases) };
        let snapshot = RocksSnapshot::new(extended);
        let whole: VecDeque<_> = parts.iter().cloned().collect();
        RocksCheckpoint { snapshot, parts: whole.clone(), whole, _databases: databases }
    }
}

impl Checkpoint for RocksCheckpoint {
    fn next_chunk(&mut self, bytes: usize) -> Result<Option<WriteBatch>, StorageError> {
        fill_chunk(&self.snapshot, &mut self.parts, bytes)
    }

    fn rewind(&mut self) {
        self.parts.clone_from(&self.whole);
    }
}
