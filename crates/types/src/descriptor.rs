//! Descriptors: what the catalog stores of databases, schemas and relations.
//!
//! They are plain data, serialised with serde (the catalog store in `sql` writes them as JSON: versioned by field names,
//! readable in a debugger). Expressions in them (defaults, checks, partial index predicates, views) are SQL text that the
//! planner parses and binds when a relation is loaded into the catalog cache.
//!
//! Ids: every catalog object has an [`Oid`] as PostgreSQL's system catalogs show it. What is stored under is separate:
//! [`TableDescriptor::storage_id`] names the keyspace of a table and changes with TRUNCATE; [`IndexDescriptor::storage_index`]
//! the index within it.

use crate::acl::{Acl, AclKind};
use crate::data_type::{ColumnType, DataType};
use serde::{Deserialize, Serialize};

/// A catalog object's id, as pg_class.oid and its relatives. User objects start at [`FIRST_USER_OID`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Oid(pub u32);

/// Below this, oids belong to built-in objects (PostgreSQL's FirstNormalObjectId).
pub const FIRST_USER_OID: u32 = 16384;

/// A column within its table: pg_attribute.attnum, from 1, never reused. Hidden columns count as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ColumnId(pub u16);

/// Increases by one with every change of a descriptor; cached plans and descriptor leases compare it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct DescriptorVersion(pub u32);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDescriptor {
    pub id: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
    /// What ALTER DEFAULT PRIVILEGES grants on objects made from now on.
    #[serde(default)]
    pub default_acls: Vec<DefaultAcl>,
    #[serde(default)]
    pub comment: Option<String>,
    /// IS_TEMPLATE: it cannot be dropped.
    #[serde(default)]
    pub template: bool,
    /// ALLOW_CONNECTIONS false.
    #[serde(default)]
    pub closed: bool,
    /// Sessions at most; -1: no limit.
    #[serde(default = "unlimited")]
    pub connection_limit: i32,
    /// ALTER DATABASE ... SET: name and value of what its sessions begin with.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// What its tables inherit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: StorageOptions,
}

/// Storage parameters (`WITH (...)`, pg_class.reloptions): name and value as written, in the order in which they were set.
pub type StorageOptions = Vec<(String, String)>;

fn unlimited() -> i32 {
    -1
}

impl DatabaseDescriptor {
    /// A database as CREATE DATABASE without options makes it.
    pub fn new(id: Oid, name: impl Into<String>, owner: impl Into<String>) -> Self {
        DatabaseDescriptor {
            id,
            name: name.into(),
            version: DescriptorVersion(1),
            owner: owner.into(),
            acl: Acl::default(),
            default_acls: Vec::new(),
            comment: None,
            template: false,
            closed: false,
            connection_limit: unlimited(),
            settings: Vec::new(),
            options: StorageOptions::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    /// The node whose session it belongs to: a schema of temporary objects, gone with that session.
    #[serde(default)]
    pub temporary_on: Option<u32>,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
    /// What ALTER DEFAULT PRIVILEGES grants on objects made from now on.
    #[serde(default)]
    pub default_acls: Vec<DefaultAcl>,
    #[serde(default)]
    pub comment: Option<String>,
}

/// ALTER DEFAULT PRIVILEGES: what objects of a kind get that a role makes. A database's replace what the kind has by default, a
/// schema's are added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefaultAcl {
    pub role: Oid,
    pub kind: AclKind,
    pub acl: Acl,
}

/// A table and all that belongs to it.
///
/// - `columns` is in order of `id`; dropped columns are gone from it, their ids are not reused (`next_column_id`).
/// - `primary` is the clustered index: its entries hold the rows. A table without a PRIMARY KEY is clustered on a hidden
///   `rowid` column and `primary.constraint` is false.
/// - `indexes` are the secondary ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    pub storage_id: u32,
    pub columns: Vec<ColumnDescriptor>,
    pub next_column_id: u16,
    pub primary: IndexDescriptor,
    #[serde(default)]
    pub indexes: Vec<IndexDescriptor>,
    pub next_storage_index: u32,
    #[serde(default)]
    pub checks: Vec<CheckConstraint>,
    #[serde(default)]
    pub foreign_keys: Vec<ForeignKey>,
    /// Foreign keys of other tables that point here: (referencing table, constraint id).
    #[serde(default)]
    pub referenced_by: Vec<(Oid, Oid)>,
    #[serde(default)]
    pub comment: Option<String>,
    /// Of a temporary table.
    #[serde(default)]
    pub on_commit: OnCommit,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
    /// Comments on constraints, by their ids.
    #[serde(default)]
    pub constraint_comments: std::collections::BTreeMap<u32, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: StorageOptions,
}

