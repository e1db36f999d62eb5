//! Constraint violations in PostgreSQL's words.

use expr::{EvalContext, Program};
use planner::plan;
use types::descriptor::{ForeignKey, IndexDescriptor, TableDescriptor};
use types::format::{FormatContext, write_text};
use types::{Batch, PgError, PgResult, SqlState, Values, Vector};

use super::stored_table::StoredTable;

/// Bytes of each value shown in "Failing row contains".
const SHOWN_BYTES_MAX: usize = 64;

/// Where the values of a row's columns stand in a batch.
pub(crate) type Positions<'a> = &'a [usize];

/// A prepared CHECK: its condition is over a batch whose layout the preparer knows.
pub(crate) struct CheckProgram {
    name: Box<str>,
    condition: Program,
    view: Option<Box<str>>,
}

impl CheckProgram {
    pub fn new(check: &plan::Check, condition: &expr::Expr) -> PgResult<CheckProgram> {
        Ok(CheckProgram {
            name: check.name.clone(),
            condition: Program::new(condition)?,
            view: check.view.clone(),
        })
    }

    /// The first row that breaks it.
    fn first_violation(&self, context: &EvalContext<'_>, batch: &Batch) -> PgResult<Option<usize>> {
        let result = self.condition.evaluate(context, batch)?;
        let Values::Bool(values) = &result.values else {
            return Err(PgError::internal("a check that is not boolean"));
        };
        let null_passes = self.view.is_none();
        Ok((0..batch.rows).find(|row| if result.is_null(*row) { !null_passes } else { !values[*row] }))
    }
}

/// Checks NOT NULL of the given columns and all CHECKs: an error for the first row that breaks one.
pub(crate) fn check_rows(
    table: &StoredTable,
    not_null: &[usize],
    checks: &[CheckProgram],
    context: &EvalContext<'_>,
    batch: &Batch,
    positions: Positions<'_>,
) -> PgResult<()> {
    let mut first: Option<(usize, PgError)> = None;
    for column in not_null {
        let vector = &batch.columns[positions[*column]];
        if !vector.nulls.any() {
            continue;
        }
        let before = first.as_ref().map_or(batch.rows, |(row, _)| *row);
        if let Some(row) = (0..before).find(|row| vector.is_null(*row)) {
            first = Some((row, null_violation(table, *column, context, batch, positions, row)));
        }
    }
    if let Some((row, error)) = &first
        && *row == 0
    {
        return Err(error.clone());
    }
    for check in checks {
        if let Some(row) = check.first_violation(context, batch)?
            && first.as_ref().is_none_or(|(before, _)| row < *before)
        {
            first = Some((row, check_violation(table, check, context, batch, positions, row)));
        }
    }
    first.map_or(Ok(()), |(_, error)| Err(error))
}

fn null_violation(
    table: &StoredTable,
    column: usize,
    context: &EvalContext<'_>,
    batch: &Batch,
    positions: Positions<'_>,
    row: usize,
) -> PgError {
    let (name, column) = (&table.descriptor.name, &table.descriptor.columns[column].name);
    PgError::new(
        SqlState::NOT_NULL_VIOLATION,
        format!("null value in column \"{column}\" of relation \"{name}\" violates not-null constraint"),
    )
    .detail(failing_row(table, context, batch, positions, row))
    .table(&*table.schema, name)
    .column(column)
}

fn check_violation(
    table: &StoredTable,
    check: &CheckProgram,
    context: &EvalContext<'_>,
    batch: &Batch,
    positions: Positions<'_>,
    row: usize,
) -> PgError {
    let name = &table.descriptor.name;
    let detail = failing_row(table, context, batch, positions, row);
    match &check.view {
        Some(view) => PgError::new(
            SqlState::WITH_CHECK_OPTION_VIOLATION,
            format!("new row violates check option for view \"{view}\""),
        )
        .detail(detail),
        None => PgError::new(
            SqlState::CHECK_VIOLATION,
            format!("new row for relation \"{name}\" violates check constraint \"{}\"", check.name),
        )
        .detail(detail)
        .table(&*table.schema, name)
        .constraint(&*check.name),
    }
}

