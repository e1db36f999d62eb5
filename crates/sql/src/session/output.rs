//! Batches to DataRow messages.

use pgserver::{ColumnFormats, Format, ResultSink};
use types::format::{FormatContext, write_binary, write_datum_text, write_text};
use types::{Batch, ColumnType, DataType, Datum, PgResult, Vector};

use super::Session;
use crate::catalog_functions::names::name_output;
use crate::planning::StatementCatalog;
use crate::virtual_tables::picture::Picture;

/// Turns oids into names in the text of regclass and its family. Made for results with such columns alone.
pub struct Names {
    catalog: StatementCatalog,
    user: String,
    search_path: Vec<String>,
    temporary_schema: String,
}

impl Session {
    /// `None` when no column of the result needs it.
    pub(super) fn names(&self, catalog: &StatementCatalog, types: &[ColumnType]) -> Option<Names> {
        types.iter().any(|column_type| is_name(column_type.data_type)).then(|| Names {
            catalog: catalog.clone(),
            user: self.user.clone(),
            search_path: self.info().search_path.clone(),
            temporary_schema: self.temporary_schema_name().to_string(),
        })
    }
}

/// Types whose values are oids and whose text is a name; and arrays of them.
fn is_name(data_type: DataType) -> bool {
    use DataType::*;
    match data_type.element() {
        Some(element) => is_name(element),
        None => matches!(
            data_type,
            Regclass | Regtype | Regproc | Regprocedure | Regoper | Regnamespace | Regrole
        ),
    }
}

impl Names {
    /// The text of a value whose type is among these; `None` for other types.
    pub fn text(&self, column_type: ColumnType, vector: &Vector, row: usize) -> Option<String> {
        if !is_name(column_type.data_type) {
            return None;
        }
        match (vector.datum(row), column_type.data_type.element()) {
            (Datum::Oid(id), None) => self.name(column_type.data_type, id),
            (Datum::Array(mut array), Some(element)) => {
                for value in &mut array.elements {
                    if let Datum::Oid(id) = value {
                        *value = Datum::text(self.name(element, *id)?);
                    }
                }
                array.element_oid = DataType::Text.oid();
                let texts = DataType::array_of(DataType::Text);
                let mut out = Vec::new();
                write_datum_text(&Datum::Array(array), texts, -1, &FormatContext::default(), &mut out);
                String::from_utf8(out).ok()
            }
            _ => None,
        }
    }

    fn name(&self, data_type: DataType, id: u32) -> Option<String> {
        let picture = Picture {
            snapshot: &self.catalog.snapshot,
            statistics: &self.catalog.server.statistics,
            database: self.catalog.database,
            user: &self.user,
            search_path: &self.search_path,
            temporary_schema: &self.temporary_schema,
            format: &self.catalog.session.format,
        };
        name_output(&picture, data_type, id)
    }
}

/// How the rows of a result are written.
pub struct RowFormat<'a> {
    pub types: &'a [ColumnType],
    pub formats: &'a ColumnFormats,
    pub context: &'a FormatContext,
    pub names: Option<&'a Names>,
}

/// Writes rows of a batch.
pub fn write_rows(
    sink: &mut ResultSink,
    batch: &Batch,
    rows: std::ops::Range<usize>,
    format: &RowFormat<'_>,
) -> PgResult<()> {
    for row in rows {
        let mut writer = sink.begin_row(batch.columns.len());
        for (position, vector) in batch.columns.iter().enumerate() {
            if vector.is_null(row) {
                writer.null();
                continue;
            }
            let column_type = format.types.get(position).copied();
            let typmod = column_type.map_or(-1, |column_type| column_type.typmod);
            match format.formats.column(position) {
                Format::Text => {
                    let name = format.names.and_then(|names| names.text(column_type?, vector, row));
                    writer.value_with(|out| match name {
                        Some(name) => out.extend_from_slice(name.as_bytes()),
                        None => write_text(vector, typmod, row, format.context, out),
                    });
                }
                Format::Binary => {
                    writer.value_with(|out| write_binary(vector, typmod, row, format.context, out))
                }
            }
        }
        writer.finish()?;
    }
    Ok(())
}
