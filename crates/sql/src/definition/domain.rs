//! CREATE DOMAIN, ALTER DOMAIN.

use executor::ExecResult;
use planner::Definition;
use planner::ast::{
    AlterDomain, AlterDomainAction, ColumnConstraintKind, CreateDomain, Identifier, TableConstraintKind,
};
use types::descriptor::{
    DomainCheck, DomainDescriptor, Oid, TableDescriptor, TypeDefinition, TypeDescriptor,
};
use types::{BaseType, ColumnType, DataType, PgError, PgResult, SqlState};

use super::create_table::quote;
use super::names::free_name;
use super::user_type::{mentions, type_text};
use crate::catalog::CatalogSnapshot;
use crate::session::Session;
use crate::session::statement::Tag;

impl Session {
    pub(super) async fn create_domain(&mut self, create: &CreateDomain) -> ExecResult<Tag> {
        let schema = self.new_type_schema(&create.name)?;
        let parent = self.domain_parent(create)?;
        let mut domain = DomainDescriptor { parent, not_null: false, default: None, checks: Vec::new() };
        let (mut null, mut defaulted) = (None, false);
        for constraint in &create.constraints {
            match &constraint.kind {
                ColumnConstraintKind::NotNull if null == Some(true) => return Err(conflicting_null()),
                ColumnConstraintKind::Null if null == Some(false) => return Err(conflicting_null()),
                ColumnConstraintKind::NotNull => (null, domain.not_null) = (Some(false), true),
                ColumnConstraintKind::Null => null = Some(true),
                ColumnConstraintKind::Default(_) if defaulted => {
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, "multiple default expressions").into());
                }
                ColumnConstraintKind::Default(expression) => {
                    defaulted = true;
                    self.check_domain_default(&expression.text, &create.name.to_string(), parent)?;
                    domain.default = Some(self.kept_default(&expression.text, parent)?);
                }
                ColumnConstraintKind::Check { no_inherit: true, .. } => {
                    return Err(PgError::new(
                        SqlState::INVALID_OBJECT_DEFINITION,
                        "check constraints for domains cannot be marked NO INHERIT",
                    )
                    .into());
                }
                ColumnConstraintKind::Check { expression, .. } => {
                    let name = constraint.name.as_ref();
                    self.add_domain_check(create.name.name(), &mut domain, name, &expression.text, false)
                        .await?;
                }
                other => return Err(refused(other).into()),
            }
        }
        self.put_new_type(schema, create.name.name(), TypeDefinition::Domain(domain)).await?;
        Ok(Tag::Plain("CREATE DOMAIN"))
    }

    fn domain_parent(&mut self, create: &CreateDomain) -> PgResult<ColumnType> {
        let catalog = self.statement_catalog();
        let parent = planner::resolve_type(&create.base, &catalog, self.plan_options())?;
        let not_a_base = matches!(parent.data_type, DataType::Unknown) || parent.data_type.category() == b'P';
        if not_a_base {
            let label = type_text(&catalog.snapshot, parent);
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("\"{label}\" is not a valid base type for a domain"),
            )
            .at(create.base.position));
        }
        if BaseType::of(parent.data_type.base()).is_none() {
            return Err(PgError::unsupported("a domain over an array of domains").at(create.base.position));
        }
        if create.collation.is_some() && !parent.data_type.base().is_string() {
            let label = type_text(&catalog.snapshot, parent);
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("collations are not supported by type {label}"),
            ));
        }
        Ok(parent)
    }

    fn check_domain_default(&mut self, text: &str, name: &str, to: ColumnType) -> PgResult<()> {
        let catalog = self.statement_catalog();
        planner::check_default(text, name, to, &catalog, self.plan_options())
    }

    async fn add_domain_check(
        &mut self,
        domain_name: &str,
        domain: &mut DomainDescriptor,
        name: Option<&Identifier>,
        text: &str,
        not_valid: bool,
    ) -> ExecResult<()> {
        let catalog = self.statement_catalog();
        let over = domain.parent.data_type.base();
        planner::check_domain_condition(text, over, &catalog, self.plan_options())?;
        let text = &*self.frozen(text, &Definition::DomainCheck(over))?;
        let taken = |name: &str| domain.checks.iter().any(|check| check.name == name);
        let name = match name {
            None => free_name(domain_name, "", "check", taken),
            Some(name) if taken(&name.name) => {
                return Err(PgError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("constraint \"{}\" for domain {} already exists", name.name, quote(domain_name)),
                )
                .into());
            }
            Some(name) => name.name.to_string(),
        };
        let id = self.new_oid().await?;
        domain.checks.push(DomainCheck { id, name, expression: text.to_string(), not_valid });
        Ok(())
    }

    pub(super) async fn alter_domain(&mut self, alter: &AlterDomain) -> ExecResult<Tag> {
        let mut descriptor = self.changeable_type(&alter.name)?;
        let domain_name = descriptor.name.clone();
        let TypeDefinition::Domain(domain) = &mut descriptor.definition else {
            let message = format!("{} is not a domain", quote(&domain_name));
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        };
        let mut validate = false;
        match &alter.action {
            AlterDomainAction::SetDefault(expression) => {
                self.check_domain_default(&expression.text, &domain_name, domain.parent)?;
                domain.default = Some(self.kept_default(&expression.text, domain.parent)?);
            }
            AlterDomainAction::DropDefault => domain.default = None,
            AlterDomainAction::SetNotNull => {
                validate = !domain.not_null;
                domain.not_null = true;
            }
            AlterDomainAction::DropNotNull => domain.not_null = false,
            AlterDomainAction::AddConstraint(constraint) => {
                let TableConstraintKind::Check(expression) = &constraint.kind else {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        "only CHECK constraints are possible for domains",
                    )
                    .into());
                };
                let not_valid = constraint.timing.not_valid;
                let name = constraint.name.as_ref();
                self.add_domain_check(&domain_name, domain, name, &expression.text, not_valid).await?;
                validate = !not_valid;
            }
            AlterDomainAction::DropConstraint { name, if_exists, .. } => {
                let before = domain.checks.len();
                domain.checks.retain(|check| check.name != *name.name);
                if domain.checks.len() == before {
                    let message = no_constraint(&name.name, &domain_name);
                    if !*if_exists {
                        return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).into());
                    }
                    self.notice(PgError::notice(format!("{message}, skipping")));
                }
            }
            AlterDomainAction::ValidateConstraint(name) => {
                let Some(check) = domain.checks.iter_mut().find(|check| check.name == *name.name) else {
                    let message = no_constraint(&name.name, &domain_name);
                    return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).into());
                };
                check.not_valid = false;
                validate = true;
            }
        }
        self.put_type(descriptor.clone()).await?;
        self.renew_users(descriptor.id).await?;
        if validate {
            self.validate_domain(&descriptor).await?;
        }
        Ok(Tag::Plain("ALTER DOMAIN"))
    }

    /// Gives the tables that use a domain a new version: what is kept with the old one was made for the old domain.
    async fn renew_users(&mut self, domain: Oid) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let uses = |table: &TableDescriptor| {
            table.columns.iter().any(|column| mentions(&snapshot, column.column_type.data_type, domain))
        };
        for table in snapshot.tables(self.database).filter(|table| uses(table)) {
            self.lock_table(table.id, crate::table_locks::LockMode::Share).await?;
            let table = TableDescriptor::clone(&self.descriptor(table.id));
            self.put_table(table).await?;
        }
        Ok(())
    }

    /// Checks what is stored in columns of the domain, and of domains over it, against its new form.
    async fn validate_domain(&mut self, domain: &TypeDescriptor) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let mut held: Vec<(Oid, String, ColumnType)> = Vec::new();
        for table in snapshot.tables(self.database) {
            for column in &table.columns {
                let data_type = column.column_type.data_type;
                if !mentions(&snapshot, data_type, domain.id) {
                    continue;
                }
                if !matches!(data_type, DataType::Domain(_)) {
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                            domain.name, table.name, column.name
                        ),
                    )
                    .into());
                }
                held.push((table.id, column.name.clone(), column.column_type));
            }
        }
        for (table, column, column_type) in held {
            let table = self.descriptor(table);
            self.lock_table(table.id, crate::table_locks::LockMode::Share).await?;
            self.validate_domain_column(&table, &column, column_type).await?;
        }
        Ok(())
    }

    async fn validate_domain_column(
        &mut self,
        table: &TableDescriptor,
        column: &str,
        column_type: ColumnType,
    ) -> ExecResult<()> {
        let converted = converted_anew(&self.snapshot(), column, column_type);
        let query = format!("SELECT count({converted}) FROM {}", self.qualified_name(table));
        self.internal_rows(&query).await.map(drop).map_err(|error| {
            let error = error.into_pg_error();
            let message = match error.code() {
                SqlState::NOT_NULL_VIOLATION => {
                    format!("column \"{column}\" of table \"{}\" contains null values", table.name)
                }
                SqlState::CHECK_VIOLATION => format!(
                    "column \"{column}\" of table \"{}\" contains values that violate the new constraint",
                    table.name
                ),
                _ => return error.into(),
            };
            PgError::new(error.code(), message).into()
        })
    }

    /// A new column without value is NULL in the rows that are there, if there are any: 23502 or 23514 if its domain refuses that.
    pub(super) async fn require_no_rows_refused(
        &mut self,
        table: &TableDescriptor,
        column: &str,
        column_type: ColumnType,
    ) -> ExecResult<()> {
        let converted = converted_anew(&self.snapshot(), column, column_type);
        let name = quote(column);
        let table = self.qualified_name(table);
        let query = format!("SELECT count({converted}) FROM (SELECT {name} FROM {table} LIMIT 1) AS one");
        self.internal_rows(&query).await.map(drop)
    }
}

