//! Which span of the keyspace wants what of its ranges.
//!
//! The records lie in the keyspace (`keys::system::config`), one per span, by the span's first key; they are written by whoever knows
//! what the spans mean, in the transaction that changes the meaning. Spans do not overlap. Each store keeps a picture of all of them, and
//! splits ranges where what is wanted changes: so that every range has one configuration.
//!
//! # Bytes of a record, version 1
//!
//! ```text
//! record := version:u8 = 1, the span's end (32-bit length and bytes), a `RangeConfig` (32-bit length and bytes)
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;

use keys::{Key, Span};
use kvapi::wire::{Malformed, Reader, Writer};

use crate::config::RangeConfig;

/// A span and what is wanted of its ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanConfig {
    pub span: Span,
    pub config: RangeConfig,
}

impl SpanConfig {
    /// The record's value; its key has the start of the span.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(1);
        writer.bytes(&self.span.end);
        writer.bytes(&self.config.encode());
        bytes
    }

    pub fn decode(start: Key, bytes: &[u8]) -> Result<SpanConfig, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let end = reader.key()?;
        let config = RangeConfig::decode(reader.bytes()?)?;
        reader.finish()?;
        if start >= end {
            return Err(Malformed("a span without keys is configured"));
        }
        Ok(SpanConfig { span: Span { start, end }, config })
    }
}

fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

/// A store's picture of all configured spans.
///
/// - The spans do not overlap: of two that would, the one that begins later ends the other.
/// - Spans that touch and want the same are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpanConfigs {
    /// By the start: the end, and what is wanted.
    spans: BTreeMap<Key, (Key, RangeConfig)>,
}

impl SpanConfigs {
    pub fn new(configs: impl IntoIterator<Item = SpanConfig>) -> SpanConfigs {
        let each = configs.into_iter().map(|one| (one.span.start, (one.span.end, one.config)));
        let ordered: BTreeMap<Key, (Key, RangeConfig)> = each.collect();
        let mut spans: Vec<(Key, (Key, RangeConfig))> = Vec::with_capacity(ordered.len());
        for (start, (end, config)) in ordered {
            if let Some((_, (last_end, last_config))) = spans.last_mut() {
                if *last_end > start {
                    *last_end = start.clone();
                }
                if *last_end == start && *last_config == config {
                    *last_end = end;
                    continue;
                }
            }
            spans.push((start, (end, config)));
        }
        SpanConfigs { spans: spans.into_iter().collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// What is wanted of the range that holds a key. `None`: nothing is configured.
    pub fn of(&self, key: &[u8]) -> Option<&RangeConfig> {
        let (_, (end, config)) = self.spans.range::<[u8], _>(up_to(key)).next_back()?;
        (key < &end[..]).then_some(config)
    }

    /// The most replicas that are asked for anywhere. `None`: no number is asked for.
    pub fn replicas_max(&self) -> Option<u8> {
        self.spans.values().filter_map(|(_, config)| config.replicas).max()
    }

    /// The first key inside the span, not its start, where something else is wanted than before: a range ends there.
    pub fn border_in(&self, span: &Span) -> Option<&Key> {
        let inside = |key: &&Key| **key > span.start && **key < span.end;
        let over = self.spans.range::<[u8], _>(up_to(&span.start)).next_back().map(|(_, (end, _))| end);
        // What begins within the span may begin before what covers its start ends: they do not overlap, so it does not.
        let next = (Bound::Excluded(span.start.clone()), Bound::Unbounded);
        let begins = self.spans.range(next).next().map(|(start, _)| start);
        [over.filter(inside), begins.filter(inside)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(replicas: u8) -> RangeConfig {
        RangeConfig { replicas: Some(replicas), ..RangeConfig::default() }
    }

    fn configs(spans: &[(&str, &str, u8)]) -> SpanConfigs {
        let each = spans.iter().map(|(start, end, replicas)| SpanConfig {
            span: Span::new(start.as_bytes(), end.as_bytes()),
            config: config(*replicas),
        });
        SpanConfigs::new(each)
    }

    #[test]
    fn a_key_finds_what_is_wanted_of_it() {
        let configs = configs(&[("b", "d", 1), ("d", "f", 5)]);
        let of = |key: &str| configs.of(key.as_bytes()).and_then(|config| config.replicas);
        assert_eq!(
            ["a", "b", "cx", "d", "ez", "f"].map(of),
            [None, Some(1), Some(1), Some(5), Some(5), None]
        );
        assert_eq!((configs.replicas_max(), SpanConfigs::default().replicas_max()), (Some(5), None));
    }

    #[test]
    fn ranges_end_where_something_else_is_wanted() {
        let configs = configs(&[("b", "d", 1), ("d", "f", 5), ("h", "i", 3)]);
        let border = |start: &str, end: &str| {
            let span = Span::new(start.as_bytes(), end.as_bytes());
            configs.border_in(&span).map(|key| String::from_utf8_lossy(key).into_owned())
        };
        assert_eq!(border("a", "z").as_deref(), Some("b"));
        assert_eq!(border("b", "z").as_deref(), Some("d"));
        assert_eq!(border("d", "z").as_deref(), Some("f"));
        assert_eq!(border("f", "z").as_deref(), Some("h"));
        assert_eq!(border("i", "z"), None);
        assert_eq!(border("b", "d"), None);
        assert_eq!(border("c", "cz"), None);
    }

    #[test]
    fn spans_that_touch_and_want_the_same_are_one() {
        let joined = configs(&[("b", "d", 1), ("d", "f", 1), ("f", "h", 3), ("i", "k", 3)]);
        assert_eq!(joined, configs(&[("b", "f", 1), ("f", "h", 3), ("i", "k", 3)]));
        assert_eq!(configs(&[("b", "f", 1), ("d", "h", 3)]), configs(&[("b", "d", 1), ("d", "h", 3)]));
    }

    #[test]
    fn the_bytes_are_frozen() {
        let one = SpanConfig { span: Span::new("a", "b"), config: config(5) };
        let bytes = one.encode();
        let inner = [1, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes, [&[1, 0, 0, 0, 1, b'b', 0, 0, 0, 10][..], &inner].concat());
        assert_eq!(SpanConfig::decode(Key::from("a"), &bytes), Ok(one));
        assert!(SpanConfig::decode(Key::from("b"), &bytes).is_err());
    }
}
