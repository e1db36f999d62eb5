//! Scenarios: which workloads run under which faults, as a data file says it.
//!
//! ```toml
//! workloads = ["bank", "unique"]
//! clients = 5
//! fault_ms = 2000        # virtual time under faults
//!
//! [faults]               # mean virtual time between two of a kind; a kind that is not named does not happen
//! crash_ms = 500
//! ```

use std::sync::Arc;

use serde::Deserialize;
use stdx::Prng;
use workload::bank::{Bank, BankOptions};
use workload::list_append::{ListAppend, ListAppendOptions};
use workload::monotonic::Monotonic;
use workload::outcomes::Outcomes;
use workload::register::Register;
use workload::savepoints::Savepoints;
use workload::sequential::Sequential;
use workload::sets::Sets;
use workload::tpcc::Tpcc;
use workload::unique::Unique;
use workload::write_skew::WriteSkew;
use workload::{Isolation, Workload};

/// All scenarios, with their names, in order.
const FILES: [(&str, &str); 19] = [
    ("calm", include_str!("../scenarios/calm.toml")),
    ("crashes", include_str!("../scenarios/crashes.toml")),
    ("histories", include_str!("../scenarios/histories.toml")),
    ("leases", include_str!("../scenarios/leases.toml")),
    ("locks", include_str!("../scenarios/locks.toml")),
    ("updates", include_str!("../scenarios/updates.toml")),
    ("garbage", include_str!("../scenarios/garbage.toml")),
    ("everything", include_str!("../scenarios/everything.toml")),
    ("three", include_str!("../scenarios/three.toml")),
    ("five", include_str!("../scenarios/five.toml")),
    ("members", include_str!("../scenarios/members.toml")),
    ("disks", include_str!("../scenarios/disks.toml")),
    ("stale", include_str!("../scenarios/stale.toml")),
    ("orders", include_str!("../scenarios/orders.toml")),
    ("past", include_str!("../scenarios/past.toml")),
    ("skewed", include_str!("../scenarios/skewed.toml")),
    ("merges", include_str!("../scenarios/merges.toml")),
    ("outcomes", include_str!("../scenarios/outcomes.toml")),
    ("savepoints", include_str!("../scenarios/savepoints.toml")),
];

/// What is run. See the module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    #[serde(skip)]
    pub name: &'static str,
    pub workloads: Vec<String>,
    pub clients: u32,
    pub fault_ms: u64,
    /// A range splits above this; KiB.
    pub range_kib: u64,
    /// Neighbours are merged at first sight if one is smaller than this; not at all if absent. KiB.
    pub merge_kib: Option<u64>,
    /// The state is flushed when this much is not; KiB.
    pub flush_kib: u64,
    /// Old versions are kept this long; the node's default if absent.
    pub gc_ttl_ms: Option<u64>,
    /// How far behind now timestamps are closed; the node's default if absent.
    pub closed_lag_ms: Option<u64>,
    /// Clients of the bank also read AS OF SYSTEM TIME.
    #[serde(default)]
    pub reads_past: bool,
    /// How often ranges are looked through for garbage and what was abandoned; the node's default if absent.
    pub sweep_ms: Option<u64>,
    /// Bytes that a transaction buffers before it writes them as intents; the node's default if absent.
    pub buffer_bytes: Option<usize>,
    /// Clients hang up after fewer statements than this, without waiting for the answer.
    pub statements_per_connection: Option<u64>,
    /// Accounts of the bank; the workload's default if absent. Few: transfers meet.
    pub accounts: Option<u32>,
    /// Clients think for up to this long before each statement of a transaction; microseconds. Not at all if absent.
    pub think_us: Option<u64>,
    /// How many nodes there are.
    #[serde(default = "one")]
    pub nodes: u32,
    /// Further nodes, which may join.
    #[serde(default)]
    pub spares: u32,
    /// How far wall clocks are off at most, either way; milliseconds. Of several nodes only: a clock that is off by more than half
    /// of the maximum offset may be too far from another.
    #[serde(default)]
    pub skew_ms: u64,
    #[serde(default)]
    pub network: Network,
    pub faults: Faults,
}

