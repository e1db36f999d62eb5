//! Routing: finds the range of each key, cuts requests at range boundaries, retries what was not done.
//!
//! The cache of descriptors may be stale at any time: every range checks what it is asked for and answers
//! `RangeMismatch` with what it knows better. A miss reads the addressing keyspace, through the same cache one level up
//! (see `keys::addressing`), until the first range, which the node knows.
//!
//! A read of a snapshot of the past may go to another replica than the leaseholder's: see `nearest`.
//!
//! Retries are for answers that promise that nothing was done: reroute at once (after the first time with a
//! pause), back off while unavailable, both within [`PATIENCE`].

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use env::{Env, trace};
use futures::future::{BoxFuture, join_all};
use keys::{Key, NodeId, RangeId, Span, addressing};
use kvapi::{
    BatchRequest, BatchResponse, Disposition, FoldRequest, FoldResponse, GetRequest, Header, KeyBlock,
    KvBlock, KvError, LockClaim, MultiGetRequest, NodeDialer, RangeDescriptor, RefreshRequest,
    ReleaseLocksRequest, Request, ResolveIntentsRequest, Response, RevertRequest, ScanRequest, ScanResponse,
    Sender, Timestamp, WriteBlock, WriteRequest,
};
use parking_lot::{Mutex, RwLock};
use stdx::{Backoff, Prng};
use tracing::Instrument;

use crate::FirstRange;
use crate::nearest::Nearest;

mod probe;

pub(crate) use probe::ProbeAnswer;

/// How long a batch is retried while its range cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for a range that could not be reached lately: long enough to find out whether it can be now.
const PROBE_PATIENCE: Duration = Duration::from_millis(500);
/// How long a range that could not be reached is remembered as such.
const BROKEN_FOR: Duration = Duration::from_secs(60);
/// Ranges remembered as such, at most.
const BROKEN_MAX: usize = 1_024;
const BACKOFF_INITIAL: Duration = Duration::from_millis(1);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// Hints about the leaseholder that are followed without a pause.
const HINTS_AT_ONCE_MAX: u32 = 2;
/// Descriptors read at once on a miss.
const LOOKUP_AHEAD: u64 = 8;
/// Ranges remembered; beyond, the cache starts over.
const CACHE_RANGES_MAX: usize = 16_384;

/// A range as last heard of.
pub(crate) struct Route {
    pub descriptor: RangeDescriptor,
    /// The replica to try first.
    leaseholder: NodeId,
    sender: Arc<dyn Sender>,
    /// It has answered as the leaseholder since it was taken for it.
    has_answered: AtomicBool,
}

/// Where a key lies, as last heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The range's span.
    pub span: Span,
    /// The node that is taken for its leaseholder.
    pub node: NodeId,
    /// That node has answered as such; else it is a guess.
    pub is_certain: bool,
}

/// Finds ranges and talks to them. One per node.
pub(crate) struct Router {
    env: Arc<dyn Env>,
    dialer: Arc<dyn NodeDialer>,
    first: Arc<dyn FirstRange>,
    /// The node that this router is on.
    own: NodeId,
    pub nearest: Nearest,
    /// When it began to hear of others, monotonic.
    began: Duration,
    /// By end key. Lock order: leaf.
    cache: RwLock<BTreeMap<Key, Arc<Route>>>,
    /// Circuit breakers: ranges that could not be reached, and until when that counts. Every batch is a probe. Lock order: leaf.
    broken: Mutex<BTreeMap<RangeId, Duration>>,
    /// Some range is.
    is_any_broken: AtomicBool,
    /// Answers that were errors, by kind. Lock order: leaf.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// Lock order: leaf.
    prng: Mutex<Prng>,
}

/// The state of retrying one batch.
struct Retry {
    backoff: Backoff,
    give_up_at: Option<Duration>,
    reroutes: u32,
    /// Replicas tried since the range was last looked up.
    tried: usize,
}

