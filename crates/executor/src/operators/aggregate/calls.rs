//! One aggregate call: what it needs of a row, and how rows reach its accumulator.

use expr::aggregate::{GroupedAccumulator, accumulator};
use expr::catalogue::aggregates::{AggregateKind, aggregate_row};
use expr::{Aggregate, Program, TextContext};
use planner::plan::SortKey;
use types::{Batch, DataType, Nulls, PgResult, Values, Vector};

use super::super::row_set::RowSet;
use super::super::sorter::{empty_batch, sorted_rows};
use crate::memory::MemoryAccount;
use crate::program::programs;

/// What one call needs of an evaluated row: its arguments, its sort expressions, its filter; from column `first` on.
pub(super) struct PreparedCall {
    call: Aggregate,
    programs: Vec<Program>,
    first: usize,
    arguments: usize,
    /// Sort expressions: those of ordered-set aggregates count as arguments.
    order: Vec<(bool, bool)>,
    has_filter: bool,
}

impl PreparedCall {
    pub fn new(call: &Aggregate, first: usize) -> PgResult<PreparedCall> {
        let row = aggregate_row(call.function);
        let ordered_set = row.is_some_and(|row| !matches!(row.kind, AggregateKind::Normal));
        let mut list = programs(&call.arguments)?;
        for (expr, ..) in &call.order_by {
            list.push(Program::new(expr)?);
        }
        let (arguments, order) = if ordered_set {
            (list.len(), Vec::new())
        } else {
            let order = call.order_by.iter().map(|(_, descending, first)| (*descending, *first)).collect();
            (call.arguments.len(), order)
        };
        if let Some(filter) = &call.filter {
            list.push(Program::new(filter)?);
        }
        // Fail now rather than at the first row when the aggregate is not built.
        accumulator(call, &TextContext::default())?;
        let has_filter = call.filter.is_some();
        Ok(PreparedCall { call: call.clone(), programs: list, first, arguments, order, has_filter })
    }

    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        self.programs.iter()
    }

    pub fn types(&self) -> impl Iterator<Item = DataType> + '_ {
        self.programs.iter().map(Program::data_type)
    }

    fn arguments<'a>(&self, columns: &[&'a Vector]) -> Vec<&'a Vector> {
        columns[self.first..self.first + self.arguments].to_vec()
    }
}

/// The states of one call for all groups.
pub(super) struct CallState {
    accumulator: Box<dyn GroupedAccumulator>,
    /// DISTINCT: the (group, arguments) seen.
    seen: Option<RowSet>,
    /// ORDER BY: group, arguments and sort expressions of every row, fed at the end.
    collected: Option<Batch>,
}

impl CallState {
    pub fn new(call: &PreparedCall, memory: &MemoryAccount, text: &TextContext) -> PgResult<CallState> {
        let types = || call.programs.iter().map(Program::data_type);
        let with_group = |count: usize| std::iter::once(DataType::Int4).chain(types().take(count)).collect();
        let arguments: Vec<DataType> = with_group(call.arguments);
        let all: Vec<DataType> = with_group(call.arguments + call.order.len());
        Ok(CallState {
            accumulator: accumulator(&call.call, text)?,
            seen: call.call.distinct.then(|| RowSet::new(memory, arguments)),
            collected: (!call.order.is_empty()).then(|| empty_batch(&all)),
        })
    }

    pub fn memory_size(&self) -> usize {
        self.accumulator.memory_size()
            + self.seen.as_ref().map_or(0, RowSet::memory_size)
            + self.collected.as_ref().map_or(0, Batch::memory_size)
    }

