//! Keys of a batch of rows in the form in which slots keep them: words of eight bytes, one a
//! column, or, with strings or many columns, canonical bytes.
//!
//! NULLs are bits of the slot's header for up to [`MASKED_COLUMNS`] columns, else leading bytes.
//! In the bytes, strings carry their length but for a last column's.

use crate::column::{Column, Fixed};
use crate::frame::Frame;
use crate::hash::canonical_bits;
use crate::schema::{Physical, Schema};
use crate::table::BATCH_ROWS;
use crate::table::store::PageStore;
use crate::table::var::var_bytes;

/// Columns whose NULLs fit into a slot's header.
pub const MASKED_COLUMNS: usize = 14;

/// How slots keep keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLayout {
    columns: Vec<(usize, Physical)>,
    var: bool,
}

impl KeyLayout {
    /// Keys of these columns.
    pub fn new(schema: &Schema, keys: &[usize]) -> Self {
        let columns: Vec<_> = keys
            .iter()
            .map(|&k| (k, schema.fields[k].physical()))
            .collect();
        let var =
            columns.len() > MASKED_COLUMNS || columns.iter().any(|&(_, p)| p == Physical::Utf8);
        Self { columns, var }
    }

    /// Whether slots refer to the key's bytes rather than hold its words.
    pub fn is_var(&self) -> bool {
        self.var
    }

    /// Words of a slot that the key takes.
    pub fn words(&self) -> usize {
        if self.var { 2 } else { self.columns.len() }
    }

    fn masked(&self) -> bool {
        self.columns.len() <= MASKED_COLUMNS
    }

    /// Appends the key of a slot to the columns `to`, given by position for each key column.
    pub fn push(&self, store: &PageStore, slot: &[u64], to: &mut [Column], at: &[usize]) {
        let mask = (slot[0] >> 1 & 0x7fff) as usize;
        if !self.var {
            for (i, &position) in at.iter().enumerate() {
                push_word(&mut to[position], (mask >> i & 1 == 0).then(|| slot[1 + i]));
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
            let last = i + 1 == self.columns.len();
            match &mut to[position] {
                column if null => column.push_null(),
                Column::Utf8(c) => {
                    let mut len = bytes.len();
                    if !last {
                        len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
                        bytes = &bytes[4..];
                    }
                    c.push(Some(text(&bytes[..len])));
                    bytes = &bytes[len..];
                }
                column => {
                    let mut word = [0; 8];
                    word.copy_from_slice(&bytes[..8]);
                    push_word(column, Some(u64::from_le_bytes(word)));
                    bytes = &bytes[8..];
                }
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

/// Appends a value from its word.
pub(crate) fn push_word(column: &mut Column, word: Option<u64>) {
    match column {
        Column::Bool(c) => c.push(word.map(|w| w != 0)),
        Column::I32(c) => c.push(word.map(|w| w as i32)),
        Column::I64(c) => c.push(word.map(|w| w as i64)),
        Column::F64(c) => c.push(word.map(f64::from_bits)),
        Column::Utf8(_) => unreachable!("strings have no word"),
    }
}

/// The keys of up to [`BATCH_ROWS`] rows.
#[derive(Debug)]
pub struct KeyBatch {
    /// Bit i: key column i is NULL.
    pub(super) masks: Vec<u16>,
    /// The words, row after row.
    pub(super) words: Vec<u64>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Default for KeyBatch {
    fn default() -> Self {
        Self {
            masks: vec![0; BATCH_ROWS],
            words: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
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
        let n = layout.columns.len();
        self.words.resize(BATCH_ROWS * n, 0);
        if let [(c, Physical::I64)] = layout.columns[..]
            && let Column::I64(c) = &frame.columns[c]
        {
            let words = self.words.iter_mut();
            spread(words.take(count), c, start, |v| v as u64);
            return;
        }
        for (i, &(c, _)) in layout.columns.iter().enumerate() {
            let to = self.words[i.min(count * n)..]
                .iter_mut()
                .step_by(n)
                .take(count);
            match &frame.columns[c] {
                Column::I64(c) => spread(to, c, start, |v| v as u64),
                Column::F64(c) => spread(to, c, start, canonical_bits),
                Column::I32(c) => spread(to, c, start, |v| i64::from(v) as u64),
                Column::Bool(c) => {
                    for (r, word) in to.enumerate() {
                        *word = u64::from(c.values.get(start + r));
                    }
                }
                Column::Utf8(_) => unreachable!("strings take the other form"),
            }
        }
    }

    fn encode(&mut self, layout: &KeyLayout, frame: &Frame, start: usize, count: usize) {
        self.bytes.clear();
        self.ends.clear();
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
                if !frame.columns[c].is_valid(r) {
                    continue;
                }
                let word = match &frame.columns[c] {
                    Column::I64(c) => c.values[r] as u64,
                    Column::F64(c) => canonical_bits(c.values[r]),
                    Column::I32(c) => i64::from(c.values[r]) as u64,
                    Column::Bool(c) => u64::from(c.values.get(r)),
                    Column::Utf8(c) => {
                        let text = c.bytes(r);
                        if i + 1 < columns {
                            self.bytes
                                .extend_from_slice(&(text.len() as u32).to_le_bytes());
                        }
                        self.bytes.extend_from_slice(text);
                        continue;
                    }
                };
                self.bytes.extend_from_slice(&word.to_le_bytes());
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
