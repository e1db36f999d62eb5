//! INSERT, UPDATE, DELETE; NOT NULL, CHECK, uniqueness; ON CONFLICT; indexes.

use std::sync::Arc;

use expr::Expr;
use planner::Table;
use planner::plan::*;
use types::descriptor::TableDescriptor;
use types::{Batch, Datum, PgError, Vector};

use crate::build::*;
use crate::world::{World, plan_of};

/// t(a int primary key, b int, c text not null), unique (b), index (c).
fn descriptor() -> TableDescriptor {
    let mut descriptor = table(100, "t", &[("a", INT, true), ("b", INT, false), ("c", TEXT, true)]);
    descriptor.indexes.push(index(102, "t_b_key", 2, &[2], true));
    descriptor.indexes.push(index(103, "t_c", 3, &[3], false));
    descriptor
}

fn world() -> (World, Arc<Table>) {
    let world = World::new();
    let table = world.add(descriptor());
    (world, table)
}

fn row(a: i32, b: Option<i32>, c: &str) -> Vec<Expr> {
    vec![int(a), b.map_or(null(INT), int), text(c)]
}

fn rows(rows: Vec<Vec<Expr>>) -> PlanNode {
    values(&[INT, INT, TEXT], rows)
}

fn put(world: &World, table: &Arc<Table>, source: Vec<Vec<Expr>>) -> Result<u64, PgError> {
    let plan = plan_of(insert_node(insert(table, rows(source))));
    world.run(&plan, Vec::new()).map(|(_, affected)| affected)
}

/// The rows as the primary index has them, and as each secondary one leads to them.
fn check_indexes(world: &World, table: &Arc<Table>) -> Vec<String> {
    let mut expected = world.rows(all(table));
    let found = expected.clone();
    expected.sort();
    for index in 1..=table.descriptor.indexes.len() as u32 {
        let mut by_index = world.rows(scan_node(scan(table, index, Spans::All)));
        by_index.sort();
        assert_eq!(by_index, expected, "index {index}");
    }
    found
}

#[test]
fn inserting_fills_every_index_and_returns_rows() {
    let (world, table) = world();
    let mut insert = insert(&table, rows(vec![row(2, Some(20), "x"), row(1, None, "y"), row(3, None, "y")]));
    insert.returning = Some(vec![op("+", col(0), int(10)), Expr::column(2, TEXT)]);
    assert_eq!(world.rows(insert_node(insert)), ["12|x", "11|y", "13|y"]);
    assert_eq!(check_indexes(&world, &table), ["1|null|y", "2|20|x", "3|null|y"]);
}

#[test]
fn violations_are_worded_as_postgresql_does() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, Some(10), "x")]).expect("inserts");
    let error = put(&world, &table, vec![row(2, Some(20), "y"), row(1, Some(30), "z")]).expect_err("taken");
    assert_eq!(
        error.to_string(),
        "ERROR:  duplicate key value violates unique constraint \"t_pkey\" (23505)"
    );
    assert_eq!(error.fields().detail.as_deref(), Some("Key (a)=(1) already exists."));
    assert_eq!(error.fields().constraint.as_deref(), Some("t_pkey"));
    assert_eq!(error.fields().schema.as_deref(), Some("public"));
    let error = put(&world, &table, vec![row(2, Some(10), "y")]).expect_err("taken");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (b)=(10) already exists."));
    let error = put(&world, &table, vec![row(5, Some(50), "y"), row(5, Some(51), "y")]).expect_err("twice");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (a)=(5) already exists."));

    let no_text = vec![int(2), int(20), null(TEXT)];
    let error = put(&world, &table, vec![row(7, None, "y"), no_text]).expect_err("NULL");
    assert_eq!(
        error.to_string(),
        "ERROR:  null value in column \"c\" of relation \"t\" violates not-null constraint (23502)"
    );
    assert_eq!(error.fields().detail.as_deref(), Some("Failing row contains (2, 20, null)."));
    assert_eq!(error.fields().column.as_deref(), Some("c"));

    let mut checked = insert(&table, rows(vec![row(3, Some(-1), &"ä".repeat(40))]));
    let condition = op(">", col(1), int(0));
    checked.checks = vec![Check { name: "t_b_check".into(), condition, view: None }];
    let error = world.error(insert_node(checked.clone()));
    assert_eq!(
        error.to_string(),
        "ERROR:  new row for relation \"t\" violates check constraint \"t_b_check\" (23514)"
    );
    let detail = format!("Failing row contains (3, -1, {}...).", "ä".repeat(32));
    assert_eq!(error.fields().detail.as_deref(), Some(detail.as_str()));
    checked.checks[0].view = Some("v".into());
    assert_eq!(world.error(insert_node(checked.clone())).code().as_str(), "44000");
    // NULL passes a check, not a view's.
    checked.source = rows(vec![row(3, None, "x")]);
    assert_eq!(world.error(insert_node(checked.clone())).code().as_str(), "44000");
    checked.checks[0].view = None;
    assert_eq!(world.run(&plan_of(insert_node(checked)), vec![]).expect("passes").1, 1);
    assert_eq!(check_indexes(&world, &table), ["1|10|x", "3|null|x"], "nothing else was left behind");
}

