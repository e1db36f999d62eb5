//! Programs that travel with reads: scans both ways and probes see what reads without them see.

mod common;

use std::sync::Arc;

use common::{Node, World, get_now, key, options, rows};
use keys::Span;
use kvapi::{BatchRequest, Fold, Header, ProbeRequest, Processor, Progress, Refused};
use kvclient::{
    DbConfig, Folded, Isolation, KeyBlock, KvBlock, KvError, Locking, Probe, Probed, Row, Scan, ScanOptions,
    Txn,
};
use kvserver::StoreConfig;
use stdx::Prng;

/// Answers with the rows as text. The program is how many rows a page holds.
struct Echo;

struct Page {
    rows_max: usize,
    rows: Vec<String>,
}

fn shown(row: Row<'_>) -> String {
    let name = String::from_utf8_lossy(&row.key[1..]).into_owned();
    format!("{name}={}", String::from_utf8_lossy(row.value.expect("it has a value")))
}

impl Processor for Echo {
    fn open(&self, program: &[u8]) -> Result<Box<dyn Fold>, Refused> {
        let [rows_max] = program else { return Err(Refused { reason: "no program of this test".into() }) };
        Ok(Box::new(Page { rows_max: usize::from(*rows_max), rows: Vec::new() }))
    }
}

impl Page {
    fn progress(&self) -> Progress {
        if self.rows.len() < self.rows_max { Progress::More } else { Progress::Enough }
    }
}

impl Fold for Page {
    fn feed(&mut self, rows: &KvBlock) -> Progress {
        self.rows.extend(rows.iter().map(shown));
        self.progress()
    }

    fn feed_found(&mut self, rows: &KvBlock, asked: &[u32]) -> Progress {
        assert_eq!(rows.len(), asked.len());
        let found = rows.iter().zip(asked).filter(|(row, _)| row.value.is_some());
        self.rows.extend(found.map(|(row, asked)| format!("{asked} {}", shown(row))));
        self.progress()
    }

    fn finish(self: Box<Self>) -> Vec<u8> {
        self.rows.join("\n").into_bytes()
    }
}

fn lines(answer: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(answer).lines().map(String::from).collect()
}

fn name(group: u64, member: u64) -> String {
    format!("g{group:02}k{member:03}")
}

/// Twenty groups of rows in several ranges, some groups in two of them.
async fn load(node: &Node) {
    node.store.set_processor(Arc::new(Echo));
    for group in 0..20 {
        let txn = node.db.begin(options(Isolation::Serializable));
        for member in 0..(group * 7 % 40) {
            txn.put(&key(&name(group, member)), format!("{member}").as_bytes()).unwrap();
        }
        txn.commit().await.unwrap();
    }
    for at in ["g03k010", "g05", "g09k017", "g11k002", "g16"] {
        node.db.split_at(&key(at)).await.unwrap();
    }
}

/// Writes that are nowhere but here, and some that are intents already.
async fn write(txn: &Txn, prng: &mut Prng) {
    for round in 0..3 {
        txn.begin_statement(true);
        for _ in 0..prng.next_u64() % 12 {
            let name = key(&name(prng.next_u64() % 20, prng.next_u64() % 45));
            match prng.next_u64() % 3 {
                0 => txn.delete(&name).unwrap(),
                _ => txn.put(&name, format!("own {round}").as_bytes()).unwrap(),
            }
        }
        if round == 0 {
            txn.flow().await.unwrap();
        }
    }
    txn.begin_statement(true);
}

/// What a scan gives through a program.
async fn folded(txn: &Txn, mut scan: Scan, program: &[u8]) -> Result<Vec<String>, KvError> {
    let mut all = Vec::new();
    while let Some(page) = scan.next_folded(txn, program).await? {
        match page {
            Folded::Answer(page) => all.extend(lines(&page.answer)),
            Folded::Rows(rows) => all.extend(rows.iter().map(shown)),
            Folded::Refused { reason } => panic!("{reason}"),
        }
    }
    Ok(all)
}

/// What is found for each key, through a program where that can be.
async fn probed(
    txn: &Txn,
    keys: &KeyBlock,
    are_prefixes: bool,
    program: &[u8],
) -> Result<Vec<Vec<String>>, KvError> {
    let mut found = vec![Vec::new(); keys.len()];
    let own = txn.own_among(keys, are_prefixes);
    for at in &own {
        found[*at] = looked_up(txn, keys.key(*at), are_prefixes).await?;
    }
    let others: Vec<usize> = (0..keys.len()).filter(|at| !own.contains(at)).collect();
    let asked: KeyBlock = others.iter().map(|at| keys.key(*at)).collect();
    let mut probe = Probe::new(asked.clone(), are_prefixes, program.to_vec());
    while let Some(page) = probe.next_page(txn).await? {
        match page {
            Probed::Answer(page) => {
                for line in lines(&page.answer) {
                    let (position, row) = line.split_once(' ').expect("a position");
                    let position: usize = position.parse().expect("a number");
                    found[others[page.first + position]].push(row.to_string());
                }
            }
            Probed::Divided { at, from } => {
                let mut span = Span::prefix(asked.key(at));
                span.start = span.start.max(from);
                found[others[at]].extend(rows(txn, txn.scan(ScanOptions::forward(span))).await?);
            }
            Probed::Refused { reason } => panic!("{reason}"),
        }
    }
    Ok(found)
}

