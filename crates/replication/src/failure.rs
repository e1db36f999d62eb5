//! A store that has failed stays failed: after a write error nobody knows what is on disk.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::channel::oneshot;
use parking_lot::Mutex;

use crate::Stopped;

/// Whether and why the store has stopped, and who wants to know.
#[derive(Default)]
pub(crate) struct Failure {
    is_failed: AtomicBool,
    reason: OnceLock<String>,
    watchers: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Failure {
    pub fn is_failed(&self) -> bool {
        self.is_failed.load(Ordering::Acquire)
    }

    pub fn reason(&self) -> Option<Stopped> {
        self.reason.get().map(|reason| Stopped(reason.clone()))
    }

    /// Stops the store. False if it has stopped before.
    pub fn set(&self, reason: &str) -> bool {
        if self.reason.set(reason.to_string()).is_err() {
            return false;
        }
        self.is_failed.store(true, Ordering::Release);
        for watcher in self.watchers.lock().drain(..) {
            // Who no longer waits does not need to know.
            let _ = watcher.send(());
        }
        true
    }

    /// Completes with the next failure, or at once if there was one.
    pub fn watch(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut watchers = self.watchers.lock();
        // Under the lock: a failure set before this is seen here, one set after it finds the watcher.
        if self.is_failed() {
            let _ = sender.send(());
        } else {
            watchers.push(sender);
        }
        receiver
    }
}
