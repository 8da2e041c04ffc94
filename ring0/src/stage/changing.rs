//! Operators over a changelog, as they stand in a chain: groups, first rows and ranks of rows that
//! come and go, and updates that are taken apart where their rows part.

mod firsts;

use arrow_array::RecordBatch;

use self::firsts::Firsts;
use super::failing::End;
use super::routed::Routed;
use super::{Place, resume};
use crate::changelog::{self, DELETE, INSERT, is_weighted};
use crate::check::same_types;
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::lineage::OfInput;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::operator::aggregate::Progress;
use crate::operator::aggregate::retract::{self, Retracting};
use crate::operator::captured::Captured;
use crate::operator::paced::{self, Paced};
use crate::operator::ranked::{self, Ranked};
use crate::order::{SortKey, put_key};
use crate::program::{ChangesSpec, Phase};
use crate::schema::Schema;
use crate::snapshot::Owned;
use crate::tally::Packed;

/// An operator over a changelog.
#[derive(Debug)]
pub(super) struct Changing {
    kind: Kind,
    /// Which of its rows are the source's: they are applied here.
    applies: OfInput,
    /// All rows go to another shard: the group without keys exists there and not here.
    elsewhere: bool,
    /// Which of its groups there can be here; `None` where their keys do not say it.
    owned: Option<Owned>,
    saving: Saving,
    seed: u64,
}

/// Where handing on to a snapshot what is kept stands.
#[derive(Debug, Default)]
struct Saving {
    groups: retract::SaveCursor,
    /// The key of the last row that stands.
    last: Option<Packed>,
    ranked: ranked::SaveCursor,
    paced: paced::SaveCursor,
}

#[derive(Debug)]
enum Kind {
    Groups(Box<Retracting>, Phase),
    First(Firsts),
    Apart(Vec<SortKey>),
    Ranked(Box<Ranked>),
    Paced(Box<Paced>),
    Captured(Box<Captured>),
}

fn ascending(keys: &[usize]) -> Vec<SortKey> {
    keys.iter().copied().map(SortKey::ascending).collect()
}

impl Changing {
    /// Over rows of `schema`, of which all are on shard 0 where they are `single`; else they were
    /// routed so.
    pub(super) fn new(
        spec: &ChangesSpec,
        schema: &Schema,
        applies: OfInput,
        (single, routed): (bool, &Routed),
        place: Place,
    ) -> Result<Self> {
        let columns = |wanted: &Schema| match same_types(wanted, schema) {
            true => Ok(()),
            false => refuse("a changelog of other columns".to_owned()),
        };
        let keyed = |keys: &[usize]| match keys.iter().all(|&k| k < schema.fields.len()) {
            true if is_weighted(schema) => Ok(()),
            _ => refuse("no such keys of a changelog".to_owned()),
        };
        let kind = match spec {
            ChangesSpec::Aggregate(spec) => {
                columns(&spec.input)?;
                Kind::Groups(Box::new(Retracting::new(spec)?), spec.phase)
            }
            ChangesSpec::MarkFirst {
                keys,
                schema: output,
            } => {
                keyed(keys)?;
                check_marked(schema, output)?;
                Kind::First(Firsts::new(keys, schema))
            }
            ChangesSpec::Apart(keys) => {
                keyed(keys)?;
                Kind::Apart(ascending(keys))
            }
            ChangesSpec::Ranked(spec) => {
                columns(&spec.input)?;
                Kind::Ranked(Box::new(Ranked::new(spec)?))
            }
            ChangesSpec::Captured(keys) => Kind::Captured(Box::new(Captured::new(keys, schema)?)),
            ChangesSpec::Paced(spec) => {
                Kind::Paced(Box::new(Paced::new(spec, schema, place.begun_ns)?))
            }
        };
        let keys = match spec {
            ChangesSpec::Aggregate(spec) => &spec.keys,
            ChangesSpec::MarkFirst { keys, .. } | ChangesSpec::Apart(keys) => keys,
            // Its rows are kept with all of their columns.
            ChangesSpec::Ranked(_) | ChangesSpec::Captured(_) | ChangesSpec::Paced(_) => {
                &(0..schema.fields.len()).collect()
            }
        };
        Ok(Self {
            kind,
            applies,
            elsewhere: place.shard > 0 && single,
            owned: place.owned(single, routed.among(keys)),
            saving: Saving::default(),
            seed: place.seed,
        })
    }

    /// The next rows of state, for a snapshot; `None` behind the last.
    pub(super) fn save(&mut self) -> Option<RecordBatch> {
        let saving = &mut self.saving;
        match &self.kind {
            Kind::Groups(groups, _) => groups.save(&mut saving.groups),
            Kind::First(rows) => rows.save(&mut saving.last),
            Kind::Apart(_) => None,
            Kind::Captured(rows) => rows.save(&mut saving.last),
            Kind::Ranked(rows) => rows.save(&mut saving.ranked),
            Kind::Paced(changes) => changes.save(&mut saving.paced),
        }
    }

