//! CREATE FUNCTION and PROCEDURE.

use super::Parser;
use super::keywords::Keyword;
use super::lexer::TokenKind;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    pub(super) fn create_function(&mut self, or_replace: bool) -> PgResult<StatementKind> {
        let procedure = self.advance().keyword == Keyword::Procedure;
        let name = self.function_name()?;
        self.expect_symbol(b'(')?;
        let parameters = if self.at_symbol(b')') { Vec::new() } else { self.list(Self::function_parameter)? };
        self.expect_symbol(b')')?;
        let mut function = CreateFunction {
            name,
            or_replace,
            procedure,
            parameters,
            returns: None,
            language: None,
            body: Vec::new(),
            sql_body: false,
            attributes: Vec::new(),
        };
        if self.eat(Keyword::Returns) && !self.at(Keyword::Null) {
            function.returns = Some(if self.at(Keyword::Table) && self.symbol_at(1, b'(') {
                self.advance();
                FunctionReturns::Table(self.parenthesized(Self::named_type_parameter)?)
            } else {
                FunctionReturns::Type(self.type_name()?)
            });
        }
        while self.function_attribute(&mut function)? {}
        Ok(StatementKind::CreateFunction(Box::new(function)))
    }

    fn named_type_parameter(&mut self) -> PgResult<(Identifier, TypeName)> {
        Ok((self.type_function_name()?, self.type_name()?))
    }

    /// `[mode] [name] [mode] type [DEFAULT expression]`.
    pub(super) fn function_parameter(&mut self) -> PgResult<FunctionParameter> {
        let mut mode = self.parameter_mode();
        let mut name = None;
        if self.parameter_has_name() {
            name = Some(self.take_name()?);
            if mode.is_none() {
                mode = self.parameter_mode();
            }
        }
        let type_name = self.type_name()?;
        let default = if self.eat(Keyword::Default) || self.eat_symbol(b'=') {
            Some(self.sourced(Self::expression)?)
        } else {
            None
        };
        Ok(FunctionParameter { mode: mode.unwrap_or(ParameterMode::In), name, type_name, default })
    }

    fn parameter_mode(&mut self) -> Option<ParameterMode> {
        let mode = match self.keyword() {
            Keyword::In if self.keyword_at(1) == Keyword::Out => {
                self.advance();
                ParameterMode::InOut
            }
            Keyword::In => ParameterMode::In,
            Keyword::Out => ParameterMode::Out,
            Keyword::Inout => ParameterMode::InOut,
            Keyword::Variadic => ParameterMode::Variadic,
            _ => return None,
        };
        self.advance();
        Some(mode)
    }

    /// Does a type follow the word, so that the word is the parameter's name?
    fn parameter_has_name(&self) -> bool {
        if !self.is_type_function_name(self.peek()) {
            return false;
        }
        let next = self.peek_at(1);
        let type_follows = matches!(next.kind, TokenKind::QuotedWord | TokenKind::UnicodeWord)
            || (next.kind == TokenKind::Word
                && !matches!(
                    next.keyword,
                    Keyword::Default
                        | Keyword::Precision
                        | Keyword::Varying
                        | Keyword::With
                        | Keyword::Without
                        | Keyword::Array
                ));
        // `double precision`, `character varying`, `time with time zone` are types of several words.
        type_follows
    }

    /// One clause after the parameters; false when there is none.
    fn function_attribute(&mut self, function: &mut CreateFunction) -> PgResult<bool> {
        match self.keyword() {
            Keyword::Language => {
                self.advance();
                function.language = Some(self.word_or_string()?);
                return Ok(true);
            }
            Keyword::As => {
                self.advance();
                function.body = self.list(Self::string)?;
                return Ok(true);
            }
            Keyword::Return => {
                self.advance();
                let start = self.start() as usize;
                self.expression()?;
                let end = self.previous_end() as usize;
                function.body = vec![format!("SELECT {}", &self.text[start..end]).into()];
                function.sql_body = true;
                return Ok(true);
            }
            Keyword::Begin if self.keyword_at(1) == Keyword::Atomic => {
                self.position += 2;
                let start = self.start() as usize;
                let mut end = start;
                while !self.eat(Keyword::End) {
                    self.nest(Self::statement_in_body)?;
                    self.expect_symbol(b';')?;
                    end = self.previous_end() as usize;
                }
                function.body = vec![self.text[start..end].into()];
                function.sql_body = true;
                return Ok(true);
            }
            _ => {}
        }
        let start = self.start() as usize;
        if !self.simple_attribute()? {
            return Ok(false);
        }
        let end = self.previous_end() as usize;
        function.attributes.push(self.text[start..end].to_ascii_lowercase().into());
        Ok(true)
    }

    fn statement_in_body(&mut self) -> PgResult<()> {
        if self.eat(Keyword::Return) {
            self.expression()?;
            return Ok(());
        }
        self.preparable_statement()?;
        Ok(())
    }

    /// IMMUTABLE, STRICT, COST n, SET x = y ...: common to CREATE and ALTER.
    pub(super) fn simple_attribute(&mut self) -> PgResult<bool> {
        let keyword = self.keyword();
        match keyword {
            Keyword::Immutable
            | Keyword::Stable
            | Keyword::Volatile
            | Keyword::Strict
            | Keyword::Leakproof
            | Keyword::Window => {
                self.advance();
            }
            Keyword::Not if self.keyword_at(1) == Keyword::Leakproof => self.position += 2,
            Keyword::Called => {
                self.advance();
                self.expect_all(&[Keyword::On, Keyword::Null, Keyword::Input])?;
            }
            Keyword::Returns => {
                self.advance();
                self.expect_all(&[Keyword::Null, Keyword::On, Keyword::Null, Keyword::Input])?;
            }
            Keyword::Null => {
                // The rest of RETURNS NULL ON NULL INPUT.
                self.advance();
                self.expect_all(&[Keyword::On, Keyword::Null, Keyword::Input])?;
            }
            Keyword::External | Keyword::Security => {
                self.eat(Keyword::External);
                self.expect(Keyword::Security)?;
                if !self.eat(Keyword::Definer) {
                    self.expect(Keyword::Invoker)?;
                }
            }
            Keyword::Cost | Keyword::Rows => {
                self.advance();
                self.signed_number()?;
            }
            Keyword::Support => {
                self.advance();
                self.object_name()?;
            }
            Keyword::Parallel => {
                self.advance();
                self.column_id()?;
            }
            Keyword::Transform => {
                self.advance();
                self.list(|parser| {
                    parser.expect_all(&[Keyword::For, Keyword::Type])?;
                    parser.type_name()
                })?;
            }
            Keyword::Set => {
                self.advance();
                self.set_action()?;
            }
            Keyword::Reset => {
                self.advance();
                self.reset_action()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
