//! INSERT, UPDATE, DELETE, MERGE, TRUNCATE.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    pub(super) fn insert(&mut self, with: Option<With>) -> PgResult<Insert> {
        let position = self.start();
        self.expect_all(&[Keyword::Insert, Keyword::Into])?;
        let table = self.object_name()?;
        let alias = if self.eat(Keyword::As) { Some(self.column_id()?) } else { None };
        let mut insert = Insert {
            with,
            table,
            alias,
            columns: Vec::new(),
            overriding: None,
            source: None,
            on_conflict: None,
            returning: Vec::new(),
            position,
        };
        if !self.eat_all(&[Keyword::Default, Keyword::Values]) {
            if self.at_symbol(b'(') && !self.parenthesis_opens_query() {
                insert.columns = self.parenthesized(Self::insert_column)?;
            }
            insert.overriding = self.overriding()?;
            insert.source = Some(self.query()?);
        }
        if self.at_all(&[Keyword::On, Keyword::Conflict]) {
            insert.on_conflict = Some(self.on_conflict()?);
        }
        insert.returning = self.returning()?;
        Ok(insert)
    }

    /// Is the parenthesis at hand (and those within it) one around a query?
    fn parenthesis_opens_query(&self) -> bool {
        let mut offset = 0;
        while self.symbol_at(offset, b'(') {
            offset += 1;
        }
        matches!(self.keyword_at(offset), Keyword::Select | Keyword::Values | Keyword::With | Keyword::Table)
    }

    fn overriding(&mut self) -> PgResult<Option<Overriding>> {
        if !self.eat(Keyword::Overriding) {
            return Ok(None);
        }
        let kind = if self.eat(Keyword::User) {
            Overriding::User
        } else {
            self.expect(Keyword::System)?;
            Overriding::System
        };
        self.expect(Keyword::Value)?;
        Ok(Some(kind))
    }

    /// A column to assign to, with indirection.
    fn insert_column(&mut self) -> PgResult<InsertColumn> {
        let name = self.column_id()?;
        let mut indirection = Vec::new();
        loop {
            if self.at_symbol(b'[') {
                indirection.push(Indirection::Subscript(self.subscript()?));
            } else if self.eat_symbol(b'.') {
                indirection.push(Indirection::Field(self.label()?));
            } else {
                return Ok(InsertColumn { name, indirection });
            }
        }
    }

    fn on_conflict(&mut self) -> PgResult<OnConflict> {
        let position = self.start();
        self.position += 2;
        let target = if self.eat_all(&[Keyword::On, Keyword::Constraint]) {
            Some(ConflictTarget::Constraint(self.column_id()?))
        } else if self.at_symbol(b'(') {
            let elements = self.parenthesized(Self::index_element)?;
            Some(ConflictTarget::Columns { elements, predicate: self.where_clause()? })
        } else {
            None
        };
        self.expect(Keyword::Do)?;
        let action = if self.eat(Keyword::Nothing) {
            ConflictAction::Nothing
        } else {
            self.expect_all(&[Keyword::Update, Keyword::Set])?;
            ConflictAction::Update { assignments: self.assignments()?, filter: self.where_clause()? }
        };
        Ok(OnConflict { target, action, position })
    }

    pub(super) fn returning(&mut self) -> PgResult<Vec<SelectItem>> {
        if self.eat(Keyword::Returning) { self.list(Self::select_item) } else { Ok(Vec::new()) }
    }

    /// set_clause_list.
    fn assignments(&mut self) -> PgResult<Vec<Assignment>> {
        self.list(|parser| {
            let multiple = parser.at_symbol(b'(');
            let targets = if multiple {
                parser.parenthesized(Self::insert_column)?
            } else {
                vec![parser.insert_column()?]
            };
            parser.expect_symbol(b'=')?;
            Ok(Assignment { targets, multiple, value: parser.expression()? })
        })
    }

    pub(super) fn update(&mut self, with: Option<With>) -> PgResult<Update> {
        let position = self.start();
        self.expect(Keyword::Update)?;
        let mut table = self.relation()?;
        table.alias = self.target_alias()?;
        self.expect(Keyword::Set)?;
        let assignments = self.assignments()?;
        let from = if self.eat(Keyword::From) { self.from_list()? } else { Vec::new() };
        let filter = self.where_clause()?;
        Ok(Update { with, table, assignments, from, filter, returning: self.returning()?, position })
    }

    pub(super) fn delete(&mut self, with: Option<With>) -> PgResult<Delete> {
        let position = self.start();
        self.expect_all(&[Keyword::Delete, Keyword::From])?;
        let mut table = self.relation()?;
        table.alias = self.target_alias()?;
        let using = if self.eat(Keyword::Using) { self.from_list()? } else { Vec::new() };
        let filter = self.where_clause()?;
        Ok(Delete { with, table, using, filter, returning: self.returning()?, position })
    }

    pub(super) fn merge(&mut self, with: Option<With>) -> PgResult<Merge> {
        let position = self.start();
        self.expect_all(&[Keyword::Merge, Keyword::Into])?;
        let mut table = self.relation()?;
        table.alias = self.target_alias()?;
        self.expect(Keyword::Using)?;
        let source = self.table_reference()?;
        self.expect(Keyword::On)?;
        let condition = self.expression()?;
        let mut arms = Vec::new();
        while self.at(Keyword::When) {
            arms.push(self.merge_arm()?);
        }
        if arms.is_empty() {
            return Err(self.syntax_error());
        }
        Ok(Merge { with, table, source, condition, arms, position })
    }

    fn merge_arm(&mut self) -> PgResult<MergeArm> {
        self.expect(Keyword::When)?;
        let matched = !self.eat(Keyword::Not);
        self.expect(Keyword::Matched)?;
        let condition = if self.eat(Keyword::And) { Some(self.expression()?) } else { None };
        self.expect(Keyword::Then)?;
        let action = if self.eat_all(&[Keyword::Do, Keyword::Nothing]) {
            MergeAction::Nothing
        } else if matched && self.eat(Keyword::Delete) {
            MergeAction::Delete
        } else if matched {
            self.expect_all(&[Keyword::Update, Keyword::Set])?;
            MergeAction::Update(self.assignments()?)
        } else {
            self.merge_insert()?
        };
        Ok(MergeArm { matched, condition, action })
    }

    fn merge_insert(&mut self) -> PgResult<MergeAction> {
        self.expect(Keyword::Insert)?;
        let columns = self.optional_parenthesized(Self::insert_column)?;
        let overriding = self.overriding()?;
        let values = if self.eat(Keyword::Default) {
            self.expect(Keyword::Values)?;
            None
        } else {
            self.expect(Keyword::Values)?;
            Some(self.parenthesized(Self::expression)?)
        };
        Ok(MergeAction::Insert { columns, overriding, values })
    }

    pub(super) fn truncate(&mut self) -> PgResult<Truncate> {
        self.expect(Keyword::Truncate)?;
        self.eat(Keyword::Table);
        let tables = self.list(Self::relation)?;
        let restart_identity = self.eat_all(&[Keyword::Restart, Keyword::Identity]);
        if !restart_identity {
            self.eat_all(&[Keyword::Continue, Keyword::Identity]);
        }
        Ok(Truncate { tables, restart_identity, cascade: self.cascade() })
    }
}
