//! Splits by load: where a range that is asked too often is best cut in two.
//!
//! A range is served by one node. One that is asked more than a node should bear for it is cut where each half gets about half of the requests;
//! then the halves' leases can go to different nodes (see `placement`). Size does not tell where that is: the newest
//! orders are a sliver at the end of the table.
//!
//! ```text
//!   every second: requests since the last look / time
//!       > rate_max?  no --> whatever was sampled is forgotten
//!         yes --> requests are sampled from now on
//!                    after 10 such looks in a row: is there a key that balances?
//!                       yes --> split there
//!                       no  --> nothing for a while, twice as long each time
//! ```
//!
//! # The samples
//!
//! Keys are drawn from the requests by reservoir: at any time each request so far had the same chance to be among the
//! [`SAMPLES`] kept. Each kept key then counts, of the requests after it was drawn, those to its left, those to its right, and those that it would
//! cut in two. A key that balances has about as many to both sides and cuts few: what is cut becomes two requests, and a commit in
//! one range may become one over two. Comparing a request with all samples costs about a microsecond, and only while the range is hot.
//!
//! # Not to and fro
//!
//! A half has to exceed the rate by itself for ten seconds before it is split again. A range with one hot key, or whose requests all span it, has
//! no key that balances, and is left alone. A node that stands alone splits nothing by load: it would serve both halves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use keys::{Key, Span};
use kvapi::Request;
use parking_lot::Mutex;
use stdx::Prng;

use crate::replica::Replica;
use crate::splits::SplitReason;
use crate::store::{Inner, next_round};

/// Keys that are compared.
const SAMPLES: usize = 20;
/// Between two looks at a range's rate.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks in a row at which the rate was too high, before a range is split.
const LOOKS_MIN: u32 = 10;
/// A key is judged by at least so many requests.
const REQUESTS_MIN: u64 = 100;
/// The larger side may have at most this share of the requests that are on one side.
const SHARE_MAX: f64 = 0.75;
/// At most this share of all requests may be cut in two.
const CUT_MAX: f64 = 0.25;
/// How long a range without a good key is left alone: at first, and at most.
const REST_MIN: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_secs(1_800);

/// A key and what the requests since it was drawn mean to it.
#[derive(Debug)]
struct Sample {
    key: Key,
    left: u64,
    right: u64,
    cut: u64,
}

impl Sample {
    fn new(key: &[u8]) -> Sample {
        Sample { key: Key::copy_from(key), left: 0, right: 0, cut: 0 }
    }

    /// How far it is from halving the load; `None`: too far, or not known.
    fn imbalance(&self) -> Option<f64> {
        let sides = self.left + self.right;
        let all = (sides + self.cut) as f64;
        if sides + self.cut < REQUESTS_MIN || sides == 0 {
            return None;
        }
        let share = self.left.max(self.right) as f64 / sides as f64;
        let cut = self.cut as f64 / all;
        (share <= SHARE_MAX && cut <= CUT_MAX).then_some(share + cut)
    }
}

/// The samples of one hot range.
#[derive(Debug)]
struct Finder {
    prng: Prng,
    seen: u64,
    samples: Vec<Sample>,
}

impl Finder {
    fn new(seed: u64) -> Finder {
        Finder { prng: Prng::new(seed), seen: 0, samples: Vec::with_capacity(SAMPLES) }
    }

    fn note(&mut self, reach: Reach<'_>) {
        let Reach { first, last, is_last_asked } = reach;
        for sample in &mut self.samples {
            let key = &sample.key[..];
            if last < key || last == key && !is_last_asked {
                sample.left += 1;
            } else if first >= key {
                sample.right += 1;
            } else {
                sample.cut += 1;
            }
        }
        self.seen += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(Sample::new(first));
        } else {
            let place = self.prng.below(self.seen) as usize;
            if place < SAMPLES {
                self.samples[place] = Sample::new(first);
            }
        }
    }

    fn best(&self) -> Option<Key> {
        let judged = self.samples.iter().filter_map(|sample| Some((sample.imbalance()?, &sample.key)));
        let best = judged.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        best.map(|(_, key)| key.clone())
    }
}

