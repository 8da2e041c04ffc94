//! Columns in bulk: filling bits word by word, and appending runs of rows with whole copies.

use std::ops::Range;

use super::nested::ELEMENTS;
use super::{Bitmap, Bools, Bytes, Column, Content, Fixed, Lists, Structs, Validity};

/// The bits of the last word that a map of `len` bits uses, all where it is used whole.
#[inline]
fn tail_mask(len: usize) -> u64 {
    match len % 64 {
        0 => u64::MAX,
        used => (1 << used) - 1,
    }
}

impl Bitmap {
    /// Replaces all bits by `len` bits: those of word `w` are `word(w)`, bits behind the end are
    /// dropped.
    #[inline]
    pub fn fill_words(&mut self, len: usize, word: impl FnMut(usize) -> u64) {
        self.words.clear();
        self.words.extend((0..len.div_ceil(64)).map(word));
        if let Some(last) = self.words.last_mut() {
            *last &= tail_mask(len);
        }
        self.len = len;
    }

    /// Clears the bits that are set in `other`, a map of the same length; returns whether any is
    /// left.
    pub fn clear_where(&mut self, other: &Bitmap) -> bool {
        assert_eq!(self.len, other.len, "maps of unlike length");
        let mut any = 0;
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
            any |= *word;
        }
        any != 0
    }

    /// 64 bits of the map from bit `from` on; bits behind the end are 0.
    #[inline]
    fn window(&self, from: usize) -> u64 {
        let (w, shift) = (from / 64, from % 64);
        let low = self.words.get(w).map_or(0, |word| word >> shift);
        match (shift, self.words.get(w + 1)) {
            (0, _) | (_, None) => low,
            (_, Some(next)) => low | next << (64 - shift),
        }
    }

    /// Appends the bits `range` of `from`. Returns how many of them are set.
    pub fn append_range(&mut self, from: &Bitmap, range: Range<usize>) -> usize {
        assert!(
            range.start <= range.end && range.end <= from.len,
            "bits outside of a bitmap"
        );
        let (mut at, mut set) = (range.start, 0);
        while at < range.end {
            let count = (range.end - at).min(64);
            let word = from.window(at) & tail_mask(count);
            set += word.count_ones() as usize;
            let shift = self.len % 64;
            if shift == 0 {
                self.words.push(word);
            } else {
                let last = self.words.len() - 1;
                self.words[last] |= word << shift;
                if shift + count > 64 {
                    self.words.push(word >> (64 - shift));
                }
            }
            self.len += count;
            at += count;
        }
        set
    }
}

impl Validity {
    /// Bit i of the result: whether row `64 * w + i` holds a value. Bits behind the last row are
    /// unspecified.
    #[inline]
    pub fn word(&self, w: usize) -> u64 {
        if self.nulls == 0 {
            u64::MAX
        } else {
            self.bits.words[w]
        }
    }

    /// Replaces all rows by `len` rows whose bits are `word(w)`, as [`Bitmap::fill_words`].
    #[inline]
    pub fn fill_words(&mut self, len: usize, word: impl FnMut(usize) -> u64) {
        self.bits.fill_words(len, word);
        self.len = len;
        self.nulls = len - self.bits.count_ones();
        if self.nulls == 0 {
            self.bits.clear();
        }
    }

    /// Replaces all rows by `len` rows that hold a value where both `a` and `b` do.
    #[inline]
    pub fn fill_both(&mut self, a: &Validity, b: &Validity) {
        assert_eq!(a.len, b.len, "columns of unlike length");
        if a.nulls + b.nulls == 0 {
            self.clear();
            self.push_valid(a.len);
        } else {
            self.fill_words(a.len, |w| a.word(w) & b.word(w));
        }
    }

    /// Makes row `i` NULL.
    pub fn set_null(&mut self, i: usize) {
        assert!(i < self.len, "a row of the column");
        if self.nulls == 0 {
            self.bits.clear();
            self.bits.extend(true, self.len);
        }
        self.nulls += usize::from(self.bits.get(i));
        self.bits.set(i, false);
    }

    /// Appends the rows `rows` of `from`.
    #[inline]
    pub fn append_rows(&mut self, from: &Validity, rows: &[u32]) {
        if from.nulls == 0 {
            return self.push_valid(rows.len());
        }
        for &r in rows {
            self.push(from.is_valid(r as usize));
        }
    }

    /// Appends the rows `range` of `from`.
    pub fn append_range(&mut self, from: &Validity, range: Range<usize>) {
        if from.nulls == 0 {
            return self.push_valid(range.len());
        }
        if self.nulls == 0 {
            self.bits.clear();
            self.bits.extend(true, self.len);
        }
        let valid = self.bits.append_range(&from.bits, range.clone());
        self.len += range.len();
        self.nulls += range.len() - valid;
        if self.nulls == 0 {
            self.bits.clear();
        }
    }
}

