//! LIKE, SIMILAR TO and POSIX regular expressions.

mod engine;
pub mod like;
pub mod regexp;
pub mod similar;
mod translate;
