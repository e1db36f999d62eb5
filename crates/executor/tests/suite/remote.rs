//! Parts of plans that go through the form in which they travel to other nodes: the answers are those without.

use std::sync::Arc;

use executor::remote::Distribution;
use expr::Expr;
use kvclient::Txn;
use planner::Table;
use planner::plan::*;
use stdx::Prng;
use types::DataType;
use types::descriptor::ColumnId;

use crate::build::*;
use crate::world::{World, plan_of};

fn below(prng: &mut Prng, bound: u64) -> u64 {
    prng.next_u64() % bound
}

/// A table t(a, b, c, d) with indexes (b), (c desc, b), unique (d), and some rows: a is the key, the others have NULLs.
fn filled(world: &World, id: u32, prng: &mut Prng) -> Arc<Table> {
    let columns = [("a", INT, true), ("b", INT, false), ("c", INT, false), ("d", INT, false)];
    let mut descriptor = table(id, "t", &columns);
    let mut second = index(id + 3, "t_c", 3, &[3, 2], false);
    (second.columns[0].descending, second.columns[0].nulls_first) = (true, true);
    descriptor.indexes.extend([index(id + 2, "t_b", 2, &[2], false), second]);
    descriptor.indexes.push(index(id + 4, "t_d", 4, &[4], true));
    let table = world.add(descriptor);
    let rows = 20 + below(prng, 150) as i32;
    let rows: Vec<Vec<Expr>> = (0..rows).map(|a| row(prng, a * 3)).collect();
    world.run(&plan_of(insert_node(insert(&table, values(&[INT; 4], rows)))), vec![]).expect("inserts");
    table
}

fn row(prng: &mut Prng, a: i32) -> Vec<Expr> {
    let b = if below(prng, 8) == 0 { null(INT) } else { int(below(prng, 9) as i32) };
    let c = if below(prng, 8) == 0 { null(INT) } else { int(below(prng, 5) as i32 - 2) };
    let d = if below(prng, 8) == 0 { null(INT) } else { int(a * 7 % 1000) };
    vec![int(a), b, c, d]
}

/// A condition over columns `from..from + 4`; now and then one that fails for some rows.
fn condition(prng: &mut Prng, from: u32) -> Expr {
    let column = |prng: &mut Prng| col(from + below(prng, 4) as u32);
    let small = |prng: &mut Prng| int(below(prng, 8) as i32 - 1);
    match below(prng, 9) {
        0 => op("/", int(12), column(prng)).compared(prng),
        1 => Expr::Or(vec![op("<", column(prng), small(prng)), op("=", column(prng), column(prng))]),
        2 => Expr::IsNull { input: Box::new(column(prng)), negated: below(prng, 2) == 0 },
        3 => Expr::And(vec![op(">", column(prng), small(prng)), op("<>", column(prng), small(prng))]),
        4 => op("=", op("%", col(from), int(1 + below(prng, 4) as i32)), int(0)),
        _ => op([">", "<", "<>"][below(prng, 3) as usize], column(prng), small(prng)),
    }
}

trait Compared {
    fn compared(self, prng: &mut Prng) -> Expr;
}

impl Compared for Expr {
    fn compared(self, prng: &mut Prng) -> Expr {
        op(">", self, int(below(prng, 4) as i32))
    }
}

fn spans(prng: &mut Prng, index: u32) -> Spans {
    let value = |prng: &mut Prng| int(below(prng, 9) as i32 - 2);
    let span = |prng: &mut Prng| match below(prng, 4) {
        0 => equal(vec![value(prng)]),
        1 => Span { lower: SpanBound::Exclusive(value(prng)), ..equal(vec![]) },
        2 => Span { upper: SpanBound::Inclusive(value(prng)), ..equal(vec![]) },
        _ if index == 2 => equal(vec![value(prng), value(prng)]),
        _ => Span { not_null: true, ..equal(vec![]) },
    };
    match below(prng, 3) {
        0 => Spans::All,
        1 => Spans::List(vec![span(prng)]),
        _ => Spans::List(vec![span(prng), span(prng), span(prng)]),
    }
}

fn random_scan(prng: &mut Prng, table: &Arc<Table>) -> PlanNode {
    let index = below(prng, 4) as u32;
    let mut read = scan(table, index, spans(prng, index));
    read.reverse = below(prng, 2) == 0;
    let last = 1 + below(prng, 4) as usize;
    read.columns = [2, 1, 4, 3].map(ColumnId)[..last].to_vec();
    if index > 0 && below(prng, 3) == 0 {
        let own = table.index_at(index).columns[0].column;
        (read.fetch_row, read.columns) = (false, vec![ColumnId(1), own]);
    }
    if below(prng, 3) > 0 && read.columns.len() == 4 {
        read.filter = Some(condition(prng, 0));
    }
    let count = 1 + below(prng, 40) as i64;
    let has_limit = below(prng, 3) == 0;
    if has_limit {
        read.row_hint = Some(long(count));
    }
    let width = read.columns.len();
    let mut node = scan_node(read);
    if below(prng, 3) == 0 {
        node = project(node, vec![op("+", col(0), int(1)), col(width as u32 - 1)]);
    }
    if has_limit {
        let types = types_of(&node);
        let limit = Limit { input: node, count: Some(long(count)), offset: None, ties: vec![] };
        node = crate::build::node(Operator::Limit(Box::new(limit)), &types);
    }
    node
}

