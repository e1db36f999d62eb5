//! PRIMARY KEY, UNIQUE, CHECK and FOREIGN KEY constraints, added to a table descriptor.
//!
//! The descriptor may be that of a new table, still empty, or of an existing one: then the caller has taken the lock, and
//! validates or backfills afterwards ([`Added`] says what).

use std::sync::Arc;

use executor::ExecResult;
use planner::Definition;
use planner::ast::{
    ConstraintTiming, ForeignKeyMatch, ForeignKeyReference, Identifier, ReferentialAction, TableConstraint,
    TableConstraintKind,
};
use types::acl::Rights;
use types::descriptor::{
    CheckConstraint, ColumnId, ElementState, ForeignKey, ForeignKeyAction, IndexDescriptor, Oid,
    TableDescriptor,
};
use types::{PgError, PgResult, SqlState};

use super::create_table::{ROWID, ascending, column_mut};
use super::names::{free_name, relation_taken};
use super::storage_options::OptionsOf;
use crate::session::Session;
use crate::table_locks::LockMode;

/// What was added to the descriptor, for whoever must see to the rows that are there already.
#[derive(Clone, Debug, PartialEq)]
pub enum Added {
    /// The clustered index is another one now: rows must be rewritten. The old one's storage index.
    PrimaryKey {
        replaced: u32,
    },
    Index(Oid),
    Check(Oid),
    ForeignKey(Oid),
}

/// Index columns may number this many (PostgreSQL's INDEX_MAX_KEYS).
pub const INDEX_COLUMNS_MAX: usize = 32;

impl Session {
    pub(super) async fn add_constraint(
        &mut self,
        table: &mut TableDescriptor,
        column: Option<ColumnId>,
        constraint: &TableConstraint,
    ) -> ExecResult<Added> {
        match &constraint.kind {
            TableConstraintKind::PrimaryKey { columns, include, options } => {
                refuse_deferrable_key(constraint.timing)?;
                let added = self.add_primary_key(table, constraint, columns, include).await?;
                self.set_options(OptionsOf::Index, &mut table.primary.options, options)?;
                Ok(added)
            }
            TableConstraintKind::Unique { columns, include, nulls_not_distinct, options } => {
                refuse_deferrable_key(constraint.timing)?;
                let added = self.add_unique(table, constraint, columns, include, *nulls_not_distinct).await?;
                let index = table.indexes.last_mut().expect("it was just added");
                self.set_options(OptionsOf::Index, &mut index.options, options)?;
                Ok(added)
            }
            TableConstraintKind::Check(expression) => {
                self.add_check(table, column, constraint, &expression.text).await
            }
            TableConstraintKind::ForeignKey { columns, reference } => {
                self.add_foreign_key(table, constraint, columns, reference).await
            }
            TableConstraintKind::UsingIndex { .. } => {
                Err(PgError::unsupported("ADD CONSTRAINT ... USING INDEX").into())
            }
            TableConstraintKind::Exclude => Err(PgError::unsupported("exclusion constraints").into()),
        }
    }

