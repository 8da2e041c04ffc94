//! Bits of a column: booleans, and which rows hold a value.

/// A growing vector of bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    pub(super) words: Vec<u64>,
    pub(super) len: usize,
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
    pub(super) len: usize,
    pub(super) nulls: usize,
    pub(super) bits: Bitmap,
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
