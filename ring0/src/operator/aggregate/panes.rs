//! Hopping windows by panes: a row changes the one group of its pane, and what panes hold is added
//! up when a window closes, so that a row costs the same however many windows hold it.
//!
//! A pane is what the same windows hold: of the rows of one stretch of time those that are on time,
//! and apart from them, by the first window that is still open to them, those that are late for
//! others. So a pane is told by its first and its last window, and from there on neither times nor
//! watermarks of rows matter. There is a table for each pane, and `closing` makes of them the
//! table of a window, which leaves as that of a tumbling window does.

mod closing;
mod frozen;
mod saved;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use self::closing::Closing;
use self::saved::Saving;
use super::splitter::Splitter;
use super::{Pane, Progress, Shared};
use crate::column::{Column, Fixed};
use crate::error::{Error, Result, refuse};
use crate::frame::Frame;
use crate::operator::windows::{NULL_TIME, OUT_OF_RANGE};
use crate::program::{PanesSpec, Phase, WindowShape};
use crate::table::store::Addresses;

/// The windows that hold a pane's rows, by number: window 0 begins at the offset, and each a slide
/// behind the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    first: i64,
    last: i64,
}

/// Hopping windows, in the time column's unit.
#[derive(Debug, Clone, Copy)]
struct Hops {
    size: i64,
    slide: i64,
    offset: i64,
    unit_ns: i64,
}

/// Rows that are alike: those of these times, with a watermark before `open_ns`.
#[derive(Debug, Clone)]
struct Alike {
    times: Range<i64>,
    open_ns: i64,
    span: Span,
}

/// The state of an aggregation by hopping windows on one shard.
#[derive(Debug)]
pub struct Panes {
    spec: Arc<PanesSpec>,
    hops: Hops,
    /// The input's column with the time.
    time: usize,
    shared: Shared,
    /// Panes of which no window is closed or being closed.
    open: BTreeMap<Span, Pane>,
    /// Of each row of a frame.
    spans: Vec<Span>,
    splitter: Splitter<Span>,
    closing: Closing,
    /// Where handing on the panes to a snapshot stands.
    saving: Option<Saving>,
}

impl Panes {
    /// Hopping windows of the keys whose hashes lie in `groups` key groups from `first_group` on,
    /// whose state lies in `addresses`.
    ///
    /// # Errors
    /// [`Error::Program`] where `spec` does not fit together, [`Error::Preflight`] where the
    /// system gives no memory.
    pub fn new(
        spec: &Arc<PanesSpec>,
        first_group: u32,
        groups: u32,
        addresses: Addresses,
    ) -> Result<Self> {
        let aggregate = &spec.aggregate;
        let Some(window) = aggregate.window.filter(|w| w.key < aggregate.keys.len()) else {
            return refuse("panes of no window".to_owned());
        };
        if aggregate.phase != Phase::Complete {
            return refuse(format!("panes in phase {:?}", aggregate.phase));
        }
        let is_bound = |column: &Column| matches!(column, Column::I64(_));
        let columns = Frame::new(&aggregate.input, 1).columns;
        if spec
            .bound
            .is_some_and(|b| !columns.get(b).is_some_and(is_bound))
        {
            return refuse(format!("no watermarks of rows in column {:?}", spec.bound));
        }
        let shared = Shared::new(Arc::new(aggregate.clone()), first_group, groups, addresses)?;
        let hops = match spec.shape {
            WindowShape::Hopping {
                size,
                slide,
                offset,
            } if spec.shape.is_sound() => Hops {
                size,
                slide,
                offset,
                unit_ns: shared.window_unit_ns,
            },
            shape => return refuse(format!("no panes of {shape:?}")),
        };
        Ok(Self {
            spec: Arc::clone(spec),
            hops,
            time: aggregate.keys[window.key],
            closing: Closing::new(aggregate, &shared)?,
            splitter: Splitter::new(&aggregate.input),
            shared,
            open: BTreeMap::new(),
            spans: Vec::new(),
            saving: None,
        })
    }

    /// Whether watermarks close windows.
    pub fn close(&self) -> bool {
        self.spec.bound.is_some()
    }

    /// Takes the rows of `frame`; `hashes` are those of its keys but for the window.
    ///
    /// # Errors
    /// [`Error::Row`] where a value is too long for state, an event time is NULL or in a window
    /// whose bounds no TIMESTAMP tells; memory.
    pub fn update(&mut self, frame: &Frame, hashes: &[u64]) -> Result<()> {
        assert_eq!(frame.rows(), hashes.len(), "one hash a row");
        self.put(frame)?;
        let open_to = |span: &Span| self.closing.closed.is_none_or(|c| c < span.first);
        assert!(
            self.spans.iter().all(open_to),
            "a row's watermark is not behind that of its edge"
        );
        let (panes, splitter) = (&mut self.open, &mut self.splitter);
        let mut from = 0;
        while from < hashes.len() {
            let rows = (frame, hashes, from);
            from = self.shared.apply_by(panes, splitter, &self.spans, rows)?;
        }
        Ok(())
    }

