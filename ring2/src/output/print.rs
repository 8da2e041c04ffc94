//! The rows of one result, printed in one of the formats. Rows are written as they come; only the
//! table waits for the last, for its widths.

use std::fmt;

use trefoil_ring0::format::text::{
    write_cell, write_csv_string, write_csv_value, write_json_string, write_json_value,
};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

use super::columnar::Columnar;
use super::envelope::Envelopes;
use super::table::{Side, Table, escaped};
use super::{Format, Target, WriteError};
use crate::convert::printable;
use crate::{Answer, ResultColumn};

/// Bytes of text that are gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The columns of rows that are printed.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// The columns, in order.
    pub columns: &'a [ResultColumn],
    /// The columns of the frames that they are taken from.
    pub schema: &'a Schema,
    /// The first column says what a row does.
    pub changes: bool,
}

/// Prints rows that are known.
///
/// # Errors
/// Where they cannot be written.
pub fn print_answer(
    answer: &Answer,
    format: Format,
    target: &mut Target,
) -> Result<(), WriteError> {
    let wrong = |e| WriteError::Failed(format!("an answer cannot be printed: {e}"));
    let batch = answer.batch().map_err(wrong)?;
    let (columns, schema, frame) = printable(&batch).map_err(wrong)?;
    let shape = Shape {
        columns: &columns,
        schema: &schema,
        changes: false,
    };
    let mut printer = Printer::new(format, u64::MAX);
    printer.begin(shape)?;
    printer.print(shape, &frame, 0, target)?;
    printer.finish(target)
}

/// Rows of the same columns, being printed.
pub struct Printer {
    format: Format,
    /// No more rows than these are printed.
    rows_max: u64,
    has_begun: bool,
    text: Vec<u8>,
    rows: u64,
    /// A table, which is kept to the end.
    table: Table,
    columnar: Option<Columnar>,
    envelopes: Envelopes,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Printer");
        let shown = shown.field("format", &self.format);
        shown.field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Printer {
    /// A printer of at most `rows_max` rows.
    pub fn new(format: Format, rows_max: u64) -> Self {
        Self {
            format,
            rows_max,
            has_begun: false,
            text: Vec::new(),
            rows: 0,
            table: Table::default(),
            columnar: None,
            envelopes: Envelopes::default(),
        }
    }

    /// Begins with what stands before the first row, if that is not done yet.
    pub fn begin(&mut self, shape: Shape<'_>) -> Result<(), WriteError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(());
        }
        match self.format {
            Format::Arrow | Format::Parquet => {
                self.columnar = Columnar::begin(self.format, shape.columns, shape.schema)?;
            }
            Format::Table => {
                let names = shape.columns.iter().map(|c| escaped(c.name()));
                let sides = shape.columns.iter().map(|c| side(shape.schema, c));
                self.table = Table::new(names.collect(), sides.collect());
            }
            _ => begin(self.format, shape, &mut self.text),
        }
        Ok(())
    }

    /// Whether a first row could have come.
    pub fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Number of rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether no further row is printed.
    pub fn is_full(&self) -> bool {
        self.rows == self.rows_max
    }

    /// Prints the rows of a frame from a shard, as far as they may be printed.
    pub fn print(
        &mut self,
        shape: Shape<'_>,
        frame: &Frame,
        shard: usize,
        target: &mut Target,
    ) -> Result<(), WriteError> {
        let room = self.rows_max - self.rows;
        let rows = usize::try_from(room).map_or(frame.rows(), |room| room.min(frame.rows()));
        if let Some(columnar) = &mut self.columnar {
            columnar.write(shape, frame, rows, &mut self.text)?;
            self.rows += rows as u64;
            return self.hand_over(BUFFER_BYTES, target);
        }
        for row in 0..rows {
            self.print_row(shape, frame, row, shard);
            self.rows += 1;
            self.hand_over(BUFFER_BYTES, target)?;
        }
        Ok(())
    }