    /// The constraint's name, checked to be free, or a made-up one.
    fn constraint_name(
        &mut self,
        table: &TableDescriptor,
        given: Option<&Identifier>,
        middle: &str,
        label: &str,
        is_index: bool,
    ) -> PgResult<String> {
        let snapshot = self.snapshot();
        let taken = |name: &str| {
            constraint_named(table, name).is_some()
                || (is_index && (relation_taken(&snapshot, table.schema, name) || index_named(table, name)))
        };
        let Some(given) = given else { return Ok(free_name(&table.name, middle, label, taken)) };
        if constraint_named(table, &given.name).is_some() {
            return Err(PgError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("constraint \"{}\" for relation \"{}\" already exists", given.name, table.name),
            ));
        }
        if taken(&given.name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" already exists", given.name),
            ));
        }
        Ok(given.name.to_string())
    }

    async fn add_primary_key(
        &mut self,
        table: &mut TableDescriptor,
        constraint: &TableConstraint,
        columns: &[Identifier],
        include: &[Identifier],
    ) -> ExecResult<Added> {
        if table.primary.constraint.is_some() {
            return Err(PgError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("multiple primary keys for table \"{}\" are not allowed", table.name),
            )
            .at(constraint.position)
            .into());
        }
        if !include.is_empty() {
            return Err(
                PgError::unsupported("INCLUDE in a primary key, which holds every column anyway,").into()
            );
        }
        let ids = key_columns(table, columns)?;
        let name = self.constraint_name(table, constraint.name.as_ref(), "", "pkey", true)?;
        for id in &ids {
            column_mut(table, *id).not_null = true;
        }
        let replaced = table.primary.storage_index;
        let storage_index = table.next_storage_index;
        table.next_storage_index += 1;
        table.primary = IndexDescriptor {
            id: self.new_oid().await?,
            name,
            storage_index,
            columns: ids.into_iter().map(ascending).collect(),
            included: Vec::new(),
            unique: true,
            nulls_not_distinct: false,
            constraint: Some(self.new_oid().await?),
            predicate: None,
            state: ElementState::Public,
            comment: None,
            deferrable: false,
            initially_deferred: false,
            options: Vec::new(),
        };
        table.columns.retain(|column| column.id != ROWID);
        Ok(Added::PrimaryKey { replaced })
    }

    async fn add_unique(
        &mut self,
        table: &mut TableDescriptor,
        constraint: &TableConstraint,
        columns: &[Identifier],
        include: &[Identifier],
        nulls_not_distinct: bool,
    ) -> ExecResult<Added> {
        let ids = key_columns(table, columns)?;
        let included = key_columns_or_none(table, include)?;
        let middle = joined_names(columns);
        let name = self.constraint_name(table, constraint.name.as_ref(), &middle, "key", true)?;
        let id = self.new_oid().await?;
        let storage_index = table.next_storage_index;
        table.next_storage_index += 1;
        table.indexes.push(IndexDescriptor {
            id,
            name,
            storage_index,
            columns: ids.into_iter().map(ascending).collect(),
            included,
            unique: true,
            nulls_not_distinct,
            constraint: Some(self.new_oid().await?),
            predicate: None,
            state: ElementState::Public,
            comment: None,
            deferrable: false,
            initially_deferred: false,
            options: Vec::new(),
        });
        Ok(Added::Index(id))
    }

    async fn add_check(
        &mut self,
        table: &mut TableDescriptor,
        column: Option<ColumnId>,
        constraint: &TableConstraint,
        text: &str,
    ) -> ExecResult<Added> {
        let catalog = self.statement_catalog();
        let columns = planner::check_table_condition(table, text, &catalog, self.plan_options())
            .map_err(|error| error.or_at(constraint.position))?;
        let only = match (column, columns.as_slice()) {
            (Some(column), _) => Some(column),
            (None, [column]) => Some(*column),
            (None, _) => None,
        };
        let middle = only.and_then(|id| table.column(id)).map_or(String::new(), |column| column.name.clone());
        let name = self.constraint_name(table, constraint.name.as_ref(), &middle, "check", false)?;
        let id = self.new_oid().await?;
        table.checks.push(CheckConstraint {
            id,
            name,
            expression: self.frozen(text, &Definition::OverRow(table, None))?,
            columns,
            not_valid: constraint.timing.not_valid,
        });
        Ok(Added::Check(id))
    }

    async fn add_foreign_key(
        &mut self,
        table: &mut TableDescriptor,
        constraint: &TableConstraint,
        columns: &[Identifier],
        reference: &ForeignKeyReference,
    ) -> ExecResult<Added> {
        if reference.match_type == ForeignKeyMatch::Partial {
            return Err(PgError::unsupported("MATCH PARTIAL").into());
        }
        let ids = columns.iter().map(|name| column_named(table, name)).collect::<PgResult<Vec<_>>>()?;
        // A table may refer to itself before it exists.
        let own_name =
            reference.table.name() == table.name && self.find_relation(&reference.table)?.is_none();
        let referenced_id = if own_name { table.id } else { self.table_named(&reference.table)? };
        let to_itself = referenced_id == table.id;
        if !to_itself {
            self.lock_table(referenced_id, LockMode::ShareRowExclusive).await?;
        }
        let snapshot = self.snapshot();
        let referenced: TableDescriptor = if to_itself {
            table.clone()
        } else {
            TableDescriptor::clone(snapshot.table(referenced_id).expect("just found"))
        };
        if !to_itself {
            self.check_reference_persistence(table, &referenced)?;
            self.require_right(&snapshot, (&referenced).into(), Rights::REFERENCES)?;
        }
        let (referenced_columns, index) = referenced_key(&referenced, reference)?;
        check_same_length(&ids, &referenced_columns)?;
        check_comparable(table, &ids, &referenced, &referenced_columns, constraint)?;
        let name =
            self.constraint_name(table, constraint.name.as_ref(), &joined_names(columns), "fkey", false)?;
        let id = self.new_oid().await?;
        table.foreign_keys.push(ForeignKey {
            id,
            name,
            columns: ids,
            referenced_table: referenced_id,
            referenced_columns,
            referenced_index: index,
            on_delete: action(&reference.on_delete)?,
            on_update: action(&reference.on_update)?,
            match_full: reference.match_type == ForeignKeyMatch::Full,
            deferrable: constraint.timing.deferrable,
            initially_deferred: constraint.timing.initially_deferred,
            not_valid: constraint.timing.not_valid,
        });
        if to_itself {
            table.referenced_by.push((table.id, id));
        } else {
            let mut referenced = referenced;
            referenced.referenced_by.push((table.id, id));
            self.put_table(referenced).await?;
        }
        Ok(Added::ForeignKey(id))
    }

    /// Sees to the rows that are there already.
    pub(super) async fn settle_added(
        &mut self,
        table: &Arc<TableDescriptor>,
        added: Added,
    ) -> ExecResult<()> {
        match added {
            Added::PrimaryKey { replaced } => self.rewrite_primary(table, replaced).await,
            Added::Index(id) => self.backfill_index(table, id).await,
            Added::Check(id) => self.validate_check(table, id).await,
            Added::ForeignKey(id) => self.validate_foreign_key(table, id).await,
        }
    }

    pub(super) async fn validate_check(&mut self, table: &TableDescriptor, id: Oid) -> ExecResult<()> {
        let Some(check) = table.checks.iter().find(|check| check.id == id) else { return Ok(()) };
        let relation = self.qualified_name(table);
        let query = format!("SELECT 1 FROM {relation} WHERE NOT ({}) LIMIT 1", check.expression);
        if self.internal_rows(&query).await?.is_empty() {
            return Ok(());
        }
        let schema = self.snapshot().schema_name(table.schema).to_string();
        Err(PgError::new(
            SqlState::CHECK_VIOLATION,
            format!(
                "check constraint \"{}\" of relation \"{}\" is violated by some row",
                check.name, table.name
            ),
        )
        .table(schema, &table.name)
        .constraint(&check.name)
        .into())
    }

    pub(super) async fn validate_foreign_key(&mut self, table: &TableDescriptor, id: Oid) -> ExecResult<()> {
        let Some(key) = table.foreign_keys.iter().find(|key| key.id == id) else { return Ok(()) };
        let snapshot = self.snapshot();
        let Some(referenced) = snapshot.table(key.referenced_table).cloned() else { return Ok(()) };
        let quoted = |table: &TableDescriptor, alias: &str, id: &ColumnId| {
            let name = table.column(*id).map_or("", |column| &column.name);
            format!("{alias}.{}", super::create_table::quote(name))
        };
        let own: Vec<String> = key.columns.iter().map(|id| quoted(table, "f", id)).collect();
        let other: Vec<String> =
            key.referenced_columns.iter().map(|id| quoted(&referenced, "p", id)).collect();
        let pairs: Vec<String> = own.iter().zip(&other).map(|(f, p)| format!("{f} = {p}")).collect();
        let present: Vec<String> = own.iter().map(|f| format!("{f} IS NOT NULL")).collect();
        let texts: Vec<String> = own.iter().map(|f| format!("{f}::text")).collect();
        let query = format!(
            "SELECT {} FROM {} f WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {}) LIMIT 1",
            texts.join(", "),
            self.qualified_name(table),
            present.join(" AND "),
            self.qualified_name(&referenced),
            pairs.join(" AND "),
        );
        let rows = self.internal_rows(&query).await?;
        let Some(row) = rows.first() else { return Ok(()) };
        let values: Vec<String> = row
            .iter()
            .map(|value| match value {
                types::Datum::Text(text) => text.to_string(),
                _ => "null".to_string(),
            })
            .collect();
        let names: Vec<&str> = key
            .columns
            .iter()
            .filter_map(|id| table.column(*id))
            .map(|column| column.name.as_str())
            .collect();
        Err(PgError::new(
            SqlState::FOREIGN_KEY_VIOLATION,
            format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                table.name, key.name
            ),
        )
        .detail(format!(
            "Key ({})=({}) is not present in table \"{}\".",
            names.join(", "),
            values.join(", "),
            referenced.name
        ))
        .table(snapshot.schema_name(table.schema), &table.name)
        .constraint(&key.name)
        .into())
    }

    /// A table's name as SQL text that means it under any search path.
    pub(super) fn qualified_name(&mut self, table: &TableDescriptor) -> String {
        let snapshot = self.snapshot();
        let schema = super::create_table::quote(snapshot.schema_name(table.schema));
        format!("{schema}.{}", super::create_table::quote(&table.name))
    }
}

