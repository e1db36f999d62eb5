//! What a coordinator keeps of its transaction, and the rules by which it changes.

use std::time::Duration;

use bytes::Bytes;
use clock::Clock;
use keys::{Key, Span};
use kvapi::planted::{Bug, Planted};
use kvapi::{
    Header, Isolation, KvError, LockStrength, RestartReason, Timestamp, Txn, TxnId, TxnMeta, WaitPolicy,
    WriteBlock, WriteCheck,
};
use smallvec::SmallVec;

use crate::buffer::{FlushedSpans, WriteBuffer};
use crate::footprint::{LockSet, ReadSet};
use crate::{Locking, TxnOptions};

/// Where a transaction stands for its coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// A commit is on its way; nothing else may be.
    Ending,
    Committed(Timestamp),
    RolledBack,
    /// The outcome of the commit cannot be known.
    Unknown,
}

/// The coordinator's state.
///
/// - `txn.meta.write_timestamp >= txn.read_timestamp`.
/// - `restart_sequence <= statement_sequence <= sequence`; reads see own writes up to `statement_sequence`.
/// - Every unlocked read that was sent is in `reads` before it is sent, if the isolation level refreshes.
pub(crate) struct State {
    pub txn: Txn,
    /// When this identity began, on the node's monotonic clock.
    pub began: Duration,
    pub phase: Phase,
    pub read_only: bool,
    /// Reads a fixed snapshot of the past.
    pub stale: bool,
    pub lock_timeout: Option<Duration>,
    pub deadline: Option<Timestamp>,
    /// Of the last write.
    pub sequence: u32,
    /// Of the last write before the statement in progress, or before its present part.
    pub statement_sequence: u32,
    /// Of the last write before the statement in progress: where doing it over begins.
    pub restart_sequence: u32,
    /// Of the newest savepoint.
    pub savepoint_sequence: u32,
    /// Of the last write that was flushed and not rolled back since, or above it.
    pub last_flush_sequence: u32,
    /// Older savepoints cannot be rolled back to: a flush has written over an earlier flush.
    pub displaced_sequence: u32,
    /// Of the last write of which an attempt may yet arrive, though another has been answered: what is undone must be older, or later.
    pub doubtful_sequence: u32,
    pub buffer: WriteBuffer,
    pub flushed: FlushedSpans,
    pub reads: ReadSet,
    pub locks: LockSet,
    /// Something was read at the read timestamp, under a lock or not.
    pub has_read: bool,
    /// A heartbeat has written a record, or a commit has staged one.
    pub recorded: bool,
    /// The registry of heartbeats knows it.
    pub registered: bool,
    /// Somebody aborted it: a restart needs a new identity.
    pub aborted: bool,
    /// Safeguards that a simulation has taken away.
    pub planted: Planted,
}

impl State {
    pub fn new(
        id: TxnId,
        began: Duration,
        start: Timestamp,
        limit: Timestamp,
        node: keys::NodeId,
        options: &TxnOptions,
    ) -> State {
        let meta = TxnMeta {
            id,
            anchor: None,
            epoch: 0,
            sequence: 0,
            isolation: options.isolation,
            priority: options.priority,
            start,
            write_timestamp: start,
        };
        let observed = SmallVec::from_iter([(node, start)]);
        let txn = Txn { meta, read_timestamp: start, read_sequence: 0, uncertainty_limit: limit, observed };
        State {
            txn,
            began,
            phase: Phase::Open,
            read_only: options.read_only || options.as_of.is_some(),
            stale: options.as_of.is_some(),
            lock_timeout: options.lock_timeout,
            deadline: None,
            sequence: 0,
            statement_sequence: 0,
            restart_sequence: 0,
            savepoint_sequence: 0,
            last_flush_sequence: 0,
            displaced_sequence: 0,
            doubtful_sequence: 0,
            buffer: WriteBuffer::default(),
            flushed: FlushedSpans::default(),
            reads: ReadSet::default(),
            locks: LockSet::default(),
            has_read: false,
            recorded: false,
            registered: false,
            aborted: false,
            planted: Planted::NONE,
        }
    }

