//! Which records the rows of a frame were. Of a frame only the pieces of its files are known that
//! it was parsed from, so that good rows cost nothing; a row that fails is found by parsing its
//! piece once more.

use std::os::unix::fs::FileExt;

use super::{Chunk, FileSource};
use crate::error::Result;
use crate::format::parser::RecordParser;
use crate::format::record::{Chunk as Records, Tail};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::program::BadData;
use crate::schema::Schema;
use crate::source::bad::BadRecord;
use crate::source::open::{OpenFile, parser};

/// Bytes of a file from which rows of a frame were parsed, one behind the other.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// The first of the rows.
    row: usize,
    chunk: u64,
    file: usize,
    start: u64,
    end: u64,
}

/// The pieces of the frame that is being filled, and of the one that goes on.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    filling: Vec<Piece>,
    sealed: Vec<Piece>,
}

impl Pieces {
    /// Takes note of rows from `row` on, whose records begin at `starts` in the chunk; the last one
    /// ends at `end`. Those of the rows `refused` were left out.
    pub(super) fn note(
        &mut self,
        chunk: &Chunk,
        row: usize,
        (starts, end): (&[usize], usize),
        refused: &[usize],
    ) {
        let piece = |row, start: usize, end: usize| Piece {
            row,
            chunk: chunk.extent.number,
            file: chunk.extent.file,
            start: chunk.base + start as u64,
            end: chunk.base + end as u64,
        };
        if refused.is_empty() {
            let first = starts.first();
            return self
                .filling
                .extend(first.map(|&start| piece(row, start, end)));
        }
        let ends = starts.iter().skip(1).copied().chain([end]);
        let records = starts.iter().zip(ends).enumerate();
        let kept = records.filter(|(at, _)| refused.binary_search(&(row + at)).is_err());
        let kept = kept.enumerate();
        self.filling
            .extend(kept.map(|(kept, (_, (&start, end)))| piece(row + kept, start, end)));
    }

    /// The rows go on.
    pub(super) fn seal(&mut self) {
        std::mem::swap(&mut self.filling, &mut self.sealed);
        self.filling.clear();
    }
}

impl Piece {
    /// Its bytes, and where in them each record begins.
    fn read(
        &self,
        file: &OpenFile,
        parser: &mut RecordParser,
        schema: &Schema,
    ) -> Result<(Vec<u8>, Vec<usize>), String> {
        let mut bytes = vec![0; (self.end - self.start) as usize];
        let read = file.file.read_exact_at(&mut bytes, self.start);
        read.map_err(|error| error.to_string())?;
        let records = Records {
            bytes: &bytes,
            begin_before: bytes.len(),
            tail: Tail::End,
        };
        let mut rows = Frame::new(schema, ROWS);
        let (mut starts, mut at) = (Vec::new(), 0);
        loop {
            rows.clear();
            let parsed = parser.parse_chunk(&records, at, &mut rows);
            if parsed.rows == 0 {
                return Ok((bytes, starts));
            }
            starts.extend_from_slice(parser.starts());
            at = parsed.at;
        }
    }
}

/// Rows of the frame into which pieces are parsed once more.
const ROWS: usize = 1024;

impl FileSource {
    /// Does with rows of the last frame, on which an expression failed and which are in order, what
    /// the source does with bad records, as far as there is room for letters; takes those away.
    pub(in crate::source) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        match self.bad.policy {
            // The program ends with the first.
            BadData::Fail => failed.truncate(1),
            BadData::Skip => failed.clear(),
            BadData::DeadLetters(_) => {}
        }
        let mut told = 0;
        while told < failed.len() && !self.bad.is_full() {
            told += self.take_piece(&failed[told..])?;
        }
        failed.drain(..told);
        Ok(())
    }

    /// Does so with the first of these rows and others of its piece. Returns how many.
    fn take_piece(&mut self, failed: &[RowError]) -> Result<usize> {
        let row = |error: &RowError| error.row as usize;
        let pieces = &self.pieces.sealed;
        let behind = pieces.partition_point(|piece| piece.row <= row(&failed[0]));
        let piece = pieces[behind - 1];
        let end = pieces.get(behind).map_or(usize::MAX, |piece| piece.row);
        let file = self.chunks.file(piece.file);
        let mut parser =
            parser(&self.format, &self.file_schema, file).expect("checked when it was opened");
        let (bytes, starts) = piece
            .read(file, &mut parser, &self.file_schema)
            .map_err(|message| self.unreadable(piece.file, message))?;
        let mut told = 0;
        for error in failed.iter().take_while(|error| row(error) < end) {
            if self.bad.is_full() {
                break;
            }
            let Some(&start) = starts.get(row(error) - piece.row) else {
                let message = "the file changed while it was read".to_owned();
                return Err(self.unreadable(piece.file, message));
            };
            let record = BadRecord {
                path: &file.path,
                offset: piece.start + start as u64,
                raw: parser.record(&bytes[start..]),
            };
            told += 1;
            if let Err(error) = self.bad.take(record, error.message.clone()) {
                // A bad record that was met in filling the frame stands behind its rows.
                self.failed = Some((piece.chunk, error));
            }
        }
        Ok(told)
    }
}

/// The parser of the chunk in hand.
pub(super) fn parser_in_hand(parser: &mut Option<(usize, RecordParser)>) -> &mut RecordParser {
    let (_, parser) = parser.as_mut().expect("a chunk in hand has its parser");
    parser
}
