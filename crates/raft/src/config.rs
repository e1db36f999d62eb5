//! What the caller decides about a group.

use crate::ReplicaId;

/// The settings of a group.
///
/// - `0 < heartbeat_ticks < election_ticks`.
/// - Every limit is positive.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which replica this is.
    pub id: ReplicaId,
    /// Decides the election timeouts, the only random choice there is. Replicas of a group need different seeds.
    pub seed: u64,
    /// A follower that hears nothing for this long, or up to twice as long (a random choice), campaigns. A leader
    /// that hears from no quorum for this long steps down. In ticks.
    pub election_ticks: u32,
    /// A leader says this often that it lives. In ticks.
    pub heartbeat_ticks: u32,
    /// A group that has had nothing to do for this long goes to sleep. In ticks; zero: never.
    pub quiesce_ticks: u32,
    /// The most that goes into one append. In bytes; a single entry may be bigger.
    pub append_bytes_max: u64,
    /// The most appends on their way to one replica.
    pub inflight_appends_max: usize,
    /// No further append goes out while this much is on its way to one replica. In bytes.
    pub inflight_bytes_max: u64,
    /// A leader takes no further proposal while this much is not committed. In bytes.
    pub uncommitted_bytes_max: u64,
    /// The most that is handed out for applying at once. In bytes; a single entry may be bigger.
    pub committed_bytes_max: u64,
    /// The most that is kept in memory of entries that are durable and not applied. In bytes.
    pub tail_bytes_max: u64,
}

impl Config {
    /// Sensible settings for ticks of about 100 ms.
    pub fn new(id: ReplicaId, seed: u64) -> Config {
        Config {
            id,
            seed,
            election_ticks: 10,
            heartbeat_ticks: 2,
            quiesce_ticks: 20,
            append_bytes_max: 256 << 10,
            inflight_appends_max: 128,
            inflight_bytes_max: 8 << 20,
            uncommitted_bytes_max: 64 << 20,
            committed_bytes_max: 4 << 20,
            tail_bytes_max: 8 << 20,
        }
    }

    pub(crate) fn check(&self) {
        assert!(
            0 < self.heartbeat_ticks && self.heartbeat_ticks < self.election_ticks,
            "a leader must say that it lives before its followers give up on it"
        );
        let limits = [
            self.append_bytes_max,
            self.inflight_appends_max as u64,
            self.inflight_bytes_max,
            self.uncommitted_bytes_max,
            self.committed_bytes_max,
            self.tail_bytes_max,
        ];
        assert!(limits.iter().all(|limit| *limit > 0), "every limit is positive");
    }
}
