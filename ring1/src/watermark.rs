//! Which splits of a source its watermark waits for, and which of them are to wait for others.
//! Pure: what is known of the splits and the time are arguments, and nothing is kept between two
//! calls.
//!
//! A split is idle once nothing has come from it for so long and nothing waits: the watermark goes
//! on without it. It wakes with its next record, and what the watermark was told by then holds for
//! it, too. A split whose watermark is too far ahead of the others' is not read on until they have
//! come nearer; of those that are not idle the one that is furthest behind never waits, so that
//! somebody always goes on.

use trefoil_ring0::align::{SplitFacts, SplitPolicy, Standing};

/// How long splits are waited for, and how far they may part; in nanoseconds, above 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// A split from which nothing came for so long is idle; `None`: none ever is.
    pub idle_timeout_ns: Option<i64>,
    /// A split may be ahead of the one that is furthest behind by so much; `None`: by anything.
    pub max_drift_ns: Option<i64>,
}

impl Patience {
    fn is_idle(&self, now_ns: i64, split: &SplitFacts) -> bool {
        let quiet_ns = now_ns.saturating_sub(split.moved_ns);
        !split.waits && self.idle_timeout_ns.is_some_and(|most| quiet_ns >= most)
    }
}

impl SplitPolicy for Patience {
    fn judge(&self, now_ns: i64, splits: &[SplitFacts], standings: &mut Vec<Standing>) {
        let awake = splits.iter().filter(|split| !self.is_idle(now_ns, split));
        let least_ns = awake.filter_map(|split| split.watermark_ns).min();
        let furthest_ns = match (least_ns, self.max_drift_ns) {
            (Some(least_ns), Some(drift_ns)) => least_ns.saturating_add(drift_ns),
            _ => i64::MAX,
        };
        standings.clear();
        standings.extend(splits.iter().map(|split| match split.watermark_ns {
            _ if self.is_idle(now_ns, split) => Standing::Idle,
            Some(watermark_ns) if watermark_ns > furthest_ns => Standing::Ahead,
            _ => Standing::Active,
        }));
    }

