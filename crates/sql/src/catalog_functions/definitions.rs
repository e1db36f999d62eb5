//! The statements behind objects, as text: pg_get_indexdef, pg_get_constraintdef, pg_get_viewdef ...
//!
//! Expressions are kept as texts that mean the same in every session (`planner::frozen`) and shown as they are understood, as
//! PostgreSQL prints them from its parse tree: constants under the reader's settings, types as his search path finds them.
//! Queries of views are shown as they were written, with the names in them made to mean the same for whoever reads them.

use std::sync::Arc;

use expr::Expr;
use planner::catalog::UserType;
use planner::parser::keywords::quote_identifier;
use planner::{Catalog, Reader, SchemaObject};
use types::descriptor::{
    ColumnDescriptor, ColumnId, DomainCheck, DomainDescriptor, ForeignKey, ForeignKeyAction,
    FunctionDescriptor, IndexColumn, IndexDescriptor, Oid, TableDescriptor, ViewDescriptor,
};
use types::user_type::TypeDirectory;
use types::{ColumnType, DataType, Datum, FormatContext, PgError, PgResult, SqlState};

use super::Answer::{self, Null, Strict};
use super::identifiers::{qualified, qualified_relation, relation_text};
use super::names::{is_visible_function, is_visible_type, name_output, relation_named, type_output};
use super::{flag_argument, integer_argument, mismatch, oid_argument, optional, text_argument};
use crate::catalog::Object;
use crate::planning::planned_view;
use crate::virtual_tables::pg_catalog::class::{BTREE, rule_id};
use crate::virtual_tables::picture::Picture;
use crate::virtual_tables::relations::{Constraint, Index, Relation};
use crate::virtual_tables::{find, find_by_id, is_system_schema};

pub const FUNCTIONS: &[(&str, Answer)] = &[
    ("pg_get_constraintdef", Strict(pg_get_constraintdef)),
    ("pg_get_expr", Strict(pg_get_expr)),
    ("pg_get_indexdef", Strict(pg_get_indexdef)),
    ("pg_get_partition_constraintdef", Null),
    ("pg_get_partkeydef", Null),
    ("pg_get_ruledef", Strict(pg_get_ruledef)),
    ("pg_get_serial_sequence", Strict(pg_get_serial_sequence)),
    ("pg_get_statisticsobjdef", Null),
    ("pg_get_statisticsobjdef_columns", Null),
    ("pg_get_statisticsobjdef_expressions", Null),
    ("pg_get_triggerdef", Null),
    ("pg_get_viewdef", Strict(pg_get_viewdef)),
    ("pg_index_column_has_property", Strict(pg_index_column_has_property)),
    ("pg_index_has_property", Strict(pg_index_has_property)),
    ("pg_indexam_has_property", Strict(pg_indexam_has_property)),
];

/// An expression of a table's definition as PostgreSQL prints it. `column`: whose default or generation expression it is;
/// without, it is a condition. One that means nothing any more is shown as it was written.
pub fn stored_expression(
    picture: &Picture<'_>,
    table: &TableDescriptor,
    text: &str,
    column: Option<&ColumnDescriptor>,
    pretty: bool,
) -> String {
    let show = |reader: &Reader<'_>| {
        planner::stored_expression_text(table, text, column, pretty, &DefinitionCatalog(picture), reader)
    };
    shown_to(picture, show).unwrap_or_else(|_| text.to_string())
}

/// A default that belongs to no table: of a domain, of a function's parameter.
pub fn value_expression(picture: &Picture<'_>, text: &str, to: ColumnType) -> String {
    let show = |reader: &Reader<'_>| {
        planner::stored_default_text(text, to, false, &DefinitionCatalog(picture), reader)
    };
    shown_to(picture, show).unwrap_or_else(|_| text.to_string())
}

