//! Small batches made into larger ones.

use types::{BATCH_ROWS_MAX, Batch};

/// Gathers batches until there are rows enough.
#[derive(Default)]
pub(crate) struct Coalesce {
    held: Option<Batch>,
}

impl Coalesce {
    /// Adds a batch; answers with one that is large enough, if there is.
    pub fn push(&mut self, batch: Batch) -> Option<Batch> {
        let held = match self.held.take() {
            None => batch,
            Some(mut held) => {
                held.append(&batch);
                held
            }
        };
        if held.rows >= BATCH_ROWS_MAX / 2 {
            return Some(held);
        }
        self.held = Some(held);
        None
    }

    /// What is left.
    pub fn take(&mut self) -> Option<Batch> {
        self.held.take().filter(|held| held.rows > 0)
    }
}
