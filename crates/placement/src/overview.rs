//! The stores as a leaseholder sees them: grouped by locality, sorted by fullness, with means. Made once per round.
//!
//! Ranges are many and nodes may be a thousand: what a decision about one range looks at must not grow with either. Stores that stand
//! in the same place (all tiers equal) form a group; how well a place fits a range is a matter of its group. Within a group stores are
//! sorted by fullness, and a range looks at a sample of them.

use std::collections::BTreeMap;
use std::time::Duration;

use keys::{NodeId, StoreId};
use kvapi::{Capacity, Locality, NodeInfo, Standing};
use smallvec::SmallVec;

use crate::config::RangeConfig;

/// What is balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    Ranges = 0,
    Bytes = 1,
    WrittenBytes = 2,
    Leases = 3,
    Requests = 4,
}

const DIMENSIONS: usize = 5;

/// What comes and goes with a replica.
pub(crate) const OF_REPLICAS: [Dimension; 3] = [Dimension::Ranges, Dimension::Bytes, Dimension::WrittenBytes];
/// What comes and goes with a lease.
pub(crate) const OF_LEASES: [Dimension; 2] = [Dimension::Leases, Dimension::Requests];

/// Differences up to the first are noise whatever the mean is, and so are those up to the second, as a share of the mean.
const NOISE: [(f64, f64); DIMENSIONS] = [
    (2.0, 0.05),
    // Two full ranges.
    (256.0 * 1024.0 * 1024.0, 0.05),
    // Rates swing, and cost nothing while they are low.
    (1024.0 * 1024.0, 0.15),
    (2.0, 0.05),
    (200.0, 0.15),
];

/// How much of everything: of a store, or of a range that goes from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amounts([f64; DIMENSIONS]);

impl Amounts {
    pub fn of(dimension: Dimension, amount: f64) -> Amounts {
        let mut amounts = Amounts::default();
        amounts.0[dimension as usize] = amount;
        amounts
    }

    pub fn of_store(capacity: &Capacity) -> Amounts {
        let Capacity { ranges, used_bytes, written_bytes_per_second, leases, requests_per_second, .. } =
            *capacity;
        let all = [ranges, used_bytes, written_bytes_per_second, leases, requests_per_second];
        Amounts(all.map(|amount| amount as f64))
    }

    /// What goes with a replica, or with a lease, or with both.
    pub fn of_range(replica: bool, lease: bool, size_bytes: f64, load: crate::RangeLoad) -> Amounts {
        let (replica, lease) = (f64::from(u8::from(replica)), f64::from(u8::from(lease)));
        Amounts([replica, replica * size_bytes, replica * load.written_bytes, lease, lease * load.requests])
    }

    pub fn get(&self, dimension: Dimension) -> f64 {
        self.0[dimension as usize]
    }

    pub fn add(&mut self, other: &Amounts, times: f64) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            // News are rounded and old: what was taken away may not have been counted.
            *own = (*own + times * other).max(0.0);
        }
    }
}

/// How nodes are judged.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A node that has been silent for so long is taken for dead: what it held is replaced.
    pub dead_after: Duration,
    /// A node that has been silent for so long gets nothing new.
    pub suspect_after: Duration,
    /// A store with a smaller share of its disk free gives replicas away.
    pub free_min: f64,
    /// A store with a smaller share of its disk free takes nothing. Above `free_min`: what was given away must not come back.
    pub free_to_take: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            dead_after: Duration::from_secs(300),
            suspect_after: Duration::from_secs(5),
            free_min: 0.05,
            free_to_take: 0.10,
        }
    }
}

/// A store.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub node: NodeId,
    pub store: StoreId,
    pub group: usize,
    pub amounts: Amounts,
    /// Replicas and leases may be put there.
    pub takes: bool,
    /// Its replicas should not be there.
    pub is_lost: bool,
    /// They stay until others have taken their place.
    pub is_leaving: bool,
    /// Its disk is nearly full.
    pub is_full: bool,
    /// It is to have no leases: about to stop, to be emptied.
    pub hands_over: bool,
}

