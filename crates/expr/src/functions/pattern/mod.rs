//! LIKE, SIMILAR TO and POSIX regular expressions.

pub mod like;
pub mod regexp;
pub mod similar;
mod translate;
