//! ALTER of everything.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    pub(super) fn alter(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Alter)?;
        match self.keyword() {
            Keyword::System => return self.alter_system(),
            Keyword::Default => return self.alter_default_privileges(),
            Keyword::Role | Keyword::Group => return self.alter_role(),
            Keyword::User if self.keyword_at(1) != Keyword::Mapping => return self.alter_role(),
            _ => {}
        }
        let kind = self.object_kind().ok_or_else(|| self.syntax_error())?;
        match kind {
            ObjectKind::Table
            | ObjectKind::ForeignTable
            | ObjectKind::Index
            | ObjectKind::View
            | ObjectKind::MaterializedView => self.alter_relation(kind),
            ObjectKind::Sequence => self.alter_sequence(),
            ObjectKind::Database => self.alter_database(),
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => self.alter_function(kind),
            ObjectKind::Type => self.alter_type(),
            ObjectKind::Domain => self.alter_domain(),
            ObjectKind::Schema => {
                let name = ObjectName::single(self.column_id()?);
                match self.alter_common(kind, &name, false)? {
                    Some(common) => Ok(common),
                    None => Err(self.syntax_error()),
                }
            }
            ObjectKind::Column | ObjectKind::Constraint | ObjectKind::Cast | ObjectKind::Transform => {
                Err(self.syntax_error_at(self.tokens[self.position - 1]))
            }
            ObjectKind::Trigger => {
                self.column_id()?;
                self.expect(Keyword::On)?;
                self.object_name()?;
                self.unsupported("ALTER TRIGGER")
            }
            _ => self.unsupported(format!("ALTER {}", kind.noun().to_uppercase())),
        }
    }

    /// RENAME TO, SET SCHEMA, OWNER TO: alike for all kinds.
    pub(super) fn alter_common(
        &mut self,
        kind: ObjectKind,
        name: &ObjectName,
        if_exists: bool,
    ) -> PgResult<Option<StatementKind>> {
        let name = || name.clone();
        if self.eat_all(&[Keyword::Rename, Keyword::To]) {
            let new_name = self.column_id()?;
            let rename = Rename { kind, owner_kind: kind, name: name(), part: None, new_name, if_exists };
            return Ok(Some(StatementKind::Rename(Box::new(rename))));
        }
        if self.eat_all(&[Keyword::Set, Keyword::Schema]) {
            let schema = self.column_id()?;
            let set = SetSchema { kind, name: name(), schema, if_exists };
            return Ok(Some(StatementKind::SetSchema(Box::new(set))));
        }
        if self.eat_all(&[Keyword::Owner, Keyword::To]) {
            let owner = self.role_name()?;
            let set = SetOwner { kind, name: name(), owner, if_exists };
            return Ok(Some(StatementKind::SetOwner(Box::new(set))));
        }
        Ok(None)
    }

    fn alter_function(&mut self, kind: ObjectKind) -> PgResult<StatementKind> {
        let (name, arguments) = self.function_with_types()?;
        let action = if self.eat_all(&[Keyword::Rename, Keyword::To]) {
            AlterFunctionAction::Rename(self.column_id()?)
        } else if self.eat_all(&[Keyword::Set, Keyword::Schema]) {
            AlterFunctionAction::SetSchema(self.column_id()?)
        } else if self.eat_all(&[Keyword::Owner, Keyword::To]) {
            AlterFunctionAction::OwnerTo(self.role_name()?)
        } else if matches!(self.keyword(), Keyword::Depends | Keyword::No) {
            return self.unsupported("ALTER FUNCTION ... DEPENDS ON EXTENSION");
        } else {
            let mut attributes: Vec<Box<str>> = Vec::new();
            loop {
                let start = self.start() as usize;
                if !self.simple_attribute()? {
                    break;
                }
                let end = self.previous_end() as usize;
                attributes.push(self.text[start..end].to_ascii_lowercase().into());
            }
            if attributes.is_empty() {
                return Err(self.syntax_error());
            }
            self.eat(Keyword::Restrict);
            AlterFunctionAction::Attributes(attributes)
        };
        Ok(StatementKind::AlterFunction(Box::new(AlterFunction { kind, name, arguments, action })))
    }

    fn alter_database(&mut self) -> PgResult<StatementKind> {
        let name = self.column_id()?;
        if self.at_all(&[Keyword::Set, Keyword::Tablespace]) {
            return self.unsupported("ALTER DATABASE ... SET TABLESPACE");
        }
        let object = ObjectName::single(name.clone());
        if let Some(common) = self.alter_common(ObjectKind::Database, &object, false)? {
            return Ok(common);
        }
        let action = if matches!(self.keyword(), Keyword::Set | Keyword::Reset) {
            AlterDatabaseAction::Set(self.set_or_reset()?)
        } else if self.eat_all(&[Keyword::Refresh, Keyword::Collation]) {
            self.expect(Keyword::Version)?;
            AlterDatabaseAction::RefreshCollation
        } else {
            AlterDatabaseAction::Options(self.database_options()?)
        };
        Ok(StatementKind::AlterDatabase(Box::new(AlterDatabase { name, action })))
    }

    // --- Types and domains.

    fn alter_type(&mut self) -> PgResult<StatementKind> {
        let name = self.object_name()?;
        let rename = |name, part, new_name, kind| {
            let rename = Rename {
                kind,
                owner_kind: ObjectKind::Type,
                name,
                part: Some(part),
                new_name,
                if_exists: false,
            };
            Ok(StatementKind::Rename(Box::new(rename)))
        };
        if self.eat_all(&[Keyword::Rename, Keyword::Attribute]) {
            let part = self.column_id()?;
            self.expect(Keyword::To)?;
            let new_name = self.column_id()?;
            self.cascade();
            return rename(name, part, new_name, ObjectKind::Column);
        }
        let action = if self.eat_all(&[Keyword::Rename, Keyword::Value]) {
            let from = self.string()?;
            self.expect(Keyword::To)?;
            AlterTypeAction::RenameValue { from, to: self.string()? }
        } else if let Some(common) = self.alter_common(ObjectKind::Type, &name, false)? {
            return Ok(common);
        } else if self.eat_all(&[Keyword::Add, Keyword::Value]) {
            let if_not_exists = self.if_not_exists();
            let label = self.string()?;
            let neighbour = if self.eat(Keyword::Before) {
                Some((true, self.string()?))
            } else if self.eat(Keyword::After) {
                Some((false, self.string()?))
            } else {
                None
            };
            AlterTypeAction::AddValue { label, if_not_exists, neighbour }
        } else if self.eat_all(&[Keyword::Add, Keyword::Attribute]) {
            let column = self.column_definition()?;
            self.cascade();
            AlterTypeAction::AddAttribute(column)
        } else if self.eat_all(&[Keyword::Drop, Keyword::Attribute]) {
            let if_exists = self.if_exists();
            let name = self.column_id()?;
            AlterTypeAction::DropAttribute { name, if_exists, cascade: self.cascade() }
        } else if self.eat_all(&[Keyword::Alter, Keyword::Attribute]) {
            let name = self.column_id()?;
            self.eat_all(&[Keyword::Set, Keyword::Data]);
            self.expect(Keyword::Type)?;
            let type_name = self.type_name()?;
            if self.eat(Keyword::Collate) {
                self.object_name()?;
            }
            self.cascade();
            AlterTypeAction::AlterAttribute { name, type_name }
        } else {
            self.expect(Keyword::Set)?;
            self.storage_parameters()?;
            AlterTypeAction::SetProperties
        };
        if self.at_symbol(b',') {
            return self.unsupported("ALTER TYPE with several actions");
        }
        Ok(StatementKind::AlterType(Box::new(AlterType { name, action })))
    }

    fn alter_domain(&mut self) -> PgResult<StatementKind> {
        let name = self.object_name()?;
        if let Some(common) = self.alter_common(ObjectKind::Domain, &name, false)? {
            return Ok(common);
        }
        if self.eat_all(&[Keyword::Rename, Keyword::Constraint]) {
            let part = self.column_id()?;
            self.expect(Keyword::To)?;
            return Ok(StatementKind::Rename(Box::new(Rename {
                kind: ObjectKind::DomainConstraint,
                owner_kind: ObjectKind::Domain,
                name,
                part: Some(part),
                new_name: self.column_id()?,
                if_exists: false,
            })));
        }
        let action = if self.eat_all(&[Keyword::Set, Keyword::Default]) {
            AlterDomainAction::SetDefault(self.sourced(Self::expression)?)
        } else if self.eat_all(&[Keyword::Drop, Keyword::Default]) {
            AlterDomainAction::DropDefault
        } else if self.eat_all(&[Keyword::Set, Keyword::Not, Keyword::Null]) {
            AlterDomainAction::SetNotNull
        } else if self.eat_all(&[Keyword::Drop, Keyword::Not, Keyword::Null]) {
            AlterDomainAction::DropNotNull
        } else if self.eat(Keyword::Add) {
            AlterDomainAction::AddConstraint(Box::new(self.table_constraint()?))
        } else if self.eat_all(&[Keyword::Drop, Keyword::Constraint]) {
            let if_exists = self.if_exists();
            let name = self.column_id()?;
            AlterDomainAction::DropConstraint { name, if_exists, cascade: self.cascade() }
        } else {
            self.expect_all(&[Keyword::Validate, Keyword::Constraint])?;
            AlterDomainAction::ValidateConstraint(self.column_id()?)
        };
        Ok(StatementKind::AlterDomain(Box::new(AlterDomain { name, action })))
    }

    // --- Relations.

    fn alter_relation(&mut self, kind: ObjectKind) -> PgResult<StatementKind> {
        if self.at(Keyword::All) {
            return self.unsupported("ALTER TABLE ALL IN TABLESPACE");
        }
        let if_exists = self.if_exists();
        let table = self.relation()?;
        if let Some(common) = self.alter_common(kind, &table.name, if_exists)? {
            return Ok(common);
        }
        if self.eat(Keyword::Rename) {
            return self.rename_part(kind, table.name, if_exists);
        }
        let actions = self.list(Self::alter_action)?;
        let alter = Box::new(AlterTable { table, if_exists, actions, kind });
        Ok(match kind {
            ObjectKind::Index => StatementKind::AlterIndex(alter),
            ObjectKind::View | ObjectKind::MaterializedView => StatementKind::AlterView(alter),
            _ => StatementKind::AlterTable(alter),
        })
    }

    /// RENAME [COLUMN] a TO b, RENAME CONSTRAINT a TO b.
    fn rename_part(
        &mut self,
        owner_kind: ObjectKind,
        name: ObjectName,
        if_exists: bool,
    ) -> PgResult<StatementKind> {
        let kind = if self.eat(Keyword::Constraint) {
            ObjectKind::Constraint
        } else {
            self.eat(Keyword::Column);
            ObjectKind::Column
        };
        let part = Some(self.column_id()?);
        self.expect(Keyword::To)?;
        let new_name = self.column_id()?;
        Ok(StatementKind::Rename(Box::new(Rename { kind, owner_kind, name, part, new_name, if_exists })))
    }

    fn alter_action(&mut self) -> PgResult<AlterTableAction> {
        if self.at_word(0, "split") {
            self.advance();
            self.expect(Keyword::At)?;
            return Ok(AlterTableAction::SplitAt(Box::new(self.split_values()?)));
        }
        if self.at_word(0, "unsplit") {
            self.advance();
            if self.eat(Keyword::All) {
                return Ok(AlterTableAction::UnsplitAt(None));
            }
            self.expect(Keyword::At)?;
            return Ok(AlterTableAction::UnsplitAt(Some(Box::new(self.split_values()?))));
        }
        match self.keyword() {
            Keyword::Add => self.alter_add(),
            Keyword::Drop => self.alter_drop(),
            Keyword::Alter => self.alter_column_or_constraint(),
            Keyword::Validate => {
                self.advance();
                self.expect(Keyword::Constraint)?;
                Ok(AlterTableAction::ValidateConstraint { name: self.column_id()? })
            }
            Keyword::Set => self.alter_set(),
            Keyword::Reset => {
                self.advance();
                Ok(AlterTableAction::ResetOptions(self.storage_parameters()?))
            }
            Keyword::Owner => {
                self.advance();
                self.expect(Keyword::To)?;
                Ok(AlterTableAction::OwnerTo(self.role_name()?))
            }
            Keyword::Enable | Keyword::Disable | Keyword::Force | Keyword::No => self.alter_switch(),
            Keyword::Inherit => {
                self.advance();
                self.object_name()?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... INHERIT".into()))
            }
            Keyword::Attach => {
                self.advance();
                self.expect(Keyword::Partition)?;
                self.object_name()?;
                if self.at(Keyword::For) || self.at(Keyword::Default) {
                    self.partition_bound()?;
                }
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... ATTACH PARTITION".into()))
            }
            Keyword::Detach => {
                self.advance();
                self.expect(Keyword::Partition)?;
                self.object_name()?;
                if !self.eat(Keyword::Concurrently) {
                    self.eat(Keyword::Finalize);
                }
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... DETACH PARTITION".into()))
            }
            Keyword::Cluster => {
                self.advance();
                self.expect(Keyword::On)?;
                self.column_id()?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... CLUSTER ON".into()))
            }
            Keyword::Replica => {
                self.advance();
                self.expect(Keyword::Identity)?;
                if self.eat(Keyword::Using) {
                    self.expect(Keyword::Index)?;
                }
                self.label()?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... REPLICA IDENTITY".into()))
            }
            Keyword::Of => {
                self.advance();
                self.object_name()?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... OF".into()))
            }
            Keyword::Not => {
                self.advance();
                self.expect(Keyword::Of)?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... NOT OF".into()))
            }
            Keyword::Options => {
                self.advance();
                self.parenthesized(|parser| {
                    if matches!(parser.keyword(), Keyword::Add | Keyword::Set | Keyword::Drop) {
                        parser.advance();
                    }
                    parser.generic_option()
                })?;
                Ok(AlterTableAction::Unsupported("ALTER FOREIGN TABLE ... OPTIONS".into()))
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// `(VALUES ...)` or VALUES ..., or any query.
    fn split_values(&mut self) -> PgResult<Query> {
        self.query()
    }

    fn alter_add(&mut self) -> PgResult<AlterTableAction> {
        self.expect(Keyword::Add)?;
        if self.at_table_constraint() {
            return Ok(AlterTableAction::AddConstraint(Box::new(self.table_constraint()?)));
        }
        self.eat(Keyword::Column);
        let if_not_exists = self.if_not_exists();
        Ok(AlterTableAction::AddColumn { column: self.column_definition()?, if_not_exists })
    }

    fn alter_drop(&mut self) -> PgResult<AlterTableAction> {
        self.expect(Keyword::Drop)?;
        let constraint = self.eat(Keyword::Constraint);
        if !constraint {
            self.eat(Keyword::Column);
        }
        let if_exists = self.if_exists();
        let name = self.column_id()?;
        let cascade = self.cascade();
        Ok(if constraint {
            AlterTableAction::DropConstraint { name, if_exists, cascade }
        } else {
            AlterTableAction::DropColumn { name, if_exists, cascade }
        })
    }

    fn alter_column_or_constraint(&mut self) -> PgResult<AlterTableAction> {
        self.expect(Keyword::Alter)?;
        if self.eat(Keyword::Constraint) {
            let name = self.column_id()?;
            let timing = self.timing()?;
            let refused = if timing.no_inherit {
                "FOREIGN KEY constraints cannot be marked NO INHERIT"
            } else if timing.not_valid {
                "FOREIGN KEY constraints cannot be marked NOT VALID"
            } else {
                return Ok(AlterTableAction::AlterConstraint { name, timing });
            };
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, refused));
        }
        self.eat(Keyword::Column);
        if self.kind() == super::lexer::TokenKind::Integer {
            // ALTER INDEX ... ALTER COLUMN n SET STATISTICS.
            let at = self.start();
            if !(1..=32767).contains(&self.integer()?) {
                let message = "column number must be in range from 1 to 32767";
                return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at));
            }
            self.expect_all(&[Keyword::Set, Keyword::Statistics])?;
            self.signed_integer()?;
            return Ok(AlterTableAction::Unsupported("ALTER INDEX ... SET STATISTICS".into()));
        }
        let column = self.column_id()?;
        match self.advance().keyword {
            Keyword::Type => self.alter_column_type(column),
            Keyword::Set => self.alter_column_set(column),
            Keyword::Drop => self.alter_column_drop(column),
            Keyword::Reset => {
                self.storage_parameters()?;
                Ok(AlterTableAction::Unsupported("ALTER COLUMN ... RESET".into()))
            }
            Keyword::Restart => {
                self.position -= 1;
                let options = self.sequence_options()?;
                Ok(AlterTableAction::AlterIdentity { column, always: None, options })
            }
            Keyword::Add => {
                self.expect(Keyword::Generated)?;
                let always = self.generated_when()?;
                self.expect_all(&[Keyword::As, Keyword::Identity])?;
                let options = self.parenthesized_sequence_options()?;
                Ok(AlterTableAction::AddIdentity { column, always, options })
            }
            Keyword::Options => {
                self.parenthesized(Self::generic_option)?;
                Ok(AlterTableAction::Unsupported("ALTER COLUMN ... OPTIONS".into()))
            }
            _ => {
                self.position -= 1;
                Err(self.syntax_error())
            }
        }
    }

    fn alter_column_type(&mut self, column: Identifier) -> PgResult<AlterTableAction> {
        let type_name = self.type_name()?;
        let collation = if self.eat(Keyword::Collate) { Some(self.object_name()?) } else { None };
        let using = if self.eat(Keyword::Using) { Some(self.sourced(Self::expression)?) } else { None };
        Ok(AlterTableAction::AlterColumnType { column, type_name, collation, using })
    }

    fn alter_column_set(&mut self, column: Identifier) -> PgResult<AlterTableAction> {
        if self.eat(Keyword::Default) {
            return Ok(AlterTableAction::SetDefault { column, expression: self.sourced(Self::expression)? });
        }
        if self.eat_all(&[Keyword::Not, Keyword::Null]) {
            return Ok(AlterTableAction::SetNotNull { column });
        }
        if self.eat_all(&[Keyword::Data, Keyword::Type]) {
            return self.alter_column_type(column);
        }
        if self.eat(Keyword::Statistics) {
            return Ok(AlterTableAction::SetStatistics { column, target: self.signed_integer()? });
        }
        if self.eat(Keyword::Storage) {
            return Ok(AlterTableAction::SetStorage { column, storage: self.label()? });
        }
        if self.eat(Keyword::Compression) {
            self.label()?;
            return Ok(AlterTableAction::Unsupported("ALTER COLUMN ... SET COMPRESSION".into()));
        }
        if self.at_symbol(b'(') {
            self.storage_parameters()?;
            return Ok(AlterTableAction::Unsupported("ALTER COLUMN ... SET (...)".into()));
        }
        // SET GENERATED and SET sequence options may follow one another.
        self.position -= 1;
        let (mut always, mut options) = (None, Vec::new());
        loop {
            if self.eat_all(&[Keyword::Set, Keyword::Generated]) {
                always = Some(self.generated_when()?);
            } else if self.at(Keyword::Restart) || self.at(Keyword::Set) {
                self.eat(Keyword::Set);
                let option = self.sequence_option()?;
                options.push(option.ok_or_else(|| self.syntax_error())?);
            } else {
                return Ok(AlterTableAction::AlterIdentity { column, always, options });
            }
        }
    }

    fn alter_column_drop(&mut self, column: Identifier) -> PgResult<AlterTableAction> {
        if self.eat(Keyword::Default) {
            return Ok(AlterTableAction::DropDefault { column });
        }
        if self.eat_all(&[Keyword::Not, Keyword::Null]) {
            return Ok(AlterTableAction::DropNotNull { column });
        }
        if self.eat(Keyword::Expression) {
            return Ok(AlterTableAction::DropExpression { column, if_exists: self.if_exists() });
        }
        self.expect(Keyword::Identity)?;
        Ok(AlterTableAction::DropIdentity { column, if_exists: self.if_exists() })
    }

    fn alter_set(&mut self) -> PgResult<AlterTableAction> {
        self.expect(Keyword::Set)?;
        if self.at_symbol(b'(') {
            return Ok(AlterTableAction::SetOptions(self.storage_parameters()?));
        }
        match self.advance().keyword {
            Keyword::Tablespace => Ok(AlterTableAction::SetTablespace(self.column_id()?)),
            Keyword::Logged => Ok(AlterTableAction::SetLogged(true)),
            Keyword::Unlogged => Ok(AlterTableAction::SetLogged(false)),
            Keyword::Without => {
                if !self.eat(Keyword::Oids) {
                    self.expect(Keyword::Cluster)?;
                }
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... SET WITHOUT CLUSTER".into()))
            }
            Keyword::Access => {
                self.expect(Keyword::Method)?;
                self.column_id()?;
                Ok(AlterTableAction::Unsupported("ALTER TABLE ... SET ACCESS METHOD".into()))
            }
            _ => {
                self.position -= 1;
                Err(self.syntax_error())
            }
        }
    }

    /// ENABLE and DISABLE of triggers, rules and row security; FORCE; NO INHERIT.
    fn alter_switch(&mut self) -> PgResult<AlterTableAction> {
        let word = self.advance().keyword;
        if word == Keyword::No && self.eat(Keyword::Inherit) {
            self.object_name()?;
            return Ok(AlterTableAction::Unsupported("ALTER TABLE ... NO INHERIT".into()));
        }
        if word == Keyword::No {
            self.expect(Keyword::Force)?;
        }
        if self.eat_all(&[Keyword::Row, Keyword::Level, Keyword::Security]) {
            return Ok(AlterTableAction::RowLevelSecurity(match word {
                Keyword::Enable => "enable",
                Keyword::Disable => "disable",
                Keyword::Force => "force",
                _ => "no force",
            }));
        }
        if !matches!(word, Keyword::Enable | Keyword::Disable) {
            return Err(self.syntax_error());
        }
        if !self.eat(Keyword::Always) {
            self.eat(Keyword::Replica);
        }
        if self.eat(Keyword::Rule) {
            self.column_id()?;
            return Ok(AlterTableAction::Unsupported("ALTER TABLE ... ENABLE RULE".into()));
        }
        self.expect(Keyword::Trigger)?;
        let name =
            if self.eat(Keyword::All) || self.eat(Keyword::User) { None } else { Some(self.column_id()?) };
        Ok(AlterTableAction::EnableTrigger { name, enable: word == Keyword::Enable })
    }
}
