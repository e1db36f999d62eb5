//! CREATE VIEW.

use std::sync::Arc;

use executor::ExecResult;
use planner::Definition;
use planner::ast::{CopyOption, CreateView, OptionValue, Persistence, StatementKind};
use types::acl::AclKind;
use types::descriptor::{DescriptorVersion, Oid, ViewColumn, ViewDescriptor};
use types::{DataType, PgError, PgResult, SqlState};

use super::create_table::quote;
use super::names::{kind_of, relation_taken, wrong_kind};
use crate::catalog::{NameTarget, Object, Space, store};
use crate::session::Session;
use crate::session::prepared::Prepared;
use crate::session::statement::Tag;

impl Session {
    pub(super) async fn create_view(&mut self, create: &CreateView) -> ExecResult<Tag> {
        match () {
            _ if create.persistence == Persistence::Unlogged => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "views cannot be unlogged because they do not have storage",
                )
                .into());
            }
            _ if create.check_option.is_some() => {
                return Err(PgError::unsupported("WITH CHECK OPTION").into());
            }
            _ if !matches!(create.query.node.kind, StatementKind::Select(_)) => {
                return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "views must be queries").into());
            }
            _ if modifies(&create.query.node.kind) => {
                let message = "views must not contain data-modifying statements in WITH";
                return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).into());
            }
            _ => {}
        }
        let name = create.name.name();
        let options = ViewOptions::read(&create.options)?;
        let text: Arc<str> = view_text(create);
        if create.recursive {
            let statement = planner::parse(&text)?.into_iter().next();
            let query = statement.map(|node| planner::ast::Sourced { node, text: text.as_ref().into() });
            let plain = query.map(|query| CreateView { query, recursive: false, ..create.clone() });
            if let Some(plain) = plain {
                return Box::pin(self.create_view(&plain)).await;
            }
        }
        let (columns, depends_on) = self.view_columns(create, &text)?;
        let text = planner::expand_wildcards(&text, &self.statement_catalog(), self.plan_options())?;
        let text = self.frozen(&text, &Definition::Query)?;
        let persistence = self.view_persistence(create, &depends_on);
        let schema = self.place(&create.name, persistence).await?;
        let snapshot = self.snapshot();
        let existing = snapshot.relation(schema, name);
        let old = match existing {
            None => None,
            Some(_) if !create.or_replace => {
                return Err(store::already_exists(Space::Relations(schema), name).into());
            }
            Some(NameTarget::Object(id)) if snapshot.view(id).is_some() => snapshot.view(id).cloned(),
            Some(target) => {
                debug_assert!(relation_taken(&snapshot, schema, name));
                let _ = kind_of(&snapshot, target);
                return Err(wrong_kind(name, planner::ast::ObjectKind::View).into());
            }
        };
        if let Some(old) = &old {
            check_replacement(old, &columns)?;
        }
        let (id, version) = match &old {
            Some(old) => (old.id, DescriptorVersion(old.version.0 + 1)),
            None => (self.new_oid().await?, DescriptorVersion(1)),
        };
        let view = ViewDescriptor {
            id,
            database: self.database,
            schema,
            name: name.to_string(),
            version,
            owner: self.user.clone(),
            query: text,
            columns,
            search_path: self.view_search_path(snapshot.is_temporary(schema)),
            depends_on,
            comment: None,
            check_option: None,
            security_invoker: options.security_invoker,
            security_barrier: options.security_barrier,
            acl: old
                .as_ref()
                .map_or_else(|| self.new_acl(AclKind::Table, Some(schema)), |old| old.acl.clone()),
        };
        self.put_object(Object::View(Arc::new(view))).await?;
        Ok(Tag::Plain("CREATE VIEW"))
    }

    /// A view over something temporary is temporary itself.
    fn view_persistence(&mut self, create: &CreateView, depends_on: &[Oid]) -> Persistence {
        let snapshot = self.snapshot();
        let temporary = |id: &Oid| {
            let schema = snapshot.object(*id).and_then(Object::schema);
            schema.is_some_and(|schema| snapshot.is_temporary(schema))
        };
        let named_temporary = create.name.schema().is_some_and(|schema| self.is_own_temporary(schema));
        if create.persistence == Persistence::Permanent
            && !named_temporary
            && depends_on.iter().any(temporary)
        {
            self.notice(PgError::notice(format!("view \"{}\" will be a temporary view", create.name.name())));
            return Persistence::Temporary;
        }
        create.persistence
    }

    fn view_columns(
        &mut self,
        create: &CreateView,
        text: &Arc<str>,
    ) -> ExecResult<(Vec<ViewColumn>, Vec<Oid>)> {
        let statement = Arc::new(create.query.node.clone());
        let prepared = Arc::new(Prepared::new(text.clone(), Some(statement), Vec::new()));
        let catalog = self.statement_catalog();
        let planned = prepared.plan(&catalog, self.plan_options())?;
        let plan = &planned.plan;
        if !plan.parameters.is_empty() {
            return Err(PgError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1").into());
        }
        if create.columns.len() > plan.output.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "CREATE VIEW specifies more column names than columns",
            )
            .into());
        }
        let mut columns: Vec<ViewColumn> = Vec::with_capacity(plan.output.len());
        for (position, column) in plan.output.iter().enumerate() {
            let name = create.columns.get(position).map_or(&*column.name, |name| &*name.name);
            if columns.iter().any(|other| other.name == name) {
                return Err(PgError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{name}\" specified more than once"),
                )
                .into());
            }
            let mut column_type = column.column_type;
            if column_type.data_type == DataType::Unknown {
                column_type = DataType::Text.into();
            }
            columns.push(ViewColumn {
                name: name.to_string(),
                column_type,
                acl: Default::default(),
                comment: None,
            });
        }
        let mut depends_on: Vec<Oid> = plan.relations.iter().map(|relation| relation.id).collect();
        depends_on.sort_unstable();
        depends_on.dedup();
        Ok((columns, depends_on))
    }
}

