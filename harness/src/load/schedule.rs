//! When each record is to be sent: a pure function of its number, so that what a record was late by
//! can be told afterwards, by anybody. Records of the warm-up come first, and are not measured.

use std::sync::Arc;

const SECOND_NS: u64 = 1_000_000_000;
/// Of a period of [`Shape::Burst`] one part in so many is the burst.
const BURST_PART: u64 = 10;

/// How the rate goes with time.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// It stays.
    Steady,
    /// It goes evenly to another one by the end.
    Ramp {
        /// The last rate.
        to: u64,
    },
    /// The first tenth of every period has another rate.
    Burst {
        /// That rate.
        to: u64,
        period_ns: u64,
    },
    /// The second half of every period has no record.
    OnOff { period_ns: u64 },
    /// Each record has its own time, none below the one before.
    Replay(Arc<[u64]>),
}

/// How much is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// So long, in nanoseconds.
    Time(u64),
    /// So many records.
    Rows(u64),
}

/// When each record is due, from the beginning of the run.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    shape: Shape,
    rate: u64,
    /// Records of the warm-up, and how long it is.
    warmup: u64,
    warmup_ns: u64,
    /// Records behind it.
    rows: u64,
    /// How long a ramp takes.
    ramp_s: f64,
}

/// How many of the records 0, 1, .. at this rate are due before `ns`.
fn due_before(rate: u64, ns: u64) -> u64 {
    let records = (u128::from(rate) * u128::from(ns)).div_ceil(u128::from(SECOND_NS));
    u64::try_from(records).unwrap_or(u64::MAX)
}

/// When a record of a steady rate is due.
fn steady(rate: u64, number: u64) -> u64 {
    let ns = u128::from(number) * u128::from(SECOND_NS) / u128::from(rate);
    u64::try_from(ns).unwrap_or(u64::MAX)
}

impl Schedule {
    /// A schedule at `rate` records a second, which is above 0, behind a warm-up at the same rate.
    pub(crate) fn new(shape: Shape, rate: u64, extent: Extent, warmup_ns: u64) -> Self {
        let mean = match shape {
            Shape::Ramp { to } => f64::midpoint(rate as f64, to as f64),
            _ => rate as f64,
        };
        let (rows, ramp_s) = match (&shape, extent) {
            (Shape::Replay(times), Extent::Time(ns)) => {
                (times.partition_point(|at| *at < ns) as u64, 0.0)
            }
            (Shape::Replay(times), Extent::Rows(rows)) => (rows.min(times.len() as u64), 0.0),
            (_, Extent::Rows(rows)) => (rows, rows as f64 / mean),
            (shape, Extent::Time(ns)) => {
                let seconds = ns as f64 / SECOND_NS as f64;
                (shape.before(rate, ns, mean), seconds)
            }
        };
        // Records that have times of their own have none before them.
        let warmup_ns = match shape {
            Shape::Replay(_) => 0,
            _ => warmup_ns,
        };
        Self {
            warmup: due_before(rate, warmup_ns),
            shape,
            rate,
            warmup_ns,
            rows,
            ramp_s,
        }
    }

    /// All records there are to send.
    pub(crate) fn end(&self) -> u64 {
        self.warmup.saturating_add(self.rows)
    }

    /// Those that are measured.
    pub(crate) fn measured(&self) -> u64 {
        self.rows
    }

    /// Whether a record is measured.
    pub(crate) fn is_measured(&self, number: u64) -> bool {
        number >= self.warmup
    }

    /// When a record is due, in nanoseconds from the beginning; none is before the one that has the
    /// number below its own.
    pub(crate) fn due_ns(&self, number: u64) -> u64 {
        let Some(number) = number.checked_sub(self.warmup) else {
            return steady(self.rate, number);
        };
        let rate = self.rate;
        let ns = match &self.shape {
            Shape::Steady => steady(rate, number),
            Shape::Ramp { to } => self.ramp(*to as f64, number),
            Shape::Burst { to, period_ns } => {
                let head_ns = period_ns / BURST_PART;
                let head = due_before(*to, head_ns);
                let each = head + due_before(rate, period_ns - head_ns);
                let (period, within) = (number / each, number % each);
                let ns = match within.checked_sub(head) {
                    None => steady(*to, within),
                    Some(behind) => head_ns + steady(rate, behind),
                };
                period.saturating_mul(*period_ns).saturating_add(ns)
            }
            Shape::OnOff { period_ns } => {
                let each = due_before(rate, period_ns / 2);
                let (period, within) = (number / each, number % each);
                period
                    .saturating_mul(*period_ns)
                    .saturating_add(steady(rate, within))
            }
            Shape::Replay(times) => times[number as usize],
        };
        self.warmup_ns.saturating_add(ns)
    }

    /// `t` where `from * t + slope / 2 * t^2` records are due, solved for `t` in the way that loses
    /// no digits where the slope is small.
    fn ramp(&self, to: f64, number: u64) -> u64 {
        let (from, number) = (self.rate as f64, number as f64);
        let slope = (to - from) / self.ramp_s;
        let root = (from * from + 2.0 * slope * number).max(0.0).sqrt();
        (2.0 * number / (from + root) * SECOND_NS as f64) as u64
    }
}

