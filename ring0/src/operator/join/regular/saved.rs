//! The rows of both sides as rows of state: each side's columns, how often a row stands, and how
//! many match it where that is counted with the row. Keys, and how many rows there are of each,
//! follow.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::DataType;

use super::RegularJoin;
use crate::error::{Error, Result};
use crate::order::{put_key, put_row, take};
use crate::snapshot::{Owned, SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};

/// What a batch says of the side that its rows are of.
const SIDE: &str = "side";

impl RegularJoin {
    /// The next rows; `None` behind the last. Between two calls nothing comes.
    pub(crate) fn save(&mut self) -> Option<RecordBatch> {
        loop {
            let (side, last) = &mut self.saving;
            let rows = &self.rows[*side];
            let mut columns = columns_of(&rows.schema);
            let (mut weights, mut matches) = (Vec::new(), Vec::new());
            let mut upto = None;
            let (first, behind) = last.clone().unwrap_or_default();
            let groups = rows.rows.from(first).flat_map(|(place, group)| {
                let behind = behind.as_deref().filter(|_| place == first);
                group.behind(behind).map(move |row| (place, row))
            });
            for (place, (values, standing)) in groups.take(SLICE_ROWS) {
                let mut rest = values;
                columns
                    .iter_mut()
                    .for_each(|column| take(&mut rest, column));
                weights.push(standing.weight);
                matches.push(standing.matches);
                upto = Some((place, Some(values.into())));
            }
            let of = *side;
            let count = weights.len();
            if count == 0 {
                self.saving = (1 - of, None);
                match of {
                    0 => continue,
                    _ => return None,
                }
            }
            *last = upto;
            let mut columns = arrays_of(&rows.schema, columns);
            columns.push(Arc::new(Int64Array::from(weights)) as ArrayRef);
            columns.push(Arc::new(Int64Array::from(matches)));
            return Some(batch(columns, count, &[(SIDE, of.to_string())]));
        }
    }

    /// Keeps those of these rows that are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of another join.
    pub(crate) fn load(&mut self, rows: &RecordBatch, same_shard: Option<bool>) -> Result<()> {
        let side = match rows.schema_ref().metadata().get(SIDE).map(String::as_str) {
            Some("0") => 0,
            Some("1") => 1,
            _ => {
                let message = "rows of state are of no side of a join".to_owned();
                return Err(Error::Restore(message));
            }
        };
        let to = &mut self.rows[side];
        let owned = Owned::of_state(to.owned.as_ref(), same_shard)?;
        let more = [DataType::Int64, DataType::Int64];
        let (frame, more) = owned_rows(rows, &to.schema, &more, owned, self.seed)?;
        let [weights, matches] = [0, 1].map(|at: usize| more[at].as_primitive::<Int64Type>());
        for row in 0..frame.rows() {
            let (mut key, mut values) = (Vec::new(), Vec::new());
            put_key(&mut key, &frame, row, &to.keys);
            put_row(&mut values, &frame.columns, row);
            let time = to.time(&frame, row);
            let of = (&key[..], &values[..]);
            to.weigh(of, time, weights.value(row), matches.value(row));
            to.add_total(&key, weights.value(row));
        }
        Ok(())
    }
}
