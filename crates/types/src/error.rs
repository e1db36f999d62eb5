//! SQL errors: what a client is told.
//!
//! One type, [`PgError`], carries every field of PostgreSQL's `ErrorResponse` message (chapter 55.8), so that an error
//! made deep in the binder reaches the client with position, hint and constraint name intact. It is one pointer wide:
//! `Result<T, PgError>` stays cheap on the path where nothing goes wrong.
//!
//! SQLSTATEs are named as in appendix A of the PostgreSQL documentation.

use std::fmt;

/// A five-character SQLSTATE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlState(pub [u8; 5]);

impl SqlState {
    /// The code as text. Codes are ASCII by construction; anything else prints as internal error.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XX000")
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! sqlstates {
    ($($name:ident = $code:literal;)*) => {
        impl SqlState {
            $(#[doc = concat!("SQLSTATE ", stringify!($code))]
            pub const $name: SqlState = SqlState(*$code);)*
        }
    };
}

sqlstates! {
    SUCCESSFUL_COMPLETION = b"00000";
    WARNING = b"01000";
    PRIVILEGE_NOT_REVOKED = b"01006";
    PRIVILEGE_NOT_GRANTED = b"01007";
    NO_DATA = b"02000";
    CONNECTION_FAILURE = b"08006";
    PROTOCOL_VIOLATION = b"08P01";
    FEATURE_NOT_SUPPORTED = b"0A000";
    INVALID_GRANTOR = b"0L000";
    INVALID_GRANT_OPERATION = b"0LP01";
    CASE_NOT_FOUND = b"20000";
    CARDINALITY_VIOLATION = b"21000";
    DATA_EXCEPTION = b"22000";
    STRING_DATA_RIGHT_TRUNCATION = b"22001";
    NUMERIC_VALUE_OUT_OF_RANGE = b"22003";
    NULL_VALUE_NOT_ALLOWED = b"22004";
    ERROR_IN_ASSIGNMENT = b"22005";
    INVALID_DATETIME_FORMAT = b"22007";
    DATETIME_FIELD_OVERFLOW = b"22008";
    INVALID_TIME_ZONE_DISPLACEMENT_VALUE = b"22009";
    SUBSTRING_ERROR = b"22011";
    DIVISION_BY_ZERO = b"22012";
    INTERVAL_FIELD_OVERFLOW = b"22015";
    INVALID_CHARACTER_VALUE_FOR_CAST = b"22018";
    INVALID_ESCAPE_CHARACTER = b"22019";
    INVALID_REGULAR_EXPRESSION = b"2201B";
    INVALID_ARGUMENT_FOR_LOGARITHM = b"2201E";
    INVALID_ARGUMENT_FOR_POWER_FUNCTION = b"2201F";
    INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION = b"2201G";
    INVALID_ARGUMENT_FOR_NTH_VALUE = b"22016";
    INVALID_ARGUMENT_FOR_NTILE = b"22014";
    INVALID_ROW_COUNT_IN_LIMIT_CLAUSE = b"2201W";
    INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE = b"2201X";
    INVALID_PRECEDING_OR_FOLLOWING_SIZE = b"22013";
    CHARACTER_NOT_IN_REPERTOIRE = b"22021";
    INDICATOR_OVERFLOW = b"22022";
    INVALID_PARAMETER_VALUE = b"22023";
    UNTERMINATED_C_STRING = b"22024";
    INVALID_ESCAPE_SEQUENCE = b"22025";
    STRING_DATA_LENGTH_MISMATCH = b"22026";
    TRIM_ERROR = b"22027";
    ARRAY_SUBSCRIPT_ERROR = b"2202E";
    INVALID_TABLESAMPLE_ARGUMENT = b"2202H";
    FLOATING_POINT_EXCEPTION = b"22P01";
    INVALID_TEXT_REPRESENTATION = b"22P02";
    INVALID_BINARY_REPRESENTATION = b"22P03";
    BAD_COPY_FILE_FORMAT = b"22P04";
    UNTRANSLATABLE_CHARACTER = b"22P05";
    NONSTANDARD_USE_OF_ESCAPE_CHARACTER = b"22P06";
    SEQUENCE_GENERATOR_LIMIT_EXCEEDED = b"2200H";
    ZERO_LENGTH_CHARACTER_STRING = b"2200F";
    DUPLICATE_JSON_OBJECT_KEY_VALUE = b"22030";
    INVALID_JSON_TEXT = b"22032";
    INVALID_SQL_JSON_SUBSCRIPT = b"22033";
    NON_NUMERIC_SQL_JSON_ITEM = b"22036";
    SINGLETON_SQL_JSON_ITEM_REQUIRED = b"22038";
    SQL_JSON_ARRAY_NOT_FOUND = b"22039";
    SQL_JSON_MEMBER_NOT_FOUND = b"2203A";
    SQL_JSON_NUMBER_NOT_FOUND = b"2203B";
    SQL_JSON_OBJECT_NOT_FOUND = b"2203C";
    INTEGRITY_CONSTRAINT_VIOLATION = b"23000";
    RESTRICT_VIOLATION = b"23001";
    NOT_NULL_VIOLATION = b"23502";
    FOREIGN_KEY_VIOLATION = b"23503";
    UNIQUE_VIOLATION = b"23505";
    CHECK_VIOLATION = b"23514";
    EXCLUSION_VIOLATION = b"23P01";
    INVALID_CURSOR_STATE = b"24000";
    INVALID_TRANSACTION_STATE = b"25000";
    ACTIVE_SQL_TRANSACTION = b"25001";
    READ_ONLY_SQL_TRANSACTION = b"25006";
    NO_ACTIVE_SQL_TRANSACTION = b"25P01";
    IN_FAILED_SQL_TRANSACTION = b"25P02";
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT = b"25P03";
    INVALID_SQL_STATEMENT_NAME = b"26000";
    INVALID_AUTHORIZATION_SPECIFICATION = b"28000";
    INVALID_PASSWORD = b"28P01";
    DEPENDENT_OBJECTS_STILL_EXIST = b"2BP01";
    INVALID_TRANSACTION_TERMINATION = b"2D000";
    INVALID_CURSOR_NAME = b"34000";
    INVALID_SAVEPOINT_SPECIFICATION = b"3B001";
    INVALID_CATALOG_NAME = b"3D000";
    INVALID_SCHEMA_NAME = b"3F000";
    TRANSACTION_ROLLBACK = b"40000";
    SERIALIZATION_FAILURE = b"40001";
    STATEMENT_COMPLETION_UNKNOWN = b"40003";
    DEADLOCK_DETECTED = b"40P01";
    SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION = b"42000";
    INSUFFICIENT_PRIVILEGE = b"42501";
    SYNTAX_ERROR = b"42601";
    INVALID_NAME = b"42602";
    INVALID_COLUMN_DEFINITION = b"42611";
    NAME_TOO_LONG = b"42622";
    DUPLICATE_COLUMN = b"42701";
    AMBIGUOUS_COLUMN = b"42702";
    UNDEFINED_COLUMN = b"42703";
    UNDEFINED_OBJECT = b"42704";
    DUPLICATE_OBJECT = b"42710";
    DUPLICATE_ALIAS = b"42712";
    DUPLICATE_FUNCTION = b"42723";
    AMBIGUOUS_FUNCTION = b"42725";
    GROUPING_ERROR = b"42803";
    DATATYPE_MISMATCH = b"42804";
    WRONG_OBJECT_TYPE = b"42809";
    INVALID_FOREIGN_KEY = b"42830";
    CANNOT_COERCE = b"42846";
    UNDEFINED_FUNCTION = b"42883";
    GENERATED_ALWAYS = b"428C9";
    RESERVED_NAME = b"42939";
    UNDEFINED_TABLE = b"42P01";
    UNDEFINED_PARAMETER = b"42P02";
    DUPLICATE_CURSOR = b"42P03";
    DUPLICATE_DATABASE = b"42P04";
    DUPLICATE_PREPARED_STATEMENT = b"42P05";
    DUPLICATE_SCHEMA = b"42P06";
    DUPLICATE_TABLE = b"42P07";
    AMBIGUOUS_PARAMETER = b"42P08";
    AMBIGUOUS_ALIAS = b"42P09";
    INVALID_COLUMN_REFERENCE = b"42P10";
    INVALID_CURSOR_DEFINITION = b"42P11";
    INVALID_DATABASE_DEFINITION = b"42P12";
    INVALID_FUNCTION_DEFINITION = b"42P13";
    INVALID_PREPARED_STATEMENT_DEFINITION = b"42P14";
    INVALID_SCHEMA_DEFINITION = b"42P15";
    INVALID_TABLE_DEFINITION = b"42P16";
    INVALID_OBJECT_DEFINITION = b"42P17";
    INDETERMINATE_DATATYPE = b"42P18";
    INVALID_RECURSION = b"42P19";
    WINDOWING_ERROR = b"42P20";
    COLLATION_MISMATCH = b"42P21";
    INDETERMINATE_COLLATION = b"42P22";
    WITH_CHECK_OPTION_VIOLATION = b"44000";
    INSUFFICIENT_RESOURCES = b"53000";
    DISK_FULL = b"53100";
    OUT_OF_MEMORY = b"53200";
    TOO_MANY_CONNECTIONS = b"53300";
    CONFIGURATION_LIMIT_EXCEEDED = b"53400";
    PROGRAM_LIMIT_EXCEEDED = b"54000";
    STATEMENT_TOO_COMPLEX = b"54001";
    TOO_MANY_COLUMNS = b"54011";
    TOO_MANY_ARGUMENTS = b"54023";
    OBJECT_NOT_IN_PREREQUISITE_STATE = b"55000";
    OBJECT_IN_USE = b"55006";
    CANT_CHANGE_RUNTIME_PARAM = b"55P02";
    LOCK_NOT_AVAILABLE = b"55P03";
    UNSAFE_NEW_ENUM_VALUE_USAGE = b"55P04";
    QUERY_CANCELED = b"57014";
    ADMIN_SHUTDOWN = b"57P01";
    CRASH_SHUTDOWN = b"57P02";
    CANNOT_CONNECT_NOW = b"57P03";
    DATABASE_DROPPED = b"57P04";
    IDLE_SESSION_TIMEOUT = b"57P05";
    IO_ERROR = b"58030";
    INTERNAL_ERROR = b"XX000";
    DATA_CORRUPTED = b"XX001";
    INDEX_CORRUPTED = b"XX002";
}

/// How serious a message is; the text is what the protocol's `S` and `V` fields carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Fatal,
    Panic,
    Warning,
    Notice,
    Info,
    Debug,
    Log,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
            Severity::Info => "INFO",
            Severity::Debug => "DEBUG",
            Severity::Log => "LOG",
        }
    }
}