/// CHECK (...) of a domain.
pub fn domain_check_definition(
    picture: &Picture<'_>,
    domain: &DomainDescriptor,
    check: &DomainCheck,
    pretty: bool,
) -> String {
    let (text, over) = (&check.expression, domain.parent.data_type.base());
    let show = |reader: &Reader<'_>| {
        planner::domain_condition_text(text, over, pretty, &DefinitionCatalog(picture), reader)
    };
    let condition = shown_to(picture, show).unwrap_or_else(|_| text.clone());
    format!("CHECK ({condition}){}", if check.not_valid { " NOT VALID" } else { "" })
}

/// Prints something as this session is shown it: constants under its settings, types as format_type has them.
fn shown_to<T>(picture: &Picture<'_>, show: impl FnOnce(&Reader<'_>) -> T) -> T {
    let type_name = |column_type: ColumnType| {
        let data_type = column_type.data_type;
        let of_user = data_type.is_user_type() || data_type.element().is_some_and(DataType::is_user_type);
        let name = if of_user { type_output(picture, Oid(data_type.oid())) } else { None };
        name.unwrap_or_else(|| planner::type_text(column_type))
    };
    let prepare = |expression: &mut Expr| show_constants(picture, expression);
    show(&Reader { format: picture.format, type_name: &type_name, prepare: &prepare })
}

/// A literal of a type of times that tells one is shown as that time, however it was written.
fn show_constants(picture: &Picture<'_>, expression: &mut Expr) {
    if let Expr::Cast { input, to, .. } = expression
        && let Expr::Constant { value: Datum::Text(text), data_type: DataType::Unknown } = &**input
        && planner::tells_time(to.data_type)
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && let Ok(value) = expr::parse_text(to.data_type, to.typmod, text, &FormatContext::default(), picture)
    {
        *expression = Expr::constant(value, to.data_type);
        return;
    }
    show_names(picture, expression);
}

/// Names of relations, types ... in constants are shown as seen along the search path.
fn show_names(picture: &Picture<'_>, expression: &mut Expr) {
    if let Expr::Cast { input, to, .. } = expression
        && let Expr::Constant { value: value @ Datum::Text(_), .. } = &mut **input
        && let Datum::Text(text) = value
        && expr::needs_catalog(to.data_type)
        && let Ok(Datum::Oid(id)) =
            expr::parse_text(to.data_type, -1, text, &FormatContext::default(), picture)
        && let Some(name) = name_output(picture, to.data_type, id)
    {
        *value = Datum::text(name);
    }
    expression.for_each_child_mut(&mut |child| show_constants(picture, child));
}

/// What definitions may name.
struct DefinitionCatalog<'a>(&'a Picture<'a>);

impl Catalog for DefinitionCatalog<'_> {
    fn schema_exists(&self, _: &str) -> bool {
        true
    }

    fn relation(&self, schema: &str, name: &str) -> PgResult<Option<planner::Relation>> {
        if is_system_schema(schema) {
            return Ok(find(schema, name).map(planner::Relation::Virtual));
        }
        self.0.relation_in(schema, name).map_or(Ok(None), |id| self.relation_by_id(id))
    }

    fn relation_by_id(&self, id: Oid) -> PgResult<Option<planner::Relation>> {
        if let Some(table) = find_by_id(id) {
            return Ok(Some(planner::Relation::Virtual(table)));
        }
        let snapshot = self.0.snapshot;
        Ok(match snapshot.object(id) {
            Some(Object::Table(table)) => {
                let table = planner::Table::new(table.clone(), snapshot.schema_name(table.schema));
                Some(planner::Relation::Table(Arc::new(table)))
            }
            Some(Object::View(view)) => Some(planner::Relation::View(Arc::new(planned_view(snapshot, view)))),
            Some(Object::Sequence(sequence)) => Some(planner::Relation::Sequence(sequence.clone())),
            _ => None,
        })
    }

    fn user_type(&self, schema: &str, name: &str) -> PgResult<Option<Arc<UserType>>> {
        let snapshot = self.0.snapshot;
        let schema = snapshot.schema(self.0.database, schema);
        let found = schema.and_then(|schema| snapshot.type_named(schema.id, name));
        Ok(found.and_then(|id| snapshot.user_type(id.0)))
    }

    fn user_type_by_oid(&self, oid: u32) -> PgResult<Option<Arc<UserType>>> {
        Ok(self.0.snapshot.user_type(oid))
    }

    fn functions(&self, schema: &str, name: &str) -> Vec<Arc<FunctionDescriptor>> {
        let Some(schema) = self.0.snapshot.schema(self.0.database, schema) else { return Vec::new() };
        crate::definition::functions_named(self.0.snapshot, schema.id, name)
    }

    fn statistics(&self, _: Oid) -> Option<Arc<planner::Statistics>> {
        None
    }
}

