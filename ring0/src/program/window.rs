//! Windows that rows are put into, and when a row is too late for its own.

use std::sync::Arc;

use super::aggregate::AggregateSpec;
use crate::column::Column;
use crate::frame::Frame;
use crate::schema::Schema;

/// Which overlapping windows a row is put into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowsSpec {
    /// The event time column, a TIMESTAMP.
    pub time: usize,
    /// The column that is the window's start in the results, where one is wanted: this one or
    /// another of its type.
    pub start: Option<usize>,
    /// The same of the window's end.
    pub end: Option<usize>,
    /// Nanoseconds of one unit of these columns.
    pub unit_ns: i64,
    /// The column with the row's watermark in nanoseconds, a BIGINT: windows that end at or before
    /// it are closed, and a row without another is late. `None`: all are open.
    pub bound: Option<usize>,
    /// How windows lie.
    pub shape: WindowShape,
    /// The result's columns: the input's, and, where its rows are a source's and were not taken
    /// apart before, the last one of [`super::OperatorSpec::Unnest`].
    pub schema: Arc<Schema>,
}

/// How overlapping windows lie, in a time column's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowShape {
    /// Windows of `size` begin every `slide`.
    Hopping {
        /// At least the slide.
        size: i64,
        /// Above 0.
        slide: i64,
        /// Where one begins, from 0 to below the slide.
        offset: i64,
    },
    /// From where every `size` begins one window ends every `step`, the last where the next begins.
    Cumulating {
        /// At least the step.
        size: i64,
        /// Above 0.
        step: i64,
        /// Where windows begin, from 0 to below the size.
        offset: i64,
    },
}

/// An aggregation by hopping windows, whose rows come once: sums of panes are those of windows. Its
/// output's columns: the keys, the window's start among them, then one for each call.
#[derive(Debug, Clone, PartialEq)]
pub struct PanesSpec {
    /// What to compute of each window, in one phase, of native aggregates. Where its window's key
    /// is to be, the event time is, a TIMESTAMP.
    pub aggregate: AggregateSpec,
    /// The column with the row's watermark in nanoseconds, a BIGINT: a row counts in those of its
    /// windows that end behind it, of which there is one, and windows close at watermarks. `None`:
    /// all are open, to the end of the input.
    pub bound: Option<usize>,
    /// How windows lie; they hop.
    pub shape: WindowShape,
}

/// Windows into which a time is put later, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Windows that overlap.
    Windows(WindowShape),
    /// A session that ends with a pause of so much, above 0.
    Session(i64),
}

/// When a row is late: when the watermark that it carries, its own split's at the time it was read,
/// has reached the end of its window, of several the last one's. Without a window, when it lies
/// before that watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRule {
    /// The event time column, a TIMESTAMP.
    pub time: usize,
    /// Nanoseconds of one unit of that column.
    pub unit_ns: i64,
    /// The column with the row's watermark in nanoseconds, a BIGINT.
    pub bound: usize,
    /// Size of the window, in the time column's unit; 0 without one.
    pub size: i64,
    /// From one window's start to the next, in that unit: of tumbling windows the size.
    pub slide: i64,
    /// Offset of the window, in the time column's unit.
    pub offset: i64,
}

impl LateRule {
    /// Appends the rows of `frame` that are not late.
    pub fn on_time(&self, frame: &Frame, rows: &mut Vec<u32>) {
        let (Column::I64(times), Column::I64(bounds)) =
            (&frame.columns[self.time], &frame.columns[self.bound])
        else {
            panic!("event time and its bound are 64-bit columns");
        };
        let pairs = times.values.iter().zip(&bounds.values).enumerate();
        // Between windows with gaps a time may lie behind the last one's end.
        let is_held = self.size == 0 || self.size >= self.slide;
        rows.extend(pairs.filter_map(|(row, (&time, &bound))| {
            // Most rows are not behind their watermark at all: what ends behind them, and to divide
            // their times costs more than all else here. The least number stands for no watermark,
            // also for times before what it is.
            let time_ns = time.checked_mul(self.unit_ns);
            let is_ahead = is_held && time_ns.is_some_and(|ns| ns >= bound);
            let open =
                is_ahead || bound == i64::MIN || self.window_end_ns(time) > i128::from(bound);
            open.then_some(row as u32)
        }));
    }