fn refuse_deferrable_key(timing: ConstraintTiming) -> PgResult<()> {
    if timing.deferrable {
        return Err(PgError::unsupported("deferrable unique constraints"));
    }
    Ok(())
}

/// A constraint's id by name: every constraint of a table has its own name.
pub fn constraint_named(table: &TableDescriptor, name: &str) -> Option<Oid> {
    let checks = table.checks.iter().filter(|check| check.name == name).map(|check| check.id);
    let keys = table.foreign_keys.iter().filter(|key| key.name == name).map(|key| key.id);
    let indexes = table.all_indexes().filter(|index| index.name == name).filter_map(|index| index.constraint);
    checks.chain(keys).chain(indexes).next()
}

fn index_named(table: &TableDescriptor, name: &str) -> bool {
    table.indexes.iter().any(|index| index.name == name)
        || (table.primary.constraint.is_some() && table.primary.name == name)
}

pub fn joined_names(columns: &[Identifier]) -> String {
    columns.iter().map(|column| &*column.name).collect::<Vec<_>>().join("_")
}

/// The column of a name: 42703.
pub fn column_named(table: &TableDescriptor, name: &Identifier) -> PgResult<ColumnId> {
    let column = table.columns.iter().find(|column| column.name == *name.name && !column.hidden);
    column.map(|column| column.id).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" named in key does not exist", name.name),
        )
        .at(name.position)
    })
}

