//! Access paths: which index of a table serves a set of conditions, and as which spans.
//!
//! For each index the conditions are matched against its key columns from the left: equalities (`=`, `IN`, `= ANY`, `IS NULL`)
//! extend the prefix, one range (`<`, `<=`, `>`, `>=`, `IS NOT NULL`) may follow. What a span says exactly is not checked again; the
//! rest remains as a filter. The cheapest index wins by the rows that it must read, entries that need their row fetched
//! counting several times.

use std::sync::Arc;

use expr::Expr;
use expr::catalogue::operators::{Comparison, comparison_of};
use types::DataType;
use types::descriptor::{ColumnId, ElementState, IndexDescriptor};

use super::estimate::{self, DEFAULT_ROWS};
use crate::catalog::{Statistics, Table};
use crate::logical::{ColumnNumber, ColumnSet, collect_columns};
use crate::plan::{KeyValue, Span, SpanBound, Spans};

/// Reading an entry and then its row costs this many times what reading an entry costs.
const FETCH_COST: f64 = 5.0;

/// One way to read a table.
#[derive(Clone, Debug)]
pub struct AccessPath {
    /// Position in `all_indexes()`.
    pub index: u32,
    pub spans: Spans,
    pub single_row: bool,
    pub fetch_row: bool,
    /// Which of the conditions the spans make sure of.
    pub served: Vec<bool>,
    /// Key columns fixed to one value, from the left.
    pub fixed_columns: usize,
    /// Entries read.
    pub rows: f64,
    pub cost: f64,
}

/// What is asked of a scan.
pub struct Wanted<'a> {
    pub table: &'a Arc<Table>,
    /// Numbers of the table's columns, in its order.
    pub numbers: &'a [ColumnNumber],
    pub conditions: &'a [Expr],
    /// Columns that must come out.
    pub columns: &'a ColumnSet,
    pub statistics: Option<&'a Statistics>,
}

/// A condition that an index may serve: about one column of the table, compared with something that the scan does not
/// produce.
enum Match {
    Equal(Expr),
    AnyOf(Expr),
    Null,
    NotNull,
    Bound(Comparison, Expr),
}

