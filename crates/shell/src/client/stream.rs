//! Bytes to and from the server, in the clear or under TLS.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};

use super::error::ClientError;
use crate::url::{ConnectionUrl, TlsMode};

pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// Connects, and negotiates TLS as the URL wants it.
pub fn open(url: &ConnectionUrl) -> Result<Box<dyn Stream>, ClientError> {
    let mut socket = dial(&url.host, url.port, url.connect_seconds_max)?;
    if url.tls == TlsMode::Disable {
        return Ok(Box::new(socket));
    }
    let mut request = bytes::BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    socket.write_all(&request)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    match (answer[0], url.tls) {
        (b'S', _) => encrypt(socket, url),
        (_, TlsMode::Prefer) => Ok(Box::new(socket)),
        _ => Err(ClientError::Protocol("server does not support SSL, but SSL was required".to_string())),
    }
}

/// Connects to the first address of the host that answers.
pub fn dial(host: &str, port: u16, seconds_max: u64) -> Result<TcpStream, ClientError> {
    let mut last = None;
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, Duration::from_secs(seconds_max.max(1))) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(
        || ClientError::Protocol(format!("the host \"{host}\" has no address")),
        ClientError::Io,
    ))
}

fn encrypt(mut socket: TcpStream, url: &ConnectionUrl) -> Result<Box<dyn Stream>, ClientError> {
    let told = |error: &dyn std::fmt::Display| ClientError::Protocol(format!("SSL error: {error}"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?;
    let config = if url.tls == TlsMode::VerifyFull {
        builder.with_root_certificates(roots(url)?).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth()
    };
    let name = ServerName::try_from(url.host.clone()).map_err(|error| told(&error))?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| told(&error))?;
    // Now, so that what is wrong with the certificate is told as such.
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| told(&error))?;
    }
    Ok(Box::new(StreamOwned::new(connection, socket)))
}

fn roots(url: &ConnectionUrl) -> Result<RootCertStore, ClientError> {
    let Some(path) = &url.root_certificate else {
        return Err(ClientError::Protocol(
            "verifying the server's certificate takes sslrootcert=FILE".to_string(),
        ));
    };
    let told = |error: &dyn std::fmt::Display| ClientError::Protocol(format!("{}: {error}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| told(&error))? {
        roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
    }
    Ok(roots)
}

/// Takes any certificate, as `prefer` and `require` say; the handshake's signatures are still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
