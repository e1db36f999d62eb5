//! Certificates: who may connect, and what is said to whom may not.
//!
//! A cluster has an authority of its own (`ca.crt`). A node proves itself by a certificate that the authority has signed and
//! whose common name is `node`, in both directions, and a node that is dialed by its host or address too. A person proves a user
//! name by a certificate with that common name. Connections without a valid certificate end in the TLS handshake: no
//! byte of data passes.
//!
//! | file in the folder | what |
//! | --- | --- |
//! | `ca.crt` | the authority's certificate |
//! | `node.crt`, `node.key` | the node's certificate (chain) and private key |
//! | `client.USER.crt`, `client.USER.key` | the same of a user |

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, ServerConfig};
use stdx::WallTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The common name of a node's certificate.
pub const NODE_NAME: &str = "node";

/// The user whose certificate gives the right to operate a cluster.
pub const OPERATOR_NAME: &str = "postgres";

/// HTTP/2, as TLS names it.
const ALPN: &[u8] = b"h2";

/// Certificates that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CredentialsError(String);

/// Certificate, key and authority, ready for use. Printing shows none of them.
#[derive(Clone)]
pub struct Credentials {
    client: Arc<ClientConfig>,
    /// Only of a node.
    server: Option<Arc<ServerConfig>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The world's clock, for the validity of certificates.
#[derive(Debug)]
struct Time(TimeSource);

struct TimeSource(Arc<dyn Env>);

impl fmt::Debug for TimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimeSource")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.0.wall().unix_seconds())))
    }
}

struct Files {
    authority: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// A node's, from a folder with `ca.crt`, `node.crt` and `node.key`. Reads the files at once, blocking.
    pub fn of_node(folder: &Path, env: &Arc<dyn Env>) -> Result<Credentials, CredentialsError> {
        Credentials::read(folder, NODE_NAME, NODE_NAME, env, true)
    }

    /// A user's, from a folder with `ca.crt`, `client.USER.crt` and `client.USER.key`. Reads the files at once, blocking.
    pub fn of_user(folder: &Path, user: &str, env: &Arc<dyn Env>) -> Result<Credentials, CredentialsError> {
        Credentials::read(folder, &format!("client.{user}"), user, env, false)
    }

    fn read(
        folder: &Path,
        file: &str,
        name: &str,
        env: &Arc<dyn Env>,
        serves: bool,
    ) -> Result<Credentials, CredentialsError> {
        let certificate_path = folder.join(format!("{file}.crt"));
        let files = Files {
            authority: read_certificates(&folder.join("ca.crt"))?,
            chain: read_certificates(&certificate_path)?,
            key: read_key(&folder.join(format!("{file}.key")))?,
        };
        check_certificate(&files.chain[0], &certificate_path, name, env.wall())?;
        let mut roots = RootCertStore::empty();
        for certificate in &files.authority {
            roots.add(certificate.clone()).map_err(|error| {
                CredentialsError(format!("{}: not an authority: {error}", folder.join("ca.crt").display()))
            })?;
        }
        let unusable = |error: rustls::Error| {
            CredentialsError(format!("{} and its key cannot be used: {error}", certificate_path.display()))
        };
        let roots = Arc::new(roots);
        let client = client_config(&roots, &files, env).map_err(unusable)?;
        let server = serves.then(|| server_config(roots, &files, env)).transpose().map_err(unusable)?;
        Ok(Credentials { client: Arc::new(client), server: server.map(Arc::new) })
    }

    pub(crate) fn connector(&self) -> tokio_rustls::TlsConnector {
        tokio_rustls::TlsConnector::from(Arc::clone(&self.client))
    }

