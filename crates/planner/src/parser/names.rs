//! Names: which words may stand where without quotes.

use super::keywords::{Category, Keyword};
use super::lexer::{Token, TokenKind};
use super::{Parser, literal};
use crate::ast::{Alias, Identifier, ObjectName, RelationReference};
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    /// May the token be a name, if it is a key word of one of these categories?
    fn is_name(&self, token: Token, allowed: fn(Category) -> bool) -> bool {
        match token.kind {
            TokenKind::QuotedWord | TokenKind::UnicodeWord => true,
            TokenKind::Word => token.keyword == Keyword::None || allowed(token.keyword.category()),
            _ => false,
        }
    }

    /// ColId: a column, table, or other object.
    pub(super) fn is_column_id(&self, token: Token) -> bool {
        self.is_name(token, |category| matches!(category, Category::Unreserved | Category::ColumnName))
    }

    pub(super) fn is_type_function_name(&self, token: Token) -> bool {
        self.is_name(token, |category| matches!(category, Category::Unreserved | Category::TypeFunctionName))
    }

    /// NonReservedWord.
    pub(super) fn is_non_reserved(&self, token: Token) -> bool {
        self.is_name(token, |category| category != Category::Reserved)
    }

    /// ColLabel: any word.
    pub(super) fn is_label(&self, token: Token) -> bool {
        self.is_name(token, |_| true)
    }

    /// Takes the current token as a name, whatever category it has.
    pub(super) fn take_name(&mut self) -> PgResult<Identifier> {
        let token = self.advance();
        let name: Box<str> = match token.kind {
            TokenKind::Word => literal::word(self.text, token),
            TokenKind::QuotedWord => literal::quoted_word(self.text, token),
            TokenKind::UnicodeWord => {
                let escape = self.unicode_escape()?;
                let mut name = literal::unicode(self.text, token, escape)?;
                literal::truncate_name(&mut name);
                name.into()
            }
            _ => return Err(self.syntax_error_at(token)),
        };
        Ok(Identifier::new(name, token.start))
    }

    /// UESCAPE 'c' after a Unicode string or name.
    pub(super) fn unicode_escape(&mut self) -> PgResult<char> {
        if !self.at(Keyword::Uescape) {
            return Ok('\\');
        }
        self.advance();
        let token = self.peek();
        if token.kind != TokenKind::String {
            let message = format!(
                "UESCAPE must be followed by a simple string literal at or near \"{}\"",
                self.near(token)
            );
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(token.start));
        }
        self.advance();
        let text = literal::string(self.text, token)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(escape), None)
                if !escape.is_ascii_hexdigit()
                    && !matches!(escape, '+' | '\'' | '"')
                    && !escape.is_ascii_whitespace()
                    && escape.is_ascii() =>
            {
                Ok(escape)
            }
            _ => {
                let message = format!("invalid Unicode escape character at or near \"{}\"", self.near(token));
                Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(token.start))
            }
        }
    }

    pub(super) fn column_id(&mut self) -> PgResult<Identifier> {
        if self.is_column_id(self.peek()) { self.take_name() } else { Err(self.syntax_error()) }
    }

    pub(super) fn type_function_name(&mut self) -> PgResult<Identifier> {
        if self.is_type_function_name(self.peek()) { self.take_name() } else { Err(self.syntax_error()) }
    }

    pub(super) fn label(&mut self) -> PgResult<Identifier> {
        if self.is_label(self.peek()) { self.take_name() } else { Err(self.syntax_error()) }
    }

    /// A word that is not reserved, or a string.
    pub(super) fn word_or_string(&mut self) -> PgResult<Box<str>> {
        if self.is_non_reserved(self.peek()) {
            return Ok(self.take_name()?.name);
        }
        self.string()
    }

    /// `name`, `schema.name`, `database.schema.name`.
    pub(super) fn object_name(&mut self) -> PgResult<ObjectName> {
        let first = self.column_id()?;
        self.object_name_after(first)
    }

    pub(super) fn object_name_after(&mut self, first: Identifier) -> PgResult<ObjectName> {
        let mut parts = vec![first];
        while self.eat_symbol(b'.') {
            parts.push(self.label()?);
        }
        Ok(ObjectName { parts })
    }

    /// A function's name: a plain one may also be a type or function key word.
    pub(super) fn function_name(&mut self) -> PgResult<ObjectName> {
        let token = self.peek();
        if self.is_type_function_name(token) && !self.symbol_at(1, b'.') {
            return Ok(ObjectName::single(self.take_name()?));
        }
        self.object_name()
    }

    pub(super) fn column_list(&mut self) -> PgResult<Vec<Identifier>> {
        self.parenthesized(Self::column_id)
    }

    pub(super) fn optional_column_list(&mut self) -> PgResult<Vec<Identifier>> {
        self.optional_parenthesized(Self::column_id)
    }

    /// A relation with ONLY or `*`, without alias.
    pub(super) fn relation(&mut self) -> PgResult<RelationReference> {
        if self.eat(Keyword::Only) {
            let parenthesis = self.eat_symbol(b'(');
            let name = self.object_name()?;
            if parenthesis {
                self.expect_symbol(b')')?;
            }
            return Ok(RelationReference { name, only: true, alias: None, sample: None });
        }
        let name = self.object_name()?;
        self.eat_symbol(b'*');
        Ok(RelationReference { name, only: false, alias: None, sample: None })
    }

    /// `[AS] alias` of the target of UPDATE and DELETE: without columns, and not SET.
    pub(super) fn target_alias(&mut self) -> PgResult<Option<Alias>> {
        let name = if self.eat(Keyword::As) {
            self.column_id()?
        } else if self.is_column_id(self.peek()) && !self.at(Keyword::Set) {
            self.take_name()?
        } else {
            return Ok(None);
        };
        Ok(Some(Alias { name, columns: Vec::new() }))
    }

    /// IF EXISTS.
    pub(super) fn if_exists(&mut self) -> bool {
        self.eat_all(&[Keyword::If, Keyword::Exists])
    }

    /// IF NOT EXISTS.
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.eat_all(&[Keyword::If, Keyword::Not, Keyword::Exists])
    }

    /// CASCADE or RESTRICT; true for CASCADE.
    pub(super) fn cascade(&mut self) -> bool {
        if self.eat(Keyword::Cascade) {
            return true;
        }
        self.eat(Keyword::Restrict);
        false
    }

    // --- Constants.

    pub(super) fn is_string(&self, token: Token) -> bool {
        matches!(
            token.kind,
            TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::DollarString
        )
    }

    /// Sconst.
    pub(super) fn string(&mut self) -> PgResult<Box<str>> {
        let token = self.peek();
        match token.kind {
            TokenKind::String | TokenKind::EscapeString | TokenKind::DollarString => {
                self.advance();
                Ok(literal::string(self.text, token)?.into())
            }
            TokenKind::UnicodeString => {
                self.advance();
                let escape = self.unicode_escape()?;
                Ok(literal::unicode(self.text, token, escape)?.into())
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// An integer that fits int4, without sign (Iconst).
    pub(super) fn integer(&mut self) -> PgResult<i32> {
        let token = self.peek();
        let value = match token.kind {
            TokenKind::Integer => self.token_text(token).parse().ok(),
            _ => None,
        };
        let value = value.ok_or_else(|| self.syntax_error())?;
        self.advance();
        Ok(value)
    }

    /// SignedIconst.
    pub(super) fn signed_integer(&mut self) -> PgResult<i32> {
        let negative = self.at_symbol(b'-');
        if negative || self.at_symbol(b'+') {
            self.advance();
        }
        let value = self.integer()?;
        Ok(if negative { -value } else { value })
    }

    /// NumericOnly: a number as written, with its sign.
    pub(super) fn signed_number(&mut self) -> PgResult<Box<str>> {
        let negative = self.at_symbol(b'-');
        if negative || self.at_symbol(b'+') {
            self.advance();
        }
        let token = self.peek();
        if !matches!(token.kind, TokenKind::Integer | TokenKind::Decimal) {
            return Err(self.syntax_error());
        }
        self.advance();
        let digits = self.token_text(token);
        Ok(if negative { format!("-{digits}").into() } else { digits.into() })
    }

    pub(super) fn at_number(&self) -> bool {
        let number = |token: Token| matches!(token.kind, TokenKind::Integer | TokenKind::Decimal);
        number(self.peek()) || ((self.at_symbol(b'-') || self.at_symbol(b'+')) && number(self.peek_at(1)))
    }

    /// A number that fits int8 (sequence options).
    pub(super) fn signed_bigint(&mut self) -> PgResult<i64> {
        let start = self.start();
        let text = self.signed_number()?;
        text.parse().map_err(|_| {
            PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("value \"{text}\" is out of range for type bigint"),
            )
            .at(start)
        })
    }
}
