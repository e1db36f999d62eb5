//! The catalog as one session sees it: what made-up tables and catalog functions are computed from.

use std::sync::Arc;

use types::FormatContext;
use types::descriptor::{
    DomainCheck, DomainDescriptor, FunctionDescriptor, Oid, TypeDefinition, TypeDescriptor, ViewDescriptor,
};

use super::definitions;
use super::relations::{Constraint, Index, Relation};
use crate::catalog::{CatalogSnapshot, NameTarget, Object, RoleDescriptor};
use crate::session::Services;
use crate::statistics::StatisticsCache;

/// Oids of schemas that belong to the system.
pub const SYSTEM_SCHEMAS: [(Oid, &str); 3] =
    [(Oid(11), "pg_catalog"), (Oid(13207), "information_schema"), OWN_SCHEMA];

/// The schema of what PostgreSQL has no tables for.
pub const OWN_SCHEMA: (Oid, &str) = (Oid(15900), "meridian");

/// The role that owns what belongs to the system.
pub const BOOTSTRAP_ROLE: Oid = Oid(10);

/// A role that stands for the current database's owner and owns the schemas `public`. Nobody can log in as it.
pub const DATABASE_OWNER_ROLE: (Oid, &str) = (Oid(6171), "pg_database_owner");

/// One database of a catalog snapshot, seen by one user along one search path.
#[derive(Clone, Copy)]
pub struct Picture<'a> {
    pub snapshot: &'a CatalogSnapshot,
    pub statistics: &'a StatisticsCache,
    pub database: Oid,
    pub user: &'a str,
    pub search_path: &'a [String],
    /// The schema of the session's temporary objects, whether it exists or not.
    pub temporary_schema: &'a str,
    /// How values are printed.
    pub format: &'a FormatContext,
}

/// A schema of the current database.
pub struct Schema<'a> {
    pub id: Oid,
    pub name: &'a str,
    pub owner: &'a str,
}

impl<'a> Picture<'a> {
    pub fn of(services: &'a Services) -> Picture<'a> {
        Picture {
            snapshot: &services.catalog.snapshot,
            statistics: &services.catalog.server.statistics,
            database: services.catalog.database,
            user: &services.info.user,
            search_path: &services.info.search_path,
            temporary_schema: &services.temporary_schema,
            format: &services.info.format,
        }
    }

    pub fn database_name(&self) -> &'a str {
        self.snapshot.database_by_id(self.database).map_or("", |database| &database.name)
    }

    // Roles.

    pub fn roles(&self) -> impl Iterator<Item = &'a Arc<RoleDescriptor>> + use<'a> {
        self.snapshot.objects().filter_map(|object| match object {
            Object::Role(role) => Some(role),
            _ => None,
        })
    }

    /// The oid of a role by name; 0 for one that is gone.
    pub fn role_id(&self, name: &str) -> Oid {
        self.snapshot.role_id(name)
    }

