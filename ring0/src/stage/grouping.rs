//! An aggregation as the operator of a chain: which key groups it holds, and what marks set free.

use std::sync::Arc;

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
use crate::operator::aggregate::{Aggregate, EmitCursor, Progress};
use crate::program::{AggregateSpec, Phase, Routing};
use crate::schema::Schema;

/// An aggregation on one shard, and what its stage has to know of it.
#[derive(Debug)]
pub(super) struct AggregateState {
    spec: Arc<AggregateSpec>,
    aggregate: Aggregate,
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
    seed: u64,
}

impl AggregateState {
    /// An aggregation of rows of `schema`. While columns are where the exchange had them, its keys
    /// come from this shard's own groups only if they were routed by just these.
    pub(super) fn new(
        spec: &Arc<AggregateSpec>,
        schema: &Schema,
        input: ChainInput<'_>,
        as_routed: bool,
        place: Place,
    ) -> Result<Self> {
        if !same_types(&spec.input, schema) {
            return refuse("an aggregation of other columns".to_owned());
        }
        let keys = spec.hashed_keys();
        let (first_group, groups) = match input {
            ChainInput::Exchange(Routing::Hash(by)) if as_routed && *by == keys => {
                (place.first_group, place.groups)
            }
            ChainInput::Exchange(_) | ChainInput::Source(..) => (0, KEY_GROUPS as u32),
        };
        Ok(Self {
            aggregate: Aggregate::new(Arc::clone(spec), first_group, groups, place.addresses)?,
            spec: Arc::clone(spec),
            keys,
            applies: OfInput::None,
            elsewhere: place.shard > 0 && input.is_single(),
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
        if self.spec.phase == Phase::Changes {
            return self.aggregate.change(frame, &self.hashes, from, out);
        }
        self.aggregate.update(frame, &self.hashes)?;
        Ok(frame.rows())
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
            self.aggregate.mark(frame, &self.hashes, &mut self.first)?;
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

    /// Forgets what a mark says is over.
    pub(super) fn forget(&mut self, mark: Mark) {
        if let Mark::Watermark(time) = mark {
            self.aggregate.close(time);
        }
    }

    /// Writes the groups that a mark sets free into `out`, as far as there is room.
    pub(super) fn emit(&mut self, mark: Mark, out: &mut Frame) -> Result<Flow> {
        let upto = match mark {
            _ if self.elsewhere => return Ok(Flow::Done),
            Mark::End => None,
            Mark::Watermark(t) if self.spec.window.is_some() => Some(t),
            Mark::Watermark(_) | Mark::ChunkEnd | Mark::Barrier(_) | Mark::Stop => {
                return Ok(Flow::Done);
            }
        };
        if self.spec.phase == Phase::Changes {
            match upto {
                None => self.aggregate.end_changes(out)?,
                Some(t) => self.aggregate.close(t),
            }
            return Ok(Flow::Done);
        }
        Ok(match self.aggregate.emit(upto, &mut self.cursor, out)? {
            Progress::Done => {
                self.cursor = EmitCursor::default();
                Flow::Done
            }
            Progress::Full => Flow::Full,
        })
    }
}
