//! Assignment to a part of a value: the value with the part replaced.

use super::frame::{Frame, Value};
use super::node::{Node, SubscriptNode, by_row};
use crate::expr::{AssignedPart, Expr};
use crate::functions::json::modify::assign_subscripts;
use types::{ArrayValue, DataType, Datum, PgError, PgResult, SqlState, format};

/// A prepared [`Expr::AssignPart`].
pub(super) struct AssignNode {
    whole: Box<Node>,
    part: Part,
    value: Box<Node>,
    data_type: DataType,
}

enum Part {
    Field { field: usize, width: usize },
    Subscripts(Vec<SubscriptNode>),
}

/// A subscript of one row: an index, or bounds that may be left out.
#[derive(Clone, Copy)]
enum At {
    Index(i32),
    Slice(Option<i32>, Option<i32>),
}

fn refuse(code: SqlState, message: &str) -> PgError {
    PgError::new(code, message)
}

impl AssignNode {
    pub(super) fn new(whole: &Expr, part: &AssignedPart, data_type: DataType) -> PgResult<AssignNode> {
        let (part, value) = match part {
            AssignedPart::Field { field, width, value } => {
                (Part::Field { field: *field as usize, width: *width as usize }, value)
            }
            AssignedPart::Subscripts { subscripts, value } => {
                let subscripts = subscripts.iter().map(SubscriptNode::new).collect::<PgResult<_>>()?;
                (Part::Subscripts(subscripts), value)
            }
        };
        let (whole, value) = (Box::new(Node::new(whole)?), Box::new(Node::new(value)?));
        Ok(AssignNode { whole, part, value, data_type })
    }

    pub(super) fn run<'a>(&'a self, frame: &Frame<'a>) -> PgResult<Value<'a>> {
        let whole = self.whole.run(frame)?;
        let value = self.value.run(frame)?;
        let datum = |of: &Value<'_>, row: usize| of.vector.datum(of.index(row));
        match &self.part {
            Part::Field { field, width } => by_row(&[&whole, &value], self.data_type, frame, |row| {
                let mut fields = match datum(&whole, row) {
                    Datum::Record(record) => record.fields,
                    _ => Vec::new(),
                };
                fields.resize(*width, Datum::Null);
                fields[*field] = datum(&value, row);
                Ok(Datum::record(fields, None))
            }),
            Part::Subscripts(subscripts) => {
                // Every bound as a value, in order; what is left out has none.
                let mut bounds: Vec<[Option<Value<'_>>; 2]> = Vec::with_capacity(subscripts.len());
                for subscript in subscripts {
                    let run = |node: &'a Option<Node>| node.as_ref().map(|node| node.run(frame)).transpose();
                    bounds.push(match subscript {
                        SubscriptNode::Index(index) => [Some(index.run(frame)?), None],
                        SubscriptNode::Slice { lower, upper } => [run(lower)?, run(upper)?],
                    });
                }
                let inputs: Vec<&Value<'_>> =
                    [&whole, &value].into_iter().chain(bounds.iter().flatten().flatten()).collect();
                by_row(&inputs, self.data_type, frame, |row| {
                    let at = |of: &Option<Value<'_>>| of.as_ref().map(|of| datum(of, row));
                    let places: Vec<[Option<Datum>; 2]> =
                        bounds.iter().map(|[a, b]| [at(a), at(b)]).collect();
                    self.assign(datum(&whole, row), subscripts, &places, datum(&value, row))
                })
            }
        }
    }

    fn assign(
        &self,
        whole: Datum,
        subscripts: &[SubscriptNode],
        places: &[[Option<Datum>; 2]],
        value: Datum,
    ) -> PgResult<Datum> {
        if places.iter().flatten().flatten().any(Datum::is_null) {
            let message = if self.data_type == DataType::Jsonb {
                "jsonb subscript in assignment must not be null"
            } else {
                "array subscript in assignment must not be null"
            };
            return Err(refuse(SqlState::NULL_VALUE_NOT_ALLOWED, message));
        }
        if self.data_type == DataType::Jsonb {
            let path: Vec<&Datum> = places.iter().filter_map(|[first, _]| first.as_ref()).collect();
            return assign_subscripts(&whole, &path, &value);
        }
        let number = |datum: &Option<Datum>| match datum {
            Some(Datum::Int4(number)) => Some(*number),
            _ => None,
        };
        let at: Vec<At> = subscripts
            .iter()
            .zip(places)
            .map(|(subscript, [first, second])| match subscript {
                SubscriptNode::Index(_) => At::Index(number(first).unwrap_or(0)),
                SubscriptNode::Slice { .. } => At::Slice(number(first), number(second)),
            })
            .collect();
        let element_oid = self.data_type.element().map_or(0, DataType::oid);
        let array = match whole {
            Datum::Array(array) => *array,
            _ => ArrayValue { element_oid, dimensions: Vec::new(), elements: Vec::new() },
        };
        let array = if at.iter().any(|at| matches!(at, At::Slice(..))) {
            assign_slice(array, &at, value)?
        } else {
            assign_element(array, &at, value)?
        };
        Ok(Datum::Array(Box::new(array)))
    }
}

fn wrong_count() -> PgError {
    refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")
}

fn out_of_range() -> PgError {
    refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, "array subscript out of range")
}

