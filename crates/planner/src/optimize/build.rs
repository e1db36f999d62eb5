//! The builder: layouts, placing expressions, and the dispatch over operators.

use std::collections::BTreeMap;

use expr::Expr;
use types::{PgError, PgResult};

use crate::catalog::Catalog;
use crate::logical::{ColumnNumber, ColumnSet, Columns, Relational, SortKey};
use crate::options::PlanOptions;
use crate::plan::{self, Estimate, Operator, PlanColumn, PlanNode};

/// A physical node with its layout.
pub(crate) struct Built {
    pub node: PlanNode,
    /// The column at each position.
    pub layout: Vec<ColumnNumber>,
    /// The order in which rows come, as far as it is promised.
    pub order: Vec<SortKey>,
}

impl Built {
    pub fn position(&self, column: ColumnNumber) -> Option<u32> {
        self.layout.iter().position(|other| *other == column).map(|at| at as u32)
    }

    pub fn rows(&self) -> f64 {
        self.node.estimate.rows
    }

    /// The node, known to give its rows in this order.
    pub fn in_order(mut self, order: Vec<SortKey>) -> Built {
        self.order = order;
        self
    }

    /// Do rows come sorted by `keys`?
    pub fn is_sorted_by(&self, keys: &[SortKey]) -> bool {
        self.order.len() >= keys.len() && self.order.iter().zip(keys).all(|(have, want)| have == want)
    }
}

/// See the module.
///
/// - `outer` holds the columns of enclosing rows that are in slots while the inner side of an Apply is built.
pub(crate) struct Builder<'a> {
    pub columns: &'a Columns,
    pub slot_count: u32,
    pub catalog: &'a dyn Catalog,
    pub options: &'a PlanOptions,
    pub outer: BTreeMap<ColumnNumber, u32>,
    /// Rows of each common table.
    pub common_tables: BTreeMap<u32, f64>,
    /// The order in which the scan whose first column this is should read.
    pub scan_order: Option<(ColumnNumber, Vec<SortKey>)>,
    /// The scan (by its first column) of which not more rows than these will be asked for.
    pub scan_goal: Option<(ColumnNumber, f64)>,
    /// While joins are built for their first rows in order: how many rows of their left sides are likely to be needed.
    pub join_goal: Option<f64>,
}

impl<'a> Builder<'a> {
    pub fn new(
        columns: &'a Columns,
        slot_count: u32,
        catalog: &'a dyn Catalog,
        options: &'a PlanOptions,
    ) -> Self {
        Builder {
            columns,
            slot_count,
            catalog,
            options,
            outer: BTreeMap::new(),
            common_tables: BTreeMap::new(),
            scan_order: None,
            scan_goal: None,
            join_goal: None,
        }
    }

    pub fn new_slot(&mut self) -> u32 {
        self.slot_count += 1;
        self.slot_count - 1
    }

    /// Builds a node that produces at least `required` (as far as they are its columns).
    pub fn build(&mut self, relational: Relational, required: &ColumnSet) -> PgResult<Built> {
        match relational {
            Relational::Scan(_) | Relational::Filter(_) => self.filter(relational, required),
            Relational::VirtualScan(scan) => self.virtual_scan(*scan, Vec::new()),
            Relational::FunctionScan(scan) => self.function_scan(*scan),
            Relational::Values(values) => self.values(*values),
            Relational::CteScan(scan) => self.cte_scan(*scan),
            Relational::Feed(feed) => self.feed(*feed),
            Relational::Extend(extend) => self.extend(*extend, required),
            Relational::Join(join) => self.join(*join, required),
            Relational::Aggregate(aggregate) => self.aggregate(*aggregate, required),
            Relational::Window(window) => self.window(*window, required),
            Relational::ProjectSet(project) => self.project_set(*project, required),
            Relational::Deferred(deferred) => self.deferred(*deferred, required),
            Relational::Distinct(distinct) => self.distinct(*distinct, required),
            Relational::Sort(sort) => self.sort(*sort, required, None),
            Relational::Limit(limit) => self.limit(*limit, required),
            Relational::LockRows(lock) => self.lock_rows(*lock, required),
            Relational::SetOperation(operation) => self.set_operation(*operation),
            Relational::RecursiveUnion(union) => self.recursive_union(*union),
            Relational::With(with) => self.with(*with, required),
            Relational::InitPlan(init) => self.init_plan(*init, required),
            Relational::Insert(insert) => self.insert(*insert, required),
            Relational::Update(update) => self.update(*update, required),
            Relational::Delete(delete) => self.delete(*delete, required),
        }
    }

