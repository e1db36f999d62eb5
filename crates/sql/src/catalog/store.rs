//! Where the catalog lives: in tables of the keyspace like any other data, written by the transactions that change it.
//!
//! ```text
//! /table/1/1/<oid>                 an object, as JSON (see `object`)
//! /table/2/1/<space>/<name>        a name: what it stands for. Unique by its key: of two transactions that create the
//!                                  same name, the second waits for the first and then fails
//! /table/3/1/<storage id>          a sequence's state
//! /table/4/1/<storage id>/<index>  a keyspace to be cleared: dropped, truncated, or left by an aborted rewrite
//! /table/5/1/...                  locks of the cluster: see `cluster_locks::record`
//! /table/6/1/<id>                  what became of a transaction: see `outcomes`
//! /system/setting/<name>           a cluster setting that has been set
//! ```
//!
//! Storage ids below [`FIRST_USER_STORAGE_ID`] belong to these tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use executor::{ExecError, ExecResult};
use keys::encoding::{put_bytes_terminated, put_u32};
use keys::{IndexId, Key, TableId, table};
use kvclient::{InsertCheck, KvBlock, Locking, ScanOptions, Txn};
use types::acl::{Acl, AclItem, AclKind, PUBLIC, Rights};
use types::descriptor::{DatabaseDescriptor, DescriptorVersion, Oid, SchemaDescriptor};
use types::{PgError, SqlState};

use super::object::{NameTarget, Object, RoleDescriptor, Space};
use super::roles::DATABASE_OWNER_ROLE;
use super::snapshot::CatalogSnapshot;

/// The tables of the system itself.
pub const OBJECTS: TableId = TableId(1);
pub const NAMES: TableId = TableId(2);
pub const SEQUENCES: TableId = TableId(3);
pub const GARBAGE: TableId = TableId(4);
pub const LOCKS: TableId = TableId(5);
pub const OUTCOMES: TableId = TableId(6);
/// Storage ids of user tables start here.
pub const FIRST_USER_STORAGE_ID: u32 = 100;

/// Where the tables of users begin.
pub fn user_tables_start() -> Key {
    table::table_prefix(TableId(FIRST_USER_STORAGE_ID))
}

/// Names of the counters that ids are taken from (`keys::system::allocator`).
pub const OID_ALLOCATOR: &str = "oid";
pub const STORAGE_ID_ALLOCATOR: &str = "storage_id";

pub fn object_key(id: Oid) -> Vec<u8> {
    let mut key = table::start_key(OBJECTS, IndexId::PRIMARY);
    put_u32(&mut key, id.0);
    key
}

pub fn name_key(space: Space, name: &str) -> Vec<u8> {
    let mut key = table::start_key(NAMES, IndexId::PRIMARY);
    let (kind, parent) = match space {
        Space::Databases => (1, 0),
        Space::Roles => (2, 0),
        Space::Schemas(database) => (3, database.0),
        Space::Relations(schema) => (4, schema.0),
        Space::Types(schema) => (8, schema.0),
        Space::Functions(schema) => (5, schema.0),
    };
    key.push(kind);
    put_u32(&mut key, parent);
    put_bytes_terminated(&mut key, name.as_bytes());
    key
}

pub fn sequence_key(storage_id: u32) -> Vec<u8> {
    let mut key = table::start_key(SEQUENCES, IndexId::PRIMARY);
    put_u32(&mut key, storage_id);
    key
}

pub fn garbage_key(storage_id: u32, storage_index: u32) -> Vec<u8> {
    let mut key = table::start_key(GARBAGE, IndexId::PRIMARY);
    put_u32(&mut key, storage_id);
    put_u32(&mut key, storage_index);
    key
}

/// Reads the whole catalog as the transaction sees it.
pub async fn load(txn: &Txn) -> ExecResult<CatalogSnapshot> {
    let mut catalog = CatalogSnapshot::default();
    catalog.version = 1;
    let span = table::index_span(OBJECTS, IndexId::PRIMARY);
    let mut scan = txn.scan(ScanOptions::forward(span));
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let value = row.value.unwrap_or_default();
            let object: Object = serde_json::from_slice(value).map_err(|error| {
                let key = Key::copy_from(row.key);
                PgError::new(
                    SqlState::DATA_CORRUPTED,
                    format!("catalog object at {key} cannot be read: {error}"),
                )
            })?;
            catalog.insert(object);
        }
    }
    catalog.settings = Arc::new(load_settings(txn).await?);
    Ok(catalog)
}

/// The version of what is stored of a setting: this byte, then the value as text.
const SETTING_VERSION: u8 = 1;

