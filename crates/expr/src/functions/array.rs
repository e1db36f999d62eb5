//! Arrays: building, subscripting, searching.

use super::kernel::{evaluators, vector};
use super::text::row_of;
use crate::EvalContext;
use crate::bounds::{self, Watch};
use types::{ArrayValue, DataType, Datum, Nulls, PgError, PgResult, SqlState, Values, Vector, compare};

/// An array of one dimension from 1, or the empty array.
pub(crate) fn one_dimensional(array_type: DataType, elements: Vec<Datum>) -> Datum {
    let element_oid = array_type.element().map_or(0, DataType::oid);
    let dimensions = if elements.is_empty() { Vec::new() } else { vec![(elements.len() as i32, 1)] };
    Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements }))
}

/// ARRAY[a, b, ...] over arrays: one more dimension. 2202E when their shapes differ.
pub(crate) fn stack(array_type: DataType, arrays: Vec<Datum>) -> PgResult<Datum> {
    let mismatch = || {
        PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    };
    let mut inner: Option<Vec<(i32, i32)>> = None;
    let mut elements = Vec::new();
    let mut count = 0;
    let mut empty = 0;
    let mut null = 0;
    let total = arrays.len();
    for array in arrays {
        let Datum::Array(array) = array else {
            null += 1;
            continue;
        };
        if array.dimensions.is_empty() {
            empty += 1;
            continue;
        }
        match &inner {
            None => inner = Some(array.dimensions.clone()),
            Some(dimensions) if *dimensions != array.dimensions => return Err(mismatch()),
            Some(_) => {}
        }
        count += 1;
        elements.extend(array.elements);
    }
    if count == 0 {
        return Ok(one_dimensional(array_type, Vec::new()));
    }
    if empty + null > 0 {
        return Err(mismatch());
    }
    let mut dimensions = vec![(total as i32, 1)];
    dimensions.extend(inner.unwrap_or_default());
    if dimensions.len() > DIMENSIONS_MAX {
        return Err(too_many_dimensions(dimensions.len()));
    }
    let element_oid = array_type.element().map_or(0, DataType::oid);
    Ok(Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements })))
}

/// PostgreSQL's MAXDIM.
pub(crate) const DIMENSIONS_MAX: usize = 6;

pub(crate) fn too_many_dimensions(count: usize) -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"),
    )
}

/// `array[i][j]`: NULL when the subscripts do not name an element.
pub(crate) fn element(array: &ArrayValue, subscripts: &[i32]) -> Datum {
    if subscripts.len() != array.dimensions.len() {
        return Datum::Null;
    }
    let mut offset: usize = 0;
    for (subscript, (length, lower)) in subscripts.iter().zip(&array.dimensions) {
        let position = i64::from(*subscript) - i64::from(*lower);
        if position < 0 || position >= i64::from(*length) {
            return Datum::Null;
        }
        offset = offset * *length as usize + position as usize;
    }
    array.elements[offset].clone()
}

