//! Conversions: a cast looked up once, applied to whole vectors.
//!
//! A cast has up to two steps, as in PostgreSQL: from type to type (a function, a change of name, or out through text and in
//! again), then to the modifier (`varchar(3)`, `numeric(5,2)`), by the function that pg_cast has from the type to itself.
//!
//! A change of name between string types leaves the vector alone, label included: evaluators do not look at it, and
//! [`super::Program`] relabels what it returns.

use super::frame::{Frame, Value};
use super::node::scalar_evaluator;
use crate::catalogue::CastMethod;
use crate::context::CatalogLookup;
use crate::expr::CastContext;
use crate::function::{Evaluator, FunctionRef};
use crate::resolve::find_cast;
use std::borrow::Cow;
use types::format::FormatContext;
use types::{ColumnType, DataType, Datum, PgError, PgResult, SqlState, Values, Vector, format};

/// A prepared conversion.
pub(super) struct CastPlan {
    from: DataType,
    to: ColumnType,
    step: Step,
    modifier: Option<Conversion>,
    explicit: bool,
}

enum Step {
    Relabel,
    Function(Conversion),
    /// A row of a named type as a record: the type goes along with the value.
    Record,
    /// Out through text and in again.
    Text,
    Elements(Box<CastPlan>),
}

/// A conversion function and how many of (value, modifier, explicit) it takes.
struct Conversion {
    evaluator: Evaluator,
    arguments: usize,
    strict: bool,
}

impl Conversion {
    fn new(function: FunctionRef) -> PgResult<Conversion> {
        Ok(Conversion {
            evaluator: scalar_evaluator(function)?,
            arguments: function.0.arguments.len(),
            strict: function.0.strict,
        })
    }
}

impl CastPlan {
    pub(super) fn new(from: DataType, to: ColumnType, context: CastContext) -> PgResult<CastPlan> {
        let cast = find_cast(from, to.data_type).ok_or_else(|| {
            PgError::new(SqlState::CANNOT_COERCE, format!("cannot cast type {from} to {}", to.data_type))
        })?;
        let step = match cast.method {
            _ if from == to.data_type => Step::Relabel,
            _ if to.data_type == DataType::Record => Step::Record,
            CastMethod::Binary => Step::Relabel,
            CastMethod::Function(function) => Step::Function(Conversion::new(function)?),
            CastMethod::InOut => Step::Text,
            CastMethod::Array => {
                let element = |data_type: DataType| data_type.element().unwrap_or(DataType::Unknown);
                let to = ColumnType::new(element(to.data_type), to.typmod);
                Step::Elements(Box::new(CastPlan::new(element(from), to, context)?))
            }
        };
        let modifier = match &step {
            Step::Elements(_) => None,
            _ if to.typmod == ColumnType::NO_MODIFIER => None,
            // Arrays of one type: the modifier is the elements'.
            _ if matches!(to.data_type, DataType::Array(_)) => {
                let element = ColumnType::new(to.data_type.element().unwrap_or(DataType::Unknown), to.typmod);
                let inner = CastPlan::new(element.data_type, element, context)?;
                return Ok(CastPlan {
                    from,
                    to,
                    step: Step::Elements(Box::new(inner)),
                    modifier: None,
                    explicit: context == CastContext::Explicit,
                });
            }
            _ => modifier_function(to.data_type)?,
        };
        Ok(CastPlan { from, to, step, modifier, explicit: context == CastContext::Explicit })
    }

