//! string_agg and array_agg.

use super::GroupedAccumulator;
use super::codec::{Reader, put_bytes, put_datum};
use super::grouped::{Accumulate, Grouped};
use crate::bounds::enlarge;
use crate::functions::array;
use types::{DataType, Datum, PgError, PgResult, SqlState, Values, Vector};

/// Bytes joined with separators: the first value's separator is kept apart, so that states can be joined.
///
/// - `bytes` begins with the first separator, of `separator` bytes.
#[derive(Clone)]
pub(super) struct Joined {
    bytes: Vec<u8>,
    separator: usize,
}

fn append(state: &mut Option<Joined>, separator: &[u8], value: &[u8]) -> PgResult<()> {
    let joined = state.get_or_insert_with(|| Joined { bytes: Vec::new(), separator: separator.len() });
    enlarge(joined.bytes.len(), separator.len())?;
    enlarge(joined.bytes.len() + separator.len(), value.len())?;
    joined.bytes.extend_from_slice(separator);
    joined.bytes.extend_from_slice(value);
    Ok(())
}

fn encode(state: &Option<Joined>, out: &mut Vec<u8>) {
    out.push(u8::from(state.is_some()));
    if let Some(joined) = state {
        out.extend_from_slice(&(joined.separator as i64).to_le_bytes());
        put_bytes(out, |out| out.extend_from_slice(&joined.bytes));
    }
}

fn merge(state: &mut Option<Joined>, bytes: &mut Reader<'_>) -> PgResult<()> {
    if bytes.flag()? {
        let separator = bytes.i64()? as usize;
        let more = bytes.bytes()?;
        match state {
            Some(joined) => {
                enlarge(joined.bytes.len(), more.len())?;
                joined.bytes.extend_from_slice(more);
            }
            None => *state = Some(Joined { bytes: more.to_vec(), separator }),
        }
    }
    Ok(())
}

impl Joined {
    fn value(&self) -> &[u8] {
        &self.bytes[self.separator..]
    }
}

macro_rules! joining {
    ($($(#[$doc:meta])* $name:ident, $variant:ident, |$values:ident, $row:ident| $get:expr, |$bytes:ident| $result:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Accumulate for $name {
            type State = Option<Joined>;

            fn initial(&self) -> Option<Joined> {
                None
            }

            // A NULL separator counts as none; a NULL value is passed over.
            const SKIPS_NULLS: bool = false;

            fn add(&self, state: &mut Option<Joined>, arguments: &[&Vector], $row: usize) -> PgResult<()> {
                let (Values::$variant(values), Values::$variant(separators)) =
                    (&arguments[0].values, &arguments[1].values)
                else {
                    unreachable!("the arguments are of one kind: the binder typed them")
                };
                if arguments[0].is_null($row) {
                    return Ok(());
                }
                let value = { let $values = values; $get };
                let separator = if arguments[1].is_null($row) { &[][..] } else { let $values = separators; $get };
                append(state, separator, value)
            }

            fn encode(&self, state: &Option<Joined>, out: &mut Vec<u8>) {
                encode(state, out);
            }

            fn merge(&self, state: &mut Option<Joined>, bytes: &mut Reader<'_>) -> PgResult<()> {
                merge(state, bytes)
            }

            fn result(&self, state: &Option<Joined>) -> PgResult<Datum> {
                let Some(joined) = state else { return Ok(Datum::Null) };
                let $bytes = joined.value();
                $result
            }

            const HAS_HEAP: bool = true;

            fn heap_size(&self, state: &Option<Joined>) -> usize {
                state.as_ref().map_or(0, |joined| joined.bytes.capacity())
            }
        }
    )*};
}

joining! {
    /// string_agg(text, text).
    StringAgg, Text, |values, row| values.get(row).as_bytes(), |bytes| {
        let text = std::str::from_utf8(bytes).map_err(|_| PgError::internal("joined text is not UTF-8"))?;
        Ok(Datum::text(text))
    };
    /// string_agg(bytea, bytea).
    BytesAgg, Bytes, |values, row| values.get(row), |bytes| Ok(Datum::Bytes(bytes.into()));
}

pub(super) fn array_agg(argument: DataType, result: DataType) -> Box<dyn GroupedAccumulator> {
    let nested = matches!(argument, DataType::Array(_));
    Grouped::boxed(ArrayAgg { argument, result, nested }, result)
}

/// array_agg: NULLs are elements too; arrays make one more dimension.
struct ArrayAgg {
    argument: DataType,
    result: DataType,
    nested: bool,
}

impl Accumulate for ArrayAgg {
    type State = Vec<Datum>;

    fn initial(&self) -> Vec<Datum> {
        Vec::new()
    }

    const SKIPS_NULLS: bool = false;

    fn add(&self, state: &mut Vec<Datum>, arguments: &[&Vector], row: usize) -> PgResult<()> {
        let value = arguments[0].datum(row);
        if self.nested {
            check_stackable(state.first(), &value)?;
        }
        state.push(value);
        Ok(())
    }

    fn encode(&self, state: &Vec<Datum>, out: &mut Vec<u8>) {
        out.extend_from_slice(&(state.len() as i64).to_le_bytes());
        state.iter().for_each(|value| put_datum(out, value, self.argument));
    }

    fn merge(&self, state: &mut Vec<Datum>, bytes: &mut Reader<'_>) -> PgResult<()> {
        for _ in 0..bytes.i64()? {
            state.push(bytes.datum(self.argument)?);
        }
        Ok(())
    }

    fn result(&self, state: &Vec<Datum>) -> PgResult<Datum> {
        if state.is_empty() {
            return Ok(Datum::Null);
        }
        if self.nested {
            return array::stack(self.result, state.clone());
        }
        Ok(array::one_dimensional(self.result, state.clone()))
    }

    const HAS_HEAP: bool = true;

    fn heap_size(&self, state: &Vec<Datum>) -> usize {
        state.iter().map(Datum::memory_size).sum::<usize>() + (state.capacity() - state.len()) * 32
    }
}

/// array_agg over arrays takes arrays of one shape, none of them NULL or empty.
fn check_stackable(first: Option<&Datum>, next: &Datum) -> PgResult<()> {
    let error = |code, message: &str| Err(PgError::new(code, message));
    let Datum::Array(next) = next else {
        return error(SqlState::NULL_VALUE_NOT_ALLOWED, "cannot accumulate null arrays");
    };
    if next.dimensions.is_empty() {
        return error(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot accumulate empty arrays");
    }
    match first {
        Some(Datum::Array(first)) if first.dimensions != next.dimensions => {
            error(SqlState::ARRAY_SUBSCRIPT_ERROR, "cannot accumulate arrays of different dimensionality")
        }
        _ => Ok(()),
    }
}