/// Stores that stand in the same place.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub locality: Locality,
    /// Numbers of the place's tiers, from the widest on: equal if all tiers up to there are.
    path: SmallVec<[u32; 4]>,
    /// Positions of those that take replicas, the emptiest first.
    pub takers: Vec<u32>,
}

/// How far apart replicas are: the number of pairs that share their widest tier in the highest byte, those that share two in
/// the next. The lower the better.
pub(crate) type Spread = u128;

/// All stores, for the decisions of one round.
///
/// - `places` is in the order of stores, `takers` of each group in the order of fullness as it was when the overview was made.
#[derive(Clone, Debug)]
pub struct Overview {
    places: Vec<Place>,
    groups: Vec<Group>,
    means: Amounts,
    noise: Amounts,
    /// The least of every dimension that a store which takes replicas has.
    least: Amounts,
    /// Nodes that are meant to hold data, whether they live or not.
    active: usize,
    /// Nodes whose replicas must not go before others have taken their place.
    leaving: usize,
    /// Different places up to the first tier, up to the second, ...: of those that take replicas.
    widths: SmallVec<[usize; 4]>,
}

impl Overview {
    pub fn new(nodes: &[NodeInfo], limits: &Limits) -> Overview {
        let mut paths: BTreeMap<&[(String, String)], u32> = BTreeMap::new();
        let mut numbers: BTreeMap<&Locality, usize> = BTreeMap::new();
        let (mut places, mut groups): (Vec<Place>, Vec<Group>) =
            (Vec::with_capacity(nodes.len()), Vec::new());
        for info in nodes {
            let group = *numbers.entry(&info.locality).or_insert_with(|| {
                let tiers = info.locality.tiers();
                let path = (1..=tiers.len()).map(|depth| {
                    let next = paths.len() as u32;
                    *paths.entry(&tiers[..depth]).or_insert(next)
                });
                groups.push(Group {
                    locality: info.locality.clone(),
                    path: path.collect(),
                    takers: Vec::new(),
                });
                groups.len() - 1
            });
            places.push(Overview::place(info, group, limits));
        }
        places.sort_by_key(|place| place.store);
        let of = |standing| nodes.iter().filter(|node| node.standing == standing).count();
        let (active, leaving) = (of(Standing::Active), of(Standing::Decommissioning));
        let mut overview = Overview {
            places,
            groups,
            means: Amounts::default(),
            noise: Amounts::default(),
            least: Amounts::default(),
            active,
            leaving,
            widths: SmallVec::new(),
        };
        overview.count();
        overview.sort();
        overview
    }

    fn place(info: &NodeInfo, group: usize, limits: &Limits) -> Place {
        let Capacity { used_bytes, available_bytes, .. } = info.capacity;
        // Zero: not known.
        let free = match available_bytes {
            0 => 1.0,
            free => free as f64 / (used_bytes as f64 + free as f64),
        };
        Place {
            node: info.node,
            store: info.store,
            group,
            amounts: Amounts::of_store(&info.capacity),
            takes: info.takes_replicas(limits.suspect_after) && free >= limits.free_to_take,
            is_lost: info.standing != Standing::Active || info.silence >= limits.dead_after,
            is_leaving: info.standing == Standing::Decommissioning,
            is_full: free < limits.free_min,
            hands_over: info.draining || info.standing != Standing::Active,
        }
    }

    fn count(&mut self) {
        let takers = || self.places.iter().filter(|place| place.takes);
        let count = takers().count().max(1) as f64;
        let mut sums = Amounts::default();
        takers().for_each(|place| sums.add(&place.amounts, 1.0));
        self.means = Amounts(sums.0.map(|sum| sum / count));
        for (dimension, (least, share)) in NOISE.into_iter().enumerate() {
            self.noise.0[dimension] = f64::max(least, share * self.means.0[dimension]);
            let amounts = takers().map(|place| place.amounts.0[dimension]);
            self.least.0[dimension] = amounts.min_by(f64::total_cmp).unwrap_or(0.0);
        }
    }

