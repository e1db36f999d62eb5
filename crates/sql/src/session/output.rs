//! Batches to DataRow messages.

use pgserver::{ColumnFormats, Format, ResultSink};
use types::format::{FormatContext, write_binary, write_text};
use types::{Batch, ColumnType, PgResult};

/// Writes the rows of a batch from `from` on, at most `limit`; answers how many.
pub fn write_rows(
    sink: &mut ResultSink,
    batch: &Batch,
    rows: std::ops::Range<usize>,
    column_types: &[ColumnType],
    formats: &ColumnFormats,
    context: &FormatContext,
) -> PgResult<()> {
    for row in rows {
        let mut writer = sink.begin_row(batch.columns.len());
        for (position, vector) in batch.columns.iter().enumerate() {
            if vector.is_null(row) {
                writer.null();
                continue;
            }
            let typmod = column_types.get(position).map_or(-1, |column_type| column_type.typmod);
            match formats.column(position) {
                Format::Text => writer.value_with(|out| write_text(vector, typmod, row, context, out)),
                Format::Binary => writer.value_with(|out| write_binary(vector, typmod, row, out)),
            }
        }
        writer.finish()?;
    }
    Ok(())
}
