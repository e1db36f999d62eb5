//! CREATE SEQUENCE, ALTER SEQUENCE.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{AlterSequence, CreateSequence, ObjectKind, ObjectName, Persistence, SequenceOption};
use types::acl::AclKind;
use types::descriptor::{ColumnId, DescriptorVersion, Oid, SequenceDescriptor};
use types::{DataType, PgError, PgResult, Severity, SqlState};

use super::names::{relation_taken, wrong_kind};
use crate::catalog::{NameTarget, Object, Space, store};
use crate::sequences::SequenceState;
use crate::session::Session;
use crate::session::statement::Tag;

/// A sequence as its options describe it. `None`: not said.
#[derive(Clone, Debug)]
pub struct SequenceDefinition {
    data_type: DataType,
    increment: Option<i64>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    start: Option<i64>,
    cache: Option<i64>,
    cycle: bool,
    restart: Option<Option<i64>>,
    owned_by: Option<Option<ObjectName>>,
}

/// The same with every value settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceBounds {
    pub data_type: DataType,
    pub increment: i64,
    pub minimum: i64,
    pub maximum: i64,
    pub start: i64,
    pub cache: i64,
    pub cycle: bool,
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn type_range(data_type: DataType) -> (i64, i64) {
    match data_type {
        DataType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    }
}

impl SequenceDefinition {
    pub fn new(data_type: DataType) -> Self {
        SequenceDefinition {
            data_type,
            increment: None,
            minimum: None,
            maximum: None,
            start: None,
            cache: None,
            cycle: false,
            restart: None,
            owned_by: None,
        }
    }

    fn of(sequence: &SequenceDescriptor) -> Self {
        SequenceDefinition {
            increment: Some(sequence.increment),
            minimum: Some(sequence.minimum),
            maximum: Some(sequence.maximum),
            start: Some(sequence.start),
            cache: Some(sequence.cache),
            cycle: sequence.cycle,
            ..Self::new(DataType::from_oid(sequence.type_oid).unwrap_or(DataType::Int8))
        }
    }

    pub fn apply(&mut self, options: &[SequenceOption]) -> PgResult<()> {
        for option in options {
            match option {
                SequenceOption::As(type_name) => {
                    let data_type = match type_name.name.name() {
                        "int2" | "smallint" => DataType::Int2,
                        "int4" | "integer" | "int" => DataType::Int4,
                        "int8" | "bigint" => DataType::Int8,
                        _ => return Err(invalid("sequence type must be smallint, integer, or bigint")),
                    };
                    // Bounds that were the old type's become the new one's.
                    let (low, high) = type_range(self.data_type);
                    self.minimum = self.minimum.filter(|minimum| *minimum != low);
                    self.maximum = self.maximum.filter(|maximum| *maximum != high);
                    self.data_type = data_type;
                }
                SequenceOption::Increment(0) => return Err(invalid("INCREMENT must not be zero")),
                SequenceOption::Increment(value) => self.increment = Some(*value),
                SequenceOption::Minimum(value) => self.minimum = *value,
                SequenceOption::Maximum(value) => self.maximum = *value,
                SequenceOption::Start(value) => self.start = Some(*value),
                SequenceOption::Restart(value) => self.restart = Some(*value),
                SequenceOption::Cache(value) if *value <= 0 => {
                    return Err(invalid(format!("CACHE ({value}) must be greater than zero")));
                }
                SequenceOption::Cache(value) => self.cache = Some(*value),
                SequenceOption::Cycle(cycle) => self.cycle = *cycle,
                SequenceOption::OwnedBy(owner) => self.owned_by = Some(owner.clone()),
                SequenceOption::SequenceName(_) => return Err(PgError::unsupported("SEQUENCE NAME")),
                SequenceOption::Logged(true) => {}
                SequenceOption::Logged(false) => return Err(PgError::unsupported("unlogged sequences")),
            }
        }
        Ok(())
    }
}

