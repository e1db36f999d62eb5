//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use shell::{Action, ShellOptions};

/// A distributed SQL database that speaks PostgreSQL.
#[derive(Parser, Debug)]
#[command(name = "meridian", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a node.
    Start(StartArguments),
    /// Run a throw-away node in a temporary folder, with a SQL shell.
    Demo(DemoArguments),
    /// Open a SQL shell.
    Sql(SqlArguments),
    /// Print the version.
    Version,
}

#[derive(Args, Debug, Clone)]
pub struct StartArguments {
    /// Folder for the node's data. An empty or missing one becomes a new one-node cluster.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where PostgreSQL clients connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5433")]
    pub listen_sql: String,
    /// Where other nodes connect. A one-node cluster has none: the address is checked and kept, nothing listens on it yet.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5434")]
    pub listen_rpc: String,
    /// Where health and metrics are served.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5435")]
    pub listen_http: String,
    /// Nodes of the cluster to join.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Believe every client from everywhere, without TLS and password.
    #[arg(long)]
    pub insecure: bool,
    /// Certificate (chain) for clients, PEM. Without one, a self-signed one is made if a listener is not on loopback.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Memory for cached data, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub cache_mib: usize,
    /// Memory that all running statements together may hold, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub sql_memory_mib: u64,
    /// Connections at one time.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub connections_max: usize,
    /// A range is split beyond this size, in KiB.
    #[arg(long, value_name = "KIB", default_value_t = 128 * 1024)]
    pub range_size_kib: u64,
    /// How long SIGTERM waits for running statements, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain_seconds: u64,
    /// Log as JSON lines (the default when the error stream is not a terminal).
    #[arg(long)]
    pub log_json: bool,
}

#[derive(Args, Debug, Clone)]
pub struct DemoArguments {
    #[command(flatten)]
    pub shell: ShellArguments,
}

#[derive(Args, Debug, Clone)]
pub struct SqlArguments {
    /// Server, database and user.
    #[arg(long, env = "MERIDIAN_URL", default_value = "postgresql://postgres@127.0.0.1:5433/postgres")]
    pub url: String,
    #[command(flatten)]
    pub shell: ShellArguments,
}

/// What is passed on to the shell; the names are psql's.
#[derive(Args, Debug, Clone)]
pub struct ShellArguments {
    /// Run a command and exit. May be repeated.
    #[arg(short = 'c', long = "command", value_name = "SQL")]
    pub commands: Vec<String>,
    /// Run a file and exit. May be repeated; commands run first.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Rows only: no titles, headers and footers.
    #[arg(short = 't', long)]
    pub tuples_only: bool,
    /// Columns separated by "|".
    #[arg(short = 'A', long)]
    pub no_align: bool,
    /// One line for each column.
    #[arg(short = 'x', long)]
    pub expanded: bool,
    /// No welcome, no command tags.
    #[arg(short = 'q', long)]
    pub quiet: bool,
    /// Set a variable, such as ON_ERROR_STOP=1.
    #[arg(short = 'v', long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

impl SqlArguments {
    pub fn options(&self) -> ShellOptions {
        self.shell.options(&self.url)
    }
}

impl ShellArguments {
    pub fn options(&self, url: &str) -> ShellOptions {
        let commands = self.commands.iter().cloned().map(Action::Command);
        let files = self.files.iter().cloned().map(Action::File);
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) => (name.to_string(), value.to_string()),
            None => (text.clone(), String::new()),
        };
        ShellOptions {
            actions: commands.chain(files).collect(),
            tuples_only: self.tuples_only,
            unaligned: self.no_align,
            expanded: self.expanded,
            quiet: self.quiet,
            variables: self.set.iter().map(pair).collect(),
            ..ShellOptions::new(url)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
