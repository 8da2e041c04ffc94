//! Columns of values of one width, and of bits.

use super::{Bitmap, Validity};

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
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.validity.clear();
    }
    /// Appends the rows `rows` of `from`.
    pub fn append_rows(&mut self, from: &Self, rows: &[u32]) {
        let values = rows.iter().map(|&r| from.values[r as usize]);
        self.values.extend(values);
        self.validity.append_rows(&from.validity, rows);
    }
    /// Bytes of its values.
    #[inline]
    pub(super) fn value_bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
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
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.values.clear();
        self.validity.clear();
    }
    /// Appends the rows `rows` of `from`.
    pub fn append_rows(&mut self, from: &Self, rows: &[u32]) {
        for &r in rows {
            self.push(from.get(r as usize));
        }
    }
    /// Bytes of its values.
    #[inline]
    pub(super) fn value_bytes(&self) -> usize {
        self.values.len() / 8
    }
    /// Row `i`, `None` where NULL.
    #[inline]
    pub fn get(&self, i: usize) -> Option<bool> {
        self.validity.is_valid(i).then(|| self.values.get(i))
    }
}