/// What is known of the load of one range here.
#[derive(Debug, Default)]
pub(crate) struct Heat {
    /// Requests are sampled.
    is_sampled: AtomicBool,
    /// Lock order: leaf.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    finder: Option<Finder>,
    /// When was last looked, and how many requests there had been by then; under the lease of which term.
    looked: Option<(Duration, u64, u64)>,
    rate: f64,
    hot_looks: u32,
    /// Left alone until then, and for how long that was.
    rests_until: Duration,
    rest: Duration,
}

impl Heat {
    /// A request for keys of the range. Costs next to nothing while the range is not hot.
    #[inline]
    pub fn asked(&self, request: &Request) {
        if self.is_sampled.load(Ordering::Relaxed) {
            self.sample(request);
        }
    }

    #[cold]
    fn sample(&self, request: &Request) {
        let Some(reach) = Reach::of(request) else { return };
        // Whoever comes while another is counted is not counted.
        if let Some(mut state) = self.state.try_lock()
            && let Some(finder) = &mut state.finder
        {
            finder.note(reach);
        }
    }

    /// Requests per second, as of the last look.
    pub fn rate(&self) -> f64 {
        self.state.lock().rate
    }

    /// Looks at the range, which is served under the lease of a term. `total`: requests so far. Answers where it is to be split, if it is.
    pub fn look(
        &self,
        now: Duration,
        total: u64,
        term: u64,
        rate_max: f64,
        seed: impl FnOnce() -> u64,
    ) -> Option<Key> {
        let mut state = self.state.lock();
        let before = state.looked.replace((now, total, term));
        let Some((then, asked, _)) = before.filter(|(.., before)| *before == term) else {
            self.cool(&mut state);
            state.rate = 0.0;
            return None;
        };
        let passed = now.saturating_sub(then).as_secs_f64();
        if passed <= 0.0 {
            return None;
        }
        state.rate = total.saturating_sub(asked) as f64 / passed;
        if rate_max <= 0.0 || state.rate <= rate_max || now < state.rests_until {
            self.cool(&mut state);
            return None;
        }
        state.hot_looks += 1;
        if state.finder.is_none() {
            state.finder = Some(Finder::new(seed()));
            self.is_sampled.store(true, Ordering::Relaxed);
        }
        if state.hot_looks <= LOOKS_MIN {
            return None;
        }
        let best = state.finder.as_ref().and_then(Finder::best);
        self.cool(&mut state);
        if best.is_none() {
            state.rest = (state.rest * 2).clamp(REST_MIN, REST_MAX);
            state.rests_until = now + state.rest;
        }
        best
    }

    /// The lease is elsewhere.
    pub fn end(&self) {
        let mut state = self.state.lock();
        if state.looked.is_some() {
            *state = State::default();
            self.is_sampled.store(false, Ordering::Relaxed);
        }
    }

    fn cool(&self, state: &mut State) {
        (state.finder, state.hot_looks) = (None, 0);
        self.is_sampled.store(false, Ordering::Relaxed);
    }
}

/// Looks at the load of every range whose lease is here.
pub(crate) async fn run(store: Weak<Inner>) {
    loop {
        let Some(inner) = next_round(&store, |_, _| LOOK_INTERVAL).await else { return };
        for (replica, at) in inner.overloaded() {
            if let Err(error) = inner.split_for(replica.clone(), at, SplitReason::Load).await {
                tracing::debug!(%error, range = %replica.id, "a range that is asked too often stays whole");
            }
        }
    }
}

impl Inner {
    /// Ranges that are to be split for their load, and where.
    fn overloaded(&self) -> Vec<(Arc<Replica>, Key)> {
        let alone = self.ranges.is_alone.load(Ordering::Relaxed);
        let rate_max = if alone { 0 } else { self.ranges.tuning.get().range_rate_max };
        let now = self.env.monotonic();
        let mut found = Vec::new();
        for replica in self.ranges.all() {
            let term = replica.state.lock().lease.map(|lease| lease.term);
            let Some(term) = term else {
                replica.heat.end();
                continue;
            };
            let total = replica.load.requests();
            let at = replica.heat.look(now, total, term, rate_max as f64, || self.env.entropy());
            let at = at.filter(|at| keys::split::check_split_key(at).is_ok());
            found.extend(at.map(|at| (replica, at)));
        }
        found
    }
}

