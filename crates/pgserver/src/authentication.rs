//! Letting a user in: the requirements for where it comes from, and SCRAM-SHA-256.
//!
//! ```text
//!   server                                                client
//!   AuthenticationSASL: [SCRAM-SHA-256-PLUS,] SCRAM-SHA-256 ─▶
//!                                    ◀─ SASLInitialResponse: mechanism, client-first-message
//!   AuthenticationSASLContinue: server-first-message ───────▶
//!                                    ◀─ SASLResponse: client-final-message (the proof)
//!   AuthenticationSASLFinal: server-final-message ──────────▶
//! ```
//!
//! The exchange itself is `pgwire`'s; its server nonce comes from the operating system's randomness, not from `Env`: a nonce
//! is security, and a simulated client is on loopback and shows no password. Offered and chosen mechanism are checked here, because `pgwire`
//! does not tie the channel-binding flag to the mechanism's name. A user that does not exist goes through the same
//! exchange with a made-up verifier and fails at the same point with the same words.

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use pgwire::error::PgWireError;
use types::error::{PgError, PgResult, SqlState};

use crate::message::decode::Reader;
use crate::message::encode;
use crate::options::Requirements;
use crate::scram::ScramVerifier;
use crate::session::{Credentials, Peer};
use crate::sink::ResultSink;
use crate::tls::TlsIdentity;
use crate::wire::{SMALL_MESSAGE_BYTES_MAX, announced_length, fatal_violation};

const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Codes of the authentication requests.
const AUTHENTICATION_SASL: i32 = 10;
const AUTHENTICATION_SASL_CONTINUE: i32 = 11;
const AUTHENTICATION_SASL_FINAL: i32 = 12;

/// Fails unless the connection is of a kind that `requirements` let in.
pub(crate) fn check_transport(requirements: Requirements, encrypted: bool, peer: Peer) -> PgResult<()> {
    if requirements.tls && !encrypted {
        return Err(PgError::fatal(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            format!("connection from {peer} is not encrypted: TLS is required from this address"),
        )
        .hint("Connect with sslmode=require and a password. The server accepts unencrypted connections from loopback addresses, or from everywhere when it is started with --insecure."));
    }
    Ok(())
}

/// Has `user` prove its password.
pub(crate) async fn authenticate(
    sink: &mut ResultSink,
    credentials: &dyn Credentials,
    tls: Option<&TlsIdentity>,
    user: &str,
    server_secret: &[u8],
) -> PgResult<()> {
    let bound = tls.and_then(TlsIdentity::bound_scram);
    let mut mechanisms = Vec::new();
    for name in [bound.map(|_| SCRAM_SHA_256_PLUS), Some(SCRAM_SHA_256)].into_iter().flatten() {
        mechanisms.extend_from_slice(name.as_bytes());
        mechanisms.push(0);
    }
    mechanisms.push(0);
    encode::authentication(&mut sink.wire.output, AUTHENTICATION_SASL, &mechanisms);

    let first = password_message(sink).await?;
    let (plus, client_first) = initial_response(&first, bound.is_some())?;
    let verifier = credentials.verifier(user).await?;
    let known = verifier.is_some();
    let secret = verifier.unwrap_or_else(|| ScramVerifier::mock(user, server_secret)).secret();
    let unbound = ScramServerAuth::new();
    // Also without -PLUS the bound one is asked: it notices a client that was made to believe there is no -PLUS.
    let scram = bound.unwrap_or(&unbound);
    let refuse = |error| refusal(error, user);
    let (server_first, waiting) =
        scram.on_client_first_message_with_secret(client_first, secret).map_err(refuse)?;
    tracing::debug!(user, plus, "SCRAM exchange");
    encode::authentication(&mut sink.wire.output, AUTHENTICATION_SASL_CONTINUE, server_first.as_bytes());

    let client_final = password_message(sink).await?;
    let server_final = waiting.on_client_final_message(&client_final).map_err(refuse)?;
    if !known {
        return Err(wrong_password(user));
    }
    encode::authentication(&mut sink.wire.output, AUTHENTICATION_SASL_FINAL, server_final.as_bytes());
    Ok(())
}

/// Splits a SASLInitialResponse: whether the mechanism is -PLUS, and the client-first-message.
fn initial_response(body: &[u8], plus_offered: bool) -> PgResult<(bool, &[u8])> {
    let malformed = || fatal_violation("malformed SASLInitialResponse");
    let mut reader = Reader::new(body);
    let plus = match reader.cstring().map_err(|_| malformed())? {
        name if name == SCRAM_SHA_256.as_bytes() => false,
        name if name == SCRAM_SHA_256_PLUS.as_bytes() && plus_offered => true,
        _ => return Err(fatal_violation("client selected an invalid SASL authentication mechanism")),
    };
    let length = reader.int32().map_err(|_| malformed())?;
    let client_first = reader.rest();
    if usize::try_from(length) != Ok(client_first.len()) {
        return Err(malformed());
    }
    if plus != client_first.starts_with(b"p=") {
        return Err(fatal_violation("malformed SCRAM message")
            .detail("The channel binding flag does not fit the selected mechanism."));
    }
    Ok((plus, client_first))
}

/// The body of the client's next message, which must be of the password family.
async fn password_message(sink: &mut ResultSink) -> PgResult<Vec<u8>> {
    sink.flush().await?;
    loop {
        let unread = sink.wire.input.unread();
        if let Some(&kind) = unread.first() {
            if kind != b'p' {
                return Err(fatal_violation(format!("expected SASL response, got message type {kind}")));
            }
            if let Some(length) = announced_length(&unread[1..], SMALL_MESSAGE_BYTES_MAX)?
                && unread.len() > length
            {
                let frame = sink.wire.input.consume(1 + length);
                return Ok(sink.wire.input.body(frame.start + 5..frame.end).to_vec());
            }
        }
        sink.fill().await?;
    }
}

fn refusal(error: PgWireError, user: &str) -> PgError {
    match error {
        PgWireError::InvalidPassword(_) => wrong_password(user),
        PgWireError::InvalidScramMessage(reason) => fatal_violation("malformed SCRAM message").detail(reason),
        error => fatal_violation("SCRAM authentication failed").detail(error.to_string()),
    }
}

fn wrong_password(user: &str) -> PgError {
    PgError::fatal(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\""))
}
