//! A scripted backend, and a client that speaks raw bytes. Shared by the integration tests.
//!
//! The backend's language, statements separated by semicolons:
//!
//! | statement | what it does |
//! | --- | --- |
//! | `rows N` | N rows of one int8 column `n` |
//! | `echo` | one row of the portal's parameters, as text columns |
//! | `begin`, `commit`, `rollback` | the transaction block |
//! | `fail B` | 42601 at byte B of the text |
//! | `fatal`, `panic` | as they say |
//! | `sleep` | until cancelled |
//! | `copyin`, `copyinfail`, `copyout N` | COPY; `copyin` completes with the number of bytes, `copyinfail` fails after the first piece |
//! | `notice`, `set NAME VALUE` | NoticeResponse, ParameterStatus |
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use env::{Env, RealEnv};
use futures::future::BoxFuture;
use pgserver::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use types::error::{PgError, PgResult, SqlState};

pub const INT8: u32 = 20;
pub const TEXT: u32 = 25;

#[derive(Default)]
pub struct FakeBackend {
    pub log: Mutex<Vec<String>>,
    pub startups: Mutex<Vec<StartupParameters>>,
    pub rows_written: AtomicU64,
    pub idle_limit: Mutex<Option<Duration>>,
    pub cancelled: Mutex<Vec<CancelKey>>,
    pub verifiers: Mutex<BTreeMap<String, ScramVerifier>>,
    sessions: Mutex<BTreeMap<u32, Reach>>,
}

struct Reach {
    key: CancelKey,
    cancel: Arc<Notify>,
    events: UnboundedSender<SessionEvent>,
}

impl FakeBackend {
    pub fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub fn push_event(&self, event: SessionEvent) {
        for reach in self.sessions.lock().unwrap().values() {
            let _ = reach.events.send(event.clone());
        }
    }

    /// The backend behind another reference, to hand to a server.
    pub fn shared(self: &Arc<Self>) -> Arc<dyn Backend> {
        Arc::new(Handle(self.clone()))
    }
}

struct Handle(Arc<FakeBackend>);

impl Backend for Handle {
    fn connect(&self, startup: StartupParameters) -> BoxFuture<'_, PgResult<Box<dyn Session>>> {
        Box::pin(async move {
            if startup.database == "missing" {
                return Err(PgError::new(
                    SqlState::INVALID_CATALOG_NAME,
                    "database \"missing\" does not exist",
                ));
            }
            let (events, incoming) = unbounded_channel();
            let cancel = Arc::new(Notify::new());
            let key = startup.cancel_key.clone();
            let reach = Reach { key: key.clone(), cancel: cancel.clone(), events };
            self.0.sessions.lock().unwrap().insert(key.process_id(), reach);
            self.0.startups.lock().unwrap().push(startup);
            Ok(Box::new(FakeSession {
                backend: self.0.clone(),
                process_id: key.process_id(),
                cancel,
                events: incoming,
                status: TransactionStatus::Idle,
                statements: BTreeMap::new(),
                portals: BTreeMap::new(),
            }) as Box<dyn Session>)
        })
    }

    fn cancel(&self, key: CancelKey) {
        if let Some(reach) = self.0.sessions.lock().unwrap().get(&key.process_id())
            && reach.key == key
        {
            reach.cancel.notify_one();
        }
        self.0.cancelled.lock().unwrap().push(key);
    }
}

pub struct FakeCredentials(pub Arc<FakeBackend>);

impl Credentials for FakeCredentials {
    fn verifier<'a>(&'a self, user: &'a str) -> BoxFuture<'a, PgResult<Option<ScramVerifier>>> {
        Box::pin(async move { Ok(self.0.verifiers.lock().unwrap().get(user).cloned()) })
    }
}

struct FakeSession {
    backend: Arc<FakeBackend>,
    process_id: u32,
    cancel: Arc<Notify>,
    events: UnboundedReceiver<SessionEvent>,
    status: TransactionStatus,
    statements: BTreeMap<String, (String, usize)>,
    portals: BTreeMap<String, Portal>,
}

#[derive(Clone)]
struct Portal {
    text: String,
    parameters: Vec<Option<Vec<u8>>>,
    formats: ColumnFormats,
    position: u64,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.backend.sessions.lock().unwrap().remove(&self.process_id);
        self.backend.note("dropped");
    }
}

fn column(name: &str, type_oid: u32) -> ColumnDescription {
    let type_size = if type_oid == INT8 { 8 } else { -1 };
    ColumnDescription {
        name: name.into(),
        table_oid: 0,
        attribute_number: 0,
        type_oid,
        type_size,
        type_modifier: -1,
    }
}