#[test]
fn a_statement_that_commits_by_itself_finds_conflicts_at_commit() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, None, "x")]).expect("inserts");
    let plan = plan_of(insert_node(insert(&table, rows(vec![row(1, None, "y")]))));
    let txn = world.begin();
    txn.begin_statement(true);
    let mut context = world.context(txn.clone(), Vec::new());
    context.implicit = true;
    let before = world.store.requests.lock().clone();
    let mut execution = executor::Execution::new(plan, context).expect("begins");
    let done = futures::executor::block_on(execution.next());
    assert_eq!(done, Ok(None));
    assert_eq!(*world.store.requests.lock(), before, "nothing is sent before the commit");
    let error = futures::executor::block_on(txn.commit()).expect_err("taken");
    assert!(matches!(error, kvclient::KvError::ConditionFailed { .. }), "{error:?}");
}

#[test]
fn updating_rewrites_the_entries_that_change() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, Some(10), "x"), row(2, Some(20), "y"), row(3, None, "z")])
        .expect("inserts");
    let locked = |key| scan_node(TableScan { lock: lock(), ..point(&table, int(key)) });
    let run = |update: Update| world.run(&plan_of(update_node(update)), Vec::new());
    // A value only.
    let mut one = update(&table, locked(1), vec![(1, op("+", col(1), int(5)))]);
    one.returning = Some(vec![col(0), col(1), Expr::column(2, TEXT)]);
    assert_eq!(run(one).expect("updates"), (vec!["1|15|x".to_string()], 1));
    // An indexed text, of all rows.
    let every = || scan_node(TableScan { lock: lock(), ..scan(&table, 0, Spans::All) });
    assert_eq!(run(update(&table, every(), vec![(2, text("q"))])).expect("updates").1, 3);
    // The primary key, each row taking the next one's.
    assert_eq!(run(update(&table, every(), vec![(0, op("+", col(0), int(1)))])).expect("updates").1, 3);
    assert_eq!(check_indexes(&world, &table), ["2|15|q", "3|20|q", "4|null|q"]);
    let error = run(update(&table, locked(2), vec![(1, int(20))])).expect_err("taken");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (b)=(20) already exists."));
    let error = run(update(&table, locked(2), vec![(0, int(4))])).expect_err("taken");
    assert_eq!(error.fields().constraint.as_deref(), Some("t_pkey"));
    let error = run(update(&table, locked(2), vec![(2, null(TEXT))])).expect_err("NULL");
    assert_eq!(error.fields().detail.as_deref(), Some("Failing row contains (2, 15, null)."));
    assert_eq!(run(update(&table, locked(9), vec![(1, int(1))])).expect("no row").1, 0);
    check_indexes(&world, &table);
}

#[test]
fn generated_columns_follow_the_new_row() {
    let (world, table) = world();
    let generated = || vec![GeneratedColumn { column: 1, expression: op("*", col(0), int(10)) }];
    let mut first = insert(&table, rows(vec![row(1, None, "x")]));
    first.generated = generated();
    world.run(&plan_of(insert_node(first)), vec![]).expect("inserts");
    let source = scan_node(TableScan { lock: lock(), ..point(&table, int(1)) });
    let mut change = update(&table, source, vec![(0, int(7))]);
    change.generated = generated();
    change.checks = vec![Check { name: "k".into(), condition: op("=", col(1), int(70)), view: None }];
    world.run(&plan_of(update_node(change)), vec![]).expect("updates");
    assert_eq!(check_indexes(&world, &table), ["7|70|x"]);
}

