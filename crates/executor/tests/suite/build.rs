//! Tables, expressions and plan nodes in few words.

use std::sync::Arc;

use expr::Expr;
use planner::Table;
use planner::ast::{LockStrength, LockWait};
use planner::plan::*;
use types::descriptor::*;
use types::{ColumnType, DataType, Datum};

pub const INT: DataType = DataType::Int4;
pub const TEXT: DataType = DataType::Text;

/// A table with a primary key on its first column. `columns`: name, type, not null.
pub fn table(id: u32, name: &str, columns: &[(&str, DataType, bool)]) -> TableDescriptor {
    let columns: Vec<ColumnDescriptor> = columns
        .iter()
        .enumerate()
        .map(|(position, (name, data_type, not_null))| ColumnDescriptor {
            not_null: *not_null,
            ..ColumnDescriptor::bare(ColumnId(position as u16 + 1), *name, *data_type)
        })
        .collect();
    let mut primary = index(id + 1, &format!("{name}_pkey"), 1, &[1], true);
    primary.constraint = Some(Oid(id + 1));
    TableDescriptor {
        id: Oid(id),
        database: Oid(1),
        schema: Oid(2),
        name: name.to_string(),
        owner: "postgres".into(),
        next_column_id: columns.len() as u16 + 1,
        columns,
        ..TableDescriptor::bare(id, primary)
    }
}

pub fn index(id: u32, name: &str, storage_index: u32, columns: &[u16], unique: bool) -> IndexDescriptor {
    let column = |column: &u16| IndexColumn::ascending(ColumnId(*column));
    let columns = columns.iter().map(column).collect();
    IndexDescriptor { id: Oid(id), unique, ..IndexDescriptor::bare(name, storage_index, columns) }
}

/// Makes `child.columns` point to the primary key of `parent`.
pub fn reference(
    child: &mut TableDescriptor,
    parent: &mut TableDescriptor,
    id: u32,
    columns: &[u16],
    actions: (ForeignKeyAction, ForeignKeyAction),
) {
    child.foreign_keys.push(ForeignKey {
        id: Oid(id),
        name: format!("{}_fkey", child.name),
        columns: columns.iter().map(|column| ColumnId(*column)).collect(),
        referenced_table: parent.id,
        referenced_columns: parent.primary.columns.iter().map(|column| column.column).collect(),
        referenced_index: parent.primary.id,
        on_delete: actions.0,
        on_update: actions.1,
        match_full: false,
        deferrable: true,
        initially_deferred: false,
        not_valid: false,
    });
    parent.referenced_by.push((child.id, Oid(id)));
}

pub fn int(value: i32) -> Expr {
    Expr::constant(Datum::Int4(value), INT)
}

pub fn long(value: i64) -> Expr {
    Expr::constant(Datum::Int8(value), DataType::Int8)
}

pub fn text(value: &str) -> Expr {
    Expr::constant(Datum::text(value), TEXT)
}

pub fn null(data_type: DataType) -> Expr {
    Expr::constant(Datum::Null, data_type)
}

pub fn col(index: u32) -> Expr {
    Expr::column(index, INT)
}

pub fn op(name: &str, left: Expr, right: Expr) -> Expr {
    let found = expr::resolve::resolve_operator(name, Some(left.data_type()), right.data_type());
    let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
    Expr::Call {
        function: found.function,
        arguments: vec![left, right],
        data_type: found.result,
        position: 0,
    }
}

/// The function of an operator.
pub fn function_of(name: &str, left: DataType, right: DataType) -> expr::FunctionRef {
    expr::resolve::resolve_operator(name, Some(left), right).expect("there is such an operator").function
}

pub fn function(name: &str, arguments: &[DataType]) -> (expr::FunctionRef, DataType) {
    let plain = expr::resolve::FunctionArguments::Plain;
    let found = expr::resolve::resolve_function(None, name, arguments, plain);
    let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
    (found.function, found.result)
}

pub fn node(operator: Operator, types: &[DataType]) -> PlanNode {
    let columns = types
        .iter()
        .map(|data_type| PlanColumn { name: "c".into(), column_type: ColumnType::from(*data_type) })
        .collect();
    PlanNode { operator, columns, estimate: Estimate::default() }
}

pub fn types_of(node: &PlanNode) -> Vec<DataType> {
    node.columns.iter().map(|column| column.column_type.data_type).collect()
}