    /// Finds the pane of each row.
    fn put(&mut self, frame: &Frame) -> Result<()> {
        let wrong = |message: &str| Error::Row {
            message: message.to_owned(),
        };
        let times = i64s(frame, self.time);
        let bounds = self.spec.bound.map(|b| i64s(frame, b));
        if times.validity.nulls() > 0 {
            return Err(wrong(NULL_TIME));
        }
        self.spans.clear();
        let mut alike: Option<Alike> = None;
        for (row, &time) in times.values.iter().enumerate() {
            let bound = bounds.map_or(i64::MIN, |b| b.values[row]);
            // Times mostly lie near each other, and to divide them costs more than all else here.
            if let Some(alike) = &alike
                && alike.times.contains(&time)
                && bound < alike.open_ns
            {
                self.spans.push(alike.span);
                continue;
            }
            let span = self.hops.span(time, bound);
            let span = span.ok_or_else(|| wrong(OUT_OF_RANGE))?;
            assert!(span.first <= span.last, "late rows are dropped before");
            self.spans.push(span);
            alike = self.hops.alike(time).or(alike);
        }
        Ok(())
    }

    /// Emits the groups of windows into `out` until it is full: with `None` of all of them, the end
    /// of the input; else of those that end at or before `upto_ns`. What was emitted is gone.
    /// [`Progress::Full`] also where enough was done for one turn.
    ///
    /// # Errors
    /// [`Error::Row`] where a result does not fit its type; `out` is then of no use but cleared.
    pub fn emit(&mut self, upto_ns: Option<i64>, out: &mut Frame) -> Result<Progress> {
        let Self {
            hops,
            shared,
            open,
            closing,
            ..
        } = self;
        loop {
            if closing.go_on(shared, |window| hops.start(window), out)? == Progress::Full {
                return Ok(Progress::Full);
            }
            match closing.next(open) {
                Some(w) if upto_ns.is_none_or(|upto| hops.end_ns(w) <= i128::from(upto)) => {
                    closing.begin(w, open, shared)?;
                }
                _ => return Ok(Progress::Done),
            }
        }
    }

    /// Number of groups of panes, of those that are being closed included.
    pub fn groups(&self) -> usize {
        let open = self.open.values().map(|pane| pane.table.len());
        open.sum::<usize>() + self.closing.groups()
    }

    /// Pages of state in use.
    pub fn pages(&self) -> usize {
        self.shared.store.used()
    }
}

impl Hops {
    fn shape(self) -> WindowShape {
        let Self {
            size,
            slide,
            offset,
            ..
        } = self;
        WindowShape::Hopping {
            size,
            slide,
            offset,
        }
    }

    /// The windows that hold `time` and end behind `bound_ns`; `None` where a window begins or ends
    /// beyond what a TIMESTAMP tells.
    fn span(self, time: i64, bound_ns: i64) -> Option<Span> {
        let open = self.shape().open(time, self.unit_ns, bound_ns)?;
        let last = time.checked_sub(self.offset)?.div_euclid(self.slide);
        let first = last.checked_sub(open.count as i64)? + 1;
        Some(Span { first, last })
    }

    /// The rows that are in all windows that `time` is in, where times near it are far from the
    /// ends of what a TIMESTAMP tells.
    fn alike(self, time: i64) -> Option<Alike> {
        let span = self.span(time, i64::MIN)?;
        let begin = self.start(span.last);
        // Where a window ends between two starts, fewer hold what comes behind it.
        let ends = begin.checked_add(self.size % self.slide)?;
        let times = match time < ends {
            true => begin..ends,
            false => ends..begin.checked_add(self.slide)?,
        };
        let open_ns = self.end_ns(span.first).min(i128::from(i64::MAX));
        Some(Alike {
            times,
            open_ns: i64::try_from(open_ns).unwrap_or(i64::MIN),
            span,
        })
    }

    /// Where a window begins; those of panes begin where a TIMESTAMP tells it.
    fn start(self, window: i64) -> i64 {
        // What is between may lie beyond.
        self.offset.wrapping_add(window.wrapping_mul(self.slide))
    }

    fn end_ns(self, window: i64) -> i128 {
        let start = i128::from(self.offset) + i128::from(window) * i128::from(self.slide);
        (start + i128::from(self.size)) * i128::from(self.unit_ns)
    }
}

fn i64s(frame: &Frame, column: usize) -> &Fixed<i64> {
    match &frame.columns[column] {
        Column::I64(column) => column,
        _ => unreachable!("types are checked before"),
    }
}

#[cfg(test)]
mod tests;
