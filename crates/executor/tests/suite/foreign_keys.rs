//! Foreign keys: checks and actions in both directions.

use std::sync::Arc;

use planner::Table;
use planner::plan::*;
use types::PgError;
use types::descriptor::ForeignKeyAction::{self, *};
use types::descriptor::Oid;

use crate::build::*;
use crate::world::{World, plan_of};

struct Pair {
    world: World,
    parent: Arc<Table>,
    child: Arc<Table>,
}

/// p(a primary key, x), c(b primary key, a references p, y), optionally with an index on c(a).
fn pair(actions: (ForeignKeyAction, ForeignKeyAction), indexed: bool) -> Pair {
    let world = World::new();
    let mut parent = table(100, "p", &[("a", INT, true), ("x", INT, false)]);
    let mut child = table(200, "c", &[("b", INT, true), ("a", INT, false), ("y", INT, false)]);
    reference(&mut child, &mut parent, 900, &[2], actions);
    if indexed {
        child.indexes.push(index(202, "c_a", 2, &[2], false));
    }
    let (parent, child) = (world.add(parent), world.add(child));
    let pair = Pair { world, parent, child };
    pair.put(&pair.parent, &[&[Some(1), Some(0)], &[Some(2), Some(0)], &[Some(3), Some(0)]])
        .expect("parents");
    let children: &[&[Option<i32>]] = &[
        &[Some(10), Some(1), Some(0)],
        &[Some(11), Some(1), Some(0)],
        &[Some(12), Some(2), Some(0)],
        &[Some(13), None, Some(0)],
    ];
    pair.put(&pair.child, children).expect("children");
    pair
}

impl Pair {
    fn put(&self, table: &Arc<Table>, rows: &[&[Option<i32>]]) -> Result<u64, PgError> {
        let width = table.descriptor.columns.len();
        let plan = plan_of(insert_node(insert(table, ints(width, rows))));
        self.world.run(&plan, vec![]).map(|(_, affected)| affected)
    }

    fn delete_parent(&self, key: i32) -> Result<u64, PgError> {
        let source = scan_node(TableScan { lock: lock(), ..point(&self.parent, int(key)) });
        self.world.run(&plan_of(delete(&self.parent, source)), vec![]).map(|(_, affected)| affected)
    }

    fn move_parent(&self, from: i32, to: i32) -> Result<u64, PgError> {
        let source = scan_node(TableScan { lock: lock(), ..point(&self.parent, int(from)) });
        let change = update(&self.parent, source, vec![(0, int(to))]);
        self.world.run(&plan_of(update_node(change)), vec![]).map(|(_, affected)| affected)
    }

    /// b and a of the children.
    fn children(&self) -> Vec<String> {
        let rows = self.world.rows(project(all(&self.child), vec![col(0), col(1)]));
        for index in 1..=self.child.descriptor.indexes.len() as u32 {
            let by_index = scan_node(scan(&self.child, index, Spans::All));
            let by_index = self.world.rows(sort(project(by_index, vec![col(0), col(1)]), &[0]));
            assert_eq!(by_index, rows, "index {index}");
        }
        rows
    }
}

const FULL: [&str; 4] = ["10|1", "11|1", "12|2", "13|null"];

#[test]
fn a_row_must_have_its_parent() {
    let pair = pair((NoAction, NoAction), true);
    let error =
        pair.put(&pair.child, &[&[Some(20), Some(3), None], &[Some(21), Some(9), None]]).expect_err("orphan");
    assert_eq!(
        error.to_string(),
        "ERROR:  insert or update on table \"c\" violates foreign key constraint \"c_fkey\" (23503)"
    );
    assert_eq!(error.fields().detail.as_deref(), Some("Key (a)=(9) is not present in table \"p\"."));
    assert_eq!(error.fields().table.as_deref(), Some("c"));
    assert_eq!(error.fields().constraint.as_deref(), Some("c_fkey"));
    let source = scan_node(TableScan { lock: lock(), ..point(&pair.child, int(10)) });
    let adopt = |parent: i32| {
        let change = update(&pair.child, source.clone(), vec![(1, int(parent))]);
        pair.world.run(&plan_of(update_node(change)), vec![])
    };
    assert_eq!(adopt(9).expect_err("orphan").code().as_str(), "23503");
    adopt(3).expect("there is one");
    assert_eq!(pair.children(), ["10|3", "11|1", "12|2", "13|null"]);
}

