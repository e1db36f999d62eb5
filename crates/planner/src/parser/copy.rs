//! COPY, in the syntax of today and that before PostgreSQL 9.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    pub(super) fn copy(&mut self) -> PgResult<CopyStatement> {
        let position = self.start();
        self.expect(Keyword::Copy)?;
        if self.at_symbol(b'(') {
            self.advance();
            let statement = self.nest(Self::preparable_statement)?;
            self.expect_symbol(b')')?;
            self.expect(Keyword::To)?;
            let endpoint = self.copy_endpoint()?;
            let options = self.copy_options()?;
            let source = CopySource::Query(Box::new(statement));
            return Ok(CopyStatement { source, from: false, endpoint, options, filter: None, position });
        }
        let mut options = Vec::new();
        if self.at(Keyword::Binary) {
            options.push(word_option("format", "binary", self.start()));
            self.advance();
        }
        let source = CopySource::Table { name: self.object_name()?, columns: self.optional_column_list()? };
        let from = self.eat(Keyword::From);
        if !from {
            self.expect(Keyword::To)?;
        }
        let endpoint = self.copy_endpoint()?;
        let at = self.start();
        if self.at_all(&[Keyword::Using, Keyword::Delimiters]) || self.at(Keyword::Delimiters) {
            self.eat(Keyword::Using);
            self.advance();
            options.push(word_option("delimiter", &self.string()?, at));
        }
        options.extend(self.copy_options()?);
        if !from && self.at(Keyword::Where) {
            let message = "WHERE clause not allowed with COPY TO";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(self.start()));
        }
        let filter = if self.eat(Keyword::Where) { Some(self.sourced(Self::expression)?) } else { None };
        Ok(CopyStatement { source, from, endpoint, options, filter, position })
    }

    fn copy_endpoint(&mut self) -> PgResult<CopyEndpoint> {
        if self.eat(Keyword::Program) {
            return Ok(CopyEndpoint::Program(self.string()?));
        }
        if self.eat(Keyword::Stdin) || self.eat(Keyword::Stdout) {
            return Ok(CopyEndpoint::Client);
        }
        Ok(CopyEndpoint::File(self.string()?))
    }

    fn copy_options(&mut self) -> PgResult<Vec<CopyOption>> {
        self.eat(Keyword::With);
        if self.at_symbol(b'(') {
            return self.parenthesized(Self::generic_option);
        }
        let mut options = Vec::new();
        while let Some(option) = self.old_copy_option()? {
            options.push(option);
        }
        Ok(options)
    }

    /// One option of the old syntax.
    fn old_copy_option(&mut self) -> PgResult<Option<CopyOption>> {
        let position = self.start();
        let option = |name: &str, value| CopyOption { name: name.into(), value, position };
        let keyword = self.keyword();
        let simple = match keyword {
            Keyword::Binary => Some(word_option("format", "binary", position)),
            Keyword::Csv => Some(word_option("format", "csv", position)),
            Keyword::Freeze => Some(word_option("freeze", "true", position)),
            Keyword::Header => Some(word_option("header", "true", position)),
            _ => None,
        };
        if let Some(simple) = simple {
            self.advance();
            return Ok(Some(simple));
        }
        let name = match keyword {
            Keyword::Delimiter => "delimiter",
            Keyword::Null => "null",
            Keyword::Quote => "quote",
            Keyword::Escape => "escape",
            Keyword::Encoding => "encoding",
            Keyword::Force => {
                self.advance();
                return self.old_force_option(position).map(Some);
            }
            _ => return Ok(None),
        };
        self.advance();
        if keyword != Keyword::Encoding {
            self.eat(Keyword::As);
        }
        Ok(Some(option(name, OptionValue::Text(self.string()?))))
    }

    fn old_force_option(&mut self, position: u32) -> PgResult<CopyOption> {
        let name = if self.eat(Keyword::Quote) {
            "force_quote"
        } else if self.eat_all(&[Keyword::Not, Keyword::Null]) {
            "force_not_null"
        } else {
            self.expect(Keyword::Null)?;
            "force_null"
        };
        let value = if self.eat_symbol(b'*') {
            OptionValue::Star
        } else {
            OptionValue::List(self.list(Self::column_id)?.into_iter().map(|column| column.name).collect())
        };
        Ok(CopyOption { name: name.into(), value, position })
    }
}

fn word_option(name: &str, value: &str, position: u32) -> CopyOption {
    CopyOption { name: name.into(), value: OptionValue::Text(value.into()), position }
}
