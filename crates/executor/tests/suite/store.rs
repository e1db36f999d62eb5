//! A key-value store of one range in memory, without versions, locks or waiting: what executor tests put under a `Db`.

use std::collections::BTreeMap;
use std::sync::Arc;

use executor::remote::FragmentProcessor;
use futures::future::BoxFuture;
use keys::{Key, NodeId, RangeId, ReplicaId, Span, StoreId};
use kvapi::{
    BatchRequest, BatchResponse, CommitResponse, Fold, FoldRequest, FoldResponse, KvBlock, KvError,
    NodeDialer, ProbeRequest, ProbeResponse, Processor, RangeDescriptor, ReplicaDescriptor, ReplicaKind,
    Request, Response, ScanRequest, ScanResponse, Sender, TxnStatus, Unreachable, WriteBlock, WriteCheck,
};
use kvclient::FirstRange;
use parking_lot::Mutex;

/// Rows of a page that goes through a program.
const PAGE_ROWS: u64 = 23;

fn open(program: &[u8]) -> Result<Box<dyn Fold>, KvError> {
    FragmentProcessor.open(program).map_err(|refused| KvError::invalid(refused.to_string()))
}

#[derive(Clone, Default)]
pub struct Store {
    rows: Arc<Mutex<BTreeMap<Key, Vec<u8>>>>,
    /// Requests answered, by kind.
    pub requests: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Store {
    fn write(&self, writes: &WriteBlock) -> Result<(), KvError> {
        let mut rows = self.rows.lock();
        for write in writes.iter() {
            if write.check == WriteCheck::MustNotExist
                && let Some(value) = rows.get(write.key)
            {
                return Err(KvError::ConditionFailed {
                    key: Key::copy_from(write.key),
                    value: value.clone(),
                });
            }
        }
        for write in writes.iter() {
            match write.value {
                Some(value) => rows.insert(Key::copy_from(write.key), value.to_vec()),
                None => rows.remove(write.key),
            };
        }
        Ok(())
    }

    fn scan(&self, scan: &ScanRequest) -> ScanResponse {
        let rows = self.rows.lock();
        let mut block = KvBlock::new();
        let mut resume = None;
        let inside = rows.range(scan.span.start.clone()..scan.span.end.clone());
        let mut inside: Vec<(&Key, &Vec<u8>)> = inside.collect();
        if scan.reverse {
            inside.reverse();
        }
        for (key, value) in inside {
            if scan.rows_max > 0 && block.len() as u64 == scan.rows_max {
                resume = Some(if scan.reverse {
                    Span { start: scan.span.start.clone(), end: key.next() }
                } else {
                    Span { start: key.clone(), end: scan.span.end.clone() }
                });
                break;
            }
            block.push(key, value);
        }
        ScanResponse { rows: block, resume }
    }

    /// A page of a scan through a program: a few rows.
    fn fold(&self, request: &FoldRequest) -> Result<FoldResponse, KvError> {
        let mut fold = open(&request.program)?;
        let rows_max =
            if request.scan.rows_max > 0 { request.scan.rows_max.min(PAGE_ROWS) } else { PAGE_ROWS };
        let found = self.scan(&ScanRequest { rows_max, ..request.scan.clone() });
        let (rows, bytes) = (found.rows.len() as u64, found.rows.byte_size() as u64);
        let _ = fold.feed(&found.rows);
        Ok(FoldResponse { answer: fold.finish(), rows, bytes, resume: found.resume })
    }

    /// A page of lookups through a program: a few rows.
    fn probe(&self, request: &ProbeRequest) -> Result<ProbeResponse, KvError> {
        assert!(request.keys.is_strictly_ascending());
        let mut fold = open(&request.program)?;
        let mut response = ProbeResponse::default();
        for (at, key) in request.keys.iter().enumerate() {
            let span = match request.are_prefixes {
                true => Span::prefix(key),
                false => Span::point(Key::copy_from(key)),
            };
            let start = if at == 0 { request.from.clone().max(span.start) } else { span.start };
            let rows_max = PAGE_ROWS - response.rows;
            let found = self.scan(&ScanRequest {
                span: Span { start, end: span.end },
                rows_max,
                ..Default::default()
            });
            response.rows += found.rows.len() as u64;
            let _ = fold.feed_found(&found.rows, &vec![at as u32; found.rows.len()]);
            response.resume = found.resume.map(|resume| resume.start);
            if response.resume.is_some() {
                break;
            }
            response.probed += 1;
            if response.rows == PAGE_ROWS {
                break;
            }
        }
        response.answer = fold.finish();
        Ok(response)
    }

    fn answer(&self, request: &Request) -> Result<Response, KvError> {
        let (kind, response) = match request {
            Request::Get(get) => ("get", Response::Get(self.rows.lock().get(&get.key[..]).cloned())),
            Request::MultiGet(get) => {
                let rows = self.rows.lock();
                let mut block = KvBlock::new();
                for key in get.keys.iter() {
                    match rows.get(key) {
                        Some(value) => block.push(key, value),
                        None => block.push_absent(key),
                    }
                }
                ("multi_get", Response::Rows(ScanResponse { rows: block, resume: None }))
            }
            Request::Scan(scan) => ("scan", Response::Rows(self.scan(scan))),
            Request::Fold(fold) => ("fold", Response::Fold(self.fold(fold)?)),
            Request::Probe(probe) => ("probe", Response::Probe(self.probe(probe)?)),
            Request::Write(write) => {
                self.write(&write.writes)?;
                ("write", Response::Done)
            }
            Request::Commit(commit) => {
                if commit.commit {
                    self.write(&commit.writes)?;
                }
                let status = if commit.commit { TxnStatus::Committed } else { TxnStatus::Aborted };
                ("commit", Response::Commit(CommitResponse { status, timestamp: kvapi::Timestamp::ZERO }))
            }
            _ => ("other", Response::Done),
        };
        *self.requests.lock().entry(kind).or_default() += 1;
        Ok(response)
    }

    /// All keys of all tables.
    pub fn len(&self) -> usize {
        self.rows.lock().len()
    }
}

impl Sender for Store {
    fn send<'a>(&'a self, batch: &'a BatchRequest) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
        Box::pin(async move {
            let at = batch.header.txn.as_ref().map_or(batch.header.timestamp, |txn| txn.read_timestamp);
            let mut responses = smallvec::SmallVec::new();
            for request in &batch.requests {
                let mut response = self.answer(request)?;
                if let Response::Commit(commit) = &mut response {
                    commit.timestamp = at;
                }
                responses.push(response);
            }
            Ok(BatchResponse { responses, read_timestamp: at, write_timestamp: at, node: NodeId(1), now: at })
        })
    }
}

impl NodeDialer for Store {
    fn dial(&self, _node: NodeId) -> Result<Arc<dyn Sender>, Unreachable> {
        Ok(Arc::new(self.clone()))
    }
}

impl FirstRange for Store {
    fn descriptor(&self) -> Result<RangeDescriptor, KvError> {
        let replica = ReplicaDescriptor {
            node: NodeId(1),
            store: StoreId(1),
            replica: ReplicaId(1),
            kind: ReplicaKind::Voter,
        };
        Ok(RangeDescriptor {
            id: RangeId(1),
            span: Span::ALL,
            generation: 1,
            replicas: vec![replica],
            next_replica: ReplicaId(2),
        })
    }
}
