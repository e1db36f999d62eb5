//! Prepared expression nodes and the plain ones' evaluation.

use super::assign::AssignNode;
use super::cast::CastPlan;
use super::conditional::{ArmNode, CaseNode};
use super::domain::DomainNode;
use super::frame::{Frame, Value};
use super::list::{ListNode, QuantifiedNode};
use super::{boolean, conditional, true_rows};
use crate::bounds::Watch;
use crate::catalogue::catalogue;
use crate::expr::{Expr, Subscript};
use crate::function::{Evaluator, FunctionKind, FunctionRef, Volatility};
use crate::functions::array;
use smallvec::SmallVec;
use std::sync::Arc;
use types::{DataType, Datum, PgError, PgResult, RowType, Values, Vector};

/// A prepared [`Expr`].
pub(super) enum Node {
    Constant(Vector),
    Column {
        index: usize,
    },
    Parameter {
        index: usize,
        data_type: DataType,
    },
    Slot {
        index: usize,
        data_type: DataType,
    },
    CaseOperand,
    Call(CallNode),
    Cast {
        input: Box<Node>,
        plan: CastPlan,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull {
        input: Box<Node>,
        negated: bool,
        row_type: bool,
    },
    IsBool {
        input: Box<Node>,
        value: Option<bool>,
        negated: bool,
    },
    IsDistinctFrom {
        left: Box<Node>,
        right: Box<Node>,
        equal: Evaluator,
        negated: bool,
    },
    Case(CaseNode),
    Coalesce {
        arguments: Vec<Node>,
        data_type: DataType,
    },
    NullIf {
        left: Box<Node>,
        right: Box<Node>,
        equal: Evaluator,
    },
    /// GREATEST (keep the greater) and LEAST.
    Extreme {
        arguments: Vec<Node>,
        data_type: DataType,
        greatest: bool,
    },
    InList(ListNode),
    Quantified(QuantifiedNode),
    Array {
        elements: Vec<Node>,
        data_type: DataType,
        nested: bool,
    },
    Subscript {
        array: Box<Node>,
        subscripts: Vec<SubscriptNode>,
        data_type: DataType,
    },
    Row {
        fields: Vec<Node>,
        row_type: Option<Arc<RowType>>,
        data_type: DataType,
    },
    Field {
        input: Box<Node>,
        field: usize,
        data_type: DataType,
    },
    Domain(DomainNode),
    Assign(AssignNode),
}

pub(super) enum SubscriptNode {
    Index(Node),
    Slice { lower: Option<Node>, upper: Option<Node> },
}

/// A call of a scalar function.
pub(super) struct CallNode {
    evaluator: Evaluator,
    arguments: Vec<Node>,
    data_type: DataType,
    strict: bool,
    volatile: bool,
    /// Can neither fail nor cost much: may run on rows that do not need it.
    harmless: bool,
}

/// The evaluator of a scalar function; an error for any other kind.
pub(super) fn scalar_evaluator(function: FunctionRef) -> PgResult<Evaluator> {
    match function.0.kind {
        FunctionKind::Scalar(evaluator) => Ok(evaluator),
        FunctionKind::Missing => Err(PgError::unsupported(format!("function {}", function.0.name))),
        FunctionKind::Deferred | FunctionKind::Aggregate | FunctionKind::Window | FunctionKind::Set => {
            Err(PgError::internal(format!("function {} was left inside an expression", function.0.name)))
        }
    }
}

fn all(list: &[Expr]) -> PgResult<Vec<Node>> {
    list.iter().map(Node::new).collect()
}

fn boxed(expr: &Expr) -> PgResult<Box<Node>> {
    Ok(Box::new(Node::new(expr)?))
}

fn optional(expr: &Option<Expr>) -> PgResult<Option<Node>> {
    expr.as_ref().map(Node::new).transpose()
}

impl Node {
    pub(super) fn new(expr: &Expr) -> PgResult<Node> {
        Ok(match expr {
            Expr::Constant { value, data_type } => {
                Node::Constant(Vector::from_datums(*data_type, std::slice::from_ref(value)))
            }
            Expr::Column { index, .. } => Node::Column { index: *index as usize },
            Expr::Parameter { index, data_type } => {
                Node::Parameter { index: *index as usize, data_type: *data_type }
            }
            Expr::Slot { index, data_type } => Node::Slot { index: *index as usize, data_type: *data_type },
            Expr::CaseOperand { .. } => Node::CaseOperand,
            // Types are known before anything is evaluated.
            Expr::Call { function, arguments, data_type, .. } if function.0.name == "pg_typeof" => {
                let oid = arguments.first().map_or(0, |argument| argument.data_type().oid());
                Node::Constant(Vector::from_datums(*data_type, &[Datum::Oid(oid)]))
            }
            Expr::Call { function, arguments, data_type, .. } => Node::Call(CallNode {
                evaluator: scalar_evaluator(*function)?,
                arguments: all(arguments)?,
                data_type: *data_type,
                strict: function.0.strict,
                volatile: function.0.volatility == Volatility::Volatile,
                harmless: catalogue().is_harmless(*function),
            }),
            Expr::Cast { input, to, context, .. } => {
                let plan = CastPlan::new(input.data_type(), *to, *context)?;
                Node::Cast { input: boxed(input)?, plan }
            }
            Expr::And(list) => Node::And(all(list)?),
            Expr::Or(list) => Node::Or(all(list)?),
            Expr::Not(input) => Node::Not(boxed(input)?),
            Expr::IsNull { input, negated } => Node::IsNull {
                row_type: matches!(input.data_type().base(), DataType::Record | DataType::Composite(_)),
                input: boxed(input)?,
                negated: *negated,
            },
            Expr::IsBool { input, value, negated } => {
                Node::IsBool { input: boxed(input)?, value: *value, negated: *negated }
            }
            Expr::IsDistinctFrom { left, right, equal, negated } => Node::IsDistinctFrom {
                left: boxed(left)?,
                right: boxed(right)?,
                equal: scalar_evaluator(*equal)?,
                negated: *negated,
            },
            Expr::NullIf { left, right, equal } => {
                Node::NullIf { left: boxed(left)?, right: boxed(right)?, equal: scalar_evaluator(*equal)? }
            }
            other => return Node::new_compound(other),
        })
    }

