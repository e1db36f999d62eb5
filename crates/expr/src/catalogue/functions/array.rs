//! Arrays and enums: rows of pg_proc.

use super::functions;
use super::prelude::*;

functions! {
    378 "array_append" (AnyCompatibleArray, AnyCompatible) -> AnyCompatibleArray, called Immutable, Missing;
    383 "array_cat" (AnyCompatibleArray, AnyCompatibleArray) -> AnyCompatibleArray, called Immutable, Missing;
    747 "array_dims" (AnyArray) -> Text, strict Immutable, Missing;
    1193 "array_fill" (AnyElement, Int4Array) -> AnyArray, called Immutable, Missing;
    1286 "array_fill" (AnyElement, Int4Array, Int4Array) -> AnyArray, called Immutable, Missing;
    2176 "array_length" (AnyArray, Int4) -> Int4, strict Immutable, Missing;
    2091 "array_lower" (AnyArray, Int4) -> Int4, strict Immutable, Missing;
    748 "array_ndims" (AnyArray) -> Int4, strict Immutable, Missing;
    3277 "array_position" (AnyCompatibleArray, AnyCompatible) -> Int4, called Immutable, Missing;
    3278 "array_position" (AnyCompatibleArray, AnyCompatible, Int4) -> Int4, called Immutable, Missing;
    3279 "array_positions" (AnyCompatibleArray, AnyCompatible) -> Int4Array, called Immutable, Missing;
    379 "array_prepend" (AnyCompatible, AnyCompatibleArray) -> AnyCompatibleArray, called Immutable, Missing;
    3167 "array_remove" (AnyCompatibleArray, AnyCompatible) -> AnyCompatibleArray, called Immutable, Missing;
    3168 "array_replace" (AnyCompatibleArray, AnyCompatible, AnyCompatible) -> AnyCompatibleArray, called Immutable, Missing;
    384 "array_to_string" (AnyArray, Text, Text) -> Text, called Stable, Missing;
    395 "array_to_string" (AnyArray, Text) -> Text, strict Stable, Missing;
    2092 "array_upper" (AnyArray, Int4) -> Int4, strict Immutable, Missing;
    2749 "arraycontained" (AnyArray, AnyArray) -> Bool, strict Immutable, Missing;
    2748 "arraycontains" (AnyArray, AnyArray) -> Bool, strict Immutable, Missing;
    2747 "arrayoverlap" (AnyArray, AnyArray) -> Bool, strict Immutable, Missing;
    3179 "cardinality" (AnyArray) -> Int4, strict Immutable, Missing;
    3528 "enum_first" (AnyEnum) -> AnyEnum, called Stable, Missing;
    3529 "enum_last" (AnyEnum) -> AnyEnum, called Stable, Missing;
    3530 "enum_range" (AnyEnum, AnyEnum) -> AnyArray, called Stable, Missing;
    3531 "enum_range" (AnyEnum) -> AnyArray, called Stable, Missing;
    1191 "generate_subscripts" (AnyArray, Int4, Bool) -> Int4, strict Immutable, Set;
    1192 "generate_subscripts" (AnyArray, Int4) -> Int4, strict Immutable, Set;
    376 "string_to_array" (Text, Text, Text) -> TextArray, called Immutable, Missing;
    394 "string_to_array" (Text, Text) -> TextArray, called Immutable, Missing;
    6160 "string_to_table" (Text, Text) -> Text, called Immutable, Set;
    6161 "string_to_table" (Text, Text, Text) -> Text, called Immutable, Set;
    6172 "trim_array" (AnyArray, Int4) -> AnyArray, strict Immutable, Missing;
    2331 "unnest" (AnyArray) -> AnyElement, strict Immutable, Set;
}
