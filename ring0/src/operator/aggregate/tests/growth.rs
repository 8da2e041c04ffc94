//! Tables grow by few pages at a time, whatever a frame holds.

use super::*;
use crate::frame::Frame;

/// Most pages that one step may split: those of the rows behind which it looks how many they were.
const SPLITS: u64 = 12;

/// Takes frames of keys that never came before, step by step. Gives how many steps took a part of
/// a frame.
fn partial_steps(window: bool) -> usize {
    let types = schema();
    let keys: Vec<usize> = if window { vec![0, 5] } else { vec![0] };
    let calls = [call(F::Count, None), call(F::Sum, Some(VI))];
    let size_ns = 1_000_000_000;
    let window = window.then_some(WindowKey { key: 1, size_ns });
    let spec = spec(
        types.clone(),
        keys.clone(),
        &calls,
        Phase::Complete,
        window,
        &types,
        &keys,
    );
    let hashed = spec.hashed_keys();
    let mut aggregate =
        Aggregate::new(spec, 0, KEY_GROUPS as u32, Addresses::shared_by(1)).expect("new");
    let (mut random, mut partial, mut hashes, mut before) = (Random(5), 0, Vec::new(), 0);
    let (frames, rows) = (80, 1024);
    for number in 0..frames {
        let mut frame = frame(&mut random, rows, 1, 0);
        let Column::I64(k) = &mut frame.columns[0] else {
            unreachable!("k is a BIGINT")
        };
        for (row, k) in k.values.iter_mut().enumerate() {
            *k = (number * rows + row) as i64;
        }
        if let Column::I64(t) = &mut frame.columns[5] {
            // Two windows at most.
            t.values.iter_mut().enumerate().for_each(|(row, t)| {
                *t = 1_000_000 * ((number * rows + row) as i64 / 60_000);
            });
        }
        hash_keys(&frame, &schema(), &hashed, 3, &mut hashes);
        let mut from = 0;
        while from < rows {
            let upto = aggregate
                .update_some(&frame, &hashes, from)
                .expect("update");
            assert!(upto > from, "each step takes a row at least");
            partial += usize::from(upto < rows);
            from = upto;
            let drained = aggregate.shared.store.drained();
            assert!(drained - before <= SPLITS, "{} pages", drained - before);
            before = drained;
        }
    }
    assert_eq!(aggregate.groups(), frames * rows, "each row is a group");
    let groups: usize = emitted(&mut aggregate, None, 500)
        .iter()
        .map(Frame::rows)
        .sum();
    assert_eq!(groups, frames * rows);
    partial
}

#[test]
fn growth_is_taken_in_steps() {
    assert!(partial_steps(false) > 20);
    assert!(partial_steps(true) > 20);
}