/// The fields of an `ErrorResponse` or `NoticeResponse`.
#[derive(Clone, PartialEq, Debug)]
pub struct PgErrorFields {
    pub severity: Severity,
    pub code: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// **Byte** offset into the statement text, from 0. `pgserver` turns it into the protocol's 1-based character position.
    pub position: Option<u32>,
    /// Context, innermost first ("COPY t, line 3, column b: ...").
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
}

/// An error (or notice) as a PostgreSQL client sees it. One pointer wide.
#[derive(Clone, PartialEq)]
pub struct PgError(Box<PgErrorFields>);

/// What most of the SQL layers return.
pub type PgResult<T> = Result<T, PgError>;

impl PgError {
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Error, code, message)
    }

    pub fn with_severity(severity: Severity, code: SqlState, message: impl Into<String>) -> Self {
        PgError(Box::new(PgErrorFields {
            severity,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            position: None,
            context: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
        }))
    }

    /// 0A000, worded as PostgreSQL words it; `feature` reads like a noun phrase ("MERGE", "window functions").
    pub fn unsupported(feature: impl fmt::Display) -> Self {
        Self::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{feature} is not supported yet"))
    }

    /// XX000: a bug of ours that must not take the server down.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(SqlState::INTERNAL_ERROR, message)
    }

    pub fn notice(message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, message)
    }

    pub fn warning(code: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Warning, code, message)
    }

    pub fn fatal(code: SqlState, message: impl Into<String>) -> Self {
        Self::with_severity(Severity::Fatal, code, message)
    }

    pub fn detail(mut self, text: impl Into<String>) -> Self {
        self.0.detail = Some(text.into());
        self
    }

    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.0.hint = Some(text.into());
        self
    }

    /// Byte offset into the statement text, from 0.
    pub fn at(mut self, position: u32) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Sets the position only when none is set yet: the innermost place wins.
    pub fn or_at(mut self, position: u32) -> Self {
        self.0.position.get_or_insert(position);
        self
    }

    /// The same error with another message.
    pub fn rewritten(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    pub fn context(mut self, text: impl Into<String>) -> Self {
        self.0.context = Some(text.into());
        self
    }

    pub fn table(mut self, schema: impl Into<String>, table: impl Into<String>) -> Self {
        self.0.schema = Some(schema.into());
        self.0.table = Some(table.into());
        self
    }

    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    pub fn data_type(mut self, data_type: impl Into<String>) -> Self {
        self.0.data_type = Some(data_type.into());
        self
    }

    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.0.constraint = Some(constraint.into());
        self
    }

    pub fn code(&self) -> SqlState {
        self.0.code
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn fields(&self) -> &PgErrorFields {
        &self.0
    }

    pub fn fields_mut(&mut self) -> &mut PgErrorFields {
        &mut self.0
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:  {} ({})", self.0.severity.as_str(), self.0.message, self.0.code)
    }
}

impl fmt::Debug for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for PgError {}
