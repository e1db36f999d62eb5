//! Linearizability of one register: is there an order of the operations, each at some moment between its call and its return, in
//! which every one gives what it gave? After Wing and Gong (1993), with Lowe's memory of states already tried (2017).
//!
//! The search takes, again and again, one of the operations that may be next: called before every operation that is not yet placed
//! has returned. What was placed and the value of the register say all about what is still possible, so no such pair
//! is looked at twice. An operation of unknown fate never returns: it may be placed at any time after its call, or never; each one
//! doubles the states in the worst case, so a history should be short (hundreds of operations, few of them unknown).

use std::collections::BTreeSet;

use crate::journal::Tick;

/// The value of a register; `None` before the first write.
pub type Value = Option<i64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Gave this.
    Read(Value),
    Write(i64),
    /// Set to `new` if it was `expected`; `applied` tells whether it was, if that is known.
    CompareAndSet {
        expected: i64,
        new: i64,
        applied: Option<bool>,
    },
}

/// One operation, as its client saw it. Those that certainly had no effect are not to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub called: Tick,
    /// `None`: its fate is unknown.
    pub returned: Option<Tick>,
    pub action: Action,
}

impl Action {
    /// The register after the action, if it can happen on a register of this value.
    fn apply(self, value: Value) -> Option<Value> {
        match self {
            Action::Read(seen) => (seen == value).then_some(value),
            Action::Write(new) => Some(Some(new)),
            Action::CompareAndSet { expected, new, applied } => {
                let applies = value == Some(expected);
                let is_possible = applied.is_none_or(|applied| applied == applies);
                is_possible.then_some(if applies { Some(new) } else { value })
            }
        }
    }
}

/// Which operations have been placed: those below `first`, and those of the bits from there on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed {
    first: usize,
    others: BTreeSet<usize>,
}

impl Placed {
    fn contains(&self, index: usize) -> bool {
        index < self.first || self.others.contains(&index)
    }

    fn with(&self, index: usize) -> Placed {
        let mut placed = self.clone();
        placed.others.insert(index);
        while placed.others.remove(&placed.first) {
            placed.first += 1;
        }
        placed
    }
}

/// An order exists, or the operations that were placed in the longest attempt and those that could not follow.
pub fn check(operations: &[Operation]) -> Result<(), String> {
    let mut operations = operations.to_vec();
    operations.sort_by_key(|operation| operation.called);
    let mut tried: BTreeSet<(Placed, Value)> = BTreeSet::new();
    let mut open = vec![(Placed { first: 0, others: BTreeSet::new() }, None)];
    let mut furthest = (0, String::new());
    while let Some((placed, value)) = open.pop() {
        let left = |index: &usize| !placed.contains(*index);
        let unplaced: Vec<usize> = (placed.first..operations.len()).filter(left).collect();
        let Some(horizon) = unplaced.iter().filter_map(|index| operations[*index].returned).min() else {
            return Ok(());
        };
        let candidates = unplaced.iter().copied().filter(|index| operations[*index].called < horizon);
        let depth = placed.first + placed.others.len();
        if depth >= furthest.0 {
            let stuck: Vec<Operation> = candidates.clone().map(|index| operations[index]).collect();
            furthest = (
                depth + 1,
                format!("after {depth} operations the value is {value:?}; next is one of {stuck:?}"),
            );
        }
        for index in candidates {
            let Some(after) = operations[index].action.apply(value) else { continue };
            let next = (placed.with(index), after);
            if tried.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    Err(furthest.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(called: u64, returned: u64, action: Action) -> Operation {
        let returned = (returned > 0).then_some(Tick(returned));
        Operation { called: Tick(called), returned, action }
    }

    #[test]
    fn concurrent_operations_may_take_effect_in_either_order() {
        let history = [
            operation(1, 10, Action::Write(1)),
            operation(2, 9, Action::Write(2)),
            operation(3, 5, Action::Read(Some(2))),
            operation(6, 8, Action::Read(Some(1))),
            operation(11, 12, Action::Read(Some(1))),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn a_stale_read_is_found() {
        let history = [
            operation(1, 2, Action::Write(1)),
            operation(3, 4, Action::Write(2)),
            operation(5, 6, Action::Read(Some(1))),
        ];
        assert!(check(&history).expect_err("it is stale").contains("Read"));
    }

    #[test]
    fn a_value_that_comes_back_is_found() {
        let history = [
            operation(1, 20, Action::Write(1)),
            operation(2, 20 + 1, Action::Write(2)),
            operation(3, 4, Action::Read(Some(1))),
            operation(5, 6, Action::Read(Some(2))),
            operation(7, 8, Action::Read(Some(1))),
        ];
        assert!(check(&history).is_err());
    }

    #[test]
    fn a_lost_write_is_found() {
        let history = [operation(1, 2, Action::Write(1)), operation(3, 4, Action::Read(None))];
        assert!(check(&history).is_err());
    }

    #[test]
    fn an_unknown_write_may_happen_late_or_never_but_not_twice() {
        let late = [
            operation(1, 0, Action::Write(1)),
            operation(2, 3, Action::Read(None)),
            operation(4, 5, Action::Read(Some(1))),
        ];
        assert_eq!(check(&late), Ok(()));
        assert_eq!(check(&late[..2]), Ok(()));
        let twice =
            [late[0], late[2], operation(6, 7, Action::Write(2)), operation(8, 9, Action::Read(Some(1)))];
        assert!(check(&twice).is_err());
    }

    #[test]
    fn compare_and_set_must_tell_the_truth() {
        let cas = |applied| Action::CompareAndSet { expected: 1, new: 2, applied };
        let history = |action, seen| {
            [
                operation(1, 2, Action::Write(1)),
                operation(3, 4, action),
                operation(5, 6, Action::Read(Some(seen))),
            ]
        };
        assert_eq!(check(&history(cas(Some(true)), 2)), Ok(()));
        assert!(check(&history(cas(Some(true)), 1)).is_err());
        assert!(check(&history(cas(Some(false)), 1)).is_err());
        let unknown = Operation { returned: None, ..operation(3, 4, cas(None)) };
        for seen in [1, 2] {
            let history = [history(cas(None), seen)[0], unknown, history(cas(None), seen)[2]];
            assert_eq!(check(&history), Ok(()));
        }
    }

    #[test]
    fn a_long_history_with_few_overlaps_is_quick() {
        let mut history = Vec::new();
        for number in 0..2_000_u64 {
            let called = number * 4;
            history.push(operation(called + 1, called + 8, Action::Write(number as i64)));
            history.push(operation(called + 2, called + 6, Action::Read(Some(number as i64))));
        }
        assert_eq!(check(&history), Ok(()));
    }
}
