//! ASOF joins: each row of the left side with the one row of the right side that has equal keys and
//! is the nearest in time, before it or behind it. The right side's rows are versions, of which one
//! is kept for each key and time.
//!
//! Where the right side ends it is kept wholly before the first row of the left one is looked at.
//! Else both come as they are: a row of the left side waits until the right one's watermark proves
//! that no nearer version comes, and a version is forgotten once all rows for which it may be the
//! nearest have been looked at. What has left is never taken back.
//!
//! A row gives one at the most, and what a mark sets free leaves by slices.

mod saved;
#[cfg(test)]
mod tests;
mod versions;
mod waiting;

use std::sync::Arc;

use arrow_schema::DataType;

use self::saved::Saving;
use self::versions::{Place, Version, Versions};
use self::waiting::Waiting;
use super::interval::ENDED;
use super::{SLICE_ROWS, append_rows, check};
use crate::column::Column;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::mesh::Flow;
use crate::order::{SortKey, put_key, put_row, put_wide, take};
use crate::program::{JoinKind, JoinSpec, Nearest, Side, Ties};
use crate::schema::unit_nanos;
use crate::snapshot::Owned;
use crate::tally::Packed;

/// An ASOF join on one shard.
#[derive(Debug)]
pub(crate) struct NearestJoin {
    spec: Arc<JoinSpec>,
    nearest: Nearest,
    /// Whether rows of the left side leave that no version is near to.
    pads: bool,
    /// The side that the item in hand came from.
    side: Side,
    /// Each input's watermark, where it has one: no row with an earlier time comes.
    reached: [Option<i128>; 2],
    keys: [Vec<SortKey>; 2],
    /// Nanoseconds of one unit of each side's time, where it is a TIMESTAMP.
    unit_ns: [Option<i64>; 2],
    versions: Versions,
    waiting: Waiting,
    /// The row of the frame in hand that is looked at next.
    row: usize,
    /// The rows of it that leave.
    leaving: Vec<u32>,
    /// Which rows of each side there can be here.
    owned: [Option<Owned>; 2],
    seed: u64,
    saving: Saving,
}

fn unit_of(data_type: &DataType) -> Option<i64> {
    match data_type {
        DataType::Timestamp(unit, None) => Some(unit_nanos(*unit)),
        _ => None,
    }
}

/// What is known of the version that is the nearest.
enum Found<'v> {
    /// It is this one.
    Version(&'v Version),
    /// There is none, and none comes.
    Nothing,
    /// A nearer one may come.
    NotYet(Place),
}

impl NearestJoin {
    /// # Errors
    /// [`crate::error::Error::Program`] where the spec does not fit together.
    pub(crate) fn new(spec: &Arc<JoinSpec>, nearest: Nearest, seed: u64) -> Result<Self> {
        check(spec)?;
        let JoinKind::Pairs { left, right: false } = spec.kind else {
            return refuse(format!("an ASOF join of kind {:?}", spec.kind));
        };
        if spec.condition.is_some() {
            return refuse("an ASOF join with more than keys and times".to_owned());
        }
        let types = [0, 1].map(|side: usize| {
            let field = spec.inputs[side].fields.get(nearest.times[side]);
            field.map(|f| f.data_type.clone())
        });
        let unit_ns = types.each_ref().map(|t| t.as_ref().and_then(unit_of));
        let fits = match (&types, unit_ns) {
            (_, [Some(_), Some(_)]) => true,
            ([Some(l), Some(r)], _) => l.equals_datatype(r) && nearest.lag_ns.is_none(),
            _ => false,
        };
        if !fits {
            return refuse(format!("an ASOF join by {nearest:?}"));
        }
        let keys = |side: usize| spec.keys[side].iter().copied().map(SortKey::ascending);
        Ok(Self {
            nearest,
            pads: left,
            side: Side::Left,
            reached: [None; 2],
            keys: [keys(0).collect(), keys(1).collect()],
            unit_ns,
            versions: Versions::new(nearest),
            waiting: Waiting::new(nearest.toward),
            row: 0,
            leaving: Vec::new(),
            owned: [None, None],
            seed,
            saving: Saving::default(),
            spec: Arc::clone(spec),
        })
    }

