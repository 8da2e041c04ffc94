//! What a run of a query measured, for EXPLAIN ANALYZE: each stage of the program as it ran, and of
//! each of its operators the rows that it took and gave, by shard. A stage that is explained is not
//! always one that runs (aligned stages are one), so that this stands beside the plan.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use trefoil_ring0::expr::Expr;
use trefoil_ring0::id::ExchangeId;
use trefoil_ring0::metrics::{OperatorCounters, QueryCounters, SourceCounters, crossings};
use trefoil_ring0::program::{
    AggregateFunction, AggregateSpec, ChangesSpec, OperatorSpec, Program, Routing, StageInput,
    StageOutput, StageSpec,
};
use trefoil_ring0::runtime::{Executor, ShardReport};

/// What a run measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// How long it took.
    pub elapsed_s: f64,
    /// What the shards ran on: `uring` or `threads`.
    pub executor: &'static str,
    /// How many there were.
    pub shards: usize,
    /// Rows of results.
    pub rows_out: u64,
    /// The sources that were read.
    pub sources: Vec<MeasuredSource>,
    /// The stages that ran, in the order of the program.
    pub stages: Vec<MeasuredStage>,
}

/// What was read of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasuredSource {
    /// Its name.
    pub name: String,
    /// Bytes read.
    pub bytes_read: u64,
    /// Records found.
    pub rows_read: u64,
    /// Records that could not be read, and were left out.
    pub rows_bad: u64,
}

/// What a stage did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasuredStage {
    /// What it reads, by name: a source, or the stages that send to it.
    pub reads: Vec<String>,
    /// What became of the rows of the source that it reads, if it does.
    pub input: Option<MeasuredInput>,
    /// Its operators, in order.
    pub operators: Vec<MeasuredOperator>,
    /// Where its rows go; `None`: they are results.
    pub sends: Option<MeasuredExchange>,
}

/// What became of a source's rows: in = filtered + failed + late + applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MeasuredInput {
    /// Rows from the source.
    pub rows_in: u64,
    /// Rows for which WHERE was not true.
    pub rows_filtered: u64,
    /// Rows on which an expression failed.
    pub rows_failed: u64,
    /// Rows behind the watermark.
    pub rows_late: u64,
    /// Rows that reached the query's state or its results.
    pub rows_applied: u64,
}

/// What an operator did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasuredOperator {
    /// What it is.
    pub name: &'static str,
    /// `native` or `generic`.
    pub kernel: &'static str,
    /// Rows that it took, by shard.
    pub rows_in: Vec<u64>,
    /// Rows that it gave, by shard.
    pub rows_out: Vec<u64>,
    /// Rows and groups of its state at the end, by shard.
    pub state_rows: Vec<u64>,
    /// Bytes of memory that they take, by shard.
    pub state_bytes: Vec<u64>,
    /// The most that they took at any time, by shard.
    pub state_bytes_max: Vec<u64>,
}

/// What went over an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MeasuredExchange {
    /// The stages that read it.
    pub to: Vec<usize>,
    /// Who gets which row.
    pub kind: &'static str,
    /// Rows that crossed it, and those of them that went to another shard; `None` on one shard,
    /// where it is no lane.
    pub rows: Option<(u64, u64)>,
    /// Rows that were combined to groups before they crossed, which are among those that did.
    pub combined: Option<u64>,
}

impl Measured {
    /// What the shards counted while they ran a program.
    pub fn of(
        program: &Program,
        reports: &[ShardReport],
        executor: Executor,
        elapsed: Duration,
    ) -> Self {
        let stages = 0..program.stages.len();
        Self {
            elapsed_s: elapsed.as_secs_f64(),
            executor: match executor {
                Executor::Auto => "auto",
                Executor::Uring => "uring",
                Executor::Threads => "threads",
            },
            shards: reports.len(),
            rows_out: reports.iter().map(|r| r.rows_out).sum(),
            sources: sources(program, reports),
            stages: stages.map(|at| stage(program, reports, at)).collect(),
        }
    }
}

