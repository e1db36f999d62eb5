//! Type names.

use super::Parser;
use super::keywords::Keyword;
use super::primary::generic_type;
use crate::ast::*;
use types::{PgError, PgResult, SqlState};

/// Bits of PostgreSQL's interval field mask (INTERVAL_MASK of timestamp.h).
mod interval_mask {
    pub const MONTH: i32 = 1 << 1;
    pub const YEAR: i32 = 1 << 2;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
}

impl Parser<'_> {
    /// Typename.
    pub(super) fn type_name(&mut self) -> PgResult<TypeName> {
        let set_of = self.eat(Keyword::Setof);
        let mut name = self.simple_type_name()?;
        name.set_of = set_of;
        if self.eat(Keyword::Array) {
            let mut bound = None;
            if self.eat_symbol(b'[') {
                bound = Some(self.integer()?);
                self.expect_symbol(b']')?;
            }
            name.array_bounds.push(bound);
            return Ok(name);
        }
        while self.eat_symbol(b'[') {
            let bound = if self.at_symbol(b']') { None } else { Some(self.integer()?) };
            self.expect_symbol(b']')?;
            name.array_bounds.push(bound);
        }
        Ok(name)
    }

    pub(super) fn simple_type_name(&mut self) -> PgResult<TypeName> {
        let start = self.start();
        if let Some(name) = self.builtin_type_name(true)? {
            return Ok(name);
        }
        let first =
            if self.symbol_at(1, b'.') { self.column_id_or_type()? } else { self.type_function_name()? };
        let name = self.object_name_after(first)?;
        let mut name = generic_type(name, start);
        if self.at_symbol(b'%') && self.keyword_at(1) == Keyword::Type {
            self.position += 2;
            name.percent_type = true;
            return Ok(name);
        }
        name.modifiers = self.optional_parenthesized(Self::expression)?;
        Ok(name)
    }

    fn column_id_or_type(&mut self) -> PgResult<Identifier> {
        if self.is_type_function_name(self.peek()) { self.take_name() } else { self.column_id() }
    }

    /// A type that the grammar spells itself. `full`: with the qualifiers that a literal has after its string.
    fn builtin_type_name(&mut self, full: bool) -> PgResult<Option<TypeName>> {
        let start = self.start();
        let keyword = self.keyword();
        let system = |name: &str| {
            let name = ObjectName::single(Identifier::new(name, start));
            TypeName { system: true, ..generic_type(name, start) }
        };
        let plain = match keyword {
            Keyword::Int | Keyword::Integer => "int4",
            Keyword::Smallint => "int2",
            Keyword::Bigint => "int8",
            Keyword::Real => "float4",
            Keyword::Boolean => "bool",
            Keyword::Float => return self.float_type(start).map(Some),
            Keyword::Double => {
                self.expect_all(&[Keyword::Double, Keyword::Precision])?;
                return Ok(Some(system("float8")));
            }
            Keyword::Decimal | Keyword::Dec | Keyword::Numeric => {
                self.advance();
                let mut name = system("numeric");
                name.modifiers = self.optional_parenthesized(Self::expression)?;
                return Ok(Some(name));
            }
            Keyword::Bit => {
                self.advance();
                let mut name = if self.eat(Keyword::Varying) { system("varbit") } else { system("bit") };
                name.modifiers = self.optional_parenthesized(Self::expression)?;
                if name.modifiers.is_empty() && name.name.name() == "bit" && full {
                    name.modifiers.push(integer(start, 1));
                }
                return Ok(Some(name));
            }
            Keyword::Character | Keyword::Char | Keyword::Nchar | Keyword::National | Keyword::Varchar => {
                return self.character_type(full).map(Some);
            }
            Keyword::Time | Keyword::Timestamp => return self.time_type().map(Some),
            Keyword::Interval => {
                self.advance();
                let mut name = system("interval");
                if self.at_symbol(b'(') {
                    name.modifiers = self.parenthesized(Self::interval_precision)?;
                } else if full {
                    self.interval_fields(&mut name)?;
                }
                return Ok(Some(name));
            }
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(system(plain)))
    }

    fn interval_precision(&mut self) -> PgResult<Expression> {
        let at = self.start();
        Ok(integer(at, self.integer()?))
    }

    /// FLOAT(p): up to 24 bits are float4, up to 53 float8.
    fn float_type(&mut self, start: u32) -> PgResult<TypeName> {
        self.advance();
        let mut name = "float8";
        if self.eat_symbol(b'(') {
            let at = self.start();
            let bits = self.integer()?;
            self.expect_symbol(b')')?;
            let refuse = |message: &str| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at));
            name = match bits {
                ..1 => return refuse("precision for type float must be at least 1 bit"),
                1..=24 => "float4",
                25..=53 => "float8",
                _ => return refuse("precision for type float must be less than 54 bits"),
            };
        }
        let name = ObjectName::single(Identifier::new(name, start));
        Ok(TypeName { system: true, ..generic_type(name, start) })
    }

    /// CHARACTER [VARYING], CHAR, VARCHAR, NATIONAL CHARACTER, NCHAR.
    fn character_type(&mut self, full: bool) -> PgResult<TypeName> {
        let start = self.start();
        self.eat(Keyword::National);
        let varying = match self.keyword() {
            Keyword::Varchar => {
                self.advance();
                true
            }
            Keyword::Character | Keyword::Char | Keyword::Nchar => {
                self.advance();
                self.eat(Keyword::Varying)
            }
            _ => return Err(self.syntax_error()),
        };
        let name = ObjectName::single(Identifier::new(if varying { "varchar" } else { "bpchar" }, start));
        let mut name = TypeName { system: true, ..generic_type(name, start) };
        if self.eat_symbol(b'(') {
            let at = self.start();
            name.modifiers.push(integer(at, self.integer()?));
            self.expect_symbol(b')')?;
        } else if !varying && full {
            // char is char(1).
            name.modifiers.push(integer(start, 1));
        }
        Ok(name)
    }

    /// TIME and TIMESTAMP with precision and zone.
    fn time_type(&mut self) -> PgResult<TypeName> {
        let start = self.start();
        let timestamp = self.advance().keyword == Keyword::Timestamp;
        let modifiers =
            if self.at_symbol(b'(') { self.parenthesized(Self::interval_precision)? } else { Vec::new() };
        let zoned = if self.at_all(&[Keyword::With, Keyword::Time]) {
            self.position += 2;
            self.expect(Keyword::Zone)?;
            true
        } else {
            if self.at_all(&[Keyword::Without, Keyword::Time]) {
                self.position += 2;
                self.expect(Keyword::Zone)?;
            }
            false
        };
        let name = match (timestamp, zoned) {
            (true, true) => "timestamptz",
            (true, false) => "timestamp",
            (false, true) => "timetz",
            (false, false) => "time",
        };
        let name = ObjectName::single(Identifier::new(name, start));
        Ok(TypeName { system: true, modifiers, ..generic_type(name, start) })
    }

    /// `YEAR TO MONTH`, `SECOND(3)` ... after INTERVAL.
    fn interval_fields(&mut self, name: &mut TypeName) -> PgResult<()> {
        use interval_mask::*;
        let order = [
            (Keyword::Year, YEAR),
            (Keyword::Month, MONTH),
            (Keyword::Day, DAY),
            (Keyword::Hour, HOUR),
            (Keyword::Minute, MINUTE),
            (Keyword::Second, SECOND),
        ];
        let index_of = |keyword: Keyword| order.iter().position(|(field, _)| *field == keyword);
        let Some(first) = index_of(self.keyword()) else { return Ok(()) };
        self.advance();
        let mut last = first;
        if self.at(Keyword::To) {
            // YEAR goes to MONTH; DAY to HOUR and smaller; HOUR to MINUTE and smaller; MINUTE to SECOND.
            let target = index_of(self.keyword_at(1));
            let allowed = match (first, target) {
                (0, Some(1)) => true,
                (2..=4, Some(target)) => target > first,
                _ => false,
            };
            self.advance();
            if !allowed {
                return Err(self.syntax_error());
            }
            last = target.expect("checked above");
            self.advance();
        }
        name.interval_fields = Some(order[first..=last].iter().fold(0, |mask, (_, bit)| mask | bit));
        if last == 5 && self.at_symbol(b'(') {
            name.modifiers = self.parenthesized(Self::interval_precision)?;
        }
        Ok(())
    }

    /// A literal of a type that the grammar spells: `timestamp with time zone '...'`, `interval '1' day`. `None`, with
    /// nothing taken, when the words are something else (a column named `time`).
    pub(super) fn typed_literal(&mut self) -> PgResult<Option<Expression>> {
        let start = self.start();
        let saved = (self.position, self.height);
        let builtin = match self.keyword() {
            // These never begin anything else when the right word follows; errors within them are real.
            Keyword::None => return Ok(None),
            _ => self.builtin_type_name(false),
        };
        match builtin {
            Ok(Some(mut name)) if self.is_string(self.peek()) => {
                let at = self.start();
                let value = Expression::string(at, self.string()?);
                if name.name.name() == "interval" && name.modifiers.is_empty() {
                    self.interval_fields(&mut name)?;
                }
                Ok(Some(Expression::new(start, ExpressionKind::Cast(Box::new(value), Box::new(name)))))
            }
            _ => {
                (self.position, self.height) = saved;
                Ok(None)
            }
        }
    }

    /// `name type` pairs: the columns of a function in FROM, attributes.
    pub(super) fn named_type(&mut self) -> PgResult<(Identifier, TypeName)> {
        let name = self.column_id()?;
        let type_name = self.type_name()?;
        if self.eat(Keyword::Collate) {
            self.object_name()?;
        }
        Ok((name, type_name))
    }
}

fn integer(position: u32, value: i32) -> Expression {
    Expression::new(position, ExpressionKind::Literal(Literal::Integer(value)))
}
