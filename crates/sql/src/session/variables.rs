//! SET, SHOW, RESET.

use std::sync::Arc;

use executor::ExecResult;
use pgserver::{ColumnDescription, ResultSink};
use planner::ast::{
    ClusterSetting, SetAction, SetConstraints, SetScope, SetValue, SetVariable, Show, TimeZoneValue,
    TransactionMode,
};
use types::format::{ByteaOutput, DateFormat, DateOrder, FormatContext, IntervalStyle};
use types::timezone::TimeZone;
use types::{DataType, PgError, PgResult, Severity, SqlState};

use super::Session;
use super::prepared::describe_column;
use super::services::Assignment;
use super::statement::{Run, Tag};
use super::transaction::{isolation_name, isolation_named};
use crate::cluster_settings::{self, InForce};
use crate::settings::{Settings, definition};

/// Text and binary formats as the settings have them. `now` is put in by the transaction.
pub fn format_context(settings: &Settings) -> PgResult<FormatContext> {
    let date_style = settings.get("DateStyle")?;
    let (style, order) = date_style.split_once(", ").unwrap_or((&date_style, "MDY"));
    Ok(FormatContext {
        time_zone: TimeZone::from_setting(&settings.get("TimeZone")?)?,
        date_format: match style {
            "SQL" => DateFormat::Sql,
            "Postgres" => DateFormat::Postgres,
            "German" => DateFormat::German,
            _ => DateFormat::Iso,
        },
        date_order: match order {
            "YMD" => DateOrder::Ymd,
            "DMY" => DateOrder::Dmy,
            _ => DateOrder::Mdy,
        },
        interval_style: match &*settings.get("IntervalStyle")? {
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        },
        bytea_output: match &*settings.get("bytea_output")? {
            "escape" => ByteaOutput::Escape,
            _ => ByteaOutput::Hex,
        },
        extra_float_digits: settings.integer("extra_float_digits") as i32,
        now: 0,
        types: types::user_type::Directory::default(),
    })
}

/// Whether client_min_messages lets a notice of this severity through.
pub fn reaches_client(severity: Severity, level: &str) -> bool {
    let rank = |name: &str| {
        const ORDER: [&str; 9] =
            ["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];
        ORDER.iter().position(|other| *other == name).unwrap_or(6)
    };
    let of = match severity {
        Severity::Debug => "debug1",
        Severity::Log => "log",
        // INFO always reaches the client.
        Severity::Info => return true,
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error | Severity::Fatal | Severity::Panic => "error",
    };
    rank(of) >= rank(level)
}

/// The columns of SHOW's answer. Errors: 42704.
pub fn show_columns(show: &Show) -> PgResult<Arc<[ColumnDescription]>> {
    let text = DataType::Text.into();
    Ok(match show {
        Show::All => ["name", "setting", "description"].map(|name| describe_column(name, text)).into(),
        Show::Name(name) => {
            let name = shown_name(name);
            let name = definition(name).map_or(name, |definition| definition.name);
            Arc::from([describe_column(name, text)])
        }
        Show::ClusterSetting(name) => {
            Arc::from([describe_column(cluster_settings::changeable(name)?.name, text)])
        }
        Show::ClusterSettings => {
            let names =
                ["name", "value", "default_value", "vartype", "unit", "min_val", "max_val", "description"];
            names.map(|name| describe_column(name, text)).into()
        }
    })
}

/// 22023, as for any value that a setting does not take.
fn no_role(role: &str) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("role \"{role}\" does not exist"))
}

/// SHOW's spellings in words.
fn shown_name(name: &str) -> &str {
    match name {
        "time zone" => "TimeZone",
        "transaction isolation level" => "transaction_isolation",
        "session authorization" => "session_authorization",
        other => other,
    }
}

impl Session {
    /// A setting as SHOW tells it: those of the transaction come from there.
    pub(crate) fn setting(&self, name: &str) -> PgResult<Arc<str>> {
        if let Some(value) = self.active.as_ref().and_then(|active| active.modes().setting(name)) {
            return Ok(value);
        }
        let found = self.settings.get(match name.to_ascii_lowercase().as_str() {
            "transaction_isolation" => "default_transaction_isolation",
            "transaction_read_only" => "default_transaction_read_only",
            "transaction_deferrable" => "default_transaction_deferrable",
            _ => name,
        });
        // As in PostgreSQL, SHOW tells the server's settings too.
        found.or_else(|error| {
            let of_cluster = self.server.settings();
            of_cluster.text(&name.to_ascii_lowercase()).map(Arc::from).ok_or(error)
        })
    }

