//! Whole statements.

use super::Binder;
use super::parameters::Parameters;
use super::returning::ModifyOutput;
use super::select::{Context, OutputTarget};
use crate::ast::{Statement, StatementKind, With};
use crate::logical::{Columns, InitPlan, Relational};
use crate::plan::{Command, RelationUse};
use crate::{Catalog, PlanOptions};
use types::{DataType, PgError, PgResult};

/// A bound statement: the logical plan with all that the optimiser needs.
#[derive(Debug)]
pub struct Bound {
    pub plan: Relational,
    pub columns: Columns,
    /// Name and column of each output column.
    pub output: Vec<(Box<str>, crate::logical::ColumnNumber)>,
    pub command: Command,
    pub parameters: Vec<DataType>,
    pub slot_count: u32,
    pub cte_count: u32,
    pub relations: Vec<RelationUse>,
    pub read_only: bool,
    pub as_of: Option<expr::Expr>,
}

/// Binds a statement for which [`StatementKind::is_plannable`] holds.
pub fn bind(
    statement: &Statement,
    catalog: &dyn Catalog,
    parameters: &[Option<DataType>],
    options: &PlanOptions,
) -> PgResult<Bound> {
    let parameters = Parameters::new(parameters, usize::from(statement.parameter_count));
    let mut binder = Binder::new(catalog, options, parameters);
    let output = binder.bind_kind(&statement.kind)?;
    binder.finish(output)
}

impl Binder<'_> {
    /// Binds a query or modification.
    pub(super) fn bind_kind(&mut self, kind: &StatementKind) -> PgResult<ModifyOutput> {
        match kind {
            StatementKind::Select(query) => {
                let output = self.bind_query(query, Context::default())?;
                Ok(ModifyOutput { plan: output.plan, targets: output.targets, command: Command::Select })
            }
            StatementKind::Insert(insert) => {
                self.bind_modification(insert.with.as_ref(), |binder| binder.bind_insert(insert))
            }
            StatementKind::Update(update) => {
                self.bind_modification(update.with.as_ref(), |binder| binder.bind_update(update))
            }
            StatementKind::Delete(delete) => {
                self.bind_modification(delete.with.as_ref(), |binder| binder.bind_delete(delete))
            }
            StatementKind::Merge(merge) => Err(PgError::unsupported("MERGE").at(merge.position)),
            _ => Err(PgError::internal("only queries and modifications are planned")),
        }
    }

    fn bind_modification(
        &mut self,
        with: Option<&With>,
        modification: impl FnOnce(&mut Self) -> PgResult<ModifyOutput>,
    ) -> PgResult<ModifyOutput> {
        let (plan, (targets, command)) = self.bind_within(with, |binder| {
            let output = modification(binder)?;
            Ok((output.plan, (output.targets, output.command)))
        })?;
        Ok(ModifyOutput { plan, targets, command })
    }

    /// Places what is still waiting, and checks the parameters.
    pub(crate) fn finish(mut self, output: ModifyOutput) -> PgResult<Bound> {
        let mut plan = output.plan;
        let subqueries = std::mem::take(&mut self.init);
        if !subqueries.is_empty() {
            plan = Relational::InitPlan(Box::new(InitPlan { subqueries, body: plan }));
        }
        let named = |target: OutputTarget| (target.name, target.column);
        Ok(Bound {
            plan,
            columns: self.columns,
            output: output.targets.into_iter().map(named).collect(),
            command: output.command,
            parameters: self.parameters.finish()?,
            slot_count: self.slot_count,
            cte_count: self.cte_count,
            relations: self.relations,
            read_only: !self.writes,
            as_of: self.as_of,
        })
    }
}
