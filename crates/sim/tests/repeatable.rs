//! One seed gives one execution, twice: in every scenario, and whichever of them a seed runs by itself.

use sim::{Scenario, run};

#[test]
fn a_seed_gives_the_same_trace_and_history_twice() {
    for scenario in Scenario::all() {
        let first = run(&scenario, 1).unwrap_or_else(|failed| panic!("{failed}"));
        let second = run(&scenario, 1).unwrap_or_else(|failed| panic!("{failed}"));
        assert_eq!(first, second, "{}", scenario.name);
        let other = run(&scenario, 2).unwrap_or_else(|failed| panic!("{failed}"));
        assert_ne!(first.trace, other.trace, "{}: the seed decides nothing", scenario.name);
    }
}

/// What is left over from a run on the same thread must not show in the next: other seeds in between change nothing.
#[test]
fn a_seed_gives_the_same_trace_whatever_ran_before() {
    for (index, scenario) in Scenario::all().into_iter().enumerate() {
        let seed = 100 + index as u64;
        let first = run(&scenario, seed).unwrap_or_else(|failed| panic!("{failed}"));
        let elsewhere = std::thread::scope(|scope| {
            let again = scope.spawn(|| run(&scenario, seed).unwrap_or_else(|failed| panic!("{failed}")));
            again.join().expect("the run ends well")
        });
        assert_eq!(first, elsewhere, "{}", scenario.name);
    }
}
