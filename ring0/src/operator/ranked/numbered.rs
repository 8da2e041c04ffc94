//! Changes told by row number: by number, what stood in a partition's place and what stands there
//! now. Whoever keeps rows by partition and number has one row for each, at every moment.

use std::collections::BTreeMap;

use super::partition::{Change, Given};

/// Bytes of a rank among a row's results: whether it is there, and the number.
const RANK_BYTES: usize = 1 + size_of::<u64>();

/// The number that is one of a row's ranks.
fn number(given: &Given, rank: usize) -> u64 {
    let bytes = given.1[rank * RANK_BYTES..][1..].first_chunk();
    u64::from_be_bytes(*bytes.expect("each rank is a number"))
}

/// Makes of what one change gives of rows what it gives of numbers, which are one of the ranks.
pub(super) fn by_number(rank: usize, changes: &mut Vec<Change>) {
    let mut numbers: BTreeMap<u64, Change> = BTreeMap::new();
    for Change { before, after } in changes.drain(..) {
        if let Some(row) = before {
            let change = numbers.entry(number(&row, rank)).or_default();
            assert!(change.before.is_none(), "a number had one row");
            change.before = Some(row);
        }
        if let Some(row) = after {
            let change = numbers.entry(number(&row, rank)).or_default();
            assert!(change.after.is_none(), "a number has one row");
            change.after = Some(row);
        }
    }
    // A row that is like the one before it changes nothing.
    changes.extend(numbers.into_values().filter(|c| c.before != c.after));
}
