//! Loops over vectors: how evaluators read arguments and build results.
//!
//! An argument vector has as many rows as the call or exactly one, which stands for all: a [`Lane`] hides that behind a mask on
//! the row number. `evaluators!` writes the everyday evaluator: a loop that reads one value of each argument, skips rows with a NULL,
//! runs the body, and pushes what it answers. The few functions that decide how fast a scan is (comparisons and arithmetic on
//! fixed-width types) use the dense loops below instead, which compute all rows, NULL or not, without a branch.

use types::{
    ArrayValue, BytesVector, Datum, Interval, Nulls, Numeric, PgError, PgResult, TextVector, Values, Vector,
};

/// Values of fixed width, held in a slice.
pub trait Fixed: Copy + Default {
    fn slice(values: &Values) -> Option<&[Self]>;
    fn values(vector: Vec<Self>) -> Values;
}

macro_rules! fixed {
    ($($variant:ident $kind:ty;)*) => {$(
        impl Fixed for $kind {
            #[inline]
            fn slice(values: &Values) -> Option<&[Self]> {
                match values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }

            #[inline]
            fn values(vector: Vec<Self>) -> Values {
                Values::$variant(vector)
            }
        }
    )*};
}

fixed! {
    Bool bool;
    Int2 i16;
    Int4 i32;
    Int8 i64;
    Oid u32;
    Float4 f32;
    Float8 f64;
    Interval Interval;
    Uuid [u8; 16];
}

#[cold]
fn mismatch() -> PgError {
    PgError::internal("a function was given a vector of another representation than it takes")
}

#[inline]
fn mask(vector: &Vector, rows: usize) -> usize {
    if vector.len() == 1 && rows != 1 { 0 } else { usize::MAX }
}

/// How one kind of argument is read row by row.
pub trait Lane<'a>: Sized {
    type Item;
    fn new(vector: &'a Vector, rows: usize) -> PgResult<Self>;
    fn at(&self, row: usize) -> Self::Item;
}

macro_rules! lanes {
    ($($(#[$doc:meta])* $name:ident, $variant:ident($held:ty) -> $item:ty, |$values:ident, $index:ident| $get:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name<'a> {
            values: &'a $held,
            mask: usize,
        }

        impl<'a> Lane<'a> for $name<'a> {
            type Item = $item;

            #[inline]
            fn new(vector: &'a Vector, rows: usize) -> PgResult<Self> {
                match &vector.values {
                    Values::$variant(values) => Ok(Self { values, mask: mask(vector, rows) }),
                    _ => Err(mismatch()),
                }
            }

            #[inline]
            fn at(&self, row: usize) -> $item {
                let ($values, $index) = (self.values, row & self.mask);
                $get
            }
        }
    )*};
}

lanes! {
    BoolLane, Bool(Vec<bool>) -> bool, |values, index| values[index];
    Int2Lane, Int2(Vec<i16>) -> i16, |values, index| values[index];
    Int4Lane, Int4(Vec<i32>) -> i32, |values, index| values[index];
    Int8Lane, Int8(Vec<i64>) -> i64, |values, index| values[index];
    OidLane, Oid(Vec<u32>) -> u32, |values, index| values[index];
    Float4Lane, Float4(Vec<f32>) -> f32, |values, index| values[index];
    Float8Lane, Float8(Vec<f64>) -> f64, |values, index| values[index];
    IntervalLane, Interval(Vec<Interval>) -> Interval, |values, index| values[index];
    NumericLane, Numeric(Vec<Numeric>) -> &'a Numeric, |values, index| &values[index];
    TextLane, Text(TextVector) -> &'a str, |values, index| values.get(index);
    BytesLane, Bytes(BytesVector) -> &'a [u8], |values, index| values.get(index);
    /// Values of the rare types, by reference.
    DatumLane, Datum(Vec<Datum>) -> &'a Datum, |values, index| &values[index];
}

/// Arrays; a value that is no array (under a NULL) reads as the empty one.
pub struct ArrayLane<'a> {
    values: &'a [Datum],
    mask: usize,
}

static EMPTY_ARRAY: ArrayValue = ArrayValue { element_oid: 0, dimensions: Vec::new(), elements: Vec::new() };

