//! Files of lines. A file is cut into chunks; a record belongs to the chunk in which it begins, so
//! that shards parse chunks side by side and yet every record is read once.

use std::path::Path;
use std::sync::Arc;

use super::TAGS;
use super::bad::{BadRecord, BadRecords};
use super::chunks::{Chunks, Extent, Files, Left};
use super::clock::Clock;
use super::system::System;
use crate::error::{Error, Result};
use crate::format::ndjson::NdjsonParser;
use crate::format::record::{Chunk as Records, Stop, Tail};
use crate::frame::Frame;
use crate::io::{Completion, Io, Request};
use crate::limits::RECORD_BYTES_MAX;
use crate::metrics::SourceCounters;
use crate::program::SourceSpec;
use crate::schema::Schema;
use crate::source::{Polled, Reader};

/// Bytes read behind a chunk at first, to find the end of its last record.
const TAIL_BYTES: usize = 16 * 1024;
/// Bytes of a bad record that are told.
const RAW_BYTES_MAX: usize = 4096;
/// The read of bytes behind a chunk; 0 is that of a chunk.
const TAG_EXTENSION: usize = 1;

/// A chunk in memory. `base` is the file offset of the first byte in `bytes`.
#[derive(Debug)]
struct Chunk {
    file: usize,
    base: u64,
    end: u64,
    bytes: Vec<u8>,
    at: usize,
    /// In a record that is too long, up to the next newline.
    skipping: bool,
}

/// Lines of JSON from the chunks of a file that are this shard's.
#[derive(Debug)]
pub(crate) struct FileSource {
    tag: usize,
    name: String,
    chunks: Chunks,
    parser: NdjsonParser,
    /// Other shards read chunks, too, and have to hear of the end of each.
    shared: bool,
    /// A chunk has ended, and its rows are on their way.
    chunk_ended: bool,
    /// Chunk being parsed.
    chunk: Option<Chunk>,
    /// Chunk being read.
    reading: Option<Extent>,
    /// The chunk in hand waits for more bytes behind these many.
    extending: Option<usize>,
    spare: Vec<u8>,
    ready: Option<Chunk>,
    raw: Frame,
    pub(super) out: Frame,
    clock: Option<Clock>,
    system: System,
    bad: BadRecords,
    pub(super) counters: SourceCounters,
}

