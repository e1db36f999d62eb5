//! When which fault happens.

use std::time::Duration;

use stdx::Prng;

use crate::scenario::Faults;

/// A kind of fault; see [`Faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Crash,
    Clock,
    Split,
    Lease,
    Disk,
    Full,
    /// Of the network between nodes.
    Cut,
    /// A replica or a lease moves.
    Move,
    /// A node joins or leaves.
    Member,
}

/// The faults of a run, each kind with the time of its next.
///
/// - `next` is sorted by nothing; the earliest is searched, there are few.
pub struct Schedule {
    next: Vec<(Duration, Fault, Duration)>,
    prng: Prng,
}

impl Schedule {
    pub fn new(faults: &Faults, now: Duration, mut prng: Prng) -> Schedule {
        let kinds = [
            (Fault::Crash, faults.crash_ms),
            (Fault::Clock, faults.clock_ms),
            (Fault::Split, faults.split_ms),
            (Fault::Lease, faults.lease_ms),
            (Fault::Disk, faults.disk_ms),
            (Fault::Full, faults.full_ms),
            (Fault::Cut, faults.cut_ms),
            (Fault::Move, faults.move_ms),
            (Fault::Member, faults.member_ms),
        ];
        let mut next = Vec::new();
        for (fault, mean) in kinds {
            if let Some(mean) = mean.map(Duration::from_millis) {
                next.push((now + draw_wait(&mut prng, mean), fault, mean));
            }
        }
        Schedule { next, prng }
    }

    /// When the next fault happens, and which; `None` if none ever does.
    pub fn take(&mut self) -> Option<(Duration, Fault)> {
        let earliest = self.next.iter_mut().min_by_key(|(at, fault, _)| (*at, *fault))?;
        let (at, fault, mean) = *earliest;
        earliest.0 = at + draw_wait(&mut self.prng, mean);
        Some((at, fault))
    }
}

/// A wait of this mean: anything from a tenth of it to nearly twice it, to the nanosecond.
fn draw_wait(prng: &mut Prng, mean: Duration) -> Duration {
    let mean = mean.as_nanos() as u64;
    Duration::from_nanos(prng.range(mean / 10..mean * 19 / 10))
}

/// How far a wall clock jumps, in nanoseconds: mostly less than a second, sometimes hours; in either direction.
pub fn draw_jump(prng: &mut Prng) -> i64 {
    let reach = match prng.below(10) {
        0 => Duration::from_secs(3600),
        1..4 => Duration::from_secs(20),
        _ => Duration::from_millis(400),
    };
    let nanos = prng.below(reach.as_nanos() as u64) as i64;
    if prng.chance(0.5) { nanos } else { -nanos }
}

/// How long a job of the disk takes from now on.
pub fn draw_disk_delay(prng: &mut Prng) -> std::ops::Range<Duration> {
    let micros = |micros| Duration::from_micros(micros);
    match prng.below(4) {
        0 => micros(1)..micros(20),
        1 => micros(1_000)..micros(20_000),
        _ => micros(20)..micros(500),
    }
}
