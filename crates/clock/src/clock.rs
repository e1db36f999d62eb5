//! [`Clock`]: gives out timestamps.
//!
//! ```text
//!              wall reading           remote timestamp
//!                   |                        |
//!            min(_, bound)        <= wall + offset_max ? -- no --> OffsetExceeded, clock untouched
//!                   |                        | yes
//!                   v                        v
//!            +--------------------------------------+
//!            |  last = max(last, ...) , counted up  |  under one mutex
//!            +--------------------------------------+
//!                   |
//!                   v
//!               Timestamp  (above everything given out or observed before)
//! ```
//!
//! # The bound
//!
//! The node persists, now and then, a wall time that lies a few seconds ahead, and the clock does not pass it: should the
//! disk be too slow to move the bound in time, the wall part stands still and the counter runs, which is correct and
//! merely strains readers of wall time. The next process starts one nanosecond above the bound: above every timestamp
//! that any earlier process on this folder can have given out, whatever the machine's clock says by then.
//!
//! A remote timestamp may force the clock over the bound (it has to be exceeded, or order is lost). The window in which
//! that can happen is closed by the bound being kept at least `offset_max` ahead of the wall; see [`ClockConfig`].
//!
//! So the first timestamps of a process may lie seconds ahead of the wall clock. To a node that stands alone that does not matter. Others would
//! refuse them: a node among others waits until the wall clock has passed the bound before it opens its clock, and one that stops in order
//! leaves a bound that has been passed already ([`Clock::seal`]).

use std::sync::Arc;
use std::time::Duration;

use hybrid_clocks::{Clock as HybridClock, ManualClock, Timestamp as HybridTimestamp};
use parking_lot::Mutex;
use stdx::WallTime;

use crate::Timestamp;

/// Where readings come from. An argument: this crate reads no clock.
pub trait WallSource: Send + Sync + 'static {
    /// The machine's wall clock. May jump in both directions.
    fn wall(&self) -> WallTime;

    /// Time since an arbitrary origin; never goes back. Used to tell a jump of the wall clock from time passing.
    fn monotonic(&self) -> Duration;
}

impl<S: WallSource + ?Sized> WallSource for Arc<S> {
    fn wall(&self) -> WallTime {
        (**self).wall()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }
}

/// How far clocks may differ, and how far ahead the bound is kept.
///
/// - `bound_lead >= 2 * offset_max`: the bound is renewed when half of its lead is used up, and what is left
///   must still cover a remote timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockConfig {
    /// The largest difference between the clocks of two nodes. The same on all nodes of a cluster.
    pub offset_max: Duration,
    /// How far ahead of the wall clock the persisted bound is put.
    pub bound_lead: Duration,
}

impl Default for ClockConfig {
    fn default() -> ClockConfig {
        ClockConfig { offset_max: Duration::from_millis(500), bound_lead: Duration::from_secs(3) }
    }
}

/// A remote timestamp lies further ahead than clocks may differ. The clock has not been moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "timestamp {remote} is ahead of the local clock {local} by more than the maximum offset of {offset_max:?}"
)]
pub struct OffsetExceeded {
    /// The timestamp refused.
    pub remote: Timestamp,
    /// The local wall clock.
    pub local: WallTime,
    /// The largest offset allowed.
    pub offset_max: Duration,
}

/// The wall clock moved by another amount than time did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the wall clock jumped {} by {by:?}", if *.forward { "forward" } else { "back" })]
pub struct ClockJump {
    /// Whether it jumped ahead.
    pub forward: bool,
    /// By how much.
    pub by: Duration,
}

/// A hybrid logical clock. Shared by everything on a node.
///
/// - Every timestamp given out is above every one given out or observed before.
/// - Its wall part is at most the bound, unless a remote timestamp was above that.
/// - Lock order: the mutex inside is a leaf; nothing is called with it held.
pub struct Clock {
    source: Box<dyn WallSource>,
    config: ClockConfig,
    /// The lowest wall part that this clock gives out: one above the bound found at start.
    floor: u64,
    state: Mutex<State>,
}

