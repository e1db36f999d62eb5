//! CREATE INDEX.

use std::sync::Arc;

use executor::ExecResult;
use planner::Definition;
use planner::ast::{CreateIndex, ExpressionKind, IndexElement, NullsOrder, ObjectName};
use types::descriptor::{ColumnId, ElementState, IndexColumn, IndexDescriptor, TableDescriptor};
use types::{DataType, PgError, PgResult, Severity, SqlState};

use super::constraint::{INDEX_COLUMNS_MAX, check_indexable, column_named};
use super::names::{free_name, relation_taken};
use super::storage_options::OptionsOf;
use crate::catalog::{Space, store};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;
use crate::virtual_tables::pg_catalog::btree::{CLASSES, default_class};

impl Session {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> ExecResult<Tag> {
        refuse_unsupported(create)?;
        if create.concurrently && self.in_block() {
            return Err(PgError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
            )
            .into());
        }
        let table_id = self.table_named(&create.table.name)?;
        // The strongest lock, where PostgreSQL takes SHARE: writers and readers hold plans made without the index.
        self.lock_table(table_id, LockMode::AccessExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(table_id));
        self.require_owner("table", &table.name, &table.owner)?;
        let columns = index_columns(&table, &create.elements)?;
        let included = create
            .include
            .iter()
            .map(|name| column_named(&table, name))
            .collect::<PgResult<Vec<ColumnId>>>()?;
        let snapshot = self.snapshot();
        let schema = table.schema;
        let name = match &create.name {
            Some(name) if relation_taken(&snapshot, schema, &name.name) => {
                let error = store::already_exists(Space::Relations(schema), &name.name);
                if !create.if_not_exists {
                    return Err(error.into());
                }
                let text = format!("{}, skipping", error.message());
                self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
                return Ok(Tag::Plain("CREATE INDEX"));
            }
            Some(name) => name.name.to_string(),
            None => {
                let parts = columns.iter().filter_map(|column| table.column(column.column));
                let middle = parts.map(|column| column.name.as_str()).collect::<Vec<_>>().join("_");
                free_name(&table.name, &middle, "idx", |name| relation_taken(&snapshot, schema, name))
            }
        };
        let predicate = match &create.predicate {
            None => None,
            Some(predicate) => {
                let catalog = self.statement_catalog();
                planner::check_table_condition(&table, &predicate.text, &catalog, self.plan_options())?;
                Some(self.frozen(&predicate.text, &Definition::OverRow(&table, None))?)
            }
        };
        let mut options = Vec::new();
        self.set_options(OptionsOf::Index, &mut options, &create.options)?;
        let id = self.new_oid().await?;
        table.indexes.push(IndexDescriptor {
            id,
            name,
            storage_index: table.next_storage_index,
            columns,
            included,
            unique: create.unique,
            nulls_not_distinct: create.nulls_not_distinct,
            constraint: None,
            predicate,
            state: ElementState::Public,
            comment: None,
            deferrable: false,
            initially_deferred: false,
            options,
        });
        table.next_storage_index += 1;
        let table: Arc<TableDescriptor> = self.put_table(table).await?;
        self.backfill_index(&table, id).await?;
        Ok(Tag::Plain("CREATE INDEX"))
    }
}

fn refuse_unsupported(create: &CreateIndex) -> PgResult<()> {
    if let Some(method) = create.method.as_ref().filter(|method| &*method.name != "btree") {
        return match &*method.name {
            "hash" | "gist" | "gin" | "spgist" | "brin" => {
                Err(PgError::unsupported(format!("access method \"{}\"", method.name)))
            }
            other => Err(PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("access method \"{other}\" does not exist"),
            )),
        };
    }
    if create.tablespace.as_ref().is_some_and(|name| &*name.name != "pg_default") {
        return Err(PgError::unsupported("tablespaces"));
    }
    Ok(())
}

fn index_columns(table: &TableDescriptor, elements: &[IndexElement]) -> PgResult<Vec<IndexColumn>> {
    if elements.len() > INDEX_COLUMNS_MAX {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index"),
        ));
    }
    elements.iter().map(|element| index_column(table, element)).collect()
}

fn index_column(table: &TableDescriptor, element: &IndexElement) -> PgResult<IndexColumn> {
    if element.collation.as_ref().is_some_and(|name| !matches!(name.name(), "C" | "default" | "POSIX")) {
        return Err(PgError::unsupported("collations other than \"C\""));
    }
    let ExpressionKind::Column(parts) = &element.expression.node.kind else {
        return Err(PgError::unsupported("indexes on expressions"));
    };
    let [name] = parts.as_slice() else {
        return Err(PgError::unsupported("indexes on expressions"));
    };
    let id = column_named(table, name).map_err(|_| {
        PgError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", name.name))
            .at(name.position)
    })?;
    check_indexable(table, id)?;
    let data_type = table.column(id).map_or(DataType::Unknown, |column| column.column_type.data_type);
    if element.collation.is_some() && !data_type.base().is_string() {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("collations are not supported by type {data_type}"),
        ));
    }
    let collation = element.collation.as_ref().map(|name| name.name().to_string());
    let operator_class = element.operator_class.as_ref().map(|class| operator_class(class, data_type));
    Ok(IndexColumn {
        column: id,
        collation: collation.filter(|name| name != "default"),
        operator_class: operator_class.transpose()?.flatten(),
        descending: element.descending,
        nulls_first: match element.nulls {
            NullsOrder::First => true,
            NullsOrder::Last => false,
            NullsOrder::Default => element.descending,
        },
    })
}

/// The name of an operator class that is not the default of the type. Errors: 42704, and 42804 for one of other types.
fn operator_class(name: &ObjectName, data_type: DataType) -> PgResult<Option<String>> {
    let listed = CLASSES.iter().find(|class| class.name == name.name());
    let class = listed.filter(|_| name.schema().is_none_or(|schema| schema == "pg_catalog"));
    let Some(class) = class else {
        return Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("operator class \"{name}\" does not exist for access method \"btree\""),
        ));
    };
    let usual = default_class(data_type.base().oid());
    let sorted_as = CLASSES.iter().find(|class| class.oid == usual).map_or(0, |class| class.input);
    // char(n) goes for text.
    let accepted = class.input == sorted_as
        || (class.input == DataType::Text.oid() && data_type.base() == DataType::Bpchar)
        || (class.input == ANYENUM && matches!(data_type.base(), DataType::Enum(_)));
    if !accepted {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("operator class \"{name}\" does not accept data type {data_type}"),
        ));
    }
    Ok((class.oid != usual && class.input != ANYENUM).then(|| class.name.to_string()))
}

/// The oid of the pseudo-type of all enums.
const ANYENUM: u32 = 3500;
