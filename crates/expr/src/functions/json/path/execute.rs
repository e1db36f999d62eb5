//! Evaluation of a path over a value.
//!
//! An expression gives a sequence of items; each accessor takes every item of the sequence before it to a sequence of its own.
//! In lax mode arrays are unwrapped where an accessor wants something else, what is no array counts as an array of one where it
//! wants an array, and what is missing gives nothing. In strict mode these are errors. A predicate is true, false or unknown; an error
//! within its operands makes it unknown.

use super::super::super::pattern::matches_regex;
use std::cmp::Ordering;
use types::json::Value;
use types::jsonpath::{Accessor, Arithmetic, Comparison, Method, Node, Path, Sign};
use types::{Numeric, PgError, PgResult, SqlState};

type Items = Vec<Value>;

/// What a path is evaluated against.
pub(super) struct Evaluation<'a> {
    root: &'a Value,
    variables: Option<&'a Value>,
    lax: bool,
}

/// Where evaluation stands.
#[derive(Clone, Copy)]
struct At<'a> {
    /// `@`
    current: &'a Value,
    /// Elements of the innermost array that is subscripted: what `last` counts.
    array_size: Option<usize>,
    /// What is missing gives nothing, also in strict mode (behind `**`).
    forgiving: bool,
}

fn error(code: SqlState, message: impl Into<String>) -> PgError {
    PgError::new(code, message)
}

