//! Columns of lists and structs: offsets, or nothing, above columns of what they hold.

use super::{Column, Validity};

pub(super) const ELEMENTS: &str = "a column of lists stays below 2^31 elements";

/// A column of lists.
#[derive(Debug, Clone, PartialEq)]
pub struct Lists {
    /// Ends of the lists in `values`, after a leading 0: rows + 1 offsets.
    pub(super) offsets: Vec<i32>,
    /// The elements of all lists, one list behind the other. Whoever appends a row appends its
    /// elements here, then calls [`Lists::seal`].
    pub values: Box<Column>,
    /// Which rows hold a list.
    pub validity: Validity,
}

impl Lists {
    /// No list, of elements like those of `values`, which is empty.
    pub fn new(values: Column) -> Self {
        assert!(values.is_empty(), "a new column has no elements");
        Self {
            offsets: vec![0],
            values: Box::new(values),
            validity: Validity::default(),
        }
    }
    /// Appends a row: the elements that were appended to `values` since the last; none for NULL.
    pub fn seal(&mut self, valid: bool) {
        let end = i32::try_from(self.values.len()).expect(ELEMENTS);
        let last = self.offsets[self.offsets.len() - 1];
        assert!(valid || end == last, "a NULL list has no elements");
        self.offsets.push(end);
        self.validity.push(valid);
    }
    /// Where the elements of row `i` lie in `values`.
    #[inline]
    pub fn range(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i] as usize..self.offsets[i + 1] as usize
    }
    /// Offsets into `values`, rows + 1 of them.
    #[inline]
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }
    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.seal(false);
    }
    /// Forgets all rows from `len` on, and elements that belong to no row.
    pub fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len.saturating_add(1));
        self.validity.truncate(len);
        let end = self.offsets[self.offsets.len() - 1];
        self.values.truncate(end as usize);
    }
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.values.clear();
        self.validity.clear();
    }
    /// Appends the rows `rows` of `from`.
    pub fn append_rows(&mut self, from: &Self, rows: &[u32]) {
        for &r in rows {
            self.values
                .append_range(&from.values, from.range(r as usize));
            self.seal(from.validity.is_valid(r as usize));
        }
    }
    pub(super) fn value_bytes(&self) -> usize {
        self.values.value_bytes() + size_of::<i32>() * self.validity.len()
    }
}

/// A column of structs. Below a NULL struct all members are NULL.
#[derive(Debug, Clone, PartialEq)]
pub struct Structs {
    /// The members, each of as many rows as the struct. Whoever appends a row appends to each of
    /// them, and then to `validity`.
    pub fields: Vec<Column>,
    /// Which rows hold a struct.
    pub validity: Validity,
}

impl Structs {
    /// No struct, of members like `fields`, which are empty.
    pub fn new(fields: Vec<Column>) -> Self {
        assert!(fields.iter().all(Column::is_empty), "a new column is empty");
        Self {
            fields,
            validity: Validity::default(),
        }
    }
    /// Appends a NULL.
    pub fn push_null(&mut self) {
        self.fields.iter_mut().for_each(Column::push_null);
        self.validity.push(false);
    }
    /// Forgets all rows from `len` on, and members that belong to no row.
    pub fn truncate(&mut self, len: usize) {
        self.validity.truncate(len);
        let len = self.validity.len();
        self.fields.iter_mut().for_each(|f| f.truncate(len));
    }
    /// Forgets all rows, keeps the memory.
    pub fn clear(&mut self) {
        self.fields.iter_mut().for_each(Column::clear);
        self.validity.clear();
    }
    /// Appends the rows `rows` of `from`.
    pub fn append_rows(&mut self, from: &Self, rows: &[u32]) {
        for (to, from) in self.fields.iter_mut().zip(&from.fields) {
            to.append_rows(from, rows);
        }
        self.validity.append_rows(&from.validity, rows);
    }
    pub(super) fn value_bytes(&self) -> usize {
        self.fields.iter().map(Column::value_bytes).sum()
    }
}
