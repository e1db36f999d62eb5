//! The session loop: one connection after it has been let in.
//!
//! ```text
//!            ┌─▶ frame in the buffer? ──yes──▶ dispatch ─┐
//!            │        │ no                               │ error in the extended protocol: skip until Sync
//!            │        ▼                                  │
//!            │   wait: input │ phase │ event │ idle time │
//!            └────────────────────────────────────────◀──┘
//! ```
//!
//! When output is sent: at ReadyForQuery always (a client that pipelines several transactions may need the first's outcome
//! to unblock the second); for Flush and for an error before the next wait; within a result when the buffer is
//! beyond its bound. Parse, Bind, Describe, Execute and Close only append.
//!
//! A panic in a session ends this connection with XX000, no other.

use std::future::poll_fn;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use env::Env;
use futures::FutureExt;
use futures::future::BoxFuture;
use types::error::{PgError, PgResult, Severity, SqlState};

use crate::control::{ConnectionControl, Phase};
use crate::errors::ErrorCounts;
use crate::message::decode::{self, Target};
use crate::message::encode::{self, Bare};
use crate::session::{ColumnFormats, Session, SessionEvent, TransactionStatus};
use crate::sink::ResultSink;
use crate::wire::Frame;

/// How long a client that is being thrown out may take to read why.
const FAREWELL_DURATION_MAX: Duration = Duration::from_secs(2);

/// A session and its client.
///
/// - After an error in the extended protocol (`skipping`) nothing is run until Sync.
/// - `ready` holds from ReadyForQuery to the next message: only then is silence the client's idleness.
pub(crate) struct Connection {
    sink: ResultSink,
    session: Box<dyn Session>,
    control: Arc<ConnectionControl>,
    errors: Arc<ErrorCounts>,
    env: Arc<dyn Env>,
    skipping: bool,
    ready: bool,
    flush_wanted: bool,
}

/// Why a connection ends.
enum End {
    /// The client said so, or closed its side.
    Terminated,
    /// The stream failed.
    Lost,
    /// The client is told why.
    Fatal(PgError),
}

/// What ended a wait.
enum Woken {
    Input(std::io::Result<bool>),
    Shutdown,
    Event(SessionEvent),
    IdleTooLong,
}

impl Connection {
    pub(crate) fn new(
        sink: ResultSink,
        session: Box<dyn Session>,
        control: Arc<ConnectionControl>,
        errors: Arc<ErrorCounts>,
        env: Arc<dyn Env>,
    ) -> Self {
        Connection { sink, session, control, errors, env, skipping: false, ready: false, flush_wanted: false }
    }

    /// Serves the client to the end of the connection. Begins with the first ReadyForQuery.
    pub(crate) async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let farewell = match end {
            End::Terminated | End::Lost => None,
            End::Fatal(error) => {
                tracing::debug!(process_id = self.control.process_id(), %error, "connection ended by the server");
                Some(error)
            }
        };
        if !self.sink.is_broken() {
            say_farewell(&mut self.sink, farewell.as_ref(), &*self.env).await;
        }
        if let Err(error) = caught(self.session.terminate().map(Ok).boxed()).await {
            tracing::error!(%error, "a session panicked while it was closed");
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        self.ready_for_query().await?;
        loop {
            match self.sink.wire.input.next_frame(self.sink.message_bytes_max()) {
                Err(error) => return Err(End::Fatal(error)),
                Ok(Some(frame)) => {
                    self.ready = false;
                    self.dispatch(frame).await?;
                }
                Ok(None) => self.wait().await?,
            }
        }
    }

    async fn dispatch(&mut self, frame: Frame) -> Result<(), End> {
        if self.skipping && !matches!(frame.kind, b'S' | b'X') {
            return Ok(());
        }
        match frame.kind {
            b'B' => self.bind(frame.body).await,
            b'E' => self.execute(frame.body).await,
            b'S' => self.sync(frame.body).await,
            b'P' => self.parse(frame.body).await,
            b'D' => self.describe(frame.body).await,
            b'C' => self.close(frame.body),
            b'Q' => self.query(frame.body).await,
            b'H' => self.flush_requested(frame.body),
            b'F' => self.function_call().await,
            b'X' => Err(End::Terminated),
            // CopyData, CopyDone, CopyFail: what is left of a COPY that has failed.
            _ => Ok(()),
        }
    }

    async fn query(&mut self, body: Range<usize>) -> Result<(), End> {
        // The sink reads COPY data into the same buffer, so the text must live elsewhere.
        match decode::query(self.sink.wire.input.body(body)).map(str::to_owned) {
            Ok(text) => {
                let result = caught(self.session.simple_query(&text, &mut self.sink)).await;
                if let Err(error) = self.copy_ended(result) {
                    self.failed(encode::locate(error, &text))?;
                }
            }
            Err(error) => {
                self.session.message_failed(&error);
                self.failed(error)?;
            }
        }
        self.ready_for_query().await
    }

