//! Operators: the shape of a pg_operator row, and what the planner asks about one.

use super::catalogue;
use crate::function::FunctionRef;
use types::DataType;

/// A row of pg_operator.
pub struct Operator {
    pub oid: u32,
    pub name: &'static str,
    /// `None` for a prefix operator.
    pub left: Option<DataType>,
    pub right: DataType,
    pub result: DataType,
    /// pg_proc.oid of the function behind it.
    pub function_oid: u32,
    /// pg_operator.oid of the operator with its operands swapped; 0 for none.
    pub commutator: u32,
    /// pg_operator.oid of the operator with the opposite answer; 0 for none.
    pub negator: u32,
    /// Equality on which a merge join (a sort) can work.
    pub merges: bool,
    /// Equality on which a hash join can work.
    pub hashes: bool,
}

impl Operator {
    pub fn function(&self) -> FunctionRef {
        catalogue().function(self.function_oid).expect("every operator row names a function row")
    }

    pub fn commutator(&self) -> Option<&'static Operator> {
        catalogue().operator(self.commutator)
    }

    pub fn negator(&self) -> Option<&'static Operator> {
        catalogue().operator(self.negator)
    }
}

/// The operators whose function is `function`: `int4eq` answers `integer = integer`. A function serves at most one operator of
/// a given name, and nearly always one at all.
pub fn operators_of(function: FunctionRef) -> impl Iterator<Item = &'static Operator> {
    catalogue().operators().iter().filter(move |operator| operator.function_oid == function.0.oid)
}

/// The function that answers the same with its two arguments swapped (`<` for `>`); `None` when there is none.
pub fn commuted(function: FunctionRef) -> Option<FunctionRef> {
    operators_of(function).find_map(Operator::commutator).map(Operator::function)
}

/// The function that answers the opposite (`<>` for `=`).
pub fn negated(function: FunctionRef) -> Option<FunctionRef> {
    operators_of(function).find_map(Operator::negator).map(Operator::function)
}

/// What a comparison asks, whatever the two types are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub fn operator_name(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    /// The same question with the operands swapped.
    pub fn commuted(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same => same,
        }
    }

    /// Whether the ordering of left and right satisfies it.
    #[inline]
    pub fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// Which comparison `function` is, with the two argument types: how the planner recognises an index condition. `None` for
/// anything but the function behind one of the six comparison operators of a btree-sortable type.
pub fn comparison_of(function: FunctionRef) -> Option<(Comparison, DataType, DataType)> {
    let [left, right] = *function.0.arguments else { return None };
    if function.0.result != DataType::Bool {
        return None;
    }
    use Comparison::*;
    [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual].into_iter().find_map(|comparison| {
        let same = |operator: &&'static Operator| operator.function_oid == function.0.oid;
        catalogue()
            .operators_named(comparison.operator_name())
            .iter()
            .any(same)
            .then_some((comparison, left, right))
    })
}

pub(super) mod prelude {
    pub use super::Operator;
    pub use types::DataType::*;
    use types::{DataType, ElementType};

    #[allow(non_upper_case_globals)]
    pub const TextArray: DataType = DataType::Array(ElementType::builtin(25));
}

macro_rules! operators {
    (@left Prefix) => { None };
    (@left $left:ident) => { Some($left) };
    (@flag merge) => { true };
    (@flag hash) => { true };
    (@flag plain) => { false };
    ($($oid:literal $name:literal ($left:ident, $right:ident) -> $result:ident, $function:literal, $commutator:literal,
       $negator:literal, $merge:ident, $hash:ident;)*) => {
        pub(super) static ROWS: &[Operator] = &[$(Operator {
            oid: $oid,
            name: $name,
            left: operators!(@left $left),
            right: $right,
            result: $result,
            function_oid: $function,
            commutator: $commutator,
            negator: $negator,
            merges: operators!(@flag $merge),
            hashes: operators!(@flag $hash),
        },)*];
    };
}
pub(super) use operators;
