//! Three-valued logic: AND, OR, NOT, IS NULL, IS TRUE, IS DISTINCT FROM.
//!
//! AND over many rows: the first operand is evaluated for all; the next only for rows not yet false, and so on. Where most
//! rows are still undecided and the operand can neither fail nor cost much, it is evaluated for all rows instead, because
//! gathering columns would cost more.

use super::frame::{Frame, Value};
use super::node::{Node, call};
use super::true_rows;
use crate::function::Evaluator;
use types::{DataType, Datum, Nulls, PgResult, Values, Vector};

/// Below this share of rows (one in so many) a selection is gathered even for an operand that could run on all rows.
const DENSE_SHARE: usize = 4;

fn booleans(vector: &Vector) -> &[bool] {
    match &vector.values {
        Values::Bool(values) => values,
        _ => unreachable!("operands of boolean operators are boolean: the binder typed them"),
    }
}

pub(super) fn boolean_vector(values: Vec<bool>, nulls: Nulls) -> Vector {
    Vector { data_type: DataType::Bool, nulls, values: Values::Bool(values) }
}

/// The value of a boolean at `row`, `None` for NULL.
#[inline]
fn truth(value: &Value<'_>, values: &[bool], row: usize) -> Option<bool> {
    let index = value.index(row);
    (!value.vector.nulls.any() || !value.vector.is_null(index)).then(|| values[index])
}

/// AND (`absorbing` false) or OR (`absorbing` true): the absorbing value decides.
pub(super) fn connective<'a>(list: &'a [Node], frame: &Frame<'a>, absorbing: bool) -> PgResult<Value<'a>> {
    let mut accumulated: Vec<Option<bool>> = vec![Some(!absorbing); frame.rows];
    // Rows not yet decided; `None` means all.
    let mut undecided: Option<Vec<u32>> = None;
    for (position, node) in list.iter().enumerate() {
        let last = position + 1 == list.len();
        match &undecided {
            Some(rows) if rows.is_empty() => break,
            Some(rows) if rows.len() * DENSE_SHARE < frame.rows || !node.is_harmless() => {
                frame.narrowed(rows, |narrow| {
                    let value = node.run(narrow)?;
                    let values = booleans(&value.vector);
                    for (index, row) in rows.iter().enumerate() {
                        combine(&mut accumulated[*row as usize], truth(&value, values, index), absorbing);
                    }
                    Ok::<(), types::PgError>(())
                })?;
            }
            _ => {
                let value = node.run(frame)?;
                let values = booleans(&value.vector);
                for (row, slot) in accumulated.iter_mut().enumerate() {
                    combine(slot, truth(&value, values, row), absorbing);
                }
            }
        }
        if !last {
            let open = |row: &u32| accumulated[*row as usize] != Some(absorbing);
            undecided = Some(match undecided {
                None => (0..frame.rows as u32).filter(open).collect(),
                Some(rows) => rows.into_iter().filter(open).collect(),
            });
        }
    }
    let mut nulls = Nulls::none();
    let values = accumulated
        .into_iter()
        .enumerate()
        .map(|(row, value)| {
            if value.is_none() {
                nulls.set_null(row);
            }
            value.unwrap_or(false)
        })
        .collect();
    Ok(Value::owned(boolean_vector(values, nulls)))
}

#[inline]
fn combine(slot: &mut Option<bool>, next: Option<bool>, absorbing: bool) {
    *slot = match (*slot, next) {
        (Some(left), _) if left == absorbing => Some(absorbing),
        (_, Some(right)) if right == absorbing => Some(absorbing),
        (None, _) | (_, None) => None,
        _ => Some(!absorbing),
    };
}

