//! A channel in the hands of the host: who reads it, who appends to it, and what became of the
//! rows. It gives each appender a lane to each reader, whoever of the two comes first.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use rtrb::{Producer, RingBuffer};

use super::named::{Held, Of};
use super::{Appender, AtEnd, Outlet, ended};
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::limits::{LANE_RESERVE, LANES_MAX};
use crate::mesh::lane;
use crate::runtime::{LaneShape, Running};
use crate::schema::Schema;
use crate::snapshot::Taken;
use crate::source::{Doorway, Inlet, Onward, file_schema};
use crate::wake::{Bell, RungAtEnd};

/// A stream of rows between appenders and programs, in the hands of the host.
#[derive(Debug)]
pub struct Channel {
    pub(super) name: String,
    schema: Arc<Schema>,
    event_time: Option<usize>,
    frame_rows: usize,
    pub(super) appenders: Vec<AppenderEnd>,
    pub(super) readers: Vec<Reader>,
    closed: Arc<AtomicBool>,
    /// Of each producer that has a name what its last appender counts.
    pub(super) names: HashMap<Arc<str>, Arc<Counters>>,
    /// Rows of appenders that are gone.
    pub(super) past: Counts,
}

/// What appenders did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were appended.
    pub rows_appended: u64,
    /// Rows that no program read, as there was none.
    pub rows_unread: u64,
    /// Rows that are staged in appenders, and not in all lanes yet.
    pub rows_staged: u64,
    /// Rows in lanes that were not taken when the input ended, summed over readers.
    pub rows_untaken: u64,
    /// Rows of producers that have a name, which do not come again and were in no snapshot, summed
    /// over readers.
    pub rows_missed: u64,
}

/// One appender's counts, which it alone writes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) appended: AtomicU64,
    pub(super) unread: AtomicU64,
    pub(super) staged: AtomicU64,
    pub(super) untaken: AtomicU64,
    /// The number of the last row that is not staged any more.
    pub(super) settled: AtomicU64,
}

#[derive(Debug)]
pub(super) struct AppenderEnd {
    /// What its producer is called, if that has a name.
    pub(super) name: Option<Arc<str>>,
    bell: Arc<Bell>,
    pub(super) lanes: Producer<Outlet>,
    counters: Arc<Counters>,
    has_ended: Arc<AtomicBool>,
}

/// A program that reads.
#[derive(Debug)]
pub(super) struct Reader {
    /// Rows of producers that have a name which it began with.
    pub(super) held: HashMap<String, u64>,
    door: Doorway,
    schema: Schema,
    columns: Arc<[usize]>,
    shape: LaneShape,
    shard: Arc<Bell>,
}

impl Channel {
    /// A channel of rows of `schema`, of which a column may be event time, for programs of a
    /// runtime with frames of so many rows.
    pub fn new(
        name: impl Into<String>,
        schema: Arc<Schema>,
        event_time: Option<usize>,
        frame_rows: usize,
    ) -> Self {
        Self {
            name: name.into(),
            schema,
            event_time,
            frame_rows,
            appenders: Vec::new(),
            readers: Vec::new(),
            closed: Arc::default(),
            names: HashMap::new(),
            past: Counts::default(),
        }
    }

    /// Its columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Has a source of a program that was just added read these columns of what is pushed from now
    /// on, by all appenders there are and will be.
    ///
    /// # Errors
    /// [`Error::Program`] where the source is no such one, or its columns are others;
    /// [`Error::TooMany`] where an appender has not looked at too many lanes.
    pub fn attach(
        &mut self,
        running: &mut Running,
        source: usize,
        columns: &[usize],
    ) -> Result<()> {
        self.attach_from(running, source, columns, None)
    }

