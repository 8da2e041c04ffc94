//! The splitter that decides: byte by byte from one record to the next, into fields.

use super::dialect::Dialect;
use super::quotes::{Grammar, Place};
use crate::format::record::{Chunk, Stop, Tail, too_long};
use crate::limits::RECORD_BYTES_MAX;

/// The fields of one record, without quotes and escapes.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// Where each ends in `text`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
    /// Where the text of the field begins that is not ended, and whether it has quotes.
    start: usize,
    quoted: bool,
}

impl Fields {
    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Field `i`, and whether it was quoted.
    pub(super) fn get(&self, i: usize) -> (&[u8], bool) {
        let start = if i == 0 { 0 } else { self.ends[i - 1].0 };
        let (end, quoted) = self.ends[i];
        (&self.text[start..end], quoted)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        (self.start, self.quoted) = (0, false);
    }

    /// A quote opens the field: what blanks were before it are none of its text.
    fn open(&mut self) {
        self.text.truncate(self.start);
        self.quoted = true;
    }

    /// Ends the field.
    fn end(&mut self, dialect: &Dialect) {
        if !self.quoted {
            let text = &self.text[self.start..];
            let trimmed = dialect.trim(text);
            let from = trimmed.as_ptr().addr() - text.as_ptr().addr();
            let length = trimmed.len();
            self.text.truncate(self.start + from + length);
            self.text.drain(self.start..self.start + from);
        }
        self.ends.push((self.text.len(), self.quoted));
        (self.start, self.quoted) = (self.text.len(), false);
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, and what is behind it.
    Record(usize),
    /// An empty line, which is one empty field where a record has one, and what is behind it.
    Empty(usize),
    /// A comment, and what is behind it.
    Nothing(usize),
}

/// Splits the record at `at` into `fields`.
///
/// # Errors
/// [`Stop::NeedsMore`], and [`Stop::Bad`] for what is no CSV: what follows is taken up behind the
/// next newline.
pub(super) fn split(
    grammar: &Grammar,
    chunk: &Chunk<'_>,
    at: usize,
    fields: &mut Fields,
) -> Result<Found, Stop> {
    let dialect = &grammar.dialect;
    fields.clear();
    let mut place = Place::Begin;
    for (i, &byte) in chunk.bytes.iter().enumerate().skip(at) {
        let from = place;
        place = grammar.step(from, byte);
        match (from, place) {
            (_, Place::Begin) => {
                within_limit(at, i, i + 1)?;
                let returned = usize::from(from == Place::Return);
                fields.end(dialect);
                return Ok(match i == at + returned {
                    true => Found::Empty(i + 1),
                    false => Found::Record(i + 1),
                });
            }
            (_, Place::Start) if byte == dialect.delimiter => fields.end(dialect),
            (Place::Begin | Place::Start, Place::Quoted) => fields.open(),
            (_, Place::Comment) => {
                let (end, next) = line_end(chunk, at)?;
                within_limit(at, end, next)?;
                return Ok(Found::Nothing(next));
            }
            (_, Place::Bad) => {
                let (end, next) = line_end(chunk, i)?;
                within_limit(at, end, next)?;
                let message = refused(dialect, from, byte);
                return Err(Stop::Bad { next, message });
            }
            (_, Place::Start | Place::Plain | Place::Quoted) => fields.text.push(byte),
            (_, Place::Escaped | Place::Closed | Place::Behind | Place::Return) => {}
        }
    }
    if chunk.tail == Tail::Cut {
        return Err(Stop::NeedsMore);
    }
    let end = chunk.bytes.len();
    within_limit(at, end, end)?;
    let message = match place {
        Place::Begin => return Ok(Found::Nothing(end)),
        Place::Quoted | Place::Escaped => "a quote that is not closed",
        Place::Return => LONE_RETURN,
        _ => {
            fields.end(dialect);
            return Ok(Found::Record(end));
        }
    };
    Err(Stop::Bad {
        next: end,
        message: message.to_owned(),
    })
}

const LONE_RETURN: &str = "a carriage return without a newline outside of quotes";

/// Why a byte cannot be behind this place.
fn refused(dialect: &Dialect, from: Place, byte: u8) -> String {
    let what = match from {
        Place::Return => LONE_RETURN,
        _ if Some(byte) == dialect.quote => "a quote inside of a field",
        _ => "text behind a closing quote",
    };
    what.to_owned()
}

/// The end of the line from `at` on, and what is behind.
fn line_end(chunk: &Chunk<'_>, at: usize) -> Result<(usize, usize), Stop> {
    let end = chunk.bytes.len();
    match memchr::memchr(b'\n', &chunk.bytes[at..]) {
        Some(length) => Ok((at + length, at + length + 1)),
        None if chunk.tail == Tail::End => Ok((end, end)),
        None => Err(Stop::NeedsMore),
    }
}

/// Refuses what is between `at` and `end` where it is longer than a record may be, whatever else
/// is wrong with it: who reads on does not see all of it.
fn within_limit(at: usize, end: usize, next: usize) -> Result<(), Stop> {
    if end - at > RECORD_BYTES_MAX {
        let message = too_long();
        return Err(Stop::Bad { next, message });
    }
    Ok(())
}
