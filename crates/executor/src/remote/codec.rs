//! Fragments as bytes: a version, the relation, the steps, what becomes of the rows.

use kvapi::wire::{Malformed, Reader, Writer};
use planner::plan::SortKey;
use types::DataType;
use types::descriptor::{ColumnDescriptor, ColumnId, IndexColumn, IndexDescriptor, TableDescriptor};

use super::VERSION;
use super::expression::{
    Expressions, column_type, flag, put, put_call, put_column_type, put_list, put_text, text,
};
use super::fragment::{Fragment, Output, Relation, Step, TOP_ROWS_MAX};

type Read<T> = Result<T, Malformed>;

/// Larger ones are not sent: a list of a hundred thousand values costs more than it saves.
pub(super) const PROGRAM_BYTES_MAX: usize = 1 << 20;
const STEPS_MAX: usize = 32;

/// `None`: it is larger than what is sent. Of a fragment whose parts without columns are values.
pub(super) fn encode(fragment: &Fragment) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(512);
    let mut to = Writer(&mut bytes);
    to.u8(VERSION);
    put_relation(&mut to, &fragment.relation);
    to.count(fragment.steps.len());
    for step in &fragment.steps {
        match step {
            Step::Filter(condition) => {
                to.u8(0);
                put(&mut to, condition);
            }
            Step::Project(expressions) => {
                to.u8(1);
                put_list(&mut to, expressions);
            }
        }
    }
    match &fragment.output {
        Output::Rows { limit } => {
            to.u8(0);
            to.u64(*limit);
        }
        Output::Groups { keys, calls } => {
            to.u8(1);
            put_list(&mut to, keys);
            to.count(calls.len());
            calls.iter().for_each(|call| put_call(&mut to, call));
        }
        Output::Top { keys, count } => {
            to.u8(2);
            to.count(keys.len());
            for key in keys {
                to.u32(key.column);
                to.u8(u8::from(key.descending));
                to.u8(u8::from(key.nulls_first));
            }
            to.u64(*count);
        }
    }
    (bytes.len() <= PROGRAM_BYTES_MAX && fragment.steps.len() <= STEPS_MAX).then_some(bytes)
}

fn put_relation(to: &mut Writer<'_>, relation: &Relation) {
    let table = &relation.table;
    to.u32(table.storage_id);
    put_text(to, &table.name);
    to.count(table.columns.len());
    for column in &table.columns {
        to.u32(u32::from(column.id.0));
        put_text(to, &column.name);
        put_column_type(to, column.column_type);
        to.u8(u8::from(column.missing_value.is_some()));
        if let Some(value) = &column.missing_value {
            put_text(to, value);
        }
    }
    put_index(to, &table.primary);
    to.u8(u8::from(relation.is_secondary));
    if let Some(index) = table.indexes.first().filter(|_| relation.is_secondary) {
        put_index(to, index);
    }
    put_ids(to, &relation.columns);
}

fn put_ids(to: &mut Writer<'_>, ids: &[ColumnId]) {
    to.count(ids.len());
    ids.iter().for_each(|id| to.u32(u32::from(id.0)));
}

fn put_index(to: &mut Writer<'_>, index: &IndexDescriptor) {
    put_text(to, &index.name);
    to.u32(index.storage_index);
    to.count(index.columns.len());
    for column in &index.columns {
        to.u32(u32::from(column.column.0));
        to.u8(u8::from(column.descending));
        to.u8(u8::from(column.nulls_first));
    }
    put_ids(to, &index.included);
    to.u8(u8::from(index.unique));
    to.u8(u8::from(index.nulls_not_distinct));
}

fn id(from: &mut Reader<'_>) -> Read<ColumnId> {
    u16::try_from(from.u32()?).map(ColumnId).map_err(|_| Malformed("a column"))
}

fn ids(from: &mut Reader<'_>) -> Read<Vec<ColumnId>> {
    (0..from.count()?).map(|_| id(from)).collect()
}

