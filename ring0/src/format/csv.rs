//! Comma-separated values: the parser of CSV records (RFC 4180, with options).
//!
//! A record is what is between ends of lines that are outside of quotes; empty lines and comments
//! are none. But where records have one field and NULL is written as nothing, an empty line is one:
//! so writers write it, ours too.
//!
//! All records of a file have the same number of fields. Fields are matched to columns by
//! the names of the file's columns, in whatever order; fields that no column wants are checked as
//! the rest of the record is (quotes, UTF-8). Values go straight into the frame's columns; a record
//! that fails is taken back.
//!
//! Two parsers stand behind it: `quick`, and `split` that decides. They agree on every record, and
//! only the second has errors. On records that are accepted both agree with the `csv` crate, which
//! also accepts what is no CSV: quotes inside of fields, text behind a closing quote, an open quote
//! at the end.

mod dialect;
mod null;
pub mod quotes;
mod value;

mod quick;
mod split;

use std::sync::Arc;

pub use self::dialect::{Blanks, Dialect, Terminator};

use self::quick::Walker;
use self::quotes::Grammar;
use self::split::{Fields, Found, split};
use super::ndjson::{Nested, Op};
use super::record::{Chunk, Parsed, Steps, Stop, Tail, fill};
use super::time::shorten;
use crate::column::Column;
use crate::frame::Frame;
use crate::schema::{Field, Schema, sql_name};

/// The column that wants a field.
#[derive(Debug, Clone)]
struct Target {
    column: usize,
    op: Op,
    /// How its lists or structs are read.
    nested: Option<Nested>,
    nullable: bool,
}

impl Target {
    /// How a field becomes a value of a column.
    fn new(column: usize, field: &Field) -> Result<Self, String> {
        let (op, nested) = (Op::of(field), Nested::of(field));
        if op == Op::Doubt && nested.is_none() {
            let of = sql_name(&field.data_type);
            return Err(format!("column {}: {of} is not read from csv", field.name));
        }
        Ok(Self {
            column,
            op,
            nested,
            nullable: field.nullable,
        })
    }

    /// Appends the text of a field that is not NULL.
    fn append(&self, text: &str, column: &mut Column) -> Result<(), String> {
        match &self.nested {
            Some(nested) => nested.append(text, column),
            None => value::append(self.op, text, column),
        }
    }
}

/// Parses the records of one source into frames of its schema.
#[derive(Debug)]
pub struct CsvParser {
    schema: Arc<Schema>,
    grammar: Grammar,
    /// Who wants each field of a record.
    targets: Vec<Option<Target>>,
    walker: Walker,
    fields: Fields,
    starts: Vec<usize>,
}

/// The names in the header at the start of a file, and what is behind it.
///
/// # Errors
/// [`Stop::NeedsMore`]; [`Stop::Bad`] where it is no CSV; [`Stop::ChunkDone`] where the file ends
/// without one.
pub fn header(dialect: &Dialect, chunk: &Chunk<'_>) -> Result<(Vec<String>, usize), Stop> {
    let (mut at, mut fields, grammar) = (0, Fields::default(), Grammar::new(dialect));
    let next = loop {
        if at == chunk.bytes.len() {
            return Err(match chunk.tail {
                Tail::Cut => Stop::NeedsMore,
                Tail::End => Stop::ChunkDone,
            });
        }
        match split(&grammar, chunk, at, &mut fields)? {
            Found::Record(next) => break next,
            Found::Empty(next) | Found::Nothing(next) => at = next,
        }
    };
    let names = (0..fields.len()).map(|i| String::from_utf8(fields.get(i).0.to_vec()));
    match names.collect() {
        Ok(names) => Ok((names, next)),
        Err(_) => Err(Stop::Bad {
            next,
            message: "invalid utf-8".to_owned(),
        }),
    }
}

