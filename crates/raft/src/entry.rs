//! One position of the log.

use std::fmt;

use bytes::Bytes;

use crate::{Index, Term};

/// What an entry is for. The numbers are stored on disk and sent to peers: they do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EntryKind {
    /// A command of the state machine; the payload means nothing to this crate.
    Normal = 0,
    /// A change of membership; the payload is an encoded [`crate::ConfChange`].
    ConfChange = 1,
    /// The entry with which a new leader opens its term. No payload; nothing to apply.
    Empty = 2,
}

impl EntryKind {
    /// The kind with this stored number.
    pub fn from_number(number: u8) -> Option<EntryKind> {
        match number {
            0 => Some(EntryKind::Normal),
            1 => Some(EntryKind::ConfChange),
            2 => Some(EntryKind::Empty),
            _ => None,
        }
    }
}

/// A place in the log and the term of what is there. The two together name one entry: no other entry of the group ever has
/// both. A proposal is lost if another term's entry is applied at its index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub index: Index,
    pub term: Term,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// One entry of the log. Cheap to clone: the payload is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub index: Index,
    pub term: Term,
    pub kind: EntryKind,
    pub payload: Bytes,
}

impl Entry {
    /// What an entry counts for in the limits beside its payload, in bytes.
    pub const OVERHEAD_BYTES: u64 = 32;

    /// What this entry counts for in the limits of [`crate::Config`], in bytes.
    pub fn size(&self) -> u64 {
        self.payload.len() as u64 + Entry::OVERHEAD_BYTES
    }
}
