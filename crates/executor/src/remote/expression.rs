//! Expressions as bytes.
//!
//! Functions travel by their oid, types by oid and kind, values in the form of temporary files. A reader takes bytes from another
//! node: it bounds depth and lists, knows the functions, and checks that columns are there and arguments are what the functions take, so that
//! what it has read can be run.

use expr::expr::Subscript;
use expr::{Aggregate, CaseArm, CastContext, Expr, FunctionKind, FunctionRef, catalogue};
use kvapi::wire::{Malformed, Reader, Writer};
use types::descriptor::{decode_type, encode_type};
use types::{ColumnType, DataType, Datum};

use super::sendable::{DEPTH_MAX, is_sendable_function};
use crate::spill::codec::{decode_datum, encode_datum};

type Read<T> = Result<T, Malformed>;

pub(super) fn put_text(to: &mut Writer<'_>, text: &str) {
    to.bytes(text.as_bytes());
}

pub(super) fn text<'a>(from: &mut Reader<'a>) -> Read<&'a str> {
    std::str::from_utf8(from.bytes()?).map_err(|_| Malformed("text"))
}

pub(super) fn flag(from: &mut Reader<'_>) -> Read<bool> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("flag")),
    }
}

pub(super) fn put_type(to: &mut Writer<'_>, data_type: DataType) {
    let (oid, kind) = encode_type(data_type);
    to.u32(oid);
    put_text(to, &kind);
}

pub(super) fn data_type(from: &mut Reader<'_>) -> Read<DataType> {
    let oid = from.u32()?;
    let kind = text(from)?;
    // Kinds nest as deep as they are long.
    if kind.len() > 64 {
        return Err(Malformed("type"));
    }
    decode_type(oid, kind).ok_or(Malformed("type"))
}

pub(super) fn put_column_type(to: &mut Writer<'_>, column_type: ColumnType) {
    put_type(to, column_type.data_type);
    to.u32(column_type.typmod as u32);
}

pub(super) fn column_type(from: &mut Reader<'_>) -> Read<ColumnType> {
    let data_type = data_type(from)?;
    Ok(ColumnType::new(data_type, from.u32()? as i32))
}

pub(super) fn put_list(to: &mut Writer<'_>, list: &[Expr]) {
    to.count(list.len());
    list.iter().for_each(|expr| put(to, expr));
}

fn put_optional(to: &mut Writer<'_>, expr: Option<&Expr>) {
    to.u8(u8::from(expr.is_some()));
    if let Some(expr) = expr {
        put(to, expr);
    }
}

fn put_function(to: &mut Writer<'_>, function: FunctionRef) {
    to.u32(function.0.oid);
}

/// Appends an expression for which `is_sendable` holds and whose parts without columns are values.
pub(super) fn put(to: &mut Writer<'_>, expr: &Expr) {
    match expr {
        Expr::Constant { value, data_type } => {
            to.u8(1);
            put_type(to, *data_type);
            let mut bytes = Vec::new();
            encode_datum(value, &mut bytes);
            to.bytes(&bytes);
        }
        Expr::Column { index, data_type } => {
            to.u8(2);
            to.u32(*index);
            put_type(to, *data_type);
        }
        Expr::CaseOperand { data_type } => {
            to.u8(3);
            put_type(to, *data_type);
        }
        Expr::Call { function, arguments, data_type, position } => {
            to.u8(4);
            put_function(to, *function);
            put_list(to, arguments);
            put_type(to, *data_type);
            to.u32(*position);
        }
        Expr::Cast { input, to: target, context, position } => {
            to.u8(5);
            put(to, input);
            put_column_type(to, *target);
            to.u8(match context {
                CastContext::Implicit => 0,
                CastContext::Assignment => 1,
                CastContext::Explicit => 2,
            });
            to.u32(*position);
        }
        Expr::And(list) => {
            to.u8(6);
            put_list(to, list);
        }
        Expr::Or(list) => {
            to.u8(7);
            put_list(to, list);
        }
        Expr::Not(input) => {
            to.u8(8);
            put(to, input);
        }
        Expr::IsNull { input, negated } => {
            to.u8(9);
            put(to, input);
            to.u8(u8::from(*negated));
        }
        Expr::IsBool { input, value, negated } => {
            to.u8(10);
            put(to, input);
            to.u8(value.map_or(2, u8::from));
            to.u8(u8::from(*negated));
        }
        _ => put_other(to, expr),
    }
}

