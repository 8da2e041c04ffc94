//! A script: several files of statements, read in order. Definitions go into the catalogue, what
//! asks about it is answered, queries are checked and their views expanded. What is read is either
//! run or refused with its place; nothing is ignored.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::{Location, Span};

use crate::catalog::Catalog;
use crate::check::{self, Purpose};
use crate::define::Definer;
use crate::error::SqlError;
use crate::explain::Format;
use crate::functions::Functions;
use crate::place::{Chunk, Place};
use crate::settings::Settings;
use crate::syntax::{self, EmitQuery, Explain, Statement};
use crate::{Answer, SourceFile, answer, interval, partitioning, views};

/// When results appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emit {
    /// Not said.
    Default,
    /// `EMIT FINAL` and `EMIT ON WINDOW CLOSE`, and where.
    Final(Location),
    /// `EMIT CHANGES`, and where.
    Changes(Location),
    /// Nothing is said of a view, which keeps what stands: where it begins.
    Standing(Location),
    /// `EMIT EVERY`, where, and how much time lies between, in nanoseconds.
    Every(Location, i64),
}

/// A query that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Select<'a> {
    /// Where it stands.
    pub(crate) place: Place<'a>,
    /// Its tokens, EMIT left out.
    pub(crate) chunk: Chunk,
    /// Its text.
    pub(crate) sql: String,
    /// The syntax tree, plain views expanded.
    pub(crate) query: Query,
    /// When its results appear.
    pub(crate) emit: Emit,
    /// What is declared before it.
    pub(crate) catalog: Catalog,
    /// Where its rows go; `None` where they are printed.
    pub(crate) target: Option<Target>,
    /// What is set before it.
    pub(crate) settings: partitioning::Settings,
}

/// A view, table or sink that rows go into.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// The columns that are named, in the order of the query's.
    pub(crate) columns: Vec<String>,
}

/// What a script is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// To run it: what has no runtime yet is refused.
    Run,
    /// To run it in an engine, where views are kept.
    Engine,
    /// To check and plan it.
    Plan,
}

/// What there is to do, in order.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A query.
    Select(Box<Select<'a>>),
    /// A query whose plan is told.
    Explain(Box<Select<'a>>, Format, Told),
    /// Rows that are known.
    Answer(Answer),
    /// A wrong query of a script that is only planned: the others go on.
    Refused(SqlError),
}

/// What is told of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The plan.
    Plan,
    /// And what a run of it measured.
    Measured,
}

/// What is known between two statements.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    pub(crate) catalog: Catalog,
    pub(crate) settings: Settings,
    /// What functions there are besides the engine's own.
    pub(crate) functions: Arc<Functions>,
}

/// The bare queries of a script that is to run.
pub(crate) fn read(files: &[SourceFile]) -> Result<Vec<Select<'_>>, SqlError> {
    let (steps, _) = steps(files, Reading::Run)?;
    let selects = steps.into_iter().filter_map(|step| match step {
        Step::Select(select) => Some(*select),
        Step::Explain(..) | Step::Answer(_) | Step::Refused(_) => None,
    });
    Ok(selects.collect())
}

/// All that a script does, and what is declared behind it.
pub(crate) fn steps(
    files: &[SourceFile],
    reading: Reading,
) -> Result<(Vec<Step<'_>>, Session), SqlError> {
    let mut session = Session::default();
    let mut steps = Vec::new();
    for file in files {
        let place = Place { file };
        for chunk in place.chunks()? {
            if let Some(step) = statement(place, chunk, reading, &mut session)? {
                steps.push(step);
            }
        }
    }
    Ok((steps, session))
}

