//! The node's clock: `Env` as its source, and an eye on jumps.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use clock::{Clock, ClockConfig, WallSource};
use env::Env;
use stdx::WallTime;
use storage::Engine;

/// How often the wall clock is compared with the time that has passed.
const AUDIT_INTERVAL: Duration = Duration::from_secs(1);

/// `Env` as the clock wants it.
struct EnvClock(Arc<dyn Env>);

impl WallSource for EnvClock {
    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
}

/// The node's clock, above every timestamp that an earlier process on this store can have given out.
pub fn open(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, offset_max: Duration) -> anyhow::Result<Arc<Clock>> {
    let persisted = kvserver::clock_bound::load(&**engine).context("the clock's bound cannot be read")?;
    let config = ClockConfig { offset_max, ..ClockConfig::default() };
    let clock = Arc::new(Clock::bounded(EnvClock(env.clone()), config, persisted));
    kvserver::clock_bound::persist(&**engine, &clock).context("the clock's bound cannot be written")?;
    Ok(clock)
}

/// Keeps the bound ahead of the clock and reports jumps, until the node is gone.
pub fn watch(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, clock: &Arc<Clock>) {
    let keep = kvserver::clock_bound::keep(env.clone(), engine.clone(), Arc::downgrade(clock));
    drop(env.spawn("clock-bound", Box::pin(keep)));
    drop(env.spawn("clock-audit", Box::pin(audit(env.clone(), Arc::downgrade(clock)))));
}

async fn audit(env: Arc<dyn Env>, clock: Weak<Clock>) {
    loop {
        env.sleep(AUDIT_INTERVAL).await;
        let Some(clock) = clock.upgrade() else { return };
        if let Err(jump) = clock.audit() {
            tracing::warn!(%jump, "the machine's clock was changed");
        }
    }
}
