//! unnest, generate_subscripts, and the information schema's _pg_expandarray.

use super::{Listed, RowSet};
use types::{ArrayValue, DataType, Datum, PgError, PgResult, Vector};

fn array(datum: &Datum) -> PgResult<&ArrayValue> {
    match datum {
        Datum::Array(array) => Ok(array),
        other => Err(PgError::internal(format!("an array function met {other:?}"))),
    }
}

fn element_type(array_type: DataType) -> PgResult<DataType> {
    array_type.element().ok_or_else(|| PgError::internal(format!("{array_type} is not an array type")))
}

/// The elements of all dimensions.
pub(super) fn unnest(datum: &Datum, array_type: DataType) -> PgResult<Box<dyn RowSet>> {
    let elements = Vector::from_datums(element_type(array_type)?, &array(datum)?.elements);
    Ok(Box::new(Listed::new(vec![elements])))
}

/// (element, subscript) pairs, subscripts counted from 1.
pub(super) fn expand(datum: &Datum, array_type: DataType) -> PgResult<Box<dyn RowSet>> {
    let array = array(datum)?;
    let elements = Vector::from_datums(element_type(array_type)?, &array.elements);
    let mut numbers = Vector::with_capacity(DataType::Int4, array.elements.len());
    (1..=array.elements.len() as i32).for_each(|number| numbers.push(&Datum::Int4(number)));
    Ok(Box::new(Listed::new(vec![elements, numbers])))
}

/// The subscripts of one dimension, backwards if so asked; none when there is no such dimension.
pub(super) fn subscripts(arguments: &[Datum]) -> PgResult<Box<dyn RowSet>> {
    let array = array(&arguments[0])?;
    let Datum::Int4(dimension) = arguments[1] else {
        return Err(PgError::internal("a dimension is an integer"));
    };
    let reverse = matches!(arguments.get(2), Some(Datum::Bool(true)));
    let mut column = Vector::with_capacity(DataType::Int4, 16);
    let index = usize::try_from(dimension).ok().and_then(|dimension| dimension.checked_sub(1));
    if let Some((length, lower)) = index.and_then(|index| array.dimensions.get(index)) {
        let mut numbers: Vec<i32> = (0..*length).map(|offset| lower + offset).collect();
        if reverse {
            numbers.reverse();
        }
        numbers.into_iter().for_each(|number| column.push(&Datum::Int4(number)));
    }
    Ok(Box::new(Listed::new(vec![column])))
}
