//! Walking relational and scalar expressions.

use super::*;

/// Adds every column that the expression uses.
pub fn collect_columns(expression: &Expr, columns: &mut ColumnSet) {
    if let Expr::Column { index, .. } = expression {
        columns.insert(*index);
    }
    expression.for_each_child(&mut |child| collect_columns(child, columns));
}

/// The columns that an expression uses.
pub fn columns_of(expression: &Expr) -> ColumnSet {
    let mut columns = ColumnSet::new();
    collect_columns(expression, &mut columns);
    columns
}

fn expression_uses_slot(expression: &Expr, slot: u32) -> bool {
    if let Expr::Slot { index, .. } = expression {
        return *index == slot;
    }
    let mut used = false;
    expression.for_each_child(&mut |child| used |= expression_uses_slot(child, slot));
    used
}

/// Replaces columns by expressions, all at once.
pub fn replace_columns(expression: &mut Expr, replacement: &dyn Fn(ColumnNumber) -> Option<Expr>) {
    if let Expr::Column { index, .. } = expression {
        if let Some(new) = replacement(*index) {
            *expression = new;
        }
        return;
    }
    expression.for_each_child_mut(&mut |child| replace_columns(child, replacement));
}

/// The operands of a conjunction, nested ones included.
pub fn split_conjunction(expression: Expr, into: &mut Vec<Expr>) {
    match expression {
        Expr::And(list) => list.into_iter().for_each(|operand| split_conjunction(operand, into)),
        other => into.push(other),
    }
}

pub fn conjuncts(expression: Expr) -> Vec<Expr> {
    let mut list = Vec::new();
    split_conjunction(expression, &mut list);
    list
}

/// The conjunction of a list; `None` for an empty one.
pub fn and(mut conditions: Vec<Expr>) -> Option<Expr> {
    match conditions.len() {
        0 => None,
        1 => conditions.pop(),
        _ => Some(Expr::And(conditions)),
    }
}

/// Are two expressions the same but for the places where they stand in the text?
pub fn same_expression(left: &Expr, right: &Expr) -> bool {
    let shallow = match (left, right) {
        (
            Expr::Call { function: a, data_type: x, arguments: m, .. },
            Expr::Call { function: b, data_type: y, arguments: n, .. },
        ) => a == b && x == y && m.len() == n.len(),
        (Expr::Cast { to: a, .. }, Expr::Cast { to: b, .. }) => a == b,
        (Expr::And(a), Expr::And(b)) | (Expr::Or(a), Expr::Or(b)) => a.len() == b.len(),
        (Expr::Not(_), Expr::Not(_)) => true,
        (Expr::IsNull { negated: a, .. }, Expr::IsNull { negated: b, .. }) => a == b,
        (Expr::IsBool { value: a, negated: x, .. }, Expr::IsBool { value: b, negated: y, .. }) => {
            a == b && x == y
        }
        (
            Expr::IsDistinctFrom { equal: a, negated: x, .. },
            Expr::IsDistinctFrom { equal: b, negated: y, .. },
        ) => a == b && x == y,
        (
            Expr::Case { operand: a, arms: x, otherwise: m, .. },
            Expr::Case { operand: b, arms: y, otherwise: n, .. },
        ) => a.is_some() == b.is_some() && x.len() == y.len() && m.is_some() == n.is_some(),
        (Expr::Coalesce { arguments: a, .. }, Expr::Coalesce { arguments: b, .. })
        | (Expr::Greatest { arguments: a, .. }, Expr::Greatest { arguments: b, .. })
        | (Expr::Least { arguments: a, .. }, Expr::Least { arguments: b, .. }) => a.len() == b.len(),
        (Expr::NullIf { equal: a, .. }, Expr::NullIf { equal: b, .. }) => a == b,
        (
            Expr::InList { list: a, equal: x, negated: m, .. },
            Expr::InList { list: b, equal: y, negated: n, .. },
        ) => a.len() == b.len() && x == y && m == n,
        (Expr::Quantified { operator: a, all: x, .. }, Expr::Quantified { operator: b, all: y, .. }) => {
            a == b && x == y
        }
        (
            Expr::Array { elements: a, data_type: x, nested: m },
            Expr::Array { elements: b, data_type: y, nested: n },
        ) => a.len() == b.len() && x == y && m == n,
        (Expr::Row { fields: a, data_type: x, .. }, Expr::Row { fields: b, data_type: y, .. }) => {
            a.len() == b.len() && x == y
        }
        (Expr::AssignPart { .. }, Expr::AssignPart { .. }) => return left == right,
        (Expr::CoerceToDomain { domain: a, .. }, Expr::CoerceToDomain { domain: b, .. }) => a == b,
        (Expr::Field { field: a, .. }, Expr::Field { field: b, .. }) => a == b,
        // Leaves, and subscripts (which hold no places themselves).
        (a, b) => return a == b,
    };
    if !shallow {
        return false;
    }
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    left.for_each_child(&mut |child| of_left.push(child));
    right.for_each_child(&mut |child| of_right.push(child));
    of_left.len() == of_right.len() && of_left.iter().zip(of_right).all(|(a, b)| same_expression(a, b))
}

