//! Held rows as rows of state: each side's columns, and whether a row has matched. Times and keys
//! are told by the columns; watermarks come again from the inputs.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::DataType;

use super::IntervalJoin;
use crate::error::{Error, Result};
use crate::program::Side;
use crate::snapshot::{Owned, SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};

/// What a batch says of the side that its rows are of.
const SIDE: &str = "side";

impl IntervalJoin {
    /// The next held rows; `None` behind the last. Between two calls there is no other.
    pub(crate) fn save(&mut self) -> Option<RecordBatch> {
        let (side, from) = &mut self.saving;
        let slots = loop {
            let slots = self.held[*side].some(*from, SLICE_ROWS);
            match (slots.is_empty(), *side) {
                (false, _) => break slots,
                (true, 0) => (*side, *from) = (1, 0),
                (true, _) => {
                    self.saving = (0, 0);
                    return None;
                }
            }
        };
        *from += slots.len();
        let held = &mut self.held[*side];
        let schema = &self.spec.inputs[*side];
        let mut columns = columns_of(schema);
        held.append_to(&mut columns, &slots);
        let matched = slots.iter().map(|&slot| Some(held.has_matched(slot)));
        let matched: BooleanArray = matched.collect();
        let mut columns = arrays_of(schema, columns);
        columns.push(Arc::new(matched) as ArrayRef);
        Some(batch(columns, slots.len(), &[(SIDE, side.to_string())]))
    }

    /// Holds those of these rows that are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of another join.
    pub(crate) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let side = match rows.schema_ref().metadata().get(SIDE).map(String::as_str) {
            Some("0") => Side::Left,
            Some("1") => Side::Right,
            _ => {
                let message = "rows of state are of no side of a join".to_owned();
                return Err(Error::Restore(message));
            }
        };
        let owned = Owned::of_state(self.owned[side.port()].as_ref(), same_shard)?;
        let schema = &self.spec.inputs[side.port()];
        let (frame, more) = owned_rows(rows, schema, &[DataType::Boolean], owned, self.seed)?;
        self.side = side;
        self.hold(&frame);
        let matched = more[0].as_boolean();
        let held = &mut self.held[side.port()];
        for (row, slot) in self.slots.iter().enumerate() {
            if matched.value(row) {
                held.mark(*slot);
            }
        }
        Ok(())
    }
}