impl Wanted<'_> {
    fn column_id(&self, number: ColumnNumber) -> Option<ColumnId> {
        let at = self.numbers.iter().position(|other| *other == number)?;
        Some(self.table.descriptor.columns[at].id)
    }

    fn data_type(&self, id: ColumnId) -> DataType {
        self.table.descriptor.column(id).map_or(DataType::Unknown, |column| column.column_type.data_type)
    }

    /// The column that an expression is, through casts that change no bytes.
    fn as_column(&self, expression: &Expr) -> Option<ColumnId> {
        match expression {
            Expr::Column { index, .. } => self.column_id(*index),
            Expr::Cast { input, to, .. }
                if to.typmod == -1
                    && to.data_type == DataType::Text
                    && matches!(input.data_type(), DataType::Varchar | DataType::Text) =>
            {
                self.as_column(input)
            }
            _ => None,
        }
    }

    /// Free of the scan's own columns and of volatile functions: evaluated once when the scan opens.
    fn is_fixed(&self, expression: &Expr) -> bool {
        let mut used = ColumnSet::new();
        collect_columns(expression, &mut used);
        !self.numbers.iter().any(|number| used.contains(*number)) && !expr::eval::is_volatile(expression)
    }

    fn fits(&self, value: Expr, column: ColumnId) -> Option<Expr> {
        let wanted = self.data_type(column);
        let given = value.data_type();
        let same_bytes = |a: DataType| matches!(a, DataType::Varchar | DataType::Text);
        if given == wanted || (same_bytes(given) && same_bytes(wanted)) {
            return Some(value);
        }
        // An integer constant of another width, if it fits.
        if let Expr::Constant { value: datum, .. } = &value {
            let number = match datum {
                types::Datum::Int2(number) => i64::from(*number),
                types::Datum::Int4(number) => i64::from(*number),
                types::Datum::Int8(number) => *number,
                _ => return None,
            };
            let datum = match wanted {
                DataType::Int2 => types::Datum::Int2(i16::try_from(number).ok()?),
                DataType::Int4 => types::Datum::Int4(i32::try_from(number).ok()?),
                DataType::Int8 => types::Datum::Int8(number),
                _ => return None,
            };
            return Some(Expr::constant(datum, wanted));
        }
        // A narrower integer always fits a wider one.
        let width = |data_type: DataType| match data_type {
            DataType::Int2 => Some(2),
            DataType::Int4 => Some(4),
            DataType::Int8 => Some(8),
            _ => None,
        };
        if width(given)? < width(wanted)? {
            let to = wanted.into();
            let context = expr::CastContext::Implicit;
            return Some(Expr::Cast { input: Box::new(value), to, context, position: 0 });
        }
        None
    }

    /// What a condition says of a column, if an index can use it.
    fn matched(&self, condition: &Expr) -> Option<(ColumnId, Match)> {
        match condition {
            Expr::Call { function, arguments, .. } => {
                let [left, right] = arguments.as_slice() else { return None };
                let (comparison, _, _) = comparison_of(*function)?;
                let (column, value, comparison) = match (self.as_column(left), self.as_column(right)) {
                    (Some(column), _) if self.is_fixed(right) => (column, right, comparison),
                    (_, Some(column)) if self.is_fixed(left) => (column, left, comparison.commuted()),
                    _ => return None,
                };
                let value = self.fits(value.clone(), column)?;
                match comparison {
                    Comparison::Equal => Some((column, Match::Equal(value))),
                    Comparison::NotEqual => None,
                    bound => Some((column, Match::Bound(bound, value))),
                }
            }
            Expr::Column { index, data_type: DataType::Bool } => {
                let value = Expr::constant(types::Datum::Bool(true), DataType::Bool);
                Some((self.column_id(*index)?, Match::Equal(value)))
            }
            Expr::IsNull { input, negated } => {
                let column = self.as_column(input)?;
                Some((column, if *negated { Match::NotNull } else { Match::Null }))
            }
            Expr::InList { input, list, equal, negated: false } => {
                let column = self.as_column(input)?;
                let (Comparison::Equal, _, _) = comparison_of(*equal)? else { return None };
                let elements = list
                    .iter()
                    .map(|value| self.is_fixed(value).then(|| self.fits(value.clone(), column)).flatten())
                    .collect::<Option<Vec<Expr>>>()?;
                let data_type = DataType::array_of(self.data_type(column));
                Some((column, Match::AnyOf(Expr::Array { elements, data_type, nested: false })))
            }
            Expr::Quantified { input, array, operator, all: false } => {
                let column = self.as_column(input)?;
                let (Comparison::Equal, _, _) = comparison_of(*operator)? else { return None };
                let same = array.data_type().element() == Some(self.data_type(column));
                (same && self.is_fixed(array)).then(|| (column, Match::AnyOf((**array).clone())))
            }
            _ => None,
        }
    }
}

/// The cheapest way to read the table.
pub fn choose(wanted: &Wanted<'_>, allow_index: bool) -> AccessPath {
    let mut best = path_of(wanted, 0, &wanted.table.descriptor.primary);
    if !allow_index {
        return best;
    }
    for (position, index) in wanted.table.descriptor.indexes.iter().enumerate() {
        // A partial index holds some rows only: whether the conditions imply its predicate is not decided here.
        if index.predicate.is_some() || index.state != ElementState::Public {
            continue;
        }
        let path = path_of(wanted, position as u32 + 1, index);
        if path.cost < best.cost {
            best = path;
        }
    }
    best
}

/// Every index that may be used, as a path (for choosing by order).
pub fn all_paths(wanted: &Wanted<'_>) -> Vec<AccessPath> {
    let primary = path_of(wanted, 0, &wanted.table.descriptor.primary);
    let usable = |index: &&IndexDescriptor| index.predicate.is_none() && index.state == ElementState::Public;
    let others = wanted.table.descriptor.indexes.iter().enumerate().filter(|(_, index)| usable(index));
    std::iter::once(primary)
        .chain(others.map(|(position, index)| path_of(wanted, position as u32 + 1, index)))
        .collect()
}

