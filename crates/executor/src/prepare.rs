//! From a plan to what can be opened: done once per plan and kept beside it.

use std::sync::Arc;

use planner::Plan;
use planner::plan::{Operator, PlanNode, SubqueryResult};
use types::{DataType, PgError, PgResult};

use crate::operator::NodeRef;
use crate::operators::*;
use crate::point::{PointRead, PointReadNode};
use crate::program::Projection;
use crate::remote::{RemoteNode, RemoteSource, RowSource};
use crate::write::{DeleteNode, InsertNode, UpdateNode, WrittenTables};
use expr::Program;

/// A plan ready to be executed any number of times, also at the same time.
pub(crate) struct PreparedPlan {
    pub root: PreparedRoot,
    pub slot_count: usize,
    pub cte_count: usize,
}

pub(crate) enum PreparedRoot {
    /// A point read and what is made of its row: no operators at all.
    Point {
        read: Arc<PointRead>,
        projection: Option<Arc<Projection>>,
    },
    Tree(NodeRef),
}

impl PreparedPlan {
    pub fn of(plan: &Plan) -> PgResult<Arc<PreparedPlan>> {
        plan.prepared.get_or_make(|| PreparedPlan::new(plan))
    }

    fn new(plan: &Plan) -> PgResult<PreparedPlan> {
        let mut written = WrittenTables::default();
        collect_written(&plan.root, &mut written);
        let preparer = Preparer { written };
        let root = match preparer.point(&plan.root)? {
            Some(point) => point,
            None => PreparedRoot::Tree(preparer.node(&plan.root, true)?),
        };
        Ok(PreparedPlan { root, slot_count: plan.slot_count as usize, cte_count: plan.cte_count as usize })
    }
}

/// The tables that any INSERT, UPDATE or DELETE of the plan writes.
fn collect_written(node: &PlanNode, written: &mut WrittenTables) {
    let table = match &node.operator {
        Operator::Insert(insert) => Some(&insert.table),
        Operator::Update(update) => Some(&update.table),
        Operator::Delete(delete) => Some(&delete.table),
        _ => None,
    };
    if let Some(table) = table {
        written.0.push(table.descriptor.id);
    }
    for input in node.inputs() {
        collect_written(input, written);
    }
}

/// Types of a node's columns.
pub(crate) fn types_of(node: &PlanNode) -> Vec<DataType> {
    node.columns.iter().map(|column| column.column_type.data_type).collect()
}

/// The usual node, or rows from other nodes where they can take part.
fn rows(source: Option<RowSource>, usual: NodeRef) -> NodeRef {
    match source {
        Some(source) => source.node(usual),
        None => usual,
    }
}

/// The usual node, with other nodes in its place where they can take part.
fn either(source: Option<RemoteSource>, usual: NodeRef) -> NodeRef {
    match source {
        Some(source) => Arc::new(RemoteNode { source, usual }),
        None => usual,
    }
}

struct Preparer {
    written: WrittenTables,
}