pub(crate) fn statement<'a>(
    place: Place<'a>,
    chunk: Chunk,
    reading: Reading,
    session: &mut Session,
) -> Result<Option<Step<'a>>, SqlError> {
    let statement = syntax::read(place, &chunk)?;
    let end = chunk.tokens.last().map_or(chunk.end, |t| t.span.end);
    let sql = place.text(Span::new(chunk.start(), end));
    let answer = |(columns, rows)| {
        let sql = sql.clone();
        Ok(Some(Step::Answer(Answer { sql, columns, rows })))
    };
    match &statement {
        Statement::Show(show) => answer(answer::show(place, show, session)?),
        Statement::Describe(name) => answer(answer::describe(place, name, &session.catalog)?),
        Statement::Set { name, value, at } => {
            (session.settings).set(place, name, value.as_deref(), at.0)?;
            Ok(None)
        }
        Statement::Query(query) => {
            let select = printed(place, chunk, sql, query, session);
            of_query(select.map(|select| Step::Select(Box::new(select))), reading)
        }
        Statement::Explain(explain) => {
            let told = match explain.analyze {
                true => Told::Measured,
                false => Told::Plan,
            };
            let select = explained(place, chunk, explain, session);
            let step = |select| Step::Explain(Box::new(select), explain.format, told);
            of_query(select.map(step), reading)
        }
        _ => {
            let mut definer = Definer {
                place,
                chunk: &chunk,
                catalog: &mut session.catalog,
            };
            let written = definer.statement(&statement)?;
            let later = match reading {
                Reading::Run => definer.not_runnable(&statement),
                Reading::Engine if is_kept(&statement) => None,
                Reading::Engine => definer.not_runnable(&statement),
                Reading::Plan => None,
            };
            if let Some(error) = later {
                return Err(error);
            }
            let Some((target, query)) = written else {
                return Ok(None);
            };
            let select = select(place, chunk, sql, &query, session, Some(target))?;
            Ok(Some(Step::Select(Box::new(select))))
        }
    }
}

/// A step that is a query: a wrong one ends a script that is to run.
fn of_query<'a>(
    step: Result<Step<'a>, SqlError>,
    reading: Reading,
) -> Result<Option<Step<'a>>, SqlError> {
    match (step, reading) {
        (Ok(step), _) => Ok(Some(step)),
        (Err(error), Reading::Run | Reading::Engine) => Err(error),
        (Err(error), Reading::Plan) => Ok(Some(Step::Refused(error))),
    }
}

/// A query whose rows are printed.
fn printed<'a>(
    place: Place<'a>,
    chunk: Chunk,
    sql: String,
    query: &EmitQuery,
    session: &Session,
) -> Result<Select<'a>, SqlError> {
    check::query(place, &chunk, &session.catalog, query, Purpose::Print)?;
    select(place, chunk, sql, query, session, None)
}

/// The query that EXPLAIN is of, as if it stood alone.
pub(crate) fn explained<'a>(
    place: Place<'a>,
    mut chunk: Chunk,
    explain: &Explain,
    session: &Session,
) -> Result<Select<'a>, SqlError> {
    let start = explain.query_at.0;
    chunk.tokens.retain(|t| t.span.start >= start);
    let end = chunk.tokens.last().map_or(chunk.end, |t| t.span.end);
    let sql = place.text(Span::new(start, end));
    printed(place, chunk, sql, &explain.query, session)
}

/// Whether it makes or follows a view that an engine keeps.
fn is_kept(statement: &Statement) -> bool {
    match statement {
        Statement::CreateView(view) => view.kind == syntax::ViewKind::Materialized,
        Statement::Subscribe(_)
        | Statement::Declare { .. }
        | Statement::Fetch { .. }
        | Statement::Close(_) => true,
        _ => false,
    }
}

/// A checked query, ready to be planned.
pub(crate) fn select<'a>(
    place: Place<'a>,
    mut chunk: Chunk,
    sql: String,
    query: &EmitQuery,
    session: &Session,
    target: Option<Target>,
) -> Result<Select<'a>, SqlError> {
    let catalog = &session.catalog;
    let at = query.emit_at.0;
    let emit = match &query.emit {
        None => Emit::Default,
        Some(syntax::Emit::OnWindowClose) => Emit::Final(at),
        Some(syntax::Emit::Changes) => Emit::Changes(at),
        Some(syntax::Emit::Every(every)) => Emit::Every(at, interval::length(place, every)?),
    };
    if query.emit.is_some() {
        chunk.tokens.retain(|t| t.span.start < at);
        chunk.end = at;
    }
    let mut tree = query.query.as_ref().clone();
    views::expand(place, &mut tree, &session.catalog)?;
    views::expanded_depth(place, &mut tree, chunk.start())?;
    Ok(Select {
        place,
        chunk,
        sql,
        query: tree,
        emit,
        catalog: catalog.clone(),
        target,
        settings: session.settings.of_analysis(),
    })
}
