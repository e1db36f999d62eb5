//! Runs fragments that other nodes send.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use expr::{CatalogLookup, EvalContext, SessionInfo};
use kvapi::{Fold, KvBlock, Processor, Progress, Refused};
use types::{Datum, PgError, PgResult};

use super::answer::Answer;
use super::codec;
use super::run::{FragmentRun, Prepared};
use crate::memory::MemoryAccount;

/// What one page may hold while it is worked on. Pages end long before.
const PAGE_MEMORY_BYTES: u64 = 64 << 20;

/// The [`Processor`] of a node.
///
/// What it evaluates knows no session, no catalog and no clock: fragments hold nothing that would ask for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FragmentProcessor;

impl Processor for FragmentProcessor {
    fn open(&self, program: &[u8]) -> Result<Box<dyn Fold>, Refused> {
        let refused = |reason: String| Refused { reason };
        let fragment = codec::decode(program).map_err(|error| refused(error.to_string()))?;
        let prepared = Prepared::new(&fragment).map_err(|error| refused(error.message().to_string()))?;
        let memory = MemoryAccount::root("page", PAGE_MEMORY_BYTES);
        Ok(Box::new(Page { run: FragmentRun::new(Arc::new(prepared), &memory), error: None }))
    }
}

struct Page {
    run: FragmentRun,
    error: Option<PgError>,
}

struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn call(&self, name: &str, _: &[Datum]) -> PgResult<Datum> {
        Err(PgError::internal(format!("the function {name} was sent to another node")))
    }
}

impl Page {
    fn with_context(
        &mut self,
        feed: impl FnOnce(&mut FragmentRun, &EvalContext<'_>) -> PgResult<()>,
    ) -> Progress {
        let (random, session) = (AtomicU64::new(0), SessionInfo::default());
        let context = EvalContext {
            parameters: &[],
            slots: &[],
            transaction_timestamp: 0,
            statement_timestamp: 0,
            clock_timestamp: 0,
            random: &random,
            session: &session,
            catalog: &NoCatalog,
            bounds: &expr::Unbounded,
        };
        match feed(&mut self.run, &context) {
            Ok(()) if self.run.is_full() => Progress::Enough,
            Ok(()) => Progress::More,
            Err(error) => {
                self.error = Some(error);
                Progress::Enough
            }
        }
    }
}

impl Fold for Page {
    fn feed(&mut self, rows: &KvBlock) -> Progress {
        self.with_context(|run, context| run.feed(rows, context))
    }

    fn feed_found(&mut self, rows: &KvBlock, asked: &[u32]) -> Progress {
        self.with_context(|run, context| run.feed_found(rows, asked, context))
    }

    fn finish(mut self: Box<Self>) -> Vec<u8> {
        let answer = match self.run.finish() {
            Ok(batches) => Answer { batches, error: self.error },
            Err(error) => Answer { batches: Vec::new(), error: Some(self.error.unwrap_or(error)) },
        };
        answer.encode()
    }
}
