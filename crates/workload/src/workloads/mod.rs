//! The workloads, one file each.

pub mod bank;
mod bank_past;
pub mod list_append;
pub mod monotonic;
pub mod outcomes;
pub mod register;
pub mod savepoints;
pub mod sequential;
pub mod sets;
pub mod tpcc;
pub mod unique;
pub mod write_skew;
