//! BEGIN, COMMIT, ROLLBACK, savepoints, two-phase commit by hand.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    pub(super) fn transaction(&mut self) -> PgResult<StatementKind> {
        let keyword = self.advance().keyword;
        let transaction = match keyword {
            Keyword::Begin => {
                self.transaction_word();
                Transaction::Begin { modes: self.transaction_modes()?, start: false }
            }
            Keyword::Start => {
                self.expect(Keyword::Transaction)?;
                Transaction::Begin { modes: self.transaction_modes()?, start: true }
            }
            Keyword::Commit if self.eat(Keyword::Prepared) => Transaction::CommitPrepared(self.string()?),
            Keyword::Rollback if self.eat(Keyword::Prepared) => Transaction::RollbackPrepared(self.string()?),
            Keyword::Commit | Keyword::End => {
                self.transaction_word();
                Transaction::Commit { chain: self.chain()? }
            }
            Keyword::Rollback | Keyword::Abort => {
                self.transaction_word();
                if keyword == Keyword::Rollback && self.eat(Keyword::To) {
                    self.eat(Keyword::Savepoint);
                    Transaction::RollbackTo(self.column_id()?)
                } else {
                    Transaction::Rollback { chain: self.chain()? }
                }
            }
            Keyword::Savepoint => Transaction::Savepoint(self.column_id()?),
            Keyword::Release => {
                self.eat(Keyword::Savepoint);
                Transaction::Release(self.column_id()?)
            }
            _ => {
                // PREPARE TRANSACTION.
                self.expect(Keyword::Transaction)?;
                Transaction::PrepareTransaction(self.string()?)
            }
        };
        Ok(StatementKind::Transaction(Box::new(transaction)))
    }

    fn transaction_word(&mut self) {
        if !self.eat(Keyword::Work) {
            self.eat(Keyword::Transaction);
        }
    }

    /// AND [NO] CHAIN.
    fn chain(&mut self) -> PgResult<bool> {
        if !self.eat(Keyword::And) {
            return Ok(false);
        }
        let chain = !self.eat(Keyword::No);
        self.expect(Keyword::Chain)?;
        Ok(chain)
    }

    /// Modes, separated by commas or nothing.
    pub(super) fn transaction_modes(&mut self) -> PgResult<Vec<TransactionMode>> {
        let mut modes = Vec::new();
        while let Some(mode) = self.transaction_mode()? {
            modes.push(mode);
            if self.eat_symbol(b',') && !self.at_transaction_mode() {
                return Err(self.syntax_error());
            }
        }
        Ok(modes)
    }

    pub(super) fn at_transaction_mode(&self) -> bool {
        matches!(self.keyword(), Keyword::Isolation | Keyword::Read | Keyword::Deferrable)
            || self.at_all(&[Keyword::Not, Keyword::Deferrable])
            || self.at_as_of()
    }

    fn transaction_mode(&mut self) -> PgResult<Option<TransactionMode>> {
        if !self.at_transaction_mode() {
            return Ok(None);
        }
        if let Some(expression) = self.as_of_system_time()? {
            return Ok(Some(TransactionMode::AsOf(expression)));
        }
        Ok(Some(match self.advance().keyword {
            Keyword::Isolation => {
                self.expect(Keyword::Level)?;
                TransactionMode::Isolation(self.isolation_level()?)
            }
            Keyword::Read => {
                if self.eat(Keyword::Only) {
                    TransactionMode::ReadOnly(true)
                } else {
                    self.expect(Keyword::Write)?;
                    TransactionMode::ReadOnly(false)
                }
            }
            Keyword::Not => {
                self.advance();
                TransactionMode::Deferrable(false)
            }
            _ => TransactionMode::Deferrable(true),
        }))
    }

    fn isolation_level(&mut self) -> PgResult<IsolationLevel> {
        if self.eat(Keyword::Serializable) {
            return Ok(IsolationLevel::Serializable);
        }
        if self.eat(Keyword::Repeatable) {
            self.expect(Keyword::Read)?;
            return Ok(IsolationLevel::RepeatableRead);
        }
        self.expect(Keyword::Read)?;
        if self.eat(Keyword::Committed) {
            return Ok(IsolationLevel::ReadCommitted);
        }
        self.expect(Keyword::Uncommitted)?;
        Ok(IsolationLevel::ReadUncommitted)
    }
}