pub fn path_of(wanted: &Wanted<'_>, position: u32, index: &IndexDescriptor) -> AccessPath {
    let mut served = vec![false; wanted.conditions.len()];
    let matches: Vec<Option<(ColumnId, Match)>> =
        wanted.conditions.iter().map(|condition| wanted.matched(condition)).collect();
    let table_rows = wanted.statistics.map_or(DEFAULT_ROWS, |statistics| statistics.row_count.max(1.0));
    let mut prefix = Vec::new();
    let mut fraction = 1.0;
    let mut one_value = true;
    let mut fixed_columns = 0;
    let (mut lower, mut upper, mut not_null) = (SpanBound::Unbounded, SpanBound::Unbounded, false);
    for column in &index.columns {
        let about = |wanted_match: fn(&Match) -> bool| {
            matches.iter().position(|found| {
                found.as_ref().is_some_and(|(id, m)| *id == column.column && wanted_match(m))
            })
        };
        let equal = about(|m| matches!(m, Match::Equal(_)))
            .or_else(|| about(|m| matches!(m, Match::Null)))
            .or_else(|| about(|m| matches!(m, Match::AnyOf(_))));
        if let Some(at) = equal {
            served[at] = true;
            let distinct = estimate::distinct_values(wanted.statistics, column.column, table_rows);
            match &matches[at].as_ref().expect("found above").1 {
                Match::Equal(value) => {
                    prefix.push(KeyValue::Equal(value.clone()));
                    fraction /= distinct;
                }
                Match::AnyOf(array) => {
                    one_value = false;
                    fraction *= (estimate::array_length(array) / distinct).min(1.0);
                    prefix.push(KeyValue::AnyOf(array.clone()));
                }
                _ => {
                    // Several rows may have NULL even in a unique index.
                    one_value = false;
                    fraction *= 0.05;
                    prefix.push(KeyValue::Null);
                }
            }
            fixed_columns += usize::from(one_value);
            continue;
        }
        for (at, found) in matches.iter().enumerate() {
            let Some((id, found)) = found else { continue };
            if *id != column.column {
                continue;
            }
            match found {
                Match::Bound(Comparison::Less, value) if upper == SpanBound::Unbounded => {
                    upper = SpanBound::Exclusive(value.clone());
                }
                Match::Bound(Comparison::LessOrEqual, value) if upper == SpanBound::Unbounded => {
                    upper = SpanBound::Inclusive(value.clone());
                }
                Match::Bound(Comparison::Greater, value) if lower == SpanBound::Unbounded => {
                    lower = SpanBound::Exclusive(value.clone());
                }
                Match::Bound(Comparison::GreaterOrEqual, value) if lower == SpanBound::Unbounded => {
                    lower = SpanBound::Inclusive(value.clone());
                }
                Match::NotNull => not_null = true,
                _ => continue,
            }
            served[at] = true;
        }
        let bounds = [&lower, &upper].into_iter().filter(|bound| **bound != SpanBound::Unbounded).count();
        fraction *= estimate::RANGE_FRACTION[bounds];
        break;
    }
    let whole =
        prefix.is_empty() && !not_null && lower == SpanBound::Unbounded && upper == SpanBound::Unbounded;
    let single_row = index.unique
        && index.predicate.is_none()
        && prefix.len() == index.columns.len()
        && prefix.iter().all(|value| matches!(value, KeyValue::Equal(_)));
    let rows = if single_row { 1.0 } else { (table_rows * fraction).max(1.0) };
    let fetch_row = !covers(wanted, index, position == 0);
    let cost = rows * if fetch_row { FETCH_COST } else { 1.0 } * if position == 0 { 1.0 } else { 0.9 };
    let spans = if whole { Spans::All } else { Spans::List(vec![Span { prefix, lower, upper, not_null }]) };
    AccessPath { index: position, spans, single_row, fetch_row, served, fixed_columns, rows, cost }
}

/// Does the index hold every column that is wanted (conditions included)?
fn covers(wanted: &Wanted<'_>, index: &IndexDescriptor, is_primary: bool) -> bool {
    if is_primary {
        return true;
    }
    let mut used = wanted.columns.clone();
    wanted.conditions.iter().for_each(|condition| collect_columns(condition, &mut used));
    let primary = &wanted.table.descriptor.primary;
    wanted.numbers.iter().zip(&wanted.table.descriptor.columns).all(|(number, column)| {
        !used.contains(*number)
            || index.columns.iter().any(|part| part.column == column.id)
            || index.included.contains(&column.id)
            || primary.columns.iter().any(|part| part.column == column.id)
    })
}
