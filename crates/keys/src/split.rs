//! Where a range may be split.
//!
//! A row is one key-value pair, and so is an index entry: whatever byte string inside the range is taken as the
//! boundary, no row is torn apart. What has to be ruled out follows from the layout alone, not from rows:
//!
//! - local keys are not addressed and are in no range;
//! - `/meta1` must stay in the first range, which is found by its fixed id and not by addressing.
//!
//! The boundaries that addressing relies on ([`static_split_keys`]) exist from bootstrap on and are never
//! merged away.

use crate::{Key, addressing, prefix};

/// Why a key cannot be the boundary between two ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsafeSplit {
    /// The key is a bound of the keyspace or a local key, which are not addressed.
    #[error("the key is not in the addressed keyspace")]
    NotAddressed,
    /// `/meta1` is found without addressing and cannot be split.
    #[error("the first level of addressing cannot be split")]
    FirstLevel,
    /// Above the record of the last range there is none, and a boundary there would share its own record with the end
    /// of the second level.
    #[error("the end of the second level of addressing cannot be split off")]
    SecondLevelEnd,
}

/// Accepts `key` as the first key of a new range, or says why it cannot be.
pub fn check_split_key(key: &[u8]) -> Result<(), UnsafeSplit> {
    match key.first() {
        None | Some(&prefix::LOCAL) | Some(&prefix::MAX) | Some(0) => Err(UnsafeSplit::NotAddressed),
        Some(&prefix::META1) => Err(UnsafeSplit::FirstLevel),
        Some(&prefix::META2) if key[1..] >= Key::MAX[..] => Err(UnsafeSplit::SecondLevelEnd),
        Some(_) => Ok(()),
    }
}

/// The boundaries that exist from bootstrap on, in order. Merging must keep them.
///
/// They separate the two levels of addressing from each other and from everything else, so that the end key of
/// a range tells in which level its descriptor is stored.
pub fn static_split_keys() -> [Key; 3] {
    [addressing::META2_SPAN.start, addressing::META2_SPAN.end, Key::from_static(&[prefix::TABLE])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_second_level_records_can_be_split_keys() {
        assert_eq!(
            check_split_key(&crate::table::index_prefix(crate::TableId(104), crate::IndexId(1))),
            Ok(())
        );
        assert_eq!(check_split_key(&addressing::meta2_key(b"x")), Ok(()));
        assert_eq!(check_split_key(&addressing::meta1_key(b"x")), Err(UnsafeSplit::FirstLevel));
        assert_eq!(check_split_key(&addressing::meta2_key(&Key::MAX)), Err(UnsafeSplit::SecondLevelEnd));
        assert_eq!(check_split_key(&Key::MIN), Err(UnsafeSplit::NotAddressed));
        assert_eq!(check_split_key(&Key::MAX), Err(UnsafeSplit::NotAddressed));
        for key in static_split_keys() {
            assert_eq!(check_split_key(&key), Ok(()));
        }
    }
}