    fn looks_every_ns(&self) -> Option<i64> {
        self.idle_timeout_ns
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(watermark_ns: Option<i64>, moved_ns: i64, waits: bool) -> SplitFacts {
        SplitFacts {
            watermark_ns,
            moved_ns,
            waits,
        }
    }

    fn judged(patience: Patience, now_ns: i64, splits: &[SplitFacts]) -> Vec<Standing> {
        // What was there before does not matter.
        let mut standings = vec![Standing::Idle; 3];
        patience.judge(now_ns, splits, &mut standings);
        standings
    }

    #[test]
    fn splits_are_idle_or_ahead_or_neither() {
        use Standing::{Active, Ahead, Idle};
        let both = Patience {
            idle_timeout_ns: Some(10),
            max_drift_ns: Some(100),
        };
        let cases = [
            (Patience::default(), vec![Active, Active, Active, Active]),
            (
                Patience {
                    idle_timeout_ns: Some(10),
                    max_drift_ns: None,
                },
                vec![Idle, Active, Active, Active],
            ),
            (
                Patience {
                    idle_timeout_ns: None,
                    max_drift_ns: Some(100),
                },
                vec![Active, Ahead, Ahead, Active],
            ),
            // Of those that are not idle the second is furthest behind.
            (both, vec![Idle, Active, Ahead, Active]),
        ];
        let splits = [
            split(Some(0), 90, false),
            split(Some(500), 90, true),
            split(Some(601), 91, false),
            split(None, 95, true),
        ];
        for (patience, wanted) in cases {
            assert_eq!(judged(patience, 100, &splits), wanted, "{patience:?}");
        }
        assert!(judged(both, 100, &[]).is_empty());
    }

    fn facts() -> impl Strategy<Value = SplitFacts> {
        let watermark = prop::option::of(prop_oneof![-50i64..50, Just(i64::MIN), Just(i64::MAX)]);
        let parts = (watermark, 0i64..100, any::<bool>());
        parts.prop_map(|(watermark_ns, moved_ns, waits)| split(watermark_ns, moved_ns, waits))
    }

    /// A source in small: what has come from each split, and what the watermark is then.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// So much time passes.
        Wait(i64),
        /// A record of this split waits to be read, with this time.
        Send(usize, i64),
        /// The splits are judged, and one record of each that may be read is.
        Read,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1i64..8).prop_map(Step::Wait),
            (0usize..4, 0i64..60).prop_map(|(split, time)| Step::Send(split, time)),
            Just(Step::Read),
        ]
    }

    proptest! {
        /// Nobody waits for what is idle, and somebody who is furthest behind never waits.
        #[test]
        fn somebody_goes_on(
            splits in prop::collection::vec(facts(), 0..6),
            idle in prop::option::of(1i64..80),
            drift in prop::option::of(1i64..60),
            now in 0i64..120,
        ) {
            let patience = Patience { idle_timeout_ns: idle, max_drift_ns: drift };
            let standings = judged(patience, now, &splits);
            prop_assert_eq!(standings.len(), splits.len());
            let pairs = || splits.iter().zip(&standings);
            for (split, standing) in pairs() {
                let quiet = idle.is_some_and(|idle| now - split.moved_ns >= idle);
                prop_assert_eq!(*standing == Standing::Idle, quiet && !split.waits);
            }
            let awake = || pairs().filter(|(_, s)| **s != Standing::Idle);
            let least = awake().filter_map(|(split, _)| split.watermark_ns).min();
            for (split, standing) in awake() {
                let is_least = split.watermark_ns == least || split.watermark_ns.is_none();
                prop_assert!(!is_least || *standing == Standing::Active);
                let both = split.watermark_ns.zip(least);
                let distance = both.map(|(a, b)| i128::from(a) - i128::from(b));
                let is_far = distance.zip(drift).is_some_and(|(by, drift)| by > i128::from(drift));
                prop_assert!(is_far || *standing == Standing::Active);
            }
        }

        /// However records come: all that are sent are read once nobody waits any more, the
        /// watermark never goes back, and splits do not part by more than they may and one record.
        #[test]
        fn all_that_is_sent_is_read(steps in prop::collection::vec(step(), 0..80)) {
            let patience = Patience { idle_timeout_ns: Some(20), max_drift_ns: Some(10) };
            let mut splits = [split(None, 0, false); 4];
            let mut queues: [Vec<i64>; 4] = Default::default();
            let (mut now, mut shared, mut read, mut sent) = (0, i64::MIN, 0, 0);
            let rest = std::iter::repeat_n([Step::Wait(21), Step::Read], 400).flatten();
            for step in steps.into_iter().chain(rest) {
                match step {
                    Step::Wait(by) => now += by,
                    Step::Send(to, time) => {
                        queues[to].push(time);
                        splits[to].waits = true;
                        sent += 1;
                    }
                    Step::Read => {
                        let standings = judged(patience, now, &splits);
                        for (at, standing) in standings.iter().enumerate() {
                            if *standing == Standing::Ahead || queues[at].is_empty() {
                                continue;
                            }
                            let time = queues[at].remove(0);
                            let split = &mut splits[at];
                            split.watermark_ns = split.watermark_ns.max(Some(time));
                            split.moved_ns = now;
                            split.waits = !queues[at].is_empty();
                            read += 1;
                        }
                        let standings = judged(patience, now, &splits);
                        let holding = splits.iter().zip(&standings);
                        let holding = holding.filter(|(_, s)| **s != Standing::Idle);
                        let least = holding.filter_map(|(split, _)| split.watermark_ns).min();
                        let before = shared;
                        shared = shared.max(least.unwrap_or(i64::MIN));
                        prop_assert!(shared >= before);
                    }
                }
            }
            prop_assert_eq!(read, sent);
        }
    }
}
