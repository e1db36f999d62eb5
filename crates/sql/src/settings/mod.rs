//! Run-time settings: SET, SHOW, RESET, with PostgreSQL's transaction rules.
//!
//! SET lasts for the session, unless its transaction rolls back; SET LOCAL ends with the transaction; a savepoint rolled back
//! to undoes both. Values are kept as canonical text (what SHOW prints); whoever needs a number asks for it.

pub mod checks;
mod definitions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use definitions::{Check, Context, DEFINITIONS, Definition, SERVER_VERSION};
use types::{PgError, PgResult, SqlState};

use crate::cluster_settings;

/// The type of a setting's value.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    /// Lowest and highest value.
    Integer(i64, i64),
    /// A time; the lowest value.
    Milliseconds(i64),
    /// A size; the lowest value.
    Kilobytes(i64),
    /// A time; lowest and highest value.
    MillisecondsIn(i64, i64),
    /// A size; lowest and highest value.
    KilobytesIn(i64, i64),
    Text,
    Enum(&'static [&'static str]),
}

impl Kind {
    /// pg_settings.vartype.
    pub fn type_name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Integer(..)
            | Kind::Milliseconds(_)
            | Kind::Kilobytes(_)
            | Kind::MillisecondsIn(..)
            | Kind::KilobytesIn(..) => "integer",
            Kind::Text => "string",
            Kind::Enum(_) => "enum",
        }
    }

    /// Lowest and highest value of a number, in its unit.
    pub fn range(self) -> Option<(i64, i64)> {
        match self {
            Kind::Integer(least, most)
            | Kind::MillisecondsIn(least, most)
            | Kind::KilobytesIn(least, most) => Some((least, most)),
            Kind::Milliseconds(least) | Kind::Kilobytes(least) => Some((least, i64::from(i32::MAX))),
            Kind::Bool | Kind::Text | Kind::Enum(_) => None,
        }
    }

    /// The suffixes that a number may have, with how many of the unit each is.
    pub fn units(self) -> &'static [(&'static str, i64)] {
        match self {
            Kind::Milliseconds(_) | Kind::MillisecondsIn(..) => checks::TIME_UNITS,
            Kind::Kilobytes(_) | Kind::KilobytesIn(..) => checks::SIZE_UNITS,
            _ => &[],
        }
    }

    pub fn unit(self) -> Option<&'static str> {
        match self {
            Kind::Milliseconds(_) | Kind::MillisecondsIn(..) => Some("ms"),
            Kind::Kilobytes(_) | Kind::KilobytesIn(..) => Some("kB"),
            _ => None,
        }
    }
}

/// The definition of a setting, looked up without regard to case. Errors: 42704.
pub fn definition(name: &str) -> PgResult<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
    })
}

/// Settings made by users themselves: two-part names, text values (`myapp.user_id`).
fn is_custom(name: &str) -> bool {
    let mut parts = name.split('.');
    let valid = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
    };
    name.contains('.') && parts.all(valid)
}

type Values = BTreeMap<Arc<str>, Arc<str>>;

/// A session's settings.
///
/// - `session` holds what differs from the defaults; `local` what SET LOCAL put on top for this transaction.
/// - `at_begin` is `session` as it was when the transaction first changed it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    defaults: Arc<Values>,
    session: Arc<Values>,
    local: Arc<Values>,
    at_begin: Option<Arc<Values>>,
    /// Counts changes: caches of derived values compare it.
    generation: u64,
}

/// What ROLLBACK TO SAVEPOINT goes back to.
#[derive(Clone)]
pub struct SettingsMark {
    session: Arc<Values>,
    local: Arc<Values>,
}

