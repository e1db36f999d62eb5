//! ALTER TABLE ... ALTER COLUMN ... ADD | SET | DROP ... IDENTITY.

use executor::ExecResult;
use planner::Definition;
use planner::ast::{AlterSequence, Identifier, ObjectName, SequenceOption};
use types::descriptor::{ColumnId, Identity, Oid, TableDescriptor};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

use super::alter_table::column_of;
use super::create_table::{OwnedSequence, column_mut};
use crate::catalog::{NameTarget, Object};
use crate::session::Session;

fn not_ready(message: String) -> PgError {
    PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

const fn identity(always: bool) -> Identity {
    if always { Identity::Always } else { Identity::ByDefault }
}

impl Session {
    pub(super) async fn add_identity(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        always: bool,
        options: &[SequenceOption],
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        let table_name = table.name.clone();
        let column = column_mut(&mut table, id);
        let data_type = column.column_type.data_type;
        if !matches!(data_type, DataType::Int2 | DataType::Int4 | DataType::Int8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).into());
        }
        let named = format!("column \"{}\" of relation \"{table_name}\"", name.name);
        if !column.not_null {
            return Err(
                not_ready(format!("{named} must be declared NOT NULL before identity can be added")).into()
            );
        }
        if column.identity.is_some() {
            return Err(not_ready(format!("{named} is already an identity column")).into());
        }
        if column.default.is_some() {
            return Err(not_ready(format!("{named} already has a default value")).into());
        }
        let wanted = OwnedSequence { column: id, data_type, options: options.to_vec(), is_default: false };
        self.create_owned_sequence(&mut table, wanted).await?;
        column_mut(&mut table, id).identity = Some(identity(always));
        self.put_table(table).await.map(drop)
    }

    pub(super) async fn alter_identity(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        always: Option<bool>,
        options: &[SequenceOption],
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        let sequence = self.identity_sequence(&table, id, name)?;
        if !options.is_empty() {
            let snapshot = self.snapshot();
            let Some(Object::Sequence(sequence)) = snapshot.object(sequence) else {
                return Err(PgError::internal("an identity column has no sequence").into());
            };
            let part = |name: &str| Identifier::new(name, 0);
            let parts = vec![part(snapshot.schema_name(sequence.schema)), part(&sequence.name)];
            let name = ObjectName { parts };
            let alter = AlterSequence { name, if_exists: false, options: options.to_vec() };
            self.alter_sequence(&alter).await?;
        }
        if let Some(always) = always {
            column_mut(&mut table, id).identity = Some(identity(always));
            self.put_table(table).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_identity(
        &mut self,
        mut table: TableDescriptor,
        name: &Identifier,
        if_exists: bool,
    ) -> ExecResult<()> {
        let id = column_of(&table, name)?;
        let sequence = match self.identity_sequence(&table, id, name) {
            Ok(sequence) => sequence,
            Err(error) if if_exists => {
                self.notice(PgError::notice(format!("{}, skipping", error.message())));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let column = column_mut(&mut table, id);
        column.identity = None;
        column.owned_sequence = None;
        self.put_table(table).await?;
        self.drop_sequence_object(sequence).await
    }

    fn identity_sequence(&self, table: &TableDescriptor, id: ColumnId, name: &Identifier) -> PgResult<Oid> {
        let column = table.column(id).filter(|column| column.identity.is_some());
        column.and_then(|column| column.owned_sequence).ok_or_else(|| {
            not_ready(format!(
                "column \"{}\" of relation \"{}\" is not an identity column",
                name.name, table.name
            ))
        })
    }

    /// The sequence that a default expression draws from, if the column owns it: from now on the two belong together.
    pub(super) fn owned_sequence_of_default(
        &mut self,
        table: Oid,
        column: ColumnId,
        default: Option<&str>,
    ) -> Option<Oid> {
        let id = self.sequence_drawn_by(default?)?;
        let snapshot = self.snapshot();
        let sequence = snapshot.sequence(id)?;
        (sequence.owned_by == Some((table, column))).then_some(id)
    }

    /// The sequence that a default `nextval('...')` draws from.
    pub(super) fn sequence_drawn_by(&mut self, default: &str) -> Option<Oid> {
        let named = planner::sequence_of_default(default)?;
        if let Ok(id) = named.parse() {
            return Some(Oid(id));
        }
        let parts = crate::catalog_functions::identifiers::split_name(&named).ok()?;
        let parts = parts.iter().map(|part| Identifier::new(part.as_str(), 0)).collect();
        let Ok(Some(NameTarget::Object(id))) = self.find_relation(&ObjectName { parts }) else { return None };
        self.snapshot().sequence(id).map(|sequence| sequence.id)
    }

    /// A default of a value of a type as it is kept ([`Session::frozen`]): a sequence by its oid, so that it may be renamed. (`nextval('s'::text)` asks for whatever has
    /// that name when it is called, and stays.)
    pub(super) fn kept_default(&mut self, default: &str, to: ColumnType) -> PgResult<String> {
        match self.sequence_drawn_by(default) {
            Some(sequence) if !default.contains("text") => Ok(drawn_from(sequence)),
            _ => self.frozen(default, &Definition::Default(to)),
        }
    }
}

/// The default of a column that draws from a sequence.
pub(super) fn drawn_from(sequence: Oid) -> String {
    format!("nextval('{}'::regclass)", sequence.0)
}
