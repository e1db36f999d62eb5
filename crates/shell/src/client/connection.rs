//! A connection: made once, then one query after the other.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::ToSocketAddrs;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::authenticate::authenticate;
use super::error::{ClientError, ServerMessage};
use super::stream::{self, Stream};
use crate::url::ConnectionUrl;

const READ_BYTES: usize = 64 * 1024;

/// Whole messages over a stream.
pub struct Wire {
    stream: Box<dyn Stream>,
    received: BytesMut,
}

impl Wire {
    pub(super) fn read(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                return Ok(message);
            }
            let length = self.received.len();
            self.received.resize(length + READ_BYTES, 0);
            let read = self.stream.read(&mut self.received[length..]);
            self.received.truncate(length + read.as_ref().copied().unwrap_or(0));
            if read? == 0 {
                return Err(ClientError::Protocol(
                    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n\t\
                     before or while processing the request."
                        .to_string(),
                ));
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub type_oid: u32,
}

/// What comes back from a query, in the order in which it comes.
#[derive(Debug)]
pub enum Event {
    Columns(Vec<Field>),
    Row(Vec<Option<String>>),
    /// The end of one statement, with its command tag.
    Complete(String),
    EmptyQuery,
    Error(ServerMessage),
    Notice(ServerMessage),
    Notification {
        channel: String,
        payload: String,
        process: i32,
    },
    CopyOut(Bytes),
}

/// Where a COPY FROM STDIN takes its data from: `None` at the end.
pub trait CopySource {
    fn next_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    Open,
    Failed,
}

/// What a cancel request needs to know of a connection.
#[derive(Clone, Debug)]
pub struct CancelTarget {
    host: String,
    port: u16,
    process: i32,
    secret: i32,
}

impl CancelTarget {
    /// Asks the server to cancel what the connection is doing. Whether that came in time, the query's own answer tells.
    pub fn cancel(&self) -> Result<(), ClientError> {
        let mut socket = stream::dial(&self.host, self.port, 5)?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.process, self.secret, &mut request);
        socket.write_all(&request)?;
        // The server closes the connection once it has read the request.
        let mut nothing = [0];
        let _ = socket.read(&mut nothing)?;
        Ok(())
    }
}

/// - Between queries the wire is at a ReadyForQuery: nothing of an earlier query is left to be read.
pub struct Connection {
    wire: Wire,
    url: ConnectionUrl,
    status: TransactionStatus,
    parameters: BTreeMap<String, String>,
    cancel: Option<CancelTarget>,
}

impl Connection {
    pub fn open(url: &ConnectionUrl) -> Result<Connection, ClientError> {
        Connection::try_open(url).map_err(|error| ClientError::At(place(url), Box::new(error)))
    }

    fn try_open(url: &ConnectionUrl) -> Result<Connection, ClientError> {
        let mut wire = Wire { stream: stream::open(url)?, received: BytesMut::new() };
        let fixed =
            [("user", url.user.as_str()), ("database", url.database.as_str()), ("client_encoding", "UTF8")];
        let named = url.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let has_name = url.parameters.iter().any(|(name, _)| name == "application_name");
        let own_name = (!has_name).then_some(("application_name", "meridian sql"));
        let mut startup = BytesMut::new();
        frontend::startup_message(fixed.into_iter().chain(named).chain(own_name), &mut startup)?;
        wire.write(&startup)?;
        authenticate(&mut wire, url)?;
        let mut connection = Connection {
            wire,
            url: url.clone(),
            status: TransactionStatus::Idle,
            parameters: BTreeMap::new(),
            cancel: None,
        };
        connection.finish_startup()?;
        Ok(connection)
    }

    fn finish_startup(&mut self) -> Result<(), ClientError> {
        loop {
            match self.wire.read()? {
                Message::ParameterStatus(body) => self.set_parameter(body.name()?, body.value()?),
                Message::BackendKeyData(body) => {
                    self.cancel = Some(CancelTarget {
                        host: self.url.host.clone(),
                        port: self.url.port,
                        process: body.process_id(),
                        secret: body.secret_key(),
                    });
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(body) => {
                    return Err(ClientError::Refused(ServerMessage::read(body.fields())?));
                }
                _ => {}
            }
        }
    }

    fn set_parameter(&mut self, name: &str, value: &str) {
        self.parameters.insert(name.to_string(), value.to_string());
    }

    pub fn url(&self) -> &ConnectionUrl {
        &self.url
    }

    pub fn status(&self) -> TransactionStatus {
        self.status
    }

    /// A parameter that the server has reported, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub fn cancel_target(&self) -> Option<CancelTarget> {
        self.cancel.clone()
    }

