//! An aggregation as the operator of a chain: which key groups it holds, and what marks set free.

use std::sync::Arc;

use arrow_array::RecordBatch;

use super::routed::Routed;
use super::{ChainInput, Place};
use crate::check::same_types;
use crate::column::Column;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::limits::KEY_GROUPS;
use crate::lineage::OfInput;
use crate::mesh::Flow;
use crate::message::Mark;
use crate::operator::aggregate::panes::Panes;
use crate::operator::aggregate::sessions::Sessions;
use crate::operator::aggregate::{Aggregate, EmitCursor, Progress, Shared};
use crate::program::{AggregateSpec, PanesSpec, Phase, Routing, SessionSpec};
use crate::schema::Schema;
use crate::snapshot::Owned;

/// An aggregation on one shard, and what its stage has to know of it.
#[derive(Debug)]
pub(super) struct AggregateState {
    spec: Arc<AggregateSpec>,
    groups: Groups,
    /// The columns that are hashed.
    keys: Vec<usize>,
    /// Which of its rows are the source's: they are applied here.
    pub(super) applies: OfInput,
    /// All rows go to another shard: the group without keys exists there and not here.
    elsewhere: bool,
    hashes: Vec<u64>,
    /// Which rows of the frame in hand are the first of their group.
    first: Vec<bool>,
    cursor: EmitCursor,
    /// Which groups there can be here; `None` where their keys do not say it.
    owned: Option<Owned>,
    seed: u64,
}

/// What rows are grouped by.
#[derive(Debug)]
enum Groups {
    /// Keys, of which one may be a window.
    Keys(Box<Aggregate>),
    /// Keys and sessions.
    Sessions(Box<Sessions>),
    /// Keys and hopping windows.
    Panes(Box<Panes>),
}

impl Groups {
    /// Those of a mark on first rows, or of rows that were combined: neither sessions nor panes.
    fn keyed(&mut self) -> &mut Aggregate {
        match self {
            Self::Keys(groups) => groups,
            Self::Sessions(_) | Self::Panes(_) => {
                unreachable!("their rows are neither marked nor combined")
            }
        }
    }
}

impl AggregateState {
    /// An aggregation by sessions of rows of `schema`.
    pub(super) fn of_sessions(
        spec: &Arc<SessionSpec>,
        schema: &Schema,
        input: ChainInput<'_>,
        routed: &Routed,
        place: Place,
    ) -> Result<Self> {
        let aggregate = Arc::new(spec.aggregate.clone());
        Self::with(&aggregate, schema, input, routed, place, |first, groups| {
            let sessions = Sessions::new(Arc::clone(spec), first, groups, place.addresses)?;
            Ok(Groups::Sessions(Box::new(sessions)))
        })
    }

    /// An aggregation by hopping windows of rows of `schema`.
    pub(super) fn of_panes(
        spec: &Arc<PanesSpec>,
        schema: &Schema,
        input: ChainInput<'_>,
        routed: &Routed,
        place: Place,
    ) -> Result<Self> {
        let aggregate = Arc::new(spec.aggregate.clone());
        Self::with(&aggregate, schema, input, routed, place, |first, groups| {
            let panes = Panes::new(spec, first, groups, place.addresses)?;
            Ok(Groups::Panes(Box::new(panes)))
        })
    }

    /// An aggregation of rows of `schema`. While columns are where the exchange had them, its keys
    /// come from this shard's own groups only if they were routed by just these.
    pub(super) fn new(
        spec: &Arc<AggregateSpec>,
        schema: &Schema,
        input: ChainInput<'_>,
        routed: &Routed,
        place: Place,
    ) -> Result<Self> {
        Self::with(spec, schema, input, routed, place, |first, groups| {
            let spec = Arc::clone(spec);
            let aggregate = Aggregate::new(spec, first, groups, place.addresses)?;
            Ok(Groups::Keys(Box::new(aggregate)))
        })
    }

