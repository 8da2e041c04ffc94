//! One JSON object a line: the parser of NDJSON records.
//!
//! Members are matched to columns by name. Values go straight into the frame's columns; a record
//! that fails is taken back, so that a frame only ever holds whole records. The text is checked
//! as a whole: UTF-8, JSON down to members that no column wants, nothing behind the object.
//!
//! Two parsers stand behind it. `walk` foresees how records look and is quick; what it does not
//! take, `fallback` decides. They agree on every record (`agree`), and only the second has errors.
//!
//! -0 counts as the BIGINT 0, and so does -0.0, which serde_json does not tell apart.

mod names;
mod nested;
mod value;

mod layout;
mod skip;
mod strings;
mod walk;

mod fallback;

use std::sync::Arc;

use self::names::Names;
pub(super) use self::nested::Nested;
use self::value::Kind;
pub use self::value::is_within;
pub(super) use self::value::{Op, bytes, float, push_integer, within};
use self::walk::Walker;
use super::record::{Chunk, Parsed, Steps, Stop, Tail, fill, line_at};
use crate::frame::Frame;
use crate::schema::Schema;

/// Whether the line holds only JSON white space.
pub fn is_blank(line: &[u8]) -> bool {
    line.iter()
        .all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// Parses the records of one source into frames of its schema.
#[derive(Debug)]
pub struct NdjsonParser {
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
    names: Names,
    walker: Walker,
    starts: Vec<usize>,
}

impl NdjsonParser {
    /// A parser of records of this schema.
    ///
    /// # Panics
    /// Where a field has a type that [`crate::schema::physical`] does not know.
    pub fn new(schema: Arc<Schema>) -> Self {
        let names = Names::new(&schema);
        Self {
            kinds: schema.fields.iter().map(Kind::of).collect(),
            walker: Walker::new(&schema, &names),
            names,
            schema,
            starts: Vec::new(),
        }
    }

    /// Appends one record, given without its newline, to `frame`, which is of the parser's schema
    /// and has room for a row.
    ///
    /// # Errors
    /// Where the line is no JSON object, or a member is no value of its column's type; the text
    /// names the column. Nothing of the record stays in the frame.
    pub fn parse_record(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let (row, tail) = (frame.rows(), Tail::End);
        let names = &mut self.names;
        if self.walker.walk(names, line, 0, tail, frame, row) == Some(line.len()) {
            frame.commit_rows(1);
            return Ok(());
        }
        frame.roll_back();
        self.parse_slowly(line, frame)
    }

    /// Appends one record to the first columns of `frame`, which are the parser's, without counting
    /// it as a row.
    ///
    /// # Errors
    /// As [`NdjsonParser::parse_record`]; columns may then have a value too many.
    pub(super) fn append(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let (row, names) = (frame.rows(), &mut self.names);
        let walked = self.walker.walk(names, line, 0, Tail::End, frame, row);
        if walked == Some(line.len()) {
            return Ok(());
        }
        frame.roll_back();
        fallback::append(line, &self.schema, &self.kinds, &self.names, frame)
    }

    /// [`NdjsonParser::parse_record`] without the quick way: what decides.
    ///
    /// # Errors
    /// As there.
    pub fn parse_slowly(&mut self, line: &[u8], frame: &mut Frame) -> Result<(), String> {
        let result = fallback::append(line, &self.schema, &self.kinds, &self.names, frame);
        match result {
            Ok(()) => frame.commit_rows(1),
            Err(_) => frame.roll_back(),
        }
        result
    }

    /// Appends records of `chunk`, the first of which begins at `at`, until `frame` is full, a
    /// record is bad, or there is no further one. Blank lines are left out.
    pub fn parse_chunk(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Parsed {
        let mut starts = std::mem::take(&mut self.starts);
        let parsed = fill(self, chunk, at, frame, &mut starts);
        self.starts = starts;
        parsed
    }

    /// Where in the chunk the records begin that the last [`NdjsonParser::parse_chunk`] appended.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }
}

impl Steps for NdjsonParser {
    fn begin(&mut self, _: &Chunk<'_>, _: usize) {}

    #[inline(always)]
    fn quick(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        frame: &mut Frame,
        row: usize,
    ) -> Option<usize> {
        let names = &mut self.names;
        self.walker
            .walk(names, chunk.bytes, at, chunk.tail, frame, row)
    }

    #[inline(never)]
    fn slow(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Result<usize, Stop> {
        let (line, next) = line_at(chunk, at)?;
        if is_blank(line) {
            return Ok(next);
        }
        self.parse_slowly(line, frame)
            .map_err(|message| Stop::Bad { next, message })?;
        Ok(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod agree;
