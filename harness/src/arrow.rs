//! Results as a stream of Arrow IPC: a schema, a batch for each frame, an end. A window is a
//! struct of its start and its end.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema as ArrowSchema};
use trefoil::ResultColumn;
use trefoil::convert::record_batch;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

use crate::failure::Failure;
use crate::print::Shape;

/// A stream being written.
pub(crate) struct ArrowStream {
    writer: StreamWriter<Vec<u8>>,
    schema: Arc<ArrowSchema>,
}

impl ArrowStream {
    /// Begins one of these columns of frames of `schema`.
    pub(crate) fn begin(columns: &[ResultColumn], schema: &Schema) -> Result<Self, Failure> {
        let fields: Fields = columns.iter().map(|c| field(c, schema)).collect();
        let arrow = Arc::new(ArrowSchema::new(fields));
        Ok(Self {
            writer: StreamWriter::try_new(Vec::new(), &arrow).map_err(failed)?,
            schema: arrow,
        })
    }

    /// Appends the first rows of a frame.
    pub(crate) fn write(
        &mut self,
        shape: Shape<'_>,
        frame: &Frame,
        rows: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let batch = record_batch(shape.schema, frame).map_err(failed)?;
        let arrays = shape.columns.iter().zip(self.schema.fields());
        let arrays = arrays.map(|(column, field)| array(column, field, &batch));
        let options = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, arrays.collect(), &options);
        let batch = batch.map_err(failed)?.slice(0, rows);
        self.writer.write(&batch).map_err(failed)?;
        out.append(self.writer.get_mut());
        Ok(())
    }

    /// Ends the stream.
    pub(crate) fn end(mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.writer.finish().map_err(failed)?;
        out.append(self.writer.get_mut());
        Ok(())
    }
}

fn failed(error: ArrowError) -> Failure {
    Failure::Running(format!("cannot write results as Arrow: {error}"))
}

fn field(column: &ResultColumn, schema: &Schema) -> Field {
    let of = |name: &str, index: usize| {
        let field = &schema.fields[index];
        Field::new(name, field.data_type.clone(), field.nullable)
    };
    match column {
        ResultColumn::Plain { name, index } => of(name, *index),
        ResultColumn::Window { name, start, end } => {
            let bounds = Fields::from(vec![of("start", *start), of("end", *end)]);
            Field::new(name, DataType::Struct(bounds), false)
        }
    }
}

fn array(column: &ResultColumn, field: &Field, batch: &RecordBatch) -> ArrayRef {
    match (column, field.data_type()) {
        (ResultColumn::Window { start, end, .. }, DataType::Struct(bounds)) => {
            let arrays = [start, end].map(|i| Arc::clone(batch.column(*i)));
            Arc::new(StructArray::new(bounds.clone(), arrays.to_vec(), None))
        }
        (ResultColumn::Plain { index, .. }, _) => Arc::clone(batch.column(*index)),
        (ResultColumn::Window { .. }, other) => unreachable!("a window is a struct, not {other}"),
    }
}
