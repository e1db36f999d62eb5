//! CREATE of everything: which kind, and the small ones.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    pub(super) fn create(&mut self) -> PgResult<StatementKind> {
        let position = self.start();
        self.expect(Keyword::Create)?;
        let or_replace = self.eat_all(&[Keyword::Or, Keyword::Replace]);
        let temporary = matches!(
            self.keyword(),
            Keyword::Temporary | Keyword::Temp | Keyword::Local | Keyword::Global | Keyword::Unlogged
        );
        if temporary {
            let persistence = self.persistence();
            return match self.keyword() {
                Keyword::Table => self.create_table(persistence, position),
                Keyword::Sequence => self.create_sequence(persistence),
                Keyword::View | Keyword::Recursive => self.create_view(or_replace, persistence, position),
                Keyword::Materialized => {
                    self.advance();
                    self.create_materialized_view(persistence, position)
                }
                _ => Err(self.syntax_error()),
            };
        }
        let permanent = Persistence::Permanent;
        match self.keyword() {
            Keyword::View | Keyword::Recursive => self.create_view(or_replace, permanent, position),
            Keyword::Function | Keyword::Procedure => self.create_function(or_replace),
            Keyword::Trigger => self.create_trigger(or_replace, false),
            Keyword::Constraint => {
                self.advance();
                self.create_trigger(or_replace, true)
            }
            _ if or_replace => self.create_unsupported(),
            Keyword::Table => self.create_table(permanent, position),
            Keyword::Sequence => self.create_sequence(permanent),
            Keyword::Materialized => {
                self.advance();
                self.create_materialized_view(permanent, position)
            }
            Keyword::Unique => {
                self.advance();
                self.create_index(true, position)
            }
            Keyword::Index => self.create_index(false, position),
            Keyword::Schema => self.create_schema(),
            Keyword::Database => self.create_database(),
            Keyword::Type => self.create_type(),
            Keyword::Domain => self.create_domain(),
            Keyword::User if self.keyword_at(1) == Keyword::Mapping => self.create_unsupported(),
            Keyword::Role | Keyword::User | Keyword::Group => self.create_role(),
            _ => self.create_unsupported(),
        }
    }

    /// Kinds of objects that nothing here serves.
    fn create_unsupported(&mut self) -> PgResult<StatementKind> {
        let feature = match self.keyword() {
            Keyword::Aggregate => "CREATE AGGREGATE",
            Keyword::Operator if self.keyword_at(1) == Keyword::Class => "CREATE OPERATOR CLASS",
            Keyword::Operator if self.keyword_at(1) == Keyword::Family => "CREATE OPERATOR FAMILY",
            Keyword::Operator => "CREATE OPERATOR",
            Keyword::Extension => "CREATE EXTENSION",
            Keyword::Policy => "CREATE POLICY",
            Keyword::Rule => "CREATE RULE",
            Keyword::Cast => "CREATE CAST",
            Keyword::Collation => "CREATE COLLATION",
            Keyword::Conversion => "CREATE CONVERSION",
            Keyword::Default => "CREATE CONVERSION",
            Keyword::Event => "CREATE EVENT TRIGGER",
            Keyword::Foreign => "CREATE FOREIGN TABLE",
            Keyword::Language | Keyword::Procedural | Keyword::Trusted => "CREATE LANGUAGE",
            Keyword::Publication => "CREATE PUBLICATION",
            Keyword::Subscription => "CREATE SUBSCRIPTION",
            Keyword::Server => "CREATE SERVER",
            Keyword::Statistics => "CREATE STATISTICS",
            Keyword::Tablespace => "CREATE TABLESPACE",
            Keyword::Text => "CREATE TEXT SEARCH CONFIGURATION",
            Keyword::Transform => "CREATE TRANSFORM",
            Keyword::User => "CREATE USER MAPPING",
            Keyword::Access => "CREATE ACCESS METHOD",
            _ => return Err(self.syntax_error()),
        };
        if feature == "CREATE POLICY" {
            let mark = self.position;
            self.policy_kind()?;
            self.position = mark;
        }
        self.unsupported(feature)
    }

    /// The head of CREATE POLICY, as far as PostgreSQL's grammar checks words.
    fn policy_kind(&mut self) -> PgResult<()> {
        self.advance();
        self.column_id()?;
        self.expect(Keyword::On)?;
        self.object_name()?;
        if self.eat(Keyword::As) {
            let kind = self.column_id()?;
            if !matches!(&*kind.name, "permissive" | "restrictive") {
                let message = format!("unrecognized row security option \"{kind}\"");
                let hint = "Only PERMISSIVE or RESTRICTIVE policies are supported currently.";
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).hint(hint).at(kind.position));
            }
        }
        Ok(())
    }

    fn create_schema(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Schema)?;
        let if_not_exists = self.if_not_exists();
        let name = if self.at(Keyword::Authorization) { None } else { Some(self.column_id()?) };
        let authorization = if self.eat(Keyword::Authorization) { Some(self.role_name()?) } else { None };
        let mut elements = Vec::new();
        while matches!(self.keyword(), Keyword::Create | Keyword::Grant) {
            elements.push(self.nest(|parser| {
                parser.statement_of(
                    |parser| if parser.at(Keyword::Create) { parser.create() } else { parser.grant() },
                )
            })?);
        }
        let schema = CreateSchema { name, if_not_exists, authorization, elements };
        Ok(StatementKind::CreateSchema(Box::new(schema)))
    }

    fn create_database(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Database)?;
        let name = self.column_id()?;
        let options = self.database_options()?;
        Ok(StatementKind::CreateDatabase(Box::new(CreateDatabase { name, options })))
    }

    /// `[WITH] name [=] value ...`
    pub(super) fn database_options(&mut self) -> PgResult<Vec<CopyOption>> {
        self.eat(Keyword::With);
        let mut options = Vec::new();
        while !self.at_end() && !self.at_symbol(b';') {
            let position = self.start();
            let name: Box<str> = if self.eat_all(&[Keyword::Connection, Keyword::Limit]) {
                "connection_limit".into()
            } else {
                self.label()?.name
            };
            self.eat_symbol(b'=');
            let value = if self.eat(Keyword::Default) {
                OptionValue::None
            } else if self.at_number() {
                OptionValue::Number(self.signed_number()?)
            } else if self.is_string(self.peek()) {
                OptionValue::Text(self.string()?)
            } else {
                OptionValue::Text(self.label()?.name)
            };
            options.push(CopyOption { name, value, position });
        }
        Ok(options)
    }

    fn create_type(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Type)?;
        let name = self.object_name()?;
        let mut definition = TypeDefinition::Base;
        if self.eat(Keyword::As) {
            if self.eat(Keyword::Enum) {
                self.expect_symbol(b'(')?;
                let mut labels = Vec::new();
                if !self.at_symbol(b')') {
                    labels = self.list(|parser| {
                        let at = parser.start();
                        Ok((parser.string()?, at))
                    })?;
                }
                self.expect_symbol(b')')?;
                definition = TypeDefinition::Enum(labels);
            } else if self.eat(Keyword::Range) {
                self.storage_parameters()?;
                definition = TypeDefinition::Range;
            } else {
                self.expect_symbol(b'(')?;
                let mut columns = Vec::new();
                if !self.at_symbol(b')') {
                    columns = self.list(|parser| {
                        let name = parser.column_id()?;
                        let type_name = Some(parser.type_name()?);
                        let collation =
                            if parser.eat(Keyword::Collate) { Some(parser.object_name()?) } else { None };
                        Ok(ColumnDefinition { name, type_name, collation, constraints: Vec::new() })
                    })?;
                }
                self.expect_symbol(b')')?;
                definition = TypeDefinition::Composite(columns);
            }
        } else if self.at_symbol(b'(') {
            self.storage_parameters()?;
        }
        Ok(StatementKind::CreateType(Box::new(CreateType { name, definition })))
    }

    fn create_domain(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Domain)?;
        let name = self.object_name()?;
        self.eat(Keyword::As);
        let base = self.type_name()?;
        let (constraints, collation) = self.column_constraints()?;
        Ok(StatementKind::CreateDomain(Box::new(CreateDomain { name, base, collation, constraints })))
    }

    fn create_trigger(&mut self, or_replace: bool, constraint: bool) -> PgResult<StatementKind> {
        self.expect(Keyword::Trigger)?;
        let name = self.column_id()?;
        let timing = if self.eat(Keyword::Before) {
            "before"
        } else if self.eat(Keyword::After) {
            "after"
        } else {
            self.expect_all(&[Keyword::Instead, Keyword::Of])?;
            "instead of"
        };
        let events = self.trigger_events()?;
        self.expect(Keyword::On)?;
        let table = self.object_name()?;
        if self.eat(Keyword::From) {
            self.object_name()?;
        }
        self.timing()?;
        if self.eat(Keyword::Referencing) {
            while matches!(self.keyword(), Keyword::Old | Keyword::New) {
                self.advance();
                if !self.eat(Keyword::Table) {
                    self.expect(Keyword::Row)?;
                }
                self.eat(Keyword::As);
                self.column_id()?;
            }
        }
        let mut for_each_row = false;
        if self.eat(Keyword::For) {
            self.eat(Keyword::Each);
            for_each_row = self.eat(Keyword::Row);
            if !for_each_row {
                self.expect(Keyword::Statement)?;
            }
        }
        let mut condition = None;
        if self.eat(Keyword::When) {
            self.expect_symbol(b'(')?;
            condition = Some(self.expression()?);
            self.expect_symbol(b')')?;
        }
        self.expect(Keyword::Execute)?;
        if !self.eat(Keyword::Function) {
            self.expect(Keyword::Procedure)?;
        }
        let function = self.function_name()?;
        let arguments = self.trigger_arguments()?;
        Ok(StatementKind::CreateTrigger(Box::new(CreateTrigger {
            name,
            or_replace,
            constraint,
            timing,
            events,
            table,
            for_each_row,
            condition,
            function,
            arguments,
        })))
    }

    fn trigger_events(&mut self) -> PgResult<Vec<&'static str>> {
        let mut events = Vec::new();
        loop {
            let event = match self.advance().keyword {
                Keyword::Insert => "insert",
                Keyword::Delete => "delete",
                Keyword::Truncate => "truncate",
                Keyword::Update => {
                    if self.eat(Keyword::Of) {
                        self.list(Self::column_id)?;
                    }
                    "update"
                }
                _ => {
                    self.position -= 1;
                    return Err(self.syntax_error());
                }
            };
            if events.contains(&event) {
                let near = self.near(self.peek());
                let message = format!("duplicate trigger events specified at or near \"{near}\"");
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(self.start()));
            }
            events.push(event);
            if !self.eat(Keyword::Or) {
                return Ok(events);
            }
        }
    }

    fn trigger_arguments(&mut self) -> PgResult<Vec<Box<str>>> {
        self.expect_symbol(b'(')?;
        let mut arguments = Vec::new();
        if !self.at_symbol(b')') {
            arguments = self.list(|parser| {
                if parser.at_number() {
                    return parser.signed_number();
                }
                if parser.is_string(parser.peek()) { parser.string() } else { Ok(parser.label()?.name) }
            })?;
        }
        self.expect_symbol(b')')?;
        Ok(arguments)
    }
}
