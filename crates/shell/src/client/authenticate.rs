//! Proving who we are: password in the clear, MD5, SCRAM-SHA-256.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::connection::Wire;
use super::error::{ClientError, ServerMessage};
use crate::url::ConnectionUrl;

/// Answers the server's questions until it is satisfied.
pub fn authenticate(wire: &mut Wire, url: &ConnectionUrl) -> Result<(), ClientError> {
    let password = || url.password.as_deref().map(str::as_bytes).ok_or(ClientError::PasswordWanted);
    loop {
        let mut reply = BytesMut::new();
        match wire.read()? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => frontend::password_message(password()?, &mut reply)?,
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(url.user.as_bytes(), password()?, body.salt());
                frontend::password_message(hash.as_bytes(), &mut reply)?;
            }
            Message::AuthenticationSasl(body) => {
                if !body.mechanisms().any(|mechanism| Ok(mechanism == SCRAM_SHA_256))? {
                    return Err(ClientError::Protocol(
                        "the server offers no SASL mechanism known here".to_string(),
                    ));
                }
                scram(wire, password()?)?;
                continue;
            }
            Message::ErrorResponse(body) => {
                return Err(ClientError::Refused(ServerMessage::read(body.fields())?));
            }
            _ => {
                return Err(ClientError::Protocol(
                    "the server wants an authentication not known here".to_string(),
                ));
            }
        }
        wire.write(&reply)?;
    }
}

fn scram(wire: &mut Wire, password: &[u8]) -> Result<(), ClientError> {
    let mut exchange = ScramSha256::new(password, ChannelBinding::unsupported());
    let mut reply = BytesMut::new();
    frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut reply)?;
    wire.write(&reply)?;
    loop {
        match wire.read()? {
            Message::AuthenticationSaslContinue(body) => {
                exchange.update(body.data())?;
                let mut reply = BytesMut::new();
                frontend::sasl_response(exchange.message(), &mut reply)?;
                wire.write(&reply)?;
            }
            Message::AuthenticationSaslFinal(body) => return Ok(exchange.finish(body.data())?),
            Message::ErrorResponse(body) => {
                return Err(ClientError::Refused(ServerMessage::read(body.fields())?));
            }
            _ => return Err(ClientError::Protocol("the server broke off the SCRAM exchange".to_string())),
        }
    }
}