fn random_join(prng: &mut Prng, left: PlanNode, table: &Arc<Table>) -> PlanNode {
    let kinds = [JoinKind::Inner, JoinKind::Left, JoinKind::Semi, JoinKind::Anti, JoinKind::Mark];
    let kind = kinds[below(prng, 5) as usize];
    let index = below(prng, 4) as u32;
    let left_types = types_of(&left);
    let width = left_types.len() as u32;
    let mut keys = vec![col(below(prng, u64::from(width)) as u32)];
    if index == 2 && below(prng, 2) == 0 {
        keys.push(col(0));
    }
    let mut conditions = Vec::new();
    while below(prng, 2) == 0 {
        conditions.push(match below(prng, 3) {
            0 => op("<", col(0), col(width + below(prng, 4) as u32)),
            _ => condition(prng, width),
        });
    }
    let condition = if conditions.is_empty() { None } else { Some(Expr::And(conditions)) };
    let join = LookupJoin {
        kind,
        left,
        table: table.clone(),
        alias: "t".into(),
        index,
        keys,
        single_row: false,
        fetch_row: index > 0,
        columns: [1, 2, 3, 4].map(ColumnId).to_vec(),
        condition,
        lock: None,
    };
    let mut types = left_types;
    match kind {
        JoinKind::Mark => types.push(DataType::Bool),
        kind if kind.has_right_columns() => types.extend([INT; 4]),
        _ => {}
    }
    node(Operator::LookupJoin(Box::new(join)), &types)
}

/// What a plan answers with in a transaction.
fn answer(world: &World, txn: &Arc<Txn>, plan: &Arc<Plan>) -> Result<Vec<String>, (String, String)> {
    let answer = world.run_in(txn, plan, vec![]);
    answer
        .map(|(rows, _)| rows)
        .map_err(|error| (error.code().as_str().to_string(), error.message().to_string()))
}

#[test]
fn lookups_fetches_and_scans_backwards_answer_as_without_other_nodes() {
    let (mut errors, mut rows) = (0, 0);
    for seed in 0..150 {
        let prng = &mut Prng::new(seed);
        let mut world = World::new();
        let (one, other) = (filled(&world, 100, prng), filled(&world, 200, prng));
        // Rows that have not been sent.
        let txn = world.begin();
        if seed % 3 > 0 {
            let some = scan(
                &other,
                0,
                Spans::List(vec![Span { lower: SpanBound::Exclusive(int(60)), ..equal(vec![]) }]),
            );
            let some = TableScan { lock: lock(), ..some };
            let doomed = filter(scan_node(some), op("=", op("%", col(0), int(4)), int(1)));
            world.run_in(&txn, &plan_of(delete(&other, doomed)), vec![]).expect("deletes");
            let own = (0..20).map(|a| row(prng, a * 30 + 1)).collect();
            let own = plan_of(insert_node(insert(&other, values(&[INT; 4], own))));
            // A value of the unique index may be taken.
            drop(world.run_in(&txn, &own, vec![]));
        }
        for _ in 0..12 {
            let table = if below(prng, 2) == 0 { &one } else { &other };
            let read = random_scan(prng, table);
            let plan = plan_of(if below(prng, 3) > 0 { random_join(prng, read, &other) } else { read });
            world.distribution = Distribution::Off;
            let alone = answer(&world, &txn, &plan);
            world.distribution = Distribution::Always;
            let together = answer(&world, &txn, &plan);
            assert_eq!(together, alone, "seed {seed}: {:?}", plan.root);
            rows += alone.as_ref().map_or(0, Vec::len);
            errors += usize::from(alone.is_err());
        }
        futures::executor::block_on(txn.rollback());
        assert_eq!(world.memory.used(), 0, "all is given back");
    }
    assert!(errors > 20 && rows > 10_000, "{errors} errors, {rows} rows: the plans are worth something");
}

#[test]
fn a_batch_of_lookups_is_few_requests() {
    let mut world = World::new();
    let mut descriptor = table(100, "t", &[("a", INT, true), ("b", INT, false)]);
    descriptor.indexes.push(index(102, "t_b", 2, &[2], false));
    let table = world.add(descriptor);
    let rows = (0..200).map(|a| vec![int(a), int(a / 2)]).collect();
    world.run(&plan_of(insert_node(insert(&table, values(&[INT, INT], rows)))), vec![]).expect("inserts");
    let join = LookupJoin {
        kind: JoinKind::Inner,
        left: values(&[INT], (0..100).rev().map(|key| vec![int(key)]).collect()),
        table: table.clone(),
        alias: "t".into(),
        index: 1,
        keys: vec![col(0)],
        single_row: false,
        fetch_row: true,
        columns: vec![ColumnId(1)],
        condition: Some(op(">", col(1), int(189))),
        lock: None,
    };
    let plan = plan_of(node(Operator::LookupJoin(Box::new(join)), &[INT, INT]));
    let mut requests = |distribution| {
        world.distribution = distribution;
        world.store.requests.lock().clear();
        let rows = world.run(&plan, vec![]).expect("runs").0;
        let counts = world.store.requests.lock().clone();
        let of = |kind| counts.get(kind).copied().unwrap_or(0);
        (rows, of("scan"), of("multi_get"), of("probe"))
    };
    let expected: Vec<String> =
        (190..200).rev().step_by(2).flat_map(|a| [a - 1, a]).map(|a| format!("{}|{a}", a / 2)).collect();
    let (rows, scans, gets, probes) = requests(Distribution::Off);
    assert_eq!((rows, scans, gets, probes), (expected.clone(), 100, 1, 0));
    // 200 entries and 200 rows in pages of 23, where it was a scan for each key.
    let (rows, scans, gets, probes) = requests(Distribution::Always);
    assert_eq!((rows, scans, gets, probes), (expected, 0, 0, 18));
}
