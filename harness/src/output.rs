//! Results on their way out: rows become text in one of the formats, text goes to standard output
//! or to a file that takes its name only when it is whole. Rows are written as they come; only
//! the table waits for the last, for its widths.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow_schema::DataType;
use trefoil::ResultColumn;
use trefoil_ring0::format::text::{
    write_cell, write_csv_string, write_csv_value, write_json_string, write_json_value,
};
use trefoil_ring0::frame::Frame;
use trefoil_ring0::schema::Schema;

use crate::args::Format;
use crate::failure::Failure;

/// Bytes of text that are gathered before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where text goes.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output.
    Stdout,
    /// A device or pipe that already has its name.
    Direct(File),
    /// A file that is renamed when it is whole.
    File {
        file: File,
        temporary: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    /// Opens the file, or standard output where there is none.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let refuse = |error: io::Error| Failure::write(path, &error);
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return Ok(Self::Direct(
                File::options().write(true).open(path).map_err(refuse)?,
            ));
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::Usage(format!(
                "{} is not the name of a file",
                path.display()
            )));
        };
        let name = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
        let temporary = path.with_file_name(name);
        let mut all = temporaries();
        let file = File::create(&temporary).map_err(refuse)?;
        all.push(temporary.clone());
        Ok(Self::File {
            file,
            temporary,
            path: path.to_owned(),
        })
    }

    /// Whether a person looks at it.
    pub(crate) fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Direct(file) => file.is_terminal(),
            Self::File { .. } => false,
        }
    }

    /// Writes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()?;
            }
            Self::Direct(file) => file.write_all(bytes)?,
            Self::File { file, path, .. } => {
                file.write_all(bytes)
                    .map_err(|e| Failure::write(path, &e))?;
            }
        }
        Ok(())
    }

    /// Gives the file its name.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self {
            Self::Stdout | Self::Direct(_) => Ok(()),
            Self::File {
                file,
                temporary,
                path,
            } => file
                .sync_all()
                .and_then(|()| std::fs::rename(temporary, path))
                .map_err(|e| Failure::write(path, &e)),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Self::File { temporary, .. } = self {
            let mut all = temporaries();
            // After a rename there is nothing to remove, which is the usual case.
            let _ = std::fs::remove_file(&*temporary);
            all.retain(|path| path != temporary);
        }
    }
}

/// Files that have no name yet.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn temporaries() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process, whatever other threads do, and leaves no temporary file.
pub(crate) fn abandon(report: impl FnOnce() -> u8) -> ! {
    // Kept to the end, so that nobody makes another.
    let all = temporaries();
    for path in all.iter() {
        let _ = std::fs::remove_file(path);
    }
    std::process::exit(i32::from(report()))
}

/// The results of one query, being printed.
#[derive(Debug)]
pub(crate) struct Printer<'a> {
    format: Format,
    columns: &'a [ResultColumn],
    schema: &'a Schema,
    target: &'a mut Target,
    text: Vec<u8>,
    rows: u64,
    /// Rows of a table, which are kept to the end.
    cells: Vec<Vec<String>>,
}

impl<'a> Printer<'a> {
    /// Begins with what stands before the first row.
    pub(crate) fn new(
        format: Format,
        columns: &'a [ResultColumn],
        schema: &'a Schema,
        target: &'a mut Target,
    ) -> Self {
        let (text, cells) = (Vec::new(), Vec::new());
        let mut printer = Self {
            format,
            columns,
            schema,
            target,
            text,
            rows: 0,
            cells,
        };
        printer.begin();
        printer
    }