struct State {
    hybrid: HybridClock<ManualClock>,
    last: Timestamp,
    /// The wall part is not moved above this by readings.
    bound: u64,
    /// The bound is not to be moved any more: see [`Clock::seal`].
    is_sealed: bool,
    /// The pair of readings at the last look for jumps.
    audited: (WallTime, Duration),
}

/// From here on the counter is not counted up further: the wall part moves instead.
const LOGICAL_MAX: u32 = u32::MAX - 1;

impl State {
    /// Hands a timestamp to the hybrid clock, which must be above what that has seen.
    fn forward(&mut self, to: Timestamp) {
        debug_assert!(to > self.last);
        self.hybrid.observe(&HybridTimestamp { epoch: 0, time: to.wall, count: to.logical });
        self.last = to;
    }
}

impl Clock {
    /// A clock of a node without a store, or of a test: starts from the wall clock, no bound.
    pub fn unbounded(source: impl WallSource, config: ClockConfig) -> Clock {
        Clock::build(Box::new(source), config, 0, u64::MAX)
    }

    /// A clock of a node with a store. `persisted` is the bound found there, `None` on a new store.
    ///
    /// Before the first timestamp is used, persist [`Clock::bound_to_persist`] and confirm it with
    /// [`Clock::bound_persisted`]: until then the wall part stands still at one above the bound found.
    pub fn bounded(source: impl WallSource, config: ClockConfig, persisted: Option<WallTime>) -> Clock {
        let floor = persisted.map_or(0, |bound| bound.unix_nanos().saturating_add(1));
        let source: Box<dyn WallSource> = Box::new(source);
        let bound = if persisted.is_some() { floor } else { source.wall().unix_nanos() };
        Clock::build(source, config, floor, bound)
    }

    fn build(source: Box<dyn WallSource>, config: ClockConfig, floor: u64, bound: u64) -> Clock {
        assert!(config.bound_lead >= 2 * config.offset_max, "the bound must stay ahead of remote timestamps");
        let audited = (source.wall(), source.monotonic());
        let last = Timestamp { wall: floor, logical: 0 };
        let hybrid = HybridClock::manual(floor).expect("a manual source always has a reading");
        Clock {
            source,
            config,
            floor,
            state: Mutex::new(State { hybrid, last, bound, is_sealed: false, audited }),
        }
    }

    /// The next timestamp: above all given out or observed before.
    pub fn now(&self) -> Timestamp {
        let wall = self.source.wall().unix_nanos();
        let mut state = self.state.lock();
        let wall = wall.min(state.bound);
        if wall <= state.last.wall && state.last.logical >= LOGICAL_MAX {
            let next = Timestamp { wall: state.last.wall + 1, logical: 0 };
            state.forward(next);
            return next;
        }
        state.hybrid.set_time(wall);
        let reading = state.hybrid.now().expect("a manual source always has a reading");
        let now = Timestamp { wall: reading.time, logical: reading.count };
        debug_assert!(now > state.last);
        state.last = now;
        now
    }

    /// A time that the clock has reached, below the bound that is persisted. For others to remember: a store with a lower bound is older
    /// than this moment.
    pub fn reached(&self) -> WallTime {
        let now = self.now().wall;
        let bound = self.state.lock().bound;
        WallTime::from_unix_nanos(now.min(bound))
    }

