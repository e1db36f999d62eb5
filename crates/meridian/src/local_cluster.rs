//! `meridian cluster`: a cluster of processes on this machine, with everything in one folder.
//!
//! ```text
//!   DIR/cluster.conf        nodes=3, base_port=5433, one flag=... per flag of all nodes, flag.K=... per flag of node K
//!   DIR/node1/data          the data folder of node 1
//!   DIR/node1/log           what it has printed, of all its runs
//!   DIR/node1/pid           its last process
//! ```
//!
//! Node K listens for SQL on the base port + 10 (K-1), for RPC one above, for HTTP two above. Every node is told of all, so
//! that they start in any order; a new cluster is made by asking node 1, and the others join it in turn. A process that is
//! stopped keeps its place; one whose node was decommissioned is not started again.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use env::{Env, RealEnv};
use rpc::{ConnectError, RefusalReason};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::arguments::{ClusterCommand, ClusterFolder, ClusterNode, OperatorArguments};
use crate::operate::{aligned, connect, on_runtime};
use kvapi::Standing;

/// A new cluster's, unless told otherwise.
const NODES: u32 = 3;
const BASE_PORT: u16 = 5433;
/// Ports from one node to the next.
const PORT_STEP: u16 = 10;
const NODES_MAX: u32 = 100;
/// How long nodes may take to answer SQL, and to stop when they are told.
const START_TIME_MAX: Duration = Duration::from_secs(120);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// For one attempt to speak SQL.
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);
/// Lines of a log that are shown when a node has not started.
const LOG_LINES_SHOWN: usize = 8;

pub fn run(command: &ClusterCommand) -> anyhow::Result<()> {
    on_runtime(async {
        let env: Arc<dyn Env> = RealEnv::new();
        match command {
            ClusterCommand::Start { nodes, base_port, folder, flags } => {
                let wanted = Wanted { nodes: *nodes, base_port: *base_port, flags: flags.clone() };
                start(&env, &folder.dir, wanted).await
            }
            ClusterCommand::Stop(folder) => stop(&env, folder).await,
            ClusterCommand::Kill(node) => {
                let (node, pid) = running(node)?;
                signal(pid, Signal::KILL)?;
                gone(&env, pid, STOP_TIME_MAX).await;
                println!("node {} is killed", node.id);
                Ok(())
            }
            ClusterCommand::Pause(node) => {
                let (node, pid) = running(node)?;
                signal(pid, Signal::STOP)?;
                println!("node {} is halted", node.id);
                Ok(())
            }
            ClusterCommand::Resume(node) => {
                let (node, pid) = running(node)?;
                signal(pid, Signal::CONT)?;
                println!("node {} goes on", node.id);
                Ok(())
            }
            ClusterCommand::Restart(node) => restart(&env, node).await,
            ClusterCommand::Add { folder, flags } => add(&env, folder, flags).await,
            ClusterCommand::Status(folder) => status(&env, folder).await,
        }
    })
}

/// What `cluster.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    nodes: u32,
    base_port: u16,
    flags: Vec<String>,
    /// Of single nodes.
    own_flags: Vec<(u32, String)>,
}

/// What `cluster start` was told.
#[derive(Clone, Debug)]
struct Wanted {
    nodes: Option<u32>,
    base_port: Option<u16>,
    flags: Vec<String>,
}

impl Wanted {
    fn plan(self) -> Plan {
        Plan {
            nodes: self.nodes.unwrap_or(NODES),
            base_port: self.base_port.unwrap_or(BASE_PORT),
            flags: self.flags,
            own_flags: Vec::new(),
        }
    }

    /// What is said of a cluster that exists must be so: it is not changed by a start.
    fn check(&self, folder: &Path, plan: &Plan) -> anyhow::Result<()> {
        let is_other = self.nodes.is_some_and(|nodes| nodes != plan.nodes)
            || self.base_port.is_some_and(|port| port != plan.base_port)
            || !self.flags.is_empty() && self.flags != plan.flags;
        if is_other {
            let folder = folder.display();
            let flags = if plan.flags.is_empty() { "none".to_string() } else { plan.flags.join(" ") };
            bail!(
                "the cluster in {folder} exists: it has {} nodes, base port {} (flags of all nodes: {flags}), which a start does not change. \
                 Leave these out to start it, add nodes with meridian cluster add --dir {folder}, or use another --dir for another cluster",
                plan.nodes,
                plan.base_port
            );
        }
        Ok(())
    }
}

