//! Aggregates, sorts, DISTINCT, set operations, windows, common tables, set functions.

use std::collections::BTreeMap;

use expr::{Expr, WindowCall};
use planner::ast::{FrameExclusion, FrameUnit};
use planner::plan::*;
use stdx::Prng;
use types::DataType;

use crate::build::*;
use crate::world::World;

fn aggregate(name: &str, arguments: Vec<Expr>) -> expr::Aggregate {
    let types: Vec<DataType> = arguments.iter().map(Expr::data_type).collect();
    let (function, data_type) = function(name, &types);
    expr::Aggregate { function, arguments, distinct: false, filter: None, order_by: Vec::new(), data_type }
}

fn group(
    input: PlanNode,
    keys: Vec<Expr>,
    sets: Vec<Vec<u32>>,
    aggregates: Vec<expr::Aggregate>,
    strategy: AggregateStrategy,
) -> PlanNode {
    let mut types: Vec<DataType> = keys.iter().map(Expr::data_type).collect();
    types.extend(aggregates.iter().map(|aggregate| aggregate.data_type));
    if sets.len() > 1 {
        types.push(INT);
    }
    let plan = Aggregate { input, keys, sets, aggregates, strategy };
    node(Operator::Aggregate(Box::new(plan)), &types)
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

#[test]
fn groups_with_distinct_filter_and_order() {
    let world = World::new();
    let input = || {
        ints(
            2,
            &[
                &[Some(1), Some(5)],
                &[None, Some(7)],
                &[Some(1), Some(5)],
                &[Some(1), None],
                &[Some(2), Some(1)],
                &[None, Some(3)],
            ],
        )
    };
    let mut distinct = aggregate("sum", vec![col(1)]);
    distinct.distinct = true;
    let mut filtered = aggregate("count", vec![]);
    filtered.filter = Some(op(">", col(1), int(3)));
    let text_of = Expr::Cast {
        input: Box::new(col(1)),
        to: TEXT.into(),
        context: expr::CastContext::Explicit,
        position: 0,
    };
    let mut ordered = aggregate("string_agg", vec![text_of, text(",")]);
    ordered.order_by = vec![(col(1), true, false)];
    let calls = vec![aggregate("count", vec![col(1)]), distinct, filtered, ordered];
    for strategy in [AggregateStrategy::Hash, AggregateStrategy::Ordered] {
        let input = sort(input(), &[0]);
        let rows = sorted(world.rows(group(input, vec![col(0)], vec![vec![0]], calls.clone(), strategy)));
        assert_eq!(rows, ["1|2|5|2|5,5", "2|1|1|0|1", "null|2|10|1|7,3"]);
    }
    let none = || values(&[INT, INT], vec![]);
    let count = || vec![aggregate("count", vec![]), aggregate("sum", vec![col(1)])];
    assert_eq!(world.rows(group(none(), vec![], vec![vec![]], count(), AggregateStrategy::Hash)), ["0|null"]);
    let grouped = group(none(), vec![col(0)], vec![vec![0]], count(), AggregateStrategy::Hash);
    assert_eq!(world.rows(grouped), [""; 0]);
}

#[test]
fn grouping_sets_mark_their_rows() {
    let world = World::new();
    let input = ints(2, &[&[Some(1), Some(1)], &[Some(1), Some(2)], &[Some(2), Some(1)]]);
    let sets = vec![vec![0, 1], vec![0], vec![]];
    let calls = vec![aggregate("count", vec![])];
    let rows = world.rows(group(input, vec![col(0), col(1)], sets, calls, AggregateStrategy::Hash));
    assert_eq!(sorted(rows), ["1|1|1|0", "1|2|1|0", "1|null|2|1", "2|1|1|0", "2|null|1|1", "null|null|3|2"]);
}

#[test]
fn many_groups_in_little_memory_or_in_order_are_the_same_groups() {
    let rows: Vec<Vec<Expr>> = (0..12_000).map(|row| vec![int(row * 7919 % 5000), int(row)]).collect();
    let mut expected: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for row in 0..12_000i32 {
        let entry = expected.entry(row * 7919 % 5000).or_default();
        *entry = (entry.0 + 1, entry.1 + i64::from(row));
    }
    let expected: Vec<String> =
        expected.into_iter().map(|(key, (count, sum))| format!("{key}|{count}|{sum}")).collect();
    let calls = || vec![aggregate("count", vec![]), aggregate("sum", vec![col(1)])];
    for (work_bytes, strategy) in [
        (64 << 20, AggregateStrategy::Hash),
        (20_000, AggregateStrategy::Hash),
        (64 << 20, AggregateStrategy::Ordered),
    ] {
        let mut world = World::new();
        world.memory = world.memory.with_work_memory("query", 1 << 30, work_bytes);
        let input = values(&[INT, INT], rows.clone());
        let input = if strategy == AggregateStrategy::Ordered { sort(input, &[0]) } else { input };
        let groups = group(input, vec![col(0)], vec![vec![0]], calls(), strategy);
        assert_eq!(world.rows(sort(groups, &[0])), expected, "{work_bytes} {strategy:?}");
        assert_eq!(world.memory.used(), 0);
    }
}

#[test]
fn memory_is_bounded_where_nothing_can_spill() {
    let mut world = World::new();
    world.memory = executor::MemoryAccount::root("query", 50_000);
    let rows: Vec<Vec<Expr>> = (0..5000).map(|row| vec![int(row), int(row)]).collect();
    let input = || values(&[INT, INT], rows.clone());
    let groups = group(
        input(),
        vec![col(0)],
        vec![vec![0]],
        vec![aggregate("count", vec![])],
        AggregateStrategy::Hash,
    );
    assert_eq!(world.error(groups).code().as_str(), "53200");
    assert_eq!(world.error(sort(input(), &[0])).code().as_str(), "53200");
    assert_eq!(world.memory.used(), 0);
}

#[test]
fn top_n_is_sort_and_limit() {
    let mut prng = Prng::new(5);
    let world = World::new();
    let rows: Vec<Vec<Expr>> =
        (0..9000).map(|row| vec![int((prng.next_u64() % 1000) as i32), int(row)]).collect();
    let input = || values(&[INT, INT], rows.clone());
    let keys = vec![ascending(0), SortKey { column: 1, descending: true, nulls_first: true }];
    for (count, offset) in [(10, 0), (3, 5), (0, 0), (8000, 999), (20_000, 8995)] {
        let top = TopN { input: input(), keys: keys.clone(), count: long(count), offset: Some(long(offset)) };
        let top = world.rows(node(Operator::TopN(Box::new(top)), &[INT, INT]));
        let sorted = Sort { input: input(), keys: keys.clone(), presorted: 0 };
        let sorted = world.rows(node(Operator::Sort(Box::new(sorted)), &[INT, INT]));
        let wanted: Vec<String> = sorted.into_iter().skip(offset as usize).take(count as usize).collect();
        assert_eq!(top, wanted);
    }
}

#[test]
fn a_presorted_input_is_sorted_group_by_group() {
    let mut prng = Prng::new(6);
    let world = World::new();
    let rows: Vec<Vec<Expr>> =
        (0..5000).map(|row| vec![int(row / 700), int((prng.next_u64() % 50) as i32), int(row)]).collect();
    let sorted = |presorted| {
        let input = values(&[INT; 3], rows.clone());
        let keys = vec![ascending(0), ascending(1)];
        world.rows(node(Operator::Sort(Box::new(Sort { input, keys, presorted })), &[INT; 3]))
    };
    assert_eq!(sorted(1), sorted(0));
}

#[test]
fn distinct_in_little_memory_keeps_one_of_each() {
    let rows: Vec<Vec<Expr>> = (0..9000).map(|row| vec![int(row % 3000), int(0)]).collect();
    for work_bytes in [64 << 20, 5000] {
        let mut world = World::new();
        world.memory = world.memory.with_work_memory("query", 1 << 30, work_bytes);
        let input = values(&[INT, INT], rows.clone());
        let distinct = Distinct { input, columns: vec![0, 1], ordered: false };
        let found = world.rows(node(Operator::Distinct(Box::new(distinct)), &[INT, INT]));
        assert_eq!(found.len(), 3000);
        let mut unique = found.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), 3000);
    }
    let world = World::new();
    let input = ints(
        2,
        &[&[Some(1), Some(1)], &[Some(1), Some(2)], &[None, Some(3)], &[None, Some(4)], &[Some(2), Some(5)]],
    );
    let distinct = Distinct { input, columns: vec![0], ordered: true };
    assert_eq!(
        world.rows(node(Operator::Distinct(Box::new(distinct)), &[INT, INT])),
        ["1|1", "null|3", "2|5"]
    );
}

