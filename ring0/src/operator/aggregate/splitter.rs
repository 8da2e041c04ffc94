//! Rows of a frame by the window, or pane, that they belong to, where a frame has several.

use crate::frame::Frame;
use crate::schema::Schema;

/// Rows of a frame by what they belong to.
#[derive(Debug)]
pub(super) struct Splitter<K> {
    /// What rows of this frame belong to, ascending.
    keys: Vec<K>,
    /// The rows of each; only as many as there are keys count.
    rows: Vec<Vec<u32>>,
    frame: Frame,
    hashes: Vec<u64>,
}

impl<K: Ord + Copy> Splitter<K> {
    /// For frames of these columns.
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            keys: Vec::new(),
            rows: Vec::new(),
            // As many rows as the frame that is split has.
            frame: Frame::new(schema, usize::MAX),
            hashes: Vec::new(),
        }
    }

    /// Divides rows by their keys.
    pub(super) fn split(&mut self, keys: &[K]) {
        self.keys.clear();
        self.rows.iter_mut().for_each(Vec::clear);
        let mut last = 0;
        for (row, &key) in keys.iter().enumerate() {
            if self.keys.get(last) != Some(&key) {
                last = match self.keys.binary_search(&key) {
                    Ok(at) => at,
                    Err(at) => {
                        self.keys.insert(at, key);
                        let spare = match self.rows.len() >= self.keys.len() {
                            true => self.rows.pop().unwrap_or_default(),
                            false => Vec::new(),
                        };
                        self.rows.insert(at, spare);
                        at
                    }
                };
            }
            self.rows[last].push(row as u32);
        }
    }

    /// How many keys the rows have.
    pub(super) fn parts(&self) -> usize {
        self.keys.len()
    }

    /// A key, with the rows of `frame` that have it and their hashes.
    pub(super) fn part(
        &mut self,
        number: usize,
        frame: &Frame,
        hashes: &[u64],
    ) -> (K, &Frame, &[u64]) {
        let rows = &self.rows[number];
        self.frame.clear();
        self.frame.append_rows(frame, rows);
        self.hashes.clear();
        let taken = rows.iter().map(|&r| hashes[r as usize]);
        self.hashes.extend(taken);
        (self.keys[number], &self.frame, &self.hashes)
    }
}
