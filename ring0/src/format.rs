//! Text formats: how a record's bytes become a row of a frame, and a result row bytes again.
//! They stand at both ends of a record's journey. Nothing here knows files, splits or windows,
//! and nothing allocates per record but for BINARY and for DECIMAL in strings.

mod scan;

mod number;

pub mod time;

pub mod decimal;
pub mod record;
pub mod span;

pub mod binary;
pub mod columnar;
pub mod csv;
pub mod debezium;
pub mod ndjson;
pub mod parser;
pub mod text;

#[cfg(test)]
mod tests;
