//! Rows on their way out: batches of an engine, printed as `trefoil run` prints its results.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use trefoil::Answer;
use trefoil::convert::printable;
use trefoil::output::{Printer, Shape};

use crate::args::Format;
use crate::failure::Failure;
use crate::output::Target;
use crate::print::print_answer;

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows {
    format: Format,
    rows_max: u64,
}

/// One result, being printed.
pub(super) struct Shown {
    printer: Printer,
    rows_max: u64,
}

impl Rows {
    pub(super) fn new(format: Format, rows_max: u64) -> Self {
        Self { format, rows_max }
    }

    pub(super) fn is_table(self) -> bool {
        self.format == Format::Table
    }

    /// Prints rows that are known.
    pub(super) fn answer(self, answer: &Answer, target: &mut Target) -> Result<(), Failure> {
        print_answer(answer, self.format, target)
    }

    /// A result.
    pub(super) fn begin(self) -> Shown {
        Shown {
            printer: Printer::new(self.format.into(), self.rows_max),
            rows_max: self.rows_max,
        }
    }

    /// The part of a result behind another one.
    pub(super) fn after(self, shown: &Shown) -> Shown {
        let rows_max = shown.rows_max - shown.printer.rows();
        Self { rows_max, ..self }.begin()
    }
}

impl Shown {
    /// Prints what stands before the first row.
    pub(super) fn columns(&mut self, schema: &SchemaRef) -> Result<(), Failure> {
        self.begin(&RecordBatch::new_empty(SchemaRef::clone(schema)))
    }

    fn begin(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let (columns, schema, _) = printable(batch).map_err(no_text)?;
        let shape = Shape {
            columns: &columns,
            schema: &schema,
            // Shown as they are.
            changes: false,
        };
        Ok(self.printer.begin(shape)?)
    }

    /// Prints rows.
    pub(super) fn rows(&mut self, batch: &RecordBatch, target: &mut Target) -> Result<(), Failure> {
        let (columns, schema, frame) = printable(batch).map_err(no_text)?;
        let shape = Shape {
            columns: &columns,
            schema: &schema,
            // Shown as they are.
            changes: false,
        };
        self.printer.begin(shape)?;
        Ok(self.printer.print(shape, &frame, 0, target)?)
    }

    /// Rows so far.
    pub(super) fn count(&self) -> usize {
        usize::try_from(self.printer.rows()).unwrap_or(usize::MAX)
    }

    /// Whether no further row is printed.
    pub(super) fn is_full(&self) -> bool {
        self.printer.is_full()
    }

    /// Writes what is there.
    pub(super) fn flush(&mut self, target: &mut Target) -> Result<(), Failure> {
        Ok(self.printer.flush(target)?)
    }

    /// Prints what stands behind the last row.
    pub(super) fn end(self, target: &mut Target) -> Result<(), Failure> {
        match self.printer.has_begun() {
            true => Ok(self.printer.finish(target)?),
            false => Ok(()),
        }
    }
}

fn no_text(error: arrow_schema::ArrowError) -> Failure {
    Failure::Running(format!("a result cannot be printed: {error}"))
}
