//! From a scan's span expressions to keys.
//!
//! A span is an encoded prefix and bounds on the next key column. Bounds are given as values; the index column's direction
//! says which of them comes first in key order:
//!
//! ```text
//!   ascending:    prefix|lower ........ prefix|upper
//!   descending:   prefix|upper ........ prefix|lower
//! ```
//!
//! "After all keys with this value" is the encoding's prefix end, "before them" the encoding itself. NULLs lie at one end of the
//! prefix's span, where the index column says; a side without a bound must step over them when the span excludes NULLs.
//!
//! Spans that name a whole key each become points, which are read with one multi-get.

use expr::{EvalContext, Expr};
use keys::{Key, Span};
use planner::plan;
use types::descriptor::{IndexDescriptor, TableDescriptor};
use types::row::KeyPrefixEncoder;
use types::{DataType, Datum, PgError, PgResult};

use super::key_value::{Bound, Conversion, Side};
use crate::program::Scalar;

/// The prepared form of [`plan::Spans`].
pub(crate) struct SpanSet {
    /// `None`: the whole index.
    spans: Option<Vec<PreparedSpan>>,
}

struct PreparedSpan {
    prefix: Vec<PreparedKey>,
    lower: PreparedBound,
    upper: PreparedBound,
    not_null: bool,
    /// Of the column after the prefix.
    descending: bool,
    nulls_first: bool,
}

enum PreparedKey {
    Equal(KeyScalar),
    AnyOf(KeyScalar),
    Null,
}

enum PreparedBound {
    Unbounded,
    Inclusive(KeyScalar),
    Exclusive(KeyScalar),
}

/// An expression that is compared with a key column.
struct KeyScalar {
    scalar: Scalar,
    /// If it has another type.
    conversion: Option<Conversion>,
}

/// What to read.
///
/// - `Points` ascend strictly; `Spans` ascend and do not touch.
#[derive(Debug, PartialEq)]
pub(crate) enum KeyRanges {
    Point(Vec<u8>),
    Points(Vec<Vec<u8>>),
    Spans(Vec<Span>),
}

impl SpanSet {
    pub fn new(spans: &plan::Spans, table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<SpanSet> {
        let spans = match spans {
            plan::Spans::All => None,
            plan::Spans::List(list) => {
                let spans = list.iter().map(|span| PreparedSpan::new(span, table, index));
                Some(spans.collect::<PgResult<_>>()?)
            }
        };
        Ok(SpanSet { spans })
    }

    /// The union of the spans.
    pub fn evaluate(&self, encoder: &KeyPrefixEncoder, context: &EvalContext<'_>) -> PgResult<KeyRanges> {
        let Some(spans) = &self.spans else {
            let mut start = Vec::new();
            encoder.start(&mut start);
            return Ok(KeyRanges::Spans(vec![Span::prefix(start)]));
        };
        if let [span] = spans.as_slice()
            && let Some(point) = span.single_point(encoder, context)?
        {
            return Ok(point);
        }
        self.evaluate_many(spans, encoder, context)
    }

    fn evaluate_many(
        &self,
        spans: &[PreparedSpan],
        encoder: &KeyPrefixEncoder,
        context: &EvalContext<'_>,
    ) -> PgResult<KeyRanges> {
        let mut points: Vec<Vec<u8>> = Vec::new();
        let mut ranges: Vec<Span> = Vec::new();
        for span in spans {
            for (prefix, with_null) in span.prefixes(encoder, context)? {
                if span.prefix.len() >= encoder.whole_key_columns() && !with_null {
                    points.push(prefix);
                } else {
                    ranges.extend(span.range(prefix, encoder, context)?);
                }
            }
        }
        if ranges.is_empty() && !points.is_empty() {
            points.sort_unstable();
            points.dedup();
            return Ok(KeyRanges::Points(points));
        }
        ranges.extend(points.into_iter().map(|key| Span::point(Key::from(key))));
        Ok(KeyRanges::Spans(merge(ranges)))
    }
}

/// Sorts spans and joins those that overlap or touch.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| !span.is_empty());
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => *last = last.cover(&span),
            _ => merged.push(span),
        }
    }
    merged
}

