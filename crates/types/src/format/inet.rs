//! inet: an IPv4 or IPv6 address with the length of its network prefix.
//!
//! A value is kept as bytes whose order is PostgreSQL's order of inet (IPv4 first; the network's bits as far as both have them; the
//! shorter prefix; the whole address), so that it is compared, hashed and put into keys as bytes:
//!
//! ```text
//! 4 or 6 | a pair of bits for each bit of the prefix: 1, the bit | 0, 0 | up to a whole byte: 0 | the address, 4 or 16 bytes
//! ```

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{PgError, PgResult, SqlState};

/// An address with its prefix length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inet {
    /// 4 or 16 bytes count.
    address: [u8; 16],
    is_v6: bool,
    /// Bits of the prefix: at most 32 or 128.
    pub prefix: u8,
}

/// pg's families in the binary format.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

impl Inet {
    pub fn new(address: &[u8], prefix: u8) -> Option<Inet> {
        let mut all = [0; 16];
        all.get_mut(..address.len())?.copy_from_slice(address);
        let is_v6 = match address.len() {
            4 => false,
            16 => true,
            _ => return None,
        };
        let inet = Inet { address: all, is_v6, prefix };
        (prefix <= inet.bits()).then_some(inet)
    }

    /// 4 or 6.
    pub fn family(&self) -> i32 {
        if self.is_v6 { 6 } else { 4 }
    }

    /// Bits of the whole address.
    pub fn bits(&self) -> u8 {
        if self.is_v6 { 128 } else { 32 }
    }

    pub fn address(&self) -> &[u8] {
        &self.address[..usize::from(self.bits() / 8)]
    }

    fn bit(&self, index: u8) -> bool {
        self.address[usize::from(index / 8)] >> (7 - index % 8) & 1 == 1
    }

    /// The same family with other bytes, made of each byte and the mask's byte at its place.
    pub fn map(&self, prefix: u8, byte: impl Fn(u8, u8) -> u8) -> Inet {
        let mut changed = Inet { prefix, ..*self };
        for index in 0..self.address().len() {
            let bits = i32::from(self.prefix) - 8 * index as i32;
            let mask = match bits {
                8.. => 0xff,
                1..8 => 0xff << (8 - bits),
                _ => 0,
            };
            changed.address[index] = byte(self.address[index], mask as u8);
        }
        changed
    }

    /// Whether the first bits, as many as `prefix`, are alike.
    pub fn same_network(&self, other: &Inet, prefix: u8) -> bool {
        self.is_v6 == other.is_v6 && (0..prefix).all(|index| self.bit(index) == other.bit(index))
    }

    /// The bytes of a value.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.family() as u8];
        let pairs = usize::from(self.prefix) + 1;
        out.resize(1 + pairs.div_ceil(4), 0);
        for index in 0..self.prefix {
            let pair = 0b10 | u8::from(self.bit(index));
            out[1 + usize::from(index / 4)] |= pair << (6 - 2 * (index % 4));
        }
        out.extend_from_slice(self.address());
        out
    }

    /// The value of bytes that [`Self::encode`] made.
    pub fn decode(bytes: &[u8]) -> PgResult<Inet> {
        let broken = || PgError::new(SqlState::DATA_CORRUPTED, "an inet value cannot be read");
        let length = match bytes.first() {
            Some(4) => 4,
            Some(6) => 16,
            _ => return Err(broken()),
        };
        let (head, address) =
            bytes.split_at_checked(bytes.len().saturating_sub(length)).ok_or_else(broken)?;
        let pairs =
            head.iter().skip(1).flat_map(|byte| (0..4).map(move |place| byte >> (6 - 2 * place) & 0b10));
        let prefix = pairs.take_while(|mark| *mark != 0).count();
        u8::try_from(prefix).ok().and_then(|prefix| Inet::new(address, prefix)).ok_or_else(broken)
    }

    /// The address alone.
    pub fn host(&self) -> String {
        let address = &self.address;
        if !self.is_v6 {
            return Ipv4Addr::new(address[0], address[1], address[2], address[3]).to_string();
        }
        let v6 = Ipv6Addr::from(*address);
        // ::1.2.3.4, as the C library writes it.
        if address[..12].iter().all(|byte| *byte == 0) && (address[12] != 0 || address[13] != 0) {
            return format!("::{}", Ipv4Addr::new(address[12], address[13], address[14], address[15]));
        }
        v6.to_string()
    }

    /// The address with its prefix length.
    pub fn text(&self) -> String {
        format!("{}/{}", self.host(), self.prefix)
    }
}

