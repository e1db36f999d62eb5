//! WITH: common tables, recursive ones, and data-modifying ones.

use super::Binder;
use super::scope::{Item, item_column};
use super::select::{Context, OutputTarget, QueryOutput};
use crate::ast::{CommonTable, Identifier, Query, QueryBody, SetOperator, StatementKind, With};
use crate::logical::{
    self, ColumnNumber, CteScan, InitPlan, InitSubquery, RecursiveUnion, Relational, WithTable,
};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// A common table in sight.
#[derive(Clone, Debug)]
pub(crate) struct VisibleCte {
    pub name: Box<str>,
    pub cte: u32,
    /// `None`: a modification without RETURNING.
    pub columns: Option<Vec<(Box<str>, ColumnType)>>,
    /// The recursive table itself, within its recursive term.
    pub work_table: bool,
    pub references: u32,
}

impl Binder<'_> {
    /// Binds a statement's body within its WITH, if it has one: its common tables are in sight of the body alone, and what
    /// waits to be evaluated once and reads them is placed below the WITH.
    pub(super) fn bind_within<T>(
        &mut self,
        with: Option<&With>,
        body: impl FnOnce(&mut Self) -> PgResult<(Relational, T)>,
    ) -> PgResult<(Relational, T)> {
        let outermost = std::mem::replace(&mut self.outermost, false);
        let Some(with) = with else { return body(self) };
        let visible = self.ctes.len();
        let init = self.init.len();
        let tables = self.bind_with(with, outermost)?;
        let bound = body(self);
        self.ctes.truncate(visible);
        let (plan, rest) = bound?;
        let body = self.place_init(plan, init, &|cte| tables.iter().any(|table| table.cte == cte));
        Ok((Relational::With(Box::new(logical::With { tables, body })), rest))
    }

    /// Places those waiting uncorrelated subqueries (from `mark` on) that read a common table for which `within` holds, and
    /// those that use the result of one of these.
    fn place_init(&mut self, body: Relational, mark: usize, within: &dyn Fn(u32) -> bool) -> Relational {
        let mut subqueries: Vec<InitSubquery> = Vec::new();
        let mut index = mark;
        while index < self.init.len() {
            let input = &self.init[index].input;
            let reads = input.any(&|node| match node {
                Relational::CteScan(scan) => within(scan.cte),
                _ => false,
            });
            // What a subquery uses was bound, and so stands, before it.
            if reads || subqueries.iter().any(|placed| input.uses_slot(placed.slot)) {
                subqueries.push(self.init.remove(index));
            } else {
                index += 1;
            }
        }
        if subqueries.is_empty() {
            return body;
        }
        Relational::InitPlan(Box::new(InitPlan { subqueries, body }))
    }

    /// Binds the tables of WITH and brings them into sight. The caller takes them out again. `outermost`: of the statement's
    /// own WITH, whose tables may modify.
    fn bind_with(&mut self, with: &With, outermost: bool) -> PgResult<Vec<WithTable>> {
        let mut tables = Vec::with_capacity(with.tables.len());
        for (index, table) in with.tables.iter().enumerate() {
            if with.tables[..index].iter().any(|other| other.name.name == table.name.name) {
                let message = format!("WITH query name \"{}\" specified more than once", table.name.name);
                return Err(PgError::new(SqlState::DUPLICATE_ALIAS, message).at(table.name.position));
            }
            if table.search.is_some() || table.cycle.is_some() {
                let clause = if table.search.is_some() { "SEARCH" } else { "CYCLE" };
                return Err(
                    PgError::unsupported(format!("the {clause} clause of WITH")).at(table.name.position)
                );
            }
            let init = self.init.len();
            let mut bound = self.bind_common_table(table, with.recursive, outermost)?;
            // What reads a common table must be evaluated where that table is in sight.
            bound.input = self.place_init(bound.input.take(), init, &|_| true);
            tables.push(bound);
        }
        Ok(tables)
    }

    fn bind_common_table(
        &mut self,
        table: &CommonTable,
        recursive: bool,
        outermost: bool,
    ) -> PgResult<WithTable> {
        let cte = self.cte_count;
        self.cte_count += 1;
        match &table.statement.kind {
            StatementKind::Select(query) => {
                let output = if recursive {
                    self.bind_maybe_recursive(table, query, cte)?
                } else {
                    self.bind_query(query, Context::default())?
                };
                let columns = self.name_columns(table, &output.targets)?;
                self.show(table, cte, Some(columns));
                let numbers = output.targets.iter().map(|target| target.column).collect();
                Ok(WithTable {
                    cte,
                    name: table.name.name.clone(),
                    input: output.plan,
                    columns: numbers,
                    modifies: false,
                    materialized: table.materialized,
                })
            }
            kind => {
                if !outermost {
                    let message =
                        "WITH clause containing a data-modifying statement must be at the top level";
                    return Err(
                        PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(table.name.position)
                    );
                }
                let bound = self.bind_kind(kind)?;
                let columns = match bound.targets.is_empty() {
                    true => None,
                    false => Some(self.name_columns(table, &bound.targets)?),
                };
                self.show(table, cte, columns);
                let numbers = bound.targets.iter().map(|target| target.column).collect();
                Ok(WithTable {
                    cte,
                    name: table.name.name.clone(),
                    input: bound.plan,
                    columns: numbers,
                    modifies: true,
                    materialized: None,
                })
            }
        }
    }

    fn show(&mut self, table: &CommonTable, cte: u32, columns: Option<Vec<(Box<str>, ColumnType)>>) {
        let name = table.name.name.clone();
        self.ctes.push(VisibleCte { name, cte, columns, work_table: false, references: 0 });
    }

    /// Names and types of a common table's columns, its alias list applied.
    fn name_columns(
        &self,
        table: &CommonTable,
        targets: &[OutputTarget],
    ) -> PgResult<Vec<(Box<str>, ColumnType)>> {
        if table.columns.len() > targets.len() {
            let message = format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                table.name.name,
                targets.len(),
                table.columns.len()
            );
            return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(table.name.position));
        }
        let name = |index: usize, target: &OutputTarget| match table.columns.get(index) {
            Some(alias) => alias.name.clone(),
            None => target.name.clone(),
        };
        let typed = |(index, target): (usize, &OutputTarget)| {
            (name(index, target), self.columns.get(target.column).column_type)
        };
        Ok(targets.iter().enumerate().map(typed).collect())
    }

    /// A reference to a common table in FROM; `None` if there is none of that name.
    pub(super) fn bind_cte_reference(&mut self, name: &Identifier) -> PgResult<Option<(Relational, Item)>> {
        let Some(visible) = self.ctes.iter_mut().rev().find(|cte| cte.name == name.name) else {
            return Ok(None);
        };
        visible.references += 1;
        let visible = visible.clone();
        let Some(columns) = &visible.columns else {
            let message = format!("WITH query \"{}\" does not have a RETURNING clause", name.name);
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(name.position));
        };
        let mut numbers = Vec::with_capacity(columns.len());
        let mut shown = Vec::with_capacity(columns.len());
        for (column, column_type) in columns {
            let number = self.columns.computed(column, *column_type);
            numbers.push(number);
            shown.push(item_column(column, number, *column_type, false));
        }
        let scan = CteScan {
            cte: visible.cte,
            name: visible.name.clone(),
            work_table: visible.work_table,
            columns: numbers,
        };
        Ok(Some((Relational::CteScan(Box::new(scan)), Item::new(Some(name.name.clone()), shown))))
    }

    // --- Recursion.

    /// A query of WITH RECURSIVE: recursive if its second term names itself.
    fn bind_maybe_recursive(
        &mut self,
        table: &CommonTable,
        query: &Query,
        cte: u32,
    ) -> PgResult<QueryOutput> {
        let QueryBody::SetOperation(operation) = &query.body else {
            return self.bind_query(query, Context::default());
        };
        if operation.operator != SetOperator::Union || query.with.is_some() {
            return self.bind_query(query, Context::default());
        }
        // Bound on trial with itself in sight, to see whether it recurses: state is put back if it does not.
        let before = self.snapshot();
        let initial = self.bind_query(&operation.left, Context::default())?;
        let columns = self.name_columns(table, &initial.targets)?;
        self.ctes.push(VisibleCte {
            name: table.name.name.clone(),
            cte,
            columns: Some(columns.clone()),
            work_table: true,
            references: 0,
        });
        let init = self.init.len();
        let step = self.bind_query(&operation.right, Context { resolve_unknown: false });
        let itself = self.ctes.pop().expect("pushed above");
        if itself.references == 0 {
            self.restore(before);
            return self.bind_query(query, Context::default());
        }
        let mut step = step?;
        step.plan = self.place_init(step.plan.take(), init, &|scanned| scanned == cte);
        self.check_recursive_clauses(query)?;
        if itself.references > 1 {
            let message = format!(
                "recursive reference to query \"{}\" must not appear more than once",
                table.name.name
            );
            return Err(PgError::new(SqlState::INVALID_RECURSION, message).at(table.name.position));
        }
        self.build_recursive(table, operation, cte, (initial, step), &columns)
    }

    fn check_recursive_clauses(&self, query: &Query) -> PgResult<()> {
        let clause = if !query.order_by.is_empty() {
            "ORDER BY"
        } else if query.offset.is_some() {
            "OFFSET"
        } else if query.limit.is_some() {
            "LIMIT"
        } else if !query.locking.is_empty() {
            "FOR UPDATE/SHARE"
        } else {
            return Ok(());
        };
        let message = format!("{clause} in a recursive query is not implemented");
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(query.position))
    }

    fn build_recursive(
        &mut self,
        table: &CommonTable,
        operation: &crate::ast::SetOperation,
        cte: u32,
        (initial, mut step): (QueryOutput, QueryOutput),
        columns: &[(Box<str>, ColumnType)],
    ) -> PgResult<QueryOutput> {
        let position = operation.right.position;
        if initial.targets.len() != step.targets.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        for (index, target) in step.targets.iter().enumerate() {
            let first = columns[index].1.data_type;
            let second = self.columns.data_type(target.column);
            let overall = expr::resolve::common_type(&[first, second], "UNION")
                .map_err(|(error, _)| error.or_at(position))?;
            if overall != first && second != DataType::Unknown {
                let message = format!(
                    "recursive query \"{}\" column {} has type {} in non-recursive term but type {} overall",
                    table.name.name,
                    index + 1,
                    self.type_label(first),
                    self.type_label(overall)
                );
                return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("Cast the output of the non-recursive term to the correct type.")
                    .at(position));
            }
        }
        let types: Vec<ColumnType> = columns.iter().map(|(_, column_type)| *column_type).collect();
        let step_columns = self.convert_output(&mut step, &types, "UNION", position)?;
        let initial_columns: Vec<ColumnNumber> = initial.targets.iter().map(|target| target.column).collect();
        let mut targets = Vec::with_capacity(types.len());
        for (target, column_type) in initial.targets.iter().zip(&types) {
            let column = self.columns.computed(&target.name, *column_type);
            targets.push(OutputTarget { name: target.name.clone(), column, untyped: None });
        }
        let union = RecursiveUnion {
            cte,
            name: table.name.name.clone(),
            initial: (initial.plan, initial_columns),
            step: (step.plan, step_columns),
            distinct: !operation.all,
            columns: targets.iter().map(|target| target.column).collect(),
        };
        Ok(QueryOutput { plan: Relational::RecursiveUnion(Box::new(union)), targets })
    }

    /// What binding on trial may have added.
    fn snapshot(&self) -> (usize, u32, u32, usize) {
        (self.init.len(), self.slot_count, self.cte_count, self.instances.len())
    }

    fn restore(&mut self, (init, slots, ctes, instances): (usize, u32, u32, usize)) {
        self.init.truncate(init);
        self.slot_count = slots;
        self.cte_count = ctes;
        self.instances.truncate(instances);
    }
}