/// Names of a file's columns, for an error: the first of many, and quoted where they could not be
/// told apart else.
fn listed<N: AsRef<str>>(names: &[N]) -> String {
    let text = |name: &N| match name.as_ref() {
        name if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) => {
            shorten(name)
        }
        name if name.len() > NAME_BYTES_SHOWN => shorten(name),
        name => name.to_owned(),
    };
    let mut texts: Vec<_> = names.iter().take(NAMES_SHOWN).map(text).collect();
    if names.len() > NAMES_SHOWN {
        texts.push(format!("and {} more", names.len() - NAMES_SHOWN));
    }
    texts.join(", ")
}

/// Most names of a file's columns in an error, and the longest that is told as it is.
const NAMES_SHOWN: usize = 20;
const NAME_BYTES_SHOWN: usize = 64;

/// Checks that a column can be read from CSV.
///
/// # Errors
/// Where its type has no text that stands for a value; the text names column and type.
pub fn check_column(field: &Field) -> Result<(), String> {
    Target::new(0, field).map(|_| ())
}

impl CsvParser {
    /// A parser of records of this schema in files whose records have the fields `names`: those
    /// of the [`header`], or of the columns as declared where there is none.
    ///
    /// # Errors
    /// Where a column is not among the names, or twice; where the dialect is none.
    ///
    /// # Panics
    /// Where a field has a type that [`crate::schema::physical`] does not know.
    pub fn new<N: AsRef<str>>(
        schema: Arc<Schema>,
        dialect: Dialect,
        names: &[N],
    ) -> Result<Self, String> {
        dialect.check()?;
        if names.is_empty() {
            return Err("a record has at least one field".to_owned());
        }
        let mut targets = vec![None; names.len()];
        for (column, field) in schema.fields.iter().enumerate() {
            let is = |i: &usize| names[*i].as_ref() == field.name;
            let mut places = (0..names.len()).filter(is);
            let Some(place) = places.next() else {
                let names = listed(names);
                let name = &field.name;
                return Err(format!(
                    "column {name}: not among the file's columns ({names})"
                ));
            };
            if places.next().is_some() {
                return Err(format!(
                    "column {}: the file has two of that name",
                    field.name
                ));
            }
            let target = Target::new(column, field)?;
            if targets[place].replace(target).is_some() {
                return Err(format!("column {}: wanted twice", field.name));
            }
        }
        Ok(Self {
            walker: Walker::new(&dialect, &targets),
            grammar: Grammar::new(&dialect),
            schema,
            targets,
            fields: Fields::default(),
            starts: Vec::new(),
        })
    }

    /// Appends one record to `frame`, which is of the parser's schema and has room for a row. The
    /// record may have its end of line or not; quoted fields may have newlines.
    ///
    /// # Errors
    /// Where it is no CSV, not one record, or a field is no value of its column's type; the text
    /// names the column. Nothing of the record stays in the frame.
    pub fn parse_record(&mut self, record: &[u8], frame: &mut Frame) -> Result<(), String> {
        let chunk = whole(record);
        self.begin(&chunk, 0);
        if self.quick(&chunk, 0, frame, frame.rows()) == Some(record.len()) {
            frame.commit_rows(1);
            return Ok(());
        }
        frame.roll_back();
        self.parse_slowly(record, frame)
    }

    /// [`CsvParser::parse_record`] without the quick way: what decides.
    ///
    /// # Errors
    /// As there.
    pub fn parse_slowly(&mut self, record: &[u8], frame: &mut Frame) -> Result<(), String> {
        let (chunk, rows) = (whole(record), frame.rows());
        let result = match split(&self.grammar, &chunk, 0, &mut self.fields) {
            Ok(Found::Record(next)) if next == record.len() => self.append(record, frame),
            Ok(Found::Empty(next)) if next == record.len() && self.has_empty_records() => {
                self.append(record, frame)
            }
            Ok(_) => Err("not one record".to_owned()),
            Err(Stop::Bad { message, .. }) => Err(message),
            Err(stop) => unreachable!("a whole record stops with {stop:?}"),
        };
        match result {
            Ok(()) => frame.commit_rows(1),
            Err(_) => frame.roll_back(),
        }
        debug_assert!(frame.rows() <= rows + 1);
        result
    }

