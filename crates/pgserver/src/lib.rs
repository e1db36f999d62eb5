//! The PostgreSQL wire protocol, versions 3.0 and 3.2, from the server's side.
//!
//! ```text
//!   bytes ──▶ startup ──▶ authentication ──▶ connection (the session loop) ──▶ dyn Session   (implemented by `sql`)
//!             TLS, cancel   SCRAM               │        ▲                         │
//!                                               ▼        └───────── ResultSink ◀───┘  rows, notices, COPY
//!                                      wire: input buffer, output buffer, stream
//! ```
//!
//! [`Server`] takes connections in (from TCP through [`Server::serve`], from any byte stream through
//! [`Server::handle`]), brings each to a [`Session`] made by the [`Backend`], and runs its loop until either side ends it.
//! The seam is shaped by the protocol: nothing here knows a plan, a datum or a table, and nothing behind the seam knows a
//! message. What a session writes goes through its [`ResultSink`] straight into the connection's output buffer.
//!
//! # The hot path
//!
//! A prepared point read is Bind, Execute, Sync in one packet. It costs one read and one write of the socket, three calls
//! of the session (a boxed future each, and nothing else is allocated: a test counts), and no task switch, channel or timer.
//! Bind's values are shown to the session as views into the input buffer; the row is encoded by the session into the output
//! buffer.
//!
//! # What a client can do to us, and cannot
//!
//! - Every message is bounded before memory is taken for it, and memory follows the bytes that came, not the length that was
//!   announced: [`ServerOptions::message_bytes_max`], 10,000 bytes for messages that carry no data and before authentication.
//! - Whoever is not authenticated has [`ServerOptions::authentication_timeout`] to become so.
//! - A result waits for a client that does not read: at most [`ServerOptions::output_bytes_max`] and one batch are buffered.
//! - No bytes panic the decoder (`tests/hostile.rs`), and a panic in a session ends its own connection.
//! - A malformed body fails its statement (08P01, 22021); a frame that cannot be trusted ends the connection (FATAL 08P01).
//!
//! # `pgwire`
//!
//! This crate alone knows `pgwire`, and uses its SCRAM exchange only. Its message codec is left aside: it allocates a string for
//! every field, replaces invalid UTF-8 silently, and its decoders assume counts that their callers have to check. In the
//! tests it reads back what we write, as an implementation that knows nothing of ours.
//!
//! # Not here
//!
//! Replication protocol, function-call message, GSSAPI: refused with an error or the protocol's own polite no. TLS without
//! SSLRequest (sslnegotiation=direct), client certificates and Unix sockets are not built. A client that vanishes while its
//! statement runs is noticed when the statement next writes, or when the connection next reads.

mod authentication;
mod cancel;
mod connection;
mod control;
mod errors;
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
pub use sink::{OutputMark, ResultSink};
pub use tls::{TlsError, TlsIdentity};
