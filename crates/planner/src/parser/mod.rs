//! Statement text to [`crate::ast`].
//!
//! Recursive descent over a token list, one file for each statement family; expressions by precedence climbing (module
//! `expression`). The grammar follows PostgreSQL 15's `gram.y`; where that needs look-ahead or reduces late, this one looks
//! ahead or backtracks over tokens, never twice over the same text in a nested way (so that parsing stays linear).
//!
//! # Bounds
//!
//! - A text longer than [`STATEMENT_BYTES_MAX`] is refused before anything is read (54000).
//! - [`Parser::nest`] counts how deep the descent is **and** how high the tree below became: a chain of a million `+ 1`
//!   descends nowhere but builds a tree a million high that could neither be walked nor dropped. Either beyond [`DEPTH_MAX`] is
//!   54001. The stack grows on the heap where a thread's own is short.
//!
//! # Errors
//!
//! `syntax error at or near "token"` at the token that cannot go on, like a LALR parser's: nothing is tried beyond it.

mod alter;
mod column;
mod copy;
mod create;
mod create_table;
mod drop;
mod expression;
mod from;
mod function;
pub mod keywords;
pub(crate) mod lexer;
mod literal;
mod modify;
mod names;
mod options;
mod primary;
mod query;
mod role;
mod routine;
mod sequence;
mod session;
mod statement;
mod transaction;
mod type_name;
mod window;

#[cfg(test)]
mod tests;

pub use literal::NAME_BYTES_MAX;

use crate::ast::{Expression, Sourced, Statement};
use keywords::Keyword;
use lexer::{Token, TokenKind, Tokens};
use types::{PgError, PgResult, SqlState};

/// Height of a statement's tree at most: deeper ones are refused with 54001.
pub const DEPTH_MAX: u32 = 2000;

/// Bytes of a query string at most.
pub const STATEMENT_BYTES_MAX: usize = 32 << 20;

/// Highest parameter number (the protocol counts parameters in 16 bits).
pub const PARAMETER_MAX: u32 = 65535;

/// Stack that one level of descent may need, and by how much the stack grows.
const STACK_RED_ZONE: usize = 128 << 10;
const STACK_GROWTH: usize = 2 << 20;

/// The statements of a query string. An error in any of them refuses the whole string, as in PostgreSQL.
pub fn parse(text: &str) -> PgResult<Vec<Statement>> {
    let mut parser = Parser::new(text)?;
    let mut statements = Vec::new();
    loop {
        while parser.eat_symbol(b';') {}
        if parser.at_end() {
            return Ok(statements);
        }
        statements.push(parser.statement()?);
        if !parser.at_end() {
            parser.expect_symbol(b';')?;
        }
    }
}

/// A single expression (a default or check of the catalog).
pub fn parse_expression(text: &str) -> PgResult<Expression> {
    let mut parser = Parser::new(text)?;
    let expression = parser.expression()?;
    parser.expect_end()?;
    Ok(expression)
}

