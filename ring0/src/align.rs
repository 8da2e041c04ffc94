//! The watermark of an edge whose records come from several splits: the least of theirs. Splits of
//! one source come one behind the other, so that nothing depends on who reads them or how fast: one
//! that has not begun holds the watermark at the beginning of time, and one that has ended does not
//! hold it any more. Each split's own watermark, by which its rows are late, knows of no other.

use crate::snapshot::Split;

/// What is known of a split whose records come at their own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitFacts {
    /// Its watermark, once it has had a record.
    pub watermark_ns: Option<i64>,
    /// When something came from it last, or it did itself.
    pub moved_ns: i64,
    /// Records of it are there and not read yet.
    pub waits: bool,
}

/// How a split stands among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The watermark waits for it.
    Active,
    /// The watermark goes on without it, until something comes from it.
    Idle,
    /// It is not read on until others have come nearer.
    Ahead,
}

/// Who decides how splits stand: Ring 1 does.
pub trait SplitPolicy: std::fmt::Debug + Send + Sync {
    /// Judges all splits of a source at this time, each by its place in `splits`.
    fn judge(&self, now_ns: i64, splits: &[SplitFacts], standings: &mut Vec<Standing>);

    /// How often it has to be asked where nothing comes, if at all.
    fn looks_every_ns(&self) -> Option<i64>;
}

/// Splits that come one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Splits {
    /// Those that have not ended, the one in hand included.
    left: usize,
    /// The watermark of the split in hand; the least number before it has one.
    own: i64,
    /// What was last said of the edge.
    announced: i64,
}

impl Splits {
    /// So many splits; an edge has one at the least.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            left: count.max(1),
            own: i64::MIN,
            announced: i64::MIN,
        }
    }

    /// Splits that go on behind a barrier. What was said of the edge is said again.
    pub(crate) fn going_on(at: Split) -> Self {
        Self {
            left: at.left.max(1),
            own: at.own.unwrap_or(i64::MIN),
            announced: i64::MIN,
        }
    }

    /// Where they are.
    pub(crate) fn at(&self) -> Split {
        Split {
            left: self.left,
            own: Some(self.own).filter(|own| *own > i64::MIN),
        }
    }

    /// The watermark of the split in hand.
    pub(crate) fn own(&self) -> i64 {
        self.own
    }

    /// The split in hand has come to this watermark, if it was not there before.
    pub(crate) fn raise(&mut self, watermark: i64) {
        self.own = self.own.max(watermark);
    }

    /// The split in hand has ended, and the next one begins. Behind the last one nothing does.
    pub(crate) fn end(&mut self) {
        if self.left > 1 {
            self.left -= 1;
            self.own = i64::MIN;
        }
    }

    /// The edge's watermark, if it moved since the last call.
    pub(crate) fn advance(&mut self) -> Option<i64> {
        let moved = self.left == 1 && self.own > self.announced;
        moved.then(|| {
            self.announced = self.own;
            self.own
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least of all splits' watermarks, where one that has not begun has none.
    #[test]
    fn an_edge_waits_for_the_last_of_its_splits() {
        let mut splits = Splits::new(3);
        for (time, own) in [(5, 5), (3, 5), (9, 9)] {
            splits.raise(time);
            assert_eq!((splits.own(), splits.advance()), (own, None));
        }
        splits.end();
        assert_eq!(splits.own(), i64::MIN, "each split has its own");
        splits.raise(20);
        assert_eq!(splits.advance(), None);
        splits.end();
        assert_eq!(splits.advance(), None);
        splits.raise(7);
        assert_eq!((splits.advance(), splits.advance()), (Some(7), None));
        splits.raise(6);
        assert_eq!(splits.advance(), None);
        splits.end();
        splits.raise(8);
        assert_eq!(splits.advance(), Some(8));
    }
}
