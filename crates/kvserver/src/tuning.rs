//! Values of a store that may change while it runs.
//!
//! They are told by whoever knows why (this crate knows of no settings): [`crate::Store::tune`]. Whoever needs one asks for it
//! each time; background work that sleeps by an interval sleeps anew when it has changed.

use std::time::Duration;

use env::Env;
use futures::channel::oneshot;
use parking_lot::{Mutex, RwLock};

use crate::store::StoreConfig;

/// What [`crate::Store::tune`] changes. The fields are explained at [`StoreConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreTuning {
    pub range_bytes_max: u64,
    pub range_bytes_min: u64,
    pub range_rate_max: u64,
    pub gc_ttl: Duration,
    pub sweep_interval: Duration,
    pub replicas: usize,
    pub system_replicas: usize,
    pub dead_after: Duration,
    pub replicate_interval: Duration,
    pub closed_lag: Duration,
    pub check_interval: Duration,
    /// Waits that have ended and are remembered: see [`crate::Contention`].
    pub contention_events_max: usize,
}

impl StoreTuning {
    /// As the store was started.
    pub fn of(config: &StoreConfig) -> StoreTuning {
        StoreTuning {
            range_bytes_max: config.range_bytes_max,
            range_bytes_min: config.range_bytes_min,
            range_rate_max: config.range_rate_max,
            gc_ttl: config.gc_ttl,
            sweep_interval: config.sweep_interval,
            replicas: config.replicas,
            system_replicas: config.system_replicas,
            dead_after: config.dead_after,
            replicate_interval: config.replicate_interval,
            closed_lag: config.closed_lag,
            check_interval: config.check_interval,
            contention_events_max: CONTENTION_EVENTS_MAX,
        }
    }
}

/// Waits that are remembered unless told otherwise.
pub const CONTENTION_EVENTS_MAX: usize = 1_000;

/// The values now in force. Lock order: leaves.
pub(crate) struct Tuning {
    current: RwLock<StoreTuning>,
    sleepers: Mutex<Vec<oneshot::Sender<()>>>,
}

impl Tuning {
    pub fn new(config: &StoreConfig) -> Tuning {
        Tuning { current: RwLock::new(StoreTuning::of(config)), sleepers: Mutex::default() }
    }

    pub fn get(&self) -> StoreTuning {
        *self.current.read()
    }

    pub fn set(&self, tuning: StoreTuning) {
        *self.current.write() = tuning;
        // Whoever sleeps by an interval looks at it anew.
        self.sleepers.lock().clear();
    }

    /// A pause of some length; false when it ended early because values have changed.
    pub fn pause(
        &self,
        env: &std::sync::Arc<dyn Env>,
        length: impl FnOnce(&StoreTuning) -> Duration,
    ) -> Pause {
        let (sender, changed) = oneshot::channel();
        let mut sleepers = self.sleepers.lock();
        sleepers.retain(|sleeper| !sleeper.is_canceled());
        sleepers.push(sender);
        // Read after the sender is in place: a change in between ends the pause.
        Pause { env: env.clone(), length: length(&self.get()), changed }
    }
}

/// See [`Tuning::pause`]. Does not keep the store alive.
pub(crate) struct Pause {
    env: std::sync::Arc<dyn Env>,
    length: Duration,
    changed: oneshot::Receiver<()>,
}

impl Pause {
    pub async fn is_over(self) -> bool {
        env::timeout(&*self.env, self.length, self.changed).await.is_err()
    }
}
