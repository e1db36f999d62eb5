//! Checkers of histories: pure functions, told what clients did and saw, that say which anomaly it shows.
//!
//! - [`list_append`]: transactions of appends to lists and reads of them, judged by cycles of dependencies.
//! - [`linearizable`]: operations on one register, judged by searching for an order that explains them.
//! - [`graph`]: what the first needs of graphs.

pub mod graph;
pub mod linearizable;
pub mod list_append;
