//! Who a node is, and whom it talks to.
//!
//! Every connection begins with a handshake. What is judged there is judged by the functions of this module, which know nothing of
//! connections: the caller says who it is, the node that is asked looks at what it knows, and answers a welcome or a
//! refusal with its reason.
//!
//! | the caller | is refused because |
//! | --- | --- |
//! | speaks only older (newer) versions | nobody would understand it |
//! | has a program that does not know the version the cluster is at | it would meet what it does not understand |
//! | is of another cluster | its data means something else |
//! | wanted to reach another node | an address was given to somebody else |
//! | was decommissioned | its replicas are gone, and what it remembers is not true any more |
//! | comes with fewer starts than were seen of it | its folder is a copy or an old backup: it has forgotten what it has promised |
//! | comes with as many, and is another process | likewise: a folder is never started twice with one number |
//! | comes with more, and with a bound below a timestamp that was heard of it | likewise: see below |
//!
//! **What is older than what.** A folder with a backup's number of starts, restored, starts with a number that is higher than any
//! seen. What tells it is the *bound* of its clock: a node has one on its disk that is above every timestamp it gives out, before it gives it
//! out, and what it says of itself (`NodeRecord`) has its clock in it. So a process that has *found* a bound below what was heard of its node
//! runs on a disk from before that was said, and what the node has promised and acknowledged since is not on it. These are timestamps
//! of the hybrid clock, which never goes back: what the machine's clock does has no part in it. Only earlier processes count: a process
//! passes the bound that it has found itself all the time, and is told from others by a number drawn at its start.
//!
//! A process tells its clock only once it was welcomed, and a folder that was refused stays as old as it was found, however often it is started
//! (`node::clock_bound`).
//!
//! Both sides look: whoever calls is judged, and whoever is called is left alone if it would have been refused ([`Past::objection`]). A
//! process that is refused so ends, and so does one that hears of itself what another process has said (`roster`).
//!
//! What still cannot be seen: that nobody who is alive has heard the newer process, neither itself nor by others (what is known is written down
//! every few seconds, so a restart of those who know does not matter); and what a node has done between the copy and its end, if it has
//! ended, within the lead of the bound (seconds), since that was the bound then. Programs of before have told neither bound
//! nor clock, and are judged by their numbers of starts only.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use keys::{NodeId, StoreId};
use kvapi::{ClusterVersion, KnownVersions, Standing};
use proto::v1;

/// The protocol versions that this program speaks, oldest first.
pub const PROTOCOL_VERSIONS: RangeInclusive<u32> = 1..=1;

/// A cluster: 128 random bits, drawn when it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

impl ClusterId {
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// `None` unless there are 16 bytes, not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<ClusterId> {
        let id = u128::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(ClusterId(id))
    }
}

impl fmt::Display for ClusterId {
    /// In the form of a UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, hex) = (self.0, |shift: u32, digits: u32| (self.0 >> shift) & ((1 << (4 * digits)) - 1));
        let groups = (id >> 96, hex(80, 4), hex(64, 4), hex(48, 4), hex(0, 12));
        write!(f, "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", groups.0, groups.1, groups.2, groups.3, groups.4)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub store: StoreId,
    /// Counts the starts of the node on its data folder, this one included.
    pub incarnation: u64,
}

/// Why somebody is not served, in terms for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    OtherCluster,
    TooOld,
    TooNew,
    OtherNode,
    Decommissioned,
    StaleFolder,
    NotInitialised,
    Initialised,
    AddressTaken,
    Unavailable,
    Invalid,
    VersionTooOld,
    VersionTooNew,
}