    fn new_compound(expr: &Expr) -> PgResult<Node> {
        Ok(match expr {
            Expr::Case { operand, arms, otherwise, data_type } => Node::Case(CaseNode {
                operand: operand.as_deref().map(boxed).transpose()?,
                arms: arms
                    .iter()
                    .map(|arm| {
                        Ok(ArmNode { condition: Node::new(&arm.condition)?, result: Node::new(&arm.result)? })
                    })
                    .collect::<PgResult<_>>()?,
                otherwise: otherwise.as_deref().map(boxed).transpose()?,
                data_type: *data_type,
            }),
            Expr::Coalesce { arguments, data_type } => {
                Node::Coalesce { arguments: all(arguments)?, data_type: *data_type }
            }
            Expr::Greatest { arguments, data_type } => {
                Node::Extreme { arguments: all(arguments)?, data_type: *data_type, greatest: true }
            }
            Expr::Least { arguments, data_type } => {
                Node::Extreme { arguments: all(arguments)?, data_type: *data_type, greatest: false }
            }
            Expr::InList { input, list, equal, negated } => {
                Node::InList(ListNode::new(input, list, *equal, *negated)?)
            }
            Expr::Quantified { input, array, operator, all } => {
                Node::Quantified(QuantifiedNode::new(input, array, *operator, *all)?)
            }
            Expr::Array { elements, data_type, nested } => {
                Node::Array { elements: all(elements)?, data_type: *data_type, nested: *nested }
            }
            Expr::Subscript { array, subscripts, data_type } => Node::Subscript {
                array: boxed(array)?,
                subscripts: subscripts.iter().map(SubscriptNode::new).collect::<PgResult<_>>()?,
                data_type: *data_type,
            },
            Expr::Row { fields, names, data_type } => Node::Row {
                fields: all(fields)?,
                row_type: (*data_type == DataType::Record).then(|| row_type(fields, names)),
                data_type: *data_type,
            },
            Expr::AssignPart { whole, part, data_type } => {
                Node::Assign(AssignNode::new(whole, part, *data_type)?)
            }
            Expr::CoerceToDomain { input, domain, .. } => Node::Domain(DomainNode::new(input, domain)?),
            Expr::Field { input, field, data_type } => {
                Node::Field { input: boxed(input)?, field: *field as usize, data_type: *data_type }
            }
            other => return Err(PgError::internal(format!("no evaluation for {other:?}"))),
        })
    }

