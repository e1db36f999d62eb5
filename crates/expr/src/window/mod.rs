//! Window functions over one partition at a time.
//!
//! The operator sorts, cuts partitions, finds peers and frames; here a call is evaluated over the whole partition, whose
//! arguments are vectors of all its rows. Aggregates run over frames: as long as frames only grow at their end one running state
//! is carried from row to row; otherwise a frame is added up anew.

use crate::aggregate::{GroupedAccumulator, accumulator};
use crate::bounds::{Bounds, Watch};
use crate::context::TextContext;
use crate::expr::{Aggregate, WindowCall};
use crate::function::FunctionKind;
use types::{DataType, Datum, PgError, PgResult, SqlState, Values, Vector};

/// What a window function may know of its partition.
///
/// - `peers[i]` is the range of rows that sort equal to row `i`, itself included (all rows, without ORDER BY).
/// - `frames[i]` is the frame of row `i`, empty when start >= end. Both have `rows` entries.
pub struct WindowPartition<'a> {
    pub rows: usize,
    pub peers: &'a [(u32, u32)],
    pub frames: &'a [(u32, u32)],
    /// What json_agg writes values by.
    pub text: &'a TextContext,
    /// The statement's time and memory.
    pub bounds: &'a dyn Bounds,
}

/// The value of `call` for every row of the partition; `arguments` (and `filter`, the rows that pass FILTER, ascending) are over
/// all rows of the partition.
pub fn evaluate(
    call: &WindowCall,
    arguments: &[&Vector],
    filter: Option<&[u32]>,
    partition: &WindowPartition<'_>,
) -> PgResult<Vector> {
    if matches!(call.function.0.kind, FunctionKind::Aggregate) {
        return over_frames(call, arguments, filter, partition);
    }
    match call.function.0.name {
        "row_number" => Ok(counted(partition, |row| row as i64 + 1)),
        "rank" => Ok(counted(partition, |row| i64::from(partition.peers[row].0) + 1)),
        "dense_rank" => Ok(dense_rank(partition)),
        "percent_rank" => Ok(shares(partition, |row| {
            let others = partition.rows as f64 - 1.0;
            if others > 0.0 { f64::from(partition.peers[row].0) / others } else { 0.0 }
        })),
        "cume_dist" => Ok(shares(partition, |row| f64::from(partition.peers[row].1) / partition.rows as f64)),
        "ntile" => ntile(arguments[0], partition),
        "lag" => shifted(call, arguments, partition, -1),
        "lead" => shifted(call, arguments, partition, 1),
        "first_value" => picked(call, arguments[0], partition, |(start, end)| (start < end).then_some(start)),
        "last_value" => picked(call, arguments[0], partition, |(start, end)| (start < end).then(|| end - 1)),
        "nth_value" => nth_value(call, arguments, partition),
        name => Err(PgError::unsupported(format!("window function {name}"))),
    }
}

fn counted(partition: &WindowPartition<'_>, value: impl Fn(usize) -> i64) -> Vector {
    let values = (0..partition.rows).map(value).collect();
    Vector { data_type: DataType::Int8, nulls: types::Nulls::none(), values: Values::Int8(values) }
}

fn shares(partition: &WindowPartition<'_>, value: impl Fn(usize) -> f64) -> Vector {
    let values = (0..partition.rows).map(value).collect();
    Vector { data_type: DataType::Float8, nulls: types::Nulls::none(), values: Values::Float8(values) }
}

fn dense_rank(partition: &WindowPartition<'_>) -> Vector {
    let mut rank = 0;
    let mut ranks = Vec::with_capacity(partition.rows);
    for row in 0..partition.rows {
        if partition.peers[row].0 as usize == row {
            rank += 1;
        }
        ranks.push(rank);
    }
    counted(partition, |row| ranks[row])
}

/// An integer argument; `None` for NULL.
fn integer(vector: &Vector, row: usize) -> Option<i32> {
    match vector.datum(row) {
        Datum::Int4(value) => Some(value),
        _ => None,
    }
}

/// Buckets as equal as can be, the larger ones first. The number of buckets is the first row's.
fn ntile(buckets: &Vector, partition: &WindowPartition<'_>) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(DataType::Int4, partition.rows);
    if partition.rows == 0 {
        return Ok(result);
    }
    let Some(count) = integer(buckets, 0) else {
        (0..partition.rows).for_each(|_| result.push_null());
        return Ok(result);
    };
    if count <= 0 {
        return Err(PgError::new(
            SqlState::INVALID_ARGUMENT_FOR_NTILE,
            "argument of ntile must be greater than zero",
        ));
    }
    let (size, larger) = (partition.rows / count as usize, partition.rows % count as usize);
    // The first `larger` buckets have one row more.
    for row in 0..partition.rows {
        let bucket = if row < larger * (size + 1) {
            row / (size + 1)
        } else {
            larger + (row - larger * (size + 1)) / size.max(1)
        };
        result.push(&Datum::Int4(bucket as i32 + 1));
    }
    Ok(result)
}

