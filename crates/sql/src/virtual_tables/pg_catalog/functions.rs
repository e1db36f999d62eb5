//! pg_proc and pg_aggregate: the function catalogue of `expr`, and the functions that the system calls itself.

use expr::catalogue::aggregates::{AggregateKind, AggregateRow, aggregate_row, aggregate_rows};
use expr::{FunctionKind, FunctionRef, Volatility};
use types::descriptor::{FunctionDescriptor, FunctionParameterMode, FunctionVolatility, Oid};
use types::{DataType, Datum};

use super::internal_functions::{INTERNAL_FUNCTIONS, InternalFunction};
use super::schema::{INTERNAL_LANGUAGE, SQL_LANGUAGE};
use crate::catalog_functions::privileges::acl_items;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::{BOOTSTRAP_ROLE, Picture, SYSTEM_SCHEMAS};
use crate::virtual_tables::shape::*;

table! {
    PgProc: 1255 pg_catalog.pg_proc {
        oid: key(OID), proname: NAME, pronamespace: OID, proowner: OID, prolang: OID, procost: FLOAT4,
        prorows: FLOAT4, provariadic: OID, prosupport: REGPROC, prokind: CHAR, prosecdef: BOOL,
        proleakproof: BOOL, proisstrict: BOOL, proretset: BOOL, provolatile: CHAR, proparallel: CHAR,
        pronargs: INT2, pronargdefaults: INT2, prorettype: OID, proargtypes: OIDVECTOR,
        proallargtypes: nullable(OIDS), proargmodes: nullable(CHARS), proargnames: nullable(TEXTS),
        proargdefaults: nullable(NODE_TREE), protrftypes: nullable(OIDS), prosrc: TEXT,
        probin: nullable(TEXT), prosqlbody: nullable(NODE_TREE), proconfig: nullable(TEXTS),
        proacl: nullable(ACLITEMS),
    }
}

table! {
    PgAggregate: 2600 pg_catalog.pg_aggregate {
        aggfnoid: REGPROC, aggkind: CHAR, aggnumdirectargs: INT2, aggtransfn: REGPROC, aggfinalfn: REGPROC,
        aggcombinefn: REGPROC, aggserialfn: REGPROC, aggdeserialfn: REGPROC, aggmtransfn: REGPROC,
        aggminvtransfn: REGPROC, aggmfinalfn: REGPROC, aggfinalextra: BOOL, aggmfinalextra: BOOL,
        aggfinalmodify: CHAR, aggmfinalmodify: CHAR, aggsortop: OID, aggtranstype: OID, aggtransspace: INT4,
        aggmtranstype: OID, aggmtransspace: INT4, agginitval: nullable(TEXT), aggminitval: nullable(TEXT),
    }
}

pub static TABLES: &[Definition] = &[
    PgProc::definition(Rows::Catalog(|picture, wanted| values(functions(picture, wanted)))),
    PgAggregate::definition(Rows::Catalog(|_, _| values(aggregate_rows().iter().filter_map(aggregate)))),
];

fn functions(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgProc> {
    if let Some(id) = wanted.oid("oid") {
        if let Some(function) = picture.function(id) {
            return vec![user_function(picture, function)];
        }
        let internal = super::internal_functions::internal_function(id.0).map(internal_function);
        return internal.or_else(|| runnable(id).map(function)).into_iter().collect();
    }
    let listed = expr::catalogue().functions().map(function);
    let built_in = listed.chain(INTERNAL_FUNCTIONS.iter().map(internal_function));
    built_in.chain(picture.functions().map(|function| user_function(picture, function))).collect()
}

/// A function of the catalogue that is built here.
pub fn runnable(id: Oid) -> Option<FunctionRef> {
    let function = expr::catalogue().function(id.0)?;
    (!matches!(function.kind, FunctionKind::Missing)).then_some(function)
}

/// The schema of a function: information_schema has a few.
pub fn function_schema(name: &str) -> Oid {
    let [pg_catalog, information_schema, _] = SYSTEM_SCHEMAS;
    if name.starts_with("_pg_") { information_schema.0 } else { pg_catalog.0 }
}

/// pg_proc.prokind
pub fn kind_code(function: FunctionRef) -> &'static str {
    match function.kind {
        FunctionKind::Aggregate => "a",
        FunctionKind::Window => "w",
        _ => "f",
    }
}

