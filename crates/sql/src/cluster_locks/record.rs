//! What the keyspace holds about locks of the cluster: who holds and who waits for each, and how long each node is believed to live.
//!
//! ```text
//! /table/5/1/ 0                                           who grants locks: one node from its memory, or records
//! /table/5/1/ 1 <node>                                    a node's lease: up to when it is believed to live
//! /table/5/1/ 2 <database> <pair?> <class> <object>       an advisory lock that is held or waited for
//! ```
//!
//! A record is changed by the functions here alone, which know neither time nor transactions: [`LockRecord::request`] grants, refuses or
//! queues, strictly first come first served, but that a session which holds the lock in another mode goes ahead (those in
//! the queue may be waiting for it); whatever takes a claim away ends with [`LockRecord::promote`].

use keys::encoding::put_u32;
use keys::{IndexId, Span, table};
use kvapi::wire::{Malformed, Reader, VERSION, Writer};
use kvapi::{NodeId, Timestamp};
use types::descriptor::Oid;

use crate::catalog::store::LOCKS;
use crate::table_locks::{AdvisoryKey, LockMode};

/// Requests that wait for one lock at most.
const WAITING_MAX: usize = 4_096;

const STANDING: u8 = 0;
const LEASE: u8 = 1;
const ADVISORY: u8 = 2;

fn key_of(kind: u8) -> Vec<u8> {
    let mut key = table::start_key(LOCKS, IndexId::PRIMARY);
    key.push(kind);
    key
}

/// Where it stands who grants locks.
pub fn standing_key() -> Vec<u8> {
    key_of(STANDING)
}

pub fn lease_key(node: NodeId) -> Vec<u8> {
    let mut key = key_of(LEASE);
    put_u32(&mut key, node.0);
    key
}

pub fn lock_key(lock: AdvisoryKey) -> Vec<u8> {
    let mut key = key_of(ADVISORY);
    put_u32(&mut key, lock.database.0);
    key.push(u8::from(lock.is_pair));
    put_u32(&mut key, lock.class);
    put_u32(&mut key, lock.object);
    key
}

/// All records of locks.
pub fn locks_span() -> Span {
    Span { start: key_of(ADVISORY).into(), end: key_of(ADVISORY + 1).into() }
}

/// The inverse of [`lock_key`].
pub fn parse_lock_key(key: &[u8]) -> Option<AdvisoryKey> {
    let rest = key.strip_prefix(&key_of(ADVISORY)[..])?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let is_pair = match rest.get(4)? {
        0 => false,
        1 => true,
        _ => return None,
    };
    (rest.len() == 13).then_some(AdvisoryKey {
        database: Oid(number(0)?),
        is_pair,
        class: number(5)?,
        object: number(9)?,
    })
}

/// The leases of all nodes.
pub fn leases_span() -> Span {
    Span { start: key_of(LEASE).into(), end: key_of(LEASE + 1).into() }
}

/// The inverse of [`lease_key`].
pub fn parse_lease_key(key: &[u8]) -> Option<NodeId> {
    let rest = key.strip_prefix(&key_of(LEASE)[..])?;
    Some(NodeId(u32::from_be_bytes(rest.try_into().ok()?)))
}

/// One start of a node: its locks are gone with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub node: NodeId,
    /// Differs for every start, and whenever the node was taken for dead.
    pub number: i64,
}

/// A session of the cluster.
pub type SessionId = (Run, u64);

/// Who grants locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A node that is alone, from its memory.
    Alone(Run),
    /// The records.
    Shared,
}

impl Standing {
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        match self {
            Standing::Shared => writer.u8(0),
            Standing::Alone(run) => {
                writer.u8(1);
                put_run(&mut writer, run);
            }
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Standing, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let standing = match reader.u8()? {
            0 => Standing::Shared,
            1 => Standing::Alone(take_run(&mut reader)?),
            _ => return Err(Malformed("who grants locks")),
        };
        reader.finish().map(|()| standing)
    }
}

/// Up to when a node is believed to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLease {
    pub number: i64,
    pub until: Timestamp,
}

impl NodeLease {
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        writer.u64(self.number as u64);
        writer.timestamp(self.until);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<NodeLease, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let lease = NodeLease { number: reader.u64()? as i64, until: reader.timestamp()? };
        reader.finish().map(|()| lease)
    }
}

/// A lock that a session holds or wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    pub run: Run,
    /// The session, among those of its node's run.
    pub owner: u64,
    pub process_id: u32,
    pub mode: LockMode,
    /// The request, unique in the cluster and rising with time.
    pub ticket: i64,
}

impl Claim {
    pub fn session(&self) -> SessionId {
        (self.run, self.owner)
    }

    fn excludes(&self, other: &Claim) -> bool {
        self.session() != other.session() && self.mode.conflicts_with(other.mode)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Granted,
    /// It is not free, and the request would not wait.
    Busy,
    Queued,
    /// Too many wait already.
    Full,
}

/// One lock.
///
/// - nothing held excludes anything else held; a session holds a mode once.
/// - the first that waits is excluded by something held.
/// - a ticket is in it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockRecord {
    pub held: Vec<Claim>,
    /// In the order in which they are served.
    pub waiting: Vec<Claim>,
}

