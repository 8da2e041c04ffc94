//! Results as columns: a stream of Arrow IPC (a schema, a batch for each frame, an end), or a file
//! of Parquet. A window is a struct of its start and its end.

use std::fmt::Display;
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema, TimeUnit};
use datafusion::arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

use super::print::Shape;
use super::{Format, WriteError};
use crate::ResultColumn;
use crate::convert::record_batch;

/// Rows of a row group of Parquet, which are gathered before they are written.
const GROUP_ROWS: usize = 128 * 1024;

/// What is being written.
enum Writer {
    Stream(Box<StreamWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

/// Columns being written.
pub(super) struct Columnar {
    writer: Writer,
    schema: Arc<ArrowSchema>,
}

impl Columnar {
    /// Begins one of these columns of frames of `schema`; `None` for a format of rows.
    pub(super) fn begin(
        format: Format,
        columns: &[ResultColumn],
        schema: &Schema,
    ) -> Result<Option<Self>, WriteError> {
        let fields: Fields = columns.iter().map(|c| field(c, schema)).collect();
        let fields = match format {
            Format::Parquet => held(&fields),
            _ => fields,
        };
        let arrow = Arc::new(ArrowSchema::new(fields));
        let writer = match format {
            Format::Arrow => {
                let writer = StreamWriter::try_new(Vec::new(), &arrow);
                Writer::Stream(Box::new(writer.map_err(failed)?))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .set_compression(Compression::SNAPPY)
                    .build();
                let schema = Arc::clone(&arrow);
                let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties));
                Writer::Parquet(Box::new(writer.map_err(failed)?))
            }
            _ => return Ok(None),
        };
        Ok(Some(Self {
            writer,
            schema: arrow,
        }))
    }

    /// Appends the first rows of a frame.
    pub(super) fn write(
        &mut self,
        shape: Shape<'_>,
        frame: &Frame,
        rows: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let batch = record_batch(shape.schema, frame).map_err(failed)?;
        let arrays = shape.columns.iter().zip(self.schema.fields());
        let arrays = arrays.map(|(column, field)| {
            let array = array(column, field, &batch);
            as_held(&array, field.data_type())
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let options = RecordBatchOptions::new().with_row_count(Some(frame.rows()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options);
        let batch = batch.map_err(failed)?.slice(0, rows);
        match &mut self.writer {
            Writer::Stream(writer) => {
                writer.write(&batch).map_err(failed)?;
                out.append(writer.get_mut());
            }
            Writer::Parquet(writer) => {
                writer.write(&batch).map_err(failed)?;
                // It counts what it wrote by itself, and never looks at it again.
                out.append(writer.inner_mut());
            }
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        match self.writer {
            Writer::Stream(mut writer) => {
                writer.finish().map_err(failed)?;
                out.append(writer.get_mut());
            }
            Writer::Parquet(writer) => out.append(&mut writer.into_inner().map_err(failed)?),
        }
        Ok(())
    }
}

fn failed(error: impl Display) -> WriteError {
    WriteError::Failed(format!("cannot write results as columns: {error}"))
}

/// The types in which Parquet has a name for all that is meant: of times it has none in seconds.
fn held(fields: &Fields) -> Fields {
    fn held_type(data_type: &DataType) -> DataType {
        use DataType::{List, Struct, Time32, Timestamp};
        use TimeUnit::{Millisecond, Second};
        match data_type {
            Timestamp(Second, zone) => Timestamp(Millisecond, zone.clone()),
            Time32(Second) => Time32(Millisecond),
            List(item) => List(Arc::new(held_field(item))),
            Struct(fields) => Struct(held(fields)),
            other => other.clone(),
        }
    }
    fn held_field(field: &Field) -> Field {
        field.clone().with_data_type(held_type(field.data_type()))
    }
    fields.iter().map(|field| held_field(field)).collect()
}

/// An array in the type that it is written in; one that is beyond it is an error.
fn as_held(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, to, &strict)
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
            let bounds = bounds.iter().zip(&arrays);
            let bounds = bounds.map(|(bound, array)| {
                let bound = bound.as_ref().clone();
                bound.with_data_type(array.data_type().clone())
            });
            Arc::new(StructArray::new(bounds.collect(), arrays.to_vec(), None))
        }
        (ResultColumn::Plain { index, .. }, _) => Arc::clone(batch.column(*index)),
        (ResultColumn::Window { .. }, other) => unreachable!("a window is a struct, not {other}"),
    }
}
