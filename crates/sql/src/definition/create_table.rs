//! CREATE TABLE.

use std::sync::Arc;

use executor::ExecResult;
use planner::Definition;
use planner::ast::{
    ColumnConstraintKind, ColumnDefinition, CreateTable, ExpressionKind, Identifier, Literal, ObjectName,
    Persistence, SequenceOption, TableConstraint, TableConstraintKind, TableElement, TypeName,
};
use types::acl::AclKind;
use types::descriptor::{
    ColumnDescriptor, ColumnId, DescriptorVersion, ElementState, Identity, IndexColumn, IndexDescriptor, Oid,
    OnCommit, TableDescriptor,
};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

use super::identity::drawn_from;
use super::names::{free_name, relation_taken};
use super::sequence::{SequenceDefinition, sequence_bounds};
use super::storage_options::OptionsOf;
use crate::catalog::{Object, Space, store};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::virtual_tables::pg_catalog::schema::{DEFAULT_COLLATION, collation_named};

/// Most columns of a table (PostgreSQL's MaxHeapAttributeNumber).
const COLUMNS_MAX: usize = 1600;
/// The clustered index of a new table.
const FIRST_STORAGE_INDEX: u32 = 1;
/// The hidden column that a table without a primary key is clustered on. Its id is above every other, so that adding columns
/// later numbers them as PostgreSQL does.
pub const ROWID: ColumnId = ColumnId(COLUMNS_MAX as u16 + 1);

/// A sequence that serial or identity calls for.
pub struct OwnedSequence {
    pub column: ColumnId,
    pub data_type: DataType,
    pub options: Vec<SequenceOption>,
    /// nextval as DEFAULT (serial); an identity column has none.
    pub is_default: bool,
}

/// A table being put together.
pub struct TableBuilder {
    pub table: TableDescriptor,
    pub sequences: Vec<OwnedSequence>,
    /// Constraints still to be added, in order: (column it was written at, constraint).
    pub constraints: Vec<(Option<ColumnId>, TableConstraint)>,
}

impl TableBuilder {
    /// Goes on with an existing table.
    pub fn over(table: TableDescriptor) -> Self {
        TableBuilder { table, sequences: Vec::new(), constraints: Vec::new() }
    }
}

/// The integer type behind `serial` and its relatives.
pub fn serial_type(name: &TypeName) -> Option<DataType> {
    if name.system || name.name.parts.len() != 1 || !name.array_bounds.is_empty() {
        return None;
    }
    match name.name.name() {
        "serial" | "serial4" => Some(DataType::Int4),
        "bigserial" | "serial8" => Some(DataType::Int8),
        "smallserial" | "serial2" => Some(DataType::Int2),
        _ => None,
    }
}

impl Session {
    pub(super) async fn create_table(&mut self, create: &CreateTable) -> ExecResult<Tag> {
        refuse_unsupported(create)?;
        let schema = self.place(&create.name, create.persistence).await?;
        let name = create.name.name();
        let snapshot = self.snapshot();
        if relation_taken(&snapshot, schema, name) {
            let error = store::already_exists(Space::Relations(schema), name);
            if !create.if_not_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(types::Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("CREATE TABLE"));
        }
        let mut builder = self.new_table(schema, name).await?;
        self.set_on_commit(&mut builder.table, create.on_commit)?;
        self.set_options(OptionsOf::Table, &mut builder.table.options, &create.options)?;
        let mut indexes = Vec::new();
        for element in &create.elements {
            match element {
                TableElement::Column(column) => self.add_column_definition(&mut builder, column)?,
                TableElement::Constraint(constraint) => {
                    builder.constraints.push((None, (**constraint).clone()));
                }
                TableElement::Like(like) => indexes.extend(self.copy_columns(&mut builder, like)?),
            }
        }
        let table = self.finish_table(builder).await?;
        self.copy_indexes(&table, indexes).await?;
        Ok(Tag::Plain("CREATE TABLE"))
    }

