//! Advisory locks: numbers that applications lock, for their session or for their transaction.
//!
//! The locks themselves are kept by [`crate::cluster_locks`], which knows only that a session holds one. How often, and until
//! when, is counted here: a lock taken twice for the session must be given back twice; what was taken for the transaction
//! cannot be given back at all and goes with its end. A session never conflicts with itself.

use std::collections::BTreeMap;

use types::descriptor::Oid;
use types::{Datum, PgError, PgResult};

use crate::table_locks::{AdvisoryKey, LockMode, LockTag};

/// How a session holds one lock.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    /// Times taken for the session and not given back.
    session_count: u32,
    transaction: bool,
}

/// The advisory locks of one session.
///
/// - an entry is held for the session, for the transaction, or both.
#[derive(Debug, Default)]
pub struct AdvisoryLocks {
    held: BTreeMap<(AdvisoryKey, LockMode), Holding>,
}

impl AdvisoryLocks {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// A lock has been granted.
    pub fn note(&mut self, key: AdvisoryKey, mode: LockMode, for_transaction: bool) {
        let holding = self.held.entry((key, mode)).or_default();
        if for_transaction {
            holding.transaction = true;
        } else {
            holding.session_count += 1;
        }
    }

    /// Gives a lock back once. `None`: it is not held for the session. `Some(true)`: nothing holds it any more.
    pub fn give_back(&mut self, key: AdvisoryKey, mode: LockMode) -> Option<bool> {
        let holding = self.held.get_mut(&(key, mode)).filter(|holding| holding.session_count > 0)?;
        holding.session_count -= 1;
        let gone = holding.session_count == 0 && !holding.transaction;
        if gone {
            self.held.remove(&(key, mode));
        }
        Some(gone)
    }

    /// Gives all of the session's locks back; answers those that nothing holds any more.
    pub fn give_all_back(&mut self) -> Vec<(AdvisoryKey, LockMode)> {
        let gone: Vec<(AdvisoryKey, LockMode)> =
            self.held.iter().filter(|(_, holding)| !holding.transaction).map(|(key, _)| *key).collect();
        self.held.retain(|_, holding| {
            holding.session_count = 0;
            holding.transaction
        });
        gone
    }

    /// All that is held in any way.
    pub fn held(&self) -> Vec<(AdvisoryKey, LockMode)> {
        self.held.keys().copied().collect()
    }

    /// What goes with the transaction.
    pub fn of_transaction(&self) -> Vec<(AdvisoryKey, LockMode)> {
        self.held.iter().filter(|(_, holding)| holding.session_count == 0).map(|(key, _)| *key).collect()
    }

    /// The transaction has ended; answers what stays held, as modes on tags.
    pub fn end_transaction(&mut self) -> BTreeMap<LockTag, u8> {
        self.held.retain(|_, holding| {
            holding.transaction = false;
            holding.session_count > 0
        });
        let mut kept = BTreeMap::new();
        for (key, mode) in self.held.keys() {
            *kept.entry(LockTag::Advisory(*key)).or_insert(0) |= mode.bit();
        }
        kept
    }
}

/// What a function of the pg_advisory_lock family is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Lock,
    Try,
    Unlock,
}

/// Reads a function's name: `pg_[try_]advisory_[xact_](lock|unlock)[_shared]`. Answers action, mode, and whether the lock is the
/// transaction's.
pub fn parse_name(name: &str) -> Option<(Action, LockMode, bool)> {
    let rest = name.strip_prefix("pg_")?;
    let (tries, rest) = match rest.strip_prefix("try_") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.strip_prefix("advisory_")?;
    let (for_transaction, rest) = match rest.strip_prefix("xact_") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (mode, verb) = match rest.strip_suffix("_shared") {
        Some(verb) => (LockMode::Share, verb),
        None => (LockMode::Exclusive, rest),
    };
    let action = match verb {
        "lock" if tries => Action::Try,
        "lock" => Action::Lock,
        "unlock" if !tries && !for_transaction => Action::Unlock,
        _ => return None,
    };
    Some((action, mode, for_transaction))
}

/// The key that a function's arguments mean: one bigint or two integers.
pub fn key(database: Oid, arguments: &[Datum]) -> PgResult<AdvisoryKey> {
    match arguments {
        [Datum::Int8(key)] => {
            let bits = *key as u64;
            Ok(AdvisoryKey { database, class: (bits >> 32) as u32, object: bits as u32, is_pair: false })
        }
        [Datum::Int4(class), Datum::Int4(object)] => {
            Ok(AdvisoryKey { database, class: *class as u32, object: *object as u32, is_pair: true })
        }
        other => Err(PgError::internal(format!("{other:?} is no key of an advisory lock"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_wanted() {
        assert_eq!(parse_name("pg_advisory_lock"), Some((Action::Lock, LockMode::Exclusive, false)));
        let shared = parse_name("pg_try_advisory_xact_lock_shared");
        assert_eq!(shared, Some((Action::Try, LockMode::Share, true)));
        assert_eq!(parse_name("pg_advisory_unlock_shared"), Some((Action::Unlock, LockMode::Share, false)));
        assert_eq!(parse_name("pg_advisory_unlock_all"), None);
        assert_eq!(parse_name("pg_sleep"), None);
    }

    #[test]
    fn a_session_gives_back_as_often_as_it_took() {
        let mut locks = AdvisoryLocks::default();
        let key = key(Oid(5), &[Datum::Int8(-1)]).expect("a key");
        assert_eq!((key.class, key.object), (u32::MAX, u32::MAX));
        locks.note(key, LockMode::Exclusive, false);
        locks.note(key, LockMode::Exclusive, false);
        locks.note(key, LockMode::Exclusive, true);
        assert_eq!(locks.give_back(key, LockMode::Share), None);
        assert_eq!(locks.give_back(key, LockMode::Exclusive), Some(false));
        assert!(locks.of_transaction().is_empty(), "the session holds it too");
        assert_eq!(locks.end_transaction().len(), 1);
        assert_eq!(locks.give_back(key, LockMode::Exclusive), Some(true));
        assert_eq!(locks.give_back(key, LockMode::Exclusive), None);
        assert!(locks.is_empty());
    }
}