#[test]
fn a_parent_with_children_stays() {
    for (action, indexed) in [(NoAction, true), (NoAction, false), (Restrict, true), (Restrict, false)] {
        let pair = pair((action, action), indexed);
        let error = pair.delete_parent(1).expect_err("has children");
        assert_eq!(
            error.to_string(),
            "ERROR:  update or delete on table \"p\" violates foreign key constraint \"c_fkey\" on table \"c\" (23503)"
        );
        assert_eq!(
            error.fields().detail.as_deref(),
            Some("Key (a)=(1) is still referenced from table \"c\".")
        );
        assert_eq!(pair.move_parent(2, 20).expect_err("has children").code().as_str(), "23503");
        assert_eq!(pair.delete_parent(3).expect("has none"), 1);
        assert_eq!(pair.children(), FULL);
        // A column that nobody refers to.
        let source = scan_node(TableScan { lock: lock(), ..point(&pair.parent, int(1)) });
        let change = update(&pair.parent, source, vec![(1, int(7))]);
        assert_eq!(pair.world.run(&plan_of(update_node(change)), vec![]).expect("updates").1, 1);
    }
}

#[test]
fn actions_take_children_along() {
    for indexed in [true, false] {
        let cascading = pair((Cascade, Cascade), indexed);
        assert_eq!(cascading.delete_parent(1).expect("deletes"), 1, "children do not count");
        assert_eq!(cascading.children(), ["12|2", "13|null"]);
        cascading.move_parent(2, 20).expect("moves");
        assert_eq!(cascading.children(), ["12|20", "13|null"]);
        let clearing = pair((SetNull, SetNull), indexed);
        clearing.delete_parent(1).expect("deletes");
        clearing.move_parent(2, 20).expect("moves");
        assert_eq!(clearing.children(), ["10|null", "11|null", "12|null", "13|null"]);
        let defaulting = pair((SetDefault, SetDefault), indexed);
        defaulting.delete_parent(1).expect("deletes");
        assert_eq!(defaulting.children()[0], "10|null", "without a default it is NULL");
    }
}

/// t(a primary key, parent references t).
fn tree(action: ForeignKeyAction) -> (World, Arc<Table>) {
    let world = World::new();
    let mut tree = table(100, "t", &[("a", INT, true), ("parent", INT, false)]);
    let mut own = tree.clone();
    reference(&mut tree, &mut own, 900, &[2], (action, action));
    tree.referenced_by = own.referenced_by;
    tree.indexes.push(index(102, "t_parent", 2, &[2], false));
    let table = world.add(tree);
    let rows: &[&[Option<i32>]] =
        &[&[Some(4), Some(2)], &[Some(1), None], &[Some(2), Some(1)], &[Some(3), Some(2)]];
    let plan = plan_of(insert_node(insert(&table, ints(2, rows))));
    world.run(&plan, vec![]).expect("rows of one statement may refer to one another");
    (world, table)
}

