//! Where a new object goes, which object a name means, and names that the server makes up.

use executor::ExecResult;
use planner::ast::{ObjectKind, ObjectName};
use types::acl::Rights;
use types::descriptor::Oid;
use types::{PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, NameTarget, Object, Space, store};
use crate::session::Session;
use crate::small_transaction::in_own_transaction;
use crate::virtual_tables;

/// Longest identifier, in bytes (NAMEDATALEN - 1).
const NAME_BYTES_MAX: usize = 63;

/// Oids and storage ids are taken from their counters this many at a time.
const IDS_PER_BLOCK: u32 = 64;

/// Ids taken and not yet used.
#[derive(Default)]
pub struct IdBlock {
    next: u32,
    end: u32,
}

impl Session {
    /// A fresh oid. One given to a transaction that fails is lost, as in PostgreSQL.
    pub(super) async fn new_oid(&mut self) -> ExecResult<Oid> {
        let server = self.server.clone();
        let mut block = server.oids.lock().await;
        take_id(&server.db, &mut block, store::OID_ALLOCATOR, types::descriptor::FIRST_USER_OID)
            .await
            .map(Oid)
    }

    /// A fresh keyspace for a table or sequence.
    pub(super) async fn new_storage_id(&mut self) -> ExecResult<u32> {
        let server = self.server.clone();
        let mut block = server.storage_ids.lock().await;
        take_id(&server.db, &mut block, store::STORAGE_ID_ALLOCATOR, store::FIRST_USER_STORAGE_ID).await
    }

    /// The schema that a new relation goes to: the one named, else the first of the search path that exists.
    pub(super) fn creation_schema(&mut self, name: &ObjectName) -> PgResult<Oid> {
        let snapshot = self.snapshot();
        self.check_database(name)?;
        let id = match name.schema() {
            Some(schema) => {
                self.schema_named(&snapshot, schema).map_err(|error| error.or_at(name.position()))?
            }
            None => {
                let search_path = &self.info().search_path;
                let found = search_path.iter().find_map(|schema| snapshot.schema(self.database, schema));
                let found = found.map(|schema| schema.id).ok_or_else(|| {
                    PgError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
                        .at(name.position())
                })?;
                found
            }
        };
        if let Some(schema) = snapshot.schema_by_id(id) {
            self.require_right(&snapshot, (&**schema).into(), Rights::CREATE)
                .map_err(|error| error.or_at(name.position()))?;
        }
        Ok(id)
    }

    pub(super) fn schema_named(&self, snapshot: &CatalogSnapshot, schema: &str) -> PgResult<Oid> {
        if virtual_tables::is_system_schema(schema) {
            return Err(PgError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for schema {schema}"),
            ));
        }
        snapshot.schema(self.database, schema).map(|schema| schema.id).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
        })
    }

    fn check_database(&self, name: &ObjectName) -> PgResult<()> {
        match name.database() {
            Some(database) if database != self.info().database => Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cross-database references are not implemented: \"{name}\""),
            )
            .at(name.position())),
            _ => Ok(()),
        }
    }

    /// What a relation name means, along the search path; `None` when there is no such relation. A schema that does not
    /// exist is 3F000.
    pub(super) fn find_relation(&mut self, name: &ObjectName) -> PgResult<Option<NameTarget>> {
        let snapshot = self.snapshot();
        self.check_database(name)?;
        if let Some(schema) = name.schema() {
            if self.is_own_temporary(schema) {
                let own = self.temporary_schema();
                return Ok(own.and_then(|schema| snapshot.relation(schema, name.name())));
            }
            if virtual_tables::is_system_schema(schema) {
                return match virtual_tables::find(schema, name.name()) {
                    None => Ok(None),
                    Some(_) => Err(PgError::new(
                        SqlState::INSUFFICIENT_PRIVILEGE,
                        format!("permission denied: \"{}\" is a system catalog", name.name()),
                    )),
                };
            }
            let schema = self.schema_named(&snapshot, schema)?;
            return Ok(snapshot.relation(schema, name.name()));
        }
        let search_path = self.lookup_schemas();
        let schemas = search_path.iter().filter_map(|schema| snapshot.schema(self.database, schema));
        let found = schemas.filter_map(|schema| snapshot.relation(schema.id, name.name())).next();
        if found.is_none() && virtual_tables::find("pg_catalog", name.name()).is_some() {
            return Err(PgError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", name.name()),
            ));
        }
        Ok(found)
    }

    /// The relation of a name, which must exist: 42P01.
    pub(super) fn relation(&mut self, name: &ObjectName) -> PgResult<NameTarget> {
        self.find_relation(name)?.ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
                .at(name.position())
        })
    }

    /// The table of a name: 42P01 when there is nothing, 42809 when it is something else.
    pub(super) fn table_named(&mut self, name: &ObjectName) -> PgResult<Oid> {
        let target = self.relation(name)?;
        let snapshot = self.snapshot();
        match target {
            NameTarget::Object(id) if snapshot.table(id).is_some() => Ok(id),
            _ => Err(wrong_kind(name.name(), ObjectKind::Table)),
        }
    }
}

