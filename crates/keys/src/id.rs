//! Identifiers. Each kind is a type of its own so that none can be passed for another.

use std::fmt;

macro_rules! define_id {
    ($(#[$doc:meta])* $name:ident($repr:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $repr);

        impl $name {
            /// The number inside.
            pub const fn get(self) -> $repr {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl From<$repr> for $name {
            fn from(value: $repr) -> Self {
                Self(value)
            }
        }
    };
}

define_id!(
    /// A range: a contiguous part of the keyspace, replicated by one Raft group. Ids are never used again.
    RangeId(u64), "r"
);
define_id!(
    /// A process that is a member of the cluster.
    NodeId(u32), "n"
);
define_id!(
    /// A data folder of a node.
    StoreId(u32), "s"
);
define_id!(
    /// A replica of a range. Unique within its range; a replica that is removed and added again gets a new one.
    ReplicaId(u32), "p"
);
define_id!(
    /// A table, or another relation that stores rows (a sequence, an index of its own).
    TableId(u32), "t"
);
define_id!(
    /// An index of a table; the primary index included.
    IndexId(u32), "i"
);
define_id!(
    /// A database.
    DatabaseId(u32), "d"
);
define_id!(
    /// A schema (namespace) of a database.
    SchemaId(u32), "c"
);

impl RangeId {
    /// The range that holds `/meta1`: where addressing starts. Its id never changes.
    pub const FIRST: RangeId = RangeId(1);
}

impl IndexId {
    /// The primary index of every table.
    pub const PRIMARY: IndexId = IndexId(1);
}