    pub(super) fn apply<'a>(&self, value: Value<'a>, frame: &Frame<'_>) -> PgResult<Value<'a>> {
        let constant = value.constant;
        let rows = if constant { 1 } else { frame.rows };
        let converted: Cow<'a, Vector> = match &self.step {
            Step::Relabel => relabel(value.vector, self.to.data_type),
            Step::Record => Cow::Owned(self.as_records(&value.vector, frame)),
            // The function may be the one to a type of the same bytes (smallint to oid goes by integer).
            Step::Function(conversion) => {
                let converted = Cow::Owned(self.convert(conversion, &value.vector, rows, frame)?);
                relabel(converted, self.to.data_type)
            }
            Step::Text => Cow::Owned(self.through_text(&value.vector, frame)?),
            Step::Elements(element) => Cow::Owned(self.elements(element, &value.vector, frame)?),
        };
        let vector = match &self.modifier {
            Some(modifier) => Cow::Owned(self.convert(modifier, &converted, rows, frame)?),
            None => converted,
        };
        Ok(Value { vector, constant })
    }

    fn convert(
        &self,
        conversion: &Conversion,
        input: &Vector,
        rows: usize,
        frame: &Frame<'_>,
    ) -> PgResult<Vector> {
        let result = if conversion.arguments == 1 {
            (conversion.evaluator)(frame.context, &[input], rows)
        } else {
            let typmod = Vector::from_datums(DataType::Int4, &[Datum::Int4(self.to.typmod)]);
            let explicit = Vector::from_datums(DataType::Bool, &[Datum::Bool(self.explicit)]);
            let arguments = [input, &typmod, &explicit];
            (conversion.evaluator)(frame.context, &arguments[..conversion.arguments], rows)
        };
        let mut vector = result?;
        if conversion.strict {
            vector.nulls.unite(&input.nulls);
        }
        vector.data_type = self.to.data_type;
        Ok(vector)
    }

    fn through_text(&self, input: &Vector, frame: &Frame<'_>) -> PgResult<Vector> {
        let to = self.to.data_type;
        let rows = input.len();
        let mut result = Vector::with_capacity(to, rows);
        let mut text = Vec::new();
        // Only interval's input function looks at the modifier: `interval '1' day`.
        let typmod = if to == DataType::Interval { self.to.typmod } else { ColumnType::NO_MODIFIER };
        for row in 0..rows {
            if input.is_null(row) {
                result.push_null();
                continue;
            }
            if let Values::Text(values) = &input.values {
                push_parsed(&mut result, to, typmod, values.get(row), frame)?;
                continue;
            }
            text.clear();
            self.output(input, row, frame, &mut text)?;
            let text =
                std::str::from_utf8(&text).map_err(|_| PgError::internal("text output is not UTF-8"))?;
            push_parsed(&mut result, to, typmod, text, frame)?;
        }
        Ok(result)
    }

    fn output(&self, input: &Vector, row: usize, frame: &Frame<'_>, out: &mut Vec<u8>) -> PgResult<()> {
        // The plan's type, not the vector's: relabelling leaves labels alone.
        match catalog_output(self.from) {
            Some(function) => match frame.context.catalog.call(function, &[input.datum(row)])? {
                Datum::Text(text) => out.extend_from_slice(text.as_bytes()),
                other => return Err(PgError::internal(format!("{function} answered {other:?}"))),
            },
            None => {
                let datum = input.datum(row);
                let typmod = ColumnType::NO_MODIFIER;
                format::write_datum_text(&datum, self.from, typmod, &frame.context.session.format, out);
            }
        }
        Ok(())
    }

    fn as_records(&self, input: &Vector, frame: &Frame<'_>) -> Vector {
        let row_type = frame.context.session.format.types.row_type(self.from);
        let mut result = Vector::with_capacity(DataType::Record, input.len());
        for row in 0..input.len() {
            let mut value = input.datum(row);
            if let Datum::Record(record) = &mut value {
                record.row_type = row_type.clone();
            }
            result.push(&value);
        }
        result
    }

    fn elements(&self, element: &CastPlan, input: &Vector, frame: &Frame<'_>) -> PgResult<Vector> {
        let mut result = Vector::with_capacity(self.to.data_type, input.len());
        for row in 0..input.len() {
            let Datum::Array(mut array) = input.datum(row) else {
                result.push_null();
                continue;
            };
            if !array.elements.is_empty() {
                let elements = Vector::from_datums(element.from, &array.elements);
                let inner = Frame {
                    context: frame.context,
                    batch: frame.batch,
                    selection: None,
                    rows: elements.len(),
                    operand: None,
                };
                let mut converted = element.apply(Value::owned(elements), &inner)?.vector.into_owned();
                converted.data_type = element.to.data_type;
                array.elements = (0..converted.len()).map(|index| converted.datum(index)).collect();
            }
            array.element_oid = element.to.data_type.oid();
            result.push(&Datum::Array(array));
        }
        Ok(result)
    }
}

/// The function that fits a value of a type to its modifier; `None` when the type has no modifiers.
fn modifier_function(data_type: DataType) -> PgResult<Option<Conversion>> {
    let Some(row) = crate::catalogue().cast_row(data_type, data_type) else { return Ok(None) };
    match row.method {
        crate::catalogue::CastRowMethod::Function(oid) => {
            let function = crate::catalogue().function(oid).expect("every cast row names a function row");
            Conversion::new(function).map(Some)
        }
        _ => Ok(None),
    }
}