/// lag (`direction` -1) and lead: the value so many rows away, or the default.
fn shifted(
    call: &WindowCall,
    arguments: &[&Vector],
    partition: &WindowPartition<'_>,
    direction: i64,
) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(call.data_type, partition.rows);
    for row in 0..partition.rows {
        let offset = match arguments.get(1) {
            None => 1,
            Some(offsets) => match integer(offsets, row) {
                Some(offset) => i64::from(offset),
                None => {
                    result.push_null();
                    continue;
                }
            },
        };
        let target = row as i64 + direction * offset;
        if (0..partition.rows as i64).contains(&target) {
            result.push_from(arguments[0], target as usize);
        } else {
            match arguments.get(2) {
                Some(default) => result.push_from(default, row),
                None => result.push_null(),
            }
        }
    }
    Ok(result)
}

/// Bytes of texts, which a function may take from one row for many others.
fn text_bytes(vector: &Vector) -> usize {
    match &vector.values {
        Values::Text(values) => values.data_bytes(),
        Values::Bytes(values) => values.data_bytes(),
        _ => 0,
    }
}

/// The value of one row of each row's frame.
fn picked(
    call: &WindowCall,
    values: &Vector,
    partition: &WindowPartition<'_>,
    choose: impl Fn((u32, u32)) -> Option<u32>,
) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(call.data_type, partition.rows);
    let mut watch = Watch::of(partition.bounds);
    for frame in partition.frames {
        match choose(*frame) {
            Some(row) => result.push_from(values, row as usize),
            None => result.push_null(),
        }
        watch.row(text_bytes(&result))?;
    }
    Ok(result)
}

fn nth_value(call: &WindowCall, arguments: &[&Vector], partition: &WindowPartition<'_>) -> PgResult<Vector> {
    let mut result = Vector::with_capacity(call.data_type, partition.rows);
    for (row, (start, end)) in partition.frames.iter().enumerate() {
        let Some(number) = integer(arguments[1], row) else {
            result.push_null();
            continue;
        };
        if number <= 0 {
            return Err(PgError::new(
                SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
                "argument of nth_value must be greater than zero",
            ));
        }
        let target = i64::from(*start) + i64::from(number) - 1;
        if target < i64::from(*end) {
            result.push_from(arguments[0], target as usize);
        } else {
            result.push_null();
        }
    }
    Ok(result)
}

/// Rows of a frame that are added up without a look at the bounds.
const FRAME_ROWS_UNASKED: u32 = 256;

/// An aggregate over each row's frame.
fn over_frames(
    call: &WindowCall,
    arguments: &[&Vector],
    filter: Option<&[u32]>,
    partition: &WindowPartition<'_>,
) -> PgResult<Vector> {
    let aggregate = Aggregate {
        function: call.function,
        arguments: call.arguments.clone(),
        distinct: false,
        filter: None,
        order_by: Vec::new(),
        data_type: call.data_type,
    };
    let groups = vec![0; partition.rows];
    let begin = || {
        let mut state = accumulator(&aggregate, partition.text)?;
        state.resize(1);
        Ok::<_, PgError>(state)
    };
    let add = |state: &mut Box<dyn GroupedAccumulator>, start: u32, end: u32| {
        let rows: Vec<u32> = match filter {
            None => (start..end).collect(),
            Some(passing) => {
                let from = passing.partition_point(|row| *row < start);
                let to = passing.partition_point(|row| *row < end);
                passing[from..to.max(from)].to_vec()
            }
        };
        state.update(&groups, arguments, Some(&rows))
    };
    let mut state = begin()?;
    let mut covered = (0, 0);
    let mut last: Option<Datum> = None;
    let mut result = Vector::with_capacity(call.data_type, partition.rows);
    let (mut watch, mut bytes) = (Watch::of(partition.bounds), 0);
    for frame in partition.frames {
        let (start, end) = (frame.0, frame.1.max(frame.0));
        if start != covered.0 || end < covered.1 {
            state = begin()?;
            covered = (start, start);
            last = None;
        }
        if end > covered.1 {
            if end - covered.1 > FRAME_ROWS_UNASKED {
                partition.bounds.check(bytes)?;
            }
            add(&mut state, covered.1, end)?;
            covered.1 = end;
            last = None;
        }
        let value = match last.take() {
            Some(value) => value,
            None => state.value(0)?,
        };
        bytes += value.memory_size();
        result.push(&value);
        watch.row(bytes)?;
        last = Some(value);
    }
    Ok(result)
}