impl LockRecord {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty() && self.waiting.is_empty()
    }

    /// Asks for a lock, for the first time or again.
    pub fn request(&mut self, claim: Claim, waits: bool) -> Outcome {
        let is_same = |held: &&mut Claim| held.session() == claim.session() && held.mode == claim.mode;
        if let Some(held) = self.held.iter_mut().find(is_same) {
            // Granted to an earlier request that did not live to know it: now it is this one's.
            held.ticket = claim.ticket;
            self.waiting.retain(|waiting| waiting.ticket != claim.ticket);
            return Outcome::Granted;
        }
        let holds = self.held.iter().any(|held| held.session() == claim.session());
        let place = self.waiting.iter().position(|waiting| waiting.ticket == claim.ticket);
        let ahead = &self.waiting[..place.unwrap_or(self.waiting.len())];
        let passes = holds || !ahead.iter().any(|waiting| claim.excludes(waiting));
        if passes && !self.held.iter().any(|held| claim.excludes(held)) {
            self.waiting.retain(|waiting| waiting.ticket != claim.ticket);
            self.held.push(claim);
            return Outcome::Granted;
        }
        match place {
            Some(_) => Outcome::Queued,
            None if !waits => Outcome::Busy,
            None if self.waiting.len() >= WAITING_MAX => Outcome::Full,
            None => {
                self.waiting.insert(if holds { 0 } else { self.waiting.len() }, claim);
                Outcome::Queued
            }
        }
    }

    /// Grants what can be granted now; answers to whom.
    #[must_use]
    pub fn promote(&mut self) -> Vec<Claim> {
        let mut granted = Vec::new();
        while let Some(first) = self.waiting.first()
            && !self.held.iter().any(|held| first.excludes(held))
        {
            let first = self.waiting.remove(0);
            self.held.push(first);
            granted.push(first);
        }
        granted
    }

    /// What was granted to a request is given back, or the request is given up. A later request of the session for the same has a ticket of its own.
    /// Answers to whom something was granted thereby.
    #[must_use]
    pub fn give_up(&mut self, ticket: i64) -> Vec<Claim> {
        self.held.retain(|claim| claim.ticket != ticket);
        self.waiting.retain(|claim| claim.ticket != ticket);
        self.promote()
    }

    /// Takes away the claims of the dead. Answers to whom something was granted thereby.
    pub fn bury(&mut self, is_dead: impl Fn(Run) -> bool) -> Vec<Claim> {
        self.held.retain(|claim| !is_dead(claim.run));
        self.waiting.retain(|claim| !is_dead(claim.run));
        self.promote()
    }

    /// The runs of nodes that have claims.
    pub fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = self.held.iter().chain(&self.waiting).map(|claim| claim.run).collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// Whom a waiting request waits for: what is held, and what waits ahead of it.
    pub fn blockers(&self, place: usize) -> impl Iterator<Item = SessionId> + '_ {
        let claim = self.waiting[place];
        let before = self.held.iter().chain(&self.waiting[..place]);
        before.filter(move |other| claim.excludes(other)).map(Claim::session)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(VERSION);
        for claims in [&self.held, &self.waiting] {
            writer.count(claims.len());
            for claim in claims {
                put_run(&mut writer, claim.run);
                writer.u64(claim.owner);
                writer.u32(claim.process_id);
                writer.u8(claim.mode as u8);
                writer.u64(claim.ticket as u64);
            }
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<LockRecord, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let mut lists = [Vec::new(), Vec::new()];
        for claims in &mut lists {
            for _ in 0..reader.count()? {
                claims.push(Claim {
                    run: take_run(&mut reader)?,
                    owner: reader.u64()?,
                    process_id: reader.u32()?,
                    mode: LockMode::from_code(reader.u8()?).ok_or(Malformed("lock mode"))?,
                    ticket: reader.u64()? as i64,
                });
            }
        }
        reader.finish()?;
        let [held, waiting] = lists;
        Ok(LockRecord { held, waiting })
    }
}

fn put_run(writer: &mut Writer<'_>, run: Run) {
    writer.u32(run.node.0);
    writer.u64(run.number as u64);
}

