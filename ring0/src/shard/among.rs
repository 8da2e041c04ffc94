//! Sources that go on side by side on the one shard that reads them: who is idle is not waited for,
//! and who is too far ahead of the others waits. Each is judged by its own patience, as a split is
//! among those of one source; the watermark that others have come to holds for one that is idle,
//! and what is late for it alone is counted apart.
//!
//! One that waits comes to a barrier as soon as it can, without a row where one may lie between any
//! two frames, else at the end of the chunk that it is in. Nobody waits once sources are stopped.

use std::sync::Arc;

use super::{Hand, Shard, SourceSlot};
use crate::align::{SplitFacts, SplitPolicy, Standing};
use crate::column::Column;
use crate::program::SourceSpec;
use crate::source::Source;

/// How a source stands among the others of its program.
#[derive(Debug)]
pub(crate) struct Among {
    policy: Option<Arc<dyn SplitPolicy>>,
    /// It says how far it is, and tells no watermark.
    is_only_compared: bool,
    /// Whether it has a watermark, and the column of rows' own.
    is_timed: bool,
    bound: Option<usize>,
    /// When something came from it last.
    pub(super) moved_ns: i64,
    /// What others have come to while it was idle, and what was told of its watermark.
    followed: i64,
    announced: i64,
    /// Of each row of the last frame the watermark that it had, where that was raised.
    own: Vec<i64>,
    /// It is not read on.
    pub(super) is_ahead: bool,
}

impl Among {
    pub(crate) fn new(spec: &SourceSpec, begun_ns: i64) -> Self {
        Self {
            policy: spec.policy.clone(),
            is_only_compared: spec.is_only_compared,
            is_timed: spec.event_time.is_some_and(|time| time.lag_ns.is_some()),
            bound: spec.event_time.and_then(|time| time.bound),
            moved_ns: begun_ns,
            followed: i64::MIN,
            announced: i64::MIN,
            own: Vec::new(),
            is_ahead: false,
        }
    }

    /// What others came to while it was idle, if it was, for a snapshot.
    pub(super) fn followed(&self) -> Option<i64> {
        (self.followed > i64::MIN).then_some(self.followed)
    }

    /// Goes on behind that.
    pub(crate) fn go_on(&mut self, followed: Option<i64>) {
        self.followed = followed.unwrap_or(i64::MIN);
    }

    /// What rows carry holds for all: what others had come to before they were read.
    pub(super) fn raise_bounds(&mut self, source: &mut Source) {
        self.own.clear();
        let Some(bound) = self.bound.filter(|_| self.followed > i64::MIN) else {
            return;
        };
        let rows = source.frame_mut();
        let Column::I64(bounds) = &mut rows.columns[bound] else {
            panic!("a watermark is a BIGINT")
        };
        let least = self.followed;
        if bounds.values.first().is_some_and(|first| *first < least) {
            self.own.extend_from_slice(&bounds.values);
            bounds.values.iter_mut().for_each(|b| *b = (*b).max(least));
        }
    }

    /// Of each row of the last frame the watermark that it had, where that was raised.
    pub(super) fn own_bounds(&self) -> &[i64] {
        &self.own
    }

    /// Whether it has a watermark that is told.
    pub(super) fn tells(&self) -> bool {
        !self.is_only_compared
    }

    /// What is to be told, given what moved by itself.
    pub(super) fn watermark(&mut self, own: Option<i64>) -> Option<i64> {
        if self.is_only_compared {
            return None;
        }
        if self.followed == i64::MIN {
            // As it says: what is told of a chunk that others read beside may be less again.
            self.announced = self.announced.max(own?);
            return own;
        }
        let reached = own.unwrap_or(i64::MIN).max(self.followed);
        (reached > self.announced).then(|| {
            self.announced = reached;
            reached
        })
    }

    /// Whether others have come further while it was idle than was told.
    pub(super) fn lags(&self) -> bool {
        self.tells() && self.followed > self.announced
    }
}

