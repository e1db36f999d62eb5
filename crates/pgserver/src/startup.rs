//! From the first byte to a known user: what happens before there is a session.
//!
//! ```text
//!   SSLRequest ──▶ 'S', TLS handshake │ 'N'      GSSENCRequest ──▶ 'N'      (each once, in either order)
//!   CancelRequest ──▶ Backend::cancel, close without a word
//!   StartupMessage 3.x ──▶ [NegotiateProtocolVersion] ──▶ requirements, password ──▶ AuthenticationOk
//! ```
//!
//! Everything here works for a stranger: a packet is at most [`STARTUP_PACKET_BYTES_MAX`], the whole takes at most the
//! authentication timeout (the caller's watch), and bytes that were sent in the clear behind an SSLRequest are refused
//! rather than taken for bytes that came under TLS (CVE-2021-23222).

use types::error::{PgError, PgResult, SqlState};

use crate::cancel::{CANCEL_SECRET_BYTES_MAX, CancelKey};
use crate::message::decode::{self, Reader};
use crate::message::encode;
use crate::session::Peer;
use crate::sink::ResultSink;
use crate::tls::TlsIdentity;
use crate::wire::{announced_length, fatal_violation};

/// Largest packet before authentication, in bytes: PostgreSQL's MAX_STARTUP_PACKET_LENGTH.
const STARTUP_PACKET_BYTES_MAX: usize = 10_000;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_ENCRYPTION_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

const PROTOCOL_MAJOR: u32 = 3;
/// The newest minor version spoken: 3.2 brought long cancel keys.
const PROTOCOL_MINOR_MAX: u32 = 2;

/// How the first exchange came out.
#[derive(Debug)]
pub(crate) enum Opening {
    /// Somebody wants a session.
    Startup(StartupMessage),
    /// Somebody wants a statement cancelled.
    Cancel(CancelKey),
    /// The peer went away without having asked for anything (port scanners, health checks).
    Nothing,
}

/// A StartupMessage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StartupMessage {
    /// The minor version spoken from now on.
    pub(crate) minor: u32,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) settings: Vec<(String, String)>,
    /// Protocol options that we do not know.
    unknown_options: Vec<String>,
    /// The client asked for another version than [`Self::minor`].
    renegotiate: bool,
}

/// Negotiates encryption until the client says what it wants. `encrypted` is set once TLS is up.
pub(crate) async fn open(
    sink: &mut ResultSink,
    tls: Option<&TlsIdentity>,
    peer: Peer,
    encrypted: &mut bool,
) -> PgResult<Opening> {
    let (mut tls_asked, mut gss_asked) = (false, false);
    loop {
        let Some(packet) = next_packet(sink).await? else { return Ok(Opening::Nothing) };
        let mut reader = Reader::new(&packet);
        let code = reader.int32().map_err(|_| fatal_violation("invalid length of startup packet"))? as u32;
        match code {
            SSL_REQUEST if !tls_asked && !*encrypted => {
                tls_asked = true;
                refuse_early_bytes(sink, "SSL")?;
                answer(sink, if tls.is_some() { b'S' } else { b'N' }).await?;
                if let Some(identity) = tls {
                    if !start_tls(sink, identity, peer).await {
                        return Ok(Opening::Nothing);
                    }
                    *encrypted = true;
                }
            }
            GSS_ENCRYPTION_REQUEST if !gss_asked && !*encrypted => {
                gss_asked = true;
                refuse_early_bytes(sink, "GSSAPI encryption")?;
                answer(sink, b'N').await?;
            }
            CANCEL_REQUEST => return cancel_key(reader).map(Opening::Cancel),
            version => return startup_message(version, reader).map(Opening::Startup),
        }
    }
}

/// Tells the client the version and options that we speak, if it asked for others.
pub(crate) fn negotiate_version(sink: &mut ResultSink, startup: &StartupMessage) {
    if startup.renegotiate || !startup.unknown_options.is_empty() {
        let version = PROTOCOL_MAJOR << 16 | startup.minor;
        encode::negotiate_protocol_version(&mut sink.wire.output, version, &startup.unknown_options);
    }
}

