//! Operator resolution (PostgreSQL 10.2), and the operators by which values of a type are compared.

use super::candidates::{Candidate, Choice, choose};
use super::{Resolved, polymorphic};
use crate::catalogue::operators::Comparison;
use crate::catalogue::{Operator, catalogue};
use crate::function::{FunctionKind, FunctionRef};
use types::{DataType, PgError, PgResult, SqlState};

#[derive(Clone, Copy)]
struct OperatorCandidate(&'static Operator);

impl Candidate for OperatorCandidate {
    fn argument(&self, index: usize) -> DataType {
        match (index, self.0.left) {
            (0, Some(left)) => left,
            _ => self.0.right,
        }
    }
}

/// Finds the operator `name` for the operand types; `left` is `None` for a prefix operator.
///
/// 42883 "operator does not exist: integer + boolean", 42725 "operator is not unique: unknown + unknown", both without
/// position: the caller adds the operator's.
pub fn resolve_operator(name: &str, left: Option<DataType>, right: DataType) -> PgResult<Resolved> {
    let name = if name == "!=" { "<>" } else { name };
    let (left, right) = (left.map(DataType::base), right.base());
    let operator = find(name, left, right)?;
    let function = operator.function();
    let inputs: Vec<DataType> = left.into_iter().chain([right]).collect();
    let declared: Vec<DataType> = operator.left.into_iter().chain([operator.right]).collect();
    let (argument_types, result) = polymorphic::instantiate(&inputs, &declared, operator.result)?;
    if matches!(function.0.kind, FunctionKind::Missing) {
        return Err(PgError::unsupported(format!("operator {}", signature(name, left, right))));
    }
    Ok(Resolved { function, argument_types, collect_from: None, defaults: Vec::new(), result })
}

fn find(name: &str, left: Option<DataType>, right: DataType) -> PgResult<&'static Operator> {
    let operators = catalogue().operators_named(name);
    let exact = |left: Option<DataType>, right: DataType| {
        operators.iter().find(|operator| operator.left == left && operator.right == right).copied()
    };
    let (exact_left, exact_right) = match (left, right) {
        (Some(DataType::Unknown), right) => (Some(right), right),
        (Some(left), DataType::Unknown) => (Some(left), left),
        other => other,
    };
    if let Some(operator) = exact(exact_left, exact_right) {
        return Ok(operator);
    }
    let inputs: Vec<DataType> = left.into_iter().chain([right]).collect();
    let candidates = operators
        .iter()
        .filter(|operator| operator.left.is_some() == left.is_some())
        .map(|operator| OperatorCandidate(operator))
        .collect();
    match choose(&inputs, candidates) {
        Choice::One(candidate) => Ok(candidate.0),
        Choice::None => Err(does_not_exist(name, left, right)),
        Choice::Several => Err(PgError::new(
            SqlState::AMBIGUOUS_FUNCTION,
            format!("operator is not unique: {}", signature(name, left, right)),
        )
        .hint("Could not choose a best candidate operator. You might need to add explicit type casts.")),
    }
}

fn signature(name: &str, left: Option<DataType>, right: DataType) -> String {
    match left {
        Some(left) => format!("{left} {name} {right}"),
        None => format!("{name} {right}"),
    }
}

fn does_not_exist(name: &str, left: Option<DataType>, right: DataType) -> PgError {
    let hint = match left {
        Some(_) => {
            "No operator matches the given name and argument types. You might need to add explicit type casts."
        }
        None => {
            "No operator matches the given name and argument type. You might need to add an explicit type cast."
        }
    };
    PgError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {}", signature(name, left, right)),
    )
    .hint(hint)
}

fn comparison_operator(comparison: Comparison, data_type: DataType) -> Option<&'static Operator> {
    let data_type = data_type.base();
    let operators = catalogue().operators_named(comparison.operator_name());
    let over = |wanted: DataType| {
        operators.iter().find(|operator| operator.left == Some(wanted) && operator.right == wanted).copied()
    };
    over(data_type).or_else(|| match data_type {
        DataType::Varchar | DataType::Unknown => over(DataType::Text),
        DataType::Regproc
        | DataType::Regprocedure
        | DataType::Regoper
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regnamespace
        | DataType::Regrole => over(DataType::Oid),
        DataType::Array(_) | DataType::Int2Vector => over(DataType::AnyArray),
        DataType::Enum(_) => over(DataType::AnyEnum),
        DataType::Composite(_) => over(DataType::Record),
        _ => None,
    })
}

/// The `=` of a type (its default btree or hash operator class): for DISTINCT, GROUP BY, IN, IS DISTINCT FROM. 42883 for
/// a type without one (json).
pub fn equality(data_type: DataType) -> PgResult<FunctionRef> {
    comparison_operator(Comparison::Equal, data_type)
        .filter(|operator| operator.merges || operator.hashes)
        .map(Operator::function)
        .ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("could not identify an equality operator for type {data_type}"),
            )
        })
}

/// The `<` of a type (its default btree operator class): for ORDER BY, min/max, merge joins. 42883 for a type without order.
pub fn ordering(data_type: DataType) -> PgResult<FunctionRef> {
    comparison_operator(Comparison::Less, data_type).map(Operator::function).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("could not identify an ordering operator for type {data_type}"),
        )
        .hint("Use an explicit ordering operator or modify the query.")
    })
}
