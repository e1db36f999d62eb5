//! The task runner: everything that a developer or a machine does with this checkout goes through here.
//!
//! It has no dependencies, so that it builds in a second on a fresh machine, and it arranges that run, test,
//! simulation and benchmark share one build of RocksDB (see [`workspace`]).

// Around the node, not in it: this program waits for other programs in real time.
#![allow(clippy::disallowed_methods)]

mod commands;
mod prerequisites;
#[cfg(test)]
mod tidy;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  start [FLAGS]       build in release mode and run one node on ./meridian-data;
                      FLAGS go to `meridian start`
  test [FILTER ...]   format, lints, documentation tests, all tests; a FILTER limits the tests
  tidy                only the checks of layering and form (seconds)
  sql [FLAGS] [PATH ...]
                      the SQL tests (sql-tests/, or other files) against a fresh node;
                      FLAGS go to the runner, such as --flag, --known, --jobs
  sim [--seed N] [--seeds N | --seeds A..B] [--scenario NAME]
                      the simulation tests from one seed, or with more seeds than usual
  rebalance           the placement of 500,000 ranges on 1,000 nodes, simulated;
                      writes docs/rebalancing.svg and its figures (minutes)
  faults [--rounds N] [--nodes N] [--seed N] [--table FILE]
                      real processes of a cluster under load, killed, halted, cut off (root), out of disk (root)
  bench [FLAGS]       the benchmarks against PostgreSQL, in benches/
  bench-cluster [FLAGS]
                      figures of a cluster of processes: failover, drain, latency, rounds, TPC-B, idle ranges, a new node
  prerequisites       find or install what building needs
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match command {
        "start" => commands::start(rest),
        "test" => commands::test(rest),
        "tidy" => commands::tidy(),
        "sql" => commands::sql(rest),
        "sim" => commands::sim(rest),
        "rebalance" => commands::rebalance(),
        "faults" => commands::faults(rest),
        "bench" => commands::bench("compare.py", rest),
        "bench-cluster" => commands::bench("cluster.py", rest),
        "prerequisites" => prerequisites::ensure(),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        unknown => Err(format!("there is no command \"{unknown}\"\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
