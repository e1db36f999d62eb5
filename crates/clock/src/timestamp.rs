//! [`Timestamp`]: 64 bits of wall time, 32 bits of counter.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stdx::WallTime;

/// A point in hybrid logical time. Ordered by `wall`, then `logical`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Nanoseconds since 1970-01-01 00:00:00 UTC.
    pub wall: u64,
    /// Orders timestamps with the same wall part.
    pub logical: u32,
}

/// Bytes of an encoded timestamp.
const ENCODED_SIZE: usize = 12;

impl Timestamp {
    /// Before everything. Nothing happens at this time: it stands for "none".
    pub const ZERO: Timestamp = Timestamp { wall: 0, logical: 0 };
    /// After everything.
    pub const MAX: Timestamp = Timestamp { wall: u64::MAX, logical: u32::MAX };
    /// Bytes of an encoded timestamp.
    pub const ENCODED_SIZE: usize = ENCODED_SIZE;

    /// From nanoseconds since 1970 and a counter.
    pub const fn new(wall: u64, logical: u32) -> Timestamp {
        Timestamp { wall, logical }
    }

    /// A wall clock reading with counter 0.
    pub const fn from_wall(wall: WallTime) -> Timestamp {
        Timestamp { wall: wall.unix_nanos(), logical: 0 }
    }

    /// The wall part.
    pub const fn wall_time(self) -> WallTime {
        WallTime::from_unix_nanos(self.wall)
    }

    /// Whether this is [`Timestamp::ZERO`], "none".
    pub const fn is_zero(self) -> bool {
        self.wall == 0 && self.logical == 0
    }

    /// The next timestamp. [`Timestamp::MAX`] has none and stays.
    pub const fn next(self) -> Timestamp {
        match self.logical.checked_add(1) {
            Some(logical) => Timestamp { wall: self.wall, logical },
            None if self.wall == u64::MAX => self,
            None => Timestamp { wall: self.wall + 1, logical: 0 },
        }
    }

    /// The timestamp before. [`Timestamp::ZERO`] has none and stays.
    pub const fn prev(self) -> Timestamp {
        match self.logical.checked_sub(1) {
            Some(logical) => Timestamp { wall: self.wall, logical },
            None if self.wall == 0 => self,
            None => Timestamp { wall: self.wall - 1, logical: u32::MAX },
        }
    }

    /// Later by `duration`, at most [`Timestamp::MAX`]; the counter stays.
    pub fn saturating_add(self, duration: Duration) -> Timestamp {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match self.wall.checked_add(nanos) {
            Some(wall) => Timestamp { wall, logical: self.logical },
            None => Timestamp::MAX,
        }
    }

    /// Earlier by `duration`, at least [`Timestamp::ZERO`]; the counter stays.
    pub fn saturating_sub(self, duration: Duration) -> Timestamp {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match self.wall.checked_sub(nanos) {
            Some(wall) => Timestamp { wall, logical: self.logical },
            None => Timestamp::ZERO,
        }
    }

    /// How much wall time lies between `earlier` and this; zero if it is not earlier.
    pub fn wall_since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.wall.saturating_sub(earlier.wall))
    }

    /// 12 bytes whose order as bytes is the order of timestamps: both parts big-endian.
    pub const fn to_bytes(self) -> [u8; ENCODED_SIZE] {
        let wall = self.wall.to_be_bytes();
        let logical = self.logical.to_be_bytes();
        [
            wall[0], wall[1], wall[2], wall[3], wall[4], wall[5], wall[6], wall[7], logical[0], logical[1],
            logical[2], logical[3],
        ]
    }

    /// The inverse of [`Timestamp::to_bytes`]; every 12 bytes are a timestamp.
    pub const fn from_bytes(b: [u8; ENCODED_SIZE]) -> Timestamp {
        Timestamp {
            wall: u64::from_be_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]),
            logical: u32::from_be_bytes([b[8], b[9], b[10], b[11]]),
        }
    }

    /// 12 bytes whose order as bytes is the *reverse* of the order of timestamps: newest first.
    pub const fn to_bytes_descending(self) -> [u8; ENCODED_SIZE] {
        Timestamp { wall: !self.wall, logical: !self.logical }.to_bytes()
    }

    /// The inverse of [`Timestamp::to_bytes_descending`].
    pub const fn from_bytes_descending(b: [u8; ENCODED_SIZE]) -> Timestamp {
        let inverted = Timestamp::from_bytes(b);
        Timestamp { wall: !inverted.wall, logical: !inverted.logical }
    }
}

