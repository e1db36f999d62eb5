//! What a store of groups needs from above and beside it: a state machine and a transport.

use bytes::Bytes;
use env::BoxFuture;
use keys::{RangeId, ReplicaId, Span, StoreId};
use raft::{ConfChange, Configuration, Index, Message, Position, Term};
use storage::{Checkpoint, Keyspace, WriteBatch};
use thiserror::Error;

/// The index that a new range begins at, as if this many entries had been applied and truncated away. Above zero, so
/// that a replica that has nothing can be told from one that has the beginning.
pub const INITIAL_INDEX: Index = Index(10);

/// The term that goes with [`INITIAL_INDEX`].
pub const INITIAL_TERM: Term = Term(5);

/// A command that is committed and is to be applied now.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where it stands in the log of its range.
    pub position: Position,
    /// What was proposed; for a membership change its context.
    pub command: Bytes,
    /// The membership change that this is. It takes effect unless the machine vetoes it.
    pub conf_change: Option<ConfChange>,
}

/// What applying a command did beside the batch.
#[derive(Clone, Debug, Default)]
pub struct ApplyEffect {
    /// Given to the proposer, if it waits on this store. Means nothing to this crate.
    pub answer: Bytes,
    /// What happens to ranges as such.
    pub change: Option<RangeChange>,
}

/// What a command does to ranges as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeChange {
    /// A new range begins, cut off from the one the command belongs to. Its state is in the batch.
    Split(NewRange),
    /// This store's replica of a range (this one or another) ends. The batch deletes its state.
    Destroy(RangeId),
    /// The range absorbs another, which is no more. The batch deletes what is kept by that one's id. See [`StateMachine::awaits`].
    Merge(RangeId),
    /// The membership change does not happen.
    Veto,
    /// None; but the machine is to see the state as it is right after this command.
    Pause,
}

/// This store's replica of a range that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRange {
    pub range: RangeId,
    /// Which replica this store has.
    pub replica: ReplicaId,
    /// All replicas; see [`configuration_of`].
    pub configuration: Configuration,
}

/// What must have been applied here before a command can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub range: RangeId,
    /// An entry of that range's log, which is committed, and durable on this store.
    pub upto: Position,
}

/// A configuration of voters.
pub fn configuration_of(voters: impl IntoIterator<Item = ReplicaId>) -> Configuration {
    Configuration::of_voters(voters.into_iter().map(raft_id))
}

/// A replica's id as `raft` knows it.
pub fn raft_id(replica: ReplicaId) -> raft::ReplicaId {
    raft::ReplicaId(u64::from(replica.get()))
}

/// A replica's id as the rest knows it. `None` for a number that no replica of ours can have.
pub fn replica_id(id: raft::ReplicaId) -> Option<ReplicaId> {
    u32::try_from(id.0).ok().map(ReplicaId)
}

/// Whether this store's replica leads its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// It leads, and has applied everything that was committed before: its state is the newest there is.
    Leading { term: Term },
    /// It does not, or not yet. It may know who does.
    Following { term: Term, leader: Option<ReplicaId> },
}

/// A command that cannot be applied. Replicas would diverge if any of them went on: the store stops.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ApplyError(pub String);

