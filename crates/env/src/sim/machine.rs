//! One simulated machine: a wall clock of its own, entropy of its own, tasks that die with it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use stdx::Prng;

use super::scheduler::{MachineId, Scheduler, SimTask};
use super::timers::Sleep;
use crate::lane::{Carrier, Job};
use crate::{BoxFuture, Env, Lane, TaskHandle, WallTime};

/// Where simulated wall clocks stand when virtual time is zero: 2026-01-01 00:00:00 UTC.
const WALL_ORIGIN: WallTime = WallTime::from_unix_nanos(1_767_225_600_000_000_000);

/// The [`Env`] of one machine of a [`super::Simulation`].
///
/// - After [`SimEnv::crash`] nothing of this machine runs again; what is spawned on it is dropped at once.
/// - Its wall clock reads virtual time plus an offset plus drift, and never reads below the epoch.
pub struct SimEnv {
    scheduler: Arc<Scheduler>,
    machine: MachineId,
    own: Mutex<Own>,
}

struct Own {
    alive: bool,
    clock: WallClock,
    entropy: Prng,
    lane_delays: Prng,
}

#[derive(Clone, Copy, Default)]
struct WallClock {
    offset_nanos: i128,
    drift_ppm: i64,
    drift_since: Duration,
}

impl WallClock {
    fn drifted_nanos(&self, now: Duration) -> i128 {
        let elapsed = now.saturating_sub(self.drift_since).as_nanos() as i128;
        elapsed * i128::from(self.drift_ppm) / 1_000_000
    }

    fn read(&self, now: Duration) -> WallTime {
        let nanos = i128::from(WALL_ORIGIN.unix_nanos())
            + now.as_nanos() as i128
            + self.offset_nanos
            + self.drifted_nanos(now);
        WallTime::from_unix_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }
}

impl SimEnv {
    pub(super) fn new(scheduler: Arc<Scheduler>, mut seed: Prng) -> Arc<SimEnv> {
        let machine = scheduler.add_machine();
        let own =
            Own { alive: true, clock: WallClock::default(), entropy: seed.fork(), lane_delays: seed.fork() };
        Arc::new(SimEnv { scheduler, machine, own: Mutex::new(own) })
    }

    /// Moves the wall clock by `nanos`, forwards or backwards, at once.
    pub fn jump_wall(&self, nanos: i64) {
        self.own.lock().clock.offset_nanos += i128::from(nanos);
    }

    /// Sets how far the wall clock is off from true virtual time at this moment.
    pub fn set_wall_offset(&self, nanos: i64) {
        let now = self.monotonic();
        let clock = &mut self.own.lock().clock;
        clock.offset_nanos = i128::from(nanos);
        clock.drift_since = now;
    }

    /// From now on the wall clock gains this many microseconds per second (loses them, if negative).
    pub fn set_wall_drift(&self, ppm: i64) {
        let now = self.monotonic();
        let clock = &mut self.own.lock().clock;
        clock.offset_nanos += clock.drifted_nanos(now);
        clock.drift_since = now;
        clock.drift_ppm = ppm;
    }

    /// Crashes the machine's process: all its tasks and queued lane jobs are dropped, and nothing runs on it again.
    pub fn crash(&self) {
        self.own.lock().alive = false;
        self.scheduler.kill_machine(self.machine);
    }

    pub fn is_alive(&self) -> bool {
        self.own.lock().alive
    }

    /// The same machine with a new process: wall clock and entropy go on, tasks start from nothing.
    ///
    /// Panics if the process has not crashed.
    pub fn restart(&self) -> Arc<SimEnv> {
        let mut own = self.own.lock();
        assert!(!own.alive, "a machine runs one process at a time: crash it first");
        let fresh = Own {
            alive: true,
            clock: own.clock,
            entropy: own.entropy.fork(),
            lane_delays: own.lane_delays.fork(),
        };
        let machine = self.scheduler.add_machine();
        Arc::new(SimEnv { scheduler: Arc::clone(&self.scheduler), machine, own: Mutex::new(fresh) })
    }
}

impl Env for SimEnv {
    fn monotonic(&self) -> Duration {
        self.scheduler.state.lock().now
    }