fn column_list(table: &TableDescriptor, columns: impl IntoIterator<Item = ColumnId>) -> String {
    let names =
        columns.into_iter().filter_map(|id| table.column(id)).map(|column| quote_identifier(&column.name));
    names.collect::<Vec<_>>().join(", ")
}

// Indexes.

fn index_column(table: &TableDescriptor, column: &IndexColumn) -> String {
    let mut name = column_list(table, [column.column]);
    if let Some(collation) = &column.collation {
        name = format!("{name} COLLATE \"{collation}\"");
    }
    if let Some(class) = &column.operator_class {
        name = format!("{name} {}", quote_identifier(class));
    }
    match (column.descending, column.nulls_first) {
        (false, false) => name,
        (false, true) => format!("{name} NULLS FIRST"),
        (true, true) => format!("{name} DESC"),
        (true, false) => format!("{name} DESC NULLS LAST"),
    }
}

/// CREATE INDEX.
pub fn index_definition(picture: &Picture<'_>, row: &Index<'_>, pretty: bool) -> String {
    let Index { table, index } = *row;
    let relation = Relation::Table(table);
    let on = if pretty { relation_text(picture, &relation) } else { qualified_relation(picture, &relation) };
    let columns: Vec<String> = index.columns.iter().map(|column| index_column(table, column)).collect();
    let mut text = format!(
        "CREATE {}INDEX {} ON {on} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        columns.join(", "),
    );
    text.push_str(&included(table, index));
    if index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if !index.options.is_empty() {
        let each = index.options.iter();
        let each: Vec<String> = each
            .map(|(name, value)| format!("{}='{}'", quote_identifier(name), value.replace('\'', "''")))
            .collect();
        text.push_str(&format!(" WITH ({})", each.join(", ")));
    }
    if let Some(predicate) = &index.predicate {
        text.push_str(" WHERE ");
        text.push_str(&stored_expression(picture, table, predicate, None, pretty));
    }
    text
}

fn included(table: &TableDescriptor, index: &IndexDescriptor) -> String {
    if index.included.is_empty() {
        return String::new();
    }
    format!(" INCLUDE ({})", column_list(table, index.included.iter().copied()))
}

fn pg_get_indexdef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let Some(Relation::Index(index)) = picture.relation(oid_argument(arguments, 0)?) else {
        return Ok(Datum::Null);
    };
    let (column, pretty) = match arguments.len() {
        1 => (0, false),
        _ => (integer_argument(arguments, 1)?, flag_argument(arguments, 2)),
    };
    if column == 0 {
        return Ok(Datum::text(index_definition(picture, &index, pretty)));
    }
    let position = usize::try_from(column - 1).unwrap_or(usize::MAX);
    // A column that there is not is an empty text, as in PostgreSQL.
    Ok(Datum::text(
        index.columns().nth(position).map_or_else(String::new, |id| column_list(index.table, [id])),
    ))
}

/// Properties as PostgreSQL's btree has them: (name, whether it has it).
fn property(known: &[(&str, bool)], name: &str) -> Datum {
    let found = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or(Datum::Null, |(_, value)| Datum::Bool(*value))
}

