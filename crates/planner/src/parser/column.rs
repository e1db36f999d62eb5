//! Column definitions, constraints, foreign keys.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    /// columnDef: name, type, qualifiers.
    pub(super) fn column_definition(&mut self) -> PgResult<ColumnDefinition> {
        let name = self.column_id()?;
        let type_name = Some(self.type_name()?);
        if self.eat(Keyword::Storage) || self.eat(Keyword::Compression) {
            self.label()?;
        }
        let (constraints, collation) = self.column_constraints()?;
        Ok(ColumnDefinition { name, type_name, collation, constraints })
    }

    /// A column of a typed table or a partition: no type.
    pub(super) fn typed_column(&mut self) -> PgResult<ColumnDefinition> {
        let name = self.column_id()?;
        self.eat_all(&[Keyword::With, Keyword::Options]);
        let (constraints, collation) = self.column_constraints()?;
        Ok(ColumnDefinition { name, type_name: None, collation, constraints })
    }

    /// ColQualList. DEFERRABLE and its like belong to the constraint before them.
    pub(super) fn column_constraints(&mut self) -> PgResult<(Vec<ColumnConstraint>, Option<ObjectName>)> {
        let mut constraints: Vec<ColumnConstraint> = Vec::new();
        let mut collation = None;
        loop {
            let position = self.start();
            if self.eat(Keyword::Collate) {
                if collation.is_some() {
                    let message = "multiple COLLATE clauses not allowed";
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
                }
                collation = Some(self.object_name()?);
                continue;
            }
            if self.at_timing() {
                let Some(last) = constraints.last_mut() else {
                    let what = if self.at(Keyword::Not) { "NOT DEFERRABLE" } else { "DEFERRABLE" };
                    let message = format!("misplaced {what} clause");
                    return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(position));
                };
                let mut timing = last.timing;
                self.timing_clause(&mut timing)?;
                if let Some(last) = constraints.last_mut() {
                    last.timing = timing;
                }
                continue;
            }
            let name = if self.eat(Keyword::Constraint) { Some(self.column_id()?) } else { None };
            match self.column_constraint_kind()? {
                Some(kind) => constraints.push(ColumnConstraint {
                    name,
                    kind,
                    timing: ConstraintTiming::default(),
                    position,
                }),
                None if name.is_some() => return Err(self.syntax_error()),
                None => return Ok((constraints, collation)),
            }
        }
    }

    fn column_constraint_kind(&mut self) -> PgResult<Option<ColumnConstraintKind>> {
        let kind = match self.keyword() {
            Keyword::Not if self.keyword_at(1) == Keyword::Null => {
                self.position += 2;
                ColumnConstraintKind::NotNull
            }
            Keyword::Null => {
                self.advance();
                ColumnConstraintKind::Null
            }
            Keyword::Default => {
                self.advance();
                ColumnConstraintKind::Default(self.sourced(Self::restricted_expression)?)
            }
            Keyword::Check => {
                let expression = self.check_expression()?;
                let no_inherit = self.eat_all(&[Keyword::No, Keyword::Inherit]);
                ColumnConstraintKind::Check { expression, no_inherit }
            }
            Keyword::Unique => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                ColumnConstraintKind::Unique { nulls_not_distinct, options: self.constraint_options()? }
            }
            Keyword::Primary => {
                self.advance();
                self.expect(Keyword::Key)?;
                ColumnConstraintKind::PrimaryKey { options: self.constraint_options()? }
            }
            Keyword::References => ColumnConstraintKind::References(self.references()?),
            Keyword::Generated => return self.generated().map(Some),
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }

    /// WITH (...) and USING INDEX TABLESPACE of a unique constraint.
    fn constraint_options(&mut self) -> PgResult<Vec<CopyOption>> {
        let options = self.with_options()?;
        if self.eat_all(&[Keyword::Using, Keyword::Index, Keyword::Tablespace]) {
            self.column_id()?;
        }
        Ok(options)
    }

    /// NULLS [NOT] DISTINCT.
    pub(super) fn nulls_not_distinct(&mut self) -> PgResult<bool> {
        if self.eat_all(&[Keyword::Nulls, Keyword::Not, Keyword::Distinct]) {
            return Ok(true);
        }
        self.eat_all(&[Keyword::Nulls, Keyword::Distinct]);
        Ok(false)
    }

    /// CHECK (expression): the text is the expression's.
    fn check_expression(&mut self) -> PgResult<Sourced<Expression>> {
        self.expect(Keyword::Check)?;
        self.expect_symbol(b'(')?;
        let expression = self.sourced(Self::expression)?;
        self.expect_symbol(b')')?;
        Ok(expression)
    }

    /// GENERATED ALWAYS AS (...) STORED, GENERATED ... AS IDENTITY.
    fn generated(&mut self) -> PgResult<ColumnConstraintKind> {
        self.expect(Keyword::Generated)?;
        let at = self.start();
        let always = self.generated_when()?;
        self.expect(Keyword::As)?;
        if self.eat(Keyword::Identity) {
            return Ok(ColumnConstraintKind::Identity {
                always,
                options: self.parenthesized_sequence_options()?,
            });
        }
        if !always {
            let message = "for a generated column, GENERATED ALWAYS must be specified";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at));
        }
        self.expect_symbol(b'(')?;
        let expression = self.sourced(Self::expression)?;
        self.expect_symbol(b')')?;
        self.expect(Keyword::Stored)?;
        Ok(ColumnConstraintKind::Generated(expression))
    }

    /// ALWAYS or BY DEFAULT; true for ALWAYS.
    pub(super) fn generated_when(&mut self) -> PgResult<bool> {
        if self.eat(Keyword::Always) {
            return Ok(true);
        }
        self.expect_all(&[Keyword::By, Keyword::Default])?;
        Ok(false)
    }

    // --- Timing.

    fn at_timing(&self) -> bool {
        matches!(self.keyword(), Keyword::Deferrable | Keyword::Initially)
            || self.at_all(&[Keyword::Not, Keyword::Deferrable])
            || self.at_all(&[Keyword::Not, Keyword::Valid])
            || self.at_all(&[Keyword::No, Keyword::Inherit])
    }

    fn timing_clause(&mut self, timing: &mut ConstraintTiming) -> PgResult<()> {
        match self.advance().keyword {
            Keyword::Deferrable => timing.deferrable = true,
            Keyword::Initially if self.eat(Keyword::Deferred) => {
                timing.initially_deferred = true;
                timing.deferrable = true;
            }
            Keyword::Initially => self.expect(Keyword::Immediate)?,
            Keyword::Not if self.eat(Keyword::Valid) => timing.not_valid = true,
            Keyword::Not => {
                self.advance();
                timing.deferrable = false;
            }
            _ => {
                // NO INHERIT.
                self.advance();
                timing.no_inherit = true;
            }
        }
        Ok(())
    }

    /// ConstraintAttributeSpec.
    pub(super) fn timing(&mut self) -> PgResult<ConstraintTiming> {
        let mut timing = ConstraintTiming::default();
        let mut not_deferrable = false;
        while self.at_timing() {
            let at = self.start();
            not_deferrable |= self.at_all(&[Keyword::Not, Keyword::Deferrable]);
            self.timing_clause(&mut timing)?;
            if not_deferrable && timing.initially_deferred {
                let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at));
            }
        }
        Ok(timing)
    }

    // --- Table constraints.

    pub(super) fn at_table_constraint(&self) -> bool {
        matches!(
            self.keyword(),
            Keyword::Constraint
                | Keyword::Check
                | Keyword::Unique
                | Keyword::Primary
                | Keyword::Foreign
                | Keyword::Exclude
        ) && !(self.at(Keyword::Exclude) && !self.symbol_at(1, b'(') && self.keyword_at(1) != Keyword::Using)
    }

    pub(super) fn table_constraint(&mut self) -> PgResult<TableConstraint> {
        let position = self.start();
        let name = if self.eat(Keyword::Constraint) { Some(self.column_id()?) } else { None };
        let kind = match self.keyword() {
            Keyword::Check => TableConstraintKind::Check(self.check_expression()?),
            Keyword::Unique | Keyword::Primary => self.unique_constraint()?,
            Keyword::Foreign => {
                self.advance();
                self.expect(Keyword::Key)?;
                let columns = self.column_list()?;
                TableConstraintKind::ForeignKey { columns, reference: self.references()? }
            }
            Keyword::Exclude => {
                self.exclusion()?;
                TableConstraintKind::Exclude
            }
            _ => return Err(self.syntax_error()),
        };
        Ok(TableConstraint { name, kind, timing: self.timing()?, position })
    }

    fn unique_constraint(&mut self) -> PgResult<TableConstraintKind> {
        let primary_key = self.advance().keyword == Keyword::Primary;
        if primary_key {
            self.expect(Keyword::Key)?;
        }
        if self.eat_all(&[Keyword::Using, Keyword::Index]) {
            return Ok(TableConstraintKind::UsingIndex { primary_key, index: self.column_id()? });
        }
        let nulls_not_distinct = !primary_key && self.nulls_not_distinct()?;
        let columns = self.column_list()?;
        let include = if self.eat(Keyword::Include) { self.column_list()? } else { Vec::new() };
        let options = self.constraint_options()?;
        Ok(if primary_key {
            TableConstraintKind::PrimaryKey { columns, include, options }
        } else {
            TableConstraintKind::Unique { columns, include, nulls_not_distinct, options }
        })
    }

    /// EXCLUDE: read, and refused later.
    fn exclusion(&mut self) -> PgResult<()> {
        self.expect(Keyword::Exclude)?;
        if self.eat(Keyword::Using) {
            self.column_id()?;
        }
        self.parenthesized(|parser| {
            parser.index_element()?;
            parser.expect(Keyword::With)?;
            if parser.at(Keyword::Operator) { parser.any_operator() } else { parser.schema_operator() }
        })?;
        if self.eat(Keyword::Include) {
            self.column_list()?;
        }
        self.constraint_options()?;
        if self.eat(Keyword::Where) {
            self.expect_symbol(b'(')?;
            self.expression()?;
            self.expect_symbol(b')')?;
        }
        Ok(())
    }

    /// REFERENCES table (columns) MATCH ... ON ...
    fn references(&mut self) -> PgResult<ForeignKeyReference> {
        self.expect(Keyword::References)?;
        let table = self.object_name()?;
        let columns = self.optional_column_list()?;
        let mut reference = ForeignKeyReference {
            table,
            columns,
            match_type: ForeignKeyMatch::Simple,
            on_delete: ReferentialAction::NoAction,
            on_update: ReferentialAction::NoAction,
        };
        if self.eat(Keyword::Match) {
            reference.match_type = match self.keyword() {
                Keyword::Full => ForeignKeyMatch::Full,
                Keyword::Partial => {
                    let message = "MATCH PARTIAL not yet implemented";
                    return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(self.start()));
                }
                Keyword::Simple => ForeignKeyMatch::Simple,
                _ => return Err(self.syntax_error()),
            };
            self.advance();
        }
        while self.at(Keyword::On) {
            let at = self.start();
            match self.keyword_at(1) {
                Keyword::Delete => {
                    self.position += 2;
                    reference.on_delete = self.referential_action()?;
                }
                Keyword::Update => {
                    self.position += 2;
                    reference.on_update = self.referential_action()?;
                    if let ReferentialAction::SetNull(columns) | ReferentialAction::SetDefault(columns) =
                        &reference.on_update
                        && !columns.is_empty()
                    {
                        let message = "a column list with SET NULL is only supported for ON DELETE actions";
                        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at));
                    }
                }
                _ => {
                    self.advance();
                    return Err(self.syntax_error());
                }
            }
        }
        Ok(reference)
    }

    fn referential_action(&mut self) -> PgResult<ReferentialAction> {
        Ok(match self.advance().keyword {
            Keyword::No => {
                self.expect(Keyword::Action)?;
                ReferentialAction::NoAction
            }
            Keyword::Restrict => ReferentialAction::Restrict,
            Keyword::Cascade => ReferentialAction::Cascade,
            Keyword::Set => {
                let null = self.eat(Keyword::Null);
                if !null {
                    self.expect(Keyword::Default)?;
                }
                let columns = self.optional_column_list()?;
                if null {
                    ReferentialAction::SetNull(columns)
                } else {
                    ReferentialAction::SetDefault(columns)
                }
            }
            _ => {
                self.position -= 1;
                return Err(self.syntax_error());
            }
        })
    }

    // --- Index elements.

    /// index_elem: a column, a function call, or an expression in parentheses, with collation, class and order.
    pub(super) fn index_element(&mut self) -> PgResult<IndexElement> {
        let expression = self.sourced(|parser| {
            if parser.at_symbol(b'(') {
                parser.expect_symbol(b'(')?;
                let expression = parser.expression()?;
                parser.expect_symbol(b')')?;
                return Ok(expression);
            }
            let start = parser.start();
            let mut after = 1;
            while parser.symbol_at(after, b'.') {
                after += 2;
            }
            if parser.symbol_at(after, b'(') || !parser.is_column_id(parser.peek()) {
                return parser.primary();
            }
            Ok(Expression::new(start, ExpressionKind::Column(vec![parser.column_id()?])))
        })?;
        let collation = if self.eat(Keyword::Collate) { Some(self.object_name()?) } else { None };
        let mut operator_class = None;
        let at_name =
            self.is_column_id(self.peek()) && !self.at(Keyword::Nulls) && !self.at(Keyword::Include);
        if at_name {
            operator_class = Some(self.object_name()?);
            if self.at_symbol(b'(') {
                self.storage_parameters()?;
            }
        }
        let descending = self.direction() == SortDirection::Descending;
        Ok(IndexElement { expression, collation, operator_class, descending, nulls: self.nulls_order()? })
    }
}