impl Plan {
    fn path(folder: &Path) -> PathBuf {
        folder.join("cluster.conf")
    }

    fn read(folder: &Path) -> anyhow::Result<Option<Plan>> {
        let path = Plan::path(folder);
        match fs::read_to_string(&path) {
            Ok(text) => {
                Plan::parse(&text).with_context(|| format!("{} is damaged", path.display())).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn existing(folder: &Path) -> anyhow::Result<Plan> {
        let missing =
            || format!("there is no cluster in {} (meridian cluster start makes one)", folder.display());
        Plan::read(folder)?.with_context(missing)
    }

    fn parse(text: &str) -> Option<Plan> {
        let mut plan = Plan { nodes: 0, base_port: 0, flags: Vec::new(), own_flags: Vec::new() };
        for line in text.lines() {
            let (name, value) = line.split_once('=')?;
            match name {
                "nodes" => plan.nodes = value.parse().ok()?,
                "base_port" => plan.base_port = value.parse().ok()?,
                "flag" => plan.flags.push(value.to_string()),
                _ => plan.own_flags.push((name.strip_prefix("flag.")?.parse().ok()?, value.to_string())),
            }
        }
        (plan.nodes > 0 && plan.base_port > 0).then_some(plan)
    }

    fn text(&self) -> String {
        let mut text = format!("nodes={}\nbase_port={}\n", self.nodes, self.base_port);
        for flag in &self.flags {
            text += &format!("flag={flag}\n");
        }
        for (node, flag) in &self.own_flags {
            text += &format!("flag.{node}={flag}\n");
        }
        text
    }

    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = Plan::path(folder);
        fs::write(&path, self.text()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn check(&self) -> anyhow::Result<()> {
        let last = u32::from(self.base_port) + u32::from(PORT_STEP) * (self.nodes.max(1) - 1) + 2;
        if self.nodes == 0 || self.nodes > NODES_MAX || last > u32::from(u16::MAX) {
            bail!(
                "{} nodes from port {}: 1 to {NODES_MAX} nodes with ports below 65536",
                self.nodes,
                self.base_port
            );
        }
        let own = self.own_flags.iter().map(|(_, flag)| flag);
        if let Some(flag) = self.flags.iter().chain(own).find(|flag| flag.contains('\n')) {
            bail!("the flag {flag:?} has more than one line");
        }
        Ok(())
    }

    fn nodes(&self, folder: &Path) -> Vec<LocalNode> {
        (1..=self.nodes).map(|id| self.node(folder, id)).collect()
    }

    fn node(&self, folder: &Path, id: u32) -> LocalNode {
        let sql_port = self.base_port + PORT_STEP * (id - 1) as u16;
        LocalNode { id, folder: folder.join(format!("node{id}")), sql_port }
    }
}

/// One node of the cluster: a place for a process.
#[derive(Clone, Debug)]
struct LocalNode {
    id: u32,
    folder: PathBuf,
    sql_port: u16,
}

impl LocalNode {
    fn sql(&self) -> String {
        format!("127.0.0.1:{}", self.sql_port)
    }

    fn rpc(&self) -> String {
        format!("127.0.0.1:{}", self.sql_port + 1)
    }

    fn http(&self) -> String {
        format!("127.0.0.1:{}", self.sql_port + 2)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its process, if it runs. A process of somebody else that got the same number later is not taken for it.
    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.folder.join("pid")).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        test_kill_process(pid).ok()?;
        let state = process_state(pid);
        if state == Some('Z') {
            return None;
        }
        // Empty while the process begins.
        let command = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        let data = self.data().to_string_lossy().into_owned();
        let is_ours =
            command.is_empty() || command.split(|byte| *byte == 0).any(|part| part == data.as_bytes());
        is_ours.then_some(pid)
    }

    /// Whether its process is halted; where that cannot be told, it is not.
    fn is_halted(pid: Pid) -> bool {
        process_state(pid) == Some('T')
    }

    fn spawn(&self, plan: &Plan, cluster: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let log = File::options().create(true).append(true).open(self.folder.join("log"));
        let log = log.with_context(|| format!("cannot write the log of node {}", self.id))?;
        let join = plan.nodes(cluster).iter().map(LocalNode::rpc).collect::<Vec<_>>().join(",");
        let program = std::env::current_exe().context("where this program is cannot be told")?;
        let child = Command::new(program)
            .arg("start")
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen-sql", &self.sql(), "--listen-rpc", &self.rpc(), "--listen-http", &self.http()])
            .args(["--join", &join])
            .args(&plan.flags)
            .args(plan.own_flags.iter().filter(|(node, _)| *node == self.id).map(|(_, flag)| flag))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // An interrupt at the terminal is not meant for the nodes.
            .process_group(0)
            .spawn()
            .with_context(|| format!("node {} cannot be started", self.id))?;
        fs::write(self.folder.join("pid"), format!("{}\n", child.id()))
            .with_context(|| format!("cannot write the process number of node {}", self.id))
    }

    /// Where it is noted, of the first node, that the cluster was made.
    fn initialised_path(&self) -> PathBuf {
        self.folder.join("initialised")
    }

    /// Where it is noted that the cluster does without it.
    fn out_path(&self) -> PathBuf {
        self.folder.join("decommissioned")
    }

    /// Whether its node was decommissioned, as far as that is known here.
    fn is_out(&self) -> bool {
        self.out_path().exists()
    }

    /// Whether it answers a statement. Blocks for a while at most.
    fn answers_sql(&self) -> bool {
        ask(self.sql_port).unwrap_or(false)
    }

    /// The end of its log.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

/// Says hello as the superuser, and SELECT 1: whether an answer comes.
fn ask(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PROBE_TIME_MAX))?;
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let mut message = (8 + parameters.len() as u32).to_be_bytes().to_vec();
    message.extend((3u32 << 16).to_be_bytes());
    message.extend(parameters);
    stream.write_all(&message)?;
    if !until_ready(&mut stream)? {
        return Ok(false);
    }
    stream.write_all(b"Q\0\0\0\x0dSELECT 1\0")?;
    let answered = until_ready(&mut stream)?;
    stream.write_all(b"X\0\0\0\x04")?;
    Ok(answered)
}

/// Reads messages until the server is ready for a statement; false if it reports an error.
fn until_ready(stream: &mut TcpStream) -> std::io::Result<bool> {
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).saturating_sub(4);
        std::io::copy(&mut stream.take(u64::from(length)), &mut std::io::sink())?;
        match head[0] {
            b'Z' => return Ok(true),
            b'E' => return Ok(false),
            _ => {}
        }
    }
}