    /// As [`Channel::attach`], of a program that goes on: it has had what was taken by then, and is
    /// sent nothing of it again.
    ///
    /// # Errors
    /// As [`Channel::attach`].
    pub fn attach_from(
        &mut self,
        running: &mut Running,
        source: usize,
        columns: &[usize],
        taken: Option<&Taken>,
    ) -> Result<()> {
        let name = self.name.clone();
        let Some(spec) = running.program().sources.get(source).cloned() else {
            return refuse(format!(
                "channel {name}: the program has no source {source}"
            ));
        };
        let schema = file_schema(&spec);
        let types = columns.iter().map(|c| self.schema.fields.get(*c));
        let types = types.map(|f| f.map(|f| &f.data_type));
        if !types.eq(schema.types().map(Some)) {
            return refuse(format!("channel {name} has other columns"));
        }
        if let Some(time) = spec.event_time.filter(|e| e.lag_ns.is_some())
            && columns.get(time.column).copied() != self.event_time
        {
            return refuse(format!("channel {name} has another event time"));
        }
        self.forget_gone();
        if self.appenders.iter().any(|a| a.lanes.is_full()) {
            return Err(too_many());
        }
        let Some((door, shape, shard)) = running.take_door(source) else {
            return refuse(format!("channel {name}: source {source} is not open to it"));
        };
        if shape.frame_rows < self.frame_rows {
            return refuse(format!("channel {name} has frames of more rows"));
        }
        let mut reader = Reader {
            held: Self::held_by(taken),
            door,
            schema,
            columns: columns.into(),
            shape,
            shard,
        };
        for appender in &mut self.appenders {
            let settled = appender.counters.settled.load(Ordering::Acquire);
            let of = appender.name.as_ref().map(|name| Of {
                name,
                begins: settled,
                has_ended: &appender.has_ended,
            });
            let outlet = reader.outlet(&appender.bell, of)?;
            if let (Some(name), Some(held)) = (&appender.name, &outlet.held) {
                let missed = settled.saturating_sub(held.rows);
                let had = reader.held.contains_key(&**name);
                self.past.rows_missed += if had { missed } else { 0 };
            }
            let sent = appender.lanes.push(outlet);
            assert!(sent.is_ok(), "a ring that only this end fills had room");
        }
        self.readers.push(reader);
        Ok(())
    }

    /// A new appender.
    ///
    /// # Errors
    /// [`Error::Preflight`] where there is no descriptor left, [`Error::TooMany`] where a program
    /// has not taken too many lanes, [`Error::Ended`] where the channel is closed.
    pub fn appender(&mut self) -> Result<Appender> {
        self.open(None, 0)
    }

    /// An appender whose rows come behind so many of its producer.
    pub(super) fn open(&mut self, name: Option<&Arc<str>>, begins: u64) -> Result<Appender> {
        if self.closed.load(Ordering::Acquire) {
            return Err(ended(&self.name));
        }
        self.forget_gone();
        let bell = Bell::new().map_err(|e| Error::Preflight {
            what: format!("no eventfd can be made: {e}"),
            hint: "see `ulimit -n`".to_owned(),
        })?;
        let bell = Arc::new(bell);
        let (lanes, inbox) = RingBuffer::new(LANES_MAX);
        let counters: Arc<Counters> = Arc::default();
        counters.settled.store(begins, Ordering::Relaxed);
        let has_ended: Arc<AtomicBool> = Arc::default();
        let of = name.map(|name| Of {
            name,
            begins,
            has_ended: &has_ended,
        });
        // All of them or none: a lane that ends at once would be the end of its producer.
        if self.readers.iter().any(|r| r.door.lanes.is_full()) {
            return Err(too_many());
        }
        let outlets = self.readers.iter_mut();
        let outlets = outlets.map(|reader| reader.outlet(&bell, of));
        let appender = Appender {
            held: begins,
            has_ended: Arc::clone(&has_ended),
            at_end: AtEnd::Ends,
            name: self.name.clone(),
            schema: Arc::clone(&self.schema),
            event_time: self.event_time,
            outlets: outlets.collect::<Result<_>>()?,
            inbox,
            staged: Frame::new(&self.schema, self.frame_rows),
            watermark: None,
            in_hand: false,
            counters: Arc::clone(&counters),
            closed: Arc::clone(&self.closed),
            bell: Arc::clone(&bell),
        };
        self.appenders.push(AppenderEnd {
            name: name.cloned(),
            bell,
            lanes,
            counters,
            has_ended,
        });
        Ok(appender)
    }