/// The replicated state of all ranges of a store, as far as it is to be changed by commands.
///
/// For one range the calls come one after the other, from a thread that may block. For different ranges they may come at the
/// same time.
///
/// ```text
///   apply ... apply --> the batch is written, with the applied index --> applied --> proposers wake
/// ```
///
/// After a membership change, and after a command with a [`RangeChange`], the batch is written and [`StateMachine::applied`] called before the next
/// command is passed.
pub trait StateMachine: Send + Sync + 'static {
    /// Appends to `batch` what the command does. State-side keyspaces only. The batch may hold writes of other ranges already.
    ///
    /// Deterministic: the same commands in the same order give the same state on every replica and after every
    /// restart. After a crash commands are applied again, on the state that was there before them. It must not rely on seeing
    /// what earlier commands of the same batch wrote; it must not change what readers see.
    fn apply(
        &self,
        range: RangeId,
        command: &Committed,
        batch: &mut WriteBatch,
    ) -> Result<ApplyEffect, ApplyError>;

    /// What a command waits for that is going to absorb another range. Once that has been applied here, the other range's replica is stopped;
    /// then the command is passed to [`StateMachine::apply`], which must give [`RangeChange::Merge`]. Asked about every command, with
    /// everything that changes ranges and comes before it applied.
    fn awaits(&self, _range: RangeId, _at: Position, _command: &[u8]) -> Option<Awaited> {
        None
    }

    /// The effects of these commands are in the engine now (not durable yet). For what is kept in memory.
    /// Must not wait for anything that is proposed.
    fn applied(&self, range: RangeId, upto: Position, effects: &[ApplyEffect]);

    /// The range's leadership changed. Called in order, with the range locked: hand it over and return; do not
    /// call the store from here.
    fn leadership_changed(&self, range: RangeId, leadership: Leadership);

    /// Where all of a range's replicated state is, `keys::local::range_span` included: what a snapshot consists of.
    fn snapshot_parts(&self, range: RangeId) -> Vec<(Keyspace, Span)>;

    /// Which store has this replica of the range. `None` if that is not known here: then the message goes to where that
    /// replica was last heard from, if it was.
    fn store_of(&self, range: RangeId, replica: ReplicaId) -> Option<StoreId>;

    // ---- between stores ----------------------------------------------------------------------------

    /// What this store has to say to another with every batch of messages: its clock, what it promises.
    fn stamp(&self, _to: StoreId) -> Bytes {
        Bytes::new()
    }

    /// The same, with what need not go with every batch: for a stamp that is sent alone.
    fn full_stamp(&self, to: StoreId) -> Bytes {
        self.stamp(to)
    }

    /// Takes in what another store has said, before what came with it; an error drops the batch.
    fn stamped(&self, _from: StoreId, _stamp: &[u8]) -> Result<(), SendError> {
        Ok(())
    }

    /// The epoch in which this store supports another: as long as that does not change, no replica here takes part in deposing
    /// a leader there that it follows. Zero: it does not support it.
    fn supports(&self, _store: StoreId) -> u64 {
        0
    }

    /// Whether another store supports this one now. When it begins to again, [`crate::Store::reconsider`] is called.
    fn is_supported_by(&self, _store: StoreId) -> bool {
        true
    }

    /// Whether the promise that a replica on another store made, in this epoch (zero: none), holds now. A leader stays awake until all
    /// do that can.
    fn is_promised_by(&self, _store: StoreId, _epoch: u64) -> bool {
        true
    }

    /// Whether this store may have promised support that it has forgotten: until then its replicas vote for nobody.
    fn is_forgetful(&self) -> bool {
        false
    }

    /// A replica follows this store's replica, which leads the range in `term`, and its store supports this one in `epoch`.
    /// Told when it changes; the same rules as for [`StateMachine::leadership_changed`].
    fn followed(&self, _range: RangeId, _replica: ReplicaId, _term: Term, _epoch: u64) {}

    /// May the state of a range be replaced by a snapshot of these parts? Not if they belong to another range here. If
    /// it may, nobody else may take the place until [`StateMachine::snapshot_ended`]. `is_first`: it goes to a replica that has nothing yet.
    /// Not if a split that makes the range has been applied: it takes that replica's place. `chunks` are its contents. Gives the ranges that
    /// are no more, as the snapshot proves, and whose replicas here it replaces as well.
    fn begin_snapshot(
        &self,
        _range: RangeId,
        _parts: &[(Keyspace, Span)],
        _is_first: bool,
        _chunks: &[WriteBatch],
    ) -> Result<Vec<RangeId>, SendError> {
        Ok(Vec::new())
    }

    /// A snapshot that was let in has been installed, or was not needed.
    fn snapshot_ended(&self, range: RangeId, installed: Option<Position>) -> Result<(), ApplyError> {
        if let Some(position) = installed {
            self.applied(range, position, &[]);
        }
        Ok(())
    }

    /// This store's replica of a range ends, by [`crate::Store::destroy`]: nothing of it is applied any more, and what is stored
    /// of it is about to be deleted.
    fn ends(&self, _range: RangeId) {}

    /// A message for a later replica of a range on this store: the one here has been removed, and does not know it.
    fn replaced(&self, _range: RangeId, _here: ReplicaId) {}
}

/// Messages from one store to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftBatch {
    pub from: StoreId,
    /// What the sender's [`StateMachine::stamp`] said; means nothing to this crate.
    pub stamp: Bytes,
    /// May be empty: then the stamp is the message.
    pub envelopes: Vec<Envelope>,
}

/// A message between replicas, addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub range: RangeId,
    /// With an answer to a leader: the epoch in which the sender's store supports the leader's, and so promises to keep
    /// this leader. Zero: no promise.
    pub support: u64,
    pub message: Message,
}

/// A snapshot on its way: the message, and the state that goes with it.
///
/// The receiver passes what arrives to `Store::receive_snapshot`.
pub struct SnapshotStream {
    pub range: RangeId,
    pub from: StoreId,
    /// See [`RaftBatch::stamp`].
    pub stamp: Bytes,
    pub message: Message,
    /// The parts that the state consists of; the receiver empties them first.
    pub parts: Vec<(Keyspace, Span)>,
    pub checkpoint: Box<dyn Checkpoint>,
}

/// A snapshot that has arrived whole.
pub struct ReceivedSnapshot {
    pub range: RangeId,
    pub from: StoreId,
    pub stamp: Bytes,
    pub message: Message,
    pub parts: Vec<(Keyspace, Span)>,
    /// The checkpoint's pieces, in order.
    pub chunks: Vec<WriteBatch>,
}

/// Why a snapshot did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the snapshot was not delivered: {0}")]
pub struct SendError(pub String);

/// Carries messages to other stores.
pub trait RaftTransport: Send + Sync + 'static {
    /// Sends messages, or loses them. Never blocks, keeps the order between two stores if it can.
    fn send(&self, to: StoreId, batch: RaftBatch);

    /// Sends a snapshot. Completes when the receiver has taken it or it has failed.
    fn send_snapshot(
        &self,
        to: StoreId,
        snapshot: SnapshotStream,
    ) -> BoxFuture<'static, Result<(), SendError>>;
}

/// The transport of a store that has no peers: loses everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTransport;

impl RaftTransport for NoTransport {
    fn send(&self, _to: StoreId, _batch: RaftBatch) {}

    fn send_snapshot(&self, to: StoreId, _: SnapshotStream) -> BoxFuture<'static, Result<(), SendError>> {
        Box::pin(async move { Err(SendError(format!("store {to} cannot be reached from here"))) })
    }
}
