//! Rows of state as bytes: an Arrow IPC stream of one batch, whose schema says what else there is
//! to know of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};

use super::{Owned, SLICE_ROWS};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::order::take;
use crate::schema::Schema as Columns;

fn unusable(error: &ArrowError) -> Error {
    Error::Restore(format!("rows of state cannot be read: {error}"))
}

/// A batch of these columns, of so many rows, about which these things are known.
pub(crate) fn batch(columns: Vec<ArrayRef>, rows: usize, known: &[(&str, String)]) -> RecordBatch {
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(i, c)| Field::new(format!("c{i}"), c.data_type().clone(), true));
    let known: HashMap<String, String> = known
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), known));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options).expect("columns of so many rows")
}

/// The bytes of a batch.
pub(crate) fn encode(batch: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = StreamWriter::try_new(&mut bytes, &batch.schema()).and_then(|mut writer| {
        writer.write(batch)?;
        writer.finish()
    });
    written.expect("columns of state have types that the format knows");
    bytes
}

/// The batch that these bytes are.
///
/// # Errors
/// [`Error::Restore`] where they are none.
pub(crate) fn decode(bytes: &[u8]) -> Result<RecordBatch> {
    let mut batches = StreamReader::try_new(bytes, None).map_err(|e| unusable(&e))?;
    match batches.next() {
        Some(batch) => batch.map_err(|e| unusable(&e)),
        None => Err(Error::Restore("rows of state are missing".to_owned())),
    }
}

/// Empty columns of a schema.
pub(crate) fn columns_of(schema: &Columns) -> Vec<Column> {
    schema.types().map(Column::of).collect()
}

/// Columns of a schema as arrays.
pub(crate) fn arrays_of(schema: &Columns, columns: Vec<Column>) -> Vec<ArrayRef> {
    let columns = columns.into_iter().zip(schema.types());
    columns.map(|(c, t)| c.into_array(t)).collect()
}

/// A frame of as many of these columns as the schema has.
pub(crate) fn frame_of(schema: &Columns, columns: &[ArrayRef], rows: usize) -> Frame {
    let mut frame = Frame::new(schema, rows.max(1));
    for (to, from) in frame.columns.iter_mut().zip(columns) {
        to.append_array(from, 0..rows);
    }
    frame.commit_rows(rows);
    frame
}

/// The next rows of a schema as rows of state, each of which is its place, its values as they are
/// kept in order, and a count. Gives the last one's place with them; `None` where there is none.
pub(crate) fn counted_rows<'a, P>(
    schema: &Columns,
    rows: impl Iterator<Item = (P, &'a [u8], i64)>,
) -> Option<(P, RecordBatch)> {
    let mut columns = columns_of(schema);
    let mut counts = Vec::new();
    let mut last = None;
    for (place, mut row, count) in rows.take(SLICE_ROWS) {
        columns.iter_mut().for_each(|to| take(&mut row, to));
        counts.push(count);
        last = Some(place);
    }
    let rows = counts.len();
    let mut columns = arrays_of(schema, columns);
    columns.push(Arc::new(Int64Array::from(counts)));
    Some((last?, batch(columns, rows, &[])))
}

/// These rows of an array.
pub(crate) fn rows_of(array: &ArrayRef, rows: &[usize]) -> ArrayRef {
    let rows: UInt64Array = rows.iter().map(|&row| row as u64).collect();
    arrow_select::take::take(array, &rows, None).expect("rows of the array")
}

/// Those rows of state that are owned here: as a frame of the columns by whose values they are, and
/// as arrays of what else there is, which has these types.
///
/// # Errors
/// [`Error::Restore`] where they have other columns.
pub(crate) fn owned_rows(
    rows: &RecordBatch,
    schema: &Columns,
    more: &[DataType],
    owned: &Owned,
    seed: u64,
) -> Result<(Frame, Vec<ArrayRef>)> {
    let columns = rows.columns();
    let types = columns.iter().map(|column| column.data_type());
    if !types.eq(schema.types().chain(more)) {
        return Err(Error::Restore(
            "rows of state have other columns".to_owned(),
        ));
    }
    let all = frame_of(schema, columns, rows.num_rows());
    let mine = owned.rows(&all, schema, seed);
    let columns: Vec<ArrayRef> = columns.iter().map(|c| rows_of(c, &mine)).collect();
    let frame = frame_of(schema, &columns, mine.len());
    Ok((frame, columns[schema.fields.len()..].to_vec()))
}
