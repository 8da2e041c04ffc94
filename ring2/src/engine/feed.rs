//! What a view gives on its way into a view that reads it: the rows that stand when that one is
//! made, then every change of them, each once and in order. A thread carries them into a channel of
//! the reader's program. Where that does not keep up the view that is read waits for it, as it does
//! for a subscriber.
//!
//! The two rows of an update come into one frame, so that no barrier of the reader parts them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int8Array, RecordBatch, StringArray};
use datafusion::arrow::compute::concat;
use trefoil_ring0::appender::{Appender, Channel, Pushed};
use trefoil_ring0::changelog::{DELETE, INSERT, NAMES, UPDATE_BEFORE, UPDATE_ROWS, weighted};
use trefoil_ring0::mailbox::Received;
use trefoil_ring0::program::{Program, SourceKind};
use trefoil_ring0::runtime::Running;
use trefoil_ring0::schema::{Field, Schema, physical};

use super::fold::Snapshot;
use super::keeper::{Given, Reader};
use super::view::{Following, Shared, View, wrong};
use crate::catalog::ViewRows;
use crate::error::{Error, Result};
use crate::limits::SLICE_ROWS;

/// How long room is waited for before it is looked whether the reader is still there.
const LOOK: Duration = Duration::from_millis(50);

/// A view's way into a program, before anything goes it.
#[derive(Debug)]
pub(super) struct Inlet {
    name: String,
    from: Arc<Shared>,
    following: Following,
    reader: Arc<Reader>,
    carrier: Carrier,
}

/// A view's way into another one, in the hands of that one.
#[derive(Debug)]
pub(super) struct Feed {
    from: Arc<Shared>,
    reader: Arc<Reader>,
    thread: Option<JoinHandle<()>>,
}

/// The ways of all views that a program reads.
pub(super) fn inlets(
    running: &mut Running,
    views: &BTreeMap<String, View>,
    frame_rows: usize,
) -> Result<Vec<Inlet>> {
    let program = running.program();
    let mut read: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
    for (number, source) in program.sources.iter().enumerate() {
        let view = views.get_key_value(&source.name);
        if let (SourceKind::Channel, Some((name, _))) = (&source.kind, view) {
            read.entry(name).or_default().push(number);
        }
    }
    let read = read.into_iter();
    let inlets = read.map(|(name, sources)| {
        let view = &views[name];
        inlet(running, name, view, &sources, frame_rows)
    });
    inlets.collect()
}

/// Whether a program has other input than views that would be cut short, were it to end with these.
pub(super) fn has_others(program: &Program, views: &BTreeMap<String, View>) -> bool {
    program.sources.iter().any(|source| {
        // A file comes to its end whoever else does.
        let is_file = matches!(
            source.kind,
            SourceKind::Files { .. } | SourceKind::Columnar { .. }
        );
        !is_file && !views.contains_key(&source.name)
    })
}

fn inlet(
    running: &mut Running,
    name: &str,
    view: &View,
    sources: &[usize],
    frame_rows: usize,
) -> Result<Inlet> {
    let kept = view.kept();
    let rows = kept.rows;
    let held = kept.columns.fields().iter().enumerate();
    let held = held.filter(|(_, field)| physical(field.data_type()).is_some());
    let (columns, fields): (Vec<usize>, Vec<Field>) = held
        .map(|(at, field)| (at, Field::new(field.name(), field.data_type().clone())))
        .unzip();
    let own = fields.len();
    let (schema, frame_rows) = match rows {
        ViewRows::Coming => (Arc::new(Schema::new(fields)), frame_rows),
        ViewRows::Changing => (weighted(Schema::new(fields)), frame_rows.max(UPDATE_ROWS)),
    };
    let mut channel = Channel::new(name, Arc::clone(&schema), None, frame_rows);
    for &number in sources {
        let read = &running.program().sources[number].schema.fields;
        let read = &read[..read.len() - (schema.fields.len() - own)];
        let at = |field: &Field| {
            schema.fields[..own]
                .iter()
                .position(|f| f.name == field.name)
        };
        let wanted: Option<Vec<usize>> = read.iter().map(at).collect();
        let mut wanted = wanted.expect("a view gives columns that it has");
        // What a row does.
        wanted.extend(own..schema.fields.len());
        channel.attach(running, number, &wanted)?;
    }
    let reader: Arc<Reader> = Arc::default();
    let from = Arc::clone(view.shared());
    if let Some(error) = from.failure() {
        let message = format!("view \"{name}\" has failed: {error}");
        return Err(Error::engine(error.code(), message));
    }
    Ok(Inlet {
        name: name.to_owned(),
        following: from.follow(&reader)?,
        carrier: Carrier {
            appender: channel.appender()?,
            columns,
            rows,
            frame_rows,
            held: vec![None; from.shards()],
            reader: Arc::clone(&reader),
            from: Arc::clone(&from),
            into: None,
        },
        from,
        reader,
    })
}

