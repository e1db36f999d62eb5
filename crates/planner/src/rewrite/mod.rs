//! Rewrite passes: logical algebra to better logical algebra, each with a name under which it can be switched off
//! ([`crate::PlanOptions::disabled_passes`]).
//!
//! The order matters: folding first, so that later passes see constants; common tables next, so that what is read once is seen
//! where it is read; marks become semi-joins before subqueries are decorrelated (an anti-join can be); conditions are pushed down
//! after the passes that make joins; min and max look at what is left above a table.

pub mod decorrelate;
pub mod fold_constants;
pub mod inline_common_tables;
pub mod min_max;
mod nullability;
pub mod push_down;
pub mod semi_joins;

pub(crate) use nullability::never_null;

use crate::logical::{Columns, Relational};
use crate::options::PlanOptions;

/// One pass.
pub struct Pass {
    pub name: &'static str,
    pub run: fn(Relational, &mut Columns) -> Relational,
}

/// All passes, in order.
pub static PASSES: &[Pass] = &[
    Pass { name: "fold_constants", run: fold_constants::run },
    Pass { name: "inline_common_tables", run: inline_common_tables::run },
    Pass { name: "semi_joins", run: semi_joins::run },
    Pass { name: "decorrelate", run: decorrelate::run },
    Pass { name: "push_down_conditions", run: push_down::run },
    Pass { name: "min_max", run: min_max::run },
];

/// Runs every pass that is not switched off.
pub fn rewrite(mut relational: Relational, columns: &mut Columns, options: &PlanOptions) -> Relational {
    for pass in PASSES {
        if !options.disabled_passes.contains(pass.name) {
            relational = (pass.run)(relational, columns);
        }
    }
    relational
}
