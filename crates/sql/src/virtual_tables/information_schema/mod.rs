//! information_schema, as PostgreSQL's views fill it.
//!
//! Domains of the standard (sql_identifier, character_data, cardinal_number, yes_or_no, time_stamp) show as the types that they
//! are based on, which is also what PostgreSQL tells clients.

mod absent;
pub mod columns;
mod constraints;
mod domains;
mod privileges;
mod routines;
mod standard;
pub mod tables;

use super::Definition;

pub static GROUPS: &[&[Definition]] = &[
    absent::TABLES,
    columns::TABLES,
    constraints::TABLES,
    domains::TABLES,
    privileges::TABLES,
    routines::TABLES,
    standard::TABLES,
    tables::TABLES,
];
