//! One run: a scenario with a seed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use env::{Env, SimEnv, Simulation};
use kvapi::planted::Planted;
use kvapi::{NodeId, StoreId};
use node::{Identity, NodeConfig};
use stdx::Prng;
use storage::MemoryOptions;
use workload::{Connector, Counts, Drive, DriveOptions, Failure, Journal, Workload, checked};

use crate::faults::{Fault, Schedule, draw_disk_delay, draw_jump};
use crate::machine::Machine;
use crate::network::Network;
use crate::scenario::Scenario;
use crate::wires::Wires;
use crate::witness::{self, Heard, Witness};

/// How far ahead of now the clocks may be after tables were made: of scenarios in which clocks agree otherwise.
const CATALOG_AHEAD: Duration = Duration::from_secs(1);
/// Virtual time in which anything must come to its end that is not under faults.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// In a cluster of several nodes: short, so that a run sees repairs.
const DEAD_AFTER: Duration = Duration::from_secs(20);
const REPLICATE_INTERVAL: Duration = Duration::from_millis(300);
/// Whatever has made replicas different is found while it is hot.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Virtual time of undisturbed work after the last fault.
const RECOVERY: Duration = Duration::from_millis(200);
/// Between two transactions of a client, at most.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a disk stays full.
const FULL_MS_MAX: u64 = 50;
/// How likely the proposer to an idle store writes and syncs by itself; on a node that stands alone.
const BLOCKING_CHANCE: f64 = 0.5;
/// Lines of the journal that a failure shows.
const LINES_SHOWN: usize = 60;

/// A run that ended well. Two runs of one seed give the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of every step of every task, with its time.
    pub trace: u64,
    /// Of everything the clients saw.
    pub history: u64,
    pub steps: u64,
    pub virtual_time: Duration,
    pub crashes: u32,
    pub counts: BTreeMap<&'static str, Counts>,
    /// Reads of the past that were answered without the lease, by the processes that run at the end.
    pub follower_reads: u64,
    /// Merges of ranges, by the processes that run at the end.
    pub merges: u64,
    pub warnings: Vec<String>,
}

/// A run that found something.
#[derive(Clone, Debug)]
pub struct Failed {
    pub scenario: &'static str,
    seed: u64,
    pub what: String,
    /// What ran, and the end of the journal.
    pub lines: Vec<String>,
    /// The command that runs it again.
    pub replay: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "scenario {}, seed {}: {}", self.scenario, self.seed, self.what)?;
        write!(f, "replay: {}", self.replay)
    }
}

/// The command that runs a seed of a scenario again.
pub fn replay_line(scenario: &str, seed: u64) -> String {
    format!("cargo xtask sim --scenario {scenario} --seed {seed}")
}

/// What is wrong with the node on purpose: a run with flaws should fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flaws {
    pub planted: Planted,
    /// The disk says that writes are synced which are not.
    pub disk_lies: bool,
}

/// Runs the scenario with the seed.
pub fn run(scenario: &Scenario, seed: u64) -> Result<Summary, Failed> {
    run_flawed(scenario, seed, Flaws::default())
}

/// Runs the scenario with the seed and a node that is wrong on purpose.
pub fn run_flawed(scenario: &Scenario, seed: u64, flaws: Flaws) -> Result<Summary, Failed> {
    let witness = Witness::new();
    let mut run = Run::new(scenario, seed, flaws);
    let outcome = run.play(&witness);
    outcome.map_err(|what| run.failed(&witness, what))?;
    Ok(Summary {
        trace: run.simulation.trace(),
        history: run.journal.fingerprint(),
        steps: run.simulation.steps(),
        virtual_time: run.simulation.now(),
        crashes: run.crashes,
        counts: run.journal.counts(),
        merges: run.machines.iter().map(Machine::merges).sum(),
        follower_reads: run.machines.iter().map(Machine::follower_reads).sum(),
        warnings: witness.heard().warnings,
    })
}

