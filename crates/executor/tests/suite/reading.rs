//! Scans, spans, point reads, projections, limits.

use std::sync::Arc;

use executor::Parallelism;
use expr::Expr;
use planner::Table;
use planner::plan::*;
use types::descriptor::ColumnId;
use types::{ArrayValue, DataType, Datum};

use crate::build::*;
use crate::world::{World, plan_of};

/// t(a int primary key, b int, c text) with an index on (b desc nulls first).
fn world() -> (World, Arc<Table>) {
    let world = World::new();
    let mut descriptor = table(100, "t", &[("a", INT, true), ("b", INT, false), ("c", TEXT, false)]);
    let mut by_b = index(102, "t_b", 2, &[2], false);
    by_b.columns[0].descending = true;
    by_b.columns[0].nulls_first = true;
    descriptor.indexes.push(by_b);
    let table = world.add(descriptor);
    let rows = (1..=6).map(|a| {
        let b = if a == 4 { null(INT) } else { int(a % 3 * 10) };
        vec![int(a), b, text(&format!("row {a}"))]
    });
    let source = values(&[INT, INT, TEXT], rows.collect());
    let inserted = world.run(&plan_of(insert_node(insert(&table, source))), Vec::new());
    assert_eq!(inserted.expect("inserts"), (Vec::new(), 6));
    (world, table)
}

fn bounds(prefix: Vec<KeyValue>, lower: SpanBound, upper: SpanBound) -> Spans {
    Spans::List(vec![Span { prefix, lower, upper, not_null: false }])
}

#[test]
fn a_point_read_is_one_get() {
    let (world, table) = world();
    let key = Expr::Parameter { index: 0, data_type: INT };
    let read = project(scan_node(point(&table, key)), vec![Expr::column(2, TEXT), col(0)]);
    let plan = plan_of(read);
    let before = world.store.requests.lock().clone();
    assert_eq!(world.run(&plan, vec![Datum::Int4(3)]).expect("reads").0, ["row 3|3"]);
    assert_eq!(world.run(&plan, vec![Datum::Int4(30)]).expect("reads").0, [""; 0]);
    assert_eq!(world.run(&plan, vec![Datum::Null]).expect("reads").0, [""; 0]);
    let after = world.store.requests.lock().clone();
    assert_eq!(after["get"] - before.get("get").copied().unwrap_or(0), 2, "none for NULL");
    assert_eq!(after.get("scan"), before.get("scan"));
}

#[test]
fn spans_follow_values_whatever_the_direction_of_the_index() {
    let (world, table) = world();
    let read = |spans: Spans, reverse: bool| {
        let scan = TableScan { reverse, ..scan(&table, 1, spans) };
        world.rows(project(scan_node(scan), vec![col(1), col(0)]))
    };
    // b: 1:10 2:20 3:0 4:null 5:20 6:0, descending, NULLs first.
    assert_eq!(read(Spans::All, false), ["null|4", "20|2", "20|5", "10|1", "0|3", "0|6"]);
    assert_eq!(read(Spans::All, true), ["0|6", "0|3", "10|1", "20|5", "20|2", "null|4"]);
    let at_least = |value| SpanBound::Inclusive(int(value));
    let beyond = |value| SpanBound::Exclusive(int(value));
    let none = || SpanBound::Unbounded;
    assert_eq!(read(bounds(vec![], at_least(10), none()), false), ["20|2", "20|5", "10|1"]);
    assert_eq!(read(bounds(vec![], beyond(10), none()), false), ["20|2", "20|5"]);
    assert_eq!(read(bounds(vec![], none(), at_least(10)), false), ["10|1", "0|3", "0|6"]);
    assert_eq!(read(bounds(vec![], none(), beyond(10)), false), ["0|3", "0|6"]);
    assert_eq!(read(bounds(vec![], beyond(0), beyond(20)), false), ["10|1"]);
    assert_eq!(read(bounds(vec![], SpanBound::Inclusive(null(INT)), none()), false), [""; 0]);
    assert_eq!(read(bounds(vec![KeyValue::Null], none(), none()), false), ["null|4"]);
    assert_eq!(read(bounds(vec![KeyValue::Equal(int(20))], none(), none()), false), ["20|2", "20|5"]);
    assert_eq!(read(Spans::List(vec![]), false), [""; 0]);
    let not_null = Span { not_null: true, ..equal(vec![]) };
    assert_eq!(read(Spans::List(vec![not_null]), false).len(), 5);
    // Overlapping spans give no row twice.
    let overlapping = Spans::List(vec![equal(vec![int(20)]), equal(vec![int(20)]), equal(vec![])]);
    assert_eq!(read(overlapping, false).len(), 6);
}

