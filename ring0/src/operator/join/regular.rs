//! Joins of rows that come and go on either side: all rows that stand are kept, but where times
//! say that nothing can happen to them any more ([`forgotten`]). Each change is looked for among
//! the rows of the other side as it comes, and gives the changes of the result that it makes: pairs
//! that come or go, and rows that match none any more, or again.
//!
//! A row is kept by its key, which is hashed, and behind that by its values in their order, as sort
//! keys: which rows match is a range of one key's. How many rows one matches is counted, by the key
//! where nothing else is asked, else with the row. A row may go before it came; then it weighs less
//! than nothing, and so do its pairs.
//!
//! A change gives its results by slices. An update whose key stays is one change, and where each of
//! its two rows has just one result, these are an update, too.

mod forgotten;
mod given;
mod saved;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::given::{Given, Row};
use self::standing::{Rows, Standing};
use super::keyed::KeyPlace;
use super::{Condition, SLICE_ROWS, check, check_interval, own_fields};
use crate::changelog::{self, is_weighted};
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::mesh::Flow;
use crate::order::{put_key, put_row, take};
use crate::program::{JoinKind, JoinSpec, Side};
use crate::schema::Schema;
use crate::snapshot::Owned;
use crate::tally::Packed;

/// A change in hand.
#[derive(Debug)]
struct Change {
    /// The row that goes and the row that comes: its number in the frame, and as it is kept.
    before: Option<(u32, Packed)>,
    after: Option<(u32, Packed)>,
    /// The key, where it may equal another.
    key: Option<Packed>,
    /// How many rows both match.
    matches: [i64; 2],
    /// The rows of the key on its own side, before and behind it, where they are counted.
    totals: [i64; 2],
    /// The values of the last row of the other side that was looked at; `None` before the
    /// first.
    last: Option<Packed>,
    /// The other side is looked at to its end.
    looked: bool,
}

/// The place of a key, and the values of the last row of it that was handed on.
type Last = (KeyPlace, Option<Packed>);

/// A regular join on one shard.
#[derive(Debug)]
pub(crate) struct RegularJoin {
    spec: Arc<JoinSpec>,
    side: Side,
    rows: [Rows; 2],
    condition: Option<Condition>,
    /// A frame is in hand, and the row of it that is next.
    looking: bool,
    row: usize,
    change: Option<Change>,
    /// The slice of each side where it is the other, and how often each row of it stands.
    others: [Frame; 2],
    standing: Vec<Standing>,
    /// What is to be given before the next slice.
    pending: Vec<Given>,
    given: usize,
    /// Rows that are given together.
    batch: Vec<(Row, i8)>,
    seed: u64,
    /// Where handing on to a snapshot stands: the side, and where in it.
    saving: (usize, Option<Last>),
    /// Each input's watermark, where it has one.
    reached: [Option<i128>; 2],
    /// How many rows of each side were forgotten, and not told of yet.
    forgotten: [u64; 2],
}

impl RegularJoin {
    /// Rows of both sides that it keeps.
    pub(crate) fn state_rows(&self) -> usize {
        self.rows.iter().map(|side| side.count).sum()
    }

    /// # Errors
    /// [`crate::error::Error::Program`] where the spec does not fit together.
    pub(crate) fn new(spec: &Arc<JoinSpec>, seed: u64) -> Result<Self> {
        check(spec)?;
        if !spec.inputs.iter().all(|input| is_weighted(input)) {
            return refuse("a join of changes that are none".to_owned());
        }
        if let Some(near) = &spec.near {
            check_interval(spec, near)?;
        }
        let condition = Condition::new(spec)?;
        let rows = [Side::Left, Side::Right].map(|side| {
            let counted = condition.is_none() && spec.kind.tells(side.other());
            let schema = Schema::new(own_fields(spec, side).to_vec());
            let time = spec.near.map(|near| near.time(side));
            Rows::new(&spec.keys[side.port()], schema, counted, time)
        });
        let others = rows.each_ref();
        Ok(Self {
            side: Side::Left,
            others: others.map(|rows| Frame::new(&rows.schema, SLICE_ROWS)),
            rows,
            condition,
            looking: false,
            row: 0,
            change: None,
            standing: Vec::new(),
            pending: Vec::new(),
            given: 0,
            batch: Vec::new(),
            seed,
            saving: (0, None),
            reached: [None; 2],
            forgotten: [0; 2],
            spec: Arc::clone(spec),
        })
    }

    /// Which rows of each side there can be on this shard; `None` where nothing says it.
    pub(crate) fn owning(mut self, owned: [Option<Owned>; 2]) -> Self {
        let sides = self.rows.iter_mut().zip(owned);
        sides.for_each(|(rows, owned)| rows.owned = owned);
        self
    }

