//! A common table that is read once is read where it stands: conditions reach it, and it need not be kept. One that nobody reads
//! is dropped. Left alone are those that modify, that recurse, that lock, that call volatile functions, and those
//! marked MATERIALIZED, as in PostgreSQL.

use crate::logical::*;
use std::collections::BTreeMap;

pub fn run(mut relational: Relational, columns: &mut Columns) -> Relational {
    let mut readers = BTreeMap::new();
    count(&relational, &mut readers);
    inline(&mut relational, &readers, columns);
    relational
}

fn count(node: &Relational, readers: &mut BTreeMap<u32, u32>) {
    if let Relational::CteScan(scan) = node {
        *readers.entry(scan.cte).or_insert(0) += 1;
    }
    node.for_each_input(&mut |input| count(input, readers));
}

fn inline(node: &mut Relational, readers: &BTreeMap<u32, u32>, columns: &mut Columns) {
    if let Relational::With(with) = node {
        let mut kept = Vec::with_capacity(with.tables.len());
        let mut tables = std::mem::take(&mut with.tables).into_iter();
        while let Some(table) = tables.next() {
            let uses = readers.get(&table.cte).copied().unwrap_or(0);
            if table.modifies || uses > 1 || !may_inline(&table) {
                kept.push(table);
                continue;
            }
            if uses == 1 {
                let mut waiting = Some(table);
                for later in tables.as_mut_slice() {
                    replace_scan(&mut later.input, &mut waiting, columns);
                }
                replace_scan(&mut with.body, &mut waiting, columns);
                // Read from a table before it, which cannot be: keep it.
                kept.extend(waiting);
            }
        }
        with.tables = kept;
        if with.tables.is_empty() {
            *node = with.body.take();
        }
    }
    node.for_each_input_mut(&mut |input| inline(input, readers, columns));
}

fn may_inline(table: &WithTable) -> bool {
    let bars = |node: &Relational| {
        let mut volatile = false;
        node.for_each_expr(&mut |expression| volatile |= expr::eval::is_volatile(expression));
        volatile
            || match node {
                Relational::RecursiveUnion(_) | Relational::LockRows(_) | Relational::Deferred(_) => true,
                Relational::Scan(scan) => scan.lock.is_some(),
                Relational::CteScan(scan) => scan.work_table,
                _ => false,
            }
    };
    table.materialized != Some(true) && !table.input.any(&bars)
}

/// Puts the table's query where it is scanned.
fn replace_scan(node: &mut Relational, waiting: &mut Option<WithTable>, columns: &Columns) {
    let Some(table) = waiting else { return };
    if let Relational::CteScan(scan) = node
        && scan.cte == table.cte
    {
        let pairs = scan.columns.iter().zip(&table.columns);
        let renamed = pairs.map(|(new, old)| (*new, columns.expr(*old))).collect();
        let input = table.input.take();
        *node = input.extend(renamed);
        *waiting = None;
        return;
    }
    node.for_each_input_mut(&mut |input| replace_scan(input, waiting, columns));
}
