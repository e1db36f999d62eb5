//! The clock's upper bound on disk: what makes sure that a restarted node never gives out a timestamp again, and what tells other nodes
//! whether a data folder is older than what they have heard of its node (see `rpc::identity`).
//!
//! For the second the bound counts as it was *found*, and opening the clock raises it. So what was found is kept in an item of its own
//! until another node has welcomed the process, and is put back if one refuses the folder as old: an old folder does not become a new one
//! by being started twice. The node tells nobody its clock before that item is gone, so that nobody holds it against a sound one.

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

fn read(engine: &dyn Engine, item: StoreItem) -> anyhow::Result<Option<WallTime>> {
    let stored =
        engine.get(Keyspace::StoreLocal, &store_item(item)).context("the clock's bound cannot be read")?;
    let Some(bytes) = stored else { return Ok(None) };
    let bytes = bytes[..].try_into().ok().context("the clock's bound on disk is damaged")?;
    Ok(Some(WallTime::from_unix_nanos(u64::from_be_bytes(bytes))))
}

/// The bound as the last process that others have welcomed has left it. Before the clock is opened.
pub fn found(engine: &dyn Engine, config: &NodeConfig) -> anyhow::Result<Option<WallTime>> {
    let Some(stored) = stored(engine, config)? else { return Ok(None) };
    if let Some(found) = read(engine, StoreItem::BoundFound)? {
        return Ok(Some(found));
    }
    suspect(engine, stored)?;
    Ok(Some(stored))
}

/// Keeps what was found for the next process.
pub fn suspect(engine: &dyn Engine, found: WallTime) -> anyhow::Result<()> {
    write(engine, StoreItem::BoundFound, found)
}

/// Other nodes have welcomed this process: for the next one the bound counts as it is.
pub fn vouch(engine: &dyn Engine) -> anyhow::Result<()> {
    let mut batch = WriteBatch::new();
    batch.delete(Keyspace::StoreLocal, &store_item(StoreItem::BoundFound));
    engine.write(&batch, Durability::Synced).context("that others have welcomed this node cannot be written")
}

fn persist(engine: &dyn Engine, clock: &Clock) -> anyhow::Result<()> {
    let Some(bound) = clock.bound_to_persist() else { return Ok(()) };
    write(engine, StoreItem::ClockUpperBound, bound)?;
    clock.bound_persisted(bound);
    Ok(())
}

fn write(engine: &dyn Engine, item: StoreItem, bound: WallTime) -> anyhow::Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(Keyspace::StoreLocal, &store_item(item), &bound.unix_nanos().to_be_bytes());
    engine.write(&batch, Durability::Synced).context("the clock's bound cannot be written")
}

/// The bound that an earlier process on this store has left.
fn stored(engine: &dyn Engine, config: &NodeConfig) -> anyhow::Result<Option<WallTime>> {
    if config.planted.has(Bug::ForgetClockBound) {
        return Ok(None);
    }
    read(engine, StoreItem::ClockUpperBound)
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
    write(engine, StoreItem::ClockUpperBound, clock.seal())
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
    fn an_old_folder_does_not_become_a_new_one_by_being_started_twice() {
        let simulation = Simulation::new(1);
        let env: Arc<dyn Env> = simulation.machine();
        let engine: Arc<dyn Engine> = MemoryDisk::new().open(MemoryOptions::default()).expect("a new disk");
        let config = NodeConfig::default();
        let found = || found(&*engine, &config).expect("it can be read");
        assert_eq!(found(), None, "nothing was given out");
        open(&env, &engine, &config).expect("a clock");
        let first = found().expect("a process was here");
        open(&env, &engine, &config).expect("a clock");
        assert!(stored(&*engine, &config).expect("it can be read") > Some(first), "it was raised");
        assert_eq!(found(), Some(first), "nobody has welcomed the process between");
        vouch(&*engine).expect("it can be written");
        let second = found().expect("a process was here");
        assert!(second > first);
        vouch(&*engine).expect("it can be written");
        open(&env, &engine, &config).expect("a clock");
        // One has welcomed it, another one has refused it.
        suspect(&*engine, second).expect("it can be written");
        assert_eq!(found(), Some(second));
    }

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
