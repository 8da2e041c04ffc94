//! The cells that most queries keep of one number, changed together: rows, values, sum, least and
//! greatest, in one loop over the slots instead of one a cell. Only where no value is NULL.

use super::cells::{Cell, Kind};
use super::update::{add_f64, add_i128, greater_f64, lesser_f64};
use crate::column::Column;
use crate::frame::Frame;
use crate::schema::{Physical, Schema};

const ROWS: u8 = 1;
const SUM: u8 = 2;
const MIN: u8 = 4;
const MAX: u8 = 8;

/// The cells of one column that are changed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fused {
    column: usize,
    /// Which cells there are beside the count of values.
    which: u8,
    /// Their words in the slot, 0 where there is no such cell.
    values: usize,
    rows: usize,
    sum: usize,
    min: usize,
    max: usize,
}

/// A number's cells.
trait Number: Copy {
    fn add(cell: &mut [u64; 2], value: Self);
    fn lesser(word: u64, value: Self) -> u64;
    fn greater(word: u64, value: Self) -> u64;
}

impl Number for i64 {
    #[inline(always)]
    fn add(cell: &mut [u64; 2], value: Self) {
        add_i128(cell, i128::from(value));
    }
    #[inline(always)]
    fn lesser(word: u64, value: Self) -> u64 {
        (word as i64).min(value) as u64
    }
    #[inline(always)]
    fn greater(word: u64, value: Self) -> u64 {
        (word as i64).max(value) as u64
    }
}

impl Number for f64 {
    #[inline(always)]
    fn add(cell: &mut [u64; 2], value: Self) {
        add_f64(cell, value);
    }
    #[inline(always)]
    fn lesser(word: u64, value: Self) -> u64 {
        lesser_f64(word, value)
    }
    #[inline(always)]
    fn greater(word: u64, value: Self) -> u64 {
        greater_f64(word, value)
    }
}

impl Fused {
    /// The cells to change together, if there are any, and all others. For rows as they come in.
    pub(super) fn of(cells: &[Cell], input: &Schema) -> (Option<Self>, Vec<Cell>) {
        let of_number = |cell: &&Cell| match cell.kind {
            Kind::SumInt | Kind::SumF64 | Kind::Min(_) | Kind::Max(_) => {
                let physical = input.fields[cell.column].physical();
                matches!(physical, Physical::I64 | Physical::F64)
            }
            Kind::Rows | Kind::Values | Kind::Moments | Kind::SumDecimal | Kind::Number => false,
        };
        let Some(first) = cells.iter().find(of_number) else {
            return (None, cells.to_vec());
        };
        let mut fused = Self {
            column: first.column,
            which: 0,
            values: first.values_at,
            rows: 0,
            sum: 0,
            min: 0,
            max: 0,
        };
        let mut rest = Vec::new();
        for cell in cells {
            let (which, at) = match cell.kind {
                Kind::Rows => (ROWS, &mut fused.rows),
                _ if cell.column != first.column => {
                    rest.push(*cell);
                    continue;
                }
                Kind::Values => (0, &mut fused.values),
                Kind::SumInt | Kind::SumF64 => (SUM, &mut fused.sum),
                Kind::Min(_) => (MIN, &mut fused.min),
                Kind::Max(_) => (MAX, &mut fused.max),
                Kind::Moments | Kind::SumDecimal | Kind::Number => {
                    rest.push(*cell);
                    continue;
                }
            };
            *at = cell.at;
            fused.which |= which;
        }
        (Some(fused), rest)
    }

    /// Changes the cells with the rows of `frame` from `start` on. Returns whether it could: not
    /// where a value is NULL.
    pub(super) fn apply(&self, frame: &Frame, start: usize, slots: &[*mut u64]) -> bool {
        let rows = start..start + slots.len();
        match &frame.columns[self.column] {
            column if column.validity().nulls() > 0 => return false,
            Column::I64(c) => self.dispatch(&c.values[rows], slots),
            Column::F64(c) => self.dispatch(&c.values[rows], slots),
            column => unreachable!("a column of {:?} is no number", column.physical()),
        }
        true
    }

    fn dispatch<T: Number>(&self, values: &[T], slots: &[*mut u64]) {
        macro_rules! dispatch {
            ($($which:literal)*) => {
                match self.which {
                    $($which => self.change::<T, $which>(values, slots),)*
                    _ => unreachable!("four kinds of cells"),
                }
            };
        }
        dispatch!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }

    /// One loop for each set of cells.
    fn change<T: Number, const WHICH: u8>(&self, values: &[T], slots: &[*mut u64]) {
        let Self {
            values: count,
            rows,
            sum,
            min,
            max,
            ..
        } = *self;
        for (&slot, &value) in slots.iter().zip(values) {
            // SAFETY: slots of a batch are valid; the cells lie in them, apart from each other.
            unsafe {
                *slot.add(count) += 1;
                if WHICH & ROWS != 0 {
                    *slot.add(rows) += 1;
                }
                if WHICH & SUM != 0 {
                    T::add(&mut *slot.add(sum).cast(), value);
                }
                if WHICH & MIN != 0 {
                    *slot.add(min) = T::lesser(*slot.add(min), value);
                }
                if WHICH & MAX != 0 {
                    *slot.add(max) = T::greater(*slot.add(max), value);
                }
            }
        }
    }
}
