//! What a statement asks an engine to do. The session it leaves behind counts once that is done.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use datafusion::sql::sqlparser::tokenizer::Location;

use super::kept::{self, Kept, There};
use super::query::Asked;
use super::wanted::{Wanted, wanted};
use super::{state, system};
use crate::error::{Result, SqlError};
use crate::explain::{self, Analyze, Format};
use crate::lower_expr::Kernels;
use crate::options::CHANNEL_LATER;
use crate::place::{Chunk, Place};
use crate::script::{self, Emit, Reading, Select, Session, Step};
use crate::sink::{self, Fed};
use crate::syntax::{self, Show, Statement};
use crate::{Answer, PlannedQuery, ResultColumn, SinkConnector, SourceFile, limits, plan_select};

/// What there is to do.
#[derive(Debug)]
pub(super) enum Planned {
    /// Nothing but to take the session.
    Done,
    /// What is called so is called so.
    Rename(String, String),
    /// What a view gives from now on, and which rows of it.
    Subscribe(String, Wanted),
    /// A cursor over that.
    Declare(String, String, Wanted),
    /// So many rows of a cursor.
    Fetch(u64, String),
    /// A cursor that is not wanted any more.
    Close(String),
    /// All that was appended is to be in the views.
    Flush,
    /// What the views hold is to be on disk.
    Checkpoint,
    /// Rows that are known.
    Answer(Answer),
    /// A view to keep, by its name.
    View(String, Box<PlannedQuery>),
    /// A query that feeds a sink, with what.
    Sink(Box<PlannedQuery>, Fed),
    /// A query over sources.
    Select {
        query: Box<PlannedQuery>,
        is_endless: bool,
    },
    /// A query over views.
    Query(Asked),
    /// A query over sources, to be told of.
    Analyze(Box<Analyze>),
}

/// Whether a query over input without an end may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endless {
    /// Its rows are taken as they come.
    Allowed,
    /// All of its rows are wanted.
    Refused,
}

/// When a statement is planned, and over how many bytes of files, where that is said.
#[derive(Debug)]
pub(super) struct When {
    pub(super) now: SystemTime,
    pub(super) read_upto: HashMap<PathBuf, u64>,
}

/// Plans one statement of a script; `None` behind the last one.
pub(super) fn plan(
    file: &SourceFile,
    number: usize,
    session: &Session,
    there: &There,
    when: &When,
    endless: Endless,
) -> Result<Option<(Session, Planned)>> {
    let functions = Arc::clone(&session.functions);
    let planned = || {
        let place = Place { file };
        let Some(chunk) = place.chunks()?.into_iter().nth(number) else {
            return Ok(None);
        };
        let mut session = session.clone();
        let asked = || Asked {
            file: file.clone(),
            number: Some(number),
        };
        let planned = match over_views(place, &chunk, &session, &there.kept)? {
            Over::Views => Planned::Query(asked()),
            Over::Jobs => Planned::Query(Asked::text(JOBS)),
            Over::Nothing => statement(place, chunk, &mut session, there, when, endless)?,
        };
        // Here such a source has appenders.
        for source in session.catalog.sources.values_mut() {
            source.later.take_if(|why| why == CHANNEL_LATER);
        }
        Ok(Some((session, planned)))
    };
    functions.within(|| limits::with_stack(planned))
}

/// What SHOW JOBS asks.
const JOBS: &str = "SELECT name, query FROM trefoil.jobs ORDER BY name";

/// What a statement reads of what is kept.
enum Over {
    /// The rows of views, or of the engine's own tables.
    Views,
    /// What runs.
    Jobs,
    Nothing,
}

