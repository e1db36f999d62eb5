//! Columns: columns, their types, elements of arrays.

use types::descriptor::{DomainDescriptor, Identity, Oid, TypeDefinition, TypeDescriptor};
use types::{ColumnType, DataType, Datum};

use super::tables::{is_writable, shown_relations};
use crate::catalog_functions::definitions::stored_expression;
use crate::virtual_tables::Definition;
use crate::virtual_tables::pg_catalog::builtin_types::builtin_type;
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Attribute, Relation};
use crate::virtual_tables::shape::*;

view! {
    Columns: 13295 information_schema.columns {
        table_catalog: NAME, table_schema: key(NAME), table_name: key(NAME), column_name: NAME,
        ordinal_position: INT4, column_default: VARCHAR, is_nullable: VARCHAR, data_type: VARCHAR,
        character_maximum_length: INT4, character_octet_length: INT4, numeric_precision: INT4,
        numeric_precision_radix: INT4, numeric_scale: INT4, datetime_precision: INT4,
        interval_type: VARCHAR, interval_precision: INT4, character_set_catalog: NAME,
        character_set_schema: NAME, character_set_name: NAME, collation_catalog: NAME,
        collation_schema: NAME, collation_name: NAME, domain_catalog: NAME, domain_schema: NAME,
        domain_name: NAME, udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, scope_catalog: NAME,
        scope_schema: NAME, scope_name: NAME, maximum_cardinality: INT4, dtd_identifier: NAME,
        is_self_referencing: VARCHAR, is_identity: VARCHAR, identity_generation: VARCHAR,
        identity_start: VARCHAR, identity_increment: VARCHAR, identity_maximum: VARCHAR,
        identity_minimum: VARCHAR, identity_cycle: VARCHAR, is_generated: VARCHAR,
        generation_expression: VARCHAR, is_updatable: VARCHAR,
    }
}

view! {
    ColumnUdtUsage: 13290 information_schema.column_udt_usage {
        udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, table_catalog: NAME, table_schema: NAME,
        table_name: NAME, column_name: NAME,
    }
}

view! {
    DataTypePrivileges: 13488 information_schema.data_type_privileges {
        object_catalog: NAME, object_schema: NAME, object_name: NAME, object_type: VARCHAR,
        dtd_identifier: NAME,
    }
}

view! {
    ElementTypes: 13493 information_schema.element_types {
        object_catalog: NAME, object_schema: NAME, object_name: NAME, object_type: VARCHAR,
        collection_type_identifier: NAME, data_type: VARCHAR, character_maximum_length: INT4,
        character_octet_length: INT4, character_set_catalog: NAME, character_set_schema: NAME,
        character_set_name: NAME, collation_catalog: NAME, collation_schema: NAME, collation_name: NAME,
        numeric_precision: INT4, numeric_precision_radix: INT4, numeric_scale: INT4,
        datetime_precision: INT4, interval_type: VARCHAR, interval_precision: INT4, domain_default: VARCHAR,
        udt_catalog: NAME, udt_schema: NAME, udt_name: NAME, scope_catalog: NAME, scope_schema: NAME,
        scope_name: NAME, maximum_cardinality: INT4, dtd_identifier: NAME,
    }
}

pub static TABLES: &[Definition] = &[
    Columns::definition(Rows::Catalog(|picture, wanted| values(columns(picture, wanted)))),
    ColumnUdtUsage::definition(Rows::Catalog(|picture, _| values(column_udt_usage(picture)))),
    DataTypePrivileges::definition(Rows::Catalog(|picture, _| values(data_type_privileges(picture)))),
    ElementTypes::definition(Rows::Catalog(|picture, _| values(element_types(picture)))),
];

/// Bytes of a text without a limit, as information_schema puts it, and of a character at most.
const TEXT_BYTES_MAX: i32 = 1 << 30;
const CHARACTER_BYTES_MAX: i32 = 4;

/// What information_schema tells of a type: each part NULL where it does not apply.
pub struct TypeFacts {
    pub character_maximum_length: Datum,
    pub character_octet_length: Datum,
    pub numeric_precision: Datum,
    pub numeric_precision_radix: Datum,
    pub numeric_scale: Datum,
    pub datetime_precision: Datum,
    pub interval_type: Datum,
}

