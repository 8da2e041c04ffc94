//! What parsers of records share: how a chunk of a split is handed over, and how far one came. A
//! parser fills a frame from many records at once; between calls it keeps nothing of a chunk.

use crate::column::Column;
use crate::frame::Frame;
use crate::limits::{FRAME_BYTES, RECORD_BYTES_MAX};

/// What the end of a chunk's bytes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// More bytes follow in the split: a record that is not ended may go on.
    Cut,
    /// The split ends here, and so does its last record.
    End,
}

/// Bytes of a split.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// The bytes, which begin with a record or in one.
    pub bytes: &'a [u8],
    /// A record that begins here or later is not this chunk's.
    pub begin_before: usize,
    /// What the end of the bytes means.
    pub tail: Tail,
}

/// Why a parser stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The frame is full.
    FrameFull,
    /// No further record begins in the chunk.
    ChunkDone,
    /// A record begins in the chunk and its end is not there.
    NeedsMore,
    /// A record could not be parsed, or is longer than one may be.
    Bad {
        /// What is behind that record.
        next: usize,
        /// What was wrong.
        message: String,
    },
}

/// How far a parser came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Where the next record begins: the one that is bad or not ended, if it is one of these.
    pub at: usize,
    /// Rows that were appended to the frame.
    pub rows: usize,
    /// Why it stopped.
    pub stop: Stop,
}

/// A parser of records: a quick way that may decline, and one that decides.
pub(super) trait Steps {
    /// Says that a chunk's records are read from `at` on.
    fn begin(&mut self, chunk: &Chunk<'_>, at: usize);

    /// Appends the record at `at` to the columns of `frame` as row `row` and gives what is behind
    /// it; or `None`, and columns may have a value too many.
    fn quick(
        &mut self,
        chunk: &Chunk<'_>,
        at: usize,
        frame: &mut Frame,
        row: usize,
    ) -> Option<usize>;

    /// Appends the record at `at`, if there is one, as a row of `frame`, and gives what is behind.
    fn slow(&mut self, chunk: &Chunk<'_>, at: usize, frame: &mut Frame) -> Result<usize, Stop>;
}

/// Appends records of `chunk` from `at` on, and to `starts` where they begin.
#[inline]
pub(super) fn fill(
    parser: &mut impl Steps,
    chunk: &Chunk<'_>,
    mut at: usize,
    frame: &mut Frame,
    starts: &mut Vec<usize>,
) -> Parsed {
    let rows = frame.rows();
    let mut filling = Filling::new(frame, at);
    starts.clear();
    parser.begin(chunk, at);
    let stop = loop {
        if filling.is_full(at) {
            break Stop::FrameFull;
        }
        if at >= chunk.begin_before.min(chunk.bytes.len()) {
            let ended = at >= chunk.begin_before || chunk.tail == Tail::End;
            break if ended {
                Stop::ChunkDone
            } else {
                Stop::NeedsMore
            };
        }
        let row = filling.row();
        // A record is at most two bytes shorter than what is used for it.
        let next = parser.quick(chunk, at, filling.frame, row);
        if let Some(next) = next.filter(|next| next - at <= RECORD_BYTES_MAX) {
            starts.push(at);
            filling.open += 1;
            at = next;
            continue;
        }
        filling.settle();
        let before = filling.frame.rows();
        match parser.slow(chunk, at, filling.frame) {
            Ok(next) => {
                // A change of a row that stood is two rows.
                starts.extend((before..filling.frame.rows()).map(|_| at));
                at = next;
            }
            Err(stop) => break stop,
        }
    };
    filling.settle();
    let rows = frame.rows() - rows;
    assert_eq!(rows, starts.len(), "a row has one start");
    Parsed { at, rows, stop }
}

/// The line at `at` without its newline, and what is behind it.
pub(super) fn line_at<'c>(chunk: &Chunk<'c>, at: usize) -> Result<(&'c [u8], usize), Stop> {
    let rest = &chunk.bytes[at..];
    let (line, next) = match memchr::memchr(b'\n', rest) {
        Some(length) => (&rest[..length], at + length + 1),
        None if chunk.tail == Tail::End => (rest, chunk.bytes.len()),
        None => return Err(Stop::NeedsMore),
    };
    if line.len() > RECORD_BYTES_MAX {
        let message = too_long();
        return Err(Stop::Bad { next, message });
    }
    Ok((line, next))
}

/// A frame that is filled from a chunk: rows are counted only in the end, and strings only where
/// they could be too many.
#[derive(Debug)]
struct Filling<'a> {
    frame: &'a mut Frame,
    /// Rows that columns hold and that are not counted yet.
    open: usize,
    /// Up to here in the chunk the frame's strings cannot have become too many: a string is never
    /// longer in a column than in the text. Lists and structs can be: `{}` has all members.
    strings_fit_to: usize,
}

impl<'a> Filling<'a> {
    fn new(frame: &'a mut Frame, at: usize) -> Self {
        let nested = |c: &Column| matches!(c, Column::List(_) | Column::Struct(_));
        let ahead = match frame.columns.iter().any(nested) {
            true => 0,
            false => FRAME_BYTES.saturating_sub(frame.string_bytes()),
        };
        Self {
            open: 0,
            strings_fit_to: at + ahead,
            frame,
        }
    }

    /// Whether the record at `at` has to go into another frame.
    #[inline(always)]
    fn is_full(&self, at: usize) -> bool {
        self.open >= self.frame.room() || at >= self.strings_fit_to && self.strings_are_full()
    }

    #[inline(never)]
    fn strings_are_full(&self) -> bool {
        self.frame.string_bytes() >= FRAME_BYTES
    }

    /// The row that the next record becomes.
    #[inline(always)]
    fn row(&self) -> usize {
        self.frame.rows() + self.open
    }

    /// Counts the rows so far, and takes back what is behind them.
    fn settle(&mut self) {
        let (rows, more) = (self.frame.rows(), self.open);
        let columns = self.frame.columns.iter_mut();
        columns.for_each(|c| c.truncate(rows + more));
        self.frame.commit_rows(more);
        self.open = 0;
    }
}

/// Says that a record is longer than one may be.
pub(crate) fn too_long() -> String {
    format!("a record is over {RECORD_BYTES_MAX} bytes")
}