/// Errors that neither a predicate nor silence covers up: the path is wrong, not the value.
pub(super) fn is_fatal(error: &PgError) -> bool {
    [SqlState::UNDEFINED_OBJECT, SqlState::FEATURE_NOT_SUPPORTED, SqlState::STATEMENT_TOO_COMPLEX]
        .contains(&error.code())
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(path: &Path, root: &'a Value, variables: Option<&'a Value>) -> Evaluation<'a> {
        Evaluation { root, variables, lax: !path.strict }
    }

    pub(super) fn items(&self, path: &Path) -> PgResult<Items> {
        let at = At { current: self.root, array_size: None, forgiving: self.lax };
        self.evaluate(&path.root, at)
    }

    fn evaluate(&self, node: &Node, at: At<'_>) -> PgResult<Items> {
        Ok(vec![match node {
            Node::Root => self.root.clone(),
            Node::Current => at.current.clone(),
            Node::Last => {
                let size = at.array_size.ok_or_else(|| {
                    PgError::internal("evaluating jsonpath LAST outside of array subscript")
                })?;
                Value::Number(Numeric::from_i64(size as i64 - 1))
            }
            Node::Variable(name) => self.variable(name)?,
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(number) => Value::Number(number.clone()),
            Node::String(text) => Value::String(text.clone()),
            Node::Access(start, accessors) => return self.access(start, accessors, at),
            Node::Unary(sign, operand) => return self.unary(*sign, operand, at),
            Node::Arithmetic(operator, left, right) => self.arithmetic(*operator, left, right, at)?,
            predicate => match self.test(predicate, at)? {
                Some(answer) => Value::Bool(answer),
                None => Value::Null,
            },
        }])
    }

    fn variable(&self, name: &str) -> PgResult<Value> {
        self.variables.and_then(|variables| variables.get(name)).cloned().ok_or_else(|| {
            error(SqlState::UNDEFINED_OBJECT, format!("could not find jsonpath variable \"{name}\""))
        })
    }

    fn access(&self, start: &Node, accessors: &[Accessor], mut at: At<'_>) -> PgResult<Items> {
        let mut items = self.evaluate(start, at)?;
        for accessor in accessors {
            let mut next = Vec::new();
            for item in &items {
                self.step(accessor, item, self.lax, at, &mut next)?;
            }
            if matches!(accessor, Accessor::Recursive { .. }) {
                at.forgiving = true;
            }
            items = next;
        }
        Ok(items)
    }

    /// One accessor on one item. `unwrap`: an array stands for its elements.
    fn step(
        &self,
        accessor: &Accessor,
        item: &Value,
        unwrap: bool,
        at: At<'_>,
        out: &mut Items,
    ) -> PgResult<()> {
        let takes_elements = match accessor {
            Accessor::Key(_) | Accessor::AnyKey | Accessor::Filter(_) => true,
            Accessor::Method(method) => !matches!(method, Method::Size | Method::Type),
            _ => false,
        };
        if unwrap
            && takes_elements
            && let Value::Array(elements) = item
        {
            return elements.iter().try_for_each(|element| self.step(accessor, element, false, at, out));
        }
        match accessor {
            Accessor::Key(key) => self.key(key, item, at, out),
            Accessor::AnyKey => match item {
                Value::Object(pairs) => {
                    out.extend(pairs.iter().map(|(_, value)| value.clone()));
                    Ok(())
                }
                _ if at.forgiving => Ok(()),
                _ => Err(error(
                    SqlState::SQL_JSON_OBJECT_NOT_FOUND,
                    "jsonpath wildcard member accessor can only be applied to an object",
                )),
            },
            Accessor::AnyElement => match item {
                Value::Array(elements) => {
                    out.extend(elements.iter().cloned());
                    Ok(())
                }
                _ if self.lax => {
                    out.push(item.clone());
                    Ok(())
                }
                _ if at.forgiving => Ok(()),
                _ => Err(error(
                    SqlState::SQL_JSON_ARRAY_NOT_FOUND,
                    "jsonpath wildcard array accessor can only be applied to an array",
                )),
            },
            Accessor::Elements(subscripts) => self.elements(subscripts, item, at, out),
            Accessor::Recursive { first, last } => {
                if *first == Some(0) {
                    out.push(item.clone());
                }
                descend(item, 1, *first, *last, out);
                Ok(())
            }
            Accessor::Method(method) => {
                out.push(self.method(method, item, at)?);
                Ok(())
            }
            Accessor::Filter(condition) => {
                if self.test(condition, At { current: item, ..at })? == Some(true) {
                    out.push(item.clone());
                }
                Ok(())
            }
        }
    }

    fn key(&self, key: &str, item: &Value, at: At<'_>, out: &mut Items) -> PgResult<()> {
        match (item, item.get(key)) {
            (_, Some(found)) => out.push(found.clone()),
            _ if at.forgiving => {}
            (Value::Object(_), None) => {
                return Err(error(
                    SqlState::SQL_JSON_MEMBER_NOT_FOUND,
                    format!("JSON object does not contain key \"{key}\""),
                ));
            }
            _ => {
                return Err(error(
                    SqlState::SQL_JSON_MEMBER_NOT_FOUND,
                    "jsonpath member accessor can only be applied to an object",
                ));
            }
        }
        Ok(())
    }

    fn elements(
        &self,
        subscripts: &[(Node, Option<Node>)],
        item: &Value,
        at: At<'_>,
        out: &mut Items,
    ) -> PgResult<()> {
        let elements = match item {
            Value::Array(elements) => elements.as_slice(),
            _ if self.lax => std::slice::from_ref(item),
            _ if at.forgiving => return Ok(()),
            _ => {
                return Err(error(
                    SqlState::SQL_JSON_ARRAY_NOT_FOUND,
                    "jsonpath array accessor can only be applied to an array",
                ));
            }
        };
        let within = At { array_size: Some(elements.len()), ..at };
        for (first, last) in subscripts {
            let from = self.subscript(first, within)?;
            let to = match last {
                Some(last) => self.subscript(last, within)?,
                None => from,
            };
            let size = elements.len() as i64;
            if !at.forgiving && (from < 0 || from > to || to >= size) {
                return Err(error(
                    SqlState::INVALID_SQL_JSON_SUBSCRIPT,
                    "jsonpath array subscript is out of bounds",
                ));
            }
            for index in from.max(0)..=to.min(size - 1) {
                out.push(elements[index as usize].clone());
            }
        }
        Ok(())
    }

    fn subscript(&self, node: &Node, at: At<'_>) -> PgResult<i64> {
        match self.evaluate(node, at)?.as_slice() {
            [Value::Number(number)] => number.truncate(0)?.to_i32().map(i64::from).map_err(|_| {
                error(
                    SqlState::INVALID_SQL_JSON_SUBSCRIPT,
                    "jsonpath array subscript is out of integer range",
                )
            }),
            _ => Err(error(
                SqlState::INVALID_SQL_JSON_SUBSCRIPT,
                "jsonpath array subscript is not a single numeric value",
            )),
        }
    }

    fn method(&self, method: &Method, item: &Value, at: At<'_>) -> PgResult<Value> {
        let only = |code, what: &str| {
            let message = format!("jsonpath item method .{}() can only be applied to {what}", method.name());
            Err(error(code, message))
        };
        match (method, item) {
            (Method::Type, _) => Ok(Value::String(item.type_name().to_owned())),
            (Method::Size, Value::Array(elements)) => {
                Ok(Value::Number(Numeric::from_i64(elements.len() as i64)))
            }
            (Method::Size, _) if self.lax || at.forgiving => Ok(Value::Number(Numeric::from_i64(1))),
            (Method::Size, _) => only(SqlState::SQL_JSON_ARRAY_NOT_FOUND, "an array"),
            (Method::Abs, Value::Number(number)) => Ok(Value::Number(number.abs())),
            (Method::Floor, Value::Number(number)) => Ok(Value::Number(number.floor()?)),
            (Method::Ceiling, Value::Number(number)) => Ok(Value::Number(number.ceil()?)),
            (Method::Abs | Method::Floor | Method::Ceiling, _) => {
                only(SqlState::NON_NUMERIC_SQL_JSON_ITEM, "a numeric value")
            }
            (Method::Double, Value::Number(number)) => double(&number.to_string()),
            (Method::Double, Value::String(text)) => double(text),
            (Method::Double, _) => only(SqlState::NON_NUMERIC_SQL_JSON_ITEM, "a string or numeric value"),
            (Method::KeyValue, _) => Err(PgError::unsupported("the jsonpath method keyvalue()")),
            (Method::Datetime(_), _) => Err(PgError::unsupported("the jsonpath method datetime()")),
        }
    }

    /// The items of an operand: arrays unwrapped in lax mode.
    fn operand(&self, node: &Node, at: At<'_>) -> PgResult<Items> {
        let items = self.evaluate(node, at)?;
        if !self.lax {
            return Ok(items);
        }
        let mut unwrapped = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Value::Array(elements) => unwrapped.extend(elements),
                other => unwrapped.push(other),
            }
        }
        Ok(unwrapped)
    }

    fn unary(&self, sign: Sign, operand: &Node, at: At<'_>) -> PgResult<Items> {
        let apply = |item: Value| match (item, sign) {
            (Value::Number(number), Sign::Plus) => Ok(Value::Number(number)),
            (Value::Number(number), Sign::Minus) => Ok(Value::Number(number.neg())),
            _ => {
                let sign = if sign == Sign::Plus { '+' } else { '-' };
                let message = format!("operand of unary jsonpath operator {sign} is not a numeric value");
                Err(error(SqlState::SQL_JSON_NUMBER_NOT_FOUND, message))
            }
        };
        self.operand(operand, at)?.into_iter().map(apply).collect()
    }

    fn arithmetic(&self, operator: Arithmetic, left: &Node, right: &Node, at: At<'_>) -> PgResult<Value> {
        let sign = match operator {
            Arithmetic::Add => '+',
            Arithmetic::Subtract => '-',
            Arithmetic::Multiply => '*',
            Arithmetic::Divide => '/',
            Arithmetic::Modulo => '%',
        };
        let single = |node: &Node, side: &str| match self.operand(node, at)?.as_slice() {
            [Value::Number(number)] => Ok(number.clone()),
            _ => Err(error(
                SqlState::SINGLETON_SQL_JSON_ITEM_REQUIRED,
                format!("{side} operand of jsonpath operator {sign} is not a single numeric value"),
            )),
        };
        let (left, right) = (single(left, "left")?, single(right, "right")?);
        Ok(Value::Number(match operator {
            Arithmetic::Add => left.add(&right)?,
            Arithmetic::Subtract => left.sub(&right)?,
            Arithmetic::Multiply => left.mul(&right)?,
            Arithmetic::Divide => left.div(&right)?,
            Arithmetic::Modulo => left.rem(&right)?,
        }))
    }

    // --- Predicates. `None` is unknown.

    fn test(&self, node: &Node, at: At<'_>) -> PgResult<Option<bool>> {
        match node {
            Node::And(left, right) => {
                let left = self.test(left, at)?;
                if left == Some(false) {
                    return Ok(left);
                }
                let right = self.test(right, at)?;
                Ok(if right == Some(true) { left } else { right })
            }
            Node::Or(left, right) => {
                let left = self.test(left, at)?;
                if left == Some(true) {
                    return Ok(left);
                }
                let right = self.test(right, at)?;
                Ok(if right == Some(false) { left } else { right })
            }
            Node::Not(operand) => Ok(self.test(operand, at)?.map(|answer| !answer)),
            Node::IsUnknown(operand) => Ok(Some(self.test(operand, at)?.is_none())),
            Node::Exists(operand) => Ok(covered(self.evaluate(operand, at))?.map(|items| !items.is_empty())),
            Node::Compare(comparison, left, right) => {
                self.pairs(left, Some(right), at, |left, right| compare(*comparison, left, right))
            }
            Node::StartsWith(left, right) => {
                self.pairs(left, Some(right), at, |left, right| match (left, right) {
                    (Value::String(text), Value::String(initial)) => Ok(Some(text.starts_with(initial))),
                    _ => Ok(None),
                })
            }
            Node::LikeRegex { operand, pattern, flags } => {
                self.pairs(operand, None, at, |item, _| match item {
                    Value::String(text) => matches_regex(text, pattern, *flags).map(Some),
                    _ => Ok(None),
                })
            }
            other => Err(PgError::internal(format!("no jsonpath predicate: {other:?}"))),
        }
    }

    /// Whether some pair of items passes. Unknown when none does and some cannot be told; in strict mode as soon as one cannot.
    fn pairs(
        &self,
        left: &Node,
        right: Option<&Node>,
        at: At<'_>,
        mut passes: impl FnMut(&Value, &Value) -> PgResult<Option<bool>>,
    ) -> PgResult<Option<bool>> {
        let Some(left) = covered(self.operand(left, at))? else { return Ok(None) };
        let right = match right {
            Some(right) => covered(self.operand(right, at))?,
            None => Some(vec![Value::Null]),
        };
        let Some(right) = right else { return Ok(None) };
        let (mut found, mut unknown) = (false, false);
        for left in &left {
            for right in &right {
                match passes(left, right)? {
                    None if !self.lax => return Ok(None),
                    None => unknown = true,
                    Some(true) if self.lax => return Ok(Some(true)),
                    Some(answer) => found |= answer,
                }
            }
        }
        Ok(if found {
            Some(true)
        } else if unknown {
            None
        } else {
            Some(false)
        })
    }
}

