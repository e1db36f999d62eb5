//! A history for each anomaly, and for each thing that is none.

use super::*;

/// A transaction between two ticks: `a1` appends, `r1:2.3` reads list 1 as [2 3]; `a1:4` appends item 4 to list 1.
fn transaction(began: u64, ended: u64, end: End, operations: &str) -> Transaction {
    let operation = |text: &str| {
        let (key, items) = text[1..].split_once(':').expect("key and items");
        let key = Key(key.parse().expect("a number"));
        let mut items = items
            .split('.')
            .filter(|item| !item.is_empty())
            .map(|item| Item(item.parse().expect("a number")));
        match &text[..1] {
            "a" => Operation::Append(key, items.next().expect("one item")),
            _ => Operation::Read(key, items.collect()),
        }
    };
    Transaction {
        client: ClientNumber(0),
        began: Tick(began),
        ended: Tick(ended),
        end,
        operations: operations.split_whitespace().map(operation).collect(),
    }
}

/// Transactions that all overlap.
fn concurrent(transactions: &[&str]) -> Vec<Transaction> {
    let count = transactions.len() as u64;
    let one =
        |(at, text): (usize, &&str)| transaction(at as u64 + 1, count + at as u64 + 1, End::Committed, text);
    transactions.iter().enumerate().map(one).collect()
}

/// Transactions one after the other.
fn one_by_one(transactions: &[(End, &str)]) -> Vec<Transaction> {
    let one = |(at, (end, text)): (usize, &(End, &str))| {
        transaction(at as u64 * 2 + 1, at as u64 * 2 + 2, *end, text)
    };
    transactions.iter().enumerate().map(one).collect()
}

fn kinds(history: &[Transaction]) -> Vec<Anomaly> {
    let mut kinds: Vec<Anomaly> = anomalies(history).into_iter().map(|finding| finding.anomaly).collect();
    kinds.sort();
    kinds
}

use End::{Aborted, Committed, Unknown};

#[test]
fn a_serial_history_is_without_fault() {
    let history = one_by_one(&[
        (Committed, "r1: a1:1"),
        (Aborted, "a1:9"),
        (Committed, "r1:1 a1:2 r1:1.2 a2:5"),
        (Unknown, "a1:3"),
        (Committed, "r1:1.2.3 r2:5"),
        (Unknown, "a2:6"),
        (Committed, "r2:5 r1:1.2.3"),
    ]);
    assert_eq!(kinds(&history), []);
}

#[test]
fn concurrent_transactions_may_be_ordered_either_way() {
    assert_eq!(kinds(&concurrent(&["a1:1", "a1:2 r2:", "r1:2.1", "a2:3 r1:2"])), []);
}

#[test]
fn garbage_is_found() {
    assert_eq!(kinds(&concurrent(&["a1:1", "r1:7"])), [Anomaly::Garbage]);
    assert_eq!(kinds(&concurrent(&["a1:1", "r2:1"])), [Anomaly::Garbage]);
}

#[test]
fn duplicates_are_found() {
    assert!(kinds(&concurrent(&["a1:1", "r1:1.1"])).contains(&Anomaly::Duplicate));
}

#[test]
fn incompatible_orders_are_found() {
    let history = concurrent(&["a1:1", "a1:2", "r1:1.2", "r1:2"]);
    assert_eq!(kinds(&history), [Anomaly::IncompatibleOrder]);
}

#[test]
fn aborted_reads_are_found() {
    let history = one_by_one(&[(Aborted, "a1:1"), (Committed, "r1:1")]);
    assert!(kinds(&history).contains(&Anomaly::AbortedRead));
}

#[test]
fn intermediate_reads_are_found() {
    assert!(kinds(&concurrent(&["a1:1 a1:2", "r1:1"])).contains(&Anomaly::IntermediateRead));
    // Somebody got in between two appends of one transaction.
    assert!(kinds(&concurrent(&["a1:1 a1:2", "a1:3", "r1:1.3.2"])).contains(&Anomaly::IntermediateRead));
}

#[test]
fn a_transaction_that_does_not_see_itself_is_found() {
    assert_eq!(kinds(&concurrent(&["a1:1 r1:"])), [Anomaly::Internal]);
    let changed = concurrent(&["r1: r1:1", "a1:1"]);
    assert!(kinds(&changed).contains(&Anomaly::Internal));
}

#[test]
fn lost_updates_are_found() {
    let history = concurrent(&["r1: a1:1", "r1: a1:2", "r1:1.2"]);
    let found = kinds(&history);
    assert!(found.contains(&Anomaly::LostUpdate) && found.contains(&Anomaly::GSingle), "{found:?}");
    assert!(!check(&history, Claim::Snapshot).is_empty());
    assert!(check(&history, Claim::ReadCommitted).is_empty());
}

#[test]
fn cycles_of_writes_are_g0() {
    let history = concurrent(&["a1:1 a2:4", "a1:2 a2:3", "r1:1.2 ", "r2:3.4"]);
    assert_eq!(kinds(&history), [Anomaly::G0]);
    assert!(!check(&history, Claim::ReadCommitted).is_empty());
}

