//! How a made-up table is declared: columns, rows as structs, values.
//!
//! [`table!`] (a catalog table, columns NOT NULL unless `nullable`) and [`view!`] (all columns nullable, as in PostgreSQL)
//! declare the columns of a table once and make a struct of them, so that a row names its columns and the compiler checks
//! them; fields left to `..Default::default()` are NULL. [`empty_tables!`] declares tables that have no rows here.

use types::descriptor::Oid;
use types::{ArrayValue, DataType, Datum, ElementType};

use super::MakeRows;
use super::picture::Picture;
use crate::session::Services;

/// One row, in the order of the table's columns.
pub type Values = Vec<Datum>;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub data_type: DataType,
    /// Never NULL: pg_attribute.attnotnull.
    pub not_null: bool,
    /// Rows can be found by it without making up all of them.
    pub key: bool,
}

/// A column but for its name.
#[derive(Clone, Copy)]
pub struct ColumnShape {
    data_type: DataType,
    nullable: bool,
    key: bool,
}

const fn plain(data_type: DataType) -> ColumnShape {
    ColumnShape { data_type, nullable: false, key: false }
}

const fn array(element: u32) -> ColumnShape {
    plain(DataType::Array(ElementType::builtin(element)))
}

pub const fn nullable(shape: ColumnShape) -> ColumnShape {
    ColumnShape { nullable: true, ..shape }
}

/// See [`Column::key`].
pub const fn key(shape: ColumnShape) -> ColumnShape {
    ColumnShape { key: true, ..shape }
}

/// A column of a catalog table.
pub const fn table_column(name: &'static str, shape: ColumnShape) -> Column {
    Column { name, data_type: shape.data_type, not_null: !shape.nullable, key: shape.key }
}

/// A column of a system view.
pub const fn view_column(name: &'static str, shape: ColumnShape) -> Column {
    Column { name, data_type: shape.data_type, not_null: false, key: shape.key }
}

macro_rules! shapes {
    ($($name:ident = $variant:ident;)*) => { $(pub const $name: ColumnShape = plain(DataType::$variant);)* };
}

shapes! {
    ANYARRAY = AnyArray;
    BOOL = Bool;
    BYTEA = Bytea;
    CHAR = InternalChar;
    FLOAT4 = Float4;
    FLOAT8 = Float8;
    INET = Inet;
    INT2 = Int2;
    INT2VECTOR = Int2Vector;
    INT4 = Int4;
    INT8 = Int8;
    INTERVAL = Interval;
    NAME = Name;
    NODE_TREE = PgNodeTree;
    NUMERIC = Numeric;
    OID = Oid;
    OIDVECTOR = OidVector;
    PG_LSN = PgLsn;
    REGPROC = Regproc;
    REGTYPE = Regtype;
    TEXT = Text;
    TIMESTAMPTZ = TimestampTz;
    VARCHAR = Varchar;
    XID = Xid;
}

pub const ACLITEMS: ColumnShape = array(1033);
pub const BOOLS: ColumnShape = array(16);
pub const CHARS: ColumnShape = array(18);
pub const FLOAT4S: ColumnShape = array(700);
pub const FLOAT8S: ColumnShape = array(701);
pub const INT2S: ColumnShape = array(21);
pub const INT4S: ColumnShape = array(23);
pub const NAMES: ColumnShape = array(19);
pub const OIDS: ColumnShape = array(26);
pub const REGTYPES: ColumnShape = array(2206);
pub const TEXTS: ColumnShape = array(25);

/// How a table's rows come about.
#[derive(Clone, Copy)]
pub enum Rows {
    /// There is nothing of the kind here.
    None,
    /// Nobody can tell: 0A000 rather than an answer that is not true.
    Unknown,
    /// From the catalog alone.
    Catalog(fn(&Picture<'_>, &Wanted<'_>) -> Vec<Values>),
    /// From what the session and the node know.
    Session(fn(&Services) -> Vec<Values>),
    /// By asking the KV layer.
    Waiting(MakeRows),
}

/// Which rows are asked for: equalities on columns. A hint: more may be made up.
pub struct Wanted<'a> {
    pub columns: &'static [Column],
    pub equalities: &'a [(u32, Datum)],
}

impl Wanted<'_> {
    /// The oid that a column has to have.
    pub fn oid(&self, column: &str) -> Option<Oid> {
        match self.equality(column)? {
            Datum::Oid(value) => Some(Oid(*value)),
            _ => None,
        }
    }

    /// The text that a column has to have.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.equality(column)? {
            Datum::Text(value) => Some(value),
            _ => None,
        }
    }

    fn equality(&self, column: &str) -> Option<&Datum> {
        let named =
            |position: u32| self.columns.get(position as usize).is_some_and(|other| other.name == column);
        self.equalities.iter().find(|(position, _)| named(*position)).map(|(_, value)| value)
    }
}

/// A struct of a row.
pub trait Row {
    fn into_values(self) -> Values;
}

/// Rows as the scan wants them.
pub fn values<R: Row>(rows: impl IntoIterator<Item = R>) -> Vec<Values> {
    rows.into_iter().map(Row::into_values).collect()
}

