//! A cluster as far as placement sees it: stores, ranges, news, and moves that take time. No requests, no log: events in order.
//!
//! - Every store looks at some of the ranges that it leads in each round, and asks the shipped `decide` about each.
//! - News are up to five seconds old. All stores see the same news, and each adds what it has decided itself.
//! - A store sends and receives few replicas at once; a move takes as long as its bytes take.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use keys::{NodeId, RangeId, ReplicaId, Span, StoreId};
use kvapi::{Locality, NodeInfo, RangeDescriptor, ReplicaDescriptor, ReplicaKind};
use placement::load::MEASURED_MIN;
use placement::overview::Dimension;
use placement::{
    Amounts, Budget, Decision, Ledger, Limits, Overview, Policy, RangeConfig, RangeLoad, RangeView, decide,
};

pub const REPLICAS: usize = 3;
const MIB: f64 = 1_048_576.0;

/// Between two rounds of a store, in ms.
const ROUND: u64 = 2_000;
/// Rounds after which a store has looked at all ranges that it leads.
const SWEEP_ROUNDS: usize = 10;
/// Between two news of a store, in ms.
const NEWS: u64 = 5_000;
/// Between two pictures of all stores, in ms.
const PICTURE: u64 = 1_000;
/// Moves that a store leads at once, and replicas that it receives at once.
const LED_MAX: u32 = 2;
const RECEIVED_MAX: u32 = 4;
/// What a move takes: this long, and its bytes at this rate.
const MOVE_MILLIS: u64 = 1_000;
const BYTES_PER_SECOND: f64 = 32.0 * MIB;
const MOVES_PER_MINUTE: u32 = 60;
const TRANSFERS_PER_MINUTE: u32 = 120;
/// Without any move for so long, in ms, it has come to rest: every range was looked at several times.
pub const REST: u64 = 400_000;

pub struct Range {
    /// Positions of stores; the first has the lease.
    pub stores: [u16; REPLICAS],
    pub size_bytes: f64,
    pub load: RangeLoad,
    /// Since when the lease is there, in ms.
    led_since: u64,
    generation: u64,
    is_moving: bool,
    /// Where it stands in its leaseholder's list.
    slot: u32,
    pub moves: u32,
}

pub struct Store {
    /// What others know.
    pub news: NodeInfo,
    /// What is so.
    pub amounts: Amounts,
    pub is_alive: bool,
    died: u64,
    leads: Vec<u32>,
    cursor: usize,
    led: u32,
    received: u32,
    rounds: u64,
    ledger: Ledger,
    /// Stores in the ledger, with when they were noted: to take back what was added to the picture.
    noted: VecDeque<(u64, StoreId)>,
    moves: Budget,
    transfers: Budget,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Picture,
    Round(u16),
    Moved { range: u32, from: u16, to: u16, leader: u16 },
}

#[derive(Default)]
pub struct Counts {
    pub decisions: u64,
    pub moves: u64,
    pub transfers: u64,
    pub refused: u64,
    /// The last move or transfer, in ms.
    pub last: u64,
}

pub struct Cluster {
    pub now: u64,
    pub stores: Vec<Store>,
    pub ranges: Vec<Range>,
    pub counts: Counts,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    picture: Overview,
    policy: Policy,
    scratch: RangeDescriptor,
}

fn id(position: u16) -> StoreId {
    StoreId(u32::from(position) + 1)
}

fn position(store: StoreId) -> u16 {
    (store.0 - 1) as u16
}

