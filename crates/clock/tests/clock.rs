//! The clock under jumps, peers and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clock::{Clock, ClockConfig, ClockJump, Timestamp, WallSource, WallTime};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// A wall clock and a monotonic clock that tests move.
#[derive(Default)]
struct Hands {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl Hands {
    fn at(wall: u64) -> Arc<Hands> {
        let hands = Hands::default();
        hands.wall.store(wall, Ordering::Relaxed);
        Arc::new(hands)
    }

    fn pass(&self, nanos: u64) {
        self.wall.fetch_add(nanos, Ordering::Relaxed);
        self.monotonic.fetch_add(nanos, Ordering::Relaxed);
    }

    fn set_wall(&self, wall: u64) {
        self.wall.store(wall, Ordering::Relaxed);
    }
}

impl WallSource for Hands {
    fn wall(&self) -> WallTime {
        WallTime::from_unix_nanos(self.wall.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic.load(Ordering::Relaxed))
    }
}

fn unbounded(hands: &Arc<Hands>) -> Clock {
    Clock::unbounded(hands.clone(), ClockConfig::default())
}

#[test]
fn follows_the_wall_clock_and_counts_when_that_stands_still() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    assert_eq!(clock.now(), Timestamp::new(100 * SECOND, 0));
    assert_eq!(clock.now(), Timestamp::new(100 * SECOND, 1));
    hands.pass(5);
    assert_eq!(clock.now(), Timestamp::new(100 * SECOND + 5, 0));
    hands.set_wall(50 * SECOND);
    assert_eq!(clock.now(), Timestamp::new(100 * SECOND + 5, 1));
    assert_eq!(clock.ahead_of_wall(), Duration::from_nanos(50 * SECOND + 5));
}

#[test]
fn goes_above_what_it_observes() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    let remote = Timestamp::new(100 * SECOND + 400_000_000, 7);
    clock.observe(remote).expect("within the offset");
    assert_eq!(clock.now(), Timestamp { logical: 8, ..remote });
}

#[test]
fn an_old_observation_changes_nothing() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    let before = clock.now();
    for _ in 0..1000 {
        clock.observe(Timestamp::new(3, 3)).expect("old is never too far ahead");
        clock.observe(before).expect("old is never too far ahead");
    }
    assert_eq!(clock.now(), before.next());
}

#[test]
fn a_timestamp_beyond_the_offset_is_refused_and_leaves_no_trace() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    let before = clock.now();
    let refused = clock.observe(Timestamp::new(100 * SECOND + 500_000_001, 0)).expect_err("too far ahead");
    assert_eq!(refused.offset_max, Duration::from_millis(500));
    assert_eq!(clock.now(), before.next());
    clock.observe(Timestamp::MAX).expect_err("too far ahead");
    assert_eq!(clock.now(), before.next().next());
}

#[test]
fn peers_cannot_push_the_clock_ahead_step_by_step() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    let step = Duration::from_millis(400);
    clock.observe(clock.now().saturating_add(step)).expect("within the offset");
    clock.observe(clock.now().saturating_add(step)).expect_err("judged by the wall clock");
}

#[test]
fn the_counter_never_overflows() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    let mut last = Timestamp::new(100 * SECOND + 1, u32::MAX - 3);
    clock.observe(last).expect("within the offset");
    for _ in 0..6 {
        let now = clock.now();
        assert!(now > last, "{now} {last}");
        last = now;
    }
    assert_eq!(last.wall, 100 * SECOND + 2);
    clock.observe(Timestamp::new(100 * SECOND + 9, u32::MAX)).expect("within the offset");
    assert_eq!(clock.now(), Timestamp::new(100 * SECOND + 10, 0));
}

#[test]
fn stands_still_at_the_bound_until_that_is_moved() {
    let hands = Hands::at(100 * SECOND);
    let clock = Clock::bounded(hands.clone(), ClockConfig::default(), None);
    let bound = clock.bound_to_persist().expect("a new store has no bound");
    assert_eq!(bound, WallTime::from_unix_nanos(103 * SECOND));
    clock.bound_persisted(bound);
    assert_eq!(clock.bound_to_persist(), None);
    hands.pass(10 * SECOND);
    let (first, second) = (clock.now(), clock.now());
    assert_eq!((first.wall, second.wall), (103 * SECOND, 103 * SECOND));
    assert!(first < second);
    clock.bound_persisted(clock.bound_to_persist().expect("the lead is used up"));
    assert_eq!(clock.now().wall, 110 * SECOND);
}

