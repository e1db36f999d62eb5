//! Runs SQL tests against a server: our own `sql-tests/` and foreign suites.
//!
//! ```text
//!   a.slt  --(sqllogictest's parser)--+
//!                                     +--> records --> runner (one database per file) --> outcomes --> report
//!   b.test --(our parser of SQLite's)-+
//! ```
//!
//! Two dialects of one format exist, told apart by the file's extension:
//!
//! - `.slt`, our own tests. A row is one line, its values separated by a blank and printed exactly as PostgreSQL
//!   prints them; NULL is `NULL`, the empty string `(empty)`, a line break inside a value `\n`. The letters after
//!   `query` count the columns (`T I R B`, for the reader; the types are not checked). `statement error (42P01)`
//!   names a SQLSTATE; `statement error REGEX` is matched against `SQLSTATE: message`, followed by lines
//!   `DETAIL: ...` and `HINT: ...` where the server sent them.
//!   `--record` fills expectations in: from PostgreSQL, to be read and then compared with Meridian.
//! - `.test`, SQLite's corpus. A value is one line, printed as the letter after `query` says: `I` as an
//!   integer, `R` with three decimals, `T` as text. Long results are given by their MD5.
//!
//! A file of known failures (`FILE:LINE` each) says what is not counted: PostgreSQL itself fails some of SQLite's records.
//!
//! The module [`server`] starts the servers that tests want: a PostgreSQL found on the machine, a Meridian binary; [`database`]
//! is what workloads reach them by.

// A program around the node: it waits for real servers in real time.
#![allow(clippy::disallowed_methods)]

mod client;
pub mod database;
mod options;
mod record;
mod report;
mod runner;
pub mod server;
mod slt;
mod sqlite;
mod value;

pub use options::{Isolation, Options, Target, USAGE};
pub use report::{FileReport, Summary};
pub use runner::run;
