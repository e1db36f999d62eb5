//! What happens to the cluster, and what is asked of the outcome.

use kvapi::Standing;
use placement::RangeLoad;
use placement::overview::Dimension;
use stdx::Prng;

use crate::cluster::{Cluster, REPLICAS, REST, Store};

const MIB: f64 = 1_048_576.0;
const ZONES: usize = 5;
const RACKS: usize = 10;
/// Between two points of a plot at first, in ms.
const POINT: u64 = 20_000;
const LIMIT: u64 = 48 * 3_600_000;

pub struct Scenario {
    pub name: &'static str,
    kind: Kind,
    /// Moves per needed move, at most.
    moves_max: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Growth,
    Loss,
    Skew,
    Decommission,
}

pub const ALL: [Scenario; 4] = [
    Scenario { name: "twice as many nodes", kind: Kind::Growth, moves_max: 1.1 },
    Scenario { name: "loss of one zone of five", kind: Kind::Loss, moves_max: 1.2 },
    Scenario { name: "skewed load and sizes", kind: Kind::Skew, moves_max: 3.0 },
    Scenario { name: "decommission of a twentieth", kind: Kind::Decommission, moves_max: 1.2 },
];

pub const HEADER: &str = "\
| what happens | moves needed | moved | leases moved | most moves of one range | at rest after | replicas | bytes | written | leases | requests |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The dimensions that are told, in the order of the table.
pub const DIMENSIONS: [(Dimension, &str); 5] = [
    (Dimension::Ranges, "replicas"),
    (Dimension::Bytes, "bytes"),
    (Dimension::WrittenBytes, "written"),
    (Dimension::Leases, "leases"),
    (Dimension::Requests, "requests"),
];

/// The least and the most of a store, as shares of the mean.
#[derive(Clone, Copy, Default)]
pub struct Evenness {
    pub least: f64,
    pub most: f64,
}

pub struct Point {
    pub seconds: f64,
    pub moves: u64,
    pub evenness: [Evenness; 5],
}

pub struct Outcome {
    pub name: &'static str,
    kind: Kind,
    moves_max: f64,
    pub needed: u64,
    pub moves: u64,
    transfers: u64,
    most_moves: u32,
    rest_after: Option<f64>,
    pub decisions: u64,
    pub points: Vec<Point>,
    replicas: u64,
    on_gone: usize,
    same_zone: usize,
}

fn takes(store: &Store) -> bool {
    store.is_alive && store.news.standing == Standing::Active
}

fn evenness(cluster: &Cluster) -> [Evenness; 5] {
    DIMENSIONS.map(|(dimension, _)| {
        let amounts: Vec<f64> = cluster
            .stores
            .iter()
            .filter(|store| takes(store))
            .map(|store| store.amounts.get(dimension))
            .collect();
        let mean = amounts.iter().sum::<f64>() / amounts.len() as f64;
        let least = amounts.iter().copied().fold(f64::MAX, f64::min) / mean;
        let most = amounts.iter().copied().fold(0.0, f64::max) / mean;
        Evenness { least, most }
    })
}

/// A share of ranges has most of the load: the k-th gets what 1 / sqrt(k) says, with the mean at 1.
fn zipf(rank: usize, count: usize) -> f64 {
    let mean = 2.0 / (count as f64).sqrt();
    1.0 / (rank as f64).sqrt() / mean
}

fn build(kind: Kind, nodes: usize, ranges: usize, prng: &mut Prng) -> Cluster {
    let locality =
        |node: usize| format!("zone={},rack={}-{}", node % ZONES, node % ZONES, node / ZONES % RACKS);
    let mut cluster = Cluster::new((0..nodes).map(locality));
    let used = if kind == Kind::Growth { nodes / 2 } else { nodes };
    // In turn over the zones, so that all begin evenly; the hottest ranges come first, on the first tenth of the nodes.
    for number in 0..ranges {
        let pool = if kind == Kind::Skew && number < ranges / 10 { used / 10 } else { used };
        let offset = if pool == used && kind == Kind::Skew { used / 10 } else { 0 };
        let (pool, offset) = if offset > 0 { (used - offset, offset) } else { (pool, 0) };
        let first = number % pool;
        let zones = prng.range(1..ZONES as u64) as usize;
        let mut stores = [0_u16; REPLICAS];
        for (at, store) in stores.iter_mut().enumerate() {
            let zone = (first + at * zones) % ZONES;
            let within = (first / ZONES + at * (1 + number / pool)) % (pool / ZONES);
            *store = (offset + within * ZONES + zone) as u16;
        }
        let size = match kind {
            Kind::Skew => MIB * 128.0 * prng.fraction().powi(3),
            _ => MIB * (32.0 + 64.0 * prng.fraction()),
        };
        let weight = if kind == Kind::Skew { zipf(number + 1, ranges) } else { 0.5 + prng.fraction() };
        let load = RangeLoad { requests: 20.0 * weight, written_bytes: 20_000.0 * weight };
        cluster.add_range(stores, size, load);
    }
    cluster
}

/// Replicas that must move whatever anybody decides: those of stores that go, and what the emptier stores lack to the mean.
fn needed(cluster: &Cluster) -> u64 {
    let on_gone = on_gone(cluster) as f64;
    let staying: Vec<f64> =
        cluster.stores.iter().filter(|s| takes(s)).map(|s| s.amounts.get(Dimension::Ranges)).collect();
    let mean = (staying.iter().sum::<f64>() + on_gone) / staying.len() as f64;
    let lacking: f64 = staying.iter().map(|amount| (mean - amount).max(0.0)).sum();
    lacking.max(on_gone).round() as u64
}

