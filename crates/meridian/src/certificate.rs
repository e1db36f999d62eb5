//! A self-signed certificate for development: encrypts, proves nothing.

use anyhow::Context;
use pgserver::TlsIdentity;

/// Makes a certificate for the given host and loopback.
pub fn self_signed(host: &str) -> anyhow::Result<TlsIdentity> {
    let names = vec![host.to_string(), "localhost".to_string(), "127.0.0.1".to_string()];
    let made =
        rcgen::generate_simple_self_signed(names).context("a self-signed certificate cannot be made")?;
    TlsIdentity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes())
        .context("the self-signed certificate cannot be used")
}
