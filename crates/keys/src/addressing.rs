//! Two levels of records that say which range holds a key.
//!
//! Every range's descriptor is stored under the end key of the range, one level up:
//!
//! ```text
//! range                         its descriptor is at
//! [/min,      /meta2)           nowhere: range 1, known by its id (it holds /meta1)
//! [/meta2,    /meta2/k1)        /meta1/k1
//! [/meta2/k1, /system)          /meta1/max        (the end of /meta2 is a static boundary)
//! [/system,   /table)           /meta2/table
//! [/table,    /table/104/1/7)   /meta2/table/104/1/7
//! [/table/104/1/7, /max)        /meta2/max
//! ```
//!
//! The descriptor of the range that contains `key` is the first record *above* the position of `key` in the
//! level above it: [`lookup_span`] gives the span whose first record it is. Reading on in the same span gives
//! the descriptors of the following ranges, which is what a scan wants.

use crate::{Key, Span, prefix};

/// The first level: descriptors of the ranges that hold the second level.
pub const META1_SPAN: Span =
    Span { start: Key::from_static(&[prefix::META1]), end: Key::from_static(&[prefix::META2]) };
/// The second level: descriptors of all other ranges.
pub const META2_SPAN: Span =
    Span { start: Key::from_static(&[prefix::META2]), end: Key::from_static(&[prefix::SYSTEM]) };
/// The span of the range that holds the first level: the one range that has no addressing record.
pub const FIRST_RANGE_SPAN: Span = Span { start: Key::MIN, end: Key::from_static(&[prefix::META2]) };

fn with_prefix(first: u8, rest: &[u8]) -> Key {
    let mut bytes = Vec::with_capacity(rest.len() + 1);
    bytes.push(first);
    bytes.extend_from_slice(rest);
    Key::from(bytes)
}

/// The key of the first-level record for what follows the prefix in a second-level key.
pub fn meta1_key(rest: &[u8]) -> Key {
    with_prefix(prefix::META1, rest)
}

/// The key of the second-level record for a key outside of addressing.
pub fn meta2_key(key: &[u8]) -> Key {
    with_prefix(prefix::META2, key)
}

/// Under which key the descriptor of the range that ends at `end` is stored; `None` for the first range.
pub fn descriptor_key(end: &Key) -> Option<Key> {
    if *end <= FIRST_RANGE_SPAN.end {
        None
    } else if *end < META2_SPAN.end {
        Some(meta1_key(&end[1..]))
    } else if *end == META2_SPAN.end {
        Some(meta1_key(&Key::MAX))
    } else {
        Some(meta2_key(end))
    }
}

/// The span whose first record is the descriptor of the range that contains `key`; `None` if that is the first
/// range. A range ending exactly at `key` does not contain it, hence the span starts above `key`'s own position.
pub fn lookup_span(key: &[u8]) -> Option<Span> {
    if FIRST_RANGE_SPAN.contains(key) {
        None
    } else if META2_SPAN.contains(key) {
        Some(Span { start: meta1_key(&key[1..]).next(), end: META1_SPAN.end })
    } else {
        Some(Span { start: meta2_key(key).next(), end: META2_SPAN.end })
    }
}

/// The span whose first record is the descriptor of the range that holds the keys just below `key`: for scans
/// that go backwards. `None` if that is the first range.
///
/// The range wanted is the one with `start < key <= end`, whose record is the first at or above `key`'s position.
pub fn lookup_span_before(key: &[u8]) -> Option<Span> {
    if key <= FIRST_RANGE_SPAN.end.as_slice() {
        None
    } else if key <= META2_SPAN.end.as_slice() {
        let rest = if key == META2_SPAN.end.as_slice() { Key::MAX } else { Key::copy_from(&key[1..]) };
        Some(Span { start: meta1_key(&rest), end: META1_SPAN.end })
    } else {
        Some(Span { start: meta2_key(key), end: META2_SPAN.end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A model cluster: ranges by their boundaries, and the records that they store.
    fn records(boundaries: &[Key]) -> BTreeMap<Key, Span> {
        boundaries
            .windows(2)
            .filter_map(|pair| {
                let span = Span::new(pair[0].clone(), pair[1].clone());
                descriptor_key(&span.end).map(|key| (key, span))
            })
            .collect()
    }

    #[test]
    fn every_key_is_found_in_the_range_that_contains_it() {
        let boundaries = [
            Key::MIN,
            META2_SPAN.start,
            meta2_key(b"\x10m"),
            META2_SPAN.end,
            Key::from("\u{10}"),
            Key::from("\u{10}c"),
            Key::from("\u{10}m"),
            Key::MAX,
        ];
        let records = records(&boundaries);
        assert_eq!(records.len(), boundaries.len() - 2, "every range but the first has a record of its own");
        let probes: Vec<Key> = boundaries[..boundaries.len() - 1]
            .iter()
            .flat_map(|key| [key.clone(), key.next(), Key::from([key.as_slice(), b"\x10zz"].concat())])
            .collect();
        for key in probes {
            match lookup_span(&key) {
                None => assert!(FIRST_RANGE_SPAN.contains(&key), "{key}"),
                Some(span) => {
                    let (_, range) = records.range(span.start..span.end).next().expect("a record is found");
                    assert!(range.contains(&key), "{key} looked up {range}");
                }
            }
            match lookup_span_before(&key) {
                None => assert!(key <= FIRST_RANGE_SPAN.end),
                Some(span) => {
                    let (_, range) = records.range(span.start..span.end).next().expect("a record is found");
                    assert!(range.start < key && key <= range.end, "{key} looked up {range}");
                }
            }
        }
    }
}
