//! `/table/<table id>/<index id>/<columns>`: rows and index entries.
//!
//! - Ids are written with [`encoding::put_u64_varying`]: one byte each up to 246.
//! - The columns are written with the column encodings of [`encoding`]. All keys of one index have the same columns, so
//!   that they are prefix-free: no key of an index is a prefix of another.
//! - One row is one key, one index entry is one key. See [`crate::split`] for what follows from it.

use crate::encoding::{self, Decoder, KeyError};
use crate::{IndexId, Key, Span, TableId, prefix};

/// All rows of all tables.
pub const SPAN: Span = Span { start: Key::from_static(&[prefix::TABLE]), end: Key::MAX };

/// Room for the ids of most tables and a few columns: avoids growing while a key is built.
const KEY_CAPACITY: usize = 32;

/// Starts a key in an index: append the columns to it.
pub fn start_key(table: TableId, index: IndexId) -> Vec<u8> {
    let mut out = Vec::with_capacity(KEY_CAPACITY);
    put_index_prefix(&mut out, table, index);
    out
}

/// Appends the prefix of an index.
pub fn put_index_prefix(out: &mut Vec<u8>, table: TableId, index: IndexId) {
    out.push(prefix::TABLE);
    encoding::put_u64_varying(out, table.get() as u64);
    encoding::put_u64_varying(out, index.get() as u64);
}

/// The prefix of all keys of a table.
pub fn table_prefix(table: TableId) -> Key {
    let mut out = vec![prefix::TABLE];
    encoding::put_u64_varying(&mut out, table.get() as u64);
    Key::from(out)
}

/// The prefix of all keys of an index.
pub fn index_prefix(table: TableId, index: IndexId) -> Key {
    Key::from(start_key(table, index))
}

/// All keys of a table.
pub fn table_span(table: TableId) -> Span {
    Span::prefix(table_prefix(table))
}

/// All keys of an index.
pub fn index_span(table: TableId, index: IndexId) -> Span {
    Span::prefix(index_prefix(table, index))
}

/// Takes a row key apart; the decoder returned stands at the first column.
pub fn parse(key: &[u8]) -> Result<(TableId, IndexId, Decoder<'_>), KeyError> {
    let mut decoder = Decoder::new(key);
    let first = decoder.take_u8()?;
    if first != prefix::TABLE {
        return Err(KeyError::Invalid(first));
    }
    let table = take_id(&mut decoder)?;
    let index = take_id(&mut decoder)?;
    Ok((TableId(table), IndexId(index), decoder))
}

/// The table in which a key lies, and the index if the key says it.
pub fn place(key: &[u8]) -> Option<(TableId, Option<IndexId>)> {
    let mut decoder = Decoder::new(key);
    let table = (decoder.take_u8().ok()? == prefix::TABLE).then(|| take_id(&mut decoder).ok())??;
    Some((TableId(table), take_id(&mut decoder).ok().map(IndexId)))
}

pub(crate) fn take_id(decoder: &mut Decoder<'_>) -> Result<u32, KeyError> {
    let first = decoder.peek()?;
    decoder.take_u64_varying()?.try_into().map_err(|_| KeyError::Invalid(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn tables_and_indexes_do_not_overlap() {
        let ids = [1, 2, 246, 247, 255, 256, 65_535, 65_536, u32::MAX];
        let mut spans = Vec::new();
        for table in ids {
            for index in ids {
                spans.push(index_span(TableId(table), IndexId(index)));
            }
            assert!(table_span(TableId(table)).contains_span(spans.last().expect("just pushed")));
        }
        for pair in spans.windows(2) {
            assert!(pair[0].end <= pair[1].start, "{} {}", pair[0], pair[1]);
        }
        assert!(SPAN.contains_span(spans.last().expect("not empty")));
    }

    #[test]
    fn a_row_key_is_short() {
        let mut key = start_key(TableId(104), IndexId::PRIMARY);
        encoding::put_int(&mut key, 70_000, Direction::Ascending);
        assert_eq!(key, [prefix::TABLE, 104, 1, 0x62, 1, 0x11, 0x70]);
        let (table, index, mut columns) = parse(&key).expect("a row key");
        assert_eq!((table, index), (TableId(104), IndexId::PRIMARY));
        assert_eq!(columns.take_int(Direction::Ascending), Ok(70_000));
        assert_eq!(columns.finish(), Ok(()));
    }
}
