//! `IN (list)` and `operator ANY / ALL (array)`.
//!
//! Lists of integer or text constants become a set once; anything else is compared member by member, each comparison over all
//! rows at a time. The answer is three-valued: a NULL among the members turns "not found" into NULL.

use super::boolean::boolean_vector;
use super::frame::{Frame, Value};
use super::node::{Node, call, scalar_evaluator};
use crate::expr::Expr;
use crate::function::{Evaluator, FunctionRef};
use rustc_hash::FxHashSet;
use std::borrow::Cow;
use types::{DataType, Datum, Nulls, PgResult, Values, Vector};

pub(super) struct ListNode {
    input: Box<Node>,
    members: Members,
    equal: Evaluator,
    negated: bool,
}

/// The right side.
///
/// - Sets hold what is not NULL; `null` tells whether there was one.
enum Members {
    Integers { set: FxHashSet<i64>, null: bool },
    Texts { set: FxHashSet<Box<str>>, null: bool },
    Nodes(Vec<Node>),
}

fn constants(list: &[Expr]) -> Option<Vec<&Datum>> {
    list.iter()
        .map(|member| match member {
            Expr::Constant { value, .. } => Some(value),
            _ => None,
        })
        .collect()
}

fn integer(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int2(value) => Some(i64::from(*value)),
        Datum::Int4(value) => Some(i64::from(*value)),
        Datum::Int8(value) => Some(*value),
        _ => None,
    }
}

fn members(input: &Expr, list: &[Expr]) -> Option<Members> {
    let constants = constants(list)?;
    let same_type = list.iter().all(|member| member.data_type() == input.data_type());
    let null = constants.iter().any(|datum| datum.is_null());
    let present = constants.iter().filter(|datum| !datum.is_null());
    match input.data_type() {
        DataType::Int2 | DataType::Int4 | DataType::Int8 => {
            Some(Members::Integers { set: present.map(|datum| integer(datum)).collect::<Option<_>>()?, null })
        }
        DataType::Text | DataType::Varchar | DataType::Bpchar | DataType::Name if same_type => {
            let text = |datum: &&&Datum| match datum {
                Datum::Text(text) => Some(text.clone()),
                _ => None,
            };
            Some(Members::Texts { set: present.map(|datum| text(&datum)).collect::<Option<_>>()?, null })
        }
        _ => None,
    }
}

impl ListNode {
    pub(super) fn new(input: &Expr, list: &[Expr], equal: FunctionRef, negated: bool) -> PgResult<ListNode> {
        let members = match members(input, list) {
            Some(members) => members,
            None => Members::Nodes(list.iter().map(Node::new).collect::<PgResult<_>>()?),
        };
        Ok(ListNode { input: Box::new(Node::new(input)?), members, equal: scalar_evaluator(equal)?, negated })
    }

    pub(super) fn is_harmless(&self) -> bool {
        !matches!(self.members, Members::Nodes(_)) && self.input.is_harmless()
    }

    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        let input = self.input.run(frame)?;
        match &self.members {
            Members::Integers { set, null } => match &input.vector.values {
                Values::Int2(values) => {
                    Ok(self.lookup(&input, frame, *null, |index| set.contains(&i64::from(values[index]))))
                }
                Values::Int4(values) => {
                    Ok(self.lookup(&input, frame, *null, |index| set.contains(&i64::from(values[index]))))
                }
                Values::Int8(values) => {
                    Ok(self.lookup(&input, frame, *null, |index| set.contains(&values[index])))
                }
                _ => unreachable!("a set of integers is made for integer input"),
            },
            Members::Texts { set, null } => match &input.vector.values {
                Values::Text(values) => {
                    Ok(self.lookup(&input, frame, *null, |index| set.contains(values.get(index))))
                }
                _ => unreachable!("a set of texts is made for text input"),
            },
            Members::Nodes(nodes) => {
                let mut answer = Quantification::new(input.constant, frame.rows, false);
                let mut values = [input, Value::constant(empty())];
                for node in nodes {
                    values[1] = node.run(frame)?;
                    answer.add(&call(self.equal, &values, DataType::Bool, true, false, frame)?);
                }
                Ok(answer.finish(self.negated))
            }
        }
    }

    fn lookup<'a>(
        &self,
        input: &Value<'_>,
        frame: &Frame<'_>,
        null: bool,
        contains: impl Fn(usize) -> bool,
    ) -> Value<'a> {
        let rows = if input.constant { 1 } else { frame.rows };
        let mut nulls = if rows == input.vector.len() { input.vector.nulls.clone() } else { Nulls::none() };
        let found: Vec<bool> = (0..rows).map(contains).collect();
        if null {
            (0..rows).filter(|row| !found[*row]).for_each(|row| nulls.set_null(row));
        }
        let values = if self.negated { found.into_iter().map(|found| !found).collect() } else { found };
        Value { vector: Cow::Owned(boolean_vector(values, nulls)), constant: input.constant }
    }
}

