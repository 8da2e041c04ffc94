//! The queries of the NEXMark benchmark over its three streams, which the shards make as they read
//! them, on one shard and on more: records a second from the first one to the last result in the
//! host's hands, who drops it. The streams are planned without an end, so that joins and windows
//! keep and forget as they do over these. All numbers of shards have to leave as many rows.
//!
//! A query that is refused is named with the reason, as is what differs from the benchmark's own.

use std::collections::BTreeMap;

use trefoil::{Error, PlannedQuery, ResultColumn, SourceFile, plan_script};
use trefoil_ring0::column::Column;
use trefoil_ring0::frame::Frame;
use trefoil_ring0::program::{Made, SourceKind};
use trefoil_ring0::runtime::Config;

use super::Setting;
use super::engine::timed;
use super::report::{Run, Unit};
use crate::failure::Failure;

/// All queries, and the sources before them.
const TEXT: &str = include_str!("nexmark/queries.sql");
/// Events of all three streams.
const EVENTS: usize = 2_000_000;
const QUICK_EVENTS: usize = 100_000;
/// Each stream has records then.
const EVENTS_MIN: usize = 50;

/// A query.
#[derive(Debug)]
struct Query {
    name: String,
    sql: &'static str,
    /// In which way it is not the benchmark's own.
    differs: Option<&'static str>,
}

/// The sources, and the queries over them.
fn read() -> (&'static str, Vec<Query>) {
    let mut parts = TEXT.split("\n-- q");
    let sources = parts.next().unwrap_or_default();
    let query = |part: &'static str| {
        let (number, sql) = part.split_once(':').expect("a query has a number");
        // What it is about is a comment no more.
        let (_, sql) = sql.split_once('\n').unwrap_or_default();
        Query {
            name: format!("q{number}"),
            sql,
            differs: sql.lines().find_map(|line| line.strip_prefix("--! ")),
        }
    };
    (sources, parts.map(query).collect())
}

/// The ratios that a run gives; those of queries that are refused are not measured.
pub(super) fn ratios(setting: &Setting) -> Vec<String> {
    let (_, queries) = read();
    let of = |shards: usize| {
        let each = queries
            .iter()
            .map(move |q| format!("scaling@{},{shards}", q.name));
        each.chain([format!("scaling@{shards}")])
            .collect::<Vec<_>>()
    };
    let more = setting.shards().into_iter().filter(|&n| n > 1);
    more.flat_map(of).collect()
}

/// One run of all queries.
pub(super) fn once(setting: &Setting) -> Result<Run, Failure> {
    let usual = if setting.quick { QUICK_EVENTS } else { EVENTS };
    let events = setting.rows.unwrap_or(usual);
    if events < EVENTS_MIN {
        let message = format!("--rows is at least {EVENTS_MIN} here, the events of all streams");
        return Err(Failure::Usage(message));
    }
    let (sources, queries) = read();
    let mut run = Run::default();
    // The sum of the logarithms of all rates, by shards.
    let mut logs: BTreeMap<usize, f64> = BTreeMap::new();
    let mut count = 0.0;
    for query in &queries {
        let Some(planned) = plan(sources, query, events as u64, &mut run)? else {
            continue;
        };
        count += 1.0;
        for (shards, rate) in measure(query, &planned, setting, &mut run)? {
            *logs.entry(shards).or_default() += rate.ln();
        }
    }
    let one = logs.get(&1).map_or(f64::NAN, |sum| (sum / count).exp());
    for (shards, sum) in logs {
        let mean = (sum / count).exp();
        run.add(label("engine@mean", shards), Unit::RowsPerSecond, mean);
        if shards > 1 {
            let scaling = mean / (shards as f64 * one);
            run.add(format!("scaling@{shards}"), Unit::Ratio, scaling);
        }
    }
    Ok(run)
}

/// The name of a figure on so many shards.
fn label(name: &str, shards: usize) -> String {
    match shards {
        1 => name.to_owned(),
        more => format!("{name},{more}"),
    }
}