    /// An aggregation whose state is made for `groups` key groups from a first one on.
    fn with(
        spec: &Arc<AggregateSpec>,
        schema: &Schema,
        input: ChainInput<'_>,
        routed: &Routed,
        place: Place,
        make: impl FnOnce(u32, u32) -> Result<Groups>,
    ) -> Result<Self> {
        if !same_types(&spec.input, schema) {
            return refuse("an aggregation of other columns".to_owned());
        }
        let keys = spec.hashed_keys();
        let everything = (0, KEY_GROUPS as u32);
        let elsewhere = place.shard > 0 && input.is_single();
        let (first_group, groups) = match input {
            ChainInput::Exchange(Routing::Hash(by)) if routed.is_same() && *by == keys => {
                (place.first_group, place.groups)
            }
            ChainInput::Exchange(_) | ChainInput::Source(..) => everything,
        };
        let owned = place.owned(input.is_single(), routed.among(&keys));
        Ok(Self {
            groups: make(first_group, groups)?,
            spec: Arc::clone(spec),
            applies: OfInput::None,
            elsewhere,
            owned,
            keys,
            hashes: Vec::new(),
            first: Vec::new(),
            cursor: EmitCursor::default(),
            seed: place.seed,
        })
    }

    /// Takes the rows of a frame from row `from` on, as far as `out` has room for what they give.
    /// Gives the first row that is left.
    pub(super) fn take(&mut self, frame: &Frame, from: usize, out: &mut Frame) -> Result<usize> {
        assert!(!self.elsewhere, "a row came to a shard that is sent none");
        if from == 0 {
            let schema = &self.spec.input;
            hash_keys(frame, schema, &self.keys, self.seed, &mut self.hashes);
        }
        let changes = self.spec.phase == Phase::Changes;
        match &mut self.groups {
            Groups::Keys(groups) if changes => groups.change(frame, &self.hashes, from, out),
            Groups::Sessions(groups) if changes => groups.change(frame, &self.hashes, from, out),
            Groups::Keys(groups) => groups.update_some(frame, &self.hashes, from),
            Groups::Sessions(groups) => groups.update(frame, &self.hashes).map(|()| frame.rows()),
            Groups::Panes(groups) => groups.update(frame, &self.hashes).map(|()| frame.rows()),
        }
    }

    /// Takes groups that were made of rows before they crossed.
    pub(super) fn combine(&mut self, groups: &Frame) -> Result<()> {
        assert!(!self.elsewhere, "a group came to a shard that is sent none");
        self.groups.keyed().combine(groups, self.seed)
    }

    /// Whether one of the keys is a window that watermarks close.
    pub(super) fn has_windows(&self) -> bool {
        self.spec.window.is_some()
    }

    /// Whether it groups by sessions.
    pub(super) fn has_sessions(&self) -> bool {
        matches!(self.groups, Groups::Sessions(_))
    }

    /// Whether watermarks close groups.
    fn closes(&self) -> bool {
        match &self.groups {
            Groups::Keys(_) => self.spec.window.is_some(),
            Groups::Sessions(_) => true,
            Groups::Panes(panes) => panes.close(),
        }
    }

    /// Appends the rows of a frame from `from` up to `upto`, and whether each is the first of its
    /// group.
    pub(super) fn mark(
        &mut self,
        frame: &Frame,
        from: usize,
        upto: usize,
        out: &mut Frame,
    ) -> Result<()> {
        if from == 0 {
            let schema = &self.spec.input;
            hash_keys(frame, schema, &self.keys, self.seed, &mut self.hashes);
            self.groups
                .keyed()
                .mark(frame, &self.hashes, &mut self.first)?;
        }
        let (mark, columns) = out.columns.split_last_mut().expect("the mark is a column");
        for (to, given) in columns.iter_mut().zip(&frame.columns) {
            to.append_range(given, from..upto);
        }
        let Column::Bool(mark) = mark else {
            unreachable!("types are checked before")
        };
        let first = &self.first[from..upto];
        first.iter().for_each(|&f| mark.push(Some(f)));
        out.commit_rows(first.len());
        Ok(())
    }

    /// Forgets what a mark says is over, or some of it.
    pub(super) fn forget(&mut self, mark: Mark) -> Flow {
        match mark {
            Mark::Watermark(time) => flow(self.groups.keyed().close(time)),
            _ => Flow::Done,
        }
    }

