//! Reading TZif (RFC 8536): the compiled form of a zone's history.
//!
//! ```text
//! "TZif" version 15 zeros, six counts      a first block with 32-bit times, stepped over
//! "TZif" version 15 zeros, six counts      the block that counts, with 64-bit times:
//!     transition times, type of each, types (offset, daylight saving, name), names, leap seconds, indicators
//! newline POSIX rule newline               what holds after the last transition
//! ```

use super::posix::PosixZone;

/// A local time as a zone keeps it for a while.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalType {
    pub east_seconds: i32,
    pub daylight_saving: bool,
    pub abbreviation: Box<str>,
}

/// A zone's history and future.
///
/// - `transitions[i]` (seconds since 1970 UTC, increasing) begins `types[type_of[i]]`; before the first, `types[0]` holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Region {
    pub transitions: Vec<i64>,
    pub type_of: Vec<u8>,
    pub types: Vec<LocalType>,
    pub rule: Option<PosixZone>,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }
}

/// The counts of a block's header, in the order of the format.
struct Counts {
    indicators_utc: usize,
    indicators_standard: usize,
    leaps: usize,
    times: usize,
    types: usize,
    characters: usize,
}

fn header(reader: &mut Reader<'_>) -> Option<Counts> {
    if reader.take(4)? != b"TZif" {
        return None;
    }
    reader.take(16)?;
    let mut next = || reader.u32().map(|count| count as usize);
    Some(Counts {
        indicators_utc: next()?,
        indicators_standard: next()?,
        leaps: next()?,
        times: next()?,
        types: next()?,
        characters: next()?,
    })
}

/// Parses a file; `None` when it is not one.
pub(super) fn parse(bytes: &[u8]) -> Option<Region> {
    let mut reader = Reader { rest: bytes };
    let first = header(&mut reader)?;
    let first_size = first.times * 5
        + first.types * 6
        + first.characters
        + first.leaps * 8
        + first.indicators_standard
        + first.indicators_utc;
    reader.take(first_size)?;
    let counts = header(&mut reader)?;
    let times = reader.take(counts.times * 8)?;
    let transitions: Vec<i64> =
        times.chunks_exact(8).map(|time| i64::from_be_bytes(time.try_into().expect("eight bytes"))).collect();
    let type_of = reader.take(counts.times)?.to_vec();
    let descriptions = reader.take(counts.types * 6)?;
    let characters = reader.take(counts.characters)?;
    reader.take(counts.leaps * 12 + counts.indicators_standard + counts.indicators_utc)?;
    let types = descriptions
        .chunks_exact(6)
        .map(|description| {
            let name = characters.get(usize::from(description[5])..)?;
            let name = &name[..name.iter().position(|&byte| byte == 0)?];
            Some(LocalType {
                east_seconds: i32::from_be_bytes(description[..4].try_into().expect("four bytes")),
                daylight_saving: description[4] != 0,
                abbreviation: std::str::from_utf8(name).ok()?.into(),
            })
        })
        .collect::<Option<Vec<_>>>()?;
    if types.is_empty() || type_of.iter().any(|&index| usize::from(index) >= types.len()) {
        return None;
    }
    let footer = reader.rest.strip_prefix(b"\n")?;
    let footer = std::str::from_utf8(&footer[..footer.iter().position(|&byte| byte == b'\n')?]).ok()?;
    let rule = if footer.is_empty() { None } else { Some(PosixZone::parse(footer)?) };
    Some(Region { transitions, type_of, types, rule })
}
