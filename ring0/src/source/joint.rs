//! The watermark of splits that come at their own time and are read side by side: the least of
//! those that have one and are not idle. It never goes back, and what was told of it holds for
//! every split.

use std::sync::Arc;

use crate::align::{SplitFacts, SplitPolicy, Standing};
use crate::column::Column;
use crate::frame::Frame;
use crate::program::SourceSpec;

/// What is known of the splits of one source together.
#[derive(Debug)]
pub(super) struct Joint {
    policy: Option<Arc<dyn SplitPolicy>>,
    /// Whether splits have watermarks.
    is_timed: bool,
    /// The column of each row's own watermark.
    bound: Option<usize>,
    facts: Vec<SplitFacts>,
    /// How each split stands, where somebody decides that.
    standings: Vec<Standing>,
    /// The watermark of all splits, and the one that was told.
    watermark: i64,
    announced: i64,
    /// Of each row of the last frame the watermark of its own split, where that is not what the
    /// row carries.
    own: Vec<i64>,
}

impl Joint {
    pub(super) fn new(spec: &SourceSpec) -> Self {
        Self {
            policy: spec.policy.clone(),
            is_timed: spec.event_time.is_some(),
            bound: spec.event_time.and_then(|e| e.bound),
            facts: Vec::new(),
            standings: Vec::new(),
            watermark: i64::MIN,
            announced: i64::MIN,
            own: Vec::new(),
        }
    }

    /// Goes on behind this watermark, which is told again.
    pub(super) fn go_on(&mut self, watermark: Option<i64>) {
        self.watermark = watermark.unwrap_or(i64::MIN);
    }

    /// Whether somebody asks for the time.
    pub(super) fn needs_time(&self) -> bool {
        self.policy.is_some()
    }

    /// Has it decided how the splits stand now.
    pub(super) fn judge(&mut self, now_ns: i64, splits: impl Iterator<Item = SplitFacts>) {
        self.facts.clear();
        self.facts.extend(splits);
        if let Some(policy) = &self.policy {
            policy.judge(now_ns, &self.facts, &mut self.standings);
        }
    }

    /// Whether a split is not to be read on.
    pub(super) fn is_ahead(&self, at: usize) -> bool {
        self.standings.get(at) == Some(&Standing::Ahead)
    }

    /// Raises the watermark to the least of those that are waited for; whether it rose.
    ///
    /// A split whose first rows are there and not taken has none yet, and these may be older than
    /// what just raised another's: they were perhaps pushed before it. Nothing is raised then.
    pub(super) fn combine(
        &mut self,
        now_ns: i64,
        splits: impl Iterator<Item = SplitFacts>,
    ) -> bool {
        self.judge(now_ns, splits);
        let begins = |split: &SplitFacts| split.watermark_ns.is_none() && split.waits;
        if !self.is_timed || self.facts.iter().any(begins) {
            return false;
        }
        let is_awaited = |at: usize| self.standings.get(at) != Some(&Standing::Idle);
        let facts = || self.facts.iter().enumerate();
        let awaited = facts().filter(|(at, _)| is_awaited(*at));
        let least = awaited.filter_map(|(_, split)| split.watermark_ns).min();
        // Where all are idle it goes as far as it would have without the last of them.
        let furthest = || facts().filter_map(|(_, split)| split.watermark_ns).max();
        let before = self.watermark;
        if let Some(time) = least.or_else(furthest) {
            self.watermark = before.max(time);
        }
        self.watermark > before
    }

    /// Which split holds the watermark back, of those that were judged last: one whose first rows
    /// wait, or, of those that are not idle, the one furthest behind.
    pub(super) fn holder(&self) -> Option<usize> {
        let is_awaited = |at: usize| self.standings.get(at) != Some(&Standing::Idle);
        let awaited = self.facts.iter().enumerate();
        let awaited = awaited
            .filter(|(at, split)| is_awaited(*at) && (split.watermark_ns.is_some() || split.waits));
        let least = awaited.min_by_key(|(_, split)| split.watermark_ns);
        least.map(|(at, _)| at)
    }

    /// A row's watermark is that of its own split, but what was told for all holds for each.
    pub(super) fn raise_bounds(&mut self, rows: &mut Frame) {
        self.own.clear();
        let Some(bound) = self.bound else { return };
        let Column::I64(bounds) = &mut rows.columns[bound] else {
            panic!("a watermark is a BIGINT")
        };
        let least = self.watermark;
        // They never go back, so that the first one is the least.
        if bounds.values.first().is_some_and(|first| *first < least) {
            self.own.extend_from_slice(&bounds.values);
            bounds.values.iter_mut().for_each(|b| *b = (*b).max(least));
        }
    }

    /// Of each row of the last frame the watermark of its own split, where that is not what all of
    /// them carry.
    pub(super) fn own_bounds(&self) -> &[i64] {
        &self.own
    }

    /// The watermark behind the last frame, if it moved.
    pub(super) fn advance(&mut self) -> Option<i64> {
        (self.watermark > self.announced).then(|| {
            self.announced = self.watermark;
            self.watermark
        })
    }

    /// The greatest watermark that was reached.
    pub(super) fn reached(&self) -> Option<i64> {
        Some(self.watermark).filter(|w| *w > i64::MIN)
    }
}
