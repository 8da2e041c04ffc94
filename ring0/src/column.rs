//! Columns in Arrow's memory layout: values, 32-bit string offsets, validity bits from the least
//! significant on. Buffers are vectors, so that handing one to Arrow and taking it back copies
//! nothing. A NULL's value is zero (an empty string), so that bytes never depend on history.

mod arrow;
mod bulk;

pub(crate) use self::arrow::{array_string_bytes, array_string_bytes_max};

use crate::schema::Physical;

/// A growing vector of bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// Number of bits.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no bit.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// The words, bit i of the map being bit i % 64 of word i / 64; bits behind the end are 0.
    #[inline]
    pub fn words(&self) -> &[u64] {
        &self.words
    }
    /// Bit `i`.
    #[inline]
    pub fn get(&self, i: usize) -> bool {
        debug_assert!(i < self.len);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }
    /// Sets bit `i`, which exists.
    #[inline]
    pub fn set(&mut self, i: usize, value: bool) {
        debug_assert!(i < self.len);
        let mask = 1u64 << (i % 64);
        if value {
            self.words[i / 64] |= mask;
        } else {
            self.words[i / 64] &= !mask;
        }
    }
    /// Appends a bit.
    #[inline]
    pub fn push(&mut self, value: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        let i = self.len;
        self.len += 1;
        if value {
            self.words[i / 64] |= 1 << (i % 64);
        }
    }
    /// Appends `count` equal bits.
    pub fn extend(&mut self, value: bool, count: usize) {
        let end = self.len + count;
        while self.len < end && !self.len.is_multiple_of(64) {
            self.push(value);
        }
        let whole = (end - self.len) / 64;
        self.words
            .extend(std::iter::repeat_n(if value { u64::MAX } else { 0 }, whole));
        self.len += whole * 64;
        while self.len < end {
            self.push(value);
        }
    }
    /// Forgets all bits, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }
    /// Forgets all bits from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.words.truncate(len.div_ceil(64));
        if !len.is_multiple_of(64) {
            self.words[len / 64] &= (1 << (len % 64)) - 1;
        }
        self.len = len;
    }
    /// Number of set bits.
    pub fn count_ones(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }
}

/// Which rows of a column hold a value. While none is NULL no bit is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validity {
    len: usize,
    nulls: usize,
    bits: Bitmap,
}

impl Validity {
    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether there is no row.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    /// Number of NULL rows.
    #[inline]
    pub fn nulls(&self) -> usize {
        self.nulls
    }
    /// Whether row `i` holds a value.
    #[inline]
    pub fn is_valid(&self, i: usize) -> bool {
        self.nulls == 0 || self.bits.get(i)
    }
    /// The bits, or `None` while no row is NULL.
    #[inline]
    pub fn bits(&self) -> Option<&Bitmap> {
        (self.nulls > 0).then_some(&self.bits)
    }
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, valid: bool) {
        if self.nulls > 0 {
            self.bits.push(valid);
            self.nulls += usize::from(!valid);
        } else if !valid {
            self.bits.clear();
            self.bits.extend(true, self.len);
            self.bits.push(false);
            self.nulls = 1;
        }
        self.len += 1;
    }
    /// Appends `count` rows that hold values.
    pub fn push_valid(&mut self, count: usize) {
        if self.nulls > 0 {
            self.bits.extend(true, count);
        }
        self.len += count;
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        if self.nulls > 0 {
            self.nulls -= (len..self.len).filter(|&i| !self.bits.get(i)).count();
            if self.nulls > 0 {
                self.bits.truncate(len);
            } else {
                self.bits.clear();
            }
        }
        self.len = len;
    }
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
        self.nulls = 0;
        self.bits.clear();
    }
}

/// A column of values of one width.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fixed<T> {
    /// One value a row; zero where NULL.
    pub values: Vec<T>,
    /// Which rows hold a value.
    pub validity: Validity,
}

impl<T: Copy + Default> Fixed<T> {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.validity.push(value.is_some());
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<T> {
        self.validity.is_valid(i).then(|| self.values[i])
    }
}

/// A column of booleans.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bools {
    /// One bit a row; zero where NULL.
    pub values: Bitmap,
    /// Which rows hold a value.
    pub validity: Validity,
}

impl Bools {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: Option<bool>) {
        self.values.push(value.unwrap_or(false));
        self.validity.push(value.is_some());
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        self.values.truncate(len);
        self.validity.truncate(len);
    }
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<bool> {
        self.validity.is_valid(i).then(|| self.values.get(i))
    }
}

/// A column of strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strings {
    /// Ends of the strings in `data`, after a leading 0: rows + 1 offsets.
    offsets: Vec<i32>,
    data: Vec<u8>,
    /// Which rows hold a value.
    pub validity: Validity,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            data: Vec::new(),
            validity: Validity::default(),
        }
    }
}

impl Strings {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: Option<&str>) {
        if let Some(text) = value {
            self.data.extend_from_slice(text.as_bytes());
        }
        self.seal(value.is_some());
    }
    #[inline]
    fn seal(&mut self, valid: bool) {
        let end = i32::try_from(self.data.len()).expect("a column of strings stays below 2 GiB");
        self.offsets.push(end);
        self.validity.push(valid);
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        if len < self.validity.len() {
            self.data.truncate(self.offsets[len] as usize);
            self.offsets.truncate(len + 1);
            self.validity.truncate(len);
        }
    }
    /// Row `i`, the empty string where NULL.
    #[inline]
    pub fn value(&self, i: usize) -> &str {
        let bytes = self.bytes(i);
        // SAFETY: only whole `&str`s are ever appended (`push`), so that each range
        // between two offsets is one of them.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }
    /// The bytes of row `i`.
    #[inline]
    pub fn bytes(&self, i: usize) -> &[u8] {
        &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&str> {
        self.validity.is_valid(i).then(|| self.value(i))
    }
    /// Offsets into [`Strings::data`], rows + 1 of them.
    #[inline]
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }
    /// All bytes, one string behind the other.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

/// One column of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    /// Booleans.
    Bool(Bools),
    /// 32-bit integers (DATE).
    I32(Fixed<i32>),
    /// 64-bit integers (BIGINT, TIMESTAMP).
    I64(Fixed<i64>),
    /// Floating point numbers.
    F64(Fixed<f64>),
    /// Strings.
    Utf8(Strings),
}

