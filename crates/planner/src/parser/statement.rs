//! Which statement is it?

use super::Parser;
use super::keywords::Keyword;
use super::lexer::TokenKind;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    /// One statement of the query string.
    pub(super) fn statement(&mut self) -> PgResult<Statement> {
        self.parameter_max = 0;
        self.depth = 0;
        self.height = 0;
        self.statement_of(Self::statement_kind)
    }

    /// PreparableStmt: what PREPARE, EXPLAIN, WITH and COPY take.
    pub(super) fn preparable_statement(&mut self) -> PgResult<Statement> {
        self.statement_of(Self::preparable_kind)
    }

    pub(super) fn statement_of(
        &mut self,
        parse: impl FnOnce(&mut Self) -> PgResult<StatementKind>,
    ) -> PgResult<Statement> {
        let start = self.start();
        let kind = parse(self)?;
        Ok(Statement { kind, start, end: self.previous_end(), parameter_count: self.parameter_max })
    }

    /// SELECT as a statement (views, cursors, CREATE TABLE AS).
    pub(super) fn query_statement(&mut self) -> PgResult<Statement> {
        self.statement_of(|parser| Ok(StatementKind::Select(Box::new(parser.query()?))))
    }

    fn preparable_kind(&mut self) -> PgResult<StatementKind> {
        let with = self.with()?;
        Ok(match self.keyword() {
            Keyword::Insert => StatementKind::Insert(Box::new(self.insert(with)?)),
            Keyword::Update => StatementKind::Update(Box::new(self.update(with)?)),
            Keyword::Delete => StatementKind::Delete(Box::new(self.delete(with)?)),
            Keyword::Merge => StatementKind::Merge(Box::new(self.merge(with)?)),
            _ => StatementKind::Select(Box::new(self.query_with(with)?)),
        })
    }

    /// SELECT ... INTO is CREATE TABLE AS with the query without its INTO. Of set operations it is left to the binder, which refuses it.
    fn table_of_select_into(&self, start: u32, mut kind: StatementKind) -> StatementKind {
        let StatementKind::Select(query) = &mut kind else { return kind };
        let QueryBody::Select(select) = &mut query.body else { return kind };
        let Some(into) = select.into.take() else { return kind };
        let end = self.previous_end();
        let text = format!(
            "{}{}",
            &self.text[start as usize..into.start as usize],
            &self.text[into.end as usize..end as usize]
        );
        let node = Statement { kind, start, end, parameter_count: self.parameter_max };
        StatementKind::CreateTableAs(Box::new(CreateTableAs {
            name: into.name,
            columns: Vec::new(),
            persistence: into.persistence,
            if_not_exists: false,
            on_commit: None,
            options: Vec::new(),
            statement: Sourced { node, text: text.into() },
            with_data: true,
            materialized_view: false,
        }))
    }

    fn statement_kind(&mut self) -> PgResult<StatementKind> {
        if self.at_symbol(b'(') {
            return self.preparable_kind();
        }
        if self.kind() != TokenKind::Word {
            return Err(self.syntax_error());
        }
        match self.keyword() {
            Keyword::Select
            | Keyword::Values
            | Keyword::With
            | Keyword::Table
            | Keyword::Insert
            | Keyword::Update
            | Keyword::Delete
            | Keyword::Merge => {
                let start = self.start();
                let kind = self.preparable_kind()?;
                Ok(self.table_of_select_into(start, kind))
            }
            Keyword::Copy => Ok(StatementKind::Copy(Box::new(self.copy()?))),
            Keyword::Create => self.create(),
            Keyword::Alter => self.alter(),
            Keyword::Drop => self.drop_statement(),
            Keyword::Truncate => Ok(StatementKind::Truncate(Box::new(self.truncate()?))),
            Keyword::Grant => self.grant(),
            Keyword::Revoke => self.revoke(),
            Keyword::Comment => self.comment(),
            Keyword::Begin
            | Keyword::Start
            | Keyword::Commit
            | Keyword::Rollback
            | Keyword::Abort
            | Keyword::End
            | Keyword::Savepoint
            | Keyword::Release => self.transaction(),
            Keyword::Prepare if self.keyword_at(1) == Keyword::Transaction => self.transaction(),
            Keyword::Set => self.set_statement(),
            Keyword::Reset => self.reset(),
            Keyword::Show => self.show(),
            _ => self.session_statement(),
        }
    }

    /// A statement that PostgreSQL has and nothing here serves: read to its end, answered with 0A000 when run.
    pub(super) fn unsupported(&mut self, feature: impl Into<Box<str>>) -> PgResult<StatementKind> {
        let mut depth = 0usize;
        let mut atomic = 0usize;
        loop {
            match self.kind() {
                TokenKind::End => break,
                TokenKind::Error => return Err(self.syntax_error()),
                TokenKind::Symbol(b'(') => depth += 1,
                TokenKind::Symbol(b')') => {
                    if depth == 0 {
                        return Err(self.syntax_error());
                    }
                    depth -= 1;
                }
                TokenKind::Symbol(b';') if depth == 0 && atomic == 0 => break,
                // A function body of standard SQL holds statements of its own.
                TokenKind::Word if self.at_all(&[Keyword::Begin, Keyword::Atomic]) => atomic += 1,
                TokenKind::Word if atomic > 0 && self.at(Keyword::Case) => atomic += 1,
                TokenKind::Word if atomic > 0 && self.at(Keyword::End) => atomic -= 1,
                _ => {}
            }
            self.advance();
        }
        if depth > 0 || atomic > 0 {
            return Err(self.syntax_error());
        }
        Ok(StatementKind::Unsupported(feature.into()))
    }
}
