//! Which way a scan is read, decided when it is opened.

use std::sync::Arc;

use async_trait::async_trait;
use keys::Span;
use planner::plan::{Aggregate, PlanNode, TopN};
use types::row::KeyPrefixEncoder;
use types::{BATCH_ROWS_MAX, Batch, PgResult};

use super::Distribution;
use super::codec;
use super::fragment::{Chain, Fragment, Output, TOP_ROWS_MAX, groups};
use super::gather::{Gather, Job};
use super::run::Prepared;
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
    row_hint: Option<Scalar>,
    /// Of [`Output::Top`]: LIMIT and OFFSET.
    top: Option<(Scalar, Option<Scalar>)>,
}

impl RemoteSource {
    fn new(chain: Chain<'_>, output: Output) -> PgResult<RemoteSource> {
        let scan = chain.scan;
        let (table, index) = (&scan.table.descriptor, scan.index_descriptor());
        Ok(RemoteSource {
            encoder: KeyPrefixEncoder::new(table, index)?,
            spans: SpanSet::new(&scan.spans, index)?,
            row_hint: scan.row_hint.as_ref().map(Scalar::new).transpose()?,
            top: None,
            fragment: chain.into_fragment(output),
        })
    }

    /// Rows of a node, if other nodes can and should do something about them.
    pub fn rows(node: &PlanNode) -> PgResult<Option<RemoteSource>> {
        match Chain::of(node).filter(Chain::leaves_something_out) {
            Some(chain) => RemoteSource::new(chain, Output::Rows { limit: 0 }).map(Some),
            None => Ok(None),
        }
    }

    /// Partial states of an aggregation.
    pub fn aggregate(plan: &Aggregate) -> PgResult<Option<RemoteSource>> {
        if plan.sets.len() != 1 || plan.sets[0].len() != plan.keys.len() {
            return Ok(None);
        }
        match (Chain::of(&plan.input), groups(&plan.keys, &plan.aggregates)) {
            (Some(chain), Some(output)) => RemoteSource::new(chain, output).map(Some),
            _ => Ok(None),
        }
    }

    /// The first rows of an order from every page.
    pub fn top(plan: &TopN) -> PgResult<Option<RemoteSource>> {
        let Some(chain) = Chain::of(&plan.input) else { return Ok(None) };
        let mut source = RemoteSource::new(chain, Output::Top { keys: plan.keys.clone(), count: 0 })?;
        let offset = plan.offset.as_ref().map(Scalar::new).transpose()?;
        source.top = Some((Scalar::new(&plan.count)?, offset));
        Ok(Some(source))
    }

    /// Begins to read, if other nodes are to take part.
    pub async fn open(&self, run: &Run) -> ExecResult<Option<Gather>> {
        let context = &run.context;
        match context.distribution {
            Distribution::Off => return Ok(None),
            Distribution::On if context.db.is_alone() => return Ok(None),
            Distribution::On | Distribution::Always => {}
        }
        let Some(spans) = self.spans(run)? else { return Ok(None) };
        if context.distribution == Distribution::On && !lies_elsewhere(&spans, run).await? {
            return Ok(None);
        }
        match self.job(spans, run)? {
            Some(job) => Gather::begin(job, run).await,
            None => Ok(None),
        }
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
            Output::Rows { limit } => *limit = hint.unwrap_or(0),
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
        let fragment = Arc::new(Prepared::new(&fragment)?);
        // As the usual scan: with a filter the hint says little.
        let page_rows = hint.map_or(0, |hint| hint.clamp(64, BATCH_ROWS_MAX as u64));
        Ok(Some(Job { fragment, program, spans, hint, page_rows }))
    }
}

/// Whether some range of the spans is leased to another node.
async fn lies_elsewhere(spans: &[Span], run: &Run) -> ExecResult<bool> {
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
        Box::new(RemoteOperator { node: self, way: Way::Open })
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
            self.way = match self.node.source.open(run).await? {
                Some(gather) => Way::Gather(Box::new(gather)),
                None => Way::Usual(self.node.usual.clone().open()),
            };
        }
        match &mut self.way {
            Way::Gather(gather) => gather.next(run).await,
            Way::Usual(usual) => usual.next(run).await,
            Way::Open => Ok(None),
        }
    }
}
