//! The point read: one key, at most one row, no operator tree.
//!
//! A primary-key SELECT is this and a projection. From the plan are prepared: the encoder of the key, the key's expressions,
//! the decoder of the row. What is left per execution: evaluate, encode, one `Txn::get`, decode into vectors of one row.

use std::sync::Arc;

use async_trait::async_trait;
use kvclient::Locking;
use planner::plan::TableScan;
use types::row::{KeyPrefixEncoder, RowDecoder};
use types::{Batch, PgResult};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, Operator, Run};
use crate::operators::{Fetch, KeyRanges, SpanSet, row_locking, word_lock_error};
use crate::program;
use expr::Program;

/// A prepared read of at most one row by a unique key.
pub(crate) struct PointRead {
    relation: Box<str>,
    encoder: KeyPrefixEncoder,
    spans: SpanSet,
    entry: Entry,
    filter: Option<Program>,
    locking: Locking,
}

/// What is found under the key.
enum Entry {
    Row(RowDecoder),
    /// An index entry that leads to the row. With a lock, it is the row that is locked.
    Reference(Box<Fetch>),
}

impl PointRead {
    /// `None` when the scan is no point read, or one that needs more care (a lock through a secondary index).
    pub fn new(scan: &TableScan) -> PgResult<Option<PointRead>> {
        let secondary = scan.index != 0;
        if !scan.single_row || (secondary && scan.lock.is_some()) {
            return Ok(None);
        }
        let (table, index) = (&scan.table.descriptor, scan.index_descriptor());
        let encoder = KeyPrefixEncoder::new(table, index)?;
        let spans = SpanSet::new(&scan.spans, table, index)?;
        let entry = if scan.fetch_row {
            Entry::Reference(Box::new(Fetch::new(table, index, &scan.columns)?))
        } else {
            Entry::Row(RowDecoder::new(table, index, &scan.columns)?)
        };
        let filter = scan.filter.as_ref().map(Program::new).transpose()?;
        let locking = row_locking(scan.lock);
        Ok(Some(PointRead { relation: table.name.as_str().into(), encoder, spans, entry, filter, locking }))
    }

    /// The row, if there is one.
    pub async fn read(&self, run: &Run) -> ExecResult<Option<Batch>> {
        let Some(key) = self.key(run)? else { return Ok(None) };
        let context = &run.context;
        let found = context.txn.get(&key, self.locking).await;
        let Some(value) = found.map_err(|error| word_lock_error(error, &self.relation))? else {
            return Ok(None);
        };
        let (decoder, key, value) = match &self.entry {
            Entry::Row(decoder) => (decoder, key, value),
            Entry::Reference(fetch) => {
                let row_key = fetch.row_key(&key, &value)?;
                let Some(row) = context.txn.get(&row_key, self.locking).await? else { return Ok(None) };
                (fetch.decoder(), row_key, row)
            }
        };
        let mut columns = decoder.vectors(1);
        decoder.decode(&key, &value, &mut columns)?;
        let batch = Batch { columns, rows: 1 };
        match &self.filter {
            None => Ok(Some(batch)),
            Some(condition) => Ok(program::filter(condition, &run.eval(), batch)?),
        }
    }

    /// The only key to look at; `None` when a key value is NULL.
    fn key(&self, run: &Run) -> ExecResult<Option<Vec<u8>>> {
        match self.spans.evaluate(&self.encoder, &run.eval())? {
            KeyRanges::Point(key) => Ok(Some(key)),
            KeyRanges::Points(mut keys) => Ok(keys.pop()),
            KeyRanges::Spans(spans) if spans.is_empty() => Ok(None),
            KeyRanges::Spans(_) => {
                Err(types::PgError::internal("a point read whose key is not fixed").into())
            }
        }
    }
}

/// A point read below other operators.
pub(crate) struct PointReadNode(pub PointRead);

impl Node for PointReadNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(PointReadOperator { node: self, done: false })
    }
}

struct PointReadOperator {
    node: Arc<PointReadNode>,
    done: bool,
}

#[async_trait]
impl Operator for PointReadOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        self.node.0.read(run).await
    }
}
