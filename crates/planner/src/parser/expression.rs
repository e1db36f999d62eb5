//! Expressions by precedence climbing.
//!
//! PostgreSQL's chapter 4.1.6, loosest first, with the level each has here:
//!
//! | level | operators | associates |
//! | --- | --- | --- |
//! | [`OR`] | `OR` | left |
//! | [`AND`] | `AND` | left |
//! | [`NOT`] | `NOT` | right |
//! | [`IS`] | `IS`, `ISNULL`, `NOTNULL` | not |
//! | [`COMPARISON`] | `<` `>` `=` `<=` `>=` `<>` | not |
//! | [`MATCH`] | `BETWEEN` `IN` `LIKE` `ILIKE` `SIMILAR` | not |
//! | [`OPERATOR`] | every other operator, infix and prefix | left |
//! | [`ADDITION`] | `+` `-` | left |
//! | [`MULTIPLICATION`] | `*` `/` `%` | left |
//! | [`POWER`] | `^` | left |
//! | [`ZONE`] | `AT TIME ZONE` | left |
//! | [`COLLATE`] | `COLLATE` | left |
//! | [`SIGN`] | unary `+` `-` | right |
//! | [`POSTFIX`] | `[ ]`, `::`, `.` | left |
//!
//! "Not" means that two in a row are a syntax error, if the first one *ends* in an operand (`a < b < c`; but `a IS NULL IS
//! NULL` is fine). `b_expr` (the bounds of BETWEEN, a column's DEFAULT) is the same climb without the looser operators:
//! [`Grammar::Restricted`].

use super::Parser;
use super::keywords::Keyword;
use super::lexer::TokenKind;
use crate::ast::*;
use std::borrow::Cow;
use types::PgResult;

pub(super) const OR: u8 = 1;
pub(super) const AND: u8 = 2;
pub(super) const NOT: u8 = 3;
pub(super) const IS: u8 = 4;
pub(super) const COMPARISON: u8 = 5;
pub(super) const MATCH: u8 = 6;
pub(super) const OPERATOR: u8 = 8;
pub(super) const ADDITION: u8 = 9;
pub(super) const MULTIPLICATION: u8 = 10;
pub(super) const POWER: u8 = 11;
pub(super) const ZONE: u8 = 12;
pub(super) const COLLATE: u8 = 13;
pub(super) const SIGN: u8 = 14;
pub(super) const POSTFIX: u8 = 15;

/// `a_expr` or `b_expr`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    Full,
    Restricted,
}

/// What the loop found after an operand.
enum Infix {
    Or,
    And,
    Is,
    IsNull(bool),
    /// A symbol or operator at its level.
    Operator(u8),
    /// BETWEEN, IN, LIKE ...; true with NOT before it.
    Match(bool),
    Zone,
    Collate,
    Cast,
}

impl Infix {
    fn level(&self) -> u8 {
        match self {
            Infix::Or => OR,
            Infix::And => AND,
            Infix::Is | Infix::IsNull(_) => IS,
            Infix::Operator(level) => *level,
            Infix::Match(_) => MATCH,
            Infix::Zone => ZONE,
            Infix::Collate => COLLATE,
            Infix::Cast => POSTFIX,
        }
    }
}

/// Did the construct just parsed end in an operand, so that one of its own level must not follow?
type EndsOpen = bool;

