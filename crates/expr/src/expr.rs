//! Bound expressions.

use crate::function::FunctionRef;
use types::{ColumnType, DataType, Datum};

/// A typed scalar expression.
///
/// - Every node knows its type; children already have exactly the types that the node's function takes: conversions are
///   explicit [`Expr::Cast`] nodes put in by the binder.
/// - [`Expr::Column`] counts from 0. While the planner works it is a query-wide column number; in a physical plan it is
///   the position in the operator's input batch.
/// - Evaluation is strict left to right only inside `Case`, `Coalesce`, `And` and `Or`, which must not evaluate (for a
///   given row) what a previous arm decided, so that `CASE WHEN x <> 0 THEN 1 / x END` never fails.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Constant {
        value: Datum,
        data_type: DataType,
    },
    Column {
        index: u32,
        data_type: DataType,
    },
    /// `$n`, counted from 0.
    Parameter {
        index: u32,
        data_type: DataType,
    },
    /// A value of an enclosing query's row (correlation) or the result of an uncorrelated subquery: the executor
    /// puts it into [`crate::EvalContext::slots`] before it evaluates.
    Slot {
        index: u32,
        data_type: DataType,
    },
    /// A function or operator.
    Call {
        function: FunctionRef,
        arguments: Vec<Expr>,
        data_type: DataType,
        position: u32,
    },
    /// A conversion. `input` NULL gives NULL. With a modifier in `to`, the modifier is applied as well (length
    /// coercion): truncating silently if `context` is explicit, with 22001 otherwise.
    Cast {
        input: Box<Expr>,
        to: ColumnType,
        context: CastContext,
        position: u32,
    },
    /// Three-valued; at least two.
    And(Vec<Expr>),
    /// Three-valued; at least two.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        input: Box<Expr>,
        negated: bool,
    },
    /// IS [NOT] TRUE / FALSE / UNKNOWN (`value` None).
    IsBool {
        input: Box<Expr>,
        value: Option<bool>,
        negated: bool,
    },
    /// `equal` is the `=` operator's function for the two types.
    IsDistinctFrom {
        left: Box<Expr>,
        right: Box<Expr>,
        equal: FunctionRef,
        negated: bool,
    },
    /// Searched CASE (the simple form is bound to comparisons with a shared, once evaluated operand: `operand`, which the
    /// arms' conditions see as [`Expr::CaseOperand`]).
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<CaseArm>,
        otherwise: Option<Box<Expr>>,
        data_type: DataType,
    },
    /// The operand of the innermost enclosing simple CASE.
    CaseOperand {
        data_type: DataType,
    },
    Coalesce {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    NullIf {
        left: Box<Expr>,
        right: Box<Expr>,
        equal: FunctionRef,
    },
    Greatest {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    Least {
        arguments: Vec<Expr>,
        data_type: DataType,
    },
    /// `input IN (list)`: all of one type, `equal` its `=`; constants in `list` may be hashed.
    InList {
        input: Box<Expr>,
        list: Vec<Expr>,
        equal: FunctionRef,
        negated: bool,
    },
    /// `input operator ANY|ALL (array)`.
    Quantified {
        input: Box<Expr>,
        array: Box<Expr>,
        operator: FunctionRef,
        all: bool,
    },
    /// ARRAY[...]: elements of one type; `nested` when the elements are themselves arrays that make a further dimension.
    Array {
        elements: Vec<Expr>,
        data_type: DataType,
        nested: bool,
    },
    /// `array[i]`, `array[i][j]`, `array[a:b]`.
    Subscript {
        array: Box<Expr>,
        subscripts: Vec<Subscript>,
        data_type: DataType,
    },
    /// ROW(...), or a relation's row. `names` has one for each field.
    Row {
        fields: Vec<Expr>,
        names: std::sync::Arc<[Box<str>]>,
        data_type: DataType,
    },
    /// (row).field, by position.
    Field {
        input: Box<Expr>,
        field: u32,
        data_type: DataType,
    },
    /// The whole with a part of it replaced: what an assignment to a part of a column gives.
    AssignPart {
        whole: Box<Expr>,
        part: AssignedPart,
        data_type: DataType,
    },
    /// The constraints of a domain, checked on a value of what it is over (23502, 23514); the value itself otherwise.
    CoerceToDomain {
        input: Box<Expr>,
        domain: std::sync::Arc<DomainConstraints>,
        data_type: DataType,
    },
}

/// What a domain asks of its values, the domains that it is over included, innermost first.
///
/// - Conditions are over a row of one column, the value. They are not children of the expression: what moves columns about
///   does not see them.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainConstraints {
    /// The domain's name, for messages.
    pub domain: Box<str>,
    /// The type that is no domain which the domain is over: that of the conditions' column.
    pub over: DataType,
    pub not_null: bool,
    pub checks: Vec<(Box<str>, Expr)>,
    /// What of the value is checked.
    pub part: DomainPart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainPart {
    Value,
    /// Every element of an array.
    Elements,
    /// A field of a row value, by position; a NULL row is left alone.
    Field(u32),
}

/// Which part is replaced, and by what.
#[derive(Clone, Debug, PartialEq)]
pub enum AssignedPart {
    /// A field of a row value of `width` fields, which may be NULL so far.
    Field { field: u32, width: u32, value: Box<Expr> },
    /// An element or a slice of an array, a place within a jsonb.
    Subscripts { subscripts: Vec<Subscript>, value: Box<Expr> },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    Index(Expr),
    Slice { lower: Option<Expr>, upper: Option<Expr> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct CaseArm {
    pub condition: Expr,
    pub result: Expr,
}

/// Who asked for a conversion (pg_cast.castcontext).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    Implicit,
    Assignment,
    Explicit,
}

/// One aggregate call of a grouping operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub function: FunctionRef,
    pub arguments: Vec<Expr>,
    pub distinct: bool,
    pub filter: Option<Expr>,
    /// ORDER BY inside the call, or WITHIN GROUP: (expression, descending, nulls first).
    pub order_by: Vec<(Expr, bool, bool)>,
    pub data_type: DataType,
}

/// One window function call; the frame and the partitioning belong to the operator.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowCall {
    pub function: FunctionRef,
    pub arguments: Vec<Expr>,
    pub filter: Option<Expr>,
    pub data_type: DataType,
}

