//! Generic option lists: `(name value, ...)`, `WITH (name = value, ...)`.

use super::Parser;
use super::keywords::{Category, Keyword};
use super::lexer::TokenKind;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    /// `name [value]` (COPY, EXPLAIN, VACUUM, REINDEX ...).
    pub(super) fn generic_option(&mut self) -> PgResult<CopyOption> {
        let position = self.start();
        let name = if self.at(Keyword::Analyse) {
            self.advance();
            "analyze".into()
        } else {
            self.label()?.name
        };
        Ok(CopyOption { name, value: self.option_value()?, position })
    }

    fn option_value(&mut self) -> PgResult<OptionValue> {
        if self.at_symbol(b',') || self.at_symbol(b')') {
            return Ok(OptionValue::None);
        }
        if self.eat_symbol(b'*') {
            return Ok(OptionValue::Star);
        }
        if self.at_symbol(b'(') {
            let list = self.parenthesized(|parser| {
                if parser.is_string(parser.peek()) { parser.string() } else { Ok(parser.label()?.name) }
            })?;
            return Ok(OptionValue::List(list));
        }
        self.scalar_value()
    }

    fn scalar_value(&mut self) -> PgResult<OptionValue> {
        if self.at_number() {
            return Ok(OptionValue::Number(self.signed_number()?));
        }
        if self.is_string(self.peek()) {
            return Ok(OptionValue::Text(self.string()?));
        }
        let reserved = self.keyword() != Keyword::None && self.keyword().category() == Category::Reserved;
        let allowed = matches!(
            self.keyword(),
            Keyword::True
                | Keyword::False
                | Keyword::On
                | Keyword::Default
                | Keyword::All
                | Keyword::Null
                | Keyword::User
        );
        if reserved && !allowed {
            return Err(self.syntax_error());
        }
        Ok(OptionValue::Text(self.label()?.name))
    }

    /// `(name [= value], ...)`: storage parameters; names may have a namespace (`toast.x`).
    pub(super) fn storage_parameters(&mut self) -> PgResult<Vec<CopyOption>> {
        self.parenthesized(|parser| {
            let position = parser.start();
            let mut name = parser.label()?.name.into_string();
            if parser.eat_symbol(b'.') {
                name = format!("{name}.{}", parser.label()?.name);
            }
            let mut value = OptionValue::None;
            if parser.eat_symbol(b'=') {
                value = if parser.at_operator() && !parser.at_number() {
                    OptionValue::Text(parser.any_operator()?.name.into())
                } else {
                    parser.definition_value()?
                };
            }
            Ok(CopyOption { name: name.into(), value, position })
        })
    }

    /// def_arg: a type name counts as a word.
    fn definition_value(&mut self) -> PgResult<OptionValue> {
        if self.at_number()
            || self.is_string(self.peek())
            || matches!(self.keyword(), Keyword::None | Keyword::Setof)
        {
            if matches!(self.kind(), TokenKind::Word | TokenKind::QuotedWord) {
                let start = self.start() as usize;
                self.type_name()?;
                let end = self.previous_end() as usize;
                return Ok(OptionValue::Text(self.text[start..end].into()));
            }
            return self.scalar_value();
        }
        Ok(OptionValue::Text(self.label()?.name))
    }

    /// WITH (...), if it is there.
    pub(super) fn with_options(&mut self) -> PgResult<Vec<CopyOption>> {
        if self.at(Keyword::With) && self.symbol_at(1, b'(') {
            self.advance();
            return self.storage_parameters();
        }
        Ok(Vec::new())
    }
}
