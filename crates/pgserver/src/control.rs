//! What a server knows of its connections, and how it reaches them from outside.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::cancel::CancelKey;

/// How far a shutdown has come. Only ever goes forward.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum Phase {
    Running,
    /// Nobody new; sessions leave when they are idle outside a transaction block.
    Draining,
    /// Statements are cancelled; sessions leave as soon as they have nothing to run.
    Terminating,
    /// Connections are cut off wherever they are.
    Killed,
}

impl Phase {
    fn from_byte(byte: u8) -> Phase {
        match byte {
            0 => Phase::Running,
            1 => Phase::Draining,
            2 => Phase::Terminating,
            _ => Phase::Killed,
        }
    }
}

/// One connection as seen from outside.
#[derive(Debug)]
pub(crate) struct ConnectionControl {
    phase: AtomicU8,
    /// Zero until there is a session.
    process_id: AtomicU32,
    cancel_key: Mutex<Option<CancelKey>>,
    /// Wakes the connection's task; registered anew at each of its polls.
    waker: AtomicWaker,
}

impl ConnectionControl {
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_byte(self.phase.load(Ordering::Acquire))
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process_id.load(Ordering::Relaxed)
    }

    fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        self.waker.wake();
    }
}

/// A connection's whole life, which ends at once in [`Phase::Killed`].
pub(crate) struct Supervised {
    pub(crate) registration: Registration,
    pub(crate) life: BoxFuture<'static, ()>,
}

impl Future for Supervised {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Registered before the phase is read, here and within: no change goes unnoticed.
        this.registration.control.waker.register(cx.waker());
        if this.registration.control.phase() == Phase::Killed {
            return Poll::Ready(());
        }
        this.life.as_mut().poll(cx)
    }
}

/// All connections of a server.
///
/// - A process id belongs to at most one live session; it is never 0 and fits a positive int4.
/// - `sessions` never grows beyond the bound it is asked with.
pub(crate) struct Registry {
    /// Held for moments only, never across an await, and no other lock is taken inside but a control's key.
    state: Mutex<RegistryState>,
    process_ids: Range<u32>,
    /// Told whenever a connection has gone.
    left: Notify,
    /// Wakes the accept loop.
    pub(crate) acceptor: AtomicWaker,
}

struct RegistryState {
    connections: BTreeMap<u64, Arc<ConnectionControl>>,
    next_connection: u64,
    sessions: BTreeMap<u32, u64>,
    next_process_id: u32,
    phase: Phase,
}

impl Registry {
    pub(crate) fn new(process_ids: Range<u32>) -> Arc<Self> {
        Arc::new(Registry {
            state: Mutex::new(RegistryState {
                connections: BTreeMap::new(),
                next_connection: 0,
                sessions: BTreeMap::new(),
                next_process_id: process_ids.start,
                phase: Phase::Running,
            }),
            process_ids,
            left: Notify::new(),
            acceptor: AtomicWaker::new(),
        })
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Connections of all kinds.
    pub(crate) fn connection_count(&self) -> usize {
        self.state.lock().connections.len()
    }

    /// Connections that have a session or are about to get one.
    pub(crate) fn session_count(&self) -> usize {
        self.state.lock().sessions.len()
    }

    /// Enters a connection.
    pub(crate) fn register(self: &Arc<Self>) -> Registration {
        let mut state = self.state.lock();
        let control = Arc::new(ConnectionControl {
            phase: AtomicU8::new(state.phase as u8),
            process_id: AtomicU32::new(0),
            cancel_key: Mutex::new(None),
            waker: AtomicWaker::new(),
        });
        let number = state.next_connection;
        state.next_connection += 1;
        state.connections.insert(number, control.clone());
        Registration { registry: self.clone(), number, control }
    }

    /// Takes the shutdown one step further for every connection; returns the cancel keys of the sessions.
    pub(crate) fn advance(&self, phase: Phase) -> Vec<CancelKey> {
        let mut state = self.state.lock();
        state.phase = state.phase.max(phase);
        let controls: Vec<_> = state.connections.values().cloned().collect();
        drop(state);
        self.acceptor.wake();
        controls
            .into_iter()
            .filter_map(|control| {
                control.advance(phase);
                control.cancel_key.lock().clone()
            })
            .collect()
    }

    /// Completes when no connection is left.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.connection_count() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// A connection's entry in the registry; leaves with it, and takes the session's place along.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    number: u64,
    pub(crate) control: Arc<ConnectionControl>,
}

impl Registration {
    /// What this connection shows to the outside, for the parts of it that live apart from this entry.
    pub(crate) fn seat(&self) -> Seat {
        Seat { registry: self.registry.clone(), number: self.number, control: self.control.clone() }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.registry.state.lock();
        state.connections.remove(&self.number);
        let process_id = self.control.process_id();
        if state.sessions.get(&process_id) == Some(&self.number) {
            state.sessions.remove(&process_id);
        }
        drop(state);
        self.registry.left.notify_waiters();
    }
}

/// Lets a connection take its place among the sessions.
pub(crate) struct Seat {
    registry: Arc<Registry>,
    number: u64,
    pub(crate) control: Arc<ConnectionControl>,
}

impl Seat {
    /// Takes a place and a process id, unless `sessions_max` are taken.
    pub(crate) fn take(&self, sessions_max: usize) -> Option<u32> {
        let mut state = self.registry.state.lock();
        if state.sessions.len() >= sessions_max {
            return None;
        }
        let process_id = loop {
            let candidate = state.next_process_id;
            let Range { start, end } = self.registry.process_ids.clone();
            state.next_process_id = if candidate + 1 >= end { start } else { candidate + 1 };
            if !state.sessions.contains_key(&candidate) {
                break candidate;
            }
        };
        state.sessions.insert(process_id, self.number);
        self.control.process_id.store(process_id, Ordering::Relaxed);
        Some(process_id)
    }

    /// Tells the outside how to cancel the session.
    pub(crate) fn set_cancel_key(&self, key: CancelKey) {
        *self.control.cancel_key.lock() = Some(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_ids_are_unique_among_the_living() {
        let registry = Registry::new(100..200);
        registry.state.lock().next_process_id = 199;
        let (first, second, third) = (registry.register(), registry.register(), registry.register());
        assert_eq!(first.seat().take(2), Some(199));
        assert_eq!(second.seat().take(2), Some(100));
        assert_eq!(third.seat().take(2), None);
        drop(first);
        registry.state.lock().next_process_id = 100;
        assert_eq!(third.seat().take(2), Some(101));
        assert_eq!((registry.connection_count(), registry.session_count()), (2, 2));
        drop((second, third));
        assert_eq!((registry.connection_count(), registry.session_count()), (0, 0));
    }
}
