//! FNV-1a with 64 bits: small, stable across machines and versions, not for hostile input.
//!
//! It serves fingerprints: the trace of a simulation, the identity of a plan. A hash table that takes keys
//! from outside wants something else.

/// A running fingerprint. The same sequence of calls gives the same value everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(OFFSET_BASIS)
    }
}

impl Fingerprint {
    pub fn new() -> Fingerprint {
        Fingerprint::default()
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }

    /// Mixes a number in, as eight little-endian bytes.
    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub fn value(self) -> u64 {
        self.0
    }
}

/// The fingerprint of one byte string.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let mut running = Fingerprint::new();
    running.bytes(bytes);
    running.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
