//! Function calls, and the functions with a syntax of their own.

use super::Parser;
use super::expression::normal_form;
use super::keywords::Keyword;
use super::primary::generic_type;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl FunctionCall {
    pub(super) fn new(name: ObjectName, position: u32) -> Self {
        FunctionCall {
            name,
            position,
            arguments: Vec::new(),
            star: false,
            distinct: false,
            variadic: false,
            order_by: Vec::new(),
            within_group: false,
            filter: None,
            over: None,
            special_syntax: false,
        }
    }

    /// A function of pg_catalog that the grammar calls by itself.
    pub(super) fn special(name: &str, position: u32, arguments: Vec<Expression>) -> Self {
        let mut call = FunctionCall::new(ObjectName::single(Identifier::new(name, position)), position);
        call.arguments = arguments.into_iter().map(Argument::from).collect();
        call.special_syntax = true;
        call
    }
}

/// Forms of SQL that only the XML types have.
const XML: &[Keyword] = &[
    Keyword::Xmlconcat,
    Keyword::Xmlelement,
    Keyword::Xmlexists,
    Keyword::Xmlforest,
    Keyword::Xmlparse,
    Keyword::Xmlpi,
    Keyword::Xmlroot,
    Keyword::Xmlserialize,
];

impl Parser<'_> {
    /// `name(...)`, at `(`: a call, or a literal of a type with modifiers (`mytype(3) 'x'`).
    pub(super) fn call_or_literal(&mut self, name: ObjectName, start: u32) -> PgResult<Expression> {
        let mut call = self.call(name, start)?;
        let plain =
            !call.star && !call.distinct && !call.variadic && !call.within_group && call.order_by.is_empty();
        if plain
            && self.is_string(self.peek())
            && call.arguments.iter().all(|argument| argument.name.is_none())
        {
            let mut type_name = generic_type(call.name, start);
            type_name.modifiers = call.arguments.into_iter().map(|argument| argument.value).collect();
            return self.literal_of(type_name, start);
        }
        self.call_suffix(&mut call)?;
        let call = Expression::new(start, ExpressionKind::Function(Box::new(call)));
        self.indirection(call)
    }

    /// func_application, at `(`.
    pub(super) fn call(&mut self, name: ObjectName, start: u32) -> PgResult<FunctionCall> {
        let mut call = FunctionCall::new(name, start);
        self.expect_symbol(b'(')?;
        if self.eat_symbol(b')') {
            return Ok(call);
        }
        if self.at_symbol(b'*') && self.symbol_at(1, b')') {
            self.position += 2;
            call.star = true;
            return Ok(call);
        }
        if self.eat(Keyword::Distinct) {
            call.distinct = true;
        } else {
            self.eat(Keyword::All);
        }
        loop {
            if self.eat(Keyword::Variadic) {
                call.variadic = true;
            }
            call.arguments.push(self.argument()?);
            if call.variadic || !self.eat_symbol(b',') {
                break;
            }
        }
        if self.at(Keyword::Order) {
            call.order_by = self.order_by()?;
        }
        self.expect_symbol(b')')?;
        Ok(call)
    }

    fn argument(&mut self) -> PgResult<Argument> {
        let names = matches!(
            self.peek_at(1).kind,
            super::lexer::TokenKind::Arrow | super::lexer::TokenKind::ColonEquals
        );
        let name = if names && self.is_type_function_name(self.peek()) {
            let name = self.take_name()?;
            self.advance();
            Some(name)
        } else {
            None
        };
        Ok(Argument { name, value: self.expression()? })
    }

    /// WITHIN GROUP, FILTER, OVER.
    fn call_suffix(&mut self, call: &mut FunctionCall) -> PgResult<()> {
        if self.at_all(&[Keyword::Within, Keyword::Group]) {
            let at = self.start();
            self.position += 2;
            let refuse = |what: &str| {
                let message = format!("cannot use {what} with WITHIN GROUP");
                Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at))
            };
            if !call.order_by.is_empty() {
                return refuse("multiple ORDER BY clauses");
            }
            if call.distinct {
                return refuse("DISTINCT");
            }
            if call.variadic {
                return refuse("VARIADIC");
            }
            self.expect_symbol(b'(')?;
            call.order_by = self.order_by()?;
            call.within_group = true;
            self.expect_symbol(b')')?;
        }
        if self.at(Keyword::Filter) && self.symbol_at(1, b'(') {
            self.position += 2;
            self.expect(Keyword::Where)?;
            call.filter = Some(self.expression()?);
            self.expect_symbol(b')')?;
        }
        if self.eat(Keyword::Over) {
            call.over = Some(self.over()?);
        }
        Ok(())
    }

    /// Functions that the grammar spells out; `None` when the current word is none of them.
    pub(super) fn special_function(&mut self) -> PgResult<Option<Expression>> {
        let start = self.start();
        let keyword = self.keyword();
        if let Some(value) = self.session_value()? {
            return Ok(Some(value));
        }
        if keyword == Keyword::Collation && self.keyword_at(1) == Keyword::For && self.symbol_at(2, b'(') {
            self.position += 2;
            let arguments = self.parenthesized(Self::expression)?;
            return Ok(Some(special_call("pg_collation_for", start, arguments)));
        }
        if !self.symbol_at(1, b'(') {
            return Ok(None);
        }
        if XML.contains(&keyword) {
            return Err(PgError::unsupported(format!("the function {}", keyword.text())).at(start));
        }
        let parse: fn(&mut Self, u32) -> PgResult<ExpressionKind> = match keyword {
            Keyword::Coalesce => |parser, _| Ok(ExpressionKind::Coalesce(parser.expression_list()?)),
            Keyword::Greatest => |parser, _| Ok(ExpressionKind::Greatest(parser.expression_list()?)),
            Keyword::Least => |parser, _| Ok(ExpressionKind::Least(parser.expression_list()?)),
            Keyword::Nullif => Self::null_if,
            Keyword::Cast | Keyword::Treat => Self::cast,
            Keyword::Extract => Self::extract,
            Keyword::Normalize => Self::normalize,
            Keyword::Overlay => Self::overlay,
            Keyword::Position => Self::position_of,
            Keyword::Substring => Self::substring,
            Keyword::Trim => Self::trim,
            _ => return Ok(None),
        };
        self.position += 2;
        let kind = parse(self, start)?;
        self.expect_symbol(b')')?;
        let mut expression = Expression::new(start, kind);
        if let ExpressionKind::Function(call) = &mut expression.kind {
            self.call_suffix(call)?;
        }
        Ok(Some(self.indirection(expression)?))
    }

    fn null_if(&mut self, _: u32) -> PgResult<ExpressionKind> {
        let left = self.expression()?;
        self.expect_symbol(b',')?;
        Ok(ExpressionKind::NullIf(Box::new(left), Box::new(self.expression()?)))
    }

    fn cast(&mut self, _: u32) -> PgResult<ExpressionKind> {
        let operand = self.expression()?;
        self.expect(Keyword::As)?;
        Ok(ExpressionKind::Cast(Box::new(operand), Box::new(self.type_name()?)))
    }

    /// EXTRACT(field FROM source): the field is a word or a string.
    fn extract(&mut self, start: u32) -> PgResult<ExpressionKind> {
        let at = self.start();
        let field = if self.is_string(self.peek()) { self.string()? } else { self.label()?.name };
        self.expect(Keyword::From)?;
        let source = self.expression()?;
        Ok(special_kind("extract", start, vec![Expression::string(at, field), source]))
    }

    fn normalize(&mut self, start: u32) -> PgResult<ExpressionKind> {
        let mut arguments = vec![self.expression()?];
        if self.eat_symbol(b',') {
            let at = self.start();
            let form = match self.keyword() {
                keyword @ (Keyword::Nfc | Keyword::Nfd | Keyword::Nfkc | Keyword::Nfkd) => {
                    normal_form(keyword)
                }
                _ => return Err(self.syntax_error()),
            };
            self.advance();
            arguments.push(Expression::string(at, form));
        }
        Ok(special_kind("normalize", start, arguments))
    }

    /// OVERLAY(a PLACING b FROM c [FOR d]), or plain arguments.
    fn overlay(&mut self, start: u32) -> PgResult<ExpressionKind> {
        if self.at_symbol(b')') {
            return Ok(plain_kind("overlay", start, Vec::new()));
        }
        let first = self.expression()?;
        if !self.eat(Keyword::Placing) {
            return self.plain_arguments("overlay", start, first);
        }
        let mut arguments = vec![first, self.expression()?];
        self.expect(Keyword::From)?;
        arguments.push(self.expression()?);
        if self.eat(Keyword::For) {
            arguments.push(self.expression()?);
        }
        Ok(special_kind("overlay", start, arguments))
    }

    /// POSITION(a IN b): the function's arguments are the other way round.
    fn position_of(&mut self, start: u32) -> PgResult<ExpressionKind> {
        let needle = self.restricted_expression()?;
        self.expect(Keyword::In)?;
        let haystack = self.restricted_expression()?;
        Ok(special_kind("position", start, vec![haystack, needle]))
    }

    fn substring(&mut self, start: u32) -> PgResult<ExpressionKind> {
        if self.at_symbol(b')') {
            return Ok(plain_kind("substring", start, Vec::new()));
        }
        let first = self.expression()?;
        let integer =
            |position, value| Expression::new(position, ExpressionKind::Literal(Literal::Integer(value)));
        if self.eat(Keyword::From) {
            let from = self.expression()?;
            let mut arguments = vec![first, from];
            if self.eat(Keyword::For) {
                arguments.push(self.expression()?);
            }
            return Ok(special_kind("substring", start, arguments));
        }
        if self.at(Keyword::For) {
            let at = self.start();
            self.advance();
            let length = self.expression()?;
            if self.eat(Keyword::From) {
                let from = self.expression()?;
                return Ok(special_kind("substring", start, vec![first, from, length]));
            }
            // Without FROM the length must be an integer, lest it be taken for a pattern.
            let name = ObjectName::single(Identifier::new("int4", at));
            let target = TypeName { system: true, ..generic_type(name, at) };
            let length = Expression::new(at, ExpressionKind::Cast(Box::new(length), Box::new(target)));
            return Ok(special_kind("substring", start, vec![first, integer(at, 1), length]));
        }
        if self.eat(Keyword::Similar) {
            let pattern = self.expression()?;
            self.expect(Keyword::Escape)?;
            let escape = self.expression()?;
            return Ok(special_kind("substring", start, vec![first, pattern, escape]));
        }
        self.plain_arguments("substring", start, first)
    }

    /// TRIM([BOTH | LEADING | TRAILING] [characters] [FROM] text).
    fn trim(&mut self, start: u32) -> PgResult<ExpressionKind> {
        let name = match self.keyword() {
            Keyword::Leading => "ltrim",
            Keyword::Trailing => "rtrim",
            _ => "btrim",
        };
        if matches!(self.keyword(), Keyword::Leading | Keyword::Trailing | Keyword::Both) {
            self.advance();
        }
        if self.eat(Keyword::From) {
            return Ok(special_kind(name, start, self.expression_list()?));
        }
        let first = self.expression()?;
        if self.eat(Keyword::From) {
            let mut arguments = self.expression_list()?;
            arguments.push(first);
            return Ok(special_kind(name, start, arguments));
        }
        let mut arguments = vec![first];
        while self.eat_symbol(b',') {
            arguments.push(self.expression()?);
        }
        Ok(special_kind(name, start, arguments))
    }

    /// The rest of an ordinary argument list.
    fn plain_arguments(&mut self, name: &str, start: u32, first: Expression) -> PgResult<ExpressionKind> {
        let mut arguments = vec![first];
        while self.eat_symbol(b',') {
            arguments.push(self.expression()?);
        }
        Ok(plain_kind(name, start, arguments))
    }

    /// CURRENT_DATE and its like.
    fn session_value(&mut self) -> PgResult<Option<Expression>> {
        let start = self.start();
        let timed: Option<fn(Option<i32>) -> SessionValue> = match self.keyword() {
            Keyword::CurrentTime => Some(SessionValue::CurrentTime),
            Keyword::CurrentTimestamp => Some(SessionValue::CurrentTimestamp),
            Keyword::Localtime => Some(SessionValue::LocalTime),
            Keyword::Localtimestamp => Some(SessionValue::LocalTimestamp),
            _ => None,
        };
        let value = match (timed, self.keyword()) {
            (Some(timed), _) => {
                self.advance();
                let precision = match self.eat_symbol(b'(') {
                    true => {
                        let precision = self.integer()?;
                        self.expect_symbol(b')')?;
                        Some(precision)
                    }
                    false => None,
                };
                return Ok(Some(Expression::new(start, ExpressionKind::SessionValue(timed(precision)))));
            }
            (None, Keyword::CurrentDate) => SessionValue::CurrentDate,
            (None, Keyword::CurrentRole) => SessionValue::CurrentRole,
            (None, Keyword::CurrentUser) => SessionValue::CurrentUser,
            (None, Keyword::SessionUser) => SessionValue::SessionUser,
            (None, Keyword::User) => SessionValue::User,
            (None, Keyword::CurrentCatalog) => SessionValue::CurrentCatalog,
            // current_schema() is an ordinary function as well.
            (None, Keyword::CurrentSchema) if !self.symbol_at(1, b'(') => SessionValue::CurrentSchema,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Expression::new(start, ExpressionKind::SessionValue(value))))
    }
}

fn special_kind(name: &str, position: u32, arguments: Vec<Expression>) -> ExpressionKind {
    ExpressionKind::Function(Box::new(FunctionCall::special(name, position, arguments)))
}

fn special_call(name: &str, position: u32, arguments: Vec<Expression>) -> Expression {
    Expression::new(position, special_kind(name, position, arguments))
}

/// The key word used as an ordinary function name: looked up along the search path.
fn plain_kind(name: &str, position: u32, arguments: Vec<Expression>) -> ExpressionKind {
    let mut call = FunctionCall::special(name, position, arguments);
    call.special_syntax = false;
    ExpressionKind::Function(Box::new(call))
}