macro_rules! declare {
    ($column_of:ident, $kind:ident, $row:ident: $oid:literal $schema:ident.$table:ident {
        $($column:ident: $shape:expr),* $(,)?
    }) => {
        pub struct $row { $(pub $column: types::Datum,)* }

        impl Default for $row {
            fn default() -> Self {
                $row { $($column: types::Datum::Null,)* }
            }
        }

        impl $crate::virtual_tables::shape::Row for $row {
            fn into_values(self) -> $crate::virtual_tables::shape::Values {
                vec![$(self.$column),*]
            }
        }

        impl $row {
            pub const COLUMNS: &'static [$crate::virtual_tables::shape::Column] =
                &[$($crate::virtual_tables::shape::$column_of(stringify!($column), $shape)),*];

            pub const fn definition(
                rows: $crate::virtual_tables::shape::Rows,
            ) -> $crate::virtual_tables::Definition {
                $crate::virtual_tables::Definition {
                    oid: $oid,
                    schema: stringify!($schema),
                    name: stringify!($table),
                    kind: $crate::virtual_tables::RelationKind::$kind,
                    columns: Self::COLUMNS,
                    rows,
                }
            }
        }
    };
}
pub(super) use declare;

macro_rules! table {
    ($($declaration:tt)*) => {
        $crate::virtual_tables::shape::declare!(table_column, Table, $($declaration)*);
    };
}
pub(super) use table;

macro_rules! view {
    ($($declaration:tt)*) => {
        $crate::virtual_tables::shape::declare!(view_column, View, $($declaration)*);
    };
}
pub(super) use view;

macro_rules! empty_tables {
    (@column table $name:ident $shape:expr) => {
        $crate::virtual_tables::shape::table_column(stringify!($name), $shape)
    };
    (@column view $name:ident $shape:expr) => {
        $crate::virtual_tables::shape::view_column(stringify!($name), $shape)
    };
    (@kind table) => { $crate::virtual_tables::RelationKind::Table };
    (@kind view) => { $crate::virtual_tables::RelationKind::View };
    ($schema:ident, $rows:ident; $($oid:literal $kind:ident $table:ident { $($columns:tt)* })*) => {
        &[$($crate::virtual_tables::Definition {
            oid: $oid,
            schema: stringify!($schema),
            name: stringify!($table),
            kind: $crate::virtual_tables::shape::empty_tables!(@kind $kind),
            columns: $crate::virtual_tables::shape::empty_tables!(@columns $kind $($columns)*),
            rows: $crate::virtual_tables::shape::Rows::$rows,
        }),*]
    };
    (@columns $kind:ident $($column:ident: $shape:expr),* $(,)?) => {
        &[$($crate::virtual_tables::shape::empty_tables!(@column $kind $column $shape)),*]
    };
}
pub(super) use empty_tables;

// Values, by SQL type.

pub fn oid(value: Oid) -> Datum {
    Datum::Oid(value.0)
}

pub const fn number(value: u32) -> Datum {
    Datum::Oid(value)
}

/// text, name, varchar, "char".
pub fn text(value: impl AsRef<str>) -> Datum {
    Datum::text(value.as_ref())
}

pub fn optional_text(value: Option<impl AsRef<str>>) -> Datum {
    value.map_or(Datum::Null, text)
}

pub fn int2(value: usize) -> Datum {
    Datum::Int2(i16::try_from(value).unwrap_or(i16::MAX))
}

pub fn int4(value: usize) -> Datum {
    Datum::Int4(i32::try_from(value).unwrap_or(i32::MAX))
}

pub const fn boolean(value: bool) -> Datum {
    Datum::Bool(value)
}

/// information_schema's way.
pub fn yes_or_no(value: bool) -> Datum {
    text(if value { "YES" } else { "NO" })
}

fn array_value(element_oid: u32, lower_bound: i32, elements: Vec<Datum>) -> Datum {
    let length = i32::try_from(elements.len()).unwrap_or(i32::MAX);
    let dimensions = if length == 0 { Vec::new() } else { vec![(length, lower_bound)] };
    Datum::Array(Box::new(ArrayValue { element_oid, dimensions, elements }))
}

/// A one-dimensional array.
pub fn array_of(element: DataType, elements: Vec<Datum>) -> Datum {
    array_value(element.oid(), 1, elements)
}

pub fn texts<'a>(elements: impl IntoIterator<Item = &'a str>) -> Datum {
    array_of(DataType::Text, elements.into_iter().map(Datum::text).collect())
}

pub fn int2s(elements: impl IntoIterator<Item = i16>) -> Datum {
    array_of(DataType::Int2, elements.into_iter().map(Datum::Int2).collect())
}

pub fn int4s(elements: impl IntoIterator<Item = i32>) -> Datum {
    array_of(DataType::Int4, elements.into_iter().map(Datum::Int4).collect())
}

pub fn oids(elements: impl IntoIterator<Item = u32>) -> Datum {
    array_of(DataType::Oid, elements.into_iter().map(Datum::Oid).collect())
}

/// An int2vector: counted from 0.
pub fn int2vector(elements: impl IntoIterator<Item = i16>) -> Datum {
    array_value(DataType::Int2.oid(), 0, elements.into_iter().map(Datum::Int2).collect())
}

/// An oidvector: counted from 0.
pub fn oidvector(elements: impl IntoIterator<Item = u32>) -> Datum {
    array_value(DataType::Oid.oid(), 0, elements.into_iter().map(Datum::Oid).collect())
}