impl Relational {
    /// Calls `visit` on each direct input.
    pub fn for_each_input<'a>(&'a self, visit: &mut dyn FnMut(&'a Relational)) {
        match self {
            Relational::Scan(_)
            | Relational::VirtualScan(_)
            | Relational::FunctionScan(_)
            | Relational::Values(_)
            | Relational::CteScan(_)
            | Relational::Feed(_) => {}
            Relational::Filter(node) => visit(&node.input),
            Relational::Extend(node) => visit(&node.input),
            Relational::Join(node) => {
                visit(&node.left);
                visit(&node.right);
            }
            Relational::Aggregate(node) => visit(&node.input),
            Relational::Window(node) => visit(&node.input),
            Relational::ProjectSet(node) => visit(&node.input),
            Relational::Deferred(node) => visit(&node.input),
            Relational::Distinct(node) => visit(&node.input),
            Relational::Sort(node) => visit(&node.input),
            Relational::Limit(node) => visit(&node.input),
            Relational::LockRows(node) => visit(&node.input),
            Relational::SetOperation(node) => node.inputs.iter().for_each(|(input, _)| visit(input)),
            Relational::RecursiveUnion(node) => {
                visit(&node.initial.0);
                visit(&node.step.0);
            }
            Relational::With(node) => {
                node.tables.iter().for_each(|table| visit(&table.input));
                visit(&node.body);
            }
            Relational::InitPlan(node) => {
                node.subqueries.iter().for_each(|subquery| visit(&subquery.input));
                visit(&node.body);
            }
            Relational::Insert(node) => visit(&node.source),
            Relational::Update(node) => visit(&node.source),
            Relational::Delete(node) => visit(&node.source),
        }
    }

    /// Calls `visit` on each direct input, to change it in place.
    pub fn for_each_input_mut(&mut self, visit: &mut dyn FnMut(&mut Relational)) {
        match self {
            Relational::Scan(_)
            | Relational::VirtualScan(_)
            | Relational::FunctionScan(_)
            | Relational::Values(_)
            | Relational::CteScan(_)
            | Relational::Feed(_) => {}
            Relational::Filter(node) => visit(&mut node.input),
            Relational::Extend(node) => visit(&mut node.input),
            Relational::Join(node) => {
                visit(&mut node.left);
                visit(&mut node.right);
            }
            Relational::Aggregate(node) => visit(&mut node.input),
            Relational::Window(node) => visit(&mut node.input),
            Relational::ProjectSet(node) => visit(&mut node.input),
            Relational::Deferred(node) => visit(&mut node.input),
            Relational::Distinct(node) => visit(&mut node.input),
            Relational::Sort(node) => visit(&mut node.input),
            Relational::Limit(node) => visit(&mut node.input),
            Relational::LockRows(node) => visit(&mut node.input),
            Relational::SetOperation(node) => node.inputs.iter_mut().for_each(|(input, _)| visit(input)),
            Relational::RecursiveUnion(node) => {
                visit(&mut node.initial.0);
                visit(&mut node.step.0);
            }
            Relational::With(node) => {
                node.tables.iter_mut().for_each(|table| visit(&mut table.input));
                visit(&mut node.body);
            }
            Relational::InitPlan(node) => {
                node.subqueries.iter_mut().for_each(|subquery| visit(&mut subquery.input));
                visit(&mut node.body);
            }
            Relational::Insert(node) => visit(&mut node.source),
            Relational::Update(node) => visit(&mut node.source),
            Relational::Delete(node) => visit(&mut node.source),
        }
    }