    pub(super) fn run_show(&mut self, show: &Show, run: &Run<'_>, sink: &mut ResultSink) -> PgResult<Tag> {
        let rows: Vec<Vec<Option<Arc<str>>>> = match show {
            Show::Name(name) => vec![vec![Some(self.setting(shown_name(name))?)]],
            Show::ClusterSetting(name) => {
                let name = cluster_settings::changeable(name)?.name;
                let in_force = self.cluster_settings();
                let shown = in_force.all().into_iter().find(|(known, _)| known.name == name);
                let default = || self.setting(name);
                vec![vec![Some(shown.map_or_else(default, |(_, value)| Ok(value.into()))?)]]
            }
            Show::ClusterSettings => self.cluster_settings().rows(),
            Show::All => {
                let all = self.settings.all().into_iter();
                all.map(|(name, value, definition)| {
                    let description = definition.map_or("", |definition| definition.description);
                    let value = self.setting(&name).unwrap_or(value);
                    [name, value, description.into()].map(Some).to_vec()
                })
                .collect()
            }
        };
        if run.describe {
            sink.row_description(&show_columns(show)?, &run.formats);
        }
        for row in &rows {
            let mut writer = sink.begin_row(row.len());
            row.iter().for_each(|value| match value {
                Some(value) => writer.value(value.as_bytes()),
                None => writer.null(),
            });
            writer.finish()?;
        }
        Ok(Tag::Plain("SHOW"))
    }

    /// The cluster settings as the running transaction has them.
    fn cluster_settings(&mut self) -> InForce {
        InForce::of(&self.catalog_snapshot(), &self.server.options)
    }

