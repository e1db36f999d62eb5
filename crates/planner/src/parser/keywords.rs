//! PostgreSQL 15's key words with their categories (appendix C of its documentation).
//!
//! The category decides where a word may stand as a name without quotes; `AsLabel` words cannot be an output name unless
//! `AS` stands before them. The table is sorted, so that a look-up is a binary search over at most nine comparisons.

/// Where a key word may be used as a name (the four groups of `kwlist.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Category {
    /// Any name.
    Unreserved,
    /// A column or table name, not a function or type name (`between`, `coalesce`, `values` ...).
    ColumnName,
    /// A function or type name, not a column or table name (`left`, `join`, `like` ...).
    TypeFunctionName,
    /// No name, except as a label after `AS`.
    Reserved,
}

/// Whether a word may be an output label without `AS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Bare,
    AsLabel,
}

macro_rules! keywords {
    ($($name:ident = $text:literal $category:ident $label:ident;)*) => {
        /// A key word. `None` marks a word that is none.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum Keyword { $($name,)* None }

        const TABLE: &[(&str, Keyword, Category, Label)] = &[
            $(($text, Keyword::$name, Category::$category, Label::$label),)*
        ];
    };
}

keywords! {
    Abort = "abort" Unreserved Bare;
    Absolute = "absolute" Unreserved Bare;
    Access = "access" Unreserved Bare;
    Action = "action" Unreserved Bare;
    Add = "add" Unreserved Bare;
    Admin = "admin" Unreserved Bare;
    After = "after" Unreserved Bare;
    Aggregate = "aggregate" Unreserved Bare;
    All = "all" Reserved Bare;
    Also = "also" Unreserved Bare;
    Alter = "alter" Unreserved Bare;
    Always = "always" Unreserved Bare;
    Analyse = "analyse" Reserved Bare;
    Analyze = "analyze" Reserved Bare;
    And = "and" Reserved Bare;
    Any = "any" Reserved Bare;
    Array = "array" Reserved AsLabel;
    As = "as" Reserved AsLabel;
    Asc = "asc" Reserved Bare;
    Asensitive = "asensitive" Unreserved Bare;
    Assertion = "assertion" Unreserved Bare;
    Assignment = "assignment" Unreserved Bare;
    Asymmetric = "asymmetric" Reserved Bare;
    At = "at" Unreserved Bare;
    Atomic = "atomic" Unreserved Bare;
    Attach = "attach" Unreserved Bare;
    Attribute = "attribute" Unreserved Bare;
    Authorization = "authorization" TypeFunctionName Bare;
    Backward = "backward" Unreserved Bare;
    Before = "before" Unreserved Bare;
    Begin = "begin" Unreserved Bare;
    Between = "between" ColumnName Bare;
    Bigint = "bigint" ColumnName Bare;
    Binary = "binary" TypeFunctionName Bare;
    Bit = "bit" ColumnName Bare;
    Boolean = "boolean" ColumnName Bare;
    Both = "both" Reserved Bare;
    Breadth = "breadth" Unreserved Bare;
    By = "by" Unreserved Bare;
    Cache = "cache" Unreserved Bare;
    Call = "call" Unreserved Bare;
    Called = "called" Unreserved Bare;
    Cascade = "cascade" Unreserved Bare;
    Cascaded = "cascaded" Unreserved Bare;
    Case = "case" Reserved Bare;
    Cast = "cast" Reserved Bare;
    Catalog = "catalog" Unreserved Bare;
    Chain = "chain" Unreserved Bare;
    Char = "char" ColumnName AsLabel;
    Character = "character" ColumnName AsLabel;
    Characteristics = "characteristics" Unreserved Bare;
    Check = "check" Reserved Bare;
    Checkpoint = "checkpoint" Unreserved Bare;
    Class = "class" Unreserved Bare;
    Close = "close" Unreserved Bare;
    Cluster = "cluster" Unreserved Bare;
    Coalesce = "coalesce" ColumnName Bare;
    Collate = "collate" Reserved Bare;
    Collation = "collation" TypeFunctionName Bare;
    Column = "column" Reserved Bare;
    Columns = "columns" Unreserved Bare;
    Comment = "comment" Unreserved Bare;
    Comments = "comments" Unreserved Bare;
    Commit = "commit" Unreserved Bare;
    Committed = "committed" Unreserved Bare;
    Compression = "compression" Unreserved Bare;
    Concurrently = "concurrently" TypeFunctionName Bare;
    Configuration = "configuration" Unreserved Bare;
    Conflict = "conflict" Unreserved Bare;
    Connection = "connection" Unreserved Bare;
    Constraint = "constraint" Reserved Bare;
    Constraints = "constraints" Unreserved Bare;
    Content = "content" Unreserved Bare;
    Continue = "continue" Unreserved Bare;
    Conversion = "conversion" Unreserved Bare;
    Copy = "copy" Unreserved Bare;
    Cost = "cost" Unreserved Bare;
    Create = "create" Reserved AsLabel;
    Cross = "cross" TypeFunctionName Bare;
    Csv = "csv" Unreserved Bare;
    Cube = "cube" Unreserved Bare;
    Current = "current" Unreserved Bare;
    CurrentCatalog = "current_catalog" Reserved Bare;
    CurrentDate = "current_date" Reserved Bare;
    CurrentRole = "current_role" Reserved Bare;
    CurrentSchema = "current_schema" TypeFunctionName Bare;
    CurrentTime = "current_time" Reserved Bare;
    CurrentTimestamp = "current_timestamp" Reserved Bare;
    CurrentUser = "current_user" Reserved Bare;
    Cursor = "cursor" Unreserved Bare;
    Cycle = "cycle" Unreserved Bare;
    Data = "data" Unreserved Bare;
    Database = "database" Unreserved Bare;
    Day = "day" Unreserved AsLabel;
    Deallocate = "deallocate" Unreserved Bare;
    Dec = "dec" ColumnName Bare;
    Decimal = "decimal" ColumnName Bare;
    Declare = "declare" Unreserved Bare;
    Default = "default" Reserved Bare;
    Defaults = "defaults" Unreserved Bare;
    Deferrable = "deferrable" Reserved Bare;
    Deferred = "deferred" Unreserved Bare;
    Definer = "definer" Unreserved Bare;
    Delete = "delete" Unreserved Bare;
    Delimiter = "delimiter" Unreserved Bare;
    Delimiters = "delimiters" Unreserved Bare;
    Depends = "depends" Unreserved Bare;
    Depth = "depth" Unreserved Bare;
    Desc = "desc" Reserved Bare;
    Detach = "detach" Unreserved Bare;
    Dictionary = "dictionary" Unreserved Bare;
    Disable = "disable" Unreserved Bare;
    Discard = "discard" Unreserved Bare;
    Distinct = "distinct" Reserved Bare;
    Do = "do" Reserved Bare;
    Document = "document" Unreserved Bare;
    Domain = "domain" Unreserved Bare;
    Double = "double" Unreserved Bare;
    Drop = "drop" Unreserved Bare;
    Each = "each" Unreserved Bare;
    Else = "else" Reserved Bare;
    Enable = "enable" Unreserved Bare;
    Encoding = "encoding" Unreserved Bare;
    Encrypted = "encrypted" Unreserved Bare;
    End = "end" Reserved Bare;
    Enum = "enum" Unreserved Bare;
    Escape = "escape" Unreserved Bare;
    Event = "event" Unreserved Bare;
    Except = "except" Reserved AsLabel;
    Exclude = "exclude" Unreserved Bare;
    Excluding = "excluding" Unreserved Bare;
    Exclusive = "exclusive" Unreserved Bare;
    Execute = "execute" Unreserved Bare;
    Exists = "exists" ColumnName Bare;
    Explain = "explain" Unreserved Bare;
    Expression = "expression" Unreserved Bare;
    Extension = "extension" Unreserved Bare;
    External = "external" Unreserved Bare;
    Extract = "extract" ColumnName Bare;
    False = "false" Reserved Bare;
    Family = "family" Unreserved Bare;
    Fetch = "fetch" Reserved AsLabel;
    Filter = "filter" Unreserved AsLabel;
    Finalize = "finalize" Unreserved Bare;
    First = "first" Unreserved Bare;
    Float = "float" ColumnName Bare;
    Following = "following" Unreserved Bare;
    For = "for" Reserved AsLabel;
    Force = "force" Unreserved Bare;
    Foreign = "foreign" Reserved Bare;
    Forward = "forward" Unreserved Bare;
    Freeze = "freeze" TypeFunctionName Bare;
    From = "from" Reserved AsLabel;
    Full = "full" TypeFunctionName Bare;
    Function = "function" Unreserved Bare;
    Functions = "functions" Unreserved Bare;
    Generated = "generated" Unreserved Bare;
    Global = "global" Unreserved Bare;
    Grant = "grant" Reserved AsLabel;
    Granted = "granted" Unreserved Bare;
    Greatest = "greatest" ColumnName Bare;
    Group = "group" Reserved AsLabel;
    Grouping = "grouping" ColumnName Bare;
    Groups = "groups" Unreserved Bare;
    Handler = "handler" Unreserved Bare;
    Having = "having" Reserved AsLabel;
    Header = "header" Unreserved Bare;
    Hold = "hold" Unreserved Bare;
    Hour = "hour" Unreserved AsLabel;
    Identity = "identity" Unreserved Bare;
    If = "if" Unreserved Bare;
    Ilike = "ilike" TypeFunctionName Bare;
    Immediate = "immediate" Unreserved Bare;
    Immutable = "immutable" Unreserved Bare;
    Implicit = "implicit" Unreserved Bare;
    Import = "import" Unreserved Bare;
    In = "in" Reserved Bare;
    Include = "include" Unreserved Bare;
    Including = "including" Unreserved Bare;
    Increment = "increment" Unreserved Bare;
    Index = "index" Unreserved Bare;
    Indexes = "indexes" Unreserved Bare;
    Inherit = "inherit" Unreserved Bare;
    Inherits = "inherits" Unreserved Bare;
    Initially = "initially" Reserved Bare;
    Inline = "inline" Unreserved Bare;
    Inner = "inner" TypeFunctionName Bare;
    Inout = "inout" ColumnName Bare;
    Input = "input" Unreserved Bare;
    Insensitive = "insensitive" Unreserved Bare;
    Insert = "insert" Unreserved Bare;
    Instead = "instead" Unreserved Bare;
    Int = "int" ColumnName Bare;
    Integer = "integer" ColumnName Bare;
    Intersect = "intersect" Reserved AsLabel;
    Interval = "interval" ColumnName Bare;
    Into = "into" Reserved AsLabel;
    Invoker = "invoker" Unreserved Bare;
    Is = "is" TypeFunctionName Bare;
    Isnull = "isnull" TypeFunctionName AsLabel;
    Isolation = "isolation" Unreserved Bare;
    Join = "join" TypeFunctionName Bare;
    Key = "key" Unreserved Bare;
    Label = "label" Unreserved Bare;
    Language = "language" Unreserved Bare;
    Large = "large" Unreserved Bare;
    Last = "last" Unreserved Bare;
    Lateral = "lateral" Reserved Bare;
    Leading = "leading" Reserved Bare;
    Leakproof = "leakproof" Unreserved Bare;
    Least = "least" ColumnName Bare;
    Left = "left" TypeFunctionName Bare;
    Level = "level" Unreserved Bare;
    Like = "like" TypeFunctionName Bare;
    Limit = "limit" Reserved AsLabel;
    Listen = "listen" Unreserved Bare;
    Load = "load" Unreserved Bare;
    Local = "local" Unreserved Bare;
    Localtime = "localtime" Reserved Bare;
    Localtimestamp = "localtimestamp" Reserved Bare;
    Location = "location" Unreserved Bare;
    Lock = "lock" Unreserved Bare;
    Locked = "locked" Unreserved Bare;
    Logged = "logged" Unreserved Bare;
    Mapping = "mapping" Unreserved Bare;
    Match = "match" Unreserved Bare;
    Matched = "matched" Unreserved Bare;
    Materialized = "materialized" Unreserved Bare;
    Maxvalue = "maxvalue" Unreserved Bare;
    Merge = "merge" Unreserved Bare;
    Method = "method" Unreserved Bare;
    Minute = "minute" Unreserved AsLabel;
    Minvalue = "minvalue" Unreserved Bare;
    Mode = "mode" Unreserved Bare;
    Month = "month" Unreserved AsLabel;
    Move = "move" Unreserved Bare;
    Name = "name" Unreserved Bare;
    Names = "names" Unreserved Bare;
    National = "national" ColumnName Bare;
    Natural = "natural" TypeFunctionName Bare;
    Nchar = "nchar" ColumnName Bare;
    New = "new" Unreserved Bare;
    Next = "next" Unreserved Bare;
    Nfc = "nfc" Unreserved Bare;
    Nfd = "nfd" Unreserved Bare;
    Nfkc = "nfkc" Unreserved Bare;
    Nfkd = "nfkd" Unreserved Bare;
    No = "no" Unreserved Bare;
    NoneKeyword = "none" ColumnName Bare;
    Normalize = "normalize" ColumnName Bare;
    Normalized = "normalized" Unreserved Bare;
    Not = "not" Reserved Bare;
    Nothing = "nothing" Unreserved Bare;
    Notify = "notify" Unreserved Bare;
    Notnull = "notnull" TypeFunctionName AsLabel;
    Nowait = "nowait" Unreserved Bare;
    Null = "null" Reserved Bare;
    Nullif = "nullif" ColumnName Bare;
    Nulls = "nulls" Unreserved Bare;
    Numeric = "numeric" ColumnName Bare;
    Object = "object" Unreserved Bare;
    Of = "of" Unreserved Bare;
    Off = "off" Unreserved Bare;
    Offset = "offset" Reserved AsLabel;
    Oids = "oids" Unreserved Bare;
    Old = "old" Unreserved Bare;
    On = "on" Reserved AsLabel;
    Only = "only" Reserved Bare;
    Operator = "operator" Unreserved Bare;
    Option = "option" Unreserved Bare;
    Options = "options" Unreserved Bare;
    Or = "or" Reserved Bare;
    Order = "order" Reserved AsLabel;
    Ordinality = "ordinality" Unreserved Bare;
    Others = "others" Unreserved Bare;
    Out = "out" ColumnName Bare;
    Outer = "outer" TypeFunctionName Bare;
    Over = "over" Unreserved AsLabel;
    Overlaps = "overlaps" TypeFunctionName AsLabel;
    Overlay = "overlay" ColumnName Bare;
    Overriding = "overriding" Unreserved Bare;
    Owned = "owned" Unreserved Bare;
    Owner = "owner" Unreserved Bare;
    Parallel = "parallel" Unreserved Bare;
    Parameter = "parameter" Unreserved Bare;
    Parser = "parser" Unreserved Bare;
    Partial = "partial" Unreserved Bare;
    Partition = "partition" Unreserved Bare;
    Passing = "passing" Unreserved Bare;
    Password = "password" Unreserved Bare;
    Placing = "placing" Reserved Bare;
    Plans = "plans" Unreserved Bare;
    Policy = "policy" Unreserved Bare;
    Position = "position" ColumnName Bare;
    Preceding = "preceding" Unreserved Bare;
    Precision = "precision" ColumnName AsLabel;
    Prepare = "prepare" Unreserved Bare;
    Prepared = "prepared" Unreserved Bare;
    Preserve = "preserve" Unreserved Bare;
    Primary = "primary" Reserved Bare;
    Prior = "prior" Unreserved Bare;
    Privileges = "privileges" Unreserved Bare;
    Procedural = "procedural" Unreserved Bare;
    Procedure = "procedure" Unreserved Bare;
    Procedures = "procedures" Unreserved Bare;
    Program = "program" Unreserved Bare;
    Publication = "publication" Unreserved Bare;
    Quote = "quote" Unreserved Bare;
    Range = "range" Unreserved Bare;
    Read = "read" Unreserved Bare;
    Real = "real" ColumnName Bare;
    Reassign = "reassign" Unreserved Bare;
    Recheck = "recheck" Unreserved Bare;
    Recursive = "recursive" Unreserved Bare;
    Ref = "ref" Unreserved Bare;
    References = "references" Reserved Bare;
    Referencing = "referencing" Unreserved Bare;
    Refresh = "refresh" Unreserved Bare;
    Reindex = "reindex" Unreserved Bare;
    Relative = "relative" Unreserved Bare;
    Release = "release" Unreserved Bare;
    Rename = "rename" Unreserved Bare;
    Repeatable = "repeatable" Unreserved Bare;
    Replace = "replace" Unreserved Bare;
    Replica = "replica" Unreserved Bare;
    Reset = "reset" Unreserved Bare;
    Restart = "restart" Unreserved Bare;
    Restrict = "restrict" Unreserved Bare;
    Return = "return" Unreserved Bare;
    Returning = "returning" Reserved AsLabel;
    Returns = "returns" Unreserved Bare;
    Revoke = "revoke" Unreserved Bare;
    Right = "right" TypeFunctionName Bare;
    Role = "role" Unreserved Bare;
    Rollback = "rollback" Unreserved Bare;
    Rollup = "rollup" Unreserved Bare;
    Routine = "routine" Unreserved Bare;
    Routines = "routines" Unreserved Bare;
    Row = "row" ColumnName Bare;
    Rows = "rows" Unreserved Bare;
    Rule = "rule" Unreserved Bare;
    Savepoint = "savepoint" Unreserved Bare;
    Schema = "schema" Unreserved Bare;
    Schemas = "schemas" Unreserved Bare;
    Scroll = "scroll" Unreserved Bare;
    Search = "search" Unreserved Bare;
    Second = "second" Unreserved AsLabel;
    Security = "security" Unreserved Bare;
    Select = "select" Reserved Bare;
    Sequence = "sequence" Unreserved Bare;
    Sequences = "sequences" Unreserved Bare;
    Serializable = "serializable" Unreserved Bare;
    Server = "server" Unreserved Bare;
    Session = "session" Unreserved Bare;
    SessionUser = "session_user" Reserved Bare;
    Set = "set" Unreserved Bare;
    Setof = "setof" ColumnName Bare;
    Sets = "sets" Unreserved Bare;
    Share = "share" Unreserved Bare;
    Show = "show" Unreserved Bare;
    Similar = "similar" TypeFunctionName Bare;
    Simple = "simple" Unreserved Bare;
    Skip = "skip" Unreserved Bare;
    Smallint = "smallint" ColumnName Bare;
    Snapshot = "snapshot" Unreserved Bare;
    Some = "some" Reserved Bare;
    Sql = "sql" Unreserved Bare;
    Stable = "stable" Unreserved Bare;
    Standalone = "standalone" Unreserved Bare;
    Start = "start" Unreserved Bare;
    Statement = "statement" Unreserved Bare;
    Statistics = "statistics" Unreserved Bare;
    Stdin = "stdin" Unreserved Bare;
    Stdout = "stdout" Unreserved Bare;
    Storage = "storage" Unreserved Bare;
    Stored = "stored" Unreserved Bare;
    Strict = "strict" Unreserved Bare;
    Strip = "strip" Unreserved Bare;
    Subscription = "subscription" Unreserved Bare;
    Substring = "substring" ColumnName Bare;
    Support = "support" Unreserved Bare;
    Symmetric = "symmetric" Reserved Bare;
    Sysid = "sysid" Unreserved Bare;
    System = "system" Unreserved Bare;
    Table = "table" Reserved Bare;
    Tables = "tables" Unreserved Bare;
    Tablesample = "tablesample" TypeFunctionName Bare;
    Tablespace = "tablespace" Unreserved Bare;
    Temp = "temp" Unreserved Bare;
    Template = "template" Unreserved Bare;
    Temporary = "temporary" Unreserved Bare;
    Text = "text" Unreserved Bare;
    Then = "then" Reserved Bare;
    Ties = "ties" Unreserved Bare;
    Time = "time" ColumnName Bare;
    Timestamp = "timestamp" ColumnName Bare;
    To = "to" Reserved AsLabel;
    Trailing = "trailing" Reserved Bare;
    Transaction = "transaction" Unreserved Bare;
    Transform = "transform" Unreserved Bare;
    Treat = "treat" ColumnName Bare;
    Trigger = "trigger" Unreserved Bare;
    Trim = "trim" ColumnName Bare;
    True = "true" Reserved Bare;
    Truncate = "truncate" Unreserved Bare;
    Trusted = "trusted" Unreserved Bare;
    Type = "type" Unreserved Bare;
    Types = "types" Unreserved Bare;
    Uescape = "uescape" Unreserved Bare;
    Unbounded = "unbounded" Unreserved Bare;
    Uncommitted = "uncommitted" Unreserved Bare;
    Unencrypted = "unencrypted" Unreserved Bare;
    Union = "union" Reserved AsLabel;
    Unique = "unique" Reserved Bare;
    Unknown = "unknown" Unreserved Bare;
    Unlisten = "unlisten" Unreserved Bare;
    Unlogged = "unlogged" Unreserved Bare;
    Until = "until" Unreserved Bare;
    Update = "update" Unreserved Bare;
    User = "user" Reserved Bare;
    Using = "using" Reserved Bare;
    Vacuum = "vacuum" Unreserved Bare;
    Valid = "valid" Unreserved Bare;
    Validate = "validate" Unreserved Bare;
    Validator = "validator" Unreserved Bare;
    Value = "value" Unreserved Bare;
    Values = "values" ColumnName Bare;
    Varchar = "varchar" ColumnName Bare;
    Variadic = "variadic" Reserved Bare;
    Varying = "varying" Unreserved AsLabel;
    Verbose = "verbose" TypeFunctionName Bare;
    Version = "version" Unreserved Bare;
    View = "view" Unreserved Bare;
    Views = "views" Unreserved Bare;
    Volatile = "volatile" Unreserved Bare;
    When = "when" Reserved Bare;
    Where = "where" Reserved AsLabel;
    Whitespace = "whitespace" Unreserved Bare;
    Window = "window" Reserved AsLabel;
    With = "with" Reserved AsLabel;
    Within = "within" Unreserved AsLabel;
    Without = "without" Unreserved AsLabel;
    Work = "work" Unreserved Bare;
    Wrapper = "wrapper" Unreserved Bare;
    Write = "write" Unreserved Bare;
    Xml = "xml" Unreserved Bare;
    Xmlattributes = "xmlattributes" ColumnName Bare;
    Xmlconcat = "xmlconcat" ColumnName Bare;
    Xmlelement = "xmlelement" ColumnName Bare;
    Xmlexists = "xmlexists" ColumnName Bare;
    Xmlforest = "xmlforest" ColumnName Bare;
    Xmlnamespaces = "xmlnamespaces" ColumnName Bare;
    Xmlparse = "xmlparse" ColumnName Bare;
    Xmlpi = "xmlpi" ColumnName Bare;
    Xmlroot = "xmlroot" ColumnName Bare;
    Xmlserialize = "xmlserialize" ColumnName Bare;
    Xmltable = "xmltable" ColumnName Bare;
    Year = "year" Unreserved AsLabel;
    Yes = "yes" Unreserved Bare;
    Zone = "zone" Unreserved Bare;
}

