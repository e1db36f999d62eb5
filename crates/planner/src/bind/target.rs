//! SELECT lists: `*` expanded, and the names that columns get (PostgreSQL's FigureColname).

use super::scope::{Item, ItemColumn};
use super::select::Target;
use super::{Binder, NameUse};
use crate::ast::{Expression, ExpressionKind, Identifier, SelectItem, SessionValue};
use expr::Expr;
use types::{DataType, PgError, PgResult, SqlState};

impl Binder<'_> {
    pub(super) fn bind_targets(&mut self, items: &[SelectItem]) -> PgResult<Vec<Target>> {
        let mut targets = Vec::with_capacity(items.len());
        for item in items {
            let position = item.expression.position;
            match &item.expression.kind {
                ExpressionKind::Wildcard(qualifier) => {
                    for column in self.expand_wildcard(qualifier, position)? {
                        targets.push(Target { name: column.name, expr: column.expr, position, junk: false });
                    }
                }
                ExpressionKind::FieldWildcard(row) => self.expand_row(row, position, &mut targets)?,
                _ => {
                    let expr = self.bind(&item.expression)?;
                    let name = match &item.alias {
                        Some(alias) => alias.name.clone(),
                        None => column_name(&item.expression),
                    };
                    targets.push(Target { name, expr, position, junk: false });
                }
            }
        }
        const TARGETS_MAX: usize = 1664;
        if targets.len() > TARGETS_MAX {
            let message = format!("target lists can have at most {TARGETS_MAX} entries");
            return Err(PgError::new(SqlState::TOO_MANY_COLUMNS, message));
        }
        Ok(targets)
    }

    /// `*` or `t.*`.
    pub(super) fn expand_wildcard(
        &mut self,
        qualifier: &[Identifier],
        position: u32,
    ) -> PgResult<Vec<ItemColumn>> {
        let columns: Vec<ItemColumn> = if qualifier.is_empty() {
            let level = self.level();
            let visible = level.namespace.iter().filter(|item| item.columns_visible && !item.lateral_only);
            let mut any = false;
            let columns = visible
                .inspect(|_| any = true)
                .flat_map(|item| item.columns.iter().filter(|column| !column.hidden).cloned())
                .collect();
            if !any {
                let message = "SELECT * with no tables specified is not valid";
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
            }
            columns
        } else {
            let (_, item) = self.item_named(qualifier)?;
            item.columns.iter().filter(|column| !column.hidden).cloned().collect()
        };
        columns.iter().for_each(|column| self.note_selected(column));
        self.note_wildcard(qualifier, position);
        let level = self.level();
        if !level.in_aggregate {
            for column in &columns {
                if let Expr::Column { index, .. } = column.expr {
                    level.references.push((index, position));
                }
            }
        }
        Ok(columns)
    }

    fn note_wildcard(&mut self, qualifier: &[Identifier], position: u32) {
        if self.names.is_none() {
            return;
        }
        let shown = |item: &Item| -> Option<Vec<(Box<str>, Box<str>)>> {
            let name = item.name.clone().filter(|_| item.relation_visible)?;
            let columns = item.columns.iter().filter(|column| !column.hidden);
            Some(columns.map(|column| (name.clone(), column.name.clone())).collect())
        };
        let all: Option<Vec<Vec<(Box<str>, Box<str>)>>> = match qualifier {
            [] => {
                let visible =
                    self.level().namespace.iter().filter(|item| item.columns_visible && !item.lateral_only);
                visible.map(shown).collect()
            }
            _ => {
                self.item_named(qualifier).ok().and_then(|(_, item)| shown(item)).map(|columns| vec![columns])
            }
        };
        // Columns that a join has merged stay a wildcard.
        if let Some(all) = all {
            self.note_name(position, || NameUse::Wildcard(all.concat()));
        }
    }

    /// `(row).*`.
    fn expand_row(&mut self, row: &Expression, position: u32, targets: &mut Vec<Target>) -> PgResult<()> {
        if let ExpressionKind::Column(names) = &row.kind
            && let [name] = names.as_slice()
            && self.find_column(&name.name, name.position)?.is_none()
        {
            for column in self.expand_wildcard(names, position)? {
                targets.push(Target { name: column.name, expr: column.expr, position, junk: false });
            }
            return Ok(());
        }
        let bound = self.bind(row)?;
        if let Expr::Row { fields, names, data_type: DataType::Record } = bound {
            for (name, expr) in names.iter().zip(fields) {
                targets.push(Target { name: name.clone(), expr, position, junk: false });
            }
            return Ok(());
        }
        let DataType::Composite(oid) = bound.data_type().base() else {
            let message = format!("type {} is not composite", self.type_label(bound.data_type()));
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).at(position));
        };
        let row = self.row_type(oid)?;
        for (index, (name, column_type)) in row.columns.iter().enumerate() {
            let (name, input) = (name.clone(), Box::new(bound.clone()));
            let expr = Expr::Field { input, field: index as u32, data_type: column_type.data_type };
            targets.push(Target { name, expr, position, junk: false });
        }
        Ok(())
    }
}