impl Parser<'_> {
    /// a_expr.
    pub(super) fn expression(&mut self) -> PgResult<Expression> {
        self.climb(0, Grammar::Full)
    }

    /// b_expr.
    pub(super) fn restricted_expression(&mut self) -> PgResult<Expression> {
        self.climb(COMPARISON, Grammar::Restricted)
    }

    pub(super) fn expression_list(&mut self) -> PgResult<Vec<Expression>> {
        self.list(Self::expression)
    }

    /// An expression whose operators are all at `minimum` or tighter.
    pub(super) fn climb(&mut self, minimum: u8, grammar: Grammar) -> PgResult<Expression> {
        self.nest(|parser| {
            let left = parser.prefix(grammar)?;
            parser.climb_on(left, minimum, grammar)
        })
    }

    /// Goes on after an operand that is there already.
    pub(super) fn climb_on(
        &mut self,
        mut left: Expression,
        minimum: u8,
        grammar: Grammar,
    ) -> PgResult<Expression> {
        // The level at which a construct of the same level must not follow.
        let mut barred = u8::MAX;
        while let Some(infix) = self.infix(grammar) {
            let level = infix.level();
            if level < minimum {
                break;
            }
            if level == barred {
                return Err(self.syntax_error());
            }
            let lengthens = matches!(
                (&infix, &left.kind),
                (Infix::And, ExpressionKind::And(_)) | (Infix::Or, ExpressionKind::Or(_))
            );
            if !lengthens {
                self.grow()?;
            }
            let (node, ends_open) = self.infix_node(left, infix, grammar)?;
            left = node;
            barred = if ends_open { level } else { u8::MAX };
        }
        Ok(left)
    }

    fn prefix(&mut self, grammar: Grammar) -> PgResult<Expression> {
        let start = self.start();
        match self.kind() {
            TokenKind::Symbol(sign @ (b'+' | b'-')) => {
                self.advance();
                let operand = self.climb(SIGN, grammar)?;
                let name = if sign == b'-' { "-" } else { "+" };
                Ok(signed(start, name, operand))
            }
            TokenKind::Operator => {
                let operator = self.operator_token();
                let operand = self.climb(OPERATOR + 1, grammar)?;
                Ok(Expression::new(start, ExpressionKind::Unary(operator, Box::new(operand))))
            }
            TokenKind::Word if self.at(Keyword::Operator) && self.symbol_at(1, b'(') => {
                let operator = self.qualified_operator()?;
                let operand = self.climb(OPERATOR + 1, grammar)?;
                Ok(Expression::new(start, ExpressionKind::Unary(operator, Box::new(operand))))
            }
            TokenKind::Word if self.at(Keyword::Not) && grammar == Grammar::Full => {
                self.advance();
                let operand = self.climb(NOT, grammar)?;
                Ok(Expression::new(start, ExpressionKind::Not(Box::new(operand))))
            }
            _ => self.primary(),
        }
    }

    /// The infix or postfix operator that follows, not taken yet.
    fn infix(&self, grammar: Grammar) -> Option<Infix> {
        let token = self.peek();
        match token.kind {
            TokenKind::Symbol(b'+' | b'-') => return Some(Infix::Operator(ADDITION)),
            TokenKind::Symbol(b'*' | b'/' | b'%') => return Some(Infix::Operator(MULTIPLICATION)),
            TokenKind::Symbol(b'^') => return Some(Infix::Operator(POWER)),
            TokenKind::Symbol(b'<' | b'>' | b'=')
            | TokenKind::LessEquals
            | TokenKind::GreaterEquals
            | TokenKind::NotEquals => return Some(Infix::Operator(COMPARISON)),
            TokenKind::Operator => return Some(Infix::Operator(OPERATOR)),
            TokenKind::DoubleColon => return Some(Infix::Cast),
            TokenKind::Word => {}
            _ => return None,
        }
        let matching = |offset: usize| match self.keyword_at(offset) {
            Keyword::Similar => self.keyword_at(offset + 1) == Keyword::To,
            keyword => matches!(keyword, Keyword::Between | Keyword::In | Keyword::Like | Keyword::Ilike),
        };
        match token.keyword {
            Keyword::Operator if self.symbol_at(1, b'(') => Some(Infix::Operator(OPERATOR)),
            Keyword::Is if grammar == Grammar::Full => Some(Infix::Is),
            Keyword::Is if self.is_distinct_follows() => Some(Infix::Is),
            _ if grammar == Grammar::Restricted => None,
            Keyword::Or => Some(Infix::Or),
            Keyword::And => Some(Infix::And),
            Keyword::Isnull => Some(Infix::IsNull(false)),
            Keyword::Notnull => Some(Infix::IsNull(true)),
            Keyword::Not if matching(1) => Some(Infix::Match(true)),
            Keyword::Collate => Some(Infix::Collate),
            Keyword::At if self.keyword_at(1) == Keyword::Time => Some(Infix::Zone),
            _ if matching(0) => Some(Infix::Match(false)),
            _ => None,
        }
    }

    fn is_distinct_follows(&self) -> bool {
        let after = if self.keyword_at(1) == Keyword::Not { 2 } else { 1 };
        matches!(self.keyword_at(after), Keyword::Distinct | Keyword::Document)
    }

    fn infix_node(
        &mut self,
        left: Expression,
        infix: Infix,
        grammar: Grammar,
    ) -> PgResult<(Expression, EndsOpen)> {
        let start = self.start();
        let node = |kind| Expression::new(start, kind);
        Ok(match infix {
            Infix::Or => {
                self.advance();
                let right = self.climb(AND, grammar)?;
                (Expression::new(start, chain(left, right, false)), false)
            }
            Infix::And => {
                self.advance();
                let right = self.climb(NOT, grammar)?;
                (Expression::new(start, chain(left, right, true)), false)
            }
            Infix::Is => return self.is_test(left, grammar),
            Infix::IsNull(negated) => {
                self.advance();
                (node(ExpressionKind::IsNull { operand: Box::new(left), negated }), false)
            }
            Infix::Operator(level) => return self.operation(left, level, grammar),
            Infix::Match(negated) => return self.match_test(left, negated),
            Infix::Zone => {
                self.advance();
                self.expect_all(&[Keyword::Time, Keyword::Zone])?;
                let zone = self.climb(ZONE + 1, grammar)?;
                let call = FunctionCall::special("timezone", start, vec![zone, left]);
                (node(ExpressionKind::Function(Box::new(call))), false)
            }
            Infix::Collate => {
                self.advance();
                let collation = self.object_name()?;
                (node(ExpressionKind::Collate(Box::new(left), collation)), false)
            }
            Infix::Cast => {
                self.advance();
                let target = self.type_name()?;
                (node(ExpressionKind::Cast(Box::new(left), Box::new(target))), false)
            }
        })
    }

    /// `IS ...`, at IS.
    fn is_test(&mut self, left: Expression, grammar: Grammar) -> PgResult<(Expression, EndsOpen)> {
        let start = self.start();
        self.advance();
        let negated = self.eat(Keyword::Not);
        let operand = Box::new(left);
        let truth = |operand, truth| ExpressionKind::IsTruth { operand, truth, negated };
        let kind = match self.keyword() {
            Keyword::Distinct => {
                self.advance();
                self.expect(Keyword::From)?;
                let right = Box::new(self.climb(IS + 1, grammar)?);
                let kind = ExpressionKind::IsDistinct { left: operand, right, negated };
                return Ok((Expression::new(start, kind), true));
            }
            Keyword::Document => return Err(types::PgError::unsupported("IS DOCUMENT").at(start)),
            _ if grammar == Grammar::Restricted => return Err(self.syntax_error()),
            Keyword::Null => ExpressionKind::IsNull { operand, negated },
            Keyword::True => truth(operand, Truth::True),
            Keyword::False => truth(operand, Truth::False),
            Keyword::Unknown => truth(operand, Truth::Unknown),
            Keyword::Normalized => ExpressionKind::IsNormalized { operand, form: "NFC", negated },
            Keyword::Nfc | Keyword::Nfd | Keyword::Nfkc | Keyword::Nfkd
                if self.keyword_at(1) == Keyword::Normalized =>
            {
                let form = normal_form(self.keyword());
                self.advance();
                ExpressionKind::IsNormalized { operand, form, negated }
            }
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok((Expression::new(start, kind), false))
    }

    /// An infix operator, or one with ANY, ALL, SOME.
    fn operation(
        &mut self,
        left: Expression,
        level: u8,
        grammar: Grammar,
    ) -> PgResult<(Expression, EndsOpen)> {
        let start = self.start();
        let operator = self.any_operator()?;
        if grammar == Grammar::Full && self.at_quantifier() {
            return Ok((self.quantified(start, left, operator)?, false));
        }
        let right = self.climb(level + 1, grammar)?;
        let node = ExpressionKind::Binary(operator, Box::new(left), Box::new(right));
        Ok((Expression::new(start, node), level == COMPARISON))
    }

    fn at_quantifier(&self) -> bool {
        matches!(self.keyword(), Keyword::Any | Keyword::All | Keyword::Some) && self.symbol_at(1, b'(')
    }

    /// `ANY (...)` after the operator.
    fn quantified(&mut self, position: u32, left: Expression, operator: Operator) -> PgResult<Expression> {
        let quantifier = if self.at(Keyword::All) { Quantifier::All } else { Quantifier::Any };
        self.advance();
        let right = match self.parenthesized_content()? {
            super::primary::Parenthesized::Query(query) => QuantifiedOperand::Query(Box::new(query)),
            super::primary::Parenthesized::Expressions(mut list) if list.len() == 1 => {
                QuantifiedOperand::Array(list.remove(0))
            }
            super::primary::Parenthesized::Expressions(_) => return Err(self.syntax_error()),
        };
        let quantified = Quantified { left, operator, quantifier, right };
        Ok(Expression::new(position, ExpressionKind::Quantified(Box::new(quantified))))
    }

    /// BETWEEN, IN, LIKE, ILIKE, SIMILAR TO, at the word or its NOT.
    fn match_test(&mut self, left: Expression, negated: bool) -> PgResult<(Expression, EndsOpen)> {
        let start = self.start();
        if negated {
            self.advance();
        }
        let keyword = self.advance().keyword;
        let kind = match keyword {
            Keyword::Between => {
                let symmetric = self.eat(Keyword::Symmetric);
                if !symmetric {
                    self.eat(Keyword::Asymmetric);
                }
                let low = self.restricted_expression()?;
                self.expect(Keyword::And)?;
                let high = self.climb(MATCH + 1, Grammar::Full)?;
                ExpressionKind::Between(Box::new(Between { operand: left, low, high, symmetric, negated }))
            }
            Keyword::In => {
                let operand = Box::new(left);
                let kind = match self.parenthesized_content()? {
                    super::primary::Parenthesized::Query(query) => {
                        ExpressionKind::InQuery { operand, query: Box::new(query), negated }
                    }
                    super::primary::Parenthesized::Expressions(list) => {
                        ExpressionKind::InList { operand, list, negated }
                    }
                };
                return Ok((Expression::new(start, kind), false));
            }
            Keyword::Similar => {
                self.expect(Keyword::To)?;
                return self.like(start, left, LikeKind::SimilarTo, negated);
            }
            Keyword::Like => return self.like(start, left, LikeKind::Like, negated),
            Keyword::Ilike => return self.like(start, left, LikeKind::ILike, negated),
            _ => return Err(self.syntax_error()),
        };
        Ok((Expression::new(start, kind), true))
    }

    fn like(
        &mut self,
        start: u32,
        left: Expression,
        kind: LikeKind,
        negated: bool,
    ) -> PgResult<(Expression, EndsOpen)> {
        if kind != LikeKind::SimilarTo && self.at_quantifier() {
            let name = match (kind, negated) {
                (LikeKind::Like, false) => "~~",
                (LikeKind::Like, true) => "!~~",
                (_, false) => "~~*",
                (_, true) => "!~~*",
            };
            return Ok((self.quantified(start, left, Operator::plain(name))?, false));
        }
        let pattern = self.climb(MATCH + 1, Grammar::Full)?;
        let escape = match self.eat(Keyword::Escape) {
            true => Some(self.climb(MATCH + 1, Grammar::Full)?),
            false => None,
        };
        let like = Like { kind, operand: left, pattern, escape, negated };
        Ok((Expression::new(start, ExpressionKind::Like(Box::new(like))), true))
    }

    // --- Operators.

    /// The current symbol or operator token as an operator.
    fn operator_token(&mut self) -> Operator {
        let token = self.advance();
        let text = self.token_text(token);
        let known = KNOWN_OPERATORS.iter().find(|known| **known == text);
        let name = match (token.kind, known) {
            (TokenKind::NotEquals, _) => Cow::Borrowed("<>"),
            (_, Some(known)) => Cow::Borrowed(*known),
            (_, None) => Cow::Owned(text.to_string()),
        };
        Operator { schema: None, name }
    }

    pub(super) fn at_operator(&self) -> bool {
        matches!(
            self.kind(),
            TokenKind::Operator
                | TokenKind::LessEquals
                | TokenKind::GreaterEquals
                | TokenKind::NotEquals
                | TokenKind::Symbol(b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'<' | b'>' | b'=')
        )
    }

    /// qual_all_Op: an operator, or OPERATOR(schema.name).
    pub(super) fn any_operator(&mut self) -> PgResult<Operator> {
        if self.at(Keyword::Operator) {
            return self.qualified_operator();
        }
        if self.at_operator() { Ok(self.operator_token()) } else { Err(self.syntax_error()) }
    }

    fn qualified_operator(&mut self) -> PgResult<Operator> {
        self.expect(Keyword::Operator)?;
        self.expect_symbol(b'(')?;
        let operator = self.schema_operator()?;
        self.expect_symbol(b')')?;
        Ok(operator)
    }

    /// any_operator: `schema.+` or `+`.
    pub(super) fn schema_operator(&mut self) -> PgResult<Operator> {
        let mut schema = None;
        while self.is_column_id(self.peek()) {
            schema = Some(self.take_name()?.name);
            self.expect_symbol(b'.')?;
        }
        if !self.at_operator() {
            return Err(self.syntax_error());
        }
        Ok(Operator { schema, ..self.operator_token() })
    }
}

