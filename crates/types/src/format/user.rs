//! Text of the types that users made: enums by their labels, row types and domains by what they are made of.

use super::record::split_record;
use super::{FormatContext, parse_text};
use crate::data_type::{ColumnType, DataType, DomainRef};
use crate::datum::Datum;
use crate::error::{PgError, PgResult, SqlState};
use crate::user_type::UserTypeKind;

fn gone(oid: u32) -> PgError {
    PgError::new(SqlState::UNDEFINED_OBJECT, format!("type with OID {oid} does not exist"))
}

/// enum_in.
pub(super) fn parse_enum(oid: u32, text: &str, context: &FormatContext) -> PgResult<Datum> {
    let user_type = context.types.user_type(oid).ok_or_else(|| gone(oid))?;
    let label = user_type.labels().iter().find(|label| *label.label == *text);
    label.map(|label| Datum::Int8(label.place)).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("invalid input value for enum {}: \"{text}\"", user_type.name),
        )
    })
}

/// enum_out. A place that has no label (the type was dropped meanwhile) prints as the number it is.
pub(super) fn write_enum(oid: u32, place: i64, context: &FormatContext, out: &mut Vec<u8>) {
    let user_type = context.types.user_type(oid);
    let label = user_type.as_ref().and_then(|found| {
        let labels = found.labels();
        labels.binary_search_by_key(&place, |label| label.place).ok().map(|index| &labels[index].label)
    });
    match label {
        Some(label) => out.extend_from_slice(label.as_bytes()),
        None => super::write_integer(place, out),
    }
}

/// record_in for a named row type.
pub(super) fn parse_composite(oid: u32, text: &str, context: &FormatContext) -> PgResult<Datum> {
    let row = context.types.row_type(DataType::Composite(oid)).ok_or_else(|| gone(oid))?;
    let malformed = |detail: &str| {
        PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed record literal: \"{text}\""))
            .detail(detail)
    };
    let parts = split_record(text)?;
    // `()` is the row without columns as well as that of one NULL.
    let given = if row.columns.is_empty() && parts == [None] { &[][..] } else { &parts[..] };
    match given.len().cmp(&row.columns.len()) {
        std::cmp::Ordering::Less => return Err(malformed("Too few columns.")),
        std::cmp::Ordering::Greater => return Err(malformed("Too many columns.")),
        std::cmp::Ordering::Equal => {}
    }
    let mut fields = Vec::with_capacity(given.len());
    for (part, (_, column)) in given.iter().zip(&row.columns) {
        fields.push(match part {
            None => Datum::Null,
            Some(text) => parse_text(column.data_type, column.typmod, text, context)?,
        });
    }
    Ok(Datum::record(fields, None))
}

/// The modifier that values of a domain are read with: that of the domain nearest to the base that has one.
fn domain_modifier(domain: DomainRef, context: &FormatContext) -> i32 {
    let mut oid = domain.oid;
    loop {
        let Some(user_type) = context.types.user_type(oid) else { return ColumnType::NO_MODIFIER };
        let UserTypeKind::Domain(definition) = &user_type.kind else { return ColumnType::NO_MODIFIER };
        match definition.parent.data_type {
            DataType::Domain(parent) if definition.parent.typmod == ColumnType::NO_MODIFIER => {
                oid = parent.oid;
            }
            _ => return definition.parent.typmod,
        }
    }
}

/// domain_in without the constraints: those are conditions, which the planner binds around every conversion to a domain.
pub(super) fn parse_domain(domain: DomainRef, text: &str, context: &FormatContext) -> PgResult<Datum> {
    let base = DataType::Domain(domain).base();
    parse_text(base, domain_modifier(domain, context), text, context)
}