impl Expr {
    pub fn constant(value: Datum, data_type: DataType) -> Expr {
        Expr::Constant { value, data_type }
    }

    pub fn column(index: u32, data_type: DataType) -> Expr {
        Expr::Column { index, data_type }
    }

    pub fn data_type(&self) -> DataType {
        match self {
            Expr::Constant { data_type, .. }
            | Expr::Column { data_type, .. }
            | Expr::Parameter { data_type, .. }
            | Expr::Slot { data_type, .. }
            | Expr::Call { data_type, .. }
            | Expr::Case { data_type, .. }
            | Expr::CaseOperand { data_type }
            | Expr::Coalesce { data_type, .. }
            | Expr::Greatest { data_type, .. }
            | Expr::Least { data_type, .. }
            | Expr::Array { data_type, .. }
            | Expr::Subscript { data_type, .. }
            | Expr::Row { data_type, .. }
            | Expr::Field { data_type, .. }
            | Expr::AssignPart { data_type, .. }
            | Expr::CoerceToDomain { data_type, .. } => *data_type,
            Expr::Cast { to, .. } => to.data_type,
            Expr::NullIf { left, .. } => left.data_type(),
            Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::IsBool { .. }
            | Expr::IsDistinctFrom { .. }
            | Expr::InList { .. }
            | Expr::Quantified { .. } => DataType::Bool,
        }
    }

