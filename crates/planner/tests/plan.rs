//! Physical plans over a small catalog, as EXPLAIN prints them.

mod support;

use planner::{ExplainOptions, PlanOptions};
use support::{TestCatalog, error_text, golden, statement};

const SCHEMA: &str = "
    CREATE TABLE t (a int PRIMARY KEY, b text, c int NOT NULL, d numeric(10,2));
    CREATE UNIQUE INDEX t_c ON t (c);
    CREATE INDEX t_b ON t (b, c DESC);
    CREATE TABLE u (id bigint PRIMARY KEY, a int, x text, y bigint);
    CREATE INDEX u_a ON u (a);
    CREATE TABLE w (k1 int, k2 text, v int, PRIMARY KEY (k1, k2));
    CREATE TABLE tiny (n int NOT NULL);
    CREATE VIEW v AS SELECT a, b || '!' AS bang FROM t WHERE c > 0;
";

fn check(path: &str) {
    let mut catalog = TestCatalog::new(SCHEMA);
    catalog.set_rows("t", 10_000.0);
    catalog.set_rows("u", 100_000.0);
    catalog.set_rows("w", 50_000.0);
    catalog.set_rows("tiny", 5.0);
    golden(path, &mut |text| {
        let plan = statement(text)
            .and_then(|statement| planner::plan(&statement, &catalog, &[], &PlanOptions::default()));
        match plan {
            Err(error) => error_text(&error, text),
            Ok(plan) => {
                let lines = planner::explain(&plan, ExplainOptions { costs: false, verbose: false });
                lines.join("\n") + "\n"
            }
        }
    });
}

#[test]
fn access_paths() {
    check("plan_access_paths");
}

#[test]
fn joins() {
    check("plan_joins");
}

#[test]
fn subqueries() {
    check("plan_subqueries");
}

#[test]
fn modifications() {
    check("plan_modify");
}

#[test]
fn sorting_and_grouping() {
    check("plan_sort_and_group");
}
