//! The sinks of an engine. Each query that feeds one is a job as a view is: its program on the
//! shards, and a thread that takes the results; but what these go into is a file, which takes its
//! name when the sink ends. Until then nobody sees it under that name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use trefoil_ring0::frame::Frame;

use super::Engine;
use super::view::{Shared, View};
use crate::error::{Error, Result};
use crate::output::{Location, Printer, Shape, Target, Temporaries, WriteError};
use crate::sink::Fed;
use crate::{PlannedQuery, Sink, SinkConnector, would_read};

/// How long a job is waited for at a time.
const LOOK: Duration = Duration::from_millis(20);

/// A sink that queries feed.
#[derive(Debug)]
pub(super) struct OpenSink {
    sink: Sink,
    /// What it was fed with.
    pub(super) fed: Fed,
    way: Arc<Way>,
    pub(super) feeds: Vec<View>,
    /// What the jobs before these have failed with.
    failure: Option<(&'static str, String)>,
    /// Shards of all jobs so far, each of which gives its rows in order.
    shards: usize,
}

/// The way of rows into a sink, which the threads of several queries go.
pub(super) struct Way {
    name: String,
    outlet: Mutex<Outlet>,
}

struct Outlet {
    target: Target,
    /// `None` where rows go nowhere, and behind the end.
    printer: Option<Printer>,
}

/// A query's way into a sink.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    way: Arc<Way>,
    /// The number of its first shard among those of all queries.
    first: usize,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn shape(query: &PlannedQuery) -> Shape<'_> {
    Shape {
        columns: &query.columns,
        schema: &query.program.outputs[0].schema,
        changes: query.changes,
    }
}

fn unwritten(name: &str, error: &WriteError) -> Error {
    Error::engine("E0613", format!("sink \"{name}\": {error}"))
}

