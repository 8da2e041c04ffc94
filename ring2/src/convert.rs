//! Frames as RecordBatches: the only place that knows both. Values are copied.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

/// The rows of a frame of `schema`.
///
/// # Errors
/// Where a column does not fit the schema.
pub fn record_batch(schema: &Schema, frame: &Frame) -> Result<RecordBatch, ArrowError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (field, column) in schema.fields.iter().zip(&frame.columns) {
        arrays.push(column.to_array(&field.data_type));
        fields.push(Field::new(
            &field.name,
            field.data_type.clone(),
            field.nullable,
        ));
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
    RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &rows)
}
