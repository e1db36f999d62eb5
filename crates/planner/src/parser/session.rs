//! SET and SHOW, prepared statements, cursors, and the other statements of a session.

use super::Parser;
use super::keywords::Keyword;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

impl Parser<'_> {
    // --- SET, RESET, SHOW.

    pub(super) fn set_statement(&mut self) -> PgResult<StatementKind> {
        let position = self.start();
        self.expect(Keyword::Set)?;
        if self.eat_cluster("setting") {
            return self.set_cluster_setting(false);
        }
        if self.eat(Keyword::Constraints) {
            return self.set_constraints();
        }
        let mut scope = SetScope::Session;
        if self.at(Keyword::Local) && !self.symbol_at(1, b'=') && self.keyword_at(1) != Keyword::To {
            self.advance();
            scope = SetScope::Local;
        } else if self.at(Keyword::Session) && self.keyword_at(1) == Keyword::Characteristics {
            self.position += 2;
            self.expect_all(&[Keyword::As, Keyword::Transaction])?;
            let modes = self.required_modes()?;
            let set = SetVariable { scope, action: SetAction::Characteristics(modes), position };
            return Ok(StatementKind::SetVariable(Box::new(set)));
        } else if self.at(Keyword::Session)
            && self.keyword_at(1) != Keyword::Authorization
            && !self.symbol_at(1, b'=')
            && self.keyword_at(1) != Keyword::To
        {
            self.advance();
        }
        let action = self.set_action()?;
        Ok(StatementKind::SetVariable(Box::new(SetVariable { scope, action, position })))
    }

    fn required_modes(&mut self) -> PgResult<Vec<TransactionMode>> {
        let modes = self.transaction_modes()?;
        if modes.is_empty() { Err(self.syntax_error()) } else { Ok(modes) }
    }

    /// set_rest, after SET [LOCAL | SESSION].
    pub(super) fn set_action(&mut self) -> PgResult<SetAction> {
        match self.keyword() {
            Keyword::Transaction if self.keyword_at(1) == Keyword::Snapshot => {
                self.position += 2;
                return Ok(SetAction::TransactionSnapshot(self.string()?));
            }
            Keyword::Transaction => {
                self.advance();
                return Ok(SetAction::Transaction(self.required_modes()?));
            }
            Keyword::Time if self.keyword_at(1) == Keyword::Zone => {
                self.position += 2;
                return Ok(SetAction::TimeZone(self.time_zone()?));
            }
            Keyword::Catalog | Keyword::Schema if self.is_string(self.peek_at(1)) => {
                if self.at(Keyword::Catalog) {
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "current database cannot be changed",
                    )
                    .at(self.start()));
                }
                self.advance();
                let values = vec![SetValue::Text(self.string()?)];
                return Ok(SetAction::Set { name: "search_path".into(), values });
            }
            Keyword::Names => {
                self.advance();
                let name: Box<str> = "client_encoding".into();
                if self.eat(Keyword::Default) || !self.is_string(self.peek()) {
                    return Ok(SetAction::Default { name });
                }
                return Ok(SetAction::Set { name, values: vec![SetValue::Text(self.string()?)] });
            }
            Keyword::Role if !self.symbol_at(1, b'=') && self.keyword_at(1) != Keyword::To => {
                self.advance();
                let none = self.eat(Keyword::NoneKeyword);
                return Ok(SetAction::Role(if none { None } else { Some(self.word_or_string()?) }));
            }
            Keyword::Session if self.keyword_at(1) == Keyword::Authorization => {
                self.position += 2;
                let default = self.eat(Keyword::Default);
                return Ok(SetAction::SessionAuthorization(if default {
                    None
                } else {
                    Some(self.word_or_string()?)
                }));
            }
            Keyword::Xml if self.keyword_at(1) == Keyword::Option => {
                self.position += 2;
                let value = self.label()?.name;
                return Ok(SetAction::Set { name: "xmloption".into(), values: vec![SetValue::Text(value)] });
            }
            _ => {}
        }
        let name = self.variable_name()?;
        if self.eat_all(&[Keyword::From, Keyword::Current]) {
            return Ok(SetAction::FromCurrent { name });
        }
        Ok(match self.assigned_values()? {
            Some(values) => SetAction::Set { name, values },
            None => SetAction::Default { name },
        })
    }

    /// `= values` or `TO values`; `None`: DEFAULT.
    fn assigned_values(&mut self) -> PgResult<Option<Vec<SetValue>>> {
        if !self.eat_symbol(b'=') {
            self.expect(Keyword::To)?;
        }
        if self.eat(Keyword::Default) {
            return Ok(None);
        }
        self.list(Self::set_value).map(Some)
    }

    /// CLUSTER and a word that is no keyword.
    fn eat_cluster(&mut self, word: &str) -> bool {
        let found = self.at(Keyword::Cluster) && self.at_word(1, word);
        self.position += if found { 2 } else { 0 };
        found
    }

    /// generic_set, after SET CLUSTER SETTING and ALTER SYSTEM SET.
    fn set_cluster_setting(&mut self, is_system: bool) -> PgResult<StatementKind> {
        let name = Some(self.variable_name()?);
        let values = self.assigned_values()?;
        Ok(StatementKind::ClusterSetting(Box::new(ClusterSetting { name, values, is_system })))
    }

    /// generic_reset, after RESET CLUSTER SETTING and ALTER SYSTEM RESET.
    fn reset_cluster_setting(&mut self, is_system: bool) -> PgResult<StatementKind> {
        let name = if self.eat(Keyword::All) { None } else { Some(self.variable_name()?) };
        Ok(StatementKind::ClusterSetting(Box::new(ClusterSetting { name, values: None, is_system })))
    }

    /// After ALTER SYSTEM.
    pub(super) fn alter_system(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::System)?;
        if self.eat(Keyword::Reset) {
            return self.reset_cluster_setting(true);
        }
        self.expect(Keyword::Set)?;
        self.set_cluster_setting(true)
    }

    fn set_value(&mut self) -> PgResult<SetValue> {
        if self.at_number() {
            return Ok(SetValue::Number(self.signed_number()?));
        }
        if matches!(self.keyword(), Keyword::True | Keyword::False | Keyword::On) {
            return Ok(SetValue::Text(self.label()?.name));
        }
        Ok(SetValue::Text(self.word_or_string()?))
    }

    fn time_zone(&mut self) -> PgResult<Option<TimeZoneValue>> {
        if self.eat(Keyword::Default) || self.eat(Keyword::Local) {
            return Ok(None);
        }
        if self.at(Keyword::Interval) {
            self.advance();
            if self.at_symbol(b'(') {
                self.parenthesized(Self::integer)?;
            }
            let text = self.string()?;
            if self.eat(Keyword::Hour) && self.eat(Keyword::To) {
                self.expect(Keyword::Minute)?;
            }
            return Ok(Some(TimeZoneValue::Interval(text)));
        }
        if self.at_number() {
            return Ok(Some(TimeZoneValue::Hours(self.signed_number()?)));
        }
        if self.is_string(self.peek()) {
            return Ok(Some(TimeZoneValue::Name(self.string()?)));
        }
        Ok(Some(TimeZoneValue::Name(self.column_id()?.name)))
    }

    /// var_name: dotted, lower case.
    fn variable_name(&mut self) -> PgResult<Box<str>> {
        let mut name = self.column_id()?.name.into_string();
        while self.eat_symbol(b'.') {
            name.push('.');
            name.push_str(&self.column_id()?.name);
        }
        Ok(name.into())
    }

    fn set_constraints(&mut self) -> PgResult<StatementKind> {
        let names = if self.eat(Keyword::All) { Vec::new() } else { self.list(Self::object_name)? };
        let deferred = self.eat(Keyword::Deferred);
        if !deferred {
            self.expect(Keyword::Immediate)?;
        }
        Ok(StatementKind::SetConstraints(Box::new(SetConstraints { names, deferred })))
    }

    /// The name of a setting in RESET and SHOW; ALL is `None`.
    fn setting_name(&mut self) -> PgResult<Option<Box<str>>> {
        if self.eat(Keyword::All) {
            return Ok(None);
        }
        if self.eat_all(&[Keyword::Time, Keyword::Zone]) {
            return Ok(Some("timezone".into()));
        }
        if self.eat_all(&[Keyword::Transaction, Keyword::Isolation]) {
            self.expect(Keyword::Level)?;
            return Ok(Some("transaction_isolation".into()));
        }
        if self.eat_all(&[Keyword::Session, Keyword::Authorization]) {
            return Ok(Some("session_authorization".into()));
        }
        self.variable_name().map(Some)
    }

    /// After RESET, also within ALTER ROLE and ALTER DATABASE.
    pub(super) fn reset_action(&mut self) -> PgResult<SetAction> {
        Ok(match self.setting_name()? {
            None => SetAction::ResetAll,
            Some(name) => SetAction::Default { name },
        })
    }

    pub(super) fn reset(&mut self) -> PgResult<StatementKind> {
        let position = self.start();
        self.expect(Keyword::Reset)?;
        if self.eat_cluster("setting") {
            return self.reset_cluster_setting(false);
        }
        let action = self.reset_action()?;
        let set = SetVariable { scope: SetScope::Session, action, position };
        Ok(StatementKind::SetVariable(Box::new(set)))
    }

    pub(super) fn show(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Show)?;
        if self.eat_cluster("settings") {
            return Ok(StatementKind::Show(Box::new(Show::ClusterSettings)));
        }
        if self.eat_cluster("setting") {
            let name = self.variable_name()?;
            return Ok(StatementKind::Show(Box::new(Show::ClusterSetting(name))));
        }
        let show = self.setting_name()?.map_or(Show::All, Show::Name);
        Ok(StatementKind::Show(Box::new(show)))
    }

    // --- Everything else.

    pub(super) fn session_statement(&mut self) -> PgResult<StatementKind> {
        match self.keyword() {
            Keyword::Prepare => self.prepare(),
            Keyword::Execute => {
                let execute = self.execute()?;
                Ok(StatementKind::Execute(Box::new(execute)))
            }
            Keyword::Deallocate => {
                self.advance();
                self.eat(Keyword::Prepare);
                let all = self.eat(Keyword::All);
                Ok(StatementKind::Deallocate(if all { None } else { Some(self.column_id()?) }))
            }
            Keyword::Declare => self.declare_cursor(),
            Keyword::Fetch | Keyword::Move => self.fetch(),
            Keyword::Close => {
                self.advance();
                let all = self.eat(Keyword::All);
                Ok(StatementKind::CloseCursor(if all { None } else { Some(self.column_id()?) }))
            }
            Keyword::Listen => {
                self.advance();
                Ok(StatementKind::Listen(self.column_id()?))
            }
            Keyword::Unlisten => {
                self.advance();
                let all = self.eat_symbol(b'*');
                Ok(StatementKind::Unlisten(if all { None } else { Some(self.column_id()?) }))
            }
            Keyword::Notify => {
                self.advance();
                let channel = self.column_id()?;
                let payload = if self.eat_symbol(b',') { Some(self.string()?) } else { None };
                Ok(StatementKind::Notify(Box::new(Notify { channel, payload })))
            }
            Keyword::Explain => self.explain(),
            Keyword::Analyze | Keyword::Analyse | Keyword::Vacuum => self.analyze_or_vacuum(),
            Keyword::Discard => self.discard(),
            Keyword::Lock => self.lock_table(),
            Keyword::Do => self.do_block(),
            Keyword::Call => {
                self.advance();
                let start = self.start();
                let name = self.function_name()?;
                Ok(StatementKind::Call(Box::new(self.call(name, start)?)))
            }
            Keyword::Checkpoint => {
                self.advance();
                Ok(StatementKind::Checkpoint)
            }
            Keyword::Refresh => self.refresh(),
            Keyword::Reindex => self.reindex(),
            Keyword::Cluster => self.cluster(),
            Keyword::Load => self.unsupported("LOAD"),
            Keyword::Reassign => self.reassign_owned(),
            Keyword::Import => self.unsupported("IMPORT FOREIGN SCHEMA"),
            Keyword::Security => self.unsupported("SECURITY LABEL"),
            _ => Err(self.syntax_error()),
        }
    }

    fn prepare(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Prepare)?;
        let name = self.column_id()?;
        let types = self.optional_parenthesized(Self::type_name)?;
        self.expect(Keyword::As)?;
        let statement = self.sourced(Self::preparable_statement)?;
        Ok(StatementKind::Prepare(Box::new(Prepare { name, types, statement })))
    }

    pub(super) fn execute(&mut self) -> PgResult<Execute> {
        self.expect(Keyword::Execute)?;
        let name = self.column_id()?;
        Ok(Execute { name, arguments: self.optional_parenthesized(Self::expression)? })
    }

    fn declare_cursor(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Declare)?;
        let name = self.column_id()?;
        let (mut binary, mut insensitive, mut scroll) = (false, None, None);
        loop {
            match self.keyword() {
                Keyword::Binary => binary = true,
                Keyword::Insensitive => insensitive = Some(true),
                Keyword::Asensitive => insensitive = Some(false),
                Keyword::Scroll => scroll = Some(true),
                Keyword::No if self.keyword_at(1) == Keyword::Scroll => {
                    self.advance();
                    scroll = Some(false);
                }
                _ => break,
            }
            self.advance();
        }
        self.expect(Keyword::Cursor)?;
        let hold = self.eat_all(&[Keyword::With, Keyword::Hold]);
        if !hold {
            self.eat_all(&[Keyword::Without, Keyword::Hold]);
        }
        self.expect(Keyword::For)?;
        let query = self.query_statement()?;
        let cursor = DeclareCursor { name, binary, insensitive, scroll, hold, query };
        Ok(StatementKind::DeclareCursor(Box::new(cursor)))
    }

    fn fetch(&mut self) -> PgResult<StatementKind> {
        let move_only = self.advance().keyword == Keyword::Move;
        let direction = self.fetch_direction()?;
        if !self.eat(Keyword::From) {
            self.eat(Keyword::In);
        }
        let cursor = self.column_id()?;
        Ok(StatementKind::Fetch(Box::new(Fetch { cursor, direction, move_only })))
    }

    fn fetch_direction(&mut self) -> PgResult<FetchDirection> {
        // A cursor may have the name of a direction.
        let alone = matches!(
            self.peek_at(1).kind,
            super::lexer::TokenKind::End | super::lexer::TokenKind::Symbol(b';')
        );
        let keyword = if alone { Keyword::None } else { self.keyword() };
        let direction = match keyword {
            Keyword::Next => FetchDirection::Forward(1),
            Keyword::Prior => FetchDirection::Backward(1),
            Keyword::First => FetchDirection::Absolute(1),
            Keyword::Last => FetchDirection::Absolute(-1),
            Keyword::All => FetchDirection::Forward(i64::MAX),
            Keyword::Absolute | Keyword::Relative => {
                self.advance();
                let count = i64::from(self.signed_integer()?);
                return Ok(if keyword == Keyword::Absolute {
                    FetchDirection::Absolute(count)
                } else {
                    FetchDirection::Relative(count)
                });
            }
            Keyword::Forward | Keyword::Backward => {
                self.advance();
                let count = if self.eat(Keyword::All) {
                    i64::MAX
                } else if self.at_number() {
                    i64::from(self.signed_integer()?)
                } else {
                    1
                };
                return Ok(if keyword == Keyword::Forward {
                    FetchDirection::Forward(count)
                } else {
                    FetchDirection::Backward(count)
                });
            }
            _ if self.at_number() => return Ok(FetchDirection::Forward(i64::from(self.signed_integer()?))),
            _ => return Ok(FetchDirection::Forward(1)),
        };
        self.advance();
        Ok(direction)
    }

    fn explain(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Explain)?;
        let mut options = Vec::new();
        let flag =
            |name: &str, position| CopyOption { name: name.into(), value: OptionValue::None, position };
        if self.at_symbol(b'(') && !self.parenthesis_holds_query() {
            options = self.parenthesized(Self::generic_option)?;
        } else {
            let start = self.start();
            if self.eat(Keyword::Analyze) || self.eat(Keyword::Analyse) {
                options.push(flag("analyze", start));
            }
            let start = self.start();
            if self.eat(Keyword::Verbose) {
                options.push(flag("verbose", start));
            }
        }
        let statement = self.nest(|parser| parser.statement_of(Self::explainable))?;
        Ok(StatementKind::Explain(Box::new(Explain { options, statement })))
    }

    fn parenthesis_holds_query(&self) -> bool {
        let mut offset = 0;
        while self.symbol_at(offset, b'(') {
            offset += 1;
        }
        matches!(self.keyword_at(offset), Keyword::Select | Keyword::Values | Keyword::With | Keyword::Table)
    }

    fn explainable(&mut self) -> PgResult<StatementKind> {
        match self.keyword() {
            Keyword::Declare => self.declare_cursor(),
            Keyword::Create => self.create(),
            Keyword::Refresh => self.refresh(),
            Keyword::Execute => Ok(StatementKind::Execute(Box::new(self.execute()?))),
            _ => Ok(self.preparable_statement()?.kind),
        }
    }

    fn reindex(&mut self) -> PgResult<StatementKind> {
        self.advance();
        if self.at_symbol(b'(') {
            for option in self.parenthesized(Self::generic_option)? {
                match &*option.name {
                    "verbose" | "concurrently" => {}
                    "tablespace" => return self.unsupported("REINDEX (TABLESPACE ...)"),
                    other => {
                        let message = format!("unrecognized REINDEX option \"{other}\"");
                        return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(option.position));
                    }
                }
            }
        }
        let target = match self.keyword() {
            Keyword::Index => ReindexTarget::Index,
            Keyword::Table => ReindexTarget::Table,
            Keyword::Schema => ReindexTarget::Schema,
            Keyword::Database => ReindexTarget::Database,
            Keyword::System => ReindexTarget::System,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        let concurrently = self.eat(Keyword::Concurrently);
        let name = match target {
            ReindexTarget::Index | ReindexTarget::Table => self.object_name()?,
            _ => ObjectName::single(self.column_id()?),
        };
        Ok(StatementKind::Reindex(Box::new(Reindex { target, name, concurrently })))
    }

    fn cluster(&mut self) -> PgResult<StatementKind> {
        self.advance();
        if self.at_symbol(b'(') {
            self.parenthesized(Self::generic_option)?;
        } else {
            self.eat(Keyword::Verbose);
        }
        if !self.is_column_id(self.peek()) {
            return Ok(StatementKind::Cluster(Box::new(Cluster { table: None, index: None })));
        }
        let name = self.object_name()?;
        if self.eat(Keyword::On) {
            // The old spelling: CLUSTER index ON table.
            let index = Identifier::new(name.name(), name.position());
            let table = Some(self.object_name()?);
            return Ok(StatementKind::Cluster(Box::new(Cluster { table, index: Some(index) })));
        }
        let index = if self.eat(Keyword::Using) { Some(self.column_id()?) } else { None };
        Ok(StatementKind::Cluster(Box::new(Cluster { table: Some(name), index })))
    }

    fn analyze_or_vacuum(&mut self) -> PgResult<StatementKind> {
        let vacuum = self.advance().keyword == Keyword::Vacuum;
        let mut options = Vec::new();
        if self.at_symbol(b'(') {
            options = self.parenthesized(Self::generic_option)?;
        } else {
            loop {
                let position = self.start();
                let name = match self.keyword() {
                    Keyword::Full if vacuum => "full",
                    Keyword::Freeze if vacuum => "freeze",
                    Keyword::Verbose => "verbose",
                    Keyword::Analyze | Keyword::Analyse if vacuum => "analyze",
                    _ => break,
                };
                self.advance();
                options.push(CopyOption { name: name.into(), value: OptionValue::None, position });
            }
        }
        let mut tables = Vec::new();
        if self.is_column_id(self.peek()) {
            tables = self.list(|parser| Ok((parser.object_name()?, parser.optional_column_list()?)))?;
        }
        let analyze = Box::new(Analyze { options, tables });
        Ok(if vacuum { StatementKind::Vacuum(analyze) } else { StatementKind::Analyze(analyze) })
    }

    fn discard(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Discard)?;
        let target = match self.keyword() {
            Keyword::All => DiscardTarget::All,
            Keyword::Plans => DiscardTarget::Plans,
            Keyword::Sequences => DiscardTarget::Sequences,
            Keyword::Temp | Keyword::Temporary => DiscardTarget::Temporary,
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(StatementKind::Discard(target))
    }

    fn lock_table(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Lock)?;
        self.eat(Keyword::Table);
        let tables = self.list(Self::relation)?;
        let mut mode = String::from("access exclusive");
        if self.eat(Keyword::In) {
            let mut words = Vec::new();
            while !self.at(Keyword::Mode) {
                words.push(self.label()?.name.into_string());
            }
            self.expect(Keyword::Mode)?;
            mode = words.join(" ");
            const MODES: &[&str] = &[
                "access share",
                "row share",
                "row exclusive",
                "share update exclusive",
                "share",
                "share row exclusive",
                "exclusive",
                "access exclusive",
            ];
            if !MODES.contains(&mode.as_str()) {
                self.position -= 1;
                return Err(self.syntax_error());
            }
        }
        let nowait = self.eat(Keyword::Nowait);
        Ok(StatementKind::LockTable(Box::new(LockTable { tables, mode: mode.into(), nowait })))
    }

    fn do_block(&mut self) -> PgResult<StatementKind> {
        self.expect(Keyword::Do)?;
        let mut block = DoBlock { language: None, body: "".into() };
        let mut seen = false;
        loop {
            if self.eat(Keyword::Language) {
                block.language = Some(self.word_or_string()?);
            } else if self.is_string(self.peek()) {
                block.body = self.string()?;
                seen = true;
            } else {
                break;
            }
        }
        if seen { Ok(StatementKind::Do(Box::new(block))) } else { Err(self.syntax_error()) }
    }

    fn refresh(&mut self) -> PgResult<StatementKind> {
        self.expect_all(&[Keyword::Refresh, Keyword::Materialized, Keyword::View])?;
        let concurrently = self.eat(Keyword::Concurrently);
        let name = self.object_name()?;
        let with_data = self.with_data()?;
        let refresh = RefreshMaterializedView { name, concurrently, with_data };
        Ok(StatementKind::RefreshMaterializedView(Box::new(refresh)))
    }

    /// WITH [NO] DATA; true by default.
    pub(super) fn with_data(&mut self) -> PgResult<bool> {
        if self.eat_all(&[Keyword::With, Keyword::No, Keyword::Data]) {
            return Ok(false);
        }
        self.eat_all(&[Keyword::With, Keyword::Data]);
        Ok(true)
    }
}