#[test]
fn a_list_of_keys_is_one_multi_get_in_key_order() {
    let (world, table) = world();
    let array = |values: &[Option<i32>]| {
        let elements: Vec<Datum> =
            values.iter().map(|value| value.map_or(Datum::Null, Datum::Int4)).collect();
        let dimensions = vec![(elements.len() as i32, 1)];
        let array = ArrayValue { element_oid: INT.oid(), dimensions, elements };
        Expr::constant(Datum::Array(Box::new(array)), DataType::array_of(INT))
    };
    let any = bounds(
        vec![KeyValue::AnyOf(array(&[Some(5), Some(1), None, Some(99), Some(5)]))],
        SpanBound::Unbounded,
        SpanBound::Unbounded,
    );
    let scans = world.store.requests.lock().get("scan").copied();
    let read = |reverse| {
        let scan = TableScan { reverse, ..scan(&table, 0, any.clone()) };
        world.rows(project(scan_node(scan), vec![col(0)]))
    };
    assert_eq!(read(false), ["1", "5"]);
    assert_eq!(read(true), ["5", "1"]);
    assert_eq!(world.store.requests.lock().get("scan").copied(), scans);
}

#[test]
fn a_locking_scan_locks_what_passes_and_gives_it_back() {
    let (world, table) = world();
    for index in [0, 1] {
        let mut locking = scan(&table, index, Spans::All);
        locking.lock = lock();
        locking.filter = Some(op(">=", col(1), int(10)));
        locking.columns = vec![ColumnId(3), ColumnId(2)];
        // Columns are those asked for, whatever the second look needs.
        let rows = world
            .rows(sort(scan_node(TableScan { filter: Some(op(">=", col(1), int(10))), ..locking }), &[0]));
        assert_eq!(rows, ["row 1|10", "row 2|20", "row 5|20"], "index {index}");
    }
}

#[test]
fn a_projection_moves_and_repeats_columns() {
    let (world, table) = world();
    let first = bounds(vec![], SpanBound::Unbounded, SpanBound::Exclusive(int(3)));
    let columns = vec![col(1), op("+", col(0), int(100)), col(1), Expr::column(2, TEXT)];
    let rows = world.rows(project(scan_node(scan(&table, 0, first)), columns));
    assert_eq!(rows, ["10|101|10|row 1", "20|102|20|row 2"]);
}

#[test]
fn limit_offset_and_ties() {
    let (world, table) = world();
    let run = |count: Option<i64>, offset: Option<i64>, ties: &[u32]| {
        let input = sort(project(all(&table), vec![col(1), col(0)]), &[0, 1]);
        let types = types_of(&input);
        let ties = ties.iter().map(|column| ascending(*column)).collect();
        let limit = Limit { input, count: count.map(long), offset: offset.map(long), ties };
        world.run(&plan_of(node(Operator::Limit(Box::new(limit)), &types)), Vec::new()).map(|(rows, _)| rows)
    };
    assert_eq!(run(Some(2), None, &[]).expect("runs"), ["0|3", "0|6"]);
    assert_eq!(run(Some(2), Some(3), &[]).expect("runs"), ["20|2", "20|5"]);
    assert_eq!(run(Some(1), None, &[0]).expect("runs"), ["0|3", "0|6"]);
    assert_eq!(run(Some(3), None, &[0]).expect("runs"), ["0|3", "0|6", "10|1"]);
    assert_eq!(run(None, Some(5), &[]).expect("runs"), ["null|4"]);
    assert_eq!(run(Some(0), None, &[]).expect("runs"), [""; 0]);
    assert_eq!(run(Some(-1), None, &[]).expect_err("fails").code().as_str(), "2201W");
    assert_eq!(run(None, Some(-1), &[]).expect_err("fails").code().as_str(), "2201X");
}

