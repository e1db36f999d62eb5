//! `interval`: months, days and microseconds, never folded into one another (PostgreSQL chapter 8.5.4).

/// A time span. The three parts are independent: `1 month` is not `30 days` until a comparison says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub microseconds: i64,
}