/// pg_proc.provolatile
pub fn volatility_code(volatility: Volatility) -> &'static str {
    match volatility {
        Volatility::Immutable => "i",
        Volatility::Stable => "s",
        Volatility::Volatile => "v",
    }
}

/// The type of one of the repeated arguments: pg_proc.provariadic.
fn variadic_element(function: FunctionRef) -> u32 {
    match function.arguments.last() {
        Some(last) if function.variadic => last.element().unwrap_or(*last).oid(),
        _ => 0,
    }
}

fn function(function: FunctionRef) -> PgProc {
    let returns_set = matches!(function.kind, FunctionKind::Set);
    let modes = function.variadic.then(|| {
        let plain = function.arguments.len().saturating_sub(1);
        let modes = std::iter::repeat_n("i", plain).chain(["v"]).map(text).collect();
        array_of(DataType::InternalChar, modes)
    });
    let types = || function.arguments.iter().map(|argument| argument.oid());
    PgProc {
        oid: number(function.oid),
        proname: text(function.name),
        pronamespace: oid(function_schema(function.name)),
        prorows: Datum::Float4(if returns_set { 1000.0 } else { 0.0 }),
        provariadic: number(variadic_element(function)),
        prokind: text(kind_code(function)),
        proisstrict: boolean(function.strict),
        proretset: boolean(returns_set),
        provolatile: text(volatility_code(function.volatility)),
        pronargs: int2(function.arguments.len()),
        pronargdefaults: int2(usize::from(function.optional)),
        prorettype: number(function.result.oid()),
        proargtypes: oidvector(types()),
        proallargtypes: if function.variadic { oids(types()) } else { Datum::Null },
        proargmodes: modes.unwrap_or(Datum::Null),
        prosrc: text(function.name),
        ..common()
    }
}

fn internal_function(function: &InternalFunction) -> PgProc {
    PgProc {
        oid: number(function.oid),
        proname: text(function.name),
        pronamespace: number(super::PG_CATALOG),
        prorows: Datum::Float4(0.0),
        provariadic: number(0),
        prokind: text("f"),
        proisstrict: boolean(function.strict),
        proretset: boolean(false),
        provolatile: text(function.volatility),
        pronargs: int2(function.arguments.len()),
        pronargdefaults: int2(0),
        prorettype: number(function.result),
        proargtypes: oidvector(function.arguments.iter().copied()),
        prosrc: text(function.name),
        ..common()
    }
}

fn user_function(picture: &Picture<'_>, function: &FunctionDescriptor) -> PgProc {
    use FunctionParameterMode::{In, InOut, Out, Table, Variadic};
    let letter = |mode| match mode {
        In => "i",
        Out => "o",
        InOut => "b",
        Variadic => "v",
        Table => "t",
    };
    let all = &function.parameters;
    let plain = all.iter().all(|parameter| parameter.mode == In);
    let named = all.iter().any(|parameter| parameter.name.is_some());
    let names = all.iter().map(|parameter| text(parameter.name.as_deref().unwrap_or(""))).collect();
    let modes = all.iter().map(|parameter| text(letter(parameter.mode))).collect();
    let variadic = all.iter().find(|parameter| parameter.mode == Variadic);
    PgProc {
        oid: oid(function.id),
        proname: text(&function.name),
        pronamespace: oid(function.schema),
        proowner: oid(picture.role_id(&function.owner)),
        prolang: number(SQL_LANGUAGE),
        procost: Datum::Float4(100.0),
        prorows: Datum::Float4(if function.returns_set { 1000.0 } else { 0.0 }),
        provariadic: number(variadic.map_or(0, |parameter| {
            let data_type = parameter.column_type.data_type;
            data_type.element().unwrap_or(data_type).oid()
        })),
        prokind: text(if function.procedure { "p" } else { "f" }),
        prosecdef: boolean(function.security_definer),
        proleakproof: boolean(function.leakproof),
        proisstrict: boolean(function.strict),
        proretset: boolean(function.returns_set),
        provolatile: text(match function.volatility {
            FunctionVolatility::Immutable => "i",
            FunctionVolatility::Stable => "s",
            FunctionVolatility::Volatile => "v",
        }),
        proparallel: text("u"),
        pronargs: int2(function.inputs().count()),
        pronargdefaults: int2(function.inputs().filter(|parameter| parameter.default.is_some()).count()),
        prorettype: number(function.result.data_type.oid()),
        proargtypes: oidvector(function.inputs().map(|parameter| parameter.column_type.data_type.oid())),
        proallargtypes: if plain {
            Datum::Null
        } else {
            oids(all.iter().map(|parameter| parameter.column_type.data_type.oid()))
        },
        proargmodes: if plain { Datum::Null } else { array_of(DataType::InternalChar, modes) },
        proargnames: if named { array_of(DataType::Text, names) } else { Datum::Null },
        prosrc: text(&function.body),
        proacl: acl_items(picture, &function.acl),
        ..common()
    }
}

