//! How long ranges are without a leaseholder after the process of theirs has died.

use std::time::Duration;

use crate::run::{Failed, Flaws, PATIENCE, Run};
use crate::scenario::Scenario;
use crate::witness::Witness;
use workload::Drive;

/// Nodes, clients and tables to fail over; no faults but the deaths.
const SCENARIO: &str = r#"
workloads = ["bank", "sets"]
nodes = 3
clients = 4
fault_ms = 0
range_kib = 8
flush_kib = 256
skew_ms = 100

[network]
delay_ms = 1

[faults]
"#;
/// Undisturbed work before a death: a node that has come back counts for as much as the others again.
const CALM: Duration = Duration::from_secs(6);
/// Of clients, at most: what matters is that every range is written to, not how often.
const PAUSE: Duration = Duration::from_millis(50);
/// How exactly the time is taken.
const STEP: Duration = Duration::from_millis(5);

/// Kills the node that has the most leases, as often as is asked for, and gives the virtual time from each death until every range has a leaseholder
/// again. Fails if something else goes wrong.
pub fn times_without_lease(seed: u64, deaths: u32) -> Result<Vec<Duration>, Failed> {
    let scenario = Scenario::parse("failover", SCENARIO);
    let witness = Witness::new();
    let mut run = Run::new(&scenario, seed, Flaws::default());
    let times = fail_over(&mut run, deaths);
    times.map_err(|what| {
        // No scenario of those that have a file: the test itself runs it again, from seed 0 on.
        let command = "cargo test --release -p sim --test failover -- --nocapture";
        let replay = format!("MERIDIAN_SIM_SEEDS={} {command}", seed + 1);
        let mut failed = run.failed(&witness, what);
        failed.replay = replay;
        failed
    })
}

fn fail_over(run: &mut Run<'_>, deaths: u32) -> Result<Vec<Duration>, String> {
    let drive = run.start_work()?;
    let mut times = Vec::new();
    for death in 0..deaths {
        run.simulation.run_for(CALM);
        run.wait_until_replicated()?;
        let victim = run.busiest();
        let died = run.simulation.now();
        run.journal.note(format_args!("node {} dies at {died:?}", victim + 1));
        run.machines[victim].crash(&mut run.prng);
        while !run.whole_keyspace_is_leased() {
            run.simulation.run_for(STEP);
            if run.simulation.now() > died + PATIENCE {
                return Err(format!("no leases after death {death}: {}", run.groups()));
            }
        }
        times.push(run.simulation.now() - died);
        run.machines[victim].restart();
        run.wait_until_serving()?;
    }
    let stopped = run.simulation.block_on(PATIENCE, drive.stop());
    stopped.ok_or("the clients do not finish")?.map_err(|found| found.to_string())?;
    run.compare_replicas()?;
    Ok(times)
}

impl Run<'_> {
    fn busiest(&self) -> usize {
        let leases = |index: &usize| {
            let serving = self.machines[*index].place().serving();
            serving.map_or(0, |serving| {
                serving.node.store.descriptors().iter().filter(|(_, is_leased)| *is_leased).count()
            })
        };
        (0..self.machines.len()).max_by_key(leases).expect("there are machines")
    }

    /// Starts the nodes and the clients, without faults.
    fn start_work(&mut self) -> Result<Drive, String> {
        self.machines.iter_mut().for_each(|machine| machine.join());
        self.wait_until_serving()?;
        self.wait_until_replicated()?;
        self.set_up()?;
        self.begin_weather();
        Ok(self.drive(PAUSE))
    }
}
