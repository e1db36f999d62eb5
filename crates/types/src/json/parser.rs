//! A recursive descent over the tokens.

use super::lexer::{Lexer, Token};
use super::{DEPTH_MAX, Value};
use crate::error::{PgError, PgResult, SqlState};
use crate::numeric::Numeric;

/// What parsing is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Only whether it is JSON: values come back as null.
    Check,
    Build,
}

pub(super) struct Parser<'a> {
    lexer: Lexer<'a>,
    purpose: Purpose,
    depth: usize,
}

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, purpose: Purpose) -> Parser<'a> {
        Parser { lexer: Lexer::new(text, purpose == Purpose::Build), purpose, depth: 0 }
    }

    pub fn document(mut self) -> PgResult<Value> {
        self.lexer.advance()?;
        let value = self.value()?;
        match self.lexer.token {
            Token::End => Ok(value),
            _ => Err(self.expected("end of input")),
        }
    }

    fn expected(&self, what: &str) -> PgError {
        match self.lexer.token {
            Token::End => self.lexer.error("The input string ended unexpectedly."),
            _ => self.lexer.error(format!("Expected {what}, but found \"{}\".", self.lexer.quoted())),
        }
    }

    fn value(&mut self) -> PgResult<Value> {
        let value = match self.lexer.token {
            Token::ObjectStart => return self.nested(Self::object),
            Token::ArrayStart => return self.nested(Self::array),
            Token::String => Value::String(std::mem::take(&mut self.lexer.text)),
            Token::Number if self.purpose == Purpose::Build => {
                Value::Number(Numeric::parse(self.lexer.quoted())?)
            }
            Token::Number | Token::Null => Value::Null,
            Token::True => Value::Bool(true),
            Token::False => Value::Bool(false),
            _ => return Err(self.expected("JSON value")),
        };
        self.lexer.advance()?;
        Ok(value)
    }

    fn nested(&mut self, parse: fn(&mut Self) -> PgResult<Value>) -> PgResult<Value> {
        if self.depth == DEPTH_MAX {
            return Err(PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .detail(format!("JSON may be nested {DEPTH_MAX} levels deep.")));
        }
        self.depth += 1;
        self.lexer.advance()?;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> PgResult<Value> {
        let mut elements = Vec::new();
        if self.lexer.token != Token::ArrayEnd {
            loop {
                let element = self.value()?;
                if self.purpose == Purpose::Build {
                    elements.push(element);
                }
                match self.lexer.token {
                    Token::Comma => self.lexer.advance()?,
                    Token::ArrayEnd => break,
                    _ => return Err(self.expected("\",\" or \"]\"")),
                }
            }
        }
        self.lexer.advance()?;
        Ok(Value::Array(elements))
    }

    fn object(&mut self) -> PgResult<Value> {
        let mut pairs = Vec::new();
        if self.lexer.token != Token::ObjectEnd {
            let mut expected = "string or \"}\"";
            loop {
                if self.lexer.token != Token::String {
                    return Err(self.expected(expected));
                }
                let key = std::mem::take(&mut self.lexer.text);
                self.lexer.advance()?;
                if self.lexer.token != Token::Colon {
                    return Err(self.expected("\":\""));
                }
                self.lexer.advance()?;
                let value = self.value()?;
                if self.purpose == Purpose::Build {
                    pairs.push((key, value));
                }
                match self.lexer.token {
                    Token::Comma => self.lexer.advance()?,
                    Token::ObjectEnd => break,
                    _ => return Err(self.expected("\",\" or \"}\"")),
                }
                expected = "string";
            }
        }
        self.lexer.advance()?;
        Ok(Value::object(pairs))
    }
}
