//! Files that hold columns: decoded on the shards, chunk k by shard k mod shards, as NDJSON is
//! parsed. What knows the format says which bytes it needs; they are read without blocking the
//! shard. As among files of records, the first bad record of the files ends the program, whichever
//! shard sees one first.

mod rows;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use self::rows::Taking;
use super::TAGS;
use super::bad::{BadRecord, BadRecords};
use super::board::Board;
use super::chunks::{Chunks, Extent, Left, Numbers};
use super::clock::Clock;
use super::open::{Files, SHORTER, file_schema};
use super::system::{System, seal};
use crate::error::{Error, Result};
use crate::format::columnar::{Decoded, Decoder};
use crate::frame::Frame;
use crate::io::{Completion, Io, Request};
use crate::kernel::RowError;
use crate::metrics::SourceCounters;
use crate::program::{BadData, SourceSpec};
use crate::schema::Schema;
use crate::source::{Polled, Reader};

/// Rows of a frame that were records of one file behind each other.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// The first of the rows, and the number of its record.
    row: usize,
    record: u64,
    file: usize,
    chunk: u64,
}

/// Rows from the chunks of files that are this shard's.
#[derive(Debug)]
pub(crate) struct ColumnarSource {
    tag: usize,
    name: String,
    shard: usize,
    shards: usize,
    pub(super) chunks: Chunks,
    schema: Schema,
    board: Arc<Board>,
    /// The decoder of a file, and which file that is.
    decoder: Option<(usize, Box<dyn Decoder>)>,
    /// A chunk has ended, and its rows are on their way: this shard's next one.
    chunk_ended: Option<(u64, Polled)>,
    /// Chunk being decoded.
    chunk: Option<Extent>,
    /// The next record of that chunk to be decoded.
    record: u64,
    /// Rows that were decoded and have not all gone on.
    taking: Option<Taking>,
    /// Bytes of the chunk's file being read.
    reading: Option<Range<u64>>,
    /// What ends the program, in this chunk, unless there is something before.
    failed: Option<(u64, Error)>,
    raw: Frame,
    pub(super) out: Frame,
    pieces: Vec<Piece>,
    clock: Option<Clock>,
    system: System,
    pub(super) bad: BadRecords,
    pub(super) counters: SourceCounters,
}

