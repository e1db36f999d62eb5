//! The one binary: server, SQL shell, throw-away demo.
//!
//! | file | what |
//! | --- | --- |
//! | `arguments` | the command line |
//! | `start` | a server until it is told to stop |
//! | `demo` | a throw-away node with a shell |
//! | `operate` | a cluster's nodes: listed, drained, decommissioned; a cluster made; replicas compared |
//! | `authority` | certificates for nodes and users |
//! | `local_cluster` | a cluster of processes on this machine |
//! | `logging` | log lines for people or machines |
//! | `certificate` | a development certificate |
//!
//! Exit codes: 0 done; 1 an error that the message explains; 2 a command line that makes no sense (and psql's codes for the shell).

mod arguments;
mod authority;
mod certificate;
mod demo;
mod local_cluster;
mod logging;
mod operate;
mod start;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Start(start) => start::run(&start).map(|()| ExitCode::SUCCESS),
        Command::Demo(demo) => demo::run(&demo),
        Command::Init(operator) => operate::init(&operator).map(|()| ExitCode::SUCCESS),
        Command::Node(command) => operate::node(&command).map(|()| ExitCode::SUCCESS),
        Command::Debug(command) => operate::debug(&command).map(|()| ExitCode::SUCCESS),
        Command::Cert(command) => authority::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Cluster(command) => local_cluster::run(&command).map(|()| ExitCode::SUCCESS),
        Command::Sql(sql) => Ok(ExitCode::from(shell::run(&sql.options()) as u8)),
        Command::Version => {
            println!("meridian {} (speaks PostgreSQL 15)", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("meridian: error: {error:#}");
        ExitCode::FAILURE
    })
}