impl Retry {
    fn new() -> Retry {
        Retry { backoff: Backoff::new(BACKOFF_INITIAL, BACKOFF_MAX), give_up_at: None, reroutes: 0, tried: 0 }
    }
}

#[cold]
fn send_traced<'a>(
    route: &'a Route,
    batch: &'a BatchRequest,
) -> BoxFuture<'a, Result<BatchResponse, KvError>> {
    let kind = batch.requests.first().map_or("nothing", Request::kind);
    let (node, range) = (route.leaseholder, route.descriptor.id);
    let span = trace::span(|| format!("ask node {node} for a {kind} in range {range}"));
    let work = span.in_scope(|| route.sender.send(batch));
    Box::pin(work.instrument(span))
}

impl Router {
    pub fn new(
        env: Arc<dyn Env>,
        dialer: Arc<dyn NodeDialer>,
        first: Arc<dyn FirstRange>,
        own: NodeId,
        nearest: Nearest,
    ) -> Router {
        let prng = Mutex::new(Prng::new(env.entropy()));
        Router {
            began: env.monotonic(),
            env,
            dialer,
            first,
            own,
            nearest,
            cache: RwLock::new(BTreeMap::new()),
            broken: Mutex::default(),
            is_any_broken: AtomicBool::new(false),
            errors: Mutex::default(),
            prng,
        }
    }

