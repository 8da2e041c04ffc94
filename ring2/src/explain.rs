//! EXPLAIN: what a query's plan comes to, on shards. It shows the analysis that lowering follows,
//! also for queries that are planned and do not run yet.

mod graph;
mod json;
mod measured;
mod summary;
mod text;

use std::collections::HashMap;
use std::time::SystemTime;

use crate::error::{Error, Result, SqlError};
use crate::lower::changes;
use crate::lower_expr::Kernels;
use crate::partitioning::{Analysis, Facts, Stage, Verdict, analyze};
use crate::place::find_word;
use crate::planner::{self, Planned};
use crate::script::{self, Emit, Reading, Select, Step};
use crate::{Answer, PlannedQuery, SourceFile, clock, limits, lower, plan_error};

pub use self::measured::{
    Measured, MeasuredExchange, MeasuredInput, MeasuredOperator, MeasuredSource, MeasuredStage,
};
pub use self::summary::Summary;

/// How a plan is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// A tree of stages and exchanges.
    #[default]
    Text,
    /// For programs.
    Json,
    /// A Mermaid flowchart.
    Mermaid,
    /// A Graphviz digraph.
    Dot,
}

impl Format {
    const ALL: [Self; 4] = [Self::Text, Self::Json, Self::Mermaid, Self::Dot];

    /// Its name in `EXPLAIN (FORMAT ..)`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Mermaid => "mermaid",
            Self::Dot => "dot",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// A query, explained.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// Its text.
    pub sql: String,
    /// How it is partitioned, and why.
    pub verdict: Verdict,
    /// What shards do.
    pub stages: Vec<Stage>,
    /// Event time and watermark of each source that has one.
    pub event_time: Vec<String>,
    /// When results appear.
    pub emit: &'static str,
    /// Why it does not run yet; `None`: it runs.
    pub refusal: Option<SqlError>,
    /// What is to be known before it runs.
    pub warnings: Vec<String>,
    /// What a run of it measured, if it ran.
    pub measured: Option<Measured>,
}

/// An explained query, or why there is none.
pub type Explained = Result<Explanation, SqlError>;

/// A query that is to run, so that its plan can be told with what was measured.
#[derive(Debug, Clone)]
pub struct Analyze {
    /// The query.
    pub query: PlannedQuery,
    /// Its plan.
    pub explanation: Explanation,
    /// How that is shown.
    pub format: Format,
}

impl Analyze {
    /// The plan, as it ran.
    pub fn answer(mut self, measured: Measured) -> Answer {
        self.explanation.measured = Some(measured);
        self.explanation.answer(self.format)
    }
}

/// Reads a script and explains its queries, one by one.
///
/// # Errors
/// [`crate::Error::Sql`] where the script cannot be read to its end. A query that is refused is
/// an error of its own.
pub fn explain_script(files: &[SourceFile]) -> Result<Vec<Result<Explanation, SqlError>>> {
    limits::with_stack(|| {
        let (steps, _) = script::steps(files, Reading::Plan).map_err(Error::from)?;
        let explained = steps.iter().filter_map(|step| match step {
            Step::Select(select) | Step::Explain(select, ..) => Some(explain(select)),
            Step::Refused(error) => Some(Err(error.clone())),
            Step::Answer(_) => None,
        });
        Ok(explained.collect())
    })
}

