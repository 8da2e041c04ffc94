//! Functions over the rows around a row where these change: OVER and Top-N under EMIT CHANGES, and
//! where windows close before the input ends. Rows of a partition are kept in order; a change gives
//! each row whose results it changes, and takes back what it was; or a partition leaves as a whole
//! once the watermark says that it is complete.
//!
//! Ranks are counted on from the row that changed, and with a limit only as far as it reaches; all
//! other functions are computed anew over their partition. A row may go before it comes.

mod leaving;
mod numbered;
mod partition;
mod saved;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::DataType;

use self::leaving::Leaving;
use self::numbered::by_number;
use self::partition::{Change, Given, Partition};
pub(crate) use self::saved::SaveCursor;
use crate::changelog::{self, DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE, is_weighted};
use crate::column::Column;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::operator::aggregate::Progress;
use crate::operator::over::PartitionKernel;
use crate::order::{SortKey, put_key, take};
use crate::program::{Phase, WindowKey};
use crate::schema::{Schema, unit_nanos};
use crate::tally::Packed;

/// A number that tells where in its partition a row stands: BIGINT UNSIGNED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// 1, 2, 3, ...
    RowNumber,
    /// Of rows that are alike the number of the first.
    Rank,
    /// As many as there are unlike rows up to this one.
    DenseRank,
}

/// What is computed.
#[derive(Debug, Clone)]
pub enum Functions {
    /// Ranks alone.
    Ranks(Vec<Rank>),
    /// Anything.
    Any(Arc<dyn PartitionKernel>),
}

impl Functions {
    fn data_types(&self) -> Vec<DataType> {
        match self {
            Self::Ranks(ranks) => vec![DataType::UInt64; ranks.len()],
            Self::Any(kernel) => kernel.data_types().to_vec(),
        }
    }
}

/// What an update of a changelog is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// A row: it has other results, or another row came in its stead.
    Rows,
    /// A row number, the one that is the rank of this position: another row has it. The functions
    /// are ranks alone.
    Numbers(usize),
}

/// What is computed over which rows. The output's columns: the input's, then the results; with
/// [`Phase::Changes`] both have the changelog's column behind them.
#[derive(Debug, Clone)]
pub struct RankedSpec {
    /// The input's columns.
    pub input: Arc<Schema>,
    /// The columns by which rows belong together; none: all do.
    pub partition: Vec<usize>,
    /// The order of a partition's rows; rows that are equal by it are alike.
    pub order: Vec<SortKey>,
    /// The order of rows that are alike; then they stand as they came.
    pub ties: Vec<SortKey>,
    /// What computes the results.
    pub functions: Functions,
    /// Of rows whose rank is greater nothing is given; where there are ranks alone.
    pub limit: Option<(Rank, u64)>,
    /// Of so many rows, the first of each partition, nothing is given; where there are ranks alone.
    pub skip: u64,
    /// Which of the partition's columns is the start of a window that watermarks close.
    pub window: Option<WindowKey>,
    /// [`Phase::Changes`], or [`Phase::Complete`]: partitions leave once they are closed.
    pub phase: Phase,
    /// What replaces what in a changelog.
    pub updates: Updates,
    /// The output's columns.
    pub output: Arc<Schema>,
}

/// A time that no watermark reaches before the end.
const NEVER: i64 = i64::MAX;

/// Partitions that are given or forgotten in one call, and rows of these.
const PARTITIONS_MAX: usize = 64;
const LEAVING_MAX: usize = 256;

/// Appends a row's values and its results.
fn write((row, results): &Given, out: &mut Frame) {
    let mut columns = out.columns.iter_mut();
    for mut bytes in [&**row, &**results] {
        while !bytes.is_empty() {
            take(&mut bytes, columns.next().expect("each value has a column"));
        }
    }
}

