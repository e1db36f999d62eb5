//! Operands: constants, columns, parentheses, CASE, ARRAY, ROW.
//!
//! A parenthesis may open an expression, a row, or a query, and several may stand before that is known: `((SELECT 1))`,
//! `((SELECT 1) + 1)`, `((SELECT 1) UNION SELECT 2)`. [`Parser::parenthesized_content`] parses the inside once and finds out
//! afterwards what it was, so that nesting costs nothing.

use super::Parser;
use super::expression::Grammar;
use super::keywords::{Category, Keyword};
use super::lexer::TokenKind;
use super::literal;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

/// What stood in a pair of parentheses.
pub(super) enum Parenthesized {
    Query(Query),
    Expressions(Vec<Expression>),
}

impl Parser<'_> {
    /// c_expr with its indirection.
    pub(super) fn primary(&mut self) -> PgResult<Expression> {
        let start = self.start();
        let operand = match self.kind() {
            TokenKind::Integer | TokenKind::Decimal => return self.number(),
            kind if self.is_string(self.peek()) => {
                debug_assert!(kind != TokenKind::End);
                let value = self.string()?;
                return Ok(Expression::string(start, value));
            }
            TokenKind::BitString | TokenKind::HexString => return self.bit_string(),
            TokenKind::Parameter => self.parameter()?,
            TokenKind::Symbol(b'(') => match self.parenthesized_content()? {
                Parenthesized::Query(query) => {
                    Expression::new(start, ExpressionKind::Subquery(Box::new(query)))
                }
                Parenthesized::Expressions(mut list) if list.len() == 1 => list.remove(0),
                Parenthesized::Expressions(fields) => {
                    return self.row_tail(start, fields, false);
                }
            },
            TokenKind::Word => return self.word_primary(),
            TokenKind::QuotedWord | TokenKind::UnicodeWord => return self.name_primary(),
            _ => return Err(self.syntax_error()),
        };
        self.indirection(operand)
    }

    fn number(&mut self) -> PgResult<Expression> {
        let token = self.advance();
        let text = self.token_text(token);
        let literal = match (token.kind, text.parse::<i32>()) {
            (TokenKind::Integer, Ok(value)) => Literal::Integer(value),
            _ => Literal::Number(text.into()),
        };
        Ok(Expression::new(token.start, ExpressionKind::Literal(literal)))
    }

    fn bit_string(&mut self) -> PgResult<Expression> {
        let token = self.advance();
        let digits: Box<str> = literal::string(self.text, token)?.into();
        let literal = match token.kind {
            TokenKind::HexString => Literal::HexBits(digits),
            _ => Literal::Bits(digits),
        };
        Ok(Expression::new(token.start, ExpressionKind::Literal(literal)))
    }

    fn parameter(&mut self) -> PgResult<Expression> {
        let token = self.advance();
        let number: u32 = self.token_text(token)[1..].parse().unwrap_or(u32::MAX);
        if number == 0 || number > super::PARAMETER_MAX {
            let message = format!("there is no parameter ${}", &self.token_text(token)[1..]);
            return Err(PgError::new(SqlState::UNDEFINED_PARAMETER, message).at(token.start));
        }
        self.parameter_max = self.parameter_max.max(number as u16);
        Ok(Expression::new(token.start, ExpressionKind::Parameter(number as u16)))
    }

    // --- Parentheses.

    pub(super) fn at_query_start(&self) -> bool {
        matches!(self.keyword(), Keyword::Select | Keyword::Values | Keyword::With | Keyword::Table)
    }

    /// At `(`: everything up to its `)`.
    pub(super) fn parenthesized_content(&mut self) -> PgResult<Parenthesized> {
        self.expect_symbol(b'(')?;
        self.nest(|parser| {
            if parser.at_query_start() {
                let query = parser.query()?;
                parser.expect_symbol(b')')?;
                return Ok(Parenthesized::Query(query));
            }
            if !parser.at_symbol(b'(') {
                return parser.expressions_to_close(None);
            }
            let start = parser.start();
            let first = match parser.parenthesized_content()? {
                Parenthesized::Query(query) => {
                    if parser.at_query_continuation() {
                        let query = parser.query_after(query)?;
                        parser.expect_symbol(b')')?;
                        return Ok(Parenthesized::Query(query));
                    }
                    if parser.eat_symbol(b')') {
                        return Ok(Parenthesized::Query(query));
                    }
                    Expression::new(start, ExpressionKind::Subquery(Box::new(query)))
                }
                Parenthesized::Expressions(mut list) if list.len() == 1 => list.remove(0),
                Parenthesized::Expressions(fields) => parser.row_tail(start, fields, false)?,
            };
            let first = parser.indirection(first)?;
            let first = parser.climb_on(first, 0, Grammar::Full)?;
            parser.expressions_to_close(Some(first))
        })
    }

    fn expressions_to_close(&mut self, first: Option<Expression>) -> PgResult<Parenthesized> {
        let mut list = vec![match first {
            Some(first) => first,
            None => self.expression()?,
        }];
        while self.eat_symbol(b',') {
            list.push(self.expression()?);
        }
        self.expect_symbol(b')')?;
        Ok(Parenthesized::Expressions(list))
    }

    /// A query in parentheses (select_with_parens), at its `(`.
    pub(super) fn parenthesized_query(&mut self) -> PgResult<Query> {
        let open = self.peek();
        if !self.at_symbol(b'(') {
            return Err(self.syntax_error());
        }
        match self.parenthesized_content()? {
            Parenthesized::Query(query) => Ok(query),
            Parenthesized::Expressions(_) => Err(self.syntax_error_at(open)),
        }
    }

    /// After the fields of a row: OVERLAPS may follow.
    fn row_tail(&mut self, position: u32, fields: Vec<Expression>, explicit: bool) -> PgResult<Expression> {
        if !self.at(Keyword::Overlaps) {
            let row = Expression::new(position, ExpressionKind::Row { fields, explicit });
            // (ROW(1,2)).f needs its parentheses: nothing may follow here.
            return Ok(row);
        }
        let at = self.start();
        self.advance();
        if fields.len() != 2 {
            let message = "wrong number of parameters on left side of OVERLAPS expression";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
        }
        let right_position = self.start();
        self.eat(Keyword::Row);
        let right = self.parenthesized(Self::expression)?;
        if right.len() != 2 {
            let message = "wrong number of parameters on right side of OVERLAPS expression";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(right_position));
        }
        let arguments = fields.into_iter().chain(right).collect();
        let call = FunctionCall::special("overlaps", at, arguments);
        Ok(Expression::new(at, ExpressionKind::Function(Box::new(call))))
    }

    // --- Indirection.

    /// `.field`, `.*`, `[...]` after an operand.
    pub(super) fn indirection(&mut self, mut operand: Expression) -> PgResult<Expression> {
        loop {
            let position = operand.position;
            if self.at_symbol(b'[') {
                self.grow()?;
                let mut subscripts = Vec::new();
                while self.at_symbol(b'[') {
                    subscripts.push(self.subscript()?);
                }
                operand = Expression::new(position, ExpressionKind::Subscript(Box::new(operand), subscripts));
            } else if self.eat_symbol(b'.') {
                self.grow()?;
                if self.eat_symbol(b'*') {
                    return Ok(Expression::new(position, ExpressionKind::FieldWildcard(Box::new(operand))));
                }
                let field = self.label()?;
                operand = Expression::new(position, ExpressionKind::Field(Box::new(operand), field));
            } else {
                return Ok(operand);
            }
        }
    }

    /// `[i]`, `[a:b]`, `[:]`.
    pub(super) fn subscript(&mut self) -> PgResult<Subscript> {
        self.expect_symbol(b'[')?;
        if self.eat_symbol(b':') {
            let upper = self.optional_bound()?;
            return Ok(Subscript::Slice(None, upper));
        }
        let index = self.expression()?;
        if self.eat_symbol(b':') {
            let upper = self.optional_bound()?;
            return Ok(Subscript::Slice(Some(index), upper));
        }
        self.expect_symbol(b']')?;
        Ok(Subscript::Index(index))
    }

    fn optional_bound(&mut self) -> PgResult<Option<Expression>> {
        let bound = if self.at_symbol(b']') { None } else { Some(self.expression()?) };
        self.expect_symbol(b']')?;
        Ok(bound)
    }

    // --- Words.

    /// An operand that begins with a word without quotes.
    fn word_primary(&mut self) -> PgResult<Expression> {
        let start = self.start();
        let literal = |literal| Expression::new(start, ExpressionKind::Literal(literal));
        let keyword = self.keyword();
        match keyword {
            Keyword::None => return self.name_primary(),
            Keyword::Null => {
                self.advance();
                return Ok(literal(Literal::Null));
            }
            Keyword::True | Keyword::False => {
                self.advance();
                return Ok(literal(Literal::Boolean(keyword == Keyword::True)));
            }
            Keyword::Case => return self.case(),
            Keyword::Exists if self.symbol_at(1, b'(') => {
                self.advance();
                let query = self.parenthesized_query()?;
                return Ok(Expression::new(start, ExpressionKind::Exists(Box::new(query))));
            }
            Keyword::Array => return self.array(),
            Keyword::Row if self.symbol_at(1, b'(') => {
                self.advance();
                self.expect_symbol(b'(')?;
                let fields = if self.at_symbol(b')') { Vec::new() } else { self.expression_list()? };
                self.expect_symbol(b')')?;
                return self.row_tail(start, fields, true);
            }
            Keyword::Grouping if self.symbol_at(1, b'(') => {
                self.advance();
                let arguments = self.parenthesized(Self::expression)?;
                return Ok(Expression::new(start, ExpressionKind::Grouping(arguments)));
            }
            Keyword::Default => {
                self.advance();
                return Ok(Expression::new(start, ExpressionKind::Default));
            }
            Keyword::Current if self.keyword_at(1) == Keyword::Of => {
                self.position += 2;
                let cursor = self.column_id()?;
                return Ok(Expression::new(start, ExpressionKind::CurrentOf(cursor)));
            }
            _ => {}
        }
        if let Some(expression) = self.special_function()? {
            return Ok(expression);
        }
        match keyword.category() {
            Category::Reserved => Err(self.syntax_error()),
            Category::ColumnName => match self.typed_literal()? {
                Some(expression) => Ok(expression),
                None => self.column_reference(),
            },
            _ => self.name_primary(),
        }
    }

    /// A name: a function call, a typed literal (`date '...'`), or a column.
    fn name_primary(&mut self) -> PgResult<Expression> {
        let start = self.start();
        // Is this a qualified name followed by `(` or a string?
        let mut after = 1;
        while self.symbol_at(after, b'.') && self.is_label(self.peek_at(after + 1)) {
            after += 2;
        }
        let qualified = after > 1;
        let names_function =
            if qualified { self.is_column_id(self.peek()) } else { self.is_type_function_name(self.peek()) };
        if names_function && self.symbol_at(after, b'(') {
            let name = self.function_name()?;
            return self.call_or_literal(name, start);
        }
        if names_function && self.is_string(self.peek_at(after)) && !self.at_unicode_escape_word() {
            let name = self.function_name()?;
            return self.literal_of(generic_type(name, start), start);
        }
        self.column_reference()
    }

    /// A Unicode name's UESCAPE stands before a string: not a typed literal.
    fn at_unicode_escape_word(&self) -> bool {
        self.kind() == TokenKind::UnicodeWord && self.keyword_at(1) == Keyword::Uescape
    }

    /// `type 'string'` once the type is known.
    pub(super) fn literal_of(&mut self, type_name: TypeName, start: u32) -> PgResult<Expression> {
        let at = self.start();
        let value = Expression::string(at, self.string()?);
        Ok(Expression::new(start, ExpressionKind::Cast(Box::new(value), Box::new(type_name))))
    }

    /// columnref.
    fn column_reference(&mut self) -> PgResult<Expression> {
        let start = self.start();
        let mut names = vec![self.column_id()?];
        while self.at_symbol(b'.') {
            self.advance();
            if self.eat_symbol(b'*') {
                return Ok(Expression::new(start, ExpressionKind::Wildcard(names)));
            }
            names.push(self.label()?);
        }
        let column = Expression::new(start, ExpressionKind::Column(names));
        self.indirection(column)
    }

    // --- CASE, ARRAY.

    fn case(&mut self) -> PgResult<Expression> {
        let start = self.start();
        self.expect(Keyword::Case)?;
        let operand = if self.at(Keyword::When) { None } else { Some(self.expression()?) };
        let mut arms = Vec::new();
        while self.at(Keyword::When) {
            let position = self.start();
            self.advance();
            let condition = self.expression()?;
            self.expect(Keyword::Then)?;
            let result = self.expression()?;
            arms.push(CaseArm { condition, result, position });
        }
        if arms.is_empty() {
            return Err(self.syntax_error());
        }
        let otherwise = if self.eat(Keyword::Else) { Some(self.expression()?) } else { None };
        self.expect(Keyword::End)?;
        let case = Case { operand, arms, otherwise };
        Ok(Expression::new(start, ExpressionKind::Case(Box::new(case))))
    }

    /// ARRAY[...] or ARRAY(query).
    fn array(&mut self) -> PgResult<Expression> {
        let start = self.start();
        self.expect(Keyword::Array)?;
        if self.at_symbol(b'(') {
            let query = self.parenthesized_query()?;
            return Ok(Expression::new(start, ExpressionKind::ArraySubquery(Box::new(query))));
        }
        let array = self.array_elements(start)?;
        self.indirection(array)
    }

    /// `[a, b]`, where the elements may be bare `[...]` themselves.
    fn array_elements(&mut self, start: u32) -> PgResult<Expression> {
        self.nest(|parser| {
            parser.expect_symbol(b'[')?;
            let mut elements = Vec::new();
            if !parser.at_symbol(b']') {
                elements = parser.list(|parser| {
                    let at = parser.start();
                    if parser.at_symbol(b'[') { parser.array_elements(at) } else { parser.expression() }
                })?;
            }
            parser.expect_symbol(b']')?;
            Ok(Expression::new(start, ExpressionKind::Array(elements)))
        })
    }
}

/// A type that is not spelled by the grammar itself.
pub(super) fn generic_type(name: ObjectName, position: u32) -> TypeName {
    TypeName {
        name,
        position,
        system: false,
        modifiers: Vec::new(),
        interval_fields: None,
        array_bounds: Vec::new(),
        set_of: false,
        percent_type: false,
    }
}
