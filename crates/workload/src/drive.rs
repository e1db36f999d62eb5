//! Running clients: each a task that does step after step, through lost connections, until told to stop.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env::{Env, TaskEnd, TaskHandle};
use parking_lot::Mutex;
use stdx::{Backoff, Prng};

use crate::client::{Client, Connector, Failure};
use crate::journal::Journal;
use crate::workload::{ClientNumber, Seat, Trouble, Violation, Workload};

/// Waits between attempts to connect.
const RECONNECT_WAIT: Range<Duration> = Duration::from_millis(5)..Duration::from_millis(200);
/// How often a check that could not be carried out is tried again.
const CHECK_ATTEMPTS_MAX: u32 = 50;

/// How a run is driven.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    pub clients: u32,
    /// Time that a client lets pass between two steps, drawn.
    pub pause: Range<Duration>,
}

/// Running clients.
pub struct Drive {
    shared: Arc<Shared>,
    clients: Vec<TaskHandle>,
}

struct Shared {
    env: Arc<dyn Env>,
    connector: Arc<dyn Connector>,
    workloads: Vec<Arc<dyn Workload>>,
    journal: Arc<Journal>,
    pause: Range<Duration>,
    stop: AtomicBool,
    violation: Mutex<Option<Violation>>,
}

impl Drive {
    /// Starts the clients on `env`; at every step each draws one of the workloads.
    pub fn start(
        env: Arc<dyn Env>,
        connector: Arc<dyn Connector>,
        workloads: Vec<Arc<dyn Workload>>,
        journal: Arc<Journal>,
        options: DriveOptions,
        mut prng: Prng,
    ) -> Drive {
        assert!(!workloads.is_empty(), "clients need something to do");
        let shared = Arc::new(Shared {
            env: env.clone(),
            connector,
            workloads,
            journal,
            pause: options.pause,
            stop: AtomicBool::new(false),
            violation: Mutex::new(None),
        });
        let start = |number| {
            let client = run_client(shared.clone(), ClientNumber(number), prng.fork());
            env.spawn("workload-client", Box::pin(client))
        };
        let clients = (0..options.clients).map(start).collect();
        Drive { shared, clients }
    }

    /// What a client has found so far.
    pub fn violation(&self) -> Option<Violation> {
        self.shared.violation.lock().clone()
    }

    /// Lets every client finish its step, and ends them.
    pub async fn stop(self) -> Result<(), Violation> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            if client.join().await == TaskEnd::Panicked {
                return Err(Violation::new("drive", "a client panicked"));
            }
        }
        self.shared.violation.lock().take().map_or(Ok(()), Err)
    }
}

async fn run_client(shared: Arc<Shared>, number: ClientNumber, mut prng: Prng) {
    while let Some(client) = connect(&shared, &mut prng).await {
        let (own, journal) = (prng.fork(), shared.journal.clone());
        let mut seat = Seat { number, prng: own, client, journal, lost: false };
        while !seat.lost {
            if shared.stop.load(Ordering::Relaxed) {
                return;
            }
            let workload = shared.workloads[seat.prng.index(shared.workloads.len())].clone();
            if let Err(violation) = workload.step(&mut seat).await {
                shared.journal.note(format_args!("client {}: {violation}", number.0));
                shared.violation.lock().get_or_insert(violation);
                shared.stop.store(true, Ordering::Relaxed);
                return;
            }
            pause(&shared, &mut seat.prng).await;
        }
    }
}

async fn pause(shared: &Shared, prng: &mut Prng) {
    let spread = shared.pause.end.saturating_sub(shared.pause.start).as_nanos() as u64;
    let wait = shared.pause.start + Duration::from_nanos(prng.below(spread.max(1)));
    if !wait.is_zero() {
        shared.env.sleep(wait).await;
    }
}

/// Tries until there is a connection; `None` when the clients are to stop.
async fn connect(shared: &Shared, prng: &mut Prng) -> Option<Box<dyn Client>> {
    let mut backoff = Backoff::new(RECONNECT_WAIT.start, RECONNECT_WAIT.end);
    loop {
        if shared.stop.load(Ordering::Relaxed) {
            return None;
        }
        match shared.connector.connect().await {
            Ok(client) => return Some(client),
            Err(_) => shared.env.sleep(backoff.next_wait(prng)).await,
        }
    }
}

/// Carries out every workload's check, each on a connection of its own, through lost connections and conflicts.
///
/// Fails with what a check found, or when one could not be carried out for all the attempts.
pub async fn checked(
    env: &dyn Env,
    connector: &dyn Connector,
    workloads: &[Arc<dyn Workload>],
    journal: &Journal,
    prng: &mut Prng,
) -> Result<(), Violation> {
    for workload in workloads {
        let mut backoff = Backoff::new(RECONNECT_WAIT.start, RECONNECT_WAIT.end);
        loop {
            let failure = match check_once(connector, &**workload, journal).await {
                Ok(()) => break,
                Err(Trouble::Found(violation)) => return Err(violation),
                Err(Trouble::Failed(failure)) => failure,
            };
            if !failure.is_expected() || backoff.attempts() >= CHECK_ATTEMPTS_MAX {
                let told = format!("the check cannot be carried out: {failure}");
                return Err(Violation::new(workload.name(), told));
            }
            env.sleep(backoff.next_wait(prng)).await;
        }
    }
    Ok(())
}

async fn check_once(
    connector: &dyn Connector,
    workload: &dyn Workload,
    journal: &Journal,
) -> Result<(), Trouble> {
    let mut client = connector.connect().await.map_err(|failure: Failure| Trouble::Failed(failure))?;
    workload.check(&mut *client, journal).await
}
