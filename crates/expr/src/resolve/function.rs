//! Function resolution (PostgreSQL 10.3).

use super::candidates::{Candidate, Choice, choose};
use super::{Resolved, find_cast, polymorphic};
use crate::catalogue::{CastMethod, catalogue};
use crate::expr::Expr;
use crate::function::{FunctionKind, FunctionRef};
use crate::functions::spread;
use types::{BUILTIN_TYPES, DataType, Datum, PgError, PgResult, SqlState};

/// How a call passes its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionArguments {
    Plain,
    /// The last argument is `VARIADIC array`.
    VariadicArray,
}

/// An overload seen with the number of arguments of the call: variadic arguments expanded, defaulted ones left out.
#[derive(Clone)]
struct FunctionCandidate {
    function: FunctionRef,
    arguments: Vec<DataType>,
    collect_from: Option<usize>,
}

impl Candidate for FunctionCandidate {
    fn argument(&self, index: usize) -> DataType {
        self.arguments[index]
    }
}

/// Finds the function `name` for the argument types. `schema` is `None` for an unqualified name.
///
/// Aggregates and window functions are found as well: the caller looks at the kind. User-defined functions are not known
/// here. A call of one argument may be a cast: ask [`function_as_cast`] first.
///
/// 42883 "function f(integer) does not exist", 42725 "function f(unknown) is not unique", without position.
pub fn resolve_function(
    schema: Option<&str>,
    name: &str,
    inputs: &[DataType],
    passing: FunctionArguments,
) -> PgResult<Resolved> {
    let overloads = match schema {
        None | Some("pg_catalog") => catalogue().functions_named(name),
        Some("information_schema") if name.starts_with("_pg_") => catalogue().functions_named(name),
        Some(_) => &[],
    };
    let candidates: Vec<FunctionCandidate> =
        overloads.iter().filter_map(|function| candidate(*function, inputs.len(), passing)).collect();
    // Of two that look alike in this call, the one without VARIADIC.
    let shadowed = |candidate: &FunctionCandidate| {
        candidate.collect_from.is_some()
            && candidates
                .iter()
                .any(|other| other.collect_from.is_none() && other.arguments == candidate.arguments)
    };
    let candidates: Vec<FunctionCandidate> =
        candidates.iter().filter(|candidate| !shadowed(candidate)).cloned().collect();
    let bases: Vec<DataType> = inputs.iter().map(|input| input.base()).collect();
    let exact = |wanted: &[DataType]| candidates.iter().find(|candidate| candidate.arguments == wanted);
    let chosen = match exact(inputs).or_else(|| exact(&bases)) {
        Some(exact) => exact.clone(),
        None => match choose(&bases, candidates) {
            Choice::One(candidate) => candidate,
            Choice::None => return Err(does_not_exist(schema, name, inputs)),
            Choice::Several => return Err(not_unique(schema, name, inputs)),
        },
    };
    finish(chosen, name, inputs, passing)
}

/// The type that a call like `int4(x)` or `text(x)` converts to, when such a call is a cast and no function: to be asked
/// before [`resolve_function`] for calls of one plain argument.
///
/// That is so when `name` is a built-in type's pg_type name, no function takes exactly `input`, and the conversion is
/// binary, through text, or of an untyped literal.
pub fn function_as_cast(name: &str, input: DataType) -> Option<DataType> {
    let target = BUILTIN_TYPES.iter().copied().find(|target| target.pg_name() == Some(name))?;
    let exact = |function: &FunctionRef| function.0.arguments == [input];
    if target.category() == b'P' || catalogue().functions_named(name).iter().any(exact) {
        return None;
    }
    let row_to_text = matches!(input, DataType::Record | DataType::Composite(_)) && target.category() == b'S';
    let cast = find_cast(input, target)?;
    (matches!(cast.method, CastMethod::Binary | CastMethod::InOut) && !row_to_text).then_some(target)
}