    fn sort(&mut self) {
        let everything = Amounts(self.means.0);
        let fullness: Vec<f64> = self
            .places
            .iter()
            .map(|place| self.fullness(&place.amounts, &everything, &OF_REPLICAS))
            .collect();
        for (position, place) in self.places.iter().enumerate().filter(|(_, place)| place.takes) {
            self.groups[place.group].takers.push(position as u32);
        }
        for group in &mut self.groups {
            // Stable: the order of stores decides between equals.
            group.takers.sort_by(|a, b| fullness[*a as usize].total_cmp(&fullness[*b as usize]));
        }
        let mut depth = 0;
        loop {
            let live = self.groups.iter().filter(|group| !group.takers.is_empty());
            let mut at: Vec<u32> = live.filter_map(|group| group.path.get(depth)).copied().collect();
            at.sort_unstable();
            at.dedup();
            if at.is_empty() {
                return;
            }
            self.widths.push(at.len());
            depth += 1;
        }
    }

    pub(crate) fn position(&self, store: StoreId) -> Option<usize> {
        self.places.binary_search_by_key(&store, |place| place.store).ok()
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// How many nodes are to be emptied, without anything being given up.
    pub fn leaving(&self) -> usize {
        self.leaving
    }

    /// What a store is known to have.
    pub fn amounts(&self, store: StoreId) -> Option<Amounts> {
        self.position(store).map(|position| self.places[position].amounts)
    }

    /// Sets what a store has.
    pub fn set_amounts(&mut self, store: StoreId, amounts: Amounts) {
        if let Some(position) = self.position(store) {
            self.places[position].amounts = amounts;
        }
    }

    /// Counts a move that the news do not contain.
    pub fn shift(&mut self, from: Option<StoreId>, to: Option<StoreId>, amounts: &Amounts) {
        for (store, times) in [(from, -1.0), (to, 1.0)] {
            if let Some(position) = store.and_then(|store| self.position(store)) {
                self.places[position].amounts.add(amounts, times);
            }
        }
    }

    /// How much of a range's amounts weighs, by the means: the sum over `dimensions`.
    pub(crate) fn weight(&self, range: &Amounts, dimensions: &[Dimension]) -> f64 {
        let weight = |dimension: &Dimension| {
            let (amount, mean) = (range.get(*dimension), self.means.get(*dimension));
            if mean > 0.0 { amount / mean } else { 0.0 }
        };
        dimensions.iter().map(weight).sum()
    }

    /// How full a store is, as far as it matters to a range.
    pub(crate) fn fullness(&self, store: &Amounts, range: &Amounts, dimensions: &[Dimension]) -> f64 {
        let part = |dimension: &Dimension| {
            let mean = self.means.get(*dimension);
            if mean > 0.0 { range.get(*dimension) / mean * (store.get(*dimension) / mean) } else { 0.0 }
        };
        dimensions.iter().map(part).sum()
    }

    /// By how much the potential falls if a range goes from one store to another, noise left out.
    pub(crate) fn gain(
        &self,
        from: &Amounts,
        to: &Amounts,
        range: &Amounts,
        dimensions: &[Dimension],
    ) -> f64 {
        let part = |dimension: &Dimension| {
            let (amount, mean) = (range.get(*dimension), self.means.get(*dimension));
            if mean <= 0.0 || amount <= 0.0 {
                return 0.0;
            }
            let difference = from.get(*dimension) - to.get(*dimension) - amount;
            let noise = self.noise.get(*dimension);
            let counts = if difference > 0.0 { (difference - noise).max(0.0) } else { difference };
            amount / mean * (counts / mean)
        };
        dimensions.iter().map(part).sum()
    }

    /// The most that a move from a store could gain.
    pub(crate) fn gain_max(&self, from: &Amounts, range: &Amounts, dimensions: &[Dimension]) -> f64 {
        self.gain(from, &self.least, range, dimensions)
    }

    /// Whether a move makes nothing worse by more than noise.
    pub(crate) fn is_harmless(
        &self,
        from: &Amounts,
        to: &Amounts,
        range: &Amounts,
        dimensions: &[Dimension],
    ) -> bool {
        let harmless = |dimension: &Dimension| {
            let difference = from.get(*dimension) - to.get(*dimension) - range.get(*dimension);
            difference >= -self.noise.get(*dimension)
        };
        dimensions.iter().all(harmless)
    }

    /// What a pair of places adds to the spread.
    fn shared(&self, one: usize, other: usize) -> Spread {
        let (one, other) = (&self.groups[one].path, &self.groups[other].path);
        let depth = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        (0..depth).map(|depth| 1 << (120 - 8 * depth)).sum()
    }

    pub(crate) fn spread(&self, groups: &[usize]) -> Spread {
        let pairs =
            groups.iter().enumerate().flat_map(|(at, one)| groups[..at].iter().map(move |two| (one, two)));
        pairs.map(|(one, two)| self.shared(*one, *two)).sum()
    }

    /// What a place would add.
    pub(crate) fn nearness(&self, groups: &[usize], group: usize) -> Spread {
        groups.iter().map(|other| self.shared(*other, group)).sum()
    }

    /// A spread that so many replicas cannot fall below: at each tier they are divided evenly.
    pub(crate) fn spread_min(&self, replicas: usize) -> Spread {
        let pairs = |width: usize| -> u128 {
            let (each, more) = (replicas / width, replicas % width);
            let pairs = |count: usize| (count * count.saturating_sub(1) / 2) as u128;
            more as u128 * pairs(each + 1) + (width - more) as u128 * pairs(each)
        };
        self.widths.iter().enumerate().map(|(depth, width)| pairs(*width) << (120 - 8 * depth)).sum()
    }

    /// What a configuration means for these stores.
    pub fn resolve(&self, config: &RangeConfig, replicas: usize) -> Policy {
        let localities = || self.groups.iter().map(|group| &group.locality);
        let strict: Vec<_> =
            config.constraints.0.iter().filter(|constraint| constraint.count.is_none()).collect();
        let permitted = match strict.is_empty() {
            true => Vec::new(),
            false => localities().map(|there| strict.iter().all(|one| one.allows(there))).collect(),
        };
        let counted = config.constraints.0.iter().filter_map(|constraint| {
            let there = localities().map(|there| constraint.allows(there));
            Some((constraint.count?, there.collect()))
        });
        let ranks = match config.lease_preferences.0.is_empty() {
            true => Vec::new(),
            false => localities().map(|there| config.lease_preferences.rank(there)).collect(),
        };
        Policy { replicas, permitted, counted: counted.collect(), ranks }
    }
}

/// A [`RangeConfig`] as it applies to the groups of an [`Overview`]: worth keeping for all ranges of a round that have it.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) replicas: usize,
    /// By group; empty: everywhere.
    permitted: Vec<bool>,
    /// So many replicas in these groups.
    counted: Vec<(u8, Vec<bool>)>,
    /// By group, the lower the better for a lease; empty: no matter where.
    ranks: Vec<u8>,
}

impl Policy {
    pub(crate) fn permits(&self, group: usize) -> bool {
        self.permitted.get(group).copied().unwrap_or(true)
    }

    pub(crate) fn rank(&self, group: usize) -> u8 {
        self.ranks.get(group).copied().unwrap_or(0)
    }

    /// How many replicas are not where they should be.
    pub(crate) fn deficit(&self, groups: &[usize]) -> u32 {
        if self.permitted.is_empty() && self.counted.is_empty() {
            return 0;
        }
        let misplaced = groups.iter().filter(|group| !self.permits(**group)).count() as u32;
        let missing = self.counted.iter().map(|(count, there)| {
            let found = groups.iter().filter(|group| there[**group]).count() as u32;
            u32::from(*count).saturating_sub(found)
        });
        misplaced + missing.sum::<u32>()
    }
}
