//! Rows out of JSON: json_populate_record, json_to_record, their sets and jsonb kin.
//!
//! A row type is filled column by column: a member of the object goes through the column's input function, an array becomes
//! an array element by element, an object a row value. What the object does not have stays as it is in the row that was given.

use super::text::{self, Kind};
use super::{invalid, value_of};
use crate::EvalContext;
use std::borrow::Cow;
use std::sync::Arc;
use types::json::Value;
use types::{ArrayValue, ColumnType, DataType, Datum, PgError, PgResult, RowType, SqlState, Vector, format};

/// A JSON value of either type.
#[derive(Clone)]
enum Source<'a> {
    Json(&'a str),
    Jsonb(Cow<'a, Value>),
}

impl<'a> Source<'a> {
    fn of(datum: &'a Datum) -> PgResult<Source<'a>> {
        Ok(match datum {
            Datum::Text(text) => Source::Json(text),
            other => Source::Jsonb(Cow::Owned(value_of(other)?)),
        })
    }

    fn kind(&self) -> Kind {
        match self {
            Source::Json(text) => text::kind(text),
            Source::Jsonb(value) => match &**value {
                Value::Null => Kind::Null,
                Value::Bool(_) => Kind::Bool,
                Value::Number(_) => Kind::Number,
                Value::String(_) => Kind::String,
                Value::Array(_) => Kind::Array,
                Value::Object(_) => Kind::Object,
            },
        }
    }

    fn elements(&self) -> Vec<Source<'_>> {
        match self {
            Source::Json(text) => text::elements(text).map(Source::Json).collect(),
            Source::Jsonb(value) => match &**value {
                Value::Array(elements) => {
                    elements.iter().map(|element| Source::Jsonb(Cow::Borrowed(element))).collect()
                }
                _ => Vec::new(),
            },
        }
    }

    fn member(&self, name: &str) -> Option<Source<'_>> {
        match self {
            Source::Json(text) => text::member(text, name).map(Source::Json),
            Source::Jsonb(value) => value.get(name).map(|found| Source::Jsonb(Cow::Borrowed(found))),
        }
    }

    /// The value as JSON text.
    fn json(&self) -> String {
        match self {
            Source::Json(text) => text.trim().to_owned(),
            Source::Jsonb(value) => value.to_string(),
        }
    }

    /// A string's characters, any other value's JSON text.
    fn characters(&self) -> String {
        match self {
            Source::Json(text) => text::shown(text).unwrap_or_default(),
            Source::Jsonb(value) => super::shown(value).unwrap_or_default(),
        }
    }
}

/// The value of a column from JSON. `current` is what it has so far.
fn populate(
    source: &Source<'_>,
    column: ColumnType,
    current: &Datum,
    context: &EvalContext<'_>,
) -> PgResult<Datum> {
    let kind = source.kind();
    let data_type = column.data_type.base();
    // json and jsonb take null as a value; nothing else does.
    if kind == Kind::Null && !(matches!(data_type, DataType::Json | DataType::Jsonb)) {
        return Ok(Datum::Null);
    }
    match data_type {
        DataType::Json | DataType::Jsonb if kind == Kind::Null => Ok(Datum::Null),
        DataType::Json | DataType::Jsonb => read(&source.json(), column, context),
        DataType::Array(_) if kind == Kind::Array => populate_array(source, column, context),
        DataType::Array(_) if kind != Kind::String => {
            Err(PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "expected JSON array"))
        }
        DataType::Composite(_) if kind != Kind::String => {
            let row = row_type(data_type, current, context)?;
            populate_row(source, &row, current, "populate_composite", context)
        }
        _ => read(&source.characters(), column, context),
    }
}

fn read(text: &str, column: ColumnType, context: &EvalContext<'_>) -> PgResult<Datum> {
    match column.data_type.base() {
        DataType::Bpchar | DataType::Varchar | DataType::Text | DataType::Name => {}
        _ => return crate::eval::parse_value(column.data_type, column.typmod, text, context),
    }
    format::parse_text(column.data_type, column.typmod, text, &context.session.format)
}

