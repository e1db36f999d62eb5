//! The function catalogue: what PostgreSQL keeps in pg_proc, pg_operator and pg_cast, as tables compiled into the binary.
//!
//! Rows live in one file per family (`functions/string.rs`, `functions/math.rs` ...), operators and casts in `operator_rows`
//! and `cast_rows`; oids, names, strictness and volatility are PostgreSQL 15's. A row whose kind is
//! [`FunctionKind::Missing`] is known to PostgreSQL but not built here: it takes part in overload resolution, so
//! that choosing among candidates goes as in PostgreSQL, and answers 0A000 when it is chosen.
//!
//! Lookup goes through maps that are built once, on first use.

pub mod aggregates;
mod cast_rows;
pub mod casts;
mod functions;
mod operator_rows;
pub mod operators;

pub use casts::{Cast, CastMethod, CastRow, CastRowMethod};
pub use operators::Operator;

use crate::function::{FunctionKind, FunctionRef};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::LazyLock;
use types::{DataType, Physical};

/// Every table's rows with the maps over them.
pub struct Catalogue {
    functions: Vec<FunctionRef>,
    functions_by_oid: FxHashMap<u32, FunctionRef>,
    functions_by_name: FxHashMap<&'static str, Vec<FunctionRef>>,
    operators_by_oid: FxHashMap<u32, &'static Operator>,
    operators_by_name: FxHashMap<&'static str, Vec<&'static Operator>>,
    casts: FxHashMap<(DataType, DataType), &'static CastRow>,
    /// Functions that can neither fail nor cost much: comparisons of plain types.
    harmless: FxHashSet<u32>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::build);

/// The catalogue. Immutable; the same in every process.
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Catalogue {
    fn build() -> Catalogue {
        let functions: Vec<FunctionRef> =
            functions::TABLES.iter().flat_map(|table| table.iter().map(FunctionRef)).collect();
        let mut functions_by_name: FxHashMap<&'static str, Vec<FunctionRef>> = FxHashMap::default();
        for function in &functions {
            functions_by_name.entry(function.0.name).or_default().push(*function);
        }
        let mut operators_by_name: FxHashMap<&'static str, Vec<&'static Operator>> = FxHashMap::default();
        for operator in operator_rows::ROWS {
            operators_by_name.entry(operator.name).or_default().push(operator);
        }
        Catalogue {
            functions_by_oid: functions.iter().map(|function| (function.0.oid, *function)).collect(),
            harmless: functions
                .iter()
                .filter(|function| compares_plainly(**function))
                .map(|f| f.0.oid)
                .collect(),
            functions,
            functions_by_name,
            operators_by_oid: operator_rows::ROWS.iter().map(|operator| (operator.oid, operator)).collect(),
            operators_by_name,
            casts: cast_rows::ROWS.iter().map(|cast| ((cast.from, cast.to), cast)).collect(),
        }
    }

    /// Every function that can run, in the order of the tables: pg_proc, and (by kind) pg_aggregate.
    pub fn functions(&self) -> impl Iterator<Item = FunctionRef> + '_ {
        self.functions.iter().copied().filter(|function| !matches!(function.0.kind, FunctionKind::Missing))
    }

    pub fn function(&self, oid: u32) -> Option<FunctionRef> {
        self.functions_by_oid.get(&oid).copied()
    }

    /// All overloads of `name`, missing ones included. Empty when there is none.
    pub fn functions_named(&self, name: &str) -> &[FunctionRef] {
        self.functions_by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a function can neither fail nor cost much, so that it may run on rows that do not need its answer.
    pub(crate) fn is_harmless(&self, function: FunctionRef) -> bool {
        self.harmless.contains(&function.0.oid)
    }

    /// Every operator, sorted by name and oid: pg_operator.
    pub fn operators(&self) -> &'static [Operator] {
        operator_rows::ROWS
    }

    pub fn operator(&self, oid: u32) -> Option<&'static Operator> {
        self.operators_by_oid.get(&oid).copied()
    }

    pub fn operators_named(&self, name: &str) -> &[&'static Operator] {
        self.operators_by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every row of pg_cast.
    pub fn casts(&self) -> &'static [CastRow] {
        cast_rows::ROWS
    }

    /// The pg_cast row from one type to another; implied conversions (through text, arrays) are not rows: see
    /// [`crate::resolve::find_cast`].
    pub fn cast_row(&self, from: DataType, to: DataType) -> Option<&'static CastRow> {
        self.casts.get(&(from, to)).copied()
    }
}

/// A function behind a comparison operator, over types of fixed width or text.
fn compares_plainly(function: FunctionRef) -> bool {
    let zoned = |data_type: &DataType| *data_type == DataType::TimestampTz;
    let arguments = function.0.arguments;
    arguments.len() == 2
        && function.0.result == DataType::Bool
        && arguments.iter().all(|argument| !matches!(argument.physical(), Physical::Datum))
        && (arguments[0] == arguments[1] || !arguments.iter().any(zoned))
        && operator_rows::ROWS.iter().any(|operator| {
            operator.function_oid == function.0.oid
                && matches!(operator.name, "=" | "<>" | "<" | "<=" | ">" | ">=")
        })
}
