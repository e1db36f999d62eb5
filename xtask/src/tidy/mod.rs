//! Tests of form: what the compiler does not check and reviews forget.
//!
//! | module | rule |
//! | --- | --- |
//! | [`layering`] | arrows between crates go down; a foreign crate that shapes a layer has its owners |
//! | [`lines`] | the async line, the SQL line, the ban of real time and threads outside `env` |
//! | [`form`] | length of files and functions, nothing left unfinished, no path of a developer's machine |
//!
//! They read manifests and sources as text: [`source`] has a scanner for Rust that is just good enough
//! to tell code from comments, strings and tests.

mod form;
mod layering;
mod lines;
mod manifest;
mod source;