    /// ON COMMIT. Errors: 42P16 for a table that is not temporary.
    pub(super) fn set_on_commit(
        &mut self,
        table: &mut TableDescriptor,
        on_commit: Option<planner::ast::OnCommit>,
    ) -> PgResult<()> {
        let Some(on_commit) = on_commit else { return Ok(()) };
        if !self.snapshot().is_temporary(table.schema) {
            return Err(PgError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        table.on_commit = match on_commit {
            planner::ast::OnCommit::PreserveRows => OnCommit::PreserveRows,
            planner::ast::OnCommit::DeleteRows => OnCommit::DeleteRows,
            planner::ast::OnCommit::Drop => OnCommit::Drop,
        };
        self.has_on_commit |= table.on_commit != OnCommit::PreserveRows;
        Ok(())
    }

    /// An empty table, clustered on the hidden rowid.
    pub(super) async fn new_table(&mut self, schema: Oid, name: &str) -> ExecResult<TableBuilder> {
        let id = self.new_oid().await?;
        let primary = IndexDescriptor {
            id: self.new_oid().await?,
            name: format!("{name}_rowid"),
            storage_index: FIRST_STORAGE_INDEX,
            columns: vec![ascending(ROWID)],
            included: Vec::new(),
            unique: true,
            nulls_not_distinct: false,
            constraint: None,
            predicate: None,
            state: ElementState::Public,
            comment: None,
            deferrable: false,
            initially_deferred: false,
            options: Vec::new(),
        };
        let table = TableDescriptor {
            id,
            database: self.database,
            schema,
            name: name.to_string(),
            version: DescriptorVersion(0),
            owner: self.user.clone(),
            storage_id: self.new_storage_id().await?,
            columns: vec![rowid_column()],
            next_column_id: 1,
            primary,
            indexes: Vec::new(),
            next_storage_index: FIRST_STORAGE_INDEX + 1,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            comment: None,
            on_commit: Default::default(),
            acl: self.new_acl(AclKind::Table, Some(schema)),
            constraint_comments: Default::default(),
            options: Vec::new(),
        };
        Ok(TableBuilder::over(table))
    }

    /// Adds the constraints, stores the table and its sequences.
    pub(super) async fn finish_table(
        &mut self,
        mut builder: TableBuilder,
    ) -> ExecResult<Arc<TableDescriptor>> {
        self.validate_column_expressions(&builder.table)?;
        for at in 0..builder.table.columns.len() {
            let column = &builder.table.columns[at];
            if let Some(text) = column.generated.clone() {
                let definition = Definition::OverRow(&builder.table, Some(column.column_type));
                builder.table.columns[at].generated = Some(self.frozen(&text, &definition)?);
            }
        }
        // The primary key first: foreign keys of the table to itself may refer to it.
        let constraints = std::mem::take(&mut builder.constraints);
        let is_key = |kind: &TableConstraintKind| {
            matches!(kind, TableConstraintKind::PrimaryKey { .. } | TableConstraintKind::Unique { .. })
        };
        for (column, constraint) in constraints.iter().filter(|(_, constraint)| is_key(&constraint.kind)) {
            self.add_constraint(&mut builder.table, *column, constraint).await?;
        }
        for (column, constraint) in constraints.iter().filter(|(_, constraint)| !is_key(&constraint.kind)) {
            self.add_constraint(&mut builder.table, *column, constraint).await?;
        }
        for sequence in std::mem::take(&mut builder.sequences) {
            self.create_owned_sequence(&mut builder.table, sequence).await?;
        }
        self.put_table(builder.table).await
    }

    /// Adds a column with what its definition says, but for constraints that concern the table: those are left in
    /// `builder.constraints`.
    pub(super) fn add_column_definition(
        &mut self,
        builder: &mut TableBuilder,
        definition: &ColumnDefinition,
    ) -> PgResult<()> {
        let type_name =
            definition.type_name.as_ref().ok_or_else(|| PgError::unsupported("CREATE TABLE OF"))?;
        let collation = definition.collation.as_ref().map(known_collation).transpose()?;
        let serial = serial_type(type_name);
        let column_type = match serial {
            Some(data_type) => data_type.into(),
            None => self.column_type(type_name)?,
        };
        let id = append_column(&mut builder.table, &definition.name, column_type)?;
        if collation.is_some() && !column_type.data_type.base().is_string() {
            let message = format!("collations are not supported by type {}", column_type.data_type);
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).at(type_name.position));
        }
        column_mut(&mut builder.table, id).collation = collation.filter(|id| *id != DEFAULT_COLLATION);
        if let Some(data_type) = serial {
            builder.sequences.push(OwnedSequence {
                column: id,
                data_type,
                options: Vec::new(),
                is_default: true,
            });
            column_mut(&mut builder.table, id).not_null = true;
        }
        let mut null_given = None;
        for constraint in &definition.constraints {
            let table_name = builder.table.name.clone();
            let column = column_mut(&mut builder.table, id);
            let conflict = |what: &str| {
                PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("{what} for column \"{}\" of table \"{table_name}\"", definition.name.name),
                )
                .at(constraint.position)
            };
            let table_constraint = |kind| TableConstraint {
                name: constraint.name.clone(),
                kind,
                timing: constraint.timing,
                position: constraint.position,
            };
            let own_name = || vec![definition.name.clone()];
            match &constraint.kind {
                ColumnConstraintKind::Null if null_given == Some(false) => {
                    return Err(conflict("conflicting NULL/NOT NULL declarations"));
                }
                ColumnConstraintKind::Null => null_given = Some(true),
                ColumnConstraintKind::NotNull if null_given == Some(true) => {
                    return Err(conflict("conflicting NULL/NOT NULL declarations"));
                }
                ColumnConstraintKind::NotNull => {
                    null_given = Some(false);
                    column.not_null = true;
                }
                ColumnConstraintKind::Default(_) if column.default.is_some() => {
                    return Err(conflict("multiple default values specified"));
                }
                ColumnConstraintKind::Default(expression) => {
                    let to = column_mut(&mut builder.table, id).column_type;
                    let kept = self.kept_default(&expression.text, to)?;
                    column_mut(&mut builder.table, id).default = Some(kept);
                }
                ColumnConstraintKind::Generated(expression) => {
                    column.generated = Some(expression.text.to_string());
                }
                ColumnConstraintKind::Identity { always, options } => {
                    if !column_type.data_type.is_integer() {
                        return Err(PgError::new(
                            SqlState::INVALID_PARAMETER_VALUE,
                            "identity column type must be smallint, integer, or bigint",
                        ));
                    }
                    column.identity = Some(if *always { Identity::Always } else { Identity::ByDefault });
                    column.not_null = true;
                    builder.sequences.push(OwnedSequence {
                        column: id,
                        data_type: column_type.data_type,
                        options: options.clone(),
                        is_default: false,
                    });
                }
                ColumnConstraintKind::Check { expression, .. } => {
                    let kind = TableConstraintKind::Check(expression.clone());
                    builder.constraints.push((Some(id), table_constraint(kind)));
                }
                ColumnConstraintKind::Unique { nulls_not_distinct, options } => {
                    let kind = TableConstraintKind::Unique {
                        columns: own_name(),
                        include: Vec::new(),
                        nulls_not_distinct: *nulls_not_distinct,
                        options: options.clone(),
                    };
                    builder.constraints.push((Some(id), table_constraint(kind)));
                }
                ColumnConstraintKind::PrimaryKey { options } => {
                    let kind = TableConstraintKind::PrimaryKey {
                        columns: own_name(),
                        include: Vec::new(),
                        options: options.clone(),
                    };
                    builder.constraints.push((Some(id), table_constraint(kind)));
                }
                ColumnConstraintKind::References(reference) => {
                    let kind =
                        TableConstraintKind::ForeignKey { columns: own_name(), reference: reference.clone() };
                    builder.constraints.push((Some(id), table_constraint(kind)));
                }
            }
        }
        let column = column_mut(&mut builder.table, id);
        let sources = [column.default.is_some(), column.identity.is_some(), column.generated.is_some()];
        if sources.iter().filter(|given| **given).count() > 1 {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "both default and identity or generation expression specified for column \"{}\" of table \"{}\"",
                    definition.name.name, builder.table.name
                ),
            ));
        }
        column.default = column.default.take().filter(|text| is_kept(text, column.column_type));
        Ok(())
    }

    pub(super) fn column_type(&mut self, type_name: &TypeName) -> PgResult<ColumnType> {
        let catalog = self.statement_catalog();
        let column_type = planner::resolve_type(type_name, &catalog, self.plan_options())?;
        let data_type = column_type.data_type;
        if data_type.category() == b'P' || data_type == DataType::Unknown {
            return Err(PgError::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column has pseudo-type {data_type}"),
            )
            .at(type_name.position));
        }
        Ok(column_type)
    }

    /// Binds defaults and generation expressions, so that one that makes no sense fails here.
    pub(super) fn validate_column_expressions(&mut self, table: &TableDescriptor) -> PgResult<()> {
        let catalog = self.statement_catalog();
        planner::check_column_expressions(table, &catalog, self.plan_options())
    }

    pub(super) async fn create_owned_sequence(
        &mut self,
        table: &mut TableDescriptor,
        wanted: OwnedSequence,
    ) -> ExecResult<()> {
        let column_name = column_mut(table, wanted.column).name.clone();
        let (named, options): (Vec<SequenceOption>, Vec<SequenceOption>) =
            wanted.options.into_iter().partition(|option| matches!(option, SequenceOption::SequenceName(_)));
        let (schema, name) = match named.last() {
            Some(SequenceOption::SequenceName(named)) => {
                let schema = match named.schema() {
                    Some(_) => self.creation_schema(named)?,
                    None => table.schema,
                };
                if relation_taken(&*self.snapshot(), schema, named.name()) {
                    return Err(store::already_exists(Space::Relations(schema), named.name()).into());
                }
                (schema, named.name().to_string())
            }
            _ => {
                let (snapshot, schema) = (self.snapshot(), table.schema);
                let taken = |name: &str| relation_taken(&snapshot, schema, name);
                (schema, free_name(&table.name, &column_name, "seq", taken))
            }
        };
        let mut definition = SequenceDefinition::new(wanted.data_type);
        definition.apply(&options)?;
        let (bounds, _) = sequence_bounds(&definition)?;
        let sequence = self.store_sequence(schema, &name, bounds, Some((table.id, wanted.column))).await?;
        let column = column_mut(table, wanted.column);
        column.owned_sequence = Some(sequence.id);
        if wanted.is_default {
            column.default = Some(drawn_from(sequence.id));
        }
        Ok(())
    }

    /// Removes an object that only exists as a part of another.
    pub(super) async fn drop_sequence_object(&mut self, id: Oid) -> ExecResult<()> {
        let snapshot = self.snapshot();
        if let Some(Object::Sequence(sequence)) = snapshot.object(id) {
            let storage_id = sequence.storage_id;
            self.remove_object(id).await?;
            let active = self.active();
            active.txn.delete(&store::sequence_key(storage_id))?;
            active.forgotten_sequences.push(storage_id);
        }
        Ok(())
    }
}

