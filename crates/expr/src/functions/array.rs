//! Arrays: building, subscripting.

use types::{ArrayValue, DataType, Datum, PgError, PgResult, SqlState};

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