/// Who judges sources among each other; what it knows of them is gathered anew each time.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Of those that are read here and have not ended.
    pub(super) facts: Vec<SplitFacts>,
    idle: Vec<bool>,
    /// Whether each tells a watermark.
    tells: Vec<bool>,
    standings: Vec<Standing>,
}

impl Judge {
    fn standing(&mut self, now_ns: i64, source: &Among, at: usize) -> Standing {
        self.standings.clear();
        if let Some(policy) = &source.policy {
            policy.judge(now_ns, &self.facts, &mut self.standings);
        }
        self.standings.get(at).copied().unwrap_or(Standing::Active)
    }
}

impl Shard {
    /// Whether any of its sources is judged among others.
    pub(super) fn has_judged(sources: &[SourceSlot]) -> bool {
        let timed = || sources.iter().filter(|slot| is_among(slot));
        timed().count() > 1 && timed().any(|slot| slot.among.policy.is_some())
    }

    /// Judges the sources that go on here among each other.
    pub(super) fn judge(&mut self) {
        let now_ns = (self.now)();
        let (judge, sources) = (&mut self.judge, &mut self.sources);
        let open = |slot: &&mut SourceSlot| is_among(slot) && !slot.ended;
        judge.facts.clear();
        let facts = sources.iter_mut().filter(open).map(|slot| slot.facts());
        judge.facts.extend(facts);
        judge.idle.clear();
        judge.tells.clear();
        for (at, slot) in sources.iter_mut().filter(open).enumerate() {
            let is_idle = judge.standing(now_ns, &slot.among, at) == Standing::Idle;
            judge.idle.push(is_idle);
            judge.tells.push(slot.among.tells());
        }
        // Where all are idle that go on, what has come furthest holds, though it has ended.
        let all = sources.iter().filter(|slot| is_among(slot));
        let all = all.filter(|slot| slot.among.tells());
        let furthest = all.filter_map(|slot| slot.source.reached()).max();
        let shared = judge.shared(furthest);
        // Who is idle is not waited for.
        for (facts, is_idle) in judge.facts.iter_mut().zip(&judge.idle) {
            facts.watermark_ns = facts.watermark_ns.filter(|_| !is_idle);
        }
        for (at, slot) in sources.iter_mut().filter(open).enumerate() {
            let standing = judge.standing(now_ns, &slot.among, at);
            let is_idle = judge.idle[at];
            slot.among.is_ahead = !self.is_ending && !is_idle && standing == Standing::Ahead;
            if let (true, Some(shared)) = (is_idle, shared) {
                slot.among.followed = slot.among.followed.max(shared);
            }
        }
    }
}

impl Judge {
    /// The watermark of all that are waited for. One that has had nothing yet holds it back. Where
    /// nobody is waited for it is `furthest`.
    fn shared(&self, furthest: Option<i64>) -> Option<i64> {
        let stands = self.idle.iter().zip(&self.tells);
        let is_awaited = stands.map(|(is_idle, tells)| *tells && !is_idle);
        let awaited = self.facts.iter().zip(is_awaited);
        let mut least = None;
        for (facts, _) in awaited.filter(|(_, is_awaited)| *is_awaited) {
            let watermark = facts.watermark_ns?;
            least = Some(least.map_or(watermark, |least: i64| least.min(watermark)));
        }
        least.or(furthest)
    }
}

/// Whether a source has a watermark that is of those which meet here. One that fills the side of a
/// join is read to its end before the others are looked at.
fn is_among(slot: &SourceSlot) -> bool {
    slot.among.is_timed && !slot.is_remade && !matches!(slot.source, Source::Elsewhere)
}

impl SourceSlot {
    fn facts(&self) -> SplitFacts {
        SplitFacts {
            watermark_ns: self.source.reached(),
            moved_ns: self.among.moved_ns,
            waits: self.source.waits() || !matches!(self.hand, Hand::Empty),
        }
    }
}
