//! Rows of pg_proc by family. A row reads: oid, name, (arguments) -> result, strict or called on NULL, volatility, what runs it.
//! `variadic true`: the last argument repeats; `optional n`: the last n have defaults.

mod aggregate;
mod arithmetic;
mod array;
mod binary;
mod comparison;
mod conversion;
mod datetime;
mod deferred;
mod format;
mod hash;
mod json;
mod math;
mod misc;
mod network;
mod pattern;
mod string;
mod system;
mod window;

use crate::function::Function;

pub(super) static TABLES: &[&[Function]] = &[
    aggregate::ROWS,
    arithmetic::ROWS,
    array::ROWS,
    binary::ROWS,
    comparison::ROWS,
    conversion::ROWS,
    datetime::ROWS,
    deferred::ROWS,
    format::ROWS,
    hash::ROWS,
    json::ROWS,
    math::ROWS,
    misc::ROWS,
    network::ROWS,
    pattern::ROWS,
    string::ROWS,
    system::ROWS,
    window::ROWS,
];

/// What rows are written with: types by their names, arrays as `TextArray`, kinds.
mod prelude {
    pub(super) use crate::function::Function;
    pub(super) use crate::function::FunctionKind::*;
    pub(super) use crate::function::Volatility::*;
    pub(super) use types::DataType::*;
    use types::{DataType, ElementType};

    #[allow(non_upper_case_globals)]
    pub(super) const AclitemArray: DataType = DataType::Array(ElementType::builtin(1033));
    #[allow(non_upper_case_globals)]
    pub(super) const Float8Array: DataType = DataType::Array(ElementType::builtin(701));
    #[allow(non_upper_case_globals)]
    pub(super) const Int4Array: DataType = DataType::Array(ElementType::builtin(23));
    #[allow(non_upper_case_globals)]
    pub(super) const IntervalArray: DataType = DataType::Array(ElementType::builtin(1186));
    #[allow(non_upper_case_globals)]
    pub(super) const NameArray: DataType = DataType::Array(ElementType::builtin(19));
    #[allow(non_upper_case_globals)]
    pub(super) const TextArray: DataType = DataType::Array(ElementType::builtin(25));
}

macro_rules! functions {
    (@strict strict) => { true };
    (@strict called) => { false };
    ($($oid:literal $name:literal
       ($($argument:ident),* $(; optional $optional:literal)?) $(variadic $variadic:literal)? -> $result:ident,
       $strict:ident $volatility:ident, $kind:expr;)*) => {
        pub(super) static ROWS: &[Function] = &[$(Function {
            oid: $oid,
            name: $name,
            arguments: &[$($argument),*],
            optional: 0 $(+ $optional)?,
            variadic: false $(|| $variadic)?,
            result: $result,
            strict: functions!(@strict $strict),
            volatility: $volatility,
            kind: $kind,
        },)*];
    };
}
use functions;
