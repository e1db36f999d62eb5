//! What a session contributes to planning.

use std::collections::BTreeSet;

/// Settings that change the meaning or the plan of a statement. Part of the key of a plan cache.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// Name of the connected database: three-part names must begin with it.
    pub database: String,
    /// Schemas in which plain names are looked for, in order (`$user` already replaced). pg_catalog is searched first
    /// when it is not listed; the temporary schema before it, if `temporary_schema` is set.
    pub search_path: Vec<String>,
    pub temporary_schema: Option<String>,
    /// Names of rewrite passes that are switched off (for tests and for finding a wrong pass).
    pub disabled_passes: BTreeSet<String>,
    /// enable_seqscan and its relatives: a method that is off is used only when there is no other.
    pub methods: Methods,
}

/// PostgreSQL's enable_* settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods {
    pub sequential_scan: bool,
    pub index_scan: bool,
    pub hash_join: bool,
    pub nested_loop: bool,
    pub lookup_join: bool,
    pub hash_aggregate: bool,
}

impl Default for Methods {
    fn default() -> Self {
        Methods {
            sequential_scan: true,
            index_scan: true,
            hash_join: true,
            nested_loop: true,
            lookup_join: true,
            hash_aggregate: true,
        }
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            database: "postgres".into(),
            search_path: vec!["public".into()],
            temporary_schema: None,
            disabled_passes: BTreeSet::new(),
            methods: Methods::default(),
        }
    }
}
