//! What the catalog holds: one enum over all kinds of objects, as stored.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::descriptor::{
    DatabaseDescriptor, FunctionDescriptor, Oid, SchemaDescriptor, SequenceDescriptor, TableDescriptor,
    TypeDescriptor, ViewDescriptor,
};

/// A role (user or group) with what CREATE ROLE says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleDescriptor {
    pub id: Oid,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub create_database: bool,
    pub create_role: bool,
    pub inherit: bool,
    /// A SCRAM-SHA-256 verifier as pg_authid.rolpassword holds it; never a password.
    #[serde(default)]
    pub verifier: Option<String>,
    /// -1: no limit.
    pub connection_limit: i32,
    /// Oids of the roles that this one is a member of.
    #[serde(default)]
    pub member_of: Vec<Oid>,
    /// Of those, the ones that it may grant membership in.
    #[serde(default)]
    pub admin_of: Vec<Oid>,
    #[serde(default)]
    pub comment: Option<String>,
    /// VALID UNTIL: when its password ends, in microseconds since 2000-01-01 UTC.
    #[serde(default)]
    pub valid_until: Option<i64>,
    /// ALTER ROLE ... SET: what its sessions begin with, in all databases (`None`) or in one.
    #[serde(default)]
    pub settings: Vec<RoleSettings>,
}

/// Names and values of ALTER ROLE ... [IN DATABASE ...] SET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleSettings {
    pub database: Option<Oid>,
    pub values: Vec<(String, String)>,
}

impl RoleDescriptor {
    /// A role with what CREATE ROLE gives it without options.
    pub fn new(id: Oid, name: impl Into<String>) -> Self {
        RoleDescriptor {
            id,
            name: name.into(),
            superuser: false,
            login: false,
            create_database: false,
            create_role: false,
            inherit: true,
            verifier: None,
            connection_limit: -1,
            member_of: Vec::new(),
            admin_of: Vec::new(),
            comment: None,
            valid_until: None,
            settings: Vec::new(),
        }
    }
}

/// A catalog object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "descriptor", rename_all = "snake_case")]
pub enum Object {
    Database(Arc<DatabaseDescriptor>),
    Schema(Arc<SchemaDescriptor>),
    Table(Arc<TableDescriptor>),
    Sequence(Arc<SequenceDescriptor>),
    View(Arc<ViewDescriptor>),
    Function(Arc<FunctionDescriptor>),
    Role(Arc<RoleDescriptor>),
    Type(Arc<TypeDescriptor>),
}

/// The name space of an object's name: names are unique within it (pg_class's, pg_namespace's ...).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    Databases,
    Roles,
    /// Schemas of a database.
    Schemas(Oid),
    /// Tables, indexes, sequences and views of a schema.
    Relations(Oid),
    /// Types of a schema. Relations are types as well, under their own names.
    Types(Oid),
    /// Functions of a schema, by name and input types.
    Functions(Oid),
}

impl Object {
    pub fn id(&self) -> Oid {
        match self {
            Object::Database(d) => d.id,
            Object::Schema(d) => d.id,
            Object::Table(d) => d.id,
            Object::Sequence(d) => d.id,
            Object::View(d) => d.id,
            Object::Function(d) => d.id,
            Object::Role(d) => d.id,
            Object::Type(d) => d.id,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Object::Database(d) => &d.name,
            Object::Schema(d) => &d.name,
            Object::Table(d) => &d.name,
            Object::Sequence(d) => &d.name,
            Object::View(d) => &d.name,
            Object::Function(d) => &d.name,
            Object::Role(d) => &d.name,
            Object::Type(d) => &d.name,
        }
    }

    pub fn space(&self) -> Space {
        match self {
            Object::Database(_) => Space::Databases,
            Object::Role(_) => Space::Roles,
            Object::Schema(d) => Space::Schemas(d.database),
            Object::Table(d) => Space::Relations(d.schema),
            Object::Sequence(d) => Space::Relations(d.schema),
            Object::View(d) => Space::Relations(d.schema),
            Object::Type(d) => Space::Types(d.schema),
            Object::Function(d) => Space::Functions(d.schema),
        }
    }

    /// The schema that it is in.
    pub fn schema(&self) -> Option<Oid> {
        match self {
            Object::Table(d) => Some(d.schema),
            Object::Sequence(d) => Some(d.schema),
            Object::View(d) => Some(d.schema),
            Object::Function(d) => Some(d.schema),
            Object::Type(d) => Some(d.schema),
            Object::Database(_) | Object::Schema(_) | Object::Role(_) => None,
        }
    }

    /// Every name that the object takes in its space: its own, and a table's indexes.
    pub fn names(&self) -> Vec<(Space, &str, NameTarget)> {
        let own = NameTarget::Object(self.id());
        let own_name = match self {
            Object::Function(function) => function.identity.as_str(),
            other => other.name(),
        };
        let mut names = vec![(self.space(), own_name, own)];
        if let Object::Table(table) = self {
            let clustered_on_key = table.primary.constraint.is_some();
            let primary = clustered_on_key.then_some(&table.primary);
            names.extend(primary.into_iter().chain(&table.indexes).map(|index| {
                (
                    Space::Relations(table.schema),
                    index.name.as_str(),
                    NameTarget::Index { table: table.id, index: index.id },
                )
            }));
        }
        names
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NameTarget {
    Object(Oid),
    Index { table: Oid, index: Oid },
}
