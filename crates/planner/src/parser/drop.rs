//! DROP and COMMENT ON, and how they name objects.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult};

impl Parser<'_> {
    /// The words for a kind of object; `None`, with nothing taken, for no such words.
    pub(super) fn object_kind(&mut self) -> Option<ObjectKind> {
        use ObjectKind::*;
        let (kind, words) = match (self.keyword(), self.keyword_at(1), self.keyword_at(2)) {
            (Keyword::Table, ..) => (Table, 1),
            (Keyword::Foreign, Keyword::Table, _) => (ForeignTable, 2),
            (Keyword::Foreign, Keyword::Data, Keyword::Wrapper) => (ForeignDataWrapper, 3),
            (Keyword::Index, ..) => (Index, 1),
            (Keyword::Sequence, ..) => (Sequence, 1),
            (Keyword::View, ..) => (View, 1),
            (Keyword::Materialized, Keyword::View, _) => (MaterializedView, 2),
            (Keyword::Column, ..) => (Column, 1),
            (Keyword::Constraint, ..) => (Constraint, 1),
            (Keyword::Schema, ..) => (Schema, 1),
            (Keyword::Database, ..) => (Database, 1),
            (Keyword::Type, ..) => (Type, 1),
            (Keyword::Domain, ..) => (Domain, 1),
            (Keyword::Function, ..) => (Function, 1),
            (Keyword::Procedure, ..) => (Procedure, 1),
            (Keyword::Routine, ..) => (Routine, 1),
            (Keyword::Aggregate, ..) => (Aggregate, 1),
            (Keyword::Operator, Keyword::Class, _) => (OperatorClass, 2),
            (Keyword::Operator, Keyword::Family, _) => (OperatorFamily, 2),
            (Keyword::Operator, ..) => (Operator, 1),
            (Keyword::Cast, ..) => (Cast, 1),
            (Keyword::Event, Keyword::Trigger, _) => (EventTrigger, 2),
            (Keyword::Trigger, ..) => (Trigger, 1),
            (Keyword::Rule, ..) => (Rule, 1),
            (Keyword::Policy, ..) => (Policy, 1),
            (Keyword::User, Keyword::Mapping, _) => (UserMapping, 2),
            (Keyword::Role | Keyword::User | Keyword::Group, ..) => (Role, 1),
            (Keyword::Extension, ..) => (Extension, 1),
            (Keyword::Collation, ..) => (Collation, 1),
            (Keyword::Conversion, ..) => (Conversion, 1),
            (Keyword::Procedural, Keyword::Language, _) => (Language, 2),
            (Keyword::Language, ..) => (Language, 1),
            (Keyword::Large, Keyword::Object, _) => (LargeObject, 2),
            (Keyword::Tablespace, ..) => (Tablespace, 1),
            (Keyword::Access, Keyword::Method, _) => (AccessMethod, 2),
            (Keyword::Publication, ..) => (Publication, 1),
            (Keyword::Subscription, ..) => (Subscription, 1),
            (Keyword::Server, ..) => (Server, 1),
            (Keyword::Statistics, ..) => (Statistics, 1),
            (Keyword::Text, Keyword::Search, Keyword::Configuration) => (TextSearchConfiguration, 3),
            (Keyword::Text, Keyword::Search, Keyword::Dictionary) => (TextSearchDictionary, 3),
            (Keyword::Text, Keyword::Search, Keyword::Parser) => (TextSearchParser, 3),
            (Keyword::Text, Keyword::Search, Keyword::Template) => (TextSearchTemplate, 3),
            (Keyword::Transform, ..) => (Transform, 1),
            _ => return None,
        };
        self.position += words;
        Some(kind)
    }

    pub(super) fn drop_statement(&mut self) -> PgResult<StatementKind> {
        let position = self.start();
        self.expect(Keyword::Drop)?;
        if self.at(Keyword::Owned) {
            return self.drop_owned();
        }
        let kind = self.object_kind().ok_or_else(|| self.syntax_error())?;
        match kind {
            ObjectKind::Database => return self.drop_database(),
            ObjectKind::Role => {
                let if_exists = self.if_exists();
                let names = self.list(Self::role_name)?;
                return Ok(StatementKind::DropRole(Box::new(DropRole { names, if_exists })));
            }
            ObjectKind::Column | ObjectKind::Constraint => {
                return Err(self.syntax_error_at(self.tokens[self.position - 1]));
            }
            ObjectKind::Operator
            | ObjectKind::OperatorClass
            | ObjectKind::OperatorFamily
            | ObjectKind::Cast
            | ObjectKind::Transform
            | ObjectKind::UserMapping
            | ObjectKind::LargeObject => {
                return self.unsupported(format!("DROP {}", kind.noun().to_uppercase()));
            }
            _ => {}
        }
        let concurrently = kind == ObjectKind::Index && self.eat(Keyword::Concurrently);
        let if_exists = self.if_exists();
        let mut drop = DropStatement {
            kind,
            names: Vec::new(),
            on: None,
            arguments: Vec::new(),
            if_exists,
            cascade: false,
            concurrently,
        };
        match kind {
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
                for (name, arguments) in self.list(Self::function_with_types)? {
                    drop.names.push(name);
                    drop.arguments.push(arguments);
                }
            }
            ObjectKind::Aggregate => return self.unsupported("DROP AGGREGATE"),
            ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy => {
                drop.names.push(ObjectName::single(self.column_id()?));
                self.expect(Keyword::On)?;
                drop.on = Some(self.object_name()?);
            }
            ObjectKind::Type | ObjectKind::Domain => {
                drop.names = self.list(|parser| {
                    let name = parser.simple_type_name()?;
                    if name.system || !name.modifiers.is_empty() {
                        return Ok(name.name);
                    }
                    Ok(name.name)
                })?;
            }
            _ => drop.names = self.list(Self::object_name)?,
        }
        drop.cascade = self.cascade();
        if concurrently && drop.names.len() > 1 {
            return Err(PgError::unsupported("DROP INDEX CONCURRENTLY of several indexes").at(position));
        }
        Ok(StatementKind::Drop(Box::new(drop)))
    }

    fn drop_database(&mut self) -> PgResult<StatementKind> {
        let if_exists = self.if_exists();
        let name = self.column_id()?;
        self.eat(Keyword::With);
        let mut force = false;
        if self.at_symbol(b'(') {
            self.parenthesized(|parser| parser.expect(Keyword::Force))?;
            force = true;
        }
        Ok(StatementKind::DropDatabase(Box::new(DropDatabase { name, if_exists, force })))
    }

    pub(super) fn comment(&mut self) -> PgResult<StatementKind> {
        self.expect_all(&[Keyword::Comment, Keyword::On])?;
        let mut kind = self.object_kind().ok_or_else(|| self.syntax_error())?;
        let (mut on, mut arguments) = (None, None);
        let name = match kind {
            ObjectKind::Constraint | ObjectKind::Trigger | ObjectKind::Rule | ObjectKind::Policy => {
                let name = ObjectName::single(self.column_id()?);
                self.expect(Keyword::On)?;
                if kind == ObjectKind::Constraint && self.eat(Keyword::Domain) {
                    kind = ObjectKind::DomainConstraint;
                }
                on = Some(self.object_name()?);
                name
            }
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
                let (name, types) = self.function_with_types()?;
                arguments = types;
                name
            }
            ObjectKind::Type | ObjectKind::Domain => self.simple_type_name()?.name,
            ObjectKind::Aggregate
            | ObjectKind::Operator
            | ObjectKind::OperatorClass
            | ObjectKind::OperatorFamily
            | ObjectKind::Cast
            | ObjectKind::Transform
            | ObjectKind::LargeObject => {
                return self.unsupported(format!("COMMENT ON {}", kind.noun().to_uppercase()));
            }
            _ => self.object_name()?,
        };
        self.expect(Keyword::Is)?;
        let text = if self.eat(Keyword::Null) { None } else { Some(self.string()?) };
        Ok(StatementKind::Comment(Box::new(Comment { kind, arguments, name, on, text })))
    }
}
