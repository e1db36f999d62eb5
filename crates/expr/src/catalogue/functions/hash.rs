//! Hash functions of the hash operator classes: rows of pg_proc.

use super::functions;
use super::prelude::*;
use crate::functions::hash;

functions! {
    626 "hash_array" (AnyArray) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    782 "hash_array_extended" (AnyArray, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    432 "hash_numeric" (Numeric) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    780 "hash_numeric_extended" (Numeric, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    6192 "hash_record" (Record) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    6193 "hash_record_extended" (Record, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    1080 "hashbpchar" (Bpchar) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    972 "hashbpcharextended" (Bpchar, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    454 "hashchar" (InternalChar) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    446 "hashcharextended" (InternalChar, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    3515 "hashenum" (AnyEnum) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3414 "hashenumextended" (AnyEnum, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    451 "hashfloat4" (Float4) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    443 "hashfloat4extended" (Float4, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    452 "hashfloat8" (Float8) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    444 "hashfloat8extended" (Float8, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    449 "hashint2" (Int2) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    441 "hashint2extended" (Int2, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    450 "hashint4" (Int4) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    425 "hashint4extended" (Int4, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    949 "hashint8" (Int8) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    442 "hashint8extended" (Int8, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    455 "hashname" (Name) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    447 "hashnameextended" (Name, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    453 "hashoid" (Oid) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    445 "hashoidextended" (Oid, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    457 "hashoidvector" (OidVector) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    776 "hashoidvectorextended" (OidVector, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    400 "hashtext" (Text) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    448 "hashtextextended" (Text, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    2233 "hashtid" (Tid) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    2234 "hashtidextended" (Tid, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    1697 "interval_hash" (Interval) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3418 "interval_hash_extended" (Interval, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    3252 "pg_lsn_hash" (PgLsn) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3413 "pg_lsn_hash_extended" (PgLsn, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    1688 "time_hash" (Time) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3409 "time_hash_extended" (Time, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    2039 "timestamp_hash" (Timestamp) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3411 "timestamp_hash_extended" (Timestamp, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    1696 "timetz_hash" (TimeTz) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3410 "timetz_hash_extended" (TimeTz, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
    2963 "uuid_hash" (Uuid) -> Int4, strict Immutable, Scalar(hash::hash_plain);
    3412 "uuid_hash_extended" (Uuid, Int8) -> Int8, strict Immutable, Scalar(hash::hash_extended);
}
