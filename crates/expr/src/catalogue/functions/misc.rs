//! What fits nowhere else: oid, xid, pg_lsn, uuid ...: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::{math, misc, string};

functions! {
    2321 "md5" (Bytea) -> Text, strict Immutable, Scalar(string::md5_bytea);
    440 "num_nonnulls" (Any) variadic true -> Int4, called Immutable, Scalar(misc::pg_num_nonnulls);
    438 "num_nulls" (Any) variadic true -> Int4, called Immutable, Scalar(misc::pg_num_nulls);
    5023 "numeric_pl_pg_lsn" (Numeric, PgLsn) -> PgLsn, strict Immutable, Scalar(math::sql_numeric_pl_pg_lsn_numeric_pglsn);
    3218 "width_bucket" (AnyCompatible, AnyCompatibleArray) -> Int4, strict Immutable, Scalar(misc::width_bucket_array);
}