/// The keys that a request is about.
#[derive(Clone, Copy, Debug)]
struct Reach<'a> {
    first: &'a [u8],
    last: &'a [u8],
    /// Or all before it are.
    is_last_asked: bool,
}

impl<'a> Reach<'a> {
    fn of_span(span: &'a Span) -> Reach<'a> {
        Reach { first: &span.start, last: &span.end, is_last_asked: false }
    }

    /// `None`: a request that does not count.
    fn of(request: &'a Request) -> Option<Reach<'a>> {
        let of_writes = |writes: &'a kvapi::WriteBlock| {
            let last = writes.len().checked_sub(1)?;
            Some(Reach { first: writes.key(0), last: writes.key(last), is_last_asked: true })
        };
        match request {
            Request::Get(get) => Some(Reach { first: &get.key, last: &get.key, is_last_asked: true }),
            Request::MultiGet(get) => {
                let last = get.keys.len().checked_sub(1)?;
                Some(Reach { first: get.keys.key(0), last: get.keys.key(last), is_last_asked: true })
            }
            Request::Scan(scan) => Some(Reach::of_span(&scan.span)),
            Request::Fold(fold) => Some(Reach::of_span(&fold.scan.span)),
            Request::Write(write) => of_writes(&write.writes),
            Request::Commit(commit) => of_writes(&commit.writes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use kvapi::{GetRequest, ScanRequest};

    use super::*;

    fn get(number: u64) -> Request {
        let key = Key::from(format!("{number:06}").as_str());
        Request::Get(GetRequest { key, ..GetRequest::default() })
    }

    /// Seconds of load, 1,000 requests in each, until it is to be split or has had enough.
    fn cut(mut ask: impl FnMut(&mut Prng) -> Request, seconds: u64) -> (Option<Key>, u64) {
        let heat = Heat::default();
        let mut prng = Prng::new(7);
        let mut total = 0;
        for second in 0..seconds {
            let found = heat.look(Duration::from_secs(second), total, 3, 500.0, || 11);
            if found.is_some() {
                return (found, second);
            }
            for _ in 0..1_000 {
                heat.asked(&ask(&mut prng));
                total += 1;
            }
        }
        (None, seconds)
    }

    #[test]
    fn a_range_is_cut_where_the_load_is_halved_and_not_at_once() {
        // Nine of ten requests go to the last tenth of the keys.
        let ask = |prng: &mut Prng| {
            let hot = prng.chance(0.9);
            get(if hot { 90_000 + prng.below(10_000) } else { prng.below(90_000) })
        };
        let (key, second) = cut(ask, 100);
        let number: u64 =
            std::str::from_utf8(&key.expect("it is hot")).expect("text").parse().expect("a number");
        assert!((91_000..=98_000).contains(&number), "{number}");
        assert!((10..=12).contains(&second), "{second}");
    }

    #[test]
    fn one_hot_key_and_requests_for_everything_are_left_alone() {
        assert_eq!(cut(|_| get(5), 200).0, None);
        let all =
            |_: &mut Prng| Request::Scan(ScanRequest { span: Span::new("0", "9"), ..ScanRequest::default() });
        assert_eq!(cut(all, 200).0, None);
    }

    #[test]
    fn a_range_that_is_hot_for_a_moment_is_left_alone() {
        let heat = Heat::default();
        let mut prng = Prng::new(7);
        let mut total = 0;
        for second in 0..300 {
            assert_eq!(heat.look(Duration::from_secs(second), total, 3, 500.0, || 11), None);
            let count = if second % 10 == 9 { 10 } else { 1_000 };
            for _ in 0..count {
                heat.asked(&get(prng.below(1_000)));
                total += 1;
            }
        }
        assert!(heat.rate() > 500.0);
    }

    #[test]
    fn what_was_counted_under_another_lease_does_not_count() {
        let heat = Heat::default();
        assert_eq!(heat.look(Duration::from_secs(1), 0, 3, 1.0, || 1), None);
        assert_eq!(heat.look(Duration::from_secs(2), 1_000, 4, 1.0, || 1), None);
        assert_eq!(heat.rate(), 0.0);
        assert_eq!(heat.look(Duration::from_secs(3), 3_000, 4, 1.0, || 1), None);
        assert_eq!(heat.rate(), 2_000.0);
        heat.end();
        assert_eq!(heat.rate(), 0.0);
    }
}
