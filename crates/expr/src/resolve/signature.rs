//! Functions that are not of the catalogue: chosen among by the same rules.

use super::candidates::{Candidate, Choice, choose};
use super::polymorphic;
use types::{DataType, PgResult};

/// What came of choosing among the signatures that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// The one at this position; `exact`: it takes the very types that are given.
    One {
        position: usize,
        exact: bool,
    },
    None,
    Several,
}

#[derive(Clone)]
struct Numbered<'a> {
    position: usize,
    types: &'a [DataType],
}

impl Candidate for Numbered<'_> {
    fn argument(&self, index: usize) -> DataType {
        self.types[index]
    }
}

/// Chooses among signatures, each with one type for every given argument.
pub fn choose_signature(inputs: &[DataType], signatures: &[Vec<DataType>]) -> Signatures {
    if let Some(position) = signatures.iter().position(|types| types == inputs) {
        return Signatures::One { position, exact: true };
    }
    let numbered = signatures.iter().enumerate().map(|(position, types)| Numbered { position, types });
    match choose(inputs, numbered.collect()) {
        Choice::One(chosen) => Signatures::One { position: chosen.position, exact: false },
        Choice::None => Signatures::None,
        Choice::Several => Signatures::Several,
    }
}

/// The types that arguments and result have once polymorphic ones are bound to actual ones.
pub fn instantiate_signature(
    inputs: &[DataType],
    declared: &[DataType],
    result: DataType,
) -> PgResult<(Vec<DataType>, DataType)> {
    polymorphic::instantiate(inputs, declared, result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_signature_wins_and_preferred_types_break_ties() {
        let signatures = [vec![DataType::Int4], vec![DataType::Float8]];
        let exact = choose_signature(&[DataType::Int4], &signatures);
        assert_eq!(exact, Signatures::One { position: 0, exact: true });
        let widened = choose_signature(&[DataType::Float4], &signatures);
        assert_eq!(widened, Signatures::One { position: 1, exact: false });
        assert_eq!(choose_signature(&[DataType::Bool], &signatures), Signatures::None);
    }
}