impl fmt::Display for Timestamp {
    /// Seconds with nine decimals, a comma, the counter: `1.500000000,3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.wall_time(), self.logical)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp: {0:?}")]
pub struct TimestampParseError(pub String);

impl FromStr for Timestamp {
    type Err = TimestampParseError;

    /// `<seconds>[.<up to nine decimals>][,<counter>]`: what `Display` prints, and shorter.
    fn from_str(text: &str) -> Result<Timestamp, TimestampParseError> {
        parse(text).ok_or_else(|| TimestampParseError(text.to_string()))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (time, logical) = match text.split_once(',') {
        Some((time, logical)) => (time, logical),
        None => (text, "0"),
    };
    let (seconds, fraction) = match time.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (time, "0"),
    };
    if !digits(seconds) || !digits(fraction) || !digits(logical) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(9 - fraction.len() as u32);
    let nanos = fraction.parse::<u64>().ok()? * scale;
    let wall = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?;
    Some(Timestamp { wall, logical: logical.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_timestamp() -> impl Strategy<Value = Timestamp> {
        let wall = prop_oneof![any::<u64>(), 0u64..3, Just(u64::MAX)];
        let logical = prop_oneof![any::<u32>(), 0u32..3, Just(u32::MAX)];
        (wall, logical).prop_map(|(wall, logical)| Timestamp { wall, logical })
    }

    proptest! {
        #[test]
        fn encodings_keep_the_order(a in any_timestamp(), b in any_timestamp()) {
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
            prop_assert_eq!(a.to_bytes_descending().cmp(&b.to_bytes_descending()), b.cmp(&a));
            prop_assert_eq!(Timestamp::from_bytes(a.to_bytes()), a);
            prop_assert_eq!(Timestamp::from_bytes_descending(a.to_bytes_descending()), a);
        }

        #[test]
        fn next_and_prev_are_neighbours(a in any_timestamp()) {
            if a != Timestamp::MAX {
                prop_assert!(a < a.next() && a.next().prev() == a);
            }
            if a != Timestamp::ZERO {
                prop_assert!(a.prev() < a && a.prev().next() == a);
            }
        }

        #[test]
        fn what_is_printed_parses_back(a in any_timestamp()) {
            prop_assert_eq!(a.to_string().parse::<Timestamp>(), Ok(a));
        }

        #[test]
        fn any_text_parses_or_fails(text in "[0-9.,x-]{0,14}") {
            let _ = text.parse::<Timestamp>();
        }
    }

    #[test]
    fn short_forms_parse() {
        assert_eq!("5".parse(), Ok(Timestamp::new(5_000_000_000, 0)));
        assert_eq!("5.25".parse(), Ok(Timestamp::new(5_250_000_000, 0)));
        assert_eq!("0.1,7".parse(), Ok(Timestamp::new(100_000_000, 7)));
        for wrong in ["", "-1", "1.", ".5", "1,", "1.0000000001", "99999999999999", "1,99999999999", "+1"] {
            assert!(wrong.parse::<Timestamp>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn frozen_bytes() {
        let timestamp = Timestamp::new(0x0102_0304_0506_0708, 0x090a_0b0c);
        assert_eq!(timestamp.to_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(
            Timestamp::new(1, 2).to_bytes_descending(),
            [255, 255, 255, 255, 255, 255, 255, 254, 255, 255, 255, 253]
        );
    }
}
