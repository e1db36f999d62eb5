//! What the replicas of one group say to each other.
//!
//! Every message may be lost, repeated, delayed and reordered. A message carries the term of its
//! sender, except for [`Body::PreVote`] and a granted [`Body::PreVoteResponse`], which carry the term
//! that the candidate *would* campaign in.

use std::fmt;

use bytes::Bytes;

use crate::{Configuration, Entry, Index, Position, ReplicaId, Term};

/// One message between two replicas of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub from: ReplicaId,
    pub to: ReplicaId,
    pub term: Term,
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// "Would you vote for me?" Changes nothing at the receiver.
    PreVote {
        last_index: Index,
        last_term: Term,
    },
    /// A refusal also tells what the sender knows to be committed. A candidate that lacks that knowledge may need it to apply a
    /// membership change, and may win only after that: see `election.rs`.
    PreVoteResponse {
        granted: bool,
        committed: Position,
    },
    /// "Vote for me." `transfer` is set when the leader itself asked for this election: then a
    /// receiver answers even though it has heard from that leader lately.
    Vote {
        last_index: Index,
        last_term: Term,
        transfer: bool,
    },
    VoteResponse {
        granted: bool,
        committed: Position,
    },
    /// The entries after `previous`, and how far the leader has committed. May carry no entries.
    Append {
        previous_index: Index,
        previous_term: Term,
        entries: Vec<Entry>,
        commit: Index,
    },
    /// The sender's log is durable and equal to the leader's up to `matched`.
    AppendResponse {
        matched: Index,
    },
    /// The sender's log does not hold `rejected` as the leader has it. The logs can agree at most
    /// up to `hint_index`, where the sender's log has `hint_term`.
    AppendRejected {
        rejected: Index,
        hint_index: Index,
        hint_term: Term,
    },
    /// The leader lives. `commit` is at most what it knows to match at the receiver; `round` numbers the
    /// reads that want confirmation.
    Heartbeat {
        commit: Index,
        round: u64,
    },
    HeartbeatResponse {
        round: u64,
    },
    /// The receiver is too far behind the leader's log. The state itself travels beside this message;
    /// the shell steps it only when that has arrived whole.
    Snapshot(Snapshot),
    /// The leader asks the receiver to campaign at once.
    TimeoutNow,
    /// All replicas have everything: go to sleep if that is true of you too.
    Quiesce {
        last_index: Index,
    },
    /// The answer to that: it is not true of the sender. Also from a replica that keeps a leader from which it hears nothing.
    Wake,
}

/// What stands in for a prefix of the log: the state after applying everything up to `index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub index: Index,
    /// The term of the entry at `index`.
    pub term: Term,
    /// The membership after applying everything up to `index`.
    pub configuration: Configuration,
    /// Where the shell finds the state itself. Means nothing to this crate.
    pub metadata: Bytes,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{} t{} {}", self.from, self.to, self.term, self.body)
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::PreVote { last_index, last_term } => write!(f, "PreVote last={last_index}@{last_term}"),
            Body::PreVoteResponse { granted: true, .. } => f.write_str("PreVoteResponse granted"),
            Body::PreVoteResponse { committed, .. } => {
                write!(f, "PreVoteResponse refused commit={committed}")
            }
            Body::Vote { last_index, last_term, transfer } => {
                write!(f, "Vote last={last_index}@{last_term}")?;
                if *transfer { f.write_str(" transfer") } else { Ok(()) }
            }
            Body::VoteResponse { granted: true, .. } => f.write_str("VoteResponse granted"),
            Body::VoteResponse { committed, .. } => write!(f, "VoteResponse refused commit={committed}"),
            Body::Append { previous_index, previous_term, entries, commit } => {
                write!(f, "Append previous={previous_index}@{previous_term} commit={commit} entries=[")?;
                for (position, entry) in entries.iter().enumerate() {
                    let separator = if position == 0 { "" } else { " " };
                    write!(f, "{separator}{}@{}", entry.index, entry.term)?;
                }
                f.write_str("]")
            }
            Body::AppendResponse { matched } => write!(f, "AppendResponse matched={matched}"),
            Body::AppendRejected { rejected, hint_index, hint_term } => {
                write!(f, "AppendRejected rejected={rejected} hint={hint_index}@{hint_term}")
            }
            Body::Heartbeat { commit, round } => write!(f, "Heartbeat commit={commit} round={round}"),
            Body::HeartbeatResponse { round } => write!(f, "HeartbeatResponse round={round}"),
            Body::Snapshot(snapshot) => {
                write!(f, "Snapshot {}@{} {}", snapshot.index, snapshot.term, snapshot.configuration)
            }
            Body::TimeoutNow => f.write_str("TimeoutNow"),
            Body::Quiesce { last_index } => write!(f, "Quiesce last={last_index}"),
            Body::Wake => f.write_str("Wake"),
        }
    }
}