impl FileSource {
    pub(super) fn new(tag: usize, spec: &SourceSpec, files: Files, reader: Reader) -> Self {
        let clock = Clock::new(spec);
        let bound = spec.event_time.and_then(|e| e.bound);
        let fields = &spec.schema.fields;
        let before = bound.unwrap_or(fields.len());
        assert!(
            bound.is_none_or(|b| b + 1 == fields.len()),
            "the bound is the last column"
        );
        let read = before - spec.system.len();
        let file_schema = Arc::new(Schema::new(fields[..read].to_vec()));
        Self {
            tag,
            name: spec.name.clone(),
            chunks: Chunks::new(files, reader.chunk_bytes, reader.shard, reader.shards),
            parser: NdjsonParser::new(Arc::clone(&file_schema)),
            shared: reader.shards > 1,
            chunk_ended: false,
            chunk: None,
            reading: None,
            extending: None,
            spare: Vec::new(),
            ready: None,
            raw: Frame::new(&file_schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            clock,
            system: System::new(spec, read, reader.now),
            bad: BadRecords::new(spec, reader.frame_rows),
            counters: SourceCounters::default(),
        }
    }

    /// Fills a frame, as far as there is something.
    pub(super) fn poll(&mut self, io: &mut Io) -> Result<Polled> {
        self.out.clear();
        while !self.chunk_ended {
            self.prefetch(io);
            if self.extending.is_some() {
                break;
            }
            if self.chunk.is_none() {
                self.chunk = self.ready.take();
                self.prefetch(io);
            }
            let Some(mut chunk) = self.chunk.take() else {
                break;
            };
            let outcome = self.parse(&mut chunk);
            match outcome? {
                Parsed::FrameFull => {
                    self.chunk = Some(chunk);
                    break;
                }
                Parsed::ChunkDone => {
                    chunk.bytes.clear();
                    self.spare = chunk.bytes;
                    self.chunk_ended = self.shared;
                }
                Parsed::NeedsMore => {
                    self.extend(chunk, io)?;
                    break;
                }
            }
        }
        if self.raw.rows() > 0 {
            self.seal();
            return Ok(Polled::Frame);
        }
        if std::mem::take(&mut self.chunk_ended) {
            if let Some(clock) = &mut self.clock {
                clock.begin_chunk();
            }
            return Ok(Polled::ChunkEnd);
        }
        let more = self.chunk.is_some() || self.reading.is_some() || self.ready.is_some();
        Ok(match self.chunks.left() {
            _ if more => Polled::Pending,
            Left::Some => Polled::Pending,
            Left::None => Polled::End,
            Left::Stopped => Polled::Stopped,
        })
    }

    /// Stops where all shards do.
    pub(super) fn stop(&mut self) {
        self.chunks.stop();
    }

    /// Asks for the next chunk while the one in hand is parsed.
    fn prefetch(&mut self, io: &mut Io) {
        if self.reading.is_some() || self.ready.is_some() {
            return;
        }
        let Some(extent) = self.chunks.pop() else {
            return;
        };
        let Extent { file, start, end } = extent;
        let file = self.chunks.file(file);
        // The byte before tells whether a record begins at the chunk's first one.
        let base = start.saturating_sub(1);
        let len = ((end + TAIL_BYTES as u64).min(file.size) - base) as usize;
        self.reading = Some(extent);
        let buffer = std::mem::take(&mut self.spare);
        let file = Arc::clone(&file.file);
        let tag = self.tag * TAGS;
        io.submit(Request {
            tag,
            file,
            offset: base,
            len,
            buffer,
        });
    }

    fn extend(&mut self, mut chunk: Chunk, io: &mut Io) -> Result<()> {
        let record = chunk.bytes.len() - chunk.at;
        if record > RECORD_BYTES_MAX {
            self.counters.rows_read += 1;
            self.counters.rows_bad += 1;
            let record = BadRecord {
                path: &self.chunks.file(chunk.file).path,
                offset: chunk.base + chunk.at as u64,
                raw: first_bytes(&chunk.bytes[chunk.at..]),
            };
            self.bad.take(record, too_long())?;
            chunk.skipping = true;
        }
        if chunk.skipping {
            chunk.base += chunk.bytes.len() as u64;
            chunk.at = 0;
            chunk.bytes.clear();
        }
        let from = self.chunks.file(chunk.file);
        let offset = chunk.base + chunk.bytes.len() as u64;
        let len = record.max(TAIL_BYTES).min((from.size - offset) as usize);
        let from = Arc::clone(&from.file);
        let Chunk {
            file,
            base,
            end,
            bytes,
            at,
            skipping,
        } = chunk;
        self.chunk = Some(Chunk {
            file,
            base,
            end,
            bytes: Vec::new(),
            at,
            skipping,
        });
        self.extending = Some(bytes.len());
        let tag = self.tag * TAGS + TAG_EXTENSION;
        io.submit(Request {
            tag,
            file: from,
            offset,
            len,
            buffer: bytes,
        });
        Ok(())
    }

    /// Takes a read that was carried out.
    pub(super) fn complete(&mut self, completion: Completion) -> Result<()> {
        let Completion {
            tag,
            buffer,
            result,
        } = completion;
        let shorter = "the file became shorter while it was read";
        if tag % TAGS == TAG_EXTENSION {
            let before = self.extending.take().expect("an extension was asked for");
            let mut chunk = self.chunk.take().expect("an extension has its chunk");
            result.map_err(|error| self.unreadable(chunk.file, error.to_string()))?;
            if buffer.len() <= before {
                return Err(self.unreadable(chunk.file, shorter.to_owned()));
            }
            chunk.bytes = buffer;
            self.chunk = Some(chunk);
            return Ok(());
        }
        let Extent { file, start, end } = self.reading.take().expect("a read was asked for");
        result.map_err(|error| self.unreadable(file, error.to_string()))?;
        let base = start.saturating_sub(1);
        if base + (buffer.len() as u64) < end {
            return Err(self.unreadable(file, shorter.to_owned()));
        }
        // Behind the byte before the chunk, the first record begins after a newline.
        let first = start == 0;
        let newline = || memchr::memchr(b'\n', &buffer).map_or(buffer.len(), |i| i + 1);
        let at = if first { 0 } else { newline() };
        self.counters.bytes_read += end - start;
        self.ready = Some(Chunk {
            file,
            base,
            end,
            bytes: buffer,
            at,
            skipping: false,
        });
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
        let at_end = chunk.base + chunk.bytes.len() as u64 >= self.chunks.file(chunk.file).size;
        // The mark that some editors put before the first line is no data.
        if chunk.base == 0 && chunk.at == 0 && chunk.bytes.starts_with(b"\xEF\xBB\xBF") {
            chunk.at = 3;
        }
        loop {
            if self.raw.is_full() || self.bad.is_full() {
                return Ok(Parsed::FrameFull);
            }
            if chunk.base + chunk.at as u64 >= chunk.end {
                return Ok(Parsed::ChunkDone);
            }
            if chunk.skipping {
                let rest = &chunk.bytes[chunk.at..];
                let newline = memchr::memchr(b'\n', rest);
                chunk.at += newline.map_or(rest.len(), |i| i + 1);
                chunk.skipping = newline.is_none() && !at_end;
                if chunk.skipping {
                    return Ok(Parsed::NeedsMore);
                }
                continue;
            }
            let records = Records {
                bytes: &chunk.bytes,
                begin_before: (chunk.end - chunk.base) as usize,
                tail: if at_end { Tail::End } else { Tail::Cut },
            };
            let first = self.raw.rows();
            let parsed = self.parser.parse_chunk(&records, chunk.at, &mut self.raw);
            if let Some(at) = self.admit(chunk, first)? {
                chunk.at = at;
                continue;
            }
            chunk.at = parsed.at;
            match parsed.stop {
                Stop::FrameFull => return Ok(Parsed::FrameFull),
                Stop::ChunkDone => return Ok(Parsed::ChunkDone),
                Stop::NeedsMore => return Ok(Parsed::NeedsMore),
                // No room for its letter: it is met again.
                Stop::Bad { .. } if self.bad.is_full() => return Ok(Parsed::FrameFull),
                Stop::Bad { next, message } => {
                    self.counters.rows_read += 1;
                    self.counters.rows_bad += 1;
                    let path = &self.chunks.file(chunk.file).path;
                    let record = bad_record(path, chunk, chunk.at);
                    self.bad.take(record, message)?;
                    chunk.at = next;
                }
            }
        }
    }

    /// Notes times and places of the rows from `first` on, which were just parsed, and takes out
    /// those without an event time. Where their letters leave no room for more, the rows behind are
    /// given back: they are to be parsed again, from the place in the chunk that is returned.
    fn admit(&mut self, chunk: &Chunk, first: usize) -> Result<Option<usize>> {
        let starts = self.parser.starts();
        let (mut refused, mut again) = (Vec::new(), None);
        for (i, &start) in starts.iter().enumerate() {
            let ticked = match &mut self.clock {
                Some(clock) => clock.tick(&self.raw, first + i),
                None => Ok(()),
            };
            self.counters.rows_read += 1;
            let Err(reason) = ticked else {
                self.counters.rows_passed += 1;
                self.system.note(chunk.base + start as u64);
                continue;
            };
            self.counters.rows_bad += 1;
            let path = &self.chunks.file(chunk.file).path;
            self.bad.take(bad_record(path, chunk, start), reason)?;
            refused.push(first + i);
            if let Some(&next) = starts.get(i + 1)
                && self.bad.is_full()
            {
                self.raw.truncate(first + i + 1);
                again = Some(next);
                break;
            }
        }
        if !refused.is_empty() {
            let rows = (0..self.raw.rows()).filter(|row| refused.binary_search(row).is_err());
            let rows: Vec<_> = rows.map(|row| row as u32).collect();
            let mut kept = self.raw.clone();
            kept.clear();
            kept.append_rows(&self.raw, &rows);
            self.raw = kept;
        }
        Ok(again)
    }

    /// Rows that tell of bad records, to be taken before the next poll.
    pub(super) fn letters(&mut self) -> &mut Frame {
        self.bad.letters()
    }

    /// Moves the parsed columns into the frame that goes on, beside the rows' watermarks.
    fn seal(&mut self) {
        let rows = self.raw.rows();
        for (out, raw) in self.out.columns.iter_mut().zip(&mut self.raw.columns) {
            std::mem::swap(out, raw);
        }
        self.raw.clear();
        self.system.seal(&mut self.out, rows);
        if let Some(clock) = &mut self.clock {
            clock.seal(&mut self.out);
        }
        self.out.commit_rows(rows);
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

/// The record at `at` of a chunk.
fn bad_record<'a>(path: &'a Path, chunk: &'a Chunk, at: usize) -> BadRecord<'a> {
    let rest = &chunk.bytes[at..];
    let line = &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())];
    BadRecord {
        path,
        offset: chunk.base + at as u64,
        raw: first_bytes(line),
    }
}

/// The bytes of a bad record that are told. Where they are its first ones, no character is cut.
fn first_bytes(record: &[u8]) -> &[u8] {
    if record.len() <= RAW_BYTES_MAX {
        return record;
    }
    let first = &record[..RAW_BYTES_MAX];
    match std::str::from_utf8(first) {
        Err(error) if error.error_len().is_none() => &first[..error.valid_up_to()],
        Ok(_) | Err(_) => first,
    }
}

fn too_long() -> String {
    format!("a record is over {RECORD_BYTES_MAX} bytes")
}

/// How far parsing came.
enum Parsed {
    FrameFull,
    ChunkDone,
    NeedsMore,
}
