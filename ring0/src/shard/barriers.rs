//! Barriers as a shard cuts them, and what it says of them.

use super::{Shard, SourceSlot};
use crate::error::Result;
use crate::snapshot::{Piece, Place, Told, epoch_of, is_behind_pushed, is_kept};

/// How long something waits at a barrier: some of its inputs have it, and others not yet. As seen
/// at the ends of turns.
#[derive(Debug, Default)]
pub(crate) struct Aligning {
    since_ns: Option<i64>,
    longest_ns: u64,
}

impl Aligning {
    /// Whether it waits at this time.
    fn note(&mut self, waits: bool, now_ns: i64) {
        match (self.since_ns, waits) {
            (None, true) => self.since_ns = Some(now_ns),
            (Some(since_ns), false) => {
                let waited = u64::try_from(now_ns - since_ns).unwrap_or_default();
                self.longest_ns = self.longest_ns.max(waited);
                self.since_ns = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// The longest wait since this was asked last.
    fn take(&mut self) -> u64 {
        std::mem::take(self).longest_ns
    }
}

impl Shard {
    /// Cuts a barrier in all that is read, and tells the host of what is before it where that is to
    /// be kept. False while another one is under way.
    pub(crate) fn ask_barrier(&mut self, barrier: u64) -> bool {
        if self.recorder.barrier.is_some() {
            return false;
        }
        self.recorder.barrier = Some(barrier);
        let open = self.sources.iter_mut();
        let open = open.filter(|slot| !slot.ended && !slot.is_remade);
        for slot in open {
            slot.is_asked = true;
            if !slot.source.is_cut_anywhere() {
                slot.source.ask_barrier(barrier);
                continue;
            }
            slot.asked = Some(barrier);
            if is_behind_pushed(barrier) {
                slot.source.take_pushed();
            }
        }
        true
    }

    /// Hands on a slice of the state that was kept at a barrier which has passed: one a turn.
    pub(super) fn save_some(&mut self) -> Result<bool> {
        let recorder = &mut self.recorder;
        for chain in &mut self.chains {
            if chain.save_some(recorder)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Once a barrier has passed all that is here, tells what has to be known besides the state of
    /// operators, and that this is all. Returns whether something moved.
    pub(super) fn end_barrier(&mut self) -> bool {
        let Some(barrier) = self.recorder.barrier else {
            return false;
        };
        let is_past = |slot: &SourceSlot| slot.is_remade || slot.ended || slot.position.is_some();
        let past = self.sources.iter().all(is_past)
            && self
                .chains
                .iter()
                .all(|chain| chain.barriers.are_past(barrier));
        if !past || is_kept(barrier) && !self.recorder.has_room() {
            return false;
        }
        self.recorder.barrier = None;
        let aligned_ns = self.take_aligned();
        let positions = self.sources.iter_mut().map(|slot| slot.position.take());
        let positions: Vec<_> = positions.collect();
        let splits = self.exchanges.iter_mut().map(|slot| slot.split.take());
        let splits: Vec<_> = splits.collect();
        if !is_kept(barrier) {
            return true;
        }
        let mut pieces = Vec::new();
        let mut tell = |place, bytes| pieces.push(Piece { place, bytes });
        for (number, position) in positions.into_iter().enumerate() {
            if let Some(position) = position {
                tell(Place::Source(number as u32), position.to_bytes());
            }
        }
        for (slot, split) in self.exchanges.iter().zip(splits) {
            if let Some(split) = split {
                tell(Place::Exchange(slot.number), split.to_bytes());
            }
        }
        for chain in &self.chains {
            if chain.barriers.goes_on(barrier) {
                let stages = chain.barriers.stages.iter();
                stages.for_each(|&stage| tell(Place::Stage(stage), Vec::new()));
            }
        }
        self.recorder.tell(Told::Done {
            epoch: epoch_of(barrier),
            pieces,
            aligned_ns,
        });
        true
    }

    /// Looks who waits at a barrier for others of its inputs, at the end of a turn.
    pub(super) fn note_aligning(&mut self) {
        if self.recorder.barrier.is_none() {
            return;
        }
        let now_ns = (self.now)();
        for slot in &mut self.exchanges {
            slot.aligning.note(slot.receiver.is_aligning(), now_ns);
        }
        for chain in &mut self.chains {
            let waits = chain.ports.is_aligning();
            chain.barriers.aligning.note(waits, now_ns);
        }
    }

    /// The longest that anything waited at the barrier that has passed.
    fn take_aligned(&mut self) -> u64 {
        let exchanges = self.exchanges.iter_mut().map(|slot| &mut slot.aligning);
        let chains = self.chains.iter_mut().map(|c| &mut c.barriers.aligning);
        let longest = exchanges.chain(chains).map(Aligning::take);
        longest.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_counts() {
        let mut aligning = Aligning::default();
        for (waits, now_ns) in [
            (false, 10),
            (true, 20),
            (true, 30),
            (false, 50),
            (true, 60),
            (false, 65),
        ] {
            aligning.note(waits, now_ns);
        }
        assert_eq!((aligning.take(), aligning.take()), (30, 0));
        // A clock that is set back.
        aligning.note(true, 100);
        aligning.note(false, 90);
        assert_eq!(aligning.take(), 0);
    }
}