/// Operators whose names need no allocation.
const KNOWN_OPERATORS: &[&str] = &[
    "=", "<", ">", "<=", ">=", "<>", "+", "-", "*", "/", "%", "^", "||", "->", "->>", "#>", "#>>", "@>",
    "<@", "&&", "~", "~*", "!~", "!~*", "~~", "!~~", "~~*", "!~~*", "|", "&", "#", "<<", ">>", "?", "?|",
    "?&", "@", "|/", "||/", "!!",
];

/// A sign before an operand; a number takes a minus into itself, so that -2147483648 is an integer.
fn signed(position: u32, name: &'static str, operand: Expression) -> Expression {
    if name == "-" {
        match operand.kind {
            ExpressionKind::Literal(Literal::Integer(value)) => {
                return Expression::new(position, ExpressionKind::Literal(Literal::Integer(-value)));
            }
            ExpressionKind::Literal(Literal::Number(text)) => {
                let text = match text.strip_prefix('-') {
                    Some(positive) => positive.into(),
                    None => format!("-{text}").into(),
                };
                return Expression::new(position, ExpressionKind::Literal(Literal::Number(text)));
            }
            _ => {}
        }
    }
    Expression::new(position, ExpressionKind::Unary(Operator::plain(name), Box::new(operand)))
}

/// AND and OR chains are flat.
fn chain(left: Expression, right: Expression, and: bool) -> ExpressionKind {
    let mut list = match left.kind {
        ExpressionKind::And(list) if and => list,
        ExpressionKind::Or(list) if !and => list,
        _ => vec![left],
    };
    list.push(right);
    if and { ExpressionKind::And(list) } else { ExpressionKind::Or(list) }
}

pub(super) fn normal_form(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::Nfd => "NFD",
        Keyword::Nfkc => "NFKC",
        Keyword::Nfkd => "NFKD",
        _ => "NFC",
    }
}
