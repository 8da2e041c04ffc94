//! What stands in the middle of values that come and go: where an aggregate's result is that of the
//! one or two values there, a change costs what a look into an ordered map does, and not the group.
//!
//! Beside the map stands one value, and how many are less: changes move it by a few steps.

use std::ops::Bound;
use std::sync::Arc;

use arrow_array::builder::BinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::generic::{AggregateKernel, GroupStates};
use crate::column::Column;
use crate::order::{Rows, count, put_row, take};
use crate::program::Phase;
use crate::tally::{Packed, node_bytes};

/// Values by size, and how often each stands: those that are owed not at all.
#[derive(Debug, Default)]
pub(super) struct Middle {
    /// How many stand.
    total: u64,
    /// One of the values that stood, and how many that stand are less.
    at: Packed,
    less: u64,
}

/// The first byte of a value that is not NULL: others count for nothing.
const VALUE: u8 = 1;

/// How many there are of a value that stands so often, or is owed.
fn standing(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

impl Middle {
    /// That of values as they stand.
    pub(super) fn of(values: &Rows) -> Self {
        Self {
            total: (values.iter())
                .filter(|(value, _)| value.first() == Some(&VALUE))
                .map(|(_, count)| standing(*count))
                .sum(),
            ..Self::default()
        }
    }

    /// Takes note of a value that stood so often, and now does by `weight` more.
    pub(super) fn note(&mut self, value: &[u8], stood: i64, weight: i64) {
        if value.first() != Some(&VALUE) {
            return;
        }
        let (before, after) = (standing(stood), standing(stood + weight));
        self.total = self.total - before + after;
        if *value < *self.at {
            self.less = self.less - before + after;
        }
    }

    /// The value in the middle, or the two there; none where nothing stands.
    pub(super) fn find<'v>(&mut self, values: &'v Rows) -> Vec<&'v [u8]> {
        let Some(lower) = self.total.checked_sub(1).map(|last| last / 2) else {
            return Vec::new();
        };
        let count_of = |value: &[u8]| values.get(value).map_or(0, |count| standing(*count));
        while self.less > lower {
            let before = (Bound::Unbounded, Bound::Excluded(&self.at[..]));
            let (value, count) = (values.range::<[u8], _>(before).next_back())
                .expect("values that are less stand before");
            self.less -= standing(*count);
            self.at = value.clone();
        }
        while self.less + count_of(&self.at) <= lower {
            self.less += count_of(&self.at);
            let behind = (Bound::Excluded(&self.at[..]), Bound::Unbounded);
            let mut behind = values.range::<[u8], _>(behind);
            let next = behind
                .next()
                .expect("values that are not less stand behind");
            self.at = next.0.clone();
        }
        let from = (Bound::Included(&self.at[..]), Bound::Unbounded);
        let there = values.range::<[u8], _>(from);
        let mut found = there.filter_map(|(value, count)| (*count > 0).then_some(&value[..]));
        let first = found.next().expect("the value in the middle stands");
        let upper = self.total / 2;
        match upper > lower {
            false => vec![first],
            true if self.less + count_of(first) > upper => vec![first, first],
            true => {
                let second = found.next().expect("half of the values are behind");
                vec![first, second]
            }
        }
    }
}

/// The result of a kernel over values, of which there are few.
pub(super) fn result_over(
    kernel: &dyn AggregateKernel,
    data_type: &DataType,
    values: &[&[u8]],
) -> Result<ArrayRef, String> {
    let mut column = Column::of(data_type);
    for mut value in values.iter().copied() {
        take(&mut value, &mut column);
    }
    let args = [column.into_array(data_type)];
    let mut states = kernel.states(Phase::Complete)?;
    states.update(&args, &vec![0; values.len()], 1)?;
    states.results(1)
}

/// The states of groups whose rows only come, and whose results are asked for each time.
pub(super) struct Middles {
    kernel: Arc<dyn AggregateKernel>,
    data_type: DataType,
    groups: Vec<(Rows, Middle)>,
}

impl Middles {
    /// Of a kernel that takes the middle of an argument of this type.
    pub(super) fn new(kernel: &Arc<dyn AggregateKernel>, data_type: &DataType) -> Self {
        Self {
            kernel: Arc::clone(kernel),
            data_type: data_type.clone(),
            groups: Vec::new(),
        }
    }

    fn grow(&mut self, total: usize) {
        let total = total.max(self.groups.len());
        self.groups.resize_with(total, Default::default);
    }
}

