//! pg_operator and pg_cast: rows of `expr`'s catalogue whose functions are built.

use expr::catalogue::{CastRow, CastRowMethod};
use expr::{CastContext, Operator};
use types::DataType;
use types::descriptor::Oid;

use super::functions::runnable;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::BOOTSTRAP_ROLE;
use crate::virtual_tables::shape::*;

table! {
    PgOperator: 2617 pg_catalog.pg_operator {
        oid: OID, oprname: NAME, oprnamespace: OID, oprowner: OID, oprkind: CHAR, oprcanmerge: BOOL,
        oprcanhash: BOOL, oprleft: OID, oprright: OID, oprresult: OID, oprcom: OID, oprnegate: OID,
        oprcode: REGPROC, oprrest: REGPROC, oprjoin: REGPROC,
    }
}

table! {
    PgCast: 2605 pg_catalog.pg_cast {
        oid: OID, castsource: OID, casttarget: OID, castfunc: OID, castcontext: CHAR, castmethod: CHAR,
    }
}

pub static TABLES: &[Definition] = &[
    PgOperator::definition(Rows::Catalog(|_, _| values(operators().map(operator)))),
    PgCast::definition(Rows::Catalog(|_, _| values(expr::catalogue().casts().iter().filter_map(cast)))),
];

/// Operators that run here.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    expr::catalogue().operators().iter().filter(|operator| runnable(Oid(operator.function_oid)).is_some())
}

/// Whether an operator that another row names is listed itself.
fn listed(id: u32) -> u32 {
    let operator = expr::catalogue().operator(id);
    operator
        .filter(|operator| runnable(Oid(operator.function_oid)).is_some())
        .map_or(0, |operator| operator.oid)
}

fn operator(operator: &Operator) -> PgOperator {
    PgOperator {
        oid: number(operator.oid),
        oprname: text(operator.name),
        oprnamespace: number(super::PG_CATALOG),
        oprowner: oid(BOOTSTRAP_ROLE),
        oprkind: text(if operator.left.is_some() { "b" } else { "l" }),
        oprcanmerge: boolean(operator.merges),
        oprcanhash: boolean(operator.hashes),
        oprleft: number(operator.left.map_or(0, DataType::oid)),
        oprright: number(operator.right.oid()),
        oprresult: number(operator.result.oid()),
        oprcom: number(listed(operator.commutator)),
        oprnegate: number(listed(operator.negator)),
        oprcode: number(operator.function_oid),
        oprrest: number(0),
        oprjoin: number(0),
    }
}

fn cast(row: &CastRow) -> Option<PgCast> {
    let (method, function) = match row.method {
        CastRowMethod::Function(id) => ("f", runnable(Oid(id))?.oid),
        CastRowMethod::Binary => ("b", 0),
        CastRowMethod::InOut => ("i", 0),
    };
    Some(PgCast {
        oid: number(row.oid),
        castsource: number(row.from.oid()),
        casttarget: number(row.to.oid()),
        castfunc: number(function),
        castcontext: text(match row.context {
            CastContext::Implicit => "i",
            CastContext::Assignment => "a",
            CastContext::Explicit => "e",
        }),
        castmethod: text(method),
    })
}