    pub fn isolation(&self) -> Isolation {
        self.txn.meta.isolation
    }

    pub fn check_open(&self) -> Result<(), KvError> {
        match self.phase {
            Phase::Open if self.aborted => Err(KvError::Restart {
                reason: RestartReason::Aborted,
                timestamp: self.txn.meta.write_timestamp,
                key: None,
            }),
            Phase::Open => Ok(()),
            Phase::Ending => Err(KvError::invalid("the transaction is being committed")),
            Phase::Committed(_) | Phase::RolledBack => Err(KvError::invalid("the transaction has ended")),
            Phase::Unknown => Err(KvError::ambiguous("the outcome of the transaction's commit is not known")),
        }
    }

    /// Whether requests on behalf of the transaction make sense, its commit's included.
    pub fn check_alive(&self) -> Result<(), KvError> {
        if self.phase == Phase::Ending { Ok(()) } else { self.check_open() }
    }

    /// Whether the transaction is open, and its present is the present.
    pub fn check_current(&self) -> Result<(), KvError> {
        self.check_open()?;
        if self.stale { Err(KvError::invalid("the transaction reads the past")) } else { Ok(()) }
    }

    pub fn check_writable(&self) -> Result<(), KvError> {
        self.check_open()?;
        if self.read_only { Err(KvError::invalid("the transaction is read only")) } else { Ok(()) }
    }

    /// Versions up to this may still be read or rolled back to.
    pub fn protected(&self) -> u32 {
        self.statement_sequence.max(self.savepoint_sequence)
    }

    /// Whether unlocked reads must be kept for a refresh: not of who writes nothing. Who has become read only after a write commits it.
    pub fn tracks_reads(&self) -> bool {
        !self.stale && (!self.read_only || self.sequence > 0) && self.isolation().refreshes_reads()
    }

    /// Whether the server may move the read timestamp of this read up by itself.
    pub fn can_forward(&self, locking: bool) -> bool {
        match self.isolation() {
            _ if self.stale => false,
            // A locking read takes the newest version of the row; the statement's snapshot stays.
            Isolation::ReadCommitted => locking || !self.has_read,
            Isolation::Serializable if self.tracks_reads() => self.reads.is_empty(),
            Isolation::Snapshot | Isolation::Serializable => !self.has_read,
        }
    }

    /// The header of a read as of now.
    pub fn read_header(&self, locking: Locking, read_sequence: u32) -> Header {
        let mut txn = self.txn.clone();
        txn.read_sequence = read_sequence;
        Header {
            txn: Some(txn),
            wait_policy: locking.wait,
            lock_timeout: self.lock_timeout,
            can_forward_read: self.can_forward(locking.is_locking()),
            ..Header::default()
        }
    }

    /// The header of a write or a refresh as of now.
    pub fn write_header(&self) -> Header {
        let mut txn = self.txn.clone();
        txn.read_sequence = self.sequence;
        Header {
            txn: Some(txn),
            wait_policy: WaitPolicy::Block,
            lock_timeout: self.lock_timeout,
            can_forward_read: false,
            ..Header::default()
        }
    }

    /// A read was answered as of `timestamp`. A locking read of READ COMMITTED takes the newest version of its row; any other read
    /// is the statement's snapshot, which the rest of the statement reads at as well.
    pub fn was_read_at(&mut self, timestamp: Timestamp, is_locking: bool) {
        self.was_read_apart(timestamp);
        if !(is_locking && self.isolation() == Isolation::ReadCommitted) {
            self.txn.read_timestamp = self.txn.read_timestamp.max(timestamp);
        }
    }

    /// A read was answered as of `timestamp`, of which nothing else is to be seen: the snapshot stays where it is.
    pub fn was_read_apart(&mut self, timestamp: Timestamp) {
        self.has_read = true;
        self.txn.meta.write_timestamp = self.txn.meta.write_timestamp.max(timestamp);
    }