impl PreparedSpan {
    fn new(span: &plan::Span, table: &TableDescriptor, index: &IndexDescriptor) -> PgResult<PreparedSpan> {
        let next = index.columns.get(span.prefix.len());
        let data_type = |position: usize| {
            let column = index.columns.get(position).and_then(|key| table.column(key.column));
            column.map_or(DataType::Unknown, |column| column.column_type.data_type)
        };
        let key = |(position, value): (usize, &plan::KeyValue)| {
            let column = data_type(position);
            Ok(match value {
                plan::KeyValue::Equal(expr) => {
                    PreparedKey::Equal(KeyScalar::new(expr, expr.data_type(), column)?)
                }
                plan::KeyValue::AnyOf(expr) => {
                    let element = expr.data_type().element().unwrap_or(column);
                    PreparedKey::AnyOf(KeyScalar::new(expr, element, column)?)
                }
                plan::KeyValue::Null => PreparedKey::Null,
            })
        };
        let value = |expr: &Expr| KeyScalar::new(expr, expr.data_type(), data_type(span.prefix.len()));
        let bound = |bound: &plan::SpanBound| {
            PgResult::Ok(match bound {
                plan::SpanBound::Unbounded => PreparedBound::Unbounded,
                plan::SpanBound::Inclusive(expr) => PreparedBound::Inclusive(value(expr)?),
                plan::SpanBound::Exclusive(expr) => PreparedBound::Exclusive(value(expr)?),
            })
        };
        Ok(PreparedSpan {
            prefix: span.prefix.iter().enumerate().map(key).collect::<PgResult<_>>()?,
            lower: bound(&span.lower)?,
            upper: bound(&span.upper)?,
            not_null: span.not_null,
            descending: next.is_some_and(|column| column.descending),
            nulls_first: next.is_some_and(|column| column.nulls_first),
        })
    }

    /// The everyday case without a vector of vectors: every key column equals one value.
    fn single_point(
        &self,
        encoder: &KeyPrefixEncoder,
        context: &EvalContext<'_>,
    ) -> PgResult<Option<KeyRanges>> {
        let all_equal = self.prefix.iter().all(|key| matches!(key, PreparedKey::Equal(_)));
        if !all_equal || self.prefix.len() < encoder.whole_key_columns() {
            return Ok(None);
        }
        let mut key = Vec::with_capacity(48);
        encoder.start(&mut key);
        for (position, value) in self.prefix.iter().enumerate() {
            let PreparedKey::Equal(scalar) = value else { return Ok(None) };
            let Some(value) = scalar.value(context)? else {
                return Ok(Some(KeyRanges::Spans(Vec::new())));
            };
            encoder.append(position, &value, &mut key)?;
        }
        Ok(Some(KeyRanges::Point(key)))
    }

    /// The encoded prefixes, each with whether a NULL is in it. None when a value is NULL.
    fn prefixes(
        &self,
        encoder: &KeyPrefixEncoder,
        context: &EvalContext<'_>,
    ) -> PgResult<Vec<(Vec<u8>, bool)>> {
        let mut start = Vec::with_capacity(32);
        encoder.start(&mut start);
        let mut prefixes = vec![(start, false)];
        for (position, key) in self.prefix.iter().enumerate() {
            let values = key.values(context)?;
            let null = matches!(key, PreparedKey::Null);
            let mut longer = Vec::with_capacity(prefixes.len() * values.len());
            for (prefix, with_null) in &prefixes {
                for value in &values {
                    let mut bytes = prefix.clone();
                    encoder.append(position, value, &mut bytes)?;
                    longer.push((bytes, *with_null || null));
                }
            }
            prefixes = longer;
        }
        Ok(prefixes)
    }

