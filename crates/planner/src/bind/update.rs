//! UPDATE.

use super::Binder;
use super::level::{Clause, Level};
use super::relation::Instance;
use super::returning::ModifyOutput;
use super::scope::Item;
use super::subquery::row_fields;
use crate::ast::{self, ExpressionKind, LockStrength, LockWait, RelationReference};
use crate::catalog::Table;
use crate::logical::{LockRows, LockTarget, Relational, Update, conjuncts};
use crate::plan::{Command, Privileges, RowLock};
use expr::Expr;
use std::sync::Arc;
use types::descriptor::{ColumnDescriptor, Identity};
use types::{PgError, PgResult, SqlState};

/// A statement's target and what it joins, bound: rows to be changed.
pub(super) struct BoundTarget {
    pub plan: Relational,
    pub instance: Instance,
    pub alias: Box<str>,
    /// Items of FROM or USING.
    pub others: Vec<Item>,
}

impl Binder<'_> {
    pub(super) fn bind_update(&mut self, update: &ast::Update) -> PgResult<ModifyOutput> {
        let table = self.find_target(&update.table.name, "UPDATE")?;
        let privileges = Privileges { update: true, ..Privileges::default() };
        self.depend_on(table.descriptor.id, table.descriptor.version, privileges);
        self.writes = true;
        self.levels.push(Level::new(Clause::Where));
        let bound = self.bind_update_in_level(update, &table);
        self.levels.pop();
        let (target, assignments) = bound?;
        let new_row = self.row_instance(&table, &target.alias);
        let expressions = self.table_expressions(&table)?;
        let node = Update {
            source: target.plan,
            old_row: target.instance.columns,
            new_row: new_row.columns.clone(),
            assignments,
            generated: expressions.generated.clone(),
            checks: expressions.checks.clone(),
            partial_indexes: expressions.partial_indexes.clone(),
            may_repeat: !update.from.is_empty(),
            returning: !update.returning.is_empty(),
            table: table.clone(),
        };
        let mut items = vec![self.target_item(&new_row, &target.alias)];
        items.extend(target.others);
        let plan = Relational::Update(Box::new(node));
        self.bind_returning(plan, items, &update.returning, Command::Update)
    }

    #[allow(clippy::type_complexity)]
    fn bind_update_in_level(
        &mut self,
        update: &ast::Update,
        table: &Arc<Table>,
    ) -> PgResult<(BoundTarget, Vec<(u32, Expr)>)> {
        let strength = self.update_strength(update, table);
        let mut target =
            self.bind_target(&update.table, table, &update.from, update.filter.as_ref(), strength)?;
        self.level().clause = Clause::UpdateSet;
        let assignments = self.bind_assignments(&update.assignments, table)?;
        target.plan = self.level().attach_pending(target.plan);
        Ok((target, assignments))
    }

    /// Changing a column that a foreign key could point to takes the stronger lock.
    fn update_strength(&self, update: &ast::Update, table: &Table) -> LockStrength {
        let descriptor = &table.descriptor;
        let assigned = update.assignments.iter().flat_map(|assignment| &assignment.targets);
        let in_key = assigned.filter_map(|target| descriptor.column_named(&target.name.name)).any(|column| {
            let unique = descriptor.all_indexes().filter(|index| index.unique && index.predicate.is_none());
            unique.flat_map(|index| &index.columns).any(|key| key.column == column.id)
        });
        if in_key { LockStrength::Update } else { LockStrength::NoKeyUpdate }
    }

    /// Binds the target with FROM and WHERE, and locks its rows.
    pub(super) fn bind_target(
        &mut self,
        reference: &RelationReference,
        table: &Arc<Table>,
        others: &[ast::TableExpression],
        filter: Option<&ast::Expression>,
        strength: LockStrength,
    ) -> PgResult<BoundTarget> {
        let alias: Box<str> = match &reference.alias {
            Some(alias) => alias.name.name.clone(),
            None => table.descriptor.name.as_str().into(),
        };
        let (mut scan, instance) = self.scan(table, &alias);
        let item = self.target_item(&instance, &alias);
        self.level().namespace.push(item);
        let joined = if others.is_empty() { None } else { Some(self.bind_from(others)?) };
        let others = self.level().namespace[1..].to_vec();
        self.level().clause = Clause::Where;
        let conditions = match filter {
            Some(filter) => conjuncts(self.bind_condition(filter, "WHERE")?),
            None => Vec::new(),
        };
        let lock = RowLock { strength, wait: LockWait::Block };
        let simple = joined.is_none() && self.level().pending.is_empty() && self.level().deferred.is_empty();
        if let (true, Relational::Scan(scan)) = (simple, &mut scan) {
            scan.lock = Some(lock);
        }
        let mut plan = match joined {
            Some(joined) => scan.join(crate::logical::JoinKind::Inner, joined, Vec::new()),
            None => scan,
        };
        plan = self.level().attach_pending(plan).filter(conditions);
        if !simple {
            let target = LockTarget { table: table.clone(), columns: instance.columns.clone(), lock };
            plan = Relational::LockRows(Box::new(LockRows { input: plan, targets: vec![target] }));
        }
        Ok(BoundTarget { plan, instance, alias, others })
    }

    // --- SET.

    /// (position in the table's columns, value).
    pub(super) fn bind_assignments(
        &mut self,
        assignments: &[ast::Assignment],
        table: &Arc<Table>,
    ) -> PgResult<Vec<(u32, Expr)>> {
        let mut bound: Vec<(u32, Expr)> = Vec::new();
        for assignment in assignments {
            let mut positions = Vec::with_capacity(assignment.targets.len());
            for target in &assignment.targets {
                let position = self.target_column(table, &target.name)?;
                if !target.indirection.is_empty() {
                    if assignment.multiple {
                        return Err(PgError::unsupported("assignment to parts of columns from one row")
                            .at(target.name.position));
                    }
                    self.bind_part_assignment(target, position, &assignment.value, table, &mut bound)?;
                    continue;
                }
                let known = bound.iter().any(|(known, _)| *known as usize == position);
                if known || positions.contains(&position) {
                    let message = format!("multiple assignments to same column \"{}\"", target.name.name);
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(target.name.position));
                }
                positions.push(position);
                self.note_written(table.descriptor.id, table.descriptor.columns[position].id, false);
            }
            if positions.is_empty() {
                continue;
            }
            let values = self.bind_assigned(assignment, table, &positions)?;
            bound.extend(positions.into_iter().map(|position| position as u32).zip(values));
        }
        Ok(bound)
    }

    /// `column[1].field = value`: changes what the column is, or what an assignment before made of it.
    fn bind_part_assignment(
        &mut self,
        target: &ast::InsertColumn,
        position: usize,
        value: &ast::Expression,
        table: &Arc<Table>,
        bound: &mut Vec<(u32, Expr)>,
    ) -> PgResult<()> {
        let at = target.name.position;
        if matches!(value.kind, ExpressionKind::Default) {
            let message = if matches!(target.indirection[0], ast::Indirection::Field(_)) {
                "cannot set a subfield to DEFAULT"
            } else {
                "cannot set an array element to DEFAULT"
            };
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(value.position));
        }
        self.check_assignable(table, position, false, at)?;
        let column = table.descriptor.columns[position].clone();
        let part = self.part_type(column.column_type, &target.indirection, &target.name)?;
        let input = self.bind(value)?;
        let as_part = ColumnDescriptor { column_type: part, ..column.clone() };
        let input = self.assign(input, &as_part, value.position)?;
        let known = bound.iter().position(|(known, _)| *known as usize == position);
        let whole = match known {
            // The conditions of a domain are for the last of the assignments.
            Some(known) => match &bound[known].1 {
                Expr::CoerceToDomain { input, .. } => (**input).clone(),
                other => other.clone(),
            },
            None => {
                let item = &self.level().namespace[0];
                let found = item.columns.iter().find(|shown| *shown.name == column.name);
                found
                    .map(|shown| shown.expr.clone())
                    .ok_or_else(|| PgError::internal("a column is not in sight"))?
            }
        };
        let value = self.assign_part(whole, column.column_type, &target.indirection, input, &target.name)?;
        match known {
            Some(known) => bound[known].1 = value,
            None => bound.push((position as u32, value)),
        }
        Ok(())
    }

    /// The values of one assignment, converted.
    fn bind_assigned(
        &mut self,
        assignment: &ast::Assignment,
        table: &Arc<Table>,
        positions: &[usize],
    ) -> PgResult<Vec<Expr>> {
        if !assignment.multiple {
            return Ok(vec![self.bind_assigned_field(&assignment.value, table, positions[0])?]);
        }
        let at = assignment.value.position;
        let mismatch = |columns: usize, values: usize| {
            let message = "number of columns does not match number of values";
            if columns == values { Ok(()) } else { Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at)) }
        };
        match &assignment.value.kind {
            ExpressionKind::Row { fields, .. } => {
                mismatch(positions.len(), fields.len())?;
                let pairs = fields.iter().zip(positions);
                pairs.map(|(field, position)| self.bind_assigned_field(field, table, *position)).collect()
            }
            ExpressionKind::Subquery(query) => {
                let (row, types) = self.bind_row_value(query)?;
                mismatch(positions.len(), types.len())?;
                let mut values = Vec::with_capacity(types.len());
                for (field, position) in row_fields(&row, &types).into_iter().zip(positions) {
                    self.check_assignable(table, *position, false, at)?;
                    values.push(self.assign(field, &table.descriptor.columns[*position], at)?);
                }
                Ok(values)
            }
            _ if positions.len() == 1 => {
                Ok(vec![self.bind_assigned_field(&assignment.value, table, positions[0])?])
            }
            _ => {
                let message =
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at))
            }
        }
    }

    fn bind_assigned_field(
        &mut self,
        value: &ast::Expression,
        table: &Arc<Table>,
        position: usize,
    ) -> PgResult<Expr> {
        let default = matches!(value.kind, ExpressionKind::Default);
        self.check_assignable(table, position, default, value.position)?;
        let column = &table.descriptor.columns[position];
        if !default {
            let bound = self.bind(value)?;
            return self.assign(bound, column, value.position);
        }
        if column.generated.is_some() {
            // Computed anew in any case.
            return Ok(Expr::constant(types::Datum::Null, column.column_type.data_type));
        }
        let default = self.table_expressions(table)?.defaults[position].clone();
        let (value, calls) = self.instantiate(&default);
        self.level().deferred.extend(calls);
        Ok(value)
    }

    fn check_assignable(&self, table: &Table, position: usize, default: bool, at: u32) -> PgResult<()> {
        let column = &table.descriptor.columns[position];
        let what = if column.generated.is_some() {
            "is a generated column"
        } else if column.identity == Some(Identity::Always) {
            "is an identity column defined as GENERATED ALWAYS"
        } else {
            return Ok(());
        };
        if default {
            return Ok(());
        }
        let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
        let _ = at;
        Err(PgError::new(SqlState::GENERATED_ALWAYS, message)
            .detail(format!("Column \"{}\" {what}.", column.name)))
    }
}