#[test]
fn set_operations_count_as_sql_does() {
    let world = World::new();
    let left = || ints(1, &[&[Some(1)], &[Some(2)], &[Some(2)], &[Some(2)], &[None], &[None]]);
    let right = || ints(1, &[&[Some(2)], &[Some(2)], &[None], &[Some(3)]]);
    let run = |operator, all| {
        let plan = SetOperation { operator, all, left: left(), right: right() };
        world.rows(node(Operator::SetOperation(Box::new(plan)), &[INT]))
    };
    assert_eq!(run(SetOperator::Union, false), ["1", "2", "null", "3"]);
    assert_eq!(run(SetOperator::Intersect, false), ["2", "null"]);
    assert_eq!(run(SetOperator::Intersect, true), ["2", "2", "null"]);
    assert_eq!(run(SetOperator::Except, false), ["1"]);
    assert_eq!(run(SetOperator::Except, true), ["1", "2", "null"]);
}

fn window(
    input: PlanNode,
    unit: FrameUnit,
    edges: (FrameEdge, FrameEdge),
    range: Option<RangeArithmetic>,
    calls: Vec<WindowCall>,
) -> PlanNode {
    let mut types = types_of(&input);
    types.extend(calls.iter().map(|call| call.data_type));
    let frame =
        WindowFrame { unit, start: edges.0, end: edges.1, exclusion: FrameExclusion::NoOthers, range };
    let window = Window { input, partition_by: vec![0], order_by: vec![ascending(1)], frame, calls };
    node(Operator::Window(Box::new(window)), &types)
}

