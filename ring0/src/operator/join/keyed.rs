//! What there is of each key of a side. A map that grows puts all of its keys into another place,
//! so that there are many small ones: none of them takes long.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use crate::tally::Packed;

/// Maps, a power of two.
const PARTS: usize = 1024;

/// A map in the order in which keys came, whatever their hashes are; the last one takes the place
/// of one that goes.
type Part<T> = IndexMap<Packed, T, FixedState>;

/// The place of a key, as long as none comes or goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::operator::join) struct KeyPlace {
    part: usize,
    at: usize,
}

/// What there is of each key.
#[derive(Debug)]
pub(in crate::operator::join) struct Keyed<T> {
    parts: Box<[Part<T>]>,
    hasher: FixedState,
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            hasher: FixedState::default(),
        }
    }
}

impl<T> Keyed<T> {
    /// The number of a key's map: by bits that the map itself does not look at first.
    fn part(&self, key: &[u8]) -> usize {
        (self.hasher.hash_one(key) >> 32) as usize % PARTS
    }

    pub(in crate::operator::join) fn get(&self, key: &[u8]) -> Option<&T> {
        self.parts[self.part(key)].get(key)
    }

    pub(in crate::operator::join) fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        let part = self.part(key);
        self.parts[part].get_mut(key)
    }

    /// Has `change` change what there is of a key, or `make` make it. Where `change` says that
    /// nothing is left, the key is gone.
    pub(in crate::operator::join) fn change<R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut T) -> (R, bool),
        make: impl FnOnce() -> (T, R),
    ) -> R {
        let part = self.part(key);
        let part = &mut self.parts[part];
        match part.get_full_mut(key) {
            Some((at, _, there)) => {
                let (result, is_empty) = change(there);
                if is_empty {
                    part.swap_remove_index(at);
                }
                result
            }
            None => {
                let (there, result) = make();
                part.insert(key.into(), there);
                result
            }
        }
    }

    /// What there is of a key, made where there is nothing.
    pub(in crate::operator::join) fn or_default(&mut self, key: &[u8]) -> &mut T
    where
        T: Default,
    {
        let part = self.part(key);
        let part = &mut self.parts[part];
        let at = match part.get_index_of(key) {
            Some(at) => at,
            None => part.insert_full(key.into(), T::default()).0,
        };
        &mut part[at]
    }

    /// Those from this place on, with their places.
    pub(in crate::operator::join) fn from(
        &self,
        place: KeyPlace,
    ) -> impl Iterator<Item = (KeyPlace, &T)> {
        let parts = self.parts.iter().enumerate().skip(place.part);
        parts.flat_map(move |(part, map)| {
            let first = if part == place.part { place.at } else { 0 };
            let rest = map.values().enumerate().skip(first);
            rest.map(move |(at, there)| (KeyPlace { part, at }, there))
        })
    }

    #[cfg(test)]
    pub(in crate::operator::join) fn is_empty(&self) -> bool {
        self.parts.iter().all(IndexMap::is_empty)
    }
}
