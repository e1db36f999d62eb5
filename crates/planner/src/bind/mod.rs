//! Binding: from syntax to relational algebra, with PostgreSQL's rules for names and types.
//!
//! The [`Binder`] walks the [`crate::ast`] once. What it knows at a point is a stack of [`level::Level`]s, one for each query
//! being bound, innermost last: the columns in sight ([`scope`]), the clause at hand, and what the clause has collected so far.
//! An expression binds to an [`expr::Expr`] over query-wide column numbers; what an expression cannot hold is collected in the
//! level and leaves a column (or slot) behind:
//!
//! | in the text | collected as | becomes |
//! | --- | --- | --- |
//! | aggregate | `Level::aggregates` | a column of the Aggregate below the SELECT list |
//! | window function | `Level::window_calls` | a column of a Window operator |
//! | set-returning function | `Level::set_functions` | a column of a ProjectSet |
//! | `nextval` and its like | `Level::deferred` | a column of a Deferred operator |
//! | correlated subquery | `Level::pending` | a (lateral) join that adds a column |
//! | uncorrelated subquery | `Binder::init` | a slot, set once by an InitPlan |
//!
//! The order of clauses follows PostgreSQL's `transformSelectStmt`, because it decides which of two errors is reported: FROM,
//! SELECT list, WHERE, HAVING, ORDER BY, GROUP BY, DISTINCT, LIMIT, windows, then the check of ungrouped columns.
//!
//! Types of parameters are inferred as in `parse_param.c`: a parameter is of unknown type until its first use fixes it
//! ([`parameters`]).

mod assign_part;
mod conflict;
mod delete;
mod domain;
mod expression;
mod from;
mod function;
mod grouping;
mod insert;
mod join;
mod level;
mod literal;
mod locking;
mod operator;
mod order;
mod parameters;
mod relation;
mod returning;
mod row;
mod scalar;
mod scope;
mod select;
mod set_operation;
mod statement;
mod subquery;
mod table_expressions;
mod target;
mod type_name;
mod update;
mod user_function;
mod values;
mod view;
mod window;
mod with;

pub(crate) use domain::{bind_domain_check, names_in_domain_check};
pub(crate) use returning::ModifyOutput;
pub use scalar::{ScopeColumn, scalar};
pub(crate) use scalar::{constant, instant};
pub use statement::{Bound, bind};
pub use table_expressions::TableExpressions;
pub(crate) use table_expressions::{
    CHECK, GENERATED, PREDICATE, bind_default_expression, bind_over_row, bind_table, bind_transform,
    names_in_default, names_over_row,
};
pub use type_name::resolve_type;
pub(crate) use user_function::check_body;

use std::collections::BTreeMap;

use types::descriptor::Oid;
use types::{DataType, PgResult};

use crate::logical::{Columns, InitSubquery};
use crate::plan::RelationUse;
use crate::{Catalog, PlanOptions};
use level::Level;
pub(crate) use parameters::Parameters;
use with::VisibleCte;

/// Views within views at most.
const VIEW_DEPTH_MAX: u32 = 64;

/// The state of binding one statement.
pub(crate) struct Binder<'a> {
    catalog: &'a dyn Catalog,
    options: &'a PlanOptions,
    /// The search path at hand: a view has its own.
    search_path: Vec<String>,
    columns: Columns,
    parameters: Parameters,
    slot_count: u32,
    cte_count: u32,
    relations: Vec<RelationUse>,
    levels: Vec<Level>,
    /// Common tables in sight, innermost last.
    ctes: Vec<VisibleCte>,
    /// Subqueries that need no outer columns, not placed yet.
    init: Vec<InitSubquery>,
    /// Every scan of a table.
    instances: Vec<relation::Instance>,
    /// Owner of the view being expanded.
    check_as: Option<Box<str>>,
    /// Functions being expanded, innermost last.
    frames: Vec<user_function::Frame>,
    view_depth: u32,
    as_of: Option<expr::Expr>,
    /// Something is written, or a row locked.
    writes: bool,
    /// Nothing has been entered yet: a WITH met now is the statement's own.
    outermost: bool,
    /// What rows consist of that set-returning functions in SELECT lists make.
    set_columns: BTreeMap<crate::logical::ColumnNumber, Vec<(&'static str, DataType)>>,
    /// What names of the text mean, by their positions, if somebody wants to know.
    names: Option<BTreeMap<u32, NameUse>>,
}

/// What an unqualified name in a query's text means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NameUse {
    Relation(Oid),
    Function(Oid),
    Type(u32),
    /// A column of the item of FROM with this name.
    Column(Box<str>),
    /// `*` or `t.*`: (item, column) of each.
    Wildcard(Vec<(Box<str>, Box<str>)>),
    /// A literal that was read as a value of this type, in a way that depends on the session.
    Literal(DataType),
}

/// Binds a query to find out what its unqualified names mean, by position, and what its columns are called.
pub(crate) fn name_uses(
    query: &crate::ast::Query,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<(BTreeMap<u32, NameUse>, Vec<Box<str>>)> {
    let mut binder = Binder::new(catalog, options, Parameters::none());
    binder.names = Some(BTreeMap::new());
    let output = binder.bind_query(query, select::Context::default())?;
    let columns = output.targets.into_iter().map(|target| target.name).collect();
    Ok((binder.names.unwrap_or_default(), columns))
}

impl<'a> Binder<'a> {
    pub(crate) fn new(catalog: &'a dyn Catalog, options: &'a PlanOptions, parameters: Parameters) -> Self {
        Binder {
            catalog,
            options,
            search_path: options.search_path.clone(),
            columns: Columns::default(),
            parameters,
            slot_count: 0,
            cte_count: 0,
            relations: Vec::new(),
            levels: Vec::new(),
            ctes: Vec::new(),
            init: Vec::new(),
            instances: Vec::new(),
            check_as: None,
            frames: Vec::new(),
            view_depth: 0,
            as_of: None,
            writes: false,
            outermost: true,
            set_columns: BTreeMap::new(),
            names: None,
        }
    }

    /// Notes what a name of the query's own text means; views and functions have texts of their own.
    fn note_name(&mut self, position: u32, means: impl FnOnce() -> NameUse) {
        if self.view_depth == 0
            && self.frames.is_empty()
            && let Some(names) = &mut self.names
        {
            names.insert(position, means());
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("expressions are bound within a level")
    }

    fn new_slot(&mut self) -> u32 {
        self.slot_count += 1;
        self.slot_count - 1
    }
}
