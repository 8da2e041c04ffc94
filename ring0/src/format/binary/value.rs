//! Values of records of a frame on their way into a column: first whether they are values of its
//! type, then all of them at once.

use std::ops::Range;

use arrow_schema::{DataType, TimeUnit};

use super::span::{Cursor, Lengths, Span};
use crate::column::{Binaries, Bools, Column, Fixed, Interval, Strings};
use crate::format::ndjson::is_within;
use crate::format::time::shorten;
use crate::schema::{Field, unit_nanos};

/// Some records' values of a column.
#[derive(Debug)]
pub(super) struct Part<'a> {
    span: &'a Span,
    frame: &'a [u8],
    rows: Range<usize>,
    /// The bytes of values of any length, from those of the first row on.
    data: &'a [u8],
}

/// A value that is none of the column's: its row, and why.
type Bad = Option<(usize, String)>;

const DAY_NS: i64 = 86_400_000_000_000;

impl<'a> Part<'a> {
    pub(super) fn new(
        span: &'a Span,
        cursor: &Cursor,
        frame: &'a [u8],
        rows: Range<usize>,
    ) -> Self {
        Self {
            span,
            data: &frame[span.data.start + cursor.at..span.data.end],
            frame,
            rows,
        }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.span.is_valid(self.frame, row)
    }

