//! EXPLAIN: which node does what.

use std::collections::BTreeMap;

use keys::{NodeId, Span};
use planner::plan::{LookupJoin, Operator, PlanNode};

use super::Distribution;
use super::fragment::{Chain, Output, is_sifting};
use super::lookup::LookupSource;
use super::rows::FetchSource;
use super::source::RemoteSource;
use crate::context::ExecContext;
use crate::error::ExecResult;
use crate::operator::Run;
use types::Datum;

/// Lines for nodes of a plan.
///
/// - By address: a plan that is being explained does not move.
#[derive(Default)]
pub struct Outline(BTreeMap<usize, String>);

impl Outline {
    /// The line that stands under a node.
    pub fn line(&self, node: &PlanNode) -> Option<&str> {
        self.0.get(&address(node)).map(String::as_str)
    }
}

fn address(node: &PlanNode) -> usize {
    std::ptr::from_ref(node) as usize
}

/// Where the parts of a plan would run now. Empty on a node that stands alone, and when nothing is to run elsewhere.
pub async fn outline(root: &PlanNode, context: &ExecContext, slots: usize) -> ExecResult<Outline> {
    let mut outline = Outline::default();
    if context.distribution == Distribution::Off || context.db.is_alone() {
        return Ok(outline);
    }
    let run = Run::new(context.clone(), vec![Datum::Null; slots]);
    let mut rest = vec![root];
    while let Some(node) = rest.pop() {
        if let Operator::LookupJoin(join) = &node.operator {
            if let Some(line) = lookups(join, &run).await {
                outline.0.insert(address(node), line);
            }
            rest.extend(node.inputs());
            continue;
        }
        if let Some(fetch) = FetchSource::of(node) {
            if let Some(line) = fetches(&fetch, &run).await {
                outline.0.insert(address(scan_of(node)), line);
            }
            continue;
        }
        // What is above a fragment has it in itself: nodes below are not looked at again.
        let (source, inside) = match &node.operator {
            Operator::Aggregate(plan) => (RemoteSource::aggregate(plan)?, &plan.input),
            Operator::TopN(plan) => (RemoteSource::top(plan)?, &plan.input),
            _ => (RemoteSource::rows(node)?, node),
        };
        let Some(source) = source else {
            rest.extend(node.inputs());
            continue;
        };
        // What fails here fails when the statement runs, if it comes to that.
        let Ok(Some(spans)) = source.spans(&run) else { continue };
        let Ok(Some([nodes])) = leaseholders([&spans[..]], &run).await else { continue };
        let line = format!("Runs on: {nodes}: {}", duties(&source, inside).join(", "));
        let under = if matches!(node.operator, Operator::Aggregate(_)) { node } else { scan_of(inside) };
        outline.0.insert(address(under), line);
    }
    Ok(outline)
}

/// The line under a lookup join.
async fn lookups(join: &LookupJoin, run: &Run) -> Option<String> {
    let source = LookupSource::of(join).ok()??;
    let (spans, is_sifted) = source.outline().ok()?;
    let sifted = if is_sifted { ", filter" } else { "" };
    match spans {
        [index, rows] => {
            let spans = [std::slice::from_ref(index), std::slice::from_ref(rows)];
            let [index, rows] = leaseholders(spans, run).await.ok()??;
            Some(format!("Runs on: {index}: lookup; {rows}: fetch{sifted}, projection"))
        }
        index => {
            let [index] = leaseholders([index], run).await.ok()??;
            Some(format!("Runs on: {index}: lookup{sifted}, projection"))
        }
    }
}

/// The line under an index scan that fetches rows.
async fn fetches(source: &FetchSource, run: &Run) -> Option<String> {
    let (spans, rows, steps) = source.outline(run).ok()??;
    let [index, rows] = leaseholders([&spans[..], rows], run).await.ok()??;
    let sifted = if is_sifting(steps) { ", filter" } else { "" };
    Some(format!("Runs on: {index}: scan; {rows}: fetch{sifted}, projection"))
}

/// Ranges of each of some spans by leaseholder, in words. `None`: all are read the usual way.
async fn leaseholders<const N: usize>(spans: [&[Span]; N], run: &Run) -> ExecResult<Option<[String; N]>> {
    let db = &run.context.db;
    let mut is_elsewhere = false;
    let mut texts = [const { String::new() }; N];
    for (text, spans) in texts.iter_mut().zip(spans) {
        let mut nodes: BTreeMap<NodeId, u64> = BTreeMap::new();
        for span in spans {
            let mut key = span.start.clone();
            while key < span.end {
                let place = db.locate(&key).await?;
                *nodes.entry(place.node).or_default() += 1;
                key = place.span.end;
            }
        }
        is_elsewhere |= nodes.keys().any(|node| *node != db.node());
        *text = ranges_text(&nodes);
    }
    Ok(is_elsewhere.then_some(texts))
}

fn ranges_text(nodes: &BTreeMap<NodeId, u64>) -> String {
    let one = |(node, count): (&NodeId, &u64)| {
        format!("node {node} ({count} range{})", if *count == 1 { "" } else { "s" })
    };
    nodes.iter().map(one).collect::<Vec<String>>().join(", ")
}

fn scan_of(node: &PlanNode) -> &PlanNode {
    match &node.operator {
        Operator::Filter(filter) => scan_of(&filter.input),
        Operator::Project(project) => scan_of(&project.input),
        _ => node,
    }
}

/// What is done where the rows lie.
fn duties(source: &RemoteSource, inside: &PlanNode) -> Vec<&'static str> {
    let steps = Chain::of(inside).map(|chain| chain.steps).unwrap_or_default();
    let mut duties = Vec::new();
    if is_sifting(&steps) {
        duties.push("filter");
    }
    match source.output() {
        Output::Rows { .. } => duties.push("projection"),
        Output::Groups { .. } => duties.push("partial aggregate"),
        Output::Top { .. } => duties.push("top-k"),
    }
    duties
}
