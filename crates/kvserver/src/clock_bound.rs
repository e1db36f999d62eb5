//! The clock's upper bound on disk: reads leave no trace, so a restart must not place a write below one that was served before.
//! See `clock`.

use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::{Clock, WallTime};
use env::Env;
use keys::local::{StoreItem, store_item};
use storage::{Durability, Engine, Keyspace, StorageError, WriteBatch};

/// How often the bound is looked at. Far below half of the lead that it is given.
const INTERVAL: Duration = Duration::from_millis(200);

/// The bound that an earlier process left: for `Clock::bounded`.
pub fn load(engine: &dyn Engine) -> Result<Option<WallTime>, StorageError> {
    let Some(stored) = engine.get(Keyspace::StoreLocal, &store_item(StoreItem::ClockUpperBound))? else {
        return Ok(None);
    };
    let bytes = <[u8; 8]>::try_from(&stored[..]);
    let bytes = bytes.map_err(|_| StorageError::corruption("the stored clock bound is malformed"))?;
    Ok(Some(WallTime::from_unix_nanos(u64::from_be_bytes(bytes))))
}

/// Moves the bound ahead if it is due. Blocks on the disk. To be called once before the clock is used, and then by
/// [`keep`].
pub fn persist(engine: &dyn Engine, clock: &Clock) -> Result<(), StorageError> {
    let Some(bound) = clock.bound_to_persist() else { return Ok(()) };
    let mut batch = WriteBatch::new();
    let key = store_item(StoreItem::ClockUpperBound);
    batch.put(Keyspace::StoreLocal, &key, &bound.unix_nanos().to_be_bytes());
    engine.write(&batch, Durability::Synced)?;
    clock.bound_persisted(bound);
    Ok(())
}

/// Keeps the bound ahead for as long as the clock is in use. Ends with an error of the disk: the clock then stands still at the
/// bound, which is safe.
pub async fn keep(env: Arc<dyn Env>, engine: Arc<dyn Engine>, clock: Weak<Clock>) {
    let lane = env.lane("clock-bound");
    while let Some(clock) = clock.upgrade() {
        let engine = engine.clone();
        if let Err(error) = lane.run(move || persist(&*engine, &clock)).await {
            tracing::error!(%error, "the clock's bound cannot be stored");
            return;
        }
        env.sleep(INTERVAL).await;
    }
}
