//! Names and defaults of built-in functions' parameters, where PostgreSQL 15 has such: for `name => value`, for the columns of
//! functions in FROM, and for whoever asks what a function takes.
//!
//! `catalogue/functions/signatures.txt` has a line per function: pg_proc.oid, pg_get_function_arguments, pg_get_function_result.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::function::FunctionRef;

struct Signature {
    arguments: &'static str,
    result: &'static str,
}

static SIGNATURES: LazyLock<BTreeMap<u32, Signature>> = LazyLock::new(|| {
    let listed = include_str!("catalogue/functions/signatures.txt").lines().filter_map(|line| {
        let mut parts = line.split('\t');
        let oid = parts.next()?.parse().ok()?;
        Some((oid, Signature { arguments: parts.next()?, result: parts.next()? }))
    });
    listed.collect()
});

/// A function's parameters and result as text, if its parameters have names.
pub fn texts(oid: u32) -> Option<(&'static str, &'static str)> {
    SIGNATURES.get(&oid).map(|signature| (signature.arguments, signature.result))
}

/// Parameters: (is output, name).
fn parameters(oid: u32) -> Option<Vec<(bool, &'static str)>> {
    let parameter = |text: &'static str| match text.strip_prefix("OUT ") {
        Some(rest) => (true, first_word(rest)),
        None => (false, first_word(text.strip_prefix("VARIADIC ").unwrap_or(text))),
    };
    let listed = SIGNATURES.get(&oid)?.arguments.split(", ");
    Some(listed.filter(|text| !text.is_empty()).map(parameter).collect())
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or(text)
}

/// The name of the only output parameter.
pub fn single_output(oid: u32) -> Option<&'static str> {
    let mut outputs = parameters(oid)?.into_iter().filter(|(output, _)| *output);
    outputs.next().filter(|_| outputs.next().is_none()).map(|(_, name)| name)
}

/// Which of the given arguments (names, `None`: by position, those come first) each parameter gets; `None` for its default.
/// `None` as a whole: the function does not take these.
pub fn place(function: FunctionRef, given: &[Option<&str>]) -> Option<Vec<Option<usize>>> {
    let inputs: Vec<&str> =
        parameters(function.0.oid)?.into_iter().filter(|(output, _)| !output).map(|(_, name)| name).collect();
    let mut slots: Vec<Option<usize>> = vec![None; inputs.len()];
    for (argument, name) in given.iter().enumerate() {
        let parameter = match name {
            None => argument,
            Some(name) => inputs.iter().position(|input| input == name)?,
        };
        let slot = slots.get_mut(parameter)?;
        if slot.replace(argument).is_some() {
            return None;
        }
    }
    let required = inputs.len().checked_sub(usize::from(function.0.optional))?;
    slots[..required].iter().all(Option::is_some).then_some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::catalogue;

    #[test]
    fn every_signature_is_of_a_function_with_as_many_parameters() {
        for oid in SIGNATURES.keys() {
            let function = catalogue().function(*oid).expect("a function of the catalogue");
            let inputs = parameters(*oid).expect("just listed").iter().filter(|(output, _)| !output).count();
            assert_eq!(inputs, function.0.arguments.len(), "{}", function.0.name);
        }
    }

    #[test]
    fn names_find_their_places() {
        let function = catalogue().functions_named("make_interval")[0];
        let placed = place(function, &[Some("days"), Some("secs")]).expect("it has both");
        assert_eq!(placed, [None, None, None, Some(0), None, None, Some(1)]);
        assert_eq!(place(function, &[None, Some("years")]), None, "given twice");
        assert_eq!(place(function, &[Some("decades")]), None);
    }
}
