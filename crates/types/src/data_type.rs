//! SQL data types.
//!
//! A [`DataType`] is PostgreSQL's type oid as a small `Copy` enum: built-in types are variants, so that evaluation can match
//! exhaustively; types that a user makes are carried by oid. Modifiers (`varchar(10)`, `numeric(10,2)`,
//! `timestamp(3)`) are not part of it: they are PostgreSQL's *typmod*, kept beside it in [`ColumnType`] and applied by
//! casts, exactly as PostgreSQL does (an expression's type never depends on a length).

use std::fmt;

macro_rules! data_types {
    ($($variant:ident $name:literal $oid:literal $array_oid:literal $length:literal $category:literal;)*) => {
        /// A SQL type without its modifier.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum DataType {
            $($variant,)*
            /// An array of the type with this oid.
            Array(ElementType),
            /// An enum type made by CREATE TYPE, by its oid.
            Enum(u32),
            /// A row type (a table's or one made by CREATE TYPE), by its oid.
            Composite(u32),
            /// A domain: its oid and what it is over.
            Domain(DomainRef),
        }

        /// Every built-in scalar type, in order of declaration.
        pub const BUILTIN_TYPES: &[DataType] = &[$(DataType::$variant,)*];

        impl DataType {
            /// pg_type.oid.
            pub fn oid(self) -> u32 {
                match self {
                    $(DataType::$variant => $oid,)*
                    DataType::Array(element) => element.array_oid(),
                    DataType::Enum(oid) | DataType::Composite(oid) => oid,
                    DataType::Domain(domain) => domain.oid,
                }
            }

            /// The built-in type with this pg_type.oid, arrays of built-in types included.
            pub fn from_oid(oid: u32) -> Option<DataType> {
                match oid {
                    $($oid => Some(DataType::$variant),)*
                    $($array_oid if $array_oid != 0 => Some(DataType::Array(ElementType::builtin($oid))),)*
                    _ => None,
                }
            }

            /// pg_type.typname of a built-in type (`int4`, `_int4`); user types answer `None`.
            pub fn pg_name(self) -> Option<&'static str> {
                match self {
                    $(DataType::$variant => Some($name),)*
                    DataType::Array(element) => match element.oid() {
                        $($oid => Some(concat!("_", $name)),)*
                        _ => None,
                    },
                    _ => None,
                }
            }

            /// pg_type.oid of the array over this type; 0 when there is none.
            pub fn array_oid(self) -> u32 {
                match self {
                    $(DataType::$variant => $array_oid,)*
                    DataType::Array(_) => 0,
                    DataType::Enum(oid) | DataType::Composite(oid) => oid | USER_ARRAY_BIT,
                    DataType::Domain(domain) => domain.oid | USER_ARRAY_BIT,
                }
            }

            /// pg_type.typlen: bytes of a fixed-length type, -1 for variable length, -2 for a C string.
            pub fn pg_length(self) -> i16 {
                match self {
                    $(DataType::$variant => $length,)*
                    DataType::Enum(_) => 4,
                    DataType::Domain(_) => self.base().pg_length(),
                    DataType::Array(_) | DataType::Composite(_) => -1,
                }
            }

            /// pg_type.typcategory (table 53.65 of the PostgreSQL documentation).
            pub fn category(self) -> u8 {
                match self {
                    $(DataType::$variant => $category,)*
                    DataType::Array(_) => b'A',
                    DataType::Enum(_) => b'E',
                    DataType::Composite(_) => b'C',
                    DataType::Domain(_) => self.base().category(),
                }
            }
        }
    };
}

