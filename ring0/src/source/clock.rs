//! Event time of a split: the greatest one read, the watermark behind it, and each row's own. Where
//! shards read one file by chunks, each chunk begins anew; who takes them in order joins them.
//! Without a watermark it sees only that there is an event time.

use crate::align::Splits;
use crate::column::Column;
use crate::frame::Frame;
use crate::program::{EventTime, SourceSpec};
use crate::schema::unit_nanos;
use crate::snapshot::Split;
use crate::source::Reader;

/// Event time of a split.
#[derive(Debug)]
pub(super) struct Clock {
    spec: EventTime,
    /// A row without event time is a row like any other.
    may_be_null: bool,
    unit_ns: i64,
    ahead: Option<Ahead>,
    splits: Splits,
    /// There is no other reader.
    alone: bool,
    /// The split in hand, once there is one.
    split: Option<usize>,
    greatest_ns: Option<i64>,
    /// The greatest watermark of the chunks before.
    before: i64,
    /// Watermarks of the rows read since the last frame.
    bounds: Vec<i64>,
}

/// How far ahead of the clock an event time moves the watermark.
#[derive(Debug)]
struct Ahead {
    by_ns: i64,
    /// As far as this, until the frame is sealed; where records do not come at their own time, for
    /// ever, so that it is the same for all of them.
    upto_ns: Option<i64>,
    is_live: bool,
    now: fn() -> i64,
}

impl Ahead {
    fn of(spec: &SourceSpec, reader: Reader) -> Option<Self> {
        let by_ns = spec.max_ahead_ns?;
        let is_live = spec.kind.is_live();
        Some(Self {
            by_ns,
            upto_ns: (!is_live).then(|| reader.begun.saturating_add(by_ns)),
            is_live,
            now: reader.now,
        })
    }

    fn upto_ns(&mut self) -> i64 {
        let (by_ns, now) = (self.by_ns, self.now);
        *self
            .upto_ns
            .get_or_insert_with(|| now().saturating_add(by_ns))
    }
}

impl Clock {
    /// The clock of a source, in which this reader reads of so many splits; `None` where event time
    /// is not asked for.
    pub(super) fn new(spec: &SourceSpec, reader: Reader, splits: usize) -> Option<Self> {
        let event_time = spec.event_time?;
        let data_type = &spec.schema.fields[event_time.column].data_type;
        let arrow_schema::DataType::Timestamp(unit, _) = data_type else {
            panic!("event time is a TIMESTAMP")
        };
        Some(Self {
            spec: event_time,
            may_be_null: spec.is_only_compared,
            unit_ns: unit_nanos(*unit),
            ahead: Ahead::of(spec, reader),
            // Where there are several readers, who takes their chunks in order knows the splits.
            splits: Splits::new(if reader.shards > 1 { 1 } else { splits }),
            alone: reader.shards == 1,
            split: None,
            greatest_ns: None,
            before: i64::MIN,
            bounds: Vec::new(),
        })
    }

    /// What is known of the splits where all was read up to here, which may be a split's end; with
    /// other readers that is not known here.
    pub(super) fn split(&self, ends: bool) -> Option<Split> {
        let mut splits = self.splits;
        splits.raise(self.watermark());
        // Where nothing was read since it went on from here, the split has ended already.
        if ends && self.split.is_some() {
            splits.end();
        }
        self.alone.then(|| splits.at())
    }

    /// Goes on from there.
    pub(super) fn go_on(&mut self, at: Split) {
        if self.alone {
            self.splits = Splits::going_on(at);
            if let Some(own) = at.own {
                self.raise(own);
            }
        }
    }

    /// Sets the watermark, where it is less.
    pub(super) fn raise(&mut self, watermark_ns: i64) {
        let lag_ns = self.spec.lag_ns.unwrap_or_default();
        let time_ns = watermark_ns.saturating_add(lag_ns);
        self.greatest_ns = Some(self.greatest_ns.map_or(time_ns, |t| t.max(time_ns)));
    }

    /// The column with event time.
    pub(super) fn column(&self) -> usize {
        self.spec.column
    }

    /// A chunk begins: nothing is known of those before.
    pub(super) fn begin_chunk(&mut self) {
        self.before = self.before.max(self.watermark());
        self.greatest_ns = None;
        self.splits = Splits::new(1);
    }

    /// What is read from here on is of this split.
    pub(super) fn begin_split(&mut self, split: usize) {
        if self
            .split
            .replace(split)
            .is_some_and(|other| other != split)
        {
            self.before = self.before.max(self.watermark());
            self.greatest_ns = None;
            self.splits.end();
        }
    }

    /// The number of the split in hand, if one has begun.
    pub(super) fn split_in_hand(&self) -> Option<usize> {
        self.split
    }

    /// The greatest watermark so far.
    pub(super) fn reached(&self) -> Option<i64> {
        Some(self.before.max(self.watermark())).filter(|w| *w > i64::MIN)
    }

    fn watermark(&self) -> i64 {
        match (self.greatest_ns, self.spec.lag_ns) {
            (Some(time_ns), Some(lag_ns)) => time_ns.saturating_sub(lag_ns),
            (_, None) | (None, _) => i64::MIN,
        }
    }

