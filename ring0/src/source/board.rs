//! What the shards that read the chunks of one source side by side tell each other: what each chunk
//! does to the place in a CSV record, and which chunk each shard has come to. A cell has one writer
//! and is written before the others' bells are rung, so that who found it empty and went to sleep
//! looks again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::format::csv::quotes::{Effect, Place};
use crate::wake::Bell;

/// The cells of one source.
#[derive(Debug)]
pub(crate) struct Board {
    /// What each chunk does; 0 while it is not known.
    effects: Box<[AtomicU64]>,
    /// The chunk that each shard has come to.
    reached: Box<[AtomicU64]>,
    bells: Vec<Arc<Bell>>,
}

impl Board {
    /// A board for as many chunks, and for the shards whose bells these are.
    pub(super) fn new(chunks: u64, bells: &[Arc<Bell>]) -> Self {
        Self {
            effects: (0..chunks).map(|_| AtomicU64::new(0)).collect(),
            reached: (0..bells.len() as u64).map(AtomicU64::new).collect(),
            bells: bells.iter().map(Arc::clone).collect(),
        }
    }

    /// Says what a chunk does.
    pub(super) fn tell_effect(&self, shard: usize, chunk: u64, effect: Effect) {
        self.effects[chunk as usize].store(effect.to_bits(), Ordering::Release);
        self.ring_others(shard);
    }

    /// Goes on with `place`, that at the beginning of chunk `at`, as far as what chunks do is
    /// known, at most to chunk `to`. Returns whether it came there.
    pub(super) fn advance(&self, at: &mut u64, place: &mut Place, to: u64) -> bool {
        while *at < to {
            let bits = self.effects[*at as usize].load(Ordering::Acquire);
            if bits == 0 {
                return false;
            }
            *place = Effect::from_bits(bits).after(*place);
            *at += 1;
        }
        true
    }

    /// Says that all chunks of a shard before `chunk` were read without an error.
    pub(super) fn tell_reached(&self, shard: usize, chunk: u64) {
        self.reached[shard].store(chunk, Ordering::Release);
        self.ring_others(shard);
    }

    /// Whether all other ones of `shards` have read what is before `chunk`.
    fn others_reached(&self, shard: usize, shards: usize, chunk: u64) -> bool {
        let reached = self.reached[..shards].iter().enumerate();
        reached
            .filter(|(other, _)| *other != shard)
            .all(|(_, cell)| cell.load(Ordering::Acquire) >= chunk)
    }

    /// What ends the program, found by `shard` in a chunk, once all others are past that chunk: so
    /// that it is the first of the files.
    ///
    /// # Errors
    /// That one, which is taken away.
    pub(super) fn first(
        &self,
        shard: usize,
        shards: usize,
        failed: &mut Option<(u64, Error)>,
    ) -> Result<()> {
        let is_first = |(chunk, _): &mut (u64, Error)| self.others_reached(shard, shards, *chunk);
        match failed.take_if(is_first) {
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn ring_others(&self, shard: usize) {
        let bells = self.bells.iter().enumerate();
        bells
            .filter(|(other, _)| *other != shard)
            .for_each(|(_, bell)| bell.ring());
    }
}