/// `array[a:b][c:d]`: the part within bounds, its lower bounds 1; empty when nothing is.
pub(crate) fn slice(array: &ArrayValue, ranges: &[(Option<i32>, Option<i32>)]) -> Datum {
    let empty = || {
        Datum::Array(Box::new(ArrayValue {
            element_oid: array.element_oid,
            dimensions: Vec::new(),
            elements: Vec::new(),
        }))
    };
    if array.dimensions.is_empty() || ranges.len() > array.dimensions.len() {
        return empty();
    }
    let mut bounds: Vec<(i64, i64)> = Vec::with_capacity(array.dimensions.len());
    for (index, (length, lower)) in array.dimensions.iter().enumerate() {
        let (first, last) = (i64::from(*lower), i64::from(*lower) + i64::from(*length) - 1);
        let (from, to) = ranges.get(index).copied().unwrap_or((None, None));
        let from = from.map_or(first, |from| i64::from(from).max(first));
        let to = to.map_or(last, |to| i64::from(to).min(last));
        if from > to {
            return empty();
        }
        bounds.push((from - first, to - first));
    }
    let mut elements = Vec::new();
    let mut position: Vec<i64> = bounds.iter().map(|(from, _)| *from).collect();
    'all: loop {
        let offset = position
            .iter()
            .zip(&array.dimensions)
            .fold(0usize, |offset, (at, (length, _))| offset * *length as usize + *at as usize);
        elements.push(array.elements[offset].clone());
        for dimension in (0..position.len()).rev() {
            if position[dimension] < bounds[dimension].1 {
                position[dimension] += 1;
                continue 'all;
            }
            position[dimension] = bounds[dimension].0;
        }
        break;
    }
    let dimensions = bounds.iter().map(|(from, to)| ((to - from + 1) as i32, 1)).collect();
    Datum::Array(Box::new(ArrayValue { element_oid: array.element_oid, dimensions, elements }))
}

/// string_to_array's fields: a NULL separator splits into characters, an empty one not at all; a field equal to `null` is NULL.
pub(crate) fn split_text(text: &str, separator: Option<&str>, null: Option<&str>) -> Vec<Datum> {
    let field = |piece: &str| if null == Some(piece) { Datum::Null } else { Datum::text(piece) };
    if text.is_empty() {
        return Vec::new();
    }
    match separator {
        None => {
            let mut buffer = [0; 4];
            text.chars().map(|c| field(c.encode_utf8(&mut buffer))).collect()
        }
        Some("") => vec![field(text)],
        Some(separator) => text.split(separator).map(field).collect(),
    }
}

fn dimension_of(array: &ArrayValue, dimension: i32) -> Option<(i32, i32)> {
    let index = usize::try_from(dimension).ok()?.checked_sub(1)?;
    array.dimensions.get(index).copied()
}

fn build(element_oid: u32, dimensions: Vec<(i32, i32)>, elements: Vec<Datum>) -> Datum {
    let dimensions = if elements.is_empty() { Vec::new() } else { dimensions };
    Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements }))
}

/// IS NOT DISTINCT FROM on elements.
fn same(a: &Datum, b: &Datum) -> bool {
    match (a.is_null(), b.is_null()) {
        (true, true) => true,
        (false, false) => compare::compare_datums(a, b).is_eq(),
        _ => false,
    }
}

/// Whether every element of `b` is in `a`; a NULL is in nothing.
fn contains(a: &ArrayValue, b: &ArrayValue) -> bool {
    b.elements.iter().all(|wanted| !wanted.is_null() && a.elements.iter().any(|have| same(have, wanted)))
}

evaluators! {
    fn array_ndims(a: array) -> maybe i32 { Ok((!a.dimensions.is_empty()).then_some(a.dimensions.len() as i32)) }
    fn array_length(a: array, dimension: i32) -> maybe i32 {
        Ok(dimension_of(a, dimension).map(|(length, _)| length))
    }
    fn array_lower(a: array, dimension: i32) -> maybe i32 {
        Ok(dimension_of(a, dimension).map(|(_, lower)| lower))
    }
    fn array_upper(a: array, dimension: i32) -> maybe i32 {
        Ok(dimension_of(a, dimension).map(|(length, lower)| lower + length - 1))
    }
    fn array_cardinality(a: array) -> i32 { a.elements.len() as i32 }
    fn array_dims(a: array) -> maybe text {
        let shown = |(length, lower): &(i32, i32)| format!("[{lower}:{}]", lower + length - 1);
        Ok((!a.dimensions.is_empty()).then(|| a.dimensions.iter().map(shown).collect::<String>()))
    }
    fn arraycontains(a: array, b: array) -> bool { contains(a, b) }
    fn arraycontained(a: array, b: array) -> bool { contains(b, a) }
    fn arrayoverlap(a: array, b: array) -> bool {
        b.elements.iter().any(|wanted| !wanted.is_null() && a.elements.iter().any(|have| same(have, wanted)))
    }
    fn trim_array(a: array, count: i32) -> try datum {
        let (length, lower) = a.dimensions.first().copied().unwrap_or((0, 1));
        if count < 0 || count > length {
            return Err(PgError::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                format!("number of elements to trim must be between 0 and {length}"),
            ));
        }
        Ok(slice(a, &[(None, Some(lower + length - count - 1))]))
    }
}