    fn begin(&mut self) {
        let out = &mut self.text;
        match self.format {
            Format::Csv => {
                for (i, column) in self.columns.iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    write_csv_string(name(column), out);
                }
                out.push(b'\n');
            }
            Format::Markdown => {
                let cells = |text: Vec<String>| format!("| {} |\n", text.join(" | "));
                let names = self
                    .columns
                    .iter()
                    .map(|c| escaped_markdown(name(c)))
                    .collect();
                let rule = |c| {
                    if is_number(self.schema, c) {
                        "---:"
                    } else {
                        "---"
                    }
                    .to_owned()
                };
                out.extend_from_slice(cells(names).as_bytes());
                out.extend_from_slice(cells(self.columns.iter().map(rule).collect()).as_bytes());
            }
            Format::Json => out.push(b'['),
            Format::Table | Format::Ndjson | Format::Arrow => {}
        }
    }

    /// Prints the rows of a frame.
    pub(crate) fn print(&mut self, frame: &Frame) -> Result<(), Failure> {
        for row in 0..frame.rows() {
            self.print_row(frame, row);
            self.rows += 1;
            if self.text.len() >= BUFFER_BYTES {
                self.target.write(&self.text)?;
                self.text.clear();
            }
        }
        Ok(())
    }

    fn print_row(&mut self, frame: &Frame, row: usize) {
        let (columns, schema, out) = (self.columns, self.schema, &mut self.text);
        match self.format {
            Format::Ndjson | Format::Arrow => {
                write_object(columns, schema, frame, row, out);
                out.push(b'\n');
            }
            Format::Json => {
                out.extend_from_slice(if self.rows > 0 { b",\n" } else { b"\n" });
                write_object(columns, schema, frame, row, out);
            }
            Format::Csv => {
                for (i, column) in columns.iter().enumerate() {
                    out.extend_from_slice(if i > 0 { b"," } else { b"" });
                    write_csv(column, schema, frame, row, out);
                }
                out.push(b'\n');
            }
            Format::Markdown => {
                let cell = |c| escaped_markdown(&plain(c, schema, frame, row));
                let cells: Vec<String> = columns.iter().map(cell).collect();
                out.extend_from_slice(format!("| {} |\n", cells.join(" | ")).as_bytes());
            }
            Format::Table => {
                let cell = |c| escaped(&plain(c, schema, frame, row));
                self.cells.push(columns.iter().map(cell).collect());
            }
        }
    }

    /// Ends with what stands behind the last row. Returns the number of rows.
    pub(crate) fn finish(mut self) -> Result<u64, Failure> {
        match self.format {
            Format::Json if self.rows > 0 => self.text.extend_from_slice(b"\n]\n"),
            Format::Json => self.text.extend_from_slice(b"]\n"),
            Format::Table => {
                let right: Vec<bool> = self
                    .columns
                    .iter()
                    .map(|c| is_number(self.schema, c))
                    .collect();
                let names = self.columns.iter().map(|c| escaped(name(c))).collect();
                write_table(names, &self.cells, &right, &mut self.text);
            }
            Format::Ndjson | Format::Csv | Format::Markdown | Format::Arrow => {}
        }
        self.target.write(&self.text)?;
        Ok(self.rows)
    }
}

fn name(column: &ResultColumn) -> &str {
    match column {
        ResultColumn::Plain { name, .. } | ResultColumn::Window { name, .. } => name,
    }
}

fn is_number(schema: &Schema, column: &ResultColumn) -> bool {
    let numeric = |index: usize| {
        matches!(
            schema.fields[index].data_type,
            DataType::Int64 | DataType::Float64
        )
    };
    matches!(column, ResultColumn::Plain { index, .. } if numeric(*index))
}

fn write_object(
    columns: &[ResultColumn],
    schema: &Schema,
    frame: &Frame,
    row: usize,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    for (i, column) in columns.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b"," } else { b"" });
        write_json_string(name(column), out);
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

/// Text of which no character breaks a line or drives a terminal.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
        out
    })
}

fn escaped_markdown(text: &str) -> String {
    escaped(text).replace('|', "\\|")
}

fn write_table(names: Vec<String>, rows: &[Vec<String>], right: &[bool], out: &mut Vec<u8>) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([names[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let dashes: Vec<String> = widths.iter().map(|w| "─".repeat(w + 2)).collect();
        format!("{left}{}{right}\n", dashes.join(middle))
    };
    let line = |cells: &[String]| {
        let mut line = String::from("│");
        for ((cell, &width), &right) in cells.iter().zip(&widths).zip(right) {
            line += &match right {
                true => format!(" {cell:>width$} │"),
                false => format!(" {cell:<width$} │"),
            };
        }
        line + "\n"
    };
    out.extend_from_slice(rule("┌", "┬", "┐").as_bytes());
    out.extend_from_slice(line(&names).as_bytes());
    out.extend_from_slice(rule("├", "┼", "┤").as_bytes());
    rows.iter()
        .for_each(|row| out.extend_from_slice(line(row).as_bytes()));
    out.extend_from_slice(rule("└", "┴", "┘").as_bytes());
}
