//! Counters of a run: the ledger. Each shard counts for itself; sums are made at the end.

use crate::id::ExchangeId;
use crate::program::{Program, Routing, StageOutput};
use crate::shard::ShardReport;

/// What one source did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCounters {
    /// Bytes read.
    pub bytes_read: u64,
    /// Records found.
    pub rows_read: u64,
    /// Records that went on.
    pub rows_passed: u64,
    /// Records that could not be parsed.
    pub rows_bad: u64,
    /// Records that were left out, since they had come before: none of the others.
    pub rows_repeated: u64,
}

/// What the query did with one input. In = filtered + failed + late + late idle + applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryCounters {
    /// Rows from the source.
    pub rows_in: u64,
    /// Rows for which WHERE was not true.
    pub rows_filtered: u64,
    /// Rows on which an expression failed.
    pub rows_failed: u64,
    /// Rows behind their own split's watermark.
    pub rows_late: u64,
    /// Rows behind the watermark of splits that came at their own time, which had gone on while
    /// theirs was idle, or before it was there.
    pub rows_late_idle: u64,
    /// Rows that reached the query's state or, without state, its output.
    pub rows_applied: u64,
    /// Of these, rows that a join kept and forgot, since by the watermark nothing that comes can
    /// match them. How many that is by the end depends on how far watermarks had come.
    pub rows_forgotten: u64,
}

/// What one operator did on one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorCounters {
    /// The stage of the program, as it was made.
    pub stage: usize,
    /// The operator's number in it.
    pub operator: usize,
    /// Rows that it took.
    pub rows_in: u64,
    /// Rows that it gave.
    pub rows_out: u64,
    /// Rows and groups of its state.
    pub state_rows: u64,
    /// Bytes of memory of its state.
    pub state_bytes: u64,
    /// The most that they were.
    pub state_bytes_max: u64,
}

impl SourceCounters {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.bytes_read += other.bytes_read;
        self.rows_read += other.rows_read;
        self.rows_passed += other.rows_passed;
        self.rows_bad += other.rows_bad;
        self.rows_repeated += other.rows_repeated;
    }
}

impl QueryCounters {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.rows_filtered += other.rows_filtered;
        self.rows_failed += other.rows_failed;
        self.rows_late += other.rows_late;
        self.rows_late_idle += other.rows_late_idle;
        self.rows_applied += other.rows_applied;
        self.rows_forgotten += other.rows_forgotten;
    }
}

/// Rows that went over one lane of an exchange; a lane from a shard to itself counts, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// The exchange.
    pub exchange: ExchangeId,
    /// The shard that sent them.
    pub sender: usize,
    /// The shard that got them.
    pub receiver: usize,
    /// How many.
    pub rows: u64,
}

/// What crossed the mesh, by lane. On one shard exchanges are no lanes and nothing crosses.
pub fn crossings(program: &Program, reports: &[ShardReport]) -> Vec<Crossing> {
    let mut all = Vec::new();
    for (sender, report) in reports.iter().enumerate().filter(|_| reports.len() > 1) {
        for (stage, lanes) in &report.crossed {
            let StageOutput::Exchange(exchange) = program.stages[*stage].output else {
                continue;
            };
            let local = program.exchanges[exchange.index()].routing == Routing::Local;
            let first = if local { sender } else { 0 };
            all.extend((first..).zip(lanes).map(|(receiver, &rows)| Crossing {
                exchange,
                sender,
                receiver,
                rows,
            }));
        }
    }
    all
}
