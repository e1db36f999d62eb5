//! Settings and bounds of a server.

use std::ops::Range;
use std::time::Duration;

use crate::tls::TlsIdentity;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Sessions at one time; one more is refused with 53300. The same number again may be busy with getting in (or
    /// cancelling); beyond that a connection is closed unheard.
    pub connections_max: usize,
    /// Largest message taken from a client, in bytes. A larger one ends the connection.
    pub message_bytes_max: usize,
    /// Output is held back up to this size in bytes; beyond it a result waits for its client.
    pub output_bytes_max: usize,
    /// Time for everything from the first byte to the end of authentication.
    pub authentication_timeout: Duration,
    /// Who gets in and how.
    pub access: AccessPolicy,
    /// The certificate; without one, TLS is declined.
    pub tls: Option<TlsIdentity>,
    /// What sessions get their process ids from. Servers of one cluster have ranges of their own, each longer than `connections_max`: a
    /// client tells by the process id whether a notification is its own.
    pub process_ids: Range<u32>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            connections_max: 1_000,
            message_bytes_max: 64 << 20,
            output_bytes_max: 64 << 10,
            authentication_timeout: Duration::from_secs(60),
            access: AccessPolicy::default(),
            tls: None,
            process_ids: 1..i32::MAX as u32,
        }
    }
}

/// What is asked of a client, by where it comes from. The default: nothing on loopback, TLS and a password from elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessPolicy {
    /// For clients on this machine.
    pub loopback: Requirements,
    /// For all others.
    pub remote: Requirements,
}

/// What a client must bring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requirements {
    /// The connection must be under TLS.
    pub tls: bool,
    /// The user must prove its password (SCRAM-SHA-256).
    pub password: bool,
}

impl Requirements {
    /// Whoever connects is believed.
    pub const TRUST: Requirements = Requirements { tls: false, password: false };
    /// TLS and a password.
    pub const SECURE: Requirements = Requirements { tls: true, password: true };
}

impl AccessPolicy {
    /// Everybody is believed, from everywhere, without TLS: only ever by explicit wish (`--insecure`).
    pub const INSECURE: AccessPolicy =
        AccessPolicy { loopback: Requirements::TRUST, remote: Requirements::TRUST };
}

impl Default for AccessPolicy {
    fn default() -> Self {
        AccessPolicy { loopback: Requirements::TRUST, remote: Requirements::SECURE }
    }
}
