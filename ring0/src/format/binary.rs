//! Frames of records in columns, as clients of sockets send them: the parser, and what both ends
//! share. `docs/format.md` draws every byte.
//!
//! What comes here was checked by who read the socket: a frame is whole, its bytes are those that
//! were sent, and its columns fill it. Where its checksum was, the number of records stands that
//! are to be left out at its start, as they were taken before. What a value may be is decided
//! here, row by row.
//!
//! A record of a frame in columns has no bytes of its own. Its place is the frame's plus its
//! number in it: every column has at least a byte for each record, so that no two records have one
//! place.

mod kind;
mod span;
mod value;
mod write;

use std::ops::Range;
use std::sync::Arc;

pub use self::kind::{TypeCode, check_column};
pub use self::span::check_frame;
pub use self::write::write_columns;

use self::span::{Columns, Cursor, Lengths};
use super::record::{Chunk, Parsed, Stop, Tail};
use crate::frame::Frame;
use crate::limits::FRAME_BYTES;
use crate::schema::{Field, Schema};

/// Bytes before what a message holds: its checksum, and its length.
pub const ENVELOPE_BYTES: usize = 12;
/// Bytes of a frame before its columns, the envelope's among them.
pub const HEADER_BYTES: usize = ENVELOPE_BYTES + 16;
/// What a frame of records begins with, behind the envelope.
pub const RECORDS: u8 = 2;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Records to leave out at its start.
    pub skip: usize,
    /// All of its bytes.
    pub bytes: usize,
    /// Its records.
    pub rows: usize,
    /// The number of the first one.
    pub first: u64,
}

/// An array of bytes that are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the bytes are there")
}

impl Head {
    /// Reads it; `None` where it is not whole.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEADER_BYTES)?;
        Some(Self {
            skip: u64::from_le_bytes(array(head, 0)) as usize,
            bytes: ENVELOPE_BYTES + u32::from_le_bytes(array(head, 8)) as usize,
            rows: u32::from_le_bytes(array(head, ENVELOPE_BYTES + 4)) as usize,
            first: u64::from_le_bytes(array(head, ENVELOPE_BYTES + 8)),
        })
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Frames before its own, in the bytes that are at hand.
    pub(crate) frames: u64,
    /// Its number.
    pub(crate) number: u64,
}

/// The place of what is at `at` of bytes that begin with a frame.
pub(crate) fn place(bytes: &[u8], at: usize) -> Option<Place> {
    let (mut start, mut frames) = (0, 0);
    loop {
        let head = Head::read(&bytes[start..])?;
        if at < start + head.bytes {
            let row = (at - start).max(head.skip);
            let number = head.first + row as u64;
            return Some(Place { frames, number });
        }
        (start, frames) = (start + head.bytes, frames + 1);
    }
}

/// How many frames these bytes are, which are whole ones.
pub(crate) fn frames(bytes: &[u8]) -> u64 {
    let (mut rest, mut count) = (bytes, 0);
    while let Some(head) = Head::read(rest) {
        rest = rest.get(head.bytes..).unwrap_or_default();
        count += 1;
    }
    count
}

/// The frame that is being read.
#[derive(Debug, Clone, Copy)]
struct Hand {
    start: usize,
    head: Head,
}

/// Parses frames of one source into frames of its schema.
#[derive(Debug)]
pub struct BinaryParser {
    /// All columns of the source, in the order in which they come.
    fields: Arc<[Field]>,
    /// Where the schema's are among them.
    wanted: Vec<usize>,
    columns: Columns,
    cursors: Vec<Cursor>,
    hand: Option<Hand>,
    starts: Vec<usize>,
    /// Records that were left out, since somebody asked.
    repeated: u64,
}

