//! Arrows between crates go down, and foreign crates that shape a layer have their owners.
//!
//! The tables here are those of ARCHITECTURE.md. A new arrow upwards is a change of architecture: it changes
//! both, with reasons.

use std::collections::BTreeMap;

use super::manifest::Manifest;
use crate::workspace::root;

/// The crates by layer; a crate may use those of lower layers only.
const LAYERS: [&[&str]; 9] = [
    &["stdx", "proto"],
    &["env", "clock", "keys", "raft"],
    &["kvapi", "types"],
    &["storage", "concurrency", "placement", "kvclient", "expr", "pgserver"],
    &["planner", "replication", "workload"],
    &["executor", "kvserver"],
    &["sql", "rpc", "admin", "sqltests"],
    &["node", "shell"],
    &["meridian", "sim"],
];

/// Foreign crates that shape a layer, and who may use them.
const OWNERS: [(&str, &[&str]); 13] = [
    ("prost", &["proto", "rpc"]),
    ("hybrid-clocks", &["clock"]),
    ("rocksdb", &["storage"]),
    ("crossbeam", &["concurrency", "storage", "replication"]),
    ("pgwire", &["pgserver"]),
    ("rustls", &["pgserver", "rpc", "shell"]),
    ("dashu-int", &["types"]),
    ("tonic", &["rpc"]),
    ("hyper", &["rpc"]),
    ("axum", &["admin"]),
    ("clap", &["meridian"]),
    ("rustyline", &["shell"]),
    ("sqllogictest", &["sqltests"]),
];

/// The async line: these have no async code, so they do not see a runtime either.
pub const WITHOUT_ASYNC: [&str; 12] = [
    "stdx",
    "proto",
    "clock",
    "keys",
    "raft",
    "kvapi",
    "types",
    "storage",
    "concurrency",
    "placement",
    "expr",
    "planner",
];

/// The SQL line: these know nothing of SQL.
pub const WITHOUT_SQL: [&str; 9] =
    ["raft", "storage", "concurrency", "placement", "kvapi", "kvclient", "replication", "kvserver", "rpc"];

const SQL_CRATES: [&str; 6] = ["types", "expr", "planner", "executor", "sql", "pgserver"];

/// These must not link RocksDB, not even through others.
const WITHOUT_ROCKSDB: [&str; 5] = ["sql", "planner", "kvclient", "pgserver", "shell"];

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|crates| crates.contains(&name))
}

fn manifests() -> BTreeMap<String, Manifest> {
    let mut manifests = BTreeMap::new();
    let crates = std::fs::read_dir(root().join("crates")).expect("the checkout has crates");
    for entry in crates {
        let folder = entry.expect("a readable folder").path();
        let file = folder.join("Cargo.toml");
        if file.is_file() {
            let manifest = Manifest::read(&file);
            let folder = folder.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            assert_eq!(folder, manifest.name, "a crate is named like its folder");
            manifests.insert(folder, manifest);
        }
    }
    assert!(manifests.len() > 20, "the crates of the workspace were found");
    manifests
}

fn assert_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn arrows_between_crates_go_down() {
    let manifests = manifests();
    let mut complaints = Vec::new();
    for (name, manifest) in &manifests {
        let Some(own) = layer(name) else {
            complaints.push(format!("{name}: has no layer; give it one here and in ARCHITECTURE.md"));
            continue;
        };
        for dependency in manifest.all().filter(|dependency| manifests.contains_key(*dependency)) {
            if layer(dependency).is_some_and(|other| other >= own) {
                complaints.push(format!("{name} -> {dependency}: this arrow does not go down"));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn foreign_crates_that_shape_a_layer_stay_with_their_owners() {
    let mut complaints = Vec::new();
    for (name, manifest) in &manifests() {
        for (foreign, owners) in OWNERS {
            if manifest.all().any(|dependency| dependency == foreign) && !owners.contains(&name.as_str()) {
                complaints.push(format!("{name} uses {foreign}, which belongs to {}", owners.join(", ")));
            }
        }
    }
    assert_none(complaints);
}

#[test]
fn no_runtime_above_the_async_line_and_no_sql_below_the_sql_line() {
    let manifests = manifests();
    let mut complaints = Vec::new();
    let mut forbid = |crates: &[&str], foreign: &[&str], why: &str| {
        for name in crates {
            let Some(manifest) = manifests.get(*name) else { continue };
            for dependency in manifest.dependencies.iter().filter(|one| foreign.contains(&one.as_str())) {
                complaints.push(format!("{name} -> {dependency}: {why}"));
            }
        }
    };
    forbid(&WITHOUT_ASYNC, &["tokio", "env", "async-trait", "rand"], "it is behind the async line");
    forbid(&WITHOUT_SQL, &SQL_CRATES, "it is below the SQL line");
    assert_none(complaints);
}

#[test]
fn the_sql_side_does_not_link_rocksdb() {
    let manifests = manifests();
    for name in WITHOUT_ROCKSDB {
        let mut reached = vec![name];
        let mut next = 0;
        while let Some(&one) = reached.get(next) {
            next += 1;
            assert_ne!(one, "storage", "{name} reaches storage: {reached:?}");
            for dependency in manifests.get(one).map(|m| m.dependencies.as_slice()).unwrap_or_default() {
                if manifests.contains_key(dependency) && !reached.contains(&dependency.as_str()) {
                    reached.push(dependency);
                }
            }
        }
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for name in manifests().keys() {
        let file = root().join("crates").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(file).expect("it was read a moment ago");
        assert!(text.contains("[lints]\nworkspace = true"), "{name}: [lints] workspace = true is missing");
    }
}
