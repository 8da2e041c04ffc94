//! Rows from producers within this process. A [`Channel`] is a stream of rows by name; programs
//! read it with a source of [`SourceKind::Channel`], appenders feed it. Between each appender and
//! each program that reads there is a lane: the frame that an appender has filled is copied into
//! every one of them, so that each reader gets each row once, and one that does not keep up holds
//! the appender back.
//!
//! An appender never makes a shard wait, and takes no lock. What it was given is in its lanes, or
//! staged in it, or counted as read by nobody.
//!
//! ```
//! use std::sync::Arc;
//! use arrow_schema::DataType;
//! use trefoil_ring0::appender::{Channel, Value};
//! use trefoil_ring0::program::{OutputSpec, Program, Reading, SourceKind, SourceSpec};
//! use trefoil_ring0::runtime::{Config, Runtime};
//! use trefoil_ring0::schema::{Field, Schema};
//!
//! let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64)]));
//! let mut source = SourceSpec::new("numbers", Arc::clone(&schema), SourceKind::Channel);
//! source.reading = Reading::InOrder;
//! let program = Program::chain(source, Vec::new(), OutputSpec::free(Arc::clone(&schema)));
//!
//! let config = Config::default();
//! let mut runtime = Runtime::open(&config)?;
//! let mut channel = Channel::new("numbers", schema, None, config.frame_rows);
//! let mut running = runtime.add(&program)?;
//! channel.attach(&mut running, 0, &[0])?;
//!
//! let mut appender = channel.appender()?;
//! appender.append_row(&[Value::I64(42)])?;
//! appender.flush()?;
//! let block = running.next_block()?.expect("the input has not ended");
//! assert_eq!(block.rows().rows(), 1);
//! running.give_back(block);
//! # Ok::<(), trefoil_ring0::error::Error>(())
//! ```
//!
//! [`SourceKind::Channel`]: crate::program::SourceKind::Channel

mod channel;
mod named;
mod readiness;
mod value;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{Array, ArrayRef};
use rtrb::Consumer;

pub use self::channel::{Channel, Counts};
pub use self::readiness::{Readiness, wait_readable};
pub use self::value::{Value, row_frame};

use self::channel::Counters;
use self::named::Held;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::mesh::{Flow, LaneSender};
use crate::message::Mark;
use crate::runtime::Deadline;
use crate::schema::Schema;
use crate::wake::{Bell, RungAtEnd};

/// Whether an appender took what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was not taken is to be offered again"]
pub enum Pushed {
    /// All of it.
    Done,
    /// A reader has no room: offer the same again.
    Full,
}

/// An appender's end of a lane.
#[derive(Debug)]
struct Outlet {
    lane: LaneSender,
    /// Columns of the rows that go into it.
    columns: Arc<[usize]>,
    /// Rows of the frame in hand that are in it.
    next: usize,
    /// The watermark in hand has to follow.
    is_marked: bool,
    sent: u64,
    /// What the reader has of a producer that has a name, and rows of it that are still to be left
    /// out.
    held: Option<Held>,
    repeated: u64,
    taken: Arc<AtomicU64>,
    gone: Arc<AtomicBool>,
    /// Dropped last: the shard sees that nothing comes any more.
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    shard: RungAtEnd,
}

/// Appends rows to a channel, from one thread at a time. Its rows stay in order, and are a split:
/// of event time it has a watermark of its own.
///
/// Rows are staged until a frame is full or [`Appender::flush`] is called. Dropping it sends what
/// is staged, without waiting.
#[derive(Debug)]
pub struct Appender {
    name: String,
    schema: Arc<Schema>,
    event_time: Option<usize>,
    outlets: Vec<Outlet>,
    inbox: Consumer<Outlet>,
    staged: Frame,
    /// To follow the staged rows.
    watermark: Option<i64>,
    /// Some lanes may have rows of the staged frame that others have not: none is added.
    in_hand: bool,
    counters: Arc<Counters>,
    /// Rows of it that readers had when it was made.
    held: u64,
    /// Said to readers before its lanes are given up, unless it is to come again.
    has_ended: Arc<AtomicBool>,
    at_end: AtEnd,
    closed: Arc<AtomicBool>,
    bell: Arc<Bell>,
}

/// What dropping an appender says to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    /// Nothing more comes.
    Ends,
    /// Nothing: it is away.
    Leaves,
}

fn ended(name: &str) -> Error {
    Error::Ended {
        what: format!("channel {name}"),
    }
}

/// Adds to a count that this thread alone writes.
fn add(counter: &AtomicU64, rows: u64) {
    counter.store(counter.load(Ordering::Relaxed) + rows, Ordering::Relaxed);
}

