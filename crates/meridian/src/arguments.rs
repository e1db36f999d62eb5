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
    /// Make a new cluster of nodes that wait for one (started with --join, on empty folders).
    Init(OperatorArguments),
    /// Show, drain or decommission the nodes of a cluster.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Look into a cluster for what should not be.
    #[command(subcommand)]
    Debug(DebugCommand),
    /// Make certificates for the nodes of a cluster and for its users.
    #[command(subcommand)]
    Cert(CertCommand),
    /// Run a cluster of processes on this machine, for development and tests.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Print the version.
    Version,
}

#[derive(Args, Debug, Clone)]
pub struct StartArguments {
    /// Folder for the node's data. An empty or missing one becomes a new one-node cluster, or joins one (--join).
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Where PostgreSQL clients connect.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5433")]
    pub listen_sql: String,
    /// Where other nodes connect. Without certificates on loopback only, unless --insecure.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5434")]
    pub listen_rpc: String,
    /// The RPC address as other nodes reach it, if it is not the one listened on.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise_rpc: Option<String>,
    /// The SQL address as clients reach it, if it is not the one listened on.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise_sql: Option<String>,
    /// Where health and metrics are served.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5435")]
    pub listen_http: String,
    /// RPC addresses of nodes of the cluster to join, when the data folder is empty. This node's own may be among them.
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    pub join: Vec<String>,
    /// Where the node stands, widest tier first, such as region=eu,zone=a.
    #[arg(long, value_name = "NAME=VALUE,...", default_value = "")]
    pub locality: String,
    /// Folder with ca.crt, node.crt and node.key: nodes prove themselves to each other (see meridian cert).
    #[arg(long, value_name = "DIR")]
    pub certs_dir: Option<PathBuf>,
    /// Believe every client and node from everywhere, without TLS and password.
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
    /// For tests of upgrades: the versions of a cluster that this program says it knows.
    #[arg(long, env = "MERIDIAN_PRETEND_VERSIONS", value_name = "OLDEST-NEWEST", hide = true)]
    pub pretend_versions: Option<String>,
    /// Log as JSON lines (the default when the error stream is not a terminal).
    #[arg(long)]
    pub log_json: bool,
}

/// How an operator reaches a cluster.
#[derive(Args, Debug, Clone)]
pub struct OperatorArguments {
    /// The RPC address of any node of the cluster.
    #[arg(long, env = "MERIDIAN_RPC", value_name = "HOST:PORT", default_value = "127.0.0.1:5434")]
    pub rpc: String,
    /// Folder with ca.crt, client.postgres.crt and client.postgres.key, for a cluster with certificates.
    #[arg(long, env = "MERIDIAN_CERTS_DIR", value_name = "DIR")]
    pub certs_dir: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub enum NodeCommand {
    /// List the nodes: addresses, locality, state.
    Ls(OperatorArguments),
    /// Show what each node holds, when it was last heard of, and how far its clock is off.
    Status(OperatorArguments),
    /// Let a node hand over its leases, before it is stopped.
    Drain {
        /// Which node; the one that is reached, if none is named.
        node: Option<u32>,
        /// Back to normal.
        #[arg(long)]
        cancel: bool,
        #[command(flatten)]
        operator: OperatorArguments,
    },
    /// Move everything off nodes, and take them out of the cluster for good.
    Decommission {
        #[arg(required = true)]
        nodes: Vec<u32>,
        /// Take the nodes back, as long as they are not out.
        #[arg(long)]
        cancel: bool,
        /// Do not wait until the nodes are empty.
        #[arg(long)]
        no_wait: bool,
        /// Even if too few nodes remain for as many copies as are wanted: then there will be fewer.
        #[arg(long, conflicts_with = "cancel")]
        force: bool,
        #[command(flatten)]
        operator: OperatorArguments,
    },
}

#[derive(Subcommand, Debug)]
pub enum DebugCommand {
    /// Compare all replicas of every range, or of one. A store whose replica differs from most others stops.
    CheckReplicas {
        /// The range; all, if none is named.
        #[arg(long, value_name = "ID")]
        range: Option<u64>,
        #[command(flatten)]
        operator: OperatorArguments,
    },
}

#[derive(Subcommand, Debug)]
pub enum CertCommand {
    /// Make an authority: ca.crt and ca.key.
    CreateCa {
        #[arg(long, value_name = "DIR", default_value = "certs")]
        certs_dir: PathBuf,
    },
    /// Make a node's certificate: node.crt and node.key.
    CreateNode {
        /// Host names and IP addresses by which others reach the node.
        #[arg(required = true)]
        hosts: Vec<String>,
        #[arg(long, value_name = "DIR", default_value = "certs")]
        certs_dir: PathBuf,
    },
    /// Make a user's certificate: client.USER.crt and client.USER.key.
    CreateClient {
        user: String,
        #[arg(long, value_name = "DIR", default_value = "certs")]
        certs_dir: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub enum ClusterCommand {
    /// Start a new cluster, or what has stopped of one; returns when every node answers SQL.
    Start {
        /// How many nodes a new cluster has [default: 3].
        #[arg(long)]
        nodes: Option<u32>,
        /// Node K listens for SQL on this port + 10 (K-1), for RPC one above, for HTTP two above [default: 5433].
        #[arg(long)]
        base_port: Option<u16>,
        #[command(flatten)]
        folder: ClusterFolder,
        /// Passed on to `meridian start` of every node.
        #[arg(last = true)]
        flags: Vec<String>,
    },
    /// Stop all nodes in order.
    Stop(ClusterFolder),
    /// Kill a node (SIGKILL).
    Kill(ClusterNode),
    /// Halt a node (SIGSTOP), as if its machine had frozen.
    Pause(ClusterNode),
    /// Let a halted node go on (SIGCONT).
    Resume(ClusterNode),
    /// Stop a node in order, if it runs, and start it.
    Restart(ClusterNode),
    /// Start one node more.
    Add {
        #[command(flatten)]
        folder: ClusterFolder,
        /// Passed on to `meridian start` of this node, now and whenever it is started, such as `-- --locality region=eu`.
        #[arg(last = true)]
        flags: Vec<String>,
    },
    /// Show the nodes' processes.
    Status(ClusterFolder),
}

#[derive(Args, Debug, Clone)]
pub struct ClusterFolder {
    /// Folder with the data and the log of every node.
    #[arg(long, value_name = "DIR", default_value = "meridian-cluster")]
    pub dir: PathBuf,
}

#[derive(Args, Debug, Clone)]
pub struct ClusterNode {
    /// Which node: 1, 2, ...
    pub node: u32,
    #[command(flatten)]
    pub folder: ClusterFolder,
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