impl GroupStates for Middles {
    fn update(&mut self, args: &[ArrayRef], groups: &[usize], total: usize) -> Result<(), String> {
        self.grow(total);
        let column = Column::from_array(Arc::clone(&args[0]));
        for (row, &group) in groups.iter().enumerate() {
            if !column.is_valid(row) {
                continue;
            }
            let mut value = Vec::new();
            put_row(&mut value, [&column], row);
            let (values, middle) = &mut self.groups[group];
            let stood = count(values, value.clone(), 1);
            middle.note(&value, stood, 1);
        }
        Ok(())
    }

    fn results(&mut self, _: usize) -> Result<ArrayRef, String> {
        unreachable!("results that change are asked for one by one")
    }

    fn columns(&self) -> usize {
        1
    }

    /// A group's values, each behind its length and how often it stands.
    fn states(&mut self, total: usize) -> Result<Vec<ArrayRef>, String> {
        self.grow(total);
        let mut states = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for (values, _) in &self.groups {
            bytes.clear();
            for (value, count) in values {
                let length = u32::try_from(value.len()).map_err(|e| e.to_string())?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(&count.to_le_bytes());
                bytes.extend_from_slice(value);
            }
            states.append_value(&bytes);
        }
        Ok(vec![Arc::new(states.finish())])
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<(), String> {
        self.grow(total);
        let states = states.first().and_then(|s| s.as_binary_opt::<i32>());
        let states = states.filter(|s| s.len() == groups.len());
        let wrong = || "states of another aggregate".to_owned();
        let states = states.ok_or_else(wrong)?;
        for (state, &group) in states.iter().zip(groups) {
            let mut rest = state.unwrap_or_default();
            let (values, middle) = &mut self.groups[group];
            while !rest.is_empty() {
                let (length, behind) = rest.split_first_chunk().ok_or_else(wrong)?;
                let (often, behind) = behind.split_first_chunk().ok_or_else(wrong)?;
                let length = u32::from_le_bytes(*length) as usize;
                let (value, behind) = behind.split_at_checked(length).ok_or_else(wrong)?;
                count(values, value.to_vec(), i64::from_le_bytes(*often));
                rest = behind;
            }
            *middle = Middle::of(values);
        }
        Ok(())
    }

    fn result(&mut self, group: usize) -> Result<ArrayRef, String> {
        self.grow(group + 1);
        let (values, middle) = &mut self.groups[group];
        let values = middle.find(values);
        result_over(&*self.kernel, &self.data_type, &values)
    }

    /// Values count for themselves.
    fn bytes(&self) -> usize {
        let nodes = self.groups.len() * node_bytes::<Packed, i64>();
        self.groups.capacity() * size_of::<(Rows, Middle)>() + nodes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(steps: &[(u8, i64)]) {
        let (mut values, mut middle) = (Rows::new(), Middle::default());
        for (step, &(value, weight)) in steps.iter().enumerate() {
            let weight = if weight == 0 { -1 } else { weight };
            // The last one is NULL.
            let value = if value == 8 { vec![2] } else { vec![1, value] };
            let stood = count(&mut values, value.clone(), weight);
            middle.note(&value, stood, weight);
            let stand = values.iter().filter(|(v, _)| v.len() == 2);
            let stand = stand.flat_map(|(v, &n)| vec![v[1]; standing(n) as usize]);
            let stand: Vec<u8> = stand.collect();
            let want = match stand.len() {
                0 => vec![],
                n if n % 2 == 1 => vec![stand[n / 2]],
                n => vec![stand[n / 2 - 1], stand[n / 2]],
            };
            // Not each change is looked at.
            if step % 3 < 2 {
                let got: Vec<u8> = middle.find(&values).iter().map(|v| v[1]).collect();
                assert_eq!(got, want, "{values:?}");
            }
            if step % 7 == 6 {
                middle = Middle::of(&values);
            }
        }
    }

    proptest! {
        /// Whatever comes and goes, also before it came.
        #[test]
        fn the_middle_is_that_of_what_stands(
            steps in prop::collection::vec((0u8..9, -3i64..4), 0..80),
        ) {
            check(&steps);
        }
    }

    /// It goes from one end to the other, and back, a step a change.
    #[test]
    fn the_middle_moves_with_its_values() {
        let up = (0..200).map(|v| (v, 1));
        let down = (0..200).rev().map(|v| (v, 1));
        let gone = (0..200).map(|v| (v, -2));
        let steps: Vec<(u8, i64)> = up.chain(down).chain(gone).collect();
        check(&steps);
    }
}
