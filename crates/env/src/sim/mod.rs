//! The simulated world.
//!
//! ```text
//!   Simulation (one per run: seed, virtual time, trace)
//!     Scheduler: tasks, runnable list, timers
//!        ^            ^            ^
//!      SimEnv 1     SimEnv 2     SimEnv 3      one per simulated machine: wall clock, entropy, alive or crashed
//! ```
//!
//! The scheduler repeats: fire the timers that are due; draw one of the runnable tasks by the seed;
//! poll it once; let a little virtual time pass. When nothing is runnable, time leaps to the next timer.
//! Every step goes into a running fingerprint: two runs with one seed must end with the same one, and a test
//! that compares them finds whatever escaped the seams.

mod machine;
mod scheduler;
mod simulation;
#[cfg(test)]
mod tests;
mod timers;

pub use machine::SimEnv;
pub(crate) use scheduler::SimTask;
pub use simulation::{Ended, Simulation};
