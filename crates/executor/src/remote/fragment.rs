//! Fragments: what is done to a scan's rows where they lie, as expressions.

use expr::aggregate::merges_exactly;
use expr::{Aggregate, EvalContext, Expr};
use planner::Table;
use planner::plan::{Operator, PlanNode, SortKey, TableScan};
use types::PgResult;
use types::descriptor::{ColumnDescriptor, ColumnId, IndexDescriptor, TableDescriptor};
use types::row::RowDecoder;

use super::sendable::{is_sendable, with_values};

/// - Columns of expressions are positions in what the step before gives; of the first, in `relation.columns`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fragment {
    pub relation: Relation,
    pub steps: Vec<Step>,
    pub output: Output,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Filter(Expr),
    Project(Vec<Expr>),
}

/// What becomes of the rows that are left.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Output {
    /// They are the answer. Not more than `limit` are wanted in all; 0: no bound.
    Rows { limit: u64 },
    /// Keys, then partial states. Of calls for which [`merges_exactly`] holds.
    Groups { keys: Vec<Expr>, calls: Vec<Aggregate> },
    /// The first `count` in this order.
    Top { keys: Vec<SortKey>, count: u64 },
}

/// More rows than this are not kept where they lie: all are sent.
pub(super) const TOP_ROWS_MAX: u64 = 10_000;

/// The entries of an index, as far as decoding them goes.
///
/// - `table` has the columns of `columns` and those of keys, and `index` alone of its secondary indexes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    pub table: TableDescriptor,
    pub is_secondary: bool,
    pub columns: Vec<ColumnId>,
}

impl Relation {
    /// Of a table's index: its position in [`TableDescriptor::all_indexes`].
    pub fn of(table: &Table, index: u32, columns: &[ColumnId]) -> Relation {
        let (whole, is_secondary) = (&table.descriptor, index != 0);
        let index = table.index_at(index);
        let keys = |index: &IndexDescriptor| -> Vec<ColumnId> {
            let key = index.columns.iter().map(|column| column.column);
            key.chain(index.included.iter().copied()).collect()
        };
        let mut needed = columns.to_vec();
        needed.extend(keys(index));
        needed.extend(keys(&whole.primary));
        let kept = whole.columns.iter().filter(|column| needed.contains(&column.id));
        let mut table = TableDescriptor::bare(whole.storage_id, bare_index(&whole.primary));
        table.name.clone_from(&whole.name);
        table.columns = kept
            .map(|column| ColumnDescriptor {
                missing_value: column.missing_value.clone(),
                ..ColumnDescriptor::bare(column.id, &column.name, column.column_type)
            })
            .collect();
        if is_secondary {
            table.indexes = vec![bare_index(index)];
        }
        Relation { table, is_secondary, columns: columns.to_vec() }
    }

    pub fn decoder(&self) -> PgResult<RowDecoder> {
        let index = if self.is_secondary { self.table.indexes.first() } else { None };
        RowDecoder::new(&self.table, index.unwrap_or(&self.table.primary), &self.columns)
    }
}

/// An index with what decoding needs.
fn bare_index(index: &IndexDescriptor) -> IndexDescriptor {
    IndexDescriptor {
        included: index.included.clone(),
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        ..IndexDescriptor::bare(&index.name, index.storage_index, index.columns.clone())
    }
}

/// The columns of the primary key, in its order.
pub(super) fn key_columns(table: &TableDescriptor) -> Vec<ColumnId> {
    table.primary.columns.iter().map(|column| column.column).collect()
}

/// A scan and what stands on it in a plan, up to where a fragment may end.
pub(super) struct Chain<'a> {
    pub scan: &'a TableScan,
    pub steps: Vec<Step>,
}

/// Whether other nodes may have a part in a scan. Those that lock look at rows again, and single rows are read otherwise.
pub(super) fn is_plain(scan: &TableScan) -> bool {
    scan.lock.is_none() && !scan.single_row
}

impl<'a> Chain<'a> {
    /// `None`: the node is no such scan, or something of it must stay here.
    pub fn of(node: &'a PlanNode) -> Option<Chain<'a>> {
        match &node.operator {
            Operator::TableScan(scan) => {
                let steps = match &scan.filter {
                    Some(filter) if !is_sendable(filter) => return None,
                    filter => filter.iter().cloned().map(Step::Filter).collect(),
                };
                is_plain(scan).then_some(Chain { scan, steps })
            }
            Operator::Filter(filter) if is_sendable(&filter.condition) => {
                let mut chain = Chain::of(&filter.input)?;
                chain.steps.push(Step::Filter(filter.condition.clone()));
                Some(chain)
            }
            Operator::Project(project) if project.expressions.iter().all(is_sendable) => {
                let mut chain = Chain::of(&project.input)?;
                chain.steps.push(Step::Project(project.expressions.clone()));
                Some(chain)
            }
            _ => None,
        }
    }

    /// Whether less is sent than is read: rows or columns are left out. Of scans whose entries are what is asked for.
    pub fn leaves_something_out(&self) -> bool {
        let index = self.scan.index_descriptor();
        let stored = match self.scan.index {
            0 => self.scan.table.descriptor.columns.len(),
            _ => index.columns.len() + index.included.len(),
        };
        !self.steps.is_empty() || self.scan.columns.len() < stored
    }

    pub fn into_fragment(self, output: Output) -> Fragment {
        let scan = self.scan;
        let relation = Relation::of(&scan.table, scan.index, &scan.columns);
        Fragment { relation, steps: self.steps, output }
    }
}

/// The aggregation over partial states, if it can be one.
pub(super) fn groups(keys: &[Expr], calls: &[Aggregate]) -> Option<Output> {
    let sendable = |call: &Aggregate| {
        merges_exactly(call)
            && call.arguments.iter().all(is_sendable)
            && call.filter.as_ref().is_none_or(is_sendable)
    };
    let all = keys.iter().all(is_sendable) && calls.iter().all(sendable);
    all.then(|| Output::Groups { keys: keys.to_vec(), calls: calls.to_vec() })
}

/// Whether rows may be left out.
pub(super) fn is_sifting(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Filter(_)))
}

impl Fragment {
    pub fn is_sifted(&self) -> bool {
        is_sifting(&self.steps)
    }

    /// The same with values in place of what has no column. `None`: some such part fails.
    pub fn with_values(&self, context: &EvalContext<'_>) -> Option<Fragment> {
        let value = |expr: &Expr| with_values(expr, context);
        let values = |list: &[Expr]| list.iter().map(value).collect::<Option<Vec<Expr>>>();
        let steps = self.steps.iter().map(|step| {
            Some(match step {
                Step::Filter(condition) => Step::Filter(value(condition)?),
                Step::Project(expressions) => Step::Project(values(expressions)?),
            })
        });
        let output = match &self.output {
            Output::Groups { keys, calls } => {
                let calls = calls.iter().map(|call| {
                    let filter = match &call.filter {
                        Some(filter) => Some(value(filter)?),
                        None => None,
                    };
                    Some(Aggregate { arguments: values(&call.arguments)?, filter, ..call.clone() })
                });
                Output::Groups { keys: values(keys)?, calls: calls.collect::<Option<_>>()? }
            }
            other => other.clone(),
        };
        Some(Fragment { relation: self.relation.clone(), steps: steps.collect::<Option<_>>()?, output })
    }
}
