//! Keys of a batch of rows in the form in which slots keep them: words of eight bytes, one or two a
//! column, or, with values of any length or many columns, canonical bytes.
//!
//! NULLs are bits of the slot's header for up to [`MASKED_COLUMNS`] columns, else leading bytes.
//! In the bytes, strings carry their length but for a last column's.

mod encode;
mod slots;

use self::encode::Length;
use crate::column::{Column, Fixed, Interval};
use crate::frame::Frame;
use crate::hash::canonical_bits;
use crate::schema::{Physical, Schema};
use crate::table::BATCH_ROWS;
use crate::table::store::PageStore;
use crate::table::var::{VarRef, var_bytes};

/// Columns whose NULLs fit into a slot's header.
pub const MASKED_COLUMNS: usize = 14;

/// Bytes that are read of an encoded key, whatever its length.
const READ_BYTES: usize = 16;

/// How slots keep keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLayout {
    columns: Vec<(usize, Physical)>,
    /// Words of all columns, unless the key is kept as bytes.
    words: usize,
    var: bool,
}

/// Words that a value of one width takes in a slot.
pub(crate) fn value_words(physical: Physical) -> usize {
    match physical {
        Physical::I128 | Physical::Interval => 2,
        _ => 1,
    }
}

impl KeyLayout {
    /// Keys of these columns.
    pub fn new(schema: &Schema, keys: &[usize]) -> Self {
        use Physical::{Binary, List, Struct, Utf8};
        let columns: Vec<_> = keys
            .iter()
            .map(|&k| (k, schema.fields[k].physical()))
            .collect();
        let any_length = |&(_, p): &(usize, Physical)| matches!(p, Utf8 | Binary | List | Struct);
        let var = columns.len() > MASKED_COLUMNS || columns.iter().any(any_length);
        Self {
            words: columns.iter().map(|&(_, p)| value_words(p)).sum(),
            columns,
            var,
        }
    }

    /// Whether slots refer to the key's bytes rather than hold its words.
    pub fn is_var(&self) -> bool {
        self.var
    }

    /// Words of a slot that the key takes.
    pub fn words(&self) -> usize {
        if self.var { 2 } else { self.words }
    }

    fn masked(&self) -> bool {
        self.columns.len() <= MASKED_COLUMNS
    }

    /// Appends the key of a slot to the columns `to`, given by position for each key column.
    pub fn push(&self, store: &PageStore, slot: &[u64], to: &mut [Column], at: &[usize]) {
        let mask = (slot[0] >> 1 & 0x7fff) as usize;
        if !self.var {
            let mut words = &slot[1..];
            for (i, (&position, &(_, p))) in at.iter().zip(&self.columns).enumerate() {
                let valid = mask >> i & 1 == 0;
                match value_words(p) {
                    2 => push_wide(&mut to[position], valid.then(|| wide(words[0], words[1]))),
                    _ => push_word(&mut to[position], valid.then_some(words[0])),
                }
                words = &words[value_words(p)..];
            }
            return;
        }
        let reference = [slot[1], slot[2]];
        let mut bytes = var_bytes(store, &reference);
        let leading = bytes;
        if !self.masked() {
            bytes = &bytes[self.columns.len().div_ceil(8)..];
        }
        for (i, &position) in at.iter().enumerate() {
            let null = if self.masked() {
                mask >> i & 1 == 1
            } else {
                leading[i / 8] >> (i % 8) & 1 == 1
            };
            let length = match i + 1 == self.columns.len() {
                true => Length::Rest,
                false => Length::Written,
            };
            match null {
                true => to[position].push_null(),
                false => encode::take(&mut bytes, &mut to[position], length),
            }
        }
    }
}