impl Inlet {
    /// Begins to feed the view whose program it leads into.
    pub(super) fn start(mut self, into: &Arc<Shared>) -> Result<Feed> {
        let (from, reader) = (Arc::clone(&self.from), Arc::clone(&self.reader));
        let into = Arc::clone(into);
        self.carrier.into = Some(Arc::clone(&into));
        let thread = std::thread::Builder::new()
            .name(format!("feed-{}", self.name))
            .spawn(move || self.run(&AtEnd(into)))
            .map_err(|e| Error::engine("E0606", format!("no thread for a view: {e}")))?;
        let thread = Some(thread);
        Ok(Feed {
            from,
            reader,
            thread,
        })
    }

    fn run(self, AtEnd(into): &AtEnd) {
        let Self {
            name,
            from,
            following,
            reader,
            carrier,
        } = self;
        // What was carried is in the lanes when the reader is told that it was all.
        let carried = carrier.all_of(following);
        if reader.left.load(Ordering::Acquire) {
            return;
        }
        match (carried, from.failure()) {
            (Err(error), _) => into.fail(&error),
            (Ok(()), Some(error)) => {
                let message = format!("view \"{name}\", which it reads, has failed: {error}");
                into.fail(&Error::engine(error.code(), message));
            }
            (Ok(()), None) => into.feed_ended(),
        }
    }
}

/// The reader is told of the end of the thread that feeds it, also of a bad one.
struct AtEnd(Arc<Shared>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let message = "the thread that feeds the view panicked";
            self.0.fail(&Error::engine("E0604", message));
        }
    }
}

impl Feed {
    /// Whether all that there will ever be is in the lanes.
    pub(super) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Whether the view that is read gives nothing more.
    pub(super) fn has_ended(&self) -> bool {
        self.from.lock().is_ended
    }

    /// Nobody wants it any more.
    pub(super) fn leave(&self) {
        self.reader.left.store(true, Ordering::Release);
        self.from.unfollow();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            // What a panic of it means is told to who reads.
            _ = thread.join();
        }
    }
}

/// Changes, and what each does.
#[derive(Debug, Clone)]
struct Changes {
    columns: Vec<ArrayRef>,
    ops: Int8Array,
}

/// What puts changes into a program's channel.
#[derive(Debug)]
struct Carrier {
    appender: Appender,
    /// Those of the view's columns that the channel has.
    columns: Vec<usize>,
    rows: ViewRows,
    /// Rows that go into one frame.
    frame_rows: usize,
    /// Of each shard the rows that the next one of it replaces.
    held: Vec<Option<Changes>>,
    reader: Arc<Reader>,
    from: Arc<Shared>,
    /// Who reads; known when it begins.
    into: Option<Arc<Shared>>,
}

impl Carrier {
    /// Carries all that there is, until the end of it or the reader's.
    fn all_of(mut self, (standing, leaving, mut inbox): Following) -> Result<()> {
        self.standing(&standing)?;
        drop(standing);
        self.leaving(&leaving)?;
        while !self.reader.left.load(Ordering::Acquire) {
            match inbox.receive(None) {
                Received::Value(Given::Rows { shard, rows }) => self.given(shard, &rows)?,
                // All before it is in the lanes.
                Received::Value(Given::Flushed(flushing)) => drop(flushing),
                Received::Nothing => {}
                Received::End => return self.end(),
            }
        }
        Ok(())
    }

    /// Rows that stand.
    fn standing(&mut self, standing: &Snapshot) -> Result<()> {
        for shard in 0..self.held.len() {
            for from in (0..standing.len(shard)).step_by(SLICE_ROWS) {
                let slice = from..standing.len(shard).min(from + SLICE_ROWS);
                let rows = standing
                    .batch(shard, slice.clone())
                    .map_err(|e| wrong(&e))?;
                let rows = self.all(&rows, INSERT);
                self.put(&rows)?;
                let owed = standing.owed(shard, slice).map_err(|e| wrong(&e))?;
                let owed = self.all(&owed, DELETE);
                self.put(&owed)?;
            }
        }
        Ok(())
    }

