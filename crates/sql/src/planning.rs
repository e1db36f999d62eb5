//! The catalog as the planner asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use planner::ast::ObjectKind;
use planner::catalog::{Catalog, Relation, Statistics, Table, UserType, View};
use types::PgResult;
use types::descriptor::{DescriptorVersion, FunctionDescriptor, Oid, ViewDescriptor};
use types::user_type::TypeDirectory;

use crate::catalog::{CatalogSnapshot, NameTarget, Object};
use crate::definition::functions_named;
use crate::virtual_tables;

/// Most relations that the cache keeps.
const CACHED_RELATIONS_MAX: usize = 10_000;

/// Tables prepared for planning, by oid and version: what the planner derives from a descriptor is derived once.
#[derive(Default)]
pub struct RelationCache {
    tables: Mutex<BTreeMap<(Oid, DescriptorVersion), Arc<Table>>>,
}

impl RelationCache {
    fn table(&self, descriptor: &Arc<types::descriptor::TableDescriptor>, schema: &str) -> Arc<Table> {
        let mut tables = self.tables.lock();
        let key = (descriptor.id, descriptor.version);
        if let Some(table) = tables.get(&key)
            && Arc::ptr_eq(&table.descriptor, descriptor)
            && *table.schema == *schema
        {
            return table.clone();
        }
        if tables.len() >= CACHED_RELATIONS_MAX {
            tables.clear();
        }
        let table = Arc::new(Table::new(descriptor.clone(), schema));
        // Older versions of the table are of no use any more, but to plans that hold them.
        let id = descriptor.id;
        let old: Vec<_> = tables
            .range((id, DescriptorVersion(0))..=(id, DescriptorVersion(u32::MAX)))
            .map(|(key, _)| *key)
            .collect();
        for key in old {
            tables.remove(&key);
        }
        tables.insert(key, table.clone());
        table
    }
}

/// A view as the planner knows it.
pub fn planned_view(snapshot: &CatalogSnapshot, view: &ViewDescriptor) -> View {
    View {
        id: view.id,
        version: view.version,
        schema: snapshot.schema_name(view.schema).into(),
        name: view.name.as_str().into(),
        owner: view.owner.as_str().into(),
        query: view.query.as_str().into(),
        search_path: view.search_path.clone(),
        columns: view.columns.clone(),
        security_invoker: view.security_invoker,
        security_barrier: view.security_barrier,
    }
}

/// One statement's catalog: a picture, and the database that the session is connected to.
#[derive(Clone)]
pub struct StatementCatalog {
    pub server: Arc<crate::SqlServer>,
    pub snapshot: Arc<CatalogSnapshot>,
    pub database: Oid,
    /// Whose privileges count.
    pub session: Arc<expr::SessionInfo>,
}

impl StatementCatalog {
    pub fn table(&self, id: Oid) -> Option<Arc<Table>> {
        let descriptor = self.snapshot.table(id)?;
        Some(self.server.relations.table(descriptor, self.snapshot.schema_name(descriptor.schema)))
    }

    fn object(&self, object: &Object) -> Option<Relation> {
        match object {
            Object::Table(table) => self.table(table.id).map(Relation::Table),
            Object::Sequence(sequence) => Some(Relation::Sequence(sequence.clone())),
            Object::View(view) => Some(Relation::View(Arc::new(planned_view(&self.snapshot, view)))),
            Object::Database(_)
            | Object::Schema(_)
            | Object::Role(_)
            | Object::Type(_)
            | Object::Function(_) => None,
        }
    }
}

impl Catalog for StatementCatalog {
    fn schema_exists(&self, schema: &str) -> bool {
        virtual_tables::is_system_schema(schema) || self.snapshot.schema(self.database, schema).is_some()
    }

    fn may_use_schema(&self, schema: &str) -> bool {
        let Some(schema) = self.snapshot.schema(self.database, schema) else { return true };
        let wanted = types::acl::Rights::USAGE;
        !self.snapshot.rights(self.database, &self.session.user, (&**schema).into(), wanted, false).is_empty()
    }

    fn relation(&self, schema: &str, name: &str) -> PgResult<Option<Relation>> {
        if virtual_tables::is_system_schema(schema) {
            return Ok(virtual_tables::find(schema, name).map(Relation::Virtual));
        }
        let Some(schema) = self.snapshot.schema(self.database, schema) else { return Ok(None) };
        Ok(match self.snapshot.relation(schema.id, name) {
            None => None,
            Some(NameTarget::Index { index, .. }) => {
                Some(Relation::Other { id: index, kind: ObjectKind::Index })
            }
            Some(NameTarget::Object(id)) => self.snapshot.object(id).and_then(|object| self.object(object)),
        })
    }

    fn relation_by_id(&self, id: Oid) -> PgResult<Option<Relation>> {
        if let Some(table) = virtual_tables::find_by_id(id) {
            return Ok(Some(Relation::Virtual(table)));
        }
        Ok(self.snapshot.object(id).and_then(|object| self.object(object)))
    }

    fn user_type(&self, schema: &str, name: &str) -> PgResult<Option<Arc<UserType>>> {
        let Some(schema) = self.snapshot.schema(self.database, schema) else { return Ok(None) };
        let found = self.snapshot.type_named(schema.id, name);
        Ok(found.and_then(|id| self.snapshot.user_type(id.0)))
    }

    fn user_type_by_oid(&self, oid: u32) -> PgResult<Option<Arc<UserType>>> {
        Ok(self.snapshot.user_type(oid))
    }

    fn functions(&self, schema: &str, name: &str) -> Vec<Arc<FunctionDescriptor>> {
        let Some(schema) = self.snapshot.schema(self.database, schema) else { return Vec::new() };
        functions_named(&self.snapshot, schema.id, name)
    }

    fn statistics(&self, table: Oid) -> Option<Arc<Statistics>> {
        self.server.statistics.get(table)
    }
}
