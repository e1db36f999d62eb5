//! Relations of any kind, and what pg_class, pg_attribute, pg_constraint and information_schema ask of them.

use std::sync::Arc;

use types::acl::Acl;
use types::descriptor::{
    CheckConstraint, ColumnDescriptor, ColumnId, ElementState, ForeignKey, Identity, IndexDescriptor, Oid,
    SequenceDescriptor, TableDescriptor, TypeDefinition, TypeDescriptor, ViewColumn, ViewDescriptor,
};
use types::{ColumnType, DataType};

use super::picture::{BOOTSTRAP_ROLE, Picture, SYSTEM_SCHEMAS};
use super::{Definition, RelationKind};

/// An index that users see: the clustered one of a table without a PRIMARY KEY is none.
#[derive(Clone, Copy)]
pub struct Index<'a> {
    pub table: &'a Arc<TableDescriptor>,
    pub index: &'a IndexDescriptor,
}

impl<'a> Index<'a> {
    pub fn all(table: &'a Arc<TableDescriptor>) -> impl Iterator<Item = Index<'a>> {
        let primary = table.primary.constraint.is_some().then_some(&table.primary);
        primary.into_iter().chain(&table.indexes).map(move |index| Index { table, index })
    }

    pub fn is_primary(&self) -> bool {
        self.index.id == self.table.primary.id
    }

    /// Key columns, then INCLUDE columns.
    pub fn columns(&self) -> impl Iterator<Item = ColumnId> {
        self.index.columns.iter().map(|column| column.column).chain(self.index.included.iter().copied())
    }
}

/// Anything that pg_class lists.
#[derive(Clone, Copy)]
pub enum Relation<'a> {
    Table(&'a Arc<TableDescriptor>),
    Index(Index<'a>),
    Sequence(&'a Arc<SequenceDescriptor>),
    View(&'a Arc<ViewDescriptor>),
    /// A row type that CREATE TYPE made.
    RowType(&'a Arc<TypeDescriptor>),
    /// A made-up table.
    System(&'static Definition),
}

/// A column of a relation.
pub struct Attribute<'a> {
    /// pg_attribute.attnum
    pub number: u16,
    pub name: &'a str,
    pub column_type: ColumnType,
    pub not_null: bool,
    /// Of a table's column.
    pub column: Option<&'a ColumnDescriptor>,
    /// Of a view's column.
    pub view_column: Option<&'a ViewColumn>,
}

impl Attribute<'_> {
    /// Text of the default or generation expression.
    pub fn default(&self) -> Option<&str> {
        let column = self.column?;
        column.generated.as_deref().or(column.default.as_deref())
    }

    /// What is granted on the column.
    pub fn acl(&self) -> &Acl {
        static NONE: Acl = Acl(None);
        let of_view = self.view_column.map(|column| &column.acl);
        self.column.map(|column| &column.acl).or(of_view).unwrap_or(&NONE)
    }

    pub fn identity(&self) -> Option<Identity> {
        self.column?.identity
    }

    pub fn is_generated(&self) -> bool {
        self.column.is_some_and(|column| column.generated.is_some())
    }
}

/// Columns of a table that users see.
pub fn visible_columns(table: &TableDescriptor) -> impl Iterator<Item = &ColumnDescriptor> {
    table.columns.iter().filter(|column| !column.hidden && column.state == ElementState::Public)
}

impl<'a> Relation<'a> {
    pub fn id(&self) -> Oid {
        match self {
            Relation::Table(table) => table.id,
            Relation::Index(index) => index.index.id,
            Relation::Sequence(sequence) => sequence.id,
            Relation::View(view) => view.id,
            Relation::RowType(found) => found.id,
            Relation::System(definition) => Oid(definition.oid),
        }
    }

    pub fn name(&self) -> &'a str {
        match self {
            Relation::Table(table) => &table.name,
            Relation::Index(index) => &index.index.name,
            Relation::Sequence(sequence) => &sequence.name,
            Relation::View(view) => &view.name,
            Relation::RowType(found) => &found.name,
            Relation::System(definition) => definition.name,
        }
    }

    pub fn schema(&self) -> Oid {
        match self {
            Relation::Table(table) => table.schema,
            Relation::Index(index) => index.table.schema,
            Relation::Sequence(sequence) => sequence.schema,
            Relation::View(view) => view.schema,
            Relation::RowType(found) => found.schema,
            Relation::System(definition) => {
                let named = |(_, name): &&(Oid, &str)| *name == definition.schema;
                SYSTEM_SCHEMAS.iter().find(named).map_or(Oid(0), |(id, _)| *id)
            }
        }
    }

    /// The owner's name; `None` for what belongs to the system.
    fn owner_name(&self) -> Option<&'a str> {
        match self {
            Relation::Table(table) => Some(&table.owner),
            Relation::Index(index) => Some(&index.table.owner),
            Relation::Sequence(sequence) => Some(&sequence.owner),
            Relation::View(view) => Some(&view.owner),
            Relation::RowType(found) => Some(&found.owner),
            Relation::System(_) => None,
        }
    }

    pub fn owner(&self, picture: &Picture<'_>) -> Oid {
        self.owner_name().map_or(BOOTSTRAP_ROLE, |name| picture.role_id(name))
    }

    /// Whether a role owns the relation (or may act as if it did).
    pub fn is_owned_by(&self, role: &str, picture: &Picture<'_>) -> bool {
        self.owner_name() == Some(role) || picture.snapshot.role(role).is_some_and(|role| role.superuser)
    }

    /// The owner's name.
    pub fn owner_text(&self, picture: &Picture<'a>) -> &'a str {
        self.owner_name().unwrap_or_else(|| picture.bootstrap_role_name())
    }

    /// pg_class.relkind
    pub fn kind(&self) -> &'static str {
        match self {
            Relation::Table(_) => "r",
            Relation::Index(_) => "i",
            Relation::Sequence(_) => "S",
            Relation::View(_) => "v",
            Relation::RowType(_) => "c",
            Relation::System(definition) => match definition.kind {
                RelationKind::Table => "r",
                RelationKind::View => "v",
            },
        }
    }

    /// Tables and views: what has columns that a query names.
    pub fn is_readable(&self) -> bool {
        matches!(self.kind(), "r" | "v")
    }

    pub fn attributes(&self) -> Vec<Attribute<'a>> {
        match self {
            Relation::Table(table) => visible_columns(table)
                .map(|column| Attribute {
                    number: column.id.0,
                    name: &column.name,
                    column_type: column.column_type,
                    not_null: column.not_null,
                    column: Some(column),
                    view_column: None,
                })
                .collect(),
            Relation::Index(index) => index_attributes(index),
            Relation::Sequence(_) => {
                let columns = [
                    ("last_value", DataType::Int8),
                    ("log_cnt", DataType::Int8),
                    ("is_called", DataType::Bool),
                ];
                numbered(columns.map(|(name, data_type)| (name, data_type.into(), true)))
            }
            Relation::View(view) => {
                let mut attributes = numbered(
                    view.columns.iter().map(|column| (column.name.as_str(), column.column_type, false)),
                );
                for (attribute, column) in attributes.iter_mut().zip(&view.columns) {
                    attribute.view_column = Some(column);
                }
                attributes
            }
            Relation::RowType(found) => match &found.definition {
                TypeDefinition::Composite { attributes } => numbered(
                    attributes.iter().map(|column| (column.name.as_str(), column.column_type, false)),
                ),
                _ => Vec::new(),
            },
            Relation::System(definition) => numbered(
                definition
                    .columns
                    .iter()
                    .map(|column| (column.name, column.data_type.into(), column.not_null)),
            ),
        }
    }
}

fn numbered<'a>(columns: impl IntoIterator<Item = (&'a str, ColumnType, bool)>) -> Vec<Attribute<'a>> {
    let attribute =
        |(position, (name, column_type, not_null)): (usize, (&'a str, ColumnType, bool))| Attribute {
            number: position as u16 + 1,
            name,
            column_type,
            not_null,
            column: None,
            view_column: None,
        };
    columns.into_iter().enumerate().map(attribute).collect()
}

