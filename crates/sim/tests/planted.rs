//! The checkers can fail: for each safeguard that is taken away, a named scenario finds that it is gone, within a bounded number
//! of seeds. Whoever removes a safeguard by mistake is found in the same way.
//!
//! `cargo test --release -p sim --test planted -- --nocapture` prints what was noticed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kvapi::planted::{Bug, Planted};
use sim::{Flaws, Scenario, run_flawed};

/// How the run of a seed with flaws failed; `None` if nothing was noticed.
fn noticed(scenario: &Scenario, seed: u64, flaws: Flaws) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| run_flawed(scenario, seed, flaws))) {
        Ok(Ok(_)) => None,
        Ok(Err(failed)) => Some(failed.what),
        Err(_) => Some("the run panicked".to_string()),
    }
}

/// Tries seeds from `first` on, `seeds_max` of them at most, until one of them notices the flaws.
fn assert_noticed(name: &str, flaws: Flaws, scenario: &str, first: u64, seeds_max: u64) {
    let scenario = Scenario::named(scenario).expect("there is such a scenario");
    for seed in first..first + seeds_max {
        if let Some(what) = noticed(&scenario, seed, flaws) {
            println!("{name}: scenario {}, seed {seed}: {what}", scenario.name);
            return;
        }
    }
    panic!("{name}: scenario {} notices nothing in {seeds_max} seeds from {first}", scenario.name);
}

fn assert_bug_noticed(bug: Bug, scenario: &str, first: u64, seeds_max: u64) {
    let flaws = Flaws { planted: Planted::bug(bug), ..Flaws::default() };
    assert_noticed(&format!("{bug:?}"), flaws, scenario, first, seeds_max);
}

#[test]
fn a_refresh_that_looks_at_nothing_is_noticed() {
    assert_bug_noticed(Bug::SkipRefresh, "histories", 0, 10);
}

#[test]
fn writes_below_reads_are_noticed() {
    assert_bug_noticed(Bug::NoTimestampCache, "histories", 0, 20);
}

#[test]
fn a_lease_without_a_floor_is_noticed() {
    assert_bug_noticed(Bug::NoLeaseFloor, "leases", 0, 100);
}

#[test]
fn a_lost_lock_that_nobody_checks_is_noticed() {
    assert_bug_noticed(Bug::NoLostUpdateCheck, "updates", 0, 20);
}

#[test]
fn a_recovery_that_looks_for_no_writes_is_noticed() {
    assert_bug_noticed(Bug::RecoverUnchecked, "crashes", 0, 40);
}

#[test]
fn bounds_that_are_looked_at_before_the_latches_alone_are_noticed() {
    assert_bug_noticed(Bug::NoBoundsAfterLatches, "calm", 0, 60);
}

#[test]
fn a_split_that_does_not_count_intents_is_noticed() {
    assert_bug_noticed(Bug::NoIntentRecount, "calm", 0, 20);
}

#[test]
fn garbage_collected_too_early_is_noticed() {
    assert_bug_noticed(Bug::CollectTooEarly, "garbage", 0, 150);
}

#[test]
fn a_clock_that_goes_back_with_a_restart_is_noticed() {
    assert_bug_noticed(Bug::ForgetClockBound, "everything", 0, 20);
}

#[test]
fn a_lone_proposer_that_does_not_wait_for_its_sync_is_noticed() {
    assert_bug_noticed(Bug::AcknowledgeBeforeSync, "crashes", 0, 10);
}

#[test]
fn a_lease_that_moves_to_another_node_without_a_floor_is_noticed() {
    assert_bug_noticed(Bug::NoLeaseFloor, "five", 0, 600);
}

#[test]
fn a_value_that_is_above_the_reader_by_another_clock_alone_and_is_not_seen_is_noticed() {
    assert_bug_noticed(Bug::IgnoreUncertainty, "skewed", 0, 20);
}

#[test]
fn a_leaseholder_that_writes_below_what_it_has_closed_is_noticed() {
    assert_bug_noticed(Bug::WriteBelowClosed, "past", 0, 600);
}

#[test]
fn a_replica_that_is_read_before_it_has_applied_what_is_closed_is_noticed() {
    assert_bug_noticed(Bug::FollowUnapplied, "past", 0, 600);
}

#[test]
fn a_merge_that_forgets_what_was_read_is_noticed() {
    assert_bug_noticed(Bug::NoMergeFloor, "merges", 0, 60);
}

#[test]
fn a_range_that_absorbs_another_before_its_log_is_applied_is_noticed() {
    assert_bug_noticed(Bug::AbsorbUnapplied, "merges", 0, 60);
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_noticed() {
    assert_noticed("disk_lies", Flaws { disk_lies: true, ..Flaws::default() }, "crashes", 0, 10);
}