    /// Has appenders refuse further rows.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::Release);
    }

    /// What each appender that is still there did so far.
    pub fn counts_by_appender(&self) -> impl Iterator<Item = Counts> + '_ {
        self.appenders.iter().map(|a| a.counters.read())
    }

    /// What appenders did so far.
    pub fn counts(&self) -> Counts {
        let now = self.appenders.iter().map(|a| a.counters.read());
        now.fold(self.past, Counts::plus)
    }

    /// Programs that read it.
    pub fn readers(&mut self) -> usize {
        self.forget_gone();
        self.readers.len()
    }

    pub(super) fn forget_gone(&mut self) {
        self.readers
            .retain(|reader| !reader.door.lanes.is_abandoned());
        let past = &mut self.past;
        self.appenders.retain(|appender| {
            let gone = appender.lanes.is_abandoned();
            // What it counted last is seen.
            fence(Ordering::Acquire);
            if gone {
                *past = past.plus(appender.counters.read());
            }
            !gone
        });
    }
}

fn too_many() -> Error {
    Error::TooMany {
        what: "lanes that nobody has taken yet",
        most: LANES_MAX,
    }
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            rows_appended: self.rows_appended + other.rows_appended,
            rows_unread: self.rows_unread + other.rows_unread,
            rows_staged: self.rows_staged + other.rows_staged,
            rows_untaken: self.rows_untaken + other.rows_untaken,
            rows_missed: self.rows_missed + other.rows_missed,
        }
    }
}

impl Counters {
    fn read(&self) -> Counts {
        Counts {
            rows_appended: self.appended.load(Ordering::Relaxed),
            rows_unread: self.unread.load(Ordering::Relaxed),
            rows_staged: self.staged.load(Ordering::Relaxed),
            rows_untaken: self.untaken.load(Ordering::Relaxed),
            rows_missed: 0,
        }
    }
}

impl Reader {
    /// A new lane, of which the shard gets its end; `of`: a producer that has a name.
    fn outlet(&mut self, appender: &Arc<Bell>, of: Option<Of<'_>>) -> Result<Outlet> {
        if self.door.lanes.is_full() {
            return Err(too_many());
        }
        let (mut sender, receiver) = lane(
            &self.schema,
            self.shape.frame_rows,
            self.shape.ring_messages + LANE_RESERVE,
            Arc::clone(appender),
            Arc::clone(&self.shard),
        );
        sender.keep_reserve(LANE_RESERVE);
        let taken: Arc<AtomicU64> = Arc::default();
        let held = of.map(|of| Held {
            rows: self.held.get(&**of.name).copied().unwrap_or(of.begins),
            before: Arc::default(),
        });
        let onward = of.zip(held.as_ref()).map(|(of, held)| {
            held.before
                .store(held.rows.max(of.begins), Ordering::Relaxed);
            Onward {
                name: Arc::clone(of.name),
                before: Arc::clone(&held.before),
                has_ended: Arc::clone(of.has_ended),
            }
        });
        let mut outlet = Outlet {
            lane: sender,
            columns: Arc::clone(&self.columns),
            next: 0,
            is_marked: false,
            sent: 0,
            held,
            repeated: 0,
            taken: Arc::clone(&taken),
            gone: Arc::clone(&self.door.gone),
            shard: RungAtEnd(Arc::clone(&self.shard)),
        };
        outlet.enter(of.map_or(0, |of| of.begins));
        let sent = self.door.lanes.push(Inlet {
            lane: receiver,
            taken,
            onward,
            appender: RungAtEnd(Arc::clone(appender)),
        });
        assert!(sent.is_ok(), "a ring that only this end fills had room");
        // A door that has gone takes it, or it is seen now that it has.
        fence(Ordering::SeqCst);
        self.shard.ring_always();
        Ok(outlet)
    }
}