fn index_attributes<'a>(index: &Index<'a>) -> Vec<Attribute<'a>> {
    let table: &'a TableDescriptor = index.table;
    let columns = index.columns().filter_map(|id| table.column(id));
    numbered(columns.map(|column| (column.name.as_str(), column.column_type, false)))
}

/// A row of pg_constraint.
#[derive(Clone, Copy)]
pub enum Constraint<'a> {
    /// PRIMARY KEY or UNIQUE, with its oid.
    Key {
        id: Oid,
        index: Index<'a>,
    },
    Check {
        table: &'a Arc<TableDescriptor>,
        check: &'a CheckConstraint,
    },
    ForeignKey {
        table: &'a Arc<TableDescriptor>,
        key: &'a ForeignKey,
    },
}

impl<'a> Constraint<'a> {
    pub fn all(table: &'a Arc<TableDescriptor>) -> impl Iterator<Item = Constraint<'a>> {
        let keys = Index::all(table)
            .filter_map(|index| index.index.constraint.map(|id| Constraint::Key { id, index }));
        let checks = table.checks.iter().map(move |check| Constraint::Check { table, check });
        let foreign_keys = table.foreign_keys.iter().map(move |key| Constraint::ForeignKey { table, key });
        keys.chain(checks).chain(foreign_keys)
    }

    pub fn id(&self) -> Oid {
        match self {
            Constraint::Key { id, .. } => *id,
            Constraint::Check { check, .. } => check.id,
            Constraint::ForeignKey { key, .. } => key.id,
        }
    }

    pub fn name(&self) -> &'a str {
        match self {
            Constraint::Key { index, .. } => &index.index.name,
            Constraint::Check { check, .. } => &check.name,
            Constraint::ForeignKey { key, .. } => &key.name,
        }
    }