impl Column {
    /// An empty column.
    pub fn new(physical: Physical) -> Self {
        match physical {
            Physical::Bool => Self::Bool(Bools::default()),
            Physical::I32 => Self::I32(Fixed::default()),
            Physical::I64 => Self::I64(Fixed::default()),
            Physical::F64 => Self::F64(Fixed::default()),
            Physical::Utf8 => Self::Utf8(Strings::default()),
        }
    }
    /// How the values lie in memory.
    pub fn physical(&self) -> Physical {
        match self {
            Self::Bool(_) => Physical::Bool,
            Self::I32(_) => Physical::I32,
            Self::I64(_) => Physical::I64,
            Self::F64(_) => Physical::F64,
            Self::Utf8(_) => Physical::Utf8,
        }
    }
    /// Which rows hold a value.
    #[inline]
    pub fn validity(&self) -> &Validity {
        match self {
            Self::Bool(c) => &c.validity,
            Self::I32(c) => &c.validity,
            Self::I64(c) => &c.validity,
            Self::F64(c) => &c.validity,
            Self::Utf8(c) => &c.validity,
        }
    }
    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.validity().len()
    }
    /// Whether there is no row.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether row `i` holds a value.
    #[inline]
    pub fn is_valid(&self, i: usize) -> bool {
        self.validity().is_valid(i)
    }
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        match self {
            Self::Bool(c) => {
                c.values.clear();
                c.validity.clear();
            }
            Self::I32(c) => {
                c.values.clear();
                c.validity.clear();
            }
            Self::I64(c) => {
                c.values.clear();
                c.validity.clear();
            }
            Self::F64(c) => {
                c.values.clear();
                c.validity.clear();
            }
            Self::Utf8(c) => c.clear(),
        }
    }
    /// Forgets all rows from `len` on; nothing where there are no more.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::Bool(c) => c.truncate(len),
            Self::I32(c) => c.truncate(len),
            Self::I64(c) => c.truncate(len),
            Self::F64(c) => c.truncate(len),
            Self::Utf8(c) => c.truncate(len),
        }
    }
    /// Appends a NULL.
    pub fn push_null(&mut self) {
        match self {
            Self::Bool(c) => c.push(None),
            Self::I32(c) => c.push(None),
            Self::I64(c) => c.push(None),
            Self::F64(c) => c.push(None),
            Self::Utf8(c) => c.push(None),
        }
    }
    /// Appends the rows `rows` of `from`, a column of the same physical type.
    ///
    /// # Panics
    /// Where the physical types differ.
    pub fn append_rows(&mut self, from: &Column, rows: &[u32]) {
        match (self, from) {
            (Self::Bool(to), Self::Bool(from)) => {
                for &r in rows {
                    to.push(from.get(r as usize));
                }
            }
            (Self::I32(to), Self::I32(from)) => append_fixed(to, from, rows),
            (Self::I64(to), Self::I64(from)) => append_fixed(to, from, rows),
            (Self::F64(to), Self::F64(from)) => append_fixed(to, from, rows),
            (Self::Utf8(to), Self::Utf8(from)) => {
                for &r in rows {
                    to.push(from.get(r as usize));
                }
            }
            (to, from) => panic!("columns of {:?} and {:?}", to.physical(), from.physical()),
        }
    }
    /// Bytes of the strings in this column, 0 for other types.
    #[inline]
    pub fn string_bytes(&self) -> usize {
        match self {
            Self::Utf8(c) => c.data.len(),
            _ => 0,
        }
    }
}

fn append_fixed<T: Copy + Default>(to: &mut Fixed<T>, from: &Fixed<T>, rows: &[u32]) {
    to.values
        .extend(rows.iter().map(|&r| from.values[r as usize]));
    if from.validity.nulls() == 0 {
        to.validity.push_valid(rows.len());
    } else {
        for &r in rows {
            to.validity.push(from.validity.is_valid(r as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_starts_without_bits_and_keeps_every_row() {
        let mut v = Validity::default();
        v.push_valid(130);
        assert!(v.bits().is_none());
        v.push(false);
        v.push_valid(70);
        v.push(false);
        assert_eq!((v.len(), v.nulls()), (202, 2));
        let nulls: Vec<_> = (0..v.len()).filter(|&i| !v.is_valid(i)).collect();
        assert_eq!(nulls, [130, 201]);
        v.clear();
        v.push(true);
        assert!(v.is_valid(0) && v.bits().is_none());
    }

    #[test]
    fn rows_are_copied_with_their_nulls() {
        let mut from = Column::new(Physical::Utf8);
        if let Column::Utf8(c) = &mut from {
            for s in [Some("a"), None, Some("ü"), Some("")] {
                c.push(s);
            }
        }
        let mut to = Column::new(Physical::Utf8);
        to.append_rows(&from, &[3, 1, 2, 2]);
        let Column::Utf8(c) = &to else {
            panic!("a column changed its type")
        };
        let got: Vec<_> = (0..4).map(|i| c.get(i)).collect();
        assert_eq!(got, [Some(""), None, Some("ü"), Some("ü")]);
    }
}
