//! Settings of the cluster as a whole: SET CLUSTER SETTING, and ALTER SYSTEM as PostgreSQL spells it.
//!
//! ```text
//!   ALTER SYSTEM ──▶ /system/setting/<name>, in the session's transaction, with the catalog's version
//!                         │  every node finds another version within a fraction of a second (catalog::lease)
//!                         ▼
//!   CatalogSnapshot::settings ──▶ InForce ──▶ the SQL layer's limits (SqlLimits), and whoever is below (told by the node)
//! ```
//!
//! So they are as atomic and as durable as a table's definition, nothing asks for them per statement, and the layers below are told
//! numbers, not names. What was set for a session parameter by ALTER SYSTEM is the default of sessions that begin later.

pub mod definitions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use types::{PgError, PgResult, SqlState};

use crate::catalog::CatalogSnapshot;
use crate::server::SqlOptions;
use crate::settings::checks::{self, SIZE_UNITS, TIME_UNITS, parse_with_unit, print_with_unit};
use crate::settings::{Context, Definition, Settings};
use definitions::*;

/// The definition of a cluster setting. Errors: 42704.
pub fn definition(name: &str) -> PgResult<&'static Definition> {
    DEFINITIONS.iter().find(|definition| definition.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
    })
}

/// What ALTER SYSTEM may change: cluster settings, and parameters of sessions. Errors: 42704, 55P02.
pub fn changeable(name: &str) -> PgResult<&'static Definition> {
    if let Ok(known) = definition(name) {
        return Ok(known);
    }
    let found = crate::settings::definition(name)?;
    let of_session = matches!(found.name, "role" | "session_authorization" | "is_superuser");
    if found.context == Context::Internal || of_session || found.name.starts_with("transaction_") {
        let message = format!("parameter \"{}\" cannot be changed", found.name);
        return Err(PgError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, message));
    }
    Ok(found)
}

/// A value in canonical form. Errors: 22023, naming the range.
pub fn canonical(definition: &Definition, values: &[&str]) -> PgResult<String> {
    match definition.context {
        Context::System => checks::check(definition, values),
        _ => Ok(Settings::canonical(definition.name, values)?.1.to_string()),
    }
}

/// A time as a setting's value.
pub fn time_text(time: Duration) -> String {
    print_with_unit(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), TIME_UNITS)
}

/// A size as a setting's value.
pub fn size_text(bytes: u64) -> String {
    print_with_unit(i64::try_from(bytes / 1024).unwrap_or(i64::MAX), SIZE_UNITS)
}

/// The settings in force on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// As the keyspace has them.
    stored: Arc<BTreeMap<String, String>>,
    /// What this node was told when it was started.
    node_defaults: BTreeMap<&'static str, String>,
}

impl InForce {
    /// By a picture of the catalog, on a node.
    pub fn of(catalog: &CatalogSnapshot, options: &SqlOptions) -> InForce {
        InForce { stored: catalog.settings.clone(), node_defaults: options.setting_defaults.clone() }
    }

    /// name, value, default_value, vartype, unit, min_val, max_val, description.
    pub fn rows(&self) -> Vec<Vec<Option<Arc<str>>>> {
        let row = |(definition, value): (&'static Definition, &str)| {
            let range = definition.kind.range();
            let default = self.node_defaults.get(definition.name).map_or(definition.default, String::as_str);
            vec![
                Some(definition.name.into()),
                Some(value.into()),
                Some(default.into()),
                Some(definition.kind.type_name().into()),
                definition.kind.unit().map(Into::into),
                range.map(|(least, _)| least.to_string().into()),
                range.map(|(_, most)| most.to_string().into()),
                Some(definition.description.into()),
            ]
        };
        self.all().into_iter().map(row).collect()
    }

    /// The value as text; `None`: there is no such setting.
    pub fn text(&self, name: &str) -> Option<&str> {
        let default = || DEFINITIONS.iter().find(|known| known.name == name).map(|known| known.default);
        self.set_text(name).or(self.node_defaults.get(name).map(String::as_str)).or_else(default)
    }

    /// The value that was set; `None`: none was, or it is none that this version takes.
    pub fn set_text(&self, name: &str) -> Option<&str> {
        let text = self.stored.get(name)?;
        let taken = definition(name).and_then(|definition| checks::check(definition, &[text]));
        taken.is_ok().then_some(text)
    }

    /// A number in the setting's unit, if it was set.
    fn set_number(&self, name: &str) -> Option<i64> {
        let units = definition(name).ok()?.kind.units();
        parse_with_unit(self.set_text(name)?, units)
    }

    /// A time that was set.
    pub fn set_time(&self, name: &str) -> Option<Duration> {
        let milliseconds = u64::try_from(self.set_number(name)?).ok()?;
        Some(Duration::from_millis(milliseconds))
    }

    /// A size that was set, in bytes.
    pub fn set_bytes(&self, name: &str) -> Option<u64> {
        u64::try_from(self.set_number(name)?).ok()?.checked_mul(1024)
    }

    /// A count that was set.
    pub fn set_count(&self, name: &str) -> Option<usize> {
        usize::try_from(self.set_number(name)?).ok()
    }

