//! Joins. The rows of the build side are kept wholly, then each row of the other side is looked
//! for among them; so no row that leaves is ever taken back, and what a row of the other side
//! matches is known at once. What is to be told of rows of the build side leaves at the end.
//! Where neither side ends first there are [`interval`] and [`regular`] joins; joins with the one
//! row that is [`nearest`] are of their own.
//!
//! Pairs are made by slices, as many as a frame takes; where a slice ends in the middle of the
//! matches of one row, that is where the next one goes on.

mod held;
pub(crate) mod interval;
mod kept;
mod keyed;
mod keys;
pub(crate) mod nearest;
pub(crate) mod regular;
mod saved;

use std::sync::Arc;

use self::kept::{Kept, Match};
use self::saved::Matched;
use crate::changelog;
use crate::check::{check_filter, same_types};
use crate::column::Column;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::kernel::{Evaluator, RowError};
use crate::mesh::Flow;
use crate::program::{Interval, JoinKind, JoinSpec, Keep, Side};
use crate::schema::{Field, Schema, unit_nanos};
use crate::snapshot::Owned;

/// Rows of the build side that are found anew, or looked at, in one slice.
const SLICE_ROWS: usize = 4096;

/// How many rows of the build side are tried in the first slices of a row of which one match says
/// all.
const TRIED_ROWS: [usize; 2] = [64, 512];

/// A join on one shard.
#[derive(Debug)]
pub(crate) struct Join {
    spec: Arc<JoinSpec>,
    build: Side,
    /// The port that the frame in hand came from.
    port: usize,
    kept: Kept,
    condition: Option<Condition>,
    /// Which rows of the build side have matched, where that is to be told.
    matched: Option<Matched>,
    /// Which rows of the build side there can be here, as far as that is known.
    owned: Owned,
    seed: u64,
    /// A row of the build side has a key that is not known.
    has_unknown: bool,
    /// A frame of the other side is in hand; the row of it that is looked at, and whether that has
    /// matched in the slices before.
    looking: bool,
    row: usize,
    has_matched: bool,
    /// The slices before that had pairs of this row.
    slices: usize,
    /// The pairs of a slice: row of the frame, and of the build side. A row all of whose matches
    /// were given stands there once more, with none, where that is to be told.
    pairs: Vec<(u32, Match)>,
    /// Those that leave.
    leaving: Leaving,
    /// Rows of the build side that the end has looked at.
    told: usize,
}

/// Rows of both sides that leave together.
#[derive(Debug, Default)]
struct Leaving {
    probe: Vec<u32>,
    build: Vec<Match>,
    marks: Vec<bool>,
}

/// What else has to be true.
#[derive(Debug)]
struct Condition {
    evaluator: Box<Evaluator>,
    /// How many columns the left side has.
    left: usize,
    /// The pairs, as rows of both sides' columns.
    rows: Frame,
    passing: Vec<u32>,
}

/// A side's own columns: a changelog's last one says what a row does.
fn own_fields(spec: &JoinSpec, side: Side) -> &[Field] {
    let fields = &spec.inputs[side.port()].fields;
    match spec.keep {
        Keep::Side(_) | Keep::Interval(_) | Keep::Nearest(_) => fields,
        Keep::Changes => &fields[..fields.len().saturating_sub(1)],
    }
}

/// The columns of both sides.
fn both(spec: &JoinSpec) -> Schema {
    let [left, right] = [Side::Left, Side::Right].map(|side| own_fields(spec, side));
    Schema::new([left, right].concat())
}

/// The columns of what leaves.
fn output(spec: &JoinSpec) -> Schema {
    let of = |side: Side| own_fields(spec, side).to_vec();
    let fields = match spec.kind {
        JoinKind::Pairs { .. } => both(spec).fields,
        JoinKind::Semi(side) | JoinKind::Anti(side) => of(side),
        JoinKind::Mark(side) => {
            let mut fields = of(side);
            fields.push(Field::new("mark", arrow_schema::DataType::Boolean));
            fields
        }
    };
    match spec.keep {
        Keep::Side(_) | Keep::Interval(_) | Keep::Nearest(_) => Schema::new(fields),
        Keep::Changes => Schema::clone(&changelog::weighted(Schema::new(fields))),
    }
}