impl<'a> Lane<'a> for ArrayLane<'a> {
    type Item = &'a ArrayValue;

    fn new(vector: &'a Vector, rows: usize) -> PgResult<Self> {
        match &vector.values {
            Values::Datum(values) => Ok(ArrayLane { values, mask: mask(vector, rows) }),
            _ => Err(mismatch()),
        }
    }

    fn at(&self, row: usize) -> &'a ArrayValue {
        match &self.values[row & self.mask] {
            Datum::Array(array) => array,
            _ => &EMPTY_ARRAY,
        }
    }
}

/// Values of any type, as datums.
pub struct AnyLane<'a> {
    vector: &'a Vector,
    mask: usize,
}

impl<'a> Lane<'a> for AnyLane<'a> {
    type Item = Datum;

    fn new(vector: &'a Vector, rows: usize) -> PgResult<Self> {
        Ok(AnyLane { vector, mask: mask(vector, rows) })
    }

    fn at(&self, row: usize) -> Datum {
        self.vector.datum(row & self.mask)
    }
}

/// Where results go.
pub trait Sink<T> {
    fn push(&mut self, value: T);
}

/// A sink with its beginning and end.
pub trait Column: Sized {
    fn with_capacity(rows: usize) -> Self;
    fn push_null(&mut self);
    fn into_values(self) -> Values;

    /// Bytes held, of values of any length.
    fn bytes(&self) -> usize {
        0
    }
}

impl<T: Fixed> Sink<T> for Vec<T> {
    #[inline]
    fn push(&mut self, value: T) {
        Vec::push(self, value);
    }
}

impl<T: Fixed> Column for Vec<T> {
    fn with_capacity(rows: usize) -> Self {
        Vec::with_capacity(rows)
    }

    #[inline]
    fn push_null(&mut self) {
        Vec::push(self, T::default());
    }

    fn into_values(self) -> Values {
        T::values(self)
    }
}

pub struct TextSink(TextVector);

impl<T: AsRef<str>> Sink<T> for TextSink {
    #[inline]
    fn push(&mut self, value: T) {
        self.0.push(value.as_ref());
    }
}

impl Column for TextSink {
    fn with_capacity(rows: usize) -> Self {
        TextSink(TextVector::with_capacity(rows, rows * 16))
    }

    fn push_null(&mut self) {
        self.0.push("");
    }

    fn into_values(self) -> Values {
        Values::Text(self.0)
    }

    #[inline]
    fn bytes(&self) -> usize {
        self.0.data_bytes()
    }
}

pub struct BytesSink(BytesVector);

impl<T: AsRef<[u8]>> Sink<T> for BytesSink {
    fn push(&mut self, value: T) {
        self.0.push(value.as_ref());
    }
}

impl Column for BytesSink {
    fn with_capacity(rows: usize) -> Self {
        BytesSink(BytesVector::with_capacity(rows, rows * 16))
    }

    fn push_null(&mut self) {
        self.0.push(&[]);
    }

    fn into_values(self) -> Values {
        Values::Bytes(self.0)
    }

    #[inline]
    fn bytes(&self) -> usize {
        self.0.data_bytes()
    }
}

pub struct NumericSink(Vec<Numeric>);

impl Sink<Numeric> for NumericSink {
    #[inline]
    fn push(&mut self, value: Numeric) {
        self.0.push(value);
    }
}

impl Column for NumericSink {
    fn with_capacity(rows: usize) -> Self {
        NumericSink(Vec::with_capacity(rows))
    }

    fn push_null(&mut self) {
        self.0.push(Numeric::ZERO);
    }

    fn into_values(self) -> Values {
        Values::Numeric(self.0)
    }
}

/// The values, and the bytes that they hold.
pub struct DatumSink(Vec<Datum>, usize);

impl Sink<Datum> for DatumSink {
    fn push(&mut self, value: Datum) {
        self.1 += value.memory_size();
        self.0.push(value);
    }
}

impl Column for DatumSink {
    fn with_capacity(rows: usize) -> Self {
        DatumSink(Vec::with_capacity(rows), 0)
    }