/// What is the same for all functions.
fn common() -> PgProc {
    PgProc {
        proowner: oid(BOOTSTRAP_ROLE),
        prolang: number(INTERNAL_LANGUAGE),
        procost: Datum::Float4(1.0),
        prosupport: number(0),
        prosecdef: boolean(false),
        proleakproof: boolean(false),
        proparallel: text("s"),
        ..PgProc::default()
    }
}

/// Transition functions are not functions of the catalogue here: those columns show 0.
fn aggregate(row: &AggregateRow) -> Option<PgAggregate> {
    let function = expr::catalogue().function(row.function_oid)?;
    if matches!(function.kind, FunctionKind::Missing) {
        return None;
    }
    Some(PgAggregate {
        aggfnoid: number(row.function_oid),
        aggkind: text(match row.kind {
            AggregateKind::Normal => "n",
            AggregateKind::OrderedSet => "o",
            AggregateKind::HypotheticalSet => "h",
        }),
        aggnumdirectargs: Datum::Int2(row.direct_arguments),
        aggtransfn: number(0),
        aggfinalfn: number(0),
        aggcombinefn: number(0),
        aggserialfn: number(0),
        aggdeserialfn: number(0),
        aggmtransfn: number(0),
        aggminvtransfn: number(0),
        aggmfinalfn: number(0),
        aggfinalextra: boolean(false),
        aggmfinalextra: boolean(false),
        aggfinalmodify: text("r"),
        aggmfinalmodify: text("r"),
        aggsortop: number(row.sort_operator_oid),
        aggtranstype: number(row.transition_type_oid),
        aggtransspace: Datum::Int4(0),
        aggmtranstype: number(0),
        aggmtransspace: Datum::Int4(0),
        agginitval: Datum::Null,
        aggminitval: Datum::Null,
    })
}

/// How a function's arguments are listed: `integer, VARIADIC text[]`; an ordered-set aggregate's with ORDER BY between.
pub fn argument_list(function: FunctionRef) -> String {
    let last = function.arguments.len().saturating_sub(1);
    let argument = |(position, data_type): (usize, &DataType)| {
        let variadic = function.variadic && position == last;
        let data_type = data_type.sql_name();
        if variadic { format!("VARIADIC {data_type}") } else { data_type }
    };
    let arguments: Vec<String> = function.arguments.iter().enumerate().map(argument).collect();
    let direct = aggregate_row(function).filter(|row| row.kind != AggregateKind::Normal);
    match direct {
        None => arguments.join(", "),
        Some(row) if row.direct_arguments < 0 || function.variadic => {
            format!("{0} ORDER BY {0}", arguments.join(", "))
        }
        Some(row) => {
            let (direct, ordered) = arguments.split_at((row.direct_arguments as usize).min(arguments.len()));
            let space = if direct.is_empty() { "" } else { " " };
            format!("{}{space}ORDER BY {}", direct.join(", "), ordered.join(", "))
        }
    }
}