    pub fn role_name(&self, id: Oid) -> Option<&'a str> {
        self.snapshot.role_name(id)
    }

    pub fn bootstrap_role_name(&self) -> &'a str {
        self.role_name(BOOTSTRAP_ROLE).unwrap_or("postgres")
    }

    pub fn is_superuser(&self) -> bool {
        self.snapshot.is_superuser(self.user)
    }

    // Schemas.

    /// The schemas of the database, the system's first.
    pub fn schemas(&self) -> Vec<Schema<'a>> {
        let owner = self.bootstrap_role_name();
        let mut schemas: Vec<Schema<'a>> =
            SYSTEM_SCHEMAS.iter().map(|(id, name)| Schema { id: *id, name, owner }).collect();
        schemas.extend(self.snapshot.objects().filter_map(|object| match object {
            Object::Schema(schema) if schema.database == self.database => {
                Some(Schema { id: schema.id, name: &schema.name, owner: &schema.owner })
            }
            _ => None,
        }));
        schemas
    }

    pub fn schema_id(&self, name: &str) -> Option<Oid> {
        let system = SYSTEM_SCHEMAS.iter().find(|(_, other)| *other == name).map(|(id, _)| *id);
        system.or_else(|| self.snapshot.schema(self.database, name).map(|schema| schema.id))
    }

    pub fn schema_name(&self, id: Oid) -> Option<&'a str> {
        let system = SYSTEM_SCHEMAS.iter().find(|(other, _)| *other == id).map(|(_, name)| *name);
        system.or_else(|| self.snapshot.schema_by_id(id).map(|schema| schema.name.as_str()))
    }

    // Relations.

    /// All relations of the database, the system's first.
    pub fn relations(&self) -> Vec<Relation<'a>> {
        let mut relations: Vec<Relation<'a>> = definitions().map(Relation::System).collect();
        for object in self.snapshot.objects() {
            self.push_relations(object, &mut relations);
        }
        relations
    }

    /// Relations that users made.
    pub fn user_relations(&self) -> Vec<Relation<'a>> {
        let mut relations = Vec::new();
        self.snapshot.objects().for_each(|object| self.push_relations(object, &mut relations));
        relations
    }

    fn push_relations(&self, object: &'a Object, relations: &mut Vec<Relation<'a>>) {
        match object {
            Object::Table(table) if table.database == self.database => {
                relations.push(Relation::Table(table));
                relations.extend(Index::all(table).map(Relation::Index));
            }
            Object::Sequence(sequence) if sequence.database == self.database => {
                relations.push(Relation::Sequence(sequence));
            }
            Object::View(view) if view.database == self.database => relations.push(Relation::View(view)),
            Object::Type(found) if is_row_type(found) && found.database == self.database => {
                relations.push(Relation::RowType(found));
            }
            _ => {}
        }
    }

    pub fn indexes(&self) -> impl Iterator<Item = Index<'a>> + use<'a> {
        self.snapshot.tables(self.database).flat_map(Index::all)
    }

    /// Functions that users made.
    pub fn functions(&self) -> impl Iterator<Item = &'a Arc<FunctionDescriptor>> + use<'a> {
        let database = self.database;
        self.snapshot.objects().filter_map(move |object| match object {
            Object::Function(function) if function.database == database => Some(function),
            _ => None,
        })
    }

    pub fn function(&self, id: Oid) -> Option<&'a Arc<FunctionDescriptor>> {
        match self.snapshot.object(id)? {
            Object::Function(function) if function.database == self.database => Some(function),
            _ => None,
        }
    }

    pub fn views(&self) -> impl Iterator<Item = &'a Arc<ViewDescriptor>> + use<'a> {
        let database = self.database;
        self.snapshot.objects().filter_map(move |object| match object {
            Object::View(view) if view.database == database => Some(view),
            _ => None,
        })
    }

    /// A relation of this database by oid.
    pub fn relation(&self, id: Oid) -> Option<Relation<'a>> {
        if let Some(definition) = super::definition_by_id(id) {
            return Some(Relation::System(definition));
        }
        match self.snapshot.object(id) {
            Some(Object::Table(table)) if table.database == self.database => Some(Relation::Table(table)),
            Some(Object::Sequence(sequence)) if sequence.database == self.database => {
                Some(Relation::Sequence(sequence))
            }
            Some(Object::View(view)) if view.database == self.database => Some(Relation::View(view)),
            Some(Object::Type(found)) if is_row_type(found) && found.database == self.database => {
                Some(Relation::RowType(found))
            }
            Some(_) => None,
            None => self.indexes().find(|index| index.index.id == id).map(Relation::Index),
        }
    }

    pub fn relation_in(&self, schema: &str, name: &str) -> Option<Oid> {
        if super::is_system_schema(schema) {
            return super::find(schema, name).map(|table| table.id);
        }
        let schema = if schema == "pg_temp" { self.temporary_schema } else { schema };
        let schema = self.snapshot.schema(self.database, schema)?;
        match self.snapshot.relation(schema.id, name) {
            Some(NameTarget::Object(id)) => Some(id),
            Some(NameTarget::Index { index, .. }) => Some(index),
            // A row type is a relation without rows.
            None => {
                let id = self.snapshot.type_named(schema.id, name)?;
                self.snapshot.user_type_descriptor(id).filter(|found| is_row_type(found)).map(|_| id)
            }
        }
    }

    /// The schemas in which an unqualified name is looked for, in order. pg_catalog comes first unless it is named elsewhere.
    pub fn lookup_path(&self) -> impl Iterator<Item = &'a str> {
        let named = self.search_path.iter().any(|schema| schema == "pg_catalog");
        let temporary = self.temporary_schema;
        let implicit = [
            (!self.search_path.iter().any(|schema| schema == temporary)).then_some(temporary),
            (!named).then_some("pg_catalog"),
        ];
        implicit.into_iter().flatten().chain(self.search_path.iter().map(String::as_str))
    }

    /// The relation that an unqualified name means.
    pub fn visible_relation(&self, name: &str) -> Option<Oid> {
        self.lookup_path().find_map(|schema| self.relation_in(schema, name))
    }

    pub fn is_visible(&self, relation: &Relation<'_>) -> bool {
        self.visible_relation(relation.name()) == Some(relation.id())
    }

    // Constraints.

    pub fn constraints(&self) -> impl Iterator<Item = Constraint<'a>> + use<'a> {
        self.snapshot.tables(self.database).flat_map(Constraint::all)
    }

    /// Conditions of domains, with the types that they belong to.
    pub fn domain_checks(
        &self,
    ) -> impl Iterator<Item = (&'a Arc<TypeDescriptor>, &'a DomainDescriptor, &'a DomainCheck)> + use<'a>
    {
        let database = self.database;
        let domains = self.snapshot.objects().filter_map(move |object| match object {
            Object::Type(found) if found.database == database => match &found.definition {
                TypeDefinition::Domain(domain) => Some((found, domain)),
                _ => None,
            },
            _ => None,
        });
        domains.flat_map(|(found, domain)| domain.checks.iter().map(move |check| (found, domain, check)))
    }

    pub fn constraint(&self, id: Oid) -> Option<Constraint<'a>> {
        self.constraints().find(|constraint| constraint.id() == id)
    }
}

/// Made by CREATE TYPE ... AS (...).
fn is_row_type(found: &TypeDescriptor) -> bool {
    matches!(found.definition, TypeDefinition::Composite { .. })
}