fn refuse_unsupported(create: &CreateTable) -> PgResult<()> {
    let unsupported = |feature: &str| Err(PgError::unsupported(feature));
    match () {
        _ if create.persistence == Persistence::Unlogged => unsupported("unlogged tables"),
        _ if !create.inherits.is_empty() => unsupported("table inheritance"),
        _ if create.of_type.is_some() => unsupported("CREATE TABLE OF"),
        _ if create.partition_of.is_some() || create.partition_by.is_some() => {
            unsupported("table partitioning")
        }
        _ if create.tablespace.as_ref().is_some_and(|name| &*name.name != "pg_default") => {
            unsupported("tablespaces")
        }
        _ if create.access_method.as_ref().is_some_and(|name| &*name.name != "heap") => {
            unsupported("table access methods")
        }
        _ => Ok(()),
    }
}

/// pg_collation.oid of a name. Errors: 0A000 for one that is not ordered by code point, as all are here.
fn known_collation(name: &ObjectName) -> PgResult<u32> {
    let found =
        collation_named(name.name()).filter(|_| name.schema().is_none_or(|schema| schema == "pg_catalog"));
    found.ok_or_else(|| PgError::unsupported("collations other than \"C\"").at(name.position()))
}

fn rowid_column() -> ColumnDescriptor {
    ColumnDescriptor { not_null: true, hidden: true, ..new_column(ROWID, "rowid", DataType::Int8.into()) }
}

