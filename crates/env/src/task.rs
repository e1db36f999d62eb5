//! Handles of spawned tasks.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::sim::SimTask;

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// It ran to its end.
    Finished,
    /// It was aborted, or its runtime or simulated machine went away.
    Aborted,
    /// It panicked. The message went to the panic hook.
    Panicked,
}

/// A spawned task. Dropping the handle detaches the task; it goes on.
///
/// As a future it gives how the task ended, and can be polled again only until then.
#[must_use = "dropping a handle detaches the task: say so with drop()"]
pub struct TaskHandle {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Tokio(tokio::task::JoinHandle<()>),
    Sim(Arc<SimTask>),
}

impl TaskHandle {
    pub(crate) fn tokio(name: &'static str, handle: tokio::task::JoinHandle<()>) -> TaskHandle {
        TaskHandle { name, kind: Kind::Tokio(handle) }
    }

    pub(crate) fn sim(name: &'static str, task: Arc<SimTask>) -> TaskHandle {
        TaskHandle { name, kind: Kind::Sim(task) }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks the task to stop at its next suspension point. Its destructors run; they may run a little later.
    pub fn abort(&self) {
        match &self.kind {
            Kind::Tokio(handle) => handle.abort(),
            Kind::Sim(task) => task.abort(),
        }
    }

    pub fn is_finished(&self) -> bool {
        match &self.kind {
            Kind::Tokio(handle) => handle.is_finished(),
            Kind::Sim(task) => task.end().is_some(),
        }
    }

    /// Waits for the end. Cancellation-safe: dropping the future detaches the task, as dropping the handle does.
    pub async fn join(self) -> TaskEnd {
        self.await
    }
}

impl Future for TaskHandle {
    type Output = TaskEnd;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TaskEnd> {
        match &mut self.kind {
            Kind::Tokio(handle) => Pin::new(handle).poll(context).map(|result| match result {
                Ok(()) => TaskEnd::Finished,
                Err(error) if error.is_panic() => TaskEnd::Panicked,
                Err(_) => TaskEnd::Aborted,
            }),
            Kind::Sim(task) => task.poll_end(context),
        }
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("name", &self.name).field("finished", &self.is_finished()).finish()
    }
}