impl<T: Copy + Default> Fixed<T> {
    /// Appends the rows `range` of `from`.
    pub fn append_range(&mut self, from: &Self, range: Range<usize>) {
        self.values.extend_from_slice(&from.values[range.clone()]);
        self.validity.append_range(&from.validity, range);
    }

    /// Sets the values of NULL rows to zero.
    pub fn zero_nulls(&mut self) {
        let Some(bits) = self.validity.bits() else {
            return;
        };
        for (word, values) in bits.words().iter().zip(self.values.chunks_mut(64)) {
            let mut nulls = !word & tail_mask(values.len());
            while nulls != 0 {
                values[nulls.trailing_zeros() as usize] = T::default();
                nulls &= nulls - 1;
            }
        }
    }
}

impl Bools {
    /// Appends the rows `range` of `from`.
    pub fn append_range(&mut self, from: &Self, range: Range<usize>) {
        self.values.append_range(&from.values, range.clone());
        self.validity.append_range(&from.validity, range);
    }
}

impl<C: Content> Bytes<C> {
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.data.clear();
        self.validity.clear();
    }

    /// Appends the rows `range` of `from`.
    ///
    /// # Panics
    /// Where the column would hold 2 GiB or more.
    pub fn append_range(&mut self, from: &Self, range: Range<usize>) {
        let (start, end) = (from.offsets[range.start], from.offsets[range.end]);
        let base = self.data.len();
        self.data
            .extend_from_slice(&from.data[start as usize..end as usize]);
        assert!(
            i32::try_from(self.data.len()).is_ok(),
            "a column of strings stays below 2 GiB"
        );
        // Both sums stay within the data just copied, which is below 2 GiB.
        let base = base as i32;
        self.offsets.extend(
            from.offsets[range.start + 1..=range.end]
                .iter()
                .map(|offset| offset - start + base),
        );
        self.validity.append_range(&from.validity, range);
    }
}

impl Lists {
    /// Appends the rows `range` of `from`.
    ///
    /// # Panics
    /// Where the column would hold 2^31 elements or more.
    pub fn append_range(&mut self, from: &Self, range: Range<usize>) {
        let (start, end) = (from.offsets[range.start], from.offsets[range.end]);
        let base = i32::try_from(self.values.len()).expect(ELEMENTS);
        assert!(base.checked_add(end - start).is_some(), "{ELEMENTS}");
        self.values
            .append_range(&from.values, start as usize..end as usize);
        let offsets = from.offsets[range.start + 1..=range.end].iter();
        self.offsets.extend(offsets.map(|o| o - start + base));
        self.validity.append_range(&from.validity, range);
    }
}

impl Structs {
    /// Appends the rows `range` of `from`.
    pub fn append_range(&mut self, from: &Self, range: Range<usize>) {
        for (to, from) in self.fields.iter_mut().zip(&from.fields) {
            to.append_range(from, range.clone());
        }
        self.validity.append_range(&from.validity, range);
    }
}

impl Column {
    /// Appends the rows `range` of `from`, a column of the same physical type, in whole copies.
    ///
    /// # Panics
    /// Where the physical types differ or rows are missing.
    pub fn append_range(&mut self, from: &Column, range: Range<usize>) {
        both_columns!(self, from, to, from => to.append_range(from, range));
    }

    /// Appends all rows of `from`, a column of the same physical type.
    pub fn append_all(&mut self, from: &Column) {
        self.append_range(from, 0..from.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Physical;

    #[test]
    fn runs_equal_rows_appended_one_by_one() {
        let mut bools = Column::new(Physical::Bool);
        let mut texts = Column::new(Physical::Utf8);
        for i in 0..200 {
            if let (Column::Bool(b), Column::Utf8(t)) = (&mut bools, &mut texts) {
                b.push((i % 7 != 0).then_some(i % 3 == 0));
                t.push((i % 70 != 3).then_some("äb"));
            }
        }
        for from in [&bools, &texts] {
            for (a, b) in [
                (0, 0),
                (0, 200),
                (1, 65),
                (63, 64),
                (5, 199),
                (128, 200),
                (74, 80),
            ] {
                for before in [0u32, 1, 63, 64, 100] {
                    let mut want = Column::new(from.physical());
                    let lead: Vec<u32> = (0..before).collect();
                    want.append_rows(from, &lead);
                    let mut got = want.clone();
                    let rows: Vec<u32> = (a as u32..b as u32).collect();
                    want.append_rows(from, &rows);
                    got.append_range(from, a..b);
                    assert_eq!(got, want, "{a}..{b} behind {before}");
                }
            }
        }
    }
}
