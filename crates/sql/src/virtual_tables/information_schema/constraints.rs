//! Constraints. NOT NULL counts as a check, as in PostgreSQL's information_schema, under a name made of oids.

use std::sync::Arc;

use types::Datum;
use types::descriptor::{ColumnId, DomainCheck, DomainDescriptor, TableDescriptor, TypeDescriptor};

use crate::catalog_functions::definitions::{action_text, domain_check_definition, stored_expression};
use crate::catalog_functions::privileges::acts_as;
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Constraint, Relation};
use crate::virtual_tables::shape::*;

view! {
    TableConstraints: 13411 information_schema.table_constraints {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME, table_catalog: NAME,
        table_schema: NAME, table_name: NAME, constraint_type: VARCHAR, is_deferrable: VARCHAR,
        initially_deferred: VARCHAR, enforced: VARCHAR, nulls_distinct: VARCHAR,
    }
}

view! {
    KeyColumnUsage: 13329 information_schema.key_column_usage {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME, table_catalog: NAME,
        table_schema: NAME, table_name: NAME, column_name: NAME, ordinal_position: INT4,
        position_in_unique_constraint: INT4,
    }
}

view! {
    ConstraintColumnUsage: 13300 information_schema.constraint_column_usage {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, column_name: NAME,
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME,
    }
}

view! {
    ConstraintTableUsage: 13305 information_schema.constraint_table_usage {
        table_catalog: NAME, table_schema: NAME, table_name: NAME, constraint_catalog: NAME,
        constraint_schema: NAME, constraint_name: NAME,
    }
}

view! {
    ReferentialConstraints: 13339 information_schema.referential_constraints {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME,
        unique_constraint_catalog: NAME, unique_constraint_schema: NAME, unique_constraint_name: NAME,
        match_option: VARCHAR, update_rule: VARCHAR, delete_rule: VARCHAR,
    }
}

view! {
    CheckConstraints: 13260 information_schema.check_constraints {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME, check_clause: VARCHAR,
    }
}

pub static TABLES: &[Definition] = &[
    TableConstraints::definition(Rows::Catalog(|picture, _| values(table_constraints(picture)))),
    KeyColumnUsage::definition(Rows::Catalog(|picture, _| values(key_column_usage(picture)))),
    ConstraintColumnUsage::definition(Rows::Catalog(|picture, _| values(constraint_column_usage(picture)))),
    ConstraintTableUsage::definition(Rows::Catalog(|picture, _| values(constraint_table_usage(picture)))),
    ReferentialConstraints::definition(Rows::Catalog(|picture, _| values(referential_constraints(picture)))),
    CheckConstraints::definition(Rows::Catalog(|picture, _| values(check_constraints(picture)))),
];

/// Constraints of tables that the user owns.
fn shown_constraints<'a>(picture: &Picture<'a>) -> impl Iterator<Item = Constraint<'a>> {
    let picture = *picture;
    let shown = move |constraint: &Constraint<'a>| {
        Relation::Table(constraint.table()).is_owned_by(picture.user, &picture)
    };
    picture.constraints().filter(shown)
}

/// A NOT NULL: its relation, its name, its column's name.
struct NotNull<'a> {
    relation: Relation<'a>,
    name: String,
    column: &'a str,
}

fn not_nulls<'a>(picture: &Picture<'a>) -> impl Iterator<Item = NotNull<'a>> {
    super::tables::shown_relations(picture).flat_map(|relation| {
        let attributes = relation.attributes().into_iter().filter(|attribute| attribute.not_null);
        attributes.map(move |attribute| NotNull {
            relation,
            name: format!("{}_{}_{}_not_null", relation.schema().0, relation.id().0, attribute.number),
            column: attribute.name,
        })
    })
}

fn schema_text(picture: &Picture<'_>, table: &TableDescriptor) -> Datum {
    optional_text(picture.schema_name(table.schema))
}

fn column_text(table: &TableDescriptor, column: ColumnId) -> Datum {
    optional_text(table.column(column).map(|column| &column.name))
}

