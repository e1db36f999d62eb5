//! One function per command.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::prerequisites;
use crate::workspace::{cargo, root, run, succeeds, target_folder};

const SQL_PORT: u16 = 5433;
const DATA_FOLDER: &str = "meridian-data";

/// Builds the binary and becomes it, so that signals reach the node itself.
pub fn start(flags: &[String]) -> Result<(), String> {
    prerequisites::ensure()?;
    run(&mut cargo(&["build", "--release", "--package", "meridian"]))?;
    let binary = target_folder().join("release").join("meridian");
    let mut command = Command::new(&binary);
    command.arg("start");
    let data = std::env::current_dir().map_err(|error| error.to_string())?.join(DATA_FOLDER);
    if !has_flag(flags, "--data-dir") {
        command.arg("--data-dir").arg(&data);
    }
    if !has_flag(flags, "--listen-sql") {
        if TcpListener::bind((Ipv4Addr::LOCALHOST, SQL_PORT)).is_err() {
            return Err(format!(
                "port {SQL_PORT} is taken: stop what listens there, or pass another one: cargo xtask start --listen-sql 127.0.0.1:6433"
            ));
        }
        println!();
        println!("  URL:   postgresql://postgres@127.0.0.1:{SQL_PORT}/postgres");
        println!("  psql:  psql -h 127.0.0.1 -p {SQL_PORT} -U postgres postgres");
        println!("  stop:  Ctrl-C; the data stay in {DATA_FOLDER}/");
        println!();
        command.arg("--listen-sql").arg(format!("127.0.0.1:{SQL_PORT}"));
    }
    command.args(flags);
    become_command(command)
}

fn has_flag(flags: &[String], name: &str) -> bool {
    flags.iter().any(|flag| flag == name || flag.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
}

#[cfg(unix)]
fn become_command(mut command: Command) -> Result<(), String> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(format!("cannot run {:?}: {error}", command.get_program()))
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Result<(), String> {
    run(&mut command)
}

/// Every check, cheapest first, so that a slip of form is told in seconds; the tests come last, their summary
/// is the end of the output. All checks run even if one fails.
pub fn test(filters: &[String]) -> Result<(), String> {
    prerequisites::ensure()?;
    let mut failures = Vec::new();
    let mut check = |result: Result<(), String>| failures.extend(result.err());
    if filters.is_empty() {
        check(if_installed("fmt", "rustfmt", || run(&mut cargo(&["fmt", "--all", "--check"]))));
        check(if_installed("clippy", "clippy", || {
            // What breaks determinism or is plainly wrong fails; matters of taste are shown.
            let denied = ["-D", "clippy::disallowed_methods", "-D", "clippy::correctness"];
            let clippy = ["clippy", "--release", "--workspace", "--locked", "--"];
            run(&mut cargo(&[&clippy[..], &denied[..]].concat()))
        }));
        check(run(&mut cargo(&["test", "--release", "--workspace", "--locked", "--doc"])));
    }
    let has_nextest = succeeds(&mut cargo(&["nextest", "--version"]));
    let mut arguments: Vec<&str> = if has_nextest {
        vec!["nextest", "run", "--no-fail-fast", "--no-tests=pass"]
    } else {
        vec!["test", "--no-fail-fast", "--lib", "--bins", "--tests"]
    };
    arguments.extend(["--release", "--workspace", "--locked"]);
    arguments.extend(filters.iter().map(String::as_str));
    check(run(&mut cargo(&arguments)));
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\nxtask: ")) }
}

fn if_installed(
    subcommand: &str,
    component: &str,
    check: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    if succeeds(&mut cargo(&[subcommand, "--version"])) {
        return check();
    }
    eprintln!(
        "xtask: {component} is not installed, its check is left out (rustup component add {component})"
    );
    Ok(())
}

/// The tests of this crate are the checks of layering and form.
pub fn tidy() -> Result<(), String> {
    run(&mut cargo(&["test", "--quiet", "--package", "xtask", "--", "--nocapture"]))
}

/// The runner tells paths from flags itself; without any argument it runs our own tests.
pub fn sql(arguments: &[String]) -> Result<(), String> {
    prerequisites::ensure()?;
    run(&mut cargo(&["build", "--release", "--package", "meridian", "--package", "sqltests"]))?;
    let folder = target_folder().join("release");
    let mut command = Command::new(folder.join("sqltests"));
    command.arg("--meridian").arg(folder.join("meridian")).args(arguments);
    if !arguments.iter().any(|argument| Path::new(argument).exists()) {
        command.arg(root().join("sql-tests"));
    }
    run(&mut command)
}

/// The simulation tests read the seeds from the environment: MERIDIAN_SIM_SEED replays one, MERIDIAN_SIM_SEEDS
/// says how many to try, or which (A..B).
pub fn sim(flags: &[String]) -> Result<(), String> {
    let variables = [
        ("--seed", "MERIDIAN_SIM_SEED"),
        ("--seeds", "MERIDIAN_SIM_SEEDS"),
        ("--scenario", "MERIDIAN_SIM_SCENARIO"),
    ];
    let mut command = cargo(&["test", "--release", "--locked", "--package", "sim"]);
    if !flags.is_empty() {
        command.args(["--test", "seeds"]);
    }
    command.args(["--", "--nocapture"]);
    run_with(command, flags, &variables)
}

/// The test of faults reads how it is to go from the environment.
pub fn faults(flags: &[String]) -> Result<(), String> {
    let variables = [
        ("--rounds", "MERIDIAN_FAULT_ROUNDS"),
        ("--nodes", "MERIDIAN_FAULT_NODES"),
        ("--seed", "MERIDIAN_FAULT_SEED"),
        ("--table", "MERIDIAN_FAULT_TABLE"),
    ];
    let mut command = cargo(&["test", "--release", "--locked", "--package", "meridian", "--test", "faults"]);
    command.args(["--", "--nocapture"]);
    run_with(command, flags, &variables)
}

/// Runs a test with flags that it is told by variables of the environment.
fn run_with(mut command: Command, flags: &[String], variables: &[(&str, &str)]) -> Result<(), String> {
    prerequisites::ensure()?;
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let Some((_, variable)) = variables.iter().find(|(name, _)| name == flag) else {
            let known: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
            return Err(format!("there is no flag \"{flag}\" here, only {}", known.join(", ")));
        };
        command.env(variable, flags.next().ok_or(format!("{flag} takes a value"))?);
    }
    run(&mut command)
}

/// The simulation lies with the tests of what it drives.
pub fn rebalance() -> Result<(), String> {
    let test = ["test", "--release", "--locked", "--package", "placement", "--test", "rebalance"];
    run(cargo(&test).args(["--", "--ignored", "--nocapture"]))
}

/// The benchmark programs lie beside their notes in benches/.
pub fn bench(script: &str, flags: &[String]) -> Result<(), String> {
    prerequisites::ensure()?;
    let script = root().join("benches").join(script);
    run(&mut cargo(&["build", "--release", "--package", "meridian"]))?;
    run(Command::new("python3")
        .arg(script)
        .args(flags)
        .current_dir(root())
        .env("MERIDIAN", target_folder().join("release").join("meridian")))
}
