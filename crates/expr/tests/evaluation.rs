//! What is evaluated when: AND, OR, CASE, COALESCE over batches, NULLs, constants, filters, folding, windows, sets.

mod support;

use expr::resolve::{FunctionArguments, common_type, compare, operator_call, resolve_function};
use expr::window::{WindowPartition, evaluate};
use expr::{CaseArm, Expr, TextContext, Unbounded, WindowCall, catalogue, eval, eval_filter, fold, set};
use support::World;
use types::{Batch, DataType, Datum, Vector};

fn int(value: i32) -> Expr {
    Expr::constant(Datum::Int4(value), DataType::Int4)
}

fn column(index: u32) -> Expr {
    Expr::column(index, DataType::Int4)
}

fn operator(name: &str, left: Expr, right: Expr) -> Expr {
    operator_call(name, Some(left), right, 0).expect("it resolves")
}

fn ints(values: &[Option<i32>]) -> Vector {
    let datums: Vec<Datum> = values.iter().map(|value| value.map_or(Datum::Null, Datum::Int4)).collect();
    Vector::from_datums(DataType::Int4, &datums)
}

fn batch() -> Batch {
    let a = ints(&[Some(1), Some(0), None, Some(5), Some(-2)]);
    let b = ints(&[Some(10), Some(20), Some(30), None, Some(50)]);
    Batch::new(vec![a, b], 5)
}

