//! to_char and to_number: rows of pg_proc.

use super::functions;
use super::prelude::*;

functions! {
    1772 "to_char" (Numeric, Text) -> Text, strict Stable, Missing;
    1773 "to_char" (Int4, Text) -> Text, strict Stable, Missing;
    1774 "to_char" (Int8, Text) -> Text, strict Stable, Missing;
    1775 "to_char" (Float4, Text) -> Text, strict Stable, Missing;
    1776 "to_char" (Float8, Text) -> Text, strict Stable, Missing;
    1777 "to_number" (Text, Text) -> Numeric, strict Stable, Missing;
}
