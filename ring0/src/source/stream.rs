//! A stream of records, as standard input: its bytes come in blocks, in order, and one shard parses
//! what has ended in them. The bytes of the frame in hand stay where they are until the next frame
//! is asked for, so that a row on which an expression fails is told with its record.

mod kept;
mod place;
mod told;

use std::path::PathBuf;

use self::place::Parts;
pub(crate) use self::place::StreamPosition;
use super::bad::{BadRecord, BadRecords};
use super::clock::Clock;
use super::open::{BYTE_ORDER_MARK, file_schema, parser_of};
use super::system::{System, seal};
use crate::error::{Error, Result};
use crate::feed::{Block, Blocked, Greeting};
use crate::format::csv::header;
use crate::format::parser::RecordParser;
use crate::format::record::{Chunk, Stop, Tail};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::limits::RECORD_BYTES_MAX;
use crate::metrics::SourceCounters;
use crate::program::{BadData, FileFormat, Header, SourceSpec};
use crate::schema::Schema;
use crate::source::{Polled, Reader};

/// Bad records that are left out in one turn.
const BAD_AT_ONCE: u64 = 256;

/// Records of a stream.
#[derive(Debug)]
pub(crate) struct StreamSource {
    name: String,
    path: PathBuf,
    blocks: Blocked,
    format: FileFormat,
    schema: Schema,
    /// The files that it is made of.
    parts: Parts,
    /// The names of fields, once the header was there.
    names: Option<Vec<String>>,
    /// The parser, once the header was there.
    parser: Option<RecordParser>,
    /// Bytes of the stream from `base` on, those before `at` being parsed.
    bytes: Vec<u8>,
    base: u64,
    at: usize,
    /// What follows up to a newline belongs to a record that is too long.
    skipping: bool,
    record_bytes_max: usize,
    /// Newlines before `base`, or frames, where places are told by their lines, too.
    lines: Option<u64>,
    state: State,
    raw: Frame,
    pub(super) out: Frame,
    /// Where in the bytes the records of the frame begin.
    starts: Vec<usize>,
    clock: Option<Clock>,
    system: System,
    pub(super) bad: BadRecords,
    failed: Option<Error>,
    /// How many bad records end the turn.
    bad_until: u64,
    pub(super) counters: SourceCounters,
    /// Whose records these are, as was just said.
    greeting: Option<Greeting>,
    /// Records so far that are numbered, where they are, and whether the last one was whole.
    numbered: Option<u64>,
    ended_whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More bytes may come.
    Open,
    /// All bytes are there.
    Ended,
    /// No more are to be taken.
    Stopped,
}

impl StreamSource {
    pub(super) fn new(
        spec: &SourceSpec,
        format: &FileFormat,
        path: PathBuf,
        blocks: Blocked,
        reader: Reader,
    ) -> Self {
        let schema = file_schema(spec);
        Self {
            name: spec.name.clone(),
            path,
            blocks,
            format: format.clone(),
            parts: Parts::default(),
            names: None,
            parser: None,
            bytes: Vec::new(),
            base: 0,
            at: 0,
            skipping: false,
            record_bytes_max: RECORD_BYTES_MAX,
            lines: None,
            state: State::Open,
            raw: Frame::new(&schema, reader.frame_rows),
            out: Frame::new(&spec.schema, reader.frame_rows),
            starts: Vec::new(),
            clock: Clock::new(spec, reader, 1),
            system: System::new(spec, schema.fields.len(), reader.now),
            schema,
            bad: BadRecords::new(spec, reader.frame_rows),
            failed: None,
            bad_until: 0,
            counters: SourceCounters::default(),
            greeting: None,
            numbered: None,
            ended_whole: false,
        }
    }

    /// It is one of several that come and go: a split by this number. Its places are told by their
    /// lines, too, and that it is cut off is no failure of the source.
    pub(super) fn is_connection(&mut self, number: usize, record_bytes_max: usize) {
        self.system.begin_split(number);
        // Frames were held against the limit as they came.
        self.record_bytes_max = match self.format {
            FileFormat::Binary(_) => usize::MAX,
            _ => record_bytes_max,
        };
        self.lines = Some(0);
    }

    /// Whether there are bytes that were not looked at.
    pub(super) fn waits(&self) -> bool {
        self.blocks.waits()
    }

    /// Takes all that is left for one bad record, and no more.
    pub(super) fn refuse_all(&mut self, reason: &str) -> Result<()> {
        self.state = State::Ended;
        let rest = std::mem::take(&mut self.bytes);
        let first = rest[self.at..].split(|byte| *byte == b'\n').next();
        self.counters.rows_read += 1;
        self.counters.rows_bad += 1;
        self.at = 0;
        let record = BadRecord {
            path: &self.path,
            offset: self.base,
            raw: first,
        };
        self.bad.take(record, reason.to_owned())
    }