/// Builds a value for each row out of datums, NULL arguments included.
fn by_datums(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
    make: impl Fn(&[Datum]) -> PgResult<Datum>,
) -> PgResult<Vector> {
    let mut values = Vec::with_capacity(rows);
    let mut nulls = Nulls::none();
    let (mut watch, mut bytes) = (Watch::new(context), 0);
    for row in 0..rows {
        let datums: Vec<Datum> =
            arguments.iter().map(|argument| argument.datum(row_of(argument, row, rows))).collect();
        let value = make(&datums)?;
        if value.is_null() {
            nulls.set_null(row);
        }
        bytes += value.memory_size();
        values.push(value);
        watch.row(bytes)?;
    }
    Ok(vector(Values::Datum(values), nulls))
}

/// The element type that the arguments of an array function agree on.
fn element_oid(array: &Vector, element: &Vector) -> u32 {
    array.data_type.element().map_or(element.data_type.oid(), DataType::oid)
}

fn not_one_dimensional() -> PgError {
    PgError::new(SqlState::DATA_EXCEPTION, "argument must be empty or one-dimensional array")
}

pub fn array_append(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    let oid = element_oid(arguments[0], arguments[1]);
    by_datums(context, arguments, rows, |datums| extended(&datums[0], &datums[1], oid, false))
}

pub fn array_prepend(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    let oid = element_oid(arguments[1], arguments[0]);
    by_datums(context, arguments, rows, |datums| extended(&datums[1], &datums[0], oid, true))
}

/// An array with one element more, at its end or its front.
fn extended(array: &Datum, element: &Datum, oid: u32, front: bool) -> PgResult<Datum> {
    let Datum::Array(array) = array else {
        return Ok(build(oid, vec![(1, 1)], vec![element.clone()]));
    };
    match array.dimensions.as_slice() {
        [] => Ok(build(oid, vec![(1, 1)], vec![element.clone()])),
        [(length, lower)] => {
            let mut elements = array.elements.clone();
            if front {
                elements.insert(0, element.clone());
            } else {
                elements.push(element.clone());
            }
            Ok(build(array.element_oid, vec![(length + 1, *lower)], elements))
        }
        _ => Err(not_one_dimensional()),
    }
}

/// a || b over arrays: end to end, or the one of fewer dimensions as a further element of the other.
pub fn array_cat(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    by_datums(context, arguments, rows, |datums| match (&datums[0], &datums[1]) {
        (Datum::Array(a), Datum::Array(b)) => concatenated(a, b),
        (Datum::Array(_), _) => Ok(datums[0].clone()),
        _ => Ok(datums[1].clone()),
    })
}