    pub fn error_counts(&self) -> Vec<(&'static str, u64)> {
        self.errors.lock().iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    fn cached(&self, key: &[u8]) -> Option<Arc<Route>> {
        let cache = self.cache.read();
        let (_, route) = cache.range::<[u8], _>((Bound::Excluded(key), Bound::Unbounded)).next()?;
        route.descriptor.contains(key).then(|| route.clone())
    }

    fn cached_before(&self, key: &[u8]) -> Option<Arc<Route>> {
        let cache = self.cache.read();
        let (_, route) = cache.range::<[u8], _>((Bound::Included(key), Bound::Unbounded)).next()?;
        (&route.descriptor.span.start[..] < key).then(|| route.clone())
    }

    /// Remembers a range, and forgets older ones in its place.
    ///
    /// Who its leaseholder was stays known, if that still has a replica; else the replica of this node is asked first.
    pub fn learn(&self, descriptor: RangeDescriptor) -> Result<Arc<Route>, KvError> {
        let has = |node: NodeId| descriptor.replicas.iter().any(|replica| replica.node == node);
        let known = {
            let cache = self.cache.read();
            let known = cache.get(&descriptor.span.end).filter(|route| route.descriptor.id == descriptor.id);
            known.map(|route| route.leaseholder).filter(|node| has(*node))
        };
        let own = has(self.own).then_some(self.own);
        let leaseholder = known.or(own).or_else(|| descriptor.replicas.first().map(|replica| replica.node));
        let leaseholder = leaseholder.ok_or_else(|| KvError::corruption("a range without replicas"))?;
        self.learn_at(descriptor, leaseholder)
    }

    fn learn_at(&self, descriptor: RangeDescriptor, leaseholder: NodeId) -> Result<Arc<Route>, KvError> {
        let (leaseholder, sender) = self.dial(&descriptor, leaseholder)?;
        let has_answered = AtomicBool::new(false);
        let route = Arc::new(Route { descriptor, leaseholder, sender, has_answered });
        let span = &route.descriptor.span;
        let mut cache = self.cache.write();
        if cache.len() >= CACHE_RANGES_MAX {
            cache.clear();
        }
        let from = (Bound::Excluded(span.start.clone()), Bound::Unbounded);
        let overlapping =
            cache.range::<Key, _>(from).take_while(|(_, other)| other.descriptor.span.start < span.end);
        let mut stale = Vec::new();
        for (end, other) in overlapping {
            if other.descriptor.generation > route.descriptor.generation {
                // What addressing says may be older than what ranges have said.
                return Ok(route.clone());
            }
            stale.push(end.clone());
        }
        for end in stale {
            cache.remove(&end);
        }
        cache.insert(span.end.clone(), route.clone());
        Ok(route)
    }

    /// A way to the node wanted, or else to the next one that has a replica and can be reached.
    fn dial(
        &self,
        descriptor: &RangeDescriptor,
        wanted: NodeId,
    ) -> Result<(NodeId, Arc<dyn Sender>), KvError> {
        let unreachable = match self.dialer.dial(wanted) {
            Ok(sender) => return Ok((wanted, sender)),
            Err(unreachable) => unreachable,
        };
        let others = descriptor.replicas.iter().map(|replica| replica.node).filter(|node| *node != wanted);
        let reachable = others.filter_map(|node| Some((node, self.dialer.dial(node).ok()?))).next();
        reachable.ok_or_else(|| KvError::unavailable(unreachable.to_string()))
    }

    fn forget(&self, route: &Route) {
        let mut cache = self.cache.write();
        if cache.get(&route.descriptor.span.end).is_some_and(|cached| std::ptr::eq(&**cached, route)) {
            cache.remove(&route.descriptor.span.end);
        }
    }

    /// The range that holds `key`.
    pub async fn route(&self, key: &[u8]) -> Result<Arc<Route>, KvError> {
        match self.cached(key) {
            Some(route) => Ok(route),
            None => self.look_up(addressing::lookup_span(key)).await,
        }
    }

    /// The range that holds the keys just below `key`.
    pub async fn route_before(&self, key: &[u8]) -> Result<Arc<Route>, KvError> {
        match self.cached_before(key) {
            Some(route) => Ok(route),
            None => self.look_up(addressing::lookup_span_before(key)).await,
        }
    }

    /// What the addressing keyspace says now about the range that holds `key`.
    pub async fn look_up_afresh(&self, key: &[u8]) -> Result<RangeDescriptor, KvError> {
        let route = self.look_up(addressing::lookup_span(key)).await?;
        Ok(route.descriptor.clone())
    }

    fn look_up(&self, records: Option<Span>) -> BoxFuture<'_, Result<Arc<Route>, KvError>> {
        Box::pin(async move {
            let Some(records) = records else { return self.learn(self.first.descriptor()?) };
            let mut rest = records.clone();
            // The record may lie in a later range of the addressing level than its position.
            while !rest.is_empty() {
                let scan =
                    ScanRequest { span: rest.clone(), rows_max: LOOKUP_AHEAD, ..ScanRequest::default() };
                let (answer, page) = self.scan_page(&Header::default(), scan).await?;
                let mut found = None;
                for row in answer.rows.iter() {
                    let malformed = |error| KvError::corruption(format!("an addressing record: {error}"));
                    let descriptor =
                        RangeDescriptor::decode(row.value.unwrap_or_default()).map_err(malformed)?;
                    // Records read ahead must not replace what was learnt from the ranges themselves.
                    if found.is_none() {
                        found = Some(self.learn(descriptor)?);
                    } else if self.cached(&descriptor.span.start).is_none() {
                        self.learn(descriptor)?;
                    }
                }
                match found {
                    Some(route) => return Ok(route),
                    None => rest.start = page.end,
                }
            }
            Err(KvError::unavailable(format!("no addressing record is found in {records}")))
        })
    }

    /// Where a key lies.
    pub async fn locate(&self, key: &[u8]) -> Result<Place, KvError> {
        Ok(place_of(&*self.route(key).await?))
    }

    /// Where the keys just below `key` lie.
    pub async fn locate_before(&self, key: &[u8]) -> Result<Place, KvError> {
        Ok(place_of(&*self.route_before(key).await?))
    }

