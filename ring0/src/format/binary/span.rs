//! Where in a frame its columns lie.

use std::ops::Range;

use super::kind::{TypeCode, Width};
use super::{ENVELOPE_BYTES, HEADER_BYTES, Head, RECORDS, array};
use crate::schema::Field;

/// Bytes of the length of a value.
const LENGTH_BYTES: usize = 4;

/// Where the parts of a column are, in bytes of its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) code: TypeCode,
    /// Bits that say which records have a value, where some have none.
    pub(super) bits: Option<usize>,
    /// Values, or their lengths.
    pub(super) values: Range<usize>,
    /// The bytes of values of any length.
    pub(super) data: Range<usize>,
}

/// Where the columns of a frame are.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Span>);

/// Checks the inside of a frame of records, whose checksum was right.
///
/// # Errors
/// Where its columns are not these, or do not fill it; the text says which.
pub fn check_frame(fields: &[Field], frame: &[u8]) -> Result<Head, String> {
    let head = Head::read(frame).ok_or("a frame of records has 16 bytes before its columns")?;
    let begin: [u8; 4] = array(frame, ENVELOPE_BYTES);
    if begin != [RECORDS, 0, 0, 0] {
        return Err(format!("a frame begins with {begin:?}"));
    }
    Columns::default().read(fields, frame)?;
    Ok(head)
}

impl Columns {
    pub(super) fn get(&self, column: usize) -> &Span {
        &self.0[column]
    }

    /// Finds them.
    pub(super) fn read(&mut self, fields: &[Field], frame: &[u8]) -> Result<(), String> {
        self.0.clear();
        let rows = Head::read(frame).map_or(0, |head| head.rows);
        let mut at = HEADER_BYTES;
        // Without records there are no columns.
        let fields: &[Field] = match rows {
            0 => &[],
            _ => fields,
        };
        for field in fields {
            let short = || format!("column {}: the frame ends inside of it", field.name);
            let mut take = |bytes: usize| {
                let end = at.checked_add(bytes).filter(|end| *end <= frame.len());
                let taken = at..end.ok_or_else(short)?;
                at = taken.end;
                Ok::<_, String>(taken)
            };
            let code = TypeCode::of(&field.data_type).expect("it was checked");
            let mark = take(1)?;
            let bits = match frame[mark.start] {
                0 => None,
                1 => Some(take(rows.div_ceil(8))?.start),
                other => {
                    let name = &field.name;
                    return Err(format!("column {name}: {other} says nothing of NULLs"));
                }
            };
            let width = match code.width() {
                Width::Fixed(bytes) => bytes,
                Width::Any => LENGTH_BYTES,
            };
            let values = take(rows.checked_mul(width).ok_or_else(short)?)?;
            let data = match code.width() {
                Width::Fixed(_) => values.end..values.end,
                Width::Any => take(sum(&frame[values.clone()]).ok_or_else(short)?)?,
            };
            self.0.push(Span {
                code,
                bits,
                values,
                data,
            });
        }
        match frame.len() - at {
            0 => Ok(()),
            more => Err(format!("{more} bytes are behind the last column")),
        }
    }
}

/// The sum of lengths.
fn sum(lengths: &[u8]) -> Option<usize> {
    let (lengths, _) = lengths.as_chunks::<LENGTH_BYTES>();
    let sum: u64 = lengths
        .iter()
        .map(|l| u64::from(u32::from_le_bytes(*l)))
        .sum();
    usize::try_from(sum).ok()
}

/// Lengths of values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths<'a>(&'a [[u8; LENGTH_BYTES]]);

impl Lengths<'_> {
    #[inline]
    pub(super) fn get(&self, row: usize) -> usize {
        u32::from_le_bytes(self.0[row]) as usize
    }

    pub(super) fn sum(&self, rows: Range<usize>) -> usize {
        rows.map(|row| self.get(row)).sum()
    }
}

impl Span {
    /// The lengths of its values, where they have any.
    pub(super) fn lengths<'a>(&self, frame: &'a [u8]) -> Option<Lengths<'a>> {
        match self.code.width() {
            Width::Fixed(_) => None,
            Width::Any => Some(Lengths(frame[self.values.clone()].as_chunks().0)),
        }
    }

    /// Whether a record has a value.
    #[inline]
    pub(super) fn is_valid(&self, frame: &[u8], row: usize) -> bool {
        self.bits
            .is_none_or(|bits| frame[bits + row / 8] >> (row % 8) & 1 == 1)
    }
}

/// Where in the bytes of a column's values those of a record begin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    row: usize,
    pub(super) at: usize,
}

impl Cursor {
    /// Goes to a record, as a rule to one that is behind.
    pub(super) fn go_to(&mut self, span: &Span, frame: &[u8], row: usize) {
        let Some(lengths) = span.lengths(frame) else {
            return;
        };
        if row < self.row {
            *self = Self::default();
        }
        self.at += lengths.sum(self.row..row);
        self.row = row;
    }
}
