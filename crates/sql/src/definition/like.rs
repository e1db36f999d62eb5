//! CREATE TABLE (LIKE ...): columns with their types and NOT NULL, and what INCLUDING names as well.
//!
//! CHECK constraints keep their names; keys and indexes get names of the new table, as in PostgreSQL.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{
    Identifier, LikeClause, SequenceOption, Sourced, StatementKind, TableConstraint, TableConstraintKind,
};
use types::descriptor::{ColumnId, IndexDescriptor, TableDescriptor};
use types::{DataType, PgError, PgResult};

use super::create_table::{OwnedSequence, TableBuilder, append_column, column_mut, quote};
use super::names::wrong_kind;
use super::storage_options::written;
use crate::catalog::NameTarget;
use crate::session::Session;

/// Plain indexes to be made once the table exists: an index of the table copied from.
pub struct CopiedIndex {
    source: Arc<TableDescriptor>,
    index: IndexDescriptor,
}

/// What a clause copies beyond columns.
struct Including<'a>(&'a LikeClause);

impl Including<'_> {
    fn has(&self, property: &str) -> bool {
        let options = self.0.options.iter().rev();
        let chosen = options.clone().find(|(_, name)| *name == property || *name == "all");
        chosen.is_some_and(|(including, _)| *including)
    }
}

impl Session {
    /// Copies columns and constraints into the builder; answers the indexes to be made afterwards.
    pub(super) fn copy_columns(
        &mut self,
        builder: &mut TableBuilder,
        like: &LikeClause,
    ) -> PgResult<Vec<CopiedIndex>> {
        let position = like.table.position();
        let NameTarget::Object(id) = self.relation(&like.table)? else {
            return Err(wrong_kind(like.table.name(), planner::ast::ObjectKind::Table));
        };
        let snapshot = self.snapshot();
        if let Some(view) = snapshot.view(id) {
            self.require_right(&snapshot, (&**view).into(), types::acl::Rights::SELECT)?;
            for column in &view.columns {
                let name = Identifier::new(column.name.as_str(), position);
                append_column(&mut builder.table, &name, column.column_type)?;
            }
            return Ok(Vec::new());
        }
        let Some(source) = snapshot.table(id).cloned() else {
            return Err(wrong_kind(like.table.name(), planner::ast::ObjectKind::Table));
        };
        self.require_right(&snapshot, (&*source).into(), types::acl::Rights::SELECT)?;
        let including = Including(like);
        for column in source.columns.iter().filter(|column| !column.hidden) {
            let name = Identifier::new(column.name.as_str(), position);
            let id = append_column(&mut builder.table, &name, column.column_type)?;
            let copy = column_mut(&mut builder.table, id);
            copy.not_null = column.not_null;
            if including.has("defaults") && column.identity.is_none() {
                copy.default.clone_from(&column.default);
            }
            if including.has("generated") {
                copy.generated.clone_from(&column.generated);
            }
            if including.has("comments") {
                copy.comment.clone_from(&column.comment);
            }
            if including.has("identity") && column.identity.is_some() {
                copy.identity = column.identity;
                let options = column
                    .owned_sequence
                    .and_then(|sequence| snapshot.sequence(sequence))
                    .map_or_else(Vec::new, |sequence| sequence_options(sequence));
                let data_type: DataType = column.column_type.data_type;
                builder.sequences.push(OwnedSequence { column: id, data_type, options, is_default: false });
            }
        }
        if including.has("constraints") {
            for check in &source.checks {
                let node = planner::parser::parse_expression(&check.expression)?;
                let expression = Sourced { node, text: check.expression.as_str().into() };
                let name = Some(Identifier::new(check.name.as_str(), position));
                let kind = TableConstraintKind::Check(expression);
                let constraint = TableConstraint { name, kind, timing: Default::default(), position };
                builder.constraints.push((None, constraint));
            }
        }
        if !including.has("indexes") {
            return Ok(Vec::new());
        }
        let names = |ids: &mut dyn Iterator<Item = ColumnId>| -> Vec<Identifier> {
            ids.filter_map(|id| source.column(id))
                .map(|column| Identifier::new(column.name.as_str(), position))
                .collect()
        };
        let mut plain = Vec::new();
        for index in source.all_indexes() {
            let columns = names(&mut index.columns.iter().map(|column| column.column));
            let include = names(&mut index.included.iter().copied());
            let kind = match index.constraint {
                Some(_) if index.id == source.primary.id => TableConstraintKind::PrimaryKey {
                    columns,
                    include,
                    options: written(&index.options, position),
                },
                Some(_) => TableConstraintKind::Unique {
                    columns,
                    include,
                    nulls_not_distinct: index.nulls_not_distinct,
                    options: written(&index.options, position),
                },
                // The clustered index of a table without a key is no index that anybody made.
                None if index.id == source.primary.id => continue,
                None => {
                    plain.push(CopiedIndex { source: source.clone(), index: index.clone() });
                    continue;
                }
            };
            let timing = planner::ast::ConstraintTiming {
                deferrable: index.deferrable,
                initially_deferred: index.initially_deferred,
                ..Default::default()
            };
            builder.constraints.push((None, TableConstraint { name: None, kind, timing, position }));
        }
        Ok(plain)
    }

    /// Makes the plain indexes that INCLUDING INDEXES asks for.
    pub(super) async fn copy_indexes(
        &mut self,
        table: &TableDescriptor,
        copies: Vec<CopiedIndex>,
    ) -> ExecResult<()> {
        for CopiedIndex { source, index } in copies {
            let text = format!("CREATE {}", self.index_text(table, &source, &index)?);
            let statement = planner::parse(&text)?.into_iter().next().map(|statement| statement.kind);
            let Some(StatementKind::CreateIndex(mut create)) = statement else {
                return Err(PgError::internal("an index cannot be written down").into());
            };
            create.options = written(&index.options, 0);
            self.create_index(&create).await?;
        }
        Ok(())
    }

    fn index_text(
        &mut self,
        table: &TableDescriptor,
        source: &TableDescriptor,
        index: &IndexDescriptor,
    ) -> PgResult<String> {
        let name = |id: ColumnId| source.column(id).map_or_else(String::new, |column| quote(&column.name));
        let keys: Vec<String> = index
            .columns
            .iter()
            .map(|key| {
                let direction = if key.descending { " DESC" } else { "" };
                let nulls = if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" };
                format!("{}{direction}{nulls}", name(key.column))
            })
            .collect();
        let included: Vec<String> = index.included.iter().map(|id| name(*id)).collect();
        let mut text = format!(
            "{}INDEX ON {} ({})",
            if index.unique { "UNIQUE " } else { "" },
            self.qualified_name(table),
            keys.join(", ")
        );
        if !included.is_empty() {
            text.push_str(&format!(" INCLUDE ({})", included.join(", ")));
        }
        if index.nulls_not_distinct {
            text.push_str(" NULLS NOT DISTINCT");
        }
        if let Some(predicate) = &index.predicate {
            text.push_str(&format!(" WHERE {predicate}"));
        }
        Ok(text)
    }
}

fn sequence_options(sequence: &types::descriptor::SequenceDescriptor) -> Vec<SequenceOption> {
    vec![
        SequenceOption::Increment(sequence.increment),
        SequenceOption::Minimum(Some(sequence.minimum)),
        SequenceOption::Maximum(Some(sequence.maximum)),
        SequenceOption::Start(sequence.start),
        SequenceOption::Cache(sequence.cache),
        SequenceOption::Cycle(sequence.cycle),
    ]
}
