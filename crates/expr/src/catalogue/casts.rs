//! Casts: the shape of a pg_cast row and the answer to "how does one get from this type to that".

use crate::expr::CastContext;
use crate::function::FunctionRef;
use types::DataType;

/// A row of pg_cast.
pub struct CastRow {
    pub oid: u32,
    pub from: DataType,
    pub to: DataType,
    pub context: CastContext,
    pub method: CastRowMethod,
}

/// pg_cast.castmethod with castfunc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastRowMethod {
    /// pg_proc.oid
    Function(u32),
    Binary,
    InOut,
}

/// How values of one type become another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CastMethod {
    /// By a function; where that takes more than one argument, the others are the modifier and whether the cast is explicit.
    Function(FunctionRef),
    /// The same bytes under another name.
    Binary,
    /// Out through the text format and in again.
    InOut,
    /// Element by element.
    Array,
}

/// A possible conversion: the least that must be asked for to get it, and how it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    pub context: CastContext,
    pub method: CastMethod,
}

pub(super) mod prelude {
    pub use super::CastRow;
    pub use super::CastRowMethod::*;
    pub use crate::expr::CastContext::*;
    pub use types::DataType::*;
}

macro_rules! casts {
    ($($oid:literal $from:ident -> $to:ident, $context:ident, $method:expr;)*) => {
        pub(super) static ROWS: &[CastRow] = &[$(CastRow {
            oid: $oid,
            from: $from,
            to: $to,
            context: $context,
            method: $method,
        },)*];
    };
}
pub(super) use casts;
