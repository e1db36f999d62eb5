//! Transactions of the server's own, done over until they go through.

/// Runs a body (an `ExecResult`) in a transaction of its own and commits, all of it again while a restart can help. A macro
/// because a future that borrows from an async closure cannot be shown to be `Send`.
macro_rules! in_own_transaction {
    ($db:expr, |$txn:ident| $body:expr) => {{
        let mut $txn = $db.begin(kvclient::TxnOptions::default());
        loop {
            let result: executor::ExecResult<_> = async {
                let value = $body?;
                $txn.commit().await?;
                Ok(value)
            }
            .await;
            match result {
                Err(executor::ExecError::Kv(error)) if $txn.can_restart(&error).is_some() => {
                    $txn.rollback().await;
                    $txn = $db.begin(kvclient::TxnOptions::default());
                }
                Err(error) => {
                    $txn.rollback().await;
                    break Err(error);
                }
                Ok(value) => break Ok(value),
            }
        }
    }};
}

pub(crate) use in_own_transaction;
