//! Names in sight: what FROM has brought, and how a column or relation name finds it (PostgreSQL's `parse_relation.c`).
//!
//! A [`Item`] is what one entry of FROM shows: a relation under its alias, or a join whose USING columns are merged. A join
//! hides the plain names of what it joins (their qualified names stay): `SELECT a FROM t JOIN u USING (a)` sees the merged
//! column only.

use super::{Binder, NameUse};
use crate::ast::Identifier;
use crate::logical::ColumnNumber;
use expr::Expr;
use types::descriptor::{ColumnId, Oid};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

/// A column that can be named.
#[derive(Clone, Debug)]
pub(crate) struct ItemColumn {
    pub name: Box<str>,
    pub expr: Expr,
    pub column_type: ColumnType,
    /// Left out by `*`.
    pub hidden: bool,
    /// The relation's column that it shows: whoever names it needs the privilege to read that.
    pub source: Option<(Oid, ColumnId)>,
}

/// What an entry of FROM shows.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Alias or relation name; `None` for a join without alias and a subquery without.
    pub name: Option<Box<str>>,
    /// Schema and id, when it is a catalog relation without alias: `schema.table.column`.
    pub schema: Option<Box<str>>,
    pub relation: Option<Oid>,
    pub columns: Vec<ItemColumn>,
    /// `name.column` and `name.*` work.
    pub relation_visible: bool,
    /// `column` and `*` work.
    pub columns_visible: bool,
    /// Only for LATERAL so far.
    pub lateral_only: bool,
    /// Seen by LATERAL in principle, but not allowed here (the right side of RIGHT and FULL JOIN).
    pub lateral_ok: bool,
    /// On the nullable side of an outer join: a column that is NULL exactly where the join found no row.
    pub presence: Option<ColumnNumber>,
    /// The alias of a join, whose whole row is put together of columns and so is never NULL itself.
    pub of_join: bool,
    /// A single function that returns no row: its whole row is the value.
    pub scalar: bool,
}

impl Item {
    pub(crate) fn new(name: Option<Box<str>>, columns: Vec<ItemColumn>) -> Self {
        Item {
            relation_visible: name.is_some(),
            name,
            schema: None,
            relation: None,
            columns,
            columns_visible: true,
            lateral_only: false,
            lateral_ok: true,
            presence: None,
            of_join: false,
            scalar: false,
        }
    }
}

/// Where a relation name was found.
struct Found {
    level: usize,
    item: usize,
}