    /// Calls `visit` on each expression of this node (not of its inputs) that is over query-wide columns.
    pub fn for_each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Relational::FunctionScan(node) => {
                node.functions.iter().flat_map(|function| &function.arguments).for_each(visit)
            }
            Relational::Values(node) => node.rows.iter().flatten().for_each(visit),
            Relational::Filter(node) => node.conditions.iter().for_each(visit),
            Relational::Extend(node) => node.columns.iter().for_each(|(_, expression)| visit(expression)),
            Relational::Join(node) => node.conditions.iter().for_each(visit),
            Relational::Aggregate(node) => {
                node.keys.iter().for_each(|(_, key)| visit(key));
                for (_, aggregate) in &node.aggregates {
                    aggregate.arguments.iter().for_each(&mut *visit);
                    aggregate.filter.iter().for_each(&mut *visit);
                    aggregate.order_by.iter().for_each(|(key, _, _)| visit(key));
                }
            }
            Relational::Window(node) => {
                for (_, call) in &node.calls {
                    call.arguments.iter().for_each(&mut *visit);
                    call.filter.iter().for_each(&mut *visit);
                }
                for edge in [&node.frame.start, &node.frame.end] {
                    if let plan::FrameEdge::Preceding(offset) | plan::FrameEdge::Following(offset) = edge {
                        visit(offset);
                    }
                }
            }
            Relational::ProjectSet(node) => {
                node.functions.iter().flat_map(|(_, function)| &function.arguments).for_each(visit)
            }
            Relational::Deferred(node) => {
                node.calls.iter().flat_map(|(_, call)| &call.arguments).for_each(visit)
            }
            Relational::Limit(node) => node.count.iter().chain(&node.offset).for_each(visit),
            Relational::Update(node) => node.assignments.iter().for_each(|(_, value)| visit(value)),
            _ => {}
        }
    }

    /// The same, to change in place.
    pub fn for_each_expr_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Relational::FunctionScan(node) => {
                node.functions.iter_mut().flat_map(|function| &mut function.arguments).for_each(visit)
            }
            Relational::Values(node) => node.rows.iter_mut().flatten().for_each(visit),
            Relational::Filter(node) => node.conditions.iter_mut().for_each(visit),
            Relational::Extend(node) => node.columns.iter_mut().for_each(|(_, expression)| visit(expression)),
            Relational::Join(node) => node.conditions.iter_mut().for_each(visit),
            Relational::Aggregate(node) => {
                node.keys.iter_mut().for_each(|(_, key)| visit(key));
                for (_, aggregate) in &mut node.aggregates {
                    aggregate.arguments.iter_mut().for_each(&mut *visit);
                    aggregate.filter.iter_mut().for_each(&mut *visit);
                    aggregate.order_by.iter_mut().for_each(|(key, _, _)| visit(key));
                }
            }
            Relational::Window(node) => {
                for (_, call) in &mut node.calls {
                    call.arguments.iter_mut().for_each(&mut *visit);
                    call.filter.iter_mut().for_each(&mut *visit);
                }
                for edge in [&mut node.frame.start, &mut node.frame.end] {
                    if let plan::FrameEdge::Preceding(offset) | plan::FrameEdge::Following(offset) = edge {
                        visit(offset);
                    }
                }
            }
            Relational::ProjectSet(node) => {
                node.functions.iter_mut().flat_map(|(_, function)| &mut function.arguments).for_each(visit)
            }
            Relational::Deferred(node) => {
                node.calls.iter_mut().flat_map(|(_, call)| &mut call.arguments).for_each(visit)
            }
            Relational::Limit(node) => node.count.iter_mut().chain(&mut node.offset).for_each(visit),
            Relational::Update(node) => node.assignments.iter_mut().for_each(|(_, value)| visit(value)),
            _ => {}
        }
    }

    /// The columns that this node hands up.
    pub fn produced(&self) -> ColumnSet {
        let mut columns = ColumnSet::new();
        self.collect_produced(&mut columns);
        columns
    }

    fn collect_produced(&self, columns: &mut ColumnSet) {
        let mut add = |list: &[ColumnNumber]| columns.extend(list.iter().copied());
        match self {
            Relational::Scan(node) => add(&node.columns),
            Relational::VirtualScan(node) => add(&node.columns),
            Relational::FunctionScan(node) => add(&node.columns),
            Relational::Values(node) => add(&node.columns),
            Relational::CteScan(node) => add(&node.columns),
            Relational::SetOperation(node) => add(&node.columns),
            Relational::RecursiveUnion(node) => add(&node.columns),
            Relational::Aggregate(node) => {
                columns.extend(node.keys.iter().map(|(column, _)| *column));
                columns.extend(node.aggregates.iter().map(|(column, _)| *column));
                columns.extend(node.grouping);
            }
            Relational::Filter(node) => node.input.collect_produced(columns),
            Relational::Distinct(node) => node.input.collect_produced(columns),
            Relational::Sort(node) => node.input.collect_produced(columns),
            Relational::Limit(node) => node.input.collect_produced(columns),
            Relational::LockRows(node) => node.input.collect_produced(columns),
            Relational::With(node) => node.body.collect_produced(columns),
            Relational::InitPlan(node) => node.body.collect_produced(columns),
            Relational::Extend(node) => {
                node.input.collect_produced(columns);
                columns.extend(node.columns.iter().map(|(column, _)| *column));
            }
            Relational::Window(node) => {
                node.input.collect_produced(columns);
                columns.extend(node.calls.iter().map(|(column, _)| *column));
            }
            Relational::ProjectSet(node) => {
                node.input.collect_produced(columns);
                columns.extend(node.functions.iter().map(|(column, _)| *column));
            }
            Relational::Deferred(node) => {
                node.input.collect_produced(columns);
                columns.extend(node.calls.iter().map(|(column, _)| *column));
            }
            Relational::Join(node) => {
                node.left.collect_produced(columns);
                if node.kind.has_right_columns() {
                    node.right.collect_produced(columns);
                }
                columns.extend(node.kind.own_column());
            }
            Relational::Feed(node) => add(&node.columns),
            Relational::Insert(node) if node.returning => add(&node.new_row),
            Relational::Update(node) if node.returning => {
                node.source.collect_produced(columns);
                node.old_row.iter().for_each(|column| columns.remove(*column));
                columns.extend(node.new_row.iter().copied());
            }
            Relational::Delete(node) if node.returning => node.source.collect_produced(columns),
            Relational::Insert(_) | Relational::Update(_) | Relational::Delete(_) => {}
        }
    }

    /// Every column used anywhere in the tree.
    fn collect_used(&self, used: &mut ColumnSet, produced: &mut ColumnSet) {
        self.for_each_expr(&mut |expression| collect_columns(expression, used));
        self.collect_own(produced);
        self.for_each_input(&mut |input| input.collect_used(used, produced));
    }

    /// Columns that come into being at this node, whether it hands them up or not.
    fn collect_own(&self, columns: &mut ColumnSet) {
        match self {
            Relational::Insert(node) => columns.extend(node.new_row.iter().copied()),
            Relational::Update(node) => columns.extend(node.new_row.iter().copied()),
            Relational::Delete(_) => {}
            Relational::Extend(node) => columns.extend(node.columns.iter().map(|(column, _)| *column)),
            Relational::Window(node) => columns.extend(node.calls.iter().map(|(column, _)| *column)),
            Relational::ProjectSet(node) => columns.extend(node.functions.iter().map(|(column, _)| *column)),
            Relational::Deferred(node) => columns.extend(node.calls.iter().map(|(column, _)| *column)),
            Relational::Join(node) => columns.extend(node.kind.own_column()),
            Relational::Filter(_)
            | Relational::Distinct(_)
            | Relational::Sort(_)
            | Relational::Limit(_)
            | Relational::LockRows(_)
            | Relational::With(_)
            | Relational::InitPlan(_) => {}
            leaf_like => leaf_like.collect_produced(columns),
        }
    }

    /// Columns that the tree uses and does not produce: those of enclosing queries.
    pub fn free_columns(&self) -> ColumnSet {
        let (mut used, mut produced) = (ColumnSet::new(), ColumnSet::new());
        self.collect_used(&mut used, &mut produced);
        used.difference(&produced)
    }

    /// Does any node in the tree (this one included) satisfy `test`?
    pub fn any(&self, test: &dyn Fn(&Relational) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.for_each_input(&mut |input| found = found || input.any(test));
        found
    }

    /// Does any expression in the tree use this slot?
    pub fn uses_slot(&self, slot: u32) -> bool {
        self.any(&|node| {
            let mut used = false;
            node.for_each_expr(&mut |expression| used |= expression_uses_slot(expression, slot));
            used
        })
    }

    /// Replaces columns in every expression of the tree.
    pub fn replace_columns(&mut self, replacement: &dyn Fn(ColumnNumber) -> Option<Expr>) {
        self.for_each_expr_mut(&mut |expression| replace_columns(expression, replacement));
        self.for_each_input_mut(&mut |input| input.replace_columns(replacement));
    }
}
