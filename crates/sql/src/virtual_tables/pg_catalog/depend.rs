//! pg_depend and pg_description.
//!
//! Dependencies are derived from the descriptors, with the classes and kinds that PostgreSQL would have stored: clients follow
//! them from a serial column to its sequence, from a view to what it reads, from a constraint to its index.

use types::Datum;
use types::descriptor::{Identity, Oid, TableDescriptor};

use super::attribute::default_id;
use super::class::rule_id;
use super::schema::OWN_EXTENSION;
use crate::catalog_functions::names::relation_named;
use crate::virtual_tables::picture::{OWN_SCHEMA, Picture};
use crate::virtual_tables::relations::{Constraint, Index, Relation, visible_columns};
use crate::virtual_tables::shape::*;
use crate::virtual_tables::{Definition, definitions};

table! {
    PgDepend: 2608 pg_catalog.pg_depend {
        classid: OID, objid: OID, objsubid: INT4, refclassid: OID, refobjid: OID, refobjsubid: INT4,
        deptype: CHAR,
    }
}

table! {
    PgDescription: 2609 pg_catalog.pg_description {
        objoid: OID, classoid: OID, objsubid: INT4, description: TEXT,
    }
}

pub static TABLES: &[Definition] = &[
    PgDepend::definition(Rows::Catalog(|picture, _| values(dependencies(picture)))),
    PgDescription::definition(Rows::Catalog(|picture, _| values(descriptions(picture)))),
];

// Oids of the catalogs that objects belong to.
const PG_ATTRDEF: u32 = 2604;
const PG_CLASS: u32 = 1259;
const PG_PROC: u32 = 1255;
const PG_CONSTRAINT: u32 = 2606;
const PG_NAMESPACE: u32 = 2615;
const PG_EXTENSION: u32 = 3079;
const PG_TYPE: u32 = 1247;
const PG_REWRITE: u32 = 2618;

/// An object, or a column of one.
#[derive(Clone, Copy)]
struct Part {
    class: u32,
    object: u32,
    column: u16,
}

const fn part(class: u32, object: u32) -> Part {
    Part { class, object, column: 0 }
}

const fn column(table: Oid, column: u16) -> Part {
    Part { class: PG_CLASS, object: table.0, column }
}

/// `dependent` needs `referenced`; the kind is pg_depend.deptype.
fn depends(dependent: Part, referenced: Part, kind: &str) -> PgDepend {
    PgDepend {
        classid: number(dependent.class),
        objid: number(dependent.object),
        objsubid: Datum::Int4(i32::from(dependent.column)),
        refclassid: number(referenced.class),
        refobjid: number(referenced.object),
        refobjsubid: Datum::Int4(i32::from(referenced.column)),
        deptype: text(kind),
    }
}

fn dependencies(picture: &Picture<'_>) -> Vec<PgDepend> {
    let mut rows = Vec::new();
    let extension = part(PG_EXTENSION, OWN_EXTENSION);
    rows.push(depends(part(PG_NAMESPACE, OWN_SCHEMA.0.0), extension, "e"));
    let own_tables = definitions().filter(|definition| definition.schema == OWN_SCHEMA.1);
    rows.extend(own_tables.map(|definition| depends(part(PG_CLASS, definition.oid), extension, "e")));
    for relation in picture.user_relations() {
        let own = part(PG_CLASS, relation.id().0);
        if !matches!(relation, Relation::Index(_)) {
            rows.push(depends(own, part(PG_NAMESPACE, relation.schema().0), "n"));
        }
        match relation {
            Relation::Table(table) => {
                rows.extend(
                    Constraint::all(table).flat_map(|constraint| constraint_dependencies(&constraint)),
                );
                rows.extend(default_dependencies(picture, table));
            }
            Relation::Index(index) => rows.extend(index_dependencies(&index)),
            Relation::Sequence(sequence) => {
                rows.extend(sequence.owned_by.map(|(table, owner)| {
                    let identity =
                        picture.snapshot.table(table).and_then(|table| table.column(owner)?.identity);
                    depends(own, column(table, owner.0), if identity.is_some() { "i" } else { "a" })
                }));
            }
            Relation::View(view) => {
                let rule = part(PG_REWRITE, rule_id(view.id));
                rows.push(depends(rule, own, "i"));
                rows.push(depends(rule, own, "n"));
                let class = |id: Oid| if picture.function(id).is_some() { PG_PROC } else { PG_CLASS };
                rows.extend(view.depends_on.iter().map(|id| depends(rule, part(class(*id), id.0), "n")));
            }
            Relation::RowType(_) | Relation::System(_) => {}
        }
    }
    rows
}