impl TypeFacts {
    pub fn of(column_type: ColumnType) -> TypeFacts {
        let ColumnType { data_type, typmod } = column_type;
        let limited = typmod >= 0;
        let (length, octets) = match data_type {
            DataType::Varchar | DataType::Bpchar if limited => {
                let length = typmod - 4;
                (Some(length), Some(length.saturating_mul(CHARACTER_BYTES_MAX).min(TEXT_BYTES_MAX)))
            }
            DataType::Text | DataType::Varchar | DataType::Bpchar => (None, Some(TEXT_BYTES_MAX)),
            DataType::Bit | DataType::Varbit if limited => (Some(typmod), None),
            _ => (None, None),
        };
        let (precision, radix, scale) = numeric_facts(data_type, typmod);
        let number = |value: Option<i32>| value.map_or(Datum::Null, Datum::Int4);
        TypeFacts {
            character_maximum_length: number(length),
            character_octet_length: number(octets),
            numeric_precision: number(precision),
            numeric_precision_radix: number(radix),
            numeric_scale: number(scale),
            datetime_precision: number(datetime_precision(data_type, typmod)),
            interval_type: optional_text(interval_type(column_type)),
        }
    }
}

/// (precision, radix, scale)
fn numeric_facts(data_type: DataType, typmod: i32) -> (Option<i32>, Option<i32>, Option<i32>) {
    match data_type {
        DataType::Int2 => (Some(16), Some(2), Some(0)),
        DataType::Int4 => (Some(32), Some(2), Some(0)),
        DataType::Int8 => (Some(64), Some(2), Some(0)),
        DataType::Float4 => (Some(24), Some(2), None),
        DataType::Float8 => (Some(53), Some(2), None),
        DataType::Numeric if typmod >= 0 => {
            let packed = typmod - 4;
            (Some(packed >> 16 & 0xffff), Some(10), Some(((packed & 0x7ff) ^ 1024) - 1024))
        }
        DataType::Numeric => (None, Some(10), None),
        _ => (None, None, None),
    }
}

fn datetime_precision(data_type: DataType, typmod: i32) -> Option<i32> {
    const FULL: i32 = 6;
    match data_type {
        DataType::Date => Some(0),
        DataType::Time | DataType::TimeTz | DataType::Timestamp | DataType::TimestampTz => {
            Some(if typmod < 0 { FULL } else { typmod })
        }
        DataType::Interval if typmod < 0 || typmod & 0xffff == 0xffff => Some(FULL),
        DataType::Interval => Some(typmod & 0xffff),
        _ => None,
    }
}

/// The fields that an interval is limited to: `DAY TO SECOND`.
fn interval_type(column_type: ColumnType) -> Option<String> {
    if column_type.data_type != DataType::Interval {
        return None;
    }
    let text = column_type.to_string();
    let fields = text.strip_prefix("interval")?;
    let fields = fields.split('(').next().unwrap_or("").trim();
    (!fields.is_empty()).then(|| fields.to_uppercase())
}

/// The name of a type; arrays are all called ARRAY.
pub fn type_text(data_type: DataType) -> String {
    match data_type {
        DataType::Array(_) => "ARRAY".into(),
        other if other.is_user_type() => "USER-DEFINED".into(),
        other => other.sql_name(),
    }
}

/// What a column's type comes to: of a domain, what that was made over, with its modifier.
fn true_type(picture: &Picture<'_>, column_type: ColumnType) -> ColumnType {
    match domain_of(picture, column_type.data_type) {
        Some((_, domain)) => domain.parent,
        None => column_type,
    }
}

pub fn domain_of<'a>(
    picture: &Picture<'a>,
    data_type: DataType,
) -> Option<(&'a TypeDescriptor, &'a DomainDescriptor)> {
    let DataType::Domain(domain) = data_type else { return None };
    let found = picture.snapshot.user_type_descriptor(Oid(domain.oid))?;
    match &found.definition {
        TypeDefinition::Domain(domain) => Some((found, domain)),
        _ => None,
    }
}

