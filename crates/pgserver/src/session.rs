//! The seam to the SQL layer: what a session looks like from the protocol's side.
//!
//! `sql` implements [`Backend`] and [`Session`]; this crate drives them. The traits speak of statements, portals, formats
//! and bytes; they know no plan, no datum and no table. One connection owns one session and calls it strictly one call
//! at a time, so a session needs no lock around itself.
//!
//! ```text
//! connect ─▶ parameter_statuses ─▶ ┌───────────────────── idle: poll_event, idle_limit ─────────────────────┐
//!                                  │ simple_query ──────────────────────────────────────▶ ReadyForQuery     │
//!                                  │ parse* bind* describe* execute* close* ── sync ────▶ ReadyForQuery     │
//!                                  └────────────────────────────────────────────────────────────────────────┘─▶ terminate
//! ```
//!
//! Errors: a call that returns `Err` has failed *that statement*; the connection sends the ErrorResponse, and in the
//! extended protocol skips everything up to the next Sync. An error of severity FATAL or PANIC ends the connection. The
//! position in an error is a byte offset into the text given to `simple_query` or `parse`, and is turned into characters
//! here; other calls have no text at hand, so a position in their errors is sent as if every character were a byte.
//! Whatever the session holds back for its transaction block ("current transaction is aborted ...") is its own business: the
//! connection only reports [`Session::transaction_status`] in ReadyForQuery.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use types::error::{PgError, PgResult};

use crate::cancel::CancelKey;
use crate::message::Bind;
use crate::sink::ResultSink;

/// What stands behind the server: makes sessions, and cancels what one of them is doing.
pub trait Backend: Send + Sync + 'static {
    /// Opens a session for a client that has been authenticated as `startup.user`. Errors (unknown database 3D000, role
    /// that may not log in 28000) are reported as FATAL whatever their severity, and end the connection.
    fn connect(&self, startup: StartupParameters) -> BoxFuture<'_, PgResult<Box<dyn Session>>>;

    /// A CancelRequest arrived, from anybody: whoever sends the right key may cancel. The key must be compared with
    /// [`CancelKey`]'s own `==` (it takes the same time whatever differs). An unknown key is ignored, and the peer is told
    /// nothing either way.
    fn cancel(&self, key: CancelKey);
}

/// Looks up what a user's password is checked against.
pub trait Credentials: Send + Sync + 'static {
    /// The stored verifier of `user`: `None` when there is no such user, or it has no password, or it may not log in. The
    /// client cannot tell these cases from a wrong password.
    fn verifier<'a>(&'a self, user: &'a str) -> BoxFuture<'a, PgResult<Option<crate::scram::ScramVerifier>>>;
}

/// One client's session. See the module for the order of calls; every `Err` is the failure of that one call.
pub trait Session: Send {
    /// The parameters a client is told of after it has connected (server_version, client_encoding, DateStyle, TimeZone,
    /// integer_datetimes, standard_conforming_strings, ...): pairs of name and value. Changes go through
    /// [`ResultSink::parameter_status`].
    fn parameter_statuses(&self) -> Vec<(String, String)>;

    /// What ReadyForQuery reports.
    fn transaction_status(&self) -> TransactionStatus;

    /// Runs every statement of `text` in order, each result going to `sink` as its statement produces it: for each
    /// statement either RowDescription, rows and CommandComplete, or CommandComplete alone; EmptyQueryResponse if there is
    /// no statement at all. Stops at the first error and returns it, with its implicit transaction (all statements of
    /// `text` outside an explicit block) ended either way: no `sync` follows. Error positions are byte offsets into the
    /// whole of `text`. Drops the unnamed statement and the unnamed portal.
    fn simple_query<'a>(&'a mut self, text: &'a str, sink: &'a mut ResultSink)
    -> BoxFuture<'a, PgResult<()>>;

    /// Prepares `text` (at most one statement) under `name`; the empty name is the unnamed statement and may be replaced.
    /// `parameter_types` may be shorter than the number of parameters; 0 asks for inference.
    fn parse<'a>(
        &'a mut self,
        name: &'a str,
        text: &'a str,
        parameter_types: &'a [u32],
    ) -> BoxFuture<'a, PgResult<()>>;

    /// Describes a prepared statement; 26000 if there is none of this name.
    fn describe_statement<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<StatementDescription>>;

    /// Makes a portal. What `message` shows is borrowed from the input buffer: decode what is needed, keep nothing.
    /// The session checks the number of parameters (08P01).
    fn bind<'a>(&'a mut self, message: Bind<'a>) -> BoxFuture<'a, PgResult<()>>;

    /// Describes a portal; 34000 if there is none of this name.
    fn describe_portal<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<PortalDescription>>;

    /// Runs a portal, or goes on with a suspended one, for at most `row_limit` rows (`None`: all). Writes rows and then
    /// exactly one of CommandComplete, PortalSuspended, EmptyQueryResponse; never a RowDescription.
    /// [`ResultSink::sync_is_next`] tells whether the implicit transaction ends with this call.
    fn execute<'a>(
        &'a mut self,
        portal: &'a str,
        row_limit: Option<NonZeroU32>,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>>;

    /// Forgets a prepared statement and its portals. One that does not exist is no error.
    fn close_statement(&mut self, name: &str);

    /// Forgets a portal. One that does not exist is no error.
    fn close_portal(&mut self, name: &str);

    /// Sync: ends the implicit transaction, committing it unless something failed since the last Sync. Notices and changed
    /// parameters go to `sink`, before ReadyForQuery.
    fn sync<'a>(&'a mut self, sink: &'a mut ResultSink) -> BoxFuture<'a, PgResult<()>>;

    /// The connection itself found fault with a message (malformed Bind, text that is not UTF-8): the session never saw it,
    /// but its transaction has failed all the same.
    fn message_failed(&mut self, error: &PgError);

    /// What the session has to say while its client is silent. Polled while waiting for the next message and, until it
    /// is pending, before each ReadyForQuery. Notifications must be held back inside a transaction block. Must leave a waker
    /// behind when it returns `Pending`, unless nothing can ever come (the default).
    fn poll_event(&mut self, _cx: &mut Context<'_>) -> Poll<SessionEvent> {
        Poll::Pending
    }

    /// How long the client may be silent from now on: idle_session_timeout, or idle_in_transaction_session_timeout when
    /// [`Self::transaction_status`] is not idle. Asked whenever the connection starts to wait for a message.
    fn idle_limit(&self) -> Option<Duration> {
        None
    }

    /// The connection ends (Terminate, end of stream, fatal error, shutdown): roll back, release what is held. When a
    /// connection is cut off by force the session is dropped without this call, so `Drop` must be safe as well.
    fn terminate(self: Box<Self>) -> BoxFuture<'static, ()> {
        drop(self);
        Box::pin(std::future::ready(()))
    }
}

