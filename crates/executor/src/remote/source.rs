//! Which way a scan is read, decided when it is opened.

use std::sync::Arc;

use async_trait::async_trait;
use keys::Span;
use planner::plan::{Aggregate, PlanNode, TableScan, TopN};
use types::row::KeyPrefixEncoder;
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::Distribution;
use super::codec;
use super::fetch::key_fragment;
use super::fragment::{Chain, Fragment, Output, TOP_ROWS_MAX, groups};
use super::gather::{Gather, Job};
use super::lookup::whole_index;
use super::run::Prepared;
use crate::context::ExecContext;
use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, NodeRef, Operator, Run};
use crate::operators::{KeyRanges, SpanSet};
use crate::program::{Scalar, row_count};

/// Ranges that are looked at to find one that lies elsewhere.
const RANGES_LOOKED_AT_MAX: usize = 4096;

/// A fragment of a plan and what it reads, prepared.
pub(crate) struct RemoteSource {
    fragment: Fragment,
    encoder: KeyPrefixEncoder,
    spans: SpanSet,
    reverse: bool,
    row_hint: Option<Scalar>,
    /// Not more rows than hinted at are asked of the scan itself.
    hint_is_bound: bool,
    /// What else is read for its rows.
    beside: Vec<Span>,
    /// Of [`Output::Top`]: LIMIT and OFFSET.
    top: Option<(Scalar, Option<Scalar>)>,
}

impl RemoteSource {
    fn new(chain: Chain<'_>, output: Output) -> PgResult<RemoteSource> {
        let scan = chain.scan;
        RemoteSource::over(scan, chain.into_fragment(output))
    }

    fn over(scan: &TableScan, fragment: Fragment) -> PgResult<RemoteSource> {
        let (table, index) = (&scan.table.descriptor, scan.index_descriptor());
        Ok(RemoteSource {
            encoder: KeyPrefixEncoder::new(table, index)?,
            spans: SpanSet::new(&scan.spans, table, index)?,
            reverse: scan.reverse,
            row_hint: scan.row_hint.as_ref().map(Scalar::new).transpose()?,
            hint_is_bound: true,
            beside: Vec::new(),
            top: None,
            fragment,
        })
    }

    /// Rows of a node, if other nodes can and should do something about them.
    pub fn rows(node: &PlanNode) -> PgResult<Option<RemoteSource>> {
        match entry_chain(node).filter(Chain::leaves_something_out) {
            Some(chain) => RemoteSource::new(chain, Output::Rows { limit: 0 }).map(Some),
            None => Ok(None),
        }
    }

    /// The primary keys of the rows of an index's entries. `is_sifted`: rows may be left out afterwards.
    pub(super) fn entries(scan: &TableScan, is_sifted: bool) -> PgResult<RemoteSource> {
        let source = RemoteSource::over(scan, key_fragment(&scan.table, scan.index))?;
        let beside = vec![whole_index(&scan.table, 0)?];
        Ok(RemoteSource { hint_is_bound: !is_sifted, beside, ..source })
    }

    /// Partial states of an aggregation.
    pub fn aggregate(plan: &Aggregate) -> PgResult<Option<RemoteSource>> {
        if plan.sets.len() != 1 || plan.sets[0].len() != plan.keys.len() {
            return Ok(None);
        }
        match (entry_chain(&plan.input), groups(&plan.keys, &plan.aggregates)) {
            (Some(chain), Some(output)) => RemoteSource::new(chain, output).map(Some),
            _ => Ok(None),
        }
    }

    /// The first rows of an order from every page.
    pub fn top(plan: &TopN) -> PgResult<Option<RemoteSource>> {
        let Some(chain) = entry_chain(&plan.input) else { return Ok(None) };
        let mut source = RemoteSource::new(chain, Output::Top { keys: plan.keys.clone(), count: 0 })?;
        let offset = plan.offset.as_ref().map(Scalar::new).transpose()?;
        source.top = Some((Scalar::new(&plan.count)?, offset));
        Ok(Some(source))
    }

    /// Begins to read, if other nodes are to take part.
    pub async fn open(&self, run: &Run) -> ExecResult<Option<Gather>> {
        if !takes_part(&run.context) {
            return Ok(None);
        }
        let Some(spans) = self.spans(run)? else { return Ok(None) };
        if !lies_elsewhere(&spans, run).await? && !lies_elsewhere(&self.beside, run).await? {
            return Ok(None);
        }
        match self.job(spans, run)? {
            Some(job) => Gather::begin(job, run).await,
            None => Ok(None),
        }
    }