/// Schema and name of a type, as pg_type has them.
pub fn udt(picture: &Picture<'_>, data_type: DataType) -> (Datum, Datum) {
    if !data_type.is_user_type() {
        return (text("pg_catalog"), udt_name(data_type));
    }
    let id = data_type.oid();
    let element = Oid(id & !types::USER_ARRAY_BIT);
    let Some(object) = picture.snapshot.object(element) else { return (Datum::Null, Datum::Null) };
    let schema = object.schema().and_then(|schema| picture.schema_name(schema));
    let prefix = if element.0 == id { "" } else { "_" };
    (optional_text(schema), text(types::format::truncate_name(&format!("{prefix}{}", object.name()))))
}

fn udt_name(data_type: DataType) -> Datum {
    optional_text(data_type.pg_name())
}

/// The collation of a type, unless it is the database's.
pub fn collation_name(data_type: DataType) -> Option<&'static str> {
    const DEFAULT: u32 = 100;
    let id = builtin_type(data_type.oid())?.collation;
    crate::virtual_tables::pg_catalog::schema::collation_name(id).filter(|_| id != DEFAULT)
}

/// Every column of every relation that the user may see.
pub fn shown_columns<'a>(picture: &Picture<'a>) -> impl Iterator<Item = (Relation<'a>, Attribute<'a>)> {
    shown_relations(picture)
        .flat_map(|relation| relation.attributes().into_iter().map(move |attribute| (relation, attribute)))
}

fn columns(picture: &Picture<'_>, wanted: &Wanted<'_>) -> Vec<Columns> {
    let (table, schema) = (wanted.text("table_name"), wanted.text("table_schema"));
    let in_schema =
        |relation: &Relation<'_>| schema.is_none() || picture.schema_name(relation.schema()) == schema;
    let named = |relation: &Relation<'_>| table.is_none_or(|table| relation.name() == table);
    let relations = shown_relations(picture).filter(|relation| named(relation) && in_schema(relation));
    let rows = |relation: Relation<'_>| -> Vec<Columns> {
        relation.attributes().iter().map(|attribute| column(picture, &relation, attribute)).collect()
    };
    relations.flat_map(rows).collect()
}

fn column(picture: &Picture<'_>, relation: &Relation<'_>, attribute: &Attribute<'_>) -> Columns {
    let column_type = true_type(picture, attribute.column_type);
    let data_type = column_type.data_type;
    let facts = TypeFacts::of(column_type);
    let (udt_schema, udt_name) = udt(picture, data_type);
    let domain = domain_of(picture, attribute.column_type.data_type).map(|(found, _)| found);
    let catalog = || text(picture.database_name());
    let own = attribute.column.and_then(|column| column.collation);
    let own = own.and_then(crate::virtual_tables::pg_catalog::schema::collation_name);
    let collation = own.or_else(|| collation_name(data_type));
    let default = match (relation, attribute.default()) {
        (Relation::Table(table), Some(text)) => {
            Some(stored_expression(picture, table, text, attribute.column, false))
        }
        _ => None,
    };
    let (default, generated) = if attribute.is_generated() { (None, default) } else { (default, None) };
    let row = Columns {
        table_catalog: catalog(),
        table_schema: optional_text(picture.schema_name(relation.schema())),
        table_name: text(relation.name()),
        column_name: text(attribute.name),
        ordinal_position: Datum::Int4(i32::from(attribute.number)),
        column_default: optional_text(default),
        is_nullable: yes_or_no(!attribute.not_null),
        data_type: text(type_text(data_type)),
        character_maximum_length: facts.character_maximum_length,
        character_octet_length: facts.character_octet_length,
        numeric_precision: facts.numeric_precision,
        numeric_precision_radix: facts.numeric_precision_radix,
        numeric_scale: facts.numeric_scale,
        datetime_precision: facts.datetime_precision,
        interval_type: facts.interval_type,
        collation_catalog: collation.map_or(Datum::Null, |_| catalog()),
        collation_schema: optional_text(collation.map(|_| "pg_catalog")),
        collation_name: optional_text(collation),
        domain_catalog: domain.map_or(Datum::Null, |_| catalog()),
        domain_schema: optional_text(domain.and_then(|found| picture.schema_name(found.schema))),
        domain_name: optional_text(domain.map(|found| &found.name)),
        udt_catalog: catalog(),
        udt_schema,
        udt_name,
        dtd_identifier: text(attribute.number.to_string()),
        is_self_referencing: yes_or_no(false),
        is_identity: yes_or_no(attribute.identity().is_some()),
        identity_cycle: yes_or_no(false),
        is_generated: text(if generated.is_some() { "ALWAYS" } else { "NEVER" }),
        generation_expression: optional_text(generated),
        is_updatable: yes_or_no(is_writable(relation)),
        ..Columns::default()
    };
    with_identity(row, picture, attribute)
}