    /// The next item comes from this port, and the inputs' watermarks are these.
    pub(crate) fn take_from(&mut self, port: usize, reached: [Option<i128>; 2]) {
        self.side = if port == 0 { Side::Left } else { Side::Right };
        self.reached = reached;
    }

    /// Takes a frame as far as there is room for what it gives, and for no longer than a slice
    /// takes. Gives the pairs on which the condition failed.
    pub(crate) fn take(&mut self, frame: &Frame, out: &mut Frame) -> (Flow, Vec<RowError>) {
        if !std::mem::replace(&mut self.looking, true) {
            self.row = 0;
        }
        let mut looked = 0;
        let mut failed = Vec::new();
        while self.drain(frame, out) && failed.is_empty() && looked < SLICE_ROWS {
            match self.change.take() {
                None if self.row >= frame.rows() => {
                    self.flush(frame, out);
                    self.looking = false;
                    return (Flow::Done, failed);
                }
                None => self.begin(frame),
                Some(change) if change.looked => self.end(frame, change),
                Some(change) => {
                    // The slice before is given.
                    self.flush(frame, out);
                    failed = self.look(frame, change);
                    looked += self.standing.len();
                }
            }
            looked += 1;
        }
        self.flush(frame, out);
        (Flow::Full, failed)
    }

    /// Takes the next change in hand, if it is one.
    fn begin(&mut self, frame: &Frame) {
        let (at, side) = (self.row, self.side);
        let rows = &self.rows[side.port()];
        let kept = |row: usize| {
            let mut bytes = Vec::new();
            put_key(&mut bytes, frame, row, &rows.keys);
            let length = bytes.len();
            put_row(&mut bytes, &frame.columns[..rows.schema.fields.len()], row);
            (length, (row as u32, Packed::from(bytes)))
        };
        let (length, first) = kept(at);
        let (before, after) = match changelog::weight(frame, at) < 0 {
            false => (None, Some(first)),
            true if changelog::is_update(frame, at) => {
                let (other, second) = kept(at + 1);
                let same_key = first.1[..length] == second.1[..other];
                (Some(first), same_key.then_some(second))
            }
            true => (Some(first), None),
        };
        let both = before.is_some() && after.is_some();
        self.row += 1 + usize::from(both);
        if values(&before) == values(&after) {
            return;
        }
        let known = (rows.keys.iter()).all(|key| frame.columns[key.column].is_valid(at));
        let some = after
            .as_ref()
            .or(before.as_ref())
            .expect("a change is of a row");
        let key: Option<Packed> = (known || self.spec.nulls_equal).then(|| some.1[..length].into());
        let total = |side: Side| {
            let totals = self.rows[side.port()].totals.as_ref();
            let total = totals
                .zip(key.as_ref())
                .and_then(|(totals, key)| totals.get(key));
            total.copied().unwrap_or(0)
        };
        let (own, other) = (total(side), total(side.other()));
        let behind = own + i64::from(after.is_some()) - i64::from(before.is_some());
        let pairs = matches!(self.spec.kind, JoinKind::Pairs { .. });
        let turns = self.said(side.other(), own) != self.said(side.other(), behind);
        self.change = Some(Change {
            before,
            after,
            matches: [other; 2],
            totals: [own, behind],
            last: None,
            looked: key.is_none() || !pairs && self.condition.is_none() && !turns,
            key,
        });
    }

    /// What is said of a row of a side by itself that so many match; `None`: nothing.
    fn said(&self, side: Side, matches: i64) -> Option<bool> {
        let met = matches > 0;
        let says = match self.spec.kind {
            _ if !self.spec.kind.tells(side) => false,
            JoinKind::Pairs { .. } | JoinKind::Anti(_) => !met,
            JoinKind::Semi(_) => met,
            JoinKind::Mark(_) => true,
        };
        says.then_some(met)
    }

    /// Looks at the next rows of the other side that have the key, and says what becomes of them.
    fn look(&mut self, frame: &Frame, mut change: Change) -> Vec<RowError> {
        let key = change
            .key
            .clone()
            .expect("what equals nothing looks at nothing");
        self.gather(&key, &mut change);
        let rows = self.standing.len();
        let others = &self.others[self.side.other().port()];
        let mut passing =
            [change.before.is_some(), change.after.is_some()].map(|is| vec![is; rows]);
        let parts = [&change.before, &change.after];
        if let Some(condition) = self.condition.as_mut().filter(|_| rows > 0) {
            for (part, passing) in parts.into_iter().zip(&mut passing) {
                let Some((row, _)) = part else { continue };
                let failed = condition.select(self.side, frame, &vec![*row; rows], |columns| {
                    for (to, from) in columns.iter_mut().zip(&others.columns) {
                        to.append_range(from, 0..rows);
                    }
                });
                if !failed.is_empty() {
                    return failed;
                }
                passing.fill(false);
                condition
                    .passing
                    .iter()
                    .for_each(|&row| passing[row as usize] = true);
            }
        }
        let [before, after] = passing;
        for (at, passes) in before.into_iter().zip(after).enumerate() {
            self.pair(at, passes.into(), &mut change);
        }
        self.count(&key);
        self.change = Some(change);
        Vec::new()
    }

