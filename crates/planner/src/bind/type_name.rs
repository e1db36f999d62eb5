//! Type names: to types, modifiers checked.

use super::parameters::Parameters;
use super::{Binder, NameUse};
use crate::ast::{ExpressionKind, Literal, TypeName};
use crate::catalog::Relation;
use crate::{Catalog, PlanOptions};
use types::{BUILTIN_TYPES, ColumnType, DataType, PgError, PgResult, SqlState};

/// varchar(n) and char(n) at most.
const CHARACTERS_MAX: i32 = 10_485_760;
const NUMERIC_PRECISION_MAX: i32 = 1000;

/// The type that a name stands for, modifiers checked (42704 for none).
pub fn resolve_type(name: &TypeName, catalog: &dyn Catalog, options: &PlanOptions) -> PgResult<ColumnType> {
    Binder::new(catalog, options, Parameters::none()).resolve_type_name(name)
}

impl Binder<'_> {
    pub(super) fn resolve_type_name(&mut self, name: &TypeName) -> PgResult<ColumnType> {
        if name.set_of {
            let message = format!("type {} cannot be SETOF here", name.name);
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(name.position));
        }
        let base = if name.percent_type { self.percent_type(name)? } else { self.base_type(name)? };
        let typmod = if name.percent_type { base.typmod } else { self.type_modifier(base.data_type, name)? };
        if name.array_bounds.is_empty() {
            return Ok(ColumnType::new(base.data_type, typmod));
        }
        if let DataType::Array(_) = base.data_type {
            return Ok(ColumnType::new(base.data_type, typmod));
        }
        if base.data_type.array_oid() == 0 {
            let message =
                format!("could not find array type for data type {}", self.type_label(base.data_type));
            return Err(PgError::new(SqlState::UNDEFINED_OBJECT, message).at(name.position));
        }
        Ok(ColumnType::new(DataType::array_of(base.data_type), typmod))
    }

    fn base_type(&mut self, name: &TypeName) -> PgResult<ColumnType> {
        let plain = name.name.name();
        let in_catalog = || builtin_named(plain);
        let missing = || {
            PgError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{}\" does not exist", name.name))
                .at(name.position)
        };
        if name.system {
            return in_catalog().map(ColumnType::from).ok_or_else(missing);
        }
        if let Some(schema) = name.name.schema() {
            if schema == "pg_catalog" {
                return in_catalog().map(ColumnType::from).ok_or_else(missing);
            }
            if !self.schema_exists(schema) {
                let message = format!("schema \"{schema}\" does not exist");
                return Err(PgError::new(SqlState::INVALID_SCHEMA_NAME, message).at(name.position));
            }
            let found = self.catalog.user_type(schema, plain)?;
            return found.map(|found| found.data_type().into()).ok_or_else(missing);
        }
        for schema in self.schemas() {
            if schema == "pg_catalog" {
                if let Some(found) = in_catalog() {
                    return Ok(found.into());
                }
            } else if let Some(found) = self.catalog.user_type(schema, plain)? {
                self.note_name(name.position, || NameUse::Type(found.oid));
                return Ok(found.data_type().into());
            }
        }
        Err(missing())
    }

    /// `table.column%TYPE`.
    fn percent_type(&mut self, name: &TypeName) -> PgResult<ColumnType> {
        let mut parts = name.name.parts.clone();
        let column = parts.pop().expect("an object name has a part");
        if parts.is_empty() {
            let message = "improper %TYPE reference (too few dotted names): ".to_string() + &column.name;
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(name.position));
        }
        let (relation, _) = self.find_relation(&crate::ast::ObjectName { parts })?;
        let found = match &relation {
            Relation::Table(table) => {
                table.descriptor.column_named(&column.name).map(|column| column.column_type)
            }
            Relation::View(view) => {
                view.columns.iter().find(|shown| *shown.name == *column.name).map(|shown| shown.column_type)
            }
            _ => None,
        };
        found.ok_or_else(|| {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", column.name, name.name);
            PgError::new(SqlState::UNDEFINED_COLUMN, message).at(name.position)
        })
    }

    fn type_modifier(&self, data_type: DataType, name: &TypeName) -> PgResult<i32> {
        if name.modifiers.is_empty() && name.interval_fields.is_none() {
            return Ok(ColumnType::NO_MODIFIER);
        }
        let mut values = Vec::with_capacity(name.modifiers.len());
        for modifier in &name.modifiers {
            match &modifier.kind {
                ExpressionKind::Literal(Literal::Integer(value)) => values.push(*value),
                ExpressionKind::Literal(Literal::String(text)) if text.parse::<i32>().is_ok() => {
                    values.push(text.parse().expect("just parsed"));
                }
                _ => {
                    let message = "type modifiers must be simple constants or identifiers";
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(name.position));
                }
            }
        }
        modifier_of(data_type, &values, name.interval_fields).map_err(|error| error.or_at(name.position))
    }

    /// The type as messages call it; user types by their names.
    pub(super) fn type_label(&self, data_type: DataType) -> String {
        let name_of = |oid: u32| -> Option<String> {
            let found = self.catalog.user_type_by_oid(oid).ok().flatten()?;
            Some(crate::parser::keywords::quote_identifier(&found.name))
        };
        match data_type {
            DataType::Enum(_) | DataType::Composite(_) | DataType::Domain(_) => {
                name_of(data_type.oid()).unwrap_or_else(|| data_type.sql_name())
            }
            DataType::Array(element) if data_type.is_user_type() => {
                name_of(element.oid()).map_or_else(|| data_type.sql_name(), |name| format!("{name}[]"))
            }
            other => other.sql_name(),
        }
    }

    /// Puts the names of user types into a message that crate `expr` made with their oids.
    pub(super) fn name_types(&self, error: PgError) -> PgError {
        error
    }
}