impl RefusalReason {
    const ALL: [(RefusalReason, v1::refusal::Reason); 13] = {
        use v1::refusal::Reason;
        [
            (RefusalReason::OtherCluster, Reason::OtherCluster),
            (RefusalReason::TooOld, Reason::TooOld),
            (RefusalReason::TooNew, Reason::TooNew),
            (RefusalReason::OtherNode, Reason::OtherNode),
            (RefusalReason::Decommissioned, Reason::Decommissioned),
            (RefusalReason::StaleFolder, Reason::StaleFolder),
            (RefusalReason::NotInitialised, Reason::NotInitialised),
            (RefusalReason::Initialised, Reason::Initialised),
            (RefusalReason::AddressTaken, Reason::AddressTaken),
            (RefusalReason::Unavailable, Reason::Unavailable),
            (RefusalReason::Invalid, Reason::Invalid),
            (RefusalReason::VersionTooOld, Reason::VersionTooOld),
            (RefusalReason::VersionTooNew, Reason::VersionTooNew),
        ]
    };

    /// Whether a member that is refused so cannot ever go on.
    pub fn is_final(self) -> bool {
        matches!(
            self,
            RefusalReason::Decommissioned | RefusalReason::StaleFolder | RefusalReason::VersionTooOld
        )
    }

    /// Whether it is for the program's versions of a cluster.
    pub fn is_of_version(self) -> bool {
        matches!(self, RefusalReason::VersionTooOld | RefusalReason::VersionTooNew)
    }

    /// Whether asking again later may help without anybody doing anything.
    pub fn may_pass(self) -> bool {
        matches!(self, RefusalReason::Unavailable | RefusalReason::NotInitialised)
    }
}

/// Somebody is not served. The detail is a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub reason: RefusalReason,
    pub detail: String,
}

impl Refusal {
    pub fn new(reason: RefusalReason, detail: impl Into<String>) -> Refusal {
        Refusal { reason, detail: detail.into() }
    }

    /// Of a program that cannot serve a cluster at a version; `None`: it can.
    pub fn of_program(known: KnownVersions, cluster: ClusterVersion) -> Option<Refusal> {
        let reason = match known.are_too_old_for(cluster) {
            true => RefusalReason::VersionTooOld,
            false => RefusalReason::VersionTooNew,
        };
        known.objection(cluster).map(|detail| Refusal::new(reason, detail))
    }

    pub fn unavailable(detail: impl Into<String>) -> Refusal {
        Refusal::new(RefusalReason::Unavailable, detail)
    }

    pub(crate) fn to_proto(&self) -> v1::Refusal {
        let known = RefusalReason::ALL.iter().find(|(reason, _)| *reason == self.reason);
        let reason = known.map_or(v1::refusal::Reason::Unspecified, |(_, code)| *code);
        v1::Refusal { reason: reason.into(), detail: self.detail.clone() }
    }

    /// A reason of a newer program counts as one that does not pass.
    pub(crate) fn from_proto(refusal: v1::Refusal) -> Refusal {
        let code = refusal.reason();
        let known = RefusalReason::ALL.iter().find(|(_, known)| *known == code);
        let reason = known.map_or(RefusalReason::Invalid, |(reason, _)| *reason);
        Refusal { reason, detail: refusal.detail }
    }
}

/// One process of a node, as it says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub incarnation: u64,
    /// Zero: not told.
    pub process: u64,
    /// In nanoseconds since 1970; zero: not told, or there was none.
    pub bound_found: u64,
}

impl Process {
    pub fn of_hello(hello: &v1::HelloRequest) -> Process {
        Process { incarnation: hello.incarnation, process: hello.process, bound_found: hello.bound_found }
    }

    pub fn of_welcome(welcome: &v1::Welcome) -> Process {
        Process {
            incarnation: welcome.incarnation,
            process: welcome.process,
            bound_found: welcome.bound_found,
        }
    }

    pub fn of_record(record: &v1::NodeRecord) -> Process {
        Process { incarnation: record.incarnation, process: record.process, bound_found: record.bound_found }
    }
}

/// What was heard of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Past {
    pub standing: Standing,
    /// The most starts, and the process that had so many.
    pub incarnation: u64,
    pub process: u64,
    /// The highest clock, in nanoseconds since 1970; zero: none was told.
    pub clock: u64,
}

