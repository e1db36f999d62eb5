//! pg_catalog.
//!
//! | file | tables |
//! | --- | --- |
//! | `class`, `attribute`, `index` | relations, columns, indexes, constraints |
//! | `schema`, `roles` | namespaces, databases, collations; roles |
//! | `types`, `functions`, `operators`, `access` | what is built in |
//! | `depend` | dependencies and comments |
//! | `views` | pg_tables and the like |
//! | `session` | prepared statements, cursors |
//! | `settings`, `activity` | settings; sessions, locks, statistics |
//! | `absent`, `absent_statistics` | what there is none of |
//! | `descriptions`, `builtin_types`, `internal_functions`, `btree` | facts taken from PostgreSQL 15 |

mod absent;
mod absent_statistics;
mod access;
mod activity;
pub mod attribute;
pub mod btree;
pub mod builtin_types;
pub mod class;
pub mod depend;
pub mod descriptions;
pub mod functions;
mod index;
pub mod internal_functions;
pub mod operators;
mod roles;
pub mod schema;
mod session;
mod settings;
mod types;
mod views;

use super::Definition;

/// pg_namespace.oid of this schema.
pub const PG_CATALOG: u32 = 11;

pub static GROUPS: &[&[Definition]] = &[
    absent::TABLES,
    absent::UNKNOWN,
    absent_statistics::TABLES,
    access::TABLES,
    activity::TABLES,
    attribute::TABLES,
    class::TABLES,
    depend::TABLES,
    functions::TABLES,
    index::TABLES,
    operators::TABLES,
    roles::TABLES,
    schema::TABLES,
    session::TABLES,
    settings::TABLES,
    types::TABLES,
    views::TABLES,
];
