//! The rows of one partition, in order, with what was given of each.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use arrow_array::{Array, ArrayRef};

use super::{Functions, Rank, RankedSpec};
use crate::changelog;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::operator::over::PartitionKernel;
use crate::order::{Rows, put_key, put_row, take};
use crate::program::Phase;
use crate::tally::{Charge, Packed, node_bytes};

/// A row's values, and its results.
pub(super) type Given = (Packed, Packed);

/// What a change gives of one row: it comes, goes, or has other results. Where changes are told by
/// number, of one number.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) before: Option<Given>,
    pub(super) after: Option<Given>,
}

/// Row number, rank and dense rank.
pub(super) type Numbers = [u64; 3];

/// A row of a partition.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: Packed,
    /// How many of its key's bytes tell which rows are alike.
    order_bytes: usize,
    /// Row number, rank and dense rank; of rows beyond the limit nothing is known.
    pub(super) numbers: Numbers,
    /// Its results, where they were given.
    pub(super) given: Option<Packed>,
}

/// The rows, by order, ties and arrival.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) rows: BTreeMap<Packed, Entry>,
    /// Rows that went before they came.
    pub(super) owed: Rows,
    #[expect(dead_code, reason = "it counts as long as it is there")]
    node: Node,
}

/// The first node of a partition's rows.
#[derive(Debug)]
struct Node(#[expect(dead_code, reason = "it counts as long as it is there")] Charge);

impl Default for Node {
    fn default() -> Self {
        Self(Charge::of(node_bytes::<Packed, Entry>()))
    }
}

/// The bytes of an arrival at the end of a key.
const ARRIVAL: usize = size_of::<u64>();

/// When the row of a key arrived.
pub(super) fn arrival(key: &[u8]) -> u64 {
    let bytes = key.last_chunk().expect("an arrival ends a key");
    u64::from_be_bytes(*bytes)
}

impl Partition {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.owed.is_empty()
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Keeps a row. Gives its key.
    pub(super) fn insert(
        &mut self,
        spec: &RankedSpec,
        frame: &Frame,
        row: usize,
        arrival: u64,
    ) -> Packed {
        let (mut key, order_bytes) = key(spec, frame, row);
        key.extend_from_slice(&arrival.to_be_bytes());
        let entry = Entry {
            row: values(spec, frame, row),
            order_bytes,
            numbers: [0; 3],
            given: None,
        };
        let key: Packed = key.into();
        self.rows.insert(key.clone(), entry);
        key
    }

    /// Takes rows that are one change, and adds what they give.
    pub(super) fn change(
        &mut self,
        spec: &RankedSpec,
        frame: &Frame,
        rows: Range<usize>,
        mut arrival: u64,
        pending: &mut Vec<Change>,
    ) -> Result<()> {
        let (mut gone, mut come) = (None, None);
        // The first row whose results may be others.
        let mut from: Option<Packed> = None;
        for row in rows {
            let key = if changelog::weight(frame, row) < 0 {
                let Some((key, entry)) = self.remove(spec, frame, row) else {
                    continue;
                };
                gone = entry.given.map(|results| (entry.row, results));
                key
            } else if self.is_owed(spec, frame, row) {
                continue;
            } else {
                let key = self.insert(spec, frame, row, arrival);
                come = Some(key.clone());
                key
            };
            arrival += 1;
            from = Some(from.map_or(key.clone(), |from| from.min(key)));
        }
        let Some(from) = from else { return Ok(()) };
        let others = pending.len();
        match &spec.functions {
            Functions::Ranks(ranks) => {
                self.count_on(spec, ranks, &from, pending);
                // Without a limit counting may have ended before the row that came.
                if let Some(key) = come.as_ref().filter(|_| spec.limit.is_none())
                    && self.rows.get(key).is_some_and(|row| !row.is_known(spec))
                {
                    self.count_on(spec, ranks, key, pending);
                }
            }
            Functions::Any(kernel) => self.compute(spec, kernel.as_ref(), pending)?,
        }
        // A row in another's place is one change, and the first that is given.
        let own = come.and_then(|key| {
            let row = &self.rows.get(&key)?.row;
            let is =
                |c: &Change| c.before.is_none() && c.after.as_ref().is_some_and(|a| a.0 == *row);
            let at = others + pending[others..].iter().position(is)?;
            pending.remove(at).after
        });
        match (gone, own) {
            (None, None) => {}
            (before, after) if before == after => {}
            (before, after) => pending.insert(others, Change { before, after }),
        }
        Ok(())
    }

    /// Takes out a row; where there is none it is owed.
    fn remove(&mut self, spec: &RankedSpec, frame: &Frame, row: usize) -> Option<(Packed, Entry)> {
        let (from, _) = key(spec, frame, row);
        let values = values(spec, frame, row);
        let alike = self
            .rows
            .range::<[u8], _>((Bound::Included(&from[..]), Bound::Unbounded));
        let mut alike = alike.take_while(|(key, _)| key[..key.len() - ARRIVAL] == *from);
        match alike.find(|(_, entry)| entry.row == values) {
            Some((key, _)) => {
                let key = key.clone();
                let entry = self.rows.remove(&key)?;
                Some((key, entry))
            }
            None => {
                *self.owed.entry(values).or_default() += 1;
                None
            }
        }
    }

    /// Whether a row that comes is gone already.
    fn is_owed(&mut self, spec: &RankedSpec, frame: &Frame, row: usize) -> bool {
        if self.owed.is_empty() {
            return false;
        }
        let values = values(spec, frame, row);
        let Some(count) = self.owed.get_mut(&values) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.owed.remove(&values);
        }
        true
    }

    /// Ranks the rows from a key on.
    fn count_on(
        &mut self,
        spec: &RankedSpec,
        ranks: &[Rank],
        from: &[u8],
        pending: &mut Vec<Change>,
    ) {
        let before = self
            .rows
            .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(from)));
        let mut last: Option<(Packed, Numbers)> = None;
        if let Some((key, entry)) = before.last() {
            if spec.limit.is_some() && !entry.is_known(spec) {
                return;
            }
            last = Some((key[..entry.order_bytes].into(), entry.numbers));
        }
        let rows = self
            .rows
            .range_mut::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        for (key, entry) in rows {
            let order = &key[..entry.order_bytes];
            entry.numbers = numbers_behind(last.as_ref(), order);
            if last.as_ref().is_none_or(|(alike, _)| **alike != *order) {
                last = Some((order.into(), entry.numbers));
            } else if let Some((_, numbers)) = &mut last {
                *numbers = entry.numbers;
            }
            let is_beyond = spec.is_beyond(entry.numbers);
            if is_beyond && entry.given.is_none() {
                return;
            }
            let is_skipped = entry.numbers[0] <= spec.skip;
            if !is_skipped && spec.limit.is_none() && ranks.is_empty() && entry.given.is_some() {
                // Those behind it are given, too, and have no rank that could be another.
                return;
            }
            let results = !is_beyond && !is_skipped;
            entry.give(results.then(|| counted(ranks, entry.numbers)), pending);
        }
    }

    /// Computes the results of all rows.
    pub(super) fn compute(
        &mut self,
        spec: &RankedSpec,
        kernel: &dyn PartitionKernel,
        pending: &mut Vec<Change>,
    ) -> Result<()> {
        let visible = visible(spec);
        let fields = &spec.input.fields[..visible];
        let mut columns: Vec<Column> = fields.iter().map(|f| Column::of(&f.data_type)).collect();
        for entry in self.rows.values() {
            let mut row = &entry.row[..];
            columns.iter_mut().for_each(|to| take(&mut row, to));
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(spec.input.fields.len());
        arrays.extend(
            columns
                .into_iter()
                .zip(fields)
                .map(|(c, f)| c.into_array(&f.data_type)),
        );
        let results = kernel.evaluate(&arrays, self.rows.len());
        let results = results.map_err(|message| Error::Row { message })?;
        assert!(
            results.iter().all(|r| r.len() == self.rows.len()),
            "a result for each row"
        );
        let results: Vec<Column> = results.into_iter().map(Column::from_array).collect();
        for (row, entry) in self.rows.values_mut().enumerate() {
            let mut bytes = Vec::new();
            put_row(&mut bytes, &results, row);
            entry.give(Some(bytes.into()), pending);
        }
        Ok(())
    }
}

