//! Many seeds, one after the other. `cargo xtask sim --seeds 1000` runs more of them, `--seed N` one again.
//!
//! MERIDIAN_SIM_SCENARIO names a scenario (or the path of a file with one), MERIDIAN_SIM_LOG=1 prints what the nodes log.
//!
//! The seeds are dealt out to several tests, so that they use all processors.

use std::ops::Range;

use sim::{Scenario, run};

/// As in the server. A quarter of a run's time went to the allocator of the C library.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Seeds in a usual run of the tests; all scenarios take their turn.
const SEEDS_DEFAULT: u64 = 200;
const HANDS: u64 = 4;
fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// MERIDIAN_SIM_SEEDS: how many, or which (A..B, without B).
fn seeds_wanted() -> Range<u64> {
    let Ok(text) = std::env::var("MERIDIAN_SIM_SEEDS") else { return 0..SEEDS_DEFAULT };
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("MERIDIAN_SIM_SEEDS is N or A..B"));
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&text),
    }
}

/// A scenario by its name, or, for trying one out, by the path of its file.
fn scenario_of(name: &str) -> Scenario {
    if name.ends_with(".toml") {
        let text = std::fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        return Scenario::parse(name.to_string().leak(), &text);
    }
    Scenario::named(name).unwrap_or_else(|| panic!("there is no scenario {name}"))
}

/// The seeds of one test, each with its scenario.
fn seeds(hand: u64) -> Vec<(Scenario, u64)> {
    let named = std::env::var("MERIDIAN_SIM_SCENARIO").ok();
    let count = Scenario::all().len() as u64;
    let scenario = |seed| match &named {
        Some(name) => scenario_of(name),
        None => Scenario::of_seed(seed),
    };
    let seeds = match variable("MERIDIAN_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => seeds_wanted(),
    };
    // Seeds of one scenario go to different hands.
    let is_own = |seed: &u64| (seed / count + seed) % HANDS == hand;
    seeds.filter(is_own).map(|seed| (scenario(seed), seed)).collect()
}

/// Seeds that found something once.
const FOUND_ONCE: [(&str, u64); 27] = [
    // Lock leaks at splits.
    ("histories", 8),
    ("histories", 24),
    // A statement with two snapshots.
    ("three", 16),
    // A coordinator that could not make its commit explicit resolved some of its intents, and the others were aborted.
    ("three", 188),
    // A replica that was removed without knowing it stood in the way of a snapshot for ever.
    ("five", 7),
    // Addressing records waited for a split that waited for them.
    ("five", 139),
    // A leader that removed itself was kept for ever.
    ("five", 182),
    // Two who ended a removed replica: the second ended the one that had come in its place.
    ("five", 4),
    // A removed replica was told of another range, and stayed.
    ("five", 270),
    // A learner that somebody else had removed was waited for, and everything else of its leaseholder's store with it.
    ("members", 41),
    ("members", 55),
    ("members", 89),
    ("members", 166),
    // The record of where an addressing range had moved waited behind records that were to be written to it.
    ("members", 62),
    // A founder that had given away all of its ranges founded the cluster once more.
    ("members", 271),
    // A proposal whose place an empty entry had taken was never answered, and its latch was never given back.
    ("members", 0),
    ("members", 276),
    // A leader fell asleep before its followers had promised anew, and had no lease ever after.
    ("stale", 25),
    // A lock that was lost let another take an order's number, and the loser was told that it is taken.
    ("orders", 49),
    ("orders", 10_061),
    // A range that was split off after a merge ended what the left one had yet to absorb.
    ("merges", 72),
    ("merges", 115),
    ("merges", 353),
    // What was to be absorbed stayed for ever where a snapshot had taken the left one past that.
    ("merges", 228),
    // Two stores each found a cycle whose victim waited at the other.
    ("past", 456),
    // A write that came again after its commit was taken for corruption.
    ("merges", 11_457),
    // A read met what it had moved out of its way again and again.
    ("merges", 127),
];

#[test]
fn seeds_that_found_something_once() {
    for (name, seed) in FOUND_ONCE {
        let scenario = Scenario::named(name).expect("there is such a scenario");
        let _told = OnPanic(&scenario, seed);
        run(&scenario, seed).unwrap_or_else(|failed| panic!("{failed}"));
    }
}

/// Whether reads of the past are consistent is shown by the scenario; that they are not all made by leaseholders, by this.
#[test]
fn reads_of_the_past_are_served_by_followers() {
    let scenario = Scenario::named("past").expect("there is such a scenario");
    let mut served = 0;
    for seed in 0..5 {
        let _told = OnPanic(&scenario, seed);
        let summary = run(&scenario, seed).unwrap_or_else(|failed| panic!("{failed}"));
        println!("seed {seed}: {} reads without the lease", summary.follower_reads);
        served += summary.follower_reads;
    }
    assert!(served > 100, "{served} reads");
}

/// That ranges are merged under faults at all, without which the scenario shows nothing.
#[test]
fn ranges_are_merged_while_everything_else_happens() {
    let scenario = Scenario::named("merges").expect("there is such a scenario");
    let mut merges = 0;
    for seed in 0..5 {
        let _told = OnPanic(&scenario, seed);
        let summary = run(&scenario, seed).unwrap_or_else(|failed| panic!("{failed}"));
        println!("seed {seed}: {} merges", summary.merges);
        merges += summary.merges;
    }
    assert!(merges > 20, "{merges} merges");
}

/// What is told when a run does not even come to its end.
struct OnPanic<'a>(&'a Scenario, u64);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay: {}", sim::replay_line(self.0.name, self.1));
        }
    }
}

fn run_hand(hand: u64) {
    if variable("MERIDIAN_SIM_LOG").is_some_and(|loud| loud > 0) {
        sim::print_logs();
    }
    let mut failures = Vec::new();
    for (scenario, seed) in seeds(hand) {
        let _told = OnPanic(&scenario, seed);
        match run(&scenario, seed) {
            Ok(summary) => {
                let committed: u64 = summary.counts.values().map(|counts| counts.committed).sum();
                println!(
                    "seed {seed}, {}: {committed} committed, {} crashes, {:?}, {} steps",
                    scenario.name, summary.crashes, summary.virtual_time, summary.steps
                );
                assert!(committed > 0, "nothing happened");
            }
            Err(failed) => {
                eprintln!("{failed}");
                failures.push(seed);
            }
        }
    }
    assert!(failures.is_empty(), "seeds that failed: {failures:?}");
}

#[test]
fn seeds_first_hand() {
    run_hand(0);
}

#[test]
fn seeds_second_hand() {
    run_hand(1);
}

#[test]
fn seeds_third_hand() {
    run_hand(2);
}

#[test]
fn seeds_fourth_hand() {
    run_hand(3);
}