    /// The keys that begin with `prefix` and lie within the bounds; `None` when a bound is NULL, or nothing lies within it.
    fn range(
        &self,
        prefix: Vec<u8>,
        encoder: &KeyPrefixEncoder,
        context: &EvalContext<'_>,
    ) -> PgResult<Option<Span>> {
        let (Some(lower), Some(upper)) =
            (self.lower.evaluate(Side::Lower, context)?, self.upper.evaluate(Side::Upper, context)?)
        else {
            return Ok(None);
        };
        let bounded = !matches!((&lower, &upper), (Bound::None, Bound::None));
        if !bounded && !self.not_null {
            return Ok(Some(Span::prefix(prefix)));
        }
        let position = self.prefix.len();
        let encode = |value: &Datum| -> PgResult<Key> {
            let mut bytes = prefix.clone();
            encoder.append(position, value, &mut bytes)?;
            Ok(Key::from(bytes))
        };
        let (first, last) = if self.descending { (upper, lower) } else { (lower, upper) };
        let start = match first {
            Bound::Inclusive(value) => encode(&value)?,
            Bound::Exclusive(value) => encode(&value)?.prefix_end(),
            Bound::None if self.nulls_first => encode(&Datum::Null)?.prefix_end(),
            Bound::None => Key::from(prefix.clone()),
        };
        let end = match last {
            Bound::Inclusive(value) => encode(&value)?.prefix_end(),
            Bound::Exclusive(value) => encode(&value)?,
            Bound::None if !self.nulls_first => encode(&Datum::Null)?,
            Bound::None => Key::from(prefix.clone()).prefix_end(),
        };
        Ok(Some(Span { start, end }))
    }
}

impl KeyScalar {
    fn new(expr: &Expr, given: DataType, column: DataType) -> PgResult<KeyScalar> {
        Ok(KeyScalar { scalar: Scalar::new(expr)?, conversion: Conversion::new(given, column) })
    }

    /// The column's value that equals it; `None` when it is NULL, or the column cannot have such a value.
    fn value(&self, context: &EvalContext<'_>) -> PgResult<Option<Datum>> {
        self.converted(self.scalar.value(context)?, context)
    }

    fn converted(&self, value: Datum, context: &EvalContext<'_>) -> PgResult<Option<Datum>> {
        match self.conversion {
            _ if value.is_null() => Ok(None),
            None => Ok(Some(value)),
            Some(conversion) => conversion.equal(&value, context),
        }
    }
}

impl PreparedKey {
    /// The values to look for; `NULL` alone for IS NULL.
    fn values(&self, context: &EvalContext<'_>) -> PgResult<Vec<Datum>> {
        Ok(match self {
            PreparedKey::Null => vec![Datum::Null],
            PreparedKey::Equal(key) => key.value(context)?.into_iter().collect(),
            PreparedKey::AnyOf(key) => match key.scalar.value(context)? {
                Datum::Null => Vec::new(),
                Datum::Array(array) => {
                    let values = array.elements.into_iter().map(|value| key.converted(value, context));
                    values.filter_map(PgResult::transpose).collect::<PgResult<_>>()?
                }
                _ => return Err(PgError::internal("= ANY is given something else than an array")),
            },
        })
    }
}

impl PreparedBound {
    /// `None` when the value is NULL, or beyond all of the column's.
    fn evaluate(&self, side: Side, context: &EvalContext<'_>) -> PgResult<Option<Bound>> {
        let (key, inclusive) = match self {
            PreparedBound::Unbounded => return Ok(Some(Bound::None)),
            PreparedBound::Inclusive(key) => (key, true),
            PreparedBound::Exclusive(key) => (key, false),
        };
        let value = key.scalar.value(context)?;
        match key.conversion {
            _ if value.is_null() => Ok(None),
            Some(conversion) => conversion.bound(side, &value, inclusive, context),
            None if inclusive => Ok(Some(Bound::Inclusive(value))),
            None => Ok(Some(Bound::Exclusive(value))),
        }
    }
}

/// Whether a key lies in spans that ascend.
pub(crate) fn contains(ranges: &KeyRanges, key: &[u8]) -> bool {
    match ranges {
        KeyRanges::Point(point) => point == key,
        KeyRanges::Points(points) => points.binary_search_by(|point| point.as_slice().cmp(key)).is_ok(),
        KeyRanges::Spans(spans) => {
            let after = spans.partition_point(|span| span.start.as_slice() <= key);
            after > 0 && spans[after - 1].contains(key)
        }
    }
}
