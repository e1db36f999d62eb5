//! Arrays and enums: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::{array, enumeration};

functions! {
    378 "array_append" (AnyCompatibleArray, AnyCompatible) -> AnyCompatibleArray, called Immutable, Scalar(array::array_append);
    383 "array_cat" (AnyCompatibleArray, AnyCompatibleArray) -> AnyCompatibleArray, called Immutable, Scalar(array::array_cat);
    747 "array_dims" (AnyArray) -> Text, strict Immutable, Scalar(array::array_dims);
    1193 "array_fill" (AnyElement, Int4Array) -> AnyArray, called Immutable, Scalar(array::array_fill);
    1286 "array_fill" (AnyElement, Int4Array, Int4Array) -> AnyArray, called Immutable, Scalar(array::array_fill_with_lower_bounds);
    2176 "array_length" (AnyArray, Int4) -> Int4, strict Immutable, Scalar(array::array_length);
    2091 "array_lower" (AnyArray, Int4) -> Int4, strict Immutable, Scalar(array::array_lower);
    748 "array_ndims" (AnyArray) -> Int4, strict Immutable, Scalar(array::array_ndims);
    3277 "array_position" (AnyCompatibleArray, AnyCompatible) -> Int4, called Immutable, Scalar(array::array_position);
    3278 "array_position" (AnyCompatibleArray, AnyCompatible, Int4) -> Int4, called Immutable, Scalar(array::array_position_start);
    3279 "array_positions" (AnyCompatibleArray, AnyCompatible) -> Int4Array, called Immutable, Scalar(array::array_positions);
    379 "array_prepend" (AnyCompatible, AnyCompatibleArray) -> AnyCompatibleArray, called Immutable, Scalar(array::array_prepend);
    3167 "array_remove" (AnyCompatibleArray, AnyCompatible) -> AnyCompatibleArray, called Immutable, Scalar(array::array_remove);
    3168 "array_replace" (AnyCompatibleArray, AnyCompatible, AnyCompatible) -> AnyCompatibleArray, called Immutable, Scalar(array::array_replace);
    384 "array_to_string" (AnyArray, Text, Text) -> Text, called Stable, Scalar(array::array_to_text_null);
    395 "array_to_string" (AnyArray, Text) -> Text, strict Stable, Scalar(array::array_to_text);
    2092 "array_upper" (AnyArray, Int4) -> Int4, strict Immutable, Scalar(array::array_upper);
    2749 "arraycontained" (AnyArray, AnyArray) -> Bool, strict Immutable, Scalar(array::arraycontained);
    2748 "arraycontains" (AnyArray, AnyArray) -> Bool, strict Immutable, Scalar(array::arraycontains);
    2747 "arrayoverlap" (AnyArray, AnyArray) -> Bool, strict Immutable, Scalar(array::arrayoverlap);
    3179 "cardinality" (AnyArray) -> Int4, strict Immutable, Scalar(array::array_cardinality);
    3528 "enum_first" (AnyEnum) -> AnyEnum, called Stable, Scalar(enumeration::enum_first);
    3529 "enum_last" (AnyEnum) -> AnyEnum, called Stable, Scalar(enumeration::enum_last);
    3530 "enum_range" (AnyEnum, AnyEnum) -> AnyArray, called Stable, Scalar(enumeration::enum_range_bounds);
    3531 "enum_range" (AnyEnum) -> AnyArray, called Stable, Scalar(enumeration::enum_range_all);
    13208 "_pg_expandarray" (AnyArray) -> Record, strict Immutable, Set;
    1191 "generate_subscripts" (AnyArray, Int4, Bool) -> Int4, strict Immutable, Set;
    1192 "generate_subscripts" (AnyArray, Int4) -> Int4, strict Immutable, Set;
    376 "string_to_array" (Text, Text, Text) -> TextArray, called Immutable, Scalar(array::text_to_array_null);
    394 "string_to_array" (Text, Text) -> TextArray, called Immutable, Scalar(array::text_to_array);
    6160 "string_to_table" (Text, Text) -> Text, called Immutable, Set;
    6161 "string_to_table" (Text, Text, Text) -> Text, called Immutable, Set;
    6172 "trim_array" (AnyArray, Int4) -> AnyArray, strict Immutable, Scalar(array::trim_array);
    2331 "unnest" (AnyArray) -> AnyElement, strict Immutable, Set;
}
