//! Windows that overlap: a row for each window that holds the input's row and is still open by the
//! watermark which that row carries, with the window's bounds in the columns that are to have them.
//!
//! Of a row no more is kept than its first window and how many it has, so that any ratio of size
//! to slide is as cheap to begin. A row's windows leave in the order of their bounds.

use arrow_schema::DataType;

use crate::column::{Column, Fixed};
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::kernel::RowError;
use crate::lineage::OfInput;
use crate::program::{Reach, WindowShape, WindowsSpec};
use crate::schema::Schema;

/// The rows that one frame becomes; they leave in as many frames as it takes.
#[derive(Debug)]
pub(crate) struct Windows {
    spec: WindowsSpec,
    of_input: OfInput,
    /// For each row of the input its first open window: the start, of cumulating ones the end.
    first: Vec<i64>,
    /// For each row of the input how many results it and the rows before it have.
    upto: Vec<usize>,
    /// For each result in hand the row that it comes from.
    rows: Vec<u32>,
}

/// Windows of one row that are open: the first, as [`Windows`] keeps it, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) first: i64,
    pub(super) count: usize,
}

impl Windows {
    /// Of rows of `input`, which are the source's as `of_input` says.
    ///
    /// # Errors
    /// [`crate::error::Error::Program`] where `spec` does not fit together.
    pub(crate) fn new(spec: &WindowsSpec, input: &Schema, of_input: OfInput) -> Result<Self> {
        let flag = (of_input == OfInput::All).then_some(&DataType::Boolean);
        if !spec.schema.types().eq(input.types().chain(flag)) {
            return refuse("windows make other columns".to_owned());
        }
        let type_of = |column: usize| input.types().nth(column);
        let time = type_of(spec.time);
        let fits = matches!(time, Some(DataType::Timestamp(_, None)))
            && [spec.start, spec.end]
                .into_iter()
                .flatten()
                .all(|at| type_of(at) == time)
            && (spec.start.is_none() || spec.start != spec.end)
            && spec
                .bound
                .is_none_or(|b| type_of(b) == Some(&DataType::Int64))
            && spec.shape.is_sound();
        if !fits {
            return refuse(format!("no windows are made by {:?}", spec.shape));
        }
        Ok(Self {
            spec: spec.clone(),
            of_input,
            first: Vec::new(),
            upto: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Takes a frame in hand. Gives how many rows of the source have no open window, and the rows
    /// whose windows no TIMESTAMP could tell, which have no result.
    pub(crate) fn begin(&mut self, frame: &Frame) -> (u64, Vec<RowError>) {
        let times = i64s(frame, self.spec.time);
        let bounds = self.spec.bound.map(|b| i64s(frame, b));
        self.first.clear();
        self.upto.clear();
        let (mut results, mut late, mut failed) = (0, 0, Vec::new());
        for (row, &time) in times.values.iter().enumerate() {
            let bound = bounds.map_or(i64::MIN, |b| b.values[row]);
            let open = match times.validity.is_valid(row) {
                true => self.spec.shape.open(time, self.spec.unit_ns, bound),
                false => None,
            };
            if open.is_none() {
                let message = match times.validity.is_valid(row) {
                    true => OUT_OF_RANGE,
                    false => NULL_TIME,
                };
                failed.push(RowError {
                    row: row as u32,
                    message: message.to_owned(),
                });
            } else if open.is_some_and(|o| o.count == 0) {
                late += self.of_input.of_rows(frame, &[row as u32]);
            }
            let open = open.unwrap_or(Open { first: 0, count: 0 });
            results += open.count;
            self.first.push(open.first);
            self.upto.push(results);
        }
        (late, failed)
    }

    /// Leaves out what comes of rows from `row` on.
    pub(crate) fn keep(&mut self, row: usize) {
        self.upto.truncate(row);
    }

    /// How many results the frame in hand has.
    pub(crate) fn len(&self) -> usize {
        self.upto.last().copied().unwrap_or(0)
    }

    /// The row of the frame in hand that a result comes from.
    pub(crate) fn row_of(&self, result: usize) -> usize {
        self.upto.partition_point(|&upto| upto <= result)
    }

    /// Appends the results `from..to` of the frame in hand.
    pub(crate) fn append(&mut self, frame: &Frame, from: usize, to: usize, out: &mut Frame) {
        self.rows.clear();
        let mut row = self.row_of(from);
        for result in from..to {
            while self.upto[row] <= result {
                row += 1;
            }
            self.rows.push(row as u32);
        }
        let flag = out.columns.len() - 1;
        for (number, to) in out.columns.iter_mut().enumerate() {
            let is_flag = number == flag && self.of_input != OfInput::None;
            match to {
                Column::I64(to) if Some(number) == self.spec.start => {
                    self.push_bounds(from, to, WindowShape::start)
                }
                Column::I64(to) if Some(number) == self.spec.end => {
                    self.push_bounds(from, to, WindowShape::end)
                }
                Column::Bool(flags) if is_flag => {
                    for (at, &row) in self.rows.iter().enumerate() {
                        let first = self.is_first(from + at, row as usize);
                        let before = self.of_input == OfInput::All
                            || self.of_input.of_rows(frame, &[row]) == 1;
                        flags.push(Some(first && before));
                    }
                }
                to => to.append_rows(&frame.columns[number], &self.rows),
            }
        }
        out.commit_rows(self.rows.len());
    }

    /// Whether a result is the first of its row.
    fn is_first(&self, result: usize, row: usize) -> bool {
        result == if row == 0 { 0 } else { self.upto[row - 1] }
    }

    /// Appends one bound of the windows of `rows`, the first of which is result `from`.
    fn push_bounds(&self, from: usize, to: &mut Fixed<i64>, bound: Bound) {
        for (at, &row) in self.rows.iter().enumerate() {
            let row = row as usize;
            let before = if row == 0 { 0 } else { self.upto[row - 1] };
            let number = (from + at - before) as i64;
            to.push(Some(bound(self.spec.shape, self.first[row], number)));
        }
    }
}

/// A bound of the window that lies so many behind a first one.
type Bound = fn(WindowShape, i64, i64) -> i64;

impl WindowShape {
    fn size(self) -> i64 {
        match self {
            Self::Hopping { size, .. } | Self::Cumulating { size, .. } => size,
        }
    }

    /// Whether there are such windows.
    pub(super) fn is_sound(self) -> bool {
        match self {
            Self::Hopping {
                size,
                slide,
                offset,
            } => 0 < slide && slide <= size && (0..slide).contains(&offset),
            Self::Cumulating { size, step, offset } => {
                0 < step && step <= size && (0..size).contains(&offset)
            }
        }
    }

    /// The windows that hold `time` and end behind `bound_ns`; the least number stands for no
    /// bound. `None` where a window begins or ends beyond what a TIMESTAMP tells.
    pub(super) fn open(self, time: i64, unit_ns: i64, bound_ns: i64) -> Option<Open> {
        let (first, count, end, every) = match self {
            Self::Hopping {
                size,
                slide,
                offset,
            } => {
                let into = time.checked_sub(offset)?.rem_euclid(slide);
                let last = time.checked_sub(into)?;
                last.checked_add(size)?;
                let before = (size - 1 - into) / slide;
                let first = last.checked_sub(before * slide)?;
                (first, before + 1, first + size, slide)
            }
            Self::Cumulating { size, step, offset } => {
                let into = time.checked_sub(offset)?.rem_euclid(size);
                let start = time.checked_sub(into)?;
                let last = start.checked_add(size)?;
                let first = match start.checked_add((into / step + 1).checked_mul(step)?) {
                    Some(end) => end.min(last),
                    None => last,
                };
                let count = (last - first) / step + i64::from((last - first) % step > 0) + 1;
                (first, count, first, step)
            }
        };
        let count = usize::try_from(count).ok()?;
        let ns = |units: i64| i128::from(units) * i128::from(unit_ns);
        let behind = i128::from(bound_ns) - ns(end);
        if bound_ns == i64::MIN || behind < 0 {
            return Some(Open { first, count });
        }
        // Ends that the bound has reached; of cumulating windows the last may come earlier.
        let closed = behind / ns(every) + 1;
        let closed = usize::try_from(closed).map_or(count, |c| c.min(count));
        let next = first.saturating_add(every.saturating_mul(closed as i64));
        let (first, closed) = match self {
            Self::Cumulating { .. } if closed + 1 >= count => {
                let last = Self::end(self, first, count as i64 - 1);
                match ns(last) > i128::from(bound_ns) {
                    true => (last, count - 1),
                    false => (last, count),
                }
            }
            Self::Cumulating { .. } | Self::Hopping { .. } => (next, closed),
        };
        Some(Open {
            first,
            count: count - closed,
        })
    }

    /// The start of the `number`-th window behind `first`.
    fn start(self, first: i64, number: i64) -> i64 {
        match self {
            Self::Hopping { slide, .. } => first + number * slide,
            // The end lies within the size behind the start.
            Self::Cumulating { size, offset, .. } => {
                let into = (i128::from(first) - 1 - i128::from(offset)).rem_euclid(size.into());
                (i128::from(first) - 1 - into) as i64
            }
        }
    }

    /// The end of the `number`-th window behind `first`.
    fn end(self, first: i64, number: i64) -> i64 {
        match self {
            Self::Hopping { size, .. } => self.start(first, number) + size,
            Self::Cumulating { size, step, .. } => {
                let last = self.start(first, 0) + size;
                first.saturating_add(number.saturating_mul(step)).min(last)
            }
        }
    }
}

/// Times and lengths below this have bounds that a TIMESTAMP tells, whatever the window.
const NEAR: u64 = 1 << 60;

impl Reach {
    /// Whether there are such windows.
    pub(crate) fn is_sound(self) -> bool {
        match self {
            Self::Windows(shape) => shape.is_sound(),
            Self::Session(gap) => gap > 0,
        }
    }

    /// Why a time cannot be put into them, if it cannot.
    pub(crate) fn refuses(self, time: Option<i64>) -> Option<&'static str> {
        match (time, self) {
            (None, Self::Windows(_)) => Some(NULL_TIME),
            (None, Self::Session(_)) => Some("NULL as the time of a session"),
            (Some(time), Self::Windows(shape)) => {
                let near = time.unsigned_abs().max(shape.size().unsigned_abs()) < NEAR;
                let fits = near || shape.open(time, 1, i64::MIN).is_some();
                (!fits).then_some(OUT_OF_RANGE)
            }
            (Some(time), Self::Session(gap)) => {
                let fits = time.checked_add(gap).is_some();
                (!fits).then_some("TIMESTAMP out of range in SESSION")
            }
        }
    }
}

pub(super) const NULL_TIME: &str = "NULL as the time of a window";
pub(super) const OUT_OF_RANGE: &str = "TIMESTAMP out of range in the bounds of its windows";

fn i64s(frame: &Frame, column: usize) -> &Fixed<i64> {
    match &frame.columns[column] {
        Column::I64(column) => column,
        _ => unreachable!("types are checked before"),
    }
}

#[cfg(test)]
mod tests;
