//! Constants are computed once, while planning; conditions that are always true fall away, and what can never be true reads nothing.
//!
//! Rows of VALUES take in what is computed from them: `INSERT ... VALUES (1)` with its defaults is one row of constants.

use crate::logical::*;
use expr::{Bounds, CatalogLookup, EvalContext, Expr, SessionInfo};
use std::sync::LazyLock;
use std::sync::atomic::AtomicU64;
use types::{DataType, Datum, FormatContext, PgError, PgResult, SqlState};

pub fn run(mut relational: Relational, _columns: &mut Columns) -> Relational {
    fold(&mut relational);
    relational
}

fn fold(node: &mut Relational) {
    stacker::maybe_grow(64 << 10, 1 << 20, || {
        node.for_each_input_mut(&mut fold);
        node.for_each_expr_mut(&mut fold_expr);
    });
    let taken = node.take();
    *node = match taken {
        Relational::Filter(filter) => fold_filter(*filter),
        Relational::Extend(extend) => merge_into_values(*extend),
        other => other,
    };
}

/// No parameters, no session: only what is immutable is evaluated.
fn fold_expr(expr: &mut Expr) {
    if is_leaf(expr) {
        return;
    }
    let taken = std::mem::replace(expr, Expr::constant(Datum::Null, DataType::Unknown));
    *expr = with_context(|context| expr::fold(taken, context));
}

fn is_leaf(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Slot { .. }
            | Expr::CaseOperand { .. }
    )
}

/// What would become large is left to the execution, which is accountable for its memory.
struct Small;

const FOLDED_BYTES_MAX: usize = 1 << 20;

impl Bounds for Small {
    fn check(&self, bytes: usize) -> PgResult<()> {
        match bytes <= FOLDED_BYTES_MAX {
            true => Ok(()),
            false => Err(PgError::new(SqlState::OUT_OF_MEMORY, "not computed while planning")),
        }
    }
}

struct NoCatalog;

impl CatalogLookup for NoCatalog {
    fn call(&self, name: &str, _: &[Datum]) -> PgResult<Datum> {
        Err(PgError::internal(format!("{name} is not evaluated while planning")))
    }
}

fn with_context<T>(evaluate: impl FnOnce(&EvalContext<'_>) -> T) -> T {
    static SESSION: LazyLock<SessionInfo> = LazyLock::new(|| SessionInfo {
        database: String::new(),
        user: String::new(),
        session_user: String::new(),
        search_path: Vec::new(),
        application_name: String::new(),
        backend_pid: 0,
        server_version: String::new(),
        format: FormatContext::default(),
    });
    let random = AtomicU64::new(0);
    evaluate(&EvalContext {
        parameters: &[],
        slots: &[],
        transaction_timestamp: 0,
        statement_timestamp: 0,
        clock_timestamp: 0,
        random: &random,
        session: &SESSION,
        catalog: &NoCatalog,
        bounds: &Small,
    })
}

fn fold_filter(filter: Filter) -> Relational {
    let Filter { input, conditions } = filter;
    let mut kept = Vec::with_capacity(conditions.len());
    for condition in conditions.into_iter().flat_map(conjuncts) {
        match condition {
            Expr::Constant { value: Datum::Bool(true), .. } => {}
            Expr::Constant { value: Datum::Bool(false) | Datum::Null, .. } => {
                return Relational::empty(input.produced().iter().collect());
            }
            other => kept.push(other),
        }
    }
    input.filter(kept)
}

/// Computed columns over VALUES become columns of it, unless a volatile field would be evaluated twice.
fn merge_into_values(extend: crate::logical::Extend) -> Relational {
    let crate::logical::Extend { input, columns } = extend;
    let Relational::Values(mut values) = input else { return input.extend(columns) };
    const ROWS_MAX: usize = 64;
    let volatile = values.rows.iter().flatten().any(expr::eval::is_volatile);
    let uses_fields = {
        let own: ColumnSet = values.columns.iter().copied().collect();
        columns.iter().any(|(_, value)| columns_of(value).intersects(&own))
    };
    if values.rows.len() > ROWS_MAX || (volatile && uses_fields) {
        return Relational::Values(values).extend(columns);
    }
    let numbers = values.columns.clone();
    for row in &mut values.rows {
        let fields = row.clone();
        for (_, value) in &columns {
            let mut value = value.clone();
            replace_columns(&mut value, &|column| {
                numbers.iter().position(|known| *known == column).map(|index| fields[index].clone())
            });
            fold_expr(&mut value);
            row.push(value);
        }
    }
    values.columns.extend(columns.iter().map(|(column, _)| *column));
    Relational::Values(values)
}