impl TableDescriptor {
    /// A table without columns, indexes and constraints, of nobody.
    pub fn bare(storage_id: u32, primary: IndexDescriptor) -> TableDescriptor {
        TableDescriptor {
            id: Oid(0),
            database: Oid(0),
            schema: Oid(0),
            name: String::new(),
            version: DescriptorVersion(1),
            owner: String::new(),
            storage_id,
            columns: Vec::new(),
            next_column_id: 1,
            primary,
            indexes: Vec::new(),
            next_storage_index: 2,
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            comment: None,
            on_commit: OnCommit::default(),
            acl: Acl::default(),
            constraint_comments: Default::default(),
            options: StorageOptions::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDescriptor {
    pub id: ColumnId,
    pub name: String,
    #[serde(with = "column_type_serde")]
    pub column_type: ColumnType,
    pub not_null: bool,
    /// SQL text of the DEFAULT expression.
    #[serde(default)]
    pub default: Option<String>,
    /// What rows written before this column was added read as (pg_attribute.attmissingval): the value in the type's text
    /// output format (ISO dates, UTC). `None` is NULL.
    #[serde(default)]
    pub missing_value: Option<String>,
    /// SQL text of GENERATED ALWAYS AS (...) STORED.
    #[serde(default)]
    pub generated: Option<String>,
    #[serde(default)]
    pub identity: Option<Identity>,
    /// Sequence owned by this column (serial, identity).
    #[serde(default)]
    pub owned_sequence: Option<Oid>,
    /// Not shown by `SELECT *` (the rowid of a table without a primary key).
    #[serde(default)]
    pub hidden: bool,
    /// While a schema change adds or drops the column.
    #[serde(default)]
    pub state: ElementState,
    #[serde(default)]
    pub comment: Option<String>,
    /// What is granted on this column, beside what is granted on the table.
    #[serde(default)]
    pub acl: Acl,
    /// pg_collation.oid of COLLATE; `None` is the type's. All collations order by code point.
    #[serde(default)]
    pub collation: Option<u32>,
}

impl ColumnDescriptor {
    /// A column with nothing but a type.
    pub fn bare(id: ColumnId, name: impl Into<String>, column_type: impl Into<ColumnType>) -> Self {
        ColumnDescriptor {
            id,
            name: name.into(),
            column_type: column_type.into(),
            not_null: false,
            default: None,
            missing_value: None,
            generated: None,
            identity: None,
            owned_sequence: None,
            hidden: false,
            state: ElementState::Public,
            comment: None,
            acl: Acl::default(),
            collation: None,
        }
    }
}

/// What the end of a transaction does to a temporary table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum OnCommit {
    #[default]
    PreserveRows,
    DeleteRows,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Always,
    ByDefault,
}

/// States of an element of an online schema change (after F1's "Online, Asynchronous Schema Change", VLDB 2013).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum ElementState {
    /// Deletes keep it up; nothing else sees it.
    DeleteOnly,
    /// Writes keep it up; reads do not see it.
    WriteOnly,
    #[default]
    Public,
}

/// An index. Its key columns are `columns` in order; a secondary index that is not unique (and a unique one whose key
/// has a NULL) is made unique by appending the primary key columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDescriptor {
    pub id: Oid,
    pub name: String,
    pub storage_index: u32,
    pub columns: Vec<IndexColumn>,
    /// INCLUDE columns, stored in the value of the entry.
    #[serde(default)]
    pub included: Vec<ColumnId>,
    pub unique: bool,
    /// UNIQUE NULLS NOT DISTINCT.
    #[serde(default)]
    pub nulls_not_distinct: bool,
    /// Made by PRIMARY KEY or UNIQUE: also listed in pg_constraint (with this id), dropped with the constraint only.
    #[serde(default)]
    pub constraint: Option<Oid>,
    /// SQL text of a partial index's WHERE.
    #[serde(default)]
    pub predicate: Option<String>,
    #[serde(default)]
    pub state: ElementState,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub deferrable: bool,
    #[serde(default)]
    pub initially_deferred: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: StorageOptions,
}