    /// Notes row `row`'s watermark, which is that of the rows before it, then its event time.
    pub(super) fn tick(&mut self, frame: &Frame, row: usize) -> Result<(), String> {
        let Column::I64(times) = &frame.columns[self.spec.column] else {
            panic!("event time is a TIMESTAMP")
        };
        let Some(time) = times.get(row) else {
            return match self.may_be_null {
                true => Ok(()),
                false => Err("event time is NULL".to_owned()),
            };
        };
        if self.spec.lag_ns.is_none() {
            return Ok(());
        }
        self.bounds.push(self.watermark());
        let mut time_ns = time.saturating_mul(self.unit_ns);
        if let Some(ahead) = &mut self.ahead {
            time_ns = time_ns.min(ahead.upto_ns());
        }
        self.greatest_ns = Some(self.greatest_ns.map_or(time_ns, |t| t.max(time_ns)));
        Ok(())
    }

    /// Appends the watermarks of the rows since the last call to the column that takes them.
    pub(super) fn seal(&mut self, frame: &mut Frame) {
        if let Some(bound) = self.spec.bound
            && let Column::I64(column) = &mut frame.columns[bound]
        {
            column.values.extend_from_slice(&self.bounds);
            column.validity.push_valid(self.bounds.len());
        }
        self.bounds.clear();
        if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.is_live) {
            ahead.upto_ns = None;
        }
    }

    /// The watermark, if it moved since the last call.
    pub(super) fn advance(&mut self) -> Option<i64> {
        self.splits.raise(self.watermark());
        self.splits.advance()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_schema::{DataType, TimeUnit};

    use super::*;
    use crate::program::{GeneratorSpec, Made, SourceKind};
    use crate::schema::{Field, Schema};

    fn spec(schema: &Schema, rate: Option<u64>, ahead_s: Option<i64>) -> SourceSpec {
        let kind = SourceKind::Generator(GeneratorSpec {
            rows: None,
            rate,
            seed: 0,
            made: Made::Drawn(Vec::new()),
        });
        let mut spec = SourceSpec::new("s", Arc::new(schema.clone()), kind);
        spec.event_time = Some(EventTime {
            column: 0,
            lag_ns: Some(0),
            bound: None,
        });
        spec.max_ahead_ns = ahead_s.map(|s: i64| s * 1_000_000_000);
        spec
    }

    const READER: Reader = Reader {
        shard: 0,
        shards: 1,
        frame_rows: 4,
        chunk_bytes: 1,
        now: || 121_000_000_000,
        begun: 101_000_000_000,
    };

    fn seconds() -> Schema {
        let time = DataType::Timestamp(TimeUnit::Second, None);
        Schema::new(vec![Field::new("t", time)])
    }

    fn frame_of(given: &[i64]) -> Frame {
        let mut frame = Frame::new(&seconds(), given.len());
        let Column::I64(times) = &mut frame.columns[0] else {
            panic!("a TIMESTAMP")
        };
        given.iter().for_each(|t| times.push(Some(*t)));
        frame.commit_rows(given.len());
        frame
    }

    /// A barrier where a split has ended is told alike by who comes to it, and by who went on from
    /// there and has read nothing.
    #[test]
    fn a_split_ends_once() {
        let frame = frame_of(&[100]);
        let spec = spec(&seconds(), None, None);
        let clock = || Clock::new(&spec, READER, 3).expect("event time is asked for");
        let mut first = clock();
        first.begin_split(0);
        first.tick(&frame, 0).expect("a time");
        let told = first.split(true);
        assert_eq!(told, Some(Split { left: 2, own: None }));
        let mut second = clock();
        second.go_on(told.expect("one reader knows"));
        assert_eq!(second.split(true), told);
        second.begin_split(1);
        second.tick(&frame, 0).expect("a time");
        let own = Some(100_000_000_000);
        assert_eq!(second.split(false), Some(Split { left: 2, own }));
        assert_eq!(second.split(true), Some(Split { left: 1, own: None }));
    }

    /// One time far in the future moves the watermark as far as it may and no further: what comes
    /// behind is not late for it.
    #[test]
    fn a_time_far_ahead_moves_the_watermark_no_further_than_it_may() {
        let schema = seconds();
        for (rate, ahead_s, want_s) in [
            (
                None,
                None,
                [None, Some(100), Some(9_000_000), Some(9_000_000)],
            ),
            (None, Some(10), [None, Some(100), Some(111), Some(111)]),
            (Some(1), Some(10), [None, Some(100), Some(131), Some(131)]),
        ] {
            let spec = spec(&schema, rate, ahead_s);
            let mut clock = Clock::new(&spec, READER, 1).expect("event time is asked for");
            let frame = frame_of(&[100, 9_000_000, 105, 106]);
            let ticked = (0..4).map(|row| {
                let bound = clock.watermark();
                clock.tick(&frame, row).expect("no time is NULL");
                (bound > i64::MIN).then_some(bound / 1_000_000_000)
            });
            let got: Vec<_> = ticked.collect();
            assert_eq!(got, want_s, "{rate:?} {ahead_s:?}");
        }
    }
}
