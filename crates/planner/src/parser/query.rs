//! SELECT, VALUES, TABLE, set operations, WITH, and the clauses around them.

use super::Parser;
use super::keywords::Keyword;
use super::lexer::TokenKind;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

/// Set operators by how tightly they bind.
const UNION_LEVEL: u8 = 1;
const INTERSECT_LEVEL: u8 = 2;

impl Query {
    /// A query without outer clauses.
    fn plain(body: QueryBody, position: u32) -> Query {
        Query {
            with: None,
            body,
            order_by: Vec::new(),
            limit: None,
            with_ties: false,
            offset: None,
            locking: Vec::new(),
            position,
        }
    }
}

impl Parser<'_> {
    /// SelectStmt: with or without parentheses.
    pub(super) fn query(&mut self) -> PgResult<Query> {
        self.nest(|parser| {
            let with = parser.with()?;
            parser.query_with(with)
        })
    }

    /// After WITH, if there was one.
    pub(super) fn query_with(&mut self, with: Option<With>) -> PgResult<Query> {
        let first = self.set_operand()?;
        let mut query = self.query_after(first)?;
        if with.is_some() {
            if query.with.is_some() {
                let message = "multiple WITH clauses not allowed";
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(query.position));
            }
            query.with = with;
        }
        Ok(query)
    }

    /// Do the words go on with a query whose first operand is there?
    pub(super) fn at_query_continuation(&self) -> bool {
        matches!(
            self.keyword(),
            Keyword::Union
                | Keyword::Intersect
                | Keyword::Except
                | Keyword::Order
                | Keyword::Limit
                | Keyword::Offset
                | Keyword::Fetch
                | Keyword::For
        )
    }

    /// The rest of a query after its first operand.
    pub(super) fn query_after(&mut self, first: Query) -> PgResult<Query> {
        let mut query = self.set_operations(first, UNION_LEVEL)?;
        self.outer_clauses(&mut query)?;
        Ok(query)
    }

    fn set_operations(&mut self, mut left: Query, minimum: u8) -> PgResult<Query> {
        loop {
            let (operator, level) = match self.keyword() {
                Keyword::Union => (SetOperator::Union, UNION_LEVEL),
                Keyword::Except => (SetOperator::Except, UNION_LEVEL),
                Keyword::Intersect => (SetOperator::Intersect, INTERSECT_LEVEL),
                _ => return Ok(left),
            };
            if level < minimum {
                return Ok(left);
            }
            self.grow()?;
            let position = self.start();
            self.advance();
            let all = self.eat(Keyword::All);
            if !all {
                self.eat(Keyword::Distinct);
            }
            let right = self.set_operand()?;
            let right = self.set_operations(right, level + 1)?;
            let start = left.position;
            let operation = SetOperation { operator, all, left, right, position };
            left = Query::plain(QueryBody::SetOperation(Box::new(operation)), start);
        }
    }

    /// simple_select or a query in parentheses.
    fn set_operand(&mut self) -> PgResult<Query> {
        let start = self.start();
        match self.keyword() {
            Keyword::Select => {
                let select = self.nest(Self::select)?;
                Ok(Query::plain(QueryBody::Select(Box::new(select)), start))
            }
            Keyword::Values => {
                self.advance();
                let rows = self.list(|parser| parser.parenthesized(Self::expression))?;
                Ok(Query::plain(QueryBody::Values(rows), start))
            }
            Keyword::Table => {
                self.advance();
                let relation = self.relation()?;
                Ok(Query::plain(QueryBody::Select(Box::new(table_select(relation, start))), start))
            }
            _ if self.at_symbol(b'(') => self.parenthesized_query(),
            _ => Err(self.syntax_error()),
        }
    }

    // --- SELECT.

    fn select(&mut self) -> PgResult<Select> {
        let position = self.start();
        self.expect(Keyword::Select)?;
        let distinct = self.distinct()?;
        let items = self.select_items(distinct == Distinct::All)?;
        let start = self.start();
        let into = if self.eat(Keyword::Into) { Some(self.select_into(start)?) } else { None };
        let from = if self.eat(Keyword::From) { self.from_list()? } else { Vec::new() };
        let as_of = self.as_of_system_time()?;
        let filter = self.where_clause()?;
        let (group_by, group_distinct) = self.group_by()?;
        let having = if self.eat(Keyword::Having) { Some(self.expression()?) } else { None };
        let windows = self.window_clause()?;
        Ok(Select {
            distinct,
            items,
            into,
            from,
            as_of,
            filter,
            group_by,
            group_distinct,
            having,
            windows,
            position,
        })
    }

    fn distinct(&mut self) -> PgResult<Distinct> {
        if self.eat(Keyword::All) {
            return Ok(Distinct::All);
        }
        if !self.eat(Keyword::Distinct) {
            return Ok(Distinct::All);
        }
        if self.eat(Keyword::On) {
            return Ok(Distinct::On(self.parenthesized(Self::expression)?));
        }
        Ok(Distinct::Distinct)
    }

    /// The target list; may be missing altogether unless DISTINCT stands before it.
    fn select_items(&mut self, may_be_empty: bool) -> PgResult<Vec<SelectItem>> {
        let ends = matches!(
            self.keyword(),
            Keyword::From
                | Keyword::Into
                | Keyword::Where
                | Keyword::Group
                | Keyword::Having
                | Keyword::Window
                | Keyword::Union
                | Keyword::Intersect
                | Keyword::Except
                | Keyword::Order
                | Keyword::Limit
                | Keyword::Offset
                | Keyword::Fetch
                | Keyword::For
        ) || matches!(self.kind(), TokenKind::End | TokenKind::Symbol(b')' | b';'));
        if may_be_empty && ends {
            return Ok(Vec::new());
        }
        self.list(Self::select_item)
    }

    pub(super) fn select_item(&mut self) -> PgResult<SelectItem> {
        let start = self.start();
        if self.eat_symbol(b'*') {
            return Ok(SelectItem {
                expression: Expression::new(start, ExpressionKind::Wildcard(Vec::new())),
                alias: None,
            });
        }
        let expression = self.expression()?;
        let token = self.peek();
        let bare = match token.kind {
            TokenKind::Word => token.keyword.is_bare_label(),
            TokenKind::QuotedWord | TokenKind::UnicodeWord => true,
            _ => false,
        };
        let alias = if self.eat(Keyword::As) {
            Some(self.label()?)
        } else if bare {
            Some(self.take_name()?)
        } else {
            None
        };
        Ok(SelectItem { expression, alias })
    }

    fn select_into(&mut self, start: u32) -> PgResult<SelectInto> {
        let persistence = self.persistence();
        self.eat(Keyword::Table);
        let name = self.object_name()?;
        Ok(SelectInto { name, persistence, start, end: self.previous_end() })
    }

    /// TEMPORARY, UNLOGGED or nothing.
    pub(super) fn persistence(&mut self) -> Persistence {
        if matches!(self.keyword(), Keyword::Local | Keyword::Global)
            && matches!(self.keyword_at(1), Keyword::Temporary | Keyword::Temp)
        {
            self.advance();
        }
        if self.eat(Keyword::Temporary) || self.eat(Keyword::Temp) {
            return Persistence::Temporary;
        }
        if self.eat(Keyword::Unlogged) { Persistence::Unlogged } else { Persistence::Permanent }
    }

    /// AS OF SYSTEM TIME expression.
    pub(super) fn as_of_system_time(&mut self) -> PgResult<Option<Expression>> {
        if !self.at_as_of() {
            return Ok(None);
        }
        self.position += 3;
        self.expect(Keyword::Time)?;
        Ok(Some(self.expression()?))
    }

    pub(super) fn at_as_of(&self) -> bool {
        self.at_all(&[Keyword::As, Keyword::Of, Keyword::System])
    }

    pub(super) fn where_clause(&mut self) -> PgResult<Option<Expression>> {
        if self.eat(Keyword::Where) { Ok(Some(self.expression()?)) } else { Ok(None) }
    }

    fn group_by(&mut self) -> PgResult<(Vec<GroupItem>, bool)> {
        if !self.at_all(&[Keyword::Group, Keyword::By]) {
            return Ok((Vec::new(), false));
        }
        self.position += 2;
        let distinct = self.eat(Keyword::Distinct);
        if !distinct {
            self.eat(Keyword::All);
        }
        Ok((self.list(Self::group_item)?, distinct))
    }

    fn group_item(&mut self) -> PgResult<GroupItem> {
        let start = self.start();
        if self.at_symbol(b'(') && self.symbol_at(1, b')') {
            self.position += 2;
            return Ok(GroupItem::Empty);
        }
        if matches!(self.keyword(), Keyword::Rollup | Keyword::Cube) && self.symbol_at(1, b'(') {
            let rollup = self.advance().keyword == Keyword::Rollup;
            let list = self.parenthesized(Self::expression)?;
            return Ok(if rollup { GroupItem::Rollup(list, start) } else { GroupItem::Cube(list, start) });
        }
        if self.at_all(&[Keyword::Grouping, Keyword::Sets]) {
            self.position += 2;
            let sets = self.nest(|parser| parser.parenthesized(Self::group_item))?;
            return Ok(GroupItem::Sets(sets, start));
        }
        Ok(GroupItem::Expression(self.expression()?))
    }

    // --- ORDER BY, LIMIT, FOR.

    /// At ORDER.
    pub(super) fn order_by(&mut self) -> PgResult<Vec<OrderItem>> {
        self.expect_all(&[Keyword::Order, Keyword::By])?;
        self.list(|parser| {
            let expression = parser.expression()?;
            let direction = if parser.eat(Keyword::Using) {
                SortDirection::Using(parser.any_operator()?)
            } else {
                parser.direction()
            };
            Ok(OrderItem { expression, direction, nulls: parser.nulls_order()? })
        })
    }

    pub(super) fn direction(&mut self) -> SortDirection {
        if self.eat(Keyword::Asc) {
            SortDirection::Ascending
        } else if self.eat(Keyword::Desc) {
            SortDirection::Descending
        } else {
            SortDirection::Default
        }
    }

    pub(super) fn nulls_order(&mut self) -> PgResult<NullsOrder> {
        if !self.at(Keyword::Nulls) || !matches!(self.keyword_at(1), Keyword::First | Keyword::Last) {
            return Ok(NullsOrder::Default);
        }
        self.advance();
        Ok(if self.advance().keyword == Keyword::First { NullsOrder::First } else { NullsOrder::Last })
    }

    /// ORDER BY, then LIMIT, OFFSET, FETCH and FOR in any order. An inner query in parentheses without these takes them.
    fn outer_clauses(&mut self, query: &mut Query) -> PgResult<()> {
        let multiple = |what: &str, position: u32| {
            Err(PgError::new(SqlState::SYNTAX_ERROR, format!("multiple {what} clauses not allowed"))
                .at(position))
        };
        if self.at(Keyword::Order) {
            let start = self.start();
            if !query.order_by.is_empty() {
                return multiple("ORDER BY", start);
            }
            query.order_by = self.order_by()?;
        }
        loop {
            let start = self.start();
            match self.keyword() {
                Keyword::Limit => {
                    self.advance();
                    if query.limit.is_some() {
                        return multiple("LIMIT", start);
                    }
                    query.limit = self.limit_count()?;
                }
                Keyword::Fetch => {
                    if query.limit.is_some() {
                        return multiple("LIMIT", start);
                    }
                    self.fetch_first(query)?;
                }
                Keyword::Offset => {
                    self.advance();
                    if query.offset.is_some() {
                        return multiple("OFFSET", start);
                    }
                    query.offset = Some(self.expression()?);
                    self.eat_rows();
                }
                Keyword::For => {
                    if self.eat_all(&[Keyword::For, Keyword::Read, Keyword::Only]) {
                        continue;
                    }
                    let locking = self.locking()?;
                    query.locking.push(locking);
                }
                _ => break,
            }
        }
        if !query.with_ties {
            return Ok(());
        }
        let refuse = |message: &str| Err(PgError::new(SqlState::SYNTAX_ERROR, message));
        if query.order_by.is_empty() {
            return refuse("WITH TIES cannot be specified without ORDER BY clause");
        }
        if query.locking.iter().any(|locking| locking.wait == LockWait::Skip) {
            return refuse("SKIP LOCKED and WITH TIES options cannot be used together");
        }
        Ok(())
    }

    fn limit_count(&mut self) -> PgResult<Option<Expression>> {
        let start = self.start();
        if self.eat(Keyword::All) {
            return Ok(None);
        }
        let count = self.expression()?;
        if self.at_symbol(b',') {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                .hint("Use separate LIMIT and OFFSET clauses.")
                .at(start));
        }
        Ok(Some(count))
    }

    fn eat_rows(&mut self) -> bool {
        self.eat(Keyword::Rows) || self.eat(Keyword::Row)
    }

    /// FETCH FIRST n ROWS ONLY | WITH TIES.
    fn fetch_first(&mut self, query: &mut Query) -> PgResult<()> {
        let start = self.start();
        self.advance();
        if !self.eat(Keyword::First) {
            self.expect(Keyword::Next)?;
        }
        let one = Expression::new(start, ExpressionKind::Literal(Literal::Integer(1)));
        query.limit = Some(if matches!(self.keyword(), Keyword::Row | Keyword::Rows) {
            one
        } else if self.at_number() {
            let at = self.start();
            let text = self.signed_number()?;
            let literal = match text.parse() {
                Ok(value) => Literal::Integer(value),
                Err(_) => Literal::Number(text),
            };
            Expression::new(at, ExpressionKind::Literal(literal))
        } else {
            self.primary()?
        });
        if !self.eat_rows() {
            return Err(self.syntax_error());
        }
        if self.eat(Keyword::Only) {
            return Ok(());
        }
        self.expect_all(&[Keyword::With, Keyword::Ties])?;
        query.with_ties = true;
        Ok(())
    }

    fn locking(&mut self) -> PgResult<Locking> {
        let position = self.start();
        self.expect(Keyword::For)?;
        let strength = match self.advance().keyword {
            Keyword::Update => LockStrength::Update,
            Keyword::Share => LockStrength::Share,
            Keyword::No => {
                self.expect_all(&[Keyword::Key, Keyword::Update])?;
                LockStrength::NoKeyUpdate
            }
            Keyword::Key => {
                self.expect(Keyword::Share)?;
                LockStrength::KeyShare
            }
            _ => {
                self.position -= 1;
                return Err(self.syntax_error());
            }
        };
        let tables = if self.eat(Keyword::Of) { self.list(Self::object_name)? } else { Vec::new() };
        let wait = if self.eat(Keyword::Nowait) {
            LockWait::Error
        } else if self.eat_all(&[Keyword::Skip, Keyword::Locked]) {
            LockWait::Skip
        } else {
            LockWait::Block
        };
        Ok(Locking { strength, tables, wait, position })
    }

    // --- WITH.

    pub(super) fn with(&mut self) -> PgResult<Option<With>> {
        if !self.at(Keyword::With) {
            return Ok(None);
        }
        let position = self.start();
        self.advance();
        let recursive = self.eat(Keyword::Recursive);
        let tables = self.list(Self::common_table)?;
        Ok(Some(With { recursive, tables, position }))
    }

    fn common_table(&mut self) -> PgResult<CommonTable> {
        let name = self.column_id()?;
        let columns = self.optional_column_list()?;
        self.expect(Keyword::As)?;
        let materialized = if self.eat_all(&[Keyword::Not, Keyword::Materialized]) {
            Some(false)
        } else if self.eat(Keyword::Materialized) {
            Some(true)
        } else {
            None
        };
        self.expect_symbol(b'(')?;
        let statement = Box::new(self.nest(Self::preparable_statement)?);
        self.expect_symbol(b')')?;
        let search = if self.at(Keyword::Search) { Some(self.search_clause()?) } else { None };
        let cycle = if self.at(Keyword::Cycle) { Some(self.cycle_clause()?) } else { None };
        Ok(CommonTable { name, columns, materialized, statement, search, cycle })
    }

    /// SEARCH DEPTH|BREADTH FIRST BY a, b SET c.
    fn search_clause(&mut self) -> PgResult<SearchClause> {
        let position = self.start();
        self.advance();
        let depth_first = self.eat(Keyword::Depth);
        if !depth_first {
            self.expect(Keyword::Breadth)?;
        }
        self.expect_all(&[Keyword::First, Keyword::By])?;
        let columns = self.list(Self::column_id)?;
        self.expect(Keyword::Set)?;
        Ok(SearchClause { depth_first, columns, sequence_column: self.column_id()?, position })
    }

    /// CYCLE a, b SET mark [TO x DEFAULT y] USING path.
    fn cycle_clause(&mut self) -> PgResult<CycleClause> {
        let position = self.start();
        self.advance();
        let columns = self.list(Self::column_id)?;
        self.expect(Keyword::Set)?;
        let mark_column = self.column_id()?;
        let (mut mark_value, mut mark_default) = (None, None);
        if self.eat(Keyword::To) {
            mark_value = Some(self.primary()?);
            self.expect(Keyword::Default)?;
            mark_default = Some(self.primary()?);
        }
        self.expect(Keyword::Using)?;
        let path_column = self.column_id()?;
        Ok(CycleClause { columns, mark_column, mark_value, mark_default, path_column, position })
    }
}

/// TABLE x is SELECT * FROM x.
fn table_select(relation: RelationReference, position: u32) -> Select {
    let wildcard = Expression::new(position, ExpressionKind::Wildcard(Vec::new()));
    Select {
        distinct: Distinct::All,
        items: vec![SelectItem { expression: wildcard, alias: None }],
        into: None,
        from: vec![TableExpression::Relation(Box::new(relation))],
        as_of: None,
        filter: None,
        group_by: Vec::new(),
        group_distinct: false,
        having: None,
        windows: Vec::new(),
        position,
    }
}
