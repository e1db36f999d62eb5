//! The ordered maps that a store consists of.

use std::fmt;

/// One ordered map of byte strings. What separates them is not meaning alone but how each is written, read and kept:
///
/// | keyspace | side | what | pattern |
/// | --- | --- | --- | --- |
/// | `Current` | state | the newest committed version of every key | point reads by whole key, scans |
/// | `History` | state | superseded versions, newest first per key | written at the end of a version's life, read rarely, collected |
/// | `Intents` | state | provisional writes of transactions over several ranges | short-lived, mostly empty |
/// | `RangeLocal` | state | `/local/range/..`, `/local/anchor/..` | few, overwritten all the time |
/// | `RaftLog` | log | `/local/raft/..` | appended, cut off at the front |
/// | `StoreLocal` | log | `/local/store/..` | few |
///
/// The number is what is stored in a [`crate::WriteBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Keyspace {
    /// The newest committed version of every key; see `mvcc`.
    Current = 1,
    /// Superseded versions; see `mvcc`.
    History = 2,
    /// Intents; see `mvcc`.
    Intents = 3,
    /// Replicated range-local state, among it every range's applied index.
    RangeLocal = 4,
    /// Raft entries and hard state.
    RaftLog = 5,
    /// State of this store alone.
    StoreLocal = 6,
}

/// How the writes of a keyspace become durable; see [`crate::Durability`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The state machine: written without a log of its own, flushed all together, replayed from the Raft log.
    State,
    /// The log: every write is in a write-ahead log, synced on demand.
    Log,
}

impl Keyspace {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All of them, in the order of their numbers.
    pub const ALL: [Keyspace; Keyspace::COUNT] = [
        Keyspace::Current,
        Keyspace::History,
        Keyspace::Intents,
        Keyspace::RangeLocal,
        Keyspace::RaftLog,
        Keyspace::StoreLocal,
    ];

    /// The keyspaces of the state machine.
    pub const STATE: [Keyspace; 4] =
        [Keyspace::Current, Keyspace::History, Keyspace::Intents, Keyspace::RangeLocal];

    /// The keyspaces with a write-ahead log.
    pub const LOG: [Keyspace; 2] = [Keyspace::RaftLog, Keyspace::StoreLocal];

    /// Its position in arrays with one element for each.
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// The keyspace with the given number.
    pub const fn from_code(code: u8) -> Option<Keyspace> {
        match code {
            1 => Some(Keyspace::Current),
            2 => Some(Keyspace::History),
            3 => Some(Keyspace::Intents),
            4 => Some(Keyspace::RangeLocal),
            5 => Some(Keyspace::RaftLog),
            6 => Some(Keyspace::StoreLocal),
            _ => None,
        }
    }

    /// How its writes become durable.
    pub const fn side(self) -> Side {
        match self {
            Keyspace::Current | Keyspace::History | Keyspace::Intents | Keyspace::RangeLocal => Side::State,
            Keyspace::RaftLog | Keyspace::StoreLocal => Side::Log,
        }
    }

    /// The name on disk and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Keyspace::Current => "current",
            Keyspace::History => "history",
            Keyspace::Intents => "intents",
            Keyspace::RangeLocal => "range-local",
            Keyspace::RaftLog => "raft-log",
            Keyspace::StoreLocal => "store-local",
        }
    }

    /// The keyspace with the given name.
    pub fn from_name(name: &str) -> Option<Keyspace> {
        Keyspace::ALL.into_iter().find(|keyspace| keyspace.name() == name)
    }
}

impl fmt::Display for Keyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_sides_are_consistent() {
        for (index, keyspace) in Keyspace::ALL.into_iter().enumerate() {
            assert_eq!(keyspace.index(), index);
            assert_eq!(Keyspace::from_code(keyspace as u8), Some(keyspace));
            assert_eq!(Keyspace::from_name(keyspace.name()), Some(keyspace));
            assert_eq!(Keyspace::STATE.contains(&keyspace), keyspace.side() == Side::State);
            assert_eq!(Keyspace::LOG.contains(&keyspace), keyspace.side() == Side::Log);
        }
        assert_eq!(Keyspace::from_code(0), None);
        assert_eq!(Keyspace::from_code(7), None);
    }
}
