//! Aggregates: accumulators over many groups at once.
//!
//! An accumulator holds the states of all groups of one aggregate call in columns, and is fed with whole batches: for every row
//! the number of its group. A hash aggregation numbers groups as it meets them; a sorted or an ungrouped one uses few or one.
//!
//! For distributed plans the state of each group can be written out as bytes (`partial_states`) and merged elsewhere
//! (`merge`); the encoding is private to one version of the software and is never stored.
//!
//! DISTINCT and ORDER BY inside a call are the operator's work (it feeds each distinct value once, or rows in order);
//! ordered-set aggregates (percentile_cont ...) sort by themselves.

use crate::expr::Aggregate;
use types::{PgError, PgResult, Vector};

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
    fn value(&self, group: usize) -> PgResult<types::Datum>;

    /// The results of all groups.
    fn finish(&mut self) -> PgResult<Vector>;

    /// Bytes held, roughly.
    fn memory_size(&self) -> usize;
}

/// A new accumulator for `call`. 0A000 when the aggregate is not built.
pub fn accumulator(call: &Aggregate) -> PgResult<Box<dyn GroupedAccumulator>> {
    Err(PgError::unsupported(format!("aggregate {}", call.function.0.name)))
}
