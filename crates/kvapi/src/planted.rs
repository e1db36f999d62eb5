//! Bugs that can be planted: each switch takes one safeguard away, to show that the simulation finds its loss.
//!
//! A checker that never fails shows nothing. Crate `sim` runs scenarios with one of these bugs and expects a finding within a
//! bounded number of seeds. No setting, flag, variable or statement leads here: a set other than [`Planted::NONE`] is made by
//! [`Planted::bug`] alone, which `cargo xtask tidy` allows to be called in `crates/sim` and nowhere else. A switch that is off is
//! one test of a constant-like integer beside a disk write, a refresh or a lease; none stands on the path of a read.

/// A safeguard taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// A refresh moves the read timestamp up without looking at what was read.
    SkipRefresh,
    /// Writes are not placed above reads.
    NoTimestampCache,
    /// A new lease does not count everything as read up to its start.
    NoLeaseFloor,
    /// Whether a row has changed since it was locked, or since the snapshot, is not looked at when it is written.
    NoLostUpdateCheck,
    /// What is staged is taken for committed without looking for its writes.
    RecoverUnchecked,
    /// After the latches were waited for the bounds of the range are not looked at again.
    NoBoundsAfterLatches,
    /// Garbage is what was superseded, however short ago, and readers are not refused.
    CollectTooEarly,
    /// The count of intents of a range does not count those of splits again.
    NoIntentRecount,
    /// Who proposes alone and writes by itself does not wait for the sync.
    AcknowledgeBeforeSync,
    /// A leaseholder writes below what it has told to be closed.
    WriteBelowClosed,
    /// A replica reads below what is closed without having applied everything up to there.
    FollowUnapplied,
    /// A value a little above the read timestamp, by whichever clock, is taken for later.
    IgnoreUncertainty,
    /// After a restart the clock begins where the wall clock stands, not above what it gave out before.
    ForgetClockBound,
    /// What was read of a range is forgotten when another absorbs it.
    NoMergeFloor,
    /// A range absorbs another without waiting for that one's log to be applied.
    AbsorbUnapplied,
}

/// A set of planted bugs; empty outside of simulations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(u16);

impl Planted {
    pub const NONE: Planted = Planted(0);

    /// A set of one bug. For simulations alone.
    pub const fn bug(bug: Bug) -> Planted {
        Planted(1 << bug as u16)
    }

    /// Both sets.
    pub const fn and(self, other: Planted) -> Planted {
        Planted(self.0 | other.0)
    }

    #[inline]
    pub const fn has(self, bug: Bug) -> bool {
        self.0 & 1 << bug as u16 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let both = Planted::bug(Bug::SkipRefresh).and(Planted::bug(Bug::ForgetClockBound));
        assert!(
            both.has(Bug::SkipRefresh) && both.has(Bug::ForgetClockBound) && !both.has(Bug::NoLeaseFloor)
        );
        assert_eq!(Planted::default(), Planted::NONE);
    }
}
