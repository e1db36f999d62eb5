//! A blocking client of the PostgreSQL protocol: startup, authentication, simple query, COPY, cancel.
//!
//! The usual client crates hide what a shell prints: command tags, type oids, notices between rows. The messages
//! themselves are coded by `postgres-protocol`.

mod authenticate;
mod connection;
mod error;
mod stream;

pub use connection::{CancelTarget, Connection, CopySource, Event, Field, TransactionStatus, connect_asking};
pub use error::{ClientError, ServerMessage};
