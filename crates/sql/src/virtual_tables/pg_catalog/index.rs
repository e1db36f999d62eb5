//! pg_index and pg_constraint.

use types::descriptor::{
    ColumnId, DomainCheck, ElementState, ForeignKey, ForeignKeyAction, TableDescriptor, TypeDescriptor,
};
use types::{DataType, Datum};

use super::btree::{class_named, default_class};
use super::builtin_types::builtin_type;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Constraint, Index};
use crate::virtual_tables::shape::*;

table! {
    PgIndex: 2610 pg_catalog.pg_index {
        indexrelid: key(OID), indrelid: key(OID), indnatts: INT2, indnkeyatts: INT2, indisunique: BOOL,
        indnullsnotdistinct: BOOL, indisprimary: BOOL, indisexclusion: BOOL, indimmediate: BOOL,
        indisclustered: BOOL, indisvalid: BOOL, indcheckxmin: BOOL, indisready: BOOL, indislive: BOOL,
        indisreplident: BOOL, indkey: INT2VECTOR, indcollation: OIDVECTOR, indclass: OIDVECTOR,
        indoption: INT2VECTOR, indexprs: nullable(NODE_TREE), indpred: nullable(NODE_TREE),
    }
}

table! {
    PgConstraint: 2606 pg_catalog.pg_constraint {
        oid: OID, conname: NAME, connamespace: OID, contype: CHAR, condeferrable: BOOL, condeferred: BOOL,
        convalidated: BOOL, conrelid: key(OID), contypid: OID, conindid: OID, conparentid: OID,
        confrelid: key(OID), confupdtype: CHAR, confdeltype: CHAR, confmatchtype: CHAR, conislocal: BOOL,
        coninhcount: INT4, connoinherit: BOOL, conkey: nullable(INT2S), confkey: nullable(INT2S),
        conpfeqop: nullable(OIDS), conppeqop: nullable(OIDS), conffeqop: nullable(OIDS),
        confdelsetcols: nullable(INT2S), conexclop: nullable(OIDS), conbin: nullable(NODE_TREE),
    }
}

pub static TABLES: &[Definition] = &[
    PgIndex::definition(Rows::Catalog(|picture, wanted| values(indexes(picture, wanted)))),
    PgConstraint::definition(Rows::Catalog(|picture, wanted| values(constraints(picture, wanted)))),
];

