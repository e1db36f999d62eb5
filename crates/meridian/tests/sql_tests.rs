//! The SQL tests of `sql-tests/` on a real node: with the usual size of ranges, and with ranges so small that every table has many
//! and every scan of more than one range is read by several tasks.

use std::path::{Path, PathBuf};

use sqltests::{Options, Target, run};

/// Records that ask for what is answered with 0A000 so far.
const UNSUPPORTED_MAX: usize = 6;

fn run_all(flags: &[&str], setup: &[&str]) {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_meridian"));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql-tests");
    let mut options = Options::new(Target::Meridian(binary), vec![tests]);
    // What differs from PostgreSQL and why is said in the file; everything else must agree.
    options.known = Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sql-tests/known-differences.txt"));
    options.start_flags = flags.iter().map(|flag| flag.to_string()).collect();
    options.setup = setup.iter().map(|statement| statement.to_string()).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let summary = runtime.block_on(run(&options)).expect("the tests can be run");
    println!("{summary}");
    assert!(summary.is_success(UNSUPPORTED_MAX), "{summary}");
}

#[test]
fn sql_tests_pass() {
    run_all(&[], &[]);
}

#[test]
fn sql_tests_pass_on_tiny_ranges() {
    run_all(&["--range-size-kib", "16"], &["SET min_parallel_table_scan_size = 0"]);
}

/// Parts of statements go through the form in which they travel to other nodes, on one node.
#[test]
fn sql_tests_pass_with_parts_that_travel() {
    run_all(&["--range-size-kib", "64"], &["SET distributed_execution = always"]);
}
