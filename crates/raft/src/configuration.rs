//! Who is in the group, and how that changes.
//!
//! A change of one voter is *simple*: any quorum of the old voters shares a replica with any quorum of the new ones,
//! so the group steps from one set to the other at once. Anything more goes through a *joint* configuration, in
//! which every decision needs a quorum of both the outgoing and the incoming voters:
//!
//! ```text
//!                 enter (several changes, or on request)
//!     {1,2,3} -------------------------------------------> {3,4,5} & {1,2,3}
//!        ^                                                        |
//!        | simple (one voter)                                     | leave (by itself, or on request)
//!        v                                                        v
//!     {1,2,3,4}                                                {3,4,5}
//! ```
//!
//! Learners receive the log and do not count. A voter that is to become a learner still votes in the outgoing half while
//! the configuration is joint, so it waits in `learners_next` until the group has left it.
//!
//! A change takes effect when its entry is *applied*, not when it is appended: see `Group::apply_conf_change`.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), chapter 4; the state machine of changes is that of etcd's.

use std::fmt;

use thiserror::Error;

use crate::ReplicaId;

/// The members of a group.
///
/// - Every list is sorted and has no doubles. `voters` is not empty in a group that has members.
/// - No id is both learner and voter (incoming or outgoing).
/// - `learners_next` are all in `outgoing` and not in `voters`; empty unless joint.
/// - `outgoing` is empty and `auto_leave` false unless joint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The voters; in a joint configuration the incoming ones.
    pub voters: Vec<ReplicaId>,
    /// The voters being replaced; empty unless joint.
    pub outgoing: Vec<ReplicaId>,
    pub learners: Vec<ReplicaId>,
    /// Outgoing voters that become learners when the group leaves the joint configuration.
    pub learners_next: Vec<ReplicaId>,
    /// Whether the leader proposes leaving the joint configuration by itself.
    pub auto_leave: bool,
}

/// One step of a membership change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a voter, or promotes a learner.
    AddVoter(ReplicaId),
    /// Adds a learner, or demotes a voter.
    AddLearner(ReplicaId),
    /// Removes whatever it is. Removing a replica that is not there changes nothing.
    Remove(ReplicaId),
}

/// Whether to go through a joint configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transition {
    /// Joint only if it must be, and then left automatically.
    #[default]
    Auto,
    /// Joint in any case, left automatically.
    JointImplicit,
    /// Joint in any case, left by a proposal of the caller.
    JointExplicit,
}

/// A membership change, the payload of an entry of kind `ConfChange`.
///
/// Without any `changes` it leaves the joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfChange {
    pub changes: Vec<Change>,
    pub transition: Transition,
    /// What the caller wants to find with the entry when it applies it.
    pub context: bytes::Bytes,
}

impl ConfChange {
    /// A change of a single replica.
    pub fn simple(change: Change) -> ConfChange {
        ConfChange { changes: vec![change], ..ConfChange::default() }
    }

    /// The change that leaves a joint configuration.
    pub fn leave() -> ConfChange {
        ConfChange::default()
    }
}

/// A change that makes no sense in the configuration it is applied to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfError {
    #[error("the configuration is joint already: leave it first")]
    AlreadyJoint,
    #[error("the configuration is not joint: there is nothing to leave")]
    NotJoint,
    #[error("the change would remove the last voter")]
    NoVoterLeft,
    #[error("replica id 0 is not a replica")]
    NoReplicaId,
}

impl Configuration {
    /// A configuration of these voters and nobody else.
    pub fn of_voters(voters: impl IntoIterator<Item = ReplicaId>) -> Configuration {
        let mut configuration = Configuration::default();
        for voter in voters {
            insert(&mut configuration.voters, voter);
        }
        configuration
    }

    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `id` votes, in either half.
    pub fn is_voter(&self, id: ReplicaId) -> bool {
        contains(&self.voters, id) || contains(&self.outgoing, id)
    }

    pub fn is_learner(&self, id: ReplicaId) -> bool {
        contains(&self.learners, id)
    }

    pub fn is_member(&self, id: ReplicaId) -> bool {
        self.is_voter(id) || self.is_learner(id)
    }

