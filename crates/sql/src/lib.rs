//! Sessions, the statement life cycle, the catalog, schema changes, pg_catalog, settings.
//!
//! ```text
//!   pgserver ──▶ session::Session ──▶ planner ──▶ executor ──▶ kvclient
//!                    │  settings, transaction, prepared statements, portals
//!                    ├─▶ definition   CREATE, ALTER, DROP: changes descriptors in the session's transaction
//!                    └─▶ catalog      the picture of all descriptors, shared by all sessions
//! ```
//!
//! This crate never touches a storage engine: everything it keeps is rows of the KV layer, written in transactions.

pub mod advisory_locks;
pub mod cancel;
pub mod catalog;
mod catalog_functions;
pub mod cluster;
pub mod cluster_locks;
pub mod cluster_settings;
mod constraints;
mod definition;
pub mod garbage;
mod jobs;
pub mod notifications;
mod outcomes;
mod planning;
mod privileges;
pub mod sequences;
pub mod server;
pub mod session;
pub mod settings;
mod small_transaction;
pub mod statistics;
pub mod table_locks;
mod virtual_tables;

pub use executor::spill;
pub use planning::StatementCatalog;
pub use server::{SqlBackend, SqlOptions, SqlServer};