impl Shape {
    /// How many records are due before `ns`.
    fn before(&self, rate: u64, ns: u64, mean: f64) -> u64 {
        match self {
            Self::Steady => due_before(rate, ns),
            Self::Ramp { .. } => (mean * (ns as f64 / SECOND_NS as f64)) as u64,
            Self::Burst { to, period_ns } => {
                let head_ns = period_ns / BURST_PART;
                let within = |ns: u64| {
                    due_before(*to, ns.min(head_ns)) + due_before(rate, ns.saturating_sub(head_ns))
                };
                ns / period_ns * within(*period_ns) + within(ns % period_ns)
            }
            Self::OnOff { period_ns } => {
                let within = |ns: u64| due_before(rate, ns.min(period_ns / 2));
                ns / period_ns * within(*period_ns) + within(ns % period_ns)
            }
            Self::Replay(_) => unreachable!("its records have times of their own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape() -> impl Strategy<Value = Shape> {
        let period = 1_000_000..2_000_000_000_u64;
        prop_oneof![
            Just(Shape::Steady),
            (1..5_000_000_u64).prop_map(|to| Shape::Ramp { to }),
            (1..5_000_000_u64, period.clone())
                .prop_map(|(to, period_ns)| Shape::Burst { to, period_ns }),
            period.prop_map(|period_ns| Shape::OnOff { period_ns }),
        ]
    }

    proptest! {
        #[test]
        fn times_never_go_back_and_end_with_the_run(
            shape in shape(),
            rate in 1..5_000_000_u64,
            ns in 1..3_000_000_000_u64,
            warmup_ns in 0..10_000_000_u64,
            at in 0.0..1.0_f64,
        ) {
            let schedule = Schedule::new(shape.clone(), rate, Extent::Time(ns), warmup_ns);
            let end = schedule.end();
            // As far as floating point tells of a ramp.
            let slack = u64::from(matches!(shape, Shape::Ramp { .. })) * (ns / 1_000_000 + 1);
            let first = (at * end.saturating_sub(200) as f64) as u64;
            for number in first..end.min(first + 200) {
                let due = schedule.due_ns(number);
                prop_assert!(number == 0 || schedule.due_ns(number - 1) <= due);
                prop_assert!(due < warmup_ns + ns + slack, "{due} of {ns}");
                prop_assert_eq!(schedule.is_measured(number), due >= warmup_ns);
            }
            if !matches!(shape, Shape::Ramp { .. }) {
                prop_assert!(schedule.due_ns(end) >= warmup_ns + ns, "one more was due");
            }
        }

        #[test]
        fn so_many_are_due_as_the_rate_says(
            rate in 1..1_000_000_u64,
            to in 1..1_000_000_u64,
            part in 0.01..1.0_f64,
        ) {
            let seconds = 7.0;
            let shape = Shape::Ramp { to };
            let schedule = Schedule::new(shape, rate, Extent::Time(7 * SECOND_NS), 0);
            let t = part * seconds;
            let (from, slope) = (rate as f64, (to as f64 - rate as f64) / seconds);
            let want = from * t + slope / 2.0 * t * t;
            let (mut low, mut high) = (0, schedule.end());
            while low < high {
                let middle = low.midpoint(high);
                match (schedule.due_ns(middle) as f64) < t * SECOND_NS as f64 {
                    true => low = middle + 1,
                    false => high = middle,
                }
            }
            prop_assert!((low as f64 - want).abs() <= 1.5, "{low} instead of {want}");
        }
    }

    fn times(shape: Shape, rate: u64, extent: Extent) -> Vec<u64> {
        let schedule = Schedule::new(shape, rate, extent, 0);
        (0..schedule.end()).map(|n| schedule.due_ns(n)).collect()
    }

    #[test]
    fn each_shape_is_what_its_name_says() {
        let second = Extent::Time(SECOND_NS);
        let ms = 1_000_000;
        assert_eq!(
            times(Shape::Steady, 4, second),
            [0, 250 * ms, 500 * ms, 750 * ms]
        );
        assert_eq!(times(Shape::Steady, 1000, Extent::Rows(2)), [0, ms]);
        let period_ns = 500 * ms;
        let on_off = times(Shape::OnOff { period_ns }, 8, second);
        assert_eq!(on_off, [0, 125 * ms, 500 * ms, 625 * ms]);
        let burst = times(Shape::Burst { to: 40, period_ns }, 4, second);
        let of_one = [0, 25 * ms, 50 * ms, 300 * ms];
        let want: Vec<u64> = of_one
            .iter()
            .chain(&of_one.map(|t| t + period_ns))
            .copied()
            .collect();
        assert_eq!(burst, want);
        let replay = Shape::Replay([0, 5, 5, 9].into());
        assert_eq!(times(replay.clone(), 1, Extent::Time(9)), [0, 5, 5]);
        assert_eq!(times(replay.clone(), 1, Extent::Rows(10)), [0, 5, 5, 9]);
        let replay = Schedule::new(replay, 1, Extent::Rows(10), 7);
        assert_eq!((replay.due_ns(0), replay.end()), (0, 4));
        let behind = Schedule::new(Shape::Steady, 10, second, 200 * ms);
        assert_eq!((behind.end(), behind.measured()), (12, 10));
        assert_eq!((behind.due_ns(1), behind.due_ns(2)), (100 * ms, 200 * ms));
    }
}
