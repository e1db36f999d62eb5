//! Where replicas and leases are to be: what is in force for the database, its tables and their indexes.

use types::Datum;

use crate::catalog::placement::{is_placement, wanted};
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Placement: 15912 meridian.placement {
        database_name: NAME, schema_name: NAME, table_name: NAME, index_name: NAME, replicas: INT4, constraints: TEXT,
        lease_preferences: TEXT,
    }
}

pub static TABLES: &[Definition] =
    &[Placement::definition(Rows::Session(|services| values(placement(services))))];

/// The current database, each of its tables, and the indexes that have options of their own. NULL: the cluster's default.
fn placement(services: &Services) -> Vec<Placement> {
    let snapshot = &services.catalog.snapshot;
    let Some(database) = snapshot.database_by_id(services.catalog.database) else { return Vec::new() };
    let row = |names: [Option<&str>; 3], config: ::placement::RangeConfig| {
        let clause = |clause: String| optional_text(Some(clause).filter(|clause| !clause.is_empty()));
        let [schema, table, index] = names.map(optional_text);
        Placement {
            database_name: text(&database.name),
            schema_name: schema,
            table_name: table,
            index_name: index,
            replicas: config.replicas.map_or(Datum::Null, |replicas| Datum::Int4(i32::from(replicas))),
            constraints: clause(config.constraints.to_string()),
            lease_preferences: clause(config.lease_preferences.to_string()),
        }
    };
    let mut rows = vec![row([None; 3], wanted(&[&database.options]))];
    for table in snapshot.tables(database.id) {
        let schema = Some(snapshot.schema_name(table.schema));
        let name = Some(table.name.as_str());
        rows.push(row([schema, name, None], wanted(&[&database.options, &table.options])));
        let own =
            table.all_indexes().filter(|index| index.options.iter().any(|(name, _)| is_placement(name)));
        rows.extend(own.map(|index| {
            let config = wanted(&[&database.options, &table.options, &index.options]);
            row([schema, name, Some(index.name.as_str())], config)
        }));
    }
    rows
}