/// Reads the cluster settings.
async fn load_settings(txn: &Txn) -> ExecResult<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    let mut scan = txn.scan(ScanOptions::forward(keys::system::setting_span()));
    while let Some(page) = scan.next_page(txn).await? {
        for row in page.iter() {
            let name = keys::system::parse_setting(row.key).ok();
            let (name, value) = name.zip(row.value.and_then(decode_setting)).ok_or_else(|| {
                let key = Key::copy_from(row.key);
                PgError::new(SqlState::DATA_CORRUPTED, format!("the setting at {key} cannot be read"))
            })?;
            settings.insert(name, value);
        }
    }
    Ok(settings)
}

fn encode_setting(value: &str) -> Vec<u8> {
    [&[SETTING_VERSION], value.as_bytes()].concat()
}

/// The value of a stored setting; `None`: it cannot be read.
pub fn decode_setting(bytes: &[u8]) -> Option<String> {
    let (version, value) = bytes.split_first()?;
    let text = std::str::from_utf8(value).ok().filter(|_| *version == SETTING_VERSION)?;
    Some(text.to_string())
}

/// Writes one setting into the transaction; `None`: back to its default.
pub fn write_setting(txn: &Txn, name: &str, value: Option<&str>) -> ExecResult<()> {
    let key = keys::system::setting(name);
    Ok(match value {
        Some(value) => txn.put(&key, &encode_setting(value))?,
        None => txn.delete(&key)?,
    })
}

/// What a transaction changes in the catalog: the newest form of each object and setting, or its end.
#[derive(Clone, Debug, Default)]
pub struct CatalogChange {
    changes: BTreeMap<Oid, Option<Object>>,
    settings: BTreeMap<String, Option<String>>,
}

impl CatalogChange {
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.settings.is_empty()
    }

    pub fn note_setting(&mut self, name: &str, value: Option<String>) {
        self.settings.insert(name.to_string(), value);
    }

    pub fn note(&mut self, id: Oid, object: Option<Object>) {
        self.changes.insert(id, object);
    }

    /// Carries the change over to another picture of the catalog.
    pub fn apply_to(&self, catalog: &mut CatalogSnapshot) {
        // Removals first: a name may have moved from one object to another.
        for id in self.changes.keys() {
            catalog.remove(*id);
        }
        for object in self.changes.values().flatten() {
            catalog.insert(object.clone());
        }
        if self.settings.is_empty() {
            return;
        }
        let settings = Arc::make_mut(&mut catalog.settings);
        for (name, value) in &self.settings {
            match value {
                Some(value) => drop(settings.insert(name.clone(), value.clone())),
                None => drop(settings.remove(name)),
            }
        }
    }

    pub fn ids(&self) -> impl Iterator<Item = Oid> {
        self.changes.keys().copied()
    }
}

/// Writes one object's change into the transaction: the object and the names that it takes or gives up.
///
/// Errors: the kind's "already exists" error when another transaction has taken a name meanwhile.
pub async fn write(txn: &Txn, id: Oid, old: Option<&Object>, new: Option<&Object>) -> ExecResult<()> {
    let key = object_key(id);
    let old_names: BTreeSet<(Space, &str)> = old.map_or_else(BTreeSet::new, names);
    let new_names: BTreeSet<(Space, &str)> = new.map_or_else(BTreeSet::new, names);
    for (space, name) in old_names.difference(&new_names) {
        txn.delete(&name_key(*space, name))?;
    }
    // A name freed above by this very statement may be taken again below.
    txn.begin_statement(false);
    if let Some(object) = new {
        let mut block = KvBlock::new();
        let mut inserted = Vec::new();
        for (space, name, target) in object.names() {
            if old_names.contains(&(space, name)) {
                continue;
            }
            block.push(&name_key(space, name), &encode_target(target));
            inserted.push((space, name));
        }
        if let Some(conflict) = txn.insert(&block, InsertCheck::Now).await? {
            let (space, name) = inserted[conflict.index];
            return Err(already_exists(space, name).into());
        }
        let value = serde_json::to_vec(object)
            .map_err(|error| ExecError::from(PgError::internal(error.to_string())))?;
        txn.put(&key, &value)?;
    } else {
        txn.delete(&key)?;
    }
    txn.begin_statement(false);
    Ok(())
}

fn names(object: &Object) -> BTreeSet<(Space, &str)> {
    object.names().into_iter().map(|(space, name, _)| (space, name)).collect()
}

fn encode_target(target: NameTarget) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    match target {
        NameTarget::Object(id) => put_u32(&mut out, id.0),
        NameTarget::Index { table, index } => {
            put_u32(&mut out, table.0);
            put_u32(&mut out, index.0);
        }
    }
    out
}

/// "already exists", as PostgreSQL words it for each kind.
pub fn already_exists(space: Space, name: &str) -> PgError {
    let (code, noun) = match space {
        Space::Databases => (SqlState::DUPLICATE_DATABASE, "database"),
        Space::Roles => (SqlState::DUPLICATE_OBJECT, "role"),
        Space::Schemas(_) => (SqlState::DUPLICATE_SCHEMA, "schema"),
        Space::Relations(_) => (SqlState::DUPLICATE_TABLE, "relation"),
        Space::Types(_) => (SqlState::DUPLICATE_OBJECT, "type"),
        Space::Functions(_) => (SqlState::DUPLICATE_FUNCTION, "function"),
    };
    PgError::new(code, format!("{noun} \"{name}\" already exists"))
}

