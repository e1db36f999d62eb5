//! Polymorphic types (PostgreSQL 38.2.5): binding `anyelement` and its family, and `anycompatible` and its family, to actual
//! types.
//!
//! Within the first family all positions must be of one type exactly; within the second they are converted to a common type.

use super::common_type::common_type_of;
use types::{DataType, PgError, PgResult, SqlState};

/// What the polymorphic names stand for in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bindings {
    element: Option<DataType>,
    array: Option<DataType>,
    compatible: Option<DataType>,
}

/// Whether the actual types can stand for the declared ones (candidates are dropped otherwise).
pub(super) fn consistent(inputs: &[DataType], declared: &[DataType]) -> bool {
    bind(inputs, declared).is_ok()
}

fn mismatch(name: &str, first: DataType, second: DataType) -> PgError {
    PgError::new(SqlState::DATATYPE_MISMATCH, format!("arguments declared \"{name}\" are not all alike"))
        .detail(format!("{first} versus {second}"))
}

fn not_an_array(name: &str, actual: DataType) -> PgError {
    PgError::new(
        SqlState::DATATYPE_MISMATCH,
        format!("argument declared {name} is not an array but type {actual}"),
    )
}

/// Finds the actual types. Unknown literals constrain nothing; the caller decides what an unbound name means.
fn bind(inputs: &[DataType], declared: &[DataType]) -> PgResult<Bindings> {
    let mut bindings = Bindings::default();
    let mut compatible: Vec<DataType> = Vec::new();
    for (input, declared) in inputs.iter().zip(declared) {
        if *input == DataType::Unknown {
            continue;
        }
        match declared {
            DataType::AnyElement | DataType::AnyNonArray | DataType::AnyEnum => {
                bind_exact(&mut bindings.element, *input, "anyelement")?;
                if *declared == DataType::AnyNonArray && input.element().is_some() {
                    return Err(PgError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("type matched to anynonarray is an array type: {input}"),
                    ));
                }
                if *declared == DataType::AnyEnum && !matches!(input.base(), DataType::Enum(_)) {
                    return Err(PgError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("type matched to anyenum is not an enum type: {input}"),
                    ));
                }
            }
            DataType::AnyArray => {
                if input.element().is_none() && *input != DataType::AnyArray {
                    return Err(not_an_array("anyarray", *input));
                }
                bind_exact(&mut bindings.array, input.base(), "anyarray")?;
            }
            DataType::AnyCompatible | DataType::AnyCompatibleNonArray => compatible.push(*input),
            DataType::AnyCompatibleArray => {
                compatible.push(input.element().ok_or_else(|| not_an_array("anycompatiblearray", *input))?);
            }
            _ => {}
        }
    }
    if let Some(array) = bindings.array {
        let of_array = array.element().unwrap_or(DataType::AnyElement);
        match bindings.element {
            Some(element) if element != of_array => {
                return Err(PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    "argument declared anyarray is not consistent with argument declared anyelement",
                )
                .detail(format!("{array} versus {element}")));
            }
            _ => bindings.element = Some(of_array),
        }
    }
    if !compatible.is_empty() {
        let common = common_type_of(&compatible).ok_or_else(|| {
            PgError::new(
                SqlState::DATATYPE_MISMATCH,
                "arguments of anycompatible family cannot be cast to a common type",
            )
        })?;
        bindings.compatible = Some(common);
    }
    Ok(bindings)
}

fn bind_exact(slot: &mut Option<DataType>, input: DataType, name: &str) -> PgResult<()> {
    match *slot {
        Some(bound) if bound != input => Err(mismatch(name, bound, input)),
        _ => {
            *slot = Some(input);
            Ok(())
        }
    }
}

/// The actual argument types and result type of a call. 42P18 when an unknown literal leaves a name unbound.
pub(super) fn instantiate(
    inputs: &[DataType],
    declared: &[DataType],
    result: DataType,
) -> PgResult<(Vec<DataType>, DataType)> {
    if !declared.iter().chain([&result]).any(|declared| declared.is_polymorphic()) {
        return Ok((declared.to_vec(), result));
    }
    let mut bindings = bind(inputs, declared)?;
    let of_compatible_family = |declared: &DataType| {
        matches!(
            declared,
            DataType::AnyCompatible | DataType::AnyCompatibleArray | DataType::AnyCompatibleNonArray
        )
    };
    if bindings.compatible.is_none() && declared.iter().any(of_compatible_family) {
        bindings.compatible = Some(DataType::Text);
    }
    let mut arguments = Vec::with_capacity(declared.len());
    for (input, declared) in inputs.iter().zip(declared) {
        arguments.push(match declared {
            DataType::Any => *input,
            other => bindings.actual(*other)?,
        });
    }
    Ok((arguments, bindings.actual(result)?))
}

impl Bindings {
    fn actual(&self, declared: DataType) -> PgResult<DataType> {
        match declared {
            DataType::AnyElement | DataType::AnyNonArray | DataType::AnyEnum => {
                self.element.ok_or_else(undetermined)
            }
            DataType::AnyArray => match (self.array, self.element) {
                (Some(array), _) => Ok(array),
                (None, Some(element)) => array_over(element),
                (None, None) => Err(undetermined()),
            },
            DataType::AnyCompatible | DataType::AnyCompatibleNonArray => {
                self.compatible.ok_or_else(undetermined)
            }
            DataType::AnyCompatibleArray => array_over(self.compatible.ok_or_else(undetermined)?),
            other => Ok(other),
        }
    }
}

fn undetermined() -> PgError {
    PgError::new(
        SqlState::DATATYPE_MISMATCH,
        "could not determine polymorphic type because input has type unknown",
    )
}

fn array_over(element: DataType) -> PgResult<DataType> {
    match element {
        DataType::Enum(_) | DataType::Composite(_) | DataType::Domain(_) => Ok(DataType::array_of(element)),
        DataType::Array(_) => Err(PgError::unsupported("an array of arrays")),
        builtin if builtin.array_oid() != 0 => Ok(DataType::array_of(builtin)),
        other => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("could not find array type for data type {other}"),
        )),
    }
}
