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
use super::implied;
use crate::catalog::{Statistics, Table};
use crate::logical::{ColumnNumber, ColumnSet, collect_columns};
use crate::plan::{KeyFit, KeyValue, Span, SpanBound, Spans};

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
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub table: &'a Arc<Table>,
    /// Numbers of the table's columns, in its order.
    pub numbers: &'a [ColumnNumber],
    pub conditions: &'a [Expr],
    /// Columns that must come out.
    pub columns: &'a ColumnSet,
    pub statistics: Option<&'a Statistics>,
    /// Not more rows than these will be asked for.
    pub goal: Option<f64>,
}

/// A condition that an index may serve: about one column of the table, compared with something that the scan does not
/// produce.
#[derive(Clone)]
pub(super) enum Match {
    Equal(Expr),
    AnyOf(Expr),
    Null,
    NotNull,
    Bound(Comparison, Expr),
}

/// Types whose values have the same bytes.
fn is_text(data_type: DataType) -> bool {
    matches!(data_type, DataType::Varchar | DataType::Text)
}

/// An integer constant as one of another width, if it fits.
fn fitting_integer(value: &Expr, wanted: DataType) -> Option<Expr> {
    let Expr::Constant { value: datum, .. } = value else { return None };
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
    Some(Expr::constant(datum, wanted))
}

/// Whether every integer of the one type is one of the other.
fn is_wider_integer(wide: DataType, narrow: DataType) -> bool {
    use DataType::*;
    matches!((narrow, wide), (Int2, Int4 | Int8) | (Int4, Int8))
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
            // Compared as a wider integer: the value is what is made to fit.
            Expr::Cast { input, to, .. }
                if to.typmod == -1 && is_wider_integer(to.data_type, input.data_type()) =>
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

    /// The value as one to compare the column with by its place in an index: of the column's type where it can be made so here.
    fn fits(&self, value: Expr, column: ColumnId) -> Option<Expr> {
        let wanted = self.data_type(column);
        let given = value.data_type();
        if given == wanted || is_text(given) && is_text(wanted) {
            return Some(value);
        }
        let fit = KeyFit::of(given, wanted)?;
        if let Some(constant) = fitting_integer(&value, wanted) {
            return Some(constant);
        }
        if fit == KeyFit::Exact && is_wider_integer(wanted, given) {
            let context = expr::CastContext::Implicit;
            return Some(Expr::Cast { input: Box::new(value), to: wanted.into(), context, position: 0 });
        }
        Some(value)
    }

    /// Does the condition say no more than the place in an index that was made of it?
    fn is_exact(&self, column: ColumnId, says: &Match) -> bool {
        let Match::Bound(_, value) = says else { return true };
        KeyFit::of(value.data_type(), self.data_type(column)) != Some(KeyFit::Approximate)
    }

    /// An array of which the column equals some element.
    fn any_of(&self, list: &[Expr], column: ColumnId) -> Option<Expr> {
        let wanted = self.data_type(column);
        let fitting = |value: &Expr| self.is_fixed(value).then(|| self.fits(value.clone(), column)).flatten();
        let mut elements = list.iter().map(fitting).collect::<Option<Vec<Expr>>>()?;
        let is_of_column = |value: &Expr| value.data_type() == wanted || is_text(wanted);
        let mut element = wanted;
        if !elements.iter().all(is_of_column) {
            // One array has one type.
            element = list.first()?.data_type();
            if list.iter().any(|value| value.data_type() != element)
                || KeyFit::of(element, wanted) != Some(KeyFit::Exact)
            {
                return None;
            }
            elements = list.to_vec();
        }
        Some(Expr::Array { elements, data_type: DataType::array_of(element), nested: false })
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
                    Comparison::Equal => {
                        let fit = KeyFit::of(value.data_type(), self.data_type(column));
                        (fit != Some(KeyFit::Approximate)).then_some((column, Match::Equal(value)))
                    }
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
                Some((column, Match::AnyOf(self.any_of(list, column)?)))
            }
            Expr::Quantified { input, array, operator, all: false } => {
                let column = self.as_column(input)?;
                let (Comparison::Equal, _, _) = comparison_of(*operator)? else { return None };
                let (element, wanted) = (array.data_type().element()?, self.data_type(column));
                let fits = element == wanted || KeyFit::of(element, wanted) == Some(KeyFit::Exact);
                (fits && self.is_fixed(array)).then(|| (column, Match::AnyOf((**array).clone())))
            }
            _ => None,
        }
    }
}

/// What a condition says of a column; `serves`: the condition says nothing more than that.
struct Found {
    column: ColumnId,
    says: Match,
    serves: Option<usize>,
}

