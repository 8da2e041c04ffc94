//! The quick way through a record: from value to value, what stands between them foreseen by
//! [`super::layout`] and compared as a whole, else read and kept. It accepts nothing that
//! [`super::fallback`] refuses and finds the same values; where it is in doubt it gives up, and
//! the record is the other parser's. So errors are never its own.

use super::layout::{Layouts, START, Step, UNNAMED, behind};
use super::names::Names;
use super::value::{Op, float, is_within, push_integer};
use super::{skip, strings};
use crate::column::Column;
use crate::format::decimal::parse_decimal;
use crate::format::number;
use crate::format::record::Tail;
use crate::format::span::{parse_span, time};
use crate::format::time::{date, since_1970, timestamp};
use crate::frame::Frame;
use crate::schema::Schema;

/// What a column takes.
#[derive(Debug)]
struct Target {
    op: Op,
    nullable: bool,
}

/// Walks over records.
#[derive(Debug)]
pub(super) struct Walker {
    layouts: Layouts,
    targets: Vec<Target>,
    /// A string without its escapes.
    buffer: Vec<u8>,
}

impl Walker {
    pub(super) fn new(schema: &Schema, names: &Names) -> Self {
        let fields = schema.fields.iter();
        Self {
            layouts: Layouts::new(names.len_max()),
            targets: fields
                .map(|field| Target {
                    op: Op::of(field),
                    nullable: field.nullable,
                })
                .collect(),
            buffer: Vec::new(),
        }
    }

    /// Appends the record at `at` to the columns of `frame` as row `row` and gives what is behind
    /// it and its newline; or `None`, and columns may have a value too many.
    #[inline]
    pub(super) fn walk(
        &mut self,
        names: &mut Names,
        bytes: &[u8],
        mut at: usize,
        tail: Tail,
        frame: &mut Frame,
        row: usize,
    ) -> Option<usize> {
        let (mut place, mut filled) = (START, 0);
        loop {
            let step = match self.layouts.foresee(place, bytes, at) {
                Some(step) => step,
                None => self.look(names, place, bytes, at, tail)?,
            };
            place = step.place;
            at = match step.op {
                Op::Skip => skip::value(bytes, step.at)?,
                Op::End => {
                    at = step.at;
                    break;
                }
                Op::Doubt | Op::Json | Op::Binary => return None,
                op => {
                    filled += 1;
                    let column = &mut frame.columns[step.column as usize];
                    if column.len() != row {
                        return None;
                    }
                    match append(op, bytes, step.at, column, &mut self.buffer) {
                        Some(end) => end,
                        None => self.null(bytes, step, column, row)?,
                    }
                }
            };
        }
        if filled < self.targets.len() {
            self.fill(frame, row)?;
        }
        Some(at)
    }

    /// Appends the `null` that the value is instead.
    fn null(&self, bytes: &[u8], step: Step, column: &mut Column, row: usize) -> Option<usize> {
        let is_null = bytes[step.at..].starts_with(b"null") && column.len() == row;
        if !is_null || !self.targets[step.column as usize].nullable {
            return None;
        }
        column.push_null();
        Some(step.at + 4)
    }

    /// Appends NULLs to columns whose members were not there.
    #[inline(never)]
    fn fill(&self, frame: &mut Frame, row: usize) -> Option<()> {
        for (target, column) in self.targets.iter().zip(&mut frame.columns) {
            if column.len() == row {
                if !target.nullable {
                    return None;
                }
                column.push_null();
            }
        }
        Some(())
    }

    /// Reads what stands at `at`, between two values, and keeps it.
    #[inline(never)]
    fn look(
        &mut self,
        names: &mut Names,
        place: u32,
        bytes: &[u8],
        from: usize,
        tail: Tail,
    ) -> Option<Step> {
        let mut at = skip::blanks(bytes, from);
        match *bytes.get(at)? {
            b'{' if place == START => {
                at = skip::blanks(bytes, at + 1);
                if *bytes.get(at)? == b'}' {
                    return self.look_behind(place, bytes, from, at + 1, tail);
                }
            }
            b',' if place != START => at = skip::blanks(bytes, at + 1),
            b'}' if place != START => {
                return self.look_behind(place, bytes, from, at + 1, tail);
            }
            _ => return None,
        }
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let (name, end) = strings::read(bytes, at + 1, &mut self.buffer)?;
        let id = names.find_or_keep(name.as_bytes());
        at = skip::blanks(bytes, end);
        if *bytes.get(at)? != b':' {
            return None;
        }
        at = skip::blanks(bytes, at + 1);
        let column = id.and_then(|id| names.column(id));
        let step = Step {
            at,
            place: id.map_or(UNNAMED, behind),
            column: column.unwrap_or_default() as u32,
            op: column.map_or(Op::Skip, |i| self.targets[i].op),
        };
        if id.is_some() {
            self.layouts.keep(place, &bytes[from..at], step);
        }
        Some(step)
    }