#[test]
fn circular_information_flow_is_g1c() {
    let history = concurrent(&["a1:1 r2:2", "a2:2 r1:1"]);
    assert_eq!(kinds(&history), [Anomaly::G1c]);
    assert!(!check(&history, Claim::ReadCommitted).is_empty());
}

#[test]
fn read_skew_is_g_single() {
    let history = concurrent(&["a1:1 a2:2", "r1: r2:2"]);
    // The writes are seen to be ordered by a read of both lists.
    let history = [history, vec![transaction(90, 91, Committed, "r1:1 r2:2")]].concat();
    assert_eq!(kinds(&history), [Anomaly::GSingle]);
    assert!(!check(&history, Claim::Snapshot).is_empty());
    assert!(check(&history, Claim::ReadCommitted).is_empty());
}

#[test]
fn write_skew_is_g2() {
    let history = concurrent(&["r1: a2:2", "r2: a1:1"]);
    let history = [history, vec![transaction(90, 91, Committed, "r1:1 r2:2")]].concat();
    assert_eq!(kinds(&history), [Anomaly::G2]);
    assert!(check(&history, Claim::Snapshot).is_empty());
    assert!(!check(&history, Claim::Serializable).is_empty());
}

#[test]
fn write_skew_is_found_although_nobody_reads_the_result() {
    assert_eq!(kinds(&concurrent(&["r1: a2:2", "r2: a1:1"])), [Anomaly::G2]);
}

#[test]
fn stale_reads_break_strict_serializability_alone() {
    let history = one_by_one(&[(Committed, "a1:1"), (Committed, "r1:"), (Committed, "r1:1")]);
    assert_eq!(kinds(&history), [Anomaly::RealTimeG2]);
    assert!(check(&history, Claim::Serializable).is_empty());
    assert!(!check(&history, Claim::StrictSerializable).is_empty());
}

#[test]
fn a_lost_append_is_found() {
    let history = one_by_one(&[(Committed, "a1:1"), (Committed, "a1:2"), (Committed, "r1:1")]);
    assert_eq!(kinds(&history), [Anomaly::RealTimeG2]);
    let nothing_left = one_by_one(&[(Committed, "a1:1"), (Committed, "r1:")]);
    assert_eq!(kinds(&nothing_left), [Anomaly::RealTimeG2]);
}

#[test]
fn writes_in_the_wrong_order_of_time_are_found() {
    let history = one_by_one(&[(Committed, "a1:1"), (Committed, "a1:2"), (Committed, "r1:2.1")]);
    assert_eq!(kinds(&history), [Anomaly::RealTimeG1]);
}

#[test]
fn an_unknown_transaction_counts_once_it_is_seen() {
    // It is seen by another unknown one that is seen: both count, and what they read must fit.
    let history = [
        transaction(1, 10, Unknown, "r1: a2:2"),
        transaction(2, 11, Unknown, "r2: a1:1"),
        transaction(3, 12, Committed, "r1:1 r2:2"),
    ];
    assert_eq!(kinds(&history), [Anomaly::G2]);
    assert_eq!(kinds(&history[..2]), []);
}

#[test]
fn an_unknown_transaction_may_take_effect_after_its_client_gave_up() {
    let history = one_by_one(&[(Unknown, "a1:1"), (Committed, "r1:"), (Committed, "r1:1")]);
    assert_eq!(kinds(&history), []);
}

#[test]
fn real_time_holds_over_chains_of_transactions() {
    // The first and the last are related through the ones in between alone.
    let mut history =
        one_by_one(&[(Committed, "a1:1"), (Committed, "r2:"), (Committed, "r2:"), (Committed, "r1:")]);
    assert_eq!(kinds(&history), [Anomaly::RealTimeG2]);
    history[3].began = Tick(0);
    history[3].ended = Tick(100);
    assert_eq!(kinds(&history), []);
}

#[test]
fn findings_name_the_transactions() {
    let history = concurrent(&["r1: a2:2", "r2: a1:1"]);
    let found = check(&history, Claim::Serializable);
    assert_eq!(found[0].transactions.len(), 2);
    let text = found[0].to_string();
    assert!(text.contains("rw") && text.contains("append 2 to 2") && text.contains("ticks 1 to 3"), "{text}");
}

#[test]
fn a_history_of_thousands_is_quick() {
    let mut history = Vec::new();
    let mut lists: Vec<Vec<u64>> = vec![Vec::new(); 50];
    for item in 1..=5_000_u64 {
        let key = (item % 50) as usize;
        let list: Vec<String> = lists[key].iter().map(u64::to_string).collect();
        lists[key].push(item);
        let text = format!("r{key}:{} a{key}:{item}", list.join("."));
        history.push(transaction(item * 2, item * 2 + 7, Committed, &text));
    }
    for (at, transaction) in history.iter_mut().enumerate() {
        transaction.began = Tick(at as u64 * 2);
        transaction.ended = Tick(at as u64 * 2 + 5);
    }
    assert_eq!(kinds(&history), []);
}