fn over_views(
    place: Place<'_>,
    chunk: &Chunk,
    session: &Session,
    kept: &Kept,
) -> Result<Over, SqlError> {
    let (query, format) = match syntax::read(place, chunk)? {
        Statement::Show(Show::Jobs) => return Ok(Over::Jobs),
        Statement::Query(query) => (query, Format::Text),
        Statement::Explain(explain) => (explain.query, explain.format),
        _ => return Ok(Over::Nothing),
    };
    // What cannot be written out is refused for it where it is checked.
    let named = kept::named(place, &query.query, &session.catalog).unwrap_or_default();
    let is_kept = |name: &str| kept.contains_key(name) || system::is_named(name);
    if !named.iter().any(|(name, _)| is_kept(name)) {
        return Ok(Over::Nothing);
    }
    if query.emit.is_some() {
        let message = "EMIT over a materialized view is not runnable in an engine yet";
        let hint = "CREATE MATERIALIZED VIEW .. AS this, and subscribe to it";
        return Err(place.hinted("E0301", query.emit_at.0, message, hint));
    }
    if format != Format::Text {
        let message = "EXPLAIN of a query over materialized views is a text so far";
        let hint = "leave FORMAT out";
        return Err(place.hinted("E0301", chunk.start(), message, hint));
    }
    Ok(Over::Views)
}

fn statement(
    place: Place<'_>,
    chunk: Chunk,
    session: &mut Session,
    there: &There,
    when: &When,
    endless: Endless,
) -> Result<Planned> {
    let now = when.now;
    let read = syntax::read(place, &chunk)?;
    let at = chunk.start();
    let refuse = |what: &str| -> SqlError {
        let hint = "an engine runs views over channels and files, and SELECT";
        let message = format!("{what} is not runnable in an engine yet");
        place.hinted("E0301", at, message, hint)
    };
    let name = match &read {
        Statement::Flush => return Ok(Planned::Flush),
        Statement::Checkpoint => return Ok(checkpoint(place, at, there)?),
        Statement::CreateView(view) => Some(view.name.value.clone()),
        _ => None,
    };
    let follows = matches!(
        read,
        Statement::CreateView(_) | Statement::CreateSink(_) | Statement::Insert(_)
    );
    let tokens = chunk.clone();
    let step = match follows {
        false => script::statement(place, chunk, Reading::Engine, session)?,
        true => kept::reading(session, &there.kept, |session| {
            script::statement(place, chunk, Reading::Engine, session)
        })?,
    };
    let mut select = match step {
        None => return alone(place, tokens, &read, session, there, (now, endless)),
        Some(Step::Answer(answer)) => return Ok(Planned::Answer(answer)),
        Some(Step::Refused(error)) => return Err(error.into()),
        Some(Step::Explain(select, format, told)) => {
            let told = explain::tell(&select, format, told, Kernels::Native, now)?;
            return Ok(match told {
                explain::Told::Answer(answer) => Planned::Answer(answer),
                explain::Told::Analyze(analyze) => {
                    kept::check_alone(&select, &analyze.query, there)?;
                    Planned::Analyze(analyze)
                }
            });
        }
        Some(Step::Select(select)) => select,
    };
    if name.is_some() && select.emit == Emit::Default {
        select.emit = Emit::Standing(at);
    }
    let mut query = plan_select(&select, Kernels::Native, now, &when.read_upto)?;
    if let Some(what) = beside(&query) {
        return Err(refuse(what).into());
    }
    kept::check_alone(&select, &query, there)?;
    check_kept((place, at), name.as_deref(), &select, &query, there)?;
    if name.is_none() && select.target.is_some() {
        return sink(session, &select, query, there);
    }
    let Some(name) = name else {
        let sources = &session.catalog.sources;
        let read = query.program.sources.iter();
        let unbounded = |name: &str| sources.get(name).is_some_and(|s| !s.bounded);
        let without_end = read.map(|s| &s.name).find(|name| unbounded(name));
        let is_endless = without_end.is_some();
        if let Some(source) = without_end.filter(|_| endless == Endless::Refused) {
            let message = format!("a SELECT over \"{source}\", which has no end, never ends");
            let hint = "CREATE MATERIALIZED VIEW .. AS this, and subscribe to it";
            return Err(place.hinted("E0402", at, message, hint).into());
        }
        let query = Box::new(query);
        return Ok(Planned::Select { query, is_endless });
    };
    rename(session, &name, &mut query);
    Ok(Planned::View(name, Box::new(query)))
}

fn checkpoint(place: Place<'_>, at: Location, there: &There) -> Result<Planned, SqlError> {
    if there.is_on_disk {
        return Ok(Planned::Checkpoint);
    }
    let message = "CHECKPOINT: this engine has no state directory";
    let hint = "Builder::state_dir names one, or trefoil sql --state";
    Err(place.hinted("E0301", at, message, hint))
}