/// The columns of a statement, with `parameter_count` parameters.
fn columns(text: &str, parameter_count: usize) -> Option<Arc<[ColumnDescription]>> {
    match text.split_whitespace().next() {
        Some("rows") => Some([column("n", INT8)].into()),
        Some("echo") => Some((0..parameter_count).map(|i| column(&format!("p{i}"), TEXT)).collect()),
        _ => None,
    }
}

fn write_row(sink: &mut ResultSink, number: u64, formats: &ColumnFormats) -> PgResult<()> {
    let mut row = sink.begin_row(1);
    match formats.column(0) {
        Format::Text => row.value(number.to_string().as_bytes()),
        Format::Binary => row.value_with(|out| out.extend_from_slice(&number.to_be_bytes())),
    }
    row.finish()
}

impl FakeSession {
    async fn run(
        &mut self,
        portal: &mut Portal,
        row_limit: Option<NonZeroU32>,
        sink: &mut ResultSink,
    ) -> PgResult<()> {
        let text = portal.text.clone();
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<u64>().unwrap();
        match words.first().copied() {
            None => sink.empty_query(),
            Some("rows") => {
                let until = number(1);
                let stop =
                    row_limit.map_or(until, |limit| until.min(portal.position + u64::from(limit.get())));
                let from = portal.position;
                while portal.position < stop {
                    write_row(sink, portal.position, &portal.formats)?;
                    portal.position += 1;
                    self.backend.rows_written.fetch_add(1, Ordering::Relaxed);
                    sink.flush_if_full().await?;
                }
                match portal.position < until {
                    true => sink.portal_suspended(),
                    false => sink.command_complete_rows("SELECT", until - from),
                }
            }
            Some("echo") => {
                let mut row = sink.begin_row(portal.parameters.len());
                for value in &portal.parameters {
                    match value {
                        None => row.null(),
                        Some(value) => row.value(value),
                    }
                }
                row.finish()?;
                sink.command_complete_rows("SELECT", 1);
            }
            Some("begin") => {
                self.status = TransactionStatus::InTransaction;
                sink.command_complete("BEGIN");
            }
            Some("commit") => {
                self.status = TransactionStatus::Idle;
                sink.command_complete("COMMIT");
            }
            Some("rollback") => {
                self.status = TransactionStatus::Idle;
                sink.command_complete("ROLLBACK");
            }
            Some("fail") => {
                return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error").at(number(1) as u32));
            }
            Some("fatal") => return Err(PgError::fatal(SqlState::DATA_CORRUPTED, "cannot go on")),
            Some("panic") => {
                let mut row = sink.begin_row(2);
                row.value(b"half a row");
                panic!("on purpose");
            }
            Some("sleep") => {
                self.backend.note("sleeping");
                self.cancel.notified().await;
                return Err(PgError::new(
                    SqlState::QUERY_CANCELED,
                    "canceling statement due to user request",
                ));
            }
            Some("copyin") => {
                sink.copy_in(Format::Text, 2).await?;
                let mut size = 0;
                while let Some(piece) = sink.copy_in_next().await? {
                    size += piece.len() as u64;
                }
                sink.command_complete_rows("COPY", size);
            }
            Some("copyinfail") => {
                sink.copy_in(Format::Text, 2).await?;
                sink.copy_in_next().await?;
                return Err(
                    PgError::new(SqlState::BAD_COPY_FILE_FORMAT, "bad line").context("COPY t, line 1")
                );
            }
            Some("copyout") => {
                sink.copy_out(Format::Text, 1);
                for line in 0..number(1) {
                    sink.copy_out_data(|out| {
                        out.extend_from_slice(format!("line {line}\n").as_bytes());
                        PgResult::Ok(())
                    })?;
                    sink.flush_if_full().await?;
                }
                sink.copy_out_done();
                sink.command_complete_rows("COPY", number(1));
            }
            Some("notice") => {
                sink.notice(&PgError::notice("take notice").detail("of this"));
                sink.command_complete("NOTICE");
            }
            Some("set") => {
                sink.parameter_status(words[1], words[2]);
                sink.command_complete("SET");
            }
            Some(other) => {
                return Err(PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error at \"{other}\"")));
            }
        }
        Ok(())
    }

    fn fail(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }
}

