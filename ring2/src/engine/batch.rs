//! Results as batches, under the names that they are asked for by.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

use crate::convert::{json, record_batch};
use crate::error::{Error, Result};
use crate::{Answer, ResultColumn};

/// The columns of the results.
pub(super) fn schema(columns: &[ResultColumn], schema: &Schema) -> SchemaRef {
    let plain = |name: &str, index: usize| {
        let field = &schema.fields[index];
        let plain = Field::new(name, field.data_type.clone(), true);
        if field.json { json(plain) } else { plain }
    };
    let fields = columns.iter().map(|column| match column {
        ResultColumn::Plain { name, index } => plain(name, *index),
        ResultColumn::Window { name, start, end } => {
            let bounds = Fields::from(vec![plain("start", *start), plain("end", *end)]);
            Field::new(name, DataType::Struct(bounds), true)
        }
    });
    Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()))
}

/// Rows of results, of a frame.
pub(super) fn results(
    columns: &[ResultColumn],
    from: &Schema,
    frame: &Frame,
) -> Result<RecordBatch> {
    let whole = record_batch(from, frame).map_err(|e| wrong(&e))?;
    named(columns, &schema(columns, from), &whole)
}

/// Rows of results as their schema has them; a window is a struct of its start and its end.
pub(super) fn named(
    columns: &[ResultColumn],
    schema: &SchemaRef,
    whole: &RecordBatch,
) -> Result<RecordBatch> {
    let arrays = columns.iter().zip(schema.fields()).map(|(column, field)| {
        let array: ArrayRef = match (column, field.data_type()) {
            (ResultColumn::Window { start, end, .. }, DataType::Struct(bounds)) => {
                let bound = |at: usize| Arc::clone(whole.column(at));
                let bound = vec![bound(*start), bound(*end)];
                Arc::new(StructArray::new(bounds.clone(), bound, None))
            }
            (ResultColumn::Plain { index, .. } | ResultColumn::Window { start: index, .. }, _) => {
                Arc::clone(whole.column(*index))
            }
        };
        array
    });
    let arrays = arrays.collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(whole.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &rows).map_err(|e| wrong(&e))
}

fn wrong(error: &ArrowError) -> Error {
    Error::engine(
        "E0609",
        format!("results do not fit their columns: {error}"),
    )
}

/// Rows that are known.
pub(super) fn answer(answer: &Answer) -> Result<RecordBatch> {
    let wrong = |e| Error::engine("E0609", format!("an answer does not fit its columns: {e}"));
    answer.batch().map_err(wrong)
}
