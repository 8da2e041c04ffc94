//! The one error type of Ring 0.

use std::path::PathBuf;

/// What can go wrong in Ring 0 that is not a bug; bugs panic.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
pub enum Error {
    /// The machine does not allow what the engine was told to use (exit code 1).
    #[error("{what}; {hint}")]
    Preflight {
        /// What was refused.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A shard ended by panicking: a bug, carried to the host.
    #[error("shard {shard} panicked: {message}")]
    ShardPanicked {
        /// The shard's number.
        shard: usize,
        /// The panic's message.
        message: String,
    },
    /// A source could not be opened.
    #[error("source {name}: cannot open {}: {message}", path.display())]
    Open {
        /// Name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// A source could be opened and then not be read.
    #[error("source {name}: cannot read {}: {message}", path.display())]
    Read {
        /// Name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// A record could not be parsed, or an expression failed on it.
    #[error("source {name}: {}{}: byte {offset}: {message}", path.display(), line_text(*line))]
    BadRecord {
        /// Name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// Number of its line, from 1; `None` while nobody has counted.
        line: Option<u64>,
        /// Byte offset of the record in the file.
        offset: u64,
        /// What was wrong.
        message: String,
    },
    /// A row of a file that holds columns could not be taken, or an expression failed on it.
    #[error("source {name}: {}: row {}: {message}", path.display(), row + 1)]
    BadRow {
        /// Name of the source.
        name: String,
        /// The file.
        path: PathBuf,
        /// How many rows of the file are before it.
        row: u64,
        /// What was wrong.
        message: String,
    },
    /// An expression failed on a row that is in memory or came over an exchange, or an aggregate's
    /// value cannot be.
    #[error("{message}")]
    Row {
        /// What was wrong, with the operation.
        message: String,
    },
    /// A table is too large to be on every shard.
    #[error("table {name} has {bytes} bytes, and broadcast_max_bytes is {bytes_max}")]
    Broadcast {
        /// Name of the table.
        name: String,
        /// Bytes of its values.
        bytes: usize,
        /// The most there may be.
        bytes_max: usize,
    },
    /// The state of all programs takes more memory than it may, and this one has most of it.
    #[error(
        "the state of all queries takes {held} bytes of memory, and memory_limit is {limit}; this \
         one has most, {own}, and of its parts {part} has most, {part_bytes}"
    )]
    Memory {
        /// Bytes of all.
        held: u64,
        /// The most there may be.
        limit: u64,
        /// Bytes of this one.
        own: u64,
        /// What has most of them: an operator, or the rows that its host keeps.
        part: String,
        /// Bytes of that, on the shard that says it.
        part_bytes: u64,
    },
    /// A shard has not taken earlier updates of replicated tables.
    #[error("shard {shard} has not taken earlier updates of replicated tables")]
    Behind {
        /// The shard's number.
        shard: usize,
    },
    /// Nothing runs any more, or nothing is taken any more: it was shut down.
    #[error("{what} has ended")]
    Ended {
        /// What has ended.
        what: String,
    },
    /// A row that an appender cannot take.
    #[error("column {column}: {message}")]
    Append {
        /// Name of the column.
        column: String,
        /// What is wrong with its value.
        message: String,
    },
    /// Too many programs, or too many lanes that nobody has taken yet.
    #[error("too many {what}: at most {most} at once")]
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A snapshot that a program cannot go on from.
    #[error("{0}")]
    Restore(String),
    /// A program that Ring 0 cannot run.
    #[error("invalid program: {0}")]
    Program(String),
}

fn line_text(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

/// Result with Ring 0's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says that a program, or how it is to be run, cannot be.
pub(crate) fn refuse<T>(what: String) -> Result<T> {
    Err(Error::Program(what))
}