/// Who connects, to what, with which settings.
#[derive(Clone, Debug)]
pub struct StartupParameters {
    /// The authenticated user.
    pub user: String,
    /// The database asked for; the user's name when the client named none.
    pub database: String,
    /// Run-time parameters in the order they are to be set: those of `options` (`-c name=value`) first, then the others
    /// (application_name, client_encoding, DateStyle, TimeZone, ...). Values are as sent, unchecked.
    pub settings: Vec<(String, String)>,
    /// Where the client is.
    pub peer: Peer,
    /// Whether the connection is under TLS.
    pub encrypted: bool,
    /// What the client will send to cancel; its process id is unique among the live connections of this server.
    pub cancel_key: CancelKey,
}

/// Where a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A TCP connection from this address.
    Address(SocketAddr),
    /// Inside this process (tests, simulation, the demo's own shell): treated as loopback.
    Local,
}

impl Peer {
    /// Whether the connection cannot have left this machine. An IPv4 loopback address mapped into IPv6 counts.
    pub fn is_loopback(&self) -> bool {
        match self {
            Peer::Address(address) => address.ip().to_canonical().is_loopback(),
            Peer::Local => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Local => f.write_str("local"),
        }
    }
}

/// The status byte of ReadyForQuery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionStatus {
    /// `I`: not in a transaction block.
    Idle,
    /// `T`: in a transaction block.
    InTransaction,
    /// `E`: in a transaction block that has failed and waits for its ROLLBACK.
    Failed,
}

impl TransactionStatus {
    pub(crate) fn byte(self) -> u8 {
        match self {
            TransactionStatus::Idle => b'I',
            TransactionStatus::InTransaction => b'T',
            TransactionStatus::Failed => b'E',
        }
    }
}

/// One column of a result, as RowDescription tells it. The format is not part of it: it belongs to the portal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnDescription {
    pub name: String,
    /// OID of the table the column comes from, or 0.
    pub table_oid: u32,
    /// Number of the column in that table (from 1), or 0.
    pub attribute_number: i16,
    pub type_oid: u32,
    /// pg_type.typlen: bytes, or -1 for a varying size.
    pub type_size: i16,
    /// pg_attribute.atttypmod, or -1.
    pub type_modifier: i32,
}

/// The answer to Describe of a statement.
#[derive(Clone, Debug)]
pub struct StatementDescription {
    /// OIDs of the parameter types, all of them resolved.
    pub parameter_types: Arc<[u32]>,
    /// `None`: the statement returns no rows (NoData).
    pub columns: Option<Arc<[ColumnDescription]>>,
}

/// The answer to Describe of a portal.
#[derive(Clone, Debug)]
pub struct PortalDescription {
    /// `None`: the portal returns no rows (NoData).
    pub columns: Option<Arc<[ColumnDescription]>>,
    /// The formats that Bind asked for.
    pub formats: ColumnFormats,
}

/// How a value is written on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Text,
    Binary,
}

impl Format {
    /// The format code of the protocol.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }
}

/// The formats of all columns of a result; takes no memory of its own in the usual case that they are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColumnFormats {
    /// Every column in this format.
    All(Format),
    /// One per column.
    Each(Arc<[Format]>),
}

impl ColumnFormats {
    /// All columns as text: what the simple protocol always uses.
    pub const TEXT: ColumnFormats = ColumnFormats::All(Format::Text);

    /// The format of a column, counted from 0.
    pub fn column(&self, index: usize) -> Format {
        match self {
            ColumnFormats::All(format) => *format,
            ColumnFormats::Each(formats) => formats.get(index).copied().unwrap_or_default(),
        }
    }
}

/// What a session says on its own account while the client is silent.
#[derive(Clone, Debug)]
pub enum SessionEvent {
    /// A NOTIFY this session listens to.
    Notification(Notification),
    /// A notice or warning.
    Notice(PgError),
    /// A reported parameter changed (configuration reload).
    ParameterStatus { name: String, value: String },
    /// The session must end (pg_terminate_backend, a dropped database): sent as FATAL, then the connection closes.
    Terminate(PgError),
}

/// One NOTIFY.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Process id of the session that notified.
    pub process_id: u32,
    pub channel: String,
    pub payload: String,
}
