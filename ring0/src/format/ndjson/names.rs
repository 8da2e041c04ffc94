//! Which column a member's name means: the names of columns, and of some members that no column
//! wants. A name has an id, which is a place in the layout of records.

use crate::schema::Schema;

/// Names kept besides those of columns: members that no column wants.
const UNKNOWN_NAMES_MAX: usize = 256;
/// Longest name kept that is no column's.
const UNKNOWN_NAME_BYTES_MAX: usize = 256;
/// An empty slot of the index.
const EMPTY: u32 = u32::MAX;

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    column: Option<usize>,
}

/// Names by id and ids by name.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<Name>,
    /// Ids, at the first free slot from the hash on; at least half of the slots are empty.
    index: Vec<u32>,
    names_max: usize,
}

/// A hash of a name: it spreads those of one stream, and who makes names collide on purpose meets
/// a table of a few hundred.
#[inline]
fn hash(name: &[u8]) -> usize {
    let mut words = name.chunks_exact(8);
    let mut hash = name.len() as u64;
    let mut fold = |word: u64| {
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    };
    for word in &mut words {
        fold(u64::from_le_bytes(word.try_into().expect("eight bytes")));
    }
    let rest = words.remainder();
    fold(rest.iter().fold(0, |word, &b| word << 8 | u64::from(b)));
    (hash >> 32) as usize
}

impl Names {
    /// The names of a schema's columns. Of columns of one name the first is meant.
    pub(super) fn new(schema: &Schema) -> Self {
        let names_max = schema.fields.len() + UNKNOWN_NAMES_MAX;
        let mut names = Self {
            names: Vec::new(),
            index: vec![EMPTY; (2 * names_max).next_power_of_two()],
            names_max,
        };
        for (i, field) in schema.fields.iter().enumerate() {
            if names.find(field.name.as_bytes()).is_none() {
                names.keep(field.name.as_bytes(), Some(i));
            }
        }
        names
    }

    /// Most names there will be.
    pub(super) fn len_max(&self) -> usize {
        self.names_max
    }

    /// Number of names kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The column that wants the member of this id.
    #[inline]
    pub(super) fn column(&self, id: usize) -> Option<usize> {
        self.names[id].column
    }

    /// The slot at which `name` is or would be.
    #[inline]
    fn slot(&self, name: &[u8]) -> usize {
        let mask = self.index.len() - 1;
        let mut slot = hash(name) & mask;
        loop {
            match self.names.get(self.index[slot] as usize) {
                Some(known) if *known.text != *name => slot = (slot + 1) & mask,
                _ => return slot,
            }
        }
    }

    /// The id of a name that is kept.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let id = self.index[self.slot(name)];
        (id != EMPTY).then_some(id as usize)
    }

    /// The id of a name, which is kept from now on; `None` where it is not to be kept.
    #[inline]
    pub(super) fn find_or_keep(&mut self, name: &[u8]) -> Option<usize> {
        let kept = |names: &mut Self| {
            let room = names.names.len() < names.names_max;
            (room && name.len() <= UNKNOWN_NAME_BYTES_MAX).then(|| names.keep(name, None))
        };
        self.find(name).or_else(|| kept(self))
    }

    fn keep(&mut self, name: &[u8], column: Option<usize>) -> usize {
        let (id, slot) = (self.names.len(), self.slot(name));
        self.index[slot] = id as u32;
        self.names.push(Name {
            text: name.into(),
            column,
        });
        id
    }
}
