//! Stored passwords: PostgreSQL's `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.
//!
//! A verifier proves a password without containing it: whoever steals it can check guesses, at the price of `iterations` rounds of
//! PBKDF2 each, but cannot log in with it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};

/// Rounds of PBKDF2 for a new verifier: PostgreSQL's default, and the least the standard allows.
pub const SCRAM_ITERATIONS_DEFAULT: u32 = 4096;
/// Size of the salt of a new verifier, in bytes.
pub const SCRAM_SALT_BYTES: usize = 16;
/// Size of a SHA-256 key, in bytes.
const KEY_BYTES: usize = 32;
/// A verifier with more rounds than this is refused: the client would be kept computing for minutes.
const ITERATIONS_MAX: u32 = 10_000_000;
/// Longest salt that is taken, in bytes.
const SALT_BYTES_MAX: usize = 1024;

/// What a user's password is checked against. `Display` and `FromStr` are the form that PostgreSQL keeps in pg_authid.rolpassword.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; KEY_BYTES],
    server_key: [u8; KEY_BYTES],
}

/// The text is not a SCRAM-SHA-256 verifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InvalidVerifier;

impl ScramVerifier {
    /// Makes the verifier of `password`. Takes some milliseconds of CPU on purpose. The salt comes from the caller's entropy.
    pub fn from_password(password: &str, salt: [u8; SCRAM_SALT_BYTES]) -> Self {
        Self::with_iterations(password, &salt, SCRAM_ITERATIONS_DEFAULT)
    }

    pub(crate) fn with_iterations(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = gen_salted_password(password, salt, iterations.max(1) as usize);
        match ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, iterations as usize) {
            ScramSecret::Verifier { salt, stored_key, server_key, .. } => ScramVerifier {
                iterations,
                salt,
                stored_key: stored_key.try_into().expect("SHA-256 gives 32 bytes"),
                server_key: server_key.try_into().expect("SHA-256 gives 32 bytes"),
            },
            ScramSecret::SaltedPassword { .. } => unreachable!("a verifier was asked for"),
        }
    }

    /// Stands in for the verifier of a user who has none, so that an attacker cannot tell: the salt stays the same for
    /// a user name as long as the server runs, and no password fits.
    pub(crate) fn mock(user: &str, server_secret: &[u8]) -> Self {
        let mut mock = Self::with_iterations(user, server_secret, 1);
        mock.salt = mock.server_key[..SCRAM_SALT_BYTES].to_vec();
        mock.iterations = SCRAM_ITERATIONS_DEFAULT;
        mock.stored_key = Self::with_iterations(user, &mock.salt, 1).server_key;
        mock
    }

    pub(crate) fn secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations as usize,
            stored_key: self.stored_key.to_vec(),
            server_key: self.server_key.to_vec(),
        }
    }
}

impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored_key, server_key] =
            [&self.salt[..], &self.stored_key, &self.server_key].map(|bytes| BASE64.encode(bytes));
        write!(f, "SCRAM-SHA-256${}:{salt}${stored_key}:{server_key}", self.iterations)
    }
}

impl fmt::Debug for ScramVerifier {
    /// Prints no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramVerifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl FromStr for ScramVerifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, InvalidVerifier> {
        Self::read(text).ok_or(InvalidVerifier)
    }
}

impl ScramVerifier {
    fn read(text: &str) -> Option<Self> {
        let (round, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = round.split_once(':')?;
        let (stored_key, server_key) = keys.split_once(':')?;
        let iterations: u32 = iterations.parse().ok()?;
        let salt = BASE64.decode(salt).ok()?;
        if iterations == 0 || iterations > ITERATIONS_MAX || salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return None;
        }
        let key = |text: &str| -> Option<[u8; KEY_BYTES]> { BASE64.decode(text).ok()?.try_into().ok() };
        Some(ScramVerifier { iterations, salt, stored_key: key(stored_key)?, server_key: key(server_key)? })
    }
}

impl fmt::Display for InvalidVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SCRAM-SHA-256 verifier")
    }
}

impl std::error::Error for InvalidVerifier {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_survives_its_text() {
        let verifier = ScramVerifier::from_password("pencil", [7; 16]);
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:BwcHBwcHBwcHBwcHBwcHBw==$"), "{text}");
        assert_eq!(text.parse::<ScramVerifier>().unwrap(), verifier);
        assert_ne!(verifier, ScramVerifier::from_password("pencils", [7; 16]));
    }

    #[test]
    fn what_is_no_verifier_is_refused() {
        let good = ScramVerifier::from_password("pencil", [7; 16]).to_string();
        for bad in [
            "",
            "md5abc",
            "SCRAM-SHA-256$",
            "SCRAM-SHA-256$4096:salt$a:b",
            &good[..good.len() - 4],
            &good.replace("4096", "0"),
            &good.replace("4096", "99999999999"),
        ] {
            assert_eq!(bad.parse::<ScramVerifier>(), Err(InvalidVerifier), "{bad}");
        }
    }

    #[test]
    fn a_mock_is_stable_and_differs_by_user() {
        let secret = [1; 16];
        assert_eq!(ScramVerifier::mock("a", &secret), ScramVerifier::mock("a", &secret));
        assert_ne!(ScramVerifier::mock("a", &secret).salt, ScramVerifier::mock("b", &secret).salt);
    }
}
