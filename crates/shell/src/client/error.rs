//! What the server says apart from rows, and what goes wrong before it can say anything.

use std::collections::BTreeMap;
use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

/// An error or a notice of the server, by the protocol's field letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    fields: BTreeMap<u8, String>,
}

impl ServerMessage {
    pub(super) fn read(mut fields: ErrorFields<'_>) -> Result<ServerMessage, ClientError> {
        let mut message = ServerMessage::default();
        while let Some(field) = fields.next()? {
            message.fields.insert(field.type_(), String::from_utf8_lossy(field.value_bytes()).into_owned());
        }
        Ok(message)
    }

    fn field(&self, letter: u8) -> Option<&str> {
        self.fields.get(&letter).map(String::as_str)
    }

    /// ERROR, WARNING, NOTICE ..., in the server's language.
    pub fn severity(&self) -> &str {
        self.field(b'S').unwrap_or("ERROR")
    }

    pub fn message(&self) -> &str {
        self.field(b'M').unwrap_or("missing error text")
    }

    pub fn detail(&self) -> Option<&str> {
        self.field(b'D')
    }

    pub fn hint(&self) -> Option<&str> {
        self.field(b'H')
    }

    pub fn context(&self) -> Option<&str> {
        self.field(b'W')
    }

    /// In characters of the query, from 1.
    pub fn position(&self) -> Option<usize> {
        self.field(b'P')?.parse().ok()
    }

    /// A query of the server's own that `internal_position` points into.
    pub fn internal_query(&self) -> Option<&str> {
        self.field(b'q')
    }

    pub fn internal_position(&self) -> Option<usize> {
        self.field(b'p')?.parse().ok()
    }

    pub fn is_error(&self) -> bool {
        let severity = self.field(b'V').unwrap_or_else(|| self.severity());
        matches!(severity, "ERROR" | "FATAL" | "PANIC")
    }
}

/// Why the client cannot go on.
#[derive(Debug)]
pub enum ClientError {
    /// The server refused the connection, and says why.
    Refused(ServerMessage),
    /// The connection cannot be made or is lost.
    Io(std::io::Error),
    /// The server wants something, or sent something, that this client does not know.
    Protocol(String),
    /// A password is wanted and none is known.
    PasswordWanted,
    /// Where it was that one of the above happened.
    At(String, Box<ClientError>),
}

impl ClientError {
    pub fn wants_password(&self) -> bool {
        match self {
            ClientError::PasswordWanted => true,
            ClientError::At(_, inner) => inner.wants_password(),
            _ => false,
        }
    }

    /// The text after `meridian: error: ` when the connection fails.
    pub fn connect_text(&self) -> String {
        match self {
            ClientError::At(place, inner) => format!("connection to server at {place} failed: {inner}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Refused(message) => {
                write!(f, "{}:  {}", message.severity(), message.message())?;
                for (name, text) in [("DETAIL", message.detail()), ("HINT", message.hint())] {
                    if let Some(text) = text {
                        write!(f, "\n{name}:  {text}")?;
                    }
                }
                Ok(())
            }
            ClientError::Io(error) => f.write_str(&crate::diagnostics::plain(error)),
            ClientError::Protocol(text) => f.write_str(text),
            ClientError::PasswordWanted => f.write_str("fe_sendauth: no password supplied"),
            ClientError::At(_, inner) => inner.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> ClientError {
        ClientError::Io(error)
    }
}
