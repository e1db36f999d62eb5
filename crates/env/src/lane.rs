//! Lanes: blocking work in order, off the async workers.

use std::fmt;
use std::sync::Arc;

use futures::channel::oneshot;

/// A piece of blocking work.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// What carries the jobs: a thread in production, a scheduled task in simulation.
pub(crate) trait Carrier: Send + Sync {
    fn submit(&self, job: Job);

    /// Runs a job on the calling thread. False, and it is dropped, if that must not block.
    fn run_here(&self, job: Job) -> bool;
}

/// A named queue of blocking jobs, run one at a time in the order of submission. Clones share the queue.
///
/// - Jobs that were submitted before the last clone is dropped still run; then the thread ends. Only a
///   crash of a simulated machine drops queued jobs.
/// - A lane has no bound of its own: the submitter bounds what it has outstanding.
/// - A panic in a job ends the process: the jobs behind it rely on its effects. In simulation it fails the run.
/// - A job must not wait for a later job of its own lane.
#[derive(Clone)]
pub struct Lane {
    name: &'static str,
    carrier: Arc<dyn Carrier>,
}

impl Lane {
    pub(crate) fn new(name: &'static str, carrier: Arc<dyn Carrier>) -> Lane {
        Lane { name, carrier }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Queues a job and returns at once. Never blocks; may be called from anywhere, jobs included.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.carrier.submit(Box::new(job));
    }

    /// Runs a job on the calling thread before it returns, if that thread may block; else drops it and gives false. To spare a
    /// switch of threads where the caller waits for the job anyway.
    ///
    /// A job that runs here has no place in the order of the lane and may overlap with the lane's own: who uses this excludes
    /// them otherwise. The caller holds no lock that the job takes.
    pub fn run_here(&self, job: impl FnOnce() + Send + 'static) -> bool {
        self.carrier.run_here(Box::new(job))
    }

    /// Queues a job at once (not at the first poll) and returns a future for its result.
    ///
    /// Dropping the future does not cancel the job. The future never completes if the machine crashed in simulation.
    pub fn run<T, F>(&self, job: F) -> impl Future<Output = T> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        self.submit(move || {
            // Nobody waits any more: the job's effect was the point.
            let _ = sender.send(job());
        });
        async move {
            match receiver.await {
                Ok(value) => value,
                // The job was dropped unrun: its machine is gone, and so soon is whoever waits here.
                Err(oneshot::Canceled) => std::future::pending().await,
            }
        }
    }

    /// Completes when everything submitted before has run.
    pub fn barrier(&self) -> impl Future<Output = ()> + Send + use<> {
        self.run(|| ())
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("name", &self.name).finish_non_exhaustive()
    }
}