impl Past {
    /// Why a process of the node cannot be its newest.
    pub fn objection(&self, node: NodeId, comer: &Process) -> Option<String> {
        let advice = format!("Decommission node {node} and join with an empty folder");
        let starts = comer.incarnation;
        if self.incarnation > starts {
            return Some(format!(
                "node {node} has been started {} times as far as the cluster knows, and its data folder knows of {starts} starts: the folder is a \
                 copy, or was restored from an old backup. {advice}",
                self.incarnation
            ));
        }
        if self.incarnation == starts {
            let is_other = self.process != 0 && comer.process != 0 && self.process != comer.process;
            return is_other.then(|| {
                format!(
                    "start {starts} of node {node} was another process: the folder is a copy of that one's, or was restored from an old backup. \
                     If the other one runs, stop this one; if its folder is lost: {advice}"
                )
            });
        }
        let is_older = comer.bound_found != 0 && self.clock > comer.bound_found;
        is_older.then(|| {
            let by = Duration::from_nanos(self.clock - comer.bound_found);
            format!(
                "the data folder of node {node} is older than what the cluster has heard from the node, by {by:?} at least: it was restored from a \
                 backup or is a copy, and what the node has acknowledged since is not in it. Start the node with its newest folder; if that is lost: \
                 {advice}"
            )
        })
    }
}

/// What the node that is asked knows.
pub(crate) struct Judge<'a> {
    pub own: Option<&'a Identity>,
    /// The own process.
    pub own_process: u64,
    /// The own address, for people.
    pub address: &'a str,
    pub versions: RangeInclusive<u32>,
    /// What the cluster is at; `None`: the node is in none, or has not heard it yet.
    pub cluster_version: Option<ClusterVersion>,
    pub known: &'a dyn Fn(NodeId) -> Option<Past>,
}