/// The rows of all partitions on one shard.
#[derive(Debug)]
pub(crate) struct Ranked {
    spec: Arc<RankedSpec>,
    /// By when they close and by what they share.
    partitions: BTreeMap<(i64, Packed), Partition>,
    by: Vec<SortKey>,
    /// Where the row of a partition tells when it closes: its column, unit and size in ns.
    closes: Option<(usize, i64, i64)>,
    /// What is to be given before any row is taken, from the last on.
    pending: Vec<Change>,
    /// The partition that is closed and not gone yet.
    leaving: Option<Leaving>,
    /// Rows so far, which is the number of the next.
    arrived: u64,
    /// Rows in state.
    rows: usize,
}

impl Ranked {
    /// # Errors
    /// [`crate::error::Error::Program`] where columns do not fit together.
    pub(crate) fn new(spec: &Arc<RankedSpec>) -> Result<Self> {
        let changes = spec.phase == Phase::Changes;
        let weighted = is_weighted(&spec.input) && is_weighted(&spec.output);
        if changes && !weighted || matches!(spec.phase, Phase::Partial | Phase::Final) {
            return refuse("OVER of a changelog without its column, or in phases".to_owned());
        }
        let own = usize::from(changes);
        let columns = spec.input.fields.len() - own;
        let results = spec.functions.data_types();
        let given = spec.output.types().take(spec.output.fields.len() - own);
        if !given.eq(spec.input.types().take(columns).chain(&results)) {
            return refuse("OVER makes other columns".to_owned());
        }
        let keys = spec.order.iter().chain(&spec.ties).map(|key| key.column);
        if let Some(key) = (spec.partition.iter().copied().chain(keys)).find(|&k| k >= columns) {
            return refuse(format!("OVER by column {key} of {columns}"));
        }
        let bounds = spec.limit.is_some() || spec.skip > 0;
        if bounds && matches!(spec.functions, Functions::Any(_)) {
            return refuse("a limit of what is no rank".to_owned());
        }
        if let Updates::Numbers(at) = spec.updates {
            match &spec.functions {
                Functions::Ranks(ranks) if ranks.get(at) == Some(&Rank::RowNumber) => {}
                _ => return refuse("updates of what is no row number".to_owned()),
            }
        }
        let closes = match spec.window {
            None => None,
            Some(window) => {
                let column = spec.partition.get(window.key).copied();
                match column.map(|c| (c, &spec.input.fields[c].data_type)) {
                    Some((column, DataType::Timestamp(unit, None))) => {
                        Some((column, unit_nanos(*unit), window.size_ns))
                    }
                    other => return refuse(format!("a window key of type {other:?}")),
                }
            }
        };
        Ok(Self {
            partitions: BTreeMap::new(),
            by: spec
                .partition
                .iter()
                .copied()
                .map(SortKey::ascending)
                .collect(),
            closes,
            pending: Vec::new(),
            leaving: None,
            arrived: 0,
            rows: 0,
            spec: Arc::clone(spec),
        })
    }

    fn gives_changes(&self) -> bool {
        self.spec.phase == Phase::Changes
    }

    /// When the window of a row ends.
    fn close(&self, frame: &Frame, row: usize) -> i64 {
        let Some((column, unit_ns, size_ns)) = self.closes else {
            return NEVER;
        };
        let Column::I64(times) = &frame.columns[column] else {
            unreachable!("a window's start is a TIMESTAMP")
        };
        let end = times
            .get(row)
            .and_then(|t| t.checked_mul(unit_ns)?.checked_add(size_ns));
        end.unwrap_or(NEVER)
    }

    fn partition_of(&self, frame: &Frame, row: usize) -> (i64, Packed) {
        let mut bytes = Vec::new();
        put_key(&mut bytes, frame, row, &self.by);
        (self.close(frame, row), bytes.into())
    }