    /// How many groups it has.
    pub(super) fn state_rows(&self) -> usize {
        match &self.groups {
            Groups::Keys(groups) => groups.groups(),
            Groups::Sessions(groups) => groups.groups(),
            Groups::Panes(groups) => groups.groups(),
        }
    }

    /// Whether its groups are parts, which a snapshot sends on instead of keeping them.
    pub(super) fn is_partial(&self) -> bool {
        self.spec.phase == Phase::Partial
    }

    /// The next groups as rows of state, for a snapshot; `None` behind the last.
    pub(super) fn save(&mut self) -> Result<Option<RecordBatch>> {
        if self.elsewhere {
            return Ok(None);
        }
        match &mut self.groups {
            Groups::Keys(groups) => groups.save(),
            Groups::Sessions(groups) => groups.save(),
            Groups::Panes(groups) => groups.save(),
        }
    }

    /// Keeps its groups as they are, to be handed on while rows go on changing them. False where
    /// they cannot be, or are others' to hand on.
    pub(super) fn freeze(&mut self) -> Result<bool> {
        match &mut self.groups {
            _ if self.elsewhere => Ok(false),
            Groups::Keys(groups) if groups.may_freeze() => groups.freeze().map(|()| true),
            Groups::Panes(panes) => panes.freeze().map(|()| true),
            Groups::Keys(_) | Groups::Sessions(_) => Ok(false),
        }
    }

    /// What keeps groups that can be frozen.
    pub(super) fn shared(&mut self) -> Option<&mut Shared> {
        match &mut self.groups {
            Groups::Keys(groups) => Some(groups.shared()),
            Groups::Panes(panes) => Some(panes.shared()),
            Groups::Sessions(_) => None,
        }
    }

    /// Takes those rows of state up whose groups are owned here; they are of the same shard as
    /// before, or of whichever.
    pub(super) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let owned = Owned::of_state(self.owned.as_ref(), same_shard)?;
        match &mut self.groups {
            Groups::Keys(groups) => groups.load(rows, owned, self.seed),
            Groups::Sessions(groups) => groups.load(rows, owned, self.seed),
            Groups::Panes(groups) => groups.load(rows, owned, self.seed),
        }
    }

    /// Writes the groups that a mark sets free into `out`, as far as there is room.
    pub(super) fn emit(&mut self, mark: Mark, out: &mut Frame) -> Result<Flow> {
        let upto = match mark {
            _ if self.elsewhere => return Ok(Flow::Done),
            Mark::End => None,
            // What was added up goes to who adds all of it up, so that nothing is kept here.
            Mark::Barrier(_) if self.spec.phase == Phase::Partial => None,
            Mark::Watermark(t) if self.closes() => Some(t),
            Mark::Watermark(_)
            | Mark::ChunkEnd
            | Mark::SplitEnd
            | Mark::Barrier(_)
            | Mark::Stop => {
                return Ok(Flow::Done);
            }
        };
        if self.spec.phase == Phase::Changes {
            return Ok(match (&mut self.groups, upto) {
                (Groups::Keys(groups), None) => {
                    groups.end_changes(out)?;
                    Flow::Done
                }
                (Groups::Keys(groups), Some(t)) => flow(groups.close(t)),
                (Groups::Sessions(groups), Some(t)) => flow(groups.close_upto(t)),
                (Groups::Sessions(_), None) => Flow::Done,
                (Groups::Panes(_), _) => unreachable!("panes give no changes"),
            });
        }
        let progress = match &mut self.groups {
            Groups::Keys(groups) => groups.emit(upto, &mut self.cursor, out)?,
            Groups::Sessions(groups) => groups.emit(upto, out)?,
            Groups::Panes(groups) => groups.emit(upto, out)?,
        };
        Ok(match progress {
            Progress::Done => {
                self.cursor = EmitCursor::default();
                if let (Mark::Barrier(_), Groups::Keys(groups)) = (mark, &mut self.groups) {
                    groups.begin_anew()?;
                }
                Flow::Done
            }
            Progress::Full => Flow::Full,
        })
    }
}

fn flow(progress: Progress) -> Flow {
    match progress {
        Progress::Done => Flow::Done,
        Progress::Full => Flow::Full,
    }
}