    /// SET CLUSTER SETTING, RESET CLUSTER SETTING, ALTER SYSTEM: for superusers.
    pub(crate) fn run_cluster_setting(&mut self, setting: &ClusterSetting) -> ExecResult<Tag> {
        if setting.is_system && self.in_block() {
            let message = "ALTER SYSTEM cannot run inside a transaction block";
            return Err(PgError::new(SqlState::ACTIVE_SQL_TRANSACTION, message).into());
        }
        let snapshot = self.catalog_snapshot();
        if !snapshot.is_superuser(&self.user) {
            let message = match &setting.name {
                Some(name) => format!("permission denied to set parameter \"{name}\""),
                None => "permission denied to perform ALTER SYSTEM RESET ALL".to_string(),
            };
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).into());
        }
        let changes: Vec<(String, Option<String>)> = match (&setting.name, &setting.values) {
            (Some(name), Some(values)) => {
                let definition = cluster_settings::changeable(name)?;
                let texts = values.iter().map(SetValue::text);
                let value = cluster_settings::canonical(definition, &texts.collect::<Vec<_>>())?;
                vec![(definition.name.to_string(), Some(value))]
            }
            (Some(name), None) => vec![(cluster_settings::changeable(name)?.name.to_string(), None)],
            (None, _) => snapshot.settings.keys().map(|name| (name.clone(), None)).collect(),
        };
        let active = self.ensure_transaction();
        let txn = active.txn.clone();
        for (name, value) in changes {
            active.catalog.put_setting(&txn, &name, value)?;
        }
        Ok(Tag::Plain(match (setting.is_system, &setting.values) {
            (true, _) => "ALTER SYSTEM",
            (false, Some(_)) => "SET",
            (false, None) => "RESET",
        }))
    }

    pub(super) fn run_set(&mut self, set: &SetVariable) -> PgResult<Tag> {
        let local = set.scope == SetScope::Local;
        if local && !self.in_block() {
            self.notice(PgError::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            ));
        }
        let in_transaction = self.active.is_some();
        let mut tag = "SET";
        match &set.action {
            SetAction::Default { name } if &**name == "session_authorization" => {
                self.reset_session_authorization(local)?;
                tag = "RESET";
            }
            SetAction::Set { name, values } => {
                let values: Vec<&str> = values.iter().map(SetValue::text).collect();
                self.set_setting(name, &values, local)?;
            }
            SetAction::Default { name } => {
                self.settings.reset(name, local, in_transaction)?;
                tag = "RESET";
            }
            SetAction::ResetAll => {
                self.settings.reset_all(in_transaction);
                tag = "RESET";
            }
            SetAction::FromCurrent { name } => {
                let value = self.settings.get(name)?;
                self.settings.set(name, &[&*value], local, in_transaction)?;
            }
            SetAction::TimeZone(zone) => self.set_time_zone(zone.as_ref(), local)?,
            SetAction::Transaction(modes) => {
                if !self.in_block() {
                    self.notice(PgError::warning(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION can only be used in transaction blocks",
                    ));
                } else {
                    self.set_modes(modes)?;
                }
            }
            SetAction::Characteristics(modes) => self.set_characteristics(modes)?,
            SetAction::TransactionSnapshot(_) => {
                return Err(PgError::unsupported("SET TRANSACTION SNAPSHOT"));
            }
            SetAction::Role(role) => self.set_role(role.as_deref().unwrap_or("none"), local)?,
            SetAction::SessionAuthorization(None) => self.reset_session_authorization(local)?,
            SetAction::SessionAuthorization(Some(role)) => self.set_session_authorization(role, local)?,
        }
        self.refresh_settings();
        Ok(Tag::Plain(tag))
    }

    /// set_config, after its statement.
    pub(super) fn assign(&mut self, assignment: &Assignment) -> PgResult<()> {
        match assignment.values() {
            Some(values) => self.set_setting(&assignment.name, &values, assignment.local),
            None => self.settings.reset(&assignment.name, assignment.local, self.active.is_some()),
        }
    }

    fn set_setting(&mut self, name: &str, values: &[&str], local: bool) -> PgResult<()> {
        let in_transaction = self.active.is_some();
        let mode = match (name, values) {
            ("transaction_isolation", [level]) => {
                definition(name)?;
                Some(TransactionMode::Isolation(isolation_named(&level.to_ascii_lowercase())))
            }
            ("transaction_read_only", [value]) => {
                Some(TransactionMode::ReadOnly(matches!(*value, "on" | "true" | "1")))
            }
            ("transaction_deferrable", [value]) => {
                Some(TransactionMode::Deferrable(matches!(*value, "on" | "true" | "1")))
            }
            _ => None,
        };
        // These say who the user is: they are checked, however they are spelled.
        match (name.to_ascii_lowercase().as_str(), values) {
            ("role", [role]) => return self.set_role(role, local),
            ("session_authorization", [role]) => return self.set_session_authorization(role, local),
            ("is_superuser", _) => {
                let message = "parameter \"is_superuser\" cannot be changed";
                return Err(PgError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message));
            }
            _ => {}
        }
        match mode {
            Some(mode) if self.in_block() => self.set_modes(&[mode]),
            _ => self.settings.set(name, values, local, in_transaction),
        }
    }

    /// SET ROLE: a role that the session's is a member of. `none`: the session's own.
    fn set_role(&mut self, role: &str, local: bool) -> PgResult<()> {
        if role != "none" {
            let catalog = self.catalog_snapshot();
            if catalog.role_id(role).0 == 0 {
                return Err(no_role(role));
            }
            if !catalog.is_member(self.database, &self.session_user, role) {
                let message = format!("permission denied to set role \"{role}\"");
                return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
        }
        let in_transaction = self.active.is_some();
        self.settings.set("role", &[role], local, in_transaction)
    }

    /// SET SESSION AUTHORIZATION: superusers may become anybody; the role of SET ROLE is given up.
    fn set_session_authorization(&mut self, role: &str, local: bool) -> PgResult<()> {
        let catalog = self.catalog_snapshot();
        if catalog.role(role).is_none() {
            return Err(no_role(role));
        }
        if role != self.authenticated_user && !catalog.is_superuser(&self.authenticated_user) {
            let message = "permission denied to set session authorization";
            return Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        let in_transaction = self.active.is_some();
        self.settings.set("session_authorization", &[role], local, in_transaction)?;
        self.settings.set("role", &["none"], local, in_transaction)
    }

    pub(super) fn reset_session_authorization(&mut self, local: bool) -> PgResult<()> {
        let in_transaction = self.active.is_some();
        self.settings.reset("session_authorization", local, in_transaction)?;
        self.settings.reset("role", local, in_transaction)
    }

    fn set_time_zone(&mut self, zone: Option<&TimeZoneValue>, local: bool) -> PgResult<()> {
        let in_transaction = self.active.is_some();
        match zone {
            None => self.settings.reset("TimeZone", local, in_transaction),
            Some(TimeZoneValue::Name(text) | TimeZoneValue::Hours(text) | TimeZoneValue::Interval(text)) => {
                self.settings.set("TimeZone", &[&**text], local, in_transaction)
            }
        }
    }

    fn set_characteristics(&mut self, modes: &[TransactionMode]) -> PgResult<()> {
        let in_transaction = self.active.is_some();
        for mode in modes {
            let on = |value: bool| if value { "on" } else { "off" };
            let (name, value) = match mode {
                TransactionMode::Isolation(level) => {
                    ("default_transaction_isolation", isolation_name(*level))
                }
                TransactionMode::ReadOnly(value) => ("default_transaction_read_only", on(*value)),
                TransactionMode::Deferrable(value) => ("default_transaction_deferrable", on(*value)),
                TransactionMode::AsOf(_) => {
                    return Err(PgError::unsupported("AS OF SYSTEM TIME for a session"));
                }
            };
            self.settings.set(name, &[value], false, in_transaction)?;
        }
        Ok(())
    }

    /// SET CONSTRAINTS: from now on deferred, or checked now and from now on immediately.
    pub(super) async fn run_set_constraints(&mut self, set: &SetConstraints) -> ExecResult<Tag> {
        if !self.in_block() {
            self.notice(PgError::warning(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            ));
            return Ok(Tag::Plain("SET CONSTRAINTS"));
        }
        let named = self.deferrable_constraints(set)?;
        let active = self.active.as_mut().expect("in a block");
        {
            let mut deferred = active.deferred.lock();
            if set.names.is_empty() {
                deferred.all = Some(set.deferred);
                deferred.named.clear();
            } else {
                deferred.named.retain(|(id, _)| !named.contains(id));
                deferred.named.extend(named.iter().map(|id| (*id, set.deferred)));
            }
        }
        if !set.deferred {
            let only = (!set.names.is_empty()).then_some(named.as_slice());
            self.check_deferred(only).await?;
        }
        Ok(Tag::Plain("SET CONSTRAINTS"))
    }
}
