//! EXPLAIN: what a query's plan comes to, on shards. It shows the analysis that lowering follows,
//! also for queries that are planned and do not run yet.

mod graph;
mod text;

use std::time::SystemTime;

use crate::error::{Error, Result, SqlError};
use crate::lower::changes;
use crate::lower_expr::Kernels;
use crate::partitioning::{Analysis, Facts, Stage, Verdict, analyze};
use crate::place::find_word;
use crate::planner::{self, Planned};
use crate::script::{self, Emit, Reading, Select, Step};
use crate::{SourceFile, clock, limits, lower, plan_error};

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
            Step::Select(select) => Some(explain(select)),
            Step::Refused(error) => Some(Err(error.clone())),
            Step::Answer(_) => None,
        });
        Ok(explained.collect())
    })
}

fn explain(select: &Select<'_>) -> Result<Explanation, SqlError> {
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
        sql: select.sql.clone(),
        event_time: event_times(&planned),
        emit: emit(select, &planned, &analysis),
        verdict: analysis.verdict,
        stages: analysis.stages,
        refusal,
    })
}

/// The analysis of a planned query.
///
/// # Errors
/// Where a source asks for a partitioning that would change the answer.
pub(crate) fn analysis(select: &Select<'_>, planned: &Planned) -> Result<Analysis, SqlError> {
    let facts = Facts {
        tables: &planned.tables,
        changes: changes::wanted(select, planned),
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
        Emit::Default | Emit::Changes(_) => "FINAL: at the end of the bounded input",
    }
}

impl Explanation {
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
