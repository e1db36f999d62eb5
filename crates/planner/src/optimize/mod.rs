//! From logical algebra to the physical plan.
//!
//! ```text
//!   logical::Relational ─▶ build (one file per family) ─▶ plan::PlanNode
//!                             │ scan: which index, which spans     access_path
//!                             │ join: order, hash or lookup        join, join_order
//!                             └ rows and costs                     estimate
//! ```
//!
//! Logical columns are numbered query-wide; here each node gets a *layout*: which number stands at which position of its
//! batches. Only what is used above is carried. Columns of enclosing queries (correlation) become slots that an
//! [`plan::Apply`] sets.

mod access_path;
mod alternatives;
mod build;
mod estimate;
mod implied;
mod join;
mod join_order;
mod modify;
mod ordered;
mod relational;
mod scan;

use build::Builder;

use types::PgResult;

use crate::catalog::Catalog;
use crate::logical::{ColumnNumber, Columns, Relational};
use crate::options::PlanOptions;
use crate::plan::PlanNode;

/// Builds the physical plan whose columns are `output`, in order. Answers it with the number of slots then in use.
pub fn physical_plan(
    relational: Relational,
    output: &[ColumnNumber],
    columns: &Columns,
    slot_count: u32,
    catalog: &dyn Catalog,
    options: &PlanOptions,
) -> PgResult<(PlanNode, u32)> {
    let mut builder = Builder::new(columns, slot_count, catalog, options);
    let built = builder.build(relational, &output.iter().copied().collect())?;
    let node = builder.project_to(built, output)?;
    Ok((node, builder.slot_count))
}
