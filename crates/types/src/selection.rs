//! Moving rows about: gather, filter, append, slice, constants, and what they weigh.
//!
//! A selection is a list of row numbers (`u32`), in any order, with repetitions.

use crate::data_type::DataType;
use crate::datum::Datum;
use crate::vector::{Batch, Vector};
use std::ops::Range;

macro_rules! published {
    ($($(#[$doc:meta])* fn $name:ident(self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        $($(#[$doc])* pub fn $name(&self, $($argument: $kind),*) -> $result {
            let _ = ($($argument,)*);
            crate::pending()
        })*
    };
}

impl Vector {
    /// `rows` times the same value.
    pub fn constant(datum: &Datum, data_type: DataType, rows: usize) -> Vector {
        let _ = (datum, data_type, rows);
        crate::pending()
    }

    pub fn from_datums(data_type: DataType, datums: &[Datum]) -> Vector {
        let _ = (data_type, datums);
        crate::pending()
    }

    /// Appends the value of another vector of the same physical kind.
    pub fn push_from(&mut self, source: &Vector, row: usize) {
        let _ = (source, row);
        crate::pending()
    }

    /// Appends all rows of another.
    pub fn append(&mut self, source: &Vector) {
        let _ = source;
        crate::pending()
    }

    /// Appends the selected rows of another.
    pub fn append_selected(&mut self, source: &Vector, selection: &[u32]) {
        let _ = (source, selection);
        crate::pending()
    }

    /// Makes it empty, keeping its memory.
    pub fn clear(&mut self) {
        crate::pending()
    }

    published! {
        /// The selected rows, in the order of the selection.
        fn gather(self, selection: &[u32]) -> Vector;
        /// The selected rows, `None` giving NULL (the outer side of a join).
        fn gather_optional(self, selection: &[Option<u32>]) -> Vector;
        fn slice(self, range: Range<usize>) -> Vector;
        /// Bytes held, roughly: heap included.
        fn memory_size(self) -> usize;
    }
}

impl Batch {
    pub fn append(&mut self, source: &Batch) {
        let _ = source;
        crate::pending()
    }

    published! {
        fn gather(self, selection: &[u32]) -> Batch;
        fn slice(self, range: Range<usize>) -> Batch;
        fn memory_size(self) -> usize;
    }
}

impl Datum {
    published! {
        /// Bytes held, roughly: heap included.
        fn memory_size(self) -> usize;
    }
}
