//! Domains, their conditions, and the columns that are of them.

use types::descriptor::{DomainDescriptor, TypeDefinition, TypeDescriptor};

use super::columns::{TypeFacts, collation_name, domain_of, shown_columns, type_text, udt};
use crate::catalog::Object;
use crate::catalog_functions::definitions::value_expression;
use crate::catalog_functions::privileges::{acts_as, may_use_type};
use crate::virtual_tables::Definition;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::shape::*;

view! {
    Domains: 13320 information_schema.domains {
        domain_catalog: NAME, domain_schema: NAME, domain_name: NAME, data_type: VARCHAR,
        character_maximum_length: INT4, character_octet_length: INT4, character_set_catalog: NAME,
        character_set_schema: NAME, character_set_name: NAME, collation_catalog: NAME,
        collation_schema: NAME, collation_name: NAME, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, domain_default: VARCHAR, udt_catalog: NAME,
        udt_schema: NAME, udt_name: NAME, scope_catalog: NAME, scope_schema: NAME, scope_name: NAME,
        maximum_cardinality: INT4, dtd_identifier: NAME,
    }
}

view! {
    DomainConstraints: 13310 information_schema.domain_constraints {
        constraint_catalog: NAME, constraint_schema: NAME, constraint_name: NAME, domain_catalog: NAME,
        domain_schema: NAME, domain_name: NAME, is_deferrable: VARCHAR, initially_deferred: VARCHAR,
    }
}

view! {
    ColumnDomainUsage: 13280 information_schema.column_domain_usage {
        domain_catalog: NAME, domain_schema: NAME, domain_name: NAME, table_catalog: NAME,
        table_schema: NAME, table_name: NAME, column_name: NAME,
    }
}

pub static TABLES: &[Definition] = &[
    Domains::definition(Rows::Catalog(|picture, _| values(domains(picture)))),
    DomainConstraints::definition(Rows::Catalog(|picture, _| values(domain_constraints(picture)))),
    ColumnDomainUsage::definition(Rows::Catalog(|picture, _| values(column_domain_usage(picture)))),
];

fn domains(picture: &Picture<'_>) -> Vec<Domains> {
    let mut rows = Vec::new();
    for object in picture.snapshot.objects() {
        let Object::Type(found) = object else { continue };
        if found.database == picture.database
            && let TypeDefinition::Domain(domain) = &found.definition
            && may_use_type(picture, picture.user, found)
        {
            rows.push(domain_row(picture, found, domain));
        }
    }
    rows
}

fn domain_row(picture: &Picture<'_>, found: &TypeDescriptor, domain: &DomainDescriptor) -> Domains {
    let facts = TypeFacts::of(domain.parent);
    let data_type = domain.parent.data_type;
    let collation = collation_name(data_type);
    let (udt_schema, udt_name) = udt(picture, data_type);
    let default = domain.default.as_deref().map(|text| value_expression(picture, text, domain.parent));
    Domains {
        domain_catalog: text(picture.database_name()),
        domain_schema: optional_text(picture.schema_name(found.schema)),
        domain_name: text(&found.name),
        data_type: text(type_text(data_type)),
        character_maximum_length: facts.character_maximum_length,
        character_octet_length: facts.character_octet_length,
        numeric_precision: facts.numeric_precision,
        numeric_precision_radix: facts.numeric_precision_radix,
        numeric_scale: facts.numeric_scale,
        datetime_precision: facts.datetime_precision,
        interval_type: facts.interval_type,
        collation_catalog: optional_text(collation.map(|_| picture.database_name())),
        collation_schema: optional_text(collation.map(|_| "pg_catalog")),
        collation_name: optional_text(collation),
        domain_default: optional_text(default),
        udt_catalog: text(picture.database_name()),
        udt_schema,
        udt_name,
        dtd_identifier: text("1"),
        ..Domains::default()
    }
}

fn domain_constraints(picture: &Picture<'_>) -> Vec<DomainConstraints> {
    let shown = picture.domain_checks().filter(|(found, ..)| may_use_type(picture, picture.user, found));
    let rows = shown.map(|(found, _, check)| DomainConstraints {
        constraint_catalog: text(picture.database_name()),
        constraint_schema: optional_text(picture.schema_name(found.schema)),
        constraint_name: text(&check.name),
        domain_catalog: text(picture.database_name()),
        domain_schema: optional_text(picture.schema_name(found.schema)),
        domain_name: text(&found.name),
        is_deferrable: yes_or_no(false),
        initially_deferred: yes_or_no(false),
    });
    rows.collect()
}

/// Seen by the owners of the domains.
fn column_domain_usage(picture: &Picture<'_>) -> Vec<ColumnDomainUsage> {
    let rows = shown_columns(picture).filter_map(|(relation, attribute)| {
        let (found, _) = domain_of(picture, attribute.column_type.data_type)?;
        acts_as(picture, picture.user, &found.owner).then(|| ColumnDomainUsage {
            domain_catalog: text(picture.database_name()),
            domain_schema: optional_text(picture.schema_name(found.schema)),
            domain_name: text(&found.name),
            table_catalog: text(picture.database_name()),
            table_schema: optional_text(picture.schema_name(relation.schema())),
            table_name: text(relation.name()),
            column_name: text(attribute.name),
        })
    });
    rows.collect()
}
