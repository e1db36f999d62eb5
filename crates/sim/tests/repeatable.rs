//! One seed gives one execution, twice.

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
