//! What an engine holds, looked at by one thread at a time: what is declared, what runs, and how
//! one comes from the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use trefoil_ring0::appender::Channel;
use trefoil_ring0::program::{Program, SourceKind};
use trefoil_ring0::runtime::{Running, Runtime};
use trefoil_ring0::schema::{Field, Schema, physical};
use trefoil_ring0::snapshot::Restore;

use super::durable::{Ledger, Ledgers};
use super::kept::{FedSink, Kept, There, renamed};
use super::session::{Cursor, Listening};
use super::sink::{Feeding, OpenSink};
use super::state::{Opened, Removed, StateDir};
use super::system::{self, System};
use super::view::{Moment, OnDisk, Shared, View};
use super::wanted::Wanted;
use super::{feed, query};
use crate::catalog::SourceDef;
use crate::error::{Error, Result};
use crate::limits::CURSORS_MAX;
use crate::options::CHANNEL;
use crate::output::Temporaries;
use crate::script::Session;
use crate::sink::Fed;
use crate::{PlannedQuery, limits};

#[derive(Debug)]
pub(super) struct Inner {
    /// Taken out only while it is dropped.
    pub(super) session: Session,
    /// Before the runtime, so that views end first.
    pub(super) views: BTreeMap<String, View>,
    pub(super) channels: BTreeMap<String, Channel>,
    /// What checkpoints of views hold of each of them.
    pub(super) ledgers: BTreeMap<String, Arc<Ledger>>,
    /// Those that were fed.
    pub(super) sinks: BTreeMap<String, OpenSink>,
    /// By their names.
    pub(super) cursors: BTreeMap<String, Cursor>,
    /// Files of sinks that have no name yet.
    pub(super) temporaries: Arc<Temporaries>,
    /// Views that were ever made.
    pub(super) made: u64,
    /// Where views are kept on disk, if they are.
    pub(super) state: Option<StateDir>,
    /// Of each shard its core, where it is pinned.
    pub(super) cores: Vec<Option<usize>>,
    pub(super) runtime: Runtime,
}

/// What was dropped. Its parts end when it is dropped, sinks first.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) sinks: Vec<OpenSink>,
    #[expect(dead_code, reason = "they end when this is dropped")]
    views: Vec<View>,
    channels: Vec<Channel>,
    #[expect(
        dead_code,
        reason = "they are removed when this is dropped, behind the views"
    )]
    folders: Vec<Removed>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        // Appenders refuse rows from now on.
        self.channels.iter_mut().for_each(Channel::close);
    }
}

impl Inner {
    pub(super) fn view(&self, name: &str) -> Result<&View> {
        self.views.get(name).ok_or_else(|| {
            let message = format!("there is no materialized view \"{name}\"");
            Error::engine("E0603", message)
        })
    }

    /// When rows stood that are read. Where the caller's own thread is the shard, nothing comes to
    /// a barrier while it waits.
    pub(super) fn moment(&self) -> Moment {
        match self.runtime.is_here() || self.session.settings.reads_latest() {
            true => Moment::Now,
            false => Moment::Barrier,
        }
    }

    /// What a query can name.
    pub(super) fn tables(&self, sql: &str) -> query::Tables {
        let views = self.views.iter();
        let views = views.map(|(name, v)| (name.clone(), Arc::clone(v.shared())));
        query::Tables {
            views: views.collect(),
            kept: self.kept(),
            moment: self.moment(),
            system: system::may_be_named(sql).then(|| self.system()),
            session: self.session.clone(),
        }
    }

    /// The views as statements see them.
    fn kept(&self) -> Kept {
        let views = self.views.iter();
        views
            .map(|(name, view)| (name.clone(), view.kept().clone()))
            .collect()
    }

    /// What goes on, as statements see it.
    pub(super) fn there(&self) -> There {
        let sinks = self.sinks.iter().map(|(name, sink)| {
            let feeds = sink.feeds.iter();
            let alone = feeds.flat_map(|feed| feed.kept().alone.clone());
            let fed = FedSink {
                fed: sink.fed.clone(),
                alone: alone.collect(),
            };
            (name.clone(), fed)
        });
        There {
            kept: self.kept(),
            sinks: sinks.collect(),
            is_on_disk: self.state.is_some(),
        }
    }

