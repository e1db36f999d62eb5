//! Moving rows about: gather, filter, append, slice, constants, and what they weigh.
//!
//! A selection is a list of row numbers (`u32`), in any order, with repetitions.

use crate::data_type::DataType;
use crate::datum::Datum;
use crate::for_each_values;
use crate::vector::{Batch, Nulls, Values, Vector};
use std::ops::Range;

/// Appends to one vector from another of the same physical kind, whichever that is.
macro_rules! for_each_pair {
    ($target:expr, $source:expr, plain($to:ident, $from:ident) => $plain:expr, bytes => $bytes:expr) => {
        match ($target, $source) {
            (Values::Bool($to), Values::Bool($from)) => $plain,
            (Values::Int2($to), Values::Int2($from)) => $plain,
            (Values::Int4($to), Values::Int4($from)) => $plain,
            (Values::Int8($to), Values::Int8($from)) => $plain,
            (Values::Oid($to), Values::Oid($from)) => $plain,
            (Values::Float4($to), Values::Float4($from)) => $plain,
            (Values::Float8($to), Values::Float8($from)) => $plain,
            (Values::Numeric($to), Values::Numeric($from)) => $plain,
            (Values::Interval($to), Values::Interval($from)) => $plain,
            (Values::Uuid($to), Values::Uuid($from)) => $plain,
            (Values::Datum($to), Values::Datum($from)) => $plain,
            (Values::Text($to), Values::Text($from)) => $bytes,
            (Values::Bytes($to), Values::Bytes($from)) => $bytes,
            (to, from) => panic!(
                "vectors of different kinds: {:?} and {:?}",
                std::mem::discriminant(&*to),
                std::mem::discriminant(from)
            ),
        }
    };
}

impl Values {
    fn push_from(&mut self, source: &Values, row: usize) {
        for_each_pair!(self, source,
            plain(to, from) => to.extend_from_slice(&from[row..=row]),
            bytes => to.push(from.get(row)));
    }

    fn append_range(&mut self, source: &Values, range: Range<usize>) {
        for_each_pair!(self, source,
            plain(to, from) => to.extend_from_slice(&from[range]),
            bytes => to.append_range(from, range));
    }

    // One body serves the kinds that are Copy and those that are not.
    #[allow(clippy::clone_on_copy)]
    fn append_selected(&mut self, source: &Values, selection: &[u32]) {
        for_each_pair!(self, source,
        plain(to, from) => to.extend(selection.iter().map(|&row| from[row as usize].clone())),
        bytes => {
            let bytes = selection.iter().map(|&row| from.get(row as usize).len()).sum();
            to.reserve(selection.len(), bytes);
            for &row in selection {
                to.push(from.get(row as usize));
            }
        });
    }

    fn memory_size(&self) -> usize {
        match self {
            Values::Text(v) => v.data_bytes() + (v.len() + 1) * size_of::<u32>(),
            Values::Bytes(v) => v.data_bytes() + (v.len() + 1) * size_of::<u32>(),
            Values::Numeric(v) => {
                size_of_val(v.as_slice()) + v.iter().map(|value| value.heap_size()).sum::<usize>()
            }
            Values::Datum(v) => v.iter().map(Datum::memory_size).sum(),
            Values::Bool(v) => size_of_val(v.as_slice()),
            Values::Int2(v) => size_of_val(v.as_slice()),
            Values::Int4(v) => size_of_val(v.as_slice()),
            Values::Int8(v) => size_of_val(v.as_slice()),
            Values::Oid(v) => size_of_val(v.as_slice()),
            Values::Float4(v) => size_of_val(v.as_slice()),
            Values::Float8(v) => size_of_val(v.as_slice()),
            Values::Interval(v) => size_of_val(v.as_slice()),
            Values::Uuid(v) => size_of_val(v.as_slice()),
        }
    }

    fn clear(&mut self) {
        for_each_values!(self, v => v.clear());
    }
}

/// Marks rows `at..` of `target` as the `rows` of `source` are.
fn append_nulls(target: &mut Nulls, at: usize, source: &Nulls, rows: impl Iterator<Item = usize>) {
    if source.any() {
        for (offset, row) in rows.enumerate() {
            if source.is_null(row) {
                target.set_null(at + offset);
            }
        }
    }
}

impl Vector {
    /// `rows` times the same value.
    pub fn constant(datum: &Datum, data_type: DataType, rows: usize) -> Vector {
        let mut vector = Vector::with_capacity(data_type, rows);
        for _ in 0..rows {
            vector.push(datum);
        }
        vector
    }

    pub fn from_datums(data_type: DataType, datums: &[Datum]) -> Vector {
        let mut vector = Vector::with_capacity(data_type, datums.len());
        for datum in datums {
            vector.push(datum);
        }
        vector
    }

    /// Appends the value of another vector of the same physical kind.
    pub fn push_from(&mut self, source: &Vector, row: usize) {
        if source.is_null(row) {
            self.push_null();
        } else {
            self.values.push_from(&source.values, row);
        }
    }

