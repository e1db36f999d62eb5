//! Every scalar function and conversion against PostgreSQL's own answers (`golden/functions.txt`).
//!
//! Where the two are known to differ the case is listed in `golden/differences.txt`, one line as in the golden file with our answer
//! in place of PostgreSQL's and the reason before it: a list to shorten.

mod support;

use expr::resolve::{find_cast, function_as_cast};
use expr::{CastContext, Expr, catalogue, eval, eval_scalar};
use std::collections::BTreeSet;
use support::{World, unescape, variant};
use types::{Batch, ColumnType, DataType, Datum, PgResult, Vector};

fn literal(data_type: DataType, text: &str) -> Expr {
    if text == "\\N" {
        return Expr::constant(Datum::Null, data_type);
    }
    cast(Expr::constant(Datum::text(unescape(text)), DataType::Unknown), data_type, -1)
}

fn cast(input: Expr, to: DataType, typmod: i32) -> Expr {
    Expr::Cast {
        input: Box::new(input),
        to: ColumnType::new(to, typmod),
        context: CastContext::Explicit,
        position: 0,
    }
}

/// The expression of a golden line.
fn expression(fields: &[&str]) -> PgResult<Expr> {
    match fields[0] {
        "call" => {
            let function =
                catalogue().function(fields[1].parse().expect("an oid")).expect("a known function");
            let types: Vec<DataType> =
                fields[2].split(',').filter(|name| !name.is_empty()).map(variant).collect();
            let arguments: Vec<Expr> =
                types.iter().zip(&fields[3..]).map(|(data_type, text)| literal(*data_type, text)).collect();
            // Resolved again, so that polymorphic results and variadic arguments come out as in a statement.
            let resolved = expr::resolve::resolve_function(
                None,
                function.0.name,
                &types,
                if function.0.variadic && function.0.arguments.last() != Some(&DataType::Any) {
                    expr::resolve::FunctionArguments::VariadicArray
                } else {
                    expr::resolve::FunctionArguments::Plain
                },
            );
            let mut resolved = resolved?;
            resolved.function = function;
            expr::resolve::function_call(&resolved, arguments, 0)
        }
        _ => {
            let (from, to) = (variant(fields[1]), variant(fields[2]));
            if from == DataType::Unknown {
                return Ok(literal(to, fields[4]));
            }
            if find_cast(from, to).is_none() {
                return Err(types::PgError::new(
                    types::SqlState::CANNOT_COERCE,
                    format!("cannot cast type {from} to {to}"),
                ));
            }
            Ok(cast(literal(from, fields[4]), to, fields[3].parse().expect("a modifier")))
        }
    }
}

fn outcome(fields: &[&str], world: &World) -> String {
    let context = world.context(&[]);
    let result = expression(fields).and_then(|expr| {
        let expr = if find_cast(expr.data_type(), DataType::Text).is_some() {
            cast(expr, DataType::Text, -1)
        } else {
            expr
        };
        eval_scalar(&expr, &context)
    });
    match result {
        Ok(Datum::Null) => "N".into(),
        Ok(Datum::Text(text)) => format!("V{text}"),
        Ok(other) => format!("V{other:?}"),
        Err(error) => format!("E{} {}", error.code(), error.message()),
    }
}

#[test]
fn same_answers_as_postgresql() {
    let world = World::new();
    let golden = include_str!("golden/functions.txt");
    let known: BTreeSet<&str> = include_str!("golden/differences.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let mut met = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut total = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (question, answer) = line.split_once("\t=>\t").expect("question and answer");
        let fields: Vec<&str> = question.split('\t').collect();
        let expected = unescape(answer);
        total += 1;
        let got = outcome(&fields, &world);
        if got == expected {
            continue;
        }
        let difference = format!(
            "{question}\t=>\t{}",
            got.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t")
        );
        match known.get(difference.as_str()) {
            Some(found) => {
                met.insert(*found);
            }
            None => {
                let name = match fields[0] {
                    "call" => catalogue().function(fields[1].parse().expect("an oid")).expect("known").0.name,
                    _ => "cast",
                };
                wrong.push(format!("{name}: {difference}   [PostgreSQL: {answer}]"));
            }
        }
    }
    if let Ok(path) = std::env::var("MERIDIAN_GOLDEN_DIFFERENCES") {
        std::fs::write(path, wrong.join("\n")).expect("the report is written");
    }
    assert!(total > 20_000);
    assert!(
        wrong.is_empty(),
        "{} of {total} differ, among them:\n{}",
        wrong.len(),
        wrong.iter().step_by(wrong.len() / 40 + 1).cloned().collect::<Vec<_>>().join("\n")
    );
    let stale: Vec<_> = known.difference(&met).collect();
    // Not a failure: what makes them right is often in crate types.
    if !stale.is_empty() {
        eprintln!("no longer different, to be taken out of differences.txt: {stale:?}");
    }
}

/// The same calls with their arguments in columns among NULLs: the vectorised path answers what the scalar one does.
#[test]
fn columns_answer_like_constants() {
    let world = World::new();
    let context = world.context(&[]);
    let golden = include_str!("golden/functions.txt");
    let mut total = 0;
    for line in golden.lines().filter(|line| line.starts_with("call")).step_by(5) {
        let (question, _) = line.split_once("\t=>\t").expect("question and answer");
        let fields: Vec<&str> = question.split('\t').collect();
        let Ok(Expr::Call { function, arguments, data_type, position }) = expression(&fields) else {
            continue;
        };
        let Ok(values) = arguments
            .iter()
            .map(|argument| eval_scalar(argument, &context))
            .collect::<PgResult<Vec<Datum>>>()
        else {
            continue;
        };
        if values.is_empty() || values.iter().any(Datum::is_null) {
            continue;
        }
        let columns: Vec<Vector> = arguments
            .iter()
            .zip(&values)
            .map(|(argument, value)| {
                // What a function that takes NULLs makes of them is in the golden file.
                let middle = if function.0.strict { Datum::Null } else { value.clone() };
                Vector::from_datums(argument.data_type(), &[value.clone(), middle, value.clone()])
            })
            .collect();
        let references = arguments
            .iter()
            .enumerate()
            .map(|(index, argument)| Expr::column(index as u32, argument.data_type()))
            .collect();
        let scalar = Expr::Call { function, arguments, data_type, position };
        let vectorised = Expr::Call { function, arguments: references, data_type, position };
        let batch = Batch::new(columns, 3);
        match (eval_scalar(&scalar, &context), eval(&vectorised, &context, &batch)) {
            (Ok(one), Ok(many)) => {
                assert_eq!(many.len(), 3, "{question}");
                assert_eq!(format!("{:?}", many.datum(0)), format!("{one:?}"), "{question}");
                assert_eq!(format!("{:?}", many.datum(2)), format!("{one:?}"), "{question}");
                if function.0.strict {
                    assert!(many.is_null(1), "{question}");
                }
            }
            (Err(one), Err(many)) => assert_eq!(one.message(), many.message(), "{question}"),
            (one, many) => panic!("{question}: {one:?} but {many:?}"),
        }
        total += 1;
    }
    assert!(total > 1_000);
}

#[test]
fn calls_named_like_types_are_casts() {
    assert_eq!(function_as_cast("int4", DataType::Text), Some(DataType::Int4));
    assert_eq!(function_as_cast("text", DataType::Int8), Some(DataType::Text));
    assert_eq!(function_as_cast("int4", DataType::Float8), None);
    assert_eq!(function_as_cast("lower", DataType::Text), None);
}
