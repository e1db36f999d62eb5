//! The decisions of `placement`, driven by a simulated cluster: does it come to rest, with how many moves, and how even is it then?
//!
//! The usual tests run 50 nodes with 5,000 ranges. `cargo xtask rebalance` runs 1,000 nodes with 500,000 ranges and writes
//! docs/rebalancing.svg and the table of docs/rebalancing.md.

// The command tells how long it took, in real time.
#![allow(clippy::disallowed_methods)]

mod cluster;
mod plot;
mod scenarios;

use std::path::Path;
use std::time::Instant;

use scenarios::{ALL, Outcome, Scenario, run};

fn check(scenario: &Scenario, nodes: usize, ranges: usize) -> Outcome {
    let outcome = run(scenario, nodes, ranges);
    println!("{}", outcome.row());
    outcome.check();
    outcome
}

#[test]
fn as_many_empty_nodes_again_are_filled() {
    check(&ALL[0], 50, 5_000);
}

#[test]
fn what_a_lost_zone_held_is_replicated_in_the_others() {
    check(&ALL[1], 50, 5_000);
}

#[test]
fn a_skewed_load_is_spread() {
    check(&ALL[2], 50, 5_000);
}

#[test]
fn decommissioned_nodes_are_emptied() {
    check(&ALL[3], 50, 5_000);
}

#[test]
#[ignore = "minutes, in release: cargo xtask rebalance"]
fn a_thousand_nodes_and_half_a_million_ranges() {
    let begin = Instant::now();
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let each = ALL.each_ref().map(|scenario| scope.spawn(|| check(scenario, 1_000, 500_000)));
        each.into_iter().map(|one| one.join().expect("the outcome is as it should be")).collect()
    });
    let decisions: u64 = outcomes.iter().map(|outcome| outcome.decisions).sum();
    println!("{decisions} decisions in {:.0} s, all told", begin.elapsed().as_secs_f64());
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    std::fs::write(docs.join("rebalancing.svg"), plot::draw(&outcomes)).expect("docs/ can be written");
    let page = docs.join("rebalancing.md");
    let text = std::fs::read_to_string(&page).expect("the page is there");
    let rows: Vec<String> = outcomes.iter().map(Outcome::row).collect();
    let (before, rest) = text.split_once("<!-- figures -->\n").expect("the page says where the figures go");
    let (_, after) = rest.split_once("<!-- end of figures -->").expect("and where they end");
    let table = [&scenarios::HEADER[..], &rows.join("\n")].concat();
    let text = format!("{before}<!-- figures -->\n{table}\n<!-- end of figures -->{after}");
    std::fs::write(page, text).expect("docs/ can be written");
}