#[test]
fn a_target_hit_twice_counts_once() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, Some(10), "x")]).expect("inserts");
    let twice = node(
        Operator::Append(Box::new(Append { inputs: vec![all(&table), all(&table)] })),
        &[INT, INT, TEXT],
    );
    let mut change = update(&table, twice.clone(), vec![(1, op("+", col(1), int(1)))]);
    change.may_repeat = true;
    assert_eq!(world.run(&plan_of(update_node(change)), vec![]).expect("updates").1, 1);
    assert_eq!(check_indexes(&world, &table), ["1|11|x"]);
    assert_eq!(world.run(&plan_of(delete(&table, all(&table))), vec![]).expect("deletes").1, 1);
    assert_eq!(world.store.len(), 0);
}

#[test]
fn a_partial_index_has_the_rows_that_satisfy_it() {
    let world = World::new();
    let mut descriptor = descriptor();
    descriptor.indexes[0].predicate = Some("a < 10".into());
    let table = world.add(descriptor);
    let partial = || vec![PartialIndex { index: 1, predicate: op("<", col(0), int(10)) }];
    let write = |source| {
        let mut insert = insert(&table, rows(source));
        insert.partial_indexes = partial();
        world.run(&plan_of(insert_node(insert)), vec![])
    };
    write(vec![row(1, Some(5), "x"), row(20, Some(5), "y"), row(30, Some(5), "z")]).expect("inserts");
    assert!(write(vec![row(2, Some(5), "w")]).is_err(), "unique where the predicate holds");
    let by_index = || world.rows(scan_node(scan(&table, 1, Spans::All)));
    assert_eq!(by_index(), ["1|5|x"]);
    // Deleting a row outside leaves the entry of the row inside alone; moving in conflicts, moving out frees the key.
    let mut gone = Delete {
        table: table.clone(),
        source: scan_node(point(&table, int(30))),
        partial_indexes: partial(),
        may_repeat: false,
        returning: None,
    };
    world.run(&plan_of(node(Operator::Delete(Box::new(gone.clone())), &[])), vec![]).expect("deletes");
    assert_eq!(by_index(), ["1|5|x"]);
    let moved = |from: i32, to: i32| {
        let mut change = update(&table, scan_node(point(&table, int(from))), vec![(0, int(to))]);
        change.partial_indexes = partial();
        world.run(&plan_of(update_node(change)), vec![])
    };
    assert!(moved(20, 3).is_err());
    moved(1, 40).expect("moves out");
    assert_eq!(by_index(), [""; 0]);
    moved(20, 3).expect("moves in");
    assert_eq!(by_index(), ["3|5|y"]);
    gone.source = all(&table);
    world.run(&plan_of(node(Operator::Delete(Box::new(gone)), &[])), vec![]).expect("deletes");
    assert_eq!(world.store.len(), 0);
}

fn conflict(
    world: &World,
    table: &Arc<Table>,
    source: PlanNode,
    on_conflict: OnConflict,
) -> Result<(Vec<String>, u64), PgError> {
    let mut insert = insert(table, source);
    insert.on_conflict = Some(on_conflict);
    insert.returning = Some(vec![col(0), col(1), Expr::column(2, TEXT)]);
    world.run(&plan_of(insert_node(insert)), vec![])
}

#[test]
fn on_conflict_do_nothing_leaves_what_is_there() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, Some(10), "x")]).expect("inserts");
    let nothing = |arbiters| OnConflict { arbiters, action: ConflictAction::Nothing };
    let source =
        vec![row(1, Some(1), "a"), row(2, Some(10), "b"), row(3, Some(30), "c"), row(3, Some(31), "d")];
    let done = conflict(&world, &table, rows(source), nothing(None)).expect("inserts");
    assert_eq!(done, (vec!["3|30|c".to_string()], 1));
    let error = conflict(&world, &table, rows(vec![row(4, Some(10), "e")]), nothing(Some(vec![0])));
    assert_eq!(error.expect_err("b is no arbiter").code().as_str(), "23505");
    assert_eq!(check_indexes(&world, &table), ["1|10|x", "3|30|c"]);
}

