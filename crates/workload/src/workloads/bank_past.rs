//! The bank's past: what was read AS OF SYSTEM TIME, and what that says of what is read later.
//!
//! - A time reads the same whenever, through whichever node it is read.
//! - A later time has every transfer that an earlier one has.
//! - Once all accounts are there, they are there at every later time.

use std::collections::BTreeMap;

use super::bank::Transfer;

/// Times remembered. Beyond, the earliest is forgotten.
const REMEMBERED_MAX: usize = 64;

/// All that one time shows of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub balances: BTreeMap<i64, i64>,
    pub ledger: BTreeMap<i64, Transfer>,
}

/// What was read of the past, by time, in microseconds.
#[derive(Default)]
pub(super) struct Past {
    pictures: BTreeMap<i64, Picture>,
    /// From here on all accounts are there.
    whole_since: Option<i64>,
}

impl Past {
    /// A time that was read before, of those there are the one at `index` modulo their number.
    pub fn remembered(&self, index: usize) -> Option<i64> {
        self.pictures.keys().nth(index % self.pictures.len().max(1)).copied()
    }

    /// At that time the bank was not there yet, or not all of it.
    pub fn was_not_there(&self, time: i64) -> Result<(), String> {
        match self.whole_since {
            Some(since) if since <= time => {
                Err(format!("at {time} the bank is not there, which it was at {since}"))
            }
            _ => Ok(()),
        }
    }

    /// All accounts were there: compares with what was read before.
    pub fn judge(&mut self, time: i64, picture: Picture) -> Result<(), String> {
        self.whole_since = Some(self.whole_since.map_or(time, |since| since.min(time)));
        if let Some(before) = self.pictures.get(&time) {
            if *before == picture {
                return Ok(());
            }
            return Err(format!("{time} was read before as {before:?}, and now as {picture:?}"));
        }
        let missing = |earlier: &Picture, later: &Picture| {
            earlier.ledger.keys().find(|transfer| !later.ledger.contains_key(transfer)).copied()
        };
        if let Some((earlier, then)) = self.pictures.range(..time).next_back()
            && let Some(transfer) = missing(then, &picture)
        {
            return Err(format!("transfer {transfer} is there at {earlier}, and not at {time}"));
        }
        if let Some((later, then)) = self.pictures.range(time..).next()
            && let Some(transfer) = missing(&picture, then)
        {
            return Err(format!("transfer {transfer} is there at {time}, and was not at {later}"));
        }
        self.pictures.insert(time, picture);
        if self.pictures.len() > REMEMBERED_MAX {
            self.pictures.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(transfers: &[i64]) -> Picture {
        let transfer = Transfer { source: 0, target: 1, amount: 5 };
        let ledger = transfers.iter().map(|id| (*id, transfer)).collect();
        Picture { balances: BTreeMap::new(), ledger }
    }

    #[test]
    fn a_past_that_changes_or_goes_back_is_found() {
        let mut past = Past::default();
        assert!(past.was_not_there(5).is_ok());
        assert!(past.judge(10, picture(&[1])).is_ok());
        assert!(past.judge(10, picture(&[1])).is_ok());
        assert!(past.judge(30, picture(&[1, 2])).is_ok());
        assert!(past.judge(20, picture(&[1])).is_ok());
        assert!(past.was_not_there(5).is_ok());
        assert!(past.was_not_there(15).is_err());
        assert!(past.judge(10, picture(&[1, 2])).is_err(), "another past");
        assert!(past.judge(40, picture(&[2])).is_err(), "a transfer that is gone");
        assert!(past.judge(15, picture(&[1, 3])).is_err(), "one that is not there later");
    }
}
