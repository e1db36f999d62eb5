//! Rows of a plan node that come from other nodes: of a scan's entries, or fetched by them.
//!
//! A scan of an index that does not hold all columns takes two steps, each where what it reads lies: entries give primary keys, a batch of those is
//! looked up at once and goes through filter and projection there. Rows come in the order of the entries.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use expr::Program;
use keys::Span;
use planner::plan::{Operator as PlanOperator, PlanNode, TableScan};
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::fetch::{Pace, RowFetch, row_fragment};
use super::fragment::{Chain, Fragment, Step, is_plain, is_sifting};
use super::gather::Gather;
use super::source::{RemoteNode, RemoteSource, takes_part};
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::program;

/// Either of the two.
pub(crate) enum RowSource {
    Scan(Box<RemoteSource>),
    Fetch(Box<FetchSource>),
}

impl RowSource {
    /// `None`: other nodes have no part in the plan node.
    pub fn of(node: &PlanNode) -> PgResult<Option<RowSource>> {
        if let Some(fetch) = FetchSource::of(node) {
            return Ok(Some(RowSource::Fetch(Box::new(fetch))));
        }
        Ok(RemoteSource::rows(node)?.map(|source| RowSource::Scan(Box::new(source))))
    }

    /// Reads from there, or else the usual way.
    pub fn node(self, usual: NodeRef) -> NodeRef {
        match self {
            RowSource::Scan(source) => Arc::new(RemoteNode { source: *source, usual }),
            RowSource::Fetch(source) => Arc::new(FetchNode { source: *source, usual }),
        }
    }
}

/// A scan that fetches rows, kept to be prepared once it is known that other nodes take part.
pub(crate) struct FetchSource {
    scan: TableScan,
    steps: Vec<Step>,
    /// The scan's filter is not among the steps: it cannot be sent.
    filters_here: bool,
    prepared: OnceLock<PgResult<Prepared>>,
}

struct Prepared {
    entries: RemoteSource,
    rows: Fragment,
    filter_here: Option<Program>,
    /// Rows may be left out.
    is_sifted: bool,
}

impl FetchSource {
    pub(super) fn of(node: &PlanNode) -> Option<FetchSource> {
        let (scan, steps, filters_here) = match (Chain::of(node), &node.operator) {
            (Some(chain), _) => (chain.scan, chain.steps, false),
            (None, PlanOperator::TableScan(scan)) if is_plain(scan) => (&**scan, Vec::new(), true),
            _ => return None,
        };
        let source = || FetchSource { scan: scan.clone(), steps, filters_here, prepared: OnceLock::new() };
        scan.fetch_row.then(source)
    }

    fn prepared(&self) -> PgResult<&Prepared> {
        self.prepared.get_or_init(|| self.prepare()).as_ref().map_err(Clone::clone)
    }

    fn prepare(&self) -> PgResult<Prepared> {
        let scan = &self.scan;
        let is_sifted = self.filters_here || is_sifting(&self.steps);
        let filter = scan.filter.as_ref().filter(|_| self.filters_here);
        Ok(Prepared {
            entries: RemoteSource::entries(scan, is_sifted)?,
            rows: row_fragment(&scan.table, &scan.columns, self.steps.clone()),
            filter_here: filter.map(Program::new).transpose()?,
            is_sifted,
        })
    }

    /// Begins to read, if other nodes, which may take part, are to.
    async fn open(&self, run: &Run) -> ExecResult<Option<Fetching>> {
        let prepared = self.prepared()?;
        let Some(rows) = RowFetch::new(&self.scan.table, &prepared.rows, run)? else { return Ok(None) };
        let Some(entries) = prepared.entries.open(run).await? else { return Ok(None) };
        let hint = prepared.entries.hint(run)?;
        let first = hint.map_or(BATCH_ROWS_MAX, |hint| usize::try_from(hint).unwrap_or(BATCH_ROWS_MAX));
        let pace = if prepared.is_sifted { Pace::from(first) } else { Pace::from(BATCH_ROWS_MAX) };
        let wanted = hint.filter(|_| !prepared.is_sifted);
        Ok(Some(Fetching { entries, rows, wanted, pace, left: None, ready: VecDeque::new() }))
    }

