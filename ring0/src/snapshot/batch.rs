//! Rows of state as bytes: an Arrow IPC stream of one batch, whose schema says what else there is
//! to know of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Field, Schema};

use crate::error::{Error, Result};
use crate::frame::Frame;

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

/// A frame of as many of these columns as the schema has.
pub(crate) fn frame(schema: &crate::schema::Schema, columns: &[ArrayRef], rows: usize) -> Frame {
    let mut frame = Frame::new(schema, rows.max(1));
    for (to, from) in frame.columns.iter_mut().zip(columns) {
        to.append_array(from, 0..rows);
    }
    frame.commit_rows(rows);
    frame
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
