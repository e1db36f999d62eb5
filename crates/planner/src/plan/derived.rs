//! A place for what a later layer derives from a plan or a table.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};
use types::{PgError, PgResult};

/// Filled once, by whoever executes; shared by all users of the plan or table. A clone is empty.
#[derive(Default)]
pub struct Derived(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Derived {
    /// What is kept here, made at first use. Two that make it at the same time both succeed; one result is kept.
    pub fn get_or_make<T, F>(&self, make: F) -> PgResult<Arc<T>>
    where
        T: Any + Send + Sync,
        F: FnOnce() -> PgResult<T>,
    {
        let kept = match self.0.get() {
            Some(kept) => kept,
            None => {
                let made: Arc<dyn Any + Send + Sync> = Arc::new(make()?);
                self.0.get_or_init(|| made)
            }
        };
        kept.clone().downcast::<T>().map_err(|_| PgError::internal("two layers derive different things"))
    }
}

impl Clone for Derived {
    fn clone(&self) -> Self {
        Derived::default()
    }
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derived")
    }
}