/// Settles what was not said and checks what was. Also answers the value that RESTART asks for.
pub fn sequence_bounds(definition: &SequenceDefinition) -> PgResult<(SequenceBounds, Option<i64>)> {
    let increment = definition.increment.unwrap_or(1);
    let (low, high) = type_range(definition.data_type);
    let (default_minimum, default_maximum) = if increment > 0 { (1, high) } else { (low, -1) };
    let minimum = definition.minimum.unwrap_or(default_minimum);
    let maximum = definition.maximum.unwrap_or(default_maximum);
    let type_name = definition.data_type.sql_name();
    if maximum < low || maximum > high {
        return Err(invalid(format!(
            "MAXVALUE ({maximum}) is out of range for sequence data type {type_name}"
        )));
    }
    if minimum < low || minimum > high {
        return Err(invalid(format!(
            "MINVALUE ({minimum}) is out of range for sequence data type {type_name}"
        )));
    }
    if minimum >= maximum {
        return Err(invalid(format!("MINVALUE ({minimum}) must be less than MAXVALUE ({maximum})")));
    }
    let start = definition.start.unwrap_or(if increment > 0 { minimum } else { maximum });
    if start < minimum {
        return Err(invalid(format!("START value ({start}) cannot be less than MINVALUE ({minimum})")));
    }
    if start > maximum {
        return Err(invalid(format!("START value ({start}) cannot be greater than MAXVALUE ({maximum})")));
    }
    let restart = definition.restart.map(|value| value.unwrap_or(start));
    if let Some(value) = restart {
        if value < minimum {
            return Err(invalid(format!("RESTART value ({value}) cannot be less than MINVALUE ({minimum})")));
        }
        if value > maximum {
            return Err(invalid(format!(
                "RESTART value ({value}) cannot be greater than MAXVALUE ({maximum})"
            )));
        }
    }
    let cache = definition.cache.unwrap_or(1);
    let bounds = SequenceBounds {
        data_type: definition.data_type,
        increment,
        minimum,
        maximum,
        start,
        cache,
        cycle: definition.cycle,
    };
    Ok((bounds, restart))
}

