//! Expressions and queries of definitions as they are kept: text that means the same in every session.
//!
//! PostgreSQL keeps what it understood. What is kept here is the text that was written, with those parts of it replaced that another
//! session would understand differently:
//!
//! | written | kept | because it depends on |
//! | --- | --- | --- |
//! | `'02/01/2024'` as a date | `'2024-01-02'` | DateStyle |
//! | `'2024-01-01 12:00'` with a time zone | `'2024-01-01 17:00:00+00'` | TimeZone |
//! | `'now'`, `'today'` | the time that it is | when it is read |
//! | `'1-2'` as an interval | `'P1Y2M'` | IntervalStyle |
//! | `'t'::regclass` | `'16400'::regclass` | search_path, names |
//! | `'a'::mood`, `f(x)` | `'a'::s.mood`, `s.f(x)` | search_path |
//!
//! A literal stays a literal, so that types are found as before. Times are kept in ISO form and UTC, intervals in ISO form: every
//! session reads these alike. What was kept before this was done stays as it was written, and is read by whoever reads it.

use std::collections::BTreeMap;

use expr::{CastContext, Expr};
use types::format::IntervalStyle;
use types::format::datum_text;
use types::{ColumnType, DataType, Datum, FormatContext, PgResult};

use crate::Catalog;
use crate::ast::StatementKind;
use crate::bind::{self, NameUse};
use crate::options::PlanOptions;
use crate::parser::keywords::quote_identifier;
use crate::parser::lexer::{TokenKind, tokenize};
use crate::view_text::SchemaObject;

/// What a definition is understood by.
pub struct Understanding<'a> {
    pub catalog: &'a dyn Catalog,
    pub options: &'a PlanOptions,
    /// Reads a literal as the session does: evaluates a conversion of it.
    pub read: &'a dyn Fn(&Expr) -> PgResult<Datum>,
    /// The schema of an object; `None` where a name needs none.
    pub schema_of: &'a dyn Fn(SchemaObject) -> Option<String>,
}

/// What a text is.
pub enum Definition<'a> {
    /// A default, of a value of this type.
    Default(ColumnType),
    /// A condition over the row of a table, or the expression of a generated column of this type.
    OverRow(&'a types::descriptor::TableDescriptor, Option<ColumnType>),
    /// A condition over VALUE.
    DomainCheck(DataType),
    /// The query of a view.
    Query,
}

/// The text to keep. Errors: those of binding it, and of reading its literals.
pub fn frozen(text: &str, definition: &Definition<'_>, by: &Understanding<'_>) -> PgResult<String> {
    let (catalog, options) = (by.catalog, by.options);
    let names = match definition {
        Definition::Default(to) => bind::names_in_default(text, *to, catalog, options)?,
        Definition::OverRow(table, target) => bind::names_over_row(table, text, *target, catalog, options)?,
        Definition::DomainCheck(over) => bind::names_in_domain_check(text, *over, catalog, options)?,
        Definition::Query => match crate::parser::parse(text)?.into_iter().next().map(|first| first.kind) {
            Some(StatementKind::Select(query)) => bind::name_uses(&query, catalog, options)?.0,
            _ => return Ok(text.to_string()),
        },
    };
    replace(text, &names, matches!(definition, Definition::Query), by)
}

/// A query keeps its search path beside it: its names are not touched.
fn replace(
    text: &str,
    names: &BTreeMap<u32, NameUse>,
    query: bool,
    by: &Understanding<'_>,
) -> PgResult<String> {
    let tokens = tokenize(text).list;
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    for (position, meaning) in names {
        let mut at = tokens.partition_point(|token| token.start < *position);
        // The position of a literal in parentheses is theirs.
        while let NameUse::Literal(_) = meaning
            && tokens.get(at).is_some_and(|token| token.kind == TokenKind::Symbol(b'('))
        {
            at += 1;
        }
        let Some(token) = tokens.get(at) else { continue };
        let (start, end) = (token.start as usize, token.end as usize);
        if start < copied {
            continue;
        }
        let object = match meaning {
            NameUse::Literal(to) => {
                if let Some(value) = read_again(&text[start..end], token.kind, *to, by)? {
                    kept.push_str(&text[copied..start]);
                    kept.push_str(&value);
                    copied = end;
                }
                continue;
            }
            NameUse::Function(id) if !query => SchemaObject::Function(*id),
            NameUse::Type(id) if !query => SchemaObject::Type(types::descriptor::Oid(*id)),
            _ => continue,
        };
        if let Some(schema) = (by.schema_of)(object) {
            kept.push_str(&text[copied..start]);
            kept.push_str(&quote_identifier(&schema));
            kept.push('.');
            copied = start;
        }
    }
    kept.push_str(&text[copied..]);
    Ok(kept)
}

/// A literal as it is kept.
fn read_again(
    written: &str,
    kind: TokenKind,
    to: DataType,
    by: &Understanding<'_>,
) -> PgResult<Option<String>> {
    use TokenKind::{DollarString, EscapeString, String, UnicodeString};
    if !matches!(kind, String | EscapeString | UnicodeString | DollarString) {
        return Ok(None);
    }
    let crate::ast::ExpressionKind::Literal(crate::ast::Literal::String(value)) =
        crate::parser::parse_expression(written)?.kind
    else {
        return Ok(None);
    };
    let conversion = Expr::Cast {
        input: Box::new(Expr::constant(Datum::text(value), DataType::Unknown)),
        to: to.into(),
        context: CastContext::Explicit,
        position: 0,
    };
    Ok(match (by.read)(&conversion)? {
        Datum::Null => None,
        Datum::Oid(id) => Some(format!("'{id}'")),
        value => {
            let text = datum_text(&value, to, ColumnType::NO_MODIFIER, &kept_format());
            Some(format!("'{}'", text.replace('\'', "''")))
        }
    })
}

/// The form in which values are kept: every session reads it alike.
fn kept_format() -> FormatContext {
    FormatContext { interval_style: IntervalStyle::Iso8601, ..FormatContext::default() }
}

/// Whether a literal of a type is read differently by different sessions, and so is kept in another form.
pub(crate) fn depends_on_session(data_type: DataType) -> bool {
    use DataType::*;
    tells_time(data_type)
        || matches!(data_type, Regclass | Regtype | Regproc | Regprocedure | Regoper | Regnamespace | Regrole)
}

/// Types of dates, times and intervals, and arrays of them: their text depends on DateStyle, TimeZone, IntervalStyle.
pub fn tells_time(data_type: DataType) -> bool {
    use DataType::*;
    let plain = |of| matches!(of, Date | Time | TimeTz | Timestamp | TimestampTz | Interval);
    plain(data_type) || (matches!(data_type, Array(_)) && data_type.element().is_some_and(plain))
}