fn constraint_dependencies(constraint: &Constraint<'_>) -> Vec<PgDepend> {
    let own = part(PG_CONSTRAINT, constraint.id().0);
    let table = constraint.table().id;
    let mut rows: Vec<PgDepend> =
        constraint.columns().iter().map(|id| depends(own, column(table, id.0), "a")).collect();
    if let Constraint::ForeignKey { key, .. } = constraint {
        let referenced =
            |id: &types::descriptor::ColumnId| depends(own, column(key.referenced_table, id.0), "n");
        rows.extend(key.referenced_columns.iter().map(referenced));
        rows.push(depends(own, part(PG_CLASS, key.referenced_index.0), "n"));
    }
    rows
}

fn index_dependencies(row: &Index<'_>) -> Vec<PgDepend> {
    let own = part(PG_CLASS, row.index.id.0);
    match row.index.constraint {
        Some(constraint) => vec![depends(own, part(PG_CONSTRAINT, constraint.0), "i")],
        None => row.columns().map(|id| depends(own, column(row.table.id, id.0), "a")).collect(),
    }
}

fn default_dependencies(picture: &Picture<'_>, table: &TableDescriptor) -> Vec<PgDepend> {
    let mut rows = Vec::new();
    for owner in
        visible_columns(table).filter(|column| column.default.is_some() || column.generated.is_some())
    {
        let own = part(PG_ATTRDEF, default_id(table.id, owner));
        rows.push(depends(own, column(table.id, owner.id.0), "a"));
        let serial = owner.owned_sequence.filter(|_| owner.identity != Some(Identity::Always));
        let named =
            || relation_named(picture, &planner::sequence_of_default(owner.default.as_deref()?)?).ok();
        rows.extend(serial.or_else(named).map(|sequence| depends(own, part(PG_CLASS, sequence.0), "n")));
    }
    rows
}

/// The comment on a relation (column 0) or on a column of it.
pub fn comment(relation: &Relation<'_>, column: u16) -> Option<String> {
    match relation {
        Relation::Table(table) if column == 0 => table.comment.clone(),
        Relation::Table(table) => table.column(types::descriptor::ColumnId(column))?.comment.clone(),
        Relation::Index(index) if column == 0 => index.index.comment.clone(),
        Relation::View(view) if column == 0 => view.comment.clone(),
        Relation::View(view) => view.columns.get(usize::from(column) - 1)?.comment.clone(),
        Relation::Sequence(sequence) if column == 0 => sequence.comment.clone(),
        _ => None,
    }
}

fn descriptions(picture: &Picture<'_>) -> Vec<PgDescription> {
    let mut rows = Vec::new();
    for relation in picture.user_relations() {
        let columns = relation.attributes().into_iter().map(|attribute| attribute.number);
        for column in std::iter::once(0).chain(columns) {
            rows.extend(comment(&relation, column).map(|comment| PgDescription {
                objoid: oid(relation.id()),
                classoid: number(PG_CLASS),
                objsubid: Datum::Int4(i32::from(column)),
                description: text(comment),
            }));
        }
    }
    rows.extend(super::descriptions::all().map(|((class, id), description)| PgDescription {
        objoid: number(id),
        classoid: number(class),
        objsubid: Datum::Int4(0),
        description: text(description),
    }));
    let described = |class, id, text_of: &Option<String>| {
        text_of.as_ref().map(|comment| PgDescription {
            objoid: number(id),
            classoid: number(class),
            objsubid: Datum::Int4(0),
            description: text(comment),
        })
    };
    for table in picture.snapshot.tables(picture.database) {
        let comments = table.constraint_comments.iter();
        rows.extend(comments.filter_map(|(id, text)| described(PG_CONSTRAINT, *id, &Some(text.clone()))));
    }
    rows.extend(
        picture.functions().filter_map(|function| described(PG_PROC, function.id.0, &function.comment)),
    );
    rows.extend(picture.snapshot.objects().filter_map(|object| match object {
        crate::catalog::Object::Schema(schema) if schema.database == picture.database => {
            described(PG_NAMESPACE, schema.id.0, &schema.comment)
        }
        crate::catalog::Object::Type(found) if found.database == picture.database => {
            described(PG_TYPE, found.id.0, &found.comment)
        }
        _ => None,
    }));
    rows
}