/// A built-in type by its pg_type name (`int4`, `_int4`).
fn builtin_named(name: &str) -> Option<DataType> {
    let scalar = |name: &str| BUILTIN_TYPES.iter().copied().find(|known| known.pg_name() == Some(name));
    if let Some(found) = scalar(name) {
        return Some(found);
    }
    let element = scalar(name.strip_prefix('_')?)?;
    (element.array_oid() != 0).then(|| DataType::array_of(element))
}

/// typmodin of the types that have modifiers.
fn modifier_of(data_type: DataType, values: &[i32], interval_fields: Option<i32>) -> PgResult<i32> {
    let invalid = |message: String| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let label = match data_type {
        DataType::Bpchar => "char",
        other => other.pg_name().unwrap_or("type"),
    };
    match (data_type, values) {
        (DataType::Varchar | DataType::Bpchar, [length]) => match *length {
            ..1 => invalid(format!("length for type {label} must be at least 1")),
            length if length > CHARACTERS_MAX => {
                invalid(format!("length for type {label} cannot exceed {CHARACTERS_MAX}"))
            }
            length => Ok(length + 4),
        },
        (DataType::Bit | DataType::Varbit, [length]) => match *length {
            ..1 => invalid(format!("length for type {label} must be at least 1")),
            length if length > CHARACTERS_MAX * 8 => {
                invalid(format!("length for type {label} cannot exceed {}", CHARACTERS_MAX * 8))
            }
            length => Ok(length),
        },
        (DataType::Numeric, [precision]) => numeric_modifier(*precision, 0),
        (DataType::Numeric, [precision, scale]) => numeric_modifier(*precision, *scale),
        (DataType::Numeric, _) => invalid("invalid NUMERIC type modifier".into()),
        (DataType::Time | DataType::TimeTz | DataType::Timestamp | DataType::TimestampTz, [precision]) => {
            let (name, zone) = match data_type {
                DataType::Time => ("TIME", ""),
                DataType::TimeTz => ("TIME", " WITH TIME ZONE"),
                DataType::Timestamp => ("TIMESTAMP", ""),
                _ => ("TIMESTAMP", " WITH TIME ZONE"),
            };
            if *precision < 0 {
                return invalid(format!("{name}({precision}){zone} precision must not be negative"));
            }
            Ok((*precision).min(6))
        }
        (DataType::Interval, []) => Ok(interval_fields.unwrap_or(0x7fff) << 16 | 0xffff),
        (DataType::Interval, [precision]) => {
            if *precision < 0 {
                return invalid(format!("INTERVAL({precision}) precision must not be negative"));
            }
            Ok(interval_fields.unwrap_or(0x7fff) << 16 | (*precision).min(6))
        }
        (DataType::Varchar | DataType::Bpchar | DataType::Bit | DataType::Varbit | DataType::Interval, _) => {
            invalid("invalid type modifier".into())
        }
        _ => {
            let message = format!("type modifier is not allowed for type \"{label}\"");
            Err(PgError::new(SqlState::SYNTAX_ERROR, message))
        }
    }
}

fn numeric_modifier(precision: i32, scale: i32) -> PgResult<i32> {
    let invalid = |message: String| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    if !(1..=NUMERIC_PRECISION_MAX).contains(&precision) {
        return invalid(format!(
            "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        ));
    }
    if !(-NUMERIC_PRECISION_MAX..=NUMERIC_PRECISION_MAX).contains(&scale) {
        let bound = NUMERIC_PRECISION_MAX;
        return invalid(format!("NUMERIC scale {scale} must be between -{bound} and {bound}"));
    }
    Ok((precision << 16 | scale & 0x7ff) + 4)
}
