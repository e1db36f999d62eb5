//! Raft safety, watched on the wires: whatever a leader says to its followers must fit what any leader has said before.
//!
//! - *Election safety*: in a term of a range one replica alone speaks as the leader.
//! - *Log matching*: an entry's index and term decide what it says.
//! - *Leader completeness*: an index that is committed has one term, for good.
//!
//! It is looked at when messages are sent, so that what the network loses counts as well.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use keys::RangeId;
use raft::{Body, Index, Message, ReplicaId, Term};
use replication::Envelope;

/// What leaders have said so far.
#[derive(Default)]
pub struct Safety {
    leaders: BTreeMap<(RangeId, Term), ReplicaId>,
    /// Fingerprints of what entries say.
    entries: BTreeMap<(RangeId, Index, Term), u64>,
    committed: BTreeMap<(RangeId, Index), Term>,
    broken: Option<String>,
}

impl Safety {
    /// The first contradiction.
    pub fn broken(&self) -> Option<&String> {
        self.broken.as_ref()
    }

    pub fn watch(&mut self, Envelope { range, message, .. }: &Envelope) {
        if let Err(contradiction) = self.compare(*range, message) {
            self.broken.get_or_insert(format!("range {range}: {message}: {contradiction}"));
        }
    }

    fn compare(&mut self, range: RangeId, message: &Message) -> Result<(), String> {
        let speaks_as_leader = matches!(
            message.body,
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot(_) | Body::Quiesce { .. }
        );
        if speaks_as_leader {
            let leader = note(&mut self.leaders, (range, message.term), message.from);
            leader.map_err(|other| format!("replica {other} leads this term"))?;
        }
        let Body::Append { previous_index, previous_term, entries, commit } = &message.body else {
            return Ok(());
        };
        for entry in entries {
            let said = stdx::hash::fingerprint(&entry.payload) ^ entry.kind as u64;
            let same = note(&mut self.entries, (range, entry.index, entry.term), said);
            same.map_err(|_| format!("entry {}@{} said something else", entry.index, entry.term))?;
        }
        let previous = (*previous_index, *previous_term);
        let all = std::iter::once(previous).chain(entries.iter().map(|entry| (entry.index, entry.term)));
        for (index, term) in all.filter(|(index, _)| index <= commit) {
            let same = note(&mut self.committed, (range, index), term);
            same.map_err(|other| format!("{index}@{other} is committed"))?;
        }
        Ok(())
    }
}

/// Notes the first value of a key; gives it back if it is another.
fn note<K: Ord, V: Copy + PartialEq>(noted: &mut BTreeMap<K, V>, key: K, value: V) -> Result<(), V> {
    match noted.entry(key) {
        Entry::Vacant(free) => {
            free.insert(value);
            Ok(())
        }
        Entry::Occupied(before) if *before.get() == value => Ok(()),
        Entry::Occupied(before) => Err(*before.get()),
    }
}

#[cfg(test)]
mod tests {
    use raft::{Bytes, EntryKind};

    use super::*;

    fn append(from: u64, term: u64, entries: &[(u64, u64, &'static str)], commit: u64) -> Envelope {
        let first = entries.first().map_or(1, |(index, ..)| *index);
        let entries = entries.iter().map(|(index, term, text)| raft::Entry {
            index: Index(*index),
            term: Term(*term),
            kind: EntryKind::Normal,
            payload: Bytes::from_static(text.as_bytes()),
        });
        let body = Body::Append {
            previous_index: Index(first - 1),
            previous_term: Term(first.min(3) - 1),
            entries: entries.collect(),
            commit: Index(commit),
        };
        let message = Message { from: ReplicaId(from), to: ReplicaId(9), term: Term(term), body };
        Envelope { range: RangeId(1), support: 0, message }
    }

    fn broken(envelopes: &[Envelope]) -> String {
        let mut safety = Safety::default();
        envelopes.iter().for_each(|envelope| safety.watch(envelope));
        safety.broken().cloned().unwrap_or_default()
    }

    #[test]
    fn each_kind_of_contradiction_is_found() {
        let first = append(1, 2, &[(2, 2, "a"), (3, 2, "b")], 2);
        assert_eq!(broken(&[first.clone(), first.clone(), append(2, 3, &[(3, 3, "c")], 2)]), "");
        assert!(broken(&[first.clone(), append(2, 2, &[(2, 2, "a")], 2)]).contains("leads this term"));
        assert!(broken(&[first.clone(), append(1, 2, &[(3, 2, "x")], 2)]).contains("something else"));
        assert!(broken(&[first, append(2, 3, &[(2, 3, "x")], 2)]).contains("is committed"));
    }
}