/// The letter for a process's state (T: halted, Z: ended and not collected); `None` where that cannot be told.
fn process_state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn signal(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    kill_process(pid, signal).with_context(|| format!("process {} cannot be signalled", pid.as_raw_nonzero()))
}

fn running(arguments: &ClusterNode) -> anyhow::Result<(LocalNode, Pid)> {
    let node = existing_node(arguments)?.1;
    let pid = node.pid().with_context(|| format!("node {} does not run", node.id))?;
    Ok((node, pid))
}

fn existing_node(arguments: &ClusterNode) -> anyhow::Result<(Plan, LocalNode)> {
    let folder = absolute(&arguments.folder.dir)?;
    let plan = Plan::existing(&folder)?;
    if arguments.node == 0 || arguments.node > plan.nodes {
        bail!("there is no node {}: the cluster has nodes 1 to {}", arguments.node, plan.nodes);
    }
    let node = plan.node(&folder, arguments.node);
    Ok((plan, node))
}

/// The folder as processes that are started elsewhere find it.
fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    folder.canonicalize().with_context(|| format!("cannot find the folder {}", folder.display()))
}

async fn start(env: &Arc<dyn Env>, folder: &Path, wanted: Wanted) -> anyhow::Result<()> {
    let folder = absolute(folder)?;
    let existing = Plan::read(&folder)?;
    // A first start that has failed leaves nothing behind that would bind the next one.
    let is_there = |plan: &Plan| {
        let nodes = plan.nodes(&folder);
        nodes[0].initialised_path().exists() || nodes.iter().any(|node| node.pid().is_some())
    };
    let existing = existing.filter(is_there);
    let (plan, is_new) = match existing {
        Some(plan) => {
            wanted.check(&folder, &plan)?;
            (plan, false)
        }
        None => (wanted.plan(), true),
    };
    plan.check()?;
    let nodes = plan.nodes(&folder);
    note_decommissioned(env, &nodes).await?;
    let (out, nodes): (Vec<LocalNode>, Vec<LocalNode>) = nodes.into_iter().partition(LocalNode::is_out);
    for node in &out {
        println!("node {}: decommissioned, and not started", node.id);
    }
    let started: Vec<&LocalNode> = nodes.iter().filter(|node| node.pid().is_none()).collect();
    for node in &started {
        check_port(node, is_new)?;
    }
    if is_new {
        plan.write(&folder)?;
    }
    let is_made = !is_new && plan.node(&folder, 1).initialised_path().exists();
    for node in &started {
        node.spawn(&plan, &folder)?;
        if is_made {
            continue;
        }
        // One after the other, so that the cluster gives node K the id K.
        if node.id == 1 {
            initialise(env, node).await?;
            fs::write(node.initialised_path(), "").context("that the cluster was made cannot be noted")?;
        } else {
            admitted(env, &nodes[0], node).await?;
        }
    }
    let gone = wait_for_sql(env, &nodes).await?;
    let nodes: Vec<LocalNode> = nodes.into_iter().filter(|node| !gone.contains(&node.id)).collect();
    if nodes.is_empty() {
        bail!("all nodes of the cluster were decommissioned");
    }
    show(&nodes);
    Ok(())
}