impl Session for FakeSession {
    fn parameter_statuses(&self) -> Vec<(String, String)> {
        vec![("server_version".into(), "15.0".into()), ("client_encoding".into(), "UTF8".into())]
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn simple_query<'a>(
        &'a mut self,
        text: &'a str,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let statements: Vec<&str> = text.split(';').filter(|text| !text.trim().is_empty()).collect();
            if statements.is_empty() {
                sink.empty_query();
            }
            for statement in statements {
                let mut portal = Portal {
                    text: statement.into(),
                    parameters: Vec::new(),
                    formats: ColumnFormats::TEXT,
                    position: 0,
                };
                if let Some(columns) = columns(statement, 0) {
                    sink.row_description(&columns, &ColumnFormats::TEXT);
                }
                if let Err(error) = self.run(&mut portal, None, sink).await {
                    self.fail();
                    return Err(error);
                }
            }
            Ok(())
        })
    }

    fn parse<'a>(
        &'a mut self,
        name: &'a str,
        text: &'a str,
        parameter_types: &'a [u32],
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            self.backend.note(format!("parse {name:?} {text:?} {parameter_types:?}"));
            if let Some(at) = text.find("bad") {
                self.fail();
                return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at \"bad\"").at(at as u32));
            }
            let count = text.matches('$').count();
            self.statements.insert(name.into(), (text.into(), count));
            Ok(())
        })
    }

    fn describe_statement<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<StatementDescription>> {
        Box::pin(async move {
            let (text, count) = self.statements.get(name).ok_or_else(|| {
                PgError::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    format!("prepared statement \"{name}\" does not exist"),
                )
            })?;
            Ok(StatementDescription {
                parameter_types: vec![TEXT; *count].into(),
                columns: columns(text, *count),
            })
        })
    }

    fn bind<'a>(&'a mut self, message: Bind<'a>) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            let (text, count) = self
                .statements
                .get(message.statement)
                .ok_or_else(|| PgError::new(SqlState::INVALID_SQL_STATEMENT_NAME, "no such statement"))?;
            let parameters: Vec<_> =
                message.parameters.iter().map(|(_, value)| value.map(<[u8]>::to_vec)).collect();
            if parameters.len() != *count {
                self.fail();
                return Err(PgError::new(SqlState::PROTOCOL_VIOLATION, "wrong number of parameters"));
            }
            let column_count = columns(text, *count).map_or(0, |columns| columns.len());
            let formats = message.result_formats.for_columns(column_count)?;
            let portal = Portal { text: text.clone(), parameters, formats, position: 0 };
            self.portals.insert(message.portal.into(), portal);
            Ok(())
        })
    }

    fn describe_portal<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, PgResult<PortalDescription>> {
        Box::pin(async move {
            let portal = self
                .portals
                .get(name)
                .ok_or_else(|| PgError::new(SqlState::INVALID_CURSOR_NAME, "no such portal"))?;
            Ok(PortalDescription {
                columns: columns(&portal.text, portal.parameters.len()),
                formats: portal.formats.clone(),
            })
        })
    }

    fn execute<'a>(
        &'a mut self,
        portal: &'a str,
        row_limit: Option<NonZeroU32>,
        sink: &'a mut ResultSink,
    ) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            self.backend.note(format!("execute {portal:?} sync next: {}", sink.sync_is_next()));
            let mut state = self
                .portals
                .remove(portal)
                .ok_or_else(|| PgError::new(SqlState::INVALID_CURSOR_NAME, "no such portal"))?;
            let result = self.run(&mut state, row_limit, sink).await;
            self.portals.insert(portal.into(), state);
            if result.is_err() {
                self.fail();
            }
            result
        })
    }

    fn close_statement(&mut self, name: &str) {
        self.statements.remove(name);
    }

    fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    fn sync<'a>(&'a mut self, _sink: &'a mut ResultSink) -> BoxFuture<'a, PgResult<()>> {
        Box::pin(async move {
            self.backend.note("sync");
            if self.status == TransactionStatus::Idle {
                self.portals.clear();
            }
            Ok(())
        })
    }

    fn message_failed(&mut self, error: &PgError) {
        self.backend.note(format!("message failed: {}", error.code()));
        self.fail();
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<SessionEvent> {
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            _ => Poll::Pending,
        }
    }

    fn idle_limit(&self) -> Option<Duration> {
        *self.backend.idle_limit.lock().unwrap()
    }

    fn terminate(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.backend.note("terminated") })
    }
}

/// A server over a fake backend.
pub struct Fixture {
    pub env: Arc<dyn Env>,
    pub backend: Arc<FakeBackend>,
    pub server: Arc<Server>,
}

impl Fixture {
    pub fn new(options: ServerOptions) -> Self {
        let env: Arc<dyn Env> = RealEnv::new();
        let backend = Arc::new(FakeBackend::default());
        let server =
            Server::new(env.clone(), backend.shared(), Arc::new(FakeCredentials(backend.clone())), options);
        Fixture { env, backend, server }
    }

