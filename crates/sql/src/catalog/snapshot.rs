//! An immutable picture of the catalog.
//!
//! All objects of all databases, in memory. A statement works on one picture from binding to its end; DDL makes a new one. What
//! is shared stays shared (every descriptor is behind an `Arc`), so that a new picture costs a copy of the maps, not of
//! their contents.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::descriptor::{
    DatabaseDescriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor, TypeDescriptor,
    ViewDescriptor,
};

use super::object::{NameTarget, Object, RoleDescriptor, Space};
use super::user_types::UserTypes;

/// All catalog objects at one version.
///
/// - `names` holds exactly the names that the objects of `objects` take.
#[derive(Clone, Default, Debug)]
pub struct CatalogSnapshot {
    /// Grows with every change; private pictures of a transaction's own DDL have versions of their own, above 2^63.
    pub version: u64,
    objects: BTreeMap<Oid, Object>,
    names: BTreeMap<Space, BTreeMap<Arc<str>, NameTarget>>,
    pub(super) user_types: UserTypes,
    /// Cluster settings that have been set: canonical text by name.
    pub settings: Arc<BTreeMap<String, String>>,
}

impl CatalogSnapshot {
    pub fn insert(&mut self, object: Object) {
        self.remove(object.id());
        for (space, name, target) in object.names() {
            self.names.entry(space).or_default().insert(name.into(), target);
        }
        self.objects.insert(object.id(), object);
    }

    pub fn remove(&mut self, id: Oid) -> Option<Object> {
        let object = self.objects.remove(&id)?;
        for (space, name, target) in object.names() {
            let Some(names) = self.names.get_mut(&space) else { continue };
            if names.get(name) == Some(&target) {
                names.remove(name);
            }
            if names.is_empty() {
                self.names.remove(&space);
            }
        }
        Some(object)
    }

    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.values()
    }

    pub fn object(&self, id: Oid) -> Option<&Object> {
        self.objects.get(&id)
    }

    pub fn lookup(&self, space: Space, name: &str) -> Option<NameTarget> {
        self.names.get(&space)?.get(name).copied()
    }

    /// All names of a space, in order.
    pub fn names_of(&self, space: Space) -> impl Iterator<Item = (&str, NameTarget)> {
        self.names.get(&space).into_iter().flatten().map(|(name, target)| (&**name, *target))
    }

    /// Names of a space from a given text on, in order.
    pub fn names_from(&self, space: Space, from: &str) -> impl Iterator<Item = (&str, NameTarget)> {
        let from: Arc<str> = from.into();
        let names = self.names.get(&space).map(|names| names.range(from..));
        names.into_iter().flatten().map(|(name, target)| (&**name, *target))
    }

    fn lookup_object(&self, space: Space, name: &str) -> Option<&Object> {
        match self.lookup(space, name)? {
            NameTarget::Object(id) => self.object(id),
            NameTarget::Index { .. } => None,
        }
    }

    pub fn database(&self, name: &str) -> Option<&Arc<DatabaseDescriptor>> {
        match self.lookup_object(Space::Databases, name)? {
            Object::Database(database) => Some(database),
            _ => None,
        }
    }

    pub fn database_by_id(&self, id: Oid) -> Option<&Arc<DatabaseDescriptor>> {
        match self.object(id)? {
            Object::Database(database) => Some(database),
            _ => None,
        }
    }

    pub fn role(&self, name: &str) -> Option<&Arc<RoleDescriptor>> {
        match self.lookup_object(Space::Roles, name)? {
            Object::Role(role) => Some(role),
            _ => None,
        }
    }

    pub fn schema(&self, database: Oid, name: &str) -> Option<&Arc<SchemaDescriptor>> {
        match self.lookup_object(Space::Schemas(database), name)? {
            Object::Schema(schema) => Some(schema),
            _ => None,
        }
    }

    pub fn schema_by_id(&self, id: Oid) -> Option<&Arc<SchemaDescriptor>> {
        match self.object(id)? {
            Object::Schema(schema) => Some(schema),
            _ => None,
        }
    }

    pub fn schema_name(&self, id: Oid) -> &str {
        self.schema_by_id(id).map_or("", |schema| &schema.name)
    }

    /// Is it the schema of some session's temporary objects?
    pub fn is_temporary(&self, schema: Oid) -> bool {
        self.schema_by_id(schema).is_some_and(|schema| schema.temporary_on.is_some())
    }

    pub fn relation(&self, schema: Oid, name: &str) -> Option<NameTarget> {
        self.lookup(Space::Relations(schema), name)
    }

    pub fn table(&self, id: Oid) -> Option<&Arc<TableDescriptor>> {
        match self.object(id)? {
            Object::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn sequence(&self, id: Oid) -> Option<&Arc<SequenceDescriptor>> {
        match self.object(id)? {
            Object::Sequence(sequence) => Some(sequence),
            _ => None,
        }
    }

    pub fn view(&self, id: Oid) -> Option<&Arc<ViewDescriptor>> {
        match self.object(id)? {
            Object::View(view) => Some(view),
            _ => None,
        }
    }

    pub fn user_type_descriptor(&self, id: Oid) -> Option<&Arc<TypeDescriptor>> {
        match self.object(id)? {
            Object::Type(found) => Some(found),
            _ => None,
        }
    }

    /// The type that a name means in a schema: one made by CREATE TYPE or CREATE DOMAIN, or a relation's row type.
    pub fn type_named(&self, schema: Oid, name: &str) -> Option<Oid> {
        let found = self.lookup(Space::Types(schema), name).or_else(|| self.relation(schema, name));
        match found? {
            NameTarget::Object(id) if !matches!(self.object(id), Some(Object::Sequence(_))) => Some(id),
            _ => None,
        }
    }

    /// Tables of a database, in order of oid.
    pub fn tables(&self, database: Oid) -> impl Iterator<Item = &Arc<TableDescriptor>> {
        self.objects.values().filter_map(move |object| match object {
            Object::Table(table) if table.database == database => Some(table),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(id: u32, name: &str) -> Object {
        Object::Database(Arc::new(DatabaseDescriptor::new(Oid(id), name, "postgres")))
    }

    #[test]
    fn renaming_frees_the_old_name() {
        let mut catalog = CatalogSnapshot::default();
        catalog.insert(database(5, "a"));
        catalog.insert(database(5, "b"));
        assert!(catalog.database("a").is_none());
        assert_eq!(catalog.database("b").map(|d| d.id), Some(Oid(5)));
        catalog.remove(Oid(5));
        assert_eq!(catalog.names_of(Space::Databases).count(), 0);
    }

    #[test]
    fn swapping_two_names_keeps_both() {
        let mut catalog = CatalogSnapshot::default();
        catalog.insert(database(5, "a"));
        catalog.insert(database(6, "b"));
        catalog.insert(database(5, "b"));
        catalog.insert(database(6, "a"));
        assert_eq!(catalog.database("a").map(|d| d.id), Some(Oid(6)));
        assert_eq!(catalog.database("b").map(|d| d.id), Some(Oid(5)));
    }
}