    /// Moves the snapshot up. What was read before must have been refreshed.
    pub fn advance_to(&mut self, timestamp: Timestamp) {
        self.txn.read_timestamp = self.txn.read_timestamp.max(timestamp);
        self.txn.meta.write_timestamp = self.txn.meta.write_timestamp.max(timestamp);
    }

    /// Gives the transaction an anchor, beside which its record lives should it need one, before it leaves its first trace on a server. For
    /// servers it starts then: nobody can have ended it before, whatever they have forgotten since.
    pub fn anchor_at(&mut self, key: &[u8], clock: &Clock) {
        if self.txn.meta.anchor.is_none() {
            self.txn.meta.anchor = Some(Key::copy_from(key));
            self.txn.meta.start = self.txn.meta.start.max(clock.now());
        }
    }

    /// Writes are about to be sent. On the way they may queue for locks of others, which then are the transaction's.
    pub fn attempt_writes(&mut self, writes: &WriteBlock) {
        let first = Key::copy_from(writes.key(0));
        let last = writes.key(writes.len() - 1);
        let span = if *last == first[..] {
            Span::point(first)
        } else {
            Span { start: first, end: Key::copy_from(last).next() }
        };
        let _ = self.locks.attempt(span);
    }

    /// An attempt to send these may arrive late.
    pub fn doubt(&mut self, writes: &WriteBlock) {
        self.doubtful_sequence = self.doubtful_sequence.max(writes.last_sequence());
    }

    /// What must hold of a row for it to be written now.
    pub fn write_check(&self, key: &[u8]) -> WriteCheck {
        if self.planted.has(Bug::NoLostUpdateCheck) {
            return WriteCheck::None;
        }
        // Own intents are no versions: what was flushed before does not fail the check.
        match self.locks.get(key) {
            Some(locked) if locked.strength >= LockStrength::NoKeyUpdate => {
                WriteCheck::UnchangedSince(locked.since)
            }
            _ if self.isolation() == Isolation::Snapshot => {
                WriteCheck::UnchangedSince(self.txn.read_timestamp)
            }
            _ => WriteCheck::None,
        }
    }

    /// Buffers a write.
    pub fn write(&mut self, key: Key, value: Option<Bytes>, must_not_exist: bool) {
        self.sequence += 1;
        self.txn.meta.sequence = self.sequence;
        let mut check = self.write_check(&key);
        if must_not_exist && !matches!(check, WriteCheck::UnchangedSince(_)) {
            check = WriteCheck::MustNotExist;
        }
        let (sequence, protected) = (self.sequence, self.protected());
        self.buffer.write(key, value, sequence, protected, |_| check);
    }

    /// Whether the transaction has left anything on a server.
    pub fn has_left_traces(&self) -> bool {
        !self.locks.is_empty() || !self.flushed.is_empty() || self.recorded
    }

    /// Begins again at `timestamp` under the same identity: locks stay, all else goes. Nothing was flushed.
    pub fn restart_at(&mut self, timestamp: Timestamp) {
        self.advance_to(timestamp);
        self.buffer.clear();
        self.reads.clear();
        self.locks.retire();
        self.has_read = false;
        self.statement_sequence = self.sequence;
        self.restart_sequence = self.sequence;
        self.savepoint_sequence = self.sequence;
        self.doubtful_sequence = 0;
        self.deadline = None;
    }

    /// Begins again as somebody else: what was left on servers belongs to the old identity.
    pub fn restart_as(&mut self, id: TxnId, began: Duration, timestamp: Timestamp) {
        self.restart_at(timestamp);
        self.txn.meta.id = id;
        self.began = began;
        self.txn.meta.anchor = None;
        self.txn.meta.start = self.txn.read_timestamp;
        self.locks.clear();
        self.flushed.clear();
        self.recorded = false;
        self.registered = false;
        self.aborted = false;
        self.phase = Phase::Open;
    }
}