async fn take_id(db: &kvclient::Db, block: &mut IdBlock, allocator: &str, first: u32) -> ExecResult<u32> {
    if block.next == block.end {
        let start =
            in_own_transaction!(db, |txn| store::allocate(&txn, allocator, first, IDS_PER_BLOCK).await)?;
        *block = IdBlock { next: start, end: start + IDS_PER_BLOCK };
    }
    block.next += 1;
    Ok(block.next - 1)
}

/// 42809: `"x" is not a table`.
pub fn wrong_kind(name: &str, wanted: ObjectKind) -> PgError {
    let noun = wanted.noun();
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    PgError::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not {article} {noun}"))
}

/// The kind of an object, for messages.
pub fn kind_of(snapshot: &CatalogSnapshot, target: NameTarget) -> ObjectKind {
    match target {
        NameTarget::Index { .. } => ObjectKind::Index,
        NameTarget::Object(id) => match snapshot.object(id) {
            Some(Object::Sequence(_)) => ObjectKind::Sequence,
            Some(Object::View(_)) => ObjectKind::View,
            Some(Object::Schema(_)) => ObjectKind::Schema,
            Some(Object::Database(_)) => ObjectKind::Database,
            Some(Object::Role(_)) => ObjectKind::Role,
            Some(Object::Type(_)) => ObjectKind::Type,
            Some(Object::Function(_)) => ObjectKind::Function,
            Some(Object::Table(_)) | None => ObjectKind::Table,
        },
    }
}

/// PostgreSQL's makeObjectName: `first_second_label`, the longer of the first two parts cut until it fits.
pub fn object_name(first: &str, second: &str, label: &str) -> String {
    let separators = usize::from(!second.is_empty()) + usize::from(!label.is_empty());
    let room = NAME_BYTES_MAX - label.len() - separators;
    let (mut first_length, mut second_length) = (first.len(), second.len());
    while first_length + second_length > room {
        if first_length > second_length {
            first_length -= 1;
        } else {
            second_length -= 1;
        }
    }
    let mut name = clip(first, first_length).to_string();
    for part in [clip(second, second_length), label] {
        if !part.is_empty() {
            name.push('_');
            name.push_str(part);
        }
    }
    name
}

/// At most `length` bytes, cut between characters.
fn clip(text: &str, mut length: usize) -> &str {
    while !text.is_char_boundary(length) {
        length -= 1;
    }
    &text[..length]
}

/// PostgreSQL's ChooseRelationName: the first of `a_b_label`, `a_b_label1`, ... that is free.
pub fn free_name(first: &str, second: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = object_name(first, second, label);
    let mut number = 0;
    while taken(&name) {
        number += 1;
        name = object_name(first, second, &format!("{label}{number}"));
    }
    name
}

/// Is the name taken by a relation of the schema?
pub fn relation_taken(snapshot: &CatalogSnapshot, schema: Oid, name: &str) -> bool {
    snapshot.lookup(Space::Relations(schema), name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_postgresqls() {
        assert_eq!(object_name("t", "a_b", "key"), "t_a_b_key");
        assert_eq!(object_name("t", "", "pkey"), "t_pkey");
        let long = "x".repeat(60);
        let name = object_name(&long, "column", "seq");
        assert_eq!(name.len(), 63);
        assert_eq!(name, format!("{}_column_seq", "x".repeat(52)));
        assert_eq!(free_name("t", "a", "idx", |name| name == "t_a_idx" || name == "t_a_idx1"), "t_a_idx2");
    }
}
