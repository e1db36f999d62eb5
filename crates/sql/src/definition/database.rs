//! CREATE DATABASE, DROP DATABASE: each in a transaction of its own, as in PostgreSQL not within a block.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{CreateDatabase, DropDatabase, OptionValue};
use types::descriptor::{DatabaseDescriptor, Oid};

use types::{PgError, PgResult, Severity, SqlState};

use super::stored_settings::apply_option;
use crate::catalog::{Object, Space, store};
use crate::session::Session;
use crate::session::statement::Tag;

impl Session {
    fn refuse_in_block(&self, command: &str) -> PgResult<()> {
        if self.in_block() {
            return Err(PgError::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{command} cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }

    pub(super) async fn create_database(&mut self, create: &CreateDatabase) -> ExecResult<Tag> {
        self.refuse_in_block("CREATE DATABASE")?;
        self.ensure_transaction();
        let name = &*create.name.name;
        let mut database = DatabaseDescriptor::new(Oid(0), name, self.user.clone());
        for option in &create.options {
            match &*option.name {
                _ if apply_option(&mut database, option)? => continue,
                _ if self.set_database_option(&mut database.options, option)? => continue,
                "owner" => {
                    database.owner = self.new_owner(&option.value)?;
                    continue;
                }
                "encoding" | "lc_collate" | "lc_ctype" | "locale" | "template" | "tablespace" => {}
                other => {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("option \"{other}\" not recognized"),
                    )
                    .at(option.position)
                    .into());
                }
            }
            check_option(&option.name, &option.value)?;
        }
        if self.snapshot().database(name).is_some() {
            return Err(store::already_exists(Space::Databases, name).into());
        }
        let id = self.new_oid().await?;
        let database = DatabaseDescriptor { id, ..database };
        self.put_object(Object::Database(Arc::new(database))).await?;
        let public = store::public_schema(self.new_oid().await?, id);
        self.put_object(public).await?;
        Ok(Tag::Plain("CREATE DATABASE"))
    }

    /// OWNER: a role that the user may become. Errors: 42704, 42501.
    fn new_owner(&mut self, value: &OptionValue) -> PgResult<String> {
        let OptionValue::Text(name) = value else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "owner requires a name"));
        };
        let snapshot = self.snapshot();
        if &**name == "default" {
            return Ok(self.user.clone());
        }
        if snapshot.role(name).is_none() {
            let message = format!("role \"{name}\" does not exist");
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message));
        }
        if !snapshot.is_member(self.database, &self.user, name) {
            let message = format!("must be member of role \"{name}\"");
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        Ok(name.to_string())
    }

    pub(super) async fn drop_database(&mut self, drop: &DropDatabase) -> ExecResult<Tag> {
        self.refuse_in_block("DROP DATABASE")?;
        self.ensure_transaction();
        let name = &*drop.name.name;
        let snapshot = self.snapshot();
        let Some(database) = snapshot.database(name).cloned() else {
            let error =
                PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"));
            if !drop.if_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("DROP DATABASE"));
        };
        if database.id == self.database {
            return Err(
                PgError::new(SqlState::OBJECT_IN_USE, "cannot drop the currently open database").into()
            );
        }
        self.require_owner("database", name, &database.owner)?;
        if database.template {
            let message = "cannot drop a template database";
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).into());
        }
        let others =
            self.server.sessions().into_iter().filter(|entry| entry.row.lock().database_id == database.id);
        let others: Vec<_> = others.collect();
        if !others.is_empty() {
            if drop.force {
                return Err(PgError::unsupported("DROP DATABASE ... WITH (FORCE)").into());
            }
            let (count, plural) = (others.len(), if others.len() == 1 { "is" } else { "are" });
            let sessions = if count == 1 { "session" } else { "sessions" };
            return Err(PgError::new(
                SqlState::OBJECT_IN_USE,
                format!("database \"{name}\" is being accessed by other users"),
            )
            .detail(format!("There {plural} {count} other {sessions} using the database."))
            .into());
        }
        let belongs = |object: &&Object| match object {
            Object::Schema(schema) => schema.database == database.id,
            Object::Table(table) => table.database == database.id,
            Object::Sequence(sequence) => sequence.database == database.id,
            Object::View(view) => view.database == database.id,
            Object::Type(found) => found.database == database.id,
            Object::Function(function) => function.database == database.id,
            Object::Database(_) | Object::Role(_) => false,
        };
        let objects: Vec<Object> = snapshot.objects().filter(belongs).cloned().collect();
        for object in objects {
            match &object {
                Object::Table(table) => self.leave_garbage(table.storage_id, crate::garbage::WHOLE_TABLE)?,
                Object::Sequence(sequence) => {
                    self.active().txn.delete(&store::sequence_key(sequence.storage_id))?;
                }
                _ => {}
            }
            self.remove_object(object.id()).await?;
        }
        self.remove_object(database.id).await?;
        Ok(Tag::Plain("DROP DATABASE"))
    }
}

/// Options of CREATE DATABASE whose value would change something that cannot be changed.
fn check_option(name: &str, value: &planner::ast::OptionValue) -> PgResult<()> {
    use planner::ast::OptionValue::{Number, Text};
    let (Text(text) | Number(text)) = value else { return Ok(()) };
    let fits = match name {
        "encoding" => {
            matches!(text.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode" | "default")
        }
        "lc_collate" | "lc_ctype" | "locale" => {
            matches!(&**text, "C" | "POSIX" | "C.UTF-8" | "C.utf8" | "default")
        }
        "template" => matches!(&**text, "template0" | "template1" | "default"),
        "tablespace" => matches!(&**text, "pg_default" | "default"),
        _ => &**text == "default",
    };
    if fits { Ok(()) } else { Err(PgError::unsupported(format!("CREATE DATABASE with {name} {text}"))) }
}