/// The rows for which all conditions are true: a filter need not tell false from NULL.
pub(super) fn select_all(list: &[Node], frame: &Frame<'_>) -> PgResult<Vec<u32>> {
    let mut chosen: Option<Vec<u32>> = None;
    for node in list {
        chosen = Some(match chosen {
            None => node.select(frame)?,
            Some(rows) if rows.is_empty() => return Ok(rows),
            Some(rows) if rows.len() == frame.rows => node.select(frame)?,
            Some(rows) if rows.len() * DENSE_SHARE >= frame.rows && node.is_harmless() => {
                let value = node.run(frame)?;
                let values = booleans(&value.vector);
                rows.into_iter().filter(|row| truth(&value, values, *row as usize) == Some(true)).collect()
            }
            Some(rows) => frame.narrowed(&rows, |narrow| {
                let inner = node.select(narrow)?;
                Ok::<_, types::PgError>(inner.into_iter().map(|row| rows[row as usize]).collect())
            })?,
        });
    }
    Ok(chosen.unwrap_or_else(|| (0..frame.rows as u32).collect()))
}

pub(super) fn not(value: Value<'_>) -> PgResult<Value<'_>> {
    let constant = value.constant;
    let flipped = booleans(&value.vector).iter().map(|value| !value).collect();
    let nulls = value.vector.nulls.clone();
    Ok(Value { vector: std::borrow::Cow::Owned(boolean_vector(flipped, nulls)), constant })
}

fn map_rows<'a>(value: &Value<'_>, rows: usize, answer: impl Fn(usize) -> bool) -> Value<'a> {
    let rows = if value.constant { 1 } else { rows };
    let vector = boolean_vector((0..rows).map(answer).collect(), Nulls::none());
    Value { vector: std::borrow::Cow::Owned(vector), constant: value.constant }
}

/// IS [NOT] NULL. For a row value: all fields NULL, or all fields not NULL.
pub(super) fn is_null<'a>(value: &Value<'_>, rows: usize, negated: bool, row_type: bool) -> Value<'a> {
    if row_type {
        return map_rows(value, rows, |row| match value.vector.datum(value.index(row)) {
            Datum::Record(fields) => fields.iter().all(|field| field.is_null() != negated),
            _ => !negated,
        });
    }
    map_rows(value, rows, |row| value.is_null(row) != negated)
}

/// IS [NOT] TRUE / FALSE / UNKNOWN.
pub(super) fn is_bool<'a>(value: &Value<'_>, rows: usize, wanted: Option<bool>, negated: bool) -> Value<'a> {
    let values = booleans(&value.vector);
    map_rows(value, rows, |row| (truth(value, values, row) == wanted) != negated)
}

/// IS [NOT] DISTINCT FROM.
pub(super) fn is_distinct<'a>(
    left: Value<'_>,
    right: Value<'_>,
    equal: Evaluator,
    negated: bool,
    frame: &Frame<'_>,
) -> PgResult<Value<'a>> {
    let values = [left, right];
    let constant = values.iter().all(|value| value.constant);
    let rows = if constant { 1 } else { frame.rows };
    let equality = call(equal, &values, DataType::Bool, true, false, frame)?;
    let equals = booleans(&equality.vector);
    let answers = (0..rows)
        .map(|row| {
            let distinct = match (values[0].is_null(row), values[1].is_null(row)) {
                (true, true) => false,
                (false, false) => truth(&equality, equals, row) != Some(true),
                _ => true,
            };
            distinct != negated
        })
        .collect();
    let vector = boolean_vector(answers, Nulls::none());
    Ok(Value { vector: std::borrow::Cow::Owned(vector), constant })
}

/// The rows, by number within the frame, for which a condition holds, and those for which it does not.
pub(super) fn split(node: &Node, frame: &Frame<'_>) -> PgResult<(Vec<u32>, Vec<u32>)> {
    let value = node.run(frame)?;
    if value.constant {
        let all: Vec<u32> = (0..frame.rows as u32).collect();
        let holds = truth(&value, booleans(&value.vector), 0) == Some(true);
        return Ok(if holds { (all, Vec::new()) } else { (Vec::new(), all) });
    }
    let holding = true_rows(&value.vector);
    if holding.len() == frame.rows {
        return Ok((holding, Vec::new()));
    }
    let mut next = holding.iter().peekable();
    let rest = (0..frame.rows as u32).filter(|row| next.next_if_eq(&row).is_none()).collect();
    Ok((holding, rest))
}