fn malformed() -> PgError {
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
        .detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
}

fn populate_array(source: &Source<'_>, column: ColumnType, context: &EvalContext<'_>) -> PgResult<Datum> {
    let element_type = column.data_type.element().unwrap_or(DataType::Text);
    let element = ColumnType::new(element_type, column.typmod);
    let mut array =
        ArrayValue { element_oid: element_type.oid(), dimensions: Vec::new(), elements: Vec::new() };
    // How deep the array is shows at its first elements.
    let mut lengths: Vec<Option<usize>> = Vec::new();
    collect(source, 0, element, &mut lengths, &mut array.elements, context)?;
    if !array.elements.is_empty() {
        if lengths.len() > format::ARRAY_DIMENSIONS_MAX {
            return Err(PgError::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({}) exceeds the maximum allowed ({})",
                    lengths.len(),
                    format::ARRAY_DIMENSIONS_MAX
                ),
            ));
        }
        array.dimensions = lengths.iter().map(|length| (length.unwrap_or(0) as i32, 1)).collect();
    }
    Ok(Datum::Array(Box::new(array)))
}

/// Elements of all dimensions below `depth`, in order.
fn collect(
    source: &Source<'_>,
    depth: usize,
    element: ColumnType,
    lengths: &mut Vec<Option<usize>>,
    out: &mut Vec<Datum>,
    context: &EvalContext<'_>,
) -> PgResult<()> {
    if lengths.len() == depth {
        if !out.is_empty() {
            return Err(malformed());
        }
        lengths.push(None);
    }
    let elements = source.elements();
    // A json element may itself be an array.
    let nests = !matches!(element.data_type.base(), DataType::Json | DataType::Jsonb);
    for value in &elements {
        if nests && value.kind() == Kind::Array {
            collect(value, depth + 1, element, lengths, out, context)?;
        } else if nests && lengths.len() > depth + 1 {
            return Err(malformed());
        } else {
            out.push(populate(value, element, &Datum::Null, context)?);
        }
    }
    match lengths[depth] {
        None => lengths[depth] = Some(elements.len()),
        Some(length) if length != elements.len() => return Err(malformed()),
        Some(_) => {}
    }
    Ok(())
}

/// The columns of a row type: those of the named type, or of the row at hand.
fn row_type(data_type: DataType, row: &Datum, context: &EvalContext<'_>) -> PgResult<Arc<RowType>> {
    if let Some(named) = context.session.format.types.row_type(data_type) {
        return Ok(named);
    }
    match row {
        Datum::Record(record) => match &record.row_type {
            Some(own) => Ok(own.clone()),
            None => Ok(Arc::new(RowType {
                columns: (0..record.len())
                    .map(|at| (format!("f{}", at + 1).into(), record.field_type(at, None)))
                    .collect(),
            })),
        },
        _ => Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "could not determine row type for result of json_populate_record")
            .hint("Provide a non-null record argument, or call the function in the FROM clause using a column definition list.")),
    }
}

/// Conditions of domains are the planner's to bind, around conversions that it sees: it does not see these.
fn refuse_constrained(data_type: DataType, context: &EvalContext<'_>) -> PgResult<()> {
    let mut at = data_type;
    while let DataType::Domain(domain) = at {
        let Some(found) = context.session.format.types.user_type(domain.oid) else { return Ok(()) };
        let types::UserTypeKind::Domain(definition) = &found.kind else { return Ok(()) };
        if definition.not_null || !definition.checks.is_empty() {
            let what = format!("JSON into the domain {}, which has constraints,", found.name);
            return Err(PgError::unsupported(what));
        }
        at = definition.parent.data_type;
    }
    match at.element() {
        Some(element) => refuse_constrained(element, context),
        None => Ok(()),
    }
}

