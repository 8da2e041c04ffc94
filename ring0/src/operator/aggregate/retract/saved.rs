//! Groups of a changelog as rows of state. A group has a row of its own, and one for each value of
//! which it keeps how often it stands: there may be as many of these as rows came.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::DataType;

use super::state::State;
use super::{Group, Retracting};
use crate::column::Column;
use crate::error::{Error, Result};
use crate::order::{SortKey, put_key, take};
use crate::schema::Schema;
use crate::snapshot::{Owned, SLICE_ROWS, arrays_of, batch, columns_of, owned_rows};
use crate::tally::Packed;

/// What stands behind the keys: 0 for the group itself, else which of its counted values it is;
/// its words, or the value; how many rows the group has, or how often the value stands.
const MORE: [DataType; 3] = [DataType::UInt32, DataType::Binary, DataType::Int64];

/// The last row that was handed on: its group's key, what it is of the group, and its value.
type Last = (Packed, usize, Packed);

/// Where handing on the groups stands.
#[derive(Debug, Default)]
pub(crate) struct SaveCursor(Option<Last>);

/// Rows of state, as they are gathered.
struct Gathered {
    keys: Vec<Column>,
    parts: Vec<u32>,
    bytes: Vec<Packed>,
    counts: Vec<i64>,
    last: Option<Last>,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.parts.len() == SLICE_ROWS
    }

    fn push(&mut self, key: &[u8], part: usize, bytes: Packed, count: i64) {
        let mut rest = key;
        self.keys.iter_mut().for_each(|to| take(&mut rest, to));
        self.parts.push(part as u32);
        self.last = Some((key.into(), part, bytes.clone()));
        self.bytes.push(bytes);
        self.counts.push(count);
    }

    /// Adds the next rows of a group, behind a value of a part, or all of it.
    fn push_group(&mut self, key: &[u8], group: &Group, behind: Option<(usize, &[u8])>) {
        if behind.is_none() {
            let words = [u64::from(group.given)].into_iter();
            let words = words.chain(group.state.words());
            let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
            self.push(key, 0, bytes.into(), group.rows);
        }
        for (part, rows) in (1..).zip(group.state.counted()) {
            let from = match behind {
                Some((last, _)) if part < last => continue,
                Some((last, value)) if part == last => Bound::Excluded(value),
                _ => Bound::Unbounded,
            };
            for (value, &count) in rows.range::<[u8], _>((from, Bound::Unbounded)) {
                if self.is_full() {
                    return;
                }
                self.push(key, part, value.clone(), count);
            }
        }
    }
}

impl Retracting {
    /// The keys' columns.
    fn key_schema(&self) -> Schema {
        let fields = &self.spec.input.fields;
        let keys = self.spec.keys.iter();
        Schema::new(keys.map(|&key| fields[key].clone()).collect())
    }

    /// The next groups as rows of state; `None` behind the last. Between two calls there is no
    /// change.
    pub(crate) fn save(&self, cursor: &mut SaveCursor) -> Option<RecordBatch> {
        let schema = self.key_schema();
        let mut rows = Gathered {
            keys: columns_of(&schema),
            parts: Vec::new(),
            bytes: Vec::new(),
            counts: Vec::new(),
            last: None,
        };
        let mut from = Bound::Unbounded;
        let last = cursor.0.take();
        if let Some((key, part, value)) = &last {
            if let Some(group) = self.groups.get(key) {
                rows.push_group(key, group, Some((*part, value)));
            }
            from = Bound::Excluded(&key[..]);
        }
        for (key, group) in self.groups.range::<[u8], _>((from, Bound::Unbounded)) {
            if rows.is_full() {
                break;
            }
            rows.push_group(key, group, None);
        }
        cursor.0 = rows.last;
        cursor.0.as_ref()?;
        let count = rows.parts.len();
        let mut columns = arrays_of(&schema, rows.keys);
        let bytes = BinaryArray::from_iter_values(rows.bytes);
        let more: [ArrayRef; 3] = [
            Arc::new(UInt32Array::from(rows.parts)),
            Arc::new(bytes),
            Arc::new(Int64Array::from(rows.counts)),
        ];
        columns.extend(more);
        Some(batch(columns, count, &[]))
    }

    /// Takes those rows of state up whose groups are owned here.
    ///
    /// # Errors
    /// [`Error::Restore`] where they are those of other groups.
    pub(crate) fn load(&mut self, rows: &RecordBatch, owned: &Owned, seed: u64) -> Result<()> {
        let schema = self.key_schema();
        let (keys, more) = owned_rows(rows, &schema, &MORE, owned, seed)?;
        let by: Vec<SortKey> = (0..schema.fields.len()).map(SortKey::ascending).collect();
        let parts = more[0].as_primitive::<UInt32Type>();
        let bytes = more[1].as_binary::<i32>();
        let counts = more[2].as_primitive::<Int64Type>();
        let other = || Error::Restore("rows of state are those of other groups".to_owned());
        for row in 0..keys.rows() {
            self.key.clear();
            put_key(&mut self.key, &keys, row, &by);
            let group = self.groups.entry(self.key.as_slice().into());
            let group = group.or_insert_with(|| Group {
                rows: 0,
                state: State::new(&self.spec, &self.plan),
                given: false,
            });
            let (bytes, count) = (bytes.value(row), counts.value(row));
            if let Some(part) = (parts.value(row) as usize).checked_sub(1) {
                let values = group.state.counted_mut().nth(part).ok_or_else(other)?;
                values.insert(bytes.into(), count);
                continue;
            }
            let (words, rest) = bytes.as_chunks();
            let words: Vec<u64> = words.iter().map(|w| u64::from_le_bytes(*w)).collect();
            let Some((given, words)) = words.split_first().filter(|_| rest.is_empty()) else {
                return Err(other());
            };
            (group.rows, group.given) = (count, *given == 1);
            if !group.state.set_words(words) {
                return Err(other());
            }
        }
        Ok(())
    }
}
