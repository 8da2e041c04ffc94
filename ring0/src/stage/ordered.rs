//! What waits for all rows, as it stands in a chain. Its rows of state are the rows that it keeps,
//! in the order in which they came: of those that one order leaves alike the first stay the first.

use arrow_array::{ArrayRef, RecordBatch};

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::lineage::OfInput;
use crate::operator::aggregate::Progress;
use crate::operator::ordered::Ordered;
use crate::snapshot::{Owned, SLICE_ROWS, batch, frame_of};

/// Rows that are gathered, and what its stage has to know of them.
#[derive(Debug)]
pub(super) struct OrderedState {
    ordered: Ordered,
    /// Which of them are the source's: they are applied here.
    pub(super) applies: OfInput,
    /// Which rows there can be here; `None` where their columns do not say it.
    owned: Option<Owned>,
    seed: u64,
    /// The block of which a snapshot has the rows up to this one.
    saved: (usize, usize),
}

impl OrderedState {
    /// With no row yet; those are hashed by this seed.
    pub(super) fn new(ordered: Ordered, applies: OfInput, owned: Option<Owned>, seed: u64) -> Self {
        Self {
            ordered,
            applies,
            owned,
            seed,
            saved: (0, 0),
        }
    }

    /// How many rows it keeps.
    pub(super) fn state_rows(&self) -> usize {
        let (_, blocks) = self.ordered.rows();
        // All blocks but the last are full.
        let last = blocks.last().map_or(0, Frame::rows);
        let full = blocks.first().map_or(0, Frame::rows_max);
        blocks.len().saturating_sub(1) * full + last
    }

    /// Takes the rows of a frame.
    pub(super) fn update(&mut self, frame: &Frame) {
        self.ordered.update(frame);
    }

    /// Writes rows into `out` until it is full; to be called once no more come.
    pub(super) fn emit(&mut self, out: &mut Frame) -> Result<Progress> {
        self.ordered.emit(out)
    }

    /// The next rows for a snapshot; `None` behind the last, where the next call begins anew.
    pub(super) fn save(&mut self) -> Option<RecordBatch> {
        let (schema, blocks) = self.ordered.rows();
        let (mut number, mut from) = self.saved;
        if blocks.get(number).is_some_and(|block| block.rows() == from) {
            (number, from) = (number + 1, 0);
        }
        let Some(block) = blocks.get(number) else {
            self.saved = (0, 0);
            return None;
        };
        let upto = block.rows().min(from + SLICE_ROWS);
        let mut rows = Frame::new(schema, upto - from);
        rows.append_range(block, from..upto);
        let columns = rows.columns.into_iter().zip(schema.types());
        let columns: Vec<ArrayRef> = columns.map(|(c, t)| c.into_array(t)).collect();
        self.saved = (number, upto);
        Some(batch(columns, upto - from, &[]))
    }

    /// Takes those rows up that are owned here, behind those that were taken up.
    ///
    /// # Errors
    /// [`Error::Restore`] where they have other columns, or nothing says whose they are.
    pub(super) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let (schema, _) = self.ordered.rows();
        let types = rows.columns().iter().map(|column| column.data_type());
        if !types.eq(schema.types()) {
            return Err(Error::Restore(
                "rows of state have other columns".to_owned(),
            ));
        }
        let all = frame_of(schema, rows.columns(), rows.num_rows());
        let mine =
            (Owned::of_state(self.owned.as_ref(), same_shard)?).rows(&all, schema, self.seed);
        let mine: Vec<u32> = mine.into_iter().map(|row| row as u32).collect();
        let mut taken = Frame::new(schema, mine.len().max(1));
        taken.append_rows(&all, &mine);
        self.ordered.update(&taken);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
