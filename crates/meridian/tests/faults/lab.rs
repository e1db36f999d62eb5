//! A cluster of processes to which things can be done: each node in a network namespace of its own, with a disk of its own
//! that is small, and a wall clock that can be moved. What of this needs root is told and left out without it.
//!
//! ```text
//!   this process ── bridge ──┬── namespace of node 1: 10.A.B.1   tmpfs   clock_gettime preloaded
//!    10.A.B.254              ├── namespace of node 2: 10.A.B.2
//!                            └── ...
//! ```
//!
//! Packets of one node to another are lost by telling the sender a wrong hardware address: silently, one way, and
//! without modules that a kernel may lack. Clients are not cut off: what they are told by a node that is alone is of interest.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to become ready.
const READY_TIME_MAX: Duration = Duration::from_secs(60);
const DISK_MIB: u32 = 512;
const NOBODY: &str = "02:00:00:00:00:fe";

pub struct Node {
    pub number: u32,
    process: Option<Child>,
    folder: PathBuf,
}

/// What this machine lets the tests do.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Namespaces and file systems of one's own.
    pub root: bool,
    /// A C compiler for what is preloaded.
    pub clock: bool,
}

/// The cluster. Dropping it ends its processes and takes its namespaces and mounts away.
pub struct Lab {
    pub nodes: Vec<Node>,
    pub abilities: Abilities,
    /// How many nodes there are to be.
    count: u32,
    folder: tempfile::TempDir,
    /// The first three numbers of the addresses.
    subnet: String,
    /// Begins the names of the interfaces and namespaces.
    name: String,
    base_port: u16,
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn must(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {told}", arguments.join(" "));
}

impl Lab {
    /// A cluster of so many nodes, ready.
    pub fn start(count: u32, flags: &[&str]) -> Lab {
        let id = std::process::id();
        let mut lab = Lab {
            nodes: Vec::new(),
            abilities: Abilities { root: false, clock: false },
            count,
            folder: tempfile::tempdir().expect("a temporary folder"),
            subnet: format!("10.{}.{}", 100 + id / 256 % 100, id % 256),
            name: format!("md{id}"),
            base_port: crate::support::free_base_port(count),
        };
        lab.abilities.root = lab.make_bridge();
        lab.abilities.clock = lab.compile_clock_shim();
        for number in 1..=count {
            let folder = lab.folder.path().join(format!("node{number}"));
            fs::create_dir(&folder).expect("a fresh folder");
            fs::write(folder.join("clock"), 0i64.to_ne_bytes()).expect("it can be written");
            lab.nodes.push(Node { number, process: None, folder });
            if lab.abilities.root {
                lab.make_place(number);
            }
            lab.launch(number, flags);
        }
        let address = lab.address(1, 1);
        let init = || {
            let mut command = lab.at(1, crate::support::binary().to_str().expect("a path"));
            command.args(["init", "--rpc", &address]).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let deadline = Instant::now() + READY_TIME_MAX;
        while !init() {
            assert!(Instant::now() < deadline, "no cluster is made: {}", lab.log_end(1));
            std::thread::sleep(Duration::from_millis(50));
        }
        (1..=count).for_each(|number| lab.await_ready(number));
        lab
    }

    fn make_bridge(&self) -> bool {
        let (bridge, address) = (format!("{}b", self.name), format!("{}.254/24", self.subnet));
        succeeds("ip", &["link", "add", &bridge, "type", "bridge"])
            && succeeds("ip", &["address", "add", &address, "dev", &bridge])
            && succeeds("ip", &["link", "set", &bridge, "up"])
    }

    fn make_place(&self, number: u32) {
        let (bridge, space, outer) = (format!("{}b", self.name), self.space(number), self.outer(number));
        let address = format!("{}.{number}/24", self.subnet);
        must("ip", &["netns", "add", &space]);
        must("ip", &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &space]);
        must("ip", &["link", "set", &outer, "master", &bridge, "up"]);
        must("ip", &["-n", &space, "address", "add", &address, "dev", "eth0"]);
        must("ip", &["-n", &space, "link", "set", "eth0", "up"]);
        must("ip", &["-n", &space, "link", "set", "lo", "up"]);
        let disk = self.disk(number);
        fs::create_dir(&disk).expect("a fresh folder");
        let size = format!("size={DISK_MIB}m");
        must("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", disk.to_str().expect("a path")]);
    }

    fn compile_clock_shim(&self) -> bool {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock_shim.c");
        let (source, library) = (source.to_str().expect("a path"), self.clock_shim());
        succeeds("cc", &["-shared", "-fPIC", "-O1", "-o", library.to_str().expect("a path"), source, "-ldl"])
    }

    fn clock_shim(&self) -> PathBuf {
        self.folder.path().join("clock_shim.so")
    }

    fn space(&self, number: u32) -> String {
        format!("{}n{number}", self.name)
    }

    fn outer(&self, number: u32) -> String {
        format!("{}v{number}", self.name)
    }