    /// Sends a batch that must be answered by one range, the one that holds `key`. Reroutes while that is
    /// all that is wrong; a mismatch of a batch for the right range is given to the caller.
    pub async fn send_to(&self, key: &[u8], batch: &mut BatchRequest) -> Result<BatchResponse, KvError> {
        self.send_noting(key, batch, &AtomicBool::new(false)).await
    }

    /// As [`Router::send_to`]; sets `unanswered` if an attempt was not answered: it may yet arrive.
    async fn send_noting(
        &self,
        key: &[u8],
        batch: &mut BatchRequest,
        unanswered: &AtomicBool,
    ) -> Result<BatchResponse, KvError> {
        let mut route = match self.cached(key) {
            Some(route) => route,
            None => self.route(key).await?,
        };
        let mut retry: Option<Retry> = None;
        loop {
            let error = match self.send_once(&route, batch).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            if matches!(error, KvError::Unavailable { .. } | KvError::Ambiguous { .. }) {
                unanswered.store(true, Ordering::Relaxed);
            }
            let retry = retry.get_or_insert_with(Retry::new);
            if !Box::pin(self.prepare_retry(&route, &error, retry)).await {
                return Err(given_up(&route, error));
            }
            if let KvError::RangeMismatch { descriptors } = &error
                && descriptors.first().is_some_and(|own| own.contains(key))
            {
                // The range is the right one for the key, and the batch wants more than it holds.
                return Err(error);
            }
            route = self.route(key).await?;
        }
    }

    async fn send_once(&self, route: &Route, batch: &mut BatchRequest) -> Result<BatchResponse, KvError> {
        batch.header.range = route.descriptor.id;
        if self.nearest.is_stale_read(batch)
            && let Some(answer) = self.ask_nearest(route, batch).await
        {
            return answer;
        }
        let answer = match trace::is_on() {
            false => route.sender.send(batch).await,
            true => send_traced(route, batch).await,
        };
        if let Err(error) = &answer {
            *self.errors.lock().entry(error.kind()).or_default() += 1;
        }
        if answer.is_ok() && !route.has_answered.load(Ordering::Relaxed) {
            route.has_answered.store(true, Ordering::Relaxed);
        }
        if answer.is_ok() && self.is_any_broken.load(Ordering::Relaxed) {
            self.broken.lock().remove(&route.descriptor.id);
        }
        answer
    }

