//! Functions that the system calls itself and no expression can: input and output of types, comparison for indexes. pg_type,
//! pg_amproc and others name them.

/// A row of pg_proc.
pub struct InternalFunction {
    pub oid: u32,
    pub name: &'static str,
    pub arguments: &'static [u32],
    pub result: u32,
    pub volatility: &'static str,
    pub strict: bool,
}

pub fn internal_function(oid: u32) -> Option<&'static InternalFunction> {
    let position = INTERNAL_FUNCTIONS.binary_search_by_key(&oid, |row| row.oid).ok()?;
    Some(&INTERNAL_FUNCTIONS[position])
}

macro_rules! internal_functions {
    ($($oid:literal $name:literal $arguments:expr, $result:literal $volatility:literal $strict:literal;)*) => {
        /// By oid.
        pub static INTERNAL_FUNCTIONS: &[InternalFunction] = &[$(InternalFunction {
            oid: $oid,
            name: $name,
            arguments: &$arguments,
            result: $result,
            volatility: $volatility,
            strict: $strict,
        },)*];
    };
}

//  oid, name, argument types, result type, volatility, strict
internal_functions! {
    3 "heap_tableam_handler" [2281], 269 "v" true;
    31 "byteaout" [17], 2275 "i" true;
    33 "charout" [18], 2275 "i" true;
    34 "namein" [2275], 19 "i" true;
    35 "nameout" [19], 2275 "i" true;
    38 "int2in" [2275], 21 "i" true;
    39 "int2out" [21], 2275 "i" true;
    40 "int2vectorin" [2275], 22 "i" true;
    41 "int2vectorout" [22], 2275 "i" true;
    42 "int4in" [2275], 23 "i" true;
    43 "int4out" [23], 2275 "i" true;
    44 "regprocin" [2275], 24 "s" true;
    45 "regprocout" [24], 2275 "s" true;
    46 "textin" [2275], 25 "i" true;
    47 "textout" [25], 2275 "i" true;
    48 "tidin" [2275], 27 "i" true;
    49 "tidout" [27], 2275 "i" true;
    50 "xidin" [2275], 28 "i" true;
    51 "xidout" [28], 2275 "i" true;
    52 "cidin" [2275], 29 "i" true;
    53 "cidout" [29], 2275 "i" true;
    54 "oidvectorin" [2275], 30 "i" true;
    55 "oidvectorout" [30], 2275 "i" true;
    109 "unknownin" [2275], 705 "i" true;
    110 "unknownout" [705], 2275 "i" true;
    195 "pg_node_tree_in" [2275], 194 "i" true;
    196 "pg_node_tree_out" [194], 2275 "i" true;
    197 "pg_node_tree_recv" [2281], 194 "s" true;
    198 "pg_node_tree_send" [194], 17 "s" true;
    200 "float4in" [2275], 700 "i" true;
    201 "float4out" [700], 2275 "i" true;
    214 "float8in" [2275], 701 "i" true;
    215 "float8out" [701], 2275 "i" true;
    246 "btnametextcmp" [19, 25], 23 "i" true;
    253 "bttextnamecmp" [25, 19], 23 "i" true;
    267 "table_am_handler_in" [2275], 269 "i" false;
    268 "table_am_handler_out" [269], 2275 "i" true;
    321 "json_in" [2275], 114 "i" true;
    322 "json_out" [114], 2275 "i" true;
    323 "json_recv" [2281], 114 "i" true;
    324 "json_send" [114], 17 "i" true;
    326 "index_am_handler_in" [2275], 325 "i" false;
    327 "index_am_handler_out" [325], 2275 "i" true;
    330 "bthandler" [2281], 325 "v" true;
    350 "btint2cmp" [21, 21], 23 "i" true;
    351 "btint4cmp" [23, 23], 23 "i" true;
    354 "btfloat4cmp" [700, 700], 23 "i" true;
    355 "btfloat8cmp" [701, 701], 23 "i" true;
    356 "btoidcmp" [26, 26], 23 "i" true;
    358 "btcharcmp" [18, 18], 23 "i" true;
    359 "btnamecmp" [19, 19], 23 "i" true;
    360 "bttextcmp" [25, 25], 23 "i" true;
    382 "btarraycmp" [2277, 2277], 23 "i" true;
    404 "btoidvectorcmp" [30, 30], 23 "i" true;
    460 "int8in" [2275], 20 "i" true;
    461 "int8out" [20], 2275 "i" true;
    750 "array_in" [2275, 26, 23], 2277 "s" true;
    751 "array_out" [2277], 2275 "s" true;
    842 "btint8cmp" [20, 20], 23 "i" true;
    910 "inet_in" [2275], 869 "i" true;
    911 "inet_out" [869], 2275 "i" true;
    926 "network_cmp" [869, 869], 23 "i" true;
    1031 "aclitemin" [2275], 1033 "s" true;
    1032 "aclitemout" [1033], 2275 "s" true;
    1044 "bpcharin" [2275, 26, 23], 1042 "i" true;
    1045 "bpcharout" [1042], 2275 "i" true;
    1046 "varcharin" [2275, 26, 23], 1043 "i" true;
    1047 "varcharout" [1043], 2275 "i" true;
    1078 "bpcharcmp" [1042, 1042], 23 "i" true;
    1084 "date_in" [2275], 1082 "s" true;
    1085 "date_out" [1082], 2275 "s" true;
    1092 "date_cmp" [1082, 1082], 23 "i" true;
    1107 "time_cmp" [1083, 1083], 23 "i" true;
    1143 "time_in" [2275, 26, 23], 1083 "s" true;
    1144 "time_out" [1083], 2275 "i" true;
    1150 "timestamptz_in" [2275, 26, 23], 1184 "s" true;
    1151 "timestamptz_out" [1184], 2275 "s" true;
    1160 "interval_in" [2275, 26, 23], 1186 "s" true;
    1161 "interval_out" [1186], 2275 "s" true;
    1242 "boolin" [2275], 16 "i" true;
    1243 "boolout" [16], 2275 "i" true;
    1244 "byteain" [2275], 17 "i" true;
    1245 "charin" [2275], 18 "i" true;
    1312 "timestamp_in" [2275, 26, 23], 1114 "s" true;
    1313 "timestamp_out" [1114], 2275 "s" true;
    1314 "timestamptz_cmp" [1184, 1184], 23 "i" true;
    1315 "interval_cmp" [1186, 1186], 23 "i" true;
    1350 "timetz_in" [2275, 26, 23], 1266 "s" true;
    1351 "timetz_out" [1266], 2275 "i" true;
    1358 "timetz_cmp" [1266, 1266], 23 "i" true;
    1564 "bit_in" [2275, 26, 23], 1560 "i" true;
    1565 "bit_out" [1560], 2275 "i" true;
    1579 "varbit_in" [2275, 26, 23], 1562 "i" true;
    1580 "varbit_out" [1562], 2275 "i" true;
    1596 "bitcmp" [1560, 1560], 23 "i" true;
    1672 "varbitcmp" [1562, 1562], 23 "i" true;
    1693 "btboolcmp" [16, 16], 23 "i" true;
    1701 "numeric_in" [2275, 26, 23], 1700 "i" true;
    1702 "numeric_out" [1700], 2275 "i" true;
    1769 "numeric_cmp" [1700, 1700], 23 "i" true;
    1798 "oidin" [2275], 26 "i" true;
    1799 "oidout" [26], 2275 "i" true;
    1954 "byteacmp" [17, 17], 23 "i" true;
    2045 "timestamp_cmp" [1114, 1114], 23 "i" true;
    2166 "bttext_pattern_cmp" [25, 25], 23 "i" true;
    2180 "btbpchar_pattern_cmp" [1042, 1042], 23 "i" true;
    2188 "btint48cmp" [23, 20], 23 "i" true;
    2189 "btint84cmp" [20, 23], 23 "i" true;
    2190 "btint24cmp" [21, 23], 23 "i" true;
    2191 "btint42cmp" [23, 21], 23 "i" true;
    2192 "btint28cmp" [21, 20], 23 "i" true;
    2193 "btint82cmp" [20, 21], 23 "i" true;
    2194 "btfloat48cmp" [700, 701], 23 "i" true;
    2195 "btfloat84cmp" [701, 700], 23 "i" true;
    2212 "regprocedurein" [2275], 2202 "s" true;
    2213 "regprocedureout" [2202], 2275 "s" true;
    2214 "regoperin" [2275], 2203 "s" true;
    2215 "regoperout" [2203], 2275 "s" true;
    2218 "regclassin" [2275], 2205 "s" true;
    2219 "regclassout" [2205], 2275 "s" true;
    2220 "regtypein" [2275], 2206 "s" true;
    2221 "regtypeout" [2206], 2275 "s" true;
    2290 "record_in" [2275, 26, 23], 2249 "s" true;
    2291 "record_out" [2249], 2275 "s" true;
    2292 "cstring_in" [2275], 2275 "i" true;
    2293 "cstring_out" [2275], 2275 "i" true;
    2294 "any_in" [2275], 2276 "i" true;
    2295 "any_out" [2276], 2275 "i" true;
    2296 "anyarray_in" [2275], 2277 "i" true;
    2297 "anyarray_out" [2277], 2275 "s" true;
    2298 "void_in" [2275], 2278 "i" true;
    2299 "void_out" [2278], 2275 "i" true;
    2300 "trigger_in" [2275], 2279 "i" false;
    2301 "trigger_out" [2279], 2275 "i" true;
    2304 "internal_in" [2275], 2281 "i" false;
    2305 "internal_out" [2281], 2275 "i" true;
    2312 "anyelement_in" [2275], 2283 "i" true;
    2313 "anyelement_out" [2283], 2275 "i" true;
    2344 "date_cmp_timestamp" [1082, 1114], 23 "i" true;
    2357 "date_cmp_timestamptz" [1082, 1184], 23 "s" true;
    2370 "timestamp_cmp_date" [1114, 1082], 23 "i" true;
    2383 "timestamptz_cmp_date" [1184, 1082], 23 "s" true;
    2400 "array_recv" [2281, 26, 23], 2277 "s" true;
    2401 "array_send" [2277], 17 "s" true;
    2402 "record_recv" [2281, 26, 23], 2249 "s" true;
    2403 "record_send" [2249], 17 "s" true;
    2404 "int2recv" [2281], 21 "i" true;
    2405 "int2send" [21], 17 "i" true;
    2406 "int4recv" [2281], 23 "i" true;
    2407 "int4send" [23], 17 "i" true;
    2408 "int8recv" [2281], 20 "i" true;
    2409 "int8send" [20], 17 "i" true;
    2410 "int2vectorrecv" [2281], 22 "i" true;
    2411 "int2vectorsend" [22], 17 "i" true;
    2412 "bytearecv" [2281], 17 "i" true;
    2413 "byteasend" [17], 17 "i" true;
    2414 "textrecv" [2281], 25 "s" true;
    2415 "textsend" [25], 17 "s" true;
    2416 "unknownrecv" [2281], 705 "i" true;
    2417 "unknownsend" [705], 17 "i" true;
    2418 "oidrecv" [2281], 26 "i" true;
    2419 "oidsend" [26], 17 "i" true;
    2420 "oidvectorrecv" [2281], 30 "i" true;
    2421 "oidvectorsend" [30], 17 "i" true;
    2422 "namerecv" [2281], 19 "s" true;
    2423 "namesend" [19], 17 "s" true;
    2424 "float4recv" [2281], 700 "i" true;
    2425 "float4send" [700], 17 "i" true;
    2426 "float8recv" [2281], 701 "i" true;
    2427 "float8send" [701], 17 "i" true;
    2430 "bpcharrecv" [2281, 26, 23], 1042 "s" true;
    2431 "bpcharsend" [1042], 17 "s" true;
    2432 "varcharrecv" [2281, 26, 23], 1043 "s" true;
    2433 "varcharsend" [1043], 17 "s" true;
    2434 "charrecv" [2281], 18 "i" true;
    2435 "charsend" [18], 17 "i" true;
    2436 "boolrecv" [2281], 16 "i" true;
    2437 "boolsend" [16], 17 "i" true;
    2438 "tidrecv" [2281], 27 "i" true;
    2439 "tidsend" [27], 17 "i" true;
    2440 "xidrecv" [2281], 28 "i" true;
    2441 "xidsend" [28], 17 "i" true;
    2442 "cidrecv" [2281], 29 "i" true;
    2443 "cidsend" [29], 17 "i" true;
    2444 "regprocrecv" [2281], 24 "i" true;
    2445 "regprocsend" [24], 17 "i" true;
    2446 "regprocedurerecv" [2281], 2202 "i" true;
    2447 "regproceduresend" [2202], 17 "i" true;
    2448 "regoperrecv" [2281], 2203 "i" true;
    2449 "regopersend" [2203], 17 "i" true;
    2452 "regclassrecv" [2281], 2205 "i" true;
    2453 "regclasssend" [2205], 17 "i" true;
    2454 "regtyperecv" [2281], 2206 "i" true;
    2455 "regtypesend" [2206], 17 "i" true;
    2456 "bit_recv" [2281, 26, 23], 1560 "i" true;
    2457 "bit_send" [1560], 17 "i" true;
    2458 "varbit_recv" [2281, 26, 23], 1562 "i" true;
    2459 "varbit_send" [1562], 17 "i" true;
    2460 "numeric_recv" [2281, 26, 23], 1700 "i" true;
    2461 "numeric_send" [1700], 17 "i" true;
    2468 "date_recv" [2281], 1082 "i" true;
    2469 "date_send" [1082], 17 "i" true;
    2470 "time_recv" [2281, 26, 23], 1083 "i" true;
    2471 "time_send" [1083], 17 "i" true;
    2472 "timetz_recv" [2281, 26, 23], 1266 "i" true;
    2473 "timetz_send" [1266], 17 "i" true;
    2474 "timestamp_recv" [2281, 26, 23], 1114 "i" true;
    2475 "timestamp_send" [1114], 17 "i" true;
    2476 "timestamptz_recv" [2281, 26, 23], 1184 "i" true;
    2477 "timestamptz_send" [1184], 17 "i" true;
    2478 "interval_recv" [2281, 26, 23], 1186 "i" true;
    2479 "interval_send" [1186], 17 "i" true;
    2496 "inet_recv" [2281], 869 "i" true;
    2497 "inet_send" [869], 17 "i" true;
    2500 "cstring_recv" [2281], 2275 "s" true;
    2501 "cstring_send" [2275], 17 "s" true;
    2502 "anyarray_recv" [2281], 2277 "s" true;
    2503 "anyarray_send" [2277], 17 "s" true;
    2526 "timestamp_cmp_timestamptz" [1114, 1184], 23 "s" true;
    2533 "timestamptz_cmp_timestamp" [1184, 1114], 23 "s" true;
    2777 "anynonarray_in" [2275], 2776 "i" true;
    2778 "anynonarray_out" [2776], 2275 "i" true;
    2794 "bttidcmp" [27, 27], 23 "i" true;
    2902 "varbittypmodin" [1263], 23 "i" true;
    2903 "intervaltypmodin" [1263], 23 "i" true;
    2904 "intervaltypmodout" [23], 2275 "i" true;
    2905 "timestamptypmodin" [1263], 23 "i" true;
    2906 "timestamptypmodout" [23], 2275 "i" true;
    2907 "timestamptztypmodin" [1263], 23 "i" true;
    2908 "timestamptztypmodout" [23], 2275 "i" true;
    2909 "timetypmodin" [1263], 23 "i" true;
    2910 "timetypmodout" [23], 2275 "i" true;
    2911 "timetztypmodin" [1263], 23 "i" true;
    2912 "timetztypmodout" [23], 2275 "i" true;
    2913 "bpchartypmodin" [1263], 23 "i" true;
    2914 "bpchartypmodout" [23], 2275 "i" true;
    2915 "varchartypmodin" [1263], 23 "i" true;
    2916 "varchartypmodout" [23], 2275 "i" true;
    2917 "numerictypmodin" [1263], 23 "i" true;
    2918 "numerictypmodout" [23], 2275 "i" true;
    2919 "bittypmodin" [1263], 23 "i" true;
    2920 "bittypmodout" [23], 2275 "i" true;
    2921 "varbittypmodout" [23], 2275 "i" true;
    2952 "uuid_in" [2275], 2950 "i" true;
    2953 "uuid_out" [2950], 2275 "i" true;
    2960 "uuid_cmp" [2950, 2950], 23 "i" true;
    2961 "uuid_recv" [2281], 2950 "i" true;
    2962 "uuid_send" [2950], 17 "i" true;
    2987 "btrecordcmp" [2249, 2249], 23 "i" true;
    3120 "void_recv" [2281], 2278 "i" true;
    3121 "void_send" [2278], 17 "i" true;
    3187 "btrecordimagecmp" [2249, 2249], 23 "i" true;
    3229 "pg_lsn_in" [2275], 3220 "i" true;
    3230 "pg_lsn_out" [3220], 2275 "i" true;
    3238 "pg_lsn_recv" [2281], 3220 "i" true;
    3239 "pg_lsn_send" [3220], 17 "i" true;
    3251 "pg_lsn_cmp" [3220, 3220], 23 "i" true;
    3504 "anyenum_in" [2275], 3500 "i" true;
    3505 "anyenum_out" [3500], 2275 "s" true;
    3514 "enum_cmp" [3500, 3500], 23 "i" true;
    3803 "jsonb_send" [3802], 17 "i" true;
    3804 "jsonb_out" [3802], 2275 "i" true;
    3805 "jsonb_recv" [2281], 3802 "i" true;
    3806 "jsonb_in" [2275], 3802 "i" true;
    3816 "array_typanalyze" [2281], 16 "s" true;
    4044 "jsonb_cmp" [3802, 3802], 23 "i" true;
    4084 "regnamespacein" [2275], 4089 "s" true;
    4085 "regnamespaceout" [4089], 2275 "s" true;
    4087 "regnamespacerecv" [2281], 4089 "i" true;
    4088 "regnamespacesend" [4089], 17 "i" true;
    4092 "regroleout" [4096], 2275 "s" true;
    4094 "regrolerecv" [2281], 4096 "i" true;
    4095 "regrolesend" [4096], 17 "i" true;
    4098 "regrolein" [2275], 4096 "s" true;
    5070 "xid8in" [2275], 5069 "i" true;
    5081 "xid8out" [5069], 2275 "i" true;
    5082 "xid8recv" [2281], 5069 "i" true;
    5083 "xid8send" [5069], 17 "i" true;
    5086 "anycompatible_in" [2275], 5077 "i" true;
    5087 "anycompatible_out" [5077], 2275 "i" true;
    5088 "anycompatiblearray_in" [2275], 5078 "i" true;
    5089 "anycompatiblearray_out" [5078], 2275 "s" true;
    5090 "anycompatiblearray_recv" [2281], 5078 "s" true;
    5091 "anycompatiblearray_send" [5078], 17 "s" true;
    5092 "anycompatiblenonarray_in" [2275], 5079 "i" true;
    5093 "anycompatiblenonarray_out" [5079], 2275 "i" true;
    5096 "xid8cmp" [5069, 5069], 23 "i" true;
    6098 "jsonb_subscript_handler" [2281], 2281 "i" true;
    6179 "array_subscript_handler" [2281], 2281 "i" true;
    6180 "raw_array_subscript_handler" [2281], 2281 "i" true;
}