/// `None` for an error that a predicate covers up.
fn covered(items: PgResult<Items>) -> PgResult<Option<Items>> {
    match items {
        Ok(items) => Ok(Some(items)),
        Err(error) if is_fatal(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The children of a value from level `first` to level `last` (`None`: the leaves, and without end).
fn descend(item: &Value, level: u32, first: Option<u32>, last: Option<u32>, out: &mut Items) {
    let mut visit = |child: &Value| {
        let container = matches!(child, Value::Array(_) | Value::Object(_));
        let wanted = match first {
            Some(first) => level >= first,
            None => last.is_none() && !container,
        };
        if wanted {
            out.push(child.clone());
        }
        if container && last.is_none_or(|last| level < last) {
            descend(child, level + 1, first, last, out);
        }
    };
    match item {
        Value::Array(elements) => elements.iter().for_each(&mut visit),
        Value::Object(pairs) => pairs.iter().for_each(|(_, value)| visit(value)),
        _ => {}
    }
}

fn double(text: &str) -> PgResult<Value> {
    let refuse = || {
        error(
            SqlState::NON_NUMERIC_SQL_JSON_ITEM,
            format!(
                "argument \"{text}\" of jsonpath item method .double() is invalid for type double precision"
            ),
        )
    };
    let context = types::FormatContext::default();
    match types::format::parse_text(types::DataType::Float8, -1, text, &context) {
        Ok(types::Datum::Float8(value)) if value.is_finite() => Ok(Value::Number(Numeric::from_f64(value))),
        _ => Err(refuse()),
    }
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> PgResult<Option<bool>> {
    let order = match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        // null differs from everything else, and is comparable with it.
        (Value::Null, _) | (_, Value::Null) => return Ok(Some(comparison == Comparison::NotEqual)),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => left.compare(right),
        (Value::String(left), Value::String(right)) => left.as_bytes().cmp(right.as_bytes()),
        _ => return Ok(None),
    };
    Ok(Some(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }))
}