/// Plans a query over streams, which then end behind so many events; `None` where it is refused,
/// which is noted.
fn plan(
    sources: &str,
    query: &Query,
    events: u64,
    run: &mut Run,
) -> Result<Option<PlannedQuery>, Failure> {
    let name = &query.name;
    let script = SourceFile {
        name: format!("bench nexmark {name}"),
        text: format!("{sources}\n{}", query.sql),
        base: ".".into(),
    };
    let mut planned = match plan_script(&[script]) {
        Ok(mut planned) => planned.remove(0),
        Err(Error::Sql(refused)) => {
            run.note(format!("{name} does not run: {}", refused.message));
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(differs) = query.differs {
        run.note(format!("{name}: {differs}"));
    }
    for source in &mut planned.program.sources {
        if let SourceKind::Generator(generator) = &mut source.kind
            && let Made::Nexmark(made) = &generator.made
        {
            generator.rows = Some(made.table.rows_of(events));
        }
    }
    Ok(Some(planned))
}

/// Records of the streams that a query reads, of one that it reads twice once.
fn records(planned: &PlannedQuery) -> u64 {
    let streams = planned.program.sources.iter().filter_map(|source| {
        let SourceKind::Generator(generator) = &source.kind else {
            return None;
        };
        let is_stream = matches!(generator.made, Made::Nexmark(_));
        is_stream.then_some((&source.name, generator.rows.unwrap_or_default()))
    });
    streams.collect::<BTreeMap<_, _>>().values().sum()
}

/// Records a second on each number of shards.
fn measure(
    query: &Query,
    planned: &PlannedQuery,
    setting: &Setting,
    run: &mut Run,
) -> Result<Vec<(usize, f64)>, Failure> {
    let name = &query.name;
    let records = records(planned) as f64;
    // Windows of the clock hold what came in them.
    let is_told = !query.sql.contains("PROCTIME()");
    let mut rates: Vec<(usize, f64)> = Vec::new();
    let mut wanted = None;
    for shards in setting.shards() {
        let config = setting.config(shards);
        if shards > config.cores.len() {
            let cores = config.cores.len();
            run.invalid(format!("more shards ({shards}) than cores ({cores})"));
        }
        let (seconds, rows) = engine(planned, &config, run)?;
        let rate = records / seconds;
        run.add(
            label(&format!("engine@{name}"), shards),
            Unit::RowsPerSecond,
            rate,
        );
        if let Some((_, one)) = rates.first() {
            let scaling = rate / (shards as f64 * one);
            run.add(format!("scaling@{name},{shards}"), Unit::Ratio, scaling);
        }
        rates.push((shards, rate));
        if is_told && *wanted.get_or_insert(rows) != rows {
            run.wrong(format!(
                "{name} leaves {rows} rows on {shards} shards, not {wanted:?}"
            ));
        }
    }
    Ok(rates)
}

/// The time of a query, and how many rows it leaves.
fn engine(planned: &PlannedQuery, config: &Config, run: &mut Run) -> Result<(f64, i64), Failure> {
    let op = match &planned.columns[0] {
        ResultColumn::Plain { index, .. } if planned.changes => Some(*index),
        _ => None,
    };
    let mut left = 0;
    let timed = timed(&planned.program, config, |rows| left += standing(rows, op))?;
    run.executor(timed.executor);
    Ok((timed.seconds, left))
}

/// By how many rows these leave more; `op` is the column that says what each does.
fn standing(rows: &Frame, op: Option<usize>) -> i64 {
    let count = rows.rows() as i64;
    match op.map(|op| &rows.columns[op]) {
        None => count,
        Some(Column::Utf8(ops)) => {
            let goes = (0..rows.rows()).filter(|&row| ops.value(row).starts_with('-'));
            count - 2 * goes.count() as i64
        }
        Some(other) => panic!("no column of {:?} says what rows do", other.physical()),
    }
}
