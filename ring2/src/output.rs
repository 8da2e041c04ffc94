//! Rows on their way out of the engine: written in a format, into a file that takes its name when
//! it is whole, or to standard output. What `trefoil run` prints and what sinks write is made here.

mod columnar;
mod envelope;
mod location;
mod print;
mod table;
mod target;

use std::path::Path;

pub use self::location::{FileLocation, Location};
pub use self::print::{Printer, Shape, print_answer};
pub use self::target::{Target, Temporaries};

use crate::SinkFormat;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A box with aligned columns.
    Table,
    /// An array of objects, one a line.
    Json,
    /// An object a line.
    Ndjson,
    /// RFC 4180 with a header.
    Csv,
    /// A table in Markdown.
    Markdown,
    /// A stream of Arrow IPC.
    Arrow,
    /// A file of Parquet.
    Parquet,
    /// An object a line with what stood before a change and behind it, as Debezium has it.
    Debezium,
}

impl From<SinkFormat> for Format {
    fn from(format: SinkFormat) -> Self {
        match format {
            SinkFormat::Json => Self::Ndjson,
            SinkFormat::Csv => Self::Csv,
            SinkFormat::Arrow => Self::Arrow,
            SinkFormat::Parquet => Self::Parquet,
            SinkFormat::Debezium => Self::Debezium,
        }
    }
}

/// Why rows could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Who read them went away.
    #[error("nobody reads the results any more")]
    ClosedPipe,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl WriteError {
    /// Of a file that could not be written.
    pub fn of(path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("cannot write {}: {error}", path.display()))
    }
}