    /// Appends records of `chunk`, the first of which begins at `at`, until `frame` is full, a
    /// record is bad, or there is no further one.
    pub fn parse_chunk(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Parsed {
        let mut starts = std::mem::take(&mut self.starts);
        let parsed = fill(self, chunk, at, frame, &mut starts);
        self.starts = starts;
        parsed
    }

    /// Whether an empty line is a record, whose only field is NULL.
    fn has_empty_records(&self) -> bool {
        self.targets.len() == 1 && self.grammar.dialect.null.is_empty()
    }

    /// What is behind the record that `bytes` begin with.
    pub(super) fn behind_record(&self, bytes: &[u8]) -> usize {
        self.grammar.behind_record(bytes)
    }

    /// Where in the chunk the records begin that the last [`CsvParser::parse_chunk`] appended.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Appends the fields of `record`, as they were split.
    fn append(&mut self, record: &[u8], frame: &mut Frame) -> Result<(), String> {
        std::str::from_utf8(record)
            .map_err(|e| format!("invalid utf-8 at byte {}", e.valid_up_to()))?;
        let (found, expected) = (self.fields.len(), self.targets.len());
        if found != expected {
            let fields = if found == 1 { "field" } else { "fields" };
            return Err(format!("{found} {fields} where {expected} are expected"));
        }
        for (i, target) in self.targets.iter().enumerate() {
            let Some(target) = target else { continue };
            let (text, quoted) = self.fields.get(i);
            let column = &mut frame.columns[target.column];
            let result = match std::str::from_utf8(text) {
                _ if null::is(&self.grammar.dialect, target.op, text, quoted)
                    && !target.nullable =>
                {
                    Err("null where null cannot be".to_owned())
                }
                _ if null::is(&self.grammar.dialect, target.op, text, quoted) => {
                    column.push_null();
                    Ok(())
                }
                Ok(text) => target.append(text, column),
                // An escape before a letter of more than one byte takes none of it away.
                Err(_) => Err("invalid utf-8".to_owned()),
            };
            let name = &self.schema.fields[target.column].name;
            result.map_err(|message| format!("column {name}: {message}"))?;
        }
        Ok(())
    }
}

/// One record as a chunk.
fn whole(record: &[u8]) -> Chunk<'_> {
    Chunk {
        bytes: record,
        begin_before: record.len(),
        tail: Tail::End,
    }
}

impl Steps for CsvParser {
    fn begin(&mut self, chunk: &Chunk<'_>, at: usize) {
        self.walker.marks.start(chunk.bytes, at);
    }

    #[inline(always)]
    fn quick(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        frame: &mut Frame,
        _: usize,
    ) -> Option<usize> {
        let (walker, dialect) = (&mut self.walker, &self.grammar.dialect);
        walker.walk(dialect, &self.targets, chunk.bytes, at, chunk.tail, frame)
    }

    #[inline(never)]
    fn slow(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Result<usize, Stop> {
        let found = split(&self.grammar, chunk, at, &mut self.fields);
        let next = match found? {
            Found::Nothing(next) => next,
            Found::Empty(next) if !self.has_empty_records() => next,
            Found::Record(next) | Found::Empty(next) => {
                let result = self.append(&chunk.bytes[at..next], frame);
                match result {
                    Ok(()) => frame.commit_rows(1),
                    Err(message) => {
                        frame.roll_back();
                        return Err(Stop::Bad { next, message });
                    }
                }
                next
            }
        };
        self.walker.marks.start(chunk.bytes, next);
        Ok(next)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod agree;
