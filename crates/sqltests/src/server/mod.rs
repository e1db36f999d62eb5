//! Servers that tests start, each on a temporary folder and a free port of the loopback address. Dropping one stops it.

mod meridian;
mod postgres;
mod process;

pub use meridian::Meridian;
pub use postgres::Postgres;
pub use process::{ServerProcess, free_port};