    /// A node with the given layout.
    pub fn node(&self, operator: Operator, layout: Vec<ColumnNumber>, estimate: Estimate) -> Built {
        let columns = layout.iter().map(|column| self.plan_column(*column)).collect();
        Built { node: PlanNode { operator, columns, estimate }, layout, order: Vec::new() }
    }

    pub fn plan_column(&self, column: ColumnNumber) -> PlanColumn {
        let info = self.columns.get(column);
        PlanColumn { name: info.name.clone(), column_type: info.column_type }
    }

    /// The expression over positions of `layout`; columns of enclosing rows become slots.
    pub fn place(&self, mut expression: Expr, layout: &[ColumnNumber]) -> PgResult<Expr> {
        self.place_in(&mut expression, layout)?;
        Ok(expression)
    }

    fn place_in(&self, expression: &mut Expr, layout: &[ColumnNumber]) -> PgResult<()> {
        if let Expr::Column { index, data_type } = expression {
            if let Some(at) = layout.iter().position(|column| column == index) {
                *index = at as u32;
            } else if let Some(slot) = self.outer.get(index) {
                *expression = Expr::Slot { index: *slot, data_type: *data_type };
            } else {
                let name = &self.columns.get(*index).name;
                return Err(PgError::internal(format!("column \"{name}\" is not where it is used")));
            }
            return Ok(());
        }
        let mut result = Ok(());
        expression.for_each_child_mut(&mut |child| {
            if result.is_ok() {
                result = self.place_in(child, layout);
            }
        });
        result
    }

    pub fn place_all(&self, expressions: Vec<Expr>, layout: &[ColumnNumber]) -> PgResult<Vec<Expr>> {
        expressions.into_iter().map(|expression| self.place(expression, layout)).collect()
    }

    /// The conjunction of conditions over `layout`.
    pub fn place_and(&self, conditions: Vec<Expr>, layout: &[ColumnNumber]) -> PgResult<Option<Expr>> {
        Ok(crate::logical::and(self.place_all(conditions, layout)?))
    }

    pub fn place_key(&self, key: crate::logical::SortKey, built: &Built) -> PgResult<plan::SortKey> {
        let column = built.position(key.column);
        let column = column.ok_or_else(|| PgError::internal("a sort key is not among the columns sorted"))?;
        Ok(plan::SortKey { column, descending: key.descending, nulls_first: key.nulls_first })
    }

    /// Makes the columns exactly `output`, in order.
    pub fn project_to(&self, built: Built, output: &[ColumnNumber]) -> PgResult<PlanNode> {
        if built.layout == output {
            return Ok(built.node);
        }
        let expressions = output
            .iter()
            .map(|column| self.place(self.columns.expr(*column), &built.layout))
            .collect::<PgResult<Vec<Expr>>>()?;
        let estimate = built.node.estimate;
        let places: Option<Vec<usize>> =
            output.iter().map(|column| built.layout.iter().position(|at| at == column)).collect();
        let input = match (built.node.operator, places) {
            // Constant rows are put in place as they are.
            (Operator::Values(mut values), Some(places)) => {
                for row in &mut values.rows {
                    *row = places.iter().map(|at| row[*at].clone()).collect();
                }
                return Ok(self.node(Operator::Values(values), output.to_vec(), estimate).node);
            }
            (operator, _) => PlanNode { operator, columns: built.node.columns, estimate },
        };
        let project = plan::Project { input, expressions };
        Ok(self.node(Operator::Project(Box::new(project)), output.to_vec(), estimate).node)
    }

    /// Makes sure that `columns` are among the node's columns, taking those of enclosing rows from their slots.
    pub fn with_columns(&self, built: Built, columns: &[ColumnNumber]) -> PgResult<Built> {
        let missing: Vec<ColumnNumber> =
            columns.iter().copied().filter(|column| built.position(*column).is_none()).collect();
        if missing.is_empty() {
            return Ok(built);
        }
        let layout: Vec<ColumnNumber> = built.layout.iter().copied().chain(missing).collect();
        let order = built.order.clone();
        let node = self.project_to(built, &layout)?;
        Ok(Built { node, layout, order })
    }
}