fn time(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Cluster {
    /// Stores at these places, without ranges.
    pub fn new(localities: impl Iterator<Item = String>) -> Cluster {
        let stores: Vec<Store> = (1..)
            .zip(localities)
            .map(|(number, locality)| {
                let mut news = NodeInfo::new(NodeId(number), StoreId(number));
                news.locality = Locality::parse(&locality).expect("a locality");
                Store {
                    news,
                    amounts: Amounts::default(),
                    is_alive: true,
                    died: 0,
                    leads: Vec::new(),
                    cursor: 0,
                    led: 0,
                    received: 0,
                    rounds: 0,
                    ledger: Ledger::default(),
                    noted: VecDeque::new(),
                    moves: Budget::per_minute(MOVES_PER_MINUTE),
                    transfers: Budget::per_minute(TRANSFERS_PER_MINUTE),
                }
            })
            .collect();
        let picture = Overview::new(&[], &Limits::default());
        let policy = picture.resolve(&RangeConfig::default(), REPLICAS);
        let scratch = RangeDescriptor {
            id: RangeId(0),
            span: Span::new("a", "b"),
            generation: 0,
            replicas: Vec::with_capacity(REPLICAS),
            next_replica: ReplicaId(1),
        };
        Cluster {
            now: 0,
            stores,
            ranges: Vec::new(),
            counts: Counts::default(),
            events: BinaryHeap::new(),
            sequence: 0,
            picture,
            policy,
            scratch,
        }
    }

    pub fn add_range(&mut self, stores: [u16; REPLICAS], size_bytes: f64, load: RangeLoad) {
        let number = self.ranges.len() as u32;
        for (at, store) in stores.into_iter().enumerate() {
            let amounts = Amounts::of_range(true, at == 0, size_bytes, load);
            self.stores[usize::from(store)].amounts.add(&amounts, 1.0);
        }
        let leads = &mut self.stores[usize::from(stores[0])].leads;
        let slot = leads.len() as u32;
        leads.push(number);
        let range =
            Range { stores, size_bytes, load, led_since: 0, generation: 0, is_moving: false, slot, moves: 0 };
        self.ranges.push(range);
    }

    /// Everybody knows everything as it is, and begins.
    pub fn start(&mut self) {
        for store in &mut self.stores {
            publish(store, 0);
        }
        self.take_picture();
        self.at(PICTURE, Event::Picture);
        let count = self.stores.len() as u64;
        for store in 0..self.stores.len() as u16 {
            self.at(u64::from(store) * ROUND / count, Event::Round(store));
        }
    }

    fn at(&mut self, millis: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((self.now + millis, self.sequence, event)));
    }

    /// Runs until a time, in ms, or until it has been at rest for long.
    pub fn run_until(&mut self, until: u64) -> bool {
        while self.now < until && self.now < self.counts.last + REST {
            let Reverse((at, _, event)) = self.events.pop().expect("rounds go on");
            self.now = at;
            match event {
                Event::Picture => {
                    self.take_news();
                    self.take_picture();
                    self.at(PICTURE, Event::Picture);
                }
                Event::Round(store) if self.stores[usize::from(store)].is_alive => {
                    self.round(store);
                    self.at(ROUND, Event::Round(store));
                }
                Event::Round(_) => {}
                Event::Moved { range, from, to, leader } => self.moved(range, from, to, leader),
            }
        }
        self.now >= self.counts.last + REST
    }

    /// A fifth of the stores speaks in each second; of the dead ones only silence is heard.
    fn take_news(&mut self) {
        let turns = NEWS / PICTURE;
        let turn = self.now / PICTURE % turns;
        for (number, store) in self.stores.iter_mut().enumerate() {
            if !store.is_alive {
                store.news.silence = time(self.now - store.died);
            } else if number as u64 % turns == turn {
                publish(store, self.now);
            }
        }
    }

    fn take_picture(&mut self) {
        let news: Vec<NodeInfo> = self.stores.iter().map(|store| store.news.clone()).collect();
        self.picture = Overview::new(&news, &Limits::default());
        self.policy = self.picture.resolve(&RangeConfig::default(), REPLICAS);
    }

    fn round(&mut self, leader: u16) {
        let store = &mut self.stores[usize::from(leader)];
        store.rounds += 1;
        while store.noted.front().is_some_and(|(at, _)| at + 60_000 <= self.now) {
            store.noted.pop_front();
        }
        let noted = store.noted.iter().map(|(_, noted)| *noted);
        let mut before: Vec<(StoreId, Amounts)> = Vec::new();
        for noted in noted.chain([id(leader)]) {
            before.extend(self.picture.amounts(noted).map(|amounts| (noted, amounts)));
        }
        // What a store has itself it knows at once.
        self.picture.set_amounts(id(leader), store.amounts);
        store.ledger.apply(time(self.now), &mut self.picture);
        for _ in 0..store.leads.len().div_ceil(SWEEP_ROUNDS) {
            let store = &mut self.stores[usize::from(leader)];
            if store.leads.is_empty() || store.led >= LED_MAX {
                break;
            }
            store.cursor = (store.cursor + 1) % store.leads.len();
            let range = store.leads[store.cursor];
            if !self.ranges[range as usize].is_moving {
                self.look_at(leader, range, &mut before);
            }
        }
        // In the reverse order: of a store that stands there twice the first counts.
        for (store, amounts) in before.into_iter().rev() {
            self.picture.set_amounts(store, amounts);
        }
    }

    fn look_at(&mut self, leader: u16, number: u32, before: &mut Vec<(StoreId, Amounts)>) {
        let range = &self.ranges[number as usize];
        self.scratch.id = RangeId(u64::from(number) + 1);
        self.scratch.generation = range.generation;
        self.scratch.replicas.clear();
        self.scratch.replicas.extend(range.stores.iter().map(|store| ReplicaDescriptor {
            node: NodeId(id(*store).0),
            store: id(*store),
            replica: ReplicaId(id(*store).0),
            kind: ReplicaKind::Voter,
        }));
        let is_known = time(self.now - range.led_since) >= MEASURED_MIN || range.led_since == 0;
        let leading = &mut self.stores[usize::from(leader)];
        let view = RangeView {
            may_move: leading.moves.has(time(self.now)),
            may_transfer: leading.transfers.has(time(self.now)),
            descriptor: &self.scratch,
            own: id(leader),
            policy: &self.policy,
            kept: 3,
            size_bytes: range.size_bytes as u64,
            load: is_known.then_some(range.load),
            salt: leading.rounds,
        };
        self.counts.decisions += 1;
        let Some(decision) = decide(&view, &self.picture) else { return };
        let load = view.load.unwrap_or_default();
        let now = time(self.now);
        match decision {
            Decision::LeaveJoint => unreachable!("nothing is joint"),
            Decision::TransferLease { to, is_for_balance } => {
                let store = &mut self.stores[usize::from(leader)];
                if is_for_balance && !store.transfers.take(now) {
                    return;
                }
                let amounts = Amounts::of_range(false, true, 0.0, load);
                store.ledger.note(now, None, Some(to), amounts);
                self.shift(leader, Some(id(leader)), Some(to), amounts, before);
                if self.stores[usize::from(position(to))].is_alive {
                    self.transfer(number, position(to));
                } else {
                    self.counts.refused += 1;
                }
            }
            Decision::Change { add, remove, is_for_balance } => {
                let store = &mut self.stores[usize::from(leader)];
                if is_for_balance && !store.moves.take(now) {
                    return;
                }
                let (from, to) = (remove[0], add.first().expect("as many come as go").1);
                let amounts = Amounts::of_range(true, false, view.size_bytes as f64, load);
                store.ledger.note(now, Some(from), Some(to), amounts);
                self.shift(leader, Some(from), Some(to), amounts, before);
                self.begin_move(leader, number, position(from), position(to));
            }
        }
    }

    fn shift(
        &mut self,
        leader: u16,
        from: Option<StoreId>,
        to: Option<StoreId>,
        amounts: Amounts,
        before: &mut Vec<(StoreId, Amounts)>,
    ) {
        for store in [from, to].into_iter().flatten() {
            before.extend(self.picture.amounts(store).map(|amounts| (store, amounts)));
            self.stores[usize::from(leader)].noted.push_back((self.now, store));
        }
        self.picture.shift(from, to, &amounts);
    }

    /// Moves the lease to another of the range's stores.
    fn transfer(&mut self, number: u32, to: u16) {
        self.counts.transfers += 1;
        self.counts.last = self.now;
        let range = &mut self.ranges[number as usize];
        let (from, slot) = (range.stores[0], range.slot as usize);
        let at = range.stores.iter().position(|store| *store == to).expect("a voter takes the lease");
        range.stores.swap(0, at);
        range.led_since = self.now;
        let amounts = Amounts::of_range(false, true, 0.0, range.load);
        self.stores[usize::from(from)].amounts.add(&amounts, -1.0);
        self.stores[usize::from(to)].amounts.add(&amounts, 1.0);
        let leads = &mut self.stores[usize::from(from)].leads;
        leads.swap_remove(slot);
        if let Some(other) = leads.get(slot) {
            self.ranges[*other as usize].slot = slot as u32;
        }
        let leads = &mut self.stores[usize::from(to)].leads;
        self.ranges[number as usize].slot = leads.len() as u32;
        leads.push(number);
    }

    fn begin_move(&mut self, leader: u16, number: u32, from: u16, to: u16) {
        let target = &mut self.stores[usize::from(to)];
        if !target.is_alive || target.received >= RECEIVED_MAX {
            self.counts.refused += 1;
            return;
        }
        target.received += 1;
        self.stores[usize::from(leader)].led += 1;
        let range = &mut self.ranges[number as usize];
        range.is_moving = true;
        let takes = MOVE_MILLIS + (range.size_bytes / BYTES_PER_SECOND * 1_000.0) as u64;
        self.at(takes, Event::Moved { range: number, from, to, leader });
    }

    fn moved(&mut self, number: u32, from: u16, to: u16, leader: u16) {
        let leading = &mut self.stores[usize::from(leader)];
        leading.led -= 1;
        let failed = !leading.is_alive || !self.stores[usize::from(to)].is_alive;
        self.stores[usize::from(to)].received -= 1;
        let range = &mut self.ranges[number as usize];
        range.is_moving = false;
        if failed {
            return;
        }
        let at = range.stores.iter().position(|store| *store == from).expect("it was there");
        range.stores[at] = to;
        range.generation += 2;
        range.moves += 1;
        let amounts = Amounts::of_range(true, false, range.size_bytes, range.load);
        self.stores[usize::from(from)].amounts.add(&amounts, -1.0);
        self.stores[usize::from(to)].amounts.add(&amounts, 1.0);
        self.counts.moves += 1;
        self.counts.last = self.now;
    }

    /// Stores die: their leases go to another replica's store, which knows nothing of the load yet.
    pub fn kill(&mut self, dies: impl Fn(&Store) -> bool) {
        for store in &mut self.stores {
            if dies(store) {
                (store.is_alive, store.died) = (false, self.now);
            }
        }
        for number in 0..self.ranges.len() as u32 {
            let range = &self.ranges[number as usize];
            let lives = |store: &&u16| self.stores[usize::from(**store)].is_alive;
            if lives(&&range.stores[0]) {
                continue;
            }
            let to = *range.stores.iter().find(lives).expect("a quorum lives");
            self.transfer(number, to);
        }
        self.counts.transfers = 0;
    }
}

/// A store says what it has. Rates swing by a tenth.
fn publish(store: &mut Store, now: u64) {
    let amount = |dimension| store.amounts.get(dimension).round() as u64;
    let mut seed = now ^ u64::from(store.news.store.0) << 32;
    let mut rate = |dimension| {
        let swing = 0.95 + 0.1 * (stdx::prng::splitmix64(&mut seed) % 1_000) as f64 / 1_000.0;
        (store.amounts.get(dimension) * swing).round() as u64
    };
    store.news.capacity = kvapi::Capacity {
        ranges: amount(Dimension::Ranges),
        leases: amount(Dimension::Leases),
        used_bytes: amount(Dimension::Bytes),
        available_bytes: 0,
        requests_per_second: rate(Dimension::Requests),
        written_bytes_per_second: rate(Dimension::WrittenBytes),
    };
}