#[test]
fn on_conflict_do_update_sees_both_rows() {
    let (world, table) = world();
    put(&world, &table, vec![row(1, Some(10), "x"), row(2, Some(20), "y")]).expect("inserts");
    // SET b = t.b + excluded.b, c = excluded.c WHERE excluded.c <> 'skip'
    let action = |arbiters| OnConflict {
        arbiters: Some(arbiters),
        action: ConflictAction::Update {
            assignments: vec![
                Assignment { column: 1, value: op("+", col(1), col(4)) },
                Assignment { column: 2, value: Expr::column(5, TEXT) },
            ],
            filter: Some(op("<>", Expr::column(5, TEXT), text("skip"))),
        },
    };
    let source = vec![row(3, Some(30), "new"), row(1, Some(5), "both"), row(2, Some(6), "skip")];
    let done = conflict(&world, &table, rows(source), action(vec![0])).expect("upserts");
    assert_eq!(done, (vec!["3|30|new".to_string(), "1|15|both".to_string()], 2));
    // Through the secondary index.
    let source = vec![row(9, Some(20), "second")];
    let done = conflict(&world, &table, rows(source), action(vec![1])).expect("upserts");
    assert_eq!(done, (vec!["2|40|second".to_string()], 1));
    assert_eq!(check_indexes(&world, &table), ["1|15|both", "2|40|second", "3|30|new"]);
    for source in
        [vec![row(1, Some(1), "a"), row(1, Some(2), "b")], vec![row(8, None, "a"), row(8, None, "b")]]
    {
        let error = conflict(&world, &table, rows(source), action(vec![0])).expect_err("twice");
        assert_eq!(error.code().as_str(), "21000");
    }
}

#[test]
fn rows_may_be_fed_from_outside() {
    let (world, table) = world();
    let feed = node(Operator::Feed(Box::new(Feed { name: "t".into() })), &[INT, TEXT]);
    // COPY t (a, c): b gets its default.
    let source = project(feed, vec![col(0), int(0), Expr::column(1, TEXT)]);
    let mut descriptor = descriptor();
    descriptor.indexes.remove(0);
    let table = Arc::new(Table::new(Arc::new(descriptor), &*table.schema));
    let batch = |from: i32| {
        let a: Vec<Datum> = (from..from + 1000).map(Datum::Int4).collect();
        let c: Vec<Datum> = (from..from + 1000).map(|a| Datum::text(format!("row {a}"))).collect();
        Batch::new(vec![Vector::from_datums(INT, &a), Vector::from_datums(TEXT, &c)], 1000)
    };
    let plan = plan_of(insert_node(insert(&table, source)));
    let done = world.run_with_feed(&plan, vec![batch(0), batch(1000), batch(2000)]).expect("copies");
    assert_eq!(done.1, 3000);
    assert_eq!(world.rows(scan_node(point(&table, int(2999)))), ["2999|0|row 2999"]);
    assert!(world.run(&plan, vec![]).is_err(), "a feed must be given");
}

#[test]
fn a_table_without_primary_key_draws_rowids() {
    let world = World::new();
    let mut descriptor = table(100, "h", &[("a", INT, false), ("rowid", types::DataType::Int8, true)]);
    descriptor.primary = index(101, "h_pkey", 1, &[2], true);
    descriptor.columns[1].hidden = true;
    let table = world.add(descriptor);
    let source = || {
        let rows = (0..2000).map(|a| vec![int(a), null(types::DataType::Int8)]).collect();
        values(&[INT, types::DataType::Int8], rows)
    };
    for _ in 0..3 {
        world.run(&plan_of(insert_node(insert(&table, source()))), vec![]).expect("inserts");
    }
    let read = world.rows(project(all(&table), vec![col(0)]));
    let expected: Vec<String> = (0..6000).map(|row| (row % 2000).to_string()).collect();
    assert_eq!(read, expected, "rows come back in the order in which they were inserted");
}