impl Settings {
    /// `defaults` override the built-in ones (ALTER DATABASE/ROLE SET, startup options): what RESET goes back to.
    pub fn new() -> Self {
        Settings::default()
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets what the server alone decides.
    pub fn tell(&mut self, name: &'static str, value: &str) {
        Arc::make_mut(&mut self.defaults).insert(name.into(), value.into());
        self.generation += 1;
    }

    /// Sets what RESET goes back to (a startup parameter).
    pub fn set_default(&mut self, name: &str, value: &str) -> PgResult<()> {
        let values = checks::split_values(name, value);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let (name, value) = self.checked(name, &values)?;
        Arc::make_mut(&mut self.defaults).insert(name, value);
        self.generation += 1;
        Ok(())
    }

    /// A setting's name and a value as they are kept. Errors: 42704, 55P02, 22023.
    pub fn canonical(name: &str, values: &[&str]) -> PgResult<(Arc<str>, Arc<str>)> {
        Settings::default().checked(name, values)
    }

    /// A setting's name as it is kept. Errors: 42704.
    pub fn canonical_name(name: &str) -> PgResult<Arc<str>> {
        match definition(name) {
            Ok(definition) => Ok(definition.name.into()),
            Err(_) if is_custom(name) => Ok(name.to_ascii_lowercase().into()),
            Err(error) => Err(error),
        }
    }

    /// The value as SHOW prints it. Errors: 42704.
    pub fn get(&self, name: &str) -> PgResult<Arc<str>> {
        let found = match DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name)) {
            Some(definition) => self.lookup(definition.name).unwrap_or_else(|| definition.default.into()),
            None => self.lookup(&name.to_ascii_lowercase()).ok_or_else(|| {
                PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("unrecognized configuration parameter \"{name}\""),
                )
            })?,
        };
        Ok(found)
    }

    fn lookup(&self, name: &str) -> Option<Arc<str>> {
        [&self.local, &self.session, &self.defaults].into_iter().find_map(|values| values.get(name)).cloned()
    }

    /// SET. `values` are the comma-separated values as written; `in_transaction` tells whether a rollback can undo it.
    pub fn set(&mut self, name: &str, values: &[&str], local: bool, in_transaction: bool) -> PgResult<()> {
        let (name, value) = self.checked(name, values)?;
        self.remember(in_transaction);
        if definition(&name).is_err() {
            // A setting that users made stays known once it has been set, empty at last.
            Arc::make_mut(&mut self.defaults).entry(name.clone()).or_insert_with(|| "".into());
        }
        if local {
            Arc::make_mut(&mut self.local).insert(name, value);
        } else {
            Arc::make_mut(&mut self.local).remove(&name);
            Arc::make_mut(&mut self.session).insert(name, value);
        }
        self.generation += 1;
        Ok(())
    }

    /// RESET name, SET name TO DEFAULT.
    pub fn reset(&mut self, name: &str, local: bool, in_transaction: bool) -> PgResult<()> {
        let name: Arc<str> = match definition(name) {
            Ok(definition) if definition.context == Context::Internal => {
                return Err(cannot_change(definition.name));
            }
            Ok(definition) => definition.name.into(),
            Err(_) if cluster_settings::definition(name).is_ok() => return Err(cannot_change_now(name)),
            Err(error) if !is_custom(name) => return Err(error),
            Err(_) => name.to_ascii_lowercase().into(),
        };
        self.remember(in_transaction);
        if local {
            let default = self.defaults.get(&name).cloned();
            let built_in = || definition(&name).map_or("", |definition| definition.default).into();
            let value = default.unwrap_or_else(built_in);
            Arc::make_mut(&mut self.local).insert(name, value);
        } else {
            Arc::make_mut(&mut self.local).remove(&name);
            Arc::make_mut(&mut self.session).remove(&name);
        }
        self.generation += 1;
        Ok(())
    }

    pub fn reset_all(&mut self, in_transaction: bool) {
        self.remember(in_transaction);
        // Who the user is, is no matter of RESET ALL (GUC_NO_RESET_ALL).
        let kept = |values: &Values| -> Arc<Values> {
            let of_identity = |name: &str| matches!(name, "role" | "session_authorization");
            let kept = values.iter().filter(|(name, _)| of_identity(name));
            Arc::new(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        self.local = kept(&self.local);
        self.session = kept(&self.session);
        self.generation += 1;
    }

    fn remember(&mut self, in_transaction: bool) {
        if in_transaction && self.at_begin.is_none() {
            self.at_begin = Some(self.session.clone());
        }
    }

    pub fn mark(&self) -> SettingsMark {
        SettingsMark { session: self.session.clone(), local: self.local.clone() }
    }

    pub fn rollback_to(&mut self, mark: SettingsMark) {
        self.session = mark.session;
        self.local = mark.local;
        self.generation += 1;
    }

    /// The transaction ends.
    pub fn end_transaction(&mut self, committed: bool) {
        if let Some(before) = self.at_begin.take() {
            if !committed {
                self.session = before;
            }
            self.generation += 1;
        }
        if !self.local.is_empty() {
            self.local = Arc::default();
            self.generation += 1;
        }
    }

    /// What differs in what the client is told of (ParameterStatus), since `before`.
    pub fn reported(&self) -> Vec<(&'static str, Arc<str>)> {
        DEFINITIONS
            .iter()
            .filter(|definition| definition.reported)
            .map(|definition| {
                let value = self.lookup(definition.name).unwrap_or_else(|| definition.default.into());
                (definition.name, value)
            })
            .collect()
    }

    /// All settings with their values, by name; custom ones last.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<str>, Option<&'static Definition>)> {
        let mut all: Vec<_> = DEFINITIONS
            .iter()
            .map(|definition| {
                let value = self.lookup(definition.name).unwrap_or_else(|| definition.default.into());
                (definition.name.into(), value, Some(definition))
            })
            .collect();
        let custom =
            self.session.iter().chain(self.local.iter()).filter(|(name, _)| definition(name).is_err());
        let custom: BTreeMap<_, _> = custom.map(|(name, value)| (name.clone(), value.clone())).collect();
        all.extend(custom.into_iter().map(|(name, value)| (name, value, None)));
        all
    }

    pub fn bool(&self, name: &str) -> bool {
        self.get(name).is_ok_and(|value| &*value == "on")
    }

    /// A time setting; zero means "none".
    pub fn duration(&self, name: &str) -> Option<Duration> {
        let value = self.get(name).ok()?;
        let milliseconds = checks::parse_with_unit(&value, checks::TIME_UNITS)?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds as u64))
    }

    /// A size setting, in bytes.
    pub fn bytes(&self, name: &str) -> u64 {
        let value = self.get(name).ok();
        let kilobytes = value.and_then(|value| checks::parse_with_unit(&value, checks::SIZE_UNITS));
        kilobytes.unwrap_or(0).max(0) as u64 * 1024
    }

    pub fn integer(&self, name: &str) -> i64 {
        self.get(name).ok().and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    fn checked(&self, name: &str, values: &[&str]) -> PgResult<(Arc<str>, Arc<str>)> {
        let definition = match definition(name) {
            Ok(definition) => definition,
            Err(_) if is_custom(name) => {
                return Ok((name.to_ascii_lowercase().into(), values.join(", ").into()));
            }
            Err(_) if cluster_settings::definition(name).is_ok() => return Err(cannot_change_now(name)),
            Err(error) => return Err(error),
        };
        if definition.context == Context::Internal {
            return Err(cannot_change(definition.name));
        }
        Ok((definition.name.into(), checks::check(definition, values)?.into()))
    }
}