    fn push_null(&mut self) {
        self.0.push(Datum::Null);
    }

    fn into_values(self) -> Values {
        Values::Datum(self.0)
    }

    fn bytes(&self) -> usize {
        self.1
    }
}

/// Marks the rows to skip: those with a NULL in any argument.
#[inline]
pub fn null_rows(arguments: &[&Vector], rows: usize) -> Nulls {
    let mut nulls = Nulls::none();
    for argument in arguments {
        if !argument.nulls.any() {
            continue;
        }
        if argument.len() == rows {
            nulls.unite(&argument.nulls);
        } else if argument.is_null(0) {
            (0..rows).for_each(|row| nulls.set_null(row));
        }
    }
    nulls
}

/// The result of an evaluator: the caller sets the type, of which only the representation is known here.
pub fn vector(values: Values, nulls: Nulls) -> Vector {
    Vector { data_type: types::DataType::Unknown, nulls, values }
}

/// Writes evaluators. `fn name(a: kind, b: kind; context) -> mode kind { body }`: the body sees one value of each argument and is
/// not run for rows with a NULL. Mode none: it answers a value; `try`: a `PgResult`; `maybe`: a
/// `PgResult<Option<_>>`, `None` being NULL.
macro_rules! evaluators {
    ($($(#[$meta:meta])*
       fn $name:ident($($argument:ident: $kind:ident),* $(; $context:ident)?) -> $mode:ident $($out:ident)? $body:block)*) => {$(
        $(#[$meta])*
        pub fn $name(
            context: &$crate::EvalContext<'_>,
            arguments: &[&types::Vector],
            rows: usize,
        ) -> types::PgResult<types::Vector> {
            #[allow(unused_imports)]
            use $crate::functions::kernel::{Column as _, Lane as _, Sink as _};
            $(let $context = context;)?
            let mut watch = $crate::bounds::Watch::new(context);
            #[allow(unused_mut, unused_variables)]
            let mut inputs = arguments.iter();
            $(let $argument = <$crate::functions::kernel::lane!($kind)>::new(
                inputs.next().ok_or_else($crate::functions::kernel::too_few)?, rows)?;)*
            let skipped = $crate::functions::kernel::null_rows(arguments, rows);
            let any_skipped = skipped.any();
            #[allow(unused_mut)]
            let mut nulls = types::Nulls::none();
            let mut sink = <$crate::functions::kernel::sink!($mode $($out)?)>::with_capacity(rows);
            for row in 0..rows {
                if any_skipped && skipped.is_null(row) {
                    sink.push_null();
                    continue;
                }
                $(let $argument = $argument.at(row);)*
                $crate::functions::kernel::put!($mode, sink, nulls, row, $body);
                watch.row(sink.bytes())?;
            }
            Ok($crate::functions::kernel::vector(sink.into_values(), nulls))
        }
    )*};
}

macro_rules! lane {
    (bool) => { $crate::functions::kernel::BoolLane<'_> };
    (i16) => { $crate::functions::kernel::Int2Lane<'_> };
    (i32) => { $crate::functions::kernel::Int4Lane<'_> };
    (i64) => { $crate::functions::kernel::Int8Lane<'_> };
    (u32) => { $crate::functions::kernel::OidLane<'_> };
    (f32) => { $crate::functions::kernel::Float4Lane<'_> };
    (f64) => { $crate::functions::kernel::Float8Lane<'_> };
    (interval) => { $crate::functions::kernel::IntervalLane<'_> };
    (numeric) => { $crate::functions::kernel::NumericLane<'_> };
    (text) => { $crate::functions::kernel::TextLane<'_> };
    (bytes) => { $crate::functions::kernel::BytesLane<'_> };
    (datum) => { $crate::functions::kernel::DatumLane<'_> };
    (array) => { $crate::functions::kernel::ArrayLane<'_> };
    (any) => { $crate::functions::kernel::AnyLane<'_> };
}

macro_rules! sink {
    (try $out:ident) => { $crate::functions::kernel::sink!($out) };
    (maybe $out:ident) => { $crate::functions::kernel::sink!($out) };
    (bool) => { Vec<bool> };
    (i16) => { Vec<i16> };
    (i32) => { Vec<i32> };
    (i64) => { Vec<i64> };
    (u32) => { Vec<u32> };
    (f32) => { Vec<f32> };
    (f64) => { Vec<f64> };
    (interval) => { Vec<types::Interval> };
    (uuid) => { Vec<[u8; 16]> };
    (numeric) => { $crate::functions::kernel::NumericSink };
    (text) => { $crate::functions::kernel::TextSink };
    (bytes) => { $crate::functions::kernel::BytesSink };
    (datum) => { $crate::functions::kernel::DatumSink };
}

macro_rules! put {
    (try, $sink:ident, $nulls:ident, $row:ident, $body:block) => {
        $sink.push((|| -> types::PgResult<_> { $body })()?)
    };
    (maybe, $sink:ident, $nulls:ident, $row:ident, $body:block) => {
        match (|| -> types::PgResult<Option<_>> { $body })()? {
            Some(value) => $sink.push(value),
            None => {
                $nulls.set_null($row);
                $sink.push_null();
            }
        }
    };
    ($plain:ident, $sink:ident, $nulls:ident, $row:ident, $body:block) => {
        $sink.push($body)
    };
}

pub(crate) use {evaluators, lane, put, sink};

#[cold]
pub fn too_few() -> PgError {
    PgError::internal("a function was given too few arguments")
}

/// The slices of two fixed-width arguments.
fn slices<'a, A: Fixed, B: Fixed>(arguments: &[&'a Vector]) -> PgResult<(&'a [A], &'a [B])> {
    let [left, right] = arguments else { return Err(too_few()) };
    let left = A::slice(&left.values).ok_or_else(mismatch)?;
    Ok((left, B::slice(&right.values).ok_or_else(mismatch)?))
}

/// `compute` over all rows, NULL or not: it must not fail.
#[inline]
pub fn dense<A: Fixed, B: Fixed, R: Fixed>(
    arguments: &[&Vector],
    rows: usize,
    compute: impl Fn(A, B) -> R,
) -> PgResult<Vector> {
    let (left, right) = slices::<A, B>(arguments)?;
    let result: Vec<R> = match (left.len() == rows, right.len() == rows) {
        (true, true) => left.iter().zip(right).map(|(a, b)| compute(*a, *b)).collect(),
        (true, false) => {
            let b = right[0];
            left.iter().map(|a| compute(*a, b)).collect()
        }
        (false, true) => {
            let a = left[0];
            right.iter().map(|b| compute(a, *b)).collect()
        }
        (false, false) => vec![compute(left[0], right[0]); rows],
    };
    Ok(vector(R::values(result), Nulls::none()))
}

/// `compute` over all rows; it answers the (wrapped) result and whether that is wrong. The first wrong row without a NULL makes
/// the error.
#[inline]
pub fn checked<A: Fixed, B: Fixed, R: Fixed>(
    arguments: &[&Vector],
    rows: usize,
    compute: impl Fn(A, B) -> (R, bool),
    error: impl Fn() -> PgError,
) -> PgResult<Vector> {
    let mut wrong = false;
    let (left, right) = slices::<A, B>(arguments)?;
    let mut step = |a: A, b: B| {
        let (result, failed) = compute(a, b);
        wrong |= failed;
        result
    };
    let result: Vec<R> = match (left.len() == rows, right.len() == rows) {
        (true, true) => left.iter().zip(right).map(|(a, b)| step(*a, *b)).collect(),
        (true, false) => {
            let b = right[0];
            left.iter().map(|a| step(*a, b)).collect()
        }
        (false, true) => {
            let a = left[0];
            right.iter().map(|b| step(a, *b)).collect()
        }
        (false, false) => {
            let value = step(left[0], right[0]);
            vec![value; rows]
        }
    };
    if wrong {
        let skipped = null_rows(arguments, rows);
        let at = |values: usize, row: usize| if values == rows { row } else { 0 };
        for row in (0..rows).filter(|row| !skipped.is_null(*row)) {
            if compute(left[at(left.len(), row)], right[at(right.len(), row)]).1 {
                return Err(error());
            }
        }
    }
    Ok(vector(R::values(result), Nulls::none()))
}