    /// Takes rows of `frame` from row `from` on, as long as `out` has room for what they change.
    /// Gives the first row that is left.
    ///
    /// # Errors
    /// [`crate::error::Error::Row`] where a function fails.
    pub(crate) fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> Result<usize> {
        let mut row = from;
        loop {
            if self.give(out) == Progress::Full || row == frame.rows() {
                return Ok(row);
            }
            let at = self.partition_of(frame, row);
            let spec = &*self.spec;
            if spec.phase != Phase::Changes {
                let partition = self.partitions.entry(at).or_default();
                partition.insert(spec, frame, row, self.arrived);
                self.rows += 1;
                self.arrived += 1;
                row += 1;
                continue;
            }
            let mut rows = 1;
            if changelog::is_update(frame, row) {
                rows += usize::from(self.partition_of(frame, row + 1) == at);
            }
            let partition = self.partitions.entry(at.clone()).or_default();
            let before = partition.len();
            let (all, pending) = (row..row + rows, &mut self.pending);
            partition.change(spec, frame, all, self.arrived, pending)?;
            self.rows = self.rows + partition.len() - before;
            if partition.is_empty() {
                self.partitions.remove(&at);
            }
            if let Updates::Numbers(rank) = spec.updates {
                by_number(rank, &mut self.pending);
            }
            self.pending.reverse();
            self.arrived += rows as u64;
            row += rows;
        }
    }

    /// Whether something is to be given before any row is taken.
    pub(crate) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives what is pending, as far as `out` has room.
    fn give(&mut self, out: &mut Frame) -> Progress {
        let changes = self.gives_changes();
        let rows_max = if changes { 2 } else { 1 };
        while let Some(change) = self.pending.last() {
            if out.room() < rows_max || out.is_full() {
                return Progress::Full;
            }
            let ops = match (&change.before, &change.after) {
                (Some(_), Some(_)) => [UPDATE_BEFORE, UPDATE_AFTER],
                _ => [DELETE, INSERT],
            };
            for (row, op) in [&change.before, &change.after].into_iter().zip(ops) {
                let Some(row) = row else { continue };
                write(row, out);
                if changes {
                    changelog::push(out, op);
                }
                out.commit_rows(1);
            }
            self.pending.pop();
        }
        Progress::Done
    }

    /// Gives, or forgets where they were given, the partitions whose windows end at or before
    /// `upto_ns`; with `None`, the end of the input, all.
    ///
    /// # Errors
    /// As [`Ranked::take`].
    pub(crate) fn emit(&mut self, upto_ns: Option<i64>, out: &mut Frame) -> Result<Progress> {
        let mut left = LEAVING_MAX;
        for _ in 0..PARTITIONS_MAX {
            if self.give(out) == Progress::Full || self.leave(&mut left, out) == Progress::Full {
                return Ok(Progress::Full);
            }
            let Some(first) = self.partitions.first_entry() else {
                return Ok(Progress::Done);
            };
            if upto_ns.is_some_and(|upto| first.key().0 > upto || first.key().0 == NEVER) {
                return Ok(Progress::Done);
            }
            if self.spec.phase == Phase::Changes && upto_ns.is_none() {
                // What was given stands; there is nothing more to say.
                return Ok(Progress::Done);
            }
            let mut partition = first.remove();
            self.leaving = Some(match &self.spec.functions {
                _ if self.spec.phase == Phase::Changes => Leaving::forgotten(partition),
                Functions::Ranks(_) => Leaving::ranked(partition),
                Functions::Any(kernel) => {
                    partition.compute(&self.spec, kernel.as_ref(), &mut self.pending)?;
                    self.pending.reverse();
                    Leaving::forgotten(partition)
                }
            });
        }
        Ok(Progress::Full)
    }

    /// Has so many rows at most of what is closed leave, as far as `out` has room.
    fn leave(&mut self, left: &mut usize, out: &mut Frame) -> Progress {
        let Some(leaving) = &mut self.leaving else {
            return Progress::Done;
        };
        let ranks = match &self.spec.functions {
            Functions::Ranks(ranks) => &ranks[..],
            Functions::Any(_) => &[],
        };
        loop {
            if *left == 0 || leaving.gives() && (out.room() == 0 || out.is_full()) {
                return Progress::Full;
            }
            *left -= 1;
            let popped = leaving.pop(&self.spec, ranks);
            self.rows -= usize::from(popped.is_some());
            match popped {
                Some(Some(row)) => {
                    write(&row, out);
                    out.commit_rows(1);
                }
                Some(None) => {}
                None => {
                    self.leaving = None;
                    return Progress::Done;
                }
            }
        }
    }

    /// Number of rows in state.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}
