//! Window functions: rows of pg_proc.

use super::functions;
use super::prelude::*;

functions! {
    3104 "cume_dist" () -> Float8, called Immutable, Window;
    3102 "dense_rank" () -> Int8, called Immutable, Window;
    3112 "first_value" (AnyElement) -> AnyElement, strict Immutable, Window;
    3106 "lag" (AnyElement) -> AnyElement, strict Immutable, Window;
    3107 "lag" (AnyElement, Int4) -> AnyElement, strict Immutable, Window;
    3108 "lag" (AnyCompatible, Int4, AnyCompatible) -> AnyCompatible, strict Immutable, Window;
    3113 "last_value" (AnyElement) -> AnyElement, strict Immutable, Window;
    3109 "lead" (AnyElement) -> AnyElement, strict Immutable, Window;
    3110 "lead" (AnyElement, Int4) -> AnyElement, strict Immutable, Window;
    3111 "lead" (AnyCompatible, Int4, AnyCompatible) -> AnyCompatible, strict Immutable, Window;
    3114 "nth_value" (AnyElement, Int4) -> AnyElement, strict Immutable, Window;
    3105 "ntile" (Int4) -> Int4, strict Immutable, Window;
    3103 "percent_rank" () -> Float8, called Immutable, Window;
    3101 "rank" () -> Int8, called Immutable, Window;
    3100 "row_number" () -> Int8, called Immutable, Window;
}
