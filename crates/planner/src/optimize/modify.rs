//! INSERT, UPDATE, DELETE, and locking rows.

use types::PgResult;

use super::build::{Builder, Built};
use super::estimate;
use crate::logical::*;
use crate::plan::{self, Operator};

impl Builder<'_> {
    /// RETURNING hands up columns of the node as they stand: expressions over them are computed above.
    fn returning(
        &self,
        handed: &[ColumnNumber],
        wanted: bool,
        required: &ColumnSet,
    ) -> Option<(Vec<expr::Expr>, Vec<ColumnNumber>)> {
        if !wanted {
            return None;
        }
        let kept: Vec<(usize, ColumnNumber)> =
            handed.iter().copied().enumerate().filter(|(_, column)| required.contains(*column)).collect();
        let expressions = kept
            .iter()
            .map(|(at, column)| expr::Expr::column(*at as u32, self.columns.data_type(*column)))
            .collect();
        Some((expressions, kept.into_iter().map(|(_, column)| column).collect()))
    }

    pub fn insert(&mut self, insert: Insert, required: &ColumnSet) -> PgResult<Built> {
        let built = self.build(insert.source, &insert.row.iter().copied().collect())?;
        let estimate = estimate::blocking(&built.node.estimate, built.rows());
        let source = self.project_to(built, &insert.row)?;
        let (returning, layout) = self.returning(&insert.new_row, insert.returning, required).unzip();
        let operator = plan::Insert {
            table: insert.table,
            source,
            generated: insert.generated,
            checks: insert.checks,
            partial_indexes: insert.partial_indexes,
            on_conflict: insert.on_conflict,
            returning,
        };
        Ok(self.node(Operator::Insert(Box::new(operator)), layout.unwrap_or_default(), estimate))
    }

    pub fn update(&mut self, update: Update, required: &ColumnSet) -> PgResult<Built> {
        let mut needed: ColumnSet = required.clone();
        needed.extend(update.old_row.iter().copied());
        update.assignments.iter().for_each(|(_, value)| collect_columns(value, &mut needed));
        let built = self.build(update.source, &needed)?;
        let estimate = estimate::blocking(&built.node.estimate, built.rows());
        // The old row first, then whatever else is used.
        let further = built.layout.iter().copied().filter(|column| !update.old_row.contains(column));
        let layout: Vec<ColumnNumber> = update.old_row.iter().copied().chain(further).collect();
        let source = self.project_to(built, &layout)?;
        let assignments = update
            .assignments
            .into_iter()
            .map(|(column, value)| Ok(plan::Assignment { column, value: self.place(value, &layout)? }))
            .collect::<PgResult<Vec<_>>>()?;
        let handed: Vec<ColumnNumber> =
            update.new_row.iter().copied().chain(layout[update.old_row.len()..].iter().copied()).collect();
        let (returning, layout) = self.returning(&handed, update.returning, required).unzip();
        let operator = plan::Update {
            table: update.table,
            source,
            assignments,
            generated: update.generated,
            checks: update.checks,
            partial_indexes: update.partial_indexes,
            may_repeat: update.may_repeat,
            returning,
        };
        Ok(self.node(Operator::Update(Box::new(operator)), layout.unwrap_or_default(), estimate))
    }

    pub fn delete(&mut self, delete: Delete, required: &ColumnSet) -> PgResult<Built> {
        let mut needed: ColumnSet = required.clone();
        needed.extend(delete.old_row.iter().copied());
        let built = self.build(delete.source, &needed)?;
        let estimate = estimate::blocking(&built.node.estimate, built.rows());
        let further = built.layout.iter().copied().filter(|column| !delete.old_row.contains(column));
        let layout: Vec<ColumnNumber> = delete.old_row.iter().copied().chain(further).collect();
        let source = self.project_to(built, &layout)?;
        let (returning, layout) = self.returning(&layout, delete.returning, required).unzip();
        let operator = plan::Delete {
            table: delete.table,
            source,
            partial_indexes: delete.partial_indexes,
            may_repeat: delete.may_repeat,
            returning,
        };
        Ok(self.node(Operator::Delete(Box::new(operator)), layout.unwrap_or_default(), estimate))
    }

    pub fn lock_rows(&mut self, lock: LockRows, required: &ColumnSet) -> PgResult<Built> {
        let mut needed = required.clone();
        for target in &lock.targets {
            for part in &target.table.descriptor.primary.columns {
                let position = target.table.descriptor.column_position(part.column);
                needed.extend(position.map(|at| target.columns[at]));
            }
        }
        // What chose the rows must still hold of them once they are locked.
        let mut recheck = Vec::new();
        collect_conditions(&lock.input, &mut recheck);
        let of_targets: ColumnSet =
            lock.targets.iter().flat_map(|target| target.columns.iter().copied()).collect();
        let produced = lock.input.produced();
        recheck.retain(|condition| {
            let used = columns_of(condition);
            used.intersects(&of_targets) && used.is_subset(&produced) && !expr::eval::is_volatile(condition)
        });
        recheck.iter().for_each(|condition| collect_columns(condition, &mut needed));
        let built = self.build(lock.input, &needed)?;
        let targets = lock
            .targets
            .into_iter()
            .map(|target| lock_target(target, &built))
            .collect::<PgResult<Vec<_>>>()?;
        let recheck = self.place_and(recheck, &built.layout)?;
        let Built { node, layout, order } = built;
        let estimate = estimate::over(&node.estimate, node.estimate.rows);
        let operator = plan::LockRows { input: node, targets, recheck };
        Ok(self.node(Operator::LockRows(Box::new(operator)), layout, estimate).in_order(order))
    }
}

/// The conditions that every row of the node satisfies.
fn collect_conditions(node: &Relational, conditions: &mut Vec<expr::Expr>) {
    match node {
        Relational::Filter(filter) => {
            conditions.extend(filter.conditions.iter().cloned().flat_map(conjuncts));
            collect_conditions(&filter.input, conditions);
        }
        Relational::Join(join) => {
            if join.kind == JoinKind::Inner {
                conditions.extend(join.conditions.iter().cloned().flat_map(conjuncts));
                collect_conditions(&join.right, conditions);
            }
            if !matches!(join.kind, JoinKind::Right | JoinKind::Full) {
                collect_conditions(&join.left, conditions);
            }
        }
        Relational::Extend(node) => collect_conditions(&node.input, conditions),
        Relational::Sort(node) => collect_conditions(&node.input, conditions),
        Relational::Limit(node) => collect_conditions(&node.input, conditions),
        _ => {}
    }
}

fn lock_target(target: LockTarget, built: &Built) -> PgResult<plan::LockTarget> {
    let descriptor = &target.table.descriptor;
    let position_of = |id| {
        let at = descriptor.column_position(id)?;
        built.position(target.columns[at])
    };
    let key = descriptor
        .primary
        .columns
        .iter()
        .map(|part| {
            position_of(part.column).ok_or_else(|| {
                types::PgError::internal("the key of a row to be locked is not among the columns")
            })
        })
        .collect::<PgResult<Vec<u32>>>()?;
    let refresh =
        descriptor.columns.iter().filter_map(|column| Some((column.id, position_of(column.id)?))).collect();
    Ok(plan::LockTarget { table: target.table.clone(), lock: target.lock, key, refresh })
}
