//! Aggregates: accumulators over many groups at once.
//!
//! An accumulator holds the states of all groups of one aggregate call in a vector, and is fed with whole batches: for every row
//! the number of its group. A hash aggregation numbers groups as it meets them; a sorted or an ungrouped one uses few or one.
//!
//! For distributed plans the state of each group can be written out as bytes (`partial_states`) and merged elsewhere
//! (`merge`); the encoding is private to one version of the software and is never stored.
//!
//! DISTINCT and ORDER BY inside a call are the operator's work (it feeds each distinct value once, or rows in order);
//! ordered-set aggregates (percentile_cont ...) sort by themselves. The transition state of NULL rows: like PostgreSQL's strict
//! transition functions, all but `count(*)`, `array_agg` and the json aggregates pass rows with a NULL argument over.
//!
//! What an aggregate is, apart from the bookkeeping of groups, is an [`grouped::Accumulate`].

mod codec;
mod collect;
mod extreme;
mod grouped;
mod json;

mod logic;
mod moments;
mod ordered_set;
mod sum;

use crate::context::TextContext;
use crate::expr::Aggregate;
use crate::function::FunctionKind;
use grouped::Grouped;
use types::{DataType, Datum, PgError, PgResult, Physical, Vector};

/// The states of one aggregate call for all groups.
///
/// - Groups are numbered from 0; `resize` makes room before a number is used; a new group has the state of no rows.
/// - `finish` gives one value a group, in order; the accumulator is used up.
pub trait GroupedAccumulator: Send {
    /// Makes room for groups `0..groups`; never shrinks.
    fn resize(&mut self, groups: usize);

    /// Adds rows: row `i` belongs to group `groups[i]`. `arguments` are the call's arguments, then (ordered-set aggregates)
    /// its WITHIN GROUP expressions, each with as many rows as `groups`. With `selection` only those rows count (FILTER).
    fn update(&mut self, groups: &[u32], arguments: &[&Vector], selection: Option<&[u32]>) -> PgResult<()>;

    /// Adds partial states, as another accumulator of the same call wrote them: state `i` goes to group `groups[i]`.
    fn merge(&mut self, groups: &[u32], states: &Vector) -> PgResult<()>;

    /// The state of every group as a `bytea` vector.
    fn partial_states(&self) -> PgResult<Vector>;

    /// The result for one group so far (window frames).
    fn value(&self, group: usize) -> PgResult<Datum>;

    /// The results of all groups.
    fn finish(&mut self) -> PgResult<Vector>;

    /// Bytes held, roughly.
    fn memory_size(&self) -> usize;
}

type Boxed = Box<dyn GroupedAccumulator>;

/// Whether partial states of the call, merged in the order of their rows, always give what feeding all rows to one accumulator would: to
/// the last digit, in every order of merging that keeps neighbours together.
///
/// Sums of floats do not (addition rounds), nor does what needs rows sorted or distinct. What collects all its values would gain nothing.
pub fn merges_exactly(call: &Aggregate) -> bool {
    let is_integer = |of: DataType| matches!(of, DataType::Int2 | DataType::Int4 | DataType::Int8);
    let argument = call.arguments.first().map(|argument| argument.data_type());
    let has_states = match (call.function.0.name, argument) {
        ("count", None) => true,
        ("count", Some(_)) => call.arguments.len() == 1,
        ("sum" | "avg", Some(of)) => is_integer(of) || matches!(of, DataType::Numeric | DataType::Interval),
        ("min" | "max", Some(of)) => of.physical() != Physical::Datum,
        ("bool_and" | "every" | "bool_or", Some(_)) => true,
        ("bit_and" | "bit_or" | "bit_xor", Some(of)) => is_integer(of),
        ("stddev" | "stddev_samp" | "stddev_pop" | "variance" | "var_samp" | "var_pop", Some(of)) => {
            is_integer(of) || of == DataType::Numeric
        }
        _ => false,
    };
    let is_plain = matches!(call.function.0.kind, FunctionKind::Aggregate) && call.order_by.is_empty();
    has_states && is_plain && !call.distinct
}

/// A new accumulator for `call`. 0A000 when the aggregate is not built. Direct arguments of ordered-set aggregates arrive
/// with the rows. `text`: what json_agg and its kin write values by.
pub fn accumulator(call: &Aggregate, text: &TextContext) -> PgResult<Boxed> {
    let argument = call.arguments.first().map(|argument| argument.data_type());
    let name = call.function.0.name;
    let result = call.data_type;
    let built = match (name, argument) {
        ("count", None) => Some(Grouped::boxed(sum::CountRows, result)),
        ("count", Some(_)) => Some(Grouped::boxed(sum::CountValues, result)),
        ("sum" | "avg", Some(argument)) => sum::accumulator(name, argument, result),
        ("min" | "max", Some(argument)) => Some(extreme::accumulator(name == "max", argument, result)),
        ("bool_and" | "every", _) => Some(Grouped::boxed(logic::BoolAnd, result)),
        ("bool_or", _) => Some(Grouped::boxed(logic::BoolOr, result)),
        ("bit_and" | "bit_or" | "bit_xor", Some(argument)) => logic::bits(name, argument, result),
        ("string_agg", Some(DataType::Bytea)) => Some(Grouped::boxed(collect::BytesAgg, result)),
        ("string_agg", _) => Some(Grouped::boxed(collect::StringAgg, result)),
        ("array_agg", Some(argument)) => Some(collect::array_agg(argument, result)),

        ("stddev" | "stddev_samp" | "stddev_pop" | "variance" | "var_samp" | "var_pop", Some(argument)) => {
            moments::spread(name, argument, result)
        }
        _ if name.starts_with("regr_") || name.starts_with("covar_") || name == "corr" => {
            moments::of_pairs(name, result)
        }
        _ if !call.order_by.is_empty() && json::accumulator(call, text).is_none() => {
            ordered_set::accumulator(call)
        }
        _ => None,
    };
    let built = built.or_else(|| json::accumulator(call, text));
    built.ok_or_else(|| PgError::unsupported(format!("aggregate {name}")))
}
