//! The real world: tokio's runtime and the machine's clocks.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::{Handle, RuntimeFlavor};

use crate::lane::{Carrier, Job};
use crate::{BoxFuture, Env, Lane, TaskHandle, WallTime};

/// The production [`Env`]. It may be used from any thread, those of lanes included.
pub struct RealEnv {
    runtime: Handle,
    origin: Instant,
}

impl RealEnv {
    /// Over the tokio runtime that the caller runs in; its timers must be enabled. Panics outside of a runtime.
    pub fn new() -> Arc<RealEnv> {
        RealEnv::with_runtime(Handle::current())
    }

    pub fn with_runtime(runtime: Handle) -> Arc<RealEnv> {
        Arc::new(RealEnv { runtime, origin: Instant::now() })
    }
}

impl Env for RealEnv {
    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn wall(&self) -> WallTime {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime::from_unix_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()> {
        match self.origin.checked_add(deadline) {
            Some(instant) => {
                // A timer registers with the runtime it is made in, and the caller may be on a lane.
                let _entered = self.runtime.enter();
                Box::pin(tokio::time::sleep_until(instant.into()))
            }
            None => Box::pin(std::future::pending()),
        }
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        TaskHandle::tokio(name, self.runtime.spawn(task))
    }

    fn lane(&self, name: &'static str) -> Lane {
        Lane::new(name, Arc::new(LaneThread::start(name)))
    }

    /// SipHash of nothing under a key that the standard library took from the operating system's randomness
    /// and changes for every call.
    fn entropy(&self) -> u64 {
        RandomState::new().hash_one(0u64)
    }
}

/// The thread behind a lane. It ends when the last sender is gone and the queue is empty.
struct LaneThread {
    name: &'static str,
    jobs: mpsc::Sender<Job>,
}

impl LaneThread {
    fn start(name: &'static str) -> LaneThread {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name(name.to_string())
            .spawn(move || queue.into_iter().for_each(|job| run(name, job)))
            .expect("the operating system has a thread for each lane: they are few and start with the node");
        LaneThread { name, jobs }
    }
}

fn run(name: &str, job: Job) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
        eprintln!("a job of lane \"{name}\" panicked; the jobs behind it rely on it: aborting");
        std::process::abort();
    }
}

impl Carrier for LaneThread {
    fn submit(&self, job: Job) {
        self.jobs.send(job).expect("the thread of a lane lives as long as its senders");
    }

    /// A worker of the runtime hands its other tasks to another thread first; that wakes one, but nobody waits for it.
    fn run_here(&self, job: Job) -> bool {
        match Handle::try_current() {
            Ok(runtime) if runtime.runtime_flavor() != RuntimeFlavor::MultiThread => return false,
            Ok(_) => tokio::task::block_in_place(|| run(self.name, job)),
            Err(_) => run(self.name, job),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Elapsed, TaskEnd, timeout};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    }

    #[test]
    fn lane_jobs_run_in_order_on_a_thread_of_that_name() {
        let runtime = runtime();
        let env = RealEnv::with_runtime(runtime.handle().clone());
        let lane = env.lane("log-writer");
        let (sender, receiver) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            lane.submit(move || sender.send(number).expect("the test waits"));
        }
        let name = runtime.block_on(lane.run(|| std::thread::current().name().map(str::to_string)));
        assert_eq!(name.as_deref(), Some("log-writer"));
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_job_that_may_block_runs_where_it_is_asked_for() {
        let here = || std::thread::current().id();
        let (sender, receiver) = mpsc::channel();
        let ask = |env: &RealEnv| {
            let sender = sender.clone();
            let lane = env.lane("log-writer");
            lane.run_here(move || sender.send(std::thread::current().id()).expect("the test waits"))
        };
        let many = runtime();
        let env = RealEnv::with_runtime(many.handle().clone());
        assert!(ask(&env));
        assert_eq!(receiver.try_recv(), Ok(here()));
        many.block_on(async {
            assert!(ask(&env));
            assert_eq!(receiver.try_recv(), Ok(here()));
        });
        // On a runtime of one thread everything else would stand still.
        let single = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        single.block_on(async {
            assert!(!ask(&env));
            assert!(receiver.try_recv().is_err());
        });
    }

    #[test]
    fn timers_tasks_and_aborts_work_from_outside_the_runtime() {
        let runtime = runtime();
        let env = RealEnv::with_runtime(runtime.handle().clone());
        let endless = env.spawn("endless", Box::pin(std::future::pending()));
        endless.abort();
        let sleeper = env.spawn("sleeper", env.sleep(Duration::from_millis(5)));
        let panicking = env.spawn("panicking", Box::pin(async { panic!("on purpose") }));
        runtime.block_on(async {
            assert_eq!(endless.join().await, TaskEnd::Aborted);
            assert_eq!(sleeper.join().await, TaskEnd::Finished);
            assert_eq!(panicking.join().await, TaskEnd::Panicked);
            assert!(env.monotonic() >= Duration::from_millis(5));
            let waited = timeout(&*env, Duration::from_millis(5), std::future::pending::<()>()).await;
            assert_eq!(waited, Err(Elapsed));
            assert_eq!(timeout(&*env, Duration::ZERO, async { 7 }).await, Ok(7));
        });
    }

    #[test]
    fn entropy_differs_from_call_to_call_and_the_wall_clock_is_of_this_age() {
        let runtime = runtime();
        let env = RealEnv::with_runtime(runtime.handle().clone());
        assert_ne!(env.entropy(), env.entropy());
        assert!(env.wall().unix_seconds() > 1_700_000_000);
    }
}