/// Text that was taken from a column of strings.
pub(crate) fn text(bytes: &[u8]) -> &str {
    debug_assert!(std::str::from_utf8(bytes).is_ok(), "text stays text");
    // SAFETY: the bytes were a whole string of a `Strings` column when they were kept, and
    // state is only written by `VarHeap::put`.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

/// The one word of a value that is not NULL.
#[inline]
pub(crate) fn word_of(column: &Column, row: usize) -> u64 {
    match column {
        Column::Bool(c) => u64::from(c.values.get(row)),
        Column::I8(c) => i64::from(c.values[row]) as u64,
        Column::I16(c) => i64::from(c.values[row]) as u64,
        Column::I32(c) => i64::from(c.values[row]) as u64,
        Column::I64(c) => c.values[row] as u64,
        Column::U8(c) => u64::from(c.values[row]),
        Column::U16(c) => u64::from(c.values[row]),
        Column::U32(c) => u64::from(c.values[row]),
        Column::U64(c) => c.values[row],
        Column::F32(c) => canonical_bits(f64::from(c.values[row])),
        Column::F64(c) => canonical_bits(c.values[row]),
        other => unreachable!("{:?} takes more than a word", other.physical()),
    }
}

/// Appends a value from its word.
pub(crate) fn push_word(column: &mut Column, word: Option<u64>) {
    match column {
        Column::Bool(c) => c.push(word.map(|w| w != 0)),
        Column::I8(c) => c.push(word.map(|w| w as i8)),
        Column::I16(c) => c.push(word.map(|w| w as i16)),
        Column::I32(c) => c.push(word.map(|w| w as i32)),
        Column::I64(c) => c.push(word.map(|w| w as i64)),
        Column::U8(c) => c.push(word.map(|w| w as u8)),
        Column::U16(c) => c.push(word.map(|w| w as u16)),
        Column::U32(c) => c.push(word.map(|w| w as u32)),
        Column::U64(c) => c.push(word),
        Column::F32(c) => c.push(word.map(|w| f64::from_bits(w) as f32)),
        Column::F64(c) => c.push(word.map(f64::from_bits)),
        other => unreachable!("{:?} takes more than a word", other.physical()),
    }
}

/// 128 bits from two words.
#[inline]
pub(crate) fn wide(low: u64, high: u64) -> i128 {
    i128::from(high as i64) << 64 | i128::from(low)
}

/// The two words of a value that is not NULL, as an integer that is ordered as the values are.
#[inline]
pub(crate) fn wide_of(column: &Column, row: usize) -> i128 {
    match column {
        Column::I128(c) => c.values[row],
        Column::Interval(c) => wide_interval(c.values[row]),
        other => unreachable!("{:?} is not of two words", other.physical()),
    }
}

/// Months before days before nanoseconds, as an integer of that order.
#[inline]
pub(crate) fn wide_interval(value: Interval) -> i128 {
    let days = u64::from(value.days as u32 ^ 1 << 31);
    let nanos = value.nanoseconds as u64 ^ 1 << 63;
    i128::from(value.months) << 96 | i128::from(days) << 64 | i128::from(nanos)
}

/// Appends a value from its two words.
pub(crate) fn push_wide(column: &mut Column, value: Option<i128>) {
    match column {
        Column::I128(c) => c.push(value),
        Column::Interval(c) => c.push(value.map(|v| {
            let days = (v >> 64) as u32 ^ 1 << 31;
            Interval::new((v >> 96) as i32, days as i32, (v as u64 ^ 1 << 63) as i64)
        })),
        other => unreachable!("{:?} is not of two words", other.physical()),
    }
}

/// The keys of up to [`BATCH_ROWS`] rows.
#[derive(Debug)]
pub struct KeyBatch {
    /// Bit i: key column i is NULL.
    pub(super) masks: Vec<u16>,
    /// The words, row after row.
    pub(super) words: Vec<u64>,
    /// The encoded keys, and [`READ_BYTES`] behind them.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// What each encoded key would be in a slot, if it is short.
    pub(super) shorts: Vec<VarRef>,
}

impl Default for KeyBatch {
    fn default() -> Self {
        Self {
            masks: vec![0; BATCH_ROWS],
            words: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
            shorts: Vec::new(),
        }
    }
}

impl KeyBatch {
    /// Takes the keys of `count` rows of `frame`, from row `start` on.
    pub fn fill(&mut self, layout: &KeyLayout, frame: &Frame, start: usize, count: usize) {
        assert!(
            count <= BATCH_ROWS && start + count <= frame.rows(),
            "a batch of rows"
        );
        self.masks.fill(0);
        if layout.masked() {
            for (i, &(c, _)) in layout.columns.iter().enumerate() {
                let validity = frame.columns[c].validity();
                if validity.nulls() > 0 {
                    for (r, mask) in self.masks[..count].iter_mut().enumerate() {
                        *mask |= u16::from(!validity.is_valid(start + r)) << i;
                    }
                }
            }
        }
        if layout.var {
            self.encode(layout, frame, start, count);
            return;
        }
        let n = layout.words;
        self.words.resize(BATCH_ROWS * n, 0);
        if let [(c, Physical::I64)] = layout.columns[..]
            && let Column::I64(c) = &frame.columns[c]
        {
            let words = self.words.iter_mut();
            spread(words.take(count), c, start, |v| v as u64);
            return;
        }
        let mut at = 0;
        for &(c, physical) in &layout.columns {
            let column = &frame.columns[c];
            let words = &mut self.words[at.min(count * n)..];
            if value_words(physical) == 2 {
                for (r, to) in words.chunks_mut(n).take(count).enumerate() {
                    // A NULL's value is zero, so that its words are the same each time.
                    let value = wide_of(column, start + r);
                    (to[0], to[1]) = (value as u64, (value >> 64) as u64);
                }
            } else {
                spread_column(words.iter_mut().step_by(n).take(count), column, start);
            }
            at += value_words(physical);
        }
    }

    fn encode(&mut self, layout: &KeyLayout, frame: &Frame, start: usize, count: usize) {
        self.bytes.clear();
        self.ends.clear();
        match layout.columns[..] {
            [(c, Physical::Utf8 | Physical::Binary)] => match &frame.columns[c] {
                Column::Utf8(c) => self.take(c.offsets(), c.data(), start, count),
                Column::Binary(c) => self.take(c.offsets(), c.data(), start, count),
                other => unreachable!("{:?} is no string", other.physical()),
            },
            _ => self.put(layout, frame, start, count),
        }
        self.end();
    }

    /// Says what each encoded key would be in a slot.
    fn end(&mut self) {
        self.bytes.extend_from_slice(&[0; READ_BYTES]);
        self.shorts.clear();
        let mut from = 0;
        self.shorts.extend(self.ends.iter().map(|&end| {
            let at = std::mem::replace(&mut from, end as usize);
            let first = self.bytes[at..].first_chunk().expect("bytes follow all");
            VarRef::of_first(u128::from_le_bytes(*first), end as usize - at)
        }));
    }

    /// Keys of one column of strings: their bytes as they are. A NULL has none.
    fn take(&mut self, offsets: &[i32], data: &[u8], start: usize, count: usize) {
        let offsets = &offsets[start..=start + count];
        let (first, last) = (offsets[0], offsets[count]);
        self.bytes
            .extend_from_slice(&data[first as usize..last as usize]);
        self.ends
            .extend(offsets[1..].iter().map(|end| (end - first) as u32));
    }

    fn put(&mut self, layout: &KeyLayout, frame: &Frame, start: usize, count: usize) {
        let columns = layout.columns.len();
        for r in start..start + count {
            if !layout.masked() {
                let at = self.bytes.len();
                self.bytes.resize(at + columns.div_ceil(8), 0);
                for (i, &(c, _)) in layout.columns.iter().enumerate() {
                    let null = !frame.columns[c].is_valid(r);
                    self.bytes[at + i / 8] |= u8::from(null) << (i % 8);
                }
            }
            for (i, &(c, _)) in layout.columns.iter().enumerate() {
                let length = match i + 1 == columns {
                    true => Length::Rest,
                    false => Length::Written,
                };
                if frame.columns[c].is_valid(r) {
                    encode::put(&mut self.bytes, &frame.columns[c], r, length);
                }
            }
            self.ends.push(self.bytes.len() as u32);
        }
    }

    /// The encoded key of row `i` of the batch.
    #[inline]
    pub(super) fn encoded(&self, i: usize) -> &[u8] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[from as usize..self.ends[i] as usize]
    }
}

#[inline]
fn spread<'a, T: Copy>(
    to: impl Iterator<Item = &'a mut u64>,
    column: &Fixed<T>,
    start: usize,
    word: impl Fn(T) -> u64,
) {
    // A NULL's value is zero, so that its word is the same each time.
    for (to, &value) in to.zip(&column.values[start..]) {
        *to = word(value);
    }
}

fn spread_column<'a>(to: impl Iterator<Item = &'a mut u64>, column: &Column, start: usize) {
    match column {
        Column::I64(c) => spread(to, c, start, |v| v as u64),
        Column::F64(c) => spread(to, c, start, canonical_bits),
        Column::I32(c) => spread(to, c, start, |v| i64::from(v) as u64),
        column => {
            for (r, word) in to.enumerate() {
                *word = word_of(column, start + r);
            }
        }
    }
}