impl Appender {
    /// Its columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The number of its last row. Rows of one that has a name are numbered from 1 on, also through
    /// programs that go on from others; those of another one from 1 on as it is made.
    pub fn rows(&self) -> u64 {
        self.counters.settled.load(Ordering::Relaxed) + self.staged.rows() as u64
    }

    /// The number of the row that it began behind: all readers have those before, as far as they
    /// were sent any.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Appends a row, of a value for each column. Never waits: where there is no room it says so,
    /// and the row is not taken.
    ///
    /// # Errors
    /// [`Error::Append`] where a value does not fit its column, [`Error::Ended`] where the channel
    /// is closed. The row is not taken then.
    pub fn try_append_row(&mut self, row: &[Value<'_>]) -> Result<Pushed> {
        if self.make_room()? == Pushed::Full {
            return Ok(Pushed::Full);
        }
        let written = value::write(&self.schema, self.event_time, row, &mut self.staged);
        if let Err(error) = written {
            self.staged.roll_back();
            return Err(error);
        }
        self.staged.commit_rows(1);
        self.count(1);
        Ok(Pushed::Done)
    }

    /// As [`Appender::try_append_row`], and waits for room.
    ///
    /// # Errors
    /// As [`Appender::try_append_row`].
    pub fn append_row(&mut self, row: &[Value<'_>]) -> Result<()> {
        while self.try_append_row(row)? == Pushed::Full {
            let _: Pushed = self.wait_for_room(Deadline::never())?;
        }
        Ok(())
    }

    /// As [`Appender::append_row`], and waits so long at most.
    ///
    /// # Errors
    /// As [`Appender::try_append_row`].
    pub fn append_row_timeout(&mut self, row: &[Value<'_>], timeout: Duration) -> Result<Pushed> {
        let deadline = Deadline::after(timeout);
        loop {
            if self.try_append_row(row)? == Pushed::Done {
                return Ok(Pushed::Done);
            }
            if self.wait_for_room(deadline)? == Pushed::Full {
                return Ok(Pushed::Full);
            }
        }
    }

    /// Appends those of the rows `rows` of arrays, one for each column, for which there is room;
    /// says how many. Never waits.
    ///
    /// # Errors
    /// [`Error::Append`] where the arrays are not the channel's columns, or hold a NULL where there
    /// may be none; then no row is taken. [`Error::Ended`] as for rows.
    pub fn try_append_arrays(&mut self, arrays: &[ArrayRef], rows: Range<usize>) -> Result<usize> {
        value::check_arrays(&self.schema, self.event_time, arrays, &rows)?;
        let mut at = rows.start;
        while at < rows.end && self.make_room()? == Pushed::Done {
            let end = rows.end.min(at + self.staged.room());
            let end = value::fitting(arrays, at..end, &self.staged);
            for (column, array) in self.staged.columns.iter_mut().zip(arrays) {
                column.append_array(array, at..end);
            }
            self.staged.commit_rows(end - at);
            self.count(end - at);
            at = end;
        }
        Ok(at - rows.start)
    }

    /// Appends all rows of arrays, one for each column, and waits for room.
    ///
    /// # Errors
    /// As [`Appender::try_append_arrays`].
    pub fn append_arrays(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let rows = arrays.first().map_or(0, |a| a.len());
        let mut at = 0;
        loop {
            at += self.try_append_arrays(arrays, at..rows)?;
            if at == rows {
                return Ok(());
            }
            let _: Pushed = self.wait_for_room(Deadline::never())?;
        }
    }

    /// Sends what is staged, as far as there is room. Never waits.
    pub fn try_flush(&mut self) -> Pushed {
        self.admit();
        let mut all = Pushed::Done;
        let (staged, watermark) = (&self.staged, self.watermark);
        for outlet in &mut self.outlets {
            if outlet.send(staged, watermark) == Flow::Full {
                all = Pushed::Full;
            }
        }
        self.in_hand = all == Pushed::Full;
        if all == Pushed::Done {
            self.settle();
        }
        all
    }

    /// Sends what is staged, and waits for room: a single row leaves at once.
    ///
    /// # Errors
    /// [`Error::Ended`] where the channel was closed and nobody takes more.
    pub fn flush(&mut self) -> Result<()> {
        self.wait_for_room(Deadline::never()).map(|_| ())
    }

    /// As [`Appender::flush`], and waits so long at most.
    ///
    /// # Errors
    /// As [`Appender::flush`].
    pub fn flush_timeout(&mut self, timeout: Duration) -> Result<Pushed> {
        self.wait_for_room(Deadline::after(timeout))
    }

    /// Says that no later row has an event time below this one, in nanoseconds, but for late ones.
    /// It leaves behind the rows so far, with the next flush.
    pub fn watermark(&mut self, time_ns: i64) {
        self.watermark = Some(self.watermark.map_or(time_ns, |w| w.max(time_ns)));
        self.outlets.iter_mut().for_each(|o| o.is_marked = true);
    }

    /// Sends what is staged and ends, without waiting: also where lanes are full there is room for
    /// that.
    pub fn close(self) {
        drop(self);
    }

    /// As [`Appender::close`], but not for good: a producer that has a name is waited for until it
    /// comes again. Without one it is an end like any other.
    pub fn abandon(mut self) {
        self.at_end = AtEnd::Leaves;
    }

    fn count(&self, rows: usize) {
        add(&self.counters.appended, rows as u64);
        let staged = self.staged.rows() as u64;
        self.counters.staged.store(staged, Ordering::Relaxed);
    }

    /// Makes room for a row, where the staged frame is full or partly sent.
    fn make_room(&mut self) -> Result<Pushed> {
        if self.closed.load(Ordering::Acquire) {
            return Err(ended(&self.name));
        }
        if !self.staged.is_full() && !self.in_hand {
            return Ok(Pushed::Done);
        }
        // Where only lanes' own frames wait for company there is room here.
        Ok(self.try_flush())
    }

    /// Takes the lanes of programs that are new, and leaves those that are gone.
    fn admit(&mut self) {
        let counters = &self.counters;
        self.outlets.retain(|outlet| {
            let gone = outlet.is_gone();
            if gone {
                let taken = outlet.taken.load(Ordering::Acquire);
                add(&counters.untaken, outlet.sent - taken.min(outlet.sent));
            }
            !gone
        });
        while !self.in_hand
            && let Ok(mut outlet) = self.inbox.pop()
        {
            outlet.is_marked = self.watermark.is_some();
            outlet.enter(counters.settled.load(Ordering::Relaxed));
            self.outlets.push(outlet);
        }
    }

    /// The staged frame is in all lanes: another begins.
    fn settle(&mut self) {
        if self.outlets.is_empty() {
            add(&self.counters.unread, self.staged.rows() as u64);
        }
        self.outlets.iter_mut().for_each(|outlet| outlet.next = 0);
        add(&self.counters.settled, self.staged.rows() as u64);
        self.staged.clear();
        self.watermark = None;
        self.counters.staged.store(0, Ordering::Relaxed);
    }

    /// Sends what is staged, until the deadline.
    fn wait_for_room(&mut self, deadline: Deadline) -> Result<Pushed> {
        let bell = Arc::clone(&self.bell);
        loop {
            if self.try_flush() == Pushed::Done {
                return Ok(Pushed::Done);
            }
            if deadline.is_past() {
                return Ok(Pushed::Full);
            }
            bell.announce_sleep();
            let pushed = self.try_flush();
            if pushed == Pushed::Full {
                bell.sleep(deadline.left_ms());
            }
            bell.awake();
        }
    }
}

impl Outlet {
    /// Whether nobody takes anything of it any more.
    fn is_gone(&self) -> bool {
        self.lane.is_abandoned() || self.gone.load(Ordering::Relaxed)
    }

    /// Sends what it has not of a frame, and then the watermark.
    fn send(&mut self, frame: &Frame, watermark: Option<i64>) -> Flow {
        self.leave_out(frame.rows());
        let before = self.next;
        let flow = self.lane.send_columns(frame, &self.columns, &mut self.next);
        self.sent += (self.next - before) as u64;
        let flow = match flow {
            Flow::Done => self.lane.flush(),
            Flow::Full => {
                // What left already is to be looked at.
                let _: Flow = self.lane.flush();
                Flow::Full
            }
        };
        if flow == Flow::Full {
            return Flow::Full;
        }
        if let Some(time) = watermark.filter(|_| self.is_marked) {
            if self.lane.mark(Mark::Watermark(time)) == Flow::Full {
                return Flow::Full;
            }
            self.is_marked = false;
        }
        self.lane.flush()
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        if self.at_end == AtEnd::Ends {
            // Before any lane is gone, also one that is attached now and will not be looked at.
            self.has_ended.store(true, Ordering::Release);
        }
        self.outlets.iter_mut().for_each(|o| o.lane.use_reserve());
        let mut sent = self.try_flush();
        // Those that came just now have not used theirs.
        while sent == Pushed::Full || !self.inbox.is_empty() {
            self.outlets.iter_mut().for_each(|o| o.lane.use_reserve());
            sent = self.try_flush();
        }
        for outlet in &mut self.outlets {
            // One that is away leaves a lane that is gone behind what it has sent.
            if self.at_end == AtEnd::Ends {
                let marked = outlet.lane.mark(Mark::End) == Flow::Done;
                assert!(marked, "the end has its place in the ring");
            }
            let _: Flow = outlet.lane.flush();
        }
    }
}
