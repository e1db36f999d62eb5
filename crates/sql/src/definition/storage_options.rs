//! Storage parameters: `WITH (...)`, `SET (...)`, `RESET (...)`, and options of databases that their tables inherit.
//!
//! | parameter | of | meaning |
//! | --- | --- | --- |
//! | `replicas` | databases, tables, indexes | how many copies of each range |
//! | `constraints` | the same | where they must be: see `placement::config` for the text |
//! | `lease_preferences` | the same | where reads and writes are served from if possible |
//! | `fillfactor` | tables, indexes | kept and shown; there are no pages here that it could fill |

use executor::ExecResult;
use planner::ast::{AlterTableAction, CopyOption, OptionValue};
use types::descriptor::{Oid, StorageOptions, TableDescriptor};
use types::{PgError, PgResult, SqlState};

use crate::catalog::placement::{CONSTRAINTS, LEASE_PREFERENCES, REPLICAS, is_placement, overlay};
use crate::session::Session;
use crate::table_locks::LockMode;

/// What options are set of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OptionsOf {
    Table,
    Index,
    Database,
}

/// Names and beginnings of names of parameters that PostgreSQL has and that say nothing here.
const OF_TABLES: [&str; 7] = [
    "autovacuum_",
    "log_autovacuum_",
    "parallel_workers",
    "toast.",
    "toast_tuple_target",
    "user_catalog_table",
    "vacuum_",
];
const OF_INDEXES: [&str; 1] = ["deduplicate_items"];