    fn system(&self) -> System {
        let channels = self.channels.iter();
        let splits = |channel: &Channel| channel.counts_by_appender().collect();
        System {
            jobs: self.jobs().map(View::job).collect(),
            channels: channels
                .map(|(name, c)| (name.clone(), c.counts(), splits(c)))
                .collect(),
            cores: self.cores.clone(),
            executor: self.runtime.executor(),
            settings: self.session.settings.rows(),
        }
    }

    /// All views, and all queries that feed sinks.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &View> {
        let feeds = self.sinks.values().flat_map(|sink| &sink.feeds);
        self.views.values().chain(feeds)
    }

    /// Starts a query that feeds a sink, and opens that where it is the first; what to wait for,
    /// where its input ends.
    pub(super) fn feed(
        &mut self,
        session: &Session,
        query: &PlannedQuery,
        fed: Fed,
        frame_rows: usize,
    ) -> Result<Option<Feeding>> {
        let name = query.sink.as_ref().map_or("", |sink| &sink.name).to_owned();
        let mut sink = match self.sinks.remove(&name) {
            Some(sink) => sink,
            None => OpenSink::open(query, fed, &self.sinks, &self.temporaries)?,
        };
        let started = self.start_feed(session, query, &mut sink, frame_rows);
        self.sinks.insert(name, sink);
        started
    }

    fn start_feed(
        &mut self,
        session: &Session,
        query: &PlannedQuery,
        sink: &mut OpenSink,
        frame_rows: usize,
    ) -> Result<Option<Feeding>> {
        let mut running = self.start(session, query)?;
        let inlets = feed::inlets(&mut running, &self.views, frame_rows)?;
        let sources = &session.catalog.sources;
        let mut read = query.program.sources.iter();
        let ends = |name: &str| sources.get(name).is_some_and(|source| source.bounded);
        let is_endless = read.any(|source| !ends(&source.name));
        let others = feed::has_others(&query.program, &self.views) && is_endless;
        self.made += 1;
        let named = (sink.name().to_owned(), self.made);
        let entry = sink.entry(running.shards());
        let feed = View::into(entry, named, query, running, inlets, others)?;
        let feeding = (!is_endless).then(|| Feeding::new(&feed));
        sink.feed(feed);
        Ok(feeding)
    }

    /// Starts a view that is kept there, of which nobody knows yet, or goes on with it.
    pub(super) fn create_kept(
        &mut self,
        session: &Session,
        name: String,
        mut query: PlannedQuery,
        mut opened: Opened,
    ) -> Result<()> {
        let Some(state) = self.state.clone() else {
            unreachable!("the folder is one of a directory")
        };
        let folder = opened.path().to_owned();
        let begun = opened.begin(&mut query, state.chunk_bytes)?;
        let restore = begun.restore.as_ref();
        for source in &query.program.sources {
            if let SourceKind::Connections { listen, .. } = &source.kind {
                // What a view of before had is not this one's.
                listen.note_durable(&[]);
            }
        }
        let mut running = self.runtime.add_from(&query.program, restore)?;
        self.attach(session, &query, &mut running, restore)?;
        let homes = begun.homes(running.shards());
        self.made += 1;
        let channels = self.ledgers_of(&query.program).collect();
        let ledgers = Ledgers::new(self.made, channels, &query.program);
        let taking = opened.taking(&state, &query, &running, &begun, ledgers.clone())?;
        let sources = 0..query.program.sources.len() as u32;
        let taken: Vec<_> = sources.map(|source| begun.taken(source)).collect();
        let is_endless = feed::has_others(&query.program, &self.views);
        let named = (name.clone(), self.made);
        let on_disk = OnDisk {
            taking,
            folder,
            rows: begun.rows,
            homes,
        };
        ledgers.begin(|source| taken.get(source as usize)?.as_ref());
        let view = View::kept_on_disk(named, &query, running, on_disk, is_endless);
        let view = view.inspect_err(|_| ledgers.forget())?;
        self.views.insert(name, view);
        Ok(())
    }

    /// The channels that a program reads, by the number of the source, and what is told of each.
    fn ledgers_of(&self, program: &Program) -> impl Iterator<Item = (u32, Arc<Ledger>)> {
        let sources = (0..).zip(&program.sources);
        sources.filter_map(|(number, source)| {
            let is_channel = matches!(source.kind, SourceKind::Channel);
            let ledger = self.ledgers.get(&source.name).filter(|_| is_channel);
            Some((number, Arc::clone(ledger?)))
        })
    }

    /// The channel of this name.
    pub(super) fn channel(&mut self, source: &str) -> Result<&mut Channel> {
        self.channels.get_mut(source).ok_or_else(|| {
            let message = format!("there is no source \"{source}\" with connector 'channel'");
            Error::engine("E0603", message)
        })
    }

    /// The views in whose checkpoints a producer of a channel does not stand yet.
    pub(super) fn without(&self, source: &str, producer: &str) -> Vec<Arc<Shared>> {
        let ledger = self.ledgers.get(source);
        let numbers = ledger.map_or_else(Vec::new, |ledger| ledger.without(producer));
        let views = self.views.values();
        let views = views.filter(|view| numbers.contains(&view.number()));
        views.map(|view| Arc::clone(view.shared())).collect()
    }

    /// A view, where producers that have names are there of which its checkpoint is to know.
    pub(super) fn unknowing(&self, view: &str) -> Vec<Arc<Shared>> {
        let Some(view) = self.views.get(view).filter(|_| self.state.is_some()) else {
            return Vec::new();
        };
        let mut read = (self.channels.iter()).filter(|(name, _)| view.reads(name));
        let knows = !read.any(|(_, channel)| channel.producers().next().is_some());
        match knows {
            true => Vec::new(),
            false => vec![Arc::clone(view.shared())],
        }
    }

    /// Starts a view, of which nobody knows yet.
    pub(super) fn create(
        &mut self,
        session: &Session,
        name: String,
        query: &PlannedQuery,
        frame_rows: usize,
    ) -> Result<()> {
        let mut running = self.start(session, query)?;
        let inlets = feed::inlets(&mut running, &self.views, frame_rows)?;
        let is_endless = feed::has_others(&query.program, &self.views);
        self.made += 1;
        let named = (name.clone(), self.made);
        let view = View::start(named, query, running, inlets, is_endless)?;
        self.views.insert(name, view);
        Ok(())
    }

    /// Starts a query, and has appenders feed it.
    pub(super) fn start(&mut self, session: &Session, query: &PlannedQuery) -> Result<Running> {
        let mut running = self.runtime.add(&query.program)?;
        self.attach(session, query, &mut running, None)?;
        Ok(running)
    }

    /// Has appenders feed a query, which has had what it goes on from.
    fn attach(
        &mut self,
        session: &Session,
        query: &PlannedQuery,
        running: &mut Running,
        from: Option<&Restore>,
    ) -> Result<()> {
        for (number, spec) in query.program.sources.iter().enumerate() {
            if !matches!(spec.kind, SourceKind::Channel) || self.views.contains_key(&spec.name) {
                continue;
            }
            let def = session.catalog.sources.get(&spec.name);
            let (Some(def), Some(channel)) = (def, self.channels.get_mut(&spec.name)) else {
                unreachable!("a channel that is read was declared")
            };
            let bound = spec.event_time.and_then(|e| e.bound);
            let end = bound.unwrap_or(spec.schema.fields.len()) - spec.system.len();
            let fields = spec.schema.fields[..end].iter();
            let columns: Option<Vec<usize>> = fields.map(|f| def.index_of(&f.name)).collect();
            let columns = columns.expect("a source gives columns that it has");
            let taken = from.and_then(|from| from.taken(number as u32));
            channel.attach_from(running, number, &columns, taken.as_ref())?;
        }
        Ok(())
    }

    /// What a view gives from now on, those rows that are wanted.
    pub(super) fn listen(&self, view: &str, wanted: Wanted) -> Result<Listening> {
        let view = self.view(view)?;
        Ok(Listening::new(view.shared(), view.columns(), wanted))
    }

    /// Makes a cursor.
    pub(super) fn declare(&mut self, name: String, view: String, wanted: Wanted) -> Result<()> {
        if self.cursors.contains_key(&name) {
            let message = format!("there is a cursor \"{name}\" already: CLOSE it");
            return Err(Error::engine("E0603", message));
        }
        if self.cursors.len() == CURSORS_MAX {
            let message = format!("there are {CURSORS_MAX} cursors already");
            return Err(Error::engine("E0605", message));
        }
        let listening = self.listen(&view, wanted)?;
        self.cursors.insert(name, Cursor::new(view, listening));
        Ok(())
    }

    /// Rows of a cursor, so many at most.
    pub(super) fn fetch(&mut self, rows: u64, name: &str) -> Result<RecordBatch> {
        match self.cursors.get_mut(name) {
            Some(cursor) => cursor.fetch(rows),
            None => Err(no_cursor(name)),
        }
    }

    /// Takes a cursor away.
    pub(super) fn close(&mut self, name: &str) -> Result<()> {
        match self.cursors.remove(name) {
            Some(_) => Ok(()),
            None => Err(no_cursor(name)),
        }
    }

    /// What is called so is called so; who reads or feeds it goes on.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        renamed(&mut self.views, from, to);
        renamed(&mut self.channels, from, to);
        renamed(&mut self.ledgers, from, to);
        renamed(&mut self.sinks, from, to);
        let feeds = self
            .sinks
            .values_mut()
            .flat_map(|sink| sink.rename(from, to));
        let jobs = self.views.values_mut().chain(feeds);
        jobs.for_each(|view| view.rename(from, to));
    }

    /// Makes what was declared. Gives what was dropped, which is still to be ended.
    pub(super) fn commit(&mut self, session: Session, frame_rows: usize) -> Result<Gone> {
        let catalog = &session.catalog;
        let views = self
            .views
            .extract_if(.., |name, _| !catalog.views.contains_key(name));
        let sinks = self
            .sinks
            .extract_if(.., |name, _| !catalog.sinks.contains_key(name));
        let channels =
            (self.channels).extract_if(.., |name, _| !catalog.sources.contains_key(name));
        let views: Vec<View> = views.map(|(_, view)| view).collect();
        for (view, ledger) in views
            .iter()
            .flat_map(|v| self.ledgers.values().map(move |l| (v, l)))
        {
            ledger.forget(view.number());
        }
        let is_there = |name: &String, _: &mut Arc<Ledger>| catalog.sources.contains_key(name);
        self.ledgers.retain(is_there);
        let folders = views.iter().filter_map(View::folder);
        let gone = Gone {
            sinks: sinks.map(|(_, sink)| sink).collect(),
            channels: channels.map(|(_, channel)| channel).collect(),
            folders: folders.map(Removed).collect(),
            views,
        };
        let is_channel = |s: &&SourceDef| s.connector.as_deref() == Some(CHANNEL);
        for def in catalog.sources.values().filter(is_channel) {
            if !self.channels.contains_key(&def.name) {
                self.channels
                    .insert(def.name.clone(), channel(def, frame_rows)?);
                self.ledgers.insert(def.name.clone(), Arc::default());
            }
        }
        self.drop_session(session);
        Ok(gone)
    }

    /// Takes another session for the one there is, which may be deep.
    fn drop_session(&mut self, session: Session) {
        let before = std::mem::replace(&mut self.session, session);
        limits::with_stack(move || drop(before));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.drop_session(Session::default());
    }
}

fn channel(def: &SourceDef, frame_rows: usize) -> Result<Channel> {
    let mut fields = Vec::new();
    for column in &def.columns {
        let data_type = physical(&column.data_type);
        if data_type.is_none() || column.length_max().is_some() {
            let (name, declared) = (&column.name, &column.declared);
            let message = format!("column \"{name}\": no {declared} can be appended yet");
            return Err(Error::engine("E0603", message));
        }
        fields.push(Field {
            nullable: column.nullable,
            ..Field::new(&column.name, column.data_type.clone())
        });
    }
    let schema = Arc::new(Schema::new(fields));
    let event_time = def.event_time.filter(|_| def.lag_ns.is_some());
    Ok(Channel::new(&def.name, schema, event_time, frame_rows))
}

fn no_cursor(name: &str) -> Error {
    Error::engine(
        "E0603",
        format!("there is no cursor \"{name}\": DECLARE it"),
    )
}