/// "Failing row contains (1, null, abc)."
fn failing_row(
    table: &StoredTable,
    context: &EvalContext<'_>,
    batch: &Batch,
    positions: Positions<'_>,
    row: usize,
) -> String {
    let shown = table.descriptor.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
    let texts: Vec<String> = shown
        .map(|(position, column)| {
            let vector = &batch.columns[positions[position]];
            let text = value_text(vector, column.column_type.typmod, row, &context.session.format);
            clip(text)
        })
        .collect();
    format!("Failing row contains ({}).", texts.join(", "))
}

/// At most [`SHOWN_BYTES_MAX`] bytes, cut between characters.
fn clip(mut text: String) -> String {
    if text.len() > SHOWN_BYTES_MAX {
        let end = (0..=SHOWN_BYTES_MAX).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn value_text(vector: &Vector, typmod: i32, row: usize, format: &FormatContext) -> String {
    if vector.is_null(row) {
        return "null".into();
    }
    let mut out = Vec::new();
    write_text(vector, typmod, row, format, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// "(a, b)=(1, 2)": columns of a table with their values, `vectors[i]` holding those of `columns[i]`.
pub(crate) fn key_text(
    table: &TableDescriptor,
    columns: &[usize],
    vectors: &[&Vector],
    row: usize,
    format: &FormatContext,
) -> String {
    let names: Vec<&str> = columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
    let texts: Vec<String> = columns
        .iter()
        .zip(vectors)
        .map(|(column, vector)| value_text(vector, table.columns[*column].column_type.typmod, row, format))
        .collect();
    format!("({})=({})", names.join(", "), texts.join(", "))
}

/// 23505 for a row whose key in an index is taken.
pub(crate) fn unique_violation(
    table: &StoredTable,
    index: usize,
    batch: &Batch,
    positions: Positions<'_>,
    row: usize,
    format: &FormatContext,
) -> PgError {
    let descriptor: &IndexDescriptor = table.index_descriptor(index);
    let key = &table.indexes[index].key;
    let vectors: Vec<&Vector> = key.iter().map(|column| &batch.columns[positions[*column]]).collect();
    let text = key_text(&table.descriptor, key, &vectors, row, format);
    PgError::new(
        SqlState::UNIQUE_VIOLATION,
        format!("duplicate key value violates unique constraint \"{}\"", descriptor.name),
    )
    .detail(format!("Key {text} already exists."))
    .table(&*table.schema, &table.descriptor.name)
    .constraint(&descriptor.name)
}

/// 23503 for a row that points to nothing. `key` is "(a)=(1)".
pub(crate) fn missing_parent(
    table: &StoredTable,
    foreign_key: &ForeignKey,
    key: &str,
    parent: &str,
) -> PgError {
    let name = &table.descriptor.name;
    PgError::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "insert or update on table \"{name}\" violates foreign key constraint \"{}\"",
            foreign_key.name
        ),
    )
    .detail(format!("Key {key} is not present in table \"{parent}\"."))
    .table(&*table.schema, name)
    .constraint(&foreign_key.name)
}

/// 23503 for MATCH FULL with some columns NULL.
pub(crate) fn mixed_nulls(table: &StoredTable, foreign_key: &ForeignKey) -> PgError {
    let name = &table.descriptor.name;
    PgError::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "insert or update on table \"{name}\" violates foreign key constraint \"{}\"",
            foreign_key.name
        ),
    )
    .detail("MATCH FULL does not allow mixing of null and nonnull key values.")
    .table(&*table.schema, name)
    .constraint(&foreign_key.name)
}

/// 23503 for a row that is still pointed to. `key` is "(a)=(1)" in the parent's columns.
pub(crate) fn still_referenced(
    parent: &StoredTable,
    child: &StoredTable,
    foreign_key: &ForeignKey,
    key: &str,
) -> PgError {
    let (parent_name, child_name) = (&parent.descriptor.name, &child.descriptor.name);
    PgError::new(
        SqlState::FOREIGN_KEY_VIOLATION,
        format!(
            "update or delete on table \"{parent_name}\" violates foreign key constraint \"{}\" on table \"{child_name}\"",
            foreign_key.name
        ),
    )
    .detail(format!("Key {key} is still referenced from table \"{child_name}\"."))
    .table(&*child.schema, child_name)
    .constraint(&foreign_key.name)
}