fn concatenated(a: &ArrayValue, b: &ArrayValue) -> PgResult<Datum> {
    if a.dimensions.is_empty() || b.dimensions.is_empty() {
        let kept = if a.dimensions.is_empty() { b } else { a };
        return Ok(Datum::Array(Box::new(kept.clone())));
    }
    let incompatible = |detail: &str| {
        Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot concatenate incompatible arrays")
            .detail(detail))
    };
    let inner =
        |array: &ArrayValue| array.dimensions[1..].iter().map(|(length, _)| *length).collect::<Vec<_>>();
    let whole = |array: &ArrayValue| array.dimensions.iter().map(|(length, _)| *length).collect::<Vec<_>>();
    let (count_a, count_b) = (a.dimensions.len(), b.dimensions.len());
    let dimensions = if count_a == count_b {
        if inner(a) != inner(b) {
            return incompatible(
                "Arrays with differing element dimensions are not compatible for concatenation.",
            );
        }
        let mut dimensions = a.dimensions.clone();
        dimensions[0].0 += b.dimensions[0].0;
        dimensions
    } else if count_a + 1 == count_b || count_a == count_b + 1 {
        let (outer, element) = if count_a > count_b { (a, b) } else { (b, a) };
        if inner(outer) != whole(element) {
            return incompatible("Arrays with differing dimensions are not compatible for concatenation.");
        }
        let mut dimensions = outer.dimensions.clone();
        dimensions[0].0 += 1;
        dimensions
    } else {
        return incompatible(&format!(
            "Arrays of {count_a} and {count_b} dimensions are not compatible for concatenation."
        ));
    };
    let elements = a.elements.iter().chain(&b.elements).cloned().collect();
    Ok(build(a.element_oid, dimensions, elements))
}

pub fn array_remove(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    by_datums(context, arguments, rows, |datums| {
        let Datum::Array(array) = &datums[0] else { return Ok(Datum::Null) };
        if array.dimensions.len() > 1 {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "removing elements from multidimensional arrays is not supported",
            ));
        }
        let kept: Vec<Datum> =
            array.elements.iter().filter(|element| !same(element, &datums[1])).cloned().collect();
        let lower = array.dimensions.first().map_or(1, |(_, lower)| *lower);
        Ok(build(array.element_oid, vec![(kept.len() as i32, lower)], kept))
    })
}

pub fn array_replace(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    by_datums(context, arguments, rows, |datums| {
        let Datum::Array(array) = &datums[0] else { return Ok(Datum::Null) };
        let mut array = (**array).clone();
        for element in &mut array.elements {
            if same(element, &datums[1]) {
                *element = datums[2].clone();
            }
        }
        Ok(Datum::Array(Box::new(array)))
    })
}

/// The subscripts at which an element is found, in order.
fn positions(array: &ArrayValue, wanted: &Datum) -> PgResult<Vec<i32>> {
    if array.dimensions.len() > 1 {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    let lower = array.dimensions.first().map_or(1, |(_, lower)| *lower);
    let found = array.elements.iter().enumerate().filter(|(_, element)| same(element, wanted));
    Ok(found.map(|(at, _)| lower + at as i32).collect())
}

/// An integer for each row out of datums, `None` being NULL.
fn integers(
    arguments: &[&Vector],
    rows: usize,
    make: impl Fn(&[Datum]) -> PgResult<Option<i32>>,
) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Int4, rows);
    for row in 0..rows {
        let datums: Vec<Datum> =
            arguments.iter().map(|argument| argument.datum(row_of(argument, row, rows))).collect();
        result.push(&make(&datums)?.map_or(Datum::Null, Datum::Int4));
    }
    Ok(result)
}

pub fn array_position(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    array_position_start(context, arguments, rows)
}

pub fn array_position_start(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    let _ = context;
    integers(arguments, rows, |datums| {
        let Datum::Array(array) = &datums[0] else { return Ok(None) };
        let from = match datums.get(2) {
            None => i32::MIN,
            Some(Datum::Int4(from)) => *from,
            Some(_) => {
                return Err(PgError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "initial position must not be null",
                ));
            }
        };
        Ok(positions(array, &datums[1])?.into_iter().find(|at| *at >= from))
    })
}

pub fn array_positions(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    by_datums(context, arguments, rows, |datums| {
        let Datum::Array(array) = &datums[0] else { return Ok(Datum::Null) };
        let found = positions(array, &datums[1])?;
        Ok(one_dimensional(DataType::array_of(DataType::Int4), found.into_iter().map(Datum::Int4).collect()))
    })
}

pub fn array_fill(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    array_fill_with_lower_bounds(context, arguments, rows)
}