    /// The hint, evaluated.
    pub(super) fn hint(&self, run: &Run) -> ExecResult<Option<u64>> {
        Ok(row_count(self.row_hint.as_ref(), &run.eval(), false)?)
    }

    pub(super) fn beside(&self) -> &[Span] {
        &self.beside
    }

    pub(super) fn output(&self) -> &Output {
        &self.fragment.output
    }

    /// `None`: single keys, which are read otherwise.
    pub(super) fn spans(&self, run: &Run) -> ExecResult<Option<Vec<Span>>> {
        Ok(match self.spans.evaluate(&self.encoder, &run.eval())? {
            KeyRanges::Spans(spans) => Some(spans),
            KeyRanges::Point(_) | KeyRanges::Points(_) => None,
        })
    }

    /// `None`: it cannot be sent after all.
    fn job(&self, spans: Vec<Span>, run: &Run) -> ExecResult<Option<Job>> {
        let eval = run.eval();
        let Some(mut fragment) = self.fragment.with_values(&eval) else { return Ok(None) };
        let mut hint = row_count(self.row_hint.as_ref(), &eval, false)?;
        match &mut fragment.output {
            Output::Rows { limit } => *limit = hint.filter(|_| self.hint_is_bound).unwrap_or(0),
            Output::Groups { .. } => hint = None,
            Output::Top { count, .. } => {
                hint = None;
                let Some((limit, offset)) = &self.top else { return Ok(None) };
                // What is wrong with them is told by who needs them.
                let limit = row_count(Some(limit), &eval, false).ok().flatten();
                let offset = row_count(offset.as_ref(), &eval, true).ok().map(|offset| offset.unwrap_or(0));
                let (Some(limit), Some(offset)) = (limit, offset) else { return Ok(None) };
                *count = limit.saturating_add(offset);
                if *count == 0 || *count > TOP_ROWS_MAX {
                    return Ok(None);
                }
            }
        }
        let Some(program) = codec::encode(&fragment) else { return Ok(None) };
        // As the usual scan: with a filter the hint says little.
        let is_sifted = !self.hint_is_bound || fragment.is_sifted();
        let least = if is_sifted { 64 } else { 1 };
        let page_rows = hint.map_or(0, |hint| hint.clamp(least, BATCH_ROWS_MAX as u64));
        let fragment = Arc::new(Prepared::new(&fragment)?);
        Ok(Some(Job { fragment, program, spans, reverse: self.reverse, hint, page_rows }))
    }
}

/// A chain over entries that are the rows themselves.
fn entry_chain(node: &PlanNode) -> Option<Chain<'_>> {
    Chain::of(node).filter(|chain| !chain.scan.fetch_row)
}

/// Whether there may be other nodes to take part in a statement.
pub(crate) fn takes_part(context: &ExecContext) -> bool {
    match context.distribution {
        Distribution::Off => false,
        Distribution::On => !context.db.is_alone(),
        Distribution::Always => true,
    }
}

/// Whether some range of the spans is leased to another node.
pub(super) async fn lies_elsewhere(spans: &[Span], run: &Run) -> ExecResult<bool> {
    if run.context.distribution == Distribution::Always {
        return Ok(true);
    }
    let db = &run.context.db;
    let mut looked_at = 0;
    for span in spans {
        let mut key = span.start.clone();
        while key < span.end && looked_at < RANGES_LOOKED_AT_MAX {
            let place = db.locate(&key).await?;
            if place.node != db.node() {
                return Ok(true);
            }
            key = place.span.end;
            looked_at += 1;
        }
    }
    Ok(false)
}

/// Rows that come through a fragment, or from the usual operators.
pub(crate) struct RemoteNode {
    pub source: RemoteSource,
    pub usual: NodeRef,
}

impl Node for RemoteNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(RemoteOperator { node: self, way: Way::Open })
    }
}

enum Way {
    Open,
    Gather(Box<Gather>),
    Usual(BoxedOperator),
}

struct RemoteOperator {
    node: Arc<RemoteNode>,
    way: Way,
}

#[async_trait]
impl Operator for RemoteOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        if let Way::Open = self.way {
            let source = &self.node.source;
            // In a box: the usual way need not make room for it.
            let gather = if takes_part(&run.context) { Box::pin(source.open(run)).await? } else { None };
            self.way = match gather {
                Some(gather) => Way::Gather(Box::new(gather)),
                None => Way::Usual(self.node.usual.clone().open()),
            };
        }
        match &mut self.way {
            Way::Gather(gather) => Box::pin(gather.next(run)).await,
            Way::Usual(usual) => usual.next(run).await,
            Way::Open => Ok(None),
        }
    }
}
