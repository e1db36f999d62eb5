//! Prepared statements: parsed once, planned when first needed and again when the catalog has changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use pgserver::ColumnDescription;
use planner::ast::{Expression, Statement, StatementKind};
use planner::{Plan, PlanOptions};
use types::{ColumnType, DataType, PgResult};

use crate::catalog::CatalogSnapshot;
use crate::planning::StatementCatalog;

/// A plan and what is told of its rows.
pub struct Planned {
    pub plan: Arc<Plan>,
    /// RowDescription; `None` when it returns no rows.
    pub columns: Option<Arc<[ColumnDescription]>>,
    /// Types of the columns.
    pub types: Vec<ColumnType>,
}

/// A plan with what it was made for.
struct CachedPlan {
    catalog_version: u64,
    options: Arc<PlanOptions>,
    planned: Arc<Planned>,
}

/// A statement under a name (of PREPARE or Parse), or one of a query string about to run.
pub struct Prepared {
    /// The text that positions of errors count in.
    pub text: Arc<str>,
    /// `None`: empty.
    pub statement: Option<Arc<Statement>>,
    /// Parameter types as given by the client.
    pub given: Vec<Option<DataType>>,
    /// All of them, once the statement has been analysed.
    pub parameters: Mutex<Option<Arc<[DataType]>>>,
    cached: Mutex<Option<CachedPlan>>,
    /// The catalog that a query of the past was analysed under.
    past: Mutex<Option<Arc<CatalogSnapshot>>>,
    /// How often it has been planned or found planned.
    pub uses: AtomicU64,
}

/// A prepared statement under its name, as pg_prepared_statements shows it.
pub struct Kept {
    pub prepared: Arc<Prepared>,
    /// What the client sent to make it.
    pub source: Arc<str>,
    /// Microseconds since 2000-01-01 UTC.
    pub made_at: i64,
    /// Made by SQL PREPARE rather than by the protocol.
    pub from_sql: bool,
}

/// A session's prepared statements, by name; the empty name is the unnamed one. Shared with what its statements read of it.
#[derive(Clone, Default)]
pub struct Statements(Arc<Mutex<BTreeMap<String, Kept>>>);

impl Statements {
    pub fn get(&self, name: &str) -> Option<Arc<Prepared>> {
        self.0.lock().get(name).map(|kept| kept.prepared.clone())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.lock().contains_key(name)
    }

    pub fn insert(&self, name: &str, kept: Kept) {
        self.0.lock().insert(name.to_string(), kept);
    }

    pub fn remove(&self, name: &str) -> Option<Arc<Prepared>> {
        self.0.lock().remove(name).map(|kept| kept.prepared)
    }

    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// Those with a name.
    pub fn named<T>(&self, row: impl Fn(&str, &Kept) -> T) -> Vec<T> {
        let statements = self.0.lock();
        let named = statements.iter().filter(|(name, _)| !name.is_empty());
        named.map(|(name, kept)| row(name, kept)).collect()
    }
}

impl Prepared {
    pub fn new(text: Arc<str>, statement: Option<Arc<Statement>>, given: Vec<Option<DataType>>) -> Self {
        Prepared {
            text,
            statement,
            given,
            parameters: Mutex::default(),
            cached: Mutex::default(),
            past: Mutex::default(),
            uses: AtomicU64::new(0),
        }
    }

    pub fn kind(&self) -> Option<&StatementKind> {
        self.statement.as_ref().map(|statement| &statement.kind)
    }

    /// AS OF SYSTEM TIME of a query.
    pub fn as_of(&self) -> Option<&Expression> {
        self.kind()?.as_of()
    }

    pub fn keep_past(&self, catalog: Arc<CatalogSnapshot>) {
        *self.past.lock() = Some(catalog);
    }

    pub fn past(&self) -> Option<Arc<CatalogSnapshot>> {
        self.past.lock().clone()
    }

    /// What was last told of the rows.
    pub fn described(&self) -> Option<Arc<[ColumnDescription]>> {
        self.cached.lock().as_ref().and_then(|cached| cached.planned.columns.clone())
    }

    /// The plan under the given catalog and options, made anew if what is kept does not fit.
    pub fn plan(&self, catalog: &StatementCatalog, options: &Arc<PlanOptions>) -> PgResult<Arc<Planned>> {
        self.uses.fetch_add(1, Ordering::Relaxed);
        let mut cached = self.cached.lock();
        if let Some(kept) = &*cached
            && kept.catalog_version == catalog.snapshot.version
            && (Arc::ptr_eq(&kept.options, options) || *kept.options == **options)
        {
            return Ok(kept.planned.clone());
        }
        let statement = self.statement.as_ref().expect("an empty statement is not planned");
        let plan = Arc::new(planner::plan(statement, catalog, &self.given, options)?);
        *self.parameters.lock() = Some(plan.parameters.as_slice().into());
        let types = plan.output.iter().map(|column| column.column_type).collect();
        let planned = Arc::new(Planned { columns: describe_plan(&plan), types, plan });
        *cached = Some(CachedPlan {
            catalog_version: catalog.snapshot.version,
            options: options.clone(),
            planned: planned.clone(),
        });
        Ok(planned)
    }
}

/// RowDescription of a plan's output; `None` when it returns no rows.
fn describe_plan(plan: &Plan) -> Option<Arc<[ColumnDescription]>> {
    plan.returns_rows().then(|| {
        plan.output
            .iter()
            .map(|column| {
                let (table_oid, attribute_number) =
                    column.origin.map_or((0, 0), |(table, column)| (table.0, column.0 as i16));
                ColumnDescription {
                    table_oid,
                    attribute_number,
                    ..describe_column(&column.name, column.column_type)
                }
            })
            .collect()
    })
}

pub fn describe_column(name: &str, column_type: ColumnType) -> ColumnDescription {
    // Clients are told of a domain what it is over.
    let data_type = column_type.data_type.base();
    ColumnDescription {
        name: name.to_string(),
        table_oid: 0,
        attribute_number: 0,
        type_oid: data_type.oid(),
        type_size: data_type.pg_length(),
        type_modifier: column_type.typmod,
    }
}