    /// The least watermark, in nanoseconds, for which a row of `frame` is late that is late.
    pub(crate) fn late_from_ns(&self, frame: &Frame, row: u32) -> i64 {
        let Column::I64(times) = &frame.columns[self.time] else {
            panic!("event time is a 64-bit column");
        };
        let end = self.window_end_ns(times.values[row as usize]);
        // It is not behind the watermark that the row carries.
        i64::try_from(end).unwrap_or(i64::MIN)
    }

    /// The end of the last window that holds `time`. It may lie beyond what a BIGINT of nanoseconds
    /// holds, as that of a time in coarser units may; then the window never closes before the end
    /// of the input.
    fn window_end_ns(&self, time: i64) -> i128 {
        if self.size == 0 {
            // An instant is over one nanosecond later.
            return i128::from(time) * i128::from(self.unit_ns) + 1;
        }
        let into = match time.checked_sub(self.offset) {
            Some(since) => since.rem_euclid(self.slide),
            // The offset is less than the slide, so that the sum does not overflow.
            None => (time.rem_euclid(self.slide) - self.offset).rem_euclid(self.slide),
        };
        let end = i128::from(time) - i128::from(into) + i128::from(self.size);
        end * i128::from(self.unit_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;
    use arrow_schema::{DataType, TimeUnit};
    use proptest::prelude::*;

    fn on_time(rule: LateRule, time: i64, bound: i64) -> bool {
        let time_type = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let schema = Schema::new(vec![
            Field::new("t", time_type),
            Field::new("w", DataType::Int64),
        ]);
        let mut frame = Frame::new(&schema, 1);
        for (column, value) in frame.columns.iter_mut().zip([time, bound]) {
            let Column::I64(c) = column else {
                panic!("not of eight bytes")
            };
            c.push(Some(value));
        }
        frame.commit_rows(1);
        let mut rows = Vec::new();
        rule.on_time(&frame, &mut rows);
        rows == [0]
    }

    fn number() -> impl Strategy<Value = i64> {
        let ends = prop_oneof![Just(i64::MIN), Just(0), Just(i64::MAX)];
        let near = (ends, -40i64..40).prop_map(|(end, by)| end.saturating_add(by));
        prop_oneof![near, any::<i64>()]
    }

    /// Without a window a row is late when it lies before its watermark.
    #[test]
    fn an_instant_is_late_behind_its_watermark() {
        let rule = |unit_ns| LateRule {
            time: 0,
            unit_ns,
            bound: 1,
            size: 0,
            slide: 0,
            offset: 0,
        };
        for (time, unit_ns, bound, want) in [
            (5, 1, 5, true),
            (5, 1, 6, false),
            (5, 1000, 5000, true),
            (5, 1000, 5001, false),
            (i64::MIN, 1000, i64::MIN, true),
            (i64::MAX, 1000, i64::MAX, true),
        ] {
            assert_eq!(
                on_time(rule(unit_ns), time, bound),
                want,
                "{time} of {unit_ns}, {bound}"
            );
        }
    }

    proptest! {
        /// As in arithmetic without bounds; without a watermark nothing is late.
        #[test]
        fn late_is_what_ends_at_the_watermark(
            time in number(),
            bound in number(),
            size in prop_oneof![1i64..100, 1..=i64::MAX],
            slides in prop_oneof![Just(1), 1i64..20],
            part in 0i64..100,
            unit_ns in prop::sample::select(vec![1i64, 1000, 1_000_000, 1_000_000_000]),
        ) {
            let slide = (size / slides).max(1);
            let offset = (i128::from(slide) * i128::from(part) / 100) as i64;
            let rule = LateRule { time: 0, unit_ns, bound: 1, size, slide, offset };
            let (t, s) = (i128::from(time), i128::from(slide));
            let start = t - (t - i128::from(offset)).rem_euclid(s);
            let end = (start + i128::from(size)) * i128::from(unit_ns);
            let want = bound == i64::MIN || end > i128::from(bound);
            prop_assert_eq!(on_time(rule, time, bound), want);
        }
    }
}