    /// Whether `id` alone decides everything.
    pub fn is_sole_voter(&self, id: ReplicaId) -> bool {
        self.voters == [id] && (self.outgoing.is_empty() || self.outgoing == [id])
    }

    /// Whether `id` is the only member.
    pub fn is_alone(&self, id: ReplicaId) -> bool {
        self.voters == [id] && self.outgoing.is_empty() && self.learners.is_empty()
    }

    /// All members, sorted.
    pub fn members(&self) -> Vec<ReplicaId> {
        let mut members = self.voters.clone();
        for &id in self.outgoing.iter().chain(&self.learners) {
            insert(&mut members, id);
        }
        members
    }

    /// The configuration after `change`.
    pub fn after(&self, change: &ConfChange) -> Result<Configuration, ConfError> {
        if change.changes.is_empty() {
            return self.after_leaving();
        }
        if self.is_joint() {
            return Err(ConfError::AlreadyJoint);
        }
        let joint = match change.transition {
            Transition::Auto => self.needs_joint(&change.changes),
            Transition::JointImplicit | Transition::JointExplicit => true,
        };
        let mut next = self.clone();
        if joint {
            next.outgoing = self.voters.clone();
            next.auto_leave = change.transition != Transition::JointExplicit;
        }
        for step in &change.changes {
            next.make(*step)?;
        }
        if next.voters.is_empty() {
            return Err(ConfError::NoVoterLeft);
        }
        Ok(next)
    }

    fn after_leaving(&self) -> Result<Configuration, ConfError> {
        if !self.is_joint() {
            return Err(ConfError::NotJoint);
        }
        let mut next = Configuration {
            voters: self.voters.clone(),
            learners: self.learners.clone(),
            ..Configuration::default()
        };
        for &id in &self.learners_next {
            insert(&mut next.learners, id);
        }
        Ok(next)
    }

    /// Whether the changes move more than one voter: then quorums of before and after need not overlap.
    fn needs_joint(&self, changes: &[Change]) -> bool {
        if changes.len() <= 1 {
            return false;
        }
        let mut after = self.clone();
        for step in changes {
            if after.make(*step).is_err() {
                return true;
            }
        }
        let gone = self.voters.iter().filter(|id| !contains(&after.voters, **id)).count();
        let new = after.voters.iter().filter(|id| !contains(&self.voters, **id)).count();
        gone + new > 1
    }

    fn make(&mut self, change: Change) -> Result<(), ConfError> {
        let (Change::AddVoter(id) | Change::AddLearner(id) | Change::Remove(id)) = change;
        if id == ReplicaId::ZERO {
            return Err(ConfError::NoReplicaId);
        }
        remove(&mut self.learners, id);
        remove(&mut self.learners_next, id);
        match change {
            Change::AddVoter(_) => insert(&mut self.voters, id),
            Change::AddLearner(_) => {
                remove(&mut self.voters, id);
                let list =
                    if contains(&self.outgoing, id) { &mut self.learners_next } else { &mut self.learners };
                insert(list, id);
            }
            Change::Remove(_) => remove(&mut self.voters, id),
        }
        Ok(())
    }
}

fn contains(ids: &[ReplicaId], id: ReplicaId) -> bool {
    ids.binary_search(&id).is_ok()
}

fn insert(ids: &mut Vec<ReplicaId>, id: ReplicaId) {
    if let Err(position) = ids.binary_search(&id) {
        ids.insert(position, id);
    }
}

fn remove(ids: &mut Vec<ReplicaId>, id: ReplicaId) {
    if let Ok(position) = ids.binary_search(&id) {
        ids.remove(position);
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "voters={}", List(&self.voters))?;
        for (name, ids) in [
            ("outgoing", &self.outgoing),
            ("learners", &self.learners),
            ("learners_next", &self.learners_next),
        ] {
            if !ids.is_empty() {
                write!(f, " {name}={}", List(ids))?;
            }
        }
        if self.auto_leave { f.write_str(" auto_leave") } else { Ok(()) }
    }
}

struct List<'a>(&'a [ReplicaId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (position, id) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{id}")?;
        }
        f.write_str("}")
    }
}