/// A vector to hold a place with.
fn empty() -> &'static Vector {
    static EMPTY: std::sync::LazyLock<Vector> =
        std::sync::LazyLock::new(|| boolean_vector(vec![false], Nulls::none()));
    &EMPTY
}

/// The running answer of ANY (or) and ALL (and) over members.
struct Quantification {
    answers: Vec<Option<bool>>,
    constant: bool,
    rows: usize,
    all: bool,
}

impl Quantification {
    fn new(constant: bool, rows: usize, all: bool) -> Quantification {
        Quantification { answers: vec![Some(all); if constant { 1 } else { rows }], constant, rows, all }
    }

    fn add(&mut self, member: &Value<'_>) {
        if self.constant && !member.constant {
            self.constant = false;
            self.answers = vec![self.answers[0]; self.rows];
        }
        let Values::Bool(values) = &member.vector.values else {
            unreachable!("a comparison answers a boolean: the binder typed it")
        };
        for (row, answer) in self.answers.iter_mut().enumerate() {
            let index = member.index(row);
            let next = (!member.vector.is_null(index)).then(|| values[index]);
            *answer = match (*answer, next) {
                (Some(decided), _) if decided != self.all => Some(decided),
                (_, Some(decided)) if decided != self.all => Some(decided),
                (None, _) | (_, None) => None,
                _ => Some(self.all),
            };
        }
    }

    fn finish<'a>(self, negated: bool) -> Value<'a> {
        let mut nulls = Nulls::none();
        let mut values = Vec::with_capacity(self.answers.len());
        for (row, answer) in self.answers.into_iter().enumerate() {
            if answer.is_none() {
                nulls.set_null(row);
            }
            values.push(answer.unwrap_or(false) != negated);
        }
        Value { vector: Cow::Owned(boolean_vector(values, nulls)), constant: self.constant }
    }
}

pub(super) struct QuantifiedNode {
    input: Box<Node>,
    array: Box<Node>,
    element: DataType,
    operator: Evaluator,
    strict: bool,
    all: bool,
}

impl QuantifiedNode {
    pub(super) fn new(
        input: &Expr,
        array: &Expr,
        operator: FunctionRef,
        all: bool,
    ) -> PgResult<QuantifiedNode> {
        Ok(QuantifiedNode {
            input: Box::new(Node::new(input)?),
            element: array.data_type().element().unwrap_or(DataType::Unknown),
            array: Box::new(Node::new(array)?),
            operator: scalar_evaluator(operator)?,
            strict: operator.0.strict,
            all,
        })
    }

    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        let input = self.input.run(frame)?;
        let array = self.array.run(frame)?;
        if array.constant {
            return self.against_one(input, array.vector.datum(0), frame);
        }
        // An array for each row: its elements against that row's input.
        let mut result = Vector::with_capacity(DataType::Bool, frame.rows);
        for row in 0..frame.rows {
            let one = Value::owned_constant(input.vector.gather(&[input.index(row) as u32]));
            let answer = self.against_one(one, array.vector.datum(row), frame)?;
            result.push_from(&answer.vector, 0);
        }
        Ok(Value::owned(result))
    }

    fn against_one<'a>(&self, input: Value<'_>, array: Datum, frame: &Frame<'_>) -> PgResult<Value<'a>> {
        let Datum::Array(array) = array else {
            let mut null = Vector::with_capacity(DataType::Bool, 1);
            null.push_null();
            return Ok(Value::owned_constant(null));
        };
        let mut answer = Quantification::new(input.constant, frame.rows, self.all);
        let mut values = [input, Value::constant(empty())];
        for element in &array.elements {
            let member = Vector::from_datums(self.element, std::slice::from_ref(element));
            values[1] = Value::owned_constant(member);
            answer.add(&call(self.operator, &values, DataType::Bool, self.strict, false, frame)?);
        }
        Ok(answer.finish(false))
    }
}
