//! Versions of a cluster: what its nodes may use among themselves and leave on disk.
//!
//! A cluster is upgraded node by node, so that for a while programs of two versions serve one keyspace. What only the newer
//! understands must not be used before the last older one is gone, and no older one may come back afterwards. So a cluster is *at*
//! a version, which is recorded in its keyspace, and a program knows some:
//!
//! ```text
//!   cluster at 1:   A knows 1..=1    B knows 1..=2    C knows 1..=1
//!                   A and C are restarted with the newer program
//!   cluster at 1:   A knows 1..=2    B knows 1..=2    C knows 1..=2     ──▶ raised to 2 (`node::upgrade`)
//!   cluster at 2:   what version 2 brings is used; a program that knows 1..=1 is refused
//! ```
//!
//! - The cluster's version never goes down.
//! - It is raised in one transaction that finds, of every node that was given an id and not decommissioned, that it was last started with a program
//!   that knows the new version. A node that starts says so in a transaction of its own, which reads the version as well: it serves no
//!   client under a version that it does not know (`node::upgrade`).
//! - A node uses what a version brings once it has heard that the cluster is at it ([`crate::Membership::cluster_version`]). What is heard by gossip may
//!   be too low, never too high. So who hears it late is merely late; and a program is too old for what is heard, but may be too new only for
//!   what is recorded.
//! - A node whose program is too old for what it hears ends, and says so.
//!
//! Whoever changes a stored form, or sends what older programs do not understand, adds a version below and asks for it where the new is begun.
//! Numbers are never given twice.

use std::fmt;

/// A version of a cluster.
///
/// | number | brings |
/// | --- | --- |
/// | 1 | what there was before clusters had versions |
/// | 2 | rows that tell what became of transactions (`sql::outcomes`): who does not know them would commit what was declared aborted |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterVersion(pub u32);

impl ClusterVersion {
    pub const FIRST: ClusterVersion = ClusterVersion(1);
    pub const OUTCOMES: ClusterVersion = ClusterVersion(2);

    /// Of a number from elsewhere, where zero means that nothing was said: by programs that knew no versions yet.
    pub fn told(number: u32) -> ClusterVersion {
        ClusterVersion(number.max(ClusterVersion::FIRST.0))
    }
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The versions that a program can serve a cluster at.
///
/// - `oldest <= newest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownVersions {
    pub oldest: ClusterVersion,
    pub newest: ClusterVersion,
}

/// A text that is not a span of versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a span of versions such as 1-2")]
pub struct InvalidVersions(String);

impl KnownVersions {
    /// Of this program.
    pub const OURS: KnownVersions =
        KnownVersions { oldest: ClusterVersion::FIRST, newest: ClusterVersion::OUTCOMES };

    /// As another program has told them.
    pub fn told(oldest: u32, newest: u32) -> KnownVersions {
        let oldest = ClusterVersion::told(oldest);
        KnownVersions { oldest, newest: ClusterVersion(newest).max(oldest) }
    }

    /// Reads `oldest-newest`.
    pub fn parse(text: &str) -> Result<KnownVersions, InvalidVersions> {
        let number = |part: &str| part.parse::<u32>().ok().filter(|number| *number > 0);
        let ends = text.split_once('-').and_then(|(oldest, newest)| Some((number(oldest)?, number(newest)?)));
        match ends {
            Some((oldest, newest)) if oldest <= newest => Ok(KnownVersions::told(oldest, newest)),
            _ => Err(InvalidVersions(text.to_string())),
        }
    }

    pub fn contain(&self, version: ClusterVersion) -> bool {
        self.oldest <= version && version <= self.newest
    }

    /// Whether a program that knows these is too old for a cluster at a version.
    pub fn are_too_old_for(&self, cluster: ClusterVersion) -> bool {
        cluster > self.newest
    }

    /// Why a program that knows these cannot serve a cluster at a version, if it cannot.
    pub fn objection(&self, cluster: ClusterVersion) -> Option<String> {
        if self.are_too_old_for(cluster) {
            return Some(format!(
                "the cluster is at version {cluster}, and the program knows versions {self} only: it is too old. Use the program that the other nodes run"
            ));
        }
        (cluster < self.oldest).then(|| {
            format!(
                "the cluster is at version {cluster}, and the program knows versions {self} only: it is too new. Upgrade all nodes to a program that knows \
                 version {} first",
                self.oldest
            )
        })
    }
}

impl fmt::Display for KnownVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.oldest, self.newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbered_for_good() {
        assert_eq!((ClusterVersion::FIRST.0, ClusterVersion::OUTCOMES.0), (1, 2));
        assert!(KnownVersions::OURS.contain(ClusterVersion::OUTCOMES));
    }

    #[test]
    fn a_program_serves_what_it_knows_and_says_why_not_otherwise() {
        let known = KnownVersions::parse("2-3").expect("a span");
        assert!(known.contain(ClusterVersion(2)) && known.contain(ClusterVersion(3)));
        assert_eq!(known.objection(ClusterVersion(3)), None);
        assert!(known.objection(ClusterVersion(4)).is_some_and(|why| why.contains("too old")));
        assert!(known.objection(ClusterVersion(1)).is_some_and(|why| why.contains("too new")));
        assert_eq!(KnownVersions::told(0, 0), KnownVersions::parse("1-1").expect("a span"));
        for wrong in ["", "1", "0-1", "3-2", "1-x", "1-2-3"] {
            assert!(KnownVersions::parse(wrong).is_err(), "{wrong}");
        }
    }
}