    pub fn table(&self) -> &'a Arc<TableDescriptor> {
        match self {
            Constraint::Key { index, .. } => index.table,
            Constraint::Check { table, .. } | Constraint::ForeignKey { table, .. } => table,
        }
    }

    /// pg_constraint.contype
    pub fn kind(&self) -> &'static str {
        match self {
            Constraint::Key { index, .. } if index.is_primary() => "p",
            Constraint::Key { .. } => "u",
            Constraint::Check { .. } => "c",
            Constraint::ForeignKey { .. } => "f",
        }
    }

    /// information_schema's word for it.
    pub fn kind_name(&self) -> &'static str {
        match self.kind() {
            "p" => "PRIMARY KEY",
            "u" => "UNIQUE",
            "c" => "CHECK",
            _ => "FOREIGN KEY",
        }
    }

    /// Columns of its table.
    pub fn columns(&self) -> Vec<ColumnId> {
        match self {
            Constraint::Key { index, .. } => index.index.columns.iter().map(|column| column.column).collect(),
            Constraint::Check { check, .. } => check.columns.clone(),
            Constraint::ForeignKey { key, .. } => key.columns.clone(),
        }
    }

    pub fn deferrable(&self) -> bool {
        match self {
            Constraint::Key { index, .. } => index.index.deferrable,
            Constraint::Check { .. } => false,
            Constraint::ForeignKey { key, .. } => key.deferrable,
        }
    }

    pub fn initially_deferred(&self) -> bool {
        match self {
            Constraint::Key { index, .. } => index.index.initially_deferred,
            Constraint::Check { .. } => false,
            Constraint::ForeignKey { key, .. } => key.initially_deferred,
        }
    }

    pub fn is_valid(&self) -> bool {
        match self {
            Constraint::Key { .. } => true,
            Constraint::Check { check, .. } => !check.not_valid,
            Constraint::ForeignKey { key, .. } => !key.not_valid,
        }
    }
}