fn one() -> u32 {
    1
}

/// How bad the network between nodes is, all the time that faults happen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The probability that a batch of Raft messages is lost.
    pub loss: f64,
    /// That it arrives twice.
    pub repetition: f64,
    /// That a connection breaks under a call.
    pub breaks: f64,
    /// The longest delay; milliseconds.
    pub delay_ms: u64,
}

/// Mean times between faults of each kind, in milliseconds of virtual time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The process dies; unsynced writes are lost; it starts again, and sometimes dies while it does.
    pub crash_ms: Option<u64>,
    /// The wall clock jumps, or its drift changes.
    pub clock_ms: Option<u64>,
    /// ALTER TABLE ... SPLIT AT a drawn key.
    pub split_ms: Option<u64>,
    /// Every range forgets what only its leaseholder knows.
    pub lease_ms: Option<u64>,
    /// The disk becomes slower or faster.
    pub disk_ms: Option<u64>,
    /// The disk is full for a while: the node may give up, and is started again when there is room.
    pub full_ms: Option<u64>,
    /// Nodes are cut off from one another, one way or both, for a while.
    pub cut_ms: Option<u64>,
    /// A replica or a lease is moved to another node.
    pub move_ms: Option<u64>,
    /// A node joins, or one is to leave for good.
    pub member_ms: Option<u64>,
}

impl Scenario {
    /// Every scenario there is, in order. Panics if a data file is malformed: the files are part of the program.
    pub fn all() -> Vec<Scenario> {
        FILES.iter().map(|(name, text)| Scenario::parse(name, text)).collect()
    }

    /// What a data file says. Panics if it is malformed.
    pub fn parse(name: &'static str, text: &str) -> Scenario {
        let scenario: Scenario =
            toml::from_str(text).unwrap_or_else(|error| panic!("scenario {name}: {error}"));
        Scenario { name, ..scenario }
    }

    pub fn named(name: &str) -> Option<Scenario> {
        Scenario::all().into_iter().find(|scenario| scenario.name == name)
    }

    /// The scenario that a seed runs if none is named: they take turns.
    pub fn of_seed(seed: u64) -> Scenario {
        let mut all = Scenario::all();
        let index = (seed % all.len() as u64) as usize;
        all.swap_remove(index)
    }

    /// The workloads, with what of them is left to chance drawn.
    pub(crate) fn workloads(&self, prng: &mut Prng) -> Vec<Arc<dyn Workload>> {
        self.workloads.iter().map(|name| make(name, self, prng)).collect()
    }
}

fn make(name: &str, scenario: &Scenario, prng: &mut Prng) -> Arc<dyn Workload> {
    match name {
        "bank" => {
            let isolation = Isolation::ALL[prng.index(Isolation::ALL.len())];
            let tables = prng.range(1..4) as u32;
            let defaults = BankOptions::default();
            let accounts = scenario.accounts.unwrap_or(defaults.accounts);
            let reads_past = scenario.reads_past;
            Arc::new(Bank::new(BankOptions { tables, isolation, accounts, reads_past, ..defaults }))
        }
        "unique" => Arc::new(Unique::new()),
        "outcomes" => Arc::new(Outcomes::new()),
        "savepoints" => Arc::new(Savepoints::new()),
        "sets" => Arc::new(Sets::new()),
        "write-skew" => Arc::new(WriteSkew::new(Isolation::Serializable)),
        "sequential" => Arc::new(Sequential::new()),
        "register" => Arc::new(Register::new()),
        "monotonic" => Arc::new(Monotonic::new()),
        "tpcc" => Arc::new(Tpcc::new()),
        "list-append" => Arc::new(ListAppend::new(ListAppendOptions::default())),
        other => panic!("there is no workload \"{other}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_can_be_made_and_found() {
        for (index, scenario) in Scenario::all().into_iter().enumerate() {
            assert_eq!(scenario.workloads(&mut Prng::new(1)).len(), scenario.workloads.len());
            assert_eq!(Scenario::of_seed(index as u64).name, scenario.name);
            assert!(Scenario::named(scenario.name).is_some());
        }
        assert!(Scenario::named("nothing").is_none());
    }
}