/// WITH (...) of a view.
#[derive(Default)]
struct ViewOptions {
    security_invoker: bool,
    security_barrier: bool,
}

impl ViewOptions {
    fn read(options: &[CopyOption]) -> PgResult<ViewOptions> {
        let mut read = ViewOptions::default();
        for option in options {
            let flag = || match &option.value {
                OptionValue::None => Ok(true),
                OptionValue::Text(text) | OptionValue::Number(text) => match &*text.to_ascii_lowercase() {
                    "true" | "on" | "yes" | "1" => Ok(true),
                    "false" | "off" | "no" | "0" => Ok(false),
                    _ => Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("invalid value for boolean option \"{}\": {text}", option.name),
                    )),
                },
                _ => Err(PgError::unsupported(format!("this value of the view option {}", option.name))),
            };
            match &*option.name {
                "security_invoker" => read.security_invoker = flag()?,
                "security_barrier" => read.security_barrier = flag()?,
                "check_option" => return Err(PgError::unsupported("WITH CHECK OPTION")),
                other => {
                    let message = format!("unrecognized parameter \"{other}\"");
                    return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
                }
            }
        }
        Ok(read)
    }
}

/// The query of a view as it is kept. A recursive view is one over a recursive common table of its name.
fn view_text(create: &CreateView) -> Arc<str> {
    if !create.recursive {
        return create.query.text.as_ref().into();
    }
    let name = quote(create.name.name());
    let columns: Vec<String> = create.columns.iter().map(|column| quote(&column.name)).collect();
    let columns = columns.join(", ");
    format!("WITH RECURSIVE {name} ({columns}) AS ({}) SELECT {columns} FROM {name}", create.query.text)
        .into()
}

/// OR REPLACE may only add columns at the end.
fn check_replacement(old: &ViewDescriptor, columns: &[ViewColumn]) -> Result<(), PgError> {
    let refuse = |message: String| Err(PgError::new(SqlState::INVALID_TABLE_DEFINITION, message));
    if columns.len() < old.columns.len() {
        return refuse("cannot drop columns from view".into());
    }
    for (old, new) in old.columns.iter().zip(columns) {
        if old.name != new.name {
            return refuse(format!("cannot change name of view column \"{}\" to \"{}\"", old.name, new.name));
        }
        if old.column_type != new.column_type {
            return refuse(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                old.name, old.column_type, new.column_type
            ));
        }
    }
    Ok(())
}

/// Does the query's own WITH modify data? (No other WITH may.)
fn modifies(kind: &StatementKind) -> bool {
    let StatementKind::Select(query) = kind else { return false };
    let mut tables = query.with.iter().flat_map(|with| &with.tables);
    tables.any(|table| !matches!(table.statement.kind, StatementKind::Select(_)))
}