fn invalid(message: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

impl Session {
    /// SET and WITH: each is taken out of those that are there and goes to their end. Errors: 22023 for unknown names and impossible
    /// values, 0A000 for parameters of PostgreSQL that are not supported.
    pub(super) fn set_options(
        &mut self,
        of: OptionsOf,
        current: &mut StorageOptions,
        options: &[CopyOption],
    ) -> PgResult<()> {
        for (position, option) in options.iter().enumerate() {
            if options[..position].iter().any(|other| other.name == option.name) {
                return Err(invalid(format!("parameter \"{}\" specified more than once", option.name)));
            }
            let value = checked_value(of, option)?;
            current.retain(|(name, _)| *name != *option.name);
            current.push((option.name.to_string(), value));
        }
        if options.iter().any(|option| is_placement(&option.name)) {
            self.check_together(of, current)?;
        }
        Ok(())
    }

    /// ALTER INDEX ... SET and RESET.
    pub(super) async fn alter_index(
        &mut self,
        table: Oid,
        index: Oid,
        actions: &[AlterTableAction],
    ) -> ExecResult<()> {
        let descriptor = self.descriptor(table);
        self.require_owner("table", &descriptor.name, &descriptor.owner)?;
        self.lock_table(table, LockMode::AccessExclusive).await?;
        let mut descriptor = TableDescriptor::clone(&self.descriptor(table));
        let primary = &mut descriptor.primary;
        let changed = match primary.id == index {
            true => Some(primary),
            false => descriptor.indexes.iter_mut().find(|other| other.id == index),
        };
        let options = &mut changed.ok_or_else(|| PgError::internal("an index without its table"))?.options;
        for action in actions {
            match action {
                AlterTableAction::SetOptions(set) => self.set_options(OptionsOf::Index, options, set)?,
                AlterTableAction::ResetOptions(reset) => reset_options(options, reset)?,
                _ => return Err(PgError::unsupported("ALTER INDEX actions").into()),
            }
        }
        self.put_table(descriptor).await.map(drop)
    }

    /// Whether parameters fit each other and what is inherited if they say nothing: as far as that is known here.
    fn check_together(&mut self, of: OptionsOf, options: &StorageOptions) -> PgResult<()> {
        let snapshot = self.snapshot();
        let mut config = placement::RangeConfig::default();
        let database = snapshot.database_by_id(self.database).filter(|_| of != OptionsOf::Database);
        let inherited = database.map(|database| database.options.clone());
        let told = inherited.iter().chain([options]).try_for_each(|options| overlay(&mut config, options));
        let of_cluster = snapshot.settings.get(REPLICAS).and_then(|text| text.parse::<u8>().ok());
        // An even number is made odd by leaving one out.
        let default = of_cluster.map_or(3, |replicas| replicas - u8::from(replicas % 2 == 0));
        told.and_then(|()| config.check(default)).map_err(|error| {
            invalid("parameters of placement contradict each other".into()).detail(format!("{error}."))
        })
    }

    /// An option of CREATE or ALTER DATABASE that tables inherit; false for others.
    pub(super) fn set_database_option(
        &mut self,
        current: &mut StorageOptions,
        option: &CopyOption,
    ) -> PgResult<bool> {
        if !is_placement(&option.name) {
            return Ok(false);
        }
        // DEFAULT.
        if option.value == OptionValue::None {
            current.retain(|(name, _)| *name != *option.name);
        } else {
            self.set_options(OptionsOf::Database, current, std::slice::from_ref(option))?;
        }
        Ok(true)
    }
}

/// Options as a statement would have them.
pub(super) fn written(options: &StorageOptions, position: u32) -> Vec<CopyOption> {
    let written = |(name, value): &(String, String)| CopyOption {
        name: name.as_str().into(),
        value: OptionValue::Text(value.as_str().into()),
        position,
    };
    options.iter().map(written).collect()
}

/// RESET. Names that nobody knows are nothing to complain about, as in PostgreSQL.
pub(super) fn reset_options(current: &mut StorageOptions, options: &[CopyOption]) -> PgResult<()> {
    if options.iter().any(|option| option.value != OptionValue::None) {
        let message = "RESET must not include values for parameters";
        return Err(PgError::new(SqlState::SYNTAX_ERROR, message));
    }
    current.retain(|(name, _)| !options.iter().any(|option| *option.name == **name));
    Ok(())
}

/// The value as text, if it is one that the parameter can have.
fn checked_value(of: OptionsOf, option: &CopyOption) -> PgResult<String> {
    let name = &*option.name;
    let value = match &option.value {
        OptionValue::None => "true".to_string(),
        OptionValue::Text(text) | OptionValue::Number(text) => text.to_string(),
        OptionValue::List(_) | OptionValue::Star => {
            return Err(invalid(format!("invalid value for option \"{name}\"")));
        }
    };
    match name {
        REPLICAS => {
            let out_of_bounds = || {
                invalid(format!("value {value} out of bounds for option \"{name}\""))
                    .detail("Valid values are \"1\", \"3\", \"5\", \"7\" and \"9\".")
            };
            let replicas = u8::try_from(integer(name, &value)?).map_err(|_| out_of_bounds())?;
            placement::RangeConfig::check_replicas(replicas).map_err(|_| out_of_bounds())?;
        }
        CONSTRAINTS | LEASE_PREFERENCES => {
            let options = vec![(name.to_string(), value.clone())];
            overlay(&mut placement::RangeConfig::default(), &options).map_err(|error| {
                invalid(format!("invalid value for option \"{name}\": {value}")).detail(format!("{error}."))
            })?;
        }
        "fillfactor" if of != OptionsOf::Database => {
            if !(10..=100).contains(&integer(name, &value)?) {
                return Err(invalid(format!("value {value} out of bounds for option \"{name}\""))
                    .detail("Valid values are between \"10\" and \"100\"."));
            }
        }
        _ => {
            let known: &[&str] = if of == OptionsOf::Index { &OF_INDEXES } else { &OF_TABLES };
            if known.iter().any(|known| name.starts_with(known)) {
                return Err(PgError::unsupported(format!("storage parameter \"{name}\"")));
            }
            return Err(invalid(format!("unrecognized parameter \"{name}\"")));
        }
    }
    Ok(value)
}

fn integer(name: &str, value: &str) -> PgResult<i32> {
    value.trim().parse().map_err(|_| invalid(format!("invalid value for integer option \"{name}\": {value}")))
}