fn key_columns_or_none(table: &TableDescriptor, names: &[Identifier]) -> PgResult<Vec<ColumnId>> {
    if names.is_empty() { Ok(Vec::new()) } else { key_columns(table, names) }
}

/// Columns of a key: existing, distinct, of an indexable type, not too many.
fn key_columns(table: &TableDescriptor, names: &[Identifier]) -> PgResult<Vec<ColumnId>> {
    if names.len() > INDEX_COLUMNS_MAX {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index"),
        ));
    }
    let mut ids = Vec::with_capacity(names.len());
    for name in names {
        let id = column_named(table, name)?;
        if ids.contains(&id) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" appears twice in unique constraint", name.name),
            )
            .at(name.position));
        }
        check_indexable(table, id)?;
        ids.push(id);
    }
    Ok(ids)
}

/// 42704 for a type that has no order.
pub fn check_indexable(table: &TableDescriptor, id: ColumnId) -> PgResult<()> {
    let data_type = table.column(id).expect("the column is part of the table").column_type.data_type;
    if types::row::is_indexable(data_type) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("data type {data_type} has no default operator class for access method \"btree\""),
    )
    .hint("You must specify an operator class for the index or define a default operator class for the data type."))
}

/// The referenced columns and the unique index over exactly them.
fn referenced_key(
    table: &TableDescriptor,
    reference: &ForeignKeyReference,
) -> PgResult<(Vec<ColumnId>, Oid)> {
    if reference.columns.is_empty() {
        if table.primary.constraint.is_none() {
            return Err(PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("there is no primary key for referenced table \"{}\"", table.name),
            ));
        }
        let columns = table.primary.columns.iter().map(|column| column.column).collect();
        return Ok((columns, table.primary.id));
    }
    let columns = reference
        .columns
        .iter()
        .map(|name| {
            column_named(table, name).map_err(|_| {
                PgError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column \"{}\" referenced in foreign key constraint does not exist", name.name),
                )
            })
        })
        .collect::<PgResult<Vec<_>>>()?;
    let covers = |index: &&IndexDescriptor| {
        index.unique
            && index.predicate.is_none()
            && index.columns.len() == columns.len()
            && index.columns.iter().all(|column| columns.contains(&column.column))
    };
    let index = table.all_indexes().find(covers).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_FOREIGN_KEY,
            format!(
                "there is no unique constraint matching given keys for referenced table \"{}\"",
                table.name
            ),
        )
    })?;
    Ok((columns, index.id))
}

