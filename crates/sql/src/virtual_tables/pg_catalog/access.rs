//! Access methods: pg_am, pg_opclass, pg_opfamily, pg_amop, pg_amproc. Indexes are ordered by key, which PostgreSQL calls btree.

use types::Datum;
use types::descriptor::Oid;

use super::btree::{CLASSES, COMPARISONS, FAMILIES, OPERATORS};
use super::class::{BTREE, HEAP};
use super::functions::runnable;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::BOOTSTRAP_ROLE;
use crate::virtual_tables::shape::*;

table! {
    PgAm: 2601 pg_catalog.pg_am {
        oid: OID, amname: NAME, amhandler: REGPROC, amtype: CHAR,
    }
}

table! {
    PgOpclass: 2616 pg_catalog.pg_opclass {
        oid: OID, opcmethod: OID, opcname: NAME, opcnamespace: OID, opcowner: OID, opcfamily: OID,
        opcintype: OID, opcdefault: BOOL, opckeytype: OID,
    }
}

table! {
    PgOpfamily: 2753 pg_catalog.pg_opfamily {
        oid: OID, opfmethod: OID, opfname: NAME, opfnamespace: OID, opfowner: OID,
    }
}

table! {
    PgAmop: 2602 pg_catalog.pg_amop {
        oid: OID, amopfamily: OID, amoplefttype: OID, amoprighttype: OID, amopstrategy: INT2,
        amoppurpose: CHAR, amopopr: OID, amopmethod: OID, amopsortfamily: OID,
    }
}

table! {
    PgAmproc: 2603 pg_catalog.pg_amproc {
        oid: OID, amprocfamily: OID, amproclefttype: OID, amprocrighttype: OID, amprocnum: INT2,
        amproc: REGPROC,
    }
}

pub static TABLES: &[Definition] = &[
    PgAm::definition(Rows::Catalog(|_, _| values(methods()))),
    PgOpclass::definition(Rows::Catalog(|_, _| values(classes()))),
    PgOpfamily::definition(Rows::Catalog(|_, _| values(families()))),
    PgAmop::definition(Rows::Catalog(|_, _| values(class_operators()))),
    PgAmproc::definition(Rows::Catalog(|_, _| values(comparisons()))),
];

fn methods() -> [PgAm; 2] {
    let row = |id, name: &str, handler, kind: &str| PgAm {
        oid: number(id),
        amname: text(name),
        amhandler: number(handler),
        amtype: text(kind),
    };
    [row(HEAP, "heap", 3, "t"), row(BTREE, "btree", 330, "i")]
}

fn classes() -> impl Iterator<Item = PgOpclass> {
    CLASSES.iter().map(|class| PgOpclass {
        oid: number(class.oid),
        opcmethod: number(BTREE),
        opcname: text(class.name),
        opcnamespace: number(super::PG_CATALOG),
        opcowner: oid(BOOTSTRAP_ROLE),
        opcfamily: number(class.family),
        opcintype: number(class.input),
        opcdefault: boolean(class.default),
        opckeytype: number(class.key),
    })
}

fn families() -> impl Iterator<Item = PgOpfamily> {
    FAMILIES.iter().map(|(id, name)| PgOpfamily {
        oid: number(*id),
        opfmethod: number(BTREE),
        opfname: text(name),
        opfnamespace: number(super::PG_CATALOG),
        opfowner: oid(BOOTSTRAP_ROLE),
    })
}

fn class_operators() -> Vec<PgAmop> {
    let mut rows = Vec::new();
    for (family, left, right, operators) in OPERATORS {
        for (strategy, (id, operator)) in (1..).zip(operators) {
            let found = expr::catalogue().operator(*operator);
            if found.is_none_or(|operator| runnable(Oid(operator.function_oid)).is_none()) {
                continue;
            }
            rows.push(PgAmop {
                oid: number(*id),
                amopfamily: number(*family),
                amoplefttype: number(*left),
                amoprighttype: number(*right),
                amopstrategy: Datum::Int2(strategy),
                amoppurpose: text("s"),
                amopopr: number(*operator),
                amopmethod: number(BTREE),
                amopsortfamily: number(0),
            });
        }
    }
    rows
}

fn comparisons() -> impl Iterator<Item = PgAmproc> {
    COMPARISONS.iter().map(|(id, family, left, right, function)| PgAmproc {
        oid: number(*id),
        amprocfamily: number(*family),
        amproclefttype: number(*left),
        amprocrighttype: number(*right),
        amprocnum: Datum::Int2(1),
        amproc: number(*function),
    })
}
