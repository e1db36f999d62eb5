//! Views: the query is parsed and bound anew wherever the view is named, in the view's own scope and with its owner's privileges.

use super::scope::{ItemColumn, item_column};
use super::select::Context;
use super::{Binder, VIEW_DEPTH_MAX};
use crate::ast::StatementKind;
use crate::catalog::View;
use crate::logical::Relational;
use expr::CastContext;
use types::{PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_view(&mut self, view: &View) -> PgResult<(Relational, Vec<ItemColumn>)> {
        if self.view_depth >= VIEW_DEPTH_MAX {
            let message = format!("infinite recursion detected in rules for relation \"{}\"", view.name);
            return Err(PgError::new(SqlState::INVALID_OBJECT_DEFINITION, message));
        }
        let statement = crate::parser::parse(&view.query)?.into_iter().next();
        let Some(StatementKind::Select(query)) = statement.map(|statement| statement.kind) else {
            return Err(PgError::internal(format!("the view \"{}\" has no query", view.name)));
        };
        // The view sees nothing of the statement that names it.
        let levels = std::mem::take(&mut self.levels);
        let ctes = std::mem::take(&mut self.ctes);
        let search_path = std::mem::replace(&mut self.search_path, view.search_path.clone());
        let check_as = self.check_as.clone();
        if !view.security_invoker {
            self.check_as = Some(view.owner.clone());
        }
        self.view_depth += 1;
        let output = self.bind_query(&query, Context::default());
        self.view_depth -= 1;
        self.check_as = check_as;
        self.search_path = search_path;
        self.ctes = ctes;
        self.levels = levels;
        // Positions within the view's text mean nothing to the client.
        let output = output.map_err(|mut error| {
            error.fields_mut().position = None;
            error
        })?;
        let mut plan = output.plan;
        let mut converted = Vec::new();
        let mut columns = Vec::with_capacity(view.columns.len());
        for (column, target) in view.columns.iter().zip(&output.targets) {
            let mut number = target.column;
            // A table's column may have changed its type since.
            if self.columns.data_type(number) != column.column_type.data_type {
                let input = self.columns.expr(number);
                let cast = self.coerce(input, column.column_type, CastContext::Explicit, 0)?;
                number = self.columns.computed(&column.name, column.column_type);
                converted.push((
                    number,
                    cast.ok_or_else(|| PgError::internal("a view's column changed its type"))?,
                ));
            }
            columns.push(item_column(&column.name, number, column.column_type, false));
        }
        plan = plan.extend(converted);
        if view.security_barrier {
            // Nothing is moved below a limit.
            let offset = Some(expr::Expr::constant(types::Datum::Int8(0), types::DataType::Int8));
            plan = Relational::Limit(Box::new(crate::logical::Limit {
                input: plan,
                count: None,
                offset,
                ties: Vec::new(),
            }));
        }
        Ok((plan, columns))
    }
}