/// Explains a query of a script.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn explain(select: &Select<'_>) -> Result<Explanation, SqlError> {
    let planned = planner::plan_select(select)?;
    let analysis = analysis(select, &planned)?;
    // Whether it runs is the same at any instant.
    let planned = clock::stopped(planned, SystemTime::UNIX_EPOCH)
        .map_err(|e| plan_error::refusal(select, &e))?;
    let lowered = lower::lower_planned(select, &planned, &analysis, Kernels::Native);
    let (warnings, refusal) = match lowered {
        Ok(program) => (lower::regular::warnings(&program, &planned.tables), None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    Ok(Explanation {
        warnings,
        measured: None,
        sql: select.sql.clone(),
        event_time: event_times(&planned),
        emit: emit(select, &planned, &analysis),
        verdict: analysis.verdict,
        stages: analysis.stages,
        refusal,
    })
}

/// What EXPLAIN comes to before anything runs.
#[derive(Debug)]
pub(crate) enum Told {
    Answer(Answer),
    Analyze(Box<Analyze>),
}

/// What EXPLAIN tells of a query, or what is to run for it.
///
/// # Errors
/// What is wrong with it; to be measured it has to come to an end.
pub(crate) fn tell(
    select: &Select<'_>,
    format: Format,
    told: script::Told,
    kernels: Kernels,
    now: SystemTime,
) -> Result<Told> {
    let explanation = explain(select)?;
    if told == script::Told::Plan {
        return Ok(Told::Answer(explanation.answer(format)));
    }
    let query = crate::plan_select(select, kernels, now, &HashMap::new())?;
    let sources = &select.catalog.sources;
    let mut read = query.program.sources.iter().map(|s| &s.name);
    let unbounded = |name: &&String| sources.get(*name).is_some_and(|s| !s.bounded);
    if let Some(source) = read.find(unbounded) {
        let at = select.chunk.start();
        let message = format!("EXPLAIN ANALYZE of a query over \"{source}\", which has no end");
        let hint = "it tells what was measured when the query has come to its end: leave ANALYZE \
                    out";
        return Err(select.place.hinted("E0402", at, message, hint).into());
    }
    Ok(Told::Analyze(Box::new(Analyze {
        query,
        explanation,
        format,
    })))
}

/// The analysis of a planned query.
///
/// # Errors
/// Where a source asks for a partitioning that would change the answer.
pub(crate) fn analysis(select: &Select<'_>, planned: &Planned) -> Result<Analysis, SqlError> {
    let facts = Facts {
        tables: &planned.tables,
        changes: changes::wanted(select, planned),
        in_sequence: matches!(select.emit, Emit::Default | Emit::Changes(_)),
        settings: &select.settings,
        results: &planned.results,
    };
    analyze(&planned.plan, &facts).map_err(|unfit| {
        let first = select.chunk.tokens.first();
        let start = first.map_or(select.chunk.end, |t| t.span.start);
        let name = unfit.source.to_uppercase();
        let at = find_word(&select.chunk.tokens, &[&name], start);
        let hint = "leave the choice to the analysis, or name another partitioning";
        let message = format!("partitioning of {}: {}", unfit.source, unfit.reason);
        select.place.hinted("E0501", at, message, hint)
    })
}

fn event_times(planned: &Planned) -> Vec<String> {
    let timed = planned.tables.iter().filter_map(|table| {
        let time = &table.columns[table.event_time?].name;
        let name = &table.name;
        let told = match &table.late_sink {
            Some(sink) => format!("; late rows into sink {sink}"),
            None => String::new(),
        };
        let mark = match table.lag_ns {
            Some(0) => format!("{name}.{time}, watermark without lag"),
            Some(lag) => {
                let lag = crate::partitioning::duration(lag);
                format!("{name}.{time}, watermark {lag} behind the greatest")
            }
            None => format!("{name}.{time}, no watermark before the end of input"),
        };
        Some(mark + &told)
    });
    timed.collect()
}

fn emit(select: &Select<'_>, planned: &Planned, analysis: &Analysis) -> &'static str {
    let grouped = (analysis.stages.iter().flat_map(|s| &s.operators)).any(|o| {
        ["aggregate", "merge", "distinct"]
            .iter()
            .any(|w| o.name.starts_with(w))
    });
    let windowed = changes::is_grouped(&planned.plan, changes::is_window);
    match select.emit {
        Emit::Every(..) => "EVERY: the groups that changed, from time to time",
        _ if analysis.changes => "CHANGES: a result for each record and group",
        Emit::Final(_) => "FINAL: when the window closes, or the input ends",
        Emit::Default if !grouped && !windowed && !lower::is_ordered(&planned.plan) => {
            "at once, for each record or match"
        }
        Emit::Default if windowed => "ON WINDOW CLOSE: by the watermark",
        Emit::Default | Emit::Changes(_) | Emit::Standing(_) => {
            "FINAL: at the end of the bounded input"
        }
    }
}

/// Queries in a format, with their titles where they have some; `summary` ends them.
pub fn render(
    all: &[(Option<String>, Explained)],
    format: Format,
    summary: Option<&Summary>,
) -> String {
    match format {
        Format::Text => text::all(all, summary),
        Format::Json => json::render(all, summary),
        Format::Mermaid => drawing(all, "flowchart LR\n", "", Explanation::mermaid),
        Format::Dot => drawing(all, "digraph plan {\n", "}\n", Explanation::dot),
    }
}

fn drawing(
    all: &[(Option<String>, Explained)],
    head: &str,
    tail: &str,
    draw: fn(&Explanation, &str) -> String,
) -> String {
    let mut out = head.to_owned();
    let queries = all.iter().filter_map(|(_, e)| e.as_ref().ok());
    for (number, query) in queries.enumerate() {
        out.push_str(&draw(query, &format!("q{}", number + 1)));
    }
    out + tail
}

impl Explanation {
    /// What EXPLAIN gives: a row for each line.
    pub fn answer(self, format: Format) -> Answer {
        let sql = self.sql.clone();
        let text = match format {
            // Its text stands in the statement.
            Format::Text => self.text(),
            _ => render(&[(None, Ok(self))], format, None),
        };
        lines(sql, &text)
    }

    /// As a person reads it.
    pub fn text(&self) -> String {
        text::render(self)
    }

    /// As a Mermaid flowchart; `prefix` keeps the nodes of several queries apart.
    pub fn mermaid(&self, prefix: &str) -> String {
        graph::mermaid(self, prefix)
    }

    /// As a cluster of a Graphviz digraph; `prefix` keeps the nodes of several queries apart.
    pub fn dot(&self, prefix: &str) -> String {
        graph::dot(self, prefix)
    }
}

/// A text as EXPLAIN gives it, line by line.
pub(crate) fn lines(sql: String, text: &str) -> Answer {
    Answer {
        sql,
        columns: Answer::texts(&["plan"]),
        rows: text
            .lines()
            .map(|line| vec![Some(line.to_owned())])
            .collect(),
    }
}