fn indexes(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgIndex> {
    let (table, id) = (wanted.oid("indrelid"), wanted.oid("indexrelid"));
    picture
        .indexes()
        .filter(|index| table.is_none_or(|table| index.table.id == table))
        .filter(|index| id.is_none_or(|id| index.index.id == id))
        .map(|index| index_row(&index))
        .collect()
}

fn index_row(row: &Index<'_>) -> PgIndex {
    let index = row.index;
    let key_type = |column: &types::descriptor::IndexColumn| data_type(row.table, column.column);
    let collation = |data_type: DataType| builtin_type(data_type.oid()).map_or(0, |row| row.collation);
    let option = |column: &types::descriptor::IndexColumn| {
        i16::from(column.descending) | i16::from(column.nulls_first) << 1
    };
    let public = index.state == ElementState::Public;
    PgIndex {
        indexrelid: oid(index.id),
        indrelid: oid(row.table.id),
        indnatts: int2(index.columns.len() + index.included.len()),
        indnkeyatts: int2(index.columns.len()),
        indisunique: boolean(index.unique),
        indnullsnotdistinct: boolean(index.nulls_not_distinct),
        indisprimary: boolean(row.is_primary()),
        indisexclusion: boolean(false),
        indimmediate: boolean(!index.deferrable),
        indisclustered: boolean(false),
        indisvalid: boolean(public),
        indcheckxmin: boolean(false),
        indisready: boolean(index.state != ElementState::DeleteOnly),
        indislive: boolean(true),
        indisreplident: boolean(false),
        indkey: int2vector(row.columns().map(|column| column.0 as i16)),
        indcollation: oidvector(index.columns.iter().map(|column| match column.collation.as_deref() {
            Some("C") => 950,
            Some(_) => 951,
            None => collation(key_type(column)),
        })),
        indclass: oidvector(index.columns.iter().map(|column| {
            let named = column.operator_class.as_deref().and_then(class_named);
            named.unwrap_or_else(|| default_class(key_type(column).oid()))
        })),
        indoption: int2vector(index.columns.iter().map(option)),
        indexprs: Datum::Null,
        indpred: optional_text(index.predicate.as_deref()),
    }
}

fn data_type(table: &TableDescriptor, column: ColumnId) -> DataType {
    table.column(column).map_or(DataType::Unknown, |column| column.column_type.data_type)
}

fn constraints(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<PgConstraint> {
    let (table, referenced) = (wanted.oid("conrelid"), wanted.oid("confrelid"));
    let refers = |constraint: &Constraint<'_>| match constraint {
        Constraint::ForeignKey { key, .. } => Some(key.referenced_table),
        _ => None,
    };
    let of_domains = picture
        .domain_checks()
        .filter(|_| table.is_none_or(|id| id.0 == 0) && referenced.is_none_or(|id| id.0 == 0))
        .map(|(found, _, check)| domain_check_row(found, check));
    picture
        .constraints()
        .filter(|constraint| table.is_none_or(|table| constraint.table().id == table))
        .filter(|constraint| referenced.is_none_or(|id| refers(constraint) == Some(id) || id.0 == 0))
        .map(|constraint| constraint_row(picture, &constraint))
        .chain(of_domains)
        .collect()
}

/// What is the same of every constraint that refers to no table and inherits from none.
fn unlinked_constraint() -> PgConstraint {
    PgConstraint {
        conparentid: number(0),
        confrelid: number(0),
        confupdtype: text(" "),
        confdeltype: text(" "),
        confmatchtype: text(" "),
        conislocal: boolean(true),
        coninhcount: Datum::Int4(0),
        ..PgConstraint::default()
    }
}

fn domain_check_row(found: &TypeDescriptor, check: &DomainCheck) -> PgConstraint {
    PgConstraint {
        oid: oid(check.id),
        conname: text(&check.name),
        connamespace: oid(found.schema),
        contype: text("c"),
        condeferrable: boolean(false),
        condeferred: boolean(false),
        convalidated: boolean(!check.not_valid),
        conrelid: number(0),
        contypid: oid(found.id),
        conindid: number(0),
        connoinherit: boolean(false),
        conbin: text(&check.expression),
        ..unlinked_constraint()
    }
}

fn constraint_row(picture: &Picture<'_>, constraint: &Constraint<'_>) -> PgConstraint {
    let table = constraint.table();
    let index = match constraint {
        Constraint::Key { index, .. } => index.index.id.0,
        Constraint::Check { .. } => 0,
        Constraint::ForeignKey { key, .. } => key.referenced_index.0,
    };
    let expression = match constraint {
        Constraint::Check { check, .. } => Some(check.expression.as_str()),
        _ => None,
    };
    let row = PgConstraint {
        oid: oid(constraint.id()),
        conname: text(constraint.name()),
        connamespace: oid(table.schema),
        contype: text(constraint.kind()),
        condeferrable: boolean(constraint.deferrable()),
        condeferred: boolean(constraint.initially_deferred()),
        convalidated: boolean(constraint.is_valid()),
        conrelid: oid(table.id),
        contypid: number(0),
        conindid: number(index),
        connoinherit: boolean(constraint.kind() != "c"),
        conkey: column_numbers(&constraint.columns()),
        conbin: optional_text(expression),
        ..unlinked_constraint()
    };
    match constraint {
        Constraint::ForeignKey { key, .. } => with_foreign_key(row, picture, table, key),
        _ => row,
    }
}

fn column_numbers(columns: &[ColumnId]) -> Datum {
    int2s(columns.iter().map(|column| column.0 as i16))
}

fn with_foreign_key(
    row: PgConstraint,
    picture: &Picture<'_>,
    table: &TableDescriptor,
    key: &ForeignKey,
) -> PgConstraint {
    let equality = |left: DataType, right: DataType| {
        let operators = expr::catalogue().operators_named("=");
        let fits = |operator: &&&expr::Operator| operator.left == Some(left) && operator.right == right;
        operators.iter().find(fits).map_or(0, |operator| operator.oid)
    };
    let referenced = picture.snapshot.table(key.referenced_table);
    let pairs = key.columns.iter().zip(&key.referenced_columns).map(|(column, other)| {
        (data_type(table, *column), referenced.map_or(DataType::Unknown, |table| data_type(table, *other)))
    });
    let pairs: Vec<(DataType, DataType)> = pairs.collect();
    let operators = |pick: &dyn Fn(DataType, DataType) -> u32| oids(pairs.iter().map(|(a, b)| pick(*a, *b)));
    PgConstraint {
        confrelid: oid(key.referenced_table),
        confupdtype: text(action_code(key.on_update)),
        confdeltype: text(action_code(key.on_delete)),
        confmatchtype: text(if key.match_full { "f" } else { "s" }),
        confkey: column_numbers(&key.referenced_columns),
        conpfeqop: operators(&|foreign, primary| equality(primary, foreign)),
        conppeqop: operators(&|_, primary| equality(primary, primary)),
        conffeqop: operators(&|foreign, _| equality(foreign, foreign)),
        ..row
    }
}

fn action_code(action: ForeignKeyAction) -> &'static str {
    match action {
        ForeignKeyAction::NoAction => "a",
        ForeignKeyAction::Restrict => "r",
        ForeignKeyAction::Cascade => "c",
        ForeignKeyAction::SetNull => "n",
        ForeignKeyAction::SetDefault => "d",
    }
}