fn invalid(text: &str) -> PgError {
    let message = format!("invalid input syntax for type inet: \"{text}\"");
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

/// inet_in
pub(super) fn parse_inet(text: &str) -> PgResult<Vec<u8>> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let digits =
        |text: &str| (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(());
    let prefix = match prefix {
        None => None,
        Some(prefix) => {
            Some(digits(prefix).and_then(|()| prefix.parse::<u8>().ok()).ok_or_else(|| invalid(text))?)
        }
    };
    let parsed = if address.contains(':') {
        let v6: Ipv6Addr = address.parse().map_err(|_| invalid(text))?;
        Inet::new(&v6.octets(), prefix.unwrap_or(128))
    } else {
        // Fewer than four parts need a prefix: the others are 0.
        let mut octets = [0; 4];
        let mut count = 0;
        for part in address.split('.') {
            digits(part).ok_or_else(|| invalid(text))?;
            *octets.get_mut(count).ok_or_else(|| invalid(text))? =
                part.parse::<u8>().map_err(|_| invalid(text))?;
            count += 1;
        }
        if count < 4 && prefix.is_none() {
            return Err(invalid(text));
        }
        Inet::new(&octets, prefix.unwrap_or(32))
    };
    parsed.map(|inet| inet.encode()).ok_or_else(|| invalid(text))
}

/// inet_out: the prefix length only where it is not the whole address.
pub(super) fn write_inet(bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(inet) = Inet::decode(bytes) else { return };
    let text = if inet.prefix == inet.bits() { inet.host() } else { inet.text() };
    out.extend_from_slice(text.as_bytes());
}

/// inet_recv: family, prefix length, whether it is a cidr, length of the address, address.
pub(super) fn parse_binary_inet(bytes: &[u8]) -> PgResult<Vec<u8>> {
    let invalid = |what: &str| {
        let message = format!("invalid {what} in external \"inet\" value");
        PgError::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
    };
    let [family, prefix, _, length, address @ ..] = bytes else {
        return Err(PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
    };
    let wanted = match *family {
        FAMILY_V4 => 4,
        FAMILY_V6 => 16,
        _ => return Err(invalid("address family")),
    };
    if usize::from(*prefix) > 8 * wanted {
        return Err(invalid("bits"));
    }
    if usize::from(*length) != wanted {
        return Err(invalid("length"));
    }
    let Some(inet) = Inet::new(address, *prefix) else {
        return Err(PgError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
    };
    Ok(inet.encode())
}

/// inet_send
pub(super) fn write_binary_inet(bytes: &[u8], out: &mut Vec<u8>) {
    let Ok(inet) = Inet::decode(bytes) else { return };
    let family = if inet.is_v6 { FAMILY_V6 } else { FAMILY_V4 };
    out.extend_from_slice(&[family, inet.prefix, 0, inet.address().len() as u8]);
    out.extend_from_slice(inet.address());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_inet(bytes, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn values_survive_their_forms() {
        for written in [
            "10.0.0.1",
            "10.0.0.1/8",
            "0.0.0.0/0",
            "::1",
            "fe80::1/64",
            "::/0",
            "::ffff:1.2.3.4",
            "2001:db8::",
        ] {
            let bytes = parse_inet(written).expect(written);
            assert_eq!(text(&bytes), written);
            let mut binary = Vec::new();
            write_binary_inet(&bytes, &mut binary);
            assert_eq!(parse_binary_inet(&binary), Ok(bytes));
        }
        assert_eq!(text(&parse_inet("10.1/16").expect("a network")), "10.1.0.0/16");
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.256",
            "10.0.0.1/33",
            "1.2.3.4.5",
            "::1/129",
            "x",
            "10.0.0.1/",
            "1.2.3.4/+8",
        ] {
            assert!(parse_inet(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_are_in_the_order_of_networks() {
        let ascending = [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.5.5.5/8",
            "10.0.0.0/16",
            "10.0.5.0/24",
            "10.1.0.0/16",
            "11.0.0.0",
            "::/0",
            "::1",
        ];
        let bytes: Vec<Vec<u8>> = ascending.iter().map(|text| parse_inet(text).expect("valid")).collect();
        assert!(bytes.is_sorted(), "{bytes:?}");
    }
}
