//! What a run counted, and the ledger: in each source read = passed + bad; what a source passed
//! its query took in; in each input of a query in = filtered + failed + late + late idle + applied.
//! A run in which it does not balance has lost or doubled a record, and fails.

use std::time::Duration;

use serde::Serialize;
use trefoil_ring0::metrics::{QueryCounters, SourceCounters};
use trefoil_ring0::program::{Program, StageInput};
use trefoil_ring0::runtime::ShardReport;

use crate::failure::Failure;
use crate::state::Counts;

/// What a run counted, as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    schema_version: u32,
    elapsed_s: f64,
    rows_per_s: f64,
    cores: usize,
    executor: &'static str,
    sources: Vec<SourceStats>,
    queries: Vec<QueryStats>,
    /// Why the run failed; the rest is what was counted until then, by queries that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    /// Where there is a state directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoints: Option<Counts>,
}

#[derive(Debug, Serialize)]
struct SourceStats {
    name: String,
    bytes_read: u64,
    rows_read: u64,
    rows_passed: u64,
    rows_bad: u64,
    /// Of clients that number their records: those that had come before.
    #[serde(skip_serializing_if = "is_none")]
    rows_repeated: u64,
}

#[derive(Debug, Serialize)]
struct QueryStats {
    name: String,
    inputs: Vec<InputStats>,
    rows_out: u64,
}

#[derive(Debug, Serialize)]
struct InputStats {
    source: String,
    rows_in: u64,
    rows_filtered: u64,
    rows_failed: u64,
    rows_late: u64,
    rows_late_idle: u64,
    rows_applied: u64,
    /// Of these, those that a join kept and forgot as watermarks passed.
    #[serde(skip_serializing_if = "is_none")]
    rows_forgotten: u64,
}

fn is_none(rows: &u64) -> bool {
    *rows == 0
}

/// Rows of a result: those that came from the shards, and those of them that were printed. They
/// differ where only some were wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) received: u64,
    pub(crate) printed: u64,
}

impl Stats {
    /// Before the first query.
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            schema_version: 1,
            elapsed_s: 0.0,
            rows_per_s: 0.0,
            cores,
            executor: "none",
            sources: Vec::new(),
            queries: Vec::new(),
            failed: None,
            checkpoints: None,
        }
    }

    /// Adds a query that has ended; `rows` is what the host saw of its results. A source that
    /// several queries read was read as many times, and its counts are sums.
    pub(crate) fn add(
        &mut self,
        program: &Program,
        reports: &[ShardReport],
        executor: &'static str,
        rows: Rows,
    ) -> Result<(), Failure> {
        self.executor = executor;
        let name = format!("query_{}", self.queries.len() + 1);
        let sources = source_sums(program, reports);
        let mut inputs = Vec::new();
        for (stage, counters) in input_sums(program, reports) {
            let StageInput::Source(source) = program.stages[stage].input else {
                continue;
            };
            let source_name = &program.sources[source.index()].name;
            balance_input(&name, source_name, &sources[source.index()], &counters)?;
            inputs.push(input_stats(source_name, &counters));
        }
        for (spec, counters) in program.sources.iter().zip(&sources) {
            balance_source(&spec.name, counters)?;
            self.add_source(&spec.name, counters);
        }
        let rows_out: u64 = reports.iter().map(|r| r.rows_out).sum();
        let Rows { received, printed } = rows;
        if rows_out != received {
            return Err(unbalanced(format!(
                "{name}: shards gave {rows_out} rows and {received} were received"
            )));
        }
        self.queries.push(QueryStats {
            name,
            inputs,
            rows_out: printed,
        });
        Ok(())
    }

    /// After the last query, or the one that failed.
    pub(crate) fn end(
        &mut self,
        elapsed: Duration,
        ended: &Result<(), Failure>,
        checkpoints: Option<Counts>,
    ) {
        self.checkpoints = checkpoints;
        self.failed = ended.as_ref().err().and_then(Failure::text);
        let rows: u64 = self.sources.iter().map(|s| s.rows_read).sum();
        self.elapsed_s = elapsed.as_secs_f64();
        self.rows_per_s = rows as f64 / self.elapsed_s.max(f64::MIN_POSITIVE);
    }

    fn add_source(&mut self, name: &str, counters: &SourceCounters) {
        let at = self
            .sources
            .iter()
            .position(|s| s.name == name)
            .unwrap_or_else(|| {
                let name = name.to_owned();
                let (bytes_read, rows_read, rows_passed, rows_bad) = (0, 0, 0, 0);
                self.sources.push(SourceStats {
                    name,
                    bytes_read,
                    rows_read,
                    rows_passed,
                    rows_bad,
                    rows_repeated: 0,
                });
                self.sources.len() - 1
            });
        let stats = &mut self.sources[at];
        stats.bytes_read += counters.bytes_read;
        stats.rows_read += counters.rows_read;
        stats.rows_passed += counters.rows_passed;
        stats.rows_bad += counters.rows_bad;
        stats.rows_repeated += counters.rows_repeated;
    }
}

fn source_sums(program: &Program, reports: &[ShardReport]) -> Vec<SourceCounters> {
    let mut sums = vec![SourceCounters::default(); program.sources.len()];
    for report in reports {
        sums.iter_mut()
            .zip(&report.sources)
            .for_each(|(sum, counters)| sum.add(counters));
    }
    sums
}

/// Counts of each stage that reads a source, in the order of stages.
fn input_sums(program: &Program, reports: &[ShardReport]) -> Vec<(usize, QueryCounters)> {
    let mut sums = vec![None; program.stages.len()];
    for (stage, counters) in reports.iter().flat_map(|r| &r.inputs) {
        sums[*stage]
            .get_or_insert_with(QueryCounters::default)
            .add(counters);
    }
    sums.into_iter()
        .enumerate()
        .filter_map(|(stage, sum)| Some((stage, sum?)))
        .collect()
}

fn input_stats(source: &str, counters: &QueryCounters) -> InputStats {
    InputStats {
        source: source.to_owned(),
        rows_in: counters.rows_in,
        rows_filtered: counters.rows_filtered,
        rows_failed: counters.rows_failed,
        rows_late: counters.rows_late,
        rows_late_idle: counters.rows_late_idle,
        rows_applied: counters.rows_applied,
        rows_forgotten: counters.rows_forgotten,
    }
}

fn balance_source(name: &str, c: &SourceCounters) -> Result<(), Failure> {
    if c.rows_read == c.rows_passed + c.rows_bad {
        return Ok(());
    }
    Err(unbalanced(format!(
        "source {name}: {} rows were read, {} passed and {} were bad",
        c.rows_read, c.rows_passed, c.rows_bad
    )))
}

fn balance_input(
    query: &str,
    source: &str,
    from: &SourceCounters,
    c: &QueryCounters,
) -> Result<(), Failure> {
    if c.rows_in != from.rows_passed {
        return Err(unbalanced(format!(
            "{query}: source {source} passed {} rows and {} came in",
            from.rows_passed, c.rows_in
        )));
    }
    let late = c.rows_late + c.rows_late_idle;
    if c.rows_filtered + c.rows_failed + late + c.rows_applied != c.rows_in {
        return Err(unbalanced(format!(
            "{query}: of {} rows of {source}, {} were filtered, {} failed, {late} late, {} applied",
            c.rows_in, c.rows_filtered, c.rows_failed, c.rows_applied
        )));
    }
    Ok(())
}

fn unbalanced(what: String) -> Failure {
    Failure::Running(format!("the ledger does not balance: {what}"))
}