impl Binder<'_> {
    /// Refuses an item that LATERAL sees but must not use.
    fn check_lateral(&self, item: &Item, position: u32) -> PgResult<()> {
        if item.lateral_only && !item.lateral_ok {
            let name = item.name.as_deref().unwrap_or("unnamed_join");
            return Err(PgError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("invalid reference to FROM-clause entry for table \"{name}\""),
            )
            .detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
            .at(position));
        }
        Ok(())
    }

    /// A plain column name: innermost level first. `None` when nothing has it.
    pub(super) fn find_column(&self, name: &str, position: u32) -> PgResult<Option<(usize, ItemColumn)>> {
        for level in (0..self.levels.len()).rev() {
            let mut found: Option<ItemColumn> = None;
            for item in &self.levels[level].namespace {
                if !item.columns_visible || !self.usable(level, item) {
                    continue;
                }
                let own = item.columns.iter().filter(|column| &*column.name == name).cloned();
                let mut columns: Vec<ItemColumn> = own.collect();
                if columns.is_empty()
                    && let Some(system) = self.system_column(item, name)
                {
                    let expr = system.map_err(|error| error.at(position))?;
                    let column_type = ColumnType::from(expr.data_type());
                    columns.push(ItemColumn {
                        name: name.into(),
                        expr,
                        column_type,
                        hidden: true,
                        source: None,
                    });
                }
                for column in columns {
                    if found.is_some() {
                        return Err(PgError::new(
                            SqlState::AMBIGUOUS_COLUMN,
                            format!("column reference \"{name}\" is ambiguous"),
                        )
                        .at(position));
                    }
                    self.check_lateral(item, position)?;
                    found = Some(column);
                }
            }
            if let Some(column) = found {
                return Ok(Some((level, column)));
            }
        }
        Ok(None)
    }

    /// ctid, xmin ...: only tableoid has a meaning here. Views have none of them.
    fn system_column(&self, item: &Item, name: &str) -> Option<PgResult<Expr>> {
        let relation = item.relation?;
        if !matches!(name, "tableoid" | "ctid" | "xmin" | "xmax" | "cmin" | "cmax") {
            return None;
        }
        match self.catalog.relation_by_id(relation) {
            Ok(Some(crate::Relation::View(_))) => None,
            Ok(_) if name == "tableoid" => {
                Some(Ok(Expr::constant(types::Datum::Oid(relation.0), DataType::Oid)))
            }
            Ok(_) => Some(Err(PgError::unsupported(format!("the system column {name}")))),
            Err(error) => Some(Err(error)),
        }
    }

    /// Is the item in sight?
    fn usable(&self, level: usize, item: &Item) -> bool {
        !item.lateral_only || self.levels[level].lateral_active
    }

    /// `[[database.]schema.]relation`: innermost level first.
    fn find_item(&self, qualifier: &[Identifier]) -> PgResult<Option<Found>> {
        let (name, schema) = match qualifier {
            [name] => (name, None),
            [schema, name] => (name, Some(schema)),
            [database, schema, name] => {
                if *database.name != *self.options.database {
                    let written: Vec<&str> = qualifier.iter().map(|part| &*part.name).collect();
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!("cross-database references are not implemented: {}", written.join(".")),
                    )
                    .at(database.position));
                }
                (name, Some(schema))
            }
            _ => {
                let written: Vec<&str> = qualifier.iter().map(|part| &*part.name).collect();
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {}", written.join(".")),
                )
                .at(qualifier[0].position));
            }
        };
        for level in (0..self.levels.len()).rev() {
            let mut found = None;
            for (index, item) in self.levels[level].namespace.iter().enumerate() {
                let matches = item.relation_visible
                    && item.name.as_deref() == Some(&name.name)
                    && schema.is_none_or(|schema| item.schema.as_deref() == Some(&schema.name))
                    && self.usable(level, item);
                if !matches {
                    continue;
                }
                if found.is_some() {
                    return Err(PgError::new(
                        SqlState::AMBIGUOUS_ALIAS,
                        format!("table reference \"{}\" is ambiguous", name.name),
                    )
                    .at(qualifier[0].position));
                }
                self.check_lateral(item, qualifier[0].position)?;
                found = Some(Found { level, item: index });
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The item that a qualifier names, or the error that says that there is none.
    pub(super) fn item_named(&self, qualifier: &[Identifier]) -> PgResult<(usize, &Item)> {
        match self.find_item(qualifier)? {
            Some(found) => Ok((found.level, &self.levels[found.level].namespace[found.item])),
            None => Err(self.missing_item(qualifier)),
        }
    }

    /// errorMissingRTE.
    fn missing_item(&self, qualifier: &[Identifier]) -> PgError {
        let name = qualifier.last().expect("a qualifier has a part");
        let position = qualifier[0].position;
        let anywhere = self.levels.iter().rev().flat_map(|level| &level.namespace);
        let mut hidden = false;
        let mut aliased = None;
        for item in anywhere {
            hidden |= item.name.as_deref() == Some(&*name.name);
            if let (Some(alias), Some(Ok(Some(crate::Relation::Table(table))))) =
                (&item.name, item.relation.map(|id| self.catalog.relation_by_id(id)))
                && *table.descriptor.name == *name.name
            {
                aliased = Some(alias.clone());
            }
        }
        let invalid = format!("invalid reference to FROM-clause entry for table \"{}\"", name.name);
        if hidden {
            return PgError::new(SqlState::UNDEFINED_TABLE, invalid)
                .detail(format!(
                    "There is an entry for table \"{}\", but it cannot be referenced from this part of the query.",
                    name.name
                ))
                .at(position);
        }
        if let Some(alias) = aliased {
            return PgError::new(SqlState::UNDEFINED_TABLE, invalid)
                .hint(format!("Perhaps you meant to reference the table alias \"{alias}\"."))
                .at(position);
        }
        PgError::new(
            SqlState::UNDEFINED_TABLE,
            format!("missing FROM-clause entry for table \"{}\"", name.name),
        )
        .at(position)
    }

    /// A column reference of one to four parts.
    pub(super) fn bind_column(&mut self, names: &[Identifier]) -> PgResult<Expr> {
        let position = names[0].position;
        if let Clause::Scalar("DEFAULT expressions") = self.level().clause {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(position));
        }
        if let [name] = names {
            if let Some((level, column)) = self.find_column(&name.name, position)? {
                self.note_reference(level, &column, position);
                self.note_item(level, &column, position);
                return Ok(column.expr);
            }
            // A relation's name alone is its whole row.
            if let Some(found) = self.find_item(names)? {
                return self.whole_row(found, position);
            }
            if let Some(argument) = self.frames.last().and_then(|frame| frame.named(&name.name)) {
                return Ok(argument);
            }
            return Err(self.missing_column(&name.name, position));
        }
        let (name, qualifier) = names.split_last().expect("several parts");
        let Some(found) = self.find_item(qualifier)? else {
            // `column.field` of a composite column.
            if qualifier.len() == 1 && self.find_column(&qualifier[0].name, position)?.is_some() {
                let row = self.bind_column(qualifier)?;
                return self.field_of(row, name);
            }
            if let ([function], Some(frame)) = (qualifier, self.frames.last())
                && frame.is_called(&function.name)
                && let Some(argument) = frame.named(&name.name)
            {
                return Ok(argument);
            }
            return Err(self.missing_item(qualifier));
        };
        let item = &self.levels[found.level].namespace[found.item];
        let mut matches = item.columns.iter().filter(|column| *column.name == *name.name);
        match (matches.next(), matches.next()) {
            (Some(column), None) => {
                let column = column.clone();
                self.note_reference(found.level, &column, position);
                Ok(column.expr)
            }
            (Some(_), Some(_)) => Err(PgError::new(
                SqlState::AMBIGUOUS_COLUMN,
                format!("column reference \"{}\" is ambiguous", name.name),
            )
            .at(position)),
            (None, _) => {
                if let Some(expr) = self.system_column(item, &name.name) {
                    return expr.map_err(|error| error.at(position));
                }
                let relation = item.name.as_deref().unwrap_or("").to_string();
                Err(PgError::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!("column {relation}.{} does not exist", name.name),
                )
                .at(position))
            }
        }
    }

    /// Notes to which item an unqualified column belongs; a column that a join has merged belongs to none.
    fn note_item(&mut self, level: usize, column: &ItemColumn, position: u32) {
        if self.names.is_none() {
            return;
        }
        let has_it = |item: &&Item| {
            item.columns.iter().any(|other| other.name == column.name && other.expr == column.expr)
        };
        let item = self.levels[level].namespace.iter().filter(|item| item.columns_visible).find(has_it);
        let named = item.filter(|item| item.relation_visible && !item.scalar);
        if let Some(name) = named.and_then(|item| item.name.clone()) {
            self.note_name(position, || NameUse::Column(name));
        }
    }

    /// Remembers where a column of the current level was named, for the error about ungrouped columns.
    fn note_reference(&mut self, level: usize, column: &ItemColumn, position: u32) {
        self.note_selected(column);
        let level = &mut self.levels[level];
        if let Expr::Column { index, .. } = &column.expr
            && !level.in_aggregate
        {
            level.references.push((*index, position));
        }
    }

    /// `t` or `t.*` as a row value.
    pub(super) fn bind_whole_row(&mut self, names: &[Identifier]) -> PgResult<Expr> {
        match self.find_item(names)? {
            Some(found) => self.whole_row(found, names[0].position),
            None => Err(self.missing_item(names)),
        }
    }

    /// The row of an item: NULL as a whole where an outer join found none.
    fn whole_row(&mut self, found: Found, position: u32) -> PgResult<Expr> {
        let item = &self.levels[found.level].namespace[found.item];
        let presence = item.presence;
        let shown: Vec<ItemColumn> = item.columns.iter().filter(|column| !column.hidden).cloned().collect();
        if item.scalar
            && let [column] = shown.as_slice()
        {
            let column = column.clone();
            self.note_reference(found.level, &column, position);
            return self.with_padding(column.expr);
        }
        let names: Vec<Box<str>> = shown.iter().map(|column| column.name.clone()).collect();
        let data_type = self.type_of_row(item.relation, &names);
        for column in &shown {
            self.note_reference(found.level, column, position);
        }
        let fields =
            shown.into_iter().map(|column| self.with_padding(column.expr)).collect::<PgResult<_>>()?;
        let row = Expr::Row { fields, names: names.into(), data_type };
        let Some(presence) = presence else { return Ok(row) };
        let input = Box::new(self.columns.expr(presence));
        Ok(Expr::Case {
            operand: None,
            arms: vec![expr::CaseArm { condition: Expr::IsNull { input, negated: true }, result: row }],
            otherwise: None,
            data_type,
        })
    }

    /// The row type of a table, as long as nothing renames its columns.
    fn type_of_row(&self, relation: Option<types::descriptor::Oid>, names: &[Box<str>]) -> DataType {
        let named = relation.and_then(|relation| {
            let user_type = self.catalog.user_type_by_oid(relation.0).ok()??;
            let row = user_type.row_type()?;
            let same = row.columns.iter().map(|(name, _)| name).eq(names);
            same.then_some(DataType::Composite(relation.0))
        });
        named.unwrap_or(DataType::Record)
    }

    fn missing_column(&self, name: &str, position: u32) -> PgError {
        let mut error = PgError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
            .at(position);
        // A column of that name in an item that cannot be seen here.
        for item in self.levels.iter().rev().flat_map(|level| &level.namespace) {
            if let Some(alias) = &item.name
                && item.columns.iter().any(|column| *column.name == *name)
            {
                error = error.detail(format!(
                    "There is a column named \"{name}\" in table \"{alias}\", but it cannot be referenced from this part of the query."
                ));
                break;
            }
        }
        error
    }

    /// Refuses two entries of one name at the same level (checkNameSpaceConflicts).
    pub(super) fn check_namespace_conflict(&self, left: &[Item], right: &[Item]) -> PgResult<()> {
        for one in left.iter().filter(|item| item.relation_visible) {
            for other in right.iter().filter(|item| item.relation_visible) {
                let both_relations = one.relation.is_some() && other.relation.is_some();
                let different = both_relations
                    && one.schema.is_some()
                    && other.schema.is_some()
                    && one.relation != other.relation;
                if one.name == other.name && !different {
                    let name = one.name.as_deref().unwrap_or("");
                    return Err(PgError::new(
                        SqlState::DUPLICATE_ALIAS,
                        format!("table name \"{name}\" specified more than once"),
                    ));
                }
            }
        }
        Ok(())
    }
}

use super::level::Clause;

/// The fields of a row constructor or of a whole row. (Those of a row that an outer join did not find are NULL.)
pub(super) fn fields_of(row: &Expr) -> Option<&[Expr]> {
    match row {
        Expr::Row { fields, .. } => Some(fields),
        Expr::Case { operand: None, arms, otherwise: None, data_type: DataType::Record } => match &arms[..] {
            [arm] if matches!(arm.condition, Expr::IsNull { negated: true, .. }) => fields_of(&arm.result),
            _ => None,
        },
        _ => None,
    }
}

/// A column of a scan as an item's column.
pub(crate) fn item_column(
    name: &str,
    number: ColumnNumber,
    column_type: ColumnType,
    hidden: bool,
) -> ItemColumn {
    let expr = Expr::column(number, column_type.data_type);
    ItemColumn { name: name.into(), expr, column_type, hidden, source: None }
}
