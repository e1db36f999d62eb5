//! What the planner asks of the world: relations, types, statistics.
//!
//! The catalog answers from memory, without waiting: `sql` implements it over its cache of descriptors. Names come here one
//! schema at a time; walking the search path is the binder's business.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use types::descriptor::{
    ColumnId, DescriptorVersion, FunctionDescriptor, IndexDescriptor, Oid, SequenceDescriptor,
    TableDescriptor, ViewColumn,
};
use types::{ColumnType, Datum, PgResult};
pub use types::{DomainType, UserType, UserTypeKind};

/// The catalog of one database, as one statement sees it.
pub trait Catalog {
    /// Is there a schema of this name? (pg_catalog and information_schema are schemas like others.)
    fn schema_exists(&self, schema: &str) -> bool;

    /// Has the user the privilege to look names up in the schema? (USAGE; a schema that does not exist is no secret.)
    fn may_use_schema(&self, _schema: &str) -> bool {
        true
    }

    /// A relation by schema and name; `None` when there is none.
    fn relation(&self, schema: &str, name: &str) -> PgResult<Option<Relation>>;

    /// A relation by id (what a view or foreign key points to).
    fn relation_by_id(&self, id: Oid) -> PgResult<Option<Relation>>;

    /// A type that a user made, or a relation's row type. Built-in types are not asked for here.
    fn user_type(&self, schema: &str, name: &str) -> PgResult<Option<Arc<UserType>>>;

    fn user_type_by_oid(&self, oid: u32) -> PgResult<Option<Arc<UserType>>>;

    /// Functions of a name that users made in a schema.
    fn functions(&self, _schema: &str, _name: &str) -> Vec<Arc<FunctionDescriptor>> {
        Vec::new()
    }

    /// What ANALYZE (or counting along) found; `None` leaves the planner to its defaults.
    fn statistics(&self, table: Oid) -> Option<Arc<Statistics>>;
}

/// Something that a name in FROM can stand for.
#[derive(Clone, Debug)]
pub enum Relation {
    Table(Arc<Table>),
    View(Arc<View>),
    Sequence(Arc<SequenceDescriptor>),
    Virtual(Arc<VirtualTable>),
    /// An index, a composite type ...: exists but cannot be read from (42809).
    Other {
        id: Oid,
        kind: crate::ast::ObjectKind,
    },
}

impl Relation {
    pub fn id(&self) -> Oid {
        match self {
            Relation::Table(table) => table.descriptor.id,
            Relation::View(view) => view.id,
            Relation::Sequence(sequence) => sequence.id,
            Relation::Virtual(table) => table.id,
            Relation::Other { id, .. } => *id,
        }
    }
}

/// A table with what planning derives from its descriptor once.
#[derive(Debug)]
pub struct Table {
    pub descriptor: Arc<TableDescriptor>,
    /// Name of its schema.
    pub schema: Box<str>,
    /// Bound defaults, checks and generated columns: filled by the binder at first use.
    pub(crate) bound: OnceLock<crate::bind::TableExpressions>,
    /// What the executor derives from the descriptor once (encoders, decoders).
    pub derived: crate::plan::Derived,
}

impl Table {
    pub fn new(descriptor: Arc<TableDescriptor>, schema: impl Into<Box<str>>) -> Self {
        Table { descriptor, schema: schema.into(), bound: OnceLock::new(), derived: Default::default() }
    }

    /// Binds the table's defaults, checks, generated columns and index predicates, unless they are bound.
    pub fn bind_expressions(
        &self,
        catalog: &dyn Catalog,
        options: &crate::PlanOptions,
    ) -> PgResult<&crate::bind::TableExpressions> {
        if let Some(bound) = self.bound.get() {
            return Ok(bound);
        }
        let bound = crate::bind::bind_table(&self.descriptor, catalog, options)?;
        Ok(self.bound.get_or_init(|| bound))
    }

    /// The bound expressions; `None` as long as nobody has bound them.
    pub fn expressions(&self) -> Option<&crate::bind::TableExpressions> {
        self.bound.get()
    }

    /// The index at a position of `all_indexes()`.
    ///
    /// # Panics
    /// If there is none: positions come from plans made with this very descriptor.
    pub fn index_at(&self, position: u32) -> &IndexDescriptor {
        match position {
            0 => &self.descriptor.primary,
            other => &self.descriptor.indexes[other as usize - 1],
        }
    }
}

/// A view: its query is bound anew in each statement that names it.
#[derive(Clone, Debug)]
pub struct View {
    pub id: Oid,
    pub version: DescriptorVersion,
    pub schema: Box<str>,
    pub name: Box<str>,
    pub owner: Box<str>,
    /// SQL text of the query. Its names are resolved along `search_path`.
    pub query: Box<str>,
    /// The search path when the view was made.
    pub search_path: Vec<String>,
    pub columns: Vec<ViewColumn>,
    /// What it reads is read with the privileges of whoever asks.
    pub security_invoker: bool,
    /// Conditions from outside wait until its own have been applied.
    pub security_barrier: bool,
}

/// A table that `sql` makes up from the catalog.
#[derive(Clone, Debug)]
pub struct VirtualTable {
    pub id: Oid,
    pub schema: Box<str>,
    pub name: Box<str>,
    pub columns: Vec<VirtualColumn>,
}

#[derive(Clone, Debug)]
pub struct VirtualColumn {
    pub name: Box<str>,
    pub column_type: ColumnType,
    /// Rows can be found by this column without making up all of them.
    pub key: bool,
}

/// What is known of a table's contents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    pub row_count: f64,
    pub columns: BTreeMap<ColumnId, ColumnStatistics>,
}

/// What is known of a column's values (pg_stats).
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStatistics {
    /// 0 to 1.
    pub null_fraction: f64,
    /// Distinct values that are not NULL.
    pub distinct_count: f64,
    /// Bytes of a value.
    pub average_width: f64,
    /// (value, fraction of rows), most common first.
    pub most_common: Vec<(Datum, f64)>,
    /// Bounds of equally populated buckets over the values that are not among the most common, ascending.
    pub histogram: Vec<Datum>,
}