impl IndexDescriptor {
    /// An index that is not unique, of no constraint.
    pub fn bare(name: impl Into<String>, storage_index: u32, columns: Vec<IndexColumn>) -> Self {
        IndexDescriptor {
            id: Oid(0),
            name: name.into(),
            storage_index,
            columns,
            included: Vec::new(),
            unique: false,
            nulls_not_distinct: false,
            constraint: None,
            predicate: None,
            state: ElementState::Public,
            comment: None,
            deferrable: false,
            initially_deferred: false,
            options: StorageOptions::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    pub column: ColumnId,
    pub descending: bool,
    /// PostgreSQL's default: NULLs last ascending, first descending.
    pub nulls_first: bool,
    /// An operator class that was asked for and is not the default of the column's type. All that may be asked for order by bytes, as
    /// the default does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_class: Option<String>,
    /// A collation that was asked for: `C` or `POSIX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
}

impl IndexColumn {
    /// In the usual order.
    pub fn ascending(column: ColumnId) -> IndexColumn {
        IndexColumn { column, descending: false, nulls_first: false, operator_class: None, collation: None }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckConstraint {
    pub id: Oid,
    pub name: String,
    /// SQL text of the condition.
    pub expression: String,
    pub columns: Vec<ColumnId>,
    #[serde(default)]
    pub not_valid: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub id: Oid,
    pub name: String,
    pub columns: Vec<ColumnId>,
    pub referenced_table: Oid,
    pub referenced_columns: Vec<ColumnId>,
    /// The unique index (or primary key) of the referenced table that is looked up.
    pub referenced_index: Oid,
    pub on_delete: ForeignKeyAction,
    pub on_update: ForeignKeyAction,
    /// MATCH FULL.
    #[serde(default)]
    pub match_full: bool,
    #[serde(default)]
    pub deferrable: bool,
    #[serde(default)]
    pub initially_deferred: bool,
    #[serde(default)]
    pub not_valid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForeignKeyAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// A sequence's definition; its current value lives under a key of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SequenceDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    /// Oid of int2, int4 or int8.
    pub type_oid: u32,
    pub start: i64,
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub cache: i64,
    pub cycle: bool,
    /// Table and column of OWNED BY.
    #[serde(default)]
    pub owned_by: Option<(Oid, ColumnId)>,
    pub storage_id: u32,
    #[serde(default)]
    pub comment: Option<String>,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    /// SQL text of the query, with constants that read alike in every session.
    pub query: String,
    pub columns: Vec<ViewColumn>,
    /// The search path when the view was made: along it its names are resolved.
    #[serde(default)]
    pub search_path: Vec<String>,
    /// Relations that it reads.
    pub depends_on: Vec<Oid>,
    #[serde(default)]
    pub comment: Option<String>,
    /// WITH CHECK OPTION.
    #[serde(default)]
    pub check_option: Option<CheckOption>,
    /// The relations that it reads are read with the privileges of whoever asks rather than with the owner's.
    #[serde(default)]
    pub security_invoker: bool,
    /// Nothing that could tell of a row is evaluated before the view's own conditions.
    #[serde(default)]
    pub security_barrier: bool,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
}

/// Which rows may be written through a view: those that satisfy the view itself, or also the views that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOption {
    Local,
    Cascaded,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewColumn {
    pub name: String,
    #[serde(with = "column_type_serde")]
    pub column_type: ColumnType,
    /// What is granted on this column, beside what is granted on the view.
    #[serde(default)]
    pub acl: Acl,
    #[serde(default)]
    pub comment: Option<String>,
}

/// A function or procedure that a user made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    /// Name and input types by oid, `f(23,25)`: unique in its schema.
    pub identity: String,
    pub version: DescriptorVersion,
    pub owner: String,
    pub procedure: bool,
    pub parameters: Vec<FunctionParameter>,
    /// What is returned: record if there are several output parameters.
    #[serde(with = "column_type_serde")]
    pub result: ColumnType,
    pub returns_set: bool,
    /// The relation whose rows are returned.
    #[serde(default)]
    pub result_relation: Option<Oid>,
    pub language: String,
    pub body: String,
    pub volatility: FunctionVolatility,
    pub strict: bool,
    pub security_definer: bool,
    pub leakproof: bool,
    #[serde(default)]
    pub comment: Option<String>,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionParameter {
    pub mode: FunctionParameterMode,
    pub name: Option<String>,
    #[serde(with = "column_type_serde")]
    pub column_type: ColumnType,
    /// SQL text.
    #[serde(default)]
    pub default: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FunctionParameterMode {
    In,
    Out,
    InOut,
    Variadic,
    /// A column of RETURNS TABLE.
    Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FunctionVolatility {
    Immutable,
    Stable,
    Volatile,
}

impl FunctionDescriptor {
    /// Parameters that a call gives.
    pub fn inputs(&self) -> impl Iterator<Item = &FunctionParameter> {
        use FunctionParameterMode::{In, InOut, Variadic};
        self.parameters.iter().filter(|parameter| matches!(parameter.mode, In | InOut | Variadic))
    }

    /// Parameters and TABLE columns that a call returns.
    pub fn outputs(&self) -> impl Iterator<Item = &FunctionParameter> {
        use FunctionParameterMode::{InOut, Out, Table};
        self.parameters.iter().filter(|parameter| matches!(parameter.mode, Out | InOut | Table))
    }
}

impl TableDescriptor {
    pub fn column(&self, id: ColumnId) -> Option<&ColumnDescriptor> {
        self.columns
            .binary_search_by_key(&id, |column| column.id)
            .ok()
            .map(|position| &self.columns[position])
    }

    /// Position in `columns`.
    pub fn column_position(&self, id: ColumnId) -> Option<usize> {
        self.columns.binary_search_by_key(&id, |column| column.id).ok()
    }

    pub fn column_named(&self, name: &str) -> Option<&ColumnDescriptor> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The primary index first, then the secondary ones.
    pub fn all_indexes(&self) -> impl Iterator<Item = &IndexDescriptor> {
        std::iter::once(&self.primary).chain(&self.indexes)
    }

    pub fn index(&self, id: Oid) -> Option<&IndexDescriptor> {
        self.all_indexes().find(|index| index.id == id)
    }
}

/// A type made by CREATE TYPE or CREATE DOMAIN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypeDescriptor {
    pub id: Oid,
    pub database: Oid,
    pub schema: Oid,
    pub name: String,
    pub version: DescriptorVersion,
    pub owner: String,
    pub definition: TypeDefinition,
    #[serde(default)]
    pub comment: Option<String>,
    /// What is granted on it.
    #[serde(default)]
    pub acl: Acl,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TypeDefinition {
    /// In order of place.
    Enum {
        labels: Vec<EnumLabelDescriptor>,
    },
    Composite {
        attributes: Vec<ViewColumn>,
    },
    Domain(DomainDescriptor),
}

/// A label of an enum: see [`crate::user_type`] for what a place is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumLabelDescriptor {
    pub id: Oid,
    pub place: i64,
    pub label: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainDescriptor {
    /// What the domain was made over, with its modifier.
    #[serde(with = "column_type_serde")]
    pub parent: ColumnType,
    pub not_null: bool,
    /// SQL text.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub checks: Vec<DomainCheck>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainCheck {
    pub id: Oid,
    pub name: String,
    /// SQL text of the condition over VALUE.
    pub expression: String,
    #[serde(default)]
    pub not_valid: bool,
}

/// A type as its oid and its kind, which together tell what it is without the catalog: see `column_type_serde`.
pub fn encode_type(data_type: DataType) -> (u32, String) {
    column_type_serde::encode(data_type)
}

/// The type of [`encode_type`]; `None` for what is none.
pub fn decode_type(oid: u32, kind: &str) -> Option<DataType> {
    column_type_serde::decode(oid, kind)
}

/// A column type as `[type oid, typmod, kind]`.
///
/// The kind is pg_type.typtype, for user types with what their oid alone does not tell: `[]e` and `[]c` are arrays whose element
/// is that enum or row type, `d:23:b` is the domain over the built-in type 23 (oid and kind as here), `[]d:23:b` an array of it.
mod column_type_serde {
    use super::*;
    use crate::data_type::{BaseType, DomainRef};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &ColumnType, serializer: S) -> Result<S::Ok, S::Error> {
        let (oid, kind) = encode(value.data_type);
        (oid, value.typmod, kind).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ColumnType, D::Error> {
        let (oid, typmod, kind) = <(u32, i32, String)>::deserialize(deserializer)?;
        let data_type = decode(oid, &kind)
            .ok_or_else(|| D::Error::custom(format!("unknown type {oid} of kind {kind:?}")))?;
        Ok(ColumnType { data_type, typmod })
    }

    pub(crate) fn encode(data_type: DataType) -> (u32, String) {
        match data_type {
            DataType::Enum(oid) => (oid, "e".into()),
            DataType::Composite(oid) => (oid, "c".into()),
            DataType::Domain(domain) => {
                let (base, kind) = encode(data_type.base());
                (domain.oid, format!("d:{base}:{kind}"))
            }
            DataType::Array(element) => match element.data_type() {
                Some(element) if element.is_user_type() => {
                    let (oid, kind) = encode(element);
                    (oid, format!("[]{kind}"))
                }
                _ => (data_type.oid(), "b".into()),
            },
            builtin => (builtin.oid(), "b".into()),
        }
    }

    pub(crate) fn decode(oid: u32, kind: &str) -> Option<DataType> {
        if let Some(element) = kind.strip_prefix("[]") {
            return decode(oid, element).map(DataType::array_of);
        }
        if let Some(over) = kind.strip_prefix("d:") {
            let (base, base_kind) = over.split_once(':')?;
            let base = BaseType::of(decode(base.parse().ok()?, base_kind)?)?;
            return Some(DataType::Domain(DomainRef { oid, base }));
        }
        match kind {
            "b" => DataType::from_oid(oid),
            "e" => Some(DataType::Enum(oid)),
            "c" => Some(DataType::Composite(oid)),
            _ => None,
        }
    }
}