//  variant        typname         oid   array  len category
data_types! {
    Bool           "bool"          16    1000   1   b'B';
    Bytea          "bytea"         17    1001   -1  b'U';
    InternalChar   "char"          18    1002   1   b'Z';
    Name           "name"          19    1003   64  b'S';
    Int8           "int8"          20    1016   8   b'N';
    Int2           "int2"          21    1005   2   b'N';
    Int2Vector     "int2vector"    22    1006   -1  b'A';
    Int4           "int4"          23    1007   4   b'N';
    Regproc        "regproc"       24    1008   4   b'N';
    Text           "text"          25    1009   -1  b'S';
    Oid            "oid"           26    1028   4   b'N';
    Tid            "tid"           27    1010   6   b'U';
    Xid            "xid"           28    1011   4   b'U';
    Cid            "cid"           29    1012   4   b'U';
    OidVector      "oidvector"     30    1013   -1  b'A';
    Json           "json"          114   199    -1  b'U';
    PgNodeTree     "pg_node_tree"  194   0      -1  b'Z';
    Float4         "float4"        700   1021   4   b'N';
    Float8         "float8"        701   1022   8   b'N';
    Unknown        "unknown"       705   0      -2  b'X';
    Inet           "inet"          869   1041   -1  b'I';
    Aclitem        "aclitem"       1033  1034   12  b'U';
    Bpchar         "bpchar"        1042  1014   -1  b'S';
    Varchar        "varchar"       1043  1015   -1  b'S';
    Date           "date"          1082  1182   4   b'D';
    Time           "time"          1083  1183   8   b'D';
    Timestamp      "timestamp"     1114  1115   8   b'D';
    TimestampTz    "timestamptz"   1184  1185   8   b'D';
    Interval       "interval"      1186  1187   16  b'T';
    TimeTz         "timetz"        1266  1270   12  b'D';
    Bit            "bit"           1560  1561   -1  b'V';
    Varbit         "varbit"        1562  1563   -1  b'V';
    Numeric        "numeric"       1700  1231   -1  b'N';
    Regprocedure   "regprocedure"  2202  2207   4   b'N';
    Regoper        "regoper"       2203  2208   4   b'N';
    Regclass       "regclass"      2205  2210   4   b'N';
    Regtype        "regtype"       2206  2211   4   b'N';
    Record         "record"        2249  2287   -1  b'P';
    Cstring        "cstring"       2275  1263   -2  b'P';
    Any            "any"           2276  0      4   b'P';
    AnyArray       "anyarray"      2277  0      -1  b'P';
    Void           "void"          2278  0      4   b'P';
    Trigger        "trigger"       2279  0      4   b'P';
    AnyElement     "anyelement"    2283  0      4   b'P';
    AnyNonArray    "anynonarray"   2776  0      4   b'P';
    Uuid           "uuid"          2950  2951   16  b'U';
    AnyEnum        "anyenum"       3500  0      4   b'P';
    Jsonb          "jsonb"         3802  3807   -1  b'U';
    Jsonpath       "jsonpath"      4072  4073   -1  b'U';
    Regnamespace   "regnamespace"  4089  4090   4   b'N';
    Regrole        "regrole"       4096  4097   4   b'N';
    PgLsn          "pg_lsn"        3220  3221   8   b'U';
    Xid8           "xid8"          5069  271    8   b'U';
    AnyCompatible  "anycompatible" 5077  0      4   b'P';
    AnyCompatibleArray "anycompatiblearray" 5078 0 -1 b'P';
    AnyCompatibleNonArray "anycompatiblenonarray" 5079 0 4 b'P';
}

/// The oid of the array over a user's type is the type's own with this bit set: oids are given out from below.
pub const USER_ARRAY_BIT: u32 = 1 << 31;

/// A type that is no domain, by its oid: what a domain is over, and what most arrays are over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BaseType {
    oid: u32,
    kind: BaseKind,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum BaseKind {
    /// Arrays of built-in types included.
    Builtin,
    Enum,
    Composite,
    /// `oid` is that of the element type.
    EnumArray,
    CompositeArray,
}

impl BaseType {
    /// `None` for domains and arrays of domains.
    pub fn of(data_type: DataType) -> Option<BaseType> {
        let (oid, kind) = match data_type {
            DataType::Enum(oid) => (oid, BaseKind::Enum),
            DataType::Composite(oid) => (oid, BaseKind::Composite),
            DataType::Array(ElementType::Base(BaseType { oid, kind: BaseKind::Enum })) => {
                (oid, BaseKind::EnumArray)
            }
            DataType::Array(ElementType::Base(BaseType { oid, kind: BaseKind::Composite })) => {
                (oid, BaseKind::CompositeArray)
            }
            DataType::Array(ElementType::Domain(_)) | DataType::Domain(_) => return None,
            builtin => (builtin.oid(), BaseKind::Builtin),
        };
        Some(BaseType { oid, kind })
    }

    pub fn data_type(self) -> Option<DataType> {
        let over = |kind| DataType::Array(ElementType::Base(BaseType { oid: self.oid, kind }));
        match self.kind {
            BaseKind::Builtin => DataType::from_oid(self.oid),
            BaseKind::Enum => Some(DataType::Enum(self.oid)),
            BaseKind::Composite => Some(DataType::Composite(self.oid)),
            BaseKind::EnumArray => Some(over(BaseKind::Enum)),
            BaseKind::CompositeArray => Some(over(BaseKind::Composite)),
        }
    }
}

/// A domain by its oid, and the type that it is over in the end: a domain over a domain has that one's. So values of a domain
/// can be held, compared, stored and written without asking the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DomainRef {
    pub oid: u32,
    pub base: BaseType,
}

