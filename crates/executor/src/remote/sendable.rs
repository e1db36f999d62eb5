//! Which expressions may be evaluated on another node.
//!
//! The rule: the value is the same there, whatever the session, the catalog and the clock. So every function is immutable by
//! PostgreSQL's classification, every conversion likewise, and no argument has a type whose make-up only the catalog knows (enums, which are
//! numbers to a comparison, excepted). A part without columns may be anything that is not volatile: it is evaluated here, once, and
//! travels as its value; if that fails, nothing is sent, and the error comes if and when the expression is reached.

use expr::eval::{cast_is_immutable, is_volatile};
use expr::{EvalContext, Expr, FunctionKind, FunctionRef, Program, Volatility};
use types::{Batch, DataType};

/// Expressions nested deeper than this are not sent.
pub(super) const DEPTH_MAX: u32 = 100;

/// Whether the expression may travel once its parts without columns are values.
pub(super) fn is_sendable(expr: &Expr) -> bool {
    sendable_at(expr, 0)
}

fn sendable_at(expr: &Expr, depth: u32) -> bool {
    if depth > DEPTH_MAX {
        return false;
    }
    if is_value(expr) {
        return true;
    }
    let node = match expr {
        Expr::Call { function, arguments, .. } => {
            is_sendable_function(*function) && arguments.iter().all(|argument| takes(*function, argument))
        }
        Expr::Cast { input, to, .. } => cast_is_immutable(input.data_type(), to.data_type),
        Expr::IsDistinctFrom { left, equal, .. } | Expr::NullIf { left, equal, .. } => {
            is_sendable_function(*equal) && takes(*equal, left)
        }
        Expr::InList { input, equal, .. } => is_sendable_function(*equal) && takes(*equal, input),
        Expr::Quantified { input, operator, .. } => {
            is_sendable_function(*operator) && takes(*operator, input)
        }
        Expr::Greatest { data_type, .. } | Expr::Least { data_type, .. } => !is_of_catalog(*data_type),
        Expr::Constant { .. }
        | Expr::Column { .. }
        | Expr::CaseOperand { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::IsNull { .. }
        | Expr::IsBool { .. }
        | Expr::Case { .. }
        | Expr::Coalesce { .. }
        | Expr::Array { .. }
        | Expr::Subscript { .. } => true,
        // Without columns they are values; with them they are rare, and name the catalog.
        Expr::Parameter { .. }
        | Expr::Slot { .. }
        | Expr::Row { .. }
        | Expr::Field { .. }
        | Expr::AssignPart { .. }
        | Expr::CoerceToDomain { .. } => false,
    };
    let mut all = node;
    expr.for_each_child(&mut |child| all = all && sendable_at(child, depth + 1));
    all
}

/// Whether it has one value during the statement: no column, nothing volatile.
fn is_value(expr: &Expr) -> bool {
    !has_column(expr) && !is_volatile(expr)
}

fn has_column(expr: &Expr) -> bool {
    let mut found = matches!(expr, Expr::Column { .. } | Expr::CaseOperand { .. });
    expr.for_each_child(&mut |child| found = found || has_column(child));
    found
}

/// An evaluator that looks at nothing but its arguments.
pub(super) fn is_sendable_function(function: FunctionRef) -> bool {
    matches!(function.0.kind, FunctionKind::Scalar(_)) && function.0.volatility == Volatility::Immutable
}

/// Whether the function may be given this on another node: only comparisons know enums as numbers.
fn takes(function: FunctionRef, argument: &Expr) -> bool {
    match argument.data_type().base() {
        DataType::Enum(_) => function.0.name.starts_with("enum_"),
        other => !is_of_catalog(other),
    }
}

/// A type whose make-up is the catalog's.
fn is_of_catalog(data_type: DataType) -> bool {
    match data_type.base() {
        DataType::Record => true,
        DataType::Array(_) => data_type.element().is_none_or(is_of_catalog),
        other => other.is_user_type(),
    }
}

/// The expression with values in place of what has no column. `None`: such a part fails.
pub(super) fn with_values(expr: &Expr, context: &EvalContext<'_>) -> Option<Expr> {
    if matches!(expr, Expr::Constant { .. }) {
        return Some(expr.clone());
    }
    if is_value(expr) {
        let batch = Batch { columns: Vec::new(), rows: 1 };
        let value = Program::new(expr).ok()?.evaluate(context, &batch).ok()?.datum(0);
        return Some(Expr::Constant { value, data_type: expr.data_type() });
    }
    let mut copy = expr.clone();
    let mut failed = false;
    copy.for_each_child_mut(&mut |child| match with_values(child, context) {
        Some(value) => *child = value,
        None => failed = true,
    });
    (!failed).then_some(copy)
}