fn pg_index_column_has_property(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let Some(Relation::Index(index)) = picture.relation(oid_argument(arguments, 0)?) else {
        return Ok(Datum::Null);
    };
    let position = integer_argument(arguments, 1)? - 1;
    let column = usize::try_from(position).ok().and_then(|position| index.index.columns.get(position));
    let Some(column) = column else { return Ok(Datum::Null) };
    let known = [
        ("asc", !column.descending),
        ("desc", column.descending),
        ("nulls_first", column.nulls_first),
        ("nulls_last", !column.nulls_first),
        ("orderable", true),
        ("distance_orderable", false),
        ("returnable", true),
        ("search_array", true),
        ("search_nulls", true),
    ];
    Ok(property(&known, text_argument(arguments, 2)?))
}

fn pg_index_has_property(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let Some(Relation::Index(_)) = picture.relation(oid_argument(arguments, 0)?) else {
        return Ok(Datum::Null);
    };
    let known =
        [("clusterable", false), ("index_scan", true), ("bitmap_scan", false), ("backward_scan", true)];
    Ok(property(&known, text_argument(arguments, 1)?))
}

fn pg_indexam_has_property(_: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    if oid_argument(arguments, 0)?.0 != BTREE {
        return Ok(Datum::Null);
    }
    let known = [
        ("can_order", true),
        ("can_unique", true),
        ("can_multi_col", true),
        ("can_exclude", false),
        ("can_include", true),
    ];
    Ok(property(&known, text_argument(arguments, 1)?))
}

// Constraints.

/// What stands after CONSTRAINT name.
pub fn constraint_definition(picture: &Picture<'_>, constraint: &Constraint<'_>, pretty: bool) -> String {
    let table = constraint.table();
    let mut text = match constraint {
        Constraint::Key { index: row, .. } => {
            let kind = match (row.is_primary(), row.index.nulls_not_distinct) {
                (true, _) => "PRIMARY KEY",
                (false, false) => "UNIQUE",
                (false, true) => "UNIQUE NULLS NOT DISTINCT",
            };
            let columns = column_list(table, constraint.columns());
            format!("{kind} ({columns}){}", included(table, row.index))
        }
        Constraint::Check { check, .. } => {
            format!("CHECK ({})", stored_expression(picture, table, &check.expression, None, pretty))
        }
        Constraint::ForeignKey { key, .. } => foreign_key_definition(picture, table, key),
    };
    if constraint.deferrable() {
        text.push_str(" DEFERRABLE");
    }
    if constraint.initially_deferred() {
        text.push_str(" INITIALLY DEFERRED");
    }
    if !constraint.is_valid() {
        text.push_str(" NOT VALID");
    }
    text
}

fn foreign_key_definition(picture: &Picture<'_>, table: &TableDescriptor, key: &ForeignKey) -> String {
    let columns = column_list(table, key.columns.iter().copied());
    let (name, referenced) = match picture.snapshot.table(key.referenced_table) {
        Some(other) => (
            relation_text(picture, &Relation::Table(other)),
            column_list(other, key.referenced_columns.iter().copied()),
        ),
        None => (key.referenced_table.0.to_string(), String::new()),
    };
    let mut text = format!("FOREIGN KEY ({columns}) REFERENCES {name}({referenced})");
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        if action != ForeignKeyAction::NoAction {
            text.push_str(&format!(" ON {event} {}", action_text(action)));
        }
    }
    text
}

/// An action as information_schema and DDL name it.
pub fn action_text(action: ForeignKeyAction) -> &'static str {
    match action {
        ForeignKeyAction::NoAction => "NO ACTION",
        ForeignKeyAction::Restrict => "RESTRICT",
        ForeignKeyAction::Cascade => "CASCADE",
        ForeignKeyAction::SetNull => "SET NULL",
        ForeignKeyAction::SetDefault => "SET DEFAULT",
    }
}

fn pg_get_constraintdef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let constraint = picture.constraint(id);
    let pretty = flag_argument(arguments, 1);
    if constraint.is_none()
        && let Some((_, domain, check)) = picture.domain_checks().find(|(_, _, check)| check.id == id)
    {
        return Ok(Datum::text(domain_check_definition(picture, domain, check, pretty)));
    }
    Ok(optional(constraint.map(|constraint| constraint_definition(picture, &constraint, pretty))))
}

