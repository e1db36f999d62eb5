//! Joins of every kind against a plain model of what SQL says.

use expr::Expr;
use planner::plan::*;
use stdx::Prng;
use types::DataType;

use crate::build::*;
use crate::world::World;

type Row = [Option<i32>; 2];

const KINDS: [JoinKind; 7] = [
    JoinKind::Inner,
    JoinKind::Left,
    JoinKind::Right,
    JoinKind::Full,
    JoinKind::Semi,
    JoinKind::Anti,
    JoinKind::Mark,
];

fn draw_rows(prng: &mut Prng, count: usize) -> Vec<Row> {
    let mut cell = |bound: u64| {
        if prng.next_u64().is_multiple_of(6) { None } else { Some((prng.next_u64() % bound) as i32) }
    };
    (0..count).map(|_| [cell(5), cell(4)]).collect()
}

fn show(cells: &[Option<i32>]) -> String {
    let texts: Vec<String> =
        cells.iter().map(|cell| cell.map_or("null".into(), |value| value.to_string())).collect();
    texts.join("|")
}

fn source(rows: &[Row]) -> PlanNode {
    let rows: Vec<&[Option<i32>]> = rows.iter().map(|row| row.as_slice()).collect();
    ints(2, &rows)
}

/// `left[0] = right[0]`, and with a condition also `left[1] < right[1]`: true, false or unknown.
fn matches(left: &Row, right: &Row, condition: bool) -> Option<bool> {
    let keys = Some(left[0]? == right[0]?);
    if !condition || keys == Some(false) {
        return keys;
    }
    Some(left[1]? < right[1]?)
}

/// The same where right rows for which the condition is not true do not exist.
fn matches_null_aware(left: &Row, right: &Row, condition: bool) -> Option<bool> {
    if condition && !matches!((left[1], right[1]), (Some(l), Some(r)) if l < r) {
        return Some(false);
    }
    Some(left[0]? == right[0]?)
}

fn model(
    kind: JoinKind,
    left: &[Row],
    right: &[Row],
    outcome: &dyn Fn(&Row, &Row) -> Option<bool>,
    null_aware: bool,
) -> Vec<String> {
    let mut out = Vec::new();
    let nothing: Row = [None, None];
    for l in left {
        let matching: Vec<&Row> = right.iter().filter(|r| outcome(l, r) == Some(true)).collect();
        let unknown = null_aware && right.iter().any(|r| outcome(l, r).is_none());
        match kind {
            JoinKind::Semi if !matching.is_empty() => out.push(show(l)),
            JoinKind::Anti if matching.is_empty() && !unknown => out.push(show(l)),
            JoinKind::Semi | JoinKind::Anti => {}
            JoinKind::Mark => {
                let mark = if !matching.is_empty() {
                    "t"
                } else if unknown {
                    "null"
                } else {
                    "f"
                };
                out.push(format!("{}|{mark}", show(l)));
            }
            _ => {
                out.extend(matching.iter().map(|r| show(&[l[0], l[1], r[0], r[1]])));
                if matching.is_empty() && matches!(kind, JoinKind::Left | JoinKind::Full) {
                    out.push(show(&[l[0], l[1], nothing[0], nothing[1]]));
                }
            }
        }
    }
    if matches!(kind, JoinKind::Right | JoinKind::Full) {
        for r in right {
            if !left.iter().any(|l| outcome(l, r) == Some(true)) {
                out.push(show(&[None, None, r[0], r[1]]));
            }
        }
    }
    out.sort();
    out
}

