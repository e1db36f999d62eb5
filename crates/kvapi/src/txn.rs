//! Transactions: identity, isolation, lock strengths, what travels with a request, what is persisted.

use std::fmt;

use clock::Timestamp;
use keys::{Key, NodeId, Span};
use smallvec::SmallVec;

use crate::IntentRef;

/// The identity of a transaction: 96 random bits and the node of its coordinator, which draws it. Committing twice
/// under one id commits once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TxnId(pub u128);

impl TxnId {
    /// An id of a transaction that `node` coordinates; of `random` the low 96 bits count.
    pub fn of(node: NodeId, random: u128) -> TxnId {
        TxnId(random << 32 | u128::from(node.0))
    }

    /// The node that coordinates the transaction.
    pub fn coordinator(self) -> NodeId {
        NodeId(self.0 as u32)
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub fn from_bytes(bytes: [u8; 16]) -> TxnId {
        TxnId(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for TxnId {
    /// The first eight hex digits: enough for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", (self.0 >> 96) as u32)
    }
}

impl fmt::Debug for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "txn {self}")
    }
}

/// What a transaction may observe of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Isolation {
    /// A new snapshot for every statement; a statement that meets a newer version is retried on a newer one.
    ReadCommitted = 1,
    /// One snapshot for the transaction; of two concurrent writers of a row the second is refused.
    Snapshot = 2,
    /// As if transactions ran one after another, in the order of their commit timestamps.
    #[default]
    Serializable = 3,
}

impl Isolation {
    /// Whether what was read must still hold at the commit timestamp.
    pub fn refreshes_reads(self) -> bool {
        self == Isolation::Serializable
    }

    pub fn from_code(code: u8) -> Option<Isolation> {
        Some(match code {
            1 => Isolation::ReadCommitted,
            2 => Isolation::Snapshot,
            3 => Isolation::Serializable,
            _ => return None,
        })
    }
}

/// The strength of a lock on a key, which PostgreSQL calls a row lock.
///
/// Conflicts (symmetric): `KeyShare` with `Update`; `Share` with `NoKeyUpdate` and `Update`; `NoKeyUpdate`
/// with `Share`, `NoKeyUpdate`, `Update`; `Update` with all. `None` is a read that takes no lock and meets
/// none: it only ever waits for an intent below its timestamp.
/// Source: PostgreSQL 15 documentation, 13.3.2 "Row-Level Locks".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LockStrength {
    #[default]
    None = 0,
    KeyShare = 1,
    Share = 2,
    NoKeyUpdate = 3,
    /// Also the strength of every write and of every intent.
    Update = 4,
}

impl LockStrength {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            LockStrength::None => "none",
            LockStrength::KeyShare => "key share",
            LockStrength::Share => "share",
            LockStrength::NoKeyUpdate => "no key update",
            LockStrength::Update => "update",
        }
    }

    pub fn conflicts_with(self, other: LockStrength) -> bool {
        use LockStrength::*;
        matches!(
            (self.min(other), self.max(other)),
            (KeyShare, Update)
                | (Share, NoKeyUpdate)
                | (Share, Update)
                | (NoKeyUpdate, NoKeyUpdate)
                | (NoKeyUpdate, Update)
                | (Update, Update)
        )
    }

    pub fn is_locking(self) -> bool {
        self != LockStrength::None
    }

    /// Whether holding this lock keeps every other transaction from writing the key.
    /// `KeyShare` admits a `NoKeyUpdate` writer, so a reader under it must still be refreshed.
    pub fn excludes_writers(self) -> bool {
        self >= LockStrength::Share
    }

    pub fn from_code(code: u8) -> Option<LockStrength> {
        use LockStrength::*;
        Some(match code {
            0 => None,
            1 => KeyShare,
            2 => Share,
            3 => NoKeyUpdate,
            4 => Update,
            _ => return Option::None,
        })
    }
}

/// What a request does when it meets a conflicting lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum WaitPolicy {
    /// Queue and wait, up to the batch's lock timeout.
    #[default]
    Block,
    /// Answer [`crate::KvError::LockNotAvailable`].
    NoWait,
    /// Leave the key out of the result. Locking reads only.
    SkipLocked,
}