    /// Whether the node can neither fail nor cost much.
    pub(super) fn is_harmless(&self) -> bool {
        match self {
            Node::Constant(_) | Node::Column { .. } | Node::Parameter { .. } | Node::Slot { .. } => true,
            Node::Call(call) => call.harmless && call.arguments.iter().all(Node::is_harmless),
            Node::And(list) | Node::Or(list) => list.iter().all(Node::is_harmless),
            Node::Not(input) | Node::IsNull { input, .. } | Node::IsBool { input, .. } => input.is_harmless(),
            Node::InList(list) => list.is_harmless(),
            _ => false,
        }
    }

    /// The values of the node for the frame's rows, of which there is at least one.
    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        match self {
            Node::Constant(vector) => Ok(Value::constant(vector)),
            Node::Column { index } => Ok(frame.column(*index)),
            Node::Parameter { index, data_type } => {
                let datum = frame.context.parameters.get(*index).ok_or_else(|| missing_parameter(*index))?;
                Ok(single(datum, *data_type))
            }
            Node::Slot { index, data_type } => Ok(single(&frame.context.slots[*index], *data_type)),
            Node::CaseOperand => {
                let operand =
                    frame.operand.ok_or_else(|| PgError::internal("CASE operand outside of CASE"))?;
                let vector = std::borrow::Cow::Borrowed(&*operand.vector);
                Ok(Value { vector, constant: operand.constant })
            }
            Node::Call(call) => call.run(frame),
            Node::Cast { input, plan } => plan.apply(input.run(frame)?, frame),
            Node::And(list) => boolean::connective(list, frame, false),
            Node::Or(list) => boolean::connective(list, frame, true),
            Node::Not(input) => boolean::not(input.run(frame)?),
            Node::IsNull { input, negated, row_type } => {
                Ok(boolean::is_null(&input.run(frame)?, frame.rows, *negated, *row_type))
            }
            Node::IsBool { input, value, negated } => {
                Ok(boolean::is_bool(&input.run(frame)?, frame.rows, *value, *negated))
            }
            Node::IsDistinctFrom { left, right, equal, negated } => {
                boolean::is_distinct(left.run(frame)?, right.run(frame)?, *equal, *negated, frame)
            }
            Node::Case(case) => case.run(frame),
            Node::Coalesce { arguments, data_type } => conditional::coalesce(arguments, *data_type, frame),
            Node::NullIf { left, right, equal } => {
                conditional::null_if(left.run(frame)?, right.run(frame)?, *equal, frame)
            }
            Node::Extreme { arguments, data_type, greatest } => {
                conditional::extreme(arguments, *data_type, *greatest, frame)
            }
            Node::InList(list) => list.run(frame),
            Node::Quantified(quantified) => quantified.run(frame),
            Node::Array { elements, data_type, nested } => array_of(elements, *data_type, *nested, frame),
            Node::Subscript { array, subscripts, data_type } => {
                subscript(array, subscripts, *data_type, frame)
            }
            Node::Row { fields, row_type, data_type } => row_of(fields, row_type.as_ref(), *data_type, frame),
            Node::Domain(domain) => domain.run(frame),
            Node::Assign(assign) => assign.run(frame),
            Node::Field { input, field, data_type } => field_of(input, *field, *data_type, frame),
        }
    }

    /// The rows of the frame, by their numbers within it, for which a boolean node is true.
    pub(super) fn select(&self, frame: &Frame<'_>) -> PgResult<Vec<u32>> {
        match self {
            Node::And(list) => boolean::select_all(list, frame),
            _ => {
                let value = self.run(frame)?;
                if !value.constant {
                    return Ok(true_rows(&value.vector));
                }
                let passes = !value.is_null(0) && matches!(&value.vector.values, Values::Bool(v) if v[0]);
                Ok(if passes { (0..frame.rows as u32).collect() } else { Vec::new() })
            }
        }
    }
}

