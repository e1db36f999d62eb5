//! Tables that `sql` makes up.

use std::sync::Arc;
use std::vec;

use async_trait::async_trait;
use expr::Program;
use planner::catalog::VirtualTable;
use planner::plan::VirtualScan;
use types::{Batch, PgResult};

use crate::error::ExecResult;
use crate::operator::{BoxedOperator, Node, Operator, Run};
use crate::program::{self, Scalar};

pub(crate) struct VirtualScanNode {
    table: Arc<VirtualTable>,
    columns: Vec<usize>,
    filter: Option<Program>,
    equalities: Vec<(u32, Scalar)>,
}

impl VirtualScanNode {
    pub fn new(scan: &VirtualScan) -> PgResult<VirtualScanNode> {
        let equalities = scan.equalities.iter().map(|(column, value)| Ok((*column, Scalar::new(value)?)));
        Ok(VirtualScanNode {
            table: scan.table.clone(),
            columns: scan.columns.iter().map(|column| *column as usize).collect(),
            filter: scan.filter.as_ref().map(Program::new).transpose()?,
            equalities: equalities.collect::<PgResult<_>>()?,
        })
    }
}

impl Node for VirtualScanNode {
    fn open(self: Arc<Self>) -> BoxedOperator {
        BoxedOperator::new(VirtualScanOperator { node: self, batches: None })
    }
}

struct VirtualScanOperator {
    node: Arc<VirtualScanNode>,
    batches: Option<vec::IntoIter<Batch>>,
}

#[async_trait]
impl Operator for VirtualScanOperator {
    async fn next(&mut self, run: &mut Run) -> ExecResult<Option<Batch>> {
        let node = &*self.node;
        if self.batches.is_none() {
            let values: Vec<_> = {
                let eval = run.eval();
                let values = node.equalities.iter().map(|(column, value)| Ok((*column, value.value(&eval)?)));
                values.collect::<PgResult<_>>()?
            };
            let rows = run.context.virtual_tables.rows(&node.table, &values).await?;
            self.batches = Some(rows.into_iter());
        }
        for batch in self.batches.as_mut().expect("set above") {
            run.pause().await?;
            if batch.rows == 0 {
                continue;
            }
            let columns = node.columns.iter().map(|column| batch.columns[*column].clone()).collect();
            let chosen = Batch { columns, rows: batch.rows };
            let kept = match &node.filter {
                None => Some(chosen),
                Some(condition) => program::filter(condition, &run.eval(), chosen)?,
            };
            if kept.is_some() {
                return Ok(kept);
            }
        }
        Ok(None)
    }
}
