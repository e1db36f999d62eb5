//! Transactions from the client's side: what becomes of them, and how that is known.

use crate::client::{Answer, Client, Failure, Parameter};

/// What the transactions of a workload ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    pub const ALL: [Isolation; 3] =
        [Isolation::ReadCommitted, Isolation::RepeatableRead, Isolation::Serializable];

    pub fn begin_statement(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Isolation::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Isolation::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        }
    }
}

/// What became of a transaction; see the table in the crate's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<T> {
    Committed(T),
    Aborted(Failure),
    Unknown(Failure),
}

impl<T> Fate<T> {
    pub fn is_committed(&self) -> bool {
        matches!(self, Fate::Committed(_))
    }

    /// What it gave; why it gave nothing, whether or not it is known that it did nothing.
    pub fn committed(self) -> Result<T, Failure> {
        match self {
            Fate::Committed(value) => Ok(value),
            Fate::Aborted(failure) | Fate::Unknown(failure) => Err(failure),
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Fate::Committed(_) => None,
            Fate::Aborted(failure) | Fate::Unknown(failure) => Some(failure),
        }
    }
}

/// Opens a transaction block.
pub async fn begin(client: &mut dyn Client, isolation: Isolation) -> Result<(), Failure> {
    client.execute(isolation.begin_statement(), &[]).await.map(drop)
}

/// Ends a transaction block whose statements gave `body`: commits it, or rolls it back.
///
/// As long as COMMIT has not been sent a lost connection means that the transaction is aborted.
pub async fn finish<T>(client: &mut dyn Client, body: Result<T, Failure>) -> Fate<T> {
    match body {
        Ok(value) => match client.execute("COMMIT", &[]).await {
            Ok(_) => Fate::Committed(value),
            Err(failure) if failure.is_lost() || failure.is_unknown() => Fate::Unknown(failure),
            Err(failure) => Fate::Aborted(failure),
        },
        Err(failure) if failure.is_unknown() => Fate::Unknown(failure),
        Err(failure) => {
            if !failure.is_lost() {
                // Should this fail the connection is lost, which its next user notices; the transaction is aborted anyway.
                let _ = client.execute("ROLLBACK", &[]).await;
            }
            Fate::Aborted(failure)
        }
    }
}

/// Runs a statement that is a transaction of its own.
pub async fn single(client: &mut dyn Client, sql: &str, parameters: &[Parameter]) -> Fate<Answer> {
    match client.execute(sql, parameters).await {
        Ok(answer) => Fate::Committed(answer),
        Err(failure) if failure.is_lost() || failure.is_unknown() => Fate::Unknown(failure),
        Err(failure) => Fate::Aborted(failure),
    }
}