impl BinaryParser {
    /// A parser of frames with columns of `fields`, of which those of `schema` are wanted.
    ///
    /// # Errors
    /// Where a column is not among them, or is of a type that does not come so.
    pub fn new(schema: &Schema, fields: Arc<[Field]>) -> Result<Self, String> {
        fields.iter().try_for_each(check_column)?;
        let place = |field: &Field| {
            let is = |f: &Field| f.name == field.name && f.data_type == field.data_type;
            let at = fields.iter().position(is);
            at.ok_or_else(|| format!("column {}: not among those that come", field.name))
        };
        let wanted = schema.fields.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self {
            columns: Columns::default(),
            cursors: vec![Cursor::default(); schema.fields.len()],
            fields,
            wanted,
            hand: None,
            starts: Vec::new(),
            repeated: 0,
        })
    }

    /// Where in the chunk the records begin that the last [`BinaryParser::parse_chunk`] appended.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The number of a record that the last [`BinaryParser::parse_chunk`] appended.
    pub(crate) fn number(&self, start: usize) -> Option<u64> {
        let hand = self.hand?;
        Some(hand.head.first + (start - hand.start) as u64)
    }

    /// Records that were left out since this was asked last.
    pub(crate) fn take_repeated(&mut self) -> u64 {
        std::mem::take(&mut self.repeated)
    }

    /// Forgets the frame that was read last: what was before `at` goes.
    ///
    /// # Panics
    /// Where not all of its records were read.
    pub(crate) fn forget(&mut self, at: usize) {
        if let Some(hand) = self.hand.take() {
            assert_eq!(
                hand.start + hand.head.bytes,
                at,
                "a frame is read as a whole"
            );
        }
    }

    /// Appends records of one frame, the first of which is at `at` of `chunk`, until `frame` is
    /// full, a record is bad, or they have ended. A frame stays at its place until the next one
    /// is asked for, or it is forgotten.
    pub fn parse_chunk(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Parsed {
        let mut at = at;
        self.starts.clear();
        let (hand, row) = loop {
            let hand = match self.hand_at(chunk, at) {
                Ok(hand) => hand,
                Err(stop) => return Parsed { at, rows: 0, stop },
            };
            let row = (at - hand.start).max(hand.head.skip);
            if row < hand.head.rows {
                break (hand, row);
            }
            at = hand.start + hand.head.bytes;
        };
        let end = hand.start + hand.head.bytes;
        let place = |row| match row == hand.head.rows {
            true => end,
            false => hand.start + row,
        };
        let bytes = &chunk.bytes[hand.start..end];
        let rows = row..hand.head.rows.min(row + frame.room());
        for (cursor, wanted) in self.cursors.iter_mut().zip(&self.wanted) {
            cursor.go_to(self.columns.get(*wanted), bytes, rows.start);
        }
        let mut rows = self.fitting(bytes, rows, frame.string_bytes());
        let mut bad = None;
        for (cursor, wanted) in self.cursors.iter().zip(&self.wanted) {
            let (field, column) = (&self.fields[*wanted], self.columns.get(*wanted));
            let part = value::Part::new(column, cursor, bytes, rows.clone());
            if let Some((row, message)) = part.first_bad(field) {
                rows.end = row;
                bad = Some(format!("column {}: {message}", field.name));
            }
        }
        for (at, wanted) in self.wanted.iter().enumerate() {
            let column = self.columns.get(*wanted);
            let part = value::Part::new(column, &self.cursors[at], bytes, rows.clone());
            part.append(&mut frame.columns[at]);
        }
        frame.commit_rows(rows.len());
        self.starts.extend(rows.clone().map(|row| hand.start + row));
        let stop = match bad {
            None => Stop::FrameFull,
            Some(message) => Stop::Bad {
                next: place(rows.end + 1),
                message,
            },
        };
        Parsed {
            at: place(rows.end),
            rows: rows.len(),
            stop,
        }
    }

    /// The frame in which `at` is; another one than before begins there.
    fn hand_at(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<Hand, Stop> {
        let is_in = |hand: &Hand| (hand.start..hand.start + hand.head.bytes).contains(&at);
        if let Some(hand) = self.hand.filter(is_in) {
            return Ok(hand);
        }
        let rest = &chunk.bytes[at..];
        let head = Head::read(rest).filter(|head| head.bytes <= rest.len());
        let head = head.ok_or_else(|| match chunk.tail {
            Tail::Cut => Stop::NeedsMore,
            Tail::End if rest.is_empty() => Stop::ChunkDone,
            Tail::End => Stop::Bad {
                next: chunk.bytes.len(),
                message: "it ends in the middle of a frame".to_owned(),
            },
        })?;
        self.hand = None;
        let read = self.columns.read(&self.fields, &rest[..head.bytes]);
        read.map_err(|message| Stop::Bad {
            next: at + head.bytes,
            message,
        })?;
        self.cursors.fill(Cursor::default());
        self.repeated += head.skip.min(head.rows) as u64;
        let hand = Hand { start: at, head };
        self.hand = Some(hand);
        Ok(hand)
    }

    /// Those of these rows, one at least, whose texts fit behind so many bytes of others.
    fn fitting(&self, bytes: &[u8], rows: Range<usize>, before: usize) -> Range<usize> {
        // As a rule all of them do.
        if bytes.len() <= FRAME_BYTES.saturating_sub(before) {
            return rows;
        }
        let columns = self.wanted.iter().map(|wanted| self.columns.get(*wanted));
        let lengths: Vec<Lengths<'_>> = columns.filter_map(|c| c.lengths(bytes)).collect();
        let (mut end, mut total) = (rows.start, before);
        while end < rows.end && (end == rows.start || total < FRAME_BYTES) {
            total += lengths.iter().map(|of| of.get(end)).sum::<usize>();
            end += 1;
        }
        rows.start..end
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