    fn wall(&self) -> WallTime {
        let now = self.monotonic();
        self.own.lock().clock.read(now)
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { scheduler: Arc::clone(&self.scheduler), deadline, key: None })
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        if !self.is_alive() {
            return TaskHandle::sim(name, SimTask::stillborn());
        }
        TaskHandle::sim(name, self.scheduler.add(self.machine, name, task))
    }

    fn lane(&self, name: &'static str) -> Lane {
        let seed = self.own.lock().lane_delays.fork();
        let here = seed.clone().fork();
        let queue = Arc::new(Mutex::new(LaneQueue::default()));
        let task = run_lane(Arc::clone(&self.scheduler), name, Arc::clone(&queue), seed);
        drop(self.spawn(name, Box::pin(task)));
        let (scheduler, machine) = (Arc::clone(&self.scheduler), self.machine);
        Lane::new(name, Arc::new(SimLane { scheduler, machine, name, queue, here: Mutex::new(here) }))
    }

    fn entropy(&self) -> u64 {
        self.own.lock().entropy.next_u64()
    }
}

#[derive(Default)]
struct LaneQueue {
    jobs: VecDeque<Job>,
    runner: Option<Waker>,
    closed: bool,
}

struct SimLane {
    scheduler: Arc<Scheduler>,
    machine: MachineId,
    name: &'static str,
    queue: Arc<Mutex<LaneQueue>>,
    /// Draws which jobs run on the caller's thread, and how long they take.
    here: Mutex<Prng>,
}

impl Carrier for SimLane {
    fn submit(&self, job: Job) {
        let runner = {
            let mut queue = self.queue.lock();
            queue.jobs.push_back(job);
            queue.runner.take()
        };
        if let Some(runner) = runner {
            runner.wake();
        }
    }

    /// Now and then. The job takes its time within the step of the caller: nothing else in the world moves meanwhile, and a fault that
    /// falls into that time strikes when the step is over, before anybody has seen what the caller made of it.
    fn run_here(&self, job: Job) -> bool {
        if self.scheduler.is_dead(self.machine) {
            // Dropped like what is queued.
            return true;
        }
        let delay = {
            let chance = self.scheduler.state.lock().blocking_chance;
            let mut here = self.here.lock();
            if chance <= 0.0 || !here.chance(chance) {
                return false;
            }
            draw_delay(&self.scheduler, &mut here)
        };
        self.scheduler.advance_by(delay);
        run_job(&self.scheduler, self.name, job);
        true
    }
}

/// The last clone of the lane is gone: what is queued still runs, then the lane's task ends.
impl Drop for SimLane {
    fn drop(&mut self) {
        let runner = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            queue.runner.take()
        };
        if let Some(runner) = runner {
            runner.wake();
        }
    }
}

/// The task that runs a lane's jobs: waits for one, lets its drawn duration pass, runs it. It ends when the
/// lane is closed and the queue is empty.
async fn run_lane(
    scheduler: Arc<Scheduler>,
    name: &'static str,
    queue: Arc<Mutex<LaneQueue>>,
    mut seed: Prng,
) {
    loop {
        let job = std::future::poll_fn(|context| {
            let mut queue = queue.lock();
            if let Some(job) = queue.jobs.pop_front() {
                return Poll::Ready(Some(job));
            }
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.runner = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
        let Some(job) = job else { return };
        let delay = draw_delay(&scheduler, &mut seed);
        if !delay.is_zero() {
            let deadline = scheduler.state.lock().now + delay;
            Sleep { scheduler: Arc::clone(&scheduler), deadline, key: None }.await;
        }
        if !run_job(&scheduler, name, job) {
            return;
        }
    }
}

/// Runs a job. False: it panicked, and with it the run has failed.
fn run_job(scheduler: &Scheduler, name: &str, job: Job) -> bool {
    let ended = catch_unwind(AssertUnwindSafe(job)).is_ok();
    if !ended {
        let fatal =
            format!("a job of lane \"{name}\" panicked; in production the process would have aborted");
        scheduler.state.lock().fatal = Some(fatal);
    }
    ended
}

fn draw_delay(scheduler: &Scheduler, seed: &mut Prng) -> Duration {
    let bounds = scheduler.state.lock().lane_delay.clone();
    let spread = bounds.end.saturating_sub(bounds.start).as_nanos() as u64;
    if spread == 0 { bounds.start } else { bounds.start + Duration::from_nanos(seed.below(spread)) }
}