fn take_run(reader: &mut Reader<'_>) -> Result<Run, Malformed> {
    Ok(Run { node: NodeId(reader.u32()?), number: reader.u64()? as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(node: u32) -> Run {
        Run { node: NodeId(node), number: i64::from(node) * 100 }
    }

    fn claim(node: u32, mode: LockMode, ticket: i64) -> Claim {
        Claim { run: run(node), owner: 9, process_id: node, mode, ticket }
    }

    fn tickets(claims: &[Claim]) -> Vec<i64> {
        claims.iter().map(|claim| claim.ticket).collect()
    }

    const X: LockMode = LockMode::Exclusive;
    const S: LockMode = LockMode::Share;

    #[test]
    fn requests_are_served_in_their_order_and_shared_ones_together() {
        let mut lock = LockRecord::default();
        assert_eq!(lock.request(claim(1, X, 1), false), Outcome::Granted);
        assert_eq!(lock.request(claim(2, S, 2), false), Outcome::Busy);
        for (node, mode, ticket) in [(2, S, 2), (3, S, 3), (4, X, 4), (5, S, 5)] {
            assert_eq!(lock.request(claim(node, mode, ticket), true), Outcome::Queued);
            assert_eq!(lock.request(claim(node, mode, ticket), true), Outcome::Queued, "asked again");
        }
        assert_eq!(lock.waiting.len(), 4);
        assert_eq!(tickets(&lock.give_up(1)), [2, 3]);
        assert_eq!(lock.request(claim(2, S, 2), true), Outcome::Granted, "it learns of it");
        assert_eq!(lock.request(claim(6, S, 6), false), Outcome::Busy, "nobody overtakes the fourth");
        assert!(lock.give_up(2).is_empty());
        assert_eq!(tickets(&lock.give_up(3)), [4]);
        assert_eq!(tickets(&lock.give_up(4)), [5]);
        assert!(lock.give_up(5).is_empty() && lock.is_empty());
    }

    #[test]
    fn a_holder_goes_ahead_of_those_that_wait_for_it() {
        let mut lock = LockRecord::default();
        assert_eq!(lock.request(claim(1, S, 1), true), Outcome::Granted);
        assert_eq!(lock.request(claim(2, S, 2), true), Outcome::Granted);
        assert_eq!(lock.request(claim(3, X, 3), true), Outcome::Queued);
        assert_eq!(lock.request(claim(1, X, 4), true), Outcome::Queued);
        assert_eq!(lock.blockers(0).collect::<Vec<_>>(), [(run(2), 9)]);
        assert_eq!(lock.blockers(1).collect::<Vec<_>>(), [(run(1), 9), (run(2), 9), (run(1), 9)]);
        assert_eq!(tickets(&lock.give_up(2)), [4]);
        assert!(lock.give_up(4).is_empty(), "it still holds the weaker one");
        assert_eq!(tickets(&lock.give_up(1)), [3]);
    }

    #[test]
    fn the_dead_hold_nothing_and_want_nothing() {
        let mut lock = LockRecord::default();
        assert_eq!(lock.request(claim(1, X, 1), true), Outcome::Granted);
        assert_eq!(lock.request(claim(2, X, 2), true), Outcome::Queued);
        assert_eq!(lock.request(claim(3, X, 3), true), Outcome::Queued);
        assert_eq!(lock.runs(), [run(1), run(2), run(3)]);
        assert_eq!(tickets(&lock.bury(|run| run.node.0 < 3)), [3]);
        assert!(lock.waiting.is_empty());
    }

    #[test]
    fn a_request_that_was_given_up_late_takes_nothing_from_the_next() {
        let mut lock = LockRecord::default();
        assert_eq!(lock.request(claim(1, X, 1), true), Outcome::Granted);
        assert_eq!(lock.request(claim(1, X, 2), true), Outcome::Granted);
        assert!(lock.give_up(1).is_empty());
        assert_eq!(tickets(&lock.held), [2]);
    }

    #[test]
    fn the_stored_forms_are_frozen() {
        let key = AdvisoryKey { database: Oid(5), class: 1, object: 0x0203_0405, is_pair: true };
        let stored = lock_key(key);
        assert_eq!(stored[stored.len() - 14..], [2, 0, 0, 0, 5, 1, 0, 0, 0, 1, 2, 3, 4, 5]);
        assert_eq!(parse_lock_key(&stored), Some(key));
        assert_eq!(parse_lock_key(&stored[..stored.len() - 1]), None);
        assert!(locks_span().contains(&stored) && !locks_span().contains(&lease_key(NodeId(u32::MAX))));

        let record = LockRecord { held: vec![claim(3, X, 258)], waiting: vec![claim(1, S, 2)] };
        let bytes = record.encode();
        #[rustfmt::skip]
        assert_eq!(bytes, [
            1, 0, 0, 0, 1,
            0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 1, 44, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 6, 0, 0, 0, 0, 0, 0, 1, 2,
            0, 0, 0, 1,
            0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 2,
        ]);
        assert_eq!(LockRecord::decode(&bytes), Ok(record));
        for cut in 0..bytes.len() {
            assert!(LockRecord::decode(&bytes[..cut]).is_err());
        }
        assert_eq!(parse_lease_key(&lease_key(NodeId(7))), Some(NodeId(7)));
        let lease = NodeLease { number: 7, until: Timestamp::new(1, 2) };
        assert_eq!(lease.encode(), [1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(NodeLease::decode(&lease.encode()), Ok(lease));
        assert_eq!(Standing::Shared.encode(), [1, 0]);
        let alone = Standing::Alone(run(2));
        assert_eq!(alone.encode(), [1, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 200]);
        assert_eq!(Standing::decode(&alone.encode()), Ok(alone));
        assert_eq!(Standing::decode(&[1, 0]), Ok(Standing::Shared));
        assert!(Standing::decode(&[1, 2]).is_err() && Standing::decode(&[]).is_err());
    }
}