/// Whether a node that is to be started finds its port free.
fn check_port(node: &LocalNode, is_new: bool) -> anyhow::Result<()> {
    let ports = node.sql_port..=node.sql_port + 2;
    let is_taken = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_ok();
    if let Some(port) = ports.into_iter().find(is_taken) {
        let or = if is_new { ", or use another --base-port" } else { "" };
        bail!("port {port} is taken: stop what listens there{or}");
    }
    Ok(())
}

/// Asks a node that runs, if there is one, which are decommissioned, and notes it for the times when none runs.
async fn note_decommissioned(env: &Arc<dyn Env>, nodes: &[LocalNode]) -> anyhow::Result<()> {
    for node in nodes.iter().filter(|node| node.pid().is_some_and(|pid| !LocalNode::is_halted(pid))) {
        let operator = OperatorArguments { rpc: node.rpc(), certs_dir: None };
        // One that does not answer now, or with certificates only, is left out: what is not known here shows when a node is started.
        let Ok(client) = connect(env, &operator).await else { continue };
        let Ok((Some(_), known)) = client.nodes().await else { continue };
        let out = known.iter().filter(|status| status.info.standing == Standing::Decommissioned);
        for status in out {
            if let Some(out) = nodes.iter().find(|node| node.rpc() == status.info.rpc_address) {
                note_out(out)?;
            }
        }
        return Ok(());
    }
    Ok(())
}

fn note_out(node: &LocalNode) -> anyhow::Result<()> {
    fs::write(node.out_path(), "")
        .with_context(|| format!("that node {} was decommissioned cannot be noted", node.id))
}

/// Asks the first node to make the cluster.
async fn initialise(env: &Arc<dyn Env>, node: &LocalNode) -> anyhow::Result<()> {
    let operator = OperatorArguments { rpc: node.rpc(), certs_dir: None };
    let deadline = env.monotonic() + START_TIME_MAX;
    loop {
        let error = match connect(env, &operator).await {
            Ok(client) => match client.initialise().await {
                Ok(_) => return Ok(()),
                Err(refusal) if refusal.reason == RefusalReason::Initialised => return Ok(()),
                Err(refusal) => anyhow::Error::new(refusal),
            },
            Err(error) if matches!(error.downcast_ref(), Some(ConnectError::Unreachable(_))) => error,
            Err(error) => return Err(error),
        };
        if node.pid().is_none() || env.monotonic() > deadline {
            return Err(error.context(format!("node {} has not started:\n{}", node.id, node.last_words())));
        }
        env.sleep(POLL_INTERVAL).await;
    }
}

