//! Fragments: what is done to a scan's rows where they lie, as expressions.

use expr::aggregate::merges_exactly;
use expr::{Aggregate, EvalContext, Expr};
use planner::plan::{Operator, PlanNode, SortKey, TableScan};
use types::PgResult;
use types::descriptor::{
    ColumnDescriptor, ColumnId, DescriptorVersion, ElementState, IndexDescriptor, Oid, TableDescriptor,
};
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
    fn of(scan: &TableScan) -> Relation {
        let (whole, index) = (&scan.table.descriptor, scan.index_descriptor());
        let is_secondary = scan.index != 0;
        let keys = |index: &IndexDescriptor| -> Vec<ColumnId> {
            let key = index.columns.iter().map(|column| column.column);
            key.chain(index.included.iter().copied()).collect()
        };
        let mut needed = scan.columns.clone();
        needed.extend(keys(index));
        needed.extend(keys(&whole.primary));
        let columns = whole.columns.iter().filter(|column| needed.contains(&column.id));
        let mut table = bare_table(whole.storage_id, bare_index(&whole.primary));
        table.name.clone_from(&whole.name);
        table.columns = columns
            .map(|column| ColumnDescriptor {
                missing_value: column.missing_value.clone(),
                ..bare_column(column.id, &column.name, column.column_type)
            })
            .collect();
        if is_secondary {
            table.indexes = vec![bare_index(index)];
        }
        Relation { table, is_secondary, columns: scan.columns.clone() }
    }

    pub fn decoder(&self) -> PgResult<RowDecoder> {
        let index = if self.is_secondary { self.table.indexes.first() } else { None };
        RowDecoder::new(&self.table, index.unwrap_or(&self.table.primary), &self.columns)
    }
}

/// A column with what decoding needs.
pub(super) fn bare_column(id: ColumnId, name: &str, column_type: types::ColumnType) -> ColumnDescriptor {
    ColumnDescriptor {
        id,
        name: name.to_string(),
        column_type,
        not_null: false,
        default: None,
        missing_value: None,
        generated: None,
        identity: None,
        owned_sequence: None,
        hidden: false,
        state: ElementState::Public,
        comment: None,
        acl: Default::default(),
        collation: None,
    }
}

/// An index with what decoding needs.
pub(super) fn bare_index(index: &IndexDescriptor) -> IndexDescriptor {
    IndexDescriptor {
        id: Oid(0),
        name: index.name.clone(),
        storage_index: index.storage_index,
        columns: index.columns.clone(),
        included: index.included.clone(),
        unique: index.unique,
        nulls_not_distinct: index.nulls_not_distinct,
        constraint: None,
        predicate: None,
        state: ElementState::Public,
        comment: None,
        deferrable: false,
        initially_deferred: false,
        options: Default::default(),
    }
}

/// A table without columns and secondary indexes.
pub(super) fn bare_table(storage_id: u32, primary: IndexDescriptor) -> TableDescriptor {
    TableDescriptor {
        id: Oid(0),
        database: Oid(0),
        schema: Oid(0),
        name: String::new(),
        version: DescriptorVersion(0),
        owner: String::new(),
        storage_id,
        columns: Vec::new(),
        next_column_id: 0,
        primary,
        indexes: Vec::new(),
        next_storage_index: 0,
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        comment: None,
        on_commit: Default::default(),
        acl: Default::default(),
        constraint_comments: Default::default(),
        options: Default::default(),
    }
}

/// A scan and what stands on it in a plan, up to where a fragment may end.
pub(super) struct Chain<'a> {
    pub scan: &'a TableScan,
    pub steps: Vec<Step>,
}

impl<'a> Chain<'a> {
    /// `None`: the node is no such scan, or something of it must stay here.
    pub fn of(node: &'a PlanNode) -> Option<Chain<'a>> {
        match &node.operator {
            Operator::TableScan(scan) => {
                let is_plain = scan.lock.is_none() && !scan.fetch_row && !scan.reverse && !scan.single_row;
                let steps = match &scan.filter {
                    Some(filter) if !is_sendable(filter) => return None,
                    filter => filter.iter().cloned().map(Step::Filter).collect(),
                };
                is_plain.then_some(Chain { scan, steps })
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

    /// Whether less is sent than is read: rows or columns are left out.
    pub fn leaves_something_out(&self) -> bool {
        let index = self.scan.index_descriptor();
        let stored = match self.scan.index {
            0 => self.scan.table.descriptor.columns.len(),
            _ => index.columns.len() + index.included.len(),
        };
        !self.steps.is_empty() || self.scan.columns.len() < stored
    }

    pub fn into_fragment(self, output: Output) -> Fragment {
        Fragment { relation: Relation::of(self.scan), steps: self.steps, output }
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

impl Fragment {
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
