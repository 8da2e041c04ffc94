//! Frames as RecordBatches: the only place that knows both. Values are copied.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use datafusion::arrow::error::ArrowError;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::{self, Schema, physical};

use crate::ResultColumn;

/// What Arrow knows a column's meaning by, beyond its type, and texts that are JSON.
const EXTENSION: &str = "ARROW:extension:name";
const JSON: &str = "arrow.json";

/// Whether the texts of a column are JSON: Arrow's canonical extension type.
pub fn is_json(field: &Field) -> bool {
    field
        .metadata()
        .get(EXTENSION)
        .is_some_and(|name| name == JSON)
}

/// A column whose texts are JSON.
pub(crate) fn json(field: Field) -> Field {
    field.with_metadata([(EXTENSION.to_owned(), JSON.to_owned())].into())
}

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

/// What rows are printed from: the columns of a result, in order, those of the frame, and the rows.
pub type Printable = (Vec<ResultColumn>, Schema, Frame);

/// The rows of a batch, to be printed as results are. A window is printed by its two bounds, what
/// Ring 0 cannot hold as its text.
///
/// # Errors
/// Where a value has no text.
pub fn printable(batch: &RecordBatch) -> Result<Printable, ArrowError> {
    let (mut columns, mut fields) = (Vec::new(), Vec::new());
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        let (name, index) = (field.name().clone(), fields.len());
        match array.data_type() {
            DataType::Struct(bounds) if is_window(bounds) => {
                let (bounds, values, _) = array.as_struct().clone().into_parts();
                for (bound, values) in bounds.iter().zip(values) {
                    fields.push(schema::Field::new(bound.name(), bound.data_type().clone()));
                    arrays.push(values);
                }
                let (start, end) = (index, index + 1);
                columns.push(ResultColumn::Window { name, start, end });
                continue;
            }
            data_type if physical(data_type).is_some() => arrays.push(Arc::clone(array)),
            _ => arrays.push(cast(array, &DataType::Utf8)?),
        }
        let mut held = schema::Field::new(&name, arrays[index].data_type().clone());
        held.json = is_json(field);
        fields.push(held);
        columns.push(ResultColumn::Plain { name, index });
    }
    let schema = Schema::new(fields);
    let mut frame = Frame::new(&schema, batch.num_rows().max(1));
    for (column, array) in frame.columns.iter_mut().zip(&arrays) {
        column.append_array(array, 0..batch.num_rows());
    }
    frame.commit_rows(batch.num_rows());
    Ok((columns, schema, frame))
}

fn is_window(fields: &Fields) -> bool {
    let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    let times = |f: &Arc<Field>| matches!(f.data_type(), DataType::Timestamp(..));
    names == ["start", "end"] && fields.iter().all(times)
}
