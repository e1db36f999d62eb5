//! Sessions, the statement life cycle, the catalog, schema changes, pg_catalog, settings.

pub mod catalog;
pub mod settings;
pub mod table_locks;