fn check_size(length: i64) -> PgResult<i32> {
    if length > format::ARRAY_ELEMENTS_MAX as i64 {
        return Err(PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("array size exceeds the maximum allowed ({})", format::ARRAY_ELEMENTS_MAX),
        ));
    }
    Ok(length as i32)
}

fn check_dimensions(count: usize) -> PgResult<()> {
    if count > format::ARRAY_DIMENSIONS_MAX {
        return Err(PgError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "number of array dimensions ({count}) exceeds the maximum allowed ({})",
                format::ARRAY_DIMENSIONS_MAX
            ),
        ));
    }
    Ok(())
}

/// Makes a one-dimensional array reach from `lower` to `upper`, NULLs in between.
fn extend(array: &mut ArrayValue, lower: i32, upper: i32) -> PgResult<()> {
    let (length, start) = array.dimensions[0];
    let end = i64::from(start) + i64::from(length) - 1;
    let (new_start, new_end) = (i64::from(start.min(lower)), end.max(i64::from(upper)));
    let new_length = check_size(new_end - new_start + 1)?;
    let before = (i64::from(start) - new_start) as usize;
    if before > 0 {
        array.elements.splice(0..0, std::iter::repeat_n(Datum::Null, before));
    }
    array.elements.resize(new_length as usize, Datum::Null);
    array.dimensions[0] = (new_length, new_start as i32);
    Ok(())
}

fn assign_element(mut array: ArrayValue, at: &[At], value: Datum) -> PgResult<ArrayValue> {
    let indices: Vec<i32> = at
        .iter()
        .map(|at| match at {
            At::Index(index) => *index,
            At::Slice(_, upper) => upper.unwrap_or(0),
        })
        .collect();
    check_dimensions(indices.len())?;
    if array.dimensions.is_empty() {
        array.dimensions = indices.iter().map(|index| (1, *index)).collect();
        array.elements = vec![value];
        return Ok(array);
    }
    if array.dimensions.len() != indices.len() {
        return Err(wrong_count());
    }
    if let [index] = indices[..] {
        extend(&mut array, index, index)?;
        let place = (i64::from(index) - i64::from(array.dimensions[0].1)) as usize;
        array.elements[place] = value;
        return Ok(array);
    }
    let mut place = 0usize;
    for (index, (length, lower)) in indices.iter().zip(&array.dimensions) {
        let offset = i64::from(*index) - i64::from(*lower);
        if offset < 0 || offset >= i64::from(*length) {
            return Err(out_of_range());
        }
        place = place * *length as usize + offset as usize;
    }
    array.elements[place] = value;
    Ok(array)
}

