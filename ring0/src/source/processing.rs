//! Windows on processing time: the time of a row is when it was read, by the clock of the one shard
//! that reads its source, which never goes back here. So no row is late, and the watermark is that
//! clock: it goes on while nothing comes.

use crate::column::Column;
use crate::frame::Frame;
use crate::limits::pace_ms;
use crate::program::{ProcessingTime, SourceSpec};
use crate::schema::unit_nanos;
use crate::snapshot::Split;

/// The clock of a source whose rows are told by when they were read.
#[derive(Debug)]
pub(crate) struct Processing {
    spec: ProcessingTime,
    unit_ns: i64,
    now: fn() -> i64,
    /// The latest time that was read, in whole units of the column, as nanoseconds.
    reached_ns: i64,
    /// The watermark that was told.
    told_ns: i64,
}

impl Processing {
    /// That of a source which has one.
    pub(crate) fn of(source: &SourceSpec, now: fn() -> i64) -> Option<Self> {
        let spec = source.processing?;
        let data_type = &source.schema.fields[spec.column].data_type;
        let arrow_schema::DataType::Timestamp(unit, _) = data_type else {
            panic!("processing time is a TIMESTAMP, which was checked")
        };
        Some(Self {
            spec,
            unit_ns: unit_nanos(*unit),
            now,
            reached_ns: i64::MIN,
            told_ns: i64::MIN,
        })
    }

    fn read(&mut self) -> i64 {
        let now = (self.now)().div_euclid(self.unit_ns);
        self.reached_ns = self.reached_ns.max(now.saturating_mul(self.unit_ns));
        self.reached_ns.div_euclid(self.unit_ns)
    }

    /// Writes the time into the rows of a frame that was just read.
    pub(crate) fn stamp(&mut self, frame: &mut Frame) {
        let time = self.read();
        let Column::I64(times) = &mut frame.columns[self.spec.column] else {
            panic!("processing time is a TIMESTAMP")
        };
        times.values.fill(time);
    }

    /// Reads the clock where nothing came. Whether the watermark is to be told: not each time that
    /// somebody looks.
    pub(crate) fn passes(&mut self) -> bool {
        self.read();
        let least_ns = pace_ms(self.spec.every_ns) * 1_000_000;
        self.reached_ns.saturating_sub(self.told_ns) >= least_ns
    }

    /// The watermark, if it moved since the last call.
    pub(crate) fn watermark(&mut self) -> Option<i64> {
        (self.reached_ns > self.told_ns).then(|| {
            self.told_ns = self.reached_ns;
            self.told_ns
        })
    }

    /// The greatest watermark that was reached.
    pub(crate) fn reached(&self) -> Option<i64> {
        Some(self.reached_ns).filter(|time| *time > i64::MIN)
    }

    /// What is kept of it at a barrier.
    pub(crate) fn split(&self) -> Split {
        Split {
            left: 1,
            own: self.reached(),
        }
    }

    /// Goes on from there, however the clock stands now.
    pub(crate) fn go_on(&mut self, at: Split) {
        self.reached_ns = self.reached_ns.max(at.own.unwrap_or(i64::MIN));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use arrow_schema::{DataType, TimeUnit};

    use super::*;
    use crate::program::{SourceKind, SystemColumn};
    use crate::schema::{Field, Schema};

    thread_local! {
        static NOW: Cell<i64> = const { Cell::new(0) };
    }

    /// What a shard does with frames of one row, and where nothing came, at these times.
    #[test]
    fn the_clock_never_goes_back_and_is_told_now_and_then() {
        let time = DataType::Timestamp(TimeUnit::Millisecond, None);
        let schema = Arc::new(Schema::new(vec![Field::new("_timestamp", time)]));
        let frames = SourceKind::Memory {
            frames: Arc::default(),
            repeat: 1,
        };
        let mut spec = SourceSpec::new("s", Arc::clone(&schema), frames);
        spec.system = vec![SystemColumn::Ingested];
        spec.processing = Some(ProcessingTime {
            column: 0,
            every_ns: 40_000_000,
        });
        let mut clock = Processing::of(&spec, || NOW.get()).expect("it has one");
        let mut frame = Frame::new(&schema, 1);
        let mut row = |clock: &mut Processing, now_ns: i64| {
            NOW.set(now_ns);
            frame.clear();
            let Column::I64(times) = &mut frame.columns[0] else {
                panic!("a TIMESTAMP")
            };
            times.push(Some(-1));
            frame.commit_rows(1);
            clock.stamp(&mut frame);
            let Column::I64(times) = &frame.columns[0] else {
                panic!("a TIMESTAMP")
            };
            (times.get(0), clock.watermark())
        };
        assert_eq!(clock.reached(), None);
        assert_eq!(row(&mut clock, 5_999_999), (Some(5), Some(5_000_000)));
        assert_eq!(row(&mut clock, 5_000_000), (Some(5), None), "it stands");
        assert_eq!(row(&mut clock, 3_000_000), (Some(5), None), "it went back");
        assert_eq!(row(&mut clock, 7_000_000), (Some(7), Some(7_000_000)));
        NOW.set(16_999_999);
        assert!(!clock.passes(), "less than a quarter of the length");
        NOW.set(17_000_000);
        assert!(clock.passes());
        assert_eq!(clock.watermark(), Some(17_000_000));
        assert!(!clock.passes());
        let mut later = Processing::of(&spec, || NOW.get()).expect("it has one");
        later.go_on(clock.split());
        assert_eq!(row(&mut later, 0), (Some(17), Some(17_000_000)));
    }
}
