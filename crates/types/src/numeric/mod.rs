//! `numeric`: exact decimal numbers with a scale per value, NaN and infinities (PostgreSQL chapter 8.1.2).
//!
//! Almost every value met in practice has fewer than 38 digits: it is held as an `i128` coefficient and a display scale, inline.
//! Beyond that a boxed big integer takes over; arithmetic is checked and moves between the two forms by itself.

mod api;

use dashu_int::IBig;

/// An exact decimal: `coefficient * 10^-scale`, printed with exactly `scale` digits after the point.
///
/// - The small form is used whenever the coefficient fits; equal values of equal scale have one representation.
/// - `scale` is between 0 and 16,383, as in PostgreSQL.
/// - `PartialEq` here is identity of representation (1.0 differs from 1.00); SQL comparison is a method of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Numeric {
    Small(SmallDecimal),
    Big(Box<BigDecimal>),
    NaN,
    Infinity,
    NegativeInfinity,
}

/// Coefficient within `i128`, stored in two halves so that a [`crate::Datum`] stays within 32 bytes (an `i128` is
/// aligned to 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallDecimal {
    high: i64,
    low: u64,
    scale: u16,
}

/// Coefficient beyond `i128`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigDecimal {
    pub coefficient: IBig,
    pub scale: u16,
}

impl SmallDecimal {
    pub fn new(coefficient: i128, scale: u16) -> Self {
        SmallDecimal { high: (coefficient >> 64) as i64, low: coefficient as u64, scale }
    }

    pub fn coefficient(self) -> i128 {
        (i128::from(self.high) << 64) | i128::from(self.low)
    }

    pub fn scale(self) -> u16 {
        self.scale
    }
}

impl Numeric {
    pub fn from_i64(value: i64) -> Self {
        Numeric::Small(SmallDecimal::new(i128::from(value), 0))
    }
}