/// The next packet without its length; `None` when the stream ends before one begins.
async fn next_packet(sink: &mut ResultSink) -> PgResult<Option<Vec<u8>>> {
    loop {
        let unread = sink.wire.input.unread();
        if let Some(length) = announced_length(unread, STARTUP_PACKET_BYTES_MAX)?
            && unread.len() >= length
        {
            let packet = sink.wire.input.consume(length);
            return Ok(Some(sink.wire.input.body(packet.start + 4..packet.end).to_vec()));
        }
        let begun = !unread.is_empty();
        match sink.fill().await {
            Ok(()) => {}
            Err(_) if !begun => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn refuse_early_bytes(sink: &ResultSink, request: &str) -> PgResult<()> {
    match sink.wire.input.unread().is_empty() {
        true => Ok(()),
        false => Err(fatal_violation(format!("received unencrypted data after {request} request")).detail(
            "This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.",
        )),
    }
}

async fn answer(sink: &mut ResultSink, byte: u8) -> PgResult<()> {
    sink.wire.output.push(byte);
    sink.flush().await
}

/// Puts TLS between the sink and its stream; `false` when the handshake fails, after which nothing can be said.
async fn start_tls(sink: &mut ResultSink, identity: &TlsIdentity, peer: Peer) -> bool {
    let plain = sink.wire.take_stream();
    match identity.acceptor().accept(plain).await {
        Ok(stream) => {
            sink.wire.put_stream(Box::new(stream));
            true
        }
        Err(error) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            false
        }
    }
}

fn cancel_key(mut reader: Reader<'_>) -> PgResult<CancelKey> {
    let process_id =
        reader.int32().map_err(|_| fatal_violation("invalid length of cancel request packet"))?;
    match reader.rest() {
        secret if secret.is_empty() || secret.len() > CANCEL_SECRET_BYTES_MAX => {
            Err(fatal_violation("invalid length of cancel key"))
        }
        secret => Ok(CancelKey::new(process_id as u32, secret)),
    }
}

fn startup_message(version: u32, mut reader: Reader<'_>) -> PgResult<StartupMessage> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != PROTOCOL_MAJOR {
        return Err(PgError::fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{PROTOCOL_MINOR_MAX}"
            ),
        ));
    }
    let mut message = StartupMessage {
        minor: minor.min(PROTOCOL_MINOR_MAX),
        user: String::new(),
        database: String::new(),
        settings: Vec::new(),
        unknown_options: Vec::new(),
        renegotiate: minor > PROTOCOL_MINOR_MAX,
    };
    let mut own_settings = Vec::new();
    loop {
        let layout = |_| fatal_violation("invalid startup packet layout: expected terminator as last byte");
        let name = decode::utf8(reader.cstring().map_err(layout)?)?;
        if name.is_empty() {
            break;
        }
        let value = decode::utf8(reader.cstring().map_err(layout)?)?;
        match name {
            "user" => message.user = value.to_owned(),
            "database" => message.database = value.to_owned(),
            "options" => message.settings = command_line_settings(value)?,
            "replication" => refuse_replication(value)?,
            name if name.starts_with("_pq_.") => message.unknown_options.push(name.to_owned()),
            name => own_settings.push((name.to_owned(), value.to_owned())),
        }
    }
    if !reader.is_empty() {
        return Err(fatal_violation("invalid startup packet layout: expected terminator as last byte"));
    }
    message.settings.append(&mut own_settings);
    if message.user.is_empty() {
        return Err(PgError::fatal(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if message.database.is_empty() {
        message.database.clone_from(&message.user);
    }
    Ok(message)
}

fn refuse_replication(value: &str) -> PgResult<()> {
    match value.to_ascii_lowercase().as_str() {
        "false" | "off" | "no" | "0" | "f" | "n" => Ok(()),
        _ => {
            let mut error = PgError::unsupported("replication protocol");
            error.fields_mut().severity = types::error::Severity::Fatal;
            Err(error)
        }
    }
}

/// The settings in `options`: `-c name=value`, `-cname=value`, `--name=value`. A backslash takes the next character as it is.
fn command_line_settings(options: &str) -> PgResult<Vec<(String, String)>> {
    let invalid = |argument: &str| {
        PgError::fatal(
            SqlState::SYNTAX_ERROR,
            format!("invalid command-line argument for server process: {argument}"),
        )
    };
    let mut settings = Vec::new();
    let mut arguments = split_arguments(options).into_iter();
    while let Some(argument) = arguments.next() {
        let (assignment, long) = match argument.strip_prefix("-c") {
            Some("") => (arguments.next().ok_or_else(|| invalid(&argument))?, false),
            Some(rest) => (rest.to_owned(), false),
            None => (argument.strip_prefix("--").ok_or_else(|| invalid(&argument))?.to_owned(), true),
        };
        let (name, value) = assignment.split_once('=').ok_or_else(|| invalid(&argument))?;
        // Options may write a setting's name with dashes.
        let name = if long { name.replace('-', "_") } else { name.to_owned() };
        settings.push((name, value.to_owned()));
    }
    Ok(settings)
}

fn split_arguments(options: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => arguments.extend(current.take()),
            '\\' => current.get_or_insert_default().extend(characters.next()),
            other => current.get_or_insert_default().push(other),
        }
    }
    arguments.extend(current);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn startup(version: u32, body: &[u8]) -> PgResult<StartupMessage> {
        startup_message(version, Reader::new(body))
    }

    #[test]
    fn a_startup_message_names_user_database_and_settings() {
        let message =
            startup(3 << 16, b"user\0ann\0options\0-c a.b=1 --work-mem=2\\ MB -cx=\0DateStyle\0ISO\0\0")
                .unwrap();
        assert_eq!((message.user.as_str(), message.database.as_str()), ("ann", "ann"));
        let settings: Vec<_> = message.settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(settings, [("a.b", "1"), ("work_mem", "2 MB"), ("x", ""), ("DateStyle", "ISO")]);
        assert!(!message.renegotiate && message.unknown_options.is_empty());
    }

    #[test]
    fn a_newer_minor_version_and_unknown_options_are_negotiated_down() {
        let message = startup(3 << 16 | 9999, b"user\0u\0_pq_.test\0x\0\0").unwrap();
        assert_eq!(message.minor, 2);
        assert!(message.renegotiate);
        assert_eq!(message.unknown_options, ["_pq_.test"]);
        assert_eq!(startup(3 << 16, b"user\0u\0\0").unwrap().minor, 0);
    }

    #[test]
    fn what_is_wrong_with_a_startup_message_is_told() {
        let code = |version, body: &[u8]| startup(version, body).unwrap_err().code().as_str().to_owned();
        assert_eq!(code(2 << 16, b""), "0A000");
        assert_eq!(code(3 << 16, b"\0"), "28000");
        assert_eq!(code(3 << 16, b"user\0u\0"), "08P01");
        assert_eq!(code(3 << 16, b"user\0u\0\0more"), "08P01");
        assert_eq!(code(3 << 16, b"user\0u"), "08P01");
        assert_eq!(code(3 << 16, b"user\0u\xff\0\0"), "22021");
        assert_eq!(code(3 << 16, b"user\0u\0replication\0database\0\0"), "0A000");
        assert_eq!(code(3 << 16, b"user\0u\0options\0-f\0\0"), "42601");
        assert_eq!(code(3 << 16, b"user\0u\0options\0-c\0\0"), "42601");
    }

    #[test]
    fn a_cancel_request_carries_a_key_of_bounded_length() {
        assert_eq!(cancel_key(Reader::new(b"\0\0\0\x07abcd")).unwrap(), CancelKey::new(7, b"abcd"));
        assert!(cancel_key(Reader::new(b"\0\0\0\x07")).is_err());
        assert!(cancel_key(Reader::new(&[0; 4 + 257])).is_err());
        assert!(cancel_key(Reader::new(b"\0\0")).is_err());
    }
}
