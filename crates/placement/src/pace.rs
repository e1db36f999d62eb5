//! How fast a store moves things, and what it remembers of its own moves.

use std::collections::VecDeque;
use std::time::Duration;

use keys::StoreId;

use crate::overview::{Amounts, Overview};

/// Until the news of a store contain what was moved to it or from it, at the latest.
pub const NEWS_AGE_MAX: Duration = Duration::from_secs(15);
/// Moves that are remembered, at most.
const LEDGER_MAX: usize = 4_096;

/// Bounds how many moves for balance a store makes per minute: what is not used does not pile up beyond one minute's share.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    per_minute: f64,
    left: f64,
    at: Option<Duration>,
}

impl Budget {
    pub fn per_minute(moves: u32) -> Budget {
        Budget { per_minute: f64::from(moves), left: f64::from(moves), at: None }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let has = self.has(now);
        self.left -= f64::from(u8::from(has));
        has
    }

    /// Whether there is one.
    pub fn has(&mut self, now: Duration) -> bool {
        let passed = self.at.map_or(0.0, |at| now.saturating_sub(at).as_secs_f64());
        self.at = Some(now);
        self.left = (self.left + passed * self.per_minute / 60.0).min(self.per_minute);
        self.left >= 1.0
    }
}

/// What this store has decided, and what may not be in the news yet.
///
/// - Entries are in the order of their times.
#[derive(Clone, Debug, Default)]
pub struct Ledger(VecDeque<Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Duration,
    from: Option<StoreId>,
    to: Option<StoreId>,
    amounts: Amounts,
}

impl Ledger {
    /// Something goes from a store to another.
    pub fn note(&mut self, now: Duration, from: Option<StoreId>, to: Option<StoreId>, amounts: Amounts) {
        if self.0.len() >= LEDGER_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Entry { at: now, from, to, amounts });
    }

    /// Adds to the news what they may not contain.
    pub fn apply(&mut self, now: Duration, overview: &mut Overview) {
        while self.0.front().is_some_and(|entry| entry.at + NEWS_AGE_MAX <= now) {
            self.0.pop_front();
        }
        for entry in &self.0 {
            overview.shift(entry.from, entry.to, &entry.amounts);
        }
    }
}

#[cfg(test)]
mod tests {
    use kvapi::NodeInfo;

    use super::*;
    use crate::overview::{Dimension, Limits};

    #[test]
    fn a_budget_is_used_up_and_comes_back() {
        let mut budget = Budget::per_minute(6);
        let taken = |budget: &mut Budget, now| (0..10).filter(|_| budget.take(now)).count();
        assert_eq!(taken(&mut budget, Duration::ZERO), 6);
        assert_eq!(taken(&mut budget, Duration::from_secs(20)), 2);
        assert_eq!(taken(&mut budget, Duration::from_secs(1_000)), 6);
    }

    #[test]
    fn own_moves_count_until_the_news_contain_them() {
        let nodes: Vec<NodeInfo> = (1..=2).map(|id| NodeInfo::new(keys::NodeId(id), StoreId(id))).collect();
        let mut ledger = Ledger::default();
        let amounts = Amounts::of(Dimension::Ranges, 1.0);
        ledger.note(Duration::ZERO, Some(StoreId(1)), Some(StoreId(2)), amounts);
        let seen = |ledger: &mut Ledger, now| {
            let mut overview = Overview::new(&nodes, &Limits::default());
            ledger.apply(now, &mut overview);
            [1, 2].map(|id| overview.amounts(StoreId(id)).expect("known").get(Dimension::Ranges))
        };
        assert_eq!(seen(&mut ledger, Duration::from_secs(14)), [0.0, 1.0], "nobody has less than nothing");
        assert_eq!(seen(&mut ledger, Duration::from_secs(15)), [0.0, 0.0]);
    }
}
