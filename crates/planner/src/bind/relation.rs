//! Relation names: the search path, scans of what is found, and what the plan depends on.

use super::scope::{Item, ItemColumn, item_column};
use super::{Binder, NameUse};
use crate::ast::{Alias, ObjectKind, ObjectName, RelationReference};
use crate::catalog::{Relation, Table, VirtualColumn, VirtualTable};
use crate::logical::{ColumnInfo, ColumnNumber, Relational, Scan, VirtualScan};
use crate::plan::{ColumnUse, Privileges, RelationUse};
use std::sync::Arc;
use types::descriptor::{ColumnId, DescriptorVersion, ElementState, Oid, SequenceDescriptor};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// A scan of a table, remembered for what is asked about its columns later.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub table: Arc<Table>,
    /// A number for each of the descriptor's columns.
    pub columns: Vec<ColumnNumber>,
}

impl Binder<'_> {
    pub(super) fn schema_exists(&self, schema: &str) -> bool {
        matches!(schema, "pg_catalog" | "information_schema") || self.catalog.schema_exists(schema)
    }

    /// Schemas in which a plain name is looked for, in order.
    pub(super) fn schemas(&self) -> Vec<&str> {
        let mut schemas: Vec<&str> = Vec::with_capacity(self.search_path.len() + 2);
        // A view's path says itself whether temporary tables come into it.
        let temporary = self.options.temporary_schema.as_deref();
        let implicit = |schema: &&str| self.view_depth == 0 && !self.search_path.iter().any(|s| s == schema);
        schemas.extend(temporary.filter(implicit));
        if !self.search_path.iter().any(|schema| schema == "pg_catalog") {
            schemas.push("pg_catalog");
        }
        schemas.extend(self.search_path.iter().map(String::as_str));
        schemas
    }

    /// Finds a relation. 42P01, 3F000, 0A000 with the name's position.
    pub(super) fn find_relation(&self, name: &ObjectName) -> PgResult<(Relation, Box<str>)> {
        let position = name.position();
        if name.parts.len() > 3 {
            let message = format!("improper relation name (too many dotted names): {name}");
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        if let Some(database) = name.database()
            && database != self.options.database
        {
            let message = format!("cross-database references are not implemented: \"{name}\"");
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(position));
        }
        let missing = || {
            PgError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
                .at(position)
        };
        if let Some(schema) = name.schema() {
            let schema = match (schema, &self.options.temporary_schema) {
                ("pg_temp", Some(temporary)) => temporary.as_str(),
                (other, _) => other,
            };
            self.require_usage(schema, position)?;
            let found = self.catalog.relation(schema, name.name())?;
            return found.map(|relation| (relation, schema.into())).ok_or_else(missing);
        }
        for schema in self.schemas() {
            if self.view_depth == 0 && !self.catalog.may_use_schema(schema) {
                continue;
            }
            if let Some(relation) = self.catalog.relation(schema, name.name())? {
                return Ok((relation, schema.into()));
            }
        }
        Err(missing())
    }

    /// 42501 for the name of a schema that the user may not look into.
    fn require_usage(&self, schema: &str, position: u32) -> PgResult<()> {
        if self.view_depth > 0 || self.catalog.may_use_schema(schema) {
            return Ok(());
        }
        let message = format!("permission denied for schema {schema}");
        Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).at(position))
    }

    /// A table that can be changed.
    pub(super) fn find_target(&mut self, name: &ObjectName, verb: &str) -> PgResult<Arc<Table>> {
        if let [single] = name.parts.as_slice()
            && self.ctes.iter().any(|cte| cte.name == single.name)
        {
            let message =
                format!("relation \"{}\" cannot be the target of a modifying statement", single.name);
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(single.position));
        }
        match self.find_relation(name)? {
            (Relation::Table(table), _) => Ok(table),
            (Relation::View(view), _) => {
                Err(PgError::unsupported(format!("{verb} on the view \"{}\"", view.name)).at(name.position()))
            }
            (Relation::Virtual(table), _) => {
                let message = format!("permission denied: \"{}\" is a system catalog", table.name);
                Err(PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, message).at(name.position()))
            }
            (Relation::Sequence(sequence), _) => {
                let message = format!("cannot change sequence \"{}\"", sequence.name);
                Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).at(name.position()))
            }
            (Relation::Other { kind, .. }, _) => Err(cannot_open(name, kind)),
        }
    }

    /// Notes that the plan depends on a relation.
    pub(super) fn depend_on(&mut self, id: Oid, version: DescriptorVersion, privileges: Privileges) {
        let check_as = self.check_as.clone();
        let known = self.relations.iter_mut().find(|known| known.id == id && known.check_as == check_as);
        if let Some(known) = known {
            known.privileges.select |= privileges.select;
            known.privileges.insert |= privileges.insert;
            known.privileges.update |= privileges.update;
            known.privileges.delete |= privileges.delete;
            known.privileges.execute |= privileges.execute;
            return;
        }
        self.relations.push(RelationUse { id, version, privileges, check_as, columns: ColumnUse::default() });
    }

    fn relation_use(&mut self, id: Oid) -> Option<&mut RelationUse> {
        let check_as = &self.check_as;
        self.relations.iter_mut().find(|known| known.id == id && known.check_as == *check_as)
    }

    /// A column has been named.
    pub(super) fn note_selected(&mut self, column: &ItemColumn) {
        let Some((relation, column)) = column.source else { return };
        if let Some(used) = self.relation_use(relation) {
            used.privileges.select = true;
            include(&mut used.columns.selected, column);
        }
    }

    /// A column of a statement's target is written.
    pub(super) fn note_written(&mut self, relation: Oid, column: ColumnId, insert: bool) {
        if let Some(used) = self.relation_use(relation) {
            let list = if insert { &mut used.columns.inserted } else { &mut used.columns.updated };
            include(list, column);
        }
    }

    /// A scan of a table under an alias, with what it shows.
    pub(super) fn scan(&mut self, table: &Arc<Table>, name: &str) -> (Relational, Instance) {
        let descriptor = &table.descriptor;
        let columns: Vec<ColumnNumber> = descriptor
            .columns
            .iter()
            .map(|column| {
                self.columns.add(ColumnInfo {
                    name: column.name.as_str().into(),
                    column_type: column.column_type,
                    origin: Some((descriptor.id, column.id)),
                    not_null: column.not_null && column.state == ElementState::Public,
                })
            })
            .collect();
        let instance = Instance { table: table.clone(), columns: columns.clone() };
        self.instances.push(instance.clone());
        let scan = Scan { table: table.clone(), alias: name.into(), columns, lock: None };
        (Relational::Scan(Box::new(scan)), instance)
    }

    /// The columns of a scan that names can find.
    pub(super) fn instance_columns(&self, instance: &Instance) -> Vec<ItemColumn> {
        let columns = instance.table.descriptor.columns.iter().zip(&instance.columns);
        columns
            .filter(|(column, _)| column.state == ElementState::Public)
            .map(|(column, number)| ItemColumn {
                source: Some((instance.table.descriptor.id, column.id)),
                ..item_column(&column.name, *number, column.column_type, column.hidden)
            })
            .collect()
    }

    /// A relation named in FROM.
    pub(super) fn bind_relation(&mut self, reference: &RelationReference) -> PgResult<(Relational, Item)> {
        if reference.sample.is_some() {
            return Err(PgError::unsupported("TABLESAMPLE").at(reference.name.position()));
        }
        if let [single] = reference.name.parts.as_slice()
            && let Some((plan, mut item)) = self.bind_cte_reference(single)?
        {
            let default = single.name.clone();
            apply_alias(&mut item, reference.alias.as_ref(), &default)?;
            return Ok((plan, item));
        }
        let (relation, schema) = self.find_relation(&reference.name)?;
        let position = reference.name.position();
        let qualified = reference.name.schema().is_some();
        let select = Privileges { select: true, ..Privileges::default() };
        let name: Box<str> = reference.name.name().into();
        let shown: Box<str> = reference.alias.as_ref().map_or(name.clone(), |alias| alias.name.name.clone());
        let (plan, columns, id) = match relation {
            Relation::Table(table) => {
                self.depend_on(table.descriptor.id, table.descriptor.version, select);
                let (plan, instance) = self.scan(&table, &shown);
                (plan, self.instance_columns(&instance), table.descriptor.id)
            }
            Relation::Virtual(table) => {
                self.depend_on(table.id, DescriptorVersion(0), select);
                let (plan, columns) = self.virtual_scan(&table, &shown);
                (plan, columns, table.id)
            }
            Relation::View(view) => {
                self.depend_on(view.id, view.version, select);
                let (plan, mut columns) = self.bind_view(&view)?;
                for (position, column) in columns.iter_mut().enumerate() {
                    column.source = Some((view.id, ColumnId(position as u16 + 1)));
                }
                (plan, columns, view.id)
            }
            Relation::Sequence(sequence) => {
                self.depend_on(sequence.id, sequence.version, select);
                let (plan, columns) = self.virtual_scan(&sequence_row(&sequence, &schema), &shown);
                (plan, columns, sequence.id)
            }
            Relation::Other { kind, .. } => return Err(cannot_open(&reference.name, kind)),
        };
        if !qualified {
            self.note_name(position, || NameUse::Relation(id));
        }
        let mut item = Item::new(Some(name.clone()), columns);
        item.relation = Some(id);
        if reference.alias.is_none() {
            item.schema = Some(schema);
        }
        apply_alias(&mut item, reference.alias.as_ref(), &name)?;
        Ok((plan, item))
    }

    fn virtual_scan(&mut self, table: &Arc<VirtualTable>, name: &str) -> (Relational, Vec<ItemColumn>) {
        let mut numbers = Vec::with_capacity(table.columns.len());
        let mut columns = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let number = self.columns.add(ColumnInfo {
                name: column.name.clone(),
                column_type: column.column_type,
                origin: Some((table.id, types::descriptor::ColumnId(index as u16 + 1))),
                not_null: false,
            });
            numbers.push(number);
            columns.push(item_column(&column.name, number, column.column_type, false));
        }
        let scan = VirtualScan { table: table.clone(), alias: name.into(), columns: numbers };
        (Relational::VirtualScan(Box::new(scan)), columns)
    }
}