    /// Writes the text where there is this much.
    fn hand_over(&mut self, bytes: usize, target: &mut Target) -> Result<(), WriteError> {
        if self.text.len() >= bytes {
            target.write(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    fn print_row(&mut self, shape: Shape<'_>, frame: &Frame, row: usize, shard: usize) {
        let out = &mut self.text;
        match self.format {
            Format::Ndjson => {
                write_object(shape, frame, row, out);
                out.push(b'\n');
            }
            Format::Json => {
                out.extend_from_slice(if self.rows > 0 { b",\n" } else { b"\n" });
                write_object(shape, frame, row, out);
            }
            Format::Csv => {
                for (i, column) in shape.columns.iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    write_csv(column, shape.schema, frame, row, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            Format::Markdown => {
                let cell = |c| escaped_markdown(&plain(c, shape.schema, frame, row));
                let cells: Vec<String> = shape.columns.iter().map(cell).collect();
                out.extend_from_slice(format!("| {} |\n", cells.join(" | ")).as_bytes());
            }
            Format::Table => {
                let cell = |c| escaped(&plain(c, shape.schema, frame, row));
                self.table.push(shape.columns.iter().map(cell).collect());
            }
            Format::Debezium => self.envelopes.write(shape, frame, row, shard, out),
            Format::Arrow | Format::Parquet => unreachable!("columns are taken from frames"),
        }
    }

    /// Writes what is there of the rows so far.
    pub fn flush(&mut self, target: &mut Target) -> Result<(), WriteError> {
        self.hand_over(0, target)
    }

    /// Ends with what stands behind the last row.
    pub fn finish(mut self, target: &mut Target) -> Result<(), WriteError> {
        match self.format {
            Format::Json if self.rows > 0 => self.text.extend_from_slice(b"\n]\n"),
            Format::Json => self.text.extend_from_slice(b"]\n"),
            Format::Table => self.table.write(&mut self.text),
            Format::Arrow | Format::Parquet => {
                if let Some(columnar) = self.columnar.take() {
                    columnar.end(&mut self.text)?;
                }
            }
            Format::Ndjson | Format::Csv | Format::Markdown | Format::Debezium => {}
        }
        self.flush(target)
    }
}

/// What stands before the first row.
fn begin(format: Format, shape: Shape<'_>, out: &mut Vec<u8>) {
    match format {
        Format::Csv => {
            for (i, column) in shape.columns.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b"," } else { b"" });
                write_csv_string(column.name(), out);
            }
            out.extend_from_slice(b"\r\n");
        }
        Format::Markdown => {
            let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
            let names = shape.columns.iter().map(|c| escaped_markdown(c.name()));
            let rules = shape.columns.iter().map(|c| match side(shape.schema, c) {
                Side::Left => "---".to_owned(),
                Side::Right => "---:".to_owned(),
            });
            out.extend_from_slice(line(names.collect()).as_bytes());
            out.extend_from_slice(line(rules.collect()).as_bytes());
        }
        Format::Json => out.push(b'['),
        Format::Table | Format::Ndjson | Format::Arrow | Format::Parquet | Format::Debezium => {}
    }
}

/// The side that a column's values stand on: numbers have their last digits below each other.
fn side(schema: &Schema, column: &ResultColumn) -> Side {
    match column {
        ResultColumn::Plain { index, .. } if schema.fields[*index].data_type.is_numeric() => {
            Side::Right
        }
        ResultColumn::Plain { .. } | ResultColumn::Window { .. } => Side::Left,
    }
}

pub(super) fn write_object(shape: Shape<'_>, frame: &Frame, row: usize, out: &mut Vec<u8>) {
    let schema = shape.schema;
    out.push(b'{');
    for (i, column) in shape.columns.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b"," } else { b"" });
        write_json_string(column.name(), out);
        out.push(b':');
        match column {
            ResultColumn::Plain { index, .. } => {
                write_json_value(&schema.fields[*index], &frame.columns[*index], row, out);
            }
            ResultColumn::Window { start, end, .. } => {
                write_window(*start, *end, schema, frame, row, out);
            }
        }
    }
    out.push(b'}');
}

fn write_window(
    start: usize,
    end: usize,
    schema: &Schema,
    frame: &Frame,
    row: usize,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"start\":");
    write_json_value(&schema.fields[start], &frame.columns[start], row, out);
    out.extend_from_slice(b",\"end\":");
    write_json_value(&schema.fields[end], &frame.columns[end], row, out);
    out.push(b'}');
}

fn write_csv(column: &ResultColumn, schema: &Schema, frame: &Frame, row: usize, out: &mut Vec<u8>) {
    match column {
        ResultColumn::Plain { index, .. } => {
            write_csv_value(&schema.fields[*index], &frame.columns[*index], row, out);
        }
        ResultColumn::Window { .. } => write_csv_string(&plain(column, schema, frame, row), out),
    }
}

/// A value as plain text.
fn plain(column: &ResultColumn, schema: &Schema, frame: &Frame, row: usize) -> String {
    let mut text = Vec::new();
    match column {
        ResultColumn::Plain { index, .. } => write_cell(schema, frame, *index, row, &mut text),
        ResultColumn::Window { start, end, .. } => {
            write_window(*start, *end, schema, frame, row, &mut text);
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Text that Markdown shows as it is.
fn escaped_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in escaped(text).chars() {
        if matches!(c, '\\' | '|' | '`' | '*' | '<') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