pub fn array_fill_with_lower_bounds(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
) -> PgResult<Vector> {
    let _ = context;
    let oid = arguments[0].data_type.oid();
    by_datums(context, arguments, rows, |datums| {
        if datums[1..].iter().any(Datum::is_null) {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "dimension array or low bound array cannot be null",
            ));
        }
        let lengths = bounds(&datums[1])?;
        let lowers = match datums.get(2) {
            Some(lowers) => bounds(lowers)?,
            None => vec![1; lengths.len()],
        };
        if lowers.len() != lengths.len() {
            return Err(PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")
                .detail("Low bound array has different size than dimensions array."));
        }
        if lengths.len() > DIMENSIONS_MAX {
            return Err(too_many_dimensions(lengths.len()));
        }
        let count = lengths.iter().try_fold(1usize, |count, length| {
            usize::try_from(*length).ok().and_then(|length| count.checked_mul(length))
        });
        let count = count.filter(|count| *count <= ELEMENTS_MAX).ok_or_else(|| {
            PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
            )
        })?;
        let count = if lengths.is_empty() { 0 } else { count };
        context.bounds.check(datums[0].memory_size().saturating_mul(count))?;
        Ok(build(oid, lengths.into_iter().zip(lowers).collect(), vec![datums[0].clone(); count]))
    })
}

/// PostgreSQL's MaxArraySize.
const ELEMENTS_MAX: usize = 134_217_727;

fn not_flat() -> PgError {
    PgError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, "wrong number of array subscripts")
        .detail("Dimension array must be one dimensional.")
}

/// The integers of a one-dimensional array.
fn bounds(datum: &Datum) -> PgResult<Vec<i32>> {
    let Datum::Array(array) = datum else { return Err(not_flat()) };
    if array.dimensions.len() > 1 {
        return Err(not_flat());
    }
    let value = |element: &Datum| match element {
        Datum::Int4(value) => Ok(*value),
        _ => Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension values cannot be null")),
    };
    array.elements.iter().map(value).collect()
}

/// array_to_string: the elements joined, NULLs left out or shown as the third argument.
pub fn array_to_text(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    array_to_text_null(context, arguments, rows)
}

pub fn array_to_text_null(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let element_type = arguments[0].data_type.element().unwrap_or(DataType::Text);
    let mut made = 0;
    super::string::texts(context, rows, |row| {
        let at = |index: usize| arguments[index].datum(row_of(arguments[index], row, rows));
        let (Datum::Array(array), Datum::Text(separator)) = (at(0), at(1)) else { return Ok(None) };
        let null = match arguments.get(2).map(|_| at(2)) {
            Some(Datum::Text(null)) => Some(null),
            _ => None,
        };
        let mut pieces = array.elements.iter().filter_map(|element| match (element, &null) {
            (Datum::Null, None) => None,
            (Datum::Null, Some(null)) => Some(Ok(null.to_string())),
            (element, _) => Some(super::text::text_of(element, element_type, context)),
        });
        let mut out = pieces.next().transpose()?.unwrap_or_default();
        let (mut watch, before) = (Watch::new(context), made);
        for piece in pieces {
            bounds::append(&mut out, &separator)?;
            bounds::append(&mut out, &piece?)?;
            watch.part(before + out.len())?;
        }
        made += out.len();
        Ok(Some(out))
    })
}

pub fn text_to_array(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    text_to_array_null(context, arguments, rows)
}

pub fn text_to_array_null(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let _ = context;
    by_datums(context, arguments, rows, |datums| {
        let text = |index: usize| match datums.get(index) {
            Some(Datum::Text(text)) => Some(&**text),
            _ => None,
        };
        let Some(whole) = text(0) else { return Ok(Datum::Null) };
        Ok(one_dimensional(DataType::array_of(DataType::Text), split_text(whole, text(1), text(2))))
    })
}