/// `function` seen with `given` arguments, if it can take so many.
fn candidate(function: FunctionRef, given: usize, passing: FunctionArguments) -> Option<FunctionCandidate> {
    let declared = function.0.arguments;
    if function.0.variadic && passing == FunctionArguments::Plain {
        let fixed = declared.len() - 1;
        if given <= fixed {
            return None;
        }
        let last = declared[fixed];
        let (repeated, collect_from) = match last {
            DataType::Any => (DataType::Any, None),
            array => (array.element()?, Some(fixed)),
        };
        let mut arguments = declared[..fixed].to_vec();
        arguments.resize(given, repeated);
        return Some(FunctionCandidate { function, arguments, collect_from });
    }
    if passing == FunctionArguments::VariadicArray && !function.0.variadic {
        return None;
    }
    let required = declared.len() - usize::from(function.0.optional);
    (required..=declared.len()).contains(&given).then(|| FunctionCandidate {
        function,
        arguments: declared[..given].to_vec(),
        collect_from: None,
    })
}

fn finish(
    chosen: FunctionCandidate,
    name: &str,
    inputs: &[DataType],
    passing: FunctionArguments,
) -> PgResult<Resolved> {
    let FunctionCandidate { function, arguments, collect_from } = chosen;
    let (mut argument_types, result) = polymorphic::instantiate(inputs, &arguments, function.0.result)?;
    for argument in &mut argument_types {
        // An untyped literal passed as "any" is text to whoever looks at its value.
        if *argument == DataType::Unknown && function.0.name != "pg_typeof" {
            *argument = DataType::Text;
        }
    }
    if matches!(function.0.kind, FunctionKind::Missing) {
        return Err(PgError::unsupported(format!(
            "function {}",
            signature(None, name, function.0.arguments)
        )));
    }
    let mut function = function;
    if passing == FunctionArguments::VariadicArray && arguments.last() == Some(&DataType::Any) {
        if !inputs.last().is_some_and(|last| matches!(last.base(), DataType::Array(_))) {
            let message = "VARIADIC argument must be an array";
            return Err(PgError::new(SqlState::DATATYPE_MISMATCH, message));
        }
        function = spread::of_array(function)
            .ok_or_else(|| PgError::unsupported(format!("VARIADIC with an array in a call of {name}")))?;
    }
    let omitted = if function.0.variadic { 0 } else { function.0.arguments.len() - inputs.len() };
    let defaults = defaults(function, omitted);
    Ok(Resolved { function, argument_types, collect_from, defaults, result })
}

/// The default values of the last `omitted` arguments.
fn defaults(function: FunctionRef, omitted: usize) -> Vec<Expr> {
    let count = function.0.arguments.len();
    (count - omitted..count).map(|index| default_argument(function, index)).collect()
}

/// The default value of a parameter that has one.
pub fn default_argument(function: FunctionRef, index: usize) -> Expr {
    let declared = function.0.arguments;
    let of = |data_type: DataType, last: bool| match (function.0.name, data_type) {
        (name, DataType::Jsonb) if name.starts_with("jsonb_path_") => Datum::Jsonb("{}".into()),
        (name, DataType::Bool) if name.starts_with("jsonb_path_") => Datum::Bool(false),
        ("jsonb_insert" | "json_populate_record" | "json_populate_recordset", DataType::Bool) => {
            Datum::Bool(false)
        }
        ("jsonb_set" | "jsonb_set_lax", DataType::Bool) => Datum::Bool(true),
        ("jsonb_set_lax", _) if last => Datum::text("use_json_null"),
        (_, DataType::Int4) => Datum::Int4(0),
        (_, DataType::Int8) => Datum::Int8(0),
        (_, DataType::Float8) => Datum::Float8(0.0),
        (name, other) => unreachable!("no default known for an argument of type {other} of {name}"),
    };
    Expr::constant(of(declared[index], index + 1 == declared.len()), declared[index])
}

fn signature(schema: Option<&str>, name: &str, inputs: &[DataType]) -> String {
    let types: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    let prefix = schema.map(|schema| format!("{schema}.")).unwrap_or_default();
    format!("{prefix}{name}({})", types.join(", "))
}

fn does_not_exist(schema: Option<&str>, name: &str, inputs: &[DataType]) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {} does not exist", signature(schema, name, inputs)),
    )
    .hint("No function matches the given name and argument types. You might need to add explicit type casts.")
}

fn not_unique(schema: Option<&str>, name: &str, inputs: &[DataType]) -> PgError {
    PgError::new(
        SqlState::AMBIGUOUS_FUNCTION,
        format!("function {} is not unique", signature(schema, name, inputs)),
    )
    .hint("Could not choose a best candidate function. You might need to add explicit type casts.")
}