/// The element type of an array.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ElementType {
    Base(BaseType),
    Domain(DomainRef),
}

impl ElementType {
    /// A built-in type, by its pg_type.oid.
    pub const fn builtin(oid: u32) -> ElementType {
        ElementType::Base(BaseType { oid, kind: BaseKind::Builtin })
    }

    pub fn of(data_type: DataType) -> Option<ElementType> {
        match data_type {
            DataType::Domain(domain) => Some(ElementType::Domain(domain)),
            other => BaseType::of(other).map(ElementType::Base),
        }
    }

    pub fn oid(self) -> u32 {
        match self {
            ElementType::Base(base) => base.oid,
            ElementType::Domain(domain) => domain.oid,
        }
    }

    pub fn data_type(self) -> Option<DataType> {
        match self {
            ElementType::Base(base) => base.data_type(),
            ElementType::Domain(domain) => Some(DataType::Domain(domain)),
        }
    }

    pub fn array_oid(self) -> u32 {
        self.data_type().map_or(0, DataType::array_oid)
    }
}

/// How values of a type are held in a [`crate::Vector`]. Several SQL types share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Physical {
    Bool,
    Int2,
    /// int4 and date.
    Int4,
    /// int8, time, timestamp, timestamptz, pg_lsn, xid8, enums.
    Int8,
    /// oid and its relatives: unsigned, 32 bits.
    Oid,
    Float4,
    Float8,
    Numeric,
    /// text, varchar, bpchar, name, "char", json, unknown ...: UTF-8.
    Text,
    Bytes,
    Interval,
    Uuid,
    /// Everything else: one [`crate::Datum`] a value.
    Datum,
}

impl DataType {
    /// The array over a type; over an array, which PostgreSQL does not have, the array itself.
    pub fn array_of(element: DataType) -> DataType {
        match ElementType::of(element) {
            Some(_) if matches!(element, DataType::Array(_)) => element,
            Some(element) => DataType::Array(element),
            None => element,
        }
    }

    /// What a domain is over; every other type itself.
    #[inline]
    pub fn base(self) -> DataType {
        match self {
            DataType::Domain(domain) => domain.base.data_type().unwrap_or(DataType::Text),
            other => other,
        }
    }

    /// Made by a user: its name and make-up are in the catalog.
    pub fn is_user_type(self) -> bool {
        match self {
            DataType::Enum(_) | DataType::Composite(_) | DataType::Domain(_) => true,
            DataType::Array(element) => element.data_type().is_some_and(DataType::is_user_type),
            _ => false,
        }
    }

    /// The element type, for arrays and the two vector types.
    pub fn element(self) -> Option<DataType> {
        match self.base() {
            DataType::Array(element) => element.data_type(),
            DataType::Int2Vector => Some(DataType::Int2),
            DataType::OidVector => Some(DataType::Oid),
            _ => None,
        }
    }

    pub fn physical(self) -> Physical {
        use DataType::*;
        match self {
            Bool => Physical::Bool,
            Int2 => Physical::Int2,
            Int4 | Date => Physical::Int4,
            Int8 | Time | Timestamp | TimestampTz | PgLsn | Xid8 => Physical::Int8,
            Oid | Xid | Cid | Regproc | Regprocedure | Regoper | Regclass | Regtype | Regnamespace
            | Regrole => Physical::Oid,
            Float4 => Physical::Float4,
            Float8 => Physical::Float8,
            Numeric => Physical::Numeric,
            Text | Varchar | Bpchar | Name | InternalChar | Json | Jsonpath | Unknown | Cstring
            | PgNodeTree => Physical::Text,
            Bytea | Inet => Physical::Bytes,
            Interval => Physical::Interval,
            Uuid => Physical::Uuid,
            // The label's place in the type's order.
            Enum(_) => Physical::Int8,
            Domain(_) => self.base().physical(),
            _ => Physical::Datum,
        }
    }

    /// text, varchar, bpchar, name, unknown: what string functions take without a cast that changes bytes.
    pub fn is_string(self) -> bool {
        matches!(
            self,
            DataType::Text | DataType::Varchar | DataType::Bpchar | DataType::Name | DataType::Unknown
        )
    }

    pub fn is_integer(self) -> bool {
        matches!(self, DataType::Int2 | DataType::Int4 | DataType::Int8)
    }

    pub fn is_numeric_kind(self) -> bool {
        matches!(
            self,
            DataType::Int2
                | DataType::Int4
                | DataType::Int8
                | DataType::Numeric
                | DataType::Float4
                | DataType::Float8
        )
    }