/// The name of an output column without alias.
pub(super) fn column_name(expression: &Expression) -> Box<str> {
    figure(expression).map_or_else(|| "?column?".into(), |(name, _)| name)
}

/// FigureColnameInternal: the name, and whether it is a strong one (a cast's type name is weak).
fn figure(expression: &Expression) -> Option<(Box<str>, bool)> {
    let strong = |name: &str| Some((Box::<str>::from(name), true));
    match &expression.kind {
        ExpressionKind::Column(names) => strong(&names.last()?.name),
        ExpressionKind::Field(_, field) => strong(&field.name),
        ExpressionKind::Subscript(operand, _) => figure(operand),
        ExpressionKind::Function(call) => strong(call.name.name()),
        ExpressionKind::NullIf(..) => strong("nullif"),
        ExpressionKind::Coalesce(_) => strong("coalesce"),
        ExpressionKind::Greatest(_) => strong("greatest"),
        ExpressionKind::Least(_) => strong("least"),
        ExpressionKind::Grouping(_) => strong("grouping"),
        ExpressionKind::Exists(_) => strong("exists"),
        ExpressionKind::Array(_) | ExpressionKind::ArraySubquery(_) => strong("array"),
        ExpressionKind::Row { .. } => strong("row"),
        ExpressionKind::IsNormalized { .. } => strong("is_normalized"),
        ExpressionKind::Collate(operand, _) => figure(operand),
        ExpressionKind::Cast(operand, target) => match figure(operand) {
            Some((name, true)) => Some((name, true)),
            _ => Some((target.name.name().into(), false)),
        },
        ExpressionKind::Case(case) => match case.otherwise.as_ref().and_then(figure) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".into(), false)),
        },
        ExpressionKind::Subquery(query) => subquery_name(query),
        ExpressionKind::SessionValue(value) => strong(match value {
            SessionValue::CurrentDate => "current_date",
            SessionValue::CurrentTime(_) => "current_time",
            SessionValue::CurrentTimestamp(_) => "current_timestamp",
            SessionValue::LocalTime(_) => "localtime",
            SessionValue::LocalTimestamp(_) => "localtimestamp",
            SessionValue::CurrentRole => "current_role",
            SessionValue::CurrentUser => "current_user",
            SessionValue::SessionUser => "session_user",
            SessionValue::User => "user",
            SessionValue::CurrentCatalog => "current_catalog",
            SessionValue::CurrentSchema => "current_schema",
        }),
        // A literal true is spelled as a cast in PostgreSQL's grammar.
        ExpressionKind::Literal(crate::ast::Literal::Boolean(_)) => Some(("bool".into(), false)),
        _ => None,
    }
}

/// A scalar subquery takes the name of its first column.
fn subquery_name(query: &crate::ast::Query) -> Option<(Box<str>, bool)> {
    match &query.body {
        crate::ast::QueryBody::Select(select) => {
            let item = select.items.first()?;
            match &item.alias {
                Some(alias) => Some((alias.name.clone(), true)),
                None => figure(&item.expression),
            }
        }
        crate::ast::QueryBody::Values(_) => Some(("column1".into(), true)),
        crate::ast::QueryBody::SetOperation(operation) => subquery_name(&operation.left),
    }
}