fn call(name: &str, arguments: Vec<Expr>) -> WindowCall {
    let types: Vec<DataType> = arguments.iter().map(Expr::data_type).collect();
    let (function, data_type) = function(name, &types);
    WindowCall { function, arguments, filter: None, data_type }
}

#[test]
fn windows_over_rows_ranges_and_groups() {
    use FrameEdge::*;
    let world = World::new();
    let input = || {
        ints(
            2,
            &[
                &[Some(1), Some(1)],
                &[Some(1), Some(1)],
                &[Some(1), Some(3)],
                &[Some(1), Some(4)],
                &[Some(1), None],
                &[Some(2), Some(9)],
            ],
        )
    };
    let calls = || vec![call("count", vec![]), call("rank", vec![])];
    let run = |unit, edges, range| world.rows(window(input(), unit, edges, range, calls()));
    let default = run(FrameUnit::Range, (UnboundedPreceding, CurrentRow), None);
    assert_eq!(default, ["1|1|2|1", "1|1|2|1", "1|3|3|3", "1|4|4|4", "1|null|5|5", "2|9|1|1"]);
    let rows = run(FrameUnit::Rows, (Preceding(long(1)), Following(long(1))), None);
    assert_eq!(rows, ["1|1|2|1", "1|1|3|1", "1|3|3|3", "1|4|3|4", "1|null|2|5", "2|9|1|1"]);
    let groups = run(FrameUnit::Groups, (Preceding(long(1)), CurrentRow), None);
    assert_eq!(groups, ["1|1|2|1", "1|1|2|1", "1|3|3|3", "1|4|2|4", "1|null|2|5", "2|9|1|1"]);
    let arithmetic =
        RangeArithmetic { add: function_of("+", INT, INT), subtract: function_of("-", INT, INT) };
    let range = run(FrameUnit::Range, (Preceding(int(2)), Following(int(1))), Some(arithmetic));
    assert_eq!(range, ["1|1|2|1", "1|1|2|1", "1|3|4|3", "1|4|2|4", "1|null|1|5", "2|9|1|1"]);
    let edges = (Preceding(long(-1)), CurrentRow);
    let error = world.error(window(input(), FrameUnit::Rows, edges, None, calls()));
    assert_eq!(error.code().as_str(), "22013");
}

#[test]
fn recursion_runs_until_nothing_is_new() {
    let world = World::new();
    let work = || node(Operator::WorkTableScan(Box::new(WorkTableScan { cte: 0, name: "r".into() })), &[INT]);
    let union = |step, distinct| {
        let union =
            RecursiveUnion { cte: 0, name: "r".into(), initial: ints(1, &[&[Some(1)]]), step, distinct };
        node(Operator::RecursiveUnion(Box::new(union)), &[INT])
    };
    let step = project(filter(work(), op("<", col(0), int(5))), vec![op("+", col(0), int(1))]);
    assert_eq!(world.rows(union(step, false)), ["1", "2", "3", "4", "5"]);
    let around = project(work(), vec![op("%", op("+", col(0), int(1)), int(4))]);
    assert_eq!(world.rows(union(around, true)), ["1", "2", "3", "0"]);
}

