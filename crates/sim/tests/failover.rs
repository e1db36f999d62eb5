//! Nobody waits for long when a node dies.

use std::time::Duration;

use sim::times_without_lease;

/// Promises last 1.6 s after the last renewal; then an election.
const BOUND: Duration = Duration::from_millis(2_500);
const SEEDS: u64 = 4;
const DEATHS: u32 = 6;

/// MERIDIAN_SIM_SEEDS=N: how many worlds.
#[test]
fn every_range_has_a_leaseholder_again_within_a_bound() {
    let seeds = std::env::var("MERIDIAN_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    if std::env::var_os("MERIDIAN_SIM_LOG").is_some() {
        sim::print_logs();
    }
    let (mut all, mut slow) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let times = times_without_lease(seed, DEATHS).unwrap_or_else(|failed| panic!("{failed}"));
        println!("seed {seed}: {times:?}");
        slow.extend(times.iter().filter(|time| **time > BOUND).map(|time| (seed, *time)));
        all.extend(times);
    }
    all.sort();
    println!("{} deaths: median {:?}, worst {:?}", all.len(), all[all.len() / 2], all[all.len() - 1]);
    assert!(slow.is_empty(), "longer than {BOUND:?}: {slow:?}");
}
