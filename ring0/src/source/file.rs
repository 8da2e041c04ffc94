//! Files of lines. A file is cut into chunks; a record belongs to the chunk in which it begins, so
//! that shards parse chunks side by side and yet every record is read once.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::TAGS;
use super::clock::Clock;
use crate::error::{Error, Result};
use crate::format::ndjson::NdjsonParser;
use crate::format::record::{Chunk as Records, Stop, Tail};
use crate::frame::Frame;
use crate::io::{Completion, Io, Request};
use crate::limits::RECORD_BYTES_MAX;
use crate::metrics::SourceCounters;
use crate::program::{SourceKind, SourceSpec};
use crate::schema::Schema;
use crate::source::{Polled, Reader};

/// Bytes read behind a chunk at first, to find the end of its last record.
const TAIL_BYTES: usize = 16 * 1024;
/// The read of bytes behind a chunk; 0 is that of a chunk.
const TAG_EXTENSION: usize = 1;

/// A file that the host has opened.
#[derive(Debug, Clone)]
pub(crate) struct OpenFile {
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Opens what a source reads; `None` for one that reads no file.
pub(crate) fn open(spec: &SourceSpec) -> Result<Option<OpenFile>> {
    let SourceKind::NdjsonFile { path } = &spec.kind else {
        return Ok(None);
    };
    let failed = |message: String| Error::Open {
        name: spec.name.clone(),
        path: path.clone(),
        message,
    };
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let facts = file.metadata().map_err(|e| failed(e.to_string()))?;
    if !facts.is_file() {
        return Err(failed("it is not a regular file".to_owned()));
    }
    Ok(Some(OpenFile {
        file: Arc::new(file),
        path: path.clone(),
        size: facts.len(),
    }))
}

/// A chunk in memory. `base` is the file offset of the first byte in `bytes`.
#[derive(Debug)]
struct Chunk {
    base: u64,
    end: u64,
    bytes: Vec<u8>,
    at: usize,
}

/// Lines of JSON from the chunks of a file that are this shard's.
#[derive(Debug)]
pub(crate) struct NdjsonSource {
    tag: usize,
    name: String,
    file: OpenFile,
    parser: NdjsonParser,
    /// The next chunk to ask for; chunk k is shard k mod shards'.
    next_chunk: u64,
    shards: u64,
    chunk_bytes: u64,
    /// A chunk that all shards have to hear of has ended, and its rows are on their way.
    chunk_ended: bool,
    /// Chunk being parsed.
    chunk: Option<Chunk>,
    /// Chunk being read: its bounds.
    reading: Option<(u64, u64)>,
    /// The chunk in hand waits for more bytes behind these many.
    extending: Option<usize>,
    spare: Vec<u8>,
    ready: Option<Chunk>,
    raw: Frame,
    pub(super) out: Frame,
    clock: Option<Clock>,
    pub(super) counters: SourceCounters,
}

impl NdjsonSource {
    pub(super) fn new(tag: usize, spec: &SourceSpec, file: OpenFile, reader: Reader) -> Self {
        let clock = Clock::new(spec);
        let bound = spec.event_time.and_then(|e| e.bound);
        let fields = &spec.schema.fields;
        assert!(
            bound.is_none_or(|b| b + 1 == fields.len()),
            "the bound is the last column"
        );
        let read = bound.map_or(fields.len(), |b| b);
        let file_schema = Arc::new(Schema::new(fields[..read].to_vec()));
        Self {
            tag,
            name: spec.name.clone(),
            file,
            parser: NdjsonParser::new(Arc::clone(&file_schema)),
            next_chunk: reader.shard as u64,
            shards: reader.shards as u64,
            chunk_bytes: reader.chunk_bytes as u64,
            chunk_ended: false,
            chunk: None,
            reading: None,
            extending: None,
            spare: Vec::new(),
            ready: None,
            raw: Frame::new(&file_schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            clock,
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
                    self.chunk_ended = self.shards > 1;
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
        Ok(if more { Polled::Pending } else { Polled::End })
    }

    /// Asks for the next chunk while the one in hand is parsed.
    fn prefetch(&mut self, io: &mut Io) {
        let start = self.next_chunk * self.chunk_bytes;
        if self.reading.is_some() || self.ready.is_some() || start >= self.file.size {
            return;
        }
        let end = (start + self.chunk_bytes).min(self.file.size);
        // The byte before tells whether a record begins at the chunk's first one.
        let base = start.saturating_sub(1);
        let len = ((end + TAIL_BYTES as u64).min(self.file.size) - base) as usize;
        self.next_chunk += self.shards;
        self.reading = Some((start, end));
        let buffer = std::mem::take(&mut self.spare);
        let file = Arc::clone(&self.file.file);
        let tag = self.tag * TAGS;
        io.submit(Request {
            tag,
            file,
            offset: base,
            len,
            buffer,
        });
    }

    fn extend(&mut self, chunk: Chunk, io: &mut Io) -> Result<()> {
        let record = chunk.bytes.len() - chunk.at;
        if record > RECORD_BYTES_MAX {
            let offset = chunk.base + chunk.at as u64;
            return Err(self.bad(offset, format!("a record is over {RECORD_BYTES_MAX} bytes")));
        }
        let offset = chunk.base + chunk.bytes.len() as u64;
        let len = record
            .max(TAIL_BYTES)
            .min((self.file.size - offset) as usize);
        let file = Arc::clone(&self.file.file);
        let Chunk {
            base,
            end,
            bytes,
            at,
        } = chunk;
        self.chunk = Some(Chunk {
            base,
            end,
            bytes: Vec::new(),
            at,
        });
        self.extending = Some(bytes.len());
        let tag = self.tag * TAGS + TAG_EXTENSION;
        io.submit(Request {
            tag,
            file,
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
        result.map_err(|error| self.unreadable(error.to_string()))?;
        let shorter = "the file became shorter while it was read";
        if tag % TAGS == TAG_EXTENSION {
            let before = self.extending.take().expect("an extension was asked for");
            if buffer.len() <= before {
                return Err(self.unreadable(shorter.to_owned()));
            }
            let chunk = self.chunk.as_mut().expect("an extension has its chunk");
            chunk.bytes = buffer;
            return Ok(());
        }
        let (start, end) = self.reading.take().expect("a read was asked for");
        let base = start.saturating_sub(1);
        if base + (buffer.len() as u64) < end {
            return Err(self.unreadable(shorter.to_owned()));
        }
        // Behind the byte before the chunk, the first record begins after a newline.
        let first = start == 0;
        let newline = || memchr::memchr(b'\n', &buffer).map_or(buffer.len(), |i| i + 1);
        let at = if first { 0 } else { newline() };
        self.counters.bytes_read += end - start;
        self.ready = Some(Chunk {
            base,
            end,
            bytes: buffer,
            at,
        });
        Ok(())
    }

    fn unreadable(&self, message: String) -> Error {
        Error::Read {
            name: self.name.clone(),
            path: self.file.path.clone(),
            message,
        }
    }

    fn bad(&self, offset: u64, message: String) -> Error {
        let (name, path) = (self.name.clone(), self.file.path.clone());
        Error::BadRecord {
            name,
            path,
            offset,
            message,
        }
    }

    /// Parses records of the chunk until the frame is full or none is left.
    fn parse(&mut self, chunk: &mut Chunk) -> Result<Parsed> {
        // The mark that some editors put before the first line is no data.
        if chunk.base == 0 && chunk.at == 0 && chunk.bytes.starts_with(b"\xEF\xBB\xBF") {
            chunk.at = 3;
        }
        let at_end = chunk.base + chunk.bytes.len() as u64 >= self.file.size;
        let records = Records {
            bytes: &chunk.bytes,
            begin_before: (chunk.end - chunk.base) as usize,
            tail: if at_end { Tail::End } else { Tail::Cut },
        };
        let first = self.raw.rows();
        let parsed = self.parser.parse_chunk(&records, chunk.at, &mut self.raw);
        chunk.at = parsed.at;
        self.counters.rows_read += parsed.rows as u64;
        for (i, &start) in self.parser.starts().iter().enumerate() {
            if let Some(clock) = &mut self.clock
                && let Err(message) = clock.tick(&self.raw, first + i)
            {
                self.counters.rows_bad += 1;
                return Err(self.bad(chunk.base + start as u64, message));
            }
            self.counters.rows_passed += 1;
        }
        match parsed.stop {
            Stop::FrameFull => Ok(Parsed::FrameFull),
            Stop::ChunkDone => Ok(Parsed::ChunkDone),
            Stop::NeedsMore => Ok(Parsed::NeedsMore),
            Stop::Bad { message, .. } => {
                self.counters.rows_read += 1;
                self.counters.rows_bad += 1;
                Err(self.bad(chunk.base + chunk.at as u64, message))
            }
        }
    }

    /// Moves the parsed columns into the frame that goes on, beside the rows' watermarks.
    fn seal(&mut self) {
        let rows = self.raw.rows();
        for (out, raw) in self.out.columns.iter_mut().zip(&mut self.raw.columns) {
            std::mem::swap(out, raw);
        }
        self.raw.clear();
        if let Some(clock) = &mut self.clock {
            clock.seal(&mut self.out);
        }
        self.out.commit_rows(rows);
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn watermark(&mut self) -> Option<i64> {
        self.clock.as_mut()?.advance()
    }
}

/// How far parsing came.
enum Parsed {
    FrameFull,
    ChunkDone,
    NeedsMore,
}