/// - `tester` never crashes; `machines` do.
pub(crate) struct Run<'a> {
    seed: u64,
    pub scenario: &'a Scenario,
    pub simulation: Simulation,
    pub machines: Vec<Machine>,
    /// Between the machines, if there are several.
    pub wires: Option<Arc<Wires>>,
    /// When the machines that are down come up again.
    pub comebacks: Vec<(Duration, usize)>,
    /// When there is room on disks that are full.
    pub emptied: Vec<(Duration, usize)>,
    /// When the network is whole again.
    pub healing: Option<Duration>,
    pub tester: Arc<SimEnv>,
    /// For the clients of the workloads, who may hang up.
    clients: Arc<Network>,
    /// For set-up, checks and splits, which do not.
    checker: Arc<Network>,
    pub workloads: Vec<Arc<dyn Workload>>,
    pub journal: Arc<Journal>,
    pub prng: Prng,
    pub crashes: u32,
}

impl<'a> Run<'a> {
    pub fn new(scenario: &'a Scenario, seed: u64, flaws: Flaws) -> Run<'a> {
        let simulation = Simulation::new(seed);
        if scenario.nodes == 1 {
            simulation.set_blocking_chance(BLOCKING_CHANCE);
        }
        let mut prng = simulation.prng();
        let defaults = NodeConfig::default();
        let config = NodeConfig {
            range_bytes_max: scenario.range_kib << 10,
            range_bytes_min: scenario.merge_kib.unwrap_or(0) << 10,
            merges_eagerly: scenario.merge_kib.is_some(),
            closed_lag: scenario.closed_lag_ms.map_or(defaults.closed_lag, Duration::from_millis),
            gc_ttl: scenario.gc_ttl_ms.map_or(defaults.gc_ttl, Duration::from_millis),
            sweep_interval: scenario.sweep_ms.map_or(defaults.sweep_interval, Duration::from_millis),
            txn_buffer_bytes_max: scenario.buffer_bytes.unwrap_or(defaults.txn_buffer_bytes_max),
            dead_after: DEAD_AFTER,
            replicate_interval: REPLICATE_INTERVAL,
            check_interval: CHECK_INTERVAL,
            planted: flaws.planted,
            ..defaults
        };
        let options = MemoryOptions { flush_bytes: scenario.flush_kib << 10, lies: flaws.disk_lies };
        let tester = simulation.machine();
        let wires = (scenario.nodes > 1).then(|| Wires::new(tester.clone(), prng.fork()));
        let make = |number| {
            let identity =
                Identity { node: NodeId(number), store: StoreId(number), founds_cluster: number == 1 };
            Machine::new(&simulation, identity, wires.clone(), config.clone(), options)
        };
        let machines: Vec<Machine> = (1..=scenario.nodes + scenario.spares).map(make).collect();
        let places = || machines.iter().map(Machine::place).collect::<Vec<_>>();
        let statements = scenario.statements_per_connection;
        let clients = Network::new(places(), statements, prng.fork());
        let clients = Arc::new(match scenario.think_us.map(Duration::from_micros) {
            Some(most) => clients.thinking(tester.clone(), most),
            None => clients,
        });
        let checker = Arc::new(Network::new(places(), None, prng.fork()));
        let workloads = scenario.workloads(&mut prng);
        let journal = Arc::new(Journal::new());
        Run {
            seed,
            scenario,
            simulation,
            machines,
            wires,
            comebacks: Vec::new(),
            emptied: Vec::new(),
            healing: None,
            tester,
            clients,
            checker,
            workloads,
            journal,
            prng,
            crashes: 0,
        }
    }

    /// What is to be told of this run, which has found something.
    pub fn failed(&self, witness: &Witness, what: String) -> Failed {
        let mut lines = self.workloads.iter().map(|workload| workload.description()).collect::<Vec<_>>();
        lines.extend(self.journal.last_lines(if witness::is_loud() { usize::MAX } else { LINES_SHOWN }));
        lines.extend(witness.heard().warnings.into_iter().map(|text| format!("warning: {text}")));
        let replay = replay_line(self.scenario.name, self.seed);
        Failed { scenario: self.scenario.name, seed: self.seed, what, lines, replay }
    }

    fn alone(&mut self) -> &mut Machine {
        &mut self.machines[0]
    }

    pub fn failure(&self) -> Option<String> {
        let broken = self.wires.as_ref().and_then(|wires| wires.broken());
        let mut machines = self.machines.iter().filter(|machine| !machine.is_excused);
        broken.or_else(|| machines.find_map(Machine::failure))
    }

    fn play(&mut self, witness: &Witness) -> Result<(), String> {
        let outcome = self.play_through();
        // What was heard is nearer to the cause than what came of it.
        let Heard { panics, errors, .. } = witness.heard();
        if let Some(panic) = panics.first() {
            return Err(format!("{panic}; and so: {outcome:?}"));
        }
        if let Some(error) = errors.first().filter(|_| self.scenario.faults.full_ms.is_none()) {
            return Err(format!("an error was logged: {error}; and so: {outcome:?}"));
        }
        outcome
    }

    fn play_through(&mut self) -> Result<(), String> {
        let first = self.scenario.nodes as usize;
        self.machines[..first].iter_mut().for_each(Machine::join);
        self.wait_until_serving()?;
        self.wait_until_replicated()?;
        self.set_up()?;
        self.begin_weather();
        let drive = self.drive(PAUSE);
        self.make_faults(&drive)?;
        self.recover()?;
        self.expect_progress(&drive)?;
        let stopped = self.simulation.block_on(PATIENCE, drive.stop());
        stopped
            .ok_or_else(|| self.stalled("the clients do not finish", PATIENCE))?
            .map_err(|found| found.to_string())?;
        self.check()?;
        for workload in &self.workloads {
            workload.verify().map_err(|found| found.to_string())?;
        }
        self.compare_replicas()
    }

    /// Sets the clients to work, who pause for up to so long between two transactions.
    pub fn drive(&mut self, pause: Duration) -> Drive {
        let options = DriveOptions { clients: self.scenario.clients, pause: Duration::ZERO..pause };
        let (clients, workloads, journal) =
            (self.clients.clone(), self.workloads.clone(), self.journal.clone());
        Drive::start(self.tester.clone(), clients, workloads, journal, options, self.prng.fork())
    }

    pub fn stalled(&self, what: &str, bound: Duration) -> String {
        let tasks = self.simulation.live_tasks();
        let mut waiting = String::new();
        for serving in self.serving() {
            let (node, store) = (serving.node.world.identity.node, &serving.node.store);
            waiting += &format!("\n    node {node}: waits {:?}, locks {:?}", store.waits(), store.locks());
        }
        format!(
            "{what} within {bound:?} of virtual time; alive: {tasks:?}; {}; waiting:{waiting}",
            self.groups()
        )
    }

    pub fn set_up(&self) -> Result<(), String> {
        let (connector, workloads) = (self.checker.clone(), self.workloads.clone());
        let made = self.simulation.block_on(PATIENCE, async move {
            for workload in workloads {
                let mut client = connector.connect().await?;
                workload.set_up(&mut *client).await?;
            }
            Ok::<(), Failure>(())
        });
        let made = made.ok_or_else(|| self.stalled("the tables are not made", PATIENCE))?;
        made.map_err(|failure| format!("the tables cannot be made: {failure}"))?;
        if self.scenario.nodes > 1 && self.scenario.skew_ms == 0 {
            // Changes of the catalog commit ahead of now, and take the clocks of those who see them along.
            self.simulation.run_for(CATALOG_AHEAD);
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        let (env, connector, journal) = (self.tester.clone(), self.checker.clone(), self.journal.clone());
        let (workloads, mut prng) = (self.workloads.clone(), self.prng.fork());
        let checked = self.simulation.block_on(PATIENCE, async move {
            checked(&*env, &*connector, &workloads, &journal, &mut prng).await
        });
        checked
            .ok_or_else(|| self.stalled("the checks do not end", PATIENCE))?
            .map_err(|found| found.to_string())
    }

    fn make_faults(&mut self, drive: &Drive) -> Result<(), String> {
        let end = self.simulation.now() + Duration::from_millis(self.scenario.fault_ms);
        let mut schedule = Schedule::new(&self.scenario.faults, self.simulation.now(), self.prng.fork());
        loop {
            let next = schedule.take().filter(|(at, _)| *at < end);
            self.run_until(next.map_or(end, |(at, _)| at));
            if let Some(found) = drive.violation() {
                return Err(found.to_string());
            }
            self.let_go();
            match (next, self.failure()) {
                (_, Some(failure)) => return Err(failure),
                (None, None) => return Ok(()),
                (Some((_, fault)), None) => self.make(fault)?,
            }
        }
    }

    fn make(&mut self, fault: Fault) -> Result<(), String> {
        self.journal.note(format_args!("fault: {fault:?} at {:?}", self.simulation.now()));
        match fault {
            Fault::Crash if self.wires.is_some() => self.crash_one(),
            Fault::Clock if self.wires.is_some() => self.skew_one(),
            Fault::Cut => self.cut(),
            Fault::Move => self.move_something(),
            Fault::Member => self.change_members(),
            Fault::Full if self.wires.is_some() => self.fill_one(),
            Fault::Crash => self.crash()?,
            Fault::Clock => self.change_clock(),
            Fault::Split => self.split(),
            Fault::Lease => self.machines.iter().for_each(Machine::restart_leases),
            Fault::Disk => self.simulation.set_lane_delay(draw_disk_delay(&mut self.prng)),
            Fault::Full => self.fill_disk()?,
        }
        Ok(())
    }

    fn change_clock(&mut self) {
        if self.prng.chance(0.3) {
            let ppm = self.prng.below(200_000) as i64 - 100_000;
            self.alone().env.set_wall_drift(ppm);
        } else {
            let jump = draw_jump(&mut self.prng);
            self.alone().env.jump_wall(jump);
        }
    }

    /// Splits a table somewhere, without waiting for it.
    fn split(&mut self) {
        let workload = self.workloads[self.prng.index(self.workloads.len())].clone();
        let statement = workload.split_statement(&mut self.prng);
        let (connector, journal) = (self.checker.clone(), self.journal.clone());
        let task = async move {
            let outcome = match connector.connect().await {
                Ok(mut client) => client.execute(&statement, &[]).await,
                Err(failure) => Err(failure),
            };
            journal.note(format_args!("{statement}: {:?}", outcome.map(drop)));
        };
        drop(self.tester.spawn("split", Box::pin(task)));
    }

    /// A crash, perhaps further ones while the node starts again; then the invariants.
    fn crash(&mut self) -> Result<(), String> {
        self.crash_and_restart();
        while self.prng.chance(0.25) {
            let nanos = self.prng.below(Duration::from_millis(10).as_nanos() as u64);
            self.simulation.run_for(Duration::from_nanos(nanos));
            self.crash_and_restart();
        }
        self.wait_until_serving()?;
        self.check()
    }

    fn crash_and_restart(&mut self) {
        self.crashes += 1;
        self.machines[0].crash(&mut self.prng);
        self.machines[0].restart();
    }

    /// Every write fails for a while. A store that has failed stops its node; another process finds everything.
    fn fill_disk(&mut self) -> Result<(), String> {
        self.alone().disk.set_full(true);
        let millis = self.prng.range(1..FULL_MS_MAX);
        self.simulation.run_for(Duration::from_millis(millis));
        self.alone().disk.set_full(false);
        // It may not have come to know that it has.
        if self.alone().has_failed() { self.crash() } else { Ok(()) }
    }

    pub fn wait_until_serving(&self) -> Result<(), String> {
        let deadline = self.simulation.now() + PATIENCE;
        while !self.machines.iter().all(|machine| machine.is_serving() || !machine.is_member()) {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.simulation.now() >= deadline {
                return Err(self.stalled("the node does not start", PATIENCE));
            }
            self.simulation.run_for(Duration::from_millis(1));
        }
        Ok(())
    }

    /// All faults end; whatever was going on must come to its end.
    fn recover(&mut self) -> Result<(), String> {
        if self.wires.is_some() {
            self.end_faults()?;
        } else {
            self.alone().env.set_wall_drift(0);
        }
        self.simulation.set_lane_delay(Duration::from_micros(20)..Duration::from_micros(500));
        self.simulation.run_for(RECOVERY);
        self.failure().map_or(Ok(()), Err)
    }
}