    /// Takes those rows of state up that are owned here.
    pub(super) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let owned = Owned::of_state(self.owned.as_ref(), same_shard)?;
        match &mut self.kind {
            Kind::Groups(groups, _) => groups.load(rows, owned, self.seed),
            Kind::First(kinds) => kinds.load(rows, owned, self.seed),
            Kind::Ranked(ranked) => ranked.load(rows, owned, self.seed),
            Kind::Captured(captured) => captured.load(rows, owned, self.seed),
            Kind::Paced(paced) => paced.load(rows, owned, self.seed),
            Kind::Apart(_) => {
                let message = "there is state of changes that have none".to_owned();
                Err(Error::Restore(message))
            }
        }
    }

    /// How many rows or groups it keeps.
    pub(super) fn state_rows(&self) -> usize {
        match &self.kind {
            Kind::Groups(groups, _) => groups.groups(),
            Kind::First(kinds) => kinds.len(),
            Kind::Apart(_) => 0,
            Kind::Ranked(rows) => rows.rows(),
            Kind::Paced(changes) => changes.len(),
            Kind::Captured(rows) => rows.len(),
        }
    }

    /// How many of the source's rows a frame has that end here.
    fn applied(&self, frame: &Frame) -> u64 {
        match self.kind {
            Kind::Groups(..) | Kind::Ranked(_) | Kind::Paced(_) | Kind::Captured(_) => {
                self.applies.of(frame)
            }
            Kind::First(_) | Kind::Apart(_) => 0,
        }
    }

    /// Takes the rows of a frame from `*taken` on, as far as `out` has room for what they give.
    pub(super) fn take_more(
        &mut self,
        frame: &Frame,
        taken: &mut usize,
        end: &mut End<'_>,
        out: &mut Frame,
    ) -> Result<Flow> {
        if *taken == 0 {
            end.counters.rows_applied += self.applied(frame);
        }
        let upto = self.take(frame, *taken, out)?;
        // What the last row changes may not have found room.
        let is_pending = matches!(&self.kind, Kind::Ranked(rows) if rows.is_pending());
        Ok(resume(taken, upto, frame.rows() + usize::from(is_pending)))
    }

    /// Takes the rows of a frame from row `from` on, as far as `out` has room for what they give.
    /// Gives the first row that is left.
    fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> Result<usize> {
        assert!(!self.elsewhere, "a row came to a shard that is sent none");
        match &mut self.kind {
            Kind::Groups(groups, _) => groups.take(frame, from, out),
            Kind::Ranked(rows) => rows.take(frame, from, out),
            Kind::First(rows) => {
                rows.mark(frame, out);
                Ok(frame.rows())
            }
            Kind::Apart(keys) => {
                apart(keys, frame, out);
                Ok(frame.rows())
            }
            Kind::Paced(changes) => {
                changes.update(frame);
                Ok(frame.rows())
            }
            Kind::Captured(rows) => Ok(rows.take(frame, from, out)),
        }
    }

    /// What tells of changes from time to time, if this does.
    pub(super) fn paced(&mut self) -> Option<&mut Paced> {
        match &mut self.kind {
            Kind::Paced(changes) => Some(changes),
            Kind::Groups(..)
            | Kind::First(..)
            | Kind::Apart(_)
            | Kind::Ranked(_)
            | Kind::Captured(_) => None,
        }
    }

    /// Writes what a mark sets free into `out`, as far as there is room.
    pub(super) fn emit(&mut self, mark: Mark, out: &mut Frame) -> Result<Flow> {
        let progress = match (&mut self.kind, mark) {
            _ if self.elsewhere => Progress::Done,
            (Kind::Groups(groups, _), Mark::End) => groups.end(out)?,
            (Kind::Ranked(rows), Mark::End) => rows.emit(None, out)?,
            (Kind::Ranked(rows), Mark::Watermark(time)) => rows.emit(Some(time), out)?,
            // What was stopped has changed so far.
            (Kind::Paced(changes), Mark::End) => changes.end(false, out)?,
            (Kind::Paced(changes), Mark::Stop) => changes.end(true, out)?,
            _ => Progress::Done,
        };
        Ok(match progress {
            Progress::Done => Flow::Done,
            Progress::Full => Flow::Full,
        })
    }

    /// A window that is closed before is closed behind, but for groups that leave at the end.
    pub(super) fn forwards(&self, mark: Mark) -> bool {
        match (mark, &self.kind) {
            (Mark::Watermark(_), Kind::Groups(_, phase)) => *phase == Phase::Changes,
            (Mark::ChunkEnd | Mark::SplitEnd, Kind::Groups(..) | Kind::Ranked(_)) => false,
            _ => true,
        }
    }
}

/// Refuses marks that have no column before the changelog's.
fn check_marked(input: &Schema, output: &Schema) -> Result<()> {
    let mut types: Vec<_> = input.types().collect();
    types.insert(
        types.len().saturating_sub(1),
        &arrow_schema::DataType::Boolean,
    );
    match is_weighted(output) && output.types().eq(types) {
        true => Ok(()),
        false => refuse("first rows of a changelog are marked in no column".to_owned()),
    }
}

/// Appends the rows of a frame; updates whose rows differ by the keys become a deletion and an
/// insertion.
fn apart(keys: &[SortKey], frame: &Frame, out: &mut Frame) {
    out.append_range(frame, 0..frame.rows());
    let mut ops = changelog::given(frame).to_vec();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for row in 0..frame.rows() {
        if changelog::is_update(frame, row) {
            before.clear();
            after.clear();
            put_key(&mut before, frame, row, keys);
            put_key(&mut after, frame, row + 1, keys);
            if before != after {
                (ops[row], ops[row + 1]) = (DELETE, INSERT);
            }
        }
    }
    changelog::set_last(out, &ops);
}
