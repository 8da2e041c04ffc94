//! Files of records. A file is cut into chunks; a record belongs to the chunk in which it begins,
//! so that shards parse chunks side by side and yet every record is read once.
//!
//! A record that ends the program does so as it would for one reader: its shard waits until all
//! chunks before were read without such a one.

mod trace;

use std::path::Path;
use std::sync::Arc;

use self::trace::{Pieces, parser_in_hand};
use super::TAGS;
use super::bad::{BadRecord, BadRecords};
use super::board::Board;
use super::chunks::{Chunks, Extent, Left, Numbers};
use super::clock::Clock;
use super::division::{Bytes, Division};
use super::open::{Files, are_alike, file_schema, parser};
use super::system::{System, seal};
use crate::error::{Error, Result};
use crate::format::parser::RecordParser;
use crate::format::record::{Chunk as Records, Stop, Tail, too_long};
use crate::frame::Frame;
use crate::io::{Completion, Io, Request};
use crate::limits::RECORD_BYTES_MAX;
use crate::metrics::SourceCounters;
use crate::program::{FileFormat, SourceSpec};
use crate::schema::Schema;
use crate::source::{Polled, Reader};

/// Bytes read behind a chunk at first, to find the end of its last record.
const TAIL_BYTES: usize = 16 * 1024;
/// The read of bytes behind a chunk; 0 is that of a chunk.
const TAG_EXTENSION: usize = 1;

/// A chunk in memory. `base` is the file offset of the first byte in `bytes`.
#[derive(Debug)]
struct Chunk {
    extent: Extent,
    base: u64,
    bytes: Vec<u8>,
    /// Where in the bytes the next record begins, once that is known.
    at: usize,
}

/// Records from the chunks of files that are this shard's.
#[derive(Debug)]
pub(crate) struct FileSource {
    tag: usize,
    name: String,
    shard: usize,
    shards: usize,
    pub(super) chunks: Chunks,
    format: FileFormat,
    file_schema: Schema,
    division: Division,
    board: Arc<Board>,
    /// The parser of a file's records, and which file that is.
    parser: Option<(usize, RecordParser)>,
    /// A chunk has ended, and its rows are on their way: this shard's next one.
    chunk_ended: Option<(u64, Polled)>,
    /// Chunk being parsed.
    chunk: Option<Chunk>,
    /// Chunk being read.
    reading: Option<Extent>,
    /// The chunk in hand waits for more bytes behind these many.
    extending: Option<usize>,
    spare: Vec<u8>,
    ready: Option<Chunk>,
    /// What ends the program, in this chunk, unless there is something before.
    failed: Option<(u64, Error)>,
    raw: Frame,
    pub(super) out: Frame,
    /// Where the rows of both were.
    pieces: Pieces,
    clock: Option<Clock>,
    system: System,
    bad: BadRecords,
    pub(super) counters: SourceCounters,
}

