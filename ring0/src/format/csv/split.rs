//! The splitter that decides: byte by byte from one record to the next, into fields.

use super::dialect::{Blanks, Dialect, Terminator};
use crate::format::record::{Chunk, Stop, Tail, too_long};
use crate::limits::RECORD_BYTES_MAX;

/// The fields of one record, without quotes and escapes.
#[derive(Debug, Default)]
pub(super) struct Fields {
    text: Vec<u8>,
    /// Where each ends in `text`, and whether it was quoted.
    ends: Vec<(usize, bool)>,
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
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, and what is behind it.
    Record(usize),
    /// An empty line or a comment, and what is behind it.
    Nothing(usize),
}

/// Where in a field the splitter is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before its first byte.
    Start,
    /// In one without quotes.
    Plain,
    /// Inside of quotes.
    Quoted,
    /// Inside of quotes, behind an escape.
    Escaped,
    /// Behind a quote that closes the field, unless another one follows.
    Closed,
    /// Behind blanks that follow the closing quote.
    Behind,
}

/// Splits the record at `at` into `fields`.
///
/// # Errors
/// [`Stop::NeedsMore`], and [`Stop::Bad`] for what is no CSV: what follows is taken up behind the
/// next newline.
pub(super) fn split(
    dialect: &Dialect,
    chunk: &Chunk<'_>,
    at: usize,
    fields: &mut Fields,
) -> Result<Found, Stop> {
    let bytes = chunk.bytes;
    fields.clear();
    if dialect.comment.is_some() && bytes.get(at).copied() == dialect.comment {
        return Ok(Found::Nothing(behind_line(chunk, at)?));
    }
    let trims = dialect.blanks == Blanks::Trim;
    let mut state = State::Start;
    let mut start = 0;
    for (i, &b) in bytes.iter().enumerate().skip(at) {
        if i - at > RECORD_BYTES_MAX + 1 {
            return Err(bad(chunk, at, too_long()));
        }
        let is_quote = Some(b) == dialect.quote;
        let is_escape = Some(b) == dialect.escape_byte();
        let is_blank = trims && matches!(b, b' ' | b'\t');
        match state {
            State::Escaped => {
                fields.text.push(b);
                state = State::Quoted;
                continue;
            }
            State::Quoted if is_quote => state = State::Closed,
            State::Quoted if is_escape => state = State::Escaped,
            State::Quoted => fields.text.push(b),
            State::Closed if is_quote => {
                fields.text.push(b);
                state = State::Quoted;
            }
            State::Start if is_quote => {
                fields.text.truncate(start);
                state = State::Quoted;
            }
            State::Start if is_blank => fields.text.push(b),
            State::Closed | State::Behind if is_blank => state = State::Behind,
            _ if is_quote => return Err(bad(chunk, i, "a quote inside of a field".to_owned())),
            _ => {
                let ends_line = b == b'\n';
                if b == b'\r' && dialect.terminator == Terminator::LfOrCrLf {
                    before_newline(chunk, i)?;
                    continue;
                }
                if ends_line || b == dialect.delimiter {
                    if ends_line && fields.len() == 0 && is_empty_line(dialect, bytes, at, i) {
                        return Ok(Found::Nothing(i + 1));
                    }
                    end_field(dialect, fields, start, state);
                    start = fields.text.len();
                    state = State::Start;
                    if ends_line {
                        return within_limit(chunk, at, i, i + 1);
                    }
                } else if matches!(state, State::Closed | State::Behind) {
                    let message = "text behind a closing quote";
                    return Err(bad(chunk, i, message.to_owned()));
                } else {
                    fields.text.push(b);
                    state = State::Plain;
                }
            }
        }
    }
    ended(dialect, chunk, at, fields, start, state)
}

/// The record at `at`, whose last field begins at `start` of the text, where the bytes end.
fn ended(
    dialect: &Dialect,
    chunk: &Chunk<'_>,
    at: usize,
    fields: &mut Fields,
    start: usize,
    state: State,
) -> Result<Found, Stop> {
    let bytes = chunk.bytes;
    if chunk.tail == Tail::Cut {
        return Err(Stop::NeedsMore);
    }
    if matches!(state, State::Quoted | State::Escaped) {
        let next = bytes.len();
        let message = "a quote that is not closed".to_owned();
        return Err(Stop::Bad { next, message });
    }
    if at == bytes.len() {
        return Ok(Found::Nothing(at));
    }
    end_field(dialect, fields, start, state);
    within_limit(chunk, at, bytes.len(), bytes.len())
}

/// Checks that a newline follows the carriage return at `at`.
fn before_newline(chunk: &Chunk<'_>, at: usize) -> Result<(), Stop> {
    match (chunk.bytes.get(at + 1), chunk.tail) {
        (Some(b'\n'), _) => Ok(()),
        (None, Tail::Cut) => Err(Stop::NeedsMore),
        _ => {
            let message = "a carriage return without a newline outside of quotes";
            Err(bad(chunk, at, message.to_owned()))
        }
    }
}

/// Whether there is nothing in a line but its end.
fn is_empty_line(dialect: &Dialect, bytes: &[u8], at: usize, newline: usize) -> bool {
    let cr = dialect.terminator == Terminator::LfOrCrLf && bytes[at] == b'\r';
    at == newline || cr && newline == at + 1
}

/// Ends the field whose text begins at `start`.
fn end_field(dialect: &Dialect, fields: &mut Fields, start: usize, state: State) {
    let quoted = matches!(state, State::Closed | State::Behind);
    if !quoted {
        let trimmed = dialect.trim(&fields.text[start..]);
        let from = trimmed.as_ptr().addr() - fields.text[start..].as_ptr().addr();
        let length = trimmed.len();
        fields.text.truncate(start + from + length);
        fields.text.drain(start..start + from);
    }
    fields.ends.push((fields.text.len(), quoted));
}

/// A record that ends at `end`, if it is no longer than one may be.
fn within_limit(chunk: &Chunk<'_>, at: usize, end: usize, next: usize) -> Result<Found, Stop> {
    if end - at > RECORD_BYTES_MAX {
        return Err(bad(chunk, at, too_long()));
    }
    Ok(Found::Record(next))
}

/// What is behind the next newline from `at` on.
fn behind_line(chunk: &Chunk<'_>, at: usize) -> Result<usize, Stop> {
    match memchr::memchr(b'\n', &chunk.bytes[at..]) {
        Some(length) => Ok(at + length + 1),
        None if chunk.tail == Tail::End => Ok(chunk.bytes.len()),
        None => Err(Stop::NeedsMore),
    }
}

/// A record that is bad from `at` on.
fn bad(chunk: &Chunk<'_>, at: usize, message: String) -> Stop {
    match behind_line(chunk, at) {
        Ok(next) => Stop::Bad { next, message },
        Err(stop) => stop,
    }
}