// Views, rules, expressions.

/// A view's query as PostgreSQL begins and ends it. One that means nothing any more is shown as it was written.
pub fn view_definition(picture: &Picture<'_>, view: &ViewDescriptor) -> String {
    let hidden = |visible: bool, schema: Oid| {
        if visible { None } else { picture.schema_name(schema).map(str::to_string) }
    };
    let schema_of = |object: SchemaObject| match object {
        SchemaObject::Relation(id) => {
            let relation = picture.relation(id)?;
            hidden(picture.is_visible(&relation), relation.schema())
        }
        SchemaObject::Function(id) => {
            let function = picture.function(id)?;
            hidden(is_visible_function(picture, function), function.schema)
        }
        SchemaObject::Type(id) => {
            hidden(is_visible_type(picture, id).unwrap_or(true), picture.snapshot.object(id)?.schema()?)
        }
    };
    let planned = planned_view(picture.snapshot, view);
    let text = planner::view_query_text(&planned, &DefinitionCatalog(picture), &schema_of);
    let text = text.unwrap_or_else(|_| view.query.trim().trim_end_matches(';').trim_end().to_string());
    format!(" {text};")
}

fn pg_get_viewdef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = match arguments.first() {
        Some(Datum::Oid(_)) => oid_argument(arguments, 0)?,
        Some(Datum::Text(name)) => relation_named(picture, name)?,
        _ => return Err(mismatch(arguments)),
    };
    Ok(match picture.relation(id) {
        Some(Relation::View(view)) => Datum::text(view_definition(picture, view)),
        _ => Datum::Null,
    })
}

fn pg_get_ruledef(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let id = oid_argument(arguments, 0)?;
    let view = picture.views().find(|view| rule_id(view.id) == id.0);
    Ok(optional(view.map(|view| {
        let name = qualified(picture.snapshot.schema_name(view.schema), &view.name);
        let query = view_definition(picture, view);
        format!("CREATE RULE \"_RETURN\" AS\n    ON SELECT TO {name} DO INSTEAD {query}")
    })))
}

/// pg_get_expr(expression, relation [, pretty]). The expression is kept as text: it is a column's if a column has it.
fn pg_get_expr(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let text = text_argument(arguments, 0)?;
    let id = oid_argument(arguments, 1)?;
    let table = match picture.relation(id) {
        Some(Relation::Table(table)) => table,
        // An expression without columns (a domain's default, typdefaultbin) is kept as it is printed.
        Some(Relation::System(_)) => return Ok(Datum::text(text)),
        None if id.0 == 0 => return Ok(Datum::text(text)),
        _ => return Ok(Datum::Null),
    };
    let own = |column: &&ColumnDescriptor| {
        column.generated.as_deref() == Some(text) || column.default.as_deref() == Some(text)
    };
    let column = table.columns.iter().find(own);
    Ok(Datum::text(stored_expression(picture, table, text, column, flag_argument(arguments, 2))))
}

fn pg_get_serial_sequence(picture: &Picture<'_>, arguments: &[Datum]) -> PgResult<Datum> {
    let (table, column) = (text_argument(arguments, 0)?, text_argument(arguments, 1)?);
    let id = relation_named(picture, table)?;
    let relation = picture.relation(id);
    let attribute = relation.and_then(|relation| {
        let attributes = relation.attributes();
        attributes.into_iter().find(|attribute| attribute.name == column)
    });
    let Some(attribute) = attribute else {
        let name = relation.map_or(table, |relation| relation.name());
        let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
        return Err(PgError::new(SqlState::UNDEFINED_COLUMN, message));
    };
    let sequence = attribute.column.and_then(|column| column.owned_sequence);
    let sequence = sequence.and_then(|id| picture.relation(id));
    Ok(optional(sequence.map(|sequence| qualified_relation(picture, &sequence))))
}