impl Way {
    fn open(sink: &Sink, temporaries: &Arc<Temporaries>) -> Result<Self> {
        let (target, format) = match &sink.connector {
            SinkConnector::File { path, format } => {
                let target = Target::open(Some(path), temporaries);
                (
                    target.map_err(|e| unwritten(&sink.name, &e))?,
                    Some(*format),
                )
            }
            SinkConnector::Stdout { format } => (Target::Stdout, Some(*format)),
            SinkConnector::Blackhole => (Target::Stdout, None),
            SinkConnector::Print => unreachable!("it was refused"),
        };
        let printer = format.map(|format| Printer::new(format.into(), u64::MAX));
        Ok(Self {
            name: sink.name.clone(),
            outlet: Mutex::new(Outlet { target, printer }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Outlet> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what was written, and gives the file its name.
    fn finish(&self) -> Result<()> {
        let mut outlet = self.lock();
        let Outlet { target, printer } = &mut *outlet;
        let Some(printer) = printer.take() else {
            return Ok(());
        };
        let finished = printer.finish(target).and_then(|()| target.finish());
        finished.map_err(|e| unwritten(&self.name, &e))
    }
}

impl Entry {
    /// Rows of this query follow.
    pub(super) fn begin(&self, query: &PlannedQuery) -> Result<()> {
        match &mut self.way.lock().printer {
            Some(printer) => printer
                .begin(shape(query))
                .map_err(|e| unwritten(&self.way.name, &e)),
            None => Ok(()),
        }
    }

    /// Takes rows of one of its shards.
    pub(super) fn take(&self, query: &PlannedQuery, rows: &Frame, shard: usize) -> Result<()> {
        let mut outlet = self.way.lock();
        let Outlet { target, printer } = &mut *outlet;
        let Some(printer) = printer else {
            return Ok(());
        };
        let printed = printer.print(shape(query), rows, self.first + shard, target);
        let printed = match target {
            // Who reads it, reads it now.
            Target::Stdout => printed.and_then(|()| printer.flush(target)),
            Target::Direct { .. } | Target::File { .. } => printed,
        };
        printed.map_err(|e| unwritten(&self.way.name, &e))
    }
}

impl OpenSink {
    pub(super) fn name(&self) -> &str {
        &self.sink.name
    }

    /// Opens the sink that a query feeds, where no other one writes its file, and the query does
    /// not read it.
    pub(super) fn open(
        query: &PlannedQuery,
        fed: Fed,
        others: &BTreeMap<String, Self>,
        temporaries: &Arc<Temporaries>,
    ) -> Result<Self> {
        let Some(sink) = query.sink.clone() else {
            unreachable!("the rows of such a query go into a sink")
        };
        if let SinkConnector::File { path, .. } = &sink.connector
            && let Ok(Location::File(own)) = Location::of(path)
        {
            let refuse = |why: String| {
                let name = &sink.name;
                Error::engine(
                    "E0613",
                    format!("sink \"{name}\" writes {}, {why}", path.display()),
                )
            };
            for other in others.values() {
                if let SinkConnector::File { path, .. } = &other.sink.connector
                    && let Ok(Location::File(location)) = Location::of(path)
                    && own.is_same(&location)
                {
                    let name = &other.sink.name;
                    return Err(refuse(format!("which sink \"{name}\" writes already")));
                }
            }
            let is_read = |path: &std::path::Path| match Location::of(path) {
                Ok(Location::File(location)) => own.is_same(&location),
                _ => false,
            };
            let read = query.program.sources.iter().flat_map(|s| s.kind.paths());
            let named = query.paths.iter();
            if read.into_iter().any(|path| is_read(path))
                || named
                    .into_iter()
                    .any(|path| own.names().any(|name| would_read(path, name)))
            {
                return Err(refuse("which the query reads".to_owned()));
            }
        }
        Ok(Self {
            way: Arc::new(Way::open(&sink, temporaries)?),
            sink,
            fed,
            feeds: Vec::new(),
            failure: None,
            shards: 0,
        })
    }

    /// It may be what is called otherwise now. Gives the queries that feed it.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> impl Iterator<Item = &mut View> {
        if self.sink.name == from {
            self.sink.name = to.to_owned();
        }
        self.feeds.iter_mut()
    }

    /// A way in for a query on so many shards.
    pub(super) fn entry(&mut self, shards: usize) -> Entry {
        let first = self.shards;
        self.shards += shards;
        Entry {
            way: Arc::clone(&self.way),
            first,
        }
    }

    /// One more query feeds it; those that have ended are forgotten.
    pub(super) fn feed(&mut self, feed: View) {
        let failure = &mut self.failure;
        self.feeds.retain(|feed| {
            let state = feed.shared().lock();
            if state.is_ended && failure.is_none() {
                failure.clone_from(&state.failure);
            }
            !state.is_ended
        });
        self.feeds.push(feed);
    }

    /// What one of its queries has failed with.
    pub(super) fn failure(&self) -> Option<Error> {
        let before = self.failure.as_ref();
        let before = before.map(|(code, message)| Error::engine(code, message.clone()));
        before.or_else(|| self.feeds.iter().find_map(|feed| feed.shared().failure()))
    }

    /// Gives the file its name, where all of its queries came to their end.
    pub(super) fn finish(mut self) -> Result<()> {
        self.feeds.iter_mut().for_each(View::end);
        self.failure().map_or(Ok(()), Err)?;
        self.way.finish()
    }
}

/// A query over input that ends, on its way into a sink. Dropping it lets it go on.
#[derive(Debug)]
pub struct Feeding(Arc<Shared>);

impl Feeding {
    pub(super) fn new(feed: &View) -> Self {
        Self(Arc::clone(feed.shared()))
    }

    /// Waits so long at most until all its rows are written; whether they are.
    ///
    /// # Errors
    /// What the query has failed with; its sink gives no file then.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout);
        let has_ended = self
            .0
            .wait(deadline.unwrap_or(now + Duration::from_secs(1 << 30)));
        match self.0.failure() {
            Some(error) => Err(error),
            None => Ok(has_ended),
        }
    }

    /// Has it read no further: what it has read goes on into the sink.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Engine {
    /// Waits until a query has come to its end, and works where this thread is the shard.
    pub(super) fn wait_for(&self, feeding: &Feeding) -> Result<()> {
        while !feeding.wait_timeout(self.look(LOOK))? {
            self.rest();
        }
        Ok(())
    }

    /// Ends sinks that were dropped: what was pushed before goes into their files, and these get
    /// their names. Windows that are open are not given, as nothing came to its end.
    pub(super) fn end_sinks(&self, sinks: Vec<OpenSink>) -> Result<()> {
        let mut ended = Ok(());
        for sink in sinks {
            let flushed = match sink.feeds.iter().any(|feed| feed.shared().is_endless()) {
                true => self.flush(),
                false => Ok(()),
            };
            for feed in &sink.feeds {
                let shared = feed.shared();
                if shared.is_endless() {
                    self.flush_one(shared, &[])?;
                    shared.stop();
                }
                while !shared.wait(Instant::now() + self.look(LOOK)) {
                    self.rest();
                }
            }
            ended = ended.and(flushed).and(sink.finish());
        }
        ended
    }
}
