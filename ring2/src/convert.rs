//! Frames as RecordBatches: the only place that knows both. Values are copied.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, RecordBatch,
    RecordBatchOptions, StringArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;
use trefoil_ring0::column::Column;
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
        let rows = 0..column.len();
        let array: ArrayRef = match column {
            Column::Bool(c) => Arc::new(rows.map(|i| c.get(i)).collect::<BooleanArray>()),
            Column::I32(c) => Arc::new(rows.map(|i| c.get(i)).collect::<Date32Array>()),
            Column::I64(c) => Arc::new(rows.map(|i| c.get(i)).collect::<Int64Array>()),
            Column::F64(c) => Arc::new(rows.map(|i| c.get(i)).collect::<Float64Array>()),
            Column::Utf8(c) => Arc::new(rows.map(|i| c.get(i)).collect::<StringArray>()),
        };
        arrays.push(match array.data_type() == &field.data_type {
            true => array,
            false => cast(&array, &field.data_type)?,
        });
        fields.push(Field::new(
            &field.name,
            field.data_type.clone(),
            field.nullable,
        ));
    }
    let rows = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
    RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &rows)
}