    /// Rows of both sides that it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.versions.len() + self.waiting.len()
    }

    /// Which rows of each side there can be on this shard; `None` where nothing says it.
    pub(crate) fn owning(self, owned: [Option<Owned>; 2]) -> Self {
        Self { owned, ..self }
    }

    /// The next item comes from this port, and the inputs' watermarks are these.
    pub(crate) fn take_from(&mut self, port: usize, reached: [Option<i128>; 2]) {
        self.side = if port == 0 { Side::Left } else { Side::Right };
        self.reached = reached;
    }

    /// The watermark of what leaves from now on, by the left side's time, where its inputs told
    /// this one: it lags behind as the left side's does.
    pub(crate) fn watermark(&self, told: i64) -> Option<i64> {
        let Some([lag_ns, _]) = self.nearest.lag_ns else {
            return Some(told);
        };
        let left = self.reached[0]?;
        let waits = self.waiting.first_time();
        let waits = waits.map_or(ENDED, |first| first + i128::from(lag_ns));
        i64::try_from(left.min(waits)).ok()
    }

    /// No row of a side comes with an earlier time.
    fn come_by(&self, side: Side) -> i128 {
        let lag_ns = self.nearest.lag_ns.map_or(0, |lag_ns| lag_ns[side.port()]);
        match self.reached[side.port()] {
            None => i128::MIN,
            Some(ENDED) => ENDED,
            Some(reached) => reached - i128::from(lag_ns),
        }
    }

    /// Takes a frame as far as there is room for what it gives.
    pub(crate) fn take(&mut self, frame: &Frame, out: &mut Frame) -> Flow {
        let upto = match self.side {
            Side::Right => {
                self.keep(frame);
                return Flow::Done;
            }
            Side::Left => frame.rows().min(self.row + out.room().min(SLICE_ROWS)),
        };
        let left = self.spec.inputs[0].fields.len();
        self.leaving.clear();
        for row in self.row..upto {
            let (_, of_version) = out.columns.split_at_mut(left);
            match self.find(frame, row) {
                Found::Version(version) => version.append_to(of_version),
                Found::Nothing if self.pads => push_nulls(of_version),
                Found::Nothing => continue,
                Found::NotYet(place) => {
                    let mut bytes = Vec::new();
                    put_row(&mut bytes, &frame.columns, row);
                    self.waiting.add(place, bytes.into());
                    continue;
                }
            }
            self.leaving.push(row as u32);
        }
        append_rows(&mut out.columns[..left], frame, &self.leaving);
        out.commit_rows(self.leaving.len());
        self.row = if upto == frame.rows() { 0 } else { upto };
        match self.row {
            0 => Flow::Done,
            _ => Flow::Full,
        }
    }

    /// Where a row of a side stands; `None` where it is near nothing.
    fn place(&self, side: Side, frame: &Frame, row: usize) -> Option<Place> {
        let keys = &self.keys[side.port()];
        let column = self.nearest.times[side.port()];
        let time = &frame.columns[column];
        let known = keys.iter().all(|k| frame.columns[k.column].is_valid(row));
        if !time.is_valid(row) || !(known || self.spec.nulls_equal) {
            return None;
        }
        let mut bytes = Vec::new();
        put_key(&mut bytes, frame, row, keys);
        let key_bytes = bytes.len();
        match (time, self.unit_ns[side.port()]) {
            (Column::I64(time), Some(unit_ns)) => {
                put_wide(
                    &mut bytes,
                    i128::from(time.values[row]) * i128::from(unit_ns),
                );
            }
            _ => put_key(&mut bytes, frame, row, &[SortKey::ascending(column)]),
        }
        Some(Place::new(bytes, key_bytes))
    }

    /// Keeps the versions of a frame.
    fn keep(&mut self, frame: &Frame) {
        for row in 0..frame.rows() {
            let Some(place) = self.place(Side::Right, frame, row) else {
                continue;
            };
            let mut bytes = Vec::new();
            put_row(&mut bytes, &frame.columns, row);
            let row: Packed = bytes.into();
            let tie = match self.nearest.ties {
                Ties::Arrival => Packed::default(),
                Ties::Values => row.clone(),
            };
            self.versions.keep(place, Version { tie, row });
        }
    }

    /// The version that is the nearest to a row of the left side.
    fn find(&self, frame: &Frame, row: usize) -> Found<'_> {
        let Some(place) = self.place(Side::Left, frame, row) else {
            return Found::Nothing;
        };
        let nearest = self.versions.nearest(&place);
        let right = self.come_by(Side::Right);
        let certain = match (self.nearest.lag_ns, &nearest) {
            (None, _) => true,
            (Some(_), _) if right == ENDED => true,
            (Some(_), _) if self.nearest.toward.is_before() => {
                self.waiting.is_over(place.time(), right)
            }
            (Some(_), Some((at, _))) => Place::time_of(at) < right,
            (Some(_), None) => false,
        };
        match (certain, nearest) {
            (true, Some((_, version))) => Found::Version(version),
            (true, None) => Found::Nothing,
            (false, _) => Found::NotYet(place),
        }
    }

    /// Gives the rows that wait for nothing any more, and forgets versions, as far as there is room
    /// and for no longer than a slice takes.
    pub(crate) fn settle(&mut self, out: &mut Frame) -> Flow {
        if self.nearest.lag_ns.is_none() {
            return Flow::Done;
        }
        let [left, right] = [Side::Left, Side::Right].map(|side| self.come_by(side));
        for _ in 0..SLICE_ROWS {
            if out.room() == 0 {
                return Flow::Full;
            }
            let more = match self.nearest.toward.is_before() {
                true => self.give_before(right, out),
                false => self.give_after(right, out),
            };
            // What waits is at or behind the right side's watermark.
            if !more && !self.versions.forget_one(left.min(right)) {
                return Flow::Done;
            }
        }
        Flow::Full
    }

    /// Gives the first row whose time is over for the right side, if there is one.
    fn give_before(&mut self, right: i128, out: &mut Frame) -> bool {
        let Some(time) = self.waiting.first_time() else {
            return false;
        };
        if right != ENDED && !self.waiting.is_over(time, right) {
            return false;
        }
        let (place, row) = self.waiting.take_first().expect("there is a first");
        let version = self.versions.nearest(&place).map(|(_, version)| version);
        give(&self.spec, self.pads, &row, version, out);
        true
    }

    /// Gives a row to which the first version that is certain is the nearest; or notes that there
    /// are no more such, or gives what has none. Returns whether it did anything.
    fn give_after(&mut self, right: i128, out: &mut Frame) -> bool {
        let Some((at, version)) = self.versions.certain(right) else {
            if right != ENDED {
                return false;
            }
            let Some((_, row)) = self.waiting.take_first() else {
                return false;
            };
            give(&self.spec, self.pads, &row, None, out);
            return true;
        };
        match self.waiting.take_upto(at) {
            Some(row) => give(&self.spec, self.pads, &row, Some(version), out),
            None => self.versions.pass(),
        }
        true
    }
}

fn push_nulls(columns: &mut [Column]) {
    columns.iter_mut().for_each(Column::push_null);
}

/// Appends a row that waited, and the version that is the nearest to it.
fn give(spec: &JoinSpec, pads: bool, row: &[u8], version: Option<&Version>, out: &mut Frame) {
    let (own, of_version) = out.columns.split_at_mut(spec.inputs[0].fields.len());
    match version {
        Some(version) => version.append_to(of_version),
        None if pads => push_nulls(of_version),
        None => return,
    }
    let mut bytes = row;
    own.iter_mut().for_each(|column| take(&mut bytes, column));
    out.commit_rows(1);
}
