//! Binding over a small catalog: logical plans, and errors with SQLSTATE and position.

mod support;

use planner::PlanOptions;
use support::{TestCatalog, error_text, golden, statement};

const SCHEMA: &str = "
    CREATE TABLE t (a int PRIMARY KEY, b text, c int NOT NULL, d numeric(10,2), ts timestamptz);
    CREATE TABLE u (a int, x text, y bigint);
    CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int DEFAULT 7, v varchar(3), twice int GENERATED ALWAYS AS (n * 2) STORED, m int CHECK (m > 0));
    CREATE UNIQUE INDEX t_c ON t (c);
    CREATE VIEW v AS SELECT a, b || '!' AS bang FROM t WHERE c > 0;
";

fn run(catalog: &TestCatalog, text: &str) -> String {
    let bound = statement(text)
        .and_then(|statement| planner::bind::bind(&statement, catalog, &[], &PlanOptions::default()));
    match bound {
        Err(error) => error_text(&error, text),
        Ok(bound) => {
            let output: Vec<String> = bound
                .output
                .iter()
                .map(|(name, column)| {
                    let column_type = bound.columns.get(*column).column_type;
                    let typmod = if column_type.typmod == -1 {
                        String::new()
                    } else {
                        format!("[{}]", column_type.typmod)
                    };
                    format!("{name}#{column} {}{typmod}", column_type.data_type)
                })
                .collect();
            let mut text = format!("=> {}\n", output.join(", "));
            if !bound.parameters.is_empty() {
                let types: Vec<String> =
                    bound.parameters.iter().map(|data_type| data_type.to_string()).collect();
                text += &format!("parameters: {}\n", types.join(", "));
            }
            text + &planner::explain::logical_text(&bound.plan, &bound.columns)
        }
    }
}

fn check(path: &str) {
    let catalog = TestCatalog::new(SCHEMA);
    golden(path, &mut |text| run(&catalog, text));
}

#[test]
fn select_lists_and_names() {
    check("bind_select");
}

#[test]
fn errors_of_names_and_types() {
    check("bind_errors");
}

#[test]
fn grouping_and_windows() {
    check("bind_grouping");
}

#[test]
fn subqueries_and_common_tables() {
    check("bind_subqueries");
}

#[test]
fn modifications() {
    check("bind_modify");
}
