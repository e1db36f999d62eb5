//! What the voters have decided. In a joint configuration both halves must agree.

use smallvec::SmallVec;

use crate::{Configuration, ReplicaId};

/// How an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VoteResult {
    Won,
    Lost,
    Pending,
}

impl Configuration {
    /// The highest number that a quorum has reached, where `reached` says how far a voter is.
    pub(crate) fn reached_by_quorum<N: Copy + Ord>(&self, reached: impl Fn(ReplicaId) -> N) -> N {
        let incoming = reached_by_majority(&self.voters, &reached);
        let outgoing = reached_by_majority(&self.outgoing, &reached);
        match (incoming, outgoing) {
            (Some(one), Some(other)) => one.min(other),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => unreachable!("a group that decides has voters"),
        }
    }

    /// How the election stands, where `vote` gives a voter's answer so far.
    pub(crate) fn vote_result(&self, vote: impl Fn(ReplicaId) -> Option<bool>) -> VoteResult {
        match (vote_of_majority(&self.voters, &vote), vote_of_majority(&self.outgoing, &vote)) {
            (VoteResult::Won, VoteResult::Won) => VoteResult::Won,
            (VoteResult::Lost, _) | (_, VoteResult::Lost) => VoteResult::Lost,
            _ => VoteResult::Pending,
        }
    }
}

fn reached_by_majority<N: Copy + Ord>(voters: &[ReplicaId], reached: &impl Fn(ReplicaId) -> N) -> Option<N> {
    match voters {
        [] => None,
        [only] => Some(reached(*only)),
        _ => {
            let mut numbers: SmallVec<[N; 8]> = voters.iter().map(|id| reached(*id)).collect();
            numbers.sort_unstable();
            Some(numbers[(voters.len() - 1) / 2])
        }
    }
}

fn vote_of_majority(voters: &[ReplicaId], vote: &impl Fn(ReplicaId) -> Option<bool>) -> VoteResult {
    let needed = voters.len() / 2 + 1;
    let granted = voters.iter().filter(|id| vote(**id) == Some(true)).count();
    let missing = voters.iter().filter(|id| vote(**id).is_none()).count();
    if voters.is_empty() || granted >= needed {
        VoteResult::Won
    } else if granted + missing >= needed {
        VoteResult::Pending
    } else {
        VoteResult::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u64) -> Vec<ReplicaId> {
        (1..=count).map(ReplicaId).collect()
    }

    #[test]
    fn a_quorum_has_reached_the_lower_median() {
        for (reached, expected) in [
            (vec![7], 7),
            (vec![7, 3], 3),
            (vec![7, 3, 5], 5),
            (vec![7, 3, 5, 0], 3),
            (vec![9, 9, 9, 0, 0], 9),
            (vec![9, 9, 0, 0, 0], 0),
        ] {
            let configuration = Configuration::of_voters(ids(reached.len() as u64));
            assert_eq!(
                configuration.reached_by_quorum(|id| reached[id.0 as usize - 1]),
                expected,
                "{reached:?}"
            );
        }
    }

    #[test]
    fn both_halves_of_a_joint_configuration_decide() {
        let joint = Configuration {
            voters: ids(3),
            outgoing: [3, 4, 5].map(ReplicaId).to_vec(),
            ..Configuration::default()
        };
        assert_eq!(joint.reached_by_quorum(|id| if id.0 <= 3 { 9 } else { 4 }), 4);
        assert_eq!(joint.vote_result(|id| Some(id.0 <= 3)), VoteResult::Lost);
        assert_eq!(joint.vote_result(|id| (id.0 <= 3).then_some(true)), VoteResult::Pending);
        assert_eq!(joint.vote_result(|id| Some(id.0 != 5)), VoteResult::Won);
    }
}