fn check_same_length(columns: &[ColumnId], referenced: &[ColumnId]) -> PgResult<()> {
    if columns.len() == referenced.len() {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_FOREIGN_KEY,
        "number of referencing and referenced columns for foreign key disagree",
    ))
}

fn check_comparable(
    table: &TableDescriptor,
    columns: &[ColumnId],
    referenced: &TableDescriptor,
    referenced_columns: &[ColumnId],
    constraint: &TableConstraint,
) -> PgResult<()> {
    for (own, other) in columns.iter().zip(referenced_columns) {
        let own = table.column(*own).expect("checked");
        let other = referenced.column(*other).expect("checked");
        let (left, right) = (own.column_type.data_type, other.column_type.data_type);
        if left != right && expr::resolve::resolve_operator("=", Some(left), right).is_err() {
            let name = constraint.name.as_ref().map_or_else(
                || super::names::object_name(&table.name, &own.name, "fkey"),
                |name| name.name.to_string(),
            );
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("foreign key constraint \"{name}\" cannot be implemented"),
            )
            .detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {left} and {right}.",
                own.name, other.name
            )));
        }
    }
    Ok(())
}

fn action(action: &ReferentialAction) -> PgResult<ForeignKeyAction> {
    Ok(match action {
        ReferentialAction::NoAction => ForeignKeyAction::NoAction,
        ReferentialAction::Restrict => ForeignKeyAction::Restrict,
        ReferentialAction::Cascade => ForeignKeyAction::Cascade,
        ReferentialAction::SetNull(columns) if columns.is_empty() => ForeignKeyAction::SetNull,
        ReferentialAction::SetDefault(columns) if columns.is_empty() => ForeignKeyAction::SetDefault,
        ReferentialAction::SetNull(_) | ReferentialAction::SetDefault(_) => {
            return Err(PgError::unsupported("a column list for ON DELETE SET NULL or SET DEFAULT"));
        }
    })
}
