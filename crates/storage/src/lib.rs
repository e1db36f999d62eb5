//! What a node keeps on disk: ordered maps of bytes, and versions of keys on top of them.
//!
//! ```text
//!   kvserver, replication
//!        |          |
//!        v          v
//!      mvcc    (Raft log, applied state)
//!        |          |
//!        v          v
//!   Engine: snapshot, write, flushed, checkpoint      <- a trait object
//!        |                    |
//!   RocksEngine          MemoryEngine (loses unflushed writes on demand)
//! ```
//!
//! This crate knows keys, timestamps and transaction metadata. It does not know tables, rows or Raft; it reads no
//! clock, starts no task and is synchronous. It is the only crate that knows `rocksdb`.
//!
//! - [`Keyspace`]: the maps that there are. [`WriteBatch`]: writes that happen together, in the form that is replicated.
//! - [`Engine`], [`Reader`], [`Cursor`]: the seam, with the rules about crashes.
//! - [`mvcc`]: versions, intents, scans, garbage.

mod batch;
mod engine;
mod error;
mod keyspace;
mod memory;
pub mod mvcc;
#[cfg(feature = "rocks")]
mod rocks;

pub use batch::{Operation, Operations, WriteBatch};
pub use engine::{
    Checkpoint, Cursor, CursorOptions, Durability, Engine, EngineStatistics, Ingest, PinnedValue, Reader,
};
pub use error::{Misuse, StorageError};
pub use keyspace::{Keyspace, Side};
pub use memory::{MemoryDisk, MemoryEngine, MemoryOptions};
#[cfg(feature = "rocks")]
pub use rocks::{RocksEngine, RocksOptions};
