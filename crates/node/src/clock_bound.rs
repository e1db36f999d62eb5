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

/// How long a node waits for the machine's clock at most: several times the lead of a bound, which is how far ahead it lies unless
/// the clock was set.
const PASS_TIME_MAX: Duration = Duration::from_secs(30);
/// How often it looks whether the clock was set meanwhile.
const PASS_LOOK_INTERVAL: Duration = Duration::from_millis(500);

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
    write(engine, bound)?;
    clock.bound_persisted(bound);
    Ok(())
}

fn write(engine: &dyn Engine, bound: WallTime) -> anyhow::Result<()> {
    let mut batch = WriteBatch::new();
    let key = store_item(StoreItem::ClockUpperBound);
    batch.put(Keyspace::StoreLocal, &key, &bound.unix_nanos().to_be_bytes());
    engine.write(&batch, Durability::Synced).context("the clock's bound cannot be written")
}

/// The bound that an earlier process on this store has left.
fn stored(engine: &dyn Engine, config: &NodeConfig) -> anyhow::Result<Option<WallTime>> {
    if config.planted.has(Bug::ForgetClockBound) {
        return Ok(None);
    }
    let key = store_item(StoreItem::ClockUpperBound);
    let stored = engine.get(Keyspace::StoreLocal, &key).context("the clock's bound cannot be read")?;
    let Some(bytes) = stored else { return Ok(None) };
    let bytes = bytes[..].try_into().ok().context("the clock's bound on disk is damaged")?;
    Ok(Some(WallTime::from_unix_nanos(u64::from_be_bytes(bytes))))
}

/// Waits until the machine's clock has passed everything that an earlier process on this store can have given out. For a node among
/// others, before it opens its clock: they would refuse timestamps from so far ahead, and drop whatever comes with them.
///
/// Nothing is written meanwhile: a process that dies while it waits leaves the next one no more to wait for.
pub async fn pass(env: &Arc<dyn Env>, engine: &dyn Engine, config: &NodeConfig) -> anyhow::Result<()> {
    let Some(bound) = stored(engine, config)? else { return Ok(()) };
    let ahead = || bound.since(env.wall()).map(|by| by + Duration::from_nanos(1));
    let Some(first) = ahead() else { return Ok(()) };
    anyhow::ensure!(
        first <= PASS_TIME_MAX,
        "the clock of this machine is {first:?} behind what an earlier process of this node may have given out: it was set back, or was wrong \
         before. Set the clock (is a time service such as chrony running?) and start the node again, or wait until that time has passed"
    );
    tracing::info!(wait = ?first, "waiting until the machine's clock has passed what an earlier process of this node may have given out");
    while let Some(by) = ahead() {
        env.sleep(by.min(PASS_LOOK_INTERVAL)).await;
    }
    Ok(())
}

/// The node's clock, above every timestamp that an earlier process on this store can have given out.
pub fn open(env: &Arc<dyn Env>, engine: &Arc<dyn Engine>, config: &NodeConfig) -> anyhow::Result<Arc<Clock>> {
    let persisted = stored(&**engine, config)?;
    let config = ClockConfig { offset_max: config.clock_offset_max, ..ClockConfig::default() };
    let clock = Arc::new(Clock::bounded(EnvClock(env.clone()), config, persisted));
    persist(&**engine, &clock)?;
    Ok(clock)
}

/// The node has stopped in order, and gives out no timestamp any more: the next process need not wait for what was kept in reserve.
pub fn seal(engine: &dyn Engine, clock: &Clock) -> anyhow::Result<()> {
    write(engine, clock.seal())
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

#[cfg(test)]
mod tests {
    use env::Simulation;
    use storage::{MemoryDisk, MemoryOptions};

    use super::*;

    #[test]
    fn a_node_among_others_waits_for_its_clock_and_refuses_one_that_was_set_back() {
        let simulation = Simulation::new(1);
        let env = simulation.machine();
        let engine: Arc<dyn Engine> = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
        let ended = simulation.block_on(Duration::from_secs(60), async move {
            let world: Arc<dyn Env> = env.clone();
            let config = NodeConfig::default();
            pass(&world, &*engine, &config).await.expect("nothing was given out yet");
            let before = open(&world, &engine, &config).expect("a clock").now();
            // The process dies: the next one gives out nothing before everybody would take it.
            pass(&world, &*engine, &config).await.expect("it waits");
            let clock = open(&world, &engine, &config).expect("a clock");
            assert!(clock.now() > before && clock.ahead_of_wall() == Duration::ZERO);
            // It stops in order: the next one does not wait.
            let last = clock.now();
            seal(&*engine, &clock).expect("it can be written");
            let began = world.monotonic();
            pass(&world, &*engine, &config).await.expect("there is nothing to wait for");
            assert!(world.monotonic() - began < Duration::from_millis(1));
            assert!(open(&world, &engine, &config).expect("a clock").now() > last);
            env.jump_wall(-3_600_000_000_000);
            let refusal = pass(&world, &*engine, &config).await.expect_err("an hour is not waited for");
            assert!(refusal.to_string().contains("behind what an earlier process"), "{refusal}");
        });
        ended.expect("it ends, and nothing panics");
    }
}