fn sources(program: &Program, reports: &[ShardReport]) -> Vec<MeasuredSource> {
    let specs = program.sources.iter().enumerate();
    let measured = specs.map(|(number, spec)| {
        let mut sum = SourceCounters::default();
        let counted = reports.iter().filter_map(|r| r.sources.get(number));
        counted.for_each(|counters| sum.add(counters));
        MeasuredSource {
            name: spec.name.clone(),
            bytes_read: sum.bytes_read,
            rows_read: sum.rows_read,
            rows_bad: sum.rows_bad,
        }
    });
    measured.collect()
}

fn stage(program: &Program, reports: &[ShardReport], at: usize) -> MeasuredStage {
    let spec = &program.stages[at];
    let operators = spec.operators.iter().enumerate().map(|(number, operator)| {
        let by_shard = |of: fn(&OperatorCounters) -> u64| {
            let counted = reports.iter().map(|report| {
                let all = report.operators.iter();
                let own = all.filter(|o| (o.stage, o.operator) == (at, number));
                own.map(of).sum()
            });
            counted.collect::<Vec<u64>>()
        };
        MeasuredOperator {
            name: operator.name(),
            kernel: match is_native(operator) {
                true => "native",
                false => "generic",
            },
            rows_in: by_shard(|o| o.rows_in),
            rows_out: by_shard(|o| o.rows_out),
            state_rows: by_shard(|o| o.state_rows),
            state_bytes: by_shard(|o| o.state_bytes),
            state_bytes_max: by_shard(|o| o.state_bytes_max),
        }
    });
    MeasuredStage {
        reads: spec
            .inputs()
            .flat_map(|input| reads(program, input))
            .collect(),
        input: input(reports, at),
        operators: operators.collect(),
        sends: match spec.output {
            StageOutput::Exchange(id) => Some(exchange(program, reports, (at, id))),
            StageOutput::Output(_) => None,
        },
    }
}

/// Who gives a stage its rows.
fn reads(program: &Program, input: StageInput) -> Vec<String> {
    match input {
        StageInput::Source(source) => vec![program.sources[source.index()].name.clone()],
        StageInput::Exchange(id) => {
            let stages = program.stages.iter().enumerate();
            let senders = stages.filter(|(_, s)| s.output == StageOutput::Exchange(id));
            senders.map(|(at, _)| format!("stage {}", at + 1)).collect()
        }
    }
}

fn input(reports: &[ShardReport], at: usize) -> Option<MeasuredInput> {
    let counted = reports.iter().flat_map(|r| &r.inputs);
    let mut own = counted.filter(|(stage, _)| *stage == at).peekable();
    own.peek()?;
    let mut sum = QueryCounters::default();
    own.for_each(|(_, counters)| sum.add(counters));
    Some(MeasuredInput {
        rows_in: sum.rows_in,
        rows_filtered: sum.rows_filtered,
        rows_failed: sum.rows_failed,
        rows_late: sum.rows_late,
        rows_applied: sum.rows_applied,
    })
}

fn exchange(
    program: &Program,
    reports: &[ShardReport],
    (at, id): (usize, ExchangeId),
) -> MeasuredExchange {
    let stages = program.stages.iter().enumerate();
    let reading = |s: &StageSpec| s.inputs().any(|i| i == StageInput::Exchange(id));
    let sent = reports.iter().flat_map(|r| &r.crossed);
    let mut sent = sent.filter(|(stage, _)| *stage == at).peekable();
    let rows = sent.peek().is_some() && reports.len() > 1;
    let all = sent.flat_map(|(_, lanes)| lanes).sum::<u64>();
    let combined = reports.iter().flat_map(|r| &r.combined);
    let mut combined = combined.filter(|(stage, _)| *stage == at).peekable();
    let senders = program.stages.iter();
    let senders = senders
        .filter(|s| s.output == StageOutput::Exchange(id))
        .count();
    // Of several senders it is not known which of them moved a row.
    let moved = crossings(program, reports).into_iter();
    let moved = moved.filter(|c| c.exchange == id && c.sender != c.receiver);
    let moved: u64 = moved.map(|c| c.rows).sum();
    MeasuredExchange {
        to: stages
            .filter(|(_, s)| reading(s))
            .map(|(to, _)| to)
            .collect(),
        kind: match &program.exchanges[id.index()].routing {
            Routing::Hash(_) => "hash",
            Routing::Single => "all",
            Routing::Broadcast => "broadcast",
            Routing::Local => "local",
        },
        rows: rows.then_some((all, if senders == 1 { moved } else { moved.min(all) })),
        combined: combined
            .peek()
            .is_some()
            .then(|| combined.map(|(_, rows)| rows).sum()),
    }
}