/// Text of a column's value out to what its domain is over and in again: the conversion is what checks.
fn converted_anew(snapshot: &CatalogSnapshot, column: &str, column_type: ColumnType) -> String {
    let base = type_text(snapshot, column_type.data_type.base().into());
    let domain = type_text(snapshot, column_type);
    format!("({}::{base})::{domain}", quote(column))
}

/// What a domain and those that it is over say of values; nothing, of other types.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DomainRules {
    pub has_default: bool,
    /// Some values are refused, perhaps NULL.
    pub is_constrained: bool,
}

pub(super) fn domain_rules(snapshot: &CatalogSnapshot, data_type: DataType) -> DomainRules {
    let mut rules = DomainRules::default();
    let mut data_type = data_type;
    while let DataType::Domain(domain) = data_type {
        let found = snapshot.user_type_descriptor(Oid(domain.oid)).map(|found| &found.definition);
        let Some(TypeDefinition::Domain(definition)) = found else { break };
        rules.has_default |= definition.default.is_some();
        rules.is_constrained |= definition.not_null || !definition.checks.is_empty();
        data_type = definition.parent.data_type;
    }
    rules
}

fn no_constraint(name: &str, domain: &str) -> String {
    format!("constraint \"{name}\" of domain \"{domain}\" does not exist")
}

fn conflicting_null() -> executor::ExecError {
    PgError::new(SqlState::SYNTAX_ERROR, "conflicting NULL/NOT NULL constraints").into()
}

fn refused(kind: &ColumnConstraintKind) -> PgError {
    let (code, what) = match kind {
        ColumnConstraintKind::Unique { .. } => (SqlState::SYNTAX_ERROR, "unique constraints"),
        ColumnConstraintKind::PrimaryKey { .. } => (SqlState::SYNTAX_ERROR, "primary key constraints"),
        ColumnConstraintKind::References(_) => (SqlState::SYNTAX_ERROR, "foreign key constraints"),
        _ => {
            let message = "specifying GENERATED is not supported for domains";
            return PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        }
    };
    PgError::new(code, format!("{what} not possible for domains"))
}