impl ColumnarSource {
    pub(super) fn new(tag: usize, spec: &SourceSpec, files: Files, reader: Reader) -> Self {
        let schema = file_schema(spec);
        Self {
            tag,
            name: spec.name.clone(),
            shard: reader.shard,
            shards: reader.shards,
            chunks: Chunks::new(&files, spec.splits, reader),
            board: Arc::clone(&files.board),
            decoder: None,
            chunk_ended: None,
            chunk: None,
            record: 0,
            taking: None,
            reading: None,
            failed: None,
            raw: Frame::new(&schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            pieces: Vec::new(),
            clock: Clock::new(spec, reader, files.splits()),
            system: System::new(spec, schema.fields.len(), reader.now),
            schema,
            bad: BadRecords::new(spec, reader.frame_rows),
            counters: SourceCounters::default(),
        }
    }

    /// Fills a frame, as far as there is something.
    pub(super) fn poll(&mut self, io: &mut Io) -> Result<Polled> {
        if self.failed.is_none() {
            let polled = self.fill(io);
            if self.failed.is_none() || polled == Polled::Frame {
                // One of its rows may fail, before what ends the program.
                return Ok(polled);
            }
        }
        self.board
            .first(self.shard, self.shards, &mut self.failed)?;
        Ok(Polled::Pending)
    }

    fn fill(&mut self, io: &mut Io) -> Polled {
        self.out.clear();
        self.pieces.clear();
        while self.failed.is_none() && self.chunk_ended.is_none() && self.reading.is_none() {
            if self.taking.is_some() {
                if self.raw.is_full() || self.bad.is_full() {
                    break;
                }
                self.take();
            } else if let Some(chunk) = self.chunk {
                self.decode(chunk, io);
            } else if !self.begin_chunk() {
                break;
            }
        }
        if self.raw.rows() > 0 {
            seal(
                &mut self.raw,
                &mut self.out,
                &mut self.system,
                &mut self.clock,
            );
            return Polled::Frame;
        }
        if self.failed.is_some() {
            return Polled::Pending;
        }
        if let Some((next, ended)) = self.chunk_ended.take() {
            // Here, as until now one of its rows could fail.
            self.board.tell_reached(self.shard, next);
            if let Some(clock) = &mut self.clock {
                clock.begin_chunk();
            }
            return ended;
        }
        if self.chunk.is_some() {
            return Polled::Pending;
        }
        if let Some((epoch, _)) = self.chunks.numbers().at_barrier() {
            return Polled::Barrier(epoch);
        }
        match self.chunks.left() {
            Left::Some => Polled::Pending,
            Left::None => Polled::End,
            Left::Stopped => Polled::Stopped,
        }
    }

    /// Its numbers, its clock, and whether a split ends, at the barrier.
    pub(super) fn at_barrier(&mut self) -> (&mut Numbers, Option<&Clock>, bool) {
        let ends = self.chunks.ends_split_at_barrier();
        (self.chunks.numbers(), self.clock.as_ref(), ends)
    }

    /// Goes on behind so many chunks. Gives the clock.
    pub(super) fn go_on(&mut self, chunks: u64) -> Option<&mut Clock> {
        self.chunks.begin_behind(chunks);
        self.board
            .tell_reached(self.shard, self.chunks.numbers().next());
        self.clock.as_mut()
    }

    fn begin_chunk(&mut self) -> bool {
        let Some(extent) = self.chunks.pop() else {
            return false;
        };
        let file = self.chunks.file(extent.file).columnar();
        let (_, decoder) = match &mut self.decoder {
            Some(decoder) if decoder.0 == extent.file => decoder,
            decoder => decoder.insert((extent.file, file.decoder(self.shards))),
        };
        decoder.begin((extent.number - extent.first) as usize);
        let split = self.chunks.split(&extent);
        self.system.begin_split(split);
        if let Some(clock) = &mut self.clock {
            clock.begin_split(split);
        }
        self.chunk = Some(extent);
        self.record = extent.start;
        true
    }

    fn decode(&mut self, chunk: Extent, io: &mut Io) {
        let (_, decoder) = self.decoder.as_mut().expect("a chunk has its decoder");
        match decoder.decode() {
            Ok(Decoded::Needs(range)) => {
                let file = self.chunks.file(chunk.file);
                io.submit(Request {
                    tag: self.tag * TAGS,
                    file: Arc::clone(&file.file),
                    offset: range.start,
                    len: (range.end - range.start) as usize,
                    buffer: Vec::new(),
                });
                self.reading = Some(range);
            }
            Ok(Decoded::Rows(rows)) if rows.count == 0 => {}
            Ok(Decoded::Rows(rows)) => {
                let first = self.record;
                self.record += rows.count as u64;
                let time = self.clock.as_ref().map(Clock::column);
                self.taking = Some(Taking::new(rows, first, &self.schema, time));
            }
            Ok(Decoded::ChunkEnd) => {
                if self.record != chunk.end {
                    let message = "it holds fewer rows than it says".to_owned();
                    self.failed = Some((chunk.number, self.unreadable(chunk.file, message)));
                    return;
                }
                self.chunk = None;
                if self.shards > 1 {
                    let ended = self.chunks.end_of(&chunk);
                    self.chunk_ended = Some((chunk.number + self.shards as u64, ended));
                }
            }
            Err(message) => {
                self.failed = Some((chunk.number, self.unreadable(chunk.file, message)));
            }
        }
    }

    /// Moves decoded rows into the frame, as many as there is room for.
    fn take(&mut self) {
        let (Some(taking), Some(chunk)) = (&mut self.taking, self.chunk) else {
            return;
        };
        if let Some(reason) = taking.take_bad() {
            self.counters.rows_read += 1;
            self.counters.rows_bad += 1;
            // Of the row that is now behind it.
            let record = taking.record() - 1;
            let path = &self.chunks.file(chunk.file).path;
            if let Err(error) = self.bad.take(bad_record(path, record), reason) {
                self.failed = Some((chunk.number, error));
            }
        } else {
            let row = self.raw.rows();
            self.pieces.push(Piece {
                row,
                record: taking.record(),
                file: chunk.file,
                chunk: chunk.number,
            });
            let base = self.chunks.file(chunk.file).base;
            let first = base + taking.record();
            let count = taking.append(&mut self.raw);
            (first..)
                .take(count)
                .for_each(|offset| self.system.note(offset));
            if let Some(clock) = &mut self.clock {
                for row in row..row + count {
                    let ticked = clock.tick(&self.raw, row);
                    assert!(ticked.is_ok(), "rows without event time are bad");
                }
            }
            self.counters.rows_read += count as u64;
            self.counters.rows_passed += count as u64;
        }
        self.taking.take_if(|taking| taking.is_done());
    }

    /// Takes a read that was carried out.
    pub(super) fn complete(&mut self, completion: Completion) -> Result<()> {
        let range = self.reading.take().expect("a read was asked for");
        let chunk = self.chunk.expect("a chunk is being decoded");
        let Completion { buffer, result, .. } = completion;
        result.map_err(|error| self.unreadable(chunk.file, error.to_string()))?;
        if (buffer.len() as u64) < range.end - range.start {
            return Err(self.unreadable(chunk.file, SHORTER.to_owned()));
        }
        self.counters.bytes_read += buffer.len() as u64;
        let (_, decoder) = self.decoder.as_mut().expect("a chunk has its decoder");
        decoder.give(range, buffer);
        Ok(())
    }

    fn unreadable(&self, file: usize, message: String) -> Error {
        Error::Read {
            name: self.name.clone(),
            path: self.chunks.file(file).path.clone(),
            message,
        }
    }

    /// Does with rows of the last frame, on which an expression failed and which are in order, what
    /// the source does with bad records, as far as there is room for letters; takes those away.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        match self.bad.policy {
            // The program ends with the first.
            BadData::Fail => failed.truncate(1),
            BadData::Skip => failed.clear(),
            BadData::DeadLetters(_) => {}
        }
        let mut told = 0;
        for RowError { row, message } in failed.iter() {
            if self.bad.is_full() {
                break;
            }
            let row = *row as usize;
            let behind = self.pieces.partition_point(|piece| piece.row <= row);
            let piece = self.pieces[behind - 1];
            let record = piece.record + (row - piece.row) as u64;
            let path = &self.chunks.file(piece.file).path;
            if let Err(error) = self.bad.take(bad_record(path, record), message.clone()) {
                // A bad record that was met in filling the frame stands behind its rows.
                self.failed = Some((piece.chunk, error));
            }
            told += 1;
        }
        failed.drain(..told);
        Ok(())
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        self.chunks.stop();
    }

    pub(super) fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// The greatest watermark that was reached.
    pub(super) fn reached(&self) -> Option<i64> {
        self.clock.as_ref()?.reached()
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn watermark(&mut self) -> Option<i64> {
        self.clock.as_mut()?.advance()
    }
}

/// The record of this number in a file, which is bad: it has no bytes of its own.
fn bad_record(path: &Path, record: u64) -> BadRecord<'_> {
    BadRecord {
        path,
        offset: record,
        raw: None,
    }
}
