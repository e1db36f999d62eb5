//! Operators over plans made by hand, on a key-value store in memory.

mod build;
mod costs;
mod foreign_keys;
mod joins;
mod reading;
mod relational;
mod remote;
mod store;
mod world;
mod writing;