    pub(crate) fn acceptor(&self) -> Option<tokio_rustls::TlsAcceptor> {
        self.server.clone().map(tokio_rustls::TlsAcceptor::from)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client_config(
    roots: &Arc<RootCertStore>,
    files: &Files,
    env: &Arc<dyn Env>,
) -> Result<ClientConfig, rustls::Error> {
    let time = Arc::new(Time(TimeSource(env.clone())));
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(files.chain.clone(), files.key.clone_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Every connection proves itself anew.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn server_config(
    roots: Arc<RootCertStore>,
    files: &Files,
    env: &Arc<dyn Env>,
) -> Result<ServerConfig, rustls::Error> {
    let time = Arc::new(Time(TimeSource(env.clone())));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(files.chain.clone(), files.key.clone_key())?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn read_file(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    std::fs::read(path).map_err(|error| CredentialsError(format!("cannot read {}: {error}", path.display())))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let bytes = read_file(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|error| {
        CredentialsError(format!("{}: not a certificate in PEM: {error}", path.display()))
    })?;
    if found.is_empty() {
        return Err(CredentialsError(format!("{} holds no certificate in PEM", path.display())));
    }
    Ok(found)
}

/// The error never shows what is in the file.
fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    PrivateKeyDer::from_pem_slice(&read_file(path)?)
        .map_err(|_| CredentialsError(format!("{} holds no private key in PEM", path.display())))
}

/// Our own certificate must be one that others take.
fn check_certificate(
    certificate: &CertificateDer<'_>,
    path: &Path,
    name: &str,
    now: WallTime,
) -> Result<(), CredentialsError> {
    let path = path.display();
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| CredentialsError(format!("{path}: the certificate cannot be read")))?;
    let now = i64::try_from(now.unix_seconds()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if validity.not_after.timestamp() < now {
        let remedy = if name == NODE_NAME { "create-node" } else { "create-client" };
        return Err(CredentialsError(format!(
            "the certificate {path} has expired (it was valid until {}): make a new one with meridian cert {remedy}",
            validity.not_after
        )));
    }
    if validity.not_before.timestamp() > now {
        return Err(CredentialsError(format!(
            "the certificate {path} is not valid before {}: is the clock of this machine right?",
            validity.not_before
        )));
    }
    match common_name(certificate) {
        Some(found) if found == name => Ok(()),
        found => Err(CredentialsError(format!(
            "the certificate {path} has the common name \"{}\", and \"{name}\" is needed",
            found.unwrap_or_default()
        ))),
    }
}

/// Whose certificate it is.
pub(crate) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?.as_str().ok()?.to_string();
    Some(name)
}

/// A certificate that a caller has shown, and that our authority has signed.
#[derive(Clone)]
pub(crate) struct Certified {
    pub name: String,
    certificate: CertificateDer<'static>,
}

impl Certified {
    /// `None`: it has no common name.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Certified> {
        Some(Certified { name: common_name(certificate)?, certificate: certificate.clone().into_owned() })
    }

    /// Why others that reach its owner at this address would not believe it.
    pub fn check_address(&self, address: &str) -> Result<(), String> {
        let name = server_name(address)?;
        let parsed = rustls::server::ParsedCertificate::try_from(&self.certificate);
        parsed.and_then(|parsed| rustls::client::verify_server_name(&parsed, &name)).map_err(|error| {
            match error {
                rustls::Error::InvalidCertificate(invalid) => explain_certificate(&invalid),
                other => other.to_string(),
            }
        })
    }
}

/// The host of an address, as certificates name it.
pub(crate) fn server_name(address: &str) -> Result<ServerName<'static>, String> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_string()).map_err(|_| format!("\"{host}\" is not the name of a host"))
}

/// Says what went wrong with the certificates, if that is what an error is about. `address` is the other side's.
pub(crate) fn explain(error: &(dyn std::error::Error + 'static), address: &str) -> Option<String> {
    let error = find(error)?;
    Some(match error {
        rustls::Error::InvalidCertificate(invalid) => {
            format!("{address} has no valid certificate: {}", explain_certificate(invalid))
        }
        rustls::Error::AlertReceived(alert) => {
            let why = match alert {
                AlertDescription::CertificateExpired => "our certificate has expired",
                AlertDescription::CertificateRequired => "a certificate is required",
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    "our certificate is not signed by its authority"
                }
                AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::AccessDenied => "it does not accept our certificate",
                other => return Some(format!("{address} refuses the connection: TLS alert {other:?}")),
            };
            format!("{address} refuses the connection: {why}")
        }
        rustls::Error::NoCertificatesPresented => format!("{address} has shown no certificate"),
        rustls::Error::InvalidMessage(_) => {
            format!(
                "{address} does not speak TLS: is it the RPC address of a node, started with certificates?"
            )
        }
        other => format!("no secure connection with {address}: {other}"),
    })
}

fn explain_certificate(invalid: &CertificateError) -> String {
    match invalid {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_string(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet: are the clocks of both machines right?".to_string()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "it is not signed by our authority (ca.crt)".to_string()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it was made for other hosts than this address (meridian cert create-node HOST...)".to_string()
        }
        other => other.to_string(),
    }
}

/// The TLS error among the causes.
fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error's source is the cause of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(found);
        }
        current = error.source();
    }
    None
}
