//! The three numbers of Raft, each its own type so that they cannot be mixed up.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            pub const ZERO: $name = $name(0);

            /// The one after this. Panics at the end of the number space, which no group lives to see.
            #[must_use]
            pub fn next(self) -> $name {
                $name(self.0.checked_add(1).expect("64 bits are not used up"))
            }

            /// The one before this, or zero.
            #[must_use]
            pub fn previous(self) -> $name {
                $name(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A position in a group's log. The first entry of a fresh log has index 1; zero stands before it.
    Index
}
number! {
    /// An election period; at most one leader each. Zero comes before the first election.
    Term
}
number! {
    /// One member of one group. Zero is no replica. An id is never given to another replica of the same
    /// group: a replica that lost its disk comes back under a new id, or it could vote twice.
    ReplicaId
}
number! {
    /// Numbers a group's writes from 1 in the order in which they were handed out (see `Write`).
    /// It starts again at 1 when the group is opened again.
    WriteNumber
}
