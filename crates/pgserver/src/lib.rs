//! The PostgreSQL wire protocol, versions 3.0 and 3.2, from the server's side.
//!
//! The seam to the SQL layer is in [`session`]: it implements [`Backend`] and [`Session`] and writes results into a
//! [`ResultSink`].

mod authentication;
mod cancel;
mod connection;
mod control;
mod message;
mod options;
mod row;
mod scram;
mod server;
mod session;
mod sink;
mod startup;
mod tls;
mod wire;

pub use cancel::{CANCEL_SECRET_BYTES_MAX, CancelKey};
pub use message::{Bind, FormatList, ParameterValues};
pub use options::{AccessPolicy, Requirements, ServerOptions};
pub use row::{ROW_BYTES_MAX, RowWriter};
pub use scram::{InvalidVerifier, SCRAM_ITERATIONS_DEFAULT, SCRAM_SALT_BYTES, ScramVerifier};
pub use server::Server;
pub use session::{
    Backend, ColumnDescription, ColumnFormats, Credentials, Format, Notification, Peer, PortalDescription,
    Session, SessionEvent, StartupParameters, StatementDescription, TransactionStatus,
};
pub use sink::ResultSink;
pub use tls::{TlsError, TlsIdentity};