    /// The spans that are read of the index, all that may be read of the primary one, and what is done there.
    pub(super) fn outline(&self, run: &Run) -> ExecResult<Option<(Vec<Span>, &[Span], &[Step])>> {
        let prepared = self.prepared()?;
        let spans = prepared.entries.spans(run)?;
        Ok(spans.map(|spans| (spans, prepared.entries.beside(), &self.steps[..])))
    }
}

struct FetchNode {
    source: FetchSource,
    usual: NodeRef,
}

impl Node for FetchNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(FetchOperator { node: self, way: Way::Open })
    }
}

enum Way {
    Open,
    Fetch(Box<Fetching>),
    Usual(BoxedOperator),
}

struct FetchOperator {
    node: Arc<FetchNode>,
    way: Way,
}

#[async_trait]
impl Operator for FetchOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if let Way::Open = self.way {
            let source = &self.node.source;
            // In a box: the usual way need not make room for it.
            let fetching = if takes_part(&run.context) { Box::pin(source.open(run)).await? } else { None };
            self.way = match fetching {
                Some(fetching) => Way::Fetch(Box::new(fetching)),
                None => Way::Usual(self.node.usual.clone().open()),
            };
        }
        match &mut self.way {
            Way::Usual(usual) => usual.next(run).await,
            Way::Fetch(fetching) => Box::pin(fetching.next(self.node.source.prepared()?, run)).await,
            Way::Open => Ok(None),
        }
    }
}

/// - `left`: entries that came with others and are still to be looked up, before those of `entries`.
struct Fetching {
    entries: Gather,
    rows: RowFetch,
    /// Rows that will be asked for at most, each of them an entry's.
    wanted: Option<u64>,
    pace: Pace,
    left: Option<Batch>,
    ready: VecDeque<Batch>,
}

impl Fetching {
    async fn next(&mut self, prepared: &Prepared, run: &mut Run) -> ExecResult<Option<Batch>> {
        loop {
            while let Some(batch) = self.ready.pop_front() {
                let kept = match &prepared.filter_here {
                    None => Some(batch),
                    Some(filter) => program::filter(filter, &run.eval(), batch)?,
                };
                if kept.is_some() {
                    return Ok(kept);
                }
            }
            run.pause().await?;
            let Some(entries) = self.next_entries(run).await? else { return Ok(None) };
            self.fetch(&entries).await?;
        }
    }

    /// As many entries as are to be looked up at once.
    async fn next_entries(&mut self, run: &Run) -> ExecResult<Option<Batch>> {
        let batch = match self.left.take() {
            Some(left) => left,
            None => match self.entries.next(run).await? {
                Some(batch) => batch,
                None => return Ok(None),
            },
        };
        let wanted = self.wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(usize::MAX);
        let most = self.pace.keys().min(wanted);
        let rows = batch.rows.min(most);
        // More is asked for than was said: then all there is.
        self.wanted = self.wanted.map(|wanted| wanted - rows as u64).filter(|wanted| *wanted > 0);
        if rows == batch.rows {
            return Ok(Some(batch));
        }
        self.left = Some(batch.slice(rows..batch.rows));
        Ok(Some(batch.slice(0..rows)))
    }

    async fn fetch(&mut self, entries: &Batch) -> ExecResult<()> {
        let Some(fetched) = self.rows.fetch(entries).await? else {
            // Something is wrong with one of the rows: the usual way tells with which, and what, first.
            self.ready.extend(self.rows.fetch_here(entries).await?);
            return Ok(());
        };
        let rows = fetched.found.rows;
        self.pace.learn(entries.rows, rows.memory_size());
        let order: Vec<u32> = fetched.row_of.into_iter().flatten().collect();
        if !order.is_empty() {
            self.ready.push_back(rows.gather(&order));
        }
        Ok(())
    }
}
