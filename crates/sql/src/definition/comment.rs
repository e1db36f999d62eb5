//! COMMENT ON.

use executor::ExecResult;
use planner::ast::{Comment, ObjectKind, ObjectName};
use types::PgError;
use types::descriptor::TableDescriptor;

use super::alter_table::column_of;
use super::create_table::column_mut;
use crate::catalog::NameTarget;
use crate::session::Session;
use crate::session::statement::Tag;
use crate::table_locks::LockMode;

impl Session {
    pub(super) async fn run_comment(&mut self, comment: &Comment) -> ExecResult<Tag> {
        let text = comment.text.as_ref().map(ToString::to_string).filter(|text| !text.is_empty());
        match comment.kind {
            ObjectKind::Table => {
                let id = self.table_named(&comment.name)?;
                self.change_table(id, |table| table.comment = text).await?;
            }
            ObjectKind::Column => {
                let parts = &comment.name.parts;
                let Some((column, table)) = parts.split_last().filter(|(_, table)| !table.is_empty()) else {
                    return Err(
                        PgError::new(types::SqlState::SYNTAX_ERROR, "column name must be qualified").into()
                    );
                };
                let id = self.table_named(&ObjectName { parts: table.to_vec() })?;
                let column = column_of(&self.descriptor(id), column)?;
                self.change_table(id, |table| column_mut(table, column).comment = text).await?;
            }
            ObjectKind::Index => {
                let NameTarget::Index { table, index } = self.relation(&comment.name)? else {
                    return Err(super::names::wrong_kind(comment.name.name(), ObjectKind::Index).into());
                };
                self.change_table(table, |table| {
                    let mut all = std::iter::once(&mut table.primary).chain(&mut table.indexes);
                    if let Some(found) = all.find(|other| other.id == index) {
                        found.comment = text;
                    }
                })
                .await?;
            }
            other => {
                return Err(
                    PgError::unsupported(format!("COMMENT ON {}", other.noun().to_uppercase())).into()
                );
            }
        }
        Ok(Tag::Plain("COMMENT"))
    }

    async fn change_table(
        &mut self,
        id: types::descriptor::Oid,
        change: impl FnOnce(&mut TableDescriptor),
    ) -> ExecResult<()> {
        self.lock_table(id, LockMode::ShareUpdateExclusive).await?;
        let mut table = TableDescriptor::clone(&self.descriptor(id));
        change(&mut table);
        self.put_table(table).await.map(drop)
    }
}