impl Judge<'_> {
    /// Judges a caller. The version to speak, if it is welcome.
    pub fn judge(&self, hello: &v1::HelloRequest) -> Result<u32, Refusal> {
        let version = self.common_version(hello)?;
        self.check_expectation(hello)?;
        if hello.role() == v1::Role::Node {
            self.check_member(hello)?;
        }
        // Only now: what another cluster is at means nothing.
        self.check_program(hello)?;
        Ok(version)
    }

    fn common_version(&self, hello: &v1::HelloRequest) -> Result<u32, Refusal> {
        let (oldest, newest) = (*self.versions.start(), *self.versions.end());
        let text = |what: &str| {
            format!(
                "the program {} speaks protocol versions {} to {}, which is too {what} for the node at {}: that speaks {oldest} to {newest}",
                name_of(&hello.program_version),
                hello.protocol_min,
                hello.protocol_max,
                self.address
            )
        };
        if hello.protocol_max < oldest {
            return Err(Refusal::new(RefusalReason::TooOld, text("old")));
        }
        if hello.protocol_min > newest {
            return Err(Refusal::new(RefusalReason::TooNew, text("new")));
        }
        Ok(newest.min(hello.protocol_max))
    }

    fn check_expectation(&self, hello: &v1::HelloRequest) -> Result<(), Refusal> {
        let expected = hello.expected_node_id;
        match self.own {
            Some(own) if expected != 0 && own.node.0 != expected => Err(Refusal::new(
                RefusalReason::OtherNode,
                format!("the node at {} is node {}, not node {expected}", self.address, own.node),
            )),
            None if expected != 0 => Err(Refusal::new(
                RefusalReason::NotInitialised,
                format!("the node at {} belongs to no cluster yet", self.address),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the caller's program can serve the cluster. People only ask.
    fn check_program(&self, hello: &v1::HelloRequest) -> Result<(), Refusal> {
        let known = KnownVersions::told(hello.version_min, hello.version_max);
        let cluster = self.cluster_version.filter(|_| hello.role() != v1::Role::Operator);
        cluster.and_then(|cluster| Refusal::of_program(known, cluster)).map_or(Ok(()), Err)
    }

    fn check_member(&self, hello: &v1::HelloRequest) -> Result<(), Refusal> {
        let Some(own) = self.own else {
            let detail = format!("the node at {} belongs to no cluster yet", self.address);
            return Err(Refusal::new(RefusalReason::NotInitialised, detail));
        };
        let invalid = || Refusal::new(RefusalReason::Invalid, "the caller's identity makes no sense");
        let cluster = ClusterId::from_bytes(&hello.cluster_id).ok_or_else(invalid)?;
        if hello.node_id == 0 || hello.store_id == 0 {
            return Err(invalid());
        }
        if cluster != own.cluster {
            let detail = format!(
                "the node at {} belongs to cluster {}, the caller (node {}) to cluster {cluster}",
                self.address, own.cluster, hello.node_id
            );
            return Err(Refusal::new(RefusalReason::OtherCluster, detail));
        }
        let node = NodeId(hello.node_id);
        let is_other_process = hello.process != 0 && hello.process != self.own_process;
        if node == own.node && (hello.incarnation != own.incarnation || is_other_process) {
            let detail = format!(
                "node {node} runs at {} already: the caller uses a copy of its data folder",
                self.address
            );
            return Err(Refusal::new(RefusalReason::StaleFolder, detail));
        }
        let Some(past) = (self.known)(node) else { return Ok(()) };
        if past.standing == Standing::Decommissioned {
            let detail = format!("node {node} was decommissioned and cannot come back");
            return Err(Refusal::new(RefusalReason::Decommissioned, detail));
        }
        let objection = past.objection(node, &Process::of_hello(hello));
        objection.map_or(Ok(()), |detail| Err(Refusal::new(RefusalReason::StaleFolder, detail)))
    }
}

fn name_of(program_version: &str) -> &str {
    if program_version.is_empty() { "of the caller" } else { program_version }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Identity {
        Identity { cluster: ClusterId(7), node: NodeId(1), store: StoreId(1), incarnation: 3 }
    }

    fn hello() -> v1::HelloRequest {
        v1::HelloRequest {
            role: v1::Role::Node.into(),
            protocol_min: 1,
            protocol_max: 2,
            cluster_id: ClusterId(7).to_bytes().to_vec().into(),
            node_id: 2,
            store_id: 2,
            incarnation: 5,
            expected_node_id: 1,
            rpc_address: "b:1".to_string(),
            program_version: "0.1.0".to_string(),
            process: 50,
            bound_found: 1_000,
            version_min: 1,
            version_max: 2,
        }
    }

    fn judge(own: Option<&Identity>, hello: &v1::HelloRequest) -> Result<u32, RefusalReason> {
        let known = |node: NodeId| match node.0 {
            2 => Some(Past { standing: Standing::Active, incarnation: 5, process: 50, clock: 2_000 }),
            3 => Some(Past { standing: Standing::Decommissioned, incarnation: 1, process: 0, clock: 0 }),
            _ => None,
        };
        let cluster_version = own.map(|_| ClusterVersion(2));
        let judge =
            Judge { own, own_process: 30, address: "a:1", versions: 2..=4, cluster_version, known: &known };
        judge.judge(hello).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn callers_are_judged_by_version_cluster_and_past() {
        let own = own();
        let check = |change: fn(&mut v1::HelloRequest)| {
            let mut hello = hello();
            change(&mut hello);
            judge(Some(&own), &hello)
        };
        assert_eq!(check(|_| {}), Ok(2));
        assert_eq!(check(|hello| hello.protocol_max = 9), Ok(4));
        assert_eq!(check(|hello| hello.protocol_max = 1), Err(RefusalReason::TooOld));
        assert_eq!(
            check(|hello| (hello.protocol_min, hello.protocol_max) = (5, 6)),
            Err(RefusalReason::TooNew)
        );
        let other = |hello: &mut v1::HelloRequest| hello.cluster_id = ClusterId(8).to_bytes().to_vec().into();
        assert_eq!(check(other), Err(RefusalReason::OtherCluster));
        assert_eq!(check(|hello| hello.expected_node_id = 9), Err(RefusalReason::OtherNode));
        assert_eq!(check(|hello| hello.node_id = 3), Err(RefusalReason::Decommissioned));
        assert_eq!(check(|hello| hello.incarnation = 4), Err(RefusalReason::StaleFolder));
        assert_eq!(check(|hello| hello.node_id = 1), Err(RefusalReason::StaleFolder));
        let ours =
            |hello: &mut v1::HelloRequest| (hello.node_id, hello.incarnation, hello.process) = (1, 3, 30);
        assert_eq!(check(ours), Ok(2), "we have called ourselves");
        assert_eq!(
            check(|hello| (hello.node_id, hello.incarnation) = (1, 3)),
            Err(RefusalReason::StaleFolder)
        );
        // As many starts: the same process comes again, or another one; of one that does not say, nothing is known.
        assert_eq!(check(|hello| hello.process = 51), Err(RefusalReason::StaleFolder));
        assert_eq!(check(|hello| hello.process = 0), Ok(2));
        // More starts: what it has found must not be below what was heard.
        let again = |bound| {
            move |hello: &mut v1::HelloRequest| {
                (hello.incarnation, hello.process, hello.bound_found) = (6, 60, bound);
            }
        };
        let restarted = |bound: u64| {
            let mut hello = hello();
            again(bound)(&mut hello);
            judge(Some(&own), &hello)
        };
        assert_eq!(restarted(1_999), Err(RefusalReason::StaleFolder));
        assert_eq!(restarted(2_000), Ok(2));
        assert_eq!(restarted(0), Ok(2), "it does not say");
        assert_eq!(check(|hello| hello.cluster_id.clear()), Err(RefusalReason::Invalid));
        // Programs that do not know what the cluster is at, as members and as newcomers; people may ask with any.
        let (old, new) = (Err(RefusalReason::VersionTooOld), Err(RefusalReason::VersionTooNew));
        for role in [v1::Role::Node, v1::Role::Joiner, v1::Role::Operator] {
            for (known, verdict) in
                [((1, 2), Ok(2)), ((2, 3), Ok(2)), ((1, 1), old), ((0, 0), old), ((3, 4), new)]
            {
                let mut hello = hello();
                (hello.role, hello.version_min, hello.version_max) = (role.into(), known.0, known.1);
                let expected = if role == v1::Role::Operator { Ok(2) } else { verdict };
                assert_eq!(judge(Some(&own), &hello), expected, "{role:?} {known:?}");
            }
        }
        let foreign = |hello: &mut v1::HelloRequest| {
            hello.cluster_id = ClusterId(8).to_bytes().to_vec().into();
            hello.version_max = 1;
        };
        assert_eq!(check(foreign), Err(RefusalReason::OtherCluster), "its version means nothing there");
        // A newcomer has no cluster to be of.
        assert_eq!(check(|hello| (hello.role, hello.expected_node_id) = (v1::Role::Joiner.into(), 0)), Ok(2));
    }

    #[test]
    fn the_refusal_of_an_older_folder_says_by_how_much() {
        let past = Past { standing: Standing::Active, incarnation: 5, process: 1, clock: 9_000_000_000 };
        let comer = Process { incarnation: 6, process: 2, bound_found: 2_000_000_000 };
        let objection = past.objection(NodeId(2), &comer).expect("it is older");
        assert!(objection.contains("by 7s at least"), "{objection}");
    }

    #[test]
    fn a_node_without_a_cluster_serves_newcomers_and_people_only() {
        assert_eq!(judge(None, &hello()), Err(RefusalReason::NotInitialised));
        let operator = v1::HelloRequest { role: v1::Role::Operator.into(), expected_node_id: 0, ..hello() };
        assert_eq!(judge(None, &operator), Ok(2));
    }

    #[test]
    fn refusals_travel_and_ids_are_printed_as_people_know_them() {
        for (reason, _) in RefusalReason::ALL {
            let refusal = Refusal::new(reason, "why");
            assert_eq!(Refusal::from_proto(refusal.to_proto()), refusal);
        }
        let id = ClusterId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(ClusterId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(ClusterId::from_bytes(&[0; 16]), None);
    }
}