    /// Fills a frame, as far as there is something.
    pub(super) fn poll(&mut self) -> Result<Polled> {
        self.out.clear();
        self.starts.clear();
        self.bad_until = self.counters.rows_bad + BAD_AT_ONCE;
        while self.failed.is_none() && self.raw.rows() == 0 && !self.has_enough() {
            if self.parts.pass(self.base + self.at as u64) {
                (self.parser, self.names, self.skipping) = (None, None, false);
            }
            if self.parser.is_none() && self.state != State::Stopped {
                self.begin()?;
            }
            let before = (self.at, self.bytes.len());
            self.parse();
            if self.raw.rows() > 0 || self.failed.is_some() || self.has_enough() {
                break;
            }
            let moved = before != (self.at, self.bytes.len());
            let ends = self.parts.next() == Some(self.base + self.at as u64);
            if !moved && !ends && !self.receive()? {
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
            return Ok(Polled::Frame);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.counters.rows_bad >= self.bad_until {
            return Ok(Polled::Marked);
        }
        Ok(match self.state {
            State::Stopped => Polled::Stopped,
            State::Ended if !self.bad.is_full() => Polled::End,
            State::Ended | State::Open => Polled::Pending,
        })
    }

    /// Whether others are to have their turn: who sends bad records alone would keep the shard.
    fn has_enough(&self) -> bool {
        self.bad.is_full() || self.counters.rows_bad >= self.bad_until
    }

    /// Takes the next block. Returns whether there is something new.
    fn receive(&mut self) -> Result<bool> {
        if self.state != State::Open {
            return Ok(false);
        }
        match self.blocks.poll() {
            Block::Pending => Ok(false),
            Block::Failed(_) if self.lines.is_some() => {
                self.cut_off();
                Ok(true)
            }
            Block::Failed(message) => Err(self.unreadable(message)),
            Block::End if self.numbered.is_some() => {
                self.end_numbered();
                Ok(true)
            }
            Block::End => {
                self.state = State::Ended;
                Ok(true)
            }
            Block::Greeting(greeting) => {
                self.greeting = Some(greeting);
                Ok(false)
            }
            Block::Begin(block) => {
                self.parts.begin(self.base + self.bytes.len() as u64);
                self.take(block);
                Ok(true)
            }
            Block::Bytes(block) => {
                self.take(block);
                Ok(true)
            }
        }
    }

    fn take(&mut self, block: Vec<u8>) {
        self.parts.note(self.base + self.bytes.len() as u64, &block);
        self.counters.bytes_read += block.len() as u64;
        self.base += self.at as u64;
        self.pass_lines();
        self.parts.leave(&self.bytes[..self.at]);
        self.bytes.drain(..self.at);
        self.at = 0;
        let mut used = block;
        match self.bytes.is_empty() {
            true => std::mem::swap(&mut self.bytes, &mut used),
            false => self.bytes.extend_from_slice(&used),
        }
        self.blocks.give_back(used);
    }

    /// The bytes up to the end of the file in hand, and whether more of it may come.
    fn in_hand(&self) -> (usize, Tail) {
        match self.parts.next() {
            Some(next) => ((next - self.base) as usize, Tail::End),
            None => (self.bytes.len(), self.tail()),
        }
    }

    /// Nothing comes any more, and what had begun is no record. Its feeder has told why.
    fn cut_off(&mut self) {
        self.state = State::Ended;
        let is_told = self.numbered.is_none() && !self.skipping;
        if self.at < self.bytes.len() && is_told {
            self.counters.rows_read += 1;
            self.counters.rows_bad += 1;
        }
        self.at = self.bytes.len();
    }

    fn tail(&self) -> Tail {
        match self.state {
            State::Ended => Tail::End,
            State::Open | State::Stopped => Tail::Cut,
        }
    }

    /// Reads what stands before the records, once it is there.
    fn begin(&mut self) -> Result<()> {
        let (end, tail) = self.in_hand();
        let is_text = !matches!(self.format, FileFormat::Binary(_));
        if is_text && self.base + self.at as u64 == self.parts.start() {
            let mark = BYTE_ORDER_MARK.len();
            match self.bytes[self.at..end].starts_with(BYTE_ORDER_MARK) {
                true => self.at += mark,
                false if end - self.at < mark && tail == Tail::Cut && self.state == State::Open => {
                    return Ok(());
                }
                false => {}
            }
        }
        let names = match &self.format {
            FileFormat::Ndjson | FileFormat::Debezium(_) | FileFormat::Binary(_) => Vec::new(),
            FileFormat::Csv {
                header: Header::Absent(names),
                ..
            } => names.clone(),
            FileFormat::Csv { dialect, .. } => {
                let start = &self.bytes[self.at..end];
                let chunk = Chunk {
                    bytes: start,
                    begin_before: start.len(),
                    tail,
                };
                match header(dialect, &chunk) {
                    Ok((names, next)) => {
                        self.at += next;
                        names
                    }
                    Err(Stop::NeedsMore) if start.len() <= self.record_bytes_max => return Ok(()),
                    Err(Stop::ChunkDone) => {
                        self.at = end;
                        return Ok(());
                    }
                    Err(Stop::Bad { message, .. }) => {
                        return Err(self.unreadable(format!("the header: {message}")));
                    }
                    Err(Stop::NeedsMore | Stop::FrameFull) => {
                        return Err(self.unreadable(format!(
                            "the header: {}",
                            too_long(self.record_bytes_max)
                        )));
                    }
                }
            }
        };
        let parser = parser_of(&self.format, &self.schema, &names);
        self.parser = Some(parser.map_err(|message| self.unreadable(message))?);
        self.names = Some(names);
        Ok(())
    }

    /// Parses records that have ended, until the frame is full.
    fn parse(&mut self) {
        if self.state == State::Stopped {
            return;
        }
        let (end, tail) = self.in_hand();
        if self.skipping {
            let newline = memchr::memchr(b'\n', &self.bytes[self.at..end]);
            self.skipping = newline.is_none();
            self.at = newline.map_or(end, |newline| self.at + newline + 1);
        }
        while !self.raw.is_full() && !self.has_enough() && self.failed.is_none() {
            let Some(parser) = &mut self.parser else {
                return;
            };
            let chunk = Chunk {
                bytes: &self.bytes[..end],
                begin_before: end,
                tail,
            };
            let first = self.raw.rows();
            let parsed = parser.parse_chunk(&chunk, self.at, &mut self.raw);
            if let Some(parser) = parser.binary() {
                self.counters.rows_repeated += parser.take_repeated();
            }
            if self.admit(first, parsed.at) {
                continue;
            }
            let (next, reason) = match parsed.stop {
                // Without room for both rows of an update.
                Stop::FrameFull if parsed.rows == 0 => return,
                Stop::FrameFull => continue,
                Stop::ChunkDone => return,
                Stop::NeedsMore if end - self.at <= self.record_bytes_max => return,
                Stop::NeedsMore => {
                    self.skipping = true;
                    (end, too_long(self.record_bytes_max))
                }
                Stop::Bad { next, message } => (next, message),
            };
            self.refuse(self.at, reason);
            self.at = next;
        }
    }

    /// Notes times and places of the rows from `first` on, which were just parsed up to `end`, as
    /// far as they have an event time. Returns whether one had none: it is told, and what is behind
    /// it is to be parsed again.
    fn admit(&mut self, first: usize, end: usize) -> bool {
        let parser = self.parser.as_ref().expect("it has parsed");
        let mut refused = None;
        for (row, &start) in parser.starts().iter().enumerate() {
            let next = parser.starts().get(row + 1).copied().unwrap_or(end);
            let ticked = match &mut self.clock {
                _ if is_too_long(&self.bytes[start..next], self.record_bytes_max) => {
                    Err(too_long(self.record_bytes_max))
                }
                Some(clock) => clock.tick(&self.raw, first + row),
                None => Ok(()),
            };
            if let Err(reason) = ticked {
                refused = Some((row, start, reason));
                break;
            }
            self.counters.rows_read += 1;
            self.counters.rows_passed += 1;
            self.numbered = self.numbered.map(|records| records + 1);
            let of_frame = parser.number(start);
            self.system
                .note(of_frame.unwrap_or(self.base + start as u64));
            self.starts.push(start);
        }
        let Some((row, start, reason)) = refused else {
            self.at = end;
            return false;
        };
        let next = parser.starts().get(row + 1).copied().unwrap_or(end);
        self.raw.truncate(first + row);
        self.at = next;
        self.refuse(start, reason);
        true
    }

    /// Takes note of a bad record.
    fn refuse(&mut self, at: usize, reason: String) {
        self.numbered = self.numbered.map(|records| records + 1);
        self.counters.rows_read += 1;
        self.counters.rows_bad += 1;
        let taken = self.tell(at, reason);
        self.failed = taken.err();
    }

    /// Does with rows of the last frame, on which an expression failed and which are in order, what
    /// the source does with bad records, as far as there is room for letters; takes those away.
    pub(super) fn take_failed(&mut self, failed: &mut Vec<RowError>) -> Result<()> {
        if self.bad.policy == BadData::Skip {
            failed.clear();
        }
        let mut told = 0;
        for RowError { row, message } in failed.iter() {
            if self.bad.is_full() {
                break;
            }
            self.tell(self.starts[*row as usize], message.clone())?;
            told += 1;
        }
        failed.drain(..told);
        Ok(())
    }

    fn unreadable(&self, message: String) -> Error {
        Error::Read {
            name: self.name.clone(),
            path: self.path.clone(),
            message,
        }
    }

    /// Takes no further record.
    pub(super) fn stop(&mut self) {
        if self.state == State::Open || self.at < self.bytes.len() {
            self.state = State::Stopped;
        }
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

/// Whether a record that ended is longer than the limit, which one that is not whole was held
/// against as it came.
fn is_too_long(record: &[u8], most: usize) -> bool {
    record.len() > most && record.trim_ascii_end().len() > most
}

fn too_long(most: usize) -> String {
    format!("a record is over {most} bytes")
}