    /// Moves the clock above a timestamp received from elsewhere, or refuses it and leaves the clock as it is.
    pub fn observe(&self, remote: Timestamp) -> Result<(), OffsetExceeded> {
        {
            // What is not ahead of us needs neither a reading nor a check, which is the common case.
            let state = self.state.lock();
            if remote <= state.last {
                return Ok(());
            }
        }
        let local = self.source.wall();
        // A clock that was found to have gone back across a restart is judged by where it has to be, not by
        // what the machine says. The floor never moves, so that peers cannot push it ahead step by step.
        let reference = local.unix_nanos().max(self.floor);
        let offset_max = self.config.offset_max;
        if remote.wall > reference.saturating_add(nanos(offset_max)) {
            return Err(OffsetExceeded { remote, local, offset_max });
        }
        let mut state = self.state.lock();
        if remote > state.last {
            state.forward(remote);
        }
        Ok(())
    }

    /// The last timestamp given out or observed. Does not count as giving one out.
    pub fn last(&self) -> Timestamp {
        self.state.lock().last
    }

    /// The largest difference between the clocks of two nodes.
    pub fn offset_max(&self) -> Duration {
        self.config.offset_max
    }

    /// Up to where values are uncertain for a transaction that begins at `read`.
    pub fn uncertainty_limit(&self, read: Timestamp) -> Timestamp {
        read.saturating_add(self.config.offset_max)
    }

    /// The wall clock as the source tells it, for people and for measuring offsets. Not a timestamp.
    pub fn wall(&self) -> WallTime {
        self.source.wall()
    }

    /// Time since an arbitrary origin, of the source; never goes back.
    pub fn monotonic(&self) -> Duration {
        self.source.monotonic()
    }

    /// How far the clock runs ahead of the wall clock: more than a moment after the wall clock has gone back.
    pub fn ahead_of_wall(&self) -> Duration {
        let wall = self.source.wall();
        self.last().wall_time().since(wall).unwrap_or(Duration::ZERO)
    }

    /// The bound that should be persisted now, synced, and confirmed then; `None` while the one in force
    /// still has half of its lead. Ask regularly: several times per lead.
    pub fn bound_to_persist(&self) -> Option<WallTime> {
        let wall = self.source.wall().unix_nanos();
        let state = self.state.lock();
        if state.is_sealed {
            return None;
        }
        let reference = wall.max(state.last.wall);
        let lead = nanos(self.config.bound_lead);
        (state.bound < reference.saturating_add(lead / 2))
            .then(|| WallTime::from_unix_nanos(reference.saturating_add(lead)))
    }

    /// Confirms that a bound is on disk. Bounds only ever rise.
    pub fn bound_persisted(&self, bound: WallTime) {
        let mut state = self.state.lock();
        if !state.is_sealed {
            state.bound = state.bound.max(bound.unix_nanos());
        }
    }

    /// The node stops in order: from now on the clock does not pass what it has given out, by its own readings. Gives the bound that
    /// is enough then, lower than the one in force: with it on disk the next process need not wait until the wall clock has
    /// passed that. Nothing may be observed any more.
    pub fn seal(&self) -> WallTime {
        let mut state = self.state.lock();
        state.is_sealed = true;
        state.bound = state.last.wall;
        state.last.wall_time()
    }

    /// Compares how far the wall clock and the monotonic clock have come since the last call, and reports a
    /// difference above half the maximum offset. Ask regularly; what to do about it is up to the node.
    ///
    /// A jump back does no harm by itself: the counter runs until the wall clock has caught up. A jump forward makes
    /// this node's timestamps unacceptable to others, and is not followed further than the bound.
    pub fn audit(&self) -> Result<(), ClockJump> {
        let (wall, monotonic) = (self.source.wall(), self.source.monotonic());
        let mut state = self.state.lock();
        let (wall_before, monotonic_before) = std::mem::replace(&mut state.audited, (wall, monotonic));
        let expected = wall_before.saturating_add(monotonic.saturating_sub(monotonic_before));
        let tolerance = self.config.offset_max / 2;
        let (forward, by) = match wall.since(expected) {
            Some(by) => (true, by),
            None => (false, expected.since(wall).unwrap_or(Duration::ZERO)),
        };
        if by > tolerance { Err(ClockJump { forward, by }) } else { Ok(()) }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
