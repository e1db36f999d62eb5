//! Deterministic simulation of whole nodes: the real node over a simulated world, under faults, judged by workloads.
//!
//! ```text
//!                        one thread, virtual time, one seed
//!   tester machine                                       node machine (crashes, restarts)
//!   ┌───────────────────────────────┐                    ┌─────────────────────────────────────────────┐
//!   │ workload clients ─▶ protocol ─┼── pipe of bytes ──▶│ pgserver ▶ sql ▶ kvclient ▶ kvserver ▶ Raft │
//!   │ checks                        │                    │                  storage::MemoryEngine      │
//!   └───────────────────────────────┘                    └──────────────────────┬──────────────────────┘
//!          faults: crashes, clocks, splits, slow disks, lost connections   MemoryDisk (outlives the process, loses
//!                                                                          what was not synced or flushed)
//! ```
//!
//! The node is started by the same `node::Node::start` as in production; what differs is its [`node::World`]. Clients speak the
//! PostgreSQL protocol over a pipe in memory, so that the protocol is part of what is simulated.
//!
//! - A *scenario* ([`Scenario`], a data file in `scenarios/`) says which workloads run under which faults.
//! - A *run* ([`run`]) of a scenario with a seed is one execution, the same one every time: [`Summary`] carries the
//!   fingerprints that show it.
//! - The invariants of the workloads are checked after every restart, and at the end with the recorded histories.
//! - That the checkers can fail is shown by taking safeguards of the node away, one by one ([`Flaws`], `tests/planted.rs`).
//! - A panic anywhere, an error logged by the node, a statement that has no answer, and a node that does not start again fail the
//!   run as well.
//!
//! - With several nodes, what Raft leaders say must never contradict what leaders have said before (`safety`), and at the end every range must
//!   serve within a bound, its replicas must hold the same, and nodes that are to leave must hold nothing.
//!
//! # Not simulated
//!
//! Files and RocksDB (the crash test of crate `meridian` has those), the real network (`wires` stands in its place), threads.

mod cluster;
mod failover;
mod faults;
mod machine;
mod members;
mod network;
mod protocol;
mod run;
mod safety;
mod scenario;
mod wires;
mod witness;

pub use failover::times_without_lease;
pub use run::{Failed, Flaws, Summary, replay_line, run, run_flawed};
pub use scenario::Scenario;
pub use witness::print_logs;