fn with_identity(row: Columns, picture: &Picture<'_>, attribute: &Attribute<'_>) -> Columns {
    let Some(identity) = attribute.identity() else { return row };
    let sequence = attribute.column.and_then(|column| column.owned_sequence);
    let sequence = sequence.and_then(|id| picture.snapshot.sequence(id));
    let fact = |of: fn(&types::descriptor::SequenceDescriptor) -> i64| {
        optional_text(sequence.map(|sequence| of(sequence).to_string()))
    };
    Columns {
        identity_generation: text(match identity {
            Identity::Always => "ALWAYS",
            Identity::ByDefault => "BY DEFAULT",
        }),
        identity_start: fact(|sequence| sequence.start),
        identity_increment: fact(|sequence| sequence.increment),
        identity_maximum: fact(|sequence| sequence.maximum),
        identity_minimum: fact(|sequence| sequence.minimum),
        identity_cycle: yes_or_no(sequence.is_some_and(|sequence| sequence.cycle)),
        ..row
    }
}

fn column_udt_usage(picture: &Picture<'_>) -> Vec<ColumnUdtUsage> {
    let row = |(relation, attribute): (Relation<'_>, Attribute<'_>)| {
        let (udt_schema, udt_name) = udt(picture, true_type(picture, attribute.column_type).data_type);
        ColumnUdtUsage {
            udt_catalog: text(picture.database_name()),
            udt_schema,
            udt_name,
            table_catalog: text(picture.database_name()),
            table_schema: optional_text(picture.schema_name(relation.schema())),
            table_name: text(relation.name()),
            column_name: text(attribute.name),
        }
    };
    // Types belong to the superuser, and only their owner sees here who uses them.
    if picture.is_superuser() { shown_columns(picture).map(row).collect() } else { Vec::new() }
}

fn data_type_privileges(picture: &Picture<'_>) -> Vec<DataTypePrivileges> {
    let row = |(relation, attribute): (Relation<'_>, Attribute<'_>)| DataTypePrivileges {
        object_catalog: text(picture.database_name()),
        object_schema: optional_text(picture.schema_name(relation.schema())),
        object_name: text(relation.name()),
        object_type: text("TABLE"),
        dtd_identifier: text(attribute.number.to_string()),
    };
    shown_columns(picture).map(row).collect()
}

fn element_types(picture: &Picture<'_>) -> Vec<ElementTypes> {
    let row = |(relation, attribute): (Relation<'_>, Attribute<'_>)| {
        let DataType::Array(element) = attribute.column_type.data_type else { return None };
        let element = element.data_type()?;
        let collation = collation_name(element);
        Some(ElementTypes {
            object_catalog: text(picture.database_name()),
            object_schema: optional_text(picture.schema_name(relation.schema())),
            object_name: text(relation.name()),
            object_type: text("TABLE"),
            collection_type_identifier: text(attribute.number.to_string()),
            data_type: text(type_text(element)),
            collation_catalog: optional_text(collation.map(|_| picture.database_name())),
            collation_schema: optional_text(collation.map(|_| "pg_catalog")),
            collation_name: optional_text(collation),
            udt_catalog: text(picture.database_name()),
            udt_schema: udt(picture, element).0,
            udt_name: udt(picture, element).1,
            dtd_identifier: text(format!("a{}", attribute.number)),
            ..ElementTypes::default()
        })
    };
    shown_columns(picture).filter_map(row).collect()
}
