//! inet: parts of addresses, and which network lies within which.

use super::kernel::evaluators;
use types::format::inet::Inet;
use types::{PgError, PgResult, SqlState};

fn with_prefix(inet: Inet, prefix: i32) -> PgResult<Vec<u8>> {
    let prefix = if prefix == -1 { i32::from(inet.bits()) } else { prefix };
    let changed = u8::try_from(prefix).ok().and_then(|prefix| Inet::new(inet.address(), prefix));
    changed.map(|inet| inet.encode()).ok_or_else(|| {
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid mask length: {prefix}"))
    })
}

/// Whether `a` lies within the network `b`, which may be the same one if `or_equal`.
fn within(a: &[u8], b: &[u8], or_equal: bool) -> PgResult<bool> {
    let (a, b) = (Inet::decode(a)?, Inet::decode(b)?);
    let deeper = if or_equal { a.prefix >= b.prefix } else { a.prefix > b.prefix };
    Ok(deeper && a.same_network(&b, b.prefix))
}

evaluators! {
    fn network_host(a: bytes) -> try text { Ok(Inet::decode(a)?.host()) }
    fn network_show(a: bytes) -> try text { Ok(Inet::decode(a)?.text()) }
    fn inet_abbrev(a: bytes) -> try text {
        let inet = Inet::decode(a)?;
        Ok(if inet.prefix == inet.bits() { inet.host() } else { inet.text() })
    }
    fn network_masklen(a: bytes) -> try i32 { Ok(i32::from(Inet::decode(a)?.prefix)) }
    fn network_family(a: bytes) -> try i32 { Ok(Inet::decode(a)?.family()) }
    fn network_broadcast(a: bytes) -> try bytes {
        let inet = Inet::decode(a)?;
        Ok(inet.map(inet.prefix, |byte, mask| byte | !mask).encode())
    }
    fn network_netmask(a: bytes) -> try bytes {
        let inet = Inet::decode(a)?;
        Ok(inet.map(inet.bits(), |_, mask| mask).encode())
    }
    fn network_hostmask(a: bytes) -> try bytes {
        let inet = Inet::decode(a)?;
        Ok(inet.map(inet.bits(), |_, mask| !mask).encode())
    }
    fn inet_set_masklen(a: bytes, prefix: i32) -> try bytes { with_prefix(Inet::decode(a)?, prefix) }
    fn inet_same_family(a: bytes, b: bytes) -> try bool {
        Ok(Inet::decode(a)?.family() == Inet::decode(b)?.family())
    }
    fn network_sub(a: bytes, b: bytes) -> try bool { within(a, b, false) }
    fn network_subeq(a: bytes, b: bytes) -> try bool { within(a, b, true) }
    fn network_sup(a: bytes, b: bytes) -> try bool { within(b, a, false) }
    fn network_supeq(a: bytes, b: bytes) -> try bool { within(b, a, true) }
    fn network_overlap(a: bytes, b: bytes) -> try bool {
        let (a, b) = (Inet::decode(a)?, Inet::decode(b)?);
        Ok(a.same_network(&b, a.prefix.min(b.prefix)))
    }
}