fn table_constraints(picture: &Picture<'_>) -> Vec<TableConstraints> {
    let catalog = || text(picture.database_name());
    let row = |constraint: Constraint<'_>| TableConstraints {
        constraint_catalog: catalog(),
        constraint_schema: schema_text(picture, constraint.table()),
        constraint_name: text(constraint.name()),
        table_catalog: catalog(),
        table_schema: schema_text(picture, constraint.table()),
        table_name: text(&constraint.table().name),
        constraint_type: text(constraint.kind_name()),
        is_deferrable: yes_or_no(constraint.deferrable()),
        initially_deferred: yes_or_no(constraint.initially_deferred()),
        enforced: yes_or_no(true),
        nulls_distinct: match constraint {
            Constraint::Key { index, .. } if !index.is_primary() => {
                yes_or_no(!index.index.nulls_not_distinct)
            }
            _ => Datum::Null,
        },
    };
    let not_null = |not_null: NotNull<'_>| {
        let schema = picture.schema_name(not_null.relation.schema());
        TableConstraints {
            constraint_catalog: catalog(),
            constraint_schema: optional_text(schema),
            constraint_name: text(not_null.name),
            table_catalog: catalog(),
            table_schema: optional_text(schema),
            table_name: text(not_null.relation.name()),
            constraint_type: text("CHECK"),
            is_deferrable: yes_or_no(false),
            initially_deferred: yes_or_no(false),
            enforced: yes_or_no(true),
            nulls_distinct: Datum::Null,
        }
    };
    shown_constraints(picture).map(row).chain(not_nulls(picture).map(not_null)).collect()
}

/// For each column of a foreign key, where the column that it refers to stands in the referenced key, from 1.
fn positions_in_key(picture: &Picture<'_>, constraint: &Constraint<'_>) -> Vec<Datum> {
    let Constraint::ForeignKey { key, .. } = constraint else { return Vec::new() };
    let referenced = picture.snapshot.table(key.referenced_table);
    let Some(index) = referenced.and_then(|table| table.index(key.referenced_index)) else {
        return Vec::new();
    };
    let position = |column: &ColumnId| index.columns.iter().position(|other| other.column == *column);
    let shown = |column| position(column).map_or(Datum::Null, |position| int4(position + 1));
    key.referenced_columns.iter().map(shown).collect()
}

fn key_column_usage(picture: &Picture<'_>) -> Vec<KeyColumnUsage> {
    let mut rows = Vec::new();
    for constraint in shown_constraints(picture).filter(|constraint| constraint.kind() != "c") {
        let table = constraint.table();
        let positions = positions_in_key(picture, &constraint);
        for (position, column) in constraint.columns().into_iter().enumerate() {
            rows.push(KeyColumnUsage {
                constraint_catalog: text(picture.database_name()),
                constraint_schema: schema_text(picture, table),
                constraint_name: text(constraint.name()),
                table_catalog: text(picture.database_name()),
                table_schema: schema_text(picture, table),
                table_name: text(&table.name),
                column_name: column_text(table, column),
                ordinal_position: int4(position + 1),
                position_in_unique_constraint: positions.get(position).cloned().unwrap_or(Datum::Null),
            });
        }
    }
    rows
}

/// The table whose columns a constraint uses: of a foreign key the one that is referred to.
fn used_table<'a>(
    picture: &Picture<'a>,
    constraint: &Constraint<'a>,
) -> Option<(&'a TableDescriptor, Vec<ColumnId>)> {
    match constraint {
        Constraint::ForeignKey { key, .. } => {
            let table = picture.snapshot.table(key.referenced_table)?;
            Some((table, key.referenced_columns.clone()))
        }
        other => Some((other.table(), other.columns())),
    }
}