/// Waits until the first node knows of this one, as one of the cluster's.
async fn admitted(env: &Arc<dyn Env>, first: &LocalNode, node: &LocalNode) -> anyhow::Result<()> {
    let operator = OperatorArguments { rpc: first.rpc(), certs_dir: None };
    let client = connect(env, &operator).await?;
    let deadline = env.monotonic() + START_TIME_MAX;
    loop {
        let (_, nodes) = client.nodes().await?;
        if nodes.len() >= node.id as usize {
            return Ok(());
        }
        if node.pid().is_none() || env.monotonic() > deadline {
            bail!("node {} has not joined:\n{}", node.id, node.last_words());
        }
        env.sleep(POLL_INTERVAL).await;
    }
}

/// Answers with those that have ended because they were decommissioned.
async fn wait_for_sql(env: &Arc<dyn Env>, nodes: &[LocalNode]) -> anyhow::Result<Vec<u32>> {
    let deadline = env.monotonic() + START_TIME_MAX;
    let mut out = Vec::new();
    for node in nodes {
        while !node.answers_sql() {
            if node.pid().is_none() {
                let words = node.last_words();
                if !words.contains("was decommissioned") {
                    bail!("node {} has ended:\n{words}", node.id);
                }
                note_out(node)?;
                println!("node {}: decommissioned, and has ended", node.id);
                out.push(node.id);
                break;
            }
            if env.monotonic() > deadline {
                let words = node.last_words();
                bail!("node {} does not answer SQL within {START_TIME_MAX:?}:\n{words}", node.id);
            }
            env.sleep(POLL_INTERVAL).await;
        }
    }
    Ok(out)
}

fn show(nodes: &[LocalNode]) {
    for node in nodes {
        println!("node {}: postgresql://postgres@{}/postgres", node.id, node.sql());
    }
}

async fn gone(env: &Arc<dyn Env>, pid: Pid, limit: Duration) -> bool {
    let deadline = env.monotonic() + limit;
    let is_there = || test_kill_process(pid).is_ok() && process_state(pid) != Some('Z');
    while is_there() {
        if env.monotonic() > deadline {
            return false;
        }
        env.sleep(POLL_INTERVAL).await;
    }
    true
}

/// In order if it can be, and by force if it does not end in time.
async fn stop_process(env: &Arc<dyn Env>, node: &LocalNode, pid: Pid) -> anyhow::Result<()> {
    if LocalNode::is_halted(pid) {
        signal(pid, Signal::CONT)?;
    }
    signal(pid, Signal::TERM)?;
    if !gone(env, pid, STOP_TIME_MAX).await {
        println!("node {} does not stop: it is killed", node.id);
        signal(pid, Signal::KILL)?;
        gone(env, pid, STOP_TIME_MAX).await;
    }
    Ok(())
}

async fn stop(env: &Arc<dyn Env>, folder: &ClusterFolder) -> anyhow::Result<()> {
    let folder = absolute(&folder.dir)?;
    let nodes = Plan::existing(&folder)?.nodes(&folder);
    let running: Vec<(&LocalNode, Pid)> =
        nodes.iter().filter_map(|node| node.pid().map(|pid| (node, pid))).collect();
    // All at once: one after the other, each would hand its leases to one that is about to stop.
    let stops = running.iter().map(|(node, pid)| stop_process(env, node, *pid));
    for stopped in futures::future::join_all(stops).await {
        stopped?;
    }
    println!("{} nodes have stopped", running.len());
    Ok(())
}

async fn restart(env: &Arc<dyn Env>, arguments: &ClusterNode) -> anyhow::Result<()> {
    let (plan, node) = existing_node(arguments)?;
    let folder = absolute(&arguments.folder.dir)?;
    note_decommissioned(env, &plan.nodes(&folder)).await?;
    if node.is_out() {
        bail!("node {} was decommissioned: it cannot come back", node.id);
    }
    if let Some(pid) = node.pid() {
        stop_process(env, &node, pid).await?;
    }
    start_one(env, &plan, &folder, node).await
}