/// A type name, as the text of `'integer'::regtype` or an argument of `format_type`.
pub fn parse_type_name(text: &str) -> PgResult<crate::ast::TypeName> {
    let mut parser = Parser::new(text)?;
    let name = parser.type_name()?;
    parser.expect_end()?;
    Ok(name)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    position: usize,
    lexer_error: Option<PgError>,
    /// How deep the descent is.
    depth: u32,
    /// Height of the highest tree finished since the current level began.
    height: u32,
    /// Highest `$n` of the current statement.
    parameter_max: u16,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> PgResult<Self> {
        if text.len() > STATEMENT_BYTES_MAX {
            let message = format!("statement is longer than {STATEMENT_BYTES_MAX} bytes");
            return Err(PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        let Tokens { list, error } = lexer::tokenize(text);
        Ok(Parser {
            text,
            tokens: list,
            position: 0,
            lexer_error: error,
            depth: 0,
            height: 0,
            parameter_max: 0,
        })
    }

    // --- Tokens.

    #[inline]
    fn peek(&self) -> Token {
        self.tokens[self.position]
    }

    /// The token `offset` places on; the last one (End or Error) repeats.
    #[inline]
    fn peek_at(&self, offset: usize) -> Token {
        self.tokens[(self.position + offset).min(self.tokens.len() - 1)]
    }

    #[inline]
    fn kind(&self) -> TokenKind {
        self.peek().kind
    }

    /// Where the current token begins.
    #[inline]
    fn start(&self) -> u32 {
        self.peek().start
    }

    /// Where the token before the current one ended.
    fn previous_end(&self) -> u32 {
        self.position.checked_sub(1).map_or(0, |index| self.tokens[index].end)
    }

    #[inline]
    fn advance(&mut self) -> Token {
        let token = self.peek();
        if self.position + 1 < self.tokens.len() {
            self.position += 1;
        }
        token
    }

    fn at_end(&self) -> bool {
        self.kind() == TokenKind::End
    }

    fn expect_end(&self) -> PgResult<()> {
        if self.at_end() { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn token_text(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The current word's key word; `Keyword::None` for anything else.
    #[inline]
    fn keyword(&self) -> Keyword {
        self.peek().keyword
    }

    fn keyword_at(&self, offset: usize) -> Keyword {
        self.peek_at(offset).keyword
    }

    #[inline]
    fn at(&self, keyword: Keyword) -> bool {
        self.keyword() == keyword
    }

    /// Do these key words follow?
    fn at_all(&self, keywords: &[Keyword]) -> bool {
        keywords.iter().enumerate().all(|(offset, keyword)| self.keyword_at(offset) == *keyword)
    }

    #[inline]
    fn eat(&mut self, keyword: Keyword) -> bool {
        let found = self.at(keyword);
        if found {
            self.advance();
        }
        found
    }

    /// Takes all of these key words, or none.
    fn eat_all(&mut self, keywords: &[Keyword]) -> bool {
        let found = self.at_all(keywords);
        if found {
            self.position += keywords.len();
        }
        found
    }

    fn expect(&mut self, keyword: Keyword) -> PgResult<()> {
        if self.eat(keyword) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn expect_all(&mut self, keywords: &[Keyword]) -> PgResult<()> {
        keywords.iter().try_for_each(|keyword| self.expect(*keyword))
    }

    #[inline]
    fn at_symbol(&self, symbol: u8) -> bool {
        self.kind() == TokenKind::Symbol(symbol)
    }

    fn symbol_at(&self, offset: usize, symbol: u8) -> bool {
        self.peek_at(offset).kind == TokenKind::Symbol(symbol)
    }

    #[inline]
    fn eat_symbol(&mut self, symbol: u8) -> bool {
        let found = self.at_symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect_symbol(&mut self, symbol: u8) -> PgResult<()> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// A word that is no key word, by its text ("split").
    fn at_word(&self, offset: usize, word: &str) -> bool {
        let token = self.peek_at(offset);
        token.kind == TokenKind::Word && self.token_text(token).eq_ignore_ascii_case(word)
    }

    // --- Errors.

    /// The current token cannot stand here.
    fn syntax_error(&self) -> PgError {
        self.syntax_error_at(self.peek())
    }

    fn syntax_error_at(&self, token: Token) -> PgError {
        match (token.kind, &self.lexer_error) {
            (TokenKind::Error, Some(error)) => error.clone(),
            (TokenKind::End, _) => {
                PgError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(token.start)
            }
            _ => {
                let near = self.near(token);
                PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{near}\""))
                    .at(token.start)
            }
        }
    }

    /// The token's text, whole characters.
    fn near(&self, token: Token) -> &'a str {
        let mut end = token.end as usize;
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        &self.text[token.start as usize..end]
    }

    // --- Combinators.

    /// One or more, separated by commas.
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> PgResult<T>) -> PgResult<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat_symbol(b',') {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// One or more in parentheses.
    fn parenthesized<T>(&mut self, item: impl FnMut(&mut Self) -> PgResult<T>) -> PgResult<Vec<T>> {
        self.expect_symbol(b'(')?;
        let items = self.list(item)?;
        self.expect_symbol(b')')?;
        Ok(items)
    }

    /// A list in parentheses, or nothing at all.
    fn optional_parenthesized<T>(&mut self, item: impl FnMut(&mut Self) -> PgResult<T>) -> PgResult<Vec<T>> {
        if self.at_symbol(b'(') { self.parenthesized(item) } else { Ok(Vec::new()) }
    }

    /// Parses and keeps the text.
    fn sourced<T>(&mut self, parse: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<Sourced<T>> {
        let start = self.start() as usize;
        let node = parse(self)?;
        let end = (self.previous_end() as usize).max(start);
        Ok(Sourced { node, text: self.text[start..end].into() })
    }

    // --- Depth.

    fn too_deep() -> PgError {
        PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
            .hint(format!("The statement is nested more than {DEPTH_MAX} levels deep."))
    }

    /// Parses a level of the tree: counts the descent, and the height of what it builds.
    fn nest<T>(&mut self, parse: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<T> {
        if self.depth >= DEPTH_MAX {
            return Err(Self::too_deep());
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.height, 0);
        let result = stacker::maybe_grow(STACK_RED_ZONE, STACK_GROWTH, || parse(self));
        self.depth -= 1;
        if result.is_ok() {
            self.grow()?;
        }
        self.height = self.height.max(outer);
        result
    }

    /// The tree of the current level became one higher: a left-associative chain went on.
    #[inline]
    fn grow(&mut self) -> PgResult<()> {
        self.height += 1;
        if self.height > DEPTH_MAX { Err(Self::too_deep()) } else { Ok(()) }
    }
}