/// Whether all that it computes is Ring 0's own.
fn is_native(operator: &OperatorSpec) -> bool {
    let aggregates = |spec: &AggregateSpec| {
        let generic = |f: &AggregateFunction| matches!(f, AggregateFunction::Generic(_));
        !spec.calls.iter().any(|call| generic(&call.function))
    };
    match operator {
        OperatorSpec::Filter(expr) | OperatorSpec::FilterChanges(expr) => is_native_expr(expr),
        OperatorSpec::Project { exprs, .. } => exprs.iter().all(is_native_expr),
        OperatorSpec::Aggregate(spec) => aggregates(spec),
        OperatorSpec::Sessions(spec) => aggregates(&spec.aggregate),
        OperatorSpec::Panes(spec) => aggregates(&spec.aggregate),
        OperatorSpec::Changing(ChangesSpec::Aggregate(spec)) => aggregates(spec),
        OperatorSpec::Join(spec) => spec.condition.as_ref().is_none_or(is_native_expr),
        OperatorSpec::MarkFirst { .. }
        | OperatorSpec::DropLate(_)
        | OperatorSpec::Unnest { .. }
        | OperatorSpec::Repeat(_)
        | OperatorSpec::Standing(_)
        | OperatorSpec::Windows(_)
        | OperatorSpec::Sort(_)
        | OperatorSpec::Latest(_)
        | OperatorSpec::Over(_)
        | OperatorSpec::Changing(_)
        | OperatorSpec::Applied => true,
    }
}

/// Whether no function in it is foreign to Ring 0.
fn is_native_expr(expr: &Expr) -> bool {
    match expr {
        Expr::Call { .. } => false,
        Expr::Column(_) | Expr::Literal(_) => true,
        Expr::Binary(_, left, right) => is_native_expr(left) && is_native_expr(right),
        Expr::Like { value, pattern, .. } => is_native_expr(value) && is_native_expr(pattern),
        Expr::Unary(_, e) | Expr::Cast(e, _) | Expr::TryCast(e, _) => is_native_expr(e),
        Expr::Case {
            branches,
            otherwise,
        } => {
            let branches = branches.iter().flat_map(|(when, then)| [when, then]);
            branches.chain(otherwise.as_deref()).all(is_native_expr)
        }
        Expr::InList { value, list, .. } => {
            is_native_expr(value) && list.iter().all(is_native_expr)
        }
        Expr::Coalesce(args) => args.iter().all(is_native_expr),
        Expr::TumbleStart { time, .. } | Expr::InWindows { time, .. } => is_native_expr(time),
    }
}