impl Preparer {
    fn point(&self, root: &PlanNode) -> PgResult<Option<PreparedRoot>> {
        let (scan, projection) = match &root.operator {
            Operator::TableScan(scan) => (scan, None),
            Operator::Project(project) => match &project.input.operator {
                Operator::TableScan(scan) => (scan, Some(&project.expressions)),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(read) = PointRead::new(scan)? else { return Ok(None) };
        let projection = projection.map(|list| Projection::new(list)).transpose()?.map(Arc::new);
        Ok(Some(PreparedRoot::Point { read: Arc::new(read), projection }))
    }

    /// Prepares a node. `counts`: rows that it writes are those of the command tag.
    fn node(&self, node: &PlanNode, counts: bool) -> PgResult<NodeRef> {
        use Operator::*;
        Ok(match &node.operator {
            TableScan(scan) => match PointRead::new(scan)? {
                Some(read) => Arc::new(PointReadNode(read)),
                None => {
                    let usual = Arc::new(TableScanNode::new(scan)?);
                    rows(RowSource::of(node)?, usual)
                }
            },
            Values(values) => Arc::new(ValuesNode::new(values, &node.columns)?),
            Feed(_) => Arc::new(FeedNode {}),
            CteScan(scan) => Arc::new(CteScanNode { cte: scan.cte as usize }),
            WorkTableScan(scan) => Arc::new(WorkTableScanNode { cte: scan.cte as usize }),
            Filter(filter) => {
                let remote = RowSource::of(node)?;
                let condition = Program::new(&filter.condition)?;
                let usual: NodeRef =
                    Arc::new(FilterNode { input: self.input(&filter.input, remote.is_some())?, condition });
                rows(remote, usual)
            }
            Project(project) => {
                let remote = RowSource::of(node)?;
                let projection = Projection::new(&project.expressions)?;
                let usual: NodeRef = Arc::new(ProjectNode {
                    input: self.input(&project.input, remote.is_some())?,
                    projection,
                });
                rows(remote, usual)
            }
            Limit(limit) => Arc::new(LimitNode::new(limit, self.node(&limit.input, false)?)?),
            Append(append) => Arc::new(AppendNode {
                inputs: append.inputs.iter().map(|input| self.node(input, false)).collect::<PgResult<_>>()?,
            }),
            Insert(insert) => {
                let source = self.node(&insert.source, false)?;
                Arc::new(InsertNode::new(insert, source, &self.written, counts)?)
            }
            Update(update) => {
                let source = self.node(&update.source, false)?;
                Arc::new(UpdateNode::new(update, source, &self.written, counts)?)
            }
            Delete(delete) => Arc::new(DeleteNode::new(delete, self.node(&delete.source, false)?, counts)?),
            _ => return self.other_node(node, counts),
        })
    }

    fn other_node(&self, node: &PlanNode, counts: bool) -> PgResult<NodeRef> {
        use Operator::*;
        Ok(match &node.operator {
            With(with) => {
                let tables = with.tables.iter().map(|table| {
                    Ok(PreparedTable {
                        cte: table.cte as usize,
                        types: types_of(&table.plan),
                        node: self.node(&table.plan, false)?,
                        modifies: table.modifies,
                    })
                });
                Arc::new(WithNode {
                    tables: tables.collect::<PgResult<_>>()?,
                    body: self.node(&with.body, counts)?,
                })
            }
            RecursiveUnion(union) => Arc::new(RecursiveUnionNode {
                cte: union.cte as usize,
                types: types_of(node),
                initial: self.node(&union.initial, false)?,
                step: self.node(&union.step, false)?,
                distinct: union.distinct,
            }),
            InitPlan(init) => {
                let subqueries = init.subqueries.iter().map(|subquery| {
                    let first = subquery.plan.columns.first().map(|column| column.column_type.data_type);
                    let data_type = match (subquery.result, first) {
                        (SubqueryResult::Exists, _) => DataType::Bool,
                        (SubqueryResult::Scalar, Some(first)) => first,
                        (SubqueryResult::Array, Some(first)) => DataType::array_of(first),
                        (_, None) => return Err(PgError::internal("a subquery without a column")),
                    };
                    Ok(InitSubqueryNode {
                        slot: subquery.slot as usize,
                        subquery: Subquery { result: subquery.result, data_type },
                        node: self.node(&subquery.plan, false)?,
                    })
                });
                Arc::new(InitPlanNode {
                    subqueries: subqueries.collect::<PgResult<_>>()?,
                    body: self.node(&init.body, counts)?,
                })
            }
            VirtualScan(scan) => Arc::new(VirtualScanNode::new(scan)?),
            FunctionScan(scan) => Arc::new(FunctionScanNode::new(scan)?),
            ProjectSet(set) => Arc::new(ProjectSetNode::new(set, self.node(&set.input, false)?)?),
            Deferred(deferred) => Arc::new(DeferredNode::new(deferred, self.node(&deferred.input, false)?)?),
            LockRows(lock) => Arc::new(LockRowsNode::new(lock, self.node(&lock.input, false)?)?),
            _ => return self.relational_node(node),
        })
    }

    fn relational_node(&self, node: &PlanNode) -> PgResult<NodeRef> {
        use Operator::*;
        let types = types_of(node);
        Ok(match &node.operator {
            Sort(sort) => Arc::new(SortNode::new(sort, self.node(&sort.input, false)?, types)),
            TopN(top) => {
                let remote = RemoteSource::top(top)?;
                let usual = self.input(&top.input, remote.is_some())?;
                Arc::new(TopNNode::new(top, either(remote, usual), types)?)
            }
            Distinct(distinct) => {
                Arc::new(DistinctNode::new(distinct, self.node(&distinct.input, false)?, types))
            }
            Aggregate(plan) => {
                let remote = RemoteSource::aggregate(plan)?;
                let input = self.input(&plan.input, remote.is_some())?;
                Arc::new(AggregateNode::new(plan, input, remote)?)
            }
            Window(window) => {
                let input_types = types_of(&window.input);
                Arc::new(WindowNode::new(window, self.node(&window.input, false)?, input_types)?)
            }
            SetOperation(plan) => {
                let (left, right) = (self.node(&plan.left, false)?, self.node(&plan.right, false)?);
                Arc::new(SetOperationNode::new(plan, left, right, types))
            }
            HashJoin(join) => {
                Arc::new(HashJoinNode::new(join, self.side(&join.left)?, self.side(&join.right)?)?)
            }
            NestedLoopJoin(join) => {
                Arc::new(NestedLoopJoinNode::new(join, self.side(&join.left)?, self.side(&join.right)?)?)
            }
            LookupJoin(join) => {
                let (left, left_types) = self.side(&join.left)?;
                Arc::new(LookupJoinNode::new(join, left, left_types)?)
            }
            Apply(apply) => {
                let (left, right) = (self.side(&apply.left)?, self.side(&apply.right)?);
                Arc::new(ApplyNode::new(apply, left, right, types.last().copied())?)
            }
            other => {
                return Err(PgError::internal(format!("an operator is not prepared: {other:?}")));
            }
        })
    }

    /// An input. `is_inside`: what stands on it decides about both whether other nodes take part.
    fn input(&self, node: &PlanNode, is_inside: bool) -> PgResult<NodeRef> {
        use Operator::*;
        Ok(match &node.operator {
            TableScan(scan) if is_inside => Arc::new(TableScanNode::new(scan)?),
            Filter(filter) if is_inside => Arc::new(FilterNode {
                input: self.input(&filter.input, true)?,
                condition: Program::new(&filter.condition)?,
            }),
            Project(project) if is_inside => Arc::new(ProjectNode {
                input: self.input(&project.input, true)?,
                projection: Projection::new(&project.expressions)?,
            }),
            _ => return self.node(node, false),
        })
    }

    /// An input of a join with the types of its columns.
    fn side(&self, node: &PlanNode) -> PgResult<(NodeRef, Vec<DataType>)> {
        Ok((self.node(node, false)?, types_of(node)))
    }
}
