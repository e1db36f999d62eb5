//! Makes certificates: an authority for a cluster, nodes and users.
//!
//! Meant for people who have no authority of their own. Whoever has one makes certificates with the same file names and common
//! names; see [`crate::Credentials`].

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use stdx::WallTime;
use time::OffsetDateTime;

use crate::tls::NODE_NAME;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How long an authority is valid.
pub const AUTHORITY_VALIDITY: Duration = DAY.saturating_mul(10 * 365);

/// How long a node's and a user's certificates are valid.
pub const CERTIFICATE_VALIDITY: Duration = DAY.saturating_mul(5 * 365);

/// Clocks of other machines may be a little behind ours.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Longest name of a user, in bytes: as in PostgreSQL.
const USER_BYTES_MAX: usize = 63;

/// A certificate that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AuthorityError(String);

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    pub from: WallTime,
    pub until: WallTime,
}

impl Validity {
    pub fn starting(now: WallTime, length: Duration) -> Validity {
        Validity { from: now.saturating_sub(BACKDATED), until: now.saturating_add(length) }
    }
}

/// Makes `ca.crt` and `ca.key`. Whoever has the key can let anybody in: keep it away from the nodes.
pub fn create_authority(folder: &Path, validity: Validity) -> Result<(), AuthorityError> {
    let mut params = params("Meridian authority", Vec::new(), validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.self_signed(&key).map_err(unusable)?;
    std::fs::create_dir_all(folder)
        .map_err(|error| AuthorityError(format!("cannot make the folder {}: {error}", folder.display())))?;
    write_pair(folder, "ca", &certificate.pem(), &key.serialize_pem())
}

/// Makes `node.crt` and `node.key` for a node that is reached under these names and IP addresses.
pub fn create_node(folder: &Path, hosts: &[String], validity: Validity) -> Result<(), AuthorityError> {
    if hosts.is_empty() {
        return Err(AuthorityError("name the hosts and IP addresses by which others reach the node".into()));
    }
    let mut params = params(NODE_NAME, hosts.to_vec(), validity)?;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    sign(folder, "node", params)
}

/// Makes `client.USER.crt` and `client.USER.key`.
pub fn create_client(folder: &Path, user: &str, validity: Validity) -> Result<(), AuthorityError> {
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
    if user.is_empty() || user.len() > USER_BYTES_MAX || !user.chars().all(is_name) || user.starts_with('.') {
        return Err(AuthorityError(format!("\"{user}\" cannot be the name of a user in a certificate")));
    }
    if user == NODE_NAME {
        return Err(AuthorityError(format!(
            "\"{user}\" is the name of nodes: use meridian cert create-node"
        )));
    }
    let mut params = params(user, Vec::new(), validity)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(folder, &format!("client.{user}"), params)
}

fn params(name: &str, hosts: Vec<String>, validity: Validity) -> Result<CertificateParams, AuthorityError> {
    for host in &hosts {
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
        if host.parse::<IpAddr>().is_err() && (host.is_empty() || !host.chars().all(is_host)) {
            return Err(AuthorityError(format!("\"{host}\" is neither a host name nor an IP address")));
        }
    }
    let mut params = CertificateParams::new(hosts).map_err(unusable)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (date(validity.from)?, date(validity.until)?);
    Ok(params)
}

fn date(time: WallTime) -> Result<OffsetDateTime, AuthorityError> {
    let seconds = i64::try_from(time.unix_seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| AuthorityError("the clock of this machine is far from right".to_string()))
}

fn sign(folder: &Path, file: &str, params: CertificateParams) -> Result<(), AuthorityError> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| {
            let path = path.display();
            AuthorityError(format!(
                "cannot read {path}: {error} (meridian cert create-ca makes an authority)"
            ))
        })
    };
    let unfit = |_| AuthorityError(format!("the authority in {} cannot be used", folder.display()));
    let authority_key = KeyPair::from_pem(&read("ca.key")?).map_err(unfit)?;
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt")?, authority_key).map_err(unfit)?;
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.signed_by(&key, &issuer).map_err(unusable)?;
    write_pair(folder, file, &certificate.pem(), &key.serialize_pem())
}

fn unusable(error: rcgen::Error) -> AuthorityError {
    AuthorityError(format!("the certificate cannot be made: {error}"))
}

/// Writes certificate and key; replaces neither. The key is for its owner's eyes only.
fn write_pair(folder: &Path, file: &str, certificate: &str, key: &str) -> Result<(), AuthorityError> {
    let paths = [folder.join(format!("{file}.key")), folder.join(format!("{file}.crt"))];
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(AuthorityError(format!(
            "{} exists already: remove it first to replace it",
            path.display()
        )));
    }
    let [key_path, certificate_path] = paths;
    write_new(&key_path, key, true)?;
    write_new(&certificate_path, certificate, false)
}

fn write_new(path: &PathBuf, text: &str, is_secret: bool) -> Result<(), AuthorityError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if is_secret { 0o600 } else { 0o644 });
    }
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| AuthorityError(format!("cannot write {}: {error}", path.display())))
}
