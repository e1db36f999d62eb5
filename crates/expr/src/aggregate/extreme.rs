//! min and max. Fixed-width types keep the value itself, others a datum. Of values that compare equal the last one stays, as in
//! PostgreSQL (`max` over 1.0 and 1.00 is 1.00), for character(n) the first.

use super::GroupedAccumulator;
use super::codec::{Reader, put_datum};
use super::grouped::{Accumulate, Grouped};
use crate::functions::comparison::compare_floats;
use crate::functions::kernel::Fixed;
use std::cmp::Ordering;
use std::marker::PhantomData;
use types::{DataType, Datum, PgResult, Physical, Vector, compare};

pub(super) fn accumulator(
    greatest: bool,
    argument: DataType,
    result: DataType,
) -> Box<dyn GroupedAccumulator> {
    let data_type = argument;
    match argument.physical() {
        Physical::Int2 => Grouped::boxed(FixedExtreme::<i16>::new(greatest, data_type, Ord::cmp), result),
        Physical::Int4 => Grouped::boxed(FixedExtreme::<i32>::new(greatest, data_type, Ord::cmp), result),
        Physical::Int8 if !matches!(data_type, DataType::PgLsn | DataType::Xid8) => {
            Grouped::boxed(FixedExtreme::<i64>::new(greatest, data_type, Ord::cmp), result)
        }
        Physical::Oid => Grouped::boxed(FixedExtreme::<u32>::new(greatest, data_type, Ord::cmp), result),
        Physical::Float8 => Grouped::boxed(
            FixedExtreme::<f64>::new(greatest, data_type, |a, b| compare_floats(*a, *b)),
            result,
        ),
        _ => Grouped::boxed(DatumExtreme { greatest, data_type }, result),
    }
}

/// Whether `next` takes the place of `best`.
#[inline]
fn replaces(ordering_of_next: Ordering, greatest: bool) -> bool {
    ordering_of_next != if greatest { Ordering::Less } else { Ordering::Greater }
}

struct FixedExtreme<T> {
    greatest: bool,
    data_type: DataType,
    order: fn(&T, &T) -> Ordering,
    kind: PhantomData<T>,
}

impl<T: Fixed> FixedExtreme<T> {
    fn new(greatest: bool, data_type: DataType, order: fn(&T, &T) -> Ordering) -> Self {
        FixedExtreme { greatest, data_type, order, kind: PhantomData }
    }

    fn slice<'a>(&self, vector: &'a Vector) -> &'a [T] {
        T::slice(&vector.values).expect("the accumulator is chosen by the argument's representation")
    }

    #[inline]
    fn take(&self, state: &mut Option<T>, next: T) {
        if state.is_none_or(|best| replaces((self.order)(&next, &best), self.greatest)) {
            *state = Some(next);
        }
    }

    fn datum(&self, value: T) -> Datum {
        Vector { data_type: self.data_type, nulls: types::Nulls::none(), values: T::values(vec![value]) }
            .datum(0)
    }
}

impl<T: Fixed + Send + 'static> Accumulate for FixedExtreme<T> {
    type State = Option<T>;

    fn initial(&self) -> Option<T> {
        None
    }

    fn add(&self, state: &mut Option<T>, arguments: &[&Vector], row: usize) -> PgResult<()> {
        self.take(state, self.slice(arguments[0])[row]);
        Ok(())
    }

    fn add_batch(&self, states: &mut [Option<T>], groups: &[u32], arguments: &[&Vector]) -> PgResult<bool> {
        if arguments[0].nulls.any() {
            return Ok(false);
        }
        let values = self.slice(arguments[0]);
        for (group, value) in groups.iter().zip(values) {
            self.take(&mut states[*group as usize], *value);
        }
        Ok(true)
    }

    fn encode(&self, state: &Option<T>, out: &mut Vec<u8>) {
        put_datum(out, &state.map_or(Datum::Null, |value| self.datum(value)), self.data_type);
    }

    fn merge(&self, state: &mut Option<T>, bytes: &mut Reader<'_>) -> PgResult<()> {
        let datum = bytes.datum(self.data_type)?;
        if !datum.is_null() {
            let vector = Vector::from_datums(self.data_type, &[datum]);
            self.take(state, self.slice(&vector)[0]);
        }
        Ok(())
    }

    fn result(&self, state: &Option<T>) -> PgResult<Datum> {
        Ok(state.map_or(Datum::Null, |value| self.datum(value)))
    }
}

struct DatumExtreme {
    greatest: bool,
    data_type: DataType,
}

impl DatumExtreme {
    fn take(&self, state: &mut Datum, next: Datum) {
        let replace = state.is_null() || {
            let order = compare::compare_datums(&next, state);
            // The first of two equal character(n) stays.
            replaces(order, self.greatest) && !(order.is_eq() && self.data_type == DataType::Bpchar)
        };
        if replace {
            *state = next;
        }
    }
}

impl Accumulate for DatumExtreme {
    type State = Datum;

    fn initial(&self) -> Datum {
        Datum::Null
    }

    fn add(&self, state: &mut Datum, arguments: &[&Vector], row: usize) -> PgResult<()> {
        self.take(state, arguments[0].datum(row));
        Ok(())
    }

    fn encode(&self, state: &Datum, out: &mut Vec<u8>) {
        put_datum(out, state, self.data_type);
    }

    fn merge(&self, state: &mut Datum, bytes: &mut Reader<'_>) -> PgResult<()> {
        let datum = bytes.datum(self.data_type)?;
        if !datum.is_null() {
            self.take(state, datum);
        }
        Ok(())
    }

    fn result(&self, state: &Datum) -> PgResult<Datum> {
        Ok(state.clone())
    }

    const HAS_HEAP: bool = true;

    fn heap_size(&self, state: &Datum) -> usize {
        state.memory_size()
    }
}
