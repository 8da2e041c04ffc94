//! Columns of strings and of byte strings: bytes one value behind the other, with 32-bit offsets.

use std::marker::PhantomData;

use super::Validity;

/// What the bytes of a column are.
pub trait Content {
    /// A value.
    type Value: ?Sized + AsRef<[u8]>;
}

/// UTF-8 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text;

/// Any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw;

impl Content for Text {
    type Value = str;
}

impl Content for Raw {
    type Value = [u8];
}

/// A column of values of any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes<C> {
    /// Ends of the values in `data`, after a leading 0: rows + 1 offsets.
    pub(super) offsets: Vec<i32>,
    pub(super) data: Vec<u8>,
    /// Which rows hold a value.
    pub validity: Validity,
    content: PhantomData<C>,
}

/// A column of strings.
pub type Strings = Bytes<Text>;

/// A column of byte strings.
pub type Binaries = Bytes<Raw>;

impl<C> Default for Bytes<C> {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            data: Vec::new(),
            validity: Validity::default(),
            content: PhantomData,
        }
    }
}

impl<C: Content> Bytes<C> {
    /// Appends a row.
    #[inline]
    pub fn push(&mut self, value: Option<&C::Value>) {
        if let Some(value) = value {
            append(&mut self.data, value.as_ref());
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
    /// The bytes of row `i`.
    #[inline]
    pub fn bytes(&self, i: usize) -> &[u8] {
        &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }
    /// Offsets into [`Bytes::data`], rows + 1 of them.
    #[inline]
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }
    /// All bytes, one value behind the other.
    #[inline]
    pub fn data(&self) -> &[u8] {
        &self.data
    }
    /// Appends the rows `rows` of `from`.
    #[inline]
    pub fn append_rows(&mut self, from: &Self, rows: &[u32]) {
        for &r in rows {
            append(&mut self.data, from.bytes(r as usize));
            self.seal(from.validity.is_valid(r as usize));
        }
    }
    /// Bytes of its values.
    #[inline]
    pub(super) fn value_bytes(&self) -> usize {
        self.data.len()
    }
}

/// Appends a few bytes, mostly: up to sixteen without the call that a copy of any length is.
#[inline]
fn append(data: &mut Vec<u8>, bytes: &[u8]) {
    let len = bytes.len();
    if !(4..=16).contains(&len) {
        return data.extend_from_slice(bytes);
    }
    data.reserve(len);
    let (from, end) = (bytes.as_ptr(), data.len());
    // SAFETY: there is room for `len` bytes behind the vector's; the words that are read and
    // written begin within these bytes and end with the last one at most: of eight bytes where
    // there are eight, else of four. They overlap, and together they are all.
    unsafe {
        let to = data.as_mut_ptr().add(end);
        if len >= 8 {
            let (first, last) = (from.cast::<u64>(), from.add(len - 8).cast::<u64>());
            let (first, last) = (first.read_unaligned(), last.read_unaligned());
            to.cast::<u64>().write_unaligned(first);
            to.add(len - 8).cast::<u64>().write_unaligned(last);
        } else {
            let (first, last) = (from.cast::<u32>(), from.add(len - 4).cast::<u32>());
            let (first, last) = (first.read_unaligned(), last.read_unaligned());
            to.cast::<u32>().write_unaligned(first);
            to.add(len - 4).cast::<u32>().write_unaligned(last);
        }
        data.set_len(end + len);
    }
}

impl Strings {
    /// Row `i`, the empty string where NULL.
    #[inline]
    pub fn value(&self, i: usize) -> &str {
        let bytes = self.bytes(i);
        // SAFETY: only whole `&str`s are ever appended (`push`, rows of other columns of strings,
        // and values of arrays of strings), so that each range between two offsets is one of them.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&str> {
        self.validity.is_valid(i).then(|| self.value(i))
    }
}

impl Binaries {
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<&[u8]> {
        self.validity.is_valid(i).then(|| self.bytes(i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_are_appended() {
        let all: Vec<u8> = (1..=40).collect();
        for len in 0..=all.len() {
            let mut data = vec![0];
            append(&mut data, &all[..len]);
            append(&mut data, &all[all.len() - len..]);
            let expected = [&[0], &all[..len], &all[all.len() - len..]].concat();
            assert_eq!(data, expected, "{len} bytes");
        }
    }
}