impl Session {
    pub(super) async fn create_sequence(&mut self, create: &CreateSequence) -> ExecResult<Tag> {
        if create.persistence == Persistence::Unlogged {
            return Err(PgError::unsupported("unlogged sequences").into());
        }
        let schema = self.place(&create.name, create.persistence).await?;
        let name = create.name.name();
        if relation_taken(&*self.snapshot(), schema, name) {
            let error = store::already_exists(Space::Relations(schema), name);
            if !create.if_not_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("CREATE SEQUENCE"));
        }
        let mut definition = SequenceDefinition::new(DataType::Int8);
        definition.apply(&create.options)?;
        let (bounds, _) = sequence_bounds(&definition)?;
        let owner = match definition.owned_by.take().flatten() {
            None => None,
            Some(owner) => self.sequence_owner(&owner)?,
        };
        self.store_sequence(schema, name, bounds, owner).await?;
        Ok(Tag::Plain("CREATE SEQUENCE"))
    }

    /// OWNED BY: table and column; NONE is spelled as a name of one part.
    fn sequence_owner(&mut self, name: &ObjectName) -> PgResult<Option<(Oid, ColumnId)>> {
        if name.parts.len() == 1 && name.name() == "none" {
            return Ok(None);
        }
        if name.parts.len() < 2 {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        }
        let table_name = ObjectName { parts: name.parts[..name.parts.len() - 1].to_vec() };
        let table = self.table_named(&table_name)?;
        let column = super::alter_table::column_of(&self.descriptor(table), name.last())?;
        Ok(Some((table, column)))
    }

    pub(super) async fn store_sequence(
        &mut self,
        schema: Oid,
        name: &str,
        bounds: SequenceBounds,
        owned_by: Option<(Oid, ColumnId)>,
    ) -> ExecResult<Arc<SequenceDescriptor>> {
        let sequence = Arc::new(SequenceDescriptor {
            id: self.new_oid().await?,
            database: self.database,
            schema,
            name: name.to_string(),
            version: DescriptorVersion(1),
            owner: self.user.clone(),
            type_oid: bounds.data_type.oid(),
            start: bounds.start,
            increment: bounds.increment,
            minimum: bounds.minimum,
            maximum: bounds.maximum,
            cache: bounds.cache,
            cycle: bounds.cycle,
            owned_by,
            storage_id: self.new_storage_id().await?,
            comment: None,
            acl: self.new_acl(AclKind::Sequence, Some(schema)),
        });
        self.put_object(Object::Sequence(sequence.clone())).await?;
        Ok(sequence)
    }

    pub(super) async fn alter_sequence(&mut self, alter: &AlterSequence) -> ExecResult<Tag> {
        let Some(target) = self.find_relation(&alter.name)? else {
            let error = PgError::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", alter.name),
            );
            if !alter.if_exists {
                return Err(error.into());
            }
            let text = format!("{}, skipping", error.message());
            self.notice(PgError::with_severity(Severity::Notice, error.code(), text));
            return Ok(Tag::Plain("ALTER SEQUENCE"));
        };
        let snapshot = self.snapshot();
        let sequence = match target {
            NameTarget::Object(id) => snapshot.sequence(id).cloned(),
            NameTarget::Index { .. } => None,
        };
        let sequence = sequence.ok_or_else(|| wrong_kind(alter.name.name(), ObjectKind::Sequence))?;
        self.require_owner("sequence", &sequence.name, &sequence.owner)?;
        let mut definition = SequenceDefinition::of(&sequence);
        definition.apply(&alter.options)?;
        let (bounds, restart) = sequence_bounds(&definition)?;
        let state = self.server.sequences.state(&sequence).await?;
        let restarted = restart.map(|value| SequenceState { last_value: value, is_called: false });
        let state = restarted.unwrap_or(state);
        for (value, bound, word) in [
            (state.last_value < bounds.minimum, bounds.minimum, "less than MINVALUE"),
            (state.last_value > bounds.maximum, bounds.maximum, "greater than MAXVALUE"),
        ] {
            if value {
                return Err(invalid(format!(
                    "RESTART value ({}) cannot be {word} ({bound})",
                    state.last_value
                ))
                .into());
            }
        }
        let owned_by = match definition.owned_by.take() {
            None => sequence.owned_by,
            Some(None) => None,
            Some(Some(name)) => self.sequence_owner(&name)?,
        };
        // A new keyspace with the state carried over: values in memory belong to the old one, and a rollback undoes it all.
        let storage_id = self.new_storage_id().await?;
        let changed = SequenceDescriptor {
            version: DescriptorVersion(sequence.version.0 + 1),
            type_oid: bounds.data_type.oid(),
            start: bounds.start,
            increment: bounds.increment,
            minimum: bounds.minimum,
            maximum: bounds.maximum,
            cache: bounds.cache,
            cycle: bounds.cycle,
            owned_by,
            storage_id,
            ..SequenceDescriptor::clone(&sequence)
        };
        let active = self.active();
        active.txn.put(&store::sequence_key(storage_id), &state.encode())?;
        active.txn.delete(&store::sequence_key(sequence.storage_id))?;
        active.forgotten_sequences.push(sequence.storage_id);
        self.put_object(Object::Sequence(Arc::new(changed))).await?;
        if owned_by != sequence.owned_by {
            self.pass_sequence_on(sequence.id, sequence.owned_by, owned_by).await?;
        }
        Ok(Tag::Plain("ALTER SEQUENCE"))
    }

    /// OWNED BY has changed: columns know the sequence that is theirs if they draw from it.
    async fn pass_sequence_on(
        &mut self,
        id: Oid,
        from: Option<(Oid, ColumnId)>,
        to: Option<(Oid, ColumnId)>,
    ) -> ExecResult<()> {
        for (table, column) in from.into_iter().chain(to) {
            let Some(descriptor) = self.snapshot().table(table).cloned() else { continue };
            let Some(known) = descriptor.column(column) else { continue };
            let drawn = self.owned_sequence_of_default(table, column, known.default.as_deref());
            let owned = match known.owned_sequence {
                Some(own) if own == id => drawn,
                own => drawn.or(own),
            };
            if owned != known.owned_sequence {
                let mut changed = types::descriptor::TableDescriptor::clone(&descriptor);
                super::create_table::column_mut(&mut changed, column).owned_sequence = owned;
                self.put_table(changed).await?;
            }
        }
        Ok(())
    }
}
