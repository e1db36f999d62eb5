//! Deadlocks among the locks of the cluster.
//!
//! Who waits reads all records once in a while, in one transaction: what it sees was so at one time, so that a cycle that it finds is one. Every
//! request of a cycle comes to the same conclusion: the youngest is the victim, and the others wait on.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{LockRecord, SessionId};

/// Whether the request with this ticket must fail, so that the others of a cycle can go on.
pub fn is_victim(records: &[LockRecord], ticket: i64) -> bool {
    let mut waits_for: BTreeMap<SessionId, BTreeSet<SessionId>> = BTreeMap::new();
    let mut youngest: BTreeMap<SessionId, i64> = BTreeMap::new();
    let mut own = None;
    for record in records {
        for (place, claim) in record.waiting.iter().enumerate() {
            let session = claim.session();
            waits_for.entry(session).or_default().extend(record.blockers(place));
            let known = youngest.entry(session).or_insert(claim.ticket);
            *known = claim.ticket.max(*known);
            if claim.ticket == ticket {
                own = Some(session);
            }
        }
    }
    let Some(own) = own else { return false };
    let behind = reached(&waits_for, own);
    if !behind.contains(&own) {
        return false;
    }
    // Those that wait for this one, and for whom it waits.
    let cycle = behind.into_iter().filter(|other| reached(&waits_for, *other).contains(&own));
    cycle.filter_map(|session| youngest.get(&session)).max() == Some(&ticket)
}

/// Whom a session waits for, directly or not; itself only in a cycle.
fn reached(waits_for: &BTreeMap<SessionId, BTreeSet<SessionId>>, from: SessionId) -> BTreeSet<SessionId> {
    let mut found = BTreeSet::new();
    let mut pending = vec![from];
    while let Some(session) = pending.pop() {
        for next in waits_for.get(&session).into_iter().flatten() {
            if found.insert(*next) {
                pending.push(*next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use kvapi::NodeId;

    use super::super::record::{Claim, Run};
    use super::*;
    use crate::table_locks::LockMode;

    /// A lock that the first session holds and the others wait for: (session, ticket).
    fn lock(claims: &[(u64, i64)]) -> LockRecord {
        let claim = |(owner, ticket): &(u64, i64)| Claim {
            run: Run { node: NodeId(*owner as u32), number: 1 },
            owner: *owner,
            process_id: 1,
            mode: LockMode::Exclusive,
            ticket: *ticket,
        };
        LockRecord { held: vec![claim(&claims[0])], waiting: claims[1..].iter().map(claim).collect() }
    }

    #[test]
    fn the_youngest_of_a_cycle_is_the_victim_and_nobody_else() {
        let records = [lock(&[(1, 1), (2, 12), (4, 99)]), lock(&[(2, 2), (3, 11)]), lock(&[(3, 3), (1, 13)])];
        let victims: Vec<i64> = [11, 12, 13, 99].into_iter().filter(|t| is_victim(&records, *t)).collect();
        assert_eq!(victims, [13], "the fourth waits for the cycle and is not in it");
        assert!(!is_victim(&records[..2], 12));
        assert!(!is_victim(&records, 1), "it waits for nothing");
    }

    #[test]
    fn who_waits_behind_somebody_waits_for_it() {
        // 3 waits behind 2, which waits for 1; 2 waits nowhere else. 1 waits for what 3 holds.
        let records = [lock(&[(1, 1), (2, 10), (3, 11)]), lock(&[(3, 2), (1, 12)])];
        assert!(is_victim(&records, 12));
        assert!(!is_victim(&records, 10), "a younger one is in the cycle too");
    }
}
