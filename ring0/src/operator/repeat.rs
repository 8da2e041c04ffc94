//! Each row several times, one for each of several sets that it is grouped by. The copies of a row,
//! or of both rows of an update, follow each other, so that nothing depends on how rows came
//! together in frames.

use arrow_schema::DataType;

use crate::changelog::{UPDATE_BEFORE, given, is_update};
use crate::column::Column;
use crate::error::{Result, refuse};
use crate::frame::Frame;
use crate::program::{LastColumn, RepeatSpec};
use crate::schema::Schema;

/// The rows that one frame becomes; they leave in as many frames as it takes.
#[derive(Debug)]
pub(crate) struct Repeat {
    times: u32,
    tail: LastColumn,
    /// For each result the row that it comes from, and which copy it is.
    rows: Vec<u32>,
    numbers: Vec<u32>,
}

impl Repeat {
    /// # Errors
    /// [`crate::error::Error::Program`] where `spec` does not fit rows of `input`.
    pub(crate) fn new(spec: &RepeatSpec, input: &Schema) -> Result<Self> {
        let mut types: Vec<&DataType> = input.types().collect();
        let tail = match spec.tail {
            LastColumn::Own => None,
            LastColumn::NewFlag => Some(&DataType::Boolean),
            LastColumn::Flag | LastColumn::Weight => types.pop(),
        };
        let is_tail = match spec.tail {
            LastColumn::Own => tail.is_none(),
            LastColumn::NewFlag | LastColumn::Flag => tail == Some(&DataType::Boolean),
            LastColumn::Weight => tail == Some(&DataType::Int8),
        };
        types.push(&DataType::Int64);
        types.extend(tail);
        if !is_tail || spec.times == 0 || !spec.schema.types().eq(types) {
            return refuse("rows that are repeated have other columns".to_owned());
        }
        Ok(Self {
            times: spec.times,
            tail: spec.tail,
            rows: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Takes a frame in hand.
    pub(crate) fn begin(&mut self, frame: &Frame) {
        self.rows.clear();
        self.numbers.clear();
        let mut row = 0;
        while row < frame.rows() {
            let is_pair = self.tail == LastColumn::Weight && is_update(frame, row);
            let end = row + 1 + usize::from(is_pair);
            for number in 0..self.times {
                self.rows.extend(row as u32..end as u32);
                self.numbers.extend((row..end).map(|_| number));
            }
            row = end;
        }
    }

    /// How many results the frame in hand has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// For each result the row that it comes from.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Appends results from `from` on as far as there is room. Gives the first that is left.
    pub(crate) fn append(&self, frame: &Frame, from: usize, out: &mut Frame) -> usize {
        let mut to = self.len().min(from + out.room());
        if self.tail == LastColumn::Weight
            && to > from
            && given(frame)[self.rows[to - 1] as usize] == UPDATE_BEFORE
        {
            to -= 1;
        }
        let (rows, numbers) = (&self.rows[from..to], &self.numbers[from..to]);
        let own = frame.columns.len()
            - usize::from(matches!(self.tail, LastColumn::Flag | LastColumn::Weight));
        let (columns, behind) = out.columns.split_at_mut(own);
        for (to, from) in columns.iter_mut().zip(&frame.columns) {
            to.append_rows(from, rows);
        }
        match behind {
            [Column::I64(out), tail @ ..] => {
                numbers.iter().for_each(|&n| out.push(Some(n.into())));
                match (self.tail, tail) {
                    (LastColumn::Own, []) => {}
                    (LastColumn::Weight, [ops]) => ops.append_rows(&frame.columns[own], rows),
                    (LastColumn::NewFlag, [Column::Bool(flags)]) => {
                        numbers.iter().for_each(|&n| flags.push(Some(n == 0)));
                    }
                    (LastColumn::Flag, [Column::Bool(flags)]) => {
                        let Column::Bool(before) = &frame.columns[own] else {
                            unreachable!("types are checked before")
                        };
                        for (&row, &number) in rows.iter().zip(numbers) {
                            let first = number == 0 && before.values.get(row as usize);
                            flags.push(Some(first));
                        }
                    }
                    _ => unreachable!("types are checked before"),
                }
            }
            _ => unreachable!("types are checked before"),
        }
        out.commit_rows(rows.len());
        to
    }
}