    /// The values of one width.
    fn values<const N: usize>(&self) -> &'a [[u8; N]] {
        let (values, rest) = self.frame[self.span.values.clone()].as_chunks();
        debug_assert!(rest.is_empty());
        &values[self.rows.clone()]
    }

    /// The first row whose value is not NULL, and is not what it should be.
    fn first<const N: usize>(&self, is: impl Fn([u8; N]) -> bool) -> Option<usize> {
        let rows = self.rows.clone().zip(self.values());
        let mut bad = rows.filter(|(_, value)| !is(**value));
        bad.find(|(row, _)| self.is_valid(*row)).map(|(row, _)| row)
    }

    /// The first row that has no value a column of this field can hold.
    pub(super) fn first_bad(&self, field: &Field) -> Bad {
        let mut bad = self.first_bad_value(field);
        if !field.nullable && self.span.bits.is_some() {
            let upto = bad.as_ref().map_or(self.rows.end, |(row, _)| *row);
            let null = (self.rows.start..upto).find(|row| !self.is_valid(*row));
            bad = null
                .map(|row| (row, "null where null cannot be".to_owned()))
                .or(bad);
        }
        bad
    }

    fn first_bad_value(&self, field: &Field) -> Bad {
        let day = |unit: TimeUnit| DAY_NS / unit_nanos(unit);
        let (row, message) = match &field.data_type {
            DataType::Boolean => (
                self.first(|[byte]: [u8; 1]| byte < 2),
                "a BOOLEAN is 0 or 1",
            ),
            DataType::Time32(unit) => (
                self.first(|bytes| (0..day(*unit)).contains(&i64::from(i32::from_le_bytes(bytes)))),
                "a TIME is within a day",
            ),
            DataType::Time64(unit) => (
                self.first(|bytes| (0..day(*unit)).contains(&i64::from_le_bytes(bytes))),
                "a TIME is within a day",
            ),
            DataType::Decimal128(precision, _) => {
                let most = 10_u128.pow(u32::from(*precision));
                let fits = |bytes| i128::from_le_bytes(bytes).unsigned_abs() < most;
                (self.first(fits), "it has more digits than the DECIMAL")
            }
            DataType::Utf8 => return self.first_bad_text(field),
            _ => return None,
        };
        row.map(|row| (row, message.to_owned()))
    }

    /// The values of any length, and their rows.
    fn each(&self) -> impl Iterator<Item = (usize, &'a [u8])> {
        let lengths = self.span.lengths(self.frame);
        let mut rest = self.data;
        self.rows.clone().map(move |row| {
            let length = lengths.map_or(0, |lengths| lengths.get(row));
            let (value, behind) = rest.split_at(length);
            rest = behind;
            (row, value)
        })
    }

    /// All texts as one, where each of them is text, those in the place of a NULL as well.
    fn whole_text(&self) -> Option<(&'a str, Lengths<'a>)> {
        let lengths = self.span.lengths(self.frame)?;
        let bytes = &self.data[..lengths.sum(self.rows.clone())];
        let text = std::str::from_utf8(bytes).ok()?;
        let mut end = 0;
        let ends_well = |row| {
            end += lengths.get(row);
            text.is_char_boundary(end)
        };
        let mut rows = self.rows.clone();
        rows.all(ends_well).then_some((text, lengths))
    }

    fn first_bad_text(&self, field: &Field) -> Bad {
        let takes_all = !field.json && field.length_max.is_none();
        if takes_all && self.whole_text().is_some() {
            return None;
        }
        let refusal = |bytes: &[u8]| {
            let Ok(text) = std::str::from_utf8(bytes) else {
                return Some("invalid utf-8".to_owned());
            };
            if field.json && serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() {
                return Some(format!("expected JSON, found {}", shorten(text)));
            }
            let most = field.length_max?;
            let told = || format!("{} is too long for VARCHAR({most})", shorten(text));
            (!is_within(text, most)).then(told)
        };
        let refused = |(row, value)| match self.is_valid(row) {
            true => refusal(value).map(|message| (row, message)),
            false => None,
        };
        self.each().find_map(refused)
    }

    /// Appends all, which are fine.
    pub(super) fn append(&self, column: &mut Column) {
        match column {
            Column::Bool(c) => self.bools(c),
            Column::I8(c) => self.fixed(c, i8::from_le_bytes),
            Column::I16(c) => self.fixed(c, i16::from_le_bytes),
            Column::I32(c) => self.fixed(c, i32::from_le_bytes),
            Column::I64(c) => self.fixed(c, i64::from_le_bytes),
            Column::U8(c) => self.fixed(c, u8::from_le_bytes),
            Column::U16(c) => self.fixed(c, u16::from_le_bytes),
            Column::U32(c) => self.fixed(c, u32::from_le_bytes),
            Column::U64(c) => self.fixed(c, u64::from_le_bytes),
            Column::F32(c) => self.fixed(c, f32::from_le_bytes),
            Column::F64(c) => self.fixed(c, f64::from_le_bytes),
            Column::I128(c) => self.fixed(c, i128::from_le_bytes),
            Column::Interval(c) => self.fixed(c, interval),
            Column::Utf8(c) => self.strings(c),
            Column::Binary(c) => self.binaries(c),
            Column::List(_) | Column::Struct(_) => unreachable!("it does not come so"),
        }
    }

    fn fixed<T: Copy + Default, const N: usize>(
        &self,
        to: &mut Fixed<T>,
        read: impl Fn([u8; N]) -> T,
    ) {
        let values = self.values();
        if self.span.bits.is_none() {
            to.values.extend(values.iter().map(|value| read(*value)));
            to.validity.push_valid(values.len());
            return;
        }
        for (row, value) in self.rows.clone().zip(values) {
            to.push(self.is_valid(row).then(|| read(*value)));
        }
    }

    fn bools(&self, to: &mut Bools) {
        for (row, [byte]) in self.rows.clone().zip(self.values::<1>()) {
            to.push(self.is_valid(row).then_some(*byte == 1));
        }
    }

    fn strings(&self, to: &mut Strings) {
        if let Some((mut rest, lengths)) = self.whole_text() {
            for row in self.rows.clone() {
                let (text, behind) = rest.split_at(lengths.get(row));
                to.push(self.is_valid(row).then_some(text));
                rest = behind;
            }
            return;
        }
        // What lies in the place of a NULL is none.
        for (row, value) in self.each() {
            let text = |value| std::str::from_utf8(value).expect("it was looked at");
            to.push(self.is_valid(row).then(|| text(value)));
        }
    }

    fn binaries(&self, to: &mut Binaries) {
        for (row, value) in self.each() {
            to.push(self.is_valid(row).then_some(value));
        }
    }
}

fn interval(bytes: [u8; 16]) -> Interval {
    let [months, days] = [0, 4].map(|at| i32::from_le_bytes(super::array(&bytes, at)));
    Interval {
        months,
        days,
        nanoseconds: i64::from_le_bytes(super::array(&bytes, 8)),
    }
}
