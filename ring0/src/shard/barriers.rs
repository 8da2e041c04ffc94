//! Barriers as a shard cuts them, and what it says of them.

use super::{Shard, SourceSlot};
use crate::snapshot::{Piece, Place, Told, epoch_of, is_behind_pushed, is_kept};

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
        self.recorder.tell(Told::Done(epoch_of(barrier), pieces));
        true
    }
}
