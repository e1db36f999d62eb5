//! The bookkeeping that all aggregates share: one state a group, in a vector.

use super::GroupedAccumulator;
use super::codec::Reader;
use types::{DataType, Datum, PgResult, Values, Vector};

/// What one aggregate does with a state.
pub(super) trait Accumulate: Send + 'static {
    type State: Clone + Send;

    /// The state of no rows.
    fn initial(&self) -> Self::State;

    /// Whether rows with a NULL argument are passed over before [`Self::add`] sees them.
    const SKIPS_NULLS: bool = true;

    fn add(&self, state: &mut Self::State, arguments: &[&Vector], row: usize) -> PgResult<()>;

    fn encode(&self, state: &Self::State, out: &mut Vec<u8>);

    /// Adds a state that [`Self::encode`] wrote.
    fn merge(&self, state: &mut Self::State, bytes: &mut Reader<'_>) -> PgResult<()>;

    fn result(&self, state: &Self::State) -> PgResult<Datum>;

    /// Bytes that the state holds besides itself.
    fn heap_size(&self, _state: &Self::State) -> usize {
        0
    }

    /// Whether [`Self::heap_size`] can be anything but 0.
    const HAS_HEAP: bool = false;

    /// A faster way for a whole batch without a selection; `false` when there is none for these arguments.
    fn add_batch(
        &self,
        _states: &mut [Self::State],
        _groups: &[u32],
        _arguments: &[&Vector],
    ) -> PgResult<bool> {
        Ok(false)
    }
}

pub(super) struct Grouped<A: Accumulate> {
    aggregate: A,
    states: Vec<A::State>,
    result: DataType,
}

impl<A: Accumulate> Grouped<A> {
    pub(super) fn boxed(aggregate: A, result: DataType) -> Box<dyn GroupedAccumulator> {
        Box::new(Grouped { aggregate, states: Vec::new(), result })
    }

    fn add_row(&mut self, groups: &[u32], arguments: &[&Vector], row: usize) -> PgResult<()> {
        if A::SKIPS_NULLS && arguments.iter().any(|argument| argument.is_null(row)) {
            return Ok(());
        }
        self.aggregate.add(&mut self.states[groups[row] as usize], arguments, row)
    }
}

impl<A: Accumulate> GroupedAccumulator for Grouped<A> {
    fn resize(&mut self, groups: usize) {
        if groups > self.states.len() {
            self.states.resize(groups, self.aggregate.initial());
        }
    }

    fn update(&mut self, groups: &[u32], arguments: &[&Vector], selection: Option<&[u32]>) -> PgResult<()> {
        match selection {
            Some(rows) => {
                for row in rows {
                    self.add_row(groups, arguments, *row as usize)?;
                }
            }
            None if self.aggregate.add_batch(&mut self.states, groups, arguments)? => {}
            None => {
                for row in 0..groups.len() {
                    self.add_row(groups, arguments, row)?;
                }
            }
        }
        Ok(())
    }

    fn merge(&mut self, groups: &[u32], states: &Vector) -> PgResult<()> {
        let Values::Bytes(encoded) = &states.values else {
            return Err(types::PgError::internal("partial aggregate states are bytea"));
        };
        for (row, group) in groups.iter().enumerate() {
            let mut reader = Reader::new(encoded.get(row));
            self.aggregate.merge(&mut self.states[*group as usize], &mut reader)?;
        }
        Ok(())
    }

    fn partial_states(&self) -> PgResult<Vector> {
        let mut vector = Vector::with_capacity(DataType::Bytea, self.states.len());
        if let Values::Bytes(bytes) = &mut vector.values {
            for state in &self.states {
                self.aggregate.encode(state, bytes.value_buffer());
                bytes.finish_value();
            }
        }
        Ok(vector)
    }

    fn value(&self, group: usize) -> PgResult<Datum> {
        self.aggregate.result(&self.states[group])
    }

    fn finish(&mut self) -> PgResult<Vector> {
        let mut vector = Vector::with_capacity(self.result, self.states.len());
        for state in std::mem::take(&mut self.states) {
            vector.push(&self.aggregate.result(&state)?);
        }
        Ok(vector)
    }

    fn memory_size(&self) -> usize {
        let heap = if A::HAS_HEAP {
            self.states.iter().map(|state| self.aggregate.heap_size(state)).sum()
        } else {
            0
        };
        self.states.capacity() * size_of::<A::State>() + heap
    }
}
