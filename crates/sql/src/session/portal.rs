//! Portals: statements bound to parameters, run whole or in pieces. Cursors of DECLARE are portals too.

use std::collections::BTreeMap;
use std::sync::Arc;

use executor::Execution;
use pgserver::{ColumnDescription, ColumnFormats};
use types::{Batch, Datum};

use super::history::History;
use super::output::Names;
use super::prepared::{Planned, Prepared};

/// How far a portal has come.
pub enum Progress {
    /// Not run yet.
    Ready,
    /// Running, suspended at a row limit.
    Rows(Box<RunningRows>),
    /// A cursor WITH HOLD whose transaction has ended, or is about to: all its rows are in the history.
    Held(Box<HeldRows>),
    /// Rows made up beforehand (SHOW, EXPLAIN, FETCH of a scrollable cursor ...), still to be sent.
    Done,
}

/// A query in progress, with the rows that have been computed and not sent.
pub struct RunningRows {
    pub planned: Arc<Planned>,
    pub execution: Execution,
    pub names: Option<Names>,
    pub batch: Batch,
    /// The next row of `batch` to send.
    pub next_row: usize,
    pub ended: bool,
    /// Sent so far.
    pub sent: u64,
}

/// What is left of a query whose rows have all been read.
pub struct HeldRows {
    pub planned: Arc<Planned>,
    pub names: Option<Names>,
}

pub struct Portal {
    pub prepared: Arc<Prepared>,
    pub parameters: Arc<[Datum]>,
    pub formats: ColumnFormats,
    pub columns: Option<Arc<[ColumnDescription]>>,
    pub progress: Progress,
    /// Made by DECLARE: FETCH reads it.
    pub cursor: bool,
    /// SCROLL, NO SCROLL, or neither.
    pub scroll: Option<bool>,
    /// WITH HOLD.
    pub hold: bool,
    /// Rows that a cursor has read so far, and its position among them (0: before the first).
    pub history: History,
    pub position: usize,
    /// Made by the running transaction.
    pub fresh: bool,
    /// What the client sent to make it.
    pub source: Arc<str>,
    /// Microseconds since 2000-01-01 UTC.
    pub made_at: i64,
}

/// A portal as pg_cursors shows it.
pub struct CursorRow {
    pub name: String,
    pub source: Arc<str>,
    pub hold: bool,
    pub binary: bool,
    pub scrollable: bool,
    pub made_at: i64,
}

/// A session's portals, by name; the empty name is the unnamed portal.
#[derive(Default)]
pub struct Portals {
    portals: BTreeMap<String, Portal>,
}

impl Portals {
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Portal> {
        self.portals.get_mut(name)
    }

    pub fn get(&self, name: &str) -> Option<&Portal> {
        self.portals.get(name)
    }

    pub fn insert(&mut self, name: &str, portal: Portal) {
        // The unnamed portal's entry is kept with its key: the common path allocates no name.
        match self.portals.get_mut(name) {
            Some(entry) => *entry = portal,
            None => drop(self.portals.insert(name.to_string(), portal)),
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<Portal> {
        self.portals.remove(name)
    }

    /// Those with a name.
    pub fn named(&self) -> Vec<CursorRow> {
        let row = |(name, portal): (&String, &Portal)| CursorRow {
            name: name.clone(),
            source: portal.source.clone(),
            hold: portal.hold,
            binary: matches!(portal.formats, ColumnFormats::All(pgserver::Format::Binary)),
            scrollable: portal.cursor && portal.scroll.unwrap_or(true),
            made_at: portal.made_at,
        };
        self.portals.iter().filter(|(name, _)| !name.is_empty()).map(row).collect()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.portals.contains_key(name)
    }

    /// Portals of a prepared statement go with it.
    pub fn remove_of(&mut self, prepared: &Arc<Prepared>) {
        self.portals.retain(|_, portal| !Arc::ptr_eq(&portal.prepared, prepared));
    }

    pub fn remove_cursors(&mut self) {
        self.portals.retain(|_, portal| !portal.cursor);
    }

    /// The names of cursors WITH HOLD that the running transaction has made.
    pub fn to_be_held(&self) -> Vec<String> {
        let held = self.portals.iter().filter(|(_, portal)| portal.hold && portal.fresh);
        held.map(|(name, _)| name.clone()).collect()
    }

    /// Forgets the cursors that the running transaction has made: it begins anew.
    pub fn restart_transaction(&mut self) {
        self.portals.retain(|_, portal| !(portal.cursor && portal.fresh));
    }

    /// No portal outlives its transaction, but for cursors WITH HOLD when it commits.
    pub fn end_transaction(&mut self, committed: bool) {
        self.portals.retain(|_, portal| portal.hold && (committed || !portal.fresh));
        self.portals.values_mut().for_each(|portal| portal.fresh = false);
    }
}
