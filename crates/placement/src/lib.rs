//! Where replicas and leases should be: pure functions over what is known of the nodes.
//!
//! A leaseholder asks [`decide`] what should become of its range. The answer depends on the range, on what is wanted of it
//! ([`RangeConfig`]) and on an [`Overview`] of the stores, which is made once per round and not once per range. There is no master and no
//! plan: every store decides for the ranges it leads, from news that are some seconds old. That this comes to rest is a matter
//! of arithmetic:
//!
//! - **One potential.** A store's fullness in a dimension (replicas, bytes, bytes written per second; leases, requests per second) is its
//!   amount over the mean. The potential is the sum of the squares over all stores and dimensions. A move for balance must lower it, and by
//!   more than its cost; so no sequence of moves returns to where it began, and their number is bounded.
//! - **Noise does not count.** A difference up to a twentieth of the mean (a seventh for rates, which swing), or up to what two ranges
//!   make, is none; a difference to the worse counts in full. So a move and its reverse are never both worth it.
//! - **Old news.** What a store has decided itself is added to the news until they must contain it ([`Ledger`]), and different
//!   ranges look at different samples of the emptier stores: the emptiest is not buried by everybody at once.
//! - **Bounds.** Moves for balance are counted ([`Budget`]); a range whose load is not known yet is not moved for its load.
//!
//! ```text
//!   news (kvapi::NodeInfo)   SQL: WITH (replicas = 5, constraints = '...')
//!        |                        |
//!    Overview  <-- Ledger     RangeConfig --> Policy (resolved against the overview)
//!        |                        |
//!        +-------> decide(range) <+  --> Decision: change replicas, transfer the lease, or nothing
//! ```
//!
//! | module | what |
//! | --- | --- |
//! | [`config`] | what is wanted of a range: its text and byte forms |
//! | [`spans`] | which span of the keyspace wants what |
//! | [`overview`] | the stores, by locality and fullness |
//! | [`decide`](mod@decide) | the rules, in their order |
//! | `exchange` | choosing which replica goes and where to |
//! | [`load`] | how much is asked of a range, measured without timers |
//! | [`pace`] | how many moves, and which are not in the news yet |

pub mod config;
pub mod decide;
mod exchange;
pub mod load;
pub mod overview;
pub mod pace;
pub mod spans;

pub use config::{Constraint, Constraints, InvalidConfig, LeasePreferences, RangeConfig, Rule};
pub use decide::{Decision, RangeView, decide, voters_of, waits_for_place};
pub use load::{RangeLoad, RateMeter};
pub use overview::{Amounts, Limits, Overview, Policy};
pub use pace::{Budget, Ledger};
pub use spans::{SpanConfig, SpanConfigs};
