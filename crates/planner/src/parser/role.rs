//! Roles and privileges.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::PgResult;

impl Parser<'_> {
    /// RoleSpec.
    pub(super) fn role_name(&mut self) -> PgResult<RoleName> {
        let special = match self.keyword() {
            Keyword::CurrentUser => Some(RoleName::CurrentUser),
            Keyword::CurrentRole => Some(RoleName::CurrentRole),
            Keyword::SessionUser => Some(RoleName::SessionUser),
            _ => None,
        };
        if let Some(role) = special {
            self.advance();
            return Ok(role);
        }
        if !self.is_non_reserved(self.peek()) {
            return Err(self.syntax_error());
        }
        let quoted = self.keyword() == Keyword::None && self.peek().kind != super::lexer::TokenKind::Word;
        let name = self.take_name()?;
        if &*name.name == "public" && !quoted {
            return Ok(RoleName::Public);
        }
        Ok(RoleName::Name(name))
    }

    fn role_list(&mut self) -> PgResult<Vec<RoleName>> {
        self.list(Self::role_name)
    }

    pub(super) fn create_role(&mut self) -> PgResult<StatementKind> {
        let statement = match self.advance().keyword {
            Keyword::User => "user",
            Keyword::Group => "group",
            _ => "role",
        };
        let name = self.role_name()?;
        self.eat(Keyword::With);
        let options = self.role_options(true)?;
        Ok(StatementKind::CreateRole(Box::new(CreateRole { name, statement, options })))
    }

    fn role_options(&mut self, create: bool) -> PgResult<Vec<RoleOption>> {
        let mut options = Vec::new();
        while !self.at_end() && !self.at_symbol(b';') {
            options.push(self.role_option(create)?);
        }
        Ok(options)
    }

    fn role_option(&mut self, create: bool) -> PgResult<RoleOption> {
        let keyword = self.keyword();
        if let Some(flag) = self.role_flag() {
            self.advance();
            return Ok(flag);
        }
        self.advance();
        Ok(match keyword {
            Keyword::Inherit => RoleOption::Inherit(true),
            Keyword::Encrypted => {
                self.expect(Keyword::Password)?;
                RoleOption::Password(Some(self.string()?))
            }
            Keyword::Password if self.eat(Keyword::Null) => RoleOption::Password(None),
            Keyword::Password => RoleOption::Password(Some(self.string()?)),
            Keyword::Connection => {
                self.expect(Keyword::Limit)?;
                RoleOption::ConnectionLimit(self.signed_integer()?)
            }
            Keyword::Valid => {
                self.expect(Keyword::Until)?;
                RoleOption::ValidUntil(self.string()?)
            }
            Keyword::User if !create => RoleOption::Role(self.role_list()?),
            Keyword::User | Keyword::Role if create => RoleOption::Role(self.role_list()?),
            Keyword::Admin if create => RoleOption::Admin(self.role_list()?),
            Keyword::In if create => {
                if !self.eat(Keyword::Role) {
                    self.expect(Keyword::Group)?;
                }
                RoleOption::InRole(self.role_list()?)
            }
            Keyword::Sysid if create => {
                self.integer()?;
                RoleOption::SystemId
            }
            _ => {
                self.position -= 1;
                return Err(self.syntax_error());
            }
        })
    }

    /// LOGIN, NOLOGIN ...: words that are no key words.
    fn role_flag(&self) -> Option<RoleOption> {
        let token = self.peek();
        let word = self.token_text(token).to_ascii_lowercase();
        Some(match word.as_str() {
            "superuser" => RoleOption::Superuser(true),
            "nosuperuser" => RoleOption::Superuser(false),
            "createdb" => RoleOption::CreateDatabase(true),
            "nocreatedb" => RoleOption::CreateDatabase(false),
            "createrole" | "createuser" => RoleOption::CreateRole(true),
            "nocreaterole" | "nocreateuser" => RoleOption::CreateRole(false),
            "noinherit" => RoleOption::Inherit(false),
            "login" => RoleOption::Login(true),
            "nologin" => RoleOption::Login(false),
            "replication" => RoleOption::Replication(true),
            "noreplication" => RoleOption::Replication(false),
            "bypassrls" => RoleOption::BypassRowSecurity(true),
            "nobypassrls" => RoleOption::BypassRowSecurity(false),
            _ => return None,
        })
    }

    /// ALTER ROLE | USER | GROUP, at that word.
    pub(super) fn alter_role(&mut self) -> PgResult<StatementKind> {
        let group = self.advance().keyword == Keyword::Group;
        let name = if self.eat(Keyword::All) { None } else { Some(self.role_name()?) };
        if self.at_all(&[Keyword::Rename, Keyword::To]) {
            self.position += 2;
            let new_name = self.column_id()?;
            let old = match name {
                Some(RoleName::Name(old)) => old,
                _ => return Err(self.syntax_error()),
            };
            return Ok(StatementKind::Rename(Box::new(Rename {
                kind: ObjectKind::Role,
                owner_kind: ObjectKind::Role,
                name: ObjectName::single(old),
                part: None,
                new_name,
                if_exists: false,
            })));
        }
        let action = if group && matches!(self.keyword(), Keyword::Add | Keyword::Drop) {
            let add = self.advance().keyword == Keyword::Add;
            self.expect(Keyword::User)?;
            AlterRoleAction::Members { add, members: self.role_list()? }
        } else if matches!(self.keyword(), Keyword::In | Keyword::Set | Keyword::Reset) {
            let mut database = None;
            if self.eat_all(&[Keyword::In, Keyword::Database]) {
                database = Some(self.column_id()?);
            }
            AlterRoleAction::Set { database, variable: self.set_or_reset()? }
        } else {
            self.eat(Keyword::With);
            AlterRoleAction::Options(self.role_options(false)?)
        };
        Ok(StatementKind::AlterRole(Box::new(AlterRole { name, action })))
    }

    /// SET ... or RESET ... within ALTER.
    pub(super) fn set_or_reset(&mut self) -> PgResult<SetVariable> {
        let position = self.start();
        let reset = self.eat(Keyword::Reset);
        let action = if reset {
            self.reset_action()?
        } else {
            self.expect(Keyword::Set)?;
            self.set_action()?
        };
        Ok(SetVariable { scope: SetScope::Session, action, position })
    }

    // --- GRANT, REVOKE.

    pub(super) fn grant(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Grant)?;
        let privileges = self.privileges()?;
        if !self.at(Keyword::On) {
            self.expect(Keyword::To)?;
            let members = self.role_list()?;
            let admin_option = self.eat_all(&[Keyword::With, Keyword::Admin, Keyword::Option]);
            self.granted_by()?;
            return self.grant_role(true, privileges, members, admin_option, false);
        }
        self.advance();
        let target = self.grant_target()?;
        self.expect(Keyword::To)?;
        let grantees = self.grantees()?;
        let with_grant_option = self.eat_all(&[Keyword::With, Keyword::Grant, Keyword::Option]);
        self.granted_by()?;
        Ok(StatementKind::Grant(Box::new(Grant {
            grant: true,
            grant_option_for: false,
            privileges,
            target,
            grantees,
            with_grant_option,
            cascade: false,
        })))
    }

    pub(super) fn revoke(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Revoke)?;
        let admin_option = self.eat_all(&[Keyword::Admin, Keyword::Option, Keyword::For]);
        let grant_option_for = self.eat_all(&[Keyword::Grant, Keyword::Option, Keyword::For]);
        let privileges = self.privileges()?;
        if !self.at(Keyword::On) {
            self.expect(Keyword::From)?;
            let members = self.role_list()?;
            self.granted_by()?;
            let cascade = self.cascade();
            return self.grant_role(false, privileges, members, admin_option, cascade);
        }
        self.advance();
        let target = self.grant_target()?;
        self.expect(Keyword::From)?;
        let grantees = self.grantees()?;
        self.granted_by()?;
        Ok(StatementKind::Grant(Box::new(Grant {
            grant: false,
            grant_option_for,
            privileges,
            target,
            grantees,
            with_grant_option: false,
            cascade: self.cascade(),
        })))
    }

    fn grant_role(
        &mut self,
        grant: bool,
        privileges: Vec<Privilege>,
        members: Vec<RoleName>,
        admin_option: bool,
        cascade: bool,
    ) -> PgResult<StatementKind> {
        if privileges.is_empty() {
            return Err(self.syntax_error());
        }
        let roles = privileges
            .into_iter()
            .map(|privilege| Identifier::new(privilege.name, privilege.position))
            .collect();
        Ok(StatementKind::GrantRole(Box::new(GrantRole { grant, roles, members, admin_option, cascade })))
    }

    /// ALTER DEFAULT PRIVILEGES, at DEFAULT.
    pub(super) fn alter_default_privileges(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Default)?;
        self.expect(Keyword::Privileges)?;
        let (mut roles, mut schemas) = (Vec::new(), Vec::new());
        loop {
            if self.eat_all(&[Keyword::In, Keyword::Schema]) {
                schemas = self.list(Self::column_id)?;
            } else if self.eat(Keyword::For) {
                if !self.eat(Keyword::Role) {
                    self.expect(Keyword::User)?;
                }
                roles = self.role_list()?;
            } else {
                break;
            }
        }
        let grant = !self.at(Keyword::Revoke);
        if grant {
            self.expect(Keyword::Grant)?;
        } else {
            self.expect(Keyword::Revoke)?;
        }
        let grant_option_for = !grant && self.eat_all(&[Keyword::Grant, Keyword::Option, Keyword::For]);
        let privileges = self.privileges()?;
        self.expect(Keyword::On)?;
        let kind = match self.keyword() {
            Keyword::Tables => ObjectKind::Table,
            Keyword::Sequences => ObjectKind::Sequence,
            Keyword::Functions | Keyword::Routines => ObjectKind::Function,
            Keyword::Types => ObjectKind::Type,
            Keyword::Schemas => ObjectKind::Schema,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        self.expect(if grant { Keyword::To } else { Keyword::From })?;
        let grantees = self.grantees()?;
        let with_grant_option = grant && self.eat_all(&[Keyword::With, Keyword::Grant, Keyword::Option]);
        let cascade = !grant && self.cascade();
        let grant = Grant {
            grant,
            grant_option_for,
            privileges,
            target: GrantTarget::AllInSchema { kind, schemas: Vec::new() },
            grantees,
            with_grant_option,
            cascade,
        };
        let alter = AlterDefaultPrivileges { roles, schemas, grant };
        Ok(StatementKind::AlterDefaultPrivileges(Box::new(alter)))
    }

    /// DROP OWNED BY, at OWNED.
    pub(super) fn drop_owned(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Owned)?;
        self.expect(Keyword::By)?;
        let roles = self.role_list()?;
        let cascade = self.cascade();
        Ok(StatementKind::Owned(Box::new(Owned { roles, new_owner: None, cascade })))
    }

    /// REASSIGN OWNED BY ... TO.
    pub(super) fn reassign_owned(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Reassign)?;
        self.expect(Keyword::Owned)?;
        self.expect(Keyword::By)?;
        let roles = self.role_list()?;
        self.expect(Keyword::To)?;
        let new_owner = Some(self.role_name()?);
        Ok(StatementKind::Owned(Box::new(Owned { roles, new_owner, cascade: false })))
    }

    fn granted_by(&mut self) -> PgResult<()> {
        if self.eat_all(&[Keyword::Granted, Keyword::By]) {
            self.role_name()?;
        }
        Ok(())
    }

    fn grantees(&mut self) -> PgResult<Vec<RoleName>> {
        self.list(|parser| {
            parser.eat(Keyword::Group);
            parser.role_name()
        })
    }

    /// ALL [PRIVILEGES] is the empty list.
    fn privileges(&mut self) -> PgResult<Vec<Privilege>> {
        if self.at(Keyword::All) {
            self.advance();
            self.eat(Keyword::Privileges);
            if self.at_symbol(b'(') {
                let position = self.start();
                let columns = self.column_list()?;
                return Ok(vec![Privilege { name: "all".into(), columns, position }]);
            }
            return Ok(Vec::new());
        }
        self.list(|parser| {
            let position = parser.start();
            let name: Box<str> = if parser.eat_all(&[Keyword::Alter, Keyword::System]) {
                "alter system".into()
            } else {
                match parser.keyword() {
                    Keyword::Select | Keyword::References | Keyword::Create => parser.label()?.name,
                    _ => parser.column_id()?.name,
                }
            };
            Ok(Privilege { name, columns: parser.optional_column_list()?, position })
        })
    }

    fn grant_target(&mut self) -> PgResult<GrantTarget> {
        if self.at_all(&[Keyword::All]) && self.keyword_at(2) == Keyword::In {
            self.advance();
            let kind = match self.keyword() {
                Keyword::Tables => ObjectKind::Table,
                Keyword::Sequences => ObjectKind::Sequence,
                Keyword::Functions => ObjectKind::Function,
                Keyword::Procedures => ObjectKind::Procedure,
                Keyword::Routines => ObjectKind::Routine,
                _ => return Err(self.syntax_error()),
            };
            self.position += 2;
            self.expect(Keyword::Schema)?;
            return Ok(GrantTarget::AllInSchema { kind, schemas: self.list(Self::column_id)? });
        }
        let kind = match self.keyword() {
            Keyword::Table => ObjectKind::Table,
            Keyword::Sequence => ObjectKind::Sequence,
            Keyword::Database => ObjectKind::Database,
            Keyword::Schema => ObjectKind::Schema,
            Keyword::Domain => ObjectKind::Domain,
            Keyword::Type => ObjectKind::Type,
            Keyword::Language => ObjectKind::Language,
            Keyword::Tablespace => ObjectKind::Tablespace,
            Keyword::Function => ObjectKind::Function,
            Keyword::Procedure => ObjectKind::Procedure,
            Keyword::Routine => ObjectKind::Routine,
            Keyword::Parameter => ObjectKind::Parameter,
            Keyword::Foreign if self.keyword_at(1) == Keyword::Data => {
                self.position += 2;
                ObjectKind::ForeignDataWrapper
            }
            Keyword::Foreign if self.keyword_at(1) == Keyword::Server => {
                self.advance();
                ObjectKind::Server
            }
            Keyword::Large if self.keyword_at(1) == Keyword::Object => {
                self.position += 2;
                let names = self.list(|parser| {
                    let at = parser.start();
                    Ok(ObjectName::single(Identifier::new(parser.signed_number()?, at)))
                })?;
                return Ok(GrantTarget::Objects { kind: ObjectKind::LargeObject, names });
            }
            _ => {
                let names = self.list(Self::object_name)?;
                return Ok(GrantTarget::Objects { kind: ObjectKind::Table, names });
            }
        };
        self.advance();
        let names = if matches!(kind, ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine) {
            self.list(|parser| Ok(parser.function_with_types()?.0))?
        } else {
            self.list(Self::object_name)?
        };
        Ok(GrantTarget::Objects { kind, names })
    }

    /// `name [(types)]`.
    pub(super) fn function_with_types(&mut self) -> PgResult<(ObjectName, Option<Vec<TypeName>>)> {
        let name = self.function_name()?;
        if !self.eat_symbol(b'(') {
            return Ok((name, None));
        }
        let mut types = Vec::new();
        if !self.at_symbol(b')') {
            types = self.list(|parser| Ok(parser.function_parameter()?.type_name))?;
        }
        self.expect_symbol(b')')?;
        Ok((name, Some(types)))
    }
}
