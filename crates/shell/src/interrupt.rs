//! Ctrl-C while a query runs: asks the server to cancel it.
//!
//! While a line is being edited, the terminal hands Ctrl-C to the editor as a key, so that only a running query gets the
//! signal.

use std::sync::{Arc, Mutex};

use crate::client::CancelTarget;

/// The query that a Ctrl-C would cancel; `None` while none runs.
#[derive(Clone, Default)]
pub struct Interrupt {
    target: Arc<Mutex<Option<CancelTarget>>>,
}

impl Interrupt {
    /// Starts listening for the signal. Without a runtime or a thread for it, Ctrl-C goes on ending the process.
    pub fn listen(&self) {
        let target = Arc::clone(&self.target);
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        std::thread::spawn(move || {
            while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                let running = target.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
                match running {
                    Some(running) => {
                        eprintln!("Cancel request sent");
                        if let Err(error) = running.cancel() {
                            eprintln!("Could not send cancel request: {error}");
                        }
                    }
                    None => eprintln!(),
                }
            }
        });
    }

    pub fn set(&self, target: Option<CancelTarget>) {
        *self.target.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = target;
    }
}
