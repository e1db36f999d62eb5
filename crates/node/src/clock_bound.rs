//! The clock's upper bound on disk: what makes sure that a restarted node never gives out a timestamp again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use clock::{Clock, ClockConfig, WallSource};
use env::Env;
use keys::local::{StoreItem, store_item};
use kvapi::planted::Bug;
use stdx::WallTime;
use storage::{Durability, Engine, Keyspace, WriteBatch};

use crate::NodeConfig;

/// How often the bound is looked at: several times within its lead of seconds.
const RENEWAL_INTERVAL: Duration = Duration::from_millis(500);

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

fn persist(engine: &dyn Engine, clock: &Clock) -> anyhow::Result<()> {
    let Some(bound) = clock.bound_to_persist() else { return Ok(()) };
    let mut batch = WriteBatch::new();
    let key = store_item(StoreItem::ClockUpperBound);
    batch.put(Keyspace::StoreLocal, &key, &bound.unix_nanos().to_be_bytes());
    engine.write(&batch, Durability::Synced).context("the clock's bound cannot be written")?;
    clock.bound_persisted(bound);
    Ok(())
}

/// The node's clock, above every timestamp that an earlier process on this store can have given out.
pub fn open(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, config: &NodeConfig) -> anyhow::Result<Arc<Clock>> {
    let key = store_item(StoreItem::ClockUpperBound);
    let stored = engine.get(Keyspace::StoreLocal, &key).context("the clock's bound cannot be read")?;
    let persisted = match stored.as_deref() {
        _ if config.planted.has(Bug::ForgetClockBound) => None,
        None => None,
        Some(bytes) => {
            let bytes = bytes.try_into().ok().context("the clock's bound on disk is damaged")?;
            Some(WallTime::from_unix_nanos(u64::from_be_bytes(bytes)))
        }
    };
    let config = ClockConfig { offset_max: config.clock_offset_max, ..ClockConfig::default() };
    let clock = Arc::new(Clock::bounded(EnvClock(env.clone()), config, persisted));
    persist(&**engine, &clock)?;
    Ok(clock)
}

/// Keeps the bound ahead of the clock until the node is gone.
pub fn keep(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, clock: &Arc<Clock>) {
    let lane = env.lane("clock-bound");
    let (weak_clock, weak_engine): (Weak<Clock>, Weak<dyn Engine>) =
        (Arc::downgrade(clock), Arc::downgrade(engine));
    let timer = env.clone();
    let task = async move {
        loop {
            timer.sleep(RENEWAL_INTERVAL).await;
            let (Some(clock), Some(engine)) = (weak_clock.upgrade(), weak_engine.upgrade()) else { return };
            if let Err(jump) = clock.audit() {
                tracing::warn!(%jump, "the machine's clock was changed");
            }
            let result = lane.run(move || persist(&*engine, &clock)).await;
            if let Err(error) = result {
                // The clock stands still rather than pass a bound that is not on disk: correct, and slow to show.
                tracing::error!(error = %format!("{error:#}"), "the clock cannot advance");
            }
        }
    };
    drop(env.spawn("clock-bound", Box::pin(task)));
}