    /// Runs a query to its end, telling each event as it comes. An `Err` means that the connection is of no use any more.
    pub fn query(
        &mut self,
        sql: &str,
        copy_source: &mut dyn CopySource,
        on_event: &mut dyn FnMut(Event),
    ) -> Result<(), ClientError> {
        let mut request = BytesMut::new();
        frontend::query(sql, &mut request)?;
        self.wire.write(&request)?;
        loop {
            match self.wire.read()? {
                Message::RowDescription(body) => {
                    let fields = body.fields().map(|field| {
                        Ok(Field { name: field.name().to_string(), type_oid: field.type_oid() })
                    });
                    on_event(Event::Columns(fields.collect()?));
                }
                Message::DataRow(body) => {
                    let buffer = body.buffer();
                    let values = body.ranges().map(|range| {
                        Ok(range.map(|range| String::from_utf8_lossy(&buffer[range]).into_owned()))
                    });
                    on_event(Event::Row(values.collect()?));
                }
                Message::CommandComplete(body) => on_event(Event::Complete(body.tag()?.to_string())),
                Message::EmptyQueryResponse => on_event(Event::EmptyQuery),
                Message::ErrorResponse(body) => on_event(Event::Error(ServerMessage::read(body.fields())?)),
                Message::NoticeResponse(body) => on_event(Event::Notice(ServerMessage::read(body.fields())?)),
                Message::NotificationResponse(body) => on_event(Event::Notification {
                    channel: body.channel()?.to_string(),
                    payload: body.message()?.to_string(),
                    process: body.process_id(),
                }),
                Message::ParameterStatus(body) => self.set_parameter(body.name()?, body.value()?),
                Message::CopyInResponse(_) => self.send_copy(copy_source)?,
                Message::CopyData(body) => on_event(Event::CopyOut(body.into_bytes())),
                Message::CopyOutResponse(_) | Message::CopyDone => {}
                Message::ReadyForQuery(body) => {
                    self.status = match body.status() {
                        b'T' => TransactionStatus::Open,
                        b'E' => TransactionStatus::Failed,
                        _ => TransactionStatus::Idle,
                    };
                    return Ok(());
                }
                _ => return Err(ClientError::Protocol("the server sent a message out of place".to_string())),
            }
        }
    }

    fn send_copy(&mut self, source: &mut dyn CopySource) -> Result<(), ClientError> {
        let mut message = BytesMut::new();
        loop {
            match source.next_chunk() {
                Ok(Some(chunk)) => frontend::CopyData::new(&chunk[..])?.write(&mut message),
                Ok(None) => {
                    frontend::copy_done(&mut message);
                    return self.wire.write(&message);
                }
                Err(error) => {
                    frontend::copy_fail(&format!("reading the data failed: {error}"), &mut message)?;
                    return self.wire.write(&message);
                }
            }
            if message.len() > READ_BYTES {
                self.wire.write(&message)?;
                message.clear();
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut farewell = BytesMut::new();
        frontend::terminate(&mut farewell);
        // The server may be gone already: there is nobody to say it to.
        let _ = self.wire.write(&farewell);
    }
}

/// Connects; asks the person at the terminal for a password if the server wants one and none is known.
pub fn connect_asking(url: &ConnectionUrl, may_ask: bool) -> Result<Connection, ClientError> {
    match Connection::open(url) {
        Err(error) if error.wants_password() && may_ask => {
            let password = crate::interactive::ask_password(&format!("Password for user {}: ", url.user))?;
            Connection::open(&ConnectionUrl { password: Some(password), ..url.clone() })
        }
        outcome => outcome,
    }
}

/// `"host" (address), port N`; the address is left out where it is the host.
fn place(url: &ConnectionUrl) -> String {
    let address =
        (url.host.as_str(), url.port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    match address.map(|address| address.ip().to_string()).filter(|address| *address != url.host) {
        Some(address) => format!("\"{}\" ({address}), port {}", url.host, url.port),
        None => format!("\"{}\", port {}", url.host, url.port),
    }
}
