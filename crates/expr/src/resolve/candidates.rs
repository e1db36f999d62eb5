//! Choosing among candidates whose argument types do not match exactly (PostgreSQL 10.2 step 3, 10.3 step 4).

use super::{can_coerce, polymorphic};
use crate::expr::CastContext;
use types::DataType;

const STRING_CATEGORY: u8 = b'S';

/// A candidate: anything with one declared type per given argument.
pub(super) trait Candidate: Clone {
    fn argument(&self, index: usize) -> DataType;
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Choice<C> {
    One(C),
    None,
    Several,
}

/// Drops candidates that the arguments cannot be implicitly converted to, then picks the best.
pub(super) fn choose<C: Candidate>(inputs: &[DataType], candidates: Vec<C>) -> Choice<C> {
    let mut fitting: Vec<C> = candidates.into_iter().filter(|candidate| fits(inputs, candidate)).collect();
    match fitting.len() {
        0 => Choice::None,
        1 => Choice::One(fitting.remove(0)),
        _ => best(inputs, fitting).map_or(Choice::Several, Choice::One),
    }
}

fn fits<C: Candidate>(inputs: &[DataType], candidate: &C) -> bool {
    let mut polymorphic = false;
    for (index, input) in inputs.iter().enumerate() {
        let declared = candidate.argument(index);
        if declared.is_polymorphic() && declared != DataType::Any {
            polymorphic = true;
        } else if !can_coerce(*input, declared, CastContext::Implicit) {
            return false;
        }
    }
    let declared: Vec<DataType> = (0..inputs.len()).map(|index| candidate.argument(index)).collect();
    !polymorphic || polymorphic::consistent(inputs, &declared)
}

/// Keeps the candidates with the highest score.
fn keep_highest<C: Candidate>(candidates: Vec<C>, score: impl Fn(&C) -> usize) -> Vec<C> {
    let highest = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.into_iter().filter(|candidate| score(candidate) == highest).collect()
}

fn best<C: Candidate>(inputs: &[DataType], candidates: Vec<C>) -> Option<C> {
    let exact = |candidate: &C| {
        inputs
            .iter()
            .enumerate()
            .filter(|(index, input)| **input != DataType::Unknown && candidate.argument(*index) == **input)
            .count()
    };
    let mut candidates = keep_highest(candidates, exact);
    if candidates.len() == 1 {
        return candidates.pop();
    }
    let preferred = |candidate: &C| {
        inputs
            .iter()
            .enumerate()
            .filter(|(index, input)| {
                let declared = candidate.argument(*index);
                **input != DataType::Unknown
                    && (declared == **input
                        || (declared.category() == input.category() && declared.is_preferred()))
            })
            .count()
    };
    let mut candidates = keep_highest(candidates, preferred);
    if candidates.len() == 1 {
        return candidates.pop();
    }
    let unknowns: Vec<usize> =
        (0..inputs.len()).filter(|index| inputs[*index] == DataType::Unknown).collect();
    if unknowns.is_empty() {
        return None;
    }
    let mut candidates = by_category(&unknowns, candidates);
    if candidates.len() == 1 {
        return candidates.pop();
    }
    by_known_type(inputs, candidates)
}

/// Unknown literals take the category that all candidates accept there, or strings when any does.
fn by_category<C: Candidate>(unknowns: &[usize], candidates: Vec<C>) -> Vec<C> {
    let mut wanted: Vec<(usize, u8, bool)> = Vec::with_capacity(unknowns.len());
    for &index in unknowns {
        let mut slot: Option<(u8, bool)> = None;
        let mut conflict = false;
        for candidate in &candidates {
            let declared = candidate.argument(index);
            let (category, preferred) = (declared.category(), declared.is_preferred());
            slot = Some(match slot {
                None => (category, preferred),
                Some((current, has_preferred)) if current == category => {
                    (current, has_preferred || preferred)
                }
                Some(_) if category == STRING_CATEGORY => (category, preferred),
                Some(current) => {
                    conflict = true;
                    current
                }
            });
        }
        match slot {
            Some((category, preferred)) if !conflict || category == STRING_CATEGORY => {
                wanted.push((index, category, preferred));
            }
            _ => return candidates,
        }
    }
    let matches = |candidate: &C| {
        wanted.iter().all(|(index, category, preferred)| {
            let declared = candidate.argument(*index);
            declared.category() == *category && (!preferred || declared.is_preferred())
        })
    };
    let matching: Vec<C> = candidates.iter().filter(|candidate| matches(candidate)).cloned().collect();
    if matching.is_empty() { candidates } else { matching }
}

/// Takes unknown literals to be of the one type that all known arguments have.
fn by_known_type<C: Candidate>(inputs: &[DataType], candidates: Vec<C>) -> Option<C> {
    let mut known = inputs.iter().filter(|input| **input != DataType::Unknown);
    let first = *known.next()?;
    if known.any(|input| *input != first) {
        return None;
    }
    let as_known = vec![first; inputs.len()];
    let mut fitting = candidates.into_iter().filter(|candidate| fits(&as_known, candidate));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}