/// A setting of the cluster, which sessions do not have of their own.
fn cannot_change_now(name: &str) -> PgError {
    let message = format!("parameter \"{}\" cannot be changed now", name.to_ascii_lowercase());
    PgError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message)
}

fn cannot_change(name: &str) -> PgError {
    PgError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, format!("parameter \"{name}\" cannot be changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(settings: &Settings, name: &str) -> String {
        settings.get(name).expect("exists").to_string()
    }

    #[test]
    fn set_lasts_unless_rolled_back() {
        let mut settings = Settings::new();
        settings.set("statement_timeout", &["5s"], false, true).expect("valid");
        assert_eq!(show(&settings, "statement_timeout"), "5s");
        settings.end_transaction(false);
        assert_eq!(show(&settings, "statement_timeout"), "0");
        settings.set("STATEMENT_TIMEOUT", &["90000"], false, true).expect("valid");
        settings.end_transaction(true);
        assert_eq!(show(&settings, "statement_timeout"), "90s");
        assert_eq!(settings.duration("statement_timeout"), Some(Duration::from_secs(90)));
    }

    #[test]
    fn set_local_ends_with_the_transaction() {
        let mut settings = Settings::new();
        settings.set("lock_timeout", &["1min"], true, true).expect("valid");
        assert_eq!(show(&settings, "lock_timeout"), "1min");
        settings.end_transaction(true);
        assert_eq!(show(&settings, "lock_timeout"), "0");
    }

    #[test]
    fn errors_are_postgresqls() {
        let mut settings = Settings::new();
        let mut code = |name: &str, value: &str| {
            settings.set(name, &[value], false, false).expect_err("must fail").code().to_string()
        };
        assert_eq!(code("no_such", "1"), "42704");
        assert_eq!(code("server_version", "1"), "55P02");
        assert_eq!(code("statement_timeout", "-3"), "22023");
        assert_eq!(code("statement_timeout", "abc"), "22023");
        assert_eq!(code("extra_float_digits", "9"), "22023");
        assert_eq!(code("bytea_output", "octal"), "22023");
        assert_eq!(code("standard_conforming_strings", "off"), "0A000");
    }

    #[test]
    fn custom_settings_need_two_parts() {
        let mut settings = Settings::new();
        settings.set("myapp.user", &["7"], false, false).expect("valid");
        assert_eq!(show(&settings, "myapp.user"), "7");
        settings.set("myapp.local", &["8"], true, true).expect("valid");
        settings.end_transaction(true);
        assert_eq!(show(&settings, "myapp.local"), "");
        assert!(settings.set("myapp", &["7"], false, false).is_err());
    }
}
