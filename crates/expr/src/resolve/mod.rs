//! Which function, which operator, which conversion: PostgreSQL chapter 10.
//!
//! An operator or function name with argument types is resolved in steps (10.2, 10.3):
//!
//! 1. a candidate whose types match exactly wins (for operators an unknown literal beside a typed operand is first taken to
//!    be of that operand's type);
//! 2. candidates to which some argument cannot be implicitly converted fall away;
//! 3. of what is left those with the most exact matches stay, then those that take preferred types where something
//!    must be converted;
//! 4. unknown literals take the category that the remaining candidates agree on (strings win), preferred types first;
//! 5. at last all unknown literals are taken to be of the type that all known arguments have.
//!
//! One left: it is chosen; none: 42883; several: 42725. Polymorphic types are then bound to actual ones (38.2.5).
//! The unknown type stands for an untyped literal, NULL or parameter and converts to anything.

mod candidates;
mod coerce;
mod common_type;
mod function;
mod operator;
mod polymorphic;
mod signature;

pub use coerce::{coerce, coerce_to_common, compare, function_call, operator_call};
pub use common_type::common_type;
pub use function::{FunctionArguments, default_argument, function_as_cast, resolve_function};
pub use operator::{equality, ordering, resolve_operator};
pub use signature::{Signatures, choose_signature, instantiate_signature};

use crate::catalogue::casts::CastRowMethod;
use crate::catalogue::{Cast, CastMethod, catalogue};
use crate::expr::{CastContext, Expr};
use crate::function::FunctionRef;
use types::DataType;

/// The chosen function and what to do with the arguments.
///
/// - `argument_types` has one entry for each given argument: the type to which it has to be converted (implicitly).
/// - `collect_from`: arguments from that one on are to be put into one array (the function takes `VARIADIC type[]`);
///   their entries in `argument_types` are the element type.
/// - `defaults`: constants for trailing arguments that were left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub function: FunctionRef,
    pub argument_types: Vec<DataType>,
    pub collect_from: Option<usize>,
    pub defaults: Vec<Expr>,
    pub result: DataType,
}

/// How `from` can become `to`, and who may ask for it: pg_cast, arrays by their elements, and conversion through text to
/// (assignment) and from (explicit) the string types. `None`: not at all (42846 or 42804, the asker knows). A type is a binary
/// implicit cast of itself; an unknown literal becomes anything by [`CastMethod::InOut`].
pub fn find_cast(from: DataType, to: DataType) -> Option<Cast> {
    if from == to {
        return Some(Cast { context: CastContext::Implicit, method: CastMethod::Binary });
    }
    if from == DataType::Unknown {
        return Some(Cast { context: CastContext::Implicit, method: CastMethod::InOut });
    }
    // A domain's values are values of what it is over. That its constraints hold is checked around the conversion.
    if from != from.base() || to != to.base() {
        return find_cast(from.base(), to.base());
    }
    if let Some(row) = catalogue().cast_row(from, to) {
        let method = match row.method {
            CastRowMethod::Function(oid) => {
                CastMethod::Function(catalogue().function(oid).expect("every cast row names a function row"))
            }
            CastRowMethod::Binary => CastMethod::Binary,
            CastRowMethod::InOut => CastMethod::InOut,
        };
        return Some(Cast { context: row.context, method });
    }
    // int2vector and oidvector become arrays, arrays do not become those.
    if let DataType::Array(_) = to
        && let (Some(from_element), Some(to_element)) = (from.element(), to.element())
    {
        let element = find_cast(from_element, to_element)?;
        return Some(Cast { context: element.context, method: CastMethod::Array });
    }
    if matches!((from, to), (DataType::Composite(_), DataType::Record)) {
        return Some(Cast { context: CastContext::Implicit, method: CastMethod::Binary });
    }
    if from == DataType::Record && to.category() == b'S' {
        return Some(Cast { context: CastContext::Assignment, method: CastMethod::InOut });
    }
    if from.category() == b'P' || to.category() == b'P' {
        return None;
    }
    if to.category() == b'S' {
        return Some(Cast { context: CastContext::Assignment, method: CastMethod::InOut });
    }
    if from.category() == b'S' {
        return Some(Cast { context: CastContext::Explicit, method: CastMethod::InOut });
    }
    None
}

/// Whether a value of `from` may be used as `to` when `context` asks.
pub fn can_coerce(from: DataType, to: DataType, context: CastContext) -> bool {
    to == DataType::Any || find_cast(from, to).is_some_and(|cast| cast.context <= context)
}