fn constraint_column_usage(picture: &Picture<'_>) -> Vec<ConstraintColumnUsage> {
    let mut rows = Vec::new();
    for constraint in shown_constraints(picture) {
        let Some((table, columns)) = used_table(picture, &constraint) else { continue };
        for column in columns {
            rows.push(ConstraintColumnUsage {
                table_catalog: text(picture.database_name()),
                table_schema: schema_text(picture, table),
                table_name: text(&table.name),
                column_name: column_text(table, column),
                constraint_catalog: text(picture.database_name()),
                constraint_schema: schema_text(picture, constraint.table()),
                constraint_name: text(constraint.name()),
            });
        }
    }
    rows
}

fn constraint_table_usage(picture: &Picture<'_>) -> Vec<ConstraintTableUsage> {
    let row = |constraint: Constraint<'_>| {
        let (table, _) = used_table(picture, &constraint)?;
        Some(ConstraintTableUsage {
            table_catalog: text(picture.database_name()),
            table_schema: schema_text(picture, table),
            table_name: text(&table.name),
            constraint_catalog: text(picture.database_name()),
            constraint_schema: schema_text(picture, constraint.table()),
            constraint_name: text(constraint.name()),
        })
    };
    shown_constraints(picture).filter(|constraint| constraint.kind() != "c").filter_map(row).collect()
}

fn referential_constraints(picture: &Picture<'_>) -> Vec<ReferentialConstraints> {
    let row = |constraint: Constraint<'_>| {
        let Constraint::ForeignKey { table, key } = constraint else { return None };
        let referenced = picture.snapshot.table(key.referenced_table);
        let unique = referenced.and_then(|other| Some((other, other.index(key.referenced_index)?)));
        // A foreign key can refer to a unique index that no constraint made: then there is nothing to name.
        let unique = unique.filter(|(_, index)| index.constraint.is_some());
        Some(ReferentialConstraints {
            constraint_catalog: text(picture.database_name()),
            constraint_schema: schema_text(picture, table),
            constraint_name: text(&key.name),
            unique_constraint_catalog: optional_text(unique.map(|_| picture.database_name())),
            unique_constraint_schema: unique.map_or(Datum::Null, |(other, _)| schema_text(picture, other)),
            unique_constraint_name: optional_text(unique.map(|(_, index)| &index.name)),
            match_option: text(if key.match_full { "FULL" } else { "NONE" }),
            update_rule: text(action_text(key.on_update)),
            delete_rule: text(action_text(key.on_delete)),
        })
    };
    shown_constraints(picture).filter_map(row).collect()
}

fn check_constraints(picture: &Picture<'_>) -> Vec<CheckConstraints> {
    let row = |constraint: Constraint<'_>| {
        let Constraint::Check { table, check } = constraint else { return None };
        Some(CheckConstraints {
            constraint_catalog: text(picture.database_name()),
            constraint_schema: schema_text(picture, table),
            constraint_name: text(&check.name),
            check_clause: text(format!(
                "({})",
                stored_expression(picture, table, &check.expression, None, false)
            )),
        })
    };
    let not_null = |not_null: NotNull<'_>| CheckConstraints {
        constraint_catalog: text(picture.database_name()),
        constraint_schema: optional_text(picture.schema_name(not_null.relation.schema())),
        constraint_name: text(not_null.name),
        check_clause: text(format!("{} IS NOT NULL", not_null.column)),
    };
    let of_domains =
        picture.domain_checks().filter(|(found, ..)| acts_as(picture, picture.user, &found.owner));
    let of_domain = |(found, domain, check): (&Arc<TypeDescriptor>, &DomainDescriptor, &DomainCheck)| {
        let definition = domain_check_definition(picture, domain, check, false);
        CheckConstraints {
            constraint_catalog: text(picture.database_name()),
            constraint_schema: optional_text(picture.schema_name(found.schema)),
            constraint_name: text(&check.name),
            check_clause: text(definition.strip_prefix("CHECK ").unwrap_or(&definition)),
        }
    };
    let of_tables = shown_constraints(picture).filter_map(row);
    of_tables.chain(of_domains.map(of_domain)).chain(not_nulls(picture).map(not_null)).collect()
}
