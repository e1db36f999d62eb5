//! The seam to the real world: time, timers, tasks, blocking work, entropy.
//!
//! Everything above this crate that needs one of these takes an `Arc<dyn Env>`. Two exist:
//!
//! - [`RealEnv`]: tokio's runtime, the machine's clocks, an operating-system thread per [`Lane`].
//! - [`SimEnv`]: one machine of a [`Simulation`], which is a seeded single-threaded scheduler with virtual
//!   time. All machines of a cluster share one scheduler, each has a wall clock of its own that can be
//!   skewed and made to jump, and each can crash.
//!
//! `Instant::now`, `SystemTime::now`, `std::thread::spawn`, `tokio::spawn`, `tokio::time` and thread-local
//! randomness appear in this crate alone; a lint and a test see to it. Code that follows the rule runs
//! in simulation, and one seed gives one execution.
//!
//! What stays deterministic without passing through here: `tokio::sync` and `futures` channels, locks and
//! `select!` with `biased`. What does not: iterating a randomly seeded hash map, `tokio::net`, the file
//! system; the engines and transports behind the storage and network seams own those.
//!
//! # Blocking work
//!
//! An fsync must not block an async worker, and its jobs must stay in order. A [`Lane`] is a named queue of
//! blocking jobs that run one after the other: on a thread of its own in production; as a task of the
//! scheduler in simulation, with a drawn virtual duration before each job. A log writer that
//! wants one thread switch per sync rather than one per request pushes its requests into a shared queue and
//! submits a job that drains it:
//!
//! ```text
//!   requests --> [queue] --(first one submits)--> lane job: loop { take all; write; fsync; answer } until empty
//! ```

// The one crate that the ban of clippy.toml exists for.
#![allow(clippy::disallowed_methods)]

mod lane;
mod real;
mod sim;
mod task;
mod timeout;
pub mod trace;

use std::sync::Arc;
use std::time::Duration;

pub use futures::future::BoxFuture;
pub use lane::{Job, Lane};
pub use real::RealEnv;
pub use sim::{Ended, SimEnv, Simulation};
pub use stdx::WallTime;
pub use task::{TaskEnd, TaskHandle};
pub use timeout::{Elapsed, timeout, timeout_at, yield_now};

/// What a component may ask of the world. Shared as `Arc<dyn Env>`.
pub trait Env: Send + Sync + 'static {
    /// Time since an arbitrary origin. Never goes back; the origin is the same for every user of this `Env`.
    fn monotonic(&self) -> Duration;

    /// The machine's wall clock. May jump in both directions: only `clock` reads it.
    fn wall(&self) -> WallTime;

    /// Completes once [`Env::monotonic`] has reached `deadline`. Dropping the future cancels the timer.
    fn sleep_until(&self, deadline: Duration) -> BoxFuture<'static, ()>;

    /// Starts a task. It runs whether or not the handle is kept; dropping the handle detaches it.
    ///
    /// `name` is for people: traces, dumps. A panic in the task ends that task alone, and `join` tells it.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle;

    /// Opens a lane for blocking work. Its jobs run one at a time, in the order of submission.
    fn lane(&self, name: &'static str) -> Lane;

    /// 64 bits of randomness: unpredictable in production, drawn from the seed in simulation.
    ///
    /// To seed a [`stdx::Prng`] per component, and for identifiers; not for key material.
    fn entropy(&self) -> u64;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.monotonic().saturating_add(duration))
    }
}

/// Starts a task that gives a value, and returns a future for that value.
///
/// The future gives `None` if the task was aborted, panicked, or its machine crashed.
pub fn spawn_with_result<T, F>(
    env: &Arc<dyn Env>,
    name: &'static str,
    task: F,
) -> impl Future<Output = Option<T>> + Send + use<T, F>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (sender, receiver) = futures::channel::oneshot::channel();
    drop(env.spawn(
        name,
        Box::pin(async move {
            // The receiver may be gone: nobody waits for the value, and that is all right.
            let _ = sender.send(task.await);
        }),
    ));
    async move { receiver.await.ok() }
}
