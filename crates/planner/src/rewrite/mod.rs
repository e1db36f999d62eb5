//! Rewrite passes: logical algebra to better logical algebra, each with a name under which it can be switched off
//! ([`crate::PlanOptions::disabled_passes`]).
//!
//! The order matters: folding first, so that later passes see constants; pushing conditions down last, after the passes that
//! make joins.

pub mod push_down;

use crate::logical::{Columns, Relational};
use crate::options::PlanOptions;

/// One pass.
pub struct Pass {
    pub name: &'static str,
    pub run: fn(Relational, &mut Columns) -> Relational,
}

/// All passes, in order.
pub static PASSES: &[Pass] = &[Pass { name: "push_down_conditions", run: push_down::run }];

/// Runs every pass that is not switched off.
pub fn rewrite(mut relational: Relational, columns: &mut Columns, options: &PlanOptions) -> Relational {
    for pass in PASSES {
        if !options.disabled_passes.contains(pass.name) {
            relational = (pass.run)(relational, columns);
        }
    }
    relational
}
