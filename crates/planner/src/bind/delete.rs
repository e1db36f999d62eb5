//! DELETE.

use super::Binder;
use super::level::{Clause, Level};
use super::returning::ModifyOutput;
use crate::ast::{self, LockStrength};
use crate::logical::{Delete, Relational};
use crate::plan::{Command, Privileges};
use types::PgResult;

impl Binder<'_> {
    pub(super) fn bind_delete(&mut self, delete: &ast::Delete) -> PgResult<ModifyOutput> {
        let table = self.find_target(&delete.table.name, "DELETE")?;
        let privileges = Privileges { delete: true, ..Privileges::default() };
        self.depend_on(table.descriptor.id, table.descriptor.version, privileges);
        self.writes = true;
        self.levels.push(Level::new(Clause::Where));
        let target = self.bind_target(
            &delete.table,
            &table,
            &delete.using,
            delete.filter.as_ref(),
            LockStrength::Update,
        );
        self.levels.pop();
        let target = target?;
        let item = self.target_item(&target.instance, &target.alias);
        let node = Delete {
            source: target.plan,
            old_row: target.instance.columns,
            partial_indexes: self.table_expressions(&table)?.partial_indexes.clone(),
            may_repeat: !delete.using.is_empty(),
            returning: !delete.returning.is_empty(),
            table,
        };
        let mut items = vec![item];
        items.extend(target.others);
        let plan = Relational::Delete(Box::new(node));
        self.bind_returning(plan, items, &delete.returning, Command::Delete)
    }
}
