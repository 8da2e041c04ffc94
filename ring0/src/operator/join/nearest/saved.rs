//! Versions and rows that wait, as rows of state: each side's columns. Where they stand follows,
//! and watermarks come again from the inputs. A right side that is kept wholly is made again.

use arrow_array::RecordBatch;

use super::{NearestJoin, Side};
use crate::error::{Error, Result};
use crate::operator::join::keyed::KeyPlace;
use crate::order::{put_row, take};
use crate::snapshot::{NO_STATE, Owned, SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};
use crate::tally::Packed;

/// What a batch says of the side that its rows are of.
const SIDE: &str = "side";

/// Where handing on to a snapshot stands.
#[derive(Debug, Default)]
pub(super) enum Saving {
    /// At the rows that wait, behind this one.
    Waiting((i128, u64)),
    /// At the versions, behind this one.
    Versions((KeyPlace, Packed)),
    #[default]
    Nothing,
}

impl NearestJoin {
    /// The next rows; `None` behind the last. Between two calls there is no other.
    pub(crate) fn save(&mut self) -> Option<RecordBatch> {
        self.nearest.lag_ns?;
        let mut columns = columns_of(&self.spec.inputs[0]);
        let mut count = 0;
        let mut put = |columns: &mut Vec<_>, mut row: &[u8]| {
            columns.iter_mut().for_each(|to| take(&mut row, to));
            count += 1;
        };
        let mut side = Side::Left;
        let mut at = None;
        let waiting = match &self.saving {
            Saving::Nothing => Some(None),
            Saving::Waiting(last) => Some(Some(*last)),
            Saving::Versions(_) => None,
        };
        if let Some(last) = waiting {
            for (number, row) in self.waiting.behind(last).take(SLICE_ROWS) {
                put(&mut columns, row);
                at = Some(Saving::Waiting(number));
            }
        }
        if at.is_none() {
            side = Side::Right;
            columns = columns_of(&self.spec.inputs[1]);
            let last = match &self.saving {
                Saving::Versions(last) => Some(last),
                Saving::Nothing | Saving::Waiting(_) => None,
            };
            for (place, time, version) in self.versions.behind(last).take(SLICE_ROWS) {
                put(&mut columns, &version.row);
                at = Some(Saving::Versions((place, time.into())));
            }
        }
        let is_over = at.is_none();
        self.saving = at.unwrap_or_default();
        if is_over {
            return None;
        }
        let columns = arrays_of(&self.spec.inputs[side.port()], columns);
        Some(batch(columns, count, &[(SIDE, side.port().to_string())]))
    }

    /// Takes up those of these rows that are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of another join.
    pub(crate) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let side = match rows.schema_ref().metadata().get(SIDE).map(String::as_str) {
            _ if self.nearest.lag_ns.is_none() => {
                return Err(Error::Restore(NO_STATE.to_owned()));
            }
            Some("0") => Side::Left,
            Some("1") => Side::Right,
            _ => {
                let message = "rows of state are of no side of a join".to_owned();
                return Err(Error::Restore(message));
            }
        };
        let owned = Owned::of_state(self.owned[side.port()].as_ref(), same_shard)?;
        let schema = &self.spec.inputs[side.port()];
        let (frame, _) = owned_rows(rows, schema, &[], owned, self.seed)?;
        if side == Side::Right {
            self.keep(&frame);
            return Ok(());
        }
        for row in 0..frame.rows() {
            let Some(place) = self.place(Side::Left, &frame, row) else {
                let message = "a row waits in a join that is near nothing".to_owned();
                return Err(Error::Restore(message));
            };
            let mut bytes = Vec::new();
            put_row(&mut bytes, &frame.columns, row);
            self.waiting.add(place, bytes.into());
        }
        Ok(())
    }
}