    /// Adds rows. `chosen`: only these.
    pub fn update(
        &mut self,
        call: &PreparedCall,
        numbers: &[u32],
        groups: usize,
        columns: &[&Vector],
        chosen: Option<&[u32]>,
    ) -> PgResult<()> {
        self.accumulator.resize(groups);
        let filtered = if call.has_filter {
            Some(passing(columns[call.first + call.programs.len() - 1], chosen))
        } else {
            None
        };
        let mut selection: Option<Vec<u32>> = filtered.or_else(|| chosen.map(<[u32]>::to_vec));
        let arguments = call.arguments(columns);
        if self.seen.is_none() && self.collected.is_none() {
            return self.accumulator.update(numbers, &arguments, selection.as_deref());
        }
        let rows = numbers.len();
        let group = group_column(numbers);
        if let Some(seen) = &mut self.seen {
            let selected = selection.unwrap_or_else(|| (0..rows as u32).collect());
            let mut key: Vec<Vector> = vec![group.gather(&selected)];
            key.extend(arguments.iter().map(|argument| argument.gather(&selected)));
            let key: Vec<&Vector> = key.iter().collect();
            let new = seen.add_rows(&key, selected.len());
            selection = Some(new.iter().map(|row| selected[*row as usize]).collect());
        }
        let Some(collected) = &mut self.collected else {
            return self.accumulator.update(numbers, &arguments, selection.as_deref());
        };
        let selected = selection.unwrap_or_else(|| (0..rows as u32).collect());
        let sources = std::iter::once(&group).chain(columns[call.first..].iter().copied());
        for (to, from) in collected.columns.iter_mut().zip(sources) {
            to.append_selected(from, &selected);
        }
        collected.rows += selected.len();
        Ok(())
    }

    /// Adds partial states of groups. `chosen`: only these.
    pub fn merge(
        &mut self,
        numbers: &[u32],
        groups: usize,
        states: &Vector,
        chosen: Option<&[u32]>,
    ) -> PgResult<()> {
        self.accumulator.resize(groups);
        let Some(chosen) = chosen else { return self.accumulator.merge(numbers, states) };
        let numbers: Vec<u32> = chosen.iter().map(|row| numbers[*row as usize]).collect();
        self.accumulator.merge(&numbers, &states.gather(chosen))
    }

    /// The state of every group, to be merged elsewhere. Of calls whose rows need no order and are not distinct.
    pub fn partial(&mut self, groups: usize) -> PgResult<Vector> {
        debug_assert!(self.seen.is_none() && self.collected.is_none());
        self.accumulator.resize(groups);
        self.accumulator.partial_states()
    }

    /// One value a group.
    pub fn finish(mut self, call: &PreparedCall, groups: usize) -> PgResult<Vector> {
        self.accumulator.resize(groups);
        if let Some(collected) = self.collected.take()
            && collected.rows > 0
        {
            let keys: Vec<SortKey> = std::iter::once((false, false))
                .chain(call.order.iter().copied())
                .enumerate()
                .map(|(at, (descending, nulls_first))| {
                    let column = if at == 0 { 0 } else { (call.arguments + at) as u32 };
                    SortKey { column, descending, nulls_first }
                })
                .collect();
            let order = sorted_rows(&keys, &collected);
            let sorted = collected.gather(&order);
            let Values::Int4(numbers) = &sorted.columns[0].values else {
                return Err(types::PgError::internal("group numbers are integers"));
            };
            let numbers: Vec<u32> = numbers.iter().map(|number| *number as u32).collect();
            let arguments: Vec<&Vector> = sorted.columns[1..1 + call.arguments].iter().collect();
            self.accumulator.update(&numbers, &arguments, None)?;
        }
        self.accumulator.finish()
    }
}

fn group_column(numbers: &[u32]) -> Vector {
    let values = numbers.iter().map(|number| *number as i32).collect();
    Vector { data_type: DataType::Int4, nulls: Nulls::none(), values: Values::Int4(values) }
}

/// The rows (among the chosen ones) for which a condition is true.
fn passing(condition: &Vector, chosen: Option<&[u32]>) -> Vec<u32> {
    let Values::Bool(values) = &condition.values else { return Vec::new() };
    let passes = |row: &u32| values[*row as usize] && !condition.is_null(*row as usize);
    match chosen {
        Some(chosen) => chosen.iter().copied().filter(passes).collect(),
        None => (0..values.len() as u32).filter(passes).collect(),
    }
}
