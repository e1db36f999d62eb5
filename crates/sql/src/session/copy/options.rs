//! COPY's options, checked against one another as PostgreSQL checks them.

use planner::ast::{CopyStatement, OptionValue};
use types::{PgError, PgResult, SqlState};

/// The settled options of one COPY.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOptions {
    pub csv: bool,
    pub binary: bool,
    /// PostgreSQL spares itself work on rows that nobody else can see yet. There is no such work here, but only such rows may be
    /// asked for.
    pub freeze: bool,
    pub delimiter: u8,
    pub null: String,
    pub header: bool,
    pub header_match: bool,
    pub quote: u8,
    pub escape: u8,
    /// Columns always quoted on output; `None`: as needed.
    pub force_quote: Option<Forced>,
    pub force_not_null: Vec<String>,
    pub force_null: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Forced {
    All,
    Columns(Vec<String>),
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn boolean(name: &str, value: &OptionValue) -> PgResult<bool> {
    match value {
        OptionValue::None => Ok(true),
        OptionValue::Text(text) | OptionValue::Number(text) => match &*text.to_ascii_lowercase() {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
        },
        OptionValue::List(_) | OptionValue::Star => {
            Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value")))
        }
    }
}

fn text(name: &str, value: &OptionValue) -> PgResult<String> {
    match value {
        OptionValue::Text(text) | OptionValue::Number(text) => Ok(text.to_string()),
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{name} requires a parameter"))),
    }
}

fn single_byte(name: &str, value: &str) -> PgResult<u8> {
    match value.as_bytes() {
        [byte] => Ok(*byte),
        _ => {
            let message = format!("COPY {name} must be a single one-byte character");
            Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

fn list(value: &OptionValue) -> Vec<String> {
    match value {
        OptionValue::List(names) => names.iter().map(ToString::to_string).collect(),
        OptionValue::Text(name) => vec![name.to_string()],
        _ => Vec::new(),
    }
}

impl CopyOptions {
    pub fn new(copy: &CopyStatement) -> PgResult<CopyOptions> {
        let (mut csv, mut delimiter, mut null, mut quote, mut escape) = (false, None, None, None, None);
        let (mut binary, mut freeze) = (false, false);
        let (mut header, mut header_match) = (false, false);
        let (mut force_quote, mut force_not_null, mut force_null) = (None, Vec::new(), Vec::new());
        for option in &copy.options {
            let value = &option.value;
            match &*option.name {
                "format" => match &*text("format", value)? {
                    "text" => csv = false,
                    "csv" => csv = true,
                    "binary" => binary = true,
                    other => {
                        return Err(
                            invalid(format!("COPY format \"{other}\" not recognized")).at(option.position)
                        );
                    }
                },
                "csv" => csv = boolean("csv", value)?,
                "binary" => binary = boolean("binary", value)?,
                "delimiter" => delimiter = Some(single_byte("delimiter", &text("delimiter", value)?)?),
                "null" => null = Some(text("null", value)?),
                "header" if matches!(value, OptionValue::Text(text) if text.eq_ignore_ascii_case("match")) => {
                    (header, header_match) = (true, true);
                }
                "header" => header = boolean("header", value)?,
                "quote" => quote = Some(single_byte("quote", &text("quote", value)?)?),
                "escape" => escape = Some(single_byte("escape", &text("escape", value)?)?),
                "force_quote" if *value == OptionValue::Star => force_quote = Some(Forced::All),
                "force_quote" => force_quote = Some(Forced::Columns(list(value))),
                "force_not_null" => force_not_null = list(value),
                "force_null" => force_null = list(value),
                "encoding" => {
                    let name = text("encoding", value)?.replace(['-', '_'], "").to_ascii_lowercase();
                    if name != "utf8" && name != "unicode" {
                        return Err(PgError::unsupported("COPY in an encoding other than UTF8"));
                    }
                }
                "freeze" => freeze = boolean("freeze", value)?,
                other => {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("option \"{other}\" not recognized"),
                    )
                    .at(option.position));
                }
            }
        }
        if binary && (delimiter.is_some() || null.is_some()) {
            let name = if delimiter.is_some() { "DELIMITER" } else { "NULL" };
            let message = format!("cannot specify {name} in BINARY mode");
            return Err(PgError::new(SqlState::SYNTAX_ERROR, message));
        }
        let options = CopyOptions {
            csv,
            binary,
            freeze,
            delimiter: delimiter.unwrap_or(if csv { b',' } else { b'\t' }),
            null: null.unwrap_or_else(|| if csv { String::new() } else { "\\N".into() }),
            header,
            header_match,
            quote: quote.unwrap_or(b'"'),
            escape: escape.or(quote).unwrap_or(b'"'),
            force_quote,
            force_not_null,
            force_null,
        };
        options.check(copy.from, quote.is_some(), escape.is_some())?;
        Ok(options)
    }

    fn check(&self, from: bool, quote_given: bool, escape_given: bool) -> PgResult<()> {
        let unsupported = |message: &str| Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        if matches!(self.delimiter, b'\r' | b'\n') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if self.null.contains(['\r', '\n']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        if !self.csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter) {
            return Err(invalid(format!("COPY delimiter cannot be \"{}\"", char::from(self.delimiter))));
        }
        if self.binary && self.header {
            return unsupported("cannot specify HEADER in BINARY mode");
        }
        if self.header_match && !from {
            return unsupported("cannot use \"match\" with HEADER in COPY TO");
        }
        if !self.csv {
            for (given, name) in [
                (quote_given, "quote"),
                (escape_given, "escape"),
                (self.force_quote.is_some(), "force quote"),
                (!self.force_not_null.is_empty(), "force not null"),
                (!self.force_null.is_empty(), "force null"),
            ] {
                if given {
                    return unsupported(&format!("COPY {name} available only in CSV mode"));
                }
            }
        }
        if self.csv && self.delimiter == self.quote {
            return Err(invalid("COPY delimiter and quote must be different"));
        }
        if self.force_quote.is_some() && from {
            return unsupported("COPY force quote only available using COPY TO");
        }
        if !(self.force_not_null.is_empty() && self.force_null.is_empty()) && !from {
            return unsupported("COPY force not null only available using COPY FROM");
        }
        if self.null.as_bytes().contains(&self.delimiter) {
            return unsupported("COPY delimiter must not appear in the NULL specification");
        }
        if self.csv && self.null.as_bytes().contains(&self.quote) {
            return unsupported("CSV quote character must not appear in the NULL specification");
        }
        Ok(())
    }
}
