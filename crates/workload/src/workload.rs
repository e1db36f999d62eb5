//! The form of a workload.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use stdx::Prng;

use crate::client::{Client, Failure};
use crate::journal::Journal;

/// One of the clients of a run, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientNumber(pub u32);

impl ClientNumber {
    /// Whoever carries out the checks.
    pub const CHECKER: ClientNumber = ClientNumber(u32::MAX);
}

/// A client in its place: what a step works with.
pub struct Seat {
    pub number: ClientNumber,
    pub prng: Prng,
    pub client: Box<dyn Client>,
    pub journal: Arc<Journal>,
    /// Set by a step that has lost its connection: the seat gets a new one.
    pub lost: bool,
}

impl Seat {
    /// Notes the end of a transaction, sees to a lost connection, and refuses what a working server would not answer.
    pub fn ended<T>(
        &mut self,
        workload: &'static str,
        what: fmt::Arguments<'_>,
        fate: &crate::Fate<T>,
    ) -> Result<(), Violation> {
        self.journal.ended(workload, self.number, what, fate);
        let Some(failure) = fate.failure() else { return Ok(()) };
        self.lost |= failure.is_lost();
        if failure.is_expected() {
            return Ok(());
        }
        Err(Violation::new(workload, format!("{what}: a correct statement was refused: {failure}")))
    }
}

/// An invariant that does not hold: the finding that all this is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub workload: &'static str,
    pub what: String,
}

impl Violation {
    pub fn new(workload: &'static str, what: impl Into<String>) -> Violation {
        Violation { workload, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.workload, self.what)
    }
}

impl std::error::Error for Violation {}

/// Why a check did not come to a good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It could not be carried out; what it looks at may be all right.
    Failed(Failure),
    /// It found something.
    Found(Violation),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Trouble {
        Trouble::Found(violation)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Failed(failure) => failure.fmt(f),
            Trouble::Found(violation) => violation.fmt(f),
        }
    }
}

/// A generator of load with its invariants. Its own state is what the clients were told, behind locks that are never held
/// across an await.
pub trait Workload: Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// The name, and what was chosen for this run.
    fn description(&self) -> String {
        self.name().to_string()
    }

    /// Makes the tables and first rows. Called once, on an empty database, before any step.
    fn set_up<'a>(&'a self, client: &'a mut dyn Client) -> BoxFuture<'a, Result<(), Failure>>;

    /// Does one thing as the client in this seat. What fails as it may is remembered and is no error.
    fn step<'a>(&'a self, seat: &'a mut Seat) -> BoxFuture<'a, Result<(), Violation>>;

    /// Reads the data and compares them with what the clients were told, or adds what it reads to the recorded history.
    /// Right at any moment.
    fn check<'a>(
        &'a self,
        client: &'a mut dyn Client,
        journal: &'a Journal,
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// Judges the recorded history, when no client runs any more.
    fn verify(&self) -> Result<(), Violation> {
        Ok(())
    }

    /// A statement that splits one of the workload's tables at a drawn key, for those who make faults.
    fn split_statement(&self, prng: &mut Prng) -> String;
}