/// The numbers of a row of this order behind the last one.
pub(super) fn numbers_behind(last: Option<&(Packed, Numbers)>, order: &[u8]) -> Numbers {
    match last {
        None => [1; 3],
        Some((alike, [number, rank, dense])) if **alike == *order => [number + 1, *rank, *dense],
        Some((_, [number, _, dense])) => [number + 1, number + 1, dense + 1],
    }
}

fn number(rank: Rank, numbers: Numbers) -> u64 {
    match rank {
        Rank::RowNumber => numbers[0],
        Rank::Rank => numbers[1],
        Rank::DenseRank => numbers[2],
    }
}

/// The results of a row of these numbers.
pub(super) fn counted(ranks: &[Rank], numbers: Numbers) -> Packed {
    let mut bytes = Vec::with_capacity(9 * ranks.len());
    for &rank in ranks {
        bytes.push(1);
        bytes.extend_from_slice(&number(rank, numbers).to_be_bytes());
    }
    bytes.into()
}

impl RankedSpec {
    /// Whether a row of these numbers is behind what is given.
    pub(super) fn is_beyond(&self, numbers: Numbers) -> bool {
        (self.limit).is_some_and(|(rank, max)| number(rank, numbers) > max)
    }
}

impl Entry {
    /// How many of its key's bytes tell which rows are alike.
    pub(super) fn order_bytes(&self) -> usize {
        self.order_bytes
    }

    /// Whether its numbers are those that it has: it is given, or skipped.
    fn is_known(&self, spec: &RankedSpec) -> bool {
        self.given.is_some() || (1..=spec.skip).contains(&self.numbers[0])
    }

    /// Adds what other results give.
    fn give(&mut self, results: Option<Packed>, pending: &mut Vec<Change>) {
        if results == self.given {
            return;
        }
        let before = std::mem::replace(&mut self.given, results);
        let given = |results| (self.row.clone(), results);
        pending.push(Change {
            before: before.map(given),
            after: self.given.clone().map(given),
        });
    }
}

/// How many of the columns are rows' own.
pub(super) fn visible(spec: &RankedSpec) -> usize {
    spec.input.fields.len() - usize::from(spec.phase == Phase::Changes)
}

pub(super) fn values(spec: &RankedSpec, frame: &Frame, row: usize) -> Packed {
    let mut bytes = Vec::new();
    put_row(&mut bytes, &frame.columns[..visible(spec)], row);
    bytes.into()
}

/// Where a row stands, and how many of the bytes tell which rows are alike.
fn key(spec: &RankedSpec, frame: &Frame, row: usize) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    put_key(&mut bytes, frame, row, &spec.order);
    let order_bytes = bytes.len();
    put_key(&mut bytes, frame, row, &spec.ties);
    (bytes, order_bytes)
}
