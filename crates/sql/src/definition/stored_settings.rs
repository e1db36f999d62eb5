//! ALTER ROLE ... SET and ALTER DATABASE ... SET: settings that sessions begin with.
//!
//! They are kept in the descriptors of the role and the database, as canonical text. A session takes them in this order, later
//! ones over earlier ones: its database's, its role's, its role's in the database, what the client asks for when it
//! connects.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{AlterDatabase, AlterDatabaseAction, CopyOption, OptionValue, SetAction, SetVariable};
use planner::ast::{SetValue, TimeZoneValue};
use types::descriptor::{DatabaseDescriptor, Oid};
use types::{PgError, PgResult, SqlState};

use crate::catalog::{CatalogSnapshot, Object, RoleDescriptor, RoleSettings};
use crate::session::Session;
use crate::session::statement::Tag;
use crate::settings::Settings;

/// A change of stored settings.
enum Change {
    Put(String, String),
    Remove(String),
    RemoveAll,
}

impl Change {
    fn apply(self, values: &mut Vec<(String, String)>) {
        match self {
            Change::Put(name, value) => match values.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => values.push((name, value)),
            },
            Change::Remove(name) => values.retain(|(known, _)| *known != name),
            Change::RemoveAll => values.clear(),
        }
    }
}

/// What a session of a role in a database begins with, in the order in which it is taken.
pub fn initial_settings(
    catalog: &CatalogSnapshot,
    database: Oid,
    role: &RoleDescriptor,
) -> Vec<(String, String)> {
    let of_database = catalog.database_by_id(database).map_or(&[][..], |database| &database.settings);
    let mut of_role: Vec<&RoleSettings> =
        role.settings.iter().filter(|settings| settings.database.is_none_or(|id| id == database)).collect();
    of_role.sort_by_key(|settings| settings.database.is_some());
    of_database.iter().chain(of_role.into_iter().flat_map(|settings| &settings.values)).cloned().collect()
}

impl Session {
    fn stored_change(&self, variable: &SetVariable) -> PgResult<Change> {
        let put = |name: &str, values: &[&str]| {
            let (name, value) = Settings::canonical(name, values)?;
            Ok(Change::Put(name.to_string(), value.to_string()))
        };
        match &variable.action {
            SetAction::Set { name, values } => {
                put(name, &values.iter().map(SetValue::text).collect::<Vec<_>>())
            }
            SetAction::Default { name } => Ok(Change::Remove(Settings::canonical_name(name)?.to_string())),
            SetAction::ResetAll => Ok(Change::RemoveAll),
            SetAction::FromCurrent { name } => put(name, &[&*self.setting(name)?]),
            SetAction::TimeZone(None) => Ok(Change::Remove("TimeZone".into())),
            SetAction::TimeZone(Some(
                TimeZoneValue::Name(text) | TimeZoneValue::Hours(text) | TimeZoneValue::Interval(text),
            )) => put("TimeZone", &[&**text]),
            SetAction::Role(role) => put("role", &[role.as_deref().unwrap_or("none")]),
            SetAction::SessionAuthorization(_)
            | SetAction::Transaction(_)
            | SetAction::Characteristics(_)
            | SetAction::TransactionSnapshot(_) => {
                Err(PgError::unsupported("a stored setting of this kind").at(variable.position))
            }
        }
    }

