//! to_char and to_number: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::format;

functions! {
    1772 "to_char" (Numeric, Text) -> Text, strict Stable, Scalar(format::numeric_to_char);
    1773 "to_char" (Int4, Text) -> Text, strict Stable, Scalar(format::int4_to_char);
    1774 "to_char" (Int8, Text) -> Text, strict Stable, Scalar(format::int8_to_char);
    1775 "to_char" (Float4, Text) -> Text, strict Stable, Scalar(format::float4_to_char);
    1776 "to_char" (Float8, Text) -> Text, strict Stable, Scalar(format::float8_to_char);
    1777 "to_number" (Text, Text) -> Numeric, strict Stable, Scalar(format::numeric_to_number);
}
