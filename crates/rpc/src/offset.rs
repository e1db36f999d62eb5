//! How far the clocks of others are from ours.
//!
//! A ping is sent at `sent` and answered at `received`, both by the own wall clock; the answer carries the peer's reading,
//! taken somewhere between. Half of the round trip is the best guess where, and half of it is how wrong the guess may be:
//!
//! ```text
//!   ours     sent ---------------- received          offset      = theirs - (sent + received) / 2
//!                 \      ?       /                   uncertainty = (received - sent) / 2
//!   theirs         ---- theirs --
//! ```
//!
//! Of the last few measurements the one with the least uncertainty counts. A node whose clock is too far from those of most
//! others must not go on: an uncertainty interval that is too short gives stale reads. With one peer nobody can say whose
//! clock is wrong, and both stop: no answer rather than a wrong one.

use std::time::Duration;

use stdx::WallTime;

/// Measurements of one peer that are remembered.
const MEASUREMENTS_MAX: usize = 8;

/// A clock as compared to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    /// How far it is ahead, in nanoseconds.
    pub nanos: i64,
    /// How far that may be off.
    pub uncertainty: Duration,
}

impl ClockOffset {
    /// From one ping: wall time when it was sent, how long it took, and the peer's reading.
    pub fn measure(sent: WallTime, round_trip: Duration, theirs: WallTime) -> ClockOffset {
        let half = round_trip / 2;
        let ours = sent.saturating_add(half).unix_nanos();
        let difference = i128::from(theirs.unix_nanos()) - i128::from(ours);
        let nanos = difference.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
        ClockOffset { nanos, uncertainty: half }
    }

    /// The least that the clocks differ by, whatever happened on the way.
    pub fn distance_min(&self) -> Duration {
        Duration::from_nanos(self.nanos.unsigned_abs()).saturating_sub(self.uncertainty)
    }
}

/// The last measurements of one peer, the newest last.
#[derive(Debug, Default)]
pub(crate) struct OffsetWindow(Vec<ClockOffset>);

impl OffsetWindow {
    pub fn push(&mut self, measured: ClockOffset) {
        if self.0.len() == MEASUREMENTS_MAX {
            self.0.remove(0);
        }
        self.0.push(measured);
    }

    /// What is known of the peer was measured on a connection that is gone.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The most exact measurement; of equal ones the newest.
    pub fn best(&self) -> Option<ClockOffset> {
        self.0.iter().rev().min_by_key(|measured| measured.uncertainty).copied()
    }
}

/// Why the node must stop, if its clock is too far from those of most peers.
pub(crate) fn verdict(peers: &[ClockOffset], offset_max: Duration) -> Option<String> {
    let beyond: Vec<&ClockOffset> = peers.iter().filter(|peer| peer.distance_min() > offset_max).collect();
    if 2 * beyond.len() <= peers.len() {
        return None;
    }
    let worst = beyond.iter().max_by_key(|peer| peer.distance_min())?;
    Some(format!(
        "the clock of this machine is {:?} {} that of another node, and too far from {} of {} nodes reached; at most {offset_max:?} is allowed. \
         Set the clock (is a time service such as chrony running?) and start the node again",
        Duration::from_nanos(worst.nanos.unsigned_abs()),
        if worst.nanos < 0 { "ahead of" } else { "behind" },
        beyond.len(),
        peers.len(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn offset(milliseconds: i64, uncertainty: Duration) -> ClockOffset {
        ClockOffset { nanos: milliseconds * 1_000_000, uncertainty }
    }

    #[test]
    fn the_middle_of_the_round_trip_counts_and_half_of_it_is_doubted() {
        let sent = WallTime::from_unix_nanos(1_000_000_000);
        let measured = ClockOffset::measure(sent, ms(10), WallTime::from_unix_nanos(1_105_000_000));
        assert_eq!(measured, offset(100, ms(5)));
        assert_eq!(measured.distance_min(), ms(95));
        let behind = ClockOffset::measure(sent, ms(2), WallTime::from_unix_nanos(901_000_000));
        assert_eq!(behind, offset(-100, ms(1)));
    }

    #[test]
    fn the_most_exact_of_the_last_measurements_counts() {
        let mut window = OffsetWindow::default();
        assert_eq!(window.best(), None);
        window.push(offset(5, ms(1)));
        for _ in 0..7 {
            window.push(offset(50, ms(40)));
        }
        assert_eq!(window.best(), Some(offset(5, ms(1))));
        window.push(offset(51, ms(40)));
        assert_eq!(window.best(), Some(offset(51, ms(40))), "the exact one is forgotten in time");
    }

    #[test]
    fn a_node_stops_when_most_of_the_others_disagree_with_it() {
        let (near, far) = (offset(1, ms(1)), offset(-900, ms(1)));
        assert_eq!(verdict(&[], ms(500)), None);
        assert_eq!(verdict(&[near, far], ms(500)), None);
        assert_eq!(verdict(&[near, near, far], ms(500)), None);
        assert!(verdict(&[near, far, far], ms(500)).is_some_and(|why| why.contains("900ms ahead of")));
        assert!(verdict(&[offset(600, ms(1))], ms(500)).is_some_and(|why| why.contains("behind")));
        // A slow ping proves nothing.
        assert_eq!(verdict(&[offset(600, ms(200))], ms(500)), None);
    }
}