/// Refuses what an engine with a state directory cannot go on with after its end.
fn check_kept(
    (place, at): (Place<'_>, Location),
    view: Option<&str>,
    select: &Select<'_>,
    query: &PlannedQuery,
    there: &There,
) -> Result<(), SqlError> {
    let why = match (view, &select.target) {
        _ if !there.is_on_disk => None,
        (Some(_), _) => state::refusal(&query.program, |name| there.kept.contains_key(name)),
        (None, Some(_)) => Some("its file is not committed with checkpoints".to_owned()),
        (None, None) => None,
    };
    let Some(why) = why else {
        return Ok(());
    };
    let what = ["a sink", "a view"][usize::from(view.is_some())];
    let message = format!("{what} of an engine with a state directory cannot be this one: {why}");
    let hint = "views over files, generators, channels and sockets are kept, and views over these; \
                others need an engine without a state directory";
    Err(place.hinted("E0301", at, message, hint))
}

/// A statement without rows of a query.
fn alone(
    place: Place<'_>,
    tokens: Chunk,
    read: &Statement,
    session: &mut Session,
    there: &There,
    (now, endless): (SystemTime, Endless),
) -> Result<Planned> {
    Ok(match read {
        Statement::Rename(rename) => {
            Planned::Rename(rename.name.value.clone(), rename.to.value.clone())
        }
        Statement::Subscribe(subscribe) => {
            let view = subscribe.view.value.clone();
            if endless == Endless::Refused {
                let message = format!("SUBSCRIBE of \"{view}\" never ends");
                let hint = "DECLARE c CURSOR FOR SUBSCRIBE, and FETCH; or Engine::subscribe";
                return Err(place.hinted("E0402", tokens.start(), message, hint).into());
            }
            let wanted = wanted(place, tokens, subscribe, session, there, now)?;
            Planned::Subscribe(view, wanted)
        }
        Statement::Declare { cursor, subscribe } => {
            let wanted = wanted(place, tokens, subscribe, session, there, now)?;
            let view = subscribe.view.value.clone();
            Planned::Declare(cursor.value.clone(), view, wanted)
        }
        Statement::Fetch { rows, cursor } => Planned::Fetch(*rows, cursor.value.clone()),
        Statement::Close(cursor) => Planned::Close(cursor.value.clone()),
        _ => Planned::Done,
    })
}

/// A query whose rows go into a sink.
fn sink(
    session: &mut Session,
    select: &Select<'_>,
    mut query: PlannedQuery,
    there: &There,
) -> Result<Planned> {
    let fed = sink::into(select, &mut query)?;
    let name = query.sink.as_ref().map(|sink| sink.name.clone());
    let name = name.unwrap_or_default();
    if query
        .sink
        .as_ref()
        .is_some_and(|s| s.connector == SinkConnector::Print)
    {
        let message = "a sink with connector = 'print' is not runnable in an engine yet";
        let hint = "connector = 'stdout'; a SELECT gives its rows to who asks";
        let at = sink::named_at(select, &name);
        return Err(select.place.hinted("E0301", at, message, hint).into());
    }
    if let Some(before) = there.sinks.get(&name) {
        sink::check_alike(select, &before.fed, &fed)?;
    }
    let read = query.program.sources.iter().map(|s| s.name.clone());
    session.catalog.note_more_uses(&name, read);
    Ok(Planned::Sink(Box::new(query), fed))
}

/// Gives the columns of a view the names that it declares.
fn rename(session: &Session, view: &str, query: &mut PlannedQuery) {
    let renamed = session.catalog.views.get(view).map(|v| v.renamed.clone());
    let first = usize::from(query.changes);
    let columns = query.columns[first..].iter_mut();
    for (column, new) in columns.zip(renamed.unwrap_or_default()) {
        match column {
            ResultColumn::Plain { name, .. } | ResultColumn::Window { name, .. } => *name = new,
        }
    }
}

/// What a query gives besides its results, which nobody takes in an engine.
fn beside(query: &PlannedQuery) -> Option<&'static str> {
    let mut sources = query.program.sources.iter();
    if query.dead_letters.is_some() {
        return Some("bad_data = 'dlq'");
    }
    sources
        .any(|source| source.late.is_some())
        .then_some("late = 'sink:..'")
}