fn on_gone(cluster: &Cluster) -> usize {
    let gone = |store: &&u16| !takes(&cluster.stores[usize::from(**store)]);
    cluster.ranges.iter().map(|range| range.stores.iter().filter(gone).count()).sum()
}

fn same_zone(cluster: &Cluster) -> usize {
    let zone = |store: u16| usize::from(store) % ZONES;
    let shares = |stores: &[u16; REPLICAS]| {
        zone(stores[0]) == zone(stores[1])
            || zone(stores[0]) == zone(stores[2])
            || zone(stores[1]) == zone(stores[2])
    };
    cluster.ranges.iter().filter(|range| shares(&range.stores)).count()
}

/// Bytes of replicas that stand on stores with more than the mean, in replicas of the mean size: what a skew makes necessary.
fn overweight(cluster: &Cluster) -> u64 {
    let replicas = (cluster.ranges.len() * REPLICAS) as f64;
    let over = [Dimension::Ranges, Dimension::Bytes, Dimension::WrittenBytes].map(|dimension| {
        let amounts: Vec<f64> = cluster.stores.iter().map(|store| store.amounts.get(dimension)).collect();
        let sum: f64 = amounts.iter().sum();
        let mean = sum / amounts.len() as f64;
        amounts.iter().map(|amount| (amount - mean).max(0.0)).sum::<f64>() / sum * replicas
    });
    over.into_iter().fold(0.0, f64::max).round() as u64
}

pub fn run(scenario: &Scenario, nodes: usize, ranges: usize) -> Outcome {
    let mut prng = Prng::new(7);
    let mut cluster = build(scenario.kind, nodes, ranges, &mut prng);
    cluster.start();
    match scenario.kind {
        Kind::Growth | Kind::Skew => {}
        Kind::Loss => cluster.kill(|store| store.news.locality.tier("zone") == Some("0")),
        Kind::Decommission => {
            for store in cluster.stores.iter_mut().take(nodes / 20) {
                store.news.standing = Standing::Decommissioning;
            }
        }
    }
    let needed = if scenario.kind == Kind::Skew { overweight(&cluster) } else { needed(&cluster) };
    let mut points = Vec::new();
    let mut at_rest = false;
    while !at_rest && cluster.now < LIMIT {
        let (seconds, moves) = (cluster.now as f64 / 1_000.0, cluster.counts.moves);
        points.push(Point { seconds, moves, evenness: evenness(&cluster) });
        at_rest = cluster.run_until(cluster.now + POINT);
    }
    let rest_after = at_rest.then(|| (cluster.now.saturating_sub(REST)) as f64 / 1_000.0);
    points.push(Point {
        seconds: cluster.now as f64 / 1_000.0,
        moves: cluster.counts.moves,
        evenness: evenness(&cluster),
    });
    Outcome {
        name: scenario.name,
        kind: scenario.kind,
        moves_max: scenario.moves_max,
        needed,
        moves: cluster.counts.moves,
        transfers: cluster.counts.transfers,
        most_moves: cluster.ranges.iter().map(|range| range.moves).max().unwrap_or(0),
        rest_after,
        decisions: cluster.counts.decisions,
        points,
        replicas: (ranges * REPLICAS) as u64,
        on_gone: on_gone(&cluster),
        same_zone: same_zone(&cluster),
    }
}

impl Outcome {
    /// A row of the table in docs/rebalancing.md.
    pub fn row(&self) -> String {
        let last = &self.points.last().expect("it was looked at").evenness;
        let evenness: Vec<String> =
            last.iter().map(|one| format!("{:.2} to {:.2}", one.least, one.most)).collect();
        let rest =
            self.rest_after.map_or("never".to_string(), |seconds| format!("{:.0} min", seconds / 60.0));
        format!(
            "| {} | {} | {} ({:.2}) | {} | {} | {rest} | {} |",
            self.name,
            self.needed,
            self.moves,
            self.moves as f64 / self.needed as f64,
            self.transfers,
            self.most_moves,
            evenness.join(" | ")
        )
    }

    pub fn check(&self) {
        assert!(self.rest_after.is_some(), "{} does not come to rest", self.name);
        let ratio = self.moves as f64 / self.needed as f64;
        assert!(ratio <= self.moves_max, "{}: {ratio:.2} moves for each that was needed", self.name);
        assert_eq!(self.on_gone, 0, "{}: replicas are left on nodes that are gone", self.name);
        assert_eq!(self.same_zone, 0, "{}: replicas share a zone", self.name);
        // The few hottest ranges are what a skewed load is made even with, by the end.
        let most = if self.kind == Kind::Skew { 20 } else { 6 };
        assert!(self.most_moves <= most, "{}: a range moved {} times", self.name, self.most_moves);
        assert!(self.transfers <= 2 * self.replicas, "{}: {} leases moved", self.name, self.transfers);
        let last = &self.points.last().expect("it was looked at").evenness;
        for ((_, name), one) in DIMENSIONS.iter().zip(last) {
            let bound = if self.kind == Kind::Skew { 0.45 } else { 0.30 };
            assert!(
                one.most <= 1.0 + bound && one.least >= 1.0 - bound,
                "{}: {name} is {:.2} to {:.2} of the mean",
                self.name,
                one.least,
                one.most
            );
        }
    }
}
