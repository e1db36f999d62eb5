//! CREATE TABLE, CREATE TABLE AS, CREATE INDEX, CREATE VIEW.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    /// CREATE [TEMP] TABLE ..., at TABLE. `position` is where CREATE stands.
    pub(super) fn create_table(
        &mut self,
        persistence: Persistence,
        position: u32,
    ) -> PgResult<StatementKind> {
        self.expect(Keyword::Table)?;
        let if_not_exists = self.if_not_exists();
        let name = self.object_name()?;
        let mut table = CreateTable {
            name,
            if_not_exists,
            persistence,
            elements: Vec::new(),
            inherits: Vec::new(),
            of_type: None,
            partition_of: None,
            partition_by: None,
            options: Vec::new(),
            access_method: None,
            on_commit: None,
            tablespace: None,
            position,
        };
        if self.eat(Keyword::Of) {
            table.of_type = Some(self.simple_type_name()?);
            table.elements = self.optional_parenthesized(Self::typed_table_element)?;
        } else if self.eat_all(&[Keyword::Partition, Keyword::Of]) {
            table.partition_of = Some(self.object_name()?);
            table.elements = self.optional_parenthesized(Self::typed_table_element)?;
            self.partition_bound()?;
        } else if self.at_symbol(b'(') && !self.is_name_list_before_as() {
            self.advance();
            if !self.at_symbol(b')') {
                table.elements = self.list(Self::table_element)?;
            }
            self.expect_symbol(b')')?;
            if self.eat(Keyword::Inherits) {
                table.inherits = self.parenthesized(Self::object_name)?;
            }
        } else {
            return self.create_table_as(table, false);
        }
        self.table_suffix(&mut table)?;
        Ok(StatementKind::CreateTable(Box::new(table)))
    }

    /// Is the parenthesis a list of plain names (`(a, b) AS SELECT`, or with storage clauses between)?
    fn is_name_list_before_as(&self) -> bool {
        let mut offset = 1;
        loop {
            if !self.is_column_id(self.peek_at(offset)) {
                return false;
            }
            offset += 1;
            if self.symbol_at(offset, b',') {
                offset += 1;
                continue;
            }
            return self.symbol_at(offset, b')')
                && matches!(
                    self.keyword_at(offset + 1),
                    Keyword::As
                        | Keyword::With
                        | Keyword::Without
                        | Keyword::On
                        | Keyword::Using
                        | Keyword::Tablespace
                );
        }
    }

    fn table_element(&mut self) -> PgResult<TableElement> {
        if self.at(Keyword::Like) {
            self.advance();
            return Ok(TableElement::Like(Box::new(self.like_clause()?)));
        }
        if self.at_table_constraint() {
            return Ok(TableElement::Constraint(Box::new(self.table_constraint()?)));
        }
        Ok(TableElement::Column(Box::new(self.column_definition()?)))
    }

    fn typed_table_element(&mut self) -> PgResult<TableElement> {
        if self.at_table_constraint() {
            return Ok(TableElement::Constraint(Box::new(self.table_constraint()?)));
        }
        Ok(TableElement::Column(Box::new(self.typed_column()?)))
    }

    fn like_clause(&mut self) -> PgResult<LikeClause> {
        let table = self.object_name()?;
        let mut options = Vec::new();
        loop {
            let including = match self.keyword() {
                Keyword::Including => true,
                Keyword::Excluding => false,
                _ => return Ok(LikeClause { table, options }),
            };
            self.advance();
            let property = match self.keyword() {
                Keyword::Comments => "comments",
                Keyword::Compression => "compression",
                Keyword::Constraints => "constraints",
                Keyword::Defaults => "defaults",
                Keyword::Identity => "identity",
                Keyword::Generated => "generated",
                Keyword::Indexes => "indexes",
                Keyword::Statistics => "statistics",
                Keyword::Storage => "storage",
                Keyword::All => "all",
                _ => return Err(self.syntax_error()),
            };
            self.advance();
            options.push((including, property));
        }
    }

    /// FOR VALUES ... or DEFAULT.
    pub(super) fn partition_bound(&mut self) -> PgResult<()> {
        if self.eat(Keyword::Default) {
            return Ok(());
        }
        self.expect_all(&[Keyword::For, Keyword::Values])?;
        if self.eat(Keyword::From) {
            self.parenthesized(Self::expression)?;
            self.expect(Keyword::To)?;
            self.parenthesized(Self::expression)?;
        } else if self.eat(Keyword::In) {
            self.parenthesized(Self::expression)?;
        } else {
            self.expect(Keyword::With)?;
            self.parenthesized(|parser| {
                parser.label()?;
                parser.integer()
            })?;
        }
        Ok(())
    }

    /// PARTITION BY, USING, WITH, ON COMMIT, TABLESPACE.
    fn table_suffix(&mut self, table: &mut CreateTable) -> PgResult<()> {
        if self.eat_all(&[Keyword::Partition, Keyword::By]) {
            table.partition_by = Some(self.column_id()?);
            self.parenthesized(Self::index_element)?;
        }
        self.table_storage(table)
    }

    fn table_storage(&mut self, table: &mut CreateTable) -> PgResult<()> {
        if self.eat(Keyword::Using) {
            table.access_method = Some(self.column_id()?);
        }
        table.options = self.with_options()?;
        self.eat_all(&[Keyword::Without, Keyword::Oids]);
        if self.eat_all(&[Keyword::On, Keyword::Commit]) {
            table.on_commit = Some(if self.eat(Keyword::Drop) {
                OnCommit::Drop
            } else if self.eat(Keyword::Delete) {
                self.expect(Keyword::Rows)?;
                OnCommit::DeleteRows
            } else {
                self.expect_all(&[Keyword::Preserve, Keyword::Rows])?;
                OnCommit::PreserveRows
            });
        }
        if self.eat(Keyword::Tablespace) {
            table.tablespace = Some(self.column_id()?);
        }
        Ok(())
    }

    /// After the name: `[(columns)] ... AS query [WITH [NO] DATA]`.
    fn create_table_as(
        &mut self,
        mut table: CreateTable,
        materialized_view: bool,
    ) -> PgResult<StatementKind> {
        let columns = self.optional_column_list()?;
        self.table_storage(&mut table)?;
        self.expect(Keyword::As)?;
        let statement = self.sourced(|parser| {
            if parser.at(Keyword::Execute) && !materialized_view {
                return parser.statement_of(|parser| Ok(StatementKind::Execute(Box::new(parser.execute()?))));
            }
            parser.query_statement()
        })?;
        let with_data = self.with_data()?;
        Ok(StatementKind::CreateTableAs(Box::new(CreateTableAs {
            name: table.name,
            columns,
            persistence: table.persistence,
            if_not_exists: table.if_not_exists,
            on_commit: table.on_commit,
            options: table.options,
            statement,
            with_data,
            materialized_view,
        })))
    }

    /// CREATE MATERIALIZED VIEW, at VIEW.
    pub(super) fn create_materialized_view(
        &mut self,
        persistence: Persistence,
        position: u32,
    ) -> PgResult<StatementKind> {
        self.expect(Keyword::View)?;
        let if_not_exists = self.if_not_exists();
        let name = self.object_name()?;
        let table = CreateTable {
            name,
            if_not_exists,
            persistence,
            elements: Vec::new(),
            inherits: Vec::new(),
            of_type: None,
            partition_of: None,
            partition_by: None,
            options: Vec::new(),
            access_method: None,
            on_commit: None,
            tablespace: None,
            position,
        };
        self.create_table_as(table, true)
    }

    /// CREATE [OR REPLACE] [TEMP] [RECURSIVE] VIEW, at RECURSIVE or VIEW.
    pub(super) fn create_view(
        &mut self,
        or_replace: bool,
        persistence: Persistence,
        position: u32,
    ) -> PgResult<StatementKind> {
        let recursive = self.eat(Keyword::Recursive);
        self.expect(Keyword::View)?;
        let name = self.object_name()?;
        let columns = if recursive { self.column_list()? } else { self.optional_column_list()? };
        let options = self.with_options()?;
        self.expect(Keyword::As)?;
        let query = self.sourced(Self::query_statement)?;
        let check_option = if self.eat_all(&[Keyword::With, Keyword::Local, Keyword::Check]) {
            self.expect(Keyword::Option)?;
            Some(CheckOption::Local)
        } else if self.eat_all(&[Keyword::With, Keyword::Cascaded, Keyword::Check])
            || self.eat_all(&[Keyword::With, Keyword::Check])
        {
            self.expect(Keyword::Option)?;
            Some(CheckOption::Cascaded)
        } else {
            None
        };
        Ok(StatementKind::CreateView(Box::new(CreateView {
            name,
            or_replace,
            persistence,
            recursive,
            columns,
            options,
            query,
            check_option,
            position,
        })))
    }

    /// CREATE [UNIQUE] INDEX, at INDEX.
    pub(super) fn create_index(&mut self, unique: bool, position: u32) -> PgResult<StatementKind> {
        self.expect(Keyword::Index)?;
        let concurrently = self.eat(Keyword::Concurrently);
        let if_not_exists = self.if_not_exists();
        let name = if self.at(Keyword::On) && !if_not_exists { None } else { Some(self.column_id()?) };
        self.expect(Keyword::On)?;
        let table = self.relation()?;
        let method = if self.eat(Keyword::Using) { Some(self.column_id()?) } else { None };
        let elements = self.parenthesized(Self::index_element)?;
        let include = if self.eat(Keyword::Include) { self.column_list()? } else { Vec::new() };
        let nulls_not_distinct = self.nulls_not_distinct()?;
        let options = self.with_options()?;
        let tablespace = if self.eat(Keyword::Tablespace) { Some(self.column_id()?) } else { None };
        let predicate = if self.eat(Keyword::Where) { Some(self.sourced(Self::expression)?) } else { None };
        Ok(StatementKind::CreateIndex(Box::new(CreateIndex {
            name,
            table,
            unique,
            concurrently,
            if_not_exists,
            method,
            elements,
            include,
            nulls_not_distinct,
            options,
            tablespace,
            predicate,
            position,
        })))
    }
}