impl Wanted<'_> {
    /// What all conditions say, those first that say it exactly.
    fn matches(&self) -> Vec<Found> {
        let mut list = Vec::with_capacity(self.conditions.len());
        for (at, condition) in self.conditions.iter().enumerate() {
            if let Some((column, says)) = self.matched(condition) {
                let serves = self.is_exact(column, &says).then_some(at);
                list.push(Found { column, says, serves });
            }
        }
        for condition in self.conditions {
            let implied =
                implied::implied_by(condition, &|condition| self.matched(condition), &|expression| {
                    self.as_column(expression).filter(|column| self.data_type(*column) == DataType::Text)
                });
            list.extend(implied.into_iter().map(|(column, says)| Found { column, says, serves: None }));
        }
        list
    }
}

/// How much likelier than estimated it is taken to be that rows to be skipped come first.
const GOAL_RISK: f64 = 10.0;

impl Wanted<'_> {
    /// The cost of a path, of as much of it as is read for the goal. That rows which pass a filter are spread evenly is not relied upon: who
    /// reads only rows that are wanted is never much wrong.
    fn cost(&self, path: &AccessPath) -> f64 {
        let Some(goal) = self.goal else { return path.cost };
        let mut passing = path.rows;
        for (condition, _) in self.conditions.iter().zip(&path.served).filter(|(_, served)| !**served) {
            passing *= estimate::selectivity(condition) / GOAL_RISK;
        }
        path.cost * (goal / passing.max(1.0)).min(1.0)
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
        if wanted.cost(&path) < wanted.cost(&best) {
            best = path;
        }
    }
    for (position, index) in usable_indexes(wanted) {
        if let Some(path) = alternatives(wanted, position, index)
            && wanted.cost(&path) < wanted.cost(&best)
        {
            best = path;
        }
    }
    best
}

fn usable_indexes<'a>(wanted: &Wanted<'a>) -> impl Iterator<Item = (u32, &'a IndexDescriptor)> {
    let indexes = wanted.table.descriptor.all_indexes().enumerate();
    indexes
        .filter(|(_, index)| index.predicate.is_none() && index.state == ElementState::Public)
        .map(|(position, index)| (position as u32, index))
}

/// OR: a span for each alternative, if the index serves every one of them.
fn alternatives(wanted: &Wanted<'_>, position: u32, index: &IndexDescriptor) -> Option<AccessPath> {
    const ALTERNATIVES_MAX: usize = 256;
    let is_or = |condition: &Expr| matches!(condition, Expr::Or(list) if list.len() <= ALTERNATIVES_MAX);
    let at = wanted.conditions.iter().position(is_or)?;
    let Expr::Or(arms) = &wanted.conditions[at] else { return None };
    let others: Vec<Expr> = wanted
        .conditions
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != at)
        .map(|(_, c)| c.clone())
        .collect();
    let mut spans = Vec::new();
    let mut served = vec![true; wanted.conditions.len()];
    let (mut rows, mut cost, mut fetch_row) = (0.0, 0.0, false);
    for arm in arms {
        let own = crate::logical::conjuncts(arm.clone());
        let count = own.len();
        let conditions: Vec<Expr> = own.into_iter().chain(others.iter().cloned()).collect();
        let path = path_of(&Wanted { conditions: &conditions, ..*wanted }, position, index);
        let Spans::List(list) = path.spans else { return None };
        spans.extend(list);
        served[at] &= path.served[..count].iter().all(|served| *served);
        for (other, kept) in path.served[count..].iter().enumerate() {
            served[if other < at { other } else { other + 1 }] &= kept;
        }
        rows += path.rows;
        cost += path.cost;
        fetch_row |= path.fetch_row;
    }
    let spans = Spans::List(spans);
    Some(AccessPath {
        index: position,
        spans,
        single_row: false,
        fetch_row,
        served,
        fixed_columns: 0,
        rows,
        cost,
    })
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
    let matches = wanted.matches();
    let mut serve = |found: &Found| {
        if let Some(condition) = found.serves {
            served[condition] = true;
        }
    };
    let table_rows = wanted.statistics.map_or(DEFAULT_ROWS, |statistics| statistics.row_count.max(1.0));
    let mut prefix = Vec::new();
    let mut fraction = 1.0;
    let mut one_value = true;
    let mut fixed_columns = 0;
    let (mut lower, mut upper, mut not_null) = (SpanBound::Unbounded, SpanBound::Unbounded, false);
    for column in &index.columns {
        let about = |wanted_match: fn(&Match) -> bool| {
            matches.iter().find(|found| found.column == column.column && wanted_match(&found.says))
        };
        let equal = about(|m| matches!(m, Match::Equal(_)))
            .or_else(|| about(|m| matches!(m, Match::Null)))
            .or_else(|| about(|m| matches!(m, Match::AnyOf(_))));
        if let Some(found) = equal {
            serve(found);
            let distinct = estimate::distinct_values(wanted.statistics, column.column, table_rows);
            match &found.says {
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
        for found in matches.iter().filter(|found| found.column == column.column) {
            match &found.says {
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
            serve(found);
        }
        fraction *= estimate::range_fraction(wanted.statistics, column.column, &lower, &upper);
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
