//! Choosing where a replica goes, and which one goes for it.

use std::cmp::Ordering;

use smallvec::SmallVec;

use crate::decide::View;
use crate::overview::{OF_REPLICAS, Place, Spread};

/// Stores of a group that a range looks at. All of them if there are no more.
const SAMPLE: usize = 8;
/// Stores that differ by less than this share of the mean are equally full, where there are many.
const EQUALLY_FULL: f64 = 0.05;
/// What gains this share of the best is as good where there are many.
const GOOD_ENOUGH: f64 = 0.9;

/// How well a set of places fits: replicas that are not where they should be, then how near they stand to each other. The lower the
/// better.
pub(crate) type Quality = (u32, Spread);

/// A number with a total order.
#[derive(PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Ordered) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Ordered) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn mix(mut value: u64) -> u64 {
    stdx::prng::splitmix64(&mut value)
}

impl<'a> View<'a> {
    pub fn quality(&self, groups: &[usize]) -> Quality {
        (self.range.policy.deficit(groups), self.stores.spread(groups))
    }

    /// The same with one more.
    pub fn quality_with(&self, groups: &[usize], group: usize) -> Quality {
        let mut all: crate::decide::Groups = groups.iter().copied().collect();
        all.push(group);
        (self.range.policy.deficit(&all), self.stores.spread(groups) + self.stores.nearness(groups, group))
    }

    pub fn fullness(&self, place: &Place) -> f64 {
        self.stores.fullness(&place.amounts, &self.replica, &OF_REPLICAS)
    }

    pub fn replica_weight(&self) -> f64 {
        self.stores.weight(&self.replica, &OF_REPLICAS)
    }

    pub fn replica_gain(&self, from: &Place, to: &Place) -> f64 {
        self.stores.gain(&from.amounts, &to.amounts, &self.replica, &OF_REPLICAS)
    }

    pub fn gain_max(&self, from: &Place) -> f64 {
        self.stores.gain_max(&from.amounts, &self.replica, &OF_REPLICAS)
    }

    pub fn is_harmless(&self, from: &Place, to: &Place) -> bool {
        self.stores.is_harmless(&from.amounts, &to.amounts, &self.replica, &OF_REPLICAS)
    }

    fn has_replica(&self, place: &Place) -> bool {
        self.range.descriptor.replicas.iter().any(|there| there.node == place.node)
    }

    /// What decides between stores that are equally good: where they are few, their order; where they are many, the range, so that not
    /// everybody takes the same.
    fn turn(&self, place: &Place, are_many: bool) -> (u64, u32) {
        (if are_many { mix(self.draw() ^ u64::from(place.store.0)) } else { 0 }, place.store.0)
    }

    fn draw(&self) -> u64 {
        let seed = self.range.descriptor.id.0 ^ (self.range.descriptor.generation << 40);
        mix(mix(seed) ^ self.range.salt)
    }

    /// A sample of a group's stores that could get a replica: one of each of `SAMPLE` equal parts by fullness.
    fn sample(&self, group: usize) -> impl Iterator<Item = &'a Place> {
        let takers = &self.stores.groups()[group].takers;
        let parts = takers.len().min(SAMPLE);
        let draw = self.draw();
        (0..parts).filter_map(move |part| {
            let (begin, end) = (part * takers.len() / parts, (part + 1) * takers.len() / parts);
            let width = end - begin;
            let first = (mix(draw ^ part as u64) % width as u64) as usize;
            // Those with a replica are few: the next in the part will do.
            let mut tries = (0..width.min(SAMPLE)).map(|step| takers[begin + (first + step) % width]);
            let free = |at: &u32| !self.has_replica(&self.stores.places()[*at as usize]);
            tries.find(free).map(|at| &self.stores.places()[at as usize])
        })
    }

    /// The best place for a replica beside those that stay and those that were chosen before.
    pub fn best_place(&self, staying: &[usize], chosen: &[&Place]) -> Option<&'a Place> {
        let mut best: Option<Quality> = None;
        let mut found: SmallVec<[(f64, &'a Place); 32]> = SmallVec::new();
        for group in self.open_groups() {
            let quality = self.quality_with(staying, group);
            if best.is_some_and(|best| best < quality) {
                continue;
            }
            let places =
                self.sample(group).filter(|place| chosen.iter().all(|other| other.node != place.node));
            let before = found.len();
            found.extend(places.map(|place| (self.fullness(place), place)));
            if found.len() > before && best.is_none_or(|best| quality < best) {
                best = Some(quality);
                found.drain(..before);
            }
        }
        let least = found.iter().map(|(fullness, _)| *fullness).min_by(f64::total_cmp)?;
        let (margin, are_many) = (EQUALLY_FULL * self.replica_weight(), self.are_many());
        let good = found.into_iter().filter(|(fullness, _)| *fullness <= least + margin);
        let best = good.min_by_key(|(fullness, place)| {
            // Of few the emptiest, of many any that is about as empty.
            let turn = self.turn(place, are_many);
            (turn.0, Ordered(*fullness), turn.1)
        });
        best.map(|(_, place)| place)
    }

    /// Whether only a sample of the stores is looked at, or more than that.
    fn are_many(&self) -> bool {
        let mut takers = 0;
        self.open_groups().any(|group| {
            takers += self.stores.groups()[group].takers.len();
            takers > SAMPLE
        })
    }

    fn open_groups(&self) -> impl Iterator<Item = usize> {
        let groups = self.stores.groups().iter().enumerate();
        let open = groups.filter(|(_, group)| !group.takers.is_empty());
        open.map(|(at, _)| at).filter(|at| self.range.policy.permits(*at))
    }

    /// The exchange of a voter that `may_leave` for a store elsewhere that gains the most, among those after which the range fits no
    /// worse.
    pub fn best_exchange(
        &self,
        may_leave: impl Fn(&Place) -> bool,
        gain: impl Fn(&Place, &Place) -> Option<f64>,
    ) -> Option<(f64, &'a Place, &'a Place)> {
        let mut found: SmallVec<[(f64, &'a Place, &'a Place); 32]> = SmallVec::new();
        let now = self.quality(&self.groups());
        for leaving in self.others().filter(|voter| may_leave(voter)) {
            let staying = self.groups_without(leaving.store);
            for group in self.open_groups() {
                if self.quality_with(&staying, group) > now {
                    continue;
                }
                for place in self.sample(group) {
                    found.extend(gain(leaving, place).map(|gain| (gain, leaving, place)));
                }
            }
        }
        let most = found.iter().map(|(gain, ..)| *gain).max_by(f64::total_cmp)?;
        let are_many = self.are_many();
        let good = found.into_iter().filter(|(gain, ..)| *gain >= most * GOOD_ENOUGH);
        good.min_by_key(|(gain, leaving, place)| {
            // Of few the most, of many any that is good.
            let turn = self.turn(place, are_many);
            (turn.0, std::cmp::Reverse(Ordered(*gain)), leaving.store, turn.1)
        })
    }
}
