//! Functions that wait for something outside or change session state: executed by an operator: rows of pg_proc.

use super::functions;
use super::prelude::*;

functions! {
    1575 "currval" (Regclass) -> Int8, strict Volatile, Deferred;
    2559 "lastval" () -> Int8, strict Volatile, Deferred;
    1574 "nextval" (Regclass) -> Int8, strict Volatile, Deferred;
    2880 "pg_advisory_lock" (Int8) -> Void, strict Volatile, Deferred;
    2886 "pg_advisory_lock" (Int4, Int4) -> Void, strict Volatile, Deferred;
    2881 "pg_advisory_lock_shared" (Int8) -> Void, strict Volatile, Deferred;
    2887 "pg_advisory_lock_shared" (Int4, Int4) -> Void, strict Volatile, Deferred;
    2884 "pg_advisory_unlock" (Int8) -> Bool, strict Volatile, Deferred;
    2890 "pg_advisory_unlock" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    2892 "pg_advisory_unlock_all" () -> Void, strict Volatile, Deferred;
    2885 "pg_advisory_unlock_shared" (Int8) -> Bool, strict Volatile, Deferred;
    2891 "pg_advisory_unlock_shared" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    3089 "pg_advisory_xact_lock" (Int8) -> Void, strict Volatile, Deferred;
    3093 "pg_advisory_xact_lock" (Int4, Int4) -> Void, strict Volatile, Deferred;
    3090 "pg_advisory_xact_lock_shared" (Int8) -> Void, strict Volatile, Deferred;
    3094 "pg_advisory_xact_lock_shared" (Int4, Int4) -> Void, strict Volatile, Deferred;
    2171 "pg_cancel_backend" (Int4) -> Bool, strict Volatile, Deferred;
    5059 "pg_current_xact_id" () -> Xid8, strict Stable, Deferred;
    5060 "pg_current_xact_id_if_assigned" () -> Xid8, strict Stable, Deferred;
    2168 "pg_database_size" (Name) -> Int8, strict Volatile, Deferred;
    2324 "pg_database_size" (Oid) -> Int8, strict Volatile, Deferred;
    2998 "pg_indexes_size" (Regclass) -> Int8, strict Volatile, Deferred;
    3296 "pg_notification_queue_usage" () -> Float8, strict Volatile, Deferred;
    3036 "pg_notify" (Text, Text) -> Void, called Volatile, Deferred;
    2325 "pg_relation_size" (Regclass) -> Int8, strict Volatile, Deferred;
    2332 "pg_relation_size" (Regclass, Text) -> Int8, strict Volatile, Deferred;
    2626 "pg_sleep" (Float8) -> Void, strict Volatile, Deferred;
    3935 "pg_sleep_for" (Interval) -> Void, strict Volatile, Deferred;
    3936 "pg_sleep_until" (TimestampTz) -> Void, strict Volatile, Deferred;
    2997 "pg_table_size" (Regclass) -> Int8, strict Volatile, Deferred;
    2322 "pg_tablespace_size" (Oid) -> Int8, strict Volatile, Deferred;
    2323 "pg_tablespace_size" (Name) -> Int8, strict Volatile, Deferred;
    2096 "pg_terminate_backend" (Int4, Int8; optional 1) -> Bool, strict Volatile, Deferred;
    2286 "pg_total_relation_size" (Regclass) -> Int8, strict Volatile, Deferred;
    2882 "pg_try_advisory_lock" (Int8) -> Bool, strict Volatile, Deferred;
    2888 "pg_try_advisory_lock" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    2883 "pg_try_advisory_lock_shared" (Int8) -> Bool, strict Volatile, Deferred;
    2889 "pg_try_advisory_lock_shared" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    3091 "pg_try_advisory_xact_lock" (Int8) -> Bool, strict Volatile, Deferred;
    3095 "pg_try_advisory_xact_lock" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    3092 "pg_try_advisory_xact_lock_shared" (Int8) -> Bool, strict Volatile, Deferred;
    3096 "pg_try_advisory_xact_lock_shared" (Int4, Int4) -> Bool, strict Volatile, Deferred;
    5066 "pg_xact_status" (Xid8) -> Text, strict Volatile, Deferred;
    2078 "set_config" (Text, Text, Bool) -> Text, called Volatile, Deferred;
    1576 "setval" (Regclass, Int8) -> Int8, strict Volatile, Deferred;
    1765 "setval" (Regclass, Int8, Bool) -> Int8, strict Volatile, Deferred;
    2943 "txid_current" () -> Int8, strict Stable, Deferred;
    3348 "txid_current_if_assigned" () -> Int8, strict Stable, Deferred;
    3360 "txid_status" (Int8) -> Text, strict Volatile, Deferred;
}