/// The same bytes under another name, converted only where our representations differ.
fn relabel(vector: Cow<'_, Vector>, to: DataType) -> Cow<'_, Vector> {
    let nulls = &vector.nulls;
    let values = match (&vector.values, to.base()) {
        (Values::Int4(values), to) if to.physical() == types::Physical::Oid => {
            Values::Oid(values.iter().map(|value| *value as u32).collect())
        }
        (Values::Oid(values), DataType::Int4) => {
            Values::Int4(values.iter().map(|value| *value as i32).collect())
        }
        (Values::Text(_), DataType::Bpchar) => {
            let Values::Text(values) = &vector.values else { unreachable!("matched above") };
            if (0..values.len()).all(|row| !values.get(row).ends_with(' ')) {
                return vector;
            }
            let mut stripped = types::TextVector::with_capacity(values.len(), values.data_bytes());
            (0..values.len()).for_each(|row| stripped.push(values.get(row).trim_end_matches(' ')));
            Values::Text(stripped)
        }
        // Strings of all types are alike to evaluators.
        (Values::Text(_), _) => return vector,
        _ if vector.data_type == to => return vector,
        (values, _) => values.clone(),
    };
    Cow::Owned(Vector { data_type: to, nulls: nulls.clone(), values })
}

/// Types whose text needs the catalog: the function that writes it.
pub(crate) fn catalog_output(data_type: DataType) -> Option<&'static str> {
    Some(match data_type.base() {
        DataType::Regclass => "regclassout",
        DataType::Regproc => "regprocout",
        DataType::Regprocedure => "regprocedureout",
        DataType::Regoper => "regoperout",
        DataType::Regtype => "regtypeout",
        DataType::Regnamespace => "regnamespaceout",
        DataType::Regrole => "regroleout",
        _ => return None,
    })
}

/// Types whose text needs the catalog: the function that reads it.
pub(super) fn catalog_input(data_type: DataType) -> Option<&'static str> {
    Some(match data_type.base() {
        DataType::Regclass => "regclassin",
        DataType::Regproc => "regprocin",
        DataType::Regprocedure => "regprocedurein",
        DataType::Regoper => "regoperin",
        DataType::Regtype => "regtypein",
        DataType::Regnamespace => "regnamespacein",
        DataType::Regrole => "regrolein",
        _ => return None,
    })
}

/// Reads `text` as `to` and appends it.
fn push_parsed(
    result: &mut Vector,
    to: DataType,
    typmod: i32,
    text: &str,
    frame: &Frame<'_>,
) -> PgResult<()> {
    if matches!(to, DataType::Text | DataType::Varchar | DataType::Unknown)
        && let Values::Text(values) = &mut result.values
    {
        values.push(text);
        return Ok(());
    }
    result.push(&parse(to, typmod, text, frame.context)?);
    Ok(())
}

/// Is the type's text, or that of its elements, read with the catalog's help?
pub fn needs_catalog(data_type: DataType) -> bool {
    catalog_input(data_type.element().unwrap_or(data_type)).is_some()
}

/// A type's input function in an expression.
pub(crate) fn parse(
    to: DataType,
    typmod: i32,
    text: &str,
    context: &crate::EvalContext<'_>,
) -> PgResult<Datum> {
    // What is not only digits may be 'now' or 'today', which mean the transaction's.
    if is_datetime(to) && text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        let format = FormatContext { now: context.transaction_timestamp, ..context.session.format.clone() };
        return parse_text(to, typmod, text, &format, context.catalog);
    }
    parse_text(to, typmod, text, &context.session.format, context.catalog)
}

/// A type's input function, the catalog asked where need be: [`types::format::parse_text`] for every type.
pub fn parse_text(
    to: DataType,
    typmod: i32,
    text: &str,
    format: &FormatContext,
    catalog: &dyn CatalogLookup,
) -> PgResult<Datum> {
    if let Some(function) = catalog_input(to) {
        return catalog.call(function, &[Datum::text(text)]);
    }
    let Some(element) = to.element().filter(|element| needs_catalog(*element)) else {
        return format::parse_text(to, typmod, text, format);
    };
    let texts = format::parse_text(DataType::array_of(DataType::Text), typmod, text, format)?;
    let Datum::Array(mut array) = texts else { return Err(PgError::internal("text[] is not an array")) };
    for value in &mut array.elements {
        if let Datum::Text(text) = value {
            *value = parse_text(element, typmod, text, format, catalog)?;
        }
    }
    array.element_oid = element.oid();
    Ok(Datum::Array(array))
}

fn is_datetime(data_type: DataType) -> bool {
    use DataType::*;
    match data_type.base() {
        Date | Time | TimeTz | Timestamp | TimestampTz => true,
        Array(_) => data_type.element().is_some_and(is_datetime),
        _ => false,
    }
}