/// Takes `count` ids in a row from a counter, in the given transaction (one of its own: ids are not given back).
pub async fn allocate(txn: &Txn, allocator: &str, first: u32, count: u32) -> ExecResult<u32> {
    let key = keys::system::allocator(allocator);
    let stored = txn.get(&key, Locking { absent: true, ..Locking::UPDATE }).await?;
    let next = match stored.as_deref() {
        None => first,
        Some(bytes) => u32::from_be_bytes(bytes.try_into().map_err(|_| {
            PgError::new(
                SqlState::DATA_CORRUPTED,
                format!("the counter {allocator} has {} bytes", bytes.len()),
            )
        })?),
    };
    let after = next
        .checked_add(count)
        .ok_or_else(|| PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, format!("no {allocator} is left")))?;
    txn.put(&key, &after.to_be_bytes())?;
    Ok(next)
}

/// Roles that PostgreSQL's initdb makes for others to be members of. What they stand for and is there to be done: reading and writing
/// all data.
const PREDEFINED_ROLES: [(u32, &str); 11] = [
    (3373, "pg_monitor"),
    (3374, "pg_read_all_settings"),
    (3375, "pg_read_all_stats"),
    (3377, "pg_stat_scan_tables"),
    (4200, "pg_signal_backend"),
    (4544, "pg_checkpoint"),
    (4569, "pg_read_server_files"),
    (4570, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (6181, "pg_read_all_data"),
    (6182, "pg_write_all_data"),
];

/// The roles that pg_monitor is a member of.
const MONITOR_ROLES: [u32; 3] = [3374, 3375, 3377];

/// The schema that a new database has: everybody may use it, the database's owner create in it.
pub fn public_schema(id: Oid, database: Oid) -> Object {
    let owner = DATABASE_OWNER_ROLE.0;
    let item = |grantee, rights| AclItem { grantee, grantor: owner, rights, grantable: Rights::NONE };
    Object::Schema(Arc::new(SchemaDescriptor {
        id,
        database,
        name: "public".into(),
        version: DescriptorVersion(1),
        owner: DATABASE_OWNER_ROLE.1.into(),
        temporary_on: None,
        acl: Acl(Some(vec![item(owner, AclKind::Schema.all()), item(PUBLIC, Rights::USAGE)])),
        default_acls: Vec::new(),
        comment: Some("standard public schema".into()),
    }))
}

/// The objects of a new cluster: the databases that PostgreSQL's initdb makes, their public schemas, the superuser.
pub fn initial_objects() -> Vec<Object> {
    const OWNER: &str = "postgres";
    let described = |id, name: &str, comment: &str| DatabaseDescriptor {
        comment: Some(comment.into()),
        ..DatabaseDescriptor::new(Oid(id), name, OWNER)
    };
    let template = |id, name: &str, closed, comment: &str| {
        let owner = Oid(10);
        let item = |grantee, rights| AclItem { grantee, grantor: owner, rights, grantable: Rights::NONE };
        let items = vec![item(PUBLIC, Rights::CONNECT), item(owner, AclKind::Database.all())];
        DatabaseDescriptor { template: true, closed, acl: Acl(Some(items)), ..described(id, name, comment) }
    };
    let database = |descriptor| Object::Database(Arc::new(descriptor));
    let schema = |id, database| public_schema(Oid(id), Oid(database));
    let superuser = RoleDescriptor {
        superuser: true,
        login: true,
        create_database: true,
        create_role: true,
        ..RoleDescriptor::new(Oid(10), OWNER)
    };
    let predefined = PREDEFINED_ROLES.iter().map(|(id, name)| {
        let member_of = if *name == "pg_monitor" { MONITOR_ROLES.map(Oid).to_vec() } else { Vec::new() };
        Object::Role(Arc::new(RoleDescriptor { member_of, ..RoleDescriptor::new(Oid(*id), *name) }))
    });
    let mut objects = vec![
        database(template(1, "template1", false, "default template for new databases")),
        database(template(4, "template0", true, "unmodifiable empty database")),
        database(described(5, "postgres", "default administrative connection database")),
        schema(2200, 5),
        schema(2201, 1),
        schema(2202, 4),
        Object::Role(Arc::new(superuser)),
    ];
    objects.extend(predefined);
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_setting_are_frozen() {
        assert_eq!(encode_setting("4h"), [1, b'4', b'h']);
        assert_eq!(decode_setting(&[1, b'4', b'h']).as_deref(), Some("4h"));
        assert_eq!(decode_setting(&[2, b'4', b'h']), None);
        assert_eq!(decode_setting(&[1, 0xff]), None);
        assert_eq!(decode_setting(&[]), None);
    }
}
