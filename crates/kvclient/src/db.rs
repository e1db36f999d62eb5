//! The entry point: what a node shares among all transactions that it coordinates.

use std::sync::Arc;

use clock::Clock;
use env::Env;
use kvapi::{KvError, NodeDialer, NodeId, RangeDescriptor, Span, Timestamp};

use crate::{Txn, TxnOptions};

/// Knows the first range of the keyspace, from which every other can be found.
pub trait FirstRange: Send + Sync {
    fn descriptor(&self) -> Result<RangeDescriptor, KvError>;
}

/// Settings of a [`Db`].
#[derive(Clone, Debug)]
pub struct DbConfig {
    /// The node on which this coordinator runs.
    pub node: NodeId,
    /// Buffered bytes of one transaction beyond which writes are flushed early as intents.
    pub buffer_bytes_max: usize,
}

/// The database as the SQL layer sees it: one ordered map with transactions. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {}

impl Db {
    pub fn new(
        env: Arc<dyn Env>,
        clock: Arc<Clock>,
        dialer: Arc<dyn NodeDialer>,
        first: Arc<dyn FirstRange>,
        config: DbConfig,
    ) -> Db {
        unimplemented!()
    }

    /// Begins a transaction. Sends nothing.
    pub fn begin(&self, options: TxnOptions) -> Txn {
        unimplemented!()
    }

    /// Runs `body` in a transaction of its own and commits, doing all of it over while it is told to
    /// restart. For the system's own small transactions: catalog changes, jobs.
    pub async fn transact<T, F>(&self, options: TxnOptions, body: F) -> Result<T, KvError>
    where
        F: AsyncFn(&Txn) -> Result<T, KvError>,
    {
        unimplemented!()
    }

    /// A timestamp above everything this node has seen.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }

    /// Makes `key` the start of a range. No error if it already is one. Answers with the right half.
    pub async fn split_at(&self, key: &[u8]) -> Result<RangeDescriptor, KvError> {
        unimplemented!()
    }

    /// The ranges that overlap `span`, in key order, as the addressing keyspace has them now.
    pub async fn ranges(&self, span: &Span) -> Result<Vec<RangeDescriptor>, KvError> {
        unimplemented!()
    }
}