fn missing_parameter(index: usize) -> PgError {
    PgError::new(types::SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", index + 1))
}

/// A datum as a constant.
fn single<'a>(datum: &Datum, data_type: DataType) -> Value<'a> {
    Value::owned_constant(Vector::from_datums(data_type, std::slice::from_ref(datum)))
}

impl CallNode {
    fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        if let Some(result) = self.run_on_columns(frame) {
            return result;
        }
        let mut values: SmallVec<[Value<'a>; 3]> = SmallVec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            values.push(argument.run(frame)?);
        }
        call(self.evaluator, &values, self.data_type, self.strict, self.volatile, frame)
    }

    /// The commonest shape, one or two columns or constants over all rows, without moving values about.
    fn run_on_columns<'a>(&'a self, frame: &Frame<'a>) -> Option<PgResult<Value<'a>>> {
        if frame.selection.is_some() {
            return None;
        }
        let leaf = |node: &'a Node| match node {
            Node::Column { index } => Some((&frame.batch.columns[*index], false)),
            Node::Constant(vector) => Some((vector, true)),
            _ => None,
        };
        match self.arguments.as_slice() {
            [only] => Some(self.apply(&[leaf(only)?], frame)),
            [left, right] => Some(self.apply(&[leaf(left)?, leaf(right)?], frame)),
            _ => None,
        }
    }

    fn apply<'a>(&self, inputs: &[(&Vector, bool)], frame: &Frame<'_>) -> PgResult<Value<'a>> {
        apply(self.evaluator, inputs, self.data_type, self.strict, self.volatile, frame)
    }
}

/// Calls an evaluator over values.
pub(super) fn call<'a>(
    evaluator: Evaluator,
    values: &[Value<'_>],
    data_type: DataType,
    strict: bool,
    volatile: bool,
    frame: &Frame<'_>,
) -> PgResult<Value<'a>> {
    let inputs: SmallVec<[(&Vector, bool); 4]> =
        values.iter().map(|value| (&*value.vector, value.constant)).collect();
    apply(evaluator, &inputs, data_type, strict, volatile, frame)
}

/// Calls an evaluator over vectors, each said to be constant or not: once for constants, NULL for NULL when strict.
fn apply<'a>(
    evaluator: Evaluator,
    inputs: &[(&Vector, bool)],
    data_type: DataType,
    strict: bool,
    volatile: bool,
    frame: &Frame<'_>,
) -> PgResult<Value<'a>> {
    if strict && inputs.iter().any(|(vector, constant)| *constant && vector.is_null(0)) {
        let mut null = Vector::with_capacity(data_type, 1);
        null.push_null();
        return Ok(Value::owned_constant(null));
    }
    let constant = !volatile && inputs.iter().all(|(_, constant)| *constant);
    let rows = if constant { 1 } else { frame.rows };
    let references: SmallVec<[&Vector; 4]> = inputs.iter().map(|(vector, _)| *vector).collect();
    let mut result = evaluator(frame.context, &references, rows)?;
    result.data_type = data_type;
    if strict {
        for (vector, input_constant) in inputs {
            // A NULL constant has been answered above.
            if !input_constant || constant {
                result.nulls.unite(&vector.nulls);
            }
        }
    }
    debug_assert_eq!(result.len(), rows);
    Ok(Value { vector: std::borrow::Cow::Owned(result), constant })
}

fn run_all<'a>(nodes: &'a [Node], frame: &Frame<'a>) -> PgResult<Vec<Value<'a>>> {
    nodes.iter().map(|node| node.run(frame)).collect()
}

/// Builds a value row by row; once only when all inputs are constant.
pub(super) fn by_row<'a>(
    inputs: &[&Value<'_>],
    data_type: DataType,
    frame: &Frame<'_>,
    mut make: impl FnMut(usize) -> PgResult<Datum>,
) -> PgResult<Value<'a>> {
    let constant = inputs.iter().all(|input| input.constant);
    let rows = if constant { 1 } else { frame.rows };
    let mut result = Vector::with_capacity(data_type, rows);
    let (mut watch, mut bytes) = (Watch::new(frame.context), 0);
    for row in 0..rows {
        let value = make(row)?;
        bytes += value.memory_size();
        result.push(&value);
        watch.row(bytes)?;
    }
    Ok(Value { vector: std::borrow::Cow::Owned(result), constant })
}

fn array_of<'a>(
    elements: &'a [Node],
    data_type: DataType,
    nested: bool,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let values = run_all(elements, frame)?;
    by_row(&values.iter().collect::<Vec<_>>(), data_type, frame, |row| {
        let datums = values.iter().map(|value| value.vector.datum(value.index(row))).collect();
        if nested { array::stack(data_type, datums) } else { Ok(array::one_dimensional(data_type, datums)) }
    })
}

