//! Column vectors and batches: what operators exchange.
//!
//! A [`Vector`] holds the values of one column for up to [`BATCH_ROWS_MAX`] rows in the layout of its [`Physical`] kind;
//! NULLs are marked in a separate bitmap that is absent while there are none, so that the common loop has no branch. Values
//! under a NULL are unspecified but initialised. A [`Batch`] is several vectors of one length. Why not Arrow:
//! ARCHITECTURE.md, "Dependencies".
//!
//! A batch of one row must stay cheap: building one allocates once per column and nothing else.

use crate::data_type::{DataType, Physical};
use crate::datum::Datum;
use crate::interval::Interval;
use crate::numeric::Numeric;

/// Rows in a batch at most.
pub const BATCH_ROWS_MAX: usize = 1024;

/// NULL marks: bit `i` set means that row `i` is NULL. No words at all means no NULLs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nulls {
    words: Vec<u64>,
}

impl Nulls {
    pub fn none() -> Self {
        Nulls::default()
    }

    /// False means certainly no NULL; true that there may be one.
    pub fn any(&self) -> bool {
        !self.words.is_empty()
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub fn set_null(&mut self, row: usize) {
        if self.words.len() <= row / 64 {
            self.words.resize(row / 64 + 1, 0);
        }
        self.words[row / 64] |= 1 << (row % 64);
    }

    pub fn set_valid(&mut self, row: usize) {
        if let Some(word) = self.words.get_mut(row / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    pub fn clear(&mut self) {
        self.words.clear();
    }

    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Bytes held.
    pub fn memory_size(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Marks NULL also wherever `other` is.
    #[inline]
    pub fn unite(&mut self, other: &Nulls) {
        if other.words.is_empty() {
            return;
        }
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, with) in self.words.iter_mut().zip(&other.words) {
            *word |= with;
        }
    }

    /// Marks NULL wherever either is.
    pub fn union(&self, other: &Nulls) -> Nulls {
        let (long, short) = if self.words.len() >= other.words.len() { (self, other) } else { (other, self) };
        let mut words = long.words.clone();
        for (word, with) in words.iter_mut().zip(&short.words) {
            *word |= with;
        }
        Nulls { words }
    }
}

/// Variable-length values end to end, with `offsets[i]..offsets[i + 1]` for value `i`.
///
/// - `offsets` has one more element than there are values and starts with 0.
#[derive(Clone, Debug, PartialEq)]
pub struct BytesVector {
    offsets: Vec<u32>,
    data: Vec<u8>,
}

impl Default for BytesVector {
    fn default() -> Self {
        BytesVector { offsets: vec![0], data: Vec::new() }
    }
}

impl BytesVector {
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        BytesVector { offsets, data: Vec::with_capacity(bytes) }
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.finish_value();
    }

    /// The buffer that a value may be appended to piecemeal, before [`Self::finish_value`].
    pub fn value_buffer(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Ends the value whose bytes were appended to [`Self::value_buffer`].
    #[inline]
    pub fn finish_value(&mut self) {
        let end = u32::try_from(self.data.len()).expect("a batch holds less than 4 GiB of one column");
        self.offsets.push(end);
    }

    /// Takes the last value off.
    pub fn pop(&mut self) {
        if self.offsets.len() > 1 {
            self.offsets.pop();
            self.data.truncate(self.offsets[self.offsets.len() - 1] as usize);
        }
    }

    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        &self.data[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    pub fn data_bytes(&self) -> usize {
        self.data.len()
    }

    /// Appends values `range` of another.
    pub fn append_range(&mut self, source: &BytesVector, range: std::ops::Range<usize>) {
        let (from, to) = (source.offsets[range.start], source.offsets[range.end]);
        let end = u32::try_from(self.data.len() + (to - from) as usize)
            .expect("a batch holds less than 4 GiB of one column");
        let base = end - (to - from);
        self.data.extend_from_slice(&source.data[from as usize..to as usize]);
        let ends = &source.offsets[range.start + 1..range.end + 1];
        self.offsets.extend(ends.iter().map(|offset| base + (offset - from)));
    }

    /// Makes room for more values of together `bytes`.
    pub fn reserve(&mut self, rows: usize, bytes: usize) {
        self.offsets.reserve(rows);
        self.data.reserve(bytes);
    }

    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.data.clear();
    }
}

/// The same for UTF-8 text.
///
/// - `bytes` is valid UTF-8 at every value boundary: values come in only as `&str` or checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextVector {
    bytes: BytesVector,
}

impl TextVector {
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        TextVector { bytes: BytesVector::with_capacity(rows, bytes) }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    #[inline]
    pub fn push(&mut self, value: &str) {
        self.bytes.push(value.as_bytes());
    }

    /// Appends the bytes that `append` adds as one value, after checking that they are UTF-8. When `append` fails or they are not,
    /// nothing is added.
    pub fn push_checked<E>(
        &mut self,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Result<(), std::str::Utf8Error>, E> {
        let buffer = self.bytes.value_buffer();
        let start = buffer.len();
        let appended = append(buffer);
        let checked = match &appended {
            Ok(()) => std::str::from_utf8(&buffer[start..]).map(drop),
            Err(_) => Ok(()),
        };
        if appended.is_err() || checked.is_err() {
            buffer.truncate(start);
        } else {
            self.bytes.finish_value();
        }
        appended.map(|()| checked)
    }

    /// Takes the last value off.
    pub fn pop(&mut self) {
        self.bytes.pop();
    }

    /// Appends text to the value being built; [`Self::finish_value`] ends it.
    pub fn append(&mut self, piece: &str) {
        self.bytes.value_buffer().extend_from_slice(piece.as_bytes());
    }

    pub fn finish_value(&mut self) {
        self.bytes.finish_value();
    }

    #[inline]
    pub fn get(&self, row: usize) -> &str {
        // SAFETY: only `&str` is ever appended, and values are cut only where an append ended.
        unsafe { std::str::from_utf8_unchecked(self.bytes.get(row)) }
    }

    pub fn data_bytes(&self) -> usize {
        self.bytes.data_bytes()
    }

    /// The same values as bytes.
    pub fn as_bytes(&self) -> &BytesVector {
        &self.bytes
    }

    /// Appends values `range` of another.
    pub fn append_range(&mut self, source: &TextVector, range: std::ops::Range<usize>) {
        self.bytes.append_range(&source.bytes, range);
    }

    /// Makes room for more values of together `bytes`.
    pub fn reserve(&mut self, rows: usize, bytes: usize) {
        self.bytes.reserve(rows, bytes);
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// The values of a column, by physical kind (see [`DataType::physical`]).
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    Bool(Vec<bool>),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Oid(Vec<u32>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Numeric(Vec<Numeric>),
    Text(TextVector),
    Bytes(BytesVector),
    Interval(Vec<Interval>),
    Uuid(Vec<[u8; 16]>),
    Datum(Vec<Datum>),
}

/// One column of a batch.
///
/// - `values` is of the kind `data_type.physical()`.
/// - NULL rows have a value too (a default), so that lengths agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector {
    pub data_type: DataType,
    pub nulls: Nulls,
    pub values: Values,
}

/// Applies one expression to whichever `Vec` a [`Values`] holds.
#[macro_export]
macro_rules! for_each_values {
    ($values:expr, $v:ident => $body:expr) => {
        match $values {
            $crate::vector::Values::Bool($v) => $body,
            $crate::vector::Values::Int2($v) => $body,
            $crate::vector::Values::Int4($v) => $body,
            $crate::vector::Values::Int8($v) => $body,
            $crate::vector::Values::Oid($v) => $body,
            $crate::vector::Values::Float4($v) => $body,
            $crate::vector::Values::Float8($v) => $body,
            $crate::vector::Values::Numeric($v) => $body,
            $crate::vector::Values::Text($v) => $body,
            $crate::vector::Values::Bytes($v) => $body,
            $crate::vector::Values::Interval($v) => $body,
            $crate::vector::Values::Uuid($v) => $body,
            $crate::vector::Values::Datum($v) => $body,
        }
    };
}

impl Values {
    pub fn with_capacity(physical: Physical, rows: usize) -> Values {
        match physical {
            Physical::Bool => Values::Bool(Vec::with_capacity(rows)),
            Physical::Int2 => Values::Int2(Vec::with_capacity(rows)),
            Physical::Int4 => Values::Int4(Vec::with_capacity(rows)),
            Physical::Int8 => Values::Int8(Vec::with_capacity(rows)),
            Physical::Oid => Values::Oid(Vec::with_capacity(rows)),
            Physical::Float4 => Values::Float4(Vec::with_capacity(rows)),
            Physical::Float8 => Values::Float8(Vec::with_capacity(rows)),
            Physical::Numeric => Values::Numeric(Vec::with_capacity(rows)),
            Physical::Text => Values::Text(TextVector::with_capacity(rows, rows * 16)),
            Physical::Bytes => Values::Bytes(BytesVector::with_capacity(rows, rows * 16)),
            Physical::Interval => Values::Interval(Vec::with_capacity(rows)),
            Physical::Uuid => Values::Uuid(Vec::with_capacity(rows)),
            Physical::Datum => Values::Datum(Vec::with_capacity(rows)),
        }
    }

    pub fn len(&self) -> usize {
        for_each_values!(self, v => v.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Vector {
    pub fn with_capacity(data_type: DataType, rows: usize) -> Vector {
        Vector { data_type, nulls: Nulls::none(), values: Values::with_capacity(data_type.physical(), rows) }
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_null(row)
    }

    pub fn push_null(&mut self) {
        self.nulls.set_null(self.len());
        match &mut self.values {
            Values::Bool(v) => v.push(false),
            Values::Int2(v) => v.push(0),
            Values::Int4(v) => v.push(0),
            Values::Int8(v) => v.push(0),
            Values::Oid(v) => v.push(0),
            Values::Float4(v) => v.push(0.0),
            Values::Float8(v) => v.push(0.0),
            Values::Numeric(v) => v.push(Numeric::from_i64(0)),
            Values::Text(v) => v.finish_value(),
            Values::Bytes(v) => v.finish_value(),
            Values::Interval(v) => v.push(Interval::default()),
            Values::Uuid(v) => v.push([0; 16]),
            Values::Datum(v) => v.push(Datum::Null),
        }
    }

    /// Takes the last value off.
    pub fn pop(&mut self) {
        for_each_values!(&mut self.values, v => {
            v.pop();
        });
        self.nulls.set_valid(self.len());
    }

    /// Whether [`Vector::push`] takes the value.
    pub fn fits(&self, datum: &Datum) -> bool {
        matches!(
            (&self.values, datum),
            (_, Datum::Null)
                | (Values::Bool(_), Datum::Bool(_))
                | (Values::Int2(_), Datum::Int2(_))
                | (Values::Int4(_), Datum::Int4(_) | Datum::Date(_))
                | (
                    Values::Int8(_),
                    Datum::Int8(_)
                        | Datum::Time(_)
                        | Datum::Timestamp(_)
                        | Datum::TimestampTz(_)
                        | Datum::Unsigned8(_)
                )
                | (Values::Oid(_), Datum::Oid(_))
                | (Values::Float4(_), Datum::Float4(_))
                | (Values::Float8(_), Datum::Float8(_))
                | (Values::Numeric(_), Datum::Numeric(_))
                | (Values::Text(_), Datum::Text(_))
                | (Values::Bytes(_), Datum::Bytes(_))
                | (Values::Interval(_), Datum::Interval(_))
                | (Values::Uuid(_), Datum::Uuid(_))
                | (Values::Datum(_), _)
        )
    }

    /// Appends a value. Panics when the datum is not of this vector's physical kind: the binder has typed it.
    pub fn push(&mut self, datum: &Datum) {
        match (&mut self.values, datum) {
            (_, Datum::Null) => self.push_null(),
            (Values::Bool(v), Datum::Bool(x)) => v.push(*x),
            (Values::Int2(v), Datum::Int2(x)) => v.push(*x),
            (Values::Int4(v), Datum::Int4(x) | Datum::Date(x)) => v.push(*x),
            (
                Values::Int8(v),
                Datum::Int8(x) | Datum::Time(x) | Datum::Timestamp(x) | Datum::TimestampTz(x),
            ) => v.push(*x),
            (Values::Int8(v), Datum::Unsigned8(x)) => v.push(*x as i64),
            (Values::Oid(v), Datum::Oid(x)) => v.push(*x),
            (Values::Float4(v), Datum::Float4(x)) => v.push(*x),
            (Values::Float8(v), Datum::Float8(x)) => v.push(*x),
            (Values::Numeric(v), Datum::Numeric(x)) => v.push(x.clone()),
            (Values::Text(v), Datum::Text(x)) => v.push(x),
            (Values::Bytes(v), Datum::Bytes(x)) => v.push(x),
            (Values::Interval(v), Datum::Interval(x)) => v.push(*x),
            (Values::Uuid(v), Datum::Uuid(x)) => v.push(*x),
            (Values::Datum(v), x) => v.push(x.clone()),
            (values, datum) => panic!(
                "{datum:?} does not belong into a vector of {:?} ({:?})",
                self.data_type,
                std::mem::discriminant(values)
            ),
        }
    }

    /// The value at `row`, typed by `data_type`.
    pub fn datum(&self, row: usize) -> Datum {
        if self.is_null(row) {
            return Datum::Null;
        }
        match &self.values {
            Values::Bool(v) => Datum::Bool(v[row]),
            Values::Int2(v) => Datum::Int2(v[row]),
            Values::Int4(v) if self.data_type.base() == DataType::Date => Datum::Date(v[row]),
            Values::Int4(v) => Datum::Int4(v[row]),
            Values::Int8(v) => match self.data_type.base() {
                DataType::Time => Datum::Time(v[row]),
                DataType::Timestamp => Datum::Timestamp(v[row]),
                DataType::TimestampTz => Datum::TimestampTz(v[row]),
                DataType::PgLsn | DataType::Xid8 => Datum::Unsigned8(v[row] as u64),
                _ => Datum::Int8(v[row]),
            },
            Values::Oid(v) => Datum::Oid(v[row]),
            Values::Float4(v) => Datum::Float4(v[row]),
            Values::Float8(v) => Datum::Float8(v[row]),
            Values::Numeric(v) => Datum::Numeric(v[row].clone()),
            Values::Text(v) => Datum::text(v.get(row)),
            Values::Bytes(v) => Datum::Bytes(v.get(row).into()),
            Values::Interval(v) => Datum::Interval(v[row]),
            Values::Uuid(v) => Datum::Uuid(v[row]),
            Values::Datum(v) => v[row].clone(),
        }
    }
}

/// Rows, column-wise.
///
/// - every column has exactly `rows` values (a batch may have no columns and still have rows).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Batch {
    pub columns: Vec<Vector>,
    pub rows: usize,
}

impl Batch {
    pub fn new(columns: Vec<Vector>, rows: usize) -> Self {
        debug_assert!(columns.iter().all(|column| column.len() == rows));
        Batch { columns, rows }
    }

    pub fn row(&self, row: usize) -> Vec<Datum> {
        self.columns.iter().map(|column| column.datum(row)).collect()
    }
}