impl FileSource {
    pub(super) fn new(
        tag: usize,
        spec: &SourceSpec,
        format: &FileFormat,
        files: Files,
        reader: Reader,
    ) -> Self {
        let file_schema = file_schema(spec);
        let mut counters = SourceCounters::default();
        if reader.shard == 0 {
            counters.bytes_read = files.open.iter().map(|file| file.body).sum();
        }
        Self {
            tag,
            name: spec.name.clone(),
            shard: reader.shard,
            shards: reader.shards,
            chunks: Chunks::new(&files, spec.splits, reader),
            format: format.clone(),
            division: Division::new(format, reader.shards),
            board: Arc::clone(&files.board),
            parser: None,
            chunk_ended: None,
            chunk: None,
            reading: None,
            extending: None,
            spare: Vec::new(),
            ready: None,
            failed: None,
            raw: Frame::new(&file_schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            pieces: Pieces::default(),
            clock: Clock::new(spec, reader, files.splits()),
            system: System::new(spec, file_schema.fields.len(), reader.now),
            file_schema,
            bad: BadRecords::new(spec, reader.frame_rows),
            counters,
        }
    }

    /// Fills a frame, as far as there is something.
    pub(super) fn poll(&mut self, io: &mut Io) -> Result<Polled> {
        let polled = match self.failed {
            None => self.fill(io),
            Some(_) => Polled::Pending,
        };
        if polled == Polled::Frame {
            // One of its rows may fail, before what ends the program.
            return Ok(polled);
        }
        self.board
            .first(self.shard, self.shards, &mut self.failed)?;
        Ok(polled)
    }

    fn fill(&mut self, io: &mut Io) -> Polled {
        self.out.clear();
        while self.chunk_ended.is_none() {
            self.prefetch(io);
            if self.extending.is_some() {
                break;
            }
            if self.chunk.is_none() {
                self.begin_chunk();
                self.prefetch(io);
            }
            let Some(mut chunk) = self.chunk.take() else {
                break;
            };
            match self.parse(&mut chunk) {
                Ok(Parsed::FrameFull) => {
                    self.chunk = Some(chunk);
                    break;
                }
                Ok(Parsed::ChunkDone) => self.end_chunk(chunk),
                Ok(Parsed::NeedsMore) => {
                    self.extend(chunk, io);
                    break;
                }
                Err(error) => {
                    self.failed = Some((chunk.extent.number, error));
                    break;
                }
            }
        }
        if self.raw.rows() > 0 {
            self.seal();
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
        if self.chunk.is_some() || self.reading.is_some() || self.ready.is_some() {
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

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        self.chunks.stop();
    }

    /// Its numbers, its clock, and whether a split ends, at the barrier.
    pub(super) fn at_barrier(&mut self) -> (&mut Numbers, Option<&Clock>, bool) {
        let ends = self.chunks.ends_split_at_barrier();
        (self.chunks.numbers(), self.clock.as_ref(), ends)
    }

    /// Goes on behind so many chunks. Gives the clock.
    pub(super) fn go_on(&mut self, chunks: u64) -> Result<Option<&mut Clock>> {
        self.chunks.begin_behind(chunks);
        let place = self.division.place_behind(&self.chunks, chunks);
        let place = place.map_err(|(file, message)| self.unreadable(file, message))?;
        self.division.go_on(place, chunks);
        self.board
            .tell_reached(self.shard, self.chunks.numbers().next());
        Ok(self.clock.as_mut())
    }

    /// Asks for the next chunk while the one in hand is parsed.
    fn prefetch(&mut self, io: &mut Io) {
        if self.reading.is_some() || self.ready.is_some() {
            return;
        }
        let Some(extent) = self.chunks.pop() else {
            return;
        };
        let file = self.chunks.file(extent.file);
        // The byte before tells whether a record begins at the chunk's first one.
        let base = extent.start.saturating_sub(1);
        let len = ((extent.end + TAIL_BYTES as u64).min(file.size) - base) as usize;
        self.reading = Some(extent);
        io.submit(Request {
            tag: self.tag * TAGS,
            file: Arc::clone(&file.file),
            offset: base,
            len,
            buffer: std::mem::take(&mut self.spare),
        });
    }

    /// Takes the chunk that was read, once it is known where its first record begins.
    fn begin_chunk(&mut self) {
        let Some(chunk) = &mut self.ready else { return };
        let Some(at) = self.division.first_record(&self.board, chunk.bytes()) else {
            return;
        };
        chunk.at = at;
        let file = chunk.extent.file;
        let parses =
            |&(of, _): &(usize, _)| are_alike(self.chunks.file(of), self.chunks.file(file));
        if !self.parser.as_ref().is_some_and(parses) {
            let parser = parser(&self.format, &self.file_schema, self.chunks.file(file));
            self.parser = Some((file, parser.expect("checked when the file was opened")));
        }
        let split = self.chunks.split(&chunk.extent);
        self.system.begin_split(split);
        if let Some(clock) = &mut self.clock {
            clock.begin_split(split);
        }
        self.chunk = self.ready.take();
    }

    fn end_chunk(&mut self, chunk: Chunk) {
        self.division.end(chunk.bytes(), chunk.at);
        self.spare = chunk.bytes;
        self.spare.clear();
        if self.shards > 1 {
            let ended = self.chunks.end_of(&chunk.extent);
            self.chunk_ended = Some((chunk.extent.number + self.shards as u64, ended));
        }
    }

    /// Asks for more of the record in which the bytes of a chunk end.
    fn extend(&mut self, mut chunk: Chunk, io: &mut Io) {
        let file = self.chunks.file(chunk.extent.file);
        let offset = chunk.base + chunk.bytes.len() as u64;
        let len = (chunk.bytes.len() - chunk.at).max(TAIL_BYTES);
        self.extending = Some(chunk.bytes.len());
        io.submit(Request {
            tag: self.tag * TAGS + TAG_EXTENSION,
            file: Arc::clone(&file.file),
            offset,
            len: len.min((file.size - offset) as usize),
            buffer: std::mem::take(&mut chunk.bytes),
        });
        self.chunk = Some(chunk);
    }

    /// Takes a read that was carried out.
    pub(super) fn complete(&mut self, completion: Completion) -> Result<()> {
        let Completion {
            tag,
            buffer,
            result,
        } = completion;
        let shorter = super::open::SHORTER;
        if tag % TAGS == TAG_EXTENSION {
            let before = self.extending.take().expect("an extension was asked for");
            let chunk = self.chunk.as_mut().expect("an extension has its chunk");
            chunk.bytes = buffer;
            let (file, grown) = (chunk.extent.file, chunk.bytes.len() > before);
            result.map_err(|error| self.unreadable(file, error.to_string()))?;
            return match grown {
                true => Ok(()),
                false => Err(self.unreadable(file, shorter.to_owned())),
            };
        }
        let extent = self.reading.take().expect("a read was asked for");
        result.map_err(|error| self.unreadable(extent.file, error.to_string()))?;
        let base = extent.start.saturating_sub(1);
        if base + (buffer.len() as u64) < extent.end {
            return Err(self.unreadable(extent.file, shorter.to_owned()));
        }
        let chunk = Chunk {
            extent,
            base,
            bytes: buffer,
            at: 0,
        };
        self.division.tell(&self.board, self.shard, chunk.bytes());
        self.counters.bytes_read += extent.end - extent.start;
        self.ready = Some(chunk);
        Ok(())
    }

    fn unreadable(&self, file: usize, message: String) -> Error {
        Error::Read {
            name: self.name.clone(),
            path: self.chunks.file(file).path.clone(),
            message,
        }
    }

    /// Parses records of the chunk until the frame is full or none is left.
    fn parse(&mut self, chunk: &mut Chunk) -> Result<Parsed> {
        let size = self.chunks.file(chunk.extent.file).size;
        let at_end = chunk.base + chunk.bytes.len() as u64 >= size;
        loop {
            if self.raw.is_full() || self.bad.is_full() {
                return Ok(Parsed::FrameFull);
            }
            if chunk.base + chunk.at as u64 >= chunk.extent.end {
                return Ok(Parsed::ChunkDone);
            }
            let records = Records {
                bytes: &chunk.bytes,
                begin_before: (chunk.extent.end - chunk.base) as usize,
                tail: if at_end { Tail::End } else { Tail::Cut },
            };
            let first = self.raw.rows();
            let parser = parser_in_hand(&mut self.parser);
            let parsed = parser.parse_chunk(&records, chunk.at, &mut self.raw);
            if let Some(at) = self.admit(chunk, first, parsed.at)? {
                chunk.at = at;
                continue;
            }
            chunk.at = parsed.at;
            let rest = chunk.bytes.len() - chunk.at;
            let (next, reason) = match parsed.stop {
                // Without room for both rows of an update.
                Stop::FrameFull if parsed.rows == 0 => return Ok(Parsed::FrameFull),
                // Unless rows without an event time were all that filled it.
                Stop::FrameFull => continue,
                Stop::ChunkDone => return Ok(Parsed::ChunkDone),
                // Its end is of no interest: no other record begins in the chunk.
                Stop::NeedsMore if rest > RECORD_BYTES_MAX => (None, too_long()),
                Stop::NeedsMore => return Ok(Parsed::NeedsMore),
                Stop::Bad { next, message } => (Some(next), message),
            };
            // Without room for its letter it is met again.
            if self.bad.is_full() {
                return Ok(Parsed::FrameFull);
            }
            self.counters.rows_read += 1;
            self.counters.rows_bad += 1;
            let path = &self.chunks.file(chunk.extent.file).path;
            let parser = parser_in_hand(&mut self.parser);
            self.bad
                .take(chunk.bad_record(path, parser, chunk.at), reason)?;
            let Some(next) = next else {
                return Ok(Parsed::ChunkDone);
            };
            chunk.at = next;
        }
    }

    /// Notes times and places of the rows from `first` on, which were just parsed, and takes out
    /// those without an event time. Where their letters leave no room for more, the rows behind are
    /// given back: they are to be parsed again, from the place in the chunk that is returned. The
    /// last one's record ends at `end`.
    fn admit(&mut self, chunk: &Chunk, first: usize, end: usize) -> Result<Option<usize>> {
        let base = self.chunks.file(chunk.extent.file).base + chunk.base;
        let parser = parser_in_hand(&mut self.parser);
        let starts = parser.starts();
        let (mut refused, mut again, mut failure) = (Vec::new(), None, None);
        let mut count = starts.len();
        for (i, &start) in starts.iter().enumerate() {
            let ticked = match &mut self.clock {
                Some(clock) => clock.tick(&self.raw, first + i),
                None => Ok(()),
            };
            self.counters.rows_read += 1;
            let Err(reason) = ticked else {
                self.counters.rows_passed += 1;
                self.system.note(base + start as u64);
                continue;
            };
            self.counters.rows_bad += 1;
            let path = &self.chunks.file(chunk.extent.file).path;
            refused.push(first + i);
            failure = self
                .bad
                .take(chunk.bad_record(path, parser, start), reason)
                .err();
            let next = starts.get(i + 1);
            again = next.copied().filter(|_| self.bad.is_full());
            if failure.is_some() || again.is_some() {
                count = i + 1;
                self.raw.truncate(first + count);
                break;
            }
        }
        let end = starts.get(count).copied().unwrap_or(end);
        let records = (&starts[..count], end);
        self.pieces.note(chunk, first, records, &refused);
        if !refused.is_empty() {
            self.take_out(&refused);
        }
        failure.map_or(Ok(again), Err)
    }

    /// Takes rows out of those parsed. The frame that goes on is empty until they are sealed, and
    /// lends its columns.
    fn take_out(&mut self, refused: &[usize]) {
        let rows = (0..self.raw.rows()).filter(|row| refused.binary_search(row).is_err());
        let kept: Vec<u32> = rows.map(|row| row as u32).collect();
        for (spare, raw) in self.out.columns.iter_mut().zip(&mut self.raw.columns) {
            spare.append_rows(raw, &kept);
            std::mem::swap(spare, raw);
            spare.clear();
        }
        self.raw.truncate(kept.len());
    }

    /// Rows that tell of bad records, to be taken before the next poll.
    pub(super) fn letters(&mut self) -> &mut Frame {
        self.bad.letters()
    }

    /// Moves the parsed columns into the frame that goes on, beside the rows' watermarks.
    fn seal(&mut self) {
        self.pieces.seal();
        let system = &mut self.system;
        seal(&mut self.raw, &mut self.out, system, &mut self.clock);
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

impl Chunk {
    fn bytes(&self) -> Bytes<'_> {
        Bytes {
            chunk: self.extent,
            base: self.base,
            bytes: &self.bytes,
        }
    }

    /// The record at `at`, which is bad.
    fn bad_record<'a>(&'a self, path: &'a Path, parser: &RecordParser, at: usize) -> BadRecord<'a> {
        BadRecord {
            path,
            offset: self.base + at as u64,
            raw: parser.record(&self.bytes[at..]),
        }
    }
}

/// How far parsing came.
enum Parsed {
    FrameFull,
    ChunkDone,
    NeedsMore,
}

#[cfg(test)]
mod tests;
