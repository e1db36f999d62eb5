//! What a key means: the table and index in which it lies, in whichever database.

use std::collections::BTreeMap;
use std::sync::Arc;

use keys::Key;
use types::Datum;
use types::descriptor::{Oid, TableDescriptor};

use crate::catalog::{CatalogSnapshot, Object};
use crate::session::Services;
use crate::virtual_tables::shape::*;

/// The tables of all databases by where they lie.
pub struct Places<'a> {
    snapshot: &'a CatalogSnapshot,
    by_storage: BTreeMap<u32, &'a Arc<TableDescriptor>>,
    /// May keys and tables of other databases be seen?
    sees_all: bool,
    database: Oid,
}

/// Where a key lies; NULL what it does not say, or what is not to be seen.
pub struct Place {
    pub database: Datum,
    pub schema: Datum,
    pub table_id: Datum,
    pub table: Datum,
    pub index: Datum,
}

impl Place {
    pub const NOWHERE: Place = Place {
        database: Datum::Null,
        schema: Datum::Null,
        table_id: Datum::Null,
        table: Datum::Null,
        index: Datum::Null,
    };
}

impl<'a> Places<'a> {
    pub fn of(services: &'a Services) -> Places<'a> {
        let snapshot = &services.catalog.snapshot;
        let tables = snapshot.objects().filter_map(|object| match object {
            Object::Table(table) => Some((table.storage_id, table)),
            _ => None,
        });
        Places {
            snapshot,
            by_storage: tables.collect(),
            sees_all: services.sees_all_statistics(),
            database: services.catalog.database,
        }
    }

    pub fn of_key(&self, key: &[u8]) -> Place {
        let Some((table, index)) = keys::table::place(key) else { return Place::NOWHERE };
        self.of_storage(table.0, index.map(|index| index.0))
    }

    pub fn of_storage(&self, storage_id: u32, storage_index: Option<u32>) -> Place {
        let table = self.by_storage.get(&storage_id);
        table.map_or(Place::NOWHERE, |table| self.of_table(table, storage_index))
    }

    pub fn of_table_id(&self, table: Oid) -> Place {
        self.snapshot.table(table).map_or(Place::NOWHERE, |table| self.of_table(table, None))
    }

    fn of_table(&self, table: &TableDescriptor, storage_index: Option<u32>) -> Place {
        let database = self.snapshot.database_by_id(table.database);
        if !self.sees_all && table.database != self.database {
            return Place {
                database: optional_text(database.map(|database| &database.name)),
                ..Place::NOWHERE
            };
        }
        let index = storage_index
            .and_then(|wanted| table.all_indexes().find(|index| index.storage_index == wanted))
            .map(|index| &index.name);
        Place {
            database: optional_text(database.map(|database| &database.name)),
            schema: text(self.snapshot.schema_name(table.schema)),
            table_id: oid(table.id),
            table: text(&table.name),
            index: optional_text(index),
        }
    }

    /// A key as people read it.
    pub fn key(&self, key: &[u8]) -> Datum {
        match self.sees_all {
            true => text(Key::copy_from(key).to_string()),
            false => text("<insufficient privilege>"),
        }
    }

    /// The bytes of a key.
    pub fn raw_key(&self, key: &[u8]) -> Datum {
        if self.sees_all { Datum::Bytes(key.into()) } else { Datum::Null }
    }
}