    async fn parse(&mut self, body: Range<usize>) -> Result<(), End> {
        let wire = &mut self.sink.wire;
        let message = match decode::parse(wire.input.body(body)) {
            Ok(message) => message,
            Err(error) => return self.malformed(error),
        };
        match caught(self.session.parse(message.name, message.text, &message.parameter_types)).await {
            Ok(()) => {
                encode::bare(&mut wire.output, Bare::ParseComplete);
                Ok(())
            }
            Err(error) => {
                let error = encode::locate(error, message.text);
                self.failed_extended(error)
            }
        }
    }

    async fn bind(&mut self, body: Range<usize>) -> Result<(), End> {
        let wire = &mut self.sink.wire;
        let message = match decode::bind(wire.input.body(body)) {
            Ok(message) => message,
            Err(error) => return self.malformed(error),
        };
        match caught(self.session.bind(message)).await {
            Ok(()) => {
                encode::bare(&mut wire.output, Bare::BindComplete);
                Ok(())
            }
            Err(error) => self.failed_extended(error),
        }
    }

    async fn describe(&mut self, body: Range<usize>) -> Result<(), End> {
        let wire = &mut self.sink.wire;
        let result = match decode::target(wire.input.body(body), "DESCRIBE") {
            Err(error) => return self.malformed(error),
            Ok(Target::Statement(name)) => {
                caught(self.session.describe_statement(name)).await.map(|description| {
                    encode::parameter_description(&mut wire.output, &description.parameter_types);
                    (description.columns, ColumnFormats::TEXT)
                })
            }
            Ok(Target::Portal(name)) => caught(self.session.describe_portal(name))
                .await
                .map(|description| (description.columns, description.formats)),
        };
        match result {
            Ok((Some(columns), formats)) => encode::row_description(&mut wire.output, &columns, &formats),
            Ok((None, _)) => encode::bare(&mut wire.output, Bare::NoData),
            Err(error) => return self.failed_extended(error),
        }
        Ok(())
    }

    async fn execute(&mut self, body: Range<usize>) -> Result<(), End> {
        // Almost always the unnamed portal, whose name takes no memory.
        let (portal, row_limit) = match decode::execute(self.sink.wire.input.body(body)) {
            Ok((portal, row_limit)) => (portal.to_owned(), row_limit),
            Err(error) => return self.malformed(error),
        };
        let result = caught(self.session.execute(&portal, row_limit, &mut self.sink)).await;
        match self.copy_ended(result) {
            Ok(()) => Ok(()),
            Err(error) => self.failed_extended(error),
        }
    }

    fn close(&mut self, body: Range<usize>) -> Result<(), End> {
        match decode::target(self.sink.wire.input.body(body), "CLOSE") {
            Ok(Target::Statement(name)) => self.session.close_statement(name),
            Ok(Target::Portal(name)) => self.session.close_portal(name),
            Err(error) => return self.malformed(error),
        }
        encode::bare(&mut self.sink.wire.output, Bare::CloseComplete);
        Ok(())
    }

    fn flush_requested(&mut self, body: Range<usize>) -> Result<(), End> {
        self.flush_wanted = true;
        match decode::nothing(self.sink.wire.input.body(body)) {
            Ok(()) => Ok(()),
            Err(error) => self.malformed(error),
        }
    }

    async fn sync(&mut self, body: Range<usize>) -> Result<(), End> {
        self.skipping = false;
        if let Err(error) = decode::nothing(self.sink.wire.input.body(body)) {
            self.session.message_failed(&error);
            self.failed(error)?;
        }
        if let Err(error) = caught(self.session.sync(&mut self.sink)).await {
            self.failed(error)?;
        }
        self.ready_for_query().await
    }

    /// The fast-path function call, which PostgreSQL keeps for libpq's large objects.
    async fn function_call(&mut self) -> Result<(), End> {
        let error = PgError::unsupported("the function call protocol message");
        self.session.message_failed(&error);
        self.failed(error)?;
        self.ready_for_query().await
    }

    /// A COPY FROM STDIN that the session left half way has failed, whatever the session says.
    fn copy_ended(&mut self, result: PgResult<()>) -> PgResult<()> {
        match self.sink.end_copy_in() {
            true => result.and(Err(PgError::fatal(
                SqlState::INTERNAL_ERROR,
                "COPY FROM STDIN ended before its data did",
            ))),
            false => result,
        }
    }

    /// A message that cannot be decoded.
    fn malformed(&mut self, error: PgError) -> Result<(), End> {
        self.session.message_failed(&error);
        self.failed_extended(error)
    }

    fn failed_extended(&mut self, error: PgError) -> Result<(), End> {
        self.skipping = true;
        self.failed(error)
    }

    /// Reports an error; one that is fatal ends the connection.
    fn failed(&mut self, error: PgError) -> Result<(), End> {
        self.errors.count(&error);
        if self.sink.is_broken() {
            return Err(End::Lost);
        }
        if matches!(error.fields().severity, Severity::Fatal | Severity::Panic) {
            return Err(End::Fatal(error));
        }
        let ends = matches!(self.control.phase(), Phase::Terminating | Phase::Killed);
        if ends && error.fields().code == SqlState::QUERY_CANCELED {
            // Cancelled so that the connection can end: the client is told of the end alone.
            return Err(End::Fatal(admin_shutdown()));
        }
        encode::error(&mut self.sink.wire.output, b'E', &error);
        self.flush_wanted = true;
        Ok(())
    }

