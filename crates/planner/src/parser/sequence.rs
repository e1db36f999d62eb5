//! CREATE and ALTER SEQUENCE, and the sequence options of identity columns.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    pub(super) fn create_sequence(&mut self, persistence: Persistence) -> PgResult<StatementKind> {
        self.expect(Keyword::Sequence)?;
        let if_not_exists = self.if_not_exists();
        let name = self.object_name()?;
        let options = self.sequence_options()?;
        let sequence = CreateSequence { name, if_not_exists, persistence, options };
        Ok(StatementKind::CreateSequence(Box::new(sequence)))
    }

    pub(super) fn sequence_options(&mut self) -> PgResult<Vec<SequenceOption>> {
        let mut options = Vec::new();
        while let Some(option) = self.sequence_option()? {
            options.push(option);
        }
        Ok(options)
    }

    /// `(options)`, or nothing.
    pub(super) fn parenthesized_sequence_options(&mut self) -> PgResult<Vec<SequenceOption>> {
        if !self.eat_symbol(b'(') {
            return Ok(Vec::new());
        }
        let options = self.sequence_options()?;
        if options.is_empty() {
            return Err(self.syntax_error());
        }
        self.expect_symbol(b')')?;
        Ok(options)
    }

    pub(super) fn sequence_option(&mut self) -> PgResult<Option<SequenceOption>> {
        let keyword = self.keyword();
        let option = match keyword {
            Keyword::As => {
                self.advance();
                SequenceOption::As(self.simple_type_name()?)
            }
            Keyword::Increment => {
                self.advance();
                self.eat(Keyword::By);
                SequenceOption::Increment(self.signed_bigint()?)
            }
            Keyword::Minvalue => {
                self.advance();
                SequenceOption::Minimum(Some(self.signed_bigint()?))
            }
            Keyword::Maxvalue => {
                self.advance();
                SequenceOption::Maximum(Some(self.signed_bigint()?))
            }
            Keyword::Start => {
                self.advance();
                self.eat(Keyword::With);
                SequenceOption::Start(self.signed_bigint()?)
            }
            Keyword::Restart => {
                self.advance();
                let with = self.eat(Keyword::With);
                let value = if with || self.at_number() { Some(self.signed_bigint()?) } else { None };
                SequenceOption::Restart(value)
            }
            Keyword::Cache => {
                self.advance();
                SequenceOption::Cache(self.signed_bigint()?)
            }
            Keyword::Cycle => {
                self.advance();
                SequenceOption::Cycle(true)
            }
            Keyword::Logged | Keyword::Unlogged => {
                self.advance();
                SequenceOption::Logged(keyword == Keyword::Logged)
            }
            Keyword::Owned => {
                self.advance();
                self.expect(Keyword::By)?;
                let none = self.eat(Keyword::NoneKeyword);
                SequenceOption::OwnedBy(if none { None } else { Some(self.object_name()?) })
            }
            Keyword::Sequence if self.keyword_at(1) == Keyword::Name => {
                self.position += 2;
                SequenceOption::SequenceName(self.object_name()?)
            }
            Keyword::No => {
                let option = match self.keyword_at(1) {
                    Keyword::Minvalue => SequenceOption::Minimum(None),
                    Keyword::Maxvalue => SequenceOption::Maximum(None),
                    Keyword::Cycle => SequenceOption::Cycle(false),
                    _ => return Ok(None),
                };
                self.position += 2;
                option
            }
            _ => return Ok(None),
        };
        Ok(Some(option))
    }

    /// ALTER SEQUENCE, after the words.
    pub(super) fn alter_sequence(&mut self) -> PgResult<StatementKind> {
        let if_exists = self.if_exists();
        let name = self.object_name()?;
        if let Some(common) = self.alter_common(ObjectKind::Sequence, &name, if_exists)? {
            return Ok(common);
        }
        if self.at_all(&[Keyword::Set, Keyword::Logged]) || self.at_all(&[Keyword::Set, Keyword::Unlogged]) {
            return self.unsupported("ALTER SEQUENCE ... SET LOGGED");
        }
        let options = self.sequence_options()?;
        if options.is_empty() {
            return Err(self.syntax_error());
        }
        Ok(StatementKind::AlterSequence(Box::new(AlterSequence { name, if_exists, options })))
    }
}
