//! The composition root: what a node consists of, in which order it starts and stops.
//!
//! ```text
//!   World (Env, engine, transport)            production: RealEnv, RocksDB, nobody to send to yet
//!      |                                      simulation: SimEnv, memory engine, simulated network
//!   Node::start(config, world)
//!      clock, bounded by what is on disk ─▶ ranges ─▶ Raft groups (replay) ─▶ kvclient::Db ─▶ SqlServer
//!      |
//!   NodeServer: listeners around it           pgserver, HTTP; drains at shutdown
//! ```
//!
//! Production and simulation call the same [`Node::start`]; nothing below it chooses the real world.

mod clock_bound;
mod config;
mod drain;
#[cfg(feature = "rocks")]
mod identity;
#[cfg(feature = "rocks")]
mod join;
mod metrics;
mod overview;
mod server;
mod settings;
mod start;
#[cfg(feature = "rocks")]
mod steward;
#[cfg(feature = "rocks")]
mod upgrade;

pub use config::{Identity, Inbound, NodeConfig, World};
#[cfg(feature = "rocks")]
pub use server::ClusterOptions;
pub use server::{NodeServer, ServeOptions};
pub use start::Node;
