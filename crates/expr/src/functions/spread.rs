//! `f(..., VARIADIC array)` of the functions that take any number of values of any type: the array's elements are the values.
//!
//! Each such function has a second form that is not in pg_proc, with an oid of its own, which calls the first row by row.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{json, misc, string};
use crate::EvalContext;
use crate::catalogue::catalogue;
use crate::function::{Evaluator, Function, FunctionKind, FunctionRef};
use crate::functions::text::row_of;
use types::{DataType, Datum, PgError, PgResult, Vector};

/// Set in the oid of a form that takes an array. Above all oids of built-in functions.
const OF_ARRAY: u32 = 1 << 30;

/// Calls `function` for each row with the elements of the last argument. For an array that is NULL the answer is NULL, or, if
/// `of_nothing`, what the function makes of no values.
fn spread(
    context: &EvalContext<'_>,
    arguments: &[&Vector],
    rows: usize,
    (function, result): (Evaluator, DataType),
    of_nothing: bool,
) -> PgResult<Vector> {
    let Some((array, leading)) = arguments.split_last() else {
        return Err(PgError::internal("an array to spread is missing"));
    };
    let element_type = array.data_type.base().element().unwrap_or(DataType::Text);
    let mut answers = Vector::with_capacity(result, rows);
    for row in 0..rows {
        let elements = match array.datum(row_of(array, row, rows)) {
            Datum::Array(array) => array.elements,
            _ if of_nothing => Vec::new(),
            _ => {
                answers.push_null();
                continue;
            }
        };
        let one = |data_type, datum: &Datum| Vector::from_datums(data_type, std::slice::from_ref(datum));
        let before = leading.iter().map(|argument| {
            let datum = argument.datum(row_of(argument, row, rows));
            one(argument.data_type, &datum)
        });
        let values: Vec<Vector> =
            before.chain(elements.iter().map(|element| one(element_type, element))).collect();
        let values: Vec<&Vector> = values.iter().collect();
        answers.push(&function(context, &values, 1)?.datum(0));
    }
    Ok(answers)
}

macro_rules! forms {
    ($($oid:literal $name:ident: $function:path, $result:ident, $of_nothing:literal;)*) => {
        $(fn $name(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
            spread(context, arguments, rows, ($function, DataType::$result), $of_nothing)
        })*

        static FORMS: &[(u32, Evaluator)] = &[$(($oid, $name)),*];
    };
}

//  pg_proc.oid, name, function, result, whether a NULL array is no values
forms! {
    438 num_nulls: misc::pg_num_nulls, Int4, false;
    440 num_nonnulls: misc::pg_num_nonnulls, Int4, false;
    3058 concat: string::text_concat, Text, false;
    3059 concat_ws: string::text_concat_ws, Text, false;
    3198 json_build_array: json::build::json_build_array, Json, false;
    3200 json_build_object: json::build::json_build_object, Json, false;
    3271 jsonb_build_array: json::build::jsonb_build_array, Jsonb, false;
    3273 jsonb_build_object: json::build::jsonb_build_object, Jsonb, false;
    3539 format: string::text_format, Text, true;
}

/// Whether a function is such a form: a call of it is written with VARIADIC.
pub fn takes_array(function: FunctionRef) -> bool {
    function.0.oid & OF_ARRAY != 0
}

/// The form of a function that takes the values as one array.
pub fn of_array(function: FunctionRef) -> Option<FunctionRef> {
    static FUNCTIONS: LazyLock<BTreeMap<u32, Function>> = LazyLock::new(|| {
        let form = |(oid, evaluator): &(u32, Evaluator)| {
            let Function { name, arguments, optional, result, strict, volatility, .. } =
                *catalogue().function(*oid)?.0;
            let kind = FunctionKind::Scalar(*evaluator);
            let oid_of_form = oid | OF_ARRAY;
            let form = Function {
                oid: oid_of_form,
                name,
                arguments,
                optional,
                variadic: true,
                result,
                strict,
                volatility,
                kind,
            };
            Some((*oid, form))
        };
        FORMS.iter().filter_map(form).collect()
    });
    FUNCTIONS.get(&function.0.oid).map(FunctionRef)
}
