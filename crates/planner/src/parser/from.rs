//! What stands in FROM: relations, subqueries, functions, joins.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult};

/// What stood in a pair of parentheses in FROM: `((SELECT 1) UNION SELECT 2)` or `((SELECT 1) x JOIN y ...)`.
enum Parenthesized {
    Query(Query),
    Join(TableExpression),
}

impl Parser<'_> {
    /// The comma-separated items of FROM or USING.
    pub(super) fn from_list(&mut self) -> PgResult<Vec<TableExpression>> {
        self.list(Self::table_reference)
    }

    /// table_ref: an item with all the joins that follow.
    pub(super) fn table_reference(&mut self) -> PgResult<TableExpression> {
        self.nest(|parser| {
            let first = parser.table_primary()?;
            parser.joins(first)
        })
    }

    fn joins(&mut self, mut left: TableExpression) -> PgResult<TableExpression> {
        while self.at_join() {
            self.grow()?;
            left = self.join(left)?;
        }
        Ok(left)
    }

    fn at_join(&self) -> bool {
        self.keyword().begins_join()
    }

    /// One join onto `left`. The right operand goes on while joins follow it without a condition: `a JOIN b JOIN c ON ... ON ...`.
    fn join(&mut self, left: TableExpression) -> PgResult<TableExpression> {
        let position = self.start();
        if self.eat(Keyword::Cross) {
            self.expect(Keyword::Join)?;
            let right = self.table_primary()?;
            let kind = JoinKind::Cross;
            return Ok(join_of(kind, left, right, JoinCondition::None, position));
        }
        let natural = self.eat(Keyword::Natural);
        let kind = match self.keyword() {
            Keyword::Left => JoinKind::Left,
            Keyword::Right => JoinKind::Right,
            Keyword::Full => JoinKind::Full,
            _ => JoinKind::Inner,
        };
        if kind != JoinKind::Inner {
            self.advance();
            self.eat(Keyword::Outer);
        } else {
            self.eat(Keyword::Inner);
        }
        self.expect(Keyword::Join)?;
        let mut right = self.table_primary()?;
        if natural {
            return Ok(join_of(kind, left, right, JoinCondition::Natural, position));
        }
        while self.at_join() {
            right = self.nest(|parser| parser.join(right))?;
        }
        let condition = if self.eat(Keyword::Using) {
            let columns = self.column_list()?;
            let with_alias = !self.at_as_of() && self.eat(Keyword::As);
            let alias = if with_alias { Some(self.column_id()?) } else { None };
            JoinCondition::Using(columns, alias)
        } else {
            self.expect(Keyword::On)?;
            JoinCondition::On(self.expression()?)
        };
        Ok(join_of(kind, left, right, condition, position))
    }

    fn table_primary(&mut self) -> PgResult<TableExpression> {
        let position = self.start();
        let lateral = self.eat(Keyword::Lateral);
        if self.at_symbol(b'(') {
            return match self.parenthesized_table()? {
                Parenthesized::Query(query) => self.derived_table(query, lateral, position),
                Parenthesized::Join(_) if lateral => Err(self.syntax_error()),
                Parenthesized::Join(table) => self.aliased_join(table),
            };
        }
        if self.at_all(&[Keyword::Rows, Keyword::From]) && self.symbol_at(2, b'(') {
            return self.rows_from(lateral, position);
        }
        if self.at(Keyword::Xmltable) && self.symbol_at(1, b'(') {
            return Err(PgError::unsupported("XMLTABLE").at(position));
        }
        if self.at_function() {
            let call = self.from_function()?;
            return self.table_function(
                vec![TableFunctionItem { call, columns: Vec::new() }],
                lateral,
                position,
            );
        }
        if lateral {
            return Err(self.syntax_error());
        }
        let mut relation = self.relation()?;
        relation.alias = self.alias()?;
        if self.eat(Keyword::Tablesample) {
            relation.sample = Some(self.sample()?);
        }
        Ok(TableExpression::Relation(Box::new(relation)))
    }

    /// A name, qualified or not, before `(`; or a function that the grammar spells.
    fn at_function(&self) -> bool {
        let spelled = matches!(
            self.keyword(),
            Keyword::CurrentDate
                | Keyword::CurrentTime
                | Keyword::CurrentTimestamp
                | Keyword::Localtime
                | Keyword::Localtimestamp
                | Keyword::CurrentRole
                | Keyword::CurrentUser
                | Keyword::SessionUser
                | Keyword::User
                | Keyword::CurrentCatalog
                | Keyword::CurrentSchema
        );
        if spelled {
            return true;
        }
        if self.at_all(&[Keyword::Collation, Keyword::For]) && self.symbol_at(2, b'(') {
            return true;
        }
        let mut after = 1;
        while self.symbol_at(after, b'.') && self.is_label(self.peek_at(after + 1)) {
            after += 2;
        }
        self.symbol_at(after, b'(') && (self.is_non_reserved(self.peek()) || self.at(Keyword::Cast))
    }

    /// func_expr_windowless.
    fn from_function(&mut self) -> PgResult<Expression> {
        let start = self.start();
        if let Some(expression) = self.special_function()? {
            return Ok(expression);
        }
        let name = self.function_name()?;
        let call = self.call(name, start)?;
        Ok(Expression::new(start, ExpressionKind::Function(Box::new(call))))
    }

    fn rows_from(&mut self, lateral: bool, position: u32) -> PgResult<TableExpression> {
        self.position += 2;
        let functions = self.parenthesized(|parser| {
            let call = parser.from_function()?;
            let mut columns = Vec::new();
            if parser.eat(Keyword::As) {
                columns = parser.parenthesized(Self::named_type)?;
            }
            Ok(TableFunctionItem { call, columns })
        })?;
        let table = self.table_function(functions, lateral, position)?;
        Ok(match table {
            TableExpression::Function(mut function) => {
                function.rows_from = true;
                TableExpression::Function(function)
            }
            other => other,
        })
    }

    /// WITH ORDINALITY and the alias, which may define columns with types.
    fn table_function(
        &mut self,
        mut functions: Vec<TableFunctionItem>,
        lateral: bool,
        position: u32,
    ) -> PgResult<TableExpression> {
        let ordinality = self.eat_all(&[Keyword::With, Keyword::Ordinality]);
        let mut alias = None;
        let with_as = !self.at_as_of() && self.eat(Keyword::As);
        if with_as && self.at_symbol(b'(') {
            functions[0].columns = self.parenthesized(Self::named_type)?;
        } else if with_as || self.is_column_id(self.peek()) {
            let name = self.column_id()?;
            let mut columns = Vec::new();
            if self.at_symbol(b'(') {
                // `(a, b)` names columns, `(a int, b text)` defines them.
                let named = matches!(
                    self.peek_at(2).kind,
                    super::lexer::TokenKind::Symbol(b',') | super::lexer::TokenKind::Symbol(b')')
                );
                if named {
                    columns = self.column_list()?;
                } else {
                    functions[0].columns = self.parenthesized(Self::named_type)?;
                }
            }
            alias = Some(Alias { name, columns });
        }
        let function = TableFunction { lateral, functions, rows_from: false, ordinality, alias, position };
        Ok(TableExpression::Function(Box::new(function)))
    }

    fn derived_table(&mut self, query: Query, lateral: bool, position: u32) -> PgResult<TableExpression> {
        let alias = self.alias()?;
        Ok(TableExpression::Subquery { lateral, query: Box::new(query), alias, position })
    }

    /// `(a JOIN b ON ...) AS x`.
    fn aliased_join(&mut self, table: TableExpression) -> PgResult<TableExpression> {
        let Some(alias) = self.alias()? else { return Ok(table) };
        match table {
            TableExpression::Join(mut join) if join.alias.is_none() => {
                join.alias = Some(alias);
                Ok(TableExpression::Join(join))
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// At `(`: everything up to its `)`. Parsed once; what it was is known afterwards.
    fn parenthesized_table(&mut self) -> PgResult<Parenthesized> {
        let position = self.start();
        self.expect_symbol(b'(')?;
        self.nest(|parser| {
            if parser.at_query_start() {
                let query = parser.query()?;
                parser.expect_symbol(b')')?;
                return Ok(Parenthesized::Query(query));
            }
            let first = if parser.at_symbol(b'(') {
                match parser.parenthesized_table()? {
                    Parenthesized::Query(query) => {
                        if parser.at_query_continuation() {
                            let query = parser.query_after(query)?;
                            parser.expect_symbol(b')')?;
                            return Ok(Parenthesized::Query(query));
                        }
                        if parser.eat_symbol(b')') {
                            return Ok(Parenthesized::Query(query));
                        }
                        parser.derived_table(query, false, position + 1)?
                    }
                    Parenthesized::Join(table) => parser.aliased_join(table)?,
                }
            } else {
                parser.table_primary()?
            };
            let was_join = matches!(first, TableExpression::Join(_));
            let table = parser.joins(first)?;
            // Parentheses are for joins only.
            if !was_join && !matches!(table, TableExpression::Join(_)) {
                return Err(parser.syntax_error());
            }
            parser.expect_symbol(b')')?;
            Ok(Parenthesized::Join(table))
        })
    }

    /// `[AS] name [(columns)]`.
    pub(super) fn alias(&mut self) -> PgResult<Option<Alias>> {
        if self.at_as_of() {
            return Ok(None);
        }
        if !self.eat(Keyword::As) && !self.is_column_id(self.peek()) {
            return Ok(None);
        }
        let name = self.column_id()?;
        Ok(Some(Alias { name, columns: self.optional_column_list()? }))
    }

    fn sample(&mut self) -> PgResult<Sample> {
        let method = self.function_name()?;
        let arguments = self.parenthesized(Self::expression)?;
        let mut repeatable = None;
        if self.eat(Keyword::Repeatable) {
            self.expect_symbol(b'(')?;
            repeatable = Some(self.expression()?);
            self.expect_symbol(b')')?;
        }
        Ok(Sample { method, arguments, repeatable })
    }
}

fn join_of(
    kind: JoinKind,
    left: TableExpression,
    right: TableExpression,
    condition: JoinCondition,
    position: u32,
) -> TableExpression {
    TableExpression::Join(Box::new(Join { kind, left, right, condition, alias: None, position }))
}