    /// A stale read is answered by the nearest replica, or else as always.
    #[cold]
    fn ask_nearest<'a>(
        &'a self,
        route: &'a Route,
        batch: &'a BatchRequest,
    ) -> BoxFuture<'a, Option<Result<BatchResponse, KvError>>> {
        Box::pin(async move {
            let nearest = self.nearest.instead_of(route.leaseholder, &route.descriptor)?;
            let answer = self.dialer.dial(nearest).ok()?.send(batch).await;
            match &answer {
                Err(error) if matches!(error.disposition(), Disposition::Reroute | Disposition::Backoff) => {
                    None
                }
                _ => Some(answer),
            }
        })
    }

    fn patience(&self, range: &RangeDescriptor, now: Duration) -> Duration {
        if self.nearest.lacks_quorum(range, now.saturating_sub(self.began)) {
            return PROBE_PATIENCE;
        }
        if !self.is_any_broken.load(Ordering::Relaxed) {
            return PATIENCE;
        }
        let mut broken = self.broken.lock();
        broken.retain(|_, until| *until > now);
        self.is_any_broken.store(!broken.is_empty(), Ordering::Relaxed);
        if broken.contains_key(&range.id) { PROBE_PATIENCE } else { PATIENCE }
    }

    fn note_broken(&self, range: RangeId, now: Duration) {
        let mut broken = self.broken.lock();
        if broken.len() < BROKEN_MAX {
            broken.insert(range, now + BROKEN_FOR);
            self.is_any_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Takes in what an error tells, and waits where waiting helps. False: give the error to the caller.
    async fn prepare_retry(&self, route: &Route, error: &KvError, retry: &mut Retry) -> bool {
        match error {
            KvError::RangeMismatch { descriptors } => {
                self.forget(route);
                for descriptor in descriptors {
                    drop(self.learn(descriptor.clone()));
                }
            }
            KvError::NotLeaseholder { lease: Some(lease), .. } if lease.holder.node != route.leaseholder => {
                drop(self.learn_at(route.descriptor.clone(), lease.holder.node));
            }
            // Down, or none the wiser: the next one may know. Once all were asked, the range may have moved.
            KvError::NotLeaseholder { .. } | KvError::RangeNotFound { .. } | KvError::Unavailable { .. } => {
                retry.tried += 1;
                if retry.tried < route.descriptor.replicas.len() {
                    self.try_next_replica(route);
                } else {
                    retry.tried = 0;
                    self.forget(route);
                }
            }
            _ => return false,
        }
        retry.reroutes += 1;
        let is_told = matches!(error, KvError::NotLeaseholder { lease: Some(_), .. });
        let at_once = if is_told { HINTS_AT_ONCE_MAX } else { 1 };
        if error.disposition() == Disposition::Reroute && retry.reroutes <= at_once {
            return true;
        }
        let now = self.env.monotonic();
        let range = route.descriptor.id;
        let give_up_at = *retry.give_up_at.get_or_insert_with(|| now + self.patience(&route.descriptor, now));
        let pause = retry.backoff.next_wait(&mut self.prng.lock());
        if now + pause > give_up_at {
            self.note_broken(range, now);
            return false;
        }
        let _step = trace::span(|| format!("wait before asking again for range {range}: {error}"));
        self.env.sleep(pause).await;
        true
    }

    fn try_next_replica(&self, route: &Route) {
        let replicas = &route.descriptor.replicas;
        let current = replicas.iter().position(|replica| replica.node == route.leaseholder);
        let next = current.map_or(0, |current| (current + 1) % replicas.len());
        drop(self.learn_at(route.descriptor.clone(), replicas[next].node));
    }

    pub async fn get(&self, header: Header, get: GetRequest) -> Result<BatchResponse, KvError> {
        let key = get.key.clone();
        self.send_to(&key, &mut BatchRequest::new(header, get)).await
    }

    /// Reads the first of ascending keys that lie in one range: as many as the answer says. One range at a time, because each may
    /// move the read timestamp, and what was read of others before would have to move along.
    pub async fn multi_get_page(
        &self,
        header: &Header,
        request: MultiGetRequest,
    ) -> Result<(KeysAnswer, Timestamp), KvError> {
        let mut retry = Retry::new();
        let mut part = request;
        loop {
            let route = self.route(part.keys.key(0)).await?;
            let within = part.keys.iter().take_while(|key| route.descriptor.contains(key)).count().max(1);
            if within < part.keys.len() {
                part.keys = part.keys.iter().take(within).collect::<KeyBlock>();
            }
            let count = part.keys.len();
            let mut batch = BatchRequest::new(header.clone(), part);
            match self.send_once(&route, &mut batch).await {
                Ok(response) => {
                    let read_timestamp = response.read_timestamp;
                    let rows = expect_rows(response)?.rows;
                    return Ok((KeysAnswer { rows, count }, read_timestamp));
                }
                Err(error) => {
                    if !self.prepare_retry(&route, &error, &mut retry).await {
                        return Err(given_up(&route, error));
                    }
                }
            }
            let Some(Request::MultiGet(again)) = batch.requests.pop() else {
                unreachable!("the batch was built with one multi-get")
            };
            part = again;
        }
    }

    /// Reads from the first range of the span (the last, in reverse), which may end before the span does.
    /// Answers with the rows and the part of the span that they are all the rows of.
    pub async fn scan_page(&self, header: &Header, scan: ScanRequest) -> Result<(ScanAnswer, Span), KvError> {
        let reverse = scan.reverse;
        let page = self.page(header, scan, Request::Scan).await?;
        let read_timestamp = page.response.read_timestamp;
        let answer = expect_rows(page.response)?;
        let covered = covered(page.piece, answer.resume, reverse);
        Ok((ScanAnswer { rows: answer.rows, read_timestamp, was_retried: page.was_retried }, covered))
    }

    /// The same with a program that runs where the rows lie.
    pub async fn fold_page(
        &self,
        header: &Header,
        scan: ScanRequest,
        program: &[u8],
    ) -> Result<(FoldAnswer, Span), KvError> {
        let reverse = scan.reverse;
        let fold = |scan| Request::Fold(Box::new(FoldRequest { scan, program: program.to_vec() }));
        let mut page = self.page(header, scan, fold).await?;
        let (node, read_timestamp) = (page.response.node, page.response.read_timestamp);
        let mut answer = match page.response.responses.pop() {
            Some(Response::Fold(answer)) => answer,
            other => return Err(unexpected(other)),
        };
        let covered = covered(page.piece, answer.resume.take(), reverse);
        Ok((FoldAnswer { answer, node, read_timestamp }, covered))
    }

    /// Asks the first range of the span (the last, in reverse) for a page.
    async fn page(
        &self,
        header: &Header,
        scan: ScanRequest,
        request: impl Fn(ScanRequest) -> Request,
    ) -> Result<Page, KvError> {
        let mut retry = Retry::new();
        loop {
            let route = if scan.reverse {
                self.route_before(&scan.span.end).await?
            } else {
                self.route(&scan.span.start).await?
            };
            // Begins where the scan begins, whatever the descriptor says: if that is stale the range will say so.
            let piece = piece_of(&scan.span, &route.descriptor.span, scan.reverse);
            let part = ScanRequest { span: piece.clone(), ..scan.clone() };
            let was_retried = retry.reroutes > 0;
            match self.send_once(&route, &mut BatchRequest::new(header.clone(), request(part))).await {
                Ok(response) => return Ok(Page { response, piece, was_retried }),
                Err(error) => {
                    if !self.prepare_retry(&route, &error, &mut retry).await {
                        return Err(given_up(&route, error));
                    }
                }
            }
        }
    }

    /// Cuts writes (ascending) where ranges end, as the cache has it.
    pub async fn cut_writes(&self, writes: &WriteBlock) -> Result<Vec<std::ops::Range<usize>>, KvError> {
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < writes.len() {
            let route = self.route(writes.key(start)).await?;
            let end = writes.lower_bound(&route.descriptor.span.end).max(start + 1);
            pieces.push(start..end);
            start = end;
        }
        Ok(pieces)
    }

    /// Places intents, all ranges at once. Answers with the highest timestamp at which any was placed.
    pub async fn write(
        &self,
        header: &Header,
        writes: WriteBlock,
        unanswered: &AtomicBool,
    ) -> Result<Timestamp, KvError> {
        let pieces = self.cut_writes(&writes).await?;
        if pieces.len() == 1 {
            return self.write_piece(header, writes, unanswered).await;
        }
        let sends = pieces.into_iter().map(|piece| self.write_piece(header, writes.slice(piece), unanswered));
        highest(join_all(sends).await)
    }

    /// `unanswered` as in [`Router::send_noting`]. Writes what was one range's part when it was cut; cuts again if that has changed.
    pub fn write_piece<'a>(
        &'a self,
        header: &'a Header,
        writes: WriteBlock,
        unanswered: &'a AtomicBool,
    ) -> BoxFuture<'a, Result<Timestamp, KvError>> {
        Box::pin(async move {
            let Some(key) = (!writes.is_empty()).then(|| Key::copy_from(writes.key(0))) else {
                return Ok(Timestamp::ZERO);
            };
            let mut batch = BatchRequest::new(header.clone(), WriteRequest { writes });
            match self.send_noting(&key, &mut batch, unanswered).await {
                Ok(response) => Ok(response.write_timestamp),
                Err(KvError::RangeMismatch { descriptors }) => {
                    let Some(Request::Write(WriteRequest { writes })) = batch.requests.pop() else {
                        unreachable!("the batch was built with one write request")
                    };
                    let pieces = self.cut_writes(&writes).await?;
                    if pieces.len() == 1 {
                        return Err(KvError::RangeMismatch { descriptors });
                    }
                    let send = |piece| self.write_piece(header, writes.slice(piece), unanswered);
                    highest(join_all(pieces.into_iter().map(send)).await)
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Does something for each part of each span that lies in one range.
    async fn for_each_piece(
        &self,
        header: &Header,
        spans: &[Span],
        request: impl Fn(Span) -> Request,
    ) -> Result<(), KvError> {
        for span in spans {
            let mut rest = span.clone();
            let mut retry = Retry::new();
            while !rest.is_empty() {
                let route = self.route(&rest.start).await?;
                let piece = piece_of(&rest, &route.descriptor.span, false);
                let mut batch = BatchRequest::new(header.clone(), request(piece.clone()));
                match self.send_once(&route, &mut batch).await {
                    Ok(_) => {
                        rest.start = piece.end;
                        retry = Retry::new();
                    }
                    Err(error) => {
                        if !self.prepare_retry(&route, &error, &mut retry).await {
                            return Err(given_up(&route, error));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Verifies that nothing in `spans` has changed since `from`, up to the header's read timestamp.
    pub async fn refresh(&self, header: &Header, spans: &[Span], from: Timestamp) -> Result<(), KvError> {
        let request = |span| RefreshRequest { spans: vec![span], from, locks: Vec::new() }.into();
        self.for_each_piece(header, spans, request).await
    }

    /// Verifies that locks have held.
    pub async fn claim(&self, header: &Header, claims: &[LockClaim]) -> Result<(), KvError> {
        for claim in claims {
            let request = RefreshRequest { spans: Vec::new(), from: claim.since, locks: vec![claim.clone()] };
            self.send_to(&claim.key, &mut BatchRequest::new(header.clone(), request)).await?;
        }
        Ok(())
    }

    /// Resolves intents and releases locks in spans.
    pub async fn resolve(&self, spans: &[Span], update: &kvapi::IntentUpdate) -> Result<(), KvError> {
        let request = |span| {
            let updates = vec![kvapi::IntentUpdate { span, ..update.clone() }];
            ResolveIntentsRequest { updates }.into()
        };
        self.for_each_piece(&Header::default(), spans, request).await
    }

    /// Removes all that a span holds. See [`kvapi::ClearSpanRequest`].
    pub async fn clear(&self, span: &Span, threshold: kvapi::Timestamp) -> Result<(), KvError> {
        let request = |span| kvapi::ClearSpanRequest { span, threshold }.into();
        self.for_each_piece(&Header::default(), std::slice::from_ref(span), request).await
    }

    /// Removes the transaction's own intents above a sequence.
    pub async fn revert(&self, header: &Header, spans: &[Span], sequence: u32) -> Result<(), KvError> {
        let request = |span| RevertRequest { spans: vec![span], sequence }.into();
        self.for_each_piece(header, spans, request).await
    }

    /// Releases locks of a transaction that goes on. `keys` ascend.
    pub async fn release_locks(&self, header: &Header, keys: &KeyBlock) -> Result<(), KvError> {
        let mut start = 0;
        let mut retry = Retry::new();
        while start < keys.len() {
            let route = self.route(keys.key(start)).await?;
            let rest = (start..keys.len()).map(|index| keys.key(index));
            let piece: KeyBlock = rest.take_while(|key| route.descriptor.contains(key)).collect();
            let end = start + piece.len();
            let mut batch = BatchRequest::new(header.clone(), ReleaseLocksRequest { keys: piece });
            match self.send_once(&route, &mut batch).await {
                Ok(_) => (start, retry) = (end, Retry::new()),
                Err(error) => {
                    if !self.prepare_retry(&route, &error, &mut retry).await {
                        return Err(given_up(&route, error));
                    }
                }
            }
        }
        Ok(())
    }
}

fn place_of(route: &Route) -> Place {
    Place {
        span: route.descriptor.span.clone(),
        node: route.leaseholder,
        is_certain: route.has_answered.load(Ordering::Relaxed),
    }
}

/// What the caller is told of a range that nobody serves.
fn given_up(route: &Route, error: KvError) -> KvError {
    match error {
        KvError::NotLeaseholder { range, .. } | KvError::RangeNotFound { range } => {
            let nodes: Vec<String> =
                route.descriptor.replicas.iter().map(|replica| replica.node.to_string()).collect();
            KvError::unavailable(format!(
                "range {range} has no leaseholder: too few of its replicas, on nodes {}, can be reached",
                nodes.join(", ")
            ))
        }
        // Nothing was done: what the addressing records say has not caught up with a split.
        KvError::RangeMismatch { .. } => KvError::unavailable(format!(
            "the ranges beside range {} cannot be found yet",
            route.descriptor.id
        )),
        other => other,
    }
}

/// The part of a span that a range is asked about: from where the span begins (ends, in reverse) to where the range ends.
fn piece_of(span: &Span, range: &Span, reverse: bool) -> Span {
    let piece = if reverse {
        Span { start: span.start.clone().max(range.start.clone()), end: span.end.clone() }
    } else {
        Span { start: span.start.clone(), end: span.end.clone().min(range.end.clone()) }
    };
    if piece.is_empty() { span.clone() } else { piece }
}

/// Rows of the first keys asked for.
pub(crate) struct KeysAnswer {
    pub rows: KvBlock,
    /// How many keys were read.
    pub count: usize,
}

/// Rows of a page and where they were read.
pub(crate) struct ScanAnswer {
    pub rows: KvBlock,
    pub read_timestamp: Timestamp,
    /// Tries before the one that was answered may have left locks.
    pub was_retried: bool,
}

/// What a program has made of a page, and where it was read.
pub(crate) struct FoldAnswer {
    pub answer: FoldResponse,
    pub node: NodeId,
    pub read_timestamp: Timestamp,
}

/// What a range has answered to a request for a page of `piece`.
struct Page {
    response: BatchResponse,
    piece: Span,
    was_retried: bool,
}

/// The part of what was asked for that a page has all rows of.
fn covered(piece: Span, resume: Option<Span>, reverse: bool) -> Span {
    match resume {
        None => piece,
        Some(resume) if reverse => Span { start: resume.end, end: piece.end },
        Some(resume) => Span { start: piece.start, end: resume.start },
    }
}

fn highest(results: Vec<Result<Timestamp, KvError>>) -> Result<Timestamp, KvError> {
    // An ambiguous outcome counts more than any other error: it must not be hidden.
    let mut highest = Timestamp::ZERO;
    let mut failure: Option<KvError> = None;
    for result in results {
        match result {
            Ok(timestamp) => highest = highest.max(timestamp),
            Err(error) if failure.is_none() || error.is_ambiguous() => failure = Some(error),
            Err(_) => {}
        }
    }
    failure.map_or(Ok(highest), Err)
}

fn expect_rows(mut response: BatchResponse) -> Result<ScanResponse, KvError> {
    match response.responses.pop() {
        Some(Response::Rows(rows)) => Ok(rows),
        other => Err(unexpected(other)),
    }
}

pub(crate) fn unexpected(response: Option<Response>) -> KvError {
    KvError::corruption(format!("an answer of the wrong kind: {response:?}"))
}