    fn disk(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("node{number}")).join("disk")
    }

    fn node(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize - 1]
    }

    /// Where a node listens: for SQL (0), RPC (1), HTTP (2).
    fn address(&self, number: u32, service: u16) -> String {
        if self.abilities.root {
            return format!("{}.{number}:{}", self.subnet, 5433 + service);
        }
        format!("127.0.0.1:{}", self.base_port + 10 * (number as u16 - 1) + service)
    }

    pub fn url(&self, number: u32) -> String {
        format!("postgresql://postgres@{}/postgres", self.address(number, 0))
    }

    /// A command that runs where the node does.
    fn at(&self, number: u32, program: &str) -> Command {
        if !self.abilities.root {
            return Command::new(program);
        }
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(number), program]);
        command
    }

    fn launch(&mut self, number: u32, flags: &[&str]) {
        let join: Vec<String> = (1..=self.count).map(|other| self.address(other, 1)).collect();
        let folder = self.nodes[number as usize - 1].folder.clone();
        let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log");
        let mut command = self.at(number, crate::support::binary().to_str().expect("a path"));
        command.arg("start").arg("--data-dir").arg(self.disk(number).join("data"));
        command.args(["--listen-sql", &self.address(number, 0), "--listen-rpc", &self.address(number, 1)]);
        command.args(["--listen-http", &self.address(number, 2), "--join", &join.join(",")]);
        command.args(["--insecure", "--cache-mib", "32"]).args(flags);
        if self.abilities.clock {
            command.env("LD_PRELOAD", self.clock_shim()).env("CLOCK_SHIM_FILE", folder.join("clock"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.node(number).process = Some(command.spawn().expect("the node starts"));
    }

    fn log(&self, number: u32) -> String {
        fs::read_to_string(self.nodes[number as usize - 1].folder.join("log")).unwrap_or_default()
    }

    /// What the node has said last.
    pub fn log_end(&self, number: u32) -> String {
        let log = self.log(number);
        let lines: Vec<&str> = log.lines().rev().take(8).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn starts(&self, number: u32) -> usize {
        self.log(number).matches("meridian is ready").count()
    }

    fn await_ready(&mut self, number: u32) {
        let deadline = Instant::now() + READY_TIME_MAX;
        while self.starts(number) == 0 {
            let ended =
                self.node(number).process.as_mut().and_then(|process| process.try_wait().ok()).flatten();
            assert!(ended.is_none(), "node {number} has ended: {}", self.log_end(number));
            assert!(Instant::now() < deadline, "node {number} is not ready: {}", self.log_end(number));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    // ---- faults -------------------------------------------------------------------------------------

    /// Whether the node's process has ended by itself.
    pub fn has_ended(&mut self, number: u32) -> bool {
        match &mut self.node(number).process {
            Some(process) => process.try_wait().ok().flatten().is_some(),
            None => true,
        }
    }

    pub fn kill(&mut self, number: u32) {
        if let Some(mut process) = self.node(number).process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts a node again that was killed or has ended.
    pub fn restart(&mut self, number: u32, flags: &[&str]) {
        self.kill(number);
        let before = self.starts(number);
        self.launch(number, flags);
        let deadline = Instant::now() + READY_TIME_MAX;
        while self.starts(number) == before {
            assert!(!self.has_ended(number), "node {number} does not start again: {}", self.log_end(number));
            assert!(Instant::now() < deadline, "node {number} is not ready again: {}", self.log_end(number));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, number: u32, signal: &str) {
        let process = self.nodes[number as usize - 1].process.as_ref().expect("it runs");
        must("kill", &[signal, &process.id().to_string()]);
    }

    /// What `from` sends to `to` is lost, until it is mended.
    pub fn cut(&self, from: u32, to: u32) {
        let to = format!("{}.{to}", self.subnet);
        let space = self.space(from);
        must("ip", &["-n", &space, "neighbour", "replace", &to, "lladdr", NOBODY, "dev", "eth0"]);
    }

    pub fn mend(&self, from: u32, to: u32) {
        let to = format!("{}.{to}", self.subnet);
        must("ip", &["-n", &self.space(from), "neighbour", "delete", &to, "dev", "eth0"]);
    }

    /// Fills the node's disk to the last byte.
    pub fn fill_disk(&self, number: u32) {
        let mut file = File::create(self.disk(number).join("fill")).expect("it can be made");
        for size in [1 << 20, 4096, 512, 1] {
            let piece = vec![0; size];
            while file.write_all(&piece).is_ok() {}
        }
    }

    pub fn free_disk(&self, number: u32) {
        fs::remove_file(self.disk(number).join("fill")).expect("it was made");
    }

    /// From now on the node's wall clock is this far off, in milliseconds.
    pub fn set_clock(&self, number: u32, off_ms: i64) {
        let path = self.nodes[number as usize - 1].folder.join("clock");
        // In place: the process has the file mapped.
        let mut file = File::options().write(true).open(path).expect("it is there");
        file.write_all(&(off_ms * 1_000_000).to_ne_bytes()).expect("it can be written");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for number in 1..=self.nodes.len() as u32 {
            self.kill(number);
            if self.abilities.root {
                succeeds("umount", &["-l", self.disk(number).to_str().expect("a path")]);
                succeeds("ip", &["netns", "delete", &self.space(number)]);
            }
        }
        if self.abilities.root {
            succeeds("ip", &["link", "delete", &format!("{}b", self.name)]);
        }
    }
}
