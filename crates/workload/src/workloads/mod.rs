//! The workloads, one file each.

pub mod bank;
pub mod list_append;
pub mod register;
pub mod sequential;
pub mod sets;
pub mod unique;
pub mod write_skew;
