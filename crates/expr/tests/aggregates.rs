//! Aggregates against PostgreSQL's answers (`golden/aggregates.txt`): whole, in partial states merged, and as window frames.

mod support;

use expr::aggregate::{GroupedAccumulator, accumulator};
use expr::resolve::{FunctionArguments, resolve_function};
use expr::{Aggregate, CastContext, Expr, TextContext, catalogue, eval_scalar};
use support::{World, unescape, variant};
use types::{ColumnType, DataType, Datum, PgResult, Vector};

struct Case {
    call: Aggregate,
    columns: Vec<Vector>,
    rows: usize,
}

fn literal(data_type: DataType, text: &str, world: &World) -> PgResult<Datum> {
    if text == "\\N" {
        return Ok(Datum::Null);
    }
    let input = Expr::constant(Datum::text(unescape(text)), DataType::Unknown);
    cast(input, data_type, world)
}

fn cast(input: Expr, to: DataType, world: &World) -> PgResult<Datum> {
    let expr = Expr::Cast {
        input: Box::new(input),
        to: ColumnType::from(to),
        context: CastContext::Explicit,
        position: 0,
    };
    eval_scalar(&expr, &world.context(&[]))
}

fn case(question: &str, world: &World) -> Case {
    let fields: Vec<&str> = question.split('\t').collect();
    let function = catalogue().function(fields[0].parse().expect("an oid")).expect("a known aggregate");
    let mut types: Vec<DataType> =
        fields[1].split(',').filter(|name| !name.is_empty()).map(variant).collect();
    let within: usize = fields[2].parse().expect("a count");
    let rows: Vec<Vec<&str>> = fields[3..].iter().map(|row| row.split('\u{1f}').collect()).collect();
    let direct = types.len() - within;
    let inputs = if function.0.name.contains("rank") || function.0.name == "cume_dist" {
        &types[..direct]
    } else {
        &types[..]
    };
    let resolved =
        resolve_function(None, function.0.name, inputs, FunctionArguments::Plain).expect("it resolves");
    let argument = |index: usize| Expr::column(index as u32, types[index]);
    let call = Aggregate {
        function,
        arguments: (0..direct).map(argument).collect(),
        distinct: false,
        filter: None,
        order_by: (direct..types.len()).map(|index| (argument(index), false, false)).collect(),
        data_type: resolved.result,
    };
    let columns = types
        .drain(..)
        .enumerate()
        .map(|(index, data_type)| {
            let datums: Vec<Datum> = rows
                .iter()
                .map(|row| literal(data_type, row[index], world).expect("a good literal"))
                .collect();
            Vector::from_datums(data_type, &datums)
        })
        .collect();
    Case { call, columns, rows: rows.len() }
}

fn shown(result: PgResult<Vector>, data_type: DataType, world: &World) -> String {
    let text =
        result.and_then(|vector| cast(Expr::constant(vector.datum(0), data_type), DataType::Text, world));
    match text {
        Ok(Datum::Null) => "N".into(),
        Ok(Datum::Text(text)) => format!("V{text}"),
        Ok(other) => format!("V{other:?}"),
        Err(error) => format!("E{} {}", error.code(), error.message()),
    }
}

fn begin(case: &Case) -> Box<dyn GroupedAccumulator> {
    let mut state = accumulator(&case.call, &TextContext::default()).expect("the aggregate is built");
    state.resize(1);
    state
}

fn whole(case: &Case) -> PgResult<Vector> {
    let mut state = begin(case);
    let columns: Vec<&Vector> = case.columns.iter().collect();
    state.update(&vec![0; case.rows], &columns, None)?;
    state.finish()
}

/// The rows split in two, each half summed up apart, the states merged.
fn merged(case: &Case) -> PgResult<Vector> {
    let mut total = begin(case);
    for half in [0..case.rows / 2, case.rows / 2..case.rows] {
        let mut part = begin(case);
        let columns: Vec<&Vector> = case.columns.iter().collect();
        let rows: Vec<u32> = half.map(|row| row as u32).collect();
        part.update(&vec![0; case.rows], &columns, Some(&rows))?;
        total.merge(&[0], &part.partial_states()?)?;
    }
    total.finish()
}

#[test]
fn same_answers_as_postgresql() {
    let world = World::new();
    let golden = include_str!("golden/aggregates.txt");
    let mut wrong = Vec::new();
    let mut total = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (question, answer) = line.split_once("\t=>\t").expect("question and answer");
        let case = case(question, &world);
        total += 1;
        let name = case.call.function.0.name;
        let expected = unescape(answer);
        let got = shown(whole(&case), case.call.data_type, &world);
        if got != expected {
            wrong.push(format!("{name} {question}: expected {expected}, got {got}"));
        }
        // Float sums depend on the order of addition, errors on the order of rows.
        let exact = !case
            .columns
            .iter()
            .any(|column| matches!(column.data_type, DataType::Float8 | DataType::Float4));
        let got = shown(merged(&case), case.call.data_type, &world);
        if exact && !expected.starts_with('E') && got != expected {
            wrong.push(format!("{name} {question}, merged: expected {expected}, got {got}"));
        }
    }
    assert!(total > 200);
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn groups_are_kept_apart() {
    let world = World::new();
    let call = |name: &str, data_type: DataType| {
        let resolved =
            resolve_function(None, name, &[data_type], FunctionArguments::Plain).expect("it resolves");
        Aggregate {
            function: resolved.function,
            arguments: vec![Expr::column(0, data_type)],
            distinct: false,
            filter: None,
            order_by: Vec::new(),
            data_type: resolved.result,
        }
    };
    let _ = &world;
    let values = Vector::from_datums(DataType::Int4, &[1, 2, 3, 4, 5].map(Datum::Int4));
    let mut sum = accumulator(&call("sum", DataType::Int4), &TextContext::default()).expect("built");
    sum.resize(2);
    sum.update(&[0, 1, 0, 1, 0], &[&values], None).expect("no overflow");
    sum.resize(3);
    sum.update(&[2, 2, 2, 2, 2], &[&values], Some(&[4])).expect("no overflow");
    let result = sum.finish().expect("no overflow");
    assert_eq!((0..3).map(|row| result.datum(row)).collect::<Vec<_>>(), [9, 6, 5].map(Datum::Int8));
}