/// The type of a row that has no named one.
fn row_type(fields: &[Expr], names: &[Box<str>]) -> Arc<RowType> {
    let columns = names.iter().zip(fields).map(|(name, field)| (name.clone(), field.data_type().into()));
    Arc::new(RowType { columns: columns.collect() })
}

fn row_of<'a>(
    fields: &'a [Node],
    row_type: Option<&Arc<RowType>>,
    data_type: DataType,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let values = run_all(fields, frame)?;
    by_row(&values.iter().collect::<Vec<_>>(), data_type, frame, |row| {
        let fields = values.iter().map(|value| value.vector.datum(value.index(row))).collect();
        Ok(Datum::record(fields, row_type.cloned()))
    })
}

fn field_of<'a>(
    input: &'a Node,
    field: usize,
    data_type: DataType,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let value = input.run(frame)?;
    by_row(&[&value], data_type, frame, |row| match value.vector.datum(value.index(row)) {
        // A column added since the value was stored is NULL in it.
        Datum::Record(fields) => Ok(fields.get(field).cloned().unwrap_or(Datum::Null)),
        _ => Ok(Datum::Null),
    })
}

impl SubscriptNode {
    pub(super) fn new(subscript: &Subscript) -> PgResult<SubscriptNode> {
        Ok(match subscript {
            Subscript::Index(index) => SubscriptNode::Index(Node::new(index)?),
            Subscript::Slice { lower, upper } => {
                SubscriptNode::Slice { lower: optional(lower)?, upper: optional(upper)? }
            }
        })
    }
}

fn subscript<'a>(
    array_node: &'a Node,
    subscripts: &'a [SubscriptNode],
    data_type: DataType,
    frame: &Frame<'a>,
) -> PgResult<Value<'a>> {
    let value = array_node.run(frame)?;
    // Each subscript as (lower, upper); an index is an upper bound alone.
    let mut bounds: Vec<(Option<Value<'_>>, Option<Value<'_>>)> = Vec::with_capacity(subscripts.len());
    let mut sliced = false;
    for subscript in subscripts {
        bounds.push(match subscript {
            SubscriptNode::Index(index) => (None, Some(index.run(frame)?)),
            SubscriptNode::Slice { lower, upper } => {
                sliced = true;
                let run = |node: &'a Option<Node>| node.as_ref().map(|node| node.run(frame)).transpose();
                (run(lower)?, run(upper)?)
            }
        });
    }
    let is_index: Vec<bool> =
        subscripts.iter().map(|subscript| matches!(subscript, SubscriptNode::Index(_))).collect();
    let inputs: Vec<&Value<'_>> = std::iter::once(&value)
        .chain(bounds.iter().flat_map(|(lower, upper)| lower.iter().chain(upper)))
        .collect();
    by_row(&inputs, data_type, frame, |row| {
        let Datum::Array(array) = value.vector.datum(value.index(row)) else { return Ok(Datum::Null) };
        let bound = |value: &Option<Value<'_>>| {
            value.as_ref().map(|value| match value.vector.datum(value.index(row)) {
                Datum::Int4(bound) => Some(bound),
                _ => None,
            })
        };
        let at: Vec<(Option<Option<i32>>, Option<Option<i32>>)> =
            bounds.iter().map(|(lower, upper)| (bound(lower), bound(upper))).collect();
        if at.iter().any(|(lower, upper)| *lower == Some(None) || *upper == Some(None)) {
            return Ok(Datum::Null);
        }
        let at: Vec<(Option<i32>, Option<i32>)> =
            at.into_iter().map(|(lower, upper)| (lower.flatten(), upper.flatten())).collect();
        Ok(if sliced {
            // Beside a slice, a plain index n means 1:n.
            let ranges: Vec<_> = at
                .into_iter()
                .zip(&is_index)
                .map(|((lower, upper), index)| if *index { (Some(1), upper) } else { (lower, upper) })
                .collect();
            array::slice(&array, &ranges)
        } else {
            let indices: Vec<i32> = at.into_iter().filter_map(|(_, upper)| upper).collect();
            array::element(&array, &indices)
        })
    })
}