/// As a person reads it, behind the plan.
pub(super) fn render(measured: &Measured, out: &mut String) {
    let mut line = |name: &str, value: String| {
        // Writing into a String does not fail.
        let _ = writeln!(out, "{name:<11} {value}");
    };
    let shards = match measured.shards {
        1 => "1 shard".to_owned(),
        shards => format!("{shards} shards"),
    };
    let (executor, elapsed_s) = (measured.executor, measured.elapsed_s);
    let rows = measured.rows_out;
    line(
        "measured",
        format!("{rows} rows of results, {shards} ({executor}), {elapsed_s:.6} s"),
    );
    for source in &measured.sources {
        let (rows, bad, bytes) = (source.rows_read, source.rows_bad, source.bytes_read);
        let name = &source.name;
        line(
            "read",
            format!("{name}: {rows} rows, {bad} of them bad; {bytes} bytes"),
        );
    }
    for (number, stage) in measured.stages.iter().enumerate() {
        line(
            &format!("stage {}", number + 1),
            format!("reads {}", stage.reads.join(", ")),
        );
        if let Some(input) = stage.input {
            let MeasuredInput {
                rows_in,
                rows_filtered,
                rows_failed,
                rows_late,
                rows_applied,
            } = input;
            line(
                "",
                format!(
                    "  {rows_in} rows in = {rows_filtered} filtered + {rows_failed} failed + \
                 {rows_late} late + {rows_applied} applied"
                ),
            );
        }
        for operator in &stage.operators {
            line("", format!("  {}", operator_line(operator)));
        }
        line("", format!("  {}", sends(stage)));
    }
}

fn operator_line(operator: &MeasuredOperator) -> String {
    let sum = |by_shard: &[u64]| by_shard.iter().sum::<u64>();
    let (rows_in, rows_out) = (&operator.rows_in, &operator.rows_out);
    let (name, kernel) = (operator.name, operator.kernel);
    let mut text = format!(
        "{name} ({kernel}): {} in, {} out",
        sum(rows_in),
        sum(rows_out)
    );
    if rows_in.len() > 1 {
        let each = rows_in.iter().zip(rows_out);
        let each: Vec<String> = each.map(|(i, o)| format!("{i} in {o} out")).collect();
        // Writing into a String does not fail.
        let _ = write!(text, "; by shard: {}", each.join(", "));
    }
    let most = sum(&operator.state_bytes_max);
    if most > 0 {
        let (rows, bytes) = (sum(&operator.state_rows), sum(&operator.state_bytes));
        // Writing into a String does not fail.
        let _ = write!(text, "; state: {rows} rows, {bytes} bytes, at most {most}");
    }
    text
}

/// From which stage rows go to which, and how, for drawings.
pub(super) fn edges(measured: &Measured) -> Vec<(usize, Option<(usize, String)>)> {
    let stages = measured.stages.iter().enumerate();
    let edges = stages.flat_map(|(from, stage)| {
        let to = stage.sends.as_ref().map(|exchange| {
            let label = match exchange.rows {
                Some((rows, moved)) => format!(
                    "{}: {rows} rows, {moved} moved{}",
                    exchange.kind,
                    combined(exchange)
                ),
                None => exchange.kind.to_owned(),
            };
            let to = exchange
                .to
                .iter()
                .map(|to| (from, Some((*to, label.clone()))));
            to.collect::<Vec<_>>()
        });
        to.unwrap_or_else(|| vec![(from, None)])
    });
    edges.collect()
}

/// Where the rows of a stage go.
fn sends(stage: &MeasuredStage) -> String {
    let Some(exchange) = &stage.sends else {
        return "to the results".to_owned();
    };
    let to: Vec<String> = exchange.to.iter().map(|to| (to + 1).to_string()).collect();
    let (to, kind) = (to.join(", "), exchange.kind);
    match exchange.rows {
        Some((rows, moved)) => {
            let combined = combined(exchange);
            format!(
                "to stage {to} ({kind}): {rows} rows, {moved} of them to another shard{combined}"
            )
        }
        None => format!("to stage {to} ({kind})"),
    }
}

/// What became of rows before they crossed.
fn combined(exchange: &MeasuredExchange) -> String {
    let rows = exchange.combined;
    rows.map_or_else(String::new, |rows| format!("; {rows} rows combined before"))
}

/// The rows of each operator of a stage, for drawings.
pub(super) fn labels(stage: &MeasuredStage) -> Vec<String> {
    stage.operators.iter().map(operator_line).collect()
}