fn shown(vector: &Vector) -> String {
    (0..vector.len())
        .map(|row| match vector.datum(row) {
            Datum::Null => "null".to_owned(),
            Datum::Bool(value) => value.to_string(),
            Datum::Int4(value) => value.to_string(),
            Datum::Int8(value) => value.to_string(),
            Datum::Float8(value) => value.to_string(),
            Datum::Numeric(value) => value.to_string(),
            Datum::Text(value) => value.to_string(),
            other => format!("{other:?}"),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn run(expr: &Expr) -> String {
    let world = World::new();
    match eval(expr, &world.context(&[]), &batch()) {
        Ok(vector) => {
            assert_eq!(vector.len(), 5);
            assert_eq!(vector.data_type, expr.data_type());
            shown(&vector)
        }
        Err(error) => error.message().to_owned(),
    }
}

/// 1 / a: fails where a is 0.
fn reciprocal() -> Expr {
    operator("/", int(1), column(0))
}

#[test]
fn case_does_not_evaluate_what_is_decided() {
    assert_eq!(run(&reciprocal()), "division by zero");
    let guarded = Expr::Case {
        operand: None,
        arms: vec![CaseArm { condition: operator("<>", column(0), int(0)), result: reciprocal() }],
        otherwise: Some(Box::new(int(-1))),
        data_type: DataType::Int4,
    };
    assert_eq!(run(&guarded), "1 -1 -1 0 0");
}

#[test]
fn simple_case_compares_its_operand_once_for_each_arm() {
    let when = |value: i32, result: Expr| CaseArm {
        condition: operator("=", Expr::CaseOperand { data_type: DataType::Int4 }, int(value)),
        result,
    };
    let case = Expr::Case {
        operand: Some(Box::new(operator("+", column(0), int(1)))),
        arms: vec![when(2, int(100)), when(1, column(1)), when(6, operator("*", column(0), int(2)))],
        otherwise: None,
        data_type: DataType::Int4,
    };
    assert_eq!(run(&case), "100 20 null 10 null");
    // Nested: the inner CASE has an operand of its own.
    let nested = Expr::Case {
        operand: Some(Box::new(column(0))),
        arms: vec![CaseArm {
            condition: operator("<", Expr::CaseOperand { data_type: DataType::Int4 }, int(2)),
            result: Expr::Case {
                operand: Some(Box::new(column(1))),
                arms: vec![when(20, int(7))],
                otherwise: Some(Box::new(int(8))),
                data_type: DataType::Int4,
            },
        }],
        otherwise: Some(Box::new(int(9))),
        data_type: DataType::Int4,
    };
    assert_eq!(run(&nested), "8 7 9 9 8");
}

#[test]
fn and_and_or_are_three_valued_and_lazy() {
    let nonzero = operator("<>", column(0), int(0));
    let positive = operator(">", reciprocal(), int(0));
    assert_eq!(run(&Expr::And(vec![nonzero.clone(), positive.clone()])), "true false null false false");
    assert_eq!(
        run(&Expr::Or(vec![operator("=", column(0), int(0)), positive])),
        "true true null false false"
    );
    let unknown = operator(">", column(1), int(15));
    assert_eq!(run(&Expr::And(vec![nonzero.clone(), unknown.clone()])), "false false null null true");
    assert_eq!(run(&Expr::Or(vec![nonzero, unknown])), "true true true true true");
}

#[test]
fn coalesce_stops_at_the_first_value() {
    let zero_divide = operator("/", int(1), operator("-", column(1), column(1)));
    let all = Expr::Coalesce { arguments: vec![column(1), column(0)], data_type: DataType::Int4 };
    assert_eq!(run(&all), "10 20 30 5 50");
    // The last argument would fail for every row but the one where it is NULL too.
    let lazy = Expr::Coalesce { arguments: vec![column(1), zero_divide], data_type: DataType::Int4 };
    assert_eq!(run(&lazy), "10 20 30 null 50");
}

#[test]
fn nulls_distinctness_and_lists() {
    let is_null = |input: Expr, negated: bool| Expr::IsNull { input: Box::new(input), negated };
    assert_eq!(run(&is_null(column(0), false)), "false false true false false");
    assert_eq!(run(&is_null(int(1), true)), "true true true true true");
    let (left, right, equal) = compare("=", column(0), int(5), 0).expect("it resolves");
    let distinct = |negated: bool| Expr::IsDistinctFrom {
        left: Box::new(left.clone()),
        right: Box::new(right.clone()),
        equal,
        negated,
    };
    assert_eq!(run(&distinct(false)), "true true true false true");
    assert_eq!(run(&distinct(true)), "false false false true false");
    let null = Expr::constant(Datum::Null, DataType::Int4);
    let list =
        |list: Vec<Expr>, negated: bool| Expr::InList { input: Box::new(column(0)), list, equal, negated };
    assert_eq!(run(&list(vec![int(5), int(1)], false)), "true false null true false");
    assert_eq!(run(&list(vec![int(5), null], true)), "null null null false null");
    assert_eq!(run(&list(vec![column(1), int(0)], false)), "false true null null false");
    let null_if = Expr::NullIf { left: Box::new(column(0)), right: Box::new(int(5)), equal };
    assert_eq!(run(&null_if), "1 0 null null -2");
    let greatest =
        Expr::Greatest { arguments: vec![column(0), int(3), column(1)], data_type: DataType::Int4 };
    assert_eq!(run(&greatest), "10 20 30 5 50");
}

#[test]
fn quantified_comparisons() {
    let array = |values: &[Option<i32>]| Expr::Array {
        elements: values
            .iter()
            .map(|value| Expr::constant(value.map_or(Datum::Null, Datum::Int4), DataType::Int4))
            .collect(),
        data_type: DataType::array_of(DataType::Int4),
        nested: false,
    };
    let (_, _, equal) = compare("=", column(0), int(5), 0).expect("it resolves");
    let (_, _, less) = compare("<", column(0), int(5), 0).expect("it resolves");
    let quantified = |array: Expr, operator, all| Expr::Quantified {
        input: Box::new(column(0)),
        array: Box::new(array),
        operator,
        all,
    };
    assert_eq!(run(&quantified(array(&[Some(1), Some(5)]), equal, false)), "true false null true false");
    assert_eq!(run(&quantified(array(&[Some(1), None]), equal, false)), "true null null null null");
    assert_eq!(run(&quantified(array(&[Some(1), Some(3)]), less, true)), "false true null false true");
    assert_eq!(run(&quantified(array(&[]), equal, false)), "false false false false false");
    assert_eq!(run(&quantified(array(&[]), equal, true)), "true true true true true");
    let of_row = Expr::Array {
        elements: vec![column(1), column(0)],
        data_type: DataType::array_of(DataType::Int4),
        nested: false,
    };
    assert_eq!(run(&quantified(of_row, equal, false)), "true true null true true");
}

#[test]
fn subscripts_and_rows() {
    let array = Expr::Array {
        elements: vec![column(0), column(1)],
        data_type: DataType::array_of(DataType::Int4),
        nested: false,
    };
    let subscript = |subscript: expr::expr::Subscript, data_type: DataType| Expr::Subscript {
        array: Box::new(array.clone()),
        subscripts: vec![subscript],
        data_type,
    };
    let second = subscript(expr::expr::Subscript::Index(int(2)), DataType::Int4);
    assert_eq!(run(&second), "10 20 30 null 50");
    let beyond = subscript(expr::expr::Subscript::Index(int(3)), DataType::Int4);
    assert_eq!(run(&beyond), "null null null null null");
    let row = Expr::Row {
        fields: vec![column(1), column(0)],
        names: ["f1".into(), "f2".into()].into(),
        data_type: DataType::Record,
    };
    let field = Expr::Field { input: Box::new(row), field: 1, data_type: DataType::Int4 };
    assert_eq!(run(&field), "1 0 null 5 -2");
}

#[test]
fn overflow_is_an_error_only_where_there_is_no_null() {
    let big = operator("*", column(1), int(i32::MAX));
    assert_eq!(run(&big), "integer out of range");
    let world = World::new();
    // The only row that would overflow is NULL on the other side.
    let batch = Batch::new(vec![ints(&[Some(1), None]), ints(&[Some(2), Some(i32::MAX)])], 2);
    let product = operator("*", operator("+", column(0), int(1)), operator("*", column(1), int(1)));
    assert_eq!(shown(&eval(&product, &world.context(&[]), &batch).expect("no overflow")), "4 null");
}

#[test]
fn filters_select_rows() {
    let world = World::new();
    let filter = |expr: &Expr| eval_filter(expr, &world.context(&[]), &batch()).expect("it runs");
    assert_eq!(filter(&operator(">", column(0), int(0))), [0, 3]);
    let both = Expr::And(vec![operator("<>", column(0), int(0)), operator(">", column(1), int(5))]);
    assert_eq!(filter(&both), [0, 4]);
    let guarded = Expr::And(vec![operator("<>", column(0), int(0)), operator("=", reciprocal(), int(0))]);
    assert_eq!(filter(&guarded), [3, 4]);
    assert_eq!(filter(&Expr::constant(Datum::Bool(true), DataType::Bool)), [0, 1, 2, 3, 4]);
    assert!(filter(&Expr::constant(Datum::Null, DataType::Bool)).is_empty());
}

#[test]
fn folding_keeps_what_varies_and_what_fails() {
    let world = World::new();
    let context = world.context(&[]);
    assert_eq!(fold(operator("+", int(2), int(3)), &context), int(5));
    let failing = operator("/", int(1), int(0));
    assert_eq!(fold(failing.clone(), &context), failing);
    let partly = operator("+", column(0), operator("*", int(2), int(3)));
    assert_eq!(fold(partly, &context), operator("+", column(0), int(6)));
    let decided = Expr::And(vec![operator("=", column(0), int(1)), operator("=", int(1), int(2))]);
    assert_eq!(fold(decided, &context), Expr::constant(Datum::Bool(false), DataType::Bool));
    let now = resolve_function(None, "now", &[], FunctionArguments::Plain).expect("it resolves");
    let call = expr::resolve::function_call(&now, Vec::new(), 0).expect("it builds");
    assert_eq!(fold(call.clone(), &context), call);
    // A NULL decides a strict function, whatever the other argument would come to.
    let null = Expr::constant(Datum::Null, DataType::Int4);
    let unknown = operator("*", operator("/", int(1), column(0)), null.clone());
    assert_eq!(fold(unknown, &context), null);
    let failing = operator("*", failing, null);
    assert_eq!(fold(failing.clone(), &context), failing);
}

#[test]
fn common_types() {
    use DataType::*;
    let common = |types: &[DataType]| {
        common_type(types, "CASE").map_err(|(error, at)| (error.message().to_owned(), at))
    };
    assert_eq!(common(&[Int4, Unknown, Int8]), Ok(Int8));
    assert_eq!(common(&[Int8, Int2]), Ok(Int8));
    assert_eq!(common(&[Int4, Numeric, Float8]), Ok(Float8));
    assert_eq!(common(&[Unknown, Unknown]), Ok(Text));
    assert_eq!(common(&[Varchar, Text]), Ok(Varchar));
    assert_eq!(common(&[Bpchar, Text]), Ok(Bpchar));
    assert_eq!(common(&[Name, Varchar]), Ok(Name));
    assert_eq!(common(&[Date, TimestampTz]), Ok(TimestampTz));
    assert_eq!(common(&[Int4, Text]), Err(("CASE types integer and text cannot be matched".into(), 1)));
}

fn window(name: &str, arguments: &[&Vector]) -> String {
    let types: Vec<DataType> = arguments.iter().map(|argument| argument.data_type).collect();
    // ntile, rank and their like have a window form beside an aggregate of the same name.
    let function = catalogue()
        .functions_named(name)
        .iter()
        .copied()
        .find(|function| function.0.arguments.len() == types.len())
        .expect("a known function");
    let resolved = resolve_function(None, name, &types, FunctionArguments::Plain);
    let data_type = resolved.map_or(function.0.result, |resolved| resolved.result);
    let columns = types.iter().enumerate().map(|(index, data_type)| Expr::column(index as u32, *data_type));
    let call = WindowCall { function, arguments: columns.collect(), filter: None, data_type };
    // Peers: {0} {1 2} {3} {4}; frames: from the start to the last peer.
    let partition = WindowPartition {
        rows: 5,
        peers: &[(0, 1), (1, 3), (1, 3), (3, 4), (4, 5)],
        frames: &[(0, 1), (0, 3), (0, 3), (0, 4), (0, 5)],
        text: &TextContext::default(),
        bounds: &Unbounded,
    };
    shown(&evaluate(&call, arguments, None, &partition).expect("it runs"))
}

#[test]
fn window_functions() {
    let values = ints(&[Some(1), Some(2), Some(2), None, Some(9)]);
    let twos = ints(&[Some(2); 5]);
    let defaults = ints(&[Some(-1); 5]);
    assert_eq!(window("row_number", &[]), "1 2 3 4 5");
    assert_eq!(window("rank", &[]), "1 2 2 4 5");
    assert_eq!(window("dense_rank", &[]), "1 2 2 3 4");
    assert_eq!(window("percent_rank", &[]), "0 0.25 0.25 0.75 1");
    assert_eq!(window("cume_dist", &[]), "0.2 0.6 0.6 0.8 1");
    assert_eq!(window("ntile", &[&twos]), "1 1 1 2 2");
    assert_eq!(window("lag", &[&values]), "null 1 2 2 null");
    assert_eq!(window("lead", &[&values, &twos]), "2 null 9 null null");
    assert_eq!(window("lag", &[&values, &twos, &defaults]), "-1 -1 1 2 2");
    assert_eq!(window("first_value", &[&values]), "1 1 1 1 1");
    assert_eq!(window("last_value", &[&values]), "1 2 2 null 9");
    assert_eq!(window("nth_value", &[&values, &twos]), "null 2 2 2 2");
    assert_eq!(window("sum", &[&values]), "1 5 5 5 14");
    assert_eq!(window("count", &[&values]), "1 3 3 3 4");
}

fn rows(name: &str, arguments: &[Datum], types: &[DataType]) -> String {
    let world = World::new();
    let resolved = resolve_function(None, name, types, FunctionArguments::Plain).expect("it resolves");
    let mut set = set::open(resolved.function, arguments, &resolved.argument_types, &world.context(&[]))
        .expect("it opens");
    let mut out = Vec::new();
    loop {
        let batch = set.next(2).expect("it runs");
        if batch.rows == 0 {
            return out.join(" ");
        }
        out.extend((0..batch.columns.len()).map(|index| shown(&batch.columns[index])));
    }
}

#[test]
fn sets_of_rows() {
    use DataType::{Int4, Numeric, Text};
    assert_eq!(rows("generate_series", &[1, 5, 2].map(Datum::Int4), &[Int4; 3]), "1 3 5");
    assert_eq!(rows("generate_series", &[3, 1, -1].map(Datum::Int4), &[Int4; 3]), "3 2 1");
    assert_eq!(rows("generate_series", &[1, 0].map(Datum::Int4), &[Int4; 2]), "");
    let end = [i32::MAX - 1, i32::MAX].map(Datum::Int4);
    assert_eq!(rows("generate_series", &end, &[Int4; 2]), "2147483646 2147483647");
    let numeric = |text: &str| Datum::Numeric(types::Numeric::parse(text).expect("a number"));
    let series = ["1.0", "2", "0.5"].map(numeric);
    assert_eq!(rows("generate_series", &series, &[Numeric; 3]), "1.0 1.5 2.0");
    let split = ["a,b,,c", ","].map(Datum::text);
    assert_eq!(rows("string_to_table", &split, &[Text; 2]), "a b  c");
    let matched = ["foobar", "o|b"].map(Datum::text);
    assert_eq!(rows("regexp_split_to_table", &matched, &[Text; 2]), "f   ar");
}

#[test]
fn every_operator_cast_and_default_names_a_row() {
    for operator in catalogue().operators() {
        let function = operator.function();
        assert_eq!(
            function.0.arguments.len(),
            if operator.left.is_some() { 2 } else { 1 },
            "{}",
            operator.name
        );
    }
    for cast in catalogue().casts() {
        expr::resolve::find_cast(cast.from, cast.to).expect("a cast");
    }
    for function in catalogue().functions().filter(|function| function.0.optional > 0) {
        let required = function.0.arguments.len() - usize::from(function.0.optional);
        let types = &function.0.arguments[..required];
        let resolved = resolve_function(None, function.0.name, types, FunctionArguments::Plain);
        let resolved = resolved.expect("it resolves without its optional arguments");
        assert_eq!(resolved.defaults.len(), usize::from(function.0.optional), "{}", function.0.name);
    }
}