/// A sequence as a table of one row: its state, which the session's services read.
fn sequence_row(sequence: &SequenceDescriptor, schema: &str) -> Arc<VirtualTable> {
    let column = |(name, data_type): (&str, DataType)| VirtualColumn {
        name: name.into(),
        column_type: ColumnType::from(data_type),
        key: false,
    };
    let columns =
        [("last_value", DataType::Int8), ("log_cnt", DataType::Int8), ("is_called", DataType::Bool)];
    Arc::new(VirtualTable {
        id: sequence.id,
        schema: schema.into(),
        name: sequence.name.as_str().into(),
        columns: columns.into_iter().map(column).collect(),
    })
}

fn include(list: &mut Vec<ColumnId>, column: ColumnId) {
    if let Err(position) = list.binary_search(&column) {
        list.insert(position, column);
    }
}

fn cannot_open(name: &ObjectName, kind: ObjectKind) -> PgError {
    let message = format!("cannot open relation \"{}\"", name.name());
    let detail = match kind {
        ObjectKind::Index => "This operation is not supported for indexes.",
        ObjectKind::Type => "This operation is not supported for composite types.",
        _ => "This operation is not supported for this kind of relation.",
    };
    PgError::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail).at(name.position())
}

/// Gives an item its alias and its columns their new names.
pub(super) fn apply_alias(item: &mut Item, alias: Option<&Alias>, default: &str) -> PgResult<()> {
    let Some(alias) = alias else {
        item.name = Some(default.into());
        item.relation_visible = true;
        return Ok(());
    };
    item.name = Some(alias.name.name.clone());
    item.relation_visible = true;
    item.schema = None;
    let visible = item.columns.iter().filter(|column| !column.hidden).count();
    if alias.columns.len() > visible {
        let message = format!(
            "table \"{}\" has {visible} columns available but {} columns specified",
            alias.name.name,
            alias.columns.len()
        );
        return Err(PgError::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(alias.name.position));
    }
    let shown = item.columns.iter_mut().filter(|column| !column.hidden);
    for (column, name) in shown.zip(&alias.columns) {
        column.name = name.name.clone();
    }
    Ok(())
}