fn put_other(to: &mut Writer<'_>, expr: &Expr) {
    match expr {
        Expr::IsDistinctFrom { left, right, equal, negated } => {
            to.u8(11);
            put(to, left);
            put(to, right);
            put_function(to, *equal);
            to.u8(u8::from(*negated));
        }
        Expr::Case { operand, arms, otherwise, data_type } => {
            to.u8(12);
            put_optional(to, operand.as_deref());
            to.count(arms.len());
            for arm in arms {
                put(to, &arm.condition);
                put(to, &arm.result);
            }
            put_optional(to, otherwise.as_deref());
            put_type(to, *data_type);
        }
        Expr::Coalesce { arguments, data_type } => {
            to.u8(13);
            put_list(to, arguments);
            put_type(to, *data_type);
        }
        Expr::NullIf { left, right, equal } => {
            to.u8(14);
            put(to, left);
            put(to, right);
            put_function(to, *equal);
        }
        Expr::Greatest { arguments, data_type } => {
            to.u8(15);
            put_list(to, arguments);
            put_type(to, *data_type);
        }
        Expr::Least { arguments, data_type } => {
            to.u8(16);
            put_list(to, arguments);
            put_type(to, *data_type);
        }
        Expr::InList { input, list, equal, negated } => {
            to.u8(17);
            put(to, input);
            put_list(to, list);
            put_function(to, *equal);
            to.u8(u8::from(*negated));
        }
        Expr::Quantified { input, array, operator, all } => {
            to.u8(18);
            put(to, input);
            put(to, array);
            put_function(to, *operator);
            to.u8(u8::from(*all));
        }
        Expr::Array { elements, data_type, nested } => {
            to.u8(19);
            put_list(to, elements);
            put_type(to, *data_type);
            to.u8(u8::from(*nested));
        }
        Expr::Subscript { array, subscripts, data_type } => {
            to.u8(20);
            put(to, array);
            to.count(subscripts.len());
            for subscript in subscripts {
                match subscript {
                    Subscript::Index(index) => {
                        to.u8(0);
                        put(to, index);
                    }
                    Subscript::Slice { lower, upper } => {
                        to.u8(1);
                        put_optional(to, lower.as_ref());
                        put_optional(to, upper.as_ref());
                    }
                }
            }
            put_type(to, *data_type);
        }
        other => unreachable!("what is sent has been looked at before: {other:?}"),
    }
}

pub(super) fn put_call(to: &mut Writer<'_>, call: &Aggregate) {
    put_function(to, call.function);
    put_list(to, &call.arguments);
    put_optional(to, call.filter.as_ref());
    put_type(to, call.data_type);
}

/// Reads expressions over some columns.
pub(super) struct Expressions<'a> {
    pub columns: &'a [DataType],
    depth: u32,
    /// Types of the operands of the CASEs around.
    operands: Vec<DataType>,
}

fn expect_bool(expr: &Expr) -> Read<()> {
    if expr.data_type().base() == DataType::Bool { Ok(()) } else { Err(Malformed("a condition")) }
}

/// Whether values of one type can be taken for those of another.
fn fits(argument: DataType, parameter: DataType) -> bool {
    parameter.category() == b'P' || argument.base().physical() == parameter.base().physical()
}

fn known(from: &mut Reader<'_>) -> Read<FunctionRef> {
    catalogue().function(from.u32()?).ok_or(Malformed("a function that is not known here"))
}

fn scalar(from: &mut Reader<'_>) -> Read<FunctionRef> {
    let function = known(from)?;
    if is_sendable_function(function) { Ok(function) } else { Err(Malformed("a function that is not sent")) }
}

/// A function given these types.
fn applied(function: FunctionRef, arguments: &[DataType]) -> Read<()> {
    let parameters = function.0.arguments;
    let fewest = parameters.len() - usize::from(function.0.optional).min(parameters.len());
    let fewest = if function.0.variadic { fewest.saturating_sub(1) } else { fewest };
    let most = if function.0.variadic { usize::MAX } else { parameters.len() };
    let last = parameters.len().saturating_sub(1);
    let each = arguments.iter().enumerate().all(|(at, argument)| {
        parameters.get(at.min(last)).is_some_and(|parameter| {
            let is_repeated = function.0.variadic && at >= last;
            is_repeated || fits(*argument, *parameter)
        })
    });
    let counted = arguments.len() >= fewest && arguments.len() <= most;
    if counted && each { Ok(()) } else { Err(Malformed("arguments of a function")) }
}