/// Whose way it is when a push or a deadlock must choose: the lower priority gives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    pub const LOW: Priority = Priority(10);
    pub const NORMAL: Priority = Priority(100);
    pub const HIGH: Priority = Priority(200);
}

impl Default for Priority {
    fn default() -> Self {
        Priority::NORMAL
    }
}

/// What locks, intents and records say about a transaction: enough to find its record and to choose between
/// contenders.
///
/// - `anchor` is set before the first lock is taken or intent written, and never changes.
/// - `write_timestamp >= start`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnMeta {
    pub id: TxnId,
    /// The key beside which the transaction's record lives; `None` while it has neither lock nor intent.
    pub anchor: Option<Key>,
    /// Counts whole-transaction restarts under the same id. Intents of an older epoch are not committed.
    pub epoch: u32,
    /// Counts the transaction's writes in program order. A write never replaces one with a higher sequence.
    pub sequence: u32,
    pub isolation: Isolation,
    pub priority: Priority,
    /// When it began, or got its anchor: the age by which deadlock victims are chosen, and the floor below which a server that
    /// lost its memory (new lease) cannot rule out that the transaction was already ended.
    pub start: Timestamp,
    /// Where its writes are provisionally placed.
    pub write_timestamp: Timestamp,
}

/// A transaction as it travels with a request.
///
/// - `meta.write_timestamp >= read_timestamp`.
/// - `uncertainty_limit >= read_timestamp` at begin; afterwards the limit stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    pub meta: TxnMeta,
    pub read_timestamp: Timestamp,
    /// Of the own writes, reads see those up to this sequence: a statement does not see what it writes.
    pub read_sequence: u32,
    /// No value above this can have been committed before the transaction began.
    pub uncertainty_limit: Timestamp,
    /// Clock readings taken at nodes since the beginning: values of that node above the reading are not
    /// uncertain. The gateway's own reading is the first, so that a local transaction has no uncertainty.
    pub observed: SmallVec<[(NodeId, Timestamp); 1]>,
}

impl Txn {
    pub fn id(&self) -> TxnId {
        self.meta.id
    }

    /// The limit that counts at `node`: a value above what was observed there was committed later.
    pub fn uncertainty_limit_at(&self, node: NodeId) -> Timestamp {
        let observed = self.observed.iter().find(|(at, _)| *at == node).map(|(_, timestamp)| *timestamp);
        observed.map_or(self.uncertainty_limit, |timestamp| timestamp.min(self.uncertainty_limit))
    }

    /// Keeps the first (lowest) reading of each node.
    pub fn observe(&mut self, node: NodeId, timestamp: Timestamp) {
        if !self.observed.iter().any(|(at, _)| *at == node) {
            self.observed.push((node, timestamp));
        }
    }
}

/// Where a transaction stands, as its record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TxnStatus {
    /// In progress; alive as long as its heartbeat is.
    Pending = 1,
    /// Committed if and only if every write the record lists has been made at or below its timestamp.
    Staging = 2,
    Committed = 3,
    Aborted = 4,
}

impl TxnStatus {
    pub fn is_final(self) -> bool {
        matches!(self, TxnStatus::Committed | TxnStatus::Aborted)
    }

    pub fn from_code(code: u8) -> Option<TxnStatus> {
        Some(match code {
            1 => TxnStatus::Pending,
            2 => TxnStatus::Staging,
            3 => TxnStatus::Committed,
            4 => TxnStatus::Aborted,
            _ => return None,
        })
    }
}

/// The persisted record of a transaction, beside its anchor key.
///
/// One-phase commits write none. A record is removed once every intent it lists is resolved.
/// - `in_flight` is empty unless `Staging`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnRecord {
    pub meta: TxnMeta,
    pub status: TxnStatus,
    /// The last sign of life of the coordinator.
    pub heartbeat: Timestamp,
    /// The writes on which an implicit commit depends.
    pub in_flight: Vec<IntentRef>,
    /// Where its intents may be.
    pub intents: Vec<Span>,
}
