//! The runner against the machine's own PostgreSQL: what is right passes, what is wrong is told.

use std::path::PathBuf;

use sqltests::{Options, Summary, Target};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join("fixtures").join(name)
}

fn run(options: &Options) -> Summary {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(sqltests::run(options))
        .expect("PostgreSQL is on the machine and the files are well-formed")
}

#[test]
fn right_files_pass_wrong_records_are_told_known_failures_do_not_count() {
    let files = vec![fixture("corpus.test"), fixture("right.slt"), fixture("wrong.slt")];
    let mut options = Options::new(Target::Postgres, files);
    options.known = Some(fixture("known.txt"));
    options.jobs = 2;
    let summary = run(&options);
    let counts: Vec<_> = summary
        .files
        .iter()
        .map(|file| (file.passed, file.failures.len(), file.known, file.skipped))
        .collect();
    assert_eq!(counts, [(5, 0, 1, 1), (13, 0, 0, 2), (0, 7, 0, 0)], "{summary}");
    let differences: Vec<&str> = summary.files[2]
        .failures
        .iter()
        .map(|failure| failure.difference.lines().next().unwrap_or(""))
        .collect();
    assert_eq!(
        differences,
        [
            "failed with 42703: column \"nonsense\" does not exist",
            "expected the error (any), but it succeeded",
            "expected the error (sqlstate) 42P01, it is 22012: division by zero",
            "expected",
            "expected 1 columns, there are 2",
            "expected 5 rows to be affected, it were 1",
            "expected",
        ]
    );
}

#[test]
fn what_the_server_does_not_have_is_told_apart_from_failures() {
    let summary = run(&Options::new(Target::Postgres, vec![fixture("unsupported.slt")]));
    assert_eq!((summary.passed(), summary.failed(), summary.unsupported()), (1, 0, 1));
    assert!(!summary.is_success(0) && summary.is_success(1));
    let message = "FOR UPDATE is not allowed with aggregate functions";
    assert_eq!(summary.unsupported_features(), [(1, message)]);
}

/// The expectations in `sql-tests/` are PostgreSQL's own answers.
#[test]
fn our_sql_tests_are_true_of_postgres() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../sql-tests");
    let mut options = Options::new(Target::Postgres, vec![folder]);
    options.jobs = 2;
    let summary = run(&options);
    assert_eq!((summary.failed(), summary.unsupported()), (0, 0));
    assert!(summary.passed() > 500, "{summary}");
}

#[test]
fn recording_makes_a_wrong_file_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recorded.slt");
    std::fs::copy(fixture("wrong.slt"), &file).expect("a copy");
    let mut options = Options::new(Target::Postgres, vec![file.clone()]);
    options.isolation = sqltests::Isolation::Schema;
    options.record = true;
    run(&options);
    options.record = false;
    let summary = run(&options);
    assert_eq!(
        (summary.passed(), summary.failed()),
        (7, 0),
        "{}",
        std::fs::read_to_string(&file).expect("it is there")
    );
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(text.contains("# Each of these") && text.contains("statement error (22012)"), "{text}");
    assert!(text.contains("SELECT 2\n----\n2\n"), "{text}");
}