#[test]
fn a_table_may_refer_to_itself() {
    let (world, table) = tree(NoAction);
    let one = |key| scan_node(TableScan { lock: lock(), ..point(&table, int(key)) });
    let error = world.error(delete(&table, one(2)));
    assert_eq!(error.fields().detail.as_deref(), Some("Key (a)=(2) is still referenced from table \"t\"."));
    let orphan = plan_of(insert_node(insert(&table, ints(2, &[&[Some(9), Some(8)]]))));
    assert_eq!(world.run(&orphan, vec![]).expect_err("orphan").code().as_str(), "23503");
    world.run(&plan_of(delete(&table, all(&table))), vec![]).expect("all at once");
    assert_eq!(world.store.len(), 0);

    let (world, table) = tree(Cascade);
    let one = |key| scan_node(TableScan { lock: lock(), ..point(&table, int(key)) });
    let change = update(&table, one(2), vec![(0, int(20))]);
    world.run(&plan_of(update_node(change)), vec![]).expect("moves");
    assert_eq!(world.rows(all(&table)), ["1|null", "3|20", "4|20", "20|1"]);
    world.run(&plan_of(delete(&table, one(1))), vec![]).expect("deletes the whole tree");
    assert_eq!(world.store.len(), 0);
}

#[test]
fn deferred_checks_wait_for_the_end_of_the_transaction() {
    let pair = pair((NoAction, NoAction), true);
    *pair.world.checks.defer.lock() = true;
    let check = |world: &World| {
        let txn = world.begin();
        txn.begin_statement(true);
        let context = world.context(txn, vec![]);
        let pending = std::mem::take(&mut *world.checks.pending.lock());
        let mut results = Vec::new();
        for (table, constraint, key) in pending {
            let check = executor::check_deferred(&context, &table, constraint, &key);
            results.push(futures::executor::block_on(check).map_err(executor::ExecError::into_pg_error));
        }
        results
    };
    pair.put(&pair.child, &[&[Some(20), Some(9), None], &[Some(21), Some(1), None]])
        .expect("is not checked yet");
    let results = check(&pair.world);
    assert_eq!(results[0].as_ref().expect_err("orphan").code().as_str(), "23503");
    assert_eq!(results[1], Ok(()));
    // Taking the parent away leaves its children to be checked.
    pair.delete_parent(2).expect("is not checked yet");
    let pending = pair.world.checks.pending.lock().clone();
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0].1, Oid(900));
    assert!(check(&pair.world)[0].is_err());
    let gone = scan_node(TableScan { lock: lock(), ..point(&pair.child, int(12)) });
    pair.delete_parent(3).expect("nobody refers to it");
    pair.world.run(&plan_of(delete(&pair.child, gone)), vec![]).expect("deletes");
    *pair.world.checks.pending.lock() = pending;
    assert_eq!(check(&pair.world), [Ok(())], "a row that is gone passes");
}

#[test]
fn match_full_wants_all_or_none() {
    let world = World::new();
    let mut parent = table(100, "p", &[("a", INT, true), ("b", INT, true)]);
    parent.primary.columns = index(0, "", 1, &[1, 2], true).columns;
    let mut child = table(200, "c", &[("k", INT, true), ("a", INT, false), ("b", INT, false)]);
    reference(&mut child, &mut parent, 900, &[2, 3], (NoAction, NoAction));
    child.foreign_keys[0].match_full = true;
    let (parent, child) = (world.add(parent), world.add(child));
    let put = |table: &Arc<Table>, width, row: &[Option<i32>]| {
        world.run(&plan_of(insert_node(insert(table, ints(width, &[row])))), vec![])
    };
    put(&parent, 2, &[Some(1), Some(2)]).expect("inserts");
    put(&child, 3, &[Some(1), Some(1), Some(2)]).expect("has its parent");
    put(&child, 3, &[Some(2), None, None]).expect("points nowhere");
    let error = put(&child, 3, &[Some(3), Some(1), None]).expect_err("mixes");
    assert_eq!(
        error.fields().detail.as_deref(),
        Some("MATCH FULL does not allow mixing of null and nonnull key values.")
    );
    let error = put(&child, 3, &[Some(3), Some(1), Some(3)]).expect_err("orphan");
    assert_eq!(error.fields().detail.as_deref(), Some("Key (a, b)=(1, 3) is not present in table \"p\"."));
}
