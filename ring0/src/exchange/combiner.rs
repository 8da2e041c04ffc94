//! Rows of an aggregation that become groups before they cross: a shard adds up what it reads, and
//! only sums go to the shard that owns their key. This pays where keys repeat, which is observed:
//! groups are made up to a number of them, and where there are about as many as rows, what follows
//! crosses as it is for a while, and then it is looked again.
//!
//! Groups have lanes of their own, as they have other columns than rows. Nothing is said of the
//! order in which rows and groups come to the owner, as of any rows in such an exchange; what marks
//! say is said in all lanes, behind the groups of the rows before.

use std::sync::Arc;

use super::ExchangeSender;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::hash::hash_keys;
use crate::limits::{COMBINE_PASS, COMBINE_REPEAT, KEY_GROUPS};
use crate::mesh::Flow;
use crate::message::Mark;
use crate::operator::aggregate::{Aggregate, EmitCursor, Progress};
use crate::program::AggregateSpec;
use crate::table::store::Addresses;

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it is in groups.
    Whole,
    /// It is to be sent as it is.
    Not,
    /// There is no room for the groups that leave before; it has to be offered again.
    Full,
}

/// What combines the rows that a shard sends into an exchange.
#[derive(Debug)]
pub(crate) struct Combiner {
    spec: Arc<AggregateSpec>,
    groups: Aggregate,
    /// More than these leave.
    groups_max: usize,
    /// Where they go.
    to: Box<ExchangeSender>,
    out: Frame,
    cursor: EmitCursor,
    hashes: Vec<u64>,
    seed: u64,
    /// Rows in the groups.
    rows: u64,
    /// Rows that pass before it is looked again.
    passing: u64,
    is_leaving: bool,
    is_marked: bool,
    /// Rows that became groups, in all.
    combined: u64,
    failed: Option<Error>,
}

impl Combiner {
    /// A combiner of at most `groups_max` groups and those of one frame, in `addresses`.
    pub(crate) fn new(
        spec: AggregateSpec,
        to: ExchangeSender,
        (groups_max, frame_rows): (usize, usize),
        addresses: Addresses,
        seed: u64,
    ) -> Result<Self> {
        let spec = Arc::new(spec);
        Ok(Self {
            groups: Aggregate::new(Arc::clone(&spec), 0, KEY_GROUPS as u32, addresses)?,
            groups_max,
            to: Box::new(to),
            out: Frame::new(&spec.output, frame_rows),
            cursor: EmitCursor::default(),
            hashes: Vec::new(),
            seed,
            rows: 0,
            passing: 0,
            is_leaving: false,
            is_marked: false,
            combined: 0,
            failed: None,
            spec,
        })
    }

    /// Offers a frame, of which nothing was sent.
    pub(super) fn take(&mut self, frame: &Frame) -> Taken {
        if self.is_leaving && self.leave() == Flow::Full {
            return Taken::Full;
        }
        let rows = frame.rows() as u64;
        if self.passing > 0 {
            self.passing = self.passing.saturating_sub(rows);
            return Taken::Not;
        }
        let keys = &self.spec.keys;
        hash_keys(frame, &self.spec.input, keys, self.seed, &mut self.hashes);
        if let Err(error) = self.groups.update(frame, &self.hashes) {
            self.failed.get_or_insert(error);
        }
        self.rows += rows;
        self.combined += rows;
        self.is_leaving = self.groups.groups() > self.groups_max;
        Taken::Whole
    }

    /// Sends a mark into the lanes of groups, behind all of them where something depends on it.
    pub(super) fn mark(&mut self, mark: Mark) -> Flow {
        if self.is_marked {
            return Flow::Done;
        }
        let says_all = matches!(mark, Mark::Barrier(_) | Mark::End | Mark::Stop);
        if (says_all || self.is_leaving) && self.leave() == Flow::Full {
            return Flow::Full;
        }
        let flow = self.to.mark(mark);
        self.is_marked = flow == Flow::Done;
        flow
    }

    /// The mark is in all other lanes, too.
    pub(super) fn end_mark(&mut self) {
        self.is_marked = false;
    }

    pub(super) fn end_turn(&mut self) -> bool {
        self.to.end_turn() || self.out.rows() > 0
    }

    /// Rows that became groups.
    pub(super) fn combined(&self) -> u64 {
        self.combined
    }

    /// Groups that crossed each lane.
    pub(super) fn crossed(&self) -> Vec<u64> {
        self.to.rows_crossed()
    }

    /// What went wrong, once.
    pub(super) fn take_failed(&mut self) -> Option<Error> {
        self.failed.take()
    }

    /// Sends all groups, and begins anew.
    fn leave(&mut self) -> Flow {
        match self.try_leave() {
            Ok(flow) => flow,
            Err(error) => {
                self.failed.get_or_insert(error);
                Flow::Done
            }
        }
    }

    fn try_leave(&mut self) -> Result<Flow> {
        self.is_leaving = true;
        loop {
            if self.out.rows() > 0 {
                if self.to.send(&self.out) == Flow::Full {
                    return Ok(Flow::Full);
                }
                self.out.clear();
            }
            let progress = self.groups.emit(None, &mut self.cursor, &mut self.out)?;
            if progress == Progress::Done && self.out.rows() == 0 {
                break;
            }
        }
        let groups = self.groups.groups() as u64;
        if self.rows < groups * COMBINE_REPEAT && groups > self.groups_max as u64 {
            self.passing = groups * COMBINE_PASS;
        }
        self.groups.begin_anew()?;
        self.cursor = EmitCursor::default();
        (self.rows, self.is_leaving) = (0, false);
        Ok(Flow::Done)
    }
}