#[test]
fn a_common_table_is_evaluated_once_and_read_often() {
    let mut world = World::new();
    let table = world.add(crate::build::table(100, "t", &[("a", INT, true)]));
    let scan_of = |cte| node(Operator::CteScan(Box::new(CteScan { cte, name: "w".into() })), &[INT]);
    let rows: Vec<Vec<Expr>> = (0..3000).map(|row| vec![int(row)]).collect();
    for work_bytes in [64 << 20, 100] {
        world.memory = world.memory.with_work_memory("query", 1 << 30, work_bytes);
        let mut writes = insert(&table, values(&[INT], vec![vec![int(work_bytes as i32)]]));
        writes.returning = Some(vec![col(0)]);
        let tables = vec![
            WithTable { cte: 0, name: "w".into(), plan: values(&[INT], rows.clone()), modifies: false },
            WithTable { cte: 1, name: "x".into(), plan: insert_node(writes), modifies: true },
        ];
        let body = node(
            Operator::Append(Box::new(Append { inputs: vec![scan_of(0), scan_of(0), scan_of(0)] })),
            &[INT],
        );
        let with = node(Operator::With(Box::new(With { tables, body })), &[INT]);
        let found = world.rows(with);
        let expected: Vec<String> = (0..9000).map(|row| (row % 3000).to_string()).collect();
        assert_eq!(found, expected);
    }
    assert_eq!(world.rows(all(&table)), ["100", "67108864"], "written though nobody read it");
}

#[test]
fn subqueries_without_correlation_run_once_before_the_body() {
    let world = World::new();
    let slot = |index, data_type| Expr::Slot { index, data_type };
    let subquery = |slot, result, plan| InitSubquery { slot, result, plan };
    let subqueries = vec![
        subquery(0, SubqueryResult::Scalar, ints(1, &[&[Some(4)]])),
        subquery(1, SubqueryResult::Exists, values(&[INT], vec![])),
        subquery(2, SubqueryResult::Array, ints(1, &[&[Some(1)], &[None]])),
        subquery(3, SubqueryResult::Scalar, values(&[INT], vec![])),
    ];
    let expressions = vec![
        op("+", slot(0, INT), int(1)),
        slot(1, DataType::Bool),
        slot(2, DataType::array_of(INT)),
        slot(3, INT),
    ];
    let types: Vec<DataType> = expressions.iter().map(Expr::data_type).collect();
    let body = project(values(&[], vec![vec![]]), expressions);
    let init = node(Operator::InitPlan(Box::new(InitPlan { subqueries, body })), &types);
    assert_eq!(world.rows(init), ["5|f|{1,NULL}|null"]);
}

#[test]
fn set_functions_side_by_side() {
    let world = World::new();
    let series = |from: Expr, to: Expr| {
        let (function, data_type) = function("generate_series", &[INT, INT]);
        SetFunction {
            expand: false,
            function,
            arguments: vec![from, to],
            columns: vec![data_type],
            position: 0,
        }
    };
    let functions = vec![series(int(1), int(3)), series(int(7), int(8))];
    let scan = FunctionScan { functions, ordinality: true, alias: "f".into() };
    let rows = world.rows(node(Operator::FunctionScan(Box::new(scan)), &[INT, INT, DataType::Int8]));
    assert_eq!(rows, ["1|7|1", "2|8|2", "3|null|3"]);
    let input = ints(1, &[&[Some(2)], &[Some(0)], &[Some(1)]]);
    let set = ProjectSet { input, functions: vec![series(int(1), col(0))] };
    let rows = world.rows(node(Operator::ProjectSet(Box::new(set)), &[INT, INT]));
    assert_eq!(rows, ["2|1", "2|2", "1|1"]);
}

#[test]
fn rows_are_locked_after_they_were_chosen() {
    let world = World::new();
    let table = world.add(crate::build::table(100, "t", &[("a", INT, true), ("b", INT, false)]));
    let plan = crate::world::plan_of(insert_node(insert(
        &table,
        ints(2, &[&[Some(1), Some(5)], &[Some(2), Some(6)]]),
    )));
    world.run(&plan, vec![]).expect("inserts");
    // What was read before is stale: column 1 is replaced by what the row has now; the third row has nothing to lock.
    let input = ints(2, &[&[Some(2), Some(0)], &[Some(3), Some(0)], &[None, Some(0)], &[Some(1), Some(0)]]);
    let target = LockTarget {
        table: table.clone(),
        lock: lock().expect("a lock"),
        key: vec![0],
        refresh: vec![(types::descriptor::ColumnId(2), 1)],
    };
    let locked = |recheck| {
        let plan = LockRows { input: input.clone(), targets: vec![target.clone()], recheck };
        world.rows(node(Operator::LockRows(Box::new(plan)), &[INT, INT]))
    };
    assert_eq!(locked(None), ["2|6", "null|0", "1|5"]);
    assert_eq!(locked(Some(op("<", col(1), int(6)))), ["null|0", "1|5"]);
}