    /// Appends all rows of another.
    pub fn append(&mut self, source: &Vector) {
        self.append_range(source, 0..source.len());
    }

    /// Appends some consecutive rows of another.
    pub fn append_range(&mut self, source: &Vector, range: Range<usize>) {
        append_nulls(&mut self.nulls, self.values.len(), &source.nulls, range.clone());
        self.values.append_range(&source.values, range);
    }

    /// Appends the selected rows of another.
    pub fn append_selected(&mut self, source: &Vector, selection: &[u32]) {
        append_nulls(
            &mut self.nulls,
            self.values.len(),
            &source.nulls,
            selection.iter().map(|&row| row as usize),
        );
        self.values.append_selected(&source.values, selection);
    }

    /// Makes it empty, keeping its memory.
    pub fn clear(&mut self) {
        self.nulls.clear();
        self.values.clear();
    }

    /// The selected rows, in the order of the selection.
    pub fn gather(&self, selection: &[u32]) -> Vector {
        let mut vector = Vector::with_capacity(self.data_type, 0);
        vector.append_selected(self, selection);
        vector
    }

    /// The selected rows, `None` giving NULL (the outer side of a join).
    pub fn gather_optional(&self, selection: &[Option<u32>]) -> Vector {
        let mut vector = Vector::with_capacity(self.data_type, selection.len());
        for row in selection {
            match row {
                Some(row) => vector.push_from(self, *row as usize),
                None => vector.push_null(),
            }
        }
        vector
    }

    pub fn slice(&self, range: Range<usize>) -> Vector {
        let mut vector = Vector::with_capacity(self.data_type, 0);
        vector.append_range(self, range);
        vector
    }

    /// Bytes held, roughly: heap included.
    pub fn memory_size(&self) -> usize {
        size_of::<Vector>() + self.nulls.memory_size() + self.values.memory_size()
    }
}

impl Batch {
    /// Appends the rows of another with the same columns.
    pub fn append(&mut self, source: &Batch) {
        for (column, from) in self.columns.iter_mut().zip(&source.columns) {
            column.append(from);
        }
        self.rows += source.rows;
    }

    pub fn gather(&self, selection: &[u32]) -> Batch {
        let columns = self.columns.iter().map(|column| column.gather(selection)).collect();
        Batch { columns, rows: selection.len() }
    }

    pub fn slice(&self, range: Range<usize>) -> Batch {
        let rows = range.len();
        Batch { columns: self.columns.iter().map(|column| column.slice(range.clone())).collect(), rows }
    }

    /// Bytes held, roughly: heap included.
    pub fn memory_size(&self) -> usize {
        size_of::<Batch>() + self.columns.iter().map(Vector::memory_size).sum::<usize>()
    }
}

impl Datum {
    /// Bytes held, roughly: heap included.
    pub fn memory_size(&self) -> usize {
        size_of::<Datum>()
            + match self {
                Datum::Numeric(value) => value.heap_size(),
                Datum::Text(text) | Datum::Jsonb(text) => text.len(),
                Datum::Bytes(bytes) => bytes.len(),
                Datum::Bits(bits) => size_of_val(&**bits) + bits.bytes.len(),
                Datum::Array(array) => {
                    size_of_val(&**array)
                        + array.dimensions.len() * size_of::<(i32, i32)>()
                        + array.elements.iter().map(Datum::memory_size).sum::<usize>()
                }
                Datum::Record(record) => {
                    size_of_val(&**record) + record.iter().map(Datum::memory_size).sum::<usize>()
                }
                _ => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[Option<&str>]) -> Vector {
        let datums: Vec<Datum> = values.iter().map(|value| value.map_or(Datum::Null, Datum::text)).collect();
        Vector::from_datums(DataType::Text, &datums)
    }

    #[test]
    fn gather_keeps_order_repetition_and_nulls() {
        let vector = texts(&[Some("a"), None, Some("ccc"), Some("")]);
        assert_eq!(vector.gather(&[2, 1, 2, 0]), texts(&[Some("ccc"), None, Some("ccc"), Some("a")]));
        assert_eq!(vector.gather_optional(&[None, Some(3)]), texts(&[None, Some("")]));
    }

    #[test]
    fn slice_and_append_are_inverse() {
        let vector = texts(&[Some("a"), None, Some("ccc"), Some(""), None]);
        let mut joined = vector.slice(0..2);
        joined.append(&vector.slice(2..5));
        assert_eq!(joined, vector);
        let mut cleared = vector.clone();
        cleared.clear();
        assert!(cleared.is_empty() && !cleared.nulls.any());
        cleared.push_from(&vector, 2);
        assert_eq!(cleared.datum(0), Datum::text("ccc"));
    }

    #[test]
    fn memory_grows_with_content() {
        let small = texts(&[Some("a")]).memory_size();
        let large = texts(&[Some(&"a".repeat(1000))]).memory_size();
        assert_eq!(large - small, 999);
    }
}