    /// Has the next rows of the other side in the slice, and where the last of them is.
    fn gather(&mut self, key: &[u8], change: &mut Change) {
        let port = self.side.other().port();
        let (other, others) = (&self.rows[port], &mut self.others[port]);
        others.clear();
        self.standing.clear();
        let group = other.rows.get(key).into_iter();
        let mut last = None;
        for (values, standing) in group.flat_map(|group| group.behind(change.last.as_deref())) {
            if self.standing.len() == SLICE_ROWS {
                break;
            }
            let mut rest = values;
            let columns = others.columns.iter_mut();
            columns.for_each(|column| take(&mut rest, column));
            self.standing.push(*standing);
            last = Some(values);
        }
        others.commit_rows(self.standing.len());
        change.looked = self.standing.len() < SLICE_ROWS;
        if let Some(last) = last.filter(|_| !change.looked) {
            change.last = Some(last.into());
        }
    }

    /// Says what a change does to a row of the slice, with which the row before and the one behind
    /// pass or not.
    fn pair(&mut self, at: usize, passing: [bool; 2], change: &mut Change) {
        let other = self.side.other();
        let Standing { weight, matches } = self.standing[at];
        let matches = match &self.condition {
            None => change.totals,
            Some(_) => {
                let [before, after] = passing.map(i64::from);
                let counts = change.matches.iter_mut().zip([before, after]);
                counts.for_each(|(count, is)| *count += is * weight);
                [matches, matches - before + after]
            }
        };
        self.standing[at].matches = matches[1];
        let is_pairs = matches!(self.spec.kind, JoinKind::Pairs { .. });
        let pair = |part: &Option<(u32, Packed)>, passes: bool| {
            let own = part
                .as_ref()
                .filter(|_| passes && is_pairs)
                .map(|(row, _)| *row)?;
            Some(Row {
                own: Some(own),
                other: Some(at as u32),
                mark: false,
            })
        };
        let alone = |matches: i64| {
            self.said(other, matches).map(|mark| Row {
                own: None,
                other: Some(at as u32),
                mark,
            })
        };
        let before = [pair(&change.before, passing[0]), alone(matches[0])];
        let after = [pair(&change.after, passing[1]), alone(matches[1])];
        self.give(before, after, weight);
    }

    /// Notes how many match each row of the slice, where that is counted with the row.
    fn count(&mut self, key: &[u8]) {
        let other = self.side.other();
        if self.condition.is_none() || !self.spec.kind.tells(other) || self.standing.is_empty() {
            return;
        }
        let mut first = Vec::new();
        put_row(&mut first, &self.others[other.port()].columns, 0);
        let kept = &mut self.rows[other.port()].rows;
        let found = kept.get_mut(key).into_iter();
        let found = found.flat_map(|group| group.rest_mut(&first));
        for (to, from) in found.zip(&self.standing) {
            to.matches = from.matches;
        }
    }

    /// Says what becomes of the change's own rows, and keeps them.
    fn end(&mut self, frame: &Frame, change: Change) {
        let side = self.side;
        let counted = self.condition.is_some() && self.spec.kind.tells(side);
        let parts = [&change.before, &change.after];
        let mut alone = [None; 2];
        for (at, part) in parts.into_iter().enumerate() {
            alone[at] = part.as_ref().and_then(|(row, _)| {
                let mark = self.said(side, change.matches[at])?;
                Some(Row {
                    own: Some(*row),
                    other: None,
                    mark,
                })
            });
        }
        self.give([alone[0], None], [alone[1], None], 1);
        let Some(key) = change.key else { return };
        let rows = &mut self.rows[side.port()];
        for (part, weight, matches) in [
            (change.before, -1, change.matches[0]),
            (change.after, 1, change.matches[1]),
        ] {
            if let Some((row, bytes)) = part {
                let time = rows.time(frame, row as usize);
                let of = bytes.split_at(key.len());
                rows.weigh(of, time, weight, if counted { matches } else { 0 });
            }
        }
        let [before, behind] = change.totals;
        rows.add_total(&key, behind - before);
    }
}

/// A row as it is kept.
fn values(row: &Option<(u32, Packed)>) -> Option<&[u8]> {
    row.as_ref().map(|(_, bytes)| &**bytes)
}