    /// Every setting with its value here, by name: those of the cluster, and session parameters that have been set.
    pub fn all(&self) -> Vec<(&'static Definition, &str)> {
        let own = DEFINITIONS.iter().map(|known| (known, self.text(known.name).unwrap_or(known.default)));
        let of_sessions = self
            .session_defaults()
            .filter_map(|(name, value)| Some((crate::settings::definition(name).ok()?, value)));
        own.chain(of_sessions).collect()
    }

    /// What sessions begin with.
    pub fn session_defaults(&self) -> impl Iterator<Item = (&str, &str)> {
        let stored = self.stored.iter().filter(|(name, _)| definition(name).is_err());
        stored.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Bounds of the SQL layer that follow the settings.
#[derive(Debug)]
pub struct SqlLimits {
    statement_memory_bytes_max: AtomicU64,
    statement_bytes_max: AtomicU64,
    /// Milliseconds; negative: nothing is logged.
    log_min_duration: AtomicI64,
    view_timeout_ms: AtomicU64,
}

impl SqlLimits {
    pub fn new(options: &SqlOptions) -> SqlLimits {
        SqlLimits {
            statement_memory_bytes_max: AtomicU64::new(options.statement_memory_bytes_max),
            statement_bytes_max: AtomicU64::new(options.statement_bytes_max as u64),
            log_min_duration: AtomicI64::new(-1),
            view_timeout_ms: AtomicU64::new(2_000),
        }
    }

    pub fn follow(&self, options: &SqlOptions, settings: &InForce) {
        let memory = settings.set_bytes(STATEMENT_MEMORY_MAX).unwrap_or(options.statement_memory_bytes_max);
        self.statement_memory_bytes_max.store(memory, Ordering::Relaxed);
        let size = settings.set_bytes(STATEMENT_SIZE_MAX).unwrap_or(options.statement_bytes_max as u64);
        self.statement_bytes_max.store(size, Ordering::Relaxed);
        let duration = settings.set_number(LOG_MIN_DURATION_STATEMENT).unwrap_or(-1);
        self.log_min_duration.store(duration, Ordering::Relaxed);
        let timeout = settings.set_number(CLUSTER_VIEW_TIMEOUT).unwrap_or(2_000);
        self.view_timeout_ms.store(timeout.unsigned_abs(), Ordering::Relaxed);
    }

    /// Memory that one statement may hold.
    pub fn statement_memory_bytes_max(&self) -> u64 {
        self.statement_memory_bytes_max.load(Ordering::Relaxed)
    }

    /// Longest text of a statement, in bytes.
    pub fn statement_bytes_max(&self) -> usize {
        usize::try_from(self.statement_bytes_max.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    /// From which duration on statements are logged; `None`: none is.
    #[inline]
    pub fn log_min_duration(&self) -> Option<Duration> {
        u64::try_from(self.log_min_duration.load(Ordering::Relaxed)).ok().map(Duration::from_millis)
    }

    /// How long other nodes have to answer a query of a view.
    pub fn view_timeout(&self) -> Duration {
        Duration::from_millis(self.view_timeout_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_in_order_and_their_defaults_are_values() {
        assert!(DEFINITIONS.is_sorted_by_key(|definition| definition.name));
        for definition in DEFINITIONS {
            let value = canonical(definition, &[definition.default]);
            assert_eq!(value.as_deref(), Ok(definition.default), "{}", definition.name);
            assert!(crate::settings::definition(definition.name).is_err(), "{}", definition.name);
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_the_range() {
        let error = canonical(definition(REPLICAS).expect("it exists"), &["10"]).expect_err("too many");
        assert_eq!(error.code().to_string(), "22023");
        assert_eq!(error.message(), "10 is outside the valid range for parameter \"replicas\" (1 .. 9)");
        let error = canonical(definition(GC_TTL).expect("it exists"), &["10ms"]).expect_err("too short");
        assert_eq!(
            error.message(),
            "10 ms is outside the valid range for parameter \"gc_ttl\" (1000 .. 1728000000)"
        );
    }

    #[test]
    fn what_is_stored_wins_over_the_node_and_what_is_unreadable_counts_for_nothing() {
        let mut settings = InForce::default();
        assert_eq!(settings.text(RANGE_SIZE_MAX), Some("128MB"));
        settings.node_defaults.insert(RANGE_SIZE_MAX, size_text(1 << 20));
        assert_eq!(settings.text(RANGE_SIZE_MAX), Some("1MB"));
        assert_eq!(settings.set_bytes(RANGE_SIZE_MAX), None);
        let stored = [(RANGE_SIZE_MAX, "2MB"), (REPLICAS, "many"), ("work_mem", "64MB"), ("unheard_of", "1")];
        settings.stored = Arc::new(stored.map(|(name, value)| (name.into(), value.into())).into());
        assert_eq!(settings.set_bytes(RANGE_SIZE_MAX), Some(2 << 20));
        assert_eq!((settings.text(REPLICAS), settings.set_count(REPLICAS)), (Some("3"), None));
        assert_eq!(settings.all().len(), DEFINITIONS.len() + 1);
    }
}
