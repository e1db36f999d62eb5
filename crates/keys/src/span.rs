//! [`Span`]: a part of the keyspace.

use std::fmt;

use crate::Key;

/// The keys from `start` (included) to `end` (excluded).
///
/// - An `end` that is empty is not "unbounded": the span of everything is [`Span::ALL`].
/// - A span with `start >= end` contains nothing; [`Span::is_empty`] says so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first key of the span.
    pub start: Key,
    /// The first key above the span.
    pub end: Key,
}

impl Span {
    /// The whole addressed keyspace.
    pub const ALL: Span = Span { start: Key::MIN, end: Key::MAX };

    /// The keys from `start` (included) to `end` (excluded).
    pub fn new(start: impl Into<Key>, end: impl Into<Key>) -> Span {
        Span { start: start.into(), end: end.into() }
    }

    /// The span that contains one key alone.
    pub fn point(key: Key) -> Span {
        let end = key.next();
        Span { start: key, end }
    }

    /// All keys that start with `prefix`.
    pub fn prefix(prefix: impl Into<Key>) -> Span {
        let start = prefix.into();
        let end = start.prefix_end();
        Span { start, end }
    }

    /// Whether no key can be inside.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Whether the span consists of its start key alone.
    pub fn is_point(&self) -> bool {
        let (start, end) = (self.start.as_slice(), self.end.as_slice());
        end.len() == start.len() + 1 && end[start.len()] == 0 && &end[..start.len()] == start
    }

    /// Whether `key` is inside.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.as_slice() <= key && key < self.end.as_slice()
    }

    /// Whether every key of `other` is inside. An empty span is inside every span.
    pub fn contains_span(&self, other: &Span) -> bool {
        other.is_empty() || (self.start <= other.start && other.end <= self.end)
    }

    /// Whether some key is inside both.
    pub fn overlaps(&self, other: &Span) -> bool {
        !self.is_empty() && !other.is_empty() && self.start < other.end && other.start < self.end
    }

    /// The keys that are inside both; `None` if there are none.
    pub fn intersection(&self, other: &Span) -> Option<Span> {
        if !self.overlaps(other) {
            return None;
        }
        let start = if self.start >= other.start { &self.start } else { &other.start };
        let end = if self.end <= other.end { &self.end } else { &other.end };
        Some(Span { start: start.clone(), end: end.clone() })
    }

    /// The smallest span that contains both. An empty span adds nothing.
    pub fn cover(&self, other: &Span) -> Span {
        if self.is_empty() {
            return other.clone();
        }
        if other.is_empty() {
            return self.clone();
        }
        Span {
            start: std::cmp::min(&self.start, &other.start).clone(),
            end: std::cmp::max(&self.end, &other.end).clone(),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> Span {
        Span::new(start, end)
    }

    #[test]
    fn a_point_contains_its_key_alone() {
        let point = Span::point(Key::from("b"));
        assert!(point.is_point() && point.contains(b"b"));
        assert!(!point.contains(b"a") && !point.contains(b"b\0") && !point.contains(b"c"));
        assert!(!span("b", "c").is_point() && !span("b", "b\0\0").is_point());
    }

    #[test]
    fn overlap_and_intersection_agree() {
        assert_eq!(span("a", "c").intersection(&span("b", "d")), Some(span("b", "c")));
        assert_eq!(span("a", "b").intersection(&span("b", "d")), None);
        assert!(!span("a", "b").overlaps(&span("b", "d")));
        assert!(!span("b", "b").overlaps(&span("a", "c")));
    }

    #[test]
    fn cover_spans_the_gap_and_ignores_empty_spans() {
        assert_eq!(span("a", "b").cover(&span("c", "d")), span("a", "d"));
        assert_eq!(span("x", "x").cover(&span("c", "d")), span("c", "d"));
        assert!(
            span("a", "d").contains_span(&span("b", "d")) && !span("a", "d").contains_span(&span("b", "e"))
        );
    }
}