impl<'a> Expressions<'a> {
    pub fn over(columns: &'a [DataType]) -> Expressions<'a> {
        Expressions { columns, depth: 0, operands: Vec::new() }
    }

    pub fn list(&mut self, from: &mut Reader<'_>) -> Read<Vec<Expr>> {
        // Grows as members are read: a count alone reserves nothing.
        let mut list = Vec::new();
        for _ in 0..from.count()? {
            list.push(self.get(from)?);
        }
        Ok(list)
    }

    fn boxed(&mut self, from: &mut Reader<'_>) -> Read<Box<Expr>> {
        self.get(from).map(Box::new)
    }

    pub fn condition(&mut self, from: &mut Reader<'_>) -> Read<Expr> {
        let condition = self.get(from)?;
        expect_bool(&condition)?;
        Ok(condition)
    }

    fn conditions(&mut self, from: &mut Reader<'_>) -> Read<Vec<Expr>> {
        let list = self.list(from)?;
        list.iter().try_for_each(expect_bool)?;
        if list.len() < 2 { Err(Malformed("too few conditions")) } else { Ok(list) }
    }

    fn optional(&mut self, from: &mut Reader<'_>) -> Read<Option<Expr>> {
        if flag(from)? { self.get(from).map(Some) } else { Ok(None) }
    }

    pub fn get(&mut self, from: &mut Reader<'_>) -> Read<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX + 2 {
            return Err(Malformed("expressions nested too deeply"));
        }
        let expr = match from.u8()? {
            tag @ 1..=10 => self.plain(tag, from)?,
            tag => self.other(tag, from)?,
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn plain(&mut self, tag: u8, from: &mut Reader<'_>) -> Read<Expr> {
        Ok(match tag {
            1 => {
                let data_type = data_type(from)?;
                let value = decode_datum(from.bytes()?).map_err(|_| Malformed("a value"))?;
                if !is_of_type(&value, data_type) {
                    return Err(Malformed("a value of another type"));
                }
                Expr::Constant { value, data_type }
            }
            2 => {
                let index = from.u32()?;
                let data_type = data_type(from)?;
                if self.columns.get(index as usize) != Some(&data_type) {
                    return Err(Malformed("a column that is not there"));
                }
                Expr::Column { index, data_type }
            }
            3 => {
                let data_type = data_type(from)?;
                if self.operands.last() != Some(&data_type) {
                    return Err(Malformed("the operand of no CASE"));
                }
                Expr::CaseOperand { data_type }
            }
            4 => {
                let function = scalar(from)?;
                let arguments = self.list(from)?;
                applied(function, &arguments.iter().map(Expr::data_type).collect::<Vec<_>>())?;
                let data_type = data_type(from)?;
                if !fits(data_type, function.0.result) {
                    return Err(Malformed("the result of a function"));
                }
                Expr::Call { function, arguments, data_type, position: from.u32()? }
            }
            5 => {
                let input = self.boxed(from)?;
                let to = column_type(from)?;
                let context = match from.u8()? {
                    0 => CastContext::Implicit,
                    1 => CastContext::Assignment,
                    2 => CastContext::Explicit,
                    _ => return Err(Malformed("context of a conversion")),
                };
                if !expr::eval::cast_is_immutable(input.data_type(), to.data_type) {
                    return Err(Malformed("a conversion that is not sent"));
                }
                Expr::Cast { input, to, context, position: from.u32()? }
            }
            6 => Expr::And(self.conditions(from)?),
            7 => Expr::Or(self.conditions(from)?),
            8 => Expr::Not(Box::new(self.condition(from)?)),
            9 => Expr::IsNull { input: self.boxed(from)?, negated: flag(from)? },
            _ => {
                let input = Box::new(self.condition(from)?);
                let value = match from.u8()? {
                    2 => None,
                    value => Some(value == 1),
                };
                Expr::IsBool { input, value, negated: flag(from)? }
            }
        })
    }

    fn other(&mut self, tag: u8, from: &mut Reader<'_>) -> Read<Expr> {
        Ok(match tag {
            11 => {
                let (left, right, equal) = self.compared(from)?;
                Expr::IsDistinctFrom { left, right, equal, negated: flag(from)? }
            }
            12 => self.case(from)?,
            13 => {
                let (arguments, data_type) = self.alike(from)?;
                Expr::Coalesce { arguments, data_type }
            }
            14 => {
                let (left, right, equal) = self.compared(from)?;
                Expr::NullIf { left, right, equal }
            }
            15 => {
                let (arguments, data_type) = self.alike(from)?;
                Expr::Greatest { arguments, data_type }
            }
            16 => {
                let (arguments, data_type) = self.alike(from)?;
                Expr::Least { arguments, data_type }
            }
            17 => {
                let input = self.boxed(from)?;
                let list = self.list(from)?;
                let equal = scalar(from)?;
                list.iter()
                    .try_for_each(|member| applied(equal, &[input.data_type(), member.data_type()]))?;
                Expr::InList { input, list, equal, negated: flag(from)? }
            }
            18 => {
                let (input, array) = (self.boxed(from)?, self.boxed(from)?);
                let operator = scalar(from)?;
                let element = array.data_type().element().ok_or(Malformed("an array"))?;
                applied(operator, &[input.data_type(), element])?;
                Expr::Quantified { input, array, operator, all: flag(from)? }
            }
            19 => {
                let elements = self.list(from)?;
                let data_type = data_type(from)?;
                let nested = flag(from)?;
                let element = data_type.element().ok_or(Malformed("an array"))?;
                let each = |value: &Expr| match nested {
                    true => value.data_type().element().is_some_and(|inner| fits(inner, element)),
                    false => fits(value.data_type(), element),
                };
                if !elements.iter().all(each) {
                    return Err(Malformed("elements of an array"));
                }
                Expr::Array { elements, data_type, nested }
            }
            20 => self.subscript(from)?,
            _ => return Err(Malformed("expression")),
        })
    }

    fn compared(&mut self, from: &mut Reader<'_>) -> Read<(Box<Expr>, Box<Expr>, FunctionRef)> {
        let (left, right) = (self.boxed(from)?, self.boxed(from)?);
        let equal = scalar(from)?;
        applied(equal, &[left.data_type(), right.data_type()])?;
        Ok((left, right, equal))
    }

    /// Expressions of one type.
    fn alike(&mut self, from: &mut Reader<'_>) -> Read<(Vec<Expr>, DataType)> {
        let list = self.list(from)?;
        let data_type = data_type(from)?;
        let same = !list.is_empty() && list.iter().all(|expr| fits(expr.data_type(), data_type));
        if same { Ok((list, data_type)) } else { Err(Malformed("expressions of several types")) }
    }

    fn case(&mut self, from: &mut Reader<'_>) -> Read<Expr> {
        let operand = self.optional(from)?.map(Box::new);
        if let Some(operand) = &operand {
            self.operands.push(operand.data_type());
        }
        let mut arms = Vec::new();
        for _ in 0..from.count()? {
            let condition = self.condition(from)?;
            arms.push(CaseArm { condition, result: self.get(from)? });
        }
        if operand.is_some() {
            self.operands.pop();
        }
        let otherwise = self.optional(from)?.map(Box::new);
        let data_type = data_type(from)?;
        let results = arms.iter().map(|arm| &arm.result).chain(otherwise.as_deref());
        if !results.map(Expr::data_type).all(|result| fits(result, data_type)) || arms.is_empty() {
            return Err(Malformed("results of a CASE"));
        }
        Ok(Expr::Case { operand, arms, otherwise, data_type })
    }

    fn subscript(&mut self, from: &mut Reader<'_>) -> Read<Expr> {
        let array = self.boxed(from)?;
        let mut subscripts = Vec::new();
        let is_index = |expr: &Expr| matches!(expr.data_type(), DataType::Int4 | DataType::Text);
        for _ in 0..from.count()? {
            subscripts.push(if flag(from)? {
                Subscript::Slice { lower: self.optional(from)?, upper: self.optional(from)? }
            } else {
                Subscript::Index(self.get(from)?)
            });
        }
        let each = |subscript: &Subscript| match subscript {
            Subscript::Index(index) => is_index(index),
            Subscript::Slice { lower, upper } => lower.iter().chain(upper).all(is_index),
        };
        if !subscripts.iter().all(each) {
            return Err(Malformed("a subscript"));
        }
        Ok(Expr::Subscript { array, subscripts, data_type: data_type(from)? })
    }

    pub fn call(&mut self, from: &mut Reader<'_>) -> Read<Aggregate> {
        let function = known(from)?;
        if !matches!(function.0.kind, FunctionKind::Aggregate) {
            return Err(Malformed("an aggregate"));
        }
        let arguments = self.list(from)?;
        applied(function, &arguments.iter().map(Expr::data_type).collect::<Vec<_>>())?;
        let filter = if flag(from)? { Some(self.condition(from)?) } else { None };
        let data_type = data_type(from)?;
        Ok(Aggregate { function, arguments, distinct: false, filter, order_by: Vec::new(), data_type })
    }
}

/// Whether a vector of the type can hold the value.
fn is_of_type(value: &Datum, data_type: DataType) -> bool {
    value.is_null() || types::Vector::with_capacity(data_type, 0).fits(value)
}