fn output_types(kind: JoinKind) -> Vec<DataType> {
    match kind {
        JoinKind::Semi | JoinKind::Anti => vec![INT; 2],
        JoinKind::Mark => vec![INT, INT, DataType::Bool],
        _ => vec![INT; 4],
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

fn less() -> Expr {
    op("<", col(1), col(3))
}

#[test]
fn hash_joins_of_every_kind_agree_with_the_model() {
    let mut world = World::new();
    let mut prng = Prng::new(1);
    for round in 0..40 {
        let (left, right) = (draw_rows(&mut prng, round % 9), draw_rows(&mut prng, round % 7));
        // With a small work memory the right side goes to files.
        world.memory =
            world.memory.with_work_memory("query", 1 << 30, if round % 2 == 0 { 1 << 20 } else { 1 });
        for kind in KINDS {
            for condition in [false, true] {
                for null_aware in [false, true] {
                    if null_aware && !matches!(kind, JoinKind::Anti | JoinKind::Mark) {
                        continue;
                    }
                    let join = HashJoin {
                        kind,
                        left: source(&left),
                        right: source(&right),
                        left_keys: vec![col(0)],
                        right_keys: vec![col(0)],
                        condition: condition.then(less),
                        null_aware,
                    };
                    let found =
                        sorted(world.rows(node(Operator::HashJoin(Box::new(join)), &output_types(kind))));
                    let outcome = |l: &Row, r: &Row| match null_aware {
                        true => matches_null_aware(l, r, condition),
                        false => matches(l, r, condition),
                    };
                    let expected = model(kind, &left, &right, &outcome, null_aware);
                    assert_eq!(found, expected, "{kind:?} {condition} {null_aware} {left:?} {right:?}");
                }
            }
        }
    }
}

#[test]
fn a_null_aware_join_over_two_columns_compares_rows() {
    let world = World::new();
    let mut prng = Prng::new(9);
    for _ in 0..60 {
        let (left, right) = (draw_rows(&mut prng, 6), draw_rows(&mut prng, 3));
        let outcome = |l: &Row, r: &Row| {
            let cells = [0, 1].map(|at| Some(l[at]? == r[at]?));
            if cells.contains(&Some(false)) { Some(false) } else { cells[0].and(cells[1]) }
        };
        let join = HashJoin {
            kind: JoinKind::Mark,
            left: source(&left),
            right: source(&right),
            left_keys: vec![col(0), col(1)],
            right_keys: vec![col(0), col(1)],
            condition: None,
            null_aware: true,
        };
        let types = output_types(JoinKind::Mark);
        let found = sorted(world.rows(node(Operator::HashJoin(Box::new(join)), &types)));
        assert_eq!(found, model(JoinKind::Mark, &left, &right, &outcome, true), "{left:?} {right:?}");
    }
}

#[test]
fn nested_loops_of_every_kind_agree_with_the_model() {
    let world = World::new();
    let mut prng = Prng::new(2);
    for round in 0..30 {
        let (left, right) = (draw_rows(&mut prng, round % 9), draw_rows(&mut prng, round % 8));
        for kind in KINDS {
            for null_aware in [false, true] {
                let join = NestedLoopJoin {
                    kind,
                    left: source(&left),
                    right: source(&right),
                    condition: Some(less()),
                    null_aware,
                };
                let found =
                    sorted(world.rows(node(Operator::NestedLoopJoin(Box::new(join)), &output_types(kind))));
                let outcome = |l: &Row, r: &Row| Some(l[1]? < r[1]?);
                let expected = model(kind, &left, &right, &outcome, null_aware);
                assert_eq!(found, expected, "{kind:?} {null_aware} {left:?} {right:?}");
            }
        }
    }
}

#[test]
fn a_large_hash_join_goes_through_files_and_loses_nothing() {
    let mut world = World::new();
    world.memory = world.memory.with_work_memory("query", 1 << 30, 20_000);
    let side = |modulus: i32| -> Vec<Vec<Expr>> {
        (0..4000).map(|value| vec![int(value % modulus), int(value)]).collect()
    };
    let join = HashJoin {
        kind: JoinKind::Inner,
        left: values(&[INT, INT], side(4000)),
        right: values(&[INT, INT], side(1000)),
        left_keys: vec![col(0)],
        right_keys: vec![col(0)],
        condition: None,
        null_aware: false,
    };
    let rows = world.rows(node(Operator::HashJoin(Box::new(join)), &[INT; 4]));
    assert_eq!(rows.len(), 4000);
    assert_eq!(world.memory.used(), 0, "all is given back");
}

#[test]
fn lookup_joins_keep_the_order_of_the_left_rows() {
    let world = World::new();
    let mut descriptor = table(100, "t", &[("a", INT, true), ("b", INT, false)]);
    descriptor.indexes.push(index(102, "t_b", 2, &[2], false));
    let table = world.add(descriptor);
    let rows: &[&[Option<i32>]] =
        &[&[Some(1), Some(7)], &[Some(2), Some(8)], &[Some(3), Some(7)], &[Some(4), None]];
    world.run(&crate::world::plan_of(insert_node(insert(&table, ints(2, rows)))), vec![]).expect("inserts");
    let join = |kind, index: u32, locked: bool, condition: Option<Expr>| {
        let left = ints(1, &[&[Some(8)], &[Some(7)], &[None], &[Some(1)], &[Some(7)]]);
        let join = LookupJoin {
            kind,
            left,
            table: table.clone(),
            alias: "t".into(),
            index,
            keys: vec![col(0)],
            single_row: index == 0,
            fetch_row: false,
            columns: table.descriptor.columns.iter().map(|column| column.id).collect(),
            condition,
            lock: if locked { lock() } else { None },
        };
        let types = match kind {
            JoinKind::Semi | JoinKind::Anti => vec![INT],
            JoinKind::Mark => vec![INT, DataType::Bool],
            _ => vec![INT; 3],
        };
        world.rows(node(Operator::LookupJoin(Box::new(join)), &types))
    };
    for locked in [false, true] {
        let inner = join(JoinKind::Inner, 1, locked, None);
        assert_eq!(inner, ["8|2|8", "7|1|7", "7|3|7", "7|1|7", "7|3|7"]);
    }
    let left = join(JoinKind::Left, 1, false, Some(op("<", col(1), int(3))));
    assert_eq!(left, ["8|2|8", "7|1|7", "null|null|null", "1|null|null", "7|1|7"]);
    assert_eq!(join(JoinKind::Semi, 1, false, None), ["8", "7", "7"]);
    assert_eq!(join(JoinKind::Anti, 1, false, None), ["null", "1"]);
    assert_eq!(join(JoinKind::Mark, 1, false, None), ["8|t", "7|t", "null|f", "1|f", "7|t"]);
    assert_eq!(join(JoinKind::Inner, 0, false, None), ["1|1|7"]);
}

#[test]
fn apply_runs_the_right_side_for_each_row() {
    let world = World::new();
    let slot = |index| Expr::Slot { index, data_type: INT };
    let left = || ints(1, &[&[Some(1)], &[Some(2)], &[Some(3)], &[None]]);
    let right = || filter(ints(1, &[&[Some(1)], &[Some(2)], &[Some(2)]]), op("=", col(0), slot(0)));
    let apply = |kind, right, types: &[DataType]| {
        let apply = Apply { kind, left: left(), right, bindings: vec![(0, 0)], condition: None };
        node(Operator::Apply(Box::new(apply)), types)
    };
    let join = |kind, types: &[DataType]| {
        world.rows(apply(ApplyKind::Join { kind, null_aware: false }, right(), types))
    };
    assert_eq!(join(JoinKind::Inner, &[INT; 2]), ["1|1", "2|2", "2|2"]);
    assert_eq!(join(JoinKind::Left, &[INT; 2]), ["1|1", "2|2", "2|2", "3|null", "null|null"]);
    assert_eq!(join(JoinKind::Semi, &[INT]), ["1", "2"]);
    assert_eq!(join(JoinKind::Anti, &[INT]), ["3", "null"]);
    let exists = ApplyKind::Subquery(SubqueryResult::Exists);
    assert_eq!(world.rows(apply(exists, right(), &[INT, DataType::Bool])), ["1|t", "2|t", "3|f", "null|f"]);
    let scalar = ApplyKind::Subquery(SubqueryResult::Scalar);
    assert_eq!(world.error(apply(scalar, right(), &[INT, INT])).code().as_str(), "21000");
    let array = ApplyKind::Subquery(SubqueryResult::Array);
    let rows = world.rows(apply(array, right(), &[INT, DataType::array_of(INT)]));
    assert_eq!(rows, ["1|{1}", "2|{2,2}", "3|{}", "null|{}"]);
}
