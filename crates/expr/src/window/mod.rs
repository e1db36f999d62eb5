//! Window functions over one partition at a time.
//!
//! The operator sorts, cuts partitions, finds peers and frames; here a call is evaluated over the whole partition, whose
//! arguments are vectors of all its rows. Aggregates run over frames: rows whose frames only grow share one running state.

use crate::expr::WindowCall;
use types::{PgError, PgResult, Vector};

/// What a window function may know of its partition.
///
/// - `peers[i]` is the range of rows that sort equal to row `i`, itself included (all rows, without ORDER BY).
/// - `frames[i]` is the frame of row `i`, empty when start >= end. Both have `rows` entries.
pub struct WindowPartition<'a> {
    pub rows: usize,
    pub peers: &'a [(u32, u32)],
    pub frames: &'a [(u32, u32)],
}

/// The value of `call` for every row of the partition; `arguments` (and `filter`, the rows that pass FILTER, in order) hold
/// all rows of the partition.
pub fn evaluate(
    call: &WindowCall,
    arguments: &[&Vector],
    filter: Option<&[u32]>,
    partition: &WindowPartition<'_>,
) -> PgResult<Vector> {
    let _ = (arguments, filter, partition);
    Err(PgError::unsupported(format!("window function {}", call.function.0.name)))
}