fn assign_slice(mut array: ArrayValue, at: &[At], value: Datum) -> PgResult<ArrayValue> {
    // Assigning NULL to a slice changes nothing.
    let Datum::Array(source) = value else { return Ok(array) };
    check_dimensions(at.len())?;
    let fresh = array.dimensions.is_empty();
    if !fresh && (array.dimensions.len() < at.len()) {
        return Err(wrong_count());
    }
    let mut ranges: Vec<(i32, i32)> = Vec::with_capacity(at.len());
    for (position, at) in at.iter().enumerate() {
        let (lower, upper) = match at {
            At::Index(index) => (Some(1), Some(*index)),
            At::Slice(lower, upper) => (*lower, *upper),
        };
        let bounds = match (lower, upper, array.dimensions.get(position)) {
            (Some(lower), Some(upper), _) => (lower, upper),
            (_, _, None) => {
                return Err(refuse(
                    SqlState::ARRAY_SUBSCRIPT_ERROR,
                    "array slice subscript must provide both boundaries",
                )
                .detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
                ));
            }
            (lower, upper, Some((length, start))) => {
                (lower.unwrap_or(*start), upper.unwrap_or(start + length - 1))
            }
        };
        if i64::from(bounds.0) > i64::from(bounds.1) + 1 || (fresh && bounds.0 > bounds.1) {
            let message = "upper bound cannot be less than lower bound";
            return Err(refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        ranges.push(bounds);
    }
    let wanted: i64 = ranges.iter().map(|(lower, upper)| i64::from(*upper) - i64::from(*lower) + 1).product();
    let short = || refuse(SqlState::ARRAY_SUBSCRIPT_ERROR, "source array too small");
    if fresh {
        let mut dimensions = Vec::with_capacity(ranges.len());
        for (lower, upper) in &ranges {
            dimensions.push((check_size(i64::from(*upper) - i64::from(*lower) + 1)?, *lower));
        }
        let count = check_size(wanted)? as usize;
        if source.elements.len() < count {
            return Err(short());
        }
        array.dimensions = dimensions;
        array.elements = source.elements.into_iter().take(count).collect();
        return Ok(array);
    }
    if let [(lower, upper)] = ranges[..]
        && array.dimensions.len() == 1
    {
        if lower <= upper {
            extend(&mut array, lower, upper)?;
        }
    } else {
        // What is not said is all of the dimension.
        ranges.extend(
            array.dimensions[ranges.len()..].iter().map(|(length, start)| (*start, start + length - 1)),
        );
        for ((lower, upper), (length, start)) in ranges.iter().zip(&array.dimensions) {
            if lower < start || i64::from(*upper) >= i64::from(*start) + i64::from(*length) {
                return Err(out_of_range());
            }
        }
    }
    let wanted: i64 = ranges.iter().map(|(lower, upper)| i64::from(*upper) - i64::from(*lower) + 1).product();
    if (source.elements.len() as i64) < wanted {
        return Err(short());
    }
    let mut next = source.elements.into_iter();
    write_slice(&mut array, &ranges, 0, 0, &mut next);
    Ok(array)
}

/// Puts elements into the ranges of all dimensions from `depth` on; `place` is where the outer indices lead.
fn write_slice(
    array: &mut ArrayValue,
    ranges: &[(i32, i32)],
    depth: usize,
    place: usize,
    next: &mut impl Iterator<Item = Datum>,
) {
    let (length, start) = array.dimensions[depth];
    let (lower, upper) = ranges[depth];
    for index in lower..=upper {
        let at = place * length as usize + (i64::from(index) - i64::from(start)) as usize;
        if depth + 1 == ranges.len() {
            array.elements[at] = next.next().unwrap_or(Datum::Null);
        } else {
            write_slice(array, ranges, depth + 1, at, next);
        }
    }
}