    /// Calls `visit` on each direct child.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Slot { .. }
            | Expr::CaseOperand { .. } => {}
            Expr::Call { arguments: list, .. }
            | Expr::And(list)
            | Expr::Or(list)
            | Expr::Coalesce { arguments: list, .. }
            | Expr::Greatest { arguments: list, .. }
            | Expr::Least { arguments: list, .. }
            | Expr::Array { elements: list, .. }
            | Expr::Row { fields: list, .. } => list.iter().for_each(visit),
            Expr::Cast { input, .. }
            | Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::IsBool { input, .. }
            | Expr::Field { input, .. }
            | Expr::CoerceToDomain { input, .. } => visit(input),
            Expr::IsDistinctFrom { left, right, .. } | Expr::NullIf { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                operand.iter().for_each(|operand| visit(operand));
                for arm in arms {
                    visit(&arm.condition);
                    visit(&arm.result);
                }
                otherwise.iter().for_each(|otherwise| visit(otherwise));
            }
            Expr::InList { input, list, .. } => {
                visit(input);
                list.iter().for_each(visit);
            }
            Expr::Quantified { input, array, .. } => {
                visit(input);
                visit(array);
            }
            Expr::Subscript { array, subscripts, .. } => {
                visit(array);
                for_each_bound(subscripts, visit);
            }
            Expr::AssignPart { whole, part, .. } => {
                visit(whole);
                match part {
                    AssignedPart::Field { value, .. } => visit(value),
                    AssignedPart::Subscripts { subscripts, value } => {
                        for_each_bound(subscripts, visit);
                        visit(value);
                    }
                }
            }
        }
    }

    /// Calls `visit` on each direct child, to change it in place.
    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Expr)) {
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Parameter { .. }
            | Expr::Slot { .. }
            | Expr::CaseOperand { .. } => {}
            Expr::Call { arguments: list, .. }
            | Expr::And(list)
            | Expr::Or(list)
            | Expr::Coalesce { arguments: list, .. }
            | Expr::Greatest { arguments: list, .. }
            | Expr::Least { arguments: list, .. }
            | Expr::Array { elements: list, .. }
            | Expr::Row { fields: list, .. } => list.iter_mut().for_each(visit),
            Expr::Cast { input, .. }
            | Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::IsBool { input, .. }
            | Expr::Field { input, .. }
            | Expr::CoerceToDomain { input, .. } => visit(input),
            Expr::IsDistinctFrom { left, right, .. } | Expr::NullIf { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Expr::Case { operand, arms, otherwise, .. } => {
                operand.iter_mut().for_each(|operand| visit(operand));
                for arm in arms {
                    visit(&mut arm.condition);
                    visit(&mut arm.result);
                }
                otherwise.iter_mut().for_each(|otherwise| visit(otherwise));
            }
            Expr::InList { input, list, .. } => {
                visit(input);
                list.iter_mut().for_each(visit);
            }
            Expr::Quantified { input, array, .. } => {
                visit(input);
                visit(array);
            }
            Expr::Subscript { array, subscripts, .. } => {
                visit(array);
                for_each_bound_mut(subscripts, visit);
            }
            Expr::AssignPart { whole, part, .. } => {
                visit(whole);
                match part {
                    AssignedPart::Field { value, .. } => visit(value),
                    AssignedPart::Subscripts { subscripts, value } => {
                        for_each_bound_mut(subscripts, visit);
                        visit(value);
                    }
                }
            }
        }
    }
}

fn for_each_bound<'a>(subscripts: &'a [Subscript], visit: &mut dyn FnMut(&'a Expr)) {
    for subscript in subscripts {
        match subscript {
            Subscript::Index(index) => visit(index),
            Subscript::Slice { lower, upper } => lower.iter().chain(upper).for_each(&mut *visit),
        }
    }
}

fn for_each_bound_mut(subscripts: &mut [Subscript], visit: &mut dyn FnMut(&mut Expr)) {
    for subscript in subscripts {
        match subscript {
            Subscript::Index(index) => visit(index),
            Subscript::Slice { lower, upper } => lower.iter_mut().chain(upper).for_each(&mut *visit),
        }
    }
}