    /// `anyelement` and its family.
    pub fn is_polymorphic(self) -> bool {
        use DataType::*;
        matches!(
            self,
            Any | AnyElement
                | AnyArray
                | AnyNonArray
                | AnyEnum
                | AnyCompatible
                | AnyCompatibleArray
                | AnyCompatibleNonArray
        )
    }

    /// pg_type.typispreferred.
    pub fn is_preferred(self) -> bool {
        use DataType::*;
        matches!(self, Bool | Text | Float8 | Oid | TimestampTz | Interval | Varbit | Inet)
    }

    /// format_type's name without a modifier ("integer", "timestamp without time zone", "integer[]"). User types
    /// print their oid: the catalog knows their name.
    pub fn sql_name(self) -> String {
        use DataType::*;
        match self {
            Array(element) => match element.data_type() {
                Some(data_type) => format!("{}[]", data_type.sql_name()),
                None => format!("{}[]", element.oid()),
            },
            Bool => "boolean".into(),
            InternalChar => "\"char\"".into(),
            Int8 => "bigint".into(),
            Int2 => "smallint".into(),
            Int4 => "integer".into(),
            Float4 => "real".into(),
            Float8 => "double precision".into(),
            Bpchar => "character".into(),
            Varchar => "character varying".into(),
            Time => "time without time zone".into(),
            TimeTz => "time with time zone".into(),
            Timestamp => "timestamp without time zone".into(),
            TimestampTz => "timestamp with time zone".into(),
            Varbit => "bit varying".into(),
            Any => "\"any\"".into(),
            Enum(oid) | Composite(oid) => oid.to_string(),
            Domain(domain) => domain.oid.to_string(),
            other => other.pg_name().unwrap_or("???").into(),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql_name())
    }
}

/// A type with its modifier: what a column or a cast names.
///
/// `typmod` is PostgreSQL's, -1 for none: `varchar(n)`/`char(n)`: n + 4; `numeric(p,s)`: ((p << 16) | (s & 0x7ff)) + 4;
/// `time(p)`/`timestamp(p)`: p; `interval`: (field mask << 16) | precision; `bit(n)`: n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ColumnType {
    pub data_type: DataType,
    pub typmod: i32,
}

impl ColumnType {
    pub const NO_MODIFIER: i32 = -1;

    pub fn new(data_type: DataType, typmod: i32) -> Self {
        ColumnType { data_type, typmod }
    }
}

impl fmt::Display for ColumnType {
    /// format_type's name with its modifier: `character varying(10)`, `numeric(10,2)`, `timestamp(3) without time zone`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DataType::*;
        if let Some(element) = self.data_type.element()
            && matches!(self.data_type, Array(_))
        {
            return write!(f, "{}[]", ColumnType::new(element, self.typmod));
        }
        let name = self.data_type.sql_name();
        let typmod = self.typmod;
        match self.data_type {
            // A bpchar without length is not char(1): it prints under its own name.
            Bpchar if typmod < 0 => f.write_str("bpchar"),
            _ if typmod < 0 => f.write_str(&name),
            Varchar | Bpchar => write!(f, "{name}({})", typmod - 4),
            Numeric => {
                let packed = typmod - 4;
                let scale = ((packed & 0x7ff) ^ 1024) - 1024;
                write!(f, "numeric({},{scale})", packed >> 16 & 0xffff)
            }
            Time | TimeTz | Timestamp | TimestampTz => {
                let (first, rest) = name.split_once(' ').unwrap_or((&name, ""));
                write!(f, "{first}({typmod}) {rest}")
            }
            Interval => write_interval(f, typmod),
            Bit | Varbit => write!(f, "{name}({typmod})"),
            _ => f.write_str(&name),
        }
    }
}

/// `interval day to second(3)`: the upper half is the field mask of PostgreSQL's timestamp.h, the lower the precision.
fn write_interval(f: &mut fmt::Formatter<'_>, typmod: i32) -> fmt::Result {
    const PRECISION_NONE: i32 = 0xffff;
    let fields = match typmod >> 16 & 0x7fff {
        0x0004 => " year",
        0x0002 => " month",
        0x0008 => " day",
        0x0400 => " hour",
        0x0800 => " minute",
        0x1000 => " second",
        0x0006 => " year to month",
        0x0408 => " day to hour",
        0x0c08 => " day to minute",
        0x1c08 => " day to second",
        0x0c00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    write!(f, "interval{fields}")?;
    match typmod & PRECISION_NONE {
        PRECISION_NONE => Ok(()),
        precision => write!(f, "({precision})"),
    }
}

impl From<DataType> for ColumnType {
    fn from(data_type: DataType) -> Self {
        ColumnType { data_type, typmod: Self::NO_MODIFIER }
    }
}