    /// Those of them whose replacement comes next.
    fn leaving(&mut self, leaving: &Snapshot) -> Result<()> {
        for shard in 0..self.held.len() {
            let rows = leaving.batch(shard, 0..leaving.len(shard));
            let rows = rows.map_err(|e| wrong(&e))?;
            let held = (rows.num_rows() > 0).then(|| self.all(&rows, UPDATE_BEFORE));
            self.held[shard] = held;
        }
        Ok(())
    }

    /// Rows without what they do, which is all the same.
    fn all(&self, rows: &RecordBatch, op: i8) -> Changes {
        let columns = self.columns.iter();
        Changes {
            columns: columns.map(|c| Arc::clone(rows.column(*c))).collect(),
            ops: Int8Array::from_value(op, rows.num_rows()),
        }
    }

    /// Rows as a shard of the view gave them.
    fn given(&mut self, shard: usize, rows: &RecordBatch) -> Result<()> {
        let mut changes = match self.rows {
            ViewRows::Coming => self.all(rows, INSERT),
            ViewRows::Changing => {
                let columns = self.columns.iter();
                Changes {
                    columns: columns.map(|c| Arc::clone(rows.column(c + 1))).collect(),
                    ops: ops(rows.column(0).as_string()),
                }
            }
        };
        if let Some(held) = self.held[shard].take() {
            changes = held.followed_by(&changes)?;
        }
        let count = changes.ops.len();
        let whole = changes.whole(0, count);
        if whole < count {
            self.held[shard] = Some(changes.slice(whole, count - whole));
            changes = changes.slice(0, whole);
        }
        self.put(&changes)
    }

    /// Nothing comes any more.
    fn end(&mut self) -> Result<()> {
        let held: Vec<Changes> = self.held.iter_mut().filter_map(Option::take).collect();
        held.iter().try_for_each(|row| self.put(row))
    }

    /// Puts changes into the lanes, frame by frame, until the reader is gone.
    fn put(&mut self, changes: &Changes) -> Result<()> {
        let mut arrays = changes.columns.clone();
        if self.rows == ViewRows::Changing {
            arrays.push(Arc::new(changes.ops.clone()));
        }
        let count = changes.ops.len();
        let mut at = 0;
        while at < count {
            let end = match count.min(at + self.frame_rows) {
                end if end == count => count,
                end => changes.whole(at, end).max(at + 1),
            };
            while at < end {
                at += self.appender.try_append_arrays(&arrays, at..end)?;
                if !self.flush()? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends what is staged; whether the reader is still there.
    fn flush(&mut self) -> Result<bool> {
        while !self.reader.left.load(Ordering::Acquire) {
            let is_taken = self.appender.flush_timeout(LOOK)? == Pushed::Done;
            let is_stuck = !is_taken && self.into.as_ref().is_some_and(|i| i.is_stuck());
            // Who reads the view below does not wait for a reader that waits for others.
            if self.reader.stuck.swap(is_stuck, Ordering::AcqRel) != is_stuck {
                self.from.look_again();
            }
            if is_taken {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What rows do, by what it is called.
fn ops(names: &StringArray) -> Int8Array {
    let op = |name: Option<&str>| {
        let found = NAMES.iter().find(|(_, known)| Some(*known) == name);
        found.expect("a changelog says what its rows do").0
    };
    Int8Array::from_iter_values(names.iter().map(op))
}

impl Changes {
    /// Where the last update ends that is whole between these rows.
    fn whole(&self, from: usize, to: usize) -> usize {
        let before = (from..to).rev();
        let cut = before.take_while(|row| self.ops.value(*row) == UPDATE_BEFORE);
        to - cut.count()
    }

    fn slice(&self, from: usize, count: usize) -> Self {
        let columns = self.columns.iter();
        Self {
            columns: columns.map(|column| column.slice(from, count)).collect(),
            ops: self.ops.slice(from, count),
        }
    }

    /// These, and others behind them.
    fn followed_by(&self, others: &Self) -> Result<Self> {
        let both = |a: &dyn Array, b: &dyn Array| concat(&[a, b]).map_err(|e| wrong(&e));
        let columns = self.columns.iter().zip(&others.columns);
        let columns = columns.map(|(a, b)| both(a, b));
        Ok(Self {
            columns: columns.collect::<Result<_>>()?,
            ops: both(&self.ops, &others.ops)?.as_primitive().clone(),
        })
    }
}
