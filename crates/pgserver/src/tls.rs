//! TLS: the server's certificate and what is derived from it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// The name of this protocol in TLS's application-layer negotiation: clients from PostgreSQL 17 on send it.
const ALPN_POSTGRESQL: &[u8] = b"postgresql";

/// A certificate chain with its private key, both in PEM, checked to fit together.
#[derive(Clone)]
pub struct TlsIdentity {
    acceptor: TlsAcceptor,
    /// SCRAM bound to this certificate (SCRAM-SHA-256-PLUS); `None` when its signature algorithm has no hash that the
    /// channel binding could use (Ed25519).
    bound_scram: Option<Arc<ScramServerAuth>>,
}

/// The certificate or key cannot be used; says which and why.
#[derive(Debug)]
pub struct TlsError(String);

impl TlsIdentity {
    /// `certificates` is the chain, the server's own certificate first; `key` is PKCS#8, PKCS#1 or SEC1.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError(format!("the certificate file is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(TlsError("the certificate file holds no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError(format!("the key file holds no private key in PEM: {error}")))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| TlsError(format!("certificate and key cannot be used: {error}")))?;
        config.alpn_protocols = vec![ALPN_POSTGRESQL.to_vec()];
        // Clients of this protocol do not resume; tickets would only cost a write.
        config.send_tls13_tickets = 0;
        let mut bound_scram = ScramServerAuth::new();
        let bound_scram =
            bound_scram.configure_certificate(certificates).is_ok().then(|| Arc::new(bound_scram));
        Ok(TlsIdentity { acceptor: TlsAcceptor::from(Arc::new(config)), bound_scram })
    }

    /// As [`Self::from_pem`], from files. Reads them at once, blocking.
    pub fn from_files(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|error| TlsError(format!("cannot read {}: {error}", path.display())))
        };
        Self::from_pem(&read(certificates)?, &read(key)?)
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    pub(crate) fn bound_scram(&self) -> Option<&ScramServerAuth> {
        self.bound_scram.as_deref()
    }
}

impl fmt::Debug for TlsIdentity {
    /// Prints neither certificate nor key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}