    /// What is behind the object that ended before `at`.
    fn look_behind(
        &mut self,
        place: u32,
        bytes: &[u8],
        from: usize,
        at: usize,
        tail: Tail,
    ) -> Option<Step> {
        let at = skip::blanks(bytes, at);
        let mut step = Step {
            at,
            place: START,
            column: 0,
            op: Op::End,
        };
        match (bytes.get(at), tail) {
            (Some(b'\n'), _) => {
                step.at += 1;
                self.layouts.keep(place, &bytes[from..step.at], step);
                Some(step)
            }
            (None, Tail::End) => Some(step),
            _ => None,
        }
    }
}

/// Appends the value at `at` and gives where it ends; `None` for any that is not as most are.
#[inline(always)]
fn append(
    op: Op,
    bytes: &[u8],
    at: usize,
    column: &mut Column,
    buffer: &mut Vec<u8>,
) -> Option<usize> {
    let end = match (op, column) {
        (Op::Integer, Column::I64(c)) => {
            let (value, end) = number::integer(bytes, at)?;
            c.push(Some(value));
            end
        }
        (Op::Double, Column::F64(c)) => {
            let (value, end) = number::double(bytes, at)?;
            c.push(Some(value));
            end
        }
        (Op::Varchar, Column::Utf8(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(text));
            end
        }
        (Op::Timestamp(unit), Column::I64(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(timestamp(text.as_bytes(), unit)?));
            end
        }
        (Op::Date, Column::I32(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(date(text.as_bytes())?));
            end
        }
        (Op::Boolean, Column::Bool(c)) => {
            let rest = bytes.get(at..)?;
            let value = rest.starts_with(b"true");
            if !value && !rest.starts_with(b"false") {
                return None;
            }
            c.push(Some(value));
            at + if value { 4 } else { 5 }
        }
        (op, column) => append_rarer(op, bytes, at, column, buffer)?,
    };
    Some(end)
}

/// [`append`] of types that are not in most records.
#[inline(never)]
fn append_rarer(
    op: Op,
    bytes: &[u8],
    at: usize,
    column: &mut Column,
    buffer: &mut Vec<u8>,
) -> Option<usize> {
    let end = match (op, column) {
        (Op::Integer, column) => {
            let (value, end) = number::integer(bytes, at)?;
            push_integer(column, value.into())?;
            end
        }
        (Op::Float, Column::F32(c)) => {
            let (value, end) = number::double(bytes, at)?;
            c.push(Some(float(value)?));
            end
        }
        (Op::Decimal(precision, scale), Column::I128(c)) => {
            let end = number::end(bytes, at)?;
            let text = std::str::from_utf8(&bytes[at..end]).ok()?;
            c.push(Some(parse_decimal(text, precision, scale).ok()?));
            end
        }
        (Op::Instant(unit, _), Column::I64(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(timestamp(text.as_bytes(), unit)?));
            end
        }
        (Op::Instant(unit, epoch), Column::I64(c)) => {
            let (value, end) = number::integer(bytes, at)?;
            c.push(Some(since_1970(value.into(), epoch, unit)?));
            end
        }
        (Op::Time(unit), column) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            push_integer(column, time(text.as_bytes(), unit)?.into())?;
            end
        }
        (Op::Text(max), Column::Utf8(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(is_within(text, max).then_some(text)?));
            end
        }
        (Op::Interval, Column::Interval(c)) if *bytes.get(at)? == b'"' => {
            let (text, end) = strings::read(bytes, at + 1, buffer)?;
            c.push(Some(parse_span(text).ok()?));
            end
        }
        _ => return None,
    };
    Some(end)
}