pub fn new_column(id: ColumnId, name: &str, column_type: ColumnType) -> ColumnDescriptor {
    ColumnDescriptor {
        id,
        name: name.to_string(),
        column_type,
        not_null: false,
        default: None,
        generated: None,
        identity: None,
        owned_sequence: None,
        hidden: false,
        state: ElementState::Public,
        missing_value: None,
        comment: None,
        acl: Default::default(),
        collation: None,
    }
}

pub fn ascending(column: ColumnId) -> IndexColumn {
    IndexColumn::ascending(column)
}

/// Appends a visible column, before the hidden one. Errors: 42701, 54011.
pub fn append_column(
    table: &mut TableDescriptor,
    name: &Identifier,
    column_type: ColumnType,
) -> PgResult<ColumnId> {
    if table.columns.iter().any(|column| column.name == *name.name && !column.hidden) {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{}\" specified more than once", name.name),
        )
        .at(name.position));
    }
    if is_system_column(&name.name) {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column name \"{}\" conflicts with a system column name", name.name),
        )
        .at(name.position));
    }
    if usize::from(table.next_column_id) > COLUMNS_MAX {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        ));
    }
    let id = ColumnId(table.next_column_id);
    table.next_column_id += 1;
    let at = table.columns.partition_point(|column| column.id < id);
    table.columns.insert(at, new_column(id, &name.name, column_type));
    Ok(id)
}

pub fn is_system_column(name: &str) -> bool {
    matches!(name, "tableoid" | "xmin" | "cmin" | "xmax" | "cmax" | "ctid")
}

pub fn column_mut(table: &mut TableDescriptor, id: ColumnId) -> &mut ColumnDescriptor {
    table.columns.iter_mut().find(|column| column.id == id).expect("the column is part of the table")
}

pub use planner::parser::keywords::quote_identifier as quote;

/// A default of NULL is no default, unless it takes the place of a domain's.
pub fn is_kept(default: &str, column_type: ColumnType) -> bool {
    matches!(column_type.data_type, DataType::Domain(_)) || !is_null(default)
}

/// Is the expression NULL itself?
fn is_null(text: &str) -> bool {
    planner::parser::parse_expression(text)
        .is_ok_and(|expression| matches!(expression.kind, ExpressionKind::Literal(Literal::Null)))
}
