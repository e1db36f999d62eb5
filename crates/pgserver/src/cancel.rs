//! Cancel keys: what a client must know to cancel a running statement from another connection.
//!
//! A key is a process id, which is no secret (pg_stat_activity shows it), and a secret, which is: 4 bytes under protocol 3.0
//! and 32 bytes under 3.2, drawn from the environment's entropy. Comparing two secrets takes the same time wherever
//! they differ, so that the key cannot be guessed byte by byte.

use std::fmt;

/// Longest secret the protocol allows, in bytes (BackendKeyData, protocol 3.2).
pub const CANCEL_SECRET_BYTES_MAX: usize = 256;

/// The secret's length that we give to a protocol 3.0 client.
pub(crate) const CANCEL_SECRET_BYTES_V30: usize = 4;

/// The secret's length that we give to a protocol 3.2 client.
pub(crate) const CANCEL_SECRET_BYTES_V32: usize = 32;

/// Identifies a session to be cancelled, and proves the right to. `==` takes constant time for secrets of equal length.
#[derive(Clone)]
pub struct CancelKey {
    process_id: u32,
    secret: Box<[u8]>,
}

impl CancelKey {
    /// `secret` is at most [`CANCEL_SECRET_BYTES_MAX`] long.
    pub fn new(process_id: u32, secret: &[u8]) -> Self {
        debug_assert!(secret.len() <= CANCEL_SECRET_BYTES_MAX);
        CancelKey { process_id, secret: secret.into() }
    }

    /// What pg_backend_pid() returns: unique among the live connections of one server, fits a positive int4.
    pub fn process_id(&self) -> u32 {
        self.process_id
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl PartialEq for CancelKey {
    fn eq(&self, other: &Self) -> bool {
        if self.process_id != other.process_id || self.secret.len() != other.secret.len() {
            return false;
        }
        let difference = self.secret.iter().zip(other.secret.iter()).fold(0u8, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl Eq for CancelKey {}

impl fmt::Debug for CancelKey {
    /// Never prints the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelKey").field("process_id", &self.process_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_only_in_all_their_bytes() {
        let key = CancelKey::new(7, &[1, 2, 3, 4]);
        assert_eq!(key, CancelKey::new(7, &[1, 2, 3, 4]));
        assert_ne!(key, CancelKey::new(8, &[1, 2, 3, 4]));
        assert_ne!(key, CancelKey::new(7, &[1, 2, 3, 5]));
        assert_ne!(key, CancelKey::new(7, &[1, 2, 3]));
        assert_ne!(key, CancelKey::new(7, &[]));
        assert!(!format!("{key:?}").contains("secret"));
    }
}
