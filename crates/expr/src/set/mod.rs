//! Functions that return sets of rows: opened with the arguments of one call, read in batches.

mod json;
mod series;
mod split;
mod unnest;

use crate::context::EvalContext;
use crate::function::FunctionRef;
use types::{Batch, DataType, Datum, PgError, PgResult, Vector};

/// The rows of one call, in order.
///
/// - `next` answers at most `rows_max` rows and an empty batch once there are no more.
pub trait RowSet: Send {
    fn next(&mut self, rows_max: usize) -> PgResult<Batch>;
}

/// Opens a call of a set-returning function. `argument_types` are the resolved ones. A NULL argument of a strict function gives
/// no rows. 0A000 for a function that is not built here (aclexplode ...).
pub fn open(
    function: FunctionRef,
    arguments: &[Datum],
    argument_types: &[DataType],
    context: &EvalContext<'_>,
) -> PgResult<Box<dyn RowSet>> {
    if function.0.strict && arguments.iter().any(Datum::is_null) {
        return Ok(Box::new(Listed::new(Vec::new())));
    }
    match function.0.name {
        "generate_series" => series::open(arguments, context),
        "unnest" => unnest::unnest(&arguments[0], argument_types[0]),
        "generate_subscripts" => unnest::subscripts(arguments),
        "_pg_expandarray" => unnest::expand(&arguments[0], argument_types[0]),
        "string_to_table" => split::string_to_table(arguments),
        "regexp_split_to_table" => split::regexp_split_to_table(arguments),
        "regexp_matches" => split::regexp_matches(arguments),
        name @ ("json_array_elements"
        | "json_array_elements_text"
        | "jsonb_array_elements"
        | "jsonb_array_elements_text") => json::elements(&arguments[0], name),
        name @ ("json_each" | "json_each_text" | "jsonb_each" | "jsonb_each_text") => {
            json::each(&arguments[0], name)
        }
        name @ ("json_object_keys" | "jsonb_object_keys") => json::keys(&arguments[0], name),
        name @ ("json_populate_recordset" | "jsonb_populate_recordset") => {
            records(&arguments[0], argument_types[0], &arguments[1], name, context)
        }
        // The planner has put the row type behind the argument.
        name @ ("json_to_recordset" | "jsonb_to_recordset") => match (arguments, argument_types) {
            ([json, base], [_, base_type]) => records(base, *base_type, json, name, context),
            _ => Err(PgError::internal("records without their type")),
        },
        "jsonb_path_query" | "jsonb_path_query_tz" => {
            let rows = crate::functions::json::path::query(arguments)?;
            Ok(Box::new(Listed::new(vec![Vector::from_datums(DataType::Jsonb, &rows)])))
        }
        "pg_options_to_table" => options_to_table(&arguments[0]),
        // Nothing is partitioned.
        "pg_partition_ancestors" | "pg_partition_tree" => Ok(Box::new(Listed::new(Vec::new()))),
        name => Err(PgError::unsupported(format!("set-returning function {name}"))),
    }
}

fn records(
    base: &Datum,
    base_type: DataType,
    json: &Datum,
    name: &str,
    context: &EvalContext<'_>,
) -> PgResult<Box<dyn RowSet>> {
    let rows = crate::functions::json::populate::record_set(base, base_type, json, name, context)?;
    Ok(Box::new(Listed::new(vec![Vector::from_datums(base_type, &rows)])))
}

/// Names and types of the columns that a set-returning function makes, where it makes several; `None` for one column named
/// like the function.
pub fn columns(function: FunctionRef, argument_types: &[DataType]) -> Option<Vec<(&'static str, DataType)>> {
    match function.0.name {
        "_pg_expandarray" => {
            let element = argument_types.first().and_then(|argument| argument.element());
            Some(vec![("x", element.unwrap_or(DataType::Text)), ("n", DataType::Int4)])
        }
        "json_each" => Some(vec![("key", DataType::Text), ("value", DataType::Json)]),
        "jsonb_each" => Some(vec![("key", DataType::Text), ("value", DataType::Jsonb)]),
        "json_each_text" | "jsonb_each_text" => {
            Some(vec![("key", DataType::Text), ("value", DataType::Text)])
        }
        "pg_options_to_table" => {
            Some(vec![("option_name", DataType::Text), ("option_value", DataType::Text)])
        }
        "pg_partition_tree" => Some(vec![
            ("relid", DataType::Regclass),
            ("parentrelid", DataType::Regclass),
            ("isleaf", DataType::Bool),
            ("level", DataType::Int4),
        ]),
        _ => None,
    }
}

/// `{name=value, ...}` as rows.
fn options_to_table(options: &Datum) -> PgResult<Box<dyn RowSet>> {
    let Datum::Array(options) = options else {
        return Err(PgError::internal("pg_options_to_table was given no array"));
    };
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for option in &options.elements {
        let Datum::Text(option) = option else { continue };
        let (name, value) =
            option.split_once('=').map_or((&**option, None), |(name, value)| (name, Some(value)));
        names.push(Datum::text(name));
        values.push(value.map_or(Datum::Null, Datum::text));
    }
    let column = |datums: &[Datum]| Vector::from_datums(DataType::Text, datums);
    Ok(Box::new(Listed::new(vec![column(&names), column(&values)])))
}

/// Rows that are all there.
struct Listed {
    columns: Vec<Vector>,
    position: usize,
}

impl Listed {
    fn new(columns: Vec<Vector>) -> Listed {
        Listed { columns, position: 0 }
    }
}

impl RowSet for Listed {
    fn next(&mut self, rows_max: usize) -> PgResult<Batch> {
        let total = self.columns.first().map_or(0, Vector::len);
        let end = (self.position + rows_max).min(total);
        let range = self.position..end;
        self.position = end;
        let rows = range.len();
        Ok(Batch::new(self.columns.iter().map(|column| column.slice(range.clone())).collect(), rows))
    }
}