    /// ALTER ROLE role [IN DATABASE database] SET | RESET. `role`: `None` is ALL.
    pub(super) async fn store_role_setting(
        &mut self,
        role: Option<&str>,
        database: Option<&str>,
        variable: &SetVariable,
    ) -> ExecResult<Tag> {
        let change = self.stored_change(variable)?;
        let snapshot = self.snapshot();
        let database = database.map(|name| database_named(&snapshot, name)).transpose()?;
        let user = snapshot.role(&self.user);
        let superuser = user.is_some_and(|user| user.superuser);
        let Some(role) = role else {
            if !superuser {
                let message = "must be superuser to alter settings globally";
                return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
            }
            // Everybody's settings in one database are the database's.
            let Some(database) = database else {
                return Err(PgError::unsupported("ALTER ROLE ALL SET").into());
            };
            let mut changed = DatabaseDescriptor::clone(&database);
            change.apply(&mut changed.settings);
            self.put_object(Object::Database(Arc::new(changed))).await?;
            return Ok(Tag::Plain("ALTER ROLE"));
        };
        let mut changed = RoleDescriptor::clone(snapshot.role(role).ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{role}\" does not exist"))
        })?);
        let refusal = match changed.superuser {
            true if !superuser => Some("must be superuser to alter superusers"),
            false if role != self.user && !user.is_some_and(|user| user.superuser || user.create_role) => {
                Some("permission denied")
            }
            _ => None,
        };
        if let Some(message) = refusal {
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        let database = database.map(|database| database.id);
        let at = changed.settings.iter().position(|settings| settings.database == database);
        let at = at.unwrap_or_else(|| {
            changed.settings.push(RoleSettings { database, values: Vec::new() });
            changed.settings.len() - 1
        });
        change.apply(&mut changed.settings[at].values);
        changed.settings.retain(|settings| !settings.values.is_empty());
        self.put_object(Object::Role(Arc::new(changed))).await?;
        Ok(Tag::Plain("ALTER ROLE"))
    }

    pub(super) async fn alter_database(&mut self, alter: &AlterDatabase) -> ExecResult<Tag> {
        let name = &*alter.name.name;
        let snapshot = self.snapshot();
        let database = database_named(&snapshot, name)?;
        self.require_owner("database", name, &database.owner)?;
        let mut changed = DatabaseDescriptor::clone(&database);
        match &alter.action {
            AlterDatabaseAction::Set(variable) => {
                self.stored_change(variable)?.apply(&mut changed.settings);
            }
            AlterDatabaseAction::Options(options) => {
                for option in options {
                    if !apply_option(&mut changed, option)?
                        && !self.set_database_option(&mut changed.options, option)?
                    {
                        let message = format!("option \"{}\" not recognized", option.name);
                        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(option.position).into());
                    }
                }
                if changed.closed && database.id == self.database {
                    let message = "cannot disallow connections for current database";
                    return Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into());
                }
            }
            AlterDatabaseAction::RefreshCollation => {
                self.notice(PgError::notice("version has not changed"));
                return Ok(Tag::Plain("ALTER DATABASE"));
            }
        }
        self.put_object(Object::Database(Arc::new(changed))).await?;
        Ok(Tag::Plain("ALTER DATABASE"))
    }
}

fn database_named(snapshot: &CatalogSnapshot, name: &str) -> PgResult<Arc<DatabaseDescriptor>> {
    snapshot.database(name).cloned().ok_or_else(|| {
        PgError::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"))
    })
}

/// An option of CREATE and ALTER DATABASE that is kept with the database; false for one that is none of these. Errors: 22023.
pub(super) fn apply_option(database: &mut DatabaseDescriptor, option: &CopyOption) -> PgResult<bool> {
    let default = option.value == OptionValue::None;
    match &*option.name {
        "is_template" => database.template = !default && boolean(option)?,
        "allow_connections" => database.closed = !default && !boolean(option)?,
        "connection limit" | "connection_limit" => {
            database.connection_limit = if default { -1 } else { connection_limit(option)? };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn boolean(option: &CopyOption) -> PgResult<bool> {
    match &option.value {
        OptionValue::None => Ok(true),
        OptionValue::Text(text) | OptionValue::Number(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{} requires a Boolean value", option.name))
                    .at(option.position))
            }
        },
        OptionValue::List(_) | OptionValue::Star => {
            Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{} requires a Boolean value", option.name))
                .at(option.position))
        }
    }
}

fn connection_limit(option: &CopyOption) -> PgResult<i32> {
    let (OptionValue::Text(text) | OptionValue::Number(text)) = &option.value else {
        let message = format!("{} requires an integer value", option.name);
        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(option.position));
    };
    let limit = text.parse::<i32>().ok().filter(|limit| *limit >= -1);
    limit.ok_or_else(|| {
        let message = format!("invalid connection limit: {text}");
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).at(option.position)
    })
}
