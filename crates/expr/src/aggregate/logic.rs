//! bool_and, bool_or, every; bit_and, bit_or, bit_xor.

use super::GroupedAccumulator;
use super::codec::{Reader, put_datum};
use super::grouped::{Accumulate, Grouped};
use types::{BitString, DataType, Datum, PgError, PgResult, SqlState, Values, Vector};

/// Booleans joined by a function; `None` before the first.
macro_rules! booleans {
    ($($name:ident: $join:expr;)*) => {$(
        pub(super) struct $name;

        impl Accumulate for $name {
            type State = Option<bool>;

            fn initial(&self) -> Option<bool> {
                None
            }

            fn add(&self, state: &mut Option<bool>, arguments: &[&Vector], row: usize) -> PgResult<()> {
                let Values::Bool(values) = &arguments[0].values else {
                    unreachable!("the argument is boolean: the binder typed it")
                };
                let join: fn(bool, bool) -> bool = $join;
                *state = Some(state.map_or(values[row], |so_far| join(so_far, values[row])));
                Ok(())
            }

            fn encode(&self, state: &Option<bool>, out: &mut Vec<u8>) {
                out.push(state.map_or(2, u8::from));
            }

            fn merge(&self, state: &mut Option<bool>, bytes: &mut Reader<'_>) -> PgResult<()> {
                let join: fn(bool, bool) -> bool = $join;
                match bytes.byte()? {
                    2 => {}
                    value => *state = Some(state.map_or(value == 1, |so_far| join(so_far, value == 1))),
                }
                Ok(())
            }

            fn result(&self, state: &Option<bool>) -> PgResult<Datum> {
                Ok(state.map_or(Datum::Null, Datum::Bool))
            }
        }
    )*};
}

booleans! {
    BoolAnd: |a, b| a && b;
    BoolOr: |a, b| a || b;
}

#[derive(Clone, Copy)]
enum BitOperation {
    And,
    Or,
    Xor,
}

impl BitOperation {
    fn join(self, a: i64, b: i64) -> i64 {
        match self {
            BitOperation::And => a & b,
            BitOperation::Or => a | b,
            BitOperation::Xor => a ^ b,
        }
    }

    fn join_strings(self, a: &BitString, b: &BitString) -> PgResult<BitString> {
        if a.length != b.length {
            let verb = match self {
                BitOperation::And => "AND",
                BitOperation::Or => "OR",
                BitOperation::Xor => "XOR",
            };
            return Err(PgError::new(
                SqlState::STRING_DATA_LENGTH_MISMATCH,
                format!("cannot {verb} bit strings of different sizes"),
            ));
        }
        let join = |(a, b): (&u8, &u8)| self.join(i64::from(*a), i64::from(*b)) as u8;
        Ok(BitString { length: a.length, bytes: a.bytes.iter().zip(&b.bytes).map(join).collect() })
    }
}

pub(super) fn bits(name: &str, argument: DataType, result: DataType) -> Option<Box<dyn GroupedAccumulator>> {
    let operation = match name {
        "bit_and" => BitOperation::And,
        "bit_or" => BitOperation::Or,
        _ => BitOperation::Xor,
    };
    match argument {
        DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Bit => {
            Some(Grouped::boxed(Bits { operation, data_type: argument }, result))
        }
        _ => None,
    }
}

struct Bits {
    operation: BitOperation,
    data_type: DataType,
}

impl Bits {
    fn take(&self, state: &mut Datum, next: Datum) -> PgResult<()> {
        *state = match (&*state, next) {
            (Datum::Null, next) => next,
            (Datum::Int2(a), Datum::Int2(b)) => {
                Datum::Int2(self.operation.join(i64::from(*a), i64::from(b)) as i16)
            }
            (Datum::Int4(a), Datum::Int4(b)) => {
                Datum::Int4(self.operation.join(i64::from(*a), i64::from(b)) as i32)
            }
            (Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(self.operation.join(*a, b)),
            (Datum::Bits(a), Datum::Bits(b)) => Datum::Bits(Box::new(self.operation.join_strings(a, &b)?)),
            _ => return Err(PgError::internal("a bit aggregate met another type than its own")),
        };
        Ok(())
    }
}

impl Accumulate for Bits {
    type State = Datum;

    fn initial(&self) -> Datum {
        Datum::Null
    }

    fn add(&self, state: &mut Datum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        self.take(state, arguments[0].datum(row))
    }

    fn encode(&self, state: &Datum, out: &mut Vec<u8>) {
        put_datum(out, state, self.data_type);
    }

    fn merge(&self, state: &mut Datum, bytes: &mut Reader<'_>) -> PgResult<()> {
        match bytes.datum(self.data_type)? {
            Datum::Null => Ok(()),
            next => self.take(state, next),
        }
    }

    fn result(&self, state: &Datum) -> PgResult<Datum> {
        Ok(state.clone())
    }
}