    /// A client whose connection has not said anything yet, over a pipe of `capacity` bytes.
    pub fn dial(&self, peer: Peer, capacity: usize) -> Client<DuplexStream> {
        let (near, far) = tokio::io::duplex(capacity);
        drop(self.env.spawn("connection", self.server.handle(far, peer)));
        Client::over(near)
    }

    /// A client that has a session.
    pub async fn connect(&self) -> Client<DuplexStream> {
        let mut client = self.dial(Peer::Local, 1 << 20);
        client.start(3 << 16, &[("user", "ann")]).await;
        client.until_ready().await;
        client
    }

    /// Serves TCP on a loopback port of the system's choice.
    pub async fn listen(&self) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(self.env.spawn("accept", Box::pin(self.server.clone().serve(listener))));
        port
    }
}

/// A backend message: its type and body.
pub type Reply = (u8, Vec<u8>);

/// A client of raw bytes. Every wait is bounded, so a server that does not answer fails the test.
pub struct Client<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

const ANSWER_DURATION_MAX: Duration = Duration::from_secs(10);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Client { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        tokio::time::timeout(ANSWER_DURATION_MAX, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    pub async fn start(&mut self, version: u32, parameters: &[(&str, &str)]) {
        self.send(&startup(version, parameters)).await;
    }

    /// The next message; `None` at the end of the stream.
    pub async fn try_receive(&mut self) -> Option<Reply> {
        loop {
            if self.buffer.len() >= 5 {
                let length = u32::from_be_bytes(self.buffer[1..5].try_into().unwrap()) as usize;
                if self.buffer.len() > length {
                    let body = self.buffer[5..=length].to_vec();
                    let kind = self.buffer[0];
                    self.buffer.drain(..=length);
                    return Some((kind, body));
                }
            }
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(ANSWER_DURATION_MAX, read).await.expect("the server answers");
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub async fn receive(&mut self) -> Reply {
        self.try_receive().await.expect("the connection is open")
    }

    /// Messages up to and with ReadyForQuery.
    pub async fn until_ready(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        loop {
            replies.push(self.receive().await);
            if replies.last().unwrap().0 == b'Z' {
                return replies;
            }
        }
    }

    /// Messages up to the end of the stream.
    pub async fn until_closed(&mut self) -> Vec<Reply> {
        let mut replies = Vec::new();
        while let Some(reply) = self.try_receive().await {
            replies.push(reply);
        }
        replies
    }

    pub async fn query(&mut self, text: &str) -> Vec<Reply> {
        self.send(&query(text)).await;
        self.until_ready().await
    }

    /// Whether nothing arrives within a moment.
    pub async fn is_silent(&mut self) -> bool {
        assert!(self.buffer.is_empty());
        let read = self.stream.read_buf(&mut self.buffer);
        tokio::time::timeout(Duration::from_millis(50), read).await.is_err()
    }
}

/// The types of messages, as text.
pub fn kinds(replies: &[Reply]) -> String {
    replies.iter().map(|(kind, _)| *kind as char).collect()
}

/// One field of an ErrorResponse.
pub fn field(reply: &Reply, code: u8) -> Option<String> {
    assert!(matches!(reply.0, b'E' | b'N'), "{:?} is no error", reply.0 as char);
    reply
        .1
        .split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&code))
        .map(|field| String::from_utf8(field[1..].to_vec()).unwrap())
}

/// Severity and SQLSTATE of the first error among `replies`.
pub fn error_of(replies: &[Reply]) -> String {
    let error = replies.iter().find(|reply| reply.0 == b'E').expect("an error");
    format!("{} {}", field(error, b'V').unwrap(), field(error, b'C').unwrap())
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    packet(&body)
}

/// A message without a type.
pub fn packet(body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', format!("{text}\0").as_bytes())
}

pub fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

pub fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>], result_formats: &[i16]) -> Vec<u8> {
    let mut body = format!("{portal}\0{statement}\0\0\0").into_bytes();
    body.extend_from_slice(&(values.len() as u16).to_be_bytes());
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&(value.len() as u32).to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend_from_slice(&(result_formats.len() as u16).to_be_bytes());
    for format in result_formats {
        body.extend_from_slice(&format.to_be_bytes());
    }
    message(b'B', &body)
}

pub fn describe(kind: char, name: &str) -> Vec<u8> {
    message(b'D', format!("{kind}{name}\0").as_bytes())
}

pub fn close(kind: char, name: &str) -> Vec<u8> {
    message(b'C', format!("{kind}{name}\0").as_bytes())
}

pub fn execute(portal: &str, limit: i32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend_from_slice(&limit.to_be_bytes());
    message(b'E', &body)
}

pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// A certificate for localhost that nobody has signed, and its key: both PEM.
pub fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}