#[test]
fn a_restart_never_goes_back_even_if_the_wall_clock_has() {
    let hands = Hands::at(100 * SECOND);
    let mut persisted = None;
    let mut last = Timestamp::ZERO;
    for round in 0..5 {
        // Each round is a process; between them the wall clock goes back by ten seconds.
        let clock = Clock::bounded(hands.clone(), ClockConfig::default(), persisted);
        let bound = clock.bound_to_persist().expect("a start needs a bound of its own");
        persisted = Some(bound);
        clock.bound_persisted(bound);
        for _ in 0..3 {
            let now = clock.now();
            assert!(now > last, "round {round}: {now} after {last}");
            last = now;
            hands.pass(SECOND);
        }
        // A peer that this node talked to is no further than this node's own past.
        clock.observe(last.saturating_add(Duration::from_millis(100))).expect("judged by the floor");
        hands.set_wall(90 * SECOND);
    }
}

#[test]
fn a_process_that_dies_before_it_confirmed_its_bound_is_covered_too() {
    let hands = Hands::at(100 * SECOND);
    let found = Some(WallTime::from_unix_nanos(200 * SECOND));
    let clock = Clock::bounded(hands.clone(), ClockConfig::default(), found);
    hands.pass(1000 * SECOND);
    assert_eq!(clock.now().wall, 200 * SECOND + 1);
}

#[test]
fn a_sealed_clock_stands_still_and_leaves_a_bound_that_has_been_passed() {
    let hands = Hands::at(100 * SECOND);
    let clock = Clock::bounded(hands.clone(), ClockConfig::default(), None);
    clock.bound_persisted(clock.bound_to_persist().expect("none is in force"));
    let before = clock.now();
    let bound = clock.seal();
    hands.pass(10 * SECOND);
    assert_eq!(clock.bound_to_persist(), None);
    clock.bound_persisted(WallTime::from_unix_nanos(200 * SECOND));
    let last = clock.now();
    assert!(last > before && last.wall == before.wall, "{last}");
    let next = Clock::bounded(hands, ClockConfig::default(), Some(bound));
    assert!(next.now() > last);
    assert_eq!(next.ahead_of_wall(), Duration::ZERO);
}

#[test]
fn jumps_are_told_from_time_passing() {
    let hands = Hands::at(100 * SECOND);
    let clock = unbounded(&hands);
    hands.pass(3600 * SECOND);
    assert_eq!(clock.audit(), Ok(()));
    hands.set_wall(hands.wall().unix_nanos() + SECOND);
    assert_eq!(clock.audit(), Err(ClockJump { forward: true, by: Duration::from_secs(1) }));
    assert_eq!(clock.audit(), Ok(()));
    hands.pass(SECOND);
    hands.set_wall(hands.wall().unix_nanos() - 2 * SECOND);
    assert_eq!(clock.audit(), Err(ClockJump { forward: false, by: Duration::from_secs(2) }));
}

proptest! {
    /// Whatever happens to the wall clock and whatever is observed: strictly increasing.
    #[test]
    fn strictly_increasing(steps in prop::collection::vec((0u8..4, 0u64..2 * SECOND, any::<u32>()), 1..60)) {
        let hands = Hands::at(100 * SECOND);
        let mut clock = Clock::bounded(hands.clone(), ClockConfig::default(), None);
        let mut persisted = WallTime::EPOCH;
        let mut last = Timestamp::ZERO;
        for (kind, amount, logical) in steps {
            match kind {
                0 => hands.pass(amount),
                1 => hands.set_wall(100 * SECOND + amount),
                2 => {
                    let remote = Timestamp::new(hands.wall().unix_nanos() + amount, logical);
                    if clock.observe(remote).is_ok() {
                        last = last.max(remote);
                    }
                }
                _ => {
                    // The node renews its bound in time, and sometimes crashes then.
                    if let Some(bound) = clock.bound_to_persist() {
                        persisted = bound;
                        clock.bound_persisted(bound);
                    }
                    if amount % 4 == 0 && last.wall_time() <= persisted {
                        clock = Clock::bounded(hands.clone(), ClockConfig::default(), Some(persisted));
                        let bound = clock.bound_to_persist().expect("a start needs a bound of its own");
                        clock.bound_persisted(bound);
                        persisted = bound;
                    }
                }
            }
            let now = clock.now();
            prop_assert!(now > last, "{} {}", now, last);
            last = now;
        }
    }
}
