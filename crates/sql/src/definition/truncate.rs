//! TRUNCATE: a new, empty keyspace; the old one is cleared in the background.

use executor::ExecResult;
use planner::ast::Truncate;
use types::acl::Rights;
use types::descriptor::{Oid, TableDescriptor};
use types::{PgError, Severity, SqlState};

use crate::catalog::store;
use crate::garbage::WHOLE_TABLE;
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn run_truncate(&mut self, truncate: &Truncate) -> ExecResult<Tag> {
        let mut tables: Vec<Oid> = Vec::new();
        for reference in &truncate.tables {
            let id = self.table_named(&reference.name)?;
            if !tables.contains(&id) {
                tables.push(id);
            }
        }
        let mut next = 0;
        while let Some(id) = tables.get(next).copied() {
            next += 1;
            self.lock_table(id, LockMode::AccessExclusive).await?;
            let table = self.descriptor(id);
            for (other, _) in &table.referenced_by {
                if tables.contains(other) {
                    continue;
                }
                let other_name =
                    self.snapshot().table(*other).map_or_else(String::new, |table| table.name.clone());
                if !truncate.cascade {
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot truncate a table referenced in a foreign key constraint",
                    )
                    .detail(format!("Table \"{other_name}\" references \"{}\".", table.name))
                    .hint(format!(
                        "Truncate table \"{other_name}\" at the same time, or use TRUNCATE ... CASCADE."
                    ))
                    .into());
                }
                self.notice(PgError::with_severity(
                    Severity::Notice,
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("truncate cascades to table \"{other_name}\""),
                ));
                tables.push(*other);
            }
        }
        for id in tables {
            let table = self.descriptor(id);
            let snapshot = self.snapshot();
            self.require_right(&snapshot, (&*table).into(), Rights::TRUNCATE)?;
            self.empty_table(id, truncate.restart_identity).await?;
        }
        Ok(Tag::Plain("TRUNCATE TABLE"))
    }

    /// Gives a table, locked by the caller, a new keyspace.
    pub(super) async fn empty_table(&mut self, id: Oid, restart_identity: bool) -> ExecResult<()> {
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        let old = table.storage_id;
        table.storage_id = self.new_storage_id().await?;
        if restart_identity {
            self.restart_sequences(&table).await?;
        }
        self.put_table(table).await?;
        self.leave_garbage(old, WHOLE_TABLE)
    }

    /// RESTART IDENTITY: the owned sequences begin anew, in fresh keyspaces so that a rollback brings the old state back.
    async fn restart_sequences(&mut self, table: &TableDescriptor) -> ExecResult<()> {
        let snapshot = self.snapshot();
        for id in table.columns.iter().filter_map(|column| column.owned_sequence) {
            let Some(sequence) = snapshot.sequence(id) else { continue };
            let mut renewed = types::descriptor::SequenceDescriptor::clone(sequence);
            let old = renewed.storage_id;
            renewed.storage_id = self.new_storage_id().await?;
            let active = self.active();
            active.txn.delete(&store::sequence_key(old))?;
            active.forgotten_sequences.push(old);
            self.put_object(crate::catalog::Object::Sequence(std::sync::Arc::new(renewed))).await?;
        }
        Ok(())
    }
}
