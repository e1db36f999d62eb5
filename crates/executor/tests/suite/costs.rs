//! The statements that decide how fast the database is, run over and over: tiny within the tests; with
//! EXECUTOR_ROUNDS set, long enough to be timed and profiled from outside (`perf record`, `time`).

use std::sync::Arc;

use executor::Execution;
use expr::Expr;
use planner::Table;
use planner::plan::*;
use types::{DataType, Datum};

use crate::build::*;
use crate::world::{World, plan_of};

fn rounds(tiny: usize) -> usize {
    std::env::var("EXECUTOR_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(tiny)
}

/// pgbench_accounts with some rows.
fn accounts(rows: i32) -> (World, Arc<Table>) {
    let world = World::new();
    let columns =
        [("aid", INT, true), ("bid", INT, false), ("abalance", INT, false), ("filler", TEXT, false)];
    let table = world.add(table(100, "pgbench_accounts", &columns));
    let types = [INT, INT, INT, TEXT];
    let row = |aid: i32| vec![int(aid), int(aid % 10), int(aid * 7 % 1000), text(&" ".repeat(84))];
    let source = values(&types, (0..rows).map(row).collect());
    world.run(&plan_of(insert_node(insert(&table, source))), vec![]).expect("inserts");
    (world, table)
}

fn parameter(index: u32) -> Expr {
    Expr::Parameter { index, data_type: INT }
}

async fn drain(mut execution: Execution) -> u64 {
    let mut rows = 0;
    while let Some(batch) = execution.next().await.expect("runs") {
        rows += batch.rows as u64;
    }
    rows + execution.rows_affected()
}

#[test]
fn point_select() {
    let (world, table) = accounts(1000);
    let plan = plan_of(project(scan_node(point(&table, parameter(0))), vec![col(2)]));
    let txn = world.begin();
    let context = world.context(txn.clone(), vec![Datum::Int4(500)]);
    for _ in 0..rounds(100) {
        txn.begin_statement(true);
        let execution = Execution::new(plan.clone(), context.clone()).expect("begins");
        assert_eq!(futures::executor::block_on(drain(execution)), 1);
    }
}

#[test]
fn point_update() {
    let (world, table) = accounts(1000);
    let source = scan_node(TableScan { lock: lock(), ..point(&table, parameter(1)) });
    let change = update(&table, source, vec![(2, op("+", col(2), parameter(0)))]);
    let plan = plan_of(update_node(change));
    for _ in 0..rounds(100) {
        let txn = world.begin();
        txn.begin_statement(true);
        let context = world.context(txn.clone(), vec![Datum::Int4(1), Datum::Int4(500)]);
        let execution = Execution::new(plan.clone(), context).expect("begins");
        assert_eq!(futures::executor::block_on(drain(execution)), 1);
        futures::executor::block_on(txn.rollback());
    }
}

#[test]
fn aggregate_over_a_scan() {
    let (world, table) = accounts(10_000);
    let mut read = scan(&table, 0, Spans::All);
    read.columns = [2, 3].map(types::descriptor::ColumnId).to_vec();
    read.filter = Some(op(">", col(1), int(100)));
    let (function, data_type) = function("sum", &[INT]);
    let sum = expr::Aggregate {
        function,
        arguments: vec![col(1)],
        distinct: false,
        filter: None,
        order_by: vec![],
        data_type,
    };
    let plan = Aggregate {
        input: scan_node(read),
        keys: vec![col(0)],
        sets: vec![vec![0]],
        aggregates: vec![sum],
        strategy: AggregateStrategy::Hash,
    };
    let plan = plan_of(node(Operator::Aggregate(Box::new(plan)), &[INT, DataType::Int8]));
    for _ in 0..rounds(3) {
        let txn = world.begin();
        txn.begin_statement(true);
        let execution = Execution::new(plan.clone(), world.context(txn, vec![])).expect("begins");
        assert_eq!(futures::executor::block_on(drain(execution)), 10);
    }
}

#[test]
fn insert_in_bulk() {
    let columns =
        [("aid", INT, true), ("bid", INT, false), ("abalance", INT, false), ("filler", TEXT, false)];
    let world = World::new();
    let table = world.add(table(100, "pgbench_accounts", &columns));
    let types = [INT, INT, INT, TEXT];
    let row = |aid: i32| vec![int(aid), int(aid % 10), int(0), text(&" ".repeat(84))];
    let source = values(&types, (0..10_000).map(row).collect());
    let plan = plan_of(insert_node(insert(&table, source)));
    for _ in 0..rounds(2) {
        let txn = world.begin();
        txn.begin_statement(true);
        let mut context = world.context(txn.clone(), vec![]);
        context.implicit = true;
        let execution = Execution::new(plan.clone(), context).expect("begins");
        assert_eq!(futures::executor::block_on(drain(execution)), 10_000);
        futures::executor::block_on(txn.rollback());
    }
}
