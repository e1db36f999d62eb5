//! Real processes of one cluster under load, and one of them at a time killed, halted, cut off both ways and one way, out of disk,
//! with a clock that jumps. Every invariant of the workloads holds, nothing acknowledged is lost, the others go on.
//!
//! MERIDIAN_FAULT_ROUNDS says how often each fault comes (once in the usual run), MERIDIAN_FAULT_NODES how many nodes
//! there are, MERIDIAN_FAULT_SEED replays the choices (not the moments), MERIDIAN_FAULT_TABLE=FILE writes the table of workloads and
//! faults. `docs/faults.md` has one. MERIDIAN_FAULT_HOLD=SECONDS leaves a cluster that stands still to be looked at.

#[path = "../support/mod.rs"]
mod support;

mod lab;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use env::{Env, RealEnv};
use futures::future::BoxFuture;
use sqltests::database::Database;
use stdx::Prng;
use workload::bank::{Bank, BankOptions};
use workload::list_append::{ListAppend, ListAppendOptions};
use workload::monotonic::Monotonic;
use workload::outcomes::Outcomes;
use workload::register::Register;
use workload::sequential::Sequential;
use workload::sets::Sets;
use workload::tpcc::Tpcc;
use workload::unique::Unique;
use workload::write_skew::WriteSkew;
use workload::{
    Client, Connector, Counts, Drive, DriveOptions, Failure, Isolation, Journal, Violation, Workload, checked,
};

use lab::Lab;

const CLIENTS: u32 = 9;
/// Small ranges, so that transactions cross them.
const FLAGS: [&str; 2] = ["--range-size-kib", "64"];
/// A fault lasts at least so long: more than it takes until promises to the node have run out.
const FAULT_MIN: Duration = Duration::from_millis(3_500);
/// Then it lasts until so many transactions were committed by the others.
const COMMITS_WANTED: u64 = 30;
/// No longer than this may nothing at all be committed: leases pass on (2 s), and transactions that were coordinated by the node,
/// and whose locks everybody waits for, are taken for dead (3 s, and a look every second).
const STANDSTILL_MAX: Duration = Duration::from_secs(10);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Between two faults.
const CALM: Duration = Duration::from_secs(2);
/// A clock may be off by this much, in milliseconds, and nothing may be felt of it.
const OFFSET_HARMLESS_MS: i64 = 200;
/// How long after it has met its fault a node may take to stop by itself.
const FULL_DISK_STOP_TIME_MAX: Duration = Duration::from_secs(5);
const WRONG_CLOCK_STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// A clock that is this far off must not be served from.
const OFFSET_BEYOND_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Nothing,
    Kill,
    Halt,
    Cut,
    CutOutgoing,
    CutIncoming,
    DiskFull,
    ClockOff,
    ClockBeyond,
}

impl Fault {
    const ALL: [Fault; 9] = [
        Fault::Nothing,
        Fault::Kill,
        Fault::Halt,
        Fault::Cut,
        Fault::CutOutgoing,
        Fault::CutIncoming,
        Fault::DiskFull,
        Fault::ClockOff,
        Fault::ClockBeyond,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::Nothing => "none",
            Fault::Kill => "kill -9",
            Fault::Halt => "SIGSTOP",
            Fault::Cut => "cut off",
            Fault::CutOutgoing => "sends into nothing",
            Fault::CutIncoming => "hears nothing",
            Fault::DiskFull => "disk full",
            Fault::ClockOff => "clock off by 200 ms",
            Fault::ClockBeyond => "clock off by 5 s",
        }
    }

    fn leaves_clocks(self) -> bool {
        !matches!(self, Fault::ClockOff | Fault::ClockBeyond)
    }

    /// What this machine lacks for it.
    fn lacks(self, lab: &Lab) -> Option<&'static str> {
        match self {
            Fault::Cut | Fault::CutOutgoing | Fault::CutIncoming if !lab.abilities.root => {
                Some("root, for network namespaces")
            }
            Fault::DiskFull if !lab.abilities.root => Some("root, for a file system of its own"),
            Fault::ClockOff | Fault::ClockBeyond if !lab.abilities.clock => Some("a C compiler"),
            _ => None,
        }
    }

    fn begin(self, lab: &mut Lab, victim: u32) {
        match self {
            Fault::Nothing => {}
            Fault::Kill => lab.kill(victim),
            Fault::Halt => lab.signal(victim, "-STOP"),
            Fault::Cut | Fault::CutOutgoing | Fault::CutIncoming => {
                for (from, to) in self.cuts(lab, victim) {
                    lab.cut(from, to);
                }
            }
            Fault::DiskFull => lab.fill_disk(victim),
            Fault::ClockOff => {
                lab.set_clock(victim, if victim % 2 == 0 { OFFSET_HARMLESS_MS } else { -OFFSET_HARMLESS_MS });
            }
            Fault::ClockBeyond => lab.set_clock(victim, OFFSET_BEYOND_MS),
        }
    }

    fn cuts(self, lab: &Lab, victim: u32) -> Vec<(u32, u32)> {
        let others = lab.nodes.iter().map(|node| node.number).filter(|number| *number != victim);
        let (outgoing, incoming) = (self != Fault::CutIncoming, self != Fault::CutOutgoing);
        others
            .flat_map(|other| [(outgoing, (victim, other)), (incoming, (other, victim))])
            .filter_map(|(is_cut, pair)| is_cut.then_some(pair))
            .collect()
    }

    fn end(self, lab: &mut Lab, victim: u32) {
        match self {
            Fault::Nothing => {}
            Fault::Kill => lab.restart(victim, &FLAGS),
            Fault::Halt => lab.signal(victim, "-CONT"),
            Fault::Cut | Fault::CutOutgoing | Fault::CutIncoming => {
                for (from, to) in self.cuts(lab, victim) {
                    lab.mend(from, to);
                }
            }
            Fault::DiskFull => {
                lab.free_disk(victim);
                // It may have met the full disk just now, and be on its way out.
                if ends_within(lab, victim, FULL_DISK_STOP_TIME_MAX) {
                    let told = lab.log_end(victim);
                    assert!(told.contains("No space left"), "a full disk is told as what it is: {told}");
                    lab.restart(victim, &FLAGS);
                }
            }
            Fault::ClockOff => lab.set_clock(victim, 0),
            Fault::ClockBeyond => {
                // It goes by the best of several measurements of its peers' clocks.
                let ends = ends_within(lab, victim, WRONG_CLOCK_STOP_TIME_MAX);
                assert!(ends, "a node whose clock is {OFFSET_BEYOND_MS} ms off serves");
                let told = lab.log_end(victim);
                assert!(told.contains("clock"), "a node that stops itself says why: {told}");
                lab.set_clock(victim, 0);
                lab.restart(victim, &FLAGS);
            }
        }
    }
}

