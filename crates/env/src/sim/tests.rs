use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc;
use parking_lot::Mutex;

use super::*;
use crate::{Elapsed, Env, TaskEnd, timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// Three machines that pass numbers around with random waits; gives (order of arrival, trace).
fn gossip(seed: u64) -> (Vec<u64>, u64) {
    let simulation = Simulation::new(seed);
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let (sender, mut receiver) = mpsc::unbounded();
    for origin in 0..3 {
        let machine = simulation.machine();
        let sender = sender.clone();
        let env = Arc::clone(&machine);
        drop(machine.spawn(
            "gossip",
            Box::pin(async move {
                for round in 0..10 {
                    env.sleep(Duration::from_millis(env.entropy() % 20)).await;
                    yield_now().await;
                    let _ = sender.unbounded_send(origin * 100 + round);
                }
            }),
        ));
    }
    drop(sender);
    let collected = Arc::clone(&arrivals);
    let done = simulation.block_on(10 * SECOND, async move {
        while let Some(number) = receiver.next().await {
            collected.lock().push(number);
        }
    });
    assert_eq!(done, Some(()));
    (Arc::try_unwrap(arrivals).expect("the task is gone").into_inner(), simulation.trace())
}

#[test]
fn one_seed_gives_one_trace_and_another_seed_another() {
    let first = gossip(1);
    assert_eq!(first, gossip(1));
    let others: Vec<_> = (2..10).map(gossip).collect();
    assert!(others.iter().all(|other| other.1 != first.1));
    assert!(others.iter().any(|other| other.0 != first.0));
}

#[test]
fn virtual_time_leaps_and_a_stall_is_told() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let env = Arc::clone(&machine);
    let value = simulation.block_on(1_000_000 * SECOND, async move {
        env.sleep(500_000 * SECOND).await;
        env.monotonic()
    });
    assert!(value.is_some_and(|at| at >= 500_000 * SECOND && at < 500_001 * SECOND));
    assert_eq!(simulation.block_on(SECOND, std::future::pending::<()>()), None);
    assert_eq!(simulation.run_for(SECOND), Ended::Idle);
    drop(machine.spawn("sleeper", machine.sleep(SECOND * 5)));
    let start = simulation.now();
    assert_eq!(simulation.run_for(SECOND), Ended::Deadline);
    assert_eq!(simulation.now(), start + SECOND);
    assert_eq!(simulation.live_tasks(), [(1, "sleeper")]);
}

#[test]
fn machines_share_time_but_not_wall_clocks() {
    let simulation = Simulation::new(1);
    let (left, right) = (simulation.machine(), simulation.machine());
    assert_eq!(left.wall(), right.wall());
    left.jump_wall(250_000_000);
    assert_eq!(left.wall().since(right.wall()), Some(Duration::from_millis(250)));
    left.set_wall_offset(0);
    right.set_wall_drift(-100);
    drop(left.spawn("sleeper", left.sleep(10 * SECOND)));
    simulation.run_until(10 * SECOND);
    assert_eq!(left.wall().since(right.wall()), Some(Duration::from_millis(1)));
    right.set_wall_drift(0);
    drop(left.spawn("sleeper", left.sleep(10 * SECOND)));
    simulation.run_until(20 * SECOND);
    assert_eq!(left.wall().since(right.wall()), Some(Duration::from_millis(1)));
    assert_eq!(left.monotonic(), right.monotonic());
}

#[test]
fn a_crash_drops_tasks_and_queued_jobs_and_a_restart_begins_anew() {
    let simulation = Simulation::new(1);
    simulation.set_lane_delay(SECOND..SECOND);
    let machine = simulation.machine();
    let jobs_run = Arc::new(AtomicU64::new(0));
    let lane = machine.lane("disk");
    for _ in 0..3 {
        let jobs_run = Arc::clone(&jobs_run);
        lane.submit(move || {
            jobs_run.fetch_add(1, Ordering::Relaxed);
        });
    }
    let endless = machine.spawn("endless", Box::pin(std::future::pending()));
    simulation.run_for(Duration::from_millis(2500));
    assert_eq!(jobs_run.load(Ordering::Relaxed), 2);
    machine.jump_wall(1_000);
    machine.crash();
    assert_eq!(simulation.block_on(SECOND, endless), Some(TaskEnd::Aborted));
    let refused = machine.spawn("late", Box::pin(async { panic!("must not run") }));
    assert!(refused.is_finished());
    simulation.run_for(10 * SECOND);
    assert_eq!(jobs_run.load(Ordering::Relaxed), 2);
    let restarted = machine.restart();
    assert_eq!(restarted.wall(), machine.wall());
    let env = Arc::clone(&restarted);
    let alive = simulation.block_on(10 * SECOND, async move { env.lane("disk").run(|| 7).await });
    assert_eq!(alive, Some(7));
}