async fn looked_up(txn: &Txn, asked: &[u8], is_prefix: bool) -> Result<Vec<String>, KvError> {
    if is_prefix {
        return rows(txn, txn.scan(ScanOptions::forward(Span::prefix(asked)))).await;
    }
    let found = txn.get(asked, Locking::NONE).await?;
    let mut block = KvBlock::new();
    found.iter().for_each(|value| block.push(asked, value));
    Ok(block.iter().map(shown).collect())
}

#[test]
fn programs_see_what_reads_see() {
    let configure = |_: &mut StoreConfig, db: &mut DbConfig| db.buffer_bytes_max = 1;
    World::new(3).run(configure, async |node: Node| {
        load(&node).await;
        for seed in 0..60 {
            let prng = &mut Prng::new(seed);
            let isolations = [Isolation::Serializable, Isolation::Snapshot, Isolation::ReadCommitted];
            let txn = node.db.begin(options(isolations[seed as usize % 3]));
            if seed % 4 > 0 {
                write(&txn, prng).await;
            }
            let program = [1 + (prng.next_u64() % 50) as u8];
            let mut ends = [key(&name(prng.next_u64() % 21, 3)), key(&name(prng.next_u64() % 21, 20))];
            ends.sort();
            let [start, end] = ends;
            for reverse in [false, true] {
                let options = ScanOptions {
                    span: Span { start: start.clone(), end: end.clone() },
                    reverse,
                    ..ScanOptions::default()
                };
                let expected = rows(&txn, txn.scan(options.clone())).await.unwrap();
                assert_eq!(folded(&txn, txn.scan(options), &program).await.unwrap(), expected, "{seed}");
            }
            for are_prefixes in [false, true] {
                let mut asked: Vec<Vec<u8>> = (0..1 + prng.next_u64() % 30)
                    .map(|_| match are_prefixes {
                        true => key(&format!("g{:02}", prng.next_u64() % 22)).to_vec(),
                        false => key(&name(prng.next_u64() % 20, prng.next_u64() % 45)).to_vec(),
                    })
                    .collect();
                asked.sort();
                asked.dedup();
                let keys: KeyBlock = asked.iter().map(Vec::as_slice).collect();
                let mut expected = Vec::new();
                for asked in &asked {
                    expected.push(looked_up(&txn, asked, are_prefixes).await.unwrap());
                }
                assert_eq!(probed(&txn, &keys, are_prefixes, &program).await.unwrap(), expected, "{seed}");
            }
            txn.rollback().await;
        }
    });
}

/// A serializable transaction that has looked keys up does not commit when a row has come to one of them meanwhile.
#[test]
fn what_was_probed_is_protected() {
    World::new(4).run(
        |_, _| {},
        async |node: Node| {
            load(&node).await;
            for (are_prefixes, written) in [(true, "g10k777"), (false, "g10k888")] {
                let txn = node.db.begin(options(Isolation::Serializable));
                let asked = key(if are_prefixes { "g10" } else { written });
                let keys: KeyBlock = [&asked[..]].into_iter().collect();
                let before = probed(&txn, &keys, are_prefixes, &[200]).await.unwrap();
                let other = node.db.begin(options(Isolation::Serializable));
                other.put(&key(written), b"new").unwrap();
                other.commit().await.unwrap();
                assert_eq!(probed(&txn, &keys, are_prefixes, &[200]).await.unwrap(), before, "one snapshot");
                // Whoever has read the key moves the write, and with it the commit, up to above the other one's.
                assert_eq!(get_now(&node.db, "elsewhere").await, None);
                txn.put(&key("elsewhere"), b"depends on it").unwrap();
                let ended = txn.commit().await;
                assert!(matches!(ended, Err(KvError::Restart { .. })), "{ended:?}");
                txn.rollback().await;
            }
        },
    );
}

#[test]
fn probes_that_make_no_sense_are_refused() {
    World::new(5).run(
        |_, _| {},
        async |node: Node| {
            load(&node).await;
            let block = |names: &[&str]| -> KeyBlock {
                let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
                keys.iter().map(|key| &key[..]).collect()
            };
            let probe = |names: &[&str], are_prefixes, from: &str| ProbeRequest {
                keys: block(names),
                are_prefixes,
                from: if from.is_empty() { Default::default() } else { key(from) },
                program: vec![9],
            };
            let cases = [
                probe(&["g02", "g01"], true, ""),
                probe(&["g01", "g01"], false, ""),
                probe(&["g0", "g01"], true, ""),
                probe(&["g01k001"], false, "g01k001"),
                probe(&["g01"], true, "g02k001"),
                ProbeRequest { program: b"another".to_vec(), ..probe(&["g01"], true, "") },
            ];
            for case in cases {
                let mut batch = BatchRequest::new(Header::default(), case);
                let answer = node.db.send(&key("g01"), &mut batch).await;
                assert!(matches!(answer, Err(KvError::Invalid { .. })), "{batch:?}: {answer:?}");
            }
        },
    );
}