pub fn values(types: &[DataType], rows: Vec<Vec<Expr>>) -> PlanNode {
    node(Operator::Values(Box::new(Values { rows })), types)
}

/// Rows of integers; `None` is NULL.
pub fn ints(width: usize, rows: &[&[Option<i32>]]) -> PlanNode {
    let cell = |value: &Option<i32>| value.map_or(null(INT), int);
    values(&vec![INT; width], rows.iter().map(|row| row.iter().map(cell).collect()).collect())
}

/// All columns of a table through an index.
pub fn scan(table: &Arc<Table>, index: u32, spans: Spans) -> TableScan {
    TableScan {
        table: table.clone(),
        alias: "t".into(),
        index,
        spans,
        single_row: false,
        reverse: false,
        ordered: true,
        fetch_row: index > 0,
        columns: table.descriptor.columns.iter().map(|column| column.id).collect(),
        filter: None,
        row_hint: None,
        page_hint: None,
        lock: None,
    }
}

pub fn scan_node(scan: TableScan) -> PlanNode {
    let types: Vec<DataType> = scan
        .columns
        .iter()
        .map(|id| scan.table.descriptor.column(*id).expect("a column").column_type.data_type)
        .collect();
    node(Operator::TableScan(Box::new(scan)), &types)
}

pub fn all(table: &Arc<Table>) -> PlanNode {
    scan_node(scan(table, 0, Spans::All))
}

pub fn equal(prefix: Vec<Expr>) -> Span {
    Span {
        prefix: prefix.into_iter().map(KeyValue::Equal).collect(),
        lower: SpanBound::Unbounded,
        upper: SpanBound::Unbounded,
        not_null: false,
    }
}

pub fn point(table: &Arc<Table>, key: Expr) -> TableScan {
    TableScan { single_row: true, ..scan(table, 0, Spans::List(vec![equal(vec![key])])) }
}

pub fn lock() -> Option<RowLock> {
    Some(RowLock { strength: LockStrength::Update, wait: LockWait::Block })
}

pub fn filter(input: PlanNode, condition: Expr) -> PlanNode {
    let types = types_of(&input);
    node(Operator::Filter(Box::new(Filter { input, condition })), &types)
}

pub fn project(input: PlanNode, expressions: Vec<Expr>) -> PlanNode {
    let types: Vec<DataType> = expressions.iter().map(Expr::data_type).collect();
    node(Operator::Project(Box::new(Project { input, expressions })), &types)
}

pub fn ascending(column: u32) -> SortKey {
    SortKey { column, descending: false, nulls_first: false }
}

pub fn sort(input: PlanNode, columns: &[u32]) -> PlanNode {
    let types = types_of(&input);
    let keys = columns.iter().map(|column| ascending(*column)).collect();
    node(Operator::Sort(Box::new(Sort { input, keys, presorted: 0 })), &types)
}

pub fn insert(table: &Arc<Table>, source: PlanNode) -> Insert {
    Insert {
        table: table.clone(),
        source,
        generated: Vec::new(),
        checks: Vec::new(),
        partial_indexes: Vec::new(),
        on_conflict: None,
        returning: None,
    }
}

pub fn insert_node(insert: Insert) -> PlanNode {
    let types: Vec<DataType> = insert.returning.iter().flatten().map(Expr::data_type).collect();
    node(Operator::Insert(Box::new(insert)), &types)
}

/// `SET column = value` of the rows of `source`.
pub fn update(table: &Arc<Table>, source: PlanNode, assignments: Vec<(u32, Expr)>) -> Update {
    Update {
        table: table.clone(),
        source,
        assignments: assignments.into_iter().map(|(column, value)| Assignment { column, value }).collect(),
        generated: Vec::new(),
        checks: Vec::new(),
        partial_indexes: Vec::new(),
        may_repeat: false,
        returning: None,
    }
}

pub fn update_node(update: Update) -> PlanNode {
    let types: Vec<DataType> = update.returning.iter().flatten().map(Expr::data_type).collect();
    node(Operator::Update(Box::new(update)), &types)
}

pub fn delete(table: &Arc<Table>, source: PlanNode) -> PlanNode {
    let delete = Delete {
        table: table.clone(),
        source,
        partial_indexes: Vec::new(),
        may_repeat: false,
        returning: None,
    };
    node(Operator::Delete(Box::new(delete)), &[])
}