async fn start_one(env: &Arc<dyn Env>, plan: &Plan, folder: &Path, node: LocalNode) -> anyhow::Result<()> {
    node.spawn(plan, folder)?;
    if !wait_for_sql(env, std::slice::from_ref(&node)).await?.is_empty() {
        bail!("node {} was decommissioned: it cannot come back", node.id);
    }
    show(&[node]);
    Ok(())
}

async fn add(env: &Arc<dyn Env>, folder: &ClusterFolder, flags: &[String]) -> anyhow::Result<()> {
    let folder = absolute(&folder.dir)?;
    let mut plan = Plan::existing(&folder)?;
    plan.nodes += 1;
    plan.own_flags.extend(flags.iter().map(|flag| (plan.nodes, flag.clone())));
    plan.check()?;
    let node = plan.node(&folder, plan.nodes);
    check_port(&node, false)?;
    plan.write(&folder)?;
    start_one(env, &plan, &folder, node).await
}

async fn status(env: &Arc<dyn Env>, folder: &ClusterFolder) -> anyhow::Result<()> {
    let folder = absolute(&folder.dir)?;
    let plan = Plan::existing(&folder)?;
    note_decommissioned(env, &plan.nodes(&folder)).await?;
    let rows = plan.nodes(&folder).into_iter().map(|node| {
        let pid = node.pid();
        let state = match pid {
            None if node.is_out() => "decommissioned",
            None => "stopped",
            Some(pid) if LocalNode::is_halted(pid) => "halted",
            Some(_) if node.answers_sql() => "running",
            Some(_) => "starting",
        };
        let pid = pid.map(|pid| pid.as_raw_nonzero().to_string()).unwrap_or_default();
        vec![node.id.to_string(), state.to_string(), pid, node.sql(), node.rpc(), node.http()]
    });
    let titles = ["node", "state", "process", "sql", "rpc", "http"];
    print!("{}", aligned(&titles, &rows.collect::<Vec<_>>()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(flags: &[&str]) -> Plan {
        let flags = flags.iter().map(|flag| flag.to_string()).collect();
        Plan { nodes: 3, base_port: 5433, flags, own_flags: Vec::new() }
    }

    #[test]
    fn a_start_changes_nothing_of_a_cluster_that_exists() {
        let check = |nodes, base_port, flags: &[&str]| {
            let flags = flags.iter().map(|flag| flag.to_string()).collect();
            Wanted { nodes, base_port, flags }.check(Path::new("c"), &plan(&["--insecure"])).is_ok()
        };
        assert!(check(None, None, &[]) && check(Some(3), Some(5433), &["--insecure"]));
        assert!(
            !check(Some(5), None, &[])
                && !check(None, Some(22_000), &[])
                && !check(None, None, &["--log-json"])
        );
    }

    #[test]
    fn the_plan_is_written_as_it_is_read() {
        let plan = Plan {
            own_flags: vec![(2, "--locality".to_string()), (2, "region=eu,zone=a".to_string())],
            ..plan(&["--cache-mib=64"])
        };
        assert_eq!(Plan::parse(&plan.text()), Some(plan.clone()));
        assert!(plan.check().is_ok());
        for damaged in [
            "",
            "nodes=3\n",
            "nodes=1\nbase_port=1\nflag.x=1\n",
            "nodes=x\nbase_port=1\n",
            "nodes=1\nbase_port=1\nother=1\n",
        ] {
            assert_eq!(Plan::parse(damaged), None, "{damaged}");
        }
        assert!(Plan { base_port: 65_530, ..plan.clone() }.check().is_err());
        assert!(Plan { nodes: 0, ..plan }.check().is_err());
    }

    #[test]
    fn ports_are_ten_apart() {
        let plan = plan(&[]);
        let third = plan.node(Path::new("c"), 3);
        assert_eq!((third.sql(), third.rpc()), ("127.0.0.1:5453".to_string(), "127.0.0.1:5454".to_string()));
        assert_eq!(third.http(), "127.0.0.1:5455");
    }
}