fn populate_row(
    source: &Source<'_>,
    row: &RowType,
    current: &Datum,
    caller: &str,
    context: &EvalContext<'_>,
) -> PgResult<Datum> {
    match source.kind() {
        Kind::Object => {}
        Kind::Array => return Err(invalid(format!("cannot call {caller} on an array"))),
        _ => return Err(invalid(format!("cannot call {caller} on a scalar"))),
    }
    let mut fields = Vec::with_capacity(row.columns.len());
    for (position, (name, column)) in row.columns.iter().enumerate() {
        refuse_constrained(column.data_type, context)?;
        let now = match current {
            Datum::Record(record) => record.get(position).cloned().unwrap_or(Datum::Null),
            _ => Datum::Null,
        };
        fields.push(match source.member(name) {
            Some(member) => populate(&member, *column, &now, context)?,
            None => now,
        });
    }
    Ok(Datum::record(fields, None))
}

fn with_row_type(row: Datum, data_type: DataType, row_type: &Arc<RowType>) -> Datum {
    match row {
        Datum::Record(mut record) if data_type.base() == DataType::Record => {
            record.row_type = Some(row_type.clone());
            Datum::Record(record)
        }
        other => other,
    }
}

/// One row: `base` gives the row type and what the object does not have.
fn one(
    base: &Datum,
    base_type: DataType,
    json: &Datum,
    caller: &str,
    context: &EvalContext<'_>,
) -> PgResult<Datum> {
    if json.is_null() {
        return Ok(base.clone());
    }
    refuse_constrained(base_type, context)?;
    let row = row_type(base_type, base, context)?;
    let made = populate_row(&Source::of(json)?, &row, base, caller, context)?;
    Ok(with_row_type(made, base_type, &row))
}

/// (base, json): json_populate_record and jsonb_populate_record.
pub fn populate_record(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let caller = if arguments[1].data_type == DataType::Jsonb {
        "jsonb_populate_record"
    } else {
        "json_populate_record"
    };
    rows_of(context, arguments[0], arguments[1], caller, rows)
}

/// (json, base): json_to_record and jsonb_to_record. The planner has put the row type behind the argument.
pub fn to_record(context: &EvalContext<'_>, arguments: &[&Vector], rows: usize) -> PgResult<Vector> {
    let caller = if arguments[0].data_type == DataType::Jsonb { "jsonb_to_record" } else { "json_to_record" };
    let base = arguments.get(1).ok_or_else(|| PgError::internal("a record without its type"))?;
    rows_of(context, base, arguments[0], caller, rows)
}

fn rows_of(
    context: &EvalContext<'_>,
    base: &Vector,
    json: &Vector,
    caller: &str,
    rows: usize,
) -> PgResult<Vector> {
    use super::super::text::row_of;
    let mut result = Vector::with_capacity(base.data_type, rows);
    for row in 0..rows {
        let base_row = base.datum(row_of(base, row, rows));
        let value = json.datum(row_of(json, row, rows));
        result.push(&one(&base_row, base.data_type, &value, caller, context)?);
    }
    Ok(result)
}

/// All rows of an array of objects.
pub(crate) fn record_set(
    base: &Datum,
    base_type: DataType,
    json: &Datum,
    caller: &str,
    context: &EvalContext<'_>,
) -> PgResult<Vec<Datum>> {
    if json.is_null() {
        return Ok(Vec::new());
    }
    refuse_constrained(base_type, context)?;
    let row = row_type(base_type, base, context)?;
    let source = Source::of(json)?;
    match source.kind() {
        Kind::Array => {}
        Kind::Object => return Err(invalid(format!("cannot call {caller} on an object"))),
        _ => return Err(invalid(format!("cannot call {caller} on a scalar"))),
    }
    let mut rows = Vec::new();
    for element in source.elements() {
        if element.kind() != Kind::Object {
            return Err(invalid(format!("argument of {caller} must be an array of objects")));
        }
        let made = populate_row(&element, &row, base, caller, context)?;
        rows.push(with_row_type(made, base_type, &row));
    }
    Ok(rows)
}