    async fn ready_for_query(&mut self) -> Result<(), End> {
        while let Poll::Ready(event) = poll_fn(|cx| Poll::Ready(self.session.poll_event(cx))).await {
            self.tell(event)?;
            self.flush_if_full().await?;
        }
        encode::ready_for_query(&mut self.sink.wire.output, self.session.transaction_status());
        self.flush().await?;
        self.ready = true;
        Ok(())
    }

    fn tell(&mut self, event: SessionEvent) -> Result<(), End> {
        match event {
            SessionEvent::Notification(notification) => self.sink.notification(&notification),
            SessionEvent::Notice(notice) => self.sink.notice(&notice),
            SessionEvent::ParameterStatus { name, value } => self.sink.parameter_status(&name, &value),
            SessionEvent::Terminate(mut error) => {
                error.fields_mut().severity = Severity::Fatal;
                return Err(End::Fatal(error));
            }
        }
        Ok(())
    }

    async fn flush_if_full(&mut self) -> Result<(), End> {
        self.sink.flush_if_full().await.map_err(|_| End::Lost)
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.flush_wanted = false;
        self.sink.flush().await.map_err(|_| End::Lost)
    }

    /// Waits until more input has arrived, serving everything else that may happen meanwhile.
    async fn wait(&mut self) -> Result<(), End> {
        if self.flush_wanted {
            self.flush().await?;
        }
        self.sink.wire.shrink();
        let idle_limit = if self.ready { self.session.idle_limit() } else { None };
        let mut timer = idle_limit.map(|limit| self.env.sleep(limit));
        loop {
            match poll_fn(|cx| self.poll_wait(cx, &mut timer)).await {
                Woken::Input(Ok(true)) => return Ok(()),
                Woken::Input(Ok(false)) => return Err(End::Terminated),
                Woken::Input(Err(error)) => {
                    self.sink.lost(error);
                    return Err(End::Lost);
                }
                Woken::Shutdown => return Err(End::Fatal(admin_shutdown())),
                Woken::Event(event) => {
                    self.tell(event)?;
                    self.flush().await?;
                }
                Woken::IdleTooLong => return Err(End::Fatal(self.idle_too_long())),
            }
        }
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>, timer: &mut Option<BoxFuture<'static, ()>>) -> Poll<Woken> {
        // Input first: a client that speaks is served before it is thrown out for silence.
        if let Poll::Ready(read) = self.sink.wire.poll_fill(cx) {
            return Poll::Ready(Woken::Input(read));
        }
        if self.must_leave() {
            return Poll::Ready(Woken::Shutdown);
        }
        if let Poll::Ready(event) = self.session.poll_event(cx) {
            return Poll::Ready(Woken::Event(event));
        }
        match timer {
            Some(timer) => timer.as_mut().poll(cx).map(|()| Woken::IdleTooLong),
            None => Poll::Pending,
        }
    }

    /// Whether the shutdown has come to where this waiting connection ends. Its task is woken when the phase changes.
    fn must_leave(&self) -> bool {
        match self.control.phase() {
            Phase::Running => false,
            Phase::Draining => self.ready && self.session.transaction_status() == TransactionStatus::Idle,
            Phase::Terminating | Phase::Killed => true,
        }
    }

    fn idle_too_long(&self) -> PgError {
        match self.session.transaction_status() {
            TransactionStatus::Idle => PgError::fatal(
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ),
            TransactionStatus::InTransaction | TransactionStatus::Failed => PgError::fatal(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
        }
    }
}

/// What is told to a client whose server goes away.
pub(crate) fn admin_shutdown() -> PgError {
    PgError::fatal(SqlState::ADMIN_SHUTDOWN, "terminating connection due to administrator command")
}

/// Sends what is buffered and the reason for the end, as long as the client reads it within reasonable time; then closes.
pub(crate) async fn say_farewell(sink: &mut ResultSink, error: Option<&PgError>, env: &dyn Env) {
    if let Some(error) = error {
        encode::error(&mut sink.wire.output, b'E', error);
    }
    // A client that does not listen loses its connection all the same.
    let _ = env::timeout(env, FAREWELL_DURATION_MAX, async {
        if sink.flush().await.is_ok() {
            sink.wire.close().await;
        }
    })
    .await;
}

/// Turns a panic of the session into an error that ends the connection.
async fn caught<T>(call: BoxFuture<'_, PgResult<T>>) -> PgResult<T> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(_) => {
            tracing::error!("a session panicked; its connection ends");
            Err(PgError::fatal(
                SqlState::INTERNAL_ERROR,
                "internal error: the server failed while it ran the statement",
            )
            .detail("The session has been closed and its transaction rolled back."))
        }
    }
}