#[test]
fn a_hint_bounds_what_is_read() {
    let (world, table) = world();
    let mut hinted = scan(&table, 0, Spans::All);
    hinted.row_hint = Some(long(2));
    assert_eq!(world.rows(project(scan_node(hinted), vec![col(0)])), ["1", "2"]);
}

#[test]
fn many_pages_come_in_order() {
    let world = World::new();
    let table = world.add(table(200, "wide", &[("a", INT, true), ("b", INT, false)]));
    let rows = (0..3000).map(|a| vec![int(a), int(a % 7)]).collect();
    world.run(&plan_of(insert_node(insert(&table, values(&[INT, INT], rows)))), vec![]).expect("inserts");
    let read = world.rows(filter(all(&table), op("=", col(1), int(3))));
    assert_eq!(read.len(), 3000 / 7 + 1);
    assert_eq!(read[1], "10|3");
    assert_eq!(world.store.len(), 3000);
}

/// A table of keys that lie in lumps, far apart: guesses of where to cut it are wrong again and again.
fn lumps() -> (World, Arc<Table>) {
    let world = World::new();
    let table = world.add(table(100, "lumps", &[("a", INT, true), ("b", TEXT, false)]));
    let lump = |start: i32, rows: i32, step: i32| (0..rows).map(move |at| start + at * step);
    let keys = lump(-2_000_000_000, 9_000, 1)
        .chain(lump(-70_000, 12_000, 1))
        .chain(lump(100_000, 3_000, 100_000))
        .chain(lump(2_000_000_000, 16_000, 2));
    let rows: Vec<_> = keys.map(|key| vec![int(key), text(&format!("row {key}"))]).collect();
    for some in rows.chunks(5_000) {
        let source = values(&[INT, TEXT], some.to_vec());
        world.run(&plan_of(insert_node(insert(&table, source))), Vec::new()).expect("inserts");
    }
    (world, table)
}

/// Two tasks at most for a scan, from its second page on.
fn parallel(workers_max: usize) -> Parallelism {
    Parallelism { workers_max, scan_workers_max: 2, ..Parallelism::default() }
}

#[test]
fn a_scan_by_several_tasks_gives_the_rows_of_one_by_itself_in_order() {
    let (mut world, table) = lumps();
    let filter = Some(op("<", col(0), int(2_000_010_000)));
    let read = |world: &World| {
        let before = world.store.requests.lock().get("scan").copied().unwrap_or(0);
        let scan = TableScan { filter: filter.clone(), ..scan(&table, 0, Spans::All) };
        let rows = world.rows(project(scan_node(scan), vec![col(0), Expr::column(1, TEXT)]));
        (rows, world.store.requests.lock()["scan"] - before)
    };
    let (alone, pages) = read(&world);
    assert_eq!(alone.len(), 9_000 + 12_000 + 3_000 + 5_000);
    for workers_max in [1, 8] {
        world.parallelism = parallel(workers_max);
        let (together, parts) = read(&world);
        assert!(together == alone, "with {workers_max} tasks");
        assert!(parts > pages && parts < 3 * pages, "{parts} reads instead of {pages}");
    }
    assert!(world.parallelism.is_idle(), "every place is given back");
}

#[test]
fn whoever_wants_no_more_rows_ends_the_tasks_of_a_scan() {
    let (mut world, table) = lumps();
    world.parallelism = parallel(8);
    let all = scan_node(scan(&table, 0, Spans::All));
    let types = types_of(&all);
    let limit = Limit { input: all, count: Some(long(20_000)), offset: None, ties: Vec::new() };
    let some = world.rows(node(Operator::Limit(Box::new(limit)), &types));
    assert_eq!(some.len(), 20_000);
    world.simulation.run_for(std::time::Duration::from_secs(1));
    assert!(world.simulation.live_tasks().iter().all(|(_, name)| *name != "scan-part"));
    assert!(world.parallelism.is_idle(), "every place is given back");
}

#[test]
fn a_scan_that_may_not_hold_parts_in_memory_goes_on_by_itself() {
    let (mut world, table) = lumps();
    world.parallelism = parallel(8);
    world.memory = executor::MemoryAccount::root("query", 1 << 20);
    let rows = world.rows(project(scan_node(scan(&table, 0, Spans::All)), vec![col(0)]));
    assert_eq!(rows.len(), 40_000);
}