#[test]
fn a_task_can_crash_its_own_machine() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let reached = Arc::new(AtomicU64::new(0));
    let (env, beyond) = (Arc::clone(&machine), Arc::clone(&reached));
    let suicide = machine.spawn(
        "suicide",
        Box::pin(async move {
            env.crash();
            yield_now().await;
            beyond.store(1, Ordering::Relaxed);
        }),
    );
    assert_eq!(simulation.block_on(SECOND, suicide), Some(TaskEnd::Aborted));
    assert_eq!(reached.load(Ordering::Relaxed), 0);
}

#[test]
fn lanes_keep_order_and_take_time() {
    let simulation = Simulation::new(3);
    simulation.set_lane_delay(Duration::from_millis(1)..Duration::from_millis(2));
    let machine = simulation.machine();
    let order = Arc::new(Mutex::new(Vec::new()));
    let lane = machine.lane("log-writer");
    for number in 0..20 {
        let order = Arc::clone(&order);
        lane.submit(move || order.lock().push(number));
    }
    let barrier = lane.barrier();
    // Submitted jobs run although the lane itself is gone.
    drop(lane);
    assert_eq!(simulation.block_on(SECOND, barrier), Some(()));
    assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
    assert!(simulation.now() >= Duration::from_millis(21));
    simulation.run_for(SECOND);
    assert!(simulation.live_tasks().is_empty(), "the lane's task ends with the lane");
}

#[test]
fn timeouts_aborts_and_panics() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let env = Arc::clone(&machine);
    let bounded = simulation.block_on(10 * SECOND, async move {
        let slow = timeout(&*env, SECOND, env.sleep(2 * SECOND)).await;
        let fast = timeout(&*env, SECOND, env.sleep(SECOND / 2)).await;
        (slow, fast)
    });
    assert_eq!(bounded, Some((Err(Elapsed), Ok(()))));
    let aborted = machine.spawn("aborted", Box::pin(std::future::pending()));
    aborted.abort();
    assert_eq!(simulation.block_on(SECOND, aborted.join()), Some(TaskEnd::Aborted));
    let panicking = machine.spawn("panicking", Box::pin(async { panic!("on purpose") }));
    assert_eq!(simulation.block_on(SECOND, panicking.join()), Some(TaskEnd::Panicked));
}

#[test]
fn a_dropped_sleep_leaves_no_timer() {
    let simulation = Simulation::new(1);
    let machine = simulation.machine();
    let env = Arc::clone(&machine);
    simulation.block_on(SECOND, async move {
        let _ = timeout(&*env, Duration::from_millis(1), env.sleep(3600 * SECOND)).await;
    });
    assert_eq!(simulation.run_for(10 * SECOND), Ended::Idle);
    assert!(simulation.now() < SECOND);
}

#[test]
#[should_panic(expected = "something escaped the seams")]
fn a_wake_from_another_thread_fails_the_run() {
    let simulation = Simulation::new(1);
    let (sender, receiver) = futures::channel::oneshot::channel::<()>();
    let (started_sender, started_receiver) = std::sync::mpsc::channel::<()>();
    let outsider = std::thread::spawn(move || {
        started_receiver.recv().expect("the simulation runs");
        let _ = sender.send(());
    });
    simulation.block_on(SECOND, {
        let mut receiver = receiver;
        let mut outsider = Some(outsider);
        std::future::poll_fn(move |context| {
            let polled = std::pin::Pin::new(&mut receiver).poll(context);
            if let Some(outsider) = outsider.take() {
                started_sender.send(()).expect("the thread waits");
                outsider.join().expect("the thread ends");
            }
            polled
        })
    });
}

/// Which of many jobs ran within their caller's step, and when each had ended.
fn blocking(seed: u64) -> Vec<(bool, Duration)> {
    let simulation = Simulation::new(seed);
    simulation.set_lane_delay(Duration::from_millis(1)..Duration::from_millis(2));
    simulation.set_blocking_chance(0.5);
    let machine = simulation.machine();
    let lane = machine.lane("log-writer");
    let ran = simulation.block_on(SECOND, async move {
        let mut ran = Vec::new();
        for _ in 0..20 {
            let (before, done) = (machine.monotonic(), Arc::new(AtomicU64::new(0)));
            let counted = done.clone();
            let here = lane.run_here(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.load(Ordering::Relaxed), u64::from(here), "at once or not at all");
            assert_eq!(machine.monotonic() - before >= Duration::from_millis(1), here, "it takes its time");
            ran.push((here, machine.monotonic()));
        }
        machine.crash();
        assert!(lane.run_here(|| panic!("nothing runs on a dead machine")));
        ran
    });
    ran.expect("it ends")
}

#[test]
fn a_caller_runs_some_jobs_by_itself() {
    let first = blocking(1);
    assert!(first.iter().any(|(here, _)| *here) && first.iter().any(|(here, _)| !*here));
    assert_eq!(first, blocking(1));
    assert_ne!(first, blocking(2));
}

#[test]
#[should_panic(expected = "lane \"disk\" panicked")]
fn a_panicking_lane_job_fails_the_run() {
    let simulation = Simulation::new(1);
    let lane = simulation.machine().lane("disk");
    lane.submit(|| panic!("on purpose"));
    simulation.run_for(SECOND);
}