fn check(spec: &JoinSpec) -> Result<()> {
    if !same_types(&output(spec), &spec.output) {
        return refuse("a join into other columns".to_owned());
    }
    let [left, right] = &spec.keys;
    let type_of = |side: usize, key: usize| {
        let field = spec.inputs[side].fields.get(key);
        field.map(|f| &f.data_type)
    };
    let alike = |(&l, &r): (&usize, &usize)| match (type_of(0, l), type_of(1, r)) {
        (Some(l), Some(r)) => l.equals_datatype(r),
        _ => false,
    };
    if left.len() != right.len() || !left.iter().zip(right).all(alike) {
        return refuse(format!("a join by columns {left:?} and {right:?}"));
    }
    Ok(())
}

impl Condition {
    fn new(spec: &JoinSpec) -> Result<Option<Self>> {
        let Some(expr) = &spec.condition else {
            return Ok(None);
        };
        let schema = both(spec);
        check_filter(expr, &schema)?;
        Ok(Some(Self {
            evaluator: Box::new(Evaluator::new(expr, &schema)?),
            left: own_fields(spec, Side::Left).len(),
            rows: Frame::new(&schema, SLICE_ROWS),
            passing: Vec::new(),
        }))
    }

    /// Finds those pairs for which it is true. Rows of the frame are of the side `probe`; the other
    /// side's are appended by `append`.
    fn select(
        &mut self,
        probe: Side,
        frame: &Frame,
        rows: &[u32],
        append: impl FnOnce(&mut [Column]),
    ) -> Vec<RowError> {
        self.rows.clear();
        let (l, r) = self.rows.columns.split_at_mut(self.left);
        let (of_probe, of_build) = match probe {
            Side::Left => (l, r),
            Side::Right => (r, l),
        };
        append_rows(of_probe, frame, rows);
        append(of_build);
        self.rows.commit_rows(rows.len());
        self.passing.clear();
        self.evaluator.select_rest(&self.rows, &mut self.passing)
    }
}

/// Whether an interval lies between TIMESTAMPs of these units.
fn check_interval(spec: &JoinSpec, interval: &Interval) -> Result<()> {
    let fits = (0..2).all(|side| {
        let field = spec.inputs[side].fields.get(interval.times[side]);
        field.is_some_and(|f| match f.data_type {
            arrow_schema::DataType::Timestamp(unit, None) => {
                unit_nanos(unit) == interval.unit_ns[side]
            }
            _ => false,
        })
    });
    match fits {
        true => Ok(()),
        false => refuse(format!("a join within {interval:?}")),
    }
}

