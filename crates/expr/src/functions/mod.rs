//! The functions themselves, one file per family: what the rows of [`crate::catalogue`] point to.
//!
//! An evaluator's name is that of PostgreSQL's C function (pg_proc.prosrc), so that either source explains the other.

pub mod arithmetic;
pub mod array;
pub mod binary;
pub mod comparison;
pub mod conversion;
pub mod datetime;
pub mod enumeration;
pub mod format;
pub mod hash;
pub mod json;
pub(crate) mod kernel;
mod keywords;
pub mod lookup;
pub mod math;
pub mod misc;
pub mod network;
pub mod pattern;
pub mod spread;
pub mod string;
pub mod system;
pub(crate) mod text;
