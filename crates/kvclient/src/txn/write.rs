//! Writes: buffered, inserted with a check, flushed early, rolled back to savepoints.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use keys::{Key, Span};
use kvapi::planted::Bug;
use kvapi::{Isolation, KeyBlock, KvBlock, KvError, RestartReason, WriteBlock};

use super::Txn;
use super::read::View;
use crate::buffer::{Buffered, Displaced, WriteBuffer};
use crate::router::unexpected;
use crate::{Conflict, InsertCheck, Locking, Savepoint};

/// Bytes of intents sent in one batch to one range.
const FLUSH_BATCH_BYTES: usize = 1 << 20;

/// Locks that are asked about one by one before a conflict is told; with more, what was lost shows at the commit.
const VERIFIED_LOCKS_MAX: usize = 1_000;

impl Txn {
    /// Buffers a write: of a row read before under a lock or in this snapshot, or a blind one. Sends nothing;
    /// who writes much calls [`Txn::flow`] now and then.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        let mut state = self.shared.state.lock();
        state.check_writable()?;
        state.write(Key::copy_from(key), Some(Bytes::copy_from_slice(value)), false);
        Ok(())
    }

    /// Buffers a write to a key that is held: see [`Txn::hold`]. It fails with the commit if the key has been written to since.
    pub fn put_held(&self, key: &[u8], value: &[u8]) -> Result<(), KvError> {
        let mut state = self.shared.state.lock();
        state.check_current()?;
        state.write(Key::copy_from(key), Some(Bytes::copy_from_slice(value)), false);
        Ok(())
    }

    /// Buffers a deletion, like [`Txn::put`]. A key without value may be deleted.
    pub fn delete(&self, key: &[u8]) -> Result<(), KvError> {
        let mut state = self.shared.state.lock();
        state.check_writable()?;
        state.write(Key::copy_from(key), None, false);
        Ok(())
    }

    /// Buffers many writes at once: rows with a value are put, rows without are deleted. Calls [`Txn::flow`].
    pub async fn write(&self, rows: &KvBlock) -> Result<(), KvError> {
        {
            let mut state = self.shared.state.lock();
            state.check_writable()?;
            for row in rows.iter() {
                state.write(Key::copy_from(row.key), row.value.map(Bytes::copy_from_slice), false);
            }
        }
        self.flow().await
    }

    /// Inserts rows whose keys must not exist, in any order. On a conflict nothing of the block is
    /// written, and the first conflicting row (by position) is told; a key that stands twice in the block
    /// conflicts with itself. With [`InsertCheck::AtCommit`] only conflicts with the own writes are told
    /// here. Calls [`Txn::flow`].
    pub async fn insert(&self, rows: &KvBlock, check: InsertCheck) -> Result<Option<Conflict>, KvError> {
        let check = {
            let state = self.shared.state.lock();
            // What was flushed is an intent of our own, which no check at commit would see.
            let flushed = !state.flushed.is_empty() && rows.iter().any(|row| state.flushed.contains(row.key));
            if flushed { InsertCheck::Now } else { check }
        };
        let (existing, is_newer) = match check {
            InsertCheck::AtCommit => (KvBlock::new(), false),
            InsertCheck::Now => self.lock_new_keys(rows).await?,
        };
        let conflict = {
            let mut state = self.shared.state.lock();
            state.check_writable()?;
            // All is looked at before anything is written: a write may take the place of one of the same statement, which could not
            // be brought back.
            match find_conflict(&state.buffer, rows, &existing, is_newer) {
                Ok(unknown) => {
                    for (row, unknown) in rows.iter().zip(unknown) {
                        state.write(Key::copy_from(row.key), row.value.map(Bytes::copy_from_slice), unknown);
                    }
                    None
                }
                Err(conflict) => Some(conflict),
            }
        };
        match &conflict {
            None => self.flow().await?,
            Some(_) if !existing.is_empty() => Box::pin(self.verify_standing()).await?,
            Some(_) => {}
        }
        Ok(conflict)
    }

    /// Locks the keys of rows to be inserted and reads what is there. True: something came or went since the snapshot, which a transaction
    /// that keeps one snapshot does not see; what came is in the way of an insert all the same.
    async fn lock_new_keys(&self, rows: &KvBlock) -> Result<(KvBlock, bool), KvError> {
        let keys: KeyBlock = rows.iter().map(|row| row.key).collect();
        let (sequence, isolation) = {
            let state = self.shared.state.lock();
            (state.sequence, state.isolation())
        };
        let view = View { sequence, is_newest: false };
        match self.multi_get_at(&keys, Locking::INSERT, view).await {
            Err(KvError::Restart { reason: RestartReason::WriteTooOld, .. })
                if isolation == Isolation::Snapshot =>
            {
                let view = View { is_newest: true, ..view };
                Ok((self.multi_get_at(&keys, Locking::INSERT, view).await?, true))
            }
            existing => Ok((existing?, false)),
        }
    }

    /// Whether what was read and locked still holds: asked before somebody is told that a key is taken. A lock that was lost with its range's lease, or a
    /// read that is out of date, may be why another could take it: then the transaction is to start over, as it would have to at its commit.
    async fn verify_standing(&self) -> Result<(), KvError> {
        let now = self.shared.db.clock.now();
        let (mut header, claims, tracks_reads) = {
            let state = self.shared.state.lock();
            if state.planted.has(Bug::NoLostUpdateCheck) {
                return Ok(());
            }
            (state.write_header(), state.locks.claims(|_| false), state.tracks_reads())
        };
        if let Some(txn) = &mut header.txn {
            txn.read_timestamp = now;
            txn.meta.write_timestamp = txn.meta.write_timestamp.max(now);
        }
        if claims.len() <= VERIFIED_LOCKS_MAX {
            self.shared.db.router.claim(&header, &claims).await?;
        }
        if tracks_reads { self.refresh_to(now).await } else { Ok(()) }
    }

    /// Flushes buffered writes as intents if there are more than `DbConfig::buffer_bytes_max` bytes.
    pub async fn flow(&self) -> Result<(), KvError> {
        let large = {
            let state = self.shared.state.lock();
            state.buffer.bytes() > self.shared.db.buffer_bytes_max.load(Ordering::Relaxed)
        };
        if large { Box::pin(self.flush()).await } else { Ok(()) }
    }

    /// Sends all buffered writes as intents.
    pub(super) async fn flush(&self) -> Result<(), KvError> {
        let mut attempts = 0;
        let first = self.shared.state.lock().buffer.first_pending();
        if let Some(first) = first {
            self.show_life(&first).await?;
        }
        self.keep_displaced().await?;
        loop {
            let (header, block, known) = {
                let mut state = self.shared.state.lock();
                state.check_alive()?;
                let block = state.buffer.pending();
                if block.is_empty() {
                    return Ok(());
                }
                state.anchor_at(block.key(0), &self.shared.db.clock);
                // Whatever comes of it, there may be intents from here on.
                let from = Key::copy_from(block.key(0));
                let to = Key::copy_from(block.key(block.len() - 1)).next();
                state.attempt_writes(&block);
                state.flushed.add(Span { start: from, end: to });
                self.register(&mut state);
                let known = state.doubtful_sequence;
                // Until it is answered, which whoever gives up the statement does not wait for.
                state.doubt(&block);
                (state.write_header(), block, known)
            };
            let unanswered = AtomicBool::new(false);
            let placed = self.send_in_batches(&header, &block, &unanswered).await;
            if !unanswered.into_inner() {
                self.shared.state.lock().doubtful_sequence = known;
            }
            match placed {
                Ok(timestamp) => {
                    let mut state = self.shared.state.lock();
                    state.txn.meta.write_timestamp = state.txn.meta.write_timestamp.max(timestamp);
                    let protected = state.protected();
                    state.buffer.flushed(&block, protected);
                    state.locks.flushed(&block);
                    state.last_flush_sequence = state.last_flush_sequence.max(block.last_sequence());
                    return Ok(());
                }
                Err(error) => self.get_past(error, &mut attempts).await?,
            }
        }
    }

    async fn send_in_batches(
        &self,
        header: &kvapi::Header,
        block: &WriteBlock,
        unanswered: &AtomicBool,
    ) -> Result<kvapi::Timestamp, KvError> {
        let mut highest = kvapi::Timestamp::ZERO;
        let mut start = 0;
        while start < block.len() {
            let mut bytes = 0;
            let mut end = start;
            while end < block.len() && (end == start || bytes < FLUSH_BATCH_BYTES) {
                let write = block.entry(end);
                bytes += write.key.len() + write.value.map_or(0, <[u8]>::len);
                end += 1;
            }
            let placed = self.shared.db.router.write(header, block.slice(start..end), unanswered).await?;
            highest = highest.max(placed);
            start = end;
        }
        Ok(highest)
    }

    /// Before a flush writes over what was flushed earlier: takes back values that a savepoint or the
    /// statement in progress may still need.
    async fn keep_displaced(&self) -> Result<(), KvError> {
        let displaced = {
            let state = self.shared.state.lock();
            if state.protected() == 0 {
                return Ok(());
            }
            state.buffer.displacing(&state.flushed, state.protected(), state.last_flush_sequence)
        };
        for Displaced { key, sequence, is_exact } in displaced {
            let value = self.get_as_of(&key, sequence).await?;
            // Without an intent this is the committed row, which a rollback does not have to bring back.
            if !is_exact && value == self.get_as_of(&key, 0).await? {
                continue;
            }
            let mut state = self.shared.state.lock();
            state.buffer.keep_displaced(&key, sequence, value.map(Bytes::from));
            if !is_exact {
                // What an older savepoint would bring back is not known.
                state.displaced_sequence = state.displaced_sequence.max(sequence);
            }
        }
        Ok(())
    }

    /// What the servers have of a key, with own writes up to `sequence`.
    async fn get_as_of(&self, key: &Key, sequence: u32) -> Result<Option<Vec<u8>>, KvError> {
        let mut header = self.shared.state.lock().write_header();
        if let Some(txn) = &mut header.txn {
            txn.read_sequence = sequence;
        }
        let request = kvapi::GetRequest { key: key.clone(), ..Default::default() };
        let mut response = self.shared.db.router.get(header, request).await?;
        match response.responses.pop() {
            Some(kvapi::Response::Get(value)) => Ok(value),
            other => Err(unexpected(other)),
        }
    }

    /// Marks where writes and locks stand now. Valid until rolled back to an older one.
    pub fn savepoint(&self) -> Savepoint {
        let mut state = self.shared.state.lock();
        state.savepoint_sequence = state.sequence;
        Savepoint { sequence: state.sequence, number: state.locks.mark() }
    }

    /// Undoes all writes made since, and releases the locks first taken since. The savepoint stays valid.
    pub async fn rollback_to(&self, savepoint: Savepoint) -> Result<(), KvError> {
        self.undo_writes(savepoint.sequence).await?;
        self.release_locks_since(savepoint).await
    }

    /// Releases the locks first taken since a savepoint. Where reads are refreshed, what was read under them needs that from now on: it must
    /// have stood still so far.
    async fn release_locks_since(&self, savepoint: Savepoint) -> Result<(), KvError> {
        let (header, withdrawn, relied_on) = {
            let mut state = self.shared.state.lock();
            let withdrawn = state.locks.withdraw_since(savepoint.number);
            if withdrawn.is_empty() {
                return Ok(());
            }
            let mut relied_on = Vec::new();
            if state.tracks_reads() {
                for claim in withdrawn.iter().filter(|claim| claim.strength.excludes_writers()) {
                    state.reads.add(Span::point(claim.key.clone()));
                    if claim.since < state.txn.read_timestamp {
                        relied_on.push(claim.clone());
                    }
                }
            }
            (state.write_header(), withdrawn, relied_on)
        };
        self.shared.db.router.claim(&header, &relied_on).await?;
        let keys: KeyBlock = withdrawn.iter().map(|claim| &claim.key[..]).collect();
        match self.shared.db.router.release_locks(&header, &keys).await {
            Ok(()) => self.shared.state.lock().locks.released(&withdrawn),
            // They go with the transaction.
            Err(error) => tracing::debug!(%error, "locks were kept beyond a savepoint"),
        }
        Ok(())
    }

    /// Undoes all writes above a sequence. Locks are kept.
    pub(super) async fn undo_writes(&self, sequence: u32) -> Result<(), KvError> {
        let revert = {
            let mut state = self.shared.state.lock();
            state.check_alive()?;
            if sequence > state.sequence {
                return Err(KvError::invalid("the savepoint no longer exists"));
            }
            if sequence < state.displaced_sequence.max(state.doubtful_sequence) {
                // A value that was flushed before the savepoint may be gone for good, or what is undone may arrive once more.
                let (reason, timestamp) = (RestartReason::Aborted, state.txn.meta.write_timestamp);
                return Err(KvError::Restart { reason, timestamp, key: None });
            }
            state.buffer.rollback_to(sequence);
            state.locks.undone(sequence);
            state.statement_sequence = state.statement_sequence.min(sequence);
            state.restart_sequence = state.restart_sequence.min(sequence);
            state.savepoint_sequence = sequence;
            // Later intents go away.
            state.last_flush_sequence = state.last_flush_sequence.min(sequence);
            (!state.flushed.is_empty()).then(|| (state.write_header(), state.flushed.to_vec()))
        };
        if let Some((header, spans)) = revert {
            self.shared.db.router.revert(&header, &spans, sequence).await?;
        }
        Ok(())
    }
}

/// Of each row whether the buffer knows nothing of its key; or the first row whose key has a value, be it stored, written before or by
/// an earlier row. `existing` is empty, or has a row for each.
fn find_conflict(
    buffer: &WriteBuffer,
    rows: &KvBlock,
    existing: &KvBlock,
    is_newer: bool,
) -> Result<Vec<bool>, Conflict> {
    let ascends = (1..rows.len()).all(|index| rows.key(index - 1) < rows.key(index));
    let mut earlier: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    let mut unknown = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let stored = if existing.is_empty() { None } else { existing.value(index) };
        let own = buffer.get(row.key, u32::MAX);
        let in_the_way = match &own {
            Buffered::Unknown => stored,
            Buffered::Deleted => None,
            Buffered::Value(value) => Some(&value[..]),
        };
        let in_the_way = in_the_way.or_else(|| earlier.get(row.key).copied());
        if let Some(value) = in_the_way {
            return Err(Conflict { index, key: row.key.to_vec(), value: value.to_vec(), is_newer });
        }
        if let Some(value) = row.value.filter(|_| !ascends) {
            earlier.insert(row.key, value);
        }
        unknown.push(own == Buffered::Unknown);
    }
    Ok(unknown)
}
