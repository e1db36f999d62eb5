//! Who this node is, on its disk: what tells a restart from a stranger, and a folder from its copy.
//!
//! ```text
//!   identity := version=1:u8 cluster:16 bytes node:u32 store:u32 incarnation:u64 founder:u8      (big-endian)
//! ```
//!
//! It is written, synced, before the node says its name to anybody, and its number of starts before each start does. So two
//! processes that run on copies of one folder, and a folder that was restored from a backup, show: see `rpc::Identity`.

use anyhow::{Context, bail};
use keys::local::{StoreItem, store_item};
use keys::{NodeId, StoreId};
use rpc::{ClusterId, Identity};
use storage::{CursorOptions, Durability, Engine, Keyspace, WriteBatch};

const VERSION: u8 = 1;
const SIZE: usize = 1 + 16 + 4 + 4 + 8 + 1;

/// What the folder says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub identity: Identity,
    /// It made the cluster. Whether the first ranges were made is another item: [`is_bootstrapped`].
    pub is_founder: bool,
}

impl Stored {
    /// The first node of a new cluster.
    pub fn founder(cluster: ClusterId) -> Stored {
        let identity = Identity { cluster, node: NodeId(1), store: StoreId(1), incarnation: 1 };
        Stored { identity, is_founder: true }
    }

    fn encode(&self) -> Vec<u8> {
        let Identity { cluster, node, store, incarnation } = self.identity;
        let mut bytes = vec![VERSION];
        bytes.extend(cluster.to_bytes());
        bytes.extend(node.0.to_be_bytes());
        bytes.extend(store.0.to_be_bytes());
        bytes.extend(incarnation.to_be_bytes());
        bytes.push(u8::from(self.is_founder));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Stored> {
        let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
        let number = |from: usize| u32::from_be_bytes(bytes[from..from + 4].try_into().expect("four bytes"));
        let identity = Identity {
            cluster: ClusterId::from_bytes(&bytes[1..17])?,
            node: NodeId(number(17)),
            store: StoreId(number(21)),
            incarnation: u64::from_be_bytes(bytes[25..33].try_into().expect("eight bytes")),
        };
        let is_sound = bytes[0] == VERSION && identity.node.0 != 0 && identity.store.0 != 0 && bytes[33] <= 1;
        is_sound.then_some(Stored { identity, is_founder: bytes[33] == 1 })
    }

    /// Makes it the folder's, synced.
    pub fn write(&self, engine: &dyn Engine) -> anyhow::Result<()> {
        put(engine, StoreItem::Identity, &self.encode()).context("the node's identity cannot be written")
    }
}

fn put(engine: &dyn Engine, item: StoreItem, value: &[u8]) -> anyhow::Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::StoreLocal, &store_item(item), value);
    Ok(engine.write(&batch, Durability::Synced)?)
}

/// What the folder says; `None`: it belongs to nobody yet.
pub fn read(engine: &dyn Engine) -> anyhow::Result<Option<Stored>> {
    let stored = engine.get(Keyspace::StoreLocal, &store_item(StoreItem::Identity));
    match stored.context("the node's identity cannot be read")? {
        None => Ok(None),
        Some(bytes) => match Stored::decode(&bytes) {
            Some(stored) => Ok(Some(stored)),
            None => bail!("the node's identity on disk is damaged, or of a newer version"),
        },
    }
}

/// Counts a start: the folder's identity for this process.
pub fn start_again(engine: &dyn Engine, stored: Stored) -> anyhow::Result<Stored> {
    let incarnation = stored.identity.incarnation + 1;
    let next = Stored { identity: Identity { incarnation, ..stored.identity }, ..stored };
    next.write(engine)?;
    Ok(next)
}

/// Whether there are ranges on a disk, or were: then it is not empty, whatever else is missing.
pub fn holds_ranges(engine: &dyn Engine) -> anyhow::Result<bool> {
    let mut cursor = engine.cursor(Keyspace::RangeLocal, CursorOptions::default())?;
    Ok(cursor.seek_first()?)
}

/// Whether the founder has made the first ranges.
pub fn is_bootstrapped(engine: &dyn Engine) -> anyhow::Result<bool> {
    Ok(engine.get(Keyspace::StoreLocal, &store_item(StoreItem::Bootstrapped))?.is_some())
}

/// The first ranges have been made: from now on this node waits for others if it finds none.
pub fn set_bootstrapped(engine: &dyn Engine) -> anyhow::Result<()> {
    put(engine, StoreItem::Bootstrapped, &[1]).context("the end of the bootstrap cannot be written")
}

/// What is known of other nodes, as `rpc::Network::to_remember` gave it.
pub fn read_peers(engine: &dyn Engine) -> anyhow::Result<Vec<u8>> {
    let stored = engine.get(Keyspace::StoreLocal, &store_item(StoreItem::Peers))?;
    Ok(stored.map(|bytes| bytes.to_vec()).unwrap_or_default())
}

pub fn write_peers(engine: &dyn Engine, peers: &[u8]) -> anyhow::Result<()> {
    put(engine, StoreItem::Peers, peers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryEngine;

    #[test]
    fn the_bytes_of_an_identity_are_frozen_and_damage_is_told() {
        let stored = Stored::founder(ClusterId(7));
        let bytes = stored.encode();
        let expected: &[&[u8]] =
            &[&[1], &[0; 15], &[7], &[0, 0, 0, 1], &[0, 0, 0, 1], &[0, 0, 0, 0, 0, 0, 0, 1], &[1]];
        assert_eq!(bytes, expected.concat());
        assert_eq!(Stored::decode(&bytes), Some(stored));
        for end in 0..bytes.len() {
            assert_eq!(Stored::decode(&bytes[..end]), None);
        }
        assert_eq!(Stored::decode(&[&[2], &bytes[1..]].concat()), None, "a later version");
    }

    #[test]
    fn every_start_counts() {
        let engine = MemoryEngine::new();
        assert_eq!(read(&*engine).expect("memory is read"), None);
        let first = Stored::founder(ClusterId(9));
        first.write(&*engine).expect("memory is written");
        let second = start_again(&*engine, first).expect("memory is written");
        assert_eq!(second.identity.incarnation, 2);
        assert_eq!(read(&*engine).expect("memory is read"), Some(second));
        assert!(!is_bootstrapped(&*engine).expect("memory is read"));
        set_bootstrapped(&*engine).expect("memory is written");
        assert!(is_bootstrapped(&*engine).expect("memory is read"));
    }
}
