//! Which column a member's name means. Records of one source have their members in much the same
//! order, so the name that followed last time is tried before the table of names.

use std::collections::HashMap;

use crate::schema::Schema;

/// Names kept besides those of columns: members that no column wants.
const UNKNOWN_NAMES_MAX: usize = 256;
/// Longest name kept that is no column's.
const UNKNOWN_NAME_BYTES_MAX: usize = 256;

/// The column that wants a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted(pub(super) Option<usize>);

#[derive(Debug)]
struct Name {
    text: Box<str>,
    wanted: Wanted,
}

/// The names of columns, and of some other members that were seen.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<Name>,
    index: HashMap<Box<str>, usize>,
    /// The name that came last after name i - 1; at 0 the one that came first.
    next: Vec<usize>,
    /// Where in `next` the record is.
    at: usize,
    names_max: usize,
}

impl Names {
    /// The names of a schema's columns. Of columns of one name the first is meant.
    pub(super) fn new(schema: &Schema) -> Self {
        let mut names = Self {
            names: Vec::new(),
            index: HashMap::new(),
            next: vec![0],
            at: 0,
            names_max: schema.fields.len() + UNKNOWN_NAMES_MAX,
        };
        for (i, field) in schema.fields.iter().enumerate() {
            if !names.index.contains_key(field.name.as_str()) {
                names.keep(&field.name, Wanted(Some(i)));
            }
        }
        names
    }

    /// Says that a record begins.
    pub(super) fn rewind(&mut self) {
        self.at = 0;
    }

    /// Number of names kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    fn keep(&mut self, text: &str, wanted: Wanted) -> usize {
        let i = self.names.len();
        self.names.push(Name {
            text: text.into(),
            wanted,
        });
        self.index.insert(text.into(), i);
        // The next in the order of columns, until records say otherwise.
        self.next.push(i + 1);
        i
    }

    /// The column that wants the member `name`, the next one of its record.
    #[inline]
    pub(super) fn find(&mut self, name: &str) -> Wanted {
        let guess = self.next[self.at];
        if let Some(known) = self.names.get(guess) {
            if *known.text == *name {
                self.at = guess + 1;
                return known.wanted;
            }
            // A member left out is no reason to forget the order.
            let second = self.next[guess + 1];
            if let Some(known) = self.names.get(second).filter(|n| *n.text == *name) {
                self.at = second + 1;
                return known.wanted;
            }
        }
        self.look_up(name)
    }

    fn look_up(&mut self, name: &str) -> Wanted {
        let i = match self.index.get(name) {
            Some(&i) => i,
            None if self.names.len() < self.names_max && name.len() <= UNKNOWN_NAME_BYTES_MAX => {
                self.keep(name, Wanted(None))
            }
            None => return Wanted(None),
        };
        self.next[self.at] = i;
        self.at = i + 1;
        self.names[i].wanted
    }
}
