//! From statement text to a physical plan: pure functions, no I/O, no clock, no randomness, no async.
//!
//! ```text
//!   text --parser--> ast::Statement --bind--> logical::Relational --rewrite--> logical --optimize--> plan::Plan
//!                        (names, types: PostgreSQL's rules)    (named passes)        (costs, access paths)
//! ```
//!
//! - [`parser`]: lexer and recursive-descent + precedence-climbing parser into the compact [`ast`] with byte positions.
//! - [`bind`]: name resolution, type coercion, aggregates, windows, subqueries: `ast` to [`logical`].
//! - [`logical`] and [`rewrite`]: relational algebra and the ordered, named, switchable passes over it.
//! - [`optimize`]: statistics, cost, join order, access paths: `logical` to [`plan`].
//! - [`plan`]: what the executor runs. [`explain`] prints it as PostgreSQL prints its own.
//! - [`catalog`]: the questions asked of the world, answered by `sql`.
//!
//! # Why an own lexer and parser
//!
//! The crate `sqlparser` was read and measured first. Its parser takes 222 of 355 PostgreSQL statements tried and gets some
//! wrong silently (`-2 ^ 2`, `a ~ b || c`), its `Statement` takes 3.4 KB, its errors have no position. Its tokenizer does not split
//! operators as PostgreSQL does: `a>-1`, `a>=-1` and `a<>-1` become one unknown operator `>-`, `>=-`, `<>-`
//! (PostgreSQL's rule: an operator of several characters ends in `+` or `-` only if it holds one of `~!@#%^&|?` or a
//! backtick); `(x)._f` and `U&"..."` fail; `1.5L` loses its suffix; positions are line and column in characters and every word is
//! allocated. What remained of it was a whitespace skipper, so the lexer is ours too: PostgreSQL's `scan.l` rules over bytes.
//!
//! # Precedence
//!
//! Exactly the table of PostgreSQL's chapter 4.1.6; `parser::expression` holds it and a test goes through it pairwise.

pub mod ast;
pub mod bind;
pub mod catalog;
pub mod definitions;
pub mod explain;
mod frozen;
pub mod logical;
pub mod optimize;
pub mod options;
pub mod parser;
pub mod plan;
pub mod rewrite;
mod view_text;

pub use catalog::{Catalog, Relation, Statistics, Table};
pub use definitions::{
    bind_constant, bind_constant_rows, bind_instant, bind_over_columns, bind_transform,
    check_column_expressions, check_default, check_domain_condition, check_function_body,
    check_table_condition, columns_of_generated, domain_condition_text, plan_copy_from, resolve_type,
    sequence_of_default, stored_default_text, stored_expression_text,
};
pub use explain::{ExplainOptions, explain, explain_with};
pub use explain::{Reader, type_text};
pub use frozen::{Definition, Understanding, frozen, tells_time};
pub use options::{Methods, PlanOptions};
pub use parser::parse;
pub use plan::Plan;
pub use view_text::{SchemaObject, expand_wildcards, view_query_text};

use types::{DataType, PgResult};

/// Plans a statement for which [`ast::StatementKind::is_plannable`] holds; others are the caller's to run.
///
/// `parameters` are the types that the client gave for `$1`, `$2` ... (`None`: to be inferred).
pub fn plan(
    statement: &ast::Statement,
    catalog: &dyn Catalog,
    parameters: &[Option<DataType>],
    options: &PlanOptions,
) -> PgResult<Plan> {
    finish(bind::bind(statement, catalog, parameters, options)?, catalog, options)
}

/// From the logical to the physical plan.
fn finish(bound: bind::Bound, catalog: &dyn Catalog, options: &PlanOptions) -> PgResult<Plan> {
    let mut columns = bound.columns;
    let relational = rewrite::rewrite(bound.plan, &mut columns, options);
    let numbers: Vec<logical::ColumnNumber> = bound.output.iter().map(|(_, column)| *column).collect();
    let (root, slot_count) =
        optimize::physical_plan(relational, &numbers, &columns, bound.slot_count, catalog, options)?;
    let output = bound.output.into_iter().map(|(name, number)| {
        let info = columns.get(number);
        plan::OutputColumn { name, column_type: info.column_type, origin: info.origin }
    });
    Ok(Plan {
        root,
        command: bound.command,
        output: output.collect(),
        parameters: bound.parameters,
        slot_count,
        cte_count: bound.cte_count,
        relations: bound.relations,
        read_only: bound.read_only,
        as_of: bound.as_of,
        prepared: plan::Derived::default(),
    })
}
