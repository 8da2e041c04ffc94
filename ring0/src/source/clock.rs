//! Event time of a split: the greatest one read, the watermark behind it, and each row's own. Where
//! shards read one file by chunks, each chunk begins anew; who takes them in order joins them.

use crate::column::Column;
use crate::frame::Frame;
use crate::program::{EventTime, SourceSpec};
use crate::schema::unit_nanos;

/// Event time of a split.
#[derive(Debug)]
pub(super) struct Clock {
    spec: EventTime,
    unit_ns: i64,
    greatest_ns: Option<i64>,
    announced: i64,
    /// The greatest watermark of the chunks before.
    before: i64,
    /// Watermarks of the rows read since the last frame.
    bounds: Vec<i64>,
}

impl Clock {
    /// The clock of a source; `None` where no watermark is needed.
    pub(super) fn new(spec: &SourceSpec) -> Option<Self> {
        let event_time = spec.event_time.filter(|e| e.lag_ns.is_some())?;
        let data_type = &spec.schema.fields[event_time.column].data_type;
        let arrow_schema::DataType::Timestamp(unit, _) = data_type else {
            panic!("event time is a TIMESTAMP")
        };
        Some(Self {
            spec: event_time,
            unit_ns: unit_nanos(*unit),
            greatest_ns: None,
            announced: i64::MIN,
            before: i64::MIN,
            bounds: Vec::new(),
        })
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
        self.announced = i64::MIN;
    }

    /// The greatest watermark so far.
    pub(super) fn reached(&self) -> Option<i64> {
        Some(self.before.max(self.watermark())).filter(|w| *w > i64::MIN)
    }

    fn watermark(&self) -> i64 {
        let lag_ns = self.spec.lag_ns.unwrap_or_default();
        self.greatest_ns
            .map_or(i64::MIN, |t| t.saturating_sub(lag_ns))
    }

    /// Notes row `row`'s watermark, which is that of the rows before it, then its event time.
    pub(super) fn tick(&mut self, frame: &Frame, row: usize) -> Result<(), String> {
        let Column::I64(times) = &frame.columns[self.spec.column] else {
            panic!("event time is a TIMESTAMP")
        };
        let time = times.get(row).ok_or("event time is NULL")?;
        self.bounds.push(self.watermark());
        let time_ns = time.saturating_mul(self.unit_ns);
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
    }

    /// The watermark, if it moved since the last call.
    pub(super) fn advance(&mut self) -> Option<i64> {
        let now = self.watermark();
        (now > self.announced).then(|| {
            self.announced = now;
            now
        })
    }
}
