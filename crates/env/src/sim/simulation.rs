//! A run of the simulated world: made from a seed, driven by a test.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stdx::Prng;

use super::machine::SimEnv;
use super::scheduler::{Scheduler, Step};

/// Why a run returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The virtual deadline was reached.
    Deadline,
    /// Nothing is runnable and no timer is armed: nothing would ever happen again.
    Idle,
}

/// The scheduler, as the test that owns it sees it. Drive it from one thread.
///
/// ```
/// # use env::{Env, Simulation};
/// # use std::time::Duration;
/// let simulation = Simulation::new(7);
/// let machine = simulation.machine();
/// let value = simulation.block_on(Duration::from_secs(60), {
///     let machine = machine.clone();
///     async move { machine.sleep(Duration::from_secs(30)).await; 5 }
/// });
/// assert_eq!(value, Some(5));
/// assert!(simulation.now() >= Duration::from_secs(30));
/// ```
pub struct Simulation {
    scheduler: Arc<Scheduler>,
    seeds: Mutex<Prng>,
    driver: Arc<SimEnv>,
}

impl Simulation {
    pub fn new(seed: u64) -> Simulation {
        let mut seeds = Prng::new(seed);
        let scheduler = Scheduler::new(seeds.next_u64());
        let driver = SimEnv::new(Arc::clone(&scheduler), seeds.fork());
        Simulation { scheduler, seeds: Mutex::new(seeds), driver }
    }

    /// Adds a machine to the cluster.
    pub fn machine(&self) -> Arc<SimEnv> {
        SimEnv::new(Arc::clone(&self.scheduler), self.seeds.lock().fork())
    }

    /// A generator for the test's own decisions (faults, workload), drawn from the run's seed.
    pub fn prng(&self) -> Prng {
        self.seeds.lock().fork()
    }

    /// How long a lane job takes in virtual time, drawn per job; an empty range gives its start.
    /// 20 to 500 us unless set.
    pub fn set_lane_delay(&self, bounds: std::ops::Range<Duration>) {
        self.scheduler.state.lock().lane_delay = bounds;
    }

    /// How likely a task may block its thread where it asks ([`crate::Lane::run_here`]); never unless set. All of the world stands still
    /// meanwhile: that is right for a single machine whose processors are busy, and too coarse between several.
    pub fn set_blocking_chance(&self, chance: f64) {
        self.scheduler.state.lock().blocking_chance = chance;
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.scheduler.state.lock().now
    }

    /// The fingerprint of every step so far: which task ran, when.
    pub fn trace(&self) -> u64 {
        self.scheduler.trace()
    }

    /// How many times a task has been polled.
    pub fn steps(&self) -> u64 {
        self.scheduler.steps()
    }

    /// The names of all live tasks with the number of their machine: what a stalled run waits for.
    pub fn live_tasks(&self) -> Vec<(u32, &'static str)> {
        self.scheduler.task_names()
    }

    /// Runs until virtual time reaches `deadline` or nothing would ever happen again.
    pub fn run_until(&self, deadline: Duration) -> Ended {
        self.run_while(deadline, || true).unwrap_or(Ended::Idle)
    }

    /// Runs for `duration` of virtual time.
    pub fn run_for(&self, duration: Duration) -> Ended {
        self.run_until(self.now().saturating_add(duration))
    }

    /// Runs the future, and everything else, until the future completes; gives its value.
    /// `None` if that takes longer than `limit` of virtual time, nothing more would happen, or it panics.
    pub fn block_on<T, F>(&self, limit: Duration, future: F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        let handle = crate::Env::spawn(
            &*self.driver,
            "block_on",
            Box::pin(async move {
                let value = future.await;
                *filled.lock() = Some(value);
            }),
        );
        let deadline = self.now().saturating_add(limit);
        self.run_while(deadline, || !handle.is_finished());
        if !handle.is_finished() {
            handle.abort();
        }
        slot.lock().take()
    }

    /// Steps while `wanted` holds; `None` when it no longer does.
    fn run_while(&self, deadline: Duration, wanted: impl Fn() -> bool) -> Option<Ended> {
        let _running = self.scheduler.enter();
        while wanted() {
            if self.now() >= deadline {
                return Some(Ended::Deadline);
            }
            match self.scheduler.step() {
                Step::Polled => {}
                Step::Idle(None) => return Some(Ended::Idle),
                Step::Idle(Some(next)) => self.scheduler.advance_to(next.min(deadline)),
            }
        }
        None
    }
}

/// Futures hold the scheduler (through `SimEnv`), the scheduler holds the futures: break the circle.
impl Drop for Simulation {
    fn drop(&mut self) {
        for machine in 0..self.scheduler.machine_count() {
            self.scheduler.kill_machine(machine);
        }
    }
}
