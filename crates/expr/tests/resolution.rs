//! Overload resolution against PostgreSQL's own choices (`golden/resolution.txt`).

use expr::resolve::{FunctionArguments, function_as_cast, resolve_function, resolve_operator};
use types::{BUILTIN_TYPES, DataType};

fn type_named(name: &str) -> DataType {
    if let Some(element) = name.strip_suffix("[]") {
        return DataType::array_of(type_named(element));
    }
    let name = name.trim_matches('"');
    *BUILTIN_TYPES.iter().find(|data_type| data_type.pg_name() == Some(name)).expect("a known type")
}

fn outcome(fields: &[&str]) -> String {
    let name = fields[0];
    let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
    let resolved = if is_operator {
        let left = (!fields[1].is_empty()).then(|| type_named(fields[1]));
        resolve_operator(name, left, type_named(fields[2]))
    } else {
        let types: Vec<DataType> = fields[1..].iter().map(|field| type_named(field)).collect();
        if let [only] = *types
            && let Some(target) = function_as_cast(name, only)
        {
            return format!(" {target}");
        }
        resolve_function(None, name, &types, FunctionArguments::Plain)
    };
    match resolved {
        Ok(resolved) => format!("{} {}", resolved.function.0.oid, resolved.result),
        Err(error) => format!("{} {}", error.code(), error.message().replace("pg_catalog.", "")),
    }
}

#[test]
fn same_choice_as_postgresql() {
    let golden = include_str!("golden/resolution.txt");
    let mut wrong = Vec::new();
    let mut total = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (question, answer) = line.split_once("\t=>\t").expect("question and answer");
        let fields: Vec<&str> = question.split('\t').collect();
        let answer = answer.replace("pg_catalog.", "");
        let got = outcome(&fields);
        // Not built here, and said so.
        if got.starts_with("0A000") {
            continue;
        }
        total += 1;
        if got != answer {
            wrong.push(format!("{question}: expected {answer}, got {got}"));
        }
    }
    assert!(total > 5_000);
    assert!(
        wrong.is_empty(),
        "{} of {total} differ, among them:\n{}",
        wrong.len(),
        wrong.iter().step_by(wrong.len() / 40 + 1).cloned().collect::<Vec<_>>().join("\n")
    );
}