fn ends_within(lab: &mut Lab, node: u32, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    while !lab.has_ended(node) {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// Connections to the nodes in turn.
struct Nodes {
    nodes: Vec<Database>,
    next: AtomicUsize,
}

impl Connector for Nodes {
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Client>, Failure>> {
        self.nodes[self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len()].connect()
    }
}

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How the transactions of each workload ended while a fault lasted.
type Column = BTreeMap<&'static str, Counts>;

struct Test {
    env: Arc<RealEnv>,
    lab: Lab,
    nodes: Arc<Nodes>,
    workloads: Vec<Arc<dyn Workload>>,
    journal: Arc<Journal>,
    prng: Prng,
    table: BTreeMap<Fault, Column>,
    /// The longest times without any commit.
    standstill: BTreeMap<Fault, Duration>,
}

/// The last two rely on an order in real time over several keys, which holds as long as clocks agree.
fn workloads() -> Vec<Arc<dyn Workload>> {
    vec![
        Arc::new(Bank::new(BankOptions { tables: 3, ..BankOptions::default() })),
        Arc::new(Unique::new()),
        Arc::new(Outcomes::new()),
        Arc::new(Sets::new()),
        Arc::new(WriteSkew::new(Isolation::Serializable)),
        Arc::new(Register::new()),
        Arc::new(Monotonic::new()),
        Arc::new(Tpcc::new()),
        Arc::new(Sequential::new()),
        Arc::new(ListAppend::new(ListAppendOptions::default())),
    ]
}
const WORKLOADS_OF_REAL_TIME: usize = 2;

impl Test {
    async fn start(nodes: u32, seed: u64) -> Test {
        let lab = tokio::task::block_in_place(|| Lab::start(nodes, &FLAGS));
        let databases = lab.nodes.iter().map(|node| Database::new(lab.url(node.number))).collect();
        let nodes = Arc::new(Nodes { nodes: databases, next: AtomicUsize::new(0) });
        let workloads = workloads();
        let mut client = nodes.connect().await.expect("a fresh node lets in");
        let mut prng = Prng::new(seed);
        for workload in &workloads {
            workload.set_up(&mut *client).await.expect("the tables are made");
            let split = workload.split_statement(&mut prng);
            client.execute(&split, &[]).await.expect("it is split");
        }
        // Changes of the catalog commit ahead of now, and take the clocks of those who see them along.
        RealEnv::new().sleep(Duration::from_secs(1)).await;
        let journal = Arc::new(Journal::new());
        Test {
            env: RealEnv::new(),
            lab,
            nodes,
            workloads,
            journal,
            prng,
            table: BTreeMap::new(),
            standstill: BTreeMap::new(),
        }
    }

    fn drive(&mut self, clocks_agree: bool) -> Drive {
        let options = DriveOptions { clients: CLIENTS, pause: Duration::ZERO..Duration::from_millis(20) };
        let (nodes, mut workloads) = (self.nodes.clone(), self.workloads.clone());
        if !clocks_agree {
            workloads.truncate(workloads.len() - WORKLOADS_OF_REAL_TIME);
        }
        Drive::start(self.env.clone(), nodes, workloads, self.journal.clone(), options, self.prng.fork())
    }

    fn committed(&self) -> u64 {
        self.journal.counts().values().map(|counts| counts.committed).sum()
    }

    /// Lets one fault come and go.
    async fn round(&mut self, drive: &Drive, fault: Fault) -> Result<(), Violation> {
        let victim = self.prng.range(1..self.lab.nodes.len() as u64 + 1) as u32;
        let before = self.journal.counts();
        println!("node {victim}: {}", fault.name());
        for node in 1..=self.lab.nodes.len() as u32 {
            // Else two are hurt at a time, and nobody could go on.
            assert!(
                !self.lab.has_ended(node),
                "node {node} is gone before the fault: {}",
                self.lab.log_end(node)
            );
        }
        tokio::task::block_in_place(|| fault.begin(&mut self.lab, victim));
        self.watch(drive, fault, victim).await?;
        tokio::task::block_in_place(|| fault.end(&mut self.lab, victim));
        let column = self.table.entry(fault).or_default();
        for (name, now) in self.journal.counts() {
            let then = before.get(name).copied().unwrap_or_default();
            let counts = column.entry(name).or_default();
            counts.committed += now.committed - then.committed;
            counts.aborted += now.aborted - then.aborted;
            counts.unknown += now.unknown - then.unknown;
        }
        self.check().await?;
        self.env.sleep(CALM).await;
        Ok(())
    }

    /// Waits until the others have shown that they go on without the victim.
    async fn watch(&mut self, drive: &Drive, fault: Fault, victim: u32) -> Result<(), Violation> {
        let begun = self.env.monotonic();
        let (mut committed, mut last) = (self.committed(), begun);
        let (mut since, mut longest) = (None, Duration::ZERO);
        loop {
            self.env.sleep(LOOK_INTERVAL).await;
            if let Some(found) = drive.violation() {
                return Err(found);
            }
            let (now, count) = (self.env.monotonic(), self.committed());
            longest = longest.max(now - last);
            if count > committed {
                (committed, last) = (count, now);
            }
            if longest > STANDSTILL_MAX {
                // To be looked at as it is.
                self.env.sleep(Duration::from_secs(variable("MERIDIAN_FAULT_HOLD", 0))).await;
                let log = self.lab.log_end(victim);
                let what =
                    format!("nothing was committed for {longest:?}: {}, node {victim}: {log}", fault.name());
                return Err(Violation::new("faults", what));
            }
            if now - begun >= FAULT_MIN && count >= *since.get_or_insert(count) + COMMITS_WANTED {
                break;
            }
        }
        let standstill = self.standstill.entry(fault).or_default();
        *standstill = longest.max(*standstill);
        println!("  longest without a commit: {} ms", longest.as_millis());
        Ok(())
    }

    async fn check(&mut self) -> Result<(), Violation> {
        checked(&*self.env, &*self.nodes, &self.workloads, &self.journal, &mut self.prng).await
    }

    fn table(&self) -> String {
        let mut text = String::from("| workload |");
        let columns: Vec<Fault> = self.table.keys().copied().collect();
        for fault in &columns {
            let _ = write!(text, " {} |", fault.name());
        }
        text += "\n| --- |";
        text += &" --- |".repeat(columns.len());
        for workload in &self.workloads {
            let _ = write!(text, "\n| {} |", workload.name());
            for fault in &columns {
                let counts = self.table[fault].get(workload.name()).copied().unwrap_or_default();
                let _ = write!(text, " {} / {} / {} |", counts.committed, counts.aborted, counts.unknown);
            }
        }
        text += "\n| longest without any commit, ms |";
        for fault in &columns {
            let _ = write!(text, " {} |", self.standstill[fault].as_millis());
        }
        text + "\n"
    }
}

async fn run(nodes: u32, rounds: u64) -> Result<(), Violation> {
    let mut test = Test::start(nodes, variable("MERIDIAN_FAULT_SEED", 1)).await;
    for clocks_agree in [true, false] {
        let drive = test.drive(clocks_agree);
        test.env.sleep(CALM).await;
        for _ in 0..rounds {
            for fault in Fault::ALL.into_iter().filter(|fault| fault.leaves_clocks() == clocks_agree) {
                match fault.lacks(&test.lab) {
                    Some(what) => println!("left out: {}: this machine has not {what}", fault.name()),
                    None => test.round(&drive, fault).await?,
                }
            }
        }
        drive.stop().await?;
    }
    test.check().await?;
    for workload in &test.workloads {
        workload.verify()?;
    }
    let table = test.table();
    println!("committed / aborted / unknown\n\n{table}");
    if let Ok(path) = std::env::var("MERIDIAN_FAULT_TABLE") {
        std::fs::write(path, table).expect("the table can be written");
    }
    Ok(())
}

#[test]
fn a_cluster_of_processes_goes_on_through_faults_and_loses_nothing() {
    let (nodes, rounds) = (variable("MERIDIAN_FAULT_NODES", 3), variable("MERIDIAN_FAULT_ROUNDS", 1));
    assert!(rounds > 0, "without a round nothing is shown");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(violation) = runtime.block_on(run(nodes as u32, rounds)) {
        panic!("{violation}");
    }
}