impl Join {
    /// Rows of the side that it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.kept.len()
    }

    /// A join that keeps the side `build`.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where the spec does not fit together.
    pub(crate) fn new(spec: &Arc<JoinSpec>, build: Side, seed: u64) -> Result<Self> {
        check(spec)?;
        if let Some(near) = &spec.near {
            check_interval(spec, near)?;
        }
        let anti = spec.kind == JoinKind::Anti(build.other()) && spec.condition.is_none();
        if spec.not_in && !anti {
            return refuse(format!("NOT IN as a join of kind {:?}", spec.kind));
        }
        Ok(Self {
            port: build.port(),
            build,
            kept: Kept::new(spec, build, seed),
            condition: Condition::new(spec)?,
            matched: (spec.kind.tells(build)).then(|| Matched::new(spec, build)),
            owned: Owned::All,
            seed,
            has_unknown: false,
            looking: false,
            row: 0,
            has_matched: false,
            slices: 0,
            pairs: Vec::new(),
            leaving: Leaving::default(),
            told: 0,
            spec: Arc::clone(spec),
        })
    }

    /// Which rows of the build side there can be on this shard, by their keys.
    pub(crate) fn owning(self, owned: Owned) -> Self {
        Self { owned, ..self }
    }

    /// The next frame comes from this port.
    pub(crate) fn take_from(&mut self, port: usize) {
        self.port = port;
    }

    fn probe(&self) -> Side {
        self.build.other()
    }

    /// Takes a frame as far as there is room for what it gives. Gives the pairs on which the
    /// condition failed.
    pub(crate) fn take(&mut self, frame: &Frame, out: &mut Frame) -> (Flow, Vec<RowError>) {
        if self.port == self.build.port() {
            self.kept.append(frame);
            self.has_unknown |= self.spec.not_in && self.kept.has_unknown(frame);
            self.matched.iter_mut().for_each(|m| m.keep(frame));
            return (Flow::Done, Vec::new());
        }
        if !self.kept.index(SLICE_ROWS) {
            return (Flow::Full, Vec::new());
        }
        if !std::mem::replace(&mut self.looking, true) {
            self.kept.begin(frame);
            (self.row, self.has_matched, self.slices) = (0, false, 0);
        }
        self.gather(frame, out.room().min(SLICE_ROWS));
        let failed = self.pass(frame);
        if failed.is_empty() {
            self.choose(frame);
            self.give(frame, out);
        }
        self.looking = self.row < frame.rows();
        (if self.looking { Flow::Full } else { Flow::Done }, failed)
    }

    /// Finds the next pairs, at most so many.
    fn gather(&mut self, frame: &Frame, pairs_max: usize) {
        self.pairs.clear();
        let ends = self.spec.kind.tells(self.probe());
        // One match says all of a row of whose pairs none leaves.
        let one = ends && !matches!(self.spec.kind, JoinKind::Pairs { .. });
        let mut enough = one && self.has_matched;
        // Where the condition may be true of the first of very many, few are tried at first.
        let tried = one && self.condition.is_some();
        let most = |slices: usize| match tried {
            true => *TRIED_ROWS.get(slices).unwrap_or(&usize::MAX),
            false => usize::MAX,
        };
        let mut left = most(self.slices);
        while self.row < frame.rows() && self.pairs.len() < pairs_max && left > 0 {
            let found = match enough {
                true => None,
                false => self.kept.next(frame, self.row),
            };
            if found.is_some() {
                self.pairs.push((self.row as u32, found));
                enough = one && self.condition.is_none();
                left -= 1;
                continue;
            }
            if ends {
                self.pairs.push((self.row as u32, None));
            }
            self.row += 1;
            self.kept.restart();
            enough = false;
            (self.slices, left) = (0, most(0));
        }
        self.slices += 1;
    }

    /// Leaves out the pairs for which the condition is not true.
    fn pass(&mut self, frame: &Frame) -> Vec<RowError> {
        let Some(condition) = &mut self.condition else {
            return Vec::new();
        };
        let probe = self.build.other();
        let pairs = || self.pairs.iter().filter(|(_, found)| found.is_some());
        self.leaving.probe.clear();
        self.leaving.probe.extend(pairs().map(|(row, _)| *row));
        self.leaving.build.clear();
        self.leaving.build.extend(pairs().map(|(_, found)| *found));
        let failed = condition.select(probe, frame, &self.leaving.probe, |columns| {
            self.kept.append_to(columns, &self.leaving.build);
        });
        let (mut at, mut passing) = (0, condition.passing.iter().peekable());
        self.pairs.retain(|(_, found)| {
            let Some(_) = found else { return true };
            at += 1;
            passing.next_if(|p| **p == at - 1).is_some()
        });
        failed
    }

    /// Chooses what leaves of the pairs that are left.
    fn choose(&mut self, frame: &Frame) {
        let Leaving {
            probe: rows,
            build,
            marks,
        } = &mut self.leaving;
        rows.clear();
        build.clear();
        marks.clear();
        for &(row, found) in &self.pairs {
            if let (Some(matched), Some(found)) = (&mut self.matched, found) {
                matched.mark(found, self.kept.len());
            }
            let leaves = match (self.spec.kind, found) {
                (JoinKind::Pairs { .. }, Some(_)) => true,
                // Rows of the build side are told of at the end.
                (_, Some(_)) => false,
                (JoinKind::Anti(_), None) if self.spec.not_in && self.kept.len() > 0 => {
                    let known = !self.has_unknown && self.kept.is_known(frame, row as usize);
                    known && !self.has_matched
                }
                (JoinKind::Pairs { .. } | JoinKind::Anti(_), None) => !self.has_matched,
                (JoinKind::Semi(_), None) => self.has_matched,
                (JoinKind::Mark(_), None) => true,
            };
            if leaves {
                rows.push(row);
                build.push(found);
                marks.push(self.has_matched);
            }
            // Behind its last pair a row is over.
            self.has_matched = found.is_some();
        }
    }

    /// Appends the rows that leave.
    fn give(&mut self, frame: &Frame, out: &mut Frame) {
        let Leaving {
            probe,
            build,
            marks,
        } = &self.leaving;
        if probe.is_empty() {
            return;
        }
        match self.spec.kind {
            JoinKind::Pairs { .. } => {
                let left = self.spec.inputs[0].fields.len();
                let (l, r) = out.columns.split_at_mut(left);
                let (of_probe, of_build) = match self.build {
                    Side::Right => (l, r),
                    Side::Left => (r, l),
                };
                append_rows(of_probe, frame, probe);
                self.kept.append_to(of_build, build);
            }
            JoinKind::Semi(_) | JoinKind::Anti(_) => append_rows(&mut out.columns, frame, probe),
            JoinKind::Mark(_) => {
                let (mark, columns) = out.columns.split_last_mut().expect("the mark is a column");
                append_rows(columns, frame, probe);
                push_marks(mark, marks);
            }
        }
        out.commit_rows(probe.len());
    }

    /// Writes what is to be told of the rows of the build side into `out`, as far as there is room;
    /// to be called once no more come.
    pub(crate) fn finish(&mut self, out: &mut Frame) -> Flow {
        let Some(matched) = &self.matched else {
            return Flow::Done;
        };
        let (from, all) = (self.told, self.kept.len());
        let upto = all.min(from + out.room().min(SLICE_ROWS));
        let has_matched = |row: usize| matched.has(row);
        let Leaving { build, marks, .. } = &mut self.leaving;
        build.clear();
        marks.clear();
        for row in from..upto {
            let leaves = match self.spec.kind {
                JoinKind::Pairs { .. } | JoinKind::Anti(_) => !has_matched(row),
                JoinKind::Semi(_) => has_matched(row),
                JoinKind::Mark(_) => true,
            };
            if leaves {
                build.push(Some(row as u32));
                marks.push(has_matched(row));
            }
        }
        self.told = upto;
        if build.is_empty() {
            return if upto < all { Flow::Full } else { Flow::Done };
        }
        match self.spec.kind {
            JoinKind::Pairs { .. } => {
                let left = self.spec.inputs[0].fields.len();
                let (l, r) = out.columns.split_at_mut(left);
                let (of_probe, of_build) = match self.build {
                    Side::Right => (l, r),
                    Side::Left => (r, l),
                };
                for column in of_probe {
                    build.iter().for_each(|_| column.push_null());
                }
                self.kept.append_to(of_build, build);
            }
            JoinKind::Semi(_) | JoinKind::Anti(_) => self.kept.append_to(&mut out.columns, build),
            JoinKind::Mark(_) => {
                let (mark, columns) = out.columns.split_last_mut().expect("the mark is a column");
                self.kept.append_to(columns, build);
                push_marks(mark, marks);
            }
        }
        out.commit_rows(build.len());
        if upto < all { Flow::Full } else { Flow::Done }
    }
}

fn append_rows(to: &mut [Column], frame: &Frame, rows: &[u32]) {
    for (to, from) in to.iter_mut().zip(&frame.columns) {
        to.append_rows(from, rows);
    }
}

fn push_marks(column: &mut Column, marks: &[bool]) {
    let Column::Bool(column) = column else {
        unreachable!("types are checked before")
    };
    marks.iter().for_each(|&mark| column.push(Some(mark)));
}
