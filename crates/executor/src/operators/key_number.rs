//! Keys as numbers: where to cut a span so that the parts hold about as many rows.
//!
//! Rows that were read tell how dense keys lie: between the first key and the last one, `rows` of them. The bytes behind what the two
//! have in common, read as a big-endian number, give the distance; a part of `wanted` rows is then as wide as
//! `distance / rows * wanted`. That is exact for integers that are handed out in order, and a guess for anything else. A wrong
//! guess makes a part too large or too small, nothing worse: whoever reads the parts corrects it by what it finds.

use keys::{Key, Span};

/// Bytes of a key that make up its number.
const NUMBER_BYTES: usize = 16;

/// How wide a part of the wanted number of rows is thought to be.
///
/// - Says something of keys that begin with `prefix` only.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Width {
    prefix: Vec<u8>,
    width: u128,
}

impl Width {
    /// From `rows` rows, at least two, of which `first` and `last` are the outermost keys. `None`: they tell nothing.
    pub fn of(first: &[u8], last: &[u8], rows: u64, wanted: u64) -> Option<Width> {
        let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let distance = number(&last[common..]).checked_sub(number(&first[common..]))?;
        let steps = u128::from(rows.checked_sub(1)?);
        if distance == 0 || steps == 0 {
            return None;
        }
        let wanted = u128::from(wanted);
        let width = distance
            .checked_mul(wanted)
            .map_or_else(|| (distance / steps).saturating_mul(wanted), |all| all / steps);
        Some(Width { prefix: first[..common].to_vec(), width: width.max(1) })
    }

    /// Few rows were found.
    pub fn widen(&mut self) {
        self.width = self.width.saturating_mul(4);
    }

    /// Where the first part of `span` ends; `None` if all of it is one part.
    pub fn cut(&self, span: &Span) -> Option<Key> {
        let behind = span.start.strip_prefix(self.prefix.as_slice())?;
        let end = match number(behind).checked_add(self.width) {
            Some(end) => {
                let end = end.to_be_bytes();
                let length = end.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                Key::from([self.prefix.as_slice(), &end[..length]].concat())
            }
            None => Key::copy_from(&self.prefix).prefix_end(),
        };
        (end > span.start && end < span.end).then_some(end)
    }
}

fn number(bytes: &[u8]) -> u128 {
    let mut padded = [0; NUMBER_BYTES];
    let taken = bytes.len().min(NUMBER_BYTES);
    padded[..taken].copy_from_slice(&bytes[..taken]);
    u128::from_be_bytes(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Vec<u8> {
        [b"table".as_slice(), &number.to_be_bytes()].concat()
    }

    #[test]
    fn integers_handed_out_in_order_are_cut_exactly() {
        let width = Width::of(&key(1000), &key(1999), 1000, 500).expect("they differ");
        let span = Span::new(key(2000), key(1_000_000));
        let cut = width.cut(&span).expect("there is more");
        assert_eq!(*cut, key(2500));
        assert_eq!(width.cut(&Span::new(key(2000), key(2400))), None, "all of it is less than a part");
    }

    #[test]
    fn what_lies_elsewhere_is_one_part() {
        let width = Width::of(b"a/1", b"a/9", 9, 9).expect("they differ");
        assert_eq!(width.cut(&Span::new(&b"b/1"[..], &b"b/9"[..])), None);
        let end = width.cut(&Span::new(&b"a/\xff\xff"[..], &b"c"[..]));
        assert_eq!(end.as_deref(), Some(&b"a0"[..]), "a part ends where its keys do");
    }

    #[test]
    fn equal_keys_and_single_rows_tell_nothing() {
        assert_eq!(Width::of(b"a", b"a", 2, 10), None);
        assert_eq!(Width::of(b"a", b"b", 1, 10), None);
        let far = Width::of(b"", &[0xff; 40], 2, 1 << 40).expect("they differ");
        assert_eq!(far.cut(&Span::new(&b"x"[..], &b"y"[..])), None, "wider than there are keys");
    }

    #[test]
    fn widening_never_overflows() {
        let mut width = Width::of(b"a", b"b", 2, 10).expect("they differ");
        (0..200).for_each(|_| width.widen());
        assert_eq!(width.cut(&Span::new(&b"x"[..], &b"y"[..])), None);
    }
}