fn index(from: &mut Reader<'_>) -> Read<IndexDescriptor> {
    let name = text(from)?.to_string();
    let storage_index = from.u32()?;
    let mut columns = Vec::new();
    for _ in 0..from.count()? {
        let (column, descending) = (id(from)?, flag(from)?);
        columns.push(IndexColumn { descending, nulls_first: flag(from)?, ..IndexColumn::ascending(column) });
    }
    let included = ids(from)?;
    let (unique, nulls_not_distinct) = (flag(from)?, flag(from)?);
    let bare = IndexDescriptor::bare(name, storage_index, columns);
    Ok(IndexDescriptor { included, unique, nulls_not_distinct, ..bare })
}

fn relation(from: &mut Reader<'_>) -> Read<Relation> {
    let storage_id = from.u32()?;
    let name = text(from)?.to_string();
    let mut columns = Vec::new();
    for _ in 0..from.count()? {
        let id = id(from)?;
        let mut column = ColumnDescriptor::bare(id, text(from)?, column_type(from)?);
        if flag(from)? {
            column.missing_value = Some(text(from)?.to_string());
        }
        columns.push(column);
    }
    let mut table = TableDescriptor::bare(storage_id, index(from)?);
    table.name = name;
    table.columns = columns;
    let is_secondary = flag(from)?;
    if is_secondary {
        table.indexes.push(index(from)?);
    }
    Ok(Relation { table, is_secondary, columns: ids(from)? })
}

/// Reads a fragment of another node.
pub(super) fn decode(bytes: &[u8]) -> Read<Fragment> {
    if bytes.len() > PROGRAM_BYTES_MAX {
        return Err(Malformed("a program larger than any"));
    }
    let mut reader = Reader(bytes);
    let from = &mut reader;
    if from.u8()? != VERSION {
        return Err(Malformed("a version of another time"));
    }
    let relation = relation(from)?;
    let of_column = |id: &ColumnId| relation.table.column(*id).map(|column| column.column_type.data_type);
    let types: Option<Vec<DataType>> = relation.columns.iter().map(of_column).collect();
    let mut types = types.ok_or(Malformed("a column that is not there"))?;
    let mut steps = Vec::new();
    for _ in 0..from.count()? {
        if steps.len() == STEPS_MAX {
            return Err(Malformed("too many steps"));
        }
        let mut expressions = Expressions::over(&types);
        steps.push(if flag(from)? {
            let list = expressions.list(from)?;
            types = list.iter().map(expr::Expr::data_type).collect();
            Step::Project(list)
        } else {
            Step::Filter(expressions.condition(from)?)
        });
    }
    let output = output(from, &types)?;
    reader.finish()?;
    Ok(Fragment { relation, steps, output })
}

fn output(from: &mut Reader<'_>, types: &[DataType]) -> Read<Output> {
    let mut expressions = Expressions::over(types);
    Ok(match from.u8()? {
        0 => Output::Rows { limit: from.u64()? },
        1 => {
            let keys = expressions.list(from)?;
            let calls = (0..from.count()?).map(|_| expressions.call(from)).collect::<Read<Vec<_>>>()?;
            if !calls.iter().all(expr::aggregate::merges_exactly) {
                return Err(Malformed("an aggregate without partial states"));
            }
            Output::Groups { keys, calls }
        }
        2 => {
            let mut keys = Vec::new();
            for _ in 0..from.count()? {
                let (column, descending) = (from.u32()?, flag(from)?);
                keys.push(SortKey { column, descending, nulls_first: flag(from)? });
            }
            if keys.iter().any(|key| key.column as usize >= types.len()) {
                return Err(Malformed("a sort key"));
            }
            let count = from.u64()?;
            if count == 0 || count > TOP_ROWS_MAX {
                return Err(Malformed("number of rows"));
            }
            Output::Top { keys, count }
        }
        _ => return Err(Malformed("output")),
    })
}
