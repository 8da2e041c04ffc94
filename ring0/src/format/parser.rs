//! A parser of records of any format that Ring 0 reads: what a source has.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_schema::DataType;
//! use trefoil_ring0::format::ndjson::NdjsonParser;
//! use trefoil_ring0::format::parser::RecordParser;
//! use trefoil_ring0::format::record::{Chunk, Stop, Tail};
//! use trefoil_ring0::frame::Frame;
//! use trefoil_ring0::schema::{Field, Schema};
//!
//! let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]));
//! let mut parser = RecordParser::from(NdjsonParser::new(Arc::clone(&schema)));
//! let mut frame = Frame::new(&schema, 1024);
//! let bytes = b"{\"n\":1}\n\n{\"n\":2}\n{\"n\":";
//! let chunk = Chunk { bytes, begin_before: bytes.len(), tail: Tail::Cut };
//! let parsed = parser.parse_chunk(&chunk, 0, &mut frame);
//! assert_eq!((parsed.rows, parsed.at, parsed.stop), (2, 17, Stop::NeedsMore));
//! assert_eq!(parser.starts(), [0, 9]);
//! ```

use super::binary::BinaryParser;
use super::csv::CsvParser;
use super::debezium::DebeziumParser;
use super::ndjson::NdjsonParser;
use super::record::{Chunk, Parsed};
use crate::frame::Frame;

/// A parser of records.
#[derive(Debug)]
pub enum RecordParser {
    /// One JSON object a line.
    Ndjson(Box<NdjsonParser>),
    /// Comma-separated values.
    Csv(Box<CsvParser>),
    /// Changes, one a line.
    Debezium(Box<DebeziumParser>),
    /// Frames of records in columns.
    Binary(Box<BinaryParser>),
}

impl RecordParser {
    /// Appends one record to `frame`, which is of the parser's schema and has room for a row.
    ///
    /// # Errors
    /// Where it is no record of the format or a value none of its column; the text says what is
    /// wrong. Nothing of the record stays in the frame.
    ///
    /// # Panics
    /// Where records lie in columns, so that none has bytes of its own.
    pub fn parse_record(&mut self, record: &[u8], frame: &mut Frame) -> Result<(), String> {
        match self {
            Self::Ndjson(parser) => parser.parse_record(record, frame),
            Self::Csv(parser) => parser.parse_record(record, frame),
            Self::Debezium(parser) => parser.parse_record(record, frame),
            Self::Binary(_) => panic!("a record in columns is not read by itself"),
        }
    }

    /// Appends records of `chunk`, the first of which begins at `at`, until `frame` is full, a
    /// record is bad, or there is no further one.
    pub fn parse_chunk(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Parsed {
        match self {
            Self::Ndjson(parser) => parser.parse_chunk(chunk, at, frame),
            Self::Csv(parser) => parser.parse_chunk(chunk, at, frame),
            Self::Debezium(parser) => parser.parse_chunk(chunk, at, frame),
            Self::Binary(parser) => parser.parse_chunk(chunk, at, frame),
        }
    }

    /// The record that `bytes` begin with, without the newline that ends it; `None` where records
    /// lie in columns.
    pub fn record<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let end = match self {
            Self::Ndjson(_) | Self::Debezium(_) => {
                memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1)
            }
            Self::Csv(parser) => parser.behind_record(bytes),
            Self::Binary(_) => return None,
        };
        let record = &bytes[..end];
        Some(record.strip_suffix(b"\n").unwrap_or(record))
    }

    /// Where in the chunk the records begin that the last [`RecordParser::parse_chunk`] appended,
    /// row by row.
    pub fn starts(&self) -> &[usize] {
        match self {
            Self::Ndjson(parser) => parser.starts(),
            Self::Csv(parser) => parser.starts(),
            Self::Debezium(parser) => parser.starts(),
            Self::Binary(parser) => parser.starts(),
        }
    }

    /// The number of a record that the last [`RecordParser::parse_chunk`] appended, where what
    /// brings them says it.
    pub(crate) fn number(&self, start: usize) -> Option<u64> {
        match self {
            Self::Binary(parser) => parser.number(start),
            Self::Ndjson(_) | Self::Csv(_) | Self::Debezium(_) => None,
        }
    }

    /// The same parser, where records are numbered by what brings them.
    pub(crate) fn binary(&mut self) -> Option<&mut BinaryParser> {
        match self {
            Self::Binary(parser) => Some(parser),
            Self::Ndjson(_) | Self::Csv(_) | Self::Debezium(_) => None,
        }
    }
}

impl From<NdjsonParser> for RecordParser {
    fn from(parser: NdjsonParser) -> Self {
        Self::Ndjson(Box::new(parser))
    }
}

impl From<DebeziumParser> for RecordParser {
    fn from(parser: DebeziumParser) -> Self {
        Self::Debezium(Box::new(parser))
    }
}

impl From<BinaryParser> for RecordParser {
    fn from(parser: BinaryParser) -> Self {
        Self::Binary(Box::new(parser))
    }
}

impl From<CsvParser> for RecordParser {
    fn from(parser: CsvParser) -> Self {
        Self::Csv(Box::new(parser))
    }
}