/// The longest key word, in bytes: longer words need no look-up.
pub const KEYWORD_BYTES_MAX: usize = 17;

impl Keyword {
    /// Whether a join may begin with it.
    pub fn begins_join(self) -> bool {
        use Keyword::{Cross, Full, Inner, Join, Left, Natural, Right};
        matches!(self, Join | Inner | Left | Right | Full | Cross | Natural)
    }

    /// Looks up a word that is already folded to lower case.
    pub fn lookup(word: &str) -> Keyword {
        if word.len() > KEYWORD_BYTES_MAX {
            return Keyword::None;
        }
        match TABLE.binary_search_by(|entry| entry.0.cmp(word)) {
            Ok(index) => TABLE[index].1,
            Err(_) => Keyword::None,
        }
    }

    /// The key word as written in the documentation, lower case; empty for `None`.
    pub fn text(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |entry| entry.0)
    }

    /// A word that is no key word is an unreserved name.
    pub fn category(self) -> Category {
        TABLE.get(self as usize).map_or(Category::Unreserved, |entry| entry.2)
    }

    /// May stand as an output label without `AS`.
    pub fn is_bare_label(self) -> bool {
        TABLE.get(self as usize).is_none_or(|entry| entry.3 == Label::Bare)
    }
}

/// Must the name be quoted to be read back as an identifier (what `quote_identifier` does)?
pub fn needs_quotes(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    let plain = starts_well && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    !plain || Keyword::lookup(name).category() != Category::Unreserved
}

/// The name as it must be written in SQL text.
pub fn quote_identifier(name: &str) -> String {
    if needs_quotes(name) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_complete() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (index, entry) in TABLE.iter().enumerate() {
            assert_eq!(entry.1 as usize, index);
            assert_eq!(Keyword::lookup(entry.0), entry.1);
            assert!(entry.0.len() <= KEYWORD_BYTES_MAX);
        }
        assert_eq!(Keyword::lookup("nonesuch"), Keyword::None);
    }

    #[test]
    fn categories_are_postgresqls() {
        assert_eq!(Keyword::Select.category(), Category::Reserved);
        assert_eq!(Keyword::Left.category(), Category::TypeFunctionName);
        assert_eq!(Keyword::Coalesce.category(), Category::ColumnName);
        assert_eq!(Keyword::Name.category(), Category::Unreserved);
        assert!(!Keyword::Year.is_bare_label());
        assert_eq!(quote_identifier("order"), "\"order\"");
        assert_eq!(quote_identifier("plain_1"), "plain_1");
        assert_eq!(quote_identifier("Mixed"), "\"Mixed\"");
    }
}
